//! Writes a package: each track a CMAF track of its own, one behind the other in the output, then the manifests that name their
//! objects. The parent puts the objects where they belong.

mod cuts;
mod manifests;
mod muxer;
mod proof;
mod protect;
mod spool;
mod stills;
mod text;
mod track;
mod transport;

use std::fs::File;

use millrace_formats::{
    Container,
    container::{Index, Package},
};
use millrace_schemas::{PackagePlan, Protection, VideoSettings};

pub(super) use self::{proof::prove, spool::Spool, text::time};
use self::{
    stills::WrittenStills,
    text::WrittenText,
    track::{Setting, WrittenTrack},
};
use super::track::Track;
use crate::{
    child::{failure::Failure, report::Reporter},
    protocol::MergeTask,
    timeline::{Clock, seconds},
};

/// A package that was written, but for its manifests.
pub(super) struct Written {
    /// In the order of the tracks.
    tracks: Vec<WrittenMedia>,
    spool: Spool,
}

/// What was written of a track.
enum WrittenMedia {
    Segments { track: WrittenTrack, stills: Option<WrittenStills> },
    Text(WrittenText),
}

/// Puts tracks in the order in which they are written: pictures, the largest first, by which all others are cut, then sound, then text.
pub(super) fn sort(tracks: &mut [Track]) {
    let pixels = |video: &VideoSettings| i64::from(video.width) * i64::from(video.height);
    tracks.sort_by_key(|track| match (&track.header.video, &track.header.audio) {
        (Some(video), _) => (0, -pixels(video)),
        (None, Some(_)) => (1, 0),
        (None, None) => (2, 0),
    });
}

/// Writes the tracks of a package, as far as seams are clean; `None` if segments of it are to be made again.
pub(super) fn write(
    output: &File,
    task: &MergeTask,
    container: (&Container, &Package),
    tracks: &mut [Track],
    origin: (i64, Clock),
    reporter: &mut Reporter,
) -> Result<Option<Written>, Failure> {
    let plan = plan(task)?;
    let setting = Setting { container: container.0, layout: container.1, output: &task.output, plan, origin };
    let method = plan.protection.as_ref().map(|protection| protection.method.as_str());
    // What is encrypted gets its names once it is, so that nothing else ever has one.
    let seals_objects = method == Some(Protection::SEGMENTS);
    // Keyframes by themselves are ranges of an object, which is then encrypted as a whole, and fragments.
    let has_stills = !seals_objects && container.0.index == Index::Fragments;
    let names = names(tracks);
    let smallest = tracks.iter().rposition(|track| track.header.video.is_some());
    let mut spool = Spool::new(output)?;
    let mut written: Vec<WrittenMedia> = Vec::new();
    // When segments of pictures begin, and a tick of the clock by which that is known.
    let mut cuts: Option<(Vec<f64>, f64)> = None;
    for (position, (track, id)) in tracks.iter_mut().zip(names).enumerate() {
        if track.header.side.is_some() {
            let text = text::write(track, (id, origin), setting.is_stream(), &mut spool)?;
            if !seals_objects {
                spool.name(setting.name(&text.id, text::OBJECT), text.bytes.clone())?;
            }
            written.push(WrittenMedia::Text(text));
            continue;
        }
        let is_video = track.header.video.is_some();
        let known = cuts.as_ref().filter(|_| !is_video).map_or(&[][..], |(cuts, _)| cuts);
        let write = if setting.is_stream() { transport::write } else { track::write };
        let Some(media) = write(&setting, track, (id, known), &mut spool, reporter)? else {
            return Ok(None);
        };
        if let Some(indistinct) = track.indistinct_times(container.0) {
            return Err(indistinct);
        }
        if plan.protection.is_none() {
            setting.name_objects(&media, &mut spool)?;
        }
        let mut stills = None;
        if is_video {
            let (own, tick) = (media.cuts(), seconds((1, media.clock)));
            match &cuts {
                None => cuts = Some((own, tick)),
                Some((first, other)) => same_cuts(&media.id, (first, &own), tick.max(*other))?,
            }
            if smallest == Some(position) && has_stills {
                let made = stills::write(&setting, (&track.header, &media), output, &mut spool)?;
                if plan.protection.is_none() {
                    spool.name(setting.name(&media.id, stills::OBJECT), made.bytes())?;
                }
                stills = Some(made);
            }
        }
        written.push(WrittenMedia::Segments { track: media, stills });
    }
    Ok(Some(Written { tracks: written, spool }))
}

fn plan(task: &MergeTask) -> Result<&PackagePlan, Failure> {
    let plan = task.output.package.as_ref().filter(|plan| plan.segment_seconds > 0.0);
    plan.ok_or_else(|| Failure::new("the plan does not say how the package is divided"))
}

/// Holds the cuts of a track of pictures to those of the first one: a player goes from one to the other at each.
fn same_cuts(id: &str, (first, own): (&[f64], &[f64]), tick: f64) -> Result<(), Failure> {
    let differs = first.iter().zip(own).find(|(first, own)| (*first - *own).abs() > tick * 1.01);
    if let Some((first, own)) = differs {
        return Err(Failure::new(format!(
            "segments of {id} can't begin where those of the other sizes do: at {own:.3} s instead of {first:.3} s is a keyframe"
        )));
    }
    if first.len() == own.len() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{id} has {} segments instead of {}: its keyframes are elsewhere",
        own.len(),
        first.len()
    )))
}

/// The names of the tracks' folders. Nothing of the source is in them.
fn names(tracks: &[Track]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut counts = [0; 2];
    for track in tracks {
        let name = match (&track.header.video, &track.header.audio) {
            (Some(video), _) => {
                let name = format!("video-{}p", video.width.min(video.height));
                let equal =
                    names.iter().filter(|other| **other == name || other.starts_with(&format!("{name}-")));
                match equal.count() {
                    0 => name,
                    count => format!("{name}-{}", count + 1),
                }
            }
            (None, audio) => {
                let (kind, count) =
                    if audio.is_some() { ("audio", &mut counts[0]) } else { ("text", &mut counts[1]) };
                *count += 1;
                format!("{kind}-{count}")
            }
        };
        names.push(name);
    }
    names
}
