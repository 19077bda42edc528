//! Encoders, set up by the settings of a rendition alone: two workers with the same settings make streams that can be
//! joined.

use std::{collections::VecDeque, fs::File, io::BufWriter};

use ffmpeg_next::{
    self as ff, Packet, Rational, codec,
    ffi::{
        AV_CODEC_FLAG_GLOBAL_HEADER, AV_CODEC_FLAG_INTERLACED_DCT, AVChromaLocation, AVCodecContext,
        AVColorPrimaries, AVColorRange, AVColorSpace, AVColorTransferCharacteristic,
    },
    format::Pixel,
};
use millrace_schemas::{AudioSettings, Color, Made, Ratio, Rendition};

use super::{
    Failure,
    alive::{self, Waiting},
    damage::Damage,
    layout::{self, Layout},
    overlap::Notes,
};
use crate::{
    claims::LARGE_PICTURE,
    packets::{Facts, Header, Writer},
    protocol::TimeRange,
    seams::Decoded,
    timeline::reorder_depth,
};

pub(crate) fn rational(ratio: Ratio) -> Rational {
    Rational::new(ratio.num, ratio.den.max(1))
}

fn extradata(context: &codec::Context) -> Vec<u8> {
    // SAFETY: an open encoder's extradata is of the size that it says.
    unsafe {
        let context: &AVCodecContext = &*context.as_ptr();
        if context.extradata.is_null() {
            return Vec::new();
        }
        let size = usize::try_from(context.extradata_size).unwrap_or(0);
        std::slice::from_raw_parts(context.extradata, size).to_vec()
    }
}

/// Sets colour by H.273's code points; those that libav does not know are left unspecified.
pub(crate) struct LibavColor {
    pub(crate) primaries: AVColorPrimaries,
    pub(crate) transfer: AVColorTransferCharacteristic,
    pub(crate) matrix: AVColorSpace,
    pub(crate) range: AVColorRange,
    pub(crate) chroma: AVChromaLocation,
}

impl LibavColor {
    pub(crate) fn of(color: Color) -> Self {
        use ff::util::{chroma, color as names};
        // Through the names that libav has for these numbers: no number becomes an enum that does not exist.
        let primaries = (1..=22).find(|n| *n == color.primaries).map_or(2, |n| n);
        let transfer = (1..=18).find(|n| *n == color.transfer).map_or(2, |n| n);
        let matrix = (0..=14).find(|n| *n == color.matrix).map_or(2, |n| n);
        let primaries = if (13..22).contains(&primaries) || primaries == 3 { 2 } else { primaries };
        let transfer = if transfer == 3 { 2 } else { transfer };
        let matrix = if matrix == 3 { 2 } else { matrix };
        // SAFETY: each number is of a variant, as the lines above see to.
        unsafe {
            Self {
                primaries: std::mem::transmute::<i32, AVColorPrimaries>(primaries),
                transfer: std::mem::transmute::<i32, AVColorTransferCharacteristic>(transfer),
                matrix: std::mem::transmute::<i32, AVColorSpace>(matrix),
                range: match color.range {
                    1 => names::Range::MPEG.into(),
                    2 => names::Range::JPEG.into(),
                    _ => names::Range::Unspecified.into(),
                },
                chroma: match color.chroma {
                    1 => chroma::Location::Left.into(),
                    2 => chroma::Location::Center.into(),
                    3 => chroma::Location::TopLeft.into(),
                    _ => AVChromaLocation::AVCHROMA_LOC_UNSPECIFIED,
                },
            }
        }
    }
}

/// A video encoder, and the work objects that it fills: one for each range, each beginning with a keyframe.
pub(crate) struct VideoEncoder {
    encoder: ff::encoder::video::Encoder,
    header: Header,
    rendition: String,
    ranges: Vec<TimeRange>,
    outputs: VecDeque<File>,
    /// How many pictures of each range went in.
    sent: Vec<i64>,
    /// The range of the last picture that went in.
    sending: usize,
    /// Times and lengths of pictures that are in the encoder.
    lengths: VecDeque<(i64, i64)>,
    /// The work object that is being filled, the times in it, and its range.
    writer: Option<Writer<BufWriter<Waiting>>>,
    times: Vec<i64>,
    filling: usize,
}

impl VideoEncoder {
    pub(crate) fn open(
        rendition: &Rendition,
        ranges: &[TimeRange],
        outputs: VecDeque<File>,
        cores: usize,
    ) -> Result<Self, Failure> {
        let s = rendition.video.as_ref().ok_or_else(|| Failure::new("a rendition without video settings"))?;
        let mut context = codec::Context::new_with_codec(super::codec::encoder(&s.codec)?);
        let color = LibavColor::of(s.color);
        let area = i64::from(s.width) * i64::from(s.height);
        // SAFETY: the context was just allocated; these are plain fields, set before it is opened.
        unsafe {
            let c = &mut *context.as_mut_ptr();
            c.width = s.width;
            c.height = s.height;
            c.pix_fmt = s.pixel_format.parse::<Pixel>().map_err(Failure::at("pixel format"))?.into();
            c.time_base = rational(s.time_base).into();
            c.framerate = rational(s.frame_rate).into();
            c.sample_aspect_ratio = rational(s.sample_aspect).into();
            c.color_primaries = color.primaries;
            c.color_trc = color.transfer;
            c.colorspace = color.matrix;
            c.color_range = color.range;
            c.chroma_sample_location = color.chroma;
            c.flags |= AV_CODEC_FLAG_GLOBAL_HEADER as i32;
            if s.field_order != 0 {
                c.flags |= AV_CODEC_FLAG_INTERLACED_DCT as i32;
            }
            c.thread_count = threads(cores, area);
        }
        let options = super::codec::video_options(s)?;
        let encoder = context
            .encoder()
            .video()
            .and_then(|video| video.open_with(options))
            .map_err(Failure::at("opening the video encoder"))?;
        let header = Header {
            extradata: extradata(&encoder),
            clock: (s.time_base.num, s.time_base.den),
            video: Some(s.clone()),
            audio: None,
            side: None,
            size: None,
            padding: 0,
            frame_size: 0,
        };
        Ok(Self {
            encoder,
            header,
            rendition: rendition.id.clone(),
            ranges: ranges.to_vec(),
            outputs,
            sent: vec![0; ranges.len()],
            sending: 0,
            lengths: VecDeque::new(),
            writer: None,
            times: Vec::new(),
            filling: 0,
        })
    }

    /// Which range is going in, and how many of its pictures have.
    pub(crate) fn progress(&self) -> (usize, i64) {
        let range = self.sending.min(self.sent.len().saturating_sub(1));
        (range, self.sent.get(range).copied().unwrap_or(0))
    }

    /// Whether all ranges are whole: what goes in now is for nothing.
    pub(crate) fn is_done(&self) -> bool {
        self.filling == self.ranges.len()
    }

    /// Encodes a picture; gives the work objects that became whole by that. Pictures behind the last range are looked ahead at:
    /// what comes after a picture says how much it is worth, and at an end it would be worth less than in one encode (measured:
    /// 6 % of the size, 0.5 of VMAF, in segments of 2 s).
    ///
    /// `length` is for how long the picture is shown, in ticks.
    pub(crate) fn encode(
        &mut self,
        frame: &mut ff::frame::Video,
        (pts, length): (i64, i64),
        notes: &Notes,
    ) -> Result<Vec<Made>, Failure> {
        let before = self.sending;
        while self.ranges.get(self.sending).is_some_and(|range| range.end.is_some_and(|end| pts >= end)) {
            self.sending += 1;
        }
        if let Some(sent) = self.sent.get_mut(self.sending) {
            *sent += 1;
        }
        let begins = self.sending > before;
        frame.set_pts(Some(pts));
        frame.set_kind(if begins { ff::picture::Type::I } else { ff::picture::Type::None });
        self.lengths.push_back((pts, length));
        self.encoder.send_frame(frame).map_err(Failure::at("encoding a picture"))?;
        self.take(notes)
    }

    fn take(&mut self, notes: &Notes) -> Result<Vec<Made>, Failure> {
        let mut whole = Vec::new();
        let mut packet = Packet::empty();
        while self.encoder.receive_packet(&mut packet).is_ok() {
            alive::sign();
            let pts = packet.pts().ok_or_else(|| Failure::new("the encoder gave a packet without a time"))?;
            while self.ranges.get(self.filling).is_some_and(|range| range.end.is_some_and(|end| pts >= end)) {
                whole.push(self.end_range(Some(pts), pts, notes)?);
            }
            if self.is_done() {
                self.lengths.clear();
                continue;
            }
            self.times.push(pts);
            let sent = self.lengths.iter().position(|(sent, _)| *sent == pts);
            let length = sent.and_then(|at| self.lengths.remove(at)).map_or(0, |(_, length)| length);
            let written =
                self.writer()?.packet(packet.is_key(), pts, length, packet.data().unwrap_or_default());
            written.map_err(Failure::at("writing a work object"))?;
        }
        Ok(whole)
    }

    /// The work object of the range that is being filled.
    fn writer(&mut self) -> Result<&mut Writer<BufWriter<Waiting>>, Failure> {
        if let Some(ref mut writer) = self.writer {
            return Ok(writer);
        }
        let output = self.outputs.pop_front().ok_or_else(|| Failure::new("a range without an output"))?;
        let writer = Writer::new(BufWriter::new(Waiting(output)), &self.header);
        Ok(self.writer.insert(writer.map_err(Failure::at("writing a work object"))?))
    }

    /// Ends a work object. `empty_at` is the time that stands for a range without a picture.
    fn end_range(&mut self, next: Option<i64>, empty_at: i64, notes: &Notes) -> Result<Made, Failure> {
        self.writer()?;
        let tick = f64::from(self.header.clock.0) / f64::from(self.header.clock.1.max(1));
        let range = self.ranges[self.filling];
        let seconds = |ticks: Option<i64>| ticks.map(|ticks| ticks as f64 * tick);
        let times = std::mem::take(&mut self.times);
        let (packets, sent) = (i64::try_from(times.len()).unwrap_or(i64::MAX), self.sent[self.filling]);
        if packets != sent {
            return Err(Failure::new(format!("the encoder took {sent} pictures and gave {packets}")));
        }
        let facts = Facts {
            rendition: self.rendition.clone(),
            units: sent,
            packets,
            first: times.iter().min().copied().unwrap_or(empty_at),
            next,
            reorder: i32::try_from(reorder_depth(&times)).unwrap_or(i32::MAX),
            warnings: notes.damage.told("pictures", seconds(range.start), seconds(range.end)),
        };
        self.filling += 1;
        let writer = self.writer.take().ok_or_else(|| Failure::new("a range without an output"))?;
        writer.finish(facts, &notes.decoded(range)).map_err(Failure::at("writing a work object"))
    }

    /// Ends all work objects; gives those that were not whole before.
    pub(crate) fn finish(
        mut self,
        next: Option<i64>,
        empty_at: i64,
        notes: &Notes,
    ) -> Result<Vec<Made>, Failure> {
        if self.is_done() {
            // What is still looked ahead at is never encoded.
            return Ok(Vec::new());
        }
        self.encoder.send_eof().map_err(Failure::at("encoding the last pictures"))?;
        let mut whole = self.take(notes)?;
        while self.filling < self.ranges.len() {
            whole.push(self.end_range(next, next.unwrap_or(empty_at), notes)?);
        }
        Ok(whole)
    }
}

/// Two threads for a core, or the cores idle while threads wait for each other's rows. Each holds pictures: of large ones
/// there are fewer.
fn threads(cores: usize, area: i64) -> i32 {
    let most = if area > LARGE_PICTURE { 4 } else { usize::MAX };
    i32::try_from(if cores <= 1 { 1 } else { (cores * 2).min(most) }).unwrap_or(1)
}

/// The most samples that a codec pads the end of sound by: two frames of HE-AAC. A container that says that there are more
/// behind its end is wrong.
const MOST_PADDING: usize = 4096;

/// An audio encoder, and the work object that it fills.
pub(crate) struct AudioEncoder {
    encoder: ff::encoder::audio::Encoder,
    writer: Writer<BufWriter<Waiting>>,
    rendition: String,
    layout: Layout,
    rate: i32,
    frame_size: usize,
    waiting: Vec<Vec<f32>>,
    start: i64,
    samples: i64,
    /// The packets that are kept, by their times in samples.
    range: TimeRange,
    packets: i64,
}

impl AudioEncoder {
    /// `start` is the time of the first sample, in samples. Of what is encoded, the packets of the range are kept.
    pub(crate) fn open(
        rendition: &Rendition,
        (s, layout): (&AudioSettings, Layout),
        out: File,
        start: i64,
        range: TimeRange,
    ) -> Result<Self, Failure> {
        let mut audio = codec::Context::new_with_codec(super::codec::encoder(&s.codec)?)
            .encoder()
            .audio()
            .map_err(Failure::at("opening the audio encoder"))?;
        audio.set_rate(s.sample_rate);
        // SAFETY: a plain field of a context that is not open yet; the layout holds nothing to free.
        unsafe { (*audio.as_mut_ptr()).ch_layout = layout.raw() };
        audio.set_format(super::codec::sample_format(s)?);
        audio.set_bit_rate(usize::try_from(s.bit_rate).unwrap_or(0));
        audio.set_time_base(Rational::new(1, s.sample_rate));
        audio.set_flags(codec::Flags::GLOBAL_HEADER);
        let encoder = audio.open_with(super::codec::audio_options(s)?);
        let encoder = encoder.map_err(Failure::at("opening the audio encoder"))?;
        // SAFETY: a plain field of an open encoder.
        let padding = i64::from(unsafe { (*encoder.as_ptr()).initial_padding });
        let frame_size = encoder.frame_size().max(1) as usize;
        let header = Header {
            extradata: extradata(&encoder),
            clock: (1, s.sample_rate),
            video: None,
            audio: Some(s.clone()),
            side: None,
            size: None,
            padding,
            frame_size: frame_size as i64,
        };
        let writer = Writer::new(BufWriter::new(Waiting(out)), &header)
            .map_err(Failure::at("writing a work object"))?;
        Ok(Self {
            encoder,
            writer,
            rendition: rendition.id.clone(),
            layout,
            rate: s.sample_rate,
            frame_size,
            waiting: vec![Vec::new(); usize::try_from(s.channels).unwrap_or(0)],
            start,
            samples: 0,
            range,
            packets: 0,
        })
    }

    /// Samples in a packet.
    pub(crate) fn frame_size(&self) -> i64 {
        self.frame_size as i64
    }

    /// The time after the last sample so far, in samples.
    pub(crate) fn end(&self) -> i64 {
        self.start + self.samples + self.waiting.first().map_or(0, |channel| channel.len() as i64)
    }

    /// Adds samples, a slice a channel; all are of the same length.
    pub(crate) fn push(&mut self, channels: &[&[f32]]) -> Result<(), Failure> {
        for (waiting, samples) in self.waiting.iter_mut().zip(channels) {
            waiting.extend_from_slice(samples);
        }
        self.encode(self.frame_size + MOST_PADDING)
    }

    /// Adds silence.
    pub(crate) fn silence(&mut self, samples: usize) -> Result<(), Failure> {
        let mut left = samples;
        while left > 0 {
            let now = left.min(self.frame_size);
            for waiting in &mut self.waiting {
                waiting.resize(waiting.len() + now, 0.0);
            }
            left -= now;
            self.encode(self.frame_size + MOST_PADDING)?;
        }
        Ok(())
    }

    /// Encodes while at least so many samples wait. The last ones are held back: they may turn out to be padding.
    fn encode(&mut self, at_least: usize) -> Result<(), Failure> {
        let mut taken = 0;
        let there = self.waiting.first().map_or(0, Vec::len);
        while there - taken >= at_least.max(1) {
            let now = (there - taken).min(self.frame_size);
            let planes: Vec<&[f32]> =
                self.waiting.iter().map(|waiting| &waiting[taken..taken + now]).collect();
            let mut frame = layout::frame(self.layout, self.rate, &planes)?;
            frame.set_pts(Some(self.start + self.samples));
            self.encoder.send_frame(&frame).map_err(Failure::at("encoding sound"))?;
            self.samples += now as i64;
            taken += now;
            self.take()?;
        }
        for waiting in &mut self.waiting {
            waiting.drain(..taken);
        }
        Ok(())
    }

    fn take(&mut self) -> Result<(), Failure> {
        let mut packet = Packet::empty();
        while self.encoder.receive_packet(&mut packet).is_ok() {
            alive::sign();
            let pts = packet.pts().ok_or_else(|| Failure::new("the encoder gave a packet without a time"))?;
            let TimeRange { start, end } = self.range;
            if start.is_some_and(|start| pts < start) || end.is_some_and(|end| pts >= end) {
                continue;
            }
            self.packets += 1;
            self.writer
                .packet(true, pts, packet.duration(), packet.data().unwrap_or_default())
                .map_err(Failure::at("writing a work object"))?;
        }
        Ok(())
    }

    /// Ends the work object. `ends` is where the container says that the sound ends: what a codec padded behind it is left
    /// out.
    pub(crate) fn finish(
        mut self,
        ends: Option<i64>,
        decoded: Decoded,
        damage: &Damage,
    ) -> Result<Made, Failure> {
        let padding = ends.map_or(0, |ends| usize::try_from(self.end() - ends).unwrap_or(0));
        if padding <= MOST_PADDING {
            for waiting in &mut self.waiting {
                waiting.truncate(waiting.len().saturating_sub(padding));
            }
        }
        self.encode(1)?;
        self.encoder.send_eof().map_err(Failure::at("encoding the last of the sound"))?;
        self.take()?;
        let ends = self.start + self.samples;
        let first = self.range.start.unwrap_or(self.start);
        // What follows begins there, if anything does.
        let next = self.range.end.filter(|end| ends > *end);
        let seconds =
            |samples: Option<i64>| samples.map(|samples| samples as f64 / f64::from(self.rate.max(1)));
        let facts = Facts {
            rendition: self.rendition,
            units: (next.unwrap_or(ends) - first).max(0),
            packets: self.packets,
            first,
            next,
            reorder: 0,
            warnings: damage.told("sound", seconds(self.range.start), seconds(self.range.end)),
        };
        self.writer.finish(facts, &decoded).map_err(Failure::at("writing a work object"))
    }
}
