//! `millrace probe`.

use millrace_media::{InspectTask, Inspected, Launcher, ProbedStream, Reply, Task};

use super::{CommandError, print};
use crate::cli::Probe;

pub(super) async fn probe(call: &Probe) -> Result<u8, CommandError> {
    let name = call.input.display();
    let failed = |error: &dyn std::fmt::Display| CommandError::Failed(format!("{name}: {error}"));
    let url = millrace_storage::url_of(&call.input).map_err(|error| failed(&error))?;
    let source = millrace_storage::pin(&url).map_err(CommandError::failed)?;
    let file = millrace_storage::open(&source).map_err(CommandError::failed)?;
    let launcher = Launcher::new(std::env::current_exe().map_err(|error| failed(&error))?);
    let task = Task::Inspect(InspectTask { segment_seconds: None });
    let reply = launcher.run(&task, vec![file.into()], |_| {}).await.map_err(|error| failed(&error))?;
    let Reply::Inspected(found) = reply else { return Err(failed(&"the media process gave another answer")) };
    if call.json {
        let facts = serde_json::json!({
            "source": url, "bytes": source.bytes, "container": found.container, "duration_seconds": found.duration_seconds,
            "bit_rate": found.bit_rate, "streams": found.streams, "metadata": found.metadata.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        });
        print(&facts.to_string());
    } else {
        show(&name.to_string(), source.bytes, &found);
    }
    Ok(0)
}

fn show(name: &str, bytes: i64, found: &Inspected) {
    let rate = if found.bit_rate > 0 { format!(", {} kbit/s", found.bit_rate / 1000) } else { String::new() };
    print(&format!("{name}: {}, {:.3} s, {bytes} bytes{rate}", found.container, found.duration_seconds));
    for stream in &found.streams {
        print(&format!("  #{} {}", stream.index, describe(stream)));
    }
    for (key, value) in &found.metadata {
        print(&format!("  {key}: {value}"));
    }
}

fn describe(stream: &ProbedStream) -> String {
    let mut words = vec![format!("{} {}", stream.kind, stream.codec)];
    if let (Some(width), Some(height)) = (stream.width, stream.height) {
        words.push(format!("{width}x{height}"));
    }
    words.extend(stream.pixel_format.clone());
    words.extend(stream.frame_rate.map(|rate| format!("{rate:.3} fps")));
    words.extend(stream.sample_rate.map(|rate| format!("{rate} Hz")));
    words.extend(stream.channels.map(|channels| format!("{channels} channels")));
    words.extend(stream.language.as_ref().map(|language| format!("[{language}]")));
    words.join(", ")
}
