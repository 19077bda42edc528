//! What happens to decoded frames before they are encoded: one graph a task, with a branch for each rendition. In front of it are
//! filters over time, and other frame rates ([`course`]).
//!
//! ```text
//! decoded ─► shape ─► crop ─┬─► tone mapping, of each colour once, split by size ─┬─► orient ─► fit ─► images ─► texts ─► rendition
//!                           └─► scale ────────────────────────────────────────────┘
//! ```
//!
//! Of that, libavfilter does the tone mapping and what needs several pictures (`docs/adr/0010`). Its `split` and `scale` are not used for the rest:
//!
//! - `scale` sets the vertical position of chroma by rules of its own (`in_v_chr_pos` in libavfilter's `vf_scale.c`), so that its
//!   samples would differ from those of segments that are made already.
//! - `scale` takes matrix and range from each picture or from its options. Here a container's colour may stand over that of its
//!   pictures, and size, colour and orientation may change from one picture to the next.
//! - It would save nothing: renditions of equal settings are one rendition, so no two branches scale to the same.
//!
//! For sound ([`sound`]) libavfilter's `aresample` is not used either: how much to stretch changes from one frame to the next, which
//! it has no command for.

pub(crate) mod course;
mod crop;
mod filters;
mod fit;
mod lettering;
mod orient;
mod overlay;
pub(crate) mod presented;
mod scenes;
pub(crate) mod shape;
pub(crate) mod sound;
mod temporal;
#[cfg(test)]
mod tests;

use ffmpeg_next::{format::Pixel, frame};
use millrace_formats::filter::{Graph, Pictures};
use millrace_schemas::{Area, Color, PictureShape, VideoSettings};

use self::filters::Filters;
use super::{
    assets::Assets,
    codec::{Codec, tables},
    failure::Failure,
    libav::{
        frame::{copy_properties, crop_to, set_field_order, share},
        pixels::{Samples, transposed, without_range},
        scaler::{Form, Scaler},
    },
    orientation::Orientation,
};

/// The pixel format of settings that name none of their codec's.
const USUAL_FORMAT: &str = "yuv420p";

/// Makes decoded pictures what encoders of renditions take: pixel format, size and colour, upright, and in one frame.
pub(crate) struct PictureGraph {
    branches: Vec<Branch>,
    /// The first picture of the source: what differs from it is fitted into its frame.
    first: Option<PictureShape>,
    /// How the last picture asked to be oriented.
    orientation: Orientation,
    filters: Option<Filters>,
    cores: usize,
}

/// The part of the graph that is one rendition's.
struct Branch {
    settings: VideoSettings,
    /// Size before a picture is oriented, in pixels.
    size: (u32, u32),
    /// Size of the part of the frame that pictures fill, in pixels; the frame's own without bars around them.
    inside: (u32, u32),
    /// The part of the first picture that is kept, as it is shown.
    crop: Option<Area>,
    format: Pixel,
    scaler: Option<Scaler>,
    /// The images that are laid over its pictures.
    marks: Vec<overlay::Mark>,
    /// The texts that are laid over its pictures.
    letters: lettering::Letters,
    /// True if samples are rounded as is quickest.
    is_quick: bool,
}

/// How one picture is converted for one rendition.
#[derive(Debug, Clone, Copy)]
struct Conversion {
    /// Size to which it is scaled, before it is oriented.
    size: (u32, u32),
    /// The colour that it has.
    color: Color,
    orientation: Orientation,
    /// The part of it that is kept, before it is oriented.
    crop: Option<Area>,
    /// True if it is of another shape than the first, and gets bars.
    is_fitted: bool,
}

impl PictureGraph {
    /// Builds a graph with a branch for each of these settings. `first` is the shape of the source's first picture; without it,
    /// the first picture that comes is taken for that.
    pub(crate) fn build<'a>(
        settings: impl IntoIterator<Item = &'a VideoSettings>,
        first: Option<&PictureShape>,
        cores: usize,
    ) -> Self {
        Self {
            branches: settings.into_iter().map(Branch::new).collect(),
            first: first.cloned(),
            orientation: Orientation::UPRIGHT,
            filters: None,
            cores,
        }
    }

    /// Rounds samples as is quickest, from here on.
    pub(crate) fn quick(mut self) -> Self {
        self.branches.iter_mut().for_each(|branch| branch.is_quick = true);
        self
    }

    /// Sees a picture that is not sent in: those behind it may be oriented by it.
    pub(crate) fn observe(&mut self, picture: &frame::Video) {
        shape::of(picture, &mut self.orientation);
    }

    /// Sets the images and texts that are laid over pictures, of these assets. Without that, none is.
    ///
    /// # Errors
    /// If one is missing, or can't be laid over pictures of a branch's pixel format.
    pub(crate) fn set_assets(&mut self, assets: &Assets) -> Result<(), Failure> {
        self.branches.iter_mut().try_for_each(|branch| {
            branch.marks = overlay::marks(&branch.settings, branch.format, &assets.images)?;
            branch.letters = lettering::Letters::new(&branch.settings, branch.format, assets)?;
            Ok(())
        })
    }

    /// Sends a decoded picture into the graph, with its time in ticks of the settings' clock; `take` gets what comes out of each
    /// branch, with the branch's number.
    ///
    /// # Errors
    /// If it can't be converted, or what `take` returns.
    pub(crate) fn push(
        &mut self,
        picture: frame::Video,
        mut take: impl FnMut(usize, frame::Video) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let ticks = picture.pts().unwrap_or(0);
        let own = shape::of(&picture, &mut self.orientation);
        let first = self.first.get_or_insert_with(|| own.clone());
        let conversions: Vec<Conversion> =
            self.branches.iter().map(|branch| branch.conversion(&own, first)).collect();
        let mut mapped = self.filter(&picture, &conversions)?;
        let last = self.branches.len().saturating_sub(1);
        let mut picture = Some(picture);
        for (i, (branch, conversion)) in self.branches.iter_mut().zip(conversions).enumerate() {
            let mut converted = if let Some(mut mapped) = mapped.get_mut(i).and_then(Option::take) {
                // It has the colour and the part already, and the pixel format as far as it has not to be transposed.
                let conversion = Conversion { color: branch.settings.color, crop: None, ..conversion };
                let scaled = branch.scale(&mut mapped, conversion)?;
                branch.finish(scaled.unwrap_or(mapped), conversion)
            } else {
                let input =
                    if i == last { picture.take() } else { picture.as_ref().map(share).transpose()? };
                let Some(mut input) = input else { continue };
                let scaled = branch.scale(&mut input, conversion)?;
                branch.finish(scaled.unwrap_or(input), conversion)
            };
            overlay::lay_over(&branch.marks, &mut converted, ticks, branch.settings.time_base)?;
            branch.letters.lay_over(&mut converted, ticks, branch.settings.time_base)?;
            take(i, converted)?;
        }
        Ok(())
    }

    /// Filters a picture for the branches that need it. Returns a picture for each of those.
    fn filter(
        &mut self,
        picture: &frame::Video,
        conversions: &[Conversion],
    ) -> Result<Vec<Option<frame::Video>>, Failure> {
        let graph = |(branch, conversion): (&Branch, &Conversion)| {
            let (to, format) = (branch.settings.color, branch.known_format());
            let pictures = Pictures { from: conversion.color, to, size: conversion.size, format };
            let graph = tables().graph(&pictures)?;
            Some(match conversion.crop {
                Some(part) => crop::before(graph, part),
                None => graph,
            })
        };
        let graphs: Vec<Option<Graph>> = self.branches.iter().zip(conversions).map(graph).collect();
        let mut filtered: Vec<Option<frame::Video>> = graphs.iter().map(|_| None).collect();
        let (numbers, wanted): (Vec<usize>, Vec<Graph>) =
            graphs.into_iter().enumerate().filter_map(|(i, graph)| Some((i, graph?))).unzip();
        if wanted.is_empty() {
            return Ok(filtered);
        }
        let mut picture = share(picture)?;
        crop_to_even(&mut picture);
        let mut filters = match self.filters.take().filter(|filters| filters.fits(&picture, &wanted)) {
            Some(filters) => filters,
            None => Filters::build(&picture, wanted, self.cores)?,
        };
        for (i, made) in numbers.into_iter().zip(filters.run(picture)?) {
            filtered[i] = Some(made);
        }
        self.filters = Some(filters);
        Ok(filtered)
    }

    /// Ends the graph.
    ///
    /// # Errors
    /// If a filter holds a picture that did not come out when it was sent in.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        self.filters.map_or(Ok(()), Filters::finish)
    }
}

impl Branch {
    fn new(settings: &VideoSettings) -> Self {
        let filters = settings.filters.as_ref();
        let inside = filters.and_then(|filters| filters.inside);
        let (width, height) =
            inside.map_or((settings.width, settings.height), |inside| (inside.width, inside.height));
        let inside @ (width, height) = (width.unsigned_abs(), height.unsigned_abs());
        let size = if settings.rotation % 180 == 0 { inside } else { (height, width) };
        let crop = filters.and_then(|filters| filters.crop);
        let format = settings.pixel_format.parse().unwrap_or(Pixel::YUV420P);
        let (marks, letters) = (Vec::new(), lettering::Letters::default());
        Self {
            settings: settings.clone(),
            size,
            inside,
            crop,
            format,
            scaler: None,
            marks,
            letters,
            is_quick: false,
        }
    }

    /// Returns how a picture is converted: by its own shape, as far as that is another than the first one's.
    fn conversion(&self, own: &PictureShape, first: &PictureShape) -> Conversion {
        let settings = &self.settings;
        let source = settings.source_color.unwrap_or(settings.color);
        let color = shape::color(source, first.color, own.color);
        let is_reoriented = (own.rotation, own.mirrored) != (first.rotation, first.mirrored);
        let all = Orientation { rotation: settings.rotation, mirrored: settings.mirrored };
        let stated =
            |shape: &PictureShape| Orientation { rotation: shape.rotation, mirrored: shape.mirrored };
        let orientation = if is_reoriented { all.of_reoriented(stated(first), stated(own)) } else { all };
        let crop = self.crop.map(|part| crop::of_picture(part, (first, all), (own, orientation)));
        let same_aspect = own.sample_aspect == first.sample_aspect;
        if (own.width, own.height) == (first.width, first.height) && same_aspect && !is_reoriented {
            return Conversion { size: self.size, color, orientation, crop, is_fitted: false };
        }
        // The aspect of the first picture may be the container's; another one is the picture's own. A frame with bars has its own.
        let is_of_first = same_aspect && !is_reoriented && self.inside == self.canvas();
        let aspect = if is_of_first && !orientation.is_transposed() {
            settings.sample_aspect
        } else {
            own.sample_aspect
        };
        let (width, height) = crop.map_or((own.width, own.height), |part| (part.width, part.height));
        let picture = fit::Picture {
            size: (width.unsigned_abs(), height.unsigned_abs()),
            aspect,
            is_transposed: orientation.is_transposed(),
        };
        let size = fit::size(picture, self.inside, settings.sample_aspect);
        Conversion { size, color, orientation, crop, is_fitted: true }
    }

    /// The name of its pixel format as the table of codecs has it: no text of a record gets into a description of filters.
    fn known_format(&self) -> &'static str {
        let codec = tables().codec(&self.settings.codec).ok().and_then(<dyn Codec>::video);
        let held = codec.map_or(&[][..], |codec| codec.pixel_formats());
        held.iter().find(|name| **name == self.settings.pixel_format).copied().unwrap_or(USUAL_FORMAT)
    }

    /// The size of what comes out, in pixels.
    fn canvas(&self) -> (u32, u32) {
        (self.settings.width.unsigned_abs(), self.settings.height.unsigned_abs())
    }

    /// Converts format, size and matrix; `None` if the picture can stay as it is, which may have been cropped to even sizes.
    fn scale(
        &mut self,
        picture: &mut frame::Video,
        conversion: Conversion,
    ) -> Result<Option<frame::Video>, Failure> {
        let same_color = shape::is_same_matrix(conversion.color, self.settings.color);
        let format =
            if conversion.orientation.is_transposed() { transposed(self.format) } else { self.format };
        if picture.format() != format && without_range(picture.format()) == format && same_color {
            // The same samples; that they are of full range is in the settings.
            picture.set_format(format);
        }
        if !conversion.is_fitted || conversion.crop.is_some() {
            // An odd last row or column is left off, not squeezed in.
            crop_to_even(picture);
        }
        if let Some(part) = conversion.crop {
            crop_to(picture, part)?;
        }
        let size = (picture.width(), picture.height());
        if picture.format() == format && size == conversion.size && same_color {
            return Ok(None);
        }
        let from = Form { format: picture.format(), size, color: conversion.color };
        let scaler = match self.scaler.take().filter(|scaler| scaler.fits(from, format, conversion.size)) {
            Some(scaler) => scaler,
            None => {
                let to = Form { format, size: conversion.size, color: self.settings.color };
                // Rows of one field are no neighbours of the other's: they were seen at another time.
                let in_fields = self.settings.field_order != 0
                    && size.1.is_multiple_of(4)
                    && conversion.size.1.is_multiple_of(4);
                if self.is_quick { Scaler::quick(from, to)? } else { Scaler::new(from, to, in_fields)? }
            }
        };
        // A new one for each picture: the encoder may still hold the last.
        let mut scaled = frame::Video::new(format, conversion.size.0, conversion.size.1);
        self.scaler.insert(scaler).scale(picture, &mut scaled)?;
        copy_properties(picture, &mut scaled);
        Ok(Some(scaled))
    }

    /// Orients a picture of the right format and size, puts it into the frame, and marks its fields.
    fn finish(&self, mut picture: frame::Video, conversion: Conversion) -> frame::Video {
        let is_upright = conversion.orientation == Orientation::UPRIGHT;
        let has_bars = conversion.is_fitted || self.inside != self.canvas();
        if is_upright && !has_bars {
            set_field_order(&mut picture, self.settings.field_order);
            return picture;
        }
        let oriented = (!is_upright).then(|| orient::orient(&picture, conversion.orientation));
        let mut made = oriented.unwrap_or_else(|| picture.clone());
        if has_bars {
            let samples = Samples::of(made.format());
            made = fit::center(&made, samples, self.canvas(), self.settings.color.range == 2);
        }
        copy_properties(&picture, &mut made);
        set_field_order(&mut made, if is_upright { self.settings.field_order } else { 0 });
        made
    }
}

/// Leaves off an odd last row and column: 4:2:0 has a colour sample for two pixels each way.
fn crop_to_even(picture: &mut frame::Video) {
    let (width, height) = (picture.width() & !1, picture.height() & !1);
    picture.set_width(width);
    picture.set_height(height);
}
