//! The child: one task, from stdin; replies on stdout. The only code that runs libav.

mod alive;
mod animation;
mod assets;
mod clip;
mod codec;
mod copy;
mod damage;
mod decode;
mod encoders;
mod excerpt;
mod failure;
mod graph;
mod image;
mod inspect;
#[expect(unsafe_code, reason = "libav is a C library")]
mod libav;
mod light;
mod merge;
#[expect(unsafe_code, reason = "it writes streams of a container into structures of libavformat")]
mod mux;
mod orientation;
mod outliers;
mod output_file;
mod overlap;
mod payload;
mod picture;
mod picture_file;
#[allow(clippy::needless_pass_by_value, reason = "facts that are compared are numbers and short texts")]
mod prove;
mod read_back;
mod report;
mod samples;
#[expect(unsafe_code, reason = "the sandbox is made of system calls")]
mod seal;
mod sink;
mod sound;
mod source;
mod texts;
mod transcode;
mod verify;
#[expect(unsafe_code, reason = "it is a system call")]
mod write_back;

use std::{
    fs::File,
    io::{BufRead, Read},
    process::ExitCode,
};

use ffmpeg_next::util::log;

use self::{
    failure::Failure,
    report::{Reporter, send},
};
use crate::{
    protocol::{FIRST_FD, Reply, Task},
    sandbox::Layer,
    seal::Seal,
    system,
};

pub use seal::seal;

/// Runs one task of the parent, and exits.
#[must_use]
pub fn child_main() -> ExitCode {
    match shut(std::env::args_os().nth(2)) {
        Ok(layers) => send(&Reply::Sealed { layers }),
        Err(reason) => {
            send(&Reply::Failed(reason));
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
        system::exit_now(3)
    });
    alive::watch_waits();
    // What libav warns of goes to stderr, and from there to the log lines of the execution.
    log::set_level(log::Level::Warning);

    let mut reporter = Reporter::new();
    let result = match task {
        Task::Check => encoders::encoders().map(|encoders| Reply::Checked { encoders }),
        Task::Inspect(task) => {
            inspect::inspect(fd(0), &task, &mut reporter).map(|found| Reply::Inspected(Box::new(found)))
        }
        Task::Transcode(task) => {
            let count = task.renditions.len() * task.ranges.len();
            let outputs = (1..=count).map(fd).collect();
            let assets = (count + 1..=count + task.assets.len()).map(fd).collect();
            transcode::transcode(fd(0), &task, outputs, assets, &mut reporter).map(|()| Reply::Transcoded)
        }
        Task::Measure(kind) => {
            assets::measure(fd(0), kind).map(|(width, height)| Reply::Measured { width, height })
        }
        Task::Picture(task) => picture::picture(fd(0), &task, fd(1)).map(Reply::Drawn),
        Task::Animation(task) => animation::animation(fd(0), &task, fd(1)).map(Reply::Drawn),
        Task::Clip(task) => clip::clip(fd(0), &task, fd(1)).map(Reply::Clipped),
        Task::Merge(task) => {
            let tracks = (1..=task.tracks.len()).map(fd).collect();
            let source = task.reads_source().then(|| fd(1 + task.tracks.len()));
            merge::merge(&fd(0), None, &task, (tracks, source), &mut reporter)
        }
        Task::Prove(task) => {
            let tracks = (2..2 + task.tracks.len()).map(fd).collect();
            let source = task.reads_source().then(|| fd(2 + task.tracks.len()));
            merge::merge(&fd(1), Some(&fd(0)), &task, (tracks, source), &mut reporter)
        }
        Task::Verify(task) => verify::verify(&fd(0), &fd(1), &task, &mut reporter)
            .map(|measured| Reply::Verified(Box::new(measured))),
    };
    match result {
        Ok(reply) => {
            send(&reply);
            ExitCode::SUCCESS
        }
        Err(Failure(reason)) => {
            send(&Reply::Failed(reason));
            ExitCode::FAILURE
        }
    }
}

/// Shuts the box as the parent says, before anything of the task is known.
fn shut(asked: Option<std::ffi::OsString>) -> Result<Vec<Layer>, String> {
    let asked = asked.and_then(|text| text.into_string().ok()).unwrap_or_default();
    let asked: Seal =
        serde_json::from_str(&asked).map_err(|error| format!("how to seal it can't be read: {error}"))?;
    seal(&asked, |pid| send(&Reply::Started { pid }))
}

/// The `number`th file descriptor that the parent passed; each is taken once.
fn fd(number: usize) -> File {
    let raw = FIRST_FD + i32::try_from(number).unwrap_or(i32::MAX);
    system::take_descriptor(raw)
}
