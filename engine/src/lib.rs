//! Runs the processors of one process on a log. The program and the simulation use it with different logs and
//! ports.

mod ended;

use std::{sync::Arc, time::Duration};

use millrace_access::Access;
use millrace_processors::{
    Dependencies, Pinning, Ports, Principals, ProcessorStarter, ProfileSource, RunningExecutions, cleanup,
    request::Catalog, split, trigger::rules::Rule,
};
use millrace_runtime::{
    Backoff, Level, Log, LogError, Options, RunError, Stop, Stopper, Tail, read_table, run_aggregation,
    run_processor,
};
use millrace_schemas::Assembly;
use millrace_topology::{
    Aggregation, Processor, ProcessorSpec, Role, Window,
    ports::{PortError, Storage},
    streams,
};
use tokio::task::{JoinError, JoinSet};

pub use ended::Ended;

/// The settings of a process's processors.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How each processor runs, and the most records that it has in flight.
    pub options: Options,
    /// How long the work objects of a failed execution are kept, in milliseconds.
    pub retry_window_ms: i64,
    /// The URL scheme of the store for notifications that name only a bucket.
    pub store: String,
    /// The watched locations. A process without rules does not consume notifications.
    pub rules: Vec<Rule>,
    /// The principals of uploads on the log.
    pub principals: Principals,
    /// The rights and limits of each principal.
    pub access: Arc<Access>,
    /// The profiles that uploads may name.
    pub profiles: Arc<dyn ProfileSource>,
}

impl Settings {
    /// Returns the default settings with these options.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            options,
            retry_window_ms: cleanup::RETRY_WINDOW_MS,
            store: "s3".into(),
            rules: Vec::new(),
            principals: Principals::default(),
            access: Arc::new(Access::everything()),
            profiles: Arc::new(Catalog::default()),
        }
    }
}

/// The processors of a process. Dropping it ends them.
pub struct Engine {
    log: Arc<dyn Log>,
    settings: Settings,
    stopper: Stopper,
    stop: Stop,
    ended: Ended,
    tasks: JoinSet<Result<(), RunError>>,
    /// Background tasks: following tables, sweeps.
    helpers: JoinSet<()>,
}

impl Engine {
    /// Returns an engine on this log without any processors.
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

    /// Returns an observer of the stop level.
    #[must_use]
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Returns the ended attempts.
    #[must_use]
    pub fn ended(&self) -> Ended {
        self.ended.clone()
    }

    /// Starts the processors of these names, or all if there are none. At most `merges` merges are in flight.
    pub fn start<P: Ports>(&mut self, ports: &Arc<P>, merges: usize, named: &[String]) {
        let is_watching = !self.settings.rules.is_empty();
        let runs = |spec: &ProcessorSpec| {
            let is_named = named.iter().any(|name| name == spec.name);
            // Without watched locations there is nothing to do, unless another process watches some and this
            // one is named.
            let is_useful = is_watching || spec.role != Role::Watches;
            // Without rules a process can't handle notifications, even if it is named.
            let can_run = is_watching || spec.reads != streams::NOTIFICATIONS;
            can_run && if named.is_empty() { is_useful } else { is_named }
        };
        self.start_matching(ports, merges, &runs);
        self.start_helpers(ports, runs(&cleanup::spec()));
    }

    /// Starts the processors that decide about executions and remove expired work, and none that makes media.
    pub fn start_deciding<P: Ports>(&mut self, ports: &Arc<P>) {
        self.start_matching(ports, 1, &|spec| spec.role == Role::Decides);
    }

    fn start_matching<P: Ports>(
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
            pinning: Pinning::new(self.settings.profiles.clone(), self.settings.access.clone()),
            // Only `split` uses it.
            running: if runs(&split::spec()) {
                self.running_executions()
            } else {
                RunningExecutions::default()
            },
            keep_failed: self.settings.retry_window_ms > 0,
        };
        millrace_processors::start(&dependencies, &mut Starter { engine: self, merges, runs });
    }

    /// Returns the running executions. They are followed only if some principal has a limit of executions.
    fn running_executions(&mut self) -> RunningExecutions {
        let running = RunningExecutions::default();
        if self.settings.access.counts_executions() {
            let (log, followed) = (self.log.clone(), running.clone());
            self.helpers.spawn(async move {
                let mut backoff = Backoff::new(Duration::from_millis(100));
                loop {
                    if let Err(error) = follow_assemblies(&log, &followed).await {
                        tracing::warn!(%error, "following the executions failed; trying again");
                    }
                    tokio::time::sleep(backoff.pause()).await;
                }
            });
        }
        running
    }

    /// Starts following ended attempts, and with `sweeps` the periodic sweep.
    fn start_helpers<P: Storage>(&mut self, ports: &Arc<P>, sweeps: bool) {
        let (log, ended) = (self.log.clone(), self.ended.clone());
        self.helpers.spawn(async move {
            let mut backoff = Backoff::new(Duration::from_millis(100));
            loop {
                // It ends only if the log fails; the next call reads the table from its start.
                if let Err(error) = ended.watch(log.clone()).await {
                    tracing::warn!(%error, "following ended executions failed; trying again");
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
                    tracing::warn!(%error, "sweeping work objects of ended executions failed; trying again later");
                }
                tokio::time::sleep(Duration::from_millis(cleanup::sweep_interval_ms(window).unsigned_abs()))
                    .await;
            }
        });
    }

    /// Removes the work objects and staged outputs of executions that have ended.
    ///
    /// # Errors
    /// Fails if executions or work objects can't be read, or if an object can't be removed.
    pub async fn sweep<P: Storage>(&self, ports: &P) -> Result<(), SweepError> {
        sweep(self.log.as_ref(), ports, self.settings.options, self.settings.retry_window_ms).await
    }

    /// Raises the stop level of all processors.
    pub fn raise(&self, level: Level) {
        self.stopper.raise(level);
    }

    /// Waits until one of the processors ends, and returns its result; `None` if all have ended.
    pub async fn next_end(&mut self) -> Option<Result<Result<(), RunError>, JoinError>> {
        self.tasks.join_next().await
    }

    /// Ends all processors and background tasks at once.
    pub async fn kill(&mut self) {
        self.tasks.shutdown().await;
        self.helpers.shutdown().await;
    }
}

/// Starts those of the declared processors that run in this process.
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

/// Follows the table of executions until the log fails.
async fn follow_assemblies(log: &Arc<dyn Log>, running: &RunningExecutions) -> Result<(), LogError> {
    let mut changes = log.changes();
    let mut tail = Tail::<Assembly>::from_start(log.clone(), streams::ASSEMBLIES).await?;
    loop {
        changes.mark_seen();
        tail.read_new().await?.iter().for_each(|state| running.update(state));
        changes.changed().await;
    }
}

/// Waits until a processor has consumed all records of its stream.
///
/// # Errors
/// Fails if the log can't be read.
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

/// Returns the number of records that a processor's group has not consumed yet.
///
/// # Errors
/// Fails if the log can't be read.
pub async fn lag(log: &dyn Log, spec: &ProcessorSpec) -> Result<u64, LogError> {
    log.lag(&spec.group(), spec.reads.name).await
}

/// Why a sweep failed.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The storage of work objects failed.
    #[error(transparent)]
    Storage(#[from] PortError),
}

/// Removes the work objects and staged outputs of executions that have ended.
///
/// # Errors
/// Fails if executions or work objects can't be read, or if an object can't be removed.
pub async fn sweep<P: Storage + ?Sized>(
    log: &dyn Log,
    ports: &P,
    options: Options,
    retry_window_ms: i64,
) -> Result<(), SweepError> {
    if ports.works().await?.is_empty() {
        return Ok(());
    }
    let known = read_table(log, streams::ASSEMBLIES).await?;
    let swept = cleanup::sweep(ports, &known, (options.clock)(), retry_window_ms).await?;
    if !swept.is_empty() {
        tracing::info!(?swept, "removed work objects of ended executions");
    }
    Ok(())
}
