//! What is watched, as the settings say it.

use std::{collections::HashMap, ffi::OsStr, os::unix::ffi::OsStrExt as _, path::Path};

use millrace_processors::trigger::rules::Rule;
use millrace_storage::{Location, LocationError, as_url, object_url, path_of, url_of};
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
    pub(crate) fn of(argument: &OsStr) -> Result<Self, CommandError> {
        let wrong =
            |reason: &str| CommandError::Call(format!("--watch {}: {reason}", argument.to_string_lossy()));
        let bytes = argument.as_bytes();
        let Some(at) = bytes.iter().position(|byte| *byte == b'=') else {
            return Err(wrong("FROM=TO is wanted, such as s3://videos/in/=s3://videos/out"));
        };
        // As URLs, so that what is not UTF-8 is kept.
        let url = |bytes| plain_url(OsStr::from_bytes(bytes)).map_err(|reason| wrong(&reason));
        Ok(Self {
            from: url(&bytes[..at])?,
            to: url(&bytes[at + 1..])?,
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
        let url = |text: &str| {
            plain_url(text.as_ref()).map_err(|reason| CommandError::Call(format!("watch: {reason}")))
        };
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
        let Ok(path) = path_of(&self.rule()?.from) else { return Ok(None) };
        let seconds = |name: &str, value: f64| {
            std::time::Duration::try_from_secs_f64(value)
                .map_err(|_| CommandError::Call(format!("watch: {name} takes seconds, 0 or more")))
        };
        let settle = seconds("settle_seconds", self.settle_seconds)?;
        let poll = seconds("poll_seconds", self.poll_seconds.max(0.1))?;
        Ok(Some(Folder { path, settle, poll }))
    }
}

/// The URL that a URL or a path names, encoded as sources' URLs are, so that one begins with the other where it does; with its
/// last slash.
fn plain_url(text: &OsStr) -> Result<String, String> {
    let plain = || -> Result<String, LocationError> {
        let Some(url) = as_url(text) else { return url_of(Path::new(text)) };
        match Location::parse(&url)? {
            Location::File { path, .. } => url_of(&path),
            Location::Object { scheme, bucket, key, .. } => Ok(object_url(scheme, &bucket, &key)),
        }
    };
    let url = plain().map_err(|error| error.to_string())?;
    let slash = if text.as_bytes().ends_with(b"/") && !url.ends_with('/') { "/" } else { "" };
    Ok(url + slash)
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
        let folder =
            Config { watch: vec![Watch::of("/mnt/in=/mnt/out".as_ref()).unwrap()], ..Config::default() };
        assert_eq!(folder.rules().unwrap()[0].from, "file:///mnt/in/");
        assert_eq!(folder.folders().unwrap()[0].path, Path::new("/mnt/in/"));
        // The same folder, by its URL; and one whose name is not UTF-8.
        for (named, from, path) in [
            (&b"file:///mnt/in put=/mnt/out"[..], "file:///mnt/in%20put/", &b"/mnt/in put/"[..]),
            (b"/mnt/\xe9/=/mnt/out", "file:///mnt/%E9/", b"/mnt/\xe9/"),
            (b"/=/mnt/out", "file:///", b"/"),
        ] {
            let watch = Watch::of(OsStr::from_bytes(named)).unwrap();
            assert_eq!(watch.rule().unwrap().from, from);
            assert_eq!(watch.folder().unwrap().unwrap().path, Path::new(OsStr::from_bytes(path)));
        }
        for wrong in ["/mnt/in", "s3://b/in/=s3://b", "http://x/=s3://b/out"] {
            let watch =
                Watch::of(wrong.as_ref()).map(|watch| Config { watch: vec![watch], ..Config::default() });
            assert!(watch.and_then(|config| config.rules()).is_err(), "{wrong}");
        }
    }
}
