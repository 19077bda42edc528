//! Where scenes begin: a picture that differs much from the one before it. It depends on these two alone, so that segments find what the
//! whole finds if they are given the picture before their first one.

use ffmpeg_next::frame;

use crate::child::libav::pixels::Samples;

/// The parts of a picture that are compared, beside and below each other.
const COLUMNS: usize = 16;
const ROWS: usize = 9;
/// How many samples of a part are looked at, across and down.
const LOOKED_AT: usize = 12;

/// Finds the first picture of each scene.
pub(super) struct Scenes {
    /// The least difference with which one begins, from 0 to 1.
    least: f64,
    before: Option<[f64; COLUMNS * ROWS]>,
}

impl Scenes {
    pub(super) fn new(least: f64) -> Self {
        Self { least, before: None }
    }

    /// Takes the next picture. Returns `true` if a scene begins with it, as one does with the first.
    pub(super) fn begins(&mut self, picture: &frame::Video) -> bool {
        let parts = luma(picture);
        let before = self.before.replace(parts);
        before.is_none_or(|before| difference(&before, &parts) >= self.least)
    }
}

/// Returns the mean of the differences of all parts, from 0 to 1.
fn difference(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>() / a.len().max(1) as f64
}

/// Returns the mean luma of each part, from 0 to 1.
fn luma(picture: &frame::Video) -> [f64; COLUMNS * ROWS] {
    let mut parts = [0.0; COLUMNS * ROWS];
    let Samples { bytes, depth, .. } = Samples::of(picture.format());
    let most = ((1_u64 << depth.min(16)) - 1).max(1) as f64;
    let (data, stride) = (picture.data(0), picture.stride(0));
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let sample = |x: usize, y: usize| {
        let at = y * stride + x * bytes;
        let low = data.get(at).copied().unwrap_or(0);
        let high = if depth > 8 { data.get(at + 1).copied().unwrap_or(0) } else { 0 };
        f64::from(u16::from_le_bytes([low, high])) / most
    };
    // Samples in the middle of equal parts of a side.
    let place =
        |number: usize, of: usize, side: usize| ((2 * number + 1) * side / (2 * of)).min(side.max(1) - 1);
    for (number, part) in parts.iter_mut().enumerate() {
        let (column, row) = (number % COLUMNS, number / COLUMNS);
        for y in 0..LOOKED_AT {
            for x in 0..LOOKED_AT {
                *part += sample(
                    place(column * LOOKED_AT + x, COLUMNS * LOOKED_AT, width),
                    place(row * LOOKED_AT + y, ROWS * LOOKED_AT, height),
                );
            }
        }
        *part /= (LOOKED_AT * LOOKED_AT) as f64;
    }
    parts
}

#[cfg(test)]
mod tests {
    use ffmpeg_next::format::Pixel;

    use super::*;

    fn of(format: Pixel, sample: u8) -> frame::Video {
        let mut picture = frame::Video::new(format, 50, 30);
        picture.data_mut(0).fill(sample);
        picture
    }

    #[test]
    fn a_scene_begins_where_a_picture_differs_from_the_one_before_it() {
        let mut scenes = Scenes::new(0.1);
        let begins = [40, 50, 60, 120, 121, 40].map(|luma| scenes.begins(&of(Pixel::YUV420P, luma)));
        assert_eq!(begins, [true, false, false, true, false, true]);
    }

    #[test]
    fn a_small_and_a_deep_picture_are_compared_as_well() {
        let mut scenes = Scenes::new(0.1);
        let begins = [0, 1, 3].map(|byte| scenes.begins(&of(Pixel::YUV420P10LE, byte)));
        assert_eq!(begins, [true, true, true], "257 is a quarter of 1023");
        let mut scenes = Scenes::new(0.1);
        let small = |luma: u8| {
            let mut picture = frame::Video::new(Pixel::GRAY8, 2, 2);
            picture.data_mut(0).fill(luma);
            picture
        };
        assert_eq!([10, 12, 200].map(|luma| scenes.begins(&small(luma))), [true, false, true]);
    }
}
