//! Pictures among those of high dynamic range that are of the standard range, or of another transfer, by libavfilter's zscale: an
//! advertisement in a broadcast of HLG.

use super::{Filter, Pictures};
use crate::color::is_high_range;

pub(super) const ENTRY: &dyn Filter = &HighRange;

/// The luminance of white of the standard range, in cd/m² (ITU-R BT.2408, 5.1).
const WHITE: i32 = 203;

/// Expansion to high dynamic range.
#[derive(Debug)]
pub(crate) struct HighRange;

impl Filter for HighRange {
    fn name(&self) -> &'static str {
        "high_range"
    }

    fn needs(&self) -> &'static [&'static str] {
        &["zscale"]
    }

    fn graph(&self, pictures: &Pictures) -> Option<String> {
        let (from, to) = (pictures.from, pictures.to);
        if !is_high_range(to) || from.transfer == to.transfer {
            return None;
        }
        let transfer = |transfer: i32| match transfer {
            16 => "smpte2084",
            18 => "arib-std-b67",
            13 => "iec61966-2-1",
            _ => "709",
        };
        let matrix = |matrix: i32| match matrix {
            5 => "470bg",
            6 => "170m",
            9 => "2020_ncl",
            10 => "2020_cl",
            _ => "709",
        };
        let primaries = |primaries: i32| match primaries {
            5 => "470bg",
            6 => "170m",
            9 => "2020",
            12 => "smpte432",
            _ => "709",
        };
        let range = |range: i32| if range == 2 { "full" } else { "limited" };
        let ((width, height), format) = (pictures.size, pictures.format);
        let own = primaries(from.primaries);
        Some(format!(
            "zscale=tin={}:min={}:pin={own}:rin={}:t=linear:m=gbr:p={own}:npl={WHITE},format=gbrpf32le,\
             zscale=t={}:m={}:p={}:r={}:npl={WHITE}:w={width}:h={height},format={format}",
            transfer(from.transfer),
            matrix(from.matrix),
            range(from.range),
            transfer(to.transfer),
            matrix(to.matrix),
            primaries(to.primaries),
            range(to.range),
        ))
    }
}

#[cfg(test)]
mod tests {
    use millrace_schemas::Color;

    use super::*;

    const PQ: Color = Color { primaries: 9, transfer: 16, matrix: 9, range: 1, chroma: 3 };

    fn graph(from: Color, to: Color) -> Option<String> {
        HighRange.graph(&Pictures { from, to, size: (1920, 1080), format: "yuv420p10le" })
    }

    #[test]
    fn only_pictures_of_another_transfer_among_those_of_high_range_are_expanded() {
        let hlg = Color { transfer: 18, ..PQ };
        let standard = Color { primaries: 1, transfer: 1, matrix: 1, range: 1, chroma: 1 };
        assert_eq!([graph(PQ, PQ), graph(PQ, standard), graph(standard, standard)], [None, None, None]);
        let expanded = graph(standard, hlg).unwrap();
        assert!(expanded.starts_with("zscale=tin=709:min=709:pin=709:rin=limited:t=linear:m=gbr:p=709:npl=203,"), "{expanded}");
        assert!(expanded.contains("zscale=t=arib-std-b67:m=2020_ncl:p=2020:r=limited:npl=203:w=1920:h=1080,"));
        assert!(expanded.ends_with(",format=yuv420p10le"));
        assert!(graph(PQ, hlg).is_some());
    }
}
