//! How a package is encrypted, as a profile asks for it. Pure: a key itself is never in a profile.

use millrace_schemas::{Protection, hash_of};
use serde::{Deserialize, Serialize};

/// The encryption that a profile asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encryption {
    /// The method: `aes-128` or `cbcs`.
    pub method: String,
    /// Where the key comes from: a name in the settings of the processes that merge, or a URL.
    pub key: String,
    /// The URL of the key that manifests tell players.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// The id of the key, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// The initialization vector, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector: Option<String>,
}

/// The methods: of whole segments, and of samples.
pub(crate) const METHODS: [&str; 2] = [Protection::SEGMENTS, Protection::SAMPLES];

/// The longest URL of a key, in bytes.
pub(crate) const LONGEST_URL: usize = 2000;

impl Encryption {
    /// Returns the URL that the key is fetched from; `None` for a key that has a name.
    pub(crate) fn key_url(&self) -> Option<&str> {
        Some(self.key.as_str()).filter(|key| key.contains("://"))
    }

    /// Returns the URL of the key that players are told; `None` if there is none that they could reach.
    pub(crate) fn player_url(&self) -> Option<&str> {
        let is_web = |url: &&str| url.starts_with("https://") || url.starts_with("http://");
        self.uri.as_deref().or_else(|| self.key_url().filter(is_web))
    }

    /// Returns it as records have it. An id of the key that is not set follows from its name or URL, so that it is the same in all
    /// packages. It must have been checked.
    pub(crate) fn protection(&self) -> Protection {
        let states_id = self.method == Protection::SAMPLES;
        let usual_id = || ["key id", "key id, continued"].map(|text| hash_of(&[text, &self.key])).concat();
        let key_id = match &self.key_id {
            Some(id) => digits(id).unwrap_or_default(),
            None if states_id => usual_id(),
            None => String::new(),
        };
        Protection {
            method: self.method.clone(),
            key: self.key.clone(),
            uri: self.player_url().unwrap_or_default().to_owned(),
            key_id,
            vector: self.vector.as_deref().and_then(digits).unwrap_or_default(),
        }
    }
}

/// Returns 16 bytes in hexadecimal as 32 lower-case digits; `None` for any other text. It may be written as a UUID, or behind `0x`.
pub(crate) fn digits(text: &str) -> Option<String> {
    let text = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let digits = text.replace('-', "").to_ascii_lowercase();
    let is_right = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_right.then_some(digits)
}

/// Returns `true` for a text that is more likely a key than the name of one: 16 bytes in hexadecimal or base64.
pub(crate) fn is_like_a_key(text: &str) -> bool {
    let is_base64 = text.len() == 24 && text.ends_with("==");
    digits(text).is_some() || is_base64
}
