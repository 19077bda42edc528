//! The only crate that uses FFmpeg's libraries, and it uses them in child processes only.
//!
//! The parent's half ([`Launcher`]) starts the same executable again with [`CHILD_ARGUMENT`]. It writes a task to its stdin, and
//! passes bytes as file descriptors, never a path, a host or a credential. The media process applies its sandbox ([`Seal`]) before
//! it reads its task.

mod bounds;
mod boxes;
pub mod captions;
mod cgroup;
mod child;
mod claims;
mod clip;
mod coded;
mod dsp;
mod ends;
mod excerpt;
mod exit;
mod launcher;
mod matroska;
pub mod packets;
mod protocol;
mod read_at;
mod sandbox;
mod seal;
pub mod seams;
pub mod subtitles;
#[expect(unsafe_code, reason = "system calls that the standard library has no function for")]
mod system;
mod timeline;
mod transport;
pub mod typesetter;

pub use child::{child_main, seal};
pub use claims::pixel_budget;
pub use dsp::leveling::most_passes;
pub use exit::exit_now;
pub use launcher::{Checked, ChildError, LONGEST_TASK, Launcher, TaskRequest, pipe};
pub use protocol::{
    AnimationTask, AudioMeasurement, CHILD_ARGUMENT, ChannelSimilarity, ClipTask, Clipped, ComparedStreams,
    ContentKey, Drawn, FIRST_FD, FoundFragment, InspectTask, Inspected, MOST_ANIMATED,
    MOST_ANIMATED_PICTURES, MOST_CANDIDATES, MergeTask, Merged, NoContentKey, Part, PicturePsnr, PictureTask,
    PicturesMeasured, ProbedStream, Reply, SecondSimilarity, SoundMeasured, Task, TimeRange, TranscodeTask,
    UncleanSegments, Verified, VerifyTask,
};
pub use sandbox::{Layer, Sandbox};
pub use seal::{ResourceLimits, Seal};
pub use system::hide_memory;
pub use timeline::{Clock, TimedPacket, Timeline, reorder_depth, rescale_timestamp};
