//! The rungs of a ladder, as a profile has them: sizes, and what differs for each. Pure.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::amounts::{BitRate, Bits, Size};

/// What stands for the name of a rung in the name of an output.
pub(crate) const RUNG: &str = "{rung}";
/// The name of the file of a rung, if none is asked for.
pub(crate) const USUAL_RUNG_NAME: &str = "{stem}-{rung}.{ext}";
/// The value of `rungs` that makes them of the source's size.
const AUTO: &str = "auto";
/// The most rungs of a ladder.
pub(crate) const MOST_RUNGS: usize = 16;

/// The rungs of a ladder.
#[derive(Debug, Clone, PartialEq)]
pub enum Rungs {
    /// Those that are right for the source's size.
    Auto,
    /// These.
    Listed(Vec<Rung>),
}

/// A rung of a ladder: a size, and what differs from the other keys of its encoding.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rung {
    /// What `{rung}` in the name of an output stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The size that landscape pictures fit within; portrait pictures fit within the same on its side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// The greatest width of landscape pictures, in pixels; of portrait pictures, the height.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<i32>,
    /// The greatest height of landscape pictures, in pixels; of portrait pictures, the width.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<i32>,
    /// As `quality` of the encoding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<f64>,
    /// As `bitrate` of the encoding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bitrate: Option<BitRate>,
    /// As `max_bitrate` of the encoding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bitrate: Option<BitRate>,
    /// As `buffer` of the encoding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buffer: Option<Bits>,
    /// As `preset` of the encoding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
}

impl Rung {
    /// Returns the rung whose shorter side has this many pixels.
    pub(crate) fn of_side(side: i32) -> Self {
        Self { height: Some(side), ..Self::default() }
    }

    /// Returns what `{rung}` stands for: the name that is asked for, or the shorter side, such as `720p`. Of a rung with a width alone
    /// it is that, such as `1280w`. `None` without a size.
    pub(crate) fn name(&self) -> Option<String> {
        let side = self.height.or(self.size.map(|size| size.width.min(size.height)));
        let of_side = || side.map(|side| format!("{side}p"));
        let of_width = || self.width.map(|width| format!("{width}w"));
        self.name.clone().or_else(of_side).or_else(of_width)
    }

    /// Returns whether it sets this key itself.
    pub(crate) fn sets(&self, key: &str) -> bool {
        match key {
            "name" => self.name.is_some(),
            "size" => self.size.is_some(),
            "width" => self.width.is_some(),
            "height" => self.height.is_some(),
            "quality" => self.quality.is_some(),
            "bitrate" => self.bitrate.is_some(),
            "max_bitrate" => self.max_bitrate.is_some(),
            "buffer" => self.buffer.is_some(),
            "preset" => self.preset.is_some(),
            _ => false,
        }
    }
}

impl Serialize for Rungs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str(AUTO),
            Self::Listed(rungs) => rungs.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Rungs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Rungs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "\"{AUTO}\", or a list of sizes such as [{{ height = 1080 }}, {{ height = 720 }}]")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Rungs, E> {
                if text == AUTO {
                    Ok(Rungs::Auto)
                } else {
                    Err(E::invalid_value(de::Unexpected::Str(text), &self))
                }
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Rungs, A::Error> {
                let mut found = Vec::new();
                while let Some(next) = list.next_element()? {
                    found.push(next);
                }
                Ok(Rungs::Listed(found))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Profile, Video};

    fn ladder(keys: &str) -> Result<Video, String> {
        let text = format!("[video.a]\ncodec = \"h264\"\n{keys}");
        let profile = Profile::from_toml(&text).map_err(|error| error.0)?;
        assert_eq!(Profile::from_json(&profile.to_json()).as_ref(), Ok(&profile));
        Ok(profile.video["a"].clone())
    }

    fn listed(keys: &str) -> Vec<Rung> {
        match ladder(keys).unwrap().rungs {
            Some(Rungs::Listed(rungs)) => rungs,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn rungs_are_a_word_or_a_list_and_anything_else_is_refused_with_that() {
        assert_eq!(ladder("rungs = \"auto\"").unwrap().rungs, Some(Rungs::Auto));
        assert_eq!(listed("rungs = [{ height = 720 }]"), [Rung::of_side(720)]);
        assert_eq!(listed("[[video.a.rungs]]\nheight = 720"), [Rung::of_side(720)], "as tables, too");
        for wrong in ["rungs = \"all\"", "rungs = 3"] {
            assert!(ladder(wrong).unwrap_err().contains("\"auto\", or a list of sizes"), "{wrong}");
        }
        let unknown = ladder("rungs = [{ hight = 3 }]").unwrap_err();
        assert!(unknown.contains("hight") && unknown.contains("height"), "{unknown}");
        assert_eq!(ladder("").unwrap().rungs, None);
    }

    #[test]
    fn a_rung_is_called_by_its_shorter_side_or_as_asked() {
        let names = |keys: &str| listed(keys).iter().filter_map(Rung::name).collect::<Vec<_>>().join(" ");
        let all = "rungs = [{ height = 720 }, { size = \"854x480\" }, { size = \"360x640\" }, { width = 416 }, \
                   { height = 240, name = \"low\" }, {}]";
        assert_eq!(names(all), "720p 480p 360p 416w low");
    }
}
