//! Packages are written, proven, and played by others.

use std::{fs, path::Path, process::Command};

use millrace_schemas::PackagePlan;

use super::{
    codecs::{encode_segments, settings_of},
    *,
};
use crate::protocol::Part;

const FOLDER: &str = "3f2a9c1b";

/// The length of the segments that are encoded, in seconds.
const SECONDS: f64 = 0.36;

/// A package of tracks: their settings, and their work objects.
fn packaged(
    format: &str,
    single: bool,
    tracks: Vec<(VideoSettings, Vec<(Vec<u8>, Made)>)>,
) -> (MergeTask, Vec<File>) {
    let mut sums = Vec::new();
    let mut files = Vec::new();
    for (settings, made) in &tracks {
        let mut sum = task(settings, &made[0].1).tracks.remove(0);
        sum.plan.segments = i32::try_from(made.len()).unwrap();
        (sum.units, sum.packets, sum.bytes, sum.reorder, sum.digest) = (0, 0, 0, 0, 0);
        let mut work = tempfile::tempfile().unwrap();
        for ((bytes, made), index) in made.iter().zip(0..) {
            work.write_all(bytes).unwrap();
            sum.add(made, index);
        }
        work.rewind().unwrap();
        sums.push(sum);
        files.push(work);
    }
    let mut task = task(&tracks[0].0, &tracks[0].1[0].1);
    task.output.format = format.into();
    let container = tables().container(format).unwrap();
    task.output.url = format!("file:///o/a/{}", container.package().unwrap().main_manifest());
    task.output.package = Some(PackagePlan { segment_seconds: SECONDS, single, folder: FOLDER.into() });
    task.tracks = sums;
    (task, files)
}

fn merged(output: &File, (task, files): (MergeTask, Vec<File>)) -> Result<Merged, String> {
    match merge(output, None, &task, (files, None), &mut Reporter::new()) {
        Ok(Reply::Merged(merged)) => Ok(*merged),
        Ok(reply) => Err(format!("{reply:?}")),
        Err(Failure(reason)) => Err(reason),
    }
}

/// Puts the objects of a package where they belong, as a parent does.
fn put(folder: &Path, output: &File, parts: &[Part]) {
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
fn decoded(manifest: &Path, stream: &str) -> usize {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "warning", "-nostdin"]);
    if manifest.extension().unwrap() == "m3u8" {
        ffmpeg.args(["-allowed_extensions", "ALL"]);
    }
    ffmpeg.arg("-i").arg(manifest).args(["-map", stream, "-fps_mode", "passthrough", "-f", "framemd5", "-"]);
    let done = ffmpeg.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
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
            let merged = merged(&output, packaged("cmaf", single, vec![(settings, made)]));
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
