//! The transactional producer of this process, and the thread that has it.

use std::{
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::Duration,
};

use millrace_runtime::LogError;
use rdkafka::producer::{BaseProducer, Producer as _};
use tokio::sync::oneshot;

use crate::{
    client::{Context, cluster_error, passes},
    settings::{Guarantee, Settings},
    transaction::{self, Attempt, Outcome, Prepared, reason},
};

/// So many transactions that wait together are committed as one.
const TOGETHER: usize = 16;
/// For how long the end of a transaction may take that the brokers were told of.
const ENDING: Duration = Duration::from_secs(30);
/// For how long a new producer waits for its predecessor's transaction to end.
const INIT: Duration = Duration::from_secs(10);

struct Job {
    prepared: Prepared,
    answer: oneshot::Sender<Result<(), LogError>>,
}

/// Commits transactions, one after the other.
pub(crate) struct Committer {
    jobs: Mutex<mpsc::Sender<Job>>,
}

impl Committer {
    pub(crate) fn start(settings: Settings, context: Context) -> Result<Self, LogError> {
        let (jobs, queue) = mpsc::channel();
        let thread = Thread { settings, context, producer: None };
        std::thread::Builder::new()
            .name("commit".into())
            .spawn(move || thread.run(&queue))
            .map_err(|_| LogError::Closed)?;
        Ok(Self { jobs: Mutex::new(jobs) })
    }

    pub(crate) async fn commit(&self, prepared: Prepared) -> Result<(), LogError> {
        let (answer, answered) = oneshot::channel();
        let sent = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).send(Job { prepared, answer });
        sent.map_err(|_| LogError::Closed)?;
        answered.await.map_err(|_| LogError::Closed)?
    }
}

struct Thread {
    settings: Settings,
    context: Context,
    producer: Option<BaseProducer<Context>>,
}

impl Thread {
    fn run(mut self, queue: &mpsc::Receiver<Job>) {
        while let Ok(first) = queue.recv() {
            let mut jobs = vec![first];
            let most = if self.settings.guarantee == Guarantee::ExactlyOnce { TOGETHER } else { 1 };
            while jobs.len() < most {
                match queue.try_recv() {
                    Ok(job) => jobs.push(job),
                    Err(_) => break,
                }
            }
            self.commit(jobs);
        }
    }

    fn commit(&mut self, jobs: Vec<Job>) {
        let mut all = Vec::new();
        for job in jobs {
            match job.prepared.owned() {
                Ok(()) => all.push(job),
                // Whoever asked may be gone; so everywhere here.
                Err(error) => drop(job.answer.send(Err(error))),
            }
        }
        if all.is_empty() {
            return;
        }
        let outcome = self.attempt(&mut all);
        if all.len() > 1 && !matches!(outcome, Outcome::Committed | Outcome::Uncertain(_)) {
            // What one of them can't have costs the others nothing.
            for job in all {
                self.commit(vec![job]);
            }
            return;
        }
        for job in all {
            let answer = match &outcome {
                Outcome::Committed => Ok(()),
                Outcome::Aborted(reason) | Outcome::Broken(reason) => match job.prepared.owned() {
                    Err(fenced) => Err(fenced),
                    Ok(()) => Err(LogError::Aborted { reason: reason.clone() }),
                },
                Outcome::Uncertain(reason) => Err(LogError::Uncertain { reason: reason.clone() }),
                Outcome::Refused(LogError::Cluster { doing, reason }) => {
                    Err(LogError::Cluster { doing: doing.clone(), reason: reason.clone() })
                }
                Outcome::Refused(LogError::Fenced { group, epoch }) => {
                    Err(LogError::Fenced { group: group.clone(), epoch: *epoch })
                }
                Outcome::Refused(error) => Err(LogError::Aborted { reason: error.to_string() }),
            };
            drop(job.answer.send(answer));
        }
    }

    fn attempt(&mut self, jobs: &mut [Job]) -> Outcome {
        let producer = match self.producer() {
            Ok(producer) => producer,
            Err(Refusal::Later(reason)) => {
                std::thread::sleep(Duration::from_millis(200));
                return Outcome::Aborted(reason);
            }
            Err(Refusal::Never(error)) => return Outcome::Refused(error),
        };
        let all: Arc<Vec<Prepared>> =
            Arc::new(jobs.iter_mut().map(|job| std::mem::take(&mut job.prepared)).collect());
        let (outcome, producer) = self.watched(&all, producer);
        // One that hangs keeps what it was given: it is copied.
        let all = Arc::try_unwrap(all).unwrap_or_else(|kept| kept.as_ref().clone());
        for (job, prepared) in jobs.iter_mut().zip(all) {
            job.prepared = prepared;
        }
        let Some(producer) = producer else {
            let (Outcome::Uncertain(reason) | Outcome::Broken(reason)) = &outcome else { return outcome };
            tracing::warn!(reason, "the producer is made anew");
            return outcome;
        };
        match &outcome {
            Outcome::Uncertain(reason) | Outcome::Broken(reason) => {
                // Made anew with the same id, which ends what this one left open.
                tracing::info!(reason, "the producer is made anew");
            }
            Outcome::Committed => {
                self.context.health().worked();
                self.producer = Some(producer);
            }
            Outcome::Aborted(_) | Outcome::Refused(_) => self.producer = Some(producer),
        }
        outcome
    }

    /// One attempt, on a thread of its own: librdkafka (2.12) never answers for offsets of a transaction whose group's coordinator
    /// has left the cluster. Gives the producer back where it can be used still.
    fn watched(
        &self,
        all: &Arc<Vec<Prepared>>,
        producer: BaseProducer<Context>,
    ) -> (Outcome, Option<BaseProducer<Context>>) {
        let attempt = Arc::new(Attempt::default());
        let (tell, told) = mpsc::channel();
        let (settings, given, shared) = (self.settings.clone(), all.clone(), attempt.clone());
        let thread = std::thread::Builder::new().name("transaction".into()).spawn(move || {
            let outcome = match (settings.guarantee, given.as_slice()) {
                (Guarantee::ExactlyOnce, all) => transaction::commit(&producer, &settings, all, &shared),
                (Guarantee::AtLeastOnce, [one]) => {
                    transaction::commit_at_least_once(&producer, &settings, one, &shared)
                }
                (Guarantee::AtLeastOnce, _) => Outcome::Aborted("one at a time".into()),
            };
            drop(given);
            // Nobody waits for one that took too long.
            let _ = tell.send((outcome, producer));
        });
        if thread.is_err() {
            return (Outcome::Broken("no thread could be started".into()), None);
        }
        let hung = "librdkafka does not answer";
        let answer = match told.recv_timeout(self.longest()) {
            Err(mpsc::RecvTimeoutError::Timeout) if attempt.abandon() => {
                return (Outcome::Broken(hung.into()), None);
            }
            // The brokers were told to end it: they may take their time.
            Err(mpsc::RecvTimeoutError::Timeout) => told.recv_timeout(ENDING),
            answer => answer,
        };
        match answer {
            Ok((outcome, producer)) => (outcome, Some(producer)),
            Err(_) => {
                attempt.release();
                (Outcome::Uncertain(hung.into()), None)
            }
        }
    }

    /// For how long an attempt may take: after that brokers have aborted it.
    fn longest(&self) -> Duration {
        let set = self.settings.properties.get("transaction.timeout.ms").and_then(|ms| ms.parse().ok());
        Duration::from_millis(set.unwrap_or(10_000)).max(Duration::from_secs(10)) + Duration::from_secs(2)
    }

    /// The producer; made where there is none.
    fn producer(&mut self) -> Result<BaseProducer<Context>, Refusal> {
        if let Some(producer) = self.producer.take() {
            return Ok(producer);
        }
        let config = match self.settings.guarantee {
            Guarantee::ExactlyOnce => self.settings.transactional(&self.settings.transactional_id()),
            Guarantee::AtLeastOnce => self.settings.plain(),
        };
        let made: BaseProducer<Context> = config
            .create_with_context(self.context.clone())
            .map_err(|error| Refusal::Never(cluster_error("making a producer", &error)))?;
        if self.settings.guarantee == Guarantee::AtLeastOnce {
            return Ok(made);
        }
        match made.init_transactions(INIT) {
            Ok(()) => Ok(made),
            Err(error) if passes(&error) => Err(Refusal::Later(reason(&error))),
            Err(error) => Err(Refusal::Never(cluster_error(
                "beginning transactions (a broker without them needs guarantee = \"at-least-once\")",
                &error,
            ))),
        }
    }
}

/// Why there is no producer.
enum Refusal {
    Later(String),
    Never(LogError),
}
