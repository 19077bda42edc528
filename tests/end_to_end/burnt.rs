//! Texts that are laid over pictures: watermarks of text, and subtitles of a file or of a track; in segments as in one piece.

use std::path::{Path, PathBuf};

use crate::common::{
    Place,
    judge::{brightest, likeness_after, pictures, probed},
    media,
};

/// From when to when subtitles are shown, in seconds. One begins and ends within segments of a second, one lasts for several.
const SHOWN: [(f64, f64); 3] = [(0.5, 0.8), (1.6, 3.4), (4.2, 4.6)];
const SUBRIP: &str = "1\n00:00:00,500 --> 00:00:00,800\n<i>Grüße</i>\n\n2\n00:00:01,600 --> 00:00:03,400\nzwei\nZeilen\n\n\
                      3\n00:00:04,200 --> 00:00:04,600\nÄÖÜ\n";

/// Five seconds of dark pictures that change, with these tracks of subtitles, each in its language and codec.
fn source(path: &Path, languages: &[&str], codec: &str) {
    let texts = path.with_extension("srt");
    std::fs::write(&texts, SUBRIP).unwrap();
    let graph = "testsrc2=size=320x180:rate=25:duration=5,lutyuv=y=16+val/8,format=yuv420p";
    let mut arguments: Vec<String> = ["-f", "lavfi", "-i", graph].map(str::to_owned).to_vec();
    for _ in languages {
        arguments.extend(["-i".into(), texts.display().to_string()]);
    }
    arguments.extend(["-map".into(), "0".into()]);
    for (i, language) in languages.iter().enumerate() {
        let track = i + 1;
        arguments.extend(["-map".into(), track.to_string()]);
        arguments.extend([format!("-metadata:s:s:{i}"), format!("language={language}")]);
    }
    arguments.extend("-c:v libx264 -preset ultrafast -g 10 -bf 2 -c:s".split(' ').map(str::to_owned));
    arguments.extend([codec.to_owned(), path.display().to_string()]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    media::ffmpeg(&arguments);
    std::fs::remove_file(texts).unwrap();
}

/// Makes an mp4 of a source by a profile with these keys, in segments of this length.
fn make(place: &Place, source: &Path, keys: &str, segment_time: &str) -> PathBuf {
    let text = format!(
        "[video.main]\ncodec = \"h264\"\nquality = 10\npreset = \"veryfast\"\n{keys}\n[[output]]\nformat = \"mp4\"\nname = \"{{stem}}-{segment_time}.mp4\""
    );
    let profile = place.write("ours.toml", text);
    let arguments = ["--profile", profile.to_str().unwrap(), "--segment-time", segment_time];
    place.run(&[source], &arguments).success();
    let stem = source.file_stem().unwrap().to_str().unwrap();
    place.path(&format!("out/{stem}-{segment_time}.mp4"))
}

/// Holds that a text is in this part of each picture of a time that is in one of these, and in no other.
fn hold_shown(path: &Path, part: &str, shown: &[(f64, f64)]) {
    for (time, luma) in brightest(path, part) {
        let is_shown = shown.iter().any(|(from, to)| *from <= time + 1e-3 && time + 1e-3 < *to);
        assert_eq!(luma > 150.0, is_shown, "{}: {luma} at {time} s in {part}", path.display());
    }
}

/// Makes it in short segments and in one, and holds both to each other and to the times of the texts.
fn hold(source: &Path, keys: &str, shown: &[(f64, f64)]) -> PathBuf {
    let place = Place::new();
    let [segments, whole] = ["1", "600"].map(|segment_time| make(&place, source, keys, segment_time));
    assert_eq!(pictures(&segments), pictures(&whole));
    // Both are encoded, so that they differ by the encoder's own noise.
    let alike = likeness_after(&whole, "null", &segments);
    assert!(alike >= 40.0, "{keys}: {alike} dB between segments and one piece");
    hold_shown(&segments, "crop=iw:ih/3:0:2*ih/3", shown);
    hold_shown(&segments, "crop=iw:ih/3:0:0", &[]);
    let kept = source.with_file_name("made.mp4");
    std::fs::copy(segments, &kept).unwrap();
    kept
}

#[test]
fn subtitles_of_a_file_are_shown_as_ffmpeg_shows_them() {
    let place = Place::new();
    let (video, texts) = (place.path("a.mp4"), place.write("subs.srt", SUBRIP));
    source(&video, &[], "mov_text");
    let keys = format!("subtitles = {{ file = \"{}\" }}", texts.display());
    let made = hold(&video, &keys, &SHOWN);
    assert!(!probed(&made, "stream=codec_name").contains("mov_text"));
    let by_ffmpeg = place.path("b.mp4");
    let filter = format!("subtitles={}", texts.display());
    let arguments =
        ["-i", video.to_str().unwrap(), "-vf", &filter, "-crf", "10", by_ffmpeg.to_str().unwrap()];
    media::ffmpeg(&arguments);
    hold_shown(&by_ffmpeg, "crop=iw:ih/3:0:2*ih/3", &SHOWN);
    // Outside of the texts, the pictures are those of the source.
    let alike = likeness_after(&video, "crop=iw:ih/3:0:0", &cropped(&place, &made, "crop=iw:ih/3:0:0"));
    assert!(alike >= 38.0, "{alike} dB above the texts");
}

/// What is made, behind this filter of ffmpeg's.
fn cropped(place: &Place, path: &Path, filter: &str) -> PathBuf {
    let made = place.path("cropped.mkv");
    media::ffmpeg(&["-i", path.to_str().unwrap(), "-vf", filter, "-c:v", "ffv1", made.to_str().unwrap()]);
    made
}

#[test]
fn a_text_track_of_an_mp4_is_burnt_in_and_others_are_kept() {
    let place = Place::new();
    let video = place.path("a.mp4");
    source(&video, &["eng", "deu"], "mov_text");
    let made = hold(&video, "subtitles = { burn = \"deu\" }", &SHOWN);
    let tracks = probed(&made, "stream=codec_name:stream_tags=language");
    assert!(tracks.contains("mov_text,eng") && !tracks.contains("deu"), "{tracks}");
}

#[test]
fn a_text_track_of_matroska_is_burnt_in() {
    let place = Place::new();
    let video = place.path("a.mkv");
    source(&video, &["eng"], "srt");
    let made = hold(&video, "subtitles = \"burn\"", &SHOWN);
    assert!(!probed(&made, "stream=codec_name").contains("mov_text"));
}

#[test]
fn times_of_subtitles_are_those_of_the_source_and_of_the_pictures_that_are_made() {
    let place = Place::new();
    let video = place.path("a.mp4");
    source(&video, &["eng"], "mov_text");
    let part = "\n[source]\ntrim = { from = \"2s\" }";
    let shown = [(0.0, 1.4), (2.2, 2.6)];
    hold(
        &video,
        &format!("subtitles = \"burn\"\nframe_rate = 50\npad = \"400x180\"\ncrop = {{ left = 20 }}{part}"),
        &shown,
    );
    let texts = place
        .write("subs.vtt", "WEBVTT\n\n00:01.600 --> 00:03.400\nzwei\nZeilen\n\n00:04.200 --> 00:04.600\nb\n");
    hold(&video, &format!("subtitles = {{ file = \"{}\" }}{part}", texts.display()), &shown);
}

#[test]
fn a_text_is_a_watermark_in_its_corner_and_its_time() {
    let place = Place::new();
    let video = place.path("a.mp4");
    source(&video, &[], "mov_text");
    let font = concat!(env!("CARGO_MANIFEST_DIR"), "/media/fonts/DejaVuSans.ttf");
    let keys = format!(
        "watermark = {{ text = \"© {{stem}}\", font = \"{font}\", size = \"10%\", place = \"bottom-left\", from = \"0.5s\", to = \"2.2s\" }}"
    );
    let made = hold(&video, &keys, &[(0.5, 2.2)]);
    hold_shown(&made, "crop=iw/2:ih:0:0", &[(0.5, 2.2)]);
    hold_shown(&made, "crop=iw/2:ih:iw/2:0", &[]);
}

#[test]
fn what_can_not_be_burnt_in_is_refused_before_any_work() {
    let place = Place::new();
    let (plain, titled) = (place.path("a.mp4"), place.path("b.mp4"));
    source(&plain, &[], "mov_text");
    source(&titled, &["eng"], "mov_text");
    place.write("none.ttf", "<svg></svg>");
    place.write("none.srt", "nothing");
    for (source, keys, reason) in [
        (&plain, "subtitles = \"burn\"", "the source has no text track to lay over pictures"),
        (&titled, "subtitles = { burn = \"fra\" }", "no text track in fra; it has: eng"),
        (&titled, "subtitles = { file = \"none.srt\" }", "known are SubRip (.srt) and WebVTT (.vtt)"),
        (&titled, "watermark = { text = \"a\", font = \"none.ttf\" }", "known are TrueType and OpenType"),
    ] {
        let text = format!("[video.main]\ncodec = \"h264\"\n{keys}\n[[output]]\nformat = \"mp4\"");
        let profile = place.write("ours.toml", text);
        let ran = place.run(&[source], &["--profile", profile.to_str().unwrap()]);
        assert!(ran.failure().contains(reason), "{keys}: {}", ran.failure());
    }
    assert_eq!(place.names("out"), [""; 0]);
}
