//! Lays texts over pictures: each is drawn once for as long as it is shown, and laid over as an image is.

use ffmpeg_next::{format::Pixel, frame};
use millrace_schemas::{Area, Ratio, TextStyle, VideoSettings};

use super::overlay::{Mark, TOLERANCE, lay_over, layout, within};
use crate::{
    child::{assets::Assets, failure::Failure, libav::frame::PlanarLayout},
    subtitles::{Laid, shown},
    typesetter::{Lettering, Setting, Side, Typesetter},
};

/// The greatest height of a font, in pixels.
const LARGEST_FONT: i32 = 1000;
/// The middle of the upper edge, as an alignment.
const TOP: i32 = 8;

/// The texts that are laid over pictures of one rendition.
#[derive(Default)]
pub(super) struct Letters {
    texts: Vec<Mark>,
    subtitles: Option<Subtitles>,
}

/// The subtitles of a rendition, and what is shown of them.
struct Subtitles {
    laid: Laid,
    writer: Writer,
    /// At the bottom and at the top: the number of the text that is drawn, and how it looks; `None` if nothing of it can be seen.
    drawn: [Option<(usize, Option<Mark>)>; 2],
}

/// Draws texts for the pictures of a rendition.
struct Writer {
    typesetter: Typesetter,
    settings: VideoSettings,
    layout: PlanarLayout,
    style: TextStyle,
}

impl Letters {
    /// Draws the texts of a rendition, whose pictures have this pixel format, and prepares its subtitles.
    ///
    /// # Errors
    /// If a font or subtitles are missing, or the pixel format has other planes than luma and chroma.
    pub(super) fn new(settings: &VideoSettings, format: Pixel, assets: &Assets) -> Result<Self, Failure> {
        let Some(filters) = &settings.filters else { return Ok(Self::default()) };
        let writer = |style: &TextStyle| {
            let font = assets.font(style.font.as_ref())?;
            let typesetter = Typesetter::new(font).map_err(Failure::at("reading a font"))?;
            let layout = layout(settings, format)?;
            Ok::<_, Failure>(Writer { typesetter, settings: settings.clone(), layout, style: style.clone() })
        };
        let mut texts = Vec::new();
        for overlay in &filters.texts {
            let times = (overlay.from, overlay.to.unwrap_or(f64::INFINITY));
            let alignment = overlay.style.alignment;
            texts.extend(writer(&overlay.style)?.draw(&overlay.text, alignment, overlay.opacity, times));
        }
        let subtitles = filters.subtitles.as_ref().map(|burnt| {
            let laid = Laid::new(assets.captions(burnt)?.to_vec(), burnt.shift);
            Ok::<_, Failure>(Subtitles { laid, writer: writer(&burnt.style)?, drawn: [None, None] })
        });
        Ok(Self { texts, subtitles: subtitles.transpose()? })
    }

    /// Lays those texts over a picture that are shown at this time, which is in ticks of `clock`.
    ///
    /// # Errors
    /// If there is no memory for a picture of its own.
    pub(super) fn lay_over(
        &mut self,
        picture: &mut frame::Video,
        ticks: i64,
        clock: Ratio,
    ) -> Result<(), Failure> {
        lay_over(&self.texts, picture, ticks, clock)?;
        let Some(Subtitles { laid, writer, drawn }) = &mut self.subtitles else { return Ok(()) };
        let time = ((ticks as f64 * clock.as_f64() + TOLERANCE) * 1000.0).floor() as i64;
        let sides = [(&laid.bottom, writer.style.alignment), (&laid.top, TOP)];
        for ((captions, alignment), drawn) in sides.into_iter().zip(drawn) {
            let Some(number) = shown(captions, time) else { continue };
            if drawn.as_ref().is_none_or(|(last, _)| *last != number) {
                let text = captions.get(number).map_or("", |caption| caption.text.as_str());
                let always = (f64::NEG_INFINITY, f64::INFINITY);
                *drawn = Some((number, writer.draw(text, alignment, 1.0, always)));
            }
            let mark = drawn.as_ref().and_then(|(_, mark)| mark.as_ref());
            lay_over(mark.map_or(&[][..], std::slice::from_ref), picture, ticks, clock)?;
        }
        Ok(())
    }
}

impl Writer {
    /// Draws a text at this alignment; `None` if nothing of it can be seen.
    fn draw(&mut self, text: &str, alignment: i32, opacity: f64, times: (f64, f64)) -> Option<Mark> {
        let settings = &self.settings;
        let aspect = if settings.sample_aspect.num > 0 { settings.sample_aspect.as_f64() } else { 1.0 };
        let area = within(self.style.area, settings);
        let setting = Setting {
            size: self.style.size.clamp(1, LARGEST_FONT) as f32,
            within: (area.width as f32, area.height as f32),
            side: [Side::Right, Side::Left, Side::Center][alignment.rem_euclid(3) as usize],
            aspect: aspect.clamp(0.01, 100.0) as f32,
        };
        let drawn = self.typesetter.set(text, setting)?;
        let (pixels, area) = place(drawn, area, alignment, (settings.width, settings.height))?;
        Some(Mark::new((&pixels, area), opacity, (settings.color, self.layout), times))
    }
}

/// Returns the pixels of a drawn text that are in the frame, and where they are: its lines are in this area. Rows and columns of
/// chroma are two pixels, so it begins at even ones.
fn place(drawn: Lettering, area: Area, alignment: i32, frame: (i32, i32)) -> Option<(Vec<[u8; 4]>, Area)> {
    let Lettering { width, height, overhang, pixels } = drawn;
    let [width, height, overhang] = [width, height, overhang].map(|side| side as i32);
    let (inner_width, inner_height) = (width - 2 * overhang, height - 2 * overhang);
    let x = match alignment.rem_euclid(3) {
        1 => area.x,
        2 => area.x + (area.width - inner_width) / 2,
        _ => area.x + area.width - inner_width,
    };
    let y = match (alignment - 1).div_euclid(3) {
        2 => area.y,
        1 => area.y + (area.height - inner_height) / 2,
        _ => area.y + area.height - inner_height,
    };
    let (x, y) = ((x - overhang) & !1, (y - overhang) & !1);
    let (left, top) = (x.max(0), y.max(0));
    let (right, bottom) = ((x + width).min(frame.0), (y + height).min(frame.1));
    if left >= right || top >= bottom {
        return None;
    }
    let columns = (left - x) as usize..(right - x) as usize;
    let rows = pixels.chunks(width as usize).skip((top - y) as usize).take((bottom - top) as usize);
    let pixels: Vec<[u8; 4]> =
        rows.flat_map(|row| row.get(columns.clone()).unwrap_or_default()).copied().collect();
    Some((pixels, Area { x: left, y: top, width: right - left, height: bottom - top }))
}

#[cfg(test)]
mod tests {
    use millrace_schemas::{BurntSubtitles, Picture, TextOverlay, VideoFilters};

    use super::*;
    use crate::captions::Caption;

    const CLOCK: Ratio = Ratio { num: 1, den: 25 };
    const SIZE: (i32, i32) = (320, 180);

    fn style(alignment: i32) -> TextStyle {
        TextStyle { font: None, size: 16, area: Area { x: 16, y: 8, width: 288, height: 164 }, alignment }
    }

    fn settings(format: &str, filters: VideoFilters) -> VideoSettings {
        let picture = Picture { pixel_format: format.into(), ..Picture::plain(SIZE, CLOCK, CLOCK) };
        VideoSettings { filters: Some(filters), ..VideoSettings::of("h264", &picture) }
    }

    fn subtitles() -> VideoFilters {
        let burnt = BurntSubtitles { file: None, stream: 2, shift: 0, style: style(2) };
        VideoFilters { subtitles: Some(burnt), ..VideoFilters::default() }
    }

    fn letters(settings: &VideoSettings, captions: &[(i64, i64, &str)]) -> Letters {
        let caption = |(start, end, text): &(i64, i64, &str)| {
            let text = (*text).into();
            Caption { start: *start, end: *end, text }
        };
        let mut assets = Assets::default();
        assets.add_track(2, captions.iter().map(caption).collect());
        let format = settings.pixel_format.parse().unwrap();
        Letters::new(settings, format, &assets).map_err(|failure| failure.0).unwrap()
    }

    fn black(format: Pixel) -> frame::Video {
        let mut picture = frame::Video::new(format, SIZE.0 as u32, SIZE.1 as u32);
        for plane in 0..3 {
            picture.data_mut(plane).fill(if plane == 0 { 16 } else { 128 });
        }
        picture
    }

    /// Returns the luma of a black picture with the texts that are shown at a time.
    fn made(letters: &mut Letters, ticks: i64) -> Vec<Vec<u8>> {
        let mut picture = black(Pixel::YUV420P);
        assert!(letters.lay_over(&mut picture, ticks, CLOCK).is_ok());
        let rows = picture.data(0).chunks(picture.stride(0)).take(SIZE.1 as usize);
        rows.map(|row| row[..SIZE.0 as usize].to_vec()).collect()
    }

    /// Returns the first and the last row with something bright in it.
    fn bright(rows: &[Vec<u8>]) -> Option<(usize, usize)> {
        let is_bright = |(_, row): &(usize, &Vec<u8>)| row.iter().any(|luma| *luma > 200);
        let mut found = rows.iter().enumerate().filter(is_bright).map(|(y, _)| y);
        found.next().map(|first| (first, found.next_back().unwrap_or(first)))
    }

    const TEXTS: [(i64, i64, &str); 3] =
        [(1000, 2000, "Grüße"), (1500, 2500, "{\\an8}above"), (2200, 3000, "two\\Nlines")];

    #[test]
    fn subtitles_are_shown_in_their_times_at_their_edge() {
        let mut letters = letters(&settings("yuv420p", subtitles()), &TEXTS);
        for ticks in [0, 24, 75, 100] {
            assert_eq!(bright(&made(&mut letters, ticks)), None, "{ticks}");
        }
        for ticks in [25, 36, 56] {
            let (first, last) = bright(&made(&mut letters, ticks)).unwrap();
            assert_eq!(first < 60, ticks == 56, "the text at the top is there at {ticks}");
            assert!(last > 140 && last < 172, "{ticks}: {last}");
        }
        assert!(bright(&made(&mut letters, 52)).unwrap().1 < 60, "only the one at the top");
        let (one, two) = (bright(&made(&mut letters, 30)).unwrap(), bright(&made(&mut letters, 70)).unwrap());
        assert!(two.0 + 12 < one.0, "two lines are higher than one: {one:?} {two:?}");
    }

    #[test]
    fn pictures_are_the_same_whatever_pictures_come_before() {
        let settings = settings("yuv420p", subtitles());
        let mut whole = letters(&settings, &TEXTS);
        let all: Vec<_> = (0..80).map(|ticks| made(&mut whole, ticks)).collect();
        for part in [0..10, 10..40, 40..55, 55..80] {
            // A later part has what is shown in it alone.
            let (from, to) = (part.start as i64 * 40, part.end as i64 * 40);
            let texts: Vec<_> = TEXTS.into_iter().filter(|text| text.0 < to && text.1 > from).collect();
            let mut letters = letters(&settings, &texts);
            for ticks in part {
                assert!(made(&mut letters, ticks as i64) == all[ticks], "{ticks}");
            }
        }
    }

    #[test]
    fn a_text_is_in_its_corner_as_opaque_as_is_asked_for() {
        let overlay = |alignment, opacity| {
            let (text, style) = ("© Brand".into(), style(alignment));
            let overlay = TextOverlay { text, style, opacity, from: 1.0, to: Some(2.0) };
            VideoFilters { texts: vec![overlay], ..VideoFilters::default() }
        };
        let mut shown = letters(&settings("yuv420p", overlay(9, 1.0)), &[]);
        assert_eq!(bright(&made(&mut shown, 24)), None);
        assert_eq!(bright(&made(&mut shown, 50)), None);
        let rows = made(&mut shown, 25);
        assert!(bright(&rows).unwrap().1 < 40);
        assert!(rows.iter().all(|row| row[..160].iter().all(|luma| *luma == 16)), "nothing is at the left");
        let mut half = letters(&settings("yuv420p", overlay(1, 0.5)), &[]);
        let most = made(&mut half, 30).into_iter().flatten().max().unwrap();
        assert!((120..=130).contains(&most), "{most}");
    }

    #[test]
    fn a_text_that_reaches_beyond_the_frame_is_cut_at_its_edge() {
        let drawn =
            Lettering { width: 10, height: 4, overhang: 1, pixels: (0..40).map(|i| [i; 4]).collect() };
        let area = Area { x: 0, y: 0, width: 8, height: 2 };
        let (pixels, at) = place(drawn.clone(), area, 7, (6, 6)).unwrap();
        assert_eq!(at, Area { x: 0, y: 0, width: 6, height: 2 });
        assert_eq!((pixels[0], pixels[6]), ([22; 4], [32; 4]), "two rows and columns are beyond");
        assert_eq!(place(drawn, Area { x: 40, ..area }, 7, (6, 6)), None);
    }

    #[test]
    fn a_font_that_is_missing_is_an_error() {
        let source =
            millrace_schemas::SourceRef { url: "s3://b/f.ttf".into(), version: "1".into(), bytes: 1 };
        let mut filters = subtitles();
        filters.subtitles.as_mut().unwrap().style.font = Some(source);
        let settings = settings("yuv420p", filters);
        let made = Letters::new(&settings, Pixel::YUV420P, &Assets::default());
        assert!(made.is_err_and(|failure| failure.0.contains("missing")));
    }
}
