//! Random profiles: keys at the ends of their ranges and in between, by seed.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use millrace_formats::{Container, TABLES, codec::Codec};
use millrace_profiles::{IMAGE, KEYS, ends};

use super::media::{self, mutate::Rng};

/// A profile.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// As TOML.
    pub text: String,
    pub outputs: Vec<AskedOutput>,
    /// The part of the source that is used, in seconds from its time zero.
    pub trim: (f64, f64),
    /// The codec and the values of the other keys of encodings, by `video.NAME` and `audio.NAME`.
    encodings: BTreeMap<String, (String, BTreeMap<String, String>)>,
}

/// An output of it.
#[derive(Debug, Clone)]
pub struct AskedOutput {
    pub container: &'static Container,
    /// As the profile has it.
    pub name: String,
    /// The name of the encoding of its pictures.
    pub video: Option<String>,
    /// Those of its audio.
    pub audio: Vec<String>,
    /// Whether tracks of some languages alone are in it.
    pub by_language: bool,
}

/// An image whose alpha rises from left to right.
pub fn logo(path: &Path) {
    let graph = "testsrc2=size=64x32,format=rgba,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='64+2*X'";
    media::ffmpeg(&["-f", "lavfi", "-i", graph, "-frames:v", "1", path.to_str().unwrap()]);
}

fn one_of<'a, T: ?Sized>(rng: &mut Rng, all: &[&'a T]) -> &'a T {
    all[rng.below(all.len())]
}

/// Returns `true` once in so many times.
pub fn once_in(rng: &mut Rng, times: usize) -> bool {
    rng.below(times) == 0
}

/// Values of a key that are not at its ends.
fn between(rng: &mut Rng, table: &str, key: &str, codec: &dyn Codec) -> Option<String> {
    let some = |rng: &mut Rng, all: &[&str]| Some(one_of(rng, all).to_owned());
    match (table, key) {
        ("video", "quality") => codec.video().map(|video| format!("{:?}", video.quality().usual)),
        // The first ones are the fast ones.
        ("video", "preset") => {
            let presets = codec.video()?.presets();
            Some(format!("\"{}\"", one_of(rng, presets.get(..3)?)))
        }
        ("video", "size") => some(rng, &["\"64x64\"", "\"96x54\"", "\"400x90\""]),
        ("video", "width" | "height") => some(rng, &["64", "90", "300"]),
        ("video", "crop") => {
            some(rng, &["{ left = 16, top = 8 }", "{ right = 20, bottom = 10 }", "{ top = 40 }"])
        }
        ("video", "pad") => some(rng, &["\"64x64\"", "\"200x120\"", "\"360x100\""]),
        ("video", "keyframe_interval") => some(rng, &["\"0.5s\"", "0.33", "\"1s\""]),
        ("video", "frame_rate") => some(
            rng,
            &["24", "\"30000/1001\"", "29.97", "30", "50", "12.5", "{ most = 30 }", "{ most = 20 }"],
        ),
        ("video", "watermark") => some(
            rng,
            &[
                "{ image = \"IMAGE\", place = \"top-left\", width = 24, opacity = 0.5, from = 0.3, to = \"900ms\" }",
                "[{ image = \"IMAGE\" }, { image = \"IMAGE\", place = \"center\", width = \"30%\", to = 1 }]",
            ],
        ),
        ("audio", "bitrate") => Some(codec.audio()?.bit_rates()?.usual.to_string()),
        ("audio", "sample_rate") => some(rng, &["22050", "44100", "48000", "96000"]),
        ("audio", "channels") => some(rng, &["2", "6"]),
        ("audio", "loudness") => some(rng, &["-16", "\"-23 LUFS\""]),
        ("audio", "gain") => some(rng, &["\"-6dB\"", "3"]),
        ("audio", "high_pass") => some(rng, &["80"]),
        ("audio", "fade_in" | "fade_out") => some(rng, &["\"500ms\"", "3"]),
        _ => None,
    }
}

/// Lines that set a key.
fn lines(rng: &mut Rng, path: &'static str, table: &str, key: &str, codec: &dyn Codec) -> Vec<String> {
    if let Some(value) = Some(()).filter(|()| once_in(rng, 2)).and_then(|()| between(rng, table, key, codec))
    {
        return vec![format!("{key} = {value}")];
    }
    match ends(path, codec) {
        // Frames of the greatest size take minutes.
        Some(ends) if key == "pad" => ends.within[..1].to_vec(),
        Some(ends) if ends.within.is_empty() => Vec::new(),
        Some(ends) => ends.within[rng.below(ends.within.len())].lines().map(str::to_owned).collect(),
        None => {
            let example = KEYS.iter().find(|known| known.path == path).unwrap().example;
            // Some have the table and the codec that they are of.
            let of_encoding = |line: &&str| line.starts_with('[') || line.starts_with("codec");
            example.lines().filter(|line| !of_encoding(line)).map(str::to_owned).collect()
        }
    }
}

/// The keys of an encoding beside its codec, each at random.
fn keys(rng: &mut Rng, table: &str, codec: &dyn Codec) -> BTreeMap<String, String> {
    let mut set: BTreeMap<String, String> = BTreeMap::new();
    let prefix = format!("{table}.NAME.");
    for key in KEYS {
        let Some(name) = key.path.strip_prefix(&prefix).filter(|name| *name != "codec") else { continue };
        // Some keys exclude each other, and what sets a few is more often possible.
        if !once_in(rng, 5) {
            continue;
        }
        for line in lines(rng, key.path, table, name, codec) {
            let (name, value) = line.split_once('=').unwrap();
            set.entry(name.trim().to_owned()).or_insert_with(|| value.trim().to_owned());
        }
    }
    // Pictures of 8192 a side take minutes.
    if set.contains_key("upscale")
        && ["size", "width", "height"]
            .iter()
            .any(|key| set.get(*key).is_some_and(|value| value.contains("8192")))
    {
        set.remove("upscale");
    }
    if table == "video" && set.contains_key("size") && !once_in(rng, 6) {
        set.remove("width");
        set.remove("height");
    }
    if set.contains_key("loudness") && !once_in(rng, 6) {
        set.remove("gain");
    }
    set
}

/// A codec that a format holds, or now and then any.
fn codec(rng: &mut Rng, held: &[&'static dyn Codec]) -> &'static dyn Codec {
    if once_in(rng, 20) { one_of(rng, TABLES.codecs) } else { one_of(rng, held) }
}

impl Asked {
    /// The profile of a seed, whose images are this one. Files of subtitles are `a.srt` and `a.vtt` beside it.
    pub fn random(seed: u64, image: &Path) -> Self {
        let mut rng = Rng(seed);
        let mut asked = Self { trim: (0.0, f64::INFINITY), ..Self::default() };
        let count = if once_in(&mut rng, 5) { 2 } else { 1 };
        let mut tables = String::new();
        for number in 0..count {
            tables += &asked.add_output(&mut rng, number);
        }
        asked.text += &tables;
        if once_in(&mut rng, 6) {
            let (text, trim) = *one_of(
                &mut rng,
                &[
                    &("from = 0.4", (0.4, f64::INFINITY)),
                    &("to = \"900ms\"", (0.0, 0.9)),
                    &("from = 0.21, to = 0.87", (0.21, 0.87)),
                    &("from = 0, to = 31536000", (0.0, f64::INFINITY)),
                ],
            );
            asked.trim = trim;
            let _ = writeln!(asked.text, "[source]\ntrim = {{ {text} }}");
        }
        for subtitles in ["a.srt", "a.vtt"] {
            let url = format!("file://{}", image.with_file_name(subtitles).display());
            asked.text = asked.text.replace(&format!("file:///{subtitles}"), &url);
        }
        let image = &format!("file://{}", image.display());
        asked.text =
            asked.text.replace(IMAGE, image).replace("IMAGE", image).replace("s3://brand/logo.png", image);
        asked
    }

    fn add_output(&mut self, rng: &mut Rng, number: usize) -> String {
        let files: Vec<_> = TABLES.containers.iter().filter(|container| container.is_one_file()).collect();
        let container = files[rng.below(files.len())];
        let mut output = AskedOutput {
            container,
            name: format!("{{stem}}-{number}.{{ext}}"),
            video: None,
            audio: Vec::new(),
            by_language: false,
        };
        if container.video.most > 0 && !once_in(rng, 6) {
            output.video =
                Some(self.add_encoding(rng, "video", &format!("v{number}"), container.video.codecs));
        }
        if container.audio.most > 0 && !once_in(rng, 6) {
            output.audio.push(self.add_encoding(rng, "audio", &format!("a{number}"), container.audio.codecs));
            if container.audio.most > 1 && once_in(rng, 5) {
                output.audio.push(self.add_encoding(
                    rng,
                    "audio",
                    &format!("b{number}"),
                    container.audio.codecs,
                ));
            }
            output.by_language = container.audio.most > 2 && once_in(rng, 10);
        }
        let names: Vec<String> = output.audio.iter().map(|name| format!("\"{name}\"")).collect();
        let audio = match names.as_slice() {
            [] => "\"none\"".to_owned(),
            [one] if output.by_language => format!("{{ eng = {one}, und = {one} }}"),
            [one, two] if output.by_language => format!("{{ eng = {one}, deu = {two}, und = {one} }}"),
            [one] => one.clone(),
            several => format!("[{}]", several.join(", ")),
        };
        let text = format!(
            "[[output]]\nformat = \"{}\"\nvideo = \"{}\"\naudio = {audio}\nname = \"{}\"\n",
            container.name,
            output.video.as_deref().unwrap_or("none"),
            output.name
        );
        self.outputs.push(output);
        text
    }

    /// Adds an encoding, and returns its name.
    fn add_encoding(
        &mut self,
        rng: &mut Rng,
        table: &str,
        name: &str,
        held: &[&'static dyn Codec],
    ) -> String {
        let codec = codec(rng, held);
        let (named, keys) = match rng.below(24) {
            0 | 1 => ("copy".to_owned(), BTreeMap::new()),
            2 => (
                one_of(rng, codec.encoders().get(..1).unwrap_or(&["none"])).to_owned(),
                keys(rng, table, codec),
            ),
            _ => (codec.name().to_owned(), keys(rng, table, codec)),
        };
        let _ = writeln!(self.text, "[{table}.{name}]\ncodec = \"{named}\"");
        for (key, value) in &keys {
            let _ = writeln!(self.text, "{key} = {value}");
        }
        self.encodings.insert(format!("{table}.{name}"), (named, keys));
        name.to_owned()
    }

    /// The value of a key of an encoding; `None` if it is not set.
    pub fn key(&self, table: &str, name: &str, key: &str) -> Option<&str> {
        self.encodings.get(&format!("{table}.{name}"))?.1.get(key).map(String::as_str)
    }

    /// The codec of an encoding.
    pub fn codec(&self, table: &str, name: &str) -> &str {
        self.encodings.get(&format!("{table}.{name}")).map_or("", |(codec, _)| codec)
    }

    /// Whether an encoding of pictures has those of the source, but for its codec, its size and its colours.
    pub fn keeps_pictures(&self, name: &str) -> bool {
        let changes = ["crop", "rotate", "pad", "watermark", "frame_rate", "deinterlace", "denoise"];
        !changes.iter().any(|key| self.key("video", name, key).is_some())
    }
}
