//! Streams of an open container: their fields, codec parameters, side data and index.

use ffmpeg_next::{
    self as ff, Rational,
    ffi::{
        AV_INPUT_BUFFER_PADDING_SIZE, AV_NOPTS_VALUE, AVCodecParameters, AVFieldOrder, AVINDEX_KEYFRAME,
        AVMediaType, AVPacketSideDataType, AVRational, AVSEEK_FLAG_BACKWARD, AVStream, av_free,
        av_guess_frame_rate, av_index_search_timestamp, av_mallocz, av_memdup, av_stream_add_side_data,
        av_stream_get_side_data, avformat_index_get_entries_count, avformat_index_get_entry,
    },
    format::context::{Input, Output},
};
use millrace_schemas::Ratio;

use crate::child::failure::Failure;

/// Returns the fields of a stream and the parameters of its codec.
pub(crate) fn fields<'a>(stream: &'a ff::Stream<'_>) -> (&'a AVStream, &'a AVCodecParameters) {
    // SAFETY: a stream of an open context has parameters, and both live as long as the context, which is borrowed.
    unsafe {
        let stream = &*stream.as_ptr();
        (stream, &*stream.codecpar)
    }
}

/// Returns which field is shown first: 0 for pictures without fields, 1 for the top one, 2 for the bottom one.
pub(crate) fn field_order(parameters: &AVCodecParameters) -> i32 {
    match parameters.field_order {
        // By which is shown first: stored first, shown first.
        AVFieldOrder::AV_FIELD_TT | AVFieldOrder::AV_FIELD_BT => 1,
        AVFieldOrder::AV_FIELD_BB | AVFieldOrder::AV_FIELD_TB => 2,
        _ => 0,
    }
}

/// Returns the codec headers of a stream (`extradata`); empty if it has none.
pub(crate) fn extradata(parameters: &AVCodecParameters) -> &[u8] {
    let size = usize::try_from(parameters.extradata_size).unwrap_or(0);
    if parameters.extradata.is_null() {
        return &[];
    }
    // SAFETY: extradata has as many bytes as its size field says, and lives as long as the parameters.
    unsafe { std::slice::from_raw_parts(parameters.extradata, size) }
}

/// Returns side data of a stream, if it has any of that kind.
pub(crate) fn side_data<'a>(stream: &'a ff::Stream<'_>, kind: AVPacketSideDataType) -> Option<&'a [u8]> {
    // SAFETY: the stream is of an open context; side data has as many bytes as its size says, and lives as long as the
    // context, which is borrowed.
    unsafe {
        let mut size = 0;
        let data = av_stream_get_side_data(stream.as_ptr(), kind, &raw mut size);
        (!data.is_null()).then(|| std::slice::from_raw_parts(data, size))
    }
}

/// Adds side data to a stream of an output whose header is not written yet.
///
/// # Errors
/// If there is no such stream, or no memory.
pub(crate) fn add_side_data(
    output: &mut Output,
    stream: usize,
    kind: AVPacketSideDataType,
    bytes: &[u8],
) -> Result<(), Failure> {
    let doing = "beginning the output";
    let mut stream =
        output.stream_mut(stream).ok_or_else(|| Failure::new(format!("{doing}: a stream is missing")))?;
    // SAFETY: the stream is of an open context; the bytes are copied into memory of libav's, which belongs to the stream once it was
    // added.
    let added = unsafe {
        let copy = av_memdup(bytes.as_ptr().cast(), bytes.len());
        let added = if copy.is_null() {
            -1
        } else {
            av_stream_add_side_data(stream.as_mut_ptr(), kind, copy.cast(), bytes.len())
        };
        if added < 0 {
            av_free(copy);
        }
        added
    };
    if added < 0 { Err(Failure::new(format!("{doing}: out of memory"))) } else { Ok(()) }
}

/// Adds a stream to an output whose header is not written yet, for packets that are copied from a stream of a source. `tag` is the code
/// of its codec there; `None` leaves the choice to the muxer.
///
/// # Errors
/// If there is no memory.
pub(crate) fn add_copy(
    output: &mut Output,
    source: &ff::Stream<'_>,
    tag: Option<[u8; 4]>,
) -> Result<(), Failure> {
    let doing = "beginning the output";
    let (parameters, metadata) = (source.parameters(), source.metadata().to_owned());
    let (clock, aspect) = (source.time_base(), fields(source).0.sample_aspect_ratio);
    let (rate, disposition) = (fields(source).0.avg_frame_rate, fields(source).0.disposition);
    let mut stream = output.add_stream(ff::codec::Id::None).map_err(Failure::at(doing))?;
    stream.set_parameters(parameters);
    stream.set_time_base(clock);
    stream.set_metadata(metadata);
    // SAFETY: the stream was just made and has parameters; these are plain fields of both.
    unsafe {
        let stream = &mut *stream.as_mut_ptr();
        stream.sample_aspect_ratio = aspect;
        stream.avg_frame_rate = rate;
        stream.disposition = disposition;
        (*stream.codecpar).codec_tag = tag.map_or(0, u32::from_le_bytes);
    }
    Ok(())
}

/// Sets the codec headers of a stream of an output whose header is not written yet.
///
/// # Errors
/// If there is no such stream, or no memory.
pub(crate) fn set_extradata(output: &mut Output, stream: usize, bytes: &[u8]) -> Result<(), Failure> {
    let doing = "beginning the output";
    let mut stream =
        output.stream_mut(stream).ok_or_else(|| Failure::new(format!("{doing}: a stream is missing")))?;
    let size = i32::try_from(bytes.len()).map_err(Failure::at(doing))?;
    // SAFETY: the stream is of an open context and has parameters; the bytes are copied into memory of libav's with the padding that it
    // asks for, which belongs to the parameters in place of what they had.
    unsafe {
        let parameters = &mut *(*stream.as_mut_ptr()).codecpar;
        let copy = av_mallocz(bytes.len() + AV_INPUT_BUFFER_PADDING_SIZE as usize).cast::<u8>();
        if copy.is_null() {
            return Err(Failure::new(format!("{doing}: out of memory")));
        }
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), copy, bytes.len());
        av_free(parameters.extradata.cast());
        parameters.extradata = copy;
        parameters.extradata_size = size;
    }
    Ok(())
}

/// Returns the bytes of the attached picture (cover) of a stream, if it has one.
pub(crate) fn attached_picture<'a>(stream: &'a ff::Stream<'_>) -> Option<&'a [u8]> {
    let picture = &fields(stream).0.attached_pic;
    let size = usize::try_from(picture.size).unwrap_or(0);
    // SAFETY: a packet's data has as many bytes as its size says, and lives as long as the stream's context, which is borrowed.
    (!picture.data.is_null()).then(|| unsafe { std::slice::from_raw_parts(picture.data, size) })
}

/// Returns the frame rate that libavformat guesses for a stream; 0/1 if it can't tell.
pub(crate) fn guess_frame_rate(input: &Input, stream: &ff::Stream<'_>) -> AVRational {
    // SAFETY: both are of an open context. Guessing a rate only reads them, though C has no const for it.
    unsafe {
        av_guess_frame_rate(input.as_ptr().cast_mut(), stream.as_ptr().cast_mut(), std::ptr::null_mut())
    }
}

/// Returns when a stream of pictures or sound begins, in microseconds; `None` if it does not say, or is of another kind.
pub(crate) fn start_micros(stream: &ff::Stream<'_>) -> Option<i64> {
    let (s, parameters) = fields(stream);
    let is_played =
        matches!(parameters.codec_type, AVMediaType::AVMEDIA_TYPE_VIDEO | AVMediaType::AVMEDIA_TYPE_AUDIO);
    let is_known = s.start_time != AV_NOPTS_VALUE && is_played;
    // The cast saturates.
    is_known.then(|| (s.start_time as f64 * ratio(s.time_base).as_f64() * 1e6) as i64)
}

/// An entry of a container's index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    /// In ticks of the stream; a decoding time in mp4.
    pub(crate) timestamp: i64,
    /// Where the packet lies in the file, in bytes.
    pub(crate) offset: i64,
    /// The bytes of the packet.
    pub(crate) size: i32,
    pub(crate) is_keyframe: bool,
}

/// Returns how many entries the index of a stream has.
pub(crate) fn index_length(stream: &ff::Stream<'_>) -> i32 {
    // SAFETY: the stream is of an open context.
    unsafe { avformat_index_get_entries_count(stream.as_ptr()) }
}

/// Returns an entry of the index of a stream; `None` if there is none of that number.
pub(crate) fn index_entry(stream: &ff::Stream<'_>, number: i32) -> Option<IndexEntry> {
    // SAFETY: the stream is of an open context, whose index changes only by calls that need the context mutably; the entry is
    // copied before it can. libavformat returns null for a number that is out of range.
    unsafe {
        let entry = avformat_index_get_entry(stream.as_ptr().cast_mut(), number);
        (!entry.is_null()).then(|| IndexEntry {
            timestamp: (*entry).timestamp,
            offset: (*entry).pos,
            size: (*entry).size(),
            is_keyframe: (*entry).flags() & AVINDEX_KEYFRAME != 0,
        })
    }
}

/// Returns all entries of the index of a stream; `None` if one can't be read.
pub(crate) fn index(stream: &ff::Stream<'_>) -> Option<Vec<IndexEntry>> {
    (0..index_length(stream)).map(|number| index_entry(stream, number)).collect()
}

/// Returns the last keyframe at or before a time in the index of a stream, if there is one.
pub(crate) fn keyframe_before(stream: &ff::Stream<'_>, at: i64) -> Option<IndexEntry> {
    // SAFETY: the stream is of an open context, and a search only reads it, though C has no const for it.
    let number = unsafe { av_index_search_timestamp(stream.as_ptr().cast_mut(), at, AVSEEK_FLAG_BACKWARD) };
    index_entry(stream, number)
}

/// Returns a fraction of libav's.
pub(crate) fn ratio(rational: AVRational) -> Ratio {
    Ratio { num: rational.num, den: rational.den }
}

/// Returns a fraction as libav has it; a denominator below 1 becomes 1.
pub(crate) fn rational(ratio: Ratio) -> Rational {
    Rational::new(ratio.num, ratio.den.max(1))
}
