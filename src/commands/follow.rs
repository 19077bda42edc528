//! Follows executions to their end: progress goes to stderr, results to stdout.

mod display;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use millrace_engine::caught_up;
use millrace_runtime::{Log, Tail};
use millrace_schemas::{Assembly, Merged, OutputFacts, Phase, Progress};
use millrace_topology::streams;
use millrace_worker::Worker;
use serde_json::json;

use crate::{error::CommandError, inputs::display_name, shell::logs, terminal::print};
use display::Display;

/// How long records that are begun may take after the first Ctrl-C.
const GRACE: Duration = Duration::from_secs(30);
/// The exit status of an interrupted call.
const INTERRUPTED: u8 = 130;

/// An execution that this call waits for.
pub(super) struct Awaited {
    pub(super) name: String,
    pub(super) attempt: i32,
    /// Segments of the video that were there when this call began, and how many of them an earlier look had found.
    pub(super) there_before: i32,
    pub(super) found_before: i32,
}

/// How an input ended.
pub(super) struct Ending<'a> {
    pub(super) execution: Option<&'a str>,
    pub(super) name: &'a str,
    pub(super) state: Phase,
    pub(super) reason: Option<&'a str>,
    pub(super) outputs: &'a [OutputFacts],
    pub(super) segments: i32,
    pub(super) reused: i32,
    /// What is damaged in the source, or could not be taken over.
    pub(super) warnings: &'a [String],
}

/// Prints the results of a call, and counts failures.
pub(super) struct Results {
    json: bool,
    begun: Instant,
    display: Display,
    failed: usize,
}

impl Results {
    pub(super) fn new(json: bool) -> Self {
        Self { json, begun: Instant::now(), display: Display::new(), failed: 0 }
    }

    /// Returns the exit status, by what has ended so far.
    pub(super) fn status(&self) -> u8 {
        u8::from(self.failed > 0)
    }

    /// Shows an execution that is waited for; `state` is where it stands already.
    pub(super) fn begin(&mut self, execution: &str, name: &str, state: Option<&Assembly>) {
        self.display.add(execution, name);
        if let Some(state) = state {
            self.display.state(state.clone());
        }
    }

    pub(super) fn report(&mut self, ending: &Ending<'_>) {
        self.failed += usize::from(ending.state != Phase::Succeeded);
        let elapsed = self.begun.elapsed().as_secs_f64();
        if let Some(execution) = ending.execution {
            self.display.end(execution);
        }
        if self.json {
            let line = json!({
                "execution": ending.execution, "source": ending.name, "state": ending.state.as_str(), "reason": ending.reason,
                "outputs": ending.outputs, "segments": ending.segments, "segments_reused": ending.reused, "warnings": ending.warnings,
                "elapsed_seconds": (elapsed * 1000.0).round() / 1000.0,
            });
            print(&line.to_string());
        }
        for warning in ending.warnings {
            self.display.say(&format!("millrace: warning: {}: {warning}", ending.name));
        }
        match ending.reason {
            Some(reason) => self.display.say(&format!("millrace: {}: {reason}", ending.state.as_str())),
            None if self.json => {}
            None => {
                for output in ending.outputs {
                    let size = indicatif::HumanBytes(output.bytes.unsigned_abs());
                    print(&format!(
                        "{}  {size}, {:.1} s",
                        display_name(&output.url),
                        output.duration_seconds
                    ));
                }
            }
        }
    }
}

/// Waits for the executions to end, and ends the processors, where this process has any.
pub(super) async fn follow(
    log: Arc<dyn Log>,
    mut worker: Option<Worker>,
    mut ended: Tail<Merged>,
    mut awaited: HashMap<String, Awaited>,
    mut results: Results,
) -> Result<u8, CommandError> {
    let mut changes = log.changes();
    let mut states = Tail::<Assembly>::from_end(log.clone(), streams::ASSEMBLIES).await?;
    let mut progress = Tail::<Progress>::from_end(log.clone(), streams::PROGRESS).await?;
    let mut redraw = tokio::time::interval(Duration::from_millis(500));
    let mut interrupts = Interrupts::new()?;
    let mut interrupted = false;
    while !awaited.is_empty() {
        changes.mark_seen();
        states.read_new().await?.into_iter().for_each(|state| results.display.state(state));
        progress.read_new().await?.iter().for_each(|progress| results.display.progress(progress));
        for merged in ended.read_new().await? {
            let Some(waiting) = awaited.get(&merged.execution) else { continue };
            if merged.attempt < waiting.attempt {
                continue;
            }
            let reused = waiting.there_before + merged.segments_reused - waiting.found_before;
            results.report(&Ending {
                execution: Some(&merged.execution),
                name: &waiting.name,
                state: merged.state,
                reason: merged.reason.as_deref(),
                outputs: &merged.outputs,
                segments: merged.segments,
                reused,
                warnings: &merged.warnings,
            });
            awaited.remove(&merged.execution);
        }
        tokio::select! {
            () = changes.changed() => {}
            _ = redraw.tick() => results.display.draw(),
            error = failure(&mut worker) => return Err(error),
            () = interrupts.next() => {
                interrupted = true;
                break;
            }
        }
    }
    results.display.clear();
    let Some(mut worker) = worker else {
        let left = awaited.len();
        if interrupted {
            results.display.say(&format!("millrace: not waiting any more; {left} go on without this call"));
            return Ok(INTERRUPTED);
        }
        return Ok(results.status());
    };
    if interrupted {
        results.display.say("millrace: stopping; finishing what was begun (Ctrl-C again stops at once)");
        stop(&mut worker, &mut interrupts).await;
        let left = awaited.len();
        results
            .display
            .say(&format!("millrace: interrupted with {left} to do; the same command goes on from here"));
        return Ok(INTERRUPTED);
    }
    let cleanup = millrace_processors::cleanup::spec();
    tokio::select! {
        result = caught_up(log.as_ref(), &cleanup) => result?,
        error = worker.failure() => return Err(error.into()),
        () = interrupts.next() => {}
    }
    stop(&mut worker, &mut interrupts).await;
    worker.sweep().await;
    Ok(results.status())
}

/// Waits for a processor of this process to fail, and returns why.
async fn failure(worker: &mut Option<Worker>) -> CommandError {
    match worker {
        Some(worker) => worker.failure().await.into(),
        None => std::future::pending().await,
    }
}

/// Lets the processors finish the records that they have begun, within [`GRACE`] or until the next interrupt.
async fn stop(worker: &mut Worker, interrupts: &mut Interrupts) {
    worker.stop(GRACE, interrupts.next()).await;
    logs::flush().await;
}

/// Ctrl-C and SIGTERM.
pub(super) struct Interrupts {
    int: tokio::signal::unix::Signal,
    term: tokio::signal::unix::Signal,
}

impl Interrupts {
    pub(super) fn new() -> Result<Self, CommandError> {
        use tokio::signal::unix::{SignalKind, signal};
        let int = signal(SignalKind::interrupt()).map_err(CommandError::failed)?;
        let term = signal(SignalKind::terminate()).map_err(CommandError::failed)?;
        Ok(Self { int, term })
    }

    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
        }
    }
}
