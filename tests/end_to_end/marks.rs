//! Pictures that are cropped, rotated and padded, and what is laid over them: in segments as in one piece, and as by one command of
//! ffmpeg.

use std::path::Path;

use crate::common::{
    Place,
    judge::{likeness_after, pictures, probed},
    media::{self, Constant},
};

/// What is made of a source by a profile of one encoding with these keys, in segments of this length.
struct Made {
    place: Place,
}

impl Made {
    fn of(source: &Path, keys: &str, segment_time: &str) -> Self {
        let place = Place::new();
        let text = format!(
            "[video.main]\ncodec = \"h264\"\nquality = 1\npreset = \"veryfast\"\n{keys}\n[[output]]\nformat = \"mp4\""
        );
        let profile = place.write("ours.toml", text);
        let arguments = ["--profile", profile.to_str().unwrap(), "--segment-time", segment_time];
        place.run(&[source], &arguments).success();
        Self { place }
    }

    fn path(&self) -> std::path::PathBuf {
        self.place.path("out/a.mp4")
    }
}

/// Holds what is made in short segments to what is made in one, and to the source's pictures behind this filter of ffmpeg's.
fn hold(source: &Path, keys: &str, filter: &str) -> Made {
    let segments = Made::of(source, keys, "0.5");
    let whole = Made::of(source, keys, "600");
    assert_eq!(pictures(&segments.path()), pictures(source), "{keys}");
    assert_eq!(pictures(&whole.path()), pictures(source), "{keys}");
    // Both are encoded, so that they differ by the encoder's own noise.
    let alike = likeness_after(&whole.path(), "null", &segments.path());
    assert!(alike >= 45.0, "{keys}: {alike} dB between segments and one piece");
    let alike = likeness_after(source, filter, &segments.path());
    assert!(alike >= 40.0, "{keys}: {alike} dB after {filter}");
    segments
}

fn size(path: &Path) -> String {
    probed(path, "stream=width,height").lines().next().unwrap_or_default().to_owned()
}

#[test]
fn pictures_are_cropped_rotated_scaled_and_padded_in_this_order() {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::constant(&source, Constant { gop: 10, channels: 0, ..Constant::default() });
    let keys =
        "crop = { left = 16, right = 16, top = 12, bottom = 8 }\nrotate = 90\nwidth = 120\npad = \"320x320\"";
    let filter = "crop=288:160:16:12,transpose=clock,scale=120:216:flags=bicubic,pad=320:320:100:52";
    let made = hold(&source, keys, filter);
    assert_eq!(size(&made.path()), "320,320");
    let made = hold(&source, "rotate = \"flip\"\ncrop = { top = 20 }", "crop=320:160:0:20,vflip");
    assert_eq!(size(&made.path()), "320,160");
}

#[test]
fn a_crop_is_of_the_pictures_as_a_player_shows_them() {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::turned(&source);
    let upright = place.path("b.mp4");
    // ffmpeg turns it as a player does.
    media::ffmpeg(&[
        "-i",
        source.to_str().unwrap(),
        "-c:v",
        "libx264",
        "-qp",
        "0",
        upright.to_str().unwrap(),
    ]);
    let keys = "crop = { left = 20, bottom = 60 }\nrotate = 180";
    let made = Made::of(&source, keys, "1");
    assert_eq!(size(&made.path()), "160,260");
    let alike = likeness_after(&upright, "crop=160:260:20:0,hflip,vflip", &made.path());
    assert!(alike >= 40.0, "{alike} dB");
}

#[test]
fn a_crop_that_leaves_nothing_of_a_source_fails_with_the_reason() {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::constant(&source, Constant { seconds: "1", ..Constant::default() });
    let text = "[video.main]\ncodec = \"h264\"\ncrop = { left = 310 }\n[[output]]\nformat = \"mp4\"";
    let profile = place.write("ours.toml", text);
    let ran = place.run(&[&source], &["--profile", profile.to_str().unwrap()]);
    assert!(ran.failure().contains("320x180: at least 16x16 must be left"), "{}", ran.failure());
    assert_eq!(place.names("out"), [""; 0]);
}
