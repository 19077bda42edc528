//! Sources on web servers: what each source must do (as in `stores.rs`), and what becomes of servers that can't be read from.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    fs::File,
    io::{Read as _, Write as _},
};

use millrace_access::Reach;
use millrace_schemas::{
    SourceRef, object_url,
    range_protocol::{RangeRequest, decode_reply_length},
};
use millrace_servers::{Manner, WebServer};
use millrace_storage::{OpenSource, RangeReader, StorageError, Stores, WorkStore};

/// A query that nobody but the server may see.
const SIGNATURE: &str = "X-Sig=s3cr3t%2F";

fn noise(length: usize) -> Vec<u8> {
    (0..length as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u8).collect()
}

async fn reader(stores: &Stores, source: &SourceRef) -> RangeReader {
    match stores.open(source).await.unwrap() {
        OpenSource::Object(object) => object.reader(),
        OpenSource::File(_) => panic!("it is on a web server"),
    }
}

async fn bytes(stores: &Stores, source: &SourceRef) -> Result<Vec<u8>, StorageError> {
    let (mut reader, mut found) = (reader(stores, source).await, Vec::new());
    loop {
        let bytes = reader.read(found.len() as u64, 1 << 20).await?;
        if bytes.is_empty() {
            return Ok(found);
        }
        found.extend_from_slice(&bytes);
    }
}

/// Returns why a source can't be pinned.
async fn refusal(url: &str) -> StorageError {
    let refused = Stores::default().pin(url).await.unwrap_err();
    assert!(!refused.is_transient(), "{refused}");
    refused
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_is_read_as_it_is_in_any_order() {
    let (web, stores, all) = (WebServer::start().unwrap(), Stores::default(), noise(20_000_000));
    for manner in [Manner::Ranges, Manner::Weak, Manner::Cut] {
        web.put("a.mov", all.clone(), manner);
        let source = stores.pin(&web.url("a.mov")).await.unwrap();
        assert_eq!(source.bytes, 20_000_000);
        assert!(bytes(&stores, &source).await.unwrap() == all, "{manner:?}");
        stores.check_unchanged(&source).await.unwrap();
        let mut reader = reader(&stores, &source).await;
        for at in [19_999_999_usize, 0, 7_000_000, 7_100_000, 12, 19_000_000, 5_000_000] {
            let found = reader.read(at as u64, 100_000).await.unwrap();
            assert!(!found.is_empty() && found[..] == all[at..at + found.len()], "at {at}");
        }
        assert!(reader.read(20_000_000, 5).await.unwrap().is_empty());
    }
    let requests = web.requests().join("");
    assert!(requests.contains("accept-encoding: identity") && requests.contains("if-match: \"v1\""));
    assert!(!requests.contains("if-match: W/") && requests.contains("if-unmodified-since: "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_media_process_reads_a_source_and_is_refused_another_version() {
    let (web, stores, all) = (WebServer::start().unwrap(), Stores::default(), noise(3_000_000));
    web.put("a.mov", all.clone(), Manner::Ranges);
    let source = stores.pin(&web.url("a.mov")).await.unwrap();
    let (descriptor, server) = stores.open(&source).await.unwrap().descriptor().unwrap();
    let read = |descriptor: File, request: RangeRequest| {
        tokio::task::spawn_blocking(move || {
            (&descriptor).write_all(&request.encode()).unwrap();
            let mut length = [0; 4];
            (&descriptor).read_exact(&mut length).unwrap();
            let found = decode_reply_length(length).map(|length| {
                let mut bytes = vec![0; length as usize];
                (&descriptor).read_exact(&mut bytes).unwrap();
                bytes
            });
            (descriptor, found)
        })
    };
    let (descriptor, size) = read(File::from(descriptor), RangeRequest::Size).await.unwrap();
    assert_eq!(size, Some(3_000_000_u64.to_le_bytes().to_vec()));
    let at = |offset| RangeRequest::Read { offset, length: 1000 };
    let (descriptor, found) = read(descriptor, at(1_500_000)).await.unwrap();
    assert!(found.is_some_and(|found| found == all[1_500_000..1_501_000]));
    web.put("a.mov", all, Manner::Ranges);
    assert_eq!(read(descriptor, at(100)).await.unwrap().1, None, "bytes of another version");
    assert!(matches!(server.take_error(), Some(StorageError::Changed { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_all_kinds_are_kept() {
    let (web, stores) = (WebServer::start().unwrap(), Stores::default());
    for name in ["a b+c.mov", "50%2F50.mov", "a..b.mov", "映像 #1?.mov", "x&y;z=\"q\".mov", "deep/er/é.mov"]
    {
        let url = object_url("http", web.address(), name);
        web.put(url.splitn(4, '/').nth(3).unwrap(), name.into(), Manner::Ranges);
        let source = stores.pin(&url).await.unwrap();
        assert_eq!(bytes(&stores, &source).await.unwrap(), name.as_bytes(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_missing_empty_or_another_by_now_is_refused() {
    let (web, stores) = (WebServer::start().unwrap(), Stores::default());
    let missing = refusal(&web.url("none.mov")).await;
    assert!(matches!(&missing, StorageError::Missing { path } if path.ends_with("none.mov")), "{missing}");
    assert_eq!(stores.size(&web.url("none.mov")).await.unwrap(), None);
    web.put("empty.mov", Vec::new(), Manner::Ranges);
    assert!(matches!(refusal(&web.url("empty.mov")).await, StorageError::Empty { .. }));
    // With and without a size of its own, whether the server heeds conditions or not.
    for manner in [Manner::Ranges, Manner::Careless, Manner::Weak] {
        for (before, after) in [(&b"one"[..], &b"two"[..]), (b"one", b"another"), (b"one", b"x")] {
            web.put("a.mov", before.to_vec(), manner);
            let source = stores.pin(&web.url("a.mov")).await.unwrap();
            stores.check_unchanged(&source).await.unwrap();
            web.put("a.mov", after.to_vec(), manner);
            assert!(matches!(stores.check_unchanged(&source).await, Err(StorageError::Changed { .. })));
            assert!(matches!(bytes(&stores, &source).await, Err(StorageError::Changed { .. })), "{manner:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_changes_while_it_is_read_gives_no_byte_of_another_version() {
    let (web, stores, all) = (WebServer::start().unwrap(), Stores::default(), noise(9_000_000));
    for manner in [Manner::Ranges, Manner::Careless, Manner::Weak] {
        web.put("a.mov", all.clone(), manner);
        let source = stores.pin(&web.url("a.mov")).await.unwrap();
        let mut reader = reader(&stores, &source).await;
        assert!(!reader.read(0, 1000).await.unwrap().is_empty());
        web.put("a.mov", vec![0; 9_000_000], manner);
        let changed = reader.read(5_000_000, 1000).await;
        assert!(matches!(changed, Err(StorageError::Changed { .. })), "{manner:?}: {changed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_can_not_be_read_from_is_refused_with_what_to_do() {
    let web = WebServer::start().unwrap();
    for (manner, words) in [
        (
            Manner::Whole,
            &format!("the server at {} does not serve ranges; download the file first", web.address())[..],
        ),
        (Manner::Unversioned, "neither a strong ETag nor a time"),
        (Manner::Encoded, "encoded (gzip)"),
        (Manner::Redirect, "/elsewhere.mp4?…, and redirects are not followed"),
        (Manner::Signed(SIGNATURE), "it may have expired"),
    ] {
        web.put("a.mov", noise(1000), manner);
        let refused = refusal(&web.url("a.mov?X-Sig=0ther")).await.to_string();
        assert!(refused.contains(words) && refused.contains("/a.mov?…"), "{refused}");
        assert!(!refused.contains("0ther") && !refused.contains("secret"), "{refused}");
    }
    web.put("a.mov", noise(1000), Manner::Ranges);
    for (status, words) in [(401, "a login"), (403, "access denied"), (410, "there is no"), (400, "400")] {
        web.reply_next(&[status]);
        let refused = refusal(&web.url("a.mov")).await.to_string();
        assert!(refused.contains(words), "{refused}");
    }
    assert!(refusal(&web.url("")).await.to_string().contains("there is no"), "the server itself");
    assert!(refusal("http://me:s3cr3t@127.0.0.1/a.mov").await.to_string().contains("a user or a password"));
    let listed = Stores::default().list(&web.url("in/")).await.unwrap_err().to_string();
    assert!(listed.contains("no lists of files"), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_busy_is_asked_again() {
    let (web, stores) = (WebServer::start().unwrap(), Stores::default());
    web.put("a.mov", noise(1000), Manner::Ranges);
    web.reply_next(&[503, 429]);
    let source = stores.pin(&web.url("a.mov")).await.unwrap();
    web.reply_next(&[500]);
    assert!(bytes(&stores, &source).await.unwrap() == noise(1000));
    assert_eq!(web.requests().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_sent_as_it_is_and_shown_nowhere() {
    let (web, stores) = (WebServer::start().unwrap(), Stores::default());
    web.put("a.mov", noise(1000), Manner::Signed(SIGNATURE));
    let source = stores.pin(&web.url(&format!("a.mov?{SIGNATURE}"))).await.unwrap();
    let opened = stores.open(&source).await.unwrap();
    assert!(!format!("{opened:?}").contains("s3cr3t"));
    assert!(bytes(&stores, &source).await.unwrap() == noise(1000));
    web.put("a.mov", noise(1001), Manner::Signed(SIGNATURE));
    let changed = bytes(&stores, &source).await.unwrap_err();
    assert!(!format!("{changed} {changed:?}").contains("s3cr3t") && changed.to_string().contains("a.mov?…"));
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_services_are_not_read_from() {
    for url in [
        "http://169.254.169.254/latest/meta-data/iam.mov",
        "http://0xa9fea9fe/a.mov",
        "http://[::ffff:169.254.169.254]/a.mov",
        "http://[fe80::1]/a.mov",
    ] {
        assert!(refusal(url).await.to_string().contains("no source is read there"), "{url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn below_roots_no_other_server_and_no_other_path_is_requested() {
    let web = WebServer::start().unwrap();
    for path in ["in/a.mov", "a.mov", "inner/a.mov"] {
        web.put(path, noise(1000), Manner::Ranges);
    }
    let root = web.url("in/");
    let roots = Reach::of_roots([std::ffi::OsStr::new(&root)]).unwrap();
    let stores = Stores::default().within(roots, Reach::Only(Vec::new()));
    stores.pin(&web.url("in/a.mov?any=query")).await.unwrap();
    let asked = web.requests().len();
    for outside in
        [web.url("a.mov"), web.url("inner/a.mov"), web.url("in/../a.mov"), web.url("in/%2e%2e/a.mov")]
    {
        assert!(!stores.pin(&outside).await.unwrap_err().is_transient(), "{outside}");
    }
    let port = web.address().split_once(':').unwrap().1;
    assert!(
        stores.pin(&format!("http://localhost:{port}/in/a.mov")).await.is_err(),
        "another name is another server"
    );
    assert_eq!(web.requests().len(), asked, "nothing was requested");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_to_a_web_server() {
    let (web, stores) = (WebServer::start().unwrap(), Stores::default());
    let folder = tempfile::tempdir().unwrap();
    let marker = WorkStore::in_folder(folder.path().into(), &stores).marker("0123456789abcdef-1", 1);
    let url = web.url("out/a.mp4?s3cr3t");
    let refused = stores.begin_output(&url, marker).await.unwrap_err().to_string();
    assert!(refused.contains("can't be an output: web servers are only read"), "{refused}");
    assert!(stores.check_writable(&url).await.is_err());
    let work = WorkStore::at(&web.url("work"), &stores).unwrap_err().to_string();
    assert!(work.contains("work objects can't be written to a web server"), "{work}");
    assert!(web.requests().is_empty() && !refused.contains("s3cr3t"));
}
