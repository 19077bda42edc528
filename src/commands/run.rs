//! `millrace run`: the whole topology in this process, until the executions end.

mod display;
mod inputs;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use millrace_processors::formats::{self, Format};
use millrace_runtime::{Level, Log};
use millrace_schemas::{Assembly, Merged, OutputFacts, Phase, Progress, Signal, Upload, execution_id};
use millrace_topology::{Emit, streams};
use serde_json::json;

use super::{CommandError, print};
use crate::{
    cli::Run,
    shell::{DataFolder, Engine, Tail, states},
};
use display::Display;
use inputs::{Input, shown};

/// For how long what was begun may go on after the first Ctrl-C.
const GRACE: Duration = Duration::from_secs(30);
/// The exit status of an interrupted call.
const INTERRUPTED: u8 = 130;

/// An execution that this call waits for.
struct Awaited {
    name: String,
    attempt: i32,
    /// Segments of the video that were there when this call began, and how many of them an earlier look had found.
    there_before: i32,
    found_before: i32,
}

/// How an input ended.
struct Ending<'a> {
    execution: Option<&'a str>,
    name: &'a str,
    state: Phase,
    reason: Option<&'a str>,
    outputs: &'a [OutputFacts],
    segments: i32,
    reused: i32,
}

/// Tells the results of a call, and keeps count.
struct Results {
    json: bool,
    begun: Instant,
    display: Display,
    failed: usize,
}

impl Results {
    fn tell(&mut self, ending: &Ending<'_>) {
        self.failed += usize::from(ending.state != Phase::Succeeded);
        let elapsed = self.begun.elapsed().as_secs_f64();
        if let Some(execution) = ending.execution {
            self.display.end(execution);
        }
        if self.json {
            let line = json!({
                "execution": ending.execution, "source": ending.name, "state": ending.state.as_str(), "reason": ending.reason,
                "outputs": ending.outputs, "segments": ending.segments, "segments_reused": ending.reused,
                "elapsed_seconds": (elapsed * 1000.0).round() / 1000.0,
            });
            print(&line.to_string());
        }
        match ending.reason {
            Some(reason) => self.display.say(&format!("millrace: {}: {reason}", ending.state.as_str())),
            None if self.json => {}
            None => {
                for output in ending.outputs {
                    let size = indicatif::HumanBytes(output.bytes.unsigned_abs());
                    print(&format!("{}  {size}, {:.1} s", shown(&output.url), output.duration_seconds));
                }
            }
        }
    }
}

pub(super) async fn run(call: Run) -> Result<u8, CommandError> {
    let formats = wanted(&call.formats)?;
    let seconds = formats::segment_time(call.segment_time).map_err(CommandError::Call)?;
    let prefix =
        millrace_storage::url_of(&call.output).map_err(|error| CommandError::Call(error.to_string()))?;
    let inputs = inputs::expand(&call.inputs);
    inputs::check(&inputs, &prefix, &formats)?;
    let data = DataFolder::find(call.data.folder.as_deref())?;
    let _owned = data.own()?;
    let log: Arc<dyn Log> = Arc::new(data.log()?);
    log.ensure(&streams::ALL).await?;

    let mut results = Results { json: call.json, begun: Instant::now(), display: Display::new(), failed: 0 };
    let known = states(log.clone()).await?;
    // Outcomes that an earlier call published, and that were not counted before it died.
    let mut uncounted =
        Tail::<Signal>::from_committed(log.clone(), streams::TRANSCODED, "millrace-assemble").await?;
    let uncounted = uncounted.take().await?;
    let mut awaited = HashMap::new();
    let mut uploads = Vec::new();
    for input in &inputs {
        let source =
            match input.source.clone().and_then(|url| millrace_storage::pin(&url).map_err(|e| e.to_string()))
            {
                Ok(source) => source,
                Err(reason) => {
                    results.tell(&refused(input, &reason));
                    continue;
                }
            };
        let mut upload = Upload {
            source: Some(source.url.clone()),
            oss_bucket_name: None,
            video_key: None,
            version: Some(source.version.clone()),
            output_prefix: prefix.clone(),
            segment_time_seconds: seconds,
            dst_formats: formats.iter().map(|format| format.name.to_owned()).collect(),
            name: None,
            labels: HashMap::new(),
            overwrite: call.overwrite,
            attempt: 1,
        };
        let execution = execution_id(&upload, &source);
        let before = known.get(&execution);
        match next(before) {
            Next::Done(state) => {
                let outputs: Vec<_> =
                    state.outputs.iter().filter_map(|output| output.facts.clone()).collect();
                results.tell(&Ending {
                    execution: Some(&execution),
                    name: &input.name,
                    state: state.phase,
                    reason: None,
                    outputs: &outputs,
                    segments: state.video_segments,
                    reused: state.video_segments,
                });
                continue;
            }
            Next::Attempt(attempt) => {
                upload.attempt = attempt;
                uploads
                    .push(Emit::new(streams::UPLOADS, &source.url, &upload).map_err(CommandError::failed)?);
            }
            Next::Follow(attempt) => upload.attempt = attempt,
        }
        let going_on = before.filter(|state| !state.is_terminal());
        let waiting = Awaited {
            name: input.name.clone(),
            attempt: upload.attempt,
            there_before: going_on.map_or(0, Assembly::video_done)
                + made_before(&uncounted, &execution, upload.attempt, going_on),
            found_before: going_on.map_or(0, |state| state.reused),
        };
        results.display.add(&execution, &input.name);
        if let Some(state) = going_on {
            results.display.state(state.clone());
        }
        awaited.insert(execution, waiting);
    }
    if awaited.is_empty() {
        return Ok(u8::from(results.failed > 0));
    }
    let jobs = call.jobs.map_or_else(cores, usize::from);
    let ended = Tail::from_end(log.clone(), streams::MERGED).await?;
    let engine = Engine::start(&data, log.clone(), jobs).await?;
    engine.submit(uploads).await?;
    follow(log, engine, ended, awaited, results).await
}

/// How many segments of the video were made by an earlier call that nobody has counted yet.
fn made_before(uncounted: &[Signal], execution: &str, attempt: i32, state: Option<&Assembly>) -> i32 {
    let mut found: Vec<i32> = uncounted
        .iter()
        .filter(|signal| signal.execution == execution && signal.attempt == attempt)
        .filter_map(|signal| signal.segment.as_ref())
        // What was reused is counted as such when it is folded.
        .filter(|outcome| !outcome.reused && outcome.made.iter().any(|made| made.rendition.starts_with("v-")))
        .map(|outcome| outcome.index)
        .filter(|index| state.is_none_or(|state| !state.has(*index)))
        .collect();
    found.sort_unstable();
    found.dedup();
    i32::try_from(found.len()).unwrap_or(i32::MAX)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn wanted(names: &[String]) -> Result<Vec<Format>, CommandError> {
    let mut found: Vec<Format> = Vec::new();
    for name in names {
        let format = formats::format(name).map_err(CommandError::Call)?;
        if !found.contains(&format) {
            found.push(format);
        }
    }
    if found.is_empty() {
        found.push(formats::FORMATS[0]);
    }
    Ok(found)
}

/// What is to be done about an execution.
enum Next<'a> {
    /// Nothing: it succeeded, and its outputs are there.
    Done(&'a Assembly),
    /// It is at work, since an earlier call.
    Follow(i32),
    /// It begins, or begins again.
    Attempt(i32),
}

fn next(before: Option<&Assembly>) -> Next<'_> {
    match before {
        None => Next::Attempt(1),
        Some(state) if !state.is_terminal() => Next::Follow(state.attempt),
        Some(state) if state.phase == Phase::Succeeded && all_there(state) => Next::Done(state),
        Some(state) => Next::Attempt(state.attempt + 1),
    }
}

/// Whether every output of a success is still there, as long as it was.
fn all_there(state: &Assembly) -> bool {
    state.outputs.iter().all(|output| {
        let path = millrace_storage::path_of(&output.plan.url).ok();
        let size = path.and_then(|path| path.metadata().ok()).map(|metadata| metadata.len().cast_signed());
        size.is_some() && size == output.facts.as_ref().map(|facts| facts.bytes)
    })
}

fn refused<'a>(input: &'a Input, reason: &'a str) -> Ending<'a> {
    Ending {
        execution: None,
        name: &input.name,
        state: Phase::Failed,
        reason: Some(reason),
        outputs: &[],
        segments: 0,
        reused: 0,
    }
}

/// Waits for the executions to end, and ends the engine.
async fn follow(
    log: Arc<dyn Log>,
    mut engine: Engine,
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
        changes.borrow_and_update();
        states.take().await?.into_iter().for_each(|state| results.display.state(state));
        progress.take().await?.iter().for_each(|progress| results.display.progress(progress));
        for merged in ended.take().await? {
            let Some(waiting) = awaited.get(&merged.execution) else { continue };
            if merged.attempt < waiting.attempt {
                continue;
            }
            let reused = waiting.there_before + merged.segments_reused - waiting.found_before;
            results.tell(&Ending {
                execution: Some(&merged.execution),
                name: &waiting.name,
                state: merged.state,
                reason: merged.reason.as_deref(),
                outputs: &merged.outputs,
                segments: merged.segments,
                reused,
            });
            awaited.remove(&merged.execution);
        }
        tokio::select! {
            changed = changes.changed() => changed.map_err(CommandError::failed)?,
            _ = redraw.tick() => results.display.draw(),
            error = engine.broken() => return Err(error),
            () = interrupts.next() => {
                interrupted = true;
                break;
            }
        }
    }
    results.display.clear();
    if interrupted {
        results.display.say("millrace: stopping; finishing what was begun (Ctrl-C again stops at once)");
        stop(&mut engine, &mut interrupts).await;
        let left = awaited.len();
        results
            .display
            .say(&format!("millrace: interrupted with {left} to do; the same command goes on from here"));
        return Ok(INTERRUPTED);
    }
    tokio::select! {
        result = engine.caught_up("cleanup") => result?,
        () = interrupts.next() => {}
    }
    stop(&mut engine, &mut interrupts).await;
    Ok(u8::from(results.failed > 0))
}

/// Lets the engine finish what was begun, within reason.
async fn stop(engine: &mut Engine, interrupts: &mut Interrupts) {
    engine.raise(Level::Drain);
    tokio::select! {
        () = engine.drained() => return,
        () = interrupts.next() => {}
        () = tokio::time::sleep(GRACE) => {}
    }
    engine.raise(Level::Now);
    engine.drained().await;
}

/// Ctrl-C and SIGTERM.
struct Interrupts {
    int: tokio::signal::unix::Signal,
    term: tokio::signal::unix::Signal,
}

impl Interrupts {
    fn new() -> Result<Self, CommandError> {
        use tokio::signal::unix::{SignalKind, signal};
        let int = signal(SignalKind::interrupt()).map_err(CommandError::failed)?;
        let term = signal(SignalKind::terminate()).map_err(CommandError::failed)?;
        Ok(Self { int, term })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
        }
    }
}
