//! Small videos of every codec in every container that FFmpeg writes, with defects that real files have: wrong keyframe flags,
//! indexes, headers and timestamps, and packets that are dropped, swapped or repeated. A seed determines the file.

mod copy;
mod matroska;
mod mp4;
mod packets;
pub mod pairs;
mod sequential;
mod ts;

use std::path::{Path, PathBuf};

use self::pairs::{Format, Pair};
use crate::common::media::mutate::Rng;

/// A generated video.
pub struct Source {
    pub path: PathBuf,
    pub encoding: &'static str,
    pub container: &'static str,
    /// Descriptions of its defects; empty if it is intact.
    pub defects: Vec<String>,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let defects = if self.defects.is_empty() { "intact".into() } else { self.defects.join("; ") };
        write!(f, "{} in {}: {defects}", self.encoding, self.container)
    }
}

/// Generates the video of a seed in `folder`. Intact videos are kept in `intact` and used for several seeds.
///
/// # Errors
///
/// The message of ffmpeg, if it does not write this codec in this container.
pub fn generate(intact: &Path, folder: &Path, seed: u64) -> Result<Source, String> {
    let pair = pairs::of_seed(seed);
    let mut rng = Rng(seed);
    let with_sound = rng.below(5) > 0;
    let video = pair.video(intact, with_sound)?;
    let path = folder.join(format!("{seed}-{}.{}", pair.encoding.name, pair.container.extension));
    std::fs::copy(&video, &path).unwrap();
    // One of ten stays intact; of the others one third has two defects.
    let count = if rng.below(10) == 0 { 0 } else { 1 + rng.below(3) / 2 };
    let mut defects = Vec::new();
    for _ in 0..count {
        // A file may lack what a defect would change.
        defects.extend((0..8).find_map(|_| add_defect(&path, &pair, &mut rng)));
    }
    Ok(Source { path, encoding: pair.encoding.name, container: pair.container.name, defects })
}

/// Adds a defect to a file. Returns its description, or `None` if the file is unchanged.
fn add_defect(path: &Path, pair: &Pair, rng: &mut Rng) -> Option<String> {
    let copies = if pair.container.format == Format::Other { 4 } else { 2 };
    if rng.below(5) < copies {
        return copy::apply(path, pair, rng);
    }
    let mut bytes = std::fs::read(path).unwrap();
    let description = edit(&mut bytes, pair.container.format, rng)?;
    std::fs::write(path, bytes).unwrap();
    Some(description)
}

/// Adds a defect to the bytes of a file. On `None` the bytes are to be discarded.
fn edit(bytes: &mut Vec<u8>, format: Format, rng: &mut Rng) -> Option<String> {
    if format == Format::Ts {
        ts::group_pictures(bytes);
    }
    let packets = match format {
        Format::Asf => sequential::asf(bytes),
        Format::Avi => sequential::avi(bytes),
        Format::Flv => sequential::flv(bytes),
        Format::Ivf => sequential::ivf(bytes),
        Format::Matroska => matroska::packets(bytes),
        Format::Mp4 => mp4::packets(bytes),
        Format::Mxf => sequential::mxf(bytes),
        Format::Ogg => sequential::ogg(bytes),
        Format::RealMedia => sequential::rm(bytes),
        Format::Ts => ts::packets(bytes),
        Format::Other => Vec::new(),
    };
    // An mp4 without fragments.
    let has_tables = format == Format::Mp4 && packets.is_empty();
    let description = match rng.below(14) {
        0..=5 if has_tables => mp4::change_sync_samples(bytes, rng),
        6 | 7 if has_tables => mp4::move_samples(bytes, rng),
        8 | 9 if has_tables => mp4::change_times(bytes, rng),
        0..=5 => packets::change_keyframe_flags(bytes, &packets, rng),
        6 | 7 => packets::move_packets(bytes, &packets, rng),
        8 | 9 => packets::change_timestamps(bytes, &packets, rng),
        10 | 11 => change_index(bytes, format, rng),
        12 => change_header(bytes, format, rng),
        _ => change_end(bytes, rng),
    };
    if format == Format::Ts {
        ts::renumber(bytes);
    }
    description
}

/// Changes or removes the index, or what corresponds to it: the edit list of an mp4, the clock of a transport stream.
fn change_index(bytes: &mut Vec<u8>, format: Format, rng: &mut Rng) -> Option<String> {
    match format {
        Format::Mp4 => mp4::remove_fragment_index(bytes).or_else(|| mp4::change_edits(bytes, rng)),
        Format::Matroska => matroska::change_cues(bytes, rng),
        Format::Ts => ts::change_clock(bytes, rng),
        Format::Avi => {
            let at = sequential::find(bytes, b"idx1")?;
            if rng.below(2) == 0 {
                bytes[at..at + 4].copy_from_slice(b"JUNK");
                return Some("the index is removed".into());
            }
            let entries = bytes.len().saturating_sub(at + 8) / 16;
            bytes.truncate(at + 8 + 16 * rng.below(entries));
            Some("the index is cut off".into())
        }
        Format::RealMedia | Format::Asf => {
            // The first bytes of the identifier of ASF's Simple Index Object.
            const SIMPLE_INDEX: [u8; 8] = [0x90, 8, 0, 0x33, 0xb1, 0xe5, 0xcf, 0x11];
            let identifier: &[u8] = if format == Format::RealMedia { b"INDX" } else { &SIMPLE_INDEX };
            let at = sequential::find(bytes, identifier)?;
            bytes[at] ^= 1;
            Some("the index is removed".into())
        }
        Format::Flv | Format::Ivf | Format::Mxf | Format::Ogg | Format::Other => None,
    }
}

/// Changes a header field.
fn change_header(bytes: &mut [u8], format: Format, rng: &mut Rng) -> Option<String> {
    match format {
        Format::Mp4 => mp4::change_header(bytes, rng),
        Format::Matroska => matroska::change_header(bytes, rng),
        Format::Avi => {
            let cases: [(&[u8; 4], usize, &str); 6] = [
                (b"avih", 8, "dwMicroSecPerFrame"),
                (b"avih", 20, "dwFlags"),
                (b"avih", 24, "dwTotalFrames"),
                (b"strh", 28, "dwScale"),
                (b"strh", 36, "dwStart"),
                (b"strh", 40, "dwLength"),
            ];
            let (name, offset, field) = cases[rng.below(cases.len())];
            let at = sequential::find(bytes, name)? + offset;
            let old = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
            let new = [0, 1, old / 2, old.saturating_mul(2), old.wrapping_add(7)][rng.below(5)];
            bytes[at..at + 4].copy_from_slice(&new.to_le_bytes());
            (new != old).then(|| format!("{field} is {new} instead of {old}"))
        }
        Format::Flv => {
            let name = ["duration", "framerate", "width", "filesize"][rng.below(4)];
            // A marker of the type lies between the name and the number.
            let at = sequential::find(bytes, name.as_bytes())? + name.len() + 1;
            let new = [0.0, 1.0, 7.5, 100.0][rng.below(4)];
            bytes[at..at + 8].copy_from_slice(&f64::to_be_bytes(new));
            Some(format!("{name} is {new}"))
        }
        Format::Ivf => {
            let (name, at) = [
                ("the time base's denominator", 16),
                ("the time base's numerator", 20),
                ("the number of frames", 24),
            ][rng.below(3)];
            bytes[at] = bytes[at].wrapping_mul(3);
            Some(format!("{name} is tripled"))
        }
        Format::Asf | Format::Mxf | Format::Ogg | Format::RealMedia | Format::Ts | Format::Other => {
            let at = 16 + rng.below(bytes.len().min(2000).saturating_sub(16));
            let bit = rng.below(8);
            *bytes.get_mut(at)? ^= 1 << bit;
            Some(format!("bit {bit} of byte {at} is flipped"))
        }
    }
}

/// Cuts off the end of the file, or repeats it.
fn change_end(bytes: &mut Vec<u8>, rng: &mut Rng) -> Option<String> {
    let percent = 3 + rng.below(30);
    let from = bytes.len() * (100 - percent) / 100;
    if rng.below(3) > 0 {
        bytes.truncate(from);
        return Some(format!("the last {percent} % of the bytes are cut off"));
    }
    bytes.extend_from_within(from..);
    Some(format!("the last {percent} % of the bytes are repeated"))
}
