//! All processors of one process, running.

use std::{collections::HashMap, sync::Arc, time::Duration};

use millrace_media::Launcher;
use millrace_processors::{
    assemble::Assemble,
    cleanup::{self, Cleanup},
    merge::Merger,
    split::Split,
    transcode::Transcode,
};
use millrace_runtime::{
    Level, Log, LogError, Options, Partition, RunError, Stop, Stopper, Transaction, run_aggregation,
    run_processor,
};
use millrace_schemas::{Assembly, Progress};
use millrace_storage::Work;
use millrace_topology::{Emit, Processor, ProcessorSpec, millis_now, streams, topology};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use super::{DataFolder, Tail, convoy::Convoys, ports::Ports, states};
use crate::commands::CommandError;

/// The processors of this process.
pub(crate) struct Engine {
    log: Arc<dyn Log>,
    stopper: Stopper,
    tasks: JoinSet<Result<(), RunError>>,
}

impl Engine {
    /// Starts all processors on the data folder's log.
    pub(crate) async fn start(
        data: &DataFolder,
        log: Arc<dyn Log>,
        jobs: usize,
    ) -> Result<Self, CommandError> {
        let work = Work::new(data.work());
        sweep(&work, &log).await?;
        let (stopper, stop) = Stopper::new();
        let (progress, told) = mpsc::unbounded_channel();
        let (ending, ended) = watch::channel(HashMap::new());
        let executable = std::env::current_exe().map_err(CommandError::failed)?;
        let launcher = Launcher::new(executable);
        let convoys =
            Convoys::new(launcher.clone(), work.clone(), jobs, progress, ended.clone(), stop.clone());
        let ports = Arc::new(Ports { launcher, work, convoys, ended });
        let mut engine = Self { log: log.clone(), stopper, tasks: JoinSet::new() };
        let wide = Options { window: 4 * jobs + 4, ..Options::default() };
        for spec in topology().processors {
            let (ports, stop) = (ports.clone(), stop.clone());
            match spec.name {
                "split" => engine.spawn(spec, Split::new(ports), wide, stop),
                "transcode" => engine.spawn(spec, Transcode::new(ports), wide, stop),
                "merge" => {
                    let few = Options { window: jobs.max(2), ..wide };
                    engine.spawn(spec, Merger::new(ports), few, stop);
                }
                "cleanup" => engine.spawn(spec, Cleanup::new(ports), wide, stop),
                "assemble" => {
                    let running = run_aggregation(engine.log.clone(), spec, Arc::new(Assemble), stop);
                    engine.tasks.spawn(running);
                }
                other => return Err(CommandError::Failed(format!("no processor '{other}' in this program"))),
            }
        }
        tokio::spawn(publish_progress(log.clone(), told));
        tokio::spawn(watch_ends(log, ending, stop));
        Ok(engine)
    }

    fn spawn<P: Processor>(&mut self, spec: ProcessorSpec, processor: P, options: Options, stop: Stop) {
        self.tasks.spawn(run_processor(self.log.clone(), spec, Arc::new(processor), options, stop));
    }

    /// Publishes records that no processor caused.
    pub(crate) async fn submit(&self, emits: Vec<Emit>) -> Result<(), LogError> {
        let records = emits.into_iter().map(Into::into).collect();
        self.log.commit(Transaction { records, ..Transaction::default() }).await
    }

    /// Waits until a processor ends before it was told to, and says why.
    pub(crate) async fn broken(&mut self) -> CommandError {
        while let Some(ended) = self.tasks.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return CommandError::failed(error),
                Err(error) => return CommandError::failed(error),
            }
        }
        std::future::pending().await
    }

    /// Waits until a processor has consumed all that its stream holds.
    pub(crate) async fn caught_up(&self, processor: &str) -> Result<(), LogError> {
        let graph = topology();
        let Some(spec) = graph.processor(processor) else { return Ok(()) };
        let mut changes = self.log.changes();
        loop {
            changes.borrow_and_update();
            if self.lag(spec).await? == 0 || changes.changed().await.is_err() {
                return Ok(());
            }
        }
    }

    async fn lag(&self, spec: &ProcessorSpec) -> Result<u64, LogError> {
        let mut lag = 0;
        for number in 0..self.log.partitions(spec.reads.name).await? {
            let partition = Partition { stream: spec.reads.name.into(), number };
            lag += self.log.end(&partition).await? - self.log.committed(&spec.group(), &partition).await?;
        }
        Ok(lag)
    }

    /// How urgent the end is.
    pub(crate) fn raise(&self, level: Level) {
        self.stopper.raise(level);
    }

    /// Waits until all processors have ended, after they were told to.
    pub(crate) async fn drained(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Work objects that a crash, or a failure of long ago, has left.
async fn sweep(work: &Work, log: &Arc<dyn Log>) -> Result<(), CommandError> {
    let found = work.executions().map_err(CommandError::failed)?;
    if found.is_empty() {
        return Ok(());
    }
    let known = states(log.clone()).await?;
    for (execution, touched) in found {
        if cleanup::expired(known.get(&execution), touched, millis_now()) {
            work.remove(&execution).map_err(CommandError::failed)?;
        }
    }
    Ok(())
}

/// Puts progress on the log, a few times a second, the latest of each segment.
async fn publish_progress(log: Arc<dyn Log>, mut told: mpsc::UnboundedReceiver<Progress>) {
    while let Some(first) = told.recv().await {
        let mut latest = HashMap::from([((first.execution.clone(), first.index), first)]);
        tokio::time::sleep(Duration::from_millis(200)).await;
        while let Ok(next) = told.try_recv() {
            latest.insert((next.execution.clone(), next.index), next);
        }
        let emits = latest.values().filter_map(|p| Emit::new(streams::PROGRESS, &p.execution, p).ok());
        let records = emits.map(Into::into).collect();
        if log.commit(Transaction { records, ..Transaction::default() }).await.is_err() {
            return;
        }
    }
}

/// Tells tasks which executions have ended.
async fn watch_ends(log: Arc<dyn Log>, ending: watch::Sender<HashMap<String, i32>>, stop: Stop) {
    let mut changes = log.changes();
    let Ok(mut tail) = Tail::<Assembly>::from_start(log, streams::ASSEMBLIES).await else { return };
    while stop.level() < Level::Now {
        changes.borrow_and_update();
        let Ok(states) = tail.take().await else { return };
        let ended: Vec<_> = states.into_iter().filter(Assembly::is_terminal).collect();
        if !ended.is_empty() {
            ending.send_modify(|known| {
                known.extend(ended.into_iter().map(|state| (state.execution, state.attempt)));
            });
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = stop.reaches(Level::Now) => return,
        }
    }
}
