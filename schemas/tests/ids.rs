//! Ids of a registry: those of our schemas, and of schemas that others registered. The table is installed in the whole process, so
//! that this is a test program of its own.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::HashMap;

use apache_avro::{Schema, to_value, types::Value, writer::datum::GenericDatumWriter};
use millrace_schemas::{
    RecordError, Segment, Upload, catalogue,
    frame::Record,
    ids::{self, RegistryAnswer},
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
        catalogue::all().iter().zip(100..).map(|(record, id)| (record.fixed_id, id)).collect();
    let mine = given[&Upload::codec().id()];
    catalogue::install(given);
    let upload = Upload::of("file:///a.mov", "file:///out");
    let value = upload.encode().unwrap();
    assert_eq!(value[1..5], mine.to_be_bytes());
    assert_eq!(ids::unresolved_id(&value), None);
    assert_eq!(Upload::decode(&value).unwrap(), upload);
    assert!(matches!(Segment::decode(&value), Err(RecordError::UnknownSchema { .. })));

    // The schema of a team: fewer fields, in another order, and not nullable where ours are.
    let own = r#"{"type": "record", "name": "Upload", "namespace": "team", "fields": [
        {"name": "output_prefix", "type": "string"}, {"name": "source", "type": "string"}]}"#;
    let value = framed(7, own, record(&[("output_prefix", "file:///out"), ("source", "file:///a.mov")]));
    assert_eq!(ids::unresolved_id(&value), Some(7));
    assert!(matches!(Upload::decode(&value), Err(RecordError::UnknownSchema { found: 7, .. })));
    let register =
        |id, text: &str, is_announced| ids::register(id, RegistryAnswer::Schema { text, is_announced });
    assert_eq!(catalogue::newer_version_of(own), None);
    register(7, own, false).unwrap();
    assert_eq!(ids::unresolved_id(&value), None);
    assert_eq!(Upload::decode(&value).unwrap(), upload);
    assert!(Upload::decode(&value[..value.len() - 3]).is_err(), "cut");
    assert!(Segment::decode(&value).is_err(), "only uploads may have schemas of others");

    // A field that an upload has not.
    let odd = own.replace("\"source\"", "\"sauce\"");
    register(8, &odd, false).unwrap();
    let value = framed(8, &odd, record(&[("output_prefix", "o"), ("sauce", "s")]));
    let error = Upload::decode(&value).unwrap_err().to_string();
    assert!(error.contains("sauce"), "{error}");

    // All of ours, and more: a newer Millrace.
    let mut newer: serde_json::Value = serde_json::from_str(Upload::VERSIONS.last().unwrap()).unwrap();
    newer["fields"]
        .as_array_mut()
        .unwrap()
        .push(serde_json::json!({"name": "later", "type": "int", "default": 0}));
    assert_eq!(catalogue::newer_version_of(&newer.to_string()), Some("Upload"));
    register(9, &newer.to_string(), true).unwrap();
    let mut value = to_value(&upload).unwrap();
    if let Value::Record(fields) = &mut value {
        fields.push(("later".into(), Value::Int(1)));
    }
    let newer = newer.to_string();
    let value = value.resolve(&Schema::parse_str(&newer).unwrap()).unwrap();
    let value = framed(9, &newer, value);
    assert!(matches!(Upload::decode(&value), Err(RecordError::Newer { found: 9, known: 8, .. })));
    // The same schema under another subject: anybody can register it there.
    let mut claimed = value;
    claimed[4] = 12;
    register(12, &newer, false).unwrap();
    assert!(matches!(Upload::decode(&claimed), Err(RecordError::UnknownField { .. })));

    // An older version of ours, as a process of that version registered it.
    register(10, Upload::VERSIONS[0], false).unwrap();
    // The registry has no such schema.
    ids::register(11, RegistryAnswer::Missing).unwrap();
    assert_eq!(ids::unresolved_id(&[0, 0, 0, 0, 11, 0]), None, "it is not looked up again at once");
    // Ids that no registry assigns are not looked up.
    assert_eq!(ids::unresolved_id(&[0, 0xff, 0xff, 0xff, 0xff, 0]), None);
    assert_eq!(ids::unresolved_id(&[0, 0, 0, 0, 0, 0]), None);

    // Schemas by which reading costs more than the bytes of a value.
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
        let error = register(id, &with(kind), false).unwrap_err();
        assert!(matches!(error, RecordError::Schema { .. }), "{error}");
        let mut value = vec![0, 0, 0, 0, u8::try_from(id).unwrap()];
        value.extend([1_u8; 40]);
        let said = Upload::decode(&value).unwrap_err();
        assert!(
            matches!(&said, RecordError::UnusableSchema { why, .. } if *why == error.to_string()),
            "{said}"
        );
        assert_eq!(ids::unresolved_id(&value), None, "it is not looked up again at once");
    }
    let long = own.replace("team", &"t".repeat(millrace_schemas::LONGEST_SCHEMA));
    let most = format!("{} are the most", millrace_schemas::LONGEST_SCHEMA);
    assert!(register(23, &long, false).unwrap_err().to_string().contains(&most));
    // Claims without bytes, where a cut value would be filled up with nulls.
    let wide = with(r#"{"type": "array", "items": ["null", "string"]}"#);
    register(24, &wide, false).unwrap();
    let mut value = vec![0, 0, 0, 0, 24, 2, b'o'];
    value.extend([0xfe, 0xff, 0x03]);
    assert!(matches!(Upload::decode(&value), Err(RecordError::Cut { .. })));
    // However many are registered: those in use are kept, and no more than the limit.
    for id in 1000..3000 {
        let _ = register(id, own, false);
    }
    assert!(register(3000, own, false).unwrap_err().to_string().contains("in use"));
    register(3001, Upload::VERSIONS[0], false).unwrap();
}
