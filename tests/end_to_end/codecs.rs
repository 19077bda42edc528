//! Each codec of pictures in each container that holds it: made in segments by sealed media processes, put together, proven, and
//! decoded by ffmpeg and read by mkvtoolnix.

use std::{path::Path, process::Command};

use millrace_formats::{CODECS, CONTAINERS, Codec, VideoAsk};
use millrace_schemas::VideoSettings;

use crate::common::{
    Place,
    judge::pictures,
    media::{
        self, Constant,
        work::{Track, Workshop},
    },
    reader,
};

/// A clip, and its settings in a codec: of a fast preset, but for one from which on pictures are reordered.
struct Scene {
    place: Place,
    shop: Workshop,
    codec: &'static dyn Codec,
    settings: VideoSettings,
}

impl Scene {
    fn new(codec: &'static dyn Codec) -> Self {
        let (place, shop) = (Place::new(), Workshop::new());
        let source = place.path("a.mkv");
        media::constant(
            &source,
            Constant { channels: 0, size: "128x72", seconds: "2.4", ..Constant::default() },
        );
        let presets = codec.video().unwrap().presets();
        let ask =
            VideoAsk { preset: presets.get(2).map(|preset| (*preset).to_owned()), ..VideoAsk::default() };
        let picture = shop.inspect(&source, 1.0).facts.video.unwrap().picture;
        let settings = codec.video_settings(&picture, &ask).unwrap();
        Self { place, shop, codec, settings }
    }

    fn make(&self, seconds: f64) -> Track {
        self.shop.make_pictures(&self.place.path("a.mkv"), seconds, &self.settings)
    }
}

fn scenes() -> impl Iterator<Item = Scene> {
    CODECS.iter().copied().filter(|codec| codec.video().is_some()).map(Scene::new)
}

/// Decodes a file. ffmpeg must say nothing.
fn decodes(path: &Path) {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "warning", "-xerror", "-i"]).arg(path).args(["-f", "null", "-"]);
    let ran = ffmpeg.output().unwrap();
    assert!(
        ran.status.success() && ran.stderr.is_empty(),
        "{path:?}: {}",
        String::from_utf8_lossy(&ran.stderr)
    );
}

#[test]
fn each_codec_in_each_container_that_holds_it_is_the_same_in_segments_as_in_one() {
    for scene in scenes() {
        let segments = scene.make(1.0);
        assert!(segments.objects.len() >= 2, "{} segments", segments.objects.len());
        let whole = scene.make(0.0);
        for container in CONTAINERS {
            if container.package().is_some()
                || !container.codecs().any(|held| held.name() == scene.codec.name())
            {
                continue;
            }
            let name = format!("{} in {}", scene.codec.name(), container.name);
            let made = [("segments", &segments), ("whole", &whole)].map(|(stem, track)| {
                let path = scene.place.path(&format!("{stem}.{}", container.name));
                let merged = scene.shop.merge(&vec![track.clone()], &path);
                let video = merged.unwrap_or_else(|reason| panic!("{name}: {reason}")).video.unwrap();
                decodes(&path);
                reader::reads(&path, Some(60));
                assert_eq!((video.codec.as_str(), video.frames), (scene.codec.name(), 60), "{name}");
                pictures(&path)
            });
            assert_eq!(made[0], made[1], "{name}");
            let path = scene.place.path(&format!("segments.{}", container.name));
            assert!(
                scene.shop.prove(&vec![whole.clone()], &path).is_err(),
                "{name}: other packets are found"
            );
        }
    }
}

#[test]
fn a_segment_that_does_not_begin_with_a_keyframe_or_has_other_headers_is_found() {
    for scene in scenes() {
        let track = scene.make(1.0);
        let output = scene.place.path("a.mp4");
        let refused = |change: &dyn Fn(&mut Track)| {
            let mut changed = track.clone();
            change(&mut changed);
            scene.shop.merge(&vec![changed], &output).unwrap_err()
        };
        let name = scene.codec.name();
        let cut = refused(&|track| {
            let first = track.objects[1].packets.remove(0);
            track.objects[1].packets[0].pts = first.pts;
            track.objects[1].count();
        });
        assert!(cut.contains("begins with a picture that is no keyframe"), "{name}: {cut}");
        let other = refused(&|track| match track.objects[1].header.extradata.last_mut() {
            Some(byte) => *byte ^= 0x20,
            None => track.objects[1].header.extradata.push(1),
        });
        assert!(other.contains("the codec headers of segments 0 and 1 differ"), "{name}: {other}");
    }
}
