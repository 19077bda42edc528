//! `millrace probe`.

use millrace_media::{Inspected, ProbedStream};
use millrace_schemas::masked_url;
use millrace_storage::Stores;
use millrace_worker::{Probes, probe_json};

use crate::{cli::Probe, config::Config, error::CommandError, inputs::parse_url, terminal::print};

pub(super) async fn probe(call: &Probe) -> Result<u8, CommandError> {
    let name = masked_url(&call.input.to_string_lossy());
    let url = parse_url(&call.input).map_err(|error| CommandError::Failed(format!("{name}: {error}")))?;
    let probes = Probes::new(Stores::default(), Config::of_flags(&call.decoding)?.media_processes()?)?;
    let (source, found) = probes.inspect(&url).await.map_err(CommandError::failed)?;
    if call.json {
        print(&probe_json(&source, &found).to_string());
    } else {
        show(&name, source.bytes, &found);
    }
    Ok(0)
}

fn show(name: &str, bytes: i64, found: &Inspected) {
    let rate = if found.bit_rate > 0 { format!(", {} kbit/s", found.bit_rate / 1000) } else { String::new() };
    print(&format!("{name}: {}, {:.3} s, {bytes} bytes{rate}", found.container, found.duration_seconds));
    for stream in &found.streams {
        print(&format!("  #{} {}", stream.index, describe(stream)));
    }
    for (key, value) in &found.facts.metadata {
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
