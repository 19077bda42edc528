//! The muxer of one track of movie fragments, into memory: what each fragment is, its caller puts into objects.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use ffmpeg_next::format::context::StreamIo;
use millrace_formats::Container;
use millrace_schemas::OutputPlan;

use crate::{
    child::{
        failure::Failure,
        mux::{Muxer, Planned, Timed},
        output_file::FirstError,
    },
    timeline::Clock,
};

/// Bytes that a muxer wrote and nobody took yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    pub(super) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The distance by which decoding times are moved for libavformat, which takes no packet that is shown before it is decoded. With the
/// first packet it moves them back (movenc, `dts_shift`). It takes no distance that 31 bits don't hold.
const AHEAD: i64 = 1 << 30;

/// A track that is being written.
pub(super) struct FragmentMuxer {
    muxer: Muxer,
    written: Written,
    /// Whether packets may be shown before they are decoded.
    is_reordered: bool,
    is_begun: bool,
}

impl FragmentMuxer {
    pub(super) fn open(
        container: &Container,
        planned: Planned<'_>,
        output: &OutputPlan,
        origin: f64,
    ) -> Result<Self, Failure> {
        let written = Written::default();
        let io = StreamIo::from_write_with_capacity(written.clone(), 64 * 1024);
        let io = io.map_err(Failure::at("writing a track"))?;
        let is_reordered = planned.header.video.is_some();
        let muxer = Muxer::begin((io, FirstError::default()), container, &[planned], output, origin, 0)?;
        Ok(Self { muxer, written, is_reordered, is_begun: false })
    }

    /// The clock of the track.
    pub(super) fn clock(&self) -> Clock {
        self.muxer.clock(0)
    }

    /// Adds a packet to the fragment. Returns the initialization segment with the first one.
    ///
    /// # Errors
    /// If the first packet is not shown when it is decoded.
    pub(super) fn write(&mut self, mut packet: Timed) -> Result<Option<Vec<u8>>, Failure> {
        if !self.is_begun && packet.pts != packet.dts {
            return Err(Failure::new(
                "the first keyframe of a track comes behind pictures that are shown before it",
            ));
        }
        if self.is_reordered {
            packet.dts = packet.dts.saturating_sub(AHEAD);
        }
        self.muxer.write(0, packet)?;
        if self.is_begun {
            return Ok(None);
        }
        self.is_begun = true;
        self.muxer.end_fragment()?;
        Ok(Some(self.written.take()))
    }

    /// Ends the fragment. Returns its bytes.
    pub(super) fn end_fragment(&mut self) -> Result<Vec<u8>, Failure> {
        self.muxer.end_fragment()?;
        Ok(self.written.take())
    }

    /// Ends the track, whose last fragment was ended.
    pub(super) fn finish(self) -> Result<(), Failure> {
        self.muxer.finish()?;
        match self.written.take().len() {
            0 => Ok(()),
            left => Err(Failure::new(format!("ending a track: {left} bytes are left"))),
        }
    }
}
