//! Streams, tables and processors, declared in one place: [`topology`].

/// What a stream keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Every record.
    Stream,
    /// The latest record of each key: compacted.
    Table,
}

/// Where a record goes among a stream's partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keyed {
    /// murmur2 of the key, as Java clients do.
    ByKey,
    /// Dealt evenly: murmur2 of the key plus the record's number.
    Dealt,
}

/// How long a stream keeps its records: what is older than `days`, or is followed by `records` others in its partition,
/// may go. What a group has yet to consume stays all the same. A table keeps the latest of each key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// At most so many records a partition.
    pub records: u32,
    /// For at most so many days.
    pub days: u32,
}

/// For how many days an execution that has ended is known, and so a redelivered upload of it is told from a new one: at least
/// as long as uploads are kept.
pub const HORIZON_DAYS: u32 = 30;

/// A stream or a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamSpec {
    /// The topic's name.
    pub name: &'static str,
    /// Stream or table.
    pub kind: Kind,
    /// What the key says.
    pub key: &'static str,
    /// The record's name, as its schema has it.
    pub record: &'static str,
    /// How many partitions it is made with.
    pub partitions: u32,
    /// How records find their partition.
    pub keyed: Keyed,
    /// How long records are kept.
    pub retention: Retention,
}

/// The streams and tables, by name.
pub mod streams {
    use super::{HORIZON_DAYS, Keyed, Kind, Retention, StreamSpec};

    const STREAM: StreamSpec = StreamSpec {
        name: "",
        kind: Kind::Stream,
        key: "execution",
        record: "",
        partitions: 4,
        keyed: Keyed::ByKey,
        retention: Retention { records: 5000, days: HORIZON_DAYS },
    };
    /// For what people look up, or ask for again.
    const LONG: Retention = Retention { records: 20_000, days: HORIZON_DAYS };

    /// What object stores and folders tell of: JSON, in the shapes that stores send.
    pub const NOTIFICATIONS: StreamSpec =
        StreamSpec { name: "notifications", key: "any", record: "as stores send it", ..STREAM };
    /// Sources that were uploaded where somebody watches.
    pub const ARRIVALS: StreamSpec =
        StreamSpec { name: "arrivals", key: "source URL", record: "Arrival", ..STREAM };
    /// The latest of each source where somebody watches: the changelog of what was seen.
    pub const SOURCES: StreamSpec =
        StreamSpec { name: "sources", kind: Kind::Table, key: "source URL", record: "Seen", ..STREAM };
    /// What was uploaded or asked for, as any program may produce it. Nothing that only Millrace may say is taken from here.
    pub const UPLOADS: StreamSpec =
        StreamSpec { name: "uploads", key: "source URL", record: "Upload", retention: LONG, ..STREAM };
    /// Uploads that were accepted, on behalf of whom; retries and replays. Only Millrace may produce it.
    pub const ACCEPTED: StreamSpec = StreamSpec { name: "accepted", ..UPLOADS };
    /// Time ranges of videos and sound tracks to transcode.
    pub const SEGMENTS: StreamSpec =
        StreamSpec { name: "segments", record: "Segment", partitions: 12, keyed: Keyed::Dealt, ..STREAM };
    /// All that the aggregation must know.
    pub const TRANSCODED: StreamSpec = StreamSpec { name: "transcoded-segments", record: "Signal", ..STREAM };
    /// The state of each execution: the aggregation's changelog.
    pub const ASSEMBLIES: StreamSpec =
        StreamSpec { name: "assemblies", kind: Kind::Table, record: "Assembly", ..STREAM };
    /// Which attempts at executions have ended: every process stops work on them.
    pub const CONTROLS: StreamSpec =
        StreamSpec { name: "controls", kind: Kind::Table, record: "Control", ..STREAM };
    /// Outputs to put together.
    pub const MERGES: StreamSpec = StreamSpec { name: "merges", record: "Merge", ..STREAM };
    /// The end of each execution.
    pub const MERGED: StreamSpec = StreamSpec { name: "merged", record: "Merged", retention: LONG, ..STREAM };
    /// What happened, when.
    pub const EXECUTIONS: StreamSpec =
        StreamSpec { name: "executions", record: "ExecutionEvent", retention: LONG, ..STREAM };
    /// How far tasks are.
    pub const PROGRESS: StreamSpec = StreamSpec {
        name: "progress",
        record: "Progress",
        partitions: 1,
        retention: Retention { records: 1000, days: 1 },
        ..STREAM
    };
    /// What was logged about executions, also by media processes.
    pub const LOGS: StreamSpec = StreamSpec {
        name: "logs",
        record: "LogLine",
        retention: Retention { records: 5000, days: 7 },
        ..STREAM
    };
    /// Records that could not be processed, as they were.
    pub const DEAD_LETTERS: StreamSpec =
        StreamSpec { name: "dead-letters", key: "as the original", record: "as the original", ..STREAM };

    /// What programs of others produce to; all else is Millrace's own.
    pub const FOR_PRODUCERS: [StreamSpec; 2] = [NOTIFICATIONS, UPLOADS];

    /// All of them, in the order in which a video passes.
    pub const ALL: [StreamSpec; 15] = [
        NOTIFICATIONS,
        ARRIVALS,
        SOURCES,
        UPLOADS,
        ACCEPTED,
        SEGMENTS,
        TRANSCODED,
        ASSEMBLIES,
        CONTROLS,
        MERGES,
        MERGED,
        EXECUTIONS,
        PROGRESS,
        LOGS,
        DEAD_LETTERS,
    ];
}

/// A processor and its edges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessorSpec {
    /// Its name; its consumer group is `millrace-<name>`.
    pub name: &'static str,
    /// What it does, in a few words.
    pub does: &'static str,
    /// The stream that it consumes.
    pub reads: StreamSpec,
    /// The streams that it produces to.
    pub writes: Vec<StreamSpec>,
    /// The table in which it keeps its state; an aggregation has one.
    pub state: Option<StreamSpec>,
    /// The group that consumed its stream in earlier versions: what that group has committed is not consumed again.
    pub succeeds: Option<&'static str>,
}

/// The graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// The streams and tables.
    pub streams: Vec<StreamSpec>,
    /// The processors.
    pub processors: Vec<ProcessorSpec>,
}

/// The graph of Millrace: the one place where processors and streams are joined.
#[must_use]
pub fn topology() -> Topology {
    use streams::{
        ACCEPTED, ALL, ARRIVALS, ASSEMBLIES, CONTROLS, EXECUTIONS, MERGED, MERGES, NOTIFICATIONS, PROGRESS,
        SEGMENTS, SOURCES, TRANSCODED, UPLOADS,
    };
    let processor = |name, does, reads, writes: &[StreamSpec], state| ProcessorSpec {
        name,
        does,
        reads,
        writes: writes.to_vec(),
        state,
        succeeds: None,
    };
    let accept = processor("accept", "takes what others may ask for", UPLOADS, &[ACCEPTED], None);
    Topology {
        streams: ALL.to_vec(),
        processors: vec![
            processor("trigger", "meets notifications with rules", NOTIFICATIONS, &[ARRIVALS], None),
            processor("admit", "takes the newest of each source, once", ARRIVALS, &[ACCEPTED], Some(SOURCES)),
            // Before there was `accept`, `split` read what others produce.
            ProcessorSpec { succeeds: Some("millrace-split"), ..accept },
            processor("split", "plans segments", ACCEPTED, &[SEGMENTS, TRANSCODED, EXECUTIONS], None),
            processor(
                "transcode",
                "decodes once, encodes each rendition",
                SEGMENTS,
                &[TRANSCODED, EXECUTIONS, PROGRESS],
                None,
            ),
            processor(
                "assemble",
                "counts segments",
                TRANSCODED,
                &[MERGES, SEGMENTS, MERGED, CONTROLS, EXECUTIONS],
                Some(ASSEMBLIES),
            ),
            processor("merge", "joins and proves", MERGES, &[TRANSCODED, EXECUTIONS], None),
            processor("cleanup", "frees work objects", MERGED, &[EXECUTIONS], None),
        ],
    }
}

impl Topology {
    /// The processor of that name.
    #[must_use]
    pub fn processor(&self, name: &str) -> Option<&ProcessorSpec> {
        self.processors.iter().find(|processor| processor.name == name)
    }
}

/// The consumer group of a processor.
impl ProcessorSpec {
    /// `millrace-<name>`.
    #[must_use]
    pub fn group(&self) -> String {
        format!("millrace-{}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_edge_ends_at_a_declared_stream() {
        let topology = topology();
        for processor in &topology.processors {
            for stream in processor.writes.iter().chain([&processor.reads]).chain(&processor.state) {
                assert!(topology.streams.contains(stream), "{}: {}", processor.name, stream.name);
            }
        }
    }

    #[test]
    fn an_aggregation_and_its_changelog_have_the_same_partitions() {
        for processor in topology().processors {
            if let Some(table) = processor.state {
                assert_eq!(processor.reads.partitions, table.partitions);
                assert_eq!(table.kind, Kind::Table);
            }
        }
    }
}
