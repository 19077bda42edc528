//! Metrics of media work. [`millrace_runtime::metrics`] has those of records; docs/metrics.md describes all of them.

use metrics::{Unit, counter, describe_counter};
use millrace_schemas::TrackKind;
use millrace_topology::ports::Stored;

/// Pictures that were encoded, over all renditions.
const FRAMES: &str = "millrace_frames_total";

/// Describes the metrics to the recorder that is installed.
pub fn describe() {
    describe_counter!(FRAMES, Unit::Count, "Pictures that were encoded");
}

/// Counts the pictures of work objects that were made of a segment; nothing for other kinds of tracks.
pub(crate) fn count_encoded(kind: TrackKind, made: &[Stored]) {
    if kind == TrackKind::Video {
        counter!(FRAMES).increment(made.iter().map(|stored| stored.made.units.unsigned_abs()).sum());
    }
}
