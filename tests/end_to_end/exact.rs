//! Every picture once, in its time; sound without a seam: in many short segments, to mp4 and to flv.

use crate::common::{
    Place,
    judge::{field, has, judge, judge_sound, pictures},
    media::{self, Constant},
};

fn holds(file: &str, constant: Constant<'_>) {
    let place = Place::new();
    let source = place.path(file);
    media::constant(&source, constant);
    let ran = place.run(&[&source], &["-f", "mp4", "-f", "flv", "--segment-time", "0.5"]);
    let result = ran.success();
    assert!(result["segments"].as_u64().unwrap() >= 4, "{file}: {} segments", result["segments"]);
    let stem = source.file_stem().unwrap().to_str().unwrap();
    for format in ["mp4", "flv"] {
        judge(&source, &place.path(&format!("out/{stem}.{format}")));
    }
    assert_eq!(place.names("data/work"), [""; 0], "work objects are left");
}

#[test]
fn film_rate_mp4_comes_out_right() {
    holds("a.mp4", Constant { rate: "24", ..Constant::default() });
}

#[test]
fn pal_mov_with_mono_sound_comes_out_right() {
    holds("a.mov", Constant { rate: "25", channels: 1, ..Constant::default() });
}

#[test]
fn ntsc_mkv_comes_out_right() {
    holds("a.mkv", Constant { rate: "30000/1001", ..Constant::default() });
}

#[test]
fn ntsc_ts_comes_out_right() {
    holds("a.ts", Constant { rate: "30000/1001", ..Constant::default() });
}

#[test]
fn thirty_frames_flv_comes_out_right() {
    holds("a.flv", Constant { rate: "30", ..Constant::default() });
}

#[test]
fn fifty_frames_ts_without_sound_comes_out_right() {
    holds("a.ts", Constant { rate: "50", channels: 0, ..Constant::default() });
}

#[test]
fn thirty_frames_mkv_without_sound_comes_out_right() {
    // Pictures wait behind their decoding times, which an flv counts its length from, and no sound hides it.
    holds("a.mkv", Constant { rate: "30", channels: 0, ..Constant::default() });
}

#[test]
fn sixty_frames_mp4_without_sound_comes_out_right() {
    holds("a.mp4", Constant { rate: "60", channels: 0, ..Constant::default() });
}

#[test]
fn a_video_without_b_frames_comes_out_right() {
    holds("a.mov", Constant { b_frames: 0, ..Constant::default() });
}

#[test]
fn a_video_with_one_keyframe_is_cut_all_the_same() {
    holds("a.mp4", Constant { gop: 1000, ..Constant::default() });
    holds("a.ts", Constant { gop: 1000, ..Constant::default() });
}

#[test]
fn a_variable_frame_rate_stays_variable() {
    let place = Place::new();
    let source = place.path("v.mp4");
    media::variable(&source);
    place.run(&[&source], &["-f", "mp4", "-f", "flv", "--segment-time", "0.7"]).success();
    judge(&source, &place.path("out/v.mp4"));
    judge(&source, &place.path("out/v.flv"));
}

#[test]
fn a_turned_video_is_turned_in_its_pixels() {
    let place = Place::new();
    let source = place.path("phone.mov");
    media::turned(&source);
    place.run(&[&source], &["-f", "flv", "--segment-time", "1"]).success();
    judge(&source, &place.path("out/phone.flv"));
    assert_eq!(field(&place.path("out/phone.flv"), "v", "width"), "180");
}

#[test]
fn sound_alone_has_no_segments_and_comes_out() {
    let place = Place::new();
    let source = place.path("tone.wav");
    media::tone(&source);
    let ran = place.run(&[&source], &[]);
    assert_eq!(ran.success()["segments"], 0);
    assert_eq!(ran.success()["outputs"][0]["audio"]["samples"], 88_200);
    assert!(has(&place.path("out/tone.mp4"), "a"));
    judge_sound(&source, &place.path("out/tone.mp4"));
}

#[test]
fn the_facts_in_the_result_are_those_of_the_file() {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::clip(&source);
    let ran = place.run(&[&source], &["--segment-time", "1"]);
    let output = &ran.success()["outputs"][0];
    let path = place.path("out/a.mp4");
    assert_eq!(output["bytes"], std::fs::metadata(&path).unwrap().len());
    assert_eq!(output["video"]["frames"], pictures(&path).len());
    assert_eq!(output["video"]["width"], 320);
    assert_eq!(output["audio"]["sample_rate"], 48_000);
    assert!((output["duration_seconds"].as_f64().unwrap() - 3.0).abs() < 0.1);
}

#[test]
fn the_index_of_an_mp4_is_in_front() {
    let place = Place::new();
    let source = place.path("a.mkv");
    media::clip(&source);
    place.run(&[&source], &[]).success();
    let bytes = std::fs::read(place.path("out/a.mp4")).unwrap();
    let at = |name: &[u8]| bytes.windows(4).position(|window| window == name).unwrap();
    assert!(at(b"moov") < at(b"mdat"));
}
