//! Metadata, chapters and timecode of an output. Pure.

use std::collections::HashMap;

use millrace_formats::Container;
use millrace_schemas::{Extras, Ratio, SourceFacts};

/// The metadata keys of the location of the recording: libavformat's, and Apple's.
const LOCATIONS: [&str; 3] = ["location", "location-eng", "com.apple.quicktime.location.iso6709"];
/// The greatest length of a metadata value, in characters, since records carry it.
const LONGEST: usize = 1000;

/// Returns what an output in this format copies from its source. The location is private, and is copied only if `keep_location` is set.
pub(super) fn copied(facts: &SourceFacts, format: &Container, keep_location: bool) -> Extras {
    let of_source = |names: &[&str]| {
        let named = |(key, _): &&(String, String)| names.iter().any(|name| key.eq_ignore_ascii_case(name));
        let (_, value) = facts.metadata.iter().find(named)?;
        let text: String = value.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
        (!text.trim().is_empty()).then_some(text)
    };
    let mut metadata = HashMap::new();
    let told = [("title", &["title"][..]), ("creation_time", &["creation_time"])];
    let located = keep_location.then_some(("location", &LOCATIONS[..]));
    for (key, names) in told.into_iter().chain(located).filter(|_| format.metadata) {
        metadata.extend(of_source(names).map(|value| (key.to_owned(), value)));
    }
    let rate = facts.video.as_ref().map(|video| video.picture.frame_rate);
    let timecode = facts.timecode.clone().filter(|code| rate.is_some_and(|rate| counts(code, rate)));
    Extras {
        metadata,
        chapters: if format.chapters { facts.chapters.clone() } else { Vec::new() },
        timecode: timecode.filter(|_| format.timecode),
    }
}

/// Returns whether a text is a timecode (SMPTE ST 12-1) and the frame rate is one that timecodes count.
fn counts(code: &str, rate: Ratio) -> bool {
    let shape = code.len() == 11
        && code.bytes().enumerate().all(|(i, byte)| match i {
            2 | 5 => byte == b':',
            8 => matches!(byte, b':' | b';' | b'.'),
            _ => byte.is_ascii_digit(),
        });
    let rate = rate.as_f64();
    let nominal = [24.0, 25.0, 30.0, 48.0, 50.0, 60.0, 100.0, 120.0, 150.0];
    shape && nominal.iter().any(|n| (rate - n).abs() < 1e-3 || (rate - n / 1.001).abs() < 1e-3)
}

#[cfg(test)]
mod tests {
    use millrace_formats::CONTAINERS;

    use super::*;

    #[test]
    fn the_location_of_the_recording_is_copied_only_on_request() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let facts = SourceFacts {
            metadata: vec![
                pair("TITLE", "A film"),
                pair("encoder", "x"),
                pair("com.apple.quicktime.location.ISO6709", "+48.8577+002.295/"),
            ],
            ..SourceFacts::default()
        };
        assert_eq!(copied(&facts, CONTAINERS[0], false).metadata, HashMap::from([pair("title", "A film")]));
        assert_eq!(copied(&facts, CONTAINERS[0], true).metadata["location"], "+48.8577+002.295/");
    }

    #[test]
    fn a_timecode_is_one_that_the_rate_can_count() {
        let pal = Ratio { num: 25, den: 1 };
        assert!(counts("01:00:00:00", pal));
        assert!(counts("01:00:00;00", Ratio { num: 30_000, den: 1001 }));
        assert!(!counts("01:00:00:00", Ratio { num: 1000, den: 33 }));
        assert!(!counts("1:00:00:00", pal));
        assert!(!counts("01:00:00:0x", pal));
    }
}
