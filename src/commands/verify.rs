//! `millrace verify`: the proof that an output is right, for a person.

mod checks;

use std::ffi::OsStr;

use millrace_formats::{CONTAINERS, TABLES};
use millrace_profiles::Wanted;
use millrace_schemas::{VideoTrack, masked_url};
use millrace_storage::Stores;
use millrace_worker::Probes;
use serde_json::json;

use crate::{
    cli::Verify, config::Config, error::CommandError, inputs::parse_url, order::read_profile, terminal::print,
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
    let compared = (call.pictures, call.sound);
    let wanted = wanted(call, &source, &output)?;
    let settings = |video: &VideoTrack| {
        // What can't be copied was made otherwise, and is compared as it is.
        wanted.pictures(&TABLES, video, false).ok().flatten()
    };
    let comparison =
        probes.verify(&source, &output, compared, settings).await.map_err(CommandError::failed)?;
    let checks = checks(&comparison, &wanted);
    let holds = checks.iter().all(|check| check.holds);
    if call.json {
        let line = json!({
            "source": masked_url(&source), "output": masked_url(&output), "holds": holds, "checks": checks,
            "measured": comparison.measured,
        });
        print(&line.to_string());
    } else {
        show(&checks, holds);
    }
    Ok(u8::from(!holds))
}

/// Returns what the output is to be: what a profile says of it, or what is made where nothing is asked, which is the same in all
/// formats.
///
/// # Errors
/// If the profile is none, or makes no such output.
fn wanted(call: &Verify, source: &str, output: &str) -> Result<Wanted, CommandError> {
    let Some(argument) = call.profile.as_deref() else { return Ok(Wanted::of(CONTAINERS[0])) };
    let profile = read_profile(argument, call.own.folder.as_deref())?;
    if profile.source.trim.is_some() {
        return Err(CommandError::Call(format!(
            "{argument}: an output of a part of its source (source.trim) can't be compared with the source; cut that part out of it \
             and compare with that, by a profile without source.trim"
        )));
    }
    if profile.assets().next().is_some() {
        return Err(CommandError::Call(format!(
            "{argument}: pictures with a watermark can't be compared with their source; leave 'watermark' out to compare \
             what else there is"
        )));
    }
    let all = profile.wanted(&TABLES).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        CommandError::Call(format!("{argument}: {}", problems.join("; ")))
    })?;
    let prefix = output.rsplit_once('/').map_or("", |(prefix, _)| prefix);
    let is_it = |wanted: &&Wanted| wanted.output_url(prefix, source) == output;
    let names = || all.iter().map(|wanted| wanted.file_name("{stem}")).collect::<Vec<_>>().join(", ");
    let found = all.iter().find(is_it).cloned();
    if found.as_ref().is_some_and(|wanted| !wanted.keeps_audio_tracks()) {
        return Err(CommandError::Call(format!(
            "{argument} chooses audio tracks by language, or encodes each several times; verify compares outputs that have each \
             track once"
        )));
    }
    found.ok_or_else(|| {
        CommandError::Call(format!(
            "{argument} makes no output of that name; of a source it makes {}",
            names()
        ))
    })
}

/// A table: what is held, what it is in the source and in the output, and whether it holds.
fn show(checks: &[Check], holds: bool) {
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
    let wrong = checks.iter().filter(|check| !check.holds).count();
    let last = if holds {
        "The output holds.".to_owned()
    } else {
        format!("{wrong} of {} do not hold.", checks.len())
    };
    print(&last);
}
