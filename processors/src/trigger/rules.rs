//! Rules: which sources are transcoded, and how. Pure.
//!
//! Locations are compared by whole components, never as text: a rule for `s3://videos/in` does not match `s3://videos/inner/a.mov`.

use millrace_access::{Location, LocationError};
use millrace_profiles::Catalog;
use millrace_schemas::{SourceRef, Upload};

use crate::request;

/// The label of uploads that a rule made. Its value is the URL of the watched bucket, prefix or folder, with a slash at its end.
pub const LABEL: &str = "millrace.watch";

/// A watched bucket, prefix or folder, and how its sources are transcoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The bucket, prefix or folder. A prefix ends with a whole component.
    pub from: Location,
    /// The endings of file names that match, in lower case. Empty for those of all media files ([`SUFFIXES`]).
    pub suffixes: Vec<String>,
    /// The smallest size that matches, in bytes.
    pub min_bytes: i64,
    /// The largest size that matches, in bytes.
    pub max_bytes: i64,
    /// The bucket, prefix or folder for outputs. They keep their source's path below `from`.
    pub to: Location,
    /// The uploads that it makes, but for their source, their output prefix and the label [`LABEL`].
    pub upload: Upload,
}

/// The extensions of media files.
pub const SUFFIXES: [&str; 40] = [
    "mp4", "m4v", "mov", "qt", "mkv", "webm", "flv", "avi", "ts", "m2ts", "mts", "mpg", "mpeg", "vob", "wmv",
    "asf", "3gp", "3g2", "ogv", "ogg", "mxf", "dv", "f4v", "rm", "rmvb", "wtv", "nut", "ivf", "m4a", "mp3",
    "aac", "wav", "flac", "opus", "aiff", "aif", "wma", "amr", "ac3", "mka",
];

/// Returns whether a path or URL has the extension of a media file and is not hidden (its name does not begin with a dot).
#[must_use]
pub fn is_media(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    let extension = last.rsplit_once('.').map(|(_, extension)| extension.to_lowercase());
    !last.starts_with('.') && extension.is_some_and(|extension| SUFFIXES.contains(&extension.as_str()))
}

impl Rule {
    /// A rule that makes uploads with default settings of all media files of any size beneath `from`.
    #[must_use]
    pub fn new(from: Location, to: Location) -> Self {
        Self { from, suffixes: Vec::new(), min_bytes: 0, max_bytes: i64::MAX, to, upload: Upload::of("", "") }
    }

    /// The rule of [`Rule::new`] between these two URLs.
    ///
    /// # Errors
    /// If one of the URLs names no location.
    pub fn parse(from: &str, to: &str) -> Result<Self, LocationError> {
        Ok(Self::new(Location::parse(from)?, Location::parse(to)?))
    }

    /// Returns whether the rule matches a source at this location, whatever its size.
    #[must_use]
    pub fn matches(&self, source: &Location) -> bool {
        // A file at `from` itself is not in the folder `from`.
        if source.parts_below(&self.from).is_none_or(|parts| parts.is_empty()) {
            return false;
        }
        let name = source.name().unwrap_or_default().to_string_lossy();
        if self.suffixes.is_empty() {
            return is_media(&name);
        }
        let lower = name.to_lowercase();
        !name.starts_with('.') && self.suffixes.iter().any(|suffix| lower.ends_with(suffix))
    }

    fn fits_size(&self, bytes: i64) -> bool {
        (self.min_bytes..=self.max_bytes).contains(&bytes)
    }

    /// Returns the URL of the prefix of a source's outputs: `to`, and the source's folders below `from`.
    fn output_prefix(&self, source: &Location) -> String {
        let parts = source.parts_below(&self.from).unwrap_or_default();
        let folders = parts.split_last().map_or(&[][..], |(_, folders)| folders);
        let url = self.to.url_below(folders);
        url.strip_suffix('/').map_or(url.clone(), str::to_owned)
    }
}

/// Returns whether any rule matches a source at this location. Locations of outputs never match.
#[must_use]
pub fn any_matches(rules: &[Rule], source: &Location) -> bool {
    !is_output(rules, source) && rules.iter().any(|rule| rule.matches(source))
}

/// Returns whether a location is below the outputs of any rule.
fn is_output(rules: &[Rule], source: &Location) -> bool {
    rules.iter().any(|rule| source.is_beneath(&rule.to))
}

/// Returns the uploads of a source, one for each rule that matches it. `found` is `None` if the source could not be looked up; its
/// execution then fails with the reason.
#[must_use]
pub fn uploads(rules: &[Rule], source: &Location, found: Option<&SourceRef>) -> Vec<Upload> {
    if is_output(rules, source) {
        return Vec::new();
    }
    let url = source.url();
    let matches =
        |rule: &&Rule| rule.matches(source) && found.is_none_or(|source| rule.fits_size(source.bytes));
    rules
        .iter()
        .filter(matches)
        .map(|rule| {
            let mut upload = Upload {
                source: Some(url.clone()),
                version: found.map(|source| source.version.clone()),
                output_prefix: rule.output_prefix(source),
                ..rule.upload.clone()
            };
            upload.labels.insert(LABEL.into(), rule.from.folder_url());
            upload
        })
        .collect()
}

/// Checks that rules are valid together, with these profiles.
///
/// # Errors
/// If one is not, with what to change.
pub fn check(rules: &[Rule], profiles: &Catalog) -> Result<(), String> {
    for rule in rules {
        let pinned = request::pin_profile(rule.upload.clone(), profiles);
        pinned
            .map_err(|error| format!("profile: {error}"))
            .and_then(|upload| request::wanted(&upload))
            .map_err(|reason| format!("the watch of {}: {reason}", rule.from))?;
        request::segment_time(rule.upload.segment_time_seconds)?;
        if rule.min_bytes > rule.max_bytes {
            return Err(format!(
                "the watch of {} matches no size: min_bytes is more than max_bytes",
                rule.from
            ));
        }
        if let Some(suffix) = rule.suffixes.iter().find(|suffix| suffix.is_empty() || suffix.contains('/')) {
            return Err(format!(
                "the watch of {} has the suffix '{suffix}'; a suffix is the ending of a file's name, such as .mov",
                rule.from
            ));
        }
        if let Some(other) = rules.iter().find(|other| rule.from.is_beneath(&other.to)) {
            return Err(format!(
                "{} is watched, and outputs go to {}: they would be among the watched sources; give them a prefix of their own",
                rule.from, other.to
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(from: &str, to: &str) -> Rule {
        Rule::parse(from, to).unwrap()
    }

    fn at(url: &str) -> Location {
        Location::parse(url).unwrap()
    }

    fn source(url: &str, bytes: i64) -> SourceRef {
        SourceRef { url: url.into(), version: "v".into(), bytes }
    }

    #[test]
    fn outputs_keep_the_path_below_the_watched_prefix() {
        let prefix = |from: &str, url: &str| rule(from, "s3://out/x/").output_prefix(&at(url));
        assert_eq!(prefix("s3://b/in/", "s3://b/in/2026/11/a.mov"), "s3://out/x/2026/11");
        assert_eq!(prefix("s3://b/in", "s3://b/in/2026/11/a.mov"), "s3://out/x/2026/11");
        assert_eq!(prefix("s3://b/in/", "s3://b/in/a.mov"), "s3://out/x");
        assert_eq!(prefix("s3://b/", "s3://b/a.mov"), "s3://out/x");
        assert_eq!(prefix("file:///nas/in/", "file:///nas/in/t%20x/a.mov"), "s3://out/x/t%20x");
        assert_eq!(rule("s3://b/in", "s3://out").output_prefix(&at("s3://b/in/a.mov")), "s3://out");
    }

    #[test]
    fn a_watched_prefix_is_whole_components_with_or_without_a_slash_at_the_end() {
        for from in ["s3://b/in/vid", "s3://b/in/vid/"] {
            let rule = rule(from, "s3://out");
            for url in ["s3://b/in/vid/x.mov", "s3://b/in/vid/deep/er/x.mov"] {
                assert!(rule.matches(&at(url)), "{from} {url}");
            }
            for url in
                ["s3://b/in/videos/x.mov", "s3://b/in/vid.mov", "s3://b/in/x.mov", "gs://b/in/vid/x.mov"]
            {
                assert!(!rule.matches(&at(url)), "{from} {url}");
            }
        }
        assert!(!rule("s3://b/in/a.mov", "s3://out").matches(&at("s3://b/in/a.mov")), "a folder holds files");
    }

    #[test]
    fn a_key_is_compared_as_it_is_however_its_url_is_written() {
        let rule = rule("s3://b/in put", "s3://out");
        assert_eq!(rule.from, at("s3://b/in%20put/"));
        assert!(rule.matches(&at("s3://b/in%20put/a.mov")) && rule.matches(&at("s3://b/in put/a.mov")));
    }

    #[test]
    fn prefix_suffix_and_size_decide_together() {
        let all = [Rule {
            suffixes: vec![" é.mov".into(), "b.mov".into()],
            min_bytes: 10,
            max_bytes: 20,
            ..rule("s3://b/in/", "s3://b/out")
        }];
        let asked = |url: &str, bytes: i64| uploads(&all, &at(url), Some(&source(url, bytes))).len();
        assert_eq!(asked("s3://b/in/ab.MOV", 10), 1);
        assert_eq!(
            asked("s3://b/in/a%20%C3%A9.mov", 20),
            1,
            "the name's own characters, not those of its URL"
        );
        for (url, bytes) in [
            ("s3://b/in/ab.mov", 9),
            ("s3://b/in/ab.mov", 21),
            ("s3://b/in/ab.mp4", 10),
            ("s3://b/in/a.mov", 10),
            ("s3://b/inner/ab.mov", 10),
            ("s3://b/in/.ab.mov", 10),
            ("s3://c/in/ab.mov", 10),
        ] {
            assert_eq!(asked(url, bytes), 0, "{url} {bytes}");
        }
        for suffix in ["", "raw/a.mov"] {
            let wrong = Rule { suffixes: vec![suffix.into()], ..rule("s3://b/in/", "s3://b/out") };
            assert!(check(&[wrong], &Catalog::default()).unwrap_err().contains("ending of a file's name"));
        }
    }

    #[test]
    fn media_files_are_known_by_their_endings() {
        assert!(is_media("a/B.MOV") && is_media("s3://b/%20.mp4"));
        assert!(!is_media("a/notes.txt") && !is_media("a/.x.mp4") && !is_media("mp4"));
    }

    #[test]
    fn two_rules_make_two_uploads() {
        let rules = [rule("s3://b/in/", "s3://b/out"), rule("s3://b/in/x", "s3://b/small")];
        let url = "s3://b/in/x/a.mov";
        let asked = uploads(&rules, &at(url), Some(&source(url, 5)));
        let prefixes: Vec<&str> = asked.iter().map(|upload| upload.output_prefix.as_str()).collect();
        assert_eq!(prefixes, ["s3://b/out/x", "s3://b/small"]);
        assert_eq!(asked[1].labels[LABEL], "s3://b/in/x/");
    }

    #[test]
    fn outputs_never_trigger() {
        let rules = [rule("s3://b/", "s3://b/out")];
        check(&rules, &Catalog::default()).unwrap();
        let any = |url: &str| any_matches(&rules, &at(url));
        assert!(any("s3://b/in/a.mov") && any("s3://b/outer/a.mov"));
        assert!(!any("s3://b/out/in/a.mp4"));
        assert!(uploads(&rules, &at("s3://b/out/a.mp4"), None).is_empty());
        for (from, to) in
            [("s3://b/in/", "s3://b/in"), ("s3://b/in/", "s3://b"), ("s3://b/in/x/", "s3://b/in/")]
        {
            assert!(check(&[rule(from, to)], &Catalog::default()).is_err(), "{from} {to}");
        }
        assert!(
            check(
                &[rule("s3://b/in/", "s3://b/out"), rule("s3://b/out/", "s3://b/more")],
                &Catalog::default()
            )
            .is_err(),
            "a ring"
        );
    }
}
