//! Which part of a decoded picture is kept.

use millrace_formats::filter::Graph;
use millrace_schemas::{Area, PictureShape};

use crate::child::orientation::Orientation;

/// Returns the part of a picture that is kept, in pixels as it is decoded, without an odd last row and column: `part` is that of
/// the first picture, as it is shown. Of a picture of another size it is the part in the same proportions.
pub(super) fn of_picture(
    part: Area,
    (first, first_orientation): (&PictureShape, Orientation),
    (own, orientation): (&PictureShape, Orientation),
) -> Area {
    let (from, to) = (shown(first, first_orientation), shown(own, orientation));
    let (x, width) = proportional((part.x, part.width), from.0, to.0);
    let (y, height) = proportional((part.y, part.height), from.1, to.1);
    let decoded = Area { x, y, width, height }.rotated(360 - orientation.rotation, to);
    if orientation.mirrored { decoded.mirrored(own.width & !1) } else { decoded }
}

/// Returns a graph that crops pictures to this part first.
pub(super) fn before(graph: Graph, part: Area) -> Graph {
    let Area { x, y, width, height } = part;
    let Graph { description, mut needs } = graph;
    needs.push("crop");
    let description = format!("crop=w={width}:h={height}:x={x}:y={y}:exact=1,{description}");
    Graph { description, needs }
}

/// Returns the size of a picture as it is shown, without an odd last row and column.
fn shown(shape: &PictureShape, orientation: Orientation) -> (i32, i32) {
    let (width, height) = (shape.width & !1, shape.height & !1);
    if orientation.is_transposed() { (height, width) } else { (width, height) }
}

/// Returns a range of pixels, as start and length, in a picture of `to` instead of `from` pixels: even, and within the picture.
fn proportional((start, length): (i32, i32), from: i32, to: i32) -> (i32, i32) {
    let scale = |pixels: i32| {
        let exact = i64::from(pixels) * i64::from(to) / i64::from(from.max(1));
        i32::try_from(exact).unwrap_or(i32::MAX)
    };
    let (start, end) = (scale(start), scale(start.saturating_add(length)));
    let start = start.clamp(0, (to - 2).max(0)) & !1;
    (start, (end.clamp(start, to) - start).max(2) & !1)
}

#[cfg(test)]
mod tests {
    use millrace_schemas::{Color, Ratio};

    use super::*;

    const PART: Area = Area { x: 10, y: 4, width: 40, height: 20 };

    fn shape(width: i32, height: i32) -> PictureShape {
        PictureShape {
            width,
            height,
            sample_aspect: Ratio { num: 0, den: 1 },
            pixel_format: "yuv420p".into(),
            color: Color { primaries: 2, transfer: 2, matrix: 2, range: 0, chroma: 0 },
            rotation: 0,
            mirrored: false,
        }
    }

    fn of(first: (i32, i32), own: (i32, i32), rotation: i32, mirrored: bool) -> Area {
        let orientation = Orientation { rotation, mirrored };
        of_picture(PART, (&shape(first.0, first.1), orientation), (&shape(own.0, own.1), orientation))
    }

    #[test]
    fn a_part_as_it_is_shown_is_found_in_the_picture_as_it_is_decoded() {
        assert_eq!(of((65, 49), (65, 49), 0, false), PART);
        // Decoded as 64x48, and shown as 48x64: the tenth column is the tenth row from the bottom of what is decoded.
        assert_eq!(of((64, 48), (64, 48), 90, false), Area { x: 4, y: 0, width: 20, height: 38 });
        assert_eq!(of((64, 48), (64, 48), 0, true), Area { x: 14, y: 4, width: 40, height: 20 });
        assert_eq!(of((64, 48), (64, 48), 180, true), Area { x: 10, y: 24, width: 40, height: 20 });
    }

    #[test]
    fn pictures_of_another_size_lose_as_much_in_proportion() {
        assert_eq!(of((64, 48), (128, 96), 0, false), Area { x: 20, y: 8, width: 80, height: 40 });
        assert_eq!(of((64, 48), (2, 2), 0, false), Area { x: 0, y: 0, width: 2, height: 2 });
    }

    #[test]
    fn a_part_beyond_the_picture_is_kept_within_it() {
        let all = shape(32, 16);
        let far = Area { x: i32::MAX, y: -5, width: i32::MAX, height: i32::MAX };
        let upright = (&all, Orientation::UPRIGHT);
        assert_eq!(of_picture(far, upright, upright), Area { x: 30, y: 0, width: 2, height: 16 });
    }
}
