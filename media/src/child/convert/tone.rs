//! High dynamic range, brought down to the standard one (BT.709), by libavfilter's zscale and tonemap.

use ffmpeg_next::{format::Pixel, frame};
use millrace_schemas::Color;

use crate::child::{failure::Failure, libav::filters::FilterGraph};

/// What counts as white, in cd/m² (ITU-R BT.2408: 203; 100 keeps faces as bright as graded for the standard range).
const WHITE: i32 = 100;
/// The brightest that is kept apart from white, as a multiple of it: 1000 cd/m², for which nearly all of it is graded. The
/// same for every picture, or segments would differ.
const PEAK: i32 = 10;

pub(super) struct ToneMap {
    graph: FilterGraph,
    input: (Pixel, u32, u32),
    color: Color,
    size: (u32, u32),
}

impl ToneMap {
    /// For pictures like this one; `size` is that of the output.
    pub(super) fn new(
        frame: &frame::Video,
        color: Color,
        size: (u32, u32),
        cores: usize,
    ) -> Result<Self, Failure> {
        let doing = "setting up tone mapping";
        let (width, height) = (frame.width(), frame.height());
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
        let (to_width, to_height) = size;
        let spec = format!(
            "[in]zscale=tin={transfer}:min={matrix}:pin={primaries}:rin={range}:t=linear:npl={WHITE},format=gbrpf32le,\
             zscale=p=709,tonemap=tonemap=hable:desat=0:peak={PEAK},\
             zscale=t=709:m=709:p=709:r=limited:w={to_width}:h={to_height},format=yuv420p[out0]"
        );
        let needed = ["zscale", "tonemap"];
        let form = (frame.format(), width, height);
        let graph = FilterGraph::build(form, &spec, (1, &needed), cores, doing)?;
        Ok(Self { graph, input: form, color, size })
    }

    /// Whether it was made for pictures like this one.
    pub(super) fn fits(&self, frame: &frame::Video, color: Color, size: (u32, u32)) -> bool {
        self.input == (frame.format(), frame.width(), frame.height())
            && (self.color, self.size) == (color, size)
    }

    /// Maps a picture.
    pub(super) fn map(&mut self, frame: &frame::Video) -> Result<frame::Video, Failure> {
        let doing = "tone mapping a picture";
        self.graph.push(frame, doing)?;
        self.graph.pull(0, doing)?.ok_or_else(|| Failure::new(format!("{doing}: a filter kept it")))
    }
}
