//! Bit rates of pictures: the quality that has an average, found by passes of constant quality, and the buffer of a player, held over
//! joins. Pure.
//!
//! An encoder that is asked for an average spends it by what it has seen so far, which in a segment is little. So all segments are
//! encoded with one constant quality, their sizes are added up, and they are encoded again with a better guess, until the average is
//! near enough. Pictures are then as good in each segment, as in one encode of two passes.

use millrace_schemas::{BitRate, RatePass};

use crate::quality::Quality;

/// An average this near to what is asked for needs no further pass, as a part of it.
pub const NEAR: f64 = 0.025;
/// An average further from what is asked for than this is reported, as a part of it.
pub const KEPT: f64 = 0.03;
/// The most passes with qualities of their own. The best of them may be made once more.
pub const MOST_PASSES: usize = 6;

/// The finest step of quality that is tried.
const FINEST: f64 = 0.01;

/// Returns the quality of the first pass for pictures of this many pixels, this many a second: a guess, by what ordinary film has.
#[must_use]
pub fn first_quality(scale: &Quality, average: i64, pixels: i64, rate: f64) -> f64 {
    let usual = pixels.max(1) as f64 * rate.clamp(1.0, 240.0) * scale.bits;
    let quality = scale.usual + scale.halving * (usual / average.max(1) as f64).log2();
    let step = scale.step.max(FINEST);
    ((quality / step).round() * step).clamp(scale.best, scale.worst)
}

/// Returns the quality of the next pass over a track of this many segments; `None` if the last pass is near enough, or none would be
/// nearer.
///
/// The logarithm of the rate is taken for linear in the quality, first with the scale's own slope, then between passes.
#[must_use]
pub fn next_quality(scale: &Quality, average: i64, passes: &[RatePass], segments: usize) -> Option<f64> {
    let last = passes.last()?;
    if is_within(average, last.bit_rate, NEAR) || passes.len() > MOST_PASSES {
        return None;
    }
    let size = |pass: &RatePass| (pass.bit_rate.max(1) as f64 / average.max(1) as f64).ln();
    let usual = std::f64::consts::LN_2 / scale.halving.max(0.1);
    // The nearest passes on both sides: less quality is more bits.
    let more = passes.iter().filter(|pass| size(pass) > 0.0).min_by(|a, b| size(a).total_cmp(&size(b)));
    let fewer = passes.iter().filter(|pass| size(pass) <= 0.0).max_by(|a, b| size(a).total_cmp(&size(b)));
    let quality = match (more, fewer) {
        (Some(more), Some(fewer)) => {
            let straight = size(more) / (size(more) - size(fewer));
            let distance = fewer.quality - more.quality;
            let curved = curve(passes, size).map(|quality| (quality - more.quality) / distance);
            let part = curved.filter(|part| (0.0..=1.0).contains(part)).unwrap_or(straight);
            // Not at an end: each pass narrows what is left.
            more.quality + part.clamp(0.05, 0.95) * distance
        }
        _ => {
            let before = passes.len().checked_sub(2).and_then(|before| passes.get(before));
            let measured = before.and_then(|before| {
                let distance = last.quality - before.quality;
                (distance.abs() > FINEST).then(|| (size(before) - size(last)) / distance)
            });
            last.quality + size(last) / measured.unwrap_or(usual).clamp(0.4 * usual, 2.5 * usual)
        }
    };
    let step = (scale.step / segments.max(1) as f64).max(FINEST);
    let quality = ((quality / step).round() * step).clamp(scale.best, scale.worst);
    let is_tried = passes.iter().any(|pass| (pass.quality - quality).abs() < FINEST / 2.0);
    if !is_tried && passes.len() < MOST_PASSES {
        return Some(quality);
    }
    // Encoders decide in steps: a little worse quality may be much smaller. The nearest pass is made once more.
    let nearest = passes.iter().min_by(|a, b| size(a).abs().total_cmp(&size(b).abs()))?;
    (size(nearest).abs() + 0.005 < size(last).abs()).then_some(nearest.quality)
}

/// Returns the quality at which a parabola through the three nearest passes has the size zero; `None` if there are fewer.
fn curve(passes: &[RatePass], size: impl Fn(&RatePass) -> f64) -> Option<f64> {
    let mut nearest: Vec<(f64, f64)> = passes.iter().map(|pass| (size(pass), pass.quality)).collect();
    nearest.sort_by(|a, b| a.0.abs().total_cmp(&b.0.abs()));
    let &[a, b, c] = nearest.first_chunk::<3>()?;
    let share =
        |of: (f64, f64), x: (f64, f64), y: (f64, f64)| of.1 * x.0 * y.0 / ((of.0 - x.0) * (of.0 - y.0));
    let quality = share(a, b, c) + share(b, a, c) + share(c, a, b);
    quality.is_finite().then_some(quality)
}

/// Returns the quality of the segment at this position, of a track whose quality is this: where an encoder has whole numbers only,
/// some segments have the next better one, evenly spread.
#[must_use]
pub fn segment_quality(scale: &Quality, quality: f64, position: usize) -> f64 {
    if scale.step <= 0.0 {
        return quality;
    }
    let steps = quality / scale.step;
    let part = steps - steps.floor();
    let count = |segments: usize| (segments as f64 * part + 0.5 + 1e-9).floor();
    let is_worse = count(position + 1) > count(position);
    (steps.floor() + f64::from(u8::from(is_worse))) * scale.step
}

/// Returns `true` if a measured average is what is asked for, but for this part of it.
#[must_use]
pub fn is_within(average: i64, measured: i64, part: f64) -> bool {
    (measured - average).abs() as f64 <= part * average as f64
}

/// Returns the bound that the encoder of each segment is held to, so that the asked one holds over the joins of segments of these
/// lengths, in seconds.
///
/// A buffer of size B that fills with rate R, full at first, is never empty if no stretch of length t has more than B + R·t bits. A
/// segment of length l whose encoder has the buffer b and the rate r has at most b + r·l. A stretch over a join is the end of one
/// segment, whole ones, and the beginning of another: 2·b + r·t, and b + (r − R)·l for each whole one on top of its R·l. So r is
/// lowered until the whole ones of no stretch have more than B − 2·b on top.
#[must_use]
pub fn hold_segments(asked: BitRate, lengths: &[f64]) -> BitRate {
    let BitRate { most, buffer, .. } = asked;
    let held = |most: f64, buffer: f64| BitRate {
        segment_most: (most as i64).max(1000),
        segment_buffer: (buffer as i64).max(1000),
        ..asked
    };
    if most <= 0 || buffer <= 0 {
        return asked;
    }
    let (rate, size) = (most as f64, buffer as f64);
    if lengths.len() < 2 {
        return held(rate, size);
    }
    let whole = &lengths[1..lengths.len() - 1];
    let mut best: Option<(f64, f64)> = None;
    for part in [2.0, 3.0, 4.0, 6.0, 8.0] {
        let own = size / part;
        let lowered = lowered(whole, own, size - 2.0 * own, rate);
        if best.is_none_or(|(least, _)| lowered < 0.8 * least) {
            best = Some((lowered, own));
        }
        if lowered <= 0.1 * rate {
            break;
        }
    }
    let (lowered, own) = best.unwrap_or((0.0, size / 2.0));
    held(rate - lowered, own)
}

/// Returns by how much the rate of segments with these lengths and this buffer is lowered, so that no run of them has more bits on
/// top of its share than this; at most to half of it.
fn lowered(lengths: &[f64], own: f64, room: f64, rate: f64) -> f64 {
    let fits = |lowered: f64| {
        let mut run = 0.0_f64;
        lengths.iter().all(|length| {
            run = run.max(0.0) + own - lowered * length;
            run <= room + 1e-6
        })
    };
    let (mut low, mut high) = (0.0, rate / 2.0);
    if fits(low) {
        return low;
    }
    for _ in 0..50 {
        let middle = f64::midpoint(low, high);
        if fits(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

/// The buffer of a player, which fills at a constant rate up to its size, and which pictures are taken out of (the hypothetical
/// reference decoder of ITU-T H.264, annex C, with a full buffer at first).
#[derive(Debug, Clone)]
pub struct Buffer {
    rate: f64,
    size: f64,
    level: f64,
    last: Option<f64>,
}

impl Buffer {
    /// Returns a full buffer; `None` if there is no bound.
    #[must_use]
    pub fn new(asked: BitRate) -> Option<Self> {
        let BitRate { most, buffer, .. } = asked;
        let size = buffer as f64;
        (most > 0 && buffer > 0).then_some(Self { rate: most as f64, size, level: size, last: None })
    }

    /// Takes out a picture of this many bits that is decoded at this time, in seconds. Times ascend. Returns how many bits are
    /// missing, if it is not there whole; the buffer is empty then.
    pub fn take(&mut self, at: f64, bits: u64) -> Option<u64> {
        if let Some(last) = self.last.replace(at) {
            self.level = (self.level + (at - last).max(0.0) * self.rate).min(self.size);
        }
        self.level -= bits as f64;
        // Less than a bit is rounding.
        let missing = -self.level;
        self.level = self.level.max(0.0);
        (missing > 1.0).then_some(missing as u64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FINE: Quality =
        Quality { best: 1.0, worst: 51.0, usual: 23.0, step: 0.0, halving: 6.0, bits: 0.08 };
    const WHOLE: Quality =
        Quality { best: 1.0, worst: 63.0, usual: 35.0, step: 1.0, halving: 12.0, bits: 0.04 };

    /// Runs passes over segments whose rate halves every so many steps. Returns the passes.
    fn passes(scale: &Quality, average: i64, at_usual: f64, halving: f64, segments: usize) -> Vec<RatePass> {
        let mut quality = first_quality(scale, average, 1280 * 720, 25.0);
        let mut passes = Vec::new();
        loop {
            let rates = (0..segments).map(|position| {
                let quality = segment_quality(scale, quality, position);
                at_usual * 2_f64.powf((scale.usual - quality) / halving)
            });
            let rate = rates.sum::<f64>() / segments as f64;
            passes.push(RatePass { quality, bit_rate: rate as i64 });
            match next_quality(scale, average, &passes, segments) {
                Some(next) => quality = next,
                None => return passes,
            }
        }
    }

    #[test]
    fn three_passes_find_the_average_of_ordinary_pictures() {
        for (at_usual, halving) in [(2e6, 6.0), (8e6, 5.0), (4e5, 7.5)] {
            let found = passes(&FINE, 2_000_000, at_usual, halving, 9);
            assert!(found.len() <= 3, "{found:?}");
            assert!(is_within(2_000_000, found.last().unwrap().bit_rate, NEAR), "{found:?}");
        }
    }

    #[test]
    fn five_passes_find_it_though_the_size_bends_and_the_guess_is_far_off() {
        let bent = |quality: f64| (2e7 * 2_f64.powf(-quality / (2.0 + 0.05 * quality))) as i64;
        for average in [200_000, 600_000, 1_500_000, 3_000_000] {
            let mut found = vec![RatePass { quality: 9.0, bit_rate: bent(9.0) }];
            while let Some(quality) = next_quality(&FINE, average, &found, 3) {
                found.push(RatePass { quality, bit_rate: bent(quality) });
            }
            let last = found.last().unwrap();
            assert!(found.len() <= 5 && is_within(average, last.bit_rate, NEAR), "{average}: {found:?}");
        }
    }

    #[test]
    fn an_encoder_of_whole_numbers_has_the_average_by_segments_of_two_qualities() {
        let found = passes(&WHOLE, 1_500_000, 1.1e6, 6.0, 10);
        assert!(is_within(1_500_000, found.last().unwrap().bit_rate, NEAR), "{found:?}");
        let qualities = |quality| (0..10).map(|i| segment_quality(&WHOLE, quality, i)).collect::<Vec<_>>();
        assert_eq!(qualities(30.0), [30.0; 10]);
        let mixed = qualities(30.3);
        assert_eq!(mixed.iter().filter(|quality| **quality == 31.0).count(), 3, "{mixed:?}");
        assert_eq!(segment_quality(&FINE, 22.37, 3), 22.37);
    }

    #[test]
    fn of_an_encoder_that_decides_in_steps_the_nearest_pass_is_made_again() {
        let stepped = |quality: f64| if quality < 23.8 { 1_100_000 } else { 960_000 };
        let mut found = vec![RatePass { quality: 23.0, bit_rate: stepped(23.0) }];
        while let Some(quality) = next_quality(&FINE, 1_000_000, &found, 3) {
            found.push(RatePass { quality, bit_rate: stepped(quality) });
        }
        assert!(found.len() <= MOST_PASSES + 1, "{found:?}");
        assert_eq!(found.last().unwrap().bit_rate, 960_000, "{found:?}");
    }

    #[test]
    fn what_can_t_be_had_ends_at_the_end_of_the_scale() {
        let still = passes(&FINE, 8_000_000, 3e4, 6.0, 4);
        assert_eq!(still.last().unwrap().quality, 1.0, "{still:?}");
        let too_much = passes(&FINE, 10_000, 8e6, 6.0, 4);
        assert_eq!(too_much.last().unwrap().quality, 51.0, "{too_much:?}");
    }

    fn bound(most: i64, buffer: i64) -> BitRate {
        BitRate { most, buffer, ..BitRate::default() }
    }

    #[test]
    fn one_segment_has_the_whole_buffer_and_long_ones_nearly_all_of_the_rate() {
        let asked = bound(4_000_000, 8_000_000);
        let one = hold_segments(asked, &[60.0]);
        assert_eq!((one.segment_most, one.segment_buffer), (4_000_000, 8_000_000));
        let long = hold_segments(asked, &[15.0; 40]);
        assert!(long.segment_most >= 3_700_000 && long.segment_buffer >= 2_000_000, "{long:?}");
        assert_eq!(hold_segments(BitRate::default(), &[1.0; 4]), BitRate::default());
    }

    #[test]
    fn a_buffer_is_full_at_first_and_never_holds_more_than_its_size() {
        let mut buffer = Buffer::new(bound(1000, 2000)).unwrap();
        assert_eq!(buffer.take(0.0, 2000), None);
        assert_eq!(buffer.take(1.0, 1000), None);
        assert_eq!(buffer.take(1.5, 800), Some(300));
        assert_eq!(buffer.take(100.0, 2000), None);
        assert_eq!(buffer.take(100.1, 200), Some(100));
        assert!(Buffer::new(bound(1000, 0)).is_none());
    }

    proptest! {
        #[test]
        fn segments_that_keep_their_own_bound_keep_the_asked_one_over_joins(
            lengths in prop::collection::vec(0.5_f64..12.0, 1..12),
            seconds in 0.5_f64..4.0,
            phase in 0_usize..3,
        ) {
            let asked = bound(3_000_000, (seconds * 3e6) as i64);
            let held = hold_segments(asked, &lengths);
            // Each segment spends all that it may: at its start, at its end, or both.
            let mut whole = Buffer::new(asked).unwrap();
            let mut start = 0.0;
            let own = bound(held.segment_most, held.segment_buffer);
            let feasible = held.segment_most as f64 > 1.51e6;
            for length in &lengths {
                let mut buffer = Buffer::new(own).unwrap();
                let count = (length * 25.0) as usize;
                for i in 0..count {
                    let at = i as f64 / 25.0;
                    let greedy = phase == 2 || (phase == 0) == (i < count / 2);
                    let there = buffer.level + buffer.last.map_or(0.0, |last| (at - last) * buffer.rate);
                    let bits = if greedy { there.min(buffer.size).floor() } else { 0.0 };
                    prop_assert_eq!(buffer.take(at, bits as u64), None);
                    let missing = whole.take(start + at, bits as u64);
                    prop_assert!(missing.is_none() || !feasible, "{:?} is missing", missing);
                }
                start += length;
            }
        }
    }
}
