//! Segments that wait to be transcoded, and how batches are taken from them. Pure.

use std::collections::VecDeque;

use millrace_formats::{Seams, TABLES};
use millrace_schemas::{Rendition, Segment};
use millrace_topology::ports::{PortError, Stored};
use tokio::sync::oneshot;

/// A segment that waits to be transcoded.
pub(super) struct QueuedSegment {
    pub(super) segment: Segment,
    pub(super) renditions: Vec<Rendition>,
    /// Receives the work objects' facts. It is closed if the caller no longer needs them.
    pub(super) result: oneshot::Sender<Result<Vec<Stored>, PortError>>,
}

impl QueuedSegment {
    /// Returns whether this segment begins where `other` ends, and has the same renditions, of codecs whose segments one process
    /// can make.
    fn follows(&self, other: &Self) -> bool {
        let (a, b) = (&other.segment, &self.segment);
        (&a.execution, a.attempt, a.stream, a.kind) == (&b.execution, b.attempt, b.stream, b.kind)
            && b.index == a.index + 1
            && b.start.is_some()
            && b.start == a.end
            && self.renditions == other.renditions
            && self
                .renditions
                .iter()
                .all(|rendition| TABLES.seams(rendition).is_some_and(|seams| seams != Seams::Whole))
    }
}

/// Neighbouring segments that one media process transcodes, in order.
pub(super) type SegmentBatch = VecDeque<QueuedSegment>;

/// The segments that wait, in the order in which they came.
#[derive(Default)]
pub(super) struct SegmentQueue(Vec<QueuedSegment>);

impl SegmentQueue {
    pub(super) fn push(&mut self, queued: QueuedSegment) {
        self.0.push(queued);
    }

    /// Puts back what is left of a batch, before everything else.
    pub(super) fn put_back(&mut self, batch: SegmentBatch) {
        self.0.splice(0..0, batch).for_each(drop);
    }

    /// Removes segments whose results nobody waits for: their executions have ended, or other processes make them.
    pub(super) fn remove_unwanted(&mut self) {
        self.0.retain(|queued| !queued.result.is_closed());
    }

    /// Takes the next batch: of the execution that came first, its first waiting segment and those that follow it without a gap.
    ///
    /// A batch has at most `longest` segments. If `parallel` batches can run at once, it has at most its share of what waits, so that
    /// they end at about the same time.
    pub(super) fn take_batch(&mut self, parallel: usize, longest: usize) -> SegmentBatch {
        let mut batch = SegmentBatch::new();
        let Some(execution) = self.0.first().map(|first| first.segment.execution.clone()) else {
            return batch;
        };
        let is_of_execution = |queued: &QueuedSegment| queued.segment.execution == execution;
        let count = self.0.iter().filter(|queued| is_of_execution(queued)).count();
        let share = if parallel <= 1 { count } else { count.div_ceil(2 * parallel) };
        let first = self
            .0
            .iter()
            .enumerate()
            .filter(|(_, queued)| is_of_execution(queued))
            .min_by_key(|(_, queued)| queued.segment.index);
        let mut next = first.map(|(position, _)| position);
        while let Some(position) = next {
            let last = self.0.remove(position);
            let follower = self.0.iter().position(|queued| queued.follows(&last));
            batch.push_back(last);
            next = follower.filter(|_| batch.len() < share.clamp(1, longest));
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use millrace_formats::VideoAsk;
    use millrace_schemas::{Picture, Ratio, SourceRef, TrackKind};

    use super::*;

    const LONGEST: usize = 64;

    fn queued(execution: &str, index: i32) -> QueuedSegment {
        let edge = |index: i32| (index > 0).then(|| i64::from(index) * 100);
        QueuedSegment {
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
                trim: None,
            },
            renditions: Vec::new(),
            result: oneshot::channel().0,
        }
    }

    fn queue(indices: impl IntoIterator<Item = i32>) -> SegmentQueue {
        SegmentQueue(indices.into_iter().map(|index| queued("a", index)).collect())
    }

    fn indices(batch: &SegmentBatch) -> Vec<i32> {
        batch.iter().map(|queued| queued.segment.index).collect()
    }

    #[test]
    fn neighbours_that_wait_go_together_in_order() {
        let mut all = queue([4, 2, 1, 5, 0]);
        all.push(queued("b", 3));
        assert_eq!(indices(&all.take_batch(1, LONGEST)), [0, 1, 2]);
        assert_eq!(indices(&all.take_batch(1, LONGEST)), [4, 5]);
        assert_eq!(indices(&all.take_batch(1, LONGEST)), [3]);
        assert!(all.take_batch(1, LONGEST).is_empty());
    }

    #[test]
    fn segments_go_together_also_if_each_is_an_encode_of_its_own() {
        let picture = Picture::plain((64, 64), Ratio { num: 25, den: 1 }, Ratio { num: 1, den: 25 });
        for codec in TABLES.codecs.iter().filter(|codec| codec.video().is_some()) {
            let settings = codec.video_settings(&picture, &VideoAsk::default());
            let rendition = Rendition { id: "v".into(), video: settings, audio: None, side: None };
            let mut all = queue(0..3);
            all.0.iter_mut().for_each(|queued| queued.renditions.push(rendition.clone()));
            let expected: &[i32] = if codec.seams() != Seams::Whole { &[0, 1, 2] } else { &[0] };
            assert_eq!(indices(&all.take_batch(1, LONGEST)), expected, "{}", codec.name());
        }
    }

    #[test]
    fn children_side_by_side_share_what_waits() {
        let mut all = queue(0..8);
        assert_eq!(indices(&all.take_batch(2, LONGEST)), [0, 1]);
        assert_eq!(indices(&all.take_batch(2, LONGEST)), [2, 3]);
        assert_eq!(indices(&all.take_batch(2, LONGEST)), [4]);
    }

    #[test]
    fn a_batch_is_no_longer_than_asked_and_what_is_left_of_one_goes_first() {
        let mut all = queue(0..5);
        let mut batch = all.take_batch(1, 3);
        assert_eq!(indices(&batch), [0, 1, 2]);
        batch.pop_front();
        all.put_back(batch);
        assert_eq!(indices(&all.take_batch(1, LONGEST)), [1, 2, 3, 4]);
    }

    #[test]
    fn a_segment_whose_result_nobody_waits_for_is_removed() {
        let mut all = queue([0]);
        let (result, waits) = oneshot::channel();
        all.push(QueuedSegment { result, ..queued("a", 1) });
        all.remove_unwanted();
        assert_eq!(indices(&all.take_batch(1, LONGEST)), [1]);
        drop(waits);
    }
}
