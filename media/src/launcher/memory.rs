//! The memory of processes, as Linux reports and protects it.

/// Returns the resident memory of a process that belongs to no file, in bytes; `None` if the process has exited.
pub(super) fn resident(pid: u32) -> Option<u64> {
    // proc(5): size, resident and shared, in pages. A process that has exited has none.
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let mut pages = text.split(' ').skip(1).map_while(|pages| pages.parse::<u64>().ok());
    let (resident, shared) = (pages.next()?, pages.next()?);
    // SAFETY: a plain call of the C library.
    let page = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
    Some(resident.saturating_sub(shared).saturating_mul(page))
}

/// Prevents other processes of the same user, media processes among them, from reading the memory and the environment of this
/// process.
pub fn hide_memory() {
    // SAFETY: a plain system call. It fails for no reason that could be handled.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
}
