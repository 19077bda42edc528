//! The command line.

mod help;
mod light;
mod profiles;
mod shared;
mod shell;

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use millrace_topology::Drawing;
use serde::Serialize;

use crate::order::Order;
use help::{
    CLEANUP_HELP, CLIP_HELP, DEAD_HELP, EXECUTIONS_HELP, GIF_HELP, PROBE_HELP, PROFILES_HELP, REPLAY_HELP,
    RUN_HELP, SERVE_HELP, SUBMIT_HELP, THUMBNAIL_HELP, VERIFY_HELP,
};
pub(crate) use light::{Clip, Gif, LightOutput, Thumbnail};
pub(crate) use profiles::{CheckProfile, ProfileLookup, Profiles};
pub(crate) use shared::{Data, Decoding, KeyFiles, LogLocation, OwnProfiles};
pub(crate) use shell::Shell;

/// Turns video into other formats: splits it at time intervals, transcodes the segments in parallel, joins them, and
/// proves that the result is right.
#[derive(Debug, Parser)]
#[command(name = "millrace", version, propagate_version = true, max_term_width = 110)]
#[command(after_help = "\
Examples:
  millrace run holiday.mov --output out                    an mp4 of one video
  millrace run films/ --output out -f mp4 -f flv           two formats of every video in a folder, for one encode
  millrace serve --brokers kafka:9092 --work file:///work  one of the processes of a cluster
  millrace submit holiday.mov --output out --wait          an upload for whoever serves
  millrace probe holiday.mov                               what a file holds
  millrace thumbnail holiday.mov --output holiday.jpg      a picture of it
  millrace gif holiday.mov --output holiday.gif            three seconds of it, animated
  millrace clip holiday.mov --output a.mp4 --to 30s        the first half minute, copied
  millrace verify holiday.mov out/holiday.mp4              the proof that an output is right
  millrace executions list                                 what was made, and what failed
  millrace executions logs 5e2ea7                          all that was logged about one of them
  millrace dead list                                       records that could not be processed

'millrace COMMAND --help' tells more of each.")]
pub(crate) struct Cli {
    /// Log more to stderr; twice for all of it. MILLRACE_LOG takes a filter, such as 'millrace_runtime=debug'.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Turn videos into other formats, here and now
    #[command(after_long_help = RUN_HELP)]
    Run(Run),
    /// Run processors until stopped: on a cluster as one of several, or alone on a data folder
    #[command(after_long_help = SERVE_HELP)]
    Serve(Box<Serve>),
    /// Publish uploads, and follow them to their end
    #[command(after_help = SUBMIT_HELP)]
    Submit(Box<Submit>),
    /// Process again what was processed
    ///
    /// Offsets that were set back with Kafka's own tools are redeliveries, and change nothing: this is how to process again.
    #[command(subcommand, after_help = REPLAY_HELP)]
    Replay(Replay),
    /// Show what a media file holds, or one fact of it
    #[command(after_help = PROBE_HELP)]
    Probe(Probe),
    /// Make a picture of a video, at once
    #[command(after_help = THUMBNAIL_HELP)]
    Thumbnail(Thumbnail),
    /// Make an animated GIF or WebP of some seconds of a video, at once
    #[command(after_help = GIF_HELP)]
    Gif(Gif),
    /// Copy a part of a video into a file without encoding it, at once
    #[command(after_help = CLIP_HELP)]
    Clip(Clip),
    /// Show what can be made: the profiles that ship, and yours; check one
    #[command(subcommand, after_help = PROFILES_HELP)]
    Profiles(Profiles),
    /// Hold an output to its source: the proof that it is right
    ///
    /// Both are decoded. Any pair will do, whoever made the output.
    #[command(after_help = VERIFY_HELP)]
    Verify(Verify),
    /// Draw the processors and the streams between them
    ///
    /// As text it also shows how many records each stream of the data folder's log holds (depth), and how many each
    /// processor has yet to consume (lag).
    Topology(Topology),
    /// Show what was asked for and what became of it; cancel it, or try it again
    #[command(subcommand, after_help = EXECUTIONS_HELP)]
    Executions(Executions),
    /// Show records that could not be processed, and why; publish them again
    #[command(subcommand, after_help = DEAD_HELP)]
    Dead(Dead),
    /// Remove work objects that no execution needs any more, or say which they are
    ///
    /// 'serve' and 'run' do that by themselves, every hour and when they start. Nothing but what Millrace has made is removed.
    #[command(after_help = CLEANUP_HELP)]
    Cleanup(Box<Cleanup>),
    /// Print the manual page, or write one for each command into a folder
    ///
    /// To read it: millrace man | man -l -
    Man {
        /// The folder for the pages, such as ~/.local/share/man/man1; made if it is not there
        folder: Option<PathBuf>,
    },
    /// Print completions for a shell: commands, flags, files, and names of formats and profiles
    ///
    /// The shell calls 'millrace' for them, so they are those of the version that is installed, and of the profiles that are there.
    /// For bash: millrace completions bash > ~/.local/share/bash-completion/completions/millrace
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, Args, Serialize)]
pub(crate) struct Cleanup {
    /// Only say what would be removed
    #[arg(long)]
    #[serde(skip)]
    pub(crate) dry_run: bool,
    /// Where work objects lie: a URL; required with --brokers
    #[arg(long, value_name = "URL", env = "MILLRACE_WORK")]
    pub(crate) work: Option<String>,
    /// For how long a failed execution's work objects wait for a new attempt [default: 86400]
    #[arg(long = "retry-window", value_name = "SECONDS", env = "MILLRACE_RETRY_WINDOW_SECONDS")]
    pub(crate) retry_window_seconds: Option<f64>,
    /// Print a line of JSON for each
    #[arg(long)]
    #[serde(skip)]
    pub(crate) json: bool,
    #[command(flatten)]
    #[serde(skip)]
    pub(crate) log: LogLocation,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Files or object URLs; folders, or URLs that end in '/', whose media files are taken
    #[arg(required = true, value_name = "INPUT", value_hint = ValueHint::AnyPath)]
    pub(crate) inputs: Vec<OsString>,
    /// Where the outputs go: a folder, made if it is not there, or a URL
    #[arg(short, long, value_name = "DIR|URL", value_hint = ValueHint::AnyPath)]
    pub(crate) output: OsString,
    #[command(flatten)]
    pub(crate) order: Order,
    #[command(flatten)]
    pub(crate) own: OwnProfiles,
    #[command(flatten)]
    pub(crate) keys: KeyFiles,
    /// How many cores to use [default: all]
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<std::num::NonZeroUsize>,
    #[command(flatten)]
    pub(crate) decoding: Decoding,
    #[command(flatten)]
    pub(crate) data: Data,
    /// Print a line of JSON for each input as it ends
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args, Serialize)]
pub(crate) struct Serve {
    #[command(flatten)]
    #[serde(skip)]
    pub(crate) log: LogLocation,
    /// The processors to run, with commas between [default: all]
    #[arg(long, value_name = "LIST", env = "MILLRACE_PROCESSORS", value_delimiter = ',')]
    pub(crate) processors: Vec<String>,
    /// Where work objects lie: a URL, of a bucket or of a folder that every process sees; required with --brokers
    #[arg(long, value_name = "URL", env = "MILLRACE_WORK")]
    pub(crate) work: Option<String>,
    /// Start by itself on what is uploaded below FROM, a URL or a folder, and put outputs below TO; may be given several times. Matched by whole components
    #[arg(long, value_name = "FROM=TO", env = "MILLRACE_WATCH")]
    #[serde(skip)]
    pub(crate) watch: Vec<OsString>,
    #[command(flatten)]
    #[serde(skip)]
    pub(crate) own: OwnProfiles,
    #[command(flatten)]
    #[serde(skip)]
    pub(crate) keys: KeyFiles,
    /// Where uploads may read sources: a folder, or a URL such as s3://videos/in/ or https://host/in/; may be given several times. Nothing else is read
    #[arg(
        long = "source-root",
        value_hint = ValueHint::AnyPath,
        value_name = "DIR|URL",
        env = "MILLRACE_SOURCE_ROOTS",
        value_delimiter = ','
    )]
    pub(crate) source_roots: Vec<String>,
    /// Where uploads may write outputs: a folder, or a URL; may be given several times. Nothing else is written
    #[arg(
        long = "output-root",
        value_hint = ValueHint::AnyPath,
        value_name = "DIR|URL",
        env = "MILLRACE_OUTPUT_ROOTS",
        value_delimiter = ','
    )]
    pub(crate) output_roots: Vec<String>,
    /// Where to answer /healthz, /readyz, /metrics and /v1: HOST:PORT, or unix:/PATH of a socket; 'none' for nowhere [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", env = "MILLRACE_LISTEN")]
    pub(crate) listen: Option<String>,
    /// A name by which a proxy of this machine calls it; others than this machine's own are answered 403 on loopback; may be given several times
    #[arg(long = "allowed-host", value_name = "NAME", env = "MILLRACE_ALLOWED_HOSTS", value_delimiter = ',')]
    pub(crate) allowed_hosts: Vec<String>,
    /// A file of tokens, a line each: who calls over HTTP must show one; needed where others than this machine can call
    #[arg(long, value_name = "FILE", env = "MILLRACE_TOKEN_FILE")]
    #[serde(skip)]
    pub(crate) token_file: Option<PathBuf>,
    /// How many cores to use [default: all]
    #[arg(short, long, value_name = "N", env = "MILLRACE_JOBS")]
    pub(crate) jobs: Option<std::num::NonZeroUsize>,
    /// The name of this process among its like: a restart within the session (10 s) then moves no partition (KIP-345)
    #[arg(long, value_name = "NAME", env = "MILLRACE_INSTANCE")]
    pub(crate) instance: Option<String>,
    /// For how long what was begun may go on after SIGTERM; a second signal ends it at once [default: 30]
    #[arg(long = "grace", value_name = "SECONDS", env = "MILLRACE_GRACE_SECONDS")]
    pub(crate) grace_seconds: Option<f64>,
    /// For how long a failed execution's work objects wait for a new attempt [default: 86400]
    #[arg(long = "retry-window", value_name = "SECONDS", env = "MILLRACE_RETRY_WINDOW_SECONDS")]
    pub(crate) retry_window_seconds: Option<f64>,
    #[command(flatten)]
    #[serde(skip)]
    pub(crate) decoding: Decoding,
    /// Log lines of JSON to stderr
    #[arg(long, env = "MILLRACE_LOG_JSON")]
    #[serde(skip)]
    pub(crate) log_json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Submit {
    /// The sources: files, or URLs; or with --record none
    #[arg(required_unless_present = "record", value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
    pub(crate) sources: Vec<OsString>,
    /// Where the outputs go: a folder, or a URL
    #[arg(short, long, value_name = "DIR|URL", required_unless_present = "record", value_hint = ValueHint::AnyPath)]
    pub(crate) output: Option<OsString>,
    /// An upload as JSON, from a file or with '-' from stdin; a line each
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sources", "output"])]
    pub(crate) record: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) order: Order,
    #[command(flatten)]
    pub(crate) own: OwnProfiles,
    /// Name the execution: submitted again under this name it is the same, and nothing is made twice
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// A label to carry through, as NAME=VALUE; may be given several times
    #[arg(long = "label", value_name = "NAME=VALUE")]
    pub(crate) labels: Vec<String>,
    /// Give the execution up after so long
    #[arg(long, value_name = "SECONDS")]
    pub(crate) deadline: Option<f64>,
    /// Wait for the end, with progress
    #[arg(short, long)]
    pub(crate) wait: bool,
    /// Print a line of JSON for each: as it is published, or with --wait as it ends
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) log: LogLocation,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Replay {
    /// Make whole executions anew, under new ids; outputs that are there and made alike are kept
    Uploads {
        /// Those that were published at this time or later: RFC 3339, such as 2026-11-20T00:00Z
        #[arg(long, value_name = "TIME", required_unless_present_any = ["execution", "offset"])]
        since: Option<String>,
        /// The upload of this execution
        #[arg(long, value_name = "EXECUTION", conflicts_with_all = ["since", "offset"])]
        execution: Option<String>,
        /// Those from an offset of a partition on
        #[arg(long, value_name = "PARTITION:OFFSET", conflicts_with = "since")]
        offset: Option<String>,
        #[command(flatten)]
        log: LogLocation,
    },
    /// Make the segments of an execution again, by the plan that it has: a new attempt
    Segments {
        /// The execution, or the first characters of its id
        #[arg(long)]
        execution: String,
        #[command(flatten)]
        log: LogLocation,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Probe {
    /// The file, or an object's URL
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) input: OsString,
    #[command(flatten)]
    pub(crate) decoding: Decoding,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) fact: Fact,
}

/// The one fact to print.
#[derive(Debug, Args)]
#[group(multiple = false, conflicts_with = "json")]
#[expect(clippy::struct_excessive_bools, reason = "at most one of them is set: they are flags")]
pub(crate) struct Fact {
    /// Print the duration alone, in seconds
    #[arg(long)]
    pub(crate) duration: bool,
    /// Print the size of the pictures alone, as they are shown: WIDTHxHEIGHT
    #[arg(long)]
    pub(crate) size: bool,
    /// Print the number of pictures alone
    #[arg(long)]
    pub(crate) frames: bool,
    /// Print the pictures per second alone
    #[arg(long)]
    pub(crate) frame_rate: bool,
    /// Print the codec of the pictures alone, or of the sound if there are none
    #[arg(long)]
    pub(crate) codec: bool,
    /// Print the bit rate alone, in bits per second
    #[arg(long)]
    pub(crate) bit_rate: bool,
    /// Print the name of the container alone
    #[arg(long)]
    pub(crate) container: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The source: a file, or an object's URL
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) source: OsString,
    /// What was made of it
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) output: OsString,
    /// Compare picture by picture, too
    #[arg(long)]
    pub(crate) pictures: bool,
    /// Compare sound second by second, too
    #[arg(long)]
    pub(crate) sound: bool,
    /// The profile by which it was made: a name, or a file; the output must have the name that the profile gives it. Without one it
    /// is judged by the format, and the codecs that it has
    #[arg(short, long, value_name = "NAME|FILE")]
    pub(crate) profile: Option<String>,
    #[command(flatten)]
    pub(crate) own: OwnProfiles,
    #[command(flatten)]
    pub(crate) decoding: Decoding,
    /// Print JSON: every check, and all that was measured
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Topology {
    /// How to draw: text for a terminal, mermaid for Markdown, dot for Graphviz
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Make the topics that the cluster lacks
    #[arg(long, conflicts_with_all = ["check", "acls"])]
    pub(crate) apply: bool,
    /// Say what differs on the cluster; exit status 1 where Millrace can't work like that
    #[arg(long, conflicts_with = "acls")]
    pub(crate) check: bool,
    /// Print what Kafka's own kafka-acls.sh must be told so that this principal may do what Millrace does
    #[arg(long, value_name = "PRINCIPAL", num_args = 0..=1, default_missing_value = "User:millrace")]
    pub(crate) acls: Option<String>,
    #[command(flatten)]
    pub(crate) log: LogLocation,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    Text,
    Mermaid,
    Dot,
}

impl From<Format> for Drawing {
    fn from(format: Format) -> Self {
        match format {
            Format::Text => Self::Text,
            Format::Mermaid => Self::Mermaid,
            Format::Dot => Self::Dot,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Executions {
    /// All executions, the latest first
    List {
        #[command(flatten)]
        log: LogLocation,
        /// Print a line of JSON for each
        #[arg(long)]
        json: bool,
    },
    /// One execution: where it stands, and its outputs
    Show {
        /// The execution, or the first characters of its id
        execution: String,
        #[command(flatten)]
        log: LogLocation,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// What happened to one execution, in order
    Events {
        /// The execution, or the first characters of its id
        execution: String,
        #[command(flatten)]
        log: LogLocation,
        /// Print a line of JSON for each
        #[arg(long)]
        json: bool,
    },
    /// What was logged about one execution, by processors and by the media processes that they start
    ///
    /// Kept for a week, and for the latest executions: the oldest lines go first.
    Logs {
        /// The execution, or the first characters of its id
        execution: String,
        #[command(flatten)]
        log: LogLocation,
        /// Print a line of JSON for each
        #[arg(long)]
        json: bool,
    },
    /// Stop executions: their media processes end within two seconds, and what was made is freed
    Cancel {
        /// The executions, or the first characters of their ids
        #[arg(required = true, value_name = "EXECUTION")]
        executions: Vec<String>,
        /// Why, for whoever asks later
        #[arg(long, default_value = "cancelled by a person")]
        reason: String,
        #[command(flatten)]
        log: LogLocation,
    },
    /// Try again what failed or was cancelled; what a failed one has made is kept and used
    ///
    /// Where another process works on the data folder, that one does it; otherwise this one, and waits for the end.
    Retry {
        /// The executions, or the first characters of their ids
        #[arg(required = true, value_name = "EXECUTION")]
        executions: Vec<String>,
        /// How many cores to use [default: all]
        #[arg(short, long, value_name = "N")]
        jobs: Option<std::num::NonZeroUsize>,
        #[command(flatten)]
        decoding: Decoding,
        #[command(flatten)]
        own: OwnProfiles,
        #[command(flatten)]
        log: LogLocation,
        /// Print a line of JSON for each as it ends
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Dead {
    /// All dead letters, the latest first
    List {
        #[command(flatten)]
        log: LogLocation,
        /// Those that were published again, too
        #[arg(long)]
        all: bool,
        /// Print a line of JSON for each
        #[arg(long)]
        json: bool,
    },
    /// One dead letter: where it came from, why it is here, and what it says
    Show {
        /// Its id, as 'millrace dead list' shows it
        letter: String,
        #[command(flatten)]
        log: LogLocation,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Publish dead letters again, as they were, to where they came from
    Retry {
        /// Their ids, as 'millrace dead list' shows them
        #[arg(required_unless_present = "all", value_name = "LETTER")]
        letters: Vec<String>,
        /// All that were not published again yet
        #[arg(long, conflicts_with = "letters")]
        all: bool,
        #[command(flatten)]
        log: LogLocation,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn each_command_has_arguments_of_different_names() {
        Cli::command().debug_assert();
    }
}
