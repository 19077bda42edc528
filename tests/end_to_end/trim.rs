//! A part of a source is exact: its pictures, samples, texts and chapters are those that one ffmpeg command cuts out.

use std::path::{Path, PathBuf};

use crate::common::{
    Place,
    judge::{field, has, likeness_after, pictures, probed, sound_of, texts},
    media::{self, Constant, kinds},
};

/// A part, in seconds.
#[derive(Clone, Copy)]
struct Part {
    from: f64,
    to: f64,
}

/// Lossless sound, and pictures that are nearly so.
fn profile(place: &Place, part: &str) -> String {
    let text = format!(
        "[video.main]\ncodec = \"h264\"\nquality = 1\npreset = \"veryfast\"\n[audio.main]\ncodec = \"flac\"\n\
         [[output]]\nformat = \"mkv\"\n[source]\ntrim = {part}"
    );
    place.write("part.toml", text).to_str().unwrap().to_owned()
}

fn text_of(part: Part) -> String {
    format!("{{ from = {}, to = \"{}s\" }}", part.from, part.to)
}

/// Makes the part in segments of so many seconds, in a place of its own.
fn cut(source: &Path, part: &str, segment_time: &str) -> (Place, PathBuf) {
    let place = Place::new();
    let profile = profile(&place, part);
    place.run(&[source], &["--profile", &profile, "--segment-time", segment_time]).success();
    let output = place.path("out").join(source.file_stem().unwrap()).with_extension("mkv");
    (place, output)
}

/// The part as one ffmpeg command cuts it, without loss.
fn reference(source: &Path, part: Part, place: &Place) -> PathBuf {
    let output = place.path("reference.mkv");
    let Part { from, to } = part;
    let video = format!("trim=start={from}:end={to},setpts=PTS-STARTPTS");
    let audio = format!("atrim=start={from}:end={to},asetpts=PTS-STARTPTS");
    let mut arguments = vec!["-i", source.to_str().unwrap()];
    if has(source, "v") {
        arguments.extend(["-vf", &video, "-fps_mode", "passthrough", "-enc_time_base:v", "-1"]);
        arguments.extend(["-c:v", "libx264", "-preset", "ultrafast", "-qp", "0"]);
    }
    if has(source, "a") {
        arguments.extend(["-af", &audio, "-c:a", "flac"]);
    }
    arguments.push(output.to_str().unwrap());
    media::ffmpeg(&arguments);
    output
}

/// Holds times to be the same from the first picture on, to the millisecond that Matroska has.
fn same_times(a: &Path, b: &Path) {
    let (a, b) = (pictures(a), pictures(b));
    assert_eq!(a.len(), b.len(), "pictures");
    for (i, (x, y)) in a.iter().zip(&b).enumerate() {
        let off = (x - a[0]) - (y - b[0]);
        assert!(off.abs() < 0.0016, "picture {i} is off by {off} s");
    }
}

/// Holds samples to be as many, and the same but for rounding to 16 bits.
fn same_sound(a: &Path, b: &Path) {
    let (a, b) = (sound_of(a), sound_of(b));
    assert_eq!(a.len(), b.len(), "samples");
    let most = a.iter().zip(&b).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
    assert!(most <= 2.0 / 32768.0, "samples differ by {most}");
}

/// Holds the part in segments of a second to the one in one segment, and both to ffmpeg's.
fn is_exact(source: &Path, part: Part) {
    let (_cut, segments) = cut(source, &text_of(part), "1");
    let (place, whole) = cut(source, &text_of(part), "600");
    let reference = reference(source, part, &place);
    for output in [&segments, &whole] {
        if has(source, "v") {
            same_times(output, &reference);
            let likeness = likeness_after(&reference, "null", output);
            assert!(likeness >= 40.0, "{}: {likeness} dB", output.display());
        }
        assert_eq!(has(output, "a"), has(source, "a"));
        if has(source, "a") {
            same_sound(output, &reference);
        }
    }
}

/// A folder with one source.
fn source(name: &str, make: impl Fn(&Path)) -> (Place, PathBuf) {
    let place = Place::new();
    let path = place.path(name);
    make(&path);
    (place, path)
}

#[test]
fn a_part_of_pictures_with_b_frames_is_the_one_of_one_command() {
    let (_place, source) = source("a.mp4", |path| {
        media::constant(path, Constant { seconds: "6", ..Constant::default() });
    });
    // Between keyframes, which are a second apart, and between pictures.
    is_exact(&source, Part { from: 1.53, to: 4.29 });
}

#[test]
fn a_part_that_begins_and_ends_at_pictures_has_the_first_and_not_the_last() {
    let (_place, source) = source("a.mov", |path| {
        media::constant(path, Constant { seconds: "4", rate: "30000/1001", ..Constant::default() });
    });
    is_exact(&source, Part { from: 1.001, to: 3.003 });
    let (_cut, output) = cut(&source, "{ from = \"1.001s\", to = \"3.003s\" }", "1");
    assert_eq!(pictures(&output).len(), 60);
}

#[test]
fn a_part_of_open_groups_is_the_one_of_one_command() {
    let (_place, source) = source("a.mp4", kinds::open_groups);
    is_exact(&source, Part { from: 0.9, to: 2.1 });
}

#[test]
fn a_part_of_a_variable_frame_rate_keeps_its_times() {
    let (_place, source) = source("a.mp4", media::variable);
    is_exact(&source, Part { from: 1.21, to: 3.05 });
}

#[test]
fn time_zero_of_a_source_is_its_earliest_start() {
    let (_place, source) = source("a.ts", |path| kinds::starting_at(path, "7.3"));
    let (_cut, segments) = cut(&source, "{ from = 0.6, to = 2 }", "1");
    let (place, whole) = cut(&source, "{ from = 0.6, to = 2 }", "600");
    let reference = reference(&source, Part { from: 0.6, to: 2.0 }, &place);
    for output in [&segments, &whole] {
        same_times(output, &reference);
        let likeness = likeness_after(&reference, "null", output);
        assert!(likeness >= 40.0, "{likeness} dB");
        // Its timestamps are of 90 kHz, and a sample is between two ticks.
        let (a, b) = (sound_of(output).len(), sound_of(&reference).len());
        assert!(a.abs_diff(b) <= 1, "{a} samples, not {b}");
    }
}

#[test]
fn the_rest_of_a_source_and_its_beginning_are_parts() {
    let (_place, source) = source("a.mp4", media::clip);
    let (_cut, end) = cut(&source, "{ from = \"00:00:02.02\" }", "1");
    assert_eq!((pictures(&end).len(), sound_of(&end).len()), (24, 47_040));
    let (_cut, beginning) = cut(&source, "{ to = \"500ms\" }", "1");
    assert_eq!((pictures(&beginning).len(), sound_of(&beginning).len()), (13, 24_000));
    // The last picture is shown up to the end of the part, in the middle of its time in the source.
    let ends: f64 = probed(&beginning, "format=duration").parse().unwrap();
    assert!((ends - 0.5).abs() < 0.002, "{ends}");
    let (_cut, longer) = cut(&source, "{ from = 2, to = \"1h\" }", "1");
    assert_eq!(pictures(&longer).len(), 25, "behind the end of the source is its end");
}

#[test]
fn a_part_of_sound_alone_is_exact_to_the_sample() {
    let (_place, source) = source("a.wav", media::tone);
    is_exact(&source, Part { from: 0.333, to: 1.7 });
    assert_eq!(field(&source, "a", "sample_rate"), "44100");
}

#[test]
fn a_part_of_long_sound_is_cut_into_pieces_and_read_from_where_it_begins() {
    let (_place, source) = source("a.m4a", kinds::long_sound);
    let part = Part { from: 20.5, to: 180.25 };
    let (cut_place, output) = cut(&source, &text_of(part), "1");
    let reference = reference(&source, part, &cut_place);
    same_sound(&output, &reference);
    let lossy = Place::new();
    let profile = "[[output]]\nformat = \"m4a\"\n[source]\ntrim = { from = 20.5, to = 180.25 }";
    let profile = lossy.write("aac.toml", profile);
    let ran =
        lossy.run(&[&source], &["--profile", profile.to_str().unwrap(), "--segment-time", "1", "-v"]).status;
    assert_eq!(ran, 0);
    let lossy = lossy.path("out/a.m4a");
    let lasts: f64 = probed(&lossy, "format=duration").parse().unwrap();
    assert!((lasts - 159.75).abs() < 0.001, "{lasts}");
    // Some versions of FFmpeg play the padding of the last packet.
    let padding = sound_of(&lossy).len() as i64 - (159 * 48_000 + 36_000);
    assert!((0..1024).contains(&padding), "{padding}");
}

#[test]
fn texts_chapters_and_the_timecode_are_those_of_the_part() {
    let (place, source) = source("a.mov", |path| {
        kinds::annotated(&path.with_extension("mkv"));
        let from = path.with_extension("mkv");
        media::ffmpeg(&[
            "-i",
            from.to_str().unwrap(),
            "-map",
            "0",
            "-c",
            "copy",
            "-c:s",
            "mov_text",
            "-timecode",
            "01:02:03:04",
            path.to_str().unwrap(),
        ]);
    });
    let profile = "[[output]]\nformat = \"mp4\"\n[source]\ntrim = { from = 0.6, to = 1.4 }";
    let profile = place.write("mp4.toml", profile);
    place.run(&[&source], &["--profile", profile.to_str().unwrap(), "--segment-time", "1"]).success();
    let output = place.path("out/a.mp4");
    assert_eq!(pictures(&output).len(), 20);
    let shown = texts(&output);
    assert!(shown.contains("00:00:00,000 --> 00:00:00,600"), "{shown}");
    assert!(shown.contains("zusammen") && shown.contains("--> 00:00:00,800"), "{shown}");
    assert_eq!(probed(&output, "chapter=start_time,end_time"), "0.000000,0.400000\n0.400000,0.800000");
    assert!(probed(&output, "stream_tags=timecode").contains("01:02:03:19"));
}

#[test]
fn tracks_that_end_before_the_part_are_left_out() {
    let (place, source) = source("a.mkv", |path| {
        let short = "aevalsrc=0.2*sin(440*2*PI*t):s=48000:d=1";
        let video = "testsrc2=size=320x180:rate=25:duration=4";
        let path = path.to_str().unwrap();
        media::ffmpeg(&[
            "-f", "lavfi", "-i", video, "-f", "lavfi", "-i", short, "-c:v", "libx264", "-pix_fmt", "yuv420p",
            "-c:a", "flac", path,
        ]);
    });
    let profile = profile(&place, "{ from = 2 }");
    let ran = place.run(&[&source], &["--profile", &profile, "--segment-time", "1"]);
    ran.success();
    let output = place.path("out/a.mkv");
    assert_eq!((pictures(&output).len(), has(&output, "a")), (50, false), "{}", ran.stderr);
}

#[test]
fn a_part_that_is_not_there_is_refused_before_work() {
    let (place, source) = source("a.mp4", media::clip);
    let behind = profile(&place, "{ from = 3, to = 4 }");
    let reason = place.run(&[&source], &["--profile", &behind]).failure().to_owned();
    assert!(reason.contains("begins at 3s, and the source is 3.0"), "{reason}");
    let empty = profile(&place, "{ from = 2, to = 2 }");
    let ran = place.run(&[&source], &["--profile", &empty]);
    assert!(ran.status == 2 && ran.stderr.contains("source.trim"), "{}", ran.stderr);
    assert!(!place.path("out/a.mkv").exists());
}

#[test]
fn another_part_is_another_output_and_the_same_one_is_made_once() {
    let (place, source) = source("a.mp4", media::clip);
    let run = |part: &str| {
        let ran = place.run(&[&source], &["--profile", &profile(&place, part), "--segment-time", "1"]);
        let line = ran.success();
        (line["execution"].clone(), pictures(&place.path("out/a.mkv")).len())
    };
    let (first, second) = (run("{ to = 1 }"), run("{ to = 2 }"));
    assert_eq!((first.1, second.1), (25, 50));
    assert_ne!(first.0, second.0);
    assert_eq!(run("{ to = 1 }"), first, "the file of the other part is no output of this one");
    let said = |arguments: &[&str]| {
        let ran = place.millrace().args(arguments).output().unwrap();
        (ran.status.code(), String::from_utf8(ran.stdout).unwrap() + &String::from_utf8(ran.stderr).unwrap())
    };
    let profile = profile(&place, "{ from = \"500ms\", to = 2 }");
    let (_, check) = said(&["profiles", "check", &profile, "--source", source.to_str().unwrap()]);
    assert!(check.contains("1.500 s of the source, from 0.5s to 2s"), "{check}");
    let verify =
        |profile: &str| said(&["verify", source.to_str().unwrap(), "out/a.mkv", "--profile", profile]);
    let (status, other) = verify(&profile);
    assert!(status == Some(1) && other.contains("WRONG"), "the output of another part: {other}");
    let (status, same) = verify(&self::profile(&place, "{ to = 1 }"));
    assert!(status == Some(0) && !same.contains("WRONG"), "{same}");
}

/// Makes a part with these keys of pictures and of sound; returns the output.
fn made(
    source: &Path,
    (pictures, sound, format): (&str, &str, &str),
    segment_time: &str,
) -> (Place, PathBuf) {
    let place = Place::new();
    let text = format!(
        "[video.main]\ncodec = \"h264\"\nquality = 1\npreset = \"veryfast\"\n{pictures}\n[audio.main]\n{sound}\n\
         [[output]]\nformat = \"{format}\"\n[source]\ntrim = {{ from = 1.5, to = 4.3 }}"
    );
    let profile = place.write("part.toml", text);
    let arguments = ["--profile", profile.to_str().unwrap(), "--segment-time", segment_time];
    place.run(&[source], &arguments).success();
    let output = place.path("out/a").with_extension(format);
    (place, output)
}

/// Noisy pictures at 30 a second, and sound that is louder before the part.
fn noisy(path: &Path) {
    let video = "testsrc2=size=320x180:rate=30:duration=6,noise=alls=10:allf=t:all_seed=7";
    let audio = "aevalsrc='(0.3*lt(t,1.5)+0.05)*sin(2*PI*440*t)':s=48000:d=6";
    let path = path.to_str().unwrap();
    media::ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        video,
        "-f",
        "lavfi",
        "-i",
        audio,
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-g",
        "30",
        "-bf",
        "2",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "pcm_s16le",
        path,
    ]);
}

#[test]
fn filters_over_time_see_the_pictures_of_the_part_alone() {
    let (_place, source) = source("a.mov", noisy);
    for (keys, filter) in [
        ("frame_rate = 24", "fps=24"),
        ("denoise = \"medium\"", "atadenoise=s=9:0a=0.04:0b=0.08:1a=0.04:1b=0.08:2a=0.04:2b=0.08"),
        ("deinterlace = \"always\"", "bwdif=mode=send_frame:parity=auto:deint=all"),
    ] {
        let keys = (keys, "codec = \"flac\"", "mkv");
        let (_cut, segments) = made(&source, keys, "1");
        let (place, whole) = made(&source, keys, "600");
        let reference = place.path("reference.mkv");
        let filter = format!("trim=start=1.5:end=4.3,{filter},setpts=PTS-STARTPTS");
        media::ffmpeg(&[
            "-i",
            source.to_str().unwrap(),
            "-vf",
            &filter,
            "-an",
            "-fps_mode",
            "passthrough",
            "-c:v",
            "ffv1",
            reference.to_str().unwrap(),
        ]);
        for output in [&segments, &whole] {
            assert!(pictures(output)[0].abs() < 0.0011, "{keys:?}: {:?}", pictures(output)[0]);
            same_times(output, &reference);
            let likeness = likeness_after(&reference, "null", output);
            assert!(likeness >= 40.0, "{keys:?}: {likeness} dB");
        }
        let likeness = likeness_after(&whole, "null", &segments);
        assert!(likeness >= 45.0, "{keys:?}: {likeness} dB between segments and whole");
    }
}

#[test]
fn loudness_and_fades_are_those_of_the_part() {
    let (_place, source) = source("a.mov", noisy);
    for (keys, filter) in [
        // What is louder lies before the part.
        ("loudness = -20.0", "volume=1"),
        ("fade_in = \"500ms\"\nfade_out = 1", "afade=in:d=0.5,afade=out:st=1.8:d=1"),
    ] {
        let sound = format!("codec = \"flac\"\n{keys}");
        let (place, output) = made(&source, ("", &sound, "mkv"), "1");
        let reference = place.path("reference.wav");
        let filter = format!("atrim=start=1.5:end=4.3,asetpts=PTS-STARTPTS,{filter}");
        let (from, to) = (source.to_str().unwrap(), reference.to_str().unwrap());
        media::ffmpeg(&["-i", from, "-vn", "-af", &filter, "-c:a", "pcm_s24le", to]);
        let (ours, theirs) = (sound_of(&output), sound_of(&reference));
        assert_eq!(ours.len(), theirs.len());
        // A steady tone of 440 Hz in one channel at full scale has -3 LUFS.
        let most = |samples: &[f32]| samples.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        if keys.starts_with("loudness") {
            let peak = 20.0 * most(&ours).log10();
            assert!((peak + 16.3).abs() < 0.4, "{peak} dBFS");
        } else {
            let off = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off <= 1e-3, "{off}");
        }
    }
}

#[test]
fn a_part_in_a_transport_stream_has_its_pictures() {
    let (_place, source) = source("a.mov", noisy);
    let keys = ("", "codec = \"aac\"", "ts");
    let [(_cut, segments), (_place2, whole)] = ["1", "600"].map(|time| made(&source, keys, time));
    assert_eq!(pictures(&segments).len(), 84);
    same_times(&segments, &whole);
    let likeness = likeness_after(&whole, "null", &segments);
    assert!(likeness >= 45.0, "{likeness} dB");
}

#[test]
fn a_part_is_not_copied() {
    let (place, source) = source("a.mov", noisy);
    let text = "[video.main]\ncodec = \"copy\"\n[audio.main]\ncodec = \"flac\"\n[[output]]\nformat = \"mkv\"\n\
                [source]\ntrim = { from = 1 }";
    let profile = place.write("copy.toml", text);
    let reason = place.run(&[&source], &["--profile", profile.to_str().unwrap()]).failure().to_owned();
    assert!(reason.contains("leave trim out"), "{reason}");
    assert!(!place.path("out/a.mkv").exists());
}
