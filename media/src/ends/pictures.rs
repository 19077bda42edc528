//! GIF, PNG and Motion JPEG: the mark behind the last picture.

use super::bytes::{Bytes, cut_off, partial};

/// The largest GIF whose blocks are all visited, in bytes.
const MOST_GIF: usize = 8 << 20;
/// How far from the end the last picture of a larger one is searched, in bytes.
const LAST_GIF_PICTURE: u64 = 4 << 20;
/// How far from the end an end mark is searched, in bytes: some programs put data of their own behind it.
const BEHIND_END: u64 = 4 << 20;
/// How many chunks of a PNG are visited.
const MOST_CHUNKS: u32 = 64;
/// How far from the end the last picture of a Motion JPEG stream is searched, in bytes.
const LAST_PICTURE: usize = 4 << 20;

/// Returns what is missing at the end of a GIF file (GIF89a, 15 to 27): its last block is whole.
///
/// Where only the trailer is missing, all pictures are there: some programs write no trailer. Others leave the end of the
/// last block out, in front of a trailer.
pub(super) fn gif(bytes: &Bytes<'_>) -> Option<String> {
    matches!(&bytes.array(0)?, b"GIF87a" | b"GIF89a").then_some(())?;
    // Behind the signature, the logical screen descriptor and its color table.
    let mut at = 13 + gif_color_table(bytes.array::<11>(0)?[10]) as u64;
    if bytes.size() > MOST_GIF as u64 {
        // A graphic control extension: each picture of an animation begins with one.
        at = bytes.find_last(b"\x21\xf9\x04", LAST_GIF_PICTURE, |at| bytes.array(at + 7) == Some([0]))?;
    }
    let blocks = bytes.read(at, MOST_GIF)?;
    let last = blocks.iter().rev().find(|byte| **byte != 0);
    (last != Some(&b';') && is_cut_gif(&blocks)).then(|| cut_off("its last picture is not whole"))
}

/// The bytes of the color table that flags announce.
fn gif_color_table(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

/// Whether the blocks of a GIF end in a block, or with an extension whose picture is missing.
fn is_cut_gif(blocks: &[u8]) -> bool {
    let mut at = 0;
    let mut announced = false;
    loop {
        let Some(rest) = blocks.get(at..) else { return true };
        // The offset of the first sub-block: behind the label of an extension, or behind the descriptor of an image,
        // its color table and the size of its codes.
        at += match rest {
            [] => return announced,
            [0x21, label, ..] => {
                // A graphic control extension.
                announced |= *label == 0xf9;
                2
            }
            [0x2c, image @ ..] => match image.get(8) {
                Some(flags) => {
                    announced = false;
                    10 + gif_color_table(*flags) + 1
                }
                None => return true,
            },
            [0x21] => return true,
            // The trailer, or bytes that are no block.
            _ => return false,
        };
        loop {
            match blocks.get(at) {
                Some(0) => break,
                Some(length) => at += 1 + usize::from(*length),
                None => return true,
            }
        }
        at += 1;
    }
}

/// Returns what is missing at the end of a PNG or APNG file (W3C PNG, 11.2.5: IEND).
pub(super) fn png(bytes: &Bytes<'_>) -> Option<String> {
    (bytes.array(0)? == *b"\x89PNG\r\n\x1a\n").then_some(())?;
    if bytes.find_last(b"IEND\xae\x42\x60\x82", BEHIND_END, |_| true).is_some() {
        return None;
    }
    let mut at = 8;
    for _ in 0..MOST_CHUNKS {
        let Some((length, kind)) = bytes.be32(at).zip(bytes.array::<4>(at + 4)) else { break };
        kind.iter().all(u8::is_ascii_alphabetic).then_some(())?;
        if kind == *b"IEND" {
            return None;
        }
        // A length, a kind and a checksum.
        let whole = u64::from(length) + 12;
        if let Some(message) = partial("last chunk", bytes.size() - at, whole) {
            return Some(message);
        }
        at += whole;
    }
    Some(cut_off("its end mark (an IEND chunk) is missing"))
}

/// Returns what is missing at the end of a Motion JPEG stream: the last picture has an end mark (ITU-T T.81, B.1.1.3:
/// EOI), if the picture in front of it has one.
pub(super) fn motion_jpeg(bytes: &Bytes<'_>) -> Option<String> {
    let (_, tail) = bytes.tail(LAST_PICTURE)?;
    let (last, _) = tail.windows(3).enumerate().rev().find(|(_, bytes)| bytes == b"\xff\xd8\xff")?;
    let (before, picture) = tail.split_at_checked(last)?;
    let has_end = |bytes: &[u8]| bytes.windows(2).any(|bytes| bytes == b"\xff\xd9");
    let padding = before.iter().rev().take_while(|byte| **byte == 0).count();
    (before.get(..before.len() - padding)?.ends_with(b"\xff\xd9") && !has_end(picture))
        .then(|| cut_off("its last picture has no end mark (EOI)"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_cut, message};

    /// A GIF of two pictures with color tables of 2 colors, without its trailer.
    fn gif(data: &[u8]) -> Vec<u8> {
        let picture =
            [b"\x21\xf9\x04\0\0\0\0\0".as_slice(), b"\x2c\0\0\0\0\x01\0\x01\0\x80rgbRGB\x02", data, b"\0"];
        [b"GIF89a\x01\0\x01\0\x80\0\0rgbRGB".to_vec(), picture.concat().repeat(2)].concat()
    }

    #[test]
    fn a_cut_gif_ends_in_a_picture() {
        let whole = [gif(b"\x03abc"), b";".to_vec()].concat();
        let why = "its last picture is not whole";
        for missing in [2, 5, 10, 20] {
            assert_cut("gif", &whole, whole.len() - missing, why);
        }
        // Behind the extension of the last picture.
        assert_cut("gif", &whole, whole.len() - 1 - 22, why);
        assert_eq!(message("gif", &[whole, vec![0; 9]].concat()), None);
    }

    #[test]
    fn a_gif_without_a_trailer_is_whole() {
        assert_eq!(message("gif", &gif(b"\x03abc")), None);
        let mut file = gif(b"\x03abc");
        file.pop();
        assert_eq!(
            message("gif", &[file, b";".to_vec()].concat()),
            None,
            "only the end of its last block is missing"
        );
    }

    #[test]
    fn the_last_picture_of_a_large_gif_is_found_from_the_end() {
        let data = [vec![255], vec![7; 255]].concat().repeat(5000);
        let picture = gif(&data).split_off(19);
        let whole = [gif(b"\x03abc"), picture.repeat(4), b";".to_vec()].concat();
        assert!(whole.len() > super::MOST_GIF);
        assert_cut("gif", &whole, whole.len() - 300, "its last picture is not whole");
    }

    #[test]
    fn a_cut_png_ends_in_a_chunk_or_without_an_end() {
        let data = [b"\0\0\0\x64IDAT".as_slice(), &[7; 104]].concat();
        let end = b"\0\0\0\0IEND\xae\x42\x60\x82".to_vec();
        let whole = [b"\x89PNG\r\n\x1a\n".to_vec(), data.repeat(2), end].concat();
        assert_cut("apng", &whole, 200, "its last chunk is not whole (80 of 112 bytes)");
        assert_cut("apng", &whole, 232, "its end mark (an IEND chunk) is missing");
        assert_eq!(message("apng", &[whole, vec![0; 9]].concat()), None);
    }

    #[test]
    fn a_cut_motion_jpeg_stream_has_no_end_mark() {
        let picture = [b"\xff\xd8\xff\xe0".as_slice(), &[7; 50], b"\xff\xd9"].concat();
        assert_cut("mjpeg", &picture.repeat(3), 160, "its last picture has no end mark (EOI)");
        let without = [b"\xff\xd8\xff\xe0".as_slice(), &[7; 50]].concat();
        assert_eq!(message("mjpeg", &without.repeat(3)), None);
    }
}
