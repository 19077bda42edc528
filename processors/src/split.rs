//! `split`: an upload becomes an execution's plan and its segments, or a refusal. Nothing is decoded, nothing copied.

pub mod cuts;

use std::sync::Arc;

use async_trait::async_trait;
use millrace_schemas::{
    Fingerprint, OutputPlan, RecordError, Refused, Rendition, Segment, Signal, SourceRef, Started, TrackKind,
    TrackPlan, Upload, execution_id, output_prefix, output_url, rendition_id, source_url,
};
use millrace_topology::{
    Emit, Processor, ProcessorError, Task,
    invariants::{all_segments, debug_hold},
    ports::{AudioSource, Media, PortError, SourceFacts, Storage, VideoSource},
    streams,
};

use tracing::Instrument as _;

use crate::{
    events::Event,
    formats::{self, Format},
    trigger::rules,
};

/// The processor.
pub struct Split<P> {
    ports: Arc<P>,
    /// The scheme of the store that an upload's bucket is in.
    store: String,
}

impl<P> Split<P> {
    /// With these ports; uploads that name a bucket mean one of the store of this scheme.
    pub fn new(ports: Arc<P>, store: &str) -> Self {
        Self { ports, store: store.into() }
    }
}

#[async_trait]
impl<P: Media + Storage> Processor for Split<P> {
    type In = Upload;

    fn read(&self, value: &[u8]) -> Result<Upload, RecordError> {
        Upload::read(value)
    }

    async fn handle(&self, upload: &Upload, task: Task) -> Result<Vec<Emit>, ProcessorError> {
        let source = match self.pin(upload).await {
            Ok(source) => source,
            Err(PortError::Refused(reason)) => {
                return refusal(upload, &self.unpinned(upload), task.appended_ms, &reason);
            }
            Err(error) => return Err(error.into()),
        };
        let execution = execution_id(upload, &source);
        let result = async {
            let facts = self.ports.inspect(&source, upload.segment_time_seconds).await?;
            if upload.labels.contains_key(rules::LABEL)
                && facts.comment.as_deref().is_some_and(|comment| Fingerprint::read(comment).is_some())
            {
                return Ok(None);
            }
            let mut plan = plan(upload, &source, &execution, &facts).map_err(PortError::Refused)?;
            for output in &mut plan.started.outputs {
                output.keep = self.standing(output).await?;
                let known = upload.made.iter().find(|facts| output.keep && facts.url == output.url);
                if let Some(facts) = known
                    && self.ports.size(&output.url).await? == Some(facts.bytes)
                {
                    plan.started.kept.push(facts.clone());
                }
            }
            if plan.started.kept.len() == plan.started.outputs.len() {
                // All is there: there is nothing to make.
                plan.segments.clear();
                plan.started.tracks.clear();
            }
            Ok::<_, PortError>(Some(plan))
        };
        let span = tracing::info_span!("split", execution, source = source.url);
        match result.instrument(span).await {
            Ok(None) => {
                // Whoever watches a place where outputs come to lie would go round in a ring.
                tracing::info!(execution, source = source.url, "an output of Millrace triggers nothing");
                Ok(Vec::new())
            }
            Ok(Some(plan)) => {
                tracing::info!(execution, segments = plan.segments.len(), "planned");
                Ok(publish(upload, &execution, task.appended_ms, plan)?)
            }
            Err(PortError::Refused(reason)) => {
                tracing::warn!(execution, reason, "refused");
                refusal(upload, &source, task.appended_ms, &reason)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn given_up(&self, upload: &Upload, task: Task, reason: &str) -> Vec<Emit> {
        refusal(upload, &self.unpinned(upload), task.now_ms(), reason).unwrap_or_default()
    }
}

impl<P> Split<P> {
    /// A source that could not be looked at: known by what the upload says of it.
    fn unpinned(&self, upload: &Upload) -> SourceRef {
        SourceRef {
            url: source_url(upload, &self.store).unwrap_or_default(),
            version: upload.version.clone().unwrap_or_default(),
            bytes: 0,
        }
    }
}

impl<P: Media + Storage> Split<P> {
    async fn pin(&self, upload: &Upload) -> Result<SourceRef, PortError> {
        let url = source_url(upload, &self.store).map_err(PortError::Refused)?;
        let source = self.ports.pin(&url).await?;
        match &upload.version {
            Some(version) if *version != source.version => Err(PortError::Refused(format!(
                "{url} changed since it was accepted; run it again when it is complete"
            ))),
            _ => Ok(source),
        }
    }

    /// Whether an output is there already; an error where something else is in its place.
    async fn standing(&self, output: &OutputPlan) -> Result<bool, PortError> {
        self.ports.writable(&output.url).await?;
        if self.ports.size(&output.url).await?.is_none() {
            return Ok(false);
        }
        let there = self.ports.comment(&output.url).await?.as_deref().and_then(Fingerprint::read);
        match (there, Fingerprint::read(&output.mark)) {
            (Some(there), Some(asked)) if there.source == asked.source => Ok(there == asked),
            _ if output.overwrite => Ok(false),
            _ => Err(PortError::Refused(format!(
                "{} is there already and did not come from this source; choose another folder, or replace it with --overwrite",
                output.url
            ))),
        }
    }
}

/// A plan: what is told to the aggregation, and the segments.
struct Plan {
    started: Started,
    segments: Vec<Segment>,
}

/// What is to be made of a source. Pure.
fn plan(upload: &Upload, source: &SourceRef, execution: &str, facts: &SourceFacts) -> Result<Plan, String> {
    if facts.video.is_none() && facts.audio.is_none() {
        return Err("there is neither video nor sound in it".into());
    }
    let seconds = formats::segment_time(upload.segment_time_seconds)?;
    formats::deadline(upload.deadline_seconds)?;
    // An attempt that begins afresh has a place of its own: no sweep of what an earlier one left can touch it.
    let work = upload.work.clone().unwrap_or_else(|| format!("{execution}-{}", upload.attempt));
    // SE-1: whoever writes an upload names no place of another.
    if work.strip_prefix(execution).and_then(|rest| rest.strip_prefix('-')?.parse::<i32>().ok()).is_none() {
        return Err(format!("'{work}' is no place of this execution's work; leave 'work' out"));
    }
    let wanted =
        upload.dst_formats.iter().map(|name| formats::format(name)).collect::<Result<Vec<_>, _>>()?;
    if wanted.is_empty() {
        return Err("no format is asked for".into());
    }
    let prefix = output_prefix(upload, &source.url)?;
    let mut segments = Vec::new();
    let mut tracks = Vec::new();
    let mut outputs: Vec<OutputPlan> =
        wanted.iter().map(|format| output(upload, &prefix, &source.url, *format)).collect();
    if let Some(video) = &facts.video {
        let renditions = distinct(&wanted, &mut outputs, |format| Rendition {
            id: String::new(),
            video: Some(formats::video_settings(format, &video.settings)),
            audio: None,
        });
        let ranges = ranges(video, seconds);
        let count = i32::try_from(ranges.len()).map_err(|_| "too many segments; ask for longer ones")?;
        tracks.extend(renditions.iter().map(|rendition| track(rendition, TrackKind::Video, 0, count)));
        for (range, index) in ranges.into_iter().zip(0..) {
            let expected_units = expected_pictures(video, &range);
            let cuts::Range { start, end, seeks } = range;
            segments.push(Segment {
                execution: execution.into(),
                attempt: upload.attempt,
                index,
                video_segments: count,
                source: source.clone(),
                stream: video.stream,
                kind: TrackKind::Video,
                start,
                end,
                seeks,
                renditions: renditions.clone(),
                expected_units,
                work: work.clone(),
            });
        }
    }
    if let Some(audio) = &facts.audio {
        let index = i32::try_from(segments.len()).map_err(|_| "too many segments; ask for longer ones")?;
        let renditions = distinct(&wanted, &mut outputs, |format| Rendition {
            id: String::new(),
            video: None,
            audio: Some(formats::audio_settings(format, audio.sample_rate, audio.channels)),
        });
        tracks.extend(renditions.iter().map(|rendition| track(rendition, TrackKind::Audio, index, 1)));
        segments.push(Segment {
            work: work.clone(),
            ..sound(upload, source, execution, audio, index, renditions)
        });
    }
    for output in &mut outputs {
        let ids: Vec<&str> = output.renditions.iter().map(String::as_str).collect();
        output.mark = Fingerprint::new(source, &output.format, &ids).mark();
    }
    let started = Started {
        source: source.clone(),
        tracks,
        outputs,
        labels: upload.labels.clone(),
        deadline_ms: None,
        work,
        // Tried again, it must be the same execution: of this version of the source.
        upload: Some(Upload { version: Some(source.version.clone()), ..upload.clone() }),
        kept: Vec::new(),
    };
    Ok(Plan { started, segments })
}

fn output(upload: &Upload, prefix: &str, source: &str, format: Format) -> OutputPlan {
    OutputPlan {
        url: output_url(prefix, source, format.name),
        format: format.name.into(),
        renditions: Vec::new(),
        keep: false,
        mark: String::new(),
        overwrite: upload.overwrite,
    }
}

/// The distinct renditions of the formats, each with its id; tells each output which is its.
fn distinct(
    formats: &[Format],
    outputs: &mut [OutputPlan],
    settings: impl Fn(Format) -> Rendition,
) -> Vec<Rendition> {
    let mut found: Vec<Rendition> = Vec::new();
    for (format, output) in formats.iter().zip(outputs) {
        let mut rendition = settings(*format);
        rendition.id = rendition_id(&rendition);
        output.renditions.push(rendition.id.clone());
        if !found.contains(&rendition) {
            found.push(rendition);
        }
    }
    found
}

fn track(rendition: &Rendition, kind: TrackKind, first_segment: i32, segments: i32) -> TrackPlan {
    TrackPlan {
        rendition: rendition.id.clone(),
        kind,
        first_segment,
        segments,
        video: rendition.video.clone(),
    }
}

fn ticks(video: &VideoSource, seconds: f64) -> i64 {
    // A clock is never 0; what is out of range saturates, which cuts once or not at all.
    (seconds / video.settings.time_base.as_f64()) as i64
}

fn ranges(video: &VideoSource, seconds: f64) -> Vec<cuts::Range> {
    let keyframes = if video.trusted { video.keyframes.as_slice() } else { &[] };
    let lead = ticks(video, cuts::LONGEST_LEAD_SECONDS);
    cuts::plan(video.first, video.end, keyframes, ticks(video, seconds), lead)
}

fn expected_pictures(video: &VideoSource, range: &cuts::Range) -> i64 {
    let long = range.end.unwrap_or(video.end) - range.start.unwrap_or(video.first);
    (long as f64 * video.settings.time_base.as_f64() * video.settings.frame_rate.as_f64()).round() as i64
}

fn sound(
    upload: &Upload,
    source: &SourceRef,
    execution: &str,
    audio: &AudioSource,
    index: i32,
    renditions: Vec<Rendition>,
) -> Segment {
    Segment {
        execution: execution.into(),
        attempt: upload.attempt,
        index,
        video_segments: index,
        source: source.clone(),
        stream: audio.stream,
        kind: TrackKind::Audio,
        start: None,
        end: None,
        seeks: Vec::new(),
        renditions,
        expected_units: audio.samples,
        work: String::new(),
    }
}

/// SG-1: the plan and all segments are results of one record, and so in one transaction.
fn publish(upload: &Upload, execution: &str, at_ms: i64, plan: Plan) -> Result<Vec<Emit>, RecordError> {
    let Plan { mut started, segments } = plan;
    debug_hold(|| all_segments(&started, segments.iter().map(|segment| segment.index)));
    // Counted from when the upload was asked for, however often it is redelivered.
    started.deadline_ms =
        upload.deadline_seconds.map(|seconds| at_ms.saturating_add((seconds * 1000.0) as i64));
    let detail = format!("{} segments of {}", segments.len(), started.source.url);
    let mut signal = Signal::new(execution, upload.attempt, at_ms);
    signal.started = Some(started);
    let mut emits = vec![Emit::new(streams::TRANSCODED, execution, &signal)?];
    // Sound first: it is one task, and nothing that follows it waits for it.
    let (sound, pictures): (Vec<_>, Vec<_>) = segments.iter().partition(|s| s.kind == TrackKind::Audio);
    for segment in sound.into_iter().chain(pictures) {
        emits.push(Emit::dealt(streams::SEGMENTS, execution, segment.index.unsigned_abs(), segment)?);
    }
    let event = Event {
        execution,
        attempt: upload.attempt,
        at_ms,
        processor: "split",
        event: "started",
        detail,
        elapsed_ms: None,
    };
    emits.push(event.emit()?);
    Ok(emits)
}

fn refusal(
    upload: &Upload,
    source: &SourceRef,
    at_ms: i64,
    reason: &str,
) -> Result<Vec<Emit>, ProcessorError> {
    let execution = execution_id(upload, source);
    let mut signal = Signal::new(&execution, upload.attempt, at_ms);
    // Tried again, it must be the same execution: of this version of the source, if one was seen.
    let version = upload.version.clone().or_else(|| Some(source.version.clone()).filter(|v| !v.is_empty()));
    let again = Upload { version, ..upload.clone() };
    signal.refused = Some(Refused { source: source.url.clone(), reason: reason.into(), upload: Some(again) });
    Ok(vec![Emit::new(streams::TRANSCODED, &execution, &signal)?])
}

#[cfg(test)]
mod tests {
    use millrace_schemas::{Color, Ratio, Seek, SeekBy, VideoSettings, frame::Record as _};
    use millrace_topology::ports::Keyframe;
    use proptest::prelude::*;

    use super::*;

    fn facts() -> SourceFacts {
        let settings = VideoSettings {
            codec: String::new(),
            preset: String::new(),
            crf: 0.0,
            width: 640,
            height: 360,
            pixel_format: "yuv420p".into(),
            time_base: Ratio { num: 1, den: 1000 },
            frame_rate: Ratio { num: 25, den: 1 },
            sample_aspect: Ratio { num: 1, den: 1 },
            color: Color { primaries: 1, transfer: 1, matrix: 1, range: 1, chroma: 1 },
            rotation: 0,
        };
        let keyframe = |i: i64| Keyframe { pts: i * 1000, seek: Seek { by: SeekBy::Time, at: i * 1000 } };
        SourceFacts {
            video: Some(VideoSource {
                stream: 0,
                settings,
                first: 0,
                end: 30_000,
                keyframes: (0..30).map(keyframe).collect(),
                trusted: true,
            }),
            audio: Some(AudioSource { stream: 1, sample_rate: 48_000, channels: 2, samples: 1_440_000 }),
            comment: None,
        }
    }

    fn planned(facts: &SourceFacts, json: &str) -> Result<Plan, String> {
        let source = SourceRef { url: "file:///a.mov".into(), version: "1".into(), bytes: 1 };
        plan(&Upload::read(json.as_bytes()).unwrap(), &source, "e", facts)
    }

    const BOTH: &str = r#"{"source": "file:///a.mov", "output_prefix": "file:///o", "segment_time_seconds": 5,
        "dst_formats": ["mp4", "flv"]}"#;

    #[test]
    fn formats_of_equal_settings_cost_one_encode() {
        let plan = planned(&facts(), BOTH).unwrap();
        assert_eq!(plan.started.tracks.len(), 2);
        assert_eq!(plan.started.outputs.len(), 2);
        assert_eq!(plan.started.outputs[0].renditions, plan.started.outputs[1].renditions);
        assert!(plan.segments.iter().all(|segment| segment.renditions.len() == 1));
    }

    #[test]
    fn segments_are_numbered_video_first_and_sound_is_whole() {
        let plan = planned(&facts(), BOTH).unwrap();
        assert_eq!(plan.segments.iter().map(|s| s.index).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6]);
        let sound = &plan.segments[6];
        assert_eq!((sound.kind, sound.start, sound.end), (TrackKind::Audio, None, None));
        assert_eq!(plan.segments[0].expected_units, 125);
    }

    proptest! {
        /// SG-1: whatever is asked for, what is published is the plan and all of its segments.
        #[test]
        fn a_plan_is_published_with_all_of_its_segments(
            seconds in 0.2..40.0_f64, formats in 1..4_usize, video: bool, audio: bool, attempt in 1..4,
        ) {
            let mut facts = facts();
            facts.video = facts.video.filter(|_| video);
            facts.audio = facts.audio.filter(|_| audio);
            let upload = Upload {
                segment_time_seconds: seconds,
                dst_formats: ["mp4", "flv", "mp4"][..formats].iter().map(|f| (*f).to_owned()).collect(),
                attempt,
                ..Upload::of("file:///a.mov", "file:///o")
            };
            let source = SourceRef { url: "file:///a.mov".into(), version: "1".into(), bytes: 1 };
            let Ok(plan) = plan(&upload, &source, "e", &facts) else {
                prop_assert!(!video && !audio);
                return Ok(());
            };
            let emits = publish(&upload, "e", 7, plan).unwrap();
            let on = |stream: &str| -> Vec<Vec<u8>> {
                emits.iter().filter(|e| e.stream == stream).filter_map(|e| e.value.clone()).collect()
            };
            let signal = Signal::decode(&on("transcoded-segments")[0]).unwrap();
            let segments: Vec<Segment> = on("segments").iter().map(|v| Segment::decode(v).unwrap()).collect();
            prop_assert_eq!(all_segments(&signal.started.unwrap(), segments.iter().map(|s| s.index)), Ok(()));
            let work = format!("e-{attempt}");
            prop_assert!(segments.iter().all(|segment| segment.work() == work));
        }
    }

    #[test]
    fn timestamps_that_cannot_be_trusted_make_one_segment() {
        let mut facts = facts();
        if let Some(video) = &mut facts.video {
            video.trusted = false;
        }
        assert_eq!(planned(&facts, BOTH).unwrap().started.tracks[0].segments, 1);
    }

    #[test]
    fn no_upload_reaches_the_work_of_another_execution() {
        let work = |name: &str| BOTH.replacen('{', &format!(r#"{{"work": "{name}", "#), 1);
        assert!(planned(&facts(), &work("e-3")).is_ok());
        for name in ["../e-1", "f-1", "e-1/../f-1", "e-", "e", "/tmp"] {
            assert!(planned(&facts(), &work(name)).is_err(), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_planned_is_refused_with_a_reason() {
        let nothing = SourceFacts { video: None, audio: None, comment: None };
        assert!(planned(&nothing, BOTH).is_err());
        let format = r#"{"source": "f", "output_prefix": "o", "dst_formats": ["avi"]}"#;
        assert!(planned(&facts(), format).err().unwrap().contains("mp4, flv"));
        let time = r#"{"source": "f", "output_prefix": "o", "segment_time_seconds": 0}"#;
        assert!(planned(&facts(), time).is_err());
    }
}
