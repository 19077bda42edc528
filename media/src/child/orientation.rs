//! How a player orients pictures: mirrored first, then rotated. Pure.

/// How a player orients a picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Orientation {
    /// Degrees clockwise: 0, 90, 180 or 270.
    pub(crate) rotation: i32,
    /// True if it is mirrored, left to right, before it is rotated.
    pub(crate) mirrored: bool,
}

impl Orientation {
    /// A picture that is shown as it is stored.
    pub(crate) const UPRIGHT: Self = Self { rotation: 0, mirrored: false };

    /// Returns the orientation that a display matrix asks for, as libavutil keeps it: nine numbers of the machine's byte order.
    pub(crate) fn of_matrix(bytes: &[u8]) -> Self {
        let (words, _) = bytes.as_chunks::<4>();
        let word = |i: usize| words.get(i).map_or(0, |word| i32::from_ne_bytes(*word));
        matrix([word(0), word(1), word(3), word(4)]).unwrap_or(Self::UPRIGHT)
    }

    /// Returns the orientation of this one, then the other one.
    fn then(self, other: Self) -> Self {
        // A mirror behind a rotation is the same mirror before the opposite rotation.
        let own = if other.mirrored { -self.rotation } else { self.rotation };
        Self { rotation: (own + other.rotation).rem_euclid(360), mirrored: self.mirrored != other.mirrored }
    }

    /// Returns the orientation that undoes this one.
    fn inverse(self) -> Self {
        let rotation = if self.mirrored { self.rotation } else { (-self.rotation).rem_euclid(360) };
        Self { rotation, ..self }
    }

    /// Returns the orientation of a picture that asks for another one than the first picture, if this one is that of the first:
    /// its own, and what comes on top of that.
    pub(crate) fn of_reoriented(self, first: Self, own: Self) -> Self {
        // The container may leave pictures as they are whatever they say of themselves.
        if self == Self::UPRIGHT { own } else { own.then(first.inverse()).then(self) }
    }

    /// Returns `true` if width and height are swapped.
    pub(crate) fn is_transposed(self) -> bool {
        self.rotation % 180 != 0
    }
}

/// Returns the orientation of a display matrix (ISO/IEC 14496-12, 8.3.2): `[a, b, c, d]` takes (x, y) to (ax + cy, bx + dy), y
/// downwards. `None` if it rotates by anything but quarters, which pixels can't follow.
fn matrix([a, b, c, d]: [i32; 4]) -> Option<Orientation> {
    let orientation = |rotation, mirrored| Some(Orientation { rotation, mirrored });
    // Scaling does not matter here: only directions count.
    match [a.signum(), b.signum(), c.signum(), d.signum()] {
        [1, 0, 0, 1] => orientation(0, false),
        [0, 1, -1, 0] => orientation(90, false),
        [-1, 0, 0, -1] => orientation(180, false),
        [0, -1, 1, 0] => orientation(270, false),
        [-1, 0, 0, 1] => orientation(0, true),
        [0, -1, -1, 0] => orientation(90, true),
        [1, 0, 0, -1] => orientation(180, true),
        [0, 1, 1, 0] => orientation(270, true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_display_matrix_is_a_mirror_and_a_rotation() {
        const ONE: i32 = 1 << 16;
        let of = |m: [i32; 4]| matrix(m.map(|x| x * ONE)).map(|o| (o.rotation, o.mirrored));
        assert_eq!(of([1, 0, 0, 1]), Some((0, false)));
        assert_eq!(of([0, 1, -1, 0]), Some((90, false)));
        assert_eq!(of([-1, 0, 0, -1]), Some((180, false)));
        assert_eq!(of([0, -1, 1, 0]), Some((270, false)));
        assert_eq!(of([1, 0, 0, -1]), Some((180, true)), "upside down is mirrored and rotated by a half");
        assert_eq!(matrix([46_341, 46_341, -46_341, 46_341]), None, "an eighth of a rotation");
    }

    #[test]
    fn what_is_undone_is_upright() {
        for rotation in [0, 90, 180, 270] {
            for mirrored in [false, true] {
                let one = Orientation { rotation, mirrored };
                assert_eq!(one.then(one.inverse()), Orientation::UPRIGHT, "{one:?}");
                assert_eq!(one.inverse().then(one), Orientation::UPRIGHT, "{one:?}");
            }
        }
        let quarter = Orientation { rotation: 90, mirrored: false };
        let mirror = Orientation { rotation: 0, mirrored: true };
        assert_eq!(quarter.then(mirror), Orientation { rotation: 270, mirrored: true });
        assert_eq!(mirror.then(quarter), Orientation { rotation: 90, mirrored: true });
    }

    #[test]
    fn a_picture_that_asks_for_another_orientation_keeps_what_comes_on_top() {
        let by = |rotation| Orientation { rotation, mirrored: false };
        assert_eq!(by(90).of_reoriented(by(90), by(180)), by(180), "nothing comes on top");
        assert_eq!(by(0).of_reoriented(by(0), by(270)), by(270));
        assert_eq!(by(90).of_reoriented(by(0), by(180)), by(270), "a quarter on top of upright pictures");
        assert_eq!(by(180).of_reoriented(by(90), by(0)), by(90), "a quarter on top of a quarter");
    }

    /// By hand: where the corner at the top right of a picture of 2 x 1 comes to lie.
    #[test]
    fn a_mirror_comes_before_the_rotation() {
        for m in [[0, -1, -1, 0], [0, 1, 1, 0], [-1, 0, 0, 1], [1, 0, 0, -1]] {
            let Orientation { rotation, mirrored } = matrix(m).unwrap();
            let (mut x, mut y) = (1, 0);
            if mirrored {
                x = -x;
            }
            for _ in 0..rotation / 90 {
                (x, y) = (-y, x);
            }
            assert_eq!((x, y), (m[0], m[1]), "{m:?}");
            let (mut x, mut y) = (0, 1);
            for _ in 0..rotation / 90 {
                (x, y) = (-y, x);
            }
            assert_eq!((x, y), (m[2], m[3]), "{m:?}");
        }
    }
}
