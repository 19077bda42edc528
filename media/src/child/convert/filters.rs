//! Pictures through the filters of the table that they need, in a graph of libavfilter's.

use ffmpeg_next::{self as ff, filter, frame};
use millrace_formats::filter::{Graph, Times};

use crate::child::{Failure, inspect::pixel_format_name};

/// A graph of filters, set up.
pub(super) struct Filters {
    graph: filter::Graph,
    input: (ff::format::Pixel, u32, u32),
    made_of: Graph,
}

impl Filters {
    /// Sets up a graph for pictures like this one.
    ///
    /// # Errors
    /// If this FFmpeg lacks one of its filters, or a filter needs more than each picture by itself.
    pub(super) fn new(frame: &frame::Video, made_of: Graph, cores: usize) -> Result<Self, Failure> {
        let doing = "setting up filters";
        if made_of.leads != (0, 0) || made_of.times != Times::Same {
            let spec = &made_of.description;
            return Err(Failure::new(format!(
                "{doing}: '{spec}' needs pictures of other segments, or makes other times"
            )));
        }
        let (width, height) = (frame.width(), frame.height());
        let format = pixel_format_name(ff::ffi::AVPixelFormat::from(frame.format()) as i32)
            .ok_or_else(|| Failure::new(format!("{doing}: pictures of an unknown format")))?;
        let mut graph = filter::Graph::new();
        // SAFETY: a plain field of a graph that nothing has been added to.
        unsafe { (*graph.as_mut_ptr()).nb_threads = i32::try_from(cores.max(1)).unwrap_or(1) };
        let missing = |name: &str| Failure::new(format!("{doing}: this FFmpeg has no filter '{name}'"));
        let arguments =
            format!("video_size={width}x{height}:pix_fmt={format}:time_base=1/1:pixel_aspect=1/1");
        let source = filter::find("buffer").ok_or_else(|| missing("buffer"))?;
        let sink = filter::find("buffersink").ok_or_else(|| missing("buffersink"))?;
        if let Some(name) = made_of.needs.iter().find(|name| filter::find(name).is_none()) {
            return Err(missing(name));
        }
        graph.add(&source, "in", &arguments).map_err(Failure::at(doing))?;
        graph.add(&sink, "out", "").map_err(Failure::at(doing))?;
        graph
            .output("in", 0)
            .and_then(|parser| parser.input("out", 0))
            .and_then(|parser| parser.parse(&made_of.description))
            .map_err(Failure::at(doing))?;
        graph.validate().map_err(Failure::at(doing))?;
        Ok(Self { graph, input: (frame.format(), width, height), made_of })
    }

    /// Whether it was set up for pictures like this one.
    pub(super) fn fits(&self, frame: &frame::Video, made_of: &Graph) -> bool {
        self.input == (frame.format(), frame.width(), frame.height()) && self.made_of == *made_of
    }

    /// Filters a picture.
    pub(super) fn run(&mut self, frame: &frame::Video) -> Result<frame::Video, Failure> {
        let doing = "filtering a picture";
        let missing = || Failure::new(format!("{doing}: a filter went missing"));
        let mut source = self.graph.get("in").ok_or_else(missing)?;
        source.source().add(frame).map_err(Failure::at(doing))?;
        let mut filtered = frame::Video::empty();
        let mut sink = self.graph.get("out").ok_or_else(missing)?;
        sink.sink().frame(&mut filtered).map_err(Failure::at(doing))?;
        Ok(filtered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_needs_more_than_each_picture_or_is_not_there_is_refused() {
        let frame = frame::Video::new(ff::format::Pixel::YUV420P, 64, 48);
        let alone =
            Graph { description: "negate".into(), needs: vec!["negate"], leads: (0, 0), times: Times::Same };
        let refused = |graph: Graph| Filters::new(&frame, graph, 1).err().map(|failure| failure.0);
        assert_eq!(refused(alone.clone()), None);
        let before = refused(Graph { leads: (1, 0), ..alone.clone() });
        assert!(before.is_some_and(|reason| reason.contains("needs pictures of other segments")));
        assert!(refused(Graph { times: Times::Resampled, ..alone.clone() }).is_some());
        let missing = refused(Graph { needs: vec!["no_such_filter"], ..alone });
        assert!(missing.is_some_and(|reason| reason.ends_with("this FFmpeg has no filter 'no_such_filter'")));
    }
}
