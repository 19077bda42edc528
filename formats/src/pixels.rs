//! Pixel formats, by libavutil's names: how many bits a sample has, and how chroma is sampled.

/// The samples of a pixel format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pixels {
    /// The bits of a sample.
    pub depth: u32,
    /// How often the width and the height are halved for chroma: (1, 1) for 4:2:0, (1, 0) for 4:2:2, (0, 0) for 4:4:4.
    pub halved: (u32, u32),
}

/// What high dynamic range needs, in bits a sample: PQ and HLG show steps between colours with fewer (ITU-R BT.2100, table 9).
pub(crate) const HIGH_RANGE_DEPTH: u32 = 10;

/// Formats whose names follow no rule: their depth, and how often width and height are halved.
const OTHERS: [(&str, u32, (u32, u32)); 24] = [
    ("nv12", 8, (1, 1)),
    ("nv21", 8, (1, 1)),
    ("nv16", 8, (1, 0)),
    ("nv20", 10, (1, 0)),
    ("nv24", 8, (0, 0)),
    ("nv42", 8, (0, 0)),
    ("p010", 10, (1, 1)),
    ("p012", 12, (1, 1)),
    ("p016", 16, (1, 1)),
    ("p210", 10, (1, 0)),
    ("p212", 12, (1, 0)),
    ("p216", 16, (1, 0)),
    ("p410", 10, (0, 0)),
    ("p412", 12, (0, 0)),
    ("p416", 16, (0, 0)),
    ("y210", 10, (1, 0)),
    ("y212", 12, (1, 0)),
    ("yuyv422", 8, (1, 0)),
    ("uyvy422", 8, (1, 0)),
    ("yvyu422", 8, (1, 0)),
    ("x2rgb10", 10, (0, 0)),
    ("x2bgr10", 10, (0, 0)),
    ("rgb48", 16, (0, 0)),
    ("rgba64", 16, (0, 0)),
];

impl Pixels {
    /// Returns the samples of the pixel format of this name; `None` for one that is not known here.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let plain = name.strip_suffix("le").or_else(|| name.strip_suffix("be")).unwrap_or(name);
        if let Some((_, depth, halved)) = OTHERS.iter().find(|(known, ..)| *known == plain) {
            return Some(Self { depth: *depth, halved: *halved });
        }
        let depth = |digits: &str| if digits.is_empty() { Some(8) } else { digits.parse().ok() };
        for prefix in ["gbrap", "gbrp", "gray"] {
            if let Some(digits) = plain.strip_prefix(prefix) {
                // Grey is luma: any chroma holds it.
                let halved = if prefix == "gray" { (1, 1) } else { (0, 0) };
                return Some(Self { depth: depth(digits)?, halved });
            }
        }
        let planes = ["yuvj", "yuva", "yuv"].iter().find_map(|prefix| plain.strip_prefix(prefix));
        if let Some((sampling, digits)) = planes.and_then(|rest| rest.split_once('p')) {
            let halved = match sampling {
                "420" => (1, 1),
                "422" => (1, 0),
                "444" => (0, 0),
                "440" => (0, 1),
                "411" => (2, 0),
                "410" => (2, 2),
                _ => return None,
            };
            return Some(Self { depth: depth(digits)?, halved });
        }
        let is_rgb =
            ["rgb24", "bgr24", "rgba", "bgra", "argb", "abgr", "0rgb", "0bgr", "rgb0", "bgr0", "pal8"];
        is_rgb.contains(&plain).then_some(Self { depth: 8, halved: (0, 0) })
    }

    /// Returns the most bytes that an encoder keeps of a pixel: a sample of more than eight bits takes two.
    #[must_use]
    pub fn bytes(self) -> u64 {
        let sample: u64 = if self.depth > 8 { 2 } else { 1 };
        // Of four pixels: as many samples of luma, and of chroma twice as many as are left.
        let samples: u64 = 4 + 2 * (4 >> (self.halved.0 + self.halved.1).min(2));
        (sample * samples).div_ceil(4)
    }
}

/// Returns the one of these pixel formats that holds most of another one: all of it, if one does, and then the smallest of those. The
/// first is taken for one that is not known.
pub(crate) fn nearest(name: &str, held: &'static [&'static str]) -> &'static str {
    let first = held.first().copied().unwrap_or_default();
    // Its range is a matter of colour.
    let plain = name.replacen("yuvj", "yuv", 1);
    if let Some(same) = held.iter().find(|held| **held == plain) {
        return same;
    }
    let Some(wanted) = Pixels::of(name) else { return first };
    let cost = |held: &&&'static str| {
        let Some(pixels) = Pixels::of(held) else { return (u32::MAX, u32::MAX, u32::MAX, u32::MAX) };
        let coarser = |own: u32, asked: u32| own.saturating_sub(asked);
        let lost = coarser(pixels.halved.0, wanted.halved.0) + coarser(pixels.halved.1, wanted.halved.1);
        let finer = coarser(wanted.halved.0, pixels.halved.0) + coarser(wanted.halved.1, pixels.halved.1);
        (wanted.depth.saturating_sub(pixels.depth), lost, pixels.depth.saturating_sub(wanted.depth), finer)
    };
    held.iter().min_by_key(cost).copied().unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_depth_and_sampling() {
        let of = |name| Pixels::of(name).map(|pixels| (pixels.depth, pixels.halved));
        for (name, expected) in [
            ("yuv420p", (8, (1, 1))),
            ("yuvj422p", (8, (1, 0))),
            ("yuv420p10le", (10, (1, 1))),
            ("yuva444p12be", (12, (0, 0))),
            ("yuv440p10le", (10, (0, 1))),
            ("gbrp10le", (10, (0, 0))),
            ("gray12le", (12, (1, 1))),
            ("p010le", (10, (1, 1))),
            ("nv12", (8, (1, 1))),
            ("rgb24", (8, (0, 0))),
        ] {
            assert_eq!(of(name), Some(expected), "{name}");
        }
        for name in ["", "bayer_rggb8", "yuv", "yuv423p", "gbrpf32le", "vaapi"] {
            assert_eq!(of(name), None, "{name}");
        }
    }

    #[test]
    fn an_encoder_holds_as_many_bytes_as_there_are_samples() {
        let bytes = |name| Pixels::of(name).unwrap().bytes();
        assert_eq!(bytes("yuv420p"), 2, "one and a half");
        assert_eq!([bytes("yuv420p10le"), bytes("yuv422p10le"), bytes("yuv444p10le")], [3, 4, 6]);
    }

    #[test]
    fn the_nearest_format_holds_all_of_another_if_one_does() {
        const HELD: &[&str] = &["yuv420p", "yuv420p10le", "yuv422p", "yuv422p10le", "yuv444p", "yuv444p10le"];
        for (name, expected) in [
            ("yuv420p", "yuv420p"),
            ("yuvj444p", "yuv444p"),
            ("yuv422p10le", "yuv422p10le"),
            ("p010le", "yuv420p10le"),
            ("yuv420p12le", "yuv420p10le"),
            ("yuv411p", "yuv422p"),
            ("gbrp10le", "yuv444p10le"),
            ("gray", "yuv420p"),
            ("bayer_rggb8", "yuv420p"),
        ] {
            assert_eq!(nearest(name, HELD), expected, "{name}");
        }
        assert_eq!(nearest("yuv444p10le", &["yuv420p", "yuv420p10le"]), "yuv420p10le");
    }
}
