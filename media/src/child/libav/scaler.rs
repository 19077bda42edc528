//! Scales pictures and converts their pixel format and colour matrix, by libswscale.

use ffmpeg_next::{
    self as ff,
    ffi::{
        SWS_CS_BT2020, SWS_CS_FCC, SWS_CS_ITU601, SWS_CS_ITU709, SWS_CS_SMPTE240M, sws_getCoefficients,
        sws_scale, sws_setColorspaceDetails,
    },
    format::Pixel,
    frame,
    software::scaling,
};
use millrace_schemas::Color;

use super::frame::fields;
use crate::child::failure::Failure;

/// What a scaler gets or makes: pixel format, width and height in pixels, and how its numbers are colours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Form {
    pub(crate) format: Pixel,
    pub(crate) size: (u32, u32),
    pub(crate) color: Color,
}

/// A scaler for pictures of one format, size and colour.
pub(crate) struct Scaler {
    context: scaling::Context,
    from: Color,
    /// Two if the fields of a picture are scaled each by itself, otherwise one.
    fields: u32,
}

impl Scaler {
    /// Returns a scaler; with `in_fields` it scales the even and the odd rows of a picture each by themselves, and both heights
    /// must be even.
    ///
    /// # Errors
    /// If libswscale can't convert one into the other.
    pub(crate) fn new(from: Form, to: Form, in_fields: bool) -> Result<Self, Failure> {
        let exact = scaling::Flags::ACCURATE_RND | scaling::Flags::FULL_CHR_H_INT;
        Self::of(from, to, in_fields, scaling::Flags::BICUBIC | exact)
    }

    /// Returns a scaler that rounds as is quickest: in less than half of the time.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(crate) fn quick(from: Form, to: Form) -> Result<Self, Failure> {
        Self::of(from, to, false, scaling::Flags::BICUBIC)
    }

    fn of(from: Form, to: Form, in_fields: bool, flags: scaling::Flags) -> Result<Self, Failure> {
        let fields = if in_fields { 2 } else { 1 };
        let mut context = scaling::Context::get(
            from.format,
            from.size.0,
            from.size.1 / fields,
            to.format,
            to.size.0,
            to.size.1 / fields,
            flags,
        )
        .map_err(Failure::at("converting pictures"))?;
        // SAFETY: the context is whole; the tables are statics of libswscale.
        unsafe {
            sws_setColorspaceDetails(
                context.as_mut_ptr(),
                sws_getCoefficients(coefficients(if from.color.matrix == 0 { to.color } else { from.color })),
                i32::from(from.color.range == 2),
                sws_getCoefficients(coefficients(to.color)),
                i32::from(to.color.range == 2),
                0,
                1 << 16,
                1 << 16,
            );
        }
        Ok(Self { context, from: from.color, fields })
    }

    /// Returns `true` if it converts pictures of this format, size and colour to that format and size.
    pub(crate) fn fits(&self, from: Form, format: Pixel, to: (u32, u32)) -> bool {
        let (input, output) = (self.context.input(), self.context.output());
        (input.format, input.width, input.height) == (from.format, from.size.0, from.size.1 / self.fields)
            && (output.format, output.width, output.height) == (format, to.0, to.1 / self.fields)
            && self.from == from.color
    }

    /// Scales a picture into another of the size and format that this scaler makes.
    ///
    /// # Errors
    /// What libswscale says; if one of the pictures is of another size or format.
    pub(crate) fn scale(&mut self, from: &frame::Video, to: &mut frame::Video) -> Result<(), Failure> {
        const DOING: &str = "converting a picture";
        let (input, output) = (self.context.input(), self.context.output());
        let is = |picture: &frame::Video, format, width, height| {
            (picture.format(), picture.width(), picture.height() / self.fields) == (format, width, height)
        };
        if !is(from, input.format, input.width, input.height)
            || !is(to, output.format, output.width, output.height)
        {
            return Err(Failure::new(format!("{DOING}: it is of another size or format")));
        }
        (0..self.fields).try_for_each(|field| {
            let rows = self.scale_field(from, to, field);
            if rows > 0 { Ok(()) } else { Err(Failure::at(DOING)(ff::Error::from(rows))) }
        })
    }

    /// Scales one field, or the whole picture if there is one. Returns how many rows were made, or libswscale's error.
    fn scale_field(&mut self, from: &frame::Video, to: &mut frame::Video, field: u32) -> i32 {
        let count = self.fields.cast_signed();
        let row = |data: *mut u8, stride: i32| {
            if data.is_null() || stride == 0 {
                return data;
            }
            // SAFETY: a field's first row is the first or second of its picture's plane, which has at least two.
            unsafe { data.offset(stride as isize * field as isize) }
        };
        let (source, target) = (fields(from), fields(to));
        let mut from_data = [std::ptr::null::<u8>(); 8];
        let mut to_data = [std::ptr::null_mut::<u8>(); 8];
        let (mut from_strides, mut to_strides) = ([0; 8], [0; 8]);
        for plane in 0..8 {
            from_data[plane] = row(source.data[plane], source.linesize[plane]);
            from_strides[plane] = source.linesize[plane] * count;
            to_data[plane] = row(target.data[plane], target.linesize[plane]);
            to_strides[plane] = target.linesize[plane] * count;
        }
        if from.format() == Pixel::PAL8 {
            // The palette has no rows.
            from_data[1] = source.data[1];
        }
        // SAFETY: both pictures have buffers of their format and size, for which the context was made; a field has half of
        // the rows, each two of the picture's apart. The second picture is borrowed mutably, and has no other owner.
        unsafe {
            sws_scale(
                self.context.as_mut_ptr(),
                from_data.as_ptr(),
                from_strides.as_ptr(),
                0,
                (from.height() / self.fields).cast_signed(),
                to_data.as_ptr(),
                to_strides.as_ptr(),
            )
        }
    }
}

/// Returns libswscale's name for a matrix of H.273. What it does not know is not converted, and then any will do.
fn coefficients(color: Color) -> i32 {
    match color.matrix {
        1 => SWS_CS_ITU709,
        4 => SWS_CS_FCC,
        7 => SWS_CS_SMPTE240M,
        9 | 10 => SWS_CS_BT2020,
        _ => SWS_CS_ITU601,
    }
}
