//! A part of a source, picture by picture and sample by sample: packets are copied as they are, and only pictures that others before
//! or behind the part would be needed for are encoded.

mod proof;
mod sound;
mod splicer;
mod start;
mod writer;

use std::{collections::VecDeque, fs::File};

use ffmpeg_next::{Packet, ffi::AVMediaType};
use millrace_formats::{codec::Form, container::Index};
use millrace_schemas::VideoTrack;

use self::{
    proof::Proof,
    sound::{SoundTrack, read_ahead},
    splicer::{Encoded, SplicedPart, Splicer},
    start::{Start, find, find_keyframe, keyframe_behind, last_packets, no_keyframe, times},
    writer::{ClipPacket, Planned, Writer},
};
use super::{
    codec::tables,
    failure::Failure,
    inspect::{duration_seconds, video_track},
    libav::stream,
    source::{Depth, Source},
};
use crate::{
    clip::{Ending, ending},
    excerpt::{TOLERANCE, last_tick},
    protocol::{ClipTask, Clipped},
    timeline::{Clock, rescale_timestamp},
};

/// Makes a clip of a source.
///
/// # Errors
/// If nothing begins there, pictures would have to be encoded that can't be, or the file is not what was to be written.
pub(super) fn clip(source: File, task: &ClipTask, output: File) -> Result<Clipped, Failure> {
    let container = tables().container(&task.container).map_err(Failure::new)?;
    let again = || output.try_clone().map_err(Failure::at("writing the clip"));
    let (file, reread) = (again()?, again()?);
    let mut source = Source::open(source, Depth::Header)?;
    let track = video_track(&source)?;
    let (zero, seconds) = (source.start() as f64 / 1e6, duration_seconds(&source));
    if seconds > 0.0 && task.from >= seconds {
        return Err(Failure::new(format!("nothing begins at {:.3} s: it is {seconds:.3} s long", task.from)));
    }
    let is_sound = |stream: &ffmpeg_next::Stream<'_>| {
        stream::fields(stream).1.codec_type == AVMediaType::AVMEDIA_TYPE_AUDIO
    };
    let sounds = source.input.streams().filter(is_sound).map(|stream| stream::fields(&stream).0.index);
    let sounds: Vec<i32> = sounds.collect();
    let streams: Vec<i32> = std::iter::once(track.stream).chain(sounds.iter().copied()).collect();
    source.only(&streams)?;
    let plan = plan(&mut source, &track, task, zero)?;
    let clock = source.clock(track.stream);
    let origin = (plan.start.first, clock);
    let hides = container.index == Index::Movie;
    let in_track = |source: &Source, index: i32| {
        let clock = source.clock(index);
        let start = rescale_timestamp(origin.0, origin.1, (0, clock), clock);
        (start, task.to.map_or(i64::MAX, |to| nearest_tick(zero + to, clock)))
    };
    let sounds: Vec<SoundTrack> = sounds
        .iter()
        .map(|index| SoundTrack::new(&source, *index, in_track(&source, *index), hides))
        .collect();
    let begins = plan.start.first as f64 * tick(clock) - zero;
    let length = task.to.unwrap_or(seconds).min(if seconds > 0.0 { seconds } else { f64::INFINITY });
    let headers = plan.headers.clone();
    let lead = plan.lead();
    let planned = streams.iter().enumerate().map(|(number, index)| Planned {
        index: *index,
        headers: headers.clone().filter(|_| number == 0),
        lead: if number == 0 { lead } else { 0 },
    });
    // Of a source that does not say how long it is, the index has as much room as it can.
    let expected = if length > 0.0 && length.is_finite() { (length - begins).max(0.0) } else { f64::MAX };
    let planned: Vec<Planned> = planned.collect();
    let writer = Writer::open(&source, container, &planned, (origin, expected), output)?;
    let form = plan.splicer.as_ref().map(Splicer::form);
    let mut clip = Clip { plan, writer, sounds, proof: Proof::default(), encoded: 0, end: i64::MIN, form };
    clip.write_all(&mut source, &streams)?;
    let pictures = clip.proof.pictures();
    if pictures == 0 {
        return Err(Failure::new(format!("there is no picture from {:.3} s on", task.from)));
    }
    clip.writer.finish(&file)?;
    clip.proof.hold(reread, container)?;
    Ok(Clipped {
        from: begins,
        to: clip.end as f64 * tick(clock) - zero,
        pictures,
        encoded: clip.encoded,
        sounds: u32::try_from(clip.sounds.len()).unwrap_or(0),
        remarks: clip.plan.remarks,
    })
}

/// Returns the length of a tick in seconds.
fn tick(clock: Clock) -> f64 {
    clock.num as f64 / clock.den as f64
}

/// Returns the first tick that is not before a time in seconds, to the half of a millisecond.
fn end_tick(seconds: f64, clock: Clock) -> i64 {
    // The cast saturates.
    ((seconds - TOLERANCE) / tick(clock)).ceil() as i64
}

/// Returns the tick that is nearest to a time in seconds.
fn nearest_tick(seconds: f64, clock: Clock) -> i64 {
    // The cast saturates.
    (seconds / tick(clock)).round() as i64
}

/// What of the pictures is copied, and what is encoded.
struct Plan {
    video: i32,
    start: Start,
    /// Pictures from this tick on are behind the end; [`i64::MAX`] for the end of the source.
    end: i64,
    /// The end itself, in ticks.
    until: i64,
    /// How pictures are encoded, if any are.
    splicer: Option<Splicer>,
    /// Whether those at the start are.
    encodes_start: bool,
    ending: Ending,
    /// The last pictures, encoded.
    last: Vec<Encoded>,
    /// Whether packets behind the end are copied where others need them.
    copies_beyond: bool,
    /// The codec headers of a track with encoded pictures, and those of the encoder.
    headers: Option<Vec<u8>>,
    encoder: Vec<u8>,
    remarks: Vec<String>,
    /// The length of a usual picture, in ticks.
    usual: i64,
}

impl Plan {
    /// How long before they are shown pictures are decoded, in ticks, where nothing says so.
    fn lead(&self) -> i64 {
        self.start.lead.unwrap_or_else(|| self.usual.saturating_mul(2))
    }
}

/// Plans a clip of a source that begins at `zero`, in seconds, by the times of its packets. Its last pictures are encoded here.
fn plan(source: &mut Source, track: &VideoTrack, task: &ClipTask, zero: f64) -> Result<Plan, Failure> {
    let (video, clock) = (track.stream, source.clock(track.stream));
    let (splicer, refusal) = match Splicer::new(source, track, task.cores)? {
        Ok(splicer) => (Some(splicer), None),
        Err(reason) => (None, Some(reason)),
    };
    let refusal = refusal.as_ref().map_or(("", ""), |(codec, reason)| (codec.as_str(), reason.as_str()));
    let wanted = last_tick(zero + task.from, tick(clock));
    let is_clean = |keyframe: &Packet| splicer.as_ref().is_none_or(|splicer| splicer.is_clean(keyframe));
    let mut start = find(source, video, wanted, is_clean)?;
    if task.snaps {
        start.first = start.key;
    }
    let encodes_start = !task.snaps && (start.first > start.key || !start.is_clean);
    let end = task.to.map_or(i64::MAX, |to| end_tick(zero + to, clock));
    if encodes_start && splicer.is_none() {
        let seconds = |ticks: i64| ticks as f64 * tick(clock) - zero;
        let next = keyframe_behind(source, video, wanted).filter(|next| *next < end).map(seconds);
        return Err(no_keyframe(refusal, task.from, seconds(start.key), next));
    }
    let rate = track.picture.frame_rate.as_f64().max(0.001);
    let mut plan = Plan {
        video,
        start,
        end,
        until: task.to.map_or(i64::MAX, |to| nearest_tick(zero + to, clock)),
        encodes_start,
        ending: Ending::default(),
        last: Vec::new(),
        copies_beyond: true,
        headers: None,
        encoder: Vec::new(),
        remarks: Vec::new(),
        usual: ((1.0 / rate / tick(clock)) as i64).max(1),
        splicer: None,
    };
    if end < i64::MAX && !task.snaps {
        let last = last_packets(source, video, end)?;
        // If the last keyframe is the first one, all pictures are encoded anyway.
        let is_one_group = encodes_start && last.first().is_none_or(|key| key.pts <= plan.start.key);
        let ending = if is_one_group { Ending::default() } else { ending(&last, end) };
        plan.copies_beyond = splicer.is_none();
        match &splicer {
            Some(splicer) if !ending.encoded.is_empty() => {
                plan.last = encode_last(source, splicer, video, &ending, end)?;
                plan.ending = ending;
            }
            None if !ending.encoded.is_empty() => {
                let (codec, reason) = refusal;
                plan.remarks.push(format!(
                    "the last {} pictures need others behind the end, and pictures of {codec} can't be encoded in their place \
                     ({reason}): those are in the file, too, and players that heed edit lists don't show them",
                    ending.encoded.len()
                ));
            }
            _ => {}
        }
    }
    if let Some(splicer) = splicer.as_ref().filter(|_| encodes_start || !plan.last.is_empty()) {
        plan.encoder = splicer.encoder_headers()?;
        plan.headers = Some(splicer.headers_of_both(&plan.encoder)?);
    }
    plan.splicer = splicer;
    Ok(plan)
}

/// Encodes the last pictures of a clip.
fn encode_last(
    source: &mut Source,
    splicer: &Splicer,
    video: i32,
    ending: &Ending,
    end: i64,
) -> Result<Vec<Encoded>, Failure> {
    let first = ending.encoded.first().copied().unwrap_or(end);
    let (_, mut early) = find_keyframe(source, &[video], end.saturating_sub(1))?;
    let mut part = splicer.begin(source, first, end)?;
    let mut made = Vec::new();
    let mut left = ending.encoded.len();
    let mut packet = Packet::empty();
    while left > 0 {
        let next = match early.pop_front() {
            Some((packet, _)) => packet,
            None if matches!(source.read_as_it_is(&[video], &mut packet), Ok(Some(_))) => {
                std::mem::replace(&mut packet, Packet::empty())
            }
            None => break,
        };
        left -= usize::from(times(&next).is_some_and(|times| ending.encoded.contains(&times.pts)));
        made.extend(part.take(&next)?);
    }
    made.extend(part.finish()?);
    Ok(made)
}

/// A clip that is being written.
struct Clip {
    plan: Plan,
    writer: Writer,
    sounds: Vec<SoundTrack>,
    proof: Proof,
    /// The number of pictures that were encoded.
    encoded: u32,
    /// When the last picture ends, in ticks of the source.
    end: i64,
    /// The form of the source's packets, if it is known.
    form: Option<Form>,
}

impl Clip {
    fn write_all(&mut self, source: &mut Source, streams: &[i32]) -> Result<(), Failure> {
        let ahead = read_ahead(source, self.plan.video, &self.sounds);
        for (packet, index) in ahead {
            self.take_sound(packet, index)?;
        }
        let (_, mut early) = find_keyframe(source, streams, self.plan.start.key)?;
        let splicer = self.plan.splicer.take();
        let mut part = match &splicer {
            Some(splicer) if self.plan.encodes_start => {
                Some(splicer.begin(source, self.plan.start.first, self.plan.end)?)
            }
            _ => None,
        };
        let mut pictures = Pictures { has_ended: false, goes_on: false, beyond: VecDeque::new() };
        let mut packet = Packet::empty();
        while !pictures.has_ended || self.sounds.iter().any(|sound| !sound.has_ended) {
            let (next, index) = match early.pop_front() {
                Some(early) => early,
                None => match source.read_as_it_is(streams, &mut packet) {
                    Ok(Some(index)) => (std::mem::replace(&mut packet, Packet::empty()), index),
                    // Where it can't be read on, the clip ends.
                    Ok(None) | Err(_) => break,
                },
            };
            if index == self.plan.video {
                self.take_picture(next, splicer.as_ref(), &mut part, &mut pictures)?;
            } else {
                self.take_sound(next, index)?;
            }
        }
        if let Some(part) = part.take() {
            let made = part.finish()?;
            self.write_encoded(made, None)?;
        } else {
            let (made, ending) = (std::mem::take(&mut self.plan.last), self.plan.ending.clone());
            self.write_encoded(made, Some(&ending))?;
        }
        if pictures.goes_on && self.proof.pictures() > 0 {
            self.end = self.plan.until;
            self.writer.show_until(0, self.end);
        }
        Ok(())
    }

    fn take_sound(&mut self, packet: Packet, index: i32) -> Result<(), Failure> {
        let Some(number) = self.sounds.iter().position(|sound| sound.index == index) else { return Ok(()) };
        let ready = self.sounds.get_mut(number).map(|sound| sound.take(packet)).unwrap_or_default();
        for packet in ready {
            self.writer.write(number + 1, packet)?;
        }
        Ok(())
    }

    /// Takes the next packet of pictures: it is encoded up to where copies can begin, and then copied.
    fn take_picture(
        &mut self,
        packet: Packet,
        splicer: Option<&Splicer>,
        part: &mut Option<SplicedPart<'_>>,
        pictures: &mut Pictures,
    ) -> Result<(), Failure> {
        let Some(times) = times(&packet).filter(|_| !pictures.has_ended) else { return Ok(()) };
        pictures.goes_on |= times.pts >= self.plan.end;
        let Plan { end, start: Start { first, .. }, .. } = self.plan;
        let is_over = times.dts.unwrap_or(times.pts) >= end;
        if let Some(encoding) = part {
            let is_clean = packet.is_key() && splicer.is_none_or(|splicer| splicer.is_clean(&packet));
            let joins = is_clean && times.pts > first;
            if !(is_over || joins) {
                let made = encoding.take(&packet)?;
                return self.write_encoded(made, None);
            }
            if is_over || times.pts >= end {
                // The last ones are finished at the end of all.
                pictures.has_ended = true;
                return Ok(());
            }
            if let Some(part) = part.take() {
                let made = part.finish()?;
                self.write_encoded(made, None)?;
            }
        }
        if is_over {
            pictures.has_ended = true;
            return Ok(());
        }
        // Pictures that need those before the clip.
        if times.pts < first || self.plan.ending.encoded.contains(&times.pts) {
            return Ok(());
        }
        if times.pts >= end {
            if self.plan.copies_beyond {
                pictures.beyond.push_back(packet);
            }
            return Ok(());
        }
        let replaces = |splicer: &Splicer| splicer.replaces_headers(&self.plan.encoder, &packet);
        if self.plan.headers.is_some() && splicer.is_some_and(replaces) {
            return Err(Failure::new(
                "the codec headers of the source change within the clip to those of encoded pictures: begin at a keyframe, with --from-keyframe",
            ));
        }
        let needed: Vec<Packet> = pictures.beyond.drain(..).collect();
        for packet in needed.into_iter().chain([packet]) {
            self.copy_picture(packet)?;
        }
        Ok(())
    }

    fn copy_picture(&mut self, packet: Packet) -> Result<(), Failure> {
        let Some(times) = times(&packet) else { return Ok(()) };
        let part = self.shown((times.pts, packet.duration()));
        self.proof.write(packet.data().unwrap_or_default(), self.form);
        let is_key = packet.is_key();
        let duration = part.1.saturating_sub(part.0);
        let dts = times.dts;
        let pts = self.writer.write(0, ClipPacket { pts: times.pts, dts, duration, is_key, packet, part })?;
        self.proof.place(pts);
        Ok(())
    }

    /// Returns from when until when a picture is shown, whose length may not be known.
    fn shown(&mut self, (pts, length): (i64, i64)) -> (i64, i64) {
        let length = if length > 0 { length } else { self.plan.usual };
        let until = pts.saturating_add(length);
        let most = self.plan.until.max(self.plan.end);
        let part = (pts.min(most), until.min(most));
        self.end = self.end.max(part.1);
        part
    }

    /// Writes pictures that were encoded: the first ones of the clip, or its last.
    fn write_encoded(&mut self, made: Vec<Encoded>, ending: Option<&Ending>) -> Result<(), Failure> {
        for (number, picture) in made.into_iter().enumerate() {
            let Encoded { pts, length, is_key, data } = picture;
            let dts = match ending {
                Some(ending) => ending.dts.get(number).copied().flatten(),
                None => Some(pts.saturating_sub(self.plan.lead())),
            };
            let part = self.shown((pts, length));
            let duration = part.1.saturating_sub(part.0);
            self.proof.write(&data, self.form);
            let packet = Packet::copy(&data);
            let pts = self.writer.write(0, ClipPacket { pts, dts, duration, is_key, packet, part })?;
            self.proof.place(pts);
            self.encoded += 1;
        }
        Ok(())
    }
}

/// What is read of the pictures.
struct Pictures {
    has_ended: bool,
    /// Whether there is a picture behind the end, up to which the last one is shown.
    goes_on: bool,
    /// Packets behind the end, which others before it may need.
    beyond: VecDeque<Packet>,
}
