//! The replies of a media process, which it writes to stdout as lines of JSON.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::{
    process::ChildStdout,
    time::{Instant, MissedTickBehavior, sleep_until},
};
use tokio_util::codec::{AnyDelimiterCodec, AnyDelimiterCodecError, FramedRead};

use super::memory::resident;
use crate::{
    protocol::Reply,
    sandbox::Layer,
    seal::{ResourceLimits, Seal},
};

/// For how long a media process may be silent. A process that hangs, e.g. on a hostile file, is ended within a minute.
///
/// A process reports each packet and each picture, and waits for storage every few seconds. The longest silence of one that works
/// is one picture of 8192x8192, decoded and encoded at 2 million pixels a second, which is the slowest machine that limits
/// allow for: 34 seconds.
pub(super) const SILENCE: Duration = Duration::from_secs(50);

/// How often the memory of a media process is measured. The kernel limits it, too; this covers what the kernel's limits do not
/// count.
const MEASURE: Duration = Duration::from_millis(100);

/// The longest reply, in bytes: an inspection with 100,000 segments.
pub(super) const LONGEST_REPLY: usize = 16 << 20;

/// What a media process replied, and why reading ended.
#[derive(Default)]
pub(super) struct Replies {
    /// The final reply.
    pub(super) reply: Option<Reply>,
    /// The layers of its sandbox that are in force.
    pub(super) layers: Vec<Layer>,
    /// Why the first reply that can't be parsed can't be.
    pub(super) unreadable: Option<String>,
    /// The limit that the process has exceeded, for which it is to be ended.
    pub(super) exceeded: Option<Exceeded>,
}

/// A limit that a media process has exceeded.
#[derive(Clone, Copy)]
pub(super) enum Exceeded {
    /// The time of its task.
    Time,
    /// [`SILENCE`].
    Silence,
    /// The memory of its task.
    Memory,
    /// [`LONGEST_REPLY`].
    ReplyLength,
}

/// Reads the replies of the process `started` until its final reply, its end, or the first limit that it exceeds. Passes
/// [`Reply::Progress`] and [`Reply::Made`] on to `on_progress`.
pub(super) async fn read_replies(
    stdout: ChildStdout,
    started: u32,
    limit: Duration,
    seal: &Seal,
    on_progress: &mut (impl FnMut(Reply) + Send),
) -> Replies {
    let mut replies = Replies::default();
    let deadline = Instant::now() + limit;
    let mut silence_ends = Instant::now() + SILENCE;
    let mut measurements = tokio::time::interval(MEASURE);
    measurements.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut pid, mut process) = (started, None);
    // Bytes of a line beyond the longest are not kept.
    let mut lines = FramedRead::new(
        stdout,
        AnyDelimiterCodec::new_with_max_length(b"\n".into(), b"".into(), LONGEST_REPLY),
    );
    loop {
        tokio::select! {
            biased;
            () = sleep_until(deadline.min(silence_ends)) => {
                let is_late = Instant::now() >= deadline;
                replies.exceeded = Some(if is_late { Exceeded::Time } else { Exceeded::Silence });
                return replies;
            }
            _ = measurements.tick(), if !seal.layers.is_empty() => {
                if exceeds_memory(pid, &seal.allowed) {
                    replies.exceeded = Some(Exceeded::Memory);
                    return replies;
                }
            }
            line = lines.next() => {
                silence_ends = Instant::now() + SILENCE;
                let line = match line {
                    None | Some(Err(AnyDelimiterCodecError::Io(_))) => return replies,
                    Some(Err(AnyDelimiterCodecError::MaxChunkLengthExceeded)) => {
                        replies.exceeded = Some(Exceeded::ReplyLength);
                        return replies;
                    }
                    Some(Ok(line)) => line,
                };
                match parse_reply(&line) {
                    // Only the first counts. The process that waits sends it, before the process that has the task seals itself.
                    Ok(Reply::Started { pid: real }) => pid = *process.get_or_insert(real),
                    Ok(Reply::Sealed { layers }) => replies.layers = layers,
                    Ok(Reply::Alive) => {}
                    Ok(progress @ (Reply::Progress { .. } | Reply::Made { .. })) => on_progress(progress),
                    // All others are final.
                    Ok(reply) => {
                        replies.reply = Some(reply);
                        return replies;
                    }
                    Err(error) => {
                        if replies.unreadable.is_none() {
                            tracing::warn!(error, "a media process sent a reply that can't be read");
                        }
                        replies.unreadable.get_or_insert(error);
                    }
                }
            }
        }
    }
}

/// Whether a process has more memory of its own than its task may use.
fn exceeds_memory(pid: u32, allowed: &ResourceLimits) -> bool {
    resident(pid).is_some_and(|bytes| bytes > allowed.memory)
}

/// Parses a reply. The error names the field that can't be parsed, and why.
fn parse_reply(line: &[u8]) -> Result<Reply, String> {
    let mut json = serde_json::Deserializer::from_slice(line);
    serde_path_to_error::deserialize(&mut json)
        .map_err(|error| format!("'{}': {}", error.path(), error.inner()))
}
