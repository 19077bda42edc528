//! Reads the movie fragments of an mp4, past libav.

use std::{io, ops::Range};

use super::Source;
use crate::boxes::{self, Fragment};

impl Source {
    /// Gives each movie fragment of an mp4 in order, as its bytes state it.
    ///
    /// # Errors
    /// The reason, if there is something else than fragments behind the movie box, or one can't be read.
    pub(crate) fn fragments(
        &self,
        give: &mut dyn FnMut(Fragment) -> Result<(), String>,
    ) -> Result<(), String> {
        boxes::fragments(self.size, &self.origin, give)
    }

    /// Returns when the first sample of the fragment at this byte is shown, in ticks of its track, and where it lies.
    ///
    /// # Errors
    /// The reason, if there is no such fragment.
    pub(crate) fn first_sample(&self, at: u64) -> Result<(u64, Range<u64>), String> {
        let fragment = boxes::fragment(self.size, &self.origin, at)?;
        let (time, sample) =
            fragment.times().zip(&fragment.samples).next().ok_or("a fragment has no sample")?;
        let start = fragment.offset + fragment.moof + 8;
        let time = u64::try_from(time).map_err(|_| "a sample is shown before time zero")?;
        Ok((time, start..start + u64::from(sample.size)))
    }

    /// Returns the bytes of a sample.
    ///
    /// # Errors
    /// If they can't be read.
    pub(crate) fn sample(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while filled < length {
            match self.origin.read_at(&mut bytes[filled..], range.start + filled as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                got => filled += got,
            }
        }
        Ok(bytes)
    }
}
