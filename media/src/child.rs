//! The child: one task, from stdin; replies on stdout. The only code that runs libav.

mod alive;
mod codec;
mod convert;
mod damage;
mod decoder;
mod encoder;
mod frames;
mod inspect;
mod layout;
mod leaps;
mod merge;
mod mux;
mod overlap;
mod prove;
mod resampler;
mod seal;
mod side;
mod sound;
mod source;
mod text;
mod transcode;
mod verify;

use std::{
    fs::File,
    io::{BufRead, Read, Write},
    os::fd::{FromRawFd, OwnedFd},
    process::ExitCode,
    time::{Duration, Instant},
};

use millrace_schemas::{Made, Rendition};

use crate::{
    protocol::{FIRST_FD, Reply, Task},
    seal::{Layer, Seal},
};

pub use seal::seal;

/// Why a task failed, for the person whose media it is.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// What was being done, and what went wrong.
    pub(crate) fn at<E: std::fmt::Display>(doing: &str) -> impl FnOnce(E) -> Self + '_ {
        move |error| Self(format!("{doing}: {error}"))
    }
}

/// Tells the parent how far the task is, a few times a second: it also takes silence for a hang.
pub(crate) struct Reporter {
    last: Instant,
}

impl Reporter {
    pub(crate) fn progress(&mut self, range: usize, done: i64) {
        if self.last.elapsed() >= Duration::from_millis(200) {
            self.last = Instant::now();
            say(&Reply::Progress { range, done });
        }
    }

    /// Says that the work objects of a range are whole.
    pub(crate) fn made(&self, range: usize, made: Vec<Made>) {
        say(&Reply::Made { range, made });
    }
}

fn say(reply: &Reply) {
    let mut line = serde_json::to_vec(reply).unwrap_or_default();
    line.push(b'\n');
    // A parent that is gone hears nothing, and the life line ends this process.
    let _ = std::io::stdout().lock().write_all(&line);
}

/// Runs one task of the parent, and exits.
#[must_use]
pub fn child_main() -> ExitCode {
    match shut(std::env::args_os().nth(2)) {
        Ok(layers) => say(&Reply::Sealed { layers }),
        Err(reason) => {
            say(&Reply::Failed(reason));
            return ExitCode::FAILURE;
        }
    }
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    let task: Task = match read.map_err(serde_json::Error::io).and_then(|_| serde_json::from_str(&line)) {
        Ok(task) => task,
        Err(error) => {
            eprintln!("this is Millrace's media process; it is started by Millrace alone ({error})");
            return ExitCode::from(2);
        }
    };
    // The life line: the parent keeps the other end open and never writes to it again. Its end is the parent's end.
    std::thread::spawn(|| {
        let _ = std::io::stdin().lock().read(&mut [0; 1]);
        // At once: beside a main thread that is returning, the library's `exit` would wait for it by a call that the filter forbids.
        // SAFETY: it ends the process, and nothing is left to do in it.
        unsafe { libc::_exit(3) }
    });
    alive::watch_waits();
    // What libav warns of goes to stderr, and from there to the log lines of the execution.
    // SAFETY: set before any other call of libav; the level is a plain integer.
    unsafe { ffmpeg_next::ffi::av_log_set_level(ffmpeg_next::ffi::AV_LOG_WARNING) };

    let mut reporter = Reporter { last: Instant::now() };
    let result = match task {
        Task::Check => Ok(Reply::Checked),
        Task::Inspect(task) => {
            inspect::inspect(fd(0), &task, &mut reporter).map(|found| Reply::Inspected(Box::new(found)))
        }
        Task::Transcode(task) => {
            let outputs = (1..=task.renditions.len() * task.ranges.len()).map(fd).collect();
            match task.renditions.first() {
                Some(Rendition { video: Some(_), .. }) => {
                    transcode::transcode(fd(0), &task, outputs, &mut reporter)
                }
                Some(Rendition { audio: Some(_), .. }) => {
                    sound::transcode(fd(0), &task, outputs, &mut reporter)
                }
                _ => side::transcode(fd(0), &task, outputs, &mut reporter),
            }
            .map(|()| Reply::Transcoded)
        }
        Task::Merge(task) => {
            let tracks = (1..=task.tracks.len()).map(fd).collect();
            merge::merge(&fd(0), None, &task, tracks, &mut reporter)
        }
        Task::Prove(task) => {
            let tracks = (2..2 + task.tracks.len()).map(fd).collect();
            merge::merge(&fd(1), Some(&fd(0)), &task, tracks, &mut reporter)
        }
        Task::Verify(task) => verify::verify(&fd(0), &fd(1), &task, &mut reporter)
            .map(|measured| Reply::Verified(Box::new(measured))),
    };
    match result {
        Ok(reply) => {
            say(&reply);
            ExitCode::SUCCESS
        }
        Err(Failure(reason)) => {
            say(&Reply::Failed(reason));
            ExitCode::FAILURE
        }
    }
}

/// Shuts the box as the parent says, before anything of the task is known.
fn shut(asked: Option<std::ffi::OsString>) -> Result<Vec<Layer>, String> {
    let asked = asked.and_then(|text| text.into_string().ok()).unwrap_or_default();
    let asked: Seal =
        serde_json::from_str(&asked).map_err(|error| format!("how to seal it can't be read: {error}"))?;
    seal(&asked, |pid| say(&Reply::Started { pid }))
}

/// The `number`th file descriptor that the parent passed; each is taken once.
fn fd(number: usize) -> File {
    let raw = FIRST_FD + i32::try_from(number).unwrap_or(i32::MAX);
    // SAFETY: the parent passed a descriptor of this number for the task, and nothing else here owns it. Where it did
    // not, every use of it fails with EBADF.
    File::from(unsafe { OwnedFd::from_raw_fd(raw) })
}
