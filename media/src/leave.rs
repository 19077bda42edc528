//! The end of this process.

use std::io::Write as _;

use crate::system;

/// Ends this process with this status, at once: nothing that libraries have left for its end is run.
///
/// Threads of librdkafka are at work to the last, in OpenSSL too, and OpenSSL frees what they use when a process ends by `exit`: it
/// died then, with its work done, of a segmentation fault.
pub fn leave(status: u8) -> ! {
    // Where nobody reads it any more, nothing can be told.
    let _ = std::io::stdout().flush();
    let _ = std::io::stderr().flush();
    system::exit_now(status)
}
