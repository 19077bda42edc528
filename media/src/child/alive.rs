//! Signs of life, by which the parent tells a process that is at work from one that hangs.
//!
//! Work gives signs as it gets on: a packet, a picture, bytes of the source that are read for the first time. What waits for bytes, or for
//! room to write, does not hang either: a store may be away for minutes. A thread of its own says so, and only of a wait that lasts; a
//! file that keeps libav in a loop, reading the same bytes over and over, gives no sign and is ended.

use std::{
    fs::File,
    io::{self, Read, Write},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::report::send;
use crate::protocol::Reply;

/// Signs come at most so often.
const EVERY: Duration = Duration::from_secs(1);
/// A wait that lasts for so long gives a sign, and again after as long.
const BEAT: Duration = Duration::from_secs(5);

static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
/// When the last sign was given, in milliseconds since the first.
static LAST: AtomicU64 = AtomicU64::new(0);
/// The number of the wait that the process is in; 0 for none. Bytes are read and written by the task's own thread alone.
static WAIT: AtomicU64 = AtomicU64::new(0);
/// The number of the last wait.
static WAITS: AtomicU64 = AtomicU64::new(0);

/// Reports to the parent that the task got on, at most once a second.
pub(super) fn sign() {
    let now = u64::try_from(BEGUN.elapsed().as_millis()).unwrap_or(u64::MAX);
    if now.saturating_sub(LAST.load(Ordering::Relaxed)) >= EVERY.as_millis() as u64 {
        LAST.store(now, Ordering::Relaxed);
        send(&Reply::Alive);
    }
}

/// Runs what may have to wait for the parent or a disk.
pub(super) fn wait<T>(reads_or_writes: impl FnOnce() -> T) -> T {
    WAIT.store(WAITS.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
    let result = reads_or_writes();
    WAIT.store(0, Ordering::Relaxed);
    result
}

/// Gives signs from now on while the process waits, from a thread of its own.
pub(super) fn watch_waits() {
    std::thread::spawn(|| {
        let mut waits = Waits::default();
        loop {
            std::thread::sleep(BEAT);
            if waits.lasts(WAIT.load(Ordering::Relaxed)) {
                send(&Reply::Alive);
            }
        }
    });
}

/// Looks at waits from time to time.
#[derive(Default)]
struct Waits {
    last: u64,
}

impl Waits {
    /// Returns `true` if the process is in the same wait as at the last look.
    fn lasts(&mut self, wait: u64) -> bool {
        std::mem::replace(&mut self.last, wait) == wait && wait != 0
    }
}

/// Bytes that were read of a source. Each counts twice: headers are read, and then what they point at, which may be the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    left: u64,
}

impl Budget {
    /// Of a source of so many bytes.
    pub(super) fn of(size: u64) -> Self {
        Self { left: size.saturating_mul(2) }
    }

    /// Takes bytes that were read; returns `true` if reading them was a sign of life.
    pub(super) fn spend(&mut self, bytes: u64) -> bool {
        self.left = self.left.saturating_sub(bytes);
        self.left > 0 && bytes > 0
    }
}

/// A pipe or a file that may have to be waited for.
pub(super) struct Waiting(pub(super) File);

impl Read for Waiting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        wait(|| self.0.read(buffer))
    }
}

impl Write for Waiting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        wait(|| self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::*;

    #[test]
    fn a_wait_that_lasts_is_a_sign_and_many_short_ones_are_none() {
        let mut waits = Waits::default();
        assert!(!waits.lasts(7), "it may have just begun");
        assert!(waits.lasts(7) && waits.lasts(7));
        assert!(!waits.lasts(9) && !waits.lasts(11), "another each time: it reads on and on");
        assert!(!waits.lasts(0) && !waits.lasts(0), "it computes");
    }

    #[test]
    fn what_reads_the_same_bytes_over_and_over_gives_no_signs() {
        let mut budget = Budget::of(1000);
        assert!(budget.spend(1000) && budget.spend(999));
        assert!(!budget.spend(1) && !budget.spend(1000));
        let mut budget = Budget::of(1000);
        assert!(!budget.spend(0), "nothing was there to read");
    }

    #[test]
    fn a_process_waits_while_it_reads_or_writes_and_no_longer() {
        let (read, mut write) = io::pipe().unwrap();
        let mut read = Waiting(File::from(OwnedFd::from(read)));
        write.write_all(b"x").unwrap();
        assert_eq!(read.read(&mut [0; 4]).unwrap(), 1);
        assert_eq!(WAIT.load(Ordering::Relaxed), 0);
        assert_ne!(wait(|| WAIT.load(Ordering::Relaxed)), 0);
        assert_eq!(WAIT.load(Ordering::Relaxed), 0);
    }
}
