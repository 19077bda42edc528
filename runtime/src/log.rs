//! The traits [`Log`] and [`Consumer`]: streams of partitions, transactions, consumer groups. They follow Kafka's model.

use async_trait::async_trait;
use millrace_topology::StreamSpec;

use crate::{
    error::LogError,
    record::{NewRecord, Partition, Record},
    watched::Watcher,
};

/// How many records [`read_to_end`] reads at once.
const BATCH: usize = 1000;

/// A member of a consumer group at one generation of the group's assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The consumer group.
    pub group: String,
    /// The id of the member in its group.
    pub member: u64,
    /// The generation. Commits of an older generation are fenced.
    pub epoch: u64,
}

/// Records and offsets that are committed together: all of them or none.
#[derive(Debug, Default)]
pub struct Transaction {
    /// The records to append.
    pub records: Vec<NewRecord>,
    /// The next offset to consume, one for each partition this transaction acts for, so that the log rejects it if any
    /// was lost.
    pub offsets: Vec<(Partition, u64)>,
    /// The member that commits the offsets; `None` for a producer that consumes nothing.
    pub membership: Option<Membership>,
}

/// The partitions that a member owns from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The member, at the generation of this assignment.
    pub membership: Membership,
    /// The partitions.
    pub partitions: Vec<OwnedPartition>,
}

/// A partition that a member owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedPartition {
    /// The partition.
    pub partition: Partition,
    /// The offset of the next record that the member receives.
    pub position: u64,
    /// True if the partition was (re)assigned since the previous `Assignment`; discard any state cached for it.
    pub fresh: bool,
}

/// The result of reading a partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fetched {
    /// The committed records, in the order of their offsets.
    pub records: Vec<Record>,
    /// The next offset to fetch; everything before it was returned or is not readable (transaction markers, compaction).
    pub next: u64,
}

/// What a consumer receives.
#[derive(Debug)]
pub enum Event {
    /// A new assignment. Work on partitions that are no longer in it may finish, but its commits are fenced.
    Assigned(Assignment),
    /// Records; those of one partition are in the order of their offsets.
    Records(Vec<Record>),
}

/// A member of a consumer group.
#[async_trait]
pub trait Consumer: Send {
    /// Waits for records or for a new assignment, and returns at most `most` records. With 0 it waits for an assignment
    /// only. Cancel-safe. A member whose session has expired joins its group again.
    ///
    /// # Errors
    /// Fails if the log can't be read.
    async fn next(&mut self, most: usize) -> Result<Event, LogError>;

    /// Moves all owned partitions back to their committed offsets. The next event is an assignment in which every
    /// partition is fresh.
    fn rewind(&mut self);
}

/// A message log.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// Creates the streams that do not exist.
    ///
    /// # Errors
    /// Returns [`LogError::Partitions`] if a stream exists with another number of partitions. Fails if the log can't be
    /// written.
    async fn ensure(&self, streams: &[StreamSpec]) -> Result<(), LogError>;

    /// Joins a consumer group for one stream. The member leaves when it is dropped.
    ///
    /// # Errors
    /// Returns [`LogError::UnknownStream`] if the stream does not exist.
    async fn join(&self, group: &str, stream: &str) -> Result<Box<dyn Consumer>, LogError>;

    /// Commits a transaction. After it returns, a crash of the process loses nothing of the transaction.
    ///
    /// # Errors
    /// Returns [`LogError::Fenced`] if the member no longer owns one of the partitions, and [`LogError::Aborted`]: nothing
    /// was committed then. After [`LogError::Uncertain`] either all was committed or nothing.
    async fn commit(&self, transaction: Transaction) -> Result<(), LogError>;

    /// Appends records without a delivery guarantee, such as progress reports: after an error some may be missing, or be
    /// there twice.
    ///
    /// # Errors
    /// Fails if the log can't be written.
    async fn advise(&self, records: Vec<NewRecord>) -> Result<(), LogError> {
        self.commit(Transaction { records, ..Transaction::default() }).await
    }

    /// Reads at most `most` committed records of a partition, from an offset on, without a group. Of a table it returns at
    /// least the latest record of each key.
    ///
    /// # Errors
    /// Returns [`LogError::UnknownStream`] if the stream does not exist. Fails if the log can't be read.
    async fn read(&self, partition: &Partition, from: u64, most: usize) -> Result<Fetched, LogError>;

    /// Returns the number of partitions of a stream.
    ///
    /// # Errors
    /// Returns [`LogError::UnknownStream`] if the stream does not exist.
    async fn partitions(&self, stream: &str) -> Result<u32, LogError>;

    /// Returns the offset of the next record to be appended to a partition. Records of open transactions count.
    ///
    /// # Errors
    /// Fails if the log can't be read.
    async fn end(&self, partition: &Partition) -> Result<u64, LogError>;

    /// Returns the number of records in a partition.
    ///
    /// # Errors
    /// Fails if the log can't be read.
    async fn depth(&self, partition: &Partition) -> Result<u64, LogError>;

    /// Returns the next offset that a group will consume, 0 if it never committed. Waits for commits in progress.
    ///
    /// # Errors
    /// Fails if the log can't be read.
    async fn committed(&self, group: &str, partition: &Partition) -> Result<u64, LogError>;

    /// Returns the number of records of a stream that a group has not consumed yet.
    ///
    /// # Errors
    /// Fails if the log can't be read.
    async fn lag(&self, group: &str, stream: &str) -> Result<u64, LogError> {
        let mut lag = 0;
        for number in 0..self.partitions(stream).await? {
            let partition = Partition { stream: stream.into(), number };
            let from = self.committed(group, &partition).await?;
            // Counted, not subtracted: offsets have gaps.
            read_to_end(self, &partition, from, |_| lag += 1).await?;
        }
        Ok(lag)
    }

    /// Returns a watcher that is notified of every commit, by this process or another.
    fn changes(&self) -> Watcher<()>;
}

/// Passes the records of a partition to `visit`, from an offset up to the last readable record. Returns the next offset to
/// read.
///
/// # Errors
/// Fails if the log can't be read.
pub async fn read_to_end<L: Log + ?Sized>(
    log: &L,
    partition: &Partition,
    from: u64,
    mut visit: impl FnMut(Record),
) -> Result<u64, LogError> {
    let mut next = from;
    loop {
        let fetched = log.read(partition, next, BATCH).await?;
        if fetched.next == next {
            return Ok(next);
        }
        next = fetched.next;
        fetched.records.into_iter().for_each(&mut visit);
    }
}
