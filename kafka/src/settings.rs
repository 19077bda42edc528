//! The settings of a connection to a cluster, and the librdkafka configuration of each client.

use std::{collections::BTreeMap, time::Duration};

use millrace_runtime::LogError;
use millrace_topology::{GROUP_PREFIX, Keyed, StreamSpec, streams};
use rdkafka::ClientConfig;

use crate::client::rejected;

/// The delivery guarantee of commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Guarantee {
    /// Results, state and offsets are one transaction.
    #[default]
    ExactlyOnce,
    /// For brokers without transactions: results are acknowledged before state, and state before offsets.
    /// After a crash some of them are there twice.
    AtLeastOnce,
}

/// How to connect to a cluster, and the names of this installation on it.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Host and port of some brokers, separated by commas.
    pub brokers: String,
    /// Properties of librdkafka for all clients, as its CONFIGURATION.md lists them.
    pub properties: BTreeMap<String, String>,
    /// The prefix of topics.
    pub topic_prefix: String,
    /// The prefix of consumer groups and transactional ids.
    pub application: String,
    /// The name of this process, unique among the processes of the application. With a name it is a static
    /// member (KIP-345): a restart within the session moves no partition.
    pub instance: Option<String>,
    /// The delivery guarantee.
    pub guarantee: Guarantee,
    /// Numbers of partitions by stream, where they differ from the topology's.
    pub partitions: BTreeMap<String, u32>,
    /// The schema registry's URL. Without one, schemas have fixed ids.
    pub schema_registry: Option<String>,
    /// The id of a process without a name, unique among them.
    pub process: String,
    /// How long requests are retried on a cluster that has not answered yet.
    pub patience: Duration,
}

/// The default of [`Settings::patience`].
const FIRST_PATIENCE: Duration = Duration::from_secs(8);

/// The properties that Millrace's delivery guarantee depends on: users can't set them.
const RESERVED: [&str; 12] = [
    "bootstrap.servers",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "isolation.level",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "transactional.id",
    "acks",
    "partition.assignment.strategy",
    "auto.offset.reset",
];

impl Settings {
    /// Returns the default settings for these brokers.
    #[must_use]
    pub fn new(brokers: &str) -> Self {
        Self {
            brokers: brokers.into(),
            application: "millrace".into(),
            process: format!("{}-{:08x}", std::process::id(), fastrand::u32(..)),
            patience: FIRST_PATIENCE,
            ..Self::default()
        }
    }

    /// Returns the topic of a stream.
    #[must_use]
    pub fn topic(&self, stream: &str) -> String {
        format!("{}{stream}", self.topic_prefix)
    }

    /// Returns the name of a consumer group on the cluster.
    #[must_use]
    pub fn group(&self, group: &str) -> String {
        match group.strip_prefix(GROUP_PREFIX) {
            Some(processor) => format!("{}-{processor}", self.application),
            None => format!("{}-{group}", self.application),
        }
    }

    /// Returns the number of partitions of a stream's topic.
    #[must_use]
    pub fn partitions_of(&self, spec: &StreamSpec) -> u32 {
        self.partitions.get(spec.name).copied().unwrap_or(spec.partitions)
    }

    /// Fails with [`LogError::Rejected`] if a setting is invalid.
    pub(crate) fn check(&self) -> Result<(), LogError> {
        if self.brokers.trim().is_empty() {
            return Err(invalid("no brokers are named; give --brokers HOST:PORT"));
        }
        match self
            .properties
            .keys()
            .find(|name| RESERVED.contains(&name.as_str()) || *name == "request.required.acks")
        {
            Some(name) => Err(invalid(format!(
                "the property '{name}' can't be set: Millrace's delivery guarantee depends on it"
            ))),
            None => self.check_partitions(),
        }
    }

    /// Fails if the numbers of partitions are invalid.
    fn check_partitions(&self) -> Result<(), LogError> {
        for (name, count) in &self.partitions {
            if !streams::ALL.iter().any(|spec| spec.name == name) {
                return Err(invalid(format!("there is no stream '{name}'")));
            }
            if !(1..=10_000).contains(count) {
                return Err(invalid(format!(
                    "{name} can't have {count} partitions; 1 to 10000 are possible"
                )));
            }
        }
        if self.partitions_of(&streams::TRANSCODED) != self.partitions_of(&streams::ASSEMBLIES) {
            let both = format!("{} and {}", streams::TRANSCODED.name, streams::ASSEMBLIES.name);
            return Err(invalid(format!("{both} must have the same number of partitions")));
        }
        debug_assert!(streams::ALL.iter().all(|spec| spec.keyed == Keyed::ByKey || may_grow(spec)));
        Ok(())
    }

    /// Returns the transactional id of this process. With a name it is the same after a restart, so that the
    /// new producer ends the transaction of the old one.
    pub(crate) fn transactional_id(&self) -> String {
        format!("{}-{}", self.application, self.instance.as_ref().unwrap_or(&self.process))
    }

    /// Returns the configuration of the admin client.
    pub(crate) fn admin(&self) -> ClientConfig {
        self.base()
    }

    /// Returns what all clients have in common.
    fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", self.instance.as_deref().unwrap_or(&self.application))
            // Reconnects soon to a broker that was unreachable.
            .set("reconnect.backoff.max.ms", "2000")
            .set("socket.keepalive.enable", "true")
            .set("topic.metadata.refresh.interval.ms", "30000")
            .set("message.max.bytes", "4000000");
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
    }

    /// Returns the configuration of a consumer that joins no group.
    pub(crate) fn reader(&self, isolation: &str) -> ClientConfig {
        let mut config = self.consumer();
        // librdkafka requires a group, although this consumer joins none.
        config.set("group.id", format!("{}-reader", self.application)).set("isolation.level", isolation);
        // A reader has one partition and does not seek: the broker may hold its requests until a record
        // arrives.
        if !self.properties.contains_key("fetch.wait.max.ms") {
            config.set("fetch.wait.max.ms", "5000");
        }
        config
    }

    /// Returns what all consumers have in common.
    fn consumer(&self) -> ClientConfig {
        let mut config = self.base();
        config
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest");
        if !self.properties.contains_key("queued.max.messages.kbytes") {
            config.set("queued.max.messages.kbytes", "16384");
        }
        if !self.properties.contains_key("fetch.error.backoff.ms") {
            config.set("fetch.error.backoff.ms", "100");
        }
        config
    }

    /// Returns the configuration of a group member.
    pub(crate) fn member(&self, group: &str) -> ClientConfig {
        let mut config = self.consumer();
        config.set("group.id", self.group(group)).set("partition.assignment.strategy", "cooperative-sticky");
        for (name, value) in [("session.timeout.ms", "10000"), ("heartbeat.interval.ms", "1000")] {
            if !self.properties.contains_key(name) {
                config.set(name, value);
            }
        }
        if let Some(instance) = &self.instance {
            config.set("group.instance.id", format!("{}-{instance}", self.application));
        }
        config
    }

    /// Returns the configuration of a consumer that reads a group's offsets without joining it.
    pub(crate) fn observer(&self, group: &str) -> ClientConfig {
        let mut config = self.consumer();
        config.set("group.id", self.group(group));
        config
    }

    /// Returns what all producers have in common.
    fn producer(&self) -> ClientConfig {
        let mut config = self.base();
        config.set("enable.idempotence", "true");
        for (name, value) in [("linger.ms", "0"), ("retry.backoff.ms", "20"), ("compression.type", "lz4")] {
            if !self.properties.contains_key(name) {
                config.set(name, value);
            }
        }
        config
    }

    /// Returns the configuration of a producer without transactions.
    pub(crate) fn plain(&self) -> ClientConfig {
        let mut config = self.producer();
        if !self.properties.contains_key("message.timeout.ms") {
            config.set("message.timeout.ms", "60000");
        }
        config
    }

    /// Returns the configuration of the transactional producer.
    pub(crate) fn transactional(&self, id: &str) -> ClientConfig {
        let mut config = self.producer();
        config.set("transactional.id", id);
        if !self.properties.contains_key("transaction.timeout.ms") {
            config.set("transaction.timeout.ms", "10000");
        }
        config
    }
}

fn invalid(reason: impl Into<String>) -> LogError {
    rejected("reading its settings", reason)
}

/// Returns `true` if partitions may be added to the stream's topic: not if records of a key must stay in one partition.
pub(crate) fn may_grow(spec: &StreamSpec) -> bool {
    ![streams::TRANSCODED.name, streams::ASSEMBLIES.name, streams::CONTROLS.name].contains(&spec.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_that_the_guarantee_depends_on_cannot_be_set() {
        for name in RESERVED {
            let properties = BTreeMap::from([(name.to_owned(), "x".to_owned())]);
            let error = Settings { properties, ..Settings::new("b:9092") }.check().unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
        let properties = BTreeMap::from([("session.timeout.ms".to_owned(), "30000".to_owned())]);
        let settings = Settings { properties, ..Settings::new("b:9092") };
        settings.check().unwrap();
        assert_eq!(settings.member("millrace-split").get("session.timeout.ms"), Some("30000"));
    }

    #[test]
    fn installations_on_one_cluster_have_topics_and_groups_of_their_own() {
        let settings =
            Settings { topic_prefix: "eu.".into(), application: "media".into(), ..Settings::new("b:9092") };
        assert_eq!(settings.topic("uploads"), "eu.uploads");
        assert_eq!(settings.group("millrace-split"), "media-split");
        assert_eq!(Settings::new("b").group("millrace-split"), "millrace-split");
    }
}
