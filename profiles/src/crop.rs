//! What is cut off pictures, and how they are turned. Pure.

use std::{fmt, str::FromStr};

use millrace_schemas::{Area, Picture, Ratio};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::amounts::amount;

/// How much is cut off pictures, as players show the source, in pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Crop {
    /// At the left.
    #[serde(skip_serializing_if = "is_zero")]
    pub left: i32,
    /// At the top.
    #[serde(skip_serializing_if = "is_zero")]
    pub top: i32,
    /// At the right.
    #[serde(skip_serializing_if = "is_zero")]
    pub right: i32,
    /// At the bottom.
    #[serde(skip_serializing_if = "is_zero")]
    pub bottom: i32,
}

/// serde wants a reference.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(value: &i32) -> bool {
    *value == 0
}

impl Crop {
    /// The four amounts, with the keys that set them.
    pub(crate) fn amounts(self) -> [(&'static str, i32); 4] {
        [("left", self.left), ("top", self.top), ("right", self.right), ("bottom", self.bottom)]
    }

    /// Returns what is left of a picture.
    pub(crate) fn area(self, picture: &Picture) -> Area {
        let Self { left, top, right, bottom } = self;
        let width = picture.width.saturating_sub(left).saturating_sub(right);
        let height = picture.height.saturating_sub(top).saturating_sub(bottom);
        Area { x: left, y: top, width, height }
    }
}

/// How pictures are rotated or mirrored, beside what the source itself asks players for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotate {
    /// By 90 degrees clockwise.
    Quarter,
    /// By 180 degrees.
    Half,
    /// By 270 degrees clockwise.
    ThreeQuarters,
    /// Left to right.
    Mirror,
    /// Upside down, without a rotation.
    Flip,
}

amount!(Rotate, "90, 180, 270, \"mirror\" or \"flip\"");

impl FromStr for Rotate {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "90" => Ok(Self::Quarter),
            "180" => Ok(Self::Half),
            "270" => Ok(Self::ThreeQuarters),
            "mirror" => Ok(Self::Mirror),
            "flip" => Ok(Self::Flip),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Rotate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quarter => "90",
            Self::Half => "180",
            Self::ThreeQuarters => "270",
            Self::Mirror => "mirror",
            Self::Flip => "flip",
        })
    }
}

impl Rotate {
    /// Returns a picture that is rotated so, and where this part of it is then.
    pub(crate) fn apply(self, picture: &Picture, part: Area) -> (Picture, Area) {
        let size = (picture.width, picture.height);
        let (degrees, is_mirrored) = match self {
            Self::Quarter => (90, false),
            Self::Half => (180, false),
            Self::ThreeQuarters => (270, false),
            Self::Mirror => (0, true),
            // Upside down is mirrored and rotated by a half.
            Self::Flip => (180, true),
        };
        let mut rotated = picture.clone();
        let mut part = part;
        if is_mirrored {
            part = part.mirrored(picture.width);
            // A mirror behind a rotation is the same mirror before the opposite rotation.
            rotated.rotation = 360 - rotated.rotation;
            rotated.mirrored = !rotated.mirrored;
        }
        rotated.rotation = (rotated.rotation + degrees).rem_euclid(360);
        if degrees % 180 != 0 {
            (rotated.width, rotated.height) = (picture.height, picture.width);
            let Ratio { num, den } = picture.sample_aspect;
            if num > 0 && den > 0 {
                rotated.sample_aspect = Ratio { num: den, den: num };
            }
        }
        (rotated, part.rotated(degrees, size))
    }
}
