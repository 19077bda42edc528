//! Records in the Confluent frame, of every version, and uploads by schemas of others.
//!
//! An input that begins with `{` is the text of a schema, a zero byte, and the body of a value that was written by it; any other is
//! a value.

use std::{
    collections::HashMap,
    fmt::Debug,
    sync::{Mutex, Once, PoisonError},
};

use apache_avro::{Schema, schema::Name, types::Value, writer::datum::GenericDatumWriter};
use fastrand::Rng;
use millrace_schemas::{
    Arrival, Assembly, Control, ExecutionEvent, LogLine, Merge, Merged, Progress, Seen, Segment, Signal,
    Upload, catalogue,
    frame::{Record, schema_id},
    ids::{self, RegistryAnswer},
};

use crate::{Target, equals_itself};

/// Records in the Confluent frame.
pub const TARGET: Target = Target {
    name: "frame",
    check,
    seeds,
    words: &[
        "{\"type\": \"record\", \"name\": \"R\", \"fields\": [",
        "{\"type\": \"array\", \"items\": ",
        "{\"type\": \"map\", \"values\": ",
        "{\"type\": \"fixed\", \"name\": \"F\", \"size\": 1000000000}",
        "{\"type\": \"enum\", \"name\": \"E\", \"symbols\": [\"A\"]}",
        "{\"name\": \"source\", \"type\": ",
        "{\"name\": \"output_prefix\", \"type\": \"bytes\"}",
        "\"null\"",
        "\"string\"",
        "\"double\"",
        "\"Upload\"",
        "\"millrace\"",
        "\"logicalType\": \"decimal\"",
        "[\"null\", ",
        "]}",
        "[",
        "{",
        ",",
        "\0",
    ],
    memory: (16 << 20, 500),
    longest: 128 << 10,
};

/// The id that schemas of others have here.
const OTHER: u32 = 500_000;

fn check(bytes: &[u8]) -> bool {
    install();
    if bytes.starts_with(b"{") {
        return check_schema(bytes);
    }
    let checks = [
        check_record::<Upload>,
        check_record::<Segment>,
        check_record::<Signal>,
        check_record::<Assembly>,
        check_record::<Merge>,
        check_record::<Merged>,
        check_record::<ExecutionEvent>,
        check_record::<Progress>,
        check_record::<LogLine>,
        check_record::<Control>,
        check_record::<Arrival>,
        check_record::<Seen>,
    ];
    let valid = checks.iter().filter(|check| check(bytes)).count();
    assert!(valid <= 1, "a value is of {valid} records");
    valid == 1
}

fn check_record<R: Record + PartialEq + Debug>(value: &[u8]) -> bool {
    let Ok(record) = R::decode(value) else { return false };
    check_round_trip(&record, value.len());
    true
}

/// What was read can be written, and is then read as the same.
#[expect(clippy::expect_used)]
fn check_round_trip<R: Record + PartialEq + Debug>(record: &R, bytes: usize) {
    /// The fields that came after the first version, at their defaults.
    const DEFAULTS: usize = 1000;
    let written = record.encode().expect("what was read can be written");
    let again = R::decode(&written).expect("what was written can be read");
    assert_eq!(again.encode().expect("it can be written again").len(), written.len());
    if equals_itself(record) {
        assert_eq!(&again, record);
    }
    assert!(written.len() <= 2 * bytes + DEFAULTS, "{bytes} bytes became {}", written.len());
}

fn check_schema(bytes: &[u8]) -> bool {
    // There is one id, and tests run side by side.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let Ok(text) = str::from_utf8(&bytes[..end]) else { return false };
    let _ = catalogue::newer_version_of(text);
    let is_learned = ids::register(OTHER, RegistryAnswer::Schema { text, is_announced: false }).is_ok();
    let value = framed(OTHER, bytes.get(end + 1..).unwrap_or_default());
    assert!(ids::unresolved_id(&value).is_none(), "a schema was looked up, and is still unknown");
    let upload = Upload::decode(&value);
    assert!(is_learned || upload.is_err(), "a value was read by a schema that was refused");
    assert!(Segment::decode(&value).is_err() || !value.is_empty());
    match upload {
        Ok(upload) => {
            check_round_trip(&upload, bytes.len());
            true
        }
        Err(_) => false,
    }
}

fn framed(id: u32, body: &[u8]) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), body].concat()
}

/// The ids of all versions of all records, each with the texts of its schemas.
fn versions() -> Vec<(u32, &'static str)> {
    let of = |record: catalogue::RecordSchemas| {
        let number = record.fixed_id % schema_id(0, 2);
        (1..).zip(record.versions).map(move |(version, text)| (schema_id(number, version), *text))
    };
    catalogue::all().into_iter().flat_map(of).collect()
}

/// Gives every version the id that it has without a registry, in a table as a registry fills it: so that schemas of others can be
/// learned.
fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        catalogue::install(
            catalogue::all().iter().map(|record| (record.fixed_id, record.fixed_id)).collect(),
        );
        for (id, text) in versions() {
            let result = ids::register(id, RegistryAnswer::Schema { text, is_announced: true });
            assert!(result.is_ok(), "{result:?}");
        }
    });
}

#[expect(clippy::expect_used)]
fn seeds(rng: &mut Rng) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (id, text) in versions() {
        let schema = Schema::parse_str(text).expect("a schema of ours");
        for _ in 0..3 {
            let body = example(&schema, rng);
            seeds.push(framed(id, &body));
            // As somebody else writes it, with the same fields under another name.
            if id % schema_id(0, 2) == Upload::NUMBER {
                let text = text.replace("\"Upload\"", "\"Video\"");
                seeds.push([text.as_bytes(), &[0], &body].concat());
            }
        }
    }
    let small =
        r#"{"type": "record", "name": "Video", "fields": [{"name": "output_prefix", "type": "string"}]}"#;
    seeds.push([small.as_bytes(), b"\0\x06out"].concat());
    seeds
}

/// A value of a schema, as our writer writes it.
#[expect(clippy::expect_used)]
fn example(schema: &Schema, rng: &mut Rng) -> Vec<u8> {
    let mut named = HashMap::new();
    collect(schema, &mut named);
    let value = value(schema, &named, rng);
    let mut bytes = Vec::new();
    let writer = GenericDatumWriter::builder(schema).build().expect("a schema of ours");
    writer.write_value(&mut bytes, value).expect("a value of the schema");
    bytes
}

/// The types of a schema by their names.
fn collect<'a>(schema: &'a Schema, named: &mut HashMap<&'a Name, &'a Schema>) {
    match schema {
        Schema::Record(record) => {
            named.insert(&record.name, schema);
            record.fields.iter().for_each(|field| collect(&field.schema, named));
        }
        Schema::Enum(one) => drop(named.insert(&one.name, schema)),
        Schema::Array(array) => collect(&array.items, named),
        Schema::Map(map) => collect(&map.types, named),
        Schema::Union(union) => union.variants().iter().for_each(|one| collect(one, named)),
        _ => {}
    }
}

fn value(schema: &Schema, named: &HashMap<&Name, &Schema>, rng: &mut Rng) -> Value {
    const TEXTS: [&str; 6] =
        ["", "mp4", "s3://videos/in/a.mov", "file:///out", "Grüße", "0123456789abcdef-1"];
    match schema {
        Schema::Boolean => Value::Boolean(rng.bool()),
        Schema::Int => Value::Int(rng.i32(-2..100)),
        Schema::Long => Value::Long(rng.i64(-2..1 << 40)),
        Schema::Float => Value::Float(rng.f32()),
        Schema::Double => Value::Double(rng.f64() * 100.0),
        Schema::Bytes => Value::Bytes(vec![rng.u8(..); rng.usize(0..20)]),
        Schema::String => Value::String(TEXTS[rng.usize(0..TEXTS.len())].into()),
        Schema::Enum(one) => {
            let at = rng.usize(0..one.symbols.len());
            Value::Enum(u32::try_from(at).unwrap_or(0), one.symbols[at].clone())
        }
        Schema::Array(array) => {
            Value::Array((0..rng.usize(0..3)).map(|_| value(&array.items, named, rng)).collect())
        }
        // One entry at most: several have no order, and the same seed shall give the same bytes.
        Schema::Map(map) => Value::Map(
            (0..rng.usize(0..2)).map(|_| ("team".to_owned(), value(&map.types, named, rng))).collect(),
        ),
        Schema::Union(union) => {
            let at = rng.usize(0..union.variants().len());
            let inner = value(&union.variants()[at], named, rng);
            Value::Union(u32::try_from(at).unwrap_or(0), Box::new(inner))
        }
        Schema::Record(record) => Value::Record(
            record
                .fields
                .iter()
                .map(|field| (field.name.clone(), value(&field.schema, named, rng)))
                .collect(),
        ),
        Schema::Ref { name } => value(named[name], named, rng),
        Schema::Null => Value::Null,
        other => panic!("a type that no record of ours has: {other:?}"),
    }
}
