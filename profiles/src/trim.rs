//! The part of a source that a profile uses.

use millrace_schemas::Trim;
use serde::{Deserialize, Serialize};

use crate::amounts::Seconds;

/// The latest time that a part may begin or end at, in seconds: a year. No source is as long.
pub(crate) const LATEST_SECONDS: f64 = 31_536_000.0;

/// The part of a source that is used: a half-open range of times, counted from time zero of the source.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrimTimes {
    /// Its start; `None` for the start of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Seconds>,
    /// Its end, exclusive; `None` for the end of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Seconds>,
}

impl TrimTimes {
    /// Checks that it is a part.
    ///
    /// # Errors
    /// If it is empty or says nothing, with what would work.
    pub fn check(&self) -> Result<(), String> {
        if self.from.is_none() && self.to.is_none() {
            return Err("it says nothing; set from, to or both".into());
        }
        let times = [self.from, self.to].into_iter().flatten();
        if let Some(late) = times.into_iter().find(|time| time.0 > LATEST_SECONDS) {
            return Err(format!("{late} is out of range: at most a year"));
        }
        match self.within(0) {
            Trim { from, to: Some(to) } if to <= from => Err(format!(
                "it ends at {}, which is not after its start at {}; set to to a later time",
                self.to.unwrap_or(Seconds(0.0)),
                self.from.unwrap_or(Seconds(0.0)),
            )),
            _ => Ok(()),
        }
    }

    /// Returns the part of a source whose time zero is at this presentation time, in microseconds.
    #[must_use]
    pub fn within(&self, zero_us: i64) -> Trim {
        // The cast saturates.
        let at = |time: Seconds| zero_us.saturating_add((time.0 * 1e6).round() as i64);
        Trim { from: self.from.map_or(zero_us, at), to: self.to.map(at) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Profile;

    fn trim(text: &str) -> TrimTimes {
        let profile = format!("[[output]]\nformat = \"mp4\"\n[source]\ntrim = {text}");
        Profile::from_toml(&profile).unwrap().source.trim.unwrap()
    }

    #[test]
    fn a_part_is_between_two_times_or_from_one_to_an_end_of_the_source() {
        let both = trim("{ from = \"00:00:10.5\", to = \"1m\" }");
        assert_eq!(both.check(), Ok(()));
        assert_eq!(both.within(2), Trim { from: 10_500_002, to: Some(60_000_002) });
        assert_eq!(trim("{ from = \"500ms\" }").within(0), Trim { from: 500_000, to: None });
        let end = trim("{ to = 0.1 }");
        assert_eq!((end.check(), end.within(-5)), (Ok(()), Trim { from: -5, to: Some(99_995) }));
    }

    #[test]
    fn a_part_that_is_empty_is_refused() {
        for (text, reason) in [
            ("{}", "says nothing"),
            ("{ from = 2, to = 2 }", "not after its start at 2s"),
            ("{ from = 2, to = \"1s\" }", "ends at 1s"),
            ("{ to = 0 }", "not after its start at 0s"),
            // Less than a microsecond is nothing.
            ("{ from = 1, to = 1.0000001 }", "not after"),
            ("{ from = \"9000h\" }", "at most a year"),
        ] {
            let refused = trim(text).check().unwrap_err();
            assert!(refused.contains(reason), "{text}: {refused}");
        }
    }

    #[test]
    fn a_part_is_in_the_canonical_text_and_no_part_is_not() {
        let text = |toml: &str| Profile::from_toml(toml).unwrap().to_json();
        let trimmed = text("[[output]]\nformat = \"mp4\"\n[source]\ntrim = { from = 10 }");
        assert_eq!(trimmed, r#"{"output":[{"format":"mp4"}],"source":{"trim":{"from":"10s"}}}"#);
    }
}
