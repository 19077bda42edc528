//! What the index of a source lists, and packets that need not be read once more.

use std::ops::Range;

use ffmpeg_next::util::log;

use super::Source;
use crate::child::libav::stream::{self, IndexEntry};

impl Source {
    /// Returns which samples of a stream the index calls keyframes; `None` if there is no index that lists all samples.
    pub(crate) fn listed_keyframes(&self, stream: usize) -> Option<Vec<bool>> {
        if !self.container().contains("mp4") {
            return None;
        }
        let stream = self.input.stream(stream)?;
        stream::index(&stream).map(|index| index.iter().map(|entry| entry.is_keyframe).collect())
    }

    /// From here on, these ranges read as zeros and cost nothing. They are in order, and none overlaps with the next.
    pub(crate) fn make_blank(&self, ranges: Vec<Range<u64>>) {
        // It is set once: the proof alone does so.
        let _ = self.blank.set(ranges);
        // Errors that libav finds in zeros mean nothing.
        log::set_level(log::Level::Quiet);
    }

    /// Returns where the index lists the packets of a stream: offsets and sizes in bytes; `None` if there is no index that lists all
    /// samples.
    pub(crate) fn listed_places(&self, stream: usize) -> Option<Vec<(u64, usize)>> {
        if !self.is_movie() {
            return None;
        }
        let index = stream::index(&self.input.stream(stream)?)?;
        let place =
            |entry: &IndexEntry| Some((u64::try_from(entry.offset).ok()?, usize::try_from(entry.size).ok()?));
        index.iter().map(place).collect()
    }
}
