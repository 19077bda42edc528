//! Validation of the facts that a media process replies about a source. Each number is bounded here, and nowhere else. Pure.
//!
//! The process has read an untrusted file, and the file may have taken control of it. Numbers that ordinary files have wrong, such
//! as a duration that a header overstates, are brought into range. Numbers that no source has are an error.

use millrace_schemas::{AudioTrack, CodedStream, Picture, Ratio, TrackTags, VideoTrack};

use crate::protocol::Inspected;

/// The longest source, in seconds: a year.
const LONGEST_SECONDS: f64 = 31_536_000.0;
/// The longest time from the last keyframe of an index to the end of the track, in seconds: a day.
const LONGEST_GROUP_SECONDS: f64 = 86_400.0;
/// The largest absolute value of a time in ticks: 36 years of a clock of nanoseconds.
const MOST_TICKS: i64 = 1 << 60;
/// The largest width and height, in pixels.
const LARGEST_SIDE: i32 = 1 << 16;
/// The largest number of streams.
const MOST_STREAMS: usize = 1000;
/// The largest number of sound tracks, and of auxiliary tracks.
const MOST_TRACKS: usize = 100;
/// The largest number of metadata entries, chapters, and messages of each kind.
const MOST_ENTRIES: usize = 500;
/// The largest number of keyframes.
const MOST_KEYFRAMES: usize = 1_000_000;
/// The largest number of timestamp discontinuities.
const MOST_JUMPS: usize = 10_000;
/// The largest number of codec headers.
const MOST_STATES: usize = 64;
/// The largest codec headers of a stream, in bytes.
pub(crate) const LARGEST_HEADERS: usize = 64 << 10;
/// The longest name, in characters.
const LONGEST_NAME: usize = 200;
/// The longest text, in characters.
const LONGEST_TEXT: usize = 10_000;
/// The largest number of samples per byte of sound that is cut into segments: less than 400 bits per second.
const SAMPLES_A_BYTE: i64 = 1024;

impl Inspected {
    /// Returns these facts of a source of `bytes` bytes with all numbers and texts in range.
    ///
    /// # Errors
    /// If no source has these facts. The message says which.
    pub fn bounded(mut self, bytes: i64) -> Result<Self, String> {
        self.container = line(&self.container, LONGEST_NAME);
        self.duration_seconds = seconds(self.duration_seconds);
        self.bit_rate = self.bit_rate.max(0);
        self.streams.truncate(MOST_STREAMS);
        for stream in &mut self.streams {
            stream.kind = line(&stream.kind, LONGEST_NAME);
            stream.codec = line(&stream.codec, LONGEST_NAME);
            stream.language = stream.language.as_deref().map(|text| line(text, LONGEST_NAME));
            stream.pixel_format = stream.pixel_format.as_deref().map(|text| line(text, LONGEST_NAME));
            stream.frame_rate = stream.frame_rate.filter(|rate| rate.is_finite());
            stream.duration_seconds = seconds(stream.duration_seconds);
        }
        self.facts.metadata.truncate(MOST_ENTRIES);
        for (key, value) in &mut self.facts.metadata {
            *key = line(key, LONGEST_NAME);
            *value = lines(value, LONGEST_TEXT);
        }
        self.facts.timecode = self.facts.timecode.as_deref().map(|text| line(text, LONGEST_NAME));
        for all in [&mut self.facts.warnings, &mut self.facts.left_out] {
            all.truncate(MOST_ENTRIES);
            all.iter_mut().for_each(|text| *text = line(text, 5 * LONGEST_NAME));
        }
        self.facts.chapters.truncate(MOST_ENTRIES);
        for chapter in &mut self.facts.chapters {
            chapter.title = line(&chapter.title, LONGEST_NAME);
            chapter.start_seconds = within(chapter.start_seconds, LONGEST_SECONDS);
            chapter.end_seconds = within(chapter.end_seconds, LONGEST_SECONDS);
        }
        if self.facts.discontinuities.len() > MOST_JUMPS {
            return Err(format!("its timestamps have more than {MOST_JUMPS} discontinuities: it is damaged"));
        }
        if !self.facts.discontinuities.iter().all(|jump| is_in_range(*jump)) {
            return Err("its timestamps have a discontinuity that is out of range".into());
        }
        self.facts.audio.truncate(MOST_TRACKS);
        self.facts.auxiliary.truncate(MOST_TRACKS);
        for side in &mut self.facts.auxiliary {
            bound_tags(&mut side.tags);
            side.codec = line(&side.codec, LONGEST_NAME);
        }
        self.facts.video = self.facts.video.map(bounded_video).transpose()?;
        for facts in &mut self.facts.audio {
            bound_sound(facts, bytes)?;
        }
        if self.facts.auxiliary.iter().any(|side| side.stream < 0) {
            return Err("the index of a stream is out of range".into());
        }
        Ok(self)
    }
}

/// Brings the facts of a video track into range.
fn bounded_video(mut facts: VideoTrack) -> Result<VideoTrack, String> {
    check_streams(facts.stream, &facts.more_streams)?;
    let picture = &mut facts.picture;
    if !is_size(picture.width, picture.height, 0)
        || facts.shape.as_ref().is_some_and(|shape| !is_size(shape.width, shape.height, 1))
    {
        return Err(format!("pictures of {}x{} are out of range", picture.width, picture.height));
    }
    bound_clocks(picture)?;
    if !is_in_range(facts.first) {
        return Err("the time of its first picture is out of range".into());
    }
    let tick = picture.time_base.as_f64();
    // The cast saturates, and the clamp bounds the result.
    let ticks = |seconds: f64| ((seconds / tick) as i64).clamp(1, MOST_TICKS);
    if facts.keyframes.len() > MOST_KEYFRAMES || facts.keyframes.iter().any(|key| !is_in_range(key.pts)) {
        return Err("the number of its keyframes, or the time of one, is out of range".into());
    }
    facts.keyframes.sort_by_key(|key| key.pts);
    facts.keyframes.dedup_by_key(|key| key.pts);
    // The stated end is at most a day after the last keyframe.
    let mut longest = facts.first.saturating_add(ticks(LONGEST_SECONDS));
    if let Some(last) = facts.keyframes.last() {
        longest = longest.min(last.pts.max(facts.first).saturating_add(ticks(LONGEST_GROUP_SECONDS)));
    }
    facts.end = facts.end.clamp(facts.first, longest);
    facts.last_time = facts.last_time.clamp(-MOST_TICKS, MOST_TICKS);
    facts.longest_gap = facts.longest_gap.clamp(0, MOST_TICKS);
    if facts.states.len() > MOST_STATES || facts.states.iter().any(|state| state.len() > LONGEST_TEXT) {
        return Err("the number or the size of its codec headers is out of range".into());
    }
    bound_coded(&mut facts.coded)?;
    Ok(facts)
}

/// Brings the facts of a sound track of a source of `bytes` bytes into range.
fn bound_sound(facts: &mut AudioTrack, bytes: i64) -> Result<(), String> {
    check_streams(facts.stream, &facts.more_streams)?;
    bound_tags(&mut facts.tags);
    let sound = &mut facts.sound;
    if !(1..=10_000_000).contains(&sound.sample_rate) || !(1..=1024).contains(&sound.channels) {
        return Err(format!(
            "sound of {} samples a second and {} channels is out of range",
            sound.sample_rate, sound.channels
        ));
    }
    sound.layout = line(&sound.layout, LONGEST_NAME);
    bound_coded(&mut facts.coded)?;
    facts.seconds = seconds(facts.seconds);
    let most_us = (LONGEST_SECONDS * 1e6) as i64;
    facts.start_us = facts.start_us.clamp(-most_us, most_us);
    let longest = (LONGEST_SECONDS * f64::from(sound.sample_rate)) as i64;
    facts.samples = facts.samples.clamp(0, longest);
    // A track with more samples than its bytes can hold is not cut into segments.
    let most_samples = bytes.max(0).saturating_mul(SAMPLES_A_BYTE);
    facts.first = facts.first.filter(|first| is_in_range(*first) && facts.samples <= most_samples);
    Ok(())
}

/// Brings what is said of the coding of a track into range.
fn bound_coded(coded: &mut CodedStream) -> Result<(), String> {
    if !is_size(coded.width, coded.height, 0) || coded.headers.len() > LARGEST_HEADERS {
        return Err("the size of its coded pictures, or of its codec headers, is out of range".into());
    }
    coded.codec = line(&coded.codec, LONGEST_NAME);
    coded.bit_rate = coded.bit_rate.max(0);
    coded.keyframe_seconds = coded.keyframe_seconds.filter(|seconds| *seconds >= 0.0);
    coded.obstacle = coded.obstacle.as_deref().map(|text| line(text, 5 * LONGEST_NAME));
    Ok(())
}

/// Checks the clock of a video track, and replaces a frame rate that is no positive number by 25.
fn bound_clocks(picture: &mut Picture) -> Result<(), String> {
    let is_positive = |ratio: Ratio| ratio.num > 0 && ratio.den > 0;
    if !is_positive(picture.time_base) {
        return Err("the time base of its pictures is not a positive number".into());
    }
    if !is_positive(picture.frame_rate) {
        picture.frame_rate = Ratio { num: 25, den: 1 };
    }
    Ok(())
}

/// Checks the stream indexes of a track.
fn check_streams(stream: i32, also: &[i32]) -> Result<(), String> {
    if stream < 0 || also.len() > MOST_STREAMS || also.iter().any(|stream| *stream < 0) {
        return Err("the index of a stream is out of range".into());
    }
    Ok(())
}

/// Whether a width and a height in pixels are in range, from `least` on.
fn is_size(width: i32, height: i32, least: i32) -> bool {
    (least..=LARGEST_SIDE).contains(&width) && (least..=LARGEST_SIDE).contains(&height)
}

/// Whether a time in ticks is in range.
fn is_in_range(ticks: i64) -> bool {
    (-MOST_TICKS..=MOST_TICKS).contains(&ticks)
}

/// Returns a duration in seconds, from 0 to [`LONGEST_SECONDS`].
fn seconds(value: f64) -> f64 {
    within(value, LONGEST_SECONDS).max(0.0)
}

/// Returns a number from `-most` to `most`; 0 if it is not finite.
fn within(value: f64, most: f64) -> f64 {
    if value.is_finite() { value.clamp(-most, most) } else { 0.0 }
}

/// Brings the texts of a track's tags into range.
fn bound_tags(tags: &mut TrackTags) {
    tags.language = line(&tags.language, LONGEST_NAME);
    tags.title = line(&tags.title, LONGEST_NAME);
}

/// Returns at most `most` characters of a text in one line. Control characters, which could move a terminal's cursor or end a line
/// of a log, become spaces.
fn line(text: &str, most: usize) -> String {
    text.chars().take(most).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Returns at most `most` characters of a text in several lines. Control characters other than line feeds and tabs become spaces.
fn lines(text: &str, most: usize) -> String {
    let plain = |c: char| if c.is_control() && !matches!(c, '\n' | '\t') { ' ' } else { c };
    text.chars().take(most).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use millrace_schemas::{Keyframe, Seek, SeekBy, Sound, SourceFacts};

    use super::*;

    fn found() -> Inspected {
        Inspected {
            container: "matroska,webm".into(),
            duration_seconds: 4.0,
            bit_rate: 0,
            streams: Vec::new(),
            facts: SourceFacts::default(),
            bytes_read: 0,
        }
    }

    fn with(facts: SourceFacts) -> Inspected {
        Inspected { facts, ..found() }
    }

    fn pictures(end: i64) -> VideoTrack {
        let key = |pts| Keyframe { pts, seek: Seek { by: SeekBy::Time, at: pts, state: 0 } };
        let picture = Picture::plain((64, 64), Ratio { num: 25, den: 1 }, Ratio { num: 1, den: 1000 });
        let keyframes = vec![key(2000), key(0), key(2000)];
        VideoTrack { keyframes, trusted: true, ..VideoTrack::new(0, picture, (0, end)) }
    }

    fn sound(samples: i64) -> AudioTrack {
        AudioTrack {
            stream: 0,
            sound: Sound { sample_rate: 48_000, channels: 2, layout: "stereo".into() },
            samples,
            first: Some(0),
            more_streams: Vec::new(),
            seconds: 1e300,
            start_us: 0,
            tags: TrackTags { language: String::new(), title: "\x1b[2Ja".into(), dispositions: 0 },
            coded: CodedStream { codec: "\x1b".into(), bit_rate: -1, ..CodedStream::default() },
        }
    }

    #[test]
    fn a_stated_end_is_at_most_a_day_after_the_last_keyframe() {
        let bounded = |end| {
            with(SourceFacts { video: Some(pictures(end)), ..SourceFacts::default() })
                .bounded(1000)
                .unwrap()
                .facts
        };
        assert_eq!(bounded(4000).video.unwrap().end, 4000);
        let video = bounded(9_000_000_000_000_000).video.unwrap();
        assert_eq!(video.end, 2000 + 86_400_000);
        assert_eq!(video.keyframes.iter().map(|key| key.pts).collect::<Vec<_>>(), [0, 2000]);
        assert_eq!(bounded(i64::MIN).video.unwrap().end, 0);
        let endless = Inspected { duration_seconds: f64::INFINITY, ..found() };
        assert!(endless.bounded(1000).unwrap().duration_seconds <= LONGEST_SECONDS);
    }

    #[test]
    fn sound_with_more_samples_than_its_bytes_can_hold_is_not_cut() {
        let bounded = |samples| {
            let found = with(SourceFacts { audio: vec![sound(samples)], ..SourceFacts::default() });
            found.bounded(1_000_000).unwrap().facts.audio.remove(0)
        };
        assert_eq!(bounded(48_000_000).first, Some(0));
        let claimed = bounded(i64::MAX);
        assert_eq!((claimed.first, claimed.samples), (None, 31_536_000 * 48_000));
        assert_eq!(claimed.seconds, LONGEST_SECONDS);
        assert_eq!(claimed.tags.title, " [2Ja");
    }

    #[test]
    fn facts_that_no_source_has_are_an_error() {
        let wrong = |change: fn(&mut VideoTrack)| {
            let mut video = pictures(4000);
            change(&mut video);
            with(SourceFacts { video: Some(video), ..SourceFacts::default() }).bounded(1000).unwrap_err()
        };
        assert!(wrong(|video| video.first = i64::MIN).contains("first picture"));
        assert!(wrong(|video| video.picture.time_base.den = 0).contains("time base"));
        assert!(wrong(|video| video.picture.width = -4).contains("out of range"));
        assert!(wrong(|video| video.stream = -1).contains("index of a stream"));
        assert!(wrong(|video| video.keyframes[0].pts = i64::MAX).contains("keyframes"));
        let jumps = with(SourceFacts { discontinuities: vec![1; MOST_JUMPS + 1], ..SourceFacts::default() });
        assert!(jumps.bounded(1000).unwrap_err().contains("discontinuities"));
    }

    #[test]
    fn texts_are_short_and_have_no_control_characters() {
        let title = ("title".to_owned(), format!("\x1b]0;x\x07{}\n2", "a".repeat(20_000)));
        let warnings = vec!["a\nb\r".into()];
        let found = with(SourceFacts { metadata: vec![title; 1000], warnings, ..SourceFacts::default() });
        let found = found.bounded(1000).unwrap().facts;
        assert_eq!((found.metadata.len(), found.metadata[0].1.len()), (MOST_ENTRIES, LONGEST_TEXT));
        assert!(found.metadata[0].1.starts_with(" ]0;x a"));
        assert_eq!(found.warnings, ["a b "]);
    }
}
