//! Completion of command lines: the shell calls this program for it, since only the program knows which profiles there are.

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
};

use clap::{Command, CommandFactory as _};
use clap_complete::{
    CompleteEnv,
    engine::{ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter as _},
    env::Shells,
};
use millrace_formats::CONTAINERS;

use crate::{
    cli::{Cli, OwnProfiles, ProfileLookup, Shell},
    config::Config,
    profile_file::read_catalog,
};

/// The variable with which a shell calls for completions: its value is the name of the shell.
const VARIABLE: &str = "MILLRACE_COMPLETE";

/// Answers a shell that calls for completions, and ends the process; returns if none does. It must be called before there are threads.
pub(crate) fn answer_shell() {
    CompleteEnv::with_factory(|| with_completers(Cli::command(), false)).var(VARIABLE).complete();
}

/// Adds what completes the values of arguments, by their names: what they are is known to the settings, which know the arguments.
fn with_completers(command: Command, is_of_profiles: bool) -> Command {
    let is_of_profiles = is_of_profiles || command.get_name() == "profiles";
    let completed = command.mut_args(|arg| match arg.get_id().as_str() {
        "formats" => arg.add(ArgValueCompleter::new(complete_formats)),
        "profile" => arg.add(ArgValueCompleter::new(complete_profiles)),
        "name" | "before" | "after" if is_of_profiles => arg.add(ArgValueCompleter::new(complete_profiles)),
        _ => arg,
    });
    completed.mut_subcommands(|command| with_completers(command, is_of_profiles))
}

/// Writes what a shell must run so that it calls for completions.
///
/// # Errors
/// If it can't be written.
pub(crate) fn write_registration(shell: Shell, to: &mut dyn io::Write) -> io::Result<()> {
    let shells = Shells::builtins();
    let completer = shells.completer(shell.name());
    let completer = completer.ok_or_else(|| io::Error::other("the shell is not known"))?;
    completer.write_registration(VARIABLE, "millrace", "millrace", "millrace", to)
}

/// Returns the names of formats that begin with what is typed.
fn complete_formats(typed: &OsStr) -> Vec<CompletionCandidate> {
    let about = |container: &&millrace_formats::Container| {
        CompletionCandidate::new(container.name).help(Some(container.about.into()))
    };
    CONTAINERS.iter().map(about).filter(|candidate| begins(candidate.get_value(), typed)).collect()
}

/// Returns the names of profiles that begin with what is typed, those of the user's folder too, and files that may be profiles.
fn complete_profiles(typed: &OsStr) -> Vec<CompletionCandidate> {
    let mut found = profile_names(typed, &lookup(env::args_os()));
    let is_profile = |path: &Path| path.extension().is_some_and(|name| name == "toml" || name == "json");
    found.extend(PathCompleter::file().filter(is_profile).complete(typed));
    found
}

/// A folder that can't be read has no names: there is no place for a reason.
fn profile_names(typed: &OsStr, lookup: &ProfileLookup) -> Vec<CompletionCandidate> {
    let folder = Config::profile_folder(lookup).ok().flatten();
    let catalog = read_catalog(folder.as_deref()).or_else(|_| read_catalog(None)).unwrap_or_default();
    let candidate = |entry: millrace_profiles::CatalogEntry| {
        CompletionCandidate::new(entry.profile.name).help(Some(entry.profile.description.into()))
    };
    let entries = catalog.entries().into_iter().map(candidate);
    entries.filter(|candidate| begins(candidate.get_value(), typed)).collect()
}

fn begins(value: &OsStr, typed: &OsStr) -> bool {
    value.as_encoded_bytes().starts_with(typed.as_encoded_bytes())
}

/// Returns where the command line that is being completed, or else the environment, says that profiles are.
fn lookup(words: impl Iterator<Item = OsString>) -> ProfileLookup {
    let words: Vec<OsString> = words.collect();
    let of = |flag: &str, variable: &str| {
        let mut values = words.iter().zip(words.iter().skip(1)).filter(|(word, _)| *word == flag);
        let joined = format!("{flag}=");
        let joined = words.iter().find_map(|word| word.to_str()?.strip_prefix(&joined));
        let said = values.next().map(|(_, value)| value.clone()).or(joined.map(OsString::from));
        said.or_else(|| env::var_os(variable)).filter(|value| !value.is_empty()).map(PathBuf::from)
    };
    ProfileLookup {
        own: OwnProfiles { profiles: of("--profiles", "MILLRACE_PROFILES") },
        config: of("--config", "MILLRACE_CONFIG"),
    }
}
