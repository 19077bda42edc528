//! The file: its layout and its statements.

use std::collections::HashMap;

use millrace_topology::{Kind, Retention, StreamSpec};
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use crate::log::{Headers, Partition, Record, Transaction};

/// The layout that this Millrace writes (`PRAGMA user_version`).
pub(super) const LAYOUT: i64 = 1;

/// What of a stream the statements need.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stream {
    pub(super) id: i64,
    pub(super) partitions: u32,
    is_table: bool,
    /// How many records a partition keeps.
    keep: Option<u32>,
}

/// Sets the connection up and makes the layout; says which layout the file has.
pub(super) fn prepare(c: &mut Connection) -> Result<i64, rusqlite::Error> {
    c.pragma_update(None, "journal_mode", "WAL")?;
    c.pragma_update(None, "synchronous", "NORMAL")?;
    c.set_prepared_statement_cache_capacity(64);
    let found: i64 = c.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found != 0 {
        return Ok(found);
    }
    let transaction = c.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS streams (
             id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, partitions INTEGER NOT NULL,
             is_table INTEGER NOT NULL, keep INTEGER) STRICT;
         CREATE TABLE IF NOT EXISTS records (
             seq INTEGER PRIMARY KEY, stream INTEGER NOT NULL, part INTEGER NOT NULL, off INTEGER NOT NULL,
             at INTEGER NOT NULL, key BLOB NOT NULL, value BLOB, headers BLOB) STRICT;
         CREATE UNIQUE INDEX IF NOT EXISTS records_by_offset ON records (stream, part, off);
         CREATE TABLE IF NOT EXISTS latest (
             stream INTEGER NOT NULL, part INTEGER NOT NULL, key BLOB NOT NULL, off INTEGER NOT NULL,
             at INTEGER NOT NULL, value BLOB NOT NULL, headers BLOB,
             PRIMARY KEY (stream, part, key)) STRICT, WITHOUT ROWID;
         CREATE INDEX IF NOT EXISTS latest_by_offset ON latest (stream, part, off);
         CREATE TABLE IF NOT EXISTS ends (
             stream INTEGER NOT NULL, part INTEGER NOT NULL, next INTEGER NOT NULL,
             PRIMARY KEY (stream, part)) STRICT, WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS commits (
             grp TEXT NOT NULL, stream INTEGER NOT NULL, part INTEGER NOT NULL, next INTEGER NOT NULL,
             PRIMARY KEY (grp, stream, part)) STRICT, WITHOUT ROWID;",
    )?;
    transaction.pragma_update(None, "user_version", LAYOUT)?;
    transaction.commit()?;
    Ok(LAYOUT)
}

/// Makes the streams that are not there; says how many partitions each has.
pub(super) fn ensure(c: &mut Connection, specs: &[StreamSpec]) -> Result<Vec<u32>, rusqlite::Error> {
    let transaction = c.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut found = Vec::with_capacity(specs.len());
    for spec in specs {
        let keep = match spec.retention {
            Retention::Forever => None,
            Retention::Latest(keep) => Some(keep),
        };
        transaction.execute(
            "INSERT INTO streams (name, partitions, is_table, keep) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            params![spec.name, spec.partitions, spec.kind == Kind::Table, keep],
        )?;
        found.push(stream(&transaction, spec.name)?.map_or(0, |stream| stream.partitions));
    }
    transaction.commit()?;
    Ok(found)
}

pub(super) fn stream(c: &Connection, name: &str) -> Result<Option<Stream>, rusqlite::Error> {
    c.prepare_cached("SELECT id, partitions, is_table, keep FROM streams WHERE name = ?")?
        .query_row([name], |row| {
            Ok(Stream { id: row.get(0)?, partitions: row.get(1)?, is_table: row.get(2)?, keep: row.get(3)? })
        })
        .optional()
}

pub(super) fn end(c: &Connection, stream: i64, number: u32) -> Result<u64, rusqlite::Error> {
    let next: Option<i64> = c
        .prepare_cached("SELECT next FROM ends WHERE stream = ? AND part = ?")?
        .query_row(params![stream, number], |row| row.get(0))
        .optional()?;
    Ok(next.map_or(0, i64::cast_unsigned))
}

pub(super) fn committed(
    c: &Connection,
    group: &str,
    stream: i64,
    number: u32,
) -> Result<u64, rusqlite::Error> {
    let next: Option<i64> = c
        .prepare_cached("SELECT next FROM commits WHERE grp = ? AND stream = ? AND part = ?")?
        .query_row(params![group, stream, number], |row| row.get(0))
        .optional()?;
    Ok(next.map_or(0, i64::cast_unsigned))
}

pub(super) fn commit(
    c: &mut Connection,
    transaction: &Transaction,
    now_ms: i64,
) -> Result<(), rusqlite::Error> {
    let t = c.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut known: HashMap<&str, Stream> = HashMap::new();
    for record in &transaction.records {
        let name = record.emit.stream;
        let stream = match known.get(name) {
            Some(stream) => *stream,
            None => {
                let found = stream(&t, name)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
                *known.entry(name).or_insert(found)
            }
        };
        let part = record.partition(stream.partitions);
        let next: i64 = t
            .prepare_cached(
                "INSERT INTO ends (stream, part, next) VALUES (?, ?, 1)
                 ON CONFLICT DO UPDATE SET next = next + 1 RETURNING next",
            )?
            .query_row(params![stream.id, part], |row| row.get(0))?;
        let offset = next - 1;
        let (key, value, headers) = (&record.emit.key, &record.emit.value, pack(&record.headers));
        match (stream.is_table, value) {
            (false, _) => {
                t.prepare_cached(
                    "INSERT INTO records (stream, part, off, at, key, value, headers) VALUES (?, ?, ?, ?, ?, ?, ?)",
                )?
                .execute(params![stream.id, part, offset, now_ms, key, value, headers])?;
            }
            (true, Some(value)) => {
                t.prepare_cached(
                    "INSERT OR REPLACE INTO latest (stream, part, off, at, key, value, headers) VALUES (?, ?, ?, ?, ?, ?, ?)",
                )?
                .execute(params![stream.id, part, offset, now_ms, key, value, headers])?;
            }
            (true, None) => {
                t.prepare_cached("DELETE FROM latest WHERE stream = ? AND part = ? AND key = ?")?
                    .execute(params![stream.id, part, key])?;
            }
        }
        if let Some(keep) = stream.keep {
            t.prepare_cached("DELETE FROM records WHERE stream = ? AND part = ? AND off < ?")?
                .execute(params![stream.id, part, next - i64::from(keep)])?;
        }
    }
    if let Some(membership) = &transaction.membership {
        for (partition, next) in &transaction.offsets {
            let found = stream(&t, &partition.stream)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
            t.prepare_cached("INSERT OR REPLACE INTO commits (grp, stream, part, next) VALUES (?, ?, ?, ?)")?
                .execute(params![membership.group, found.id, partition.number, next.cast_signed()])?;
        }
    }
    t.commit()
}

pub(super) fn read(
    c: &Connection,
    stream: Stream,
    partition: &Partition,
    from: u64,
    most: usize,
) -> Result<Vec<Record>, rusqlite::Error> {
    let text = if stream.is_table {
        "SELECT off, off, at, key, value, headers FROM latest
         WHERE stream = ? AND part = ? AND off >= ? ORDER BY off LIMIT ?"
    } else {
        FETCH
    };
    let rows = rows(c, text, stream.id, partition, from, most)?;
    Ok(rows.into_iter().map(|(_, record)| record).collect())
}

const FETCH: &str = "SELECT seq, off, at, key, value, headers FROM records
    WHERE stream = ? AND part = ? AND off >= ? ORDER BY off LIMIT ?";

/// Records of several partitions, in the order in which they were appended.
pub(super) fn fetch(
    c: &Connection,
    stream: i64,
    name: &str,
    positions: &[(u32, u64)],
    most: usize,
) -> Result<Vec<Record>, rusqlite::Error> {
    let mut found = Vec::new();
    for (number, position) in positions {
        let partition = Partition { stream: name.into(), number: *number };
        found.extend(rows(c, FETCH, stream, &partition, *position, most)?);
    }
    found.sort_unstable_by_key(|(seq, _)| *seq);
    found.truncate(most);
    Ok(found.into_iter().map(|(_, record)| record).collect())
}

fn rows(
    c: &Connection,
    text: &str,
    stream: i64,
    partition: &Partition,
    from: u64,
    most: usize,
) -> Result<Vec<(i64, Record)>, rusqlite::Error> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    c.prepare_cached(text)?
        .query_map(params![stream, partition.number, from.cast_signed(), most], |row| record(row, partition))?
        .collect()
}

fn record(row: &Row<'_>, partition: &Partition) -> Result<(i64, Record), rusqlite::Error> {
    let offset: i64 = row.get(1)?;
    let headers: Option<Vec<u8>> = row.get(5)?;
    let record = Record {
        partition: partition.clone(),
        offset: offset.cast_unsigned(),
        at_ms: row.get(2)?,
        key: row.get(3)?,
        value: row.get(4)?,
        headers: unpack(headers.as_deref()),
    };
    Ok((row.get(0)?, record))
}

/// Few records have headers; those that do keep them as JSON.
fn pack(headers: &Headers) -> Option<Vec<u8>> {
    if headers.is_empty() { None } else { serde_json::to_vec(headers).ok() }
}

fn unpack(headers: Option<&[u8]>) -> Headers {
    headers.and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default()
}
