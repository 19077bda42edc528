//! What is asked of pictures over time: another frame rate, whole pictures in place of fields, less noise.

use std::{fmt, str::FromStr};

use millrace_schemas::{Picture, Ratio, VideoFilters};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::profile::Video;

/// A frame rate in pictures a second: `25`, `"30000/1001"` or `29.97`, which is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(pub Ratio);

/// Rates that are written with two or three decimals, and are those whole ones by 1.001 (SMPTE ST 170).
const BY_1001: [i32; 5] = [24, 30, 48, 60, 120];
/// The greatest numerator and denominator: that of `120000/1001`, and more.
const LARGEST: i64 = 1_000_000;

impl FromStr for Rate {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() <= 7;
        let whole = |text: &str| text.parse::<i64>().ok().filter(|_| digits(text));
        let text = text.trim();
        let (num, den) = match text.split_once('/') {
            Some((num, den)) => (whole(num).ok_or(())?, whole(den).ok_or(())?),
            None => {
                let (before, behind) = text.split_once('.').unwrap_or((text, "0"));
                let number =
                    text.parse::<f64>().ok().filter(|_| digits(before) && digits(behind)).ok_or(())?;
                let is_it = |whole: &&i32| (number - f64::from(**whole) / 1.001).abs() < 0.005;
                match BY_1001.iter().find(is_it) {
                    Some(whole) => (i64::from(*whole) * 1000, 1001),
                    None => ((number * 1000.0).round() as i64, 1000),
                }
            }
        };
        reduced(num, den).map(Self).ok_or(())
    }
}

/// Returns a fraction in its lowest terms; `None` if it is none, or if its parts are too large.
fn reduced(num: i64, den: i64) -> Option<Ratio> {
    let (mut a, mut b) = (num, den);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    let part = |number: i64| number.checked_div(a).filter(|part| (1..=LARGEST).contains(part));
    Some(Ratio { num: i32::try_from(part(num)?).ok()?, den: i32::try_from(part(den)?).ok()? })
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Ratio { num, den: 1 } => write!(f, "{num}"),
            Ratio { num, den } => write!(f, "{num}/{den}"),
        }
    }
}

/// The frame rate that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameRate {
    /// This one.
    Exactly(Rate),
    /// At most this one.
    Most(Rate),
}

impl FrameRate {
    /// Returns the rate that is named.
    #[must_use]
    pub fn named(self) -> f64 {
        let (Self::Exactly(Rate(rate)) | Self::Most(Rate(rate))) = self;
        rate.as_f64()
    }

    /// Returns the rate of the output of a source with this rate; `None` if the pictures keep their times.
    fn of_source(self, source: Ratio) -> Option<Ratio> {
        match self {
            Self::Exactly(Rate(rate)) => Some(rate),
            Self::Most(Rate(most)) => {
                // A camera's clock may be a little fast: 30.02 a second are 30.
                let times = source.as_f64() / most.as_f64() / 1.01;
                if times.is_nan() || times <= 1.0 {
                    return None;
                }
                let times = times.ceil().min(LARGEST as f64) as i64;
                Some(reduced(source.num.into(), i64::from(source.den).saturating_mul(times)).unwrap_or(most))
            }
        }
    }
}

impl<'de> Deserialize<'de> for FrameRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = FrameRate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a frame rate such as 25, \"30000/1001\" or { most = 30 }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<FrameRate, E> {
                let rate = text.parse().map_err(|()| E::invalid_value(de::Unexpected::Str(text), &self))?;
                Ok(FrameRate::Exactly(rate))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<FrameRate, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<FrameRate, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<FrameRate, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<FrameRate, A::Error> {
                #[derive(Deserialize)]
                #[serde(deny_unknown_fields)]
                struct AtMost {
                    most: FrameRate,
                }
                let AtMost { most } = AtMost::deserialize(de::value::MapAccessDeserializer::new(map))?;
                match most {
                    FrameRate::Exactly(rate) => Ok(FrameRate::Most(rate)),
                    FrameRate::Most(_) => Err(de::Error::custom("`most` is a frame rate such as 30")),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl Serialize for FrameRate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Exactly(rate) => serializer.collect_str(rate),
            Self::Most(rate) => serializer.collect_map([("most", rate.to_string())]),
        }
    }
}

/// Which sources' fields become whole pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Deinterlace {
    /// Those of sources that say that they are interlaced.
    Auto,
    /// Those of all sources.
    Always,
    /// None.
    Never,
}

/// How strongly noise is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Denoise {
    /// The noise of a good camera.
    Light,
    /// That of a dark scene.
    Medium,
    /// That of an old tape.
    Strong,
}

/// Returns the pictures that become of a source's over time, and by which filters.
pub(crate) fn after(asked: &Video, source: &Picture) -> (Picture, VideoFilters) {
    let mut picture = source.clone();
    let mut filters = VideoFilters {
        deinterlace: match asked.deinterlace {
            Some(Deinterlace::Always) => true,
            Some(Deinterlace::Auto) => source.field_order != 0,
            Some(Deinterlace::Never) | None => false,
        },
        denoise: match asked.denoise {
            Some(Denoise::Light) => "light".into(),
            Some(Denoise::Medium) => "medium".into(),
            Some(Denoise::Strong) => "strong".into(),
            None => String::new(),
        },
        ..VideoFilters::default()
    };
    if filters.deinterlace {
        picture.field_order = 0;
    }
    if let Some(rate) = asked.frame_rate.and_then(|asked| asked.of_source(source.frame_rate)) {
        filters.resample = true;
        picture.frame_rate = rate;
        picture.time_base = Ratio { num: rate.den, den: rate.num };
    }
    (picture, filters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    fn video(keys: &str) -> Video {
        let text = format!("[video.main]\ncodec = \"h264\"\n{keys}");
        Profile::from_toml(&text).unwrap().video.remove("main").unwrap()
    }

    fn source(num: i32, den: i32) -> Picture {
        Picture::plain((64, 48), Ratio { num, den }, Ratio { num: 1, den: 90_000 })
    }

    #[test]
    fn frame_rates_are_read_in_the_ways_that_people_write_them() {
        let rate = |text: &str| text.parse::<Rate>().map(|rate| rate.to_string());
        for (text, wanted) in [
            ("25", "25"),
            ("30000/1001", "30000/1001"),
            ("50/2", "25"),
            ("29.97", "30000/1001"),
            ("23.976", "24000/1001"),
            ("23.98", "24000/1001"),
            ("59.94", "60000/1001"),
            ("12.5", "25/2"),
            ("24.0", "24"),
        ] {
            assert_eq!(rate(text).as_deref(), Ok(wanted), "{text}");
        }
        for text in ["", "0", "-25", "25/0", "0/1", "1e3", "nan", "25/1/1", "99999999", "1/9999999", "25 fps"]
        {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_greatest_rate_divides_the_sources_by_the_least_whole_number() {
        let of = |keys: &str, (num, den): (i32, i32)| {
            let (picture, filters) = after(&video(keys), &source(num, den));
            filters.resample.then_some((picture.frame_rate.num, picture.frame_rate.den))
        };
        let most = |rate: (i32, i32)| of("frame_rate = { most = 30 }", rate);
        assert_eq!(most((50, 1)), Some((25, 1)));
        assert_eq!(most((60_000, 1001)), Some((30_000, 1001)));
        assert_eq!(most((60, 1)), Some((30, 1)));
        assert_eq!(most((240, 1)), Some((30, 1)));
        assert_eq!(most((6001, 100)), Some((6001, 200)), "a clock that is a little fast");
        assert_eq!((most((30, 1)), most((3002, 100)), most((24, 1))), (None, None, None));
        assert_eq!(most((i32::MAX, 1)), Some((30, 1)), "a rate that nobody has");
        assert_eq!(
            of("frame_rate = 24", (24, 1)),
            Some((24, 1)),
            "also if its times are not as even as it says"
        );
        let (picture, _) = after(&video("frame_rate = 29.97"), &source(25, 1));
        assert_eq!((picture.time_base.num, picture.time_base.den), (1001, 30_000));
    }

    #[test]
    fn fields_become_pictures_where_they_are_or_everywhere() {
        let fields = Picture { field_order: 2, ..source(25, 1) };
        for (keys, of_fields, of_pictures) in [
            ("deinterlace = \"auto\"", true, false),
            ("deinterlace = \"always\"", true, true),
            ("deinterlace = \"never\"", false, false),
            ("", false, false),
        ] {
            let (picture, filters) = after(&video(keys), &fields);
            assert_eq!(
                (filters.deinterlace, picture.field_order),
                (of_fields, if of_fields { 0 } else { 2 })
            );
            assert_eq!(after(&video(keys), &source(25, 1)).1.deinterlace, of_pictures, "{keys}");
        }
        assert_eq!(after(&video(""), &fields), (fields, VideoFilters::default()));
    }

    #[test]
    fn what_is_none_of_them_is_refused_with_what_would_work() {
        for (keys, known) in [
            ("frame_rate = \"fast\"", "30000/1001"),
            ("frame_rate = { least = 3 }", "most"),
            ("frame_rate = { most = { most = 3 } }", "a frame rate such as"),
            ("frame_rate = -3", "30000/1001"),
            ("deinterlace = \"yes\"", "`auto`, `always`, `never`"),
            ("denoise = \"much\"", "`light`, `medium`, `strong`"),
        ] {
            let text = format!("[video.main]\ncodec = \"h264\"\n{keys}");
            let wrong = Profile::from_toml(&text).unwrap_err().0;
            assert!(wrong.contains(known), "{wrong}");
        }
    }
}
