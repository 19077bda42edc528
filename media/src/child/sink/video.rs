//! Encodes pictures, into one work object for each range.

use std::{collections::VecDeque, fs::File};

use ffmpeg_next::{self as ff, Packet, frame};
use millrace_formats::{Seams, grid::Grid, ticks::Ticks};
use millrace_schemas::{Made, Ratio, Rendition, VideoSettings};

use super::{
    handover::Handover,
    work_object::{Sink, WRITING, WorkObject, begin},
};
use crate::{
    child::{
        alive,
        codec::{self as encoding, VideoCodec},
        failure::Failure,
        libav::codec::{headers, video_encoder},
        overlap::Notes,
    },
    claims::LARGE_PICTURE,
    packets::{Header, TrailerFacts},
    protocol::TimeRange,
    timeline::reorder_depth,
};

/// A picture that is to be encoded.
pub(crate) struct TimedPicture<'a> {
    pub(crate) frame: frame::Video,
    /// Its presentation time, in ticks.
    pub(crate) pts: i64,
    /// For how long it is shown, in ticks; 0 if nothing says so.
    pub(crate) length: i64,
    /// What the task noted so far.
    pub(crate) notes: &'a Notes,
}

/// A video encoder, and the work objects that it fills: one for each range, each beginning with a keyframe. An encoder of a
/// codec whose segments are encodes of their own fills one, and is followed by another.
///
/// It is set up by the settings of its rendition alone: two workers with the same settings make streams that can be joined.
pub(crate) struct VideoSink {
    /// `None` between two encoders.
    encoder: Option<ff::encoder::video::Encoder>,
    /// The first pictures of a range whose encoder is not open yet.
    handover: Option<Handover>,
    settings: VideoSettings,
    threads: i32,
    codec: &'static dyn VideoCodec,
    header: Header,
    rendition: String,
    /// Whether the encoder makes a keyframe where it is asked to.
    places_keyframes: bool,
    /// Whether an encoder makes one range alone.
    makes_one: bool,
    intervals: Option<Intervals>,
    /// The time of the first picture behind the last range.
    behind: Option<i64>,
    /// Whether the encoder was told that no picture follows, and whether all of its packets were written then.
    is_ended: bool,
    is_flushed: bool,
    ranges: Vec<Span>,
    /// How long a tick of the source is, in seconds.
    source_tick: f64,
    outputs: VecDeque<File>,
    /// How many pictures of each range went in.
    sent: Vec<i64>,
    /// The range of the last picture that went in.
    sending: usize,
    /// Times and lengths of pictures that are in the encoder.
    lengths: VecDeque<(i64, i64)>,
    /// The work object that is being filled, the times in it, and its range.
    writer: Option<WorkObject>,
    times: Vec<i64>,
    filling: usize,
}

/// A range, in the clock of the source and in that of the rendition.
#[derive(Debug, Clone, Copy)]
struct Span {
    of_source: TimeRange,
    start: Option<i64>,
    end: Option<i64>,
}

impl Span {
    /// Returns a range of source time as one of a rendition's. At another frame rate the ticks in it are its own.
    fn new(of_source: TimeRange, clock: Ratio, settings: &VideoSettings) -> Self {
        let TimeRange { start, end } = of_source;
        let Some(ticks) = Ticks::of(settings, clock) else { return Self { of_source, start, end } };
        let first = |time: Option<i64>| time.map(|time| ticks.first_from(time));
        Self { of_source, start: first(start), end: first(end) }
    }
}

impl VideoSink {
    /// Opens the encoder. There is an output for each range, which are in ticks of the source's clock.
    ///
    /// # Errors
    /// If this FFmpeg has no such encoder, or it refuses the settings.
    pub(crate) fn open(
        rendition: &Rendition,
        (ranges, clock): (&[TimeRange], Ratio),
        outputs: VecDeque<File>,
        cores: usize,
    ) -> Result<Self, Failure> {
        let s = rendition.video.as_ref().ok_or_else(|| Failure::new("a rendition without video settings"))?;
        let area = i64::from(s.width) * i64::from(s.height);
        let codec = encoding::video(s)?;
        let places_keyframes = codec.places_keyframes();
        let threads = threads(codec.encoder_threads(cores), area);
        let encoder = open_encoder(codec, s, threads)?;
        let header = Header {
            extradata: headers(&encoder),
            clock: (s.time_base.num, s.time_base.den),
            video: Some(s.of_all_passes()),
            audio: None,
            side: None,
            size: None,
            padding: 0,
            frame_size: 0,
            source_stream: None,
        };
        Ok(Self {
            encoder: Some(encoder),
            handover: None,
            settings: s.clone(),
            threads,
            codec,
            header,
            rendition: rendition.id.clone(),
            places_keyframes,
            makes_one: encoding::find(&s.codec)?.seams() == Seams::OwnEncode,
            intervals: Intervals::new(s),
            behind: None,
            is_ended: false,
            is_flushed: false,
            ranges: ranges.iter().map(|range| Span::new(*range, clock, s)).collect(),
            source_tick: clock.as_f64(),
            outputs,
            sent: vec![0; ranges.len()],
            sending: 0,
            lengths: VecDeque::new(),
            writer: None,
            times: Vec::new(),
            filling: 0,
        })
    }

    /// Returns which range is going in, and how many of its pictures have.
    pub(crate) fn progress(&self) -> (usize, i64) {
        let range = self.sending.min(self.sent.len().saturating_sub(1));
        (range, self.sent.get(range).copied().unwrap_or(0))
    }

    /// Returns `true` if all ranges are whole: what goes in now is for nothing.
    pub(crate) fn is_done(&self) -> bool {
        self.filling == self.ranges.len()
    }

    /// Takes note that the source has come this far. A rendition of single pictures, which may be far from each other, ends its ranges
    /// then: no picture is awaited that tells that one has ended. Returns the work objects that became whole.
    pub(crate) fn reached(&mut self, time: i64, notes: &Notes) -> Result<Vec<Made>, Failure> {
        let mut whole = Vec::new();
        if self.settings.instants.is_none() || self.is_flushed {
            return Ok(whole);
        }
        while let Some(range) = self.ranges.get(self.filling)
            && range.of_source.end.is_some_and(|end| time >= end && notes.has_seen_enough(end))
        {
            let empty_at = range.start.unwrap_or(0);
            whole.push(self.end_range(None, empty_at, notes)?);
        }
        Ok(whole)
    }

    fn encoder(&mut self) -> Result<&mut ff::encoder::video::Encoder, Failure> {
        self.encoder.as_mut().ok_or_else(|| Failure::new("a picture without an encoder"))
    }

    /// Writes what comes out of the encoder. Returns the work objects that became whole.
    fn write_packets(&mut self, notes: &Notes) -> Result<Vec<Made>, Failure> {
        let mut whole = Vec::new();
        let mut packet = Packet::empty();
        while self.encoder()?.receive_packet(&mut packet).is_ok() {
            alive::sign();
            whole.extend(self.write_packet(&packet, notes)?);
        }
        Ok(whole)
    }

    /// Writes a packet. Returns the work objects that end before it.
    fn write_packet(&mut self, packet: &Packet, notes: &Notes) -> Result<Vec<Made>, Failure> {
        let mut whole = Vec::new();
        let pts = packet.pts().ok_or_else(|| Failure::new("the encoder gave a packet without a time"))?;
        while self.ranges.get(self.filling).is_some_and(|range| range.end.is_some_and(|end| pts >= end)) {
            whole.push(self.end_range(Some(pts), pts, notes)?);
        }
        if self.is_done() {
            self.lengths.clear();
            return Ok(whole);
        }
        self.times.push(pts);
        let sent = self.lengths.iter().position(|(sent, _)| *sent == pts);
        let length = sent.and_then(|at| self.lengths.remove(at)).map_or(0, |(_, length)| length);
        let data = packet.data().unwrap_or_default();
        let data = match &self.header.video {
            Some(settings) => self.codec.without_headers(settings, data),
            None => data.into(),
        };
        let written = self.writer()?.write_packet(packet.is_key(), pts, length, &data);
        written.map_err(Failure::at(WRITING))?;
        Ok(whole)
    }

    /// Tells the encoder that no picture follows. Its threads go on with what it holds.
    fn end_encoder(&mut self) -> Result<(), Failure> {
        if std::mem::replace(&mut self.is_ended, true) {
            return Ok(());
        }
        self.encoder()?.send_eof().map_err(Failure::at("encoding the last pictures"))
    }

    /// Ends the encoder and its range, and begins another one with the pictures that wait for it. Returns the work objects that became
    /// whole.
    fn hand_over(&mut self, notes: &Notes) -> Result<Vec<Made>, Failure> {
        let Some(Handover { next, pictures }) = self.handover.take() else { return Ok(Vec::new()) };
        let mut whole = self.write_packets(notes)?;
        whole.push(self.end_range(Some(next), next, notes)?);
        // The one before is closed first: two would need twice the memory.
        self.encoder = None;
        let encoder = open_encoder(self.codec, &self.settings, self.threads)?;
        if headers(&encoder) != self.header.extradata {
            return Err(Failure::new("two encoders with the same settings gave other headers"));
        }
        self.encoder = Some(encoder);
        self.is_ended = false;
        for frame in pictures {
            whole.extend(self.encode(&frame, notes)?);
        }
        Ok(whole)
    }

    /// Encodes a picture, and writes what comes out.
    fn encode(&mut self, frame: &frame::Video, notes: &Notes) -> Result<Vec<Made>, Failure> {
        self.encoder()?.send_frame(frame).map_err(Failure::at("encoding a picture"))?;
        self.write_packets(notes)
    }

    /// The work object of the range that is being filled.
    fn writer(&mut self) -> Result<&mut WorkObject, Failure> {
        if let Some(ref mut writer) = self.writer {
            return Ok(writer);
        }
        let output = self.outputs.pop_front().ok_or_else(|| Failure::new("a range without an output"))?;
        Ok(self.writer.insert(begin(output, &self.header)?))
    }

    /// Ends the encoder, and all ranges.
    fn flush(&mut self, notes: &Notes) -> Result<Vec<Made>, Failure> {
        if std::mem::replace(&mut self.is_flushed, true) {
            return Ok(Vec::new());
        }
        let mut whole = self.hand_over(notes)?;
        self.end_encoder()?;
        whole.extend(self.write_packets(notes)?);
        let next = self.behind;
        // What stands for a range without a picture.
        let empty_at = next.or_else(|| self.ranges.first()?.start).unwrap_or(0);
        while self.filling < self.ranges.len() {
            whole.push(self.end_range(next, empty_at, notes)?);
        }
        Ok(whole)
    }

    /// Ends a work object. `empty_at` is the time that stands for a range without a picture.
    fn end_range(&mut self, next: Option<i64>, empty_at: i64, notes: &Notes) -> Result<Made, Failure> {
        self.writer()?;
        let range = self.ranges[self.filling].of_source;
        let seconds = |ticks: Option<i64>| ticks.map(|ticks| ticks as f64 * self.source_tick);
        let times = std::mem::take(&mut self.times);
        let (packets, sent) = (i64::try_from(times.len()).unwrap_or(i64::MAX), self.sent[self.filling]);
        if packets != sent {
            return Err(Failure::new(format!("the encoder took {sent} pictures and gave {packets}")));
        }
        let facts = TrailerFacts {
            rendition: self.rendition.clone(),
            units: sent,
            packets,
            first: times.iter().min().copied().unwrap_or(empty_at),
            next,
            reorder: i32::try_from(reorder_depth(&times)).unwrap_or(i32::MAX),
            warnings: notes.damage.warnings("pictures", seconds(range.start), seconds(range.end)),
        };
        self.filling += 1;
        let writer = self.writer.take().ok_or_else(|| Failure::new("a range without an output"))?;
        writer.finish(facts, &notes.decoded(range)).map_err(Failure::at(WRITING))
    }
}

impl Sink for VideoSink {
    type Input<'a> = TimedPicture<'a>;
    /// What the task noted.
    type End<'a> = &'a Notes;

    /// Encodes a picture. Pictures behind the last range are looked ahead at: what comes after a picture says how much it is
    /// worth, and at an end it would be worth less than in one encode (measured: 6 % of the size, 0.5 of VMAF, in segments of 2 s).
    fn push(&mut self, picture: TimedPicture<'_>) -> Result<Vec<Made>, Failure> {
        let TimedPicture { mut frame, pts, length, notes } = picture;
        if self.settings.instants.is_some() && self.is_done() {
            return Ok(Vec::new());
        }
        let before = self.sending;
        let begins_interval = self.intervals.as_mut().is_some_and(|intervals| intervals.begins_one(pts));
        while self.ranges.get(self.sending).is_some_and(|range| range.end.is_some_and(|end| pts >= end)) {
            self.sending += 1;
        }
        if let Some(sent) = self.sent.get_mut(self.sending) {
            *sent += 1;
        }
        if self.sending == self.ranges.len() {
            self.behind.get_or_insert(pts);
        }
        if !self.places_keyframes && self.sending == self.ranges.len() {
            // One behind the end may be coded before the last ones of the range, which would need it. As many are seen as seams
            // are compared by, while the encoder goes on with what it holds.
            if self.handover.is_none() {
                self.end_encoder()?;
            }
            let end = self.ranges.last().and_then(|range| range.of_source.end);
            if end.is_some_and(|end| !notes.has_seen_enough(end)) {
                return Ok(Vec::new());
            }
            return self.flush(notes);
        }
        let mut whole = Vec::new();
        if self.makes_one
            && self.sending > before
            && self.sent[before] > 0
            && self.sending < self.ranges.len()
        {
            whole = self.hand_over(notes)?;
            // Its threads go on with what it holds.
            self.end_encoder()?;
            self.handover = Some(Handover::new(pts));
        }
        let begins = self.sending > before || begins_interval;
        frame.set_pts(Some(pts));
        frame.set_kind(if begins { ff::picture::Type::I } else { ff::picture::Type::None });
        self.lengths.push_back((pts, length));
        match &mut self.handover {
            None => whole.extend(self.encode(&frame, notes)?),
            Some(handover) => {
                handover.pictures.push(frame);
                // The end of the range before is compared by the pictures behind it.
                let end = self.ranges.get(self.filling).and_then(|range| range.of_source.end);
                if handover.is_full() && end.is_none_or(|end| notes.has_seen_enough(end)) {
                    whole.extend(self.hand_over(notes)?);
                }
            }
        }
        Ok(whole)
    }

    fn finish(mut self, notes: &Notes) -> Result<Vec<Made>, Failure> {
        if self.is_done() {
            // What is still looked ahead at is never encoded.
            return Ok(Vec::new());
        }
        self.flush(notes)
    }
}

/// Opens an encoder by its settings alone.
fn open_encoder(
    codec: &dyn VideoCodec,
    settings: &VideoSettings,
    threads: i32,
) -> Result<ff::encoder::video::Encoder, Failure> {
    let context = video_encoder(encoding::encoder(&settings.codec, &settings.encoder)?, settings, threads)?;
    let options = encoding::dictionary(&codec.options_for(settings, threads));
    let opened = context.encoder().video().and_then(|video| video.open_with(options));
    opened.map_err(Failure::at("opening the video encoder"))
}

/// Where keyframes are asked for at intervals.
#[derive(Debug)]
struct Intervals {
    grid: Grid,
    /// Whether the intervals begin with the first picture.
    begins_first: bool,
    /// The interval of the picture before.
    last: Option<i64>,
}

impl Intervals {
    /// Returns the intervals of these settings; `None` if they leave keyframes to the encoder.
    fn new(settings: &VideoSettings) -> Option<Self> {
        let begins_first = settings.keyframe_grid.is_some();
        Grid::of(settings).map(|grid| Self { grid, begins_first, last: None })
    }

    /// Takes the next picture. Returns `true` if it is the first one of an interval, counted from time zero of the source or of the
    /// grid, so that it does not depend on where segments begin. The first picture of all is a keyframe anyway.
    fn begins_one(&mut self, pts: i64) -> bool {
        let number = self.grid.number(pts);
        // A picture before the first one was damaged or dropped in the index.
        let number = if self.begins_first { number.max(0) } else { number };
        self.last.replace(number).is_some_and(|last| last != number)
    }
}

/// Returns how many of the threads that a codec asks for an encoder gets. Each holds pictures: of large ones there are fewer.
fn threads(asked: usize, area: i64) -> i32 {
    let most = if area > LARGE_PICTURE { 4 } else { usize::MAX };
    i32::try_from(asked.clamp(1, most)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use millrace_schemas::{Picture, Ratio};

    use super::*;

    #[test]
    fn keyframes_at_intervals_are_counted_from_time_zero_whatever_comes_first() {
        let clock = Ratio { num: 1001, den: 30_000 };
        let picture = Picture::plain((64, 48), Ratio { num: 30_000, den: 1001 }, clock);
        let settings = VideoSettings { keyframe_seconds: 0.5, ..VideoSettings::of("h264", &picture) };
        let begun = |from: i64| -> Vec<i64> {
            let mut intervals = Intervals::new(&settings).unwrap();
            (from..61).filter(|pts| intervals.begins_one(*pts)).collect()
        };
        // Picture 30 is at 1.001 s.
        assert_eq!(begun(-20), [-14, 0, 15, 30, 45, 60]);
        assert_eq!(begun(20), [30, 45, 60]);
        assert_eq!(begun(30), [45, 60], "the first one is a keyframe anyway");
        let tenths =
            VideoSettings { keyframe_seconds: 0.1, time_base: Ratio { num: 1, den: 10 }, ..settings.clone() };
        let mut intervals = Intervals::new(&tenths).unwrap();
        assert_eq!((0..10).filter(|pts| intervals.begins_one(*pts)).count(), 9, "0.3 s is the third one");
        assert!(Intervals::new(&VideoSettings { keyframe_seconds: 0.0, ..settings.clone() }).is_none());
        let on_grid = VideoSettings { keyframe_grid: Some(7), ..settings };
        let mut intervals = Intervals::new(&on_grid).unwrap();
        let begun: Vec<i64> = (5..40).filter(|pts| intervals.begins_one(*pts)).collect();
        assert_eq!(begun, [22, 37], "from the grid's own zero on, before which there is no interval");
    }
}
