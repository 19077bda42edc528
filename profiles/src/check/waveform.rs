//! Checks an output of a waveform, and what its sound goes through.

use millrace_formats::Container;
use millrace_schemas::COPY;

use crate::{
    bounds::NONE,
    problems::Problems,
    profile::{Audio, AudioTracks, Output, Profile},
    wanted::{AudioChosen, Wanted},
    waveform::WaveformAsked,
};

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
    use crate::{color::Color, waveform::USUAL_COLOR};

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
