//! A cgroup of version 2 for each media process (cgroups(7)), if one is delegated to this process. The kernel then limits the memory
//! and the threads of the media process, and counts memory that resource limits do not.

use std::{
    ffi::CString,
    fs::{self, File, OpenOptions},
    io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use crate::{seal::ResourceLimits, system};

/// The name of the cgroup into which this process moves itself: a cgroup has either processes or cgroups with controllers.
const OWN: &str = "millrace";
/// The file attributes with which systemd marks a delegated cgroup.
const DELEGATED_MARKS: [&std::ffi::CStr; 2] = [c"trusted.delegate", c"user.delegate"];

/// A cgroup that is delegated to this process: it may make cgroups in it.
#[derive(Debug)]
pub(crate) struct Delegated {
    folder: PathBuf,
}

/// The cgroup of a media process. Dropping it kills the processes in it and removes it.
#[derive(Debug)]
pub(crate) struct Group {
    folder: PathBuf,
}

impl Delegated {
    /// Returns the cgroup of this process; `None` if it is not delegated, or can't be used. It is determined at the first call.
    pub(crate) fn of_this_process() -> Option<&'static Self> {
        static DELEGATED: OnceLock<Option<Delegated>> = OnceLock::new();
        DELEGATED
            .get_or_init(|| {
                let text = |path: &str| fs::read_to_string(path).ok();
                let folder = own_folder(&text("/proc/self/mountinfo")?, &text("/proc/self/cgroup")?)?;
                if !is_delegated(&folder) {
                    return None;
                }
                Self::claim(folder).inspect_err(|error| tracing::info!(%error, "no cgroup is used")).ok()
            })
            .as_ref()
    }

    /// Claims the cgroup in this folder, in which this process is the only one. Moves this process into a cgroup below it, so that
    /// cgroups with controllers can be made there.
    ///
    /// # Errors
    /// If another process is in it, or it lacks the controller `memory` or `pids`.
    fn claim(folder: PathBuf) -> io::Result<Self> {
        let controllers = fs::read_to_string(folder.join("cgroup.controllers"))?;
        let wanted = ["memory", "pids"];
        if let Some(missing) = wanted.iter().find(|name| !controllers.split_whitespace().any(|c| c == **name))
        {
            return Err(io::Error::other(format!("it has no controller '{missing}'")));
        }
        let own = folder.join(OWN);
        make(&own)?;
        fs::write(own.join("cgroup.procs"), "0")?;
        fs::write(folder.join("cgroup.subtree_control"), "+memory +pids")?;
        Ok(Self { folder })
    }

    /// Makes a cgroup with these limits. Returns it, and the file (`cgroup.procs`) by which a process moves itself into it.
    ///
    /// # Errors
    /// If one of the files of the cgroup can't be written.
    pub(crate) fn make_group(&self, allowed: &ResourceLimits) -> io::Result<(Group, File)> {
        let name = format!("media-{}-{:016x}", std::process::id(), next_number());
        let group = Group { folder: self.folder.join(name) };
        make(&group.folder)?;
        fs::write(group.folder.join("memory.max"), allowed.memory.to_string())?;
        fs::write(group.folder.join("pids.max"), allowed.threads.to_string())?;
        // A kernel without swap has no such file.
        let _ = fs::write(group.folder.join("memory.swap.max"), "0");
        let procs = OpenOptions::new().write(true).open(group.folder.join("cgroup.procs"))?;
        Ok((group, procs))
    }
}

/// Returns a number that no other call in this process has returned.
fn next_number() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// Makes a cgroup, unless it exists.
fn make(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

impl Group {
    /// Whether the kernel has killed a process in this cgroup because it reached its memory limit.
    pub(crate) fn is_out_of_memory(&self) -> bool {
        let events = fs::read_to_string(self.folder.join("memory.events")).unwrap_or_default();
        events.lines().any(|line| line.strip_prefix("oom_kill ").is_some_and(|count| count != "0"))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::write(self.folder.join("cgroup.kill"), "1");
        if fs::remove_dir(&self.folder).is_err() {
            let folder = std::mem::take(&mut self.folder);
            tracing::debug!(folder = %folder.display(), "a cgroup could not be removed");
        }
    }
}

/// Returns the folder of this process's cgroup of version 2, from the contents of `/proc/self/mountinfo` and
/// `/proc/self/cgroup`; `None` if there is none.
fn own_folder(mounts: &str, cgroups: &str) -> Option<PathBuf> {
    // proc_pid_mountinfo(5): id, parent, device, root, mount point, options, …, -, type, …
    let (root, at) = mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(3);
        let is_version_2 = after.starts_with("cgroup2 ");
        is_version_2.then(|| Some((fields.next()?, fields.next()?)))?
    })?;
    let path = cgroups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let below = Path::new(path).strip_prefix(root).ok()?;
    Some(Path::new(at).join(below))
}

/// Whether a cgroup is delegated to this process: systemd has marked it so, or it is the root of a container's namespace.
fn is_delegated(folder: &Path) -> bool {
    let Ok(path) = CString::new(folder.as_os_str().as_bytes()) else { return false };
    let is_marked = |name: &&std::ffi::CStr| system::is_attribute(&path, name, b'1');
    // The root of all cgroups has no file `cgroup.type`; the root of a container's namespace has one.
    let is_container_root = fs::read_to_string("/proc/self/cgroup")
        .is_ok_and(|text| text.lines().any(|line| line == "0::/"))
        && folder.join("cgroup.type").exists();
    DELEGATED_MARKS.iter().any(is_marked) || is_container_root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_found_on_a_host_in_a_container_and_next_to_version_1() {
        let plain = "29 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";
        let found = own_folder(plain, "0::/system.slice/millrace.service").unwrap();
        assert_eq!(found, Path::new("/sys/fs/cgroup/system.slice/millrace.service"));
        let both = "30 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n29 23 0:26 / /sys/fs/cgroup/unified rw - cgroup2 none rw";
        assert_eq!(own_folder(both, "4:memory:/a\n0::/").unwrap(), Path::new("/sys/fs/cgroup/unified"));
        let bound = "29 23 0:26 /kube/pod /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        assert_eq!(own_folder(bound, "0::/kube/pod/box").unwrap(), Path::new("/sys/fs/cgroup/box"));
        assert_eq!(own_folder("1 0 0:1 / / rw - ext4 x rw", "0::/"), None);
        assert_eq!(own_folder(plain, "4:memory:/a"), None);
    }
}
