//! Decoders, as pictures and sound are taken from them.

use ffmpeg_next::{self as ff, Error, Packet, codec, error::EAGAIN};

use super::{
    failure::Failure,
    libav::codec::{sample_rate, set_up_picture_decoder},
    source::Source,
};

/// What a decoder gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// A frame.
    Frame,
    /// Nothing, since it wants more packets, or has ended.
    Nothing,
    /// An error, of one frame: others may follow.
    Damaged,
}

impl Received {
    fn of(result: Result<(), Error>) -> Self {
        match result {
            Ok(()) => Self::Frame,
            Err(Error::Eof | Error::Other { errno: EAGAIN }) => Self::Nothing,
            Err(_) => Self::Damaged,
        }
    }
}

/// Opens the decoder that libav has for a codec.
fn open(decoder: ff::decoder::Decoder, doing: &str) -> Result<ff::decoder::Opened, Failure> {
    let codec = ff::decoder::find(decoder.id());
    let codec = codec.ok_or_else(|| Failure::new(format!("{doing}: this FFmpeg has none for it")))?;
    decoder.open_as(codec).map_err(Failure::at(doing))
}

/// Sets up a decoder for a stream of a source.
fn set_up(source: &Source, stream: i32, doing: &str) -> Result<ff::decoder::Decoder, Failure> {
    let mut decoder =
        codec::Context::from_parameters(source.parameters(stream)?).map_err(Failure::at(doing))?.decoder();
    let clock = source.clock(stream);
    decoder.set_packet_time_base(ff::Rational::new(clock.num as i32, clock.den as i32));
    Ok(decoder)
}

/// A decoder of pictures.
pub(crate) struct PictureDecoder {
    decoder: ff::decoder::Opened,
    /// Whether pictures that refer to what was never decoded come marked, and are left out here.
    marked: bool,
}

impl PictureDecoder {
    pub(crate) fn open(source: &Source, stream: i32, cores: usize) -> Result<Self, Failure> {
        let doing = "opening the video decoder";
        let mut decoder = set_up(source, stream, doing)?;
        // Decoding is a small part of the work: a second thread pays where there are many cores, and each costs pictures
        // of memory.
        decoder.set_threading(codec::threading::Config {
            kind: codec::threading::Type::Frame,
            count: cores.div_ceil(4),
            ..Default::default()
        });
        let marked = set_up_picture_decoder(&mut decoder, source.most_pixels());
        Ok(Self { decoder: open(decoder, doing)?, marked })
    }

    pub(crate) fn send(&mut self, packet: &Packet) -> Result<(), Error> {
        self.decoder.send_packet(packet)
    }

    /// Says that no packets follow.
    pub(crate) fn end(&mut self) {
        // A decoder that was ended before takes no second end.
        let _ = self.decoder.send_eof();
    }

    /// The next picture, if there is one.
    pub(crate) fn receive(&mut self, frame: &mut ff::frame::Video) -> Received {
        loop {
            let received = Received::of(self.decoder.receive_frame(frame));
            let left_out = received == Received::Frame && self.marked && frame.is_corrupt();
            if !left_out {
                return received;
            }
        }
    }
}

/// A decoder of sound.
pub(crate) struct SoundDecoder(ff::decoder::Opened);

impl SoundDecoder {
    pub(crate) fn open(source: &Source, stream: i32) -> Result<Self, Failure> {
        let doing = "opening the audio decoder";
        open(set_up(source, stream, doing)?, doing).map(Self)
    }

    /// Samples a second.
    pub(crate) fn rate(&self) -> i32 {
        sample_rate(&self.0)
    }

    pub(crate) fn send(&mut self, packet: &Packet) -> Result<(), Error> {
        self.0.send_packet(packet)
    }

    /// Says that no packets follow.
    pub(crate) fn end(&mut self) {
        // A decoder that was ended before takes no second end.
        let _ = self.0.send_eof();
    }

    /// The next decoded samples, if there are any.
    pub(crate) fn receive(&mut self, frame: &mut ff::frame::Audio) -> Received {
        Received::of(self.0.receive_frame(frame))
    }
}
