//! The `millrace` command.

mod cli;
mod commands;
mod completion;
mod config;
mod error;
mod inputs;
mod light;
mod order;
mod profile_file;
mod shell;
mod terminal;

use std::{io::IsTerminal, process::ExitCode};

use clap::Parser;

fn main() -> ExitCode {
    // Before anything else: a media process must run nothing of the rest of this program.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == millrace_media::CHILD_ARGUMENT) {
        return millrace_media::child_main();
    }
    completion::answer_shell();
    let cli = cli::Cli::parse();
    let as_json = matches!(&cli.command, cli::Command::Serve(serve) if serve.log_json);
    let serves = matches!(&cli.command, cli::Command::Serve(_));
    log(cli.verbose, serves, as_json);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            terminal::note(&format!("millrace: starting: {error}"));
            return ExitCode::from(1);
        }
    };
    let result = runtime.block_on(commands::run(cli.command));
    // A thread that still copies into a pipe must not hold the process.
    runtime.shutdown_background();
    millrace_media::exit_now(match result {
        Ok(status) => status,
        Err(error) => {
            terminal::note_lines(&format!("millrace: {error}"));
            error.status()
        }
    })
}

/// Logs go to stderr: errors, of a server all that it tells, or what MILLRACE_LOG says; and to the log, for `executions logs`.
fn log(verbose: u8, serves: bool, as_json: bool) {
    use tracing_subscriber::{
        EnvFilter, Layer, filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt,
    };
    let default = match verbose {
        0 if !serves => "error",
        0 | 1 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("MILLRACE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let shown = tracing_subscriber::fmt::layer()
        .with_writer(|| terminal::LogWriter)
        .with_ansi(std::io::stderr().is_terminal());
    let shown = if as_json { shown.json().boxed() } else { shown.boxed() }.with_filter(filter);
    let kept = shell::logs::Collect.with_filter(LevelFilter::INFO);
    tracing_subscriber::registry().with(shown).with(kept).init();
}
