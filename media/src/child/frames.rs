//! The decoded frames of a track, one by one: the one decode loop.

use std::{collections::VecDeque, ops::Deref};

use ffmpeg_next::{Error, Frame, Packet, frame};
use millrace_schemas::{Seek, SeekBy};

use super::{
    alive,
    decoder::{PictureDecoder, Received, SoundDecoder},
    failure::Failure,
    libav::packet::add_headers,
    source::Source,
};
use crate::timeline::{Clock, place};

/// A decoder of one kind of stream.
pub(crate) trait Decode: Sized {
    type Frame: Deref<Target = Frame>;
    fn open(source: &Source, stream: i32, cores: usize) -> Result<Self, Failure>;
    fn send(&mut self, packet: &Packet) -> Result<(), Error>;
    fn end(&mut self);
    fn receive(&mut self) -> (Received, Self::Frame);
}

impl Decode for PictureDecoder {
    type Frame = frame::Video;

    fn open(source: &Source, stream: i32, cores: usize) -> Result<Self, Failure> {
        Self::open(source, stream, cores)
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

    fn open(source: &Source, stream: i32, _cores: usize) -> Result<Self, Failure> {
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

/// What comes next of a track.
pub(crate) enum Next<F> {
    /// A packet was read.
    Packet(Times),
    /// A decoded frame.
    Frame(F),
    /// A packet or a frame with errors; the time of the packet in ticks, if it has one.
    Damaged(Option<i64>),
    /// The end, or the error that ended reading.
    End(Option<Error>),
}

/// Times of a packet, in ticks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) pts: Option<i64>,
    pub(crate) dts: Option<i64>,
}

/// The decoded frames of a track, which may go on from one stream of the source in another.
pub(crate) struct Frames<D> {
    pub(crate) source: Source,
    streams: Vec<i32>,
    /// The stream whose decoder is open.
    current: i32,
    /// The clock of the track: that of its first stream.
    pub(crate) clock: Clock,
    decoder: D,
    cores: usize,
    packet: Packet,
    /// Packets that are to be decoded before anything else is read.
    queue: VecDeque<Packet>,
    /// A packet of another stream, which waits for the decoder to be emptied.
    waits: Option<(i32, Packet)>,
    is_draining: bool,
    /// The offset in bytes of the last packet of the stream that is being read, and of the first of the one before it.
    last_at: i64,
    since: i64,
    /// What holds at the first packet, of what else lies between packets.
    state: Option<Vec<u8>>,
    ended: bool,
    error: Option<Error>,
}

impl<D: Decode> Frames<D> {
    /// Opens a track: its first stream and those in which it goes on.
    pub(crate) fn open(mut source: Source, streams: &[i32], cores: usize) -> Result<Self, Failure> {
        let current = *streams.first().ok_or_else(|| Failure::new("a track without a stream"))?;
        source.only(streams)?;
        Ok(Self {
            decoder: D::open(&source, current, cores)?,
            clock: source.clock(current),
            source,
            streams: streams.to_vec(),
            current,
            cores,
            packet: Packet::empty(),
            queue: VecDeque::new(),
            waits: None,
            is_draining: false,
            last_at: -1,
            since: -1,
            state: None,
            ended: false,
            error: None,
        })
    }

    /// Sets the codec headers that hold where reading begins: those of the container's header do not.
    pub(crate) fn set_state(&mut self, headers: Vec<u8>) {
        self.state = Some(headers);
    }

    /// Seconds a tick.
    pub(crate) fn tick(&self) -> f64 {
        self.clock.num as f64 / self.clock.den as f64
    }

    /// What comes next. After the end it is the end for good.
    pub(crate) fn next(&mut self) -> Result<Next<D::Frame>, Failure> {
        loop {
            alive::sign();
            match self.decoder.receive() {
                (Received::Frame, frame) => return Ok(Next::Frame(frame)),
                (Received::Damaged, _) => return Ok(Next::Damaged(self.packet.pts().or(self.packet.dts()))),
                (Received::Nothing, _) if self.ended => return Ok(Next::End(self.error.take())),
                (Received::Nothing, _) => {}
            }
            if let Some(packet) = self.queue.pop_front() {
                self.packet = packet;
                return Ok(self.send());
            }
            if let Some((stream, packet)) = self.waits.take() {
                if !std::mem::replace(&mut self.is_draining, true) {
                    self.decoder.end();
                    self.waits = Some((stream, packet));
                    continue;
                }
                self.is_draining = false;
                self.current = stream;
                self.decoder = D::open(&self.source, stream, self.cores)?;
                self.packet = packet;
                return Ok(self.send());
            }
            match self.source.read_as_it_is(&self.streams, &mut self.packet) {
                Ok(None) => self.end(None),
                Err(error) => self.end(Some(error)),
                Ok(Some(stream)) => {
                    let at = i64::try_from(self.packet.position()).unwrap_or(-1);
                    if stream == self.current {
                        self.last_at = at.max(self.last_at);
                        return Ok(self.send());
                    }
                    // What the demuxer held back when the streams changed was fetched then.
                    if at >= 0 && at < self.since {
                        continue;
                    }
                    self.queue = self.held_back(at)?;
                    (self.since, self.last_at) = (at, at);
                    self.waits = Some((stream, std::mem::replace(&mut self.packet, Packet::empty())));
                }
            }
        }
    }

    /// The packets of the stream so far that lie before another one goes on, and which a demuxer gives only at the end: that
    /// of a transport stream sees the end of a picture where the next one begins.
    fn held_back(&mut self, before: i64) -> Result<VecDeque<Packet>, Failure> {
        let mut packets = VecDeque::new();
        let (Ok(end), true) = (u64::try_from(before), self.source.container() == "mpegts") else {
            return Ok(packets);
        };
        let mut view = self.source.view(end)?;
        let Some(stream) = view.same_stream(&self.source, self.current) else { return Ok(packets) };
        if !view.seek(stream, Seek { by: SeekBy::Byte, at: self.last_at.max(0), state: 0 }) {
            return Ok(packets);
        }
        let mut packet = Packet::empty();
        while let Ok(Some(_)) = view.read_as_it_is(&[stream], &mut packet) {
            if i64::try_from(packet.position()).is_ok_and(|at| at > self.last_at) {
                packets.push_back(std::mem::replace(&mut packet, Packet::empty()));
            }
        }
        Ok(packets)
    }

    fn end(&mut self, error: Option<Error>) {
        self.ended = true;
        self.error = error;
        self.decoder.end();
    }

    fn send(&mut self) -> Next<D::Frame> {
        self.source.apply_jumps(&mut self.packet, (self.current, self.streams[0]));
        self.rescale(self.current);
        if let Some(headers) = self.state.take() {
            add_headers(&mut self.packet, &headers);
        }
        let times = Times { pts: self.packet.pts(), dts: self.packet.dts() };
        // A damaged packet costs its frames, as it does in every player.
        match self.decoder.send(&self.packet) {
            Ok(()) => Next::Packet(times),
            Err(_) => Next::Damaged(times.pts.or(times.dts)),
        }
    }

    /// Brings a packet's times into the track's clock.
    fn rescale(&mut self, stream: i32) {
        let clock = self.source.clock(stream);
        if clock == self.clock {
            return;
        }
        let to = |ticks| place(ticks, clock, (0, self.clock), self.clock);
        let (pts, dts) = (self.packet.pts().map(to), self.packet.dts().map(to));
        let duration = to(self.packet.duration());
        self.packet.set_pts(pts);
        self.packet.set_dts(dts);
        self.packet.set_duration(duration);
    }
}

/// When a track ends by an mp4's own boxes, in ticks: its edit list may end it within a picture, and says for how long the
/// last one is shown where another was decoded after it. `None` where nothing says so.
pub(crate) fn track_end(source: &Source, stream: i32) -> Option<i64> {
    let movie = source.movie(0).filter(|_| source.container().contains("mp4"))?;
    let of_it = source.input.stream(usize::try_from(stream).ok()?)?;
    // libavformat takes the track's ID for the stream's.
    let track = movie.tracks.iter().find(|track| i64::from(track.id) == i64::from(of_it.id()))?;
    let (length, timescale) = if track.edits.is_empty() {
        (track.media_duration, track.timescale)
    } else {
        let all = track.edits.iter().try_fold(0_u64, |all, edit| all.checked_add(edit.duration))?;
        (all, movie.timescale)
    };
    let clock = Clock { num: 1, den: i64::from(timescale) };
    // An edit of no length lasts to the end of what a fragmented file holds.
    let length = i64::try_from(length).ok().filter(|length| (1..LONGEST_TRACK).contains(length))?;
    Some(place(length, clock, (0, clock), source.clock(stream)))
}

/// The longest track whose end is believed, in ticks.
const LONGEST_TRACK: i64 = 1 << 50;

/// For how long the last picture of a track is shown, in ticks: until the track ends, where that is known, or as its packet
/// says; 0 where nothing does.
pub(crate) fn last_length(frame: &Frame, pts: i64, track_end: Option<i64>) -> i64 {
    track_end.map_or(0, |end| end.saturating_sub(pts)).max(0).max(length_within(frame, pts, track_end))
}

/// For how long a picture is shown as its packet says, in ticks, and no longer than its track.
fn length_within(frame: &Frame, pts: i64, track_end: Option<i64>) -> i64 {
    match track_end {
        Some(end) if end > pts => length(frame).min(end - pts),
        _ => length(frame),
    }
}

/// For how long a decoded frame is shown, in ticks, as its packet says; 0 where it does not.
pub(crate) fn length(frame: &Frame) -> i64 {
    frame.packet().duration.max(0)
}
