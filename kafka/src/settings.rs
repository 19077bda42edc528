//! What a connection to a cluster is told.

use std::{collections::BTreeMap, time::Duration};

use millrace_runtime::LogError;
use millrace_topology::GROUP_PREFIX;
use rdkafka::ClientConfig;

/// What a crash may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Guarantee {
    /// Outputs, state and offsets are one transaction.
    #[default]
    ExactlyOnce,
    /// For brokers without transactions: outputs are acknowledged before state, state before offsets. After a crash some of
    /// them come twice.
    AtLeastOnce,
}

/// How a cluster is reached, and what is whose on it.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Host and port of some brokers, with commas between.
    pub brokers: String,
    /// Properties of librdkafka, for all clients: see its CONFIGURATION.md.
    pub properties: BTreeMap<String, String>,
    /// What topics' names begin with.
    pub topic_prefix: String,
    /// What the names of groups and transactional ids begin with.
    pub application: String,
    /// The name of this process among its like: with one it is a static member (KIP-345), and a restart within the session
    /// moves no partition.
    pub instance: Option<String>,
    /// What a crash may cost.
    pub guarantee: Guarantee,
    /// Numbers of partitions, by stream, where they are to be others than the graph's.
    pub partitions: BTreeMap<String, u32>,
    /// The schema registry's URL; without one schemas have fixed ids.
    pub schema_registry: Option<String>,
    /// Tells apart the processes that have no name.
    pub process: String,
    /// For how long a cluster that has not answered yet is waited for.
    pub patience: Duration,
}

/// For how long whoever asks something waits for a cluster that has not answered yet.
const FIRST_PATIENCE: Duration = Duration::from_secs(8);

/// What promises of Millrace rest on.
const OURS: [&str; 12] = [
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
    /// Settings for these brokers, with all else as it is by default.
    #[must_use]
    pub fn of(brokers: &str) -> Self {
        Self {
            brokers: brokers.into(),
            application: "millrace".into(),
            process: format!("{}-{:08x}", std::process::id(), fastrand::u32(..)),
            patience: FIRST_PATIENCE,
            ..Self::default()
        }
    }

    /// A stream's topic.
    #[must_use]
    pub fn topic(&self, stream: &str) -> String {
        format!("{}{stream}", self.topic_prefix)
    }

    /// A group's name on the cluster.
    #[must_use]
    pub fn group(&self, group: &str) -> String {
        match group.strip_prefix(GROUP_PREFIX) {
            Some(processor) => format!("{}-{processor}", self.application),
            None => format!("{}-{group}", self.application),
        }
    }

    pub(crate) fn check(&self) -> Result<(), LogError> {
        let refused = |reason: String| LogError::Cluster { doing: "reading its settings".into(), reason };
        if self.brokers.trim().is_empty() {
            return Err(refused("no brokers are named; give --brokers HOST:PORT".into()));
        }
        match self
            .properties
            .keys()
            .find(|name| OURS.contains(&name.as_str()) || *name == "request.required.acks")
        {
            Some(name) => {
                Err(refused(format!("the property '{name}' can't be set: promises of Millrace rest on it")))
            }
            None => self.check_partitions(),
        }
    }

    /// Of a process with a name the same after a restart, which ends what was left open.
    pub(crate) fn transactional_id(&self) -> String {
        format!("{}-{}", self.application, self.instance.as_ref().unwrap_or(&self.process))
    }

    pub(crate) fn admin(&self) -> ClientConfig {
        self.base()
    }

    fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", self.instance.as_deref().unwrap_or(&self.application))
            // A broker that was away is asked again soon.
            .set("reconnect.backoff.max.ms", "2000")
            .set("socket.keepalive.enable", "true")
            .set("topic.metadata.refresh.interval.ms", "30000")
            .set("message.max.bytes", "4000000");
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
    }

    /// A consumer without a group's part in it.
    pub(crate) fn reader(&self, isolation: &str) -> ClientConfig {
        let mut config = self.consumer();
        // librdkafka wants a group, though it joins none.
        config.set("group.id", format!("{}-reader", self.application)).set("isolation.level", isolation);
        // A reader has one partition, and seeks nothing: the broker may let it wait until something comes.
        if !self.properties.contains_key("fetch.wait.max.ms") {
            config.set("fetch.wait.max.ms", "5000");
        }
        config
    }

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

    /// A member of a group.
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

    /// A consumer that only asks for a group's offsets.
    pub(crate) fn onlooker(&self, group: &str) -> ClientConfig {
        let mut config = self.consumer();
        config.set("group.id", self.group(group));
        config
    }

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

    /// A producer without transactions.
    pub(crate) fn plain(&self) -> ClientConfig {
        let mut config = self.producer();
        if !self.properties.contains_key("message.timeout.ms") {
            config.set("message.timeout.ms", "60000");
        }
        config
    }

    /// The transactional producer of this process.
    pub(crate) fn transactional(&self, id: &str) -> ClientConfig {
        let mut config = self.producer();
        config.set("transactional.id", id);
        if !self.properties.contains_key("transaction.timeout.ms") {
            config.set("transaction.timeout.ms", "10000");
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_promises_rest_on_is_not_the_users_to_set() {
        for name in OURS {
            let properties = BTreeMap::from([(name.to_owned(), "x".to_owned())]);
            let error = Settings { properties, ..Settings::of("b:9092") }.check().unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
        let properties = BTreeMap::from([("session.timeout.ms".to_owned(), "30000".to_owned())]);
        let settings = Settings { properties, ..Settings::of("b:9092") };
        settings.check().unwrap();
        assert_eq!(settings.member("millrace-split").get("session.timeout.ms"), Some("30000"));
    }

    #[test]
    fn installations_on_one_cluster_have_topics_and_groups_of_their_own() {
        let settings =
            Settings { topic_prefix: "eu.".into(), application: "media".into(), ..Settings::of("b:9092") };
        assert_eq!(settings.topic("uploads"), "eu.uploads");
        assert_eq!(settings.group("millrace-split"), "media-split");
        assert_eq!(Settings::of("b").group("millrace-split"), "millrace-split");
    }
}
