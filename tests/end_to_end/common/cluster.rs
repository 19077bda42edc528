//! A real cluster for tests: a broker and a schema registry for all tests of a program, topics of its own for each test, and
//! processes that serve.

use std::{
    fs::File,
    process::{Child, Command, Stdio},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use millrace_kafka::{Kafka, Settings};
use millrace_runtime::{Log, NewRecord, Record};
use millrace_schemas::SourceRef;
use millrace_topology::{Emit, Placement, StreamSpec};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use super::{Place, Ran};

/// One broker for all tests of this program; it ends with it.
pub static BROKER: LazyLock<millrace_servers::Kafka> =
    LazyLock::new(|| millrace_servers::Kafka::start().unwrap());
/// One registry, too.
pub static REGISTRY: LazyLock<millrace_servers::Registry> =
    LazyLock::new(|| millrace_servers::Registry::start().unwrap());

/// How long anything may take. Nothing is asserted by it: it ends a test that waits for what does not come.
const PATIENCE: Duration = Duration::from_secs(180);

/// Waits for a fact.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "waited too long: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// An installation on a cluster: a folder, and topics and groups of its own.
pub struct Cluster {
    pub place: Place,
    brokers: String,
    registry: Option<String>,
    pub prefix: String,
}

impl Cluster {
    /// On the broker of all tests, with its topics made.
    pub fn new() -> Self {
        Self::on(&BROKER.brokers(), None)
    }

    /// With the registry.
    pub fn with_registry() -> Self {
        Self::on(&BROKER.brokers(), Some(REGISTRY.url()))
    }

    pub fn on(brokers: &str, registry: Option<String>) -> Self {
        let cluster = Self::bare(brokers, registry);
        let made = cluster.call(&["topology", "--apply"]);
        assert_eq!(made.status, 0, "{}", made.stderr);
        cluster
    }

    /// Without topics.
    pub fn bare(brokers: &str, registry: Option<String>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("t{}.", NUMBER.fetch_add(1, Ordering::Relaxed));
        Self { place: Place::new(), brokers: brokers.into(), registry, prefix }
    }

    /// `millrace` on this cluster.
    pub fn millrace(&self) -> Command {
        let mut command = self.place.millrace();
        command.env("MILLRACE_BROKERS", &self.brokers);
        command.env("MILLRACE_TOPIC_PREFIX", &self.prefix).env("MILLRACE_APPLICATION", self.application());
        if let Some(url) = &self.registry {
            command.env("MILLRACE_SCHEMA_REGISTRY", url);
        }
        command
    }

    pub fn application(&self) -> String {
        format!("app-{}", self.prefix.trim_end_matches('.'))
    }

    /// A topic's name.
    pub fn topic(&self, stream: &str) -> String {
        format!("{}{stream}", self.prefix)
    }

    pub fn call(&self, arguments: &[&str]) -> Called {
        Called::of(&self.millrace().args(arguments).output().unwrap())
    }

    /// Submits an upload under a name, of a file of the folder; gives the execution.
    pub fn submit(&self, source: &str, name: &str, more: &[&str]) -> String {
        let arguments = [&["submit", source, "--output", "out", "--name", name, "--json"], more].concat();
        let called = self.call(&arguments);
        assert_eq!(called.status, 0, "{}", called.stderr);
        let line: Value = serde_json::from_str(called.stdout.lines().next().unwrap()).unwrap();
        line["execution"].as_str().unwrap().to_owned()
    }

    /// The execution of a name.
    pub fn execution(name: &str) -> String {
        let upload = millrace_schemas::Upload {
            name: Some(name.into()),
            ..millrace_schemas::Upload::of("file:///x", "file:///o")
        };
        let source = SourceRef { url: String::new(), version: String::new(), bytes: 0 };
        millrace_schemas::execution_id(&upload, &source)
    }

    /// All executions, as `executions list --json` tells them.
    pub fn executions(&self) -> Vec<Value> {
        let called = self.call(&["executions", "list", "--json"]);
        assert_eq!(called.status, 0, "{}", called.stderr);
        called.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits until so many executions have ended; gives all.
    pub fn ended(&self, count: usize) -> Vec<Value> {
        let over =
            |one: &Value| ["succeeded", "failed", "cancelled"].contains(&one["state"].as_str().unwrap());
        let mut all = Vec::new();
        until("the executions to end", || {
            all = self.executions();
            all.iter().filter(|one| over(one)).count() >= count
        });
        all
    }

    /// The events of an execution, as `processor event detail`.
    pub fn events(&self, execution: &str) -> Vec<String> {
        let called = self.call(&["executions", "events", execution, "--json"]);
        assert_eq!(called.status, 0, "{}", called.stderr);
        let told = |line: &str| {
            let event: Value = serde_json::from_str(line).unwrap();
            let text = |name: &str| event[name].as_str().unwrap().to_owned();
            format!("{} {} {}", text("processor"), text("event"), text("detail"))
        };
        called.stdout.lines().map(told).collect()
    }

    /// A process that serves, with one slot; `more` are its flags.
    pub fn serve(&self, name: &str, more: &[&str]) -> Server {
        let work = format!("file://{}", self.place.path("work").display());
        self.serve_with(name, &[&["--work", &work], more].concat(), &[])
    }

    /// The same, wherever its work is, with variables.
    pub fn serve_with(&self, name: &str, more: &[&str], variables: &[(&str, String)]) -> Server {
        let log = self.place.path(&format!("{name}.log"));
        let mut command = self.millrace();
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(more)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .env("MILLRACE_JOBS", "1");
        command.stderr(File::options().create(true).append(true).open(&log).unwrap());
        let said = std::fs::read_to_string(&log).unwrap_or_default().len();
        let child = command.stdout(Stdio::null()).spawn().unwrap();
        Server { child, log, said }
    }

    /// The log itself.
    pub async fn log(&self) -> Arc<dyn Log> {
        let settings = Settings {
            topic_prefix: self.prefix.clone(),
            application: self.application(),
            ..Settings::new(&self.brokers)
        };
        Arc::new(Kafka::connect(settings).await.unwrap())
    }

    /// All that a stream holds.
    pub async fn records(&self, stream: &str) -> Vec<Record> {
        let log = self.log().await;
        let mut found = Vec::new();
        for number in 0..log.partitions(stream).await.unwrap() {
            let partition = millrace_runtime::Partition { stream: stream.into(), number };
            millrace_runtime::read_to_end(log.as_ref(), &partition, 0, |record| found.push(record))
                .await
                .unwrap();
        }
        found
    }

    /// What lies in the work folder.
    pub fn work(&self) -> Vec<String> {
        self.place.names("work")
    }
}

/// What a call said.
pub struct Called {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Called {
    fn of(output: &std::process::Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    pub fn json(&self) -> Ran {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        Ran {
            status: self.status,
            lines: self.stdout.lines().map(parse).collect(),
            stderr: self.stderr.clone(),
        }
    }
}

/// A process that serves.
pub struct Server {
    child: Child,
    log: std::path::PathBuf,
    /// How much an earlier process of this name has said.
    said: usize,
}

impl Server {
    /// What it said so far.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default().split_off(self.said)
    }

    /// Waits until it serves.
    pub fn ready(mut self) -> Self {
        until("the process to serve", || {
            assert!(self.child.try_wait().unwrap().is_none(), "it ended: {}", self.said());
            self.said().contains("serving")
        });
        self
    }

    /// Where it answers HTTP.
    pub fn address(&self) -> String {
        let said = self.said();
        let after = said.split("address=").nth(1).unwrap_or_else(|| panic!("no address: {said}"));
        after.split_whitespace().next().unwrap().to_owned()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// How many media processes it has.
    pub fn children(&self) -> usize {
        let list = format!("/proc/{0}/task", self.child.id());
        let tasks = std::fs::read_dir(list).unwrap().flatten();
        let of_it =
            tasks.map(|task| std::fs::read_to_string(task.path().join("children")).unwrap_or_default());
        of_it.map(|children| children.split_whitespace().count()).sum()
    }

    /// Ends it as an operator does; gives the exit status.
    pub fn stop(mut self) -> i32 {
        self.signal(Signal::SIGTERM);
        let status = self.child.wait().unwrap().code().unwrap_or(-1);
        if status != 0 {
            eprintln!("it ended with {status}; {}", self.last_words());
        }
        status
    }

    /// What it said last, for whoever looks for the reason of a failure.
    fn last_words(&self) -> String {
        let said = self.said();
        let last: Vec<&str> = said.lines().rev().take(20).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        format!("{} said last:\n{}", self.log.display(), last.join("\n"))
    }

    /// Waits for its end; gives the exit status.
    pub fn end(&mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.last_words());
        }
        // One that has ended needs no end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What GET answers.
pub fn get(address: &str, path: &str) -> (u16, String) {
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let mut answer =
        ureq::Agent::new_with_config(config).get(&format!("http://{address}{path}")).call().unwrap();
    (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
}

/// A record as anybody may put it on a topic.
pub fn put(stream: StreamSpec, partition: u32, key: &str, value: Vec<u8>) -> NewRecord {
    let placement = Placement::Exactly(partition);
    Emit { stream: stream.name, key: key.into(), value: Some(value), placement }.into()
}
