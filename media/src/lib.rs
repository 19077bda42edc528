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
mod ends;
mod launcher;
mod leave;
pub mod packets;
mod protocol;
mod read_at;
mod sandbox;
mod seal;
pub mod seams;
mod timeline;

pub use child::{child_main, seal};
pub use claims::most_work;
pub use launcher::{Ask, ChildError, LONGEST_TASK, Launcher, hide_memory, pipe};
pub use leave::leave;
pub use protocol::{
    AudioTrackFacts, CHILD_ARGUMENT, ChannelMeasured, FIRST_FD, Heard, InspectTask, Inspected, KeyframeFacts,
    Likeness, MergeTask, Merged, PicturesMeasured, ProbedStream, Reply, SecondMeasured, Side, SideTrackFacts,
    SoundMeasured, Task, TimeRange, TranscodeTask, Unclean, Verified, VerifyTask, VideoTrackFacts,
};
pub use sandbox::{Layer, Sandbox};
pub use seal::{Allowed, Seal};
pub use timeline::{Clock, Placed, Timeline, place, reorder_depth};
