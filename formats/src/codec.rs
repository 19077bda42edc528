//! The codecs that outputs hold, a file each: how a codec is encoded and where it can be cut, for planner and encoder; how its
//! headers and packets are read and compared, for the merge and its proof.
//!
//! How a codec's headers and packets lie in a file is particular to it. So a codec without an entry here is refused before an
//! output is begun: its packets would be compared wrongly, and its headers not at all.

use std::{borrow::Cow, fmt::Debug};

use millrace_schemas::{AudioSettings, Picture, Sound, VideoSettings};

use crate::{
    ask::{AudioAsk, PixelAsk, VideoAsk},
    bit_rate::first_quality,
    color,
    pixels::{HIGH_RANGE_DEPTH, Pixels, nearest},
    slices::ReadSlices,
};
pub use crate::{
    quality::Quality,
    sound::{AudioCodec, BitRates, Priming, SoundHeader, SoundPacket},
};

table! {
    /// All codecs.
    CODECS: &'static dyn Codec {
        h264,
        hevc,
        av1,
        vp9,
        aac,
        opus,
        mp3,
        ac3,
        flac,
        alac,
        pcm_s16le,
        pcm_s24le,
        mov_text,
        subrip,
        webvtt,
        mjpeg,
        png,
    }
}

/// The form in which a codec's packets lie somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As the encoder gives them, in work objects.
    Encoder,
    /// As they lie in an output.
    File,
    /// As they lie in an output without codec headers in front: each packet can be told from the next, and what a decoder must
    /// know to begin lies before each keyframe.
    Stream,
}

/// How segments of a track become one track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seams {
    /// Their packets are put one behind the other: codec headers depend on the settings alone, so one encoder may make several
    /// segments, and several encoders one track.
    Stitch,
    /// As for [`Seams::Stitch`], but each segment is an encode of its own: an encoder makes one, and is followed by another.
    OwnEncode,
    /// Not at all: the track is one segment.
    Whole,
}

/// What a codec is of, with what only such codecs have.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Pictures.
    Video(&'static dyn VideoCodec),
    /// Sound.
    Audio(&'static dyn AudioCodec),
    /// Text.
    Text {
        /// The packet that a track holds while there is no text.
        empty: &'static [u8],
    },
    /// One picture for the whole output, copied from the source.
    Cover,
}

/// How pictures are encoded so that they can stand beside packets that are copied from a file, in one track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Splice {
    /// The options of libavcodec's encoder, beside those that every encoder has (size, clock, colour).
    pub options: Vec<(&'static str, String)>,
    /// The form of the packets that are copied: [`Form::File`], or [`Form::Stream`] if each unit has a start code in front.
    pub form: Form,
}

/// A codec.
pub trait Codec: Debug + Sync {
    /// libavcodec's name of the codec.
    fn name(&self) -> &'static str;

    /// What it is a codec of.
    fn kind(&self) -> Kind;

    /// libavcodec's encoders for it, the best first; none if packets are copied from the source, or made [here](Self::own_version).
    fn encoders(&self) -> &'static [&'static str];

    /// Returns the version of its packets, if they are made here, and libavcodec does not know them; `None` for all others. Such a codec
    /// is never asked for by its name.
    fn own_version(&self) -> Option<&'static str> {
        None
    }

    /// How segments of it are joined.
    fn seams(&self) -> Seams;

    /// Returns `true` if the codec headers of a file are those that the encoder gave: the same bytes, or none on both sides of a codec
    /// of sound that has no codec header.
    fn headers_agree(&self, encoder: &[u8], file: &[u8]) -> bool {
        let may_be = match self.kind() {
            Kind::Audio(audio) => audio.has_header() || encoder.is_empty(),
            _ => true,
        };
        may_be && encoder == file
    }

    /// Returns `true` if the codec headers that a reader gathers from an output of [`Form::Stream`] are those that the encoder gave.
    fn stream_headers_agree(&self, encoder: &[u8], gathered: &[u8]) -> bool {
        let _ = encoder;
        gathered.is_empty()
    }

    /// Returns `true` if a packet of [`Form::Stream`] has all codec headers of the encoder in front if it is a keyframe, else none,
    /// and what tells it from the packet before it.
    fn is_framed(&self, packet: &[u8], encoder: &[u8]) -> bool {
        let _ = (packet, encoder);
        true
    }

    /// Returns `true` if decoding can begin at the packet, and nothing behind it needs what comes before it: at each one of a codec
    /// that is none of pictures.
    fn is_keyframe(&self, packet: &[u8], form: Form) -> bool {
        let _ = (packet, form);
        !matches!(self.kind(), Kind::Video(_))
    }

    /// Returns `true` if decoding can begin at the packet of a file, be it that the first pictures are not whole.
    fn is_entry_point(&self, packet: &[u8]) -> bool {
        self.is_keyframe(packet, Form::File)
    }

    /// Returns the extension and the media type of a file that is one packet of it; `None` if a packet is no file.
    fn file(&self) -> Option<(&'static str, &'static str)> {
        None
    }

    /// Returns the code by which files of libavformat's muxer of this name have to know the codec; `None` if the muxer's own choice
    /// is right.
    fn tag(&self, muxer: &str) -> Option<[u8; 4]> {
        let _ = muxer;
        None
    }

    /// Gives all bytes of a packet that a decoder gets, in order; the same for all forms of the same packet. Of [`Form::Stream`] without
    /// what [`Self::is_framed`] and [`AudioCodec::read_stream_packet`] hold.
    fn content(&self, packet: &[u8], form: Form, give: &mut dyn FnMut(&[u8])) {
        let _ = form;
        give(packet);
    }
}

/// Returns libavcodec's options for the buffer that an encoder is held to.
pub(crate) fn buffer_options(settings: &VideoSettings) -> Vec<(&'static str, String)> {
    let Some(rate) = settings.bit_rate.filter(|rate| rate.segment_most > 0) else { return Vec::new() };
    vec![("maxrate", rate.segment_most.to_string()), ("bufsize", rate.segment_buffer.to_string())]
}

/// The most threads that decode before a quarter of the cores is more: four decode faster than any encoder of these takes pictures.
const MOST_DECODER_THREADS: usize = 4;

/// What only a codec of pictures has.
pub trait VideoCodec: Debug + Sync {
    /// libavutil's names of the pixel formats that it is made of, the usual one first.
    fn pixel_formats(&self) -> &'static [&'static str];

    /// The presets of its encoder, as the encoder names them, from fast to slow; empty if it has none.
    fn presets(&self) -> &'static [&'static str];

    /// The preset of a rendition that asks for none; empty if it has none.
    fn usual_preset(&self) -> &'static str;

    /// Returns [`Self::presets`] of an encoder, by libavcodec's name; those of the first one if it is empty.
    fn presets_of(&self, encoder: &str) -> &'static [&'static str] {
        let _ = encoder;
        self.presets()
    }

    /// Returns [`Self::usual_preset`] of an encoder, by libavcodec's name.
    fn usual_preset_of(&self, encoder: &str) -> &'static str {
        let _ = encoder;
        self.usual_preset()
    }

    /// The scale of its constant quality.
    fn quality(&self) -> Quality;

    /// Returns `true` if its encoder can be held to a buffer that fills with a rate.
    fn holds_buffer(&self) -> bool {
        false
    }

    /// Returns the options with which its encoder writes its version, and nothing into logs.
    fn version_options(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Returns the texts before and behind the version that its encoder writes into its first packet; `None` if it writes none.
    fn version_text(&self) -> Option<(&'static str, &'static str)> {
        None
    }

    /// Changes settings that follow from what is asked to those that the codec can hold.
    fn fit(&self, settings: &mut VideoSettings) {
        let _ = settings;
    }

    /// Returns the options of libavcodec's encoder for these settings, beside those that every encoder has (size, clock, colour).
    fn options(&self, settings: &VideoSettings) -> Vec<(&'static str, String)>;

    /// Returns [`Self::options`] for the encoder that the settings name, or the first one, which runs this many threads. Codec headers
    /// must not depend on their number.
    fn options_for(&self, settings: &VideoSettings, threads: i32) -> Vec<(&'static str, String)> {
        let _ = threads;
        self.options(settings)
    }

    /// Returns how many threads its encoder runs on so many cores, 1 or more.
    fn encoder_threads(&self, cores: usize) -> usize {
        cores.max(1)
    }

    /// Returns how many threads decode pictures for its encoder, which runs on so many cores: 1 or more. One of them decodes while no
    /// picture is being sent to the encoder; more decode beside it. Each holds a picture.
    ///
    /// Encoders that work in the thread that sends pictures (libvpx), or that need many before they have work for all cores
    /// (SVT-AV1 at the start of a segment), leave cores idle while that thread decodes.
    fn decoder_threads(&self, cores: usize) -> usize {
        cores.clamp(1, MOST_DECODER_THREADS).max(cores.div_ceil(4))
    }

    /// Returns a packet of its encoder without what files have in codec headers alone.
    fn without_headers<'a>(&self, settings: &VideoSettings, packet: &'a [u8]) -> Cow<'a, [u8]> {
        let _ = settings;
        Cow::Borrowed(packet)
    }

    /// Returns `false` if its encoder places keyframes by itself. Such an encoder gets the pictures of its segment and none behind
    /// it, since these may be coded before the last ones of the segment; its codec is [`Seams::OwnEncode`] or [`Seams::Whole`].
    fn places_keyframes(&self) -> bool {
        true
    }

    /// The shorter sides of the rungs of a ladder that is made of a source's size, in pixels, the largest first: each has about half
    /// the bits of the one before, as Apple's "HLS Authoring Specification for Apple Devices" asks of variants (1.5 to 2 times,
    /// 2.28). A codec that needs fewer bits for a picture needs no rung below 360.
    fn rungs(&self) -> &'static [i32] {
        &[4320, 2880, 2160, 1440, 1080, 720, 480, 360]
    }

    /// Returns why it can't be made with these settings, with what to do; `None` if it can.
    fn refusal(&self, settings: &VideoSettings) -> Option<String> {
        let _ = settings;
        None
    }

    /// Returns `true` if what a file states of the codec outside of its headers is true of these settings. `entry` has the boxes of
    /// the track's sample entry (ISO/IEC 14496-12, 8.5.2) by their types.
    fn entry_agrees(&self, settings: &VideoSettings, entry: &[([u8; 4], Vec<u8>)]) -> bool {
        let _ = (settings, entry);
        true
    }

    /// Returns why a file's packets of it, with these codec headers, can't be put into another file as they are; `None` if they can.
    /// The settings are those of the copy.
    fn copy_refusal(&self, settings: &VideoSettings, headers: &[u8]) -> Option<String> {
        let _ = (settings, headers);
        None
    }

    /// Returns `true` if a packet of a file holds headers that its codec headers lack, so that decoding can't begin behind it.
    fn adds_headers(&self, headers: &[u8], packet: &[u8]) -> bool {
        let _ = (headers, packet);
        false
    }

    /// Returns how pictures are encoded with these settings so that they can stand in one track with packets of a file that has these
    /// codec headers.
    ///
    /// # Errors
    /// The reason, if they can't.
    fn splice(&self, settings: &VideoSettings, headers: &[u8]) -> Result<Splice, String> {
        let _ = (settings, headers);
        Err("a track holds the codec headers of one encoder".into())
    }

    /// Returns the codec headers of a track that holds packets of a file with `headers` and packets of an encoder with the headers
    /// `encoder`, whose options are those of [`Self::splice`]; `None` if they don't fit into one.
    fn spliced_headers(&self, headers: &[u8], encoder: &[u8]) -> Option<Vec<u8>> {
        let _ = (headers, encoder);
        None
    }

    /// Returns a packet of the encoder in the form of the packets that it stands beside ([`Splice::form`]).
    fn spliced_packet(&self, packet: &[u8], form: Form) -> Vec<u8> {
        let _ = form;
        packet.to_vec()
    }

    /// Returns `true` if a packet that is copied holds headers that take the place of the encoder's ones.
    fn replaces_headers(&self, encoder: &[u8], packet: &[u8], form: Form) -> bool {
        let _ = (encoder, packet, form);
        false
    }

    /// Returns what reads, from codec headers of files, which bytes of packets stay clear where samples are encrypted by themselves; `None`
    /// if that is not known of the codec.
    fn slices(&self) -> Option<ReadSlices> {
        None
    }

    /// The most pictures that its encoder holds as lookahead and references, beside three for each core.
    fn held_pictures(&self) -> u64 {
        70
    }

    /// How many times the work of the slowest accepted encode of H.264 the slowest one of this codec is.
    fn effort(&self) -> f64 {
        1.0
    }
}

/// Returns the pixel format of a rendition: the one that is asked for, or the codec's first that holds its range.
fn pixel_format(codec: &dyn VideoCodec, picture: &Picture, ask: &VideoAsk, is_high_range: bool) -> String {
    let held = codec.pixel_formats();
    let is_deep = |name: &&str| Pixels::of(name).is_some_and(|pixels| pixels.depth >= HIGH_RANGE_DEPTH);
    let usual = || held.iter().find(|name| !is_high_range || is_deep(name)).or(held.first());
    match &ask.pixel_format {
        Some(PixelAsk::Named(name)) => name.clone(),
        Some(PixelAsk::AsSource) => {
            let own = nearest(&picture.pixel_format, held);
            // High range of eight bits is kept in ten.
            if is_high_range && !is_deep(&own) { usual().copied().unwrap_or(own) } else { own }.to_owned()
        }
        None => usual().copied().unwrap_or_default().to_owned(),
    }
}

impl dyn Codec + '_ {
    /// Returns the settings of a rendition of pictures like these; `None` if it is no codec of pictures.
    #[must_use]
    pub fn video_settings(&self, picture: &Picture, ask: &VideoAsk) -> Option<VideoSettings> {
        let codec = self.video()?;
        let (width, height) = ask.size.unwrap_or((picture.width, picture.height));
        let (color, tone_map) = color::shown(picture, ask.keeps_range);
        let is_high_range = color::is_high_range(color);
        let encoder = ask.encoder.as_deref().unwrap_or_default();
        let mut settings = VideoSettings {
            preset: ask.preset.clone().unwrap_or_else(|| codec.usual_preset_of(encoder).into()),
            crf: ask.quality.unwrap_or(codec.quality().usual),
            width,
            height,
            pixel_format: pixel_format(codec, picture, ask, is_high_range),
            encoder: ask.encoder.clone().unwrap_or_default(),
            keyframe_seconds: ask.keyframe_interval.unwrap_or(0.0),
            ..VideoSettings::of(self.name(), picture)
        };
        (settings.color, settings.tone_map) = (color, tone_map);
        settings.light = picture.light.clone().filter(|_| is_high_range);
        settings.bit_rate = ask.bit_rate;
        if let Some(rate) = ask.bit_rate.filter(|rate| rate.average > 0) {
            let pixels = i64::from(width) * i64::from(height);
            settings.crf =
                first_quality(&codec.quality(), rate.average, pixels, settings.frame_rate.as_f64());
        }
        settings.source_color = (settings.color != picture.color).then_some(picture.color);
        codec.fit(&mut settings);
        Some(settings)
    }

    /// Returns why pictures can't be made of it with these settings, with what would work; `None` if they can.
    #[must_use]
    pub fn refusal(&self, settings: &VideoSettings) -> Option<String> {
        let codec = self.video()?;
        color::refusal(settings, codec.pixel_formats()).or_else(|| codec.refusal(settings))
    }

    /// Returns the settings of a rendition of this sound in a container of this priming, and what is to be said if its channels
    /// can't stay as they are; `None` if it is no codec of sound.
    #[must_use]
    pub fn audio_settings(
        &self,
        sound: &Sound,
        priming: Priming,
        ask: &AudioAsk,
    ) -> Option<(AudioSettings, Option<String>)> {
        let codec = self.audio()?;
        let mut asked = sound.clone();
        asked.sample_rate = ask.sample_rate.unwrap_or(sound.sample_rate);
        if let Some(channels) = ask.channels.filter(|channels| *channels != sound.channels) {
            (asked.channels, asked.layout) = (channels, String::new());
        }
        let unnamed = ask.channels_unnamed.then(|| codec.unnamed_settings(&asked)).flatten();
        let (mut settings, mut remark) = unnamed.unwrap_or_else(|| codec.settings(&asked, priming));
        if let Some(of_stream) = ask.is_stream.then(|| codec.fit_stream(&mut settings)).flatten() {
            remark = Some(of_stream);
        }
        settings.encoder = ask.encoder.clone().unwrap_or_default();
        settings.filters.clone_from(&ask.filters);
        let bits = ask.bits.filter(|bits| codec.bits() != Some(*bits));
        settings.bits = bits.and_then(|bits| i32::try_from(bits).ok()).unwrap_or(0);
        if let Some(bit_rate) = ask.bit_rate {
            settings.bit_rate = bit_rate;
        }
        codec.fit(&mut settings);
        Some((settings, remark))
    }

    /// What only a codec of pictures has; `None` for others.
    #[must_use]
    pub fn video(&self) -> Option<&'static dyn VideoCodec> {
        match self.kind() {
            Kind::Video(video) => Some(video),
            _ => None,
        }
    }

    /// What only a codec of sound has; `None` for others.
    #[must_use]
    pub fn audio(&self) -> Option<&'static dyn AudioCodec> {
        match self.kind() {
            Kind::Audio(audio) => Some(audio),
            _ => None,
        }
    }

    /// Returns `true` for a codec of covers.
    #[must_use]
    pub fn is_cover(&self) -> bool {
        matches!(self.kind(), Kind::Cover)
    }

    /// Returns `true` for a codec of text.
    #[must_use]
    pub fn is_text(&self) -> bool {
        matches!(self.kind(), Kind::Text { .. })
    }

    /// Reads the codec header of a sound track; `None` if it can't be read, or the codec is none of sound.
    #[must_use]
    pub fn read_sound_header(&self, header: &[u8]) -> Option<SoundHeader> {
        self.audio()?.read_header(header)
    }

    /// Samples in a packet: the grid on which its sound can be cut; `None` if it can't be.
    #[must_use]
    pub fn sound_grid(&self) -> Option<i64> {
        self.audio().filter(|_| self.seams() != Seams::Whole).map(AudioCodec::frame_size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_follow_from_cores_by_the_codec_and_there_is_always_one() {
        for codec in CODECS.iter().filter_map(|codec| codec.video().map(|video| (codec.name(), video))) {
            let threads = |cores| (codec.1.encoder_threads(cores), codec.1.decoder_threads(cores));
            let expected = match codec.0 {
                name if name == CODECS[0].name() => [(1, 1), (1, 1), (4, 1), (16, 2), (64, 8)],
                _ => [(1, 1), (1, 1), (2, 2), (8, 4), (32, 8)],
            };
            assert_eq!([0, 1, 2, 8, 32].map(threads), expected, "{}", codec.0);
        }
    }
}
