//! `admit`: publishes the uploads of the newest version of each source, once. A keyed aggregation, and pure.

use std::cmp::Ordering;

use millrace_schemas::{Arrival, RecordError, Seen, Upload, frame::Record as _};
use millrace_topology::{Aggregation, Emit, Fold, HORIZON_DAYS, ProcessorSpec, Role, streams};

use crate::{
    dependencies::{Dependencies, Ports, ProcessorStarter},
    request::lasting_profile,
};

/// For how long a source is remembered after its last arrival, in milliseconds; executions are remembered as long.
const HORIZON_MS: i64 = HORIZON_DAYS as i64 * 24 * 3600 * 1000;
/// The fewest digits of a sequencer that orders all events of an object. A shorter one is a counter that restarts with the store's
/// process, and orders only the events of the same time.
const MIN_LASTING_DIGITS: usize = 16;

/// Returns the processor's name and its edges in the graph.
#[must_use]
pub fn spec() -> ProcessorSpec {
    let does = "takes the newest of each source, once";
    ProcessorSpec {
        state: Some(streams::SOURCES),
        role: Role::Watches,
        ..ProcessorSpec::new("admit", does, streams::ARRIVALS, [streams::ACCEPTED])
    }
}

/// Makes the processor and starts it.
pub fn start<P: Ports>(_: &Dependencies<P>, starter: &mut impl ProcessorStarter) {
    starter.start_aggregation(spec(), Admit);
}

/// The aggregation `admit`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Admit;

impl Aggregation for Admit {
    type In = Arrival;
    type State = Seen;

    fn fold(&self, state: Option<Seen>, arrival: Arrival) -> Result<Fold<Seen>, RecordError> {
        fold(state, &arrival)
    }

    fn punctuate(&self, state: Seen, now_ms: i64) -> Result<Fold<Seen>, RecordError> {
        let is_over = self.wakes_at(&state).is_some_and(|at| at <= now_ms);
        Ok(Fold { state: (!is_over).then_some(state), emits: Vec::new(), changed: is_over })
    }

    fn wakes_at(&self, state: &Seen) -> Option<i64> {
        Some(state.at_ms.saturating_add(HORIZON_MS))
    }
}

/// Folds an arrival into the state of its source: emits its uploads if it is not older than the newest one, and differs from it.
///
/// # Errors
/// If an upload can't be encoded.
pub fn fold(state: Option<Seen>, arrival: &Arrival) -> Result<Fold<Seen>, RecordError> {
    let asked = hash_settings(&arrival.uploads)?;
    let is_new = state.as_ref().is_none_or(|seen| {
        let is_repeated = seen.version == arrival.version && seen.asked == asked;
        !is_repeated && compare_age(arrival, seen) != Ordering::Less
    });
    if !is_new {
        return Ok(Fold { state, emits: Vec::new(), changed: false });
    }
    let emit = |upload: &Upload| Emit::new(streams::ACCEPTED, &arrival.source, upload);
    let emits = arrival.uploads.iter().map(emit).collect::<Result<_, _>>()?;
    let seen = Seen {
        source: arrival.source.clone(),
        version: arrival.version.clone(),
        sequencer: arrival.sequencer.clone(),
        at_ms: arrival.at_ms,
        asked,
    };
    Ok(Fold { state: Some(seen), emits, changed: true })
}

/// Compares the age of an arrival with that of the newest one: `Less` is older.
fn compare_age(arrival: &Arrival, seen: &Seen) -> Ordering {
    let by_time = arrival.at_ms.cmp(&seen.at_ms);
    match (&arrival.sequencer, &seen.sequencer) {
        (Some(a), Some(b)) if a.len().min(b.len()) >= MIN_LASTING_DIGITS => compare_sequencers(a, b),
        (Some(a), Some(b)) => by_time.then_with(|| (a.len(), a).cmp(&(b.len(), b))),
        _ => by_time,
    }
}

/// Compares sequencers as Amazon S3 documents it: the shorter one is padded with zeros on its right.
fn compare_sequencers(a: &str, b: &str) -> Ordering {
    let digits = a.len().max(b.len());
    let padded = |text: &str| format!("{:0<digits$}", text.to_ascii_uppercase());
    padded(a).cmp(&padded(b))
}

/// Returns a hash of the uploads' settings.
fn hash_settings(uploads: &[Upload]) -> Result<String, RecordError> {
    let mut encoded = Vec::new();
    for upload in uploads {
        // Labels have no order, and results do not depend on them. A profile counts by its name: a notification that comes again
        // after the profile has changed is no other request.
        let settings = Upload {
            labels: std::collections::HashMap::new(),
            version: None,
            profile: lasting_profile(upload),
            ..upload.clone()
        };
        encoded.push(settings.encode()?);
    }
    Ok(millrace_schemas::hash_of(&encoded))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const URL: &str = "s3://b/in/a.mov";

    fn arrival(version: &str, sequencer: Option<&str>, at_ms: i64) -> Arrival {
        let upload = Upload { version: Some(version.into()), ..Upload::of(URL, "s3://b/out") };
        Arrival {
            source: URL.into(),
            version: version.into(),
            sequencer: sequencer.map(str::to_owned),
            at_ms,
            uploads: vec![upload],
        }
    }

    /// Returns the versions whose uploads are published when these arrive in this order.
    fn admitted(arrivals: &[Arrival]) -> Vec<String> {
        let (mut state, mut found) = (None, Vec::new());
        for arrival in arrivals {
            let folded = fold(state, arrival).unwrap();
            state = folded.state;
            let read = |emit: &Emit| Upload::read(emit.value.as_ref().unwrap()).unwrap().version.unwrap();
            found.extend(folded.emits.iter().map(read));
        }
        found
    }

    #[test]
    fn a_notification_that_comes_twice_is_admitted_once() {
        let one = arrival("1", Some("0055AED6DCD90281E5"), 5);
        assert_eq!(admitted(&[one.clone(), one.clone(), one]), ["1"]);
    }

    #[test]
    fn an_older_one_that_comes_late_is_dropped_and_the_newest_wins() {
        let (old, new) =
            (arrival("1", Some("0055AED6DCD90281E5"), 5), arrival("2", Some("0055AED6DCD90281E6"), 6));
        assert_eq!(admitted(&[new.clone(), old.clone()]), ["2"]);
        assert_eq!(admitted(&[old.clone(), new.clone(), old]), ["1", "2"]);
        // Whatever the clocks say.
        let late_clock = arrival("3", Some("0055AED6DCD90281E4"), 900);
        assert_eq!(admitted(&[new, late_clock]), ["2"]);
    }

    #[test]
    fn counters_that_begin_anew_are_ordered_by_time_first() {
        let before = arrival("1", Some("1F"), 1000);
        let restarted = arrival("2", Some("1"), 5000);
        assert_eq!(admitted(&[before.clone(), restarted]), ["1", "2"]);
        assert_eq!(admitted(&[arrival("2", Some("20"), 1000), before]), ["2"], "in the same second");
        assert_eq!(admitted(&[arrival("2", Some("10"), 1000), arrival("1", Some("9"), 1000)]), ["2"]);
    }

    #[test]
    fn other_rules_admit_a_version_again() {
        let one = arrival("1", None, 5);
        let mut other = one.clone();
        other.uploads[0].dst_formats = vec!["flv".into()];
        assert_eq!(admitted(&[one.clone(), other, one]), ["1", "1", "1"]);
    }

    #[test]
    fn a_version_is_admitted_once_though_its_profile_changes_in_between() {
        let of = |profile: &str| {
            let mut arrival = arrival("1", None, 5);
            arrival.uploads[0].profile = Some(profile.into());
            arrival
        };
        let named = |name: &str, format: &str| {
            of(&format!(r#"{{"name": "{name}", "output": [{{"format": "{format}"}}]}}"#))
        };
        assert_eq!(admitted(&[named("ours", "mp4"), named("ours", "flv")]), ["1"]);
        assert_eq!(admitted(&[named("ours", "mp4"), named("theirs", "mp4")]), ["1", "1"]);
        assert_eq!(
            admitted(&[named("", "mp4"), named("", "flv")]),
            ["1", "1"],
            "the rule itself has changed"
        );
        assert_eq!(admitted(&[of("ours"), named("ours", "mp4")]), ["1", "1"], "it was not found before");
    }

    proptest! {
        /// However arrivals are repeated and reordered, the newest is admitted, and none after it.
        #[test]
        fn the_newest_is_admitted_once_and_last(order in Just((0..9_u32).collect::<Vec<_>>()).prop_shuffle(), twice: Vec<prop::sample::Index>) {
            let numbered = |n: u32| arrival(&n.to_string(), Some(&format!("{n:018X}")), i64::from(n));
            let mut all: Vec<Arrival> = order.iter().map(|n| numbered(*n)).collect();
            for index in twice {
                let again = all[index.index(all.len())].clone();
                all.push(again);
            }
            let found = admitted(&all);
            prop_assert_eq!(found.last().map(String::as_str), Some("8"));
            prop_assert_eq!(found.iter().filter(|version| *version == "8").count(), 1);
        }
    }
}
