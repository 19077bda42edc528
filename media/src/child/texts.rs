//! The texts of a text track, of any codec.

use ffmpeg_next::{self as ff, Packet, codec};

use super::{
    failure::Failure,
    libav::subtitle::{Shown, TextCoder},
};
use crate::{
    captions::{self, Caption},
    timeline::{Clock, rescale_timestamp},
};

/// The clock of texts.
pub(crate) const MILLISECONDS: Clock = Clock { num: 1, den: 1000 };
/// For how long a text is shown that has no end, in milliseconds, unless another follows before.
const SHOWN: i64 = 5000;
/// How many captions are taken, how long each is, and all together, in bytes.
const MOST_CAPTIONS: usize = 200_000;
const LONGEST_CAPTION: usize = 8 << 10;
const MOST_TEXT: usize = 64 << 20;

/// The texts of a track, from its packets.
pub(crate) struct Texts {
    pub(crate) coder: TextCoder,
    /// The clock of the packets.
    clock: Clock,
    captions: Vec<Caption>,
    /// The length of all captions together, in bytes.
    length: usize,
}

impl Texts {
    /// Opens the decoder of a stream with these parameters and this clock, and an encoder of text.
    ///
    /// # Errors
    /// If this FFmpeg has no such decoder or encoder.
    pub(crate) fn open(
        (parameters, clock): (&codec::Parameters, Clock),
        encoder: ff::Codec,
    ) -> Result<Self, Failure> {
        let coder = TextCoder::open(parameters, clock, encoder)?;
        Ok(Self { coder, clock, captions: Vec::new(), length: 0 })
    }

    /// Returns the time of a packet, in milliseconds; `None` if it has none.
    pub(crate) fn start(&self, packet: &Packet) -> Option<i64> {
        let ticks = packet.pts().or(packet.dts())?;
        Some(rescale_timestamp(ticks, self.clock, (0, MILLISECONDS), MILLISECONDS))
    }

    /// Takes a packet at `start`, in milliseconds. Returns `false` if it can't be decoded.
    ///
    /// # Errors
    /// If there are too many texts.
    pub(crate) fn push(&mut self, packet: &mut Packet, start: i64) -> Result<bool, Failure> {
        let length = rescale_timestamp(packet.duration().max(0), self.clock, (0, MILLISECONDS), MILLISECONDS);
        self.coder.make_utf8(packet);
        let decoded = self.coder.decode(packet);
        let is_decoded = decoded.is_ok();
        if let Ok(shown) = decoded {
            self.note(shown, start, length);
        }
        if self.captions.len() > MOST_CAPTIONS || self.length > MOST_TEXT {
            return Err(Failure::new(format!(
                "there are more than {MOST_CAPTIONS} texts in one track, or more than {MOST_TEXT} bytes of them; leave it out"
            )));
        }
        Ok(is_decoded)
    }

    /// Notes the texts of a packet at `start`, which lasts for `length`, both in milliseconds.
    fn note(&mut self, shown: Vec<Shown>, start: i64, length: i64) {
        // A text without an end is shown until the next packet: one that is empty ends it.
        for last in self.captions.iter_mut().rev().take_while(|last| last.end == i64::MAX) {
            last.end = start.max(last.start);
        }
        for Shown { from, to, text } in shown {
            let end = match (to, length) {
                (Some(to), _) if to > from => start.saturating_add(to),
                (_, length) if length > 0 => start.saturating_add(length),
                _ => i64::MAX,
            };
            let text = captions::shortened(text, LONGEST_CAPTION);
            self.length += text.len();
            self.captions.push(Caption { start: start.saturating_add(from), end, text });
        }
    }

    /// Returns all texts so far. Those without an end are shown for a few seconds.
    pub(crate) fn take(&mut self) -> Vec<Caption> {
        let mut captions = std::mem::take(&mut self.captions);
        for last in captions.iter_mut().filter(|last| last.end == i64::MAX) {
            last.end = last.start.saturating_add(SHOWN);
        }
        captions
    }
}
