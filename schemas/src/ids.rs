//! The ids of schemas where a schema registry gives them. Bodies are the same with a registry and without; ids differ.
//!
//! One table a process: a fact about the cluster that it works on. Without one, ids are fixed ([`crate::frame::schema_id`]).

use std::{
    collections::HashMap,
    sync::{OnceLock, PoisonError, RwLock},
    time::{Duration, Instant},
};

use apache_avro::{Schema, from_value, reader::datum::GenericDatumReader};

use crate::{RecordError, frame};

/// For how long a registry's word that it knows no such schema is taken.
const UNKNOWN_FOR: Duration = Duration::from_secs(5);

static IDS: OnceLock<Ids> = OnceLock::new();

struct Ids {
    /// The registry's id for each fixed one that is written.
    written: HashMap<u32, u32>,
    known: RwLock<HashMap<u32, Known>>,
}

#[derive(Clone)]
enum Known {
    /// A version of one of our records, by its fixed id.
    Ours(u32),
    /// Another schema.
    Other(&'static Other),
    /// There was none at that time.
    Missing(Instant),
}

/// A schema that is none of ours.
pub(crate) struct Other {
    name: String,
    fields: Vec<String>,
    schema: &'static Schema,
}

impl Other {
    /// Reads a body by Avro's rules: what the record's latest schema has and this one has not takes its default. A field that
    /// the record has not is an error, as in JSON.
    pub(crate) fn read<R: frame::Record>(
        &self,
        body: &mut impl std::io::Read,
        latest: &Schema,
    ) -> Result<R, RecordError> {
        let wrong =
            |source: apache_avro::Error| RecordError::Avro { record: R::NAME, source: Box::new(source) };
        let ours = fields(latest);
        if let Some(field) = self.fields.iter().find(|field| !ours.contains(field)) {
            return Err(RecordError::UnknownField { record: R::NAME, field: field.clone() });
        }
        let reader = GenericDatumReader::builder(self.schema).reader_schema(latest).build().map_err(wrong)?;
        let mut body = Whole { body, is_cut: false };
        let value = reader.read_value(&mut body).map_err(wrong)?;
        if body.is_cut {
            return Err(RecordError::Cut { record: R::NAME });
        }
        from_value(&value).map_err(wrong)
    }

    /// Whether a newer Millrace wrote it: it has what we know of the record, and more.
    pub(crate) fn is_newer(&self, record: &str, latest: &Schema) -> bool {
        self.name == format!("millrace.{record}")
            && fields(latest).iter().all(|field| self.fields.contains(field))
            && self.fields.len() > fields(latest).len()
    }
}

/// Notices that more is asked for than there is: resolving takes a cut string for an empty one.
struct Whole<'a, B> {
    body: &'a mut B,
    is_cut: bool,
}

impl<B: std::io::Read> std::io::Read for Whole<'_, B> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.body.read(buffer)?;
        self.is_cut |= count < buffer.len();
        Ok(count)
    }
}

/// What the id in a frame stands for.
pub(crate) enum Meaning {
    Fixed(u32),
    Other(&'static Other),
    Unknown,
}

fn fields(schema: &Schema) -> Vec<String> {
    match schema {
        Schema::Record(record) => record.fields.iter().map(|field| field.name.clone()).collect(),
        _ => Vec::new(),
    }
}

/// A record's schemas, as a registry is told of them.
pub struct Described {
    /// The record's name.
    pub name: &'static str,
    /// The fixed id of what is written.
    pub fixed: u32,
    /// The texts of all versions, the oldest first.
    pub versions: &'static [&'static str],
    schemas: &'static [&'static Schema],
    number: u32,
}

/// All records.
#[must_use]
pub fn all() -> Vec<Described> {
    fn of<R: frame::Record>() -> Described {
        let codec = R::codec();
        Described {
            name: R::NAME,
            fixed: codec.id(),
            versions: R::VERSIONS,
            schemas: codec.schemas(),
            number: R::NUMBER,
        }
    }
    use crate::records::{
        Arrival, Assembly, Control, ExecutionEvent, LogLine, Merge, Merged, Progress, Seen, Segment, Signal,
        Upload,
    };
    vec![
        of::<Upload>(),
        of::<Segment>(),
        of::<Signal>(),
        of::<Assembly>(),
        of::<Merge>(),
        of::<Merged>(),
        of::<ExecutionEvent>(),
        of::<Progress>(),
        of::<LogLine>(),
        of::<Control>(),
        of::<Arrival>(),
        of::<Seen>(),
    ]
}

/// From now on records carry these ids, a registry's by the fixed one, and are read by them. The first call counts.
pub fn install(written: HashMap<u32, u32>) {
    let known = written.iter().map(|(fixed, given)| (*given, Known::Ours(*fixed))).collect();
    let _ = IDS.set(Ids { written, known: RwLock::new(known) });
}

/// The id of a value whose schema must be looked up before it can be read.
#[must_use]
pub fn unknown(value: &[u8]) -> Option<u32> {
    let Some((&[0, a, b, c, d], _)) = value.split_first_chunk() else { return None };
    let (ids, id) = (IDS.get()?, u32::from_be_bytes([a, b, c, d]));
    match ids.known.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
        None => Some(id),
        Some(Known::Missing(at)) if at.elapsed() > UNKNOWN_FOR => Some(id),
        Some(_) => None,
    }
}

/// Learns what a registry says of an id: a schema's text, or that there is none.
///
/// # Errors
/// Where the text is no schema.
pub fn learn(id: u32, text: Option<&str>) -> Result<(), RecordError> {
    let Some(ids) = IDS.get() else { return Ok(()) };
    let known = match text {
        None => Known::Missing(Instant::now()),
        Some(text) => recognize(text)?,
    };
    ids.known.write().unwrap_or_else(PoisonError::into_inner).insert(id, known);
    Ok(())
}

fn recognize(text: &str) -> Result<Known, RecordError> {
    let wrong = |source: apache_avro::Error| RecordError::Avro {
        record: "a registry's schema",
        source: Box::new(source),
    };
    let schema = Schema::parse_str(text).map_err(wrong)?;
    let form = schema.canonical_form();
    for record in all() {
        if let Some(place) = record.schemas.iter().position(|ours| ours.canonical_form() == form) {
            let version = u32::try_from(place + 1).unwrap_or(u32::MAX);
            return Ok(Known::Ours(frame::schema_id(record.number, version)));
        }
    }
    // Schemas live as long as the process: there are as many as people register.
    let schema: &'static Schema = Box::leak(Box::new(schema));
    let name = schema.name().map_or(String::new(), |name| name.fullname(None));
    Ok(Known::Other(Box::leak(Box::new(Other { name, fields: fields(schema), schema }))))
}

/// The id that a new record carries.
pub(crate) fn written(fixed: u32) -> u32 {
    IDS.get().and_then(|ids| ids.written.get(&fixed)).copied().unwrap_or(fixed)
}

/// What an id in a frame stands for.
pub(crate) fn read(found: u32) -> Meaning {
    let Some(ids) = IDS.get() else { return Meaning::Fixed(found) };
    match ids.known.read().unwrap_or_else(PoisonError::into_inner).get(&found) {
        Some(Known::Ours(fixed)) => Meaning::Fixed(*fixed),
        Some(Known::Other(other)) => Meaning::Other(other),
        Some(Known::Missing(_)) | None => Meaning::Unknown,
    }
}
