//! Single pictures beside outputs that are encoded: they ride on their decode and change nothing in them, and are whole or not there,
//! whatever kills what makes them. What they show of grey sources is in `pictures.rs`.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::common::{
    Place, Ran,
    judge::{likeness_after, number_of, probed, shown_size},
    media::{self, Constant},
};

/// An output that is encoded.
const ENCODED: &str =
    "[video.main]\ncodec = \"h264\"\npreset = \"ultrafast\"\n[[output]]\nformat = \"mp4\"\n";
/// A picture each second.
const EACH_SECOND: &str = "[[output]]\nformat = \"thumbnails\"\nevery = \"1s\"\npicture = \"png\"\n";

/// A source without sound, 25 pictures a second, each unlike its neighbours.
fn source(place: &Place, seconds: &str) -> PathBuf {
    let source = place.path("a.mp4");
    media::constant(&source, Constant { seconds, gop: 10, channels: 0, ..Constant::default() });
    source
}

/// `millrace run` of a profile into a folder, with a data folder of its own.
fn command(place: &Place, source: &Path, profile: &str, output: &str, more: &[&str]) -> Command {
    let named = place.write(&format!("{output}.toml"), profile);
    let mut command = place.millrace();
    command.arg("run").arg(source).args(["--output", output, "--data", &format!("{output}-data"), "--json"]);
    command.arg("--profile").arg(named).args(more);
    command
}

fn run(place: &Place, source: &Path, profile: &str, output: &str, more: &[&str]) -> Ran {
    Ran::of(command(place, source, profile, output, more).output().unwrap())
}

/// All files below a folder, by their paths relative to it.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_dir() {
            all.extend(files(&path).into_iter().map(|(below, bytes)| (format!("{name}/{below}"), bytes)));
        } else {
            all.insert(name, fs::read(&path).unwrap());
        }
    }
    all
}

/// A cue of a list of pictures, in milliseconds, and the name of the picture with its part of the file.
#[derive(Debug, PartialEq)]
struct Cue {
    from: u64,
    to: u64,
    file: PathBuf,
    part: Option<[u32; 4]>,
}

fn milliseconds(clock: &str) -> u64 {
    let digits = |part: &str| part.parse::<u64>().unwrap();
    let (clock, rest) = clock.split_once('.').unwrap();
    clock.split(':').fold(0, |sum, part| sum * 60 + digits(part)) * 1000 + digits(rest)
}

/// Reads a list of pictures, as a player does.
fn cues(list: &Path) -> Vec<Cue> {
    let text = fs::read_to_string(list).unwrap();
    assert!(text.starts_with("WEBVTT\n\n"), "{text}");
    let blocks = text
        .split("\n\n")
        .filter_map(|block| block.split_once('\n').filter(|(times, _)| times.contains(" --> ")));
    let cue = |(times, name): (&str, &str)| {
        let (from, to) = times.split_once(" --> ").unwrap();
        let (file, part) = name.trim().split_once("#xywh=").unwrap_or((name.trim(), ""));
        let numbers: Vec<u32> = part.split(',').filter_map(|number| number.parse().ok()).collect();
        Cue {
            from: milliseconds(from),
            to: milliseconds(to),
            file: list.with_file_name(file),
            part: numbers.try_into().ok(),
        }
    };
    blocks.map(cue).collect()
}

/// Holds pictures to their cues: each is this one of the source, and is shown until the next one is.
fn are_shown(source: &Path, cues: &[Cue], wanted: &[(u64, usize)], count: usize) {
    let from: Vec<u64> = cues.iter().map(|cue| cue.from).collect();
    assert_eq!(from, wanted.iter().map(|(from, _)| *from).collect::<Vec<_>>());
    for (cue, (from, number)) in cues.iter().zip(wanted) {
        let near = number.saturating_sub(1)..(number + 2).min(count);
        assert_eq!(number_of(source, near, &cue.file), *number, "at {from} ms");
    }
    assert!(cues.windows(2).all(|pair| pair[0].to == pair[1].from), "{cues:?}");
}

/// Returns the files of pictures without what names their attempt: its folder and its mark.
fn without_attempt(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let all = files(folder);
    let attempts: Vec<&str> = all.keys().filter_map(|name| name.rsplit('/').nth(1)).collect();
    let plain = |name: &str| {
        attempts.iter().fold(name.to_owned(), |text, attempt| {
            if attempt.len() == 8 { text.replace(attempt, "ATTEMPT") } else { text }
        })
    };
    let content = |name: &str, bytes: &[u8]| {
        if !name.ends_with(".vtt") {
            return bytes.to_vec();
        }
        let text = plain(&String::from_utf8_lossy(bytes));
        text.lines().filter(|line| !line.starts_with("NOTE ")).collect::<Vec<_>>().join("\n").into_bytes()
    };
    let pictures = all.iter().filter(|(name, _)| !name.ends_with(".mp4") && !name.ends_with("package.json"));
    pictures.map(|(name, bytes)| (plain(name), content(name, bytes))).collect()
}

#[test]
fn thumbnails_ride_on_another_output_and_show_what_is_shown_at_their_times() {
    let place = Place::new();
    let source = source(&place, "4.2");
    let ran = run(&place, &source, &format!("{ENCODED}{EACH_SECOND}"), "out", &["--segment-time", "1"]);
    let result = ran.success();
    assert_eq!(place.names("out"), ["a-thumbnails", "a.mp4"]);
    let list = place.path("out/a-thumbnails/thumbnails.vtt");
    let cues = cues(&list);
    are_shown(&source, &cues, &[(0, 0), (1000, 25), (2000, 50), (3000, 75), (4000, 100)], 105);
    assert_eq!(cues.last().unwrap().to, 4200, "until the end of the source");
    assert!(cues.iter().all(|cue| cue.part.is_none() && shown_size(&cue.file) == [320, 180]));
    let output = &result["outputs"][1];
    assert!(output["url"].as_str().unwrap().ends_with("/out/a-thumbnails/thumbnails.vtt"), "{output}");
    assert_eq!((&output["video"]["frames"], &output["video"]["width"]), (&json!(5), &json!(320)), "{output}");
    // What an output is made of does not change with what rides on it.
    let alone = run(&place, &source, ENCODED, "alone", &["--segment-time", "1"]);
    assert_eq!(alone.success()["segments"], result["segments"]);
    let decoded = |folder: &str| probed(&place.path(&format!("{folder}/a.mp4")), "packet=pts,size,flags");
    assert_eq!(decoded("out"), decoded("alone"));
}

#[test]
fn segments_of_a_second_and_the_whole_give_the_same_pictures() {
    let place = Place::new();
    let source = source(&place, "5");
    let asked = [
        ENCODED,
        EACH_SECOND,
        "[[output]]\nformat = \"sprite\"\nevery = \"0.4s\"\ncolumns = 4\nrows = 2\n",
        "[[output]]\nformat = \"gif\"\nfrom = \"0.5s\"\nto = \"3.5s\"\nwidth = 160\n",
        "[[output]]\nformat = \"webp\"\nfrom = \"0.5s\"\nto = \"3.5s\"\nwidth = 160\n",
        "[[output]]\nformat = \"thumbnails\"\nbest = 3\nwidth = 200\nname = \"{stem}-best\"\n",
    ];
    let made = |folder: &str, seconds: &str| {
        let ran = run(&place, &source, &asked.concat(), folder, &["--segment-time", seconds]);
        let segments = ran.success()["segments"].as_u64().unwrap();
        assert_eq!(segments > 1, seconds == "1", "{segments} segments of {seconds} s");
        without_attempt(&place.path(folder))
    };
    let (parts, whole) = (made("parts", "1"), made("whole", "60"));
    assert_eq!(parts.keys().collect::<Vec<_>>(), whole.keys().collect::<Vec<_>>());
    assert_eq!(parts.len(), (5 + 1) + (2 + 1) + 2 + (3 + 1), "{:?}", parts.keys());
    for (name, bytes) in &parts {
        assert!(*bytes == whole[name], "{name} differs");
    }
}

#[test]
fn of_a_variable_frame_rate_the_picture_before_is_shown() {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::variable(&source);
    let times = probed(&source, "frame=pts_time");
    let times: Vec<f64> = times.lines().filter_map(|line| line.split(',').next()?.parse().ok()).collect();
    let asked = "[[output]]\nformat = \"thumbnails\"\npicture = \"png\"\nevery = \"350ms\"\n";
    run(&place, &source, asked, "out", &["--segment-time", "1"]).success();
    let shown = |at: u64| times.iter().rposition(|time| *time * 1000.0 <= at as f64 + 0.001).unwrap();
    let wanted: Vec<(u64, usize)> = (0..12).map(|number| (number * 350, shown(number * 350))).collect();
    are_shown(&source, &cues(&place.path("out/a-thumbnails/thumbnails.vtt")), &wanted, times.len());
}

#[test]
fn a_source_that_is_shorter_than_the_time_between_pictures_has_one() {
    let place = Place::new();
    let source = source(&place, "1");
    let ran = place.run(&[&source], &["-f", "thumbnails", "-f", "sprite", "-f", "gif"]);
    assert_eq!(ran.success()["outputs"].as_array().unwrap().len(), 3);
    let found = cues(&place.path("out/a-thumbnails/thumbnails.vtt"));
    assert_eq!((found.len(), found[0].from, found[0].to), (1, 0, 1000));
    assert!(found[0].file.extension().unwrap() == "jpg" && shown_size(&found[0].file) == [320, 180]);
    let found = cues(&place.path("out/a-sprite/sprite.vtt"));
    assert_eq!((found.len(), found[0].part), (1, Some([0, 0, 160, 90])));
    assert_eq!(probed(&place.path("out/a.gif"), "stream=duration"), "1.000000", "it ends with its source");
}

#[test]
fn animations_have_one_palette_and_the_times_that_are_asked() {
    let place = Place::new();
    let source = source(&place, "3");
    let asked = |format: &str| {
        format!(
            "[[output]]\nformat = \"{format}\"\nfrom = \"0.8s\"\nto = \"1.8s\"\nframe_rate = 5\nwidth = 200\nplays = 2\n"
        )
    };
    let profile = [ENCODED, &asked("gif"), &asked("webp")].concat();
    let ran = run(&place, &source, &profile, "out", &["--segment-time", "0.5"]);
    let result = ran.success();
    assert_eq!(place.names("out"), ["a.gif", "a.mp4", "a.webp"]);
    for output in &result["outputs"].as_array().unwrap()[1..] {
        assert_eq!(
            (&output["video"]["frames"], &output["video"]["height"]),
            (&json!(5), &json!(113)),
            "{output}"
        );
        assert_eq!(output["duration_seconds"], 1.0, "{output}");
    }
    let gif = place.path("out/a.gif");
    let times = probed(&gif, "frame=pts_time,pkt_duration_time");
    let times: Vec<&str> = times.lines().map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(times, ["0.000000", "0.200000", "0.400000", "0.600000", "0.800000"]);
    assert_eq!(probed(&gif, "stream=duration"), "1.000000");
    let shown = "select=between(n\\,20\\,44)*not(mod(n\\,5)),scale=200:113";
    let beside = "select=between(n\\,21\\,45)*not(mod(n-1\\,5)),scale=200:113";
    let (own, other) = (likeness_after(&source, shown, &gif), likeness_after(&source, beside, &gif));
    assert!(own > 24.0 && own > other + 2.0, "{own} dB, and {other} dB of those beside");
    let bytes = fs::read(&gif).unwrap();
    assert_eq!(bytes[10] & 0x87, 0x87, "a palette of 256 colours for all");
    let loops = bytes.windows(11).position(|window| window == b"NETSCAPE2.0").unwrap();
    assert_eq!(bytes[loops + 13], 1, "it is repeated once");
    assert!(fs::read(place.path("out/a.webp")).unwrap().windows(4).any(|window| window == b"ANIM"));
}

#[test]
fn pictures_whose_process_is_killed_are_visible_whole_or_not_at_all() {
    let place = Place::new();
    let source = source(&place, "4");
    let profile = [ENCODED, EACH_SECOND, "[[output]]\nformat = \"gif\"\nwidth = 160\n"].concat();
    let go = |output: &str| {
        let mut command = command(&place, &source, &profile, output, &["--segment-time", "1"]);
        command.stderr(Stdio::null()).stdout(Stdio::piped());
        command
    };
    let begun = Instant::now();
    Ran::of(go("whole").output().unwrap()).success();
    let long = begun.elapsed();
    let wanted = without_attempt(&place.path("whole"));
    for number in 0..4_u32 {
        let output = format!("out{number}");
        let mut child = go(&output).process_group(0).spawn().unwrap();
        std::thread::sleep(long.mul_f64(0.3 + 0.2 * f64::from(number)));
        Command::new("kill").args(["-9", "--", &format!("-{}", child.id())]).status().unwrap();
        child.wait().unwrap();
        let list = place.path(&output).join("a-thumbnails/thumbnails.vtt");
        if list.exists() {
            assert!(
                cues(&list).iter().all(|cue| cue.file.exists()),
                "a list is visible without its pictures"
            );
        }
        Ran::of(go(&output).output().unwrap()).success();
        let found = without_attempt(&place.path(&output));
        assert!(found == wanted, "{:?}", found.keys());
    }
}

#[test]
fn a_cancel_leaves_no_picture() {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::constant(&source, Constant { seconds: "30", size: "640x360", ..Constant::default() });
    let profile =
        [&ENCODED.replace("ultrafast", "slow"), EACH_SECOND, "[[output]]\nformat = \"gif\"\n"].concat();
    let mut running = command(&place, &source, &profile, "out", &["--segment-time", "1"]);
    let running = running.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let call =
        |arguments: &[&str]| place.millrace().args(arguments).args(["--data", "out-data"]).output().unwrap();
    let begun = Instant::now();
    let id = loop {
        let listed = call(&["executions", "list", "--json"]).stdout;
        let listed = String::from_utf8(listed).unwrap();
        let mut all = listed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        if let Some(at_work) = all.find(|execution| execution["segments_done"].as_i64() > Some(0)) {
            break at_work["execution"].as_str().unwrap().to_owned();
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "no segment was ever done");
        std::thread::sleep(Duration::from_millis(20));
    };
    let cancelled = call(&["executions", "cancel", &id, "--reason", "enough"]);
    assert!(cancelled.status.success(), "{}", String::from_utf8_lossy(&cancelled.stderr));
    let ran = Ran::of(running.wait_with_output().unwrap());
    assert_eq!((ran.status, &ran.lines[0]["state"]), (1, &Value::from("cancelled")));
    assert_eq!((place.names("out"), place.names("out-data/work")), (Vec::new(), Vec::new()));
}

#[test]
fn pictures_that_can_not_be_are_refused_with_what_can() {
    let place = Place::new();
    let source = source(&place, "1");
    let tone = place.path("tone.m4a");
    media::tone(&tone);
    let refused = place.run(&[&tone], &["-f", "thumbnails"]);
    assert!(
        refused.failure().contains("video") || refused.failure().contains("picture"),
        "{}",
        refused.failure()
    );
    for (output, said) in [
        ("format = \"thumbnails\"\nevery = \"1s\"\nscenes = 0.1", "set one of every, scenes"),
        ("format = \"thumbnails\"\ncolumns = 3", "has no such key"),
        ("format = \"thumbnails\"\npicture = \"bmp\"", "set jpg, png or webp"),
        ("format = \"thumbnails\"\naudio = \"none\"", "has no such key"),
        ("format = \"gif\"\nfrom = \"2s\"\nto = \"1s\"", "behind from"),
        ("format = \"gif\"\nframe_rate = 99", "pictures a second"),
        ("format = \"mp4\"\nevery = \"1s\"", "has no such key"),
        ("format = \"sprite\"\nwidth = 4000\ncolumns = 100\nrows = 100", "ask for fewer columns"),
    ] {
        let profile = format!("[[output]]\n{output}\n");
        let ran = run(&place, &source, &profile, "out", &[]);
        let all = format!("{}{:?}", ran.stderr, ran.lines);
        assert!(ran.status != 0 && all.contains(said), "{output}: {all}");
    }
    assert_eq!(place.names("out"), [""; 0]);
}
