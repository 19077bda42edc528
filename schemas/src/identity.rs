//! How executions, renditions and outputs are named: by hashes of what they are made of.

mod keys;
mod settings;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{SourceRef, Upload};

pub use keys::{KeyError, RenditionId, RenditionKind, WorkKey, WorkPrefix};
pub use settings::{Encoders, canonical_text, rendition_id};

/// What a key's characters are in a URL: all but the unreserved of RFC 3986, and the slash.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Joins parts so that no two lists of parts give the same text.
fn hash(parts: &[&str]) -> String {
    hash_of(parts)
}

/// A hash of these texts, in their order.
#[must_use]
pub fn hash_of<P: AsRef<[u8]>>(parts: &[P]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        let part = part.as_ref();
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().to_hex()[..HASH_DIGITS].to_owned()
}

/// How many hexadecimal digits a hash has.
const HASH_DIGITS: usize = 16;

/// Returns whether a text has the form of [`hash_of`]'s.
fn is_hash(text: &str) -> bool {
    text.len() == HASH_DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns the digest of a track with one more work object: the wrapping sum of each object's digest × (2 × index + 1), so that it
/// says which objects there are, and which segment each belongs to.
#[must_use]
pub fn add_digest(sum: i64, digest: i64, index: i32) -> i64 {
    sum.wrapping_add(digest.wrapping_mul(2 * i64::from(index) + 1))
}

/// The execution that an upload asks for: its principal, and its name, or else its source at its version, settings and destination.
///
/// A redelivered upload is the same execution. The attempt and `overwrite` are not part of it: a new attempt goes on
/// with what an earlier one made.
#[must_use]
pub fn execution_id(upload: &Upload, source: &SourceRef) -> String {
    let first = first_id(upload, source);
    match &upload.replay {
        Some(replay) => hash(&["replay", replay, &first]),
        None => first,
    }
}

/// The execution that it is, or that it repeats.
fn first_id(upload: &Upload, source: &SourceRef) -> String {
    // A principal's executions are apart from all others', also those of the same name. The default principal's keep the ids
    // that they had before there were principals.
    let principal = Some(upload.principal.as_str()).filter(|principal| !principal.is_empty());
    if let Some(name) = &upload.name {
        return match principal {
            Some(principal) => hash(&["principal", principal, "name", name]),
            None => hash(&["name", name]),
        };
    }
    let time = upload.segment_time_seconds.to_bits().to_string();
    let mut formats: Vec<&str> = upload.dst_formats.iter().map(String::as_str).collect();
    formats.sort_unstable();
    formats.dedup();
    let mut parts = principal.map_or_else(Vec::new, |principal| vec!["principal", principal]);
    parts.extend(["source", &source.url, &source.version, &time, &upload.output_prefix]);
    parts.extend(formats);
    // Behind the formats, and only where they are asked for: others keep the ids that they had.
    parts.extend(upload.strict.then_some("strict"));
    parts.extend(upload.keep_location.then_some("location"));
    if let Some(profile) = &upload.profile {
        parts.extend(["profile", profile]);
    }
    hash(&parts)
}

/// What an output file carries, so that a later execution can tell where the file came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// A hash of the source's URL.
    pub source: String,
    /// A hash of the source's version and of all that shapes the file.
    pub content: String,
}

impl Fingerprint {
    /// The fingerprint of one format of a source, made of these renditions.
    #[must_use]
    pub fn new(source: &SourceRef, format: &str, renditions: &[&str]) -> Self {
        let mut parts = vec!["content", &source.url, &source.version, format];
        parts.extend(renditions);
        Self { source: hash(&["origin", &source.url]), content: hash(&parts) }
    }

    /// As it stands in a file's comment.
    #[must_use]
    pub fn mark(&self) -> String {
        format!("millrace {} {}", self.source, self.content)
    }

    /// Reads it from a file's comment; `None` where the file is not Millrace's.
    #[must_use]
    pub fn read(comment: &str) -> Option<Self> {
        let mut words = comment.split(' ');
        let (Some("millrace"), Some(source), Some(content), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return None;
        };
        Some(Self { source: source.into(), content: content.into() })
    }

    /// Finds it in a line of text, whatever is around it.
    #[must_use]
    pub fn find(line: &str) -> Option<Self> {
        let (_, rest) = line.split_once("millrace ")?;
        let is_digest = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mut words = rest.split(' ').filter(|word| !word.is_empty()).take_while(is_digest);
        Some(Self { source: words.next()?.into(), content: words.next()?.into() })
    }
}

/// The URL of an object, by its store's scheme, its bucket and its key as they are.
#[must_use]
pub fn object_url(scheme: &str, bucket: &str, key: &str) -> String {
    format!("{scheme}://{bucket}/{}", utf8_percent_encode(key, ENCODED))
}

/// The URL of an upload's source. Where it names a bucket and a key, `store` is the scheme of the store that is meant.
///
/// # Errors
/// Where it names none.
pub fn source_url(upload: &Upload, store: &str) -> Result<String, String> {
    match (&upload.source, &upload.oss_bucket_name, &upload.video_key) {
        (Some(url), None, None) => Ok(url.clone()),
        (None, Some(bucket), Some(key)) => Ok(object_url(store, bucket, key)),
        _ => Err("an upload names its source by 'source', or by 'oss_bucket_name' and 'video_key'".into()),
    }
}

/// Where an upload's outputs go: its prefix where that is a URL, else a prefix in the bucket of its source.
///
/// # Errors
/// Where the source is in no bucket, and so the prefix must be a URL.
pub fn output_prefix(upload: &Upload, source: &str) -> Result<String, String> {
    let prefix = &upload.output_prefix;
    if prefix.contains("://") {
        return Ok(prefix.clone());
    }
    let bucket = source.split_once("://").filter(|(scheme, _)| !["file", "http", "https"].contains(scheme));
    let bucket = bucket.and_then(|(scheme, rest)| Some((scheme, rest.split('/').next()?)));
    let (scheme, bucket) = bucket.ok_or_else(|| {
        format!("output_prefix '{prefix}' is in no bucket, since the source is in none: give a URL, such as file:///mnt/out")
    })?;
    Ok(object_url(scheme, bucket, prefix.trim_matches('/')))
}

/// Returns a source's name without its extension, as its URL has it: the last path segment up to its last dot. The query of a URL
/// of a web server is no part of it.
#[must_use]
pub fn source_stem(source: &str) -> &str {
    let is_web = source.starts_with("http://") || source.starts_with("https://");
    let path = source.split_once('?').filter(|_| is_web).map(|(path, _)| path);
    let source = path.unwrap_or(source);
    let name = source.rsplit('/').next().unwrap_or(source);
    match name.rfind('.') {
        Some(dot) if dot > 0 => &name[..dot],
        _ => name,
    }
}

/// Returns a text as a URL's path has it.
#[must_use]
pub fn path_encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> SourceRef {
        SourceRef { url: "file:///in/a.mov".into(), version: "1".into(), bytes: 1 }
    }

    fn upload() -> Upload {
        Upload::read(br#"{"source": "file:///in/a.mov", "output_prefix": "file:///out"}"#).unwrap()
    }

    #[test]
    fn a_redelivered_upload_is_the_same_execution() {
        let again = Upload { attempt: 2, overwrite: true, ..upload() };
        assert_eq!(execution_id(&upload(), &source()), execution_id(&again, &source()));
    }

    #[test]
    fn a_replay_is_an_execution_of_its_own_and_the_same_when_it_is_redelivered() {
        let replay = |id: &str| Upload { replay: Some(id.into()), ..upload() };
        assert_ne!(execution_id(&replay("1"), &source()), execution_id(&upload(), &source()));
        assert_ne!(execution_id(&replay("1"), &source()), execution_id(&replay("2"), &source()));
        assert_eq!(execution_id(&replay("1"), &source()), execution_id(&replay("1"), &source()));
        let named = Upload { name: Some("friday".into()), ..replay("1") };
        assert_ne!(
            execution_id(&named, &source()),
            execution_id(&Upload { replay: None, ..named.clone() }, &source())
        );
    }

    #[test]
    fn another_version_setting_or_destination_is_another_execution() {
        let one = execution_id(&upload(), &source());
        assert_ne!(one, execution_id(&upload(), &SourceRef { version: "2".into(), ..source() }));
        assert_ne!(one, execution_id(&Upload { segment_time_seconds: 5.0, ..upload() }, &source()));
        assert_ne!(one, execution_id(&Upload { output_prefix: "file:///o".into(), ..upload() }, &source()));
        assert_ne!(one, execution_id(&Upload { dst_formats: vec!["flv".into()], ..upload() }, &source()));
    }

    #[test]
    fn the_order_of_formats_does_not_matter() {
        let ab = Upload { dst_formats: vec!["mp4".into(), "flv".into()], ..upload() };
        let ba = Upload { dst_formats: vec!["flv".into(), "mp4".into()], ..upload() };
        assert_eq!(execution_id(&ab, &source()), execution_id(&ba, &source()));
    }

    #[test]
    fn a_name_alone_decides_where_there_is_one() {
        let named = Upload { name: Some("friday".into()), ..upload() };
        let other = SourceRef { version: "9".into(), ..source() };
        assert_eq!(execution_id(&named, &source()), execution_id(&named, &other));
    }

    #[test]
    fn executions_of_two_principals_are_apart_whether_they_have_names_or_not() {
        let of = |principal: &str, name: Option<&str>| {
            let upload = Upload { principal: principal.into(), name: name.map(str::to_owned), ..upload() };
            execution_id(&upload, &source())
        };
        for name in [None, Some("friday")] {
            let ids = [of("", name), of("press", name), of("sport", name)];
            assert!(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2], "{ids:?}");
        }
        // The default principal's ids are those of before.
        assert_eq!(of("", Some("friday")), hash(&["name", "friday"]));
    }

    #[test]
    fn a_bucket_and_a_key_are_a_url_and_a_prefix_without_one_is_in_the_same_bucket() {
        let text = br#"{"oss_bucket_name": "buckettestfnf", "video_key": "source/test 1.mov", "output_prefix": "outputs"}"#;
        let upload = Upload::read(text).unwrap();
        let url = source_url(&upload, "s3").unwrap();
        assert_eq!(url, "s3://buckettestfnf/source/test%201.mov");
        assert_eq!(output_prefix(&upload, &url).unwrap(), "s3://buckettestfnf/outputs");
        let elsewhere = Upload { output_prefix: "file:///mnt/nas/out".into(), ..upload.clone() };
        assert_eq!(output_prefix(&elsewhere, &url).unwrap(), "file:///mnt/nas/out");
        assert!(output_prefix(&upload, "file:///in/a.mov").is_err());
        assert!(output_prefix(&upload, "https://host/in/a.mov").is_err());
        assert!(source_url(&Upload { video_key: None, ..upload }, "s3").is_err());
    }

    #[test]
    fn outputs_are_named_after_the_source() {
        assert_eq!(source_stem("file:///in/a.b.mov"), "a.b");
        assert_eq!(source_stem("s3://b/noext"), "noext");
        assert_eq!(source_stem("s3://b/.hidden"), ".hidden");
        assert_eq!(source_stem("https://h/in/a%20b.mov?sig=x/y.z"), "a%20b");
        assert_eq!(source_stem("s3://b/what?.mov"), "what?");
    }

    #[test]
    fn a_mark_is_found_in_a_comment_of_a_manifest() {
        let mark = Fingerprint::new(&source(), "mp4", &["v-1"]);
        for line in [
            format!("# {}", mark.mark()),
            format!("<!-- {} -->", mark.mark()),
            format!("# {} 0a1b2c3d", mark.mark()),
        ] {
            assert_eq!(Fingerprint::find(&line), Some(mark.clone()), "{line}");
        }
        for other in ["# millrace", "# millrace 1.0 of today", "", "#EXTM3U"] {
            assert_eq!(Fingerprint::find(other), None, "{other}");
        }
    }

    #[test]
    fn a_mark_is_read_back_and_nothing_else_is() {
        let mark = Fingerprint::new(&source(), "mp4", &["v-1"]);
        assert_eq!(Fingerprint::read(&mark.mark()), Some(mark));
        for comment in ["", "millrace", "millrace a", "millrace a b c", "my holiday film"] {
            assert_eq!(Fingerprint::read(comment), None);
        }
    }
}
