//! The mark by which a later execution recognizes a file of pictures, at the end of the file: in a comment of a GIF (GIF89a, 24), in a chunk
//! of its own of a WebP, which readers pass over (RFC 9649, 2.7).

use millrace_formats::picture::PictureFormat;

use crate::child::{failure::Failure, prove::unproven};

/// What a comment of a GIF begins with, and what ends a file.
const COMMENT: [u8; 2] = [0x21, 0xfe];
const TRAILER: u8 = 0x3b;
/// What a WebP begins with, and the name of the chunk.
const RIFF: &[u8; 4] = b"RIFF";
const CHUNK: &[u8; 4] = b"NOTE";

/// Returns the file with the mark at its end. It stands on a line of its own.
///
/// # Errors
/// If the file is none of a known kind.
pub(super) fn add(mut file: Vec<u8>, format: &PictureFormat, mark: &str) -> Result<Vec<u8>, Failure> {
    let line = format!("\n{mark}\n");
    let too_long = |_| Failure::new(format!("the mark of a {} is too long", format.name));
    if file.starts_with(b"GIF8") && file.last() == Some(&TRAILER) {
        let length = u8::try_from(line.len()).map_err(too_long)?;
        file.pop();
        file.extend(COMMENT);
        file.push(length);
        file.extend(line.as_bytes());
        file.extend([0, TRAILER]);
        return Ok(file);
    }
    if file.starts_with(RIFF) {
        let length = u32::try_from(line.len()).map_err(too_long)?;
        file.extend(CHUNK);
        file.extend(length.to_le_bytes());
        file.extend(line.as_bytes());
        if length % 2 == 1 {
            file.push(0);
        }
        let size = u32::try_from(file.len().saturating_sub(8)).map_err(too_long)?;
        if let Some(place) = file.get_mut(4..8) {
            place.copy_from_slice(&size.to_le_bytes());
        }
        return Ok(file);
    }
    Err(unproven(format!("the {} is no file that can be marked", format.name)))
}

/// Reads a file again: it has so many pictures.
pub(super) fn check(file: &[u8], format: &PictureFormat, pictures: usize) -> Result<(), Failure> {
    let found = if file.starts_with(RIFF) { webp_pictures(file) } else { gif_pictures(file) };
    match found {
        // Equal pictures in a row may be one that is shown for longer.
        Some(found) if (1..=pictures).contains(&found) => Ok(()),
        found => Err(unproven(format!("the {} has {found:?} pictures instead of {pictures}", format.name))),
    }
}

/// Counts the pictures of a GIF, block by block; `None` if it is none, or a picture has a colour that is not in the palette of all.
fn gif_pictures(file: &[u8]) -> Option<usize> {
    let size = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    let palette = file.get(13..13 + size(*file.get(10)?))?;
    let mut at = 13 + palette.len();
    let mut pictures = 0;
    loop {
        at = match *file.get(at)? {
            TRAILER => return (at + 1 == file.len()).then_some(pictures),
            0x21 => after_blocks(file, at + 2)?,
            0x2c => {
                pictures += 1;
                let own = file.get(at + 10..at + 10 + size(*file.get(at + 9)?))?;
                // libavcodec repeats the colours at the first picture that are in it, and fills up with white.
                let is_known =
                    |color: &[u8]| color == [255; 3] || palette.chunks(3).any(|other| other == color);
                if !own.chunks(3).all(is_known) {
                    return None;
                }
                after_blocks(file, at + 11 + own.len())?
            }
            _ => return None,
        };
    }
}

/// Returns where blocks of data end that begin here.
fn after_blocks(file: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match usize::from(*file.get(at)?) {
            0 => return Some(at + 1),
            length => at += 1 + length,
        }
    }
}

/// Counts the pictures of a WebP, chunk by chunk; `None` if it is none.
fn webp_pictures(file: &[u8]) -> Option<usize> {
    let number = |at: usize| file.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    if file.get(8..12)? != b"WEBP" || number(4)? as usize + 8 != file.len() {
        return None;
    }
    let (mut at, mut animated, mut single) = (12, 0, 0);
    while at < file.len() {
        match file.get(at..at + 4)? {
            b"ANMF" => animated += 1,
            b"VP8 " | b"VP8L" => single += 1,
            _ => {}
        }
        let length = number(at + 4)? as usize;
        at = at.checked_add(8)?.checked_add(length)?.checked_add(length % 2)?;
    }
    (at == file.len()).then_some(if animated > 0 { animated } else { single })
}

#[cfg(test)]
mod tests {
    use millrace_formats::picture::picture_format;

    use super::*;

    const MARK: &str = "millrace 0a1b 2c3d";

    #[test]
    fn a_gif_has_the_mark_in_a_comment_and_is_read_block_by_block() {
        let gif = picture_format("gif", true).unwrap();
        let mut file = b"GIF89a\x01\0\x01\0\x80\0\0".to_vec();
        file.extend([0; 6]);
        for _ in 0..2 {
            file.extend(*b"\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0");
        }
        file.push(TRAILER);
        assert_eq!(gif_pictures(&file), Some(2));
        let marked = add(file.clone(), gif, MARK).unwrap();
        assert!(String::from_utf8_lossy(&marked).lines().any(|line| line == MARK));
        assert!(check(&marked, gif, 2).is_ok() && check(&marked, gif, 1).is_err());
        assert_eq!(gif_pictures(&marked[..marked.len() - 1]), None, "cut off");
        // A palette at the first picture.
        file[19 + 9] = 0x80;
        let with = |color: [u8; 3]| {
            let mut file = file.clone();
            file.splice(29..29, [color, [255; 3]].concat());
            gif_pictures(&file)
        };
        assert_eq!((with([0; 3]), with([1, 2, 3])), (Some(2), None), "a colour of its own");
    }

    #[test]
    fn a_webp_has_the_mark_in_a_chunk_and_states_its_size() {
        let webp = picture_format("webp", true).unwrap();
        let mut file = b"RIFF\x20\0\0\0WEBPANMF\x02\0\0\0ab".to_vec();
        file.extend(b"ANMF\x01\0\0\0a\0");
        let size = u32::try_from(file.len() - 8).unwrap();
        file[4..8].copy_from_slice(&size.to_le_bytes());
        assert_eq!(webp_pictures(&file), Some(2));
        let marked = add(file, webp, MARK).unwrap();
        assert!(check(&marked, webp, 2).is_ok() && check(&marked[..marked.len() - 2], webp, 2).is_err());
        assert!(String::from_utf8_lossy(&marked).lines().any(|line| line == MARK));
        assert!(add(b"nothing".to_vec(), webp, MARK).is_err());
    }
}
