//! The last frame of a stream of frames that each state their own length.

use super::bytes::{Bytes, partial};

/// How far from the end the frames are looked at, in bytes.
const NEAR: usize = 64 << 10;
/// How far from the end they are looked at if none are recognized within [`NEAR`], in bytes: a frame may be large.
const FAR: usize = 6 << 20;

/// What the header of a frame states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// The bytes from the start of its header to the start of the next frame; at least 1.
    pub(super) length: usize,
    /// A number that all frames of a stream have in common, e.g. the sample rate.
    pub(super) stream: u32,
    /// A number for [`Ending::Whole`], e.g. the timestamp of the frame.
    pub(super) value: u64,
}

/// How a stream of frames ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// With a whole frame.
    Whole {
        /// The [`Frame::value`] of that frame.
        value: u64,
    },
    /// With a frame that is not whole.
    Cut {
        /// The bytes of that frame that are there.
        there: usize,
        /// The length of that frame, in bytes.
        whole: usize,
    },
    /// With other bytes, or no frames are recognized.
    Unknown,
}

/// Finds how the stream of frames in `tail`, the last bytes of a file, ends.
///
/// `header` parses the frame at the start of a slice. Where `tail` begins in the middle of a frame, `least`
/// frames in a row, at least one, distinguish a stream from other bytes that look like a frame. The cost is linear in the length of
/// `tail`, times `least`.
pub(super) fn ending(tail: &[u8], least: u32, header: impl Fn(&[u8]) -> Option<Frame>) -> Ending {
    let mut start = 0;
    while start < tail.len() {
        let (mut at, mut count, mut last) = (start, 0, None::<Frame>);
        loop {
            let rest = tail.get(at..).unwrap_or_default();
            let next = header(rest).filter(|next| last.is_none_or(|last| last.stream == next.stream));
            match (next, last) {
                (Some(next), _) if next.length <= rest.len() => {
                    at += next.length.max(1);
                    (count, last) = (count + 1, Some(next));
                }
                (Some(next), _) if count >= least => {
                    return Ending::Cut { there: rest.len(), whole: next.length };
                }
                (None, Some(last)) if rest.is_empty() && count >= least => {
                    return Ending::Whole { value: last.value };
                }
                _ => break,
            }
        }
        start = if count >= least { at } else { start + 1 };
    }
    Ending::Unknown
}

/// Finds how the stream of frames at the end of a file ends, as [`ending`] does.
pub(super) fn ending_of(
    bytes: &Bytes<'_>,
    least: u32,
    header: impl Fn(&[u8]) -> Option<Frame>,
) -> Option<Ending> {
    for length in [NEAR, FAR] {
        let (start, tail) = bytes.tail(length)?;
        let ending = ending(&tail, least, &header);
        if ending != Ending::Unknown || start == 0 {
            return Some(ending);
        }
    }
    Some(Ending::Unknown)
}

/// The message for a stream of frames whose last one, a `name`, is not whole.
pub(super) fn partial_frame(
    bytes: &Bytes<'_>,
    name: &str,
    least: u32,
    header: impl Fn(&[u8]) -> Option<Frame>,
) -> Option<String> {
    match ending_of(bytes, least, header)? {
        Ending::Cut { there, whole } => partial(name, there as u64, whole as u64),
        Ending::Whole { .. } | Ending::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame is `F`, its length, and as many bytes.
    fn header(rest: &[u8]) -> Option<Frame> {
        match rest {
            [b'F', length, ..] if *length >= 2 => {
                Some(Frame { length: usize::from(*length), stream: 0, value: rest.len() as u64 })
            }
            _ => None,
        }
    }

    #[test]
    fn a_stream_that_ends_in_a_frame_is_cut() {
        let frames = [b'F', 4, 0, 0].repeat(9);
        assert_eq!(ending(&frames, 3, header), Ending::Whole { value: 4 });
        assert_eq!(ending(&frames[2..], 3, header), Ending::Whole { value: 4 });
        assert_eq!(ending(&frames[2..35], 3, header), Ending::Cut { there: 3, whole: 4 });
    }

    #[test]
    fn a_stream_goes_on_behind_damage() {
        let mut frames = [b'F', 4, 0, 0].repeat(20);
        frames[40..43].fill(1);
        frames.truncate(79);
        assert_eq!(ending(&frames, 3, header), Ending::Cut { there: 3, whole: 4 });
    }

    #[test]
    fn other_bytes_behind_the_last_frame_are_not_a_cut_frame() {
        let frames = [[b'F', 4, 0, 0].repeat(9), b"TAG".to_vec()].concat();
        assert_eq!(ending(&frames, 3, header), Ending::Unknown);
    }

    #[test]
    fn too_few_frames_are_no_stream() {
        assert_eq!(ending(&[b'F', 4, 0, 0, b'F', 4, 0], 3, header), Ending::Unknown);
    }
}
