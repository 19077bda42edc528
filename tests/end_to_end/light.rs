//! Pictures and animations that are made at once: they show what a player shows at that time, and cost little.

use std::process::{Command, Stdio};

use millrace_servers::{Manner, WebServer};
use serde_json::{Value, json};

use crate::common::{
    Place,
    judge::{brightest, likeness_after, number_of, probed, shown_size},
    media::{self, Constant, ffmpeg},
    serving::{Serving, url},
};

/// A call: its exit status, stdout and stderr.
fn call(place: &Place, arguments: &[&str]) -> (i32, String, String) {
    let output = place.millrace().args(arguments).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// Makes something, and returns what the command says of it.
fn made(place: &Place, arguments: &[&str]) -> Value {
    let (status, stdout, stderr) = call(place, &[arguments, &["--json", "--overwrite"]].concat());
    assert_eq!(status, 0, "{arguments:?}: {stderr}");
    serde_json::from_str::<Value>(&stdout).unwrap()["facts"].clone()
}

#[test]
fn a_thumbnail_is_the_picture_that_is_shown_at_its_time() {
    let place = Place::new();
    let source = place.path("a.mp4");
    // Without sound, which begins before the pictures in some containers.
    media::constant(&source, Constant { gop: 50, channels: 0, ..Constant::default() });
    for name in ["a.mkv", "a.ts", "a.flv"] {
        ffmpeg(&["-i", source.to_str().unwrap(), "-c", "copy", place.path(name).to_str().unwrap()]);
    }
    // Pictures 37 and 38 are shown from 1.48 s and 1.52 s on.
    for (at, number) in [
        ("0", 0),
        ("1.48", 37),
        ("1.5s", 37),
        ("1519ms", 37),
        ("00:00:01.52", 38),
        ("1.999", 49),
        ("2", 50),
        ("2.999", 74),
    ] {
        for name in ["a.mp4", "a.mkv", "a.ts", "a.flv"] {
            let facts = made(&place, &["thumbnail", name, "--output", "t.png", "--at", at]);
            let near = number.max(1) - 1..(number + 2).min(75);
            assert_eq!(number_of(&source, near, &place.path("t.png")), number, "{name} at {at}: {facts}");
            let shown = facts["at"].as_f64().unwrap();
            assert!((shown - number as f64 * 0.04).abs() < 0.03, "{name} at {at}: {shown}");
        }
    }
}

#[test]
fn between_pictures_that_are_long_shown_the_one_before_is_taken() {
    let place = Place::new();
    media::variable(&place.path("a.mp4"));
    // From 2 s on each third picture of 30 per second is there.
    let first = probed(&place.path("a.mp4"), "frame=pts_time");
    let times: Vec<f64> = first.lines().filter_map(|line| line.split(',').next()?.parse().ok()).collect();
    for number in [10, 61, 65, times.len() - 1] {
        let end = times.get(number + 1).copied().unwrap_or(times[number] + 0.03);
        let at = format!("{:.4}", (times[number] + end) / 2.0);
        made(&place, &["thumbnail", "a.mp4", "--output", "t.png", "--at", &at]);
        let near = number - 1..(number + 2).min(times.len());
        assert_eq!(number_of(&place.path("a.mp4"), near, &place.path("t.png")), number, "at {at}");
    }
}

#[test]
fn each_format_is_made_and_never_larger_than_the_source() {
    let place = Place::new();
    media::clip(&place.path("a.mp4"));
    let size = |flags: &[&str], name: &str| {
        let facts = made(&place, &[&["thumbnail", "a.mp4", "--at", "1", "--output", name], flags].concat());
        assert_eq!(number_of(&place.path("a.mp4"), 25..26, &place.path("1.png")), 25);
        let size = shown_size(&place.path(name));
        assert_eq!(json!(size), json!([facts["width"], facts["height"]]));
        size
    };
    made(&place, &["thumbnail", "a.mp4", "--at", "1", "--output", "1.png"]);
    for name in ["b.jpg", "b.JPEG", "b.png", "b.webp"] {
        assert_eq!(size(&[], name), [320, 180], "{name}");
        let likeness = likeness_after(&place.path("a.mp4"), "select=eq(n\\,25)", &place.path(name));
        assert!(likeness > 30.0, "{name}: {likeness} dB");
    }
    assert_eq!(size(&["--width", "160"], "b.jpg"), [160, 90]);
    assert_eq!(size(&["--height", "45"], "b.jpg"), [80, 45]);
    assert_eq!(size(&["--size", "100x100"], "b.png"), [100, 56]);
    assert_eq!(size(&["--width", "4000"], "b.jpg"), [320, 180]);
}

#[test]
fn a_thumbnail_is_upright_of_square_pixels_and_of_the_standard_range() {
    let place = Place::new();
    media::turned(&place.path("turned.mp4"));
    made(&place, &["thumbnail", "turned.mp4", "--at", "1", "--output", "t.png"]);
    assert_eq!(shown_size(&place.path("t.png")), [180, 320]);
    let likeness =
        likeness_after(&place.path("turned.mp4"), "select=eq(n\\,25),transpose=1", &place.path("t.png"));
    assert!(likeness > 35.0, "{likeness} dB");

    let wide = place.path("wide.mp4");
    let graph = "testsrc2=size=320x240:rate=25:duration=1,setsar=4/3";
    ffmpeg(&["-f", "lavfi", "-i", graph, "-pix_fmt", "yuv420p", wide.to_str().unwrap()]);
    made(&place, &["thumbnail", "wide.mp4", "--at", "0", "--output", "t.png"]);
    assert_eq!(shown_size(&place.path("t.png")), [427, 240]);

    let high = place.path("high.mp4");
    let graph = "testsrc2=size=320x180:rate=25:duration=1";
    let color = ["-color_primaries", "bt2020", "-color_trc", "arib-std-b67", "-colorspace", "bt2020nc"];
    let line =
        ["-f", "lavfi", "-i", graph, "-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le"];
    let parameters = ["-x265-params", "log-level=error", high.to_str().unwrap()];
    ffmpeg(&[&line[..], &color, &parameters].concat());
    place.run(&[&high], &[]).success();
    made(&place, &["thumbnail", "high.mp4", "--at", "0.4", "--output", "t.png"]);
    made(&place, &["thumbnail", "out/high.mp4", "--at", "0.4", "--output", "o.png"]);
    let likeness = likeness_after(&place.path("o.png"), "null", &place.path("t.png"));
    assert!(likeness > 28.0, "it is tone-mapped as an output is: {likeness} dB");
}

#[test]
fn without_a_time_a_picture_is_taken_that_shows_something() {
    let place = Place::new();
    let graph = "color=black:size=320x180:rate=25:duration=2[a];testsrc2=size=320x180:rate=25:duration=4[b];[a][b]concat";
    let source = place.path("a.mp4");
    ffmpeg(&["-f", "lavfi", "-i", graph, "-pix_fmt", "yuv420p", source.to_str().unwrap()]);
    let facts = made(&place, &["thumbnail", "a.mp4", "--output", "t.jpg"]);
    assert!(facts["at"].as_f64().unwrap() >= 2.0, "{facts}");
    assert!(brightest(&place.path("t.jpg"), "null")[0].1 > 100.0);
    let facts = made(&place, &["thumbnail", "a.mp4", "--output", "t.jpg", "--best", "3"]);
    assert!(facts["at"].as_f64().unwrap() < 2.0, "all three are black: {facts}");
}

#[test]
fn a_gif_shows_the_pictures_of_its_times_of_one_palette() {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::constant(&source, Constant { gop: 50, ..Constant::default() });
    for name in ["a.gif", "a.webp"] {
        let facts = made(
            &place,
            &[
                "gif", "a.mp4", "--output", name, "--from", "0.8", "--to", "1.8s", "--fps", "5", "--width",
                "200",
            ],
        );
        assert_eq!(
            facts,
            json!({"width": 200, "height": 113, "at": 0.8, "pictures": 5, "duration_seconds": 1.0})
        );
    }
    let gif = place.path("a.gif");
    let times = probed(&gif, "frame=pts_time,pkt_duration_time");
    let times: Vec<&str> = times.lines().map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(times, ["0.000000", "0.200000", "0.400000", "0.600000", "0.800000"]);
    assert_eq!(probed(&gif, "stream=duration"), "1.000000");
    let shown = "select=between(n\\,20\\,44)*not(mod(n\\,5)),scale=200:113";
    let beside = "select=between(n\\,21\\,45)*not(mod(n-1\\,5)),scale=200:113";
    let (own, other) = (likeness_after(&source, shown, &gif), likeness_after(&source, beside, &gif));
    assert!(own > 24.0 && own > other + 2.0, "{own} dB, and {other} dB of those beside");
    // Image descriptors without a palette of their own (GIF89a, 20): one for all.
    let bytes = std::fs::read(&gif).unwrap();
    assert_eq!(bytes[10] & 0x87, 0x87, "a palette of 256 colours for all");
    assert!(bytes.windows(11).any(|window| window == b"NETSCAPE2.0"), "without end");
    assert!(std::fs::read(place.path("a.webp")).unwrap().windows(4).any(|window| window == b"ANIM"));
}

#[test]
fn a_gif_ends_with_its_source() {
    let place = Place::new();
    media::clip(&place.path("a.mp4"));
    let facts = made(&place, &["gif", "a.mp4", "--output", "a.gif", "--from", "2.5", "--fps", "10"]);
    let length = facts["duration_seconds"].as_f64().unwrap();
    assert!((length - 0.5).abs() < 0.05 && facts["pictures"] == 5, "{facts}");
}

#[test]
fn pictures_that_do_not_change_are_there_once() {
    let place = Place::new();
    let source = place.path("a.mp4");
    let graph = "testsrc2=size=320x180:rate=2:duration=3";
    ffmpeg(&["-f", "lavfi", "-i", graph, "-pix_fmt", "yuv420p", source.to_str().unwrap()]);
    let facts = made(&place, &["gif", "a.mp4", "--output", "a.gif", "--fps", "25"]);
    assert_eq!(facts["pictures"], 6, "{facts}");
    assert_eq!(probed(&place.path("a.gif"), "stream=duration"), "3.000000");
}

#[test]
fn what_can_not_be_is_refused_with_what_can_and_leaves_nothing() {
    let place = Place::new();
    media::clip(&place.path("a.mp4"));
    media::tone(&place.path("tone.m4a"));
    place.write("there.jpg", "a file of mine");
    for (arguments, status, said) in [
        (&["thumbnail", "a.mp4", "--output", "t.jpg", "--at", "3"][..], 1, "it is 3.0"),
        (&["thumbnail", "a.mp4", "--output", "t.jpg", "--at", "1:2"], 2, "write seconds, \"90s\""),
        (&["thumbnail", "a.mp4", "--output", "t.bmp"], 2, ".jpg, .jpeg, .png, .webp"),
        (&["thumbnail", "a.mp4", "--output", "t"], 2, "has no extension"),
        (&["thumbnail", "a.mp4", "--output", "t.gif"], 2, ".jpg, .jpeg, .png, .webp"),
        (&["thumbnail", "a.mp4", "--output", "t.jpg", "--size", "big"], 2, "640x360"),
        (&["thumbnail", "a.mp4", "--output", "t.jpg", "--width", "0"], 2, "1..=16384"),
        (&["thumbnail", "a.mp4", "--output", "https://host/t.jpg"], 2, "host"),
        (&["thumbnail", "a.mp4", "--output", "there.jpg"], 1, "--overwrite"),
        (&["thumbnail", "tone.m4a", "--output", "t.jpg"], 1, "there is no video in it"),
        (&["thumbnail", "none.mp4", "--output", "t.jpg"], 1, "none.mp4"),
        (&["gif", "a.mp4", "--output", "t.mp4"], 2, ".gif, .webp"),
        (&["gif", "a.mp4", "--output", "t.gif", "--from", "9"], 1, "it is 3.0"),
        (&["gif", "a.mp4", "--output", "t.gif", "--from", "2", "--to", "1"], 2, "ends before it begins"),
        (&["gif", "a.mp4", "--output", "t.gif", "--to", "1", "--duration", "1"], 2, "cannot be used with"),
        (&["gif", "a.mp4", "--output", "t.gif", "--fps", "99"], 2, "0.1 to 50"),
    ] {
        let (found, _, stderr) = call(&place, arguments);
        assert!(found == status && stderr.contains(said), "{arguments:?}: {found}, {stderr}");
    }
    assert_eq!(place.names(""), ["a.mp4", "there.jpg", "tone.m4a"]);
    assert_eq!(std::fs::read(place.path("there.jpg")).unwrap(), b"a file of mine");
    let output =
        place.millrace().args(["thumbnail", "a.mp4", "--output", "-", "--format", "png"]).output().unwrap();
    assert!(output.stdout.starts_with(b"\x89PNG"), "to a pipe: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_picture_from_the_middle_of_a_long_film_costs_few_requests() {
    let (place, web) = (Place::new(), WebServer::start().unwrap());
    let (clip, film) = (place.path("a.mp4"), place.path("film.mp4"));
    media::clip(&clip);
    // An hour and a quarter: 112,500 pictures in the index.
    ffmpeg(&["-stream_loop", "1499", "-i", clip.to_str().unwrap(), "-c", "copy", film.to_str().unwrap()]);
    web.put("film.mp4", std::fs::read(&film).unwrap(), Manner::default());
    let source = web.url("film.mp4");
    for arguments in [
        &["thumbnail", &source, "--output", "t.jpg", "--at", "01:00:00"][..],
        &["gif", &source, "--output", "t.gif", "--from", "01:00:00"],
    ] {
        let before = web.requests().len();
        made(&place, arguments);
        let requests = web.requests().len() - before;
        eprintln!("{}: {requests} requests", arguments[0]);
        assert!(requests <= 20, "{}: {requests} requests", arguments[0]);
    }
}

#[test]
fn one_fact_is_printed_alone() {
    let place = Place::new();
    media::turned(&place.path("a.mp4"));
    for (flag, fact) in [
        ("--duration", "3.0"),
        ("--size", "180x320\n"),
        ("--frames", "75\n"),
        ("--frame-rate", "25\n"),
        ("--codec", "h264\n"),
        ("--container", "mov,mp4"),
    ] {
        let (status, stdout, stderr) = call(&place, &["probe", flag, "a.mp4"]);
        assert!(
            status == 0 && stdout.starts_with(fact) && stdout.lines().count() == 1,
            "{flag}: {stdout}{stderr}"
        );
    }
    media::tone(&place.path("tone.wav"));
    let (status, stdout, stderr) = call(&place, &["probe", "--size", "tone.wav"]);
    assert_eq!((status, stdout.as_str()), (1, ""));
    assert!(stderr.contains("there is no video in it"), "{stderr}");
    assert_eq!(call(&place, &["probe", "--size", "--duration", "a.mp4"]).0, 2);
}

/// The status, the media type and the body of an answer.
fn post(serving: &Serving, path: &str, body: &Value) -> (u16, String, Vec<u8>) {
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let request = ureq::Agent::new_with_config(config).post(format!("http://{}{path}", serving.address));
    let mut answer = request.header("Content-Type", "application/json").send(body.to_string()).unwrap();
    let kind = answer.headers().get("content-type").unwrap().to_str().unwrap().to_owned();
    (answer.status().as_u16(), kind, answer.body_mut().read_to_vec().unwrap())
}

#[test]
fn over_http_a_picture_is_the_body_or_is_written_where_the_caller_may() {
    let place = Place::new();
    media::clip(&place.path("a.mp4"));
    let serving = Serving::start(&place, |command| {
        command.args(["--listen", "127.0.0.1:0", "--source-root", ".", "--output-root", "out"]);
        command.env_remove("MILLRACE_SOURCE_ROOTS").env_remove("MILLRACE_OUTPUT_ROOTS");
    });
    let source = url(&place, "a.mp4");
    let (status, kind, body) =
        post(&serving, "/v1/thumbnail", &json!({"source": source, "at": "00:00:01", "format": "png"}));
    assert_eq!((status, kind.as_str()), (200, "image/png"));
    place.write("t.png", &body);
    assert_eq!(number_of(&place.path("a.mp4"), 24..27, &place.path("t.png")), 25);
    let (status, kind, body) = post(
        &serving,
        "/v1/gif",
        &json!({"source": source, "from": 1, "duration": "1s", "fps": 5, "width": 100}),
    );
    assert_eq!((status, kind.as_str(), &body[..6]), (200, "image/gif", &b"GIF89a"[..]));

    let written = json!({"source": source, "at": 1.5, "width": 160, "output": url(&place, "out/t.jpg")});
    let (status, answer) = serving.post("/v1/thumbnail", &written);
    assert_eq!((status, &answer["facts"]["width"]), (200, &json!(160)), "{answer}");
    assert_eq!(shown_size(&place.path("out/t.jpg")), [160, 90]);
    assert_eq!(answer["bytes"], std::fs::metadata(place.path("out/t.jpg")).unwrap().len());
    assert_eq!(serving.post("/v1/thumbnail", &written).0, 409, "it is there");
    let again = json!({"source": source, "output": url(&place, "out/t.jpg"), "overwrite": true});
    assert_eq!(serving.post("/v1/thumbnail", &again).0, 200);

    for (path, body, status, said) in [
        ("/v1/thumbnail", json!({"source": source, "output": url(&place, "t.jpg")}), 403, "output"),
        ("/v1/thumbnail", json!({"source": "file:///etc/passwd"}), 403, "source"),
        ("/v1/thumbnail", json!({"source": source, "at": 9}), 422, "it is 3.0"),
        ("/v1/thumbnail", json!({"source": source, "at": "soon"}), 400, "a duration such as"),
        ("/v1/thumbnail", json!({"source": source, "crf": 9}), 400, "crf"),
        ("/v1/thumbnail", json!({"source": source, "format": "bmp"}), 422, ".jpg"),
        ("/v1/thumbnail", json!({"source": source, "size": "9x9", "width": 9}), 422, "give one"),
        ("/v1/gif", json!({"source": source, "to": 1, "duration": 1}), 422, "give one"),
        ("/v1/gif", json!({"source": source, "from": 2, "to": 1}), 422, "ends before it begins"),
    ] {
        let (found, problem) = serving.post(path, &body);
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(found == status && detail.contains(said), "{body}: {found}, {problem}");
    }
    assert_eq!(place.names("out"), ["t.jpg"], "nothing beside it");
    let listed: Vec<Value> = serving.get("/v1/executions").1["executions"].as_array().unwrap().clone();
    assert!(listed.is_empty(), "no execution was begun");
}

/// What ffmpeg shows at a time of a source that begins elsewhere than at 0.
#[test]
fn times_are_counted_from_the_start_as_ffmpeg_does() {
    let place = Place::new();
    let source = place.path("a.mkv");
    media::constant(&place.path("a.mp4"), Constant { gop: 50, channels: 0, ..Constant::default() });
    let mp4 = place.path("a.mp4");
    ffmpeg(&[
        "-i",
        mp4.to_str().unwrap(),
        "-c",
        "copy",
        "-output_ts_offset",
        "100",
        source.to_str().unwrap(),
    ]);
    let theirs = place.path("theirs.png");
    for at in ["0.8", "1.2", "2.4"] {
        made(&place, &["thumbnail", "a.mkv", "--output", "ours.png", "--at", at]);
        let mut command = Command::new("ffmpeg");
        command
            .args(["-v", "error", "-y", "-ss", at, "-i"])
            .arg(&source)
            .args(["-frames:v", "1"])
            .arg(&theirs);
        assert!(command.status().unwrap().success());
        let likeness = likeness_after(&theirs, "null", &place.path("ours.png"));
        // Other pictures have less than 20 dB.
        assert!(likeness > 26.0, "at {at}: {likeness} dB");
    }
}
