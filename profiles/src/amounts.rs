//! Amounts with units, as people write them: `"2s"`, `"128k"`, `"1920x1080"`. Each is parsed once, and written in one way.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Makes a type of a text or a number that serde reads.
macro_rules! amount {
    ($amount:ident, $wanted:literal) => {
        impl<'de> Deserialize<'de> for $amount {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl de::Visitor<'_> for Visitor {
                    type Value = $amount;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($wanted)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$amount, E> {
                        text.parse().map_err(|()| E::invalid_value(de::Unexpected::Str(text), &self))
                    }

                    fn visit_i64<E: de::Error>(self, number: i64) -> Result<$amount, E> {
                        self.visit_str(&number.to_string())
                    }

                    fn visit_u64<E: de::Error>(self, number: u64) -> Result<$amount, E> {
                        self.visit_str(&number.to_string())
                    }

                    fn visit_f64<E: de::Error>(self, number: f64) -> Result<$amount, E> {
                        self.visit_str(&number.to_string())
                    }
                }
                deserializer.deserialize_any(Visitor)
            }
        }

        impl Serialize for $amount {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

pub(crate) use amount;

/// A duration in seconds, 0 or more: `2`, `"2s"`, `"500ms"`, `"1.5m"`, `"6h"` or `"00:01:30.5"`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Seconds(pub f64);

amount!(Seconds, "a duration such as 2, \"2s\", \"500ms\", \"6h\" or \"00:01:30\"");

impl FromStr for Seconds {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.trim();
        let number = |text: &str| {
            let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            text.parse::<f64>().ok().filter(|_| plain)
        };
        let parts: Vec<&str> = text.split(':').collect();
        let seconds = match parts.as_slice() {
            [hours, minutes, seconds] => {
                let below_60 = |text: &str| number(text).filter(|number| *number < 60.0);
                number(hours)
                    .zip(below_60(minutes))
                    .zip(below_60(seconds))
                    .map(|((hours, minutes), seconds)| hours * 3600.0 + minutes * 60.0 + seconds)
            }
            [one] => {
                let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("", 1.0)];
                units.iter().find_map(|(unit, long)| Some(number(one.strip_suffix(unit)?.trim_end())? * long))
            }
            _ => None,
        };
        seconds.filter(|seconds| seconds.is_finite()).map(Self).ok_or(())
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0)
    }
}

/// A bit rate in bits per second: `128000`, `"128k"` or `"2.5M"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BitRate(pub i64);

amount!(BitRate, "a bit rate such as 128000, \"128k\" or \"2.5M\"");

impl FromStr for BitRate {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.trim();
        let (digits, factor) = match text.strip_suffix(['k', 'K']) {
            Some(digits) => (digits, 1e3),
            None => text.strip_suffix('M').map_or((text, 1.0), |digits| (digits, 1e6)),
        };
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let rate = digits.parse::<f64>().ok().filter(|_| plain).ok_or(())? * factor;
        // The cast is exact: whole numbers below 2^53.
        if (1.0..1e12).contains(&rate) { Ok(Self(rate.round() as i64)) } else { Err(()) }
    }
}

impl fmt::Display for BitRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            rate if rate % 1_000_000 == 0 => write!(f, "{}M", rate / 1_000_000),
            rate if rate % 1000 == 0 => write!(f, "{}k", rate / 1000),
            rate => write!(f, "{rate}"),
        }
    }
}

/// The size of a buffer in bits: `8000000`, `"800k"` or `"8M"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bits(pub i64);

amount!(Bits, "a size in bits such as 8000000, \"800k\" or \"8M\"");

impl FromStr for Bits {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        text.parse().map(|BitRate(bits)| Self(bits))
    }
}

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        BitRate(self.0).fmt(f)
    }
}

/// A level in decibels: `-3`, `"-3dB"` or `"+1.5 dB"`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Decibels(pub f64);

amount!(Decibels, "a level such as -3 or \"-3dB\"");

impl FromStr for Decibels {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        level(text, "dB").map(Self).ok_or(())
    }
}

impl fmt::Display for Decibels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}dB", self.0)
    }
}

/// A loudness in LUFS: `-16` or `"-16 LUFS"`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Loudness(pub f64);

amount!(Loudness, "a loudness such as -16 or \"-16 LUFS\"");

impl FromStr for Loudness {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        level(text, "LUFS").map(Self).ok_or(())
    }
}

impl fmt::Display for Loudness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} LUFS", self.0)
    }
}

/// Returns a number with a sign or without, with its unit or without.
fn level(text: &str, unit: &str) -> Option<f64> {
    let text = text.trim();
    let number = text.strip_suffix(unit).map_or(text, str::trim_end);
    let digits = number.strip_prefix(['-', '+']).unwrap_or(number);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    number.parse::<f64>().ok().filter(|level| plain && level.is_finite())
}

/// A width and a height in pixels: `"1920x1080"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// The width.
    pub width: i32,
    /// The height.
    pub height: i32,
}

amount!(Size, "a size such as \"1920x1080\"");

impl FromStr for Size {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (width, height) = text.trim().split_once('x').ok_or(())?;
        let pixels = |text: &str| text.parse::<u16>().map(i32::from).map_err(|_| ());
        Ok(Self { width: pixels(width)?, height: pixels(height)? })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_the_ways_that_people_write_them() {
        let seconds = |text: &str| text.parse::<Seconds>().map(|seconds| seconds.0);
        for (text, wanted) in [
            ("2", 2.0),
            ("2s", 2.0),
            ("0.5", 0.5),
            ("500ms", 0.5),
            ("1.5m", 90.0),
            ("6 h", 21_600.0),
            ("00:01:30.5", 90.5),
            ("100:00:00", 360_000.0),
        ] {
            assert_eq!(seconds(text), Ok(wanted), "{text}");
        }
        for text in ["", "s", "-1s", "1e3", "nan", "inf", "1:2", "00:60:00", "2 s s", "0x1"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bit_rates_and_sizes_are_written_as_they_are_read() {
        for text in ["128k", "4M", "2500k", "1234"] {
            assert_eq!(text.parse::<BitRate>().map(|rate| rate.to_string()), Ok(text.into()));
        }
        assert_eq!("2.5M".parse(), Ok(BitRate(2_500_000)));
        for text in ["", "k", "0", "-1k", "1e9k", "5G"] {
            assert!(text.parse::<BitRate>().is_err(), "{text}");
        }
        assert_eq!("1920x1080".parse(), Ok(Size { width: 1920, height: 1080 }));
        for text in ["1920", "x", "-2x2", "70000x2", "1920X1080"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn levels_are_numbers_with_or_without_their_unit() {
        for (text, wanted) in [("-3dB", -3.0), ("+1.5 dB", 1.5), ("0", 0.0), ("-0.25", -0.25)] {
            assert_eq!(text.parse(), Ok(Decibels(wanted)), "{text}");
            assert_eq!(Decibels(wanted).to_string().parse(), Ok(Decibels(wanted)));
        }
        assert_eq!("-16 LUFS".parse(), Ok(Loudness(-16.0)));
        assert_eq!(Loudness(-16.5).to_string().parse(), Ok(Loudness(-16.5)));
        assert!("nan".parse::<Loudness>().is_err() && "-16dB".parse::<Loudness>().is_err());
        for text in ["", "dB", "--3", "3 db", "-3 LU", "1e2", "inf", "+-1"] {
            assert!(text.parse::<Decibels>().is_err(), "{text}");
        }
    }
}
