//! Tasks of media processes, with restarts.

use std::{os::fd::OwnedFd, time::Duration};

use millrace_media::{ChildError, InspectTask, Inspected, Launcher, Reply, Task, TaskRequest};
use millrace_schemas::SourceRef;
use millrace_storage::{OpenSource, display_url};
use millrace_topology::ports::PortError;

use crate::{error::unexpected_reply, limits, sockets::SourceSockets};

/// How many media processes may die at one task before its media is held responsible.
const MAX_DEATHS: u32 = 3;

/// Counts the media processes that died at one task, and decides whether another one is started.
#[derive(Debug, Default)]
pub(crate) struct Restarts {
    deaths: u32,
}

impl Restarts {
    /// Returns after a pause if the task is worth another media process: 200 ms after the first death, 400 ms after the second.
    ///
    /// `name` is the source or output as users know it.
    ///
    /// # Errors
    /// If another process would end the same way, or [`MAX_DEATHS`] have died. Transient if no process could be started at all.
    pub(crate) async fn pause_after(&mut self, name: &str, error: ChildError) -> Result<(), PortError> {
        match error {
            ChildError::Failed(reason) => Err(PortError::Refused(format!("{name}: {reason}"))),
            // The same media would exceed the same limit, or make the same system call, again.
            ChildError::Late { .. } | ChildError::Large { .. } | ChildError::Forbidden { .. } => {
                Err(PortError::Refused(format!("{name}: {error}")))
            }
            ChildError::Died { .. } if self.deaths + 1 < MAX_DEATHS => {
                self.deaths += 1;
                tokio::time::sleep(Duration::from_millis(100 << self.deaths)).await;
                Ok(())
            }
            ChildError::Died { .. } => {
                Err(PortError::Refused(format!("{name}: {error}, {MAX_DEATHS} times")))
            }
            ChildError::Unreadable { .. } => Err(PortError::Refused(format!("{name}: {error}"))),
            ChildError::Start(_) => Err(PortError::Transient(error.to_string())),
        }
    }
}

/// A file or an object at one version, open for media processes.
pub(crate) struct PinnedSource {
    pub(crate) source: SourceRef,
    pub(crate) opened: OpenSource,
}

/// Runs tasks in media processes, one for each task. Processes that die are restarted ([`Restarts`]).
#[derive(Debug, Clone)]
pub(crate) struct Children {
    launcher: Launcher,
}

impl Children {
    pub(crate) fn new(launcher: Launcher) -> Self {
        Self { launcher }
    }

    /// Runs a task with the descriptors that it names, in order; `descriptors` opens them for each process.
    pub(crate) async fn run(
        &self,
        name: &str,
        ask: TaskRequest<'_>,
        descriptors: impl Fn() -> Result<Vec<OwnedFd>, PortError>,
    ) -> Result<Reply, PortError> {
        let mut restarts = Restarts::default();
        loop {
            match self.launcher.run(ask, descriptors()?, drop).await {
                Ok(reply) => return Ok(reply),
                Err(error) => restarts.pause_after(name, error).await?,
            }
        }
    }

    /// Runs a task that reads `sources`, for at most `limit`. Errors name the first source; if a store could not be read, the
    /// error is the store's.
    pub(crate) async fn run_on_sources(
        &self,
        task: &Task,
        sources: &[&PinnedSource],
        limit: Duration,
    ) -> Result<Reply, PortError> {
        self.run_with_outputs(task, sources, limit, || Ok(Vec::new())).await
    }

    /// Runs a task as [`Self::run_on_sources`] does; `outputs` opens the descriptors behind those of the sources, for each process.
    pub(crate) async fn run_with_outputs(
        &self,
        task: &Task,
        sources: &[&PinnedSource],
        limit: Duration,
        outputs: impl Fn() -> Result<Vec<OwnedFd>, PortError>,
    ) -> Result<Reply, PortError> {
        let name = sources.first().map_or(String::new(), |pinned| display_url(&pinned.source.url));
        let bytes = sources.iter().map(|pinned| pinned.source.bytes).sum();
        let mut restarts = Restarts::default();
        loop {
            let sockets = SourceSockets::default();
            let mut descriptors =
                sources.iter().map(|pinned| sockets.open(&pinned.opened)).collect::<Result<Vec<_>, _>>()?;
            descriptors.extend(outputs()?);
            let reply = self.launcher.run(TaskRequest { task, limit, bytes }, descriptors, drop).await;
            match (reply, sockets.failure()) {
                (Ok(reply), _) => return Ok(reply),
                (Err(_), Some(reason)) => return Err(reason),
                (Err(error), None) => restarts.pause_after(&name, error).await?,
            }
        }
    }

    /// Reads a source's headers, and with `segment_seconds` also the keyframes near the cuts of segments of that length.
    pub(crate) async fn inspect(
        &self,
        pinned: &PinnedSource,
        segment_seconds: Option<f64>,
    ) -> Result<Inspected, PortError> {
        let task = Task::Inspect(InspectTask { segment_seconds });
        let bytes = pinned.source.bytes;
        match self.run_on_sources(&task, &[pinned], limits::inspect(bytes)).await? {
            Reply::Inspected(found) => found
                .bounded(bytes)
                .map_err(|wrong| PortError::Refused(format!("{}: {wrong}", display_url(&pinned.source.url)))),
            other => Err(unexpected_reply(&other)),
        }
    }
}
