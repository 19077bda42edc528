//! What must hold of work objects before an output is made of them: they are of the plan's settings, and what they say of
//! their packets is true.

use millrace_schemas::{AudioSettings, Made, TrackPlan};

use crate::{
    child::{Failure, units::units},
    packets::{Header, Packet},
};

/// Sampling rates of AAC by their index in its header (ISO/IEC 14496-3, 1.6.3.4).
const AAC_RATES: [i32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000, 7350];

fn refused(what: &str) -> Failure {
    Failure::new(format!("the work objects are not of the plan: {what}"))
}

/// Holds a header to the settings of its plan, and to its own codec header.
pub(super) fn settings(header: &Header, plan: &TrackPlan) -> Result<(), Failure> {
    let differs = |planned: bool, same: bool| planned && !same;
    if differs(plan.video.is_some(), plan.video == header.video)
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
        Some(audio) if !is_of(&header.extradata, audio) => {
            Err(refused("the codec header of the sound is of another rate, or of other channels"))
        }
        _ => Ok(()),
    }
}

/// Whether a header of AAC is of these settings: its rate, and its channels, which it may also list one by one (0).
fn is_of(header: &[u8], audio: &AudioSettings) -> bool {
    let Some(&[a, b]) = header.first_chunk::<2>() else { return audio.codec != "aac" };
    let (rate, channels) = ((a & 7) << 1 | b >> 7, i32::from(b >> 3 & 15));
    let channels = if channels == 7 { 8 } else { channels };
    AAC_RATES.get(usize::from(rate)) == Some(&audio.sample_rate)
        && (channels == 0 || channels == audio.channels)
}

/// Follows the packets of a track across its work objects.
#[derive(Default)]
pub(super) struct Packets {
    /// Times of the pictures of the work object that is being read.
    times: Vec<i64>,
    count: i64,
    /// When the next packet of sound begins.
    next: Option<i64>,
}

impl Packets {
    /// Takes the next packet. AU-1: each packet of sound follows the one before it.
    pub(super) fn take(&mut self, header: &Header, packet: &Packet) -> Result<(), Failure> {
        // Where a segment begins, decoding can begin (an IDR picture of H.264).
        let is_idr = |unit: &&[u8]| unit.first().is_some_and(|byte| byte & 31 == 5);
        if header.video.is_some() && self.count == 0 && !units(&packet.data).iter().any(is_idr) {
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
            self.next = Some(packet.pts + header.frame_size);
        }
        Ok(())
    }

    /// Ends a work object. FR-1: each picture is there once, and in its segment.
    pub(super) fn end(&mut self, header: &Header, made: &Made) -> Result<(), Failure> {
        let count = std::mem::take(&mut self.count);
        if count != made.packets {
            return Err(refused(&format!("{count} packets instead of {}", made.packets)));
        }
        if header.audio.is_some() && made.next.is_some_and(|next| next - made.first != made.units) {
            return Err(refused("a part of the sound is of another length than its samples"));
        }
        let mut times = std::mem::take(&mut self.times);
        times.sort_unstable();
        if header.video.is_none() || times.is_empty() {
            return Ok(());
        }
        let first = times.first() == Some(&made.first);
        let last = made.next.is_none_or(|next| times.last().is_some_and(|last| *last < next));
        if made.units != count || times.windows(2).any(|pair| pair[0] == pair[1]) || !first || !last {
            return Err(refused("a picture is there twice, or lies outside of its segment"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audio(sample_rate: i32, channels: i32) -> AudioSettings {
        AudioSettings { codec: "aac".into(), bit_rate: 0, sample_rate, channels, layout: String::new() }
    }

    #[test]
    fn a_header_of_aac_tells_its_rate_and_channels() {
        assert!(is_of(&[0x11, 0x90], &audio(48_000, 2)));
        assert!(!is_of(&[0x12, 0x10], &audio(48_000, 2)), "44,100");
        assert!(!is_of(&[0x11, 0x88], &audio(48_000, 2)), "mono");
        assert!(is_of(&[0x11, 0x80, 0x04, 0xc8], &audio(48_000, 4)), "channels one by one");
    }
}
