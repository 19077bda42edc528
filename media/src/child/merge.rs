//! Puts an output together out of work objects, by copying packets, and proves it.

use std::{
    cmp::Ordering,
    collections::VecDeque,
    fs::File,
    io::{BufReader, Seek},
};

use millrace_schemas::TrackSum;

use super::{
    Failure, Reporter,
    mux::{Muxer, Planned, Timed, container},
    prove::{Expected, prove},
};
use crate::{
    packets::{Header, Item, Packet, Reader},
    protocol::{MergeTask, Merged},
    timeline::{Clock, Timeline, place},
};

pub(crate) fn merge(
    output: &File,
    task: &MergeTask,
    files: Vec<File>,
    reporter: &mut Reporter,
) -> Result<Merged, Failure> {
    let container = container(&task.output.format)?;
    let mut tracks = Vec::new();
    for (track, file) in task.tracks.iter().zip(files) {
        tracks.push(Track::open(track.clone(), file)?);
    }
    let origin = origin(&tracks, container.edit_lists)
        .ok_or_else(|| Failure::new("there is neither a picture nor a sound to put together"))?;
    let planned: Vec<Planned<'_>> = tracks
        .iter()
        .map(|track| Planned { header: &track.header, tags: track.sum.plan.tags.clone().unwrap_or_default() })
        .collect();
    let packets = tracks.iter().map(|track| track.sum.packets).sum();
    let copy = output.try_clone().map_err(Failure::at("writing the output"))?;
    let mut muxer = Muxer::open(copy, container, &planned, &task.output, seconds(origin), packets)?;
    for (i, track) in tracks.iter_mut().enumerate() {
        track.begin(muxer.clock(i), origin)?;
    }

    let mut written = 0;
    while let Some(next) = earliest(&mut tracks)? {
        if let Some(packet) = tracks[next].ready.pop_front() {
            muxer.write(next, &packet)?;
            written += i64::from(tracks[next].header.video.is_some());
            reporter.progress(0, written);
        }
    }
    muxer.finish()?;

    let expected: Vec<Expected> = tracks.into_iter().map(Track::expected).collect::<Result<_, _>>()?;
    let mut reread = output.try_clone().map_err(Failure::at("reading the output again"))?;
    reread.rewind().map_err(Failure::at("reading the output again"))?;
    prove(reread, &task.output, container, &expected, reporter)
}

fn seconds((ticks, clock): (i64, Clock)) -> f64 {
    ticks as f64 * clock.num as f64 / clock.den as f64
}

/// Time zero of the output: the earliest start of its tracks; where the container has no edit lists, of their first
/// packets, so that no time is negative.
fn origin(tracks: &[Track], edit_lists: bool) -> Option<(i64, Clock)> {
    tracks
        .iter()
        // What lies beside begins when it begins.
        .filter(|track| track.header.side.is_none())
        .filter_map(|track| {
            let first = track.first?;
            Some(if edit_lists { (first, track.clock) } else { (first - track.lead(), track.clock) })
        })
        .min_by(|a, b| compare(*a, *b))
}

/// Compares times of two clocks exactly.
fn compare((a, ca): (i64, Clock), (b, cb): (i64, Clock)) -> Ordering {
    let left = i128::from(a) * i128::from(ca.num) * i128::from(cb.den);
    left.cmp(&(i128::from(b) * i128::from(cb.num) * i128::from(ca.den)))
}

/// The track whose next packet decodes first; `None` once all are written.
fn earliest(tracks: &mut [Track]) -> Result<Option<usize>, Failure> {
    for track in &mut *tracks {
        track.fill()?;
    }
    let next = |track: &Track| track.ready.front().map(|packet| (packet.dts, track.out));
    Ok((0..tracks.len())
        .filter_map(|i| next(&tracks[i]).map(|at| (i, at)))
        .min_by(|a, b| compare(a.1, b.1))
        .map(|(i, _)| i))
}

/// A text of no length.
const EMPTY_TEXT: [u8; 2] = [0, 0];

/// A track that is being read.
struct Track {
    sum: TrackSum,
    reader: Reader<BufReader<File>>,
    header: Header,
    /// The clock of the work objects.
    clock: Clock,
    /// Time of the first picture or sample, in that clock.
    first: Option<i64>,
    /// The first packet, read before the output is begun.
    held: Option<Packet>,
    /// The clock of the output.
    out: Clock,
    origin: (i64, Clock),
    timeline: Timeline<Packet>,
    ready: VecDeque<Timed>,
    /// Presentation times in the output's clock, for the proof.
    times: Vec<i64>,
    /// Of text: up to when there is something to show, or nothing, in the output's clock.
    shown_until: i64,
    // What the segments that were read add up to.
    segments: i32,
    units: i64,
    packets: i64,
    digest: i64,
    /// What the last segment saw as the first picture of the next.
    promised: Option<i64>,
    ended: bool,
}

impl Track {
    fn open(sum: TrackSum, file: File) -> Result<Self, Failure> {
        let mut reader = Reader::new(BufReader::with_capacity(256 * 1024, file));
        let header = reader.header().map_err(Failure::at("reading a work object"))?;
        let header = header.ok_or_else(|| Failure::new("a track has no work object"))?;
        let clock = Clock { num: i64::from(header.clock.0), den: i64::from(header.clock.1.max(1)) };
        let mut track = Self {
            sum,
            reader,
            clock,
            first: None,
            held: None,
            out: clock,
            origin: (0, clock),
            timeline: Timeline::new(0, 1),
            ready: VecDeque::new(),
            times: Vec::new(),
            shown_until: 0,
            segments: 0,
            units: 0,
            packets: 0,
            digest: 0,
            promised: None,
            ended: false,
            header,
        };
        track.held = track.read()?;
        track.first = track.held.as_ref().map(|packet| packet.pts + track.header.padding);
        Ok(track)
    }

    /// The length of a picture in a clock, rounded down so that what is extrapolated never goes below zero.
    fn step(&self, clock: Clock) -> i64 {
        let Some(video) = &self.header.video else { return 1 };
        let (num, den) = (i64::from(video.frame_rate.num.max(1)), i64::from(video.frame_rate.den.max(1)));
        (i128::from(den) * i128::from(clock.den) / (i128::from(num) * i128::from(clock.num.max(1))))
            .clamp(1, i128::from(i32::MAX)) as i64
    }

    /// How long before its first picture or sample the track's packets begin.
    fn lead(&self) -> i64 {
        // One tick more for each picture than the step: the output's may be rounded.
        if self.header.video.is_some() {
            i64::from(self.sum.reorder) * (self.step(self.clock) + 1)
        } else {
            self.header.padding
        }
    }

    fn begin(&mut self, out: Clock, origin: (i64, Clock)) -> Result<(), Failure> {
        self.out = out;
        self.origin = origin;
        let depth = usize::try_from(self.sum.reorder).unwrap_or(0);
        self.timeline = Timeline::new(depth, self.step(out));
        if let Some(packet) = self.held.take() {
            self.take(packet);
        }
        self.fill()
    }

    fn take(&mut self, packet: Packet) {
        let pts = place(packet.pts, self.clock, self.origin, self.out);
        if self.header.video.is_some() {
            self.timeline.push(pts, packet);
        } else if self.header.side.is_some() {
            self.take_beside(pts, packet);
        } else {
            self.hand_on(pts, pts, packet);
        }
    }

    /// A cover has no time; a text that is over before the output begins is not in it.
    fn take_beside(&mut self, pts: i64, packet: Packet) {
        if packet.duration == 0 {
            self.ready.push_back(Timed { pts: 0, dts: 0, duration: 0, key: true, data: packet.data });
            return;
        }
        let zero = (0, self.clock);
        let end = pts + place(packet.duration, self.clock, zero, self.out);
        let start = pts.max(self.shown_until);
        if end > start {
            self.nothing_until(start);
            self.times.push(start);
            let (duration, data) = (end - start, packet.data);
            self.ready.push_back(Timed { pts: start, dts: start, duration, key: true, data });
            self.shown_until = end;
        }
    }

    /// A text track of mp4 has a sample for every moment: where there is no text, an empty one (3GPP TS 26.245, 5.2).
    fn nothing_until(&mut self, start: i64) {
        let from = self.shown_until;
        if start > from {
            let data = EMPTY_TEXT.to_vec();
            self.ready.push_back(Timed { pts: from, dts: from, duration: start - from, key: true, data });
        }
    }

    fn hand_on(&mut self, pts: i64, dts: i64, packet: Packet) {
        let zero = (0, self.clock);
        let duration = if packet.duration > 0 {
            place(packet.duration, self.clock, zero, self.out)
        } else {
            self.step(self.out)
        };
        self.times.push(pts);
        self.ready.push_back(Timed { pts, dts, duration, key: packet.key, data: packet.data });
    }

    /// Reads on until a packet is ready, or the track has ended.
    fn fill(&mut self) -> Result<(), Failure> {
        while self.ready.is_empty() {
            if let Some((pts, dts, packet)) = self.timeline.pop() {
                self.hand_on(pts, dts, packet);
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

    /// The next packet, across the work objects; `None` at the track's end.
    fn read(&mut self) -> Result<Option<Packet>, Failure> {
        let doing = "reading a work object";
        loop {
            match self.reader.item().map_err(Failure::at(doing))? {
                Item::Packet(packet) => return Ok(Some(packet)),
                Item::End(made) => {
                    self.end_segment(&made)?;
                    match self.reader.header().map_err(Failure::at(doing))? {
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

    /// FR-1: what one segment saw as its successor's first picture is what the successor begins with.
    fn end_segment(&mut self, made: &millrace_schemas::Made) -> Result<(), Failure> {
        let index = self.segments;
        if let Some(promised) = self.promised
            && promised != made.first
        {
            return Err(Failure::new(format!(
                "segment {index} begins at {} and should at {promised} (ticks of {}/{} s): pictures are missing or twice there",
                made.first, self.clock.num, self.clock.den
            )));
        }
        self.promised = made.next;
        self.segments += 1;
        self.units += made.units;
        self.packets += made.packets;
        let number = i64::from(self.sum.plan.first_segment + index);
        self.digest = self.digest.wrapping_add(made.digest.wrapping_mul(2 * number + 1));
        Ok(())
    }

    /// What the output must show of this track, once all of it was read and agrees with what was counted.
    fn expected(mut self) -> Result<Expected, Failure> {
        let sum = &self.sum;
        let read = (self.segments, self.units, self.packets, self.digest);
        if read != (sum.plan.segments, sum.units, sum.packets, sum.digest) {
            return Err(Failure::new(format!(
                "the work objects are not those that were counted: {} segments with {} units in {} packets, expected {} with {} in {}",
                self.segments, self.units, self.packets, sum.plan.segments, sum.units, sum.packets
            )));
        }
        if self.promised.is_some() {
            return Err(Failure::new("a picture follows the last segment, and no segment has it"));
        }
        self.times.sort_unstable();
        let end = match &self.header.video {
            Some(_) => self.times.last().map_or(0, |last| last + self.step(self.out)),
            None if self.header.side.is_some() => 0,
            None => {
                let first = self.first.unwrap_or(0);
                place(first + self.units, self.clock, self.origin, self.out)
            }
        };
        let ends_at = end as f64 * self.out.num as f64 / self.out.den as f64;
        Ok(Expected { header: self.header, sum: self.sum, times: self.times, clock: self.out, ends_at })
    }
}
