//! The formats of single and of animated pictures, a file each: the encoder, what it takes, and how the file is put together.

use millrace_schemas::{Color, Picture, Ratio, VideoSettings};

use crate::color;

table! {
    /// All formats of pictures, the usual ones first.
    PICTURES: &'static PictureFormat {
        gif,
        jpg,
        png,
        webp,
    }
}

/// A format of pictures.
#[derive(Debug)]
pub struct PictureFormat {
    /// Its name, which is also the usual extension of its files.
    pub name: &'static str,
    /// The extensions by which its files are known, in lower case.
    pub extensions: &'static [&'static str],
    /// The media type of its files.
    pub media_type: &'static str,
    /// How one picture is coded; `None` if files of single pictures are not made of it.
    pub still: Option<Coding>,
    /// How several pictures are coded; `None` if it holds one.
    pub animation: Option<Animation>,
    /// The greatest width and height, in pixels.
    pub longest_side: i32,
}

/// How pictures are coded.
#[derive(Debug)]
pub struct Coding {
    /// libavcodec's encoders, the best first.
    pub encoders: &'static [&'static str],
    /// libavutil's name of the pixel format to which pictures are scaled. It has planes of 8 bits.
    pub scaled_format: &'static str,
    /// libavutil's name of the pixel format that the encoder takes.
    pub pixel_format: &'static str,
    /// The colour of what the encoder takes.
    pub color: Color,
    /// libavcodec's options.
    pub options: &'static [(&'static str, &'static str)],
    /// `true` if what is decoded is what the encoder took.
    pub is_lossless: bool,
}

/// How several pictures are coded, and put into one file.
#[derive(Debug)]
pub struct Animation {
    /// How each is coded.
    pub coding: Coding,
    /// The palette that all pictures share; `None` if they need none.
    pub palette: Option<Palette>,
    /// libavformat's muxer.
    pub muxer: &'static str,
    /// The length of a tick of the file's clock, in seconds.
    pub clock: Ratio,
    /// Returns the muxer's options for pictures that are shown so many times over, 0 for without end, of which the last is shown for
    /// so many ticks.
    pub options: fn(u32, i64) -> Vec<(&'static str, String)>,
}

/// A palette of all pictures, made and applied by libavfilter.
#[derive(Debug)]
pub struct Palette {
    /// The pixel format that the graph takes, by libavutil's name.
    pub pixel_format: &'static str,
    /// The description of the graph, from `in` to `out0`. It gives nothing before all pictures went in.
    pub graph: &'static str,
    /// libavfilter's filters that it is made of.
    pub needs: &'static [&'static str],
}

/// Matrix coefficients of ITU-T H.273.
const UNKNOWN: i32 = 2;
const BT709: i32 = 1;
/// The greatest height of standard definition, in pixels.
const STANDARD_DEFINITION: i32 = 576;

/// RGB with samples of full range.
pub(crate) const RGB: Color = Color { primaries: 1, transfer: 13, matrix: 0, range: 2, chroma: 0 };

/// The greatest size in pixels of all pictures of an animation together: 300 of 640x360 and more.
pub const MOST_ANIMATED: u64 = 100_000_000;
/// The most pictures of an animation.
pub const MOST_ANIMATED_PICTURES: u32 = 1500;

/// The greatest size of a picture, in pixels. 0 does not bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Within {
    /// The greatest width.
    pub width: i32,
    /// The greatest height.
    pub height: i32,
}

impl PictureFormat {
    /// Returns the settings by which decoded pictures become what [`Coding::scaled_format`] is made of: upright, of this size and of
    /// the standard range, with the matrix that they have.
    #[must_use]
    pub fn video_settings(&self, coding: &Coding, picture: &Picture, size: (i32, i32)) -> VideoSettings {
        let mut settings = VideoSettings {
            width: size.0,
            height: size.1,
            pixel_format: coding.scaled_format.into(),
            sample_aspect: Ratio { num: 1, den: 1 },
            field_order: 0,
            ..VideoSettings::of(self.name, picture)
        };
        (settings.color, settings.tone_map) = color::shown(picture, false);
        // What players take for granted above standard definition where nothing says it.
        if settings.color.matrix == UNKNOWN && picture.height > STANDARD_DEFINITION {
            settings.color.matrix = BT709;
        }
        settings.source_color = (settings.color != picture.color).then_some(picture.color);
        settings
    }

    /// Returns the size at which a picture is shown within bounds: with square pixels, and never larger than it is.
    #[must_use]
    pub fn size(&self, picture: &Picture, within: Within) -> (i32, i32) {
        let aspect = picture.sample_aspect;
        let aspect = if aspect.num > 0 && aspect.den > 0 { aspect.as_f64() } else { 1.0 };
        let shown = (f64::from(picture.width) * aspect, f64::from(picture.height));
        let factor = |most: i32, size: f64| if most > 0 { f64::from(most) / size } else { 1.0 };
        let sides = factor(within.width, shown.0).min(factor(within.height, shown.1));
        let side = self.longest_side;
        let factor = sides.min(factor(side, shown.0)).min(factor(side, shown.1)).min(1.0);
        // The cast saturates.
        let pixels = |size: f64| ((size * factor).round() as i32).clamp(1, side);
        (pixels(shown.0), pixels(shown.1))
    }
}

/// Returns the format of a file by its name or URL.
///
/// # Errors
/// If it has another extension, or none: the text lists those that work, which are those of animations if `animated` is true.
pub fn format_of_name(name: &str, animated: bool) -> Result<&'static PictureFormat, String> {
    let file = name.rsplit('/').next().unwrap_or_default();
    let extension = file.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    let Some(extension) = extension else {
        return Err(format!("'{file}' has no extension; these work: {}", known(animated)));
    };
    picture_format(&extension, animated).map_err(|reason| format!("'{file}': {reason}"))
}

/// Returns the format of pictures for which none is asked, or of animations if `animated` is true; `None` if there is none.
#[must_use]
pub fn usual_format(animated: bool) -> Option<&'static PictureFormat> {
    PICTURES.iter().copied().find(|format| format.is_of(animated))
}

/// Returns the format of this name or extension.
///
/// # Errors
/// As [`format_of_name`].
pub fn picture_format(name: &str, animated: bool) -> Result<&'static PictureFormat, String> {
    let found = PICTURES.iter().copied().find(|format| format.extensions.contains(&name));
    let kind = if animated { "animated pictures" } else { "pictures" };
    match found {
        Some(format) if format.is_of(animated) => Ok(format),
        _ => Err(format!("{kind} are not made as .{name}; these work: {}", known(animated))),
    }
}

impl PictureFormat {
    fn is_of(&self, animated: bool) -> bool {
        if animated { self.animation.is_some() } else { self.still.is_some() }
    }
}

fn known(animated: bool) -> String {
    let formats = PICTURES.iter().filter(|format| format.is_of(animated));
    let names: Vec<String> =
        formats.flat_map(|format| format.extensions).map(|extension| format!(".{extension}")).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: i32, height: i32, aspect: (i32, i32)) -> Picture {
        let plain = Picture::plain((width, height), Ratio { num: 25, den: 1 }, Ratio { num: 1, den: 1000 });
        Picture { sample_aspect: Ratio { num: aspect.0, den: aspect.1 }, ..plain }
    }

    #[test]
    fn a_format_is_known_by_its_extension_and_others_are_told_which_work() {
        let name = |name: &str, animated| format_of_name(name, animated).map(|format| format.name);
        assert_eq!(name("s3://b/a.b/c.JPEG", false), Ok("jpg"));
        assert_eq!(name("c.png", false), Ok("png"));
        assert_eq!(name("c.webp", true), Ok("webp"));
        let refused = name("out/c.bmp", false).unwrap_err();
        assert_eq!(refused, "'c.bmp': pictures are not made as .bmp; these work: .jpg, .jpeg, .png, .webp");
        assert!(name("c.png", true).unwrap_err().ends_with("these work: .gif, .webp"));
        assert!(name("c.gif", false).is_err(), "one picture");
        assert!(name("a.b/c", false).unwrap_err().contains("'c' has no extension"));
    }

    #[test]
    fn a_picture_has_square_pixels_and_is_never_enlarged() {
        let jpg = picture_format("jpg", false).unwrap();
        let size = |picture: &Picture, width, height| jpg.size(picture, Within { width, height });
        let hd = picture(1920, 1080, (1, 1));
        assert_eq!(size(&hd, 0, 0), (1920, 1080));
        assert_eq!(size(&hd, 480, 0), (480, 270));
        assert_eq!(size(&hd, 0, 270), (480, 270));
        assert_eq!(size(&hd, 480, 480), (480, 270), "within both");
        assert_eq!(size(&hd, 4000, 0), (1920, 1080), "not enlarged");
        assert_eq!(size(&picture(720, 576, (16, 11)), 0, 0), (1047, 576));
        assert_eq!(size(&picture(720, 576, (0, 1)), 0, 0), (720, 576), "of unknown aspect");
        assert_eq!(size(&picture(2, 4000, (1, 1000)), 1, 0), (1, 4000));
    }

    #[test]
    fn what_every_program_shows_is_usual() {
        let usual = |animated| usual_format(animated).map(|format| format.name);
        assert_eq!((usual(false), usual(true)), (Some("jpg"), Some("gif")));
    }

    #[test]
    fn each_format_codes_a_still_or_an_animation() {
        for format in PICTURES {
            assert!(format.is_of(false) || format.is_of(true), "{}", format.name);
            assert!(format.extensions.contains(&format.name), "{}", format.name);
        }
    }
}
