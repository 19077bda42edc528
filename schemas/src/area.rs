//! Rectangles of frames that are rotated and mirrored. Pure.

use crate::Area;

impl Area {
    /// Returns where this rectangle of a frame of this width and height is after the frame is rotated clockwise by this multiple
    /// of 90 degrees.
    #[must_use]
    pub fn rotated(self, degrees: i32, (frame_width, frame_height): (i32, i32)) -> Self {
        let Self { x, y, width, height } = self;
        let right = frame_width.saturating_sub(x).saturating_sub(width);
        let bottom = frame_height.saturating_sub(y).saturating_sub(height);
        match degrees.rem_euclid(360) {
            90 => Self { x: bottom, y: x, width: height, height: width },
            180 => Self { x: right, y: bottom, width, height },
            270 => Self { x: y, y: right, width: height, height: width },
            _ => self,
        }
    }

    /// Returns where this rectangle of a frame of this width is after the frame is mirrored, left to right.
    #[must_use]
    pub fn mirrored(self, frame_width: i32) -> Self {
        Self { x: frame_width.saturating_sub(self.x).saturating_sub(self.width), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rectangle_moves_with_its_frame() {
        // One pixel, third from the left and at the top of a frame of 4x2.
        let pixel = Area { x: 2, y: 0, width: 1, height: 1 };
        let at = |area: Area| (area.x, area.y);
        assert_eq!(at(pixel.rotated(90, (4, 2))), (1, 2));
        assert_eq!(at(pixel.rotated(180, (4, 2))), (1, 1));
        assert_eq!(at(pixel.rotated(270, (4, 2))), (0, 1));
        assert_eq!(at(pixel.mirrored(4)), (1, 0));
        let wide = Area { x: 1, y: 2, width: 5, height: 3 };
        for degrees in [0, 90, 180, 270] {
            let there = wide.rotated(degrees, (20, 10));
            let size = if degrees % 180 == 0 { (20, 10) } else { (10, 20) };
            assert_eq!(there.rotated(360 - degrees, size), wide, "{degrees}");
        }
    }
}
