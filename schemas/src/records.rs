//! The records, one a topic, and the parts that they share.

mod assembly;
mod media;
mod merge;
mod segment;
mod signal;
mod status;
mod upload;

pub use assembly::{Assembly, Phase, PlannedOutput, TrackSum};
pub use media::{
    AudioFacts, AudioSettings, Color, Made, OutputFacts, Ratio, Rendition, SourceRef, TrackKind, VideoFacts,
    VideoSettings,
};
pub use merge::{Merge, Merged};
pub use segment::{Seek, SeekBy, Segment};
pub use signal::{Cancelled, MergeOutcome, OutputPlan, Refused, SegmentOutcome, Signal, Started, TrackPlan};
pub use status::{ExecutionEvent, Progress};
pub use upload::Upload;

/// Ties a type to its schema file.
macro_rules! record {
    ($type:ty, $name:literal, $id:literal, $file:literal) => {
        impl crate::frame::Record for $type {
            const NAME: &'static str = $name;
            const SCHEMA_ID: u32 = $id;
            const AVSC: &'static str = include_str!(concat!("../../avro/", $file));
            fn schema() -> &'static apache_avro::Schema {
                static SCHEMA: std::sync::LazyLock<apache_avro::Schema> = std::sync::LazyLock::new(|| {
                    // The text is compiled in, and a test parses it: it can't fail in the field.
                    #[allow(clippy::expect_used)]
                    apache_avro::Schema::parse_str(<$type as crate::frame::Record>::AVSC).expect(concat!(
                        "schemas/avro/",
                        $file,
                        " is a valid schema"
                    ))
                });
                &SCHEMA
            }
        }
    };
}
pub(crate) use record;
