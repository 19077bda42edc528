//! Fits a picture of another shape into the frame of the first one: as large as it goes, by its own aspect, in the middle.

use ffmpeg_next::frame;
use millrace_schemas::Ratio;

use crate::child::libav::pixels::Samples;

/// A picture that is to be fitted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Picture {
    /// Width and height in pixels, as it is decoded.
    pub(super) size: (u32, u32),
    /// Sample aspect ratio, as it is decoded; 0 where it is not known.
    pub(super) aspect: Ratio,
    /// True if width and height are swapped before it is shown.
    pub(super) is_transposed: bool,
}

/// Returns the size to which a picture is scaled, before it is oriented, so that it fits into a frame of `canvas` pixels with
/// this sample aspect and keeps its shape. Even, and never larger than the frame.
pub(super) fn size(picture: Picture, canvas: (u32, u32), canvas_aspect: Ratio) -> (u32, u32) {
    let (width, height) = (f64::from(picture.size.0), f64::from(picture.size.1));
    let shown = (width * known(picture.aspect), height);
    let shown = if picture.is_transposed { (shown.1, shown.0) } else { shown };
    let aspect = known(canvas_aspect);
    let factor = (f64::from(canvas.0) * aspect / shown.0).min(f64::from(canvas.1) / shown.1);
    let even = |pixels: f64, most: u32| (((pixels / 2.0).round() * 2.0) as u32).clamp(2, most.max(2));
    let fitted = (even(shown.0 * factor / aspect, canvas.0), even(shown.1 * factor, canvas.1));
    if picture.is_transposed { (fitted.1, fitted.0) } else { fitted }
}

fn known(aspect: Ratio) -> f64 {
    if aspect.num > 0 && aspect.den > 0 { aspect.as_f64() } else { 1.0 }
}

/// Returns a picture of planes of these samples, little-endian, in the middle of a black frame.
pub(super) fn center(
    picture: &frame::Video,
    samples: Samples,
    canvas: (u32, u32),
    full_range: bool,
) -> frame::Video {
    let Samples { bytes, depth, halved } = samples;
    let mut to = frame::Video::new(picture.format(), canvas.0, canvas.1);
    let middle = |room: u32, taken: u32| (room.saturating_sub(taken) / 2) & !1;
    let (left, top) = (middle(canvas.0, picture.width()), middle(canvas.1, picture.height()));
    for plane in 0..picture.planes().min(to.planes()) {
        // Of 8 bits 16 and 128; of more, these with zeros behind (ITU-R BT.2100, table 9).
        let black: u16 = match plane {
            0 if full_range => 0,
            0 => 16 << depth.saturating_sub(8),
            _ => 128 << depth.saturating_sub(8),
        };
        let black = black.to_le_bytes();
        to.data_mut(plane).chunks_exact_mut(bytes).for_each(|sample| sample.copy_from_slice(&black[..bytes]));
        let (width, height) = (picture.plane_width(plane) as usize, picture.plane_height(plane) as usize);
        let (room_x, room_y) = (to.plane_width(plane) as usize, to.plane_height(plane) as usize);
        let (x, y) = if plane == 0 { (left, top) } else { (left >> halved.0, top >> halved.1) };
        let (x, y) = (x as usize, y as usize);
        let (from_stride, to_stride) = (picture.stride(plane), to.stride(plane));
        let (from, into) = (picture.data(plane), to.data_mut(plane));
        let columns = width.min(room_x.saturating_sub(x));
        for row in 0..height.min(room_y.saturating_sub(y)) {
            let (source, target) = (row * from_stride, (y + row) * to_stride + x * bytes);
            into[target..target + columns * bytes].copy_from_slice(&from[source..source + columns * bytes]);
        }
    }
    to
}

#[cfg(test)]
mod tests {
    use ffmpeg_next::format::Pixel;

    use super::*;

    const SQUARE: Ratio = Ratio { num: 1, den: 1 };

    fn fitted(width: u32, height: u32, aspect: Ratio, is_transposed: bool) -> (u32, u32) {
        size(Picture { size: (width, height), aspect, is_transposed }, (320, 240), SQUARE)
    }

    #[test]
    fn a_picture_of_another_shape_keeps_its_own() {
        assert_eq!(fitted(640, 480, SQUARE, false), (320, 240));
        assert_eq!(fitted(240, 320, SQUARE, false), (180, 240), "bars at the sides");
        assert_eq!(fitted(640, 240, SQUARE, false), (320, 120), "bars above and below");
        assert_eq!(fitted(320, 240, Ratio { num: 4, den: 3 }, false), (320, 180), "wide samples");
        assert_eq!(fitted(240, 320, SQUARE, true), (240, 320), "transposed, it fills the frame");
        assert_eq!(fitted(1, 10_000, SQUARE, false), (2, 240));
        let wide = Ratio { num: 16, den: 11 };
        let same = Picture { size: (720, 576), aspect: wide, is_transposed: false };
        assert_eq!(size(same, (720, 576), wide), (720, 576));
        let narrow = Picture { aspect: Ratio { num: 12, den: 11 }, ..same };
        assert_eq!(size(narrow, (720, 576), wide), (540, 576), "4:3 in a frame of 16:9");
    }

    #[test]
    fn bars_are_black_and_the_picture_is_in_the_middle() {
        let mut picture = frame::Video::new(Pixel::YUV420P, 4, 8);
        for plane in 0..3 {
            picture.data_mut(plane).fill(200);
        }
        let framed = center(&picture, Samples::of(Pixel::YUV420P), (12, 8), false);
        let row: Vec<u8> = framed.data(0)[..12].to_vec();
        assert_eq!(row, [16, 16, 16, 16, 200, 200, 200, 200, 16, 16, 16, 16]);
        assert_eq!(framed.data(1)[..6], [128, 128, 200, 200, 128, 128]);
    }

    #[test]
    fn bars_of_ten_bits_are_black_and_chroma_of_422_has_all_rows() {
        let mut picture = frame::Video::new(Pixel::YUV422P10LE, 4, 4);
        for plane in 0..3 {
            picture
                .data_mut(plane)
                .chunks_exact_mut(2)
                .for_each(|sample| sample.copy_from_slice(&[0x20, 0x03]));
        }
        let framed = |full_range| center(&picture, Samples::of(Pixel::YUV422P10LE), (8, 8), full_range);
        let made = framed(false);
        let samples = |plane: usize, row: usize, count: usize| -> Vec<u16> {
            let at = row * made.stride(plane);
            made.data(plane)[at..]
                .chunks_exact(2)
                .take(count)
                .map(|b| u16::from_le_bytes([b[0], b[1]]))
                .collect()
        };
        let (bar, row) = ([64; 8], [64, 64, 800, 800, 800, 800, 64, 64]);
        assert_eq!(
            [samples(0, 1, 8), samples(0, 2, 8), samples(0, 5, 8), samples(0, 6, 8)],
            [bar, row, row, bar]
        );
        let (bar, row) = ([512; 4], [512, 800, 800, 512]);
        assert_eq!(
            [samples(1, 1, 4), samples(1, 2, 4), samples(2, 5, 4), samples(2, 6, 4)],
            [bar, row, row, bar]
        );
        assert_eq!(framed(true).data(0)[..4], [0; 4]);
    }
}
