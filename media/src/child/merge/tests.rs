//! A codec and a container that only tests have are written and proven, and no line but theirs knows them.

mod codecs;
mod encryption;
mod packages;
mod sound;
mod stream;

use std::{
    collections::VecDeque,
    fs::File,
    io::{BufReader, Read as _, Seek as _, SeekFrom, Write as _},
};

use ffmpeg_next::{format::Pixel, frame};
use millrace_schemas::{
    BitRate, Color, Made, OutputPlan, Picture, Ratio, Rendition, TrackKind, TrackPlan, TrackSum,
    VideoSettings,
};

use super::*;
use crate::{
    child::{
        codec::{self, Codec, Form, tables},
        overlap::Notes,
        sink::{Sink as _, TimedPicture, VideoSink},
    },
    packets::{End, Header, Packet, Reader, TrailerFacts, Writer},
    protocol::{Merged, TimeRange},
    seams::Decoded,
};

const PICTURES: i64 = 10;
const LENGTH: i64 = 512;

fn settings() -> VideoSettings {
    let source = Picture {
        color: Color { primaries: 2, transfer: 2, matrix: 2, range: 1, chroma: 0 },
        ..Picture::plain((64, 48), Ratio { num: 25, den: 1 }, Ratio { num: 1, den: 12_800 })
    };
    tables().container("ipod").unwrap().video_settings(&source).unwrap()
}

/// A work object of some pictures.
fn encode(settings: &VideoSettings) -> (File, Made) {
    let rendition = Rendition { id: "v".into(), video: Some(settings.clone()), audio: None, side: None };
    let file = tempfile::tempfile().unwrap();
    let outputs = VecDeque::from([file.try_clone().unwrap()]);
    let notes = Notes::default();
    let ranges = [TimeRange { start: None, end: None }];
    let clock = settings.time_base;
    let Ok(mut sink) = VideoSink::open(&rendition, (&ranges, clock), outputs, 1) else {
        panic!("no encoder")
    };
    for number in 0..PICTURES {
        let mut picture = frame::Video::new(Pixel::YUV420P, 64, 48);
        picture.data_mut(0).fill(16 + 20 * number as u8);
        (1..3).for_each(|plane| picture.data_mut(plane).fill(128));
        let picture = TimedPicture { frame: picture, pts: number * LENGTH, length: LENGTH, notes: &notes };
        assert!(sink.push(picture).is_ok());
    }
    let Ok(made) = sink.finish(&notes) else { panic!("not encoded") };
    (file, made[0].clone())
}

fn task(settings: &VideoSettings, made: &Made) -> MergeTask {
    let plan = TrackPlan {
        rendition: "v".into(),
        kind: TrackKind::Video,
        first_segment: 0,
        segments: 1,
        video: Some(settings.clone()),
        tags: None,
        audio: None,
        source: None,
        order: Vec::new(),
    };
    let sum = TrackSum {
        plan,
        units: made.units,
        packets: made.packets,
        bytes: made.bytes,
        reorder: made.reorder,
        digest: made.digest,
        passes: Vec::new(),
    };
    let output = OutputPlan {
        url: "file:///o/a.ipod".into(),
        format: "ipod".into(),
        renditions: vec!["v".into()],
        keep: false,
        mark: "a mark".into(),
        overwrite: false,
        extras: None,
        remarks: Vec::new(),
        package: None,
        pictures: None,
        waveform: None,
    };
    MergeTask { output, tracks: vec![sum], round: 0, strict: false, source_bytes: 0, key: None }
}

fn put_together(
    output: &File,
    other: Option<&File>,
    task: &MergeTask,
    work: &File,
) -> Result<Merged, String> {
    let mut work = work.try_clone().unwrap();
    work.rewind().unwrap();
    let mut reporter = Reporter::new();
    match merge(output, other, task, (vec![work], None), &mut reporter) {
        Ok(Reply::Merged(merged)) => Ok(*merged),
        Ok(reply) => Err(format!("{reply:?}")),
        Err(Failure(reason)) => Err(reason),
    }
}

#[test]
fn a_planted_codec_and_container_are_written_and_proven() {
    let settings = settings();
    assert_eq!(settings.codec, "mpeg4");
    let (work, made) = encode(&settings);
    let task = task(&settings, &made);
    let output = tempfile::tempfile().unwrap();
    let merged = put_together(&output, None, &task, &work).unwrap();
    let video = merged.video.unwrap();
    assert_eq!((video.codec.as_str(), video.frames), ("mpeg4", PICTURES));
    // Each byte of the last packet is held.
    let mut bytes = Vec::new();
    let mut reading = output.try_clone().unwrap();
    reading.rewind().unwrap();
    reading.read_to_end(&mut bytes).unwrap();
    let last = bytes.windows(4).rposition(|code| code == [0, 0, 1, 0xb6]).unwrap();
    let mut other = tempfile::tempfile().unwrap();
    other.write_all(&bytes).unwrap();
    other.seek(SeekFrom::Start(last as u64 + 6)).unwrap();
    other.write_all(&[bytes[last + 6] ^ 1]).unwrap();
    let refused = put_together(&output, Some(&other), &task, &work).unwrap_err();
    assert!(refused.contains("pictures: number 9 is not the one that was put in"), "{refused}");
}

#[test]
fn a_bound_and_an_average_that_are_not_kept_are_errors() {
    let asked = |bit_rate: BitRate| {
        let settings = VideoSettings { bit_rate: Some(bit_rate), ..settings() };
        let (work, made) = encode(&settings);
        let output = tempfile::tempfile().unwrap();
        put_together(&output, None, &task(&settings, &made), &work)
    };
    let bound = |most, buffer| asked(BitRate { most, buffer, ..BitRate::default() });
    let empty = bound(1000, 1000).unwrap_err();
    assert!(empty.starts_with("the buffer of 1 kbit, which fills with 1 kbit/s, is empty at 0."), "{empty}");
    assert!(bound(1_000_000, 1_000_000).is_ok());
    let low = asked(BitRate { average: 1000, ..BitRate::default() }).unwrap_err();
    assert!(low.starts_with("a bit rate of 1 kbit/s is too low: at the worst quality of mpeg4"), "{low}");
    let high = asked(BitRate { average: 50_000_000, ..BitRate::default() }).unwrap();
    assert!(high.warnings[0].ends_with("instead of 50000, at the best quality"), "{:?}", high.warnings);
}

#[test]
fn work_objects_of_a_codec_without_an_entry_or_of_another_kind_are_refused() {
    for (codec, reason) in [
        ("theora", "the proof knows no headers of theora"),
        ("png", "a work object's codec png is of another kind"),
    ] {
        let settings = VideoSettings { codec: codec.into(), ..settings() };
        let header = Header {
            extradata: Vec::new(),
            clock: (1, 12_800),
            video: Some(settings.clone()),
            audio: None,
            side: None,
            size: None,
            padding: 0,
            frame_size: 0,
            source_stream: None,
        };
        let work = tempfile::tempfile().unwrap();
        let facts = TrailerFacts {
            rendition: "v".into(),
            units: 0,
            packets: 0,
            first: 0,
            next: None,
            reorder: 0,
            warnings: Vec::new(),
        };
        let made = Writer::new(work.try_clone().unwrap(), &header).unwrap();
        let made = made.finish(facts, &Decoded::default()).unwrap();
        let output = tempfile::tempfile().unwrap();
        let refused = put_together(&output, None, &task(&settings, &made), &work).unwrap_err();
        assert!(refused.starts_with(reason), "{refused}");
    }
}
