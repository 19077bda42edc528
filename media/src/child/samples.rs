//! Packets of sound, held to the settings of their track by what each states of itself.

use super::codec::{AudioCodec, SoundPacket};
use crate::packets::Header;

/// Follows the packets of a sound track.
#[derive(Debug, Default)]
pub(crate) struct PacketLengths {
    /// Whether the last packet was shorter than the others, so that none may follow.
    is_over: bool,
}

impl PacketLengths {
    /// Takes the next packet, of so many samples. `header` is that of its work objects.
    ///
    /// # Errors
    /// If it is of another rate, of other channels, or of another length than the header's, but for a shorter last one of a
    /// lossless codec: what is wrong, in words.
    pub(crate) fn take(
        &mut self,
        codec: &dyn AudioCodec,
        header: &Header,
        (stated, samples): (SoundPacket, i64),
    ) -> Result<(), String> {
        let Some(audio) = &header.audio else { return Ok(()) };
        let differs = |found: Option<i32>, asked: i32| found.filter(|found| *found != asked);
        if let Some(rate) = differs(stated.sample_rate, audio.sample_rate) {
            return Err(format!(
                "a packet of sound states a rate of {rate} instead of {}",
                audio.sample_rate
            ));
        }
        if let Some(channels) = differs(stated.channels, audio.channels) {
            return Err(format!(
                "a packet of sound states {channels} channels instead of {}",
                audio.channels
            ));
        }
        if self.is_over {
            return Err("a packet of sound follows one that is shorter than the others".into());
        }
        self.is_over = samples < header.frame_size;
        let is_last = self.is_over && samples > 0 && codec.bits().is_some();
        if samples == header.frame_size || is_last {
            Ok(())
        } else {
            Err(format!("a packet of sound has {samples} samples instead of {}", header.frame_size))
        }
    }
}
