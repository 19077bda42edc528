//! `millrace profiles`: those that ship and a user's own, what is wrong with one of a user's own, and what would be made of a source.

use std::{collections::BTreeSet, fmt::Write as _, path::Path};

use millrace_formats::{TABLES, is_high_range};
use millrace_processors::split::{Preview, preview};
use millrace_profiles::{
    Origin, Profile, ProfileReference, ProfileVersion, SHIPPED, Wanted, for_source, shipped,
};
use millrace_schemas::{AudioSettings, SourceFacts, Upload, VideoSettings, source_stem};
use millrace_storage::Stores;
use millrace_worker::{Probes, check_sandbox};
use serde_json::{Value, json};

use crate::{
    cli::{CheckProfile, ProfileLookup, Profiles},
    config::Config,
    error::CommandError,
    inputs::{display_name, parse_url},
    order::{SEGMENT_TIME_SECONDS, read_profile},
    profile_file::read_catalog,
    terminal::{note, print, print_lines},
};

pub(super) async fn profiles(call: Profiles) -> Result<u8, CommandError> {
    match call {
        Profiles::List { lookup, json } => list(&lookup, json),
        Profiles::Show { name, lookup, json } => show(&name, &lookup, json),
        Profiles::Check(call) => check(&call).await,
        Profiles::Diff { before, after, lookup } => diff(&before, &after, &lookup),
    }
}

fn list(lookup: &ProfileLookup, json: bool) -> Result<u8, CommandError> {
    let catalog = read_catalog(Config::profile_folder(lookup)?.as_deref()).map_err(CommandError::Call)?;
    let entries = catalog.entries();
    let names = entries.iter().map(|entry| &entry.profile.name).chain(catalog.faults().keys());
    let width = names.map(String::len).max().unwrap_or(0).max(12);
    for entry in &entries {
        let (name, description) = (&entry.profile.name, &entry.profile.description);
        let (version, origin) = (entry.version.to_string(), entry.origin.as_str());
        if json {
            let line =
                json!({"name": name, "version": version, "origin": origin, "description": description});
            print(&line.to_string());
            continue;
        }
        let from = match entry.origin {
            Origin::Shipped => String::new(),
            Origin::Own | Origin::InPlaceOfShipped => format!(" ({origin})"),
        };
        print(&format!("{name:<width$}  {version}  {description}{from}"));
    }
    for (file, reason) in catalog.faults() {
        if json {
            print(&json!({"file": file, "fault": reason}).to_string());
        } else {
            print_lines(&format!("{file:<width$}  faulty: {reason}"));
        }
    }
    Ok(u8::from(!catalog.faults().is_empty()))
}

/// Prints a profile as it is written, which is a start for one of a user's own.
fn show(name: &str, lookup: &ProfileLookup, json: bool) -> Result<u8, CommandError> {
    let folder = Config::profile_folder(lookup)?;
    let profile = read_profile(name, folder.as_deref())?;
    if json {
        print(&profile.to_json());
        return Ok(0);
    }
    let Ok(reference) = name.parse::<ProfileReference>() else {
        print(&profile.to_json());
        return Ok(0);
    };
    let name = reference.name.as_str();
    let written = SHIPPED.iter().find(|(known, _)| *known == name);
    // The text of the user's own file; of a profile that ships, its own.
    let text = match (written, &folder) {
        (Some((_, text)), _) if shipped(name).as_ref() == Some(&profile) => (*text).to_owned(),
        (_, Some(folder)) => own_text(folder, name)?,
        _ => profile.to_json(),
    };
    print(&format!("# {name}@{}", ProfileVersion::of(&profile)));
    print_lines(text.trim_end());
    Ok(0)
}

/// Returns the text of a profile of the user's own.
fn own_text(folder: &Path, name: &str) -> Result<String, CommandError> {
    let path = folder.join(format!("{name}.toml"));
    std::fs::read_to_string(&path)
        .map_err(|error| CommandError::Failed(format!("{}: {error}", path.display())))
}

/// Says what is wrong with a profile, or what would be made of a source by it.
async fn check(call: &CheckProfile) -> Result<u8, CommandError> {
    let profile = read_profile(&call.profile, Config::profile_folder(&call.lookup)?.as_deref())?;
    let wanted = match profile.wanted(&TABLES) {
        Ok(wanted) => wanted,
        Err(problems) => {
            for problem in &problems {
                print(&problem.to_string());
            }
            return Ok(1);
        }
    };
    let Some(source) = &call.source else {
        let names: Vec<String> = wanted.iter().flat_map(|wanted| wanted.file_names("{stem}")).collect();
        note(&format!("{}: it is right, and makes {}", call.profile, names.join(", ")));
        return Ok(0);
    };
    let media = Config::of_flags(&call.decoding)?.media_processes()?;
    let encoders = check_sandbox(media).await?;
    let url = parse_url(source).map_err(CommandError::Call)?;
    let probes = Probes::new(Stores::default(), media)?;
    let (source, found) = probes.survey(&url, SEGMENT_TIME_SECONDS).await.map_err(CommandError::failed)?;
    let upload = Upload { profile: Some(profile.to_json()), ..Upload::of(&url, "file:///") };
    match preview(&upload, &source, &found.facts, &encoders) {
        Ok(preview) if call.json => print(&preview_json(&preview).to_string()),
        Ok(preview) => {
            let wanted = for_source(wanted, &found.facts).map_err(CommandError::Failed)?;
            show_preview(&display_name(&url), &found.facts, &wanted, &preview);
        }
        Err(reason) => {
            print(&reason);
            return Ok(1);
        }
    }
    Ok(0)
}

fn show_preview(name: &str, facts: &SourceFacts, wanted: &[Wanted], preview: &Preview) {
    let mut holds = Vec::new();
    if let Some(video) = &facts.video {
        let picture = &video.picture;
        holds.push(format!(
            "pictures of {}x{} at {:.3} a second",
            picture.width,
            picture.height,
            picture.frame_rate.as_f64()
        ));
    }
    let tracks = facts.audio.len();
    holds.push(format!("{tracks} audio track{}", if tracks == 1 { "" } else { "s" }));
    print(&format!("{name}: {}", holds.join(", ")));
    for (output, wanted) in preview.outputs.iter().zip(wanted) {
        print(&format!("  {}", wanted.file_name(source_stem(name))));
        output
            .video
            .iter()
            .chain(&output.more_video)
            .for_each(|settings| print(&format!("    video  {}", video_text(settings))));
        output.audio.iter().for_each(|settings| print(&format!("    audio  {}", audio_text(settings))));
        output.remarks.iter().for_each(|remark| print(&format!("    note   {remark}")));
    }
    if let (Some(seconds), Some(trim)) = (preview.seconds, &preview.trim) {
        let to = trim.to.map_or_else(|| "its end".into(), |to| to.to_string());
        let from = trim.from.map_or_else(|| "0s".into(), |from| from.to_string());
        print(&format!("{seconds:.3} s of the source, from {from} to {to}"));
    }
    let ids: BTreeSet<&String> = preview.outputs.iter().flat_map(|output| &output.renditions).collect();
    print(&format!(
        "{} of pictures, cut into {}; {} in all",
        count(usize::from(preview.is_decoded), "decode"),
        count(preview.video_segments, "segment"),
        count(ids.len(), "rendition"),
    ));
    for left in &preview.left_out {
        print(&format!("left out: {left}"));
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn video_text(settings: &VideoSettings) -> String {
    let VideoSettings { codec, width, height, preset, pixel_format, .. } = settings;
    if settings.is_copy() {
        return format!("{codec} {width}x{height} {pixel_format}, copied");
    }
    let preset = if preset.is_empty() { String::new() } else { format!(", preset {preset}") };
    let mapped = match settings.tone_map {
        true => ", tone-mapped",
        false if is_high_range(settings.color) => ", high dynamic range",
        false => "",
    };
    let over_time = over_time(settings);
    let rate = rate_text(settings);
    format!("{codec} {width}x{height} {pixel_format}, {rate}{preset}{mapped}{over_time}")
}

/// Says how the size of pictures is decided: by a constant quality or an average, and within which bound.
fn rate_text(settings: &VideoSettings) -> String {
    let rate = settings.bit_rate.unwrap_or_default();
    let mut text = match rate.average {
        0 => format!("quality {}", settings.crf),
        average => format!("{} kbit/s on average, in passes over all segments", average / 1000),
    };
    if rate.most > 0 {
        let _ = write!(
            text,
            ", at most {} kbit/s with a buffer of {} kbit",
            rate.most / 1000,
            rate.buffer / 1000
        );
    }
    text
}

/// Says what becomes of pictures over time.
fn over_time(settings: &VideoSettings) -> String {
    let mut text = String::new();
    if settings.is_resampled() {
        let _ = write!(text, ", {:.3} a second", settings.frame_rate.as_f64());
    }
    let Some(filters) = &settings.filters else { return text };
    if filters.deinterlace {
        text.push_str(", deinterlaced");
    }
    if !filters.denoise.is_empty() {
        let _ = write!(text, ", {} denoising", filters.denoise);
    }
    let count = |number: usize, what: &str| match number {
        0 => String::new(),
        1 => format!(", with {what}"),
        _ => format!(", with {number} {what}s"),
    };
    text.push_str(&count(filters.overlays.len(), "image"));
    text.push_str(&count(filters.texts.len(), "text"));
    if let Some(subtitles) = &filters.subtitles {
        let of = subtitles.file.as_ref().map(|file| source_stem(&file.url));
        let of = of.map_or_else(|| format!("stream {}", subtitles.stream), |stem| format!("file {stem}"));
        let _ = write!(text, ", subtitles of {of} burnt in");
    }
    text
}

fn audio_text(settings: &AudioSettings) -> String {
    let AudioSettings { codec, bit_rate, sample_rate, channels, layout, filters, bits, .. } = settings;
    let loudness = filters.as_ref().and_then(|filters| filters.loudness);
    let loudness = loudness.map(|loudness| format!(", {loudness} LUFS")).unwrap_or_default();
    let rate = if *bit_rate > 0 { format!(", {} kbit/s", bit_rate / 1000) } else { String::new() };
    let layout = if layout.is_empty() { format!("{channels} channels") } else { layout.clone() };
    let rate = if settings.is_copy() { ", copied".into() } else { rate };
    let bits = if *bits > 0 { format!(", {bits} bits") } else { String::new() };
    format!("{codec} {sample_rate} Hz, {layout}{bits}{rate}{loudness}")
}

fn preview_json(preview: &Preview) -> Value {
    let outputs: Vec<Value> = preview
        .outputs
        .iter()
        .map(|output| {
            json!({"url": output.url, "format": output.format, "video": output.video, "audio": output.audio,
                   "renditions": output.renditions, "remarks": output.remarks})
        })
        .collect();
    json!({"outputs": outputs, "video_segments": preview.video_segments, "left_out": preview.left_out,
           "duration_seconds": preview.seconds})
}

/// Prints the keys in which two profiles differ.
fn diff(before: &str, after: &str, lookup: &ProfileLookup) -> Result<u8, CommandError> {
    let folder = Config::profile_folder(lookup)?;
    let value = |name: &str| -> Result<Value, CommandError> {
        let profile = Profile { name: String::new(), ..read_profile(name, folder.as_deref())? };
        serde_json::to_value(profile).map_err(CommandError::failed)
    };
    let mut lines = Vec::new();
    differences("", Some(&value(before)?), Some(&value(after)?), &mut lines);
    for line in &lines {
        print(line);
    }
    if lines.is_empty() {
        note(&format!("{before} and {after} say the same"));
    }
    Ok(u8::from(!lines.is_empty()))
}

/// Adds a line for each value that two JSON texts do not have alike: with `-` what only the first has, with `+` what only the second.
fn differences(key: &str, before: Option<&Value>, after: Option<&Value>, lines: &mut Vec<String>) {
    let inner = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    match (before, after) {
        (before, after) if before == after => {}
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            for name in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                differences(&inner(name), a.get(name), b.get(name), lines);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            for i in 0..a.len().max(b.len()) {
                differences(&format!("{key}[{i}]"), a.get(i), b.get(i), lines);
            }
        }
        (before, after) => {
            lines.extend(before.map(|value| format!("-{key} = {value}")));
            lines.extend(after.map(|value| format!("+{key} = {value}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_differ_by_keys() {
        let lines = |a: Value, b: Value| {
            let mut lines = Vec::new();
            differences("", Some(&a), Some(&b), &mut lines);
            lines
        };
        let a = json!({"video": {"main": {"quality": 20, "preset": "slow"}}, "output": [{"format": "mp4"}]});
        let b = json!({"video": {"main": {"quality": 23, "size": "2x2"}}, "output": [{"format": "mp4"}]});
        let wanted = [
            "-video.main.preset = \"slow\"",
            "-video.main.quality = 20",
            "+video.main.quality = 23",
            "+video.main.size = \"2x2\"",
        ];
        assert_eq!(lines(a.clone(), b), wanted);
        assert!(lines(a.clone(), a).is_empty());
    }
}
