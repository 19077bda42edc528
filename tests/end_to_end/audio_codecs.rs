//! Each codec of sound in each container that holds it: from sources that media children read, to outputs that FFmpeg's own program
//! decodes.

use std::{path::Path, process::Command};

use millrace_formats::{AudioAsk, CONTAINERS, Codec, Container, Seams, container::Priming};
use millrace_media::{Inspected, TimeRange};
use millrace_schemas::{AudioSettings, TrackKind};

use crate::common::{
    Place,
    judge::{field, has, judge_sound},
    media::{
        self,
        work::{Track, Wanted, Workshop, track},
    },
    reader,
};

/// Samples of the sources: no whole number of packets of any codec.
const COUNT: usize = 150_001;

/// Sound without a pattern that a codec could find, whose samples have this format.
fn source(path: &Path, rate: i32, channels: &str, format: &str) {
    let expressions = ["0.3*sin(2*PI*(300+60*t)*t)+0.1*random(0)", "0.3*sin(2*PI*500*t)+0.1*random(1)"];
    let expressions = if channels == "mono" { expressions[0].to_owned() } else { expressions.join("|") };
    let sound = format!("aevalsrc={expressions}:s={rate}:c={channels}");
    let count = COUNT.to_string();
    let end = format!("atrim=end_sample={count}");
    media::ffmpeg(&["-f", "lavfi", "-i", &sound, "-af", &end, "-c:a", format, path.to_str().unwrap()]);
}

/// What FFmpeg decodes of a file's sound, without a word: whole numbers of 32 bits, the channels by turns.
fn decode(path: &Path) -> Vec<i32> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "warning", "-xerror", "-i"]).arg(path);
    command.args(["-map", "0:a:0", "-f", "s32le", "-c:a", "pcm_s32le", "-"]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // Said of sound that names no channels.
    let said: Vec<&str> = said.lines().filter(|line| !line.contains("Guessed Channel Layout")).collect();
    assert!(output.status.success() && said.is_empty(), "{}: {said:?}", path.display());
    output.stdout.chunks_exact(4).map(|bytes| i32::from_le_bytes(*bytes.first_chunk().unwrap())).collect()
}

/// A container, a codec of sound that it holds, and the bits of a sample that are asked for.
type Pair = (&'static Container, &'static dyn Codec, Option<u32>);

/// Each container with each codec of sound that it holds, in each of its depths.
fn each() -> impl Iterator<Item = Pair> {
    let pairs = CONTAINERS
        .iter()
        .filter(|container| container.is_one_file())
        .flat_map(|container| container.audio.codecs.iter().map(|codec| (*container, *codec)));
    pairs.flat_map(|(container, codec)| {
        let depths = codec.audio().unwrap().depths().iter().skip(1).copied().map(Some);
        std::iter::once(None).chain(depths).map(move |bits| (container, codec, bits))
    })
}

fn bits((_, codec, asked): Pair) -> Option<u32> {
    asked.or(codec.audio().unwrap().bits())
}

fn settings(found: &Inspected, (container, codec, bits): Pair) -> AudioSettings {
    let ask = AudioAsk { bits, ..AudioAsk::default() };
    container.audio_settings_of(codec, &found.facts.audio[0].sound, &ask).unwrap().0
}

/// The sound of a source with these settings, cut there.
fn sound(shop: &Workshop, source: &Path, found: &Inspected, settings: &AudioSettings, cuts: &[i64]) -> Track {
    let starts = std::iter::once(None).chain(cuts.iter().copied().map(Some));
    let ends = cuts.iter().copied().map(Some).chain([None]);
    let made = starts.zip(ends).map(|(start, end)| {
        let mut task = Workshop::sound_task(found, TimeRange { start, end });
        task.renditions[0].audio = Some(settings.clone());
        shop.transcode(source, task)
    });
    track(TrackKind::Audio, made.collect())
}

#[test]
fn each_codec_of_sound_decodes_without_a_word_from_each_container_and_lossless_ones_to_the_bit() {
    let shop = Workshop::new();
    for (rate, channels, format) in [(48_000, "stereo", "pcm_s16le"), (44_100, "mono", "pcm_s24le")] {
        let path = shop.path("a.wav");
        source(&path, rate, channels, format);
        let (found, asked) = (shop.inspect(&path, 1.0), decode(&path));
        for pair in each() {
            let (container, codec, _) = pair;
            let settings = settings(&found, pair);
            let output = shop.path(&format!("{}.{}", codec.name(), container.name));
            let made = sound(&shop, &path, &found, &settings, &[]);
            let what = format!("{format} to {} in {}", codec.name(), container.name);
            let merged = shop.merge(&vec![made], &output).unwrap_or_else(|reason| panic!("{what}: {reason}"));
            let decoded = decode(&output);
            reader::reads(&output, None);
            if bits(pair).is_some_and(|bits| bits >= 24 || format == "pcm_s16le") {
                assert!(decoded == asked, "{what}: {} samples, not those of the source", decoded.len());
                assert_eq!(merged.audio.unwrap().samples, COUNT as i64, "{what}");
            } else if container.priming == Priming::Signalled && settings.sample_rate == rate {
                assert_eq!(merged.audio.unwrap().samples, COUNT as i64, "{what}");
                let longest = codec.audio().unwrap().frame_size() as usize;
                let channels = usize::try_from(settings.channels).unwrap();
                assert!((decoded.len() / channels).abs_diff(COUNT) <= longest, "{what}: {}", decoded.len());
            }
        }
    }
}

#[test]
fn lossless_sound_that_is_cut_comes_out_to_the_bit() {
    let shop = Workshop::new();
    let path = shop.path("a.wav");
    source(&path, 44_100, "stereo", "pcm_s16le");
    let (found, asked) = (shop.inspect(&path, 1.0), decode(&path));
    for pair in each().filter(|pair| pair.1.seams() != Seams::Whole && bits(*pair).is_some()) {
        let (container, codec, _) = pair;
        let settings = settings(&found, pair);
        let frame = codec.audio().unwrap().frame_size();
        let made = sound(&shop, &path, &found, &settings, &[5 * frame, 6 * frame, 20 * frame]);
        let output = shop.path(&format!("{}.{}", codec.name(), container.name));
        let what = format!("{} in {}", codec.name(), container.name);
        let merged = shop.merge(&vec![made], &output).unwrap_or_else(|reason| panic!("{what}: {reason}"));
        let decoded = decode(&output);
        assert!(decoded == asked, "{what}: {} samples, not those of the source", decoded.len());
        assert_eq!(merged.audio.unwrap().samples, COUNT as i64, "{what}");
    }
}

#[test]
fn each_codec_of_sound_stays_in_step_with_pictures() {
    let shop = Workshop::new();
    let path = shop.path("a.mkv");
    media::clip(&path);
    let found = shop.inspect(&path, 1.0);
    let work = shop.make(&path, &Wanted { seconds: 1.0, cuts: Vec::new() });
    let pictures = work[0].objects[0].header.video.as_ref().unwrap().codec.clone();
    let holds = |container: &Container| container.video.codecs.iter().any(|codec| codec.name() == pictures);
    for pair in each().filter(|(container, ..)| holds(container)) {
        let (container, codec, _) = pair;
        let settings = settings(&found, pair);
        let mut work = work.clone();
        work[1] = sound(&shop, &path, &found, &settings, &[]);
        let output = shop.path(&format!("{}.{}", codec.name(), container.name));
        let what = format!("{} in {}", codec.name(), container.name);
        shop.merge(&work, &output).unwrap_or_else(|reason| panic!("{what}: {reason}"));
        assert_eq!(field(&output, "a", "codec_name"), codec.name());
        judge_sound(&path, &output);
    }
}

#[test]
fn a_format_without_pictures_holds_the_sound_of_a_video() {
    let place = Place::new();
    let source = place.path("a.mkv");
    media::clip(&source);
    for format in CONTAINERS.iter().filter(|container| container.is_one_file() && container.video.most == 0) {
        let name = format.name;
        let ran = place.run(&[&source], &["-f", name]);
        assert_eq!(ran.success()["segments"], 0);
        let output = place.path(&format!("out/a.{name}"));
        assert!(has(&output, "a") && !has(&output, "v"), "{name}");
        judge_sound(&source, &output);
    }
    // Of two formats, one holds all.
    let ran = place.run(&[&source], &["-f", "mp4", "-f", "m4a", "--overwrite"]);
    assert_eq!(ran.success()["outputs"].as_array().unwrap().len(), 2);
    assert!(has(&place.path("out/a.mp4"), "v") && !has(&place.path("out/a.m4a"), "v"));
}

/// FFmpeg 5.1 cuts a packet before the last one where the padding of AC-3 is stated in Matroska.
#[test]
fn ac3_in_matroska_has_no_hole_and_is_heard_to_the_end_of_its_last_packet() {
    let place = Place::new();
    let source = place.path("a.wav");
    self::source(&source, 48_000, "stereo", "pcm_s16le");
    let profile = "[audio.a]\ncodec = \"ac3\"\n[[output]]\nformat = \"mka\"\naudio = \"a\"\n";
    let profile = place.write("p.toml", profile);
    let ran = place.run(&[&source], &["--profile", profile.to_str().unwrap()]);
    ran.success();
    let output = place.path("out/a.mka");
    let samples = decode(&output).len() / 2;
    assert!(samples >= COUNT && samples.is_multiple_of(1536), "{samples}");
    let verified = place.millrace().arg("verify").args([&source, &output]).output().unwrap();
    let said = String::from_utf8_lossy(&verified.stdout);
    assert!(verified.status.success() && said.contains("holes in sound  0        0         holds"), "{said}");
}
