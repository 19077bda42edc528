//! A process in the box tries to get out of it, in one way after another: with no layer each way must be open (the control), and
//! each layer that is there for it must shut it alone, so that none hides a missing one.
//!
//! No test harness: what is sealed must have one thread, and can't be unsealed.
#![expect(
    unsafe_code,
    clippy::undocumented_unsafe_blocks,
    clippy::unwrap_used,
    reason = "each attempt is a system call on what lives here; a test may fail"
)]
use std::{
    ffi::CStr,
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream},
    os::{
        fd::{AsRawFd as _, IntoRawFd as _, RawFd},
        linux::net::SocketAddrExt as _,
        unix::{
            fs::PermissionsExt as _,
            net::{SocketAddr, UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    process::ExitCode,
    ptr,
    time::Duration,
};

use libc::{c_int, c_void, pid_t};
use millrace_media::{FIRST_FD, Layer, ResourceLimits, Seal, hide_memory, seal};

/// What the parent holds in its memory.
static SECRET: [u8; 16] = *b"the store's keys";
/// A descriptor that nobody meant to pass on.
const INHERITED: RawFd = 100;
/// Who has no rights on any Debian.
const NOBODY: u32 = 65_534;
/// How a process ends whose attempt came through, one whose attempt did not, and one in which the case itself went wrong.
const THROUGH: c_int = 0;
const BLOCKED: c_int = 9;
const BROKEN: c_int = 99;

const ALLOWED: ResourceLimits = ResourceLimits {
    memory: 128 << 20,
    addresses: 1 << 30,
    cpu_seconds: 1,
    file_bytes: 1 << 20,
    descriptors: 64,
    threads: 64,
};

/// What shuts a way out.
#[derive(Clone, Copy, PartialEq)]
enum Wall {
    /// A layer of the box.
    Of(Layer),
    /// The parent's memory is hidden ([`hide_memory`]).
    HiddenParent,
}

impl Wall {
    fn name(self) -> &'static str {
        match self {
            Self::Of(layer) => layer.as_str(),
            Self::HiddenParent => "hidden parent",
        }
    }

    fn layer(self) -> Option<Layer> {
        match self {
            Self::Of(layer) => Some(layer),
            Self::HiddenParent => None,
        }
    }
}

const DESCRIPTORS: Wall = Wall::Of(Layer::Descriptors);
const PRIVILEGES: Wall = Wall::Of(Layer::Privileges);
const LIMITS: Wall = Wall::Of(Layer::Limits);
const NAMESPACES: Wall = Wall::Of(Layer::Namespaces);
const LANDLOCK: Wall = Wall::Of(Layer::Landlock);
const CALLS: Wall = Wall::Of(Layer::Calls);

/// What there is to reach outside.
struct World {
    folder: PathBuf,
    port: u16,
    /// Where nobody listens.
    free_port: u16,
    abstract_name: SocketAddr,
    _listeners: (TcpListener, UnixListener),
    parent: pid_t,
}

/// A way out.
struct Attempt {
    name: &'static str,
    /// The walls that are there for it.
    walls: &'static [Wall],
    /// Whether it came through.
    go: fn(&World) -> bool,
    /// Whether others get in, who look while it waits.
    look: Option<fn(&World, pid_t) -> bool>,
    /// Whether only root has something to lose there.
    as_root: bool,
}

const fn attempt(name: &'static str, walls: &'static [Wall], go: fn(&World) -> bool) -> Attempt {
    Attempt { name, walls, go, look: None, as_root: false }
}

const ATTEMPTS: &[Attempt] = &[
    attempt("open a file", &[NAMESPACES, LANDLOCK, CALLS], |world| {
        fs::read(world.folder.join("secret")).is_ok()
    }),
    attempt("look at a file", &[NAMESPACES, CALLS], |world| {
        fs::metadata(world.folder.join("secret")).is_ok()
    }),
    attempt("create a file", &[NAMESPACES, LANDLOCK, CALLS], |world| {
        fs::write(world.folder.join("mine"), b"here").is_ok()
    }),
    attempt("read the parent's environment", &[Wall::HiddenParent, NAMESPACES, LANDLOCK, CALLS], |world| {
        fs::read(format!("/proc/{}/environ", world.parent)).is_ok_and(|found| !found.is_empty())
    }),
    attempt("read the parent's memory", &[Wall::HiddenParent, NAMESPACES, LANDLOCK, CALLS], |world| {
        memory_of(world.parent)
    }),
    attempt("trace the parent", &[Wall::HiddenParent, NAMESPACES, LANDLOCK, CALLS], |world| {
        let none = ptr::null_mut::<c_void>();
        unsafe { libc::ptrace(libc::PTRACE_SEIZE, world.parent, none, none) == 0 }
    }),
    attempt("signal the parent", &[NAMESPACES, LANDLOCK, CALLS], |world| unsafe {
        libc::kill(world.parent, libc::SIGURG) == 0
    }),
    attempt("connect", &[NAMESPACES, LANDLOCK, CALLS], |world| {
        TcpStream::connect(SocketAddrV4::new(Ipv4Addr::LOCALHOST, world.port)).is_ok()
    }),
    Attempt {
        look: Some(|world, _| TcpStream::connect((Ipv4Addr::LOCALHOST, world.free_port)).is_ok()),
        ..attempt("listen", &[NAMESPACES, LANDLOCK, CALLS], |world| {
            TcpListener::bind((Ipv4Addr::LOCALHOST, world.free_port)).is_ok_and(|_listener| wait_for_others())
        })
    },
    attempt("connect to an abstract socket", &[NAMESPACES, LANDLOCK, CALLS], |world| {
        UnixStream::connect_addr(&world.abstract_name).is_ok()
    }),
    attempt("fork", &[CALLS], |_| unsafe {
        match libc::fork() {
            -1 => false,
            0 => libc::_exit(0),
            child => libc::waitpid(child, ptr::null_mut(), 0) == child,
        }
    }),
    attempt("run a program", &[NAMESPACES, LANDLOCK, CALLS], |_| {
        // It ends as an attempt that came through does.
        let path = c"/bin/true";
        unsafe { libc::execv(path.as_ptr(), [path.as_ptr(), ptr::null()].as_ptr()) };
        false
    }),
    attempt("map executable memory", &[CALLS], |_| map(4096, libc::PROT_READ | libc::PROT_EXEC).is_some()),
    attempt("make memory executable", &[CALLS], |_| {
        map(4096, libc::PROT_READ | libc::PROT_WRITE)
            .is_some_and(|page| unsafe { libc::mprotect(page, 4096, libc::PROT_READ | libc::PROT_EXEC) == 0 })
    }),
    attempt("load a module of gconv", &[NAMESPACES, LANDLOCK, CALLS], |_| {
        let (to, from): (&CStr, &CStr) = (c"UTF-8", c"EUC-JP");
        unsafe { libc::iconv_open(to.as_ptr(), from.as_ptr()) as isize != -1 }
    }),
    attempt("allocate past its limit", &[LIMITS], |_| {
        const SIZE: usize = 256 << 20;
        let all = map(SIZE, libc::PROT_READ | libc::PROT_WRITE);
        all.is_some_and(|all| {
            (0..SIZE).step_by(4096).for_each(|at| unsafe { all.cast::<u8>().add(at).write_volatile(1) });
            true
        })
    }),
    attempt("write past its limit", &[LIMITS], |_| {
        let block = [0_u8; 4096];
        (0..512).all(|_| unsafe { libc::write(FIRST_FD, block.as_ptr().cast(), block.len()) == 4096 })
    }),
    attempt("compute past its limit", &[LIMITS], |_| {
        let mut used = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        while used.tv_sec < 2 {
            unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut used) };
        }
        true
    }),
    attempt("read an inherited descriptor", &[DESCRIPTORS], |_| {
        let mut byte = 0_u8;
        unsafe { libc::pread(INHERITED, (&raw mut byte).cast(), 1, 0) == 1 }
    }),
    Attempt {
        look: Some(|_, child| memory_of(child)),
        ..attempt("have its memory read by others", &[PRIVILEGES], |_| wait_for_others())
    },
    Attempt {
        name: "use root's capabilities",
        walls: &[PRIVILEGES, NAMESPACES, CALLS],
        go: |_| unsafe { libc::fchown(FIRST_FD, 1, 1) == 0 },
        look: None,
        as_root: true,
    },
];

/// Says that others may look, and waits until it is ended.
fn wait_for_others() -> bool {
    say("ready\n");
    loop {
        let long = libc::timespec { tv_sec: 10, tv_nsec: 0 };
        unsafe { libc::nanosleep(&raw const long, ptr::null_mut()) };
    }
}

fn say(text: &str) {
    unsafe { libc::write(FIRST_FD, text.as_ptr().cast(), text.len()) };
}

/// Reads the secret in the memory of another process that runs this program.
fn memory_of(process: pid_t) -> bool {
    let mut found = [0_u8; SECRET.len()];
    let here = libc::iovec { iov_base: found.as_mut_ptr().cast(), iov_len: found.len() };
    let there = libc::iovec { iov_base: SECRET.as_ptr().cast_mut().cast(), iov_len: found.len() };
    let read = unsafe { libc::process_vm_readv(process, &raw const here, 1, &raw const there, 1, 0) };
    read == found.len().cast_signed() && found == SECRET
}

fn map(size: usize, protection: c_int) -> Option<*mut c_void> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let mapped = unsafe { libc::mmap(ptr::null_mut(), size, protection, flags, -1, 0) };
    (mapped != libc::MAP_FAILED).then_some(mapped)
}

/// How a case ended.
#[derive(PartialEq)]
enum Outcome {
    Through,
    Blocked,
    /// The layer can't be had on this machine.
    Absent,
    Broken(String),
}

/// Runs what is given in a process of its own, and gives its status.
fn in_a_process(work: impl FnOnce() -> c_int) -> c_int {
    match unsafe { libc::fork() } {
        -1 => panic!("{}", io::Error::last_os_error()),
        0 => {
            let code = work();
            unsafe { libc::_exit(code) }
        }
        child => {
            let mut status = 0;
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            status
        }
    }
}

/// A parent, as Millrace is one, and a child that seals itself with these layers and tries.
fn case(attempt: &Attempt, walls: &[Wall], folder: &Path, is_root: bool) -> Outcome {
    let status = in_a_process(|| {
        let Ok(mut world) = world(folder) else { return BROKEN };
        let _ = fs::remove_file(folder.join("given"));
        if is_root && !attempt.as_root {
            let dropped = unsafe {
                libc::setgroups(0, ptr::null()) == 0 && libc::setgid(NOBODY) == 0 && libc::setuid(NOBODY) == 0
            };
            if !dropped {
                return BROKEN;
            }
        }
        unsafe {
            // As a process is that was just started; and Yama would keep it from its own child.
            libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0);
            libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY, 0, 0, 0);
        }
        if walls.contains(&Wall::HiddenParent) {
            hide_memory();
        }
        world.parent = std::process::id().cast_signed();
        child(attempt, walls, &world)
    });
    match status {
        status if libc::WIFEXITED(status) => match libc::WEXITSTATUS(status) {
            THROUGH => Outcome::Through,
            BLOCKED => Outcome::Blocked,
            code => Outcome::Broken(format!("exit status {code}")),
        },
        status => Outcome::Broken(format!("signal {}", libc::WTERMSIG(status))),
    }
}

/// Runs the child; gives how its parent is to end.
fn child(attempt: &Attempt, walls: &[Wall], world: &World) -> c_int {
    let layers: Vec<Layer> = walls.iter().filter_map(|wall| wall.layer()).collect();
    let asked = Seal { needed: layers.clone(), layers, given: 1, allowed: ALLOWED };
    let given = world.folder.join("given");
    let file = File::create(&given).unwrap();
    let child = unsafe { libc::fork() };
    if child == 0 {
        let secret = File::open(world.folder.join("secret")).unwrap();
        unsafe {
            libc::dup2(secret.as_raw_fd(), INHERITED);
            libc::dup2(file.into_raw_fd(), FIRST_FD);
        }
        let code = match seal(&asked, |real| say(&format!("{real} "))) {
            Err(reason) => {
                eprintln!("{}: {reason}", attempt.name);
                BROKEN
            }
            Ok(_) if (attempt.go)(world) => THROUGH,
            Ok(_) => BLOCKED,
        };
        unsafe { libc::_exit(code) }
    }
    let mut status = 0;
    let has_ended = |status: &mut c_int, how| unsafe { libc::waitpid(child, status, how) } == child;
    if let Some(look) = attempt.look {
        while !has_ended(&mut status, libc::WNOHANG) {
            let said = fs::read_to_string(&given).unwrap_or_default();
            if let Some(before) = said.strip_suffix("ready\n") {
                let comes_in = look(world, before.trim().parse().unwrap_or(child));
                unsafe { libc::kill(child, libc::SIGKILL) };
                has_ended(&mut status, 0);
                return if comes_in { THROUGH } else { BLOCKED };
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    } else {
        has_ended(&mut status, 0);
    }
    match status {
        status if libc::WIFEXITED(status) => libc::WEXITSTATUS(status),
        // Ended by the kernel, as a layer does it.
        status if [libc::SIGSYS, libc::SIGXCPU, libc::SIGKILL].contains(&libc::WTERMSIG(status)) => BLOCKED,
        _ => BROKEN,
    }
}

fn world(folder: &Path) -> io::Result<World> {
    let abstract_name = SocketAddr::from_abstract_name(format!("millrace-escape-{}", std::process::id()))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let free_port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let listeners = (listener, UnixListener::bind_addr(&abstract_name)?);
    Ok(World { folder: folder.to_owned(), port, free_port, abstract_name, _listeners: listeners, parent: 0 })
}

/// Whether a layer can be had here.
fn is_there(layer: Layer) -> bool {
    let asked = Seal { layers: vec![layer], needed: vec![layer], given: 0, allowed: ALLOWED };
    let status = in_a_process(|| seal(&asked, drop).map_or(BLOCKED, |_| THROUGH));
    libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == THROUGH
}

fn main() -> ExitCode {
    // `cargo test NAME` asks every test whether it is meant.
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if !asked.is_empty() && !asked.iter().any(|name| "escape".contains(name.as_str())) {
        return ExitCode::SUCCESS;
    }
    let is_root = unsafe { libc::geteuid() } == 0;
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(folder.path().join("secret"), b"secret").unwrap();

    let layers = Layer::ALL.into_iter().filter(|layer| *layer != Layer::Cgroup);
    let all: Vec<Wall> = layers.map(Wall::Of).chain([Wall::HiddenParent]).collect();
    let is_absent = |wall: &Wall| wall.layer().is_some_and(|layer| !is_there(layer));
    let (absent, there): (Vec<Wall>, Vec<Wall>) = all.into_iter().partition(is_absent);
    let mut wrong = Vec::new();
    for wall in &absent {
        println!("this machine has no layer '{}'", wall.name());
        if wall.layer().is_some_and(Layer::is_mandatory) {
            wrong.push(format!("'{}' must be there", wall.name()));
        }
    }
    for attempt in ATTEMPTS {
        if attempt.as_root && !is_root {
            println!("{:<32} left out: it takes root", attempt.name);
            continue;
        }
        let mut said = Vec::new();
        let alone = attempt.walls.iter().map(|wall| (wall.name(), vec![*wall], Outcome::Blocked));
        let without = std::iter::once(("nothing", Vec::new(), Outcome::Through));
        for (name, walls, expected) in
            without.chain(alone).chain([("everything", there.clone(), Outcome::Blocked)])
        {
            let is_absent = walls.len() == 1 && absent.contains(&walls[0]);
            let outcome =
                if is_absent { Outcome::Absent } else { case(attempt, &walls, folder.path(), is_root) };
            let shown = match &outcome {
                Outcome::Through => "open",
                Outcome::Blocked => "shut",
                Outcome::Absent => "absent",
                Outcome::Broken(reason) => reason,
            };
            said.push(format!("{name}: {shown}"));
            if outcome != expected && outcome != Outcome::Absent {
                wrong.push(format!("{} with {name}: {shown}", attempt.name));
            }
        }
        println!("{:<32} {}", attempt.name, said.join(", "));
    }
    for reason in &wrong {
        eprintln!("WRONG: {reason}");
    }
    println!("escape: {} ways out, {} wrong", ATTEMPTS.len(), wrong.len());
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
