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
