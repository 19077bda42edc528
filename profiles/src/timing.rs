//! What is asked of pictures over time: another frame rate, whole pictures in place of fields, less noise.

use std::{fmt, str::FromStr};

use millrace_schemas::Ratio;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

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
    pub(crate) fn of_source(self, source: Ratio) -> Option<Ratio> {
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
