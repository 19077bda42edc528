//! Rules: which sources are made into what. Pure.

use std::collections::HashMap;

use millrace_access::Location;
use millrace_schemas::{SourceRef, Upload};

use crate::formats;

/// The label of an upload that a rule asked for: what is watched.
pub const LABEL: &str = "millrace.watch";

/// What is watched, and what is made of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The URL that sources' begin with: a prefix of a bucket, or a folder.
    pub from: String,
    /// Endings of names that are taken, in lower case; none are all media's.
    pub suffixes: Vec<String>,
    /// The least size that is taken, in bytes.
    pub min_bytes: i64,
    /// The greatest.
    pub max_bytes: i64,
    /// The URL below which outputs go. They keep the path below what is watched.
    pub to: String,
    /// The formats to make.
    pub formats: Vec<String>,
    /// Length of a segment in seconds.
    pub segment_time: f64,
    /// Carried through.
    pub labels: HashMap<String, String>,
    /// Whether output files that came from another source are replaced.
    pub overwrite: bool,
    /// Fail where a source is damaged.
    pub strict: bool,
    /// Let outputs say where a source was recorded.
    pub keep_location: bool,
}

/// Endings by which media are known where no others are named.
pub const SUFFIXES: [&str; 40] = [
    "mp4", "m4v", "mov", "qt", "mkv", "webm", "flv", "avi", "ts", "m2ts", "mts", "mpg", "mpeg", "vob", "wmv",
    "asf", "3gp", "3g2", "ogv", "ogg", "mxf", "dv", "f4v", "rm", "rmvb", "wtv", "nut", "ivf", "m4a", "mp3",
    "aac", "wav", "flac", "opus", "aiff", "aif", "wma", "amr", "ac3", "mka",
];

/// Whether a name is one of a media file that somebody put there.
#[must_use]
pub fn is_media(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    let extension = last.rsplit_once('.').map(|(_, extension)| extension.to_lowercase());
    !last.starts_with('.') && extension.is_some_and(|extension| SUFFIXES.contains(&extension.as_str()))
}

impl Rule {
    /// Whether a source of this URL is meant, whatever its size.
    #[must_use]
    pub fn meets(&self, url: &str) -> bool {
        // What is no location, or is written in another way than its one, meets nothing: `..` leads nowhere.
        if !Location::parse(url).is_ok_and(|location| location.url() == url) {
            return false;
        }
        let Some(below) = url.strip_prefix(&self.from) else { return false };
        let name = below.rsplit('/').next().unwrap_or(below);
        if name.is_empty() || name.starts_with('.') {
            return false;
        }
        if self.suffixes.is_empty() {
            return is_media(url);
        }
        let lower = url.to_lowercase();
        self.suffixes.iter().any(|suffix| lower.ends_with(suffix))
    }

    fn fits(&self, bytes: i64) -> bool {
        (self.min_bytes..=self.max_bytes).contains(&bytes)
    }

    /// Where outputs of a source go: below the rule's place, by the folders below what is watched.
    fn prefix(&self, url: &str) -> String {
        let watched = self.from.rfind('/').map_or("", |slash| &self.from[..=slash]);
        let below = url.strip_prefix(watched).unwrap_or(url);
        let folder = below.rfind('/').map_or("", |slash| &below[..slash]);
        let to = self.to.trim_end_matches('/');
        if folder.is_empty() { to.to_owned() } else { format!("{to}/{folder}") }
    }

    /// Whether a URL lies where this rule's outputs go.
    fn holds(&self, url: &str) -> bool {
        url.strip_prefix(self.to.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))
    }
}

/// Whether any rule is met by a source of this URL. What lies where outputs go never is.
#[must_use]
pub fn any_meets(rules: &[Rule], url: &str) -> bool {
    !rules.iter().any(|rule| rule.holds(url)) && rules.iter().any(|rule| rule.meets(url))
}

/// What is to be made of a source. One that could not be looked at is asked for all the same: it fails with the reason.
#[must_use]
pub fn uploads(rules: &[Rule], url: &str, found: Option<&SourceRef>) -> Vec<Upload> {
    if rules.iter().any(|rule| rule.holds(url)) {
        return Vec::new();
    }
    let meets = |rule: &&Rule| rule.meets(url) && found.is_none_or(|source| rule.fits(source.bytes));
    rules
        .iter()
        .filter(meets)
        .map(|rule| {
            let mut labels = rule.labels.clone();
            labels.insert(LABEL.into(), rule.from.clone());
            Upload {
                version: found.map(|source| source.version.clone()),
                dst_formats: rule.formats.clone(),
                segment_time_seconds: rule.segment_time,
                labels,
                overwrite: rule.overwrite,
                strict: rule.strict,
                keep_location: rule.keep_location,
                ..Upload::of(url, &rule.prefix(url))
            }
        })
        .collect()
}

/// Holds rules to be such that they can work.
///
/// # Errors
/// Where one can't, with what to change.
pub fn check(rules: &[Rule]) -> Result<(), String> {
    for rule in rules {
        for format in &rule.formats {
            formats::format(format)?;
        }
        formats::segment_time(rule.segment_time)?;
        if rule.formats.is_empty() {
            return Err(format!("the watch of {} asks for no format", rule.from));
        }
        if rule.min_bytes > rule.max_bytes {
            return Err(format!(
                "the watch of {} takes no size: min_bytes is more than max_bytes",
                rule.from
            ));
        }
        let watched = format!("{}/", rule.from.trim_end_matches('/'));
        if let Some(other) = rules.iter().find(|other| other.holds(&watched)) {
            return Err(format!(
                "{} is watched, and outputs go to {}: they would lie among what is watched; give them a prefix of their own",
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
        Rule {
            from: from.into(),
            suffixes: Vec::new(),
            min_bytes: 1,
            max_bytes: i64::MAX,
            to: to.into(),
            formats: vec!["mp4".into()],
            segment_time: 15.0,
            labels: HashMap::new(),
            overwrite: false,
            strict: false,
            keep_location: false,
        }
    }

    fn source(url: &str, bytes: i64) -> SourceRef {
        SourceRef { url: url.into(), version: "v".into(), bytes }
    }

    #[test]
    fn outputs_keep_the_path_below_what_is_watched() {
        let prefix = |from: &str, url: &str| rule(from, "s3://out/x/").prefix(url);
        assert_eq!(prefix("s3://b/in/", "s3://b/in/2026/11/a.mov"), "s3://out/x/2026/11");
        assert_eq!(prefix("s3://b/in/", "s3://b/in/a.mov"), "s3://out/x");
        assert_eq!(prefix("s3://b/in/vid", "s3://b/in/videos/a.mov"), "s3://out/x/videos");
        assert_eq!(prefix("s3://b/", "s3://b/a.mov"), "s3://out/x");
        assert_eq!(prefix("file:///nas/in/", "file:///nas/in/t%20x/a.mov"), "s3://out/x/t%20x");
    }

    #[test]
    fn prefix_suffix_and_size_decide_together() {
        let all = [Rule {
            suffixes: vec![".mov".into()],
            min_bytes: 10,
            max_bytes: 20,
            ..rule("s3://b/in/", "s3://b/out")
        }];
        let asked = |url: &str, bytes: i64| uploads(&all, url, Some(&source(url, bytes))).len();
        assert_eq!(asked("s3://b/in/a.MOV", 10), 1);
        for (url, bytes) in [
            ("s3://b/in/a.mov", 9),
            ("s3://b/in/a.mov", 21),
            ("s3://b/in/a.mp4", 10),
            ("s3://b/inner/a.mov", 10),
            ("s3://b/in/.a.mov", 10),
            ("s3://c/in/a.mov", 10),
        ] {
            assert_eq!(asked(url, bytes), 0, "{url} {bytes}");
        }
    }

    #[test]
    fn what_leads_out_of_what_is_watched_meets_no_rule() {
        let watched = rule("file:///watched/", "file:///out");
        assert!(watched.meets("file:///watched/x/a%20b.mov"));
        for url in [
            "file:///watched/../private/x.mov",
            "file:///watched/%2e%2e/private/x.mov",
            "file:///watched/..%2Fprivate/x.mov",
            "file:///watched//x.mov",
            "file://host/watched/x.mov",
        ] {
            assert!(!watched.meets(url), "{url}");
        }
    }

    #[test]
    fn media_files_are_known_by_their_endings() {
        assert!(is_media("a/B.MOV") && is_media("s3://b/%20.mp4"));
        assert!(!is_media("a/notes.txt") && !is_media("a/.x.mp4") && !is_media("mp4"));
    }

    #[test]
    fn two_rules_ask_for_two_things() {
        let rules = [rule("s3://b/in/", "s3://b/out"), rule("s3://b/in/x/", "s3://b/small")];
        let url = "s3://b/in/x/a.mov";
        let asked = uploads(&rules, url, Some(&source(url, 5)));
        let prefixes: Vec<&str> = asked.iter().map(|upload| upload.output_prefix.as_str()).collect();
        assert_eq!(prefixes, ["s3://b/out/x", "s3://b/small"]);
        assert_eq!(asked[1].labels[LABEL], "s3://b/in/x/");
    }

    #[test]
    fn outputs_never_trigger() {
        let rules = [rule("s3://b/", "s3://b/out")];
        check(&rules).unwrap();
        assert!(any_meets(&rules, "s3://b/in/a.mov") && any_meets(&rules, "s3://b/outer/a.mov"));
        assert!(!any_meets(&rules, "s3://b/out/in/a.mp4"));
        assert!(uploads(&rules, "s3://b/out/a.mp4", None).is_empty());
        for (from, to) in
            [("s3://b/in/", "s3://b/in"), ("s3://b/in/", "s3://b"), ("s3://b/in/x/", "s3://b/in/")]
        {
            assert!(check(&[rule(from, to)]).is_err(), "{from} {to}");
        }
        assert!(
            check(&[rule("s3://b/in/", "s3://b/out"), rule("s3://b/out/", "s3://b/more")]).is_err(),
            "a ring"
        );
    }
}
