//! How media processes run, and whether this machine can sandbox them.

use std::time::Duration;

use millrace_media::{Checked, ChildError, LONGEST_TASK, Launcher, Layer, Sandbox, hide_memory};
use millrace_runtime::metrics;
use millrace_schemas::Encoders;

use crate::error::WorkerError;

/// How media processes run.
#[derive(Debug, Clone, Copy)]
pub struct MediaProcessSettings {
    /// Whether they are sandboxed.
    pub sandbox: Sandbox,
    /// The longest that one task may take, whatever its own limit is.
    pub longest_task: Duration,
}

impl Default for MediaProcessSettings {
    fn default() -> Self {
        Self { sandbox: Sandbox::default(), longest_task: LONGEST_TASK }
    }
}

/// Returns what starts media processes of this executable.
pub(crate) fn launcher(settings: MediaProcessSettings) -> Result<Launcher, WorkerError> {
    // The memory of this process holds the stores' credentials: a media process that escaped its sandbox must not read it.
    hide_memory();
    let executable = std::env::current_exe().map_err(WorkerError::Executable)?;
    Ok(Launcher::new(executable, settings.sandbox).with_longest_task(settings.longest_task))
}

/// Has a media process seal itself; logs and counts which layers of the sandbox hold on this machine. Returns the encoders that media
/// processes have.
///
/// # Errors
/// If a layer that the settings require does not hold, or no media process could be started.
pub async fn check_sandbox(settings: MediaProcessSettings) -> Result<Encoders, WorkerError> {
    let Checked { layers: held, encoders } = match launcher(settings)?.check().await {
        Ok(checked) => checked,
        Err(ChildError::Failed(reason)) => return Err(WorkerError::Sandbox(reason)),
        Err(error) => return Err(WorkerError::MediaProcess(error)),
    };
    for layer in Layer::ALL {
        metrics::set_sandbox_layer(layer.as_str(), held.contains(&layer));
    }
    if settings.sandbox == Sandbox::Off {
        tracing::warn!(
            "media are decoded without a sandbox: a crafted file may do whatever this process may"
        );
        return Ok(encoders);
    }
    let missing: Vec<&str> =
        Layer::ALL.into_iter().filter(|layer| !held.contains(layer)).map(Layer::as_str).collect();
    let held: Vec<&str> = held.into_iter().map(Layer::as_str).collect();
    tracing::info!(held = held.join(" "), missing = missing.join(" "), "media are decoded in a sandbox");
    Ok(encoders)
}
