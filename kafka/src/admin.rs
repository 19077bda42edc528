//! Creates the topology's topics, and compares those of a cluster with it.

use std::{fmt, time::Duration};

use millrace_runtime::{LARGEST_VALUE, LogError};
use millrace_topology::{Kind, ProcessorSpec, StreamSpec, Topology, group_of, streams};
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    consumer::Consumer as _,
    error::{KafkaError, RDKafkaErrorCode},
    metadata::MetadataBroker,
};

use crate::{
    client::{Context, cluster_error},
    cluster::Kafka,
    settings::{Settings, may_grow},
};

const DAY_MS: i64 = 24 * 3600 * 1000;
/// The `max.message.bytes` of the topic of dead letters, which keep the original value whatever its size.
const DEAD_LETTER_BYTES: usize = 3_000_000;
/// The default of a broker's `message.max.bytes`.
const BROKER_BYTES: usize = 1_048_588;

/// A difference between a cluster and the topology, or a setting that causes problems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// True if Millrace can't work with it.
    pub is_fatal: bool,
    /// What differs, and what the user can do.
    pub text: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_fatal { "error: " } else { "warning: " })?;
        f.write_str(&self.text)
    }
}

/// Returns the configuration of a stream's topic, as Kafka's names and values.
fn topic_config(spec: &StreamSpec) -> Vec<(&'static str, String)> {
    let mut config = match spec.kind {
        Kind::Table => vec![("cleanup.policy", "compact".to_owned())],
        Kind::Stream => vec![
            ("cleanup.policy", "delete".to_owned()),
            ("retention.ms", (i64::from(spec.retention.days) * DAY_MS).to_string()),
        ],
    };
    // Timestamps are the brokers', not the producers': deadlines and times to live depend on them.
    config.push(("message.timestamp.type", "LogAppendTime".to_owned()));
    if spec.name == streams::DEAD_LETTERS.name {
        config.push(("max.message.bytes", DEAD_LETTER_BYTES.to_string()));
    }
    config
}

impl Kafka {
    fn admin_client(&self) -> Result<AdminClient<Context>, LogError> {
        let settings = &self.shared.settings;
        settings
            .admin()
            .create_with_context(Context::new(self.shared.health.clone()))
            .map_err(|error| cluster_error("administering", &error))
    }

    /// Creates the topics that do not exist, and returns their names.
    ///
    /// # Errors
    /// Returns [`LogError::Partitions`] if a topic exists with an invalid number of partitions, and
    /// [`LogError::Rejected`] if the cluster does not allow it.
    pub async fn apply(&self, specs: &[StreamSpec]) -> Result<Vec<String>, LogError> {
        let known = self.topics(None).await?;
        let settings = &self.shared.settings;
        let mut created = Vec::new();
        let missing: Vec<_> = specs.iter().filter(|s| !known.contains_key(&settings.topic(s.name))).collect();
        let configs: Vec<_> = missing.iter().map(|spec| topic_config(spec)).collect();
        let names: Vec<String> = missing.iter().map(|spec| settings.topic(spec.name)).collect();
        let topics: Vec<NewTopic<'_>> = missing
            .iter()
            .zip(&configs)
            .zip(&names)
            .map(|((spec, config), name)| {
                let count = settings.partitions_of(spec).cast_signed();
                let topic = NewTopic::new(name, count, TopicReplication::Fixed(-1));
                config.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
            })
            .collect();
        if !topics.is_empty() {
            let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
            let results = self.admin_client()?.create_topics(&topics, &options).await;
            for result in results.map_err(|error| self.shared.health.error("making topics", &error))? {
                match result {
                    Ok(name) => created.push(name),
                    // Another process created it first.
                    Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                    Err((name, code)) => {
                        let error = KafkaError::AdminOp(code);
                        return Err(cluster_error(&format!("making the topic {name}"), &error));
                    }
                }
            }
            self.wait_until_known(&names).await?;
        }
        for spec in specs {
            let Some(found) = known.get(&settings.topic(spec.name)) else { continue };
            let expected = settings.partitions_of(spec);
            if !may_grow(spec) && *found != expected || *found < expected {
                return Err(LogError::Partitions {
                    stream: settings.topic(spec.name),
                    found: *found,
                    expected,
                });
            }
        }
        Ok(created)
    }

    /// Waits until the brokers' metadata have these topics.
    async fn wait_until_known(&self, names: &[String]) -> Result<(), LogError> {
        loop {
            let known = self.topics(None).await?;
            if names.iter().all(|name| known.contains_key(name)) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Compares the topics of the cluster and the settings of its brokers with the topology.
    ///
    /// # Errors
    /// Fails if the cluster does not answer.
    pub async fn check(&self, graph: &Topology) -> Result<Vec<Difference>, LogError> {
        let known = self.topics(None).await?;
        let settings = &self.shared.settings;
        let mut found = Vec::new();
        let mut report = |is_fatal, text: String| found.push(Difference { is_fatal, text });
        let mut usable = Vec::new();
        for spec in &graph.streams {
            let (topic, expected) = (settings.topic(spec.name), settings.partitions_of(spec));
            match known.get(&topic) {
                None => report(
                    true,
                    format!("the topic '{topic}' is missing; 'millrace topology --apply' makes it"),
                ),
                Some(count) if !may_grow(spec) && *count != expected => report(
                    true,
                    format!(
                        "the topic '{topic}' has {count} partitions and must have {expected}: records of a key \
                         would be in several partitions; create the topic anew with {expected}, or use a new topic_prefix"
                    ),
                ),
                Some(count) if *count < expected => report(
                    true,
                    format!(
                        "the topic '{topic}' has {count} partitions, and {expected} are wanted; add the missing ones"
                    ),
                ),
                Some(_) => usable.push(*spec),
            }
        }
        for (spec, name, value) in self.topic_configs(&usable).await? {
            let topic = settings.topic(spec.name);
            for (key, expected) in topic_config(&spec).iter().filter(|(key, _)| *key == name) {
                let number = |text: &str| text.parse::<i64>().ok();
                let is_enough = match (number(&value), number(expected)) {
                    (Some(found), Some(expected)) => found < 0 || found >= expected,
                    _ => value == *expected,
                };
                if !is_enough {
                    let is_fatal = *key == "cleanup.policy";
                    report(is_fatal, format!("the topic '{topic}' has {key}={value}; set it to {expected}"));
                }
            }
            let most = number_of(&value);
            if name == "max.message.bytes" && most < LARGEST_VALUE && spec.name != streams::DEAD_LETTERS.name
            {
                report(
                    false,
                    format!(
                        "the topic '{topic}' accepts records of at most {most} bytes, and values may have {LARGEST_VALUE}; raise its \
                         max.message.bytes"
                    ),
                );
            }
        }
        for (name, value) in self.broker_configs().await? {
            let longest =
                graph.streams.iter().filter(|s| s.kind == Kind::Stream).map(|s| s.retention.days).max();
            let days = i64::try_from(number_of(&value)).unwrap_or(i64::MAX) / (24 * 60);
            let longest = i64::from(longest.unwrap_or(0));
            if name == "offsets.retention.minutes" && days < longest {
                report(
                    false,
                    format!(
                        "the brokers keep the offsets of a group for {days} days after its last member has left \
                         (offsets.retention.minutes), and topics keep records for {longest} days: a group that is stopped for longer \
                         consumes old records again, which takes time and changes no output"
                    ),
                );
            }
            if name == "message.max.bytes" && number_of(&value) < BROKER_BYTES {
                report(
                    false,
                    format!(
                        "the brokers accept records of at most {value} bytes, and records may have {BROKER_BYTES}; raise \
                         message.max.bytes"
                    ),
                );
            }
        }
        Ok(found)
    }

    /// Returns the entries of the topics' configurations: name and value. Topics whose configuration may not
    /// be read are skipped.
    async fn topic_configs(
        &self,
        specs: &[StreamSpec],
    ) -> Result<Vec<(StreamSpec, String, String)>, LogError> {
        if specs.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<String> = specs.iter().map(|spec| self.shared.settings.topic(spec.name)).collect();
        let resources: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
        let results = self.admin_client()?.describe_configs(&resources, &AdminOptions::new()).await;
        let results =
            results.map_err(|error| self.shared.health.error("reading topics' settings", &error))?;
        let mut all = Vec::new();
        for (spec, result) in specs.iter().zip(results) {
            let Ok(config) = result else { continue };
            all.extend(config.entries.into_iter().filter_map(|e| Some((*spec, e.name, e.value?))));
        }
        Ok(all)
    }

    /// Returns the entries of a broker's configuration: name and value.
    async fn broker_configs(&self) -> Result<Vec<(String, String)>, LogError> {
        let id = self
            .request("reading the brokers".into(), &self.shared.uncommitted, |consumer| {
                let metadata = consumer.fetch_metadata(None, Duration::from_secs(5))?;
                Ok(metadata.brokers().first().map(MetadataBroker::id))
            })
            .await?;
        let Some(id) = id else { return Ok(Vec::new()) };
        let results = self
            .admin_client()?
            .describe_configs(&[ResourceSpecifier::Broker(id)], &AdminOptions::new())
            .await;
        let results =
            results.map_err(|error| self.shared.health.error("reading the brokers' settings", &error))?;
        let entries = results.into_iter().flatten().flat_map(|config| config.entries);
        Ok(entries.filter_map(|entry| Some((entry.name, entry.value?))).collect())
    }
}

/// Parses a number; anything else counts as unlimited.
fn number_of(text: &str) -> usize {
    text.parse().unwrap_or(usize::MAX)
}

/// Returns the `kafka-acls.sh` commands that grant a principal what Millrace needs, and as comments those for
/// programs that produce uploads and notifications.
#[must_use]
pub fn acls(graph: &Topology, settings: &Settings, principal: &str) -> Vec<String> {
    let tool =
        format!("kafka-acls.sh --bootstrap-server {} --add --allow-principal {principal}", settings.brokers);
    let mut lines = Vec::new();
    for spec in &graph.streams {
        let topic = settings.topic(spec.name);
        lines.push(format!(
            "{tool} --topic '{topic}' --operation Read --operation Write --operation Describe --operation DescribeConfigs"
        ));
    }
    for group in graph.processors.iter().map(ProcessorSpec::group).chain([group_of("reader")]) {
        lines.push(format!(
            "{tool} --group '{}' --operation Read --operation Describe",
            settings.group(&group)
        ));
    }
    let id = &settings.application;
    lines.push(format!(
        "{tool} --transactional-id '{id}-' --resource-pattern-type prefixed --operation Write --operation Describe"
    ));
    lines.push(format!("{tool} --cluster --operation DescribeConfigs --operation Describe"));
    lines.push(format!("# for 'millrace topology --apply' alone:\n{tool} --cluster --operation Create"));
    lines.push(
        "# for programs that upload or notify, each with a principal of its own: these topics alone. A program that may write to \
         others, such as 'accepted', can act as Millrace itself."
            .into(),
    );
    let producers = format!(
        "kafka-acls.sh --bootstrap-server {} --add --allow-principal User:PRODUCER",
        settings.brokers
    );
    for spec in streams::FOR_PRODUCERS {
        let topic = settings.topic(spec.name);
        lines.push(format!("# {producers} --topic '{topic}' --operation Write --operation Describe"));
    }
    lines
}
