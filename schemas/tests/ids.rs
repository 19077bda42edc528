//! Ids of a registry: ours, and schemas that others registered. A program of its own, since the ids are a process's.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::HashMap;

use apache_avro::{Schema, to_value, types::Value, writer::datum::GenericDatumWriter};
use millrace_schemas::{
    RecordError, Segment, Upload,
    frame::Record,
    ids::{self, Answer},
};

fn framed(id: u32, schema: &str, value: Value) -> Vec<u8> {
    let schema = Schema::parse_str(schema).unwrap();
    let mut bytes = vec![0];
    bytes.extend(id.to_be_bytes());
    GenericDatumWriter::builder(&schema).build().unwrap().write_value(&mut bytes, value).unwrap();
    bytes
}

fn record(fields: &[(&str, &str)]) -> Value {
    Value::Record(
        fields.iter().map(|(name, text)| ((*name).to_owned(), Value::String((*text).to_owned()))).collect(),
    )
}

#[test]
fn a_registrys_ids_are_read_as_what_they_stand_for() {
    let given: HashMap<u32, u32> =
        ids::all().iter().zip(100..).map(|(record, id)| (record.fixed, id)).collect();
    let mine = given[&Upload::codec().id()];
    ids::install(given);
    let upload = Upload::of("file:///a.mov", "file:///out");
    let value = upload.encode().unwrap();
    assert_eq!(value[1..5], mine.to_be_bytes());
    assert_eq!(ids::unknown(&value), None);
    assert_eq!(Upload::decode(&value).unwrap(), upload);
    assert!(matches!(Segment::decode(&value), Err(RecordError::UnknownSchema { .. })));

    // A team's own: fewer fields, in another order, and not nullable where ours are.
    let own = r#"{"type": "record", "name": "Upload", "namespace": "team", "fields": [
        {"name": "output_prefix", "type": "string"}, {"name": "source", "type": "string"}]}"#;
    let value = framed(7, own, record(&[("output_prefix", "file:///out"), ("source", "file:///a.mov")]));
    assert_eq!(ids::unknown(&value), Some(7));
    assert!(matches!(Upload::decode(&value), Err(RecordError::UnknownSchema { found: 7, .. })));
    let learn = |id, text: &str, is_announced| ids::learn(id, Answer::Schema { text, is_announced });
    assert_eq!(ids::claims(own), None);
    learn(7, own, false).unwrap();
    assert_eq!(ids::unknown(&value), None);
    assert_eq!(Upload::decode(&value).unwrap(), upload);
    assert!(Upload::decode(&value[..value.len() - 3]).is_err(), "cut");
    assert!(Segment::decode(&value).is_err(), "of other records there are none but ours");

    // A field that an upload has not.
    let odd = own.replace("\"source\"", "\"sauce\"");
    learn(8, &odd, false).unwrap();
    let value = framed(8, &odd, record(&[("output_prefix", "o"), ("sauce", "s")]));
    let error = Upload::decode(&value).unwrap_err().to_string();
    assert!(error.contains("sauce"), "{error}");

    // All of ours, and more: a newer Millrace.
    let mut newer: serde_json::Value = serde_json::from_str(Upload::VERSIONS.last().unwrap()).unwrap();
    newer["fields"]
        .as_array_mut()
        .unwrap()
        .push(serde_json::json!({"name": "later", "type": "int", "default": 0}));
    assert_eq!(ids::claims(&newer.to_string()), Some("Upload"));
    learn(9, &newer.to_string(), true).unwrap();
    let mut value = to_value(&upload).unwrap();
    if let Value::Record(fields) = &mut value {
        fields.push(("later".into(), Value::Int(1)));
    }
    let newer = newer.to_string();
    let value = value.resolve(&Schema::parse_str(&newer).unwrap()).unwrap();
    let value = framed(9, &newer, value);
    assert!(matches!(Upload::decode(&value), Err(RecordError::Newer { found: 7, known: 6, .. })));
    // Somebody else's, under a subject of their own: it claims to be one.
    let mut claimed = value;
    claimed[4] = 12;
    learn(12, &newer, false).unwrap();
    assert!(matches!(Upload::decode(&claimed), Err(RecordError::UnknownField { .. })));

    // An older version of ours, as its process registered it.
    learn(10, Upload::VERSIONS[0], false).unwrap();
    // The registry knows none.
    ids::learn(11, Answer::Missing).unwrap();
    assert_eq!(ids::unknown(&[0, 0, 0, 0, 11, 0]), None, "its word is taken for a while");
    // What no registry gives out is not asked for.
    assert_eq!(ids::unknown(&[0, 0xff, 0xff, 0xff, 0xff, 0]), None);
    assert_eq!(ids::unknown(&[0, 0, 0, 0, 0, 0]), None);

    // What reading would cost more than its bytes for.
    let with = |kind: &str| {
        own.replace(
            r#"{"name": "source", "type": "string"}"#,
            &format!(r#"{{"name": "dst_formats", "type": {kind}}}"#),
        )
    };
    for (id, kind) in [
        (20, r#"{"type": "array", "items": "null"}"#),
        (21, r#"{"type": "array", "items": {"type": "array", "items": ["null", "Upload"]}}"#),
        (22, r#"{"type": "fixed", "name": "F", "size": 1152921504606846976}"#),
    ] {
        let error = learn(id, &with(kind), false).unwrap_err();
        assert!(matches!(error, RecordError::Schema { .. }), "{error}");
        let mut value = vec![0, 0, 0, 0, u8::try_from(id).unwrap()];
        value.extend([1_u8; 40]);
        let said = Upload::decode(&value).unwrap_err();
        assert!(
            matches!(&said, RecordError::UnusableSchema { why, .. } if *why == error.to_string()),
            "{said}"
        );
        assert_eq!(ids::unknown(&value), None, "nor is it asked for again at once");
    }
    let long = own.replace("team", &"t".repeat(millrace_schemas::LONGEST_SCHEMA));
    assert!(learn(23, &long, false).unwrap_err().to_string().contains("65536 are the most"));
    // Claims without bytes, where a cut value would be filled up with nulls.
    let wide = with(r#"{"type": "array", "items": ["null", "string"]}"#);
    learn(24, &wide, false).unwrap();
    let mut value = vec![0, 0, 0, 0, 24, 2, b'o'];
    value.extend([0xfe, 0xff, 0x03]);
    assert!(matches!(Upload::decode(&value), Err(RecordError::Cut { .. })));
    // However many are registered: those in use stay, and no more are kept than that.
    for id in 1000..3000 {
        let _ = learn(id, own, false);
    }
    assert!(learn(3000, own, false).unwrap_err().to_string().contains("in use"));
    learn(3001, Upload::VERSIONS[0], false).unwrap();
}
