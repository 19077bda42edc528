//! The file of a clip: streams with the codec headers of the source, packets with times from the clip's start, edit lists.

use std::fs::File;

use ffmpeg_next::{
    self as ff, Packet,
    ffi::AVPacketSideDataType,
    format::context::{Output, StreamIo},
};
use millrace_formats::{
    Container,
    container::{Contents, Index},
};

use crate::{
    boxes::edit::NewEdits,
    child::{
        alive,
        codec::{dictionary, tables},
        failure::Failure,
        libav::{codec::name_of, metadata, packet::bare, stream},
        mux::{self, COARSE_TICKS, common_multiple},
        output_file::{FirstError, OutputFile},
        source::Source,
    },
    clip::DecodingTimes,
    timeline::{Clock, rescale_timestamp},
};

const WRITING: &str = "writing the clip";
/// What is copied of streams beside their packets: how pictures are turned, and what is said of their light.
const SIDE_DATA: [AVPacketSideDataType; 3] = [
    AVPacketSideDataType::AV_PKT_DATA_DISPLAYMATRIX,
    AVPacketSideDataType::AV_PKT_DATA_MASTERING_DISPLAY_METADATA,
    AVPacketSideDataType::AV_PKT_DATA_CONTENT_LIGHT_LEVEL,
];
/// The most packets that an index has room for in front.
const MOST_PACKETS: f64 = 1_000_000.0;
/// How many packets an index has room for beside those that are expected.
const MORE_PACKETS: f64 = 500.0;
/// The fewest samples that packets of sound are expected to have, if their codec does not say.
const FEWEST_SAMPLES: f64 = 240.0;

/// A stream of the source that a clip has.
pub(super) struct Planned {
    /// Its index in the source.
    pub(super) index: i32,
    /// Its codec headers, if they are others than in the source.
    pub(super) headers: Option<Vec<u8>>,
    /// How long before its presentation the first packet is decoded, in ticks of the source, where the source does not say.
    pub(super) lead: i64,
}

/// A packet of a clip, in ticks of the source's stream.
pub(super) struct ClipPacket {
    pub(super) pts: i64,
    /// The decoding time, if it is known.
    pub(super) dts: Option<i64>,
    /// For how long it is shown or heard.
    pub(super) duration: i64,
    pub(super) is_key: bool,
    /// The packet whose bytes are written.
    pub(super) packet: Packet,
    /// From when until when it is shown or heard.
    pub(super) part: (i64, i64),
}

/// A stream that is being written.
struct Stream {
    /// Its clock in the source and in the clip.
    clock: Clock,
    out: Clock,
    decoding: DecodingTimes,
    /// The decoding time of the first packet, in the clip's clock.
    first: Option<i64>,
    /// From when until when there is something to see or hear, in ticks of the source.
    part: Option<(i64, i64)>,
}

/// A clip that is being written.
pub(super) struct Writer {
    output: Output,
    error: FirstError,
    streams: Vec<Stream>,
    /// Time zero of the clip, on a clock of the source.
    origin: (i64, Clock),
    /// The movie's own clock; `None` if the container has none.
    movie: Option<Clock>,
}

impl Writer {
    /// Begins a clip of at most so many seconds with these streams, whose time zero is `origin`.
    ///
    /// # Errors
    /// If the container can't hold them, or nothing can be written.
    pub(super) fn open(
        source: &Source,
        container: &Container,
        planned: &[Planned],
        (origin, seconds): ((i64, Clock), f64),
        file: File,
    ) -> Result<Self, Failure> {
        let error = FirstError::default();
        let file = OutputFile::new(file, error.clone(), None).map_err(Failure::at(WRITING))?;
        let io = StreamIo::from_write_seek_with_capacity(file, 256 << 10).map_err(Failure::at(WRITING))?;
        let mut output =
            ff::format::output_to_stream(io, None, Some(container.muxer)).map_err(Failure::at(WRITING))?;
        let (mut packets, mut clocks) = (0.0, Vec::new());
        for (number, planned) in planned.iter().enumerate() {
            let index = usize::try_from(planned.index).unwrap_or(usize::MAX);
            let of_source =
                source.input.stream(index).ok_or_else(|| Failure::new("a stream went missing"))?;
            let parameters = stream::fields(&of_source).1;
            let name = name_of(parameters.codec_id);
            let tag = tables().codec(&name).ok().and_then(|codec| codec.tag(container.muxer));
            stream::add_copy(&mut output, &of_source, tag)?;
            if let Some(headers) = &planned.headers {
                stream::set_extradata(&mut output, number, headers)?;
            }
            for kind in SIDE_DATA {
                if let Some(data) = stream::side_data(&of_source, kind) {
                    stream::add_side_data(&mut output, number, kind, data)?;
                }
            }
            packets += expected_packets(&of_source, seconds);
            clocks.push(match parameters.sample_rate {
                // libavformat doubles the ticks of a coarse clock (movenc, at "timescale < 10000").
                0 => std::iter::successors(Some(source.clock(planned.index).den), |ticks| Some(ticks * 2))
                    .find(|ticks| *ticks >= 10_000)
                    .unwrap_or(COARSE_TICKS),
                rate => i64::from(rate),
            });
        }
        let mut metadata = ff::Dictionary::new();
        // Where the source was recorded is private.
        let all = metadata::of_input_all(&source.input).into_iter();
        for (key, value) in all.filter(|(key, _)| !key.to_ascii_lowercase().contains("location")) {
            metadata.set(&key, &value);
        }
        output.set_metadata(metadata);
        // Edit lists end at a sample, if this clock can say so.
        let movie_ticks = common_multiple(clocks.into_iter()).unwrap_or(COARSE_TICKS);
        // The cast saturates.
        let packets = packets.min(MOST_PACKETS) as i64;
        let contents = Contents { packets, text: 1 << 16, covers: 0, movie_ticks };
        let options = dictionary(&(container.options)(&contents));
        let begun = output.write_header_with(options).map(drop);
        begun.map_err(|libav| failure(&error, libav))?;
        let clock_in_clip = |number: usize| {
            let tb = output.stream(number).map_or(ff::Rational::new(1, 1000), |stream| stream.time_base());
            Clock { num: i64::from(tb.numerator()), den: i64::from(tb.denominator().max(1)) }
        };
        let streams = planned.iter().enumerate().map(|(number, planned)| {
            let (clock, out) = (source.clock(planned.index), clock_in_clip(number));
            let lead = rescale_timestamp(planned.lead, clock, (0, clock), out);
            Stream { clock, out, decoding: DecodingTimes::new(lead), first: None, part: None }
        });
        let streams = streams.collect();
        let movie = (container.index == Index::Movie).then_some(Clock { num: 1, den: movie_ticks });
        Ok(Self { output, error, streams, origin, movie })
    }

    /// Writes a packet of a stream, by its number in the clip. Returns when it is presented, in ticks of the clip.
    ///
    /// # Errors
    /// If it can't be written.
    pub(super) fn write(&mut self, number: usize, packet: ClipPacket) -> Result<i64, Failure> {
        let origin = self.origin;
        let stream = self.streams.get_mut(number).ok_or_else(|| Failure::new("a clip without the stream"))?;
        let place = |ticks| rescale_timestamp(ticks, stream.clock, origin, stream.out);
        let pts = place(packet.pts);
        let end = place(packet.pts.saturating_add(packet.duration.max(0)));
        let dts = stream.decoding.next(pts, packet.dts.map(place));
        stream.first.get_or_insert(dts);
        let (from, until) = packet.part;
        stream.part =
            Some(stream.part.map_or((from, until), |(first, last)| (first.min(from), last.max(until))));
        let mut out = bare(packet.packet);
        out.set_pts(Some(pts));
        out.set_dts(Some(dts));
        out.set_duration(end.saturating_sub(pts).max(0));
        if packet.is_key {
            out.set_flags(ff::packet::Flags::KEY);
        }
        out.set_stream(number);
        alive::sign();
        out.write_interleaved(&mut self.output).map_err(|libav| failure(&self.error, libav))?;
        Ok(pts)
    }

    /// Notes that the last picture or sound of a stream is presented up to a time, in ticks of the source.
    pub(super) fn show_until(&mut self, number: usize, until: i64) {
        let part = self.streams.get_mut(number).and_then(|stream| stream.part.as_mut());
        if let Some((_, last)) = part {
            *last = (*last).max(until);
        }
    }

    /// Ends the clip, and waits until all of it is written. `file` is another descriptor of its file.
    ///
    /// # Errors
    /// If it can't be written.
    pub(super) fn finish(mut self, file: &File) -> Result<(), Failure> {
        let ended = self.output.write_trailer();
        ended.map_err(|libav| failure(&self.error, libav))?;
        let edits = self.edits();
        let error = self.error.clone();
        // Waits until all is written.
        drop(self);
        if let Some(error) = error.take() {
            return Err(Failure::at(WRITING)(error));
        }
        mux::write_edits(file, &edits)
    }

    /// Returns what of each track of a movie is shown or heard.
    fn edits(&self) -> Vec<(usize, NewEdits)> {
        let Some(movie) = self.movie else { return Vec::new() };
        // A stream without a packet is no track.
        let tracks = self.streams.iter().filter_map(|stream| Some((stream, stream.first?, stream.part?)));
        let edits = tracks.enumerate().filter_map(|(position, (stream, first, (from, until)))| {
            let in_movie = |ticks| rescale_timestamp(ticks, stream.clock, self.origin, movie);
            let in_track = rescale_timestamp(from, stream.clock, self.origin, stream.out);
            let (start, end) = (in_movie(from).max(0), in_movie(until));
            Some((
                position,
                NewEdits {
                    start: u64::try_from(start).ok()?,
                    media_time: u64::try_from(in_track.checked_sub(first)?).ok()?,
                    length: u64::try_from(end.checked_sub(start)?).ok()?,
                },
            ))
        });
        edits.collect()
    }
}

fn failure(kept: &FirstError, error: ff::Error) -> Failure {
    kept.take().map_or_else(|| Failure::at(WRITING)(error), Failure::at(WRITING))
}

/// Returns how many packets of a stream so many seconds have at most, by what the source says of it.
fn expected_packets(of_source: &ff::Stream<'_>, seconds: f64) -> f64 {
    let parameters = stream::fields(of_source).1;
    let a_second = if parameters.sample_rate > 0 {
        let samples =
            if parameters.frame_size > 0 { f64::from(parameters.frame_size) } else { FEWEST_SAMPLES };
        f64::from(parameters.sample_rate) / samples
    } else {
        let rate = of_source.avg_frame_rate();
        // Twice the average and twice as many as cameras usually take, since the rate may vary.
        2.0 * (f64::from(rate.numerator()) / f64::from(rate.denominator().max(1))).max(120.0)
    };
    seconds.mul_add(a_second, MORE_PACKETS)
}
