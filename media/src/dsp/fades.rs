//! Fades, straight in amplitude.

/// How a track is faded. Times are in samples from its first one.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Fades {
    /// How long it fades in; 0 for not at all.
    pub(crate) fade_in: f64,
    /// How long it fades out; 0 for not at all.
    pub(crate) fade_out: f64,
    /// When the track ends, if it fades out.
    pub(crate) end: f64,
}

impl Fades {
    /// Fades samples in place, of which the first is this one of the track.
    pub(crate) fn apply(&self, first: i64, planes: &mut [Vec<f32>]) {
        let count = planes.first().map_or(0, Vec::len) as f64;
        let first = first as f64;
        let is_inside = first >= self.fade_in && first + count <= self.end - self.fade_out;
        if is_inside || (self.fade_in <= 0.0 && self.fade_out <= 0.0) {
            return;
        }
        for plane in planes {
            for (i, sample) in plane.iter_mut().enumerate() {
                *sample *= self.gain(first + i as f64) as f32;
            }
        }
    }

    /// The gain of a sample.
    fn gain(&self, at: f64) -> f64 {
        let part = |done: f64, long: f64| if long > 0.0 { (done / long).clamp(0.0, 1.0) } else { 1.0 };
        part(at, self.fade_in) * part(self.end - at, self.fade_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fades_lie_at_the_ends_of_a_track_however_it_is_cut() {
        let fades = Fades { fade_in: 10.0, fade_out: 20.0, end: 100.0 };
        let mut whole = vec![vec![1.0_f32; 100]];
        fades.apply(0, &mut whole);
        assert_eq!((whole[0][0], whole[0][5], whole[0][10], whole[0][80]), (0.0, 0.5, 1.0, 1.0));
        assert!((whole[0][90] - 0.5).abs() < 1e-6 && (whole[0][99] - 0.05).abs() < 1e-6);
        let mut cut = Vec::new();
        for at in (0..100).step_by(7) {
            let mut piece = vec![vec![1.0_f32; 7.min(100 - at)]];
            fades.apply(at as i64, &mut piece);
            cut.extend(piece.remove(0));
        }
        assert_eq!(cut, whole[0]);
    }

    #[test]
    fn a_track_without_fades_stays_as_it_is_and_one_that_is_shorter_has_both() {
        let mut plane = vec![vec![0.7_f32; 9]];
        Fades::default().apply(0, &mut plane);
        assert_eq!(plane[0], [0.7; 9]);
        let fades = Fades { fade_in: 10.0, fade_out: 10.0, end: 4.0 };
        assert!((fades.gain(2.0) - 0.04).abs() < 1e-9);
    }
}
