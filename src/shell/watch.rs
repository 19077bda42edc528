//! Watched folders: files that are written completely are published to `admit`, as `trigger` does for a store's notifications.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use millrace_access::Reach;
use millrace_processors::{
    Pinning,
    trigger::rules::{Rule, any_matches, uploads},
};
use millrace_runtime::{Log, LogError, NewRecord, Transaction, read_table};
use millrace_schemas::{Arrival, Seen};
use millrace_storage::{Location, LocationError, Stores};
use millrace_topology::{Emit, millis_now, ports::Storage, streams};
use notify::{EventKind, RecursiveMode, Watcher as _, event::AccessKind, event::AccessMode};
use tokio::sync::mpsc;

/// How long a file that is open for writing must not change until it counts as whole: its writer may have died.
const LONGEST_OPEN: Duration = Duration::from_secs(60);

/// A folder that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    /// How long a file must not change until it counts as whole.
    pub(crate) settle: Duration,
    /// How often the folder is listed.
    pub(crate) poll: Duration,
}

/// The size and time of a file, by which changes are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileState {
    bytes: u64,
    modified: SystemTime,
}

/// A file that was found.
#[derive(Debug, Clone, Copy)]
struct Found {
    state: FileState,
    /// When it was first found in this state.
    since: Instant,
    is_published: bool,
}

/// The files of a folder, over time.
#[derive(Debug, Default)]
struct Settling {
    files: BTreeMap<PathBuf, Found>,
    /// The files that are open for writing, as far as the system reports it.
    open: BTreeSet<PathBuf>,
}

impl Settling {
    /// Takes the files that are there now; returns those that are whole and not published yet. Pure.
    fn step(&mut self, found: BTreeMap<PathBuf, FileState>, now: Instant, settle: Duration) -> Vec<PathBuf> {
        self.files.retain(|path, _| found.contains_key(path));
        for (path, state) in found {
            let fresh = Found { state, since: now, is_published: false };
            let known = self.files.entry(path).or_insert(fresh);
            if known.state != state {
                *known = fresh;
            }
        }
        let is_whole = |path: &PathBuf, known: &Found| {
            let quiet = now.duration_since(known.since);
            let enough = if self.open.contains(path) { settle.max(LONGEST_OPEN) } else { settle };
            known.state.bytes > 0 && quiet >= enough
        };
        let whole = self.files.iter().filter(|(path, known)| !known.is_published && is_whole(path, known));
        whole.map(|(path, _)| path.clone()).collect()
    }

    /// Marks a file as open for writing, or closed.
    fn set_open(&mut self, path: &Path, is_open: bool) {
        if is_open {
            self.open.insert(path.to_owned());
        } else {
            self.open.remove(path);
        }
    }

    fn set_published(&mut self, path: &Path) {
        if let Some(known) = self.files.get_mut(path) {
            known.is_published = true;
        }
    }
}

/// What is made of the files that are found.
#[derive(Clone)]
pub(crate) struct Making {
    /// The rules that files are matched with.
    pub(crate) rules: Vec<Rule>,
    /// What pins uploads to profiles and to the versions of images.
    pub(crate) pinning: Pinning,
    /// Where images are.
    pub(crate) storage: Arc<dyn Storage>,
}

/// Watches folders until the process ends.
pub(crate) async fn folders(log: Arc<dyn Log>, all: Vec<Folder>, making: Making, stores: Stores) {
    let seen = loop {
        match read_table::<Seen>(log.as_ref(), streams::SOURCES).await {
            Ok(seen) => break seen,
            Err(error) => {
                tracing::warn!(%error, "folders are watched once it is known what was seen");
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        }
    };
    let seen: Arc<HashMap<String, String>> =
        Arc::new(seen.into_values().map(|seen| (seen.source, seen.version)).collect());
    for folder in all {
        match within(&folder.path, &stores) {
            Ok(stores) => {
                tracing::info!(folder = %folder.path.display(), "watching");
                tokio::spawn(watch(log.clone(), (folder, stores), making.clone(), seen.clone()));
            }
            Err(error) => tracing::error!(%error, "a folder can't be watched"),
        }
    }
}

/// The stores as a watched folder's files are looked at: nothing else is read, nothing written, and no link below it followed.
fn within(folder: &Path, stores: &Stores) -> Result<Stores, LocationError> {
    let only = Reach::Only(vec![Location::of_path(folder)?]);
    Ok(stores.clone().within(only, Reach::Only(Vec::new())))
}

async fn watch(
    log: Arc<dyn Log>,
    (folder, stores): (Folder, Stores),
    making: Making,
    seen: Arc<HashMap<String, String>>,
) {
    let (sender, mut events) = mpsc::unbounded_channel();
    // Where the system reports no changes, such as on a network share, the folder is only listed periodically.
    let _watcher = notify::recommended_watcher(move |event: Result<notify::Event, notify::Error>| {
        if let Some(event) = event.ok().filter(|event| is_change(&event.kind)) {
            // The receiver ends with the process.
            let _ = sender.send(event);
        }
    })
    .and_then(|mut watcher| watcher.watch(&folder.path, RecursiveMode::Recursive).map(|()| watcher))
    .inspect_err(|error| {
        tracing::warn!(folder = %folder.path.display(), %error, "changes are not reported by the system; the folder is listed periodically");
    });
    let mut settling = Settling::default();
    let mut complained = false;
    loop {
        let (root, all) = (folder.path.clone(), making.rules.clone());
        let found = tokio::task::spawn_blocking(move || {
            let mut found = BTreeMap::new();
            look(&root, &all, &mut found).map(|()| found)
        });
        match found.await {
            Ok(Ok(found)) => {
                complained = false;
                for path in settling.step(found, Instant::now(), folder.settle) {
                    match announce(log.as_ref(), &stores, &making, &path, &seen).await {
                        Ok(()) => settling.set_published(&path),
                        Err(error) => tracing::warn!(path = %path.display(), error, "told of later"),
                    }
                }
            }
            Ok(Err(error)) if !complained => {
                complained = true;
                tracing::warn!(folder = %folder.path.display(), %error, "can't be looked at; it is tried again");
            }
            _ => {}
        }
        // A file that was found now may be whole after `settle`.
        let waits = settling.files.values().any(|known| !known.is_published);
        let pause =
            if waits { folder.poll.min(folder.settle.max(Duration::from_millis(100))) } else { folder.poll };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            event = events.recv() => {
                let mut next = event;
                while let Some(event) = next {
                    track_writer(&mut settling, &event);
                    next = events.try_recv().ok();
                }
                if events.is_closed() {
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }
}

/// Returns `true` if an event may change what is found in a folder. Listing the folder opens and reads it, which is reported, too: if
/// that led to the next listing, there would be no end to them.
fn is_change(kind: &EventKind) -> bool {
    !matches!(kind, EventKind::Access(access) if *access != AccessKind::Close(AccessMode::Write))
}

/// Notes which files are opened for writing, and closed.
fn track_writer(settling: &mut Settling, event: &notify::Event) {
    let is_open = match event.kind {
        EventKind::Modify(_) | EventKind::Create(_) => true,
        EventKind::Access(AccessKind::Close(AccessMode::Write)) | EventKind::Remove(_) => false,
        _ => return,
    };
    // A rename or a change of metadata opens no file.
    if matches!(
        event.kind,
        EventKind::Modify(notify::event::ModifyKind::Name(_) | notify::event::ModifyKind::Metadata(_))
    ) {
        return;
    }
    for path in &event.paths {
        settling.set_open(path, is_open);
    }
}

/// Finds all files below a folder that any rule matches.
fn look(folder: &Path, rules: &[Rule], found: &mut BTreeMap<PathBuf, FileState>) -> io::Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            // A folder that was removed meanwhile has no files.
            let _ = look(&path, rules, found);
            continue;
        }
        // Links are not followed: sources below a root do not follow them either.
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        let Ok(location) = Location::of_path(&path) else { continue };
        if let (true, true, Ok(modified)) =
            (metadata.is_file(), any_matches(rules, &location), metadata.modified())
        {
            found.insert(path, FileState { bytes: metadata.len(), modified });
        }
    }
    Ok(())
}

async fn announce(
    log: &dyn Log,
    stores: &Stores,
    making: &Making,
    path: &Path,
    seen: &HashMap<String, String>,
) -> Result<(), String> {
    let location = Location::of_path(path).map_err(|error| error.to_string())?;
    let url = location.url();
    let source = stores.pin(&url).await.map_err(|error| error.to_string())?;
    if seen.get(&url) == Some(&source.version) {
        return Ok(());
    }
    let mut pinned = Vec::new();
    for upload in uploads(&making.rules, &location, Some(&source)) {
        let upload = making.pinning.pin(making.storage.as_ref(), upload).await;
        pinned.push(upload.map_err(|error| error.to_string())?);
    }
    let uploads = pinned;
    if uploads.is_empty() {
        return Ok(());
    }
    // On a stream that only Millrace writes: on one that anybody may write, records naming local files are refused.
    let arrival = Arrival {
        source: url.clone(),
        version: source.version,
        sequencer: None,
        at_ms: millis_now(),
        uploads,
    };
    let emit = Emit::new(streams::ARRIVALS, &url, &arrival).map_err(|error| error.to_string())?;
    let transaction = Transaction { records: vec![NewRecord::from(emit)], ..Transaction::default() };
    log.commit(transaction).await.map_err(|error: LogError| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_secs(2);

    fn one(bytes: u64) -> BTreeMap<PathBuf, FileState> {
        BTreeMap::from([(PathBuf::from("a.mov"), FileState { bytes, modified: SystemTime::UNIX_EPOCH })])
    }

    #[tokio::test]
    async fn a_watched_folder_is_all_that_its_watcher_reads() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
        let (watched, private) = (root.join("in"), root.join("private.mov"));
        fs::create_dir(&watched).unwrap();
        fs::write(watched.join("a.mov"), "a").unwrap();
        fs::write(&private, "b").unwrap();
        std::os::unix::fs::symlink(&private, watched.join("link.mov")).unwrap();
        let stores = within(&watched, &Stores::default()).unwrap();
        let url = |path: &Path| Location::of_path(path).unwrap().url();
        assert_eq!(stores.pin(&url(&watched.join("a.mov"))).await.unwrap().bytes, 1);
        for outside in [private, watched.join("link.mov")] {
            assert!(stores.pin(&url(&outside)).await.is_err(), "{}", outside.display());
        }
        assert!(stores.check_writable(&url(&watched.join("a.mp4"))).await.is_err(), "nothing is written");
    }

    #[test]
    fn what_listing_a_folder_causes_leads_to_no_listing() {
        for access in
            [AccessKind::Open(AccessMode::Any), AccessKind::Read, AccessKind::Close(AccessMode::Read)]
        {
            assert!(!is_change(&EventKind::Access(access)), "{access:?}");
        }
        assert!(is_change(&EventKind::Access(AccessKind::Close(AccessMode::Write))));
        assert!(is_change(&EventKind::Create(notify::event::CreateKind::File)));
        assert!(is_change(&EventKind::Any), "lost events, after which anything may have changed");
    }

    #[test]
    fn a_file_is_told_of_once_when_it_has_stayed_as_it_is() {
        let (mut files, begin) = (Settling::default(), Instant::now());
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        assert!(files.step(one(5), at(0), SETTLE).is_empty());
        assert!(files.step(one(9), at(2), SETTLE).is_empty(), "it grew");
        assert_eq!(files.step(one(9), at(4), SETTLE).len(), 1);
        files.set_published(Path::new("a.mov"));
        assert!(files.step(one(9), at(9), SETTLE).is_empty());
        assert!(files.step(one(7), at(10), SETTLE).is_empty(), "another version settles anew");
        assert_eq!(files.step(one(7), at(12), SETTLE).len(), 1);
    }

    #[test]
    fn a_file_that_is_being_written_waits_for_its_writer_and_an_empty_one_for_its_first_byte() {
        let (mut files, begin) = (Settling::default(), Instant::now());
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        files.step(one(5), at(0), SETTLE);
        files.set_open(Path::new("a.mov"), true);
        assert!(files.step(one(5), at(10), SETTLE).is_empty());
        files.set_open(Path::new("a.mov"), false);
        assert_eq!(files.step(one(5), at(10), SETTLE).len(), 1);
        files.set_open(Path::new("a.mov"), true);
        assert_eq!(files.step(one(5), at(70), SETTLE).len(), 1, "its writer died");
        assert!(files.step(one(0), at(80), SETTLE).is_empty());
        assert!(files.step(one(0), at(90), SETTLE).is_empty());
        assert!(files.step(BTreeMap::new(), at(91), SETTLE).is_empty() && files.files.is_empty());
    }
}
