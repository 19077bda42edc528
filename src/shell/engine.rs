//! The processors of this process, with the ports that the command gives them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use millrace_engine::Engine;
use millrace_media::Launcher;
use millrace_runtime::{Log, LogError, Options, Transaction};
use millrace_schemas::Progress;
use millrace_storage::Work;
use millrace_topology::{Emit, streams};
use tokio::sync::mpsc;

use super::{DataFolder, convoy::Convoys, logs, ports::Ports};
use crate::commands::CommandError;

/// The processors and their ports.
pub(crate) struct Running {
    pub(crate) engine: Engine,
    ports: Arc<Ports>,
    options: Options,
    log: Arc<dyn Log>,
}

/// Makes what the processors of a data folder need; nothing runs yet.
fn prepare(data: &DataFolder, log: &Arc<dyn Log>, jobs: usize) -> Result<Running, CommandError> {
    logs::keep(log);
    let options = Options { window: 4 * jobs + 4, ..Options::default() };
    let engine = Engine::new(log.clone(), options);
    let (progress, told) = mpsc::unbounded_channel();
    let executable = std::env::current_exe().map_err(CommandError::failed)?;
    let launcher = Launcher::new(executable);
    let work = Work::new(data.work());
    let (ended, stop) = (engine.ended(), engine.stop());
    let convoys = Convoys::new(launcher.clone(), work.clone(), jobs, progress, ended.clone(), stop);
    let ports = Arc::new(Ports { launcher, work, convoys, ended });
    tokio::spawn(publish_progress(log.clone(), told));
    Ok(Running { engine, ports, options, log: log.clone() })
}

impl Running {
    /// Starts all processors on the data folder's log.
    pub(crate) fn start(data: &DataFolder, log: &Arc<dyn Log>, jobs: usize) -> Result<Self, CommandError> {
        let mut running = prepare(data, log, jobs)?;
        running.engine.start(&running.ports, jobs.max(2));
        Ok(running)
    }

    /// Starts what decides about executions, and nothing that makes anything.
    pub(crate) fn start_deciding(data: &DataFolder, log: &Arc<dyn Log>) -> Result<Self, CommandError> {
        let mut running = prepare(data, log, 1)?;
        running.engine.start_deciding(&running.ports);
        Ok(running)
    }

    /// Frees what is left of executions that have ended.
    pub(crate) async fn sweep(&self) {
        if let Err(error) = millrace_engine::sweep(self.log.as_ref(), self.ports.as_ref(), self.options).await
        {
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

/// Puts progress on the log, a few times a second, the latest of each segment.
async fn publish_progress(log: Arc<dyn Log>, mut told: mpsc::UnboundedReceiver<Progress>) {
    while let Some(first) = told.recv().await {
        let mut latest = HashMap::from([((first.execution.clone(), first.index), first)]);
        tokio::time::sleep(Duration::from_millis(200)).await;
        while let Ok(next) = told.try_recv() {
            latest.insert((next.execution.clone(), next.index), next);
        }
        let emits = latest.values().filter_map(|p| Emit::new(streams::PROGRESS, &p.execution, p).ok());
        if publish(log.as_ref(), emits.collect()).await.is_err() {
            return;
        }
    }
}
