//! A source, opened from a descriptor, a file or a socket: only known containers, by their bytes, and nothing that they name.

use std::{
    fs::File,
    ops::Range,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use ffmpeg_next::{
    self as ff, Dictionary, Packet, codec,
    ffi::AVFMT_TS_DISCONT,
    format::context::{Input, StreamIo},
    util::log,
};
use millrace_schemas::{Seek as Place, SeekBy};

use super::{
    alive::Budget,
    failure::Failure,
    libav::{
        input::{self, Header},
        stream,
    },
};
use crate::{
    boxes::{self, Movie, Track},
    claims::{self, LARGE_PICTURE, MOST_PIXELS},
    ends,
    matroska::{self, Segment},
    timeline::Clock,
    transport::{self, Transport},
};

mod bytes;
mod discontinuities;
mod fragments;
mod listed;

pub(crate) use bytes::read_whole;
use bytes::{Bytes, Origin};
pub(crate) use discontinuities::{Discontinuities, DiscontinuityFinder};

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

/// The rate at which Opus is decoded, in samples per second.
const OPUS_RATE: i32 = 48_000;

/// Containers of sound alone that count samples: there are no holes in them, and times are exact.
pub(crate) const COUNTED: [&str; 6] = ["wav", "flac", "aiff", "w64", "caf", "au"];

/// How a source is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// At most 500 kB of frame data.
    Header,
    /// What a decoder needs to begin, at the first opening of a source: of an mp4 no frame data. What its headers claim is checked.
    First,
    /// What a decoder needs to begin: of containers that say it in their headers, no frame data.
    Decoding,
    /// As for decoding, but packets come as they lie in the file, whatever edit lists say of them.
    Packets,
}

/// An open source.
pub(crate) struct Source {
    pub(crate) input: Input,
    hollow: Arc<AtomicBool>,
    blank: Arc<OnceLock<Vec<Range<u64>>>>,
    read: Arc<AtomicU64>,
    discontinuities: Discontinuities,
    /// The same bytes, read past libav.
    origin: Origin,
    size: u64,
    /// The largest picture that is decoded, in pixels.
    most_pixels: i64,
}

impl Source {
    /// Opens the source behind a descriptor.
    ///
    /// # Errors
    /// If it is of no known container, has pictures that are too large, or claims more than its bytes can hold.
    pub(crate) fn open(file: File, depth: Depth) -> Result<Self, Failure> {
        let reading = "reading the source";
        let (origin, size) = Origin::of(file).map_err(Failure::at(reading))?;
        Self::of(origin, size, depth)
    }

    /// Opens a part of a file as if there were no more of it.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub(crate) fn open_part(file: File, part: Range<u64>, depth: Depth) -> Result<Self, Failure> {
        let bytes = part.end.saturating_sub(part.start);
        Self::of(Origin::Part(file, part.start, bytes), bytes, depth)
    }

    fn of(origin: Origin, size: u64, depth: Depth) -> Result<Self, Failure> {
        let reading = "reading the source";
        // Checked at the first opening only: others open the same bytes.
        if matches!(depth, Depth::Header | Depth::First)
            && let Some(reason) = claims::overclaimed(size, &origin)
        {
            return Err(Failure::new(reason));
        }
        let again = origin.try_clone().map_err(Failure::at(reading))?;
        let (hollow, read) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let left = Arc::new(AtomicU64::new(u64::MAX));
        let blank = Arc::new(OnceLock::new());
        let bytes = Bytes {
            origin,
            size,
            at: 0,
            hollow: hollow.clone(),
            blank: blank.clone(),
            left: left.clone(),
            read: read.clone(),
            signs: Budget::of(size),
        };
        let io = StreamIo::from_read_seek_with_capacity(bytes, 64 * 1024)
            .map_err(Failure::at("reading the source"))?;
        let input = open(io, depth, &left)
            .map_err(|failure| if is_playlist(&again) { playlist() } else { failure })?;
        Ok(Self {
            input,
            hollow,
            blank,
            read,
            discontinuities: Discontinuities::default(),
            origin: again,
            size,
            most_pixels: MOST_PIXELS,
        })
    }

    /// The movie box of an mp4, as its bytes state it; times of at most so many samples.
    pub(crate) fn movie(&self, most_samples: u64) -> Option<Movie> {
        boxes::movie(self.size, &self.origin, most_samples)
    }

    /// Returns `true` for a container with a movie box.
    pub(crate) fn is_movie(&self) -> bool {
        self.container().contains("mp4")
    }

    /// Returns `true` for Matroska.
    pub(crate) fn is_matroska(&self) -> bool {
        self.container().contains("matroska")
    }

    /// Returns `true` for an flv.
    pub(crate) fn is_flv(&self) -> bool {
        self.container() == "flv"
    }

    /// Returns the track of a movie box that a stream is: the one with its id.
    pub(crate) fn track_of<'a>(&self, movie: &'a Movie, stream: i32) -> Option<&'a Track> {
        let id = u32::try_from(self.input.stream(usize::try_from(stream).ok()?)?.id()).ok()?;
        let mut tracks = movie.tracks.iter().filter(|track| track.id == id);
        tracks.next().filter(|_| tracks.next().is_none())
    }

    /// The Segment of a Matroska file, as its bytes state it, with at most so many blocks and so many bytes of attached files.
    pub(crate) fn matroska(&self, most_blocks: u64, most_attached: u64) -> Option<Segment> {
        matroska::segment(self.size, &self.origin, most_blocks, most_attached)
    }

    /// What the packets of a transport stream state, with at most so many packets of elementary streams.
    pub(crate) fn transport(&self, most_packets: u64) -> Result<Transport, String> {
        transport::transport(self.size, &self.origin, most_packets)
    }

    /// What the packets of a part of a file state, which is a transport stream by itself, with at most so many packets of elementary
    /// streams.
    pub(crate) fn transport_of_part(
        file: File,
        part: Range<u64>,
        most_packets: u64,
    ) -> Result<Transport, String> {
        let bytes = part.end.saturating_sub(part.start);
        transport::transport(bytes, &Origin::Part(file, part.start, bytes), most_packets)
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

    /// Moves a packet's times behind discontinuities, in the order of the source; `track` is the first stream of its track.
    pub(crate) fn apply_discontinuities(&mut self, packet: &mut Packet, (stream, track): (i32, i32)) {
        let clock = self.clock(stream);
        self.discontinuities.apply(packet, track, clock);
    }

    /// What is missing at the end, by the container's own headers.
    pub(crate) fn ended_early(&self) -> Option<String> {
        ends::ended_early(&self.container(), self.size, &self.origin)
    }

    /// Returns `true` if discontinuities are expected in this container: what it holds is cut out of something longer.
    pub(crate) fn is_discontinuous(&self) -> bool {
        input::format_flags(&self.input) & AVFMT_TS_DISCONT != 0
    }

    /// Returns `true` if another Matroska file follows in this one, of which the index knows nothing.
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

    /// Returns `true` if streams may turn up behind the header.
    pub(crate) fn is_headless(&self) -> bool {
        input::has_no_header(&self.input) || HEADLESS.contains(&self.container().as_str())
    }

    /// Sets by how many microseconds times behind each discontinuity are moved, from here on.
    pub(crate) fn set_discontinuities(&mut self, moves: &[i64]) {
        self.discontinuities = Discontinuities::new(moves, self.is_discontinuous());
    }

    /// Reads the next packet of any of these streams, which are one track, and moves its times behind discontinuities. Returns the
    /// packet's stream; `None` at the end.
    ///
    /// # Errors
    /// What libav says if it can't read on before the end.
    pub(crate) fn read(&mut self, streams: &[i32], packet: &mut Packet) -> Result<Option<i32>, ff::Error> {
        let stream = self.read_as_it_is(streams, packet)?;
        if let (Some(stream), Some(track)) = (stream, streams.first()) {
            self.apply_discontinuities(packet, (stream, *track));
        }
        Ok(stream)
    }

    /// Reads the next packet of any stream, as it lies in the source.
    ///
    /// # Errors
    /// What libav says if it can't read on; `Eof` at the end.
    pub(crate) fn next_packet(&mut self, packet: &mut Packet) -> Result<(), ff::Error> {
        // libavformat overwrites a packet without freeing what is in it (before 6.0, `ff_read_packet` calls `av_init_packet`).
        *packet = Packet::empty();
        packet.read(&mut self.input)
    }

    /// Reads the next packet of any of these streams, as it lies in the source.
    pub(crate) fn read_as_it_is(
        &mut self,
        streams: &[i32],
        packet: &mut Packet,
    ) -> Result<Option<i32>, ff::Error> {
        loop {
            // Opus is decoded at this rate, whatever a container says (RFC 7845, 5.1): libavformat counts in it how many samples at
            // the end are not heard. It takes the container's again with each packet.
            input::set_opus_rates(&mut self.input, OPUS_RATE);
            match self.next_packet(packet) {
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

    /// From here on, frame data reads as zeros and costs nothing.
    pub(crate) fn make_hollow(&self) {
        self.hollow.store(true, Ordering::Relaxed);
        // Errors that libav finds in zeros mean nothing.
        log::set_level(log::Level::Quiet);
    }

    /// Returns the size of the source in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Returns the size of the largest picture that is decoded, in pixels.
    pub(crate) fn most_pixels(&self) -> i64 {
        self.most_pixels
    }

    /// Bounds the size of pictures by the first one of the source, in pixels: others may be four times as large, or as those of 4K.
    pub(crate) fn admit(&mut self, pixels: i64) {
        self.most_pixels = pixels.saturating_mul(4).clamp(LARGE_PICTURE, MOST_PIXELS);
    }

    /// Returns how many bytes were read so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Goes to a seek point; `false` if that is not possible.
    pub(crate) fn seek(&mut self, stream: i32, place: Place) -> bool {
        match place.by {
            SeekBy::Time => input::seek_to_time(&mut self.input, stream, place.at),
            SeekBy::Byte => input::seek_to_byte(&mut self.input, -1, place.at),
        }
    }

    /// Returns when the source begins, in microseconds: when the first of its streams does, as far as they say it.
    pub(crate) fn start(&self) -> i64 {
        let of_streams = || self.input.streams().filter_map(|stream| stream::start_micros(&stream)).min();
        input::known_start_time(&self.input).or_else(of_streams).unwrap_or(0)
    }

    /// Goes back to the start, as far as the container lets it.
    pub(crate) fn rewind(&mut self, stream: i32) {
        let first = input::start_time(&self.input);
        if !input::seek_to_time(&mut self.input, -1, first) {
            input::seek_to_byte(&mut self.input, stream, 0);
        }
    }

    /// Returns the clock of a stream; one of seconds if there is no such stream.
    pub(crate) fn clock(&self, stream: i32) -> Clock {
        let stream = usize::try_from(stream).ok().and_then(|index| self.input.stream(index));
        let tb = stream.map_or(ff::Rational::new(1, 1), |stream| stream.time_base());
        Clock { num: i64::from(tb.numerator()), den: i64::from(tb.denominator().max(1)) }
    }

    /// Reads no packets of other streams from here on. Some of these may be found only later, if a track of a transport stream goes on
    /// in them.
    ///
    /// # Errors
    /// If the first of them is not there.
    pub(crate) fn only(&mut self, streams: &[i32]) -> Result<(), Failure> {
        let count = self.input.nb_streams();
        let first = streams.first().copied().unwrap_or(-1);
        if u32::try_from(first).map_or(true, |stream| stream >= count) {
            return Err(Failure::new(format!("the source has no stream {first}")));
        }
        let keep = |index| i32::try_from(index).is_ok_and(|index| streams.contains(&index));
        input::keep_streams(&mut self.input, keep);
        Ok(())
    }

    /// Returns the codec's parameters of a stream.
    ///
    /// # Errors
    /// If the source has no such stream.
    pub(crate) fn parameters(&self, stream: i32) -> Result<codec::Parameters, Failure> {
        usize::try_from(stream)
            .ok()
            .and_then(|index| self.input.stream(index).map(|stream| stream.parameters()))
            .ok_or_else(|| Failure::new(format!("the source has no stream {stream}")))
    }

    /// Returns libavformat's name of the container.
    pub(crate) fn container(&self) -> String {
        self.input.format().name().to_owned()
    }
}

/// Returns `true` if a packet is the header of another Opus stream that was joined to the first (RFC 7845, 5), and no sound.
/// libavformat passes it on with a wrong length.
pub(crate) fn is_header(packet: &Packet) -> bool {
    packet.data().is_some_and(|data| data.starts_with(b"OpusHead") || data.starts_with(b"OpusTags"))
}

/// `left` bounds what is read to learn the codecs of an mp4: its headers say nearly all, and the first bytes of a
/// keyframe, however large, the rest. Zeros behind them damage only that picture, which is not shown.
fn open(io: StreamIo, depth: Depth, left: &AtomicU64) -> Result<Input, Failure> {
    let mut options = Dictionary::new();
    options.set("format_whitelist", CONTAINERS);
    options.set("protocol_whitelist", "none");
    options.set("max_streams", "100");
    if depth == Depth::Packets {
        options.set("ignore_editlist", "1");
    }
    let mut header = Header::read(io, options).map_err(refusal)?;
    let name = header.container();
    let has_index = name.contains("mp4") || name.contains("matroska");
    if has_index {
        header.set_probe_size(MOST_FRAME_DATA.cast_signed());
    } else if matches!(depth, Depth::Header | Depth::First) {
        header.set_probe_size(MOST_TO_LEARN);
    }
    if depth == Depth::Header && name.contains("mp4") {
        left.store(MOST_FRAME_DATA, Ordering::Relaxed);
    }
    let is_too_large = |size: &(i32, i32)| i64::from(size.0) * i64::from(size.1) > MOST_PIXELS;
    if let Some((width, height)) = header.sizes().into_iter().find(is_too_large) {
        return Err(Failure::new(oversized(width, height)));
    }
    // libavformat decodes pictures to learn their codecs; large ones are errors there.
    let says_all = match depth {
        Depth::Header => false,
        Depth::First => name.contains("mp4"),
        Depth::Decoding | Depth::Packets => has_index,
    };
    let learnt =
        if says_all { Ok(()) } else { header.learn_codecs(("max_pixels", &MOST_PIXELS.to_string())) };
    left.store(u64::MAX, Ordering::Relaxed);
    learnt.map_err(refusal)?;
    if header.streams() == 0 {
        return Err(refusal(ff::Error::InvalidData));
    }
    Ok(header.finish())
}

/// Returns the reason why pictures of this size are refused.
pub(crate) fn oversized(width: i32, height: i32) -> String {
    format!(
        "pictures of {width}x{height} are too large: at most 8192x8192, or as many pixels; scale it down first"
    )
}

/// Returns whether a source begins as a playlist of HLS does (RFC 8216, 4.3.1.1). libavformat from release 7 on knows them by their
/// names alone, which it is not told here.
fn is_playlist(source: &Origin) -> bool {
    const START: &[u8] = b"#EXTM3U";
    let mut head = [0; START.len()];
    source.read_at(&mut head, 0).is_ok_and(|got| got == START.len() && head == *START)
}

fn playlist() -> Failure {
    Failure::new(
        "of a kind that is not opened: playlists and scripts name other files; give the video itself",
    )
}

/// Returns why a source does not open, and what to do about it.
fn refusal(error: ff::Error) -> Failure {
    match error {
        ff::Error::InvalidData | ff::Error::Eof | ff::Error::DemuxerNotFound => Failure::new(
            "not a media file that can be read: its bytes are of no known container, or it is cut off \
             (an mp4 whose end is missing has no index); export or copy it again",
        ),
        // What libavformat says of a format that is not on the list above.
        ff::Error::Other { errno: ff::error::EINVAL } => playlist(),
        ff::Error::Other { errno: ff::error::ENOMEM } => Failure::new(
            "has more than 100 tracks, or headers that take more memory than they may; leave tracks out, or export it again",
        ),
        other => Failure::new(format!("can't be opened: {other}")),
    }
}
