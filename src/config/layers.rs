//! Layers of settings: a file, over it MILLRACE_* variables and flags. clap reads the variables, as the defaults of flags.

use figment::{
    Figment,
    providers::Serialized,
    value::{Dict, Value},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::error::CommandError;

/// Lists to which flags add. All other values are replaced.
const ADDED: [&str; 3] = ["source_roots", "output_roots", "allowed_hosts"];

/// Flags that are settings: they serialize to the keys of the settings file.
pub(crate) trait Flags {
    /// Returns the flags that are set.
    fn layer(&self) -> Result<Dict, CommandError>;
}

impl<T: Serialize> Flags for T {
    fn layer(&self) -> Result<Dict, CommandError> {
        let all = Value::serialize(self).map_err(wrong)?.into_dict().unwrap_or_default();
        let is_set = |value: &Value| match value {
            Value::Empty(..) => false,
            Value::Array(_, values) => !values.is_empty(),
            _ => true,
        };
        Ok(all.into_iter().filter(|(_, value)| is_set(value)).collect())
    }
}

fn wrong(error: impl std::fmt::Display) -> CommandError {
    CommandError::Call(error.to_string())
}

/// Returns the settings of a file's text, overridden by flags.
///
/// # Errors
/// If the text is no TOML, or has an unknown key or a value of the wrong type.
pub(super) fn merge<T: DeserializeOwned>(text: &str, flags: &[&dyn Flags]) -> Result<T, CommandError> {
    let file: toml::Table = toml::from_str(text).map_err(wrong)?;
    let mut layers = Figment::from(Serialized::defaults(file));
    for flags in flags {
        let is_added = |(key, _): &(String, Value)| ADDED.contains(&key.as_str());
        let (added, replaced): (Dict, Dict) = flags.layer()?.into_iter().partition(is_added);
        layers = layers.admerge(Serialized::defaults(added)).merge(Serialized::defaults(replaced));
    }
    layers.extract().map_err(wrong)
}
