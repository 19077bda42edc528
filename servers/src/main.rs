//! `make servers`: Kafka, a schema registry and an S3 store in the foreground, until Ctrl-C. Their data stays. If the path of a
//! program is given, `PROGRAM topology --apply` creates the topics, and the store publishes its notifications to one of them.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use millrace_servers::{Kafka, Registry, ServerError, Store};

fn run(program: Option<&str>) -> Result<(), ServerError> {
    let folder = PathBuf::from("demo/servers");
    let folder = std::path::absolute(&folder).unwrap_or(folder);
    eprintln!(
        "servers: starting Kafka, Apicurio Registry and versitygw; their data and logs are in {}",
        folder.display()
    );
    let kafka = Kafka::start_at(&folder, 9092)?;
    let registry = Registry::start_at(8081, &folder.join("registry.log"))?;
    let (brokers, registry_url) = (kafka.brokers(), registry.url());
    let mut notifies = None;
    if let Some(program) = program {
        let mut command = Command::new(Path::new(program));
        command.args(["topology", "--apply"]).env("MILLRACE_BROKERS", &brokers);
        match command.env("MILLRACE_SCHEMA_REGISTRY", &registry_url).output() {
            Ok(output) if output.status.success() => notifies = Some((brokers.as_str(), "notifications")),
            Ok(output) => eprintln!(
                "servers: the topics could not be created: {}",
                String::from_utf8_lossy(&output.stderr)
            ),
            Err(error) => eprintln!("servers: {program}: {error}"),
        }
    }
    let store = Store::start_at(&folder.join("store"), 7070, notifies)?;
    store.bucket("videos")?;
    println!("export MILLRACE_BROKERS={brokers} MILLRACE_SCHEMA_REGISTRY={registry_url}");
    let variables = store.variables().map(|(name, value)| format!("{name}={value}"));
    println!("export {}", variables.join(" "));
    eprintln!(
        "servers: all three are ready, with topics and the bucket 'videos'; the lines above set up a shell; Ctrl-C ends them"
    );
    // Ctrl-C ends this process, and with it the servers.
    loop {
        std::thread::park();
    }
}

fn main() -> ExitCode {
    match run(std::env::args().nth(1).as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("servers: {error}");
            ExitCode::FAILURE
        }
    }
}
