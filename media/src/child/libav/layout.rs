//! Channel layouts: their names, and libav's structures of them.

use std::ffi::{CString, c_char};

use ffmpeg_next::{
    self as ff,
    ffi::{
        AVChannelLayout, AVChannelOrder, av_channel_layout_default, av_channel_layout_describe,
        av_channel_layout_from_mask, av_channel_layout_from_string,
    },
};
use millrace_schemas::AudioSettings;

use super::frame::fields;
use crate::{child::failure::Failure, dsp::loudness::Place};

/// A set of channels in their usual order, or a number of channels without names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// A bit for each channel, as libavutil has them; 0 if there are no names.
    mask: u64,
    channels: i32,
}

/// A layout of libav's that holds nothing to free.
fn empty() -> AVChannelLayout {
    // SAFETY: a plain structure, for which zeros are a layout of no channels.
    unsafe { std::mem::zeroed() }
}

impl Layout {
    /// One channel.
    pub(crate) fn mono() -> Self {
        Self::default(1)
    }

    /// The usual layout of so many channels.
    pub(crate) fn default(channels: i32) -> Self {
        let mut layout = empty();
        // SAFETY: the layout is whole; it is replaced by one that holds nothing to free.
        unsafe { av_channel_layout_default(&raw mut layout, channels.max(1)) };
        Self::read(&layout)
    }

    /// The layout that settings ask for.
    ///
    /// # Errors
    /// If its name is no layout of as many channels.
    pub(crate) fn of(settings: &AudioSettings) -> Result<Self, Failure> {
        if settings.layout.is_empty() {
            return Ok(Self::default(settings.channels));
        }
        let name = CString::new(settings.layout.as_str()).map_err(Failure::at("channel layout"))?;
        let mut layout = empty();
        // SAFETY: the layout is whole; the name lives through the call. What libavutil makes of a
        // name of a native layout holds nothing to free; others are not kept.
        let parsed = unsafe { av_channel_layout_from_string(&raw mut layout, name.as_ptr()) };
        let is_native = layout.order == AVChannelOrder::AV_CHANNEL_ORDER_NATIVE;
        if parsed < 0 || !is_native || layout.nb_channels != settings.channels {
            let AudioSettings { layout, channels, .. } = settings;
            return Err(Failure::new(format!("'{layout}' is no layout of {channels} channels")));
        }
        Ok(Self::read(&layout))
    }

    /// The layout of a decoded frame; the usual one of as many channels if it names none, or has
    /// an order of its own.
    pub(crate) fn of_frame(frame: &ff::frame::Audio) -> Self {
        let layout = &fields(frame).ch_layout;
        if layout.order == AVChannelOrder::AV_CHANNEL_ORDER_NATIVE {
            Self::read(layout)
        } else {
            Self::default(layout.nb_channels)
        }
    }

    fn read(layout: &AVChannelLayout) -> Self {
        let is_native = layout.order == AVChannelOrder::AV_CHANNEL_ORDER_NATIVE;
        // SAFETY: a native layout is a mask.
        let mask = if is_native { unsafe { layout.u.mask } } else { 0 };
        Self { mask, channels: layout.nb_channels }
    }

    /// How many channels it has.
    pub(crate) fn channels(self) -> i32 {
        self.channels
    }

    /// As libav has it; there is nothing to free.
    pub(crate) fn raw(self) -> AVChannelLayout {
        let mut layout = empty();
        if self.mask == 0 {
            layout.order = AVChannelOrder::AV_CHANNEL_ORDER_UNSPEC;
            layout.nb_channels = self.channels;
        } else {
            // SAFETY: the layout is whole; a mask holds nothing to free. It is not 0, and so can't fail.
            unsafe { av_channel_layout_from_mask(&raw mut layout, self.mask) };
        }
        layout
    }

    /// Where each of its channels is heard; in front, if they have no names.
    pub(crate) fn places(self) -> Vec<Place> {
        // Bits of libavutil's `AV_CH_...`, the channels in the order of their bits.
        const LOW_FREQUENCY: u64 = 1 << 3 | 1 << 35;
        // Back, side and top back ones, wide and surround direct ones (as libavfilter's `ebur128` has them).
        const AROUND: u64 = 0b11 << 4 | 0b111 << 8 | 0b111 << 15 | 0b1111 << 31;
        let bits = (0..u64::BITS).map(|bit| 1 << bit).filter(|bit| self.mask & bit != 0);
        let place = |bit: u64| match bit {
            bit if bit & LOW_FREQUENCY != 0 => Place::LowFrequency,
            bit if bit & AROUND != 0 => Place::Around,
            _ => Place::Front,
        };
        let mut places: Vec<Place> = bits.map(place).collect();
        places.resize(usize::try_from(self.channels).unwrap_or(0), Place::Front);
        places
    }

    /// Its name, as libavutil describes it.
    pub(crate) fn name(self) -> String {
        describe(&self.raw())
    }
}

/// The name of a layout, as libavutil describes it; empty for one that names no channels.
pub(crate) fn describe(layout: &AVChannelLayout) -> String {
    if layout.order == AVChannelOrder::AV_CHANNEL_ORDER_UNSPEC {
        return String::new();
    }
    let mut text = [0_u8; 256];
    // SAFETY: the layout is whole; the text has the size that is passed, and libavutil ends it with a zero.
    let length =
        unsafe { av_channel_layout_describe(layout, text.as_mut_ptr().cast::<c_char>(), text.len()) };
    if length < 0 {
        return String::new();
    }
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    String::from_utf8_lossy(&text[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use millrace_schemas::Sound;

    use super::*;

    #[test]
    fn channels_behind_the_listener_are_told_from_those_in_front_and_of_low_frequency() {
        use Place::{Around, Front, LowFrequency};
        let surround = [Front, Front, Front, LowFrequency, Around, Around];
        assert_eq!(Layout::default(6).places(), surround);
        assert_eq!(Layout::default(2).places(), [Front, Front]);
        assert_eq!(Layout::default(17).places(), [Front; 17]);
    }

    #[test]
    fn layouts_have_names_and_a_count_has_a_usual_one() {
        assert_eq!(Layout::default(2).name(), "stereo");
        assert_eq!(Layout::default(6).name(), "5.1");
        let settings = |layout: &str, channels| {
            AudioSettings::of("aac", &Sound { sample_rate: 48_000, channels, layout: layout.into() })
        };
        assert_eq!(Layout::of(&settings("quad", 4)).unwrap().name(), "quad");
        assert_eq!(Layout::of(&settings("", 4)).unwrap().name(), "4.0");
        assert!(Layout::of(&settings("quad", 2)).is_err());
        assert!(Layout::of(&settings("no such", 2)).is_err());
        assert_eq!(Layout::default(17).name(), "", "nobody has named those");
    }
}
