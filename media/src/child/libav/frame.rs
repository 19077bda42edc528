//! Decoded frames: their fields, what comes with them, and samples of pictures.

use ffmpeg_next::{
    Error, Frame,
    ffi::{
        AV_FRAME_CROP_UNALIGNED, AV_PIX_FMT_FLAG_BE, AV_PIX_FMT_FLAG_HWACCEL, AV_PIX_FMT_FLAG_PAL,
        AV_PIX_FMT_FLAG_RGB, AVFrame, AVFrameSideDataType, AVPixelFormat, av_frame_apply_cropping,
        av_frame_copy_props, av_frame_get_side_data, av_frame_make_writable, av_frame_ref,
        av_image_get_linesize, av_pix_fmt_desc_get,
    },
    format::Pixel,
    frame,
};
use millrace_schemas::Area;

use crate::child::failure::Failure;

/// Returns the fields of a frame.
pub(crate) fn fields(frame: &Frame) -> &AVFrame {
    // SAFETY: a frame of this type owns an allocated `AVFrame` for as long as it lives.
    unsafe { &*frame.as_ptr() }
}

/// Returns the display matrix that comes with a picture (SEI of H.264 and HEVC, Exif of JPEG), as libavutil keeps it.
pub(crate) fn display_matrix(frame: &Frame) -> Option<&[u8]> {
    side_data(frame, AVFrameSideDataType::AV_FRAME_DATA_DISPLAYMATRIX)
}

/// Returns what comes with a picture of this kind, as libavutil keeps it.
pub(crate) fn side_data(frame: &Frame, kind: AVFrameSideDataType) -> Option<&[u8]> {
    // SAFETY: the frame is whole; its side data has as many bytes as its size says, and lives as long as the frame, which is
    // borrowed.
    unsafe {
        let data = av_frame_get_side_data(frame.as_ptr(), kind);
        if data.is_null() || (*data).data.is_null() {
            return None;
        }
        Some(std::slice::from_raw_parts((*data).data, (*data).size))
    }
}

/// Returns another frame of the same samples, which are shared, with fields of its own.
///
/// # Errors
/// If there is no memory for it.
pub(crate) fn share(picture: &frame::Video) -> Result<frame::Video, Failure> {
    let mut other = frame::Video::empty();
    // SAFETY: the second frame was just allocated and holds nothing; the first is whole.
    let result = unsafe { av_frame_ref(other.as_mut_ptr(), picture.as_ptr()) };
    if result < 0 { Err(Failure::at("sharing a picture")(Error::from(result))) } else { Ok(other) }
}

/// Copies times and what comes with a picture: closed captions (CEA-608/708) above all.
pub(crate) fn copy_properties(from: &frame::Video, to: &mut frame::Video) {
    // SAFETY: both are whole frames; on failure less is copied, which a picture survives.
    unsafe { av_frame_copy_props(to.as_mut_ptr(), from.as_ptr()) };
}

/// Crops a picture to this part of it. Its samples stay where they are, and are shared as before.
///
/// # Errors
/// If the part is not within the picture.
pub(crate) fn crop_to(picture: &mut frame::Video, part: Area) -> Result<(), Failure> {
    let beyond = || Failure::new("cropping a picture: it is smaller than what is kept of it");
    let amount = |from: i32, size: i32, whole: u32| {
        let end = i64::from(from) + i64::from(size);
        let after = usize::try_from(i64::from(whole) - end).map_err(|_| beyond())?;
        Ok::<_, Failure>((usize::try_from(from).map_err(|_| beyond())?, after))
    };
    let (left, right) = amount(part.x, part.width, picture.width())?;
    let (top, bottom) = amount(part.y, part.height, picture.height())?;
    // SAFETY: a frame of this type owns an allocated `AVFrame`; libavutil moves its pointers within the planes that it has.
    let result = unsafe {
        let frame = &mut *picture.as_mut_ptr();
        (frame.crop_left, frame.crop_right) = (left, right);
        (frame.crop_top, frame.crop_bottom) = (top, bottom);
        av_frame_apply_cropping(picture.as_mut_ptr(), AV_FRAME_CROP_UNALIGNED as i32)
    };
    if result < 0 { Err(Failure::at("cropping a picture")(Error::from(result))) } else { Ok(()) }
}

/// Gives a picture samples of its own, if they are shared.
///
/// # Errors
/// If there is no memory for them.
pub(crate) fn make_writable(picture: &mut frame::Video) -> Result<(), Failure> {
    // SAFETY: the frame is whole and borrowed mutably; libavutil copies its samples if others refer to them.
    let result = unsafe { av_frame_make_writable(picture.as_mut_ptr()) };
    if result < 0 { Err(Failure::at("copying a picture")(Error::from(result))) } else { Ok(()) }
}

/// How samples lie in pictures of three planes: luma, and the two of chroma.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlanarLayout {
    /// How often the width and the height of chroma are halved.
    pub(crate) chroma: (u32, u32),
    /// Bits of a sample, 8 to 16. Those of more than 8 have two bytes, the low one first.
    pub(crate) depth: u32,
}

/// Returns how samples lie in pictures of this format; `None` if it has other planes than luma and chroma, or other samples.
pub(crate) fn planar_layout(format: Pixel) -> Option<PlanarLayout> {
    let other = AV_PIX_FMT_FLAG_BE | AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_HWACCEL;
    // SAFETY: a descriptor is a static of libavutil, or null.
    let descriptor = unsafe { av_pix_fmt_desc_get(format.into()).as_ref() }?;
    let depth = u32::try_from(descriptor.comp[0].depth).ok()?;
    let bytes = if depth > 8 { 2 } else { 1 };
    let is_plain = (0..).zip(&descriptor.comp[..3]).all(|(plane, component)| {
        (component.plane, component.step, component.offset, component.shift) == (plane, bytes, 0, 0)
            && u32::try_from(component.depth) == Ok(depth)
    });
    let is_planar = descriptor.nb_components == 3 && descriptor.flags & u64::from(other.unsigned_abs()) == 0;
    let chroma = (u32::from(descriptor.log2_chroma_w), u32::from(descriptor.log2_chroma_h));
    (is_planar && is_plain && (8..=16).contains(&depth)).then_some(PlanarLayout { chroma, depth })
}

/// Sets which field of a picture is shown first: 0 for pictures without fields, 1 for the top one, 2 for the bottom one.
pub(crate) fn set_field_order(picture: &mut frame::Video, field_order: i32) {
    // SAFETY: a frame of this type owns an allocated `AVFrame`; these are plain numbers in it.
    unsafe {
        let frame = &mut *picture.as_mut_ptr();
        frame.interlaced_frame = i32::from(field_order != 0);
        frame.top_field_first = i32::from(field_order == 1);
    }
}

/// The most planes that a picture has.
const PLANES: usize = 4;

/// Calls `visit` with each row of samples of a decoded picture, plane by plane from the top, then with its palette if it has one.
pub(crate) fn for_each_row(picture: &frame::Video, mut visit: impl FnMut(&[u8])) {
    let format = AVPixelFormat::from(picture.format());
    let chroma_rows = chroma_shift(format);
    let width = i32::try_from(picture.width()).unwrap_or(0);
    let height = picture.height() as usize;
    for plane in 0..PLANES {
        // SAFETY: libavutil computes from a table; for a plane that is not there it returns 0 or an error.
        let row = unsafe { av_image_get_linesize(format, width, plane as i32) };
        let (data, stride) = (fields(picture).data[plane], fields(picture).linesize[plane]);
        let Ok(row) = usize::try_from(row) else { break };
        if data.is_null() || row == 0 {
            break;
        }
        let rows = if matches!(plane, 1 | 2) { height.div_ceil(1 << chroma_rows) } else { height };
        for y in 0..rows {
            // SAFETY: a decoded plane has as many rows of that length, each a stride behind the one before.
            let bytes = unsafe { std::slice::from_raw_parts(data.offset(y as isize * stride as isize), row) };
            visit(bytes);
        }
    }
    if format == AVPixelFormat::AV_PIX_FMT_PAL8 {
        // SAFETY: the second plane of a picture of this format is a palette of 256 colours of four bytes.
        visit(unsafe { std::slice::from_raw_parts(fields(picture).data[1], 1024) });
    }
}

/// How often the height of the second and third plane is halved.
fn chroma_shift(format: AVPixelFormat) -> u32 {
    // SAFETY: a descriptor is a static of libavutil, or null.
    unsafe {
        let descriptor = av_pix_fmt_desc_get(format);
        if descriptor.is_null() { 0 } else { u32::from((*descriptor).log2_chroma_h) }
    }
}
