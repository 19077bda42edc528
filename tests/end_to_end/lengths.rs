//! Sound of any length is published whole, to the sample. The same seeds make the same sounds:
//! `make lengths FIRST=1 COUNT=10000`.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::Instant,
};

use serde_json::Value;

use crate::common::{
    Place, judge,
    media::{
        ffmpeg,
        index::Mp4,
        lengths::{self, AAC_PACKET, AAC_RATES, Kind, Sound},
    },
};

/// How many files go through one process.
const PORTION: u64 = 100;

/// The rate that Opus is decoded at (RFC 7845, 5.1), and how many samples libopus puts before the first one.
const OPUS_RATE: u64 = 48_000;
const OPUS_PRIMING: u64 = 312;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |value| value.parse().unwrap())
}

/// The rate of AAC that a rate becomes.
fn aac_rate(rate: u64) -> u64 {
    AAC_RATES.into_iter().map(u64::from).find(|known| *known >= rate).unwrap()
}

/// A sound, and how much of it a player plays.
struct Source {
    sound: Sound,
    rate: u64,
    samples: u64,
    /// How far a count may be off, in samples: where the container or another rate rounds.
    slack: u64,
}

impl Source {
    fn new(sound: Sound, decoded: u64) -> Self {
        let rate = u64::from(sound.rate);
        let encoded = u64::from(sound.samples);
        match sound.kind {
            // FFmpeg's decoder does not cut the last packet where an edit list ends.
            Kind::M4a => Self { sound, rate, samples: encoded, slack: 0 },
            Kind::CoarseM4a => Self { sound, rate, samples: encoded, slack: rate / 1000 + 1 },
            // FFmpeg reads ahead at the rate that the container says, and counts what is not heard in it.
            Kind::OpusInWebm => {
                let samples = (encoded * OPUS_RATE).div_ceil(rate);
                // Its decoder forgets the priming of a packet that is also the last one.
                let lone = samples + OPUS_PRIMING <= OPUS_RATE / 50;
                Self { sound, rate: OPUS_RATE, samples, slack: if lone { OPUS_PRIMING } else { 1 } }
            }
            Kind::OpusInOgg => Self { sound, rate: OPUS_RATE, samples: decoded, slack: 0 },
            _ => Self { sound, rate, samples: decoded, slack: 0 },
        }
    }

    /// How many samples it is at another rate, and how far that may be off.
    fn at_rate(&self, rate: u64) -> (u64, u64) {
        let samples = (self.samples * rate).div_ceil(self.rate);
        let slack = (self.slack * rate).div_ceil(self.rate);
        (samples, if rate == self.rate { slack } else { slack + 2 })
    }
}

/// An output: its facts in the result, its file, and how many samples ffmpeg decodes of it.
struct Output<'a> {
    audio: &'a Value,
    path: &'a Path,
    decoded: u64,
}

impl Output<'_> {
    fn field(&self, name: &str) -> u64 {
        self.audio[name].as_u64().unwrap()
    }
}

/// Returns the fault of an mp4, if it has one.
fn fault_of_mp4(source: &Source, output: &Output<'_>) -> Option<String> {
    let (rate, samples) = (output.field("sample_rate"), output.field("samples"));
    let (expected, slack) = source.at_rate(rate);
    let shown = Mp4(std::fs::read(output.path).unwrap()).shown("soun");
    // FFmpeg 5.1 does not cut the last packet where the edit list ends.
    let whole = samples.div_ceil(u64::from(AAC_PACKET)) * u64::from(AAC_PACKET);
    if rate != aac_rate(source.rate) {
        Some(format!("mp4: {rate} samples a second"))
    } else if samples.abs_diff(expected) > slack {
        Some(format!("mp4: {samples} samples instead of {expected}"))
    } else if (shown - samples as f64).abs() > 0.5 {
        Some(format!("mp4: {samples} samples in the result, {shown} in the edit list"))
    } else if output.decoded != samples && output.decoded != whole {
        Some(format!("mp4: {samples} samples in the result, and {} are decoded", output.decoded))
    } else {
        None
    }
}

/// Returns the fault of an flv, if it has one. It plays the encoder's priming and padding: whole packets, one more than the
/// sound fills.
fn fault_of_flv(source: &Source, output: &Output<'_>) -> Option<String> {
    let (rate, samples) = (output.field("sample_rate"), output.field("samples"));
    let (expected, slack) = source.at_rate(rate);
    let whole = |samples: u64| (1 + samples.div_ceil(u64::from(AAC_PACKET))) * u64::from(AAC_PACKET);
    if rate % aac_rate(source.rate) != 0 {
        Some(format!("flv: {rate} samples a second"))
    } else if !(whole(expected.saturating_sub(slack))..=whole(expected + slack)).contains(&samples) {
        Some(format!("flv: {samples} samples in packets instead of {}", whole(expected)))
    } else if output.decoded != samples {
        Some(format!("flv: {samples} samples in the result, and {} are decoded", output.decoded))
    } else {
        None
    }
}

/// Runs the sounds of these seeds through one process; returns what is wrong.
fn portion(seeds: std::ops::Range<u64>) -> Vec<String> {
    let place = Place::new();
    let folder = place.path("in");
    let sounds: Vec<Sound> = seeds.map(Sound::new).collect();
    lengths::write(&folder, &sounds);
    let paths: Vec<PathBuf> = sounds.iter().map(|sound| sound.path(&folder)).collect();
    let inputs: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    let ran = place.run(&inputs, &["-f", "mp4", "-f", "flv"]);
    let by_source: HashMap<&str, &Value> =
        ran.lines.iter().map(|line| (line["source"].as_str().unwrap(), line)).collect();
    let mut wrong = Vec::new();
    let mut made = Vec::new();
    for (sound, path) in sounds.iter().zip(&paths) {
        let line = by_source[path.to_str().unwrap()];
        if line["state"] != "succeeded" {
            wrong.push(format!("{sound:?}: {}", line["reason"]));
        } else if line["warnings"].as_array().is_some_and(|warnings| !warnings.is_empty()) {
            wrong.push(format!("{sound:?}: {}", line["warnings"]));
        } else {
            made.push((*sound, line));
        }
    }
    // Each source, its mp4 and its flv.
    let mut files = Vec::new();
    for (sound, _) in &made {
        let output = |format: &str| place.path(&format!("out/{}.{format}", sound.seed));
        files.extend([sound.path(&folder), output("mp4"), output("flv")].map(|path| (path, sound.channels)));
    }
    let decoded = if files.is_empty() { Vec::new() } else { lengths::count_decoded(&files, &folder) };
    for (((sound, line), decoded), files) in made.into_iter().zip(decoded.chunks(3)).zip(files.chunks(3)) {
        let source = Source::new(sound, decoded[0]);
        let output = |number: usize, format: &str| {
            let outputs = line["outputs"].as_array().unwrap();
            let audio = &outputs.iter().find(|output| output["format"] == format).unwrap()["audio"];
            Output { audio, path: &files[number].0, decoded: decoded[number] }
        };
        let faults = [fault_of_mp4(&source, &output(1, "mp4")), fault_of_flv(&source, &output(2, "flv"))];
        wrong.extend(faults.into_iter().flatten().map(|fault| format!("{:?}: {fault}", source.sound)));
    }
    wrong
}

fn check(first: u64, count: u64) {
    let begun = Instant::now();
    let mut wrong = Vec::new();
    for seed in (first..first + count).step_by(usize::try_from(PORTION).unwrap()) {
        let seeds = seed..(seed + PORTION).min(first + count);
        let found = portion(seeds.clone());
        if count > PORTION {
            found.iter().for_each(|found| println!("{found}"));
            println!(
                "up to seed {}: {} wrong, {:.0?}",
                seeds.end - 1,
                wrong.len() + found.len(),
                begun.elapsed()
            );
        }
        wrong.extend(found);
    }
    assert!(wrong.is_empty(), "{} of {count} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn sound_around_a_packet_boundary_is_published_to_the_sample() {
    check(1, PORTION);
}

#[test]
#[ignore = "make lengths"]
fn sounds_of_thousands_of_lengths_are_published_to_the_sample() {
    check(number("FIRST", 1), number("COUNT", 10_000));
}

/// An MP3 encoder's delay and a decoder's make 1105 samples: those behind whole packets may need a packet that holds none of them.
#[test]
fn mp3_of_any_length_is_whole_to_the_sample() {
    let place = Place::new();
    for rate in ["22050", "44100"] {
        for more in [0, 1, 47, 48] {
            let samples = 20 * 1152 + more;
            let source = place.path(&format!("{rate}-{more}.wav"));
            let sound = format!("aevalsrc=0.3*sin(2*PI*(300+60*t)*t):s={rate},atrim=end_sample={samples}");
            ffmpeg(&["-f", "lavfi", "-i", &sound, source.to_str().unwrap()]);
            for format in ["mp3", "mka"] {
                let text = format!("[audio.a]\ncodec = \"mp3\"\n[[output]]\nformat = \"{format}\"");
                let profile = place.write("p.toml", text);
                place.run(&[&source], &["--profile", profile.to_str().unwrap()]).success();
                let output = place.path(&format!("out/{rate}-{more}.{format}"));
                let found =
                    (judge::span_of_sound(&output) * f64::from(rate.parse::<i32>().unwrap())).round() as i64;
                if format == "mp3" {
                    assert_eq!(found, samples, "{rate} and {more}");
                } else {
                    // Priming is heard in it.
                    assert!((samples..=samples + 1152 + 48).contains(&found), "{rate} and {more}: {found}");
                }
            }
        }
    }
}
