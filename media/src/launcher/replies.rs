//! The replies of a media process, which it writes to stdout as lines of JSON.

use std::time::Duration;

use futures_util::StreamExt as _;
use millrace_formats::{Codec, TABLES, codec::VideoCodec};
use millrace_schemas::VideoSettings;
use tokio::{
    process::ChildStdout,
    time::{Instant, MissedTickBehavior, sleep_until},
};
use tokio_util::codec::{AnyDelimiterCodec, AnyDelimiterCodecError, FramedRead};

use super::memory::resident;
use crate::{
    protocol::{Reply, Task},
    sandbox::Layer,
    seal::{ResourceLimits, Seal},
};

/// For how long a media process may be silent that encodes no pictures, or cheap ones. A process that hangs, e.g. on a hostile file, is
/// ended within a minute.
///
/// A process reports each packet and each picture, and waits for storage every few seconds. The longest silence of one that works
/// is one picture of 8192x8192, decoded and encoded at 2 million pixels a second, which is the slowest machine that limits
/// allow for: 34 seconds.
const SILENCE: Duration = Duration::from_secs(50);

/// Pixels a second that the slowest machine encodes, of a codec whose effort is 1.
const PIXELS: f64 = 2_000_000.0;

/// Returns for how long a media process may be silent in a task: as long as the slowest machine takes to encode one of its pictures, by
/// the effort of the codec.
pub(super) fn longest_silence(task: &Task) -> Duration {
    let Task::Transcode(task) = task else { return SILENCE };
    let picture = |video: &VideoSettings| {
        let codec = TABLES.codec(&video.codec).ok().and_then(<dyn Codec>::video);
        let area = f64::from(video.width.max(0)) * f64::from(video.height.max(0));
        Duration::try_from_secs_f64(area / PIXELS * codec.map_or(1.0, VideoCodec::effort))
    };
    let pictures = task.renditions.iter().filter_map(|rendition| picture(rendition.video.as_ref()?).ok());
    pictures.fold(SILENCE, Duration::max)
}

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
    /// That of its silence.
    Silence,
    /// The memory of its task.
    Memory,
    /// [`LONGEST_REPLY`].
    ReplyLength,
}

/// Reads the replies of the process `started` until its final reply, its end, or the first limit that it exceeds: of all its time, and
/// of its silence. Passes
/// [`Reply::Progress`] and [`Reply::Made`] on to `on_progress`.
pub(super) async fn read_replies(
    stdout: ChildStdout,
    started: u32,
    (limit, silence): (Duration, Duration),
    seal: &Seal,
    on_progress: &mut (impl FnMut(Reply) + Send),
) -> Replies {
    let mut replies = Replies::default();
    let deadline = Instant::now() + limit;
    let mut silence_ends = Instant::now() + silence;
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
                silence_ends = Instant::now() + silence;
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

#[cfg(test)]
mod tests {
    use millrace_schemas::{Picture, Ratio, Rendition, TrackKind};

    use super::*;
    use crate::protocol::TranscodeTask;

    fn silence(codec: &str, size: (i32, i32)) -> Duration {
        let picture = Picture::plain(size, Ratio { num: 25, den: 1 }, Ratio { num: 1, den: 1000 });
        let video = Some(VideoSettings::of(codec, &picture));
        longest_silence(&Task::Transcode(Box::new(TranscodeTask {
            stream: 0,
            kind: TrackKind::Video,
            ranges: Vec::new(),
            seeks: Vec::new(),
            planned: Vec::new(),
            jumps: Vec::new(),
            longest_gap: 0,
            last_time: 0,
            also: Vec::new(),
            shape: None,
            states: Vec::new(),
            trim: None,
            renditions: vec![Rendition { id: String::new(), video, audio: None, side: None }],
            assets: Vec::new(),
            cores: 1,
        })))
    }

    #[test]
    fn a_process_may_be_silent_for_as_long_as_one_picture_of_its_codec_takes() {
        assert_eq!(longest_silence(&Task::Check), SILENCE);
        assert_eq!((silence("h264", (8192, 8192)), silence("hevc", (1920, 1080))), (SILENCE, SILENCE));
        for codec in ["hevc", "vp9", "av1"] {
            assert!(silence(codec, (8192, 8192)) >= Duration::from_secs(600), "{codec}");
        }
        assert_eq!(silence("h264", (-1, i32::MAX)), SILENCE);
    }
}
