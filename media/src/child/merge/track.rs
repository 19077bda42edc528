//! A track of work objects, read for the muxer: its packets in decoding order, with their times in the output.

use std::{
    cell::RefCell, cmp::Ordering, collections::VecDeque, fs::File, hash::Hasher as _, io::BufReader, rc::Rc,
};

use millrace_formats::{Container, bit_rate::Buffer, container::Index};
use millrace_schemas::{TrackSum, add_digest};
use twox_hash::XxHash3_64;

use super::hold;
use crate::{
    boxes::edit::NewEdits,
    child::{
        alive::Waiting,
        codec::{self, Codec, Form, Kind},
        copy::{CopiedTrack, SharedSource},
        failure::Failure,
        mux::Timed,
        payload::Payload,
        prove::Expected,
    },
    packets::{End, Header, Item, Packet, Reader},
    seams::{self, JoinedSegment},
    timeline::{Clock, Timeline, compare, picture_length, rescale_timestamp, seconds},
};

/// The source of the tracks that are copied.
pub(super) type Copies = Rc<RefCell<SharedSource>>;

/// A track that is being read.
pub(super) struct Track {
    pub(super) sum: TrackSum,
    pub(super) reader: Reader<BufReader<Waiting>>,
    /// Of a copy: where its packets are.
    pub(super) copied: Option<(CopiedTrack, Copies)>,
    pub(super) header: Header,
    pub(super) codec: &'static dyn Codec,
    /// The clock of the work objects.
    pub(super) clock: Clock,
    /// Time of the first picture or sample, in that clock.
    pub(super) first: Option<i64>,
    /// The first packet, read before the output is begun.
    pub(super) held: Option<Packet<Payload>>,
    /// The clock of the output.
    pub(super) out: Clock,
    pub(super) origin: (i64, Clock),
    /// Whether decoding times are the presentation times in order: pictures may then be shown before they are decoded, as composition
    /// offsets that can be negative say.
    pub(super) is_sorted: bool,
    pub(super) timeline: Timeline<Packet<Payload>>,
    pub(super) ready: VecDeque<Timed>,
    /// Presentation times in the output's clock and digests, for the proof.
    pub(super) put: Vec<(i64, u64)>,
    /// Of a copy: whether each of them is a keyframe.
    pub(super) keys: Vec<bool>,
    /// All bytes of packets of sound.
    pub(super) bytes_put: XxHash3_64,
    /// Of pictures and text: up to when there is something to show, in the output's clock.
    pub(super) shown_until: i64,
    // What the segments that were read add up to.
    pub(super) segments: i32,
    pub(super) units: i64,
    pub(super) packets: i64,
    pub(super) digest: i64,
    /// How each segment was decoded.
    pub(super) joints: Vec<JoinedSegment>,
    /// Whether all seams so far are clean.
    pub(super) clean: bool,
    pub(super) warnings: Vec<String>,
    /// The numbers of the segments, in the order of their times.
    pub(super) order: Vec<i32>,
    /// The last picture: its time, and for how long it is shown, in the clock of the work objects.
    pub(super) last: Option<(i64, i64)>,
    pub(super) ended: bool,
    pub(super) packets_read: hold::Packets,
    /// The length of the last packet in decoding order, and when the last one ends, in the output's clock.
    pub(super) last_length: i64,
    pub(super) media_end: i64,
    /// Whether the last packets of sound state how many of their samples are not heard.
    pub(super) discards: bool,
    /// Of text: the length of each packet, in the output's clock.
    pub(super) lengths: Vec<i64>,
    /// Of a cover: the digest of what is in it.
    pub(super) cover: Option<u64>,
    /// Of pictures: the bytes of all packets.
    pub(super) bytes: u64,
    /// Of pictures with a bound of their rate: the buffer of a player.
    buffer: Option<Buffer>,
    /// When that is empty first, in the output's clock, and how many bits are missing then.
    empty: Option<(i64, u64)>,
}

impl Track {
    /// Opens the first work object of a track.
    pub(super) fn open(sum: TrackSum, file: File) -> Result<Self, Failure> {
        let mut reader = Reader::new(BufReader::with_capacity(256 * 1024, Waiting(file)));
        let header = reader.next_header().map_err(Failure::at("reading a work object"))?;
        let header = header.ok_or_else(|| Failure::new("a track has no work object"))?;
        let clock = Clock { num: i64::from(header.clock.0), den: i64::from(header.clock.1.max(1)) };
        let codec = codec::of_header(&header)?;
        let mut track = Self {
            sum,
            reader,
            copied: None,
            codec,
            clock,
            first: None,
            held: None,
            out: clock,
            origin: (0, clock),
            is_sorted: false,
            timeline: Timeline::new(0, 1),
            ready: VecDeque::new(),
            put: Vec::new(),
            keys: Vec::new(),
            bytes_put: XxHash3_64::new(),
            shown_until: 0,
            segments: 0,
            units: 0,
            packets: 0,
            digest: 0,
            joints: Vec::new(),
            clean: true,
            warnings: Vec::new(),
            order: Vec::new(),
            last: None,
            ended: false,
            packets_read: hold::Packets::default(),
            last_length: 0,
            media_end: i64::MIN,
            discards: false,
            lengths: Vec::new(),
            cover: None,
            bytes: 0,
            buffer: header.video.as_ref().and_then(|video| Buffer::new(video.bit_rate?)),
            empty: None,
            header,
        };
        hold::settings(&track.header, codec, &track.sum.plan)?;
        track.order = track.sum.plan.indices();
        Ok(track)
    }

    /// Reads the first packet. `copies` is the source of a copy.
    pub(super) fn start(&mut self, copies: Option<&Copies>) -> Result<(), Failure> {
        if let Some(stream) = self.header.source_stream {
            let copies = copies.ok_or_else(|| Failure::new("a copy has no source"))?;
            let track = CopiedTrack::open(&copies.borrow().source, &self.header, stream)?;
            self.copied = Some((track, copies.clone()));
        }
        self.held = self.read()?;
        self.first = self.held.as_ref().map(|packet| packet.pts + self.header.padding);
        Ok(())
    }

    /// The length of a picture in a clock, rounded down so that what is extrapolated never goes below zero.
    pub(super) fn step(&self, clock: Clock) -> i64 {
        let Some(video) = &self.header.video else { return 1 };
        picture_length((video.frame_rate.num, video.frame_rate.den), clock)
    }

    /// When the packets begin of a track whose first picture or sample is at this time: a time, and its clock.
    pub(super) fn before(&self, first: i64) -> (i64, Clock) {
        if self.header.video.is_none() {
            return (first - self.header.padding, self.clock);
        }
        // A millisecond more for each picture than its length: the output's clock may be rounded. In a finer clock, since one
        // tick may be as long as a picture.
        let fine = Clock { num: self.clock.num, den: self.clock.den.saturating_mul(1000) };
        let lead = i64::from(self.sum.reorder) * (self.step(fine) + fine.den / (1000 * fine.num.max(1)));
        (first.saturating_mul(1000).saturating_sub(lead), fine)
    }

    pub(super) fn begin(&mut self, out: Clock, origin: (i64, Clock)) -> Result<(), Failure> {
        self.out = out;
        self.origin = origin;
        let depth = if self.is_sorted { 0 } else { usize::try_from(self.sum.reorder).unwrap_or(0) };
        self.timeline = Timeline::new(depth, self.step(out));
        if let Some(packet) = self.held.take() {
            self.take(packet);
        }
        self.fill()
    }

    pub(super) fn take(&mut self, packet: Packet<Payload>) {
        let pts = rescale_timestamp(packet.pts, self.clock, self.origin, self.out);
        if self.header.video.is_some() {
            self.timeline.push(pts, packet);
        } else if self.header.side.is_some() {
            self.take_beside(pts, packet);
        } else {
            self.hand_on(pts, pts, None, packet);
        }
    }

    /// A cover has no time; a text that is over before the output begins is not in it.
    pub(super) fn take_beside(&mut self, pts: i64, packet: Packet<Payload>) {
        if packet.duration == 0 {
            self.cover = Some(codec::digest(self.codec, &packet.data, Form::Encoder));
            self.ready.push_back(Timed { key: true, data: packet.data, ..Timed::default() });
            return;
        }
        let zero = (0, self.clock);
        let end = pts + rescale_timestamp(packet.duration, self.clock, zero, self.out);
        let start = pts.max(self.shown_until);
        if end > start {
            self.nothing_until(start);
            self.put.push((start, codec::digest(self.codec, &packet.data, Form::Encoder)));
            let (duration, data) = (end - start, packet.data);
            self.lengths.push(duration);
            self.media_end = end;
            self.ready.push_back(Timed { pts: start, dts: start, duration, key: true, data, discard: 0 });
            self.shown_until = end;
        }
    }

    /// Where there is no text, a text track holds what its codec has for that.
    pub(super) fn nothing_until(&mut self, start: i64) {
        let from = self.shown_until;
        let Kind::Text { empty } = self.codec.kind() else { return };
        if start > from && !empty.is_empty() {
            let (duration, data) = (start - from, Payload::Object(empty.to_vec()));
            self.ready.push_back(Timed { pts: from, dts: from, duration, key: true, data, discard: 0 });
        }
    }

    /// Hands a packet to the muxer; `next` is when the next picture is shown, if there is one.
    pub(super) fn hand_on(&mut self, pts: i64, dts: i64, next: Option<i64>, packet: Packet<Payload>) {
        let zero = (0, self.clock);
        let own = rescale_timestamp(packet.duration, self.clock, zero, self.out);
        let duration = match next {
            Some(next) => next - pts,
            None if packet.duration > 0 => own.max(1),
            None => self.step(self.out),
        };
        if self.header.video.is_some() {
            self.shown_until = self.shown_until.max(pts + duration);
            let size = packet.data.len() as u64;
            self.bytes += size;
            let missing =
                self.buffer.as_mut().and_then(|buffer| buffer.take(seconds((dts, self.out)), 8 * size));
            self.empty = self.empty.or(missing.map(|missing| (dts, missing)));
        } else {
            self.bytes_put.write(&packet.data);
        }
        self.put.push((pts, codec::digest(self.codec, &packet.data, codec::form(&self.header))));
        self.keys.extend(self.header.is_copy().then_some(packet.key));
        self.last_length = duration;
        self.media_end = self.media_end.max(pts + duration);
        let discard = self.discard(packet.pts);
        self.ready.push_back(Timed { pts, dts, duration, key: packet.key, data: packet.data, discard });
    }

    /// How many samples at the end of a packet of sound at this time are not heard, and the container says so.
    pub(super) fn discard(&self, pts: i64) -> i64 {
        let (true, Some(_), Some(first)) = (self.discards, &self.header.audio, self.first) else { return 0 };
        // The last packet of a lossless codec is as short as what it holds.
        if self.codec.audio().is_some_and(|codec| codec.bits().is_some() || !codec.can_discard()) {
            return 0;
        }
        let end = pts.saturating_add(self.header.frame_size);
        end.saturating_sub(first.saturating_add(self.sum.units)).clamp(0, self.header.frame_size)
    }

    /// Returns the next packet in decoding order; `None` behind the last one.
    pub(super) fn next_ready(&mut self) -> Result<Option<Timed>, Failure> {
        self.fill()?;
        Ok(self.ready.pop_front())
    }

    /// When its last sample that is heard ends, in the output's clock, once all was read.
    pub(super) fn heard_until(&self) -> i64 {
        let first = self.first.unwrap_or(0);
        rescale_timestamp(first.saturating_add(self.units), self.clock, self.origin, self.out)
    }

    /// Reads on until a packet is ready, or the track has ended.
    pub(super) fn fill(&mut self) -> Result<(), Failure> {
        while self.ready.is_empty() {
            if let Some(placed) = self.timeline.pop() {
                self.hand_on(placed.pts, placed.dts, placed.next, placed.packet);
            } else if self.ended {
                return Ok(());
            } else if let Some(packet) = self.read()? {
                self.take(packet);
            } else {
                self.timeline.finish();
            }
        }
        Ok(())
    }

    /// Reads the next packet that is in the source; `None` once all were read.
    fn read_copied(&mut self) -> Result<Option<Packet<Payload>>, Failure> {
        let Some((track, source)) = &mut self.copied else { return Ok(None) };
        let packet = source.borrow_mut().next(track.stream())?;
        match packet {
            Some(packet) => track.take(packet).map(Some),
            None => {
                track.end()?;
                self.copied = None;
                Ok(None)
            }
        }
    }

    /// Holds a packet that was read to what is known of its track.
    fn hold(&mut self, packet: Packet<Payload>) -> Result<Option<Packet<Payload>>, Failure> {
        self.packets_read.take(&self.header, self.codec, &packet)?;
        if self.last.is_none_or(|(pts, _)| packet.pts >= pts) {
            self.last = Some((packet.pts, packet.duration));
        }
        Ok(Some(packet))
    }

    /// The next packet, across the work objects; `None` at the track's end.
    pub(super) fn read(&mut self) -> Result<Option<Packet<Payload>>, Failure> {
        let doing = "reading a work object";
        if let Some(packet) = self.read_copied()? {
            return self.hold(packet);
        }
        loop {
            match self.reader.next_item().map_err(Failure::at(doing))? {
                Item::Packet(Packet { key, pts, duration, data }) => {
                    return self.hold(Packet { key, pts, duration, data: Payload::Object(data) });
                }
                Item::End(end) => {
                    self.packets_read.end(&self.header, self.codec, &end.made)?;
                    self.end_segment(*end);
                    match self.reader.next_header().map_err(Failure::at(doing))? {
                        None => {
                            self.ended = true;
                            return Ok(None);
                        }
                        Some(header) if header != self.header => {
                            return Err(Failure::new(format!(
                                "the codec headers of segments {} and {} differ: two versions of the encoder made them",
                                self.segments - 1,
                                self.segments
                            )));
                        }
                        Some(_) => {}
                    }
                }
            }
        }
    }

    pub(super) fn end_segment(&mut self, end: End) {
        let made = &end.made;
        let number = usize::try_from(self.segments).ok().and_then(|at| self.order.get(at)).copied();
        self.segments += 1;
        self.units += made.units;
        self.packets += made.packets;
        self.digest = add_digest(self.digest, made.digest, number.unwrap_or(-1));
        for warning in end.warnings {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
        let joint = JoinedSegment { made: end.made, decoded: end.decoded };
        // FR-1: what one segment saw behind its end is what the next begins with.
        self.clean &= self.joints.last().is_none_or(|before| seams::is_clean(before, &joint));
        self.joints.push(joint);
    }

    /// What of sound is heard: all but its encoder's priming and padding.
    pub(super) fn edits(&self, movie: Clock) -> Option<NewEdits> {
        self.header.audio.as_ref()?;
        let first = self.first?;
        let zero = (0, self.clock);
        let start = rescale_timestamp(first, self.clock, self.origin, movie);
        let end = rescale_timestamp(first + self.units, self.clock, self.origin, movie);
        Some(NewEdits {
            start: u64::try_from(start).ok()?,
            media_time: u64::try_from(rescale_timestamp(self.header.padding, self.clock, zero, self.out))
                .ok()?,
            length: u64::try_from(end - start).ok()?,
        })
    }

    /// Returns whether only a part of the source is used.
    pub(super) fn is_of_part(&self) -> bool {
        self.sum.plan.source.as_ref().is_some_and(|source| source.trim.is_some())
    }

    /// TS-1: pictures whose times the output's clock, which is coarser than the source's, can't tell apart become later than they
    /// are, by a tick at the most. Returns an error if one would by more.
    pub(super) fn indistinct_times(&self, container: &Container) -> Option<Failure> {
        let is_coarser = compare((1, self.out), (1, self.clock)) == Ordering::Greater;
        let moved = self.timeline.moved();
        (is_coarser && moved > 1).then(|| {
            let (tick, moved) = (1000.0 * seconds((1, self.out)), 1000.0 * seconds((moved, self.out)));
            // Tracks of a movie have the clocks of their sources.
            let finer = codec::tables().containers.iter().find(|other| other.index == Index::Movie);
            Failure::new(format!(
                "pictures of the source follow each other faster than the ticks of {}, which are {tick:.3} ms long, and would be \
                 shown up to {moved:.3} ms late; ask for a format that keeps the source's clock, such as {}",
                container.name,
                finer.map_or("", |finer| finer.name)
            ))
        })
    }

    /// Returns an error if the buffer of a player is empty at some time.
    pub(super) fn empty_buffer(&self) -> Option<Failure> {
        let (at, missing) = self.empty?;
        let asked = self.header.video.as_ref()?.bit_rate?;
        let at = seconds((at, self.out)) - seconds(self.origin).min(0.0);
        Some(Failure::new(format!(
            "the buffer of {} kbit, which fills with {} kbit/s, is empty at {at:.3} s, where a picture lacks {} kbit; set a larger \
             buffer, a greater max_bitrate or a smaller size",
            asked.buffer / 1000,
            asked.most / 1000,
            missing.div_ceil(1000)
        )))
    }

    /// Returns the average bit rate of its pictures, in bits per second.
    pub(super) fn bit_rate(&self) -> Option<i64> {
        let start = rescale_timestamp(self.first?, self.clock, self.origin, self.out);
        let shown = seconds((self.shown_until.saturating_sub(start), self.out));
        (shown > 0.0).then(|| ((8 * self.bytes) as f64 / shown).round() as i64)
    }

    /// What is said of a track without a packet.
    pub(super) fn left_out(&self) -> String {
        let language = self.sum.plan.tags.as_ref().map(|tags| tags.language.as_str()).unwrap_or_default();
        let language = if language.is_empty() { String::new() } else { format!(" ({language})") };
        let what = match &self.header {
            Header { video: Some(_), .. } => "video",
            Header { audio: Some(_), .. } => "sound",
            _ => "text",
        };
        let place = if self.is_of_part() { " in the part of the source that is used" } else { "" };
        format!("a {what} track{language} holds no packets{place} and is left out")
    }

    /// What is said where the container has no length for the last picture, and it is a long one.
    pub(super) fn unsaid_end(&self, container: &Container) -> Option<String> {
        let video = self.header.video.as_ref().filter(|_| !container.last_length)?;
        let (_, length) = self.last?;
        let (length, usual) = (seconds((length, self.clock)), 1.0 / video.frame_rate.as_f64().max(0.001));
        (length > 1.5 * usual + 0.1).then(|| {
            let name = container.name;
            format!("{name} has no length for its last picture, which the source shows for {length:.3} s")
        })
    }

    /// What the output must show of this track, once all of it was read and agrees with what was counted.
    pub(super) fn expected(self) -> Result<Expected, Failure> {
        let sum = &self.sum;
        let read = (self.segments, self.units, self.packets, self.digest);
        if read != (sum.plan.segments, sum.units, sum.packets, sum.digest) {
            return Err(Failure::new(format!(
                "the work objects are not those that were counted: {} segments with {} units in {} packets, expected {} with {} in {}",
                self.segments, self.units, self.packets, sum.plan.segments, sum.units, sum.packets
            )));
        }
        if self.joints.last().is_some_and(|joint| joint.made.next.is_some()) {
            return Err(Failure::new("a picture follows the last segment, and no segment has it"));
        }
        let ends = match &self.header.video {
            Some(_) => self.shown_until,
            None if self.header.side.is_some() => 0,
            None => self.heard_until(),
        };
        Ok(Expected {
            codec: self.codec,
            header: self.header,
            sum: self.sum,
            packets: self.put,
            keys: self.keys,
            bytes: self.bytes_put.finish(),
            clock: self.out,
            ends,
            last_length: self.last_length,
            media_end: self.media_end,
            lengths: self.lengths,
            cover: self.cover,
        })
    }
}
