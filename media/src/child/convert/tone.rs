//! High dynamic range, brought down to the standard one (BT.709), by libavfilter's zscale and tonemap.

use ffmpeg_next::{self as ff, filter, frame};
use millrace_schemas::Color;

use crate::child::{Failure, inspect::pixel_format_name};

/// What counts as white, in cd/m² (ITU-R BT.2408: 203; 100 keeps faces as bright as graded for the standard range).
const WHITE: i32 = 100;
/// The brightest that is kept apart from white, as a multiple of it: 1000 cd/m², for which nearly all of it is graded. The
/// same for every picture, or segments would differ.
const PEAK: i32 = 10;

pub(super) struct ToneMap {
    graph: filter::Graph,
    input: (ff::format::Pixel, u32, u32),
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
        let format = pixel_format_name(ff::ffi::AVPixelFormat::from(frame.format()) as i32)
            .ok_or_else(|| Failure::new(format!("{doing}: pictures of an unknown format")))?;
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
            "zscale=tin={transfer}:min={matrix}:pin={primaries}:rin={range}:t=linear:npl={WHITE},format=gbrpf32le,\
             zscale=p=709,tonemap=tonemap=hable:desat=0:peak={PEAK},\
             zscale=t=709:m=709:p=709:r=limited:w={to_width}:h={to_height},format=yuv420p"
        );
        let mut graph = filter::Graph::new();
        // SAFETY: a plain field of a graph that nothing has been added to.
        unsafe { (*graph.as_mut_ptr()).nb_threads = i32::try_from(cores.max(1)).unwrap_or(1) };
        let missing = |name: &str| Failure::new(format!("{doing}: this FFmpeg has no filter '{name}'"));
        let arguments =
            format!("video_size={width}x{height}:pix_fmt={format}:time_base=1/1:pixel_aspect=1/1");
        let source = filter::find("buffer").ok_or_else(|| missing("buffer"))?;
        let sink = filter::find("buffersink").ok_or_else(|| missing("buffersink"))?;
        if filter::find("zscale").is_none() || filter::find("tonemap").is_none() {
            return Err(missing("zscale' or 'tonemap"));
        }
        graph.add(&source, "in", &arguments).map_err(Failure::at(doing))?;
        graph.add(&sink, "out", "").map_err(Failure::at(doing))?;
        graph
            .output("in", 0)
            .and_then(|parser| parser.input("out", 0))
            .and_then(|parser| parser.parse(&spec))
            .map_err(Failure::at(doing))?;
        graph.validate().map_err(Failure::at(doing))?;
        Ok(Self { graph, input: (frame.format(), width, height), color, size })
    }

    /// Whether it was made for pictures like this one.
    pub(super) fn fits(&self, frame: &frame::Video, color: Color, size: (u32, u32)) -> bool {
        self.input == (frame.format(), frame.width(), frame.height())
            && (self.color, self.size) == (color, size)
    }

    /// Maps a picture.
    pub(super) fn map(&mut self, frame: &frame::Video) -> Result<frame::Video, Failure> {
        let doing = "tone mapping a picture";
        let missing = || Failure::new(format!("{doing}: a filter went missing"));
        let mut source = self.graph.get("in").ok_or_else(missing)?;
        source.source().add(frame).map_err(Failure::at(doing))?;
        let mut mapped = frame::Video::empty();
        let mut sink = self.graph.get("out").ok_or_else(missing)?;
        sink.sink().frame(&mut mapped).map_err(Failure::at(doing))?;
        Ok(mapped)
    }
}
