//! How objects are encrypted, and what manifests say of it. A key itself is never here.

/// How the objects of a track are encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// Each segment as a whole, by AES-128 in CBC mode with padding (RFC 8216, 4.3.2.4, `AES-128`). Initialization segments are not.
    /// DASH can't state it.
    Segments {
        /// The URL of the key.
        uri: String,
        /// The initialization vector; `None` for the number of the segment, from 0 (RFC 8216, 5.2).
        vector: Option<[u8; 16]>,
    },
    /// Samples by themselves, by scheme `cbcs` (ISO/IEC 23001-7, 10.4).
    Samples {
        /// The URL of the key, which playlists need.
        uri: String,
        /// The initialization vector of all samples.
        vector: [u8; 16],
        /// The id of the key.
        key_id: [u8; 16],
    },
}

/// What a manifest states of the encryption of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatedKey {
    /// Whether samples are encrypted by themselves, and not the object as a whole.
    pub of_samples: bool,
    /// The URL of the key.
    pub uri: Option<String>,
    /// The initialization vector.
    pub vector: Option<[u8; 16]>,
    /// The id of the key.
    pub key_id: Option<[u8; 16]>,
}

impl Encryption {
    /// Returns the URL of the key.
    pub(crate) fn uri(&self) -> &str {
        match self {
            Self::Segments { uri, .. } | Self::Samples { uri, .. } => uri,
        }
    }

    /// Returns `true` if what a manifest states is what this is. Manifests of one kind state no id, those of the other no URL.
    #[must_use]
    pub fn is_stated(&self, stated: &StatedKey) -> bool {
        let is_uri = stated.uri.as_deref().is_none_or(|stated| stated == self.uri());
        let is_rest = match self {
            Self::Segments { vector, .. } => {
                !stated.of_samples && stated.vector == *vector && stated.key_id.is_none()
            }
            Self::Samples { vector, key_id, .. } => {
                stated.of_samples
                    && stated.vector.is_none_or(|stated| stated == *vector)
                    && stated.key_id.is_none_or(|stated| stated == *key_id)
            }
        };
        is_uri && is_rest && (stated.uri.is_some() || stated.key_id.is_some())
    }
}

/// Returns 16 bytes as an integer of HLS (RFC 8216, 4.2).
pub(crate) fn hexadecimal(bytes: [u8; 16]) -> String {
    format!("0x{:032x}", u128::from_be_bytes(bytes))
}

/// Reads 32 hexadecimal digits.
pub(crate) fn read_digits(digits: &str) -> Option<[u8; 16]> {
    let is_right = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u128::from_str_radix(digits, 16).ok().filter(|_| is_right).map(u128::to_be_bytes)
}

/// Returns 16 bytes as a UUID (RFC 9562, 4).
pub(crate) fn uuid(bytes: [u8; 16]) -> String {
    let digits = format!("{:032x}", u128::from_be_bytes(bytes));
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| digits.get(part).unwrap_or_default());
    parts.join("-")
}

/// Reads a UUID.
pub(crate) fn read_uuid(text: &str) -> Option<[u8; 16]> {
    read_digits(&text.replace('-', "")).filter(|bytes| uuid(*bytes) == text)
}
