//! Colours that profiles name.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{amounts::amount, bounds::NONE};

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
