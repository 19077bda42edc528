//! The system calls that decoding and encoding need, by seccomp. Any other ends the process at once.
//!
//! Found by tracing tasks over all containers and codecs that are opened. What is here and was not seen is what the C library and
//! Rust's take in its place elsewhere (another clock, another version), and does nothing to others.

use std::{collections::BTreeMap, io};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Op, SeccompCondition,
    SeccompFilter, SeccompRule,
};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Allowed whatever their arguments.
const ALLOWED: &[i64] = &[
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_ftruncate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync_file_range,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_geteuid,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_restart_syscall,
    // How much memory the machine has: the C library's `qsort` asks, and uses what is there if it is not told.
    libc::SYS_sysinfo,
];

/// Answered with EPERM. Some take paths: libav looks for modules of character sets, the cgroup's share of processors and how memory
/// is overcommitted, and does without. Encoders would place their threads on cores and nodes of memory, and set their priorities.
const REFUSED: &[i64] = &[
    libc::SYS_get_mempolicy,
    libc::SYS_set_mempolicy,
    libc::SYS_mbind,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setscheduler,
    libc::SYS_getpriority,
    libc::SYS_setpriority,
    libc::SYS_openat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
];

/// Answered as if the kernel were too old for them. The arguments of `clone3` lie in memory, where a filter can't look; without it
/// the C library takes `clone`, whose flags can be looked at.
const UNKNOWN: &[i64] = &[libc::SYS_clone3];

/// Puts the filters on, for all threads that there are and will be.
pub(super) fn only_what_decoding_needs() -> io::Result<()> {
    let failed = |error: &dyn std::fmt::Display| io::Error::other(error.to_string());
    let all = [
        (refused(REFUSED), SeccompAction::Allow, SeccompAction::Errno(libc::EPERM.unsigned_abs())),
        (refused(UNKNOWN), SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS.unsigned_abs())),
        // The last, since it lets no further filter come.
        (allowed().map_err(|error| failed(&error))?, SeccompAction::KillProcess, SeccompAction::Allow),
    ];
    for (rules, otherwise, matched) in all {
        let arch = std::env::consts::ARCH.try_into().map_err(|error| failed(&error))?;
        let filter = SeccompFilter::new(rules, otherwise, matched, arch).map_err(|error| failed(&error))?;
        let program: BpfProgram =
            filter.try_into().map_err(|error: seccompiler::BackendError| failed(&error))?;
        seccompiler::apply_filter_all_threads(&program).map_err(|error| failed(&error))?;
    }
    Ok(())
}

fn refused(calls: &[i64]) -> Rules {
    calls.iter().map(|call| (*call, Vec::new())).collect()
}

/// What is allowed: some calls only with these arguments.
fn allowed() -> Result<Rules, seccompiler::BackendError> {
    let mut rules: Rules =
        ALLOWED.iter().chain(REFUSED).chain(UNKNOWN).map(|call| (*call, Vec::new())).collect();
    let is = |argument, value: u64| SeccompCondition::new(argument, Length::Dword, Op::Eq, value);
    let mut only = |call, conditions: Vec<SeccompCondition>| -> Result<(), seccompiler::BackendError> {
        rules.entry(call).or_default().push(SeccompRule::new(conditions)?);
        Ok(())
    };
    // Nothing that was written is ever run.
    let executable = u64::from(libc::PROT_EXEC.unsigned_abs());
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        only(call, vec![SeccompCondition::new(2, Length::Dword, Op::MaskedEq(executable), 0)?])?;
    }
    // A thread, and no process.
    let thread = flags(libc::CLONE_VM | libc::CLONE_SIGHAND | libc::CLONE_THREAD);
    let others = flags(
        libc::CLONE_NEWUSER
            | libc::CLONE_NEWNS
            | libc::CLONE_NEWNET
            | libc::CLONE_NEWPID
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWCGROUP
            | libc::CLONE_VFORK
            | libc::CLONE_PTRACE,
    );
    only(
        libc::SYS_clone,
        vec![SeccompCondition::new(0, Length::Qword, Op::MaskedEq(thread | others), thread)?],
    )?;
    // Asked of a stream before it is written to: whether it is a terminal.
    only(libc::SYS_ioctl, vec![is(1, libc::TCGETS)?])?;
    only(libc::SYS_prctl, vec![is(0, u64::from(libc::PR_SET_NAME.unsigned_abs()))?])?;
    // A crash of its own.
    only(libc::SYS_tgkill, vec![is(0, u64::from(std::process::id()))?])?;
    for command in [libc::F_DUPFD_CLOEXEC, libc::F_GETFD, libc::F_GETFL] {
        only(libc::SYS_fcntl, vec![is(1, u64::from(command.unsigned_abs()))?])?;
    }
    Ok(rules)
}

fn flags(flags: libc::c_int) -> u64 {
    u64::from(flags.cast_unsigned())
}
