//! Packages are encrypted, and decrypted by others.

use std::{fs, path::Path, process::Command};

use millrace_formats::{Codec, container::Index};
use millrace_schemas::Protection;

use super::{
    codecs::{encode_segments, settings_of},
    packages::{decoded, merged, packaged, pictures, put},
    sound, *,
};
use crate::protocol::ContentKey;

const KEY: &str = "9a01fe337369787465656e2062797465";
const KEY_ID: &str = "eb676abbcb345e96bbcf616630f1a3da";
const VECTOR: &str = "0102030405060708090a0b0c0d0e0f10";

fn key() -> ContentKey {
    KEY.parse().unwrap()
}

/// A package that is encrypted by the key at this path.
fn encrypted(
    (task, files): (MergeTask, Vec<File>),
    method: &str,
    key_file: &Path,
    vector: &str,
) -> (MergeTask, Vec<File>) {
    let mut task = task;
    task.key = Some(key());
    task.output.package.as_mut().unwrap().protection = Some(Protection {
        method: method.into(),
        key: "film".into(),
        uri: format!("file://{}", key_file.display()),
        key_id: if method == Protection::SAMPLES { KEY_ID.into() } else { String::new() },
        vector: vector.into(),
    });
    (task, files)
}

/// Merges a package into a folder.
fn made(folder: &Path, task: (MergeTask, Vec<File>)) -> Result<Merged, String> {
    let output = tempfile::tempfile().unwrap();
    let merged = merged(&output, task)?;
    put(folder, &output, &merged.parts);
    Ok(merged)
}

/// Returns the digests of the decoded packets of a file.
fn digests(file: &Path, options: &[&str]) -> Vec<String> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-nostdin"]).args(options).arg("-i").arg(file);
    let done = ffmpeg.args(["-fps_mode", "passthrough", "-f", "framemd5", "-"]).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.is_empty(), "{}: {said}", file.display());
    let lines = String::from_utf8_lossy(&done.stdout).into_owned();
    lines.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// The digests of a track, one behind the other: of its object, or of each segment behind the initialization segment. FFmpeg 5.1 takes the
/// parts of samples of one fragment for those of the next if there is no index.
fn digests_of_track(folder: &Path, track: &str, options: &[&str]) -> Vec<String> {
    let place = folder.join("3f2a9c1b").join(track);
    let single = place.join("track.mp4");
    if single.exists() {
        return digests(&single, options);
    }
    let init = fs::read(place.join("init.mp4")).unwrap();
    let mut all = Vec::new();
    for number in 1.. {
        let Ok(segment) = fs::read(place.join(format!("{number:05}.m4s"))) else { break };
        let joined = folder.join("joined.mp4");
        fs::write(&joined, [&init[..], &segment].concat()).unwrap();
        all.extend(digests(&joined, options));
    }
    all
}

fn pictures_of(codec: &'static dyn Codec) -> (TrackSum, File) {
    let settings = settings_of(codec, None);
    pictures(&settings, &encode_segments(codec, &settings))
}

fn with_sound(container: &Container, codec: &'static dyn Codec) -> Vec<(TrackSum, File)> {
    vec![sound::track_of(container, container.audio.codecs[0]).0, pictures_of(codec)]
}

#[test]
fn transport_streams_are_cut_into_segments_that_players_read() {
    let container = tables().container("hls-ts").unwrap();
    let folder = tempfile::tempdir().unwrap();
    for codec in container.video.codecs {
        for single in [false, true] {
            let place = folder.path().join(format!("{}-{single}", codec.name()));
            let merged = made(&place, packaged("hls-ts", single, with_sound(container, *codec))).unwrap();
            let video = merged.video.as_ref().unwrap();
            assert_eq!((video.codec.as_str(), video.frames), (codec.name(), 27));
            // Sound has its priming in front, and pictures the time to reorder them.
            assert!((0.0..0.2).contains(&video.first_seconds), "{}", video.first_seconds);
            let lasts = video.end_seconds - video.first_seconds;
            assert!((lasts - 1.08).abs() < 1e-4, "{lasts}");
            let manifest = place.join("master.m3u8");
            let text = fs::read_to_string(&manifest).unwrap();
            assert!(text.contains("CODECS=\"") && text.contains("RESOLUTION=96x64"), "{text}");
            assert_eq!(decoded(&manifest, "0:v:0"), 27, "{} {single}", codec.name());
            assert!(decoded(&manifest, "0:a:0") > 10, "{} {single}", codec.name());
            let media = fs::read_to_string(place.join("3f2a9c1b/video-64p/media.m3u8")).unwrap();
            assert_eq!(media.matches("#EXTINF:0.360000,").count(), 3, "{media}");
            assert!(!media.contains("#EXT-X-MAP"), "{media}");
            if !single {
                for number in 1..=3 {
                    // Each by itself.
                    let segment = place.join(format!("3f2a9c1b/video-64p/{number:05}.ts"));
                    assert_eq!(digests(&segment, &[]).len(), 9, "{number}");
                }
            }
        }
    }
    let codec = container.video.codecs[0];
    for audio in container.audio.codecs {
        let place = folder.path().join(audio.name());
        let (track, samples) = sound::track_of(container, *audio);
        let merged = made(&place, packaged("hls-ts", false, vec![track, pictures_of(codec)])).unwrap();
        let found = merged.audio.as_ref().unwrap();
        assert!(found.codec == audio.name() && found.samples >= samples, "{found:?}");
        assert!(decoded(&place.join("master.m3u8"), "0:a:0") > 10, "{}", audio.name());
    }
}

#[test]
fn segments_that_are_encrypted_as_a_whole_are_decrypted_by_ffmpeg() {
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("key");
    fs::write(&key_file, u128::from_str_radix(KEY, 16).unwrap().to_be_bytes()).unwrap();
    for format in ["hls", "hls-ts"] {
        let container = tables().container(format).unwrap();
        let codec = container.video.codecs[0];
        for vector in ["", VECTOR] {
            let place = folder.path().join(format!("{format}{vector}"));
            let task = packaged(format, false, with_sound(container, codec));
            let merged = made(&place, encrypted(task, Protection::SEGMENTS, &key_file, vector)).unwrap();
            let manifest = place.join("master.m3u8");
            assert_eq!(decoded(&manifest, "0:v:0"), 27, "{format} {vector}");
            assert!(decoded(&manifest, "0:a:0") > 10, "{format} {vector}");
            assert!(!merged.parts.iter().any(|part| part.name.contains("iframes")), "keyframes stay hidden");
            let media = fs::read_to_string(place.join("3f2a9c1b/video-64p/media.m3u8")).unwrap();
            let iv = if vector.is_empty() { String::new() } else { format!(",IV=0x{vector}") };
            let tag = format!("#EXT-X-KEY:METHOD=AES-128,URI=\"file://{}\"{iv}\n", key_file.display());
            assert!(media.contains(&tag), "{media}");
            // Clear, as openssl decrypts it, a segment is one again.
            let extension = if format == "hls" { "m4s" } else { "ts" };
            let mut iv = [0; 16];
            iv[15] = 1;
            let number = u128::from_be_bytes(iv);
            let iv = if vector.is_empty() { format!("{number:032x}") } else { vector.into() };
            let segment = place.join(format!("3f2a9c1b/video-64p/00002.{extension}"));
            let mut openssl = Command::new("openssl");
            openssl.args(["enc", "-d", "-aes-128-cbc", "-K", KEY, "-iv", &iv, "-in"]).arg(&segment);
            let clear = openssl.output().unwrap();
            assert!(clear.status.success(), "{}", String::from_utf8_lossy(&clear.stderr));
            let begin: &[u8] = if format == "hls" { b"moof" } else { &[0x47, 0x40] };
            let at = if format == "hls" { 4 } else { 0 };
            assert!(clear.stdout[at..].starts_with(begin), "{format}");
            assert!(!fs::read(&segment).unwrap()[at..].starts_with(begin), "{format}");
        }
    }
}

#[test]
fn samples_that_are_encrypted_by_themselves_are_decrypted_to_those_of_the_clear_package() {
    let folder = tempfile::tempdir().unwrap();
    let container = tables().container("cmaf").unwrap();
    let known = container.video.codecs.iter().filter(|codec| codec.video().unwrap().slices().is_some());
    let mut count = 0;
    for codec in known {
        for single in [false, true] {
            let name = format!("{}-{single}", codec.name());
            let (clear, secret) = (folder.path().join(&name), folder.path().join(format!("{name}-secret")));
            made(&clear, packaged("cmaf", single, with_sound(container, *codec))).unwrap();
            let task = packaged("cmaf", single, with_sound(container, *codec));
            made(&secret, encrypted(task, Protection::SAMPLES, Path::new("/key"), VECTOR)).unwrap();
            for track in ["video-64p", "audio-1"] {
                let found = digests_of_track(&secret, track, &["-decryption_key", KEY]);
                assert!(found.len() > 10 && found == digests_of_track(&clear, track, &[]), "{name} {track}");
            }
            let description = fs::read_to_string(secret.join("manifest.mpd")).unwrap();
            assert!(description.contains("cenc:default_KID=\"eb676abb-cb34-5e96-bbcf-616630f1a3da\""));
            if let Some(kept) = std::env::var_os("MILLRACE_KEEP_PACKAGES") {
                let target = Path::new(&kept).join(&name);
                let mut copy = Command::new("cp");
                assert!(copy.arg("-r").arg(&secret).arg(target).status().unwrap().success());
            }
            count += 1;
        }
    }
    assert_eq!(count, 4, "H.264 and HEVC");
    let other = container.video.codecs.iter().find(|codec| codec.video().unwrap().slices().is_none());
    let task = packaged("cmaf", false, vec![pictures_of(*other.unwrap())]);
    let place = folder.path().join("other");
    let refused = made(&place, encrypted(task, Protection::SAMPLES, Path::new("/key"), VECTOR)).unwrap_err();
    assert!(refused.contains("can't be encrypted by samples"), "{refused}");
    assert_eq!(container.index, Index::Fragments);
}

#[test]
fn a_package_without_its_key_or_by_an_unknown_method_is_none() {
    let container = tables().container("hls").unwrap();
    let task = || packaged("hls", false, vec![pictures_of(container.video.codecs[0])]);
    let (mut without, files) = encrypted(task(), Protection::SEGMENTS, Path::new("/key"), "");
    without.key = None;
    let folder = tempfile::tempdir().unwrap();
    assert!(made(folder.path(), (without, files)).unwrap_err().contains("there is no key"));
    let unknown = encrypted(task(), "rot13", Path::new("/key"), "");
    assert!(made(folder.path(), unknown).unwrap_err().contains("'rot13'"));
    let short = encrypted(task(), Protection::SEGMENTS, Path::new("/key"), "00");
    assert!(made(folder.path(), short).unwrap_err().contains("is not 16 bytes"));
}
