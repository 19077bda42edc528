//! The parent's half: starts a child, hands it a task and descriptors, listens, and ends it.

use std::{
    fs::File,
    os::fd::OwnedFd,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use std::os::unix::process::ExitStatusExt as _;

use command_fds::{CommandFdExt, FdMapping};
use futures_util::StreamExt as _;
use millrace_schemas::Encoders;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{ChildStderr, ChildStdin, ChildStdout},
    time::{Instant, MissedTickBehavior, sleep_until},
};
use tokio_util::codec::{AnyDelimiterCodec, AnyDelimiterCodecError, FramedRead};
use tracing::Instrument as _;

use crate::{
    CHILD_ARGUMENT,
    cgroup::{Delegated, Group},
    protocol::{FIRST_FD, Reply, Task},
    seal::{Allowed, Layer, Sandbox, Seal},
};

/// A child that says nothing for so long hangs: whoever uploaded a hostile file knows within a minute.
///
/// At work, a child gives a sign with each packet and each picture, and while it waits for a store every few seconds. The longest that honest
/// work is silent is one picture: of 8192x8192, decoded and encoded at the two million pixels a second of the slowest machine that
/// limits reckon with, 34 seconds.
const SILENCE: Duration = Duration::from_secs(50);

/// No task takes longer, unless it is set otherwise: eight hours of 1080p, in one piece, at half the speed at which they play and
/// longer.
pub const LONGEST_TASK: Duration = Duration::from_secs(48 * 3600);

/// For how long a child may take to end that has done its task.
const GOODBYE: Duration = Duration::from_secs(2);

/// How often a child's memory is looked at. What it may use is a limit of the kernel's, too: this is for what that does not count.
const LOOK: Duration = Duration::from_millis(100);
/// The longest reply, in bytes: what an inspection says of 100,000 segments.
const LONGEST_REPLY: usize = 16 << 20;

/// So many lines of a child are logged: a broken file can bring forth one for each of its pictures.
const MOST_LINES: u32 = 100;
/// Longer lines are cut, in characters.
const LONGEST_LINE: usize = 500;

/// Why a task came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// The media, the disk or the task is at fault; the text is the child's own.
    #[error("{0}")]
    Failed(String),
    /// The child was still at work when its time was over, or said nothing for so long: its media did that, and will again.
    #[error("the media process was still {doing} after {limit:?}{how}, and was ended{said}")]
    Late {
        /// What it was doing.
        doing: &'static str,
        /// How long it had.
        limit: Duration,
        /// Whether it was silent all that time.
        how: &'static str,
        /// The last that it printed.
        said: String,
    },
    /// The child used more memory than its task may.
    #[error("the media process used more than the {mebibytes} MiB that {doing} may take, and was ended")]
    Large {
        /// What it was doing.
        doing: &'static str,
        /// What it may use.
        mebibytes: u64,
    },
    /// The child made a system call that no decoder needs.
    #[error(
        "the media process did what is forbidden while {doing} (a system call outside the sandbox), and was ended by the kernel; its media made it do that: don't open them elsewhere, and please report this"
    )]
    Forbidden {
        /// What it was doing.
        doing: &'static str,
    },
    /// The child died, or ended without a word: its media did that, or the machine.
    #[error("the media process {what} while {doing}{said}")]
    Died {
        /// How it ended.
        what: String,
        /// What it was doing.
        doing: &'static str,
        /// The last that it printed.
        said: String,
    },
    /// The child ended by itself, and its reply can't be read: a mistake of ours, not of the media.
    #[error("the media process replied with what can't be read, while {doing}: {field}; please report this")]
    Unreadable {
        /// What it was doing.
        doing: &'static str,
        /// The field, and what is wrong with it.
        field: String,
    },
    /// No child could be started.
    #[error("starting a media process: {0}")]
    Start(#[source] std::io::Error),
}

/// Starts children.
#[derive(Debug, Clone)]
pub struct Launcher {
    executable: PathBuf,
    sandbox: Sandbox,
    longest_task: Duration,
}

/// What a child is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The task.
    pub task: &'a Task,
    /// How long it may take; at most [`Launcher::ending_tasks_after`].
    pub limit: Duration,
    /// How many bytes its sources or work objects have.
    pub bytes: i64,
}

/// What a machine has for media processes.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The layers of the sandbox that hold.
    pub layers: Vec<Layer>,
    /// The encoder of each codec, with its version.
    pub encoders: Encoders,
}

/// What was heard of a child.
#[derive(Default)]
struct Heard {
    /// Its last reply.
    reply: Option<Reply>,
    layers: Vec<Layer>,
    unreadable: Option<String>,
    ended: Option<Ended>,
}

/// Why a child was ended.
#[derive(Clone, Copy)]
enum Ended {
    Late,
    Silent,
    Large,
    Garbled,
}

impl Launcher {
    /// Children of this executable, which must call [`crate::child_main`] when its first argument is
    /// [`CHILD_ARGUMENT`].
    #[must_use]
    pub fn new(executable: PathBuf, sandbox: Sandbox) -> Self {
        Self { executable, sandbox, longest_task: LONGEST_TASK }
    }

    /// Ends every task after this time at the latest, however long its own limit is; [`LONGEST_TASK`] otherwise.
    #[must_use]
    pub fn ending_tasks_after(self, longest_task: Duration) -> Self {
        Self { longest_task, ..self }
    }

    /// Has a child seal itself and open each encoder.
    ///
    /// # Errors
    /// If a layer that is needed does not hold, or an encoder is missing: nothing can be made here.
    pub async fn check(&self) -> Result<Checked, ChildError> {
        let ask = Ask { task: &Task::Check, limit: Duration::from_secs(30), bytes: 0 };
        let heard = self.listen_to(ask, Vec::new(), &mut drop).await?;
        let mut layers = heard.layers;
        layers.sort_by_key(|layer| Layer::ALL.iter().position(|other| other == layer));
        match heard.reply {
            Some(Reply::Checked { encoders }) => Ok(Checked { layers, encoders }),
            _ => Err(ChildError::Start(std::io::ErrorKind::Other.into())),
        }
    }

    /// Runs a task in a child. The descriptors are those that the task names, in order. `heard` is told of what comes
    /// before the last reply. Dropping the future kills the child; so does its limit, a silence of 50 seconds, and more memory than its
    /// task may use.
    ///
    /// # Errors
    /// See [`ChildError`].
    pub async fn run(
        &self,
        ask: Ask<'_>,
        descriptors: Vec<OwnedFd>,
        mut heard: impl FnMut(Reply) + Send,
    ) -> Result<Reply, ChildError> {
        let heard = self.listen_to(ask, descriptors, &mut heard).await?;
        heard.reply.ok_or_else(|| ChildError::Start(std::io::ErrorKind::Other.into()))
    }

    async fn listen_to(
        &self,
        Ask { task, limit, bytes }: Ask<'_>,
        descriptors: Vec<OwnedFd>,
        tell: &mut (impl FnMut(Reply) + Send),
    ) -> Result<Heard, ChildError> {
        let limit = limit.min(self.longest_task);
        let doing = match task {
            Task::Check => "sealing itself",
            Task::Inspect(_) => "reading its headers",
            Task::Transcode(_) => "transcoding it",
            Task::Merge(_) => "putting it together",
            Task::Prove(_) => "proving it",
            Task::Verify(_) => "comparing it",
        };
        let mut line = serde_json::to_vec(task).map_err(|e| ChildError::Start(e.into()))?;
        line.push(b'\n');
        let allowed = Allowed::of(task, limit, u64::try_from(bytes).unwrap_or(0));
        let delegated =
            Some(self.sandbox).filter(|sandbox| *sandbox != Sandbox::Off).and_then(|_| Delegated::here());
        // Where one can't be made now, the layer does not hold: whether that matters, the seal knows.
        let group = delegated.and_then(|delegated| {
            let made = delegated.group(&allowed);
            made.inspect_err(|error| tracing::warn!(%error, "a media process has no cgroup")).ok()
        });
        let seal = Seal::new(self.sandbox, descriptors.len(), group.is_some(), allowed);
        let (group, procs) = group.unzip();
        let descriptors = descriptors.into_iter().chain(procs.map(OwnedFd::from)).collect();
        let mut child = self.start(&seal, descriptors).map_err(ChildError::Start)?;
        // Kept to the end: when it closes, the child exits.
        let mut life_line =
            child.stdin.take().ok_or_else(|| ChildError::Start(std::io::ErrorKind::Other.into()))?;
        let pid = child.id().unwrap_or_default();
        tracing::info!(target: "media", pid, "a media process begins {doing}");
        let said = tokio::spawn(listen(child.stderr.take(), pid).in_current_span());
        // One that could not seal itself is gone already, and says why.
        let sent = life_line.write_all(&line).await;
        let mut heard = match child.stdout.take() {
            Some(stdout) => hear(stdout, pid, limit, &seal, tell).await,
            None => Heard::default(),
        };
        // All that it was asked for is there: its end is nothing to wait for, since the system takes milliseconds to take a sandbox
        // apart.
        if heard.ended.is_none()
            && let Some(reply) = heard.reply.take()
        {
            tokio::spawn(see_off(child, (life_line, group)).in_current_span());
            return match reply {
                Reply::Failed(reason) => Err(ChildError::Failed(reason)),
                reply => Ok(Heard { reply: Some(reply), ..heard }),
            };
        }
        if heard.ended.is_some() {
            // It may have ended by itself in this moment.
            let _ = child.start_kill();
        }
        let status = child.wait().await.map_err(ChildError::Start)?;
        let last_words = said.await.unwrap_or_default();
        tracing::info!(target: "media", pid, "the media process has ended: {status}");
        let said = last_words.map_or(String::new(), |line| format!(": {line}"));
        match heard.ended {
            Some(Ended::Late) => Err(ChildError::Late { doing, limit, how: "", said }),
            Some(Ended::Silent) => {
                Err(ChildError::Late { doing, limit: SILENCE, how: " without a word", said })
            }
            Some(Ended::Large) => Err(ChildError::Large { doing, mebibytes: seal.allowed.memory >> 20 }),
            Some(Ended::Garbled) => Err(ChildError::Unreadable {
                doing,
                field: format!("it is longer than {LONGEST_REPLY} bytes"),
            }),
            None if status.success() && heard.unreadable.is_some() => {
                Err(ChildError::Unreadable { doing, field: heard.unreadable.unwrap_or_default() })
            }
            _ if group.is_some_and(|group| group.is_out_of_memory()) => {
                Err(ChildError::Large { doing, mebibytes: seal.allowed.memory >> 20 })
            }
            _ if status.signal() == Some(libc::SIGXCPU) => {
                let limit = Duration::from_secs(seal.allowed.cpu_seconds);
                Err(ChildError::Late { doing, limit, how: " of computing", said })
            }
            _ if status.signal() == Some(libc::SIGSYS) => Err(ChildError::Forbidden { doing }),
            _ => {
                if let Err(error) = sent {
                    tracing::debug!(%error, "a media process did not take its task");
                }
                let what = format!("died ({status})");
                Err(ChildError::Died { what, doing, said })
            }
        }
    }

    fn start(&self, seal: &Seal, descriptors: Vec<OwnedFd>) -> std::io::Result<tokio::process::Child> {
        let mut command = Command::new(&self.executable);
        let mappings = (FIRST_FD..)
            .zip(descriptors)
            .map(|(child_fd, parent_fd)| FdMapping { parent_fd, child_fd })
            .collect();
        command
            .arg(CHILD_ARGUMENT)
            .arg(serde_json::to_string(seal)?)
            // No credentials, no proxies: the child gets nothing of the environment.
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .fd_mappings(mappings)
            .map_err(std::io::Error::other)?;
        tokio::process::Command::from(command).kill_on_drop(true).spawn()
    }
}

/// Waits for the end of a child that has done its task, not for long. What belongs to it goes after it.
async fn see_off(mut child: tokio::process::Child, its: (ChildStdin, Option<Group>)) {
    let pid = child.id().unwrap_or_default();
    let status = match tokio::time::timeout(GOODBYE, child.wait()).await {
        Ok(status) => status,
        Err(_) => child.kill().await.and(child.wait().await),
    };
    drop(its);
    if let Ok(status) = status {
        tracing::info!(target: "media", pid, "the media process has ended: {status}");
    }
}

/// Hears what a child says on stdout, to its last reply, its end, or until it must be ended.
async fn hear(
    stdout: ChildStdout,
    started: u32,
    limit: Duration,
    seal: &Seal,
    tell: &mut (impl FnMut(Reply) + Send),
) -> Heard {
    let mut heard = Heard::default();
    let ends = Instant::now() + limit;
    let mut silent = Instant::now() + SILENCE;
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut pid, mut process) = (started, None);
    // A reply is as long as it may be, and no longer: what is beyond that is not kept.
    let mut frames = FramedRead::new(
        stdout,
        AnyDelimiterCodec::new_with_max_length(b"\n".into(), b"".into(), LONGEST_REPLY),
    );
    loop {
        tokio::select! {
            biased;
            () = sleep_until(ends.min(silent)) => {
                heard.ended = Some(if Instant::now() >= ends { Ended::Late } else { Ended::Silent });
                return heard;
            }
            _ = looks.tick(), if !seal.layers.is_empty() => {
                if resident(pid).is_some_and(|bytes| bytes > seal.allowed.memory) {
                    heard.ended = Some(Ended::Large);
                    return heard;
                }
            }
            frame = frames.next() => {
                silent = Instant::now() + SILENCE;
                let frame = match frame {
                    None | Some(Err(AnyDelimiterCodecError::Io(_))) => return heard,
                    Some(Err(AnyDelimiterCodecError::MaxChunkLengthExceeded)) => {
                        heard.ended = Some(Ended::Garbled);
                        return heard;
                    }
                    Some(Ok(frame)) => frame,
                };
                match read_reply(&frame) {
                    // The first counts: it comes from who waits, about when the one that is waited for seals itself.
                    Ok(Reply::Started { pid: real }) => pid = *process.get_or_insert(real),
                    Ok(Reply::Sealed { layers }) => heard.layers = layers,
                    Ok(Reply::Alive) => {}
                    Ok(on_the_way @ (Reply::Progress { .. } | Reply::Made { .. })) => tell(on_the_way),
                    // Nothing follows it.
                    Ok(end) => {
                        heard.reply = Some(end);
                        return heard;
                    }
                    Err(error) => {
                        if heard.unreadable.is_none() {
                            tracing::warn!(error, "a media process gave a reply that can't be read");
                        }
                        heard.unreadable.get_or_insert(error);
                    }
                }
            }
        }
    }
}

/// How many bytes of memory a process has that are its own, and not of files.
fn resident(pid: u32) -> Option<u64> {
    // proc(5): size, resident and shared, in pages. One that has ended has none.
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let mut pages = text.split(' ').skip(1).map_while(|pages| pages.parse::<u64>().ok());
    let (resident, shared) = (pages.next()?, pages.next()?);
    // SAFETY: a plain call of the C library.
    let page = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
    Some(resident.saturating_sub(shared).saturating_mul(page))
}

/// Keeps other processes of the same user, media processes among them, from reading this one's memory and environment.
pub fn hide_memory() {
    // SAFETY: a plain system call. It fails for no reason that could be helped.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
}

/// Reads a line of a child's stdout; the error names the field that can't be read.
fn read_reply(line: &[u8]) -> Result<Reply, String> {
    let mut json = serde_json::Deserializer::from_slice(line);
    serde_path_to_error::deserialize(&mut json)
        .map_err(|error| format!("'{}': {}", error.path(), error.inner()))
}

/// Logs what a child says on stderr, line by line and not without end; gives its last words.
async fn listen(stderr: Option<ChildStderr>, pid: u32) -> Option<String> {
    let mut stderr = stderr?;
    let (mut last, mut count) = (None, 0_u32);
    let (mut buffer, mut rest) = ([0; 4096], Vec::new());
    loop {
        let read = stderr.read(&mut buffer).await.unwrap_or(0);
        rest.extend_from_slice(&buffer[..read]);
        // A line that never ends is cut: a child can't fill this process's memory.
        let whole = if read == 0 || rest.len() > 4 * buffer.len() {
            rest.len()
        } else {
            rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
        };
        for line in rest.drain(..whole).as_slice().split(|byte| *byte == b'\n').map(plain) {
            if line.is_empty() {
                continue;
            }
            count += 1;
            if count <= MOST_LINES {
                tracing::info!(target: "media", pid, "{line}");
            }
            last = Some(line);
        }
        if read == 0 {
            break;
        }
    }
    if count > MOST_LINES {
        tracing::info!(target: "media", pid, "{} more lines are left out", count - MOST_LINES);
    }
    last
}

/// What media made a child say, as text that does nothing to a terminal.
fn plain(line: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(line)
        .chars()
        .take(LONGEST_LINE)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    text.trim().to_owned()
}

/// A pipe through which the parent streams work objects to a child.
///
/// # Errors
/// Where the system has no descriptors left.
pub fn pipe() -> std::io::Result<(OwnedFd, File)> {
    let (read, write) = std::io::pipe()?;
    Ok((read.into(), File::from(OwnedFd::from(write))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A child that does what a script says.
    fn child(script: &str, sandbox: Sandbox) -> (tempfile::TempDir, Launcher) {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("child");
        std::fs::write(&path, format!("#!/bin/sh\nread -r task\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        (folder, Launcher::new(path, sandbox))
    }

    async fn ran(script: &str, limit: Duration) -> Result<Reply, ChildError> {
        ran_in(Sandbox::Off, script, limit).await
    }

    async fn ran_in(sandbox: Sandbox, script: &str, limit: Duration) -> Result<Reply, ChildError> {
        let (_folder, launcher) = child(script, sandbox);
        let task = Task::Inspect(crate::InspectTask { segment_seconds: None });
        launcher.run(Ask { task: &task, limit, bytes: 0 }, Vec::new(), drop).await
    }

    #[tokio::test]
    async fn a_child_that_goes_on_for_ever_is_ended_at_its_limit() {
        let script = r#"while :; do echo '{"progress":{"range":0,"done":1}}'; done"#;
        let ended = ran(script, Duration::from_millis(300)).await;
        assert!(matches!(ended, Err(ChildError::Late { .. })), "{ended:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_child_is_ended_within_a_minute() {
        // The clock runs ahead while everybody waits.
        let ended = ran("read -r never", Duration::from_secs(3600)).await;
        let Err(ChildError::Late { limit, how, .. }) = ended else { panic!("{ended:?}") };
        assert!(limit < Duration::from_secs(60) && how == " without a word", "{limit:?}{how}");
    }

    #[tokio::test]
    async fn a_sign_of_life_is_no_reply() {
        let script = r#"echo '"alive"'; echo '{"failed":"no media"}'; echo '"alive"'; exit 1"#;
        let refused = ran(script, Duration::from_secs(3600)).await;
        assert!(matches!(&refused, Err(ChildError::Failed(reason)) if reason == "no media"), "{refused:?}");
    }

    #[tokio::test]
    async fn no_limit_is_longer_than_the_longest_task() {
        let (_folder, launcher) = child("read -r never", Sandbox::Off);
        let longest = Duration::from_millis(100);
        let task = Task::Inspect(crate::InspectTask { segment_seconds: None });
        let ask = Ask { task: &task, limit: Duration::MAX, bytes: 0 };
        let ended = launcher.ending_tasks_after(longest).run(ask, Vec::new(), drop).await;
        assert!(matches!(ended, Err(ChildError::Late { limit, .. }) if limit == longest), "{ended:?}");
    }

    #[tokio::test]
    async fn a_child_that_crashes_is_dead_and_one_that_refuses_has_failed() {
        let hour = Duration::from_secs(3600);
        assert!(matches!(ran("kill -SEGV $$", hour).await, Err(ChildError::Died { .. })));
        assert!(matches!(ran("exit 0", hour).await, Err(ChildError::Died { .. })), "it said nothing");
        let unreadable = ran(r#"printf '{"failed":"\\377"}\n'"#, hour).await;
        assert!(matches!(unreadable, Err(ChildError::Unreadable { field, .. }) if field.contains("failed")));
        let refused = ran(r#"echo '{"failed":"no media"}'; exit 1"#, hour).await;
        assert!(matches!(refused, Err(ChildError::Failed(reason)) if reason == "no media"));
    }

    #[tokio::test]
    async fn a_child_that_takes_more_memory_than_its_task_may_is_ended() {
        // It keeps all of a line, which never ends.
        let ended = ran_in(Sandbox::On, "exec tail -n 1 /dev/zero", Duration::from_secs(3600)).await;
        assert!(matches!(ended, Err(ChildError::Large { mebibytes: 1024, .. })), "{ended:?}");
    }

    #[tokio::test]
    async fn a_child_whose_system_call_is_forbidden_is_told_from_one_that_crashed() {
        let ended = ran("kill -SYS $$", Duration::from_secs(3600)).await;
        assert!(matches!(ended, Err(ChildError::Forbidden { .. })), "{ended:?}");
    }

    #[tokio::test]
    async fn a_reply_without_an_end_fills_nothing() {
        let script = "head -c 200000000 /dev/zero; echo; echo '{\"failed\":\"no media\"}'; exit 1";
        let before = resident(std::process::id()).unwrap();
        let refused = ran(script, Duration::from_secs(3600)).await;
        assert!(matches!(refused, Err(ChildError::Unreadable { field, .. }) if field.contains("longer")));
        let grown = resident(std::process::id()).unwrap().saturating_sub(before);
        assert!(grown < 5 * LONGEST_REPLY as u64, "{grown} bytes");
    }

    #[test]
    fn what_a_child_says_does_nothing_to_a_terminal() {
        assert_eq!(plain(b"\x1b[2Jgone\x07\r\n"), "[2Jgone");
        assert_eq!(plain(&[b'x'; 2000]).len(), LONGEST_LINE);
    }
}
