//! Damage of a source, gathered by time while it is decoded, and reported as warnings.

use ffmpeg_next::Packet;

use super::libav::frame::fields;

/// Events that are no further apart, in seconds, are reported as one.
const TOGETHER_SECONDS: f64 = 1.0;
/// How many places are reported; further ones are only counted.
const MOST_PLACES: usize = 5;

/// For how many frames behind damage a timestamp is followed to the millisecond. What was lost may be shorter than what is taken for
/// the container's rounding otherwise, and all later sound would be early.
pub(crate) const WARY_FRAMES: u32 = 16;

/// A kind of damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A packet that could not be decoded.
    Undecodable,
    /// A picture, or sound, with errors in it.
    Concealed,
    /// No packet, where an undamaged source has one.
    Absent,
}

/// Damage, by time.
#[derive(Debug, Default)]
pub(crate) struct Damage {
    events: Vec<(f64, Kind)>,
    /// Further warnings, by time.
    notes: Vec<(f64, String)>,
    ends: Option<String>,
    /// The part of the source that counts, in seconds; `None` for its start and its end.
    part: (Option<f64>, Option<f64>),
}

impl Damage {
    /// Damage of a part of a source alone, from a time up to another, in seconds; `None` for the start and the end of the source.
    pub(crate) fn within(from: Option<f64>, to: Option<f64>) -> Self {
        Self { part: (from, to), ..Self::default() }
    }

    /// Notes that a packet could not be decoded; `at` is its time in seconds.
    pub(crate) fn packet(&mut self, at: Option<f64>) {
        let at = at.or_else(|| self.events.last().map(|event| event.0));
        self.events.push((at.unwrap_or(0.0), Kind::Undecodable));
    }

    /// Notes a decoded frame, with its time in seconds, if its decoder reports errors in it.
    pub(crate) fn frame(&mut self, frame: &ffmpeg_next::Frame, at: f64) {
        if frame.is_corrupt() || fields(frame).decode_error_flags != 0 {
            self.events.push((at, Kind::Concealed));
        }
    }

    /// Returns how many packets and frames are damaged.
    pub(crate) fn count(&self) -> i64 {
        i64::try_from(self.events.len()).unwrap_or(i64::MAX)
    }

    /// Notes that a timestamp was corrected; `at` is the corrected time in seconds.
    pub(crate) fn time(&mut self, at: f64) {
        self.events.push((at, Kind::Concealed));
    }

    /// Notes that packets are missing at this time, in seconds.
    pub(crate) fn absent(&mut self, at: f64) {
        self.events.push((at, Kind::Absent));
    }

    /// Notes another warning, with its time in seconds.
    pub(crate) fn note(&mut self, at: f64, text: String) {
        self.notes.push((at, text));
    }

    /// Notes why the source ended too early; the first reason counts.
    pub(crate) fn ended(&mut self, what: String) {
        self.ends.get_or_insert(what);
    }

    /// Returns warnings about what is damaged from `start` up to `end`, in seconds; `what` names what is there, such as "pictures".
    pub(crate) fn warnings(&self, what: &str, start: Option<f64>, end: Option<f64>) -> Vec<String> {
        let within = |at: f64, start: Option<f64>, end: Option<f64>| {
            start.is_none_or(|start| at >= start - 1e-9) && end.is_none_or(|end| at < end - 1e-9)
        };
        let inside = |at: f64| within(at, start, end) && within(at, self.part.0, self.part.1);
        let mut events: Vec<_> = self.events.iter().filter(|event| inside(event.0)).collect();
        events.sort_by(|a, b| a.0.total_cmp(&b.0));
        let places: Vec<_> = events.chunk_by(|a, b| b.0 - a.0 <= TOGETHER_SECONDS).collect();
        let mut warnings: Vec<String> =
            places.iter().take(MOST_PLACES).map(|place| describe(place, what)).collect();
        if places.len() > MOST_PLACES {
            warnings.push(format!(
                "{what} {} damaged in {} more places",
                verb(what),
                places.len() - MOST_PLACES
            ));
        }
        let notes: Vec<&String> =
            self.notes.iter().filter(|note| inside(note.0)).map(|note| &note.1).collect();
        warnings.extend(notes.iter().take(MOST_PLACES).map(|note| (*note).clone()));
        if notes.len() > MOST_PLACES {
            warnings.push(format!("{what} change in {} more places", notes.len() - MOST_PLACES));
        }
        warnings.extend(self.ends.iter().filter(|_| end.is_none()).cloned());
        warnings
    }
}

fn describe(place: &[&(f64, Kind)], what: &str) -> String {
    let count = |kind| place.iter().filter(|event| event.1 == kind).count();
    let (lost, concealed) = (count(Kind::Undecodable), count(Kind::Concealed));
    let (first, last) =
        (place.first().map_or(0.0, |event| event.0), place.last().map_or(0.0, |event| event.0));
    let at = if last - first < 0.001 {
        format!("at {first:.3} s")
    } else {
        format!("from {first:.3} s to {last:.3} s")
    };
    let is = verb(what);
    let lost_words = if lost == 1 {
        "1 packet can't be decoded".into()
    } else {
        format!("{lost} packets can't be decoded")
    };
    match (lost, concealed) {
        (0, 0) => format!("{what} {is} missing {at} (there is nothing to decode)"),
        (0, _) => format!("{what} {is} damaged {at} (patched up {concealed} times)"),
        (_, 0) => format!("{what} {is} missing {at} ({lost_words})"),
        _ => format!("{what} {is} damaged {at} ({lost_words}, patched up {concealed} times)"),
    }
}

fn verb(what: &str) -> &'static str {
    if what == "sound" { "is" } else { "are" }
}

/// Returns a packet's time in seconds, if it has one.
pub(crate) fn at(packet: &Packet, tick: f64) -> Option<f64> {
    packet.pts().or(packet.dts()).map(|ticks| ticks as f64 * tick)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_reported_by_place_and_within_a_range() {
        let mut damage = Damage::default();
        for at in [1.0, 1.04, 5.0] {
            damage.packet(Some(at));
        }
        damage.ended("the source ends".into());
        assert_eq!(
            damage.warnings("pictures", None, Some(5.0)),
            ["pictures are missing from 1.000 s to 1.040 s (2 packets can't be decoded)"]
        );
        assert_eq!(
            damage.warnings("pictures", Some(5.0), None),
            ["pictures are missing at 5.000 s (1 packet can't be decoded)", "the source ends"]
        );
        assert!(damage.warnings("pictures", Some(2.0), Some(3.0)).is_empty());
    }

    #[test]
    fn damage_outside_of_the_part_that_is_used_is_not_reported() {
        let mut damage = Damage::within(Some(2.0), Some(4.0));
        for at in [1.9, 2.0, 4.0] {
            damage.packet(Some(at));
        }
        assert_eq!(
            damage.warnings("pictures", None, None),
            ["pictures are missing at 2.000 s (1 packet can't be decoded)"]
        );
        assert!(damage.warnings("pictures", Some(3.0), None).is_empty());
    }

    #[test]
    fn what_is_missing_is_reported() {
        let mut damage = Damage::default();
        damage.absent(2.0);
        assert_eq!(
            damage.warnings("sound", None, None),
            ["sound is missing at 2.000 s (there is nothing to decode)"]
        );
    }

    #[test]
    fn damage_everywhere_is_not_reported_everywhere() {
        let mut damage = Damage::default();
        (0..100).for_each(|i| damage.packet(Some(f64::from(i) * 10.0)));
        let warnings = damage.warnings("sound", None, None);
        assert_eq!(warnings.len(), MOST_PLACES + 1);
        assert_eq!(warnings[MOST_PLACES], "sound is damaged in 95 more places");
    }
}
