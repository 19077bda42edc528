//! Checks how a package is encrypted.

use millrace_formats::{Container, Tables, codec::VideoCodec, container::Manifest};
use millrace_schemas::Protection;

use super::video::is_plain_name;
use crate::{
    division::Division,
    encryption::{Encryption, LONGEST_URL, METHODS, digits, is_like_a_key},
    problems::Problems,
    profile::Output,
};

/// Returns how a package is encrypted; `None` if it is not. `pictures` is the codec of its pictures, unless they are copied.
pub(super) fn protection(
    (tables, container): (&Tables, &Container),
    key: &str,
    output: &Output,
    (division, pictures): (Option<Division>, Option<&dyn VideoCodec>),
    problems: &mut Problems,
) -> Option<Protection> {
    let asked = output.encryption.as_ref()?;
    // What is no package is refused with its other keys.
    let (package, division) = (container.package()?, division?);
    let key = format!("{key}.encryption");
    let before = problems.0.len();
    let has_playlists = package.manifests.contains(&Manifest::Hls);
    let is_hls_alone = |other: &&Container| {
        other.package().is_some_and(|package| package.manifests.iter().all(|kind| *kind == Manifest::Hls))
    };
    match asked.method.as_str() {
        Protection::SEGMENTS => {
            if !is_hls_alone(&container) {
                let names: Vec<&str> =
                    tables.containers.iter().copied().filter(is_hls_alone).map(|other| other.name).collect();
                problems.add(
                    format!("{key}.method"),
                    format!(
                        "DASH knows no encryption of whole segments; set method to \"{}\", or format to {}",
                        Protection::SAMPLES,
                        names.join(" or ")
                    ),
                );
            }
            if division.single {
                problems.add(
                    format!("{key}.method"),
                    format!(
                        "whole segments are encrypted where each is an object; leave out files = \"single\", or set method to \"{}\"",
                        Protection::SAMPLES
                    ),
                );
            }
            if asked.key_id.is_some() {
                problems.add(format!("{key}.key_id"), "this method states no id of its key; leave it out");
            }
        }
        Protection::SAMPLES => {
            let takes = |other: &&Container| other.package().is_some() && other.index.encrypts_samples();
            if !takes(&container) {
                let names: Vec<&str> =
                    tables.containers.iter().copied().filter(takes).map(|other| other.name).collect();
                problems.add(
                    format!("{key}.method"),
                    format!(
                        "{} has no samples that are encrypted by themselves; set method to \"{}\", or format to {}",
                        container.name,
                        Protection::SEGMENTS,
                        names.join(" or ")
                    ),
                );
            }
            if pictures.is_some_and(|codec| codec.slices().is_none()) {
                let known = tables.codecs.iter().filter(|codec| {
                    codec.video().is_some_and(|video| video.slices().is_some())
                        && container.video.codecs.iter().any(|held| held.name() == codec.name())
                });
                let known: Vec<&str> = known.map(|codec| codec.name()).collect();
                problems.add(
                    format!("{key}.method"),
                    format!(
                        "pictures of this codec can't be encrypted by samples; set their codec to {}, or method to \"{}\" in hls",
                        known.join(" or "),
                        Protection::SEGMENTS
                    ),
                );
            }
        }
        other => problems.add(
            format!("{key}.method"),
            format!(
                "'{other}' is unknown; set {}",
                METHODS.map(|method| format!("\"{method}\"")).join(" or ")
            ),
        ),
    }
    check_key(&key, asked, problems);
    if let Some(uri) = &asked.uri {
        let is_allowed = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
        if uri.is_empty() || uri.len() > LONGEST_URL || !uri.bytes().all(is_allowed) {
            problems.add(
                format!("{key}.uri"),
                format!("it is no URL of at most {LONGEST_URL} bytes; encode special characters with percent signs"),
            );
        }
    } else if has_playlists && asked.player_url().is_none() && problems.0.len() == before {
        problems.add(
            format!("{key}.uri"),
            "players of HLS get the key from a URL, which playlists name; set uri to the one where your server has the key",
        );
    }
    for (name, value) in [("key_id", &asked.key_id), ("vector", &asked.vector)] {
        if value.as_deref().is_some_and(|value| digits(value).is_none()) {
            problems.add(format!("{key}.{name}"), "it is not 16 bytes in hexadecimal: 32 digits");
        }
    }
    (problems.0.len() == before).then(|| asked.protection())
}

/// Checks where the key comes from. What may be a key is never repeated.
fn check_key(key: &str, asked: &Encryption, problems: &mut Problems) {
    let key = format!("{key}.key");
    if is_like_a_key(&asked.key) {
        return problems.add(
            key,
            "this is a key itself, which would be kept in records; use another key, give it a name in the settings of the \
             processes ([keys], MILLRACE_KEYS_NAME, or --key-file), and write that name here",
        );
    }
    let Some(url) = asked.key_url() else {
        if !is_plain_name(&asked.key) {
            problems.add(
                key,
                "it is neither a URL nor the name of a key: 1 to 64 letters, digits, - and _, as in the settings ([keys])",
            );
        }
        return;
    };
    if url.contains('?') {
        // As of other files of a profile: it may be a signature.
        problems.add(key, "its URL has a query, which may be a secret and would be kept; name one without");
    } else if url.contains('@') || url.len() > LONGEST_URL {
        problems.add(key, "its URL has a user, or is too long; name another");
    }
}

#[cfg(test)]
mod tests {
    use millrace_formats::TABLES;

    use super::*;
    use crate::profile::Profile;

    const KEY: &str = "00112233445566778899AABBCCDDEEFF";

    fn of(format: &str, keys: &str) -> Result<Option<Protection>, String> {
        let text = format!(
            "[video.a]\ncodec = \"h264\"\n[[output]]\nformat = \"{format}\"\n[output.encryption]\n{keys}"
        );
        let wanted = Profile::from_toml(&text).unwrap().wanted(&TABLES);
        let wanted =
            wanted.map_err(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
        Ok(wanted[0].protection().cloned())
    }

    fn asked(format: &str, method: &str, keys: &str) -> Result<Option<Protection>, String> {
        of(format, &format!("method = \"{method}\"\n{keys}"))
    }

    #[test]
    fn a_key_has_a_name_or_a_url_that_players_are_told() {
        let named =
            asked("hls", "aes-128", "key = \"film\"\nuri = \"https://keys/film?id=1\"").unwrap().unwrap();
        let expected = Protection {
            method: "aes-128".into(),
            key: "film".into(),
            uri: "https://keys/film?id=1".into(),
            ..Protection::default()
        };
        assert_eq!(named, expected);
        let fetched = asked("hls", "aes-128", "key = \"https://keys/film\"").unwrap().unwrap();
        assert_eq!((fetched.key.as_str(), fetched.uri.as_str()), ("https://keys/film", "https://keys/film"));
        let vector = format!("key = \"https://keys/film\"\nvector = \"0x{KEY}\"");
        assert_eq!(asked("hls", "aes-128", &vector).unwrap().unwrap().vector, KEY.to_lowercase());
        let unreachable = asked("hls", "aes-128", "key = \"file:///keys/film\"").unwrap_err();
        assert!(
            unreachable.contains("output[0].encryption.uri: players of HLS get the key"),
            "{unreachable}"
        );
        assert!(
            asked("hls", "aes-128", "key = \"film\"\nuri = \"a b\"").unwrap_err().contains("percent signs")
        );
    }

    #[test]
    fn a_key_itself_is_refused_and_not_repeated() {
        for key in
            [KEY, &format!("0x{KEY}"), "ABEiM0RVZneImaq7zN3u/w==", "00112233-4455-6677-8899-aabbccddeeff"]
        {
            let refused =
                asked("hls", "aes-128", &format!("key = \"{key}\"\nuri = \"https://k\"")).unwrap_err();
            assert!(refused.contains("MILLRACE_KEYS_NAME") && !refused.contains(key), "{refused}");
        }
        let refused = asked("hls", "aes-128", "key = \"my secret!\"\nuri = \"https://k\"").unwrap_err();
        assert!(refused.contains("name of a key") && !refused.contains("secret!"), "{refused}");
        let signed = asked("hls", "aes-128", "key = \"https://k/a?sig=1\"").unwrap_err();
        assert!(signed.contains("has a query") && !signed.contains("sig=1"), "{signed}");
    }

    #[test]
    fn each_method_has_formats_that_it_is_for() {
        let key = "key = \"film\"\nuri = \"https://k\"";
        let dash = asked("cmaf", "aes-128", key).unwrap_err();
        assert!(dash.contains("set method to \"cbcs\", or format to hls"), "{dash}");
        let unknown = asked("hls", "cenc", key).unwrap_err();
        assert!(unknown.contains("'cenc' is unknown; set \"aes-128\" or \"cbcs\""), "{unknown}");
        let file = asked("mp4", "aes-128", key).unwrap_err();
        assert!(
            file.contains("output[0].encryption: mp4 is one file; ask for cmaf, hls, dash or hls-ts"),
            "{file}"
        );
        let id = asked("hls", "aes-128", &format!("{key}\nkey_id = \"{KEY}\"")).unwrap_err();
        assert!(id.contains("states no id"), "{id}");
    }
}
