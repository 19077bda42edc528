//! The conformance suite of backends: what each store must do, with one line of `conforms!` for each.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};

use millrace_schemas::{
    SourceRef,
    range_protocol::{RangeRequest, decode_reply_length},
};
use millrace_servers::{Azurite, Store};
use millrace_storage::{
    Location, OpenSource, Package, PackagePart, Scheme, StorageError, Stores, WorkStore, object_url,
};

/// One S3 store for all tests of this program, which ends with it.
static S3: LazyLock<Store> = LazyLock::new(|| {
    let store = Store::start().unwrap();
    store.bucket("videos").unwrap();
    store
});

/// One Azure store, likewise.
static AZURE: LazyLock<Azurite> = LazyLock::new(|| {
    let store = Azurite::start().unwrap();
    store.container("videos").unwrap();
    store
});

const PLACE: &str = "0123456789abcdef-1";
/// The work prefix of another execution.
const OTHER: &str = "fedcba9876543210-1";
const RENDITION: &str = "v-0123456789abcdef";

/// A folder or prefix in one kind of store, for one test.
struct Place {
    stores: Stores,
    root: String,
    _folder: Option<tempfile::TempDir>,
}

fn number() -> u32 {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

impl Place {
    fn files() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = format!("file://{}", folder.path().display());
        Self { stores: Stores::default(), root, _folder: Some(folder) }
    }

    fn memory() -> Self {
        Self {
            stores: Stores::default().with_memory(),
            root: format!("memory://b{}/p", number()),
            _folder: None,
        }
    }

    fn s3() -> Self {
        let stores = Stores::with_variables(S3.variables());
        Self { stores, root: format!("s3://videos/p{}", number()), _folder: None }
    }

    fn azure() -> Self {
        let stores = Stores::with_variables(AZURE.variables());
        Self { stores, root: format!("az://videos/p{}", number()), _folder: None }
    }

    /// Returns the URL of a name, whatever characters it has.
    fn url(&self, name: &str) -> String {
        match Location::parse(&self.root).unwrap() {
            Location::File { path, .. } => millrace_storage::url_of(&path.join(name)).unwrap(),
            Location::Object { scheme, bucket, key, .. } => {
                object_url(scheme, &bucket, &format!("{key}/{name}"))
            }
            Location::Web(_) => panic!("{} is only read", self.root),
        }
    }

    fn work(&self) -> WorkStore {
        WorkStore::at(&format!("{}/work", self.root), &self.stores).unwrap()
    }

    /// Writes bytes to a name, as an output, and returns its URL.
    async fn put(&self, name: &str, bytes: &[u8]) -> String {
        let url = self.url(name);
        let marker = self.work().marker(PLACE, 1);
        let draft = self.stores.begin_output(&url, marker).await.unwrap();
        draft.descriptor().unwrap().write_all(bytes).unwrap();
        draft.stage().await.unwrap().publish().await.unwrap();
        url
    }

    async fn bytes(&self, source: &SourceRef) -> Result<Vec<u8>, StorageError> {
        match self.stores.open(source).await? {
            OpenSource::File(mut file) => {
                let mut found = Vec::new();
                file.read_to_end(&mut found).unwrap();
                Ok(found)
            }
            OpenSource::Object(object) => {
                let (mut reader, mut found) = (object.reader(), Vec::new());
                loop {
                    let bytes = reader.read(found.len() as u64, 1 << 20).await?;
                    if bytes.is_empty() {
                        return Ok(found);
                    }
                    found.extend_from_slice(&bytes);
                }
            }
        }
    }

    async fn draft(&self, index: i32, bytes: &[u8]) -> bool {
        let draft = self.work().begin_object(PLACE, RENDITION, index).unwrap();
        draft.descriptor().unwrap().write_all(bytes).unwrap();
        draft.publish_new().await.unwrap()
    }

    async fn object(&self, index: i32) -> Vec<u8> {
        let (mut read, write) = std::io::pipe().unwrap();
        let write = File::from(std::os::fd::OwnedFd::from(write));
        let all = tokio::task::spawn_blocking(move || {
            let mut found = Vec::new();
            read.read_to_end(&mut found).unwrap();
            found
        });
        self.work().stream(PLACE, RENDITION, index, &write).await.unwrap();
        drop(write);
        all.await.unwrap()
    }
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

async fn a_source_is_read_as_it_was_put_in_any_order(place: Place) {
    let bytes = noise(20_000_000);
    let url = place.put("a.mov", &bytes).await;
    let source = place.stores.pin(&url).await.unwrap();
    assert_eq!(source.bytes, 20_000_000);
    assert!(place.bytes(&source).await.unwrap() == bytes);
    if let OpenSource::Object(object) = place.stores.open(&source).await.unwrap() {
        let mut reader = object.reader();
        for at in [19_999_999, 0, 7_000_000, 7_100_000, 12, 19_000_000, 5_000_000] {
            let found = reader.read(at, 100_000).await.unwrap();
            let at = usize::try_from(at).unwrap();
            assert!(!found.is_empty() && found[..] == bytes[at..at + found.len()], "at {at}");
        }
        assert!(reader.read(20_000_000, 5).await.unwrap().is_empty());
    }
}

/// Reads a range from a media process's descriptor, as the process does.
fn read_descriptor(mut descriptor: &File, offset: u64, length: u32) -> Option<Vec<u8>> {
    if descriptor.metadata().unwrap().is_file() {
        let mut bytes = Vec::new();
        descriptor.seek(SeekFrom::Start(offset)).unwrap();
        descriptor.take(length.into()).read_to_end(&mut bytes).unwrap();
        return Some(bytes);
    }
    descriptor.write_all(&RangeRequest::Read { offset, length }.encode()).unwrap();
    read_reply(descriptor)
}

fn read_reply(mut descriptor: &File) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    descriptor.read_exact(&mut length).unwrap();
    let mut bytes = vec![0; decode_reply_length(length)? as usize];
    descriptor.read_exact(&mut bytes).unwrap();
    Some(bytes)
}

async fn a_media_process_reads_a_source_through_one_descriptor(place: Place) {
    let bytes = noise(3_000_000);
    let url = place.put("a.mov", &bytes).await;
    let opened = place.stores.open(&place.stores.pin(&url).await.unwrap()).await.unwrap();
    let is_object = matches!(opened, OpenSource::Object(_));
    let (descriptor, server) = opened.descriptor().unwrap();
    let read = tokio::task::spawn_blocking(move || {
        let descriptor = File::from(descriptor);
        if is_object {
            (&descriptor).write_all(&RangeRequest::Size.encode()).unwrap();
            assert_eq!(read_reply(&descriptor), Some(3_000_000_u64.to_le_bytes().to_vec()));
        }
        for offset in [0, 2_999_990, 1_500_000] {
            let found = read_descriptor(&descriptor, offset as u64, 1000).unwrap();
            assert!(!found.is_empty() && found[..] == bytes[offset..offset + found.len()], "at {offset}");
        }
        assert_eq!(read_descriptor(&descriptor, 3_000_000, 1000), Some(Vec::new()), "the end");
        descriptor
    });
    let descriptor = read.await.unwrap();
    assert!(server.take_error().is_none());
    if is_object {
        place.put("a.mov", &vec![0; 9_000_000]).await;
        let read = tokio::task::spawn_blocking(move || read_descriptor(&descriptor, 700_000, 1000));
        let found = read.await.unwrap();
        assert_eq!(found, None, "bytes of another version");
        assert!(matches!(server.take_error(), Some(StorageError::Changed { .. })));
    }
}

async fn names_of_all_kinds_are_kept(place: Place) {
    let long = format!("{}.mov", "n".repeat(200));
    for name in
        ["a b+c.mov", "50%2F50.mov", "a..b.mov", "映像 #1?.mov", "x&y;z=\"q\".mov", "deep/er/é.mov", &long]
    {
        let url = place.put(name, name.as_bytes()).await;
        let source = place.stores.pin(&url).await.unwrap();
        assert_eq!(place.bytes(&source).await.unwrap(), name.as_bytes(), "{name}");
    }
}

async fn a_source_that_is_missing_empty_or_another_by_now_is_refused(place: Place) {
    let missing = place.stores.pin(&place.url("none.mov")).await.unwrap_err();
    assert!(!missing.is_transient() && missing.to_string().contains("none.mov"), "{missing}");
    let empty = place.put("empty.mov", b"").await;
    assert!(matches!(place.stores.pin(&empty).await, Err(StorageError::Empty { .. })));
    let url = place.put("a.mov", b"one").await;
    let source = place.stores.pin(&url).await.unwrap();
    place.stores.check_unchanged(&source).await.unwrap();
    place.put("a.mov", b"another").await;
    assert!(matches!(place.stores.check_unchanged(&source).await, Err(StorageError::Changed { .. })));
    assert!(matches!(place.bytes(&source).await, Err(StorageError::Changed { .. })), "no byte of another");
}

async fn the_first_put_of_a_work_object_wins_large_or_small(place: Place) {
    for (index, length) in [(0, 100), (1, 9 << 20), (2, 0)] {
        let first = noise(length);
        assert!(place.draft(index, &first).await, "{length}");
        assert!(!place.draft(index, &noise(length + 1)).await, "{length}");
        assert!(place.object(index).await == first, "{length}");
        let tail = place.work().tail(PLACE, RENDITION, index).await.unwrap().unwrap();
        assert_eq!(tail.size, length as u64);
        let mut last = [0; 10];
        if length >= 10 {
            tail.read_exact_at(&mut last, length as u64 - 10).unwrap();
            assert_eq!(last[..], first[length - 10..]);
        }
    }
    assert!(place.work().tail(PLACE, RENDITION, 9).await.unwrap().is_none());
    let works = place.work().list_prefixes().await.unwrap();
    assert_eq!(works.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), [PLACE]);
}

async fn cleanup_takes_what_millrace_made_and_nothing_else(place: Place) {
    place.draft(0, b"made").await;
    let mut foreign = Vec::new();
    for name in [
        "work/notes.txt",
        "work/holiday/1",
        &format!("work/{PLACE}/notes.txt"),
        &format!("work/{PLACE}/v-x/7"),
    ] {
        foreign.push(place.put(name, b"mine").await);
    }
    assert!(place.work().remove(PLACE).await.unwrap());
    assert!(place.work().tail(PLACE, RENDITION, 0).await.unwrap().is_none());
    assert!(!place.work().remove(PLACE).await.unwrap(), "nothing of ours is left");
    assert!(!place.work().remove("holiday").await.unwrap(), "no place of ours");
    for url in foreign {
        assert_eq!(place.stores.size(&url).await.unwrap(), Some(4), "{url}");
    }
}

async fn a_damaged_work_object_is_removed_and_made_again(place: Place) {
    assert!(place.draft(0, b"damaged").await);
    place.work().discard(PLACE, RENDITION, 0).await;
    assert!(place.work().tail(PLACE, RENDITION, 0).await.unwrap().is_none());
    place.work().discard(PLACE, RENDITION, 0).await;
    let (_read, write) = std::io::pipe().unwrap();
    let write = File::from(std::os::fd::OwnedFd::from(write));
    let missing = place.work().stream(PLACE, RENDITION, 0, &write).await.unwrap_err();
    assert!(!missing.is_transient() && missing.to_string().contains(RENDITION), "{missing}");
    assert!(place.draft(0, b"made again").await);
    assert_eq!(place.object(0).await, b"made again");
}

/// A worker that reads the end of its execution late begins work objects after cleanup.
async fn work_that_is_dropped_leaves_nothing(place: Place) {
    let draft = |index| place.work().begin_object(PLACE, RENDITION, index).unwrap();
    drop((draft(0), draft(1)));
    assert!(!place.work().remove(PLACE).await.unwrap());
    assert!(place.work().list_prefixes().await.unwrap().is_empty());
    let (made, left) = (draft(0), draft(1));
    made.publish_new().await.unwrap();
    drop(left);
    assert!(place.work().tail(PLACE, RENDITION, 0).await.unwrap().is_some(), "what is there stays");
}

async fn an_output_appears_whole_or_not_at_all(place: Place) {
    let url = place.url("out/a b.mp4");
    let marker = || place.work().marker(PLACE, 1);
    place.stores.check_writable(&url).await.unwrap();
    let draft = place.stores.begin_output(&url, marker()).await.unwrap();
    draft.descriptor().unwrap().write_all(b"half").unwrap();
    assert_eq!(place.stores.size(&url).await.unwrap(), None);
    drop(draft);
    assert_eq!(place.stores.size(&url).await.unwrap(), None);
    for length in [20 << 20, 3_usize] {
        let bytes = noise(length);
        place.put("out/a b.mp4", &bytes).await;
        let source = place.stores.pin(&url).await.unwrap();
        assert!(place.bytes(&source).await.unwrap() == bytes, "it replaces what was there");
    }
    place.work().remove(PLACE).await.unwrap();
    assert!(place.work().list_prefixes().await.unwrap().is_empty(), "no marker is left");
    assert_eq!(place.stores.size(&url).await.unwrap(), Some(3), "what was published stays");
}

/// Stages an output, and forgets it, as a process that dies does; returns its URL and token.
async fn stage(place: &Place, name: &str, attempt: i32, bytes: &[u8]) -> (String, String) {
    let url = place.url(name);
    let marker = place.work().marker(PLACE, attempt);
    let draft = place.stores.begin_output(&url, marker).await.unwrap();
    draft.descriptor().unwrap().write_all(bytes).unwrap();
    let token = draft.stage().await.unwrap().token().to_owned();
    (url, token)
}

async fn what_one_process_staged_is_published_by_another_once(place: Place) {
    place.put("out/a.mp4", b"what was there before").await;
    for length in [20 << 20, 3_usize] {
        let bytes = noise(length);
        let (url, token) = stage(&place, "out/a.mp4", 1, &bytes).await;
        assert!(place.stores.size(&url).await.unwrap() != Some(length as u64), "nobody sees it yet");
        let staged = async || place.work().staged(PLACE, &token, &url).await.unwrap();
        assert!(!staged().await.is_published().await.unwrap());
        // Two processes that were given the same task, since one seemed to have ended.
        let (one, other) = (staged().await, staged().await);
        one.publish().await.unwrap();
        let source = place.stores.pin(&url).await.unwrap();
        assert!(place.bytes(&source).await.unwrap() == bytes);
        assert!(other.is_published().await.unwrap());
        other.publish().await.unwrap();
        staged().await.publish().await.unwrap();
        place.stores.check_unchanged(&source).await.unwrap();
        let elsewhere = place.work().staged(PLACE, &token, &place.url("out/b.mp4")).await.unwrap_err();
        assert!(matches!(elsewhere, StorageError::Unstaged { .. }), "{elsewhere}");
    }
}

async fn what_is_withdrawn_is_gone_whether_it_was_published_or_not(place: Place) {
    for is_published in [true, false] {
        let (url, token) = stage(&place, "out/a.mp4", 1, &noise(3)).await;
        let staged = async || place.work().staged(PLACE, &token, &url).await.unwrap();
        if is_published {
            staged().await.publish().await.unwrap();
        }
        let slow = staged().await;
        staged().await.withdraw().await.unwrap();
        assert_eq!(place.stores.size(&url).await.unwrap(), None, "{is_published}");
        // A worker that was suspended meanwhile, and is resumed.
        if !is_published && !url.starts_with("az:") {
            assert!(!slow.publish().await.unwrap_err().is_transient());
            assert_eq!(place.stores.size(&url).await.unwrap(), None);
        }
        staged().await.withdraw().await.unwrap();
    }
    // What another execution published there later.
    let (url, token) = stage(&place, "out/b.mp4", 1, &noise(3)).await;
    place.work().staged(PLACE, &token, &url).await.unwrap().publish().await.unwrap();
    let draft = place.stores.begin_output(&url, place.work().marker(OTHER, 1)).await.unwrap();
    draft.descriptor().unwrap().write_all(b"another's").unwrap();
    draft.stage().await.unwrap().publish().await.unwrap();
    place.work().staged(PLACE, &token, &url).await.unwrap().withdraw().await.unwrap();
    assert_eq!(place.stores.size(&url).await.unwrap(), Some(9), "it stays");
}

async fn what_is_staged_goes_with_its_attempt(place: Place) {
    let (url, first) = stage(&place, "out/a.mp4", 1, &noise(9 << 20)).await;
    let (_, second) = stage(&place, "out/a.mp4", 2, &noise(3)).await;
    assert!(place.work().remove_staged(PLACE, 1).await.unwrap());
    let first = place.work().staged(PLACE, &first, &url).await.unwrap();
    if !url.starts_with("az:") {
        assert!(first.publish().await.is_err());
    }
    assert_eq!(place.stores.size(&url).await.unwrap(), None);
    place.work().staged(PLACE, &second, &url).await.unwrap().publish().await.unwrap();
    assert_eq!(place.stores.size(&url).await.unwrap(), Some(3), "the next attempt was at work there already");
    let (unpublished, token) = stage(&place, "out/b.mp4", 2, &noise(3)).await;
    assert!(place.work().remove(PLACE).await.unwrap());
    let gone = place.work().staged(PLACE, &token, &unpublished).await.unwrap_err();
    assert!(matches!(gone, StorageError::Unstaged { .. }) && !gone.is_transient(), "{gone}");
    assert_eq!(place.stores.open_uploads(&unpublished).await.unwrap(), 0);
    if let Ok(path) = millrace_storage::path_of(&unpublished) {
        let names: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().flatten().collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }
}

/// Stages a package of two manifests and two segments, and forgets it; returns its URL and token.
async fn stage_package(place: &Place, folder: &str, attempt: i32) -> (String, String) {
    let url = place.url("out/v/master.m3u8");
    let draft = place.stores.begin_output(&url, place.work().marker(PLACE, attempt)).await.unwrap();
    let (large, mut bytes, mut parts) = (noise(9 << 20), Vec::new(), Vec::new());
    for (name, content) in [
        (format!("{folder}/v/1.m4s"), large.as_slice()),
        (format!("{folder}/v/2.m4s"), b"two"),
        ("manifest.mpd".to_owned(), format!("names {folder}").as_bytes()),
        ("master.m3u8".to_owned(), format!("{folder} is named").as_bytes()),
    ] {
        parts.push(PackagePart { name, offset: bytes.len() as u64, bytes: content.len() as u64 });
        bytes.extend_from_slice(content);
    }
    draft.descriptor().unwrap().write_all(&bytes).unwrap();
    let package = Package { folder: folder.into(), parts };
    let token = draft.stage_package(&package).await.unwrap().token().to_owned();
    (url, token)
}

/// Returns the sizes of what is there of a package.
async fn sizes(place: &Place, names: &[&str]) -> Vec<Option<u64>> {
    let mut found = Vec::new();
    for name in names {
        found.push(place.stores.size(&place.url(&format!("out/v/{name}"))).await.unwrap());
    }
    found
}

/// Returns how many files are below the folder of the package; 0 where they can't be counted so.
fn files_left(place: &Place) -> usize {
    fn count(folder: &std::path::Path) -> usize {
        let all = std::fs::read_dir(folder).into_iter().flatten().flatten();
        all.map(|entry| if entry.path().is_dir() { 1 + count(&entry.path()) } else { 1 }).sum()
    }
    millrace_storage::path_of(&place.url("out")).map_or(0, |path| count(&path))
}

async fn a_package_is_visible_whole_or_not_at_all(place: Place) {
    let (url, token) = stage_package(&place, "0123abcd", 1).await;
    assert_eq!(sizes(&place, &["master.m3u8", "manifest.mpd"]).await, [None, None], "nobody sees it yet");
    assert_eq!(place.stores.package_size(&url).await.unwrap(), None);
    let staged = async || place.work().staged(PLACE, &token, &url).await.unwrap();
    staged().await.publish().await.unwrap();
    staged().await.publish().await.unwrap();
    let names = ["master.m3u8", "manifest.mpd", "0123abcd/v/1.m4s", "0123abcd/v/2.m4s"];
    assert_eq!(sizes(&place, &names).await, [Some(17), Some(14), Some(9 << 20), Some(3)]);
    assert_eq!(place.stores.package_size(&url).await.unwrap(), Some((9 << 20) + 3 + 14 + 17));
    // A later version of the source: another folder, and the first one goes once nothing names it.
    let (_, token) = stage_package(&place, "89abcdef", 2).await;
    assert_eq!(sizes(&place, &names).await[2..], [Some(9 << 20), Some(3)], "what is read is not touched");
    let end = || async { place.stores.end_of_output(&url, 100).await.unwrap().unwrap() };
    assert_eq!(end().await, b"0123abcd is named");
    place.work().staged(PLACE, &token, &url).await.unwrap().publish().await.unwrap();
    assert_eq!(end().await, b"89abcdef is named");
    assert_eq!(sizes(&place, &names).await, [Some(17), Some(14), None, None]);
    // One that lost an object is no longer there.
    place
        .stores
        .begin_output(&place.url("out/v/89abcdef/v/2.m4s"), place.work().marker(PLACE, 3))
        .await
        .unwrap();
    assert!(place.stores.package_size(&url).await.unwrap().is_some());
    place.put("out/v/89abcdef/v/2.m4s", b"damaged").await;
    assert_eq!(place.stores.package_size(&url).await.unwrap(), None);
}

async fn a_package_that_is_withdrawn_or_abandoned_leaves_nothing(place: Place) {
    for is_published in [true, false] {
        let (url, token) = stage_package(&place, "0123abcd", 1).await;
        let staged = async || place.work().staged(PLACE, &token, &url).await.unwrap();
        if is_published {
            staged().await.publish().await.unwrap();
        }
        staged().await.withdraw().await.unwrap();
        let names = ["master.m3u8", "manifest.mpd", "0123abcd/v/1.m4s", "0123abcd/package.json"];
        assert_eq!(sizes(&place, &names).await, [None; 4], "{is_published}");
        assert_eq!(files_left(&place), 0, "{is_published}");
        place.work().remove(PLACE).await.unwrap();
    }
    let (url, token) = stage_package(&place, "0123abcd", 1).await;
    let (_, second) = stage_package(&place, "89abcdef", 2).await;
    assert!(place.work().remove_staged(PLACE, 1).await.unwrap());
    assert_eq!(sizes(&place, &["0123abcd/v/2.m4s", "89abcdef/v/2.m4s"]).await, [None, Some(3)]);
    drop(token);
    place.work().staged(PLACE, &second, &url).await.unwrap().publish().await.unwrap();
    place.work().remove(PLACE).await.unwrap();
    assert_eq!(sizes(&place, &["master.m3u8", "89abcdef/v/2.m4s"]).await, [Some(17), Some(3)], "it stays");
}

async fn a_staged_package_outlives_the_publication_of_another(place: Place) {
    let (url, first) = stage_package(&place, "0123abcd", 1).await;
    let (_, second) = stage_package(&place, "89abcdef", 1).await;
    let names = ["master.m3u8", "0123abcd/v/2.m4s", "89abcdef/v/2.m4s"];
    let staged = async |token: &str| place.work().staged(PLACE, token, &url).await.unwrap();
    staged(&first).await.publish().await.unwrap();
    assert_eq!(sizes(&place, &names).await, [Some(17), Some(3), Some(3)], "the other is not left over");
    staged(&second).await.publish().await.unwrap();
    assert_eq!(sizes(&place, &names).await, [Some(17), None, Some(3)]);
    assert_eq!(place.stores.package_size(&url).await.unwrap(), Some((9 << 20) + 3 + 14 + 17));
    // A third that is not published goes without what is visible.
    stage_package(&place, "76543210", 1).await;
    place.work().remove(PLACE).await.unwrap();
    assert_eq!(sizes(&place, &names).await, [Some(17), None, Some(3)]);
    assert_eq!(sizes(&place, &["76543210/v/2.m4s", "76543210/package.json"]).await, [None; 2]);
}

macro_rules! conforms {
    ($name:ident, $place:expr) => {
        conforms! { @ $name, $place,
            a_source_is_read_as_it_was_put_in_any_order
            a_media_process_reads_a_source_through_one_descriptor
            names_of_all_kinds_are_kept
            a_source_that_is_missing_empty_or_another_by_now_is_refused
            the_first_put_of_a_work_object_wins_large_or_small
            cleanup_takes_what_millrace_made_and_nothing_else
            a_damaged_work_object_is_removed_and_made_again
            work_that_is_dropped_leaves_nothing
            an_output_appears_whole_or_not_at_all
            what_one_process_staged_is_published_by_another_once
            what_is_withdrawn_is_gone_whether_it_was_published_or_not
            what_is_staged_goes_with_its_attempt
            a_package_is_visible_whole_or_not_at_all
            a_package_that_is_withdrawn_or_abandoned_leaves_nothing
            a_staged_package_outlives_the_publication_of_another
        }
    };
    (@ $name:ident, $place:expr, $($fact:ident)+) => {
        mod $name {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $fact() {
                super::$fact($place).await;
            })+
        }
    };
}

conforms!(files, Place::files());
conforms!(memory, Place::memory());
conforms!(s3, Place::s3());
conforms!(azure, Place::azure());

/// A killed process leaves an open upload, and its marker.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_a_killed_process_left_open_is_ended_with_its_work_and_no_other_is() {
    let place = Place::s3();
    let url = place.url("out/a.mp4");
    let bystander = place.url("out/b.mp4");
    let open = async |url: &str, marker| {
        let draft = place.stores.begin_output(url, marker).await.unwrap();
        draft.descriptor().unwrap().write_all(&noise(30 << 20)).unwrap();
        // Dropped while parts are being uploaded, as a process that dies drops it.
        let publishing = draft.stage();
        tokio::pin!(publishing);
        while place.stores.open_uploads(url).await.unwrap() == 0 {
            let step = std::time::Duration::from_millis(1);
            assert!(
                tokio::time::timeout(step, &mut publishing).await.is_err(),
                "it was over before it was seen"
            );
        }
    };
    open(&url, place.work().marker(PLACE, 1)).await;
    open(&bystander, place.work().marker("fedcba9876543210-1", 1)).await;
    assert!(place.work().remove(PLACE).await.unwrap());
    assert_eq!(place.stores.open_uploads(&url).await.unwrap(), 0);
    assert_eq!(place.stores.open_uploads(&bystander).await.unwrap(), 1);
    assert!(place.work().remove("fedcba9876543210-1").await.unwrap());
    assert_eq!(place.stores.open_uploads(&bystander).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_a_store_do_not_hold_its_secrets() {
    LazyLock::force(&S3);
    let stores_with = |change: (&'static str, String)| {
        let mut all = S3.variables().to_vec();
        all.retain(|(name, _)| *name != change.0);
        all.push(change);
        Stores::with_variables(all)
    };
    let secret = "s3cr3t-that-is-in-no-text".to_owned();
    let wrong = stores_with(("AWS_SECRET_ACCESS_KEY", secret.clone()));
    let denied = WorkStore::at("s3://videos/work", &wrong).unwrap().check().await.unwrap_err();
    assert!(!denied.is_transient() && denied.to_string().contains("access denied"), "{denied}");
    assert!(!format!("{denied:?}").contains(&secret), "{denied:?}");
    let stores = Stores::with_variables(S3.variables());
    let absent = WorkStore::at("s3://no-such-bucket/work", &stores).unwrap().check().await.unwrap_err();
    assert!(absent.to_string().contains("there is no such bucket"), "{absent}");
    let writable = stores.check_writable("s3://no-such-bucket/out/a.mp4").await.unwrap_err();
    assert!(writable.to_string().contains("there is no such bucket"), "{writable}");
    assert_eq!(Scheme::named("http"), None);
}
