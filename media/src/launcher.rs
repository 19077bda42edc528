//! The parent's half: starts a media process, sends it a task and descriptors, reads its replies, and ends it.

mod error;
mod log;
mod memory;
mod replies;
#[cfg(test)]
mod tests;

use std::{
    fs::File,
    os::fd::OwnedFd,
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use command_fds::{CommandFdExt, FdMapping};
use millrace_schemas::Encoders;
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, ChildStdin},
};
use tracing::Instrument as _;

use crate::{
    cgroup::{Delegated, Group},
    protocol::{CHILD_ARGUMENT, FIRST_FD, Reply, Task},
    sandbox::{Layer, Sandbox},
    seal::{ResourceLimits, Seal},
};
use replies::{Exceeded, LONGEST_REPLY, Replies, longest_silence, read_replies};

pub use error::ChildError;

/// The default of [`Launcher::with_longest_task`]: enough for eight hours of 1080p that are transcoded in one piece, at half the
/// speed at which they play.
pub const LONGEST_TASK: Duration = Duration::from_secs(48 * 3600);

/// How long a media process may take to exit after its final reply.
const EXIT: Duration = Duration::from_secs(2);

/// Starts media processes.
#[derive(Debug, Clone)]
pub struct Launcher {
    executable: PathBuf,
    sandbox: Sandbox,
    longest_task: Duration,
}

/// A request to run a task.
#[derive(Debug, Clone, Copy)]
pub struct TaskRequest<'a> {
    /// The task.
    pub task: &'a Task,
    /// The time limit, at most that of [`Launcher::with_longest_task`].
    pub limit: Duration,
    /// The size of its sources or work objects, in bytes.
    pub bytes: i64,
}

/// What media processes can use on this machine.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The layers of the sandbox that are in force, in the order of [`Layer::ALL`].
    pub layers: Vec<Layer>,
    /// The encoder of each codec, with its version.
    pub encoders: Encoders,
}

impl Launcher {
    /// A launcher that runs tasks in this executable, which must call [`crate::child_main`] if its first argument is
    /// [`CHILD_ARGUMENT`].
    #[must_use]
    pub fn new(executable: PathBuf, sandbox: Sandbox) -> Self {
        Self { executable, sandbox, longest_task: LONGEST_TASK }
    }

    /// Sets the longest time limit of a task, instead of [`LONGEST_TASK`]. Longer limits are shortened to it.
    #[must_use]
    pub fn with_longest_task(self, longest_task: Duration) -> Self {
        Self { longest_task, ..self }
    }

    /// Has a media process seal itself and open each encoder. Returns what it can use.
    ///
    /// # Errors
    /// If a layer that is needed is not in force, or an encoder is missing: this machine can't run tasks.
    pub async fn check(&self) -> Result<Checked, ChildError> {
        let request = TaskRequest { task: &Task::Check, limit: Duration::from_secs(30), bytes: 0 };
        let replies = self.run_task(request, Vec::new(), &mut drop).await?;
        let mut layers = replies.layers;
        layers.sort_by_key(|layer| Layer::ALL.iter().position(|other| other == layer));
        match replies.reply {
            Some(Reply::Checked { encoders }) => Ok(Checked { layers, encoders }),
            _ => Err(ChildError::unknown_start()),
        }
    }

    /// Runs a task in a media process, and returns its final reply.
    ///
    /// `descriptors` are those that the task names, in its order. [`Reply::Progress`] and [`Reply::Made`] are passed on to
    /// `on_progress` as they arrive. The process is ended if this future is dropped, at the time limit, without a reply for 50 seconds or
    /// as long as a picture takes, and if it uses more memory than its task may.
    ///
    /// # Errors
    /// See [`ChildError`].
    pub async fn run(
        &self,
        request: TaskRequest<'_>,
        descriptors: Vec<OwnedFd>,
        mut on_progress: impl FnMut(Reply) + Send,
    ) -> Result<Reply, ChildError> {
        let replies = self.run_task(request, descriptors, &mut on_progress).await?;
        replies.reply.ok_or_else(ChildError::unknown_start)
    }

    /// Runs a task like [`run`](Self::run), and returns all that the process replied.
    async fn run_task(
        &self,
        TaskRequest { task, limit, bytes }: TaskRequest<'_>,
        descriptors: Vec<OwnedFd>,
        on_progress: &mut (impl FnMut(Reply) + Send),
    ) -> Result<Replies, ChildError> {
        let limit = limit.min(self.longest_task);
        let silence = longest_silence(task);
        let doing = activity(task);
        let mut line = serde_json::to_vec(task).map_err(|e| ChildError::Start(e.into()))?;
        line.push(b'\n');
        let allowed = ResourceLimits::for_task(task, limit, u64::try_from(bytes).unwrap_or(0));
        let delegated = Some(self.sandbox)
            .filter(|sandbox| *sandbox != Sandbox::Off)
            .and_then(|_| Delegated::of_this_process());
        // If no cgroup can be made now, this layer is not in force. The seal decides whether the task may run without it.
        let group = delegated.and_then(|delegated| {
            let made = delegated.make_group(&allowed);
            made.inspect_err(|error| tracing::warn!(%error, "a media process has no cgroup")).ok()
        });
        let seal = Seal::new(self.sandbox, descriptors.len(), group.is_some(), allowed);
        let (group, procs) = group.unzip();
        let descriptors = descriptors.into_iter().chain(procs.map(OwnedFd::from)).collect();
        let mut child = self.start(&seal, descriptors).map_err(ChildError::Start)?;
        // The process exits when its stdin closes, so it stays open until the end.
        let mut stdin = child.stdin.take().ok_or_else(ChildError::unknown_start)?;
        let pid = child.id().unwrap_or_default();
        tracing::info!(target: "media", pid, "a media process begins {doing}");
        let logged = tokio::spawn(log::log_lines(child.stderr.take(), pid).in_current_span());
        // Fails if the process could not seal itself and has exited. Its last log line says why.
        let sent = stdin.write_all(&line).await;
        let mut replies = match child.stdout.take() {
            Some(stdout) => read_replies(stdout, pid, (limit, silence), &seal, on_progress).await,
            None => Replies::default(),
        };
        // The final reply is all that is needed. Nothing waits for the exit, since the kernel takes milliseconds to remove a
        // sandbox.
        if replies.exceeded.is_none()
            && let Some(reply) = replies.reply.take()
        {
            tokio::spawn(await_exit(child, stdin, group).in_current_span());
            return match reply {
                Reply::Failed(reason) => Err(ChildError::Failed(reason)),
                reply => Ok(Replies { reply: Some(reply), ..replies }),
            };
        }
        if replies.exceeded.is_some() {
            // Fails if the process has just exited.
            let _ = child.start_kill();
        }
        let status = child.wait().await.map_err(ChildError::Start)?;
        let last_line = logged.await.unwrap_or_default();
        tracing::info!(target: "media", pid, "the media process has ended: {status}");
        let last_line = last_line.map_or(String::new(), |line| format!(": {line}"));
        let out_of_memory = || group.as_ref().is_some_and(Group::is_out_of_memory);
        let cause =
            cause_of_end(&replies, status, out_of_memory, doing, (limit, silence), &seal.allowed, last_line);
        if let (ChildError::Died { .. }, Err(error)) = (&cause, sent) {
            tracing::debug!(%error, "a media process did not read its task");
        }
        Err(cause)
    }

    /// Starts a process that has these descriptors from [`FIRST_FD`] on.
    fn start(&self, seal: &Seal, descriptors: Vec<OwnedFd>) -> std::io::Result<Child> {
        let mut command = Command::new(&self.executable);
        let mappings = (FIRST_FD..)
            .zip(descriptors)
            .map(|(child_fd, parent_fd)| FdMapping { parent_fd, child_fd })
            .collect();
        command
            .arg(CHILD_ARGUMENT)
            .arg(serde_json::to_string(seal)?)
            // The environment may hold credentials and proxies.
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .fd_mappings(mappings)
            .map_err(std::io::Error::other)?;
        tokio::process::Command::from(command).kill_on_drop(true).spawn()
    }
}

/// What a media process does for a task, for messages: `while …`.
fn activity(task: &Task) -> &'static str {
    match task {
        Task::Check => "sealing itself",
        Task::Inspect(_) => "reading its headers",
        Task::Measure(_) => "reading a file of the profile",
        Task::Picture(_) => "making a picture of it",
        Task::Animation(_) => "making an animation of it",
        Task::Clip(_) => "making a clip of it",
        Task::Transcode(_) => "transcoding it",
        Task::Merge(_) => "putting it together",
        Task::Prove(_) => "proving it",
        Task::Verify(_) => "comparing it",
    }
}

/// Returns the reason why a media process ended without a final reply.
fn cause_of_end(
    replies: &Replies,
    status: ExitStatus,
    out_of_memory: impl FnOnce() -> bool,
    doing: &'static str,
    (limit, silence): (Duration, Duration),
    allowed: &ResourceLimits,
    last_line: String,
) -> ChildError {
    let large = ChildError::Large { doing, mebibytes: allowed.memory >> 20 };
    match (replies.exceeded, &replies.unreadable) {
        (Some(Exceeded::Time), _) => ChildError::Late { doing, limit, counted: "", last_line },
        (Some(Exceeded::Silence), _) => {
            ChildError::Late { doing, limit: silence, counted: " without output", last_line }
        }
        (Some(Exceeded::Memory), _) => large,
        (Some(Exceeded::ReplyLength), _) => {
            ChildError::Unreadable { doing, field: format!("it is longer than {LONGEST_REPLY} bytes") }
        }
        (None, Some(field)) if status.success() => ChildError::Unreadable { doing, field: field.clone() },
        (None, _) if out_of_memory() => large,
        (None, _) => match status.signal() {
            Some(libc::SIGXCPU) => {
                let limit = Duration::from_secs(allowed.cpu_seconds);
                ChildError::Late { doing, limit, counted: " of CPU time", last_line }
            }
            Some(libc::SIGSYS) => ChildError::Forbidden { doing },
            _ => ChildError::Died { what: format!("died ({status})"), doing, last_line },
        },
    }
}

/// Waits for a media process to exit after its final reply, and kills it after [`EXIT`]. Closes its stdin and removes its cgroup
/// then.
async fn await_exit(mut child: Child, stdin: ChildStdin, group: Option<Group>) {
    let pid = child.id().unwrap_or_default();
    let status = match tokio::time::timeout(EXIT, child.wait()).await {
        Ok(status) => status,
        Err(_) => child.kill().await.and(child.wait().await),
    };
    drop((stdin, group));
    if let Ok(status) = status {
        tracing::info!(target: "media", pid, "the media process has ended: {status}");
    }
}

/// Returns the two ends of a pipe through which the parent streams work objects to a media process: the process's, which it reads,
/// and the parent's, which it writes.
///
/// # Errors
/// If the system has no descriptors left.
pub fn pipe() -> std::io::Result<(OwnedFd, File)> {
    let (read, write) = std::io::pipe()?;
    Ok((read.into(), File::from(OwnedFd::from(write))))
}
