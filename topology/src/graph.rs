//! What a graph is: streams, tables, and the processors between them. Each processor declares its own edges beside its code.

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
    /// Whether it only tells of work: no processor reads it. Every processor writes to such streams, and drawings leave them out.
    pub is_report: bool,
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
        is_report: false,
    };
    const REPORT: StreamSpec = StreamSpec { is_report: true, ..STREAM };
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
        StreamSpec { name: "executions", record: "ExecutionEvent", retention: LONG, ..REPORT };
    /// How far tasks are.
    pub const PROGRESS: StreamSpec = StreamSpec {
        name: "progress",
        record: "Progress",
        partitions: 1,
        retention: Retention { records: 1000, days: 1 },
        ..REPORT
    };
    /// What was logged about executions, also by media processes.
    pub const LOGS: StreamSpec = StreamSpec {
        name: "logs",
        record: "LogLine",
        retention: Retention { records: 5000, days: 7 },
        ..REPORT
    };
    /// Records that could not be processed, as they were.
    pub const DEAD_LETTERS: StreamSpec =
        StreamSpec { name: "dead-letters", key: "as the original", record: "as the original", ..REPORT };

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

/// A processor and its edges, as its file declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessorSpec {
    /// The name by which `--processors`, metrics and its consumer group know it.
    pub name: &'static str,
    /// What it does, in a few words.
    pub does: &'static str,
    /// The stream that it consumes.
    pub reads: StreamSpec,
    /// The streams that it produces to.
    pub writes: Vec<StreamSpec>,
    /// The table in which it keeps its state; an aggregation has one.
    pub state: Option<StreamSpec>,
    /// The processor whose group consumed its stream in earlier versions: what that group has committed is not consumed again.
    pub succeeds: Option<&'static str>,
    /// How many records it has at work at once.
    pub window: Window,
    /// What a process does without it.
    pub role: Role,
}

impl ProcessorSpec {
    /// A processor with a usual window that only makes sense in a process that makes media.
    #[must_use]
    pub fn new(
        name: &'static str,
        does: &'static str,
        reads: StreamSpec,
        writes: impl IntoIterator<Item = StreamSpec>,
    ) -> Self {
        let writes = writes.into_iter().collect();
        Self {
            name,
            does,
            reads,
            writes,
            state: None,
            succeeds: None,
            window: Window::Usual,
            role: Role::Works,
        }
    }

    /// Returns its consumer group.
    #[must_use]
    pub fn group(&self) -> String {
        group_of(self.name)
    }

    /// Returns the consumer group of the processor that it succeeds.
    #[must_use]
    pub fn succeeded_group(&self) -> Option<String> {
        self.succeeds.map(group_of)
    }
}

/// What the names of Millrace's consumer groups begin with. On a cluster, the application's name stands in its place.
pub const GROUP_PREFIX: &str = "millrace-";

/// Returns the consumer group of the processor of this name: `millrace-<name>`.
#[must_use]
pub fn group_of(name: &str) -> String {
    format!("{GROUP_PREFIX}{name}")
}

/// How many records a processor has at work at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// As many as the process has room for.
    Usual,
    /// As many as outputs may be written at once.
    Outputs,
}

/// What a processor is for, which decides in which processes it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It takes in what is uploaded where somebody watches: only where something is watched, or where it is asked for by name.
    Watches,
    /// It moves work on.
    Works,
    /// It does long work, and begins none before it knows which executions have ended.
    Makes,
    /// It decides about executions, also where nothing is made.
    Decides,
}

/// A graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// The streams and tables.
    pub streams: Vec<StreamSpec>,
    /// The processors.
    pub processors: Vec<ProcessorSpec>,
}

impl Topology {
    /// The processor of that name.
    #[must_use]
    pub fn processor(&self, name: &str) -> Option<&ProcessorSpec> {
        self.processors.iter().find(|processor| processor.name == name)
    }
}
