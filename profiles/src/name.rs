//! Names and versions of profiles, as uploads write them: `NAME`, or `NAME@VERSION`.

use std::{fmt, str::FromStr};

use millrace_schemas::hash_of;

use crate::{
    asset::Asset,
    profile::{Profile, ProfileError},
};

/// The most characters of a profile's name.
const LONGEST_NAME: usize = 64;
/// How many hexadecimal digits a version has.
const VERSION_DIGITS: usize = 12;

/// The name of a profile: 1 to 64 letters and digits of ASCII, `-` and `_`, of which the first is a letter or a digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileName(String);

impl ProfileName {
    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for ProfileName {
    type Err = ProfileError;

    fn from_str(text: &str) -> Result<Self, ProfileError> {
        let is_taken = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let is_name = text.len() <= LONGEST_NAME
            && text.bytes().all(is_taken)
            && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
        if is_name {
            return Ok(Self(text.into()));
        }
        Err(ProfileError(format!(
            "'{}' is no name of a profile: a name has 1 to {LONGEST_NAME} letters, digits, '-' and '_', and begins with a letter or a digit",
            shortened(text)
        )))
    }
}

/// Returns the beginning of a text that may be long.
fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(LONGEST_NAME).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// The version of a profile: the first digits of a hash of its canonical text, without its name.
///
/// Images count by their location, not by the version that an execution is made with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProfileVersion(String);

impl ProfileVersion {
    /// Returns the version of a profile.
    #[must_use]
    pub fn of(profile: &Profile) -> Self {
        let mut content = Profile { name: String::new(), ..profile.clone() };
        for asset in content.assets_mut() {
            *asset = Asset::Located(asset.url().to_owned());
        }
        let mut digits = hash_of(&["profile", &content.to_json()]);
        digits.truncate(VERSION_DIGITS);
        Self(digits)
    }
}

impl fmt::Display for ProfileVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for ProfileVersion {
    type Err = ProfileError;

    fn from_str(text: &str) -> Result<Self, ProfileError> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == VERSION_DIGITS && text.bytes().all(is_digit) {
            return Ok(Self(text.into()));
        }
        Err(ProfileError(format!(
            "'{}' is no version of a profile: a version has {VERSION_DIGITS} digits of 0 to 9 and a to f, as 'millrace profiles list' shows it",
            shortened(text)
        )))
    }
}

/// The profile that an upload names: the version that is in force, or exactly one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileReference {
    /// The name.
    pub name: ProfileName,
    /// The version that is wanted; `None` for the one in force.
    pub version: Option<ProfileVersion>,
}

impl FromStr for ProfileReference {
    type Err = ProfileError;

    fn from_str(text: &str) -> Result<Self, ProfileError> {
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => (name, Some(version.parse()?)),
            None => (text, None),
        };
        Ok(Self { name: name.parse()?, version })
    }
}

impl fmt::Display for ProfileReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{}@{version}", self.name),
            None => self.name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_bounded_and_can_be_a_file_and_nothing_else() {
        for name in ["web", "web-av1", "4k", "Ours_2", &"a".repeat(64)] {
            assert_eq!(name.parse::<ProfileName>().unwrap().as_str(), name);
        }
        for wrong in ["", ".", "..", "a/b", "a.toml", "-f", "_a", "ü", "a b", "a@b", "{", &"a".repeat(65)] {
            let said = wrong.parse::<ProfileName>().unwrap_err().0;
            assert!(said.contains("letters, digits") && said.len() < 300, "{said}");
        }
        let long = "x".repeat(20_000).parse::<ProfileReference>().unwrap_err().0;
        assert!(long.len() < 300, "{} bytes", long.len());
    }

    #[test]
    fn a_reference_is_a_name_or_a_name_and_a_version() {
        let of = |text: &str| text.parse::<ProfileReference>();
        assert_eq!(of("ours").unwrap().version, None);
        assert_eq!(of("ours@0123456789ab").unwrap().to_string(), "ours@0123456789ab");
        for wrong in ["ours@", "ours@1", "@0123456789ab", "ours@0123456789AB", "ours@0123456789ab@"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_version_is_of_what_a_profile_says_not_of_its_name_nor_of_how_it_is_written() {
        let of = |text: &str| ProfileVersion::of(&Profile::from_toml(text).unwrap());
        let one = of("[[output]]\nformat = \"mp4\"");
        assert_eq!(one, of("name = 'ours' # a remark\n[[output]]\nformat = 'mp4'\n"));
        assert_ne!(one, of("[[output]]\nformat = \"flv\""));
        assert_eq!(one.to_string().parse::<ProfileVersion>().unwrap(), one);
        // A version is what users write down: it must stay as it is.
        assert_eq!(one.to_string(), "0230bf8bdd4c");
    }

    #[test]
    fn an_image_counts_by_its_location() {
        let of = |image: &str| {
            let mark = format!("[video.a]\ncodec = \"h264\"\nwatermark = {{ image = {image} }}");
            ProfileVersion::of(&Profile::from_toml(&mark).unwrap())
        };
        let located = of("\"s3://b/l.png\"");
        assert_eq!(located, of("{ url = \"s3://b/l.png\", version = \"1\", bytes = 9 }"));
        assert_ne!(located, of("\"s3://b/other.png\""));
    }

    proptest! {
        #[test]
        fn a_reference_that_is_read_is_written_as_it_was(text in "[a-zA-Z0-9_@.-]{0,80}") {
            if let Ok(reference) = text.parse::<ProfileReference>() {
                prop_assert_eq!(reference.to_string(), text);
            }
        }
    }
}
