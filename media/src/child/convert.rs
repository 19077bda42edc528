//! Makes decoded pictures what a rendition's encoder takes: pixel format, size, and turned upright.

use ffmpeg_next::{format::Pixel, frame, software::scaling};
use millrace_schemas::Rendition;

use super::Failure;

pub(crate) struct Converter {
    /// Size before turning.
    width: u32,
    height: u32,
    format: Pixel,
    rotation: i32,
    scaler: Option<scaling::Context>,
    scaled: frame::Video,
    turned: frame::Video,
}

impl Converter {
    pub(crate) fn new(rendition: &Rendition) -> Result<Self, Failure> {
        let settings =
            rendition.video.as_ref().ok_or_else(|| Failure::new("a rendition without video settings"))?;
        let (width, height) = (settings.width.unsigned_abs(), settings.height.unsigned_abs());
        let (width, height) = if settings.rotation % 180 == 0 { (width, height) } else { (height, width) };
        Ok(Self {
            width,
            height,
            format: settings.pixel_format.parse().unwrap_or(Pixel::YUV420P),
            rotation: settings.rotation,
            scaler: None,
            scaled: frame::Video::empty(),
            turned: frame::Video::empty(),
        })
    }

    pub(crate) fn convert<'a>(
        &'a mut self,
        frame: &'a mut frame::Video,
    ) -> Result<&'a mut frame::Video, Failure> {
        let upright = self.scale(frame)?;
        if self.rotation == 0 {
            return Ok(if upright { &mut self.scaled } else { frame });
        }
        let from = if upright { &self.scaled } else { &*frame };
        self.turned = turn(from, self.rotation);
        Ok(&mut self.turned)
    }

    /// Makes format and size right; `true` where that took a new picture, which is in `scaled`.
    fn scale(&mut self, frame: &mut frame::Video) -> Result<bool, Failure> {
        let (width, height) = (frame.width() & !1, frame.height() & !1);
        if frame.format() == Pixel::YUVJ420P && self.format == Pixel::YUV420P {
            // The same samples; that they are of full range is in the settings.
            frame.set_format(Pixel::YUV420P);
        }
        // An odd last row or column is left off, not squeezed in.
        frame.set_width(width);
        frame.set_height(height);
        if frame.format() == self.format && (width, height) == (self.width, self.height) {
            return Ok(false);
        }
        let fits = self.scaler.as_ref().is_some_and(|scaler| {
            let input = scaler.input();
            (input.format, input.width, input.height) == (frame.format(), width, height)
        });
        if !fits {
            let (format, to) = (frame.format(), self.format);
            let flags = scaling::Flags::BICUBIC | scaling::Flags::ACCURATE_RND;
            let scaler = scaling::Context::get(format, width, height, to, self.width, self.height, flags);
            self.scaler = Some(scaler.map_err(Failure::at("converting pictures"))?);
        }
        // A new one for each picture: the encoder may still hold the last.
        self.scaled = frame::Video::empty();
        if let Some(scaler) = &mut self.scaler {
            scaler.run(frame, &mut self.scaled).map_err(Failure::at("converting a picture"))?;
        }
        Ok(true)
    }
}

/// Turns a picture of three planes of bytes, clockwise by 90, 180 or 270 degrees.
fn turn(from: &frame::Video, degrees: i32) -> frame::Video {
    let swapped = degrees % 180 != 0;
    let (width, height) = if swapped { (from.height(), from.width()) } else { (from.width(), from.height()) };
    let mut to = frame::Video::new(from.format(), width, height);
    for plane in 0..from.planes().min(to.planes()) {
        let (from_stride, to_stride) = (from.stride(plane), to.stride(plane));
        let (w, h) = (from.plane_width(plane) as usize, from.plane_height(plane) as usize);
        let (columns, rows) = if swapped { (h, w) } else { (w, h) };
        let source = from.data(plane);
        let target = to.data_mut(plane);
        for y in 0..rows {
            for x in 0..columns {
                let (from_x, from_y) = match degrees {
                    90 => (y, h - 1 - x),
                    180 => (w - 1 - x, h - 1 - y),
                    _ => (w - 1 - y, x),
                };
                target[y * to_stride + x] = source[from_y * from_stride + from_x];
            }
        }
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 4x2 picture whose samples are numbered from the top left.
    fn numbered() -> frame::Video {
        let mut picture = frame::Video::new(Pixel::GRAY8, 4, 2);
        let stride = picture.stride(0);
        for y in 0..2 {
            for x in 0..4 {
                picture.data_mut(0)[y * stride + x] = (y * 4 + x) as u8;
            }
        }
        picture
    }

    fn rows(picture: &frame::Video) -> Vec<Vec<u8>> {
        let width = picture.width() as usize;
        let stride = picture.stride(0);
        picture
            .data(0)
            .chunks(stride)
            .take(picture.height() as usize)
            .map(|row| row[..width].to_vec())
            .collect()
    }

    #[test]
    fn pictures_are_turned_clockwise() {
        assert_eq!(rows(&turn(&numbered(), 90)), [[4, 0], [5, 1], [6, 2], [7, 3]]);
        assert_eq!(rows(&turn(&numbered(), 180)), [[7, 6, 5, 4], [3, 2, 1, 0]]);
        assert_eq!(rows(&turn(&numbered(), 270)), [[3, 7], [2, 6], [1, 5], [0, 4]]);
    }
}
