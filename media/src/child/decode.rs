//! The one decode loop: the decoded frames of a track, one by one.

mod decoder;
pub(crate) mod lengths;

use std::collections::VecDeque;

use ffmpeg_next::{Error, Packet};
use millrace_schemas::{Seek, SeekBy};

pub(crate) use self::decoder::{Decoder, Media, Received};
use super::{alive, failure::Failure, libav::packet::add_headers, source::Source};
use crate::{
    excerpt::Needed,
    timeline::{Clock, rescale_timestamp},
};

/// What happened next in a track.
pub(crate) enum Event<F> {
    /// A packet was read and sent to the decoder.
    Packet(Times),
    /// A frame was decoded; its presentation time is its `timestamp`, in ticks of the track.
    Frame(F),
    /// A packet or a frame with errors; the time of the packet in ticks, if it has one.
    Damaged(Option<i64>),
    /// The track has ended, or could not be read on for this error.
    End(Option<Error>),
}

/// Times of a packet, in ticks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) pts: Option<i64>,
    pub(crate) dts: Option<i64>,
}

/// Decodes a track, which may go on from one stream of the source in another.
pub(crate) struct TrackDecoder<F> {
    pub(crate) source: Source,
    streams: Vec<i32>,
    /// The stream whose decoder is open.
    current: i32,
    /// The clock of the track, which is the one of its first stream.
    pub(crate) clock: Clock,
    decoder: Decoder<F>,
    threads: usize,
    packet: Packet,
    /// Packets that are to be decoded before anything else is read.
    queue: VecDeque<Packet>,
    /// A packet of another stream, which waits for the decoder to be emptied.
    waits: Option<(i32, Packet)>,
    is_draining: bool,
    /// The offset in bytes of the last packet that was read of the current stream, and of the packet at which it began.
    last_at: i64,
    since: i64,
    /// The codec headers that hold at the first packet, if they are not those of the container's header.
    state: Option<Vec<u8>>,
    ended: bool,
    error: Option<Error>,
    /// True until a keyframe comes: packets before it are not decoded.
    awaits_keyframe: bool,
    /// Which frames must come out, if not all.
    needed: Option<Needed>,
    /// The presentation times of packets that may not have been decoded, in ticks.
    left_out: Vec<i64>,
}

impl<F: Media> TrackDecoder<F> {
    /// Opens a track: its first stream and those in which it goes on. Pictures are decoded in so many threads.
    pub(crate) fn open(mut source: Source, streams: &[i32], threads: usize) -> Result<Self, Failure> {
        let current = *streams.first().ok_or_else(|| Failure::new("a track without a stream"))?;
        source.only(streams)?;
        Ok(Self {
            decoder: Decoder::open(&source, current, threads)?,
            clock: source.clock(current),
            source,
            streams: streams.to_vec(),
            current,
            threads,
            packet: Packet::empty(),
            queue: VecDeque::new(),
            waits: None,
            is_draining: false,
            last_at: -1,
            since: -1,
            state: None,
            ended: false,
            error: None,
            awaits_keyframe: false,
            needed: None,
            left_out: Vec::new(),
        })
    }

    /// Goes to a seek point, and decodes with an empty decoder: from the first keyframe on, or from the first packet at the start of
    /// the source. Returns `false` if the source has no such point.
    ///
    /// Frames that are not `needed`, by what their packets say, do not come out if no other frame needs them either
    /// ([`Self::has_left_out`]). Without it, all come out.
    ///
    /// # Errors
    /// If the decoder can't be opened again.
    pub(crate) fn restart(
        &mut self,
        (place, is_start): (Seek, bool),
        needed: Option<Needed>,
    ) -> Result<bool, Failure> {
        let first = self.streams[0];
        if !self.source.seek(first, place) {
            return Ok(false);
        }
        self.decoder = Decoder::open(&self.source, first, self.threads)?;
        self.current = first;
        self.queue.clear();
        self.waits = None;
        (self.is_draining, self.ended, self.error) = (false, false, None);
        (self.last_at, self.since) = (-1, -1);
        (self.needed, self.awaits_keyframe) = (needed, !is_start);
        self.left_out.clear();
        Ok(true)
    }

    /// Returns `true` if a frame may have been left out that is shown after `pts`, at `last` or before, in ticks. Forgets those up to
    /// `pts`.
    pub(crate) fn has_left_out(&mut self, pts: i64, last: i64) -> bool {
        self.left_out.retain(|left_out| *left_out > pts);
        self.left_out.iter().any(|left_out| *left_out <= last)
    }

    /// Sets the codec headers that hold where reading begins, if those of the container's header do not.
    pub(crate) fn set_state(&mut self, headers: Vec<u8>) {
        self.state = Some(headers);
    }

    /// Returns how long a tick of the track is, in seconds.
    pub(crate) fn tick(&self) -> f64 {
        self.clock.num as f64 / self.clock.den as f64
    }

    /// Returns what happens next; once the track has ended, always the end.
    ///
    /// # Errors
    /// If a decoder can't be opened where the track goes on in another stream.
    pub(crate) fn next(&mut self) -> Result<Event<F>, Failure> {
        loop {
            alive::sign();
            match self.decoder.receive() {
                Received::Frame(frame) => return Ok(Event::Frame(frame)),
                Received::Damaged => return Ok(Event::Damaged(self.packet.pts().or(self.packet.dts()))),
                Received::Nothing if self.ended => return Ok(Event::End(self.error.take())),
                Received::Nothing => {}
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
                self.decoder = Decoder::open(&self.source, stream, self.threads)?;
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
                    // The demuxer gives late what it held back when the streams changed; `held_back` has fetched it.
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

    /// Returns packets of the current stream that lie before another stream goes on, and that a demuxer gives only at the end: the
    /// demuxer of transport streams finds the end of a picture where the next one begins.
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

    fn send(&mut self) -> Event<F> {
        self.source.apply_discontinuities(&mut self.packet, (self.current, self.streams[0]));
        self.rescale(self.current);
        if let Some(headers) = self.state.take() {
            add_headers(&mut self.packet, &headers);
        }
        let times = Times { pts: self.packet.pts(), dts: self.packet.dts() };
        self.awaits_keyframe &= !self.packet.is_key();
        if self.awaits_keyframe {
            return Event::Packet(times);
        }
        if let Some(needed) = self.needed {
            let length = self.packet.duration();
            let unneeded = times.pts.filter(|pts| !needed.is_shown(*pts, length));
            self.decoder.leave_out_unreferenced(unneeded.is_some());
            self.left_out.extend(unneeded);
        }
        // A damaged packet costs its frames, as it does in every player.
        match self.decoder.send(&self.packet) {
            Ok(()) => Event::Packet(times),
            Err(_) => Event::Damaged(times.pts.or(times.dts)),
        }
    }

    /// Converts a packet's times from its stream's clock to the track's.
    fn rescale(&mut self, stream: i32) {
        let clock = self.source.clock(stream);
        if clock == self.clock {
            return;
        }
        let to = |ticks| rescale_timestamp(ticks, clock, (0, self.clock), self.clock);
        let (pts, dts) = (self.packet.pts().map(to), self.packet.dts().map(to));
        let duration = to(self.packet.duration());
        self.packet.set_pts(pts);
        self.packet.set_dts(dts);
        self.packet.set_duration(duration);
    }
}
