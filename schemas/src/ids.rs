//! The ids of schemas in a schema registry.
//!
//! Without a registry each version of a record has a fixed id ([`crate::frame::schema_id`]). A registry assigns its own ids;
//! a [`SchemaIds`] maps them. Only the ids differ: bodies are the same with a registry and without.
//!
//! [`catalogue::install`](crate::catalogue::install) sets the table that [`Record::encode`](crate::frame::Record::encode) and
//! [`decode`](crate::frame::Record::decode) use in this process, since a process works on one cluster.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::{Duration, Instant},
};

use crate::{bounds, error::RecordError, foreign::ForeignSchema};

/// For how long an id is not looked up again after the registry had no usable schema for it.
const MISSING_FOR: Duration = Duration::from_secs(5);
/// The greatest id of a registry: registries count from 1, in Java's `int`.
const MAX_ID: u32 = i32::MAX as u32;
/// The most foreign schemas that a table keeps.
const MAX_FOREIGN: usize = 1000;
/// The greatest length of the texts of all foreign schemas of a table, in bytes.
const MAX_FOREIGN_BYTES: usize = 4 * 1024 * 1024;
/// A foreign schema that was used within this time is not dropped for another.
const IN_USE: Duration = Duration::from_secs(10);
/// The count of ids above which a table drops missing ones that may be looked up again.
const MAX_IDS: usize = 10_000;

/// The table of this process.
static INSTALLED: OnceLock<SchemaIds> = OnceLock::new();

/// Sets the table of this process. Only the first call has an effect.
pub(crate) fn install(ids: SchemaIds) {
    let _ = INSTALLED.set(ids);
}

/// Returns the table of this process, `None` if it uses no registry.
#[must_use]
pub fn installed() -> Option<&'static SchemaIds> {
    INSTALLED.get()
}

/// Returns the id of a value's schema if it must be looked up in the registry; see [`SchemaIds::unresolved_id`]. Returns `None` if
/// this process uses no registry.
#[must_use]
pub fn unresolved_id(value: &[u8]) -> Option<u32> {
    installed()?.unresolved_id(value)
}

/// Adds the registry's answer about an id to the table of this process; see [`SchemaIds::register`]. Does nothing if this process
/// uses no registry.
///
/// # Errors
/// As [`SchemaIds::register`].
pub fn register(id: u32, answer: RegistryAnswer<'_>) -> Result<(), RecordError> {
    installed().map_or(Ok(()), |ids| ids.register(id, answer))
}

/// A table of a registry's schema ids: which id each record is written with, and which schema each id found in a value stands for.
pub struct SchemaIds {
    /// The fixed id of each version of each record, by the schema's canonical form.
    fixed: HashMap<String, u32>,
    /// The registry's id for each fixed id that is written.
    written: HashMap<u32, u32>,
    /// What is known of each id of the registry.
    known: RwLock<HashMap<u32, KnownId>>,
}

/// What a table knows of an id of the registry.
enum KnownId {
    /// It is a version of a record, with this fixed id.
    Fixed(u32),
    /// It is a foreign schema.
    Foreign(Arc<ForeignSchema>),
    /// The registry had no schema at that time; or it had one that can't be used, for this reason.
    Missing(Instant, Option<String>),
}

/// The result of looking up the schema id of a value.
pub(crate) enum SchemaLookup {
    /// A version of a record, by its fixed id.
    Fixed(u32),
    /// A foreign schema.
    Foreign(Arc<ForeignSchema>),
    /// A schema that can't be used, and why.
    Unusable(String),
    /// The registry has no such schema, or was not asked yet.
    Unknown,
}

/// A registry's answer about an id.
#[derive(Debug, Clone, Copy)]
pub enum RegistryAnswer<'a> {
    /// The registry has no schema with this id.
    Missing,
    /// The registry has a schema.
    Schema {
        /// The text, as it was registered.
        text: &'a str,
        /// Whether it is registered under the subject of the record that
        /// [`newer_version_of`](crate::catalogue::newer_version_of) returns.
        is_announced: bool,
    },
}

impl SchemaIds {
    /// Makes a table. `fixed` has the fixed id of each version by its canonical form, `written` the registry's id for each fixed
    /// id that is written.
    pub(crate) fn new(fixed: HashMap<String, u32>, written: HashMap<u32, u32>) -> Self {
        let known = written.iter().map(|(fixed, id)| (*id, KnownId::Fixed(*fixed))).collect();
        Self { fixed, written, known: RwLock::new(known) }
    }

    /// Returns the id of a value's schema if it must be looked up in the registry before the value can be read: it is not in this
    /// table, or the registry did not have it five seconds ago.
    #[must_use]
    pub fn unresolved_id(&self, value: &[u8]) -> Option<u32> {
        let Some((&[0, a, b, c, d], _)) = value.split_first_chunk() else { return None };
        let id = u32::from_be_bytes([a, b, c, d]);
        if !(1..=MAX_ID).contains(&id) {
            return None;
        }
        match self.known.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            None => Some(id),
            Some(KnownId::Missing(at, _)) if at.elapsed() > MISSING_FOR => Some(id),
            Some(_) => None,
        }
    }

    /// Adds the registry's answer about an id. The table keeps at most 1,000 foreign schemas, of at most 4 MiB together: those
    /// that were not used for the longest time are dropped.
    ///
    /// # Errors
    /// [`RecordError::Schema`] if the schema is invalid, longer than [`LONGEST_SCHEMA`](crate::LONGEST_SCHEMA) or recursive, or if
    /// all foreign schemas that the table keeps are in use. Values with this id then can't be read.
    pub fn register(&self, id: u32, answer: RegistryAnswer<'_>) -> Result<(), RecordError> {
        let known = match answer {
            RegistryAnswer::Missing => Ok(KnownId::Missing(Instant::now(), None)),
            RegistryAnswer::Schema { text, is_announced } => self.recognize(text, is_announced),
        };
        let mut table = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let known = match known {
            Ok(KnownId::Foreign(schema)) if !make_room(&mut table, schema.bytes()) => {
                let reason = format!("more than {MAX_FOREIGN} schemas of others are in use");
                Err(RecordError::Schema { reason })
            }
            known => known,
        };
        if table.len() > MAX_IDS {
            table.retain(|_, known| !matches!(known, KnownId::Missing(at, _) if at.elapsed() > MISSING_FOR));
        }
        match known {
            Ok(known) => drop(table.insert(id, known)),
            Err(error) => {
                table.insert(id, KnownId::Missing(Instant::now(), Some(error.to_string())));
                return Err(error);
            }
        }
        Ok(())
    }

    /// Returns what a schema is: a version of a record, or a foreign schema.
    fn recognize(&self, text: &str, is_announced: bool) -> Result<KnownId, RecordError> {
        let schema = bounds::parse(text)?;
        bounds::check(&schema).map_err(|reason| RecordError::Schema { reason })?;
        Ok(match self.fixed.get(&schema.canonical_form()) {
            Some(fixed) => KnownId::Fixed(*fixed),
            None => KnownId::Foreign(Arc::new(ForeignSchema::new(schema, text.len(), is_announced))),
        })
    }

    /// Returns the id that a record is written with, by its fixed id: the registry's, or the fixed one if it is not registered.
    pub(crate) fn written_id(&self, fixed: u32) -> u32 {
        self.written.get(&fixed).copied().unwrap_or(fixed)
    }

    /// Looks up the schema id of a value.
    pub(crate) fn look_up(&self, id: u32) -> SchemaLookup {
        match self.known.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            Some(KnownId::Fixed(fixed)) => SchemaLookup::Fixed(*fixed),
            Some(KnownId::Foreign(schema)) => {
                schema.mark_used();
                SchemaLookup::Foreign(schema.clone())
            }
            Some(KnownId::Missing(_, Some(why))) => SchemaLookup::Unusable(why.clone()),
            Some(KnownId::Missing(_, None)) | None => SchemaLookup::Unknown,
        }
    }
}

/// Drops foreign schemas, the longest unused first, until there is room for one more of this many bytes. Returns `false` if all are
/// in use.
fn make_room(table: &mut HashMap<u32, KnownId>, bytes: usize) -> bool {
    loop {
        let foreign = || {
            table.iter().filter_map(|(id, known)| match known {
                KnownId::Foreign(schema) => Some((*id, schema)),
                _ => None,
            })
        };
        let total: usize = foreign().map(|(_, schema)| schema.bytes()).sum();
        if foreign().count() < MAX_FOREIGN && total + bytes <= MAX_FOREIGN_BYTES {
            return true;
        }
        let Some((oldest, schema)) = foreign().max_by_key(|(_, schema)| schema.unused_for()) else {
            return false;
        };
        if schema.unused_for() < IN_USE {
            return false;
        }
        table.remove(&oldest);
    }
}
