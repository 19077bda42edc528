//! Decoders: packets of one stream go in, frames come out.

use std::{
    marker::PhantomData,
    ops::{Deref, DerefMut},
};

use ffmpeg_next::{self as ff, Error, Frame, Packet, codec, error::EAGAIN, frame};

use crate::child::{
    failure::Failure,
    libav::codec::{leave_out_unreferenced, sample_rate, set_up_picture_decoder},
    source::Source,
};

/// A kind of frames, and what is particular to their decoders.
pub(crate) trait Media: Deref<Target = Frame> + DerefMut + Sized {
    /// What is being done while a decoder is opened, for failures.
    const OPENING: &'static str;

    /// Returns a frame without samples.
    fn empty() -> Self;

    /// Sets up a decoder before it is opened. Returns `true` if frames that refer to what was never decoded come out marked as
    /// corrupt, and are to be left out.
    fn set_up(decoder: &mut ff::decoder::Decoder, source: &Source, threads: usize) -> bool;
}

impl Media for frame::Video {
    const OPENING: &'static str = "opening the video decoder";

    fn empty() -> Self {
        Self::empty()
    }

    fn set_up(decoder: &mut ff::decoder::Decoder, source: &Source, threads: usize) -> bool {
        let mut threading = codec::threading::Config::count(threads);
        // It has a third field with some releases of FFmpeg, and not with others.
        threading.kind = codec::threading::Type::Frame;
        decoder.set_threading(threading);
        set_up_picture_decoder(decoder, source.most_pixels())
    }
}

impl Media for frame::Audio {
    const OPENING: &'static str = "opening the audio decoder";

    fn empty() -> Self {
        Self::empty()
    }

    fn set_up(_: &mut ff::decoder::Decoder, _: &Source, _: usize) -> bool {
        false
    }
}

/// What a decoder returned.
pub(crate) enum Received<F> {
    Frame(F),
    /// Nothing, since it wants more packets, or has ended.
    Nothing,
    /// An error of one frame: others may follow.
    Damaged,
}

/// A decoder of one stream.
pub(crate) struct Decoder<F> {
    opened: ff::decoder::Opened,
    /// True if frames that are marked as corrupt are left out.
    leaves_out_corrupt: bool,
    frames: PhantomData<F>,
}

impl<F: Media> Decoder<F> {
    /// Opens the decoder of a stream. One of pictures decodes so many of them at once, each in a thread of its own.
    ///
    /// # Errors
    /// If this FFmpeg has no decoder for its codec, or the decoder refuses the stream's headers.
    pub(crate) fn open(source: &Source, stream: i32, threads: usize) -> Result<Self, Failure> {
        let doing = F::OPENING;
        let context = codec::Context::from_parameters(source.parameters(stream)?);
        let mut decoder = context.map_err(Failure::at(doing))?.decoder();
        let clock = source.clock(stream);
        decoder.set_packet_time_base(ff::Rational::new(clock.num as i32, clock.den as i32));
        let leaves_out_corrupt = F::set_up(&mut decoder, source, threads);
        let codec = ff::decoder::find(decoder.id());
        let codec = codec.ok_or_else(|| Failure::new(format!("{doing}: this FFmpeg has none for it")))?;
        let opened = decoder.open_as(codec).map_err(Failure::at(doing))?;
        Ok(Self { opened, leaves_out_corrupt, frames: PhantomData })
    }

    /// Sets whether frames that no other needs are decoded, of the packets that are sent from here on.
    pub(crate) fn leave_out_unreferenced(&mut self, leaves_out: bool) {
        leave_out_unreferenced(&mut self.opened, leaves_out);
    }

    /// Sends a packet.
    ///
    /// # Errors
    /// What the decoder says of it: the packet's frames are lost.
    pub(crate) fn send(&mut self, packet: &Packet) -> Result<(), Error> {
        self.opened.send_packet(packet)
    }

    /// Tells the decoder that no packets follow, so that it gives the frames that it holds.
    pub(crate) fn end(&mut self) {
        // A decoder that was ended before takes no second end.
        let _ = self.opened.send_eof();
    }

    /// Returns the next frame, if there is one.
    pub(crate) fn receive(&mut self) -> Received<F> {
        let mut frame = F::empty();
        loop {
            match self.opened.receive_frame(&mut frame) {
                Ok(()) if self.leaves_out_corrupt && frame.is_corrupt() => {}
                Ok(()) => return Received::Frame(frame),
                Err(Error::Eof | Error::Other { errno: EAGAIN }) => return Received::Nothing,
                Err(_) => return Received::Damaged,
            }
        }
    }

    /// Returns the next frame, if there is one without errors.
    pub(crate) fn frame(&mut self) -> Option<F> {
        match self.receive() {
            Received::Frame(frame) => Some(frame),
            Received::Nothing | Received::Damaged => None,
        }
    }
}

impl Decoder<frame::Audio> {
    /// Returns the sampling rate as far as it is known, in samples per second.
    pub(crate) fn sample_rate(&self) -> i32 {
        sample_rate(&self.opened)
    }
}
