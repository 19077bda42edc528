//! `millrace man`: the manual pages, from what `--help` says.

use std::path::Path;

use clap::CommandFactory;

use super::CommandError;
use crate::cli::Cli;

pub(super) fn man(folder: Option<&Path>) -> Result<u8, CommandError> {
    match folder {
        None => clap_mangen::Man::new(Cli::command()).render(&mut std::io::stdout()),
        Some(folder) => std::fs::create_dir_all(folder)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), folder)),
    }
    .map_err(CommandError::failed)?;
    Ok(0)
}
