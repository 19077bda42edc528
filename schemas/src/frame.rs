//! The Confluent wire format: a zero byte, the schema's id as four bytes (big endian), the Avro body.
//!
//! Without a registry the ids are fixed (see [`Record::SCHEMA_ID`]), so that the bytes are the same.
//! Source: Confluent's "Schema Registry Serializer and Deserializer, Wire format".

use std::io::Cursor;

use apache_avro::{Schema, reader::datum::GenericDatumReader, writer::datum::GenericDatumWriter};
use serde::{Serialize, de::DeserializeOwned};

use crate::RecordError;

/// A record that has a schema file, and so a place on a topic.
pub trait Record: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The record's name, as the schema has it.
    const NAME: &'static str;
    /// The id in the frame where no schema registry gives one.
    const SCHEMA_ID: u32;
    /// The `.avsc` file's text.
    const AVSC: &'static str;
    /// The parsed schema.
    fn schema() -> &'static Schema;

    /// The record in the Confluent frame.
    ///
    /// # Errors
    /// [`RecordError::Avro`] where the type and its schema differ, which a test rules out.
    fn encode(&self) -> Result<Vec<u8>, RecordError> {
        let mut value = Vec::with_capacity(256);
        value.push(0);
        value.extend_from_slice(&Self::SCHEMA_ID.to_be_bytes());
        GenericDatumWriter::builder(Self::schema())
            .build()
            .and_then(|writer| writer.write_ser(&mut value, self))
            .map_err(|source| RecordError::Avro { record: Self::NAME, source: Box::new(source) })?;
        Ok(value)
    }

    /// Reads a record out of the Confluent frame.
    ///
    /// # Errors
    /// Where the value is not framed, names another schema, or its body does not follow the schema to its end.
    fn decode(value: &[u8]) -> Result<Self, RecordError> {
        let avro = |source| RecordError::Avro { record: Self::NAME, source: Box::new(source) };
        let Some((&[0, a, b, c, d], body)) = value.split_first_chunk() else {
            return Err(RecordError::NotFramed);
        };
        let found = u32::from_be_bytes([a, b, c, d]);
        if found != Self::SCHEMA_ID {
            return Err(RecordError::UnknownSchema { record: Self::NAME, found, known: Self::SCHEMA_ID });
        }
        let mut rest = Cursor::new(body);
        let reader = GenericDatumReader::builder(Self::schema()).build().map_err(avro)?;
        reader.read_deser(&mut rest).map_err(avro)
    }
}
