//! `millrace verify` of a package: what it lists and what its manifests state, and each of its tracks as a file by itself.

use std::collections::BTreeMap;

use millrace_formats::{CONTAINERS, TABLES};
use millrace_processors::split::OutputPreview;
use millrace_profiles::{Profile, Wanted};
use millrace_schemas::{VideoSettings, VideoTrack};
use millrace_worker::{Comparison, MadeOf, PackageContents, PackageTrack, Probes};

use super::checks::{Check, checks, hold, of_pictures};
use crate::error::CommandError;

/// Returns `true` if what is at a URL is judged as a package: its name is that of a package's main manifest.
pub(super) fn is_package(url: &str) -> bool {
    let name = url.rsplit_once('/').map_or(url, |(_, name)| name);
    let packages = CONTAINERS.iter().filter_map(|container| container.package());
    packages.flat_map(|package| package.manifests).any(|manifest| manifest.file_name() == name)
}

/// What a package is judged by.
pub(super) struct Judging<'a> {
    pub(super) probes: &'a Probes,
    pub(super) source: &'a str,
    pub(super) wanted: &'a Wanted,
    /// What is planned of the source, where a profile is given.
    pub(super) plan: Option<&'a OutputPreview>,
    pub(super) made: &'a MadeOf,
    /// Whether to compare each picture, and each second of sound.
    pub(super) each: (bool, bool),
}

/// A track, and how it compares with the source.
struct Judged<'a> {
    track: &'a PackageTrack,
    comparison: Comparison,
    is_video: bool,
}

impl Judging<'_> {
    /// Returns all checks of a package, and how its first track compares with the source.
    pub(super) async fn checks(
        &self,
        contents: &PackageContents,
        settings: impl Fn(&VideoTrack) -> Option<VideoSettings>,
    ) -> Result<(Vec<Check>, Option<Comparison>), CommandError> {
        let mut all = Vec::new();
        of_contents(contents, &mut all);
        if !contents.objects.is_empty() || contents.unread.is_some() {
            return Ok((all, None));
        }
        let (mut videos, mut sounds) = (Vec::new(), Vec::new());
        for track in &contents.tracks {
            let (_, found) = self.probes.inspect(&track.url).await.map_err(CommandError::failed)?;
            match found.facts.video {
                Some(video) => {
                    videos.push((video.picture.width * video.picture.height, video.picture, track));
                }
                None => sounds.push(track),
            }
        }
        videos.sort_by_key(|(pixels, ..)| std::cmp::Reverse(*pixels));
        let mut judged = Vec::new();
        for (number, (_, picture, track)) in videos.iter().enumerate() {
            // The largest is as the source is; others are smaller, as planned or as they are.
            let expected = |source: &VideoTrack| {
                let mut settings = settings(source)?;
                if number > 0 {
                    let planned = self.plan.and_then(|plan| plan.more_video.get(number - 1));
                    let (width, height) =
                        planned.map_or((picture.width, picture.height), |p| (p.width, p.height));
                    (settings.width, settings.height) = (width, height);
                    settings.sample_aspect = planned.map_or(picture.sample_aspect, |p| p.sample_aspect);
                }
                Some(settings)
            };
            let made = MadeOf { trim: self.made.trim, audio: Some(Vec::new()) };
            let comparison = self.compare(track, &made, (self.each.0, false), expected).await?;
            judged.push(Judged { track, comparison, is_video: true });
        }
        let streams = self.streams(sounds.len()).await?;
        for (track, stream) in sounds.iter().zip(streams) {
            let made = MadeOf { trim: self.made.trim, audio: stream.map(|stream| vec![stream]) };
            let comparison = self.compare(track, &made, (false, self.each.1), |_| None).await?;
            judged.push(Judged { track, comparison, is_video: false });
        }
        for one in &judged {
            let wrong = one.track.misstated(&one.comparison.measured.fragments, one.is_video);
            let stated = format!("{} wrong", wrong.len());
            hold(
                &mut all,
                &format!("{}: segments", one.track.id),
                ("", stated),
                wrong.is_empty(),
                wrong.join("; "),
            );
            self.keyframes(one, &mut all).await?;
        }
        let smaller = judged.iter().filter(|one| one.is_video).skip(1);
        let smaller: Vec<Check> = smaller.flat_map(|one| self.of_smaller(one)).collect();
        let Some(whole) = joined(judged, contents.texts) else { return Ok((all, None)) };
        all.extend(checks(&whole, self.wanted, self.plan));
        all.extend(smaller);
        Ok((all, Some(whole)))
    }

    /// Compares a track with the source.
    async fn compare(
        &self,
        track: &PackageTrack,
        made: &MadeOf,
        each: (bool, bool),
        settings: impl Fn(&VideoTrack) -> Option<VideoSettings>,
    ) -> Result<Comparison, CommandError> {
        let compared = self.probes.verify(self.source, &track.url, each, made, settings).await;
        let mut compared = compared
            .map_err(|error| CommandError::Failed(format!("comparing the track {}: {error}", track.id)))?;
        // libavformat takes a negative composition offset for a delay of the whole track; boxes state when pictures are shown.
        let fragments = &compared.measured.fragments;
        if let (Some(pictures), Some(first), Some(last)) =
            (&mut compared.measured.pictures, fragments.first(), fragments.last())
        {
            pictures.output_first = first.shown.0;
            pictures.output_last = last.start + last.seconds - last.shown.1;
        }
        Ok(compared)
    }

    /// Returns the stream of the source that each of `count` tracks of sound was made of; `None` for its default one.
    async fn streams(&self, count: usize) -> Result<Vec<Option<i32>>, CommandError> {
        if let Some(planned) = &self.made.audio {
            return Ok(planned.iter().copied().map(Some).collect());
        }
        let (_, found) = self.probes.inspect(self.source).await.map_err(CommandError::failed)?;
        let streams: Vec<Option<i32>> = found.facts.audio.iter().map(|audio| Some(audio.stream)).collect();
        Ok(if count == 1 { vec![None] } else { streams })
    }

    /// The keyframes by themselves are those of the track, at their times.
    async fn keyframes(&self, of: &Judged<'_>, all: &mut Vec<Check>) -> Result<(), CommandError> {
        let Some(url) = &of.track.keyframes else { return Ok(()) };
        let made = MadeOf { trim: None, audio: Some(Vec::new()) };
        let alone = self.probes.verify(&of.track.url, url, (false, false), &made, |_| None).await;
        let alone = alone.map_err(CommandError::failed)?.measured;
        let starts = of.comparison.measured.fragments.iter().filter(|fragment| fragment.is_key);
        let starts: Vec<f64> = starts.map(|fragment| fragment.start).collect();
        let found: Vec<f64> = alone.fragments.iter().map(|fragment| fragment.start).collect();
        let damaged = alone.pictures.map_or(1, |pictures| pictures.output_damaged);
        let what = format!("{}: keyframes", of.track.id);
        let note = if damaged > 0 { format!("{damaged} damaged") } else { String::new() };
        hold(all, &what, (starts.len(), found.len()), starts == found && damaged == 0, note);
        Ok(())
    }

    /// The checks of a smaller size, each with its name.
    fn of_smaller(&self, one: &Judged<'_>) -> Vec<Check> {
        let mut found = Vec::new();
        of_pictures(&one.comparison, self.wanted, &mut found);
        for check in &mut found {
            check.what = format!("{}: {}", one.track.id, check.what);
        }
        found
    }
}

/// The list and the manifests.
fn of_contents(contents: &PackageContents, all: &mut Vec<Check>) {
    let (wrong, listed) = (&contents.objects, contents.listed);
    let found = if wrong.is_empty() { "all there".to_owned() } else { format!("{} wrong", wrong.len()) };
    hold(all, &format!("{listed} objects"), ("", found), wrong.is_empty(), wrong.join("; "));
    let read = if contents.unread.is_none() { "read" } else { "unreadable" };
    let what = format!("{} manifests", contents.manifests);
    hold(all, &what, ("", read), contents.unread.is_none(), contents.unread.clone().unwrap_or_default());
    if !contents.texts_unread.is_empty() {
        let found = format!("{} unreadable", contents.texts_unread.len());
        hold(all, "texts", ("", found), false, contents.texts_unread.join("; "));
    }
}

/// Returns the comparison of all tracks but the smaller ones of pictures, as if they were in one file.
fn joined(judged: Vec<Judged<'_>>, texts: usize) -> Option<Comparison> {
    let mut judged = judged.into_iter();
    let mut whole = judged.next()?.comparison;
    for Judged { comparison, is_video, .. } in judged {
        whole.measured.disorder = whole.measured.disorder.take().or(comparison.measured.disorder);
        whole.measured.untrue.extend(comparison.measured.untrue);
        if is_video {
            continue;
        }
        let track = whole.measured.sounds.len();
        whole.output.facts.audio.extend(comparison.output.facts.audio);
        whole.measured.sounds.extend(comparison.measured.sounds);
        for mut second in comparison.measured.seconds {
            second.track = track;
            whole.measured.seconds.push(second);
        }
        for mut channel in comparison.measured.channels {
            channel.track = track;
            whole.measured.channels.push(channel);
        }
    }
    whole.measured.texts.1 = texts;
    Some(whole)
}

/// Returns what a package is judged by where no profile is given: its format by its name, and its own codecs.
pub(super) async fn own_wanted(
    probes: &Probes,
    url: &str,
    contents: &PackageContents,
) -> Result<Option<Wanted>, CommandError> {
    let mut codecs: BTreeMap<&str, String> = BTreeMap::new();
    for track in &contents.tracks {
        let (_, found) = probes.inspect(&track.url).await.map_err(CommandError::failed)?;
        let kind = if found.facts.video.is_some() { "video" } else { "audio" };
        if let Some(stream) = found.streams.iter().find(|stream| stream.kind == kind) {
            codecs.entry(kind).or_insert_with(|| stream.codec.clone());
        }
    }
    Ok(wanted_of(url, &codecs))
}

fn wanted_of(url: &str, codecs: &BTreeMap<&str, String>) -> Option<Wanted> {
    let name = url.rsplit_once('/').map_or(url, |(_, name)| name);
    let container = CONTAINERS
        .iter()
        .find(|container| container.package().is_some_and(|package| package.main_manifest() == name))?;
    let tables: String =
        codecs.iter().map(|(kind, codec)| format!("[{kind}.main]\ncodec = \"{codec}\"\n")).collect();
    let profile = format!("{tables}[[output]]\nformat = \"{}\"", container.name);
    Profile::from_toml(&profile).ok()?.wanted(&TABLES).ok()?.into_iter().next()
}
