//! The ports of the processors: files through `storage`, media through children.

use std::{fs::File, io, os::fd::OwnedFd, sync::Arc, time::Duration};

use async_trait::async_trait;
use millrace_engine::Ended;
use millrace_media::{ChildError, InspectTask, Inspected, Launcher, MergeTask, Reply, Task, packets, pipe};
use millrace_schemas::{
    Fingerprint, Made, Merge, OutputFacts, OutputPlan, Rendition, Segment, SourceRef, TrackSum,
};
use millrace_storage::{self as storage, StorageError, Work};
use millrace_topology::ports::{
    AudioSource, Controls, Keyframe, Media, PortError, SourceFacts, Storage, VideoSource,
};

use super::convoy::Convoys;

/// How often a child that died is started again, before its media is held to blame.
const DEATHS: u32 = 3;

/// The ports.
pub(super) struct Ports {
    pub(super) launcher: Launcher,
    pub(super) work: Work,
    pub(super) convoys: Arc<Convoys>,
    /// Attempts that have ended, by execution.
    pub(super) ended: Ended,
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err takes")]
pub(super) fn port(error: StorageError) -> PortError {
    if error.is_transient() {
        PortError::Transient(error.to_string())
    } else {
        PortError::Refused(error.to_string())
    }
}

/// Blocking work on files, off the threads that run tasks.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, PortError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(port),
        Err(error) => Err(PortError::Transient(error.to_string())),
    }
}

impl Ports {
    /// Runs a task in a child; one that dies is started again a few times, since what killed it may not be its media.
    async fn child(
        &self,
        name: &str,
        task: &Task,
        descriptors: impl Fn() -> Result<Vec<OwnedFd>, PortError>,
    ) -> Result<Reply, PortError> {
        let mut deaths = 0;
        loop {
            match self.launcher.run(task, descriptors()?, drop).await {
                Ok(reply) => return Ok(reply),
                Err(error) => again(name, error, &mut deaths).await?,
            }
        }
    }

    async fn inspected(&self, name: &str, file: File, task: InspectTask) -> Result<Inspected, PortError> {
        let descriptors = || Ok(vec![copy(&file)?]);
        match self.child(name, &Task::Inspect(task), descriptors).await? {
            Reply::Inspected(found) => Ok(*found),
            other => {
                Err(PortError::Refused(format!("{name}: the media process gave another answer: {other:?}")))
            }
        }
    }
}

/// Waits before a child is started again; an error where that is no use.
pub(super) async fn again(name: &str, error: ChildError, deaths: &mut u32) -> Result<(), PortError> {
    match error {
        ChildError::Failed(reason) => Err(PortError::Refused(format!("{name}: {reason}"))),
        ChildError::Died { .. } if *deaths + 1 < DEATHS => {
            *deaths += 1;
            tokio::time::sleep(Duration::from_millis(100 << *deaths)).await;
            Ok(())
        }
        ChildError::Died { .. } => Err(PortError::Refused(format!("{name}: {error}, {DEATHS} times"))),
        ChildError::Start(_) => Err(PortError::Transient(error.to_string())),
    }
}

pub(super) fn copy(file: &File) -> Result<OwnedFd, PortError> {
    file.try_clone().map(OwnedFd::from).map_err(|error| PortError::Transient(error.to_string()))
}

/// The source's name, as a person knows it.
pub(super) fn name(url: &str) -> String {
    storage::path_of(url).map_or_else(|_| url.to_owned(), |path| path.display().to_string())
}

/// The facts of a work object that is whole; one that is not is removed, and made again.
pub(super) fn facts(
    work: &Work,
    place: &str,
    rendition: &str,
    index: i32,
) -> Result<Option<Made>, StorageError> {
    use std::os::unix::fs::FileExt;
    let Some(file) = work.open(place, rendition, index)? else { return Ok(None) };
    let whole = file
        .metadata()
        .and_then(|metadata| packets::facts(metadata.len(), |buffer, at| file.read_exact_at(buffer, at)));
    if whole.is_err() {
        // It can't be removed only where it can't be written either, which the next write says.
        let _ = std::fs::remove_file(work.path(place, rendition, index));
    }
    Ok(whole.ok())
}

#[async_trait]
impl Media for Ports {
    async fn inspect(&self, source: &SourceRef, segment_seconds: f64) -> Result<SourceFacts, PortError> {
        let asked = source.clone();
        let file = blocking(move || storage::open(&asked)).await?;
        let task = InspectTask { segment_seconds: Some(segment_seconds) };
        let found = self.inspected(&name(&source.url), file, task).await?;
        tracing::info!(source = source.url, bytes_read = found.bytes_read, "inspected");
        Ok(SourceFacts {
            video: found.video.map(|video| VideoSource {
                stream: video.stream,
                settings: video.settings,
                first: video.first,
                end: video.end,
                keyframes: video.keyframes.iter().map(|k| Keyframe { pts: k.pts, seek: k.seek }).collect(),
                trusted: video.trusted,
            }),
            audio: found.audio.map(|audio| AudioSource {
                stream: audio.stream,
                sample_rate: audio.settings.sample_rate,
                channels: audio.settings.channels,
                samples: audio.samples,
            }),
        })
    }

    async fn transcode(&self, segment: &Segment, renditions: &[Rendition]) -> Result<Vec<Made>, PortError> {
        self.convoys.transcode(segment, renditions).await
    }

    async fn merge(&self, merge: &Merge) -> Result<OutputFacts, PortError> {
        let (url, execution) = (merge.output.url.clone(), merge.execution.clone());
        let (draft, path) = blocking(move || storage::draft_output(&url, &execution)).await?;
        let task = Task::Merge(MergeTask { output: merge.output.clone(), tracks: merge.tracks.clone() });
        let descriptors = || {
            let out = draft.descriptor().map_err(port)?;
            out.set_len(0)
                .and_then(|()| io::Seek::rewind(&mut &out))
                .map_err(|e| PortError::Transient(e.to_string()))?;
            let mut all = vec![out.into()];
            for sum in &merge.tracks {
                let (read, write) = pipe().map_err(|error| PortError::Transient(error.to_string()))?;
                let (work, place, sum) = (self.work.clone(), merge.work().to_owned(), sum.clone());
                tokio::task::spawn_blocking(move || feed(&work, &place, &sum, write));
                all.push(read);
            }
            Ok(all)
        };
        let reply = self.child(&name(&merge.output.url), &task, descriptors).await?;
        let Reply::Merged(facts) = reply else {
            return Err(PortError::Refused(format!("the media process gave another answer: {reply:?}")));
        };
        self.may_replace(&merge.output).await?;
        let (out, asked) = (merge.output.clone(), merge.source.clone());
        blocking(move || {
            // GC-1, and a promise to whoever uploaded: an output is of one version of its source.
            storage::unchanged(&asked)?;
            let bytes = draft.size()?;
            draft.publish_over(&path)?;
            Ok(OutputFacts {
                url: out.url,
                format: out.format,
                bytes: bytes.cast_signed(),
                duration_seconds: facts.duration_seconds,
                video: facts.video,
                audio: facts.audio,
            })
        })
        .await
    }

    async fn comment(&self, url: &str) -> Result<Option<String>, PortError> {
        let asked = url.to_owned();
        let file = blocking(move || storage::pin(&asked).and_then(|source| storage::open(&source))).await;
        let Ok(file) = file else { return Ok(None) };
        match self.inspected(&name(url), file, InspectTask { segment_seconds: None }).await {
            Ok(found) => {
                let comment = found.metadata.into_iter().find(|(key, _)| key.eq_ignore_ascii_case("comment"));
                Ok(comment.map(|(_, value)| value))
            }
            // No media file that can be read.
            Err(PortError::Refused(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Ports {
    /// Looked at again when the output is ready: something may have been put there since the plan was made.
    async fn may_replace(&self, output: &OutputPlan) -> Result<(), PortError> {
        if output.overwrite || self.size(&output.url).await?.is_none() {
            return Ok(());
        }
        let there = self.comment(&output.url).await?.as_deref().and_then(Fingerprint::read);
        let asked = Fingerprint::read(&output.mark);
        if there.is_some() && there.map(|mark| mark.source) == asked.map(|mark| mark.source) {
            return Ok(());
        }
        Err(port(StorageError::Occupied { path: name(&output.url) }))
    }
}

/// Streams a track's work objects into a pipe, one after the other. One that is missing ends the stream early, which
/// the merge finds out by counting.
fn feed(work: &Work, place: &str, sum: &TrackSum, mut into: File) {
    for index in sum.plan.first_segment..sum.plan.first_segment + sum.plan.segments {
        let object = match work.open(place, &sum.plan.rendition, index) {
            Ok(Some(object)) => object,
            missing => return tracing::error!(place, index, ?missing, "a work object is missing"),
        };
        if let Err(error) = io::copy(&mut &object, &mut into) {
            // A child that has seen enough closes its end.
            return tracing::debug!(place, index, %error, "streaming a work object");
        }
    }
}

#[async_trait]
impl Storage for Ports {
    async fn pin(&self, url: &str) -> Result<SourceRef, PortError> {
        let url = url.to_owned();
        blocking(move || storage::pin(&url)).await
    }

    async fn made(&self, work: &str, rendition: &str, index: i32) -> Result<Option<Made>, PortError> {
        // A look that costs less than handing it to another thread; and segments that are looked for together should be
        // known to be missing together.
        facts(&self.work, work, rendition, index).map_err(port)
    }

    async fn size(&self, url: &str) -> Result<Option<i64>, PortError> {
        let url = url.to_owned();
        blocking(move || {
            let path = storage::path_of(&url)?;
            Ok(path.symlink_metadata().ok().map(|metadata| metadata.len().cast_signed()))
        })
        .await
    }

    async fn writable(&self, url: &str) -> Result<(), PortError> {
        let url = url.to_owned();
        blocking(move || storage::writable(&url)).await
    }

    async fn works(&self) -> Result<Vec<(String, i64)>, PortError> {
        let work = self.work.clone();
        blocking(move || work.works()).await
    }

    async fn remove_work(&self, place: &str) -> Result<bool, PortError> {
        let (work, place) = (self.work.clone(), place.to_owned());
        blocking(move || work.remove(&place)).await
    }
}

#[async_trait]
impl Controls for Ports {
    fn has_ended(&self, execution: &str, attempt: i32) -> bool {
        self.ended.has(execution, attempt)
    }

    async fn ended(&self, execution: &str, attempt: i32) {
        self.ended.until(execution, attempt).await;
    }
}
