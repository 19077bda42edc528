//! What may be reached: each test tries to cross a border, and shows by a control that without the border it would.
#![allow(clippy::unwrap_used, missing_docs)]

mod output;

use std::{
    ffi::OsStr,
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::{ffi::OsStrExt as _, fs::symlink, net::UnixListener},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use millrace_access::{Purpose, Reach, Refusal};
use millrace_schemas::SourceRef;
use millrace_servers::Store;
use millrace_storage::{Location, OpenSource, StorageError, Stores, WorkStore, url_of};
use output::{Output, PLACE};
use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};

const RENDITION: &str = "v-0123456789abcdef";
/// How long anything here may take: what hangs on a FIFO hangs for good.
const SOON: Duration = Duration::from_secs(20);

/// A folder of sources, one of outputs, one that is neither, and the data folder.
struct Ground {
    folder: tempfile::TempDir,
    stores: Stores,
}

impl Ground {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["in", "out", "private", "data/work"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let at = |name: &str| Location::of_path(&folder.path().join(name)).unwrap();
        let only = |name: &str| Reach::Only(vec![at(name)]);
        let stores = Stores::default().within(only("in"), only("out")).reserving([at("data")]);
        Self { stores, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn url(&self, name: &str) -> String {
        url_of(&self.path(name)).unwrap()
    }

    fn put(&self, name: &str) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"bytes").unwrap();
        self.url(name)
    }

    fn work(&self) -> WorkStore {
        WorkStore::in_folder(self.path("data/work"), &self.stores)
    }

    async fn draft(&self, name: &str) -> Result<Output, StorageError> {
        draft(&self.stores, &self.url(name)).await
    }

    /// The names in a folder.
    fn names(&self, name: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(name)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

async fn draft(stores: &Stores, url: &str) -> Result<Output, StorageError> {
    let draft = Output::of(stores, url).await?;
    draft.write(b"made");
    Ok(draft)
}

async fn write(stores: &Stores, url: &str) -> Result<(), StorageError> {
    draft(stores, url).await?.publish().await
}

async fn read(stores: &Stores, url: &str) -> Result<Vec<u8>, StorageError> {
    let OpenSource::File(mut file) = stores.open(&stores.pin(url).await?).await? else { panic!("{url}") };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    Ok(bytes)
}

fn is_outside(error: &StorageError, of: Purpose) -> bool {
    matches!(error, StorageError::Refused(refusal)
        if matches!(&**refusal, Refusal::Outside { purpose, .. } if *purpose == of))
}

fn is_link(error: &StorageError) -> bool {
    matches!(error, StorageError::Link { .. })
}

fn is_reserved(error: &StorageError) -> bool {
    matches!(error, StorageError::Refused(refusal) if matches!(&**refusal, Refusal::Reserved { .. }))
}

#[tokio::test]
async fn only_what_lies_beneath_a_root_is_read_or_written() {
    let ground = Ground::new();
    let (inside, outside) = (ground.put("in/deep/a.mov"), ground.put("private/a.mov"));
    assert_eq!(read(&ground.stores, &inside).await.unwrap(), b"bytes");
    write(&ground.stores, &ground.url("out/deep/er/a.mp4")).await.unwrap();
    assert_eq!(fs::read(ground.path("out/deep/er/a.mp4")).unwrap(), b"made");
    let source = SourceRef { url: outside.clone(), version: "v".into(), bytes: 5 };
    for refused in [
        ground.stores.pin(&outside).await.unwrap_err(),
        ground.stores.open(&source).await.unwrap_err(),
        ground.stores.check_unchanged(&source).await.unwrap_err(),
        ground.stores.pin(&ground.put("inner/a.mov")).await.unwrap_err(),
        ground.stores.pin(&ground.url("out/deep/er/a.mp4")).await.unwrap_err(),
    ] {
        assert!(is_outside(&refused, Purpose::Source) && !refused.is_transient(), "{refused}");
        assert!(refused.to_string().contains("--source-root"), "{refused}");
    }
    for refused in [
        ground.stores.check_writable(&outside).await.unwrap_err(),
        ground.draft("private/b/c.mp4").await.unwrap_err(),
        ground.draft("in/a.mp4").await.unwrap_err(),
        ground.stores.size(&outside).await.unwrap_err(),
        ground.stores.open_output(&outside).await.unwrap_err(),
    ] {
        assert!(is_outside(&refused, Purpose::Output) && !refused.is_transient(), "{refused}");
        assert!(refused.to_string().contains("--output-root"), "{refused}");
    }
    assert_eq!(ground.names("private"), ["a.mov"]);
    // The control: who may reach everything does.
    assert_eq!(read(&Stores::default(), &outside).await.unwrap(), b"bytes");
    write(&Stores::default(), &ground.url("private/b/c.mp4")).await.unwrap();
}

#[tokio::test]
async fn no_text_of_a_url_leads_out_of_a_root() {
    let ground = Ground::new();
    ground.put("private/a.mov");
    let root = ground.url("in");
    for way in
        ["../private/a.mov", "%2e%2e/private/a.mov", "..%2Fprivate%2Fa.mov", "x/../../private/a.mov", ".."]
    {
        let refused = ground.stores.pin(&format!("{root}/{way}")).await.unwrap_err();
        assert!(matches!(refused, StorageError::Url { .. }), "{refused}");
    }
}

#[tokio::test]
async fn a_link_below_a_root_is_not_followed_to_a_source_and_the_roots_own_name_may_be_one() {
    let ground = Ground::new();
    ground.put("private/a.mov");
    ground.put("in/a.mov");
    symlink(ground.path("private"), ground.path("in/folder")).unwrap();
    symlink(ground.path("private/a.mov"), ground.path("in/file.mov")).unwrap();
    symlink("a.mov", ground.path("in/beside.mov")).unwrap();
    symlink("/proc/self/exe", ground.path("in/magic.mov")).unwrap();
    for name in ["in/folder/a.mov", "in/file.mov", "in/beside.mov", "in/magic.mov"] {
        let refused = ground.stores.pin(&ground.url(name)).await.unwrap_err();
        assert!(is_link(&refused) && refused.to_string().contains("links are not followed"), "{refused}");
        read(&Stores::default(), &ground.url(name)).await.unwrap();
    }
    symlink(ground.path("in"), ground.path("named")).unwrap();
    let named = Reach::Only(vec![Location::of_path(&ground.path("named")).unwrap()]);
    let stores = Stores::default().within(named, Reach::Only(Vec::new()));
    assert_eq!(read(&stores, &ground.url("named/a.mov")).await.unwrap(), b"bytes");
}

#[tokio::test]
async fn a_source_that_becomes_a_link_between_two_looks_is_not_followed() {
    let ground = Ground::new();
    let url = ground.put("in/a.mov");
    let source = ground.stores.pin(&url).await.unwrap();
    fs::rename(ground.path("in/a.mov"), ground.path("private/a.mov")).unwrap();
    symlink(ground.path("private/a.mov"), ground.path("in/a.mov")).unwrap();
    assert!(is_link(&ground.stores.open(&source).await.unwrap_err()));
    assert!(is_link(&ground.stores.check_unchanged(&source).await.unwrap_err()));
    // The same bytes at the same time: but for the link it is the source that was accepted.
    Stores::default().open(&source).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fifo_in_a_sources_place_is_refused_at_once() {
    let ground = Ground::new();
    let url = ground.put("in/a.mov");
    let source = ground.stores.pin(&url).await.unwrap();
    fs::remove_file(ground.path("in/a.mov")).unwrap();
    mknodat(CWD, ground.path("in/a.mov"), FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
    for stores in [ground.stores.clone(), Stores::default()] {
        let all = async {
            [
                stores.open(&source).await.map(drop),
                stores.pin(&url).await.map(drop),
                stores.check_unchanged(&source).await,
            ]
        };
        for refused in tokio::time::timeout(SOON, all).await.expect("it hangs on a FIFO") {
            assert!(matches!(refused, Err(StorageError::NotAFile { .. })), "{refused:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_devices_and_folders_are_no_sources() {
    let ground = Ground::new();
    let _socket = UnixListener::bind(ground.path("in/socket.mov")).unwrap();
    fs::create_dir(ground.path("in/folder.mov")).unwrap();
    for (stores, url) in [
        (&ground.stores, ground.url("in/socket.mov")),
        (&ground.stores, ground.url("in/folder.mov")),
        (&Stores::default(), ground.url("in/socket.mov")),
        (&Stores::default(), "file:///dev/zero".to_owned()),
        (&Stores::default(), "file:///dev/tty".to_owned()),
    ] {
        let source = SourceRef { url: url.clone(), version: "v".into(), bytes: 1 };
        assert!(matches!(stores.pin(&url).await, Err(StorageError::NotAFile { .. })), "{url}");
        assert!(stores.open(&source).await.is_err(), "{url}");
    }
}

#[tokio::test]
async fn an_output_is_not_written_through_a_link_in_its_folders_place() {
    let ground = Ground::new();
    symlink(ground.path("private"), ground.path("out/films")).unwrap();
    symlink(ground.path("private/new"), ground.path("out/dangling")).unwrap();
    for name in ["out/films/a.mp4", "out/films/deep/a.mp4", "out/dangling/a.mp4"] {
        let refused = ground.draft(name).await.unwrap_err();
        assert!(is_link(&refused), "{refused}");
        assert!(is_link(&ground.stores.check_writable(&ground.url(name)).await.unwrap_err()));
    }
    assert_eq!(ground.names("private"), [""; 0]);
    write(&Stores::default(), &ground.url("out/films/a.mp4")).await.unwrap();
    assert_eq!(ground.names("private"), ["a.mp4"], "the control");
}

#[tokio::test]
async fn an_output_replaces_a_link_in_its_place_and_leaves_alone_where_it_leads() {
    let ground = Ground::new();
    ground.put("private/a.mp4");
    for stores in [ground.stores.clone(), Stores::default()] {
        symlink(ground.path("private/a.mp4"), ground.path("out/a.mp4")).unwrap();
        write(&stores, &ground.url("out/a.mp4")).await.unwrap();
        assert!(!ground.path("out/a.mp4").is_symlink());
        assert_eq!(fs::read(ground.path("out/a.mp4")).unwrap(), b"made");
        assert_eq!(fs::read(ground.path("private/a.mp4")).unwrap(), b"bytes");
        fs::remove_file(ground.path("out/a.mp4")).unwrap();
    }
}

/// The hidden name cannot be foreseen; but who may write in the folder sees it.
#[tokio::test]
async fn what_somebody_puts_in_the_hidden_files_place_is_neither_written_nor_published() {
    let ground = Ground::new();
    let victim = ground.path("private/victim");
    fs::write(&victim, b"victim").unwrap();
    for stores in [ground.stores.clone(), Stores::default()] {
        let draft = draft(&stores, &ground.url("out/a.mp4")).await.unwrap();
        let hidden = ground.path("out").join(&ground.names("out")[0]);
        fs::remove_file(&hidden).unwrap();
        symlink(&victim, &hidden).unwrap();
        draft.write(b"more");
        let refused = draft.publish().await.unwrap_err();
        assert!(matches!(refused, StorageError::Displaced { .. }), "{refused}");
        assert!(!ground.path("out/a.mp4").is_symlink() && !ground.path("out/a.mp4").exists());
        assert_eq!(fs::read(&victim).unwrap(), b"victim");
    }
    // One that lies there as if a killed process had left it is not opened through a link either.
    let left = ground.draft("out/a.mp4").await.unwrap();
    let bait = ground.path("out").join(&ground.names("out")[0]);
    drop(left);
    symlink(&victim, &bait).unwrap();
    write(&ground.stores, &ground.url("out/a.mp4")).await.unwrap();
    assert!(bait.is_symlink(), "it was taken for a file of ours");
    fs::remove_file(&bait).unwrap();
    fs::write(&bait, b"left").unwrap();
    write(&ground.stores, &ground.url("out/a.mp4")).await.unwrap();
    assert!(!bait.exists(), "the control");
    assert_eq!(fs::read(&victim).unwrap(), b"victim");
}

#[tokio::test]
async fn a_folder_that_is_swapped_for_a_link_between_two_steps_leads_nowhere() {
    let ground = Ground::new();
    for (number, stores) in [ground.stores.clone(), Stores::default()].into_iter().enumerate() {
        let folder = format!("out/films{number}");
        let draft = draft(&stores, &ground.url(&format!("{folder}/a.mp4"))).await.unwrap();
        fs::rename(ground.path(&folder), ground.path(&format!("out/moved{number}"))).unwrap();
        symlink(ground.path("private"), ground.path(&folder)).unwrap();
        let refused = draft.publish().await.unwrap_err();
        assert!(is_link(&refused) || matches!(refused, StorageError::Displaced { .. }), "{refused}");
        assert_eq!(ground.names("private"), [""; 0]);
        assert_eq!(
            ground.names(&format!("out/moved{number}")),
            [""; 0],
            "its hidden file is removed all the same"
        );
    }
}

/// Somebody swaps the folder for a link and back, as fast as can be.
#[tokio::test(flavor = "multi_thread")]
async fn no_swap_however_quick_lets_an_output_or_a_source_out_of_its_root() {
    let ground = Ground::new();
    for root in ["in", "out"] {
        fs::create_dir(ground.path(root).join("films")).unwrap();
        symlink(ground.path("private"), ground.path(root).join("link")).unwrap();
    }
    fs::write(ground.path("private/secret.mov"), b"secret").unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let swapper = {
        let (stop, root) = (stop.clone(), ground.folder.path().to_owned());
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                for at in ["in", "out"] {
                    let (one, other) = (root.join(at).join("films"), root.join(at).join("link"));
                    renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).unwrap();
                }
            }
        })
    };
    let mut made = 0;
    for number in 0..400 {
        made += usize::from(
            write(&ground.stores, &ground.url(&format!("out/films/deep/{number}.mp4"))).await.is_ok(),
        );
        assert!(ground.stores.pin(&ground.url("in/films/secret.mov")).await.is_err());
    }
    stop.store(true, Ordering::Relaxed);
    swapper.join().unwrap();
    assert_eq!(ground.names("private"), ["secret.mov"]);
    assert!(made > 0, "none was ever made");
}

#[tokio::test]
async fn outputs_go_neither_among_millraces_own_nor_to_hidden_places() {
    let ground = Ground::new();
    let root = Location::of_path(ground.folder.path()).unwrap();
    let data = Location::of_path(&ground.path("data")).unwrap();
    symlink(ground.path("data"), ground.path("out/log")).unwrap();
    symlink(ground.path("data/work"), ground.path("named")).unwrap();
    let wide = Stores::default().within(Reach::Only(vec![root.clone()]), Reach::Only(vec![root]));
    let everything = Stores::default().reserving([data.clone()]);
    let (url, linked) = (ground.url("data/work/a.mp4"), ground.url("out/log/new/a.mp4"));
    for refused in [
        write(&wide.clone().reserving([data.clone()]), &url).await.unwrap_err(),
        write(&everything, &url).await.unwrap_err(),
        // By the name of a link.
        write(&everything, &linked).await.unwrap_err(),
        everything.check_writable(&linked).await.unwrap_err(),
    ] {
        assert!(
            is_reserved(&refused) && refused.to_string().contains("choose another location"),
            "{refused}"
        );
    }
    // A root that is a link to it.
    let named = Reach::Only(vec![Location::of_path(&ground.path("named")).unwrap()]);
    let named = Stores::default().within(Reach::Only(Vec::new()), named).reserving([data]);
    assert!(is_reserved(&write(&named, &ground.url("named/a.mp4")).await.unwrap_err()));
    assert_eq!((ground.names("data"), ground.names("data/work")), (vec!["work".into()], vec![]));
    let hidden = write(&wide, &ground.url("out/.trash/a.mp4")).await.unwrap_err();
    assert!(
        hidden.to_string().contains("begins with a dot") && !ground.path("out/.trash").exists(),
        "{hidden}"
    );
    write(&everything, &ground.url("out/.trash/a.mp4")).await.unwrap();
    write(&Stores::default(), &linked).await.unwrap();
    assert_eq!(ground.names("data"), ["new", "work"], "the control");
}

#[tokio::test]
async fn work_objects_lie_in_their_own_folder_whatever_their_records_say() {
    let ground = Ground::new();
    let (work, private) = (ground.work(), ground.path("private"));
    fs::write(private.join("3"), b"secret").unwrap();
    for (place, rendition) in
        [("../../private", ""), ("..", "private"), (PLACE, "../../../private"), ("/etc", "x")]
    {
        assert!(work.begin_object(place, rendition, 3).is_err(), "{place} {rendition}");
        assert!(work.tail(place, rendition, 3).await.is_err(), "{place} {rendition}");
        work.discard(place, rendition, 3).await;
    }
    // Nor through links that somebody put there.
    fs::create_dir(ground.path("data/work").join(PLACE)).unwrap();
    symlink(&private, ground.path("data/work").join(PLACE).join(RENDITION)).unwrap();
    symlink(&private, ground.path("data/work/fedcba9876543210-1")).unwrap();
    fs::create_dir(private.join(RENDITION)).unwrap();
    fs::write(private.join(RENDITION).join("3"), b"secret").unwrap();
    for place in [PLACE, "fedcba9876543210-1"] {
        assert!(work.begin_object(place, RENDITION, 4).is_err(), "{place}");
        assert!(work.tail(place, RENDITION, 3).await.is_err(), "{place}");
        work.discard(place, RENDITION, 3).await;
        assert!(!work.remove(place).await.unwrap(), "{place}");
    }
    assert_eq!(ground.names("private"), ["3", RENDITION]);
    assert_eq!(ground.names(&format!("private/{RENDITION}")), ["3"]);
}

#[tokio::test]
async fn memory_is_a_store_for_tests_alone() {
    for stores in [Stores::default(), Stores::default().within(Reach::Everything, Reach::Everything)] {
        assert!(stores.pin("memory://b/a.mov").await.is_err());
        assert!(draft(&stores, "memory://b/a.mp4").await.is_err());
        assert!(WorkStore::at("memory://b/work", &stores).is_err());
    }
    write(&Stores::default().with_memory(), "memory://borders/a.mp4").await.unwrap();
}

/// Whether anybody has asked the metadata service.
fn was_asked(service: &TcpListener) -> bool {
    service.set_nonblocking(true).unwrap();
    service.accept().is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_credentials_is_refused_and_no_metadata_service_is_asked() {
    let service = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", service.local_addr().unwrap());
    let variables = [
        ("AWS_METADATA_ENDPOINT", endpoint.clone()),
        ("AZURE_MSI_ENDPOINT", endpoint.clone()),
        ("AZURE_STORAGE_ACCOUNT_NAME", "account".to_owned()),
    ];
    let stores = Stores::with_variables(variables.clone());
    for url in ["s3://videos/a.mov", "gs://videos/a.mov", "az://videos/a.mov"] {
        for refused in [
            stores.pin(url).await.map(drop),
            stores.check_writable(url).await,
            stores.size(url).await.map(drop),
            stores.list(url).await.map(drop),
            draft(&stores, url).await.map(drop),
            WorkStore::at(url, &stores).map(drop),
        ] {
            let refused = refused.unwrap_err();
            assert!(matches!(refused, StorageError::Setup { .. }) && !refused.is_transient(), "{refused}");
            let said = refused.to_string();
            assert!(said.contains("no credentials") && said.contains("MILLRACE_INSTANCE_ROLES=1"), "{said}");
        }
    }
    assert!(!was_asked(&service));
    // A bucket outside of what may be reached is not asked for even with credentials.
    let set = [("AWS_ACCESS_KEY_ID", "a".to_owned()), ("AWS_SECRET_ACCESS_KEY", "b".to_owned())];
    let set = set.into_iter().chain([("AWS_ENDPOINT_URL", endpoint)]);
    let nothing = Stores::with_variables(set).within(Reach::Only(Vec::new()), Reach::Only(Vec::new()));
    assert!(is_outside(&nothing.pin("s3://videos/a.mov").await.unwrap_err(), Purpose::Source));
    assert!(is_outside(&nothing.check_writable("s3://videos/a.mp4").await.unwrap_err(), Purpose::Output));
    assert!(!was_asked(&service));
    // The control: where instances' roles are wanted it is asked.
    service.set_nonblocking(false).unwrap();
    let stores = Stores::with_variables(variables).with_instance_roles();
    let asking = tokio::spawn(async move { stores.pin("s3://videos/a.mov").await });
    let accepted = tokio::task::spawn_blocking(move || service.accept().is_ok());
    assert!(tokio::time::timeout(SOON, accepted).await.expect("it was not asked").unwrap());
    asking.abort();
}

/// A marker is a file in the work folder: one that names what outputs may not reach ends no upload there.
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_marker_ends_no_upload_outside_of_the_outputs_reach() {
    let store = Store::start().unwrap();
    store.bucket("videos").unwrap();
    let all = Stores::with_variables(store.variables());
    let folder = tempfile::tempdir().unwrap();
    let victim = "s3://videos/private/a.mp4";
    let marker = WorkStore::in_folder(folder.path().join("other"), &all).marker(PLACE, 1);
    let open = all.begin_output(victim, marker);
    let open = open.await.unwrap();
    open.descriptor().unwrap().write_all(&vec![7; 30 << 20]).unwrap();
    {
        let publishing = open.stage();
        tokio::pin!(publishing);
        while all.open_uploads(victim).await.unwrap() == 0 {
            let step = tokio::time::timeout(Duration::from_millis(1), &mut publishing).await;
            assert!(step.is_err(), "it was over before it was seen");
        }
    }
    let markers = folder.path().join("work").join(PLACE).join("uploads");
    fs::create_dir_all(&markers).unwrap();
    let at_ms = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let forge = || {
        let text = format!(r#"{{"url": "{victim}", "id": null, "at_ms": {at_ms}}}"#);
        fs::create_dir_all(&markers).unwrap();
        fs::write(markers.join("0123456789abcdef"), text).unwrap();
    };
    forge();
    let out = Reach::of_roots([OsStr::new("s3://videos/out/")]).unwrap();
    let held =
        WorkStore::in_folder(folder.path().join("work"), &all.clone().within(Reach::Only(Vec::new()), out));
    held.remove(PLACE).await.unwrap();
    assert_eq!(all.open_uploads(victim).await.unwrap(), 1);
    forge();
    WorkStore::in_folder(folder.path().join("work"), &all).remove(PLACE).await.unwrap();
    assert_eq!(all.open_uploads(victim).await.unwrap(), 0, "the control");
}

#[tokio::test]
async fn names_of_any_bytes_and_the_longest_are_written_beneath_a_root_too() {
    let ground = Ground::new();
    let long = "n".repeat(255);
    for name in [&b"\xff\xfe.mov"[..], b"caf\xe9 %41 #1?.mov", long.as_bytes()] {
        let path = ground.path("out/deep").join(OsStr::from_bytes(name));
        let url = url_of(&path).unwrap();
        ground.stores.check_writable(&url).await.unwrap();
        write(&ground.stores, &url).await.unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"made", "{url}");
        assert_eq!(ground.stores.size(&url).await.unwrap(), Some(4));
    }
    assert_eq!(ground.names("out/deep").len(), 3);
    let longer = url_of(Path::new(&ground.path("out").join("n".repeat(256)))).unwrap();
    assert!(matches!(ground.stores.check_writable(&longer).await, Err(StorageError::LongName { .. })));
}
