//! `make servers`: Kafka and a schema registry in the foreground, until Ctrl-C; their data stay.

use std::{io::Read, path::PathBuf, process::ExitCode};

use millrace_servers::{Kafka, Registry, ServerError};

fn run() -> Result<(), ServerError> {
    let folder = PathBuf::from("demo/servers");
    eprintln!(
        "servers: starting Kafka and Apicurio Registry; their data and logs are in {}",
        folder.display()
    );
    let kafka = Kafka::start_at(&std::path::absolute(&folder).unwrap_or(folder.clone()), 9092)?;
    let registry = Registry::start_at(8081, &folder.join("registry.log"))?;
    println!("export MILLRACE_BROKERS={} MILLRACE_SCHEMA_REGISTRY={}", kafka.brokers(), registry.url());
    eprintln!("servers: Kafka and the registry answer; the line above sets up a shell; Ctrl-C ends both");
    // Ctrl-C ends this process, and with it both, or the end of standard input does.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    loop {
        std::thread::park();
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("servers: {error}");
            ExitCode::FAILURE
        }
    }
}
