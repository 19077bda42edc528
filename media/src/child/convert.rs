//! Makes decoded pictures what a rendition's encoder takes: pixel format, size and colour, upright, and in one frame.

mod filters;
mod fit;
mod lay;
pub(crate) mod shape;

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
use millrace_formats::filter::Pictures;
use millrace_schemas::{Color, PictureShape, Rendition, VideoSettings};

use super::{Failure, codec::tables};
use filters::Filters;

pub(crate) struct Converter {
    settings: VideoSettings,
    /// The first picture of the source: what differs from it is fitted into its frame.
    shape: Option<PictureShape>,
    /// The last picture that was seen, and how it asked to be turned.
    last: Option<PictureShape>,
    turned: (i32, bool),
    /// Size before the picture is rotated.
    width: u32,
    height: u32,
    format: Pixel,
    scaler: Option<Scaler>,
    filters: Option<Filters>,
    cores: usize,
    scaled: frame::Video,
    laid: frame::Video,
}

/// A scaler for pictures of one format, size and colour.
struct Scaler {
    context: scaling::Context,
    from: Color,
    /// Two, where the fields of a picture are scaled each by itself.
    fields: usize,
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
            turned: (0, false),
            scaler: None,
            filters: None,
            cores,
            scaled: frame::Video::empty(),
            laid: frame::Video::empty(),
        })
    }

    /// What to say of a picture that is of another shape than the one before it.
    pub(crate) fn change(&mut self, frame: &frame::Video) -> Option<String> {
        let shape = shape::of(frame, &mut self.turned);
        let last = self.last.replace(shape.clone())?;
        shape::change(&last, &shape)
    }

    pub(crate) fn convert<'a>(
        &'a mut self,
        frame: &'a mut frame::Video,
    ) -> Result<&'a mut frame::Video, Failure> {
        let way = self.way(frame);
        let new = self.filter(frame, way)? || self.scale(frame, way)?;
        let picture = if new { &mut self.scaled } else { frame };
        if way.rotation == 0 && !way.mirrored && !way.is_fitted {
            mark_fields(picture, self.settings.field_order);
            return Ok(picture);
        }
        let mut laid = lay::lay(picture, way.rotation, way.mirrored);
        if way.is_fitted {
            let size = (self.settings.width.unsigned_abs(), self.settings.height.unsigned_abs());
            laid = fit::center(&laid, size, self.settings.color.range == 2);
        }
        copy_properties(picture, &mut laid);
        let fields = if way.rotation == 0 && !way.mirrored { self.settings.field_order } else { 0 };
        mark_fields(&mut laid, fields);
        self.laid = laid;
        Ok(&mut self.laid)
    }

    /// How this picture is to be converted: by its own shape, as far as that is another than the first one's.
    fn way(&mut self, frame: &frame::Video) -> Way {
        let own = shape::of(frame, &mut self.turned);
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

    /// Makes a picture what it is to be by the filters that it needs; `true` where there are some: the picture is in `scaled`.
    fn filter(&mut self, frame: &mut frame::Video, way: Way) -> Result<bool, Failure> {
        let pictures = Pictures { from: way.color, to: self.settings.color, size: way.size };
        let Some(graph) = tables().graph(&pictures) else { return Ok(false) };
        crop_to_even(frame);
        if !self.filters.as_ref().is_some_and(|filters| filters.fits(frame, &graph)) {
            self.filters = Some(Filters::new(frame, graph, self.cores)?);
        }
        if let Some(filters) = &mut self.filters {
            self.scaled = filters.run(frame)?;
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
        let fits = self.scaler.as_ref().is_some_and(|scaler| {
            let (input, output) = (scaler.context.input(), scaler.context.output());
            let fields = scaler.fields as u32;
            (input.format, input.width, input.height) == (frame.format(), width, height / fields)
                && (output.width, output.height) == (way.size.0, way.size.1 / fields)
                && scaler.from == way.color
        });
        if !fits {
            self.scaler = Some(self.scaler_for(frame, way)?);
        }
        let Some(scaler) = &mut self.scaler else { return Ok(false) };
        // A new one for each picture: the encoder may still hold the last.
        self.scaled = frame::Video::new(self.format, way.size.0, way.size.1);
        for field in 0..scaler.fields {
            scaler.scale(frame, &mut self.scaled, field)?;
        }
        copy_properties(frame, &mut self.scaled);
        Ok(true)
    }

    fn scaler_for(&self, frame: &frame::Video, way: Way) -> Result<Scaler, Failure> {
        let (width, height) = (frame.width(), frame.height());
        // Rows of one field are no neighbours of the other's: they were seen at another time.
        let in_fields =
            self.settings.field_order != 0 && height.is_multiple_of(4) && way.size.1.is_multiple_of(4);
        let fields = if in_fields { 2 } else { 1 };
        let flags = scaling::Flags::BICUBIC | scaling::Flags::ACCURATE_RND | scaling::Flags::FULL_CHR_H_INT;
        let mut context = scaling::Context::get(
            frame.format(),
            width,
            height / fields,
            self.format,
            way.size.0,
            way.size.1 / fields,
            flags,
        )
        .map_err(Failure::at("converting pictures"))?;
        let to = self.settings.color;
        let from = way.color;
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
        Ok(Scaler { context, from, fields: fields as usize })
    }
}

/// 4:2:0 has a colour sample for two pixels each way.
fn crop_to_even(frame: &mut frame::Video) {
    let (width, height) = (frame.width() & !1, frame.height() & !1);
    frame.set_width(width);
    frame.set_height(height);
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

#[cfg(test)]
mod tests {
    use millrace_schemas::Ratio;

    use super::*;

    /// The planted filter: no line of this crate knows it.
    #[test]
    fn a_planted_filter_filters_the_pictures_that_need_it() {
        let luma = |transfer| {
            let settings = VideoSettings {
                codec: "mpeg4".into(),
                preset: String::new(),
                crf: 0.0,
                width: 64,
                height: 48,
                pixel_format: "yuv420p".into(),
                time_base: Ratio { num: 1, den: 25 },
                frame_rate: Ratio { num: 25, den: 1 },
                sample_aspect: Ratio { num: 1, den: 1 },
                color: Color { primaries: 2, transfer, matrix: 2, range: 1, chroma: 0 },
                rotation: 0,
                mirrored: false,
                field_order: 0,
                source_color: None,
                tone_map: false,
            };
            let rendition = Rendition { id: String::new(), video: Some(settings), audio: None, side: None };
            let Ok(mut converter) = Converter::new(&rendition, None, 1) else { panic!("no converter") };
            let mut picture = frame::Video::new(Pixel::YUV420P, 64, 48);
            picture.data_mut(0).fill(40);
            (1..3).for_each(|plane| picture.data_mut(plane).fill(128));
            let Ok(made) = converter.convert(&mut picture) else { panic!("not converted") };
            made.data(0)[0]
        };
        assert_eq!(luma(1), 40);
        assert_eq!(luma(17), 255 - 40);
    }
}
