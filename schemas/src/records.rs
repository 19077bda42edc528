//! The records, and the types that they share.

mod arrival;
mod assembly;
mod media;
mod merge;
mod phase;
mod plan;
mod segment;
mod signal;
mod status;
mod upload;
mod work;

pub use arrival::{Arrival, Seen};
pub use assembly::{Again, Assembly, PlannedOutput, RatePass, TrackSum, Waiting};
pub use media::{
    Area, AudioFacts, AudioFilters, AudioSettings, BitRate, BurntSubtitles, Color, Instants, Light, Made,
    OutputFacts, Overlay, PictureShape, Ratio, Rendition, SideSettings, SourceRef, TextOverlay, TextStyle,
    TrackKind, VideoFacts, VideoFilters, VideoSettings,
};
pub use merge::{Merge, Merged};
pub use phase::{MergeStep, Phase, Standing};
pub use plan::{
    Chapter, Extras, OutputPlan, PackagePlan, PicturesPlan, Protection, TrackPlan, TrackTags, WaveformPlan,
};
pub use segment::{Seek, SeekBy, Segment, TrackSource, Trim};
pub use signal::{Cancelled, MergeOutcome, NextPass, Refused, SegmentOutcome, Signal, Started, UncleanRun};
pub use status::{Control, ExecutionEvent, LogLine, Progress};
pub use upload::{
    LAST_ATTEMPT, LONGEST_LABEL, LONGEST_LOCATION, LONGEST_NAME, LONGEST_PROFILE, MOST_FORMATS, MOST_LABELS,
    MOST_MADE, Upload,
};
