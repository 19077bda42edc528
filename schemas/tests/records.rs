//! Types and schema files say the same, and records survive the frame.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::HashMap;

use apache_avro::{AvroSchema, Schema};
use millrace_schemas::frame::Record;
use millrace_schemas::*;

/// Set to rewrite the schema files from the types, after a change of the types that was meant.
const REWRITE: &str = "MILLRACE_REWRITE_SCHEMAS";

fn json(schema: &Schema) -> serde_json::Value {
    serde_json::to_value(schema).unwrap()
}

fn equal<T: Record + AvroSchema>(file: &str) {
    let derived = T::get_schema();
    let path = format!("{}/avro/{file}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os(REWRITE).is_some() {
        std::fs::write(&path, format!("{:#}\n", json(&derived))).unwrap();
        return;
    }
    let written = Schema::parse_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(
        json(&written),
        json(&derived),
        "{file} and {} differ; if the type is right: {REWRITE}=1",
        T::NAME
    );
    assert_eq!(json(T::schema()), json(&derived));
}

#[test]
fn every_schema_file_equals_its_type() {
    equal::<Upload>("upload.avsc");
    equal::<Segment>("segment.avsc");
    equal::<Signal>("signal.avsc");
    equal::<Assembly>("assembly.avsc");
    equal::<Merge>("merge.avsc");
    equal::<Merged>("merged.avsc");
    equal::<ExecutionEvent>("execution_event.avsc");
    equal::<Progress>("progress.avsc");
}

#[test]
fn every_schema_file_belongs_to_a_type() {
    let files = std::fs::read_dir(format!("{}/avro", env!("CARGO_MANIFEST_DIR"))).unwrap().count();
    assert_eq!(files, 8);
}

fn upload() -> Upload {
    Upload {
        source: Some("file:///a.mov".into()),
        oss_bucket_name: None,
        video_key: None,
        version: Some("1-2".into()),
        output_prefix: "file:///out".into(),
        segment_time_seconds: 0.5,
        dst_formats: vec!["mp4".into(), "flv".into()],
        name: None,
        labels: HashMap::from([("team".into(), "film".into())]),
        overwrite: true,
        attempt: 3,
    }
}

#[test]
fn a_record_survives_the_frame() {
    let framed = upload().encode().unwrap();
    assert_eq!(framed[..5], [0, 0, 0, 0, 1]);
    assert_eq!(Upload::decode(&framed).unwrap(), upload());

    let mut signal = Signal::new("e", 1, 7);
    signal.segment = Some(SegmentOutcome {
        index: 4,
        made: vec![Made {
            rendition: "v".into(),
            units: 12,
            packets: 12,
            bytes: 99,
            first: -3,
            next: Some(1 << 40),
            reorder: 2,
            digest: i64::MIN,
        }],
        reused: true,
        failure: None,
    });
    assert_eq!(Signal::decode(&signal.encode().unwrap()).unwrap(), signal);
}

#[test]
fn an_upload_may_be_written_by_hand() {
    let text =
        br#" {"oss_bucket_name": "buckettestfnf", "video_key": "source/test.mov", "output_prefix": "outputs",
        "segment_time_seconds": 15, "dst_formats": ["mp4", "flv"]}"#;
    let upload = Upload::read(text).unwrap();
    assert_eq!(upload.video_key.as_deref(), Some("source/test.mov"));
    assert_eq!(upload.attempt, 1);
    assert!(!upload.overwrite);
}

#[test]
fn an_unknown_field_is_an_error_that_names_it() {
    let error = Upload::read(br#"{"output_prefix": "o", "segment_tyme": 3}"#).unwrap_err();
    assert!(error.to_string().contains("segment_tyme"), "{error}");
}

#[test]
fn what_is_not_a_record_is_an_error_and_not_a_panic() {
    let good = upload().encode().unwrap();
    for cut in 0..good.len() {
        assert!(Upload::decode(&good[..cut]).is_err(), "cut at {cut}");
    }
    assert!(matches!(Upload::decode(&[1, 0, 0, 0, 1, 0]), Err(RecordError::NotFramed)));
    assert!(matches!(Segment::decode(&good), Err(RecordError::UnknownSchema { found: 1, .. })));
}
