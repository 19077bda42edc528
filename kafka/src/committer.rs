//! Commits transactions: one thread owns the transactional producer of this process.

use std::{
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::Duration,
};

use millrace_runtime::LogError;
use rdkafka::producer::{BaseProducer, Producer as _};
use tokio::sync::oneshot;

use crate::{
    client::{Context, cluster_error, is_transient, rejected},
    settings::{Guarantee, Settings},
    transaction::{self, Attempt, Outcome, Prepared, reason},
};

/// The most waiting transactions that are committed as one.
const MOST_TOGETHER: usize = 16;
/// How long the end of a transaction may take after its commit was sent.
const END_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a new producer waits for the transaction of the previous one to end.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);

/// A transaction to commit, and where its result goes.
struct CommitRequest {
    prepared: Prepared,
    result: oneshot::Sender<Result<(), LogError>>,
}

/// Commits transactions one after the other, on a thread of its own.
pub(crate) struct Committer {
    queue: Mutex<mpsc::Sender<CommitRequest>>,
}

impl Committer {
    pub(crate) fn start(settings: Settings, context: Context) -> Result<Self, LogError> {
        let (queue, requests) = mpsc::channel();
        let thread = CommitThread { settings, context, producer: None };
        std::thread::Builder::new()
            .name("commit".into())
            .spawn(move || thread.run(&requests))
            .map_err(|_| LogError::Closed)?;
        Ok(Self { queue: Mutex::new(queue) })
    }

    /// Commits a transaction and waits for its result.
    pub(crate) async fn commit(&self, prepared: Prepared) -> Result<(), LogError> {
        let (result, receiver) = oneshot::channel();
        let request = CommitRequest { prepared, result };
        let sent = self.queue.lock().unwrap_or_else(PoisonError::into_inner).send(request);
        sent.map_err(|_| LogError::Closed)?;
        receiver.await.map_err(|_| LogError::Closed)?
    }
}

struct CommitThread {
    settings: Settings,
    context: Context,
    /// The producer, unless none was created yet or the last one failed.
    producer: Option<BaseProducer<Context>>,
}

impl CommitThread {
    fn run(mut self, requests: &mpsc::Receiver<CommitRequest>) {
        while let Ok(first) = requests.recv() {
            let mut together = vec![first];
            let most = if self.settings.guarantee == Guarantee::ExactlyOnce { MOST_TOGETHER } else { 1 };
            while together.len() < most {
                match requests.try_recv() {
                    Ok(request) => together.push(request),
                    Err(_) => break,
                }
            }
            self.commit(together);
        }
    }

    /// Commits transactions as one, or each alone if that fails.
    fn commit(&mut self, requests: Vec<CommitRequest>) {
        let mut all = Vec::new();
        for request in requests {
            match request.prepared.check_ownership() {
                Ok(()) => all.push(request),
                // The caller may have been cancelled, here and below.
                Err(error) => drop(request.result.send(Err(error))),
            }
        }
        if all.is_empty() {
            return;
        }
        let outcome = self.attempt(&mut all);
        if all.len() > 1 && !matches!(outcome, Outcome::Committed | Outcome::Uncertain(_)) {
            // One transaction that fails must not fail the others.
            for request in all {
                self.commit(vec![request]);
            }
            return;
        }
        for request in all {
            let result = match &outcome {
                Outcome::Committed => Ok(()),
                Outcome::Aborted(reason) | Outcome::Broken(reason) => {
                    match request.prepared.check_ownership() {
                        Err(fenced) => Err(fenced),
                        Ok(()) => Err(LogError::Aborted { reason: reason.clone() }),
                    }
                }
                Outcome::Uncertain(reason) => Err(LogError::Uncertain { reason: reason.clone() }),
                Outcome::Rejected(LogError::Rejected { doing, reason, .. }) => Err(rejected(doing, reason)),
                Outcome::Rejected(LogError::Fenced { group, epoch }) => {
                    Err(LogError::Fenced { group: group.clone(), epoch: *epoch })
                }
                Outcome::Rejected(error) => Err(LogError::Aborted { reason: error.to_string() }),
            };
            drop(request.result.send(result));
        }
    }

    /// Makes one attempt to commit transactions as one. A producer that can't be used any more is dropped.
    fn attempt(&mut self, requests: &mut [CommitRequest]) -> Outcome {
        let producer = match self.take_producer() {
            Ok(producer) => producer,
            Err(ProducerError::Transient(reason)) => {
                std::thread::sleep(Duration::from_millis(200));
                return Outcome::Aborted(reason);
            }
            Err(ProducerError::Permanent(error)) => return Outcome::Rejected(error),
        };
        let all: Arc<Vec<Prepared>> =
            Arc::new(requests.iter_mut().map(|request| std::mem::take(&mut request.prepared)).collect());
        let (outcome, producer) = self.commit_with_timeout(&all, producer);
        // A thread that hangs keeps its transactions, so they are copied.
        let all = Arc::try_unwrap(all).unwrap_or_else(|shared| shared.as_ref().clone());
        for (request, prepared) in requests.iter_mut().zip(all) {
            request.prepared = prepared;
        }
        let Some(producer) = producer else {
            let (Outcome::Uncertain(reason) | Outcome::Broken(reason)) = &outcome else { return outcome };
            tracing::warn!(reason, "the producer is replaced");
            return outcome;
        };
        match &outcome {
            Outcome::Uncertain(reason) | Outcome::Broken(reason) => {
                // The new producer has the same id, which ends the open transaction of this one.
                tracing::info!(reason, "the producer is replaced");
            }
            Outcome::Committed => {
                self.context.health().record_answer();
                self.producer = Some(producer);
            }
            Outcome::Aborted(_) | Outcome::Rejected(_) => self.producer = Some(producer),
        }
        outcome
    }

    /// Makes one attempt, on a thread of its own, as librdkafka (2.12) never answers a request for offsets if
    /// the coordinator of the group has left the cluster. Returns the producer if it can still be used.
    fn commit_with_timeout(
        &self,
        all: &Arc<Vec<Prepared>>,
        producer: BaseProducer<Context>,
    ) -> (Outcome, Option<BaseProducer<Context>>) {
        let attempt = Arc::new(Attempt::default());
        let (sender, receiver) = mpsc::channel();
        let (settings, transactions, shared) = (self.settings.clone(), all.clone(), attempt.clone());
        let thread = std::thread::Builder::new().name("transaction".into()).spawn(move || {
            let outcome = match (settings.guarantee, transactions.as_slice()) {
                (Guarantee::ExactlyOnce, all) => transaction::commit(&producer, &settings, all, &shared),
                (Guarantee::AtLeastOnce, [one]) => {
                    transaction::commit_at_least_once(&producer, &settings, one, &shared)
                }
                (Guarantee::AtLeastOnce, _) => {
                    Outcome::Aborted("at-least-once commits one transaction at a time".into())
                }
            };
            drop(transactions);
            // The receiver is gone if the attempt took too long.
            let _ = sender.send((outcome, producer));
        });
        if thread.is_err() {
            return (Outcome::Broken("starting a thread failed".into()), None);
        }
        let hung = "librdkafka does not answer";
        let answer = match receiver.recv_timeout(self.attempt_timeout()) {
            Err(mpsc::RecvTimeoutError::Timeout) if attempt.abandon() => {
                return (Outcome::Broken(hung.into()), None);
            }
            // The commit was already sent: the brokers may take longer to end the transaction.
            Err(mpsc::RecvTimeoutError::Timeout) => receiver.recv_timeout(END_TIMEOUT),
            answer => answer,
        };
        match answer {
            Ok((outcome, producer)) => (outcome, Some(producer)),
            Err(_) => {
                attempt.unlock_partitions();
                (Outcome::Uncertain(hung.into()), None)
            }
        }
    }

    /// Returns how long an attempt may take: longer than the time after which the brokers abort it.
    fn attempt_timeout(&self) -> Duration {
        let configured =
            self.settings.properties.get("transaction.timeout.ms").and_then(|ms| ms.parse().ok());
        Duration::from_millis(configured.unwrap_or(10_000)).max(Duration::from_secs(10))
            + Duration::from_secs(2)
    }

    /// Takes the producer, or creates one and initializes its transactions.
    fn take_producer(&mut self) -> Result<BaseProducer<Context>, ProducerError> {
        if let Some(producer) = self.producer.take() {
            return Ok(producer);
        }
        let config = match self.settings.guarantee {
            Guarantee::ExactlyOnce => self.settings.transactional(&self.settings.transactional_id()),
            Guarantee::AtLeastOnce => self.settings.plain(),
        };
        let producer: BaseProducer<Context> = config
            .create_with_context(self.context.clone())
            .map_err(|error| ProducerError::Permanent(cluster_error("making a producer", &error)))?;
        if self.settings.guarantee == Guarantee::AtLeastOnce {
            return Ok(producer);
        }
        match producer.init_transactions(INIT_TIMEOUT) {
            Ok(()) => Ok(producer),
            Err(error) if is_transient(&error) => Err(ProducerError::Transient(reason(&error))),
            Err(error) => Err(ProducerError::Permanent(cluster_error(
                "beginning transactions (a broker without them needs guarantee = \"at-least-once\")",
                &error,
            ))),
        }
    }
}

/// Why creating a producer failed.
enum ProducerError {
    /// A retry may succeed.
    Transient(String),
    /// A retry gives the same result.
    Permanent(LogError),
}
