//! What packages hold: pictures and sound of each codec, and text, each made end to end in segments of a second, and read again by ffmpeg
//! by way of both manifests.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use millrace_formats::{CONTAINERS, Codec, Container};
use serde_json::Value;

use crate::common::{
    Place, Ran,
    media::{self, kinds},
    package::{files, folder, is_whole},
};

const PICTURES: usize = 60;
/// Samples of each channel of the source.
const SAMPLES: usize = 115_200;

/// The container of packages with all manifests.
fn container() -> &'static Container {
    CONTAINERS.iter().copied().find(|container| container.package().is_some()).unwrap()
}

/// Pictures of 2.4 s with sound of 16 bits that codecs without loss keep.
fn source(place: &Place) -> PathBuf {
    let source = place.path("a.mkv");
    let sound =
        "aevalsrc=0.3*sin(2*PI*(300+60*t)*t)+0.05*random(0)|0.3*sin(2*PI*500*t)+0.05*random(1):s=48000:d=2.4";
    let mut arguments = vec!["-f", "lavfi", "-i", "testsrc2=size=128x72:rate=25:duration=2.4"];
    arguments.extend(["-f", "lavfi", "-i", sound, "-c:v", "libx264", "-preset", "veryfast", "-g", "25"]);
    arguments.extend(["-pix_fmt", "yuv420p", "-c:a", "flac", "-sample_fmt", "s16", source.to_str().unwrap()]);
    media::ffmpeg(&arguments);
    source
}

/// Makes a package by a profile, and returns its record and its folder.
fn packaged(place: &Place, source: &Path, profile: &str) -> (Value, PathBuf) {
    let profile = place.write("p.toml", profile);
    let mut command = place.run_command(&[source], &["--profile", profile.to_str().unwrap()]);
    let ran = Ran::of(command.args(["--segment-time", "1"]).output().unwrap());
    let output = ran.success()["outputs"][0].clone();
    let package = place.path("out").join(source.file_stem().unwrap());
    is_whole(&package);
    (output, package)
}

/// What ffmpeg makes of a stream of a manifest or file, without a word but for those that are allowed.
fn read(path: &Path, map: &str, more: &[&str], allowed: &[&str]) -> Vec<u8> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "warning", "-xerror", "-nostdin"]);
    if path.extension().is_some_and(|extension| extension == "m3u8" || extension == "mpd") {
        command.args(["-allowed_extensions", "ALL"]);
    }
    command.arg("-i").arg(path).args(["-map", map]).args(more).arg("-");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let said: Vec<&str> =
        said.lines().filter(|line| !allowed.iter().any(|allowed| line.contains(allowed))).collect();
    assert!(output.status.success() && said.is_empty(), "{} {map}: {said:?}", path.display());
    output.stdout
}

/// What ffmpeg says of packages by itself: it reads the object of a DASH track of one object, as that of keyframes is, from its first
/// byte again behind its headers.
const OWN_WORDS: [&str; 1] = ["Found duplicated MOOV Atom"];

/// The times of the pictures from the first one, in milliseconds. FFmpeg takes a negative composition offset for a delay of its whole track.
fn times(path: &Path) -> Vec<i64> {
    let more = ["-fps_mode", "passthrough", "-enc_time_base", "1:1000", "-f", "framemd5"];
    let text = String::from_utf8(read(path, "0:v:0", &more, &OWN_WORDS)).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let times: Vec<i64> = lines.map(|line| line.split(',').nth(2).unwrap().trim().parse().unwrap()).collect();
    times.iter().map(|time| time - times[0]).collect()
}

/// All samples, the channels by turns.
fn samples(path: &Path) -> Vec<i32> {
    let bytes = read(path, "0:a:0", &["-f", "s32le", "-c:a", "pcm_s32le"], &OWN_WORDS);
    bytes.chunks_exact(4).map(|bytes| i32::from_le_bytes(*bytes.first_chunk().unwrap())).collect()
}

/// A profile of a package with pictures and sound in these codecs.
fn profile(video: &dyn Codec, audio: &dyn Codec, more: &str) -> String {
    let preset = video.video().unwrap().presets().get(2).map(|preset| format!("preset = \"{preset}\"\n"));
    format!(
        "[video.main]\ncodec = \"{}\"\n{}[audio.main]\ncodec = \"{}\"\n[[output]]\nformat = \"{}\"\nsegment = \"1s\"\n{more}",
        video.name(),
        preset.unwrap_or_default(),
        audio.name(),
        container().name
    )
}

/// Each codec of either kind once at least, in pairs.
fn pairs() -> impl Iterator<Item = (&'static dyn Codec, &'static dyn Codec)> {
    let (video, audio) = (container().video.codecs, container().audio.codecs);
    let count = video.len().max(audio.len());
    video.iter().copied().cycle().zip(audio.iter().copied().cycle()).take(count)
}

#[test]
fn each_codec_of_pictures_and_of_sound_is_read_from_packages_picture_by_picture_and_sample_by_sample() {
    let place = Place::new();
    let source = source(&place);
    let (pictures, sound) = (times(&source), samples(&source));
    assert_eq!((pictures.len(), sound.len()), (PICTURES, 2 * SAMPLES));
    for (number, (video, audio)) in pairs().enumerate() {
        let what = format!("{} and {}", video.name(), audio.name());
        let more = if number % 2 == 0 { "" } else { "files = \"single\"\n" };
        let (output, package) = packaged(&place, &source, &profile(video, audio, more));
        assert_eq!(output["video"]["codec"], video.name(), "{what}");
        assert_eq!(output["video"]["frames"], PICTURES, "{what}");
        assert_eq!(output["audio"]["codec"], audio.name(), "{what}");
        assert_eq!(output["audio"]["samples"], SAMPLES, "{what}");
        let segments = files(&package).keys().filter(|name| name.ends_with(".m4s")).count();
        // Three of each track; of a codec whose encoder places keyframes by itself there are fewer of pictures.
        let least = if video.video().unwrap().places_keyframes() { 6 } else { 5 };
        let expected = if number % 2 == 0 { least..=6 } else { 0..=0 };
        assert!(expected.contains(&segments), "{what}: {segments} segments");
        for manifest in ["master.m3u8", "manifest.mpd"] {
            let path = package.join(manifest);
            assert_eq!(times(&path), pictures, "{what}, {manifest}");
            let found = samples(&path);
            if audio.audio().unwrap().bits().is_some() {
                assert!(
                    found == sound,
                    "{what}, {manifest}: {} samples, not those of the source",
                    found.len()
                );
            }
            // What lies in front of time zero and behind the end is decoded, too: up to a packet of either.
            let most = SAMPLES + 2 * usize::try_from(audio.audio().unwrap().frame_size()).unwrap();
            assert!((SAMPLES..most).contains(&(found.len() / 2)), "{what}, {manifest}: {}", found.len() / 2);
        }
        std::fs::remove_dir_all(place.path("out")).unwrap();
    }
}

/// The cues of a text track, as SubRip.
fn cues(path: &Path, map: &str) -> String {
    String::from_utf8(read(path, map, &["-copyts", "-f", "srt"], &OWN_WORDS)).unwrap().replace('\r', "")
}

#[test]
fn text_tracks_lie_in_packages_with_their_languages_and_their_cues_at_their_times() {
    let place = Place::new();
    let (one, source) = (place.path("one.mkv"), place.path("a.mkv"));
    kinds::annotated(&one);
    // A second track of text, in another language, which begins later.
    let texts = place.write("fra.srt", "1\n00:00:01,000 --> 00:00:02,500\nBonjour\ntout le monde\n\n");
    let mut arguments = vec!["-i", one.to_str().unwrap(), "-i", texts.to_str().unwrap()];
    arguments.extend(["-map", "0:v", "-map", "0:a", "-map", "0:s", "-map", "1", "-c", "copy"]);
    arguments.extend(["-metadata:s:s:1", "language=fra", source.to_str().unwrap()]);
    media::ffmpeg(&arguments);
    let (video, audio) = pairs().next().unwrap();
    let (output, package) = packaged(&place, &source, &profile(video, audio, ""));
    assert_eq!(output["text"], serde_json::json!(["deu", "fra"]), "{output}");
    let found = files(&package);
    let objects: Vec<&String> = found.keys().filter(|name| name.ends_with(".vtt")).collect();
    assert_eq!(objects.len(), 2, "{found:?}");
    // Texts that overlap are shown together for as long as they do.
    let german =
        ["00:00:00,500 --> 00:00:01,200\nGuten <b>Tag</b>\n", "00:00:01,500 --> 00:00:02,000\nzusammen\n"];
    let french = ["00:00:01,000 --> 00:00:02,500\nBonjour\ntout le monde\n"];
    for (number, (object, expected)) in objects.iter().zip([&german[..], &french[..]]).enumerate() {
        let own = cues(&package.join(object), "0:s:0");
        assert!(expected.iter().all(|cue| own.contains(cue)), "{object}: {own}");
        assert_eq!(own, cues(&package.join("manifest.mpd"), &format!("0:s:{number}")), "{object}");
    }
    let master = std::fs::read_to_string(package.join("master.m3u8")).unwrap();
    for (language, track) in [("de", 1), ("fr", 2)] {
        let named = format!("{}/text-{track}/media.m3u8", folder(&found));
        let line = master.lines().find(|line| line.contains(&named)).unwrap();
        assert!(
            line.contains("TYPE=SUBTITLES") && line.contains(&format!("LANGUAGE=\"{language}\"")),
            "{line}"
        );
    }
    // FFmpeg 5.1 reads no subtitles of HLS, and says so; all else is there.
    let said = ["Can't support the subtitle", OWN_WORDS[0]];
    let pictures = read(&package.join("master.m3u8"), "0:v:0", &["-f", "framemd5"], &said);
    let pictures = String::from_utf8(pictures).unwrap().lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(pictures, 75);
}
