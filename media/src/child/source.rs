//! A source, opened from a descriptor, a file or a socket: only known containers, by their bytes, and nothing that they name.

use std::{
    ffi::CString,
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{FileExt, FileTypeExt},
    ptr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use ffmpeg_next::{
    self as ff, Dictionary, Packet,
    ffi::{
        AVERROR, AVFMT_FLAG_CUSTOM_IO, AVFormatContext, AVIOContext, AVSEEK_FLAG_BACKWARD, AVSEEK_FLAG_BYTE,
        EPERM, av_seek_frame, avformat_alloc_context, avformat_close_input, avformat_find_stream_info,
        avformat_open_input,
    },
    format::context::{Input, StreamIo},
};
use millrace_schemas::{Seek as Place, SeekBy};

use super::Failure;
use crate::timeline::Clock;

mod jumps;

pub(crate) use jumps::{JumpFinder, Jumps};

/// The containers that are opened. What is missing here on purpose: playlists and scripts (hls, dash, concat, ffmetadata,
/// sdp, …), which name other files, devices, pictures that stand, and music that is played by a program.
const CONTAINERS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,flv,live_flv,kux,avi,mpegts,mpeg,mpegvideo,asf,asf_o,ogg,dv,gxf,mxf,nut,nuv,\
                          nsv,ivf,ivr,rm,wtv,lxf,pva,roq,smk,bink,flic,film_cpk,gif,apng,mjpeg,mpjpeg,jpeg_pipe,yuv4mpegpipe,\
                          h261,h263,h264,hevc,m4v,av1,obu,vc1,vc1test,cavsvideo,dnxhd,\
                          mp3,wav,w64,aiff,caf,au,voc,iff,aac,ac3,eac3,dts,dtshd,truehd,mlp,loas,flac,amr,amrnb,amrwb,ape,tak,tta,wv,\
                          mpc,mpc8,dsf,oma,qcp,gsm,sbc,adx,xwma";

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
}

/// Where bytes come from.
enum Origin {
    /// A file, read where it is.
    File(File),
    /// The parent, which answers over a socket: `at:u64 most:u32` asks, `length:u32 bytes` is the answer, 2^32 - 1 that there is
    /// none; at 2^64 - 1 it is asked how long the source is.
    Parent(File),
}

impl Origin {
    fn of(file: File) -> io::Result<(Self, u64)> {
        let metadata = file.metadata()?;
        if !metadata.file_type().is_socket() {
            return Ok((Self::File(file), metadata.len()));
        }
        let mut length = [0; 8];
        let origin = Self::Parent(file);
        if origin.read_at(&mut length, u64::MAX)? != length.len() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok((origin, u64::from_le_bytes(length)))
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let mut socket = match self {
            Self::File(file) => return file.read_at(buffer, at),
            Self::Parent(socket) => socket,
        };
        let most = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        let mut ask = [0; 12];
        ask[..8].copy_from_slice(&at.to_le_bytes());
        ask[8..].copy_from_slice(&most.to_le_bytes());
        socket.write_all(&ask)?;
        let mut length = [0; 4];
        socket.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length) as usize;
        let into = buffer.get_mut(..length).ok_or(io::ErrorKind::BrokenPipe)?;
        socket.read_exact(into)?;
        Ok(length)
    }
}

/// What reads the descriptor. While it is hollow, it gives zeros: so an index can be asked for presentation times
/// without reading the frames that it lists.
struct Bytes {
    origin: Origin,
    size: u64,
    at: u64,
    hollow: Arc<AtomicBool>,
    /// How many more bytes may be read before zeros come.
    left: Arc<AtomicU64>,
    read: Arc<AtomicU64>,
}

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.size.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let most = buffer.len().min(rest);
        let left = self.left.load(Ordering::Relaxed);
        let got = if self.hollow.load(Ordering::Relaxed) || left == 0 {
            buffer[..most].fill(0);
            most
        } else {
            let most = most.min(usize::try_from(left).unwrap_or(usize::MAX));
            let got = self.origin.read_at(&mut buffer[..most], self.at)?;
            self.read.fetch_add(got as u64, Ordering::Relaxed);
            if left < u64::MAX {
                self.left.store(left - got as u64, Ordering::Relaxed);
            }
            got
        };
        self.at += got as u64;
        Ok(got)
    }
}

impl Seek for Bytes {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// An open source.
pub(crate) struct Source {
    pub(crate) input: Input,
    hollow: Arc<AtomicBool>,
    read: Arc<AtomicU64>,
    jumps: Jumps,
}

impl Source {
    /// Opens what is behind the descriptor.
    pub(crate) fn open(file: File, depth: Depth) -> Result<Self, Failure> {
        let (origin, size) = Origin::of(file).map_err(Failure::at("reading the source"))?;
        let (hollow, read) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let left = Arc::new(AtomicU64::new(u64::MAX));
        let bytes =
            Bytes { origin, size, at: 0, hollow: hollow.clone(), left: left.clone(), read: read.clone() };
        let io = StreamIo::from_read_seek_with_capacity(bytes, 64 * 1024)
            .map_err(Failure::at("reading the source"))?;
        Ok(Self { input: open(io, depth, &left)?, hollow, read, jumps: Jumps::new(&[]) })
    }

    /// From here on, times behind these jumps are moved.
    pub(crate) fn set_jumps(&mut self, jumps: &[i64]) {
        self.jumps = Jumps::new(jumps);
    }

    /// Reads the next packet of a stream; `false` at the end, or where nothing more can be read.
    ///
    /// # Errors
    /// What libav says of the place where reading ended, where it is not the end of the source.
    pub(crate) fn read(&mut self, stream: i32, packet: &mut Packet) -> Result<bool, ff::Error> {
        loop {
            match packet.read(&mut self.input) {
                Ok(()) if i32::try_from(packet.stream()).ok() == Some(stream) => {
                    let clock = self.clock(stream);
                    self.jumps.apply(packet, clock);
                    return Ok(true);
                }
                Ok(()) => {}
                Err(ff::Error::Eof) => return Ok(false),
                Err(error) => return Err(error),
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

    /// The clock of a stream; that of one that is not there is a second.
    pub(crate) fn clock(&self, stream: i32) -> Clock {
        let stream = usize::try_from(stream).ok().and_then(|index| self.input.stream(index));
        let tb = stream.map_or(ff::Rational::new(1, 1), |stream| stream.time_base());
        Clock { num: i64::from(tb.numerator()), den: i64::from(tb.denominator().max(1)) }
    }

    /// Leaves all streams but one out of what is read.
    pub(crate) fn only(&mut self, stream: i32) -> Result<(), Failure> {
        let count = self.input.nb_streams();
        if u32::try_from(stream).map_or(true, |stream| stream >= count) {
            return Err(Failure::new(format!("the source has no stream {stream}")));
        }
        for mut other in self.input.streams_mut() {
            let keep = i32::try_from(other.index()).ok() == Some(stream);
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
        let in_header = depth == Depth::Decoding && (name.contains("mp4") || name.contains("matroska"));
        if name.contains("mp4") || name.contains("matroska") {
            (*context).probesize = MOST_FRAME_DATA.cast_signed();
        } else if depth == Depth::Header {
            (*context).probesize = MOST_TO_LEARN;
        }
        if depth == Depth::Header && name.contains("mp4") {
            left.store(MOST_FRAME_DATA, Ordering::Relaxed);
        }
        let mut analysed = if in_header { 0 } else { avformat_find_stream_info(context, ptr::null_mut()) };
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
        other => Failure::new(format!("can't be opened: {other}")),
    }
}
