//! Copies the packets of a track into a work object, as they are. Nothing is decoded.

use std::fs::File;

use ffmpeg_next::{Packet, packet::side_data::Type};
use millrace_schemas::{AudioSettings, Made, Rendition, VideoSettings};

use super::{
    alive,
    codec::{self, AudioCodec, VideoCodec},
    failure::Failure,
    libav::{
        packet::new_headers,
        stream::{extradata, fields},
    },
    report::Reporter,
    samples::PacketLengths,
    sink::{WRITING, WorkObject, begin},
    source::{Depth, Source},
};
use crate::{
    coded::{self, Heard, MOST_PACKETS, Shown},
    packets::{Header, TrailerFacts},
    protocol::TranscodeTask,
    seams::Decoded,
    timeline::{Clock, reorder_depth, rescale_timestamp},
};

/// How far the time of a packet of sound may be from where its samples are, in ticks of its container: both are rounded.
const TIME_SLACK: i64 = 2;

/// Copies the track of a task whose rendition is a copy.
pub(super) fn copy(
    file: File,
    task: &TranscodeTask,
    outputs: Vec<File>,
    reporter: &mut Reporter,
) -> Result<(), Failure> {
    let ([rendition], [_]) = (task.renditions.as_slice(), task.ranges.as_slice()) else {
        return Err(Failure::new("a copy is one rendition in one segment"));
    };
    let output = outputs.into_iter().next().ok_or_else(|| Failure::new("a copy has no work object"))?;
    let mut source = Source::open(file, Depth::Packets)?;
    source.only(&[task.stream])?;
    let track = Track { stream: task.stream, rendition, reporter };
    let made = match (&rendition.video, &rendition.audio) {
        (Some(video), _) => track.pictures(source, video, output)?,
        (None, Some(audio)) => track.sound(source, audio, output)?,
        (None, None) => return Err(Failure::new("a copy is of pictures or of sound")),
    };
    reporter.made(0, vec![made]);
    Ok(())
}

/// Returns the error of a source that is not as its header led to expect.
fn changed(what: &str) -> Failure {
    Failure::new(format!("the source can't be copied: {what}; ask for an encode of it, without when_fits"))
}

struct Track<'a> {
    stream: i32,
    rendition: &'a Rendition,
    reporter: &'a mut Reporter,
}

impl Track<'_> {
    fn pictures(self, mut source: Source, settings: &VideoSettings, output: File) -> Result<Made, Failure> {
        let codec = codec::video(settings)?;
        let shown = shown(&source, self.stream)?;
        if let Some(shown) = &shown {
            coded::all_shown(shown).map_err(|reason| changed(&reason))?;
        }
        let header = Header {
            extradata: headers(&source, self.stream)?,
            clock: (settings.time_base.num, settings.time_base.den),
            video: Some(settings.clone()),
            audio: None,
            side: None,
            size: None,
            padding: 0,
            frame_size: 0,
        };
        let mut writer = begin(output, &header)?;
        let mut times = Vec::new();
        let mut packet = Packet::empty();
        while read(&mut source, self.stream, &mut packet)? {
            let (pts, length) = match &shown {
                Some(shown) => shown.samples.get(times.len()).copied(),
                None => packet.pts().map(|pts| (pts, packet.duration().max(0))),
            }
            .ok_or_else(|| changed("a picture has no time"))?;
            write_picture(&mut writer, (codec, &header.extradata), &packet, (pts, length))?;
            times.push(pts);
            self.reporter.progress(0, i64::try_from(times.len()).unwrap_or(i64::MAX));
        }
        hold_count(shown.as_ref(), times.len())?;
        let count = i64::try_from(times.len()).unwrap_or(i64::MAX);
        let reorder = i32::try_from(reorder_depth(&times)).unwrap_or(i32::MAX);
        times.sort_unstable();
        if times.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(changed("several of its pictures have the same time"));
        }
        let facts = TrailerFacts {
            rendition: self.rendition.id.clone(),
            units: count,
            packets: count,
            first: times.first().copied().unwrap_or(0),
            next: None,
            reorder,
            warnings: Vec::new(),
        };
        writer.finish(facts, &Decoded::default()).map_err(Failure::at(WRITING))
    }

    fn sound(self, mut source: Source, settings: &AudioSettings, output: File) -> Result<Made, Failure> {
        let codec = codec::sound(settings)?;
        let shown = shown(&source, self.stream)?;
        let heard = match &shown {
            Some(shown) => {
                let ticks = u32::try_from(source.clock(self.stream).den).unwrap_or(0);
                let heard = coded::heard(shown, ticks, settings.sample_rate);
                Some(heard.map_err(|reason| changed(&reason))?)
            }
            None => None,
        };
        let headers = if codec.has_header() { headers(&source, self.stream)? } else { Vec::new() };
        let nothing = || changed("it holds no packets of sound");
        let mut packet = Packet::empty();
        if !read(&mut source, self.stream, &mut packet)? {
            return Err(nothing());
        }
        let stated = codec.read_packet(packet.data().unwrap_or_default(), settings.channels);
        let frame_size = codec.read_header(&headers).map(|header| header.frame_length);
        let frame_size = frame_size.or(stated.and_then(|stated| stated.samples)).ok_or_else(nothing)?;
        // By the first packet, where no index counts samples.
        let start = heard.map_or_else(|| start(&source, self.stream, &packet, settings.sample_rate), Ok)?;
        let header = Header {
            extradata: headers,
            clock: (1, settings.sample_rate),
            video: None,
            audio: Some(settings.clone()),
            side: None,
            size: None,
            padding: start.priming,
            frame_size,
        };
        let mut copied = Sound {
            codec,
            clock: heard.is_none().then(|| source.clock(self.stream)),
            next: start.first - start.priming,
            ends: heard.map(|heard| heard.first + heard.units),
            packets: 0,
            cut: 0,
            lengths: PacketLengths::default(),
            writer: begin(output, &header)?,
            header,
        };
        loop {
            copied.write(&packet)?;
            self.reporter.progress(0, copied.next);
            if !read(&mut source, self.stream, &mut packet)? {
                break;
            }
        }
        hold_count(shown.as_ref(), copied.packets)?;
        copied.finish(&self.rendition.id, start.first)
    }
}

/// A track of sound that is being copied.
struct Sound {
    codec: &'static dyn AudioCodec,
    header: Header,
    writer: WorkObject,
    /// The clock of its packets, where their times are held to the samples in them.
    clock: Option<Clock>,
    /// When the next packet begins, in samples.
    next: i64,
    /// When it ends, in samples, where an index says so: what is not heard is no part of the last packet's length.
    ends: Option<i64>,
    packets: usize,
    /// How many samples at the end of the last packet are not heard.
    cut: i64,
    lengths: PacketLengths,
}

impl Sound {
    fn write(&mut self, packet: &Packet) -> Result<(), Failure> {
        let Some(audio) = &self.header.audio else { return Ok(()) };
        let data = packet.data().unwrap_or_default();
        let stated = self.codec.read_packet(data, audio.channels);
        let stated = stated.ok_or_else(|| changed("a packet of its sound can't be read"))?;
        let samples = stated.samples.unwrap_or(self.header.frame_size);
        self.lengths.take(self.codec, &self.header, (stated, samples)).map_err(|wrong| changed(&wrong))?;
        let rate = Clock { num: 1, den: i64::from(audio.sample_rate.max(1)) };
        if let (Some(clock), Some(pts)) = (self.clock, packet.pts()) {
            let place = |ticks| rescale_timestamp(ticks, clock, (0, rate), rate);
            if (place(pts) - self.next).abs() > place(TIME_SLACK).max(1) {
                return Err(changed("its packets of sound do not follow each other"));
            }
        }
        if self.cut > 0 {
            return Err(changed("a part of its sound is not heard"));
        }
        self.cut = discarded(packet);
        let heard = self.ends.map_or(samples - self.cut, |ends| samples.min(ends - self.next)).max(0);
        self.writer.write_packet(true, self.next, heard, data).map_err(Failure::at(WRITING))?;
        self.next += samples;
        self.packets += 1;
        alive::sign();
        Ok(())
    }

    /// Ends the work object, of which the sample at `first` is the first one that is heard.
    fn finish(self, rendition: &str, first: i64) -> Result<Made, Failure> {
        let all = self.next - first;
        let units = self.ends.map_or(all - self.cut, |ends| ends - first);
        if self.codec.bits().is_some() && units != all {
            return Err(changed("a part of its lossless sound is not heard"));
        }
        let facts = TrailerFacts {
            rendition: rendition.to_owned(),
            units: units.max(0),
            packets: i64::try_from(self.packets).unwrap_or(i64::MAX),
            first,
            next: None,
            reorder: 0,
            warnings: Vec::new(),
        };
        self.writer.finish(facts, &Decoded::default()).map_err(Failure::at(WRITING))
    }
}

fn write_picture(
    writer: &mut WorkObject,
    (codec, headers): (&'static dyn VideoCodec, &[u8]),
    packet: &Packet,
    (pts, length): (i64, i64),
) -> Result<(), Failure> {
    let data = packet.data().unwrap_or_default();
    if codec.adds_headers(headers, data) {
        return Err(changed("its codec headers change on the way"));
    }
    alive::sign();
    writer.write_packet(packet.is_key(), pts, length, data).map_err(Failure::at(WRITING))
}

/// Reads the next packet of a stream; `false` at the end.
fn read(source: &mut Source, stream: i32, packet: &mut Packet) -> Result<bool, Failure> {
    let more = source.read_as_it_is(&[stream], packet);
    let more = more.map_err(|error| changed(&format!("it can't be read on: {error}")))?;
    if more.is_some() && packet.is_corrupt() {
        return Err(changed("a packet is damaged, or cut off"));
    }
    if more.is_some() && new_headers(packet).is_some() {
        return Err(changed("its codec headers change on the way"));
    }
    Ok(more.is_some())
}

/// When the packets of a stream are shown, by the movie box; `None` of a container that has none.
fn shown(source: &Source, stream: i32) -> Result<Option<Shown>, Failure> {
    if !source.is_movie() {
        return Ok(None);
    }
    let movie = source.movie(MOST_PACKETS).ok_or_else(|| changed("its index can't be read"))?;
    let track = source.track_of(&movie, stream).ok_or_else(|| changed("its index can't be read"))?;
    coded::shown(&movie, track).map(Some).map_err(|reason| changed(&reason))
}

/// Holds how many packets were read to how many the index lists.
fn hold_count(shown: Option<&Shown>, count: usize) -> Result<(), Failure> {
    match shown.map(|shown| shown.samples.len()) {
        Some(listed) if listed != count => {
            Err(changed(&format!("{count} packets can be read of {listed} that its index lists")))
        }
        _ => Ok(()),
    }
}

/// Returns the codec headers of a stream.
fn headers(source: &Source, stream: i32) -> Result<Vec<u8>, Failure> {
    let stream = usize::try_from(stream).ok().and_then(|index| source.input.stream(index));
    let stream = stream.ok_or_else(|| Failure::new("the source has no such stream"))?;
    Ok(extradata(fields(&stream).1).to_vec())
}

/// Returns where sound begins by its first packet, whose time is before the first sample that is heard by the priming that the
/// container states.
fn start(source: &Source, stream: i32, packet: &Packet, rate: i32) -> Result<Heard, Failure> {
    let clock = source.clock(stream);
    let samples = Clock { num: 1, den: i64::from(rate.max(1)) };
    let of_it = usize::try_from(stream).ok().and_then(|index| source.input.stream(index));
    let priming = of_it.map_or(0, |stream| i64::from(fields(&stream).1.initial_padding.max(0)));
    let pts = packet.pts().ok_or_else(|| changed("its sound begins without a time"))?;
    let first = pts + rescale_timestamp(priming, samples, (0, samples), clock);
    Ok(Heard { priming, first: rescale_timestamp(first, clock, (0, clock), samples), units: 0 })
}

/// Returns how many samples at the end of a packet are not heard (libavcodec, `AV_PKT_DATA_SKIP_SAMPLES`).
fn discarded(packet: &Packet) -> i64 {
    let mut data = packet.side_data();
    let skip = data.find(|data| data.kind() == Type::SkipSamples);
    let last = skip.and_then(|skip| skip.data().get(4..8)?.first_chunk().copied());
    last.map_or(0, |bytes| u32::from_le_bytes(bytes).into())
}
