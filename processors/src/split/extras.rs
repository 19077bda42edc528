//! Metadata, chapters and timecode of an output. Pure.

use std::collections::HashMap;

use millrace_profiles::Wanted;
use millrace_schemas::{Extras, SourceFacts};

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
    Extras {
        metadata,
        chapters: if format.chapters { facts.chapters.clone() } else { Vec::new() },
        timecode: wanted.timecode(facts),
    }
}

/// Returns what is to be said of a source's timecode that an output lacks, though its format holds one; `None` if there is nothing.
pub(super) fn timecode_remark(facts: &SourceFacts, wanted: &Wanted) -> Option<String> {
    let (code, video) = (facts.timecode.as_ref()?, facts.video.as_ref()?);
    let made = wanted.video_settings(&video.picture).filter(|_| wanted.container.timecode)?.frame_rate;
    let is_other = made != video.picture.frame_rate && wanted.timecode(facts).is_none();
    is_other.then(|| {
        let rate = made.as_f64();
        format!("the timecode {code} is left out: it can't be counted exactly at {rate:.3} pictures a second")
    })
}

#[cfg(test)]
mod tests {
    use millrace_formats::{CONTAINERS, TABLES};
    use millrace_profiles::Profile;
    use millrace_schemas::{Picture, Ratio, VideoTrack};

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
    fn a_timecode_that_is_left_out_for_the_frame_rate_is_said() {
        let picture = Picture::plain((64, 48), Ratio { num: 25, den: 1 }, Ratio { num: 1, den: 1000 });
        let facts = SourceFacts {
            timecode: Some("01:00:00:00".into()),
            video: Some(VideoTrack::new(0, picture, (0, 1000))),
            ..SourceFacts::default()
        };
        let of = |rate: &str, format: &str| {
            let text = format!(
                "[video.a]\ncodec = \"h264\"\nframe_rate = {rate}\n[[output]]\nformat = \"{format}\""
            );
            let wanted = Profile::from_toml(&text).unwrap().wanted(&TABLES).unwrap();
            (copied(&facts, &wanted[0], false).timecode, timecode_remark(&facts, &wanted[0]))
        };
        assert_eq!(of("50", "mov"), (facts.timecode.clone(), None));
        let (code, remark) = of("29.97", "mov");
        assert!(code.is_none() && remark.unwrap().contains("01:00:00:00 is left out"));
        assert_eq!(of("29.97", "flv"), (None, None), "flv holds none at any rate");
    }
}
