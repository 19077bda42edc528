//! Fake media and storage that keep facts: which pictures, which objects.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use fastrand::Rng;
use millrace_engine::Ended;
use millrace_runtime::simulated::ProcessFaults;
use millrace_schemas::{
    AssetKind, AudioFacts, AudioTrack, Encoders, Fingerprint, Keyframe, Made, Merge, NextPass, OutputFacts,
    Picture, Ratio, Rendition, Seek, SeekBy, Segment, Sound, SourceFacts, SourceRef, TrackKind, TrackPlan,
    TrackSum, VideoFacts, VideoTrack, add_digest,
};
use millrace_topology::{
    invariants::check_own_source,
    ports::{Controls, Joined, Media, PortError, Storage, Stored, UncleanRun},
};
use tokio::time::sleep;

use crate::{
    clock,
    package::Package,
    plan::{InjectedFault, Plan},
    rates::next_pass,
    store::{Object, Output, Source, Staged},
    world::World,
};

/// The frame rate of every source, in pictures a second; its time base has one tick a picture.
const RATE: i64 = 10;
/// The round from which a track with unclean seams is transcoded in one piece, as in the real merge.
const ROUNDS: i32 = 2;
/// The reason of a failure to publish an output.
pub(crate) const UNPUBLISHABLE: &str = "something else is at";

/// The ports of a process.
pub(crate) struct Ports {
    pub(crate) world: Arc<World>,
    pub(crate) faults: Arc<dyn ProcessFaults>,
    pub(crate) ended: Ended,
}

impl Ports {
    /// Begins a call to the store or to a media process. It may fail transiently.
    pub(crate) async fn begin_call(&self, doing: &'static str) -> Result<(), PortError> {
        self.faults.step(doing).await;
        if self.world.injects(InjectedFault::StoreError, 0.1) {
            return Err(PortError::Transient(format!("{doing}: not now")));
        }
        Ok(())
    }

    /// Ends a call that had an effect. Its answer may be lost.
    async fn end_call(&self, doing: &'static str) -> Result<(), PortError> {
        self.faults.step(doing).await;
        if self.world.injects(InjectedFault::StoreError, 0.05) {
            return Err(PortError::Transient(format!("{doing}: no answer")));
        }
        Ok(())
    }

    /// Sleeps for a random number of milliseconds between these.
    async fn work_for(&self, from: u64, to: u64) {
        sleep(self.world.milliseconds(from, to)).await;
    }

    fn source(&self, url: &str) -> Result<Source, PortError> {
        let found = self.world.store().sources.get(url).cloned();
        found.ok_or_else(|| PortError::Refused(format!("{url} is not there")))
    }

    /// Returns the work objects of a track in the order of time, as a merge reads them.
    fn objects(&self, merge: &Merge, plan: &TrackPlan) -> Result<Vec<Object>, PortError> {
        let store = self.world.store();
        let mut objects = Vec::new();
        for index in plan.indices() {
            let key = (merge.work().to_owned(), plan.rendition.clone(), index);
            let Some(object) = store.objects.get(&key) else {
                return Err(PortError::Refused(format!("work object {key:?} is missing")));
            };
            if let Err(violation) = check_own_source(&merge.execution, &object.source, &merge.source.url) {
                self.world.record_violation(violation);
            }
            objects.push(object.clone());
        }
        Ok(objects)
    }

    /// Merges a track, and returns its pictures and its number of samples. Fails if the objects differ from
    /// those that were counted.
    fn merge_track(&self, merge: &Merge, sum: &TrackSum) -> Result<(Vec<i64>, i64), PortError> {
        let (mut pictures, mut samples, mut units, mut digest) = (Vec::new(), 0, 0, 0_i64);
        for (object, index) in self.objects(merge, &sum.plan)?.iter().zip(sum.plan.indices()) {
            pictures.extend(&object.pictures);
            samples += object.samples;
            units += object.made.units;
            digest = add_digest(digest, object.made.digest, index);
        }
        if (units, digest) != (sum.units, sum.digest) {
            // Harmless if the attempt has ended and its objects were removed and made again: the outcome is
            // then ignored. Otherwise the execution fails with this reason, which the check of reasons does
            // not allow.
            return Err(PortError::Refused(format!("{units} units were read, {} counted", sum.units)));
        }
        Ok((pictures, samples))
    }

    /// Returns the runs of a track's segments that decoded differently than the whole source does: the first
    /// picture of a segment is not the one that the segment before decoded behind its end. They are to be
    /// decoded from the keyframe of the segment before.
    fn unclean_runs(&self, merge: &Merge, plan: &TrackPlan) -> Result<Vec<UncleanRun>, PortError> {
        let (objects, indices) = (self.objects(merge, plan)?, plan.indices());
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for (position, pair) in (1..).zip(objects.windows(2)) {
            match runs.last_mut().filter(|(_, last)| last + 1 == position) {
                _ if pair[0].tail == pair[1].head => {}
                Some((_, last)) => *last = position,
                None => runs.push((position, position)),
            }
        }
        if merge.round >= ROUNDS && !runs.is_empty() {
            runs = vec![(0, objects.len() - 1)];
        }
        let run = |(first, last): (usize, usize)| UncleanRun {
            rendition: plan.rendition.clone(),
            replaces: indices[first..=last].to_vec(),
            start: objects[first].start,
            end: objects[last].end,
            seeks: first
                .checked_sub(1)
                .and_then(|before| objects[before].from)
                .map(seek)
                .into_iter()
                .collect(),
        };
        Ok(runs.into_iter().map(run).collect())
    }

    /// Returns each segment of a track, to be made again by itself.
    fn each_again(&self, merge: &Merge, plan: &TrackPlan) -> Result<Vec<UncleanRun>, PortError> {
        let objects = self.objects(merge, plan)?;
        let run = |(object, index): (&Object, i32)| UncleanRun {
            rendition: plan.rendition.clone(),
            replaces: vec![index],
            start: object.start,
            end: object.end,
            seeks: object.from.map(seek).into_iter().collect(),
        };
        Ok(objects.iter().zip(plan.indices()).map(run).collect())
    }
}

/// Returns a seek point at a presentation time.
fn seek(at: i64) -> Seek {
    Seek { by: SeekBy::Time, at, state: 0 }
}

fn picture() -> Picture {
    Picture::plain((640, 360), Ratio { num: 10, den: 1 }, Ratio { num: 1, den: 10 })
}

#[async_trait]
impl Media for Ports {
    fn encoders(&self) -> Encoders {
        Encoders::default()
    }

    async fn inspect(&self, source: &SourceRef, _: f64) -> Result<SourceFacts, PortError> {
        self.begin_call("inspect").await?;
        self.work_for(5, 200).await;
        let facts = self.source(&source.url)?;
        if facts.is_garbage {
            return Err(PortError::Refused(format!("{} is no media file", source.url)));
        }
        let keyframe = |pts| Keyframe { pts, seek: seek(pts) };
        let (first, last) = (facts.pictures.first(), facts.pictures.last());
        let video = first.zip(last).map(|(first, last)| VideoTrack {
            keyframes: facts.keyframes().map(keyframe).collect(),
            trusted: true,
            ..VideoTrack::new(0, picture(), (*first, last + 1))
        });
        let audio = (facts.samples > 0).then_some(AudioTrack {
            stream: 1,
            sound: Sound { sample_rate: 48_000, channels: 2, layout: String::new() },
            samples: facts.samples,
            ..AudioTrack::default()
        });
        Ok(SourceFacts { video, audio: audio.into_iter().collect(), ..SourceFacts::default() })
    }

    async fn measure(&self, _: &SourceRef, _: AssetKind) -> Result<(i32, i32), PortError> {
        Ok((64, 64))
    }

    async fn transcode(&self, segment: &Segment, renditions: &[Rendition]) -> Result<Vec<Stored>, PortError> {
        self.begin_call("transcode").await?;
        // A media process is stopped when its execution has ended, sooner or later than the processor.
        let stopped = async {
            self.ended.until(&segment.execution, segment.attempt).await;
            if self.world.random(Rng::bool) {
                sleep(self.world.milliseconds(1, 50)).await;
            }
        };
        tokio::select! {
            biased;
            () = stopped => return Err(PortError::Stopped),
            () = self.work_for(20, 4000) => {}
        }
        let source = self.source(&segment.source.url)?;
        let inside = |pts: &i64| {
            segment.start.is_none_or(|start| *pts >= start) && segment.end.is_none_or(|end| *pts < end)
        };
        let is_video = segment.kind == TrackKind::Video;
        if is_video && source.broken_at.is_some_and(|at| inside(&at)) {
            return Err(PortError::Refused(format!("{} can't be decoded", segment.source.url)));
        }
        let from = segment.seeks.first().map(|seek| seek.at);
        let decoded = if is_video { source.decode(from) } else { Vec::new() };
        let since = |at: i64| decoded.iter().copied().find(|pts| *pts >= at);
        let (head, tail) = (since(segment.start.unwrap_or(i64::MIN)), segment.end.and_then(since));
        let pictures: Vec<i64> = decoded.iter().copied().filter(inside).collect();
        let samples = if is_video { 0 } else { source.samples };
        let mut made = Vec::new();
        for rendition in renditions {
            let units = if is_video { i64::try_from(pictures.len()).unwrap_or(0) } else { samples };
            // Bytes differ from one encode to the next, and so does the digest.
            let facts = Made {
                rendition: rendition.id.clone(),
                units,
                packets: units,
                bytes: 100,
                first: pictures.first().copied().unwrap_or(0),
                next: tail,
                reorder: 2,
                digest: self.world.random(|rng| rng.i64(..)),
            };
            let object = Object {
                source: segment.source.url.clone(),
                pictures: pictures.clone(),
                samples,
                made: facts,
                start: segment.start,
                end: segment.end,
                from,
                head,
                tail,
            };
            self.begin_call("put").await?;
            let key = (segment.work().to_owned(), rendition.id.clone(), segment.index);
            let stored = self.world.store().put(key, object, clock::now_ms());
            made.push(Stored { made: stored, warnings: Vec::new() });
            self.end_call("put").await?;
        }
        Ok(made)
    }

    async fn merge(&self, merge: &Merge) -> Result<Joined, PortError> {
        self.begin_call("merge").await?;
        self.work_for(10, 1500).await;
        let mut unclean = Vec::new();
        for sum in merge.tracks.iter().filter(|sum| sum.plan.kind == TrackKind::Video) {
            unclean.extend(self.unclean_runs(merge, &sum.plan)?);
        }
        if !unclean.is_empty() {
            let replaces: Vec<_> = unclean.iter().map(|run| &run.replaces).collect();
            self.world
                .trace(|| format!("round {} of {}: {replaces:?} are unclean", merge.round, merge.output.url));
            return Ok(Joined::Again { runs: unclean, passes: Vec::new() });
        }
        let passes: Vec<NextPass> =
            merge.tracks.iter().map(next_pass).collect::<Result<Vec<_>, _>>()?.concat();
        if !passes.is_empty() {
            let of_it = |sum: &&TrackSum| passes.iter().any(|pass| pass.rendition == sum.plan.rendition);
            let runs = merge.tracks.iter().filter(of_it).map(|sum| self.each_again(merge, &sum.plan));
            let runs = runs.collect::<Result<Vec<_>, _>>()?.concat();
            self.world.trace(|| format!("round {} of {}: {passes:?}", merge.round, merge.output.url));
            return Ok(Joined::Again { runs, passes });
        }
        let (mut pictures, mut samples) = (Vec::new(), 0);
        for sum in &merge.tracks {
            let (more, sound) = self.merge_track(merge, sum)?;
            pictures.extend(more);
            samples += sound;
        }
        self.begin_call("stage").await?;
        let count = i64::try_from(pictures.len()).unwrap_or(0);
        let facts = OutputFacts {
            url: merge.output.url.clone(),
            format: merge.output.format.clone(),
            bytes: count,
            duration_seconds: count as f64 / RATE as f64,
            video: (count > 0).then(|| VideoFacts {
                codec: "h264".into(),
                width: 640,
                height: 360,
                frames: count,
                ..VideoFacts::default()
            }),
            audio: (samples > 0).then(|| AudioFacts {
                codec: "aac".into(),
                sample_rate: 48_000,
                samples,
                ..AudioFacts::default()
            }),
            ..OutputFacts::default()
        };
        let token = format!("{:016x}", self.world.random(|rng| rng.u64(..)));
        let plan = merge.output.package.as_ref();
        let package = plan.map(|plan| Package::of(&merge.output, plan, &token));
        let output = Output {
            by: (merge.execution.clone(), merge.attempt),
            source: merge.source.url.clone(),
            mark: merge.output.mark.clone(),
            pictures,
            samples,
            package: package.clone(),
        };
        let key = (merge.work().to_owned(), token.clone());
        let staged = Staged {
            url: merge.output.url.clone(),
            output,
            is_complete: package.is_none(),
            is_published: false,
        };
        self.world.store().stage(key.clone(), staged, clock::now_ms());
        if let Some(package) = &package {
            self.put_package(&key, package).await?;
        }
        self.end_call("stage").await?;
        Ok(Joined::Proven { facts: Box::new(facts), token, warnings: Vec::new() })
    }

    async fn publish(&self, merge: &Merge, token: &str) -> Result<(), PortError> {
        self.begin_call("publish").await?;
        // Another object at the URL, or a full disk: a permanent error.
        if self.world.injects(InjectedFault::Unpublishable, 0.2) {
            return Err(PortError::Refused(format!("{UNPUBLISHABLE} {}", merge.output.url)));
        }
        let key = (merge.work().to_owned(), token.to_owned());
        let package = {
            let mut store = self.world.store();
            let staged = store.staged.get_mut(&key).filter(|staged| staged.is_complete);
            let staged =
                staged.ok_or_else(|| PortError::Refused(format!("{} is not staged", merge.output.url)))?;
            let package = staged.output.package.clone().filter(|_| !staged.is_published);
            if !staged.is_published && package.is_none() {
                staged.is_published = true;
                let (url, output) = (staged.url.clone(), staged.output.clone());
                store.outputs.insert(url, output);
            }
            package
        };
        if let Some(package) = package {
            self.publish_package(&key, &package).await?;
        }
        self.end_call("publish").await
    }

    async fn withdraw(&self, merge: &Merge) -> Result<(), PortError> {
        self.begin_call("withdraw").await?;
        let key = (merge.work().to_owned(), merge.token.clone());
        let package = self.world.store().staged.get(&key).and_then(|staged| staged.output.package.clone());
        if let Some(package) = package {
            self.remove_package(&key, &package).await?;
        }
        {
            let mut store = self.world.store();
            store.staged.remove(&key);
            let by = (merge.execution.clone(), merge.attempt);
            let is_own = |output: &Output| output.by == by && output.package.is_none();
            if store.outputs.get(&merge.output.url).is_some_and(is_own) {
                store.outputs.remove(&merge.output.url);
            }
        }
        self.end_call("withdraw").await
    }

    async fn comment(&self, url: &str) -> Result<Option<String>, PortError> {
        self.begin_call("comment").await?;
        Ok(self.world.store().outputs.get(url).map(|output| output.mark.clone()))
    }
}

#[async_trait]
impl Storage for Ports {
    async fn pin(&self, url: &str) -> Result<SourceRef, PortError> {
        self.begin_call("pin").await?;
        self.source(url)?;
        Ok(SourceRef { url: url.into(), version: "1".into(), bytes: 1 })
    }

    async fn made(&self, work: &str, rendition: &str, index: i32) -> Result<Option<Stored>, PortError> {
        self.begin_call("look").await?;
        let key = (work.to_owned(), rendition.to_owned(), index);
        Ok(self
            .world
            .store()
            .objects
            .get(&key)
            .map(|object| Stored { made: object.made.clone(), warnings: Vec::new() }))
    }

    async fn size(&self, url: &str) -> Result<Option<i64>, PortError> {
        self.begin_call("size").await?;
        Ok(self.world.store().outputs.get(url).map(|_| 1))
    }

    async fn writable(&self, _: &str) -> Result<(), PortError> {
        self.begin_call("writable").await
    }

    async fn works(&self) -> Result<Vec<(String, i64)>, PortError> {
        self.begin_call("list").await?;
        Ok(self.world.store().touched.iter().map(|(work, at)| (work.clone(), *at)).collect())
    }

    async fn remove_work(&self, work: &str) -> Result<bool, PortError> {
        self.begin_call("remove").await?;
        let had_staged = self.remove_unpublished(work, i32::MAX).await?;
        let removed = self.world.store().remove(work) || had_staged;
        self.world.trace(|| format!("work {work} removed"));
        self.end_call("remove").await?;
        Ok(removed)
    }

    async fn remove_staged(&self, work: &str, attempt: i32) -> Result<bool, PortError> {
        self.begin_call("remove staged").await?;
        self.remove_unpublished(work, attempt).await
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

/// Returns a random source.
pub(crate) fn random_source(rng: &mut Rng, plan: &Plan) -> Source {
    let count = rng.i64(1..=60);
    let is_broken = plan.has(InjectedFault::BrokenSource);
    let mut source = Source {
        pictures: (0..count).collect(),
        samples: if rng.bool() { count * 4800 } else { 0 },
        broken_at: (is_broken && rng.u8(..) < 80).then(|| rng.i64(0..count)),
        is_garbage: is_broken && rng.u8(..) < 30,
        false_keyframes: BTreeSet::new(),
    };
    if plan.has(InjectedFault::FalseKeyframes) {
        let share = rng.f64();
        source.false_keyframes = source.keyframes().skip(1).filter(|_| rng.f64() < share).collect();
    }
    source
}

/// Returns `true` if this is the mark of an output of Millrace.
pub(crate) fn is_mark(mark: &str) -> bool {
    Fingerprint::read(mark).is_some()
}
