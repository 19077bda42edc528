//! The object store, and what media become in it: facts in place of bytes.

use std::collections::{BTreeMap, BTreeSet};

use millrace_schemas::Made;

/// A source.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Presentation times of its pictures.
    pub(crate) pictures: Vec<i64>,
    /// Samples of sound; 0 where it has none.
    pub(crate) samples: i64,
    /// The picture at which decoding fails for good; none in a source that is whole.
    pub(crate) broken_at: Option<i64>,
    /// Whether not even its headers can be read.
    pub(crate) is_garbage: bool,
    /// Pictures that its container calls keyframes, and from which decoding can't begin.
    pub(crate) false_keyframes: BTreeSet<i64>,
}

/// Pictures from a keyframe to the next.
const GOP: usize = 5;

impl Source {
    /// The keyframes that its container names.
    pub(crate) fn keyframes(&self) -> impl Iterator<Item = i64> {
        self.pictures.iter().copied().step_by(GOP)
    }

    /// The pictures that are decoded where reading begins at this keyframe, or at the start: what comes before the next true
    /// keyframe is lost.
    pub(crate) fn decode(&self, from: Option<i64>) -> Vec<i64> {
        let begins =
            |from: i64| self.keyframes().find(|at| *at >= from && !self.false_keyframes.contains(at));
        let first = from.map_or(Some(i64::MIN), begins);
        self.pictures.iter().copied().filter(|pts| first.is_some_and(|first| *pts >= first)).collect()
    }
}

/// A work object.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) source: String,
    pub(crate) pictures: Vec<i64>,
    pub(crate) samples: i64,
    pub(crate) made: Made,
    /// The range of its segment.
    pub(crate) start: Option<i64>,
    pub(crate) end: Option<i64>,
    /// Where reading began; `None` for the start of the source.
    pub(crate) from: Option<i64>,
    /// The first picture that was decoded from the start of the range on.
    pub(crate) head: Option<i64>,
    /// The first picture that was decoded from the end of the range on.
    pub(crate) tail: Option<i64>,
}

/// An output.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    /// The attempt that made it.
    pub(crate) by: (String, i32),
    pub(crate) source: String,
    pub(crate) mark: String,
    pub(crate) pictures: Vec<i64>,
    pub(crate) samples: i64,
}

/// The key of a work object: work, rendition, index.
pub(crate) type Key = (String, String, i32);

/// The store.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) sources: BTreeMap<String, Source>,
    pub(crate) objects: BTreeMap<Key, Object>,
    /// When something was last put under a work.
    pub(crate) touched: BTreeMap<String, i64>,
    pub(crate) outputs: BTreeMap<String, Output>,
    /// Outputs that are whole and not visible, by the work of their execution and their token.
    pub(crate) staged: BTreeMap<(String, String), Staged>,
}

/// An output that is staged.
#[derive(Debug, Clone)]
pub(crate) struct Staged {
    pub(crate) url: String,
    pub(crate) output: Output,
    /// Whether it was published.
    pub(crate) is_published: bool,
}

impl Store {
    /// Puts a work object; the first put wins. Gives the facts of what is there.
    pub(crate) fn put(&mut self, key: Key, object: Object, now_ms: i64) -> Made {
        self.touched.insert(key.0.clone(), now_ms);
        self.objects.entry(key).or_insert(object).made.clone()
    }

    pub(crate) fn stage(&mut self, key: (String, String), staged: Staged, now_ms: i64) {
        self.touched.insert(key.0.clone(), now_ms);
        self.staged.insert(key, staged);
    }

    pub(crate) fn remove(&mut self, work: &str) -> bool {
        let before = self.objects.len();
        self.objects.retain(|(of, ..), _| of != work);
        self.touched.remove(work);
        let staged = self.remove_staged(work, i32::MAX);
        self.staged.retain(|(of, _), _| of != work);
        self.objects.len() < before || staged
    }

    /// Removes what attempts up to this one have staged, and was not published.
    pub(crate) fn remove_staged(&mut self, work: &str, attempt: i32) -> bool {
        let before = self.staged.len();
        self.staged
            .retain(|(of, _), staged| of != work || staged.is_published || staged.output.by.1 > attempt);
        self.staged.len() < before
    }
}
