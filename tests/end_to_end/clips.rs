//! Clips: a part of a source, from any picture to any picture. Packets are copied, and few pictures are encoded.

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::common::{
    Place,
    judge::{decodes, likeness_after, pictures, probed, shown_size},
    media::{self, Constant, ffmpeg},
};

/// A call: its exit status, stdout and stderr.
fn call(place: &Place, arguments: &[&str]) -> (i32, String, String) {
    let output = place.millrace().args(arguments).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// Makes a clip, and returns what the command says of it.
fn clip(place: &Place, source: &str, output: &str, flags: &[&str]) -> Value {
    let all = [&["clip", source, "--output", output, "--json", "--overwrite"], flags].concat();
    let (status, stdout, stderr) = call(place, &all);
    assert_eq!(status, 0, "{source} {flags:?}: {stderr}");
    serde_json::from_str::<Value>(&stdout).unwrap()["facts"].clone()
}

/// Checksums of all packets of pictures, in decoding order.
fn packets(path: &Path) -> Vec<String> {
    let input = path.to_str().unwrap();
    let arguments = ["-v", "error", "-i", input, "-map", "0:v:0", "-c", "copy", "-f", "framemd5", "-"];
    let output = Command::new("ffmpeg").args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect()
}

/// The first channel of the sound, behind a filter.
fn samples(path: &Path, filter: &str) -> Vec<i16> {
    let input = path.to_str().unwrap();
    let arguments =
        ["-v", "error", "-i", input, "-map", "0:a:0", "-af", filter, "-ac", "1", "-f", "s16le", "-"];
    let output = Command::new("ffmpeg").args(arguments).output().unwrap();
    output.stdout.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// Holds a clip to the pictures of its source from one number up to another: each is there, at its time, without a word of ffmpeg's,
/// and its packet is the source's but for those that were encoded, which look like it.
fn holds(source: &Path, clip: &Path, facts: &Value, (first, end): (usize, usize)) -> u64 {
    let name = clip.display();
    decodes(clip);
    let (of_source, of_clip) = (pictures(source), pictures(clip));
    let wanted: Vec<f64> = of_source[first..end].iter().map(|time| time - of_source[first]).collect();
    let found: Vec<f64> = of_clip.iter().map(|time| time - of_clip[0]).collect();
    assert_eq!(found.len(), wanted.len(), "{name}: {facts}");
    for (number, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
        assert!((found - wanted).abs() < 0.0015, "{name}: picture {number} at {found} instead of {wanted}");
    }
    assert_eq!(facts["pictures"].as_u64(), Some((end - first) as u64), "{name}: {facts}");
    let own = likeness_after(source, &format!("select=between(n\\,{first}\\,{})", end - 1), clip);
    assert!(own >= 40.0, "{name}: {own} dB");
    let encoded = facts["encoded"].as_u64().unwrap();
    // Units of a transport stream are framed otherwise.
    if clip.extension().is_some_and(|extension| extension != "ts") {
        let known: BTreeSet<String> = packets(source).into_iter().collect();
        let others = packets(clip).iter().filter(|packet| !known.contains(*packet)).count();
        assert_eq!(others as u64, encoded, "{name}: {facts}");
    }
    encoded
}

/// Holds the sound of a clip to its source's, sample by sample, as far as a lossy decoder gives the same ones. ffmpeg decodes the last
/// packet whole, whatever an edit list says of its end.
fn sounds_like(source: &Path, clip: &Path, (from, to): (f64, f64)) {
    let found = samples(clip, "anull");
    let wanted = samples(source, &format!("atrim=start={from}:end={to}"));
    let more = found.len().wrapping_sub(wanted.len());
    assert!(more <= 1024, "{}: {} samples, {} expected", clip.display(), found.len(), wanted.len());
    let length = probed(clip, "stream=codec_type,duration");
    let stated = length.lines().find_map(|line| line.strip_prefix("audio,")?.parse::<f64>().ok()).unwrap();
    assert!((stated - (to - from)).abs() < 0.0001, "{}: {stated} s", clip.display());
    let power = |all: &mut dyn Iterator<Item = f64>| all.map(|value| value * value).sum::<f64>();
    let all = power(&mut wanted.iter().map(|value| f64::from(*value)));
    let error = power(&mut found.iter().zip(&wanted).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    assert!(error < 0.01 * all, "{}: {error} of {all}", clip.display());
}

#[test]
fn a_clip_between_keyframes_has_each_picture_and_sample_and_copies_what_it_can() {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::constant(&source, Constant { seconds: "8", gop: 50, ..Constant::default() });
    // 3.2 s is picture 80, and the next keyframe 100.
    let facts = clip(&place, "a.mp4", "c.mp4", &["--from", "3.2", "--to", "7"]);
    let encoded = holds(&source, &place.path("c.mp4"), &facts, (80, 175));
    assert!((20..30).contains(&encoded), "{facts}");
    assert_eq!((facts["from"].as_f64(), facts["to"].as_f64()), (Some(3.2), Some(7.0)));
    sounds_like(&source, &place.path("c.mp4"), (3.2, 7.0));
    assert!(
        std::fs::metadata(place.path("c.mp4")).unwrap().len() < 2 << 20,
        "its index has no more room than it needs"
    );
    // Every end, whatever pictures are decoded in another order there.
    for end in 110..118_usize {
        let to = format!("{:.3}", end as f64 * 0.04);
        let facts = clip(&place, "a.mp4", "e.mp4", &["--from", "4", "--to", &to]);
        let encoded = holds(&source, &place.path("e.mp4"), &facts, (100, end));
        assert!(encoded <= 3, "up to {end}: {facts}");
        sounds_like(&source, &place.path("e.mp4"), (4.0, end as f64 * 0.04));
    }
    // At a keyframe all is copied, and within one group all is encoded.
    let facts = clip(&place, "a.mp4", "k.mp4", &["--from", "2", "--to", "6"]);
    assert_eq!(holds(&source, &place.path("k.mp4"), &facts, (50, 150)), 0);
    let facts = clip(&place, "a.mp4", "g.mp4", &["--from", "2.4", "--to", "3.8"]);
    assert_eq!(holds(&source, &place.path("g.mp4"), &facts, (60, 95)), 35);
    let facts = clip(&place, "a.mp4", "w.mp4", &[]);
    assert_eq!(holds(&source, &place.path("w.mp4"), &facts, (0, 200)), 0);
}

#[test]
fn clips_of_each_container_are_made_in_each() {
    let place = Place::new();
    media::constant(&place.path("a.mp4"), Constant { seconds: "8", gop: 50, ..Constant::default() });
    let mp4 = place.path("a.mp4");
    for name in ["a.mov", "a.mkv", "a.ts", "a.flv"] {
        ffmpeg(&["-i", mp4.to_str().unwrap(), "-c", "copy", place.path(name).to_str().unwrap()]);
    }
    for source in ["a.mp4", "a.mov", "a.mkv", "a.ts", "a.flv"] {
        for output in ["c.mp4", "c.mov", "c.mkv", "c.ts", "c.flv"] {
            // Matroska's and a stream's zero is that of the sound, which begins before the pictures.
            let zero = pictures(&place.path(source))[0];
            let starts = if source == "a.mp4" || source == "a.mov" { 0.0 } else { zero.min(0.1) };
            let (from, to) = (format!("{:.3}", 3.22 + starts), format!("{:.3}", 6.5 + starts));
            let facts = clip(&place, source, output, &["--from", &from, "--to", &to]);
            let (clip, source) = (place.path(output), place.path(source));
            decodes(&clip);
            let count = pictures(&clip).len();
            assert!((82..=84).contains(&count), "{} to {output}: {count}, {facts}", source.display());
            let encoded = facts["encoded"].as_u64().unwrap();
            assert!((18..26).contains(&encoded), "{} to {output}: {facts}", source.display());
        }
    }
}

#[test]
fn open_groups_begin_only_where_nothing_before_is_needed() {
    let place = Place::new();
    let source = place.path("a.mp4");
    let graph = "testsrc2=size=320x180:rate=25:duration=12";
    let x264 = "open-gop=1:keyint=25:min-keyint=25:scenecut=0:bframes=3:b-pyramid=normal";
    let line = ["-f", "lavfi", "-i", graph, "-c:v", "libx264", "-preset", "veryfast", "-x264-params", x264];
    ffmpeg(
        &[
            &line[..],
            &["-force_key_frames", "4,8", "-forced-idr", "1", "-pix_fmt", "yuv420p"],
            &[source.to_str().unwrap()],
        ]
        .concat(),
    );
    // From an open group on, up to the next picture that closes one, all is encoded.
    for (from, to, pictures) in [("3", "7.24", (75, 181)), ("3.48", "10", (87, 250)), ("2", "2.6", (50, 65))]
    {
        let facts = clip(&place, "a.mp4", "c.mp4", &["--from", from, "--to", to]);
        holds(&source, &place.path("c.mp4"), &facts, pictures);
        clip(&place, "a.mp4", "c.mkv", &["--from", from, "--to", to]);
        decodes(&place.path("c.mkv"));
    }
}

#[test]
fn pictures_of_a_varying_rate_keep_their_times() {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::variable(&source);
    let times = pictures(&source);
    for (first, end) in [(13, 70), (45, 66), (61, times.len())] {
        let (from, to) =
            (format!("{:.4}", times[first] + 0.001), times.get(end).map(|to| format!("{to:.4}")));
        let mut flags = vec!["--from", from.as_str()];
        flags.extend(to.as_deref().map(|to| ["--to", to]).into_iter().flatten());
        for name in ["c.mp4", "c.mkv"] {
            let facts = clip(&place, "a.mp4", name, &flags);
            holds(&source, &place.path(name), &facts, (first, end));
        }
    }
}

#[test]
fn turned_pictures_stay_turned_and_high_profiles_stay_what_they_are() {
    let place = Place::new();
    media::turned(&place.path("turned.mp4"));
    let facts = clip(&place, "turned.mp4", "t.mp4", &["--from", "0.52", "--to", "2"]);
    assert_eq!(shown_size(&place.path("t.mp4")), [180, 320]);
    assert_eq!(facts["pictures"].as_u64(), Some(37), "{facts}");
    for (name, format, profile) in [
        ("a.mp4", "yuv420p", "baseline"),
        ("b.mp4", "yuv420p", "main"),
        ("c.mkv", "yuv422p10le", "high422"),
        ("d.mp4", "yuvj420p", "high"),
    ] {
        let graph = "testsrc2=size=320x180:rate=25:duration=4";
        let path = place.path(name);
        let line = ["-f", "lavfi", "-i", graph, "-c:v", "libx264", "-preset", "veryfast", "-g", "40"];
        ffmpeg(&[&line[..], &["-pix_fmt", format, "-profile:v", profile, path.to_str().unwrap()]].concat());
        let facts = clip(&place, name, "o.mp4", &["--from", "1.2", "--to", "3.6"]);
        holds(&path, &place.path("o.mp4"), &facts, (30, 90));
    }
}

#[test]
fn sound_that_begins_late_or_ends_early_is_where_it_was() {
    let place = Place::new();
    let (video, sound, source) = (place.path("v.mp4"), place.path("s.m4a"), place.path("a.mp4"));
    media::constant(&video, Constant { seconds: "8", gop: 50, channels: 0, ..Constant::default() });
    let tone = "sine=frequency=440:sample_rate=48000:duration=2";
    ffmpeg(&["-f", "lavfi", "-i", tone, "-c:a", "aac", sound.to_str().unwrap()]);
    let both = ["-i", video.to_str().unwrap(), "-itsoffset", "5", "-i", sound.to_str().unwrap()];
    ffmpeg(&[&both[..], &["-c", "copy", source.to_str().unwrap()]].concat());
    let facts = clip(&place, "a.mp4", "c.mp4", &["--from", "3.2", "--to", "6"]);
    holds(&source, &place.path("c.mp4"), &facts, (80, 150));
    let starts = |path: &Path| {
        let arguments =
            ["-v", "error", "-select_streams", "a", "-show_entries", "stream=start_time", "-of", "csv=p=0"];
        let output = Command::new("ffprobe").args(arguments).arg(path).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse::<f64>().unwrap()
    };
    let (of_source, of_clip) = (starts(&source), starts(&place.path("c.mp4")));
    assert!((of_clip - (of_source - 3.2)).abs() < 0.001, "{of_clip} instead of {of_source} less 3.2 s");
    let facts = clip(&place, "a.mp4", "d.mp4", &["--from", "6.48"]);
    holds(&source, &place.path("d.mp4"), &facts, (162, 200));
    let facts = clip(&place, "a.mp4", "n.mp4", &["--from", "1", "--to", "3"]);
    holds(&source, &place.path("n.mp4"), &facts, (25, 75));
}

#[test]
fn codecs_that_are_not_joined_begin_at_a_keyframe_and_say_what_is_behind_the_end() {
    let place = Place::new();
    let source = place.path("a.mp4");
    let graph = "testsrc2=size=320x180:rate=25:duration=6";
    let x265 = "log-level=error:keyint=50:min-keyint=50:scenecut=0:open-gop=0:bframes=3";
    let line = ["-f", "lavfi", "-i", graph, "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", x265];
    ffmpeg(&[&line[..], &["-pix_fmt", "yuv420p", source.to_str().unwrap()]].concat());
    let (status, _, stderr) = call(&place, &["clip", "a.mp4", "--output", "c.mp4", "--from", "3"]);
    assert!(status == 1 && stderr.contains("is at 2.000 s, and the one behind at 4.000 s"), "{stderr}");
    assert!(stderr.contains("hevc") && stderr.contains("--from-keyframe"), "{stderr}");
    let facts = clip(&place, "a.mp4", "c.mp4", &["--from", "2", "--to", "4"]);
    assert_eq!(holds(&source, &place.path("c.mp4"), &facts, (50, 100)), 0);
    let facts = clip(&place, "a.mp4", "c.mp4", &["--from", "2", "--to", "3.08"]);
    decodes(&place.path("c.mp4"));
    let remarks = facts["remarks"].as_array().unwrap();
    assert!(remarks.is_empty() || remarks[0].as_str().unwrap().contains("behind the end"), "{facts}");
    // Of a codec whose pictures all stand alone, each is a keyframe.
    let every = place.path("m.mov");
    ffmpeg(&["-f", "lavfi", "-i", graph, "-c:v", "mjpeg", "-q:v", "3", every.to_str().unwrap()]);
    let facts = clip(&place, "m.mov", "m2.mov", &["--from", "3.2", "--to", "4.04"]);
    assert_eq!(holds(&every, &place.path("m2.mov"), &facts, (80, 101)), 0);
}

#[test]
fn from_a_keyframe_nothing_is_encoded() {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::constant(&source, Constant { seconds: "6", gop: 50, ..Constant::default() });
    for name in ["c.mp4", "c.mkv", "c.mov", "c.ts"] {
        let facts = clip(&place, "a.mp4", name, &["--from", "2", "--to", "4", "--from-keyframe"]);
        assert_eq!(
            (facts["from"].as_f64(), facts["encoded"].as_u64()),
            (Some(2.0), Some(0)),
            "{name}: {facts}"
        );
        let likeness = likeness_after(&source, "select=between(n\\,50\\,97)", &place.path(name));
        assert!(likeness > 90.0, "{name}: {likeness} dB");
    }
    let facts = clip(&place, "a.mp4", "d.mp4", &["--from", "3", "--from-keyframe"]);
    assert_eq!((facts["from"].as_f64(), facts["pictures"].as_u64()), (Some(2.0), Some(100)), "{facts}");
}

#[test]
fn what_can_not_be_is_refused_with_what_can_and_leaves_nothing() {
    let place = Place::new();
    media::constant(&place.path("a.mp4"), Constant { seconds: "6", ..Constant::default() });
    place.write("there.mp4", "a file of mine");
    for (arguments, status, said) in [
        (&["clip", "a.mp4", "--output", "x.avi"][..], 2, ".mp4, .flv"),
        (&["clip", "a.mp4", "--output", "a.mp4"], 2, "over its source"),
        (&["clip", "a.mp4", "--output", "x.mp4", "--from", "7"], 1, "it is 6.0"),
        (&["clip", "a.mp4", "--output", "x.mp4", "--from", "2", "--to", "1"], 2, "ends before it begins"),
        (&["clip", "a.mp4", "--output", "there.mp4"], 1, "--overwrite"),
    ] {
        let (found, _, stderr) = call(&place, arguments);
        assert!(found == status && stderr.contains(said), "{arguments:?}: {found}, {stderr}");
    }
    assert_eq!(place.names(""), ["a.mp4", "there.mp4"]);
}
