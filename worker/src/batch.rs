//! Segment batches: neighbouring segments that wait together are transcoded by one media process.
//!
//! One decoder and one encoder run through all of them, with a forced keyframe and a work object for each segment. So no process
//! start, seek and lead-in are paid at every seam.

mod queue;

use std::{
    collections::VecDeque,
    io::Seek as _,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use millrace_engine::Ended as EndedExecutions;
use millrace_media::{ChildError, Launcher, Reply, Task, TaskRequest, TimeRange, TranscodeTask};
use millrace_runtime::{Level, Stop};
use millrace_schemas::{Progress, Rendition, Segment, TrackKind};
use millrace_storage::{StagedWrite, StorageError, Stores, WorkStore, display_url};
use millrace_topology::ports::{PortError, Stored};
use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
};
use tracing::Instrument as _;

use crate::{
    assets::{assets, check_asset},
    children::Restarts,
    error::{port_error, transient},
    limits, metrics,
    slots::{Cores, Slots},
    sockets::SourceSockets,
    stored::read_stored,
};
use queue::{QueuedSegment, SegmentBatch, SegmentQueue};

/// The most segments of a batch: each rendition of a segment takes a descriptor of the media process.
const LONGEST_BATCH: usize = 64;

/// Set by tests to a smaller number of segments per batch. Outputs do not depend on it.
const TEST_BATCH: &str = "MILLRACE_TEST_BATCH";

fn longest_batch(variable: Option<&str>) -> usize {
    variable.and_then(|text| text.parse().ok()).unwrap_or(LONGEST_BATCH).clamp(1, LONGEST_BATCH)
}

/// The work objects of a segment while they are written, one per rendition.
type Drafts = Vec<StagedWrite>;

/// Transcodes segments in batches.
pub(crate) struct SegmentBatches {
    launcher: Launcher,
    stores: Stores,
    work: WorkStore,
    slots: Slots,
    progress: mpsc::Sender<Progress>,
    ended: EndedExecutions,
    stop: Stop,
    /// The most segments per batch.
    longest: usize,
    queue: Mutex<SegmentQueue>,
}

/// Why a batch ended before its last segment.
enum BatchError {
    /// A store failed, or the work is no longer wanted.
    Port(PortError),
    /// The media process failed.
    Child(ChildError),
}

impl From<PortError> for BatchError {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

impl SegmentBatches {
    /// Returns batches that use `jobs` cores and report pictures done to `progress`.
    pub(crate) fn new(
        launcher: Launcher,
        (stores, work): (Stores, WorkStore),
        jobs: usize,
        progress: mpsc::Sender<Progress>,
        ended: EndedExecutions,
        stop: Stop,
    ) -> Arc<Self> {
        Arc::new(Self {
            launcher,
            stores,
            work,
            slots: Slots::new(jobs),
            progress,
            ended,
            stop,
            longest: longest_batch(std::env::var(TEST_BATCH).ok().as_deref()),
            queue: Mutex::default(),
        })
    }

    /// Makes renditions of a segment, in a batch with the neighbours that wait too, and returns the facts of their work objects.
    ///
    /// Dropping the future takes the segment out of the queue, unless its media process has already begun.
    ///
    /// # Errors
    /// `Stopped` if the execution has ended or this process is ending; otherwise the failure of the media process or of a store.
    pub(crate) async fn transcode(
        self: &Arc<Self>,
        segment: &Segment,
        renditions: &[Rendition],
    ) -> Result<Vec<Stored>, PortError> {
        let (result, made) = oneshot::channel();
        let queued = QueuedSegment { segment: segment.clone(), renditions: renditions.to_vec(), result };
        if segment.kind == TrackKind::Audio {
            let batches = self.clone();
            let transcode_alone = async move {
                let cores = batches.slots.audio().await;
                batches.run(SegmentBatch::from([queued]), &cores).await;
            };
            tokio::spawn(transcode_alone.in_current_span());
        } else {
            let settings = renditions.iter().filter_map(|rendition| rendition.video.as_ref());
            let pixels = settings.map(|s| i64::from(s.width) * i64::from(s.height)).max().unwrap_or(0);
            let segments = usize::try_from(segment.video_segments).unwrap_or(1);
            self.with_queue(|queue| queue.push(queued));
            // One task per segment: those whose segments went with an earlier batch find an empty queue, and end.
            tokio::spawn(self.clone().run_queued(pixels, segments));
        }
        made.await.unwrap_or(Err(PortError::Stopped))
    }

    fn with_queue<T>(&self, act: impl FnOnce(&mut SegmentQueue) -> T) -> T {
        act(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for cores, then runs the next batch.
    async fn run_queued(self: Arc<Self>, pixels: i64, segments: usize) {
        let cores = self.slots.video(pixels, segments).await;
        // Segments that were published together arrive within one turn of the scheduler: yielding on another thread lets them
        // queue up. One that comes later goes with the next batch.
        if spawn_blocking(thread::yield_now).await.is_err() {
            return;
        }
        loop {
            let batch = self.with_queue(|queue| {
                queue.remove_unwanted();
                queue.take_batch(self.slots.parallel_tasks(&cores), self.longest)
            });
            let Some(first) = batch.front() else { return };
            let span = tracing::info_span!("batch", execution = first.segment.execution);
            let rest = self.run(batch, &cores).instrument(span).await;
            if rest.is_empty() {
                return;
            }
            self.with_queue(|queue| queue.put_back(rest));
        }
    }

    /// Runs a batch, with restarts, and sends each of its segments its result. Returns the segments that it did not come to, without
    /// a result.
    async fn run(&self, mut batch: SegmentBatch, cores: &Cores) -> SegmentBatch {
        let mut restarts = Restarts::default();
        while let Some(first) = batch.front() {
            let source = display_url(&first.segment.source.url);
            let error = match self.run_child(&mut batch, cores).await {
                Ok(()) => return batch,
                Err(BatchError::Port(error)) => error,
                Err(BatchError::Child(error)) => match restarts.pause_after(&source, error).await {
                    Ok(()) => continue,
                    Err(error) => error,
                },
            };
            for queued in batch.drain(..) {
                let error = match &error {
                    PortError::Refused(reason) => PortError::Refused(reason.clone()),
                    PortError::Transient(reason) => PortError::Transient(reason.clone()),
                    PortError::Stopped => PortError::Stopped,
                };
                // The receiver may be gone.
                let _ = queued.result.send(Err(error));
            }
        }
        batch
    }

    /// Runs one media process over what is left of a batch. Segments that are done leave it, with their results sent.
    ///
    /// Returns early, with segments left, if the next one is no longer wanted.
    async fn run_child(&self, batch: &mut SegmentBatch, cores: &Cores) -> Result<(), BatchError> {
        if self.stop.level() > Level::Run {
            return Err(PortError::Stopped.into());
        }
        // Work objects that are begun after their execution's end would escape its cleanup.
        let has_ended =
            |first: &QueuedSegment| self.ended.has(&first.segment.execution, first.segment.attempt);
        if batch.front().is_some_and(has_ended) {
            return Err(PortError::Stopped.into());
        }
        let sockets = SourceSockets::default();
        let (mut drafts, descriptors) = self.open(batch, &sockets).await?;
        let Some(task) = transcode_task(batch, cores) else { return Ok(()) };
        let Some(first) = batch.front() else { return Ok(()) };
        let units = batch.iter().map(|queued| queued.segment.expected_units).sum();
        let limit = limits::transcode(&task, first.segment.source.bytes, units);
        let task = Task::Transcode(Box::new(task));
        let (execution, attempt) = (first.segment.execution.clone(), first.segment.attempt);
        let reports: Vec<Option<Progress>> =
            batch.iter().map(|queued| progress_report(&queued.segment)).collect();
        // As many as a batch has segments at most: a media process that reports more is ignored.
        let (made, mut segments_made) = mpsc::channel(LONGEST_BATCH);
        let on_reply = move |reply| match reply {
            Reply::Progress { range, done } => {
                if let Some(Some(report)) = reports.get(range) {
                    // Progress is advice: it is dropped while the channel is full.
                    let _ = self.progress.try_send(Progress { done, ..report.clone() });
                }
            }
            Reply::Made { .. } => drop(made.try_send(())),
            _ => {}
        };
        let ask = TaskRequest { task: &task, limit, bytes: first.segment.source.bytes };
        let child = self.launcher.run(ask, descriptors, on_reply);
        let execution_ended = self.ended.until(&execution, attempt);
        tokio::pin!(child, execution_ended);
        let mut result = None;
        loop {
            tokio::select! {
                // Segments that are made are published before any end of the process or the execution counts.
                biased;
                made = segments_made.recv() => match (made, drafts.pop_front(), batch.pop_front()) {
                    (Some(()), Some(drafts), Some(queued)) => {
                        let stored = self.publish(drafts, &queued).await;
                        if let Ok(stored) = &stored {
                            metrics::count_encoded(queued.segment.kind, stored);
                        }
                        // The receiver may be gone.
                        let _ = queued.result.send(stored);
                        if self.stop.level() > Level::Run {
                            return Err(PortError::Stopped.into());
                        }
                        // The next segment went to another process: it is not transcoded here too.
                        if batch.front().is_some_and(|next| next.result.is_closed()) {
                            batch.retain(|queued| !queued.result.is_closed());
                            return Ok(());
                        }
                    }
                    (None, _, None) => return Ok(()),
                    (_, _, rest) => {
                        rest.into_iter().for_each(|rest| batch.push_front(rest));
                        break;
                    }
                },
                () = &mut execution_ended => return Err(PortError::Stopped.into()),
                ended = &mut child, if result.is_none() => result = Some(ended),
            }
        }
        if let Some(reason) = sockets.failure() {
            return Err(reason.into());
        }
        match result {
            Some(Err(error)) => Err(BatchError::Child(error)),
            _ => Err(PortError::Refused("the media process made less than it was asked for".into()).into()),
        }
    }

    /// Opens the source and the work objects of a batch. Returns the work objects of each segment, and the descriptors in the order
    /// that the task wants: the source, then the work objects, then the assets.
    async fn open(
        &self,
        batch: &SegmentBatch,
        sockets: &SourceSockets,
    ) -> Result<(VecDeque<Drafts>, Vec<OwnedFd>), PortError> {
        let Some(source) = batch.front().map(|first| first.segment.source.clone()) else {
            return Err(PortError::Stopped);
        };
        let opened = self.stores.open(&source).await.map_err(port_error)?;
        let mut descriptors = vec![sockets.open(&opened)?];
        let wanted: Vec<(Segment, Vec<Rendition>)> =
            batch.iter().map(|queued| (queued.segment.clone(), queued.renditions.clone())).collect();
        let work = self.work.clone();
        let begin_drafts = move || {
            let begin = |(segment, renditions): &(Segment, Vec<Rendition>)| {
                renditions.iter().map(|r| work.begin_object(segment.work(), &r.id, segment.index)).collect()
            };
            wanted.iter().map(begin).collect::<Result<VecDeque<Drafts>, StorageError>>()
        };
        let drafts = spawn_blocking(begin_drafts).await.map_err(transient)?.map_err(port_error)?;
        for draft in drafts.iter().flatten() {
            let mut file = draft.descriptor().map_err(port_error)?;
            file.rewind().map_err(transient)?;
            descriptors.push(file.into());
        }
        for (kind, asset) in batch.front().map_or_else(Vec::new, |first| assets(&first.renditions)) {
            check_asset(&asset, kind)?;
            let opened = self.stores.open(&asset).await.map_err(port_error)?;
            descriptors.push(sockets.open(&opened)?);
        }
        Ok((drafts, descriptors))
    }

    /// Publishes the work objects of a segment, and returns the facts of what is stored: another worker's may have been first.
    async fn publish(&self, drafts: Drafts, queued: &QueuedSegment) -> Result<Vec<Stored>, PortError> {
        let segment = &queued.segment;
        self.stores.check_unchanged(&segment.source).await.map_err(port_error)?;
        let mut stored = Vec::new();
        for (draft, rendition) in drafts.into_iter().zip(&queued.renditions) {
            draft.publish_new().await.map_err(port_error)?;
            let object = read_stored(&self.work, segment.work(), &rendition.id, segment.index).await;
            stored.extend(object.map_err(port_error)?);
        }
        Ok(stored)
    }
}

/// Returns the task for a batch; `None` if it is empty.
fn transcode_task(batch: &SegmentBatch, cores: &Cores) -> Option<TranscodeTask> {
    let first = batch.front()?;
    let range = |queued: &QueuedSegment| TimeRange { start: queued.segment.start, end: queued.segment.end };
    Some(TranscodeTask {
        stream: first.segment.stream,
        kind: first.segment.kind,
        ranges: batch.iter().map(range).collect(),
        seeks: first.segment.seeks.clone(),
        planned: batch.iter().map(|queued| queued.segment.seeks.first().copied()).collect(),
        jumps: first.segment.jumps.clone(),
        longest_gap: first.segment.longest_gap,
        last_time: first.segment.last_time,
        also: first.segment.also.clone(),
        shape: first.segment.shape.clone(),
        states: first.segment.states.clone(),
        trim: first.segment.trim,
        renditions: first.renditions.clone(),
        assets: assets(&first.renditions).into_iter().map(|(_, asset)| asset).collect(),
        cores: cores.count,
    })
}

/// Returns the report of a segment's progress with nothing done; `None` for audio, whose progress is not reported.
fn progress_report(segment: &Segment) -> Option<Progress> {
    (segment.kind == TrackKind::Video).then(|| Progress {
        execution: segment.execution.clone(),
        index: segment.index,
        done: 0,
        expected: segment.expected_units,
    })
}
