//! Containers beside mp4 and flv: what each holds of a source, and what other readers find in it.

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::common::{
    Place, Ran,
    judge::{self, has, judge, judge_sound, probed},
    media::{
        self, Constant, ffmpeg, kinds,
        planted::{Output, Planter},
        scenes,
    },
};

/// The length of a tick of Matroska, in seconds.
const TICK: f64 = 0.001;

/// A Matroska file that is made of a source in segments of this length.
fn made(place: &Place, source: &Path, format: &str, segment: &str) -> std::path::PathBuf {
    let folder = format!("out-{segment}");
    let mut run = place.millrace();
    run.args([
        "run",
        "--data",
        "data",
        "--output",
        &folder,
        "--json",
        "-f",
        format,
        "--segment-time",
        segment,
    ]);
    Ran::of(run.arg(source).output().unwrap()).success();
    let stem = source.file_stem().unwrap().to_str().unwrap();
    place.path(&format!("{folder}/{stem}.{format}"))
}

/// What a program prints; `None` if it is not installed.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    match Command::new(program).args(arguments).output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{program} {arguments:?}: {text}");
            Some(text)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("{program} is not installed (mkvtoolnix): nothing is compared with it");
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

#[test]
fn matroska_in_many_segments_has_the_pictures_of_one_at_the_same_times() {
    for (name, constant) in [
        ("film.mp4", Constant { rate: "24000/1001", ..Constant::default() }),
        ("still.mp4", Constant { rate: "30", channels: 0, ..Constant::default() }),
        ("plain.mp4", Constant { b_frames: 0, channels: 1, ..Constant::default() }),
    ] {
        let place = Place::new();
        let source = place.path(name);
        media::constant(&source, constant);
        let [many, one] = ["1", "100"].map(|segment| made(&place, &source, "mkv", segment));
        judge(&source, &many);
        let (a, b) = (judge::pictures(&many), judge::pictures(&one));
        assert_eq!(a.len(), b.len(), "{name}");
        let off = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off <= 1.001 * TICK, "{name}: {off}");
    }
}

#[test]
fn a_variable_frame_rate_stays_variable_in_matroska() {
    let place = Place::new();
    let source = place.path("v.mp4");
    media::variable(&source);
    judge(&source, &made(&place, &source, "mkv", "0.7"));
}

#[test]
fn pictures_that_matroska_cannot_tell_apart_are_refused_and_kept_elsewhere() {
    let place = Place::new();
    let source = place.path("a.mp4");
    let ticks = "testsrc2=size=160x90:rate=90000,trim=end_frame=5";
    ffmpeg(&["-f", "lavfi", "-i", ticks, "-c:v", "libx264", "-pix_fmt", "yuv420p", source.to_str().unwrap()]);
    let ran = place.run(&[&source], &["-f", "mkv"]);
    let reason = ran.failure();
    assert!(reason.contains("shown up to 4.000 ms late") && reason.contains("such as mp4"), "{reason}");
    assert_eq!(place.names("out"), [""; 0]);
    place.run(&[&source], &["-f", "mp4"]).success();
    judge(&source, &place.path("out/a.mp4"));
}

#[test]
fn text_chapters_and_tags_go_over_to_matroska() {
    let place = Place::new();
    let source = place.path("a.mkv");
    kinds::annotated(&source);
    let output = made(&place, &source, "mkv", "1");
    let texts = judge::texts(&output);
    assert!(
        texts.contains("Guten <b>Tag</b>\n") && texts.contains("Guten <b>Tag</b>\nzusammen\n"),
        "{texts}"
    );
    assert!(probed(&output, "stream=codec_name:stream_tags=language").contains("subrip,deu"));
    // Priming of the sound comes before the first picture, and chapters are moved with it.
    let chapters = probed(&output, "chapter=start_time:chapter_tags=title");
    let titles: Vec<&str> = chapters.lines().map(|line| line.split_once(',').unwrap().1).collect();
    assert_eq!(titles, ["One", "Two"]);
    let tags = probed(&output, "format_tags=title,creation_time,location");
    assert!(tags.contains("A film") && tags.contains("2020-01-02T03:04:05"), "{tags}");
    assert!(!tags.contains("48.8577"), "where it was recorded is told: {tags}");
    assert!(probed(&output, "stream_tags=timecode").contains("01:02:03:04"));
    let mut verify = place.millrace();
    let verified = verify.arg("verify").args([&source, &output]).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

#[test]
fn text_becomes_web_vtt_in_webm() {
    let place = Place::new();
    let source = place.path("a.mkv");
    kinds::annotated(&source);
    let output = made(&place, &source, "webm", "1");
    assert!(probed(&output, "stream=codec_name:stream_tags=language").contains("webvtt,deu"));
    let texts = judge::texts(&output);
    assert!(
        texts.contains("Guten <b>Tag</b>\n") && texts.contains("Guten <b>Tag</b>\nzusammen\n"),
        "{texts}"
    );
    let mut verify = place.millrace();
    let verified = verify.arg("verify").args([&source, &output]).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    let Some(described) = said("mkvmerge", &["-J", output.to_str().unwrap()]) else { return };
    assert!(described.contains("D_WEBVTT/SUBTITLES"), "{described}");
}

#[test]
fn a_timecode_is_counted_at_another_frame_rate_where_that_is_exact() {
    let place = Place::new();
    let source = place.path("a.mov");
    let pictures = "testsrc2=size=160x90:rate=25,trim=end_frame=30";
    let coded =
        ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-timecode", "01:02:03:07"];
    ffmpeg(&[&["-f", "lavfi", "-i", pictures], &coded[..], &[source.to_str().unwrap()]].concat());
    for (rate, code) in [("50", "01:02:03:14"), ("30", "")] {
        let profile = format!(
            "[video.a]\ncodec = \"h264\"\npreset = \"ultrafast\"\nframe_rate = {rate}\n[[output]]\nformat = \"mkv\""
        );
        let profile = place.write("rate.toml", profile);
        let ran = place.run(&[&source], &["--profile", profile.to_str().unwrap(), "--overwrite"]);
        let warnings = ran.success()["warnings"].to_string();
        assert_eq!(warnings.contains("01:02:03:07 is left out"), code.is_empty(), "{warnings}");
        let found = probed(&place.path("out/a.mkv"), "stream_tags=timecode");
        assert_eq!(found.trim(), code, "{rate}");
    }
}

/// A cover lies behind what mp4 makes of chapters.
#[test]
fn a_cover_goes_over_with_chapters() {
    let place = Place::new();
    let source = place.path("a.mp4");
    covered_with_chapters(&place, &source);
    for format in ["mp4", "mkv"] {
        let output = made(&place, &source, format, "1");
        let streams = probed(&output, "stream=codec_name,width:stream_disposition=attached_pic");
        assert!(streams.lines().any(|line| line == "png,64,1"), "{streams}");
        assert_eq!(probed(&output, "chapter_tags=title"), "One\nTwo", "{format}");
    }
}

/// A clip with chapters, and with a cover, which is also at `cover.png`.
fn covered_with_chapters(place: &Place, source: &Path) {
    let chapter =
        |start, end, title| format!("[CHAPTER]\nTIMEBASE=1/1000\nSTART={start}\nEND={end}\ntitle={title}\n");
    let meta = format!(";FFMETADATA1\n{}{}", chapter(0, 1000, "One"), chapter(1000, 3000, "Two"));
    let meta = place.write("meta.txt", meta);
    let (clip, cover) = (place.path("clip.mp4"), place.path("cover.png"));
    media::clip(&clip);
    ffmpeg(&["-f", "lavfi", "-i", "testsrc2=size=64x48", "-frames:v", "1", cover.to_str().unwrap()]);
    let [from, picture, meta, to] = [&clip, &cover, &meta, source].map(|path| path.to_str().unwrap());
    let with =
        ["-map", "0", "-map", "1", "-map_chapters", "2", "-c", "copy", "-disposition:v:1", "attached_pic"];
    ffmpeg(&[&["-i", from, "-i", picture, "-f", "ffmetadata", "-i", meta], &with[..], &[to]].concat());
}

#[test]
fn a_cover_is_attached_as_it_is() {
    let place = Place::new();
    let (cover, source) = (place.path("cover.png"), place.path("a.mp4"));
    covered_with_chapters(&place, &source);
    let output = made(&place, &source, "mkv", "1");
    let bytes = std::fs::read(&cover).unwrap();
    let file = std::fs::read(&output).unwrap();
    assert!(file.windows(bytes.len()).any(|window| window == bytes), "the bytes of the picture");
}

#[test]
fn matroska_of_sound_alone_leaves_pictures_out() {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::clip(&source);
    let output = made(&place, &source, "mka", "1");
    assert!(!has(&output, "v"));
    judge_sound(&source, &output);
    let mut verify = place.millrace();
    let verified = verify.arg("verify").args([&source, &output]).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

#[test]
fn a_source_without_sound_is_refused_where_a_format_holds_nothing_else() {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::constant(&source, Constant { channels: 0, ..Constant::default() });
    let ran = place.run(&[&source], &["-f", "mka"]);
    assert!(
        ran.failure().contains("mka would be empty: it holds neither pictures nor sound"),
        "{}",
        ran.failure()
    );
}

#[test]
fn another_reader_finds_the_same_packets_and_the_same_length_in_matroska() {
    let place = Place::new();
    let source = place.path("a.mp4");
    media::clip(&source);
    let output = made(&place, &source, "mkv", "1");
    let file = output.to_str().unwrap();
    let Some(described) = said("mkvmerge", &["-J", file]) else { return };
    let described: Value = serde_json::from_str(&described).unwrap();
    assert_eq!(described["warnings"], Value::Array(Vec::new()));
    let nanoseconds = described["container"]["properties"]["duration"].as_f64().unwrap();
    let length: f64 = probed(&output, "format=duration").parse().unwrap();
    assert!((nanoseconds / 1e9 - length).abs() <= TICK, "{nanoseconds} ns, {length} s");
    for (track, kind) in ["v", "a"].iter().enumerate() {
        let times = place.path(&format!("{kind}.txt"));
        said("mkvextract", &[file, "timestamps_v2", &format!("{track}:{}", times.display())]).unwrap();
        let listing = std::fs::read_to_string(times).unwrap();
        // It lists the end of the last packet, too.
        let count = listing.lines().filter(|line| !line.starts_with('#')).count();
        let packets: usize = {
            let entries = ["-v", "error", "-count_packets", "-select_streams", kind, "-show_entries"];
            let more = ["stream=nb_read_packets", "-of", "csv=p=0", file];
            let output = Command::new("ffprobe").args(entries).args(more).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().trim_end_matches(',').parse().unwrap()
        };
        assert!(count == packets || count == packets + 1, "{kind}: {count} times of {packets} packets");
    }
}

/// Element ids (RFC 9559, 5).
const SEGMENT: u64 = 0x1853_8067;
const INFO: u64 = 0x1549_a966;
const TRACKS: u64 = 0x1654_ae6b;
const TRACK: u64 = 0xae;
const CLUSTER: u64 = 0x1f43_b675;
const SIMPLE_BLOCK: u64 = 0xa3;
const BLOCK_GROUP: u64 = 0xa0;
const CUES: u64 = 0x1c53_bb6b;

/// The elements of a Matroska file between two offsets: their ids, and where their data begins and ends.
fn elements(file: &[u8], mut at: usize, end: usize) -> Vec<(u64, usize, usize)> {
    let number =
        |at: usize, length: usize| file[at..at + length].iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
    let mut found = Vec::new();
    while at < end {
        let id = file[at].leading_zeros() as usize + 1;
        let size = file[at + id].leading_zeros() as usize + 1;
        let data = at + id + size;
        let behind = data + (number(at + id, size) & ((1 << (7 * size)) - 1)) as usize;
        found.push((number(at, id), data, behind));
        at = behind;
    }
    found
}

/// Where the data of all elements with these ids begins, one inside the other from the top of the file on.
fn data_of(file: &[u8], path: &[u64]) -> Vec<usize> {
    let mut ranges = vec![(0, file.len())];
    for id in path {
        let children = ranges.iter().flat_map(|(at, end)| elements(file, *at, *end));
        ranges = children.filter(|child| child.0 == *id).map(|(_, data, end)| (data, end)).collect();
    }
    ranges.into_iter().map(|range| range.0).collect()
}

/// Where the time of a block begins, two bytes in front of its flags.
fn block(file: &[u8], track: u8, number: usize) -> usize {
    let blocks = data_of(file, &[SEGMENT, CLUSTER, SIMPLE_BLOCK]);
    blocks.into_iter().filter(|at| file[*at] == 0x80 | track).nth(number).unwrap() + 1
}

#[test]
fn what_a_matroska_file_states_wrongly_is_refused_by_its_name() {
    let mut planter = Planter::new(scenes::film(4));
    let mut lie = |what: &str, words: &str, change: fn(&mut Vec<u8>)| {
        planter.in_fact(what, words, &Output::mkv(change));
    };
    lie("another length", "it says that it is", |file| {
        let at = data_of(file, &[SEGMENT, INFO, 0x4489])[0];
        file[at + 3] ^= 1;
    });
    lie("a picture a tick later", "should be at", |file| {
        let at = block(file, 1, 3);
        file[at + 1] ^= 1;
    });
    lie("a packet of sound a tick later", "should be at", |file| {
        let at = block(file, 2, 3);
        file[at + 1] ^= 1;
    });
    lie("all sound a tick later", "a block of its packets of sound is at", |file| {
        let mut blocks = data_of(file, &[SEGMENT, CLUSTER, SIMPLE_BLOCK]);
        blocks.extend(data_of(file, &[SEGMENT, CLUSTER, BLOCK_GROUP, 0xa1]));
        blocks.retain(|at| file[*at] == 0x82);
        for at in blocks {
            let time = i16::from_be_bytes([file[at + 1], file[at + 2]]) + 1;
            file[at + 1..at + 3].copy_from_slice(&time.to_be_bytes());
        }
    });
    lie("another picture", "pictures: number 3 is not the one", |file| {
        let at = block(file, 1, 3);
        file[at + 40] ^= 1;
    });
    lie("a keyframe that is none", "marked as keyframes", |file| {
        let at = block(file, 1, 3);
        file[at + 2] ^= 0x80;
    });
    lie("another header", "codec headers", |file| {
        // The compatible profiles of an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1).
        let at = data_of(file, &[SEGMENT, TRACKS, TRACK, 0x63a2])[0];
        file[at + 2] ^= 1;
    });
    lie("another width", "its header says 162x90", |file| {
        let at = data_of(file, &[SEGMENT, TRACKS, TRACK, 0xe0, 0xb0])[0];
        file[at] ^= 2;
    });
    lie("another rate of the sound", "its header says 48000.03125 samples", |file| {
        // Bits of a float of 8 bytes.
        let at = data_of(file, &[SEGMENT, TRACKS, TRACK, 0xe1, 0xb5])[0];
        file[at + 3] ^= 1;
    });
    lie("another language", "the language of its pictures", |file| {
        let at = data_of(file, &[SEGMENT, TRACKS, TRACK, 0x0022_b59c])[0];
        file[at..at + 3].copy_from_slice(b"deu");
    });
    lie("another rate", "its pictures last", |file| {
        let at = data_of(file, &[SEGMENT, TRACKS, TRACK, 0x0023_e383])[0];
        file[at + 1] ^= 1;
    });
    lie("more of the sound is heard", "samples of its sound are heard", |file| {
        let at = data_of(file, &[SEGMENT, CLUSTER, BLOCK_GROUP, 0x75a2])[0];
        file[at + 1] ^= 1;
    });
    lie("an index of another time", "its index lists other pictures", |file| {
        let at = data_of(file, &[SEGMENT, CUES, 0xbb, 0xb3])[0];
        file[at] ^= 1;
    });
    lie("no end", "can't be read as one Segment", |file| {
        file.pop();
    });
    planter.end(14);
}
