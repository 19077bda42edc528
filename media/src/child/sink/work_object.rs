//! Sinks, and the work objects that they fill.

use std::{fs::File, io::BufWriter};

use millrace_schemas::Made;

use crate::{
    child::{alive::Waiting, failure::Failure},
    packets::{Header, Writer},
};

/// What fills the work objects of one rendition.
pub(crate) trait Sink: Sized {
    /// A frame or a packet, with what must be known of it.
    type Input<'a>;
    /// What is known only when the track has ended.
    type End<'a>;

    /// Takes the next frame or packet. Returns the work objects that it made whole, in the order of their ranges.
    ///
    /// # Errors
    /// If it can't be encoded or written.
    fn push(&mut self, input: Self::Input<'_>) -> Result<Vec<Made>, Failure>;

    /// Ends the track. Returns the work objects that were not whole before, in the order of their ranges.
    ///
    /// # Errors
    /// If what is left can't be encoded or written.
    fn finish(self, end: Self::End<'_>) -> Result<Vec<Made>, Failure>;
}

/// A work object that is being written.
pub(crate) type WorkObject = Writer<BufWriter<Waiting>>;

/// What is being done while a work object is written, for failures.
pub(crate) const WRITING: &str = "writing a work object";

/// Begins a work object with this header.
///
/// # Errors
/// If it can't be written.
pub(crate) fn begin(output: File, header: &Header) -> Result<WorkObject, Failure> {
    Writer::new(BufWriter::new(Waiting(output)), header).map_err(Failure::at(WRITING))
}
