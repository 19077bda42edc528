use millrace_schemas::Ratio;

use super::*;
use crate::{crop::Rotate, profile::Profile};

const SQUARE: Ratio = Ratio { num: 1, den: 1 };

fn picture(width: i32, height: i32) -> Picture {
    Picture::plain((width, height), Ratio { num: 25, den: 1 }, Ratio { num: 1, den: 1000 })
}

fn video(keys: &str) -> Video {
    let text = format!("[video.main]\ncodec = \"h264\"\n{keys}");
    Profile::from_toml(&text).unwrap().video.remove("main").unwrap()
}

fn of(keys: &str, picture: &Picture) -> Geometry {
    Geometry::of(&video(keys), picture)
}

fn area(x: i32, y: i32, width: i32, height: i32) -> Option<Area> {
    Some(Area { x, y, width, height })
}

fn size(geometry: &Geometry) -> (i32, i32) {
    geometry.size.unwrap_or((geometry.picture.width, geometry.picture.height))
}

#[test]
fn a_crop_is_cut_off_before_pictures_are_scaled() {
    let cut = of("crop = { top = 140, bottom = 140 }\nwidth = 1280", &picture(1920, 1080));
    assert_eq!((cut.crop, size(&cut)), (area(0, 140, 1920, 800), (1280, 534)));
    let nothing = of("crop = {}", &picture(64, 48));
    assert_eq!((nothing.crop, nothing.size), (None, None));
}

#[test]
fn a_crop_that_leaves_too_little_is_refused() {
    let asked = video("crop = { left = 40, right = 10 }");
    assert!(refusal(&asked, &picture(64, 48)).unwrap().contains("64x48: at least 16x16"));
    assert_eq!(refusal(&asked, &picture(66, 48)), None);
    assert_eq!(refusal(&video("width = 16"), &picture(2, 2)), None);
}

#[test]
fn a_rotation_comes_on_top_of_the_sources_own_and_sizes_are_behind_it() {
    let phone = Picture { rotation: 90, ..picture(1080, 1920) };
    let rotated = of("rotate = 270", &phone);
    assert_eq!(
        (rotated.picture.rotation, rotated.picture.mirrored, size(&rotated)),
        (0, false, (1920, 1080))
    );
    assert_eq!(size(&of("rotate = 90\nwidth = 640", &picture(1920, 1080))), (640, 1138));
    let wide = Picture { sample_aspect: Ratio { num: 4, den: 3 }, ..picture(1440, 1080) };
    let upright = of("rotate = 90", &wide).picture;
    assert_eq!((upright.sample_aspect, upright.width), (Ratio { num: 3, den: 4 }, 1080));
}

#[test]
fn a_mirror_behind_a_rotation_is_one_before_the_opposite_rotation() {
    let turned = Picture { rotation: 90, ..picture(48, 64) };
    let of = |keys: &str| {
        let Picture { rotation, mirrored, .. } = of(keys, &turned).picture;
        (rotation, mirrored)
    };
    assert_eq!(of("rotate = \"mirror\""), (270, true));
    assert_eq!(of("rotate = \"flip\""), (90, true));
}

/// By hand: where a mark in a corner of a picture that its source rotates ends.
#[test]
fn a_crop_is_of_the_pictures_as_the_source_shows_them_however_they_are_rotated() {
    let keys = |rotate: &str| format!("crop = {{ left = 10, top = 4 }}\nrotate = {rotate}");
    let crop = |rotate: &str| of(&keys(rotate), &picture(100, 60)).crop;
    assert_eq!(crop("90"), area(0, 10, 56, 90));
    assert_eq!(crop("180"), area(0, 0, 90, 56));
    assert_eq!(crop("270"), area(4, 0, 56, 90));
    assert_eq!(crop("\"mirror\""), area(0, 4, 90, 56));
    assert_eq!(crop("\"flip\""), area(10, 0, 90, 56));
}

#[test]
fn a_frame_with_bars_has_the_size_that_is_asked_for_and_the_pictures_in_its_middle() {
    let inside = |keys: &str, width, height| {
        let made = of(keys, &picture(width, height));
        (made.inside, size(&made))
    };
    let pad = "pad = \"1920x1080\"";
    assert_eq!(inside(pad, 1920, 1080), (None, (1920, 1080)));
    assert_eq!(inside(pad, 1440, 1080), (area(240, 0, 1440, 1080), (1920, 1080)));
    assert_eq!(inside(pad, 640, 480), (area(640, 300, 640, 480), (1920, 1080)), "not enlarged");
    assert_eq!(inside(&format!("{pad}\nupscale = true"), 640, 480).0, area(240, 0, 1440, 1080));
    assert_eq!(inside(pad, 3840, 1600).0, area(0, 140, 1920, 800));
    assert_eq!(inside(&format!("{pad}\nsize = \"960x960\""), 3840, 2160).0, area(480, 270, 960, 540));
}

#[test]
fn a_frame_with_bars_has_square_pixels() {
    let wide = Picture { sample_aspect: Ratio { num: 4, den: 3 }, ..picture(1440, 1080) };
    let made = of("pad = \"1920x1080\"", &wide);
    assert_eq!((made.inside, made.picture.sample_aspect), (None, SQUARE));
    let unknown = Picture { sample_aspect: Ratio { num: 0, den: 1 }, ..wide };
    let made = of("pad = \"1920x1080\"", &unknown);
    assert_eq!((made.inside, made.picture.sample_aspect.num), (area(240, 0, 1440, 1080), 0));
}

#[test]
fn fields_are_kept_only_where_their_rows_of_chroma_stay_apart() {
    let interlaced = Picture { field_order: 1, ..picture(720, 576) };
    let order = |keys: &str| of(keys, &interlaced).picture.field_order;
    assert_eq!(order("crop = { top = 8, bottom = 4 }"), 1);
    assert_eq!(order("crop = { top = 2, bottom = 2 }"), 0);
    assert_eq!(order("pad = \"800x584\""), 1, "four rows above");
    assert_eq!(order("pad = \"800x580\""), 0, "two rows above");
}

#[test]
fn rotations_are_read_as_they_are_written() {
    for text in ["90", "180", "270", "mirror", "flip"] {
        assert_eq!(text.parse::<Rotate>().map(|rotate| rotate.to_string()).as_deref(), Ok(text));
    }
    for text in ["0", "45", "360", "", "-90", "Flip"] {
        assert!(text.parse::<Rotate>().is_err(), "{text}");
    }
}

#[test]
fn pictures_fit_within_a_size_in_their_own_shape_and_are_never_enlarged() {
    let within = |keys: &str, width, height| size_within(&video(keys), &picture(width, height));
    assert_eq!(within("size = \"1280x720\"", 1920, 1080), Some((1280, 720)));
    assert_eq!(within("size = \"1280x720\"", 1080, 1920), Some((406, 720)));
    assert_eq!(within("size = \"1280x720\"", 640, 480), None);
    assert_eq!(within("size = \"1280x720\"\nupscale = true", 640, 480), Some((960, 720)));
    assert_eq!(within("width = 640", 1920, 1080), Some((640, 360)));
    assert_eq!(within("height = 480", 1920, 1080), Some((854, 480)));
    assert_eq!(within("height = 480", 720, 480), None);
    assert_eq!(within("quality = 20", 1920, 1080), None);
}

#[test]
fn what_is_shown_wider_than_it_is_coded_is_measured_as_it_is_shown() {
    let wide = Picture { sample_aspect: Ratio { num: 4, den: 3 }, ..picture(1440, 1080) };
    assert_eq!(size_within(&video("size = \"1280x720\""), &wide), Some((960, 720)));
    assert_eq!(size_within(&video("width = 1920"), &wide), None);
}
