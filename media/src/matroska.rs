//! Reads the Segment of a Matroska file as the file states it (RFC 9559), before any demuxer corrects it. Pure. Clauses are those of
//! RFC 9559.

mod element;
#[cfg(test)]
mod tests;

use crate::{claims::Window, read_at::ReadAt};
use element::{Element, number};

/// Element ids (5).
mod id {
    pub(super) const EBML: u32 = 0x1a45_dfa3;
    pub(super) const SEGMENT: u32 = 0x1853_8067;
    pub(super) const SEEK_HEAD: u32 = 0x114d_9b74;
    pub(super) const SEEK: u32 = 0x4dbb;
    pub(super) const SEEK_ID: u32 = 0x53ab;
    pub(super) const SEEK_POSITION: u32 = 0x53ac;
    pub(super) const INFO: u32 = 0x1549_a966;
    pub(super) const TIMESTAMP_SCALE: u32 = 0x002a_d7b1;
    pub(super) const DURATION: u32 = 0x4489;
    pub(super) const TRACKS: u32 = 0x1654_ae6b;
    pub(super) const TRACK_ENTRY: u32 = 0xae;
    pub(super) const TRACK_NUMBER: u32 = 0xd7;
    pub(super) const FLAG_DEFAULT: u32 = 0x88;
    pub(super) const DEFAULT_DURATION: u32 = 0x0023_e383;
    pub(super) const CODEC_DELAY: u32 = 0x56aa;
    pub(super) const CODEC_PRIVATE: u32 = 0x63a2;
    pub(super) const LANGUAGE: u32 = 0x0022_b59c;
    pub(super) const NAME: u32 = 0x536e;
    pub(super) const VIDEO: u32 = 0xe0;
    pub(super) const PIXEL_WIDTH: u32 = 0xb0;
    pub(super) const PIXEL_HEIGHT: u32 = 0xba;
    pub(super) const AUDIO: u32 = 0xe1;
    pub(super) const SAMPLING_FREQUENCY: u32 = 0xb5;
    pub(super) const CHANNELS: u32 = 0x9f;
    pub(super) const CLUSTER: u32 = 0x1f43_b675;
    pub(super) const TIMESTAMP: u32 = 0xe7;
    pub(super) const SIMPLE_BLOCK: u32 = 0xa3;
    pub(super) const BLOCK_GROUP: u32 = 0xa0;
    pub(super) const BLOCK: u32 = 0xa1;
    pub(super) const BLOCK_DURATION: u32 = 0x9b;
    pub(super) const REFERENCE_BLOCK: u32 = 0xfb;
    pub(super) const DISCARD_PADDING: u32 = 0x75a2;
    pub(super) const CUES: u32 = 0x1c53_bb6b;
    pub(super) const CUE_POINT: u32 = 0xbb;
    pub(super) const CUE_TIME: u32 = 0xb3;
    pub(super) const CUE_TRACK_POSITIONS: u32 = 0xb7;
    pub(super) const CUE_TRACK: u32 = 0xf7;
    pub(super) const CUE_CLUSTER_POSITION: u32 = 0xf1;
    pub(super) const CUE_RELATIVE_POSITION: u32 = 0xf0;
    pub(super) const ATTACHMENTS: u32 = 0x1941_a469;
    pub(super) const ATTACHED_FILE: u32 = 0x61a7;
    pub(super) const FILE_DATA: u32 = 0x465c;
}

/// The length of a tick where none is stated, in nanoseconds (5.1.2.9).
const USUAL_SCALE: u64 = 1_000_000;
/// The most bytes of a name or a language that are read.
const LONGEST_TEXT: u64 = 64 << 10;
/// The most entries of a list in the header: tracks, attachments, and parts of the Segment that a SeekHead can name.
const MOST_ENTRIES: usize = 1000;
/// Bits of the flags of a block (10.1, 10.2).
const KEYFRAME: u8 = 0x80;
const LACING: u8 = 0x06;

/// What a file states of its tracks, and where it has which block.
#[derive(Debug, Default)]
pub(crate) struct Segment {
    /// The length of a tick, in nanoseconds.
    pub(crate) scale: u64,
    /// The length of the file, in ticks.
    pub(crate) duration: Option<f64>,
    pub(crate) tracks: Vec<Track>,
    /// The index of blocks, in its order.
    pub(crate) cues: Vec<Cue>,
    /// Attached files.
    pub(crate) attachments: Vec<Vec<u8>>,
    /// What the index of the parts of the Segment names that is not there, or is another part.
    pub(crate) wrong_seeks: usize,
    /// Whether the index of parts names the index of blocks.
    pub(crate) names_cues: bool,
}

/// A track.
#[derive(Debug, Default)]
pub(crate) struct Track {
    pub(crate) number: u64,
    pub(crate) name: String,
    pub(crate) language: String,
    pub(crate) is_default: bool,
    /// By how much earlier its blocks are shown than their times say, in nanoseconds (5.1.4.1.28).
    pub(crate) codec_delay: u64,
    /// The codec headers, in the form that Matroska has them in (5.1.4.1.22).
    pub(crate) private: Vec<u8>,
    /// The usual length of a block, in nanoseconds.
    pub(crate) default_duration: Option<u64>,
    /// The width and height of its pictures, in pixels.
    pub(crate) size: (u64, u64),
    /// Its samples per second, and its channels.
    pub(crate) sampling: (f64, u64),
    /// In the order of the file.
    pub(crate) blocks: Vec<Block>,
}

/// A block, which holds one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    /// Its time, in ticks.
    pub(crate) time: i64,
    pub(crate) is_keyframe: bool,
    /// Its length, in ticks, if it is stated.
    pub(crate) duration: Option<u64>,
    /// For how long its end is not heard, in nanoseconds.
    pub(crate) discard: i64,
    /// Where its Cluster is, from the start of the Segment's data, and where it is, from the start of the Cluster's data.
    pub(crate) place: (u64, u64),
}

/// An entry of the index of blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cue {
    /// In ticks.
    pub(crate) time: i64,
    /// The number of the track.
    pub(crate) track: u64,
    /// As [`Block::place`].
    pub(crate) place: (u64, u64),
}

/// Reads a file of `size` bytes that is one Segment up to its end; `None` if it is not, if an element is not whole or of unknown size,
/// if a block holds several packets, if there are more than `most` blocks or index entries, and if attached files are larger than
/// `most_attached` bytes together.
pub(crate) fn segment(size: u64, file: &impl ReadAt, most: u64, most_attached: u64) -> Option<Segment> {
    let file = &Window::new(file, size);
    let header = Element::at(file, 0, size).filter(|header| header.id == id::EBML)?;
    let segment = Element::at(file, header.end, size).filter(|segment| segment.id == id::SEGMENT)?;
    (segment.end == size).then_some(())?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut found = Segment { scale: USUAL_SCALE, ..Segment::default() };
    let (mut blocks, mut attached) = (0, most_attached);
    let (mut seeks, mut parts) = (Vec::new(), Vec::new());
    segment.visit(file, |part| {
        if part.id == id::CLUSTER {
            return cluster(file, &part, segment.data, &mut found.tracks, (&mut blocks, most));
        }
        parts.push((part.id, part.at - segment.data));
        (parts.len() <= MOST_ENTRIES).then_some(())?;
        match part.id {
            id::SEEK_HEAD => part.visit(file, |entry| seek(file, &entry, &mut seeks)),
            id::INFO => part.visit(file, |child| {
                match child.id {
                    id::TIMESTAMP_SCALE => found.scale = child.unsigned(file)?,
                    id::DURATION => found.duration = Some(child.float(file)?),
                    _ => {}
                }
                Some(())
            }),
            id::TRACKS => part.visit(file, |child| {
                if child.id == id::TRACK_ENTRY {
                    found.tracks.push(track(file, &child)?);
                }
                (found.tracks.len() <= MOST_ENTRIES).then_some(())
            }),
            id::CUES => part.visit(file, |point| {
                cue_point(file, &point, &mut found.cues)?;
                (found.cues.len() <= most).then_some(())
            }),
            id::ATTACHMENTS => part.visit(file, |child| {
                if child.id == id::ATTACHED_FILE {
                    let data = attachment(file, &child, attached)?;
                    attached -= data.len() as u64;
                    found.attachments.push(data);
                }
                (found.attachments.len() <= MOST_ENTRIES).then_some(())
            }),
            _ => Some(()),
        }
    })?;
    found.names_cues = seeks.iter().any(|(id, _)| *id == id::CUES);
    found.wrong_seeks = seeks.iter().filter(|seek| !parts.contains(seek)).count();
    Some(found)
}

/// An entry of the index of parts: an id, and where the element is, from the start of the Segment's data (5.1.1.1).
fn seek(file: &Window<'_>, entry: &Element, seeks: &mut Vec<(u32, u64)>) -> Option<()> {
    if entry.id == id::SEEK {
        let (mut part, mut position) = (0, u64::MAX);
        entry.visit(file, |child| {
            match child.id {
                id::SEEK_ID => part = u32::try_from(child.unsigned(file)?).ok()?,
                id::SEEK_POSITION => position = child.unsigned(file)?,
                _ => {}
            }
            Some(())
        })?;
        seeks.push((part, position));
    }
    (seeks.len() <= MOST_ENTRIES).then_some(())
}

fn track(file: &Window<'_>, entry: &Element) -> Option<Track> {
    // Where they are not stated (5.1.4.1.5, 5.1.4.1.19).
    let mut track = Track { is_default: true, language: "eng".into(), ..Track::default() };
    entry.visit(file, |child| {
        match child.id {
            id::TRACK_NUMBER => track.number = child.unsigned(file)?,
            id::FLAG_DEFAULT => track.is_default = child.unsigned(file)? == 1,
            id::DEFAULT_DURATION => track.default_duration = Some(child.unsigned(file)?),
            id::CODEC_DELAY => track.codec_delay = child.unsigned(file)?,
            id::CODEC_PRIVATE => track.private = child.bytes(file, LONGEST_TEXT)?,
            id::LANGUAGE => track.language = child.text(file, LONGEST_TEXT)?,
            id::NAME => track.name = child.text(file, LONGEST_TEXT)?,
            id::VIDEO | id::AUDIO => child.visit(file, |child| {
                match child.id {
                    id::PIXEL_WIDTH => track.size.0 = child.unsigned(file)?,
                    id::PIXEL_HEIGHT => track.size.1 = child.unsigned(file)?,
                    id::SAMPLING_FREQUENCY => track.sampling.0 = child.float(file)?,
                    id::CHANNELS => track.sampling.1 = child.unsigned(file)?,
                    _ => {}
                }
                Some(())
            })?,
            _ => {}
        }
        Some(())
    })?;
    Some(track)
}

fn attachment(file: &Window<'_>, entry: &Element, most: u64) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    entry.visit(file, |child| {
        if child.id == id::FILE_DATA {
            data = child.bytes(file, most)?;
        }
        Some(())
    })?;
    Some(data)
}

/// Adds the entries of one point of the index, one for each track.
fn cue_point(file: &Window<'_>, point: &Element, cues: &mut Vec<Cue>) -> Option<()> {
    if point.id != id::CUE_POINT {
        return Some(());
    }
    let (first, mut time) = (cues.len(), 0);
    point.visit(file, |child| {
        match child.id {
            id::CUE_TIME => time = i64::try_from(child.unsigned(file)?).ok()?,
            id::CUE_TRACK_POSITIONS => {
                let mut cue = Cue::default();
                child.visit(file, |child| {
                    match child.id {
                        id::CUE_TRACK => cue.track = child.unsigned(file)?,
                        id::CUE_CLUSTER_POSITION => cue.place.0 = child.unsigned(file)?,
                        id::CUE_RELATIVE_POSITION => cue.place.1 = child.unsigned(file)?,
                        _ => {}
                    }
                    Some(())
                })?;
                cues.push(cue);
            }
            _ => {}
        }
        Some(())
    })?;
    cues.iter_mut().skip(first).for_each(|cue| cue.time = time);
    Some(())
}

/// Adds the blocks of a Cluster to their tracks. `blocks` counts them, up to a limit.
fn cluster(
    file: &Window<'_>,
    cluster: &Element,
    segment: u64,
    tracks: &mut [Track],
    (blocks, most): (&mut usize, usize),
) -> Option<()> {
    let mut base = None;
    cluster.visit(file, |child| {
        let block = match child.id {
            id::TIMESTAMP => {
                base = Some(i64::try_from(child.unsigned(file)?).ok()?);
                return Some(());
            }
            id::SIMPLE_BLOCK => block(file, &child, base?)?,
            id::BLOCK_GROUP => block_group(file, &child, base?)?,
            _ => return Some(()),
        };
        *blocks += 1;
        (*blocks <= most).then_some(())?;
        let (number, block) = block;
        let place = (cluster.at - segment, child.at - cluster.data);
        // One of no track is of nothing that a player shows.
        let track = tracks.iter_mut().find(|track| track.number == number)?;
        track.blocks.push(Block { place, ..block });
        Some(())
    })
}

/// Reads the header of a block (10.1): the number of its track, and the block.
fn block(file: &Window<'_>, element: &Element, base: i64) -> Option<(u64, Block)> {
    let (track, length) = number(file, element.data, 8, false)?;
    let [high, low, flags] = file.array(element.data + length)?;
    (element.data + length + 3 <= element.end && flags & LACING == 0).then_some(())?;
    let time = base.checked_add(i64::from(i16::from_be_bytes([high, low])))?;
    let is_keyframe = flags & KEYFRAME != 0;
    Some((track, Block { time, is_keyframe, duration: None, discard: 0, place: (0, 0) }))
}

/// Reads a group of one block, and what it states of it (5.1.3.5). It is a keyframe if it refers to no other.
fn block_group(file: &Window<'_>, group: &Element, base: i64) -> Option<(u64, Block)> {
    let (mut found, mut duration, mut discard, mut refers) = (None, None, 0, false);
    group.visit(file, |child| {
        match child.id {
            id::BLOCK => found = Some(block(file, &child, base)?),
            id::BLOCK_DURATION => duration = Some(child.unsigned(file)?),
            id::DISCARD_PADDING => discard = child.signed(file)?,
            id::REFERENCE_BLOCK => refers = true,
            _ => {}
        }
        Some(())
    })?;
    let (track, block) = found?;
    Some((track, Block { is_keyframe: !refers, duration, discard, ..block }))
}
