//! Lays images over pictures, in the pixel format, the matrix and the range of their rendition. An image is scaled and converted
//! once; for each picture its samples are mixed into those beneath it.

use ffmpeg_next::{format::Pixel, frame};
use millrace_schemas::{Area, Color, Overlay, Ratio, SourceRef, VideoSettings};

use crate::child::{
    failure::Failure,
    libav::{
        frame::{PlanarLayout, fields, make_writable, planar_layout},
        scaler::{Form, Scaler},
    },
};

/// What stands for a sample that is wholly the image's.
const OPAQUE: f64 = 32_768.0;
/// How far a picture's time may be off, in seconds: times are fractions, and pictures a thousand times as far apart.
pub(super) const TOLERANCE: f64 = 1e-6;

/// An image that is laid over pictures of one rendition.
pub(super) struct Mark {
    layers: [Layer; 3],
    /// When it is shown, in seconds.
    from: f64,
    to: f64,
}

/// The samples of an image for one plane of pictures.
#[derive(Debug, PartialEq)]
struct Layer {
    /// Its first column and row in the plane.
    at: (usize, usize),
    width: usize,
    /// How each sample is, and how much of it: 32768 is all.
    samples: Vec<(u16, u16)>,
}

impl Mark {
    /// Returns an image of these pixels, each as red, green, blue and alpha, which fills an area of pictures of this colour. It is shown
    /// in these times, in seconds.
    pub(super) fn new(
        (pixels, area): (&[[u8; 4]], Area),
        opacity: f64,
        (color, layout): (Color, PlanarLayout),
        (from, to): (f64, f64),
    ) -> Self {
        Self { layers: layers(pixels, area, opacity, color, layout), from, to }
    }
}

/// Returns the images of a rendition, whose pictures have this pixel format.
///
/// # Errors
/// If an image is missing or can't be converted, or the pixel format has other planes than luma and chroma.
pub(super) fn marks(
    settings: &VideoSettings,
    format: Pixel,
    images: &[(SourceRef, frame::Video)],
) -> Result<Vec<Mark>, Failure> {
    let overlays = settings.filters.iter().flat_map(|filters| &filters.overlays);
    let mark = |overlay: &Overlay| {
        let layout = layout(settings, format)?;
        let (_, image) = images
            .iter()
            .find(|(source, _)| *source == overlay.image)
            .ok_or_else(|| Failure::new("an image that is laid over pictures is missing"))?;
        let area = within(overlay.area, settings);
        let scaled = scale(image, area)?;
        let (width, stride) = (area.width.unsigned_abs() as usize, scaled.stride(0));
        let rows = scaled.data(0).chunks(stride).take(area.height.unsigned_abs() as usize);
        let pixels: Vec<[u8; 4]> =
            rows.flat_map(|row| row[..width * 4].as_chunks::<4>().0.to_vec()).collect();
        let times = (overlay.from, overlay.to.unwrap_or(f64::INFINITY));
        Ok(Mark::new((&pixels, area), overlay.opacity, (settings.color, layout), times))
    };
    overlays.map(mark).collect()
}

/// Returns the layout of pictures of this pixel format.
///
/// # Errors
/// If it has other planes than luma and chroma.
pub(super) fn layout(settings: &VideoSettings, format: Pixel) -> Result<PlanarLayout, Failure> {
    planar_layout(format).ok_or_else(|| {
        Failure::new(format!("images and texts can't be laid over pictures of {}", settings.pixel_format))
    })
}

/// Returns the part of an area that is within the frame, of one pixel at least.
pub(super) fn within(area: Area, settings: &VideoSettings) -> Area {
    let side = |from: i32, length: i32, whole: i32| {
        let from = from.clamp(0, whole.max(1) - 1);
        (from, length.clamp(1, whole.max(1) - from))
    };
    let (x, width) = side(area.x, area.width, settings.width);
    let (y, height) = side(area.y, area.height, settings.height);
    Area { x, y, width, height }
}

/// Scales an image to the size of an area, as red, green, blue and alpha.
fn scale(image: &frame::Video, area: Area) -> Result<frame::Video, Failure> {
    let raw = fields(image);
    let color = Color {
        primaries: 2,
        transfer: 2,
        matrix: raw.colorspace as i32,
        range: raw.color_range as i32,
        chroma: 0,
    };
    let form = |format, size, color| Form { format, size, color };
    let size = (area.width.unsigned_abs(), area.height.unsigned_abs());
    let target = form(Pixel::RGBA, size, Color { range: 2, ..color });
    let source = form(image.format(), (image.width(), image.height()), color);
    let mut scaled = frame::Video::new(Pixel::RGBA, size.0, size.1);
    Scaler::new(source, target, false)?.scale(image, &mut scaled)?;
    Ok(scaled)
}

/// Returns the weights of red and blue in luma (ITU-T H.273, table 4). Where the matrix is unknown, it is that of BT.601, as for all
/// that is converted.
fn weights(color: Color) -> (f64, f64) {
    match color.matrix {
        1 => (0.2126, 0.0722),
        4 => (0.30, 0.11),
        7 => (0.212, 0.087),
        9 | 10 => (0.2627, 0.0593),
        _ => (0.299, 0.114),
    }
}

/// Returns luma and both chroma of a pixel as samples of this depth (ITU-T H.273, 8.3), not yet rounded.
fn samples([red, green, blue, _]: [u8; 4], color: Color, depth: u32) -> [f64; 3] {
    let [red, green, blue] = [red, green, blue].map(|value| f64::from(value) / 255.0);
    let (of_red, of_blue) = weights(color);
    let luma = of_red * red + (1.0 - of_red - of_blue) * green + of_blue * blue;
    let chroma = [(blue - luma) / (2.0 * (1.0 - of_blue)), (red - luma) / (2.0 * (1.0 - of_red))];
    let unit = f64::from(1_u32 << (depth - 8));
    let (luma, [cb, cr]) = if color.range == 2 {
        let most = 256.0 * unit - 1.0;
        (luma * most, chroma.map(|chroma| chroma * most + 128.0 * unit))
    } else {
        ((219.0 * luma + 16.0) * unit, chroma.map(|chroma| (224.0 * chroma + 128.0) * unit))
    };
    [luma, cb, cr]
}

/// Converts an image of this area, pixel by pixel, into samples of luma and chroma.
fn layers(pixels: &[[u8; 4]], area: Area, opacity: f64, color: Color, layout: PlanarLayout) -> [Layer; 3] {
    let [x, y, width, height] =
        [area.x, area.y, area.width, area.height].map(|number| number.unsigned_abs() as usize);
    let most = f64::from(u16::MAX >> (16 - layout.depth));
    [0, 1, 2].map(|plane| {
        let shift = if plane == 0 { (0, 0) } else { layout.chroma };
        let (columns, rows) = (width.div_ceil(1 << shift.0), height.div_ceil(1 << shift.1));
        let block = |column: usize, row: usize| {
            let (left, top) = (column << shift.0, row << shift.1);
            let (mut count, mut alpha, mut sum) = (0.0, 0.0, 0.0);
            for row in top..(top + (1 << shift.1)).min(height) {
                for pixel in pixels.iter().skip(row * width + left).take((1 << shift.0).min(width - left)) {
                    let own = f64::from(pixel[3]) / 255.0;
                    (count, alpha) = (count + 1.0, alpha + own);
                    // What can't be seen has no colour.
                    sum += own * samples(*pixel, color, layout.depth)[plane];
                }
            }
            let sample = if alpha > 0.0 { (sum / alpha).round().clamp(0.0, most) } else { 0.0 };
            let share = alpha / f64::max(count, 1.0) * opacity.clamp(0.0, 1.0);
            (sample as u16, (share * OPAQUE).round() as u16)
        };
        let samples = (0..rows).flat_map(|row| (0..columns).map(move |column| (column, row)));
        Layer {
            at: (x >> shift.0, y >> shift.1),
            width: columns,
            samples: samples.map(|(column, row)| block(column, row)).collect(),
        }
    })
}

/// Mixes a sample of an image into the one beneath it.
fn mix(under: u16, (over, share): (u16, u16)) -> u16 {
    let (under, over, share) = (i64::from(under), i64::from(over), i64::from(share));
    let mixed = under + (((over - under) * share + (1 << 14)) >> 15);
    u16::try_from(mixed).unwrap_or(u16::MAX)
}

/// Lays those images over a picture that are shown at this time, which is in ticks of `clock`.
///
/// # Errors
/// If there is no memory for a picture of its own.
pub(super) fn lay_over(
    marks: &[Mark],
    picture: &mut frame::Video,
    ticks: i64,
    clock: Ratio,
) -> Result<(), Failure> {
    let seconds = ticks as f64 * clock.as_f64() + TOLERANCE;
    let mut shown = marks.iter().filter(|mark| mark.from <= seconds && seconds < mark.to).peekable();
    if shown.peek().is_none() {
        return Ok(());
    }
    let Some(layout) = planar_layout(picture.format()) else { return Ok(()) };
    // The decoder, and other branches, may still need its samples.
    make_writable(picture)?;
    for (plane, layer) in shown.flat_map(|mark| mark.layers.iter().enumerate()) {
        let stride = picture.stride(plane);
        let columns = (picture.plane_width(plane) as usize).saturating_sub(layer.at.0).min(layer.width);
        let height = picture.plane_height(plane) as usize;
        let bytes = if layout.depth > 8 { 2 } else { 1 };
        let data = picture.data_mut(plane);
        for (row, over) in layer.samples.chunks(layer.width.max(1)).enumerate() {
            let row = layer.at.1 + row;
            let start = row * stride + layer.at.0 * bytes;
            let Some(under) = data.get_mut(start..start + columns * bytes).filter(|_| row < height) else {
                break;
            };
            if bytes == 1 {
                for (under, over) in under.iter_mut().zip(over) {
                    *under = mix(u16::from(*under), *over) as u8;
                }
            } else {
                for (under, over) in under.as_chunks_mut::<2>().0.iter_mut().zip(over) {
                    *under = mix(u16::from_le_bytes(*under), *over).to_le_bytes();
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use millrace_schemas::{Picture, VideoFilters};

    use super::*;

    const LIMITED: Color = Color { primaries: 1, transfer: 1, matrix: 1, range: 1, chroma: 1 };
    const CLOCK: Ratio = Ratio { num: 1, den: 25 };

    fn source() -> SourceRef {
        SourceRef { url: "s3://b/l.png".into(), version: "1".into(), bytes: 1 }
    }

    /// The settings of pictures of 16x8 with an image of this area, which is shown from 1 s to 2 s.
    fn settings(format: &str, area: Area, opacity: f64) -> VideoSettings {
        let picture = Picture { pixel_format: format.into(), ..Picture::plain((16, 8), CLOCK, CLOCK) };
        let overlay = Overlay { image: source(), area, opacity, from: 1.0, to: Some(2.0) };
        let filters = Some(VideoFilters { overlays: vec![overlay], ..VideoFilters::default() });
        VideoSettings { filters, ..VideoSettings::of("h264", &picture) }
    }

    /// A white image of this opacity.
    fn white(alpha: u8) -> frame::Video {
        let mut image = frame::Video::new(Pixel::RGBA, 4, 4);
        image.data_mut(0).as_chunks_mut::<4>().0.fill([255, 255, 255, alpha]);
        image
    }

    fn mark(settings: &VideoSettings, image: frame::Video) -> Vec<Mark> {
        let format = settings.pixel_format.parse().unwrap();
        marks(settings, format, &[(source(), image)]).map_err(|failure| failure.0).unwrap()
    }

    fn black(format: Pixel) -> frame::Video {
        let mut picture = frame::Video::new(format, 16, 8);
        for plane in 0..3 {
            let sample: u16 = if plane == 0 { 16 } else { 128 };
            if format == Pixel::YUV420P10LE {
                picture.data_mut(plane).as_chunks_mut::<2>().0.fill((sample * 4).to_le_bytes());
            } else {
                picture.data_mut(plane).fill(sample as u8);
            }
        }
        picture
    }

    #[test]
    fn colours_are_those_of_the_matrix_and_range() {
        let round = |color, depth, pixel| samples(pixel, color, depth).map(f64::round);
        assert_eq!(round(LIMITED, 8, [255, 255, 255, 0]), [235.0, 128.0, 128.0]);
        assert_eq!(round(LIMITED, 8, [0, 0, 0, 0]), [16.0, 128.0, 128.0]);
        assert_eq!(round(LIMITED, 8, [255, 0, 0, 0]), [63.0, 102.0, 240.0]);
        assert_eq!(round(Color { matrix: 6, ..LIMITED }, 8, [255, 0, 0, 0]), [81.0, 90.0, 240.0]);
        assert_eq!(round(Color { range: 2, ..LIMITED }, 8, [255, 255, 255, 0]), [255.0, 128.0, 128.0]);
        assert_eq!(round(LIMITED, 10, [255, 255, 255, 0]), [940.0, 512.0, 512.0]);
    }

    #[test]
    fn an_image_covers_its_area_and_nothing_else() {
        let settings = settings("yuv420p", Area { x: 4, y: 2, width: 8, height: 4 }, 1.0);
        let mut picture = black(Pixel::YUV420P);
        lay_over(&mark(&settings, white(255)), &mut picture, 25, CLOCK).unwrap_or_default();
        let stride = picture.stride(0);
        for y in 0..8 {
            for x in 0..16 {
                let is_inside = (4..12).contains(&x) && (2..6).contains(&y);
                assert_eq!(picture.data(0)[y * stride + x], if is_inside { 235 } else { 16 }, "{x} {y}");
            }
        }
    }

    #[test]
    fn an_image_is_shown_in_its_time_alone() {
        let settings = settings("yuv420p", Area { x: 0, y: 0, width: 16, height: 8 }, 1.0);
        let marks = mark(&settings, white(255));
        let shown = |ticks: i64| {
            let mut picture = black(Pixel::YUV420P);
            assert!(lay_over(&marks, &mut picture, ticks, CLOCK).is_ok());
            picture.data(0)[0] == 235
        };
        let times: Vec<i64> = (0..75).filter(|ticks| shown(*ticks)).collect();
        assert_eq!(times, (25..50).collect::<Vec<_>>());
    }

    #[test]
    fn alpha_and_opacity_are_multiplied_at_any_depth() {
        let area = Area { x: 0, y: 0, width: 16, height: 8 };
        let mut picture = black(Pixel::YUV420P);
        let half = mark(&settings("yuv420p", area, 0.5), white(128));
        assert!(lay_over(&half, &mut picture, 30, CLOCK).is_ok());
        assert_eq!(picture.data(0)[0], 16 + 55, "a quarter of 219");
        for format in ["yuv420p10le", "yuv422p", "yuv444p"] {
            let pixel: Pixel = format.parse().unwrap();
            let mut picture = black(pixel);
            assert!(
                lay_over(&mark(&settings(format, area, 0.5), white(255)), &mut picture, 30, CLOCK).is_ok()
            );
            let luma = u16::from_le_bytes([picture.data(0)[0], picture.data(0)[1]]);
            let luma = if pixel == Pixel::YUV420P10LE { luma } else { luma & 255 };
            assert_eq!(luma, if pixel == Pixel::YUV420P10LE { 502 } else { 126 }, "{format}");
        }
    }

    #[test]
    fn what_is_beneath_an_image_stays_as_it_is_elsewhere() {
        let settings = settings("yuv420p", Area { x: 0, y: 0, width: 16, height: 8 }, 1.0);
        let picture = black(Pixel::YUV420P);
        let mut other = crate::child::libav::frame::share(&picture).unwrap_or_else(|_| black(Pixel::YUV420P));
        assert!(lay_over(&mark(&settings, white(255)), &mut other, 25, CLOCK).is_ok());
        assert_eq!((picture.data(0)[0], other.data(0)[0]), (16, 235));
    }

    #[test]
    fn pictures_without_planes_of_luma_and_chroma_are_refused() {
        let settings = settings("rgb24", Area { x: 0, y: 0, width: 16, height: 8 }, 1.0);
        let refused = marks(&settings, Pixel::RGB24, &[(source(), white(255))]);
        assert!(refused.is_err_and(|failure| failure.0.contains("rgb24")));
    }

    #[test]
    fn an_area_beyond_the_frame_is_kept_within_it() {
        let area = Area { x: 14, y: -4, width: i32::MAX, height: i32::MAX };
        let settings = settings("yuv420p", area, 1.0);
        assert_eq!(within(area, &settings), Area { x: 14, y: 0, width: 2, height: 8 });
        let mut picture = black(Pixel::YUV420P);
        assert!(lay_over(&mark(&settings, white(255)), &mut picture, 25, CLOCK).is_ok());
        assert_eq!((picture.data(0)[13], picture.data(0)[14]), (16, 235));
    }
}
