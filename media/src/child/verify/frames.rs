//! The frames of one stream, decoded one by one, whatever they are.

use std::ops::Deref;

use ffmpeg_next::{Error, Frame, Packet, frame};

use crate::{
    child::{
        Failure,
        damage::{Damage, WARY_FRAMES},
        decoder::{PictureDecoder, Received, SoundDecoder},
        source::Source,
    },
    timeline::Clock,
};

/// What decodes a stream.
pub(super) trait Decode {
    type Frame: Deref<Target = Frame>;
    fn open(source: &Source, stream: i32) -> Result<Self, Failure>
    where
        Self: Sized;
    fn send(&mut self, packet: &Packet) -> Result<(), Error>;
    fn end(&mut self);
    fn receive(&mut self) -> (Received, Self::Frame);
}

impl Decode for PictureDecoder {
    type Frame = frame::Video;

    fn open(source: &Source, stream: i32) -> Result<Self, Failure> {
        // Nothing is encoded beside it: it may have all cores.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::open(source, stream, 4 * cores)
    }

    fn send(&mut self, packet: &Packet) -> Result<(), Error> {
        self.send(packet)
    }

    fn end(&mut self) {
        self.end();
    }

    fn receive(&mut self) -> (Received, frame::Video) {
        let mut frame = frame::Video::empty();
        (self.receive(&mut frame), frame)
    }
}

impl Decode for SoundDecoder {
    type Frame = frame::Audio;

    fn open(source: &Source, stream: i32) -> Result<Self, Failure> {
        Self::open(source, stream)
    }

    fn send(&mut self, packet: &Packet) -> Result<(), Error> {
        self.send(packet)
    }

    fn end(&mut self) {
        self.end();
    }

    fn receive(&mut self) -> (Received, frame::Audio) {
        let mut frame = frame::Audio::empty();
        (self.receive(&mut frame), frame)
    }
}

/// The decoded frames of a stream.
pub(super) struct Frames<D> {
    source: Source,
    stream: i32,
    /// The stream's clock.
    pub(super) clock: Clock,
    decoder: D,
    packet: Packet,
    ended: bool,
    /// How many packets and frames had errors so far.
    pub(super) damaged: i64,
    /// How many more frames come so soon behind damage that their times are to be believed to the millisecond.
    wary: u32,
}

impl<D: Decode> Frames<D> {
    pub(super) fn open(mut source: Source, stream: i32) -> Result<Self, Failure> {
        source.only(stream)?;
        let decoder = D::open(&source, stream)?;
        let clock = source.clock(stream);
        Ok(Self {
            source,
            stream,
            clock,
            decoder,
            packet: Packet::empty(),
            ended: false,
            damaged: 0,
            wary: 0,
        })
    }

    /// Seconds a tick.
    pub(super) fn tick(&self) -> f64 {
        self.clock.num as f64 / self.clock.den as f64
    }

    /// Whether the frame before had damage near before it.
    pub(super) fn is_wary(&self) -> bool {
        self.wary > 0
    }

    fn damage(&mut self) {
        self.damaged += 1;
        self.wary = WARY_FRAMES;
    }

    /// The next one; none at the end.
    pub(super) fn next(&mut self) -> Option<D::Frame> {
        loop {
            match self.decoder.receive() {
                (Received::Frame, frame) => {
                    let mut damage = Damage::default();
                    damage.frame(&frame, 0.0);
                    self.damaged += damage.count();
                    self.wary = self.wary.saturating_sub(1);
                    return Some(frame);
                }
                (Received::Damaged, _) => {
                    self.damage();
                    continue;
                }
                (Received::Nothing, _) if self.ended => return None,
                (Received::Nothing, _) => {}
            }
            self.ended = !self.source.read(self.stream, &mut self.packet).unwrap_or(false);
            if self.ended {
                self.decoder.end();
            } else if self.decoder.send(&self.packet).is_err() {
                self.damage();
            }
        }
    }
}
