//! The box around a media process: its layers, and what a task may use. The parent says what is asked for; the child seals
//! itself (`child/seal.rs`) before it reads its task.

use std::time::Duration;

use millrace_schemas::{PictureShape, Rendition};
use serde::{Deserialize, Serialize};

use crate::protocol::Task;

/// A layer of the box. Each holds by itself, and is tested by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// All descriptors are closed but the task's own.
    Descriptors,
    /// No capabilities, no new ones by a program's set-user-ID bit; no core dump, nothing that others of the same user may read
    /// of its memory; the first to go where the machine has no memory left.
    Privileges,
    /// Memory, processor time, file sizes and descriptors follow from the task.
    Limits,
    /// User, mount, network, process and IPC namespaces with nothing in them.
    Namespaces,
    /// No path, no TCP port, no signal and no abstract socket of others, by Landlock.
    Landlock,
    /// System calls that decoding needs, by seccomp; another one ends the process.
    Calls,
    /// Memory and the number of threads are bounded by a cgroup, where one is delegated to the parent.
    Cgroup,
}

impl Layer {
    /// All of them, in the order in which they are put on.
    pub const ALL: [Self; 7] = [
        Self::Cgroup,
        Self::Descriptors,
        Self::Namespaces,
        Self::Privileges,
        Self::Limits,
        Self::Landlock,
        Self::Calls,
    ];

    /// Its name, as metrics and logs have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Descriptors => "descriptors",
            Self::Privileges => "privileges",
            Self::Limits => "limits",
            Self::Namespaces => "namespaces",
            Self::Landlock => "landlock",
            Self::Calls => "calls",
            Self::Cgroup => "cgroup",
        }
    }

    /// Whether nothing is decoded without it. Every Linux that Millrace runs on has what these need.
    #[must_use]
    pub fn is_mandatory(self) -> bool {
        matches!(self, Self::Descriptors | Self::Privileges | Self::Limits | Self::Calls)
    }
}

/// How much of the box is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sandbox {
    /// Every layer that the machine has; those that every machine has are needed.
    #[default]
    On,
    /// Every layer is needed.
    Require,
    /// None: media are decoded with all that this process may do.
    Off,
}

impl Sandbox {
    /// The layers that are tried.
    #[must_use]
    pub fn layers(self) -> &'static [Layer] {
        if self == Self::Off { &[] } else { &Layer::ALL }
    }

    /// Whether nothing is decoded where this layer does not hold.
    #[must_use]
    pub fn needs(self, layer: Layer) -> bool {
        match self {
            Self::Off => false,
            Self::On => layer.is_mandatory(),
            Self::Require => true,
        }
    }
}

/// What a task may use, which follows from what was admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowed {
    /// Bytes of memory that it writes to. The parent ends it past that, too.
    pub memory: u64,
    /// Bytes of addresses, most of which are never touched: each thread of a C program reserves some.
    pub addresses: u64,
    /// Seconds of all its threads together.
    pub cpu_seconds: u64,
    /// The longest file, in bytes.
    pub file_bytes: u64,
    /// Descriptors that it may have open, beside those that it is given.
    pub descriptors: u64,
    /// Threads, where a cgroup counts them.
    pub threads: u64,
}

const MIB: u64 = 1 << 20;
/// What every task may use.
const AT_LEAST: u64 = 1024 * MIB;
/// What a decoder and an encoder use whatever the size of pictures: code, tables, packets, stacks.
const BASE: u64 = 512 * MIB;
/// Bytes of a pixel, of up to 16 bits in three planes of half the size.
const PIXEL: u64 = 4;
/// So many pictures a decoder holds, and one more for each core.
const DECODED: u64 = 24;
/// So many pictures x264 looks ahead and refers to, and three more for each core.
const ENCODED: u64 = 70;
/// The stack of a thread.
const STACK: u64 = 9 * MIB;
/// Seconds in which headers are read, and bytes of a source that are looked at in each further one: a hundredth of what a core does.
const LOOKING: u64 = 30;
const LOOKED_AT: u64 = 1_000_000;
/// What a thread reserves: a stack and an arena of the allocator.
const THREAD: u64 = 160 * MIB;

impl Allowed {
    /// For a task that has so long, on so many bytes of sources or work objects.
    #[must_use]
    pub fn of(task: &Task, time: Duration, bytes: u64) -> Self {
        let (pixels, cores) = match task {
            Task::Transcode(task) => {
                let cores = task.cores as u64;
                let size = |r: &Rendition| r.video.as_ref().map_or(0, |v| area(v.width, v.height));
                let encoded = task.renditions.iter().map(size).fold(0, u64::saturating_add);
                let decoded = shape(task.shape.as_ref()).saturating_mul(DECODED + cores);
                (decoded.saturating_add(encoded.saturating_mul(ENCODED + 3 * cores)), cores)
            }
            Task::Verify(task) => {
                let both =
                    shape(task.source.shape.as_ref()).saturating_add(shape(task.output.shape.as_ref()));
                (both.saturating_mul(DECODED), 2)
            }
            _ => (0, 1),
        };
        let writes = match task {
            // They write nothing.
            Task::Check | Task::Inspect(_) | Task::Verify(_) => 0,
            Task::Transcode(_) => bytes.saturating_mul(16).saturating_add(1 << 30),
            Task::Merge(_) | Task::Prove(_) => bytes.saturating_mul(2).saturating_add(1 << 30),
        };
        let stacks = STACK * (8 + 4 * cores);
        let memory = AT_LEAST.max(BASE.saturating_add(stacks).saturating_add(pixels.saturating_mul(PIXEL)));
        Self {
            memory,
            addresses: memory.saturating_mul(2).saturating_add(THREAD.saturating_mul(32 + 8 * cores)),
            cpu_seconds: match task {
                // Whatever time a store takes to give its bytes: to look at them takes no longer than this.
                Task::Inspect(_) => LOOKING + bytes / LOOKED_AT,
                _ => time.as_secs().saturating_add(1).saturating_mul(cores + 2),
            },
            file_bytes: writes,
            descriptors: 64,
            threads: 64 + 8 * cores,
        }
    }
}

/// The pixels of a picture.
fn shape(shape: Option<&PictureShape>) -> u64 {
    shape.map_or(0, |shape| area(shape.width, shape.height))
}

fn area(width: i32, height: i32) -> u64 {
    u64::from(width.unsigned_abs()).saturating_mul(u64::from(height.unsigned_abs()))
}

/// How a child is to seal itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// The layers to put on.
    pub layers: Vec<Layer>,
    /// Those without which it must not go on.
    pub needed: Vec<Layer>,
    /// How many descriptors it is given, from [`crate::FIRST_FD`] on.
    pub given: u32,
    /// What its task may use.
    pub allowed: Allowed,
}

impl Seal {
    /// The seal of a child that is given so many descriptors; behind them, where it has a cgroup, the file by which it moves itself there.
    #[must_use]
    pub fn new(sandbox: Sandbox, given: usize, has_cgroup: bool, allowed: Allowed) -> Self {
        let can = |layer: &Layer| *layer != Layer::Cgroup || has_cgroup;
        let layers: Vec<Layer> = sandbox.layers().iter().copied().filter(can).collect();
        let needed = Layer::ALL.into_iter().filter(|layer| sandbox.needs(*layer)).collect();
        Self { layers, needed, given: u32::try_from(given).unwrap_or(u32::MAX), allowed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_box_nothing_is_tried_and_with_it_the_mandatory_layers_are_needed() {
        assert!(Sandbox::Off.layers().is_empty() && !Sandbox::Off.needs(Layer::Calls));
        assert!(Sandbox::On.needs(Layer::Calls) && Sandbox::On.needs(Layer::Limits));
        assert!(!Sandbox::On.needs(Layer::Namespaces) && !Sandbox::On.needs(Layer::Cgroup));
        assert!(Layer::ALL.iter().all(|layer| Sandbox::Require.needs(*layer)));
    }

    #[test]
    fn what_a_task_may_use_follows_from_it_and_is_no_overflow() {
        let hour = Duration::from_secs(3600);
        let check = Allowed::of(&Task::Check, hour, 0);
        assert_eq!((check.memory, check.file_bytes), (AT_LEAST, 0));
        let inspect = Task::Inspect(crate::InspectTask { segment_seconds: None });
        assert_eq!(Allowed::of(&inspect, Duration::MAX, u64::MAX).memory, AT_LEAST);
    }
}
