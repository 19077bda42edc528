//! The processors of this process, and the ports that they use.

use std::{collections::HashMap, sync::Arc, time::Duration};

use millrace_engine::{Engine, Settings};
use millrace_runtime::{Level, Log, NewRecord, Options, Stop};
use millrace_schemas::Progress;
use millrace_topology::{Emit, ports::Storage, streams};
use tokio::{sync::mpsc, time::timeout};

use crate::{
    batch::SegmentBatches, children::Children, error::WorkerError, ports::Ports, sandbox::launcher,
    settings::WorkerSettings,
};

/// How many progress reports of media processes wait at most to be published; further ones are dropped.
const MAX_WAITING_PROGRESS: usize = 1000;
/// How often progress is published.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);
/// How long processors may take to end after [`Level::Now`], before their tasks are aborted.
const ABORT_AFTER: Duration = Duration::from_secs(2);

/// The running processors of this process.
///
/// Dropping it aborts them.
pub struct Worker {
    engine: Engine,
    ports: Arc<Ports>,
}

impl Worker {
    /// Starts the processors that the settings name. At most `jobs` merges run at once, or two if that is more.
    ///
    /// # Errors
    /// If the path of this executable, which media processes run, is not known.
    pub fn start(settings: &WorkerSettings, log: &Arc<dyn Log>) -> Result<Self, WorkerError> {
        let mut worker = Self::prepare(settings, log)?;
        worker.engine.start(&worker.ports, settings.jobs.max(2), &settings.processors);
        Ok(worker)
    }

    /// Starts only the processors that decide about executions and free what has ended: nothing is transcoded or merged.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_deciding(settings: &WorkerSettings, log: &Arc<dyn Log>) -> Result<Self, WorkerError> {
        let mut worker = Self::prepare(settings, log)?;
        worker.engine.start_deciding(&worker.ports);
        Ok(worker)
    }

    fn prepare(settings: &WorkerSettings, log: &Arc<dyn Log>) -> Result<Self, WorkerError> {
        let options = Options { window: 4 * settings.jobs + 4, ..Options::default() };
        let engine_settings = Settings {
            retry_window_ms: settings.retry_window_ms,
            store: settings.default_store.clone(),
            rules: settings.rules.clone(),
            principals: settings.principals.clone(),
            access: settings.access.clone(),
            profiles: settings.profiles.clone(),
            ..Settings::new(options)
        };
        let engine = Engine::new(log.clone(), engine_settings);
        let (progress, reports) = mpsc::channel(MAX_WAITING_PROGRESS);
        let launcher = launcher(settings.media)?;
        let (stores, work) = (settings.stores.clone(), settings.objects.clone());
        let ended = engine.ended();
        let batches = SegmentBatches::new(
            launcher.clone(),
            (stores.clone(), work.clone()),
            settings.jobs,
            progress,
            ended.clone(),
            engine.stop(),
        );
        let ports = Arc::new(Ports {
            children: Children::new(launcher),
            encoders: settings.encoders.clone(),
            stores,
            keys: settings.keys.clone(),
            work,
            batches,
            ended,
        });
        tokio::spawn(publish_progress(log.clone(), reports));
        Ok(Self { engine, ports })
    }

    /// Returns the port to sources, work objects and outputs.
    #[must_use]
    pub fn storage(&self) -> Arc<dyn Storage> {
        self.ports.clone()
    }

    /// Returns the signal that tells how urgently the processors are to end.
    #[must_use]
    pub fn stop_signal(&self) -> Stop {
        self.engine.stop()
    }

    /// Lets the processors finish the records that they have begun, without a time limit, and waits for that.
    pub async fn drain(&mut self) {
        self.engine.raise(Level::Drain);
        self.all_ended().await;
    }

    /// Ends the processors. They may finish the records that they have begun until `grace` is over or `hurry` completes; what is
    /// left then is processed again later.
    pub async fn stop(&mut self, grace: Duration, hurry: impl Future<Output = ()>) {
        tokio::select! {
            () = self.drain() => return,
            () = hurry => {}
            () = tokio::time::sleep(grace) => {}
        }
        self.engine.raise(Level::Now);
        // A log that does not respond must not keep the process alive.
        if timeout(ABORT_AFTER, self.all_ended()).await.is_err() {
            self.engine.kill().await;
        }
    }

    /// Removes work objects and staged outputs that crashed processes left of executions that have ended. Failures are logged.
    pub async fn sweep(&self) {
        if let Err(error) = self.engine.sweep(self.ports.as_ref()).await {
            tracing::warn!(%error, "what is left of executions that ended is swept later");
        }
    }

    /// Waits for a processor to fail, and returns why. Never returns if all of them end as they should.
    pub async fn failure(&mut self) -> WorkerError {
        while let Some(ended) = self.engine.next_end().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return WorkerError::Processor(error),
                Err(error) => return WorkerError::Panic(error),
            }
        }
        std::future::pending().await
    }

    async fn all_ended(&mut self) {
        while self.engine.next_end().await.is_some() {}
    }
}

/// Publishes the latest progress of each segment, at most every [`PROGRESS_INTERVAL`].
async fn publish_progress(log: Arc<dyn Log>, mut reports: mpsc::Receiver<Progress>) {
    while let Some(first) = reports.recv().await {
        let mut latest = HashMap::from([((first.execution.clone(), first.index), first)]);
        tokio::time::sleep(PROGRESS_INTERVAL).await;
        while let Ok(next) = reports.try_recv() {
            latest.insert((next.execution.clone(), next.index), next);
        }
        let emits = latest.values().filter_map(|p| Emit::new(streams::PROGRESS, &p.execution, p).ok());
        // Progress is advice: a later report replaces a lost one.
        if let Err(error) = log.advise(emits.map(NewRecord::from).collect()).await {
            tracing::debug!(%error, "progress");
        }
    }
}
