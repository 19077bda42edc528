//! What records are made of, with the fields up to a group of versions.

use std::collections::HashMap;

use millrace_schemas::*;

/// Groups of fields, in the order in which versions added them. A record has the groups up to one of these.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
pub(crate) enum Fields {
    /// The fields of the first versions that `before` does not remove.
    Early,
    /// Facts from the finished file, auxiliary tracks, and damage.
    Facts,
    /// Segments that are made again, channel layouts, and ends of tracks.
    Seams,
    /// Principals.
    Principals,
    /// Outputs that are staged before they are published.
    Steps,
    /// Profiles.
    Profiles,
    /// Filters, light and bit rates of audio.
    Filters,
    /// Bit rates of video, and bits of samples.
    Rates,
    /// Packages.
    Packages,
    /// Grids of keyframes.
    Grids,
    /// Single pictures, and packages that are encrypted. The latest group.
    Pictures,
}
pub(crate) use Fields::{
    Early, Facts, Filters, Grids, Packages, Pictures, Principals, Profiles, Rates, Seams, Steps,
};

impl Fields {
    /// Returns the value if its group is among these, else the default.
    pub(crate) fn since<T: Default>(self, first: Self, value: T) -> T {
        if self >= first { value } else { T::default() }
    }
}

pub(crate) fn upload(fields: Fields) -> Upload {
    Upload {
        version: Some("9-abc".into()),
        dst_formats: vec!["mp4".into(), "flv".into()],
        labels: HashMap::from([("team".into(), "film".into())]),
        attempt: 2,
        work: Some("0123456789abcdef-1".into()),
        deadline_seconds: Some(3600.0),
        replay: Some("19a".into()),
        made: vec![facts(fields)],
        strict: fields >= Facts,
        keep_location: fields >= Facts,
        principal: fields.since(Principals, "press".into()),
        profile: fields.since(Profiles, Some("web".into())),
        ..Upload::of("file:///in/a.mov", "file:///out")
    }
}

/// Returns the upload with the fields of that version.
pub(crate) fn old_upload(version: usize) -> Upload {
    let second = Upload { replay: None, made: Vec::new(), ..upload(Early) };
    match version {
        1 => Upload { work: None, deadline_seconds: None, ..second },
        2 => second,
        3 => upload(Early),
        4 => upload(Facts),
        5 => upload(Seams),
        6 => upload(Steps),
        _ => upload(Profiles),
    }
}

pub(crate) fn source() -> SourceRef {
    SourceRef { url: "file:///in/a.mov".into(), version: "9-abc".into(), bytes: 4_000_000_000 }
}

pub(crate) fn settings(fields: Fields) -> VideoSettings {
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
        color: Color { primaries: 1, transfer: 1, matrix: 1, range: 1, chroma: 1 },
        rotation: 90,
        mirrored: fields >= Facts,
        field_order: fields.since(Facts, 1),
        source_color: fields
            .since(Facts, Some(Color { primaries: 9, transfer: 16, matrix: 9, range: 1, chroma: 1 })),
        tone_map: fields >= Facts,
        encoder: fields.since(Profiles, "libx264".into()),
        keyframe_seconds: fields.since(Profiles, 2.0),
        filters: fields.since(Filters, Some(video_filters(fields))),
        light: fields.since(
            Filters,
            Some(Light { mastering: vec![35_400, 14_600, 50], most: 1000, most_average: 400 }),
        ),
        bit_rate: fields.since(
            Rates,
            Some(BitRate {
                average: 4_000_000,
                most: 6_000_000,
                buffer: 8_000_000,
                segment_most: 5_500_000,
                segment_buffer: 2_000_000,
            }),
        ),
        keyframe_grid: fields.since(Grids, Some(-3600)),
        instants: fields.since(
            Pictures,
            Some(Instants {
                clock: vec![1, 90_000],
                zero: -5,
                times: vec![0, 225_000],
                first: 90_000,
                count: 30,
                scene: 0.1,
            }),
        ),
    }
}

pub(crate) fn video_filters(fields: Fields) -> VideoFilters {
    VideoFilters {
        deinterlace: true,
        denoise: "light".into(),
        resample: true,
        crop: Some(Area { x: 8, y: 0, width: 1900, height: 1080 }),
        inside: Some(Area { x: 0, y: 60, width: 1920, height: 960 }),
        overlays: vec![Overlay {
            image: source(),
            area: Area { x: 1700, y: 20, width: 200, height: 100 },
            opacity: 0.75,
            from: 2.0,
            to: Some(12.5),
        }],
        texts: fields.since(
            Rates,
            vec![TextOverlay {
                text: "© Brand".into(),
                style: text_style(9),
                opacity: 0.5,
                from: 1.0,
                to: Some(3.0),
            }],
        ),
        subtitles: fields.since(
            Rates,
            Some(BurntSubtitles { file: Some(source()), stream: -1, shift: 40, style: text_style(2) }),
        ),
    }
}

pub(crate) fn text_style(alignment: i32) -> TextStyle {
    let area = Area { x: 96, y: 54, width: 1728, height: 972 };
    TextStyle { font: Some(source()), size: 54, area, alignment }
}

pub(crate) fn sound_settings(fields: Fields) -> AudioSettings {
    AudioSettings {
        codec: "aac".into(),
        bit_rate: 128_000,
        sample_rate: 48_000,
        channels: 4,
        layout: "quad".into(),
        encoder: fields.since(Profiles, "aac".into()),
        filters: fields.since(
            Filters,
            Some(AudioFilters {
                high_pass: 80,
                denoise: true,
                gain: -1.5,
                loudness: Some(-16.0),
                fade_in: 0.5,
                fade_out: 2.0,
            }),
        ),
        bits: fields.since(Rates, 16),
    }
}

pub(crate) fn shape() -> PictureShape {
    PictureShape {
        width: 1440,
        height: 1080,
        sample_aspect: Ratio { num: 4, den: 3 },
        pixel_format: "yuv420p10le".into(),
        color: Color { primaries: 9, transfer: 16, matrix: 9, range: 1, chroma: 3 },
        rotation: 270,
        mirrored: true,
    }
}

pub(crate) fn track_source(fields: Fields) -> TrackSource {
    TrackSource {
        stream: 1,
        also: vec![4, 5],
        jumps: vec![-95_443_000_000],
        longest_gap: 3600,
        last_time: 900_000,
        shape: Some(shape()),
        states: vec!["AWQAH//h".into()],
        trim: fields.since(Filters, Some(trim())),
    }
}

pub(crate) fn trim() -> Trim {
    Trim { from: 10_000_000, to: Some(60_000_000) }
}

pub(crate) fn segment(fields: Fields) -> Segment {
    Segment {
        execution: "0123456789abcdef".into(),
        attempt: 1,
        index: 7,
        video_segments: 9,
        source: source(),
        stream: 0,
        kind: TrackKind::Video,
        start: Some(-5),
        end: None,
        seeks: vec![Seek { by: SeekBy::Byte, at: 77, state: fields.since(Seams, 1) }],
        renditions: vec![Rendition {
            id: "v-1".into(),
            video: Some(settings(fields)),
            audio: None,
            side: fields.since(Facts, Some(SideSettings { codec: "mov_text".into() })),
        }],
        expected_units: 450,
        work: "0123456789abcdef-1".into(),
        jumps: fields.since(Facts, vec![-95_443_000_000]),
        longest_gap: fields.since(Facts, 3600),
        last_time: fields.since(Facts, 900_000),
        also: fields.since(Seams, vec![4, 5]),
        shape: fields.since(Seams, Some(shape())),
        states: fields.since(Seams, vec!["AWQAH//h".into()]),
        replaces: fields.since(Seams, vec![5, 2_100_000]),
        trim: fields.since(Filters, Some(trim())),
    }
}

pub(crate) fn track(fields: Fields) -> TrackPlan {
    TrackPlan {
        rendition: "v-1".into(),
        kind: TrackKind::Video,
        first_segment: 0,
        segments: 9,
        video: Some(settings(fields)),
        tags: fields
            .since(Facts, Some(TrackTags { language: "deu".into(), title: "Ton".into(), dispositions: 1 })),
        audio: fields.since(Seams, Some(sound_settings(fields))),
        source: fields.since(Seams, Some(track_source(fields))),
        order: fields.since(Seams, vec![0, 1, 2_100_000, 8]),
    }
}

pub(crate) fn output(fields: Fields) -> OutputPlan {
    OutputPlan {
        url: "file:///out/a.mp4".into(),
        format: "mp4".into(),
        renditions: vec!["v-1".into()],
        keep: true,
        mark: "millrace a b".into(),
        overwrite: true,
        extras: fields.since(
            Facts,
            Some(Extras {
                metadata: HashMap::from([("title".into(), "A film".into())]),
                chapters: vec![Chapter { start_seconds: 0.0, end_seconds: 1.5, title: "One".into() }],
                timecode: Some("01:00:00:00".into()),
            }),
        ),
        remarks: fields.since(Seams, vec!["AAC has no channel layout 5.1(side)".into()]),
        package: fields.since(
            Packages,
            Some(PackagePlan {
                segment_seconds: 6.0,
                single: true,
                folder: "3f2a9c1b".into(),
                protection: fields.since(Pictures, Some(protection())),
            }),
        ),
        pictures: fields.since(
            Pictures,
            Some(PicturesPlan {
                format: "jpg".into(),
                best: 3,
                columns: 10,
                rows: 10,
                plays: 1,
                seconds: 59.5,
            }),
        ),
        waveform: fields.since(
            Pictures,
            Some(WaveformPlan {
                width: 1800,
                height: 280,
                color: 0x33_66_99_ff,
                background: 0xff_ff_ff_ff,
                split_channels: true,
            }),
        ),
    }
}

pub(crate) fn protection() -> Protection {
    Protection {
        method: "cbcs".into(),
        key: "films".into(),
        uri: "skd://films".into(),
        key_id: "00112233445566778899aabbccddeeff".into(),
        vector: "0f0e0d0c0b0a09080706050403020100".into(),
    }
}

pub(crate) fn facts(fields: Fields) -> OutputFacts {
    let seconds = |value: f64| fields.since(Facts, value);
    let text = |value: &str| fields.since(Facts, value.to_owned());
    let sound = AudioFacts {
        codec: "aac".into(),
        sample_rate: 48_000,
        samples: 72_000,
        channels: fields.since(Facts, 2),
        layout: fields.since(Seams, "stereo".into()),
        first_seconds: seconds(0.25),
        end_seconds: fields.since(Seams, 1.5),
        language: text("eng"),
        headers: text("0022"),
    };
    let video = VideoFacts {
        codec: "h264".into(),
        width: 1920,
        height: 1080,
        frames: 45,
        first_seconds: seconds(0.5),
        last_seconds: seconds(1.5),
        end_seconds: fields.since(Seams, 1.54),
        frame_rate: seconds(30.0),
        pixel_format: text("yuv420p"),
        sample_aspect: seconds(1.0),
        color: fields.since(Facts, Some(Color { primaries: 1, transfer: 1, matrix: 1, range: 1, chroma: 1 })),
        field_order: fields.since(Facts, 1),
        headers: text("0011"),
    };
    OutputFacts {
        url: "file:///out/a.mp4".into(),
        format: "mp4".into(),
        bytes: 123,
        duration_seconds: 1.5,
        video: Some(video.clone()),
        audio: Some(sound.clone()),
        more_audio: fields.since(Facts, vec![sound]),
        text: fields.since(Facts, vec!["deu".into()]),
        chapters: fields.since(Facts, 2),
        more_video: fields.since(Packages, vec![VideoFacts { width: 1280, height: 720, ..video }]),
        objects: fields.since(Packages, 12),
    }
}

pub(crate) fn sum(fields: Fields) -> TrackSum {
    let passes = fields.since(Rates, vec![RatePass { quality: 23.5, bit_rate: 3_100_000 }]);
    TrackSum { plan: track(fields), units: 45, packets: 45, bytes: 99, reorder: 2, digest: -3, passes }
}
