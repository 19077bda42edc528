//! The part of a source that is used (`source.trim` of a profile), and what the source is if it is only that part. Pure.

use millrace_formats::Container;
use millrace_profiles::{TrimTimes, Wanted};
use millrace_schemas::{AudioTrack, Chapter, Ratio, SourceFacts, Trim, VideoTrack};

use super::{ranks::audio_ranks, timecode};
use crate::request::tables;

/// Returns the part of a source that is used. Its times are counted from the earliest start of the tracks that these outputs hold.
///
/// # Errors
/// If the source ends before the part begins, with its duration.
pub(super) fn resolve(asked: &TrimTimes, facts: &SourceFacts, wanted: &[Wanted]) -> Result<Trim, String> {
    let spans = spans(facts, wanted);
    let zero = spans.iter().map(|span| span.0).min().unwrap_or(0);
    let trim = asked.within(zero);
    let ends: Option<Vec<i64>> = spans.iter().map(|span| span.1).collect();
    match ends.and_then(|ends| ends.into_iter().max()) {
        Some(end) if trim.from >= end => Err(format!(
            "source.trim: it begins at {}, and the source is {:.3} s long; let it begin before",
            asked.from.unwrap_or(millrace_profiles::Seconds(0.0)),
            (end - zero) as f64 / 1e6,
        )),
        _ => Ok(trim),
    }
}

/// Returns when time zero of these outputs is, in seconds of the source's clock: the earliest start of the tracks that they hold.
pub(super) fn zero(facts: &SourceFacts, wanted: &[Wanted]) -> f64 {
    spans(facts, wanted).iter().map(|span| span.0).min().unwrap_or(0) as f64 / 1e6
}

/// Returns the duration of the tracks that these outputs hold, in seconds; `None` if it is not known of all of them.
pub(super) fn duration(facts: &SourceFacts, wanted: &[Wanted]) -> Option<f64> {
    let spans = spans(facts, wanted);
    let zero = spans.iter().map(|span| span.0).min()?;
    let ends: Option<Vec<i64>> = spans.iter().map(|span| span.1).collect();
    Some((ends?.into_iter().max()? - zero).max(0) as f64 / 1e6)
}

/// Returns the starts and ends in microseconds of the tracks of pictures and sound that these outputs hold. An end is `None` if the
/// source does not state it. Starts are rounded down, so that a time that is counted from them is at no later picture than its own.
fn spans(facts: &SourceFacts, wanted: &[Wanted]) -> Vec<(i64, Option<i64>)> {
    let held = |video: &&VideoTrack| wanted.iter().any(|w| w.video_settings(&video.picture).is_some());
    let video = facts.video.as_ref().filter(held).map(|video| {
        let Ratio { num, den } = video.picture.time_base;
        let (num, den) = (i128::from(num) * 1_000_000, i128::from(den.max(1)));
        let start = (i128::from(video.first) * num).div_euclid(den);
        let end = -((-i128::from(video.end) * num).div_euclid(den));
        (saturated(start), (video.end > video.first).then(|| saturated(end)))
    });
    let holds = |container: &Container, rank: usize| rank < container.audio.most;
    let sounds = audio_ranks(&facts.audio).into_iter().zip(&facts.audio).filter(|(rank, sound)| {
        wanted.iter().any(|w| {
            holds(w.container, *rank) && w.sound(tables(), sound, false).map_or(true, |all| !all.is_empty())
        })
    });
    let sounds = sounds.map(|(_, sound)| {
        let end = sound.start_us.saturating_add((sound.seconds * 1e6) as i64);
        (sound.start_us, (sound.seconds > 0.0).then_some(end))
    });
    video.into_iter().chain(sounds).collect()
}

fn saturated(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

/// Returns what a source is if it is only this part.
pub(super) fn cut(facts: &SourceFacts, trim: Trim) -> SourceFacts {
    let mut facts = facts.clone();
    if let Some(video) = &mut facts.video {
        facts.timecode = facts.timecode.take().and_then(|code| timecode::moved(&code, video, trim));
        cut_video(video, trim);
    }
    facts.audio.iter_mut().for_each(|sound| cut_sound(sound, trim));
    facts.chapters.retain_mut(|chapter| cut_chapter(chapter, trim));
    facts
}

fn cut_video(video: &mut VideoTrack, trim: Trim) {
    let Ratio { num, den } = video.picture.time_base;
    let (from, to) = trim.ticks((i64::from(num), i64::from(den)));
    video.first = video.first.max(from);
    video.end = to.map_or(video.end, |to| video.end.min(to)).max(video.first);
}

fn cut_sound(sound: &mut AudioTrack, trim: Trim) {
    let rate = i64::from(sound.sound.sample_rate);
    let (from, to) = trim.samples(rate);
    let starts = Trim { from: sound.start_us, to: None }.samples(rate).0;
    let first = sound.first.unwrap_or(starts);
    let begins = first.max(from);
    let end = first.saturating_add(sound.samples);
    let samples = to.map_or(end, |to| end.min(to)).saturating_sub(begins).max(0);
    // How long it is where its samples are not known.
    let end_us = sound.start_us.saturating_add((sound.seconds * 1e6) as i64);
    let start_us = sound.start_us.max(trim.from);
    let lasts = trim.to.map_or(end_us, |to| end_us.min(to)).saturating_sub(start_us).max(0);
    sound.first = sound.first.map(|_| begins);
    sound.samples = samples;
    sound.seconds = lasts as f64 / 1e6;
    sound.start_us = start_us;
}

/// Cuts a chapter; returns `false` if nothing is left of it.
fn cut_chapter(chapter: &mut Chapter, trim: Trim) -> bool {
    let seconds = |micros: i64| micros as f64 / 1e6;
    let (from, to) = (seconds(trim.from), trim.to.map_or(f64::INFINITY, seconds));
    // A chapter without a length is there if its time is.
    if chapter.start_seconds >= to || (chapter.end_seconds <= from && chapter.start_seconds < from) {
        return false;
    }
    chapter.start_seconds = chapter.start_seconds.max(from);
    chapter.end_seconds = chapter.end_seconds.min(to).max(chapter.start_seconds);
    true
}

#[cfg(test)]
mod tests {
    use millrace_formats::CONTAINERS;
    use millrace_profiles::Profile;
    use millrace_schemas::{Picture, Sound};
    use proptest::prelude::*;

    use super::*;

    fn asked(text: &str) -> TrimTimes {
        let profile = format!("[[output]]\nformat = \"mp4\"\n[source]\ntrim = {text}");
        Profile::from_toml(&profile).unwrap().source.trim.unwrap()
    }

    /// Video from 1.4 s to 11.4 s, and audio that begins 0.1 s earlier and is 20 s long.
    fn facts() -> SourceFacts {
        let picture = Picture::plain((64, 36), Ratio { num: 25, den: 1 }, Ratio { num: 1, den: 90_000 });
        let sound = Sound { sample_rate: 48_000, channels: 2, layout: String::new() };
        let chapter = |start_seconds, end_seconds| Chapter { start_seconds, end_seconds, title: "c".into() };
        SourceFacts {
            video: Some(VideoTrack::new(0, picture, (126_000, 126_000 + 900_000))),
            audio: vec![AudioTrack {
                stream: 1,
                sound,
                samples: 960_000,
                first: Some(62_400),
                seconds: 20.0,
                start_us: 1_300_000,
                ..AudioTrack::default()
            }],
            chapters: vec![chapter(0.0, 3.0), chapter(3.0, 6.0), chapter(6.0, 11.0), chapter(11.0, 21.0)],
            timecode: Some("01:00:00:00".into()),
            ..SourceFacts::default()
        }
    }

    #[test]
    fn time_zero_is_the_earliest_start_of_the_tracks_that_outputs_hold() {
        let both = [Wanted::of(CONTAINERS[0])];
        let trim = resolve(&asked("{ from = 2, to = \"5s\" }"), &facts(), &both).unwrap();
        assert_eq!(trim, Trim { from: 3_300_000, to: Some(6_300_000) });
        let silent = Profile::from_toml("[[output]]\nformat = \"mp4\"\naudio = \"none\"").unwrap();
        let silent = silent.wanted(&millrace_formats::TABLES).unwrap();
        assert_eq!(resolve(&asked("{ from = 2 }"), &facts(), &silent).unwrap().from, 3_400_000);
        assert_eq!((duration(&facts(), &both), duration(&facts(), &silent)), (Some(20.0), Some(10.0)));
    }

    #[test]
    fn a_part_behind_the_end_is_refused_with_the_duration() {
        let both = [Wanted::of(CONTAINERS[0])];
        let refused = resolve(&asked("{ from = \"20s\" }"), &facts(), &both).unwrap_err();
        assert!(refused.contains("begins at 20s, and the source is 20.000 s long"), "{refused}");
        assert!(resolve(&asked("{ from = 19.9 }"), &facts(), &both).is_ok());
        let mut unknown = facts();
        unknown.audio[0].seconds = 0.0;
        assert!(resolve(&asked("{ from = 100 }"), &unknown, &both).is_ok(), "it may be as long as that");
    }

    #[test]
    fn a_source_is_planned_as_if_it_were_only_the_part() {
        let cut = cut(&facts(), Trim { from: 3_300_000, to: Some(6_300_000) });
        let video = cut.video.as_ref().unwrap();
        assert_eq!((video.first, video.end), (297_000, 567_000));
        let sound = &cut.audio[0];
        assert_eq!((sound.first, sound.samples), (Some(158_400), 144_000));
        assert_eq!((sound.start_us, sound.seconds), (3_300_000, 3.0));
        let chapters: Vec<_> = cut.chapters.iter().map(|c| (c.start_seconds, c.end_seconds)).collect();
        assert_eq!(chapters, [(3.3, 6.0), (6.0, 6.3)]);
        // 47.5 pictures were before it: the 49th is the first one.
        assert_eq!(cut.timecode.as_deref(), Some("01:00:01:23"));
        assert_eq!(duration(&cut, &[Wanted::of(CONTAINERS[0])]), Some(3.0));
        let behind = super::cut(&facts(), Trim { from: 15_000_000, to: None });
        let video = behind.video.as_ref().unwrap();
        assert_eq!((video.end - video.first, behind.audio[0].samples), (0, 302_400));
    }

    /// A part of as long as 16 pictures of 30000/1001 a second (0.534 s, rounded up) has 16 or 17 of them where the source's clock
    /// counts milliseconds: which one depends on how its times are rounded, and on nothing else.
    #[test]
    fn pictures_of_a_clock_in_milliseconds_are_used_by_the_times_that_the_source_has() {
        let rounded = |number: i64| 7 + (number * 1_001_000 + 15_000) / 30_000;
        let mut source = facts();
        let video = source.video.as_mut().unwrap();
        video.picture.time_base = Ratio { num: 1, den: 1000 };
        (video.first, video.end) = (rounded(0), rounded(60));
        source.audio.clear();
        let used = |text: &str| {
            let trim = resolve(&asked(text), &source, &[Wanted::of(CONTAINERS[0])]).unwrap();
            let (from, to) = trim.ticks((1, 1000));
            let part = cut(&source, trim).video.unwrap();
            assert_eq!((part.first, part.end), (from, to.unwrap()));
            (0..60).filter(|number| (from..to.unwrap()).contains(&rounded(*number))).collect::<Vec<_>>()
        };
        // A picture at the start of the part is used, and one at its end is not; a microsecond moves both.
        assert_eq!((rounded(6) - rounded(0), rounded(22) - rounded(0)), (200, 734));
        assert_eq!(used("{ from = 0.2, to = 0.734 }"), (6..22).collect::<Vec<_>>());
        assert_eq!(used("{ from = 0.2, to = 0.734001 }"), (6..23).collect::<Vec<_>>());
        assert_eq!(used("{ from = 0.200001, to = 0.734 }"), (7..22).collect::<Vec<_>>());
    }

    proptest! {
        /// What is cut is never more than what is there, whatever a source and a profile say.
        #[test]
        fn a_part_is_no_longer_than_its_source(
            from in any::<i64>(), long in 1..i64::MAX, first in any::<i64>(), samples in 0..i64::MAX,
        ) {
            let mut facts = facts();
            facts.audio[0].first = Some(first);
            facts.audio[0].samples = samples;
            facts.video.as_mut().unwrap().first = first;
            let cut = cut(&facts, Trim { from, to: Some(from.saturating_add(long)) });
            prop_assert!((0..=samples).contains(&cut.audio[0].samples));
            prop_assert!(cut.video.as_ref().unwrap().end >= cut.video.as_ref().unwrap().first);
            prop_assert!(cut.chapters.iter().all(|chapter| chapter.end_seconds >= chapter.start_seconds));
        }
    }
}
