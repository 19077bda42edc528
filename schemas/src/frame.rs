//! The Confluent wire format: a zero byte, the schema's id as four bytes (big endian), the Avro body.
//!
//! Source: Confluent's "Schema Registry Serializer and Deserializer, Wire format".

use std::io::Cursor;

use apache_avro::{Schema, reader::datum::GenericDatumReader, writer::datum::GenericDatumWriter};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    error::RecordError,
    ids::{self, SchemaIds, SchemaLookup},
};

/// The distance of the fixed ids of two versions of a record; record numbers are below it.
const VERSION_STEP: u32 = 1000;
/// The greatest version that a fixed id may have. Ids with a greater one were not written by Millrace.
const MAX_VERSION: u32 = 1000;

/// The most memory that a length in a value may claim, in bytes. It is more than any value that is read has.
const MAX_ALLOCATION: usize = 4 * 1024 * 1024;

/// Returns the fixed schema id of a version of a record, which is used without a schema registry: version 1 of record 3 has the id 3,
/// its version 2 has 1003. Versions count from 1.
#[must_use]
pub const fn schema_id(number: u32, version: u32) -> u32 {
    (version - 1) * VERSION_STEP + number
}

/// A record: a type with Avro schemas that can be a value on a topic.
pub trait Record: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The record's name in the schema.
    const NAME: &'static str;
    /// The record's number, from 1 to 999. A number is never reused for another record.
    const NUMBER: u32;
    /// The texts of the record's `.avsc` files, oldest first. The last one is written.
    const VERSIONS: &'static [&'static str];
    /// Whether the record may be written by other programs with schemas of their own. Fields are then matched by name.
    const ALLOWS_FOREIGN_SCHEMAS: bool;
    /// Returns the parsed schemas.
    fn codec() -> &'static RecordCodec;

    /// Returns the record in the Confluent frame, with the schema id of the registry that this process uses
    /// ([`ids::installed`]), or the fixed one.
    ///
    /// # Errors
    /// [`RecordError::Avro`] if the type does not match its schema, which a test rules out.
    fn encode(&self) -> Result<Vec<u8>, RecordError> {
        self.encode_with(ids::installed())
    }

    /// Returns the record in the Confluent frame, with the schema id from this table; with the fixed one for `None`.
    ///
    /// # Errors
    /// As [`Record::encode`].
    fn encode_with(&self, ids: Option<&SchemaIds>) -> Result<Vec<u8>, RecordError> {
        let codec = Self::codec();
        let mut value = Vec::with_capacity(256);
        value.push(0);
        value.extend_from_slice(&written_id(ids, codec.id).to_be_bytes());
        codec
            .writer
            .write_ser(&mut value, self)
            .map_err(|source| RecordError::Avro { record: Self::NAME, source: Box::new(source) })?;
        Ok(value)
    }

    /// Reads a record of the latest or an older version from the Confluent frame, by the ids of the registry that this process
    /// uses ([`ids::installed`]), or by the fixed ones. Fields that the older version does not have get their defaults.
    ///
    /// # Errors
    /// [`RecordError::Newer`] if a newer Millrace wrote it, and [`RecordError::Claimed`] if the frame has a newer version but only
    /// the log knows whether that is true. All other errors mean that the value is no such record: it is not framed, its schema is
    /// another one, or its body does not match the schema to its end.
    fn decode(value: &[u8]) -> Result<Self, RecordError> {
        Self::decode_with(value, ids::installed())
    }

    /// Reads a record from the Confluent frame, by the schema ids in this table; by the fixed ones for `None`.
    ///
    /// # Errors
    /// As [`Record::decode`].
    fn decode_with(value: &[u8], ids: Option<&SchemaIds>) -> Result<Self, RecordError> {
        let Some((&[0, a, b, c, d], body)) = value.split_first_chunk() else {
            return Err(RecordError::NotFramed);
        };
        let id = u32::from_be_bytes([a, b, c, d]);
        let codec = Self::codec();
        let unknown =
            || RecordError::UnknownSchema { record: Self::NAME, found: id, known: written_id(ids, codec.id) };
        let fixed = match ids.map_or(SchemaLookup::Fixed(id), |ids| ids.look_up(id)) {
            SchemaLookup::Fixed(fixed) => fixed,
            SchemaLookup::Unknown => return Err(unknown()),
            SchemaLookup::Unusable(why) => {
                return Err(RecordError::UnusableSchema { record: Self::NAME, found: id, why });
            }
            SchemaLookup::Foreign(schema) => {
                let latest = codec.schemas.last().ok_or_else(unknown)?;
                if schema.is_announced() && schema.is_newer(Self::NAME, latest) {
                    let known = codec.readers.len();
                    return Err(RecordError::Newer { record: Self::NAME, found: known + 1, known });
                }
                return match Self::ALLOWS_FOREIGN_SCHEMAS {
                    true => read_to_end(body, |body| schema.read(body, Self::NAME, latest)),
                    false => Err(unknown()),
                };
            }
        };
        let version = (fixed / VERSION_STEP) as usize;
        let reader = match codec.readers.get(version) {
            Some(reader) if fixed % VERSION_STEP == Self::NUMBER => reader,
            None if fixed % VERSION_STEP == Self::NUMBER && fixed / VERSION_STEP < MAX_VERSION => {
                let known = codec.readers.len();
                return Err(RecordError::Claimed { record: Self::NAME, found: version + 1, known });
            }
            _ => return Err(unknown()),
        };
        let avro_error = |source| RecordError::Avro { record: Self::NAME, source: Box::new(source) };
        read_to_end(body, |body| reader.read_deser(body).map_err(avro_error))
    }
}

fn written_id(ids: Option<&SchemaIds>, fixed: u32) -> u32 {
    ids.map_or(fixed, |ids| ids.written_id(fixed))
}

/// Reads a record that takes up the whole body.
///
/// # Errors
/// [`RecordError::Trailing`] if bytes follow the record.
fn read_to_end<R: Record>(
    body: &[u8],
    read: impl FnOnce(&mut Cursor<&[u8]>) -> Result<R, RecordError>,
) -> Result<R, RecordError> {
    let mut rest = Cursor::new(body);
    let record = read(&mut rest)?;
    match body.len() - usize::try_from(rest.position()).unwrap_or(body.len()).min(body.len()) {
        0 => Ok(record),
        bytes => Err(RecordError::Trailing { record: R::NAME, bytes }),
    }
}

/// The schemas of a record, parsed once.
pub struct RecordCodec {
    id: u32,
    schemas: Vec<&'static Schema>,
    readers: Vec<GenericDatumReader<'static>>,
    writer: GenericDatumWriter<'static>,
}

impl RecordCodec {
    /// Parses the schemas of a record, and leaks them, since a process needs them until it ends.
    // The texts are compiled in, and a test parses them: this can't fail in the field.
    #[expect(clippy::expect_used)]
    pub(crate) fn new<R: Record>() -> Self {
        // apache-avro allocates the length that a value claims before it reads the value.
        apache_avro::util::max_allocation_bytes(MAX_ALLOCATION);
        let parse = |text: &&str| -> &'static Schema {
            Box::leak(Box::new(Schema::parse_str(text).expect("schemas/avro holds valid schemas")))
        };
        let schemas: Vec<_> = R::VERSIONS.iter().map(parse).collect();
        let reader = |schema: &&'static Schema| {
            GenericDatumReader::builder(schema).build().expect("schemas/avro holds whole schemas")
        };
        let last = schemas.last().expect("a record has a schema");
        let version = u32::try_from(schemas.len()).unwrap_or(u32::MAX);
        Self {
            id: schema_id(R::NUMBER, version),
            readers: schemas.iter().map(reader).collect(),
            writer: GenericDatumWriter::builder(last).build().expect("schemas/avro holds whole schemas"),
            schemas,
        }
    }

    /// Returns the fixed id of the latest version.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Returns the schema of each version, oldest first.
    #[must_use]
    pub fn schemas(&self) -> &[&'static Schema] {
        &self.schemas
    }
}

/// Implements [`Record`] for a type: its name, its number, and its schema files in `avro/`, oldest first.
macro_rules! record {
    ($type:ty, $name:literal, $number:literal, [$($file:literal),+]) => {
        impl crate::frame::Record for $type {
            const NAME: &'static str = $name;
            const NUMBER: u32 = $number;
            // Only uploads.
            const ALLOWS_FOREIGN_SCHEMAS: bool = $number == 1;
            const VERSIONS: &'static [&'static str] = &[$(include_str!(concat!("../../avro/", $file))),+];
            fn codec() -> &'static crate::frame::RecordCodec {
                static CODEC: std::sync::LazyLock<crate::frame::RecordCodec> =
                    std::sync::LazyLock::new(crate::frame::RecordCodec::new::<$type>);
                &CODEC
            }
        }
    };
}
pub(crate) use record;
