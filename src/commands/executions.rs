//! `millrace executions`: what reads the log, whoever else works on it.

use std::sync::Arc;

use millrace_api::shown;
use millrace_runtime::{Log, of_key, table};
use millrace_schemas::{Assembly, ExecutionEvent, LogLine};
use millrace_topology::streams;
use serde_json::json;

mod act;

use super::{CommandError, existing_log, print, tell, time};
use crate::cli::{Executions, Place};

pub(super) async fn executions(call: Executions) -> Result<u8, CommandError> {
    match call {
        Executions::List { place, json } => list(&place, json).await,
        Executions::Show { execution, place, json } => show(&execution, &place, json).await,
        Executions::Events { execution, place, json } => events(&execution, &place, json).await,
        Executions::Logs { execution, place, json } => logs(&execution, &place, json).await,
        Executions::Cancel { executions, reason, place } => act::cancel(&executions, &reason, &place).await,
        Executions::Retry { executions, jobs, decoding, place, json } => {
            act::retry(&executions, jobs.map(usize::from), decoding, &place, json).await
        }
    }
}

/// The one execution whose id begins so.
pub(super) async fn find(log: &Option<Arc<dyn Log>>, id: &str) -> Result<Assembly, CommandError> {
    let known = match log {
        Some(log) => table::<Assembly>(log.as_ref(), streams::ASSEMBLIES).await?,
        None => std::collections::HashMap::new(),
    };
    let mut found = known.into_values().filter(|state| state.execution.starts_with(id));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => {
            Err(CommandError::Call(format!("several executions begin with '{id}'; give more of it")))
        }
        (None, _) => Err(CommandError::Call(format!(
            "no execution begins with '{id}'; 'millrace executions list' shows those of this data folder"
        ))),
    }
}

async fn list(place: &Place, json: bool) -> Result<u8, CommandError> {
    let mut all: Vec<Assembly> = match existing_log(place, false).await? {
        Some(log) => table::<Assembly>(log.as_ref(), streams::ASSEMBLIES).await?.into_values().collect(),
        None => Vec::new(),
    };
    all.sort_unstable_by(|a, b| b.started_ms.cmp(&a.started_ms).then_with(|| a.execution.cmp(&b.execution)));
    if all.is_empty() && !json {
        tell("no executions yet; 'millrace run' makes one");
    } else if !json {
        let (id, state, segments, started) = ("execution", "state", "segments", "started");
        print(&format!("{id:<16}  {state:<11}  {segments:<9}  {started:<20}  {:<10}  source", "principal"));
    }
    for state in &all {
        if json {
            print(&shown(state).to_string());
            continue;
        }
        let segments = format!("{}/{}", state.video_done(), state.video_segments);
        let (id, phase, started) = (&state.execution, state.phase.as_str(), time(state.started_ms));
        let (whose, source) = (whose(state), &state.source.url);
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

async fn show(id: &str, place: &Place, json: bool) -> Result<u8, CommandError> {
    let log = existing_log(place, false).await?;
    let state = find(&log, id).await?;
    if json {
        print(&shown(&state).to_string());
        return Ok(0);
    }
    print(&format!("execution  {} (attempt {})", state.execution, state.attempt));
    print(&format!("source     {}", state.source.url));
    print(&format!("principal  {}", whose(&state)));
    print(&format!("state      {}", state.phase.as_str()));
    if let Some(reason) = &state.reason {
        print(&format!("reason     {reason}"));
    }
    print(&format!("segments   {} of {}, {} reused", state.video_done(), state.video_segments, state.reused));
    print(&format!("started    {}", time(state.started_ms)));
    if let Some(ended) = state.ended_ms {
        print(&format!("ended      {} ({:.1} s)", time(ended), (ended - state.started_ms) as f64 / 1000.0));
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

async fn events(id: &str, place: &Place, json: bool) -> Result<u8, CommandError> {
    let log = existing_log(place, false).await?;
    let state = find(&log, id).await?;
    let Some(log) = log else { return Ok(0) };
    let mut all = of_key::<ExecutionEvent>(log.as_ref(), streams::EXECUTIONS, &state.execution).await?;
    all.retain(|event| event.execution == state.execution);
    // Of one execution, and so of one partition: a stable sort keeps what was at one time in its order.
    all.sort_by_key(|event| event.at_ms);
    for event in all {
        if json {
            print(&json!(event).to_string());
            continue;
        }
        let elapsed = event.elapsed_ms.map_or(String::new(), |ms| format!(" ({:.2} s)", ms as f64 / 1000.0));
        let (at, attempt, processor) = (time(event.at_ms), event.attempt, &event.processor);
        print(&format!("{at}  {attempt}  {processor:<9}  {:<14}  {}{elapsed}", event.event, event.detail));
    }
    Ok(0)
}

async fn logs(id: &str, place: &Place, json: bool) -> Result<u8, CommandError> {
    let log = existing_log(place, false).await?;
    let state = find(&log, id).await?;
    let Some(log) = log else { return Ok(0) };
    let mut all = of_key::<LogLine>(log.as_ref(), streams::LOGS, &state.execution).await?;
    all.retain(|line| line.execution == state.execution);
    all.sort_by_key(|line| line.at_ms);
    if all.is_empty() && !json {
        tell(&format!("no log lines of {} are kept any more", state.execution));
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
