//! Makes decoded pictures what a rendition's encoder takes: pixel format, size and colour, upright, and in one frame.

mod fit;
mod lay;
pub(crate) mod shape;
mod tone;

use ffmpeg_next::{format::Pixel, frame};
use millrace_schemas::{Color, PictureShape, Rendition, VideoSettings};

use super::{
    failure::Failure,
    libav::{
        frame::{copy_properties, set_field_order},
        scaler::{Form, Scaler},
    },
    orientation::Orientation,
};
use tone::ToneMap;

pub(crate) struct Converter {
    settings: VideoSettings,
    /// The first picture of the source: what differs from it is fitted into its frame.
    shape: Option<PictureShape>,
    /// The last picture that was seen, and how it asked to be oriented.
    last: Option<PictureShape>,
    orientation: Orientation,
    /// Size before the picture is rotated.
    width: u32,
    height: u32,
    format: Pixel,
    scaler: Option<Scaler>,
    tone: Option<ToneMap>,
    cores: usize,
    scaled: frame::Video,
    laid: frame::Video,
}

/// How one picture is to be converted.
#[derive(Debug, Clone, Copy)]
struct Way {
    /// Size to which it is scaled, before it is rotated.
    size: (u32, u32),
    color: Color,
    rotation: i32,
    mirrored: bool,
    /// Whether it is another shape than the first, and gets bars.
    is_fitted: bool,
}

impl Converter {
    pub(crate) fn new(
        rendition: &Rendition,
        shape: Option<&PictureShape>,
        cores: usize,
    ) -> Result<Self, Failure> {
        let settings =
            rendition.video.clone().ok_or_else(|| Failure::new("a rendition without video settings"))?;
        let (width, height) = (settings.width.unsigned_abs(), settings.height.unsigned_abs());
        let (width, height) = if settings.rotation % 180 == 0 { (width, height) } else { (height, width) };
        Ok(Self {
            width,
            height,
            format: settings.pixel_format.parse().unwrap_or(Pixel::YUV420P),
            settings,
            shape: shape.cloned(),
            last: None,
            orientation: Orientation::UPRIGHT,
            scaler: None,
            tone: None,
            cores,
            scaled: frame::Video::empty(),
            laid: frame::Video::empty(),
        })
    }

    /// What to say of a picture that is of another shape than the one before it.
    pub(crate) fn change(&mut self, frame: &frame::Video) -> Option<String> {
        let shape = shape::of(frame, &mut self.orientation);
        let last = self.last.replace(shape.clone())?;
        shape::change(&last, &shape)
    }

    pub(crate) fn convert<'a>(
        &'a mut self,
        frame: &'a mut frame::Video,
    ) -> Result<&'a mut frame::Video, Failure> {
        let way = self.way(frame);
        let new = self.tone_map(frame, way)? || self.scale(frame, way)?;
        let picture = if new { &mut self.scaled } else { frame };
        if way.rotation == 0 && !way.mirrored && !way.is_fitted {
            set_field_order(picture, self.settings.field_order);
            return Ok(picture);
        }
        let mut laid = lay::lay(picture, way.rotation, way.mirrored);
        if way.is_fitted {
            let size = (self.settings.width.unsigned_abs(), self.settings.height.unsigned_abs());
            laid = fit::center(&laid, size, self.settings.color.range == 2);
        }
        copy_properties(picture, &mut laid);
        let fields = if way.rotation == 0 && !way.mirrored { self.settings.field_order } else { 0 };
        set_field_order(&mut laid, fields);
        self.laid = laid;
        Ok(&mut self.laid)
    }

    /// How this picture is to be converted: by its own shape, as far as that is another than the first one's.
    fn way(&mut self, frame: &frame::Video) -> Way {
        let own = shape::of(frame, &mut self.orientation);
        let first = self.shape.get_or_insert_with(|| own.clone());
        let source = self.settings.source_color.unwrap_or(self.settings.color);
        let color = shape::color(source, first.color, own.color);
        let is_turned = (own.rotation, own.mirrored) != (first.rotation, first.mirrored);
        let (rotation, mirrored) = if is_turned {
            (own.rotation, own.mirrored)
        } else {
            (self.settings.rotation, self.settings.mirrored)
        };
        let same_aspect = own.sample_aspect == first.sample_aspect;
        if (own.width, own.height) == (first.width, first.height) && same_aspect && !is_turned {
            let size = (self.width, self.height);
            return Way { size, color, rotation, mirrored, is_fitted: false };
        }
        // The aspect of the first picture may be the container's; another one is the picture's own.
        let aspect = if same_aspect && !is_turned && rotation % 180 == 0 {
            self.settings.sample_aspect
        } else {
            own.sample_aspect
        };
        let picture = fit::Picture {
            size: (own.width.unsigned_abs(), own.height.unsigned_abs()),
            aspect,
            is_turned: rotation % 180 != 0,
        };
        let canvas = (self.settings.width.unsigned_abs(), self.settings.height.unsigned_abs());
        let size = fit::size(picture, canvas, self.settings.sample_aspect);
        Way { size, color, rotation, mirrored, is_fitted: true }
    }

    /// Maps high dynamic range to the standard one; `true` where the picture has it: the picture is in `scaled`.
    fn tone_map(&mut self, frame: &mut frame::Video, way: Way) -> Result<bool, Failure> {
        if !HIGH_RANGE.contains(&way.color.transfer) || HIGH_RANGE.contains(&self.settings.color.transfer) {
            return Ok(false);
        }
        crop_to_even(frame);
        if !self.tone.as_ref().is_some_and(|tone| tone.fits(frame, way.color, way.size)) {
            self.tone = Some(ToneMap::new(frame, way.color, way.size, self.cores)?);
        }
        if let Some(tone) = &mut self.tone {
            self.scaled = tone.map(frame)?;
        }
        Ok(true)
    }

    /// Makes format and size right; `true` where that took a new picture, which is in `scaled`.
    fn scale(&mut self, frame: &mut frame::Video, way: Way) -> Result<bool, Failure> {
        let same_color = shape::is_same_matrix(way.color, self.settings.color);
        if frame.format() == Pixel::YUVJ420P && self.format == Pixel::YUV420P && same_color {
            // The same samples; that they are of full range is in the settings.
            frame.set_format(Pixel::YUV420P);
        }
        if !way.is_fitted {
            // An odd last row or column is left off, not squeezed in.
            crop_to_even(frame);
        }
        let (width, height) = (frame.width(), frame.height());
        if frame.format() == self.format && (width, height) == way.size && same_color {
            return Ok(false);
        }
        let from = Form { format: frame.format(), size: (width, height), color: way.color };
        if !self.scaler.as_ref().is_some_and(|scaler| scaler.fits(from, way.size)) {
            let to = Form { format: self.format, size: way.size, color: self.settings.color };
            // Rows of one field are no neighbours of the other's: they were seen at another time.
            let in_fields =
                self.settings.field_order != 0 && height.is_multiple_of(4) && way.size.1.is_multiple_of(4);
            self.scaler = Some(Scaler::new(from, to, in_fields)?);
        }
        let Some(scaler) = &mut self.scaler else { return Ok(false) };
        // A new one for each picture: the encoder may still hold the last.
        self.scaled = frame::Video::new(self.format, way.size.0, way.size.1);
        scaler.scale(frame, &mut self.scaled)?;
        copy_properties(frame, &mut self.scaled);
        Ok(true)
    }
}

/// Transfer characteristics of high dynamic range: PQ (SMPTE ST 2084) and HLG (ARIB STD-B67), by ITU-T H.273.
const HIGH_RANGE: [i32; 2] = [16, 18];

/// 4:2:0 has a colour sample for two pixels each way.
fn crop_to_even(frame: &mut frame::Video) {
    let (width, height) = (frame.width() & !1, frame.height() & !1);
    frame.set_width(width);
    frame.set_height(height);
}
