//! Outputs of a picture of the sound's peaks: how large it is, its colours, and what its sound goes through.

use std::{fmt, str::FromStr};

use millrace_formats::Container;
use millrace_schemas::{COPY, WaveformPlan};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    amounts::amount,
    bounds::NONE,
    problems::Problems,
    profile::{Audio, AudioTracks, Output, Profile},
    wanted::{AudioChosen, Wanted},
};

/// The widths of waveforms, in pixels.
pub(crate) const WIDTHS: (i32, i32) = (16, 8192);
/// The heights of waveforms, in pixels: two rows for each of eight channels, and as many as memory is held for.
pub(crate) const HEIGHTS: (i32, i32) = (16, 2048);
/// The width and the height if nothing is asked for, in pixels.
pub(crate) const USUAL: (i32, i32) = (1800, 280);
/// The colour of the peaks if nothing is asked for: it is seen on white and on black.
const USUAL_COLOR: Color = Color(0x3b_82_f6_ff);

/// A colour, as `#rrggbb`, or `#rrggbbaa` with its opacity; `none` is transparent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color(pub u32);

amount!(Color, "a colour such as \"#3b82f6\", \"#3b82f680\" with its opacity, or \"none\"");

impl FromStr for Color {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text == NONE {
            return Ok(Self(0));
        }
        let digits = text.strip_prefix('#').ok_or(())?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(());
        }
        let number = u32::from_str_radix(digits, 16).map_err(drop)?;
        match digits.len() {
            6 => Ok(Self(number << 8 | 0xff)),
            8 => Ok(Self(number)),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str(NONE),
            opaque if opaque & 0xff == 0xff => write!(f, "#{:06x}", opaque >> 8),
            color => write!(f, "#{color:08x}"),
        }
    }
}

/// What is asked of a picture of the sound's peaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaveformAsked {
    size: (i32, i32),
    color: Color,
    background: Color,
    split_channels: bool,
}

impl WaveformAsked {
    /// Returns what is made in a container of which nothing is asked; `None` if it holds no waveform.
    pub(crate) fn usual(container: &Container) -> Option<Self> {
        Self::read(container, "", &Output::default(), &mut Problems::default())
    }

    /// Reads what an output asks; `None` if its container holds no waveform.
    pub(crate) fn read(
        container: &Container,
        key: &str,
        output: &Output,
        problems: &mut Problems,
    ) -> Option<Self> {
        let is_waveform = container.is_waveform();
        let others = [
            ("color", output.color.is_some(), is_waveform),
            ("background", output.background.is_some(), is_waveform),
            ("split_channels", output.split_channels, is_waveform),
            ("video", is_waveform && output.video.is_some(), false),
            ("segment", is_waveform && output.segment.is_some(), false),
            ("files", is_waveform && output.files.is_some(), false),
            ("encryption", is_waveform && output.encryption.is_some(), false),
        ];
        for (name, _, _) in others.iter().filter(|(_, is_set, is_known)| *is_set && !is_known) {
            problems.add(
                format!("{key}.{name}"),
                format!("{} has no such key; leave it out, or ask for another format", container.name),
            );
        }
        if !is_waveform {
            return None;
        }
        problems.within(format!("{key}.width"), output.width, WIDTHS, " pixels");
        problems.within(format!("{key}.height"), output.height, HEIGHTS, " pixels");
        Some(Self {
            size: (output.width.unwrap_or(USUAL.0), output.height.unwrap_or(USUAL.1)),
            color: output.color.unwrap_or(USUAL_COLOR),
            background: output.background.unwrap_or(Color(0)),
            split_channels: output.split_channels,
        })
    }

    /// Returns how it is drawn.
    #[must_use]
    pub fn plan(&self) -> WaveformPlan {
        WaveformPlan {
            width: self.size.0,
            height: self.size.1,
            color: i64::from(self.color.0),
            background: i64::from(self.background.0),
            split_channels: self.split_channels,
        }
    }
}

impl Profile {
    /// Returns what an output of a waveform wants; `None` if something of it is wrong. The sound is that
    /// of the source, or goes through what an encoding asks that is named; its codec and its bit rate are of no account.
    pub(crate) fn waveform(
        &self,
        container: &'static Container,
        key: &str,
        (output, name, asked): (&Output, &str, WaveformAsked),
        problems: &mut Problems,
    ) -> Option<Wanted> {
        let before = problems.0.len();
        let codec = container.audio_codec()?;
        let named = output.audio.as_ref().map(AudioTracks::names).unwrap_or_default();
        if output.audio.is_some() && named.len() != 1 {
            problems.add(format!("{key}.audio"), "a waveform is of one track; name one encoding");
        }
        let (language, name_of) =
            named.first().map_or((None, None), |(language, name)| (*language, Some(*name)));
        let encoding = name_of.and_then(|name| {
            let found = self.audio.get(name).filter(|audio| audio.codec != NONE);
            if found.is_none() {
                let known: Vec<&str> = self.audio.keys().map(String::as_str).collect();
                let reason = match known.as_slice() {
                    [] => "there is no [audio]; leave it out".to_owned(),
                    known => format!("'{name}' makes no sound; there are: {}", known.join(", ")),
                };
                problems.add(format!("{key}.audio"), reason);
            }
            found
        });
        // The packets of a copy go through nothing.
        let encoding = encoding.filter(|audio| audio.codec != COPY).map(|audio| Audio {
            codec: codec.name().into(),
            when_fits: None,
            bitrate: None,
            bits: None,
            ..audio.clone()
        });
        let audio = AudioChosen {
            language: language.map(str::to_owned),
            codec: Some((codec, None)),
            asked: encoding,
        };
        let is_right = problems.0.len() == before;
        is_right.then(|| Wanted::new(container, name, None, vec![audio]).drawing(asked))
    }
}

#[cfg(test)]
mod tests {
    use millrace_formats::TABLES;
    use millrace_schemas::Sound;

    use super::*;

    fn wanted(text: &str) -> Result<Wanted, String> {
        let profile = Profile::from_toml(text).map_err(|error| error.0)?;
        let wanted = profile.wanted(&TABLES);
        wanted.map(|mut all| all.remove(0)).map_err(|problems| problems[0].to_string())
    }

    fn of(keys: &str) -> Result<Wanted, String> {
        wanted(&format!("[[output]]\nformat = \"waveform\"\n{keys}"))
    }

    #[test]
    fn a_colour_is_written_as_it_is_read() {
        for text in ["#3b82f6", "#00000080", "none", "#ffffff"] {
            assert_eq!(text.parse::<Color>().map(|color| color.to_string()), Ok(text.into()));
        }
        assert_eq!("#3B82F6".parse(), Ok(USUAL_COLOR));
        for text in ["", "#", "red", "#fff", "#+12345", "3b82f6", "#3b82f6f"] {
            assert!(text.parse::<Color>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_waveform_is_a_png_beside_the_other_outputs() {
        let usual = of("").unwrap();
        assert_eq!(usual, Wanted::of(TABLES.container("waveform").unwrap()));
        assert_eq!(usual.output_url("file:///out", "file:///in/a.mov"), "file:///out/a.png");
        let plan = usual.waveform().unwrap().plan();
        assert_eq!((plan.width, plan.height, plan.background, plan.split_channels), (1800, 280, 0, false));
        let asked = "width = 8192\nheight = 16\ncolor = \"#0102037f\"\nbackground = \"#ffffff\"\nsplit_channels = true";
        let plan = of(asked).unwrap().waveform().unwrap().plan();
        assert_eq!((plan.width, plan.height, plan.split_channels), (8192, 16, true));
        assert_eq!((plan.color, plan.background), (0x0102_037f, 0xffff_ffff));
    }

    #[test]
    fn what_is_not_possible_is_refused_by_its_key() {
        for (keys, reason) in [
            ("width = 15", "output[0].width: 15 is out of range: 16 to 8192 pixels"),
            ("height = 2049", "output[0].height: 2049 is out of range: 16 to 2048 pixels"),
            ("video = \"none\"", "output[0].video: waveform has no such key"),
            ("segment = 2", "output[0].segment: waveform has no such key"),
            ("every = 2", "output[0].every: waveform has no such key"),
            ("audio = \"main\"", "output[0].audio: there is no [audio]"),
            ("audio = []", "output[0].audio: a waveform is of one track"),
            ("name = \"a.png\"", "output[0].name: all sources"),
        ] {
            let refused = of(keys).unwrap_err();
            assert!(refused.starts_with(reason), "{keys}: {refused}");
        }
        assert!(of("color = \"blue\"").unwrap_err().contains("a colour such as"));
        let other = wanted("[[output]]\nformat = \"mp4\"\ncolor = \"#ffffff\"").unwrap_err();
        assert!(other.starts_with("output[0].color: mp4 has no such key"), "{other}");
        let codec = wanted("[audio.a]\ncodec = \"peaks\"\n[[output]]\nformat = \"waveform\"").unwrap_err();
        assert!(codec.contains("'peaks' is no codec of audio"), "{codec}");
    }

    #[test]
    fn its_sound_goes_through_what_a_named_encoding_asks() {
        let sound = Sound { sample_rate: 48_000, channels: 2, layout: "stereo".into() };
        let made = |audio: &str| {
            let text = format!(
                "[audio.main]\ncodec = \"aac\"\nbitrate = \"96k\"\nloudness = -16\nchannels = 1\n\
                 [[output]]\nformat = \"waveform\"\n{audio}"
            );
            wanted(&text).unwrap().audio_settings(&sound, "").unwrap().0
        };
        let (plain, named) = (made(""), made("audio = \"main\""));
        assert_eq!((plain.codec.as_str(), plain.channels, plain.filters), ("peaks", 2, None));
        assert_eq!((named.codec.as_str(), named.channels, named.bit_rate), ("peaks", 1, 0));
        assert_eq!(named.filters.and_then(|filters| filters.loudness), Some(-16.0));
    }
}
