//! Subtitles that are laid over pictures: what a profile asks for, and which text track of a source they are. Pure.

use std::fmt;

use millrace_formats::{Codec, Tables};
use millrace_packages::terminology;
use millrace_schemas::{Area, AssetKind, AuxiliaryTrack, BurntSubtitles, SourceFacts, VideoSettings};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, value::MapAccessDeserializer},
};

use crate::{
    asset::Asset,
    length::Length,
    lettering::{check_size, style},
    problems::Problems,
};

/// The value of `subtitles` that stands for the first text track.
const BURN: &str = "burn";
/// How far subtitles are from the edges of the frame, in hundredths of its width and its height: lines are at most nine tenths of
/// the frame wide.
const MARGIN: i32 = 5;
/// In the middle of the lower edge.
const ALIGNMENT: i32 = 2;

/// Subtitles that are laid over pictures.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subtitles {
    /// The language (ISO 639-2) of the text track that they are; `None` for the first text track, if they are in no file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burn: Option<String>,
    /// The file that they are in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<Asset>,
    /// The font.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub font: Option<Asset>,
    /// The height of the font: pixels, or a part of the frame's height.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Length>,
}

/// Reads `"burn"`, or a table.
pub(crate) fn burn_or_table<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Subtitles>, D::Error> {
    struct Visitor;
    impl<'de> de::Visitor<'de> for Visitor {
        type Value = Subtitles;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(
                "\"burn\", a language such as { burn = \"deu\" }, or a file such as { file = \"subs.srt\" }",
            )
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Subtitles, E> {
            match text {
                BURN => Ok(Subtitles::default()),
                _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
            }
        }

        fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Subtitles, A::Error> {
            Subtitles::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_any(Visitor).map(Some)
}

impl Subtitles {
    /// Adds what is wrong with them.
    pub(crate) fn check(&self, key: &str, problems: &mut Problems) {
        if self.burn.is_some() && self.file.is_some() {
            problems.add(key, "they are of a track, by 'burn', or of a file, by 'file'; set one of both");
        }
        if let Some(language) = &self.burn {
            let is_code = language.len() == 3 && language.bytes().all(|byte| byte.is_ascii_lowercase());
            if !is_code {
                problems.add(
                    format!("{key}.burn"),
                    format!(
                        "'{language}' is no language; write its code of three letters (ISO 639-2), such as deu, or und for a \
                         track without a language"
                    ),
                );
            }
        }
        for (name, asset, kind) in
            [("file", &self.file, AssetKind::Subtitles), ("font", &self.font, AssetKind::Font)]
        {
            if let Some(reason) = asset.as_ref().and_then(|asset| asset.problem(kind)) {
                problems.add(format!("{key}.{name}"), reason);
            }
        }
        check_size(key, self.size, problems);
    }

    /// Returns the text track of a source that they are, by its stream; `None` if they are in a file.
    ///
    /// # Errors
    /// If there is no such track, with those that there are.
    pub(crate) fn track(&self, facts: &SourceFacts, tables: &Tables) -> Result<Option<i32>, String> {
        if self.file.is_some() {
            return Ok(None);
        }
        let is_text = |track: &&AuxiliaryTrack| tables.codec(&track.codec).is_ok_and(<dyn Codec>::is_text);
        let texts: Vec<&AuxiliaryTrack> = facts.auxiliary.iter().filter(is_text).collect();
        let is_wanted = |track: &&&AuxiliaryTrack| {
            self.burn
                .as_ref()
                .is_none_or(|language| terminology(&track.tags.language) == terminology(language))
        };
        if let Some(track) = texts.iter().find(is_wanted) {
            return Ok(Some(track.stream));
        }
        let left: Vec<&str> =
            facts.left_out.iter().filter(|left| left.starts_with("subtitle")).map(String::as_str).collect();
        let other = "name a file of subtitles: subtitles = { file = \"subs.srt\" }";
        Err(match (&self.burn, texts.as_slice()) {
            (_, []) if !left.is_empty() => format!(
                "the source has no text track that can be laid over pictures ({}); {other}",
                left.join("; ").replace("are not carried over", "are no text")
            ),
            (_, []) => format!("the source has no text track to lay over pictures; {other}"),
            (language, texts) => {
                let known: Vec<&str> = texts.iter().map(|track| terminology(&track.tags.language)).collect();
                format!(
                    "the source has no text track in {}; it has: {}. Name one of these, or a file",
                    language.as_deref().unwrap_or_default(),
                    known.join(", ")
                )
            }
        })
    }

    /// Returns them as they are laid over pictures of these settings: of this stream, unless they are in a file, whose times are
    /// counted from `zero`, in seconds of the source's clock.
    pub(crate) fn burnt(&self, stream: Option<i32>, zero: f64, settings: &VideoSettings) -> BurntSubtitles {
        let margin = |side: i32| (i64::from(side.max(0)) * i64::from(MARGIN) / 100) as i32;
        let (x, y) = (margin(settings.width), margin(settings.height));
        let area = Area { x, y, width: settings.width - 2 * x, height: settings.height - 2 * y };
        BurntSubtitles {
            file: self.file.as_ref().map(Asset::source),
            stream: stream.unwrap_or(-1),
            shift: if self.file.is_some() { (zero * 1000.0).floor() as i64 } else { 0 },
            style: style(self.font.as_ref(), self.size, (area, ALIGNMENT), settings),
        }
    }
}

#[cfg(test)]
mod tests {
    use millrace_formats::TABLES;
    use millrace_schemas::{Picture, Ratio, TrackTags};

    use super::*;
    use crate::profile::Profile;

    fn subtitles(text: &str) -> Result<Subtitles, String> {
        let text = format!("[video.main]\ncodec = \"h264\"\nsubtitles = {text}");
        let profile = Profile::from_toml(&text).map_err(|error| error.0)?;
        assert_eq!(Profile::from_json(&profile.to_json()).unwrap(), profile);
        Ok(profile.video["main"].subtitles.clone().unwrap())
    }

    fn problems(text: &str) -> Vec<String> {
        let mut problems = Problems::default();
        subtitles(text).unwrap().check("s", &mut problems);
        problems.0.iter().map(ToString::to_string).collect()
    }

    fn facts(languages: &[&str]) -> SourceFacts {
        let track = |(stream, language): (usize, &&str)| AuxiliaryTrack {
            stream: stream as i32,
            codec: "mov_text".into(),
            tags: TrackTags { language: (*language).into(), ..TrackTags::default() },
        };
        let cover = AuxiliaryTrack { stream: 9, codec: "png".into(), tags: TrackTags::default() };
        let texts = languages.iter().enumerate().map(track);
        SourceFacts { auxiliary: std::iter::once(cover).chain(texts).collect(), ..SourceFacts::default() }
    }

    #[test]
    fn subtitles_are_a_word_a_language_or_a_file() {
        assert_eq!(subtitles("\"burn\""), Ok(Subtitles::default()));
        assert_eq!(subtitles("{ burn = \"deu\" }").unwrap().burn.as_deref(), Some("deu"));
        let file = subtitles("{ file = \"s3://b/s.srt\", size = \"6%\" }").unwrap();
        assert_eq!(file.file.unwrap().url(), "s3://b/s.srt");
        assert!(subtitles("\"deu\"").unwrap_err().contains("{ burn = \"deu\" }"));
        assert!(problems("{ burn = \"deu\", file = \"s3://b/s.srt\" }")[0].contains("set one of both"));
        assert!(problems("{ burn = \"de\" }")[0].starts_with("s.burn: 'de' is no language"));
        assert!(problems("{ file = \"s.srt\" }")[0].starts_with("s.file: 's.srt' is no URL"));
        assert!(problems("{ size = \"60%\" }")[0].starts_with("s.size: it is out of range"));
    }

    #[test]
    fn the_track_is_the_first_one_or_the_first_in_its_language() {
        let track =
            |text: &str, languages: &[&str]| subtitles(text).unwrap().track(&facts(languages), &TABLES);
        assert_eq!(track("\"burn\"", &["", "ger"]), Ok(Some(0)));
        assert_eq!(track("{ burn = \"deu\" }", &["", "ger"]), Ok(Some(1)));
        assert_eq!(track("{ burn = \"und\" }", &["ger", ""]), Ok(Some(1)));
        assert_eq!(track("{ file = \"s3://b/s.srt\" }", &[]), Ok(None));
        let refused = track("{ burn = \"fra\" }", &["", "ger"]).unwrap_err();
        assert!(refused.contains("no text track in fra; it has: und, deu"), "{refused}");
        assert!(track("\"burn\"", &[]).unwrap_err().contains("no text track to lay over pictures"));
        let pictures = SourceFacts {
            left_out: vec!["subtitle 2 (dvd_subtitle): pictures of text are not carried over".into()],
            ..facts(&[])
        };
        let refused = Subtitles::default().track(&pictures, &TABLES).unwrap_err();
        assert!(refused.contains("subtitle 2 (dvd_subtitle): pictures of text are no text"), "{refused}");
    }

    #[test]
    fn times_of_a_file_are_counted_from_time_zero_of_the_source() {
        let picture = Picture::plain((640, 360), Ratio { num: 25, den: 1 }, Ratio { num: 1, den: 1000 });
        let settings = VideoSettings::of("h264", &picture);
        let of = |text: &str, stream| subtitles(text).unwrap().burnt(stream, 1.4, &settings);
        let file = of("{ file = \"s3://b/s.srt\" }", None);
        assert_eq!((file.shift, file.stream, file.file.unwrap().url.as_str()), (1400, -1, "s3://b/s.srt"));
        assert_eq!(file.style.area, Area { x: 32, y: 18, width: 576, height: 324 });
        assert_eq!((file.style.size, file.style.alignment), (18, 2));
        let track = of("{ size = 40 }", Some(3));
        assert_eq!((track.shift, track.stream, track.file, track.style.size), (0, 3, None, 40));
    }
}
