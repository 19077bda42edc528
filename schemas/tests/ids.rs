//! Ids of a registry: ours, and schemas that others registered. A program of its own, since the ids are a process's.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::HashMap;

use apache_avro::{Schema, to_value, types::Value, writer::datum::GenericDatumWriter};
use millrace_schemas::{RecordError, Segment, Upload, frame::Record, ids};

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
    ids::learn(7, Some(own)).unwrap();
    assert_eq!(ids::unknown(&value), None);
    assert_eq!(Upload::decode(&value).unwrap(), upload);
    assert!(Upload::decode(&value[..value.len() - 3]).is_err(), "cut");
    assert!(Segment::decode(&value).is_err(), "of other records there are none but ours");

    // A field that an upload has not.
    let odd = own.replace("\"source\"", "\"sauce\"");
    ids::learn(8, Some(&odd)).unwrap();
    let value = framed(8, &odd, record(&[("output_prefix", "o"), ("sauce", "s")]));
    let error = Upload::decode(&value).unwrap_err().to_string();
    assert!(error.contains("sauce"), "{error}");

    // All of ours, and more: a newer Millrace.
    let mut newer: serde_json::Value = serde_json::from_str(Upload::VERSIONS.last().unwrap()).unwrap();
    newer["fields"]
        .as_array_mut()
        .unwrap()
        .push(serde_json::json!({"name": "later", "type": "int", "default": 0}));
    ids::learn(9, Some(&newer.to_string())).unwrap();
    let mut value = to_value(&upload).unwrap();
    if let Value::Record(fields) = &mut value {
        fields.push(("later".into(), Value::Int(1)));
    }
    let newer = newer.to_string();
    let value = value.resolve(&Schema::parse_str(&newer).unwrap()).unwrap();
    let value = framed(9, &newer, value);
    assert!(matches!(Upload::decode(&value), Err(RecordError::Newer { found: 7, known: 6, .. })));

    // An older version of ours, as its process registered it.
    ids::learn(10, Some(Upload::VERSIONS[0])).unwrap();
    // The registry knows none.
    ids::learn(11, None).unwrap();
    assert_eq!(ids::unknown(&[0, 0, 0, 0, 11, 0]), None, "its word is taken for a while");
}
