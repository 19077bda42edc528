//! The names of work objects: `<execution>-<attempt>/<rendition>/<index>`. They are parsed and written here alone.

use std::{fmt, str::FromStr};

use super::is_hash;

/// A name that is not of the form that Millrace gives.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{name}' is no {what}")]
pub struct KeyError {
    name: String,
    what: &'static str,
}

/// What a rendition is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RenditionKind {
    /// Pictures: `v`.
    Video,
    /// Sound: `a`.
    Audio,
    /// Text, or a cover: `s`.
    Auxiliary,
}

impl RenditionKind {
    const ALL: [Self; 3] = [Self::Video, Self::Audio, Self::Auxiliary];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Video => "v",
            Self::Audio => "a",
            Self::Auxiliary => "s",
        }
    }
}

/// The id of a rendition: its kind, a hash of its settings, and for a further track with the same settings its number, as in
/// `a-0123456789abcdef.2`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RenditionId {
    pub(super) kind: RenditionKind,
    pub(super) hash: String,
    pub(super) track: u32,
}

impl RenditionId {
    /// Returns what it is of.
    #[must_use]
    pub fn kind(&self) -> RenditionKind {
        self.kind
    }

    /// Returns the id of the same settings for the track of this number among those of its kind, from 0.
    #[must_use]
    pub fn of_track(self, track: u32) -> Self {
        Self { track, ..self }
    }
}

impl fmt::Display for RenditionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.kind.as_str(), self.hash)?;
        if self.track > 0 {
            write!(f, ".{}", self.track)?;
        }
        Ok(())
    }
}

impl FromStr for RenditionId {
    type Err = KeyError;

    fn from_str(name: &str) -> Result<Self, KeyError> {
        let parse = || {
            let (kind, rest) = name.split_once('-')?;
            let kind = RenditionKind::ALL.into_iter().find(|known| known.as_str() == kind)?;
            let (hash, track) = match rest.split_once('.') {
                Some((hash, track)) => (hash, number(track).filter(|track| *track > 0)?),
                None => (rest, 0),
            };
            is_hash(hash).then(|| Self { kind, hash: hash.to_owned(), track })
        };
        parse().ok_or_else(|| KeyError { name: name.into(), what: "rendition's id" })
    }
}

/// The first part of a work object's key: the execution, and the attempt that began its work afresh.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkPrefix {
    execution: String,
    attempt: u32,
}

impl WorkPrefix {
    /// Returns the prefix of an execution's attempt; an attempt below 0, which only a crafted record has, counts as 0.
    #[must_use]
    pub fn new(execution: &str, attempt: i32) -> Self {
        Self { execution: execution.into(), attempt: u32::try_from(attempt).unwrap_or(0) }
    }

    /// Returns the execution's id.
    #[must_use]
    pub fn execution(&self) -> &str {
        &self.execution
    }
}

impl fmt::Display for WorkPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.execution, self.attempt)
    }
}

impl FromStr for WorkPrefix {
    type Err = KeyError;

    fn from_str(name: &str) -> Result<Self, KeyError> {
        let parse = || {
            let (execution, attempt) = name.split_once('-')?;
            is_hash(execution).then_some(())?;
            Some(Self { execution: execution.into(), attempt: number(attempt)? })
        };
        parse().ok_or_else(|| KeyError { name: name.into(), what: "prefix of work objects" })
    }
}

/// The key of a work object: one rendition of one segment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WorkKey {
    /// The execution and attempt.
    pub prefix: WorkPrefix,
    /// The rendition.
    pub rendition: RenditionId,
    /// The segment's number.
    pub index: u32,
}

impl fmt::Display for WorkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.prefix, self.rendition, self.index)
    }
}

impl FromStr for WorkKey {
    type Err = KeyError;

    fn from_str(key: &str) -> Result<Self, KeyError> {
        let wrong = || KeyError { name: key.into(), what: "key of a work object" };
        let mut parts = key.split('/');
        let (Some(prefix), Some(rendition), Some(index), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        Ok(Self {
            prefix: prefix.parse()?,
            rendition: rendition.parse()?,
            index: number(index).ok_or_else(wrong)?,
        })
    }
}

/// Reads a number as [`u32`] writes it: no sign, no leading zero.
fn number(text: &str) -> Option<u32> {
    let number: u32 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back_as_they_are_written() {
        for key in [
            "0123456789abcdef-1/v-0123456789abcdef/0",
            "0123456789abcdef-12/a-0123456789abcdef.2/117",
            "0123456789abcdef-1/s-0123456789abcdef.1/4294967295",
        ] {
            assert_eq!(key.parse::<WorkKey>().map(|key| key.to_string()).as_deref(), Ok(key));
        }
    }

    #[test]
    fn nothing_else_is_a_key() {
        for key in [
            "",
            "0123456789abcdef-1",
            "0123456789abcdef-1/v-0123456789abcdef",
            "0123456789abcdef-1/v-0123456789abcdef/0/0",
            "0123456789abcdef-1/v-0123456789abcdef/+1",
            "0123456789abcdef-1/v-0123456789abcdef/01",
            "0123456789abcdef-1/v-0123456789abcdef/4294967296",
            "0123456789abcdef-1/v-0123456789abcdef.0/1",
            "0123456789abcdef-1/v-0123456789ABCDEF/1",
            "0123456789abcdef-1/x-0123456789abcdef/1",
            "0123456789abcdef--1/v-0123456789abcdef/1",
            "holiday-1/v-0123456789abcdef/1",
            "../v-0123456789abcdef/1",
        ] {
            assert!(key.parse::<WorkKey>().is_err(), "{key}");
        }
    }

    #[test]
    fn a_further_track_of_the_same_settings_has_an_id_of_its_own() {
        let first: RenditionId = "a-0123456789abcdef".parse().unwrap();
        assert_eq!(first.kind(), RenditionKind::Audio);
        assert_eq!(first.clone().of_track(2).to_string(), "a-0123456789abcdef.2");
        assert_eq!(first.clone().of_track(0), first);
    }
}
