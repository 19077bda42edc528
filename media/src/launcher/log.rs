//! The log lines of a media process, which it writes to stderr.

use tokio::{io::AsyncReadExt as _, process::ChildStderr};

/// How many lines of a media process are logged. A damaged file can cause one for each of its pictures.
const MOST_LINES: u32 = 100;
/// The longest line in characters. Longer ones are cut.
const LONGEST_LINE: usize = 500;

/// Logs the lines that a media process writes, up to [`MOST_LINES`], until it closes its stderr. Returns the last line.
pub(super) async fn log_lines(stderr: Option<ChildStderr>, pid: u32) -> Option<String> {
    let mut stderr = stderr?;
    let (mut last, mut count) = (None, 0_u32);
    let (mut buffer, mut rest) = ([0; 4096], Vec::new());
    loop {
        let read = stderr.read(&mut buffer).await.unwrap_or(0);
        rest.extend_from_slice(&buffer[..read]);
        // A line without an end is cut, so that it can't fill the memory of this process.
        let whole = if read == 0 || rest.len() > 4 * buffer.len() {
            rest.len()
        } else {
            rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
        };
        for line in rest.drain(..whole).as_slice().split(|byte| *byte == b'\n').map(printable) {
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

/// Returns a line as text without control characters, at most [`LONGEST_LINE`] characters long. Its bytes may come from media.
fn printable(line: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(line)
        .chars()
        .take(LONGEST_LINE)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_no_control_characters_and_a_bounded_length() {
        assert_eq!(printable(b"\x1b[2Jgone\x07\r\n"), "[2Jgone");
        assert_eq!(printable(&[b'x'; 2000]).len(), LONGEST_LINE);
    }
}
