use millrace_formats::picture::{PICTURES, picture_format};

use super::*;

const BT601: Color = Color { primaries: 6, transfer: 6, matrix: 6, range: 1, chroma: 1 };

/// A picture whose luma grows from left to right, with this much more.
fn drawn(coding: &Coding, more: u8) -> frame::Video {
    let mut picture = frame::Video::new(coding.scaled_format.parse().unwrap(), 64, 48);
    for plane in 0..picture.planes() {
        let stride = picture.stride(plane);
        for (at, sample) in picture.data_mut(plane).iter_mut().enumerate() {
            *sample = if plane == 0 { (at % stride) as u8 + 40 + more } else { 128 };
        }
    }
    picture
}

#[test]
fn a_still_is_a_file_of_its_format() {
    for format in PICTURES {
        let Some(coding) = &format.still else { continue };
        let file = still(coding, &drawn(coding, 0), BT601).unwrap();
        let picture = crate::child::image::decode(&file).unwrap();
        assert_eq!((picture.width(), picture.height()), (64, 48), "{}", format.name);
    }
}

#[test]
fn an_animation_is_a_file_of_its_format_that_plays_as_often_as_asked() {
    let made = |name: &str, plays: u32| {
        let format = picture_format(name, true).unwrap().animation.as_ref().unwrap();
        let shown =
            |number: u8| Frame { picture: drawn(&format.coding, 20 * number), at: f64::from(number) / 12.0 };
        animation(format, (0..4).map(shown).collect(), BT601, (plays, 0.4)).unwrap()
    };
    let gif = made("gif", 0);
    assert!(gif.starts_with(b"GIF89a") && gif.ends_with(b";"));
    let again = |file: &[u8]| {
        let at = file.windows(11).position(|bytes| bytes == b"NETSCAPE2.0")? + 11;
        // A length, 1, and a number of two bytes.
        Some(u16::from_le_bytes([file[at + 2], file[at + 3]]))
    };
    assert_eq!(again(&gif), Some(0), "without end");
    assert_eq!(again(&made("gif", 1)), None, "once");
    assert_eq!(again(&made("gif", 3)), Some(2), "twice again");
    let control = gif.windows(4).filter(|bytes| bytes[..3] == [0x21, 0xf9, 4]).count();
    assert_eq!(control, 4, "pictures");
    let webp = made("webp", 2);
    assert!(webp.starts_with(b"RIFF"));
    let at = webp.windows(4).position(|bytes| bytes == b"ANIM").unwrap();
    assert_eq!(webp[at + 12..at + 14], [2, 0], "RFC 9649, 2.7.1.1: the loop count");
}
