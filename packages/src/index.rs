//! The index of a track in one object: a `sidx` box.

use crate::{Error, Segment};

/// The size of the box without references.
const HEADER: usize = 40;

/// Returns a `sidx` box (ISO/IEC 14496-12, 8.16.3, version 1) over segments that follow each other in one object, each of which begins with a
/// keyframe. Its size is 40 bytes, and 12 for each segment.
///
/// `behind` is the number of bytes between the end of the box and the first segment: 0, or the size of a `free` box.
///
/// # Errors
/// If there are no segments or more than 65,535, if one has 2 GiB or more, or if they don't follow each other in one object.
pub fn segment_index(segments: &[Segment], behind: u64) -> Result<Vec<u8>, Error> {
    let refused = |reason: &str| Err(Error::Presentation(format!("its index can't be written: {reason}")));
    let Some(first) = segments.first() else { return refused("there are no segments") };
    let Ok(count) = u16::try_from(segments.len()) else {
        return refused("there are more than 65,535 segments");
    };
    let size = HEADER + 12 * segments.len();
    let mut sidx = Vec::with_capacity(size);
    let length = u32::try_from(size).map_err(|_| Error::Presentation("its index is too large".into()))?;
    sidx.extend(length.to_be_bytes());
    sidx.extend(b"sidx");
    sidx.extend([1, 0, 0, 0]);
    // The id of the track: each object has one, the first.
    sidx.extend(1u32.to_be_bytes());
    sidx.extend(first.timescale.to_be_bytes());
    sidx.extend(first.start.to_be_bytes());
    sidx.extend(behind.to_be_bytes());
    sidx.extend([0, 0]);
    sidx.extend(count.to_be_bytes());
    let mut next = first;
    for (number, segment) in segments.iter().enumerate() {
        let follows = number == 0
            || (segment.name == next.name
                && segment.offset == next.offset.saturating_add(next.bytes)
                && segment.start == next.start.saturating_add(next.duration)
                && segment.timescale == next.timescale);
        if !follows {
            return refused(&format!("segment {number} doesn't follow the one before it"));
        }
        let Some(bytes) = u32::try_from(segment.bytes).ok().filter(|bytes| *bytes < 1 << 31) else {
            return refused(&format!("segment {number} has {} bytes", segment.bytes));
        };
        let Ok(duration) = u32::try_from(segment.duration) else {
            return refused(&format!("segment {number} lasts {} ticks", segment.duration));
        };
        sidx.extend(bytes.to_be_bytes());
        sidx.extend(duration.to_be_bytes());
        // It starts with a stream access point of type 1, at once: a closed group of pictures, or a frame of sound.
        sidx.extend((0b1001_u32 << 28).to_be_bytes());
        next = segment;
    }
    Ok(sidx)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(offset: u64, bytes: u64, start: u64) -> Segment {
        Segment { name: "a".into(), offset, bytes, start, duration: 90_000, timescale: 90_000 }
    }

    #[test]
    fn an_index_has_the_size_that_can_be_reserved() {
        let sidx = segment_index(&[segment(864, 10, 0), segment(874, 11, 90_000)], 0).unwrap();
        assert_eq!(sidx.len(), 40 + 2 * 12);
        assert_eq!(&sidx[..8], b"\0\0\0\x40sidx");
        assert_eq!(&sidx[38..52], &[0, 2, 0, 0, 0, 10, 0, 1, 0x5f, 0x90, 0x90, 0, 0, 0]);
    }

    #[test]
    fn an_index_is_of_segments_that_follow_each_other() {
        let gap = [segment(864, 10, 0), segment(900, 11, 90_000)];
        assert!(segment_index(&gap, 0).unwrap_err().to_string().contains("segment 1 doesn't follow"));
        assert!(segment_index(&[], 0).is_err());
        assert!(segment_index(&[segment(0, 1 << 31, 0)], 0).is_err());
    }
}
