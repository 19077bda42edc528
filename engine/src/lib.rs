//! The processors of one process, running on a log: the same for the command and for simulation, which differ in the log
//! and in the ports.

mod ended;

use std::{sync::Arc, time::Duration};

use millrace_access::Access;
use millrace_processors::{
    Dependencies, Ports, Principals, ProcessorStarter, RunningExecutions, cleanup, split,
    trigger::rules::Rule,
};
use millrace_runtime::{
    Backoff, Level, Log, LogError, Options, RunError, Stop, Stopper, Tail, run_aggregation, run_processor,
    table,
};
use millrace_schemas::Assembly;
use millrace_topology::{
    Aggregation, Processor, ProcessorSpec, Role, Window,
    ports::{PortError, Storage},
    streams,
};
use tokio::task::{JoinError, JoinSet};

pub use ended::Ended;

/// How the processors of a process work.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How each runs; it has at most `options.window` records at work.
    pub options: Options,
    /// For how long the work objects of a failed execution are kept, in milliseconds.
    pub retry_window_ms: i64,
    /// The scheme of the store that is meant where only a bucket is named.
    pub store: String,
    /// What is watched. A process without rules leaves notifications to others.
    pub rules: Vec<Rule>,
    /// Whose uploads those are that come on the log.
    pub principals: Principals,
    /// What each principal may reach, and how much.
    pub access: Arc<Access>,
}

impl Settings {
    /// With these options, and all else as it is by default.
    #[must_use]
    pub fn of(options: Options) -> Self {
        Self {
            options,
            retry_window_ms: cleanup::RETRY_WINDOW_MS,
            store: "s3".into(),
            rules: Vec::new(),
            principals: Principals::default(),
            access: Arc::new(Access::everything()),
        }
    }
}

/// The processors of a process.
pub struct Engine {
    log: Arc<dyn Log>,
    settings: Settings,
    stopper: Stopper,
    stop: Stop,
    ended: Ended,
    tasks: JoinSet<Result<(), RunError>>,
    /// What the processors are helped by, to their end.
    helpers: JoinSet<()>,
}

impl Engine {
    /// An engine on this log; nothing runs yet.
    #[must_use]
    pub fn new(log: Arc<dyn Log>, settings: Settings) -> Self {
        let (stopper, stop) = Stopper::new();
        Self {
            log,
            settings,
            stopper,
            stop,
            ended: Ended::default(),
            tasks: JoinSet::new(),
            helpers: JoinSet::new(),
        }
    }

    /// Tells when to stop.
    #[must_use]
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Tells which attempts have ended.
    #[must_use]
    pub fn ended(&self) -> Ended {
        self.ended.clone()
    }

    /// Starts the processors of these names, or all where none is named. At most `merges` merges are at work at once.
    pub fn start<P: Ports>(&mut self, ports: &Arc<P>, merges: usize, named: &[String]) {
        let is_watching = !self.settings.rules.is_empty();
        let runs = |spec: &ProcessorSpec| {
            let is_named = named.iter().any(|name| name == spec.name);
            // Where nothing is watched nothing arrives, unless others watch and say so.
            let has_use = is_watching || spec.role != Role::Watches;
            // A process without rules leaves notifications to others, whatever it is asked.
            let can = is_watching || spec.reads != streams::NOTIFICATIONS;
            can && if named.is_empty() { has_use } else { is_named }
        };
        self.start_those(ports, merges, &runs);
        self.watch(ports, runs(&cleanup::spec()));
    }

    /// Starts what decides about executions and frees what has ended, and nothing that makes anything.
    pub fn start_deciding<P: Ports>(&mut self, ports: &Arc<P>) {
        self.start_those(ports, 1, &|spec| spec.role == Role::Decides);
    }

    fn start_those<P: Ports>(
        &mut self,
        ports: &Arc<P>,
        merges: usize,
        runs: &dyn Fn(&ProcessorSpec) -> bool,
    ) {
        let dependencies = Dependencies {
            ports: ports.clone(),
            store: self.settings.store.clone(),
            rules: self.settings.rules.clone(),
            principals: self.settings.principals.clone(),
            access: self.settings.access.clone(),
            // Only `split` asks.
            running: if runs(&split::spec()) { self.counted() } else { RunningExecutions::default() },
            keep_failed: self.settings.retry_window_ms > 0,
        };
        millrace_processors::start(&dependencies, &mut Starter { engine: self, merges, runs });
    }

    /// Counts the executions that are at work, where any principal may have only so many.
    fn counted(&mut self) -> RunningExecutions {
        let running = RunningExecutions::default();
        if self.settings.access.counts_executions() {
            let (log, fed) = (self.log.clone(), running.clone());
            self.helpers.spawn(async move {
                let mut backoff = Backoff::new(Duration::from_millis(100));
                loop {
                    if let Err(error) = count(&log, &fed).await {
                        tracing::warn!(%error, "executions at work are counted again");
                    }
                    tokio::time::sleep(backoff.pause()).await;
                }
            });
        }
        running
    }

    fn watch<P: Storage>(&mut self, ports: &Arc<P>, sweeps: bool) {
        let (log, ended) = (self.log.clone(), self.ended.clone());
        self.helpers.spawn(async move {
            let mut backoff = Backoff::new(Duration::from_millis(100));
            loop {
                // Where it ends, the log failed: what is heard later is heard from the start.
                if let Err(error) = ended.watch(log.clone()).await {
                    tracing::warn!(%error, "cancels are heard of later");
                }
                tokio::time::sleep(backoff.pause()).await;
            }
        });
        if !sweeps {
            return;
        }
        let (log, ports) = (self.log.clone(), ports.clone());
        let (options, window) = (self.settings.options, self.settings.retry_window_ms);
        self.helpers.spawn(async move {
            loop {
                if let Err(error) = sweep(log.as_ref(), ports.as_ref(), options, window).await {
                    tracing::warn!(%error, "what is left of executions that ended is swept later");
                }
                tokio::time::sleep(Duration::from_millis(cleanup::sweep_interval_ms(window).unsigned_abs()))
                    .await;
            }
        });
    }

    /// Sweeps what is left of executions that have ended.
    ///
    /// # Errors
    /// Where executions or work objects can't be read, or removed.
    pub async fn sweep<P: Storage>(&self, ports: &P) -> Result<(), SweepError> {
        sweep(self.log.as_ref(), ports, self.settings.options, self.settings.retry_window_ms).await
    }

    /// How urgent the end is.
    pub fn raise(&self, level: Level) {
        self.stopper.raise(level);
    }

    /// Waits until one of the processors ends; none when all have.
    pub async fn next_end(&mut self) -> Option<Result<Result<(), RunError>, JoinError>> {
        self.tasks.join_next().await
    }

    /// Ends everything where it is.
    pub async fn kill(&mut self) {
        self.tasks.shutdown().await;
        self.helpers.shutdown().await;
    }
}

/// Starts the processors that are to run in this process.
struct Starter<'a> {
    engine: &'a mut Engine,
    merges: usize,
    runs: &'a dyn Fn(&ProcessorSpec) -> bool,
}

impl Starter<'_> {
    fn options(&self, spec: &ProcessorSpec) -> Options {
        let usual = self.engine.settings.options;
        match spec.window {
            Window::Usual => usual,
            Window::Outputs => Options { window: self.merges, ..usual },
        }
    }
}

impl ProcessorStarter for Starter<'_> {
    fn start_processor(&mut self, spec: ProcessorSpec, processor: impl Processor) {
        if !(self.runs)(&spec) {
            return;
        }
        let options = self.options(&spec);
        let (log, stop, ended) =
            (self.engine.log.clone(), self.engine.stop.clone(), self.engine.ended.clone());
        self.engine.tasks.spawn(async move {
            if spec.role == Role::Makes {
                tokio::select! {
                    biased;
                    () = ended.ready() => {}
                    () = stop.reaches(Level::Drain) => return Ok(()),
                }
            }
            run_processor(log, spec, Arc::new(processor), options, stop).await
        });
    }

    fn start_aggregation(&mut self, spec: ProcessorSpec, aggregation: impl Aggregation) {
        if !(self.runs)(&spec) {
            return;
        }
        let (log, stop, options) = (self.engine.log.clone(), self.engine.stop.clone(), self.options(&spec));
        self.engine.tasks.spawn(run_aggregation(log, spec, Arc::new(aggregation), options, stop));
    }
}

/// Follows the table of executions for good.
async fn count(log: &Arc<dyn Log>, running: &RunningExecutions) -> Result<(), LogError> {
    let mut changes = log.changes();
    let mut tail = Tail::<Assembly>::from_start(log.clone(), streams::ASSEMBLIES).await?;
    loop {
        changes.mark_seen();
        tail.take().await?.iter().for_each(|state| running.update(state));
        changes.changed().await;
    }
}

/// Waits until a processor has consumed all that its stream holds.
///
/// # Errors
/// Where the log can't be read.
pub async fn caught_up(log: &dyn Log, spec: &ProcessorSpec) -> Result<(), LogError> {
    let mut changes = log.changes();
    loop {
        changes.mark_seen();
        if lag(log, spec).await? == 0 {
            return Ok(());
        }
        changes.changed().await;
    }
}

/// How many records a processor's group has yet to consume.
///
/// # Errors
/// Where the log can't be read.
pub async fn lag(log: &dyn Log, spec: &ProcessorSpec) -> Result<u64, LogError> {
    log.lag(&spec.group(), spec.reads.name).await
}

/// Why what is left could not be swept.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Where the work objects are.
    #[error(transparent)]
    Storage(#[from] PortError),
}

/// Sweeps what is left of executions that have ended.
///
/// # Errors
/// Where executions or work objects can't be read, or removed.
pub async fn sweep<P: Storage + ?Sized>(
    log: &dyn Log,
    ports: &P,
    options: Options,
    retry_window_ms: i64,
) -> Result<(), SweepError> {
    if ports.works().await?.is_empty() {
        return Ok(());
    }
    let known = table(log, streams::ASSEMBLIES).await?;
    let swept = cleanup::sweep(ports, &known, (options.clock)(), retry_window_ms).await?;
    if !swept.is_empty() {
        tracing::info!(?swept, "removed what was left of executions that have ended");
    }
    Ok(())
}
