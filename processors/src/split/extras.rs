//! Metadata, chapters and timecode of an output. Pure.

use std::collections::HashMap;

use millrace_profiles::Wanted;
use millrace_schemas::{Extras, Ratio, SourceFacts};

/// The metadata keys of the location of the recording: libavformat's, and Apple's.
const LOCATIONS: [&str; 3] = ["location", "location-eng", "com.apple.quicktime.location.iso6709"];
/// The greatest length of a metadata value, in characters, since records carry it.
const LONGEST: usize = 1000;

/// Returns what an output in this format copies from its source. The location is private, and is copied only if `keep_location` is set.
pub(super) fn copied(facts: &SourceFacts, wanted: &Wanted, keep_location: bool) -> Extras {
    let format = wanted.container;
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
    // It counts the source's pictures.
    let rate = facts.video.as_ref().and_then(|video| {
        let made = wanted.video_settings(&video.picture)?.frame_rate;
        (made == video.picture.frame_rate).then_some(made)
    });
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
    use millrace_formats::{CONTAINERS, TABLES};
    use millrace_profiles::Profile;
    use millrace_schemas::{Picture, VideoTrack};

    use super::*;

    #[test]
    fn the_location_of_the_recording_is_copied_only_on_request() {
        let mp4 = Wanted::of(CONTAINERS[0]);
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let facts = SourceFacts {
            metadata: vec![
                pair("TITLE", "A film"),
                pair("encoder", "x"),
                pair("com.apple.quicktime.location.ISO6709", "+48.8577+002.295/"),
            ],
            ..SourceFacts::default()
        };
        assert_eq!(copied(&facts, &mp4, false).metadata, HashMap::from([pair("title", "A film")]));
        assert_eq!(copied(&facts, &mp4, true).metadata["location"], "+48.8577+002.295/");
    }

    #[test]
    fn a_timecode_goes_with_the_frame_rate_that_it_counts() {
        let pal = Ratio { num: 25, den: 1 };
        let picture = Picture::plain((64, 48), pal, Ratio { num: 1, den: 1000 });
        let facts = SourceFacts {
            timecode: Some("01:00:00:00".into()),
            video: Some(VideoTrack::new(0, picture, (0, 1000))),
            ..SourceFacts::default()
        };
        let of = |rate: &str| {
            let text =
                format!("[video.a]\ncodec = \"h264\"\nframe_rate = {rate}\n[[output]]\nformat = \"mov\"");
            let wanted = Profile::from_toml(&text).unwrap().wanted(&TABLES).unwrap();
            copied(&facts, &wanted[0], false).timecode
        };
        assert_eq!(of("25"), facts.timecode);
        assert_eq!(of("{ most = 30 }"), facts.timecode);
        assert_eq!(of("50"), None);
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
