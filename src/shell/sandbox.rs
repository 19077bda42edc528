//! The box around media: what of it this machine has, and whether anything may be decoded here.

use millrace_media::{ChildError, Launcher, Layer, Sandbox, hide_memory};
use millrace_runtime::metrics;

use crate::commands::CommandError;

/// What starts media processes.
pub(super) fn launcher(sandbox: Sandbox) -> Result<Launcher, CommandError> {
    // What a media process could read of this one, if it got out, are the stores' keys.
    hide_memory();
    Ok(Launcher::new(std::env::current_exe().map_err(CommandError::failed)?, sandbox))
}

/// Has a media process seal itself, and tells which layers hold.
pub(crate) async fn check(sandbox: Sandbox) -> Result<(), CommandError> {
    let held = match launcher(sandbox)?.check().await {
        Ok(held) => held,
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
    if sandbox == Sandbox::Off {
        tracing::warn!(
            "media are decoded without a sandbox: a crafted file may do whatever this process may"
        );
        return Ok(());
    }
    let missing: Vec<&str> =
        Layer::ALL.into_iter().filter(|layer| !held.contains(layer)).map(Layer::as_str).collect();
    let held: Vec<&str> = held.into_iter().map(Layer::as_str).collect();
    tracing::info!(held = held.join(" "), missing = missing.join(" "), "media are decoded in a sandbox");
    Ok(())
}
