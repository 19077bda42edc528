//! Images that are laid over pictures: what a profile asks for, and where each lies in the frame. Pure.

use std::{fmt, str::FromStr};

use millrace_schemas::{Area, ImageFacts, Overlay, VideoSettings};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, value::MapAccessDeserializer},
};

use crate::{
    amounts::{Seconds, amount},
    asset::Asset,
    bounds::LARGEST_SIDE,
    problems::Problems,
};

/// The most watermarks of an encoding. Each is a file that every media process reads and keeps.
pub(crate) const MOST_WATERMARKS: usize = 8;

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
    /// Returns it in pixels of a frame of this width.
    fn pixels(self, frame_width: i32) -> f64 {
        match self {
            Self::Pixels(pixels) => f64::from(pixels),
            Self::Percent(percent) => f64::from(frame_width) * percent / 100.0,
        }
    }

    fn is_in_range(self, least: f64) -> bool {
        match self {
            Self::Pixels(pixels) => (least..=f64::from(LARGEST_SIDE)).contains(&f64::from(pixels)),
            Self::Percent(percent) => percent >= least && percent <= 100.0,
        }
    }
}

/// Where in the frame an image lies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// In the corner at the top left.
    TopLeft,
    /// In the corner at the top right.
    TopRight,
    /// In the corner at the bottom left.
    BottomLeft,
    /// In the corner at the bottom right.
    #[default]
    BottomRight,
    /// In the middle.
    Center,
}

/// An image that is laid over pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watermark {
    /// The image.
    pub image: Asset,
    /// Where it lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Its distance from the frame's edges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<Length>,
    /// Its width.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<Length>,
    /// How opaque it is, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opacity: Option<f64>,
    /// From when on it is shown, from time zero of the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Seconds>,
    /// Until when it is shown, from time zero of the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Seconds>,
}

/// The margin and the width of an image that asks for none, in hundredths of the frame's width.
const USUAL_MARGIN: f64 = 2.0;
const USUAL_WIDTH: f64 = 10.0;

impl Watermark {
    /// Returns where an image of this size lies in a frame of this size whose pixels have this aspect. Rows and columns of chroma
    /// are two pixels, so all numbers are even. An image that would be larger than the frame within its margins is smaller.
    #[must_use]
    pub fn area(&self, frame: (i32, i32), aspect: f64, image: (i32, i32)) -> Area {
        let even = |pixels: f64| ((pixels / 2.0).round() as i32).saturating_mul(2);
        let (frame_width, frame_height) = (frame.0.max(2), frame.1.max(2));
        let margin = even(self.margin.unwrap_or(Length::Percent(USUAL_MARGIN)).pixels(frame_width));
        let margin = margin.clamp(0, (frame_width.min(frame_height) / 2 - 1).max(0) & !1);
        let (most_width, most_height) = ((frame_width - 2 * margin) & !1, (frame_height - 2 * margin) & !1);
        let width = self.width.unwrap_or(Length::Percent(USUAL_WIDTH)).pixels(frame_width);
        let shape = f64::from(image.1.max(1)) / f64::from(image.0.max(1)) * aspect;
        let width = width.min(f64::from(most_width)).min(f64::from(most_height) / shape);
        let height = even(width * shape).clamp(2, most_height.max(2));
        let width = even(width).clamp(2, most_width.max(2));
        let (right, bottom) = (frame_width - margin - width, frame_height - margin - height);
        let (x, y) = match self.place.unwrap_or_default() {
            Place::TopLeft => (margin, margin),
            Place::TopRight => (right, margin),
            Place::BottomLeft => (margin, bottom),
            Place::BottomRight => (right, bottom),
            Place::Center => ((frame_width - width) / 2, (frame_height - height) / 2),
        };
        Area { x: x.max(0) & !1, y: y.max(0) & !1, width, height }
    }

    /// Adds what is wrong with it.
    pub(crate) fn check(&self, key: &str, problems: &mut Problems) {
        if let Some(reason) = self.image.problem() {
            problems.add(format!("{key}.image"), reason);
        }
        let length = "1 to 8192 pixels, or a part of the frame's width of at most 100%";
        if self.width.is_some_and(|width| !width.is_in_range(1.0)) {
            problems.add(format!("{key}.width"), format!("it is out of range: {length}"));
        }
        if self.margin.is_some_and(|margin| !margin.is_in_range(0.0)) {
            problems.add(format!("{key}.margin"), format!("it is out of range: {length}, or 0"));
        }
        problems.within(format!("{key}.opacity"), self.opacity, (0.0, 1.0), "");
        let (from, to) = (self.from.map_or(0.0, |from| from.0), self.to.map(|to| to.0));
        if to.is_some_and(|to| to <= from) {
            problems.add(format!("{key}.to"), "it is not behind 'from': the image would never be shown");
        }
    }
}

/// Returns the images that are laid over pictures of these settings. Those that were not measured are taken for square. `zero` is
/// when time zero of the output is, in seconds of the source's clock.
pub(crate) fn overlays(
    asked: &[Watermark],
    settings: &VideoSettings,
    images: &[ImageFacts],
    zero: f64,
) -> Vec<Overlay> {
    let aspect = if settings.sample_aspect.num > 0 { settings.sample_aspect.as_f64() } else { 1.0 };
    let overlay = |asked: &Watermark| {
        let image = asked.image.source();
        let measured = images.iter().find(|facts| facts.image == image);
        let size = measured.map_or((1, 1), |facts| (facts.width, facts.height));
        Overlay {
            area: asked.area((settings.width, settings.height), aspect, size),
            opacity: asked.opacity.unwrap_or(1.0),
            from: asked.from.map_or(0.0, |from| from.0) + zero,
            to: asked.to.map(|to| to.0 + zero),
            image,
        }
    };
    asked.iter().map(overlay).collect()
}

/// Reads one watermark or a list of them.
pub(crate) fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Watermark>, D::Error> {
    struct Visitor;
    impl<'de> de::Visitor<'de> for Visitor {
        type Value = Vec<Watermark>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a watermark such as { image = \"s3://brand/logo.png\" }, or a list of them")
        }

        fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Vec<Watermark>, A::Error> {
            Watermark::deserialize(MapAccessDeserializer::new(map)).map(|one| vec![one])
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Vec<Watermark>, A::Error> {
            let mut found = Vec::new();
            while let Some(next) = list.next_element()? {
                found.push(next);
            }
            Ok(found)
        }
    }
    deserializer.deserialize_any(Visitor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    fn marks(keys: &str) -> Vec<Watermark> {
        let text = format!("[video.main]\ncodec = \"h264\"\nwatermark = {keys}");
        Profile::from_toml(&text).unwrap().video.remove("main").unwrap().watermark
    }

    fn area(keys: &str, frame: (i32, i32), image: (i32, i32)) -> (i32, i32, i32, i32) {
        let mark = marks(&format!("{{ image = \"s3://b/l.png\"{keys} }}")).remove(0);
        let Area { x, y, width, height } = mark.area(frame, 1.0, image);
        (x, y, width, height)
    }

    #[test]
    fn an_image_lies_in_its_corner_within_its_margin() {
        let of = |place: &str| area(&format!(", place = \"{place}\""), (1000, 500), (400, 100));
        assert_eq!(of("top-left"), (20, 20, 100, 26));
        assert_eq!(of("top-right"), (880, 20, 100, 26));
        assert_eq!(of("bottom-left"), (20, 454, 100, 26));
        assert_eq!(of("bottom-right"), (880, 454, 100, 26));
        assert_eq!(of("center"), (450, 236, 100, 26));
        assert_eq!(area("", (1000, 500), (400, 100)), of("bottom-right"), "where none is named");
    }

    #[test]
    fn lengths_are_pixels_or_parts_of_the_frames_width() {
        let keys = ", place = \"top-left\", margin = 0, width = 64";
        assert_eq!(area(keys, (1000, 500), (64, 32)), (0, 0, 64, 32));
        let keys = ", place = \"top-left\", margin = \"5%\", width = \"12.5%\"";
        assert_eq!(area(keys, (1000, 500), (2, 1)), (50, 50, 126, 62));
    }

    #[test]
    fn an_image_stays_within_the_frame() {
        assert_eq!(area(", width = \"100%\", margin = 10", (1000, 500), (1, 1)), (510, 10, 480, 480));
        assert_eq!(area(", width = 8192, margin = 8192", (16, 16), (4096, 1)), (6, 8, 4, 2));
        assert_eq!(area("", (16, 16), (1, 4096)), (14, 0, 2, 16));
    }

    #[test]
    fn an_image_keeps_its_shape_where_pixels_are_wide() {
        let mark = marks("{ image = \"s3://b/l.png\", width = 72, margin = 0 }").remove(0);
        let shown = mark.area((720, 576), 64.0 / 45.0, (100, 100));
        assert_eq!((shown.width, shown.height), (72, 102));
    }

    #[test]
    fn one_is_a_list_of_one() {
        let one = "{ image = \"s3://b/l.png\", from = \"2s\" }";
        assert_eq!(marks(one), marks(&format!("[{one}]")));
        assert_eq!(marks(&format!("[{one}, {one}]")).len(), 2);
        assert_eq!(marks(one)[0].from, Some(Seconds(2.0)));
    }

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
