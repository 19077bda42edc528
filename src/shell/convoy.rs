//! Segments that follow one another and wait together go through one child: one decoder and one encoder for all of
//! them, a keyframe and a work object for each. So nothing is started, sought and filled anew at every seam.

use std::{
    collections::VecDeque,
    io::Seek,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
};

use millrace_engine::Ended as Ends;
use millrace_formats::{Seams, TABLES};
use millrace_media::{Ask, ChildError, Launcher, Reply, Task, TimeRange, TranscodeTask};
use millrace_runtime::{Level, Stop, metrics};
use millrace_schemas::{Progress, Rendition, Segment, TrackKind};
use millrace_storage::{Draft, StorageError, Stores, Work};
use millrace_topology::ports::{PortError, Stored};
use tokio::sync::{mpsc, oneshot};
use tracing::Instrument as _;

use super::{
    limits,
    ports::{Feeds, again, facts, name, port},
    slots::{Cores, Slots},
};

/// The longest convoy: each of its segments has a descriptor in the child.
const LONGEST: usize = 64;

/// Set by tests to the most segments that may go through one child: whatever it is, outputs are the same.
const TEST_BATCH: &str = "MILLRACE_TEST_BATCH";

fn longest_batch(set: Option<&str>) -> usize {
    set.and_then(|set| set.parse().ok()).unwrap_or(LONGEST).clamp(1, LONGEST)
}

/// A segment that waits for a child.
struct Waiting {
    segment: Segment,
    renditions: Vec<Rendition>,
    result: oneshot::Sender<Result<Vec<Stored>, PortError>>,
}

impl Waiting {
    /// Whether it comes right behind the other, and is to be made alike.
    fn follows(&self, other: &Self) -> bool {
        let (a, b) = (&other.segment, &self.segment);
        (&a.execution, a.attempt, a.stream, a.kind) == (&b.execution, b.attempt, b.stream, b.kind)
            && b.index == a.index + 1
            && b.start.is_some()
            && b.start == a.end
            && self.renditions == other.renditions
            && self.renditions.iter().all(|r| TABLES.seams(r) == Some(Seams::Stitch))
    }
}

/// Takes the next convoy out of what waits: the first segment of what came first, and those that follow it. Of many
/// that wait, so few that children side by side end at about the same time. Pure.
fn take(waiting: &mut Vec<Waiting>, side_by_side: usize, longest: usize) -> VecDeque<Waiting> {
    let mut convoy = VecDeque::new();
    let Some(execution) = waiting.first().map(|first| first.segment.execution.clone()) else { return convoy };
    let of_it = |waiting: &Waiting| waiting.segment.execution == execution;
    let count = waiting.iter().filter(|waiting| of_it(waiting)).count();
    let most = if side_by_side <= 1 { count } else { count.div_ceil(2 * side_by_side) };
    let first =
        waiting.iter().enumerate().filter(|(_, waiting)| of_it(waiting)).min_by_key(|(_, w)| w.segment.index);
    let mut next = first.map(|(place, _)| place);
    while let Some(place) = next {
        let last = waiting.remove(place);
        let follower = waiting.iter().position(|waiting| waiting.follows(&last));
        convoy.push_back(last);
        next = follower.filter(|_| convoy.len() < most.clamp(1, longest));
    }
    convoy
}

/// The work objects of a segment that are being written.
type Drafts = Vec<Draft>;

/// All convoys of this process.
pub(super) struct Convoys {
    launcher: Launcher,
    stores: Stores,
    work: Work,
    slots: Slots,
    progress: mpsc::Sender<Progress>,
    ended: Ends,
    stop: Stop,
    /// The most segments that go through one child.
    longest: usize,
    waiting: Mutex<Vec<Waiting>>,
}

impl Convoys {
    pub(super) fn new(
        launcher: Launcher,
        (stores, work): (Stores, Work),
        jobs: usize,
        progress: mpsc::Sender<Progress>,
        ended: Ends,
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
            waiting: Mutex::default(),
        })
    }

    /// Makes renditions of a segment, in a convoy with its neighbours where they wait too.
    pub(super) async fn transcode(
        self: &Arc<Self>,
        segment: &Segment,
        renditions: &[Rendition],
    ) -> Result<Vec<Stored>, PortError> {
        let (result, made) = oneshot::channel();
        let waiting = Waiting { segment: segment.clone(), renditions: renditions.to_vec(), result };
        if segment.kind == TrackKind::Audio {
            let convoys = self.clone();
            let sound = async move {
                let cores = convoys.slots.sound().await;
                convoys.run(VecDeque::from([waiting]), &cores).await;
            };
            tokio::spawn(sound.in_current_span());
        } else {
            let settings = renditions.iter().filter_map(|rendition| rendition.video.as_ref());
            let pixels = settings.map(|s| i64::from(s.width) * i64::from(s.height)).max().unwrap_or(0);
            let segments = usize::try_from(segment.video_segments).unwrap_or(1);
            self.with_waiting(|all| all.push(waiting));
            // One for each that waits: one that finds nothing left has nothing to do.
            tokio::spawn(self.clone().next(pixels, segments));
        }
        made.await.unwrap_or(Err(PortError::Stopped))
    }

    fn with_waiting<T>(&self, act: impl FnOnce(&mut Vec<Waiting>) -> T) -> T {
        act(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for cores, and runs the next convoy.
    async fn next(self: Arc<Self>, pixels: i64, segments: usize) {
        let cores = self.slots.pictures(pixels, segments).await;
        // Segments that are published together arrive together, but for the scheduler's whims: a detour over another
        // thread lets all of them come in. Whichever is missed goes in the next convoy.
        if tokio::task::spawn_blocking(std::thread::yield_now).await.is_err() {
            return;
        }
        loop {
            let convoy = self.with_waiting(|all| {
                // Whoever asked may have learnt that its execution has ended, or that others do it.
                all.retain(|waiting| !waiting.result.is_closed());
                take(all, self.slots.side_by_side(&cores), self.longest)
            });
            let Some(first) = convoy.front() else { return };
            let span = tracing::info_span!("convoy", execution = first.segment.execution);
            let left = self.run(convoy, &cores).instrument(span).await;
            if left.is_empty() {
                return;
            }
            self.with_waiting(|all| all.splice(0..0, left).for_each(drop));
        }
    }

    /// Runs a convoy to its end, and tells each of its segments how it ended; gives those that it did not come to.
    async fn run(&self, mut convoy: VecDeque<Waiting>, cores: &Cores) -> VecDeque<Waiting> {
        let mut deaths = 0;
        while let Some(first) = convoy.front() {
            let source = name(&first.segment.source.url);
            let error = match self.child(&mut convoy, cores).await {
                Ok(()) => return convoy,
                Err(Ended::Port(error)) => error,
                Err(Ended::Child(error)) => match again(&source, error, &mut deaths).await {
                    Ok(()) => continue,
                    Err(error) => error,
                },
            };
            for waiting in convoy.drain(..) {
                let error = match &error {
                    PortError::Refused(reason) => PortError::Refused(reason.clone()),
                    PortError::Transient(reason) => PortError::Transient(reason.clone()),
                    PortError::Stopped => PortError::Stopped,
                };
                // Whoever asked may be gone.
                let _ = waiting.result.send(Err(error));
            }
        }
        convoy
    }

    /// Runs one child over what is left of a convoy. Segments that become whole leave it. Ends early, with some left, at a seam
    /// behind which begins what went to another process.
    async fn child(&self, convoy: &mut VecDeque<Waiting>, cores: &Cores) -> Result<(), Ended> {
        if self.stop.level() > Level::Run {
            return Err(PortError::Stopped.into());
        }
        // Whoever waits may not have heard of the end yet: what is begun now, cleanup has not seen.
        let has_ended = |first: &Waiting| self.ended.has(&first.segment.execution, first.segment.attempt);
        if convoy.front().is_some_and(has_ended) {
            return Err(PortError::Stopped.into());
        }
        let feeds = Feeds::default();
        let (mut drafts, descriptors) = self.open(convoy, &feeds).await?;
        let Some(task) = task(convoy, cores) else { return Ok(()) };
        let Some(first) = convoy.front() else { return Ok(()) };
        let units = convoy.iter().map(|waiting| waiting.segment.expected_units).sum();
        let limit = limits::transcode(&task, first.segment.source.bytes, units);
        let task = Task::Transcode(Box::new(task));
        let (execution, attempt) = (first.segment.execution.clone(), first.segment.attempt);
        let pictures: Vec<Option<Progress>> =
            convoy.iter().map(|waiting| progress(&waiting.segment)).collect();
        // As many as it has ranges: a child that says more is heard no further.
        let (tell, mut whole) = mpsc::channel(LONGEST);
        let heard = move |reply| match reply {
            Reply::Progress { range, done } => {
                if let Some(Some(progress)) = pictures.get(range) {
                    // Advice: where nobody listens, or nobody can keep up, it is left out.
                    let _ = self.progress.try_send(Progress { done, ..progress.clone() });
                }
            }
            Reply::Made { .. } => drop(tell.try_send(())),
            _ => {}
        };
        let ask = Ask { task: &task, limit, bytes: first.segment.source.bytes };
        let child = self.launcher.run(ask, descriptors, heard);
        let over = self.ended.until(&execution, attempt);
        tokio::pin!(child, over);
        let mut result = None;
        loop {
            tokio::select! {
                // In this order: what is whole is put away before anything else counts.
                biased;
                told = whole.recv() => match (told, drafts.pop_front(), convoy.pop_front()) {
                    (Some(()), Some(drafts), Some(waiting)) => {
                        let made = self.publish(drafts, &waiting).await;
                        count(&waiting.segment, &made);
                        // Whoever asked may be gone.
                        let _ = waiting.result.send(made);
                        if self.stop.level() > Level::Run {
                            return Err(PortError::Stopped.into());
                        }
                        // What went to another process is left to it.
                        if convoy.front().is_some_and(|next| next.result.is_closed()) {
                            convoy.retain(|waiting| !waiting.result.is_closed());
                            return Ok(());
                        }
                    }
                    (None, _, None) => return Ok(()),
                    (_, _, rest) => {
                        rest.into_iter().for_each(|rest| convoy.push_front(rest));
                        break;
                    }
                },
                () = &mut over => return Err(PortError::Stopped.into()),
                ended = &mut child, if result.is_none() => result = Some(ended),
            }
        }
        if let Some(reason) = feeds.failure() {
            return Err(reason.into());
        }
        match result {
            Some(Err(error)) => Err(Ended::Child(error)),
            _ => Err(PortError::Refused("the media process made less than it was asked for".into()).into()),
        }
    }

    /// Opens the source and begins the work objects; gives the descriptors as the task wants them.
    async fn open(
        &self,
        convoy: &VecDeque<Waiting>,
        feeds: &Feeds,
    ) -> Result<(VecDeque<Drafts>, Vec<OwnedFd>), PortError> {
        let Some(source) = convoy.front().map(|first| first.segment.source.clone()) else {
            return Err(PortError::Stopped);
        };
        let file = self.stores.open(&source).await.map_err(port)?;
        let mut descriptors = vec![feeds.descriptor(&file)?];
        let wanted: Vec<(Segment, Vec<Rendition>)> =
            convoy.iter().map(|waiting| (waiting.segment.clone(), waiting.renditions.clone())).collect();
        let work = self.work.clone();
        let begun = tokio::task::spawn_blocking(move || {
            let begin = |(segment, renditions): &(Segment, Vec<Rendition>)| {
                renditions.iter().map(|r| work.draft(segment.work(), &r.id, segment.index)).collect()
            };
            wanted.iter().map(begin).collect::<Result<VecDeque<Drafts>, StorageError>>()
        });
        let drafts = begun.await.map_err(|error| PortError::Transient(error.to_string()))?.map_err(port)?;
        for draft in drafts.iter().flatten() {
            let mut out = draft.descriptor().map_err(port)?;
            out.rewind().map_err(|error| PortError::Transient(error.to_string()))?;
            descriptors.push(out.into());
        }
        Ok((drafts, descriptors))
    }

    /// Makes the work objects of a segment appear, and reads their facts: another worker's may have been first.
    async fn publish(&self, drafts: Drafts, waiting: &Waiting) -> Result<Vec<Stored>, PortError> {
        let segment = &waiting.segment;
        self.stores.unchanged(&segment.source).await.map_err(port)?;
        let mut made = Vec::new();
        for (draft, rendition) in drafts.into_iter().zip(&waiting.renditions) {
            draft.publish_new().await.map_err(port)?;
            made.extend(facts(&self.work, segment.work(), &rendition.id, segment.index).await.map_err(port)?);
        }
        Ok(made)
    }
}

/// Why a child's run came to an end early.
enum Ended {
    Port(PortError),
    Child(ChildError),
}

impl From<PortError> for Ended {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

fn task(convoy: &VecDeque<Waiting>, cores: &Cores) -> Option<TranscodeTask> {
    let first = convoy.front()?;
    let range = |waiting: &Waiting| TimeRange { start: waiting.segment.start, end: waiting.segment.end };
    Some(TranscodeTask {
        stream: first.segment.stream,
        kind: first.segment.kind,
        ranges: convoy.iter().map(range).collect(),
        seeks: first.segment.seeks.clone(),
        jumps: first.segment.jumps.clone(),
        longest_gap: first.segment.longest_gap,
        last_time: first.segment.last_time,
        also: first.segment.also.clone(),
        shape: first.segment.shape.clone(),
        states: first.segment.states.clone(),
        renditions: first.renditions.clone(),
        cores: cores.count,
    })
}

/// Counts pictures.
fn count(segment: &Segment, made: &Result<Vec<Stored>, PortError>) {
    if let (TrackKind::Video, Ok(made)) = (segment.kind, made) {
        metrics::encoded(made.iter().map(|stored| stored.made.units.unsigned_abs()).sum());
    }
}

/// What is told of a segment's progress; nothing of sound.
fn progress(segment: &Segment) -> Option<Progress> {
    (segment.kind == TrackKind::Video).then(|| Progress {
        execution: segment.execution.clone(),
        index: segment.index,
        done: 0,
        expected: segment.expected_units,
    })
}

#[cfg(test)]
mod tests {
    use millrace_schemas::SourceRef;

    use super::*;

    fn waiting(execution: &str, index: i32) -> Waiting {
        let edge = |index: i32| (index > 0).then(|| i64::from(index) * 100);
        Waiting {
            segment: Segment {
                execution: execution.into(),
                attempt: 1,
                index,
                video_segments: 9,
                source: SourceRef { url: String::new(), version: String::new(), bytes: 0 },
                stream: 0,
                kind: TrackKind::Video,
                start: edge(index),
                end: edge(index + 1),
                seeks: Vec::new(),
                renditions: Vec::new(),
                expected_units: 0,
                work: String::new(),
                jumps: Vec::new(),
                longest_gap: 0,
                last_time: 0,
                also: Vec::new(),
                shape: None,
                states: Vec::new(),
                replaces: Vec::new(),
            },
            renditions: Vec::new(),
            result: oneshot::channel().0,
        }
    }

    fn indices(convoy: &VecDeque<Waiting>) -> Vec<i32> {
        convoy.iter().map(|waiting| waiting.segment.index).collect()
    }

    #[test]
    fn neighbours_that_wait_go_together_in_order() {
        let mut all: Vec<_> = [4, 2, 1, 5, 0].into_iter().map(|index| waiting("a", index)).collect();
        all.push(waiting("b", 3));
        assert_eq!(indices(&take(&mut all, 1, LONGEST)), [0, 1, 2]);
        assert_eq!(indices(&take(&mut all, 1, LONGEST)), [4, 5]);
        assert_eq!(indices(&take(&mut all, 1, LONGEST)), [3]);
        assert!(take(&mut all, 1, LONGEST).is_empty());
    }

    #[test]
    fn children_side_by_side_share_what_waits() {
        let mut all: Vec<_> = (0..8).map(|index| waiting("a", index)).collect();
        assert_eq!(indices(&take(&mut all, 2, LONGEST)), [0, 1]);
        assert_eq!(indices(&take(&mut all, 2, LONGEST)), [2, 3]);
        assert_eq!(indices(&take(&mut all, 2, LONGEST)), [4]);
    }
}
