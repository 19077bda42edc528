//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use millrace_topology::Drawing;

/// Turns video into other formats: splits it at time intervals, transcodes the segments in parallel, joins them, and
/// proves that the result is right.
#[derive(Debug, Parser)]
#[command(name = "millrace", version, propagate_version = true, max_term_width = 110)]
#[command(after_help = "\
Examples:
  millrace run holiday.mov --output out                    an mp4 of one video
  millrace run films/ --output out -f mp4 -f flv           two formats of every video in a folder, for one encode
  millrace probe holiday.mov                               what a file holds
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
    /// Show what a media file holds
    Probe(Probe),
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
    /// Print the manual page, or write one for each command into a folder
    ///
    /// To read it: millrace man | man -l -
    Man {
        /// The folder for the pages, such as ~/.local/share/man/man1; made if it is not there
        folder: Option<PathBuf>,
    },
    /// Print completions for a shell
    ///
    /// For bash: millrace completions bash > ~/.local/share/bash-completion/completions/millrace
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

const RUN_HELP: &str = "\
Each INPUT becomes OUTPUT/<name>.<format>. An output appears when it is whole and proven, and not before. Called again
after an interruption, a crash or kill -9, the same command goes on where it was; after a success it checks that the
outputs are still there and makes what is missing; after a failure it tries again and keeps what was made.

With --json, stdout gets one line for each input as it ends:
  {\"execution\", \"source\", \"state\": \"succeeded\"|\"failed\"|\"cancelled\", \"reason\", \"outputs\": [{\"url\", \"format\", \"bytes\",
   \"duration_seconds\", \"video\", \"audio\"}], \"segments\", \"segments_reused\", \"elapsed_seconds\"}

Exit status:
  0  all inputs succeeded
  1  some failed, the others are done
  2  the call was wrong, and nothing was begun
  130  interrupted (Ctrl-C); the same command goes on

Examples:
  millrace run holiday.mov --output out
  millrace run holiday.mov --output out -f mp4 -f flv --segment-time 5
  millrace run films/ --output out --json > results.jsonl";

const EXECUTIONS_HELP: &str = "\
An execution is one video on its way to its outputs. It is named by its id, or the first characters of it.

Examples:
  millrace executions list
  millrace executions logs 5e2ea7                      all that was said about it, also by media processes
  millrace executions cancel 5e2ea7 --reason 'wrong cut'
  millrace executions retry 5e2ea7                     makes what is missing";

const DEAD_HELP: &str = "\
A record that can't be processed is set aside as it was, with the reason, and its partition goes on.

Examples:
  millrace dead list
  millrace dead show 2:14                              as JSON where it is a record, else its bytes
  millrace dead retry 2:14                             once what was wrong is put right
  millrace dead retry --all";

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Files, or folders whose media files are taken
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,
    /// The folder for the outputs; made if it is not there
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// A format to make: mp4 or flv; may be given several times [default: mp4]
    #[arg(short, long = "format", value_name = "FORMAT")]
    pub(crate) formats: Vec<String>,
    /// Length of a segment in seconds; fractions are fine
    #[arg(long, value_name = "SECONDS", default_value_t = 15.0, allow_negative_numbers = true)]
    pub(crate) segment_time: f64,
    /// Replace output files that came from another source
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// How many cores to use [default: all]
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<std::num::NonZeroUsize>,
    #[command(flatten)]
    pub(crate) data: Data,
    /// Print a line of JSON for each input as it ends
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Data {
    /// The folder of the log and the work objects
    ///
    /// By default millrace in the platform's state folder, such as ~/.local/state/millrace.
    #[arg(long = "data", value_name = "DIR", env = "MILLRACE_DATA")]
    pub(crate) folder: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Probe {
    /// The file
    pub(crate) input: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Topology {
    /// How to draw: text for a terminal, mermaid for Markdown, dot for Graphviz
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) data: Data,
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
        data: Data,
        /// Print a line of JSON for each
        #[arg(long)]
        json: bool,
    },
    /// One execution: where it stands, and its outputs
    Show {
        /// The execution, or the first characters of its id
        execution: String,
        #[command(flatten)]
        data: Data,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// What happened to one execution, in order
    Events {
        /// The execution, or the first characters of its id
        execution: String,
        #[command(flatten)]
        data: Data,
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
        data: Data,
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
        data: Data,
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
        data: Data,
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
        data: Data,
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
        data: Data,
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
        data: Data,
    },
}
