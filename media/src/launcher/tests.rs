use super::{memory::resident, *};
use crate::protocol::InspectTask;

/// A launcher whose media process runs a shell script.
fn launcher(script: &str, sandbox: Sandbox) -> (tempfile::TempDir, Launcher) {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("child");
    std::fs::write(&path, format!("#!/bin/sh\nread -r task\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    (folder, Launcher::new(path, sandbox))
}

async fn run(script: &str, limit: Duration) -> Result<Reply, ChildError> {
    run_in(Sandbox::Off, script, limit).await
}

async fn run_in(sandbox: Sandbox, script: &str, limit: Duration) -> Result<Reply, ChildError> {
    let (_folder, launcher) = launcher(script, sandbox);
    let task = Task::Inspect(InspectTask { segment_seconds: None });
    launcher.run(TaskRequest { task: &task, limit, bytes: 0 }, Vec::new(), drop).await
}

#[tokio::test]
async fn a_process_that_never_finishes_is_ended_at_its_limit() {
    let script = r#"while :; do echo '{"progress":{"range":0,"done":1}}'; done"#;
    let ended = run(script, Duration::from_millis(300)).await;
    assert!(matches!(ended, Err(ChildError::Late { .. })), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_process_is_ended_within_a_minute() {
    // A paused clock advances while all tasks wait.
    let ended = run("read -r never", Duration::from_secs(3600)).await;
    let Err(ChildError::Late { limit, counted, .. }) = ended else { panic!("{ended:?}") };
    assert!(limit < Duration::from_secs(60) && counted == " without output", "{limit:?}{counted}");
}

#[tokio::test]
async fn a_sign_of_life_is_no_reply() {
    let script = r#"echo '"alive"'; echo '{"failed":"no media"}'; echo '"alive"'; exit 1"#;
    let refused = run(script, Duration::from_secs(3600)).await;
    assert!(matches!(&refused, Err(ChildError::Failed(reason)) if reason == "no media"), "{refused:?}");
}

#[tokio::test]
async fn no_limit_is_longer_than_the_longest_task() {
    let (_folder, launcher) = launcher("read -r never", Sandbox::Off);
    let longest = Duration::from_millis(100);
    let task = Task::Inspect(InspectTask { segment_seconds: None });
    let request = TaskRequest { task: &task, limit: Duration::MAX, bytes: 0 };
    let ended = launcher.with_longest_task(longest).run(request, Vec::new(), drop).await;
    assert!(matches!(ended, Err(ChildError::Late { limit, .. }) if limit == longest), "{ended:?}");
}

#[tokio::test]
async fn a_process_that_crashes_has_died_and_one_that_refuses_has_failed() {
    let hour = Duration::from_secs(3600);
    assert!(matches!(run("kill -SEGV $$", hour).await, Err(ChildError::Died { .. })));
    assert!(matches!(run("exit 0", hour).await, Err(ChildError::Died { .. })), "it sent no reply");
    let unreadable = run(r#"printf '{"failed":"\\377"}\n'"#, hour).await;
    assert!(matches!(unreadable, Err(ChildError::Unreadable { field, .. }) if field.contains("failed")));
    let refused = run(r#"echo '{"failed":"no media"}'; exit 1"#, hour).await;
    assert!(matches!(refused, Err(ChildError::Failed(reason)) if reason == "no media"));
}

#[tokio::test]
async fn a_process_that_uses_more_memory_than_its_task_may_is_ended() {
    // tail keeps the whole line, which never ends.
    let ended = run_in(Sandbox::On, "exec tail -n 1 /dev/zero", Duration::from_secs(3600)).await;
    assert!(matches!(ended, Err(ChildError::Large { mebibytes: 1024, .. })), "{ended:?}");
}

#[tokio::test]
async fn a_forbidden_system_call_is_not_reported_as_a_crash() {
    let ended = run("kill -SYS $$", Duration::from_secs(3600)).await;
    assert!(matches!(ended, Err(ChildError::Forbidden { .. })), "{ended:?}");
}

#[tokio::test]
async fn a_reply_without_an_end_is_not_kept_in_memory() {
    let script = "head -c 200000000 /dev/zero; echo; echo '{\"failed\":\"no media\"}'; exit 1";
    let before = resident(std::process::id()).unwrap();
    let refused = run(script, Duration::from_secs(3600)).await;
    assert!(matches!(refused, Err(ChildError::Unreadable { field, .. }) if field.contains("longer")));
    let grown = resident(std::process::id()).unwrap().saturating_sub(before);
    assert!(grown < 5 * LONGEST_REPLY as u64, "{grown} bytes");
}
