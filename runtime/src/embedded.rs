//! The log of one machine: a SQLite file (WAL), consumed in process.
//!
//! Consuming, producing, state and offsets are one SQLite transaction. `synchronous=NORMAL`: a commit survives the
//! death of the process; after a loss of power the latest ones may be missing, all of each or none, and their work is
//! done again.

mod groups;
mod store;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use millrace_topology::{StreamSpec, millis_now};
use rusqlite::Connection;
use tokio::sync::{oneshot, watch};

use crate::log::{Assignment, Consumer, Event, Log, LogError, Membership, Partition, Record, Transaction};
use groups::Groups;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The embedded log.
#[derive(Clone)]
pub struct Embedded {
    jobs: std::sync::mpsc::Sender<Job>,
    changes: watch::Sender<u64>,
    groups: Arc<Mutex<Groups>>,
    path: Arc<str>,
}

impl Embedded {
    /// Opens the log in this file, and makes it where there is none.
    ///
    /// # Errors
    /// Where the file can't be opened, or a newer Millrace wrote it.
    pub fn open(path: &Path) -> Result<Self, LogError> {
        let name: Arc<str> = path.display().to_string().into();
        let failed = |doing| {
            let path = name.to_string();
            move |source| LogError::Store { path, doing, source }
        };
        let mut connection = Connection::open(path).map_err(failed("opening it"))?;
        connection.busy_timeout(Duration::from_secs(10)).map_err(failed("opening it"))?;
        match store::prepare(&mut connection).map_err(failed("preparing it"))? {
            found if found > store::LAYOUT => {
                return Err(LogError::TooNew { path: name.to_string(), found, known: store::LAYOUT });
            }
            _ => {}
        }
        let (jobs, queue) = std::sync::mpsc::channel::<Job>();
        std::thread::Builder::new()
            .name("log".into())
            .spawn(move || {
                for job in queue {
                    job(&mut connection);
                }
            })
            .map_err(|_| LogError::Closed)?;
        Ok(Self { jobs, changes: watch::channel(0).0, groups: Arc::default(), path: name })
    }

    /// Runs a job on the thread that has the connection.
    async fn call<T: Send + 'static>(
        &self,
        doing: &'static str,
        job: impl FnOnce(&mut Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, LogError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Whoever asked may have gone.
            let _ = answer.send(job(connection));
        });
        self.jobs.send(job).map_err(|_| LogError::Closed)?;
        let result = answered.await.map_err(|_| LogError::Closed)?;
        result.map_err(|source| LogError::Store { path: self.path.to_string(), doing, source })
    }

    async fn stream(&self, name: &str) -> Result<store::Stream, LogError> {
        let wanted = name.to_owned();
        self.call("looking up a stream", move |c| store::stream(c, &wanted))
            .await?
            .ok_or_else(|| LogError::UnknownStream(name.into()))
    }

    fn with_groups<T>(&self, act: impl FnOnce(&mut Groups) -> T) -> T {
        act(&mut self.groups.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn notify(&self) {
        self.changes.send_modify(|version| *version += 1);
    }
}

#[async_trait]
impl Log for Embedded {
    async fn ensure(&self, streams: &[StreamSpec]) -> Result<(), LogError> {
        let wanted = streams.to_vec();
        let made = self.call("making streams", move |c| store::ensure(c, &wanted)).await?;
        for (spec, found) in streams.iter().zip(made) {
            if found != spec.partitions {
                let stream = spec.name.to_owned();
                return Err(LogError::Partitions { stream, found, expected: spec.partitions });
            }
        }
        Ok(())
    }

    async fn join(&self, group: &str, stream: &str) -> Result<Box<dyn Consumer>, LogError> {
        let stream_info = self.stream(stream).await?;
        let member = self.with_groups(|groups| groups.join(group, stream_info.partitions));
        self.notify();
        Ok(Box::new(Member {
            log: self.clone(),
            group: group.into(),
            stream: stream.into(),
            stream_id: stream_info.id,
            member,
            epoch: 0,
            positions: Vec::new(),
            changes: self.changes.subscribe(),
        }))
    }

    async fn commit(&self, transaction: Transaction) -> Result<(), LogError> {
        if transaction.records.is_empty() && transaction.offsets.is_empty() {
            return Ok(());
        }
        if let Some(m) = &transaction.membership {
            let owned = self.with_groups(|groups| {
                transaction.offsets.iter().all(|(p, _)| groups.owns(&m.group, m.member, m.epoch, p.number))
            });
            if !owned {
                return Err(LogError::Fenced { group: m.group.clone(), epoch: m.epoch });
            }
        }
        self.call("committing", move |c| store::commit(c, &transaction, millis_now())).await?;
        self.notify();
        Ok(())
    }

    async fn read(&self, partition: &Partition, from: u64, most: usize) -> Result<Vec<Record>, LogError> {
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

    async fn committed(&self, group: &str, partition: &Partition) -> Result<u64, LogError> {
        let stream = self.stream(&partition.stream).await?;
        let (group, number) = (group.to_owned(), partition.number);
        self.call("reading an offset", move |c| store::committed(c, &group, stream.id, number)).await
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

/// A member of a group, in this process.
struct Member {
    log: Embedded,
    group: String,
    stream: String,
    stream_id: i64,
    member: u64,
    epoch: u64,
    positions: Vec<(u32, u64)>,
    changes: watch::Receiver<u64>,
}

impl Member {
    /// Takes over a changed assignment: partitions that stay keep their position, new ones begin at the commit.
    async fn assigned(&mut self, epoch: u64, numbers: Vec<u32>) -> Result<Assignment, LogError> {
        let (group, stream) = (self.group.clone(), self.stream_id);
        let wanted = numbers.clone();
        let committed = self
            .log
            .call("reading offsets", move |c| {
                wanted.iter().map(|n| store::committed(c, &group, stream, *n)).collect::<Result<Vec<_>, _>>()
            })
            .await?;
        let kept = std::mem::take(&mut self.positions);
        self.positions = numbers
            .iter()
            .zip(committed)
            .map(|(n, committed)| kept.iter().find(|(k, _)| k == n).copied().unwrap_or((*n, committed)))
            .collect();
        self.epoch = epoch;
        let membership = Membership { group: self.group.clone(), member: self.member, epoch };
        let partition = |number: &u32| Partition { stream: self.stream.clone(), number: *number };
        Ok(Assignment { membership, partitions: numbers.iter().map(partition).collect() })
    }
}

#[async_trait]
impl Consumer for Member {
    async fn next(&mut self, most: usize) -> Result<Event, LogError> {
        loop {
            // Marked as seen before the look: what comes after the look wakes the wait.
            self.changes.borrow_and_update();
            let (epoch, numbers) = self.log.with_groups(|groups| groups.assignment(&self.group, self.member));
            if epoch != self.epoch {
                return Ok(Event::Assigned(self.assigned(epoch, numbers).await?));
            }
            let (stream, stream_id, positions) =
                (self.stream.clone(), self.stream_id, self.positions.clone());
            let records = self
                .log
                .call("consuming", move |c| store::fetch(c, stream_id, &stream, &positions, most))
                .await?;
            if !records.is_empty() {
                for record in &records {
                    for (number, position) in &mut self.positions {
                        if *number == record.partition.number {
                            *position = record.offset + 1;
                        }
                    }
                }
                return Ok(Event::Records(records));
            }
            self.changes.changed().await.map_err(|_| LogError::Closed)?;
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.log.with_groups(|groups| groups.leave(&self.group, self.member));
        self.log.notify();
    }
}
