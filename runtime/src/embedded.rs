//! The embedded log: a SQLite file in WAL mode, for processes on one machine.
//!
//! Records, state and offsets of a step are one SQLite transaction. With `synchronous=NORMAL` a commit
//! survives the death of the process. After a power failure the latest commits may be missing, each as a
//! whole; their records are then processed again.

mod store;

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError, mpsc::RecvTimeoutError},
    time::Duration,
};

use async_trait::async_trait;
use millrace_topology::{StreamSpec, millis_now};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::{
    error::LogError,
    groups::{Groups, Positions},
    log::{Assignment, Consumer, Event, Fetched, Log, Membership, Transaction},
    record::Partition,
    watched::{Watched, Watcher},
};

/// Work for the thread that has the connection.
type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// How often the file is checked for commits of other processes. A check takes microseconds.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// What to do about a damaged file.
const DAMAGE_ADVICE: &str = "Move it away (with its -wal and -shm files), or use another data folder, and run the same \
                             command again: outputs that are there stay as they are";

/// The embedded log. Clones share the connection.
#[derive(Clone)]
pub struct Embedded {
    jobs: std::sync::mpsc::Sender<Job>,
    changes: Watched<()>,
    groups: Arc<Mutex<Groups>>,
    location: Arc<str>,
}

impl Embedded {
    /// Opens the log in this file. Creates the file if it does not exist.
    ///
    /// # Errors
    /// Returns [`LogError::TooNew`] if a newer Millrace wrote the file, and [`LogError::Damaged`] if it is no
    /// log. Fails if the file can't be opened.
    pub fn open(path: &Path) -> Result<Self, LogError> {
        let location: Arc<str> = path.display().to_string().into();
        let failed = |doing| {
            let location = location.clone();
            move |source| log_error(&location, doing, source)
        };
        let mut connection = Connection::open(path).map_err(failed("opening it"))?;
        connection.busy_timeout(Duration::from_secs(10)).map_err(failed("opening it"))?;
        match store::prepare(&mut connection).map_err(failed("preparing it"))? {
            found if found > store::LAYOUT => {
                return Err(LogError::TooNew { location: location.to_string(), found, known: store::LAYOUT });
            }
            _ => {}
        }
        let (jobs, queue) = std::sync::mpsc::channel::<Job>();
        let changes = Watched::new(());
        let notified = changes.clone();
        std::thread::Builder::new()
            .name("log".into())
            .spawn(move || serve(connection, &queue, &notified))
            .map_err(|_| LogError::Closed)?;
        Ok(Self { jobs, changes, groups: Arc::default(), location })
    }

    /// Runs a job on the thread that has the connection. `doing` names it in errors.
    async fn call<T: Send + 'static>(
        &self,
        doing: &'static str,
        job: impl FnOnce(&mut Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, LogError> {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // The caller may have been cancelled.
            let _ = sender.send(job(connection));
        });
        self.jobs.send(job).map_err(|_| LogError::Closed)?;
        let result = receiver.await.map_err(|_| LogError::Closed)?;
        result.map_err(|source| log_error(&self.location, doing, source))
    }

    async fn stream(&self, name: &str) -> Result<store::StreamRow, LogError> {
        let owned_name = name.to_owned();
        self.call("looking up a stream", move |c| store::stream(c, &owned_name))
            .await?
            .ok_or_else(|| LogError::UnknownStream(name.into()))
    }

    fn with_groups<T>(&self, act: impl FnOnce(&mut Groups) -> T) -> T {
        act(&mut self.groups.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn notify(&self) {
        self.changes.modify(|()| {});
    }
}

/// Runs jobs on the connection, and checks for commits of other processes between them.
fn serve(mut connection: Connection, queue: &std::sync::mpsc::Receiver<Job>, changes: &Watched<()>) {
    let mut seen = store::version(&connection).ok();
    loop {
        match queue.recv_timeout(CHECK_INTERVAL) {
            Ok(job) => job(&mut connection),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        // An error here is not reported: the next job fails with the same one.
        let found = store::version(&connection).ok();
        if found != seen {
            seen = found;
            changes.modify(|()| {});
        }
    }
}

/// Returns the log's error for one of SQLite.
fn log_error(location: &str, doing: &'static str, source: rusqlite::Error) -> LogError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, DiskFull, NotADatabase};
    let location = location.to_owned();
    match source.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => {
            LogError::Damaged { location, advice: DAMAGE_ADVICE, source: source.into() }
        }
        Some(DiskFull) => LogError::Full { location },
        _ => LogError::Failed { location, doing, source: source.into() },
    }
}

#[async_trait]
impl Log for Embedded {
    async fn ensure(&self, streams: &[StreamSpec]) -> Result<(), LogError> {
        let specs = streams.to_vec();
        let counts = self.call("making streams", move |c| store::ensure(c, &specs)).await?;
        for (spec, found) in streams.iter().zip(counts) {
            if found != spec.partitions {
                let stream = spec.name.to_owned();
                return Err(LogError::Partitions { stream, found, expected: spec.partitions });
            }
        }
        Ok(())
    }

    async fn join(&self, group: &str, stream: &str) -> Result<Box<dyn Consumer>, LogError> {
        let row = self.stream(stream).await?;
        // A registered group keeps the records that it has not consumed.
        let name = group.to_owned();
        self.call("joining a group", move |c| store::register(c, &name, row)).await?;
        let member = self.with_groups(|groups| groups.join(group, row.partitions));
        self.notify();
        Ok(Box::new(Member {
            log: self.clone(),
            group: group.into(),
            stream: stream.into(),
            stream_id: row.id,
            member,
            positions: Positions::new(),
            changes: self.changes.watch(),
        }))
    }

    async fn commit(&self, transaction: Transaction) -> Result<(), LogError> {
        if transaction.records.is_empty() && transaction.offsets.is_empty() {
            return Ok(());
        }
        let groups = self.groups.clone();
        let fenced: Option<LogError> = self
            .call("committing", move |c| {
                // Checked on the log's thread: the next owner of a partition reads its offset there, and so
                // after this commit.
                if let Some(m) = &transaction.membership
                    && !groups
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .may_commit(m, &transaction.offsets)
                {
                    return Ok(Some(LogError::Fenced { group: m.group.clone(), epoch: m.epoch }));
                }
                store::commit(c, &transaction, millis_now()).map(|()| None)
            })
            .await?;
        match fenced {
            Some(error) => Err(error),
            None => {
                self.notify();
                Ok(())
            }
        }
    }

    async fn read(&self, partition: &Partition, from: u64, most: usize) -> Result<Fetched, LogError> {
        let stream = self.stream(&partition.stream).await?;
        let partition = partition.clone();
        self.call("reading", move |c| store::read(c, stream, &partition, from, most)).await
    }

    async fn partitions(&self, stream: &str) -> Result<u32, LogError> {
        Ok(self.stream(stream).await?.partitions)
    }

    async fn end(&self, partition: &Partition) -> Result<u64, LogError> {
        let stream = self.stream(&partition.stream).await?;
        let number = partition.number;
        self.call("reading an end", move |c| store::end(c, stream.id, number)).await
    }

    async fn depth(&self, partition: &Partition) -> Result<u64, LogError> {
        let stream = self.stream(&partition.stream).await?;
        let number = partition.number;
        self.call("counting records", move |c| store::depth(c, stream, number)).await
    }

    async fn committed(&self, group: &str, partition: &Partition) -> Result<u64, LogError> {
        let stream = self.stream(&partition.stream).await?;
        let (group, number) = (group.to_owned(), partition.number);
        self.call("reading an offset", move |c| store::committed(c, &group, stream.id, number)).await
    }

    fn changes(&self) -> Watcher<()> {
        self.changes.watch()
    }
}

/// A member of a consumer group.
struct Member {
    log: Embedded,
    group: String,
    stream: String,
    stream_id: i64,
    member: u64,
    positions: Positions,
    changes: Watcher<()>,
}

impl Member {
    /// Applies an assignment; partitions that are new begin at their committed offsets.
    async fn apply_assignment(
        &mut self,
        epoch: u64,
        assigned: Vec<(u32, u64)>,
    ) -> Result<Assignment, LogError> {
        let (group, stream) = (self.group.clone(), self.stream_id);
        let numbers: Vec<u32> = assigned.iter().map(|(number, _)| *number).collect();
        let committed = self
            .log
            .call("reading offsets", move |c| {
                let read = |n: &u32| Ok((*n, store::committed(c, &group, stream, *n)?));
                numbers.iter().map(read).collect::<Result<HashMap<_, _>, _>>()
            })
            .await?;
        let committed_offset = |number| committed.get(&number).copied().unwrap_or(0);
        let partitions = self.positions.apply(&self.stream, epoch, &assigned, committed_offset);
        let membership = Membership { group: self.group.clone(), member: self.member, epoch };
        Ok(Assignment { membership, partitions })
    }
}

#[async_trait]
impl Consumer for Member {
    async fn next(&mut self, most: usize) -> Result<Event, LogError> {
        loop {
            // Marked as seen before reading, so that a later change wakes the wait.
            self.changes.mark_seen();
            let (epoch, assigned) =
                self.log.with_groups(|groups| groups.assignment(&self.group, self.member));
            if epoch != self.positions.epoch() {
                return Ok(Event::Assigned(self.apply_assignment(epoch, assigned).await?));
            }
            let (stream, stream_id, positions) =
                (self.stream.clone(), self.stream_id, self.positions.owned().to_vec());
            let records = match most {
                0 => Vec::new(),
                _ => {
                    self.log
                        .call("consuming", move |c| store::fetch(c, stream_id, &stream, &positions, most))
                        .await?
                }
            };
            if !records.is_empty() {
                for record in &records {
                    self.positions.advance(record.partition.number, record.offset + 1);
                }
                return Ok(Event::Records(records));
            }
            self.changes.changed().await;
        }
    }

    fn rewind(&mut self) {
        self.positions = Positions::new();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.log.with_groups(|groups| groups.leave(&self.group, self.member));
        self.log.notify();
    }
}

#[cfg(test)]
mod tests {
    use millrace_topology::{Emit, Placement, streams};

    use super::*;

    fn batch(count: usize) -> Transaction {
        let emit = Emit {
            stream: "merged",
            key: b"k".to_vec(),
            value: Some(vec![7; 1000]),
            placement: Placement::ByKey,
        };
        Transaction { records: (0..count).map(|_| emit.clone().into()).collect(), ..Transaction::default() }
    }

    /// SQLite may not grow its file beyond a limit: it reports the same error as on a full disk.
    #[tokio::test]
    async fn a_full_disk_is_an_error_that_says_so_and_nothing_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let log = Embedded::open(&folder.path().join("log.sqlite")).unwrap();
        log.ensure(&streams::ALL).await.unwrap();
        let limit = |pages: i64| {
            log.call("limiting it", move |c| {
                c.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
            })
        };
        limit(100).await.unwrap();
        let mut appended = 0;
        let error = loop {
            match log.commit(batch(10)).await {
                Ok(()) => appended += 10,
                Err(error) => break error,
            }
            assert!(appended < 10_000, "it never became full");
        };
        assert!(matches!(error, LogError::Full { .. }), "{error:?}");
        assert!(error.to_string().contains("make room"), "{error}");
        let mut found = 0;
        for number in 0..4 {
            found += log.depth(&Partition { stream: "merged".into(), number }).await.unwrap();
        }
        assert_eq!(found, appended, "every committed record is there, and no other");
        limit(1_000_000).await.unwrap();
        log.commit(batch(10)).await.unwrap();
    }
}
