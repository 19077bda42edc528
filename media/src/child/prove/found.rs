//! What a finished file states of its tracks. Nothing here knows the plan, so no fact in an output's record can come from it.

use ffmpeg_next::ffi::{
    AV_DISPOSITION_ATTACHED_PIC, AVCodecParameters, AVFieldOrder, AVMediaType, AVPacketSideDataType, AVStream,
};
use millrace_schemas::{AudioFacts, Color, Light, VideoFacts};
use twox_hash::XxHash3_64;

use crate::{
    child::{
        codec::{self, AudioCodec, Form, SoundHeader, SoundPacket},
        libav::{
            codec::{codec_name, pixel_format_name},
            layout::describe,
            metadata,
            stream::{extradata, fields, side_data},
        },
        light,
        samples::PacketLengths,
        source::Source,
    },
    protocol::Merged,
    timeline::{Clock, rescale_timestamp},
};

/// What a track holds, as its stream states it.
#[derive(Debug)]
pub(super) enum Media {
    /// Pictures; the facts about times are filled in from the packets.
    Video(VideoFacts),
    /// Sound; as for pictures.
    Audio(AudioFacts),
    Text,
    Cover,
    Data,
}

/// What was found of a track. Times are in `clock`, counted from the output's time zero where the container states it.
pub(super) struct Found {
    pub(super) media: Media,
    /// libavcodec's name of the codec, by the stream's `codec_id`.
    pub(super) codec: String,
    /// The codec headers.
    pub(super) headers: Vec<u8>,
    /// What the codec header states, of sound whose codec outputs hold; of a codec without one, what the first packet states.
    pub(super) sound: Option<SoundHeader>,
    /// Samples in all packets of sound, as each states them, or else as the codec header does.
    packet_samples: i64,
    pub(super) lengths: PacketLengths,
    pub(super) display_matrices: i64,
    /// What the container states of light.
    pub(super) light: Option<Light>,
    pub(super) clock: Clock,
    language: String,
    /// All bytes of the packets of sound that a container divided anew.
    pub(super) bytes: XxHash3_64,
    /// Each packet in decoding order: its presentation time, and the digest of its bytes.
    pub(super) packets: Vec<(i64, u64)>,
    pub(super) first_dts: Option<i64>,
    pub(super) last_dts: Option<i64>,
    /// Whether decoding can begin at each packet.
    pub(super) keyframes: Vec<bool>,
    /// The time of the first picture, or of the first sample that is heard.
    pub(super) first: i64,
    /// The end; `None` where the container can't state it.
    pub(super) end: Option<i64>,
    /// The samples that are heard, where the container counts them.
    pub(super) samples: Option<i64>,
}

impl Found {
    /// Reads what the headers of a file state of a stream; `None` if there is no such stream.
    pub(super) fn of(source: &Source, index: usize) -> Option<Self> {
        let stream = source.input.stream(index)?;
        let (s, p) = fields(&stream);
        let headers = extradata(p).to_vec();
        let media = match p.codec_type {
            AVMediaType::AVMEDIA_TYPE_VIDEO if s.disposition & AV_DISPOSITION_ATTACHED_PIC != 0 => {
                Media::Cover
            }
            AVMediaType::AVMEDIA_TYPE_VIDEO => Media::Video(video(s, p)),
            AVMediaType::AVMEDIA_TYPE_AUDIO => Media::Audio(audio(p)),
            AVMediaType::AVMEDIA_TYPE_SUBTITLE => Media::Text,
            _ => Media::Data,
        };
        Some(Self {
            media,
            codec: codec_name(p),
            sound: codec::find(&codec_name(p)).ok().and_then(|codec| codec.read_sound_header(&headers)),
            packet_samples: 0,
            lengths: PacketLengths::default(),
            headers,
            display_matrices: i64::from(
                side_data(&stream, AVPacketSideDataType::AV_PKT_DATA_DISPLAYMATRIX).is_some(),
            ),
            light: light::read(
                side_data(&stream, AVPacketSideDataType::AV_PKT_DATA_MASTERING_DISPLAY_METADATA),
                side_data(&stream, AVPacketSideDataType::AV_PKT_DATA_CONTENT_LIGHT_LEVEL),
            ),
            clock: source.clock(i32::try_from(index).ok()?),
            language: metadata::of_stream(&stream, "language").filter(|l| l != "und").unwrap_or_default(),
            bytes: XxHash3_64::new(),
            packets: Vec::new(),
            first_dts: None,
            last_dts: None,
            keyframes: Vec::new(),
            first: 0,
            end: None,
            samples: None,
        })
    }

    /// What the track holds, in words.
    pub(super) fn kind(&self) -> &'static str {
        match self.media {
            Media::Video(_) => "pictures",
            Media::Audio(_) => "sound",
            Media::Text => "text",
            Media::Cover => "a cover",
            Media::Data => "data",
        }
    }

    pub(super) fn seconds(&self, ticks: i64) -> f64 {
        ticks as f64 * self.clock.num as f64 / self.clock.den as f64
    }

    /// The digest of the codec headers that is in the record.
    pub(super) fn headers_digest(&self) -> String {
        blake3::hash(&self.headers).to_hex()[..16].to_owned()
    }

    /// The time of the first packet, in presentation order.
    pub(super) fn first_packet(&self) -> i64 {
        self.packets.iter().map(|packet| packet.0).min().unwrap_or(0)
    }

    /// The sampling rate of sound, as its stream states it; 1 of others.
    pub(super) fn rate(&self) -> i32 {
        match &self.media {
            Media::Audio(audio) => audio.sample_rate.max(1),
            _ => 1,
        }
    }

    /// Reads the next packet of sound. Returns what it states, and its samples; `None` if it can't be read.
    pub(super) fn read_sound(
        &mut self,
        codec: &dyn AudioCodec,
        form: Form,
        packet: &[u8],
    ) -> Option<(SoundPacket, i64)> {
        let Media::Audio(AudioFacts { sample_rate, channels, .. }) = self.media else { return None };
        let stated = match form {
            Form::Stream => codec.read_stream_packet(packet, channels)?,
            Form::Encoder | Form::File => codec.read_packet(packet, channels)?,
        };
        let sound = match (self.sound, stated.samples) {
            (Some(sound), _) => sound,
            (None, frame_length) => *self.sound.insert(SoundHeader {
                sample_rate: stated.sample_rate.unwrap_or(sample_rate),
                channels: Some(stated.channels.unwrap_or(channels)),
                frame_length: frame_length?,
            }),
        };
        let samples = stated.samples.unwrap_or(sound.frame_length);
        self.packet_samples = self.packet_samples.saturating_add(samples);
        Some((stated, samples))
    }

    /// Samples in all packets.
    pub(super) fn samples_in_packets(&self) -> i64 {
        self.packet_samples
    }

    /// Ticks as samples, at the rate that the codec header states.
    pub(super) fn as_samples(&self, ticks: i64) -> i64 {
        let rate = self.sound.map_or(1, |sound| sound.sample_rate.max(1));
        rescale_timestamp(ticks, self.clock, (0, self.clock), Clock { num: 1, den: i64::from(rate) })
    }

    /// The facts of pictures, with those of their packets.
    fn with_times_of_pictures(&self, stated: VideoFacts) -> VideoFacts {
        let first_seconds = self.seconds(self.first);
        let times = || self.packets.iter().map(|packet| packet.0);
        let span = times().max().unwrap_or(0) - times().min().unwrap_or(0);
        let last_seconds = self.seconds(self.first + span);
        let frames = self.packets.len();
        let span = last_seconds - first_seconds;
        VideoFacts {
            frames: i64::try_from(frames).unwrap_or(i64::MAX),
            first_seconds,
            last_seconds,
            end_seconds: self.end.map_or(0.0, |end| self.seconds(end)),
            frame_rate: if span > 0.0 { (frames - 1) as f64 / span } else { 0.0 },
            headers: self.headers_digest(),
            ..stated
        }
    }

    /// The facts of sound, with those of its packets and of the container's edits.
    fn with_times_of_sound(&self, stated: AudioFacts) -> AudioFacts {
        AudioFacts {
            // Containers without edit lists can't state that an encoder's priming and padding are not heard.
            samples: self.samples.unwrap_or_else(|| {
                self.end.map_or(self.samples_in_packets(), |end| self.as_samples(end - self.first))
            }),
            first_seconds: self.seconds(self.first),
            end_seconds: self.end.map_or(0.0, |end| self.seconds(end)),
            language: self.language.clone(),
            headers: self.headers_digest(),
            ..stated
        }
    }
}

/// The facts of a file for its record. `length` is the one that the container states for all tracks, in seconds, which was held to
/// its last packets.
pub(super) fn facts(chapters: u32, found: &[Found], length: Option<f64>) -> Merged {
    let ends = found.iter().filter_map(|found| Some(found.seconds(found.end?)));
    let mut merged = Merged {
        duration_seconds: length.or_else(|| ends.reduce(f64::max)).unwrap_or(0.0),
        video: None,
        audio: None,
        more_audio: Vec::new(),
        text: Vec::new(),
        chapters: i32::try_from(chapters).unwrap_or(i32::MAX),
        warnings: Vec::new(),
        more_video: Vec::new(),
        parts: Vec::new(),
    };
    for found in found {
        match &found.media {
            Media::Video(stated) => {
                let video = found.with_times_of_pictures(stated.clone());
                match merged.video {
                    None => merged.video = Some(video),
                    Some(_) => merged.more_video.push(video),
                }
            }
            Media::Audio(stated) => {
                let audio = found.with_times_of_sound(stated.clone());
                match merged.audio {
                    None => merged.audio = Some(audio),
                    Some(_) => merged.more_audio.push(audio),
                }
            }
            Media::Text => merged.text.push(found.language.clone()),
            Media::Cover | Media::Data => {}
        }
    }
    merged
}

fn video(s: &AVStream, p: &AVCodecParameters) -> VideoFacts {
    VideoFacts {
        codec: codec_name(p),
        width: p.width,
        height: p.height,
        pixel_format: pixel_format_name(p.format).unwrap_or_default(),
        sample_aspect: sample_aspect(s, p),
        color: Some(Color {
            primaries: p.color_primaries as i32,
            transfer: p.color_trc as i32,
            matrix: p.color_space as i32,
            range: p.color_range as i32,
            chroma: p.chroma_location as i32,
        }),
        field_order: match p.field_order {
            AVFieldOrder::AV_FIELD_TT | AVFieldOrder::AV_FIELD_BT => 1,
            AVFieldOrder::AV_FIELD_BB | AVFieldOrder::AV_FIELD_TB => 2,
            _ => 0,
        },
        ..VideoFacts::default()
    }
}

fn audio(p: &AVCodecParameters) -> AudioFacts {
    AudioFacts {
        codec: codec_name(p),
        sample_rate: p.sample_rate,
        channels: p.ch_layout.nb_channels,
        layout: describe(&p.ch_layout),
        ..AudioFacts::default()
    }
}

fn sample_aspect(s: &AVStream, p: &AVCodecParameters) -> f64 {
    let aspect = if s.sample_aspect_ratio.num > 0 { s.sample_aspect_ratio } else { p.sample_aspect_ratio };
    f64::from(aspect.num) / f64::from(aspect.den.max(1))
}
