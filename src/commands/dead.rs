//! `millrace dead list|show|retry`: records that could not be processed.

use std::{collections::BTreeSet, fmt::Write as _};

use millrace_runtime::{
    ERROR_EXCEPTION, ERROR_HEADERS, ERROR_MESSAGE, ERROR_OFFSET, ERROR_PARTITION, ERROR_TOPIC, Log,
    NewRecord, Partition, Record, Transaction, read_to_end,
};
use millrace_schemas::{
    Assembly, ExecutionEvent, Merge, Merged, Progress, Segment, Signal, Upload, frame::Record as _,
    masked_url,
};
use millrace_topology::{Emit, Placement, streams};
use serde_json::{Value, json};

use crate::{
    cli::{Dead, LogLocation},
    error::CommandError,
    shell::connect::{existing_log, known_log},
    terminal::{note, print, print_lines, timestamp},
};

/// The header by which a dead letter says that another one, of this id, was published again.
const RETRIED: &str = "millrace.retried";

pub(super) async fn dead(call: Dead) -> Result<u8, CommandError> {
    match call {
        Dead::List { log, all, json } => list(&log, all, json).await,
        Dead::Show { letter, log, json } => show(&letter, &log, json).await,
        Dead::Retry { letters, all, log } => retry(&letters, all, &log).await,
    }
}

/// A record that could not be processed.
struct Letter {
    record: Record,
    was_retried: bool,
}

impl Letter {
    /// Returns its partition and offset among the dead letters: `partition:offset`.
    fn id(&self) -> String {
        format!("{}:{}", self.record.partition.number, self.record.offset)
    }

    fn header(&self, name: &str) -> String {
        self.record.header(name).unwrap_or_default()
    }

    fn key(&self) -> String {
        masked_url(&shown(&self.record.key))
    }

    /// Returns the record as JSON, decoded as its topic's type; `None` if it can't be decoded.
    fn read(&self) -> Option<Value> {
        let value = self.record.value.as_deref()?;
        let topic = self.header(ERROR_TOPIC);
        let stream = streams::ALL.iter().find(|stream| stream.name == topic)?;
        match stream.record {
            "Upload" => Upload::read(value).ok().map(|record| json!(record)),
            "Segment" => Segment::decode(value).ok().map(|record| json!(record)),
            "Signal" => Signal::decode(value).ok().map(|record| json!(record)),
            "Assembly" => Assembly::decode(value).ok().map(|record| json!(record)),
            "Merge" => Merge::decode(value).ok().map(|record| json!(record)),
            "Merged" => Merged::decode(value).ok().map(|record| json!(record)),
            "ExecutionEvent" => ExecutionEvent::decode(value).ok().map(|record| json!(record)),
            "Progress" => Progress::decode(value).ok().map(|record| json!(record)),
            _ => None,
        }
    }

    fn as_json(&self) -> Value {
        json!({
            "id": self.id(), "at": timestamp(self.record.at_ms), "key": self.key(), "retried": self.was_retried,
            "topic": self.header(ERROR_TOPIC), "partition": self.header(ERROR_PARTITION).parse::<u32>().ok(),
            "offset": self.header(ERROR_OFFSET).parse::<u64>().ok(), "error": self.header(ERROR_EXCEPTION),
            "reason": self.header(ERROR_MESSAGE),
        })
    }
}

/// Returns bytes of unknown origin with everything escaped that a terminal acts on.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).escape_debug().to_string()
}

/// Returns all dead letters, the latest first.
async fn letters(log: &dyn Log) -> Result<Vec<Letter>, CommandError> {
    let mut records = Vec::new();
    for number in 0..log.partitions(streams::DEAD_LETTERS.name).await? {
        let partition = Partition { stream: streams::DEAD_LETTERS.name.into(), number };
        read_to_end(log, &partition, 0, |record| records.push(record)).await?;
    }
    let again: BTreeSet<String> = records.iter().filter_map(|record| record.header(RETRIED)).collect();
    records.retain(|record| record.header(RETRIED).is_none());
    records.sort_by(|a, b| b.at_ms.cmp(&a.at_ms).then(b.offset.cmp(&a.offset)));
    let letter = |record| {
        let mut letter = Letter { record, was_retried: false };
        letter.was_retried = again.contains(&letter.id());
        letter
    };
    Ok(records.into_iter().map(letter).collect())
}

async fn list(location: &LogLocation, all: bool, json: bool) -> Result<u8, CommandError> {
    let mut found = match existing_log(location, false).await? {
        Some(log) => letters(log.as_ref()).await?,
        None => Vec::new(),
    };
    found.retain(|letter| all || !letter.was_retried);
    if found.is_empty() && !json {
        note("no dead letters: every record could be processed");
        return Ok(0);
    }
    if !json {
        print(&format!("{:<8}  {:<20}  {:<20}  {:<16}  reason", "id", "time", "topic", "key"));
    }
    for letter in &found {
        if json {
            print(&letter.as_json().to_string());
            continue;
        }
        let (id, at, topic) = (letter.id(), timestamp(letter.record.at_ms), letter.header(ERROR_TOPIC));
        let again = if letter.was_retried { " (published again)" } else { "" };
        let (key, reason) = (letter.key(), letter.header(ERROR_MESSAGE));
        print(&format!("{id:<8}  {at:<20}  {topic:<20}  {key:<16}  {reason}{again}"));
    }
    Ok(0)
}

fn find<'a>(all: &'a [Letter], id: &str) -> Result<&'a Letter, CommandError> {
    all.iter().find(|letter| letter.id() == id).ok_or_else(|| {
        CommandError::Call(format!("no dead letter has the id '{id}'; 'millrace dead list --all' shows all"))
    })
}

async fn show(id: &str, location: &LogLocation, json: bool) -> Result<u8, CommandError> {
    let all = match existing_log(location, false).await? {
        Some(log) => letters(log.as_ref()).await?,
        None => Vec::new(),
    };
    let letter = find(&all, id)?;
    let value = letter.record.value.as_deref().unwrap_or_default();
    if json {
        let mut shown = letter.as_json();
        shown["record"] = letter.read().unwrap_or(Value::Null);
        shown["value"] = value
            .iter()
            .fold(String::new(), |mut hex, byte| {
                // Writing to a String can't fail.
                let _ = write!(hex, "{byte:02x}");
                hex
            })
            .into();
        print(&shown.to_string());
        return Ok(0);
    }
    print(&format!(
        "dead letter  {}{}",
        letter.id(),
        if letter.was_retried { " (published again)" } else { "" }
    ));
    print(&format!("time         {}", timestamp(letter.record.at_ms)));
    let (topic, partition) = (letter.header(ERROR_TOPIC), letter.header(ERROR_PARTITION));
    print(&format!("from         {topic}, partition {partition}, offset {}", letter.header(ERROR_OFFSET)));
    print(&format!("error        {}", letter.header(ERROR_EXCEPTION)));
    print(&format!("reason       {}", letter.header(ERROR_MESSAGE)));
    print(&format!("key          {}", letter.key()));
    for (name, bytes) in letter.record.headers.iter().filter(|(name, _)| !name.starts_with(ERROR_HEADERS)) {
        print(&format!("header       {}: {}", name.escape_debug(), shown(bytes)));
    }
    print(&format!("value        {} bytes", value.len()));
    match letter.read() {
        Some(record) => print_lines(&format!("{record:#}")),
        None => print_lines(&dump(value)),
    }
    Ok(0)
}

/// The first bytes of a value, as hexdump shows them.
fn dump(value: &[u8]) -> String {
    const MOST: usize = 512;
    let mut out = String::new();
    for (line, bytes) in value.chunks(16).take(MOST / 16).enumerate() {
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let text: String = bytes
            .iter()
            .map(|b| if b.is_ascii_graphic() || *b == b' ' { char::from(*b) } else { '.' })
            .collect();
        // Writing to a String can't fail.
        let _ = writeln!(out, "{:08x}  {:<47}  {text}", line * 16, hex.join(" "));
    }
    if value.len() > MOST {
        let _ = writeln!(out, "… and {} bytes more", value.len() - MOST);
    }
    out
}

async fn retry(ids: &[String], all: bool, location: &LogLocation) -> Result<u8, CommandError> {
    let log = known_log(location, false).await?;
    let known = letters(log.as_ref()).await?;
    let chosen: Vec<&Letter> = if all {
        known.iter().filter(|letter| !letter.was_retried).collect()
    } else {
        ids.iter().map(|id| find(&known, id)).collect::<Result<_, _>>()?
    };
    if chosen.is_empty() {
        note("no dead letters: there is nothing to publish again");
    }
    for letter in chosen {
        let topic = letter.header(ERROR_TOPIC);
        let records = again(letter).ok_or_else(|| {
            CommandError::Failed(format!("dead letter {} does not say where it came from", letter.id()))
        })?;
        log.commit(Transaction { records, ..Transaction::default() }).await?;
        print(&format!("{}  published again to {topic}", letter.id()));
        // The keys of uploads are no executions.
        let is_upload = [streams::UPLOADS.name, streams::ACCEPTED.name].contains(&topic.as_str());
        if !is_upload && letter.header(ERROR_EXCEPTION) == "given-up" {
            note(&format!(
                "millrace: its execution has failed since; 'millrace executions retry {}' makes a new attempt",
                letter.key()
            ));
        }
    }
    if !all || !known.is_empty() {
        note(
            "millrace: whoever serves takes it; on a data folder that nobody works on, the next 'millrace run' or 'serve' there",
        );
    }
    Ok(0)
}

/// Returns a dead letter's record, for the partition that it came from, and a note that it was published again.
fn again(letter: &Letter) -> Option<Vec<NewRecord>> {
    let topic = letter.header(ERROR_TOPIC);
    let stream = streams::ALL.iter().find(|stream| stream.name == topic)?.name;
    let placement = Placement::Exactly(letter.header(ERROR_PARTITION).parse().ok()?);
    let Record { key, value, headers, .. } = letter.record.clone();
    let headers = headers.into_iter().filter(|(name, _)| !name.starts_with(ERROR_HEADERS)).collect();
    let note = Emit {
        stream: streams::DEAD_LETTERS.name,
        key: key.clone(),
        value: None,
        placement: Placement::Exactly(letter.record.partition.number),
    };
    let retried = vec![(RETRIED.to_owned(), letter.id().into_bytes())];
    Some(vec![
        NewRecord { emit: Emit { stream, key, value, placement }, headers },
        NewRecord { emit: note, headers: retried },
    ])
}
