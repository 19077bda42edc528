//! Each key of profiles at the ends of its range, with each codec: an output that is right, or a refusal with the reason.

use std::path::{Path, PathBuf};

use millrace_formats::{TABLES, codec::Codec};
use millrace_profiles::{IMAGE, KEYS, Profile, ends, profile_with};

use crate::common::{
    Place,
    judge::{decodes, pictures, probed, span_of_sound},
    media::{self, Constant, work::Workshop},
    profiles::logo,
};

/// The most outputs that are made in one go: their encoders share the cores, and each waits for the others.
const MOST: usize = 8;

/// A second of ten pictures, with sound.
fn tiny(place: &Place) -> PathBuf {
    let path = place.path("a.mp4");
    let tiny = Constant { rate: "10", channels: 1, seconds: "1", b_frames: 0, gop: 5, size: "64x64" };
    media::constant(&path, tiny);
    path
}

/// A format that holds the codec.
fn format(codec: &dyn Codec) -> &'static str {
    let mut formats = TABLES.containers.iter();
    formats.find(|container| container.codecs().any(|held| held.name() == codec.name())).unwrap().name
}

/// The lines that set each key of encodings to its ends, each with the path of its key.
fn all_ends(codec: &dyn Codec) -> impl Iterator<Item = (&'static str, String)> {
    let lines = |path: &'static str| ends(path, codec).map(|ends| ends.within).unwrap_or_default();
    KEYS.iter().flat_map(move |key| lines(key.path).into_iter().map(|line| (key.path, line)))
}

/// Returns why a profile of one output is refused for such pictures; `None` if it is not.
fn refusal(text: &str, shop: &Workshop, source: &Path) -> Option<String> {
    let facts = shop.inspect(source, 1.0).facts;
    let profile = Profile::from_toml(text).unwrap();
    let wanted = profile.wanted(&TABLES).unwrap().remove(0);
    let picture = facts.video.unwrap().picture;
    if let Some(reason) = wanted.picture_refusal(&picture) {
        return Some(reason);
    }
    let settings = wanted.video_settings(&picture)?;
    TABLES.codec(&settings.codec).unwrap().refusal(&settings)
}

/// A profile of an output for each of these lines.
fn joined(codec: &dyn Codec, lines: &[String]) -> String {
    let kind = if codec.video().is_some() { "video" } else { "audio" };
    let other = if codec.video().is_some() { "audio" } else { "video" };
    let (name, format) = (codec.name(), format(codec));
    let one = |(number, line): (usize, &String)| {
        let named = if line.starts_with("codec") { String::new() } else { format!("codec = \"{name}\"\n") };
        format!(
            "[{kind}.n{number}]\n{named}{line}\n[[output]]\nformat = \"{format}\"\n{kind} = \"n{number}\"\n\
             {other} = \"none\"\nname = \"{{stem}}-{number}.{{ext}}\"\n"
        )
    };
    lines.iter().enumerate().map(one).collect()
}

/// Holds an output to what its line asks for.
fn check(output: &Path, line: &str, is_video: bool) {
    decodes(output);
    if !is_video {
        assert!((span_of_sound(output) - 1.0).abs() < 0.3, "{line}: {} s", span_of_sound(output));
        return;
    }
    let count = pictures(output).len();
    let rate = line.strip_prefix("frame_rate = ").and_then(|rate| rate.parse::<usize>().ok());
    let most = line.contains("most = 1 ");
    let expected = if most { 1 } else { rate.unwrap_or(10) };
    // The last picture lasts as long as others of the source: how many are due in it depends on its clock.
    assert!(count.abs_diff(expected) <= expected / 10, "{line}: {count} pictures, not {expected}");
    let size = probed(output, "stream=width,height");
    if let Some(pad) = line.strip_prefix("pad = ") {
        assert_eq!(format!("\"{}\"", size.replace(',', "x")), pad);
    }
}

#[test]
fn each_key_at_its_ends_makes_an_output_or_is_refused_with_the_reason() {
    make_ends(&["h264", "aac"].map(|name| TABLES.codec(name).unwrap()));
}

/// `make profiles`.
#[test]
#[ignore = "takes minutes"]
fn each_key_of_each_codec_at_its_ends_makes_an_output_or_is_refused_with_the_reason() {
    let is_encoding = |codec: &&&dyn Codec| codec.video().is_some() || codec.audio().is_some();
    make_ends(&TABLES.codecs.iter().filter(is_encoding).copied().collect::<Vec<_>>());
}

fn make_ends(codecs: &[&'static dyn Codec]) {
    let place = Place::new();
    let shop = Workshop::new();
    let source = tiny(&place);
    let image = place.path("logo.png");
    logo(&image);
    for codec in codecs {
        let is_video = codec.video().is_some();
        let (mut possible, mut refused) = (Vec::new(), Vec::new());
        // A part and a limit are of the whole profile, frames of 8192 a side take a gigabyte, an average so low may not be had, and
        // the source has no text.
        let left_out = ["pad = \"8192x8192\"", "bitrate = 10000", "max_bitrate = 10000"];
        let of_encodings = |(path, line): &(&str, String)| {
            let is_left_out = is_video && left_out.contains(&line.as_str());
            !(is_left_out || path.starts_with("source") || path.ends_with("subtitles"))
        };
        for (path, line) in all_ends(*codec).filter(of_encodings) {
            let line = line.replace(IMAGE, &format!("file://{}", image.display()));
            let text = profile_with(path, &line, *codec, format(*codec));
            match refusal(&text, &shop, &source).filter(|_| is_video) {
                Some(reason) => refused.push((text, reason)),
                None => possible.push(line),
            }
        }
        assert!(possible.len() > 8, "{}: {possible:?}", codec.name());
        for lines in possible.chunks(MOST) {
            let place = Place::new();
            let profile = place.write("p.toml", joined(*codec, lines));
            place
                .run(&[&source], &["--profile", profile.to_str().unwrap(), "--segment-time", "0.5"])
                .success();
            for (number, line) in lines.iter().enumerate() {
                check(&place.path(&format!("out/a-{number}.{}", format(*codec))), line, is_video);
            }
        }
        // One of each reason.
        refused.dedup_by(|(_, a), (_, b)| a == b);
        for (text, reason) in &refused {
            let place = Place::new();
            let profile = place.write("p.toml", text);
            let ran = place.run(&[&source], &["--profile", profile.to_str().unwrap()]);
            assert!(ran.failure().contains(reason.as_str()), "{text}: {}", ran.failure());
            assert_eq!(place.names("out"), [""; 0]);
        }
    }
}

#[test]
fn a_part_and_a_limit_at_their_ends_make_an_output_or_are_refused_with_the_reason() {
    let place = Place::new();
    let source = tiny(&place);
    let h264 = TABLES.codec("h264").unwrap();
    for (path, line) in all_ends(h264).filter(|(path, _)| path.starts_with("source")) {
        let place = Place::new();
        let profile = place.write("p.toml", profile_with(path, &line, h264, "mp4"));
        let ran = place.run(&[&source], &["--profile", profile.to_str().unwrap(), "--segment-time", "0.5"]);
        if line.contains("2x2") {
            assert!(ran.failure().contains("64x64"), "{}", ran.failure());
            continue;
        }
        ran.success();
        let output = place.path("out/a.mp4");
        decodes(&output);
        let expected = if line.contains("to = 0.000001") { 1 } else { 10 };
        assert_eq!(pictures(&output).len(), expected, "{line}");
    }
}
