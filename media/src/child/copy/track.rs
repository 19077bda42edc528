//! A track whose packets are copied: what must be true of each of them, and when it is shown.

use ffmpeg_next::{Packet as Read, packet::side_data::Type};

use crate::{
    child::{
        codec::{self, AudioCodec, VideoCodec},
        failure::Failure,
        libav::stream::{extradata, fields},
        payload::Payload,
        samples::PacketLengths,
        source::Source,
    },
    coded::{self, Heard, MOST_PACKETS, Shown},
    packets::{Header, Packet},
    timeline::{Clock, reorder_depth, rescale_timestamp},
};

/// How far the time of a packet of sound may be from where its samples are, in ticks of its container: both are rounded.
const TIME_SLACK: i64 = 2;

/// Returns the error of a source that is not as its header led to expect.
pub(super) fn changed(what: &str) -> Failure {
    Failure::new(format!("the source can't be copied: {what}; ask for an encode of it, without when_fits"))
}

/// How many packets a track has, and when they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    /// Pictures, or samples that are heard.
    pub(super) units: i64,
    pub(super) packets: i64,
    /// When the first picture or sample is shown, in ticks of the header's clock.
    pub(super) first: i64,
    pub(super) reorder: i32,
}

/// A track whose packets are copied.
pub(crate) struct CopiedTrack {
    header: Header,
    stream: i32,
    /// When its packets are shown, by the movie box, of a container that has one.
    shown: Option<Shown>,
    packets: usize,
    kind: Kind,
}

enum Kind {
    Pictures { codec: &'static dyn VideoCodec, times: Vec<i64> },
    Sound(Sound),
}

/// What is known of a track of sound.
struct Sound {
    codec: &'static dyn AudioCodec,
    /// What of it is heard, by the movie box.
    heard: Option<Heard>,
    /// The clock of its packets, where their times are held to the samples in them.
    clock: Clock,
    /// When the first sample is heard, in samples, once that is known.
    first: Option<i64>,
    /// When the next packet begins, in samples.
    next: i64,
    /// How many samples at the end of the last packet are not heard.
    cut: i64,
    lengths: PacketLengths,
}

impl CopiedTrack {
    /// Opens the track of a source that a header names, to take its packets.
    ///
    /// # Errors
    /// If it is not the one that the header was made of, or not all of it is shown.
    pub(crate) fn open(source: &Source, header: &Header, stream: i32) -> Result<Self, Failure> {
        let has_header = header
            .audio
            .as_ref()
            .map_or(Ok(true), |audio| codec::sound(audio).map(<dyn AudioCodec>::has_header))?;
        if has_header && codec_headers(source, stream)? != header.extradata {
            return Err(changed("its codec headers are others than before"));
        }
        Self::of(source, shown(source, stream)?, header.clone())
    }

    /// Opens a track whose packets are shown at these times.
    pub(super) fn of(source: &Source, shown: Option<Shown>, header: Header) -> Result<Self, Failure> {
        let stream = header.source_stream.unwrap_or(-1);
        let kind = match (&header.video, &header.audio) {
            (Some(video), _) => {
                if let Some(shown) = &shown {
                    coded::all_shown(shown).map_err(|reason| changed(&reason))?;
                }
                Kind::Pictures { codec: codec::video(video)?, times: Vec::new() }
            }
            (None, Some(audio)) => {
                let of_index = |shown: &Shown| heard(source, stream, shown, audio.sample_rate);
                let heard = shown.as_ref().map(of_index).transpose()?;
                let first = heard.map(|heard| heard.first);
                Kind::Sound(Sound {
                    codec: codec::sound(audio)?,
                    heard,
                    clock: source.clock(stream),
                    first,
                    next: first.unwrap_or(0) - header.padding,
                    cut: 0,
                    lengths: PacketLengths::default(),
                })
            }
            (None, None) => return Err(Failure::new("a copy is of pictures or of sound")),
        };
        Ok(Self { header, stream, shown, packets: 0, kind })
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    pub(crate) fn stream(&self) -> i32 {
        self.stream
    }

    /// Returns what the index of the source says of the track; `None` if it lists no packets.
    ///
    /// # Errors
    /// If a part of lossless sound is not heard.
    pub(super) fn listed(&self) -> Option<Result<Counts, Failure>> {
        let shown = self.shown.as_ref()?;
        let times = || shown.samples.iter().map(|(time, _)| *time);
        Some(match &self.kind {
            Kind::Pictures { .. } => Ok(of_pictures(times().collect())),
            Kind::Sound(sound) => {
                let end = shown.samples.last().map_or(0, |(time, length)| time + length);
                sound.counts(shown.samples.len(), end)
            }
        })
    }

    /// Takes the next packet. Returns it with its times.
    ///
    /// # Errors
    /// If it can't be copied.
    pub(crate) fn take(&mut self, packet: Read) -> Result<Packet<Payload>, Failure> {
        let (shown, number) = (self.shown.as_ref(), self.packets);
        self.packets += 1;
        match &mut self.kind {
            Kind::Pictures { codec, times } => {
                let (pts, duration) = match shown {
                    Some(shown) => shown.samples.get(number).copied(),
                    None => packet.pts().map(|pts| (pts, packet.duration().max(0))),
                }
                .ok_or_else(|| changed("a picture has no time"))?;
                if codec.adds_headers(&self.header.extradata, packet.data().unwrap_or_default()) {
                    return Err(changed("its codec headers change on the way"));
                }
                times.push(pts);
                Ok(Packet { key: packet.is_key(), pts, duration, data: Payload::Source(packet) })
            }
            Kind::Sound(sound) => {
                let (pts, duration) = sound.take(&self.header, &packet)?;
                Ok(Packet { key: true, pts, duration, data: Payload::Source(packet) })
            }
        }
    }

    /// Returns what all packets that were taken came to.
    ///
    /// # Errors
    /// If they are not those that the index lists, or can't all be shown.
    pub(super) fn counted(&mut self) -> Result<Counts, Failure> {
        self.end()?;
        match &mut self.kind {
            Kind::Pictures { times, .. } => {
                let times = std::mem::take(times);
                let counts = of_pictures(times.clone());
                let mut sorted = times;
                sorted.sort_unstable();
                if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
                    return Err(changed("several of its pictures have the same time"));
                }
                Ok(counts)
            }
            Kind::Sound(sound) => sound.counts(self.packets, sound.next),
        }
    }

    /// Ends the track.
    ///
    /// # Errors
    /// If its packets are not as many as the index lists.
    pub(crate) fn end(&self) -> Result<(), Failure> {
        let count = self.packets;
        match self.shown.as_ref().map(|shown| shown.samples.len()) {
            Some(listed) if listed != count => {
                Err(changed(&format!("{count} packets can be read of {listed} that its index lists")))
            }
            _ => Ok(()),
        }
    }
}

fn of_pictures(times: Vec<i64>) -> Counts {
    let count = i64::try_from(times.len()).unwrap_or(i64::MAX);
    let reorder = i32::try_from(reorder_depth(&times)).unwrap_or(i32::MAX);
    let first = times.into_iter().min().unwrap_or(0);
    Counts { units: count, packets: count, first, reorder }
}

impl Sound {
    /// Takes the next packet. Returns when it begins, and how long it is heard, in samples.
    fn take(&mut self, header: &Header, packet: &Read) -> Result<(i64, i64), Failure> {
        let Some(audio) = &header.audio else { return Err(Failure::new("a copy is of sound")) };
        let data = packet.data().unwrap_or_default();
        let stated = self.codec.read_packet(data, audio.channels);
        let stated = stated.ok_or_else(|| changed("a packet of its sound can't be read"))?;
        let samples = stated.samples.unwrap_or(header.frame_size);
        self.lengths.take(self.codec, header, (stated, samples)).map_err(|wrong| changed(&wrong))?;
        let rate = Clock { num: 1, den: i64::from(audio.sample_rate.max(1)) };
        if self.first.is_none() {
            let first = first_heard(packet, self.clock, header.padding, rate)?;
            self.first = Some(first);
            self.next = first - header.padding;
        }
        if let (None, Some(pts)) = (self.heard, packet.pts()) {
            let place = |ticks| rescale_timestamp(ticks, self.clock, (0, rate), rate);
            if (place(pts) - self.next).abs() > place(TIME_SLACK).max(1) {
                return Err(changed("its packets of sound do not follow each other"));
            }
        }
        if self.cut > 0 {
            return Err(changed("a part of its sound is not heard"));
        }
        self.cut = discarded(packet);
        let begins = self.next;
        let ends = self.heard.map(|heard| heard.first + heard.units);
        let heard = ends.map_or(samples - self.cut, |ends| samples.min(ends - begins)).max(0);
        self.next += samples;
        Ok((begins, heard))
    }

    /// Returns what so many packets come to, the last of which ends at a time in samples.
    fn counts(&self, packets: usize, end: i64) -> Result<Counts, Failure> {
        let first = self.first.unwrap_or(0);
        let all = end - first;
        let units = self.heard.map_or(all - self.cut, |heard| heard.units);
        if self.codec.bits().is_some() && units != all {
            return Err(changed("a part of its lossless sound is not heard"));
        }
        let packets = i64::try_from(packets).unwrap_or(i64::MAX);
        Ok(Counts { units: units.max(0), packets, first, reorder: 0 })
    }
}

/// When the packets of a stream are shown, by the movie box; `None` of a container that has none.
pub(super) fn shown(source: &Source, stream: i32) -> Result<Option<Shown>, Failure> {
    if !source.is_movie() {
        return Ok(None);
    }
    let movie = source.movie(MOST_PACKETS).ok_or_else(|| changed("its index can't be read"))?;
    let track = source.track_of(&movie, stream).ok_or_else(|| changed("its index can't be read"))?;
    coded::shown(&movie, track).map(Some).map_err(|reason| changed(&reason))
}

/// Returns what of sound is heard, by the movie box.
pub(super) fn heard(source: &Source, stream: i32, shown: &Shown, rate: i32) -> Result<Heard, Failure> {
    let ticks = u32::try_from(source.clock(stream).den).unwrap_or(0);
    coded::heard(shown, ticks, rate).map_err(|reason| changed(&reason))
}

/// Returns the codec headers of a stream.
pub(super) fn codec_headers(source: &Source, stream: i32) -> Result<Vec<u8>, Failure> {
    let stream = usize::try_from(stream).ok().and_then(|index| source.input.stream(index));
    let stream = stream.ok_or_else(|| Failure::new("the source has no such stream"))?;
    Ok(extradata(fields(&stream).1).to_vec())
}

/// Returns where sound begins by its first packet, whose time is before the first sample that is heard by the priming that the
/// container states.
pub(super) fn start(source: &Source, stream: i32, packet: &Read, rate: i32) -> Result<Heard, Failure> {
    let samples = Clock { num: 1, den: i64::from(rate.max(1)) };
    let of_it = usize::try_from(stream).ok().and_then(|index| source.input.stream(index));
    let priming = of_it.map_or(0, |stream| i64::from(fields(&stream).1.initial_padding.max(0)));
    let first = first_heard(packet, source.clock(stream), priming, samples)?;
    Ok(Heard { priming, first, units: 0 })
}

/// Returns when the first sample behind the priming is heard, in samples.
fn first_heard(packet: &Read, clock: Clock, priming: i64, samples: Clock) -> Result<i64, Failure> {
    let pts = packet.pts().ok_or_else(|| changed("its sound begins without a time"))?;
    let first = pts + rescale_timestamp(priming, samples, (0, samples), clock);
    Ok(rescale_timestamp(first, clock, (0, clock), samples))
}

/// Returns how many samples at the end of a packet are not heard (libavcodec, `AV_PKT_DATA_SKIP_SAMPLES`).
fn discarded(packet: &Read) -> i64 {
    let mut data = packet.side_data();
    let skip = data.find(|data| data.kind() == Type::SkipSamples);
    let last = skip.and_then(|skip| skip.data().get(4..8)?.first_chunk().copied());
    last.map_or(0, |bytes| u32::from_le_bytes(bytes).into())
}
