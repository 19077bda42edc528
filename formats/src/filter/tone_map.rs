//! High dynamic range, brought down to the standard one (BT.709), by libavfilter's zscale and tonemap.

use super::{Filter, Pictures, is_brought_down};

pub(super) const ENTRY: &dyn Filter = &ToneMap;

/// What counts as white, in cd/m² (ITU-R BT.2408: 203; 100 keeps faces as bright as graded for the standard range).
const WHITE: i32 = 100;
/// The brightest that is kept apart from white, as a multiple of it: 1000 cd/m², for which nearly all of it is graded. The
/// same for every picture, or segments would differ.
const PEAK: i32 = 10;

/// Tone mapping.
#[derive(Debug)]
pub(crate) struct ToneMap;

impl Filter for ToneMap {
    fn name(&self) -> &'static str {
        "tone_map"
    }

    fn needs(&self) -> &'static [&'static str] {
        &["zscale", "tonemap"]
    }

    fn graph(&self, pictures: &Pictures) -> Option<String> {
        if !is_brought_down(pictures) {
            return None;
        }
        let color = pictures.from;
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
        let ((width, height), format) = (pictures.size, pictures.format);
        Some(format!(
            "zscale=tin={transfer}:min={matrix}:pin={primaries}:rin={range}:t=linear:npl={WHITE},format=gbrpf32le,\
             zscale=p=709,tonemap=tonemap=hable:desat=0:peak={PEAK},\
             zscale=t=709:m=709:p=709:r=limited:w={width}:h={height},format={format}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use millrace_schemas::Color;

    use super::*;

    const BT709: Color = Color { primaries: 1, transfer: 1, matrix: 1, range: 1, chroma: 1 };

    fn graph(transfer: i32, to: Color) -> Option<String> {
        let from = Color { primaries: 9, transfer, matrix: 9, range: 1, chroma: 3 };
        ToneMap.graph(&Pictures { from, to, size: (1920, 1080), format: "yuv420p" })
    }

    #[test]
    fn only_high_range_that_is_to_be_standard_is_mapped() {
        assert_eq!(graph(1, BT709), None);
        assert_eq!(graph(16, Color { transfer: 18, ..BT709 }), None);
        assert!(graph(18, BT709).is_some_and(|graph| graph.starts_with("zscale=tin=arib-std-b67:min=2020_ncl")));
        assert!(graph(16, BT709).is_some_and(|graph| graph.ends_with("w=1920:h=1080,format=yuv420p")));
    }
}
