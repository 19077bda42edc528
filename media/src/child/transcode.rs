//! A half-open range of pictures, decoded once and encoded for each rendition.

use std::{collections::VecDeque, fs::File, ops::ControlFlow};

use ffmpeg_next::{
    self as ff, Packet, codec,
    ffi::{AVSEEK_FLAG_BACKWARD, av_index_search_timestamp, avformat_index_get_entry},
};
use millrace_schemas::{Made, Seek, SeekBy, VideoSettings};

use super::{
    Failure, Reporter,
    encoder::VideoEncoder,
    convert::Converter,
    inspect::parameters,
    source::{Depth, Source},
};
use crate::protocol::TranscodeTask;

pub(crate) fn transcode(
    file: File,
    task: &TranscodeTask,
    outputs: Vec<File>,
    reporter: &mut Reporter,
) -> Result<Vec<Made>, Failure> {
    let mut encoders = Vec::new();
    for (rendition, output) in task.renditions.iter().zip(outputs) {
        let settings = rendition.video.as_ref().ok_or_else(|| Failure::new("a rendition without video settings"))?;
        let encoder = VideoEncoder::open(rendition, settings, output, task.cores)?;
        encoders.push((Converter::new(settings), encoder));
    }
    let mut range = Range { task, encoders, first: None, last: None, next: None, count: 0 };
    let mut places: VecDeque<Option<Seek>> = task.seeks.iter().copied().map(Some).chain([None]).collect();
    if task.start.is_none() {
        places = VecDeque::from([None]);
    }
    while let Some(place) = places.pop_front() {
        let copy = file.try_clone().map_err(Failure::at("reading the source"))?;
        let mut source = Source::open(copy, Depth::Decoding)?;
        source.only(task.stream)?;
        if let Some(place) = place
            && !source.seek(task.stream, place)
        {
            continue;
        }
        match decode(&mut source, task, place.is_some(), &mut range, reporter)? {
            // The first picture came after the start of the range: one before it may be missing. Go back one more.
            Outcome::TooLate => {
                if let Some(earlier) = place.and_then(|place| before(&source, task.stream, place)) {
                    places.push_front(Some(earlier));
                }
            }
            Outcome::Done => break,
        }
    }
    if range.count == 0 && range.next.is_none() && task.start.is_none() {
        return Err(Failure::new("no picture of the video could be decoded"));
    }
    let (next, empty_at) = (range.next, range.next.or(task.start).unwrap_or(0));
    range.encoders.into_iter().map(|(_, encoder)| encoder.finish(next, empty_at)).collect()
}

/// The keyframe before a place, by the container's index.
fn before(source: &Source, stream: i32, place: Seek) -> Option<Seek> {
    if place.by != SeekBy::Time {
        return None;
    }
    let stream = source.input.stream(usize::try_from(stream).ok()?)?;
    // SAFETY: the stream is of an open context; the entry is read before the next call.
    unsafe {
        let raw = stream.as_ptr().cast_mut();
        let entry = av_index_search_timestamp(raw, place.at.checked_sub(1)?, AVSEEK_FLAG_BACKWARD);
        let entry = avformat_index_get_entry(raw, entry);
        (!entry.is_null()).then(|| Seek { by: SeekBy::Time, at: (*entry).timestamp })
    }
}

enum Outcome {
    Done,
    TooLate,
}

/// The range, and what was made of it so far.
struct Range<'a> {
    task: &'a TranscodeTask,
    encoders: Vec<(Converter, VideoEncoder)>,
    first: Option<i64>,
    last: Option<i64>,
    next: Option<i64>,
    count: i64,
}

impl Range<'_> {
    /// Takes a decoded picture; breaks at the range's end.
    fn picture(&mut self, frame: &mut ff::frame::Video, pts: i64) -> Result<ControlFlow<()>, Failure> {
        if self.task.start.is_some_and(|start| pts < start) {
            return Ok(ControlFlow::Continue(()));
        }
        if self.task.end.is_some_and(|end| pts >= end) {
            self.next = Some(pts);
            return Ok(ControlFlow::Break(()));
        }
        // Times that repeat or run backward move one tick on.
        let pts = self.last.map_or(pts, |last| pts.max(last + 1));
        self.first.get_or_insert(pts);
        self.last = Some(pts);
        self.count += 1;
        for (converter, encoder) in &mut self.encoders {
            let picture = converter.convert(frame)?;
            picture.set_pts(Some(pts));
            picture.set_kind(ff::picture::Type::None);
            encoder.encode(picture)?;
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Decodes from where the source stands to the end of the range.
fn decode(
    source: &mut Source,
    task: &TranscodeTask,
    may_be_late: bool,
    range: &mut Range<'_>,
    reporter: &mut Reporter,
) -> Result<Outcome, Failure> {
    let mut decoder = decoder(source, task)?;
    let mut frame = ff::frame::Video::empty();
    let mut packet = Packet::empty();
    let mut seen = false;
    let mut estimate = task.start.unwrap_or(0);
    loop {
        let ended = loop {
            match packet.read(&mut source.input) {
                Ok(()) if i32::try_from(packet.stream()).ok() == Some(task.stream) => break false,
                Ok(()) => {}
                Err(ff::Error::Eof) => break true,
                // What follows a damaged place can't be read; what came before it is there.
                Err(_) => break true,
            }
        };
        reporter.progress(range.count);
        if ended {
            // A decoder that was ended before takes no second end.
            let _ = decoder.send_eof();
        } else if decoder.send_packet(&packet).is_err() {
            // A damaged packet costs its pictures, as it does in every player.
            continue;
        }
        while decoder.receive_frame(&mut frame).is_ok() {
            // A picture without a time follows the one before it.
            let pts = frame.timestamp().unwrap_or(estimate);
            let step = frame_ticks(&task.renditions.first().and_then(|r| r.video.clone()));
            estimate = pts.saturating_add(step);
            if !std::mem::replace(&mut seen, true) && may_be_late && task.start.is_some_and(|start| pts > start) {
                return Ok(Outcome::TooLate);
            }
            if range.picture(&mut frame, pts)?.is_break() {
                return Ok(Outcome::Done);
            }
        }
        if ended {
            return Ok(if seen || !may_be_late { Outcome::Done } else { Outcome::TooLate });
        }
    }
}

/// The length of a picture in ticks of its clock.
fn frame_ticks(settings: &Option<VideoSettings>) -> i64 {
    settings.as_ref().map_or(1, |s| {
        let ticks = 1.0 / (s.frame_rate.as_f64() * s.time_base.as_f64());
        if ticks.is_finite() { (ticks.round() as i64).max(1) } else { 1 }
    })
}

fn decoder(source: &Source, task: &TranscodeTask) -> Result<ff::decoder::Opened, Failure> {
    let mut decoder = codec::Context::from_parameters(parameters(source, task.stream)?)
        .map_err(Failure::at("opening the video decoder"))?
        .decoder();
    let time_base = task.renditions.iter().find_map(|r| r.video.as_ref()).map(|s| s.time_base);
    if let Some(time_base) = time_base {
        decoder.set_packet_time_base(super::encoder::rational(time_base));
    }
    // Decoding is a small part of the work, but nothing is encoded before the encoder has seen 40 pictures: a second
    // thread shortens that. Each costs pictures of memory.
    decoder.set_threading(codec::threading::Config {
        kind: codec::threading::Type::Frame,
        count: task.cores.clamp(1, 2).max(task.cores / 4),
        ..Default::default()
    });
    super::open_decoder(decoder, "opening the video decoder")
}
