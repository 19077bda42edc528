//! What a web server replies to the request for a range: its status and its headers. Pure.

use std::ops::Range;

use millrace_schemas::masked_url;
use reqwest::{
    StatusCode, Url,
    header::{
        CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED, LOCATION,
    },
};

/// A reply that is no error.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// A range of the file.
    Range {
        /// The bytes that are sent.
        sent: Range<u64>,
        /// The size of the whole file.
        total: u64,
        /// The ETag, if it is strong (RFC 9110, 8.8.3), with its quotes.
        tag: Option<String>,
        /// The time of Last-Modified, as it is written.
        date: Option<String>,
    },
    /// The whole file, although a range was requested.
    Whole,
    /// The file is empty, and so has no range.
    Empty,
}

/// Why there is no range.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// There is no such file.
    Missing,
    /// The file has another version.
    Changed,
    /// The server may reply later.
    Busy(String),
    /// The server does not serve ranges of the file.
    NoRanges,
    /// The reason.
    Other(String),
}

impl Reply {
    /// Reads a reply to the request of `url`.
    pub(super) fn read(status: StatusCode, headers: &HeaderMap, url: &Url) -> Result<Self, Refused> {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let range = text(CONTENT_RANGE).and_then(parse_content_range);
        match status {
            StatusCode::PARTIAL_CONTENT => {}
            StatusCode::OK if text(CONTENT_LENGTH) == Some("0") => return Ok(Self::Empty),
            StatusCode::OK => return Ok(Self::Whole),
            StatusCode::RANGE_NOT_SATISFIABLE if range == Some((None, Some(0))) => return Ok(Self::Empty),
            // The file is shorter than it was.
            StatusCode::RANGE_NOT_SATISFIABLE => return Err(Refused::Changed),
            other => return Err(refusal(other, text(LOCATION), url)),
        }
        if let Some(encoding) = text(CONTENT_ENCODING).filter(|it| !it.eq_ignore_ascii_case("identity")) {
            return Err(Refused::Other(format!(
                "the server sends the file encoded ({encoding}), and not its own bytes; download the file first, or put it in a bucket"
            )));
        }
        let Some((Some(sent), Some(total))) = range else {
            return Err(Refused::Other(
                "the server does not say which range it sends, or how long the file is (Content-Range)"
                    .into(),
            ));
        };
        let is_strong = |tag: &&str| tag.len() >= 2 && tag.starts_with('"') && tag.ends_with('"');
        let tag = text(ETAG).filter(is_strong).map(str::to_owned);
        Ok(Self::Range { sent, total, tag, date: text(LAST_MODIFIED).map(str::to_owned) })
    }
}

/// Returns what a status other than success means.
fn refusal(status: StatusCode, location: Option<&str>, url: &Url) -> Refused {
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => Refused::Missing,
        StatusCode::PRECONDITION_FAILED => Refused::Changed,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Refused::Busy(format!("the server replied {status}"))
        }
        _ if status.is_server_error() => Refused::Busy(format!("the server replied {status}")),
        StatusCode::UNAUTHORIZED => Refused::Other(format!(
            "access denied ({status}): the server wants a login; make a presigned URL"
        )),
        StatusCode::FORBIDDEN => Refused::Other(format!(
            "access denied ({status}); if the URL is presigned, it may have expired: make a new one"
        )),
        _ if status.is_redirection() => {
            let target = location.and_then(|to| url.join(to).ok()).map(|to| masked_url(to.as_str()));
            let target = target.unwrap_or_else(|| "another URL".into());
            Refused::Other(format!(
                "the server redirects to {target}, and redirects are not followed; give that URL as the source"
            ))
        }
        _ => Refused::Other(format!("the server replied {status}")),
    }
}

/// Parses Content-Range (RFC 9110, 14.4): the range, `None` if the server has none to send, and the size, `None` if it is unknown.
fn parse_content_range(text: &str) -> Option<(Option<Range<u64>>, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.trim().split_once('/')?;
    let total: Option<u64> = if total == "*" { None } else { Some(total.parse().ok()?) };
    if range == "*" {
        return Some((None, total));
    }
    let (first, last) = range.split_once('-')?;
    let sent = first.parse().ok()?..last.parse::<u64>().ok()?.checked_add(1)?;
    let is_valid = sent.start < sent.end && total.is_none_or(|total| sent.end <= total);
    is_valid.then_some((Some(sent), total))
}

/// What tells one version of a file from another of the same size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Version {
    /// The strong ETag, with its quotes.
    Tag(String),
    /// The time of Last-Modified, as the server writes it.
    Date(String),
}

impl Version {
    pub(super) fn of(tag: Option<String>, date: Option<String>) -> Option<Self> {
        tag.map(Self::Tag).or(date.map(Self::Date))
    }

    /// Returns the version of a source of this size, as records hold it. Only a tag begins with a quote.
    pub(super) fn recorded(&self, size: u64) -> String {
        match self {
            Self::Tag(tag) => tag.clone(),
            Self::Date(date) => format!("{size} {date}"),
        }
    }

    /// Parses the version of a source, as [`Self::recorded`] returns it.
    pub(super) fn parse(recorded: &str, size: u64) -> Option<Self> {
        if recorded.starts_with('"') {
            return Some(Self::Tag(recorded.to_owned()));
        }
        let date = recorded.strip_prefix(&size.to_string())?.strip_prefix(' ')?;
        Some(Self::Date(date.to_owned()))
    }

    /// Returns `true` if a reply with these headers is of this version.
    pub(super) fn is_of(&self, tag: Option<&str>, date: Option<&str>) -> bool {
        match self {
            Self::Tag(accepted) => tag == Some(accepted),
            Self::Date(accepted) => date == Some(accepted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, headers: &[(HeaderName, &str)]) -> Result<Reply, Refused> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        let url = Url::parse("https://host/in/a.mov?secret").unwrap();
        Reply::read(StatusCode::from_u16(status).unwrap(), &headers, &url)
    }

    #[test]
    fn a_range_is_read_with_its_version() {
        let range = (CONTENT_RANGE, "bytes 5-9/20");
        let (tag, date) = ((ETAG, "\"a\""), (LAST_MODIFIED, "Fri, 20 Nov 2026 00:00:00 GMT"));
        let sent = |tag: Option<&str>, date: Option<&str>| {
            let (tag, date) = (tag.map(str::to_owned), date.map(str::to_owned));
            Ok(Reply::Range { sent: 5..10, total: 20, tag, date })
        };
        assert_eq!(read(206, &[range.clone(), tag, date.clone()]), sent(Some("\"a\""), Some(date.1)));
        assert_eq!(read(206, &[range.clone(), (ETAG, "W/\"a\""), date.clone()]), sent(None, Some(date.1)));
        assert_eq!(read(206, &[range.clone(), (ETAG, "a")]), sent(None, None), "it has no quotes");
        assert_eq!(read(206, &[range.clone(), (CONTENT_ENCODING, "identity")]), sent(None, None));
        let encoded = read(206, &[range, (CONTENT_ENCODING, "gzip")]);
        assert!(matches!(encoded, Err(Refused::Other(reason)) if reason.contains("gzip")));
    }

    #[test]
    fn a_range_without_a_valid_content_range_is_refused() {
        for wrong in
            ["bytes 0-0/*", "bytes */20", "bytes 9-5/20", "bytes 0-20/20", "items 0-0/20", "bytes 0-x/9"]
        {
            assert!(matches!(read(206, &[(CONTENT_RANGE, wrong)]), Err(Refused::Other(_))), "{wrong}");
        }
        assert!(matches!(read(206, &[]), Err(Refused::Other(_))));
    }

    #[test]
    fn an_empty_file_is_told_from_a_server_without_ranges() {
        assert_eq!(read(200, &[(CONTENT_LENGTH, "0")]), Ok(Reply::Empty));
        assert_eq!(read(416, &[(CONTENT_RANGE, "bytes */0")]), Ok(Reply::Empty));
        assert_eq!(read(200, &[(CONTENT_LENGTH, "9")]), Ok(Reply::Whole));
        assert_eq!(read(416, &[(CONTENT_RANGE, "bytes */9")]), Err(Refused::Changed));
    }

    #[test]
    fn a_status_says_whether_to_try_again_and_a_redirect_hides_its_query() {
        for status in [408, 425, 429, 500, 502, 503, 504] {
            assert!(matches!(read(status, &[]), Err(Refused::Busy(_))), "{status}");
        }
        assert_eq!((read(404, &[]), read(410, &[])), (Err(Refused::Missing), Err(Refused::Missing)));
        assert_eq!(read(412, &[]), Err(Refused::Changed));
        for status in [301, 302, 303, 307, 308] {
            let Err(Refused::Other(reason)) = read(status, &[(LOCATION, "/b.mov?token=x")]) else { panic!() };
            assert!(reason.contains("https://host/b.mov?…") && !reason.contains("token"), "{reason}");
        }
        for (status, word) in [(401, "login"), (403, "expired"), (400, "400 Bad Request")] {
            let Err(Refused::Other(reason)) = read(status, &[]) else { panic!("{status}") };
            assert!(reason.contains(word), "{reason}");
        }
    }

    #[test]
    fn a_recorded_version_is_parsed_to_the_same() {
        // Apache's tags begin with the size.
        for version in [Version::Tag("\"14-5f3e\"".into()), Version::Date("Fri, 20 Nov 2026".into())] {
            assert_eq!(Version::parse(&version.recorded(20), 20), Some(version));
        }
        for other in ["", "21 Fri, 20 Nov 2026", "20Fri", "14-5f3e"] {
            assert_eq!(Version::parse(other, 20), None, "{other}");
        }
    }
}
