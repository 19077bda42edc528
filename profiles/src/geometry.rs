//! How pictures are cropped, rotated and padded, in this order: the crop in the pictures as players show the source, the sizes and
//! the padding after the rotation. Pure.

use std::{fmt, str::FromStr};

use millrace_schemas::{Area, Picture, Ratio, VideoFilters, VideoSettings};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    amounts::{Size, amount},
    profile::Video,
    wanted::size_within,
};

/// The least width and height that a crop leaves, and that a frame with bars has, in pixels: as many as a macroblock has, below
/// which encoders refuse pictures.
pub(crate) const SMALLEST_SIDE: i32 = 16;

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
    fn area(self, picture: &Picture) -> Area {
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
    fn apply(self, picture: &Picture, part: Area) -> (Picture, Area) {
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

/// What becomes of pictures.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Geometry {
    /// The pictures after crop and rotation, which are scaled.
    pub(crate) picture: Picture,
    /// The size of the frame, if it is another than that of the pictures.
    pub(crate) size: Option<(i32, i32)>,
    crop: Option<Area>,
    inside: Option<Area>,
}

impl Geometry {
    /// Returns what is asked of pictures like these. Amounts that [`refusal`] refuses are kept to what is there.
    pub(crate) fn of(asked: &Video, picture: &Picture) -> Self {
        let whole = Area { x: 0, y: 0, width: picture.width, height: picture.height };
        let part = asked.crop.map_or(whole, |crop| crop.area(picture));
        let (mut rotated, part) =
            asked.rotate.map_or_else(|| (picture.clone(), part), |rotate| rotate.apply(picture, part));
        let crop =
            (part != Area { x: 0, y: 0, width: rotated.width, height: rotated.height }).then_some(part);
        (rotated.width, rotated.height) = (part.width.max(2), part.height.max(2));
        let Some(pad) = asked.pad else {
            if crop.is_some_and(|crop| breaks_fields(crop.y, crop.height)) {
                rotated.field_order = 0;
            }
            let size = size_within(asked, &rotated);
            return Self { size, picture: rotated, crop, inside: None };
        };
        // A frame of a size has square pixels: as many as are shown.
        let least = |sides: [Option<i32>; 2], most: i32| sides.into_iter().flatten().fold(most, i32::min);
        let within = Size {
            width: least([asked.width, asked.size.map(|size| size.width)], pad.width),
            height: least([asked.height, asked.size.map(|size| size.height)], pad.height),
        };
        let (width, height) = square_size_within(asked, within, &rotated);
        let middle = |room: i32, taken: i32| ((room - taken) / 2) & !1;
        let inside = Area { x: middle(pad.width, width), y: middle(pad.height, height), width, height };
        let is_broken = |area: Area| breaks_fields(area.y, area.height);
        if is_broken(inside) || crop.is_some_and(is_broken) {
            rotated.field_order = 0;
        }
        if rotated.sample_aspect.num > 0 && rotated.sample_aspect.den > 0 {
            rotated.sample_aspect = Ratio { num: 1, den: 1 };
        }
        let has_bars = (width, height) != (pad.width, pad.height);
        Self {
            size: Some((pad.width, pad.height)),
            picture: rotated,
            crop,
            inside: has_bars.then_some(inside),
        }
    }

    /// Writes crop and padding into the settings of pictures of this size.
    pub(crate) fn set(&self, settings: &mut VideoSettings) {
        if self.crop.is_none() && self.inside.is_none() {
            return;
        }
        let filters = settings.filters.take().unwrap_or_default();
        settings.filters = Some(VideoFilters { crop: self.crop, inside: self.inside, ..filters });
    }
}

/// Returns `true` if rows that begin and end so would not keep the fields of 4:2:0 apart: a field has a row of chroma for four rows.
fn breaks_fields(y: i32, height: i32) -> bool {
    y % 4 != 0 || height % 4 != 0
}

/// Returns why pictures like these can't be cropped so, with what would work; `None` if they can.
pub(crate) fn refusal(asked: &Video, picture: &Picture) -> Option<String> {
    let crop = asked.crop?;
    let Area { width, height, .. } = crop.area(picture);
    (width < SMALLEST_SIDE || height < SMALLEST_SIDE).then(|| {
        let Picture { width, height, .. } = picture;
        format!(
            "the crop leaves nothing of the source's pictures, which are {width}x{height}: at least \
             {SMALLEST_SIDE}x{SMALLEST_SIDE} must be left"
        )
    })
}

/// Returns the largest even size within `within`, in square pixels, in the shape of the pictures as they are shown.
fn square_size_within(asked: &Video, within: Size, picture: &Picture) -> (i32, i32) {
    let aspect = if picture.sample_aspect.num > 0 { picture.sample_aspect.as_f64() } else { 1.0 };
    let width = ((f64::from(picture.width) * aspect / 2.0).round() as i32).saturating_mul(2).max(2);
    let square = Picture { width, sample_aspect: Ratio { num: 1, den: 1 }, ..picture.clone() };
    let asked = Video { size: Some(within), width: None, height: None, ..asked.clone() };
    size_within(&asked, &square).unwrap_or((width, picture.height))
}

#[cfg(test)]
mod tests;
