//! What must hold of work objects before an output is made of them: they are of the plan's settings, and what they say of
//! their packets is true.

use millrace_schemas::{AudioSettings, Made, TrackPlan, VideoSettings};

use crate::{
    child::{
        codec::{self, Codec, Form},
        failure::Failure,
        payload::Payload,
        samples::PacketLengths,
    },
    packets::{Header, Packet},
};

fn refused(what: &str) -> Failure {
    Failure::new(format!("the work objects are not of the plan: {what}"))
}

/// Holds a header to the settings of its plan, and to its own codec header.
pub(super) fn settings(header: &Header, codec: &dyn Codec, plan: &TrackPlan) -> Result<(), Failure> {
    let differs = |planned: bool, same: bool| planned && !same;
    // Passes for an average differ in quality.
    let video = plan.video.as_ref().map(VideoSettings::of_all_passes);
    if differs(plan.video.is_some(), video == header.video)
        || differs(plan.audio.is_some(), plan.audio == header.audio)
    {
        return Err(refused("they were made by other settings"));
    }
    let clock = match (&header.video, &header.audio) {
        (Some(video), _) => (video.time_base.num, video.time_base.den),
        (None, Some(audio)) => (1, audio.sample_rate),
        (None, None) => return Ok(()),
    };
    if header.clock != clock {
        return Err(refused("their clock is another"));
    }
    match &header.audio {
        Some(_) if codec.audio().is_some_and(|codec| !codec.has_header()) => match header.extradata[..] {
            [] => Ok(()),
            _ => Err(refused("the sound has a codec header, which its codec has not")),
        },
        Some(audio) if !is_of(codec, &header.extradata, audio) => {
            Err(refused("the codec header of the sound is of another rate, or of other channels"))
        }
        _ => Ok(()),
    }
}

/// Whether the codec header of a sound track is of these settings: its rate, and its channels, which it may also list one by
/// one.
fn is_of(codec: &dyn Codec, header: &[u8], audio: &AudioSettings) -> bool {
    codec.read_sound_header(header).is_some_and(|stated| {
        stated.sample_rate == audio.sample_rate
            && stated.channels.is_none_or(|channels| channels == audio.channels)
    })
}

/// Follows the packets of a track across its work objects.
#[derive(Default)]
pub(super) struct Packets {
    /// Times of the pictures of the work object that is being read.
    times: Vec<i64>,
    count: i64,
    /// When the next packet of sound begins.
    next: Option<i64>,
    /// Samples in the packets of the work object that is being read.
    samples: i64,
    lengths: PacketLengths,
}

impl Packets {
    /// Takes the next packet. AU-1: each packet of sound follows the one before it.
    pub(super) fn take(
        &mut self,
        header: &Header,
        codec: &dyn Codec,
        packet: &Packet<Payload>,
    ) -> Result<(), Failure> {
        // Where a segment begins, decoding can begin. A copy begins as its source does.
        let begins = || match codec::form(header) {
            Form::Encoder => codec.is_keyframe(&packet.data, Form::Encoder),
            Form::File | Form::Stream => codec.is_entry_point(&packet.data),
        };
        if header.video.is_some() && self.count == 0 && !begins() {
            return Err(refused("a segment begins with a picture that is no keyframe"));
        }
        self.count += 1;
        if header.video.is_some() {
            self.times.push(packet.pts);
        }
        if header.audio.is_some() {
            if self.next.is_some_and(|next| next != packet.pts) {
                return Err(refused(&format!(
                    "a packet of sound at {} does not follow the last one",
                    packet.pts
                )));
            }
            self.next = Some(packet.pts + self.take_sound(header, codec, &packet.data)?);
        }
        Ok(())
    }

    /// Takes a packet of sound. Returns how many samples it has.
    fn take_sound(&mut self, header: &Header, codec: &dyn Codec, packet: &[u8]) -> Result<i64, Failure> {
        let (Some(codec), Some(audio)) = (codec.audio(), &header.audio) else { return Ok(header.frame_size) };
        let stated = codec.read_packet(packet, audio.channels);
        let stated = stated.ok_or_else(|| refused("a packet of sound can't be read"))?;
        let samples = stated.samples.unwrap_or(header.frame_size);
        self.lengths.take(codec, header, (stated, samples)).map_err(|wrong| refused(&wrong))?;
        self.samples += samples;
        Ok(samples)
    }

    /// Ends a work object. FR-1: each picture is there once, and in its segment.
    pub(super) fn end(&mut self, header: &Header, codec: &dyn Codec, made: &Made) -> Result<(), Failure> {
        let count = std::mem::take(&mut self.count);
        if count != made.packets {
            return Err(refused(&format!("{count} packets instead of {}", made.packets)));
        }
        if header.audio.is_some() && made.next.is_some_and(|next| next - made.first != made.units) {
            return Err(refused("a part of the sound is of another length than its samples"));
        }
        let samples = std::mem::take(&mut self.samples);
        let is_lossless = codec.audio().is_some_and(|codec| codec.bits().is_some());
        if is_lossless && samples != made.units {
            return Err(refused(&format!("packets of {samples} samples instead of {}", made.units)));
        }
        let mut times = std::mem::take(&mut self.times);
        times.sort_unstable();
        if header.video.is_none() || times.is_empty() {
            return Ok(());
        }
        let first = times.first() == Some(&made.first);
        let last = made.next.is_none_or(|next| times.last().is_some_and(|last| *last < next));
        // At another frame rate there is a picture at each tick.
        let has_gap = |video: &VideoSettings| video.is_resampled() && !is_each_tick(&times, made.next);
        if header.video.as_ref().is_some_and(has_gap) {
            return Err(refused("a picture of the frame rate is missing"));
        }
        if made.units != count || times.windows(2).any(|pair| pair[0] == pair[1]) || !first || !last {
            return Err(refused("a picture is there twice, or lies outside of its segment"));
        }
        Ok(())
    }
}

/// Whether there is a picture at each tick, from the first one to the first one behind the segment.
fn is_each_tick(times: &[i64], next: Option<i64>) -> bool {
    let all: Vec<i64> = times.iter().copied().chain(next).collect();
    all.windows(2).all(|pair| pair[1].checked_sub(pair[0]) == Some(1))
}

#[cfg(test)]
mod tests {
    use millrace_schemas::Sound;

    use super::*;
    use crate::child::codec;

    fn audio(sample_rate: i32, channels: i32) -> AudioSettings {
        AudioSettings::of("aac", &Sound { sample_rate, channels, layout: String::new() })
    }

    #[test]
    fn a_tick_without_a_picture_is_found() {
        assert!(is_each_tick(&[3, 4, 5], Some(6)) && is_each_tick(&[3], None) && is_each_tick(&[], Some(1)));
        assert!(
            !is_each_tick(&[3, 5], None) && !is_each_tick(&[3, 4], Some(6)) && !is_each_tick(&[3], Some(3))
        );
    }

    #[test]
    fn a_header_of_aac_tells_its_rate_and_channels() {
        let Ok(aac) = codec::find("aac") else { panic!("aac is not known") };
        assert!(is_of(aac, &[0x11, 0x90], &audio(48_000, 2)));
        assert!(!is_of(aac, &[0x12, 0x10], &audio(48_000, 2)), "44,100");
        assert!(!is_of(aac, &[0x11, 0x88], &audio(48_000, 2)), "mono");
        assert!(is_of(aac, &[0x11, 0x80, 0x04, 0xc8], &audio(48_000, 4)), "channels one by one");
        assert!(!is_of(aac, &[], &audio(48_000, 2)), "none");
    }
}
