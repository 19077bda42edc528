//! Publishes an upload, and waits for what becomes of it:
//!
//!     cargo run --example upload -- NAME SOURCE OUTPUT
//!
//! `MILLRACE_BROKERS`, `MILLRACE_SCHEMA_REGISTRY`, `MILLRACE_TOPIC_PREFIX` and `MILLRACE_APPLICATION` name the cluster, as for
//! `millrace`.

mod cluster;

use std::{collections::HashMap, error::Error, sync::Arc};

use millrace_runtime::{Log, Tail, Transaction};
use millrace_schemas::{Merged, Phase, Upload};
use millrace_topology::{Emit, streams};

/// The label by which this program finds the results of its own uploads.
const LABEL: &str = "example";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, source, output] = arguments.as_slice() else {
        return Err("usage: upload NAME SOURCE OUTPUT".into());
    };
    let log: Arc<dyn Log> = Arc::new(cluster::connect().await?);

    let upload = Upload {
        // The same name is the same execution, however often it is published.
        name: Some(name.clone()),
        // Labels come back on every record about the execution.
        labels: HashMap::from([(LABEL.to_owned(), name.clone())]),
        dst_formats: vec!["mp4".into(), "flv".into()],
        segment_time_seconds: 5.0,
        ..Upload::of(source, output)
    };
    let record = Emit::new(streams::UPLOADS, source, &upload)?;
    log.commit(Transaction { records: vec![record.into()], ..Transaction::default() }).await?;

    // From the start: the execution may have ended before, if its name was used before.
    let mut merged = Tail::<Merged>::from_start(log.clone(), streams::MERGED).await?;
    let mut changes = log.changes();
    let merged = loop {
        changes.mark_seen();
        let ours = |merged: &Merged| merged.labels.get(LABEL) == Some(name);
        if let Some(found) = merged.read_new().await?.into_iter().rfind(ours) {
            break found;
        }
        changes.changed().await;
    };
    for output in &merged.outputs {
        println!("{} ({} bytes, {:.2} s)", output.url, output.bytes, output.duration_seconds);
    }
    match merged.state {
        Phase::Succeeded => Ok(()),
        _ => Err(merged.reason.unwrap_or_else(|| "cancelled".into()).into()),
    }
}
