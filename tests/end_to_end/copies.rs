//! Copies: packets of the source come out byte for byte, at their times, in another container; what can't be copied is refused with
//! the reason before work begins, or encoded where that is asked for.

use std::{os::unix::process::CommandExt as _, path::Path, process::Command, time::Duration};

use crate::common::{
    Place,
    judge::{pictures, probed},
    media,
};

/// Makes a source of four seconds: a moving picture and a tone, by these arguments of ffmpeg.
fn source(path: &Path, arguments: &str) {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-y"]);
    command.args(["-f", "lavfi", "-i", "testsrc2=size=192x108:rate=25:duration=4"]);
    command.args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=4"]);
    command.args(arguments.split(' ')).arg(path);
    assert!(command.status().unwrap().success(), "{arguments}");
}

/// Copies a source into another container by ffmpeg.
fn remux(from: &Path, to: &Path, arguments: &str) {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-y", "-i"]).arg(from).args(["-c", "copy"]);
    command.args(arguments.split_whitespace()).arg(to);
    assert!(command.status().unwrap().success(), "{arguments}");
}

/// What ffmpeg says of a stream of a file (`v` or `a`).
fn hashed(path: &Path, stream: &str, arguments: &[&str]) -> String {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-i"]).arg(path).args(["-map", &format!("0:{stream}:0")]).args(arguments);
    let output = command.arg("-").output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The digest of all packets of a stream.
fn packets(path: &Path, stream: &str) -> String {
    hashed(path, stream, &["-c", "copy", "-f", "streamhash"])
}

/// The digests of all decoded pictures.
fn decoded(path: &Path) -> Vec<String> {
    let all = hashed(path, "v", &["-f", "framemd5"]);
    let lines = all.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| Some(line.rsplit(',').next()?.trim().to_owned())).collect()
}

/// Holds that pictures, their times and audio of an output are the source's.
fn same(source: &Path, output: &Path) {
    let name = format!("{} of {}", output.display(), source.display());
    for stream in ["v", "a"] {
        assert_eq!(packets(source, stream), packets(output, stream), "{stream} in {name}");
    }
    assert_eq!(decoded(source), decoded(output), "{name}");
    let times = |path: &Path| -> Vec<i64> {
        let all = pictures(path);
        let first = all.first().copied().unwrap_or_default();
        all.iter().map(|at| ((at - first) * 1000.0).round() as i64).collect()
    };
    let (asked, found) = (times(source), times(output));
    assert_eq!(asked.len(), found.len(), "{name}");
    // Matroska's ticks are milliseconds.
    assert!(asked.iter().zip(&found).all(|(asked, found)| (asked - found).abs() <= 1), "{name}");
}

const COPY: &str = "[video.main]\ncodec = \"copy\"\n[audio.main]\ncodec = \"copy\"\n";

/// A profile of these encodings and outputs, each in a format.
fn profile(place: &Place, encodings: &str, formats: &[&str]) -> String {
    let outputs = formats.iter().map(|format| format!("[[output]]\nformat = \"{format}\"\n"));
    let text = format!("{encodings}{}", outputs.collect::<String>());
    place.write("ours.toml", &text).to_str().unwrap().to_owned()
}

#[test]
fn packets_come_out_byte_for_byte_in_another_container_whatever_the_segments() {
    let place = Place::new();
    let first = place.path("a.mp4");
    source(&first, "-c:v libx264 -preset veryfast -g 25 -c:a aac");
    for name in ["b.mkv", "c.mov"] {
        remux(&first, &place.path(name), "");
    }
    source(&place.path("d.webm"), "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus");
    source(
        &place.path("e.mp4"),
        "-c:v libx265 -preset ultrafast -x265-params log-level=error -tag:v hvc1 -c:a libmp3lame",
    );
    source(&place.path("g.mp4"), "-c:v libx264 -preset veryfast -x264-params open-gop=1:keyint=25 -c:a aac");
    let ours = profile(&place, COPY, &["mp4", "mkv"]);
    for name in ["a.mp4", "b.mkv", "c.mov", "d.webm", "e.mp4", "g.mp4"] {
        let source = place.path(name);
        place.run(&[&source], &["--profile", &ours, "--segment-time", "0.5"]).success();
        for format in ["mp4", "mkv"] {
            let output = place.path(&format!("out/{}.{format}", &name[..1]));
            same(&source, &output);
            let mut verify = place.millrace();
            verify.arg("verify").args([&source, &output]).args(["--profile", &ours]);
            let verified = verify.output().unwrap();
            assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stdout));
        }
    }
}

#[test]
fn a_copy_into_flv_and_webm_is_exact_too() {
    let place = Place::new();
    source(&place.path("a.mkv"), "-c:v libx264 -preset veryfast -c:a aac");
    source(&place.path("b.mp4"), "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus");
    remux(&place.path("a.mkv"), &place.path("c.flv"), "");
    for (name, format) in [("a.mkv", "flv"), ("b.mp4", "webm"), ("c.flv", "mp4"), ("c.flv", "mkv")] {
        let ours = profile(&place, COPY, &[format]);
        place.run(&[&place.path(name)], &["--profile", &ours]).success();
        same(&place.path(name), &place.path(&format!("out/{}.{format}", &name[..1])));
    }
}

#[test]
fn sound_whose_packets_overlap_is_refused_before_it_is_read() {
    let place = Place::new();
    source(&place.path("a.mp4"), "-c:v libx264 -preset veryfast -c:a aac");
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-stream_loop", "1", "-i"]).arg(place.path("a.mp4")).args(["-c", "copy"]);
    assert!(command.arg(place.path("b.mp4")).status().unwrap().success());
    let ours = profile(&place, COPY, &["mkv"]);
    let ran = place.run(&[&place.path("b.mp4")], &["--profile", &ours]);
    let told = ran.failure();
    assert!(told.contains("its index states other lengths for some of its packets"), "{told}");
}

#[test]
fn tracks_that_lie_far_apart_are_copied_as_well() {
    let place = Place::new();
    let apart = place.path("a.mkv");
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-y", "-f", "lavfi"]);
    command.args(["-i", "testsrc2=size=1280x720:rate=25:duration=6,noise=alls=60:allf=t", "-itsoffset", "5"]);
    command.args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=2"]);
    command.args("-c:v libx264 -preset ultrafast -qp 1 -c:a aac".split(' ')).arg(&apart);
    assert!(command.status().unwrap().success());
    assert!(std::fs::metadata(&apart).unwrap().len() > 100 << 20, "more than waits in memory");
    let ours = profile(&place, COPY, &["mp4"]);
    place.run(&[&apart], &["--profile", &ours]).success();
    for stream in ["v", "a"] {
        assert_eq!(packets(&apart, stream), packets(&place.path("out/a.mp4"), stream), "{stream}");
    }
}

#[test]
fn what_a_container_states_of_light_is_kept() {
    let place = Place::new();
    let params = "log-level=error:keyint=25:open-gop=0:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)\
                  L(10000000,50):max-cll=1000,400";
    // Red, the luminances and both levels, in the order of their size: containers have other denominators, and another order.
    let light = |path: &Path| {
        let stated = probed(path, "stream_side_data=red_x,max_luminance,max_content,max_average");
        let value = |text: &str| {
            let (num, den) = text.trim().split_once('/').unwrap_or((text.trim(), "1"));
            (num.parse::<f64>().unwrap() / den.parse::<f64>().unwrap() * 100.0).round() as i64
        };
        let mut all: Vec<i64> = stated.split([',', '\n']).map(value).collect();
        all.sort_unstable();
        all
    };
    source(
        &place.path("a.mkv"),
        &format!(
            "-c:v libx265 -preset ultrafast -pix_fmt yuv420p10le -color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc \
             -x265-params {params} -c:a aac"
        ),
    );
    // It is in the stream first, and from then on in the container, too.
    let ours = profile(&place, COPY, &["mkv"]);
    place.run(&[&place.path("a.mkv")], &["--profile", &ours]).success();
    let stated = place.path("b.mkv");
    std::fs::rename(place.path("out/a.mkv"), &stated).unwrap();
    assert_eq!(light(&stated), [68, 40_000, 100_000, 100_000]);
    let ours = profile(&place, COPY, &["mp4", "mkv"]);
    place.run(&[&stated], &["--profile", &ours]).success();
    for name in ["out/b.mp4", "out/b.mkv"] {
        assert_eq!(light(&place.path(name)), light(&stated), "{name}");
        same(&stated, &place.path(name));
    }
}

#[test]
fn a_track_is_copied_beside_one_that_is_encoded_of_it() {
    let place = Place::new();
    let source_path = place.path("a.mp4");
    source(&source_path, "-c:v libx264 -preset veryfast -g 25 -c:a aac");
    let text = "[video.same]\ncodec = \"copy\"\n[video.small]\ncodec = \"h264\"\nheight = 54\n\
                [audio.same]\ncodec = \"copy\"\n[audio.low]\ncodec = \"aac\"\nbitrate = \"32k\"\n\
                [[output]]\nformat = \"mp4\"\nvideo = \"same\"\naudio = \"low\"\n\
                [[output]]\nformat = \"mkv\"\nvideo = \"small\"\naudio = \"same\"\n";
    let ours = place.write("ours.toml", text);
    let ran = place.run(&[&source_path], &["--profile", ours.to_str().unwrap(), "--segment-time", "1"]);
    assert_eq!(ran.success()["segments"], 4, "those of the encode are counted");
    let (copied, small) = (place.path("out/a.mp4"), place.path("out/a.mkv"));
    assert_eq!(packets(&source_path, "v"), packets(&copied, "v"));
    assert_eq!(packets(&source_path, "a"), packets(&small, "a"));
    assert_ne!(packets(&source_path, "a"), packets(&copied, "a"));
    assert_eq!(probed(&small, "stream=width,height").lines().next(), Some("96,54"));
    assert_eq!(pictures(&small).len(), pictures(&source_path).len());
}

const FITS: &str = "[video.main]\ncodec = \"h264\"\nwhen_fits = \"copy\"\n[audio.main]\ncodec = \"aac\"\nwhen_fits = \"copy\"\n";

#[test]
fn what_already_is_as_asked_is_copied_and_what_is_not_is_encoded() {
    let place = Place::new();
    let source_path = place.path("a.mp4");
    source(
        &source_path,
        "-c:v libx264 -preset veryfast -g 50 -keyint_min 50 -sc_threshold 0 -c:a aac -b:a 96k",
    );
    let video = |more: &str| FITS.replacen("\"h264\"\n", &format!("\"h264\"\n{more}\n"), 1);
    let audio = |more: &str| FITS.replace("\"aac\"\n", &format!("\"aac\"\n{more}\n"));
    for (text, is_copied) in [
        (FITS.to_owned(), (true, true)),
        (video("size = \"192x108\"\nkeyframe_interval = \"2s\""), (true, true)),
        (video("keyframe_interval = \"1s\""), (false, true)),
        (video("width = 100"), (false, true)),
        (FITS.replace("h264", "hevc"), (false, true)),
        (audio("bitrate = \"128k\"\nsample_rate = 48000"), (true, true)),
        (audio("bitrate = \"48k\""), (true, false)),
        (audio("channels = 2"), (true, false)),
    ] {
        let ours = profile(&place, &text, &["mkv"]);
        let ran = place.run(&[&source_path], &["--profile", &ours, "--overwrite"]);
        ran.success();
        let output = place.path("out/a.mkv");
        let is_same = |stream| packets(&source_path, stream) == packets(&output, stream);
        assert_eq!((is_same("v"), is_same("a")), is_copied, "{text}");
        assert_eq!(pictures(&output).len(), 100);
        let mut check = place.millrace();
        check.args(["profiles", "check", &ours, "--source"]).arg(&source_path);
        let told = String::from_utf8(check.output().unwrap().stdout).unwrap();
        let copied = |kind: &str| told.lines().any(|line| line.contains(kind) && line.ends_with("copied"));
        assert_eq!((copied("video  "), copied("audio  ")), is_copied, "{told}");
    }
}

#[test]
fn what_can_not_be_copied_is_refused_with_the_reason_or_encoded() {
    let place = Place::new();
    let plain = place.path("a.mp4");
    source(&plain, "-c:v libx264 -preset veryfast -c:a aac");
    let path = |name: &str| place.path(name);
    remux(&plain, &path("b.ts"), "");
    remux(&plain, &path("c.mp4"), "-movflags frag_keyframe+empty_moov");
    media::kinds::laid(&path("d.mp4"), [0, 1, -1, 0]);
    source(&path("e.webm"), "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus");
    source(&path("f.mkv"), "-c:v mpeg4 -c:a aac");
    for (name, format, reason) in [
        ("b.ts", "mp4", "copies are made of mp4, mov, mkv, webm and flv alone"),
        ("c.mp4", "mkv", "as in a fragmented file"),
        ("d.mp4", "mkv", "players rotate or mirror its pictures"),
        ("e.webm", "flv", "they are vp9, and it holds of such tracks: h264"),
        ("f.mkv", "mkv", "no format holds its codec, which is mpeg4"),
    ] {
        let ours = profile(&place, "[video.main]\ncodec = \"copy\"\n", &[format]);
        let ran = place.run(&[&path(name)], &["--profile", &ours]);
        let told = ran.failure();
        assert!(told.contains(reason) && told.contains("ask for a codec"), "{name}: {told}");
        let fits = profile(&place, "[video.main]\ncodec = \"h264\"\nwhen_fits = \"copy\"\n", &[format]);
        place.run(&[&path(name)], &["--profile", &fits, "--overwrite"]).success();
    }
}

#[test]
fn headers_that_change_on_the_way_are_found_while_packets_are_copied() {
    let place = Place::new();
    let (a, b) = (place.path("a.h264"), place.path("b.h264"));
    for (path, level) in [(&a, "3.0"), (&b, "4.0")] {
        source(path, &format!("-map 0 -c:v libx264 -preset veryfast -level {level}"));
    }
    let joined = [std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap()].concat();
    let both = place.write("both.h264", "");
    std::fs::write(&both, joined).unwrap();
    let source = place.path("c.mp4");
    remux(&both, &source, "-bsf:v setts=pts=N*512:dts=N*512");
    let ours = profile(&place, "[video.main]\ncodec = \"copy\"\n", &["mkv"]);
    let ran = place.run(&[&source], &["--profile", &ours]);
    let told = ran.failure();
    assert!(told.contains("its codec headers change on the way"), "{told}");
}

#[test]
fn a_copy_that_was_killed_is_the_same_when_it_is_run_again() {
    let place = Place::new();
    let source_path = place.path("a.mp4");
    source(&source_path, "-c:v libx264 -preset ultrafast -qp 0 -c:a aac");
    let ours = profile(&place, COPY, &["mkv"]);
    for (number, after) in [20, 120, 250, 400].into_iter().enumerate() {
        let run = || {
            let mut command = place.millrace();
            let (out, data) = (format!("out{number}"), format!("data{number}"));
            command.arg("run").arg(&source_path).args([
                "--profile",
                &ours,
                "--output",
                &out,
                "--data",
                &data,
            ]);
            command.stderr(std::process::Stdio::null()).stdout(std::process::Stdio::null());
            command
        };
        let mut child = run().process_group(0).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(after));
        Command::new("kill").args(["-9", "--", &format!("-{}", child.id())]).status().unwrap();
        child.wait().unwrap();
        assert_eq!(run().status().unwrap().code(), Some(0));
        same(&source_path, &place.path(&format!("out{number}/a.mkv")));
    }
}
