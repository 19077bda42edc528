//! The proof of a container with a movie box (ISO/IEC 14496-12): its boxes are read, not what a demuxer makes of them.

use super::{
    expected::{Expected, unproven},
    found::Found,
    sound::as_many,
};
use crate::{
    boxes::{Movie, Presentation, Track},
    child::{
        codec::{self, AudioCodec},
        failure::Failure,
        mux::is_cover,
        source::Source,
    },
    timeline::{Clock, rescale_timestamp},
};

/// Holds what the boxes of a movie state to what was put in.
pub(super) fn by_boxes(
    source: &Source,
    (expected, movie_ticks): (&[Expected], i64),
    found: &mut [Found],
) -> Result<(), Failure> {
    let movie = movie(source, expected)?;
    if i64::from(movie.timescale) != movie_ticks {
        return Err(unproven(format!("its clock has {} ticks instead of {movie_ticks}", movie.timescale)));
    }
    // A cover is no track, but lies in the header.
    let in_movie = expected.iter().zip(found).filter(|(track, _)| !is_cover(&track.header));
    for (i, (track, found)) in in_movie.enumerate() {
        presentation(&movie, i, track, found)?;
    }
    let longest = movie.tracks.iter().map(|track| track.tkhd_duration).max().unwrap_or(0);
    // Tracks of other clocks are rounded.
    if movie.duration.abs_diff(longest) > u64::from(movie.timescale / 1000) {
        let says = movie.duration;
        return Err(unproven(format!("it says that it is {says} ticks long instead of {longest}")));
    }
    Ok(())
}

/// What an mp4's own boxes say.
fn movie(source: &Source, expected: &[Expected]) -> Result<Movie, Failure> {
    // Between two texts lies an empty one.
    let most = expected.iter().map(|track| 2 * track.packets.len() as u64 + 2).sum();
    let tracks = expected.iter().filter(|track| !is_cover(&track.header)).count();
    let movie = source.movie(most).filter(|movie| movie.tracks.len() >= tracks);
    movie.ok_or_else(|| unproven("its boxes can't be read".into()))
}

/// AU-1: what an mp4's edit list shows of a track is what was put in: from its first picture or sample to the end of its last.
fn presentation(movie: &Movie, i: usize, track: &Expected, found: &mut Found) -> Result<(), Failure> {
    if track.header.side.is_some() {
        return Ok(());
    }
    let what = track.what();
    let file = movie.tracks.get(i).ok_or_else(|| unproven("a track is missing".into()))?;
    let shown = file.presentation(movie);
    let shown = shown.ok_or_else(|| unproven(format!("the edit list of its {what} is not as written")))?;
    entry(file, track)?;
    counted(file, track)?;
    let ticks = |time: u64, timescale: u32| {
        let clock = Clock { num: 1, den: i64::from(timescale) };
        rescale_timestamp(i64::try_from(time).unwrap_or(i64::MAX), clock, (0, clock), track.clock)
    };
    let start = ticks(shown.start, movie.timescale);
    let at_zero = |pts: i64| pts - shown.media_time + start;
    for ((pts, _), (asked, _)) in file.samples.times.iter().zip(&track.packets) {
        if at_zero(*pts) != *asked {
            return Err(unproven(format!(
                "its index has {what} at {} ticks instead of {asked}",
                at_zero(*pts)
            )));
        }
    }
    let first = track.packets.iter().map(|packet| packet.0).min().unwrap_or(0) + track.header.padding;
    let end = ticks(shown.start, movie.timescale) + ticks(shown.length, shown.length_timescale);
    // A movie clock that is no multiple of the track's is rounded.
    let slack = i64::from(!u64::from(movie.timescale).is_multiple_of(u64::from(file.timescale)));
    if (start - first).abs() > slack || (end - track.ends).abs() > slack {
        return Err(unproven(format!(
            "its {what} are shown from {start} to {end} ticks instead of {first} to {}",
            track.ends
        )));
    }
    lengths(movie, file, end, track)?;
    (found.first, found.end) = (start, Some(end));
    skipped_samples(&shown, file, found).map_or(Ok(()), |skipped| as_many(track, found, skipped))
}

/// What the headers of a track state outside of its codec headers: its clock, its sample rate, its codec.
pub(super) fn entry(file: &Track, track: &Expected) -> Result<(), Failure> {
    let what = track.what();
    if i128::from(file.timescale) * i128::from(track.clock.num) != i128::from(track.clock.den) {
        let (found, asked) = (file.timescale, track.clock);
        return Err(unproven(format!(
            "the clock of its {what} has {found} ticks a second instead of {}/{}",
            asked.den, asked.num
        )));
    }
    if let Some(audio) = &track.header.audio {
        // A rate beyond its 16 bits is not stated there (ISO/IEC 14496-12, 12.2.3); QuickTime then has 1 there, and the rate behind it
        // (QuickTime File Format, "Sound Sample Description, Version 2").
        let asked = u16::try_from(audio.sample_rate).unwrap_or(0);
        if file.sample_rate != Some(asked) && (asked > 0 || file.sample_rate != Some(1)) {
            let found = file.sample_rate.map_or("none".into(), |rate| rate.to_string());
            return Err(unproven(format!(
                "the sample rate in the sample entry of its sound is {found} instead of {asked}"
            )));
        }
    }
    if let Some(video) = &track.header.video
        && !codec::video(video)?.entry_agrees(video, &file.entry)
    {
        return Err(unproven(
            "the sample entry of its pictures states another codec than its settings".into(),
        ));
    }
    Ok(())
}

/// The index lists as many packets as were put in; of PCM, a sample for each time, whatever its packets were.
fn counted(file: &Track, track: &Expected) -> Result<(), Failure> {
    let (found, asked) = if is_divided(track) {
        if !file.samples.is_each_tick {
            return Err(unproven("its index does not list each sample of its sound by itself".into()));
        }
        (file.samples.count, u64::try_from(track.sum.units).unwrap_or(0))
    } else {
        (file.samples.times.len() as u64, track.packets.len() as u64)
    };
    if found != asked {
        return Err(unproven(format!("its index lists {found} {} instead of {asked}", track.what())));
    }
    Ok(())
}

/// Returns `true` if a movie divides the packets of a track as it likes.
pub(super) fn is_divided(track: &Expected) -> bool {
    track.codec.audio().is_some_and(AudioCodec::is_uncompressed)
}

/// How many samples of an mp4's packets its edit list does not show before the first one; `None` without packets.
fn skipped_samples(shown: &Presentation, file: &Track, found: &Found) -> Option<i64> {
    let each_tick = file.samples.is_each_tick.then_some(0);
    let first = each_tick.or(file.samples.times.first().map(|(first, _)| *first))?;
    Some(found.as_samples(shown.media_time - first))
}

/// An mp4 says in several places how long a track is: all of them are true. `end` is when it ends in ticks of the track.
fn lengths(movie: &Movie, file: &Track, end: i64, track: &Expected) -> Result<(), Failure> {
    let what = track.what();
    let first = track.packets.iter().map(|packet| packet.0).min().unwrap_or(0);
    let wrong = |where_: &str, found: i64, asked: i64| {
        Err(unproven(format!("{where_} of its {what} is {found} ticks instead of {asked}")))
    };
    let last = file.samples.times.last().map_or(0, |(_, length)| i64::from(*length));
    if last != track.last_length && !is_divided(track) {
        return wrong("the length of the last", last, track.last_length);
    }
    let (media, asked) = (i64::try_from(file.media_duration).unwrap_or(i64::MAX), track.media_end - first);
    if media != asked {
        return wrong("the length in the media header", media, asked);
    }
    let clock = Clock { num: 1, den: i64::from(movie.timescale) };
    let (whole, asked) = (
        i64::try_from(file.tkhd_duration).unwrap_or(i64::MAX),
        rescale_timestamp(end, track.clock, (0, clock), clock),
    );
    // A coarse clock of the source is rounded.
    if (whole - asked).abs() > i64::from(movie.timescale / 1000) {
        return wrong("the length in the track header", whole, asked);
    }
    Ok(())
}
