//! The golden bytes of each version of each record, as they are on a topic. Every later version must read them.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::HashMap;

use apache_avro::{to_value, writer::datum::GenericDatumWriter};
use millrace_schemas::{frame::Record, *};

/// The environment variable that writes the missing files, after a version was added.
const REWRITE: &str = "MILLRACE_REWRITE_SCHEMAS";

fn hex(bytes: &[u8]) -> String {
    let lines: Vec<String> =
        bytes.chunks(32).map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect()).collect();
    lines.join("\n") + "\n"
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

/// Compares a record with its golden bytes. `before` returns the record without the fields that a version did not have.
fn golden<R: Record + PartialEq + std::fmt::Debug>(name: &str, record: &R, before: impl Fn(usize) -> R) {
    for version in 1..=R::VERSIONS.len() {
        let path = format!("{}/tests/golden/{name}.{version}.hex", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os(REWRITE).is_some() && !std::path::Path::new(&path).exists() {
            std::fs::write(&path, hex(&written_by(record, version))).unwrap();
        }
        let file = bytes(&std::fs::read_to_string(&path).unwrap());
        if version == R::VERSIONS.len() {
            assert_eq!(hex(&record.encode().unwrap()), hex(&file), "{path}");
            assert_eq!(&R::decode(&file).unwrap(), record, "{path}");
        } else {
            assert_eq!(R::decode(&file).unwrap(), before(version), "{path}");
        }
    }
}

/// Returns the bytes as that version wrote them.
fn written_by<R: Record>(record: &R, version: usize) -> Vec<u8> {
    let schema = R::codec().schemas()[version - 1];
    let value = to_value(record).unwrap().resolve(schema).unwrap();
    let id = frame::schema_id(R::NUMBER, u32::try_from(version).unwrap());
    let mut bytes = vec![0];
    bytes.extend(id.to_be_bytes());
    GenericDatumWriter::builder(schema).build().unwrap().write_value(&mut bytes, value).unwrap();
    bytes
}

/// Groups of fields, in the order in which versions added them. A record has the groups up to one of these.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Fields {
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
use Fields::{Early, Facts, Filters, Grids, Packages, Pictures, Principals, Profiles, Rates, Seams, Steps};

impl Fields {
    /// Returns the value if its group is among these, else the default.
    fn since<T: Default>(self, first: Self, value: T) -> T {
        if self >= first { value } else { T::default() }
    }
}

fn upload(fields: Fields) -> Upload {
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
fn old_upload(version: usize) -> Upload {
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

fn source() -> SourceRef {
    SourceRef { url: "file:///in/a.mov".into(), version: "9-abc".into(), bytes: 4_000_000_000 }
}

fn settings(fields: Fields) -> VideoSettings {
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

fn video_filters(fields: Fields) -> VideoFilters {
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

fn text_style(alignment: i32) -> TextStyle {
    let area = Area { x: 96, y: 54, width: 1728, height: 972 };
    TextStyle { font: Some(source()), size: 54, area, alignment }
}

fn sound_settings(fields: Fields) -> AudioSettings {
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

fn shape() -> PictureShape {
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

fn track_source(fields: Fields) -> TrackSource {
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

fn trim() -> Trim {
    Trim { from: 10_000_000, to: Some(60_000_000) }
}

fn segment(fields: Fields) -> Segment {
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

fn track(fields: Fields) -> TrackPlan {
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

fn output(fields: Fields) -> OutputPlan {
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
    }
}

fn protection() -> Protection {
    Protection {
        method: "cbcs".into(),
        key: "films".into(),
        uri: "skd://films".into(),
        key_id: "00112233445566778899aabbccddeeff".into(),
        vector: "0f0e0d0c0b0a09080706050403020100".into(),
    }
}

fn facts(fields: Fields) -> OutputFacts {
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

fn sum(fields: Fields) -> TrackSum {
    let passes = fields.since(Rates, vec![RatePass { quality: 23.5, bit_rate: 3_100_000 }]);
    TrackSum { plan: track(fields), units: 45, packets: 45, bytes: 99, reorder: 2, digest: -3, passes }
}

/// A signal that says everything, which no real one does.
fn signal(fields: Fields) -> Signal {
    let mut signal = Signal::new("0123456789abcdef", 2, 1_700_000_000_000);
    signal.started = Some(Started {
        source: source(),
        tracks: vec![track(fields)],
        outputs: vec![output(fields)],
        labels: HashMap::new(),
        deadline_ms: Some(5),
        work: "w".into(),
        upload: Some(upload(fields)),
        kept: vec![facts(fields)],
        warnings: warnings(fields),
    });
    signal.refused =
        Some(Refused { source: "file:///x".into(), reason: "is empty".into(), upload: Some(upload(fields)) });
    let made = Made {
        rendition: "v-1".into(),
        units: 5,
        packets: 6,
        bytes: 7,
        first: -8,
        next: Some(9),
        reorder: 1,
        digest: i64::MIN,
    };
    signal.segment = Some(SegmentOutcome {
        index: 3,
        made: vec![made.clone()],
        reused: true,
        failure: Some("broken".into()),
        warnings: warnings(fields),
        replaced: fields.since(Seams, vec![made]),
    });
    signal.merge = Some(MergeOutcome {
        url: "file:///out/a.mp4".into(),
        facts: Some(facts(fields)),
        failure: Some("no room".into()),
        round: fields.since(Seams, 1),
        again: fields.since(
            Seams,
            vec![UncleanRun {
                rendition: "v-1".into(),
                replaces: vec![3, 4],
                start: Some(90_000),
                end: None,
                seeks: vec![Seek { by: SeekBy::Time, at: 45_000, state: 0 }],
            }],
        ),
        warnings: fields.since(Seams, vec!["sound runs 1.0 % fast".into()]),
        step: fields.since(Steps, MergeStep::Stage),
        token: fields.since(Steps, "00c0ffee00c0ffee".into()),
        passes: fields
            .since(Rates, vec![NextPass { rendition: "v-1".into(), bit_rate: 3_500_000, quality: 22.25 }]),
    });
    signal.cancelled = Some(Cancelled { reason: "asked".into() });
    signal
}

fn old_signal(version: usize) -> Signal {
    let mut signal = signal(match version {
        12 => Grids,
        11 => Packages,
        10 => Rates,
        9 => Filters,
        8 => Profiles,
        7 => Steps,
        6 => Principals,
        5 => Seams,
        4 => Facts,
        _ => Early,
    });
    if version >= 3 {
        return signal;
    }
    if let (Some(started), Some(refused)) = (&mut signal.started, &mut signal.refused) {
        let upload = (version == 2).then(|| old_upload(2));
        started.upload.clone_from(&upload);
        refused.upload = upload;
        started.kept.clear();
        if version == 1 {
            started.work.clear();
        }
    }
    signal
}

fn assembly(fields: Fields) -> Assembly {
    Assembly {
        execution: "0123456789abcdef".into(),
        attempt: 2,
        phase: Phase::Cancelled,
        source: source(),
        reason: Some("asked".into()),
        segments_done: vec![0b101, 1],
        segments: 10,
        done: 3,
        video_segments: 9,
        reused: 1,
        tracks: vec![sum(fields)],
        outputs: vec![PlannedOutput {
            plan: output(fields),
            facts: Some(facts(fields)),
            standing: fields.since(Steps, Standing::Staged),
            token: fields.since(Steps, "00c0ffee00c0ffee".into()),
        }],
        labels: HashMap::from([("team".into(), "film".into())]),
        started_ms: 1,
        ended_ms: Some(2),
        deadline_ms: Some(3),
        work: "w".into(),
        upload: Some(upload(fields)),
        warnings: warnings(fields),
        segment_warnings: fields.since(Seams, vec!["a picture at 0.500 s is damaged".into()]),
        round: fields.since(Seams, 1),
        again: fields.since(Seams, vec![Again { index: 2_100_001, replaces: vec![3, 4] }]),
        step: fields.since(Steps, MergeStep::Publish),
        waiting: fields.since(Grids, Some(waiting())),
    }
}

fn waiting() -> Waiting {
    let run = UncleanRun {
        rendition: "v-1".into(),
        replaces: vec![3],
        start: Some(100),
        end: None,
        seeks: vec![Seek { by: SeekBy::Byte, at: 77, state: 1 }],
    };
    let pass = NextPass { rendition: "v-1".into(), bit_rate: 3_500_000, quality: 22.25 };
    Waiting { urls: vec!["file:///out/a.mp4".into()], again: vec![run], passes: vec![pass] }
}

fn merge(fields: Fields) -> Merge {
    Merge {
        execution: "0123456789abcdef".into(),
        attempt: 2,
        source: source(),
        output: output(fields),
        tracks: vec![sum(fields)],
        work: "w".into(),
        round: fields.since(Seams, 1),
        strict: fields >= Seams,
        step: fields.since(Steps, MergeStep::Publish),
        token: fields.since(Steps, "00c0ffee00c0ffee".into()),
    }
}

fn merged(fields: Fields) -> Merged {
    Merged {
        execution: "0123456789abcdef".into(),
        attempt: 2,
        state: Phase::Succeeded,
        reason: None,
        source: source(),
        outputs: vec![facts(fields)],
        segments: 9,
        segments_reused: 1,
        started_ms: 1,
        ended_ms: 2,
        labels: HashMap::new(),
        work: "w".into(),
        warnings: warnings(fields),
    }
}

fn warnings(fields: Fields) -> Vec<String> {
    fields.since(Facts, vec!["2 pictures between 1.000 s and 1.040 s are damaged".into()])
}

#[test]
fn what_was_once_written_is_read_for_good() {
    let none = String::new;
    golden("upload", &upload(Packages), old_upload);
    golden("segment", &segment(Pictures), |version| match version {
        1 => Segment { work: none(), ..segment(Early) },
        2 => segment(Early),
        3 => Segment { longest_gap: 0, last_time: 0, ..segment(Facts) },
        4 => segment(Facts),
        5 => segment(Seams),
        6 => segment(Profiles),
        7 => segment(Filters),
        8 => segment(Packages),
        _ => segment(Grids),
    });
    golden("signal", &signal(Pictures), old_signal);
    golden("assembly", &assembly(Pictures), |version| match version {
        1 => Assembly { work: none(), upload: None, ..assembly(Early) },
        2 | 3 => Assembly { upload: Some(old_upload(version)), ..assembly(Early) },
        4 => assembly(Facts),
        5 => assembly(Seams),
        6 => assembly(Principals),
        7 => assembly(Steps),
        8 => assembly(Profiles),
        9 => assembly(Filters),
        10 => assembly(Rates),
        11 => assembly(Packages),
        _ => assembly(Grids),
    });
    golden("merge", &merge(Pictures), |version| match version {
        1 => Merge { work: none(), ..merge(Early) },
        2 => merge(Early),
        3 => merge(Facts),
        4 => merge(Seams),
        5 => merge(Steps),
        6 => merge(Profiles),
        7 => merge(Filters),
        8 => merge(Rates),
        9 => merge(Packages),
        _ => merge(Grids),
    });
    golden("merged", &merged(Packages), |version| match version {
        1 => Merged { work: none(), ..merged(Early) },
        2 => merged(Early),
        3 => merged(Facts),
        _ => merged(Rates),
    });
    let event = ExecutionEvent {
        execution: "e".into(),
        attempt: 1,
        at_ms: 2,
        processor: "split".into(),
        event: "started".into(),
        detail: "9 segments".into(),
        elapsed_ms: Some(3),
    };
    golden("execution_event", &event, |_| event.clone());
    let progress = Progress { execution: "e".into(), index: 1, done: 2, expected: 3 };
    golden("progress", &progress, |_| progress.clone());
    let line = LogLine {
        execution: "e".into(),
        at_ms: 1,
        level: "warn".into(),
        target: "media".into(),
        message: "late picture".into(),
    };
    golden("log_line", &line, |_| line.clone());
    let control = Control { execution: "e".into(), attempt: 2 };
    golden("control", &control, |_| control.clone());
    let arrival = Arrival {
        source: "s3://videos/in/a.mov".into(),
        version: "5d41402abc4b2a76b9719d911017c592".into(),
        sequencer: Some("0055AED6DCD90281E5".into()),
        at_ms: 1_800_000_000_000,
        uploads: vec![Upload {
            principal: "press".into(),
            profile: Some("web".into()),
            ..Upload::of("s3://videos/in/a.mov", "s3://videos/out")
        }],
    };
    golden("arrival", &arrival, |version| Arrival {
        uploads: vec![Upload {
            principal: if version >= 4 { "press".into() } else { String::new() },
            profile: (version >= 5).then(|| "web".into()),
            ..Upload::of("s3://videos/in/a.mov", "s3://videos/out")
        }],
        ..arrival.clone()
    });
    let seen = Seen {
        source: arrival.source.clone(),
        version: arrival.version.clone(),
        sequencer: None,
        at_ms: arrival.at_ms,
        asked: "0123456789abcdef".into(),
    };
    golden("seen", &seen, |_| seen.clone());
}

#[test]
fn a_record_that_claims_a_newer_version_is_told_from_what_is_none() {
    let mut newer = upload(Seams).encode().unwrap();
    newer[1..5].copy_from_slice(&frame::schema_id(Upload::NUMBER, 9).to_be_bytes());
    assert!(matches!(Upload::decode(&newer), Err(RecordError::Claimed { found: 9, known: 8, .. })));
    newer[1..5].copy_from_slice(&0xdead_beef_u32.to_be_bytes());
    assert!(matches!(Upload::decode(&newer), Err(RecordError::UnknownSchema { .. })));
    let mut long = upload(Seams).encode().unwrap();
    long.push(0);
    assert!(matches!(Upload::decode(&long), Err(RecordError::Trailing { bytes: 1, .. })));
}
