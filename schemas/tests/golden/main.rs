//! The golden bytes of each version of each record, as they are on a topic. Every later version must read them.
#![allow(clippy::unwrap_used, missing_docs)]

mod parts;
mod whole;

use apache_avro::{to_value, writer::datum::GenericDatumWriter};
use millrace_schemas::{frame::Record, *};

use self::{parts::*, whole::*};

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
