//! The bytes of each record, of each version, as they lie on a topic: what was once written is read for good.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::HashMap;

use apache_avro::{to_value, writer::datum::GenericDatumWriter};
use millrace_schemas::{frame::Record, *};

/// Set to write the files that are missing, after a new version was added.
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

/// Holds a record to its golden bytes. `before` takes out of it what the version did not have yet.
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

/// The bytes as that version wrote them.
fn written_by<R: Record>(record: &R, version: usize) -> Vec<u8> {
    let schema = R::codec().schemas()[version - 1];
    let value = to_value(record).unwrap().resolve(schema).unwrap();
    let id = frame::schema_id(R::NUMBER, u32::try_from(version).unwrap());
    let mut bytes = vec![0];
    bytes.extend(id.to_be_bytes());
    GenericDatumWriter::builder(schema).build().unwrap().write_value(&mut bytes, value).unwrap();
    bytes
}

fn upload(new: bool) -> Upload {
    Upload {
        version: Some("9-abc".into()),
        dst_formats: vec!["mp4".into(), "flv".into()],
        labels: HashMap::from([("team".into(), "film".into())]),
        attempt: 2,
        work: Some("0123456789abcdef-1".into()),
        deadline_seconds: Some(3600.0),
        replay: Some("19a".into()),
        made: vec![facts(new)],
        strict: new,
        keep_location: new,
        ..Upload::of("file:///in/a.mov", "file:///out")
    }
}

/// As that version knew it.
fn old_upload(version: usize) -> Upload {
    let second = Upload { replay: None, made: Vec::new(), ..upload(false) };
    if version == 3 {
        return upload(false);
    }
    if version == 2 { second } else { Upload { work: None, deadline_seconds: None, ..second } }
}

fn source() -> SourceRef {
    SourceRef { url: "file:///in/a.mov".into(), version: "9-abc".into(), bytes: 4_000_000_000 }
}

fn settings(new: bool) -> VideoSettings {
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
        mirrored: new,
        field_order: i32::from(new),
        source_color: new.then_some(Color { primaries: 9, transfer: 16, matrix: 9, range: 1, chroma: 1 }),
        tone_map: new,
    }
}

fn segment(new: bool) -> Segment {
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
        seeks: vec![Seek { by: SeekBy::Byte, at: 77 }],
        renditions: vec![Rendition {
            id: "v-1".into(),
            video: Some(settings(new)),
            audio: None,
            side: new.then(|| SideSettings { codec: "mov_text".into() }),
        }],
        expected_units: 450,
        work: "0123456789abcdef-1".into(),
        jumps: if new { vec![-95_443_000_000] } else { Vec::new() },
        longest_gap: if new { 3600 } else { 0 },
        last_time: if new { 900_000 } else { 0 },
    }
}

fn track(new: bool) -> TrackPlan {
    TrackPlan {
        rendition: "v-1".into(),
        kind: TrackKind::Video,
        first_segment: 0,
        segments: 9,
        video: Some(settings(new)),
        tags: new.then(|| TrackTags { language: "deu".into(), title: "Ton".into(), dispositions: 1 }),
    }
}

fn output(new: bool) -> OutputPlan {
    OutputPlan {
        url: "file:///out/a.mp4".into(),
        format: "mp4".into(),
        renditions: vec!["v-1".into()],
        keep: true,
        mark: "millrace a b".into(),
        overwrite: true,
        extras: new.then(|| Extras {
            metadata: HashMap::from([("title".into(), "A film".into())]),
            chapters: vec![Chapter { start_seconds: 0.0, end_seconds: 1.5, title: "One".into() }],
            timecode: Some("01:00:00:00".into()),
        }),
    }
}

fn facts(new: bool) -> OutputFacts {
    let told = |value: f64| if new { value } else { 0.0 };
    let text = |value: &str| if new { value.to_owned() } else { String::new() };
    let sound = AudioFacts {
        codec: "aac".into(),
        sample_rate: 48_000,
        samples: 72_000,
        channels: 2 * i32::from(new),
        first_seconds: told(0.25),
        language: text("eng"),
        headers: text("0022"),
    };
    OutputFacts {
        url: "file:///out/a.mp4".into(),
        format: "mp4".into(),
        bytes: 123,
        duration_seconds: 1.5,
        video: Some(VideoFacts {
            codec: "h264".into(),
            width: 1920,
            height: 1080,
            frames: 45,
            first_seconds: told(0.5),
            last_seconds: told(1.5),
            frame_rate: told(30.0),
            pixel_format: text("yuv420p"),
            sample_aspect: told(1.0),
            color: new.then_some(Color { primaries: 1, transfer: 1, matrix: 1, range: 1, chroma: 1 }),
            field_order: i32::from(new),
            headers: text("0011"),
        }),
        audio: Some(sound.clone()),
        more_audio: if new { vec![sound] } else { Vec::new() },
        text: if new { vec!["deu".into()] } else { Vec::new() },
        chapters: 2 * i32::from(new),
    }
}

fn sum(new: bool) -> TrackSum {
    TrackSum { plan: track(new), units: 45, packets: 45, bytes: 99, reorder: 2, digest: -3 }
}

/// A signal that says everything, which no real one does.
fn signal(new: bool) -> Signal {
    let mut signal = Signal::new("0123456789abcdef", 2, 1_700_000_000_000);
    signal.started = Some(Started {
        source: source(),
        tracks: vec![track(new)],
        outputs: vec![output(new)],
        labels: HashMap::new(),
        deadline_ms: Some(5),
        work: "w".into(),
        upload: Some(upload(new)),
        kept: vec![facts(new)],
        warnings: warnings(new),
    });
    signal.refused =
        Some(Refused { source: "file:///x".into(), reason: "is empty".into(), upload: Some(upload(new)) });
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
        made: vec![made],
        reused: true,
        failure: Some("broken".into()),
        warnings: warnings(new),
    });
    signal.merge = Some(MergeOutcome {
        url: "file:///out/a.mp4".into(),
        facts: Some(facts(new)),
        failure: Some("no room".into()),
    });
    signal.cancelled = Some(Cancelled { reason: "asked".into() });
    signal
}

fn old_signal(version: usize) -> Signal {
    let mut signal = signal(false);
    if version == 3 {
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

fn assembly(new: bool) -> Assembly {
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
        tracks: vec![sum(new)],
        outputs: vec![PlannedOutput { plan: output(new), facts: Some(facts(new)) }],
        labels: HashMap::from([("team".into(), "film".into())]),
        started_ms: 1,
        ended_ms: Some(2),
        deadline_ms: Some(3),
        work: "w".into(),
        upload: Some(upload(new)),
        warnings: warnings(new),
    }
}

fn merge(new: bool) -> Merge {
    Merge {
        execution: "0123456789abcdef".into(),
        attempt: 2,
        source: source(),
        output: output(new),
        tracks: vec![sum(new)],
        work: "w".into(),
    }
}

fn merged(new: bool) -> Merged {
    Merged {
        execution: "0123456789abcdef".into(),
        attempt: 2,
        state: Phase::Succeeded,
        reason: None,
        source: source(),
        outputs: vec![facts(new)],
        segments: 9,
        segments_reused: 1,
        started_ms: 1,
        ended_ms: 2,
        labels: HashMap::new(),
        work: "w".into(),
        warnings: warnings(new),
    }
}

fn warnings(new: bool) -> Vec<String> {
    if new { vec!["2 pictures between 1.000 s and 1.040 s are damaged".into()] } else { Vec::new() }
}

#[test]
fn what_was_once_written_is_read_for_good() {
    let none = String::new;
    golden("upload", &upload(true), old_upload);
    golden("segment", &segment(true), |version| match version {
        1 => Segment { work: none(), ..segment(false) },
        2 => segment(false),
        _ => Segment { longest_gap: 0, last_time: 0, ..segment(true) },
    });
    golden("signal", &signal(true), old_signal);
    golden("assembly", &assembly(true), |version| match version {
        1 => Assembly { work: none(), upload: None, ..assembly(false) },
        version => Assembly { upload: Some(old_upload(version)), ..assembly(false) },
    });
    golden("merge", &merge(true), |version| Merge {
        work: if version == 1 { none() } else { merge(true).work },
        ..merge(false)
    });
    golden("merged", &merged(true), |version| Merged {
        work: if version == 1 { none() } else { merged(true).work },
        ..merged(false)
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
        uploads: vec![Upload::of("s3://videos/in/a.mov", "s3://videos/out")],
    };
    golden("arrival", &arrival, |_| arrival.clone());
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
fn a_record_of_a_newer_version_is_told_from_what_is_none() {
    let mut newer = upload(true).encode().unwrap();
    newer[1..5].copy_from_slice(&frame::schema_id(Upload::NUMBER, 5).to_be_bytes());
    assert!(matches!(Upload::decode(&newer), Err(RecordError::Newer { found: 5, known: 4, .. })));
    newer[1..5].copy_from_slice(&0xdead_beef_u32.to_be_bytes());
    assert!(matches!(Upload::decode(&newer), Err(RecordError::UnknownSchema { .. })));
    let mut long = upload(true).encode().unwrap();
    long.push(0);
    assert!(matches!(Upload::decode(&long), Err(RecordError::Trailing { bytes: 1, .. })));
}
