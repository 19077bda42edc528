//! Encoders, set up by the settings of a rendition alone: two workers with the same settings make streams that can be
//! joined.

use std::{collections::VecDeque, fs::File, io::BufWriter};

use ffmpeg_next::{self as ff, Dictionary, Packet, Rational, codec, format::Sample};
use millrace_schemas::{AudioSettings, Made, Rendition};

use super::{
    alive::{self, Waiting},
    damage::Damage,
    failure::Failure,
    libav::{
        codec::{headers, priming, set_layout, video_encoder},
        frame::sound,
        layout::Layout,
    },
    overlap::Notes,
};
use crate::{
    claims::LARGE_PICTURE,
    packets::{Facts, Header, Writer},
    protocol::TimeRange,
    seams::Decoded,
    timeline::reorder_depth,
};

/// The libav encoder for a codec's name.
fn find(codec: &str) -> Result<ff::Codec, Failure> {
    let encoder = match codec {
        "h264" => "libx264",
        other => other,
    };
    ff::encoder::find_by_name(encoder)
        .ok_or_else(|| Failure::new(format!("this FFmpeg has no encoder '{encoder}'; install one that has")))
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
        let area = i64::from(s.width) * i64::from(s.height);
        let context = video_encoder(find(&s.codec)?, s, threads(cores, area))?;
        let mut options = Dictionary::new();
        options.set("preset", &s.preset);
        options.set("crf", &s.crf.to_string());
        // Where a range begins, decoding can begin, and nothing before it is referred to.
        options.set("forced-idr", "1");
        // `stitchable`: codec headers that depend on the settings alone, so that segments can be joined.
        // `sync-lookahead=0`: no pictures are held for a lookahead that runs by itself. What it gains in time, one
        // more thread gains too, for less memory; the stream is the same.
        // `zones`: an encoder's first picture is a keyframe like the others. x264 quantizes a keyframe by the P-frames before
        // it, finer by its `ipratio` (1.4), and the first, which has none before it, not so: each segment would begin with a
        // picture that is coarser than in one encode (measured: a tenth of the size, 0.7 of VMAF, in segments of 2 s).
        let fields = match s.field_order {
            1 => ":tff=1",
            2 => ":bff=1",
            _ => "",
        };
        options.set(
            "x264-params",
            &format!("stitchable=1:sync-lookahead=0:zones=0,0,b=1.4{}{fields}", lookahead(area)),
        );
        let encoder = context
            .encoder()
            .video()
            .and_then(|video| video.open_with(options))
            .map_err(Failure::at("opening the video encoder"))?;
        let header = Header {
            extradata: headers(&encoder),
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

/// Pictures that the encoder looks ahead at, as its parameter: as many as preset medium does, up to those of 4K; of larger ones,
/// whose memory they would fill, as many as have the pixels of those.
fn lookahead(area: i64) -> String {
    const MEDIUM: i64 = 40;
    if area <= LARGE_PICTURE {
        return String::new();
    }
    format!(":rc-lookahead={}", (MEDIUM * LARGE_PICTURE / area).max(4))
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
    /// How many samples a codec puts in a packet: the grid on which sound can be cut.
    pub(crate) fn frame_size_of(s: &AudioSettings) -> Result<i64, Failure> {
        match s.codec.as_str() {
            // ISO/IEC 14496-3: AAC-LC.
            "aac" => Ok(1024),
            other => Err(Failure::new(format!("sound of codec '{other}' is not cut"))),
        }
    }

    /// `start` is the time of the first sample, in samples. Of what is encoded, the packets of the range are kept.
    pub(crate) fn open(
        rendition: &Rendition,
        (s, layout): (&AudioSettings, Layout),
        out: File,
        start: i64,
        range: TimeRange,
    ) -> Result<Self, Failure> {
        let mut audio = codec::Context::new_with_codec(find(&s.codec)?)
            .encoder()
            .audio()
            .map_err(Failure::at("opening the audio encoder"))?;
        audio.set_rate(s.sample_rate);
        set_layout(&mut audio, layout);
        audio.set_format(Sample::F32(ff::format::sample::Type::Planar));
        audio.set_bit_rate(usize::try_from(s.bit_rate).unwrap_or(0));
        audio.set_time_base(Rational::new(1, s.sample_rate));
        audio.set_flags(codec::Flags::GLOBAL_HEADER);
        let encoder = audio.open().map_err(Failure::at("opening the audio encoder"))?;
        let padding = priming(&encoder);
        let frame_size = encoder.frame_size().max(1) as usize;
        let header = Header {
            extradata: headers(&encoder),
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
            let mut frame = sound(self.layout, self.rate, &planes)?;
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
        decoded: &Decoded,
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
        self.writer.finish(facts, decoded).map_err(Failure::at("writing a work object"))
    }
}
