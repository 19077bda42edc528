//! The best of many pictures: sharp ones, that are neither black nor white. Pure, but for reading pixels.

use std::ops::RangeInclusive;

use ffmpeg_next::frame;

/// The mean luma of pictures that show something, of 255: others are nearly black or white.
const SHOWN: RangeInclusive<f64> = 40.0..=223.0;

/// The best pictures so far.
pub(super) struct Best {
    most: usize,
    /// Scores, times and files.
    kept: Vec<(f64, f64, Vec<u8>)>,
}

/// A place among the best, by a score.
pub(super) struct Place(f64);

impl Best {
    /// Keeps at most so many, 1 or more.
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), kept: Vec::new() }
    }

    /// Returns the place of a picture; `None` if it is none of the best so far.
    pub(super) fn place(&self, picture: &frame::Video) -> Option<Place> {
        self.place_of(score(picture))
    }

    fn place_of(&self, score: f64) -> Option<Place> {
        let worst = self.worst().map(|at| self.kept[at].0);
        let is_kept = self.kept.len() < self.most || worst.is_some_and(|worst| score > worst);
        is_kept.then_some(Place(score))
    }

    /// Puts a picture, which is shown at this time, in its place.
    pub(super) fn put(&mut self, Place(score): Place, at: f64, file: Vec<u8>) {
        if self.kept.len() >= self.most
            && let Some(worst) = self.worst()
        {
            self.kept.remove(worst);
        }
        self.kept.push((score, at, file));
    }

    fn worst(&self) -> Option<usize> {
        let scores = self.kept.iter().enumerate().map(|(at, (score, ..))| (at, *score));
        // Of equal ones the later one.
        scores.rev().min_by(|a, b| a.1.total_cmp(&b.1)).map(|(at, _)| at)
    }

    /// Returns times and files, in order of time.
    pub(super) fn into_kept(self) -> Vec<(f64, Vec<u8>)> {
        self.kept.into_iter().map(|(_, at, file)| (at, file)).collect()
    }
}

/// Returns how good a picture is: the variance of its luma behind a Laplacian, which blur makes small; less than 0 if it shows nothing.
fn score(picture: &frame::Video) -> f64 {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let (stride, luma) = (picture.stride(0), picture.data(0));
    let at = |x: usize, y: usize| luma.get(y * stride + x).copied().map_or(0.0, f64::from);
    let mut mean = 0.0;
    for y in 0..height {
        mean += (0..width).map(|x| at(x, y)).sum::<f64>();
    }
    mean /= (width * height).max(1) as f64;
    let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
    for y in 1..height.saturating_sub(1) {
        for x in 1..width.saturating_sub(1) {
            let edge = 4.0 * at(x, y) - at(x - 1, y) - at(x + 1, y) - at(x, y - 1) - at(x, y + 1);
            sum += edge;
            squares += edge * edge;
            count += 1.0;
        }
    }
    let variance = if count > 0.0 { (squares - sum * sum / count) / count } else { 0.0 };
    if SHOWN.contains(&mean) { variance } else { variance - 1e9 }
}

#[cfg(test)]
mod tests {
    use ffmpeg_next::format::Pixel;

    use super::*;

    fn picture(luma: impl Fn(usize, usize) -> u8) -> frame::Video {
        let mut picture = frame::Video::new(Pixel::YUV420P, 32, 16);
        let stride = picture.stride(0);
        for y in 0..16 {
            for x in 0..32 {
                picture.data_mut(0)[y * stride + x] = luma(x, y);
            }
        }
        picture
    }

    #[test]
    fn a_sharp_picture_is_better_than_a_blurred_one_and_both_than_black() {
        let sharp = score(&picture(|x, y| if (x / 4 + y / 4) % 2 == 0 { 60 } else { 190 }));
        let blurred = score(&picture(|x, _| 60 + 4 * x as u8));
        let black = score(&picture(|x, _| 16 + (x % 2) as u8));
        let white = score(&picture(|x, _| 235 - (x % 2) as u8));
        assert!(sharp > blurred && blurred > black && blurred > white && white < 0.0);
    }

    #[test]
    fn the_best_are_kept_in_order_of_time_and_of_equal_ones_the_earlier() {
        let mut best = Best::new(2);
        for (at, score) in [(0.0, 1.0), (1.0, 5.0), (2.0, 5.0), (3.0, 7.0), (4.0, 5.0)] {
            if let Some(place) = best.place_of(score) {
                best.put(place, at, Vec::new());
            }
        }
        assert_eq!(best.into_kept().iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1.0, 3.0]);
    }
}
