//! The callbacks of librdkafka for rebalances, and the handle by which commits reach a member's consumer.

use std::sync::{Arc, Weak};

use rdkafka::{
    ClientContext, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, ConsumerGroupMetadata, Rebalance},
    error::KafkaError,
};

use crate::{client::Context, ownership::Ownership};

/// The client context of a member: applies rebalances to its [`Ownership`].
pub(crate) struct RebalanceContext {
    context: Context,
    ownership: Arc<Ownership>,
}

impl RebalanceContext {
    pub(crate) fn new(context: Context, ownership: Arc<Ownership>) -> Self {
        Self { context, ownership }
    }
}

impl ClientContext for RebalanceContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

fn numbers(list: &TopicPartitionList) -> Vec<u32> {
    list.elements().iter().filter_map(|e| u32::try_from(e.partition()).ok()).collect()
}

impl ConsumerContext for RebalanceContext {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Revoke(list) => {
                let (stream, lost) = (self.ownership.stream(), consumer.assignment_lost());
                tracing::info!(stream, partitions = ?numbers(list), lost, "revoked");
                self.ownership.revoke(&numbers(list));
            }
            Rebalance::Assign(_) => {}
            Rebalance::Error(error) => tracing::warn!(%error, "rebalance failed"),
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(list) = rebalance {
            let stream = self.ownership.stream();
            tracing::info!(stream, partitions = ?numbers(list), "assigned");
            self.ownership.assign(&numbers(list));
        }
    }
}

/// What commits need of a member: the partitions that it owns, and its consumer.
#[derive(Clone)]
pub(crate) struct MemberHandle {
    pub(crate) ownership: Arc<Ownership>,
    /// Weak: the polling thread owns the consumer, and drops it to leave the group.
    consumer: Weak<BaseConsumer<RebalanceContext>>,
}

impl MemberHandle {
    pub(crate) fn new(ownership: Arc<Ownership>, consumer: &Arc<BaseConsumer<RebalanceContext>>) -> Self {
        Self { ownership, consumer: Arc::downgrade(consumer) }
    }

    /// Returns the member's consumer, or `None` if the member has left its group.
    pub(crate) fn consumer(&self) -> Option<Arc<BaseConsumer<RebalanceContext>>> {
        self.consumer.upgrade()
    }

    /// Returns the identity of the member for the brokers, or `None` if the member has left its group.
    pub(crate) fn group_metadata(&self) -> Option<ConsumerGroupMetadata> {
        self.consumer()?.group_metadata()
    }
}
