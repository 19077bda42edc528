//! One attempt to commit a transaction, on the thread that has the producer.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
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
    client::{Context, cluster_error, is_transient},
    ownership::CommitGuard,
    rebalance::MemberHandle,
    records::Placed,
    settings::Settings,
};

/// The timeout of each step of a transaction; the brokers abort it after 10 s.
const STEP: Duration = Duration::from_secs(10);

/// A transaction, with its topics and partitions, and the member that commits it.
#[derive(Clone, Default)]
pub(crate) struct Prepared {
    pub(crate) records: Vec<Placed>,
    pub(crate) offsets: Vec<(Partition, u64)>,
    pub(crate) owner: Option<(MemberHandle, Membership)>,
}

impl Prepared {
    /// Returns [`LogError::Fenced`] if the member does not own all partitions of the offsets.
    pub(crate) fn check_ownership(&self) -> Result<(), LogError> {
        match &self.owner {
            Some((owner, membership)) if !owner.ownership.owns(&self.offsets, membership.epoch) => {
                Err(LogError::Fenced { group: membership.group.clone(), epoch: membership.epoch })
            }
            _ => Ok(()),
        }
    }

    /// Returns the offsets as librdkafka takes them.
    fn offset_list(&self, settings: &Settings) -> Result<TopicPartitionList, KafkaError> {
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
    /// All of it was committed.
    Committed,
    /// Nothing was committed. It may be committed again.
    Aborted(String),
    /// All of it was committed or nothing, and the producer can't be used any more.
    Uncertain(String),
    /// Nothing was committed, and the producer can't be used any more. The transaction may be committed
    /// again.
    Broken(String),
    /// Nothing was committed, and a retry gives the same result.
    Rejected(LogError),
}

/// The state of an attempt, shared by its thread and the thread that waits for it.
#[derive(Debug, Default)]
pub(crate) struct Attempt {
    phase: Mutex<Phase>,
    /// The locks that keep partitions from being revoked before the attempt ends.
    guards: Mutex<Vec<CommitGuard>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    /// The commit was not sent yet.
    #[default]
    Open,
    /// The commit was sent: the brokers decide the outcome.
    Ending,
    /// Nothing waits for the attempt any more: it must abort.
    Abandoned,
}

impl Attempt {
    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn guards(&self) -> MutexGuard<'_, Vec<CommitGuard>> {
        self.guards.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks the commit as sent. Returns `false` if the attempt was abandoned.
    fn begin_end(&self) -> bool {
        let mut phase = self.phase();
        if *phase == Phase::Open {
            *phase = Phase::Ending;
        }
        *phase == Phase::Ending
    }

    /// Abandons the commit. Returns `false` if it has already been sent.
    pub(crate) fn abandon(&self) -> bool {
        let mut phase = self.phase();
        if *phase == Phase::Open {
            *phase = Phase::Abandoned;
        }
        let is_abandoned = *phase == Phase::Abandoned;
        drop(phase);
        if is_abandoned {
            self.unlock_partitions();
        }
        is_abandoned
    }

    /// Allows partitions to be revoked again.
    pub(crate) fn unlock_partitions(&self) {
        self.guards().clear();
    }
}

/// Commits several transactions as one: all of them or none.
pub(crate) fn commit(
    producer: &BaseProducer<Context>,
    settings: &Settings,
    all: &[Prepared],
    attempt: &Attempt,
) -> Outcome {
    let outcome = commit_locked(producer, settings, all, attempt);
    attempt.unlock_partitions();
    outcome
}

fn commit_locked(
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
    // Until the attempt ends, no partition is revoked. The locks are taken in the order of members, so that
    // two attempts can't deadlock.
    let mut owners: Vec<_> = all.iter().filter_map(|one| one.owner.as_ref()).collect();
    owners.sort_by_key(|(_, membership)| membership.member);
    owners.dedup_by_key(|(_, membership)| membership.member);
    for (owner, _) in owners {
        let guard = owner.ownership.lock_commits();
        attempt.guards().push(guard);
    }
    for one in all {
        let Some((owner, _)) = &one.owner else { continue };
        // Nothing is sent if a partition was revoked or the member has left its group. The caller then turns
        // `Canceled` into `Fenced`, as the member does not own the partition.
        let sent = one.check_ownership().map_err(|_| KafkaError::Canceled).and_then(|()| {
            let metadata = owner.group_metadata().ok_or(KafkaError::Canceled)?;
            producer.send_offsets_to_transaction(&one.offset_list(settings)?, &metadata, STEP)
        });
        if let Err(error) = sent {
            return abort(producer, &error);
        }
    }
    if !attempt.begin_end() {
        return abort(producer, &KafkaError::Canceled);
    }
    match finish(producer) {
        Ok(()) => {
            for one in all {
                if let Some((owner, _)) = &one.owner {
                    owner.ownership.record_committed(&one.offsets);
                }
            }
            Outcome::Committed
        }
        Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => {
            let permanent = is_permanent(error.code());
            match producer.abort_transaction(STEP) {
                Ok(()) if permanent => {
                    Outcome::Rejected(cluster_error("publishing", &KafkaError::Transaction(error)))
                }
                Ok(()) => Outcome::Aborted(error.string()),
                Err(more) => Outcome::Broken(format!("{}; {}", error.string(), reason(&more))),
            }
        }
        Err(error) => Outcome::Uncertain(reason(&error)),
    }
}

/// Returns `true` if a retry gives the same result.
fn is_permanent(code: RDKafkaErrorCode) -> bool {
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

/// Sends the records, and waits until the brokers have acknowledged them.
fn send(producer: &BaseProducer<Context>, all: &[Prepared]) -> Result<(), KafkaError> {
    for placed in all.iter().flat_map(|one| &one.records) {
        loop {
            match producer.send(placed.to_base_record()) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    producer.poll(Duration::from_millis(10));
                }
                Err((error, _)) => return Err(error),
            }
        }
    }
    let until = Instant::now() + STEP;
    // Polled here, as librdkafka's flush polls only every 100 ms.
    while producer.in_flight_count() > 0 && Instant::now() < until {
        producer.poll(Duration::from_millis(1));
    }
    Ok(())
}

/// Commits the transaction, and retries errors that allow it for a while.
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

/// Aborts the transaction after an error, and returns the outcome.
fn abort(producer: &BaseProducer<Context>, error: &KafkaError) -> Outcome {
    match producer.abort_transaction(STEP) {
        Err(more) => Outcome::Broken(format!("{}; {}", reason(error), reason(&more))),
        Ok(()) if error.rdkafka_error_code().is_some_and(is_permanent) => {
            Outcome::Rejected(cluster_error("publishing", error))
        }
        Ok(()) => Outcome::Aborted(reason(error)),
    }
}

/// Returns the text of an error; of a transaction's error without its code.
pub(crate) fn reason(error: &KafkaError) -> String {
    match error {
        KafkaError::Transaction(error) => error.string(),
        other => other.to_string(),
    }
}

/// Commits without a broker's transaction: waits for the acknowledgements of the records, in their order, and
/// then commits the offsets.
pub(crate) fn commit_at_least_once(
    producer: &BaseProducer<Context>,
    settings: &Settings,
    one: &Prepared,
    attempt: &Attempt,
) -> Outcome {
    if let Err(error) = send(producer, std::slice::from_ref(one)) {
        return if is_transient(&error) {
            Outcome::Aborted(reason(&error))
        } else {
            Outcome::Rejected(cluster_error("publishing", &error))
        };
    }
    if producer.in_flight_count() > 0 {
        return Outcome::Broken("records were not acknowledged in time".into());
    }
    if let Some(lost) = producer.client().context().take_failure() {
        return Outcome::Aborted(lost);
    }
    let Some((owner, _)) = &one.owner else { return Outcome::Committed };
    let guard = owner.ownership.lock_commits();
    attempt.guards().push(guard);
    let outcome = commit_offsets(settings, one, owner, attempt);
    attempt.unlock_partitions();
    outcome
}

fn commit_offsets(settings: &Settings, one: &Prepared, owner: &MemberHandle, attempt: &Attempt) -> Outcome {
    if let Err(error) = one.check_ownership() {
        return Outcome::Rejected(error);
    }
    if !attempt.begin_end() {
        return Outcome::Aborted(KafkaError::Canceled.to_string());
    }
    let committed = one.offset_list(settings).and_then(|list| match owner.consumer() {
        Some(consumer) => consumer.commit(&list, CommitMode::Sync),
        None => Err(KafkaError::Canceled),
    });
    match committed {
        Ok(()) => {
            owner.ownership.record_committed(&one.offsets);
            Outcome::Committed
        }
        Err(error) => Outcome::Aborted(reason(&error)),
    }
}
