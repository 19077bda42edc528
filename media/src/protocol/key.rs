//! A key by which packages are encrypted.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A key of AES-128: 16 bytes, which nothing shows. It is serialized, in hexadecimal, for the media process that encrypts by it, and for
/// nothing else.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ContentKey([u8; Self::BYTES]);

impl ContentKey {
    /// The size of a key, in bytes.
    pub const BYTES: usize = 16;

    /// Returns the key of these bytes; `None` if they are not 16.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Returns its bytes.
    pub(crate) fn bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A text is no key. What it was is not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not 16 bytes in hexadecimal: 32 digits")]
pub struct NoContentKey;

impl FromStr for ContentKey {
    type Err = NoContentKey;

    /// Reads 32 hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, NoContentKey> {
        read_bytes(text).map(Self).ok_or(NoContentKey)
    }
}

/// Reads 16 bytes in hexadecimal, as of a key, its id or a vector.
pub(crate) fn read_bytes(text: &str) -> Option<[u8; 16]> {
    let is_right = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u128::from_str_radix(text, 16).ok().filter(|_| is_right).map(u128::to_be_bytes)
}

impl Serialize for ContentKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{:032x}", u128::from_be_bytes(self.0)))
    }
}

impl<'de> Deserialize<'de> for ContentKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_hexadecimal_digits_and_never_shown() {
        let text = "00112233445566778899aabbccddeeff";
        let key: ContentKey = text.parse().unwrap();
        assert_eq!(key.bytes()[..3], [0, 0x11, 0x22]);
        assert_eq!(Some(key), ContentKey::of_bytes(key.bytes()));
        assert_eq!(format!("{key:?} {:#?}", Some(key)), "*** Some(\n    ***,\n)");
        assert_eq!(serde_json::from_str::<ContentKey>(&serde_json::to_string(&key).unwrap()).unwrap(), key);
        let long = format!("{text}0");
        for wrong in
            ["", "0011", "+0112233445566778899aabbccddeeff", "0x112233445566778899aabbccddeeff", &long]
        {
            let error = wrong.parse::<ContentKey>().unwrap_err().to_string();
            assert!(wrong.is_empty() || !error.contains(wrong), "{error}");
        }
        assert_eq!(ContentKey::of_bytes(&[1; 15]), None);
    }
}
