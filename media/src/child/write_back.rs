//! Early write-back: the kernel begins to write an output to the disk while it grows, so that little is left for the `fdatasync` before it
//! is staged. Left alone it keeps what was written in memory, for half a minute or until much of that is taken (`vm.dirty_*`).

use std::{fs::File, os::fd::AsRawFd as _};

/// The bytes of which write-back is begun at once.
const AT_ONCE: u64 = 8 << 20;
/// Where write-back ends: with a whole page of any kernel, since one that is written to again goes to the disk twice.
const PAGE: u64 = 64 << 10;

/// How much of a file that grows is being written back.
#[derive(Debug, Default)]
pub(super) struct WriteBack {
    /// Write-back of all bytes before this offset was begun.
    begun: u64,
    /// True once the kernel has refused, as it does for all but files.
    is_refused: bool,
}

impl WriteBack {
    /// Begins write-back if enough was written since the last time. `end` is the offset behind the last byte that was written. Errors
    /// are no one's: the `fdatasync` reports those of the disk.
    pub(super) fn grown_to(&mut self, file: &File, end: u64) {
        let Some(range) = self.due(end) else { return };
        self.is_refused = !begin(file, range);
    }

    /// Returns the offset and the length of what write-back is to begin of.
    fn due(&mut self, end: u64) -> Option<(i64, i64)> {
        let end = end - end % PAGE;
        let (begun, length) = (self.begun, end.saturating_sub(self.begun));
        if self.is_refused || length < AT_ONCE {
            return None;
        }
        self.begun = end;
        Some((i64::try_from(begun).ok()?, i64::try_from(length).ok()?))
    }
}

/// Begins write-back of a range of a file, and waits for none of it (sync_file_range(2)). Returns `false` if the kernel refuses.
fn begin(file: &File, (offset, length): (i64, i64)) -> bool {
    // SAFETY: the descriptor is open, and the call touches no memory of this process.
    unsafe { libc::sync_file_range(file.as_raw_fd(), offset, length, libc::SYNC_FILE_RANGE_WRITE) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_back_begins_of_each_byte_once_and_of_many_at_once() {
        let mut back = WriteBack::default();
        let mib = |number: u64| number << 20;
        assert_eq!(back.due(mib(7)), None);
        assert_eq!(back.due(mib(9) + 17), Some((0, 9 << 20)));
        assert_eq!(back.due(mib(4)), None, "a header was written again");
        assert_eq!(back.due(mib(17)), Some((9 << 20, 8 << 20)));
    }

    #[test]
    fn what_is_no_file_is_asked_for_once() {
        let (_read, write) = std::io::pipe().unwrap();
        let pipe = File::from(std::os::fd::OwnedFd::from(write));
        let mut back = WriteBack::default();
        back.grown_to(&pipe, 100 << 20);
        assert!(back.is_refused);
        let file = tempfile::tempfile().unwrap();
        let mut back = WriteBack::default();
        file.set_len(100 << 20).unwrap();
        back.grown_to(&file, 100 << 20);
        assert!(!back.is_refused);
    }
}
