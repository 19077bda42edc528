//! What a decoded picture is, and in what it differs from another.

use ffmpeg_next::{Rational, ffi::AVPixelFormat, frame};
use millrace_schemas::{Color, PictureShape, Ratio};

use crate::child::{
    libav::{
        codec::name_of_pixel_format,
        frame::{display_matrix, fields},
    },
    orientation::Orientation,
};

/// Returns the shape of a decoded picture. `orientation` is that of the picture before it, and becomes this one's: a message that
/// orients pictures comes with one of them, and holds up to the next keyframe (ITU-T H.264, D.2.27).
pub(crate) fn of(frame: &frame::Video, orientation: &mut Orientation) -> PictureShape {
    let raw = fields(frame);
    let aspect = raw.sample_aspect_ratio;
    let pixel_format = name_of_pixel_format(AVPixelFormat::from(frame.format())).unwrap_or_default();
    let full = pixel_format.starts_with("yuvj") || raw.color_range as i32 == 2;
    let kept = if frame.is_key() { Orientation::UPRIGHT } else { *orientation };
    *orientation = display_matrix(frame).map_or(kept, Orientation::of_matrix);
    let Orientation { rotation, mirrored } = *orientation;
    PictureShape {
        width: raw.width,
        height: raw.height,
        sample_aspect: if aspect.num > 0 && aspect.den > 0 {
            let aspect = Rational::from(aspect).reduce();
            Ratio { num: aspect.numerator(), den: aspect.denominator() }
        } else {
            Ratio { num: 0, den: 1 }
        },
        pixel_format,
        color: Color {
            primaries: raw.color_primaries as i32,
            transfer: raw.color_trc as i32,
            matrix: raw.colorspace as i32,
            range: if full { 2 } else { raw.color_range as i32 },
            chroma: raw.chroma_location as i32,
        },
        rotation,
        mirrored,
    }
}

/// Whether a code point of ITU-T H.273 says something: 2 is "unspecified", and 0 is reserved, or RGB, which planes of luma
/// are not.
fn is_known(code: i32) -> bool {
    !matches!(code, 0 | 2)
}

/// The colour of a picture: `source`, which may be the container's word, but for what is another in the picture than in
/// the first one.
pub(super) fn color(source: Color, first: Color, own: Color) -> Color {
    let pick = |source, first, own| if is_known(own) && own != first { own } else { source };
    Color {
        primaries: pick(source.primaries, first.primaries, own.primaries),
        transfer: pick(source.transfer, first.transfer, own.transfer),
        matrix: pick(source.matrix, first.matrix, own.matrix),
        range: if own.range.max(1) == first.range.max(1) { source.range } else { own.range },
        chroma: source.chroma,
    }
}

/// Whether samples of two colours are the same numbers, as far as is known.
pub(super) fn is_same_matrix(a: Color, b: Color) -> bool {
    let same = a.matrix == b.matrix || !is_known(a.matrix) || !is_known(b.matrix);
    same && (a.range == 2) == (b.range == 2)
}

/// Follows decoded pictures, and finds those that are of another shape than the one before.
#[derive(Default)]
pub(crate) struct Changes {
    last: Option<PictureShape>,
    orientation: Orientation,
}

impl Changes {
    /// Takes the next picture. Returns what changes with it, in words.
    pub(crate) fn next(&mut self, picture: &frame::Video) -> Option<String> {
        let shape = of(picture, &mut self.orientation);
        let last = self.last.replace(shape.clone())?;
        change(&last, &shape)
    }
}

/// What changes from one picture to the next, in words.
fn change(before: &PictureShape, now: &PictureShape) -> Option<String> {
    let aspect = |shape: &PictureShape| match shape.sample_aspect {
        Ratio { num: 0, .. } => "1:1".to_owned(),
        Ratio { num, den } => format!("{num}:{den}"),
    };
    let orientation = |shape: &PictureShape| {
        let mirrored = if shape.mirrored { ", mirrored" } else { "" };
        format!("{} degrees{mirrored}", shape.rotation)
    };
    let color = |shape: &PictureShape| {
        let Color { primaries, transfer, matrix, range, .. } = shape.color;
        format!("{primaries}/{transfer}/{matrix} {}", if range == 2 { "full" } else { "limited" })
    };
    let size = |shape: &PictureShape| format!("{}x{}", shape.width, shape.height);
    let format = |shape: &PictureShape| shape.pixel_format.clone();
    type Part<'a> = (&'a str, &'a dyn Fn(&PictureShape) -> String);
    let parts: [Part<'_>; 5] = [
        ("size", &size),
        ("sample aspect", &aspect),
        ("rotation", &orientation),
        ("colour", &color),
        ("pixel format", &format),
    ];
    let changed: Vec<String> = parts
        .iter()
        .map(|(what, of)| (what, of(before), of(now)))
        .filter(|(_, before, now)| before != now)
        .map(|(what, before, now)| format!("{what} {before} to {now}"))
        .collect();
    (!changed.is_empty()).then(|| changed.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BT601: Color = Color { primaries: 6, transfer: 6, matrix: 6, range: 1, chroma: 1 };
    const BT709: Color = Color { primaries: 1, transfer: 1, matrix: 1, range: 1, chroma: 1 };
    const UNKNOWN: Color = Color { primaries: 2, transfer: 2, matrix: 2, range: 0, chroma: 0 };

    #[test]
    fn a_picture_has_the_containers_colour_unless_it_differs_from_the_first() {
        assert_eq!(color(BT709, BT601, BT601), BT709, "the container stands over the stream");
        assert_eq!(color(BT709, UNKNOWN, UNKNOWN), BT709);
        assert_eq!(color(BT709, BT709, UNKNOWN), BT709, "nothing is said");
        assert_eq!(color(BT709, BT709, BT601).matrix, 6);
        assert_eq!(color(BT709, BT709, Color { range: 2, ..BT709 }).range, 2);
    }

    #[test]
    fn what_changes_is_said() {
        let shape = PictureShape {
            width: 320,
            height: 240,
            sample_aspect: Ratio { num: 0, den: 1 },
            pixel_format: "yuv420p".into(),
            color: UNKNOWN,
            rotation: 0,
            mirrored: false,
        };
        let rotated = PictureShape { width: 240, height: 320, ..shape.clone() };
        assert_eq!(change(&shape, &rotated).as_deref(), Some("size 320x240 to 240x320"));
        let square = PictureShape { sample_aspect: Ratio { num: 1, den: 1 }, ..shape.clone() };
        assert_eq!(change(&shape, &square), None, "unknown is taken for square");
    }
}
