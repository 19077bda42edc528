//! System calls that the standard library has no function for, each with what makes it safe.

use std::{
    ffi::CStr,
    fs::File,
    os::fd::{FromRawFd as _, OwnedFd},
};

/// Ends this process with this status, at once: nothing that libraries have left for its end is run.
pub(crate) fn exit_now(status: u8) -> ! {
    // SAFETY: it ends the process; memory that other threads use stays as it is to the last.
    unsafe { libc::_exit(i32::from(status)) }
}

/// Takes a descriptor that the parent process passed; each may be taken once.
///
/// If the parent did not pass it, every use of it fails with EBADF.
pub(crate) fn take_descriptor(number: i32) -> File {
    // SAFETY: descriptors of these numbers are passed for this process's task, and no other code here owns them.
    File::from(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Returns `true` if the extended attribute of a path has this value of one byte.
pub(crate) fn is_attribute(path: &CStr, name: &CStr, value: u8) -> bool {
    let mut found = [0_u8; 1];
    // SAFETY: both texts end with a zero, and the value has room for as many bytes as the kernel is told.
    let length =
        unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), found.as_mut_ptr().cast(), found.len()) };
    length == 1 && found == [value]
}

/// Returns the size of a memory page, in bytes.
pub(crate) fn page_size() -> u64 {
    // SAFETY: a plain call of the C library.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// Prevents other processes of the same user, media processes among them, from reading the memory and the environment of this
/// process.
pub fn hide_memory() {
    // SAFETY: a plain system call. It fails for no reason that could be handled.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
}
