//! Makes decoded pictures what a rendition's encoder takes: pixel format, size, colour, and laid upright.

mod lay;
mod tone;

use ffmpeg_next::{
    self as ff,
    ffi::{
        SWS_CS_BT2020, SWS_CS_FCC, SWS_CS_ITU601, SWS_CS_ITU709, SWS_CS_SMPTE240M, av_frame_copy_props,
        sws_getCoefficients, sws_scale, sws_setColorspaceDetails,
    },
    format::Pixel,
    frame,
    software::scaling,
};
use millrace_schemas::{Color, Rendition, VideoSettings};

use super::Failure;
use tone::ToneMap;

pub(crate) struct Converter {
    settings: VideoSettings,
    /// Size before the picture is laid down.
    width: u32,
    height: u32,
    format: Pixel,
    scaler: Option<Scaler>,
    tone: Option<ToneMap>,
    cores: usize,
    scaled: frame::Video,
    laid: frame::Video,
}

/// A scaler for pictures of one format and size.
struct Scaler {
    context: scaling::Context,
    /// Two, where the fields of a picture are scaled each by itself.
    fields: usize,
}

impl Converter {
    pub(crate) fn new(rendition: &Rendition, cores: usize) -> Result<Self, Failure> {
        let settings =
            rendition.video.clone().ok_or_else(|| Failure::new("a rendition without video settings"))?;
        let (width, height) = (settings.width.unsigned_abs(), settings.height.unsigned_abs());
        let (width, height) = if settings.rotation % 180 == 0 { (width, height) } else { (height, width) };
        Ok(Self {
            width,
            height,
            format: settings.pixel_format.parse().unwrap_or(Pixel::YUV420P),
            settings,
            scaler: None,
            tone: None,
            cores,
            scaled: frame::Video::empty(),
            laid: frame::Video::empty(),
        })
    }

    pub(crate) fn convert<'a>(
        &'a mut self,
        frame: &'a mut frame::Video,
    ) -> Result<&'a mut frame::Video, Failure> {
        let new = self.tone_map(frame)? || self.scale(frame)?;
        let picture = if new { &mut self.scaled } else { frame };
        let (rotation, mirrored) = (self.settings.rotation, self.settings.mirrored);
        if rotation == 0 && !mirrored {
            mark_fields(picture, self.settings.field_order);
            return Ok(picture);
        }
        self.laid = lay::lay(picture, rotation, mirrored);
        copy_properties(picture, &mut self.laid);
        mark_fields(&mut self.laid, 0);
        Ok(&mut self.laid)
    }

    /// Brings high dynamic range down; `true` where that was asked for: the picture is in `scaled`.
    fn tone_map(&mut self, frame: &mut frame::Video) -> Result<bool, Failure> {
        let Some(source) = self.settings.source_color.filter(|_| self.settings.tone_map) else {
            return Ok(false);
        };
        let (width, height) = (frame.width() & !1, frame.height() & !1);
        frame.set_width(width);
        frame.set_height(height);
        if !self.tone.as_ref().is_some_and(|tone| tone.fits(frame)) {
            self.tone = Some(ToneMap::new(frame, source, (self.width, self.height), self.cores)?);
        }
        if let Some(tone) = &mut self.tone {
            self.scaled = tone.map(frame)?;
        }
        Ok(true)
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
            let input = scaler.context.input();
            (input.format, input.width, input.height)
                == (frame.format(), width, height / scaler.fields as u32)
        });
        if !fits {
            self.scaler = Some(self.scaler_for(frame)?);
        }
        let Some(scaler) = &mut self.scaler else { return Ok(false) };
        // A new one for each picture: the encoder may still hold the last.
        self.scaled = frame::Video::new(self.format, self.width, self.height);
        for field in 0..scaler.fields {
            scaler.scale(frame, &mut self.scaled, field)?;
        }
        copy_properties(frame, &mut self.scaled);
        Ok(true)
    }

    fn scaler_for(&self, frame: &frame::Video) -> Result<Scaler, Failure> {
        let (width, height) = (frame.width(), frame.height());
        // Rows of one field are no neighbours of the other's: they were seen at another time.
        let in_fields =
            self.settings.field_order != 0 && height.is_multiple_of(4) && self.height.is_multiple_of(4);
        let fields = if in_fields { 2 } else { 1 };
        let flags = scaling::Flags::BICUBIC | scaling::Flags::ACCURATE_RND | scaling::Flags::FULL_CHR_H_INT;
        let mut context = scaling::Context::get(
            frame.format(),
            width,
            height / fields,
            self.format,
            self.width,
            self.height / fields,
            flags,
        )
        .map_err(Failure::at("converting pictures"))?;
        let to = self.settings.color;
        let from = self.settings.source_color.unwrap_or(to);
        // SAFETY: the context is whole; the tables are statics of libswscale.
        unsafe {
            sws_setColorspaceDetails(
                context.as_mut_ptr(),
                sws_getCoefficients(coefficients(if from.matrix == 0 { to } else { from })),
                i32::from(from.range == 2),
                sws_getCoefficients(coefficients(to)),
                i32::from(to.range == 2),
                0,
                1 << 16,
                1 << 16,
            );
        }
        Ok(Scaler { context, fields: fields as usize })
    }
}

/// libswscale's name for a matrix of H.273; what it does not know is not converted, and then any will do.
fn coefficients(color: Color) -> i32 {
    match color.matrix {
        1 => SWS_CS_ITU709,
        4 => SWS_CS_FCC,
        7 => SWS_CS_SMPTE240M,
        9 | 10 => SWS_CS_BT2020,
        _ => SWS_CS_ITU601,
    }
}

impl Scaler {
    /// Scales a picture, or one of its fields, into the same of another.
    fn scale(&mut self, from: &frame::Video, to: &mut frame::Video, field: usize) -> Result<(), Failure> {
        let fields = self.fields as i32;
        // SAFETY: both pictures have buffers of their format and size, the context is made for those; a field's first
        // row is the picture's first or second, and its rows lie two apart.
        let rows = unsafe {
            let (source, target) = (&*from.as_ptr(), &*to.as_mut_ptr());
            let row = |data: *mut u8, stride: i32| {
                if data.is_null() || stride == 0 {
                    data
                } else {
                    data.offset(stride as isize * field as isize)
                }
            };
            let mut from_data = [std::ptr::null::<u8>(); 8];
            let mut to_data = [std::ptr::null_mut::<u8>(); 8];
            let (mut from_strides, mut to_strides) = ([0; 8], [0; 8]);
            for plane in 0..8 {
                from_data[plane] = row(source.data[plane], source.linesize[plane]);
                from_strides[plane] = source.linesize[plane] * fields;
                to_data[plane] = row(target.data[plane], target.linesize[plane]);
                to_strides[plane] = target.linesize[plane] * fields;
            }
            if from.format() == Pixel::PAL8 {
                // The palette has no rows.
                from_data[1] = source.data[1];
            }
            sws_scale(
                self.context.as_mut_ptr(),
                from_data.as_ptr(),
                from_strides.as_ptr(),
                0,
                from.height() as i32 / fields,
                to_data.as_ptr(),
                to_strides.as_ptr(),
            )
        };
        if rows > 0 { Ok(()) } else { Err(Failure::at("converting a picture")(ff::Error::from(rows))) }
    }
}

/// Times, and what lies with a picture: closed captions (CEA-608/708) above all.
fn copy_properties(from: &frame::Video, to: &mut frame::Video) {
    // SAFETY: both are whole frames; on failure less is copied, which a picture survives.
    unsafe { av_frame_copy_props(to.as_mut_ptr(), from.as_ptr()) };
}

/// Tells the encoder which field is shown first, whatever a single picture says of itself.
fn mark_fields(picture: &mut frame::Video, field_order: i32) {
    // SAFETY: plain fields of a frame.
    unsafe {
        let frame = &mut *picture.as_mut_ptr();
        frame.interlaced_frame = i32::from(field_order != 0);
        frame.top_field_first = i32::from(field_order == 1);
    }
}
