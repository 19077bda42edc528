//! Reads movie fragments (`moof` and `mdat`, 8.8) of a track by itself, as CMAF has them (ISO/IEC 23000-19, 7.3.2). Pure.

use super::layout::{Boxes, Fields, Malformed, Parsed, read_header, read_range, required};
use crate::read_at::ReadAt;

/// The largest movie fragment box that is read, in bytes: 16 for each packet, and a fragment has a few seconds of them.
const MOST_FRAGMENT_BYTES: u64 = 64 << 20;

/// Flags of a track fragment header (8.8.7.1).
const BASE_OFFSET: u32 = 0x1;
const DESCRIPTION: u32 = 0x2;
const DEFAULT_DURATION: u32 = 0x8;
const DEFAULT_SIZE: u32 = 0x10;
const DEFAULT_FLAGS: u32 = 0x20;
const BASE_IS_FRAGMENT: u32 = 0x2_0000;
/// Flags of a track run (8.8.8.1).
const DATA_OFFSET: u32 = 0x1;
const FIRST_FLAGS: u32 = 0x4;
const DURATION: u32 = 0x100;
const SIZE: u32 = 0x200;
const FLAGS: u32 = 0x400;
const COMPOSITION: u32 = 0x800;
/// The flag of a sample that is no keyframe (8.8.3.1, `sample_is_non_sync_sample`).
const NO_KEYFRAME: u32 = 0x1_0000;

/// A movie fragment with its data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fragment {
    /// Where its movie fragment box begins, in bytes.
    pub(crate) offset: u64,
    /// The size of that box, and of the data box behind it, in bytes.
    pub(crate) moof: u64,
    pub(crate) mdat: u64,
    /// The decoding time of its first sample, in ticks of the track (`tfdt`, 8.8.12).
    pub(crate) start: u64,
    /// The samples in decoding order, one behind the other in the data box.
    pub(crate) samples: Vec<Sample>,
}

/// A sample of a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Up to the decoding time of the next one, in ticks.
    pub(crate) duration: u32,
    /// In bytes.
    pub(crate) size: u32,
    pub(crate) is_keyframe: bool,
    /// From its decoding time to its presentation time, in ticks.
    pub(crate) composition: i32,
}

impl Fragment {
    /// Returns where it ends, in bytes.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.moof + self.mdat
    }

    /// Returns the sum of the durations of its samples, in ticks.
    pub(crate) fn duration(&self) -> u64 {
        self.samples.iter().map(|sample| u64::from(sample.duration)).sum()
    }

    /// Returns the presentation time of each sample, in ticks.
    pub(crate) fn times(&self) -> impl Iterator<Item = i64> {
        let mut decoding = self.start.cast_signed();
        self.samples.iter().map(move |sample| {
            let time = decoding.saturating_add(i64::from(sample.composition));
            decoding = decoding.saturating_add(i64::from(sample.duration));
            time
        })
    }
}

/// Returns the size of the initialization segment: of the boxes up to the end of the first movie box.
///
/// Returns `None` if the file does not begin with a file type and a movie box.
fn segment_end(size: u64, file: &impl ReadAt) -> Option<u64> {
    let (first, length) = read_header(file, 0, size)?;
    let (second, movie) = read_header(file, length, size)?;
    (first == *b"ftyp" && second == *b"moov").then_some(length + movie)
}

/// Gives each fragment of a file of `size` bytes, behind its initialization segment and at most one index (`sidx`) and free space.
///
/// # Errors
/// The reason, if there is another box, a fragment is malformed or of more than one track, or `give` has one.
pub(crate) fn fragments(
    size: u64,
    file: &impl ReadAt,
    give: &mut dyn FnMut(Fragment) -> Result<(), String>,
) -> Result<(), String> {
    let mut at = segment_end(size, file).ok_or("there is no initialization segment")?;
    let mut is_front = true;
    while at < size {
        let (code, length) = read_header(file, at, size).ok_or_else(|| format!("no box at byte {at}"))?;
        if is_front && [*b"sidx", *b"free"].contains(&code) {
            at += length;
            continue;
        }
        is_front = false;
        let fragment = fragment(size, file, at)?;
        at = fragment.end();
        give(fragment)?;
    }
    Ok(())
}

/// Returns the fragment at this byte.
///
/// # Errors
/// The reason, if there is none, or it is malformed or of more than one track.
pub(crate) fn fragment(size: u64, file: &impl ReadAt, at: u64) -> Result<Fragment, String> {
    let malformed = || format!("the fragment at byte {at} is malformed");
    let (code, length) = read_header(file, at, size).ok_or_else(|| format!("no box at byte {at}"))?;
    if code != *b"moof" {
        return Err(format!("a box '{}' at byte {at}", code.escape_ascii()));
    }
    let content = (length <= MOST_FRAGMENT_BYTES).then(|| read_range(file, at, length)).flatten();
    let content = content.ok_or_else(malformed)?;
    let mut fragment = parse(content.get(8..).unwrap_or_default(), length).map_err(|_| malformed())?;
    let data = read_header(file, at + length, size).filter(|(code, _)| code == b"mdat");
    let (_, data_length) = data.ok_or_else(malformed)?;
    let sum: u64 = fragment.samples.iter().map(|sample| u64::from(sample.size)).sum();
    if sum + 8 != data_length || fragment.samples.is_empty() {
        return Err(malformed());
    }
    (fragment.offset, fragment.moof, fragment.mdat) = (at, length, data_length);
    Ok(fragment)
}

/// Parses the content of a movie fragment box of `length` bytes.
fn parse(content: &[u8], length: u64) -> Parsed<Fragment> {
    required(content, b"mfhd")?;
    let track = required(content, b"traf")?;
    let mut time = Fields(required(track, b"tfdt")?);
    let (version, _) = time.version()?;
    let start = time.time(version)?;
    let mut header = Fields(required(track, b"tfhd")?);
    let (_, flags) = header.version()?;
    let _track = header.u32()?;
    if flags & BASE_OFFSET != 0 || flags & BASE_IS_FRAGMENT == 0 {
        return Err(Malformed);
    }
    let mut field = |flag| if flags & flag == 0 { Ok(None) } else { header.u32().map(Some) };
    let _description = field(DESCRIPTION)?;
    let usual = [field(DEFAULT_DURATION)?, field(DEFAULT_SIZE)?, field(DEFAULT_FLAGS)?];
    let mut samples = Vec::new();
    // Where the next run's data begins, from the start of the movie fragment box.
    let mut data = length + 8;
    for child in Boxes(track) {
        let (code, run) = child?;
        if code == *b"trun" {
            data = parse_run(run, usual, data, &mut samples)?;
        }
    }
    Ok(Fragment { start, samples, ..Fragment::default() })
}

/// Parses a track run whose data begins at `data`. Returns where it ends.
fn parse_run(
    content: &[u8],
    [duration, size, flags]: [Option<u32>; 3],
    mut data: u64,
    samples: &mut Vec<Sample>,
) -> Parsed<u64> {
    let mut fields = Fields(content);
    let (_, has) = fields.version()?;
    let count = fields.u32()?;
    if has & DATA_OFFSET == 0 || u64::from(fields.u32()?) != data {
        return Err(Malformed);
    }
    let first_flags = if has & FIRST_FLAGS == 0 { None } else { Some(fields.u32()?) };
    for number in 0..count {
        let mut field = |flag, usual: Option<u32>| {
            if has & flag == 0 { usual.ok_or(Malformed) } else { fields.u32() }
        };
        let (duration, size) = (field(DURATION, duration)?, field(SIZE, size)?);
        let usual = if number == 0 { first_flags.or(flags) } else { flags };
        let flags = field(FLAGS, usual)?;
        // Offsets of version 0 are below 2^31 here, too.
        let composition = field(COMPOSITION, Some(0))?.cast_signed();
        samples.push(Sample { duration, size, is_keyframe: flags & NO_KEYFRAME == 0, composition });
        data += u64::from(size);
        // A run of samples that take no bytes of the box would be as long as it claims.
        if has & (DURATION | SIZE | FLAGS | COMPOSITION) == 0 && samples.len() > 1 << 20 {
            return Err(Malformed);
        }
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes()[..], name, body].concat()
    }

    /// A fragment of two samples of 3 and 4 bytes, the first a keyframe, the second shown before it is decoded.
    fn fragment(start: u64, data_offset: u32) -> Vec<u8> {
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
        // Version 1; an offset, and of each sample its duration, its size, its flags and its composition offset.
        let early = (-5_i32).cast_unsigned();
        let run = words(&[0x0100_0f01, 2, data_offset, 10, 3, 0x200_0000, 0, 10, 4, 0x101_0000, early]);
        let time = [&[1, 0, 0, 0][..], &start.to_be_bytes()].concat();
        let track = [boxed(b"tfhd", &words(&[0x2_0000, 1])), boxed(b"tfdt", &time), boxed(b"trun", &run)];
        let moof = [boxed(b"mfhd", &words(&[0, 1])), boxed(b"traf", &track.concat())];
        [boxed(b"moof", &moof.concat()), boxed(b"mdat", b"abcdefg")].concat()
    }

    fn read(bytes: &[u8]) -> Result<Vec<Fragment>, String> {
        let mut found = Vec::new();
        fragments(bytes.len() as u64, &bytes.to_vec(), &mut |fragment| {
            found.push(fragment);
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn fragments_state_their_samples() {
        let front = [boxed(b"ftyp", b"cmf2"), boxed(b"moov", &[])].concat();
        let moof = fragment(0, 0).len() as u64 - 15;
        let offset = moof as u32 + 8;
        let file = [front.clone(), fragment(40, offset), fragment(60, offset)].concat();
        let found = read(&file).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].offset, found[0].moof, found[0].mdat), (front.len() as u64, moof, 15));
        assert_eq!(found[0].times().collect::<Vec<_>>(), [40, 45]);
        assert_eq!((found[0].duration(), found[1].start, found[1].end()), (20, 60, file.len() as u64));
        let keyframes: Vec<bool> = found[0].samples.iter().map(|sample| sample.is_keyframe).collect();
        assert_eq!(keyframes, [true, false]);
    }

    #[test]
    fn what_is_no_fragment_is_an_error() {
        let front = [boxed(b"ftyp", b"cmf2"), boxed(b"moov", &[])].concat();
        let offset = fragment(0, 0).len() as u32 - 7;
        assert!(read(&fragment(0, offset)).unwrap_err().contains("no initialization segment"));
        let other = [front.clone(), boxed(b"skip", &[])].concat();
        assert_eq!(read(&other).unwrap_err(), "a box 'skip' at byte 20");
        let elsewhere = [front.clone(), fragment(0, offset + 1)].concat();
        assert!(read(&elsewhere).unwrap_err().contains("malformed"));
        let mut cut = [front, fragment(0, offset)].concat();
        cut.pop();
        assert!(read(&cut).is_err());
    }
}
