//! The flags of `millrace profiles`.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Subcommand, ValueHint};

use super::shared::{Decoding, OwnProfiles};

#[derive(Debug, Subcommand)]
pub(crate) enum Profiles {
    /// List the profiles that ship and those of yours, with their versions; exit status 1 if one of yours is faulty
    List {
        #[command(flatten)]
        lookup: ProfileLookup,
        /// Print a line of JSON for each
        #[arg(long)]
        json: bool,
    },
    /// Print a profile, as it is written: a start for one of yours
    Show {
        /// The name of a profile, also as NAME@VERSION, or a file
        name: String,
        #[command(flatten)]
        lookup: ProfileLookup,
        /// Print its canonical text, which is JSON and part of an execution's identity
        #[arg(long)]
        json: bool,
    },
    /// Say what is wrong with a profile and what would work; with --source what would be made
    Check(CheckProfile),
    /// Show in which keys two profiles differ
    Diff {
        /// A name, or a file
        before: String,
        /// A name, or a file
        after: String,
        #[command(flatten)]
        lookup: ProfileLookup,
    },
}

/// Where profiles of a name are found.
#[derive(Debug, Default, Args)]
pub(crate) struct ProfileLookup {
    #[command(flatten)]
    pub(crate) own: OwnProfiles,
    /// A TOML file with settings, of which 'profiles' is used
    #[arg(long, value_name = "FILE", env = "MILLRACE_CONFIG", hide_short_help = true)]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckProfile {
    /// A file, or the name of a profile
    #[arg(value_name = "FILE|NAME")]
    pub(crate) profile: String,
    /// Say what would be made of this source, a file or a URL
    #[arg(long, value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
    pub(crate) source: Option<OsString>,
    /// Print what would be made as a line of JSON
    #[arg(long, requires = "source")]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) lookup: ProfileLookup,
    #[command(flatten)]
    pub(crate) decoding: Decoding,
}
