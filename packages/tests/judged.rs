//! Manifests as others judge them: shaka-packager, which packages the same files; ffmpeg, which reads them; and hls.js and dash.js in
//! Chromium, which play them. `scripts/player.sh` installs what is needed.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use millrace_packages::{
    Files, Manifest, Media, NamedKind, Presentation, Purpose, Segment, Track, VideoRange, init_codecs, read,
    render, segment_index,
};
use serde_json::Value;

const RATE: u32 = 25;
const SECONDS: u32 = 8;

/// The folder into which `scripts/player.sh` installs.
fn tools() -> PathBuf {
    let installed = std::env::var_os("MILLRACE_PLAYER").map(PathBuf::from);
    installed.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/player"))
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}; run scripts/player.sh"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    format!("{}{said}", String::from_utf8_lossy(&output.stdout))
}

fn ffmpeg(folder: &Path, arguments: &str, filter: &[&str]) -> String {
    let mut command = Command::new("ffmpeg");
    run(command.args(["-y", "-v", "error"]).args(filter).args(arguments.split(' ')).current_dir(folder))
}

/// Makes the files of a ladder, in which each picture has its number as squares, and each whole second a beep.
fn ladder(folder: &Path) {
    let bits = "mod(floor(N/pow(2,X)),2)";
    let pictures = format!(
        "color=black:s=16x2:r={RATE}:d={SECONDS},format=gray,geq=lum='if(lt(Y,1),16+219*{bits},235-219*{bits})',\
         scale=640:180:flags=neighbor,setsar=1,format=yuv420p[code];testsrc2=s=640x180:r={RATE}:d={SECONDS},format=yuv420p[test];\
         [code][test]vstack"
    );
    let sound = format!("aevalsrc='if(lt(mod(t,1),0.04),0.8*sin(2*PI*1000*t),0)':s=48000:d={SECONDS}");
    let inputs = ["-f", "lavfi", "-i", &pictures, "-f", "lavfi", "-i", &sound];
    ffmpeg(folder, "-c:v libx264 -preset ultrafast -crf 10 -c:a flac -strict -2 source.mp4", &inputs);
    for (height, rate) in [(360, 800), (180, 200)] {
        // Segments of unequal lengths: 1 s and 2 s.
        let arguments = format!(
            "-i source.mp4 -an -vf scale=-2:{height} -c:v libx264 -preset veryfast -bf 0 -b:v {rate}k -force_key_frames \
             0,1,3,4,5,7 -g 1000 -sc_threshold 0 video-{height}p.mp4"
        );
        ffmpeg(folder, &arguments, &[]);
    }
    ffmpeg(folder, "-i source.mp4 -vn -c:a aac -b:a 96k audio.mp4", &[]);
}

/// Packages the files by shaka-packager into `package`; returns its playlist and its description.
fn shaka(folder: &Path) -> (String, String) {
    let stream = |id: &str, kind: &str| {
        format!(
            "in={id}.mp4,stream={kind},init_segment=package/3f/{id}/init.mp4,segment_template=package/3f/{id}/$Number%05d$.m4s,\
             playlist_name={id}.m3u8"
        )
    };
    let mut command = Command::new(tools().join("packager"));
    command.arg("--quiet").args([
        stream("video-360p", "video"),
        stream("video-180p", "video"),
        stream("audio", "audio"),
    ]);
    command.args(["--hls_master_playlist_output", "shaka/shaka.m3u8", "--mpd_output", "shaka/shaka.mpd"]);
    run(command.args(["--segment_duration", "1", "--generate_static_live_mpd"]).current_dir(folder));
    let read = |name: &str| fs::read_to_string(folder.join("shaka").join(name)).unwrap();
    (read("shaka.m3u8"), read("shaka.mpd"))
}

/// Returns the contents of the boxes of a type, at this path of types.
fn boxes<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Vec<&'a [u8]> {
    let Some((first, rest)) = path.split_first() else { return vec![bytes] };
    let (mut at, mut found) = (0, Vec::new());
    while at + 8 <= bytes.len() {
        let size = number(bytes, at, 4) as usize;
        if &bytes[at + 4..at + 8] == *first {
            found.extend(boxes(&bytes[at + 8..at + size], rest));
        }
        at += size;
    }
    found
}

fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    bytes[at..at + length].iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Returns start and duration of a segment, in ticks of its track.
fn times(segment: &[u8], trex_duration: u64) -> (u64, u64) {
    let (mut start, mut duration) = (None, 0);
    for fragment in boxes(segment, &[b"moof", b"traf"]) {
        let tfdt = boxes(fragment, &[b"tfdt"])[0];
        let time = if tfdt[0] == 1 { number(tfdt, 4, 8) } else { number(tfdt, 4, 4) };
        start = start.or(Some(time));
        let tfhd = boxes(fragment, &[b"tfhd"])[0];
        let flags = number(tfhd, 1, 3);
        let at = 8 + if flags & 1 > 0 { 8 } else { 0 } + if flags & 2 > 0 { 4 } else { 0 };
        let default = if flags & 8 > 0 { number(tfhd, at, 4) } else { trex_duration };
        for trun in boxes(fragment, &[b"trun"]) {
            let (flags, count) = (number(trun, 1, 3), number(trun, 4, 4));
            let fields = [0x100, 0x200, 0x400, 0x800].iter().filter(|flag| flags & **flag > 0).count();
            let first = 8 + if flags & 1 > 0 { 4 } else { 0 } + if flags & 4 > 0 { 4 } else { 0 };
            for sample in 0..count as usize {
                let at = first + sample * 4 * fields;
                duration += if flags & 0x100 > 0 { number(trun, at, 4) } else { default };
            }
        }
    }
    (start.unwrap(), duration)
}

/// Reads the segments of a track from its files.
fn track(package: &Path, id: &str, media: Media) -> Track {
    let init = fs::read(package.join(format!("3f/{id}/init.mp4"))).unwrap();
    let header = boxes(&init, &[b"moov", b"trak", b"mdia", b"mdhd"])[0];
    let timescale = number(header, if header[0] == 1 { 20 } else { 12 }, 4) as u32;
    let trex = boxes(&init, &[b"moov", b"mvex", b"trex"])[0];
    let mut segments = Vec::new();
    // What the edit list leaves out of the start: the encoder's priming.
    let priming =
        boxes(&init, &[b"moov", b"trak", b"edts", b"elst"]).first().map_or(0, |list| match list[0] {
            1 => number(list, 16, 8),
            _ => number(list, 12, 4),
        });
    for count in 1.. {
        let name = format!("3f/{id}/{count:05}.m4s");
        let Ok(bytes) = fs::read(package.join(&name)) else { break };
        let (decoded, length) = times(&bytes, number(trex, 12, 4));
        let start = decoded.saturating_sub(priming);
        let duration = decoded + length - priming - start;
        segments.push(Segment { name, offset: 0, bytes: bytes.len() as u64, start, duration, timescale });
    }
    Track {
        id: id.into(),
        media,
        codecs: init_codecs(&init).unwrap(),
        language: "eng".into(),
        title: String::new(),
        is_default: true,
        purpose: Purpose::Main,
        files: Files::Many { init: Some(format!("3f/{id}/init.mp4")) },
        segments,
        iframes: None,
        encryption: None,
    }
}

fn presentation(package: &Path) -> Presentation {
    let video = |height: u32| {
        let media = Media::Video {
            width: height * 16 / 9,
            height,
            sample_aspect: (1, 1),
            frame_rate: (RATE, 1),
            range: VideoRange::Sdr,
        };
        track(package, &format!("video-{height}p"), media)
    };
    let audio = track(package, "audio", Media::Audio { sample_rate: 48_000, channels: 1 });
    let tracks = vec![video(360), video(180), audio];
    Presentation { mark: "millrace test".into(), seconds: f64::from(SECONDS), tracks }
}

/// Joins the objects of each track into one, behind an index.
fn joined(presentation: &Presentation, package: &Path) -> Presentation {
    let mut joined = presentation.clone();
    for track in &mut joined.tracks {
        let name = format!("3f/{}.mp4", track.id);
        let init = fs::read(package.join(format!("3f/{}/init.mp4", track.id))).unwrap();
        let size = 40 + 12 * track.segments.len() as u64;
        let (mut at, mut media) = (init.len() as u64 + size, Vec::new());
        for segment in &mut track.segments {
            media.extend(fs::read(package.join(&segment.name)).unwrap());
            segment.name.clone_from(&name);
            segment.offset = at;
            at += segment.bytes;
        }
        let index = segment_index(&track.segments, 0).unwrap();
        assert_eq!(index.len() as u64, size);
        fs::write(package.join(&name), [&init[..], &index, &media].concat()).unwrap();
        let init_bytes = init.len() as u64;
        track.files = Files::Single { name, init_bytes, index: Some((init_bytes, size)) };
    }
    joined
}

/// Writes the manifests of a presentation, and returns them.
fn write(presentation: &Presentation, package: &Path) -> BTreeMap<String, String> {
    let texts = render(presentation, &[Manifest::Hls, Manifest::Dash], "3f").unwrap();
    for named in read(&texts).unwrap().iter().filter(|named| named.kind != NamedKind::Playlist) {
        let length = fs::metadata(package.join(&named.name)).unwrap().len();
        assert!(named.range.is_none_or(|(offset, bytes)| offset + bytes <= length), "{named:?}");
    }
    for text in &texts {
        let path = package.join(&text.name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &text.text).unwrap();
    }
    texts.into_iter().map(|text| (text.name, text.text)).collect()
}

/// Returns the values of an attribute, in the order in which they are in a manifest.
fn values<'a>(text: &'a str, attribute: &str) -> Vec<&'a str> {
    let end = |rest: &'a str| {
        rest.strip_prefix('"').map_or_else(
            || rest.split([',', '\n']).next().unwrap(),
            |quoted| quoted.split('"').next().unwrap(),
        )
    };
    let starts = [format!(" {attribute}="), format!(",{attribute}="), format!(":{attribute}=")];
    let mut found: Vec<(usize, &str)> = starts
        .iter()
        .flat_map(|start| {
            text.match_indices(start.as_str()).map(|(at, _)| (at, end(&text[at + start.len()..])))
        })
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(_, value)| value).collect()
}

fn sorted(mut all: Vec<&str>) -> Vec<&str> {
    all.sort_unstable();
    all
}

/// Compares bit rates, which may be in another order.
fn assert_near(ours: &[&str], theirs: &[&str], what: &str) {
    let numbers = |all: &[&str]| {
        let mut all: Vec<f64> = all.iter().map(|number| number.parse().unwrap()).collect();
        all.sort_by(f64::total_cmp);
        all
    };
    let (ours, theirs) = (numbers(ours), numbers(theirs));
    assert!(ours.len() == theirs.len() && !ours.is_empty(), "{what}: {ours:?} and {theirs:?}");
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert!((ours / theirs - 1.0).abs() <= 0.02, "{what}: {ours} and {theirs}");
    }
}

/// The sum of all durations of a playlist, in seconds.
fn length(playlist: &str) -> f64 {
    let durations = playlist.lines().filter_map(|line| line.strip_prefix("#EXTINF:"));
    durations.map(|line| line.trim_end_matches(',').parse::<f64>().unwrap()).sum()
}

#[test]
#[ignore = "needs what scripts/player.sh installs: make players"]
fn manifests_say_what_shaka_packager_says_of_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    ladder(folder.path());
    let (playlist, description) = shaka(folder.path());
    let package = folder.path().join("package");
    let presentation = presentation(&package);
    let ours = write(&presentation, &package);
    let (top, mpd) = (&ours["master.m3u8"], &ours["manifest.mpd"]);
    assert_eq!(sorted(values(top, "CODECS")), sorted(values(&playlist, "CODECS")));
    assert_eq!(sorted(values(top, "RESOLUTION")), sorted(values(&playlist, "RESOLUTION")));
    assert_eq!(sorted(values(mpd, "codecs")), sorted(values(&description, "codecs")));
    assert_near(&values(top, "BANDWIDTH"), &values(&playlist, "BANDWIDTH"), "BANDWIDTH");
    assert_near(
        &values(top, "AVERAGE-BANDWIDTH"),
        &values(&playlist, "AVERAGE-BANDWIDTH"),
        "AVERAGE-BANDWIDTH",
    );
    assert_near(&values(mpd, "bandwidth"), &values(&description, "bandwidth"), "bandwidth");
    for track in &presentation.tracks {
        let theirs = fs::read_to_string(folder.path().join(format!("shaka/{}.m3u8", track.id))).unwrap();
        let ours = &ours[&format!("3f/{}/media.m3u8", track.id)];
        // They write three decimals.
        let allowed = 0.0011 * track.segments.len() as f64;
        assert!(
            (length(ours) - length(&theirs)).abs() < allowed,
            "{}: {} {}",
            track.id,
            length(ours),
            length(&theirs)
        );
        let target = |text: &str| {
            text.lines().find(|line| line.starts_with("#EXT-X-TARGETDURATION")).unwrap().to_owned()
        };
        assert_eq!(target(ours), target(&theirs), "{}", track.id);
    }
    let whole = |text: &str| {
        let value = values(text, "mediaPresentationDuration")[0].to_owned();
        value.trim_start_matches("PT").trim_end_matches('S').parse::<f64>().unwrap()
    };
    assert!((whole(mpd) - whole(&description)).abs() < 0.05, "{} {}", whole(mpd), whole(&description));
}

/// Decodes all of a manifest by ffmpeg, which must be silent; returns the number of pictures of its first video.
fn decoded(package: &Path, manifest: &str) -> usize {
    let said = ffmpeg(package, &format!("-allowed_extensions ALL -i {manifest} -map 0 -f null -"), &[]);
    assert_eq!(said, "", "{manifest}");
    let mut probe = Command::new("ffprobe");
    probe.args(["-v", "error", "-allowed_extensions", "ALL", "-select_streams", "v:0", "-count_frames"]);
    probe.args(["-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", manifest]).current_dir(package);
    run(&mut probe).lines().next().unwrap().trim_end_matches(',').parse().unwrap()
}

/// Plays a manifest in Chromium, and returns what was seen.
fn played(package: &Path, manifest: &str, starts: &str) -> Value {
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/player/driver.mjs");
    let mut command = Command::new(tools().join("node"));
    command
        .arg(driver)
        .arg(package)
        .args([manifest, &RATE.to_string(), starts])
        .env("MILLRACE_PLAYER", tools());
    let said = run(&mut command);
    serde_json::from_str(&said).unwrap_or_else(|e| panic!("{manifest}: {e}: {said}"))
}

/// Checks what was seen and heard of a package. `harness` is how far a beep is from its picture where nothing is between them, in ms.
fn assert_played(seen: &Value, harness: i64) {
    assert_eq!(seen["wrong"].as_array().unwrap().len(), 0, "each seek lands on its picture: {seen}");
    assert_eq!(seen["misses"].as_array().unwrap().len(), 0, "nothing is named that isn't there: {seen}");
    assert_eq!(seen["errors"].as_array().unwrap().len(), 0, "{seen}");
    assert_eq!(seen["rungs"].as_array().unwrap().len(), 2, "{seen}");
    let played = &seen["played"];
    for fault in ["unreadable", "repeated", "backwards", "lost", "waits"] {
        assert_eq!(played[fault], 0, "{fault}: {seen}");
    }
    assert_eq!(played["wrong"].as_array().unwrap().len(), 0, "{seen}");
    assert_eq!(played["heights"].as_array().unwrap().len(), 2, "each rung was shown: {seen}");
    let offset = played["offset"].as_i64().unwrap() - harness;
    assert!(offset.abs() <= 40, "sound is {offset} ms from the pictures: {seen}");
}

#[test]
#[ignore = "plays in real time, which a busy machine can't: make players"]
fn packages_are_decoded_and_played_in_many_objects_and_in_one() {
    let folder = tempfile::tempdir().unwrap();
    ladder(folder.path());
    shaka(folder.path());
    let package = folder.path().join("package");
    let many = presentation(&package);
    fs::copy(folder.path().join("source.mp4"), package.join("source.mp4")).unwrap();
    let harness = played(&package, "source.mp4", "")["played"]["offset"].as_i64().unwrap();
    for presentation in [joined(&many, &package), many] {
        write(&presentation, &package);
        for manifest in ["master.m3u8", "manifest.mpd"] {
            assert_eq!(decoded(&package, manifest), (RATE * SECONDS) as usize, "{manifest}");
            let seen = played(&package, manifest, "1,3,4,5,7");
            assert_played(&seen, harness);
        }
    }
}
