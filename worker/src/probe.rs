//! Inspection and verification outside of any execution: for `millrace probe` and `verify`, and for probes over HTTP.

mod package;

use std::{collections::BTreeMap, sync::Arc, thread, time::Duration};

use millrace_media::{ComparedStreams, Inspected, Launcher, Reply, Task, Verified, VerifyTask};
use millrace_schemas::{AudioTrack, SourceRef, Trim, VideoSettings, VideoTrack, masked_url};
use millrace_storage::Stores;
use millrace_topology::ports::PortError;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

pub use self::package::{PackageContents, PackageTrack};
use crate::{
    children::{Children, PinnedSource},
    error::{WorkerError, port_error, unexpected_reply},
    limits,
    sandbox::{MediaProcessSettings, launcher},
};

/// Longer than any source, in seconds. An inspection that asks for segments also finds timestamp discontinuities; a verification
/// needs those, and no keyframes.
const ONE_SEGMENT_SECONDS: f64 = 86_400.0;

/// Inspects and verifies media files. At most two media processes per core run at once; further calls wait.
pub struct Probes {
    children: Children,
    stores: Stores,
    slots: Arc<Semaphore>,
}

impl Probes {
    /// Returns probes of what `stores` reach.
    ///
    /// # Errors
    /// If the path of this executable, which media processes run, is not known.
    pub fn new(stores: Stores, settings: MediaProcessSettings) -> Result<Self, WorkerError> {
        let launcher: Launcher = launcher(settings)?;
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Ok(Self { children: Children::new(launcher), stores, slots: Arc::new(Semaphore::new(2 * cores)) })
    }

    /// Reads a source's headers.
    ///
    /// # Errors
    /// Refused if the URL can't be reached, or the file is no media file.
    pub async fn inspect(&self, url: &str) -> Result<(SourceRef, Inspected), PortError> {
        let pinned = self.open(url).await?;
        let found = self.inspect_pinned(&pinned, None).await?;
        Ok((pinned.source, found))
    }

    /// Reads a source's headers and its index, as for an execution in segments of this length.
    ///
    /// # Errors
    /// As [`Self::inspect`].
    pub async fn survey(&self, url: &str, segment_seconds: f64) -> Result<(SourceRef, Inspected), PortError> {
        let pinned = self.open(url).await?;
        let found = self.inspect_pinned(&pinned, Some(segment_seconds)).await?;
        Ok((pinned.source, found))
    }

    /// Reads a source's headers, and returns them as [`probe_json`].
    ///
    /// # Errors
    /// As [`Self::inspect`].
    pub async fn probe(&self, url: &str) -> Result<Value, PortError> {
        let (source, found) = self.inspect(url).await?;
        Ok(probe_json(&source, &found))
    }

    /// Decodes a source and an output, and measures how they differ; picture by picture or second by second if `pictures` or `sound`
    /// is set. `expected` returns what encoder settings the source's pictures must have become; `made` says of what the output was made.
    ///
    /// # Errors
    /// Refused if one of them can't be reached, or is no media file.
    pub async fn verify(
        &self,
        source: &str,
        output: &str,
        (pictures, sound): (bool, bool),
        made: &MadeOf,
        expected: impl Fn(&VideoTrack) -> Option<VideoSettings>,
    ) -> Result<Comparison, PortError> {
        let (a, b) = (self.open(source).await?, self.open(output).await?);
        let source = self.inspect_pinned(&a, Some(ONE_SEGMENT_SECONDS)).await?;
        let output = self.inspect_pinned(&b, Some(ONE_SEGMENT_SECONDS)).await?;
        let side = |found: &Inspected, other: &Inspected| ComparedStreams {
            video: found.facts.video.as_ref().map_or_else(Vec::new, VideoTrack::streams),
            shape: found.facts.video.as_ref().and_then(|video| video.shape.clone()),
            sounds: compared_tracks(&found.facts.audio, other.facts.audio.len()),
            jumps: found.facts.discontinuities.clone(),
        };
        let video = source.facts.video.as_ref().and_then(expected);
        let mut of_source = side(&source, &output);
        let streams = |stream: &i32| {
            let track = source.facts.audio.iter().find(|track| track.stream == *stream);
            track.map_or_else(Vec::new, AudioTrack::streams)
        };
        let mut of_output = side(&output, &source);
        if let Some(audio) = &made.audio {
            of_source.sounds = audio.iter().map(streams).collect();
            of_output.sounds = output.facts.audio.iter().map(AudioTrack::streams).collect();
        }
        let task = VerifyTask {
            source: of_source,
            trim: made.trim,
            output: of_output,
            video: video.clone(),
            pictures,
            sound,
        };
        let limit = limits::verify(&task, a.source.bytes + b.source.bytes, source.duration_seconds);
        match self.run(&Task::Verify(Box::new(task)), &[&a, &b], limit).await? {
            Reply::Verified(measured) => Ok(Comparison { source, output, video, measured: *measured }),
            other => Err(unexpected_reply(&other)),
        }
    }

    async fn open(&self, url: &str) -> Result<PinnedSource, PortError> {
        let source = self.stores.pin(url).await.map_err(port_error)?;
        let opened = self.stores.open(&source).await.map_err(port_error)?;
        Ok(PinnedSource { source, opened })
    }

    async fn inspect_pinned(
        &self,
        pinned: &PinnedSource,
        segment_seconds: Option<f64>,
    ) -> Result<Inspected, PortError> {
        // The semaphore is never closed.
        let _slot = self.slots.acquire().await;
        self.children.inspect(pinned, segment_seconds).await
    }

    async fn run(&self, task: &Task, sources: &[&PinnedSource], limit: Duration) -> Result<Reply, PortError> {
        let _slot = self.slots.acquire().await;
        self.children.run_on_sources(task, sources, limit).await
    }
}

/// Of what of a source an output was made.
#[derive(Debug, Clone, Default)]
pub struct MadeOf {
    /// The part of the source; `None` for all of it.
    pub trim: Option<Trim>,
    /// The stream of the source that each audio track of the output was made of; `None` if each track is there once, in order.
    pub audio: Option<Vec<i32>>,
}

/// What a source and an output hold, and how they differ.
pub struct Comparison {
    /// What the source holds.
    pub source: Inspected,
    /// What the output holds.
    pub output: Inspected,
    /// The encoder settings that the source's pictures must have become; `None` without video.
    pub video: Option<VideoSettings>,
    /// What was measured by decoding both.
    pub measured: Verified,
}

/// Returns the streams of the audio tracks to compare: only the default track if the other file has one track, else all.
fn compared_tracks(tracks: &[AudioTrack], other_tracks: usize) -> Vec<Vec<i32>> {
    let default = tracks.iter().find(|track| track.tags.dispositions & 1 != 0).or(tracks.first());
    match other_tracks {
        1 => default.map(AudioTrack::streams).into_iter().collect(),
        _ => tracks.iter().map(AudioTrack::streams).collect(),
    }
}

/// Returns what a source holds, as `millrace probe --json` and `/v1/probe` show it.
#[must_use]
pub fn probe_json(source: &SourceRef, found: &Inspected) -> Value {
    let metadata: BTreeMap<_, _> = found.facts.metadata.iter().cloned().collect();
    json!({
        "source": masked_url(&source.url), "bytes": source.bytes, "container": found.container,
        "duration_seconds": found.duration_seconds, "bit_rate": found.bit_rate, "streams": found.streams,
        "metadata": metadata,
    })
}
