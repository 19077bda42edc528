//! The decoded frames of a track, with a count of what is damaged.

use crate::child::{
    damage::{Damage, WARY_FRAMES},
    decode::{Event, Media, TrackDecoder},
    failure::Failure,
    source::Source,
};

/// The decoded frames of a track.
pub(super) struct Reading<F> {
    pub(super) track: TrackDecoder<F>,
    /// How many packets and frames had errors so far.
    pub(super) damaged: i64,
    /// How many more frames come so soon behind damage that their times are to be believed to the millisecond.
    wary: u32,
}

impl<F: Media> Reading<F> {
    pub(super) fn open(source: Source, streams: &[i32]) -> Result<Self, Failure> {
        // Nothing is encoded beside it: it may have all cores.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self { track: TrackDecoder::open(source, streams, cores)?, damaged: 0, wary: 0 })
    }

    /// Whether there was damage shortly before the last frame.
    pub(super) fn is_wary(&self) -> bool {
        self.wary > 0
    }

    /// The next frame; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<F>, Failure> {
        loop {
            match self.track.next()? {
                Event::Packet(_) => {}
                Event::Damaged(_) => {
                    self.damaged += 1;
                    self.wary = WARY_FRAMES;
                }
                Event::Frame(frame) => {
                    let mut damage = Damage::default();
                    damage.frame(&frame, 0.0);
                    self.damaged += damage.count();
                    self.wary = self.wary.saturating_sub(1);
                    return Ok(Some(frame));
                }
                Event::End(_) => return Ok(None),
            }
        }
    }
}
