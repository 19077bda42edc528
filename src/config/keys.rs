//! The settings `[keys]`: the keys by which packages are encrypted. Nothing shows their values: no message, no log line and no record.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt,
    fs::File,
    io::Read as _,
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

use millrace_media::ContentKey;
use millrace_worker::{Keys, key_variable};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::error::CommandError;

/// What names of variables begin with that hold keys.
const VARIABLES: &str = "MILLRACE_KEYS_";
/// The longest file of a key, in bytes: digits, and an end of line.
const LONGEST_FILE: u64 = 64;

/// A text of the settings that nothing shows. It is taken whatever it is, so that no message about its type repeats it.
#[derive(Clone, Default)]
pub(crate) struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E>(self, text: &str) -> Result<Secret, E> {
                Ok(Secret(text.to_owned()))
            }

            // Of anything else nothing is kept, and it is no key.
            fn visit_bool<E>(self, _: bool) -> Result<Secret, E> {
                Ok(Secret::default())
            }

            fn visit_i64<E>(self, _: i64) -> Result<Secret, E> {
                Ok(Secret::default())
            }

            fn visit_u64<E>(self, _: u64) -> Result<Secret, E> {
                Ok(Secret::default())
            }

            fn visit_f64<E>(self, _: f64) -> Result<Secret, E> {
                Ok(Secret::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Secret, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Secret::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Secret::default())
            }
        }
        deserializer.deserialize_any(Any).map_err(|_| D::Error::custom("it is no text"))
    }
}

/// Returns the keys of the settings file, of variables and of files that flags name, each over those before it.
///
/// # Errors
/// If one is no key, or has no name; its value is not said.
pub(crate) fn keys(config: &BTreeMap<String, Secret>, files: &[OsString]) -> Result<Keys, CommandError> {
    collect(config, std::env::vars_os(), files).map(|all| all.into_iter().collect())
}

fn collect(
    config: &BTreeMap<String, Secret>,
    variables: impl Iterator<Item = (OsString, OsString)>,
    files: &[OsString],
) -> Result<BTreeMap<String, ContentKey>, CommandError> {
    let wrong = |setting: &str, reason: &dyn fmt::Display| CommandError::Call(format!("{setting}: {reason}"));
    let mut all = BTreeMap::new();
    for (name, Secret(text)) in config {
        let setting = format!("keys.{name}");
        check_name(name).map_err(|reason| wrong(&setting, &reason))?;
        let key = text.trim().parse().map_err(|error| wrong(&setting, &error))?;
        if all.insert(key_variable(name), key).is_some() {
            return Err(wrong(
                &setting,
                &"another key has this name: capitals and dashes make no difference",
            ));
        }
    }
    for (variable, text) in variables {
        let Some(name) = variable.to_str().and_then(|variable| variable.strip_prefix(VARIABLES)) else {
            continue;
        };
        let key = text.to_str().and_then(|text| text.trim().parse().ok());
        let key = key.ok_or_else(|| {
            wrong(&format!("{VARIABLES}{name}"), &"it is not 16 bytes in hexadecimal: 32 digits")
        })?;
        all.insert(key_variable(name), key);
    }
    for file in files {
        let bytes = file.as_bytes();
        let parts = bytes.iter().position(|byte| *byte == b'=').map(|at| (&bytes[..at], &bytes[at + 1..]));
        let parts = parts.and_then(|(name, path)| Some((std::str::from_utf8(name).ok()?, path)));
        let Some((name, path)) = parts.filter(|(name, _)| check_name(name).is_ok()) else {
            // It may be a key that was given in place of a file.
            return Err(wrong("--key-file", &"write NAME=FILE, where FILE has the key"));
        };
        let key = read(Path::new(OsStr::from_bytes(path)))
            .map_err(|reason| wrong(&format!("--key-file {name}"), &reason))?;
        all.insert(key_variable(name), key);
    }
    Ok(all)
}

fn check_name(name: &str) -> Result<(), &'static str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if (1..=64).contains(&name.len()) && name.bytes().all(is_plain) {
        return Ok(());
    }
    Err("the name of a key has 1 to 64 letters, digits, - and _")
}

/// Reads a file that has a key: 16 bytes, or 32 hexadecimal digits.
fn read(path: &Path) -> Result<ContentKey, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let read = file.take(LONGEST_FILE).read_to_end(&mut bytes);
    read.map_err(|error| format!("{}: {error}", path.display()))?;
    let text = || std::str::from_utf8(&bytes).ok()?.trim().parse().ok();
    ContentKey::of_bytes(&bytes)
        .or_else(text)
        .ok_or_else(|| format!("{} has neither 16 bytes nor 32 hexadecimal digits", path.display()))
}

/// Returns what is wrong with a settings file, without the line if that may hold a key.
pub(super) fn describe(error: &toml::de::Error, text: &str) -> String {
    let at = error.span().map_or(0, |span| span.start.min(text.len()));
    let before = text.get(..at).unwrap_or_default();
    let line = text.lines().nth(before.matches('\n').count()).unwrap_or_default();
    let is_keys = |line: &str| line.split('#').next().unwrap_or_default().contains("keys");
    let table = before.lines().rev().find(|line| line.trim_start().starts_with('['));
    if is_keys(line) || table.is_some_and(is_keys) {
        return format!("line {}: {}", before.matches('\n').count() + 1, error.message());
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const TEXT: &str = "00112233445566778899aabbccddeeff";
    const OTHER: &str = "ffeeddccbbaa99887766554433221100";

    fn settings(text: &str) -> BTreeMap<String, Secret> {
        toml::from_str::<Config>(text).unwrap().keys
    }

    fn collected(
        text: &str,
        variables: &[(&str, &str)],
        files: &[OsString],
    ) -> Result<BTreeMap<String, ContentKey>, String> {
        let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        collect(&settings(text), variables, files).map_err(|error| error.to_string())
    }

    #[test]
    fn files_stand_over_variables_and_these_over_the_settings() {
        let folder = tempfile::tempdir().unwrap();
        let raw = folder.path().join("raw");
        std::fs::write(&raw, [7; 16]).unwrap();
        let text = format!("[keys]\na = '{TEXT}'\nb-b = '{TEXT}'\nc = '{TEXT}'");
        let mut file = OsString::from("c=");
        file.push(&raw);
        let all = collected(&text, &[("MILLRACE_KEYS_B_B", OTHER), ("MILLRACE_JOBS", "1")], &[file]).unwrap();
        let expected = [("A", TEXT), ("B_B", OTHER), ("C", "07070707070707070707070707070707")];
        assert_eq!(all, expected.map(|(name, key)| (name.to_owned(), key.parse().unwrap())).into());
    }

    #[test]
    fn what_is_no_key_is_not_repeated() {
        for (text, place) in [
            ("[keys]\nfilm = 'secretsecret'", "keys.film"),
            ("[keys]\nfilm = 123456123456", "keys.film"),
            ("[keys]\nfilm = ['123456123456']", "keys.film"),
            ("[keys]\nfilm = { a = '123456123456' }", "keys.film"),
        ] {
            let said = collected(text, &[], &[]).unwrap_err();
            let is_secret = said.contains("secretsecret") || said.contains("123456");
            assert!(said.starts_with(place) && !is_secret, "{said}");
        }
        let said = collected("", &[("MILLRACE_KEYS_FILM", "secretsecret")], &[]).unwrap_err();
        assert!(said.starts_with("MILLRACE_KEYS_FILM") && !said.contains("secretsecret"), "{said}");
        let said = collected("", &[], &["film".into()]).unwrap_err();
        assert!(said.contains("NAME=FILE"), "{said}");
        let shown = format!("{:?}", settings(&format!("[keys]\nfilm = '{TEXT}'")));
        assert!(!shown.contains(TEXT), "{shown}");
    }

    #[test]
    fn a_faulty_line_of_keys_is_not_shown() {
        for text in [
            format!("jobs = 2\n[keys]\nfilm = {TEXT}"),
            format!("[keys]\nfilm = '{TEXT}"),
            format!("keys.film = {TEXT}g"),
            format!("keys = {{ film = {TEXT}g }}"),
            format!("[keys]\nfilm = '{TEXT}'\nfilm = '{TEXT}'"),
        ] {
            let error = toml::from_str::<Config>(&text).unwrap_err();
            let said = describe(&error, &text);
            assert!(said.starts_with("line ") && !said.contains(&TEXT[..16]), "{said}");
        }
        let error = toml::from_str::<Config>("jobs = 2\ngrace = 5").unwrap_err();
        assert!(describe(&error, "jobs = 2\ngrace = 5").contains("line 2"));
    }
}
