//! Images and texts that are laid over pictures: what a profile asks for, and where each lies in the frame. Pure.

use std::fmt;

use millrace_schemas::{Area, AssetKind, ImageFacts, Overlay, TextOverlay, VideoSettings};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, value::MapAccessDeserializer},
};

use crate::{
    amounts::Seconds,
    asset::Asset,
    bounds::LONGEST_TEXT,
    length::Length,
    lettering::{check_size, readable, style},
    problems::Problems,
};

/// The most watermarks of an encoding. Each is a file that every media process reads and keeps.
pub(crate) const MOST_WATERMARKS: usize = 8;

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

/// An image or a text that is laid over pictures.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watermark {
    /// The image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Asset>,
    /// The text, if there is no image. `{stem}` in it stands for the name of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The font of the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub font: Option<Asset>,
    /// The height of the text's font: pixels, or a part of the frame's height.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Length>,
    /// Where it lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Its distance from the frame's edges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<Length>,
    /// The width of the image; the greatest width of the text.
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
        let margin = self.margin((frame_width, frame_height));
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

    /// Returns its distance from the edges of a frame of this size: even, and less than half of the frame.
    fn margin(&self, (width, height): (i32, i32)) -> i32 {
        let pixels = self.margin.unwrap_or(Length::Percent(USUAL_MARGIN)).pixels(width);
        let even = ((pixels / 2.0).round() as i32).saturating_mul(2);
        even.clamp(0, (width.min(height) / 2 - 1).max(0) & !1)
    }

    /// Returns the part of a frame of this size that a text is in, and where in it.
    fn text_area(&self, frame: (i32, i32)) -> (Area, i32) {
        let margin = self.margin(frame);
        let (whole, height) = ((frame.0 - 2 * margin).max(2), (frame.1 - 2 * margin).max(2));
        let width = self.width.map_or(whole, |width| (width.pixels(frame.0) as i32).clamp(2, whole));
        let (alignment, x) = match self.place.unwrap_or_default() {
            Place::TopLeft => (7, margin),
            Place::TopRight => (9, margin + whole - width),
            Place::BottomLeft => (1, margin),
            Place::BottomRight => (3, margin + whole - width),
            Place::Center => (5, margin + (whole - width) / 2),
        };
        (Area { x, y: margin, width, height }, alignment)
    }

    /// Adds what is wrong with it.
    pub(crate) fn check(&self, key: &str, problems: &mut Problems) {
        for (name, asset, kind) in
            [("image", &self.image, AssetKind::Image), ("font", &self.font, AssetKind::Font)]
        {
            if let Some(reason) = asset.as_ref().and_then(|asset| asset.problem(kind)) {
                problems.add(format!("{key}.{name}"), reason);
            }
        }
        match (&self.image, &self.text) {
            (None, None) => problems.add(key, "of what? set image or text"),
            (Some(_), Some(_)) => problems.add(key, "it is an image or a text; make a list of two for both"),
            (Some(_), None) => {
                let of_text = [("font", self.font.is_some()), ("size", self.size.is_some())];
                for (name, _) in of_text.into_iter().filter(|(_, is_set)| *is_set) {
                    problems.add(format!("{key}.{name}"), "it is of a text; an image has a width");
                }
            }
            (None, Some(text)) => self.check_text(key, text, problems),
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
            problems.add(format!("{key}.to"), "it is not behind 'from': it would never be shown");
        }
    }

    fn check_text(&self, key: &str, text: &str, problems: &mut Problems) {
        check_size(key, self.size, problems);
        let key = format!("{key}.text");
        if text.trim().is_empty() || text.len() > LONGEST_TEXT {
            problems.add(&*key, format!("it has 1 to {LONGEST_TEXT} bytes"));
        }
        if text.chars().any(|c| c.is_control() && c != '\n') {
            problems.add(&*key, "it has a control character; the only one that is taken is a line break");
        }
        if text.replace("{stem}", "").contains(['{', '}']) {
            problems.add(&*key, "only {stem} is known between braces");
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
        let image = asked.image.as_ref()?.source();
        let measured = images.iter().find(|facts| facts.image == image);
        let size = measured.map_or((1, 1), |facts| (facts.width, facts.height));
        Some(Overlay {
            area: asked.area((settings.width, settings.height), aspect, size),
            opacity: asked.opacity.unwrap_or(1.0),
            from: asked.from.map_or(0.0, |from| from.0) + zero,
            to: asked.to.map(|to| to.0 + zero),
            image,
        })
    };
    asked.iter().filter_map(overlay).collect()
}

/// Returns the texts that are laid over pictures of these settings, of a source of this name. `zero` is as for [`overlays`].
pub(crate) fn texts(
    asked: &[Watermark],
    settings: &VideoSettings,
    stem: &str,
    zero: f64,
) -> Vec<TextOverlay> {
    let overlay = |asked: &Watermark| {
        let text = asked.text.as_ref()?.replace("{stem}", &readable(stem));
        let place = asked.text_area((settings.width.max(2), settings.height.max(2)));
        Some(TextOverlay {
            text,
            style: style(asked.font.as_ref(), asked.size, place, settings),
            opacity: asked.opacity.unwrap_or(1.0),
            from: asked.from.map_or(0.0, |from| from.0) + zero,
            to: asked.to.map(|to| to.0 + zero),
        })
    };
    asked.iter().filter_map(overlay).collect()
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
    use millrace_schemas::{Picture, Ratio};

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
    fn a_text_is_in_its_corner_with_the_name_of_the_source() {
        let picture = Picture::plain((1000, 500), Ratio { num: 25, den: 1 }, Ratio { num: 1, den: 1000 });
        let settings = VideoSettings::of("h264", &picture);
        let of = |keys: &str| {
            texts(&marks(&format!("{{ text = \"© {{stem}}\"{keys} }}")), &settings, "holi%20day", 1.0)
        };
        let usual = of("").remove(0);
        assert_eq!((usual.text.as_str(), usual.from, usual.to), ("© holi day", 1.0, None));
        assert_eq!(usual.style.area, Area { x: 20, y: 20, width: 960, height: 460 });
        assert_eq!((usual.style.size, usual.style.alignment), (25, 3));
        let narrow = of(", place = \"top-right\", width = \"25%\", size = 40, margin = 0").remove(0);
        assert_eq!(narrow.style.area, Area { x: 750, y: 0, width: 250, height: 500 });
        assert_eq!((narrow.style.size, narrow.style.alignment), (40, 9));
        assert!(overlays(&marks("{ text = \"a\" }"), &settings, &[], 0.0).is_empty());
    }

    #[test]
    fn a_watermark_is_an_image_or_a_text() {
        let problems = |keys: &str| {
            let mut problems = Problems::default();
            marks(keys)[0].check("w", &mut problems);
            problems.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(problems("{ text = \"© {stem}\", font = \"s3://b/f.ttf\", size = \"4%\" }"), "");
        assert!(problems("{ opacity = 1 }").contains("set image or text"));
        assert!(problems("{ image = \"s3://b/l.png\", text = \"a\" }").contains("a list of two"));
        assert!(problems("{ image = \"s3://b/l.png\", size = 20 }").contains("w.size: it is of a text"));
        assert!(problems("{ text = \" \" }").contains("1 to 1000 bytes"));
        assert!(problems("{ text = \"{date}\" }").contains("only {stem}"));
        assert!(problems("{ text = \"a\\tb\" }").contains("control character"));
        assert!(problems("{ text = \"a\", size = 2 }").contains("w.size: it is out of range"));
    }

    #[test]
    fn one_is_a_list_of_one() {
        let one = "{ image = \"s3://b/l.png\", from = \"2s\" }";
        assert_eq!(marks(one), marks(&format!("[{one}]")));
        assert_eq!(marks(&format!("[{one}, {one}]")).len(), 2);
        assert_eq!(marks(one)[0].from, Some(Seconds(2.0)));
    }
}
