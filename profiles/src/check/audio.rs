//! What only concerns audio: its encodings, and which of them an output has.

use millrace_formats::{Container, Tables};
use millrace_schemas::COPY;

use super::{
    codecs::{Choice, check_none, choose, find_codec, held, names},
    copies,
};
use crate::{
    bounds::{MOST_CHANNELS, NONE, SAMPLE_RATES},
    problems::Problems,
    profile::{Audio, AudioTracks, Output, Profile},
    wanted::AudioChosen,
};

/// The least and the greatest loudness, in LUFS: silence of EBU R 128, and what only sound without any dynamics has.
pub(crate) const LOUDNESS: (f64, f64) = (-70.0, -5.0);
/// The most that sound is amplified or attenuated by, in dB.
pub(crate) const GAIN: (f64, f64) = (-60.0, 60.0);
/// The frequencies below which sound can be attenuated, in Hz. What is above the second is speech itself.
pub(crate) const HIGH_PASS: (i32, i32) = (10, 1000);
/// The longest fade, in seconds.
pub(crate) const LONGEST_FADE: f64 = 60.0;

pub(super) fn check_audio(tables: &Tables, key: &str, asked: &Audio, problems: &mut Problems) {
    let at = |name: &str| format!("{key}.{name}");
    if asked.codec == NONE {
        return check_none(key, asked, problems);
    }
    if copies::check(key, asked, (&asked.codec, asked.when_fits.as_deref()), problems) {
        return;
    }
    let Some(codec) = find_codec(tables, &asked.codec).ok().and_then(|(codec, _)| codec.audio()) else {
        let known = names(tables, |codec| codec.audio().is_some());
        problems.add(at("codec"), format!("'{}' is no codec of audio; known are {known}", asked.codec));
        return;
    };
    match (asked.bitrate, codec.bit_rates()) {
        (Some(rate), Some(rates)) => {
            problems.within(at("bitrate"), Some(rate.0), (rates.least, rates.most), " bits per second");
        }
        (Some(_), None) => problems.add(at("bitrate"), "this codec is lossless and has none; leave it out"),
        (None, _) => {}
    }
    problems.within(at("sample_rate"), asked.sample_rate, SAMPLE_RATES, " Hz");
    problems.within(at("channels"), asked.channels, (1, MOST_CHANNELS), "");
    if let Some(bits) = asked.bits.filter(|bits| !codec.depths().contains(bits)) {
        let known: Vec<String> = codec.depths().iter().map(u32::to_string).collect();
        problems.add(
            at("bits"),
            match known.is_empty() {
                true => "samples of this codec have bits of its own; leave it out".into(),
                false => format!(
                    "{bits} bits of a sample are not known of this codec; known are {}",
                    known.join(", ")
                ),
            },
        );
    }
    problems.within(at("loudness"), asked.loudness.map(|loudness| loudness.0), LOUDNESS, " LUFS");
    problems.within(at("gain"), asked.gain.map(|gain| gain.0), GAIN, " dB");
    problems.within(at("high_pass"), asked.high_pass, HIGH_PASS, " Hz");
    for (name, fade) in [("fade_in", asked.fade_in), ("fade_out", asked.fade_out)] {
        problems.within(at(name), fade.map(|seconds| seconds.0), (0.0, LONGEST_FADE), " seconds");
    }
    if asked.gain.is_some() && asked.loudness.is_some() {
        problems.add(at("gain"), "loudness sets the gain itself; leave one of the two out");
    }
}

impl Profile {
    /// Checks the audio of an output, and returns what it wants of it.
    pub(super) fn audio_of(
        &self,
        tables: &Tables,
        container: &Container,
        key: &str,
        output: &Output,
        problems: &mut Problems,
    ) -> Vec<AudioChosen> {
        let (listed, is_several) = match &output.audio {
            None => (vec![(None, None)], false),
            Some(tracks @ AudioTracks::One(_)) => (listed(tracks), false),
            Some(tracks) => (listed(tracks), true),
        };
        let at = format!("{key}.audio");
        if listed.is_empty() {
            problems.add(&at, format!("it names no encoding; name one, or '{NONE}'"));
        }
        if is_several && listed.len() > container.audio.most {
            problems.add(
                &at,
                format!("{} holds at most {} of audio; name as many", container.name, container.audio.most),
            );
        }
        let mut chosen = Vec::new();
        for (i, (language, name)) in listed.iter().enumerate() {
            if language.is_some_and(|language| !is_language(language)) {
                let language = language.unwrap_or_default();
                problems.add(
                    &at,
                    format!("'{language}' is no language; known are the three letters of ISO 639-2, such as deu or eng"),
                );
            }
            if language.is_none() && listed[..i].iter().any(|(_, other)| other == name) {
                problems.add(&at, "it names an encoding twice; leave one out");
            }
            let is_none = |asked: &Audio| asked.codec == NONE;
            let choice = choose(&self.audio, *name, "audio", key, problems);
            let leaves_out = match choice {
                Choice::Asked(asked) => is_none(asked),
                Choice::None => name.is_some_and(|name| name == NONE),
                Choice::Usual => false,
            };
            if leaves_out && is_several {
                problems.add(&at, format!("'{NONE}' is nothing beside others; leave it out"));
            }
            match choice {
                Choice::Usual => chosen.extend(container.audio_codec().map(|codec| AudioChosen {
                    language: None,
                    codec: Some((codec, None)),
                    asked: None,
                })),
                Choice::Asked(asked) if asked.codec == COPY => {
                    let is_held = copies::are_held(container, container.audio, key, "audio", problems);
                    chosen.extend(is_held.then(|| AudioChosen {
                        language: language.map(str::to_owned),
                        codec: None,
                        asked: Some(asked.clone()),
                    }));
                }
                Choice::Asked(asked) if !is_none(asked) => {
                    let found =
                        held(tables, container, key, ("audio", &asked.codec), name.is_some(), problems);
                    chosen.extend(found.map(|codec| AudioChosen {
                        language: language.map(str::to_owned),
                        codec: Some(codec),
                        asked: Some(asked.clone()),
                    }));
                }
                Choice::Asked(_) | Choice::None => {}
            }
        }
        chosen
    }
}

/// Encodings, each with the language of its tracks.
type Listed<'a> = Vec<(Option<&'a str>, Option<&'a String>)>;

fn listed(tracks: &AudioTracks) -> Listed<'_> {
    tracks.names().into_iter().map(|(language, name)| (language, Some(name))).collect()
}

/// Whether a text is a code of ISO 639-2, by its form.
fn is_language(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use millrace_formats::TABLES;

    use super::*;
    use crate::problems::Problem;

    fn problems(text: &str) -> Vec<String> {
        let found = Profile::from_toml(text).unwrap().wanted(&TABLES);
        found.err().unwrap_or_default().iter().map(Problem::to_string).collect()
    }

    #[test]
    fn what_audio_goes_through_is_within_its_range() {
        let of = |keys: &str| {
            problems(&format!("[audio.main]\ncodec = \"aac\"\n{keys}\n[[output]]\nformat = \"m4a\""))
        };
        let right = "loudness = -16\nhigh_pass = 80\ndenoise = true\nfade_in = \"500ms\"\nfade_out = \"2s\"";
        assert_eq!(of(right), [""; 0]);
        assert_eq!(of("loudness = -4"), ["audio.main.loudness: -4 is out of range: -70 to -5 LUFS"]);
        assert!(of("gain = \"61dB\"")[0].contains("-60 to 60 dB"));
        assert!(of("high_pass = 5")[0].contains("10 to 1000 Hz"));
        assert!(of("fade_out = \"2m\"")[0].contains("0 to 60 seconds"));
        assert!(of("bits = 16")[0].contains("bits of its own; leave it out"));
        let alac = |bits| {
            problems(&format!("[audio.main]\ncodec = \"alac\"\nbits = {bits}\n[[output]]\nformat = \"m4a\""))
        };
        assert_eq!((alac(16), alac(24)), (Vec::new(), Vec::new()));
        assert_eq!(
            alac(20),
            ["audio.main.bits: 20 bits of a sample are not known of this codec; known are 24, 16"]
        );
        assert!(of("gain = -3\nloudness = -16")[0].contains("leave one of the two out"));
    }

    #[test]
    fn an_output_has_several_encodings_of_audio_where_its_format_holds_several_tracks() {
        let of = |format: &str, audio: &str| {
            problems(&format!(
                "[audio.a]\ncodec = \"aac\"\n[audio.b]\ncodec = \"aac\"\nbitrate = \"64k\"\n\
                 [[output]]\nformat = \"mkv\"\naudio = [\"a\", \"b\"]\n\
                 [[output]]\nformat = \"{format}\"\naudio = {audio}"
            ))
        };
        assert_eq!(of("mp4", "[\"a\", \"b\"]"), [""; 0]);
        assert_eq!(of("mp4", "{ deu = \"a\", eng = \"a\" }"), [""; 0]);
        assert_eq!(of("flv", "[\"a\"]"), [""; 0]);
        let flv = of("flv", "[\"a\", \"b\"]");
        assert_eq!(flv, ["output[1].audio: flv holds at most 1 of audio; name as many"]);
        assert!(of("flv", "{ deu = \"a\", eng = \"a\" }")[0].contains("at most 1"));
        assert!(of("mp4", "[]")[0].contains("names no encoding"));
        assert!(of("mp4", "[\"a\", \"a\"]")[0].contains("twice"));
        assert!(of("mp4", "[\"a\", \"none\"]")[0].contains("leave it out"));
        assert!(of("mp4", "[\"a\", \"c\"]")[0].contains("there is no [audio.c]; there are: a, b"));
        assert!(of("mp4", "{ de = \"a\" }")[0].contains("'de' is no language"));
    }

    #[test]
    fn a_codec_none_is_as_an_output_without_audio_or_pictures() {
        let text = "[audio.a]\ncodec = \"none\"\n[[output]]\nformat = \"mp4\"";
        assert_eq!(problems(text), [""; 0]);
        assert!(Profile::from_toml(text).unwrap().wanted(&TABLES).unwrap()[0].is_without_audio());
        let video = "[video.a]\ncodec = \"none\"\n[[output]]\nformat = \"mp4\"";
        assert_eq!(problems(video), [""; 0]);
        let both = format!("[video.b]\ncodec = \"none\"\n{text}");
        assert_eq!(problems(&both), ["output[0]: it would hold neither video nor audio"]);
        let more = "[audio.a]\ncodec = \"none\"\nbitrate = \"64k\"\n[[output]]\nformat = \"mp4\"";
        assert_eq!(problems(more), ["audio.a: the codec 'none' makes nothing; leave its other keys out"]);
    }
}
