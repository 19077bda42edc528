//! A cgroup for each media process, where one is delegated to this process (cgroups(7), version 2): the kernel's own bound of
//! memory and threads, which counts what resource limits do not.

use std::{
    ffi::CString,
    fs::{self, File, OpenOptions},
    io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use crate::{seal::Allowed, system};

/// What this process moves itself to: a cgroup has processes or cgroups with controllers, not both.
const OWN: &str = "millrace";
/// Attributes by which systemd says that a cgroup is its user's.
const DELEGATED: [&std::ffi::CStr; 2] = [c"trusted.delegate", c"user.delegate"];

/// A cgroup that is this process's to divide.
#[derive(Debug)]
pub struct Delegated {
    folder: PathBuf,
}

/// The cgroup of a media process; gone when it has ended.
#[derive(Debug)]
pub(crate) struct Group {
    folder: PathBuf,
}

impl Delegated {
    /// The one of this process, looked for once.
    pub(crate) fn here() -> Option<&'static Self> {
        static HERE: OnceLock<Option<Delegated>> = OnceLock::new();
        HERE.get_or_init(|| {
            let text = |path: &str| fs::read_to_string(path).ok();
            let folder = folder(&text("/proc/self/mountinfo")?, &text("/proc/self/cgroup")?)?;
            if !is_delegated(&folder) {
                return None;
            }
            Self::take(folder).inspect_err(|error| tracing::info!(%error, "no cgroup is used")).ok()
        })
        .as_ref()
    }

    /// Takes a cgroup in which this process is alone: it goes into one below it, so that others can be made there.
    ///
    /// # Errors
    /// Where others are in it, or the controllers of memory and threads are not there.
    pub fn take(folder: PathBuf) -> io::Result<Self> {
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

    /// A cgroup for a process that may use so much, and the file by which the process moves itself into it.
    pub(crate) fn group(&self, allowed: &Allowed) -> io::Result<(Group, File)> {
        let name = format!("media-{}-{:016x}", std::process::id(), next());
        let group = Group { folder: self.folder.join(name) };
        make(&group.folder)?;
        fs::write(group.folder.join("memory.max"), allowed.memory.to_string())?;
        fs::write(group.folder.join("pids.max"), allowed.threads.to_string())?;
        // Where there is no swap there is no such file.
        let _ = fs::write(group.folder.join("memory.swap.max"), "0");
        let procs = OpenOptions::new().write(true).open(group.folder.join("cgroup.procs"))?;
        Ok((group, procs))
    }
}

/// A number that no other group of this process has.
fn next() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

fn make(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

impl Group {
    /// Whether the kernel ended a process of it since it was out of memory.
    pub(crate) fn is_out_of_memory(&self) -> bool {
        let events = fs::read_to_string(self.folder.join("memory.events")).unwrap_or_default();
        events.lines().any(|line| line.strip_prefix("oom_kill ").is_some_and(|count| count != "0"))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Whoever is in it still is to end.
        let _ = fs::write(self.folder.join("cgroup.kill"), "1");
        if fs::remove_dir(&self.folder).is_err() {
            let folder = std::mem::take(&mut self.folder);
            tracing::debug!(folder = %folder.display(), "a cgroup is removed later");
        }
    }
}

/// The folder of this process's cgroup: where version 2 is mounted, and below it.
fn folder(mounts: &str, cgroups: &str) -> Option<PathBuf> {
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

/// Whether a cgroup is its user's to divide: systemd says so, or it is all that a container sees.
fn is_delegated(folder: &Path) -> bool {
    let Ok(path) = CString::new(folder.as_os_str().as_bytes()) else { return false };
    let says = |name: &&std::ffi::CStr| system::is_attribute(&path, name, b'1');
    // The root of all cgroups has no type; the root of a container's namespace has one.
    let is_all = fs::read_to_string("/proc/self/cgroup")
        .is_ok_and(|text| text.lines().any(|line| line == "0::/"))
        && folder.join("cgroup.type").exists();
    DELEGATED.iter().any(says) || is_all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_found_on_a_plain_machine_in_a_container_and_beside_version_1() {
        let plain = "29 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";
        let found = folder(plain, "0::/system.slice/millrace.service").unwrap();
        assert_eq!(found, Path::new("/sys/fs/cgroup/system.slice/millrace.service"));
        let both = "30 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n29 23 0:26 / /sys/fs/cgroup/unified rw - cgroup2 none rw";
        assert_eq!(folder(both, "4:memory:/a\n0::/").unwrap(), Path::new("/sys/fs/cgroup/unified"));
        let bound = "29 23 0:26 /kube/pod /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        assert_eq!(folder(bound, "0::/kube/pod/box").unwrap(), Path::new("/sys/fs/cgroup/box"));
        assert_eq!(folder("1 0 0:1 / / rw - ext4 x rw", "0::/"), None);
        assert_eq!(folder(plain, "4:memory:/a"), None);
    }
}
