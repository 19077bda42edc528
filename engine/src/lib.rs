//! The processors of one process, running on a log: the same for the command and for simulation, which differ in the log
//! and in the ports.

mod ended;

use std::{sync::Arc, time::Duration};

use millrace_processors::{
    assemble::Assemble,
    cleanup::{self, Cleanup},
    merge::Merger,
    split::Split,
    transcode::Transcode,
};
use millrace_runtime::{
    Level, Log, LogError, Options, Partition, RunError, Stop, Stopper, run_aggregation,
    run_processor, table,
};
use millrace_topology::{
    Processor, ProcessorSpec,
    ports::{Controls, Media, PortError, Storage},
    streams, topology,
};
use tokio::task::{JoinError, JoinSet};

pub use ended::Ended;

/// The processors of a process.
pub struct Engine {
    log: Arc<dyn Log>,
    options: Options,
    stopper: Stopper,
    stop: Stop,
    ended: Ended,
    tasks: JoinSet<Result<(), RunError>>,
    /// What the processors are helped by, to their end.
    helpers: JoinSet<()>,
}

impl Engine {
    /// An engine on this log; nothing runs yet. Each processor has at most `options.window` records at work.
    #[must_use]
    pub fn new(log: Arc<dyn Log>, options: Options) -> Self {
        let (stopper, stop) = Stopper::new();
        Self {
            log,
            options,
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

    /// Starts all processors. At most `merges` merges are at work at once.
    pub fn start<P: Media + Storage + Controls>(&mut self, ports: &Arc<P>, merges: usize) {
        self.start_deciding(ports);
        for spec in topology().processors {
            let ports = ports.clone();
            match spec.name {
                "split" => self.spawn(spec, Split::new(ports), self.options),
                "transcode" => self.spawn(spec, Transcode::new(ports), self.options),
                "merge" => self.spawn(spec, Merger::new(ports), Options { window: merges, ..self.options }),
                "cleanup" | "assemble" => {}
                other => debug_assert!(false, "no processor '{other}' in this program"),
            }
        }
        self.watch(ports);
    }

    /// Starts what decides about executions and frees what has ended, and nothing that makes anything.
    pub fn start_deciding<P: Storage>(&mut self, ports: &Arc<P>) {
        for spec in topology().processors {
            match spec.name {
                "cleanup" => self.spawn(spec, Cleanup::new(ports.clone()), self.options),
                "assemble" => {
                    let (log, stop) = (self.log.clone(), self.stop.clone());
                    self.tasks.spawn(run_aggregation(log, spec, Arc::new(Assemble), self.options, stop));
                }
                _ => {}
            }
        }
    }

    fn watch<P: Storage>(&mut self, ports: &Arc<P>) {
        let (log, ended) = (self.log.clone(), self.ended.clone());
        self.helpers.spawn(async move {
            if let Err(error) = ended.watch(log).await {
                tracing::error!(%error, "nobody hears of cancels any more");
            }
        });
        let (log, ports, options) = (self.log.clone(), ports.clone(), self.options);
        self.helpers.spawn(async move {
            loop {
                if let Err(error) = sweep(log.as_ref(), ports.as_ref(), options).await {
                    tracing::warn!(%error, "what is left of executions that ended is swept later");
                }
                tokio::time::sleep(Duration::from_millis(cleanup::SWEEP_EVERY_MS.unsigned_abs())).await;
            }
        });
    }

    fn spawn<P: Processor>(&mut self, spec: ProcessorSpec, processor: P, options: Options) {
        let (log, stop) = (self.log.clone(), self.stop.clone());
        self.tasks.spawn(run_processor(log, spec, Arc::new(processor), options, stop));
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

/// Waits until a processor has consumed all that its stream holds.
///
/// # Errors
/// Where the log can't be read.
pub async fn caught_up(log: &dyn Log, processor: &str) -> Result<(), LogError> {
    let graph = topology();
    let Some(spec) = graph.processor(processor) else { return Ok(()) };
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
    let mut lag = 0;
    for number in 0..log.partitions(spec.reads.name).await? {
        let partition = Partition { stream: spec.reads.name.into(), number };
        lag += log.lag(&spec.group(), &partition).await?;
    }
    Ok(lag)
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
) -> Result<(), SweepError> {
    if ports.works().await?.is_empty() {
        return Ok(());
    }
    let known = table(log, streams::ASSEMBLIES).await?;
    let swept = cleanup::sweep(ports, &known, (options.clock)()).await?;
    if !swept.is_empty() {
        tracing::info!(?swept, "removed what was left of executions that have ended");
    }
    Ok(())
}
