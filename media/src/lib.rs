//! Everything that touches libav. It runs in a child process only: the parent half ([`Launcher`]) starts the same
//! executable again with [`CHILD_ARGUMENT`], hands it a task on stdin and bytes as file descriptors, and never a path,
//! a host or a credential. The child seals itself into a box ([`Seal`]) before it reads its task.

mod bounds;
mod boxes;
pub mod captions;
mod cgroup;
mod child;
mod claims;
mod ends;
#[expect(unsafe_code, reason = "two system calls; they belong in `system`")]
mod launcher;
mod leave;
pub mod packets;
mod protocol;
mod seal;
pub mod seams;
#[expect(unsafe_code, reason = "system calls that the standard library has no function for")]
mod system;
mod timeline;

pub use cgroup::Delegated;
pub use child::{child_main, seal};
pub use claims::most_work;
pub use launcher::{Ask, ChildError, LONGEST_TASK, Launcher, hide_memory, pipe};
pub use leave::leave;
pub use protocol::{
    AudioTrackFacts, ChannelMeasured, FIRST_FD, Heard, InspectTask, Inspected, KeyframeFacts, Likeness,
    MergeTask, Merged, PicturesMeasured, ProbedStream, Reply, SecondMeasured, Side, SideTrackFacts,
    SoundMeasured, Task, TimeRange, TranscodeTask, Unclean, Verified, VerifyTask, VideoTrackFacts,
};
pub use seal::{Allowed, Layer, Sandbox, Seal};
pub use timeline::{Clock, Placed, Timeline, place, reorder_depth};

/// The first argument that makes the executable a media child.
pub const CHILD_ARGUMENT: &str = "__media-child";
