//! The Confluent wire format: a zero byte, the schema's id as four bytes (big endian), the Avro body.
//!
//! Without a registry the ids are fixed (see [`schema_id`]), so that the bytes are the same.
//! Source: Confluent's "Schema Registry Serializer and Deserializer, Wire format".

use std::io::Cursor;

use apache_avro::{Schema, reader::datum::GenericDatumReader, writer::datum::GenericDatumWriter};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    RecordError,
    ids::{self, Meaning},
};

/// How many numbers of records there may be: the versions of a record are so far apart.
const NUMBERS: u32 = 1000;
/// A version beyond this is no version: whoever wrote the id was no Millrace.
const VERSIONS: u32 = 1000;

/// How much memory a length that a value claims may take, in bytes: more than any value has that is read.
const LARGEST_CLAIM: usize = 4 * 1024 * 1024;

/// The id in the frame where no schema registry gives one: version 1 of record 3 is 3, its version 2 is 1003.
#[must_use]
pub const fn schema_id(number: u32, version: u32) -> u32 {
    (version - 1) * NUMBERS + number
}

/// A record that has schema files, and so a place on a topic.
pub trait Record: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The record's name, as the schema has it.
    const NAME: &'static str;
    /// Which record it is, from 1 to 999; never used again for another.
    const NUMBER: u32;
    /// The texts of its `.avsc` files, the oldest first; the last is what is written.
    const VERSIONS: &'static [&'static str];
    /// Whether people write it too, with schemas of their own: fields go by their names.
    const BY_OTHERS: bool;
    /// Its schemas, ready for use.
    fn codec() -> &'static Codec;

    /// The record in the Confluent frame.
    ///
    /// # Errors
    /// [`RecordError::Avro`] where the type and its schema differ, which a test rules out.
    fn encode(&self) -> Result<Vec<u8>, RecordError> {
        let codec = Self::codec();
        let mut value = Vec::with_capacity(256);
        value.push(0);
        value.extend_from_slice(&ids::written(codec.id).to_be_bytes());
        codec
            .writer
            .write_ser(&mut value, self)
            .map_err(|source| RecordError::Avro { record: Self::NAME, source: Box::new(source) })?;
        Ok(value)
    }

    /// Reads a record, of this version or an older one, out of the Confluent frame. Fields that came since have their
    /// defaults.
    ///
    /// # Errors
    /// [`RecordError::Newer`] where a newer Millrace wrote it, and [`RecordError::Claimed`] where it says so and the log must
    /// tell whether one is there. All others mean that it is no such record: the value is not framed, names another schema,
    /// or its body does not follow the schema to its end.
    fn decode(value: &[u8]) -> Result<Self, RecordError> {
        let Some((&[0, a, b, c, d], body)) = value.split_first_chunk() else {
            return Err(RecordError::NotFramed);
        };
        let given = u32::from_be_bytes([a, b, c, d]);
        let codec = Self::codec();
        let unknown =
            || RecordError::UnknownSchema { record: Self::NAME, found: given, known: ids::written(codec.id) };
        let found = match ids::read(given) {
            Meaning::Fixed(fixed) => fixed,
            Meaning::Unknown => return Err(unknown()),
            Meaning::Unusable(why) => {
                return Err(RecordError::UnusableSchema { record: Self::NAME, found: given, why });
            }
            Meaning::Other(other) => {
                let latest = codec.schemas.last().ok_or_else(unknown)?;
                if other.is_announced() && other.is_newer(Self::NAME, latest) {
                    let known = codec.readers.len();
                    return Err(RecordError::Newer { record: Self::NAME, found: known + 1, known });
                }
                return match Self::BY_OTHERS {
                    true => read_all(body, |body| other.read(body, latest)),
                    false => Err(unknown()),
                };
            }
        };
        let version = (found / NUMBERS) as usize;
        let reader = match codec.readers.get(version) {
            Some(reader) if found % NUMBERS == Self::NUMBER => reader,
            None if found % NUMBERS == Self::NUMBER && found / NUMBERS < VERSIONS => {
                let known = codec.readers.len();
                return Err(RecordError::Claimed { record: Self::NAME, found: version + 1, known });
            }
            _ => return Err(unknown()),
        };
        let wrong = |source| RecordError::Avro { record: Self::NAME, source: Box::new(source) };
        read_all(body, |body| reader.read_deser(body).map_err(wrong))
    }
}

/// Reads a body to its end.
fn read_all<R: Record>(
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

/// The schemas of a record, parsed and resolved once.
pub struct Codec {
    id: u32,
    schemas: Vec<&'static Schema>,
    readers: Vec<GenericDatumReader<'static>>,
    writer: GenericDatumWriter<'static>,
}

impl Codec {
    /// Parses the schemas of a record. They live as long as the program.
    // The texts are compiled in, and a test parses them: this can't fail in the field.
    #[expect(clippy::expect_used)]
    pub(crate) fn of<R: Record>() -> Self {
        // What a value claims of its length is set aside before the value is seen to be shorter.
        apache_avro::util::max_allocation_bytes(LARGEST_CLAIM);
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

    /// The id that new records carry.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The schema of each version, the oldest first.
    #[must_use]
    pub fn schemas(&self) -> &[&'static Schema] {
        &self.schemas
    }
}
