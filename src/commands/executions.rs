//! `millrace executions`: what reads the log, whoever else works on it.

use millrace_api::execution_json;
use millrace_processors::request::profile_and_version;
use millrace_runtime::{read_partition_of_key, read_table};
use millrace_schemas::{Assembly, ExecutionEvent, LogLine, masked_url};
use millrace_topology::streams;
use serde_json::json;

mod act;
pub(super) mod find;

use crate::{
    cli::{Executions, LogLocation},
    error::CommandError,
    shell::connect::existing_log,
    terminal::{note, print, timestamp},
};
use find::find_execution;

pub(super) async fn executions(call: Executions) -> Result<u8, CommandError> {
    match call {
        Executions::List { log, json } => list(&log, json).await,
        Executions::Show { execution, log, json } => show(&execution, &log, json).await,
        Executions::Events { execution, log, json } => events(&execution, &log, json).await,
        Executions::Logs { execution, log, json } => logs(&execution, &log, json).await,
        Executions::Cancel { executions, reason, log } => act::cancel(&executions, &reason, &log).await,
        Executions::Retry { executions, jobs, decoding, own, log, json } => {
            act::retry(&executions, jobs, decoding, (&log, &own), json).await
        }
    }
}

async fn list(location: &LogLocation, json: bool) -> Result<u8, CommandError> {
    let mut all: Vec<Assembly> = match existing_log(location, false).await? {
        Some(log) => read_table::<Assembly>(log.as_ref(), streams::ASSEMBLIES).await?.into_values().collect(),
        None => Vec::new(),
    };
    all.sort_unstable_by(|a, b| b.started_ms.cmp(&a.started_ms).then_with(|| a.execution.cmp(&b.execution)));
    if all.is_empty() && !json {
        note("no executions yet; 'millrace run' makes one");
    } else if !json {
        let (id, state, segments, started) = ("execution", "state", "segments", "started");
        print(&format!("{id:<16}  {state:<11}  {segments:<9}  {started:<20}  {:<10}  source", "principal"));
    }
    for state in &all {
        if json {
            print(&execution_json(state).to_string());
            continue;
        }
        let segments = format!("{}/{}", state.video_done(), state.video_segments);
        let (id, phase, started) = (&state.execution, state.phase.as_str(), timestamp(state.started_ms));
        let (whose, source) = (whose(state), masked_url(&state.source.url));
        print(&format!("{id:<16}  {phase:<11}  {segments:<9}  {started:<20}  {whose:<10}  {source}"));
    }
    Ok(0)
}

/// The principal of an execution, as people read it.
fn whose(state: &Assembly) -> &str {
    match state.principal() {
        "" => "-",
        principal => principal,
    }
}

async fn show(id: &str, location: &LogLocation, json: bool) -> Result<u8, CommandError> {
    let log = existing_log(location, false).await?;
    let state = find_execution(log.as_deref(), id).await?;
    if json {
        print(&execution_json(&state).to_string());
        return Ok(0);
    }
    print(&format!("execution  {} (attempt {})", state.execution, state.attempt));
    print(&format!("source     {}", masked_url(&state.source.url)));
    print(&format!("principal  {}", whose(&state)));
    if let Some((name, version)) = state.upload.as_ref().and_then(profile_and_version) {
        let name = if name.is_empty() { "(in the upload)" } else { &name };
        let version = version.map(|version| format!("@{version}")).unwrap_or_default();
        print(&format!("profile    {name}{version}"));
    }
    print(&format!("state      {}", state.phase.as_str()));
    if let Some(reason) = &state.reason {
        print(&format!("reason     {reason}"));
    }
    print(&format!("segments   {} of {}, {} reused", state.video_done(), state.video_segments, state.reused));
    print(&format!("started    {}", timestamp(state.started_ms)));
    if let Some(ended) = state.ended_ms {
        print(&format!(
            "ended      {} ({:.1} s)",
            timestamp(ended),
            (ended - state.started_ms) as f64 / 1000.0
        ));
    }
    for warning in &state.warnings {
        print(&format!("warning    {warning}"));
    }
    for output in &state.outputs {
        let facts = output.facts.as_ref().map_or("not made".to_owned(), |facts| {
            format!("{}, {:.3} s", indicatif::HumanBytes(facts.bytes.unsigned_abs()), facts.duration_seconds)
        });
        print(&format!("output     {} ({facts})", output.plan.url));
    }
    Ok(0)
}

async fn events(id: &str, location: &LogLocation, json: bool) -> Result<u8, CommandError> {
    let log = existing_log(location, false).await?;
    let state = find_execution(log.as_deref(), id).await?;
    let Some(log) = log else { return Ok(0) };
    let mut all =
        read_partition_of_key::<ExecutionEvent>(log.as_ref(), streams::EXECUTIONS, &state.execution).await?;
    all.retain(|event| event.execution == state.execution);
    // Of one execution, and so of one partition: a stable sort keeps what was at one time in its order.
    all.sort_by_key(|event| event.at_ms);
    for event in all {
        if json {
            print(&json!(event).to_string());
            continue;
        }
        let elapsed = event.elapsed_ms.map_or(String::new(), |ms| format!(" ({:.2} s)", ms as f64 / 1000.0));
        let (at, attempt, processor) = (timestamp(event.at_ms), event.attempt, &event.processor);
        print(&format!("{at}  {attempt}  {processor:<9}  {:<14}  {}{elapsed}", event.event, event.detail));
    }
    Ok(0)
}

async fn logs(id: &str, location: &LogLocation, json: bool) -> Result<u8, CommandError> {
    let log = existing_log(location, false).await?;
    let state = find_execution(log.as_deref(), id).await?;
    let Some(log) = log else { return Ok(0) };
    let mut all = read_partition_of_key::<LogLine>(log.as_ref(), streams::LOGS, &state.execution).await?;
    all.retain(|line| line.execution == state.execution);
    all.sort_by_key(|line| line.at_ms);
    if all.is_empty() && !json {
        note(&format!("no log lines of {} are kept any more", state.execution));
    }
    for line in all {
        if json {
            print(&json!(line).to_string());
            continue;
        }
        let at = humantime::format_rfc3339_millis(
            std::time::UNIX_EPOCH + std::time::Duration::from_millis(line.at_ms.unsigned_abs()),
        );
        print(&format!("{at}  {:<5}  {:<30}  {}", line.level, line.target, line.message));
    }
    Ok(0)
}
