//! Encodes sound, as one continuous stream.

use std::fs::File;

use ffmpeg_next::{
    self as ff, Packet, Rational,
    codec::{self, Capabilities},
};
use millrace_schemas::{AudioSettings, Made, Rendition};

use super::work_object::{Sink, WRITING, WorkObject, begin};
use crate::{
    child::{
        alive,
        codec::{self as encoding, AudioCodec},
        damage::Damage,
        failure::Failure,
        libav::{
            codec::{headers, priming, set_layout},
            layout::Layout,
            sound,
        },
    },
    packets::{Header, TrailerFacts},
    protocol::TimeRange,
    seams::Decoded,
};

/// The most samples that a codec pads the end of sound by: two frames of HE-AAC. A container that says that there are more
/// behind its end is wrong.
pub(crate) const MOST_PADDING: usize = 4096;

/// Samples that are to be encoded.
#[derive(Clone, Copy)]
pub(crate) enum Samples<'a> {
    /// A slice a channel, all of the same length.
    Planes(&'a [&'a [f32]]),
    /// So many samples of silence.
    Silence(usize),
}

/// The end of a sound track, or of a part of one.
pub(crate) struct AudioEnd<'a> {
    /// When the sound ends as the container says, in samples: what a codec padded behind it is left out.
    pub(crate) ends: Option<i64>,
    /// How it was decoded at both ends, for the proof of its seams.
    pub(crate) decoded: &'a Decoded,
    /// What is damaged.
    pub(crate) damage: &'a Damage,
}

/// An opened audio encoder.
pub(crate) struct AudioEncoder {
    pub(crate) encoder: ff::encoder::audio::Encoder,
    /// The samples that it takes.
    pub(crate) taken: sound::Samples,
    /// How many samples a packet has.
    pub(crate) frame_size: i64,
    /// How many samples it puts before the first one.
    pub(crate) padding: i64,
    /// How many samples behind the last one it must be given, so that a decoder gives back the last one.
    pub(crate) lag: usize,
}

impl AudioEncoder {
    /// Opens the encoder of these settings.
    ///
    /// # Errors
    /// If this FFmpeg has no such encoder, or it refuses the settings.
    pub(crate) fn open(s: &AudioSettings, layout: Layout) -> Result<Self, Failure> {
        let mut audio = codec::Context::new_with_codec(encoding::encoder(&s.codec, &s.encoder)?)
            .encoder()
            .audio()
            .map_err(Failure::at("opening the audio encoder"))?;
        audio.set_rate(s.sample_rate);
        set_layout(&mut audio, layout);
        let taken = encoding::samples(s)?;
        audio.set_format(taken.format);
        audio.set_bit_rate(usize::try_from(s.bit_rate).unwrap_or(0));
        audio.set_time_base(Rational::new(1, s.sample_rate));
        audio.set_flags(codec::Flags::GLOBAL_HEADER);
        let encoder = audio.open_with(encoding::audio_options(s)?);
        let encoder = encoder.map_err(Failure::at("opening the audio encoder"))?;
        let padding = priming(&encoder);
        let frame_size = match i64::from(encoder.frame_size()) {
            // It takes frames of any length.
            0 => encoding::sound(s)?.frame_size(),
            size => size,
        };
        // An encoder that holds back samples gives them when it is told that there are no more.
        let holds_back =
            encoder.codec().is_some_and(|codec| codec.capabilities().contains(Capabilities::DELAY));
        let lag = if holds_back { 0 } else { usize::try_from(padding).unwrap_or(0) };
        Ok(Self { encoder, taken, frame_size, padding, lag })
    }
}

/// What makes packets of samples.
enum Coder {
    /// An encoder of libavcodec, and the samples that it takes.
    Libav(ff::encoder::audio::Encoder, sound::Samples),
    /// A codec whose packets are made here.
    Own(&'static dyn AudioCodec),
}

impl Coder {
    /// Opens it, and describes its work objects. Returns how many samples behind the last one it must be given, too.
    fn open(s: &AudioSettings, layout: Layout) -> Result<(Self, Header, usize), Failure> {
        let mut header = Header {
            extradata: Vec::new(),
            clock: (1, s.sample_rate),
            video: None,
            audio: Some(s.clone()),
            side: None,
            size: None,
            padding: 0,
            frame_size: 0,
            source_stream: None,
        };
        if encoding::find(&s.codec)?.own_version().is_some() {
            let codec = encoding::sound(s)?;
            header.frame_size = codec.frame_size();
            return Ok((Self::Own(codec), header, 0));
        }
        let AudioEncoder { encoder, taken, frame_size, padding, lag } = AudioEncoder::open(s, layout)?;
        header.extradata = headers(&encoder);
        (header.padding, header.frame_size) = (padding, frame_size);
        Ok((Self::Libav(encoder, taken), header, lag))
    }
}

/// An audio encoder, and the work object that it fills.
pub(crate) struct AudioSink {
    coder: Coder,
    writer: WorkObject,
    rendition: String,
    layout: Layout,
    rate: i32,
    frame_size: usize,
    /// How many samples behind the last one the encoder must be given, so that a decoder gives back the last one.
    lag: usize,
    /// When the sound ends, in samples, if the encoder is given more: what is padded is no part of its last packet's length.
    ends: Option<i64>,
    /// The time behind the last packet, in samples.
    next: Option<i64>,
    waiting: Vec<Vec<f32>>,
    start: i64,
    samples: i64,
    /// The packets that are kept, by their times in samples.
    range: TimeRange,
    packets: i64,
}

impl AudioSink {
    /// Opens the encoder. `start` is the time of the first sample, in samples; of what is encoded, the packets of `range` are kept.
    ///
    /// # Errors
    /// If this FFmpeg has no such encoder, or it refuses the settings.
    pub(crate) fn open(
        rendition: &Rendition,
        (s, layout): (&AudioSettings, Layout),
        out: File,
        start: i64,
        range: TimeRange,
    ) -> Result<Self, Failure> {
        let (coder, header, lag) = Coder::open(s, layout)?;
        let writer = begin(out, &header)?;
        Ok(Self {
            coder,
            writer,
            rendition: rendition.id.clone(),
            layout,
            rate: s.sample_rate,
            frame_size: usize::try_from(header.frame_size).unwrap_or(0).max(1),
            lag,
            ends: None,
            next: None,
            waiting: vec![Vec::new(); usize::try_from(s.channels).unwrap_or(0)],
            start,
            samples: 0,
            range,
            packets: 0,
        })
    }

    /// Returns how many samples a packet has.
    pub(crate) fn frame_size(&self) -> i64 {
        self.frame_size as i64
    }

    /// Returns the time after the last sample so far, in samples.
    pub(crate) fn end(&self) -> i64 {
        self.start + self.samples + self.waiting.first().map_or(0, |channel| channel.len() as i64)
    }

    /// Encodes while at least so many samples wait. The last ones are held back: they may turn out to be padding.
    fn encode(&mut self, at_least: usize) -> Result<(), Failure> {
        let mut taken = 0;
        let there = self.waiting.first().map_or(0, Vec::len);
        while there - taken >= at_least.max(1) {
            let now = (there - taken).min(self.frame_size);
            let planes: Vec<&[f32]> =
                self.waiting.iter().map(|waiting| &waiting[taken..taken + now]).collect();
            let pts = self.start + self.samples;
            let packet = match &mut self.coder {
                Coder::Own(codec) => codec.own_packet(&planes),
                Coder::Libav(encoder, taken) => {
                    let mut frame = sound::frame(self.layout, self.rate, *taken, &planes)?;
                    frame.set_pts(Some(pts));
                    encoder.send_frame(&frame).map_err(Failure::at("encoding sound"))?;
                    None
                }
            };
            self.samples += now as i64;
            taken += now;
            match packet {
                Some(packet) => self.keep(pts, now as i64, &packet)?,
                None => self.write_packets()?,
            }
        }
        for waiting in &mut self.waiting {
            waiting.drain(..taken);
        }
        Ok(())
    }

    /// Writes what comes out of the encoder, as far as it is of the range.
    fn write_packets(&mut self) -> Result<(), Failure> {
        let mut packet = Packet::empty();
        while let Coder::Libav(encoder, _) = &mut self.coder
            && encoder.receive_packet(&mut packet).is_ok()
        {
            alive::sign();
            // A codec header of the whole stream, which libavcodec's encoder of FLAC gives at the end.
            if packet.size() == 0 {
                continue;
            }
            let pts = packet.pts().ok_or_else(|| Failure::new("the encoder gave a packet without a time"))?;
            // Behind the last sample libmp3lame may give a packet that holds nothing but padding. libavcodec takes its time from the last
            // frame, which is before the end of the packet in front of it. No decoder needs it.
            if self.next.is_some_and(|next| pts < next) {
                continue;
            }
            self.next = Some(pts.saturating_add(self.frame_size()));
            let duration = self.ends.map_or(i64::MAX, |ends| ends - pts).min(packet.duration());
            self.keep(pts, duration, packet.data().unwrap_or_default())?;
        }
        Ok(())
    }

    /// Writes a packet, if it is of the range.
    fn keep(&mut self, pts: i64, duration: i64, packet: &[u8]) -> Result<(), Failure> {
        alive::sign();
        let TimeRange { start, end } = self.range;
        if start.is_some_and(|start| pts < start) || end.is_some_and(|end| pts >= end) {
            return Ok(());
        }
        self.packets += 1;
        self.writer.write_packet(true, pts, duration, packet).map_err(Failure::at(WRITING))
    }
}

impl Sink for AudioSink {
    type Input<'a> = Samples<'a>;
    type End<'a> = AudioEnd<'a>;

    fn push(&mut self, samples: Samples<'_>) -> Result<Vec<Made>, Failure> {
        match samples {
            Samples::Planes(channels) => {
                for (waiting, samples) in self.waiting.iter_mut().zip(channels) {
                    waiting.extend_from_slice(samples);
                }
                self.encode(self.frame_size + MOST_PADDING)?;
            }
            Samples::Silence(mut left) => {
                while left > 0 {
                    let now = left.min(self.frame_size);
                    for waiting in &mut self.waiting {
                        waiting.resize(waiting.len() + now, 0.0);
                    }
                    left -= now;
                    self.encode(self.frame_size + MOST_PADDING)?;
                }
            }
        }
        Ok(Vec::new())
    }

    fn finish(mut self, end: AudioEnd<'_>) -> Result<Vec<Made>, Failure> {
        let AudioEnd { ends, decoded, damage } = end;
        let padding = ends.map_or(0, |ends| usize::try_from(self.end() - ends).unwrap_or(0));
        if padding <= MOST_PADDING {
            for waiting in &mut self.waiting {
                waiting.truncate(waiting.len().saturating_sub(padding));
            }
        }
        let ends = self.end();
        self.ends = Some(ends).filter(|_| self.lag > 0);
        for waiting in &mut self.waiting {
            waiting.resize(waiting.len() + self.lag, 0.0);
        }
        self.encode(1)?;
        if let Coder::Libav(encoder, _) = &mut self.coder {
            encoder.send_eof().map_err(Failure::at("encoding the last of the sound"))?;
        }
        self.write_packets()?;
        let first = self.range.start.unwrap_or(self.start);
        // What follows begins there, if anything does.
        let next = self.range.end.filter(|end| ends > *end);
        let seconds =
            |samples: Option<i64>| samples.map(|samples| samples as f64 / f64::from(self.rate.max(1)));
        let facts = TrailerFacts {
            rendition: self.rendition,
            units: (next.unwrap_or(ends) - first).max(0),
            packets: self.packets,
            first,
            next,
            reorder: 0,
            warnings: damage.warnings("sound", seconds(self.range.start), seconds(self.range.end)),
        };
        let made = self.writer.finish(facts, decoded).map_err(Failure::at(WRITING))?;
        Ok(vec![made])
    }
}
