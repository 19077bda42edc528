//! A source, opened from a descriptor, a file or a socket: only known containers, by their bytes, and nothing that they name.

use std::{
    ffi::CString,
    fs::File,
    ptr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use ffmpeg_next::{
    self as ff, Dictionary, Packet,
    ffi::{
        AVERROR, AVFMT_FLAG_CUSTOM_IO, AVFMT_TS_DISCONT, AVFMTCTX_NOHEADER, AVFormatContext,
        AVINDEX_KEYFRAME, AVIOContext, AVSEEK_FLAG_BACKWARD, AVSEEK_FLAG_BYTE, EPERM, av_seek_frame,
        avformat_alloc_context, avformat_close_input, avformat_find_stream_info,
        avformat_index_get_entries_count, avformat_index_get_entry, avformat_open_input,
    },
    format::context::{Input, StreamIo},
};
use millrace_schemas::{Seek as Place, SeekBy};

use super::{Failure, alive::Budget};
use crate::{
    boxes::{self, Movie},
    claims::{self, LARGE_PICTURE, MOST_PIXELS},
    ends,
    timeline::Clock,
};

mod bytes;
mod jumps;

use bytes::{Bytes, Origin};
pub(crate) use jumps::{JumpFinder, Jumps};

/// The containers that are opened. What is missing here on purpose: playlists and scripts (hls, dash, concat, ffmetadata,
/// sdp, …), which name other files, devices, pictures that stand, and music that is played by a program.
const CONTAINERS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,flv,live_flv,kux,avi,mpegts,mpeg,mpegvideo,asf,asf_o,ogg,dv,gxf,mxf,nut,nuv,\
                          nsv,ivf,ivr,rm,wtv,lxf,pva,roq,smk,bink,flic,film_cpk,gif,apng,mjpeg,mpjpeg,jpeg_pipe,yuv4mpegpipe,\
                          h261,h263,h264,hevc,m4v,av1,obu,vc1,vc1test,cavsvideo,dnxhd,\
                          mp3,wav,w64,aiff,caf,au,voc,iff,aac,ac3,eac3,dts,dtshd,truehd,mlp,loas,flac,amr,amrnb,amrwb,ape,tak,tta,wv,\
                          mpc,mpc8,dsf,oma,qcp,gsm,sbc,adx,xwma";

/// Containers whose streams may turn up anywhere.
const HEADLESS: [&str; 4] = ["mpegts", "mpeg", "flv", "live_flv"];

/// Element IDs of Matroska.
const EBML: &[u8; 4] = b"\x1a\x45\xdf\xa3";
const SEGMENT: &[u8; 4] = b"\x18\x53\x80\x67";

/// How much frame data is read to learn the codecs of an mp4, in bytes.
const MOST_FRAME_DATA: u64 = 500_000;

/// How much is read to learn the codecs of a container that does not say them in a header, in bytes: a sound that begins a
/// second after fast video is behind all of that.
const MOST_TO_LEARN: i64 = 100 << 20;

/// How a source is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// At most 500 kB of frame data.
    Header,
    /// What a decoder needs to begin: of containers that say it in their headers, no frame data.
    Decoding,
    /// As for decoding, but packets come as they lie in the file, whatever edit lists say of them.
    Packets,
}

/// An open source.
pub(crate) struct Source {
    pub(crate) input: Input,
    hollow: Arc<AtomicBool>,
    read: Arc<AtomicU64>,
    jumps: Jumps,
    /// The same bytes, read past libav.
    origin: Origin,
    size: u64,
    /// The largest picture that is decoded, in pixels.
    most_pixels: i64,
}

impl Source {
    /// Opens what is behind the descriptor.
    pub(crate) fn open(file: File, depth: Depth) -> Result<Self, Failure> {
        let reading = "reading the source";
        let (origin, size) = Origin::of(file).map_err(Failure::at(reading))?;
        Self::of(origin, size, depth)
    }

    fn of(origin: Origin, size: u64, depth: Depth) -> Result<Self, Failure> {
        let reading = "reading the source";
        // Looked at once: what follows opens the same bytes.
        if depth == Depth::Header
            && let Some(reason) = claims::overclaimed(size, &origin)
        {
            return Err(Failure::new(reason));
        }
        let again = origin.try_clone().map_err(Failure::at(reading))?;
        let (hollow, read) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let left = Arc::new(AtomicU64::new(u64::MAX));
        let bytes = Bytes {
            origin,
            size,
            at: 0,
            hollow: hollow.clone(),
            left: left.clone(),
            read: read.clone(),
            signs: Budget::of(size),
        };
        let io = StreamIo::from_read_seek_with_capacity(bytes, 64 * 1024)
            .map_err(Failure::at("reading the source"))?;
        let input = open(io, depth, &left)?;
        Ok(Self {
            input,
            hollow,
            read,
            jumps: Jumps::default(),
            origin: again,
            size,
            most_pixels: MOST_PIXELS,
        })
    }

    /// The movie box of an mp4, as its bytes state it; times of at most so many samples.
    pub(crate) fn movie(&self, most_samples: u64) -> Option<Movie> {
        boxes::movie(self.size, &self.origin, most_samples)
    }

    /// The length in seconds that an flv states in its metadata (Adobe Flash Video File Format, E.5). libavformat may take
    /// another for it, by the times of packets.
    pub(crate) fn flv_duration(&self) -> Option<f64> {
        // A number of AMF 0 behind its name.
        const NAME: &[u8] = b"\x00\x08duration\x00";
        let mut head = [0; 4096];
        let got = self.origin.read_at(&mut head, 0).ok()?;
        let head = head.get(..got)?;
        let at = head.windows(NAME.len()).position(|window| window == NAME)? + NAME.len();
        Some(f64::from_be_bytes(*head.get(at..)?.first_chunk::<8>()?))
    }

    /// The same source, as if it ended at an offset in bytes: so a demuxer gives what it holds back up to there.
    pub(crate) fn view(&self, end: u64) -> Result<Self, Failure> {
        let origin = self.origin.try_clone().map_err(Failure::at("reading the source"))?;
        Self::of(origin, self.size.min(end), Depth::Decoding)
    }

    /// The index of the stream with the same id as one of another opening of the source.
    pub(crate) fn same_stream(&self, other: &Self, stream: i32) -> Option<i32> {
        let id = |source: &Self, index: i32| {
            source.input.stream(usize::try_from(index).ok()?).map(|stream| stream.id())
        };
        let wanted = id(other, stream)?;
        let found = self.input.streams().find(|stream| stream.id() == wanted)?;
        i32::try_from(found.index()).ok()
    }

    /// Moves a packet's times behind jumps of the clock, in the order of the source; `track` is the first stream of its track.
    pub(crate) fn apply_jumps(&mut self, packet: &mut Packet, (stream, track): (i32, i32)) {
        let clock = self.clock(stream);
        self.jumps.apply(packet, track, clock);
    }

    /// What is missing at the end, by the container's own headers.
    pub(crate) fn ended_early(&self) -> Option<String> {
        ends::ended_early(&self.container(), self.size, &self.origin)
    }

    /// Whether the clock of this container is expected to jump: what it holds is cut out of something longer.
    pub(crate) fn is_discontinuous(&self) -> bool {
        // SAFETY: the format of an open context is a static of libavformat.
        unsafe { (*(*self.input.as_ptr()).iformat).flags & AVFMT_TS_DISCONT != 0 }
    }

    /// Whether another Matroska file follows in this one: its index is only the first one's.
    pub(crate) fn is_concatenated(&self) -> bool {
        self.matroska_behind().unwrap_or(false)
    }

    /// Looks behind the first Segment for the header of another file (RFC 9559, 5: an EBML document is one header and one
    /// Segment; RFC 8794, 4: the length of an element).
    fn matroska_behind(&self) -> Option<bool> {
        let mut at = 0_u64;
        for id in [EBML, SEGMENT] {
            let mut head = [0; 12];
            let got = self.origin.read_at(&mut head, at).ok()?;
            let head = head.get(..got)?;
            if head.get(..4)? != id {
                return None;
            }
            let first = *head.get(4)?;
            let octets = first.leading_zeros() as usize + 1;
            let rest = head.get(5..4 + octets)?;
            let value =
                rest.iter().fold(u64::from(first) & (0xff >> octets), |all, b| all << 8 | u64::from(*b));
            at = at.checked_add(4 + octets as u64)?.checked_add(value)?;
        }
        let mut next = [0; 4];
        let got = self.origin.read_at(&mut next, at).ok()?;
        Some(at < self.size && got == 4 && next == *EBML)
    }

    /// Whether streams may turn up behind the header.
    pub(crate) fn is_headless(&self) -> bool {
        // SAFETY: a plain field of an open context.
        let flagged = unsafe { (*self.input.as_ptr()).ctx_flags & AVFMTCTX_NOHEADER != 0 };
        flagged || HEADLESS.contains(&self.container().as_str())
    }

    /// From here on, times behind these jumps are moved.
    pub(crate) fn set_jumps(&mut self, jumps: &[i64]) {
        self.jumps = Jumps::new(jumps, self.is_discontinuous());
    }

    /// Reads the next packet of any of these streams, and says of which; `None` at the end, or where nothing more can be
    /// read. Their clocks are set right together: they are one track.
    ///
    /// # Errors
    /// What libav says of the place where reading ended, where it is not the end of the source.
    pub(crate) fn read(&mut self, streams: &[i32], packet: &mut Packet) -> Result<Option<i32>, ff::Error> {
        let stream = self.read_as_it_is(streams, packet)?;
        if let (Some(stream), Some(track)) = (stream, streams.first()) {
            self.apply_jumps(packet, (stream, *track));
        }
        Ok(stream)
    }

    /// Reads the next packet of any of these streams, as it lies in the source.
    pub(crate) fn read_as_it_is(
        &mut self,
        streams: &[i32],
        packet: &mut Packet,
    ) -> Result<Option<i32>, ff::Error> {
        loop {
            self.set_opus_rates();
            match packet.read(&mut self.input) {
                Ok(()) => {
                    let stream = i32::try_from(packet.stream()).unwrap_or(-1);
                    if streams.contains(&stream) && !is_header(packet) {
                        return Ok(Some(stream));
                    }
                }
                Err(ff::Error::Eof) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// Sets the rate of Opus streams to the one that they are decoded at, whatever a container says (RFC 7845, 5.1): libavformat
    /// counts in it how many samples at the end are not heard. It takes the container's again with each packet.
    fn set_opus_rates(&mut self) {
        for mut stream in self.input.streams_mut() {
            // SAFETY: the pointer is of a stream of the open context, which has parameters.
            unsafe {
                let parameters = (*stream.as_mut_ptr()).codecpar;
                if (*parameters).codec_id == ff::ffi::AVCodecID::AV_CODEC_ID_OPUS {
                    (*parameters).sample_rate = 48_000;
                }
            }
        }
    }

    /// From here on, frame data reads as zeros and costs nothing.
    pub(crate) fn make_hollow(&self) {
        self.hollow.store(true, Ordering::Relaxed);
        // What libav finds wrong with zeros is nobody's fault.
        // SAFETY: the level is a plain integer, and nothing else runs in this process.
        unsafe { ffmpeg_next::ffi::av_log_set_level(ffmpeg_next::ffi::AV_LOG_QUIET) };
    }

    /// How many bytes the source has.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The largest picture that is decoded, in pixels.
    pub(crate) fn most_pixels(&self) -> i64 {
        self.most_pixels
    }

    /// Bounds pictures by what was admitted: of a source whose first one has so many pixels, others are at most four times as
    /// large, or as those of 4K.
    pub(crate) fn admit(&mut self, pixels: i64) {
        self.most_pixels = pixels.saturating_mul(4).clamp(LARGE_PICTURE, MOST_PIXELS);
    }

    /// How many bytes were read so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Goes to a place in the source; `false` where it can't.
    pub(crate) fn seek(&mut self, stream: i32, place: Place) -> bool {
        let (stream, flags) = match place.by {
            SeekBy::Time => (stream, AVSEEK_FLAG_BACKWARD),
            SeekBy::Byte => (-1, AVSEEK_FLAG_BYTE),
        };
        // SAFETY: the context is open, and the stream index was checked when the stream was chosen.
        unsafe { av_seek_frame(self.input.as_mut_ptr(), stream, place.at, flags) >= 0 }
    }

    /// Goes back to the start, as far as the container lets it.
    pub(crate) fn rewind(&mut self, stream: i32) {
        // SAFETY: the context is open.
        unsafe {
            let input = self.input.as_mut_ptr();
            let first = match (*input).start_time {
                ff::ffi::AV_NOPTS_VALUE => 0,
                first => first,
            };
            if av_seek_frame(input, -1, first, AVSEEK_FLAG_BACKWARD) < 0 {
                av_seek_frame(input, stream, 0, AVSEEK_FLAG_BYTE);
            }
        }
    }

    /// Which samples of a stream an index that lists all of them calls keyframes; `None` where there is no such index.
    pub(crate) fn listed_keyframes(&self, stream: usize) -> Option<Vec<bool>> {
        if !self.container().contains("mp4") {
            return None;
        }
        let stream = self.input.stream(stream)?;
        // SAFETY: the stream is of an open context, and each entry is read before the next call.
        unsafe {
            let raw = stream.as_ptr().cast_mut();
            let entry = |i| {
                let entry = avformat_index_get_entry(raw, i);
                (!entry.is_null()).then(|| (*entry).flags() & AVINDEX_KEYFRAME != 0)
            };
            (0..avformat_index_get_entries_count(raw)).map(entry).collect()
        }
    }

    /// The clock of a stream; that of one that is not there is a second.
    pub(crate) fn clock(&self, stream: i32) -> Clock {
        let stream = usize::try_from(stream).ok().and_then(|index| self.input.stream(index));
        let tb = stream.map_or(ff::Rational::new(1, 1), |stream| stream.time_base());
        Clock { num: i64::from(tb.numerator()), den: i64::from(tb.denominator().max(1)) }
    }

    /// Leaves all streams but these out of what is read. Some may be found only later: those of a transport stream that
    /// goes on in others.
    pub(crate) fn only(&mut self, streams: &[i32]) -> Result<(), Failure> {
        let count = self.input.nb_streams();
        let first = streams.first().copied().unwrap_or(-1);
        if u32::try_from(first).map_or(true, |stream| stream >= count) {
            return Err(Failure::new(format!("the source has no stream {first}")));
        }
        for mut other in self.input.streams_mut() {
            let keep = i32::try_from(other.index()).is_ok_and(|index| streams.contains(&index));
            // SAFETY: the pointer is of a stream of the open context.
            unsafe {
                (*other.as_mut_ptr()).discard = if keep {
                    ff::ffi::AVDiscard::AVDISCARD_DEFAULT
                } else {
                    ff::ffi::AVDiscard::AVDISCARD_ALL
                };
            }
        }
        Ok(())
    }

    /// The container, by libav's name.
    pub(crate) fn container(&self) -> String {
        self.input.format().name().to_owned()
    }
}

/// Whether a packet is no sound but the header of another Opus stream that was joined to the first (RFC 7845, 5): libavformat
/// passes it on, with a length that it does not have.
pub(crate) fn is_header(packet: &Packet) -> bool {
    packet.data().is_some_and(|data| data.starts_with(b"OpusHead") || data.starts_with(b"OpusTags"))
}

/// Nothing that a container names is opened.
unsafe extern "C" fn refuse_to_open(
    _: *mut AVFormatContext,
    _: *mut *mut AVIOContext,
    _: *const std::ffi::c_char,
    _: i32,
    _: *mut *mut ff::ffi::AVDictionary,
) -> i32 {
    AVERROR(EPERM)
}

/// `left` bounds what is read to learn the codecs of an mp4: its headers say nearly all, and the first bytes of a
/// keyframe, however large, the rest. Zeros behind them cost that picture alone, which nobody sees.
fn open(mut io: StreamIo, depth: Depth, left: &AtomicU64) -> Result<Input, Failure> {
    let mut options = Dictionary::new();
    options.set("format_whitelist", CONTAINERS);
    options.set("protocol_whitelist", "none");
    options.set("max_streams", "100");
    if depth == Depth::Packets {
        options.set("ignore_editlist", "1");
    }
    let name = CString::default();
    // SAFETY: the context is allocated here, and freed by libav where opening fails; where it succeeds, `Input` owns
    // it and the I/O context with it. The options are handed over and taken back.
    unsafe {
        let mut context = avformat_alloc_context();
        if context.is_null() {
            return Err(Failure::new("out of memory"));
        }
        (*context).pb = io.as_mut_ptr();
        (*context).flags |= AVFMT_FLAG_CUSTOM_IO;
        (*context).io_open = Some(refuse_to_open);
        let mut raw = options.disown();
        let opened = avformat_open_input(&raw mut context, name.as_ptr(), ptr::null_mut(), &raw mut raw);
        drop(Dictionary::own(raw));
        if opened < 0 {
            return Err(refusal(ff::Error::from(opened)));
        }
        let name = std::ffi::CStr::from_ptr((*(*context).iformat).name).to_string_lossy();
        let in_header = depth != Depth::Header && (name.contains("mp4") || name.contains("matroska"));
        if name.contains("mp4") || name.contains("matroska") {
            (*context).probesize = MOST_FRAME_DATA.cast_signed();
        } else if depth == Depth::Header {
            (*context).probesize = MOST_TO_LEARN;
        }
        if depth == Depth::Header && name.contains("mp4") {
            left.store(MOST_FRAME_DATA, Ordering::Relaxed);
        }
        if let Some(reason) = too_large(context) {
            avformat_close_input(&raw mut context);
            return Err(Failure::new(reason));
        }
        let mut analysed = if in_header { 0 } else { learn(context) };
        left.store(u64::MAX, Ordering::Relaxed);
        if analysed >= 0 && (*context).nb_streams == 0 {
            analysed = ff::ffi::AVERROR_INVALIDDATA;
        }
        if analysed < 0 {
            avformat_close_input(&raw mut context);
            return Err(refusal(ff::Error::from(analysed)));
        }
        Ok(Input::wrap_with_custom_io(context, io))
    }
}

/// Says why a source is refused of which a header states pictures that are too large.
///
/// # Safety
/// The context is open.
unsafe fn too_large(context: *mut AVFormatContext) -> Option<String> {
    // SAFETY: streams of an open context have parameters.
    unsafe {
        (0..(*context).nb_streams as usize).find_map(|index| {
            let stream = *(*context).streams.add(index);
            let parameters = &*(*stream).codecpar;
            let is_cover = (*stream).disposition & ff::ffi::AV_DISPOSITION_ATTACHED_PIC != 0;
            let (width, height) = (parameters.width, parameters.height);
            (!is_cover && i64::from(width) * i64::from(height) > MOST_PIXELS)
                .then(|| oversized(width, height))
        })
    }
}

/// What is said of pictures that are larger than any that is taken.
pub(crate) fn oversized(width: i32, height: i32) -> String {
    format!(
        "pictures of {width}x{height} are too large: at most 8192x8192, or as many pixels; scale it down first"
    )
}

/// Has libavformat read on until it knows the codecs. It decodes pictures for that, of which large ones are refused.
///
/// # Safety
/// The context is open.
unsafe fn learn(context: *mut AVFormatContext) -> i32 {
    // SAFETY: there is a dictionary for each stream that there is at this moment, as libavformat asks for; they are freed
    // here, whatever it left in them.
    unsafe {
        let count = (*context).nb_streams as usize;
        let mut options: Vec<*mut ff::ffi::AVDictionary> = Vec::new();
        for _ in 0..count {
            let mut each = Dictionary::new();
            each.set("max_pixels", &MOST_PIXELS.to_string());
            options.push(each.disown());
        }
        let pointer = if count == 0 { ptr::null_mut() } else { options.as_mut_ptr() };
        let learnt = avformat_find_stream_info(context, pointer);
        for each in options {
            drop(Dictionary::own(each));
        }
        learnt
    }
}

/// What a person can do about a source that does not open.
fn refusal(error: ff::Error) -> Failure {
    match error {
        ff::Error::InvalidData | ff::Error::Eof | ff::Error::DemuxerNotFound => Failure::new(
            "not a media file that can be read: its bytes are of no known container, or it is cut off \
             (an mp4 whose end is missing has no index); export or copy it again",
        ),
        // What libavformat says of a format that is not on the list above.
        ff::Error::Other { errno: ff::error::EINVAL } => Failure::new(
            "of a kind that is not opened: playlists and scripts name other files; give the video itself",
        ),
        ff::Error::Other { errno: ff::error::ENOMEM } => Failure::new(
            "has more than 100 tracks, or headers that take more memory than they may; leave tracks out, or export it again",
        ),
        other => Failure::new(format!("can't be opened: {other}")),
    }
}
