//! Each codec of pictures in each container that holds it: segments are put together as if they were one encode, and what is
//! wrong with them is found.

use std::{io::Cursor, process::Command};

use millrace_formats::{CONTAINERS, Codec, Seams, VideoAsk};
use millrace_schemas::Light;

use super::*;
use crate::{
    child::graph::PictureGraph,
    packets::{End, Header, Item, Reader},
};

const SIZE: (i32, i32) = (96, 64);
/// The length of a segment, in pictures.
const SEGMENT: i64 = 9;
const SEGMENTS: i64 = 3;
const LAST: i64 = SEGMENT * SEGMENTS;

/// Settings of a codec; of the fastest preset, but for one from which on its pictures are reordered.
pub(super) fn settings_of(codec: &dyn Codec, keyframe_interval: Option<f64>) -> VideoSettings {
    let source = Picture {
        color: Color { primaries: 1, transfer: 1, matrix: 1, range: 1, chroma: 1 },
        ..Picture::plain(SIZE, Ratio { num: 25, den: 1 }, Ratio { num: 1, den: 12_800 })
    };
    let presets = codec.video().unwrap().presets();
    let preset = presets.get(2).map(|preset| (*preset).to_owned());
    codec.video_settings(&source, &VideoAsk { preset, keyframe_interval, ..VideoAsk::default() }).unwrap()
}

/// A picture that is unlike its neighbours, and moves.
fn picture(number: i64) -> frame::Video {
    let mut picture = frame::Video::new(Pixel::YUV420P, SIZE.0 as u32, SIZE.1 as u32);
    for plane in 0..3 {
        let stride = picture.stride(plane);
        for (at, byte) in picture.data_mut(plane).iter_mut().enumerate() {
            let (x, y) = (at % stride, at / stride);
            let noise = (at as i64).wrapping_mul(2_654_435_761).wrapping_add(number * 97) >> 7;
            *byte = (40 + (x as i64 * 2 + y as i64 + number * 3) % 150 + (noise & 7)) as u8;
        }
    }
    picture
}

/// The work objects of these ranges, in pictures, as one media process makes them of all that come.
pub(super) fn encode_ranges(
    settings: &VideoSettings,
    ranges: &[(i64, i64)],
    cores: usize,
) -> Vec<(Vec<u8>, Made)> {
    let rendition = Rendition { id: "v".into(), video: Some(settings.clone()), audio: None, side: None };
    let files: Vec<File> = ranges.iter().map(|_| tempfile::tempfile().unwrap()).collect();
    let outputs = files.iter().map(|file| file.try_clone().unwrap()).collect();
    let inside = |at: &i64| (*at > 0 && *at < LAST).then_some(at * LENGTH);
    let times: Vec<TimeRange> =
        ranges.iter().map(|(start, end)| TimeRange { start: inside(start), end: inside(end) }).collect();
    let mut notes = Notes::new(&times, 0);
    let ranges_and_clock = (times.as_slice(), settings.time_base);
    let Ok(mut sink) = VideoSink::open(&rendition, ranges_and_clock, outputs, cores) else {
        panic!("{settings:?}")
    };
    let mut made = Vec::new();
    let mut graph = PictureGraph::build([settings], None, 1);
    for number in ranges[0].0..LAST {
        let mut frame = None;
        let converted = graph.push(picture(number), |_, picture| {
            frame = Some(picture);
            Ok(())
        });
        let frame = converted.map_err(|Failure(reason)| reason).map(|()| frame).unwrap().unwrap();
        notes.picture(&frame, number * LENGTH);
        let pushed = sink.push(TimedPicture { frame, pts: number * LENGTH, length: LENGTH, notes: &notes });
        made.extend(pushed.map_err(|Failure(reason)| reason).unwrap());
    }
    notes.end();
    let ended = sink.finish(&notes);
    made.extend(ended.map_err(|Failure(reason)| reason).unwrap());
    let read = |mut file: File| {
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    };
    files.into_iter().map(read).zip(made).collect()
}

/// The work objects of all segments, each as another worker makes it: of other cores, and batched where the codec can be.
pub(super) fn encode_segments(codec: &dyn Codec, settings: &VideoSettings) -> Vec<(Vec<u8>, Made)> {
    let ranges: Vec<(i64, i64)> = (0..SEGMENTS).map(|i| (i * SEGMENT, (i + 1) * SEGMENT)).collect();
    if codec.seams() == Seams::Stitch {
        let mut made = encode_ranges(settings, &ranges[..2], 4);
        made.extend(encode_ranges(settings, &ranges[2..], 1));
        return made;
    }
    ranges.chunks(1).zip([1, 4, 2]).flat_map(|(range, cores)| encode_ranges(settings, range, cores)).collect()
}

/// What is merged of these work objects.
pub(super) struct Job {
    task: MergeTask,
    work: File,
}

impl Job {
    pub(super) fn new(container: &Container, settings: &VideoSettings, made: &[(Vec<u8>, Made)]) -> Self {
        let mut task = task(settings, &made[0].1);
        task.output.format = container.name.into();
        let sum = &mut task.tracks[0];
        sum.plan.segments = i32::try_from(made.len()).unwrap();
        (sum.units, sum.packets, sum.bytes, sum.reorder, sum.digest) = (0, 0, 0, 0, 0);
        let mut work = tempfile::tempfile().unwrap();
        for ((bytes, made), index) in made.iter().zip(0..) {
            work.write_all(bytes).unwrap();
            sum.add(made, index);
        }
        Self { task, work }
    }

    pub(super) fn merge(&self, output: &File, other: Option<&File>) -> Result<Merged, String> {
        put_together(output, other, &self.task, &self.work)
    }
}

fn read(bytes: &[u8]) -> (Header, Vec<Packet>, End) {
    let mut reader = Reader::new(Cursor::new(bytes));
    let header = reader.next_header().unwrap().unwrap();
    let mut packets = Vec::new();
    loop {
        match reader.next_item().unwrap() {
            Item::Packet(packet) => packets.push(packet),
            Item::End(end) => return (header, packets, *end),
        }
    }
}

fn rewrite(header: &Header, packets: &[Packet], end: &End) -> (Vec<u8>, Made) {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, header).unwrap();
    for Packet { key, pts, duration, data } in packets {
        writer.write_packet(*key, *pts, *duration, data).unwrap();
    }
    let count = i64::try_from(packets.len()).unwrap();
    let facts = TrailerFacts {
        rendition: "v".into(),
        units: count,
        packets: count,
        first: packets.iter().map(|packet| packet.pts).min().unwrap(),
        next: end.made.next,
        reorder: end.made.reorder,
        warnings: Vec::new(),
    };
    let made = writer.finish(facts, &end.decoded).unwrap();
    (bytes, made)
}

pub(super) fn content(file: &File) -> Vec<u8> {
    let (mut bytes, mut file) = (Vec::new(), file.try_clone().unwrap());
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

/// The times of the pictures that ffmpeg decodes of a file, in microseconds. It must say nothing.
fn decoded(file: &File, extension: &str) -> Vec<i64> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("a.{extension}"));
    std::fs::write(&path, content(file)).unwrap();
    let ran = Command::new("ffmpeg")
        .args(["-v", "warning", "-xerror", "-i", path.to_str().unwrap(), "-fps_mode", "passthrough"])
        .args(["-enc_time_base", "1:1000000", "-f", "framemd5", "-"])
        .output()
        .unwrap();
    assert!(ran.status.success() && ran.stderr.is_empty(), "{}", String::from_utf8_lossy(&ran.stderr));
    let text = String::from_utf8(ran.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split(',').nth(2).unwrap().trim().parse().unwrap()).collect()
}

/// Each codec of pictures that the program makes, with the containers that hold it.
fn each_codec() -> Vec<(&'static dyn Codec, Vec<&'static Container>)> {
    let codecs = millrace_formats::CODECS.iter().copied().filter(|codec| codec.video().is_some());
    let holders = |codec: &'static dyn Codec| {
        let holds = |container: &&Container| {
            container.is_one_file() && container.codecs().any(|held| held.name() == codec.name())
        };
        CONTAINERS.iter().copied().filter(holds).collect::<Vec<_>>()
    };
    let found: Vec<_> = codecs.map(|codec| (codec, holders(codec))).collect();
    assert!(found.iter().all(|(_, containers)| !containers.is_empty()));
    found
}

#[test]
fn segments_of_each_codec_become_the_same_pictures_at_the_same_times_as_one_encode() {
    for (codec, containers) in each_codec() {
        let settings = settings_of(codec, None);
        let segments = encode_segments(codec, &settings);
        let whole = encode_ranges(&settings, &[(0, LAST)], 2);
        for container in containers {
            let name = format!("{} in {}", codec.name(), container.name);
            let times = |made: &[(Vec<u8>, Made)]| {
                let output = tempfile::tempfile().unwrap();
                let merged = Job::new(container, &settings, made).merge(&output, None);
                let merged = merged.unwrap_or_else(|reason| panic!("{name}: {reason}"));
                let video = merged.video.unwrap();
                assert_eq!((video.codec.as_str(), video.frames), (codec.name(), LAST), "{name}");
                decoded(&output, container.name)
            };
            let (joined, one) = (times(&segments), times(&whole));
            assert_eq!(joined, one, "{name}");
            assert_eq!(i64::try_from(joined.len()).unwrap(), LAST, "{name}");
        }
    }
}

#[test]
fn headers_are_the_same_over_one_and_many_threads_and_each_segment_begins_with_a_keyframe() {
    for (codec, _) in each_codec() {
        let settings = settings_of(codec, None);
        let made = encode_segments(codec, &settings);
        let read: Vec<_> = made.iter().map(|(bytes, _)| read(bytes)).collect();
        for (header, packets, _) in &read {
            assert_eq!(*header, read[0].0, "{}", codec.name());
            assert!(codec.is_keyframe(&packets[0].data, Form::Encoder), "{}", codec.name());
            assert_eq!(i64::try_from(packets.len()).unwrap(), SEGMENT, "{}", codec.name());
            let first = packets.iter().map(|packet| packet.pts).min();
            assert_eq!(first, Some(packets[0].pts), "{}: a picture before its keyframe", codec.name());
        }
        let one = encode_ranges(&settings, &[(0, SEGMENT)], 1);
        let many = encode_ranges(&settings, &[(0, SEGMENT)], 8);
        assert_eq!(self::read(&one[0].0).0, self::read(&many[0].0).0, "{}", codec.name());
    }
}

/// Settings of each codec with each of its pixel formats but the first; of 10 bits with high dynamic range and its light.
fn deep_settings(codec: &dyn Codec) -> Vec<VideoSettings> {
    let light = Light {
        mastering: vec![34_000, 16_000, 13_250, 34_500, 7500, 3000, 15_635, 16_450, 10_000_000, 50],
        most: 1000,
        most_average: 400,
    };
    let formats = codec.video().unwrap().pixel_formats().iter().skip(1);
    let of = |name: &&str| {
        let is_deep = name.contains("10");
        let color = Color { primaries: 9, transfer: 16, matrix: 9, range: 1, chroma: 3 };
        let plain = settings_of(codec, None);
        VideoSettings {
            pixel_format: (*name).into(),
            color: if is_deep { color } else { plain.color },
            light: is_deep.then(|| light.clone()),
            ..plain
        }
    };
    formats.map(of).collect()
}

#[test]
fn each_pixel_format_has_the_same_headers_over_threads_and_is_proven_with_its_light() {
    for (codec, containers) in each_codec() {
        for settings in deep_settings(codec) {
            let name = format!("{} of {}", codec.name(), settings.pixel_format);
            let made = encode_segments(codec, &settings);
            let headers: Vec<Header> = made.iter().map(|(bytes, _)| read(bytes).0).collect();
            assert!(headers.iter().all(|header| *header == headers[0]), "{name}");
            let many = encode_ranges(&settings, &[(0, SEGMENT)], 8);
            assert_eq!(read(&many[0].0).0, headers[0], "{name}");
            for container in containers.iter().filter(|container| container.index.states_light()) {
                let name = format!("{name} in {}", container.name);
                let output = tempfile::tempfile().unwrap();
                let job = Job::new(container, &settings, &made);
                let video = job
                    .merge(&output, None)
                    .unwrap_or_else(|reason| panic!("{name}: {reason}"))
                    .video
                    .unwrap();
                assert_eq!(
                    (video.frames, video.pixel_format.as_str()),
                    (LAST, settings.pixel_format.as_str()),
                    "{name}"
                );
                assert_eq!(i64::try_from(decoded(&output, container.name).len()).unwrap(), LAST, "{name}");
                let bytes = content(&output);
                for kind in [b"clli", b"mdcv"] {
                    let at = bytes.windows(4).position(|found| found == kind);
                    assert_eq!(at.is_some(), settings.light.is_some() && bytes[4..8] == *b"ftyp", "{name}");
                    let Some(at) = at else { continue };
                    let mut changed = bytes.clone();
                    changed[at + 5] ^= 1;
                    let mut other = tempfile::tempfile().unwrap();
                    other.write_all(&changed).unwrap();
                    let found = job.merge(&output, Some(&other)).unwrap_err();
                    assert!(found.contains("light of the mastering display"), "{name}: {found}");
                }
            }
        }
    }
}

#[test]
fn a_cut_inside_a_group_of_pictures_is_found() {
    for (codec, containers) in each_codec() {
        let settings = settings_of(codec, None);
        let mut made = encode_segments(codec, &settings);
        let (header, packets, end) = read(&made[1].0);
        made[1] = rewrite(&header, &packets[1..], &end);
        let output = tempfile::tempfile().unwrap();
        let refused = Job::new(containers[0], &settings, &made).merge(&output, None).unwrap_err();
        assert!(
            refused.contains("otherwise than in one piece")
                || refused.contains("no keyframe")
                || refused.starts_with("Unclean"),
            "{}: {refused}",
            codec.name()
        );
        // With its times made to fit, only the packet itself shows it.
        let mut packets = packets[1..].to_vec();
        packets[0].pts = end.made.first;
        made[1] = rewrite(&header, &packets, &end);
        let refused = Job::new(containers[0], &settings, &made).merge(&output, None).unwrap_err();
        assert!(refused.contains("begins with a picture that is no keyframe"), "{}: {refused}", codec.name());
    }
}

#[test]
fn another_byte_of_a_codecs_headers_in_a_file_is_found() {
    // That of H.264 ends in four bytes that no decoder reads; its other ones are changed in `tests/end_to_end/lies.rs`.
    const RECORDS: [&[u8]; 3] = [b"hvcC", b"av1C", b"vpcC"];
    let mut changed_records = Vec::new();
    for (codec, containers) in each_codec() {
        let settings = settings_of(codec, None);
        let made = encode_ranges(&settings, &[(0, LAST)], 1);
        for container in containers {
            let job = Job::new(container, &settings, &made);
            let output = tempfile::tempfile().unwrap();
            job.merge(&output, None).unwrap();
            let bytes = content(&output);
            let at = |kind: &[u8]| bytes.windows(4).position(|found| found == kind);
            let Some((record, at)) = RECORDS.iter().find_map(|kind| Some((*kind, at(kind)?))) else {
                continue;
            };
            changed_records.push(record);
            let size = u32::from_be_bytes(bytes[at - 4..at].try_into().unwrap()) as usize;
            for place in at + 4..at - 4 + size {
                let mut changed = bytes.clone();
                changed[place] ^= 4;
                let mut other = tempfile::tempfile().unwrap();
                other.write_all(&changed).unwrap();
                let found = job.merge(&output, Some(&other));
                let name = format!("{} in {}, byte {}", codec.name(), container.name, place - at - 4);
                assert!(found.is_err(), "{name} is not held");
            }
        }
    }
    assert!(RECORDS.iter().all(|record| changed_records.contains(record)), "{changed_records:?}");
}

#[test]
fn keyframes_at_intervals_are_where_one_encode_has_them() {
    // Five pictures, so that segments of nine begin between.
    const INTERVAL: f64 = 0.2;
    let asked: Vec<i64> = (0..LAST).step_by(5).collect();
    for (codec, _) in each_codec() {
        if !codec.video().unwrap().places_keyframes() {
            continue;
        }
        let settings = settings_of(codec, Some(INTERVAL));
        let keys = |made: &[(Vec<u8>, Made)]| -> Vec<i64> {
            let packets = made.iter().flat_map(|(bytes, _)| read(bytes).1);
            let keys = packets.filter(|packet| codec.is_keyframe(&packet.data, Form::Encoder));
            keys.map(|packet| packet.pts / LENGTH).collect()
        };
        assert_eq!(keys(&encode_ranges(&settings, &[(0, LAST)], 1)), asked, "{}", codec.name());
        let mut cut = asked.clone();
        cut.extend([SEGMENT, 2 * SEGMENT]);
        cut.sort_unstable();
        assert_eq!(keys(&encode_segments(codec, &settings)), cut, "{}", codec.name());
    }
}

#[test]
fn an_encoder_that_places_keyframes_by_itself_makes_one_segment_and_another_one_the_next() {
    let mut count = 0;
    for (codec, _) in each_codec() {
        if codec.video().unwrap().places_keyframes() {
            continue;
        }
        count += 1;
        assert_eq!(codec.seams(), Seams::OwnEncode, "{}", codec.name());
        let settings = settings_of(codec, None);
        let ranges: Vec<(i64, i64)> = (0..SEGMENTS).map(|i| (i * SEGMENT, (i + 1) * SEGMENT)).collect();
        let facts = |(bytes, made): &(Vec<u8>, Made)| {
            let (header, packets, _) = read(bytes);
            let packets =
                packets.into_iter().map(|packet| (packet.key, packet.pts, packet.duration, packet.data));
            (header, packets.collect::<Vec<_>>(), made.first, made.next, made.units)
        };
        let together: Vec<_> = encode_ranges(&settings, &ranges, 2).iter().map(facts).collect();
        let alone = ranges.chunks(1).flat_map(|range| encode_ranges(&settings, range, 2));
        let alone: Vec<_> = alone.map(|made| facts(&made)).collect();
        assert!(together == alone, "{}", codec.name());
        // Shorter than what is decoded while an encoder ends.
        let short: Vec<(i64, i64)> = (0..LAST).map(|i| (i, i + 1)).take(4).collect();
        let made = encode_ranges(&settings, &short, 1);
        assert!(
            made.iter().zip(0..).all(|((_, made), i)| (made.first, made.units) == (i * LENGTH, 1)),
            "{}",
            codec.name()
        );
    }
    assert!(count > 0);
}
