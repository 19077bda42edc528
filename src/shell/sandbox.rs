//! The box around media: what of it this machine has, and whether anything may be decoded here.

use std::time::Duration;

use millrace_media::{Checked, ChildError, LONGEST_TASK, Launcher, Layer, Sandbox, hide_memory};
use millrace_runtime::metrics;
use millrace_schemas::Encoders;

use crate::commands::CommandError;

/// How media processes run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MediaProcesses {
    pub(crate) sandbox: Sandbox,
    /// What no task may take longer than.
    pub(crate) longest_task: Duration,
}

impl Default for MediaProcesses {
    fn default() -> Self {
        Self { sandbox: Sandbox::default(), longest_task: LONGEST_TASK }
    }
}

/// What starts media processes.
pub(super) fn launcher(how: MediaProcesses) -> Result<Launcher, CommandError> {
    // What a media process could read of this one, if it got out, are the stores' keys.
    hide_memory();
    let executable = std::env::current_exe().map_err(CommandError::failed)?;
    Ok(Launcher::new(executable, how.sandbox).with_longest_task(how.longest_task))
}

/// Has a media process seal itself, and tells which layers hold. Returns the encoders that media processes have.
pub(crate) async fn check(how: MediaProcesses) -> Result<Encoders, CommandError> {
    let Checked { layers: held, encoders } = match launcher(how)?.check().await {
        Ok(checked) => checked,
        Err(ChildError::Failed(reason)) => {
            return Err(CommandError::Failed(format!(
                "{reason}; media of strangers are not decoded without it. '--sandbox off' decodes them all the same, with all that this \
                 process may do"
            )));
        }
        Err(error) => return Err(CommandError::failed(error)),
    };
    for layer in Layer::ALL {
        metrics::sandbox(layer.as_str(), held.contains(&layer));
    }
    if how.sandbox == Sandbox::Off {
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
