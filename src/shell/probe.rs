//! Looks at media at once, for `millrace probe` and for programs that ask over HTTP.

use std::{sync::Arc, time::Duration};

use millrace_media::{
    AudioTrackFacts, ComparedStreams, InspectTask, Inspected, Launcher, Reply, Task, TaskRequest, Verified,
    VerifyTask, VideoTrackFacts,
};
use millrace_schemas::{SourceRef, VideoSettings};
use millrace_storage::{Opened, Stores};
use millrace_topology::ports::PortError;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::{
    limits,
    ports::{Feeds, again, name, port},
    sandbox::{MediaProcesses, launcher},
};
use crate::commands::CommandError;

/// Looks at media, a few at a time.
pub(crate) struct Probes {
    launcher: Launcher,
    stores: Stores,
    room: Arc<Semaphore>,
}

impl Probes {
    pub(crate) fn new(stores: Stores, how: MediaProcesses) -> Result<Self, CommandError> {
        let launcher = launcher(how)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self { launcher, stores, room: Arc::new(Semaphore::new(2 * cores)) })
    }

    /// What a source holds.
    pub(crate) async fn inspect(&self, url: &str) -> Result<(SourceRef, Inspected), PortError> {
        let opened = self.open(url).await?;
        let found = self.look(&opened, None).await?;
        Ok((opened.source, found))
    }

    async fn open(&self, url: &str) -> Result<Pinned, PortError> {
        let source = self.stores.pin(url).await.map_err(port)?;
        let opened = self.stores.open(&source).await.map_err(port)?;
        Ok(Pinned { source, opened })
    }

    /// Reads headers; with a segment's length also what an execution would read.
    async fn look(&self, pinned: &Pinned, segment_seconds: Option<f64>) -> Result<Inspected, PortError> {
        let task = Task::Inspect(InspectTask { segment_seconds });
        match self.child(&task, &[pinned], limits::inspect(pinned.source.bytes)).await? {
            Reply::Inspected(found) => found
                .bounded(pinned.source.bytes)
                .map_err(|wrong| PortError::Refused(format!("{}: {wrong}", name(&pinned.source.url)))),
            _ => Err(another_answer()),
        }
    }

    /// Holds an output to its source; `settings` says what the source's pictures are to become.
    pub(crate) async fn verify(
        &self,
        source: &str,
        output: &str,
        (pictures, sound): (bool, bool),
        settings: impl Fn(&VideoSettings) -> VideoSettings,
    ) -> Result<Comparison, PortError> {
        let (a, b) = (self.open(source).await?, self.open(output).await?);
        // One segment: keyframes are of no use here, but where the clock jumps is.
        let source = self.look(&a, Some(86_400.0)).await?;
        let output = self.look(&b, Some(86_400.0)).await?;
        let side = |found: &Inspected, other: &Inspected| ComparedStreams {
            video: found.video.as_ref().map_or_else(Vec::new, VideoTrackFacts::streams),
            shape: found.video.as_ref().and_then(|video| video.shape.clone()),
            sounds: pairs(&found.sounds, other.sounds.len()),
            jumps: found.jumps.clone(),
        };
        let video = source.video.as_ref().map(|video| settings(&video.settings));
        let task = VerifyTask {
            source: side(&source, &output),
            output: side(&output, &source),
            video: video.clone(),
            pictures,
            sound,
        };
        let limit = limits::verify(&task, a.source.bytes + b.source.bytes, source.duration_seconds);
        match self.child(&Task::Verify(Box::new(task)), &[&a, &b], limit).await? {
            Reply::Verified(measured) => Ok(Comparison { source, output, video, measured: *measured }),
            _ => Err(another_answer()),
        }
    }

    async fn child(&self, task: &Task, files: &[&Pinned], limit: Duration) -> Result<Reply, PortError> {
        // The semaphore is never closed.
        let _room = self.room.acquire().await;
        let shown = files.first().map_or(String::new(), |pinned| name(&pinned.source.url));
        let mut deaths = 0;
        loop {
            let feeds = Feeds::default();
            let descriptors =
                files.iter().map(|pinned| feeds.descriptor(&pinned.opened)).collect::<Result<_, _>>()?;
            let bytes = files.iter().map(|pinned| pinned.source.bytes).sum();
            let reply = self.launcher.run(TaskRequest { task, limit, bytes }, descriptors, drop).await;
            match (reply, feeds.failure()) {
                (Ok(reply), _) => return Ok(reply),
                (_, Some(reason)) => return Err(reason),
                (Err(error), None) => again(&shown, error, &mut deaths).await?,
            }
        }
    }

    /// The same as JSON.
    pub(crate) async fn probe(&self, url: &str) -> Result<Value, PortError> {
        let (source, found) = self.inspect(url).await?;
        Ok(as_json(&source, &found))
    }
}

/// A file at one version.
struct Pinned {
    source: SourceRef,
    opened: Opened,
}

/// What a source and an output hold, and what was measured of both.
pub(crate) struct Comparison {
    pub(crate) source: Inspected,
    pub(crate) output: Inspected,
    /// What the source's pictures are to become.
    pub(crate) video: Option<VideoSettings>,
    pub(crate) measured: Verified,
}

/// The sound tracks that are compared with so many others: the default one with one alone, else each with its own.
fn pairs(sounds: &[AudioTrackFacts], others: usize) -> Vec<Vec<i32>> {
    let default = sounds.iter().find(|sound| sound.tags.dispositions & 1 != 0).or(sounds.first());
    match others {
        1 => default.map(AudioTrackFacts::streams).into_iter().collect(),
        _ => sounds.iter().map(AudioTrackFacts::streams).collect(),
    }
}

fn another_answer() -> PortError {
    PortError::Refused("the media process gave another answer".into())
}

/// What a source holds, as programs read it.
pub(crate) fn as_json(source: &SourceRef, found: &Inspected) -> Value {
    let metadata: std::collections::BTreeMap<_, _> = found.metadata.iter().cloned().collect();
    json!({
        "source": source.url, "bytes": source.bytes, "container": found.container,
        "duration_seconds": found.duration_seconds, "bit_rate": found.bit_rate, "streams": found.streams,
        "metadata": metadata,
    })
}
