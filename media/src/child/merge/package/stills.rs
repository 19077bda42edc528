//! The I-frame track of a track of pictures: its keyframes, each a fragment by itself, in one object (RFC 8216, 4.3.3.6).

use std::{fs::File, ops::Range};

use super::{
    muxer::FragmentMuxer,
    spool::Spool,
    track::{Setting, WrittenSegment, WrittenTrack},
};
use crate::{
    boxes::edit,
    child::{
        failure::Failure,
        libav::stream::{extradata, fields},
        mux::{Planned, Timed},
        payload::Payload,
        source::{Depth, Source},
    },
    packets::Header,
    timeline::seconds,
};

/// The name of the object with the keyframes of a track.
pub(super) const OBJECT: &str = "iframes.mp4";

/// An I-frame track that was written.
#[derive(Debug)]
pub(super) struct WrittenStills {
    pub(super) init: Range<u64>,
    /// The room for an index behind the initialization segment.
    pub(super) index: Range<u64>,
    pub(super) frames: Vec<WrittenSegment>,
}

impl WrittenStills {
    pub(super) fn bytes(&self) -> Range<u64> {
        self.init.start..self.frames.last().map_or(self.init.end, |last| last.bytes.end)
    }
}

/// Writes the I-frame track of a track that was written, out of what was written.
pub(super) fn write(
    setting: &Setting<'_>,
    (header, track): (&Header, &WrittenTrack),
    output: &File,
    spool: &mut Spool,
) -> Result<WrittenStills, Failure> {
    const DOING: &str = "writing keyframes by themselves";
    spool.flush()?;
    let copy = || output.try_clone().map_err(Failure::at(DOING));
    let source = Source::open_part(copy()?, track.bytes(), Depth::Decoding)?;
    // Packets of files need the codec header of files.
    let stream = source.input.stream(0).ok_or_else(|| Failure::new(format!("{DOING}: there is no track")))?;
    let header = Header { extradata: extradata(fields(&stream).1).to_vec(), ..header.clone() };
    let mut frames = Vec::new();
    for at in &track.keyframes {
        frames.push(
            source
                .first_sample(at - track.init.start)
                .map_err(|reason| Failure::new(format!("{DOING}: {reason}")))?,
        );
    }
    let end = track.segments.last().map_or(0, |last| last.start + last.duration);
    let planned = Planned { header: &header, tags: millrace_schemas::TrackTags::default(), first: &[] };
    let mut muxer = FragmentMuxer::open(setting.container, planned, setting.output, seconds(setting.origin))?;
    let mut written = WrittenStills { init: 0..0, index: 0..0, frames: Vec::new() };
    let room = 40 + 12 * frames.len() + 8;
    for (number, (start, place)) in frames.iter().enumerate() {
        let next = frames.get(number + 1).map_or(end, |(next, _)| *next);
        let duration = next.saturating_sub(*start);
        let data = source.sample(place.clone()).map_err(Failure::at(DOING))?;
        let time = start.cast_signed();
        let packet = Timed {
            pts: time,
            dts: time,
            duration: duration.cast_signed(),
            key: true,
            data: Payload::Object(data),
            discard: 0,
        };
        if let Some(init) = muxer.write(packet)? {
            written.init = spool.write(&init)?;
            written.index = spool.write(&edit::free_space(room))?;
        }
        let bytes = spool.write(&muxer.end_fragment()?)?;
        written.frames.push(WrittenSegment { bytes, start: *start, duration });
    }
    muxer.finish()?;
    Ok(written)
}
