//! Flags that several commands have.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use millrace_media::Sandbox;

use crate::{commands::CommandError, config::Config, shell::sandbox::MediaProcesses};

#[derive(Debug, Args)]
pub(crate) struct Data {
    /// The folder of the log and the work objects
    ///
    /// By default millrace in the platform's state folder, such as ~/.local/state/millrace.
    #[arg(long = "data", value_name = "DIR", env = "MILLRACE_DATA")]
    pub(crate) folder: Option<PathBuf>,
}

/// Where the log is: a cluster, or a data folder.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Place {
    /// A TOML file with settings; variables and flags go over it
    #[arg(long, value_name = "FILE", env = "MILLRACE_CONFIG")]
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
    pub(crate) properties: Vec<String>,
    /// The folder of the log and the work objects, where there is no cluster
    ///
    /// By default millrace in the platform's state folder, such as ~/.local/state/millrace.
    #[arg(long, value_name = "DIR", env = "MILLRACE_DATA")]
    pub(crate) data: Option<PathBuf>,
}

/// The box around media.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct Decoding {
    /// How media are decoded: in a sandbox with every layer that the machine has (on), only where it has all of them (require), or
    /// without one (off), where a crafted file may do whatever this program may [default: on]
    #[arg(long, value_name = "MODE", value_enum, env = "MILLRACE_SANDBOX")]
    pub(crate) sandbox: Option<Mode>,
    /// The longest that one task of a media process may take, whatever its source claims: a segment batch, a merge, an inspection.
    /// What takes longer fails [default: 172800]
    #[arg(
        long,
        value_name = "SECONDS",
        env = "MILLRACE_LONGEST_TASK_SECONDS",
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    pub(crate) longest_task: Option<f64>,
}

impl Decoding {
    /// How media processes run: by these flags, over the settings.
    pub(crate) fn over(self, config: &Config) -> Result<MediaProcesses, CommandError> {
        let sandbox = self.sandbox.map_or(config.sandbox, |mode| match mode {
            Mode::On => Sandbox::On,
            Mode::Require => Sandbox::Require,
            Mode::Off => Sandbox::Off,
        });
        let Some(seconds) = self.longest_task.or(config.longest_task_seconds) else {
            return Ok(MediaProcesses { sandbox, ..MediaProcesses::default() });
        };
        let longest_task = Duration::try_from_secs_f64(seconds).ok().filter(|longest| longest.as_secs() > 0);
        let longest_task = longest_task
            .ok_or_else(|| CommandError::Call("--longest-task takes seconds, 1 or more".into()))?;
        Ok(MediaProcesses { sandbox, longest_task })
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Mode {
    On,
    Require,
    Off,
}

/// What is to be taken care of.
#[derive(Debug, Args)]
pub(crate) struct Care {
    /// Fail where there is anything to warn of in a source (damage, a track that is left out, a clock that drifts), in place of
    /// making what can be made of it and saying what is wrong
    #[arg(long)]
    pub(crate) strict: bool,
    /// Let outputs say where the source was recorded, if it does
    #[arg(long)]
    pub(crate) keep_location: bool,
}
