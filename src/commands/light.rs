//! What commands that make a picture or an animation have in common.

use std::{
    ffi::OsStr,
    io::{self, IsTerminal as _, Write as _},
};

use millrace_api::LightTask;
use millrace_media::Drawn;
use millrace_storage::{StorageError, Stores};
use millrace_worker::{LONGEST_PICTURE_FILE, LightWork, Made};
use serde_json::json;

use crate::{
    cli::{Decoding, LightOutput},
    config::Config,
    error::CommandError,
    inputs::{display_name, parse_output, parse_url},
    light::{DrawTask, facts},
    terminal::print,
};

/// Where a file goes.
enum Target {
    Stdout,
    Url(String),
}

/// Makes a file of a source, and prints what was made.
pub(super) async fn make(
    input: &OsStr,
    output: &LightOutput,
    task: &LightTask,
    decoding: &Decoding,
) -> Result<u8, CommandError> {
    let source = parse_url(input).map_err(CommandError::Call)?;
    let is_stdout = output.output == "-";
    let target = if is_stdout {
        if io::stdout().is_terminal() {
            return Err(CommandError::Call(
                "stdout is a terminal, which shows no pictures: name a file, or send it on with '|' or '>'"
                    .into(),
            ));
        }
        Target::Stdout
    } else {
        Target::Url(parse_output(&output.output).map_err(CommandError::Call)?)
    };
    let name = match (&output.format, &target) {
        (Some(format), _) => Some(format.clone()),
        (None, Target::Url(url)) => Some(url.clone()),
        (None, Target::Stdout) => None,
    };
    let (task, _) = DrawTask::new(task, name.as_deref()).map_err(CommandError::Call)?;
    let light = LightWork::new(Stores::default(), Config::of_flags(decoding)?.media_processes()?)?;
    if let Target::Url(url) = &target {
        light.check_free(url, output.overwrite).await.map_err(occupied)?;
    }
    let Made { bytes, drawn } =
        task.run(&light, &source, LONGEST_PICTURE_FILE).await.map_err(CommandError::failed)?;
    let length = bytes.len();
    match target {
        Target::Stdout => {
            let mut stdout = io::stdout().lock();
            stdout.write_all(&bytes).and_then(|()| stdout.flush()).map_err(CommandError::failed)?;
        }
        Target::Url(url) => {
            light.write(&url, bytes, output.overwrite).await.map_err(occupied)?;
            if output.json {
                let line = json!({"output": url, "bytes": length, "facts": facts(&drawn)});
                print(&line.to_string());
            } else {
                print(&describe(&display_name(&url), &drawn, length));
            }
        }
    }
    Ok(0)
}

pub(super) fn occupied(error: StorageError) -> CommandError {
    match error {
        StorageError::Exists { .. } => {
            CommandError::Failed(format!("{error}; name another file, or replace it with --overwrite"))
        }
        error => CommandError::failed(error),
    }
}

fn describe(name: &str, drawn: &Drawn, length: usize) -> String {
    let Drawn { width, height, pictures, at, seconds, .. } = drawn;
    if *seconds > 0.0 {
        return format!("{name}: {width}x{height}, {pictures} pictures in {seconds:.3} s, {length} bytes");
    }
    format!("{name}: {width}x{height}, the picture at {at:.3} s, {length} bytes")
}
