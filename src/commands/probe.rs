//! `millrace probe`.

use millrace_media::{Inspected, ProbedStream};
use millrace_schemas::masked_url;
use millrace_storage::Stores;
use millrace_worker::{Probes, probe_json};

use crate::{
    cli::{Fact, Probe},
    config::Config,
    error::CommandError,
    inputs::parse_url,
    terminal::print,
};

pub(super) async fn probe(call: &Probe) -> Result<u8, CommandError> {
    let name = masked_url(&call.input.to_string_lossy());
    let url = parse_url(&call.input).map_err(|error| CommandError::Failed(format!("{name}: {error}")))?;
    let probes = Probes::new(Stores::default(), Config::of_flags(&call.decoding)?.media_processes()?)?;
    let (source, found) = probes.inspect(&url).await.map_err(CommandError::failed)?;
    if let Some(fact) = fact(&call.fact, &found) {
        let fact = fact.map_err(|missing| CommandError::Failed(format!("{name}: {missing}")))?;
        print(&fact);
    } else if call.json {
        print(&probe_json(&source, &found).to_string());
    } else {
        show(&name, source.bytes, &found);
    }
    Ok(0)
}

/// Returns the one fact that is asked for; `None` if none is.
fn fact(asked: &Fact, found: &Inspected) -> Option<Result<String, String>> {
    let video = found.facts.video.as_ref();
    let stream = video.and_then(|video| found.streams.iter().find(|stream| stream.index == video.stream));
    let no_video = || "there is no video in it".to_owned();
    let unknown = |what: &str| format!("it does not state {what}");
    if asked.duration {
        let known = (found.duration_seconds > 0.0).then(|| format!("{:.3}", found.duration_seconds));
        return Some(known.ok_or_else(|| unknown("how long it is")));
    }
    if asked.size {
        let is_transposed = video.is_some_and(|video| video.picture.rotation % 180 != 0);
        let size = stream.and_then(|stream| stream.width.zip(stream.height));
        let shown = size.map(|(w, h)| if is_transposed { format!("{h}x{w}") } else { format!("{w}x{h}") });
        return Some(shown.ok_or_else(no_video));
    }
    if asked.frames {
        let count = stream.ok_or_else(no_video).map(|stream| stream.frames);
        return Some(count.and_then(|count| {
            count.map(|count| count.to_string()).ok_or_else(|| unknown("how many pictures it has"))
        }));
    }
    if asked.frame_rate {
        let rate = stream.ok_or_else(no_video).map(|stream| stream.frame_rate);
        let known = |rate: Option<f64>| rate.ok_or_else(|| unknown("its frame rate"));
        return Some(rate.and_then(known).map(|rate| ((rate * 1000.0).round() / 1000.0).to_string()));
    }
    if asked.codec {
        let sound = || found.facts.audio.first().map(|audio| audio.stream);
        let sound = || found.streams.iter().find(|stream| Some(stream.index) == sound());
        let codec = stream.or_else(sound).map(|stream| stream.codec.clone());
        return Some(codec.ok_or_else(|| "there is neither video nor sound in it".into()));
    }
    if asked.bit_rate {
        let known = (found.bit_rate > 0).then(|| found.bit_rate.to_string());
        return Some(known.ok_or_else(|| unknown("its bit rate")));
    }
    asked.container.then(|| Ok(found.container.clone()))
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
