//! Video streams and files whose frames, packets or chunks state their lengths, or have one length.

use super::bytes::{Bytes, cut_off, grouped, partial, shorter};
use super::frames::{Ending, Frame, ending_of, partial_frame};

/// The largest IVF file whose frames are all visited, in bytes.
const WHOLE_IVF: u64 = 6 << 20;
/// The largest frame of IVF that is taken for one, in bytes.
const MOST_IVF_FRAME: usize = 16 << 20;
/// How many bytes of a header in text are read.
const MOST_TEXT: usize = 1 << 10;

/// Returns what is missing at the end of an IVF file (libvpx `ivfdec.c`): its last frame is whole, and not before the
/// length that its header states.
///
/// That length is a number of frames, as libvpx writes it, or a duration in ticks, as libavformat does.
pub(super) fn ivf(bytes: &Bytes<'_>) -> Option<String> {
    (bytes.array(0)? == *b"DKIF").then_some(())?;
    if bytes.size() > WHOLE_IVF {
        return partial_frame(bytes, "last frame", 3, ivf_frame);
    }
    let file = bytes.read(u64::from(bytes.le16(6)?), WHOLE_IVF as usize)?;
    let (mut rest, mut frames, mut last, mut step) = (file.as_slice(), 0, None, 1);
    while let Some(frame) = ivf_frame(rest) {
        let Some(behind) = rest.get(frame.length..) else {
            return partial("last frame", rest.len() as u64, frame.length as u64);
        };
        step = step.max(frame.value.saturating_sub(last.unwrap_or(frame.value)));
        (rest, frames, last) = (behind, frames + 1, Some(frame.value));
    }
    let (stated, last) = (u64::from(bytes.le32(24)?), last?);
    (rest.is_empty() && stated < u64::from(u32::MAX) && stated > frames && stated > last + 2 * step).then(
        || {
            cut_off(&format!(
                "its header says that it has {} frames or ticks, and it has {} frames up to tick {}",
                grouped(stated),
                grouped(frames),
                grouped(last)
            ))
        },
    )
}

/// The frame of IVF at the start of `rest`; its value is its time in ticks.
fn ivf_frame(rest: &[u8]) -> Option<Frame> {
    let (length, time) = rest.first_chunk::<12>()?.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let time = u64::from_le_bytes(*time.first_chunk()?);
    // A time of more than 2^40 ticks is no time.
    let sane = (1..MOST_IVF_FRAME).contains(&length) && time < 1 << 40;
    sane.then_some(Frame { length: length + 12, stream: 0, value: time })
}

/// Returns what is missing at the end of a YUV4MPEG2 stream (yuv4mpeg(5)): each frame is as long as the first, and the
/// last one is whole.
pub(super) fn yuv4mpeg(bytes: &Bytes<'_>) -> Option<String> {
    const FRAME: &[u8] = b"FRAME\n";
    let start = bytes.read(0, MOST_TEXT)?;
    let header = start.strip_prefix(b"YUV4MPEG2 ")?.split(|byte| *byte == b'\n').next()?;
    let first = b"YUV4MPEG2 ".len() + header.len() + 1;
    start.get(first..)?.starts_with(FRAME).then_some(())?;
    let header = str::from_utf8(header).ok()?;
    let field = |name: char| header.split(' ').find_map(|field| field.strip_prefix(name));
    let number = |name| field(name)?.parse::<u64>().ok().filter(|number| (1..=1 << 16).contains(number));
    let frame = picture_bytes(number('W')?, number('H')?, field('C').unwrap_or("420"))? + FRAME.len() as u64;
    let there = bytes.size().checked_sub(first as u64)? % frame;
    let last = bytes.near(bytes.size() - there, FRAME.len())?;
    (!last.is_empty() && FRAME.starts_with(&last)).then(|| partial("last frame", there, frame))?
}

/// The bytes of a picture of YUV4MPEG2, by its size in pixels and its color space.
fn picture_bytes(width: u64, height: u64, color_space: &str) -> Option<u64> {
    let digits = |text: &str| text.parse::<u32>().ok();
    let (sampling, depth) = match color_space {
        "420jpeg" | "420mpeg2" | "420paldv" => ("420", 8),
        "mono" | "411" | "420" | "422" | "444" | "444alpha" => (color_space, 8),
        _ => match color_space.strip_prefix("mono") {
            Some(depth) => ("mono", digits(depth)?),
            None => color_space.split_once('p').and_then(|(all, depth)| Some((all, digits(depth)?)))?,
        },
    };
    let chroma = match sampling {
        "mono" => 0,
        "411" => 2 * width.div_ceil(4) * height,
        "420" => 2 * width.div_ceil(2) * height.div_ceil(2),
        "422" => 2 * width.div_ceil(2) * height,
        "444" => 2 * width * height,
        "444alpha" => 3 * width * height,
        _ => return None,
    };
    let bytes_per_sample = match depth {
        8 => 1,
        9..=16 => 2,
        _ => return None,
    };
    Some((width * height + chroma) * bytes_per_sample)
}

/// Returns what is missing at the end of a DV stream (IEC 61834, SMPTE ST 314): all frames are of one length, and the
/// last one is whole.
pub(super) fn dv(bytes: &Bytes<'_>) -> Option<String> {
    // The header block of the first sequence of a frame, without the flag of its line system.
    let begins_frame = |at: u64| {
        bytes.array(at).is_some_and(|[a, b, c, d]: [u8; 4]| [a, b, c, d & 0x7f] == [0x1f, 7, 0, 0x3f])
    };
    begins_frame(0).then_some(())?;
    let length =
        [120_000, 144_000, 240_000, 288_000, 480_000, 576_000].into_iter().find(|at| begins_frame(*at))?;
    let there = bytes.size() % length;
    (there > 0 && begins_frame(bytes.size() - there)).then(|| partial("last frame", there, length))?
}

/// Returns what is missing at the end of a GXF file (SMPTE ST 360): its last packet is whole, and says that it is the
/// last one.
pub(super) fn gxf(bytes: &Bytes<'_>) -> Option<String> {
    const END_OF_STREAM: u64 = 0xfb;
    let packet = |rest: &[u8]| {
        let [0, 0, 0, 0, 1, kind, a, b, c, d, 0, 0, 0, 0, 0xe1, 0xe2] = *rest.first_chunk::<16>()? else {
            return None;
        };
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
        (length >= 16).then_some(Frame { length, stream: 0, value: u64::from(kind) })
    };
    match ending_of(bytes, 2, packet)? {
        Ending::Cut { there, whole } => partial("last packet", there as u64, whole as u64),
        Ending::Whole { value } if value != END_OF_STREAM => {
            Some(cut_off("its last packet does not say that the stream ends"))
        }
        Ending::Whole { .. } | Ending::Unknown => None,
    }
}

/// Returns what is missing at the end of an id RoQ file: its last chunk is whole.
pub(super) fn roq(bytes: &Bytes<'_>) -> Option<String> {
    partial_frame(bytes, "last chunk", 3, |rest| {
        let (kind, length) = rest.first_chunk::<8>()?.split_first_chunk::<2>()?;
        let length = usize::try_from(u32::from_le_bytes(*length.first_chunk()?)).ok()?.checked_add(8)?;
        matches!(u16::from_le_bytes(*kind), 0x1001 | 0x1002 | 0x1011..=0x1013 | 0x1020 | 0x1021)
            .then_some(Frame { length, stream: 0, value: 0 })
    })
}

/// Returns what is missing at the end of a Bink file: its header states the length behind the first 8 bytes.
pub(super) fn bink(bytes: &Bytes<'_>) -> Option<String> {
    matches!(bytes.array(0)?, [b'B', b'I', b'K', _] | [b'K', b'B', b'2', _]).then_some(())?;
    shorter(u64::from(bytes.le32(4)?) + 8, bytes.size())
}

/// Returns what is missing at the end of a Smacker file: a table states the length of each frame.
pub(super) fn smacker(bytes: &Bytes<'_>) -> Option<String> {
    matches!(&bytes.array(0)?, b"SMK2" | b"SMK4").then_some(())?;
    // A ring frame, which leads back to the start, is not counted.
    let ring = bytes.le32(20)? & 1;
    let frames = u64::from(bytes.le32(12)?) + u64::from(ring);
    let lengths = bytes.le32_table(104, frames)?;
    // The two lowest bits are flags.
    let pictures: u64 = lengths.iter().map(|length| u64::from(length & !3)).sum();
    // Behind the table: a byte for each frame, and the trees.
    shorter(104 + 4 * frames + frames + u64::from(bytes.le32(52)?) + pictures, bytes.size())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_cut, message};
    use super::picture_bytes;

    fn ivf(stated: u32) -> Vec<u8> {
        let mut file = [b"DKIF\0\0\x20\0VP80".as_slice(), &[0; 20]].concat();
        file[24..28].copy_from_slice(&stated.to_le_bytes());
        for time in 0..9u64 {
            file.extend([100u32.to_le_bytes().as_slice(), &time.to_le_bytes(), &[7; 100]].concat());
        }
        file
    }

    #[test]
    fn a_cut_ivf_file_ends_in_a_frame_or_before_its_length() {
        assert_cut("ivf", &ivf(9), 300, "its last frame is not whole (44 of 112 bytes)");
        let why = "its header says that it has 9 frames or ticks, and it has 2 frames up to tick 1";
        assert_cut("ivf", &ivf(9), 32 + 224, why);
        assert_eq!(message("ivf", &ivf(u32::MAX)), None);
    }

    #[test]
    fn a_cut_yuv4mpeg_stream_ends_in_a_frame() {
        let frame = [b"FRAME\n".as_slice(), &[7; 4 * 2 * 3 / 2]].concat();
        let whole = [b"YUV4MPEG2 W4 H2 F25:1 C420jpeg\n".to_vec(), frame.repeat(5)].concat();
        assert_cut("yuv4mpegpipe", &whole, whole.len() - 1, "its last frame is not whole (17 of 18 bytes)");
        assert_eq!(message("yuv4mpegpipe", &[whole, vec![0; 3]].concat()), None);
    }

    #[test]
    fn a_picture_is_as_long_as_its_color_space_says() {
        let bytes = |color_space| picture_bytes(5, 3, color_space);
        assert_eq!(["420", "422", "411", "444", "mono"].map(bytes), [27, 33, 27, 45, 15].map(Some));
        assert_eq!(
            ["420p10", "mono16", "444alpha", "420p32", "xyz"].map(bytes),
            [Some(54), Some(30), Some(60), None, None]
        );
    }

    #[test]
    fn a_cut_dv_stream_ends_in_a_frame() {
        let frame = [b"\x1f\x07\0\xbf".as_slice(), &[7; 143_996]].concat();
        assert_cut("dv", &frame.repeat(3), 400_000, "its last frame is not whole (112,000 of 144,000 bytes)");
    }

    #[test]
    fn a_cut_gxf_file_ends_in_a_packet_or_without_an_end() {
        let packet = |kind: u8, length: u8| {
            let header = [0, 0, 0, 0, 1, kind, 0, 0, 0, length, 0, 0, 0, 0, 0xe1, 0xe2];
            [header.to_vec(), vec![7; usize::from(length) - 16]].concat()
        };
        let whole = [packet(0xbc, 50), packet(0xbf, 100), packet(0xbf, 100), packet(0xfb, 16)].concat();
        assert_cut("gxf", &whole, 230, "its last packet is not whole (80 of 100 bytes)");
        assert_cut("gxf", &whole, 250, "its last packet does not say that the stream ends");
    }

    #[test]
    fn a_cut_roq_file_ends_in_a_chunk() {
        let chunk = [b"\x11\x10\x64\0\0\0\0\0".as_slice(), &[7; 100]].concat();
        assert_cut("roq", &chunk.repeat(5), 500, "its last chunk is not whole (68 of 108 bytes)");
    }

    #[test]
    fn a_cut_bink_file_has_fewer_bytes_than_its_header_states() {
        let whole = [b"BIKi\x5c\0\0\0".as_slice(), &[7; 92]].concat();
        assert_cut("bink", &whole, 60, "its header says that it is 100 bytes long, and 60 are there");
    }

    #[test]
    fn a_cut_smacker_file_has_fewer_bytes_than_its_frames() {
        let mut header = [b"SMK2".as_slice(), &[0; 100]].concat();
        (header[12], header[52]) = (2, 10);
        let whole = [header, vec![41, 0, 0, 0, 52, 0, 0, 0], vec![0; 2], vec![7; 10 + 40 + 52]].concat();
        assert_cut("smk", &whole, 200, "its header says that it is 216 bytes long, and 200 are there");
    }
}
