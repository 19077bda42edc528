//! The parent's half: starts a child, hands it a task and descriptors, listens, and ends it.

use std::{
    fs::File,
    os::fd::OwnedFd,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use command_fds::{CommandFdExt, FdMapping};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::ChildStderr,
    time::{Instant, timeout_at},
};
use tracing::Instrument as _;

use crate::{
    CHILD_ARGUMENT,
    protocol::{FIRST_FD, Reply, Task},
};

/// A child that says nothing for so long hangs.
const SILENCE: Duration = Duration::from_secs(180);

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
}

impl Launcher {
    /// Children of this executable, which must call [`crate::child_main`] when its first argument is
    /// [`CHILD_ARGUMENT`].
    #[must_use]
    pub fn new(executable: PathBuf) -> Self {
        Self { executable }
    }

    /// Runs a task in a child. The descriptors are those that the task names, in order. `heard` is told of what comes
    /// before the last reply. Dropping the future kills the child; so does `limit`, and a silence of three minutes.
    ///
    /// # Errors
    /// See [`ChildError`].
    pub async fn run(
        &self,
        task: &Task,
        descriptors: Vec<OwnedFd>,
        limit: Duration,
        mut heard: impl FnMut(Reply) + Send,
    ) -> Result<Reply, ChildError> {
        let ends = Instant::now() + limit;
        let doing = match task {
            Task::Inspect(_) => "reading its headers",
            Task::Transcode(_) => "transcoding it",
            Task::Merge(_) => "putting it together",
            Task::Prove(_) => "proving it",
            Task::Verify(_) => "comparing it",
        };
        let mut line = serde_json::to_vec(task).map_err(|e| ChildError::Start(e.into()))?;
        line.push(b'\n');
        let mut child = self.start(descriptors).map_err(ChildError::Start)?;
        // Kept to the end: when it closes, the child exits.
        let mut life_line =
            child.stdin.take().ok_or_else(|| ChildError::Start(std::io::ErrorKind::Other.into()))?;
        life_line.write_all(&line).await.map_err(ChildError::Start)?;
        let pid = child.id().unwrap_or_default();
        tracing::info!(target: "media", pid, "a media process begins {doing}");
        let said = tokio::spawn(listen(child.stderr.take(), pid).in_current_span());
        let mut reply = None;
        let mut unreadable = None;
        let (mut hung, mut late) = (false, false);
        if let Some(stdout) = child.stdout.take() {
            let mut lines = BufReader::new(stdout).split(b'\n');
            loop {
                match timeout_at(ends.min(Instant::now() + SILENCE), lines.next_segment()).await {
                    Ok(Ok(Some(line))) => match read_reply(&line) {
                        Ok(on_the_way @ (Reply::Progress { .. } | Reply::Made { .. })) => heard(on_the_way),
                        Ok(end) => reply = Some(end),
                        Err(error) => {
                            tracing::warn!(error, "a media process gave a reply that can't be read");
                            unreadable.get_or_insert(error);
                        }
                    },
                    Ok(_) => break,
                    Err(_) => {
                        late = Instant::now() >= ends;
                        hung = !late;
                        // It may have ended by itself in this moment.
                        let _ = child.start_kill();
                        break;
                    }
                }
            }
        }
        let status = child.wait().await.map_err(ChildError::Start)?;
        let last_words = said.await.unwrap_or_default();
        tracing::info!(target: "media", pid, "the media process has ended: {status}");
        let said = last_words.map_or(String::new(), |line| format!(": {line}"));
        match reply {
            _ if late => Err(ChildError::Late { doing, limit, how: "", said }),
            _ if hung => Err(ChildError::Late { doing, limit: SILENCE, how: " without a word", said }),
            Some(Reply::Failed(reason)) => Err(ChildError::Failed(reason)),
            Some(reply) if status.success() => Ok(reply),
            None if status.success() && unreadable.is_some() => {
                Err(ChildError::Unreadable { doing, field: unreadable.unwrap_or_default() })
            }
            _ => {
                let what = format!("died ({status})");
                Err(ChildError::Died { what, doing, said })
            }
        }
    }

    fn start(&self, descriptors: Vec<OwnedFd>) -> std::io::Result<tokio::process::Child> {
        let mut command = Command::new(&self.executable);
        let mappings = (FIRST_FD..)
            .zip(descriptors)
            .map(|(child_fd, parent_fd)| FdMapping { parent_fd, child_fd })
            .collect();
        command
            .arg(CHILD_ARGUMENT)
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
    fn child(script: &str) -> (tempfile::TempDir, Launcher) {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("child");
        std::fs::write(&path, format!("#!/bin/sh\nread -r task\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        (folder, Launcher::new(path))
    }

    async fn ran(script: &str, limit: Duration) -> Result<Reply, ChildError> {
        let (_folder, launcher) = child(script);
        let task = Task::Inspect(crate::InspectTask { segment_seconds: None });
        launcher.run(&task, Vec::new(), limit, drop).await
    }

    #[tokio::test]
    async fn a_child_that_goes_on_for_ever_is_ended_at_its_limit() {
        let script = r#"while :; do echo '{"progress":{"range":0,"done":1}}'; done"#;
        let ended = ran(script, Duration::from_millis(300)).await;
        assert!(matches!(ended, Err(ChildError::Late { .. })), "{ended:?}");
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

    #[test]
    fn what_a_child_says_does_nothing_to_a_terminal() {
        assert_eq!(plain(b"\x1b[2Jgone\x07\r\n"), "[2Jgone");
        assert_eq!(plain(&[b'x'; 2000]).len(), LONGEST_LINE);
    }
}
