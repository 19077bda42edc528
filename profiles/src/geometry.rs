//! How pictures are cropped, rotated and padded, in this order: the crop in the pictures as players show the source, the sizes and
//! the padding after the rotation. Pure.

use millrace_schemas::{Area, Picture, Ratio, VideoFilters, VideoSettings};

use crate::{amounts::Size, profile::Video};

/// The least width and height that a crop leaves, and that a frame with bars has, in pixels: as many as a macroblock has, below
/// which encoders refuse pictures.
pub(crate) const SMALLEST_SIDE: i32 = 16;

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
    let aspect = aspect_of(picture);
    let width = ((f64::from(picture.width) * aspect / 2.0).round() as i32).saturating_mul(2).max(2);
    let square = Picture { width, sample_aspect: Ratio { num: 1, den: 1 }, ..picture.clone() };
    let asked = Video { size: Some(within), width: None, height: None, ..asked.clone() };
    size_within(&asked, &square).unwrap_or((width, picture.height))
}

fn aspect_of(picture: &Picture) -> f64 {
    if picture.sample_aspect.num > 0 { picture.sample_aspect.as_f64() } else { 1.0 }
}

/// Returns the greatest width and height that are asked for.
fn most_sides(asked: &Video) -> [Option<i32>; 2] {
    let size = asked.size;
    [(asked.width, size.map(|size| size.width)), (asked.height, size.map(|size| size.height))]
        .map(|(side, of_size)| [side, of_size].into_iter().flatten().min())
}

/// Returns how many times their size pictures would have if they filled what is asked; `None` if no size is.
pub(crate) fn factor_within(asked: &Video, picture: &Picture) -> Option<f64> {
    let [most_width, most_height] = most_sides(asked);
    let factors = [
        most_width.map(|most| f64::from(most) / (f64::from(picture.width) * aspect_of(picture))),
        most_height.map(|most| f64::from(most) / f64::from(picture.height)),
    ];
    factors.into_iter().flatten().reduce(f64::min)
}

/// Returns the largest even size within what is asked, in the shape of the pictures as they are shown; `None` if they stay as they
/// are.
pub(crate) fn size_within(asked: &Video, picture: &Picture) -> Option<(i32, i32)> {
    let aspect = aspect_of(picture);
    let height = f64::from(picture.height);
    let [most_width, most_height] = most_sides(asked);
    let factor = factor_within(asked, picture)?;
    let factor = if asked.upscale { factor } else { factor.min(1.0) };
    // Rows and columns of chroma are two pixels; rounding up to more than was asked for is no choice.
    let even = |pixels: f64, most: Option<i32>, aspect: f64| {
        let most = most.map_or(i32::MAX, |most| ((f64::from(most) / aspect) as i32) & !1);
        ((((pixels * factor) / 2.0).round() * 2.0) as i32).min(most).max(2)
    };
    let size = (even(f64::from(picture.width), most_width, aspect), even(height, most_height, 1.0));
    (size != (picture.width, picture.height)).then_some(size)
}

#[cfg(test)]
mod tests;
