//! The profiles that Millrace ships.

use crate::profile::Profile;

/// The shipped profiles: a name, and a text in TOML.
pub const SHIPPED: &[(&str, &str)] = &[
    ("web", include_str!("../shipped/web.toml")),
    ("ladder", include_str!("../shipped/ladder.toml")),
    ("streaming", include_str!("../shipped/streaming.toml")),
    ("previews", include_str!("../shipped/previews.toml")),
    ("web-av1", include_str!("../shipped/web-av1.toml")),
    ("hdr", include_str!("../shipped/hdr.toml")),
    ("archive", include_str!("../shipped/archive.toml")),
    ("mezzanine", include_str!("../shipped/mezzanine.toml")),
    ("proxy", include_str!("../shipped/proxy.toml")),
    ("audio-mp3", include_str!("../shipped/audio-mp3.toml")),
    ("podcast", include_str!("../shipped/podcast.toml")),
    ("audio-aac", include_str!("../shipped/audio-aac.toml")),
];

/// Returns the shipped profile of this name; `None` if there is none.
#[must_use]
pub fn shipped(name: &str) -> Option<Profile> {
    let (name, text) = SHIPPED.iter().find(|(known, _)| *known == name)?;
    let profile = Profile::from_toml(text).ok()?;
    Some(Profile { name: (*name).into(), ..profile })
}

#[cfg(test)]
mod tests {
    use millrace_formats::TABLES;

    use super::*;

    #[test]
    fn each_shipped_profile_is_right_and_says_what_it_is_for() {
        for (name, text) in SHIPPED {
            let profile = Profile::from_toml(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!profile.description.is_empty(), "{name}");
            let wanted = profile.wanted(&TABLES);
            assert!(wanted.is_ok(), "{name}: {:?}", wanted.err());
            assert_eq!(shipped(name).unwrap().name, *name);
        }
        assert!(shipped("no such").is_none());
    }
}
