//! Packages are written, proven, and played by others.

use std::{fs, path::Path, process::Command};

use millrace_schemas::PackagePlan;

use super::{
    codecs::{encode_ranges, encode_segments, settings_of},
    sound, *,
};
use crate::protocol::Part;

const FOLDER: &str = "3f2a9c1b";

/// The length of the segments that are encoded, in seconds.
const SECONDS: f64 = 0.36;

/// A track of pictures: the sum over its work objects, and these.
pub(super) fn pictures(settings: &VideoSettings, made: &[(Vec<u8>, Made)]) -> (TrackSum, File) {
    let mut sum = task(settings, &made[0].1).tracks.remove(0);
    sum.plan.rendition = format!("v{}", settings.width);
    sum.plan.segments = i32::try_from(made.len()).unwrap();
    (sum.units, sum.packets, sum.bytes, sum.reorder, sum.digest) = (0, 0, 0, 0, 0);
    let mut work = tempfile::tempfile().unwrap();
    for ((bytes, made), index) in made.iter().zip(0..) {
        work.write_all(bytes).unwrap();
        sum.add(made, index);
    }
    (sum, work)
}

/// A package of tracks.
pub(super) fn packaged(format: &str, single: bool, tracks: Vec<(TrackSum, File)>) -> (MergeTask, Vec<File>) {
    let container = tables().container(format).unwrap();
    let output = OutputPlan {
        url: format!("file:///o/a/{}", container.package().unwrap().main_manifest()),
        format: format.into(),
        renditions: Vec::new(),
        keep: false,
        mark: "a mark".into(),
        overwrite: false,
        extras: None,
        remarks: Vec::new(),
        package: Some(PackagePlan {
            segment_seconds: SECONDS,
            single,
            folder: FOLDER.into(),
            protection: None,
        }),
        pictures: None,
        waveform: None,
    };
    let (sums, files): (Vec<TrackSum>, Vec<File>) = tracks.into_iter().unzip();
    for mut file in &files {
        file.rewind().unwrap();
    }
    (MergeTask { output, tracks: sums, round: 0, strict: false, source_bytes: 0, key: None }, files)
}

pub(super) fn merged(output: &File, (task, files): (MergeTask, Vec<File>)) -> Result<Merged, String> {
    match merge(output, None, &task, (files, None), &mut Reporter::new()) {
        Ok(Reply::Merged(merged)) => Ok(*merged),
        Ok(reply) => Err(format!("{reply:?}")),
        Err(Failure(reason)) => Err(reason),
    }
}

/// Puts the objects of a package where they belong, as a parent does.
pub(super) fn put(folder: &Path, output: &File, parts: &[Part]) {
    use std::os::unix::fs::FileExt as _;
    for part in parts {
        let mut bytes = vec![0; usize::try_from(part.bytes).unwrap()];
        output.read_exact_at(&mut bytes, part.offset).unwrap();
        let path = folder.join(&part.name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// Decodes the pictures that a manifest names. Returns their count; what is said of them is an error.
pub(super) fn decoded(manifest: &Path, stream: &str) -> usize {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "warning", "-nostdin"]);
    if manifest.extension().unwrap() == "m3u8" {
        ffmpeg.args(["-allowed_extensions", "ALL"]);
    }
    ffmpeg.arg("-i").arg(manifest).args(["-map", stream, "-fps_mode", "passthrough", "-f", "framemd5", "-"]);
    let done = ffmpeg.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    // FFmpeg reads a track of one object in DASH, as that of keyframes is, from its first byte again behind its headers.
    let said: String = said.lines().filter(|line| !line.contains("Found duplicated MOOV Atom")).collect();
    assert!(done.status.success() && said.is_empty(), "{}: {said}", manifest.display());
    String::from_utf8_lossy(&done.stdout).lines().filter(|line| !line.starts_with('#')).count()
}

/// Where to look at packages, if anywhere.
fn kept(name: &str) -> Option<std::path::PathBuf> {
    std::env::var_os("MILLRACE_KEEP_PACKAGES").map(|folder| Path::new(&folder).join(name))
}

#[test]
fn a_track_of_each_codec_of_pictures_is_packaged_in_segments() {
    let container = tables().container("cmaf").unwrap();
    for codec in container.video.codecs {
        for single in [false, true] {
            let settings = settings_of(*codec, None);
            let made = encode_segments(*codec, &settings);
            let output = tempfile::tempfile().unwrap();
            let name = codec.name();
            let merged = merged(&output, packaged("cmaf", single, vec![pictures(&settings, &made)]));
            let merged = merged.unwrap_or_else(|reason| panic!("{name}: {reason}"));
            let video = merged.video.as_ref().unwrap();
            assert_eq!((video.codec.as_str(), video.frames), (name, 27));
            assert!((merged.duration_seconds - 1.08).abs() < 1e-9, "{name}: {}", merged.duration_seconds);
            let names: Vec<&str> = merged.parts.iter().map(|part| part.name.as_str()).collect();
            let folder = tempfile::tempdir().unwrap();
            put(folder.path(), &output, &merged.parts);
            if let Some(kept) = kept(&format!("{name}-{single}")) {
                put(&kept, &output, &merged.parts);
            }
            let track = "3f2a9c1b/video-64p";
            let objects: &[&str] = if single {
                &["track.mp4", "iframes.mp4"]
            } else {
                &["init.mp4", "00001.m4s", "00002.m4s", "00003.m4s", "iframes.mp4"]
            };
            let (objects, rest) = names.split_at(objects.len().min(names.len()));
            assert!(objects.iter().all(|object| object.starts_with(track)), "{names:?}");
            let manifests = [
                "3f2a9c1b/video-64p/media.m3u8",
                "3f2a9c1b/video-64p/iframes.m3u8",
                "manifest.mpd",
                "master.m3u8",
            ];
            assert_eq!(rest, manifests);
            for manifest in ["master.m3u8", "manifest.mpd"] {
                let pictures = decoded(&folder.path().join(manifest), "0:v:0");
                assert_eq!(pictures, 27, "{name} {manifest} {single}");
            }
        }
    }
}

#[test]
fn sound_of_each_codec_lies_beside_the_pictures_and_is_heard_from_its_first_sample() {
    let container = tables().container("cmaf").unwrap();
    let codec = container.video.codecs[0];
    let settings = settings_of(codec, None);
    let made = encode_segments(codec, &settings);
    for codec in container.audio.codecs {
        let name = codec.name();
        let (track, samples) = sound::track_of(container, *codec);
        let output = tempfile::tempfile().unwrap();
        let tracks = vec![track, pictures(&settings, &made)];
        let merged = merged(&output, packaged("cmaf", false, tracks));
        let merged = merged.unwrap_or_else(|reason| panic!("{name}: {reason}"));
        let audio = merged.audio.as_ref().unwrap();
        assert_eq!((audio.codec.as_str(), audio.samples, audio.first_seconds), (name, samples, 0.0));
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), &output, &merged.parts);
        if let Some(kept) = kept(name) {
            put(&kept, &output, &merged.parts);
        }
        for manifest in ["master.m3u8", "manifest.mpd"] {
            let manifest = folder.path().join(manifest);
            assert_eq!(decoded(&manifest, "0:v:0"), 27, "{name}");
            assert!(decoded(&manifest, "0:a:0") > 10, "{name}");
        }
    }
}

#[test]
fn sizes_that_can_not_be_switched_at_the_same_times_are_refused() {
    let codec = tables().container("cmaf").unwrap().video.codecs[0];
    let settings = settings_of(codec, None);
    let smaller = VideoSettings { width: 48, height: 32, ..settings.clone() };
    let whole = |settings: &VideoSettings, ranges: &[(i64, i64)]| {
        pictures(settings, &encode_ranges(settings, ranges, 1))
    };
    let of = |ranges: &[(i64, i64)]| {
        let tracks = vec![whole(&smaller, &[(0, 9), (9, 18), (18, 27)]), whole(&settings, ranges)];
        let output = tempfile::tempfile().unwrap();
        merged(&output, packaged("hls", false, tracks))
    };
    let merged = of(&[(0, 9), (9, 18), (18, 27)]).unwrap();
    let sizes = (merged.video.unwrap().width, merged.more_video[0].width);
    assert_eq!(sizes, (96, 48), "the largest is the first");
    assert_eq!(merged.parts.last().unwrap().name, "master.m3u8");
    let refused = of(&[(0, 9), (9, 27)]).unwrap_err();
    assert!(refused.contains("segments"), "{refused}");
}
