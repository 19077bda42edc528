//! Seals this process into its box: after its libraries are loaded, before it reads its task, while it has one thread.
//!
//! In this order: what needs the file system first, then what takes it away. Each layer is a function that says whether it
//! holds; which are needed, the parent says.

mod calls;
mod check;
mod namespaces;

use std::{fs::File, io, io::Write as _, os::fd::FromRawFd as _};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetStatus, Scope,
};
use libc::c_int;

use self::check::check;
use crate::{
    protocol::FIRST_FD,
    sandbox::Layer,
    seal::{ResourceLimits, Seal},
};

/// Seals this process; gives the layers that hold.
///
/// With [`Layer::Namespaces`] the caller goes on in another process: the one that called waits for it and ends as it ends.
/// `started` is told the id of that process, in the caller's namespace.
///
/// # Errors
/// Where a layer that is needed does not hold, with the reason. The process must not go on.
pub fn seal(seal: &Seal, started: impl FnOnce(u32)) -> Result<Vec<Layer>, String> {
    let asked = |layer: Layer| seal.layers.contains(&layer);
    let mut held = Vec::new();
    let mut put_on = |layer: Layer, done: io::Result<()>| match done {
        Ok(()) => {
            held.push(layer);
            Ok(())
        }
        Err(error) if seal.needed.contains(&layer) => {
            Err(format!("the layer '{}' of the box around media does not hold: {error}", layer.as_str()))
        }
        Err(_) => Ok(()),
    };
    if asked(Layer::Cgroup) {
        put_on(Layer::Cgroup, join_cgroup(seal.given))?;
    } else {
        put_on(
            Layer::Cgroup,
            Err(io::Error::other("no cgroup with memory and pids is delegated to this process")),
        )?;
    }
    if asked(Layer::Privileges) {
        // The kernel's word on who goes first. Where /proc is not mounted, that is all that is missing.
        let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    }
    if asked(Layer::Descriptors) {
        put_on(Layer::Descriptors, close_others(seal.given))?;
    }
    if asked(Layer::Namespaces) {
        put_on(Layer::Namespaces, namespaces::enter(started))?;
    }
    if asked(Layer::Privileges) {
        put_on(Layer::Privileges, drop_privileges())?;
    }
    if asked(Layer::Limits) {
        put_on(Layer::Limits, limit(&seal.allowed, seal.given))?;
    }
    if asked(Layer::Landlock) {
        put_on(Layer::Landlock, no_paths())?;
    }
    if asked(Layer::Calls) {
        put_on(Layer::Calls, calls::only_what_decoding_needs())?;
    }
    Ok(held)
}

/// Moves this process into its cgroup, by the file behind the descriptors of its task.
fn join_cgroup(given: u32) -> io::Result<()> {
    let procs = FIRST_FD.saturating_add_unsigned(given);
    // SAFETY: the parent has passed that descriptor for this, and nothing else here owns it; where it has not, the write fails.
    let mut procs = unsafe { File::from_raw_fd(procs) };
    // The writer itself.
    procs.write_all(b"0")
}

fn close_others(given: u32) -> io::Result<()> {
    let first = u32::try_from(FIRST_FD).unwrap_or(3).saturating_add(given);
    // SAFETY: descriptors from there on are of nobody here: this process was just started, and was given none of them.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) })
}

/// As capset(2) takes it, version 3.
#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: c_int,
}

fn drop_privileges() -> io::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let header = CapabilityHeader { version: VERSION_3, pid: 0 };
    // Effective, permitted and inheritable, twice 32 of each: none.
    let none = [[0_u32; 3]; 2];
    // SAFETY: plain system calls; both arguments of capset are as long as its version 3 wants, and live through the call.
    unsafe {
        check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
        check(libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()))?;
        check(libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0))?;
    }
    set_limit(libc::RLIMIT_CORE, 0)
}

#[cfg(target_env = "gnu")]
type Resource = libc::__rlimit_resource_t;
#[cfg(not(target_env = "gnu"))]
type Resource = c_int;

fn set_limit(resource: Resource, most: u64) -> io::Result<()> {
    let mut now = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the argument lives through the call.
    check(unsafe { libc::getrlimit(resource, &raw mut now) })?;
    // One that whoever started the parent has set holds all the same: it can't be raised.
    let most = most.min(now.rlim_max);
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: the argument lives through the call.
    check(unsafe { libc::setrlimit(resource, &raw const limit) })
}

fn limit(allowed: &ResourceLimits, given: u32) -> io::Result<()> {
    // SAFETY: what is too long for a file is an error of that write, which says so, in place of a signal.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    set_limit(libc::RLIMIT_DATA, allowed.memory)?;
    set_limit(libc::RLIMIT_AS, allowed.addresses)?;
    set_limit(libc::RLIMIT_CPU, allowed.cpu_seconds.max(1))?;
    set_limit(libc::RLIMIT_FSIZE, allowed.file_bytes)?;
    let first = u64::from(FIRST_FD.unsigned_abs());
    set_limit(libc::RLIMIT_NOFILE, first + u64::from(given) + allowed.descriptors)
}

/// No path, no port, no one to signal. What the kernel knows of that is asked for.
fn no_paths() -> io::Result<()> {
    const NEWEST: ABI = ABI::V6;
    let sealed = || {
        Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(NEWEST))?
            .handle_access(AccessNet::from_all(NEWEST))?
            .scope(Scope::from_all(NEWEST))?
            .create()?
            .restrict_self()
    };
    match sealed().map_err(io::Error::other)?.ruleset {
        RulesetStatus::NotEnforced => {
            Err(io::Error::other("this kernel has no Landlock, or it is not switched on"))
        }
        _ => Ok(()),
    }
}
