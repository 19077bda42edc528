//! A sheet of small pictures, row by row.

use ffmpeg_next::{format::Pixel, frame};
use millrace_schemas::VideoSettings;

use crate::child::failure::Failure;

/// Samples of black.
const BLACK: [u8; 3] = [16, 128, 128];

/// The sheet that is being filled.
pub(super) struct Sheet {
    format: Pixel,
    /// The size of a picture, in pixels.
    cell: (u32, u32),
    columns: u32,
    rows: u32,
    picture: Option<frame::Video>,
    /// The pictures in it.
    filled: u32,
    /// The sheets that were taken.
    taken: usize,
}

/// A part of a sheet, in pixels: left, top, width and height.
pub(super) type Part = (i32, i32, i32, i32);

impl Sheet {
    /// Begins sheets of pictures of these settings.
    ///
    /// # Errors
    /// If a sheet has no place for a picture.
    pub(super) fn new(settings: &VideoSettings, columns: i32, rows: i32) -> Result<Self, Failure> {
        let cell = (settings.width.unsigned_abs(), settings.height.unsigned_abs());
        let (Ok(columns @ 1..), Ok(rows @ 1..)) = (u32::try_from(columns), u32::try_from(rows)) else {
            return Err(Failure::new("a sheet without a place for a picture"));
        };
        let format = settings.pixel_format.parse().map_err(Failure::at("beginning a sheet"))?;
        Ok(Self { format, cell, columns, rows, picture: None, filled: 0, taken: 0 })
    }

    /// Returns the number of the sheet that is being filled, from 1 on.
    pub(super) fn number(&self) -> usize {
        self.taken + 1
    }

    /// Adds a picture. Returns its part, and whether the sheet is full.
    pub(super) fn add(&mut self, picture: &frame::Video) -> (Part, bool) {
        let (width, height) = self.cell;
        let (x, y) = (self.filled % self.columns * width, self.filled / self.columns * height);
        let (columns, rows) = (self.columns, self.rows);
        let sheet = self.picture.get_or_insert_with(|| black(self.format, width * columns, height * rows));
        copy(picture, sheet, (x, y));
        self.filled += 1;
        let part = (x.cast_signed(), y.cast_signed(), width.cast_signed(), height.cast_signed());
        (part, self.filled == columns * rows)
    }

    /// Returns the sheet without its empty rows, and begins another one; `None` if there is no picture in it.
    pub(super) fn take(&mut self) -> Result<Option<frame::Video>, Failure> {
        let Some(sheet) = self.picture.take() else { return Ok(None) };
        let rows = self.filled.div_ceil(self.columns);
        let columns = if rows == 1 { self.filled } else { self.columns };
        self.filled = 0;
        self.taken += 1;
        let (width, height) = (self.cell.0 * columns, self.cell.1 * rows);
        if (width, height) == (sheet.width(), sheet.height()) {
            return Ok(Some(sheet));
        }
        let mut smaller = black(self.format, width, height);
        copy(&sheet, &mut smaller, (0, 0));
        Ok(Some(smaller))
    }
}

fn black(format: Pixel, width: u32, height: u32) -> frame::Video {
    let mut picture = frame::Video::new(format, width, height);
    for (plane, sample) in BLACK.iter().enumerate().take(picture.planes()) {
        picture.data_mut(plane).fill(*sample);
    }
    picture
}

/// Copies what fits of a picture to a place in another one of the same pixel format. Places are even, for chroma.
fn copy(from: &frame::Video, to: &mut frame::Video, (x, y): (u32, u32)) {
    for plane in 0..from.planes().min(to.planes()) {
        // How many luma samples a sample of the plane stands for.
        let across = (from.width() / from.plane_width(plane).max(1)).max(1);
        let down = (from.height() / from.plane_height(plane).max(1)).max(1);
        let (left, top) = ((x / across) as usize, (y / down) as usize);
        let width = from.plane_width(plane).min(to.plane_width(plane)) as usize;
        let height = from.plane_height(plane).min(to.plane_height(plane)) as usize;
        let (source, target) = (from.stride(plane), to.stride(plane));
        let data = from.data(plane);
        for row in 0..height {
            let line = data.get(row * source..row * source + width);
            let start = (top + row) * target + left;
            let place = to.data_mut(plane).get_mut(start..start + width);
            if let (Some(line), Some(place)) = (line, place) {
                place.copy_from_slice(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use millrace_schemas::{Picture, Ratio};

    use super::*;

    fn of(luma: u8) -> frame::Video {
        let mut picture = black(Pixel::YUV420P, 16, 8);
        picture.data_mut(0).fill(luma);
        picture.data_mut(1).fill(luma / 2);
        picture
    }

    fn luma(picture: &frame::Video, x: usize, y: usize) -> u8 {
        picture.data(0)[y * picture.stride(0) + x]
    }

    #[test]
    fn pictures_lie_row_by_row_and_the_last_sheet_is_as_large_as_what_is_in_it() {
        let picture = Picture::plain((16, 8), Ratio { num: 25, den: 1 }, Ratio { num: 1, den: 1000 });
        let mut sheet = Sheet::new(&VideoSettings::of("any", &picture), 3, 2).unwrap();
        let mut full = None;
        for number in 1..=6 {
            let (part, is_full) = sheet.add(&of(number * 30));
            let at = i32::from(number) - 1;
            assert_eq!(part, (at % 3 * 16, at / 3 * 8, 16, 8));
            assert_eq!((is_full, sheet.number()), (number == 6, 1));
            full = is_full.then(|| sheet.take().unwrap().unwrap()).or(full);
        }
        let full = full.unwrap();
        assert_eq!((full.width(), full.height()), (48, 16));
        assert_eq!([(0, 0), (40, 7), (20, 8), (47, 15)].map(|(x, y)| luma(&full, x, y)), [30, 90, 150, 180]);
        assert_eq!(full.data(1)[full.stride(1) * 4 + 8], 75, "chroma");
        sheet.add(&of(200));
        let last = sheet.take().unwrap().unwrap();
        assert_eq!((last.width(), last.height(), sheet.number()), (16, 8, 3));
        assert!(sheet.take().unwrap().is_none());
        assert!(Sheet::new(&VideoSettings::of("any", &picture), 0, 2).is_err());
    }
}
