//! Pictures over time: another frame rate, whole pictures in place of fields, less noise. Segments are as one run, and as ffmpeg's.

use std::path::{Path, PathBuf};

use crate::common::{
    Place,
    judge::{field, likeness_after, pictures},
    media::{self, Constant, ffmpeg},
};

/// A profile with these keys, of the best quality, so that encoders add little noise of their own.
fn profile(place: &Place, keys: &str) -> String {
    let text = format!(
        "[video.main]\ncodec = \"h264\"\nquality = 1\npreset = \"veryfast\"\n{keys}\n[[output]]\nformat = \"mp4\"\n"
    );
    place.write("ours.toml", text).to_str().unwrap().to_owned()
}

/// Makes a source in segments of this length; returns the output.
fn made(source: &Path, keys: &str, segment_time: &str) -> (Place, PathBuf, i64) {
    let place = Place::new();
    let ran = place.run(&[source], &["--profile", &profile(&place, keys), "--segment-time", segment_time]);
    let segments = ran.success()["segments"].as_i64().unwrap();
    let name = source.file_stem().unwrap().to_str().unwrap();
    let output = place.path(&format!("out/{name}.mp4"));
    (place, output, segments)
}

fn same_times(a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len());
    for (i, (x, y)) in a.iter().zip(b).enumerate() {
        // One of the clocks may be of milliseconds.
        let off = (x - a[0]) - (y - b[0]);
        assert!(off.abs() < 0.0011, "picture {i}: {x} and {y}");
    }
}

/// Makes a source in segments of a second, whole, and by one ffmpeg command, and holds them to each other.
fn compare(source: &Path, keys: &str, filter: &str, least: f64) {
    let (_cut, output, segments) = made(source, keys, "1");
    let (_whole, whole, one) = made(source, keys, "600");
    assert!(segments > 2 && one == 1, "{segments} and {one} segments");
    let place = Place::new();
    let ours = place.path("ffmpeg.mkv");
    let (from, to) = (source.to_str().unwrap(), ours.to_str().unwrap());
    ffmpeg(&["-i", from, "-vf", filter, "-an", "-fps_mode", "passthrough", "-c:v", "ffv1", to]);
    let times = pictures(&output);
    same_times(&times, &pictures(&whole));
    same_times(&times, &pictures(&ours));
    let likeness = likeness_after(&whole, "null", &output);
    assert!(likeness >= 45.0, "{keys}: {likeness} dB between segments and whole, each encoded");
    let likeness = likeness_after(&ours, "null", &output);
    assert!(likeness >= least, "{keys}: {likeness} dB to ffmpeg's");
    let verify = Place::new();
    let profile = profile(&verify, keys);
    let mut command = verify.millrace();
    command.arg("verify").args([source, output.as_path()]).args(["--profile", &profile, "--pictures"]);
    let said = command.output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
}

#[test]
fn another_frame_rate_has_the_pictures_that_ffmpeg_shows_at_its_times() {
    for (rate, keys, filter) in [
        ("30", "frame_rate = 24", "fps=24"),
        ("25", "frame_rate = 30", "fps=30"),
        ("50", "frame_rate = { most = 30 }", "fps=25"),
        ("30", "frame_rate = \"30000/1001\"\nkeyframe_interval = \"0.5s\"", "fps=30000/1001"),
    ] {
        let place = Place::new();
        let source = place.path("a.mp4");
        media::constant(&source, Constant { rate, seconds: "4", gop: 20, ..Constant::default() });
        compare(&source, keys, filter, 40.0);
    }
}

#[test]
fn a_source_of_changing_rate_gets_even_times() {
    let place = Place::new();
    let source = place.path("a.mkv");
    media::variable(&source);
    compare(&source, "frame_rate = 24", "fps=24", 40.0);
    let (_place, output, _) = made(&source, "frame_rate = 24", "1");
    let times = pictures(&output);
    assert!(times.windows(2).all(|pair| (pair[1] - pair[0] - 1.0 / 24.0).abs() < 0.0011), "{times:?}");
}

fn interlaced(path: &Path) {
    let fields = "testsrc2=size=320x180:rate=50:duration=4";
    let arguments =
        ["-vf", "tinterlace=interleave_top,setfield=tff", "-c:v", "libx264", "-preset", "veryfast"];
    let flags = ["-flags", "+ilme+ildct", "-g", "20", "-pix_fmt", "yuv420p", path.to_str().unwrap()];
    ffmpeg(&[&["-f", "lavfi", "-i", fields][..], &arguments, &flags].concat());
}

#[test]
fn fields_become_pictures_as_by_ffmpeg() {
    let place = Place::new();
    let source = place.path("a.mp4");
    interlaced(&source);
    compare(&source, "deinterlace = \"auto\"", "bwdif=mode=send_frame:parity=auto:deint=all", 40.0);
    let (_place, output, _) = made(&source, "deinterlace = \"auto\"", "1");
    assert_eq!(field(&output, "v", "field_order"), "progressive");
    let (_place, output, _) = made(&source, "deinterlace = \"never\"", "1");
    assert_ne!(field(&output, "v", "field_order"), "progressive");
}

#[test]
fn noise_goes_and_all_at_once_is_as_by_ffmpeg() {
    let place = Place::new();
    let source = place.path("a.mp4");
    let noisy = "testsrc2=size=320x180:rate=25:duration=4,noise=alls=10:allf=t:all_seed=7";
    let encode = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "12", "-g", "30", "-pix_fmt", "yuv420p"];
    ffmpeg(&[&["-f", "lavfi", "-i", noisy][..], &encode, &[source.to_str().unwrap()]].concat());
    let medium = "atadenoise=s=9:0a=0.04:0b=0.08:1a=0.04:1b=0.08:2a=0.04:2b=0.08";
    compare(&source, "denoise = \"medium\"", medium, 40.0);
    let all = "frame_rate = 30\ndeinterlace = \"always\"\ndenoise = \"light\"\nwidth = 160";
    let light =
        "bwdif=mode=send_frame:parity=auto:deint=all,atadenoise=s=9,fps=30,scale=160:90:flags=bicubic";
    compare(&source, all, light, 40.0);
}

#[test]
fn renditions_of_one_task_have_their_own_rates() {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::constant(&source, Constant { rate: "30", seconds: "3", gop: 30, ..Constant::default() });
    let text = "[video.a]\ncodec = \"h264\"\nquality = 1\n[video.b]\ncodec = \"h264\"\nquality = 1\nframe_rate = 24\n\
                [video.c]\ncodec = \"h264\"\nquality = 1\nframe_rate = 15\ndenoise = \"light\"\n\
                [video.d]\ncodec = \"av1\"\nframe_rate = 10\n\
                [[output]]\nformat = \"mp4\"\nvideo = \"a\"\n[[output]]\nformat = \"flv\"\nvideo = \"b\"\n\
                [[output]]\nformat = \"mkv\"\nvideo = \"c\"\n[[output]]\nformat = \"mov\"\nvideo = \"b\"\n\
                [[output]]\nformat = \"webm\"\nvideo = \"d\"\n";
    let ours = place.write("ours.toml", text).to_str().unwrap().to_owned();
    let ran = place.run(&[&source], &["--profile", &ours, "--segment-time", "1"]);
    assert_eq!(ran.success()["segments"], 3);
    let count = |name: &str| pictures(&place.path(name)).len();
    let counts = ["out/a.mp4", "out/a.flv", "out/a.mkv", "out/a.mov", "out/a.webm"].map(count);
    assert_eq!(counts, [90, 72, 45, 72, 30]);
    let likeness = likeness_after(&source, "null", &place.path("out/a.mp4"));
    assert!(likeness >= 40.0, "{likeness} dB: it has no filter");
}

#[test]
fn what_would_be_made_says_the_new_rate() {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::constant(&source, Constant { rate: "50", seconds: "1", ..Constant::default() });
    let check = |keys: &str| {
        let profile = profile(&place, keys);
        let mut command = place.millrace();
        command.args(["profiles", "check", &profile, "--source"]).arg(&source);
        let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
        said.lines().find(|line| line.contains("  video  ")).unwrap().to_owned()
    };
    let said = check("frame_rate = { most = 30 }\ndenoise = \"strong\"");
    assert!(said.contains("25.000 a second, strong denoising"), "{said}");
    let said = check("frame_rate = { most = 60 }\ndeinterlace = \"auto\"");
    assert!(!said.contains("a second,") && !said.contains("deinterlaced"), "{said}");
}
