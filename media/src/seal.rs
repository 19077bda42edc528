//! How a media process seals itself before it reads its task: the layers of its sandbox, and the resources that its task may use.
//! The parent decides; `child/seal.rs` applies it.

use std::time::Duration;

use millrace_formats::{Codec, Pixels, Seams, TABLES, codec::VideoCodec, temporal};
use millrace_schemas::{PictureShape, VideoFilters, VideoSettings};
use serde::{Deserialize, Serialize};

use crate::{
    protocol::{MOST_ANIMATED, Task},
    sandbox::{Layer, Sandbox},
};

/// The resources that a task may use. They follow from the task and the size of its sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceLimits {
    /// Memory that is written, in bytes. The parent also ends the process if it uses more.
    pub memory: u64,
    /// Address space, in bytes. Most of it is reserved for the threads of C libraries and never used.
    pub addresses: u64,
    /// CPU time of all threads together, in seconds.
    pub cpu_seconds: u64,
    /// The size of the longest file that it may write, in bytes.
    pub file_bytes: u64,
    /// Open descriptors in addition to those of the task.
    pub descriptors: u64,
    /// Threads. Only a cgroup limits them.
    pub threads: u64,
}

const MIB: u64 = 1 << 20;
/// The least memory that a task may use, in bytes.
const AT_LEAST: u64 = 1024 * MIB;
/// The memory of a decoder and an encoder for pictures of any size, in bytes: code, tables, packets, stacks.
const BASE: u64 = 512 * MIB;
/// The memory of a pixel, in bytes: up to 16 bits a sample, and two chroma planes of half the size.
const PIXEL: u64 = 4;
/// How many pictures a decoder holds, plus one for each core.
const DECODED: u64 = 24;
/// How many decoded pictures wait while an encoder that makes one range ends, for the one of the next range: a keyframe and two groups
/// of 16, with which SVT-AV1 begins to encode. They take less memory than a second encoder.
pub(crate) const HANDED_OVER: usize = 33;
/// How many pictures an encoder of a codec without an entry holds, plus three for each core.
const ENCODED: u64 = 70;
/// How many pictures of its area an image is that is laid over pictures: scaled, and as samples with their shares.
const IMAGE: u64 = 4;
/// The greatest image as it is decoded, in pixels of [`PIXEL`] bytes: it has 16 bits of each of four colours.
const DECODED_IMAGE: u64 = 2 * (millrace_formats::image::LARGEST_IMAGE as u64).pow(2);
/// The memory of a thread's stack, in bytes.
const STACK: u64 = 9 * MIB;
/// The CPU time in which headers are read, in seconds.
const LOOKING: u64 = 30;
/// The size of a source that takes a second more CPU time to inspect, in bytes: a hundredth of what a core reads in a second.
const LOOKED_AT: u64 = 1_000_000;
/// The address space that a thread reserves, in bytes: a stack and an arena of the allocator.
const THREAD: u64 = 160 * MIB;

impl ResourceLimits {
    /// Returns what a task with this time limit may use, whose sources or work objects have `bytes` bytes.
    #[must_use]
    pub fn for_task(task: &Task, time: Duration, bytes: u64) -> Self {
        let (pixels, cores) = match task {
            Task::Transcode(task) => {
                let cores = task.cores as u64;
                let held = |v: &VideoSettings| {
                    let codec = TABLES.codec(&v.codec).ok();
                    let hands_over =
                        task.ranges.len() > 1 && codec.is_some_and(|codec| codec.seams() == Seams::OwnEncode);
                    let codec = codec.and_then(<dyn Codec>::video);
                    let held = codec.map_or(ENCODED, VideoCodec::held_pictures).saturating_add(3 * cores);
                    held + if hands_over { HANDED_OVER as u64 } else { 0 }
                };
                // Of the memory of a pixel below, what samples of 4:4:4 of more than 8 bits take.
                let deep =
                    |v: &VideoSettings| Pixels::of(&v.pixel_format).map_or(PIXEL, Pixels::bytes).max(PIXEL);
                let pixels = |v: &VideoSettings| {
                    (area(v.width, v.height).saturating_mul(held(v)) / PIXEL).saturating_mul(deep(v))
                };
                let encoded = task.renditions.iter().filter_map(|r| r.video.as_ref()).map(pixels);
                let encoded = encoded.fold(0, u64::saturating_add);
                let filtered = task.renditions.iter().filter_map(|r| r.video.as_ref()).map(filtered);
                let decoded = (DECODED + cores).saturating_add(filtered.fold(0, u64::saturating_add));
                let decoded = picture_area(task.shape.as_ref()).saturating_mul(decoded);
                let laid = task.renditions.iter().filter_map(|r| r.video.as_ref()?.filters.as_ref());
                let laid = laid.flat_map(|filters| &filters.overlays);
                let laid = laid
                    .map(|overlay| area(overlay.area.width, overlay.area.height))
                    .fold(0, u64::saturating_add);
                let written = task.renditions.iter().filter_map(|r| r.video.as_ref()).map(written);
                let laid = written.fold(laid, u64::saturating_add);
                let images =
                    laid.saturating_mul(IMAGE).saturating_add(task.assets.len() as u64 * DECODED_IMAGE);
                (decoded.saturating_add(encoded).saturating_add(images), cores)
            }
            Task::Verify(task) => {
                let both = picture_area(task.source.shape.as_ref())
                    .saturating_add(picture_area(task.output.shape.as_ref()));
                let held = DECODED.saturating_add(task.video.as_ref().map_or(0, filtered));
                (both.saturating_mul(held), 2)
            }
            Task::Picture(task) => (drawn(task.cores, 1), task.cores as u64),
            Task::Animation(task) => {
                // As they are scaled, with a palette, and the encoder's and the file's own.
                (drawn(task.cores, 0).saturating_add(MOST_ANIMATED.saturating_mul(4)), task.cores as u64)
            }
            // What an encoder looks ahead at, and pictures of its threads.
            Task::Clip(task) => (drawn(task.cores, 8), task.cores as u64),
            _ => (0, 1),
        };
        let writes = match task {
            Task::Check | Task::Inspect(_) | Task::Measure(_) | Task::Verify(_) => 0,
            // To a pipe.
            Task::Picture(_) | Task::Animation(_) => 0,
            Task::Transcode(_) => bytes.saturating_mul(16).saturating_add(1 << 30),
            // An encrypted package lies behind what it is made of.
            Task::Merge(task) | Task::Prove(task) if task.key.is_some() => {
                bytes.saturating_mul(4).saturating_add(2 << 30)
            }
            Task::Merge(_) | Task::Prove(_) | Task::Clip(_) => {
                bytes.saturating_mul(2).saturating_add(1 << 30)
            }
        };
        let stacks = STACK * (8 + 4 * cores);
        let memory = AT_LEAST.max(BASE.saturating_add(stacks).saturating_add(pixels.saturating_mul(PIXEL)));
        Self {
            memory,
            addresses: memory.saturating_mul(2).saturating_add(THREAD.saturating_mul(32 + 8 * cores)),
            cpu_seconds: match task {
                // The time limit covers a slow store. CPU time does not depend on the store.
                Task::Inspect(_) => LOOKING + bytes / LOOKED_AT,
                _ => time.as_secs().saturating_add(1).saturating_mul(cores + 2),
            },
            file_bytes: writes,
            descriptors: 64,
            threads: 64 + 8 * cores,
        }
    }
}

/// Returns how many pixels a decoder of so many cores and a graph hold, of pictures as large as those of 8K: their size is known only
/// once the source is open. `drawn` of them are converted and coded.
fn drawn(cores: usize, drawn: u64) -> u64 {
    area(7680, 4320).saturating_mul(DECODED + cores as u64 + 4 * drawn)
}

/// Returns how many decoded pictures filters hold for a rendition.
fn filtered(settings: &VideoSettings) -> u64 {
    settings.filters.as_ref().map_or(0, temporal::held_pictures) as u64
}

/// Returns how many pixels the texts have that are drawn for a rendition, of subtitles at the bottom and at the top.
fn written(settings: &VideoSettings) -> u64 {
    let texts = |filters: &VideoFilters| filters.texts.len() + 2 * usize::from(filters.subtitles.is_some());
    let count = settings.filters.as_ref().map_or(0, texts) as u64;
    area(settings.width, settings.height).saturating_mul(count)
}

/// The number of pixels of a picture; 0 if there is none.
fn picture_area(shape: Option<&PictureShape>) -> u64 {
    shape.map_or(0, |shape| area(shape.width, shape.height))
}

/// The number of pixels of a picture of this width and height.
fn area(width: i32, height: i32) -> u64 {
    u64::from(width.unsigned_abs()).saturating_mul(u64::from(height.unsigned_abs()))
}

/// How a media process seals itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// The layers to apply.
    pub layers: Vec<Layer>,
    /// The layers without which the process must exit.
    pub needed: Vec<Layer>,
    /// The number of descriptors of the task, which begin at [`FIRST_FD`](crate::FIRST_FD).
    pub given: u32,
    /// The resources that the task may use.
    pub allowed: ResourceLimits,
}

impl Seal {
    /// Returns the seal of a process with `given` descriptors. If it has a cgroup, one more descriptor follows them: the file by
    /// which it moves itself there.
    #[must_use]
    pub fn new(sandbox: Sandbox, given: usize, has_cgroup: bool, allowed: ResourceLimits) -> Self {
        let is_possible = |layer: &Layer| *layer != Layer::Cgroup || has_cgroup;
        let layers: Vec<Layer> = sandbox.layers().iter().copied().filter(is_possible).collect();
        let needed = Layer::ALL.into_iter().filter(|layer| sandbox.needs(*layer)).collect();
        Self { layers, needed, given: u32::try_from(given).unwrap_or(u32::MAX), allowed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::InspectTask;

    #[test]
    fn the_resources_of_a_task_follow_from_it_and_do_not_overflow() {
        let hour = Duration::from_secs(3600);
        let check = ResourceLimits::for_task(&Task::Check, hour, 0);
        assert_eq!((check.memory, check.file_bytes), (AT_LEAST, 0));
        let inspect = Task::Inspect(InspectTask { segment_seconds: None });
        assert_eq!(ResourceLimits::for_task(&inspect, Duration::MAX, u64::MAX).memory, AT_LEAST);
    }
}
