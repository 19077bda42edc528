//! What librdkafka says: of many complaints one line.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use millrace_runtime::LogError;
use millrace_topology::millis_now;
use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::ProducerContext,
};

/// How long a cluster must be away before that is worth a line: a broker that restarts, or a leader that moves, is not.
const NOTABLE: Duration = Duration::from_secs(2);

/// A clock that differs by more than this is worth a line, in milliseconds.
const SKEW_MS: i64 = 30_000;

/// Whether the cluster answers, as all clients of the process know it together.
#[derive(Debug)]
pub(crate) struct Health {
    brokers: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Since when it does not answer, and whether that was told.
    down: Option<(Instant, bool)>,
    /// What was said last about it.
    reason: String,
    /// Why it will have none of us.
    refused: Option<String>,
    /// Whether it ever answered.
    answered: bool,
    /// When it answered last.
    latest: Option<Instant>,
    /// Whether a clock that differs was told of.
    skew_told: bool,
}

impl Health {
    pub(crate) fn new(brokers: &str) -> Self {
        Self { brokers: brokers.into(), state: Mutex::default() }
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// No broker answers.
    pub(crate) fn failed(&self, reason: &str) {
        self.with(|state| {
            state.down.get_or_insert((Instant::now(), false));
        });
        self.note(reason);
    }

    /// A connection fails: one of several, or one more of all that do.
    fn note(&self, reason: &str) {
        let tell = self.with(|state| {
            reason.clone_into(&mut state.reason);
            let Some((since, told)) = &mut state.down else { return false };
            !*told && since.elapsed() > NOTABLE && {
                *told = true;
                true
            }
        });
        if tell {
            tracing::warn!(
                brokers = self.brokers,
                reason,
                "Kafka does not answer; work goes on when it does"
            );
        }
    }

    /// An answer came.
    pub(crate) fn worked(&self) {
        let told = self.with(|state| {
            state.refused = None;
            state.answered = true;
            state.latest = Some(Instant::now());
            state.down.take().filter(|(_, told)| *told).map(|(since, _)| since.elapsed())
        });
        if let Some(away) = told {
            tracing::warn!(brokers = self.brokers, ?away, "Kafka answers again");
        }
    }

    /// The brokers appended something at this time of their clock, a moment ago: another one here is told of, once.
    pub(crate) fn clock(&self, at_ms: i64) {
        let ahead_ms = millis_now() - at_ms;
        if ahead_ms.abs() > SKEW_MS && !self.with(|state| std::mem::replace(&mut state.skew_told, true)) {
            let (seconds, way) = (ahead_ms.abs() / 1000, if ahead_ms > 0 { "ahead of" } else { "behind" });
            tracing::warn!(
                "this machine's clock is {seconds} s {way} the brokers': deadlines end executions that much too early or too \
                 late; let NTP set it"
            );
        }
    }

    /// Whether nothing has been heard of it for so long.
    pub(crate) fn is_silent(&self, long: Duration) -> bool {
        self.with(|state| state.latest.is_some_and(|latest| latest.elapsed() > long))
    }

    pub(crate) fn has_answered(&self) -> bool {
        self.with(|state| state.answered)
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.with(|state| state.refused.is_some())
    }

    /// An error, as people can do something about it.
    pub(crate) fn error(&self, doing: &str, error: &KafkaError) -> LogError {
        if !passes(error) && !self.is_refused() {
            return cluster_error(doing, error);
        }
        let reason = self.with(|state| match (&state.refused, state.reason.as_str()) {
            (Some(refused), _) => refused.clone(),
            (None, "") => error.to_string(),
            (None, reason) => reason.to_owned(),
        });
        LogError::Unreachable { brokers: self.brokers.clone(), reason }
    }
}

/// An error that a cluster, or the client, has for good.
pub(crate) fn cluster_error(doing: &str, error: &KafkaError) -> LogError {
    let hint = match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
            "; 'millrace topology --acls' prints what Millrace must be allowed to do with topics"
        }
        Some(
            RDKafkaErrorCode::GroupAuthorizationFailed | RDKafkaErrorCode::TransactionalIdAuthorizationFailed,
        ) => "; 'millrace topology --acls' prints what Millrace must be allowed to do",
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => "; the topic's max.message.bytes is too small",
        Some(RDKafkaErrorCode::InvalidTimestamp) => {
            "; this machine's clock differs from the brokers': let NTP set it, or make the topic's message.timestamp.type \
             LogAppendTime"
        }
        Some(RDKafkaErrorCode::PolicyViolation) => "; ask whoever administers the cluster",
        _ => "",
    };
    let reason = match error {
        KafkaError::ClientConfig(_, reason, name, value) => format!("{reason} ('{name}' is '{value}')"),
        KafkaError::Transaction(error) => error.string(),
        error => error.to_string(),
    };
    LogError::Cluster { doing: doing.into(), reason: format!("{reason}{hint}") }
}

/// Whether an error passes by itself: a broker is away, slow, or no leader any more.
pub(crate) fn passes(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    if let KafkaError::Transaction(error) = error
        && error.is_retriable()
    {
        return true;
    }
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::OperationTimedOut
                | Code::MessageTimedOut
                | Code::TimedOutQueue
                | Code::Resolve
                | Code::NotCoordinator
                | Code::CoordinatorLoadInProgress
                | Code::CoordinatorNotAvailable
                | Code::NotLeaderForPartition
                | Code::LeaderNotAvailable
                | Code::BrokerNotAvailable
                | Code::ReplicaNotAvailable
                | Code::NetworkException
                | Code::RequestTimedOut
                | Code::NotEnoughReplicas
                | Code::NotEnoughReplicasAfterAppend
                | Code::UnstableOffsetCommit
                | Code::WaitingForCoordinator
                | Code::InProgress
                | Code::RebalanceInProgress
                | Code::IllegalGeneration
                | Code::UnknownMemberId
                | Code::KafkaStorageError
                | Code::FencedLeaderEpoch
                | Code::UnknownLeaderEpoch
                | Code::DestroyBroker
                | Code::State
        )
    )
}

/// Returns whether a broker does not know a topic or partition: one that was just made is not known to all brokers at once.
pub(crate) fn is_unknown(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(Code::UnknownPartition | Code::UnknownTopic | Code::UnknownTopicOrPartition)
    )
}

/// What every client is created with.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    health: Arc<Health>,
    /// Why a record could not be delivered, the latest.
    undelivered: Arc<Mutex<Option<String>>>,
}

impl Context {
    pub(crate) fn new(health: Arc<Health>) -> Self {
        Self { health, undelivered: Arc::default() }
    }

    /// Why a record could not be delivered since this was last asked.
    pub(crate) fn take_failure(&self) -> Option<String> {
        self.undelivered.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) fn health(&self) -> &Arc<Health> {
        &self.health
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // What matters of it comes as an error too, once.
        tracing::debug!(target: "librdkafka", ?level, facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        use RDKafkaErrorCode as Code;
        match error.rdkafka_error_code() {
            Some(Code::Authentication | Code::SaslAuthenticationFailed) => {
                self.health.with(|state| state.refused = Some(said(reason)));
                self.health.failed(&said(reason));
            }
            Some(Code::SSL) => {
                self.health.with(|state| state.refused = Some(said(reason)));
                self.health.failed(&said(reason));
            }
            Some(Code::AllBrokersDown) => {
                let before = self.health.with(|state| state.reason.clone());
                self.health.failed(if before.is_empty() { reason } else { &before });
            }
            Some(Code::BrokerTransportFailure | Code::Resolve | Code::OperationTimedOut) => {
                // One connection of several: what all of them say together is what counts.
                self.health.note(&said(reason));
            }
            _ => tracing::debug!(target: "librdkafka", %error, reason, "an error"),
        }
    }
}

/// A reason of librdkafka without the thread that it was said in.
fn said(reason: &str) -> String {
    reason.rsplit("]: ").next().unwrap_or(reason).to_owned()
}

impl ConsumerContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            *self.undelivered.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
        }
    }
}
