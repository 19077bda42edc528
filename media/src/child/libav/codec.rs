//! Codecs: what libavcodec has, and contexts set up before they are opened.

use std::ffi::{CStr, CString};

use ffmpeg_next::{
    self as ff, Packet, codec,
    ffi::{
        AV_CODEC_FLAG_GLOBAL_HEADER, AV_CODEC_FLAG_INTERLACED_DCT, AV_CODEC_FLAG_OUTPUT_CORRUPT,
        AV_CODEC_PROP_INTRA_ONLY, AV_CODEC_PROP_TEXT_SUB, AV_NOPTS_VALUE, AVCodecContext, AVCodecID,
        AVCodecParameters, AVCodecParserContext, AVDiscard, AVPixelFormat, PARSER_FLAG_COMPLETE_FRAMES,
        av_get_pix_fmt_name, av_get_sample_fmt, av_parser_close, av_parser_init, av_parser_parse2,
        av_pix_fmt_desc_get_id, av_pix_fmt_desc_next, avcodec_alloc_context3, avcodec_descriptor_get,
        avcodec_descriptor_get_by_name, avcodec_find_decoder, avcodec_free_context, avcodec_get_name,
        avcodec_parameters_to_context,
    },
    format::{Pixel, Sample},
};
use millrace_schemas::VideoSettings;

use super::{color::LibavColor, layout::Layout, stream::rational};
use crate::child::failure::Failure;

/// Returns libavcodec's name of a codec, also of one that it has no coder for.
pub(crate) fn name_of(id: AVCodecID) -> String {
    // SAFETY: libavcodec returns a static string for any id.
    unsafe { CStr::from_ptr(avcodec_get_name(id)).to_string_lossy().into_owned() }
}

/// Returns libavcodec's id of a codec by its name; `None` if it knows no such codec.
pub(crate) fn id_of(name: &str) -> Option<AVCodecID> {
    let name = CString::new(name).ok()?;
    // SAFETY: the name lives through the call; a descriptor is a static of libavcodec, or null.
    unsafe { avcodec_descriptor_get_by_name(name.as_ptr()).as_ref() }.map(|descriptor| descriptor.id)
}

/// Returns the sample format of this name (libavutil's); [`Sample::None`] if there is none.
pub(crate) fn sample_format(name: &str) -> Sample {
    let Ok(name) = CString::new(name) else { return Sample::None };
    // SAFETY: the name lives through the call.
    Sample::from(unsafe { av_get_sample_fmt(name.as_ptr()) })
}

/// Returns the name of a stream's codec: libavcodec's, or the container's four letters if libavcodec has no id for it.
pub(crate) fn codec_name(parameters: &AVCodecParameters) -> String {
    let letters = parameters.codec_tag.to_le_bytes();
    if parameters.codec_id == AVCodecID::AV_CODEC_ID_NONE && letters.iter().all(|b| (0x20..0x7f).contains(b))
    {
        return String::from_utf8_lossy(&letters).trim_end().to_owned();
    }
    name_of(parameters.codec_id)
}

/// Returns `true` if this FFmpeg has a decoder for a codec.
pub(crate) fn has_decoder(id: AVCodecID) -> bool {
    // SAFETY: libavcodec looks an id up, whatever it is.
    unsafe { !avcodec_find_decoder(id).is_null() }
}

/// The properties of a codec (`AV_CODEC_PROP_*`); `None` if libavcodec does not know it.
fn properties(id: AVCodecID) -> Option<i32> {
    // SAFETY: a descriptor is a static of libavcodec, or null.
    unsafe {
        let descriptor = avcodec_descriptor_get(id);
        (!descriptor.is_null()).then(|| (*descriptor).props)
    }
}

/// Returns `true` if a codec of subtitles holds text, not pictures of text.
pub(crate) fn is_text(id: AVCodecID) -> bool {
    properties(id).is_some_and(|properties| properties & AV_CODEC_PROP_TEXT_SUB != 0)
}

/// Returns `true` if pictures of a codec may refer to others.
pub(crate) fn has_references(id: AVCodecID) -> bool {
    properties(id).is_some_and(|properties| properties & AV_CODEC_PROP_INTRA_ONLY == 0)
}

/// Returns the pixel format of a number that a stream states; `None` if libavutil has none of that number.
fn pixel_format(number: i32) -> Option<AVPixelFormat> {
    let mut descriptor = std::ptr::null();
    loop {
        // SAFETY: libavutil goes from one static descriptor to the next, from null to the first, and from the last to null.
        let id = unsafe {
            descriptor = av_pix_fmt_desc_next(descriptor);
            if descriptor.is_null() {
                return None;
            }
            av_pix_fmt_desc_get_id(descriptor)
        };
        if id as i32 == number {
            return Some(id);
        }
    }
}

/// Returns the name of the pixel format of a number that a stream states; `None` if libavutil has none of that number.
pub(crate) fn pixel_format_name(number: i32) -> Option<String> {
    name_of_pixel_format(pixel_format(number)?)
}

/// Returns the name of a pixel format, if it has one.
pub(crate) fn name_of_pixel_format(format: AVPixelFormat) -> Option<String> {
    // SAFETY: libavutil returns a static string, or null for a format without a name.
    unsafe {
        let name = av_get_pix_fmt_name(format);
        (!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned())
    }
}

/// Sets up a decoder of pictures, before it is opened: pictures of more than `most_pixels` are errors. Returns `true` if
/// pictures that refer to others which were never decoded will come out, marked as corrupt.
pub(crate) fn set_up_picture_decoder(decoder: &mut ff::decoder::Decoder, most_pixels: i64) -> bool {
    // SAFETY: the context is allocated and not open yet; these are plain numbers in it.
    unsafe {
        let context = &mut *decoder.as_mut_ptr();
        context.max_pixels = most_pixels;
        // H.264's decoder takes a picture that it leaves out itself, at the end, for the end of all pictures.
        let gives_corrupt = context.codec_id == AVCodecID::AV_CODEC_ID_H264;
        if gives_corrupt {
            context.flags |= AV_CODEC_FLAG_OUTPUT_CORRUPT as i32;
        }
        gives_corrupt
    }
}

/// Sets the size of pictures whose packets don't state it, before their decoder is opened.
pub(crate) fn set_picture_size(decoder: &mut ff::decoder::Decoder, (width, height): (i32, i32)) {
    // SAFETY: the context is allocated and not open yet; these are plain numbers in it.
    unsafe {
        let context = &mut *decoder.as_mut_ptr();
        (context.width, context.height) = (width, height);
    }
}

/// Sets whether an open decoder decodes pictures that no other refers to. It heeds that for codecs whose packets state it of
/// themselves; in others, a picture may be needed by those of another layer.
pub(crate) fn leave_out_unreferenced(decoder: &mut codec::Context, leaves_out: bool) {
    use AVCodecID::{AV_CODEC_ID_H264, AV_CODEC_ID_MPEG2VIDEO, AV_CODEC_ID_MPEG4};
    // SAFETY: a context of this type owns an allocated `AVCodecContext`; libavcodec reads this field with each packet.
    unsafe {
        let context = &mut *decoder.as_mut_ptr();
        let states_it =
            matches!(context.codec_id, AV_CODEC_ID_H264 | AV_CODEC_ID_MPEG2VIDEO | AV_CODEC_ID_MPEG4);
        context.skip_frame =
            if leaves_out && states_it { AVDiscard::AVDISCARD_NONREF } else { AVDiscard::AVDISCARD_DEFAULT };
    }
}

/// Returns the sampling rate of an open codec, in samples per second.
pub(crate) fn sample_rate(context: &codec::Context) -> i32 {
    // SAFETY: a context of this type owns an allocated `AVCodecContext`; this is a plain number in it.
    unsafe { (*context.as_ptr()).sample_rate }
}

/// Returns how many samples an open encoder puts before the first one (its priming).
pub(crate) fn priming(encoder: &codec::Context) -> i64 {
    // SAFETY: a context of this type owns an allocated `AVCodecContext`; this is a plain number in it.
    i64::from(unsafe { (*encoder.as_ptr()).initial_padding })
}

/// Returns the codec headers of an open encoder (`extradata`); empty if it has none.
pub(crate) fn headers(context: &codec::Context) -> Vec<u8> {
    // SAFETY: an open encoder's extradata has as many bytes as its size field says.
    unsafe {
        let context: &AVCodecContext = &*context.as_ptr();
        if context.extradata.is_null() {
            return Vec::new();
        }
        let size = usize::try_from(context.extradata_size).unwrap_or(0);
        std::slice::from_raw_parts(context.extradata, size).to_vec()
    }
}

/// Returns a context of a video encoder with these settings, not open yet. Codec headers go into its extradata.
///
/// # Errors
/// If libavutil does not know the pixel format.
pub(crate) fn video_encoder(
    codec: ff::Codec,
    s: &VideoSettings,
    threads: i32,
) -> Result<codec::Context, Failure> {
    let color = LibavColor::of(s.color);
    let pixel_format = s.pixel_format.parse::<Pixel>().map_err(Failure::at("pixel format"))?;
    let mut context = codec::Context::new_with_codec(codec);
    // SAFETY: the context was just allocated; these are plain fields of it, set before it is opened.
    unsafe {
        let c = &mut *context.as_mut_ptr();
        c.width = s.width;
        c.height = s.height;
        c.pix_fmt = pixel_format.into();
        c.time_base = rational(s.time_base).into();
        c.framerate = rational(s.frame_rate).into();
        c.sample_aspect_ratio = rational(s.sample_aspect).into();
        c.color_primaries = color.primaries;
        c.color_trc = color.transfer;
        c.colorspace = color.matrix;
        c.color_range = color.range;
        c.chroma_sample_location = color.chroma;
        c.flags |= AV_CODEC_FLAG_GLOBAL_HEADER as i32;
        if s.field_order != 0 {
            c.flags |= AV_CODEC_FLAG_INTERLACED_DCT as i32;
        }
        c.thread_count = threads;
    }
    Ok(context)
}

/// Sets the channels of an audio encoder that is not open yet.
pub(crate) fn set_layout(encoder: &mut codec::Context, layout: Layout) {
    // SAFETY: the context is allocated and not open; the layout holds nothing to free, and neither does the one before it.
    unsafe { (*encoder.as_mut_ptr()).ch_layout = layout.raw() };
}

/// Tells keyframes by the bytes of their packets.
pub(crate) struct KeyframeParser {
    parser: *mut AVCodecParserContext,
    context: *mut AVCodecContext,
}

impl KeyframeParser {
    /// Returns a parser for a codec; `None` if libavcodec has none.
    pub(crate) fn new(parameters: &AVCodecParameters) -> Option<Self> {
        // SAFETY: both contexts are made here and freed by `drop`, also if only one could be made. The parameters are whole.
        unsafe {
            let made = Self {
                parser: av_parser_init(parameters.codec_id as i32),
                context: avcodec_alloc_context3(std::ptr::null()),
            };
            if made.parser.is_null() || made.context.is_null() {
                return None;
            }
            if avcodec_parameters_to_context(made.context, parameters) < 0 {
                return None;
            }
            (*made.parser).flags |= PARSER_FLAG_COMPLETE_FRAMES;
            Some(made)
        }
    }

    /// Returns `true` if the packet is a keyframe.
    pub(crate) fn is_key(&self, packet: &Packet) -> bool {
        let Some(data) = packet.data() else { return false };
        let size = i32::try_from(data.len()).unwrap_or(0);
        // SAFETY: the contexts are whole, and of this value alone; the packet's data has libavcodec's padding behind it; what comes
        // out points into it and is not used.
        unsafe {
            let (mut out, mut out_size) = (std::ptr::null_mut(), 0);
            av_parser_parse2(
                self.parser,
                self.context,
                &raw mut out,
                &raw mut out_size,
                data.as_ptr(),
                size,
                AV_NOPTS_VALUE,
                AV_NOPTS_VALUE,
                -1,
            );
            (*self.parser).key_frame == 1
        }
    }
}

impl Drop for KeyframeParser {
    fn drop(&mut self) {
        // SAFETY: both belong to this value, or are null, which is freed by doing nothing.
        unsafe {
            if !self.parser.is_null() {
                av_parser_close(self.parser);
            }
            avcodec_free_context(&raw mut self.context);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_pixel_format_of_libavutil_or_none() {
        assert_eq!(pixel_format_name(0).as_deref(), Some("yuv420p"));
        assert_eq!(pixel_format_name(AVPixelFormat::AV_PIX_FMT_PAL8 as i32).as_deref(), Some("pal8"));
        assert_eq!(pixel_format_name(-1), None);
        assert_eq!(pixel_format_name(AVPixelFormat::AV_PIX_FMT_NB as i32), None);
        assert_eq!(pixel_format_name(i32::MAX), None);
    }
}
