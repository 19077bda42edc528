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

/// An image of 128x64 whose alpha rises from left to right.
fn logo(path: &Path) {
    let graph = "testsrc2=size=128x64,format=rgba,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='64+X'";
    media::ffmpeg(&["-f", "lavfi", "-i", graph, "-frames:v", "1", path.to_str().unwrap()]);
}

/// ffmpeg's filters that lay an image over pictures.
fn laid(image: &Path, (width, height): (u32, u32), opacity: &str, at: &str) -> String {
    let image = image.display();
    format!(
        "null[m];movie={image},scale={width}:{height}:flags=bicubic,format=rgba,colorchannelmixer=aa={opacity}[l];\
         [m][l]overlay={at}"
    )
}

#[test]
fn an_image_is_laid_over_pictures_in_its_time_whatever_the_segments() {
    let place = Place::new();
    let (source, image) = (place.path("a.mp4"), place.path("logo.png"));
    media::constant(&source, Constant { gop: 10, channels: 0, ..Constant::default() });
    logo(&image);
    let keys = format!(
        "watermark = {{ image = \"{}\", place = \"top-right\", margin = 6, width = 64, opacity = 0.8, from = \"0.7s\", \
         to = \"2s\" }}",
        image.display()
    );
    let filter = laid(&image, (64, 32), "0.8", "250:6:enable='gte(t,0.7)*lt(t,2)'");
    let made = hold(&source, &keys, &filter);
    let unmarked = likeness_after(&source, "null", &made.path());
    assert!(unmarked < 35.0, "the image is there: {unmarked} dB");
    let outside = "drawbox=x=250:y=6:w=64:h=32:color=black:t=fill";
    let alike = likeness_after(&source, outside, &boxed(&made, outside));
    assert!(alike >= 40.0, "{alike} dB beside the image");
}

#[test]
fn times_of_an_image_are_those_of_the_part_and_the_pictures_that_are_made() {
    let place = Place::new();
    let (source, image) = (place.path("a.mp4"), place.path("logo.png"));
    media::constant(&source, Constant { gop: 10, ..Constant::default() });
    logo(&image);
    let part = "frame_rate = 50\n[source]\ntrim = { from = \"1s\" }";
    let keys = format!(
        "watermark = {{ image = \"{}\", place = \"top-right\", margin = 6, width = 64, from = \"0.5s\", to = \"1s\" }}\n{part}",
        image.display()
    );
    let plain = Made::of(&source, part, "0.5");
    let filter = laid(&image, (64, 32), "1", "250:6:enable='gte(t,0.5)*lt(t,1)'");
    for segment_time in ["0.5", "600"] {
        let marked = Made::of(&source, &keys, segment_time);
        assert_eq!(pictures(&marked.path()), pictures(&plain.path()));
        let alike = likeness_after(&plain.path(), &filter, &marked.path());
        assert!(alike >= 38.0, "{alike} dB in segments of {segment_time} s");
    }
}

/// What is made, behind this filter of ffmpeg's.
fn boxed(made: &Made, filter: &str) -> std::path::PathBuf {
    let path = made.place.path("boxed.mkv");
    let from = made.path();
    let arguments = ["-i", from.to_str().unwrap(), "-vf", filter, "-c:v", "ffv1", path.to_str().unwrap()];
    media::ffmpeg(&arguments);
    path
}

#[test]
fn images_of_each_kind_are_laid_over_rotated_and_padded_pictures_in_their_order() {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::constant(&source, Constant { seconds: "1", gop: 10, channels: 0, ..Constant::default() });
    let (photo, page) = (place.path("photo.jpg"), place.path("page.webp"));
    let graph = "smptebars=size=96x64";
    media::ffmpeg(&["-f", "lavfi", "-i", graph, "-frames:v", "1", "-q:v", "2", photo.to_str().unwrap()]);
    media::ffmpeg(&["-f", "lavfi", "-i", "testsrc=size=64x64", "-frames:v", "1", page.to_str().unwrap()]);
    let place_of = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    // Paths begin at the folder of the profile.
    let text = format!(
        "[video.main]\ncodec = \"h264\"\nquality = 1\nrotate = 90\npad = \"320x320\"\n\
         watermark = [{{ image = \"{}\", place = \"center\", width = 96 }}, \
         {{ image = \"{}\", place = \"center\", width = \"10%\" }}]\n[[output]]\nformat = \"mp4\"",
        place_of(&photo),
        place_of(&page)
    );
    let profile = place.write("ours.toml", text);
    place.run(&[&source], &["--profile", profile.to_str().unwrap(), "--segment-time", "0.5"]).success();
    let below = format!("transpose=clock,pad=320:320:70:0,{}", laid(&photo, (96, 64), "1", "112:128"));
    let filter = format!(
        "{below}[n];movie={},scale=32:32:flags=bicubic,format=rgba[k];[n][k]overlay=144:144",
        page.display()
    );
    let alike = likeness_after(&source, &filter, &place.path("out/a.mp4"));
    assert!(alike >= 38.0, "{alike} dB");
}

#[test]
fn another_version_of_an_image_is_another_execution() {
    let place = Place::new();
    let (source, image) = (place.path("a.mp4"), place.path("logo.png"));
    media::constant(&source, Constant { seconds: "1", channels: 0, ..Constant::default() });
    logo(&image);
    let keys = format!("watermark = {{ image = \"{}\" }}", image.display());
    let text = format!("[video.main]\ncodec = \"h264\"\n{keys}\n[[output]]\nformat = \"mp4\"");
    let profile = place.write("ours.toml", text);
    let run = || {
        let ran = place.run(&[&source], &["--profile", profile.to_str().unwrap()]);
        ran.success()["execution"].as_str().unwrap().to_owned()
    };
    let first = run();
    assert_eq!(run(), first);
    media::ffmpeg(&["-f", "lavfi", "-i", "color=red:size=90x90", "-frames:v", "1", image.to_str().unwrap()]);
    assert_ne!(run(), first);
}

#[test]
fn an_image_that_is_not_there_or_is_none_is_refused_before_any_work() {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::constant(&source, Constant { seconds: "1", channels: 0, ..Constant::default() });
    let text =
        "[video.main]\ncodec = \"h264\"\nwatermark = { image = \"logo.png\" }\n[[output]]\nformat = \"mp4\"";
    let profile = place.write("ours.toml", text);
    let arguments = ["--profile", profile.to_str().unwrap()];
    let missing = place.run(&[&source], &arguments);
    assert_eq!(missing.status, 2, "{}", missing.stderr);
    assert!(missing.stderr.contains("logo.png"), "{}", missing.stderr);
    place.write("logo.png", "<svg></svg>");
    let ran = place.run(&[&source], &arguments);
    assert!(ran.failure().contains("known are PNG, JPEG and WebP"), "{}", ran.failure());
    assert_eq!(place.names("out"), [""; 0]);
}
