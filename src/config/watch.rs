//! What is watched, as the settings say it.

use std::{collections::HashMap, path::Path};

use millrace_processors::trigger::rules::Rule;
use serde::Deserialize;

use crate::{commands::CommandError, shell::watch::Folder};

/// What is watched: a prefix of a bucket, of which its store's notifications tell, or a folder.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Watch {
    /// A URL, or a folder's path.
    from: String,
    /// A URL, or a folder's path: outputs keep the path below what is watched.
    to: String,
    /// The formats to make.
    #[serde(default)]
    formats: Vec<String>,
    /// Length of a segment.
    #[serde(default = "segment_time")]
    segment_time_seconds: f64,
    /// Endings of names that are taken; none are all media's.
    #[serde(default)]
    suffixes: Vec<String>,
    /// The least size.
    #[serde(default)]
    min_bytes: i64,
    /// The greatest size.
    max_bytes: Option<i64>,
    /// Carried through.
    #[serde(default)]
    labels: HashMap<String, String>,
    /// Replace output files that came from another source.
    #[serde(default)]
    overwrite: bool,
    /// Fail where a source is damaged.
    #[serde(default)]
    strict: bool,
    /// Let outputs say where a source was recorded.
    #[serde(default)]
    keep_location: bool,
    /// Of a folder: how long a file must stay as it is until it counts as whole.
    #[serde(default = "settle")]
    settle_seconds: f64,
    /// Of a folder: how often it is looked at; where the system tells of changes, also at once.
    #[serde(default = "poll")]
    poll_seconds: f64,
}

fn segment_time() -> f64 {
    15.0
}
fn settle() -> f64 {
    2.0
}
fn poll() -> f64 {
    5.0
}

impl Watch {
    /// As `--watch FROM=TO` says it.
    pub(crate) fn of(text: &str) -> Result<Self, CommandError> {
        let Some((from, to)) = text.split_once('=') else {
            return Err(CommandError::Call(format!(
                "--watch {text}: FROM=TO is wanted, such as s3://videos/in/=s3://videos/out"
            )));
        };
        Ok(Self {
            from: from.into(),
            to: to.into(),
            formats: Vec::new(),
            segment_time_seconds: segment_time(),
            suffixes: Vec::new(),
            min_bytes: 0,
            max_bytes: None,
            labels: HashMap::new(),
            overwrite: false,
            strict: false,
            keep_location: false,
            settle_seconds: settle(),
            poll_seconds: poll(),
        })
    }

    /// The rule, with URLs as sources' are.
    pub(super) fn rule(&self) -> Result<Rule, CommandError> {
        let url =
            |text: &str| plain_url(text).map_err(|reason| CommandError::Call(format!("watch: {reason}")));
        let mut from = url(&self.from)?;
        if from.starts_with("file:") && !from.ends_with('/') {
            from.push('/');
        }
        Ok(Rule {
            from,
            suffixes: self.suffixes.iter().map(|suffix| suffix.to_lowercase()).collect(),
            min_bytes: self.min_bytes,
            max_bytes: self.max_bytes.unwrap_or(i64::MAX),
            to: url(&self.to)?,
            formats: if self.formats.is_empty() { vec!["mp4".into()] } else { self.formats.clone() },
            segment_time: self.segment_time_seconds,
            labels: self.labels.clone(),
            overwrite: self.overwrite,
            strict: self.strict,
            keep_location: self.keep_location,
        })
    }

    /// The folder, if it is one.
    pub(super) fn folder(&self) -> Result<Option<Folder>, CommandError> {
        let Ok(path) = millrace_storage::path_of(&self.rule()?.from) else { return Ok(None) };
        let seconds = |name: &str, value: f64| {
            std::time::Duration::try_from_secs_f64(value)
                .map_err(|_| CommandError::Call(format!("watch: {name} takes seconds, 0 or more")))
        };
        let settle = seconds("settle_seconds", self.settle_seconds)?;
        let poll = seconds("poll_seconds", self.poll_seconds.max(0.1))?;
        Ok(Some(Folder { path, settle, poll }))
    }
}

/// A URL with its key encoded as everywhere, so that one begins with the other where it does; with its last slash.
fn plain_url(text: &str) -> Result<String, String> {
    let url = if text.contains("://") {
        text.to_owned()
    } else {
        let url = millrace_storage::url_of(Path::new(text)).map_err(|error| error.to_string())?;
        if text.ends_with('/') { format!("{}/", url.trim_end_matches('/')) } else { url }
    };
    match millrace_storage::Location::parse(&url).map_err(|error| error.to_string())? {
        millrace_storage::Location::File(_) => Ok(url),
        millrace_storage::Location::Object { scheme, bucket, key } => {
            let last = if url.ends_with('/') && !key.is_root() { "/" } else { "" };
            Ok(format!("{}{last}", millrace_storage::object_url(scheme, &bucket, key.as_ref())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn what_is_watched_is_a_rule_with_plain_urls() {
        let text = "[[watch]]\nfrom = 's3://videos/in put/'\nto = '/mnt/nas/out'\nformats = ['mp4', 'flv']\nsuffixes = ['.MOV']";
        let config = toml::from_str::<Config>(text).unwrap();
        let rules = config.rules().unwrap();
        assert_eq!(
            (rules[0].from.as_str(), rules[0].to.as_str()),
            ("s3://videos/in%20put/", "file:///mnt/nas/out")
        );
        assert_eq!(rules[0].suffixes, [".mov"]);
        assert!(config.folders().unwrap().is_empty());
        let folder = Config { watch: vec![Watch::of("/mnt/in=/mnt/out").unwrap()], ..Config::default() };
        assert_eq!(folder.rules().unwrap()[0].from, "file:///mnt/in/");
        assert_eq!(folder.folders().unwrap()[0].path, Path::new("/mnt/in/"));
        for wrong in ["/mnt/in", "s3://b/in/=s3://b", "http://x/=s3://b/out"] {
            let watch = Watch::of(wrong).map(|watch| Config { watch: vec![watch], ..Config::default() });
            assert!(watch.and_then(|config| config.rules()).is_err(), "{wrong}");
        }
    }
}
