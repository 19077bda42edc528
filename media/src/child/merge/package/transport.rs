//! Writes a track of a package as a transport stream of its own (ISO/IEC 13818-1), cut into segments each of which begins with the tables
//! of its program, and pictures with a keyframe (RFC 8216, 3.2).

use ffmpeg_next::format::context::StreamIo;
use millrace_formats::container::Index;
use millrace_packages::init_codecs;

use super::{
    cuts::{Following, Grid},
    muxer::{FragmentMuxer, Written},
    spool::Spool,
    track::{Cuts, Setting, WrittenSegment, WrittenTrack},
};
use crate::{
    child::{
        codec,
        failure::Failure,
        merge::track::Track,
        mux::{Muxer, Planned, Timed},
        output_file::FirstError,
        payload::Payload,
        report::Reporter,
    },
    packets::Header,
    timeline::{picture_length, seconds},
};

/// Writes a track, as [`track::write`](super::track::write) does. Times of segments are the output's, not those behind the stream's delay.
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
    let bytes = Written::default();
    let io = StreamIo::from_write_with_capacity(bytes.clone(), 64 * 1024);
    let io = (io.map_err(Failure::at("writing a track"))?, FirstError::default());
    let origin = seconds(setting.origin);
    let mut muxer = Muxer::begin(io, setting.container, &[planned], setting.output, origin, 0)?;
    let clock = muxer.clock(0);
    let length = setting.plan.segment_seconds;
    let mut cuts = match &track.header.video {
        Some(video) => {
            let rate = (video.frame_rate.num, video.frame_rate.den);
            Cuts::Pictures(Grid::new(length, seconds((picture_length(rate, clock), clock))))
        }
        None => Cuts::Others(Following::new(cuts, length)),
    };
    track.begin(clock, setting.origin)?;
    let is_video = track.header.video.is_some();
    let init = spool.at()..spool.at();
    let mut written = WrittenTrack {
        id,
        clock,
        init,
        index: None,
        segments: Vec::new(),
        shift: 0,
        keyframes: Vec::new(),
        codecs: None,
    };
    let (mut latest, mut count) = (i64::MIN, 0);
    while let Some(packet) = track.next_ready()? {
        if !track.clean {
            return Ok(None);
        }
        count += i64::from(is_video);
        reporter.progress(0, count);
        if written.codecs.is_none() {
            written.codecs = Some(codecs(setting, &track.header, &packet)?);
        }
        let (at, end) = (packet.pts, packet.pts.saturating_add(packet.duration));
        let is_cut = match &mut cuts {
            // Nothing behind it is shown before it, since it needs nothing before it, and nothing before it behind it.
            Cuts::Pictures(grid) => packet.key && latest < at && grid.is_cut(seconds((at, clock))),
            Cuts::Others(following) => following.is_cut(seconds((at, clock)), seconds((end, clock))),
        };
        latest = latest.max(at);
        if is_cut || written.segments.is_empty() {
            let start = u64::try_from(at).map_err(|_| {
                Failure::new(format!("a segment would begin at {at} ticks, before time zero"))
            })?;
            if let Some(last) = written.segments.last_mut() {
                last.duration = start.saturating_sub(last.start);
            }
            let at = spool.at();
            written.segments.push(WrittenSegment { bytes: at..at, start, duration: 0 });
            muxer.restate_tables()?;
        }
        muxer.write(0, packet)?;
        let range = spool.write(&bytes.take())?;
        if let Some(segment) = written.segments.last_mut() {
            segment.bytes.end = range.end;
        }
    }
    if !track.clean {
        return Ok(None);
    }
    let end = if is_video { track.shown_until } else { track.media_end };
    let end = u64::try_from(end).unwrap_or(0);
    let Some(last) = written.segments.last_mut() else { return Ok(None) };
    last.duration = end.saturating_sub(last.start);
    muxer.finish()?;
    last.bytes.end = spool.write(&bytes.take())?.end;
    Ok(Some(written))
}

/// Returns the codec as manifests name it: that which a file of fragments would have.
fn codecs(setting: &Setting<'_>, header: &Header, first: &Timed) -> Result<String, Failure> {
    const DOING: &str = "naming a codec";
    let mut containers = codec::tables().containers.iter();
    let fragments = containers.find(|container| container.index == Index::Fragments);
    let fragments = fragments.ok_or_else(|| Failure::new(format!("{DOING}: no container has fragments")))?;
    let planned = Planned { header, tags: millrace_schemas::TrackTags::default(), first: &[] };
    let mut muxer = FragmentMuxer::open(fragments, planned, setting.output, seconds(setting.origin))?;
    let packet = Timed {
        pts: 0,
        dts: 0,
        duration: first.duration.max(1),
        key: true,
        data: Payload::Object(first.data.to_vec()),
        discard: 0,
    };
    let init = muxer.write(packet)?.unwrap_or_default();
    init_codecs(&init).map_err(Failure::at(DOING))
}
