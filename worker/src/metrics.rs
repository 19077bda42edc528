//! Metrics of media work and of profiles. [`millrace_runtime::metrics`] has those of records; docs/metrics.md describes all of them.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use millrace_schemas::TrackKind;
use millrace_topology::ports::Stored;

/// Pictures that were encoded, over all renditions.
const FRAMES: &str = "millrace_frames_total";
/// Changes of an operator's profiles that could not be taken: faulty files, and a folder that can't be read.
const PROFILE_FAULTS: &str = "millrace_profile_faults_total";
/// Files of profiles that are faulty now.
const FAULTY_PROFILES: &str = "millrace_faulty_profiles";

/// Describes the metrics to the recorder that is installed.
pub fn describe() {
    describe_counter!(FRAMES, Unit::Count, "Pictures that were encoded");
    describe_counter!(PROFILE_FAULTS, Unit::Count, "Changes of profiles that could not be taken");
    describe_gauge!(FAULTY_PROFILES, Unit::Count, "Files of profiles that are faulty");
}

/// Counts the pictures of work objects that were made of a segment; nothing for other kinds of tracks.
pub(crate) fn count_encoded(kind: TrackKind, made: &[Stored]) {
    if kind == TrackKind::Video {
        counter!(FRAMES).increment(made.iter().map(|stored| stored.made.units.unsigned_abs()).sum());
    }
}

/// Counts a change of profiles that could not be taken.
pub fn count_profile_fault() {
    counter!(PROFILE_FAULTS).increment(1);
}

/// Sets the number of files of profiles that are faulty.
pub fn set_faulty_profiles(files: usize) {
    gauge!(FAULTY_PROFILES).set(files as f64);
}
