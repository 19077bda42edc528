//! Names of files: whatever the file system takes, and drafts of which nothing stays.
#![allow(clippy::unwrap_used, missing_docs)]

mod output;

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use millrace_storage::{StorageError, Stores, path_of, url_of};
use output::Output;

/// The URL of the output that [`a_process_with_a_draft`] begins.
const URL: &str = "MILLRACE_TEST_DRAFT";

async fn draft(url: &str) -> Output {
    Output::of(&Stores::default(), url).await.unwrap()
}

async fn publish(url: &str, bytes: &[u8]) {
    let draft = draft(url).await;
    draft.write(bytes);
    draft.publish().await.unwrap();
}

fn names(folder: &Path) -> Vec<OsString> {
    let mut names: Vec<OsString> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn an_output_may_have_the_longest_name_that_the_file_system_takes() {
    let folder = tempfile::tempdir().unwrap();
    let stores = Stores::default();
    for length in [234, 255] {
        let path = folder.path().join(format!("{}.mp4", "n".repeat(length - 4)));
        let url = url_of(&path).unwrap();
        stores.check_writable(&url).await.unwrap();
        publish(&url, b"whole").await;
        assert_eq!(fs::read(&path).unwrap(), b"whole", "{length}");
    }
    assert_eq!(names(folder.path()).len(), 2);
}

#[tokio::test]
async fn a_longer_name_is_refused_before_any_work_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out").join(format!("{}.mp4", "n".repeat(252)));
    let refused = Stores::default().check_writable(&url_of(&path).unwrap()).await.unwrap_err();
    assert!(matches!(refused, StorageError::LongName { .. }) && !refused.is_transient(), "{refused}");
    let said = refused.to_string();
    assert!(said.contains("nnn.mp4 can't be written") && said.contains("a shorter name"), "{said}");
    assert_eq!(names(&folder.path().join("out")), [""; 0]);
}

#[tokio::test]
async fn a_name_of_any_bytes_goes_into_a_url_and_comes_out_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let mut all: Vec<Vec<u8>> =
        vec![b"\xff\xfe.mov".to_vec(), b"caf\xe9 %41 #1?.mov".to_vec(), b"a\nb\\.mov".to_vec()];
    // Every byte that a name may have.
    all.push((1..=255).filter(|byte| *byte != b'/').collect());
    for name in all {
        let path = folder.path().join(OsStr::from_bytes(&name));
        let url = url_of(&path).unwrap();
        assert!(url.is_ascii(), "{url}");
        assert_eq!(path_of(&url).unwrap(), path, "{url}");
        publish(&url, &name).await;
        assert_eq!(fs::read(&path).unwrap(), name, "{url}");
        let stores = Stores::default();
        let source = stores.pin(&url).await.unwrap();
        stores.check_unchanged(&source).await.unwrap();
        fs::remove_file(&path).unwrap();
        let missing = stores.pin(&url).await.unwrap_err();
        assert!(missing.to_string().contains(&path.display().to_string()), "{missing}");
    }
    assert_eq!(names(folder.path()), [""; 0]);
}

/// Two processes that make the same output at once, one of which is fenced.
#[tokio::test]
async fn two_drafts_of_one_output_do_not_mix() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    let url = url_of(&path).unwrap();
    let (one, other) = (draft(&url).await, draft(&url).await);
    one.write(b"the first, which is longer");
    other.write(b"the second");
    one.publish().await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"the first, which is longer");
    other.publish().await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"the second");
    assert_eq!(names(folder.path()), ["a.mp4"]);
}

/// A process of its own that writes to a draft of this output until it is killed, and the draft's path.
struct Writer {
    process: Child,
    draft: PathBuf,
}

impl Writer {
    fn of(output: &Path) -> Self {
        let before = names(output.parent().unwrap());
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["a_process_with_a_draft", "--exact", "--ignored"]).env(URL, url_of(output).unwrap());
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        loop {
            let fresh = names(output.parent().unwrap()).into_iter().find(|name| !before.contains(name));
            let path = fresh.map(|name| output.with_file_name(name));
            // It is locked before it is written to.
            match path.filter(|path| fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0)) {
                Some(draft) => return Self { process, draft },
                None => assert!(begun.elapsed() < Duration::from_secs(60), "it never wrote"),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // One that was killed already needs no end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
#[ignore = "a process that the tests below start"]
async fn a_process_with_a_draft() {
    let Ok(url) = std::env::var(URL) else { return };
    let draft = draft(&url).await;
    draft.write(b"half");
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_draft_of_a_killed_process_is_removed_when_its_output_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("{}.mp4", "n".repeat(251)));
    let url = url_of(&path).unwrap();
    let mut killed = Writer::of(&path);
    killed.kill();
    assert!(killed.draft.exists());
    publish(&url_of(&folder.path().join("other.mp4")).unwrap(), b"whole").await;
    assert!(killed.draft.exists(), "it is another output's");
    drop(draft(&url).await);
    assert_eq!(names(folder.path()), ["other.mp4"]);
    // Also one whose process dies while its output is made again.
    let mut late = Writer::of(&path);
    let again = draft(&url).await;
    late.kill();
    again.publish().await.unwrap();
    assert_eq!(names(folder.path()), [path.file_name().unwrap(), OsStr::new("other.mp4")]);
}

#[tokio::test]
async fn a_draft_of_a_living_process_is_left_alone_whatever_it_is_doing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    let living = Writer::of(&path);
    let signal = |name: &str| Command::new("kill").args([name, &living.process.id().to_string()]).status();
    signal("-STOP").unwrap();
    publish(&url_of(&path).unwrap(), b"whole").await;
    assert!(living.draft.exists());
    assert_eq!(names(folder.path()).len(), 2);
}

#[tokio::test]
async fn what_others_have_hidden_beside_an_output_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    let mut foreign = [".a.mp4.part", ".millrace-notes.part", ".millrace-0123abcd-0123456789abcdef.part"];
    for name in foreign {
        fs::write(folder.path().join(name), "mine").unwrap();
    }
    publish(&url_of(&path).unwrap(), b"whole").await;
    fs::remove_file(&path).unwrap();
    foreign.sort_unstable();
    assert_eq!(names(folder.path()), foreign);
}

#[test]
fn an_argument_is_a_url_where_it_begins_with_a_scheme_and_else_a_path() {
    let argument = |bytes: &[u8]| millrace_storage::as_url(&OsString::from_vec(bytes.to_vec()));
    assert_eq!(argument(b"s3://videos/a b.mov").unwrap(), "s3://videos/a b.mov");
    assert_eq!(argument(b"http://h/x").unwrap(), "http://h/x");
    let url = argument(b"file:///in/caf\xe9.mov").unwrap();
    assert_eq!(path_of(&url).unwrap(), Path::new(OsStr::from_bytes(b"/in/caf\xe9.mov")));
    for path in
        [&b"a.mov"[..], b"caf\xe9.mov", b"./s3://videos/a.mov", b"/in/x://y.mov", b"", b"://a", b"1a://b"]
    {
        assert_eq!(argument(path), None, "{}", path.escape_ascii());
    }
}
