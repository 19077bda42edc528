//! `millrace clip`.

use millrace_formats::TABLES;
use millrace_media::{ClipTask, Clipped};
use millrace_storage::Stores;
use millrace_worker::LightWork;
use serde_json::json;

use super::light::occupied;
use crate::{
    cli::Clip,
    config::Config,
    error::CommandError,
    inputs::{display_name, parse_output, parse_url},
    terminal::{note, print},
};

pub(super) async fn clip(call: &Clip) -> Result<u8, CommandError> {
    let source = parse_url(&call.input).map_err(CommandError::Call)?;
    let url = parse_output(&call.output).map_err(CommandError::Call)?;
    let from = call.from.unwrap_or(0.0);
    if call.to.is_some_and(|to| to <= from) {
        return Err(CommandError::Call(format!("it ends before it begins, at {from} s: give a later end")));
    }
    if source == url {
        return Err(CommandError::Call(
            "the clip would be written over its source; name another file".into(),
        ));
    }
    let container = container(&url).map_err(CommandError::Call)?;
    let task = ClipTask { from, to: call.to, snaps: call.from_keyframe, container, cores: 0 };
    let light = LightWork::new(Stores::default(), Config::of_flags(&call.decoding)?.media_processes()?)?;
    light.check_free(&url, call.overwrite).await.map_err(occupied)?;
    let made = light.clip(&source, task, (&url, call.overwrite)).await;
    let (Clipped { from, to, pictures, encoded, sounds, remarks }, bytes) =
        made.map_err(CommandError::failed)?;
    if call.json {
        let facts = json!({"from": from, "to": to, "pictures": pictures, "encoded": encoded, "audio_tracks": sounds, "remarks": remarks});
        print(&json!({"output": url, "bytes": bytes, "facts": facts}).to_string());
    } else {
        let name = display_name(&url);
        let how = match encoded {
            0 => "all copied".to_owned(),
            encoded => format!("{encoded} of them encoded"),
        };
        print(&format!("{name}: from {from:.3} s to {to:.3} s, {pictures} pictures, {how}, {bytes} bytes"));
        for remark in remarks {
            note(&format!("{name}: {remark}"));
        }
    }
    Ok(0)
}

/// Returns the container of a file by its extension.
fn container(url: &str) -> Result<String, String> {
    let name = url.rsplit('/').next().unwrap_or_default();
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
    let holds_pictures =
        TABLES.containers.iter().filter(|container| container.is_one_file() && container.video.most > 0);
    let mut known = holds_pictures.map(|container| container.name);
    match known.clone().find(|name| **name == extension) {
        Some(name) => Ok(name.into()),
        None => {
            let known: Vec<String> = known.by_ref().map(|name| format!(".{name}")).collect();
            Err(format!("'{name}': its extension names no format of video; these work: {}", known.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_has_the_format_of_its_name() {
        assert_eq!(container("s3://b/a.b/c.MKV"), Ok("mkv".into()));
        for url in ["file:///a/c", "file:///a/c.wav", "file:///a/c.avi"] {
            assert!(container(url).unwrap_err().contains("these work: .mp4, .flv"), "{url}");
        }
    }
}
