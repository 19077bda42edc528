//! Ranges of pictures that follow one another, decoded once, and encoded for each rendition.

use std::{
    collections::{BTreeSet, VecDeque},
    fs::File,
    ops::ControlFlow,
};

use ffmpeg_next as ff;
use millrace_schemas::{Made, Seek, SeekBy};

use super::{
    burnt, entry,
    opened::{open, state},
};
use crate::{
    child::{
        alive,
        assets::Assets,
        damage::Damage,
        decode::{Event, TrackDecoder, lengths},
        failure::Failure,
        graph::{
            shape::Changes,
            {
                course::{Course, Incoming, usual_pictures},
                presented::Presented,
            },
        },
        libav::stream,
        outliers::{OutlierFilter, Timed},
        overlap::Notes,
        report::Reporter,
        sink::{Sink as _, TimedPicture, VideoSink},
        source::{Source, oversized},
    },
    claims,
    protocol::TranscodeTask,
};

pub(super) fn transcode(
    file: &File,
    task: &TranscodeTask,
    outputs: Vec<File>,
    assets: Vec<File>,
    reporter: &mut Reporter,
) -> Result<(), Failure> {
    let in_middle = task.ranges.first().and_then(|range| range.start);
    let mut places: VecDeque<Option<Seek>> = task.seeks.iter().copied().map(Some).chain([None]).collect();
    if in_middle.is_none() {
        let entry = task.trim.and_then(|_| entry::proven(file, task, reporter).transpose()).transpose()?;
        places = entry.map(Some).into_iter().chain([None]).collect();
    }
    let mut assets = Assets::read(task, assets)?;
    burnt::add_tracks(file, task, &mut assets)?;
    let mut outputs = Some(outputs);
    let mut work = None;
    while let Some(place) = places.pop_front() {
        let mut decoder = open(file, task)?;
        let work = match outputs.take() {
            Some(outputs) => work.insert(Work::new(task, outputs, &assets, &decoder.source)?),
            None => work.as_mut().ok_or_else(|| Failure::new("a task without ranges"))?,
        };
        if let Some(place) = place {
            if !decoder.source.seek(task.stream, place) {
                continue;
            }
            if let Some(headers) = state(task, place)? {
                decoder.set_state(headers);
            }
        }
        work.notes.from = place;
        match decode(&mut decoder, task, place.is_some(), work, reporter)? {
            // The first picture came after the start of the range: one before it may be missing. Go back one more.
            Outcome::TooLate => {
                work.lead.clear();
                if let Some(earlier) = place.and_then(|place| before(&decoder.source, task.stream, place)) {
                    places.push_front(Some(earlier));
                }
            }
            // Read from the start, as it was when all pictures were found, and go on where it ended.
            Outcome::Gap => {
                work.lead.clear();
                work.resumed = work.last;
                places = VecDeque::from([None]);
            }
            Outcome::Done => break,
        }
    }
    work.map_or(Ok(()), |work: Work| work.finish(reporter))
}

/// Work objects by range, until those of all renditions are whole.
struct Whole {
    renditions: usize,
    reported: usize,
    waiting: Vec<(usize, Vec<Made>)>,
}

impl Whole {
    fn new(task: &TranscodeTask) -> Self {
        let waiting = (0..task.ranges.len()).map(|range| (range, Vec::new())).collect();
        Self { renditions: task.renditions.len(), reported: 0, waiting }
    }

    /// Takes work objects of one rendition, which become whole in the order of the ranges.
    fn add(&mut self, made: Vec<Made>, reporter: &Reporter) {
        for made in made {
            let missing =
                |(_, there): &&mut (usize, Vec<Made>)| there.iter().all(|m| m.rendition != made.rendition);
            if let Some((_, there)) = self.waiting.iter_mut().skip(self.reported).find(missing) {
                there.push(made);
            }
        }
        while let Some((range, made)) =
            self.waiting.get_mut(self.reported).filter(|(_, made)| made.len() == self.renditions)
        {
            reporter.made(*range, std::mem::take(made));
            self.reported += 1;
        }
    }
}

/// Returns the seek point of the keyframe before another seek point, by the container's index.
fn before(source: &Source, stream: i32, place: Seek) -> Option<Seek> {
    if place.by != SeekBy::Time {
        return None;
    }
    let stream = source.input.stream(usize::try_from(stream).ok()?)?;
    let entry = stream::keyframe_before(&stream, place.at.checked_sub(1)?)?;
    Some(Seek { by: SeekBy::Time, at: entry.timestamp, state: place.state })
}

enum Outcome {
    Done,
    TooLate,
    /// Pictures that are in the source were not read: a damaged container is read otherwise from the middle.
    Gap,
}

/// Times of packets that were read, which show whether there is a packet for every picture that was found once.
struct Packets {
    times: BTreeSet<i64>,
    longest_gap: i64,
}

impl Packets {
    /// Returns `true` if no packet was read for the time between two pictures, and one must be there.
    fn miss(&mut self, last: Option<i64>, pts: i64) -> bool {
        let Some(last) = last.filter(|_| self.longest_gap > 0) else { return false };
        self.times = self.times.split_off(&last.saturating_add(1));
        pts.saturating_sub(last) > self.longest_gap && self.times.first().is_none_or(|next| *next >= pts)
    }
}

/// What a task makes, and how far it is.
struct Work {
    course: Course,
    changes: Changes,
    /// One for each rendition.
    sinks: Vec<VideoSink>,
    whole: Whole,
    start: Option<i64>,
    /// Whether the first range begins where the source does, or the part of it that is used.
    is_first: bool,
    end: Option<i64>,
    /// The start and the end of the part of the source that is used, in ticks. Its end is taken for that of the source.
    part: (Option<i64>, Option<i64>),
    /// Whether a picture was decoded at all.
    has_decoded: bool,
    /// The length of a picture in ticks.
    step: i64,
    /// How long a tick is, in seconds.
    tick: f64,
    /// The last pictures before the start, as many as filters need.
    lead: VecDeque<Presented>,
    last: Option<i64>,
    /// Pictures up to this timestamp have already been encoded.
    resumed: Option<i64>,
    next: Option<i64>,
    count: i64,
    notes: Notes,
    /// Whether it is noted that closed captions are left out.
    is_without_captions: bool,
}

impl Work {
    fn new(
        task: &TranscodeTask,
        outputs: Vec<File>,
        assets: &Assets,
        source: &Source,
    ) -> Result<Self, Failure> {
        let in_middle = task.ranges.first().and_then(|range| range.start);
        let all_settings = || task.renditions.iter().filter_map(|rendition| rendition.video.as_ref());
        // The others have the frame rate that the planner found, which is libavformat's but for damaged sources.
        let rate =
            all_settings().find(|settings| !settings.is_resampled()).map(|settings| settings.frame_rate);
        let (clock, step, field_order) = usual_pictures(source, task.stream, rate)?;
        let first = task.shape.as_ref();
        let part = task.trim.map(|trim| trim.ticks((i64::from(clock.num), i64::from(clock.den))));
        let part = (part.map(|part| part.0), part.and_then(|part| part.1));
        let start = in_middle.or(part.0);
        let incoming = Incoming { first, clock, step, field_order, start: in_middle };
        let mut course = Course::build(all_settings(), incoming, task.cores);
        course.set_assets(assets)?;
        // They come range by range; a sink takes those of one rendition.
        let mut of_rendition: Vec<VecDeque<File>> = task.renditions.iter().map(|_| VecDeque::new()).collect();
        for (i, output) in outputs.into_iter().enumerate() {
            of_rendition[i % task.renditions.len()].push_back(output);
        }
        let mut sinks = Vec::new();
        for (rendition, outputs) in task.renditions.iter().zip(of_rendition) {
            sinks.push(VideoSink::open(rendition, (&task.ranges, clock), outputs, task.cores)?);
        }
        let mut notes = Notes::new(&task.ranges, course.lead_in());
        notes.plan_seeks(&task.ranges, &task.planned);
        Ok(Self {
            notes,
            course,
            changes: Changes::default(),
            sinks,
            whole: Whole::new(task),
            start,
            is_first: in_middle.is_none(),
            part,
            has_decoded: false,
            end: task.ranges.last().and_then(|range| range.end),
            step,
            tick: clock.as_f64(),
            lead: VecDeque::new(),
            last: None,
            resumed: None,
            next: None,
            count: 0,
            is_without_captions: false,
        })
    }

    /// Takes a decoded picture, its time and for how long it is shown; breaks once all ranges are whole.
    fn picture(
        &mut self,
        frame: ff::frame::Video,
        (pts, length): (i64, i64),
        reporter: &Reporter,
    ) -> Result<ControlFlow<()>, Failure> {
        // What comes before the part is as if it were not there, for filters, too.
        let is_outside = self.part.0.is_some_and(|from| pts < from);
        if is_outside || self.resumed.is_some_and(|last| pts <= last) {
            return Ok(ControlFlow::Continue(()));
        }
        if self.start.is_some_and(|start| pts < start) {
            self.lead.push_back(Presented { frame, pts, length });
            while self.lead.len() > self.course.lead_in() {
                self.lead.pop_front();
            }
            return Ok(ControlFlow::Continue(()));
        }
        self.pass_lead(reporter)?;
        if let Some(end) = self.end.filter(|end| pts >= *end) {
            self.next.get_or_insert(pts);
            if self.is_done() && self.notes.has_seen_enough(end) {
                return Ok(ControlFlow::Break(()));
            }
        } else {
            self.count += 1;
        }
        self.pass(Presented { frame, pts, length }, reporter)?;
        Ok(ControlFlow::Continue(()))
    }

    /// Sends the pictures before the start on.
    fn pass_lead(&mut self, reporter: &Reporter) -> Result<(), Failure> {
        std::mem::take(&mut self.lead).into_iter().try_for_each(|picture| self.pass(picture, reporter))
    }

    /// Sends a picture on to the encoders.
    fn pass(&mut self, mut picture: Presented, reporter: &Reporter) -> Result<(), Failure> {
        // Timestamps that repeat or go back are moved to one tick behind the one before.
        let before = self.last;
        let pts = before.map_or(picture.pts, |last| picture.pts.max(last + 1));
        picture.pts = pts;
        self.last = Some(pts);
        self.note_change(&picture.frame, before, pts);
        self.notes.picture(&picture.frame, pts);
        if self.course.left_out_captions() && !std::mem::replace(&mut self.is_without_captions, true) {
            let text = "closed captions in the pictures are left out: they have the frame rate of the source";
            self.notes.damage.note(self.start.unwrap_or(pts) as f64 * self.tick, text.into());
        }
        let Self { course, sinks, whole, notes, .. } = self;
        course.push(picture, &mut |rendition, Presented { frame, pts, length }| {
            let made = sinks[rendition].push(TimedPicture { frame, pts, length, notes })?;
            alive::sign();
            whole.add(made, reporter);
            Ok(())
        })?;
        for sink in sinks {
            whole.add(sink.reached(pts, notes)?, reporter);
        }
        Ok(())
    }

    /// Returns `true` if all ranges of all renditions are whole.
    fn is_done(&self) -> bool {
        self.sinks.iter().all(VideoSink::is_done)
    }

    /// Ends all work objects.
    fn finish(mut self, reporter: &Reporter) -> Result<(), Failure> {
        self.pass_lead(reporter)?;
        let is_missed = self.has_decoded && self.part.0.is_some();
        if self.count == 0 && self.next.is_none() && self.is_first && !is_missed {
            return Err(Failure::new("no picture of the video could be decoded"));
        }
        eprintln!("{}", self.notes.cost());
        let is_done = self.is_done();
        let Self { course, mut sinks, mut whole, notes, .. } = self;
        course.finish(is_done, &mut |rendition, Presented { frame, pts, length }| {
            let made = sinks[rendition].push(TimedPicture { frame, pts, length, notes: &notes })?;
            alive::sign();
            whole.add(made, reporter);
            Ok(())
        })?;
        for sink in sinks {
            whole.add(sink.finish(&notes)?, reporter);
        }
        Ok(())
    }

    /// Ends at the end of the part of the source that is used: its last picture is shown up to there.
    fn end_part(
        &mut self,
        last: Option<(ff::frame::Video, i64)>,
        until: i64,
        reporter: &Reporter,
    ) -> Result<(), Failure> {
        if let Some((frame, pts)) = last
            && self.picture(frame, (pts, until - pts), reporter)?.is_break()
        {
            return Ok(());
        }
        self.notes.end();
        Ok(())
    }

    /// Notes where pictures change, in the segment of the picture before: a segment that begins there does not see the change.
    fn note_change(&mut self, frame: &ff::frame::Video, before: Option<i64>, pts: i64) {
        let change = self.changes.next(frame);
        if let (Some(change), Some(before)) = (change, before) {
            let seconds = |ticks: i64| ticks as f64 * self.tick;
            let text = format!(
                "pictures change at {:.3} s ({change}) and are fitted into the first one's frame",
                seconds(pts)
            );
            self.notes.damage.note(seconds(before), text);
        }
    }

    /// Returns which range is being encoded, and how many of its pictures went in.
    fn progress(&self) -> (usize, i64) {
        self.sinks.first().map_or((0, 0), VideoSink::progress)
    }
}

/// Decodes from where the source stands to the end of the range.
fn decode(
    decoder: &mut TrackDecoder<ff::frame::Video>,
    task: &TranscodeTask,
    may_be_late: bool,
    work: &mut Work,
    reporter: &mut Reporter,
) -> Result<Outcome, Failure> {
    // How many pictures came before the start of the range, and whether one came from there on.
    let (mut before, mut reached) = (0, false);
    let mut estimate = work.start.filter(|_| may_be_late).unwrap_or(0);
    let tick = decoder.tick();
    let seconds = |ticks: i64| ticks as f64 * tick;
    let mut read = None;
    // If reading begins at the start, nothing can be missed.
    let longest_gap = if may_be_late { task.longest_gap } else { 0 };
    let mut packets = Packets { times: BTreeSet::new(), longest_gap };
    let mut outliers = OutlierFilter::new(1.0 / tick);
    // Needed for the last picture only.
    let ends = work.end.is_none().then(|| lengths::track_end(&decoder.source, task.stream)).flatten();
    // A picture waits for the next one: how long the last one is shown, its track says.
    let mut held: Option<(ff::frame::Video, i64)> = None;
    let (most_pixels, size) = (decoder.source.most_pixels(), decoder.source.size());
    let (mut pictures, mut pixels) = (0, 0_i64);
    // What an earlier attempt noted is noted again.
    let (from, until) = work.part;
    work.notes.damage = Damage::within(from.map(seconds), until.map(seconds));
    work.is_without_captions = false;
    loop {
        match decoder.next()? {
            Event::Packet(times) => {
                let (range, done) = work.progress();
                reporter.progress(range, done);
                read = times.dts.or(read);
                packets.times.extend(times.pts.filter(|_| longest_gap > 0));
            }
            Event::Damaged(at) => work.notes.damage.packet(at.map(seconds)),
            Event::Frame(frame) => {
                let picture = (frame.width().cast_signed(), frame.height().cast_signed());
                let area = i64::from(picture.0) * i64::from(picture.1);
                if area > most_pixels {
                    return Err(Failure::new(oversized(picture.0, picture.1)));
                }
                (pictures, pixels) = (pictures + 1, pixels.saturating_add(area));
                if pixels > claims::pixel_budget(size, area)
                    && let Some(reason) = claims::too_much_work(size, picture, pictures)
                {
                    return Err(Failure::new(reason));
                }
                // A picture without a time follows the one before it.
                let pts = frame.timestamp().unwrap_or(estimate);
                estimate = pts.saturating_add(work.step);
                work.notes.damage.frame(&frame, seconds(pts));
                work.has_decoded = true;
                match work.start {
                    Some(start) if pts < start => before += 1,
                    start if !std::mem::replace(&mut reached, true) && may_be_late => {
                        let starts_later = before == 0 && start.is_some_and(|start| pts > start);
                        let needs_more = !work.is_first && work.course.needs_more_before(Some(pts), before);
                        if starts_later || needs_more {
                            return Ok(Outcome::TooLate);
                        }
                    }
                    _ => {}
                }
                for Timed { frame, at: pts, is_corrected } in outliers.push(frame, pts, work.step) {
                    let last = held.as_ref().map(|(_, pts)| *pts).or(work.last);
                    if packets.miss(last, pts) {
                        return Ok(Outcome::Gap);
                    }
                    if is_corrected {
                        work.notes.damage.time(seconds(pts));
                    }
                    if let Some(until) = until.filter(|until| pts >= *until) {
                        work.end_part(held.take(), until, reporter)?;
                        return Ok(Outcome::Done);
                    }
                    if let Some((frame, pts)) = held.replace((frame, pts)) {
                        let length = lengths::length(&frame);
                        if work.picture(frame, (pts, length), reporter)?.is_break() {
                            return Ok(Outcome::Done);
                        }
                    }
                }
            }
            Event::End(error) => {
                let last = held.as_ref().map(|(_, pts)| *pts).or(work.last);
                let last = last.or(work.start.map(|start| start - 1));
                let follows = work.end.unwrap_or(task.last_time.saturating_add(1));
                if packets.miss(last, follows) {
                    return Ok(Outcome::Gap);
                }
                let missing = missing_at_end(&decoder.source, task.stream, read);
                let late = outliers.finish().map(|timed| (timed.frame, timed.at));
                let mut rest: Vec<_> = held.into_iter().chain(late).collect();
                while let Some((frame, pts)) = (!rest.is_empty()).then(|| rest.remove(0)) {
                    // Where pictures are missing behind it, it is not the last one.
                    let is_last = rest.is_empty() && missing.is_none();
                    let length = if is_last {
                        lengths::last_length(&frame, pts, ends)
                    } else {
                        lengths::length(&frame)
                    };
                    // What the filter of outliers held back may be past the end of the part.
                    if until.is_some_and(|until| pts >= until) {
                        break;
                    }
                    let length = until.map_or(length, |until| length.min(until - pts));
                    if work.picture(frame, (pts, length), reporter)?.is_break() {
                        return Ok(Outcome::Done);
                    }
                }
                work.notes.end();
                // What follows a damaged place can't be read; what came before it is there.
                if let Some(error) = error {
                    let text = format!("the source can't be read on, and its pictures end there: {error}");
                    work.notes.damage.ended(text);
                }
                if let Some(missing) = missing {
                    work.notes.damage.ended(missing);
                }
                let seen = reached || (before > 0 && !work.course.needs_more_before(None, before));
                return Ok(if seen || !may_be_late { Outcome::Done } else { Outcome::TooLate });
            }
        }
    }
}

/// Returns a warning that the source is cut off, if its index lists packets behind the last one that could be read.
fn missing_at_end(source: &Source, stream: i32, last: Option<i64>) -> Option<String> {
    let of_index = source.input.stream(usize::try_from(stream).ok()?)?;
    let ends = stream::index_entry(&of_index, stream::index_length(&of_index) - 1)?.timestamp;
    let clock = source.clock(stream);
    let seconds = |ticks: i64| ticks as f64 * clock.num as f64 / clock.den as f64;
    let read = last.unwrap_or(0);
    (source.container().contains("mp4") && ends > read).then(|| {
        format!(
            "the source is cut off: its index goes on to {:.3} s, and its pictures end near {:.3} s",
            seconds(ends),
            seconds(read)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_missed_where_no_packet_was_read_for_them() {
        let packets = |times: &[i64]| Packets { times: times.iter().copied().collect(), longest_gap: 2 };
        assert!(!packets(&[0, 1, 2, 4]).miss(Some(2), 4), "as far apart as they are anywhere");
        assert!(packets(&[0, 1, 8]).miss(Some(1), 8));
        assert!(
            !packets(&[0, 1, 3, 8]).miss(Some(1), 8),
            "what was read and can't be decoded is damaged, not missed"
        );
        assert!(packets(&[]).miss(Some(1), 8), "nothing more came");
        assert!(!packets(&[]).miss(None, 8), "nothing is known of what comes before");
        assert!(
            !Packets { times: BTreeSet::new(), longest_gap: 0 }.miss(Some(1), 8),
            "an index said where they are"
        );
    }
}
