//! The containers that outputs can be of, a file each. A container is what users call a format: it holds renditions, and those
//! of equal settings cost one encode, whatever the containers.

use std::marker::PhantomData;

use millrace_schemas::{AudioSettings, Picture, Sound, VideoSettings};

pub use crate::codec::Priming;
use crate::{
    ask::{AudioAsk, VideoAsk},
    codec::{Codec, Form, pcm_s16le::PcmS16le, pcm_s24le::PcmS24le},
    drawing,
    pcm::Pcm,
};

table! {
    /// All containers. The first is made where no format is asked for.
    CONTAINERS: &'static Container {
        mp4,
        flv,
        mov,
        mkv,
        mka,
        webm,
        ts,
        m4a,
        flac,
        mp3,
        opus,
        wav,
        cmaf,
        hls,
        dash,
        thumbnails,
        sprite,
        gif,
        webp,
        hls_ts,
        waveform,
    }
}

/// A container.
#[derive(Debug, Clone, Copy)]
pub struct Container {
    /// The name by which it is asked for; also the extension of its outputs, but for [waveforms](Self::extension).
    pub name: &'static str,
    /// What it is, for help.
    pub about: &'static str,
    /// libavformat's muxer for it.
    pub muxer: &'static str,
    /// libavformat's demuxer for it.
    pub demuxer: &'static str,
    /// Its tracks of pictures.
    pub video: Tracks,
    /// Its tracks of sound.
    pub audio: Tracks,
    /// Its tracks of text.
    pub text: Tracks,
    /// Its covers.
    pub covers: Tracks,
    /// Whether it holds chapters.
    pub chapters: bool,
    /// Whether it holds a title, and when and where it was recorded.
    pub metadata: bool,
    /// Whether it holds the timecode of the first picture.
    pub timecode: bool,
    /// What players do with the samples that an encoder puts before the first one.
    pub priming: Priming,
    /// Whether it states for how long its last picture is shown.
    pub last_length: bool,
    /// How it states which packets there are, and their times.
    pub index: Index,
    /// What an output is.
    pub layout: Layout,
    /// Returns the options of its muxer.
    pub options: fn(&Contents) -> Vec<(&'static str, String)>,
}

/// The tracks of one kind that a container holds.
#[derive(Debug, Clone, Copy)]
pub struct Tracks {
    /// The codecs that it holds, the usual one first.
    pub codecs: &'static [&'static dyn Codec],
    /// How many tracks it holds.
    pub most: usize,
}

/// No tracks.
pub const NO_TRACKS: Tracks = Tracks { codecs: &[], most: 0 };

/// The codecs of PCM.
const PCM_S16LE: PcmS16le = Pcm { samples: PhantomData };
const PCM_S24LE: PcmS24le = Pcm { samples: PhantomData };

/// What containers of one sound track and nothing else have in common; an entry fills in its names and its codecs.
const SOUND_ALONE: Container = Container {
    name: "",
    about: "",
    muxer: "",
    demuxer: "",
    video: NO_TRACKS,
    audio: NO_TRACKS,
    text: NO_TRACKS,
    covers: NO_TRACKS,
    chapters: false,
    metadata: true,
    timecode: false,
    priming: Priming::Signalled,
    last_length: false,
    index: Index::Frames,
    layout: Layout::OneFile,
    options: |_| Vec::new(),
};

/// How a container states which packets there are, and their times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Index {
    /// In boxes with a clock of the movie's own, tables of samples and edit lists (ISO/IEC 14496-12).
    Movie,
    /// Nowhere: each packet has its time, and the container's metadata one length for all tracks.
    Tags,
    /// In blocks, in decoding order: each has its presentation time, and none its decoding time. An index lists keyframes, and
    /// covers are attached files (Matroska, RFC 9559).
    Blocks,
    /// Nowhere, and there are no times: the packets of one sound track lie one behind the other, each as long as it states.
    Frames,
    /// As for [`Index::Frames`], of a codec whose packets are samples alone: where one packet ends is not stated.
    Samples,
    /// Nowhere: a stream that is received from anywhere on, in which clock references lie between packets that have their times
    /// (ISO/IEC 13818-1, transport streams). Codec headers lie before each keyframe.
    Stream,
    /// In movie fragments, each of which states its times (ISO/IEC 14496-12, 8.8). A track is a movie of its own, in the form of
    /// CMAF (ISO/IEC 23000-19).
    Fragments,
}

/// By how much a stream's times are behind its clock, in microseconds: a receiver has as long to fill its buffers. libavformat's
/// `ffmpeg` moves them by as much (`-muxdelay` and `-muxpreload`, 0.7 s each).
pub const STREAM_DELAY: i64 = 1_400_000;

/// The seconds in which the times of a stream come round: they have 33 bits and 90,000 ticks a second (ISO/IEC 13818-1, 2.4.3.7).
const STREAM_ROUND: f64 = (1_u64 << 33) as f64 / 90_000.0;

impl Index {
    /// The key of a comment in libavformat's metadata.
    pub const COMMENT: &'static str = "comment";

    /// Returns the form in which packets lie in it.
    #[must_use]
    pub fn form(self) -> Form {
        if self == Self::Stream { Form::Stream } else { Form::File }
    }

    /// Returns the key of libavformat's metadata in which it keeps a text that says where an output came from.
    #[must_use]
    pub fn mark_key(self) -> &'static str {
        // A transport stream has no comment; the name of a service's provider takes up to 252 bytes (EN 300 468, 6.2.33).
        if self == Self::Stream { "service_provider" } else { Self::COMMENT }
    }

    /// Returns for how many seconds it can count the times of an output; `None` if it can for as long as any source.
    #[must_use]
    pub fn longest_seconds(self) -> Option<f64> {
        // A minute for the delay, priming, and pictures that are decoded before they are shown.
        (self == Self::Stream).then_some(STREAM_ROUND - 60.0)
    }

    /// Returns `true` if packets have decoding times.
    #[must_use]
    pub fn has_decoding_times(self) -> bool {
        self != Self::Blocks
    }

    /// Returns `true` if packets of another file can be put in as they are: each has its time, nothing else says what of it is heard,
    /// and their form is that of files.
    #[must_use]
    pub fn takes_copies(self) -> bool {
        !matches!(self, Self::Frames | Self::Samples | Self::Stream)
    }

    /// Returns `true` if covers are attached files, which are written before any packet.
    #[must_use]
    pub fn attaches_covers(self) -> bool {
        self == Self::Blocks
    }

    /// Returns `true` if it states which channels there are of a codec that does not say so itself; else readers take the usual
    /// layout of so many (libavutil's `av_channel_layout_default`).
    #[must_use]
    pub fn names_channels(self) -> bool {
        self != Self::Blocks
    }

    /// Returns by how much the sample aspect of pictures of this width may be rounded: where the width as shown is stated in whole
    /// pixels, by half of one.
    #[must_use]
    pub fn aspect_slack(self, width: i32) -> f64 {
        if self == Self::Blocks { 0.5 / f64::from(width.max(1)) } else { 0.0 }
    }

    /// Returns `true` if it states colour, the display that pictures were mastered on, and light levels: boxes `colr`, `mdcv` and
    /// `clli`, or the element Colour (RFC 9559, 5.1.4.1.28.16).
    #[must_use]
    pub fn states_light(self) -> bool {
        matches!(self, Self::Movie | Self::Blocks | Self::Fragments)
    }

    /// Returns `true` if samples are encrypted by themselves in it, so that all else can be read without the key (ISO/IEC 23001-7).
    #[must_use]
    pub fn encrypts_samples(self) -> bool {
        self == Self::Fragments
    }

    /// Returns `true` if the last packet of sound can state how many of its samples are not heard.
    #[must_use]
    pub fn discards_samples(self) -> bool {
        self == Self::Blocks
    }
}

/// What an output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// A file.
    OneFile,
    /// Many objects under one prefix, which manifests name.
    Package(Package),
    /// Single pictures, which work objects hold without loss until they are put into files.
    Pictures(Pictures),
    /// A picture of the sound's peaks, which work objects hold until it is drawn.
    Waveform,
}

/// How single pictures are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pictures {
    /// A file each, under one prefix.
    Files {
        /// The name of the list that makes them visible.
        manifest: &'static str,
    },
    /// Sheets of many, under one prefix.
    Sheets {
        /// The name of the list that makes them visible.
        manifest: &'static str,
    },
    /// One file, in which one is shown after the other. Its container has the name of its format.
    Animation,
}

/// How a package is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Package {
    /// Its manifests. The last one makes the package visible: its URL is the output's.
    pub manifests: &'static [Manifest],
    /// The name of the object that a player begins a track with.
    pub initialization: &'static str,
    /// The extension of segments.
    pub segment: &'static str,
    /// The name of the one object of a track whose segments are ranges of it.
    pub single: &'static str,
}

/// A kind of manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manifest {
    /// Playlists of HLS (RFC 8216).
    Hls,
    /// A presentation description of DASH (ISO/IEC 23009-1).
    Dash,
}

impl Manifest {
    /// Returns the name of the manifest at the package's top.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Hls => "master.m3u8",
            Self::Dash => "manifest.mpd",
        }
    }
}

impl Package {
    /// Returns the name of the manifest that makes the package visible.
    #[must_use]
    pub fn main_manifest(&self) -> &'static str {
        self.manifests.last().map_or("", |manifest| manifest.file_name())
    }
}

/// What goes into an output, as far as a muxer's options depend on it.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// How many packets there are at the most.
    pub packets: i64,
    /// The bytes of texts in the header at the most: metadata, chapters and titles of tracks.
    pub text: usize,
    /// The bytes of covers at the most.
    pub covers: i64,
    /// The ticks a second of the movie's own clock, of containers that have one.
    pub movie_ticks: i64,
}

impl PartialEq for Container {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Container {
    /// Returns how its outputs are laid out if they are packages.
    #[must_use]
    pub fn package(&self) -> Option<&Package> {
        match &self.layout {
            Layout::OneFile | Layout::Pictures(_) | Layout::Waveform => None,
            Layout::Package(package) => Some(package),
        }
    }

    /// Returns how its outputs are laid out if they are single pictures.
    #[must_use]
    pub fn pictures(&self) -> Option<Pictures> {
        match self.layout {
            Layout::Pictures(pictures) => Some(pictures),
            Layout::OneFile | Layout::Package(_) | Layout::Waveform => None,
        }
    }

    /// Returns `true` if its outputs are pictures of the sound's peaks.
    #[must_use]
    pub fn is_waveform(&self) -> bool {
        self.layout == Layout::Waveform
    }

    /// Returns the extension of its outputs.
    #[must_use]
    pub fn extension(&self) -> &'static str {
        if self.is_waveform() { drawing::EXTENSION } else { self.name }
    }

    /// Returns `true` if its outputs are files of tracks, which play by themselves.
    #[must_use]
    pub fn is_one_file(&self) -> bool {
        self.layout == Layout::OneFile
    }

    /// Returns the name of the object that makes an output of many visible; `None` if an output is one file.
    #[must_use]
    pub fn manifest(&self) -> Option<&'static str> {
        match self.layout {
            Layout::OneFile | Layout::Pictures(Pictures::Animation) | Layout::Waveform => None,
            Layout::Package(package) => Some(package.main_manifest()),
            Layout::Pictures(Pictures::Files { manifest } | Pictures::Sheets { manifest }) => Some(manifest),
        }
    }

    /// All codecs that it holds.
    pub fn codecs(&self) -> impl Iterator<Item = &'static dyn Codec> {
        [self.video, self.audio, self.text, self.covers].into_iter().flat_map(|tracks| tracks.codecs).copied()
    }

    /// Returns the codec of pictures that it usually holds; `None` if it holds none.
    #[must_use]
    pub fn video_codec(&self) -> Option<&'static dyn Codec> {
        self.video.codecs.first().copied()
    }

    /// Returns the codec of audio that it usually holds; `None` if it holds none.
    #[must_use]
    pub fn audio_codec(&self) -> Option<&'static dyn Codec> {
        self.audio.codecs.first().copied()
    }

    /// Returns the settings of a rendition of pictures like these of which nothing is asked; `None` if it holds no pictures.
    #[must_use]
    pub fn video_settings(&self, picture: &Picture) -> Option<VideoSettings> {
        self.video_codec()?.video_settings(picture, &VideoAsk::default())
    }

    /// Returns the settings of a rendition of this sound of which nothing is asked, and what is to be said if its channels can't
    /// stay as they are; `None` if it holds no sound.
    #[must_use]
    pub fn audio_settings(&self, sound: &Sound) -> Option<(AudioSettings, Option<String>)> {
        self.audio_settings_of(self.audio_codec()?, sound, &AudioAsk::default())
    }

    /// Returns the settings of a rendition of this sound in a codec, of which this is asked, as [`Self::audio_settings`] does; `None`
    /// if the codec is none of sound.
    #[must_use]
    pub fn audio_settings_of(
        &self,
        codec: &dyn Codec,
        sound: &Sound,
        ask: &AudioAsk,
    ) -> Option<(AudioSettings, Option<String>)> {
        let channels_unnamed = !self.index.names_channels();
        let is_stream = self.index.form() == Form::Stream;
        codec.audio_settings(sound, self.priming, &AudioAsk { channels_unnamed, is_stream, ..ask.clone() })
    }

    /// Returns the codec in which it holds a track of text or a cover that is there in `codec`, and how many such tracks it holds;
    /// `None` if it holds none. Text becomes that which it holds, a cover stays as it is.
    #[must_use]
    pub fn side(&self, codec: &dyn Codec) -> Option<(&'static dyn Codec, usize)> {
        let tracks = if codec.is_text() { self.text } else { self.covers };
        let same = tracks.codecs.iter().copied().find(|held| held.name() == codec.name());
        let usual = tracks.codecs.first().copied().filter(|_| codec.is_text());
        Some((same.or(usual)?, tracks.most))
    }
}

/// Options of libavformat's muxers of movies: room for the index in front, and the clock of the movie.
pub(crate) fn room_in_front(contents: &Contents) -> Vec<(&'static str, String)> {
    // For a packet of the index at the most: size 4, decoding time 8, composition offset 8, sync 4, and a chunk of its own 20
    // (ISO/IEC 14496-12, 8.6 and 8.7). Covers and texts lie in the header, too.
    let text = i64::try_from(contents.text).unwrap_or(0);
    let reserved = 8192 + 44 * contents.packets + text + contents.covers;
    vec![("moov_size", reserved.to_string()), ("movie_timescale", contents.movie_ticks.to_string())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_has_room_for_each_packet_each_text_and_each_cover() {
        let contents = Contents { packets: 10, text: 300, covers: 5000, movie_ticks: 192_000 };
        let expected = [("moov_size", "13932".to_owned()), ("movie_timescale", "192000".to_owned())];
        assert_eq!(room_in_front(&contents), expected);
    }
}
