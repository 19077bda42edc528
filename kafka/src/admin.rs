//! Topics: made as the graph has them, and compared with it.

use std::fmt;

use millrace_runtime::{LARGEST_VALUE, LogError};
use millrace_topology::{Keyed, Kind, ProcessorSpec, StreamSpec, Topology, group_of, streams};
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    error::RDKafkaErrorCode,
};

use crate::{
    Kafka,
    client::{Context, cluster_error},
    settings::Settings,
};

const DAY_MS: i64 = 24 * 3600 * 1000;
/// A dead letter is the record that it was, with headers, however large the broker took that.
const DEAD_BYTES: usize = 3_000_000;
/// What a broker takes by default, Kafka's `message.max.bytes`.
const BROKER_BYTES: usize = 1_048_588;

/// What differs between a cluster and the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Whether Millrace can't work like that.
    pub is_fatal: bool,
    /// What differs, and what to do.
    pub text: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_fatal { "error: " } else { "warning: " })?;
        f.write_str(&self.text)
    }
}

/// The configuration that a stream's topic is made with: Kafka's names and values.
fn wanted(spec: &StreamSpec) -> Vec<(&'static str, String)> {
    let mut all = match spec.kind {
        Kind::Table => vec![("cleanup.policy", "compact".to_owned())],
        Kind::Stream => vec![
            ("cleanup.policy", "delete".to_owned()),
            ("retention.ms", (i64::from(spec.retention.days) * DAY_MS).to_string()),
        ],
    };
    // The brokers' clock tells when something came, not whoever sent it: deadlines and times to live count by it.
    all.push(("message.timestamp.type", "LogAppendTime".to_owned()));
    if spec.name == streams::DEAD_LETTERS.name {
        all.push(("max.message.bytes", DEAD_BYTES.to_string()));
    }
    all
}

/// Whether the number of partitions may grow: of a stream whose keys must stay where they are it may not.
fn may_grow(spec: &StreamSpec) -> bool {
    ![streams::TRANSCODED.name, streams::ASSEMBLIES.name, streams::CONTROLS.name].contains(&spec.name)
}

impl Kafka {
    fn admin(&self) -> Result<AdminClient<Context>, LogError> {
        let settings = &self.shared.settings;
        settings
            .admin()
            .create_with_context(Context::new(self.shared.health.clone()))
            .map_err(|error| cluster_error("administering", &error))
    }

    /// Makes the topics that are not there; says which it made.
    ///
    /// # Errors
    /// [`LogError::Partitions`] where one is there with a number of partitions that can't be; [`LogError::Cluster`] where the
    /// cluster does not let it.
    pub async fn apply(&self, specs: &[StreamSpec]) -> Result<Vec<String>, LogError> {
        let known = self.metadata(None).await?;
        let settings = &self.shared.settings;
        let mut made = Vec::new();
        let missing: Vec<_> = specs.iter().filter(|s| !known.contains_key(&settings.topic(s.name))).collect();
        let configs: Vec<_> = missing.iter().map(|spec| wanted(spec)).collect();
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
            let options = AdminOptions::new().operation_timeout(Some(std::time::Duration::from_secs(30)));
            let results = self.admin()?.create_topics(&topics, &options).await;
            for result in results.map_err(|error| self.shared.health.error("making topics", &error))? {
                match result {
                    Ok(name) => made.push(name),
                    // Somebody else was quicker.
                    Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                    Err((name, code)) => {
                        let error = rdkafka::error::KafkaError::AdminOp(code);
                        return Err(cluster_error(&format!("making the topic {name}"), &error));
                    }
                }
            }
            self.until_known(&names).await?;
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
        Ok(made)
    }

    /// Waits until the brokers know what was made.
    async fn until_known(&self, names: &[String]) -> Result<(), LogError> {
        loop {
            let known = self.metadata(None).await?;
            if names.iter().all(|name| known.contains_key(name)) {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// What differs between the cluster and the graph.
    ///
    /// # Errors
    /// Where the cluster does not answer.
    pub async fn check(&self, graph: &Topology) -> Result<Vec<Difference>, LogError> {
        let known = self.metadata(None).await?;
        let settings = &self.shared.settings;
        let mut found = Vec::new();
        let mut tell = |is_fatal, text: String| found.push(Difference { is_fatal, text });
        let mut there = Vec::new();
        for spec in &graph.streams {
            let (topic, expected) = (settings.topic(spec.name), settings.partitions_of(spec));
            match known.get(&topic) {
                None => tell(
                    true,
                    format!("the topic '{topic}' is missing; 'millrace topology --apply' makes it"),
                ),
                Some(count) if !may_grow(spec) && *count != expected => tell(
                    true,
                    format!(
                        "the topic '{topic}' has {count} partitions and must have {expected}: its keys would be looked for in \
                         other partitions than those they are in; give it back its number, or use a new topic_prefix"
                    ),
                ),
                Some(count) if *count < expected => tell(
                    true,
                    format!(
                        "the topic '{topic}' has {count} partitions, and {expected} are wanted; add some"
                    ),
                ),
                Some(_) => there.push(*spec),
            }
        }
        for (spec, name, value) in self.configs(&there).await? {
            let topic = settings.topic(spec.name);
            for (key, asked) in wanted(&spec).iter().filter(|(key, _)| *key == name) {
                let number = |text: &str| text.parse::<i64>().ok();
                let fine = match (number(&value), number(asked)) {
                    (Some(has), Some(asked)) => has < 0 || has >= asked,
                    _ => value == *asked,
                };
                if !fine {
                    let is_fatal = *key == "cleanup.policy";
                    tell(is_fatal, format!("the topic '{topic}' has {key}={value}, and {asked} is wanted"));
                }
            }
            let most = number_of(&value);
            if name == "max.message.bytes" && most < LARGEST_VALUE && spec.name != streams::DEAD_LETTERS.name
            {
                tell(
                    false,
                    format!(
                        "the topic '{topic}' takes records of {most} bytes, and {LARGEST_VALUE} may come"
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
                tell(
                    false,
                    format!(
                        "the brokers keep offsets for {days} days after a group's last member left \
                         (offsets.retention.minutes), and topics are kept for {longest}: a group that rests for longer consumes \
                         them again, which costs looks and changes nothing"
                    ),
                );
            }
            if name == "message.max.bytes" && number_of(&value) < BROKER_BYTES {
                tell(
                    false,
                    format!("the brokers take records of {value} bytes, and {BROKER_BYTES} may come"),
                );
            }
        }
        Ok(found)
    }

    /// The configuration of topics, entry by entry.
    async fn configs(&self, specs: &[StreamSpec]) -> Result<Vec<(StreamSpec, String, String)>, LogError> {
        if specs.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<String> = specs.iter().map(|spec| self.shared.settings.topic(spec.name)).collect();
        let asked: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
        let told = self.admin()?.describe_configs(&asked, &AdminOptions::new()).await;
        let told = told.map_err(|error| self.shared.health.error("reading topics' settings", &error))?;
        let mut all = Vec::new();
        for (spec, one) in specs.iter().zip(told) {
            // Whoever may not read settings goes without.
            let Ok(one) = one else { continue };
            all.extend(one.entries.into_iter().filter_map(|e| Some((*spec, e.name, e.value?))));
        }
        Ok(all)
    }

    async fn broker_configs(&self) -> Result<Vec<(String, String)>, LogError> {
        let id = self
            .ask("reading the brokers".into(), &self.shared.uncommitted, |consumer| {
                use rdkafka::consumer::Consumer as _;
                let found = consumer.fetch_metadata(None, std::time::Duration::from_secs(5))?;
                Ok(found.brokers().first().map(rdkafka::metadata::MetadataBroker::id))
            })
            .await?;
        let Some(id) = id else { return Ok(Vec::new()) };
        let told =
            self.admin()?.describe_configs(&[ResourceSpecifier::Broker(id)], &AdminOptions::new()).await;
        let told = told.map_err(|error| self.shared.health.error("reading the brokers' settings", &error))?;
        let entries = told.into_iter().flatten().flat_map(|one| one.entries);
        Ok(entries.filter_map(|entry| Some((entry.name, entry.value?))).collect())
    }
}

fn number_of(text: &str) -> usize {
    text.parse().unwrap_or(usize::MAX)
}

/// The lines by which Kafka's own `kafka-acls.sh` lets a principal do what Millrace does, and nothing else; and, as comments, what
/// those need who produce uploads and notifications.
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
        "# for programs that upload or notify, each with a principal of its own: these topics alone. Whoever may write to others, \
         such as 'accepted', speaks for Millrace itself."
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

impl Settings {
    /// How many partitions a stream's topic is to have.
    #[must_use]
    pub fn partitions_of(&self, spec: &StreamSpec) -> u32 {
        self.partitions.get(spec.name).copied().unwrap_or(spec.partitions)
    }

    /// Whether these are partitions that the graph can have.
    pub(crate) fn check_partitions(&self) -> Result<(), LogError> {
        let refused = |reason| Err(LogError::Cluster { doing: "reading its settings".into(), reason });
        for (name, count) in &self.partitions {
            if !streams::ALL.iter().any(|spec| spec.name == name) {
                return refused(format!("there is no stream '{name}'"));
            }
            if !(1..=10_000).contains(count) {
                return refused(format!("{name} can't have {count} partitions; 1 to 10000 can be"));
            }
        }
        if self.partitions_of(&streams::TRANSCODED) != self.partitions_of(&streams::ASSEMBLIES) {
            let both = format!("{} and {}", streams::TRANSCODED.name, streams::ASSEMBLIES.name);
            return refused(format!("{both} must have the same number of partitions"));
        }
        debug_assert!(streams::ALL.iter().all(|spec| spec.keyed == Keyed::ByKey || may_grow(spec)));
        Ok(())
    }
}
