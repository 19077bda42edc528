//! Today's ids, held fixed: one that changes makes an upgrade encode everything again, and two versions that run side by side
//! disagree. One that must change is told of in CHANGELOG.md.
#![allow(clippy::unwrap_used, missing_docs)]

use millrace_schemas::{
    AudioSettings, Color, Encoders, Fingerprint, Ratio, Rendition, SideSettings, SourceRef, Upload,
    VideoSettings, add_digest, canonical_text, execution_id, rendition_id,
};

const COLOR: Color = Color { primaries: 1, transfer: 1, matrix: 1, range: 1, chroma: 1 };

fn encoders() -> Encoders {
    let pairs = [("h264", "libx264 core 164 r3095 baee400 (Lavc59.37.100)"), ("aac", "aac (Lavc59.37.100)")];
    pairs.map(|(codec, encoder)| (codec.to_owned(), encoder.to_owned())).into_iter().collect()
}

fn video() -> VideoSettings {
    VideoSettings {
        codec: "h264".into(),
        preset: "medium".into(),
        crf: 23.0,
        width: 1920,
        height: 1080,
        pixel_format: "yuv420p".into(),
        time_base: Ratio { num: 1, den: 90_000 },
        frame_rate: Ratio { num: 30_000, den: 1001 },
        sample_aspect: Ratio { num: 1, den: 1 },
        color: COLOR,
        rotation: 0,
        mirrored: false,
        field_order: 0,
        source_color: None,
        tone_map: false,
        encoder: String::new(),
        keyframe_seconds: 0.0,
        filters: None,
        light: None,
        bit_rate: None,
        keyframe_grid: None,
        instants: None,
    }
}

fn audio() -> AudioSettings {
    AudioSettings {
        codec: "aac".into(),
        bit_rate: 128_000,
        sample_rate: 48_000,
        channels: 2,
        layout: String::new(),
        encoder: String::new(),
        filters: None,
        bits: 0,
    }
}

fn of_video(video: VideoSettings) -> Rendition {
    Rendition { id: String::new(), video: Some(video), audio: None, side: None }
}

fn of_audio(audio: AudioSettings) -> Rendition {
    Rendition { id: String::new(), video: None, audio: Some(audio), side: None }
}

fn of_text() -> Rendition {
    let side = SideSettings { codec: "mov_text".into() };
    Rendition { id: String::new(), video: None, audio: None, side: Some(side) }
}

fn id(rendition: &Rendition) -> String {
    rendition_id(rendition, &encoders()).to_string()
}

fn upload() -> Upload {
    Upload::read(br#"{"source": "file:///in/a.mov", "output_prefix": "file:///out"}"#).unwrap()
}

fn source() -> SourceRef {
    SourceRef { url: "file:///in/a.mov".into(), version: "1".into(), bytes: 1 }
}

#[test]
fn the_text_of_a_rendition_has_each_setting_and_the_encoder() {
    let text = canonical_text(&of_video(video()), &encoders());
    let expected = "video.codec=h264
video.color=1-1-1-1-1
video.crf=23
video.encoder=libx264 core 164 r3095 baee400 (Lavc59.37.100)
video.frame_rate=30000/1001
video.height=1080
video.pixel_format=yuv420p
video.preset=medium
video.sample_aspect=1/1
video.time_base=1/90000
video.width=1920
";
    assert_eq!(text, expected);
}

#[test]
fn a_setting_that_is_not_at_its_default_has_a_line() {
    let turned = VideoSettings {
        rotation: 90,
        mirrored: true,
        field_order: 1,
        source_color: Some(COLOR),
        tone_map: true,
        ..video()
    };
    let text = canonical_text(&of_video(turned), &encoders());
    for line in [
        "video.field_order=1",
        "video.mirrored=true",
        "video.rotation=90",
        "video.source_color=1-1-1-1-1",
        "video.tone_map=true",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    let quad = AudioSettings { channels: 4, layout: "quad".into(), ..audio() };
    assert!(canonical_text(&of_audio(quad), &encoders()).contains("audio.layout=quad\n"));
}

#[test]
fn the_ids_of_renditions_are_those_of_the_first_version_that_had_canonical_texts() {
    let found = [
        id(&of_video(video())),
        id(&of_video(VideoSettings { rotation: 90, ..video() })),
        id(&of_audio(audio())),
        rendition_id(&of_audio(audio()), &encoders()).of_track(1).to_string(),
        id(&of_text()),
    ];
    let expected = [
        "v-d589eed2eda7f4c4",
        "v-3466462749b04890",
        "a-07c10a258fd937da",
        "a-07c10a258fd937da.1",
        "s-b2cba56f61fcdedc",
    ];
    assert_eq!(found, expected);
}

#[test]
fn another_version_of_the_encoder_makes_another_rendition() {
    let newer: Encoders =
        [("h264".to_owned(), "libx264 core 165 (Lavc61.3.100)".to_owned())].into_iter().collect();
    assert_ne!(rendition_id(&of_video(video()), &newer).to_string(), id(&of_video(video())));
    // Text and covers are not encoded.
    assert_eq!(rendition_id(&of_text(), &newer).to_string(), id(&of_text()));
}

#[test]
fn a_value_of_several_lines_is_no_other_setting() {
    let crafted = AudioSettings { layout: "x\naudio.sample_rate=1".into(), ..audio() };
    let text = canonical_text(&of_audio(crafted), &encoders());
    assert_eq!(text.lines().count(), 6, "{text}");
}

#[test]
fn the_ids_of_executions_are_those_of_before() {
    let of = |upload: &Upload| execution_id(upload, &source());
    let found = [
        of(&upload()),
        of(&Upload { strict: true, keep_location: true, ..upload() }),
        of(&Upload { name: Some("friday".into()), ..upload() }),
        of(&Upload { principal: "press".into(), ..upload() }),
        of(&Upload { replay: Some("1".into()), ..upload() }),
    ];
    let expected =
        ["4ecf3315136e4efa", "19dcdd8d069c2b40", "903c93209b951d3f", "b9d52c9c2413d696", "ea90c4754b8e9e77"];
    assert_eq!(found, expected);
}

#[test]
fn the_marks_of_outputs_are_those_of_before() {
    let mark = Fingerprint::new(&source(), "mp4", &["v-0123456789abcdef", "a-0123456789abcdef"]).mark();
    assert_eq!(mark, "millrace 0914d3c17608caaf 98b4549a7d199236");
}

#[test]
fn a_track_digest_says_which_object_belongs_to_which_segment() {
    let sum = |objects: &[(i64, i32)]| {
        objects.iter().fold(0, |sum, (digest, index)| add_digest(sum, *digest, *index))
    };
    assert_eq!(sum(&[(5, 0), (7, 1)]), 26);
    assert_eq!(sum(&[(7, 1), (5, 0)]), 26);
    assert_ne!(sum(&[(7, 0), (5, 1)]), 26);
    assert_eq!(sum(&[(i64::MAX, 1)]), i64::MAX - 2);
}
