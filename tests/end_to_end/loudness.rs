//! What audio goes through before it is encoded: loudness, gain, fades and filters, measured by FFmpeg's own program.

use std::{path::Path, process::Command};

use crate::common::{
    Place,
    judge::{probed, sound_of},
    media::ffmpeg,
};

/// Runs a source through a profile of one output, whose `[audio.main]` has these keys.
fn made(place: &Place, source: &Path, keys: &str, format: &str) -> std::path::PathBuf {
    let text = format!("[audio.main]\n{keys}\n[[output]]\nformat = \"{format}\"\n");
    let profile = place.write("ours.toml", text);
    place.run(&[source], &["--profile", profile.to_str().unwrap(), "--segment-time", "1"]).success();
    let stem = source.file_stem().unwrap().to_str().unwrap();
    place.path(&format!("out/{stem}.{format}"))
}

/// Integrated loudness in LUFS and true peak in dBTP, as FFmpeg's `ebur128` finds them.
fn measured(path: &Path) -> (f64, f64) {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostats", "-i"]).arg(path);
    let output =
        command.args(["-af", "ebur128=peak=true:framelog=verbose", "-f", "null", "-"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let summary = text.split("Summary:").nth(1).unwrap_or_else(|| panic!("{text}"));
    let value = |name: &str| {
        let line = summary.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    (value("I:"), value("Peak:"))
}

fn source(place: &Place, name: &str, expression: &str, seconds: u32) -> std::path::PathBuf {
    let path = place.path(name);
    let sound = format!("aevalsrc={expression}:s=48000:d={seconds}");
    ffmpeg(&["-f", "lavfi", "-i", &sound, "-c:a", "pcm_s24le", path.to_str().unwrap()]);
    path
}

/// Speech-like: soft sound in bursts, with clicks that are far louder.
const PEAKY: &str = "'(0.05*sin(2*PI*220*t)+0.05*(random(0)-0.5))*(0.6+0.4*sin(2*PI*0.7*t))+0.8*lt(mod(t,0.5),0.001)*sin(2*PI*900*t)'";

#[test]
fn each_output_has_the_loudness_that_is_asked_for_and_its_true_peaks_are_held() {
    let place = Place::new();
    let peaky = source(&place, "peaky.wav", &format!("{PEAKY}|{PEAKY}"), 12);
    let plain = source(&place, "plain.wav", "'0.3*sin(2*PI*(200+40*t)*t)'", 8);
    for (source, codec, format, loudness) in [
        (&peaky, "flac", "mka", -16.0),
        (&peaky, "aac", "m4a", -18.0),
        (&peaky, "opus", "opus", -16.0),
        (&peaky, "mp3", "mp3", -17.0),
        (&plain, "aac", "m4a", -23.0),
        (&plain, "flac", "flac", -14.0),
    ] {
        let keys = format!("codec = \"{codec}\"\nloudness = {loudness:.1}");
        let place = Place::new();
        let (made, peak) = measured(&made(&place, source, &keys, format));
        let what = format!("{} in {format}", source.display());
        assert!((made - loudness).abs() <= 0.3, "{what}: {made} LUFS, not {loudness}");
        assert!(peak <= -1.0, "{what}: {peak} dBTP");
    }
    let (loudness, peak) = measured(&peaky);
    assert!(peak + (-18.0 - loudness) > 0.0, "it has to be limited: {loudness} LUFS, {peak} dBTP");
}

#[test]
fn silence_stays_silence_and_no_sample_is_lost_or_moved() {
    let place = Place::new();
    let silent = source(&place, "silent.wav", "0", 3);
    let made_of_it = made(&place, &silent, "codec = \"flac\"\nloudness = -16", "flac");
    let samples = sound_of(&made_of_it);
    assert!(samples.len() == sound_of(&silent).len() && samples.iter().all(|sample| *sample == 0.0));
    // A click, at a sample that is no beginning of anything.
    let click = source(&place, "click.wav", "'0.01*sin(2*PI*440*t)+0.9*eq(n,50001)'", 3);
    let keys = "codec = \"flac\"\nloudness = -20\ndenoise = true\nhigh_pass = 20";
    let (before, after) = (sound_of(&click), sound_of(&made(&place, &click, keys, "flac")));
    assert_eq!(before.len(), after.len());
    let loudest = |samples: &[f32]| {
        samples.iter().enumerate().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs())).map(|(at, _)| at)
    };
    assert_eq!(loudest(&before), loudest(&after));
}

/// The greatest difference of samples.
fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn gain_high_pass_and_fades_are_those_of_one_command() {
    let place = Place::new();
    let tone = source(&place, "tone.wav", "'0.4*sin(2*PI*440*t)+0.2*sin(2*PI*40*t)'", 4);
    for (keys, filter, most) in [
        ("gain = \"-6dB\"", "volume=-6dB:precision=double", 1e-6),
        ("high_pass = 100", "highpass=f=100", 1e-4),
        ("fade_in = \"500ms\"\nfade_out = 1", "afade=in:d=0.5,afade=out:st=3:d=1", 1e-4),
    ] {
        let place = Place::new();
        let ours = made(&place, &tone, &format!("codec = \"flac\"\n{keys}"), "flac");
        let theirs = place.path("theirs.wav");
        let filter = format!("aformat=dblp,{filter}");
        ffmpeg(&[
            "-i",
            tone.to_str().unwrap(),
            "-af",
            &filter,
            "-c:a",
            "pcm_s24le",
            theirs.to_str().unwrap(),
        ]);
        let difference = difference(&sound_of(&ours), &sound_of(&theirs));
        assert!(difference <= most, "{filter}: {difference}");
    }
}

/// Two tracks, of which the first is German and the second English.
fn two_languages(place: &Place) -> std::path::PathBuf {
    let path = place.path("film.mkv");
    let tracks = ["sine=440:d=3:r=48000", "sine=880:d=3:r=48000"].map(|sine| ["-f", "lavfi", "-i", sine]);
    let picture = ["-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=3"];
    let maps = ["-map", "0", "-map", "1", "-map", "2", "-c:v", "libx264", "-c:a", "flac"];
    let languages = ["-metadata:s:a:0", "language=ger", "-metadata:s:a:1", "language=eng"];
    let inputs = [&picture[..], &tracks[0], &tracks[1]].concat();
    ffmpeg(&[&inputs[..], &maps, &languages, &[path.to_str().unwrap()]].concat());
    path
}

#[test]
fn an_output_has_each_track_in_each_encoding_that_it_lists_or_those_of_its_languages() {
    let place = Place::new();
    let source = two_languages(&place);
    let profile = place.write(
        "ours.toml",
        "[audio.main]\ncodec = \"aac\"\n[audio.small]\ncodec = \"aac\"\nbitrate = \"32k\"\nchannels = 1\nsample_rate = 16000\n\
         [audio.no]\ncodec = \"none\"\n\
         [[output]]\nformat = \"mp4\"\naudio = [\"main\", \"small\"]\n\
         [[output]]\nformat = \"mkv\"\naudio = { deu = \"small\", eng = \"main\" }\n\
         [[output]]\nformat = \"flv\"\naudio = { eng = \"main\" }\n\
         [[output]]\nformat = \"mov\"\naudio = \"no\"\n",
    );
    place.run(&[&source], &["--profile", profile.to_str().unwrap(), "--segment-time", "1"]).success();
    let tracks = |name: &str| {
        let entries = "stream=codec_name,sample_rate:stream_tags=language";
        let path = place.path(&format!("out/{name}"));
        let all = probed(&path, entries);
        all.lines().filter(|line| line.starts_with("aac")).map(str::to_owned).collect::<Vec<_>>()
    };
    let (main, small) = ("aac,48000,", "aac,16000,");
    let wanted = |all: &[(&str, &str)]| all.iter().map(|(a, b)| format!("{a}{b}")).collect::<Vec<_>>();
    assert_eq!(tracks("film.mp4"), wanted(&[(main, "ger"), (small, "ger"), (main, "eng"), (small, "eng")]));
    let mkv = tracks("film.mkv");
    assert!(mkv.len() == 2 && mkv[0].ends_with("ger") && mkv[1] == format!("{main}eng"), "{mkv:?}");
    assert_eq!(tracks("film.flv").len(), 1);
    let english = sound_of(&place.path("out/film.flv"));
    let crossings = english[48_000..96_000].windows(2).filter(|pair| pair[0] < 0.0 && pair[1] >= 0.0).count();
    assert!((870..890).contains(&crossings), "{crossings} Hz");
    assert_eq!(tracks("film.mov"), [""; 0]);
}

#[test]
fn the_podcast_profile_makes_speech_of_usual_loudness_with_the_channels_of_the_source() {
    for (channels, expression) in [("1", PEAKY.to_owned()), ("2", format!("{PEAKY}|{PEAKY}"))] {
        let place = Place::new();
        let source = source(&place, "talk.wav", &expression, 10);
        place.run(&[&source], &["--profile", "podcast"]).success();
        let output = place.path("out/talk.m4a");
        assert_eq!(probed(&output, "stream=codec_name,channels"), format!("aac,{channels}"));
        let (loudness, peak) = measured(&output);
        assert!((loudness + 16.0).abs() <= 0.3 && peak <= -1.0, "{loudness} LUFS, {peak} dBTP");
    }
}
