//! The ids of schemas where a schema registry gives them. Bodies are the same with a registry and without; ids differ.
//!
//! One table a process: a fact about the cluster that it works on. Without one, ids are fixed ([`crate::frame::schema_id`]).

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, OnceLock, PoisonError, RwLock},
    time::{Duration, Instant},
};

use apache_avro::Schema;

use crate::{
    RecordError,
    bounds::{self, LONGEST_SCHEMA},
    frame,
    other::Other,
};

/// For how long a registry's word that it knows no such schema is taken.
const UNKNOWN_FOR: Duration = Duration::from_secs(5);

/// Registries count from 1, by numbers that Java calls `int`: what is beyond is no id, and is not asked for.
const LAST: u32 = i32::MAX as u32;
/// How many schemas of others are kept, and how long their texts are together at most, in bytes.
const OTHERS: usize = 1000;
const OTHERS_BYTES: usize = 4 * 1024 * 1024;
/// A schema by which something was read in this time is kept.
const IN_USE: Duration = Duration::from_secs(10);
/// From so many ids on, those go that were looked up in vain and may be asked for again.
const MISSING: usize = 10_000;

/// The fixed ids of all our schemas, by their canonical forms.
static OURS: LazyLock<HashMap<String, u32>> = LazyLock::new(|| {
    let versions = |record: Described| {
        let form = |(version, schema): (u32, &&Schema)| {
            (schema.canonical_form(), frame::schema_id(record.number, version))
        };
        (1..).zip(record.schemas).map(form).collect::<Vec<_>>()
    };
    all().into_iter().flat_map(versions).collect()
});

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
    Other(Arc<Other>),
    /// There was none at that time, or none that can be read by, for this reason.
    Missing(Instant, Option<String>),
}

/// What the id in a frame stands for.
pub(crate) enum Meaning {
    Fixed(u32),
    Other(Arc<Other>),
    /// A schema that nothing is read by, and why.
    Unusable(String),
    Unknown,
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

impl Described {
    pub(crate) fn latest(&self) -> &'static Schema {
        self.schemas[self.schemas.len() - 1]
    }
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
    if !(1..=LAST).contains(&id) {
        return None;
    }
    match ids.known.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
        None => Some(id),
        Some(Known::Missing(at, _)) if at.elapsed() > UNKNOWN_FOR => Some(id),
        Some(_) => None,
    }
}

/// What a registry says of an id.
#[derive(Debug, Clone, Copy)]
pub enum Answer<'a> {
    /// It has no such schema.
    Missing,
    /// A schema's text.
    Schema {
        /// The text, as it was registered.
        text: &'a str,
        /// Whether it is registered for the record that it [`claims`] to be.
        is_announced: bool,
    },
}

/// The record that a schema claims to be a newer version of: it has its name, all of its fields, and more. Only what is
/// registered under that record's own subject is one.
#[must_use]
pub fn claims(text: &str) -> Option<&'static str> {
    let schema = parse(text).ok()?;
    let other = Other::new(schema, text.len(), false);
    all().into_iter().find(|record| other.is_newer(record.name, record.latest())).map(|record| record.name)
}

/// Learns what a registry says of an id. How many schemas of others are kept is bounded: those that nobody used for the longest time go.
///
/// # Errors
/// Where nothing can be read by the schema: it is none, is too long, is recursive, or there are too many. What carries it is no record then.
pub fn learn(id: u32, answer: Answer<'_>) -> Result<(), RecordError> {
    let Some(ids) = IDS.get() else { return Ok(()) };
    let known = match answer {
        Answer::Missing => Ok(Known::Missing(Instant::now(), None)),
        Answer::Schema { text, is_announced } => recognize(text, is_announced),
    };
    let mut table = ids.known.write().unwrap_or_else(PoisonError::into_inner);
    let kept = match known {
        Ok(Known::Other(other)) if !make_room(&mut table, other.bytes()) => {
            Err(RecordError::Schema { reason: format!("more than {OTHERS} schemas of others are in use") })
        }
        other => other,
    };
    if table.len() > MISSING {
        table.retain(|_, known| !matches!(known, Known::Missing(at, _) if at.elapsed() > UNKNOWN_FOR));
    }
    match kept {
        Ok(known) => drop(table.insert(id, known)),
        Err(error) => {
            table.insert(id, Known::Missing(Instant::now(), Some(error.to_string())));
            return Err(error);
        }
    }
    Ok(())
}

/// Lets go of what was not used for the longest time, until there is room for one more schema of this length. False where
/// all are in use.
fn make_room(table: &mut HashMap<u32, Known>, bytes: usize) -> bool {
    loop {
        let others = || {
            table.iter().filter_map(|(id, known)| match known {
                Known::Other(other) => Some((*id, other)),
                _ => None,
            })
        };
        let held: usize = others().map(|(_, other)| other.bytes()).sum();
        if others().count() < OTHERS && held + bytes <= OTHERS_BYTES {
            return true;
        }
        let Some((oldest, other)) = others().max_by_key(|(_, other)| other.unused()) else { return false };
        if other.unused() < IN_USE {
            return false;
        }
        table.remove(&oldest);
    }
}

fn parse(text: &str) -> Result<Schema, RecordError> {
    if text.len() > LONGEST_SCHEMA {
        let reason = format!("it has {} bytes, and {LONGEST_SCHEMA} are the most", text.len());
        return Err(RecordError::Schema { reason });
    }
    Schema::parse_str(text).map_err(|error| RecordError::Schema { reason: error.to_string() })
}

fn recognize(text: &str, is_announced: bool) -> Result<Known, RecordError> {
    let schema = parse(text)?;
    bounds::check(&schema).map_err(|reason| RecordError::Schema { reason })?;
    if let Some(fixed) = OURS.get(&schema.canonical_form()) {
        return Ok(Known::Ours(*fixed));
    }
    Ok(Known::Other(Arc::new(Other::new(schema, text.len(), is_announced))))
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
        Some(Known::Other(other)) => {
            other.touch();
            Meaning::Other(other.clone())
        }
        Some(Known::Missing(_, Some(why))) => Meaning::Unusable(why.clone()),
        Some(Known::Missing(_, None)) | None => Meaning::Unknown,
    }
}
