//! Graphs of libavfilter: pictures go in at one place, and come out at one or more.

use ffmpeg_next::{self as ff, ffi::AVPixelFormat, filter, format::Pixel, frame};

use super::codec::name_of_pixel_format;
use crate::child::failure::Failure;

/// A graph of filters for pictures of one pixel format and size.
pub(crate) struct FilterGraph {
    graph: filter::Graph,
    outputs: usize,
}

impl FilterGraph {
    /// Builds a graph. `description` is in libavfilter's language; its input is called `in`, and its outputs `out0`, `out1`, ….
    /// Times are not used. `needed` are filters that this FFmpeg may be built without.
    ///
    /// # Errors
    /// If a filter is missing, or what libavfilter says.
    pub(crate) fn build(
        (format, width, height): (Pixel, u32, u32),
        description: &str,
        (outputs, needed): (usize, &[&str]),
        threads: usize,
        doing: &str,
    ) -> Result<Self, Failure> {
        let format = name_of_pixel_format(AVPixelFormat::from(format))
            .ok_or_else(|| Failure::new(format!("{doing}: pictures of an unknown format")))?;
        let missing = |name: &str| Failure::new(format!("{doing}: this FFmpeg has no filter '{name}'"));
        let source = filter::find("buffer").ok_or_else(|| missing("buffer"))?;
        let sink = filter::find("buffersink").ok_or_else(|| missing("buffersink"))?;
        if needed.iter().any(|name| filter::find(name).is_none()) {
            return Err(missing(&needed.join("' or '")));
        }
        let mut graph = filter::Graph::new();
        // SAFETY: the graph was just allocated, and has no filter yet; this is a plain number in it.
        unsafe { (*graph.as_mut_ptr()).nb_threads = i32::try_from(threads.max(1)).unwrap_or(1) };
        let arguments =
            format!("video_size={width}x{height}:pix_fmt={format}:time_base=1/1:pixel_aspect=1/1");
        graph.add(&source, "in", &arguments).map_err(Failure::at(doing))?;
        for output in 0..outputs {
            graph.add(&sink, &name(output), "").map_err(Failure::at(doing))?;
        }
        let mut parser = graph.output("in", 0).map_err(Failure::at(doing))?;
        for output in 0..outputs {
            parser = parser.input(&name(output), 0).map_err(Failure::at(doing))?;
        }
        parser.parse(description).map_err(Failure::at(doing))?;
        graph.validate().map_err(Failure::at(doing))?;
        Ok(Self { graph, outputs })
    }

    /// Sends a picture into the graph. libavfilter takes the samples out of the frame that it is given.
    ///
    /// # Errors
    /// What libavfilter says.
    #[expect(clippy::needless_pass_by_value, reason = "what is left of the frame is empty")]
    pub(crate) fn push(&mut self, picture: frame::Video, doing: &str) -> Result<(), Failure> {
        let mut source = self.graph.get("in").ok_or_else(|| went_missing(doing))?;
        source.source().add(&picture).map_err(Failure::at(doing))
    }

    /// Tells the graph that no pictures follow, so that filters give those that they hold.
    ///
    /// # Errors
    /// What libavfilter says.
    pub(crate) fn flush(&mut self, doing: &str) -> Result<(), Failure> {
        let mut source = self.graph.get("in").ok_or_else(|| went_missing(doing))?;
        source.source().flush().map_err(Failure::at(doing))
    }

    /// Returns the next picture of an output; `None` if it wants more pictures to go in first, or has ended.
    ///
    /// # Errors
    /// What libavfilter says.
    pub(crate) fn pull(&mut self, output: usize, doing: &str) -> Result<Option<frame::Video>, Failure> {
        debug_assert!(output < self.outputs, "a graph has an output for each that it was built with");
        let mut picture = frame::Video::empty();
        let mut sink = self.graph.get(&name(output)).ok_or_else(|| went_missing(doing))?;
        match sink.sink().frame(&mut picture) {
            Ok(()) => Ok(Some(picture)),
            Err(ff::Error::Eof | ff::Error::Other { errno: ff::error::EAGAIN }) => Ok(None),
            Err(error) => Err(Failure::at(doing)(error)),
        }
    }
}

fn name(output: usize) -> String {
    format!("out{output}")
}

fn went_missing(doing: &str) -> Failure {
    Failure::new(format!("{doing}: a filter went missing"))
}
