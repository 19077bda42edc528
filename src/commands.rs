//! The commands, a file for each.

mod cleanup;
mod clip;
mod dead;
mod executions;
mod follow;
mod gif;
mod light;
mod man;
mod probe;
mod profiles;
mod replay;
mod run;
mod serve;
mod submit;
mod thumbnail;
mod topology;
mod verify;

use crate::{cli::Command, completion::write_registration, error::CommandError};

/// Runs a command; returns the exit status.
pub(crate) async fn run(command: Command) -> Result<u8, CommandError> {
    match command {
        Command::Run(call) => Box::pin(run::run(call)).await,
        Command::Serve(call) => Box::pin(serve::serve(*call)).await,
        Command::Submit(call) => Box::pin(submit::submit(*call)).await,
        Command::Replay(call) => Box::pin(replay::replay(call)).await,
        Command::Probe(call) => probe::probe(&call).await,
        Command::Thumbnail(call) => Box::pin(thumbnail::thumbnail(&call)).await,
        Command::Gif(call) => Box::pin(gif::gif(&call)).await,
        Command::Clip(call) => Box::pin(clip::clip(&call)).await,
        Command::Profiles(call) => Box::pin(profiles::profiles(call)).await,
        Command::Verify(call) => Box::pin(verify::verify(&call)).await,
        Command::Topology(call) => topology::topology(&call).await,
        Command::Executions(call) => Box::pin(executions::executions(call)).await,
        Command::Cleanup(call) => Box::pin(cleanup::cleanup(*call)).await,
        Command::Dead(call) => dead::dead(call).await,
        Command::Man { folder } => man::man(folder.as_deref()),
        Command::Completions { shell } => {
            write_registration(shell, &mut std::io::stdout()).map_err(CommandError::failed)?;
            Ok(0)
        }
    }
}
