//! Attribute lists of tags, read strictly (RFC 8216, 4.2).

use std::collections::BTreeMap;

/// The attributes of a tag.
pub(super) struct Attributes<'a> {
    values: BTreeMap<&'a str, Value<'a>>,
}

/// A value: a quoted string without its quotation marks, or anything else.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Value<'a> {
    Quoted(&'a str),
    Plain(&'a str),
}

impl<'a> Attributes<'a> {
    /// Reads a list whose names are all in `known`.
    pub(super) fn read(mut list: &'a str, known: &[&str]) -> Result<Self, String> {
        let mut values = BTreeMap::new();
        loop {
            let (name, rest) = list.split_once('=').ok_or_else(|| format!("'{list}' is no attribute"))?;
            let (value, rest) = match rest.strip_prefix('"') {
                Some(quoted) => {
                    let (value, rest) =
                        quoted.split_once('"').ok_or_else(|| format!("the value of {name} has no end"))?;
                    (Value::Quoted(value), rest)
                }
                None => {
                    let (value, rest) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
                    if value.is_empty() || value.contains(['"', ' ', '\t']) {
                        return Err(format!("'{value}' is no value of {name}"));
                    }
                    (Value::Plain(value), rest)
                }
            };
            if !known.contains(&name) {
                return Err(format!("the attribute {name} is unknown"));
            }
            if values.insert(name, value).is_some() {
                return Err(format!("the attribute {name} is there twice"));
            }
            if rest.is_empty() {
                return Ok(Self { values });
            }
            list = rest.strip_prefix(',').ok_or_else(|| format!("'{rest}' follows the value of {name}"))?;
        }
    }

    /// Returns a quoted string that may be missing.
    pub(super) fn quoted(&self, name: &str) -> Result<Option<&'a str>, String> {
        match self.values.get(name) {
            None => Ok(None),
            Some(Value::Quoted(value)) => Ok(Some(value)),
            Some(Value::Plain(_)) => Err(format!("{name} is no quoted string")),
        }
    }

    /// Returns a value without quotation marks that may be missing.
    pub(super) fn plain(&self, name: &str) -> Result<Option<&'a str>, String> {
        match self.values.get(name) {
            None => Ok(None),
            Some(Value::Plain(value)) => Ok(Some(value)),
            Some(Value::Quoted(_)) => Err(format!("{name} is a quoted string")),
        }
    }

    /// Returns a quoted string that must be there.
    pub(super) fn text(&self, name: &str) -> Result<&'a str, String> {
        self.quoted(name)?.filter(|value| !value.is_empty()).ok_or_else(|| format!("{name} is missing"))
    }

    /// Returns a decimal integer that must be there and not be 0.
    pub(super) fn number(&self, name: &str) -> Result<u64, String> {
        let value = self.plain(name)?.ok_or_else(|| format!("{name} is missing"))?;
        integer(value).filter(|number| *number > 0).ok_or_else(|| format!("{name} is '{value}'"))
    }

    /// Returns whether a value is `YES`; if it is there, it is that or `NO`.
    pub(super) fn yes(&self, name: &str) -> Result<bool, String> {
        match self.plain(name)? {
            None | Some("NO") => Ok(false),
            Some("YES") => Ok(true),
            Some(other) => Err(format!("{name} is '{other}'")),
        }
    }
}

/// Reads a decimal integer: digits alone.
pub(super) fn integer(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// Reads a byte range: `<bytes>@<offset>`; returns offset and bytes.
pub(super) fn byte_range(text: &str) -> Result<(u64, u64), String> {
    let parts = text.split_once('@').and_then(|(bytes, offset)| Some((integer(offset)?, integer(bytes)?)));
    let valid = parts.filter(|(offset, bytes)| *bytes > 0 && offset.checked_add(*bytes).is_some());
    valid.ok_or_else(|| format!("'{text}' is no byte range"))
}
