//! The object store: sources, work objects and outputs as facts in place of bytes.

use std::collections::{BTreeMap, BTreeSet};

use millrace_schemas::Made;

use crate::package::Package;

/// The facts of a source.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The presentation times of its pictures.
    pub(crate) pictures: Vec<i64>,
    /// The number of audio samples; 0 without audio.
    pub(crate) samples: i64,
    /// The picture at which decoding fails permanently, if there is one.
    pub(crate) broken_at: Option<i64>,
    /// True if its headers can't be read.
    pub(crate) is_garbage: bool,
    /// Keyframes of the container from which decoding can't begin.
    pub(crate) false_keyframes: BTreeSet<i64>,
}

/// The number of pictures from one keyframe to the next.
const GOP: usize = 5;

impl Source {
    /// Returns the keyframes in its container.
    pub(crate) fn keyframes(&self) -> impl Iterator<Item = i64> {
        self.pictures.iter().copied().step_by(GOP)
    }

    /// Returns the pictures that are decoded from a keyframe on, or from the start: those before the next
    /// true keyframe are lost.
    pub(crate) fn decode(&self, from: Option<i64>) -> Vec<i64> {
        let begins =
            |from: i64| self.keyframes().find(|at| *at >= from && !self.false_keyframes.contains(at));
        let first = from.map_or(Some(i64::MIN), begins);
        self.pictures.iter().copied().filter(|pts| first.is_some_and(|first| *pts >= first)).collect()
    }
}

/// The facts of a work object.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) source: String,
    pub(crate) pictures: Vec<i64>,
    pub(crate) samples: i64,
    pub(crate) made: Made,
    /// The range of its segment.
    pub(crate) start: Option<i64>,
    pub(crate) end: Option<i64>,
    /// The keyframe from which it was decoded; `None` for the start of the source.
    pub(crate) from: Option<i64>,
    /// The first decoded picture at or after the start of the range.
    pub(crate) head: Option<i64>,
    /// The first decoded picture at or after the end of the range.
    pub(crate) tail: Option<i64>,
}

/// The facts of an output.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    /// The attempt that made it.
    pub(crate) by: (String, i32),
    pub(crate) source: String,
    pub(crate) mark: String,
    pub(crate) pictures: Vec<i64>,
    pub(crate) samples: i64,
    /// What else there is of a package; `None` for a file.
    pub(crate) package: Option<Package>,
}

/// The key of a work object: work, rendition, index.
pub(crate) type Key = (String, String, i32);

/// The contents of the store.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) sources: BTreeMap<String, Source>,
    pub(crate) objects: BTreeMap<Key, Object>,
    /// The time of the latest put under each work prefix, in milliseconds since 1970.
    pub(crate) touched: BTreeMap<String, i64>,
    pub(crate) outputs: BTreeMap<String, Output>,
    /// Staged outputs, by work prefix and token.
    pub(crate) staged: BTreeMap<(String, String), Staged>,
    /// The URLs of the objects of packages.
    pub(crate) package_objects: BTreeSet<String>,
    /// The visible manifests of packages beside the main ones, which are outputs: by URL, the objects that each names.
    pub(crate) manifests: BTreeMap<String, Vec<String>>,
}

/// An output that is staged.
#[derive(Debug, Clone)]
pub(crate) struct Staged {
    pub(crate) url: String,
    pub(crate) output: Output,
    /// False while objects of a package are being put.
    pub(crate) is_complete: bool,
    /// True once it was published.
    pub(crate) is_published: bool,
}

impl Store {
    /// Puts a work object; the first put wins. Returns the facts of the stored one.
    pub(crate) fn put(&mut self, key: Key, object: Object, now_ms: i64) -> Made {
        self.touched.insert(key.0.clone(), now_ms);
        self.objects.entry(key).or_insert(object).made.clone()
    }

    /// Adds a staged output.
    pub(crate) fn stage(&mut self, key: (String, String), staged: Staged, now_ms: i64) {
        self.touched.insert(key.0.clone(), now_ms);
        self.staged.insert(key, staged);
    }

    /// Removes all work objects under a work prefix, and what is known of its staged outputs. Returns `true` if there were any objects.
    pub(crate) fn remove(&mut self, work: &str) -> bool {
        let before = self.objects.len();
        self.objects.retain(|(prefix, ..), _| prefix != work);
        self.touched.remove(work);
        self.staged.retain(|(prefix, _), _| prefix != work);
        self.objects.len() < before
    }

    /// Returns the keys of the unpublished staged outputs of attempts up to this one.
    pub(crate) fn unpublished(&self, work: &str, attempt: i32) -> Vec<(String, String)> {
        let is_it = |(prefix, _): &(String, String), staged: &Staged| {
            prefix == work && !staged.is_published && staged.output.by.1 <= attempt
        };
        self.staged.iter().filter(|(key, staged)| is_it(key, staged)).map(|(key, _)| key.clone()).collect()
    }
}
