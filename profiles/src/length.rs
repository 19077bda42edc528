//! Lengths in the frame. Pure.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{amounts::amount, bounds::LARGEST_SIDE};

/// A length in the frame: pixels, or a part of the frame's width.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Length {
    /// In pixels.
    Pixels(i32),
    /// In hundredths of the frame's width.
    Percent(f64),
}

amount!(Length, "pixels such as 16, or a part of the frame's width such as \"2%\"");

impl FromStr for Length {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.trim();
        let Some(percent) = text.strip_suffix('%') else {
            return text.parse::<u16>().map(|pixels| Self::Pixels(pixels.into())).map_err(|_| ());
        };
        let plain = !percent.is_empty() && percent.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        percent.parse().ok().filter(|_| plain).map(Self::Percent).ok_or(())
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pixels(pixels) => write!(f, "{pixels}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl Length {
    /// Returns it in pixels of a frame whose width, or height, is this.
    pub(crate) fn pixels(self, side: i32) -> f64 {
        match self {
            Self::Pixels(pixels) => f64::from(pixels),
            Self::Percent(percent) => f64::from(side) * percent / 100.0,
        }
    }

    pub(crate) fn is_in_range(self, least: f64) -> bool {
        match self {
            Self::Pixels(pixels) => (least..=f64::from(LARGEST_SIDE)).contains(&f64::from(pixels)),
            Self::Percent(percent) => percent >= least && percent <= 100.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_read_as_it_is_written() {
        for text in ["0", "16", "2%", "12.5%"] {
            assert_eq!(text.parse::<Length>().map(|length| length.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "%", "-1", "1e1%", "2 em", "nan%"] {
            assert!(text.parse::<Length>().is_err(), "{text}");
        }
    }
}
