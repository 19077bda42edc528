//! The memory of processes, as Linux reports it.

use crate::system;

/// Returns the resident memory of a process that belongs to no file, in bytes; `None` if the process has exited.
pub(super) fn resident(pid: u32) -> Option<u64> {
    // proc(5): size, resident and shared, in pages. A process that has exited has none.
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let mut pages = text.split(' ').skip(1).map_while(|pages| pages.parse::<u64>().ok());
    let (resident, shared) = (pages.next()?, pages.next()?);
    Some(resident.saturating_sub(shared).saturating_mul(system::page_size()))
}
