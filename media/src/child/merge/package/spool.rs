//! The bytes of a package: all of its objects, one behind the other in the output.

use std::{fs::File, io::Write as _, ops::Range};

use crate::{
    child::{
        failure::Failure,
        output_file::{FirstError, OutputFile},
    },
    protocol::Part,
};

/// The most objects of a package: segments of 1 s of a day, for ten tracks.
const MOST_PARTS: usize = 1_000_000;

const WRITING: &str = "writing the output";

/// The output, and the objects in it so far.
pub(in crate::child::merge) struct Spool {
    file: OutputFile,
    error: FirstError,
    at: u64,
    pub(super) parts: Vec<Part>,
}

impl Spool {
    pub(in crate::child::merge) fn new(output: &File) -> Result<Self, Failure> {
        let error = FirstError::default();
        let copy = output.try_clone().map_err(Failure::at(WRITING))?;
        let file = OutputFile::new(copy, error.clone(), None).map_err(Failure::at(WRITING))?;
        Ok(Self { file, error, at: 0, parts: Vec::new() })
    }

    /// Returns where the next bytes come to lie.
    pub(in crate::child::merge) fn at(&self) -> u64 {
        self.at
    }

    fn failure(&self, error: std::io::Error) -> Failure {
        Failure::at(WRITING)(self.error.take().unwrap_or(error))
    }

    /// Adds bytes. Returns where they are.
    pub(in crate::child::merge) fn write(&mut self, bytes: &[u8]) -> Result<Range<u64>, Failure> {
        let start = self.at;
        self.file.write_all(bytes).map_err(|error| self.failure(error))?;
        self.at += bytes.len() as u64;
        Ok(start..self.at)
    }

    /// Makes an object of these bytes.
    ///
    /// # Errors
    /// If there are too many.
    pub(in crate::child::merge) fn name(&mut self, name: String, bytes: Range<u64>) -> Result<(), Failure> {
        if self.parts.len() >= MOST_PARTS {
            return Err(Failure::new(format!(
                "the package would have more than {MOST_PARTS} objects; ask for longer segments, or for files = \"single\""
            )));
        }
        self.parts.push(Part { name, offset: bytes.start, bytes: bytes.end - bytes.start });
        Ok(())
    }

    /// Returns all objects.
    pub(in crate::child::merge) fn into_parts(self) -> Vec<Part> {
        self.parts
    }

    /// Waits until all bytes are in the file.
    pub(in crate::child::merge) fn flush(&mut self) -> Result<(), Failure> {
        self.file.flush().map_err(|error| self.failure(error))
    }
}
