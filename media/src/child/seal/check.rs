//! Results of system calls.

use std::io;

/// Returns the error of the system call that was just made, if its result is -1.
pub(super) fn check(result: impl TryInto<i64>) -> io::Result<()> {
    match result.try_into() {
        Ok(-1) => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
