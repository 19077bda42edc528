//! Text: a decoder of any kind of it, and the encoder of mp4's. They exchange it as ASS.

use std::ffi::{CStr, CString};

use ffmpeg_next::{
    self as ff, Packet, codec,
    ffi::{
        AVCodecContext, AVCodecID, AVRational, AVSubtitle, AVSubtitleRect, AVSubtitleType, av_free,
        av_mallocz, av_strdup, avcodec_alloc_context3, avcodec_decode_subtitle2, avcodec_encode_subtitle,
        avcodec_find_decoder, avcodec_free_context, avcodec_open2, avcodec_parameters_to_context,
        avsubtitle_free,
    },
    packet::Mut as _,
};

use crate::{captions, child::failure::Failure, timeline::Clock};

/// The header of ASS that a decoder makes of a stream without one.
const HEADER: &CStr = c"[Script Info]\r\nScriptType: v4.00+\r\nPlayResX: 384\r\nPlayResY: 288\r\n\r\n[V4+ Styles]\r\n\
    Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
    StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding\r\n\
    Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,1\r\n\r\n[Events]\r\n\
    Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\r\n";

/// A text that a packet holds; times in milliseconds after the packet's.
pub(crate) struct Shown {
    pub(crate) from: i64,
    /// When it ends, if the packet says so.
    pub(crate) to: Option<i64>,
    pub(crate) text: String,
}

/// A decoder of text, and the encoder of mp4's.
pub(crate) struct TextCoder {
    decoder: *mut AVCodecContext,
    encoder: *mut AVCodecContext,
}

impl TextCoder {
    /// Opens the decoder of a stream with these parameters and this clock, and an encoder.
    ///
    /// # Errors
    /// If this FFmpeg has no such decoder or encoder, or the decoder refuses the stream's headers.
    pub(crate) fn open(
        parameters: &codec::Parameters,
        clock: Clock,
        into: ff::Codec,
    ) -> Result<Self, Failure> {
        // SAFETY: both contexts are made here, set up before they are opened, and freed by `drop`, also if one could not
        // be made. The header that the decoder made is copied: the encoder frees its own.
        unsafe {
            let coder = Self {
                decoder: avcodec_alloc_context3(std::ptr::null()),
                encoder: avcodec_alloc_context3(std::ptr::null()),
            };
            let wrong = || Failure::new("opening the decoder of text");
            if coder.decoder.is_null()
                || coder.encoder.is_null()
                || avcodec_parameters_to_context(coder.decoder, parameters.as_ptr()) < 0
            {
                return Err(wrong());
            }
            (*coder.decoder).pkt_timebase = AVRational { num: clock.num as i32, den: clock.den as i32 };
            let codec = avcodec_find_decoder((*parameters.as_ptr()).codec_id);
            if codec.is_null() || avcodec_open2(coder.decoder, codec, std::ptr::null_mut()) < 0 {
                return Err(wrong());
            }
            // A track of ASS may come without the header that its decoder gives as it is.
            let (mut header, mut size) =
                ((*coder.decoder).subtitle_header.cast_const(), (*coder.decoder).subtitle_header_size);
            if header.is_null() || size <= 0 {
                (header, size) = (HEADER.as_ptr().cast(), i32::try_from(HEADER.count_bytes()).unwrap_or(0));
            }
            (*coder.encoder).time_base = AVRational { num: 1, den: 1000 };
            {
                let length = usize::try_from(size).unwrap_or(0);
                let copy = av_mallocz(length + 1).cast::<u8>();
                if copy.is_null() {
                    return Err(wrong());
                }
                std::ptr::copy_nonoverlapping(header, copy, length);
                (*coder.encoder).subtitle_header = copy;
                (*coder.encoder).subtitle_header_size = size;
            }
            if avcodec_open2(coder.encoder, into.as_ptr(), std::ptr::null_mut()) < 0 {
                return Err(Failure::new(format!("this FFmpeg can't encode text of {}", into.name())));
            }
            Ok(coder)
        }
    }

    /// Makes the text of a packet UTF-8, which decoders insist on.
    pub(crate) fn make_utf8(&self, packet: &mut Packet) {
        let Some(data) = packet.data() else { return };
        // SAFETY: the decoder is open; this is a plain field of it.
        let is_framed = unsafe { (*self.decoder).codec_id } == AVCodecID::AV_CODEC_ID_MOV_TEXT;
        let Some(bytes) = captions::to_utf8(data, is_framed) else { return };
        let mut new = Packet::copy(&bytes);
        new.set_pts(packet.pts());
        new.set_dts(packet.dts());
        new.set_duration(packet.duration());
        *packet = new;
    }

    /// Returns the codec headers of the encoder.
    pub(crate) fn headers(&self) -> Vec<u8> {
        // SAFETY: an open encoder's extradata has as many bytes as its size field says.
        unsafe {
            let size = usize::try_from((*self.encoder).extradata_size).unwrap_or(0);
            let data = (*self.encoder).extradata;
            if data.is_null() { Vec::new() } else { std::slice::from_raw_parts(data, size).to_vec() }
        }
    }

    /// Returns the texts of a packet.
    ///
    /// # Errors
    /// If it can't be decoded.
    pub(crate) fn decode(&mut self, packet: &mut Packet) -> Result<Vec<Shown>, Failure> {
        let mut shown = Vec::new();
        // SAFETY: the decoder is open; what it fills is read while it is whole, and freed.
        unsafe {
            let mut subtitle: AVSubtitle = std::mem::zeroed();
            let mut got = 0;
            let result =
                avcodec_decode_subtitle2(self.decoder, &raw mut subtitle, &raw mut got, packet.as_mut_ptr());
            if result < 0 {
                return Err(Failure::at("decoding text")(ff::Error::from(result)));
            }
            if got == 0 {
                return Ok(shown);
            }
            for i in 0..subtitle.num_rects as usize {
                let rect = &**subtitle.rects.add(i);
                if rect.ass.is_null() {
                    continue;
                }
                let line = CStr::from_ptr(rect.ass).to_string_lossy();
                let text = captions::text_of_line(&line).to_owned();
                let end = subtitle.end_display_time;
                shown.push(Shown {
                    from: i64::from(subtitle.start_display_time),
                    to: (end > 0 && end < u32::MAX).then_some(i64::from(end)),
                    text,
                });
            }
            avsubtitle_free(&raw mut subtitle);
        }
        Ok(shown)
    }

    /// Encodes a text that is shown for so many milliseconds.
    ///
    /// # Errors
    /// What libavcodec says.
    pub(crate) fn encode(&mut self, text: &str, length: i64) -> Result<Vec<u8>, Failure> {
        let line = format!("0,0,Default,,0,0,0,,{}", text.replace('\0', " "));
        let line = CString::new(line).map_err(Failure::at("encoding text"))?;
        let mut buffer = vec![0; line.as_bytes().len() * 4 + 4096];
        // SAFETY: the encoder is open; the subtitle is built of memory of libav's, which libav frees, and lives through the
        // call; the buffer is as long as libavcodec is told.
        let size = unsafe {
            let mut subtitle: AVSubtitle = std::mem::zeroed();
            let rects = av_mallocz(size_of::<*mut AVSubtitleRect>()).cast::<*mut AVSubtitleRect>();
            let rect = av_mallocz(size_of::<AVSubtitleRect>()).cast::<AVSubtitleRect>();
            if rects.is_null() || rect.is_null() {
                av_free(rects.cast());
                av_free(rect.cast());
                return Err(Failure::new("out of memory"));
            }
            (*rect).type_ = AVSubtitleType::SUBTITLE_ASS;
            (*rect).ass = av_strdup(line.as_ptr());
            if (*rect).ass.is_null() {
                av_free(rects.cast());
                av_free(rect.cast());
                return Err(Failure::new("out of memory"));
            }
            *rects = rect;
            subtitle.rects = rects;
            subtitle.num_rects = 1;
            subtitle.end_display_time = u32::try_from(length).unwrap_or(u32::MAX);
            let room = i32::try_from(buffer.len()).unwrap_or(i32::MAX);
            let size = avcodec_encode_subtitle(self.encoder, buffer.as_mut_ptr(), room, &raw const subtitle);
            avsubtitle_free(&raw mut subtitle);
            size
        };
        let size = usize::try_from(size).map_err(|_| Failure::at("encoding text")(ff::Error::from(size)))?;
        buffer.truncate(size);
        Ok(buffer)
    }
}

impl Drop for TextCoder {
    fn drop(&mut self) {
        // SAFETY: both belong to this value, or are null.
        unsafe {
            avcodec_free_context(&raw mut self.decoder);
            avcodec_free_context(&raw mut self.encoder);
        }
    }
}
