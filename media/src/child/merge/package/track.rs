//! Writes a track as CMAF: an initialization segment, and segments of fragments (ISO/IEC 23000-19).

use std::ops::Range;

use millrace_formats::{
    Container,
    container::{Index, Package},
};
use millrace_schemas::{OutputPlan, PackagePlan};

use super::{
    cuts::{Following, Grid},
    muxer::FragmentMuxer,
    spool::Spool,
};
use crate::{
    boxes::edit::{self, NewEdits},
    child::{
        failure::Failure,
        merge::track::Track,
        mux::{Planned, Timed},
        report::Reporter,
    },
    timeline::{Clock, picture_length, seconds},
};

/// The most bytes of packets in a fragment, which is held in memory until it ends.
const LARGEST_FRAGMENT: usize = 32 << 20;

/// What packages have in common in all of their tracks.
pub(super) struct Setting<'a> {
    pub(super) container: &'a Container,
    pub(super) layout: &'a Package,
    pub(super) output: &'a OutputPlan,
    pub(super) plan: &'a PackagePlan,
    pub(super) origin: (i64, Clock),
}

/// A segment that was written. Times are media times, in ticks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WrittenSegment {
    pub(super) bytes: Range<u64>,
    pub(super) start: u64,
    pub(super) duration: u64,
}

/// A track that was written.
#[derive(Debug, Clone)]
pub(super) struct WrittenTrack {
    /// The name of its folder.
    pub(super) id: String,
    pub(super) clock: Clock,
    /// Its initialization segment; empty for one that has none.
    pub(super) init: Range<u64>,
    /// Of a track in one object: the room for an index behind the initialization segment, which has as many bytes.
    pub(super) index: Option<Range<u64>>,
    pub(super) segments: Vec<WrittenSegment>,
    /// By how many ticks its media times are behind the output's time zero.
    pub(super) shift: i64,
    /// Where each fragment begins that begins with a keyframe, of pictures.
    pub(super) keyframes: Vec<u64>,
    /// Of a track without an initialization segment, its codec as manifests name it.
    pub(super) codecs: Option<String>,
}

impl WrittenTrack {
    /// Returns where all of it lies.
    pub(super) fn bytes(&self) -> Range<u64> {
        self.init.start..self.segments.last().map_or(self.init.end, |last| last.bytes.end)
    }

    /// Returns when each segment begins, in seconds from the output's time zero.
    pub(super) fn cuts(&self) -> Vec<f64> {
        let time = |segment: &WrittenSegment| segment.start.cast_signed() - self.shift;
        self.segments.iter().map(|segment| seconds((time(segment), self.clock))).collect()
    }
}

/// Where a track is cut.
pub(super) enum Cuts<'a> {
    Pictures(Grid),
    Others(Following<'a>),
}

/// A track that is being written.
struct Writing<'a> {
    muxer: FragmentMuxer,
    spool: &'a mut Spool,
    written: WrittenTrack,
    cuts: Cuts<'a>,
    /// The latest time at which a picture so far is shown.
    latest: i64,
    /// Bytes of packets in the fragment that is being written, and whether it begins with a keyframe.
    held: usize,
    begins_with_keyframe: bool,
    /// The edit list of the initialization segment.
    edits: Option<NewEdits>,
    room: u64,
}

/// Writes a track. `cuts` are the times at which segments of pictures begin; empty of pictures themselves. `None` if its segments are
/// to be made again.
pub(super) fn write(
    setting: &Setting<'_>,
    track: &mut Track,
    (id, cuts): (String, &[f64]),
    spool: &mut Spool,
    reporter: &mut Reporter,
) -> Result<Option<WrittenTrack>, Failure> {
    let planned = Planned {
        header: &track.header,
        tags: track.sum.plan.tags.clone().unwrap_or_default(),
        first: track.held.as_ref().map_or(&[], |packet| &*packet.data),
    };
    let muxer = FragmentMuxer::open(setting.container, planned, setting.output, seconds(setting.origin))?;
    let clock = muxer.clock();
    let length = setting.plan.segment_seconds;
    let (grid, shift) = match &track.header.video {
        Some(video) => {
            let rate = (video.frame_rate.num, video.frame_rate.den);
            (Cuts::Pictures(Grid::new(length, seconds((picture_length(rate, clock), clock)))), 0)
        }
        None => (Cuts::Others(Following::new(cuts, length)), track.header.padding),
    };
    track.is_sorted = true;
    track.begin(clock, setting.origin)?;
    // What is not heard of the first packets, an edit list says; all else of it is in the fragments (ISO/IEC 23000-19, 7.5.13).
    let media_time = u64::try_from(shift).unwrap_or(0);
    let edits = (shift > 0).then_some(NewEdits { start: 0, media_time, length: 0 });
    let room = if setting.plan.single { room(track, clock, length, cuts.len()) } else { 0 };
    let init = spool.at()..spool.at();
    let written = WrittenTrack {
        id,
        clock,
        init,
        index: None,
        segments: Vec::new(),
        shift,
        keyframes: Vec::new(),
        codecs: None,
    };
    let mut writing = Writing {
        muxer,
        spool,
        written,
        cuts: grid,
        latest: i64::MIN,
        held: 0,
        begins_with_keyframe: false,
        edits,
        room,
    };
    let is_video = track.header.video.is_some();
    let mut before: Option<Timed> = None;
    let mut count = 0;
    while let Some(packet) = track.next_ready()? {
        if !track.clean {
            return Ok(None);
        }
        count += i64::from(is_video);
        reporter.progress(0, count);
        let next = packet.dts;
        if let Some(before) = before.replace(packet) {
            writing.packet(before, next)?;
        }
    }
    let Some(last) = before.filter(|_| track.clean) else { return Ok(None) };
    let end =
        if is_video { track.shown_until } else { last_end(track.heard_until(), &last, track.media_end) };
    writing.packet(last, end)?;
    writing.end_fragment()?;
    let Writing { muxer, written, .. } = writing;
    muxer.finish()?;
    Ok(Some(written))
}

/// When the last packet of sound ends: where what is heard ends, if that is in it.
fn last_end(heard: i64, last: &Timed, media_end: i64) -> i64 {
    heard.clamp(last.pts.saturating_add(1), media_end.max(last.pts.saturating_add(1)))
}

/// Returns the bytes that are kept free for the index of a track in one object (`sidx`, 8.16.3): 12 for each segment, as many as there
/// can be if pictures are not far apart.
fn room(track: &Track, clock: Clock, length: f64, cuts: usize) -> u64 {
    let lasts = match &track.header.video {
        Some(video) => {
            let rate = (video.frame_rate.num, video.frame_rate.den);
            2.0 * seconds((picture_length(rate, clock), clock)) * track.sum.packets as f64
        }
        None => seconds((track.sum.units, track.clock)),
    };
    let segments = (lasts / length).ceil() as u64 + cuts as u64 + 100;
    40 + 12 * segments + 8
}

impl Writing<'_> {
    /// Writes a packet, behind which the next one is decoded at `next`.
    fn packet(&mut self, packet: Timed, next: i64) -> Result<(), Failure> {
        let Timed { pts, dts, key, data, .. } = packet;
        let duration = next.saturating_sub(dts);
        if duration <= 0 {
            return Err(Failure::new(format!("a packet at {dts} ticks is followed by one at {next}")));
        }
        let clock = self.written.clock;
        // Nothing behind it is shown before it, and nothing before it behind it.
        let is_entry = key && pts == dts && self.latest < pts;
        self.latest = self.latest.max(pts);
        let is_first = self.written.segments.is_empty();
        let is_cut = match &mut self.cuts {
            Cuts::Pictures(grid) => is_entry && grid.is_cut(seconds((pts, clock))),
            Cuts::Others(following) => following.is_cut(seconds((pts, clock)), seconds((next, clock))),
        };
        let is_video = matches!(self.cuts, Cuts::Pictures(_));
        let begins_fragment = is_cut || (is_video && is_entry) || self.held > LARGEST_FRAGMENT;
        if begins_fragment && !is_first {
            self.end_fragment()?;
        }
        self.held += data.len();
        let start = dts.saturating_add(self.written.shift);
        let timed = Timed {
            pts: pts.saturating_add(self.written.shift),
            dts: start,
            duration,
            key,
            data,
            discard: 0,
        };
        let init = self.muxer.write(timed)?;
        if let Some(init) = init {
            self.begin(init)?;
        }
        if begins_fragment || is_first {
            self.begins_with_keyframe = is_video && is_entry;
        }
        if is_cut || is_first {
            let start = u64::try_from(start).map_err(|_| {
                Failure::new(format!("a segment would begin at {start} ticks, before time zero"))
            })?;
            let at = self.spool.at();
            self.written.segments.push(WrittenSegment { bytes: at..at, start, duration: 0 });
        }
        if let Some(segment) = self.written.segments.last_mut() {
            segment.duration += duration.unsigned_abs();
        }
        Ok(())
    }

    /// Writes the initialization segment, with the edit list and room for the index.
    fn begin(&mut self, init: Vec<u8>) -> Result<(), Failure> {
        let init = match self.edits {
            Some(edits) => edit::in_initialization(&init, edits)
                .ok_or_else(|| Failure::new("writing an edit list: there is no movie box"))?,
            None => init,
        };
        self.written.init = self.spool.write(&init)?;
        if self.room > 0 {
            let free = usize::try_from(self.room).unwrap_or(0);
            self.written.index = Some(self.spool.write(&edit::free_space(free))?);
        }
        Ok(())
    }

    fn end_fragment(&mut self) -> Result<(), Failure> {
        let bytes = self.muxer.end_fragment()?;
        if bytes.is_empty() {
            return Err(Failure::new("a fragment has no bytes"));
        }
        let range = self.spool.write(&bytes)?;
        self.held = 0;
        if self.begins_with_keyframe {
            self.written.keyframes.push(range.start);
        }
        self.begins_with_keyframe = false;
        if let Some(segment) = self.written.segments.last_mut() {
            segment.bytes.end = range.end;
        }
        Ok(())
    }
}

impl Setting<'_> {
    /// Returns the name of an object of a track.
    pub(super) fn name(&self, id: &str, object: &str) -> String {
        format!("{}/{id}/{object}", self.plan.folder)
    }

    /// Returns `true` for tracks that are transport streams.
    pub(super) fn is_stream(&self) -> bool {
        self.container.index == Index::Stream
    }

    /// Names the objects of a track.
    pub(super) fn name_objects(&self, track: &WrittenTrack, spool: &mut Spool) -> Result<(), Failure> {
        if self.plan.single {
            return spool.name(self.name(&track.id, self.layout.single), track.bytes());
        }
        if !track.init.is_empty() {
            spool.name(self.name(&track.id, self.layout.initialization), track.init.clone())?;
        }
        for (number, segment) in (1..).zip(&track.segments) {
            spool.name(self.segment_name(&track.id, number), segment.bytes.clone())?;
        }
        Ok(())
    }

    /// Returns the name of a segment, by its number from 1.
    pub(super) fn segment_name(&self, id: &str, number: usize) -> String {
        self.name(id, &format!("{number:05}.{}", self.layout.segment))
    }
}
