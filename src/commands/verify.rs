//! `millrace verify`: the proof that an output is right, for a person.

mod checks;

use std::ffi::OsStr;

use millrace_formats::CONTAINERS;
use millrace_schemas::Picture;
use millrace_storage::Stores;
use millrace_worker::Probes;
use serde_json::json;

use crate::{cli::Verify, config::Config, error::CommandError, inputs::parse_url, terminal::print};
use checks::{Check, checks};

pub(super) async fn verify(call: &Verify) -> Result<u8, CommandError> {
    let url = |argument: &OsStr| {
        let failed = |error| CommandError::Failed(format!("{}: {error}", argument.to_string_lossy()));
        parse_url(argument).map_err(failed)
    };
    let (source, output) = (url(&call.source)?, url(&call.output)?);
    let probes = Probes::new(Stores::default(), Config::of_flags(&call.decoding)?.media_processes()?)?;
    let compared = (call.pictures, call.sound);
    // What becomes of pictures is the same in all formats.
    let settings = |picture: &Picture| CONTAINERS[0].video_settings(picture);
    let comparison =
        probes.verify(&source, &output, compared, settings).await.map_err(CommandError::failed)?;
    let checks = checks(&comparison);
    let holds = checks.iter().all(|check| check.holds);
    if call.json {
        let line = json!({
            "source": source, "output": output, "holds": holds, "checks": checks,
            "measured": comparison.measured,
        });
        print(&line.to_string());
    } else {
        show(&checks, holds);
    }
    Ok(u8::from(!holds))
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
