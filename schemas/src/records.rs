//! The records, one a topic, and the parts that they share.

mod arrival;
mod assembly;
mod media;
mod merge;
mod segment;
mod signal;
mod status;
mod upload;

pub use arrival::{Arrival, Seen};
pub use assembly::{Again, Assembly, Phase, PlannedOutput, Standing, TrackSum};
pub use media::{
    AudioFacts, AudioSettings, Color, Made, OutputFacts, PictureShape, Ratio, Rendition, SideSettings,
    SourceRef, TrackKind, VideoFacts, VideoSettings,
};
pub use merge::{Merge, MergeStep, Merged};
pub use segment::{Seek, SeekBy, Segment, TrackSource};
pub use signal::{
    Cancelled, Chapter, Extras, MergeOutcome, OutputPlan, Refused, SegmentOutcome, Signal, Started,
    TrackPlan, TrackTags, UncleanRun,
};
pub use status::{Control, ExecutionEvent, LogLine, Progress};
pub use upload::{
    LAST_ATTEMPT, LONGEST_LABEL, LONGEST_LOCATION, LONGEST_NAME, MOST_FORMATS, MOST_LABELS, MOST_MADE, Upload,
};

/// Where work objects are: what a record says, or the execution where it says nothing.
fn work_or<'a>(work: &'a str, execution: &'a str) -> &'a str {
    if work.is_empty() { execution } else { work }
}

macro_rules! work_of {
    ($($type:ty),+) => {$(
        impl $type {
            /// The first part of its work objects' keys.
            #[must_use]
            pub fn work(&self) -> &str {
                work_or(&self.work, &self.execution)
            }
        }
    )+};
}

work_of!(Segment, Assembly, Merge, Merged);

/// Ties a type to its schema files, the oldest first: file `v` is version `v`.
macro_rules! record {
    ($type:ty, $name:literal, $number:literal, [$($file:literal),+]) => {
        impl crate::frame::Record for $type {
            const NAME: &'static str = $name;
            const NUMBER: u32 = $number;
            // Uploads alone.
            const BY_OTHERS: bool = $number == 1;
            const VERSIONS: &'static [&'static str] = &[$(include_str!(concat!("../../avro/", $file))),+];
            fn codec() -> &'static crate::frame::Codec {
                static CODEC: std::sync::LazyLock<crate::frame::Codec> =
                    std::sync::LazyLock::new(crate::frame::Codec::of::<$type>);
                &CODEC
            }
        }
    };
}
pub(crate) use record;
