//! Waveforms as outputs: a picture of the sound's peaks, the same in parts and whole.

use std::{fs, path::Path, process::Command};

use crate::common::{Place, Ran, media};

fn run(place: &Place, source: &Path, arguments: &[&str], output: &str) -> Ran {
    let mut command = place.millrace();
    command.arg("run").arg(source).args(["--output", output, "--json", "--data", &format!("data-{output}")]);
    Ran::of(command.args(arguments).output().unwrap())
}

/// A file of sound of these expressions, a channel each, of the time t.
fn sound(place: &Place, name: &str, expressions: &str, seconds: &str) -> std::path::PathBuf {
    let path = place.path(name);
    let graph = format!("aevalsrc={expressions}:s=48000");
    media::ffmpeg(&["-f", "lavfi", "-i", &graph, "-t", seconds, path.to_str().unwrap()]);
    path
}

/// The rows that are drawn of each column, as FFmpeg decodes the picture: the first and the last.
fn columns(path: &Path, width: usize, height: usize) -> Vec<(usize, usize)> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "warning", "-xerror", "-i"]).arg(path);
    let decoded = ffmpeg.args(["-f", "rawvideo", "-pix_fmt", "rgba", "-"]).output().unwrap();
    assert!(decoded.status.success() && decoded.stderr.is_empty(), "{:?}", decoded.stderr);
    assert_eq!(decoded.stdout.len(), width * height * 4);
    let is_drawn = |x: usize, y: usize| decoded.stdout[(y * width + x) * 4 + 3] > 0;
    let column = |x| {
        let mut rows = (0..height).filter(|y| is_drawn(x, *y));
        let first = rows.next().unwrap();
        (first, rows.next_back().unwrap_or(first))
    };
    (0..width).map(column).collect()
}

#[test]
fn a_waveform_shows_a_tone_where_it_is_and_silence_as_a_line() {
    let place = Place::new();
    let source = sound(&place, "a.wav", "'0.5*sin(2*PI*440*t)*between(t,1,2)'", "4");
    let ran = run(&place, &source, &["-f", "waveform", "-f", "m4a"], "out");
    ran.success();
    let columns = columns(&place.path("out/a.png"), 1800, 280);
    for (x, (first, last)) in columns.into_iter().enumerate() {
        let is_tone = (450..900).contains(&x);
        let is_right = if is_tone {
            // Half of the height; a column is 2.2 ms, and shows a period of the tone or nearly one.
            (69..=85).contains(&first) && (193..=210).contains(&last)
        } else {
            (first, last) == (140, 140)
        };
        assert!(is_right, "column {x}: {first} to {last}");
    }
    // A later execution knows the file for its own, and does not draw it again.
    let again = run(&place, &source, &["-f", "waveform", "-f", "m4a"], "out");
    again.success();
    // And replaces none of another source.
    let other = place.path("other");
    fs::create_dir(&other).unwrap();
    fs::copy(sound(&place, "b.wav", "0.1", "1"), other.join("a.wav")).unwrap();
    let refused = run(&place, &other.join("a.wav"), &["-f", "waveform"], "out");
    assert_eq!(refused.status, 1, "{:?}", refused.lines);
}

#[test]
fn a_waveform_of_parts_and_one_of_the_whole_are_the_same_byte_for_byte() {
    let place = Place::new();
    let left = "'0.9*sin(2*PI*(200+t)*t)*(0.2+0.8*mod(t/7,1))'";
    let source = sound(&place, "a.wav", &format!("{left}|'0.4*random(0)'"), "185.3");
    let profile = place.write(
        "split.toml",
        "[[output]]\nformat = \"waveform\"\nsplit_channels = true\nwidth = 900\nheight = 200\nbackground = \"#ffffff\"\n\
         [[output]]\nformat = \"m4a\"\n",
    );
    let profile = profile.to_str().unwrap();
    let parts = run(&place, &source, &["--profile", profile, "--segment-time", "1"], "parts");
    parts.success();
    run(&place, &source, &["--profile", profile, "--segment-time", "100"], "whole").success();
    let (parts, whole) =
        ["parts", "whole"].map(|folder| fs::read(place.path(folder).join("a.png")).unwrap()).into();
    assert!(parts == whole, "{} and {} bytes", parts.len(), whole.len());
    if let Some(kept) = std::env::var_os("MILLRACE_KEEP_WAVEFORM") {
        fs::write(kept, &parts).unwrap();
    }
}

#[test]
fn the_sound_of_a_waveform_goes_through_what_an_encoding_asks() {
    let place = Place::new();
    let source = sound(&place, "a.wav", "'0.1*sin(2*PI*440*t)'", "2");
    let text = |gain: &str| {
        format!("[audio.main]\ncodec = \"aac\"\n{gain}[[output]]\nformat = \"waveform\"\naudio = \"main\"\n")
    };
    let tallest = |name: &str, gain: &str| {
        let profile = place.write(&format!("{name}.toml"), text(gain));
        run(&place, &source, &["--profile", profile.to_str().unwrap()], name).success();
        let columns = columns(&place.path(name).join("a.png"), 1800, 280);
        columns.iter().map(|(first, last)| last - first + 1).max().unwrap()
    };
    assert!((27..=29).contains(&tallest("plain", "")), "a tenth");
    assert!((110..=113).contains(&tallest("louder", "gain = \"12dB\"\n")), "four tenths");
}

#[test]
fn a_source_without_sound_has_no_waveform() {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::ffmpeg(&["-f", "lavfi", "-i", "testsrc=s=64x64:d=1", source.to_str().unwrap()]);
    let ran = run(&place, &source, &["-f", "waveform"], "out");
    let reason = ran.failure();
    assert!(reason.contains("waveform would be empty: it holds neither pictures nor sound"), "{reason}");
    assert!(!place.path("out/a.png").exists());
}
