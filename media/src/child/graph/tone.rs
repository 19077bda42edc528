//! High dynamic range, brought down to the standard one (BT.709), by libavfilter's zscale and tonemap.

use ffmpeg_next::{format::Pixel, frame};
use millrace_schemas::Color;

use crate::child::{failure::Failure, libav::filters::FilterGraph};

/// What counts as white, in cd/m² (ITU-R BT.2408: 203; 100 keeps faces as bright as graded for the standard range).
const WHITE: i32 = 100;
/// The brightest that is kept apart from white, as a multiple of it: 1000 cd/m², for which nearly all of it is graded. The
/// same for every picture, or segments would differ.
const PEAK: i32 = 10;

/// A graph that maps pictures of one pixel format, size and colour, and scales them to one or more sizes.
pub(super) struct ToneMap {
    graph: FilterGraph,
    input: (Pixel, u32, u32),
    color: Color,
    sizes: Vec<(u32, u32)>,
}

impl ToneMap {
    /// Builds a graph for pictures like this one, which has that colour; `sizes` are those of what comes out.
    ///
    /// # Errors
    /// If this FFmpeg lacks a filter, or libavfilter refuses the picture.
    pub(super) fn build(
        picture: &frame::Video,
        color: Color,
        sizes: &[(u32, u32)],
        cores: usize,
    ) -> Result<Self, Failure> {
        let input = (picture.format(), picture.width(), picture.height());
        let outputs = (sizes.len(), &["zscale", "tonemap"][..]);
        let doing = "setting up tone mapping";
        let graph = FilterGraph::build(input, &description(color, sizes), outputs, cores, doing)?;
        Ok(Self { graph, input, color, sizes: sizes.to_vec() })
    }

    /// Returns `true` if it was built for pictures like this one, and for these sizes.
    pub(super) fn fits(&self, picture: &frame::Video, color: Color, sizes: &[(u32, u32)]) -> bool {
        self.input == (picture.format(), picture.width(), picture.height())
            && self.color == color
            && self.sizes == sizes
    }

    /// Maps a picture for which [`Self::fits`] is true. Returns one picture for each size.
    ///
    /// # Errors
    /// What libavfilter says.
    pub(super) fn map(&mut self, picture: frame::Video) -> Result<Vec<frame::Video>, Failure> {
        let doing = "tone mapping a picture";
        self.graph.push(picture, doing)?;
        let held = || Failure::new(format!("{doing}: a filter held it back"));
        (0..self.sizes.len()).map(|output| self.graph.pull(output, doing)?.ok_or_else(held)).collect()
    }

    /// Ends the graph.
    ///
    /// # Errors
    /// If a picture is left in it.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        let doing = "ending tone mapping";
        self.graph.flush(doing)?;
        for output in 0..self.sizes.len() {
            if self.graph.pull(output, doing)?.is_some() {
                return Err(Failure::new(format!("{doing}: a filter held a picture back")));
            }
        }
        Ok(())
    }
}

/// Returns the graph in libavfilter's language: mapped once, then split and scaled to each size.
fn description(color: Color, sizes: &[(u32, u32)]) -> String {
    let transfer = if color.transfer == 18 { "arib-std-b67" } else { "smpte2084" };
    let matrix = match color.matrix {
        1 => "709",
        10 => "2020_cl",
        _ => "2020_ncl",
    };
    let primaries = match color.primaries {
        1 => "709",
        12 => "smpte432",
        _ => "2020",
    };
    let range = if color.range == 2 { "full" } else { "limited" };
    let mapped = format!(
        "[in]zscale=tin={transfer}:min={matrix}:pin={primaries}:rin={range}:t=linear:npl={WHITE},format=gbrpf32le,\
         zscale=p=709,tonemap=tonemap=hable:desat=0:peak={PEAK}"
    );
    let scaled = |(i, (width, height)): (usize, &(u32, u32))| {
        format!("zscale=t=709:m=709:p=709:r=limited:w={width}:h={height},format=yuv420p[out{i}]")
    };
    if let [size] = sizes {
        return format!("{mapped},{}", scaled((0, size)));
    }
    let names: String = (0..sizes.len()).map(|i| format!("[mapped{i}]")).collect();
    let split = format!("{mapped},split={}{names}", sizes.len());
    let branches = sizes.iter().enumerate().map(|branch| format!("[mapped{}]{}", branch.0, scaled(branch)));
    std::iter::once(split).chain(branches).collect::<Vec<_>>().join(";")
}

#[cfg(test)]
mod tests {
    use ffmpeg_next::util::color;

    use super::*;
    use crate::child::libav::frame::{for_each_row, share};

    const PQ: Color = Color { primaries: 9, transfer: 16, matrix: 9, range: 1, chroma: 1 };

    fn samples(picture: &frame::Video) -> Vec<u8> {
        let mut all = Vec::new();
        for_each_row(picture, |row| all.extend_from_slice(row));
        all
    }

    #[test]
    fn a_picture_is_mapped_once_for_all_sizes_and_the_same_as_for_each_alone() {
        let mut picture = frame::Video::new(Pixel::YUV420P10LE, 64, 48);
        picture.set_color_primaries(color::Primaries::BT2020);
        picture.set_color_transfer_characteristic(color::TransferCharacteristic::SMPTE2084);
        picture.set_color_space(color::Space::BT2020NCL);
        picture.set_color_range(color::Range::MPEG);
        for plane in 0..3 {
            let noise = |(i, pair): (usize, &mut [u8])| {
                pair.copy_from_slice(&(64 + (i * 37 % 800) as u16).to_le_bytes());
            };
            picture.data_mut(plane).chunks_exact_mut(2).enumerate().for_each(noise);
        }
        let map = |sizes: &[(u32, u32)]| -> Vec<Vec<u8>> {
            let mut tone = ToneMap::build(&picture, PQ, sizes, 2).unwrap();
            assert!(tone.fits(&picture, PQ, sizes));
            let mapped = tone.map(share(&picture).unwrap()).unwrap();
            assert!(tone.finish().is_ok());
            mapped.iter().map(samples).collect()
        };
        let both = map(&[(64, 48), (32, 24)]);
        assert_eq!(both, [map(&[(64, 48)]).remove(0), map(&[(32, 24)]).remove(0)]);
        assert_ne!(both[0], both[1]);
    }
}
