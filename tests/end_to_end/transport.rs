//! Transport streams: pictures, times and sound of the source, and what a receiver needs wherever it begins.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::common::{
    Place,
    judge::{self, judge, probed},
    media::{
        self, Constant, ffmpeg, kinds,
        planted::{Output, Planter},
        scenes,
    },
};

/// The bytes of a packet.
const PACKET: usize = 188;
/// The length of a tick, in seconds.
const TICK: f64 = 1.0 / 90_000.0;

fn made(place: &Place, source: &Path, segment: &str, more: &[&str]) -> PathBuf {
    let folder = format!("out-{segment}");
    let mut run = place.millrace();
    run.args(["run", "--data", "data", "--output", &folder, "--json", "--segment-time", segment]);
    crate::common::Ran::of(run.args(more).arg(source).output().unwrap()).success();
    let stem = source.file_stem().unwrap().to_str().unwrap();
    place.path(&format!("{folder}/{stem}.ts"))
}

#[test]
fn many_segments_have_the_pictures_of_one_at_the_same_times() {
    for (name, constant) in [
        ("film.mp4", Constant { rate: "24000/1001", ..Constant::default() }),
        ("still.mp4", Constant { rate: "30", channels: 0, ..Constant::default() }),
        ("plain.mp4", Constant { b_frames: 0, channels: 1, ..Constant::default() }),
    ] {
        let place = Place::new();
        let source = place.path(name);
        media::constant(&source, constant);
        let [many, one] = ["1", "100"].map(|segment| made(&place, &source, segment, &["-f", "ts"]));
        judge(&source, &many);
        let (a, b) = (judge::pictures(&many), judge::pictures(&one));
        assert_eq!(a.len(), b.len(), "{name}");
        let off = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off < 0.5 * TICK, "{name}: {off}");
    }
}

#[test]
fn a_variable_frame_rate_stays_variable() {
    let place = Place::new();
    let source = place.path("v.mp4");
    media::variable(&source);
    judge(&source, &made(&place, &source, "0.7", &["-f", "ts"]));
}

const OTHER: &str = r#"
[video.main]
codec = "hevc"
preset = "ultrafast"
[audio.main]
codec = "ac3"
[[output]]
format = "ts"
"#;

/// The offsets of the packets in which keyframes begin.
fn keyframes(path: &Path) -> Vec<usize> {
    let entries = ["-select_streams", "v", "-show_entries", "packet=pos,flags", "-of", "csv=p=0"];
    let output = Command::new("ffprobe").args(["-v", "error"]).args(entries).arg(path).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let keys = text.lines().filter_map(|line| line.split_once(",K"));
    keys.map(|(at, _)| at.parse().unwrap()).collect()
}

/// Every receiver has the tables of the program sooner or later; here they are put in front of each keyframe.
#[test]
fn decoding_begins_at_each_keyframe_without_a_word() {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::clip(&source);
    let other = place.write("other.toml", OTHER);
    for (codec, more) in [("h264", ["-f", "ts"]), ("hevc", ["--profile", other.to_str().unwrap()])] {
        let output = made(&place, &source, if codec == "h264" { "1" } else { "0.8" }, &more);
        assert_eq!(judge::field(&output, "v", "codec_name"), codec);
        let bytes = fs::read(&output).unwrap();
        let pid = |packet: &[u8]| u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        let is_table = |packet: &&[u8]| pid(packet) == 0 || pid(packet) == 0x1000;
        let tables: Vec<u8> = bytes.chunks(PACKET).filter(is_table).take(2).flatten().copied().collect();
        let (all, keyframes) = (judge::pictures(&output).len(), keyframes(&output));
        assert!(keyframes.len() >= 3, "{codec}: {} keyframes", keyframes.len());
        for (number, at) in keyframes.iter().enumerate() {
            let part = place.write("part.ts", [&tables, &bytes[*at..]].concat());
            let ran = Command::new("ffmpeg")
                .args(["-v", "warning", "-xerror", "-i", part.to_str().unwrap(), "-map", "0:v"])
                .args(["-fps_mode", "passthrough", "-f", "framemd5", "-"])
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&ran.stderr);
            assert!(ran.status.success() && said.is_empty(), "{codec}, keyframe {number}: {said}");
            let text = String::from_utf8(ran.stdout).unwrap();
            let pictures = text.lines().filter(|line| !line.starts_with('#')).count();
            if number == 0 {
                assert_eq!(pictures, all, "{codec}");
            } else {
                assert!(pictures < all && pictures > 0, "{codec}, keyframe {number}: {pictures} of {all}");
            }
        }
        judge(&source, &output);
    }
}

#[test]
fn tracks_keep_their_languages_and_text_is_left_out() {
    let place = Place::new();
    let source = place.path("a.mkv");
    kinds::many_tracks(&source);
    let output = made(&place, &source, "1", &["-f", "ts"]);
    let mut languages: Vec<String> =
        probed(&output, "stream_tags=language").lines().map(str::to_owned).collect();
    languages.sort_unstable();
    languages.dedup();
    assert_eq!(languages, ["deu", "eng", "fra"]);
    let annotated = place.path("b.mkv");
    kinds::annotated(&annotated);
    let output = made(&place, &annotated, "1", &["-f", "ts"]);
    assert!(!judge::has(&output, "s") && judge::has(&output, "v") && judge::has(&output, "a"));
}

#[test]
fn an_output_is_known_again_by_its_mark_and_made_of_again() {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::clip(&source);
    let made = |data: &str, inputs: &Path, format: &str| {
        let mut run = place.millrace();
        run.args(["run", "--data", data, "--output", "out", "--json", "-f", format]);
        crate::common::Ran::of(run.arg(inputs).output().unwrap())
    };
    made("data", &source, "ts").success();
    let output = place.path("out/a.ts");
    // Another log knows nothing of the first execution: the file itself says that it is of this source, and may be replaced.
    made("other", &source, "ts").success();
    let ours = fs::read(&output).unwrap();
    let theirs: Vec<u8> =
        ours.chunks(PACKET).skip_while(|packet| packet[2] == 0x11).flatten().copied().collect();
    assert!(theirs.len() < ours.len(), "it begins with the table that has the mark");
    let mut unmarked = theirs;
    while let Some(at) = unmarked.windows(9).position(|word| word == b"millrace ") {
        unmarked[at] = b'M';
    }
    fs::write(&output, unmarked).unwrap();
    let refused = made("third", &source, "ts");
    assert!(refused.failure().contains("--overwrite"), "{}", refused.failure());
    fs::write(&output, ours).unwrap();
    made("data", &output, "mp4").success();
    judge(&output, &place.path("out/a.mp4"));
    let verified = place.millrace().arg("verify").args([&source, &output]).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

#[test]
fn what_a_stream_states_wrongly_is_refused_by_its_name() {
    let mut planter = Planter::new(scenes::film(4));
    let mut lie = |what: &str, words: &str, change: fn(&mut Vec<u8>)| {
        planter.in_fact(what, words, &Output::ts(change));
    };
    /// The offset of a table of programs in the middle of the file.
    fn table(file: &[u8]) -> usize {
        let is_table = |packet: &[u8]| packet[1] & 0x1f == 0 && packet[2] == 0;
        let places: Vec<usize> =
            (0..file.len()).step_by(PACKET).filter(|at| is_table(&file[*at..])).collect();
        places[places.len() / 2]
    }
    lie("a packet that is missing", "of identifier 0", |file| {
        let at = table(file);
        drop(file.drain(at..at + PACKET));
    });
    lie("a packet twice", "of identifier 0", |file| {
        let at = table(file);
        let packet = file[at..at + PACKET].to_vec();
        file.splice(at..at, packet);
    });
    lie("another table", "a table that changes", |file| {
        let at = table(file);
        file[at + 13] ^= 1;
    });
    planter.end(3);
}

#[test]
fn each_channel_of_a_layout_that_a_stream_cannot_state_has_its_place_in_a_larger_one() {
    let place = Place::new();
    let source = place.path("a.mkv");
    let tones = [300, 500, 700, 900].map(|hertz| format!("0.2*sin({hertz}*2*PI*t)")).join("|");
    let sound = format!("aevalsrc={tones}:s=48000:c=quad:d=3");
    ffmpeg(&["-f", "lavfi", "-i", &sound, "-c:a", "flac", source.to_str().unwrap()]);
    let output = made(&place, &source, "1", &["-f", "ts"]);
    assert_eq!(judge::field(&output, "a", "channel_layout"), "5.0");
    assert_eq!(judge::sound_of_channel(&output, 2).iter().filter(|sample| sample.abs() > 0.01).count(), 0);
    // Crossings of zero in a second: left and right, and both behind.
    for (channel, hertz) in [(0, 300), (1, 500), (3, 700), (4, 900)] {
        let samples = &judge::sound_of_channel(&output, channel)[48_000..96_000];
        let crossings = samples.windows(2).filter(|pair| pair[0] < 0.0 && pair[1] >= 0.0).count();
        assert!(crossings.abs_diff(hertz) <= 3, "channel {channel}: {crossings} Hz");
    }
}
