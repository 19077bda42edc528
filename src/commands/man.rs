//! `millrace man`: the manual pages, from what `--help` says.

use std::path::Path;

use clap::CommandFactory;

use crate::{cli::Cli, error::CommandError, terminal::print_lines};

pub(super) fn man(folder: Option<&Path>) -> Result<u8, CommandError> {
    let Some(folder) = folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(CommandError::failed)?;
        print_lines(&String::from_utf8_lossy(&page));
        return Ok(0);
    };
    let failed = |error| CommandError::Failed(format!("writing into {}: {error}", folder.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(failed)?;
    Ok(0)
}
