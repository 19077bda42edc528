//! A processor of your own: reads `merged`, and writes a JSON file for each execution that ended.
//!
//!     cargo run --example catalogue -- FOLDER
//!
//! It runs until Ctrl-C. Start it several times: the processes share the partitions. The variables are those of the example
//! `upload`.

mod cluster;

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use millrace_runtime::{Level, Log, Options, Stopper, run_processor};
use millrace_schemas::{Merged, RecordError, frame::Record as _};
use millrace_topology::{Emit, Processor, ProcessorError, ProcessorSpec, Task, streams};

/// Writes a file for each execution.
struct Catalogue {
    folder: PathBuf,
}

#[async_trait]
impl Processor for Catalogue {
    type In = Merged;

    /// A value that is no `Merged` becomes a dead letter, and the partition goes on.
    fn read(&self, value: &[u8]) -> Result<Merged, RecordError> {
        Merged::decode(value)
    }

    /// Runs again with the same record after a crash, so it must do no harm the second time: it writes the same file.
    async fn handle(&self, merged: &Merged, _: Task) -> Result<Vec<Emit>, ProcessorError> {
        // `Transient` is tried again with growing pauses, for five minutes; `Permanent` is a dead letter at once.
        write(&self.folder, merged).map_err(|error| ProcessorError::Transient(error.to_string()))?;
        // Records that are returned here are published in one transaction with the offset of `merged`.
        Ok(Vec::new())
    }

    /// Records to publish if a record is given up. Its dead letter has the reason.
    fn given_up(&self, _: &Merged, _: Task, _: &str) -> Vec<Emit> {
        Vec::new()
    }
}

/// Writes `<execution>.json`, at once and whole.
fn write(folder: &Path, merged: &Merged) -> std::io::Result<()> {
    let path = folder.join(format!("{}.json", merged.execution));
    let part = path.with_extension("part");
    fs::write(&part, serde_json::to_vec_pretty(merged)?)?;
    fs::rename(part, path)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("usage: catalogue FOLDER")?);
    fs::create_dir_all(&folder)?;
    let log: Arc<dyn Log> = Arc::new(cluster::connect().await?);
    // Its consumer group is <application>-catalogue.
    let spec = ProcessorSpec::new("catalogue", "writes a file for each execution", streams::MERGED, []);
    let (stopper, stop) = Stopper::new();
    let run = run_processor(log, spec, Arc::new(Catalogue { folder }), Options::default(), stop);
    tokio::pin!(run);
    tokio::select! {
        ended = &mut run => return Ok(ended?),
        pressed = tokio::signal::ctrl_c() => pressed?,
    }
    // Takes no more records, and finishes those it has begun.
    stopper.raise(Level::Drain);
    Ok(run.await?)
}
