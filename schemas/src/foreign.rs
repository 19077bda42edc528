//! Schemas in a registry that are not Millrace's, and reading records by them.

use std::{
    io::{ErrorKind, Read},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use apache_avro::{Schema, from_value, reader::datum::GenericDatumReader};
use serde::de::DeserializeOwned;

use crate::error::RecordError;

/// A schema that is no version of a record of Millrace.
pub(crate) struct ForeignSchema {
    name: String,
    fields: Vec<String>,
    schema: Schema,
    bytes: usize,
    is_announced: bool,
    last_used: Mutex<Instant>,
}

impl ForeignSchema {
    /// Wraps a schema whose text has `bytes` bytes. `is_announced` is true if it is registered for the record whose name it has.
    pub(crate) fn new(schema: Schema, bytes: usize, is_announced: bool) -> Self {
        let name = schema.name().map_or(String::new(), |name| name.fullname(None));
        let last_used = Mutex::new(Instant::now());
        Self { name, fields: field_names(&schema), schema, bytes, is_announced, last_used }
    }

    /// Returns the length of the schema's text, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the time since the last [`mark_used`](Self::mark_used).
    pub(crate) fn unused_for(&self) -> Duration {
        self.last_used.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Notes that a value is read by the schema now.
    pub(crate) fn mark_used(&self) {
        *self.last_used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Reads a body by Avro's schema resolution. A field of `latest`, the record's latest schema, that this schema does not have
    /// gets its default.
    ///
    /// # Errors
    /// [`RecordError::UnknownField`] if this schema has a field that `latest` does not have, [`RecordError::Cut`] if the body ends
    /// early, [`RecordError::Avro`] if it does not match the schema.
    pub(crate) fn read<T: DeserializeOwned>(
        &self,
        body: &mut impl Read,
        record: &'static str,
        latest: &Schema,
    ) -> Result<T, RecordError> {
        let avro_error = |source: apache_avro::Error| RecordError::Avro { record, source: Box::new(source) };
        let known = field_names(latest);
        if let Some(field) = self.fields.iter().find(|field| !known.contains(field)) {
            return Err(RecordError::UnknownField { record, field: field.clone() });
        }
        let reader =
            GenericDatumReader::builder(&self.schema).reader_schema(latest).build().map_err(avro_error)?;
        let mut body = StrictReader { body, is_cut: false };
        let value = reader.read_value(&mut body);
        if body.is_cut {
            return Err(RecordError::Cut { record });
        }
        from_value(&value.map_err(avro_error)?).map_err(avro_error)
    }

    /// Returns whether the schema has the form of a newer version of the record: its name, all fields of `latest`, and more.
    pub(crate) fn is_newer(&self, record: &str, latest: &Schema) -> bool {
        let known = field_names(latest);
        self.name == format!("millrace.{record}")
            && known.iter().all(|field| self.fields.contains(field))
            && self.fields.len() > known.len()
    }

    /// Returns whether the schema is registered for the record whose name it has.
    pub(crate) fn is_announced(&self) -> bool {
        self.is_announced
    }
}

/// A reader that fails with [`ErrorKind::InvalidData`] where the body ends early. `apache-avro` takes the usual error, an unexpected
/// end of file, for a null, and would go on for as many items as the value claims.
struct StrictReader<'a, B> {
    body: &'a mut B,
    is_cut: bool,
}

impl<B: Read> Read for StrictReader<'_, B> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.body.read(buffer)?;
        if count < buffer.len() {
            self.is_cut = true;
            return Err(ErrorKind::InvalidData.into());
        }
        Ok(count)
    }
}

fn field_names(schema: &Schema) -> Vec<String> {
    match schema {
        Schema::Record(record) => record.fields.iter().map(|field| field.name.clone()).collect(),
        _ => Vec::new(),
    }
}
