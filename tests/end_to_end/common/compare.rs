//! Compares outputs that were made of one source in several ways: their pictures, timestamps and samples as ffmpeg decodes them,
//! and what `run --json` reports about them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Pictures are scaled to this size to be compared.
const SIZE: (usize, usize) = (128, 96);
/// The size of a picture in bytes, in 4:2:0.
const PICTURE_BYTES: usize = SIZE.0 * SIZE.1 * 3 / 2;
/// The least PSNR of two encodes of the same picture, in dB. Measured: 31 and more; of neighbouring pictures 8 to 20.
const LEAST_PSNR: f64 = 28.0;
/// Timestamps this close are equal, in seconds: they are computed from ticks of different clocks.
const EPSILON: f64 = 1e-6;

/// The result of a source.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// The execution failed, for this reason.
    Failed(String),
    /// The execution succeeded: its line of JSON, and the output.
    Succeeded(Value, PathBuf),
    /// The process reported neither; what it reported.
    Missing(String),
}

impl Verdict {
    /// Reads a line of `run --json`.
    pub fn of(line: &Value) -> Self {
        match line["state"].as_str() {
            Some("succeeded") => {
                let url = line["outputs"][0]["url"].as_str().unwrap();
                Self::Succeeded(line.clone(), PathBuf::from(url.strip_prefix("file://").unwrap()))
            }
            Some("failed") => Self::Failed(line["reason"].as_str().unwrap().into()),
            _ => Self::Missing(line.to_string()),
        }
    }

    /// Returns the number of segments; 0 if the execution failed.
    pub fn segments(&self) -> u64 {
        match self {
            Self::Succeeded(line, _) => line["segments"].as_u64().unwrap(),
            _ => 0,
        }
    }
}

/// A decoded output.
struct Decoded {
    /// The presentation time and the duration of each picture in seconds, sorted by time.
    times: Vec<(f64, f64)>,
    pictures: Vec<u8>,
    samples: Vec<i16>,
}

/// Decodes an output with ffmpeg, which must not report an error.
fn decode(line: &Value, path: &Path) -> Result<Decoded, String> {
    let [pictures, packets, samples] = ["yuv", "packets", "pcm"].map(|name| path.with_extension(name));
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-y", "-threads", "1", "-copyts", "-i"]).arg(path);
    if !line["outputs"][0]["video"].is_null() {
        let scale = format!("scale={}:{}:flags=area,format=yuv420p", SIZE.0, SIZE.1);
        command.args(["-map", "0:v:0", "-vf", &scale, "-fps_mode", "passthrough"]);
        // The clock of the source, in which no two timestamps become equal.
        command.args(["-enc_time_base", "-1", "-f", "rawvideo"]).arg(&pictures);
        command.args(["-map", "0:v:0", "-c", "copy", "-f", "framecrc"]).arg(&packets);
    }
    if !line["outputs"][0]["audio"].is_null() {
        command.args(["-map", "0:a:0", "-f", "s16le"]).arg(&samples);
    }
    let output = command.output().expect("ffmpeg");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() || !errors.is_empty() {
        return Err(errors);
    }
    // A track that is not there has no file.
    let read = |path: &Path| {
        let bytes = std::fs::read(path).unwrap_or_default();
        let _ = std::fs::remove_file(path);
        bytes
    };
    Ok(Decoded {
        times: times(&String::from_utf8(read(&packets)).unwrap()),
        pictures: read(&pictures),
        samples: read(&samples).chunks_exact(2).map(|b| i16::from_le_bytes(b.try_into().unwrap())).collect(),
    })
}

/// Reads presentation times and durations from ffmpeg's format `framecrc`.
fn times(listing: &str) -> Vec<(f64, f64)> {
    let Some(clock) = listing.lines().find_map(|line| line.strip_prefix("#tb 0: ")) else {
        return Vec::new();
    };
    let (num, den) = clock.split_once('/').unwrap();
    let tick = num.trim().parse::<f64>().unwrap() / den.trim().parse::<f64>().unwrap();
    let row = |line: &str| {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        (fields[2].parse::<f64>().unwrap() * tick, fields[3].parse::<f64>().unwrap() * tick)
    };
    let mut rows: Vec<_> = listing.lines().filter(|line| !line.starts_with('#')).map(row).collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    rows
}

/// Compares each verdict with the last. Returns a description of each difference, which begins with its kind: `verdict`,
/// `warnings`, `report`, `decode`, `count`, `time`, `end`, `picture` or `sound`.
pub fn differences(verdicts: &[(&str, Verdict)]) -> Vec<String> {
    let Some(((last_name, last), rest)) = verdicts.split_last() else { return Vec::new() };
    let decoded_last = match last {
        Verdict::Succeeded(line, path) => Some(decode(line, path)),
        Verdict::Failed(_) | Verdict::Missing(_) => None,
    };
    let mut found = same_warnings(rest);
    for (name, verdict) in rest {
        let labelled = |(kind, text): (&str, String)| format!("{kind}: {name} / {last_name}: {text}");
        match (verdict, last) {
            (Verdict::Missing(text), _) | (_, Verdict::Missing(text)) => {
                found.push(labelled(("verdict", format!("missing: {text}"))));
            }
            (Verdict::Failed(_), Verdict::Failed(_)) => {}
            (Verdict::Succeeded(..), Verdict::Failed(reason)) => {
                found.push(labelled(("verdict", format!("succeeded / failed ({reason})"))));
            }
            (Verdict::Failed(reason), Verdict::Succeeded(..)) => {
                found.push(labelled(("verdict", format!("failed ({reason}) / succeeded"))));
            }
            (Verdict::Succeeded(line, path), Verdict::Succeeded(last_line, _)) => {
                found.extend(compare_reports(line, last_line).into_iter().map(labelled));
                match (&decode(line, path), decoded_last.as_ref().unwrap()) {
                    (Ok(one), Ok(other)) => {
                        found.extend(compare_decoded(one, other).into_iter().map(labelled));
                    }
                    (Err(text), _) | (_, Err(text)) => found.push(labelled(("decode", text.clone()))),
                }
            }
        }
    }
    found
}

/// Compares the warnings of the same segments in batches of different lengths: they must be the same to the letter.
fn same_warnings(verdicts: &[(&str, Verdict)]) -> Vec<String> {
    let differ = |pair: &[(&str, Verdict)]| match (&pair[0], &pair[1]) {
        ((a, Verdict::Succeeded(one, _)), (b, Verdict::Succeeded(other, _)))
            if one["warnings"] != other["warnings"] =>
        {
            Some(format!("warnings: {a} / {b}: {} / {}", one["warnings"], other["warnings"]))
        }
        _ => None,
    };
    verdicts.windows(2).filter_map(differ).collect()
}

type Differences = Vec<(&'static str, String)>;

/// Compares the warnings and the facts of two lines of `run --json`.
fn compare_reports(one: &Value, other: &Value) -> Differences {
    let mut found = Vec::new();
    // Damage is gathered by segment: what is one place in a long one is several in short ones.
    let (a, b) = (&one["warnings"], &other["warnings"]);
    if a.as_array().unwrap().is_empty() != b.as_array().unwrap().is_empty() {
        found.push(("warnings", format!("{a} / {b}")));
    }
    let (a, b) = (&one["outputs"][0], &other["outputs"][0]);
    for (name, value) in a.as_object().unwrap() {
        if ["url", "bytes"].contains(&name.as_str()) || *value == b[name] {
            continue;
        }
        let Some(fields) = value.as_object() else {
            found.push(("report", format!("{name}: {value} / {}", b[name])));
            continue;
        };
        for (field, value) in fields {
            let other = &b[name][field.as_str()];
            if value != other {
                found.push(("report", format!("{name}.{field}: {value} / {other}")));
            }
        }
    }
    found
}

fn compare_decoded(one: &Decoded, other: &Decoded) -> Differences {
    let mut found = Vec::new();
    let (a, b) = (&one.times, &other.times);
    if a.len() != b.len() {
        let missing = format!("without {} / without {}", missing_times(b, a), missing_times(a, b));
        found.push(("count", format!("{} pictures / {}; {missing}", a.len(), b.len())));
    } else if let Some(i) = (0..a.len()).find(|i| (a[*i].0 - b[*i].0).abs() > EPSILON) {
        found.push(("time", format!("picture {i} is at {:.6} s / {:.6} s", a[i].0, b[i].0)));
    } else {
        let end = |rows: &[(f64, f64)]| rows.last().map_or(0.0, |row| row.0 + row.1);
        if (end(a) - end(b)).abs() > EPSILON {
            found.push(("end", format!("the pictures end at {:.6} s / {:.6} s", end(a), end(b))));
        }
        found.extend(compare_pictures(&one.pictures, &other.pictures).map(|text| ("picture", text)));
    }
    let (a, b) = (&one.samples, &other.samples);
    if a.len() != b.len() {
        found.push(("sound", format!("{} samples / {}", a.len(), b.len())));
    } else if let Some(i) = (0..a.len()).find(|i| a[*i].abs_diff(b[*i]) > 2) {
        found.push(("sound", format!("sample {i} is {} / {}", a[i], b[i])));
    }
    found
}

/// Lists the first times of `all` that have no counterpart in `others`.
fn missing_times(all: &[(f64, f64)], others: &[(f64, f64)]) -> String {
    const MOST: usize = 6;
    let mut left: Vec<f64> = others.iter().map(|row| row.0).collect();
    let mut missing = Vec::new();
    for (time, _) in all {
        match left.iter().position(|other| (other - time).abs() < EPSILON) {
            Some(at) => drop(left.swap_remove(at)),
            None => missing.push(format!("{time:.3}")),
        }
    }
    let more = if missing.len() > MOST { " …" } else { "" };
    missing.truncate(MOST);
    format!("[{}{more}]", missing.join(" "))
}

/// Returns the PSNR of two pictures over all planes, in dB.
fn psnr(a: &[u8], b: &[u8]) -> f64 {
    let squares: u64 = a.iter().zip(b).map(|(x, y)| u64::from(x.abs_diff(*y)).pow(2)).sum();
    let mean = squares as f64 / a.len() as f64;
    if mean == 0.0 { 99.0 } else { 10.0 * (255.0 * 255.0 / mean).log10() }
}

/// Compares each picture with the one of the same number, and with the neighbours of that one.
fn compare_pictures(one: &[u8], other: &[u8]) -> Option<String> {
    let (a, b): (Vec<&[u8]>, Vec<&[u8]>) =
        (one.chunks_exact(PICTURE_BYTES).collect(), other.chunks_exact(PICTURE_BYTES).collect());
    if a.len() != b.len() {
        return Some(format!("{} are decoded / {}", a.len(), b.len()));
    }
    let mut differing = Vec::new();
    for i in 0..a.len() {
        let own = psnr(a[i], b[i]);
        let neighbours = [i.wrapping_sub(1), i + 1].into_iter().filter_map(|at| b.get(at));
        let neighbour = neighbours.map(|picture| psnr(a[i], picture)).fold(0.0, f64::max);
        if own < LEAST_PSNR || neighbour > own + 1.0 {
            differing.push((i, own, neighbour));
        }
    }
    let (i, own, neighbour) = *differing.first()?;
    Some(format!(
        "{} of {} differ, first number {i}: {own:.1} dB, and {neighbour:.1} dB to a neighbour",
        differing.len(),
        a.len()
    ))
}
