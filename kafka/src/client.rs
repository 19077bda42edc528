//! The state of the connection to the cluster, as librdkafka's clients report it: many reports become one log
//! line.

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

/// How long a cluster must be unreachable before it is logged. A restart of a broker or the election of a
/// leader is shorter.
const LOGGED_OUTAGE: Duration = Duration::from_secs(2);

/// The difference between this machine's clock and the brokers' from which it is logged, in milliseconds.
const SKEW_MS: i64 = 30_000;

/// Whether the cluster answers, shared by all clients of the process.
#[derive(Debug)]
pub(crate) struct Health {
    brokers: String,
    state: Mutex<HealthState>,
}

#[derive(Debug, Default)]
struct HealthState {
    /// The start of an outage, and whether it was logged.
    outage: Option<(Instant, bool)>,
    /// The latest reason of an outage.
    reason: String,
    /// Why the cluster refuses the connection: its credentials or its encryption.
    refused: Option<String>,
    /// True once the cluster has answered.
    answered: bool,
    /// The time of the latest answer.
    latest_answer: Option<Instant>,
    /// True if a difference between the clocks was logged.
    is_skew_logged: bool,
}

impl Health {
    pub(crate) fn new(brokers: &str) -> Self {
        Self { brokers: brokers.into(), state: Mutex::default() }
    }

    fn with<T>(&self, act: impl FnOnce(&mut HealthState) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Records that no broker answers.
    pub(crate) fn record_outage(&self, reason: &str) {
        self.with(|state| {
            state.outage.get_or_insert((Instant::now(), false));
        });
        self.record_connection_failure(reason);
    }

    /// Records that one connection failed. During an outage it may log the outage.
    fn record_connection_failure(&self, reason: &str) {
        let is_to_log = self.with(|state| {
            reason.clone_into(&mut state.reason);
            let Some((since, is_logged)) = &mut state.outage else { return false };
            !*is_logged && since.elapsed() > LOGGED_OUTAGE && {
                *is_logged = true;
                true
            }
        });
        if is_to_log {
            tracing::warn!(
                brokers = self.brokers,
                reason,
                "Kafka does not answer; work goes on when it does"
            );
        }
    }

    /// Records an answer, which ends an outage.
    pub(crate) fn record_answer(&self) {
        let logged_outage = self.with(|state| {
            state.refused = None;
            state.answered = true;
            state.latest_answer = Some(Instant::now());
            state.outage.take().filter(|(_, is_logged)| *is_logged).map(|(since, _)| since.elapsed())
        });
        if let Some(away) = logged_outage {
            tracing::warn!(brokers = self.brokers, ?away, "Kafka answers again");
        }
    }

    /// Compares this machine's clock with a timestamp that a broker has just assigned, and logs a large
    /// difference once.
    pub(crate) fn check_clock(&self, at_ms: i64) {
        let ahead_ms = millis_now() - at_ms;
        if ahead_ms.abs() > SKEW_MS && !self.with(|state| std::mem::replace(&mut state.is_skew_logged, true))
        {
            let (seconds, way) = (ahead_ms.abs() / 1000, if ahead_ms > 0 { "ahead of" } else { "behind" });
            tracing::warn!(
                "this machine's clock is {seconds} s {way} the brokers': deadlines end executions that much too early or too \
                 late; let NTP set it"
            );
        }
    }

    /// Returns `true` if the cluster has answered before, but not for this long.
    pub(crate) fn is_silent(&self, long: Duration) -> bool {
        self.with(|state| state.latest_answer.is_some_and(|latest| latest.elapsed() > long))
    }

    pub(crate) fn has_answered(&self) -> bool {
        self.with(|state| state.answered)
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.with(|state| state.refused.is_some())
    }

    /// Returns the log's error for an error of librdkafka; during an outage with the reason of the outage.
    pub(crate) fn error(&self, doing: &str, error: &KafkaError) -> LogError {
        if !is_transient(error) && !self.is_refused() {
            return cluster_error(doing, error);
        }
        let reason = self.with(|state| match (&state.refused, state.reason.as_str()) {
            (Some(refused), _) => refused.clone(),
            (None, "") => error.to_string(),
            (None, reason) => reason.to_owned(),
        });
        LogError::Unreachable { server: format!("Kafka at {}", self.brokers), reason }
    }
}

/// Returns the error of an operation that the cluster or its client rejected.
pub(crate) fn rejected(doing: impl Into<String>, reason: impl Into<String>) -> LogError {
    LogError::Rejected { server: "Kafka", doing: doing.into(), reason: reason.into() }
}

/// Returns the log's error for an error of librdkafka that no retry resolves, with what the user can do about
/// it.
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
    rejected(doing, format!("{reason}{hint}"))
}

/// Returns `true` if a retry may succeed: a broker is unreachable or slow, or is no leader any more.
pub(crate) fn is_transient(error: &KafkaError) -> bool {
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

/// Returns `true` if a broker does not know a topic or a partition. After a topic is created, it takes a moment until all
/// brokers know it.
pub(crate) fn is_unknown(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(Code::UnknownPartition | Code::UnknownTopic | Code::UnknownTopicOrPartition)
    )
}

/// The context of every client: its reports go to the [`Health`] of the connection.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    health: Arc<Health>,
    /// Why a record could not be delivered: the latest reason.
    undelivered: Arc<Mutex<Option<String>>>,
}

impl Context {
    pub(crate) fn new(health: Arc<Health>) -> Self {
        Self { health, undelivered: Arc::default() }
    }

    /// Returns why a record could not be delivered since the last call; `None` if all were.
    pub(crate) fn take_failure(&self) -> Option<String> {
        self.undelivered.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) fn health(&self) -> &Arc<Health> {
        &self.health
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // Important messages arrive as errors too, once each.
        tracing::debug!(target: "librdkafka", ?level, facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        use RDKafkaErrorCode as Code;
        match error.rdkafka_error_code() {
            Some(Code::Authentication | Code::SaslAuthenticationFailed | Code::SSL) => {
                let reason = without_thread(reason);
                self.health.with(|state| state.refused = Some(reason.clone()));
                self.health.record_outage(&reason);
            }
            Some(Code::AllBrokersDown) => {
                let before = self.health.with(|state| state.reason.clone());
                self.health.record_outage(if before.is_empty() { reason } else { &before });
            }
            Some(Code::BrokerTransportFailure | Code::Resolve | Code::OperationTimedOut) => {
                // One connection of several; `AllBrokersDown` reports an outage.
                self.health.record_connection_failure(&without_thread(reason));
            }
            _ => tracing::debug!(target: "librdkafka", %error, reason, "error"),
        }
    }
}

/// Returns a reason of librdkafka without the name of its thread.
fn without_thread(reason: &str) -> String {
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
