//! The keys by which packages are encrypted: those of the settings, by name, and those that are fetched from a URL when they are
//! needed. No record, log line or message has one.

use std::{collections::BTreeMap, os::unix::fs::FileExt as _, sync::Arc};

use millrace_media::ContentKey;
use millrace_schemas::Protection;
use millrace_storage::{OpenSource, Stores, display_url};
use millrace_topology::ports::PortError;

use crate::error::{port_error, transient};

/// The keys of the settings, by name. Capitals, dashes and underscores make no difference in names, as variables have them.
#[derive(Debug, Clone, Default)]
pub struct Keys(Arc<BTreeMap<String, ContentKey>>);

impl FromIterator<(String, ContentKey)> for Keys {
    fn from_iter<T: IntoIterator<Item = (String, ContentKey)>>(keys: T) -> Self {
        Self(Arc::new(keys.into_iter().map(|(name, key)| (variable(&name), key)).collect()))
    }
}

impl Keys {
    /// Returns why a package can't be encrypted here; `None` if the settings have its key, or it is one that is fetched.
    #[must_use]
    pub fn missing(&self, protection: &Protection) -> Option<String> {
        let name = &protection.key;
        let is_there = is_url(name) || self.0.contains_key(&variable(name));
        (!is_there).then(|| {
            format!(
                "this process has no key '{name}', by which the package is to be encrypted; set it in the settings ([keys] {name} = …), as \
                 MILLRACE_KEYS_{}, or by --key-file {name}=FILE, of each process that merges, and try again",
                variable(name)
            )
        })
    }

    /// Returns the key of a package; one that has a URL is read now, where sources may be read.
    ///
    /// # Errors
    /// If the settings have none of this name, or the URL is of anything but 16 bytes, or can't be read.
    pub(crate) async fn find(
        &self,
        stores: &Stores,
        protection: &Protection,
    ) -> Result<ContentKey, PortError> {
        if let Some(missing) = self.missing(protection) {
            return Err(PortError::Refused(missing));
        }
        match self.0.get(&variable(&protection.key)) {
            Some(key) => Ok(*key),
            None => fetch(stores, &protection.key).await,
        }
    }
}

/// Returns what `MILLRACE_KEYS_` is followed by in the variable of a key: its name in capitals, with an underscore for each dash.
#[must_use]
pub fn variable(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
}

fn is_url(key: &str) -> bool {
    key.contains("://")
}

/// Reads the key at a URL.
async fn fetch(stores: &Stores, url: &str) -> Result<ContentKey, PortError> {
    let wrong = |bytes: i64| {
        let size = ContentKey::BYTES;
        PortError::Refused(format!("the key at {} has {bytes} bytes; it must have {size}", display_url(url)))
    };
    let source = stores.pin(url).await.map_err(port_error)?;
    if usize::try_from(source.bytes) != Ok(ContentKey::BYTES) {
        return Err(wrong(source.bytes));
    }
    let mut bytes = Vec::new();
    match stores.open(&source).await.map_err(port_error)? {
        OpenSource::File(file) => {
            bytes = vec![0; ContentKey::BYTES];
            file.read_exact_at(&mut bytes, 0).map_err(transient)?;
        }
        OpenSource::Object(object) => {
            let mut reader = object.reader();
            while bytes.len() < ContentKey::BYTES {
                let left = ContentKey::BYTES - bytes.len();
                let got = reader.read(bytes.len() as u64, left).await.map_err(port_error)?;
                if got.is_empty() {
                    break;
                }
                bytes.extend_from_slice(&got);
            }
        }
    }
    ContentKey::of_bytes(&bytes).ok_or_else(|| wrong(i64::try_from(bytes.len()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00112233445566778899aabbccddeeff";

    fn protection(key: &str) -> Protection {
        Protection { key: key.into(), ..Protection::default() }
    }

    fn refused(found: Result<ContentKey, PortError>) -> String {
        match found {
            Err(PortError::Refused(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_key_is_found_by_its_name_and_one_that_is_missing_says_which_setting_it_is() {
        let keys: Keys = [("film".to_owned(), TEXT.parse().unwrap())].into_iter().collect();
        let found = keys.find(&Stores::default(), &protection("film")).await.unwrap();
        assert_eq!(found, TEXT.parse().unwrap());
        let missing = refused(keys.find(&Stores::default(), &protection("tv-2")).await);
        assert!(
            missing.contains("MILLRACE_KEYS_TV_2") && missing.contains("--key-file tv-2=FILE"),
            "{missing}"
        );
        assert!(!format!("{keys:?}").contains(&TEXT[2..]), "{keys:?}");
    }

    #[tokio::test]
    async fn a_key_is_read_from_a_url_if_it_has_16_bytes_and_may_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let url = |name: &str| format!("file://{}/{name}", folder.path().display());
        let bytes = ContentKey::of_bytes(b"sixteen bytes!!!").unwrap();
        std::fs::write(folder.path().join("key"), b"sixteen bytes!!!").unwrap();
        std::fs::write(folder.path().join("long"), b"sixteen bytes!!!\n").unwrap();
        let keys = Keys::default();
        let found = keys.find(&Stores::default(), &protection(&url("key"))).await;
        assert_eq!(found.unwrap(), bytes);
        let long = refused(keys.find(&Stores::default(), &protection(&url("long"))).await);
        assert!(long.ends_with("has 17 bytes; it must have 16"), "{long}");
        let gone = refused(keys.find(&Stores::default(), &protection(&url("gone"))).await);
        assert!(gone.contains("gone"), "{gone}");
        use millrace_access::Reach;
        let nowhere = Stores::default().within(Reach::Only(Vec::new()), Reach::Only(Vec::new()));
        let outside = refused(keys.find(&nowhere, &protection(&url("key"))).await);
        assert!(outside.contains("--source-root"), "{outside}");
    }
}
