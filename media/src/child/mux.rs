//! The muxer: streams made from headers of work objects, in a container of the tables.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use ffmpeg_next::{
    self as ff, Dictionary, Packet,
    ffi::{
        AV_DISPOSITION_ATTACHED_PIC, AV_INPUT_BUFFER_PADDING_SIZE, AVFieldOrder, AVMediaType,
        AVPacketSideDataType, av_mallocz, avformat_new_stream,
    },
    format::context::{Output, StreamIo},
};

use millrace_formats::{
    Container,
    container::{Contents, Index, Priming},
};
use millrace_schemas::{Chapter, OutputPlan, TrackTags};

use super::{
    codec::{self, AudioCodec, Codec},
    failure::Failure,
    libav::{
        color::LibavColor,
        layout::Layout,
        packet::{add_headers, position, restate_tables, skip_samples, write_at_once, write_held_back},
        stream::{add_side_data, rational},
    },
    light,
    output_file::{FirstError, OutputFile},
    payload::Payload,
    read_back::{ReadBack, ReadPackets},
};
use crate::{
    boxes::edit::{self, NewEdits},
    packets::Header,
    timeline::Clock,
};

/// Returns the container of this name.
///
/// # Errors
/// If there is none.
pub(crate) fn container(format: &str) -> Result<&'static Container, Failure> {
    codec::tables().container(format).map_err(Failure::new)
}

/// A stream that an output is to have.
pub(crate) struct Planned<'a> {
    pub(crate) header: &'a Header,
    pub(crate) tags: TrackTags,
    /// Its first packet.
    pub(crate) first: &'a [u8],
}

/// A stream whose encoder adds samples that are not heard.
struct Padded {
    /// Samples in a packet.
    frame: i64,
    /// Samples before the first one that is heard, of which the next packet is to say so.
    priming: i64,
}

/// An output that is being written.
pub(crate) struct Muxer {
    output: Output,
    error: FirstError,
    movie_ticks: Option<i64>,
    /// Whether each stream is an attached file, which lies in the header.
    attached: Vec<bool>,
    /// Of a container without an index, each stream that is padded.
    padded: Vec<Option<Padded>>,
    has_index: bool,
    /// Whether each packet has a time of its own only if it is written at once.
    is_stream: bool,
    /// What reads packets again, and the codec of each stream whose packets it reads.
    back: Option<ReadBack>,
    read_again: Vec<Option<&'static dyn Codec>>,
}

impl Muxer {
    /// Begins an output with these streams. `origin` is its time zero in the source's, in seconds; `packets` bounds how many
    /// packets there will be. Pictures that are copied are read again while it is written, if an index lists where packets lie.
    pub(crate) fn open(
        file: File,
        container: &Container,
        planned: &[Planned<'_>],
        output: &OutputPlan,
        origin: f64,
        packets: i64,
    ) -> Result<Self, Failure> {
        let error = FirstError::default();
        let doing = "writing the output";
        let is_read = |planned: &Planned<'_>| planned.header.is_copy() && planned.header.video.is_some();
        let back = match container.index {
            Index::Movie if planned.iter().any(is_read) => {
                Some(ReadBack::start(&file).map_err(Failure::at(doing))?)
            }
            _ => None,
        };
        let watcher = back.as_ref().map(ReadBack::watcher);
        let file = OutputFile::new(file, error.clone(), watcher).map_err(Failure::at(doing))?;
        let io = StreamIo::from_write_seek_with_capacity(file, 256 * 1024).map_err(Failure::at(doing))?;
        let mut muxer = Self::begin((io, error), container, planned, output, origin, packets)?;
        write_at_once(&mut muxer.output);
        for planned in planned {
            let codec = if is_read(planned) { Some(codec::of_header(planned.header)?) } else { None };
            muxer.read_again.push(codec);
        }
        muxer.back = back;
        Ok(muxer)
    }

    /// As for [`Self::open`], into any stream. What goes wrong there is kept in the error beside it.
    pub(crate) fn begin(
        (io, error): (StreamIo, FirstError),
        container: &Container,
        planned: &[Planned<'_>],
        output: &OutputPlan,
        origin: f64,
        packets: i64,
    ) -> Result<Self, Failure> {
        let context = ff::format::output_to_stream(io, None, Some(container.muxer))
            .map_err(Failure::at("beginning the output"))?;
        let movie_ticks = (container.index == Index::Movie).then(|| movie_ticks(planned));
        let attached =
            planned.iter().map(|p| container.index.attaches_covers() && is_cover(p.header)).collect();
        let has_index = container.index != Index::Frames;
        let is_stream = container.index == Index::Stream;
        let mut muxer = Self {
            output: context,
            error,
            movie_ticks,
            attached,
            padded: Vec::new(),
            has_index,
            is_stream,
            back: None,
            read_again: Vec::new(),
        };
        let extras = output.extras.clone().unwrap_or_default();
        for planned in planned {
            let timecode = extras.timecode.as_deref().filter(|_| planned.header.video.is_some());
            muxer.add_stream(container, planned, timecode)?;
            let codec = codec::of_header(planned.header)?.audio();
            let is_padded = !has_index && codec.is_some_and(|codec| codec.bits().is_none());
            muxer.padded.push(
                is_padded
                    .then_some(Padded { frame: planned.header.frame_size, priming: planned.header.padding }),
            );
        }
        let mut metadata = Dictionary::new();
        for (key, value) in &extras.metadata {
            metadata.set(key, value);
        }
        metadata.set(container.index.mark_key(), &output.mark);
        muxer.output.set_metadata(metadata);
        for (chapter, id) in extras.chapters.iter().zip(1..) {
            muxer.add_chapter(id, chapter, origin)?;
        }
        // Text that lies in the header, and for chapters also in a track of its own; each with a box around it.
        let text: usize = extras.metadata.values().map(|value| value.len() + 256).sum::<usize>()
            + extras.chapters.iter().map(|chapter| 2 * chapter.title.len() + 256).sum::<usize>()
            + planned.iter().map(|planned| planned.tags.title.len() + 4096).sum::<usize>();
        let covers = planned.iter().filter(|p| is_cover(p.header)).map(|_| LARGEST_COVER).sum();
        let contents = Contents { packets, text, covers, movie_ticks: movie_ticks.unwrap_or(COARSE_TICKS) };
        let options = codec::dictionary(&(container.options)(&contents));
        let begun = muxer.output.write_header_with(options).map(drop);
        begun.map_err(|error| muxer.failure("beginning the output", error))?;
        Ok(muxer)
    }

    fn failure(&self, doing: &str, error: ff::Error) -> Failure {
        match self.error.take() {
            Some(io) => Failure::new(format!("{doing}: {io}")),
            None => Failure::new(format!("{doing}: {error}")),
        }
    }

    /// Adds a chapter, less what of it comes before time zero.
    fn add_chapter(&mut self, id: i64, chapter: &Chapter, origin: f64) -> Result<(), Failure> {
        let at = |seconds: f64| ((seconds - origin).max(0.0) * 1000.0).round() as i64;
        let (start, end) = (at(chapter.start_seconds), at(chapter.end_seconds));
        let added =
            self.output.add_chapter(id, ff::Rational::new(1, 1000), start, end.max(start), &chapter.title);
        added.map(drop).map_err(Failure::at("adding a chapter"))
    }

    fn add_stream(
        &mut self,
        container: &Container,
        planned: &Planned<'_>,
        timecode: Option<&str>,
    ) -> Result<(), Failure> {
        let header = planned.header;
        let codec = codec::of_header(header)?;
        let codec_id = codec::id(codec)?;
        let attached = codec.file().filter(|_| container.index.attaches_covers());
        // The name by which players know a cover (RFC 9559, 21.2).
        let name = attached.map(|(extension, _)| format!("cover.{extension}")).unwrap_or_default();
        // An attached file is the header of its stream.
        let extradata = if attached.is_some() { planned.first } else { &header.extradata };
        let mut metadata = Dictionary::new();
        for (key, value) in [
            ("language", planned.tags.language.as_str()),
            ("title", planned.tags.title.as_str()),
            ("timecode", timecode.unwrap_or_default()),
            ("filename", &name),
            ("mimetype", attached.map(|(_, kind)| kind).unwrap_or_default()),
        ] {
            if !value.is_empty() {
                metadata.set(key, value);
            }
        }
        // SAFETY: the context is open for writing, its stream was just made, and its parameters are plain fields; the
        // extradata is copied into memory of libav's, with the padding that it asks for.
        unsafe {
            let stream = avformat_new_stream(self.output.as_mut_ptr(), std::ptr::null());
            if stream.is_null() {
                return Err(Failure::new("out of memory"));
            }
            let (stream, p) = (&mut *stream, &mut *(*stream).codecpar);
            stream.metadata = metadata.disown();
            stream.disposition = planned.tags.dispositions;
            // libavformat ends texts by itself where its count of their ticks falls behind another track's, whatever the clocks
            // (movenc, at "Subtitles require special handling"): the finest clock keeps it from that.
            let clock = if header.side.is_some() { (1, TEXT_TICKS) } else { header.clock };
            stream.time_base = ff::Rational::new(clock.0, clock.1).into();
            p.codec_id = codec_id;
            // 0: the muxer chooses.
            p.codec_tag = codec.tag(container.muxer).map_or(0, u32::from_le_bytes);
            let size = extradata.len();
            if size > 0 {
                let copy = av_mallocz(size + AV_INPUT_BUFFER_PADDING_SIZE as usize).cast::<u8>();
                if copy.is_null() {
                    return Err(Failure::new("out of memory"));
                }
                std::ptr::copy_nonoverlapping(extradata.as_ptr(), copy, size);
                p.extradata = copy;
                p.extradata_size = i32::try_from(size).unwrap_or(0);
            }
            if let Some(video) = &header.video {
                let color = LibavColor::of(video.color);
                p.codec_type = AVMediaType::AVMEDIA_TYPE_VIDEO;
                p.width = video.width;
                p.height = video.height;
                p.format = ff::ffi::AVPixelFormat::from(
                    video.pixel_format.parse::<ff::format::Pixel>().map_err(Failure::at("pixel format"))?,
                ) as i32;
                p.sample_aspect_ratio = rational(video.sample_aspect).into();
                p.color_primaries = color.primaries;
                p.color_trc = color.transfer;
                p.color_space = color.matrix;
                p.color_range = color.range;
                p.chroma_location = color.chroma;
                p.field_order = match video.field_order {
                    1 => AVFieldOrder::AV_FIELD_TT,
                    2 => AVFieldOrder::AV_FIELD_BB,
                    _ => AVFieldOrder::AV_FIELD_PROGRESSIVE,
                };
                stream.sample_aspect_ratio = p.sample_aspect_ratio;
                stream.avg_frame_rate = rational(video.frame_rate).into();
            }
            if let Some(audio) = &header.audio {
                p.codec_type = AVMediaType::AVMEDIA_TYPE_AUDIO;
                p.sample_rate = audio.sample_rate;
                p.bit_rate = audio.bit_rate;
                // A movie takes what has packets of more than a sample for compressed (movenc, `mov_init`).
                let is_uncompressed = codec.audio().is_some_and(AudioCodec::is_uncompressed);
                p.frame_size =
                    if is_uncompressed { 0 } else { i32::try_from(header.frame_size).unwrap_or(0) };
                if container.priming == Priming::Signalled {
                    p.initial_padding = i32::try_from(header.padding).unwrap_or(0);
                }
                // What the sample entry of a lossless codec states (movenc, `mov_write_audio_tag`).
                p.bits_per_raw_sample =
                    codec::sound(audio)?.bits_of(audio).map_or(0, |bits| i32::try_from(bits).unwrap_or(0));
                p.ch_layout = Layout::of(audio)?.raw();
            }
            if header.side.is_some() {
                p.codec_type = AVMediaType::AVMEDIA_TYPE_SUBTITLE;
                if is_cover(header) {
                    p.codec_type = AVMediaType::AVMEDIA_TYPE_VIDEO;
                    (p.width, p.height) = header.size.unwrap_or_default();
                    stream.disposition = AV_DISPOSITION_ATTACHED_PIC;
                }
                if attached.is_some() {
                    p.codec_type = AVMediaType::AVMEDIA_TYPE_ATTACHMENT;
                }
            }
        }
        self.add_light(header)
    }

    /// Adds what is said of light to the last stream.
    fn add_light(&mut self, header: &Header) -> Result<(), Failure> {
        let Some(light) = header.video.as_ref().and_then(|video| video.light.as_ref()) else { return Ok(()) };
        let stream = (self.output.nb_streams() as usize).saturating_sub(1);
        let display = AVPacketSideDataType::AV_PKT_DATA_MASTERING_DISPLAY_METADATA;
        let levels = AVPacketSideDataType::AV_PKT_DATA_CONTENT_LIGHT_LEVEL;
        for (kind, data) in [(display, light::display_data(light)), (levels, light::levels_data(light))] {
            if let Some(data) = data {
                add_side_data(&mut self.output, stream, kind, &data)?;
            }
        }
        Ok(())
    }

    /// Ticks a second of the movie's own clock, if the container has one.
    pub(crate) fn movie_ticks(&self) -> Option<i64> {
        self.movie_ticks
    }

    /// The clock of a stream, as the container has it.
    pub(crate) fn clock(&self, stream: usize) -> Clock {
        let tb = self.output.stream(stream).map_or(ff::Rational::new(1, 1000), |stream| stream.time_base());
        Clock { num: i64::from(tb.numerator()), den: i64::from(tb.denominator().max(1)) }
    }

    pub(crate) fn write(&mut self, stream: usize, packet: Timed) -> Result<(), Failure> {
        if self.attached.get(stream).copied().unwrap_or(false) {
            return Ok(());
        }
        let size = packet.data.len();
        let mut out = packet.data.into_packet();
        out.set_stream(stream);
        out.set_pts(Some(packet.pts));
        out.set_dts(Some(packet.dts));
        out.set_duration(packet.duration);
        if packet.key {
            out.set_flags(ff::packet::Flags::KEY);
        }
        let padded = self.padded.get_mut(stream).and_then(Option::as_mut);
        let skipped = match padded {
            Some(padded) => (std::mem::take(&mut padded.priming), padded.frame - packet.duration),
            None => (0, packet.discard),
        };
        if skipped != (0, 0) {
            skip_samples(&mut out, skipped);
        }
        let written = out.write(&mut self.output).map(drop);
        // Of several packets of sound behind one time, readers round the times of the others to ticks.
        let written =
            written.and_then(|()| if self.is_stream { write_held_back(&mut self.output) } else { Ok(()) });
        if let (Some(back), Some(Some(codec))) = (&self.back, self.read_again.get(stream)) {
            let end = position(&mut self.output);
            back.expect(stream, *codec, end.saturating_sub(size as u64), size);
        }
        written.map_err(|error| self.failure("writing the output", error))
    }

    /// Ends a fragment: what was written since the last one ends is put into the stream.
    pub(crate) fn end_fragment(&mut self) -> Result<(), Failure> {
        write_held_back(&mut self.output).map_err(|error| self.failure("writing the output", error))
    }

    /// Has a transport stream state the tables of its program again, in front of the next packet.
    pub(crate) fn restate_tables(&mut self) -> Result<(), Failure> {
        restate_tables(&mut self.output).map_err(Failure::at("writing the output"))
    }

    /// Ends a track of so many pictures or samples: of a container without an index, its codec header says how many, if it can.
    pub(crate) fn end_track(
        &mut self,
        stream: usize,
        codec: &dyn Codec,
        header: &[u8],
        units: i64,
    ) -> Result<(), Failure> {
        let header = codec.audio().and_then(|codec| codec.header_of_whole(header, units));
        let Some(header) = header.filter(|_| !self.has_index) else { return Ok(()) };
        let mut out = Packet::empty();
        out.set_stream(stream);
        add_headers(&mut out, &header);
        let written = out.write(&mut self.output).map(drop);
        written.map_err(|error| self.failure("ending the output", error))
    }

    /// Ends the output. Gives the packets that were read again.
    pub(crate) fn finish(mut self) -> Result<ReadPackets, Failure> {
        let ended = self.output.write_trailer();
        ended.map_err(|error| self.failure("ending the output", error))?;
        let (error, back) = (self.error.clone(), self.back.take());
        // Waits until all is written.
        drop(self);
        if let Some(error) = error.take() {
            return Err(Failure::at("ending the output")(error));
        }
        Ok(back.map(ReadBack::finish).unwrap_or_default())
    }
}

/// Writes edit lists of tracks, by their position, into a finished mp4.
pub(crate) fn write_edits(file: &File, edits: &[(usize, NewEdits)]) -> Result<(), Failure> {
    const DOING: &str = "writing edit lists";
    let wrong = || Failure::new(format!("{DOING}: the index is not where it was put"));
    if edits.is_empty() {
        return Ok(());
    }
    let mut at = 0;
    // Behind the file's type lies its index, and behind that the rest of what was reserved for it.
    let (movie, free) = loop {
        let (kind, size) = top_box(file, at).map_err(Failure::at(DOING))?;
        if kind == *b"moov" {
            break ((at, size), top_box(file, at + size).map_err(Failure::at(DOING))?);
        }
        if size < 8 || kind == *b"mdat" {
            return Err(wrong());
        }
        at += size;
    };
    let mut bytes = vec![0; usize::try_from(movie.1).unwrap_or(0)];
    file.read_exact_at(&mut bytes, movie.0).map_err(Failure::at(DOING))?;
    let free = if free.0 == *b"free" { usize::try_from(free.1).unwrap_or(0) } else { 0 };
    let old = bytes.len();
    let new =
        edit::with_edits(&bytes, edits).and_then(|new| edit::into_space(new, old, free)).ok_or_else(wrong)?;
    file.write_all_at(&new, movie.0).map_err(Failure::at(DOING))
}

/// The type of a box at the top of a file, and its size in bytes.
fn top_box(file: &File, at: u64) -> io::Result<([u8; 4], u64)> {
    let mut head = [0; 8];
    file.read_exact_at(&mut head, at)?;
    let [a, b, c, d, kind @ ..] = head;
    Ok((kind, u64::from(u32::from_be_bytes([a, b, c, d]))))
}

/// Ticks a second of a movie's clock in which the lengths of all tracks are whole numbers, or of those of its sound
/// where there is none for all. An edit list in milliseconds, libavformat's default, ends a track up to a millisecond
/// too early, and players leave out a last packet that begins later.
fn movie_ticks(planned: &[Planned<'_>]) -> i64 {
    let ticks = |planned: &Planned<'_>| {
        let header = planned.header;
        let mut ticks = i64::from(header.clock.1.max(1));
        // libavformat doubles the ticks of a coarse clock (movenc, at "timescale < 10000").
        while header.video.is_some() && ticks < 10_000 {
            ticks *= 2;
        }
        (header.side.is_none(), header.audio.is_some(), ticks)
    };
    let all: Vec<_> = planned.iter().map(ticks).filter(|(exact, ..)| *exact).collect();
    let sound = all.iter().filter(|(_, is_sound, _)| *is_sound).map(|(.., ticks)| *ticks);
    common_multiple(all.iter().map(|(.., ticks)| *ticks))
        .or_else(|| common_multiple(sound))
        .unwrap_or(COARSE_TICKS)
}

/// Ticks a second where no clock is exact for all.
pub(crate) const COARSE_TICKS: i64 = 90_000;

/// The least common multiple; `None` where a movie's clock can't be as fine.
pub(crate) fn common_multiple(mut numbers: impl Iterator<Item = i64>) -> Option<i64> {
    fn divisor(a: i64, b: i64) -> i64 {
        if b == 0 { a } else { divisor(b, a % b) }
    }
    let all = numbers.try_fold(1_i64, |all, number| {
        let all = all.checked_mul(number / divisor(all, number))?;
        (all <= i64::from(i32::MAX)).then_some(all)
    })?;
    Some(all)
}

/// Ticks a second of a text track: no fewer than other tracks have.
const TEXT_TICKS: i32 = 1_000_000;
/// The largest cover, in bytes.
pub(crate) const LARGEST_COVER: i64 = 4 << 20;

/// Whether a track is a cover.
pub(crate) fn is_cover(header: &Header) -> bool {
    header.side.as_ref().is_some_and(|side| codec::find(&side.codec).is_ok_and(<dyn Codec>::is_cover))
}

/// A packet with its times in the output's clock.
#[derive(Debug, Default)]
pub(crate) struct Timed {
    pub(crate) pts: i64,
    pub(crate) dts: i64,
    pub(crate) duration: i64,
    pub(crate) key: bool,
    pub(crate) data: Payload,
    /// How many samples at its end are not heard, and the container is to say so.
    pub(crate) discard: i64,
}

#[cfg(test)]
mod tests {
    use super::common_multiple;

    #[test]
    fn a_movie_clock_is_as_fine_as_all_its_tracks_or_there_is_none() {
        assert_eq!(common_multiple([12_800, 48_000].into_iter()), Some(192_000));
        assert_eq!(common_multiple([90_000, 44_100].into_iter()), Some(4_410_000));
        assert_eq!(common_multiple([10_007, 44_100, 48_000, 10_009].into_iter()), None);
        assert_eq!(common_multiple(std::iter::empty()), Some(1));
    }
}
