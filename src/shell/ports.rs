//! The ports of the processors: bytes through `storage`, media through children.

use std::{fs::File, io, os::fd::OwnedFd, sync::Arc, time::Duration};

use async_trait::async_trait;
use millrace_engine::Ended;
use millrace_media::{
    AudioTrackFacts, ChildError, InspectTask, Inspected, Launcher, MergeTask, Reply, Task, TaskRequest,
    UncleanSegments, packets, pipe,
};
use millrace_schemas::{
    Encoders, Fingerprint, Merge, OutputFacts, OutputPlan, Rendition, Segment, SourceRef, TrackSum,
};
use millrace_storage::{self as storage, Fed, Opened, StorageError, Stores, Work};
use millrace_topology::ports::{
    AudioSource, Controls, Joined, Keyframe, Media, PortError, SideSource, SourceFacts, Storage, Stored,
    UncleanRun, VideoSource,
};

use super::{
    compute::{self, compute},
    convoy::Convoys,
    limits,
};

/// How often a child that died is started again, before its media is held to blame.
const DEATHS: u32 = 3;

/// The ports.
pub(super) struct Ports {
    pub(super) launcher: Launcher,
    pub(super) encoders: Encoders,
    pub(super) stores: Stores,
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

impl Ports {
    /// Runs a task in a child; one that dies is started again a few times, since what killed it may not be its media.
    async fn child(
        &self,
        name: &str,
        ask: TaskRequest<'_>,
        descriptors: impl Fn() -> Result<Vec<OwnedFd>, PortError>,
    ) -> Result<Reply, PortError> {
        let mut deaths = 0;
        loop {
            match self.launcher.run(ask, descriptors()?, drop).await {
                Ok(reply) => return Ok(reply),
                Err(error) => again(name, error, &mut deaths).await?,
            }
        }
    }

    async fn inspected(
        &self,
        source: &SourceRef,
        file: &Opened,
        task: InspectTask,
    ) -> Result<Inspected, PortError> {
        let name = &name(&source.url);
        let task = Task::Inspect(task);
        let ask = TaskRequest { task: &task, limit: limits::inspect(source.bytes), bytes: source.bytes };
        let feeds = Feeds::default();
        let descriptors = || Ok(vec![feeds.descriptor(file)?]);
        match feeds.judge(self.child(name, ask, descriptors).await)? {
            Reply::Inspected(found) => {
                found.bounded(source.bytes).map_err(|wrong| PortError::Refused(format!("{name}: {wrong}")))
            }
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
        // It would be late, too large, or do what is forbidden again.
        ChildError::Late { .. } | ChildError::Large { .. } | ChildError::Forbidden { .. } => {
            Err(PortError::Refused(format!("{name}: {error}")))
        }
        ChildError::Died { .. } if *deaths + 1 < DEATHS => {
            *deaths += 1;
            tokio::time::sleep(Duration::from_millis(100 << *deaths)).await;
            Ok(())
        }
        ChildError::Died { .. } => Err(PortError::Refused(format!("{name}: {error}, {DEATHS} times"))),
        ChildError::Unreadable { .. } => Err(PortError::Refused(format!("{name}: {error}"))),
        ChildError::Start(_) => Err(PortError::Transient(error.to_string())),
    }
}

/// What media processes were fed over sockets: where a store gave no bytes, that is the reason, whatever they say of it.
#[derive(Default)]
pub(super) struct Feeds(std::sync::Mutex<Vec<Fed>>);

impl Feeds {
    /// A descriptor of a source for one media process.
    pub(super) fn descriptor(&self, source: &Opened) -> Result<OwnedFd, PortError> {
        let (descriptor, fed) = source.descriptor().map_err(|e| PortError::Transient(e.to_string()))?;
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(fed);
        Ok(descriptor)
    }

    /// Why a store gave no bytes, if that was so.
    pub(super) fn failure(&self) -> Option<PortError> {
        let feeds = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        feeds.iter().find_map(Fed::failure).map(port)
    }

    fn judge<T>(&self, result: Result<T, PortError>) -> Result<T, PortError> {
        match (result, self.failure()) {
            (Err(_), Some(reason)) => Err(reason),
            (result, _) => result,
        }
    }
}

/// The source's name, as a person knows it.
pub(super) fn name(url: &str) -> String {
    storage::shown(url)
}

/// The facts of a work object that is whole; one that is not is removed, and made again.
pub(super) async fn facts(
    work: &Work,
    place: &str,
    rendition: &str,
    index: i32,
) -> Result<Option<Stored>, StorageError> {
    let Some(tail) = work.tail(place, rendition, index).await? else { return Ok(None) };
    let whole = packets::read_trailer(tail.size, |buffer, at| tail.read_exact_at(buffer, at));
    if whole.is_err() {
        work.discard(place, rendition, index).await;
    }
    Ok(whole.ok())
}

#[async_trait]
impl Media for Ports {
    fn encoders(&self) -> Encoders {
        self.encoders.clone()
    }

    async fn inspect(&self, source: &SourceRef, segment_seconds: f64) -> Result<SourceFacts, PortError> {
        let file = self.stores.open(source).await.map_err(port)?;
        let task = InspectTask { segment_seconds: Some(segment_seconds) };
        let found = self.inspected(source, &file, task).await?;
        tracing::info!(source = source.url, bytes_read = found.bytes_read, "inspected");
        Ok(SourceFacts {
            metadata: found.metadata,
            chapters: found.chapters,
            timecode: found.timecode,
            jumps: found.jumps,
            warnings: found.warnings,
            left_out: found.left_out,
            video: found.video.map(|video| VideoSource {
                stream: video.stream,
                settings: video.settings,
                first: video.first,
                end: video.end,
                keyframes: video.keyframes.iter().map(|k| Keyframe { pts: k.pts, seek: k.seek }).collect(),
                trusted: video.trusted,
                longest_gap: video.longest_gap,
                last_time: video.last_time,
                also: video.also,
                shape: video.shape,
                states: video.states,
            }),
            sounds: found.sounds.into_iter().map(sound).collect(),
            sides: found
                .sides
                .into_iter()
                .map(|side| SideSource { stream: side.stream, codec: side.codec, tags: side.tags })
                .collect(),
        })
    }

    async fn compute(&self, work: Box<dyn FnOnce() + Send>) -> Result<(), PortError> {
        compute(compute::LONGEST, work).await
    }

    async fn transcode(&self, segment: &Segment, renditions: &[Rendition]) -> Result<Vec<Stored>, PortError> {
        self.convoys.transcode(segment, renditions).await
    }

    async fn merge(&self, merge: &Merge) -> Result<Joined, PortError> {
        let marker = self.work.marker(merge.work(), merge.attempt);
        let draft = self.stores.draft_output(&merge.output.url, merge.work(), marker).await.map_err(port)?;
        let task = MergeTask {
            output: merge.output.clone(),
            tracks: merge.tracks.clone(),
            round: merge.round,
            strict: merge.strict,
        };
        let (limit, bytes) = (limits::merge(&task), task.tracks.iter().map(|track| track.bytes).sum());
        let task = Task::Merge(Box::new(task));
        let ask = TaskRequest { task: &task, limit, bytes };
        let descriptors = || {
            let out = draft.descriptor().map_err(port)?;
            out.set_len(0)
                .and_then(|()| io::Seek::rewind(&mut &out))
                .map_err(|e| PortError::Transient(e.to_string()))?;
            let mut all = vec![out.into()];
            for sum in &merge.tracks {
                let (read, write) = pipe().map_err(|error| PortError::Transient(error.to_string()))?;
                let (work, place, sum) = (self.work.clone(), merge.work().to_owned(), sum.clone());
                tokio::spawn(async move { feed(&work, &place, &sum, write).await });
                all.push(read);
            }
            Ok(all)
        };
        let reply = self.child(&name(&merge.output.url), ask, descriptors).await?;
        let facts = match reply {
            Reply::Merged(facts) => facts,
            Reply::Unclean(runs) => return Ok(Joined::Unclean(runs.into_iter().map(unclean).collect())),
            reply => {
                return Err(PortError::Refused(format!("the media process gave another answer: {reply:?}")));
            }
        };
        // GC-1, and a promise to whoever uploaded: an output is of one version of its source.
        self.stores.unchanged(&merge.source).await.map_err(port)?;
        let bytes = draft.size().map_err(port)?;
        let staged = draft.stage().await.map_err(port)?;
        let warnings = facts.warnings;
        let facts = OutputFacts {
            url: merge.output.url.clone(),
            format: merge.output.format.clone(),
            bytes: bytes.cast_signed(),
            duration_seconds: facts.duration_seconds,
            video: facts.video,
            audio: facts.audio,
            more_audio: facts.more_audio,
            text: facts.text,
            chapters: facts.chapters,
        };
        Ok(Joined::Proven { facts: Box::new(facts), token: staged.token().to_owned(), warnings })
    }

    async fn publish(&self, merge: &Merge, token: &str) -> Result<(), PortError> {
        let staged = self.work.staged(merge.work(), token, &merge.output.url).await.map_err(port)?;
        if staged.is_published().await.map_err(port)? {
            return Ok(());
        }
        self.may_replace(&merge.output).await?;
        self.stores.unchanged(&merge.source).await.map_err(port)?;
        staged.publish().await.map_err(port)
    }

    async fn withdraw(&self, merge: &Merge) -> Result<(), PortError> {
        match self.work.staged(merge.work(), &merge.token, &merge.output.url).await {
            Ok(staged) => staged.withdraw().await.map_err(port),
            // Gone with all of its execution.
            Err(StorageError::Unstaged { .. }) => Ok(()),
            Err(error) => Err(port(error)),
        }
    }

    async fn comment(&self, url: &str) -> Result<Option<String>, PortError> {
        let Ok((source, file)) = self.stores.open_output(url).await else { return Ok(None) };
        match self.inspected(&source, &file, InspectTask { segment_seconds: None }).await {
            Ok(found) => Ok(comment(&found)),
            // No media file that can be read.
            Err(PortError::Refused(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn unclean(run: UncleanSegments) -> UncleanRun {
    let UncleanSegments { rendition, replaces, start, end, from } = run;
    UncleanRun { rendition, replaces, start, end, seeks: from.into_iter().collect() }
}

fn sound(facts: AudioTrackFacts) -> AudioSource {
    AudioSource {
        stream: facts.stream,
        sample_rate: facts.settings.sample_rate,
        channels: facts.settings.channels,
        layout: facts.settings.layout,
        seconds: facts.seconds,
        also: facts.also,
        samples: facts.samples,
        first: facts.first,
        tags: facts.tags,
    }
}

fn comment(found: &Inspected) -> Option<String> {
    let of_it = found.metadata.iter().find(|(key, _)| key.eq_ignore_ascii_case("comment"));
    of_it.map(|(_, value)| value.clone())
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
async fn feed(work: &Work, place: &str, sum: &TrackSum, into: File) {
    for index in sum.plan.indices() {
        if let Err(error) = work.stream(place, &sum.plan.rendition, index, &into).await {
            // A child that has seen enough closes its end, too.
            return tracing::warn!(place, index, %error, "a work object was not read to its end");
        }
    }
}

#[async_trait]
impl Storage for Ports {
    async fn pin(&self, url: &str) -> Result<SourceRef, PortError> {
        self.stores.pin(url).await.map_err(port)
    }

    async fn made(&self, work: &str, rendition: &str, index: i32) -> Result<Option<Stored>, PortError> {
        facts(&self.work, work, rendition, index).await.map_err(port)
    }

    async fn size(&self, url: &str) -> Result<Option<i64>, PortError> {
        Ok(self.stores.size(url).await.map_err(port)?.map(u64::cast_signed))
    }

    async fn writable(&self, url: &str) -> Result<(), PortError> {
        self.stores.writable(url).await.map_err(port)
    }

    async fn works(&self) -> Result<Vec<(String, i64)>, PortError> {
        self.work.works().await.map_err(port)
    }

    async fn remove_work(&self, place: &str) -> Result<bool, PortError> {
        self.work.remove(place).await.map_err(port)
    }

    async fn remove_staged(&self, place: &str, attempt: i32) -> Result<bool, PortError> {
        self.work.remove_staged(place, attempt).await.map_err(port)
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
