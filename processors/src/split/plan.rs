//! What is to be made of a source: tracks, segments and outputs. Pure.

use millrace_schemas::{
    Fingerprint, OutputPlan, Rendition, Segment, SideSettings, SourceRef, Started, TrackKind, TrackPlan,
    TrackTags, Upload, output_prefix, output_url, rendition_id,
};
use millrace_topology::ports::{AudioSource, SourceFacts, VideoSource};

use super::{cuts, extras};
use crate::formats::{self, Format};

/// A plan: what is told to the aggregation, the segments, and what of the source is in no output.
pub(super) struct Plan {
    pub(super) started: Started,
    pub(super) segments: Vec<Segment>,
    pub(super) left_out: Vec<String>,
}

/// The shortest part of a long sound track, in seconds: what leads into a part is a hundredth of it.
const SHORTEST_PART_SECONDS: f64 = 60.0;
/// A part of sound costs what a picture's hundredth does: it may be longer than a segment of the video.
const SEGMENTS_A_PART: f64 = 4.0;

/// What is to be made of a source.
pub(super) fn plan(
    upload: &Upload,
    source: &SourceRef,
    execution: &str,
    facts: &SourceFacts,
) -> Result<Plan, String> {
    if facts.video.is_none() && facts.sounds.is_empty() {
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
    let outputs = wanted.iter().map(|format| output(upload, &prefix, &source.url, facts, *format)).collect();
    let blank = Segment {
        execution: execution.into(),
        attempt: upload.attempt,
        index: 0,
        video_segments: 0,
        source: source.clone(),
        stream: 0,
        kind: TrackKind::Video,
        start: None,
        end: None,
        seeks: Vec::new(),
        renditions: Vec::new(),
        expected_units: 0,
        work: work.clone(),
        jumps: facts.jumps.clone(),
        longest_gap: 0,
        last_time: 0,
    };
    let mut building = Building { wanted, outputs, blank, segments: Vec::new(), tracks: Vec::new() };
    if let Some(video) = &facts.video {
        building.pictures(video, seconds)?;
    }
    building.blank.kind = TrackKind::Audio;
    building.blank.video_segments = building.count()?;
    let first = facts.sounds.iter().position(|sound| sound.tags.dispositions & DEFAULT != 0).unwrap_or(0);
    for (number, sound) in facts.sounds.iter().enumerate() {
        building.sound(sound, number, number == first, seconds)?;
    }
    for (number, side) in facts.sides.iter().enumerate() {
        let settings = SideSettings { codec: side.codec.clone() };
        let rendition = Rendition { id: String::new(), video: None, audio: None, side: Some(settings) };
        let renditions = building.distinct(number, |format| format.holds_all.then(|| rendition.clone()));
        building.add(side.stream, &[(None, None)], &renditions, Some(&side.tags))?;
    }
    let Building { mut outputs, segments, tracks, .. } = building;
    for output in &mut outputs {
        let mut shaped: Vec<&str> = output.renditions.iter().map(String::as_str).collect();
        shaped.extend(upload.keep_location.then_some("location"));
        output.mark = Fingerprint::new(source, &output.format, &shaped).mark();
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
        warnings: facts.warnings.clone(),
    };
    Ok(Plan { started, segments, left_out: facts.left_out.clone() })
}

/// libavformat's `AV_DISPOSITION_DEFAULT`.
const DEFAULT: i32 = 1;

fn output(upload: &Upload, prefix: &str, source: &str, facts: &SourceFacts, format: Format) -> OutputPlan {
    OutputPlan {
        url: output_url(prefix, source, format.name),
        format: format.name.into(),
        renditions: Vec::new(),
        keep: false,
        mark: String::new(),
        overwrite: upload.overwrite,
        extras: Some(extras::of(facts, format, upload.keep_location)),
    }
}

/// A plan that is being made.
struct Building {
    wanted: Vec<Format>,
    outputs: Vec<OutputPlan>,
    /// What all segments have in common.
    blank: Segment,
    segments: Vec<Segment>,
    tracks: Vec<TrackPlan>,
}

impl Building {
    fn count(&self) -> Result<i32, String> {
        i32::try_from(self.segments.len()).map_err(|_| "too many segments; ask for longer ones".into())
    }

    fn pictures(&mut self, video: &VideoSource, seconds: f64) -> Result<(), String> {
        let renditions = self.distinct(0, |format| {
            let settings = formats::video_settings(format, &video.settings);
            Some(Rendition { id: String::new(), video: Some(settings), audio: None, side: None })
        });
        let ranges = ranges(video, seconds);
        let count = i32::try_from(ranges.len()).map_err(|_| "too many segments; ask for longer ones")?;
        self.tracks
            .extend(renditions.iter().map(|rendition| track(rendition, TrackKind::Video, 0, count, None)));
        for (range, index) in ranges.into_iter().zip(0..) {
            let expected_units = expected_pictures(video, &range);
            let cuts::Range { start, end, seeks } = range;
            self.segments.push(Segment {
                index,
                video_segments: count,
                stream: video.stream,
                start,
                end,
                seeks,
                renditions: renditions.clone(),
                expected_units,
                longest_gap: video.longest_gap,
                last_time: video.last_time,
                ..self.blank.clone()
            });
        }
        Ok(())
    }

    /// Adds a sound track; `alone` where it is the one for formats that hold one.
    fn sound(&mut self, sound: &AudioSource, number: usize, alone: bool, seconds: f64) -> Result<(), String> {
        let renditions = self.distinct(number, |format| {
            let settings = formats::audio_settings(format, sound.sample_rate, sound.channels);
            let rendition = Rendition { id: String::new(), video: None, audio: Some(settings), side: None };
            (format.holds_all || alone).then_some(rendition)
        });
        self.add(sound.stream, &parts(sound, &renditions, seconds), &renditions, Some(&sound.tags))?;
        for segment in self.segments.iter_mut().filter(|segment| segment.stream == sound.stream) {
            segment.expected_units = sound.samples;
        }
        Ok(())
    }

    /// Adds a track that is no video, of these ranges.
    fn add(
        &mut self,
        stream: i32,
        ranges: &[(Option<i64>, Option<i64>)],
        renditions: &[Rendition],
        tags: Option<&TrackTags>,
    ) -> Result<(), String> {
        if renditions.is_empty() {
            return Ok(());
        }
        let index = self.count()?;
        let count = i32::try_from(ranges.len()).map_err(|_| "too many parts of sound")?;
        self.tracks.extend(renditions.iter().map(|r| track(r, TrackKind::Audio, index, count, tags)));
        for ((start, end), index) in ranges.iter().zip(index..) {
            self.segments.push(Segment {
                index,
                stream,
                start: *start,
                end: *end,
                renditions: renditions.to_vec(),
                ..self.blank.clone()
            });
        }
        Ok(())
    }

    /// The distinct renditions of one track of its kind, each with its id; tells each output which is its. A format that takes
    /// none gives none.
    fn distinct(&mut self, number: usize, settings: impl Fn(Format) -> Option<Rendition>) -> Vec<Rendition> {
        let mut found: Vec<Rendition> = Vec::new();
        for (format, output) in self.wanted.iter().zip(&mut self.outputs) {
            let Some(mut rendition) = settings(*format) else { continue };
            rendition.id = rendition_id(&rendition);
            if number > 0 {
                // Another track with the same settings is another rendition.
                rendition.id = format!("{}.{number}", rendition.id);
            }
            output.renditions.push(rendition.id.clone());
            if !found.contains(&rendition) {
                found.push(rendition);
            }
        }
        found
    }
}

fn track(
    rendition: &Rendition,
    kind: TrackKind,
    first_segment: i32,
    segments: i32,
    tags: Option<&TrackTags>,
) -> TrackPlan {
    TrackPlan {
        rendition: rendition.id.clone(),
        kind,
        first_segment,
        segments,
        video: rendition.video.clone(),
        tags: tags.cloned(),
    }
}

/// The parts of a sound track: one, but for long sound that can be cut. Then they lie on the codec's frame grid, which all
/// renditions must share, at the source's own rate: a resampler that begins elsewhere gives other samples.
fn parts(sound: &AudioSource, renditions: &[Rendition], seconds: f64) -> Vec<(Option<i64>, Option<i64>)> {
    let whole = vec![(None, None)];
    let grid = |rendition: &Rendition| {
        let settings = rendition.audio.as_ref().filter(|audio| audio.sample_rate == sound.sample_rate)?;
        formats::sound_grid(settings)
    };
    let mut grids: Vec<Option<i64>> = renditions.iter().map(grid).collect();
    grids.dedup();
    let (Some(first), [Some(grid)]) = (sound.first, grids.as_slice()) else { return whole };
    let part = (SHORTEST_PART_SECONDS.max(SEGMENTS_A_PART * seconds) * f64::from(sound.sample_rate)) as i64;
    cuts::parts(first, sound.samples, part, *grid)
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

#[cfg(test)]
mod tests {
    use millrace_schemas::{Color, Ratio, Seek, SeekBy, Signal, VideoSettings, frame::Record as _};
    use millrace_topology::{
        invariants::all_segments,
        ports::{Keyframe, SideSource},
    };
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
            mirrored: false,
            field_order: 0,
            source_color: None,
            tone_map: false,
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
                longest_gap: 0,
                last_time: 0,
            }),
            sounds: vec![sound(1)],
            ..SourceFacts::default()
        }
    }

    fn sound(stream: i32) -> AudioSource {
        AudioSource {
            stream,
            sample_rate: 48_000,
            channels: 2,
            samples: 1_440_000,
            first: None,
            tags: TrackTags::default(),
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

    #[test]
    fn formats_of_one_sound_track_take_the_default_and_others_all() {
        let mut facts = facts();
        facts.sounds = vec![sound(1), sound(2), sound(3)];
        facts.sounds[1].tags.dispositions = DEFAULT;
        let plan = planned(&facts, BOTH).unwrap();
        let [mp4, flv] = plan.started.outputs.as_slice() else { panic!("two outputs") };
        assert_eq!(mp4.renditions.len(), 4);
        assert_eq!(flv.renditions, [mp4.renditions[0].clone(), mp4.renditions[2].clone()]);
        let mut ids: Vec<_> = plan.started.tracks.iter().map(|track| track.rendition.clone()).collect();
        ids.dedup();
        assert_eq!(ids.len(), 4, "equal settings of two tracks are two renditions");
    }

    #[test]
    fn long_sound_without_holes_is_cut_on_the_grid_and_other_sound_is_whole() {
        let mut facts = facts();
        facts.sounds[0] = AudioSource { samples: 48_000 * 600, first: Some(-7), ..sound(1) };
        let plan = planned(&facts, BOTH).unwrap();
        let parts: Vec<_> = plan.segments.iter().filter(|s| s.stream == 1).collect();
        assert_eq!(parts.len(), 10);
        assert_eq!((parts[0].start, parts[9].end), (None, None));
        for pair in parts.windows(2) {
            assert_eq!(pair[0].end, pair[1].start);
            assert_eq!((pair[1].start.unwrap() + 7) % 1024, 0);
        }
        facts.sounds[0].sample_rate = 10_000;
        let plan = planned(&facts, BOTH).unwrap();
        assert_eq!(plan.segments.iter().filter(|s| s.stream == 1).count(), 1, "it is resampled");
    }

    #[test]
    fn what_lies_beside_goes_to_formats_that_hold_it() {
        let mut facts = facts();
        facts.sides = vec![SideSource { stream: 2, codec: "mov_text".into(), tags: TrackTags::default() }];
        let plan = planned(&facts, BOTH).unwrap();
        assert_eq!(plan.started.outputs[0].renditions.len(), 3);
        assert_eq!(plan.started.outputs[1].renditions.len(), 2);
    }

    proptest! {
        /// SG-1: whatever is asked for, what is published is the plan and all of its segments.
        #[test]
        fn a_plan_is_published_with_all_of_its_segments(
            seconds in 0.2..40.0_f64, formats in 1..4_usize, video: bool, audio: bool, attempt in 1..4,
        ) {
            let mut facts = facts();
            facts.video = facts.video.filter(|_| video);
            facts.sounds.retain(|_| audio);
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
            let emits = super::super::publish(&upload, "e", 7, plan).unwrap();
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
        let nothing = SourceFacts::default();
        assert!(planned(&nothing, BOTH).is_err());
        let format = r#"{"source": "f", "output_prefix": "o", "dst_formats": ["avi"]}"#;
        assert!(planned(&facts(), format).err().unwrap().contains("mp4, flv"));
        let time = r#"{"source": "f", "output_prefix": "o", "segment_time_seconds": 0}"#;
        assert!(planned(&facts(), time).is_err());
    }
}
