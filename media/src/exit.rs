//! The end of this process.

use std::io::Write as _;

use crate::system;

/// Flushes the standard streams and ends this process with this exit status, without running the exit handlers of libraries.
///
/// Threads of librdkafka are still running then, in OpenSSL too, and OpenSSL's exit handler frees what they use: `exit` would end a
/// process that has done its work with a segmentation fault.
pub fn exit_now(status: u8) -> ! {
    // Fails if nobody reads the stream any more, which can't be reported.
    let _ = std::io::stdout().flush();
    let _ = std::io::stderr().flush();
    // No other buffer of this program needs to be flushed.
    system::exit_now(status)
}
