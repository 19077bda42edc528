//! The settings `[[watch]]`: what is watched, and what is made of it.

use std::{collections::HashMap, ffi::OsStr, os::unix::ffi::OsStrExt as _, time::Duration};

use millrace_access::{Purpose, Reach};
use millrace_processors::trigger::rules::Rule;
use millrace_schemas::Upload;
use millrace_storage::Location;
use serde::Deserialize;

use crate::{
    error::CommandError,
    order::{Order, SEGMENT_TIME_SECONDS, named_profile},
    shell::watch::Folder,
};

/// What is watched: a prefix of a bucket whose store sends notifications, or a folder.
///
/// The fields of [`Order`] stand here by themselves: `serde(flatten)` would lose the line and the key in errors.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Watch {
    /// The URL or path of the folder that is watched.
    from: String,
    /// The URL or path of the folder for outputs, which keep their source's path below `from`.
    to: String,
    /// The names of the formats to make; empty for mp4.
    #[serde(default)]
    formats: Vec<String>,
    /// The name of a profile, or its file; in place of formats.
    profile: Option<String>,
    /// The length of a segment in seconds.
    #[serde(default = "segment_time_seconds")]
    segment_time_seconds: f64,
    /// The endings of names that match; empty for those of all media files.
    #[serde(default)]
    suffixes: Vec<String>,
    /// The smallest size that matches, in bytes.
    #[serde(default)]
    min_bytes: i64,
    /// The largest size that matches, in bytes.
    max_bytes: Option<i64>,
    /// The labels of uploads.
    #[serde(default)]
    labels: HashMap<String, String>,
    /// Whether output files of other sources are replaced.
    #[serde(default)]
    overwrite: bool,
    /// Whether a source with warnings fails.
    #[serde(default)]
    strict: bool,
    /// Whether outputs say where the source was recorded.
    #[serde(default)]
    keep_location: bool,
    /// How long a file in a folder must not change until it counts as whole, in seconds.
    #[serde(default = "settle_seconds")]
    settle_seconds: f64,
    /// How often a folder is listed, in seconds. Changes that the system reports are found at once.
    #[serde(default = "poll_seconds")]
    poll_seconds: f64,
}

fn segment_time_seconds() -> f64 {
    SEGMENT_TIME_SECONDS
}
fn settle_seconds() -> f64 {
    2.0
}
fn poll_seconds() -> f64 {
    5.0
}

impl Watch {
    /// Parses `FROM=TO`, the argument of `--watch`.
    ///
    /// # Errors
    /// If one of them is no URL and no path, or `FROM` ends within a component.
    pub(crate) fn parse(argument: &OsStr) -> Result<Self, CommandError> {
        let wrong =
            |reason: &str| CommandError::Call(format!("--watch {}: {reason}", argument.to_string_lossy()));
        let bytes = argument.as_bytes();
        let Some(at) = bytes.iter().position(|byte| *byte == b'=') else {
            return Err(wrong("FROM=TO is wanted, such as s3://videos/in/=s3://videos/out"));
        };
        let (from, to) = (OsStr::from_bytes(&bytes[..at]), OsStr::from_bytes(&bytes[at + 1..]));
        // As URLs, so that bytes that are not UTF-8 are kept.
        Ok(Self {
            from: watched_location(from).map_err(|reason| wrong(&reason))?.folder_url(),
            to: Location::of_argument(to).map_err(|error| wrong(&error.to_string()))?.folder_url(),
            formats: Vec::new(),
            profile: None,
            segment_time_seconds: SEGMENT_TIME_SECONDS,
            suffixes: Vec::new(),
            min_bytes: 0,
            max_bytes: None,
            labels: HashMap::new(),
            overwrite: false,
            strict: false,
            keep_location: false,
            settle_seconds: settle_seconds(),
            poll_seconds: poll_seconds(),
        })
    }

    /// Returns how the sources are to be transcoded.
    fn order(&self) -> Order {
        Order {
            formats: self.formats.clone(),
            profile: self.profile.clone(),
            segment_time: self.segment_time_seconds,
            overwrite: self.overwrite,
            strict: self.strict,
            keep_location: self.keep_location,
        }
    }

    /// Returns the rule, with its locations parsed.
    pub(super) fn rule(&self) -> Result<Rule, CommandError> {
        let wrong = |reason: String| CommandError::Call(format!("watch: {reason}"));
        let from = watched_location(self.from.as_ref()).map_err(wrong)?;
        let to = Location::of_argument(self.to.as_ref()).map_err(|error| wrong(error.to_string()))?;
        Reach::Everything.check(Purpose::Output, &to).map_err(|refusal| wrong(refusal.to_string()))?;
        let profile = self.profile.as_deref().map(named_profile).transpose()?;
        Ok(Rule {
            suffixes: self.suffixes.iter().map(|suffix| suffix.to_lowercase()).collect(),
            min_bytes: self.min_bytes,
            max_bytes: self.max_bytes.unwrap_or(i64::MAX),
            upload: Upload { labels: self.labels.clone(), profile, ..self.order().unchecked_upload() },
            ..Rule::new(from, to)
        })
    }

    /// Returns the folder that is watched; `None` if it is in a bucket.
    pub(super) fn folder(&self) -> Result<Option<Folder>, CommandError> {
        let Location::File { path, .. } = self.rule()?.from else { return Ok(None) };
        let seconds = |name: &str, value: f64| {
            Duration::try_from_secs_f64(value)
                .map_err(|_| CommandError::Call(format!("watch: {name} takes seconds, 0 or more")))
        };
        let settle = seconds("settle_seconds", self.settle_seconds)?;
        let poll = seconds("poll_seconds", self.poll_seconds.max(0.1))?;
        Ok(Some(Folder { path, settle, poll }))
    }
}

/// Parses the folder, bucket or prefix that is to be watched.
///
/// Locations are matched by whole components. A text that seems to end within one, such as `s3://videos/in/2026-`, is refused: it
/// would silently match nothing.
fn watched_location(text: &OsStr) -> Result<Location, String> {
    let location = Location::of_argument(text).map_err(|error| error.to_string())?;
    if matches!(location, Location::Web(_)) {
        return Err(format!(
            "{location} can't be watched: web servers report nothing and have no lists of files; submit each source by its URL"
        ));
    }
    let is_partial = matches!(location, Location::Object { .. })
        && location.name().is_some()
        && text.as_bytes().last().is_some_and(|last| b"-_.=*".contains(last));
    match location.parent() {
        Some(parent) if is_partial => Err(format!(
            "{location} seems to be the beginning of a name, and what is watched is whole folders: watch {}, or {} if a folder has \
             that name",
            parent.folder_url(),
            location.folder_url()
        )),
        _ => Ok(location),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn watch(argument: &[u8]) -> Result<Config, CommandError> {
        Ok(Config { watch: vec![Watch::parse(OsStr::from_bytes(argument))?], ..Config::default() })
    }

    #[test]
    fn what_is_watched_is_a_rule_with_parsed_locations() {
        let text = "[[watch]]\nfrom = 's3://videos/in put/'\nto = '/mnt/nas/out'\nformats = ['mp4', 'flv']\nsuffixes = ['.MOV']";
        let config = toml::from_str::<Config>(text).unwrap();
        let rules = config.rules().unwrap();
        assert_eq!(
            (rules[0].from.url().as_str(), rules[0].to.url().as_str()),
            ("s3://videos/in%20put", "file:///mnt/nas/out")
        );
        assert_eq!(rules[0].suffixes, [".mov"]);
        assert!(config.folders().unwrap().is_empty());
    }

    #[test]
    fn a_folder_is_watched_by_its_path_or_its_url_and_its_name_need_not_be_utf_8() {
        for (named, from, path) in [
            (&b"/mnt/in=/mnt/out"[..], "file:///mnt/in/", &b"/mnt/in"[..]),
            (b"file:///mnt/in put=/mnt/out", "file:///mnt/in%20put/", b"/mnt/in put"),
            (b"/mnt/\xe9/=/mnt/out", "file:///mnt/%E9/", b"/mnt/\xe9"),
            (b"/mnt/2026-=/mnt/out", "file:///mnt/2026-/", b"/mnt/2026-"),
            (b"/=/mnt/out", "file:///", b"/"),
        ] {
            let config = watch(named).unwrap();
            assert_eq!(config.rules().unwrap()[0].from.folder_url(), from);
            assert_eq!(config.folders().unwrap()[0].path, Path::new(OsStr::from_bytes(path)));
        }
    }

    #[test]
    fn what_can_not_be_watched_is_refused() {
        for wrong in [
            "/mnt/in",
            "s3://b/in/=s3://b",
            "http://x/=s3://b/out",
            "s3://b/in/=http://x/out",
            "s3://b/../x=s3://b/out",
        ] {
            assert!(watch(wrong.as_bytes()).and_then(|config| config.rules()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_ends_within_a_component_is_refused_with_what_to_write() {
        let named = |from: &str| {
            let text = format!("[[watch]]\nfrom = '{from}'\nto = 's3://out/x'");
            toml::from_str::<Config>(&text).unwrap().rules().map_err(|error| error.to_string())
        };
        for from in ["s3://b/in/2026-", "s3://b/in/cam_", "gs://b/in/day=", "s3://b/in/*", "s3://b/in/a."] {
            let (location, whole) = (Location::parse(from).unwrap(), format!("{from}/"));
            let (folder, url) = (location.parent().unwrap().folder_url(), location.folder_url());
            let said = named(from).unwrap_err();
            assert!(said.contains(&format!("watch {folder}, or {url} if a folder")), "{said}");
            // With a slash at its end it is one that a folder has.
            assert!(named(&whole).is_ok(), "{whole}");
        }
        assert!(
            watch(b"s3://b/in/2026-=s3://out/x").is_err() && watch(b"s3://b/in/2026-/=s3://out/x").is_ok()
        );
    }
}
