//! `millrace verify`: the proof that an output is right, for a person.

mod checks;
mod package;

use std::ffi::OsStr;

use millrace_formats::{CONTAINERS, Container, TABLES, container::Tracks};
use millrace_media::Inspected;
use millrace_processors::split::{OutputPreview, preview};
use millrace_profiles::{Profile, Wanted};
use millrace_schemas::{Encoders, Upload, VideoTrack, masked_url};
use millrace_storage::Stores;
use millrace_worker::{MadeOf, PackageContents, Probes};
use serde_json::json;

use crate::{
    cli::Verify,
    config::Config,
    error::CommandError,
    inputs::parse_url,
    order::{SEGMENT_TIME_SECONDS, read_profile},
    terminal::print,
};
use checks::{Check, checks};

pub(super) async fn verify(call: &Verify) -> Result<u8, CommandError> {
    let url = |argument: &OsStr| {
        let failed =
            |error| CommandError::Failed(format!("{}: {error}", masked_url(&argument.to_string_lossy())));
        parse_url(argument).map_err(failed)
    };
    let (source, output) = (url(&call.source)?, url(&call.output)?);
    let probes = Probes::new(Stores::default(), Config::of_flags(&call.decoding)?.media_processes()?)?;
    let failed = CommandError::failed;
    let contents = match package::is_package(&output) {
        true => Some(opened(&probes, &output).await?),
        false => None,
    };
    let folder = call.own.profiles.as_deref();
    let profile = call.profile.as_deref().map(|argument| read_profile(argument, folder)).transpose()?;
    let (wanted, plan, made, mut left_out) = match (&profile, call.profile.as_deref()) {
        (Some(profile), Some(argument)) => {
            let wanted = wanted(argument, profile, &source, &output)?;
            let is_planned = contents.is_some()
                || profile.source.trim.is_some()
                || !wanted.keeps_audio_tracks()
                || wanted.is_ladder_of_files();
            let planned =
                if is_planned { Some(planned(&probes, profile, &source, &output).await?) } else { None };
            let (plan, made) = planned.unzip();
            (wanted, plan, made.unwrap_or_default(), left_out(profile))
        }
        _ => {
            let own = match &contents {
                Some(contents) => package::own_wanted(&probes, &output, contents).await?,
                None => {
                    let (_, found) = probes.inspect(&output).await.map_err(failed)?;
                    let own = profile_of_file(&output, &found).and_then(|own| own.wanted(&TABLES).ok());
                    own.and_then(|wanted| wanted.into_iter().next())
                }
            };
            (own.unwrap_or_else(|| Wanted::of(CONTAINERS[0])), None, MadeOf::default(), Vec::new())
        }
    };
    let pictures = call.pictures && left_out.is_empty();
    if !call.pictures {
        left_out.retain(|left: &String| !left.starts_with(EACH_PICTURE));
    }
    if made.trim.is_some() && call.sound {
        left_out.push("each channel: its seconds are counted from the start of the source".into());
    }
    let settings = |video: &VideoTrack| {
        // What can't be copied was made otherwise, and is compared as it is.
        let made = || wanted.pictures(&TABLES, video, false).ok().flatten();
        let mut settings = plan.as_ref().map_or_else(made, |plan| plan.video.clone());
        // Images, fonts and subtitles are not at hand.
        if let Some(filters) = settings.as_mut().and_then(|settings| settings.filters.as_mut()) {
            (filters.overlays, filters.texts, filters.subtitles) = (Vec::new(), Vec::new(), None);
        }
        settings
    };
    let each = (pictures, call.sound);
    let (checks, measured) = match &contents {
        Some(contents) => {
            let judging = package::Judging {
                probes: &probes,
                source: &source,
                wanted: &wanted,
                plan: plan.as_ref(),
                made: &made,
                each,
            };
            let (checks, comparison) = judging.checks(contents, settings).await?;
            (checks, comparison.map(|comparison| comparison.measured))
        }
        None => {
            let comparison = probes.verify(&source, &output, each, &made, settings).await.map_err(failed)?;
            (checks(&comparison, &wanted, plan.as_ref()), Some(comparison.measured))
        }
    };
    let holds = checks.iter().all(|check| check.holds);
    if call.json {
        let line = json!({
            "source": masked_url(&source), "output": masked_url(&output), "holds": holds, "checks": checks,
            "left_out": left_out, "measured": measured,
        });
        print(&line.to_string());
    } else {
        show(&checks, holds, &left_out);
    }
    Ok(u8::from(!holds))
}

/// Opens a package that is to be verified.
async fn opened(probes: &Probes, url: &str) -> Result<PackageContents, CommandError> {
    let found = probes.open_package(url).await.map_err(CommandError::failed)?;
    found.ok_or_else(|| {
        CommandError::Failed(format!(
            "{}: there is no package of Millrace: no manifest, or no list (package.json) in the folder that it names",
            masked_url(url)
        ))
    })
}

/// Returns the folder or prefix in which a profile puts an output: that of a file, or of the folder of a package.
fn prefix_of(output: &str) -> &str {
    let above = |url: &'_ str| url.rsplit_once('/').map_or(0, |(above, _)| above.len());
    let folder = &output[..above(output)];
    if package::is_package(output) { &folder[..above(folder)] } else { folder }
}

/// The check of pictures, one by one.
const EACH_PICTURE: &str = "each picture";

/// Returns the checks that can't be made of outputs of a profile, each with the reason.
fn left_out(profile: &Profile) -> Vec<String> {
    let marked =
        format!("{EACH_PICTURE}: a watermark or subtitles are laid over them, which the source lacks");
    profile.lays_over_pictures().then_some(marked).into_iter().collect()
}

/// Returns the profile by which an output is judged that nobody gave: what the file has, where a format holds it; what is usual of the
/// format otherwise.
fn profile_of_file(output: &str, found: &Inspected) -> Option<Profile> {
    let read = |container: &&&Container| container.demuxer == found.container;
    let extension = output.rsplit_once('.').map_or("", |(_, extension)| extension);
    let named = CONTAINERS.iter().filter(read).find(|container| container.name == extension);
    let usual = || TABLES.container_of_file(&found.container, found.facts.video.is_some());
    let container = named.copied().or_else(usual)?;
    let of = |kind: &str, tracks: Tracks| {
        let held = |codec: &str| tracks.codecs.iter().any(|held| held.name() == codec);
        let stream = found.streams.iter().find(|stream| stream.kind == kind && held(&stream.codec));
        stream.map(|stream| format!("[{kind}.main]\ncodec = \"{}\"\n", stream.codec)).unwrap_or_default()
    };
    let (video, audio) = (of("video", container.video), of("audio", container.audio));
    Profile::from_toml(&format!("{video}{audio}[[output]]\nformat = \"{}\"", container.name)).ok()
}

/// Returns what the output is to be by a profile that says so of a file of this name.
///
/// # Errors
/// If the profile is none, or makes no such output.
fn wanted(argument: &str, profile: &Profile, source: &str, output: &str) -> Result<Wanted, CommandError> {
    let all = profile.wanted(&TABLES).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        CommandError::Call(format!("{argument}: {}", problems.join("; ")))
    })?;
    let prefix = prefix_of(output);
    let is_it = |wanted: &&Wanted| wanted.may_make((prefix, source), output);
    let names = || all.iter().flat_map(|wanted| wanted.file_names("{stem}")).collect::<Vec<_>>().join(", ");
    all.iter().find(is_it).cloned().ok_or_else(|| {
        CommandError::Call(format!(
            "{argument} makes no output of that name; of a source it makes {}",
            names()
        ))
    })
}

/// Returns what a profile makes of a source, as an execution plans it, and of what of the source.
///
/// # Errors
/// If the source can't be reached, or nothing would be made of it.
async fn planned(
    probes: &Probes,
    profile: &Profile,
    source: &str,
    output: &str,
) -> Result<(OutputPreview, MadeOf), CommandError> {
    let (pinned, found) = probes.survey(source, SEGMENT_TIME_SECONDS).await.map_err(CommandError::failed)?;
    let prefix = prefix_of(output);
    let upload = Upload { profile: Some(profile.to_json()), ..Upload::of(source, prefix) };
    let preview = preview(&upload, &pinned, &found.facts, &Encoders::default()).map_err(|reason| {
        CommandError::Failed(format!("nothing is made of the source by this profile: {reason}"))
    })?;
    let made = preview.outputs.into_iter().find(|made| made.url == output);
    let made = made.ok_or_else(|| CommandError::Failed("the profile makes no output of that name".into()))?;
    let of = MadeOf { trim: preview.part, audio: Some(made.audio_streams.clone()) };
    Ok((made, of))
}

/// A table: what is held, what it is in the source and in the output, and whether it holds.
fn show(checks: &[Check], holds: bool, left_out: &[String]) {
    let width = |of: fn(&Check) -> &str, title: &str| {
        checks.iter().map(|check| of(check).chars().count()).max().unwrap_or(0).max(title.len())
    };
    let (a, b) = (width(|c| &c.what, "what"), width(|c| &c.source, "source"));
    let c = width(|c| &c.output, "output");
    print(&format!("{:a$}  {:b$}  {:c$}", "what", "source", "output"));
    for check in checks {
        let verdict = if check.holds { "holds" } else { "WRONG" };
        let why = if check.note.is_empty() { String::new() } else { format!(": {}", check.note) };
        print(&format!("{:a$}  {:b$}  {:c$}  {verdict}{why}", check.what, check.source, check.output));
    }
    for left in left_out {
        print(&format!("not compared: {left}"));
    }
    let wrong = checks.iter().filter(|check| !check.holds).count();
    let last = if holds {
        "The output holds.".to_owned()
    } else {
        format!("{wrong} of {} do not hold.", checks.len())
    };
    print(&last);
}
