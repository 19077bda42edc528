//! What is wrong with a profile, key by key.

use std::fmt;

/// What is wrong with a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key, such as `video.main.quality`.
    pub key: String,
    /// What is wrong with it, and what would work.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.reason)
    }
}

/// The problems that were found so far.
#[derive(Default)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

impl Problems {
    pub(crate) fn add(&mut self, key: impl Into<String>, reason: impl Into<String>) {
        self.0.push(Problem { key: key.into(), reason: reason.into() });
    }

    pub(crate) fn within<T: PartialOrd + fmt::Display + Copy>(
        &mut self,
        key: String,
        value: Option<T>,
        (least, most): (T, T),
        unit: &str,
    ) {
        if let Some(value) = value.filter(|value| !(least..=most).contains(value)) {
            self.add(key, format!("{value} is out of range: {least} to {most}{unit}"));
        }
    }

    pub(crate) fn one_of(&mut self, key: String, value: Option<&String>, known: &[&str]) {
        if let Some(value) = value.filter(|value| !known.contains(&value.as_str())) {
            match known {
                [] => self.add(key, "this codec's encoder has none; leave it out"),
                known => self.add(key, format!("'{value}' is unknown; known are {}", known.join(", "))),
            }
        }
    }
}
