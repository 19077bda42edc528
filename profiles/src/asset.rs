//! Files that a profile names beside the source, such as a logo.

use std::fmt;

use millrace_formats::asset::largest_file;
use millrace_schemas::{AssetKind, SourceRef};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, value::MapAccessDeserializer},
};

/// A file that a profile names beside the source. An execution is made with the version that is there when it is accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Asset {
    /// Its URL; in a profile's file also a path, which begins at the folder of that file.
    Located(String),
    /// The version that an execution is made with.
    Pinned(SourceRef),
}

impl<'de> Deserialize<'de> for Asset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Asset;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a URL, such as \"s3://brand/logo.png\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Asset, E> {
                Ok(Asset::Located(text.into()))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Asset, A::Error> {
                SourceRef::deserialize(MapAccessDeserializer::new(map)).map(Asset::Pinned)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl Asset {
    /// Returns its URL, or its path in a profile's file.
    #[must_use]
    pub fn url(&self) -> &str {
        match self {
            Self::Located(url) => url,
            Self::Pinned(source) => &source.url,
        }
    }

    /// Returns it at its version, which is empty if it is not pinned yet.
    pub(crate) fn source(&self) -> SourceRef {
        match self {
            Self::Located(url) => SourceRef { url: url.clone(), version: String::new(), bytes: 0 },
            Self::Pinned(source) => source.clone(),
        }
    }

    /// Returns what is wrong with it as a file of this kind; `None` if nothing is.
    pub(crate) fn problem(&self, kind: AssetKind) -> Option<String> {
        let most = largest_file(kind);
        let url = self.url();
        if !url.contains("://") {
            return Some(format!(
                "'{url}' is no URL; write one, such as s3://brand/logo.png or file:///brand/logo.png"
            ));
        }
        if url.contains('?') {
            // It may be a signature, and profiles are kept on the log and given to media processes.
            return Some(
                "its URL has a query, which may be a secret and would be kept; name one without".into(),
            );
        }
        match self {
            Self::Pinned(source) if !(0..=most).contains(&source.bytes) => {
                let mebibytes = most >> 20;
                Some(format!("{url} has {} bytes; at most {mebibytes} MiB are taken", source.bytes))
            }
            _ => None,
        }
    }
}
