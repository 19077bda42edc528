//! The layout of the SQLite file, and the statements on it.

use std::collections::HashMap;

use millrace_topology::{Kind, StreamSpec};
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use crate::{
    log::{Fetched, Transaction},
    record::{Headers, Partition, Record},
};

/// The version of the layout that this Millrace writes (`PRAGMA user_version`).
pub(super) const LAYOUT: i64 = 2;

/// A row of the table `streams`.
#[derive(Debug, Clone, Copy)]
pub(super) struct StreamRow {
    pub(super) id: i64,
    pub(super) partitions: u32,
    is_table: bool,
    /// The retention: at most `keep` records in a partition, for at most `days` days. `None` keeps them
    /// forever, as layout 1 does.
    keep: Option<u32>,
    days: Option<u32>,
}

/// A partition is trimmed after every `TRIM_EVERY` appended records. It exceeds its retention by at most that
/// many.
const TRIM_EVERY: i64 = 256;
/// The size in bytes to which SQLite truncates the write-ahead log after a checkpoint.
const WAL_BYTES: i64 = 16 << 20;
const DAY_MS: i64 = 24 * 3600 * 1000;

/// Configures the connection and creates the layout, or upgrades it. Returns the version of the file's
/// layout, which is greater than [`LAYOUT`] if a newer Millrace wrote it.
pub(super) fn prepare(c: &mut Connection) -> Result<i64, rusqlite::Error> {
    c.pragma_update(None, "journal_mode", "WAL")?;
    c.pragma_update(None, "synchronous", "NORMAL")?;
    c.pragma_update(None, "journal_size_limit", WAL_BYTES)?;
    c.set_prepared_statement_cache_capacity(64);
    if layout(c)? == LAYOUT {
        return Ok(LAYOUT);
    }
    let transaction = c.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Read again: another process may have created it in the meantime.
    match layout(&transaction)? {
        0 => {}
        1 => {
            transaction.execute_batch("ALTER TABLE streams ADD COLUMN days INTEGER")?;
            transaction.pragma_update(None, "user_version", LAYOUT)?;
            transaction.commit()?;
            return Ok(LAYOUT);
        }
        other => return Ok(other),
    }
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS streams (
             id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, partitions INTEGER NOT NULL,
             is_table INTEGER NOT NULL, keep INTEGER, days INTEGER) STRICT;
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

fn layout(c: &Connection) -> Result<i64, rusqlite::Error> {
    c.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Returns a number that changes when another connection commits.
pub(super) fn version(c: &Connection) -> Result<i64, rusqlite::Error> {
    c.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

/// Creates the streams that do not exist, and returns the number of partitions of each.
pub(super) fn ensure(c: &mut Connection, specs: &[StreamSpec]) -> Result<Vec<u32>, rusqlite::Error> {
    let transaction = c.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut found = Vec::with_capacity(specs.len());
    for spec in specs {
        let (keep, days) = (spec.retention.records, spec.retention.days);
        transaction.execute(
            "INSERT INTO streams (name, partitions, is_table, keep, days) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (name) DO UPDATE SET keep = excluded.keep, days = excluded.days
             WHERE keep IS NOT excluded.keep OR days IS NOT excluded.days",
            params![spec.name, spec.partitions, spec.kind == Kind::Table, keep, days],
        )?;
        found.push(stream(&transaction, spec.name)?.map_or(0, |stream| stream.partitions));
    }
    transaction.commit()?;
    Ok(found)
}

/// Returns the stream of this name.
pub(super) fn stream(c: &Connection, name: &str) -> Result<Option<StreamRow>, rusqlite::Error> {
    c.prepare_cached("SELECT id, partitions, is_table, keep, days FROM streams WHERE name = ?")?
        .query_row([name], |row| {
            Ok(StreamRow {
                id: row.get(0)?,
                partitions: row.get(1)?,
                is_table: row.get(2)?,
                keep: row.get(3)?,
                days: row.get(4)?,
            })
        })
        .optional()
}

/// Registers a group on a stream: from now on the stream keeps the records that the group has not consumed.
pub(super) fn register(c: &mut Connection, group: &str, stream: StreamRow) -> Result<(), rusqlite::Error> {
    let known: u32 = c
        .prepare_cached("SELECT count(*) FROM commits WHERE grp = ? AND stream = ?")?
        .query_row(params![group, stream.id], |row| row.get(0))?;
    if known >= stream.partitions {
        return Ok(());
    }
    let t = c.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for part in 0..stream.partitions {
        t.execute(
            "INSERT INTO commits (grp, stream, part, next) VALUES (?, ?, ?, 0) ON CONFLICT DO NOTHING",
            params![group, stream.id, part],
        )?;
    }
    t.commit()
}

/// Returns the number of records in a partition.
pub(super) fn depth(c: &Connection, stream: StreamRow, number: u32) -> Result<u64, rusqlite::Error> {
    let text = if stream.is_table {
        "SELECT count(*) FROM latest WHERE stream = ? AND part = ?"
    } else {
        "SELECT count(*) FROM records WHERE stream = ? AND part = ?"
    };
    let count: i64 = c.prepare_cached(text)?.query_row(params![stream.id, number], |row| row.get(0))?;
    Ok(count.cast_unsigned())
}

/// Returns the offset of the next record of a partition.
pub(super) fn end(c: &Connection, stream: i64, number: u32) -> Result<u64, rusqlite::Error> {
    let next: Option<i64> = c
        .prepare_cached("SELECT next FROM ends WHERE stream = ? AND part = ?")?
        .query_row(params![stream, number], |row| row.get(0))
        .optional()?;
    Ok(next.map_or(0, i64::cast_unsigned))
}

/// Returns the next offset that a group will consume, 0 if it never committed.
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

/// Commits the records and offsets of a transaction.
pub(super) fn commit(
    c: &mut Connection,
    transaction: &Transaction,
    now_ms: i64,
) -> Result<(), rusqlite::Error> {
    let t = c.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut known: HashMap<&str, StreamRow> = HashMap::new();
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
        if !stream.is_table && next % TRIM_EVERY == 0 {
            trim(&t, stream, part, next, now_ms)?;
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

/// Deletes the records of a partition that exceed its retention, but none that a registered group has not
/// consumed.
fn trim(c: &Connection, stream: StreamRow, part: u32, next: i64, now_ms: i64) -> Result<(), rusqlite::Error> {
    let by_count = stream.keep.map_or(0, |keep| next - i64::from(keep));
    let oldest_ms = now_ms - stream.days.map_or(now_ms, |days| i64::from(days) * DAY_MS);
    let by_age: Option<i64> = c
        .prepare_cached(
            "SELECT off FROM records WHERE stream = ? AND part = ? AND at >= ? ORDER BY off LIMIT 1",
        )?
        .query_row(params![stream.id, part, oldest_ms], |row| row.get(0))
        .optional()?;
    let consumed: Option<i64> = c
        .prepare_cached("SELECT min(next) FROM commits WHERE stream = ? AND part = ?")?
        .query_row(params![stream.id, part], |row| row.get(0))?;
    let limit = by_count.max(by_age.unwrap_or(next)).min(consumed.unwrap_or(i64::MAX));
    c.prepare_cached("DELETE FROM records WHERE stream = ? AND part = ? AND off < ?")?
        .execute(params![stream.id, part, limit])?;
    Ok(())
}

/// Returns at most `most` records of a partition from an offset on.
pub(super) fn read(
    c: &Connection,
    stream: StreamRow,
    partition: &Partition,
    from: u64,
    most: usize,
) -> Result<Fetched, rusqlite::Error> {
    // Both statements need the same snapshot: other processes may commit between them.
    let t = c.unchecked_transaction()?;
    let text = if stream.is_table {
        "SELECT off, off, at, key, value, headers FROM latest
         WHERE stream = ? AND part = ? AND off >= ? ORDER BY off LIMIT ?"
    } else {
        FETCH
    };
    let records: Vec<Record> =
        rows(&t, text, stream.id, partition, from, most)?.into_iter().map(|(_, record)| record).collect();
    let next = match records.last() {
        Some(last) if records.len() >= most => last.offset + 1,
        _ => end(&t, stream.id, partition.number)?.max(from),
    };
    Ok(Fetched { records, next })
}

/// Reads records of a stream with their position in the whole log.
const FETCH: &str = "SELECT seq, off, at, key, value, headers FROM records
    WHERE stream = ? AND part = ? AND off >= ? ORDER BY off LIMIT ?";

/// Returns records of several partitions in the order in which they were appended, at most `most`.
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

/// Encodes headers as JSON; `None` if there are none.
fn pack(headers: &Headers) -> Option<Vec<u8>> {
    if headers.is_empty() { None } else { serde_json::to_vec(headers).ok() }
}

/// The inverse of [`pack`].
fn unpack(headers: Option<&[u8]>) -> Headers {
    headers.and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default()
}
