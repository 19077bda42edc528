//! Containers that are read: opened with I/O of the caller's, and nothing that they name.

use std::{ffi::CString, mem::ManuallyDrop, ptr};

use ffmpeg_next::{
    self as ff, Dictionary,
    ffi::{
        AV_DISPOSITION_ATTACHED_PIC, AV_NOPTS_VALUE, AVDictionary, AVDiscard, AVERROR, AVFMT_FLAG_CUSTOM_IO,
        AVFMTCTX_NOHEADER, AVFormatContext, AVIOContext, AVSEEK_FLAG_BACKWARD, AVSEEK_FLAG_BYTE, EPERM,
        av_seek_frame, avformat_alloc_context, avformat_close_input, avformat_find_stream_info,
        avformat_open_input,
    },
    format::context::{Input, StreamIo},
};

/// Nothing that a container names is opened.
unsafe extern "C" fn refuse_to_open(
    _: *mut AVFormatContext,
    _: *mut *mut AVIOContext,
    _: *const std::ffi::c_char,
    _: i32,
    _: *mut *mut AVDictionary,
) -> i32 {
    AVERROR(EPERM)
}

/// A container whose header was read, and whose codecs may not be known yet.
pub(crate) struct Header {
    /// Never null.
    context: *mut AVFormatContext,
    /// What the context reads; it must outlive it.
    io: StreamIo,
}

impl Header {
    /// Reads the header.
    ///
    /// # Errors
    /// What libavformat says of it. If there is no memory for its structures: ENOMEM.
    pub(crate) fn read(mut io: StreamIo, options: Dictionary<'_>) -> Result<Self, ff::Error> {
        let name = CString::default();
        // SAFETY: the context is allocated here, and freed by libavformat if opening fails; if not, it belongs to the value that
        // is returned, with the I/O context that it uses. The options are handed over and taken back.
        let context = unsafe {
            let mut context = avformat_alloc_context();
            if context.is_null() {
                return Err(ff::Error::Other { errno: ff::error::ENOMEM });
            }
            (*context).pb = io.as_mut_ptr();
            (*context).flags |= AVFMT_FLAG_CUSTOM_IO;
            (*context).io_open = Some(refuse_to_open);
            let mut raw = options.disown();
            let opened = avformat_open_input(&raw mut context, name.as_ptr(), ptr::null_mut(), &raw mut raw);
            drop(Dictionary::own(raw));
            if opened < 0 {
                return Err(ff::Error::from(opened));
            }
            context
        };
        Ok(Self { context, io })
    }

    /// Returns libavformat's name of the container.
    pub(crate) fn container(&self) -> String {
        // SAFETY: the context is open; its format is a static of libavformat, and so is that one's name.
        unsafe { std::ffi::CStr::from_ptr((*(*self.context).iformat).name).to_string_lossy().into_owned() }
    }

    /// Sets how many bytes are read at the most to learn the codecs.
    pub(crate) fn set_probe_size(&mut self, bytes: i64) {
        // SAFETY: the context is open; this is a plain number in it.
        unsafe { (*self.context).probesize = bytes };
    }

    /// Returns width and height of each stream as the header states them, but for attached pictures.
    pub(crate) fn sizes(&self) -> Vec<(i32, i32)> {
        // SAFETY: the context is open; it has as many streams as it says, and each has parameters.
        unsafe {
            (0..(*self.context).nb_streams as usize)
                .map(|index| *(*self.context).streams.add(index))
                .filter(|stream| (**stream).disposition & AV_DISPOSITION_ATTACHED_PIC == 0)
                .map(|stream| ((*(*stream).codecpar).width, (*(*stream).codecpar).height))
                .collect()
        }
    }

    /// Reads on until the codecs are known, with this option for each decoder that libavformat tries.
    ///
    /// # Errors
    /// What libavformat says.
    pub(crate) fn learn_codecs(&mut self, option: (&str, &str)) -> Result<(), ff::Error> {
        // SAFETY: the context is open. There is a dictionary for each stream that there is at this moment, as libavformat asks for;
        // they are freed here, whatever it left in them.
        let learnt = unsafe {
            let count = (*self.context).nb_streams as usize;
            let mut options: Vec<*mut AVDictionary> = Vec::new();
            for _ in 0..count {
                let mut each = Dictionary::new();
                each.set(option.0, option.1);
                options.push(each.disown());
            }
            let pointer = if count == 0 { ptr::null_mut() } else { options.as_mut_ptr() };
            let learnt = avformat_find_stream_info(self.context, pointer);
            for each in options {
                drop(Dictionary::own(each));
            }
            learnt
        };
        if learnt < 0 { Err(ff::Error::from(learnt)) } else { Ok(()) }
    }

    /// Returns how many streams are known so far.
    pub(crate) fn streams(&self) -> u32 {
        // SAFETY: the context is open; this is a plain number in it.
        unsafe { (*self.context).nb_streams }
    }

    /// Returns the open container.
    pub(crate) fn finish(self) -> Input {
        let header = ManuallyDrop::new(self);
        // SAFETY: the header is not dropped, so that its I/O context is moved out once; from here on, it and the open context
        // belong to the input alone.
        unsafe { Input::wrap_with_custom_io(header.context, ptr::read(&raw const header.io)) }
    }
}

impl Drop for Header {
    fn drop(&mut self) {
        // SAFETY: the context belongs to this value; what it reads is dropped after it.
        unsafe { avformat_close_input(&raw mut self.context) };
    }
}

/// Returns the flags of a container's format (`AVFMT_*`).
pub(crate) fn format_flags(input: &Input) -> i32 {
    // SAFETY: the format of an open context is a static of libavformat.
    unsafe { (*(*input.as_ptr()).iformat).flags }
}

/// Returns `true` if streams may turn up behind the header, as libavformat says.
pub(crate) fn has_no_header(input: &Input) -> bool {
    // SAFETY: the context is open; this is a plain number in it.
    unsafe { (*input.as_ptr()).ctx_flags & AVFMTCTX_NOHEADER != 0 }
}

/// Goes to the keyframe at or before a time, in ticks of a stream, or in microseconds for stream -1; `false` if that is not
/// possible.
pub(crate) fn seek_to_time(input: &mut Input, stream: i32, at: i64) -> bool {
    seek(input, stream, at, AVSEEK_FLAG_BACKWARD)
}

/// Goes to an offset in bytes; `false` if that is not possible.
pub(crate) fn seek_to_byte(input: &mut Input, stream: i32, at: i64) -> bool {
    seek(input, stream, at, AVSEEK_FLAG_BYTE)
}

fn seek(input: &mut Input, stream: i32, at: i64, flags: i32) -> bool {
    // libavformat takes any index for that of a stream.
    if stream != -1 && u32::try_from(stream).map_or(true, |stream| stream >= input.nb_streams()) {
        return false;
    }
    // SAFETY: the context is open, and has a stream of that index, or is asked for none.
    unsafe { av_seek_frame(input.as_mut_ptr(), stream, at, flags) >= 0 }
}

/// Returns when a container begins, in microseconds; 0 if it does not say.
pub(crate) fn start_time(input: &Input) -> i64 {
    known_start_time(input).unwrap_or(0)
}

/// Returns when a container begins, in microseconds; `None` if it does not say.
pub(crate) fn known_start_time(input: &Input) -> Option<i64> {
    // SAFETY: the context is open; this is a plain number in it.
    match unsafe { (*input.as_ptr()).start_time } {
        AV_NOPTS_VALUE => None,
        first => Some(first),
    }
}

/// Makes libavformat give packets of streams for which `keep` is true, and of no others.
pub(crate) fn keep_streams(input: &mut Input, keep: impl Fn(usize) -> bool) {
    for mut stream in input.streams_mut() {
        let discard =
            if keep(stream.index()) { AVDiscard::AVDISCARD_DEFAULT } else { AVDiscard::AVDISCARD_ALL };
        // SAFETY: the stream is of an open context; this is a plain field of it.
        unsafe { (*stream.as_mut_ptr()).discard = discard };
    }
}

/// Sets the sampling rate of Opus streams, in samples per second.
pub(crate) fn set_opus_rates(input: &mut Input, rate: i32) {
    for mut stream in input.streams_mut() {
        // SAFETY: the stream is of an open context, and has parameters; this is a plain number in them.
        unsafe {
            let parameters = (*stream.as_mut_ptr()).codecpar;
            if (*parameters).codec_id == ff::ffi::AVCodecID::AV_CODEC_ID_OPUS {
                (*parameters).sample_rate = rate;
            }
        }
    }
}
