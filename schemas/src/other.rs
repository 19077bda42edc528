//! A schema that is none of ours, and how uploads are read by it.

use std::{
    io::{ErrorKind, Read},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use apache_avro::{Schema, from_value, reader::datum::GenericDatumReader};

use crate::{RecordError, frame};

/// A schema that is none of ours.
pub(crate) struct Other {
    name: String,
    fields: Vec<String>,
    schema: Schema,
    bytes: usize,
    is_announced: bool,
    used: Mutex<Instant>,
}

impl Other {
    pub(crate) fn new(schema: Schema, bytes: usize, is_announced: bool) -> Self {
        let name = schema.name().map_or(String::new(), |name| name.fullname(None));
        Self { name, fields: fields(&schema), schema, bytes, is_announced, used: Mutex::new(Instant::now()) }
    }

    /// How long its text is.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// For how long nothing was read by it.
    pub(crate) fn unused(&self) -> Duration {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Something is read by it.
    pub(crate) fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Reads a body by Avro's rules: what the record's latest schema has and this one has not takes its default. A field that
    /// the record has not is an error, as in JSON.
    pub(crate) fn read<R: frame::Record>(
        &self,
        body: &mut impl Read,
        latest: &Schema,
    ) -> Result<R, RecordError> {
        let wrong =
            |source: apache_avro::Error| RecordError::Avro { record: R::NAME, source: Box::new(source) };
        let ours = fields(latest);
        if let Some(field) = self.fields.iter().find(|field| !ours.contains(field)) {
            return Err(RecordError::UnknownField { record: R::NAME, field: field.clone() });
        }
        let reader =
            GenericDatumReader::builder(&self.schema).reader_schema(latest).build().map_err(wrong)?;
        let mut body = Whole { body, is_cut: false };
        let value = reader.read_value(&mut body);
        if body.is_cut {
            return Err(RecordError::Cut { record: R::NAME });
        }
        from_value(&value.map_err(wrong)?).map_err(wrong)
    }

    /// Whether it says that a newer Millrace wrote it: it has what we know of the record, and more.
    pub(crate) fn is_newer(&self, record: &str, latest: &Schema) -> bool {
        let ours = fields(latest);
        self.name == format!("millrace.{record}")
            && ours.iter().all(|field| self.fields.contains(field))
            && self.fields.len() > ours.len()
    }

    /// Whether it is registered for the record that it claims to be.
    pub(crate) fn is_announced(&self) -> bool {
        self.is_announced
    }
}

/// Ends where more is asked for than there is, by an error that is no end of file: what resolves schemas takes that for a null, and
/// goes on for as many items as the value claims.
struct Whole<'a, B> {
    body: &'a mut B,
    is_cut: bool,
}

impl<B: Read> Read for Whole<'_, B> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.body.read(buffer)?;
        if count < buffer.len() {
            self.is_cut = true;
            return Err(ErrorKind::InvalidData.into());
        }
        Ok(count)
    }
}

fn fields(schema: &Schema) -> Vec<String> {
    match schema {
        Schema::Record(record) => record.fields.iter().map(|field| field.name.clone()).collect(),
        _ => Vec::new(),
    }
}
