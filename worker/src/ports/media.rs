//! The port to media: inspection, transcoding, merging and publication.

use std::{fs::File, io, os::fd::OwnedFd};

use async_trait::async_trait;
use millrace_formats::picture::format_of_name;
use millrace_media::{MergeTask, Merged, Part, Reply, Task, TaskRequest, UncleanSegments, pipe};
use millrace_schemas::{
    AssetKind, AudioSettings, Encoders, Fingerprint, Merge, OutputFacts, OutputPlan, PackagePlan, Rendition,
    Segment, SourceFacts, SourceRef, TrackSum, VideoSettings, masked_url,
};
use millrace_storage::{
    Package, PackagePart, StagedWrite, StorageError, WorkStore, display_url, is_manifest,
};
use millrace_topology::{
    packages::folder,
    ports::{Joined, Media, PortError, Storage as _, Stored, UncleanRun},
};

use super::Ports;
use crate::{
    assets::check_asset,
    children::PinnedSource,
    compute::{self, compute},
    error::{port_error, transient, unexpected_reply},
    limits,
    sockets::SourceSockets,
};

#[async_trait]
impl Media for Ports {
    fn encoders(&self) -> Encoders {
        self.encoders.clone()
    }

    async fn inspect(&self, source: &SourceRef, segment_seconds: f64) -> Result<SourceFacts, PortError> {
        let opened = self.stores.open(source).await.map_err(port_error)?;
        let pinned = PinnedSource { source: source.clone(), opened };
        let found = self.children.inspect(&pinned, Some(segment_seconds)).await?;
        tracing::info!(source = masked_url(&source.url), bytes_read = found.bytes_read, "inspected");
        Ok(found.facts)
    }

    async fn measure(&self, asset: &SourceRef, kind: AssetKind) -> Result<(i32, i32), PortError> {
        check_asset(asset, kind)?;
        let opened = self.stores.open(asset).await.map_err(port_error)?;
        let pinned = PinnedSource { source: asset.clone(), opened };
        match self
            .children
            .run_on_sources(&Task::Measure(kind), &[&pinned], limits::inspect(asset.bytes))
            .await?
        {
            Reply::Measured { width, height } => Ok((width, height)),
            reply => Err(unexpected_reply(&reply)),
        }
    }

    async fn compute(&self, work: Box<dyn FnOnce() + Send>) -> Result<(), PortError> {
        compute(compute::LONGEST, work).await
    }

    async fn transcode(&self, segment: &Segment, renditions: &[Rendition]) -> Result<Vec<Stored>, PortError> {
        self.batches.transcode(segment, renditions).await
    }

    async fn merge(&self, merge: &Merge) -> Result<Joined, PortError> {
        let protection = merge.output.package.as_ref().and_then(|package| package.protection.as_ref());
        let key = match protection {
            Some(protection) => Some(self.keys.find(&self.stores, protection).await?),
            None => None,
        };
        let marker = self.work.marker(merge.work(), merge.attempt);
        let mut output = merge.output.clone();
        if let Some(plan) = &mut output.package {
            plan.folder = folder(&plan.folder, marker.token());
        }
        let draft = self.stores.begin_output(&output.url, marker).await.map_err(port_error)?;
        let task = MergeTask {
            output: output.clone(),
            tracks: merge.tracks.clone(),
            round: merge.round,
            strict: merge.strict,
            source_bytes: if merge.tracks.iter().any(is_copy) { merge.source.bytes } else { 0 },
            key,
        };
        let source = if task.reads_source() {
            Some(self.stores.open(&merge.source).await.map_err(port_error)?)
        } else {
            None
        };
        let (limit, bytes) = (limits::merge(&task), task.bytes());
        let task = Task::Merge(Box::new(task));
        let ask = TaskRequest { task: &task, limit, bytes };
        let sockets = SourceSockets::default();
        let descriptors = || {
            let mut all = merge_descriptors(&draft, &self.work, merge)?;
            if let Some(source) = &source {
                all.push(sockets.open(source)?);
            }
            Ok(all)
        };
        let reply = self.children.run(&display_url(&merge.output.url), ask, descriptors).await;
        // If a store could not be read, that is why the media process failed.
        let reply = reply.map_err(|error| sockets.failure().unwrap_or(error))?;
        let facts = match reply {
            Reply::Merged(facts) => facts,
            Reply::Again { segments, passes } => {
                return Ok(Joined::Again { runs: segments.into_iter().map(unclean_run).collect(), passes });
            }
            reply => return Err(unexpected_reply(&reply)),
        };
        // An output is made of one version of its source: no segment may be of a later one.
        self.stores.check_unchanged(&merge.source).await.map_err(port_error)?;
        // Of a package, what was written has more than its objects: an encrypted one, also what it was made of.
        let bytes = match &output.package {
            Some(_) => facts.parts.iter().map(|part| part.bytes).sum(),
            None => draft.size().map_err(port_error)?,
        };
        let staged = match &output.package {
            Some(plan) => draft.stage_package(&package(plan, &facts.parts)).await,
            None => draft.stage().await,
        };
        let staged = staged.map_err(port_error)?;
        let warnings = facts.warnings.clone();
        let facts = Box::new(output_facts(&merge.output, bytes, *facts));
        Ok(Joined::Proven { facts, token: staged.token().to_owned(), warnings })
    }

    async fn publish(&self, merge: &Merge, token: &str) -> Result<(), PortError> {
        let staged = self.work.staged(merge.work(), token, &merge.output.url).await.map_err(port_error)?;
        if staged.is_published().await.map_err(port_error)? {
            // What it replaced may still be there.
            return staged.publish().await.map_err(port_error);
        }
        self.check_replaceable(&merge.output).await?;
        self.stores.check_unchanged(&merge.source).await.map_err(port_error)?;
        staged.publish().await.map_err(port_error)
    }

    async fn withdraw(&self, merge: &Merge) -> Result<(), PortError> {
        match self.work.staged(merge.work(), &merge.token, &merge.output.url).await {
            Ok(staged) => staged.withdraw().await.map_err(port_error),
            // Removed already, with everything else of its execution.
            Err(StorageError::Unstaged { .. }) => Ok(()),
            Err(error) => Err(port_error(error)),
        }
    }

    async fn comment(&self, url: &str) -> Result<Option<String>, PortError> {
        if is_manifest(url) {
            return self.mark_of_package(url).await;
        }
        if format_of_name(url, true).or_else(|_| format_of_name(url, false)).is_ok() {
            return Ok(self.mark_at_end(url).await?.map(|mark| mark.mark()));
        }
        let Ok((source, opened)) = self.stores.open_output(url).await else { return Ok(None) };
        match self.children.inspect(&PinnedSource { source, opened }, None).await {
            Ok(found) => Ok(found.facts.comment().map(str::to_owned)),
            // Not a media file that can be read.
            Err(PortError::Refused(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Ports {
    /// Returns the mark in the manifest of a package. Of one that is not whole it tells the source alone, so that it is made again.
    async fn mark_of_package(&self, url: &str) -> Result<Option<String>, PortError> {
        let is_whole = self.stores.package_size(url).await.map_err(port_error)?.is_some();
        let Some(mark) = self.mark_at_end(url).await? else { return Ok(None) };
        let mark = if is_whole { mark } else { Fingerprint { content: "incomplete".into(), ..mark } };
        Ok(Some(mark.mark()))
    }

    /// Returns the mark at the end of a manifest, or of a file of pictures.
    async fn mark_at_end(&self, url: &str) -> Result<Option<Fingerprint>, PortError> {
        let end = self.stores.end_of_output(url, MARKED_END).await.map_err(port_error)?;
        let text = end.as_deref().map(String::from_utf8_lossy);
        Ok(text.and_then(|text| text.lines().rev().find_map(Fingerprint::find)))
    }

    /// Checks again, once the output is ready, that nothing of another source has appeared at its URL since the plan was made.
    async fn check_replaceable(&self, output: &OutputPlan) -> Result<(), PortError> {
        if output.overwrite || self.size(&output.url).await?.is_none() {
            return Ok(());
        }
        let existing = self.comment(&output.url).await?.as_deref().and_then(Fingerprint::read);
        let planned = Fingerprint::read(&output.mark);
        if existing.is_some() && existing.map(|mark| mark.source) == planned.map(|mark| mark.source) {
            return Ok(());
        }
        Err(port_error(StorageError::Occupied { path: display_url(&output.url) }))
    }
}

/// How many bytes at the end of a manifest are read for its mark.
const MARKED_END: u64 = 64 << 10;

/// Returns `true` for a track whose packets a merge copies from the source.
fn is_copy(track: &TrackSum) -> bool {
    let video = track.plan.video.as_ref().is_some_and(VideoSettings::is_copy);
    video || track.plan.audio.as_ref().is_some_and(AudioSettings::is_copy)
}

/// Opens what a merge task names, but for the source: the output, emptied, then a pipe for each track, into which its work objects are
/// streamed.
fn merge_descriptors(
    draft: &StagedWrite,
    work: &WorkStore,
    merge: &Merge,
) -> Result<Vec<OwnedFd>, PortError> {
    let output = draft.descriptor().map_err(port_error)?;
    output.set_len(0).and_then(|()| io::Seek::rewind(&mut &output)).map_err(transient)?;
    let mut descriptors = vec![output.into()];
    for track in &merge.tracks {
        let (read, write) = pipe().map_err(transient)?;
        let (work, prefix, track) = (work.clone(), merge.work().to_owned(), track.clone());
        tokio::spawn(async move { stream_track(&work, &prefix, &track, write).await });
        descriptors.push(read);
    }
    Ok(descriptors)
}

/// Streams a track's work objects into a pipe, in order. A missing one ends the stream early; the merge finds that by counting.
async fn stream_track(work: &WorkStore, prefix: &str, track: &TrackSum, pipe: File) {
    for index in track.plan.indices() {
        if let Err(error) = work.stream(prefix, &track.plan.rendition, index, &pipe).await {
            // Also if the media process has failed, and closed its end.
            return tracing::warn!(prefix, index, %error, "a work object was not read to its end");
        }
    }
}

/// Returns the package that a media process says it wrote. Whether it can be is held where it is staged.
fn package(plan: &PackagePlan, parts: &[Part]) -> Package {
    let part = |part: &Part| PackagePart { name: part.name.clone(), offset: part.offset, bytes: part.bytes };
    Package { folder: plan.folder.clone(), parts: parts.iter().map(part).collect() }
}

fn output_facts(output: &OutputPlan, bytes: u64, facts: Merged) -> OutputFacts {
    OutputFacts {
        url: output.url.clone(),
        format: output.format.clone(),
        bytes: bytes.cast_signed(),
        duration_seconds: facts.duration_seconds,
        video: facts.video,
        audio: facts.audio,
        more_audio: facts.more_audio,
        text: facts.text,
        chapters: facts.chapters,
        more_video: facts.more_video,
        objects: i32::try_from(facts.parts.len()).unwrap_or(i32::MAX),
    }
}

fn unclean_run(run: UncleanSegments) -> UncleanRun {
    let UncleanSegments { rendition, replaces, start, end, seeks } = run;
    UncleanRun { rendition, replaces, start, end, seeks }
}
