//! The ends of the range of each key, and what is just beyond them: what tests set keys to. Pure.

use millrace_formats::{
    Codec,
    codec::{AudioCodec, VideoCodec},
};

use crate::{
    bounds::{
        BUFFER_SECONDS, FRAME_RATES, KEYFRAME_INTERVALS, LARGEST_SIDE, MOST_CHANNELS, SAMPLE_RATES,
        TEXT_SIZES, VIDEO_BIT_RATES,
    },
    check::audio::{GAIN, HIGH_PASS, LONGEST_FADE, LOUDNESS},
    geometry::SMALLEST_SIDE,
    trim::LATEST_SECONDS,
};

/// The image of lines that set one.
pub const IMAGE: &str = "file:///logo.png";

/// Lines of TOML that set one key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ends {
    /// The ends of its range, or each of its words.
    pub within: Vec<String>,
    /// What is just beyond the ends, or no word of it.
    pub beyond: Vec<String>,
}

impl Ends {
    fn new(
        key: &str,
        within: impl IntoIterator<Item = String>,
        beyond: impl IntoIterator<Item = String>,
    ) -> Self {
        let line = |value: String| format!("{key} = {value}");
        Self {
            within: within.into_iter().map(line).collect(),
            beyond: beyond.into_iter().map(line).collect(),
        }
    }

    fn numbers(key: &str, (least, most): (f64, f64), step: f64) -> Self {
        Self::new(key, [least, most].map(number), [least - step, most + step].map(number))
    }

    fn words(key: &str, words: &[&str]) -> Self {
        Self::new(key, words.iter().map(|word| quoted(word)), [quoted("nothing-known")])
    }

    /// Amounts of a unit, as texts.
    fn amounts(key: &str, (least, most): (f64, f64), step: f64, unit: &str) -> Self {
        let text = |amount: f64| format!("\"{}{unit}\"", (amount * 1e6).round() / 1e6);
        Self::new(key, [least, most].map(text), [least - step, most + step].map(text))
    }
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { value.to_string() }
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

/// A side of pictures, from the least one that can be asked for.
fn side(key: &str, least: i32) -> Ends {
    Ends::numbers(key, (least.into(), LARGEST_SIDE.into()), 2.0)
}

/// A size from the least side that can be asked for.
fn size(key: &str, least: i32) -> Ends {
    let text = |side: i32| format!("\"{side}x{side}\"");
    Ends::new(key, [least, LARGEST_SIDE].map(text), [least - 2, LARGEST_SIDE + 2].map(text))
}

/// A bit rate of pictures.
fn rates(key: &str) -> Ends {
    let (least, most) = VIDEO_BIT_RATES;
    Ends::new(
        key,
        [least, most].map(|rate| rate.to_string()),
        [least - 1, most + 1].map(|rate| rate.to_string()),
    )
}

/// A duration up to a greatest one.
fn seconds(key: &str, most: f64) -> Ends {
    Ends::new(key, [0.0, most].map(number), [-1.0, most + 1.0].map(number))
}

/// Returns the ends of the key at this path of [`KEYS`](crate::KEYS), of an encoding with this codec; `None` if the key is free text or a
/// name, or is none of such a codec.
#[must_use]
pub fn ends(path: &str, codec: &dyn Codec) -> Option<Ends> {
    let (table, key) = path.rsplit_once('.')?;
    match (table, codec.video(), codec.audio()) {
        ("video.NAME", Some(video), _) => of_video(key, codec, video),
        ("audio.NAME", _, Some(audio)) => of_audio(key, codec, audio),
        ("source.trim", ..) => Some(match key {
            // A part that begins behind the end of the source is refused when the source is known.
            "from" => Ends::new("trim", ["{ from = 0 }".into()], [trim("from", LATEST_SECONDS + 1.0)]),
            _ => Ends::new(
                "trim",
                [trim("to", 0.000_001), trim("to", LATEST_SECONDS)],
                [trim("to", 0.0), trim("to", LATEST_SECONDS + 1.0)],
            ),
        }),
        ("source.accept", ..) => {
            let inside = |ends: Ends| {
                let table = |line: String| format!("accept = {{ {line} }}");
                let table = |lines: Vec<String>| lines.into_iter().map(table).collect();
                Ends { within: table(ends.within), beyond: table(ends.beyond) }
            };
            Some(inside(match key {
                "max_size" => size(key, 2),
                _ => Ends::new(key, ["\"1h\"".into()], ["-1".into()]),
            }))
        }
        _ => None,
    }
}

fn trim(key: &str, seconds: f64) -> String {
    format!("{{ {key} = {seconds} }}")
}

fn of_video(key: &str, codec: &dyn Codec, video: &dyn VideoCodec) -> Option<Ends> {
    Some(match key {
        "codec" => Ends::words(key, &[&[codec.name()], codec.encoders()].concat()),
        "when_fits" => Ends::words(key, &["copy"]),
        "quality" => {
            let quality = video.quality();
            Ends::numbers(key, (quality.best, quality.worst), 1.0)
        }
        "bitrate" => rates(key),
        "max_bitrate" if video.holds_buffer() => rates(key),
        "max_bitrate" => Ends::new(key, [], [quoted("1M")]),
        "buffer" if video.holds_buffer() => {
            let (least, most) = BUFFER_SECONDS;
            let buffer = |bits: f64| format!("1000000\nbuffer = {bits:.0}");
            Ends::new(
                "max_bitrate",
                [1e6 * least, 1e6 * most].map(buffer),
                [1e6 * least - 1.0, 1e6 * most + 1.0].map(buffer),
            )
        }
        "buffer" => Ends::new(key, [], [quoted("1M")]),
        "subtitles" => {
            let (least, most) = TEXT_SIZES;
            let sized = |size: i32| format!("{{ burn = \"deu\", size = {size} }}");
            let file = |name: &str| format!("{{ file = \"file:///{name}\" }}");
            Ends::new(
                key,
                ["\"burn\"".into(), sized(least), sized(most), file("a.srt"), file("a.vtt")],
                [sized(least - 1), sized(most + 1), "{ burn = \"German\" }".into()],
            )
        }
        "preset" => {
            let presets = video.presets();
            Ends::words(key, &[presets.first()?, presets.last()?])
        }
        "size" => size(key, 2),
        "width" | "height" => side(key, 2),
        "upscale" => Ends {
            within: vec!["upscale = false".into(), "width = 96\nupscale = true".into()],
            beyond: vec!["upscale = true".into()],
        },
        "crop" => {
            let all = |amount: i32| {
                format!("{{ left = {amount}, top = {amount}, right = {amount}, bottom = {amount} }}")
            };
            Ends::new(key, [0, LARGEST_SIDE].map(all), [-2, 1, LARGEST_SIDE + 2].map(all))
        }
        "rotate" => Ends::new(
            key,
            ["90", "180", "270", "\"mirror\"", "\"flip\""].map(str::to_owned),
            ["0", "45", "360"].map(str::to_owned),
        ),
        "pad" => size(key, SMALLEST_SIDE),
        "watermark" => {
            let image = |keys: &str| format!("{{ image = \"{IMAGE}\", {keys} }}");
            Ends::new(
                key,
                [
                    "opacity = 0, margin = 0, width = 1, from = 0",
                    "opacity = 1, margin = 8192, width = 8192, to = \"1h\"",
                    "margin = \"0%\", width = \"100%\", place = \"center\"",
                ]
                .map(image),
                ["opacity = 1.1", "margin = 8193", "width = 0", "width = \"101%\"", "from = 1, to = 1"]
                    .map(image),
            )
        }
        "keyframe_interval" if video.places_keyframes() => Ends::amounts(key, KEYFRAME_INTERVALS, 0.01, "s"),
        "keyframe_interval" => Ends::new(key, [], ["2".into()]),
        "pixel_format" => Ends::words(key, &[video.pixel_formats(), &["source"]].concat()),
        "frame_rate" => {
            let plain = Ends::numbers(key, FRAME_RATES, 0.5);
            let most = |line: &String| line.replacen("= ", "= { most = ", 1) + " }";
            let with_most = |lines: Vec<String>| {
                let more: Vec<String> = lines.iter().map(most).collect();
                lines.into_iter().chain(more).collect()
            };
            Ends { within: with_most(plain.within), beyond: with_most(plain.beyond) }
        }
        "deinterlace" => Ends::words(key, &["auto", "always", "never"]),
        "denoise" => Ends::words(key, &["light", "medium", "strong"]),
        "color" => Ends::words(key, &["sdr", "source"]),
        _ => return None,
    })
}

fn of_audio(key: &str, codec: &dyn Codec, audio: &dyn AudioCodec) -> Option<Ends> {
    let whole = |(least, most): (i32, i32)| (f64::from(least), f64::from(most));
    Some(match key {
        "codec" => Ends::words(key, &[&[codec.name()], codec.encoders()].concat()),
        "when_fits" => Ends::words(key, &["copy"]),
        "bitrate" => match audio.bit_rates() {
            Some(rates) => Ends::new(
                key,
                [rates.least, rates.most].map(|rate| rate.to_string()),
                [rates.least - 1, rates.most + 1].map(|rate| rate.to_string()),
            ),
            None => Ends::new(key, [], [quoted("128k")]),
        },
        "sample_rate" => Ends::numbers(key, whole(SAMPLE_RATES), 1.0),
        "channels" => Ends::numbers(key, (1.0, MOST_CHANNELS.into()), 1.0),
        "bits" if audio.depths().is_empty() => Ends::new(key, [], ["16".into()]),
        "bits" => Ends::new(key, audio.depths().iter().map(u32::to_string), ["8".into(), "32".into()]),
        "loudness" => Ends::numbers(key, LOUDNESS, 0.5),
        "gain" => Ends::amounts(key, GAIN, 0.5, "dB"),
        "high_pass" => Ends::numbers(key, whole(HIGH_PASS), 1.0),
        "denoise" => Ends::new(key, ["true", "false"].map(str::to_owned), ["2".into()]),
        "fade_in" | "fade_out" => seconds(key, LONGEST_FADE),
        _ => return None,
    })
}

/// Returns a profile of one output in this format, with an encoding of this codec, or with no encoding for a key that is not of one, and
/// this line.
#[must_use]
pub fn profile_with(path: &str, line: &str, codec: &dyn Codec, format: &str) -> String {
    let kind = if codec.video().is_some() { "video" } else { "audio" };
    let other = if codec.video().is_some() { "audio" } else { "video" };
    let (table, key) = path.rsplit_once('.').unwrap_or(("", path));
    let named = if key == "codec" { String::new() } else { format!("codec = \"{}\"\n", codec.name()) };
    let output = format!("[[output]]\nformat = \"{format}\"\n{kind} = \"main\"\n{other} = \"none\"\n");
    if table.starts_with("source") {
        format!("[{kind}.main]\n{named}{output}[source]\n{line}\n")
    } else {
        format!("[{kind}.main]\n{named}{line}\n{output}")
    }
}

#[cfg(test)]
mod tests {
    use millrace_formats::TABLES;

    use super::*;
    use crate::{keys::KEYS, profile::Profile};

    /// Keys whose values are names or free text.
    const NAMES: [&str; 29] = [
        "video.NAME.rungs",
        "description",
        "output.format",
        "output.video",
        "output.audio",
        "output.name",
        // Those of packages are tested with the outputs that they divide.
        "output.segment",
        "output.files",
        // Those of single pictures are tested with these.
        "output.at",
        "output.every",
        "output.scenes",
        "output.best",
        "output.picture",
        "output.width",
        "output.height",
        "output.columns",
        "output.rows",
        "output.from",
        "output.to",
        "output.frame_rate",
        "output.plays",
        "output.color",
        "output.background",
        "output.split_channels",
        "output.encryption.method",
        "output.encryption.key",
        "output.encryption.uri",
        "output.encryption.key_id",
        "output.encryption.vector",
    ];

    fn codecs() -> impl Iterator<Item = &'static dyn Codec> {
        TABLES.codecs.iter().copied().filter(|codec| codec.video().is_some() || codec.audio().is_some())
    }

    /// Why a profile is refused; `None` if it is not.
    fn refusal(text: &str) -> Option<String> {
        let profile = match Profile::from_toml(text) {
            Ok(profile) => profile,
            Err(error) => return Some(error.0),
        };
        let problems = profile.wanted(&TABLES).err()?;
        Some(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn each_key_has_ends_or_is_a_name() {
        for key in KEYS.iter().filter(|key| !NAMES.contains(&key.path)) {
            let has = codecs().any(|codec| ends(key.path, codec).is_some());
            assert!(has, "the ends of {} are not in ends.rs", key.path);
        }
    }

    #[test]
    fn the_ends_of_each_key_are_possible_and_what_is_beyond_is_refused_by_its_name() {
        for codec in codecs() {
            let holds = |container: &&&millrace_formats::Container| {
                container.codecs().any(|held| held.name() == codec.name())
            };
            let format = TABLES.containers.iter().find(holds).unwrap().name;
            for key in KEYS {
                let Some(ends) = ends(key.path, codec) else { continue };
                for line in &ends.within {
                    let text = profile_with(key.path, line, codec, format);
                    assert_eq!(refusal(&text), None, "{text}");
                }
                for line in &ends.beyond {
                    let text = profile_with(key.path, line, codec, format);
                    let reason = refusal(&text).unwrap_or_else(|| panic!("not refused: {text}"));
                    let name = line.split(' ').next().unwrap();
                    assert!(reason.contains(name), "{text}: {reason}");
                }
            }
        }
    }
}
