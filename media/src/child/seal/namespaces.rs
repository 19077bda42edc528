//! Namespaces with nothing in them: nobody to signal, nothing to open, nowhere to connect to.

use std::{ffi::CStr, io, ptr};

use libc::{c_int, pid_t};

use super::check::check;

/// Folders that are there on any Linux: on one of them the empty root is put up for a moment.
const PLACES: [&CStr; 4] = [c"/proc", c"/dev", c"/tmp", c"/usr"];

/// Enters namespaces of its own, and goes on in a process that is the first in its process namespace. The caller's process
/// stays to wait for it, and never returns.
pub(super) fn enter(started: impl FnOnce(u32)) -> io::Result<()> {
    let all = libc::CLONE_NEWUSER
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS;
    // SAFETY: a plain system call; this process has one thread, as a new user namespace wants.
    check(unsafe { libc::unshare(all) })?;
    let emptied = empty_root();
    // SAFETY: this process has one thread, so that its copy is whole.
    let child = unsafe { libc::fork() };
    match child {
        -1 => {
            // No thread can be started any more, since it would be in another process namespace: there is no way on.
            let error = io::Error::last_os_error();
            eprintln!("a media process can't be started: {error}");
            std::process::exit(1);
        }
        0 => {
            // SAFETY: a plain system call. Its parent has one thread, whose end is the parent's; whoever has missed that hears of it by
            // the life line.
            check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) })?;
            emptied
        }
        child => {
            started(child.unsigned_abs());
            wait_for(child)
        }
    }
}

/// A root without anything in it, that can't be written to.
fn empty_root() -> io::Result<()> {
    let none = ptr::null();
    let empty = libc::MS_RDONLY | libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    let here = c".";
    // SAFETY: plain system calls on texts that live through them.
    unsafe {
        check(libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, none.cast()))?;
        let put_up = |place: &&&CStr| {
            libc::mount(
                c"none".as_ptr(),
                place.as_ptr(),
                c"tmpfs".as_ptr(),
                empty,
                c"size=4k".as_ptr().cast(),
            ) == 0
        };
        let place = PLACES.iter().find(put_up).ok_or_else(io::Error::last_os_error)?;
        check(libc::chdir(place.as_ptr()))?;
        // Both in the same place: the old root lies over the new one, and is taken off (pivot_root(2)).
        check(libc::syscall(libc::SYS_pivot_root, here.as_ptr(), here.as_ptr()))?;
        check(libc::umount2(here.as_ptr(), libc::MNT_DETACH))?;
        check(libc::chdir(c"/".as_ptr()))
    }
}

/// Waits for the process that is in the namespaces, and ends as it has ended.
fn wait_for(child: pid_t) -> ! {
    // SAFETY: plain system calls. This process has no other use for its descriptors: what they are of must end with the child.
    unsafe {
        libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0);
        let mut status: c_int = 0;
        while libc::waitpid(child, &raw mut status, 0) == -1 {
            if io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
                libc::_exit(1);
            }
        }
        if libc::WIFSIGNALED(status) {
            let signal = libc::WTERMSIG(status);
            libc::signal(signal, libc::SIG_DFL);
            libc::kill(libc::getpid(), signal);
        }
        libc::_exit(if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 1 })
    }
}
