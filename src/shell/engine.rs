//! The processors of this process, with the ports that the command gives them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use millrace_access::Access;
use millrace_engine::{Engine, Settings};
use millrace_processors::{Principals, trigger::rules::Rule};
use millrace_runtime::{Level, Log, LogError, NewRecord, Options, Transaction};
use millrace_schemas::{Encoders, Progress};
use millrace_storage::{self as storage, Stores};
use millrace_topology::{Emit, streams};
use tokio::sync::mpsc;

use super::{
    DataFolder,
    convoy::Convoys,
    logs,
    ports::Ports,
    sandbox::{MediaProcesses, launcher},
};
use crate::commands::CommandError;

/// The scheme of the store that is meant where only a bucket is named, unless it is set otherwise.
pub(crate) const STORE: &str = "s3";

/// How much of what children say of their progress waits at most to be put on the log.
const PROGRESS: usize = 1000;

/// The processors and their ports.
pub(crate) struct Running {
    pub(crate) engine: Engine,
    ports: Arc<Ports>,
}

/// How this process works.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    /// Where work objects lie.
    pub(crate) objects: storage::Work,
    /// The stores of sources and outputs.
    pub(crate) stores: Stores,
    /// How many cores to use.
    pub(crate) jobs: usize,
    /// The processors to run; none named is all.
    pub(crate) processors: Vec<String>,
    /// For how long a failed execution's work objects are kept, in milliseconds.
    pub(crate) retry_window_ms: i64,
    /// The scheme of the store that is meant where only a bucket is named.
    pub(crate) store: String,
    /// What is watched.
    pub(crate) rules: Vec<Rule>,
    /// How media processes run.
    pub(crate) media: MediaProcesses,
    /// The encoders that media processes have, for the ids of renditions.
    pub(crate) encoders: Encoders,
    /// What each principal may reach, and how much.
    pub(crate) access: Arc<Access>,
    /// Whose uploads those are that come on the log.
    pub(crate) principals: Principals,
}

impl Work {
    /// On a data folder, as it is by default, with one core.
    pub(crate) fn of(data: &DataFolder) -> Self {
        let stores = Stores::default().reserving(data.location());
        Self {
            objects: storage::Work::in_folder(data.work(), &stores),
            stores,
            jobs: 1,
            processors: Vec::new(),
            retry_window_ms: millrace_processors::cleanup::RETRY_WINDOW_MS,
            store: STORE.into(),
            rules: Vec::new(),
            media: MediaProcesses::default(),
            encoders: Encoders::default(),
            access: Arc::new(Access::everything()),
            principals: Principals::default(),
        }
    }
}

/// Makes what the processors need; nothing runs yet.
fn prepare(how: &Work, log: &Arc<dyn Log>) -> Result<Running, CommandError> {
    logs::keep(log);
    let options = Options { window: 4 * how.jobs + 4, ..Options::default() };
    let settings = Settings {
        retry_window_ms: how.retry_window_ms,
        store: how.store.clone(),
        rules: how.rules.clone(),
        principals: how.principals.clone(),
        access: how.access.clone(),
        ..Settings::of(options)
    };
    let engine = Engine::new(log.clone(), settings);
    let (progress, told) = mpsc::channel(PROGRESS);
    let launcher = launcher(how.media)?;
    let (stores, work) = (how.stores.clone(), how.objects.clone());
    let (ended, stop) = (engine.ended(), engine.stop());
    let convoys = Convoys::new(
        launcher.clone(),
        (stores.clone(), work.clone()),
        how.jobs,
        progress,
        ended.clone(),
        stop,
    );
    let ports = Arc::new(Ports { launcher, encoders: how.encoders.clone(), stores, work, convoys, ended });
    tokio::spawn(publish_progress(log.clone(), told));
    Ok(Running { engine, ports })
}

impl Running {
    /// Starts the processors.
    pub(crate) fn start(how: &Work, log: &Arc<dyn Log>) -> Result<Self, CommandError> {
        let mut running = prepare(how, log)?;
        running.engine.start(&running.ports, how.jobs.max(2), &how.processors);
        Ok(running)
    }

    /// Starts what decides about executions, and nothing that makes anything.
    pub(crate) fn start_deciding(how: &Work, log: &Arc<dyn Log>) -> Result<Self, CommandError> {
        let mut running = prepare(how, log)?;
        running.engine.start_deciding(&running.ports);
        Ok(running)
    }

    /// Where sources, work objects and outputs are reached.
    pub(crate) fn ports(&self) -> Arc<dyn millrace_topology::ports::Storage> {
        self.ports.clone()
    }

    /// Lets the processors finish what was begun: for so long, or until told again. What is left then is done again later.
    pub(crate) async fn stop(&mut self, grace: Duration, again: impl Future<Output = ()>) {
        self.engine.raise(Level::Drain);
        tokio::select! {
            () = self.drained() => return,
            () = again => {}
            () = tokio::time::sleep(grace) => {}
        }
        self.engine.raise(Level::Now);
        // A log that does not answer holds nobody.
        if tokio::time::timeout(Duration::from_secs(2), self.drained()).await.is_err() {
            self.engine.kill().await;
        }
    }

    /// Frees what is left of executions that have ended.
    pub(crate) async fn sweep(&self) {
        if let Err(error) = self.engine.sweep(self.ports.as_ref()).await {
            tracing::warn!(%error, "what is left of executions that ended is swept later");
        }
    }

    /// Waits until a processor ends before it was told to, and says why.
    pub(crate) async fn broken(&mut self) -> CommandError {
        while let Some(ended) = self.engine.next_end().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return CommandError::failed(error),
                Err(error) => return CommandError::failed(error),
            }
        }
        std::future::pending().await
    }

    /// Waits until all processors have ended, after they were told to.
    pub(crate) async fn drained(&mut self) {
        while self.engine.next_end().await.is_some() {}
        logs::flush().await;
    }
}

/// Publishes records that no processor caused.
pub(crate) async fn publish(log: &dyn Log, emits: Vec<Emit>) -> Result<(), LogError> {
    let records = emits.into_iter().map(Into::into).collect();
    log.commit(Transaction { records, ..Transaction::default() }).await
}

/// Puts progress on the log, twice a second, the latest of each segment.
async fn publish_progress(log: Arc<dyn Log>, mut told: mpsc::Receiver<Progress>) {
    while let Some(first) = told.recv().await {
        let mut latest = HashMap::from([((first.execution.clone(), first.index), first)]);
        tokio::time::sleep(Duration::from_millis(500)).await;
        while let Ok(next) = told.try_recv() {
            latest.insert((next.execution.clone(), next.index), next);
        }
        let emits = latest.values().filter_map(|p| Emit::new(streams::PROGRESS, &p.execution, p).ok());
        // Advice: what is lost is followed by more.
        if let Err(error) = log.advise(emits.map(NewRecord::from).collect()).await {
            tracing::debug!(%error, "progress");
        }
    }
}
