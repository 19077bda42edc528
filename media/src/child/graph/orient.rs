//! Orients pictures as a player would: mirrored, then rotated.

use ffmpeg_next::frame;

use crate::child::{
    libav::pixels::{Samples, transposed},
    orientation::Orientation,
};

/// Returns a picture of planes as it is shown with this orientation: of 4:4:0, 4:2:2 where it is transposed.
pub(super) fn orient(from: &frame::Video, orientation: Orientation) -> frame::Video {
    match Samples::of(from.format()).bytes {
        1 => orient_samples::<1>(from, orientation),
        _ => orient_samples::<2>(from, orientation),
    }
}

/// Orients planes whose samples have this many bytes.
fn orient_samples<const BYTES: usize>(from: &frame::Video, orientation: Orientation) -> frame::Video {
    let Orientation { rotation: degrees, mirrored } = orientation;
    let swapped = orientation.is_transposed();
    let (width, height) = if swapped { (from.height(), from.width()) } else { (from.width(), from.height()) };
    let format = if swapped { transposed(from.format()) } else { from.format() };
    let mut to = frame::Video::new(format, width, height);
    for plane in 0..from.planes().min(to.planes()) {
        let (from_stride, to_stride) = (from.stride(plane), to.stride(plane));
        let (w, h) = (from.plane_width(plane) as usize, from.plane_height(plane) as usize);
        let (columns, rows) = if swapped { (h, w) } else { (w, h) };
        let source = from.data(plane);
        let target = to.data_mut(plane);
        for y in 0..rows {
            for x in 0..columns {
                let (from_x, from_y) = match degrees {
                    90 => (y, h - 1 - x),
                    180 => (w - 1 - x, h - 1 - y),
                    270 => (w - 1 - y, x),
                    _ => (x, y),
                };
                let from_x = if mirrored { w - 1 - from_x } else { from_x };
                let (at, from_at) = (y * to_stride + x * BYTES, from_y * from_stride + from_x * BYTES);
                target[at..at + BYTES].copy_from_slice(&source[from_at..from_at + BYTES]);
            }
        }
    }
    to
}

#[cfg(test)]
mod tests {
    use ffmpeg_next::format::Pixel;

    use super::*;

    fn oriented(rotation: i32, mirrored: bool) -> Vec<Vec<u8>> {
        rows(&orient(&numbered(), Orientation { rotation, mirrored }))
    }

    /// A 4x2 picture whose samples are numbered from the top left.
    fn numbered() -> frame::Video {
        let mut picture = frame::Video::new(Pixel::GRAY8, 4, 2);
        let stride = picture.stride(0);
        for y in 0..2 {
            for x in 0..4 {
                picture.data_mut(0)[y * stride + x] = (y * 4 + x) as u8;
            }
        }
        picture
    }

    fn rows(picture: &frame::Video) -> Vec<Vec<u8>> {
        let width = picture.width() as usize;
        let stride = picture.stride(0);
        picture
            .data(0)
            .chunks(stride)
            .take(picture.height() as usize)
            .map(|row| row[..width].to_vec())
            .collect()
    }

    #[test]
    fn pictures_are_rotated_clockwise() {
        assert_eq!(oriented(90, false), [[4, 0], [5, 1], [6, 2], [7, 3]]);
        assert_eq!(oriented(180, false), [[7, 6, 5, 4], [3, 2, 1, 0]]);
        assert_eq!(oriented(270, false), [[3, 7], [2, 6], [1, 5], [0, 4]]);
    }

    #[test]
    fn samples_of_ten_bits_stay_whole_and_440_becomes_422() {
        let mut picture = frame::Video::new(Pixel::YUV440P10LE, 4, 2);
        for plane in 0..3 {
            let stride = picture.stride(plane);
            for (at, sample) in picture.data_mut(plane).chunks_exact_mut(2).enumerate() {
                let (x, y) = (at % (stride / 2), at / (stride / 2));
                sample.copy_from_slice(&(((plane as u16) << 8) + (y * 4 + x) as u16).to_le_bytes());
            }
        }
        let made = orient(&picture, Orientation { rotation: 90, mirrored: false });
        assert_eq!((made.format(), made.width(), made.height()), (Pixel::YUV422P10LE, 2, 4));
        let samples = |plane: usize| -> Vec<Vec<u16>> {
            let width = made.plane_width(plane) as usize;
            let rows = made.data(plane).chunks(made.stride(plane)).take(4);
            rows.map(|row| {
                row.chunks_exact(2).take(width).map(|b| u16::from_le_bytes([b[0], b[1]])).collect()
            })
            .collect()
        };
        assert_eq!(samples(0), [[4, 0], [5, 1], [6, 2], [7, 3]]);
        assert_eq!(samples(1), [[0x100], [0x101], [0x102], [0x103]]);
        let back = orient(&made, Orientation { rotation: 270, mirrored: false });
        assert_eq!(back.format(), Pixel::YUV440P10LE);
        assert_eq!(back.data(2)[..8], picture.data(2)[..8]);
    }

    #[test]
    fn pictures_are_mirrored_before_they_are_rotated() {
        assert_eq!(oriented(0, true), [[3, 2, 1, 0], [7, 6, 5, 4]]);
        assert_eq!(oriented(90, true), [[7, 3], [6, 2], [5, 1], [4, 0]]);
        assert_eq!(oriented(180, true), [[4, 5, 6, 7], [0, 1, 2, 3]]);
    }
}
