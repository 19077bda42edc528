//! Graphs of libavfilter for one channel of sound: samples go in at one place, and come out at another.

use ffmpeg_next::{
    self as ff, filter,
    format::{Sample, sample::Type},
    frame,
};

use super::{layout::Layout, sound};
use crate::child::failure::Failure;

/// What goes in and comes out: 32-bit floats.
const SAMPLES: sound::Samples = sound::Samples { format: Sample::F32(Type::Planar), bits: 0 };

/// A graph of one filter for one channel.
pub(crate) struct SoundFilter {
    graph: filter::Graph,
    rate: i32,
    /// How many samples went in.
    taken: i64,
    doing: &'static str,
}

impl SoundFilter {
    /// Builds a graph of the filter of this name, with its usual options, for samples at `rate` a second.
    ///
    /// # Errors
    /// If this FFmpeg is built without it, or what libavfilter says.
    pub(crate) fn build(name: &str, rate: i32, doing: &'static str) -> Result<Self, Failure> {
        let find = |name: &str| {
            filter::find(name)
                .ok_or_else(|| Failure::new(format!("{doing}: this FFmpeg has no filter '{name}'")))
        };
        let (source, sink) = (find("abuffer")?, find("abuffersink")?);
        find(name)?;
        let mut graph = filter::Graph::new();
        // SAFETY: the graph was just allocated, and has no filter yet; this is a plain number in it.
        unsafe { (*graph.as_mut_ptr()).nb_threads = 1 };
        let arguments = format!("sample_rate={rate}:sample_fmt=fltp:channel_layout=mono:time_base=1/{rate}");
        graph.add(&source, "in", &arguments).map_err(Failure::at(doing))?;
        graph.add(&sink, "out", "").map_err(Failure::at(doing))?;
        let parser = graph.output("in", 0).and_then(|parser| parser.input("out", 0));
        parser.and_then(|parser| parser.parse(&format!("[in]{name}[out]"))).map_err(Failure::at(doing))?;
        graph.validate().map_err(Failure::at(doing))?;
        Ok(Self { graph, rate, taken: 0, doing })
    }

    /// Sends samples into the graph.
    ///
    /// # Errors
    /// What libavfilter says.
    pub(crate) fn push(&mut self, samples: &[f32]) -> Result<(), Failure> {
        if samples.is_empty() {
            return Ok(());
        }
        let mut frame = sound::frame(Layout::mono(), self.rate, SAMPLES, &[samples])?;
        frame.set_pts(Some(self.taken));
        self.taken += samples.len() as i64;
        let mut source = self.graph.get("in").ok_or_else(|| self.missing())?;
        source.source().add(&frame).map_err(Failure::at(self.doing))
    }

    /// Tells the graph that no samples follow, so that it gives those that it holds.
    ///
    /// # Errors
    /// What libavfilter says.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        let mut source = self.graph.get("in").ok_or_else(|| self.missing())?;
        source.source().flush().map_err(Failure::at(self.doing))
    }

    /// Adds the samples that come out of the graph.
    ///
    /// # Errors
    /// What libavfilter says, or if it gives samples of another kind.
    pub(crate) fn pull(&mut self, into: &mut Vec<f32>) -> Result<(), Failure> {
        loop {
            let mut frame = frame::Audio::empty();
            let mut sink = self.graph.get("out").ok_or_else(|| self.missing())?;
            match sink.sink().frame(&mut frame) {
                Ok(()) if frame.format() == SAMPLES.format => into.extend_from_slice(frame.plane::<f32>(0)),
                Ok(()) => return Err(Failure::new(format!("{}: samples of another kind", self.doing))),
                Err(ff::Error::Eof | ff::Error::Other { errno: ff::error::EAGAIN }) => return Ok(()),
                Err(error) => return Err(Failure::at(self.doing)(error)),
            }
        }
    }

    fn missing(&self) -> Failure {
        Failure::new(format!("{}: a filter went missing", self.doing))
    }
}
