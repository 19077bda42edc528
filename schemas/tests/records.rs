//! Types equal their schema files, and records survive the frame.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::HashMap;

use apache_avro::{AvroSchema, Schema, schema_compatibility::SchemaCompatibility};
use millrace_schemas::frame::Record;
use millrace_schemas::*;

/// The environment variable that rewrites the schema files that differ from their types.
const REWRITE: &str = "MILLRACE_REWRITE_SCHEMAS";

/// Returns a schema as JSON, without its documentation: that of a released file never changes, while a type's may be improved. The
/// file of the next version has it.
fn json(schema: &Schema) -> serde_json::Value {
    let mut json = serde_json::to_value(schema).unwrap();
    remove_docs(&mut json);
    json
}

fn remove_docs(json: &mut serde_json::Value) {
    match json {
        serde_json::Value::Object(object) => {
            object.remove("doc");
            object.values_mut().for_each(remove_docs);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(remove_docs),
        _ => {}
    }
}

fn folder(name: &str) -> String {
    format!("{}/avro/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn equal<T: Record + AvroSchema>(name: &str) {
    let derived = T::get_schema();
    let last = T::VERSIONS.len();
    let path = format!("{}/{last}.avsc", folder(name));
    let written = Schema::parse_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    if std::env::var_os(REWRITE).is_some() && json(&written) != json(&derived) {
        std::fs::write(&path, format!("{:#}\n", serde_json::to_value(&derived).unwrap())).unwrap();
        return;
    }
    assert_eq!(
        json(&written),
        json(&derived),
        "{path} and {} differ. What was released never changes: add a file for a new version, then {REWRITE}=1",
        T::NAME
    );
    assert_eq!(json(T::codec().schemas()[last - 1]), json(&derived));
    assert_eq!(
        std::fs::read_dir(folder(name)).unwrap().count(),
        last,
        "every file of avro/{name} is a version"
    );
}

/// Every version can read what every other wrote: FULL_TRANSITIVE.
fn compatible<T: Record>() {
    for old in T::codec().schemas() {
        for new in T::codec().schemas() {
            if let Err(error) = SchemaCompatibility::mutual_read(old, new) {
                panic!("{}: {error}", T::NAME);
            }
        }
    }
}

/// Does something for every record and its folder.
macro_rules! for_every_record {
    ($does:ident($($with:expr)?)) => {
        for_every_record!(@ $does, Upload "upload", Segment "segment", Signal "signal", Assembly "assembly",
            Merge "merge", Merged "merged", ExecutionEvent "execution_event", Progress "progress", LogLine "log_line", Control "control", Arrival "arrival", Seen "seen")
    };
    (@ equal, $($type:ident $name:literal),+) => {$(equal::<$type>($name);)+};
    (@ compatible, $($type:ident $name:literal),+) => {$(compatible::<$type>();)+};
    (@ names, $($type:ident $name:literal),+) => {[$(($name, <$type as Record>::NUMBER)),+]};
}

#[test]
fn every_schema_file_equals_its_type() {
    for_every_record!(equal());
}

#[test]
fn every_version_reads_every_other() {
    for_every_record!(compatible());
}

#[test]
fn every_schema_folder_belongs_to_a_type_and_no_two_have_one_number() {
    let records = for_every_record!(names());
    assert_eq!(std::fs::read_dir(folder("")).unwrap().count(), records.len());
    let numbers: std::collections::BTreeSet<u32> = records.iter().map(|(_, number)| *number).collect();
    assert_eq!(numbers.len(), records.len());
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
        work: Some("e-2".into()),
        deadline_seconds: Some(60.0),
        replay: None,
        made: Vec::new(),
        strict: true,
        keep_location: false,
        principal: "press".into(),
        profile: Some("web".into()),
    }
}

#[test]
fn a_record_survives_the_frame() {
    let framed = upload().encode().unwrap();
    assert_eq!(framed[..5], [0, 0, 0, 0x1b, 0x59], "version 8 of record 1");
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
        warnings: Vec::new(),
        replaced: Vec::new(),
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
fn a_number_in_json_is_read_to_its_last_bit() {
    for time in [1.9585634139699245e276, 0.1 + 0.2, 29.97, 1001.0 / 30.0, f64::MIN_POSITIVE, 5e-324] {
        let upload = Upload { segment_time_seconds: time, ..Upload::of("file:///a.mov", "file:///out") };
        assert_eq!(Upload::read(&serde_json::to_vec(&upload).unwrap()).unwrap(), upload, "{time:?}");
    }
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
    assert!(matches!(Segment::decode(&good), Err(RecordError::UnknownSchema { found: 7001, .. })));
}

#[test]
fn an_upload_that_is_too_long_is_an_error_that_says_so() {
    let labels = HashMap::from([("note".to_owned(), "x".repeat(100_000))]);
    let long = Upload { labels, ..upload() }.encode().unwrap();
    let error = Upload::read(&long).unwrap_err();
    assert!(error.to_string().contains("fewer or shorter labels"), "{error}");
}
