//! Settings: from a file, which variables and flags override.

mod access;
mod keys;
mod layers;
mod watch;

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use millrace_access::{Access, Principal, Reach};
use millrace_api::Tokens;
use millrace_kafka::{Guarantee, Settings};
use millrace_media::Sandbox;
use millrace_processors::{
    cleanup::RETRY_WINDOW_MS,
    request::Catalog,
    trigger::rules::{self, Rule},
};
use millrace_storage::{Location, Scheme, Stores, WorkStore};
use millrace_worker::{DEFAULT_STORE, MediaProcessSettings};
use serde::Deserialize;

use crate::{
    cli::{LogLocation, OwnProfiles, ProfileLookup},
    error::CommandError,
    profile_file::read_catalog,
    shell::{data::DataFolder, watch::Folder},
};
use access::{AccessConfig, output_reach, reach};
use keys::Secret;
pub(crate) use keys::keys;
use layers::{Flags, merge};
pub(crate) use watch::Watch;

/// The settings file. Unknown keys are an error.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Host and port of some brokers, with commas between; without them the log is a file of the data folder.
    pub(crate) brokers: Option<String>,
    /// The schema registry's URL.
    pub(crate) schema_registry: Option<String>,
    /// What topics' names begin with.
    pub(crate) topic_prefix: Option<String>,
    /// What the names of groups and transactional ids begin with.
    pub(crate) application: Option<String>,
    /// The name of a process among its like.
    pub(crate) instance: Option<String>,
    /// `exactly-once` or `at-least-once`.
    #[serde(default)]
    pub(crate) guarantee: DeliveryGuarantee,
    /// The data folder.
    pub(crate) data: Option<PathBuf>,
    /// Where work objects lie.
    pub(crate) work: Option<String>,
    /// Where `serve` answers HTTP.
    pub(crate) listen: Option<String>,
    /// Names, beside this machine's own, by which it is called on loopback.
    #[serde(default)]
    pub(crate) allowed_hosts: Vec<String>,
    /// How many cores to use.
    pub(crate) jobs: Option<NonZeroUsize>,
    /// The processors to run.
    pub(crate) processors: Option<Vec<String>>,
    /// For how long what was begun may go on after the first signal, in seconds.
    pub(crate) grace_seconds: Option<f64>,
    /// For how long a failed execution's work objects are kept, in seconds.
    pub(crate) retry_window_seconds: Option<f64>,
    /// The scheme of the store that is meant where only a bucket is named: `s3`, `gs` or `az`.
    pub(crate) default_store: Option<String>,
    /// A file of tokens, a line each: whoever calls over HTTP must show one.
    pub(crate) token_file: Option<PathBuf>,
    /// How media are decoded: `on`, `require` or `off`.
    #[serde(default)]
    pub(crate) sandbox: Sandbox,
    /// The longest that one task of a media process may take, in seconds.
    pub(crate) longest_task_seconds: Option<f64>,
    /// The folder of profiles that uploads may name, beside those that ship.
    pub(crate) profiles: Option<PathBuf>,
    /// Where uploads of the default principal may read: folders and URLs.
    #[serde(default)]
    pub(crate) source_roots: Vec<String>,
    /// Where they may write.
    #[serde(default)]
    pub(crate) output_roots: Vec<String>,
    /// Who else there is, and what each may reach and do.
    #[serde(default)]
    pub(crate) access: AccessConfig,
    /// What is watched, and what is made of it.
    #[serde(default)]
    pub(crate) watch: Vec<Watch>,
    /// What is Kafka's.
    #[serde(default)]
    pub(crate) kafka: KafkaConfig,
    /// The keys by which packages are encrypted, by name.
    #[serde(default)]
    pub(crate) keys: BTreeMap<String, Secret>,
}

/// What is Kafka's.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KafkaConfig {
    /// Properties of librdkafka.
    #[serde(default)]
    properties: BTreeMap<String, Property>,
    /// Numbers of partitions, by stream.
    #[serde(default)]
    partitions: BTreeMap<String, u32>,
}

/// A property's value, as TOML has it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Property {
    Text(String),
    Number(i64),
    Switch(bool),
}

impl std::fmt::Display for Property {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
            Self::Switch(on) => on.fmt(f),
        }
    }
}

/// How often a record's results may appear on a cluster, if processes crash.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum DeliveryGuarantee {
    #[default]
    ExactlyOnce,
    AtLeastOnce,
}

impl Config {
    /// Reads the settings file that `log` names, and overrides it with `log` and further flags.
    ///
    /// # Errors
    /// If the file can't be read, has an unknown key or a value of the wrong type.
    pub(crate) fn load(log: &LogLocation, flags: &[&dyn Flags]) -> Result<Self, CommandError> {
        let text = log.config.as_deref().map(Self::read).transpose()?.unwrap_or_default();
        let mut config: Self = merge(&text, &[&[log as &dyn Flags], flags].concat())?;
        // A path need not be UTF-8, as the values of layers are.
        config.data = log.data.clone().or(config.data);
        Ok(config)
    }

    /// Returns the defaults, overridden by flags.
    pub(crate) fn of_flags(flags: &dyn Flags) -> Result<Self, CommandError> {
        Self::load(&LogLocation::default(), &[flags])
    }

    /// Reads a settings file, and checks it: the errors say the line.
    fn read(path: &Path) -> Result<String, CommandError> {
        let wrong =
            |error: &dyn std::fmt::Display| CommandError::Call(format!("{}: {error}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
        toml::from_str::<Self>(&text).map_err(|error| wrong(&keys::describe(&error, &text)))?;
        Ok(text)
    }

    /// Returns the scheme of the store for uploads that name only a bucket.
    pub(crate) fn default_store(&self) -> Result<&str, CommandError> {
        let named = self.default_store.as_deref().unwrap_or(DEFAULT_STORE);
        if Scheme::named(named).is_none() {
            return Err(CommandError::Call(format!("no store is named '{named}'; there are s3, gs and az")));
        }
        Ok(named)
    }

    /// Returns the profiles that can be named, as they are now.
    pub(crate) fn catalog(&self) -> Result<Catalog, CommandError> {
        read_catalog(self.profiles.as_deref()).map_err(CommandError::Call)
    }

    /// Returns the settings' folder of profiles, which flags override.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub(crate) fn profile_folder(lookup: &ProfileLookup) -> Result<Option<PathBuf>, CommandError> {
        let location = LogLocation { config: lookup.config.clone(), ..LogLocation::default() };
        Ok(Self::load(&location, &[])?.with_profiles(&lookup.own).profiles)
    }

    /// Returns the settings with the folder of profiles that a flag names, if it does.
    pub(crate) fn with_profiles(self, flag: &OwnProfiles) -> Self {
        // A path need not be UTF-8, as the values of layers are.
        Self { profiles: flag.profiles.clone().or(self.profiles), ..self }
    }

    /// Returns the rules of what is watched.
    pub(crate) fn rules(&self) -> Result<Vec<Rule>, CommandError> {
        let found = self.watch.iter().map(Watch::rule).collect::<Result<Vec<_>, _>>()?;
        rules::check(&found, &self.catalog()?).map_err(CommandError::Call)?;
        Ok(found)
    }

    /// Returns the folders that are watched.
    pub(crate) fn folders(&self) -> Result<Vec<Folder>, CommandError> {
        let found = self.watch.iter().map(Watch::folder).collect::<Result<Vec<_>, _>>()?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Returns how to connect to the cluster; `None` if none is named.
    pub(crate) fn kafka(&self) -> Option<Settings> {
        let of = Settings::new(self.brokers.as_deref()?);
        Some(Settings {
            properties: self
                .kafka
                .properties
                .iter()
                .map(|(name, value)| (name.clone(), value.to_string()))
                .collect(),
            topic_prefix: self.topic_prefix.clone().unwrap_or_default(),
            application: self.application.clone().unwrap_or(of.application),
            instance: self.instance.clone(),
            guarantee: match self.guarantee {
                DeliveryGuarantee::ExactlyOnce => Guarantee::ExactlyOnce,
                DeliveryGuarantee::AtLeastOnce => Guarantee::AtLeastOnce,
            },
            partitions: self.kafka.partitions.clone(),
            schema_registry: self.schema_registry.clone(),
            ..Settings::new(self.brokers.as_deref()?)
        })
    }

    /// Returns how media processes run.
    ///
    /// # Errors
    /// If the longest task is shorter than a second.
    pub(crate) fn media_processes(&self) -> Result<MediaProcessSettings, CommandError> {
        let sandbox = self.sandbox;
        let Some(seconds) = self.longest_task_seconds else {
            return Ok(MediaProcessSettings { sandbox, ..MediaProcessSettings::default() });
        };
        let longest_task = Duration::try_from_secs_f64(seconds).ok().filter(|longest| longest.as_secs() > 0);
        let longest_task = longest_task
            .ok_or_else(|| CommandError::Call("--longest-task takes seconds, 1 or more".into()))?;
        Ok(MediaProcessSettings { sandbox, longest_task })
    }

    /// Returns who may reach and do what. The default principal may reach the roots and what is watched.
    pub(crate) fn access(&self) -> Result<Access, CommandError> {
        let mut sources = reach("--source-root", &self.source_roots)?;
        let mut outputs = output_reach("--output-root", &self.output_roots)?;
        for rule in self.rules()? {
            sources.add(rule.from);
            outputs.add(rule.to);
        }
        let access = self.access.with_default(Principal::default_of(sources, outputs))?;
        access
            .principal(&self.access.kafka)
            .map_err(|error| CommandError::Call(format!("access.kafka: {error}")))?;
        Ok(access)
    }

    /// Returns who may reach and do what in an operator's own commands: the default principal may reach everything.
    pub(crate) fn operator_access(&self) -> Result<Access, CommandError> {
        self.access.with_default(Principal::default_of(Reach::Everything, Reach::Everything))
    }

    /// Returns the tokens of callers over HTTP, each with its principal.
    pub(crate) fn tokens(&self) -> Result<Tokens, CommandError> {
        self.access.tokens(self.token_file.as_deref())
    }

    /// Returns for how long a failed execution's work objects are kept, in milliseconds.
    pub(crate) fn retry_window_ms(&self) -> Result<i64, CommandError> {
        let window = seconds("retry-window", self.retry_window_seconds, RETRY_WINDOW_MS as f64 / 1000.0)?;
        Ok(i64::try_from(window.as_millis()).unwrap_or(i64::MAX))
    }

    /// Returns the URL of the work objects: that of the settings, or a folder of the data folder.
    ///
    /// # Errors
    /// If the log is a cluster's and no URL is set: every process must see the same work objects.
    pub(crate) fn work_url(&self) -> Result<String, CommandError> {
        match (&self.work, &self.brokers) {
            (Some(url), _) => Ok(url.clone()),
            (None, Some(_)) => Err(CommandError::Call(
                "with --brokers, --work is needed: a URL that every process sees, such as s3://bucket/work or file:///mnt/work".into(),
            )),
            (None, None) => millrace_storage::url_of(&DataFolder::find(self.data.as_deref())?.work())
                .map_err(CommandError::failed),
        }
    }

    /// Returns the work objects at [`Self::work_url`].
    pub(crate) fn work_objects(&self, stores: &Stores) -> Result<WorkStore, CommandError> {
        WorkStore::at(&self.work_url()?, stores)
            .map_err(|error| CommandError::Call(format!("--work: {error}")))
    }

    /// Returns where the work objects and the data folder are: uploads may neither read nor write there.
    pub(crate) fn reserved_locations(&self) -> Result<Vec<Location>, CommandError> {
        let work = Location::parse(&self.work_url()?);
        let mut reserved = vec![work.map_err(|error| CommandError::Call(format!("--work: {error}")))?];
        if self.brokers.is_none() {
            reserved.extend(DataFolder::find(self.data.as_deref())?.location());
        }
        Ok(reserved)
    }
}

/// Returns a duration that a flag sets, or `default` seconds.
pub(crate) fn seconds(flag: &str, value: Option<f64>, default: f64) -> Result<Duration, CommandError> {
    Duration::try_from_secs_f64(value.unwrap_or(default))
        .map_err(|_| CommandError::Call(format!("--{flag} takes seconds, 0 or more")))
}

/// Returns how many cores to use: `jobs`, or else all of this machine.
pub(crate) fn cores(jobs: Option<NonZeroUsize>) -> usize {
    jobs.map_or_else(|| thread::available_parallelism().map_or(1, usize::from), usize::from)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use serde_json::json;

    use super::*;
    use crate::cli::{Cli, Command, Decoding, Serve};

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let error = toml::from_str::<Config>("broker = 'b:9092'").unwrap_err().to_string();
        assert!(error.contains("broker"), "{error}");
        assert!(toml::from_str::<Config>("[kafka]\nporperties = {}").is_err());
    }

    #[test]
    fn the_longest_task_is_two_days_unless_the_settings_or_over_them_a_flag_say_otherwise() {
        let longest = |text: &str, flag: Option<f64>| {
            let decoding = Decoding { longest_task_seconds: flag, ..Decoding::default() };
            let media = merge::<Config>(text, &[&decoding]).unwrap().media_processes();
            media.map(|media| media.longest_task.as_secs()).map_err(|error| error.to_string())
        };
        assert_eq!(longest("", None), Ok(48 * 3600));
        assert_eq!(longest("longest_task_seconds = 7200", None), Ok(7200));
        assert_eq!(longest("longest_task_seconds = 7200", Some(3600.0)), Ok(3600));
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(longest("", Some(wrong)).unwrap_err().contains("1 or more"), "{wrong}");
        }
    }

    #[test]
    fn the_settings_of_the_debian_package_are_settings_also_those_that_are_commented_out() {
        let shipped = include_str!("../deploy/debian/millrace.toml");
        let config = toml::from_str::<Config>(shipped).unwrap();
        assert_eq!(config.data.as_deref(), Some(Path::new("/var/lib/millrace")));
        let is_example =
            |line: &&str| line.starts_with(|c: char| c.is_ascii_lowercase() || "[\"".contains(c));
        let examples: Vec<&str> =
            shipped.lines().map(|line| line.strip_prefix('#').unwrap_or(line)).filter(is_example).collect();
        let all = toml::from_str::<Config>(&examples.join("\n")).unwrap();
        assert_eq!(all.watch.len(), 1);
        assert_eq!(all.kafka().unwrap().properties["security.protocol"], "sasl_ssl");
    }

    fn serve(arguments: &[&str]) -> Box<Serve> {
        match Cli::parse_from([&["millrace", "serve"][..], arguments].concat()).command {
            Command::Serve(serve) => serve,
            _ => unreachable!(),
        }
    }

    #[test]
    fn flags_replace_values_and_add_to_lists_of_the_file() {
        let file = "brokers = 'a:1'\napplication = 'media'\ngrace_seconds = 5\njobs = 2\nsandbox = 'require'\n\
                    processors = ['split', 'merge']\nsource_roots = ['/a']\n[kafka.properties]\nx = 1\n'y.z' = true";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("millrace.toml");
        std::fs::write(&path, file).unwrap();
        let load = |arguments: &[&str]| {
            let call = serve(&[&["--config", path.to_str().unwrap()], arguments].concat());
            Config::load(&call.log, &[&*call, &call.decoding])
        };
        let plain = load(&[]).unwrap();
        assert_eq!(plain.brokers.as_deref(), Some("a:1"));
        assert_eq!((plain.grace_seconds, cores(plain.jobs)), (Some(5.0), 2));
        let over = load(&[
            "--brokers=b:2",
            "--grace=7.5",
            "--jobs=3",
            "--sandbox=off",
            "--processors=transcode",
            "--source-root=/b,/c",
            "--property=x=2",
            "--property=w=a=b",
            "--data=/d",
            "--retry-window=1",
            "--work=file:///w",
        ])
        .unwrap();
        assert_eq!((over.brokers.as_deref(), over.application.as_deref()), (Some("b:2"), Some("media")));
        assert_eq!((over.grace_seconds, cores(over.jobs), over.sandbox), (Some(7.5), 3, Sandbox::Off));
        assert_eq!(over.processors.as_ref().unwrap(), &["transcode"], "replaced");
        assert_eq!(over.source_roots, ["/a", "/b", "/c"], "added");
        assert_eq!((over.data.as_deref(), over.work.as_deref()), (Some(Path::new("/d")), Some("file:///w")));
        assert_eq!(over.retry_window_ms().unwrap(), 1000);
        let properties = over.kafka().unwrap().properties;
        for (name, value) in [("x", "2"), ("y.z", "true"), ("w", "a=b")] {
            assert_eq!(properties[name], value, "{name}");
        }
        let said = load(&["--property=alone"]).unwrap_err().to_string();
        assert_eq!(said, "'alone' is no property; write NAME=VALUE");
        std::fs::write(&path, "jobs = 2\ngrace = 5").unwrap();
        let said = load(&[]).unwrap_err().to_string();
        assert!(said.contains("line 2") && said.contains("unknown field `grace`"), "{said}");
        assert!(said.starts_with(path.to_str().unwrap()), "{said}");
    }

    #[test]
    fn every_flag_that_is_a_setting_serializes_to_its_key() {
        let serve = serve(&[]);
        let Command::Cleanup(cleanup) = Cli::parse_from(["millrace", "cleanup"]).command else {
            unreachable!()
        };
        let all = [json!(serve), json!(serve.log), json!(serve.decoding), json!(cleanup)];
        let keys: Vec<String> =
            all.iter().flat_map(|flags| flags.as_object().unwrap().keys().cloned()).collect();
        assert!(keys.len() > 18, "{keys:?}");
        for key in keys {
            let set = toml::from_str::<Config>(&format!("{key} = 0"));
            let is_known = set.map_or_else(|error| !error.to_string().contains("unknown field"), |_| true);
            assert!(is_known, "{key}");
        }
    }

    #[test]
    fn a_cluster_is_what_the_file_says_of_it() {
        let text = "brokers = 'b:9092'\nguarantee = 'at-least-once'\napplication = 'media'\n[kafka.partitions]\nsegments = 48\n\
                    [kafka.properties]\n'session.timeout.ms' = 30000\n'socket.keepalive.enable' = false";
        let settings = toml::from_str::<Config>(text).unwrap().kafka().unwrap();
        assert_eq!(settings.guarantee, Guarantee::AtLeastOnce);
        assert_eq!(settings.partitions["segments"], 48);
        assert_eq!(settings.properties["session.timeout.ms"], "30000");
        assert_eq!(settings.properties["socket.keepalive.enable"], "false");
        assert_eq!(settings.group("millrace-split"), "media-split");
    }
}
