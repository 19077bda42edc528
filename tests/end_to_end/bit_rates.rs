//! Bit rates of pictures: an average, found in passes over all segments, and the buffer of a player, held over joins.

use std::path::{Path, PathBuf};

use crate::common::{
    Place,
    judge::{pictures, probed},
    media::ffmpeg,
};

/// A source of a quiet part and a busy one.
fn source(place: &Place) -> PathBuf {
    let path = place.path("a.mp4");
    let parts = "[0:v]trim=0:3,format=yuv420p[a];[1:v]trim=0:3,noise=alls=12:allf=t,format=yuv420p[b];[a][b]concat[v]";
    let quiet = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=3"];
    let busy = ["-f", "lavfi", "-i", "mandelbrot=size=320x180:rate=25"];
    let encode = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "8", "-g", "25", path.to_str().unwrap()];
    let filter = ["-filter_complex", parts, "-map", "[v]", "-t", "6"];
    ffmpeg(&[&quiet[..], &busy, &filter, &encode].concat());
    path
}

fn profile(place: &Place, codec: &str, keys: &str) -> String {
    let text = format!("[video.main]\ncodec = \"{codec}\"\n{keys}\n[[output]]\nformat = \"mp4\"\n");
    place.write("ours.toml", text).to_str().unwrap().to_owned()
}

fn made(place: &Place, source: &Path, (codec, keys): (&str, &str), segment_time: &str) -> PathBuf {
    let profile = profile(place, codec, keys);
    place.run(&[source], &["--profile", &profile, "--segment-time", segment_time]).success();
    place.path("out/a.mp4")
}

/// Sizes of pictures in bits, with the times at which they are decoded, in seconds.
fn sizes(path: &Path) -> Vec<(f64, f64)> {
    let lines = probed(path, "packet=dts_time,size");
    lines
        .lines()
        .filter_map(|line| {
            let (time, size) = line.split_once(',')?;
            Some((time.parse().ok()?, 8.0 * size.trim_end_matches(',').parse::<f64>().ok()?))
        })
        .collect()
}

fn average(path: &Path) -> f64 {
    let sizes = sizes(path);
    sizes.iter().map(|(_, bits)| bits).sum::<f64>() / (sizes.len() as f64 / 25.0)
}

/// Asserts that a buffer of this size, filled at this rate and full at first, is never empty.
fn assert_buffered(path: &Path, rate: f64, size: f64) {
    let (mut level, mut last) = (size, None);
    for (time, bits) in sizes(path) {
        level = (level + (time - last.unwrap_or(time)) * rate).min(size) - bits;
        last = Some(time);
        assert!(level >= -8.0, "{path:?}: {level} bits at {time} s");
    }
}

#[test]
fn an_average_is_had_in_segments_and_whole() {
    for (codec, preset, seconds) in [
        ("h264", "ultrafast", "1"),
        ("h264", "ultrafast", "600"),
        ("hevc", "superfast", "2"),
        ("av1", "12", "1"),
    ] {
        let place = Place::new();
        let source = source(&place);
        let keys = format!("bitrate = \"600k\"\npreset = \"{preset}\"");
        let output = made(&place, &source, (codec, &keys), seconds);
        let rate = average(&output);
        assert!((rate / 600_000.0 - 1.0).abs() <= 0.03, "{codec} in segments of {seconds} s: {rate}");
        assert_eq!(pictures(&output).len(), 150);
    }
}

#[test]
fn a_buffer_is_never_empty_whatever_the_segments() {
    for (codec, keys, (rate, size)) in [
        ("h264", "quality = 12\nmax_bitrate = \"900k\"\nbuffer = \"900k\"", (900e3, 900e3)),
        ("h264", "bitrate = \"600k\"\nmax_bitrate = \"700k\"\nbuffer = \"700k\"", (700e3, 700e3)),
        ("hevc", "quality = 14\nmax_bitrate = \"900k\"", (900e3, 1800e3)),
    ] {
        for seconds in ["1", "600"] {
            let place = Place::new();
            let source = source(&place);
            let keys = format!("{keys}\npreset = \"superfast\"");
            let output = made(&place, &source, (codec, &keys), seconds);
            assert_buffered(&output, rate, size);
            if keys.contains("bitrate = \"600k\"") {
                let had = average(&output);
                assert!((had / 600_000.0 - 1.0).abs() <= 0.03, "in segments of {seconds} s: {had}");
            }
        }
    }
}

#[test]
fn an_average_that_can_t_be_had_is_refused_or_reported() {
    let place = Place::new();
    let source = source(&place);
    let too_low = profile(&place, "h264", "bitrate = \"10k\"\npreset = \"ultrafast\"");
    let ran = place.run(&[&source], &["--profile", &too_low, "--segment-time", "2"]);
    let said = ran.failure();
    assert!(said.contains("a bit rate of 10 kbit/s is too low: at the worst quality of h264 (51)"), "{said}");
    assert!(!place.path("out/a.mp4").exists());

    let still = place.path("still.mp4");
    ffmpeg(&["-f", "lavfi", "-i", "color=gray:size=64x64:rate=25:duration=2", still.to_str().unwrap()]);
    let far = profile(&place, "h264", "bitrate = \"5M\"");
    let ran = place.run(&[&still], &["--profile", &far, "--segment-time", "1"]);
    let warnings = ran.success()["warnings"].to_string();
    assert!(warnings.contains("instead of 5000, at the best quality"), "{warnings}");
}
