//! What the manifests of a package say: the facts of its tracks and segments.

use std::{fs::File, ops::Range, os::unix::fs::FileExt as _};

use ffmpeg_next::ffi::{
    AV_DISPOSITION_CAPTIONS, AV_DISPOSITION_COMMENT, AV_DISPOSITION_DEFAULT, AV_DISPOSITION_DUB,
    AV_DISPOSITION_FORCED, AV_DISPOSITION_HEARING_IMPAIRED, AV_DISPOSITION_VISUAL_IMPAIRED,
};
use millrace_formats::container::Manifest;
use millrace_packages::{
    self as packages, Files, IFrames, Media, Presentation, Purpose, Segment, Text, VideoRange, init_codecs,
    segment_index,
};
use millrace_schemas::{TrackTags, VideoSettings};

use super::{
    stills::{self, WrittenStills},
    text::{self, WrittenText},
    track::{Setting, WrittenSegment, WrittenTrack},
};
use crate::{
    child::{failure::Failure, prove::Expected},
    timeline::Clock,
};

const DOING: &str = "writing the manifests";

/// Codes of transfer characteristics (ITU-T H.273, table 3): SMPTE ST 2084, and ARIB STD-B67.
const PQ: i32 = 16;
const HLG: i32 = 18;

/// Returns the texts of all manifests; the one that makes the package visible is the last.
pub(super) fn texts(
    setting: &Setting<'_>,
    seconds: f64,
    tracks: Vec<packages::Track>,
) -> Result<Vec<Text>, Failure> {
    let presentation = Presentation { mark: setting.output.mark.clone(), seconds, tracks };
    let kinds: Vec<packages::Manifest> = setting
        .layout
        .manifests
        .iter()
        .map(|kind| match kind {
            Manifest::Hls => packages::Manifest::Hls,
            Manifest::Dash => packages::Manifest::Dash,
        })
        .collect();
    packages::render(&presentation, &kinds, &setting.plan.folder).map_err(Failure::at(DOING))
}

/// Returns what manifests say of a track of segments, and writes indexes into the room that was kept for them.
pub(super) fn track(
    setting: &Setting<'_>,
    (written, stills): (&WrittenTrack, Option<&WrittenStills>),
    expected: &Expected,
    output: &File,
) -> Result<packages::Track, Failure> {
    let timescale = timescale(written.clock)?;
    let mut segments = Vec::new();
    for (number, segment) in (1..).zip(&written.segments) {
        let (name, front) = if setting.plan.single {
            (setting.name(&written.id, setting.layout.single), written.init.start)
        } else {
            (setting.segment_name(&written.id, number), segment.bytes.start)
        };
        segments.push(stated(name, segment, front, timescale));
    }
    let files = match &written.index {
        Some(room) => Files::Single {
            name: setting.name(&written.id, setting.layout.single),
            init_bytes: length(&written.init),
            index: Some(index(output, room, written.init.start, &segments)?),
        },
        // A transport stream has neither.
        None if setting.plan.single => Files::Single {
            name: setting.name(&written.id, setting.layout.single),
            init_bytes: length(&written.init),
            index: None,
        },
        None => {
            let init = setting.name(&written.id, setting.layout.initialization);
            Files::Many { init: (!written.init.is_empty()).then_some(init) }
        }
    };
    let iframes = stills.map(|stills| iframes(setting, written, stills, output, timescale)).transpose()?;
    let tags = expected.sum.plan.tags.clone().unwrap_or_default();
    let media = match (&expected.header.video, &expected.header.audio) {
        (Some(video), _) => pictures(video),
        (None, Some(audio)) => Media::Audio {
            sample_rate: audio.sample_rate.unsigned_abs(),
            channels: audio.channels.unsigned_abs(),
        },
        (None, None) => Media::Text,
    };
    let codecs = match &written.codecs {
        Some(codecs) => codecs.clone(),
        None => init_codecs(&read(output, written.init.clone())?).map_err(Failure::at(DOING))?,
    };
    Ok(packages::Track { media, codecs, files, segments, iframes, ..named(written.id.clone(), &tags) })
}

/// Returns what manifests say of a text track.
pub(super) fn text(
    setting: &Setting<'_>,
    written: &WrittenText,
    seconds: f64,
    tags: &TrackTags,
) -> packages::Track {
    let segment = Segment {
        name: setting.name(&written.id, text::OBJECT),
        offset: 0,
        bytes: length(&written.bytes),
        start: 0,
        duration: (seconds * 1000.0).round() as u64,
        timescale: 1000,
    };
    packages::Track { segments: vec![segment], ..named(written.id.clone(), tags) }
}

/// A track of which nothing but its tags is known.
fn named(id: String, tags: &TrackTags) -> packages::Track {
    let has = |disposition: i32| tags.dispositions & disposition != 0;
    let purpose = if has(AV_DISPOSITION_FORCED) {
        Purpose::Forced
    } else if has(AV_DISPOSITION_HEARING_IMPAIRED | AV_DISPOSITION_CAPTIONS) {
        Purpose::Captions
    } else if has(AV_DISPOSITION_VISUAL_IMPAIRED) {
        Purpose::Description
    } else if has(AV_DISPOSITION_COMMENT) {
        Purpose::Commentary
    } else if has(AV_DISPOSITION_DUB) {
        Purpose::Alternate
    } else {
        Purpose::Main
    };
    packages::Track {
        id,
        media: Media::Text,
        codecs: String::new(),
        language: tags.language.clone(),
        title: tags.title.clone(),
        is_default: has(AV_DISPOSITION_DEFAULT),
        purpose,
        files: Files::Many { init: None },
        segments: Vec::new(),
        iframes: None,
        encryption: None,
    }
}

fn pictures(video: &VideoSettings) -> Media {
    let ratio = |num: i32, den: i32| (num.unsigned_abs(), den.unsigned_abs().max(1));
    let aspect = ratio(video.sample_aspect.num, video.sample_aspect.den);
    Media::Video {
        width: video.width.unsigned_abs(),
        height: video.height.unsigned_abs(),
        sample_aspect: if aspect.0 == 0 { (1, 1) } else { aspect },
        frame_rate: ratio(video.frame_rate.num, video.frame_rate.den),
        range: match video.color.transfer {
            PQ => VideoRange::Pq,
            HLG => VideoRange::Hlg,
            _ => VideoRange::Sdr,
        },
    }
}

fn iframes(
    setting: &Setting<'_>,
    track: &WrittenTrack,
    stills: &WrittenStills,
    output: &File,
    timescale: u32,
) -> Result<IFrames, Failure> {
    let name = setting.name(&track.id, stills::OBJECT);
    let front = stills.init.start;
    let frames: Vec<Segment> =
        stills.frames.iter().map(|frame| stated(name.clone(), frame, front, timescale)).collect();
    let index = index(output, &stills.index, front, &frames)?;
    Ok(IFrames { init: name, init_bytes: length(&stills.init), index: Some(index), frames })
}

/// Returns a segment as manifests state it, of an object that begins at `front`.
fn stated(name: String, segment: &WrittenSegment, front: u64, timescale: u32) -> Segment {
    Segment {
        name,
        offset: segment.bytes.start - front,
        bytes: length(&segment.bytes),
        start: segment.start,
        duration: segment.duration,
        timescale,
    }
}

/// Writes the index of an object that begins at `front` into its room. Returns where it is in the object.
fn index(output: &File, room: &Range<u64>, front: u64, segments: &[Segment]) -> Result<(u64, u64), Failure> {
    let size = 40 + 12 * segments.len() as u64;
    let behind = length(room).checked_sub(size).filter(|left| *left >= 8);
    let behind = behind.ok_or_else(|| {
        Failure::new("pictures are too far apart for the index of one object; leave out files = \"single\"")
    })?;
    let index = segment_index(segments, behind).map_err(Failure::at(DOING))?;
    if index.len() as u64 != size {
        return Err(Failure::new(format!("{DOING}: an index has {} bytes instead of {size}", index.len())));
    }
    let free = crate::boxes::edit::free_space(usize::try_from(behind).unwrap_or(0));
    let bytes = [index, free].concat();
    output.write_all_at(&bytes, room.start).map_err(Failure::at(DOING))?;
    Ok((room.start - front, size))
}

fn timescale(clock: Clock) -> Result<u32, Failure> {
    let ticks = u32::try_from(clock.den).ok().filter(|_| clock.num == 1);
    ticks.ok_or_else(|| Failure::new(format!("{DOING}: a track has ticks of {}/{} s", clock.num, clock.den)))
}

fn length(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

/// Reads bytes of the output.
pub(super) fn read(output: &File, range: Range<u64>) -> Result<Vec<u8>, Failure> {
    let mut bytes = vec![0; usize::try_from(length(&range)).unwrap_or(0)];
    output.read_exact_at(&mut bytes, range.start).map_err(Failure::at("reading the output again"))?;
    Ok(bytes)
}
