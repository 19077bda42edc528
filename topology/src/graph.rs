//! The elements of the topology: streams, tables and processors. Each processor declares its edges beside its
//! code.

/// Which records a stream keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Every record, within the retention.
    Stream,
    /// The latest record of each key (a compacted topic).
    Table,
}

/// The rule that selects the partition of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keyed {
    /// By the murmur2 hash of the key, as Kafka's Java clients do.
    ByKey,
    /// By the murmur2 hash of the key plus the number of the record, which spreads the records of a key
    /// evenly.
    Dealt,
}

/// The retention of a stream: a record may be deleted when it is older than `days`, or when `records` newer
/// ones are in its partition. A record that a group has not consumed is kept by the embedded log. A table
/// keeps the latest record of each key regardless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The number of records in a partition from which older ones may be deleted.
    pub records: u32,
    /// The age in days from which records may be deleted.
    pub days: u32,
}

/// How many days an ended execution is remembered, so that a redelivered upload is not taken for a new one:
/// at least as long as uploads are kept.
pub const HORIZON_DAYS: u32 = 30;

/// A stream or a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamSpec {
    /// The stream's name. A topic has the configured prefix before it.
    pub name: &'static str,
    /// Whether it is a stream or a table.
    pub kind: Kind,
    /// What the key contains, in words.
    pub key: &'static str,
    /// The name of its records in their schema.
    pub record: &'static str,
    /// The number of partitions that it is created with.
    pub partitions: u32,
    /// How records are partitioned.
    pub keyed: Keyed,
    /// How long records are kept.
    pub retention: Retention,
    /// True if it is a report that no processor reads. Many processors write to reports, so drawings leave
    /// them out.
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
    /// The retention of records that users look up or request again.
    const LONG: Retention = Retention { records: 20_000, days: HORIZON_DAYS };

    /// Notifications of object stores and watched folders: JSON, in the shapes that stores send.
    pub const NOTIFICATIONS: StreamSpec =
        StreamSpec { name: "notifications", key: "any", record: "as stores send it", ..STREAM };
    /// Sources that were uploaded to watched locations.
    pub const ARRIVALS: StreamSpec =
        StreamSpec { name: "arrivals", key: "source URL", record: "Arrival", ..STREAM };
    /// The latest version of each source in watched locations: the changelog of `admit`.
    pub const SOURCES: StreamSpec =
        StreamSpec { name: "sources", kind: Kind::Table, key: "source URL", record: "Seen", ..STREAM };
    /// Uploads, which any program may produce. Fields that only Millrace may set are ignored here.
    pub const UPLOADS: StreamSpec =
        StreamSpec { name: "uploads", key: "source URL", record: "Upload", retention: LONG, ..STREAM };
    /// Accepted uploads with their principal, retries and replays. Only Millrace may produce it.
    pub const ACCEPTED: StreamSpec = StreamSpec { name: "accepted", ..UPLOADS };
    /// The time ranges of video and audio tracks to transcode.
    pub const SEGMENTS: StreamSpec =
        StreamSpec { name: "segments", record: "Segment", partitions: 12, keyed: Keyed::Dealt, ..STREAM };
    /// The signals that `assemble` folds: plans, outcomes, cancels.
    pub const TRANSCODED: StreamSpec = StreamSpec { name: "transcoded-segments", record: "Signal", ..STREAM };
    /// The state of each execution: the changelog of `assemble`.
    pub const ASSEMBLIES: StreamSpec =
        StreamSpec { name: "assemblies", kind: Kind::Table, record: "Assembly", ..STREAM };
    /// The latest ended attempt of each execution: every process stops work on it.
    pub const CONTROLS: StreamSpec =
        StreamSpec { name: "controls", kind: Kind::Table, record: "Control", ..STREAM };
    /// The outputs to merge, publish or withdraw.
    pub const MERGES: StreamSpec = StreamSpec { name: "merges", record: "Merge", ..STREAM };
    /// The end of each attempt at an execution.
    pub const MERGED: StreamSpec = StreamSpec { name: "merged", record: "Merged", retention: LONG, ..STREAM };
    /// The events of executions.
    pub const EXECUTIONS: StreamSpec =
        StreamSpec { name: "executions", record: "ExecutionEvent", retention: LONG, ..REPORT };
    /// The progress of running tasks.
    pub const PROGRESS: StreamSpec = StreamSpec {
        name: "progress",
        record: "Progress",
        partitions: 1,
        retention: Retention { records: 1000, days: 1 },
        ..REPORT
    };
    /// Log lines about executions, including those of media processes.
    pub const LOGS: StreamSpec = StreamSpec {
        name: "logs",
        record: "LogLine",
        retention: Retention { records: 5000, days: 7 },
        ..REPORT
    };
    /// Records that could not be processed, unchanged.
    pub const DEAD_LETTERS: StreamSpec =
        StreamSpec { name: "dead-letters", key: "as the original", record: "as the original", ..REPORT };

    /// The streams that other programs may produce to. All others belong to Millrace.
    pub const FOR_PRODUCERS: [StreamSpec; 2] = [NOTIFICATIONS, UPLOADS];

    /// All streams, in the order in which a video passes them.
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
    /// The name in `--processors`, metrics and its consumer group.
    pub name: &'static str,
    /// What it does, in a few words.
    pub does: &'static str,
    /// The stream that it consumes.
    pub reads: StreamSpec,
    /// The streams that it produces to.
    pub writes: Vec<StreamSpec>,
    /// The table with its state, if it is an aggregation.
    pub state: Option<StreamSpec>,
    /// The processor whose group consumed its stream in earlier versions: records that this group has committed are not
    /// processed again.
    pub succeeds: Option<&'static str>,
    /// How many records it has at work at once.
    pub window: Window,
    /// What it is for.
    pub role: Role,
}

impl ProcessorSpec {
    /// Returns a stateless processor with the usual window and the role [`Role::Works`].
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

/// The prefix of Millrace's consumer groups. On a cluster, the application's name takes its place.
pub const GROUP_PREFIX: &str = "millrace-";

/// Returns the consumer group of the processor of this name: `millrace-<name>`.
#[must_use]
pub fn group_of(name: &str) -> String {
    format!("{GROUP_PREFIX}{name}")
}

/// How many records a processor has at work at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// The process's usual limit.
    Usual,
    /// The limit of outputs that are written concurrently.
    Outputs,
}

/// What a processor is for. It decides in which processes the processor runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It handles uploads to watched locations. It runs where something is watched, or where it is named.
    Watches,
    /// It passes work on.
    Works,
    /// It does long work, and starts only after it knows which executions have ended.
    Makes,
    /// It decides about executions. It also runs in processes without media.
    Decides,
}

/// The streams and the processors between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// The streams and tables.
    pub streams: Vec<StreamSpec>,
    /// The processors.
    pub processors: Vec<ProcessorSpec>,
}

impl Topology {
    /// Returns the processor of this name.
    #[must_use]
    pub fn processor(&self, name: &str) -> Option<&ProcessorSpec> {
        self.processors.iter().find(|processor| processor.name == name)
    }
}
