//! `millrace cleanup`: frees what is left of executions that have ended, or says what that would be.

use millrace_access::Reach;
use millrace_processors::cleanup::{execution, expired};
use millrace_runtime::read_table;
use millrace_schemas::Assembly;
use millrace_storage::Stores;
use millrace_topology::{millis_now, streams};
use serde_json::json;

use crate::{
    cli::Cleanup,
    config::Config,
    error::CommandError,
    shell::connect::existing_log,
    terminal::{note, print, timestamp},
};

pub(super) async fn cleanup(call: Cleanup) -> Result<u8, CommandError> {
    let config = Config::load(&call.log, &[&call])?;
    let window_ms = config.retry_window_ms()?;
    // It reads no source. Of outputs it takes away what an execution has staged, and did not come to publish, wherever that is: whoever
    // types this may.
    let stores = Stores::default().within(Reach::Only(Vec::new()), Reach::Everything);
    let (url, work) = (config.work_url()?, config.work_objects(&stores)?);
    // Without a log nothing is known of any execution: what is there may be at work.
    let log = existing_log(&call.log, false).await?;
    let log = log.ok_or_else(|| {
        CommandError::Call(
            "there is no log in this data folder, and so nothing is known of what lies there".into(),
        )
    })?;
    // In this order: whatever is seen of an execution, the execution is known by then.
    let places = work.list_prefixes().await.map_err(CommandError::failed)?;
    let known = read_table::<Assembly>(log.as_ref(), streams::ASSEMBLIES).await?;
    let (now, mut orphans) = (millis_now(), 0);
    for (place, touched_ms) in &places {
        let state = known.get(execution(place));
        if !expired(state, place, *touched_ms, now, window_ms) {
            continue;
        }
        orphans += 1;
        if !call.dry_run {
            work.remove(place).await.map_err(CommandError::failed)?;
        }
        let why = match state {
            Some(state) => format!("its execution has {}", state.phase.as_str()),
            None => "no execution is known".to_owned(),
        };
        if call.json {
            let line = json!({"work": place, "execution": execution(place), "touched": timestamp(*touched_ms), "why": why, "removed": !call.dry_run});
            print(&line.to_string());
        } else {
            print(&format!("{place:<20}  {}  {why}", timestamp(*touched_ms)));
        }
    }
    if !call.json {
        let did = if call.dry_run { "would be removed" } else { "were removed" };
        note(&format!("{orphans} of {} executions' work objects below {url} {did}", places.len()));
    }
    Ok(0)
}
