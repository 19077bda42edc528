//! Puts an output together out of work objects, by copying packets, and proves it.

use std::{
    cmp::Ordering,
    collections::VecDeque,
    fs::File,
    io::{BufReader, Seek},
};

use millrace_formats::{
    Container,
    container::{Index, Priming},
};
use millrace_schemas::{TrackSum, add_digest};
use xxhash_rust::xxh3::Xxh3;

mod hold;
#[cfg(test)]
mod tests;

use super::{
    alive::Waiting,
    codec::{self, Codec, Form, Kind},
    failure::Failure,
    mux::{self, Muxer, Planned, Timed, container},
    prove::{Expected, prove},
    report::Reporter,
};
use crate::{
    boxes::edit::NewEdits,
    packets::{End, Header, Item, Packet, Reader},
    protocol::{MergeTask, Reply, UncleanSegments},
    seams::{self, JoinedSegment, SegmentRun},
    timeline::{Clock, Timeline, picture_length, rescale_timestamp},
};

/// Puts an output together and proves it. With `other`, that file is proven in its place.
pub(crate) fn merge(
    output: &File,
    other: Option<&File>,
    task: &MergeTask,
    files: Vec<File>,
    reporter: &mut Reporter,
) -> Result<Reply, Failure> {
    let container = container(&task.output.format)?;
    let mut tracks = Vec::new();
    for (track, file) in task.tracks.iter().zip(files) {
        tracks.push(Track::open(track.clone(), file)?);
    }
    // A track without a packet is in no output.
    let (mut tracks, empty): (Vec<Track>, Vec<Track>) =
        tracks.into_iter().partition(|track| track.first.is_some());
    // In all containers covers lie beside the tracks, and readers list them last.
    tracks.sort_by_key(|track| mux::is_cover(&track.header));
    let mut warnings: Vec<String> = empty.iter().map(Track::left_out).collect();
    let is_part = empty.iter().any(Track::is_of_part);
    let origin = origin(&tracks, container).ok_or_else(|| nothing(empty.len(), is_part))?;
    let mut written = None;
    if tracks.iter().all(|track| track.clean) {
        written = Some(write(output, task, container, &mut tracks, origin, reporter)?);
    }
    let unclean = unclean(&mut tracks, task.round, reporter)?;
    if !unclean.is_empty() {
        return Ok(Reply::Unclean(unclean));
    }
    warnings.extend(tracks.iter().chain(&empty).flat_map(|track| track.warnings.clone()));
    if let Some(first) = warnings.first().filter(|_| task.strict) {
        return Err(Failure::new(format!("the source can't be made as it is (strict): {first}")));
    }
    warnings.extend(task.output.remarks.iter().cloned());
    warnings.extend(tracks.iter().filter_map(|track| track.unsaid_end(container)));
    for track in empty {
        track.expected()?;
    }
    let ticks = written.flatten().unwrap_or(0);
    let expected: Vec<Expected> = tracks.into_iter().map(Track::expected).collect::<Result<_, _>>()?;
    let mut reread = other.unwrap_or(output).try_clone().map_err(Failure::at("reading the output again"))?;
    reread.rewind().map_err(Failure::at("reading the output again"))?;
    let mut merged = prove(reread, &task.output, container, (&expected, ticks), reporter)?;
    merged.warnings = warnings;
    Ok(Reply::Merged(Box::new(merged)))
}

fn nothing(tracks: usize, is_part: bool) -> Failure {
    if is_part {
        return Failure::new(
            "no picture and no sound lies in the part of the source that is used; set another source.trim",
        );
    }
    Failure::new(match tracks {
        0 => "there is neither a picture nor a sound to put together".into(),
        1 => "its only track holds no packets that can be read".into(),
        tracks => format!("none of its {tracks} tracks holds a packet"),
    })
}

/// Writes the output, as far as seams are clean; gives the ticks a second of its movie clock, if it has one.
fn write(
    output: &File,
    task: &MergeTask,
    container: &Container,
    tracks: &mut [Track],
    origin: (i64, Clock),
    reporter: &mut Reporter,
) -> Result<Option<i64>, Failure> {
    let planned: Vec<Planned<'_>> = tracks
        .iter()
        .map(|track| Planned {
            header: &track.header,
            tags: track.sum.plan.tags.clone().unwrap_or_default(),
            first: track.held.as_ref().map_or(&[], |packet| packet.data.as_slice()),
        })
        .collect();
    let packets = tracks.iter().map(|track| track.sum.packets).sum();
    let copy = output.try_clone().map_err(Failure::at("writing the output"))?;
    let mut muxer = Muxer::open(copy, container, &planned, &task.output, seconds(origin), packets)?;
    for (i, track) in tracks.iter_mut().enumerate() {
        track.discards = container.index.discards_samples();
        track.begin(muxer.clock(i), origin)?;
    }
    let mut written = 0;
    while let Some(next) = earliest(tracks)? {
        if !tracks.iter().all(|track| track.clean) {
            return Ok(None);
        }
        if let Some(packet) = tracks[next].ready.pop_front() {
            muxer.write(next, &packet)?;
            written += i64::from(tracks[next].header.video.is_some());
            reporter.progress(0, written);
        }
    }
    if let Some(indistinct) = tracks.iter().find_map(|track| track.indistinct_times(container)) {
        return Err(indistinct);
    }
    let ticks = muxer.movie_ticks();
    for (i, track) in tracks.iter().enumerate() {
        muxer.end_track(i, track.codec, &track.header.extradata, track.units)?;
    }
    muxer.finish()?;
    if let Some(ticks) = ticks {
        let movie = Clock { num: 1, den: ticks };
        // A cover is no track, but lies in the header.
        let in_movie = tracks.iter().filter(|track| !mux::is_cover(&track.header)).enumerate();
        let edits = in_movie.filter_map(|(i, track)| Some((i, track.edits(movie)?)));
        mux::write_edits(output, &edits.collect::<Vec<_>>())?;
    }
    Ok(ticks)
}

/// After so many rounds a track whose seams are still not clean is made in one.
const ROUNDS: i32 = 2;

/// The segments that are to be made again; where there are some, all tracks are read to their ends.
fn unclean(
    tracks: &mut [Track],
    round: i32,
    reporter: &mut Reporter,
) -> Result<Vec<UncleanSegments>, Failure> {
    if tracks.iter().all(|track| track.clean) {
        return Ok(Vec::new());
    }
    let mut again = Vec::new();
    for track in tracks {
        while !track.ended {
            track.read()?;
            reporter.progress(0, 0);
        }
        let (order, joints) = (track.sum.plan.indices(), &track.joints);
        let mut runs = seams::unclean_runs(joints);
        // Sound is cheap, and which part of it was decoded rightly is not known.
        if !runs.is_empty() && (round >= ROUNDS || track.header.audio.is_some()) {
            runs = vec![SegmentRun { first: 0, last: joints.len() - 1 }];
        }
        for SegmentRun { first, last } in runs {
            let before = first.checked_sub(1).and_then(|before| joints.get(before));
            again.push(UncleanSegments {
                rendition: track.sum.plan.rendition.clone(),
                replaces: order.get(first..=last).unwrap_or_default().to_vec(),
                start: joints[first].decoded.start.filter(|_| first > 0),
                end: joints[last].decoded.end,
                from: before.and_then(|before| before.decoded.from),
            });
        }
    }
    Ok(again)
}

fn seconds((ticks, clock): (i64, Clock)) -> f64 {
    ticks as f64 * clock.num as f64 / clock.den as f64
}

/// Time zero of the output: the earliest start of its tracks; where the container can't say what comes before it, of their first
/// packets, so that no time that it states is negative.
fn origin(tracks: &[Track], container: &Container) -> Option<(i64, Clock)> {
    tracks
        .iter()
        // What lies beside begins when it begins.
        .filter(|track| track.header.side.is_none())
        .filter_map(|track| {
            let first = track.first?;
            let decoded = track.header.video.is_some() && !container.index.has_decoding_times();
            Some(match container.priming {
                Priming::Heard if !decoded => track.before(first),
                Priming::Signalled | Priming::Heard => (first, track.clock),
            })
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

/// A track that is being read.
struct Track {
    sum: TrackSum,
    reader: Reader<BufReader<Waiting>>,
    header: Header,
    codec: &'static dyn Codec,
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
    /// Presentation times in the output's clock and digests, for the proof.
    put: Vec<(i64, u64)>,
    /// Of a copy: whether each of them is a keyframe.
    keys: Vec<bool>,
    /// All bytes of packets of sound.
    bytes_put: Xxh3,
    /// Of pictures and text: up to when there is something to show, in the output's clock.
    shown_until: i64,
    // What the segments that were read add up to.
    segments: i32,
    units: i64,
    packets: i64,
    digest: i64,
    /// How each segment was decoded.
    joints: Vec<JoinedSegment>,
    /// Whether all seams so far are clean.
    clean: bool,
    warnings: Vec<String>,
    /// The numbers of the segments, in the order of their times.
    order: Vec<i32>,
    /// The last picture: its time, and for how long it is shown, in the clock of the work objects.
    last: Option<(i64, i64)>,
    ended: bool,
    packets_read: hold::Packets,
    /// The length of the last packet in decoding order, and when the last one ends, in the output's clock.
    last_length: i64,
    media_end: i64,
    /// Whether the last packets of sound state how many of their samples are not heard.
    discards: bool,
    /// Of text: the length of each packet, in the output's clock.
    lengths: Vec<i64>,
    /// Of a cover: the digest of what is in it.
    cover: Option<u64>,
}

impl Track {
    fn open(sum: TrackSum, file: File) -> Result<Self, Failure> {
        let mut reader = Reader::new(BufReader::with_capacity(256 * 1024, Waiting(file)));
        let header = reader.next_header().map_err(Failure::at("reading a work object"))?;
        let header = header.ok_or_else(|| Failure::new("a track has no work object"))?;
        let clock = Clock { num: i64::from(header.clock.0), den: i64::from(header.clock.1.max(1)) };
        let codec = codec::of_header(&header)?;
        let mut track = Self {
            sum,
            reader,
            codec,
            clock,
            first: None,
            held: None,
            out: clock,
            origin: (0, clock),
            timeline: Timeline::new(0, 1),
            ready: VecDeque::new(),
            put: Vec::new(),
            keys: Vec::new(),
            bytes_put: Xxh3::new(),
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
            header,
        };
        hold::settings(&track.header, codec, &track.sum.plan)?;
        track.order = track.sum.plan.indices();
        track.held = track.read()?;
        track.first = track.held.as_ref().map(|packet| packet.pts + track.header.padding);
        Ok(track)
    }

    /// The length of a picture in a clock, rounded down so that what is extrapolated never goes below zero.
    fn step(&self, clock: Clock) -> i64 {
        let Some(video) = &self.header.video else { return 1 };
        picture_length((video.frame_rate.num, video.frame_rate.den), clock)
    }

    /// When the packets begin of a track whose first picture or sample is at this time: a time, and its clock.
    fn before(&self, first: i64) -> (i64, Clock) {
        if self.header.video.is_none() {
            return (first - self.header.padding, self.clock);
        }
        // A millisecond more for each picture than its length: the output's clock may be rounded. In a finer clock, since one
        // tick may be as long as a picture.
        let fine = Clock { num: self.clock.num, den: self.clock.den.saturating_mul(1000) };
        let lead = i64::from(self.sum.reorder) * (self.step(fine) + fine.den / (1000 * fine.num.max(1)));
        (first.saturating_mul(1000).saturating_sub(lead), fine)
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
    fn take_beside(&mut self, pts: i64, packet: Packet) {
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
    fn nothing_until(&mut self, start: i64) {
        let from = self.shown_until;
        let Kind::Text { empty } = self.codec.kind() else { return };
        if start > from && !empty.is_empty() {
            let (duration, data) = (start - from, empty.to_vec());
            self.ready.push_back(Timed { pts: from, dts: from, duration, key: true, data, discard: 0 });
        }
    }

    /// Hands a packet to the muxer; `next` is when the next picture is shown, if there is one.
    fn hand_on(&mut self, pts: i64, dts: i64, next: Option<i64>, packet: Packet) {
        let zero = (0, self.clock);
        let own = rescale_timestamp(packet.duration, self.clock, zero, self.out);
        let duration = match next {
            Some(next) => next - pts,
            None if packet.duration > 0 => own.max(1),
            None => self.step(self.out),
        };
        if self.header.video.is_some() {
            self.shown_until = self.shown_until.max(pts + duration);
        } else {
            self.bytes_put.update(&packet.data);
        }
        self.put.push((pts, codec::digest(self.codec, &packet.data, codec::form(&self.header))));
        self.keys.extend(self.header.is_copy().then_some(packet.key));
        self.last_length = duration;
        self.media_end = self.media_end.max(pts + duration);
        let discard = self.discard(packet.pts);
        self.ready.push_back(Timed { pts, dts, duration, key: packet.key, data: packet.data, discard });
    }

    /// How many samples at the end of a packet of sound at this time are not heard, and the container says so.
    fn discard(&self, pts: i64) -> i64 {
        let (true, Some(_), Some(first)) = (self.discards, &self.header.audio, self.first) else { return 0 };
        // The last packet of a lossless codec is as short as what it holds.
        if self.codec.audio().is_some_and(|codec| codec.bits().is_some()) {
            return 0;
        }
        let end = pts.saturating_add(self.header.frame_size);
        end.saturating_sub(first.saturating_add(self.sum.units)).clamp(0, self.header.frame_size)
    }

    /// Reads on until a packet is ready, or the track has ended.
    fn fill(&mut self) -> Result<(), Failure> {
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

    /// The next packet, across the work objects; `None` at the track's end.
    fn read(&mut self) -> Result<Option<Packet>, Failure> {
        let doing = "reading a work object";
        loop {
            match self.reader.next_item().map_err(Failure::at(doing))? {
                Item::Packet(packet) => {
                    self.packets_read.take(&self.header, self.codec, &packet)?;
                    if self.last.is_none_or(|(pts, _)| packet.pts >= pts) {
                        self.last = Some((packet.pts, packet.duration));
                    }
                    return Ok(Some(packet));
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

    fn end_segment(&mut self, end: End) {
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
    fn edits(&self, movie: Clock) -> Option<NewEdits> {
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
    fn is_of_part(&self) -> bool {
        self.sum.plan.source.as_ref().is_some_and(|source| source.trim.is_some())
    }

    /// TS-1: pictures whose times the output's clock, which is coarser than the source's, can't tell apart become later than they
    /// are, by a tick at the most. Returns an error if one would by more.
    fn indistinct_times(&self, container: &Container) -> Option<Failure> {
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

    /// What is said of a track without a packet.
    fn left_out(&self) -> String {
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
    fn unsaid_end(&self, container: &Container) -> Option<String> {
        let video = self.header.video.as_ref().filter(|_| !container.last_length)?;
        let (_, length) = self.last?;
        let (length, usual) = (seconds((length, self.clock)), 1.0 / video.frame_rate.as_f64().max(0.001));
        (length > 1.5 * usual + 0.1).then(|| {
            let name = container.name;
            format!("{name} has no length for its last picture, which the source shows for {length:.3} s")
        })
    }

    /// What the output must show of this track, once all of it was read and agrees with what was counted.
    fn expected(self) -> Result<Expected, Failure> {
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
            None => {
                let first = self.first.unwrap_or(0);
                rescale_timestamp(first + self.units, self.clock, self.origin, self.out)
            }
        };
        Ok(Expected {
            codec: self.codec,
            header: self.header,
            sum: self.sum,
            packets: self.put,
            keys: self.keys,
            bytes: self.bytes_put.digest(),
            clock: self.out,
            ends,
            last_length: self.last_length,
            media_end: self.media_end,
            lengths: self.lengths,
            cover: self.cover,
        })
    }
}
