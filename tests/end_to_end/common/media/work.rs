//! Work objects as media children make them, and what is put together of them: each step of a run on its own, so that a test
//! can change what lies between two of them.

use std::{
    fs::File,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::Duration,
};

use millrace_formats::CONTAINERS;
use millrace_media::{
    InspectTask, Inspected, Launcher, MergeTask, Merged, Reply, Sandbox, Task, TaskRequest, TimeRange,
    TranscodeTask,
    packets::{Header, Item, Packet, Reader, TrailerFacts, Writer},
    seams::Decoded,
};
use millrace_processors::split::cuts;
use millrace_schemas::{Made, OutputPlan, Rendition, Seek, TrackKind, TrackPlan, TrackSum, VideoSettings};

const LONGEST: Duration = Duration::from_secs(120);

/// A work object.
#[derive(Debug, Clone)]
pub struct Object {
    pub header: Header,
    pub packets: Vec<Packet>,
    pub facts: TrailerFacts,
    pub decoded: Decoded,
}

impl Object {
    fn read(bytes: &[u8]) -> Self {
        let mut reader = Reader::new(bytes);
        let header = reader.next_header().unwrap().unwrap();
        let mut packets = Vec::new();
        loop {
            match reader.next_item().unwrap() {
                Item::Packet(packet) => packets.push(packet),
                Item::End(end) => {
                    let Made { rendition, units, packets: count, first, next, reorder, .. } = end.made;
                    let warnings = end.warnings;
                    let facts =
                        TrailerFacts { rendition, units, packets: count, first, next, reorder, warnings };
                    return Self { header, packets, facts, decoded: end.decoded };
                }
            }
        }
    }

    fn write(&self, into: &mut Vec<u8>) -> Made {
        let mut writer = Writer::new(into, &self.header).unwrap();
        for Packet { key, pts, duration, data } in &self.packets {
            writer.write_packet(*key, *pts, *duration, data).unwrap();
        }
        writer.finish(self.facts.clone(), &self.decoded).unwrap()
    }

    /// Counts the pictures anew, as a worker does that made these.
    pub fn count(&mut self) {
        self.facts.packets = i64::try_from(self.packets.len()).unwrap();
        self.facts.units = match self.header.video {
            Some(_) => self.facts.packets,
            None => self.facts.units,
        };
        let times: Vec<i64> = self.packets.iter().map(|packet| packet.pts).collect();
        if self.header.video.is_some() {
            self.facts.first = times.iter().min().copied().unwrap_or(self.facts.first);
            self.facts.reorder = i32::try_from(millrace_media::reorder_depth(&times)).unwrap();
        }
    }
}

/// A track: its segments, in the order of their times.
#[derive(Debug, Clone)]
pub struct Track {
    pub plan: TrackPlan,
    pub objects: Vec<Object>,
}

impl Track {
    /// What its workers report, added up, and its work objects, one behind the other.
    fn sum(&self) -> (TrackSum, Vec<u8>) {
        let mut sum = TrackSum::new(self.plan.clone());
        let mut all = Vec::new();
        for (object, index) in self.objects.iter().zip(0..) {
            let made = object.write(&mut all);
            sum.add(&made, index);
        }
        (sum, all)
    }
}

/// All tracks of an output: pictures, where there are some, before sound.
pub type Work = Vec<Track>;

/// What is to be made of a source.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The length of the video's segments, in seconds; each is made by a worker of its own.
    pub seconds: f64,
    /// Where sound is cut, in packets of AAC.
    pub cuts: Vec<i64>,
}

/// Runs media children.
pub struct Workshop {
    launcher: Launcher,
    runtime: tokio::runtime::Runtime,
    folder: tempfile::TempDir,
}

impl Workshop {
    pub fn new() -> Self {
        Self {
            launcher: Launcher::new(env!("CARGO_BIN_EXE_millrace").into(), Sandbox::On),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, task: &Task, files: Vec<File>) -> Result<Reply, String> {
        let files: Vec<OwnedFd> = files.into_iter().map(OwnedFd::from).collect();
        let reply = self.runtime.block_on(self.launcher.run(
            TaskRequest { task, limit: LONGEST, bytes: 1 << 30 },
            files,
            drop,
        ));
        reply.map_err(|error| error.to_string())
    }

    pub fn inspect(&self, source: &Path, seconds: f64) -> Inspected {
        let task = Task::Inspect(InspectTask { segment_seconds: Some(seconds) });
        match self.run(&task, vec![File::open(source).unwrap()]) {
            Ok(Reply::Inspected(found)) => *found,
            other => panic!("{other:?}"),
        }
    }

    /// One range of one track, made by a child of its own.
    pub fn transcode(&self, source: &Path, task: TranscodeTask) -> Object {
        let path = self.path("object");
        let files = vec![File::open(source).unwrap(), File::create(&path).unwrap()];
        let reply = self.run(&Task::Transcode(Box::new(task)), files);
        assert!(matches!(reply, Ok(Reply::Transcoded)), "{reply:?}");
        Object::read(&std::fs::read(path).unwrap())
    }

    /// The task of a range of the video; `seeks` are where reading begins.
    pub fn video_task(found: &Inspected, range: TimeRange, seeks: Vec<Seek>) -> TranscodeTask {
        let video = found.facts.video.as_ref().unwrap();
        let settings = CONTAINERS[0].video_settings(&video.picture).unwrap();
        TranscodeTask {
            stream: video.stream,
            kind: TrackKind::Video,
            ranges: vec![range],
            seeks,
            planned: Vec::new(),
            jumps: found.facts.discontinuities.clone(),
            longest_gap: video.longest_gap,
            last_time: video.last_time,
            also: video.more_streams.clone(),
            shape: video.shape.clone(),
            states: video.states.clone(),
            trim: None,
            renditions: vec![Rendition { id: "v".into(), video: Some(settings), audio: None, side: None }],
            assets: Vec::new(),
            cores: 1,
        }
    }

    /// The task of a range of the first sound track, in samples.
    pub fn sound_task(found: &Inspected, range: TimeRange) -> TranscodeTask {
        let sound = &found.facts.audio[0];
        let (settings, _) = CONTAINERS[0].audio_settings(&sound.sound).unwrap();
        TranscodeTask {
            stream: sound.stream,
            kind: TrackKind::Audio,
            ranges: vec![range],
            seeks: Vec::new(),
            planned: Vec::new(),
            jumps: found.facts.discontinuities.clone(),
            longest_gap: 0,
            last_time: 0,
            also: sound.more_streams.clone(),
            shape: None,
            states: Vec::new(),
            trim: None,
            renditions: vec![Rendition { id: "a".into(), video: None, audio: Some(settings), side: None }],
            assets: Vec::new(),
            cores: 1,
        }
    }

    /// The work objects of a source.
    pub fn make(&self, source: &Path, wanted: &Wanted) -> Work {
        let found = self.inspect(source, wanted.seconds);
        let mut work = Vec::new();
        if found.facts.video.is_some() {
            let ranges = ranges(&found, wanted.seconds);
            let made = ranges.into_iter().map(|range| {
                let cuts::Range { start, end, seeks } = range;
                self.transcode(source, Self::video_task(&found, TimeRange { start, end }, seeks))
            });
            work.push(track(TrackKind::Video, made.collect()));
        }
        if !found.facts.audio.is_empty() {
            let cuts: Vec<i64> = wanted.cuts.iter().map(|packets| packets * 1024).collect();
            let starts = std::iter::once(None).chain(cuts.iter().copied().map(Some));
            let ends = cuts.iter().copied().map(Some).chain([None]);
            let made = starts.zip(ends).map(|(start, end)| {
                self.transcode(source, Self::sound_task(&found, TimeRange { start, end }))
            });
            work.push(track(TrackKind::Audio, made.collect()));
        }
        work
    }

    /// The work objects of the pictures of a source, in these settings, in segments of so many seconds; `0` makes one. Each is made
    /// by a worker of its own, with other cores than the one before.
    pub fn make_pictures(&self, source: &Path, seconds: f64, settings: &VideoSettings) -> Track {
        let found = self.inspect(source, if seconds > 0.0 { seconds } else { 1.0 });
        let all = vec![cuts::Range { start: None, end: None, seeks: Vec::new() }];
        let ranges = if seconds > 0.0 { ranges(&found, seconds) } else { all };
        let made = ranges.into_iter().zip([1, 2].into_iter().cycle()).map(|(range, cores)| {
            let cuts::Range { start, end, seeks } = range;
            let mut task = Self::video_task(&found, TimeRange { start, end }, seeks);
            task.renditions[0].video = Some(settings.clone());
            self.transcode(source, TranscodeTask { cores, ..task })
        });
        track(TrackKind::Video, made.collect())
    }

    /// Puts an output together, as `merge` does; gives why it is refused. What was written stays.
    pub fn merge(&self, work: &Work, output: &Path) -> Result<Merged, String> {
        self.join(work, output, vec![new_file(output)], |task| Task::Merge(Box::new(task)))
    }

    /// Holds a file to work objects, as `merge` holds what it wrote.
    pub fn prove(&self, work: &Work, output: &Path) -> Result<Merged, String> {
        let files = vec![File::open(output).unwrap(), new_file(&self.path("scratch"))];
        self.join(work, output, files, |task| Task::Prove(Box::new(task)))
    }

    fn join(
        &self,
        work: &Work,
        output: &Path,
        mut files: Vec<File>,
        task: fn(MergeTask) -> Task,
    ) -> Result<Merged, String> {
        let mut tracks = Vec::new();
        for (i, (sum, bytes)) in work.iter().map(Track::sum).enumerate() {
            let path = self.path(&format!("track-{i}"));
            std::fs::write(&path, bytes).unwrap();
            files.push(File::open(path).unwrap());
            tracks.push(sum);
        }
        let format = output.extension().unwrap().to_str().unwrap().to_owned();
        let output = OutputPlan {
            url: String::new(),
            format,
            renditions: work.iter().map(|track| track.plan.rendition.clone()).collect(),
            keep: false,
            mark: String::new(),
            overwrite: true,
            extras: None,
            remarks: Vec::new(),
            package: None,
            pictures: None,
            waveform: None,
        };
        match self.run(
            &task(MergeTask { output, tracks, round: 0, strict: false, source_bytes: 0, key: None }),
            files,
        )? {
            Reply::Merged(merged) => Ok(*merged),
            Reply::Again { segments, .. } => {
                let segments: Vec<i32> = segments.into_iter().flat_map(|run| run.replaces).collect();
                Err(format!("segments {segments:?} are decoded otherwise than in one piece"))
            }
            other => Err(format!("{other:?}")),
        }
    }
}

fn new_file(path: &Path) -> File {
    File::options().read(true).write(true).create(true).truncate(true).open(path).unwrap()
}

/// The ranges of a video's segments.
pub fn ranges(found: &Inspected, seconds: f64) -> Vec<cuts::Range> {
    let video = found.facts.video.as_ref().unwrap();
    let ticks = |seconds: f64| (seconds / video.picture.time_base.as_f64()) as i64;
    cuts::plan(video.first, video.end, &video.keyframes, ticks(seconds), ticks(cuts::LONGEST_LEAD_SECONDS))
}

/// A track of these segments, as it is planned.
pub fn track(kind: TrackKind, objects: Vec<Object>) -> Track {
    let plan = TrackPlan {
        rendition: objects[0].facts.rendition.clone(),
        kind,
        first_segment: 0,
        segments: i32::try_from(objects.len()).unwrap(),
        video: objects[0].header.video.clone(),
        tags: None,
        audio: objects[0].header.audio.clone(),
        source: None,
        order: Vec::new(),
    };
    Track { plan, objects }
}
