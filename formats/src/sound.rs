//! What only codecs of sound have.

use std::fmt::Debug;

use millrace_schemas::{AudioSettings, Sound};

/// What players do with the samples that an encoder puts before the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priming {
    /// They leave them out: the container says how many there are, and that what comes before time zero is not shown.
    Signalled,
    /// They play them: all tracks are moved behind time zero, by as much.
    Heard,
}

/// The bit rates that a codec can be asked for, in bits per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BitRates {
    /// The least that the encoder keeps to.
    pub least: i64,
    /// The most that can be asked for.
    pub most: i64,
    /// That of a rendition that asks for none.
    pub usual: i64,
}

/// What only a codec of sound has.
pub trait AudioCodec: Debug + Sync {
    /// libavutil's name of the sample format that its encoder takes.
    fn sample_format(&self) -> &'static str;

    /// The least, the most and the usual bit rate, in bits per second; `None` if it is lossless, or the encoder chooses it.
    fn bit_rates(&self) -> Option<BitRates> {
        None
    }

    /// The usual bits of a sample of a lossless codec: what it is given, rounded to so many bits, is what a decoder gives back; `None`
    /// if it is lossy.
    fn bits(&self) -> Option<u32> {
        None
    }

    /// The bits of a sample that it can be asked for, the usual ones first; empty if there is no choice.
    fn depths(&self) -> &'static [u32] {
        &[]
    }

    /// Returns the bits of a sample of these settings; `None` if it is lossy.
    fn bits_of(&self, settings: &AudioSettings) -> Option<u32> {
        u32::try_from(settings.bits).ok().filter(|bits| *bits > 0).or_else(|| self.bits())
    }

    /// Returns the bits of a sample that a codec header states, as settings have them: 0 for the usual ones.
    fn stated_bits(&self, header: &[u8]) -> i32 {
        let _ = header;
        0
    }

    /// libavutil's name of the sample format that its encoder takes for these settings.
    fn sample_format_of(&self, settings: &AudioSettings) -> &'static str {
        let _ = settings;
        self.sample_format()
    }

    /// Returns why a file's packets of it, with these codec headers, can't be put into another file as they are; `None` if they can.
    fn copy_refusal(&self, headers: &[u8]) -> Option<String> {
        let _ = headers;
        None
    }

    /// Samples in a packet, the same in all but the last: the grid on which its sound can be cut. The length of packets of an
    /// encoder that takes frames of any length.
    fn frame_size(&self) -> i64;

    /// How many frames are encoded before a part begins, and thrown away.
    fn lead_in(&self) -> i64 {
        0
    }

    /// How many frames are encoded behind the end of a part, and thrown away.
    fn lead_out(&self) -> i64 {
        0
    }

    /// How many packets a decoder needs before one that it is to decode as it was: their sound overlaps with it, or sets the decoder's
    /// state.
    fn decoder_lead_in(&self) -> usize {
        usize::from(self.bits().is_none())
    }

    /// Returns the settings of a rendition of this sound, in the rate and with the channels that are asked for, in a container of
    /// this priming; and what is to be said, if its channels can't stay as they are.
    fn settings(&self, sound: &Sound, priming: Priming) -> (AudioSettings, Option<String>);

    /// Returns [`Self::settings`] in a container that does not state which channels there are; `None` if the codec says so itself.
    fn unnamed_settings(&self, sound: &Sound) -> Option<(AudioSettings, Option<String>)> {
        let _ = sound;
        None
    }

    /// Returns `true` if packets are nothing but samples, so that a container may divide them otherwise than its encoder did.
    fn is_uncompressed(&self) -> bool {
        false
    }

    /// Changes settings that follow from what is asked to those that the codec can hold.
    fn fit(&self, settings: &mut AudioSettings) {
        let _ = settings;
    }

    /// Changes settings to those of a stream ([`Form::Stream`](crate::codec::Form::Stream)), where each packet states its channels.
    /// Returns what is to be said if they can't stay as they are.
    fn fit_stream(&self, settings: &mut AudioSettings) -> Option<String> {
        let _ = settings;
        None
    }

    /// Returns `false` if readers cut another packet than the last when a file states how many of its samples are not heard. Such sound
    /// is heard to the end of its last packet.
    fn can_discard(&self) -> bool {
        true
    }

    /// Returns the options of libavcodec's encoder for these settings, beside those that every encoder has (rate, channels, bit
    /// rate).
    fn options(&self, settings: &AudioSettings) -> Vec<(&'static str, String)> {
        let _ = settings;
        Vec::new()
    }

    /// Returns the packet of these samples, a slice a channel, of a codec whose packets are made here; `None` for all others.
    fn own_packet(&self, channels: &[&[f32]]) -> Option<Vec<u8>> {
        let _ = channels;
        None
    }

    /// Returns `true` if there is a codec header, in work objects and in files; else each packet states the facts.
    fn has_header(&self) -> bool {
        true
    }

    /// Returns a codec header of the encoder as Matroska has it (CodecPrivate, RFC 9559, 5.1.4.1.22).
    fn matroska_private(&self, header: &[u8]) -> Vec<u8> {
        header.to_vec()
    }

    /// Reads a codec header; `None` if it can't be read, or there is none.
    fn read_header(&self, header: &[u8]) -> Option<SoundHeader> {
        let _ = header;
        None
    }

    /// Returns how many samples the codec header says that the whole stream has; `None` if it does not say so.
    fn stated_samples(&self, header: &[u8]) -> Option<i64> {
        let _ = header;
        None
    }

    /// Returns an encoder's codec header as one of a whole stream of so many samples; `None` if it does not state them.
    fn header_of_whole(&self, header: &[u8], samples: i64) -> Option<Vec<u8>> {
        let _ = (header, samples);
        None
    }

    /// Reads what a packet states of itself, of sound of so many channels; `None` if it can't be read.
    fn read_packet(&self, packet: &[u8], channels: i32) -> Option<SoundPacket> {
        let _ = (packet, channels);
        Some(SoundPacket::default())
    }

    /// Reads what a packet of [`Form::Stream`](crate::codec::Form) states of itself, as [`Self::read_packet`] does.
    fn read_stream_packet(&self, packet: &[u8], channels: i32) -> Option<SoundPacket> {
        self.read_packet(packet, channels)
    }
}

/// What a packet of sound states, as far as packets of its codec do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SoundPacket {
    /// The sample rate, in Hz.
    pub sample_rate: Option<i32>,
    /// The number of channels.
    pub channels: Option<i32>,
    /// Its samples a channel.
    pub samples: Option<i64>,
}

/// What the codec header of a sound track states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoundHeader {
    /// The sample rate, in Hz.
    pub sample_rate: i32,
    /// The number of channels; `None` if the header lists them one by one.
    pub channels: Option<i32>,
    /// Samples per packet, the same for all packets but the last.
    pub frame_length: i64,
}
