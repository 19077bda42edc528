//! One attempt at a transaction, on the thread that has the producer.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use millrace_runtime::{LogError, Membership, Partition};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, Producer as _},
};

use crate::{
    client::{Context, cluster_error, passes},
    ownership::{Held, Ownership},
    records::Placed,
    settings::Settings,
};

/// For how long a step of a transaction is waited for: brokers abort one after 10 s.
const STEP: Duration = Duration::from_secs(10);

/// What is to be committed.
#[derive(Clone, Default)]
pub(crate) struct Prepared {
    pub(crate) records: Vec<Placed>,
    pub(crate) offsets: Vec<(Partition, u64)>,
    pub(crate) owner: Option<(Arc<Ownership>, Membership)>,
}

impl Prepared {
    /// An error where the member does not own what it acts for.
    pub(crate) fn owned(&self) -> Result<(), LogError> {
        match &self.owner {
            Some((owner, membership)) if !owner.owns(&self.offsets, membership.epoch) => {
                Err(LogError::Fenced { group: membership.group.clone(), epoch: membership.epoch })
            }
            _ => Ok(()),
        }
    }

    fn list(&self, settings: &Settings) -> Result<TopicPartitionList, KafkaError> {
        let mut list = TopicPartitionList::new();
        for (partition, next) in &self.offsets {
            let (topic, number) = (settings.topic(&partition.stream), partition.number.cast_signed());
            list.add_partition_offset(&topic, number, Offset::Offset(i64::try_from(*next).unwrap_or(0)))?;
        }
        Ok(list)
    }
}

/// How an attempt ended.
pub(crate) enum Outcome {
    /// All of it is there.
    Committed,
    /// Nothing is: it may be committed again.
    Aborted(String),
    /// Nobody knows, and the producer is of no use any more.
    Uncertain(String),
    /// Nothing is, and the producer is of no use any more.
    Broken(String),
    /// Nothing is, and never will be.
    Refused(LogError),
}

/// One attempt, as the thread that makes it and whoever waits for it know it together.
#[derive(Debug, Default)]
pub(crate) struct Attempt {
    phase: Mutex<Phase>,
    /// What keeps partitions from being taken away before the end.
    leases: Mutex<Vec<Held>>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Phase {
    /// Nothing can be seen of it yet.
    #[default]
    Open,
    /// The brokers are told that it ends; how, they decide.
    Ending,
    /// Nobody waits for it any more, and it must come to nothing.
    Abandoned,
}

impl Attempt {
    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leases(&self) -> MutexGuard<'_, Vec<Held>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it may end.
    fn may_end(&self) -> bool {
        let mut phase = self.phase();
        if *phase == Phase::Open {
            *phase = Phase::Ending;
        }
        *phase == Phase::Ending
    }

    /// Makes it come to nothing, whatever its thread does later; false where it is too late for that.
    pub(crate) fn abandon(&self) -> bool {
        let mut phase = self.phase();
        if *phase == Phase::Open {
            *phase = Phase::Abandoned;
        }
        let is_abandoned = *phase == Phase::Abandoned;
        drop(phase);
        if is_abandoned {
            self.release();
        }
        is_abandoned
    }

    /// Lets partitions be taken away again.
    pub(crate) fn release(&self) {
        self.leases().clear();
    }
}

/// Commits several transactions as one: all of them or none.
pub(crate) fn commit(
    producer: &BaseProducer<Context>,
    settings: &Settings,
    all: &[Prepared],
    attempt: &Attempt,
) -> Outcome {
    let outcome = commit_held(producer, settings, all, attempt);
    attempt.release();
    outcome
}

fn commit_held(
    producer: &BaseProducer<Context>,
    settings: &Settings,
    all: &[Prepared],
    attempt: &Attempt,
) -> Outcome {
    if let Err(error) = producer.begin_transaction() {
        return Outcome::Broken(reason(&error));
    }
    if let Err(error) = send(producer, all) {
        return abort(producer, &error);
    }
    // From here on no partition is taken away before the end: in the order of members, so that nobody waits in a ring.
    let mut owners: Vec<_> = all.iter().filter_map(|one| one.owner.as_ref()).collect();
    owners.sort_by_key(|(_, membership)| membership.member);
    owners.dedup_by_key(|(_, membership)| membership.member);
    for (owner, _) in owners {
        let held = owner.commit_lock();
        attempt.leases().push(held);
    }
    for one in all {
        let Some((owner, _)) = &one.owner else { continue };
        // Where a partition was taken away, or the member has left its group, nothing is sent: `Canceled` is told from
        // ownership later.
        let sent = one.owned().map_err(|_| KafkaError::Canceled).and_then(|()| {
            let metadata = owner.group_metadata().ok_or(KafkaError::Canceled)?;
            producer.send_offsets_to_transaction(&one.list(settings)?, &metadata, STEP)
        });
        if let Err(error) = sent {
            return abort(producer, &error);
        }
    }
    if !attempt.may_end() {
        return abort(producer, &KafkaError::Canceled);
    }
    match finish(producer) {
        Ok(()) => {
            for one in all {
                if let Some((owner, _)) = &one.owner {
                    owner.committed(&one.offsets);
                }
            }
            Outcome::Committed
        }
        Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => {
            let refused = is_refused(error.code());
            match producer.abort_transaction(STEP) {
                Ok(()) if refused => {
                    Outcome::Refused(cluster_error("publishing", &KafkaError::Transaction(error)))
                }
                Ok(()) => Outcome::Aborted(error.string()),
                Err(more) => Outcome::Broken(format!("{}; {}", error.string(), reason(&more))),
            }
        }
        Err(error) => Outcome::Uncertain(reason(&error)),
    }
}

/// Whether trying again changes nothing.
fn is_refused(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
            | Code::MessageSizeTooLarge
            | Code::InvalidTimestamp
            | Code::PolicyViolation
    )
}

/// Sends the records, and waits until the brokers have them.
fn send(producer: &BaseProducer<Context>, all: &[Prepared]) -> Result<(), KafkaError> {
    for placed in all.iter().flat_map(|one| &one.records) {
        loop {
            match producer.send(placed.for_base()) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    producer.poll(Duration::from_millis(10));
                }
                Err((error, _)) => return Err(error),
            }
        }
    }
    let until = Instant::now() + STEP;
    // Polled here: what flushes by itself looks every 100 ms only.
    while producer.in_flight_count() > 0 && Instant::now() < until {
        producer.poll(Duration::from_millis(1));
    }
    Ok(())
}

/// Ends the transaction; what can be tried again is, for a while.
fn finish(producer: &BaseProducer<Context>) -> Result<(), KafkaError> {
    let until = Instant::now() + 3 * STEP;
    loop {
        match producer.commit_transaction(STEP) {
            Err(KafkaError::Transaction(error))
                if error.is_retriable() && !error.txn_requires_abort() && Instant::now() < until => {}
            other => return other,
        }
    }
}

fn abort(producer: &BaseProducer<Context>, error: &KafkaError) -> Outcome {
    match producer.abort_transaction(STEP) {
        Err(more) => Outcome::Broken(format!("{}; {}", reason(error), reason(&more))),
        Ok(()) if error.rdkafka_error_code().is_some_and(is_refused) => {
            Outcome::Refused(cluster_error("publishing", error))
        }
        Ok(()) => Outcome::Aborted(reason(error)),
    }
}

pub(crate) fn reason(error: &KafkaError) -> String {
    match error {
        KafkaError::Transaction(error) => error.string(),
        other => other.to_string(),
    }
}

/// Without transactions: records are acknowledged in the order in which they are given, then offsets.
pub(crate) fn commit_at_least_once(
    producer: &BaseProducer<Context>,
    settings: &Settings,
    one: &Prepared,
    attempt: &Attempt,
) -> Outcome {
    if let Err(error) = send(producer, std::slice::from_ref(one)) {
        return if passes(&error) {
            Outcome::Aborted(reason(&error))
        } else {
            Outcome::Refused(cluster_error("publishing", &error))
        };
    }
    if producer.in_flight_count() > 0 {
        return Outcome::Broken("records were not acknowledged in time".into());
    }
    if let Some(lost) = producer.client().context().take_failure() {
        return Outcome::Aborted(lost);
    }
    let Some((owner, _)) = &one.owner else { return Outcome::Committed };
    let held = owner.commit_lock();
    attempt.leases().push(held);
    let outcome = commit_offsets(settings, one, owner, attempt);
    attempt.release();
    outcome
}

fn commit_offsets(settings: &Settings, one: &Prepared, owner: &Ownership, attempt: &Attempt) -> Outcome {
    if let Err(error) = one.owned() {
        return Outcome::Refused(error);
    }
    if !attempt.may_end() {
        return Outcome::Aborted(KafkaError::Canceled.to_string());
    }
    let committed = one.list(settings).and_then(|list| match owner.live_consumer() {
        Some(consumer) => consumer.commit(&list, CommitMode::Sync),
        None => Err(KafkaError::Canceled),
    });
    match committed {
        Ok(()) => {
            owner.committed(&one.offsets);
            Outcome::Committed
        }
        Err(error) => Outcome::Aborted(reason(&error)),
    }
}
