//! What a log is: partitions, keys, offsets, transactions, assignment. Shaped for Kafka; each backend has a file.

use async_trait::async_trait;
use millrace_topology::{Emit, Placement, StreamSpec};

use crate::watched::Watcher;

/// Headers of a record, in their order.
pub type Headers = Vec<(String, Vec<u8>)>;

/// A partition of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    /// The stream's name.
    pub stream: String,
    /// The partition, from 0.
    pub number: u32,
}

/// A record as it lies on the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where.
    pub partition: Partition,
    /// Its offset in the partition.
    pub offset: u64,
    /// When it was appended, in milliseconds since 1970.
    pub at_ms: i64,
    /// Its key.
    pub key: Vec<u8>,
    /// Its value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Headers,
}

impl Record {
    /// A header as text; what is no text in it is replaced.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let (_, value) = self.headers.iter().find(|(n, _)| n == name)?;
        Some(String::from_utf8_lossy(value).into_owned())
    }
}

/// A record to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// The stream, the key, the value and where it goes.
    pub emit: Emit,
    /// Its headers.
    pub headers: Headers,
}

impl From<Emit> for NewRecord {
    fn from(emit: Emit) -> Self {
        Self { emit, headers: Headers::new() }
    }
}

impl NewRecord {
    /// The partition that this record belongs to, of so many.
    #[must_use]
    pub fn partition(&self, partitions: u32) -> u32 {
        let hash = crate::murmur2(&self.emit.key);
        let number = match self.emit.placement {
            Placement::ByKey => hash,
            Placement::Dealt(number) => hash.wrapping_add(number),
            Placement::Exactly(number) => number,
        };
        number % partitions.max(1)
    }
}

/// Who commits: a member of a group at one generation of its assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The consumer group.
    pub group: String,
    /// The member.
    pub member: u64,
    /// The generation; an older one is fenced.
    pub epoch: u64,
}

/// Everything that one step causes, all of it or nothing.
#[derive(Debug, Default)]
pub struct Transaction {
    /// Records to append.
    pub records: Vec<NewRecord>,
    /// Next offsets to consume, of every partition that the member acts for: that is what fences one that has lost it.
    pub offsets: Vec<(Partition, u64)>,
    /// Who commits the offsets; `None` for a producer that consumes nothing.
    pub membership: Option<Membership>,
}

/// What a member owns, from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The generation.
    pub membership: Membership,
    /// The partitions.
    pub partitions: Vec<Owned>,
}

/// A partition that a member owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    /// Which.
    pub partition: Partition,
    /// The offset of the next record to come.
    pub position: u64,
    /// Whether it was not the member's all the time since the assignment before: what is known of it counts for nothing.
    pub fresh: bool,
}

/// What was read of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fetched {
    /// The records that are committed, in order.
    pub records: Vec<Record>,
    /// Where to go on: everything before this offset was read, or is nothing that can be.
    pub next: u64,
}

/// The largest value of a record in bytes, but for dead letters, which take what came in otherwise: Kafka's default
/// `message.max.bytes` less room for key, headers and batch.
pub const LARGEST_VALUE: usize = 1_000_000;

/// What a consumer hears of.
#[derive(Debug)]
pub enum Event {
    /// Its assignment changed: work of partitions that are no longer in it may finish, and commits nothing.
    Assigned(Assignment),
    /// Records, of each partition in order.
    Records(Vec<Record>),
}

/// A member of a consumer group.
#[async_trait]
pub trait Consumer: Send {
    /// Waits for records, `most` of them at once, or for a new assignment; with 0 only for that. May be dropped while it
    /// waits. A member whose session had ended joins again by itself.
    ///
    /// # Errors
    /// Where the log can't be read.
    async fn next(&mut self, most: usize) -> Result<Event, LogError>;

    /// Begins everything that is owned again at what is committed: the next event is an assignment in which all is fresh.
    fn rewind(&mut self);
}

/// A message log.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// Makes the streams that are not there.
    ///
    /// # Errors
    /// Where one is there with another number of partitions, or the log can't be written.
    async fn ensure(&self, streams: &[StreamSpec]) -> Result<(), LogError>;

    /// Joins a consumer group for one stream; leaves when dropped.
    ///
    /// # Errors
    /// Where the stream is unknown.
    async fn join(&self, group: &str, stream: &str) -> Result<Box<dyn Consumer>, LogError>;

    /// Commits a transaction. When this returns, a crash of the process loses none of it.
    ///
    /// # Errors
    /// [`LogError::Fenced`] where the member no longer owns a partition, and [`LogError::Aborted`]: nothing was done then.
    /// [`LogError::Uncertain`] where all was done or nothing.
    async fn commit(&self, transaction: Transaction) -> Result<(), LogError>;

    /// Appends records that only advise, such as progress: some may be lost, or come twice, when something goes wrong.
    ///
    /// # Errors
    /// Where the log can't be written.
    async fn advise(&self, records: Vec<NewRecord>) -> Result<(), LogError> {
        self.commit(Transaction { records, ..Transaction::default() }).await
    }

    /// Reads committed records without a group: of a table at least the latest of each key.
    ///
    /// # Errors
    /// Where the stream is unknown, or the log can't be read.
    async fn read(&self, partition: &Partition, from: u64, most: usize) -> Result<Fetched, LogError>;

    /// How many partitions a stream has.
    ///
    /// # Errors
    /// Where the stream is unknown.
    async fn partitions(&self, stream: &str) -> Result<u32, LogError>;

    /// The offset that the next record of a partition will have, also behind records that can't be read yet.
    ///
    /// # Errors
    /// Where the log can't be read.
    async fn end(&self, partition: &Partition) -> Result<u64, LogError>;

    /// How many records a partition holds.
    ///
    /// # Errors
    /// Where the log can't be read.
    async fn depth(&self, partition: &Partition) -> Result<u64, LogError>;

    /// The next offset that a group will consume: waits for commits that are under way.
    ///
    /// # Errors
    /// Where the log can't be read.
    async fn committed(&self, group: &str, partition: &Partition) -> Result<u64, LogError>;

    /// How many records of a stream a group has yet to consume.
    ///
    /// # Errors
    /// Where the log can't be read.
    async fn lag(&self, group: &str, stream: &str) -> Result<u64, LogError> {
        let mut lag = 0;
        for number in 0..self.partitions(stream).await? {
            let partition = Partition { stream: stream.into(), number };
            let from = self.committed(group, &partition).await?;
            // Counted, not subtracted: offsets have gaps.
            crate::tail::read_on(self, &partition, from, |_| lag += 1).await?;
        }
        Ok(lag)
    }

    /// Changes whenever something was committed, by whichever process.
    fn changes(&self) -> Watcher<()>;
}

/// Why the log did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The stream was never made.
    #[error("the log has no stream '{0}'")]
    UnknownStream(String),
    /// A stream has another number of partitions than the topology says.
    #[error(
        "stream '{stream}' has {found} partitions, and the topology says {expected}; keyed streams can't change theirs"
    )]
    Partitions {
        /// The stream.
        stream: String,
        /// What it has.
        found: u32,
        /// What the topology says.
        expected: u32,
    },
    /// The member's assignment is over.
    #[error("{group}: the assignment of generation {epoch} is over")]
    Fenced {
        /// The group.
        group: String,
        /// The generation that tried to commit.
        epoch: u64,
    },
    /// The transaction came to nothing; it may be committed again.
    #[error("the transaction was aborted: {reason}")]
    Aborted {
        /// Why.
        reason: String,
    },
    /// Nobody knows whether the transaction was committed; what is committed tells.
    #[error("the commit was not acknowledged: {reason}")]
    Uncertain {
        /// Why.
        reason: String,
    },
    /// The disk is full.
    #[error(
        "the log at {path} has no room left on its disk; nothing was lost: make room, and run the same command again"
    )]
    Full {
        /// The file.
        path: String,
    },
    /// The log's file is no log, or parts of it are gone.
    #[error(
        "the log at {path} is damaged ({source}); nothing was changed in it. Move it away (with its -wal and -shm files), \
         or use another data folder, and run the same command again: outputs that are there stay as they are"
    )]
    Damaged {
        /// The file.
        path: String,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
    /// The log's file was written by a newer Millrace.
    #[error("{path} was written by a newer Millrace (layout {found}, this one knows {known}); use that one")]
    TooNew {
        /// The file.
        path: String,
        /// Its layout.
        found: i64,
        /// The latest layout that is known.
        known: i64,
    },
    /// The store under the log failed.
    #[error("the log at {path} failed while {doing}: {source}")]
    Store {
        /// The file.
        path: String,
        /// What was being done.
        doing: &'static str,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
    /// The cluster does not answer.
    #[error("can't reach Kafka at {brokers}: {reason}")]
    Unreachable {
        /// The brokers, as they were named.
        brokers: String,
        /// What the client says.
        reason: String,
    },
    /// The cluster, or its client, said no: trying again changes nothing.
    #[error("Kafka, {doing}: {reason}")]
    Cluster {
        /// What was being done.
        doing: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
}
