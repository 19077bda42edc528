//! Sound as it is heard of an output: encoded, and decoded again.

use ffmpeg_next::{self as ff, Packet, codec, decoder, frame};
use millrace_schemas::AudioSettings;

use crate::child::{
    alive,
    failure::Failure,
    graph::sound::{Planes, SoundGraph},
    libav::{layout::Layout, sound},
    sink::AudioEncoder,
};

const DOING: &str = "measuring encoded sound";

/// An encoder, and a decoder of what it makes.
pub(super) struct Coded {
    encoder: AudioEncoder,
    decoder: decoder::Opened,
    graph: SoundGraph,
    layout: Layout,
    rate: i32,
    /// The samples that wait for a whole frame.
    waiting: Planes,
    sent: i64,
    /// How many of the samples that come out next are of before the first one; `None` before any came out.
    early: Option<usize>,
    /// How many samples came, and were given back.
    taken: usize,
    given: usize,
}

impl Coded {
    /// Opens the encoder of these settings, and its decoder.
    ///
    /// # Errors
    /// If this FFmpeg has one of them not, or they refuse the settings.
    pub(super) fn open(settings: &AudioSettings, layout: Layout) -> Result<Self, Failure> {
        let encoder = AudioEncoder::open(settings, layout)?;
        let context = codec::Context::from_parameters(codec::Parameters::from(&encoder.encoder));
        let mut decoder = context.map_err(Failure::at(DOING))?.decoder();
        decoder.set_packet_time_base(ff::Rational::new(1, settings.sample_rate.max(1)));
        let found = decoder::find(decoder.id());
        let found =
            found.ok_or_else(|| Failure::new(format!("{DOING}: this FFmpeg has no decoder for it")))?;
        let decoder = decoder.open_as(found).map_err(Failure::at(DOING))?;
        Ok(Self {
            early: None,
            encoder,
            decoder,
            graph: SoundGraph::new(layout, settings.sample_rate.unsigned_abs()),
            layout,
            rate: settings.sample_rate,
            waiting: vec![Vec::new(); usize::try_from(settings.channels).unwrap_or(0)],
            sent: 0,
            taken: 0,
            given: 0,
        })
    }

    /// Takes samples, of each channel as many, and returns those that are decoded.
    ///
    /// # Errors
    /// What libavcodec says.
    pub(super) fn push(&mut self, planes: &Planes) -> Result<Planes, Failure> {
        self.taken += planes.first().map_or(0, Vec::len);
        self.waiting.iter_mut().zip(planes).for_each(|(waiting, plane)| waiting.extend_from_slice(plane));
        let size = usize::try_from(self.encoder.frame_size).unwrap_or(0).max(1);
        self.encode(size)
    }

    /// Returns the samples that are held back.
    ///
    /// # Errors
    /// What libavcodec says.
    pub(super) fn finish(&mut self) -> Result<Planes, Failure> {
        for waiting in &mut self.waiting {
            waiting.resize(waiting.len() + self.encoder.lag, 0.0);
        }
        let mut made = self.encode(1)?;
        self.encoder.encoder.send_eof().map_err(Failure::at(DOING))?;
        let last = self.decode()?;
        self.decoder.send_eof().map_err(Failure::at(DOING))?;
        for more in [last, self.receive()?] {
            made.iter_mut().zip(more).for_each(|(made, more)| made.extend(more));
        }
        if let Some(held) = self.graph.flush()? {
            let held = self.give(held);
            made.iter_mut().zip(held).for_each(|(made, held)| made.extend(held));
        }
        Ok(made)
    }

    /// Encodes while at least so many samples wait.
    fn encode(&mut self, at_least: usize) -> Result<Planes, Failure> {
        let size = usize::try_from(self.encoder.frame_size).unwrap_or(0).max(1);
        let there = self.waiting.first().map_or(0, Vec::len);
        let mut made = vec![Vec::new(); self.waiting.len()];
        let mut done = 0;
        while there - done >= at_least {
            let now = (there - done).min(size);
            let planes: Vec<&[f32]> = self.waiting.iter().map(|waiting| &waiting[done..done + now]).collect();
            let mut frame = sound::frame(self.layout, self.rate, self.encoder.taken, &planes)?;
            frame.set_pts(Some(self.sent));
            self.encoder.encoder.send_frame(&frame).map_err(Failure::at(DOING))?;
            self.sent += now as i64;
            done += now;
            made.iter_mut().zip(self.decode()?).for_each(|(made, more)| made.extend(more));
        }
        self.waiting.iter_mut().for_each(|waiting| drop(waiting.drain(..done)));
        Ok(made)
    }

    /// Decodes the packets that the encoder has.
    fn decode(&mut self) -> Result<Planes, Failure> {
        let mut made = vec![Vec::new(); self.waiting.len()];
        let mut packet = Packet::empty();
        while self.encoder.encoder.receive_packet(&mut packet).is_ok() {
            alive::sign();
            if packet.size() > 0 {
                self.decoder.send_packet(&packet).map_err(Failure::at(DOING))?;
                made.iter_mut().zip(self.receive()?).for_each(|(made, more)| made.extend(more));
            }
        }
        Ok(made)
    }

    /// Returns the samples that the decoder has.
    fn receive(&mut self) -> Result<Planes, Failure> {
        let mut made = vec![Vec::new(); self.waiting.len()];
        let mut frame = frame::Audio::empty();
        while self.decoder.receive_frame(&mut frame).is_ok() {
            // Some decoders leave out what the encoder puts before the first sample, and others give it, with times before zero.
            let before = frame.timestamp().map_or(self.encoder.padding, |first| -first);
            self.early.get_or_insert(usize::try_from(before).unwrap_or(0));
            let own = Layout::of_frame(&frame);
            // Its channels are those that were encoded.
            let from = if own.channels() == self.layout.channels() { self.layout } else { own };
            for planes in self.graph.push(&frame, from)? {
                made.iter_mut().zip(self.give(planes)).for_each(|(made, more)| made.extend(more));
            }
        }
        Ok(made)
    }

    /// Leaves out what lies before the first sample and behind the last one.
    fn give(&mut self, planes: Planes) -> Planes {
        let count = planes.first().map_or(0, Vec::len);
        let early = self.early.unwrap_or(0).min(count);
        self.early = self.early.map(|left| left - early);
        let end = count.min(early + (self.taken - self.given));
        self.given += end - early;
        planes.into_iter().map(|plane| plane[early..end].to_vec()).collect()
    }
}

#[cfg(test)]
mod tests {
    use millrace_schemas::Sound;

    use super::*;
    use crate::child::codec::tables;

    #[test]
    fn what_was_encoded_comes_back_at_its_place_of_each_codec_of_sound() {
        for codec in tables().codecs.iter().filter(|codec| codec.audio().is_some()) {
            let sound = Sound { sample_rate: 48_000, channels: 2, layout: "stereo".into() };
            let bit_rate = codec.audio().unwrap().bit_rates().map_or(0, |rates| rates.usual);
            let settings = AudioSettings { bit_rate, ..AudioSettings::of(codec.name(), &sound) };
            let mut coded = Coded::open(&settings, Layout::default(2)).unwrap();
            let wave: Vec<f32> = (0..30_001).map(|i| 0.4 * (i as f32 * i as f32 * 0.000_01).sin()).collect();
            let mut made = Vec::new();
            for piece in wave.chunks(1000) {
                made.extend(coded.push(&vec![piece.to_vec(); 2]).unwrap().remove(1));
            }
            made.extend(coded.finish().unwrap().remove(1));
            assert_eq!(made.len(), wave.len(), "{}", codec.name());
            let rest: f32 = made.iter().zip(&wave).map(|(made, wave)| (made - wave).powi(2)).sum();
            let all: f32 = wave.iter().map(|wave| wave.powi(2)).sum();
            assert!(rest < all / 20.0, "{}: {rest} of {all}", codec.name());
        }
    }
}
