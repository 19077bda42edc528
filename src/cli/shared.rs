//! Flags that several commands have.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

use clap::{Args, ValueEnum};
use serde::{Serialize, Serializer, ser::Error as _};

/// The data folder.
#[derive(Debug, Args)]
pub(crate) struct Data {
    /// The folder of the log and the work objects
    ///
    /// By default millrace in the platform's state folder, such as ~/.local/state/millrace.
    #[arg(long = "data", value_name = "DIR", env = "MILLRACE_DATA")]
    pub(crate) folder: Option<PathBuf>,
}

/// A user's own profiles.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct OwnProfiles {
    /// A folder with profiles of yours: each NAME.toml in it is the profile NAME, and stands over one that ships under that name
    #[arg(long, value_name = "DIR", env = "MILLRACE_PROFILES")]
    pub(crate) profiles: Option<PathBuf>,
}

/// The keys by which packages are encrypted.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct KeyFiles {
    /// A file with the key NAME, by which a profile encrypts packages (16 bytes, or 32 hexadecimal digits); may be given several times.
    /// MILLRACE_KEYS_NAME can hold its digits instead
    #[arg(long = "key-file", value_name = "NAME=FILE", hide_short_help = true)]
    pub(crate) key_files: Vec<OsString>,
}

/// Where the log is: a cluster, or a data folder.
#[derive(Debug, Clone, Default, Args, Serialize)]
pub(crate) struct LogLocation {
    /// A TOML file with settings; variables and flags go over it
    #[arg(long, value_name = "FILE", env = "MILLRACE_CONFIG")]
    #[serde(skip)]
    pub(crate) config: Option<PathBuf>,
    /// Kafka: host and port of some brokers, with commas between; without them the log of the data folder is meant
    #[arg(long, value_name = "HOSTS", env = "MILLRACE_BROKERS")]
    pub(crate) brokers: Option<String>,
    /// The schema registry, by Confluent's API; without one schemas have fixed ids
    #[arg(long, value_name = "URL", env = "MILLRACE_SCHEMA_REGISTRY")]
    pub(crate) schema_registry: Option<String>,
    /// What the names of topics begin with
    #[arg(long, value_name = "TEXT", env = "MILLRACE_TOPIC_PREFIX", hide_short_help = true)]
    pub(crate) topic_prefix: Option<String>,
    /// What the names of consumer groups and transactional ids begin with [default: millrace]
    #[arg(long, value_name = "NAME", env = "MILLRACE_APPLICATION", hide_short_help = true)]
    pub(crate) application: Option<String>,
    /// The store that is meant where an upload names only a bucket: s3, gs or az [default: s3]
    #[arg(long, value_name = "SCHEME", env = "MILLRACE_DEFAULT_STORE", hide_short_help = true)]
    pub(crate) default_store: Option<String>,
    /// A property of librdkafka, as NAME=VALUE; may be given several times
    #[arg(long = "property", value_name = "NAME=VALUE", hide_short_help = true)]
    #[serde(rename = "kafka", serialize_with = "kafka_properties")]
    pub(crate) properties: Vec<String>,
    /// The folder of the log and the work objects, where there is no cluster
    ///
    /// By default millrace in the platform's state folder, such as ~/.local/state/millrace.
    #[arg(long, value_name = "DIR", env = "MILLRACE_DATA")]
    #[serde(skip)]
    pub(crate) data: Option<PathBuf>,
}

/// How media processes run.
#[derive(Debug, Clone, Copy, Default, Args, Serialize)]
pub(crate) struct Decoding {
    /// How media are decoded: in a sandbox with every layer that the machine has (on), only where it has all of them (require), or
    /// without one (off), where a crafted file may do whatever this program may [default: on]
    #[arg(long, value_name = "MODE", value_enum, env = "MILLRACE_SANDBOX")]
    pub(crate) sandbox: Option<Mode>,
    /// The longest that one task of a media process may take, whatever its source claims: a segment batch, a merge, an inspection.
    /// What takes longer fails [default: 172800]
    #[arg(
        long = "longest-task",
        value_name = "SECONDS",
        env = "MILLRACE_LONGEST_TASK_SECONDS",
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    pub(crate) longest_task_seconds: Option<f64>,
}

/// Whether media processes are sandboxed.
#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    On,
    Require,
    Off,
}

/// Serializes properties as the table `[kafka]` of the settings file.
fn kafka_properties<S: Serializer>(properties: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Kafka<'a> {
        properties: BTreeMap<&'a str, &'a str>,
    }
    let wrong = |property| S::Error::custom(format!("'{property}' is no property; write NAME=VALUE"));
    let split = properties.iter().map(|property| property.split_once('=').ok_or_else(|| wrong(property)));
    let properties = split.collect::<Result<_, _>>()?;
    Kafka { properties }.serialize(serializer)
}
