//! The plan of an execution: tracks, segments and outputs. Pure.

mod renditions;
#[cfg(test)]
mod tests;

use millrace_formats::{Seams, bit_rate::hold_segments};
use millrace_profiles::{Request, Wanted, WaveformAsked, for_source};
use millrace_schemas::{
    AudioTrack, AuxiliaryTrack, Encoders, Fingerprint, OutputPlan, PackagePlan, PicturesPlan, Protection,
    Ratio, Rendition, Seek, SeekBy, Segment, SideSettings, SourceFacts, SourceRef, Started, TrackKind,
    TrackPlan, TrackTags, Trim, Upload, VideoTrack, WaveformPlan, WorkPrefix, hash_of, output_prefix,
    rendition_id,
};

use self::renditions::{choose_encoder, has_average, is_copy, is_kept, nothing, track};
use super::{
    cuts, extras,
    grid::{SourceGrid, by_grid},
    longest,
    ranges::{expected_pictures, lengths, parts, ranges},
    ranks::{DEFAULT, audio_ranks},
    trim,
};
use crate::request::{self, tables};

/// The plan of an execution.
pub(super) struct Plan {
    /// The plan as `assemble` gets it.
    pub(super) started: Started,
    /// All segments, in the order of their indices.
    pub(super) segments: Vec<Segment>,
    /// The streams of the source that are in no output, each with the reason.
    pub(super) left_out: Vec<String>,
    /// The duration of what is made, in seconds; `None` if the source does not state it.
    pub(super) seconds: Option<f64>,
}

/// Plans an execution.
///
/// # Errors
/// If the upload or the source can't be processed, with the reason for the user.
pub(super) fn plan(
    upload: &Upload,
    source: &SourceRef,
    execution: &str,
    facts: &SourceFacts,
    encoders: &Encoders,
) -> Result<Plan, String> {
    if facts.video.is_none() && facts.audio.is_empty() {
        return Err("the source has neither video nor audio".into());
    }
    let seconds = request::segment_time(upload.segment_time_seconds)?;
    request::deadline(upload.deadline_seconds)?;
    // An attempt that begins afresh has a prefix of its own: no sweep of what an earlier one left can touch it.
    let work = match &upload.work {
        None => WorkPrefix::new(execution, upload.attempt),
        // SE-1: whoever writes an upload names no work of another execution.
        Some(work) => work
            .parse()
            .ok()
            .filter(|prefix: &WorkPrefix| prefix.execution() == execution)
            .ok_or_else(|| format!("'{work}' is no place of this execution's work; leave 'work' out"))?,
    };
    let work = work.to_string();
    let Request { outputs: mut wanted, terms } = request::wanted(upload)?;
    terms.check(facts)?;
    wanted = for_source(wanted, facts)?;
    if let Some(reason) = facts
        .video
        .as_ref()
        .and_then(|video| wanted.iter().find_map(|wanted| wanted.picture_refusal(&video.picture)))
    {
        return Err(reason);
    }
    let whole = facts;
    let part = terms.trim.as_ref().map(|asked| trim::resolve(asked, facts, &wanted)).transpose()?;
    let cut = part.map(|part| trim::cut(facts, part));
    let facts = cut.as_ref().unwrap_or(facts);
    let seconds_made = trim::duration(facts, &wanted);
    for wanted in &mut wanted {
        let zero = |facts| trim::zero(facts, std::slice::from_ref(wanted));
        let zeros = (zero(facts), zero(whole));
        wanted.set_source((facts, &source.url), zeros, tables())?;
    }
    longest::check(facts, wanted.iter().map(|wanted| wanted.container))?;
    let prefix = output_prefix(upload, &source.url)?;
    let outputs =
        wanted.iter().map(|wanted| output(upload, (&prefix, &work), &source.url, facts, wanted)).collect();
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
        jumps: facts.discontinuities.clone(),
        longest_gap: 0,
        last_time: 0,
        also: Vec::new(),
        shape: None,
        states: Vec::new(),
        replaces: Vec::new(),
        trim: part,
    };
    let mut builder = PlanBuilder {
        encoders,
        wanted,
        outputs,
        blank,
        segments: Vec::new(),
        tracks: Vec::new(),
        carried: 0,
    };
    if let Some(video) = &facts.video {
        builder.add_video(video, seconds)?;
    }
    builder.blank.kind = TrackKind::Audio;
    builder.blank.video_segments = builder.count()?;
    let ranks = audio_ranks(&facts.audio);
    for (number, (sound, rank)) in facts.audio.iter().zip(&ranks).enumerate() {
        // The one that plays comes first, for formats that hold fewer.
        let earlier = facts.audio.iter().zip(&ranks).filter(|(_, other)| *other < rank);
        builder.add_audio(sound, number, &earlier.map(|(other, _)| other).collect::<Vec<_>>(), seconds)?;
    }
    builder.note_languages();
    for (number, side) in facts.auxiliary.iter().enumerate() {
        let codec = tables().codec(&side.codec)?;
        let is_like = |other: &&AuxiliaryTrack| {
            tables().codec(&other.codec).is_ok_and(|other| other.is_text() == codec.is_text())
        };
        let rank = facts.auxiliary.iter().take(number).filter(is_like).count();
        let renditions = builder.distinct(number, |wanted| {
            // What is laid over the pictures is not shown twice.
            let is_burnt = wanted.burnt_track() == Some(side.stream);
            let held = wanted.container.side(codec).filter(|(_, most)| rank < *most && !is_burnt).into_iter();
            let side = held.map(|(held, _)| SideSettings { codec: held.name().into() });
            Ok(side.map(|side| Rendition { side: Some(side), ..nothing() }).collect())
        })?;
        builder.add_track(side.stream, &[(None, None)], &renditions, Some(&side.tags))?;
    }
    builder.check_outputs()?;
    let PlanBuilder { wanted, mut outputs, segments, tracks, .. } = builder;
    let part_text = part.map(|Trim { from, to }| format!("trim {from} {to:?}"));
    for (output, wanted) in outputs.iter_mut().zip(&wanted) {
        let mut shaped: Vec<&str> = output.renditions.iter().map(String::as_str).collect();
        shaped.extend(upload.keep_location.then_some("location"));
        // Renditions are named by their settings, which are those of the whole source, too.
        shaped.extend(part_text.as_deref());
        // How pictures are put into files is in no rendition.
        let put = output.pictures.as_ref().map(|pictures| {
            let PicturesPlan { format, best, columns, rows, plays, seconds: _ } = pictures;
            format!("pictures {format} {best} {columns} {rows} {plays}")
        });
        shaped.extend(put.as_deref());
        let drawn = output.waveform.as_ref().map(|waveform| {
            let WaveformPlan { width, height, color, background, split_channels } = waveform;
            format!("waveform {width} {height} {color} {background} {split_channels}")
        });
        shaped.extend(drawn.as_deref());
        // What follows from the attempt is no difference.
        let asked = wanted.protection().map(Protection::text);
        shaped.extend(asked.as_deref());
        output.mark = Fingerprint::new(source, &output.format, &shaped).mark();
    }
    let started = Started {
        source: source.clone(),
        tracks,
        outputs,
        labels: upload.labels.clone(),
        deadline_ms: None,
        work,
        // A further attempt must be the same execution, so it needs the version of the source.
        upload: Some(Upload { version: Some(source.version.clone()), ..upload.clone() }),
        kept: Vec::new(),
        warnings: facts.warnings.clone(),
    };
    Ok(Plan { started, segments, left_out: facts.left_out.clone(), seconds: seconds_made })
}

fn output(
    upload: &Upload,
    (prefix, work): (&str, &str),
    source: &str,
    facts: &SourceFacts,
    wanted: &Wanted,
) -> OutputPlan {
    let url = wanted.output_url(prefix, source);
    let package = wanted.container.manifest().map(|_| PackagePlan {
        // Single pictures have no segments.
        segment_seconds: wanted.division().map_or(0.0, |division| division.segment_seconds),
        single: wanted.division().is_some_and(|division| division.single),
        // Each attempt has another, so that nothing that a player reads is replaced.
        folder: hash_of(&[work, url.as_str()]).chars().take(8).collect(),
        protection: wanted.protection().map(|protection| with_vector(protection, (work, &url))),
    });
    let seconds = facts.video.as_ref().map_or(0.0, |video| {
        video.end.saturating_sub(video.first).max(0) as f64 * video.picture.time_base.as_f64()
    });
    OutputPlan {
        url,
        format: wanted.container.name.into(),
        renditions: Vec::new(),
        keep: false,
        mark: String::new(),
        overwrite: upload.overwrite,
        extras: Some(extras::copied(facts, wanted, upload.keep_location)),
        remarks: extras::timecode_remark(facts, wanted).into_iter().collect(),
        package,
        pictures: wanted.pictures_asked().map(|asked| asked.plan(seconds)),
        waveform: wanted.waveform().map(WaveformAsked::plan),
    }
}

/// Returns the encryption of an attempt. Samples have an initialization vector, which no two attempts share unless it is asked for.
fn with_vector(asked: &Protection, (work, url): (&str, &str)) -> Protection {
    let mut protection = asked.clone();
    if protection.method == Protection::SAMPLES && protection.vector.is_empty() {
        protection.vector = ["vector", "vector, continued"].map(|text| hash_of(&[text, work, url])).concat();
    }
    protection
}

/// A plan that is being made.
struct PlanBuilder<'a> {
    encoders: &'a Encoders,
    wanted: Vec<Wanted>,
    outputs: Vec<OutputPlan>,
    /// The values that all segments have in common.
    blank: Segment,
    segments: Vec<Segment>,
    tracks: Vec<TrackPlan>,
    /// The size of the timestamp corrections and codec headers in all segments, in bytes.
    carried: usize,
}

impl PlanBuilder<'_> {
    fn count(&self) -> Result<i32, String> {
        i32::try_from(self.segments.len()).map_err(|_| too_many())
    }

    /// Reserves memory for `count` segments like this one, before any of them is made.
    ///
    /// # Errors
    /// If the plan would have too many segments, or [more](MOST_CARRIED) than records can carry.
    fn reserve(&mut self, count: usize, like: &Segment) -> Result<(), String> {
        if self.segments.len().saturating_add(count) > cuts::MOST_SEGMENTS {
            return Err(too_many());
        }
        let each = 8 * like.jumps.len() + like.states.iter().map(String::len).sum::<usize>();
        self.carried = self.carried.saturating_add(each.saturating_mul(count));
        if self.carried > MOST_CARRIED {
            return Err("its clock jumps, or its codec headers change, too often to be cut so often; ask for a longer \
                 --segment-time"
                .into());
        }
        self.segments.reserve(count);
        Ok(())
    }

    fn add_video(&mut self, video: &VideoTrack, seconds: f64) -> Result<(), String> {
        let refusal =
            |wanted: &Wanted| wanted.settings_refusal(&wanted.video_settings(&video.picture)?, tables());
        if let Some(reason) = self.wanted.iter().find_map(refusal) {
            return Err(reason);
        }
        let is_trimmed = self.blank.trim.is_some();
        let renditions = self.distinct(0, |wanted| {
            let settings = wanted.all_pictures(tables(), video, is_trimmed)?.into_iter();
            Ok(settings.map(|video| Rendition { video: Some(video), ..nothing() }).collect())
        })?;
        // A task encodes or copies. Encodes come first: they are what the progress of an execution is counted by.
        let (copies, encodes): (Vec<_>, Vec<_>) = renditions.into_iter().partition(is_copy);
        // What is made in passes is made by itself, so that passes make nothing else again.
        let (averages, encodes): (Vec<_>, Vec<_>) = encodes.into_iter().partition(has_average);
        // Single pictures ride on the decode of others, whatever these are cut by.
        let (kept, encodes): (Vec<_>, Vec<_>) = encodes.into_iter().partition(is_kept);
        let clock = video.picture.time_base;
        let mut groups: Vec<_> =
            [encodes, averages].into_iter().flat_map(|all| by_grid(all, clock)).collect();
        match groups.first_mut() {
            Some((_, renditions)) => renditions.extend(kept),
            None => groups.push((None, kept)),
        }
        for (grid, renditions) in groups {
            self.add_pictures(video, renditions, seconds, grid)?;
        }
        self.add_pictures(video, copies, seconds, None)
    }

    /// Adds the segments of a track of pictures for these renditions, cut on their grid of keyframes if they have one.
    fn add_pictures(
        &mut self,
        video: &VideoTrack,
        mut renditions: Vec<Rendition>,
        seconds: f64,
        grid: Option<SourceGrid>,
    ) -> Result<(), String> {
        if renditions.is_empty() {
            return Ok(());
        }
        // A copy is one segment: it is cut nowhere, so that nothing depends on what its container says of keyframes.
        let is_whole =
            |rendition: &Rendition| is_copy(rendition) || tables().seams(rendition) == Some(Seams::Whole);
        let mut ranges = if renditions.iter().any(is_whole) {
            vec![cuts::Range { start: None, end: None, seeks: Vec::new() }]
        } else {
            grid.map_or_else(|| ranges(video, seconds), |grid| grid.ranges(video, seconds))
        };
        let lengths = lengths(video, &ranges);
        let settings = renditions.iter_mut().filter_map(|rendition| rendition.video.as_mut());
        for rate in settings.filter_map(|settings| settings.bit_rate.as_mut()) {
            *rate = hold_segments(*rate, &lengths);
        }
        let Ratio { num, den } = video.picture.time_base;
        let from = self.blank.trim.map(|trim| trim.ticks((i64::from(num), i64::from(den))).0);
        if let Some(first) = ranges.first_mut().filter(|_| from == Some(video.first)) {
            let keyframes = if video.trusted { video.keyframes.as_slice() } else { &[] };
            first.seeks = cuts::seeks_of_part(keyframes, video.first);
        }
        let count = i32::try_from(ranges.len()).map_err(|_| too_many())?;
        let blank = Segment {
            video_segments: count,
            stream: video.stream,
            renditions: renditions.clone(),
            longest_gap: video.longest_gap,
            last_time: video.last_time,
            also: video.more_streams.clone(),
            shape: video.shape.clone(),
            states: video.states.clone(),
            ..self.blank.clone()
        };
        self.reserve(ranges.len(), &blank)?;
        let first = self.count()?;
        let source = Some(blank.track_source());
        self.tracks.extend(renditions.iter().map(|rendition| TrackPlan {
            source: source.clone(),
            ..track(rendition, TrackKind::Video, first, count, None)
        }));
        for (range, index) in ranges.into_iter().zip(first..) {
            let expected_units = expected_pictures(video, &range, &renditions);
            let cuts::Range { start, end, seeks } = range;
            self.segments.push(Segment { index, start, end, seeks, expected_units, ..blank.clone() });
        }
        Ok(())
    }

    /// Adds a sound track, for the formats that have room for it behind the tracks `before` it.
    fn add_audio(
        &mut self,
        sound: &AudioTrack,
        number: usize,
        before: &[&AudioTrack],
        seconds: f64,
    ) -> Result<(), String> {
        let is_trimmed = self.blank.trim.is_some();
        let all = |wanted: &Wanted, of: &AudioTrack| wanted.sound(tables(), of, is_trimmed);
        let held = |wanted: &Wanted| {
            let taken: usize = before.iter().map(|other| all(wanted, other).map_or(0, |all| all.len())).sum();
            let room = wanted.container.audio.most.saturating_sub(taken);
            if room == 0 {
                return Ok(Vec::new());
            }
            all(wanted, sound).map(|all| all.into_iter().take(room).collect())
        };
        let mut defaults = Vec::new();
        let renditions = self.distinct(number, |wanted| {
            let rendition = |audio| Rendition { audio: Some(audio), ..nothing() };
            Ok(held(wanted)?.into_iter().map(|(settings, _)| rendition(settings)).collect())
        })?;
        for (wanted, output) in self.wanted.iter().zip(&mut self.outputs) {
            let remarks = held(wanted)?.into_iter().filter_map(|(_, remark)| remark);
            remarks.for_each(|remark| {
                if !output.remarks.contains(&remark) {
                    output.remarks.push(remark);
                }
            });
            let is_of_it = |id: &&String| renditions.iter().any(|rendition| rendition.id == **id);
            defaults.extend(output.renditions.iter().find(is_of_it).cloned());
        }
        let (copies, encodes): (Vec<_>, Vec<_>) = renditions.into_iter().partition(is_copy);
        self.blank.also.clone_from(&sound.more_streams);
        let first = self.tracks.len();
        self.add_track(sound.stream, &parts(sound, &encodes, seconds), &encodes, Some(&sound.tags))?;
        self.add_track(sound.stream, &[(None, None)], &copies, Some(&sound.tags))?;
        self.blank.also.clear();
        // Of several encodings of a track only the first one plays by default.
        let others = self.tracks.iter_mut().skip(first).filter(|track| !defaults.contains(&track.rendition));
        others.filter_map(|track| track.tags.as_mut()).for_each(|tags| tags.dispositions &= !DEFAULT);
        let from = self.blank.trim.map(|trim| trim.samples(i64::from(sound.sound.sample_rate)).0);
        for segment in self.segments.iter_mut().filter(|segment| segment.stream == sound.stream) {
            segment.expected_units = sound.samples;
            // Where timestamps are exact, which they are in samples, sound can be read from anywhere.
            let is_first = segment.start.is_none() && sound.first == from;
            let at = from.filter(|_| is_first);
            segment.seeks.extend(at.map(|at| Seek { by: SeekBy::Time, at, state: 0 }));
        }
        Ok(())
    }

    /// Says of outputs without audio that the source has none in the languages that are asked for.
    fn note_languages(&mut self) {
        for (wanted, output) in self.wanted.iter().zip(&mut self.outputs) {
            let languages = wanted.languages();
            let mut audio = self.tracks.iter().filter(|track| track.audio.is_some());
            if !languages.is_empty() && !audio.any(|track| output.renditions.contains(&track.rendition)) {
                let languages = languages.join(" or ");
                output.remarks.push(format!("it has no audio: the source has none in {languages}"));
            }
        }
    }

    /// Adds an audio or auxiliary track, with a segment for each range.
    fn add_track(
        &mut self,
        stream: i32,
        ranges: &[(Option<i64>, Option<i64>)],
        renditions: &[Rendition],
        tags: Option<&TrackTags>,
    ) -> Result<(), String> {
        if renditions.is_empty() {
            return Ok(());
        }
        self.reserve(ranges.len(), &self.blank.clone())?;
        let index = self.count()?;
        let count = i32::try_from(ranges.len()).map_err(|_| "too many parts of sound")?;
        let source = Some(Segment { stream, ..self.blank.clone() }.track_source());
        self.tracks.extend(renditions.iter().map(|rendition| TrackPlan {
            source: source.clone(),
            ..track(rendition, TrackKind::Audio, index, count, tags)
        }));
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

    /// Returns the distinct renditions of one track of its kind, each with its id, and adds each to its outputs. An output for which
    /// `settings` returns none does not hold the track.
    ///
    /// # Errors
    /// If an encoder is not there, or a track can't be copied.
    fn distinct(
        &mut self,
        number: usize,
        settings: impl Fn(&Wanted) -> Result<Vec<Rendition>, String>,
    ) -> Result<Vec<Rendition>, String> {
        let mut found: Vec<Rendition> = Vec::new();
        for (wanted, output) in self.wanted.iter().zip(&mut self.outputs) {
            for mut rendition in settings(wanted)? {
                choose_encoder(&mut rendition, self.encoders)?;
                // Another track with the same settings is another rendition.
                let track = u32::try_from(number).unwrap_or(u32::MAX);
                rendition.id = rendition_id(&rendition, self.encoders).of_track(track).to_string();
                // Settings that differ in the name of the encoder alone are the same.
                if !output.renditions.contains(&rendition.id) {
                    output.renditions.push(rendition.id.clone());
                }
                if !found.contains(&rendition) {
                    found.push(rendition);
                }
            }
        }
        Ok(found)
    }

    /// Checks that each output holds something besides text and covers.
    fn check_outputs(&self) -> Result<(), String> {
        let holds = |output: &OutputPlan| {
            let main = self.tracks.iter().filter(|track| track.video.is_some() || track.audio.is_some());
            main.into_iter().any(|track| output.renditions.contains(&track.rendition))
        };
        match self.outputs.iter().find(|output| !holds(output)) {
            Some(OutputPlan { format, .. }) => Err(format!(
                "{format} would be empty: it holds neither pictures nor sound of this source; ask for another format"
            )),
            None => Ok(()),
        }
    }
}

/// The greatest size of the timestamp corrections and codec headers in all segments of an execution, in bytes.
const MOST_CARRIED: usize = 256 << 20;

fn too_many() -> String {
    format!(
        "it would be cut into more than {} segments; ask for a longer --segment-time",
        cuts::MOST_SEGMENTS
    )
}
