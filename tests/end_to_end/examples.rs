//! The examples do what examples/README.md says of them, on a real cluster.

use std::{
    path::PathBuf,
    process::{Child, Command},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::common::{
    cluster::{BROKER, Cluster, REGISTRY, until},
    media::{self, Constant},
};

/// An example in Python.
fn python(name: &str) -> Command {
    let mut command = Command::new(millrace_servers::folder().join("python/bin/python"));
    command.args(["-W", "ignore"]).arg(format!("{}/examples/{name}.py", env!("CARGO_MANIFEST_DIR")));
    command
}

/// An example in Rust, which `cargo test` builds beside the tests.
fn rust(name: &str) -> Command {
    let tests = std::env::current_exe().unwrap();
    let program: PathBuf =
        [tests.ancestors().nth(2).unwrap(), "examples".as_ref(), name.as_ref()].iter().collect();
    assert!(program.exists(), "{}: build it by 'cargo build --examples'", program.display());
    Command::new(program)
}

/// An example on this cluster.
fn on(cluster: &Cluster, mut example: Command) -> Command {
    example.env("MILLRACE_BROKERS", BROKER.brokers()).env("MILLRACE_SCHEMA_REGISTRY", REGISTRY.url());
    example.env("MILLRACE_TOPIC_PREFIX", &cluster.prefix).env("MILLRACE_APPLICATION", cluster.application());
    example.env("GROUP", format!("{}-python", cluster.application()));
    example
}

/// A processor that runs; it is killed with this.
struct Running(Child);

impl Running {
    /// Ends it as Ctrl-C does; returns its exit status.
    fn interrupt(&mut self) -> Option<i32> {
        kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGINT).unwrap();
        self.0.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended needs no end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Uploads a video by one example, while the other writes a file for each result.
fn uploads_and_catalogues(cluster: &Cluster, language: &str, example: fn(&str) -> Command) {
    let on_cluster = |name: &str| on(cluster, example(name));
    let url = |name: &str| format!("file://{}", cluster.place.path(name).display());
    let cards = cluster.place.path(&format!("cards-{language}"));
    let mut catalogue = Running(on_cluster("catalogue").arg(&cards).spawn().unwrap());

    let output = url(&format!("out-{language}"));
    let upload = || on_cluster("upload").args([language, &url("in.mp4"), &output]).output().unwrap();
    let first = upload();
    let told = String::from_utf8(first.stdout).unwrap();
    assert!(first.status.success(), "{language}: {}", String::from_utf8_lossy(&first.stderr));
    for format in ["mp4", "flv"] {
        assert!(told.contains(&format!("{output}/in.{format} (")), "{language}: {told}");
    }
    // The same name is the same execution, with the same result.
    assert_eq!(String::from_utf8(upload().stdout).unwrap(), told);

    let card = cards.join(format!("{}.json", Cluster::execution(language)));
    until("the card of the execution", || card.exists());
    let card: Value = serde_json::from_slice(&std::fs::read(card).unwrap()).unwrap();
    assert_eq!(card["labels"]["example"], language);
    assert_eq!(card["outputs"].as_array().unwrap().len(), 2);
    assert_eq!(catalogue.interrupt(), Some(0), "{language}");
}

#[test]
fn the_examples_upload_videos_and_process_results() {
    let cluster = Cluster::with_registry();
    media::constant(&cluster.place.path("in.mp4"), Constant { seconds: "2", ..Constant::default() });
    let server = cluster.serve("one", &[]).ready();
    uploads_and_catalogues(&cluster, "python", python);
    uploads_and_catalogues(&cluster, "rust", rust);
    assert_eq!(server.stop(), 0);
}

#[test]
fn an_upload_that_fails_ends_an_example_with_the_reason() {
    let cluster = Cluster::with_registry();
    let server = cluster.serve("one", &[]).ready();
    for example in [python, rust] {
        let missing = format!("file://{}", cluster.place.path("missing.mp4").display());
        let output = format!("file://{}", cluster.place.path("out").display());
        let ended = on(&cluster, example("upload")).args(["missing", &missing, &output]).output().unwrap();
        assert_eq!(ended.status.code(), Some(1));
        let reason = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(reason.contains("missing.mp4"), "{reason}");
    }
    assert_eq!(server.stop(), 0);
}
