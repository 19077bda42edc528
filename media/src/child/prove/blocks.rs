//! The proof of a container of blocks (Matroska, RFC 9559): its elements are read, not what a demuxer makes of them. Blocks state
//! presentation times alone, so decoding order is that of the file, which was held packet by packet.

use ffmpeg_next::ffi::AV_DISPOSITION_DEFAULT;

use super::{
    expected::{Expected, unproven},
    found::{Found, Media},
};
use crate::{
    child::{
        codec::{self, AudioCodec, Form},
        failure::Failure,
        mux::{LARGEST_COVER, is_cover},
        source::Source,
    },
    matroska::{Block, Cue, Segment, Track},
    timeline::{Clock, rescale_timestamp},
};

const NANOSECONDS: Clock = Clock { num: 1, den: 1_000_000_000 };

/// Holds what the elements of a file state to what was put in. Returns the length that it states, in seconds.
pub(super) fn by_blocks(source: &Source, expected: &[Expected], found: &mut [Found]) -> Result<f64, Failure> {
    let segment = segment(source, expected)?;
    let scale = Clock { num: i64::try_from(segment.scale).unwrap_or(0), den: NANOSECONDS.den };
    let count = expected.iter().filter(|track| !is_cover(&track.header)).count();
    let mut numbers: Vec<u64> = segment.tracks.iter().map(|track| track.number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    if numbers.len() != segment.tracks.len() || numbers.len() != count {
        return Err(unproven(format!("its header lists {} tracks instead of {count}", segment.tracks.len())));
    }
    let mut end = 0;
    // Covers come behind them.
    for (file, (track, found)) in segment.tracks.iter().zip(expected.iter().zip(found)) {
        if i128::from(scale.num) * i128::from(track.clock.den)
            != i128::from(scale.den) * i128::from(track.clock.num)
        {
            return Err(unproven(format!("its ticks are {} ns long", segment.scale)));
        }
        let delay = nanoseconds(file.codec_delay, track.clock);
        names(file, track)?;
        times(file, track, found, delay)?;
        match found.media {
            Media::Video(_) => pictures(file, track)?,
            Media::Audio(_) => heard(file, track, found)?,
            _ => texts(file, track)?,
        }
        end = end.max(track.media_end.saturating_add(delay));
    }
    defaults(&segment, expected)?;
    covers(&segment, expected)?;
    index(&segment, expected)?;
    let says = segment.duration.ok_or_else(|| unproven("it does not say how long it is".into()))?;
    if (says - end as f64).abs() > 0.0 {
        return Err(unproven(format!("it says that it is {says} ticks long instead of {end}")));
    }
    Ok(says * scale.num as f64 / scale.den as f64)
}

fn segment(source: &Source, expected: &[Expected]) -> Result<Segment, Failure> {
    let blocks = expected.iter().map(|track| track.packets.len() as u64).sum();
    let covers = expected.iter().filter(|track| is_cover(&track.header)).count() as u64;
    let segment = source.matroska(blocks, covers * LARGEST_COVER.cast_unsigned());
    segment.ok_or_else(|| {
        unproven(format!("it can't be read as one Segment of at most {blocks} blocks with one packet each"))
    })
}

fn nanoseconds(time: u64, clock: Clock) -> i64 {
    rescale_timestamp(i64::try_from(time).unwrap_or(i64::MAX), NANOSECONDS, (0, NANOSECONDS), clock)
}

/// Language and name of a track.
fn names(file: &Track, track: &Expected) -> Result<(), Failure> {
    let tags = track.sum.plan.tags.clone().unwrap_or_default();
    let language = if tags.language.is_empty() { "und" } else { &tags.language };
    for (what, found, asked) in
        [("language", file.language.as_str(), language), ("name", file.name.as_str(), &tags.title)]
    {
        if found != asked {
            let of = track.what();
            return Err(unproven(format!("the {what} of its {of} is '{found}' instead of '{asked}'")));
        }
    }
    Ok(())
}

/// The default tracks are the source's; of pictures and of sound the first, where the source has none.
fn defaults(segment: &Segment, expected: &[Expected]) -> Result<(), Failure> {
    let of_plan = |track: &Expected| {
        let tags = track.sum.plan.tags.as_ref();
        tags.is_some_and(|tags| tags.dispositions & AV_DISPOSITION_DEFAULT != 0)
    };
    for (i, (file, track)) in segment.tracks.iter().zip(expected).enumerate() {
        let mut alike = expected.iter().enumerate().filter(|(_, other)| other.kind() == track.kind());
        let none = track.header.side.is_none() && !alike.clone().any(|(_, other)| of_plan(other));
        let asked = of_plan(track) || none && alike.next().is_some_and(|(first, _)| first == i);
        if file.is_default != asked {
            let (of, found) = (track.what(), file.is_default);
            return Err(unproven(format!("its {of} are a default track: {found} instead of {asked}")));
        }
    }
    Ok(())
}

/// FR-1, TS-1: each packet is a block at its time, and one that decoding can begin at is marked so.
fn times(file: &Track, track: &Expected, found: &Found, delay: i64) -> Result<(), Failure> {
    let what = track.what();
    if file.blocks.len() != track.packets.len() {
        let (blocks, asked) = (file.blocks.len(), track.packets.len());
        return Err(unproven(format!("{blocks} blocks of its {what} instead of {asked}")));
    }
    for (block, (asked, _)) in file.blocks.iter().zip(&track.packets) {
        let time = block.time - delay;
        if time != *asked {
            return Err(unproven(format!("a block of its {what} is at {time} ticks instead of {asked}")));
        }
    }
    let marks = file.blocks.iter().map(|block| block.is_keyframe);
    if !marks.eq(found.keyframes.iter().copied()) {
        return Err(unproven(format!(
            "blocks of its {what} are marked as keyframes that are none, or not marked"
        )));
    }
    Ok(())
}

/// The size of the pictures, and the usual length of one.
fn pictures(file: &Track, track: &Expected) -> Result<(), Failure> {
    let Some(video) = &track.header.video else { return Ok(()) };
    let size = |pixels: i32| u64::try_from(pixels).unwrap_or(0);
    if file.size != (size(video.width), size(video.height)) {
        let ((width, height), asked) = (file.size, (video.width, video.height));
        return Err(unproven(format!("its header says {width}x{height} instead of {}x{}", asked.0, asked.1)));
    }
    let Some(found) = file.default_duration else { return Ok(()) };
    let asked = 1e9 / video.frame_rate.as_f64();
    if (found as f64 - asked).abs() > 1.0 {
        return Err(unproven(format!("its pictures last {found} ns instead of {asked:.0} ns")));
    }
    Ok(())
}

/// AU-1: all samples of the packets, less those that the file says are not heard, are those that went in, and where it does not state
/// the encoder's priming, that. Of a codec that can't be cut, less than a packet more.
fn heard(file: &Track, track: &Expected, found: &mut Found) -> Result<(), Failure> {
    let Some(sound) = found.sound else { return Err(unproven("its sound has no header".into())) };
    if let Some(audio) = &track.header.audio
        && file.sampling != (f64::from(audio.sample_rate), u64::try_from(audio.channels).unwrap_or(0))
    {
        let ((rate, channels), asked) = (file.sampling, (audio.sample_rate, audio.channels));
        return Err(unproven(format!(
            "its header says {rate} samples a second and {channels} channels instead of {} and {}",
            asked.0, asked.1
        )));
    }
    let codec = track.codec.audio();
    let private = codec.map(|codec| codec.matroska_private(&track.header.extradata));
    if private.is_some_and(|private| private != file.private) {
        return Err(unproven("the codec header of its sound is not the encoder's".into()));
    }
    let rate = Clock { num: 1, den: i64::from(sound.sample_rate.max(1)) };
    let priming = nanoseconds(file.codec_delay, rate);
    if priming != 0 && priming != track.header.padding {
        let asked = track.header.padding;
        return Err(unproven(format!(
            "its sound begins with {priming} samples of priming instead of {asked}"
        )));
    }
    let cut = |block: &Block| nanoseconds(u64::try_from(block.discard).unwrap_or(0), rate);
    let discarded: i64 = file.blocks.iter().map(cut).sum();
    // Nothing is cut but at the end.
    let behind = file.blocks.iter().skip_while(|block| block.discard == 0);
    let whole = behind.skip(1).any(|block| cut(block) != sound.frame_length);
    let samples = found.samples_in_packets() - priming - discarded;
    let asked = track.sum.units + track.header.padding - priming;
    // What can't be cut is heard to the end of its last packet.
    let padding = if codec.is_none_or(<dyn AudioCodec>::can_discard) { 0 } else { sound.frame_length - 1 };
    if !(asked..=asked + padding.max(0)).contains(&samples)
        || whole
        || file.blocks.iter().any(|block| block.discard < 0)
    {
        return Err(unproven(format!("{samples} samples of its sound are heard instead of {asked}")));
    }
    let zero = (0, rate);
    found.samples = Some(samples);
    found.end = Some(found.first + rescale_timestamp(samples, rate, zero, track.clock));
    Ok(())
}

/// Each text is shown for as long as it is to be.
fn texts(file: &Track, track: &Expected) -> Result<(), Failure> {
    let lengths =
        file.blocks.iter().map(|block| block.duration.and_then(|length| i64::try_from(length).ok()));
    if !lengths.eq(track.lengths.iter().map(|length| Some(*length))) {
        return Err(unproven("one of its texts is shown for another time".into()));
    }
    Ok(())
}

/// Covers are attached, as they are.
fn covers(segment: &Segment, expected: &[Expected]) -> Result<(), Failure> {
    let covers = expected.iter().filter(|track| is_cover(&track.header));
    let asked: Vec<Option<u64>> = covers.clone().map(|track| track.cover).collect();
    let found: Vec<Option<u64>> = covers
        .zip(&segment.attachments)
        .map(|(track, file)| Some(codec::digest(track.codec, file, Form::File)))
        .collect();
    if found != asked || segment.attachments.len() != asked.len() {
        return Err(unproven("its attached files are not the covers that were put in".into()));
    }
    Ok(())
}

/// The index names blocks that are there, at their times, and of pictures all keyframes and no others.
fn index(segment: &Segment, expected: &[Expected]) -> Result<(), Failure> {
    if segment.wrong_seeks > 0 || !segment.names_cues {
        return Err(unproven(
            "the index of its parts names what is not there, or not the index of blocks".into(),
        ));
    }
    for (file, track) in segment.tracks.iter().zip(expected) {
        let mut cues: Vec<(i64, (u64, u64))> =
            segment.cues.iter().filter(|cue| cue.track == file.number).map(entry).collect();
        cues.sort_unstable_by_key(|(_, place)| *place);
        let mut blocks = file.blocks.iter().filter(|block| block.is_keyframe);
        let all = track.header.video.is_some();
        let named = if all {
            cues.iter().copied().eq(blocks.map(|block| (block.time, block.place)))
        } else {
            cues.iter().all(|cue| blocks.any(|block| (block.time, block.place) == *cue))
        };
        if !named {
            return Err(unproven(format!("its index lists other {} than can be decoded from", track.what())));
        }
    }
    let known = |cue: &Cue| segment.tracks.iter().any(|track| track.number == cue.track);
    if segment.cues.is_empty() || !segment.cues.iter().all(known) {
        return Err(unproven("its index lists nothing, or tracks that are not there".into()));
    }
    Ok(())
}

fn entry(cue: &Cue) -> (i64, (u64, u64)) {
    (cue.time, cue.place)
}
