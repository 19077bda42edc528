//! Puts single pictures into files: each into one of its own, many into sheets, or all into an animation. Each file is read again.

mod best;
mod list;
mod mark;
mod proof;
mod sheet;

use std::fs::File;

use ffmpeg_next::{self as ff, codec, frame};
use millrace_formats::{
    Codec, Container,
    container::Pictures,
    instants::Instants,
    picture::{Coding, PictureFormat, picture_format},
};
use millrace_schemas::{PicturesPlan, VideoFacts, VideoSettings};

use self::{best::Best, list::Cue, sheet::Sheet};
use super::{package::Spool, track::Track};
use crate::{
    child::{
        failure::Failure,
        libav::codec::{set_picture_size, set_up_picture_decoder},
        picture_file::{self, Frame},
        report::Reporter,
    },
    protocol::{MergeTask, Merged},
};

/// Single pictures that were written.
pub(super) struct Written {
    spool: Spool,
    facts: VideoFacts,
}

/// What the pictures of an output become.
enum Made {
    Files { best: Option<Best>, cues: Vec<Cue> },
    Sheets { sheet: Sheet, cues: Vec<Cue> },
    Animation(Vec<Frame>),
}

/// An output that is being written.
struct Writer<'a> {
    task: &'a MergeTask,
    plan: &'a PicturesPlan,
    format: &'static PictureFormat,
    settings: VideoSettings,
    spool: Spool,
    made: Made,
    /// When the first and the last picture are shown, and how many there are.
    times: Option<(f64, f64)>,
    count: i64,
}

/// Writes the pictures of a track; `None` if segments of it are to be made again.
pub(super) fn write(
    output: &File,
    task: &MergeTask,
    (container, layout): (&Container, Pictures),
    tracks: &mut [Track],
    reporter: &mut Reporter,
) -> Result<Option<Written>, Failure> {
    let [track] = tracks else { return Err(Failure::new("single pictures are of one track")) };
    let plan = task.output.pictures.as_ref();
    let plan = plan.ok_or_else(|| Failure::new("the plan does not say what becomes of the pictures"))?;
    let is_animated = layout == Pictures::Animation;
    let format = picture_format(&plan.format, is_animated).map_err(Failure::new)?;
    let settings = track.header.video.clone();
    let settings = settings.ok_or_else(|| Failure::new("single pictures of a track without pictures"))?;
    let made = match layout {
        Pictures::Files { .. } => {
            let most = usize::try_from(plan.best).unwrap_or(0);
            Made::Files { best: (most > 0).then(|| Best::new(most)), cues: Vec::new() }
        }
        Pictures::Sheets { .. } => {
            Made::Sheets { sheet: Sheet::new(&settings, plan.columns, plan.rows)?, cues: Vec::new() }
        }
        Pictures::Animation => Made::Animation(Vec::new()),
    };
    let times = Times::of(&settings);
    let mut decoder = Decoder::open(track.codec, &settings)?;
    // Numbers, or times of the source, as they are.
    track.begin(track.clock, (0, track.clock))?;
    let mut writer =
        Writer { task, plan, format, settings, spool: Spool::new(output)?, made, times: None, count: 0 };
    while let Some(packet) = track.next_ready()? {
        if !track.clean {
            return Ok(None);
        }
        let picture = decoder.decode(&packet.data.into_packet())?;
        writer.take(picture, times.seconds(packet.pts))?;
        reporter.progress(0, writer.count);
    }
    if !track.clean {
        return Ok(None);
    }
    let last = writer.times.map_or(0.0, |(_, last)| last);
    // One that is there although the source was to end before it is shown for a second.
    let end = if plan.seconds > last { plan.seconds } else { last + 1.0 };
    writer.finish(container, end, reporter).map(Some)
}

/// When pictures are shown, by their presentation times.
struct Times {
    instants: Option<Instants>,
    zero: i64,
    /// The length of a tick of the rendition, in seconds.
    tick: f64,
}

impl Times {
    fn of(settings: &VideoSettings) -> Self {
        let asked = settings.instants.as_ref();
        let zero = asked.map_or(0, |asked| asked.zero);
        Self { instants: Instants::of(settings), zero, tick: settings.time_base.as_f64() }
    }

    /// Returns when a picture is shown, in seconds of the output.
    fn seconds(&self, pts: i64) -> f64 {
        let of_scene = || pts.saturating_sub(self.zero) as f64 * self.tick;
        self.instants.as_ref().map_or_else(of_scene, |instants| instants.seconds(pts))
    }
}

/// Decodes packets of which each is a picture.
struct Decoder(ff::decoder::Video);

impl Decoder {
    fn open(codec: &dyn Codec, settings: &VideoSettings) -> Result<Self, Failure> {
        let doing = "decoding a picture";
        let name = codec.name();
        let found = ff::decoder::find_by_name(name)
            .ok_or_else(|| Failure::new(format!("{doing}: this FFmpeg has no decoder '{name}'")))?;
        let mut context = codec::Context::new_with_codec(found).decoder();
        context.set_threading(codec::threading::Config::count(1));
        // libavcodec counts lines that are aligned.
        let most = (i64::from(settings.width) + 128) * (i64::from(settings.height) + 128);
        set_up_picture_decoder(&mut context, most);
        set_picture_size(&mut context, (settings.width, settings.height));
        let opened = context.open_as(found).and_then(ff::decoder::Opened::video);
        opened.map(Self).map_err(Failure::at(doing))
    }

    fn decode(&mut self, packet: &ff::Packet) -> Result<frame::Video, Failure> {
        let doing = "decoding a picture";
        self.0.send_packet(packet).map_err(Failure::at(doing))?;
        let mut picture = frame::Video::empty();
        self.0.receive_frame(&mut picture).map_err(Failure::at(doing))?;
        Ok(picture)
    }
}

impl Writer<'_> {
    fn coding(&self) -> Result<&'static Coding, Failure> {
        let still = self.format.still.as_ref();
        still.ok_or_else(|| Failure::new(format!("{} holds no single picture", self.format.name)))
    }

    /// Takes the next picture, which is shown at this time.
    fn take(&mut self, picture: frame::Video, at: f64) -> Result<(), Failure> {
        self.times = Some((self.times.map_or(at, |(first, _)| first), at));
        self.count += 1;
        let coding = if matches!(self.made, Made::Animation(_)) { None } else { Some(self.coding()?) };
        let (color, most) = (self.settings.color, self.format.longest_side);
        match (&mut self.made, coding) {
            (Made::Animation(pictures), _) => pictures.push(Frame { picture, at }),
            (Made::Files { best: Some(best), .. }, Some(coding)) => {
                if let Some(place) = best.place(&picture) {
                    best.put(place, at, proof::coded(coding, &picture, color, most)?);
                }
            }
            (Made::Files { .. }, Some(coding)) => {
                let file = proof::coded(coding, &picture, color, most)?;
                self.add_file(at, &file)?;
            }
            (Made::Sheets { sheet, .. }, Some(_)) => {
                let (area, full) = sheet.add(&picture);
                let number = sheet.number();
                let name = self.file_name(number);
                if let Made::Sheets { cues, .. } = &mut self.made {
                    cues.push(Cue { at, name, area: Some(area) });
                }
                if full {
                    self.write_sheet()?;
                }
            }
            (Made::Files { .. } | Made::Sheets { .. }, None) => {}
        }
        Ok(())
    }

    /// Returns the name of a file, by its number from 1 on, relative to the list of all.
    fn file_name(&self, number: usize) -> String {
        let folder = self.task.output.package.as_ref().map_or("", |package| package.folder.as_str());
        let extension = self.format.extensions.first().copied().unwrap_or(self.format.name);
        format!("{folder}/{number:05}.{extension}")
    }

    /// Adds a file of one picture, shown at this time.
    fn add_file(&mut self, at: f64, file: &[u8]) -> Result<(), Failure> {
        let number = match &self.made {
            Made::Files { cues, .. } => cues.len() + 1,
            _ => 1,
        };
        let name = self.file_name(number);
        let bytes = self.spool.write(file)?;
        self.spool.name(name.clone(), bytes)?;
        if let Made::Files { cues, .. } = &mut self.made {
            cues.push(Cue { at, name, area: None });
        }
        Ok(())
    }

    /// Writes the sheet that is full, or the last one.
    fn write_sheet(&mut self) -> Result<(), Failure> {
        let Made::Sheets { sheet, .. } = &mut self.made else { return Ok(()) };
        let number = sheet.number();
        let Some(picture) = sheet.take()? else { return Ok(()) };
        let (coding, color) = (self.coding()?, self.settings.color);
        let file = proof::coded(coding, &picture, color, self.format.longest_side)?;
        let bytes = self.spool.write(&file)?;
        let name = self.file_name(number);
        self.spool.name(name, bytes)
    }

    /// Writes what is left, and the list that makes all visible, until `end` in seconds.
    fn finish(
        mut self,
        container: &Container,
        end: f64,
        reporter: &mut Reporter,
    ) -> Result<Written, Failure> {
        if self.count == 0 {
            return Err(Failure::new("no picture is shown at the times that are asked for"));
        }
        let best = match &mut self.made {
            Made::Files { best, .. } => best.take(),
            _ => None,
        };
        if let Some(best) = best {
            let kept = best.into_kept();
            self.count = i64::try_from(kept.len()).unwrap_or(i64::MAX);
            self.times = kept.first().zip(kept.last()).map(|(first, last)| (first.0, last.0));
            for (at, file) in kept {
                self.add_file(at, &file)?;
                reporter.progress(0, self.count);
            }
        }
        self.write_sheet()?;
        let mut facts = self.facts(end);
        match &mut self.made {
            Made::Files { cues, .. } | Made::Sheets { cues, .. } => {
                let cues = std::mem::take(cues);
                let text = list::write(&cues, end, &self.task.output.mark);
                list::check(&text, &cues)?;
                let bytes = self.spool.write(text.as_bytes())?;
                self.spool.name(container.manifest().unwrap_or_default().into(), bytes)?;
            }
            Made::Animation(pictures) => {
                let pictures = std::mem::take(pictures);
                facts.end_seconds = self.animation(pictures, end)?;
            }
        }
        self.spool.flush()?;
        Ok(Written { spool: self.spool, facts })
    }

    /// Writes an animation. Returns how long it is, in seconds.
    fn animation(&mut self, mut pictures: Vec<Frame>, end: f64) -> Result<f64, Failure> {
        let coded = self.format.animation.as_ref();
        let coded = coded.ok_or_else(|| Failure::new("a format without animations"))?;
        let first = pictures.first().map_or(0.0, |shown| shown.at);
        pictures.iter_mut().for_each(|shown| shown.at -= first);
        let last = pictures.last().map_or(0.0, |shown| shown.at);
        let interval = self.settings.time_base.as_f64();
        let seconds = (last + interval).min((end - first).max(last + coded.clock.as_f64()));
        let count = pictures.len();
        let plays = u32::try_from(self.plan.plays).unwrap_or(0);
        let file = picture_file::animation(coded, pictures, self.settings.color, (plays, seconds))?;
        let marked = mark::add(file, self.format, &self.task.output.mark)?;
        mark::check(&marked, self.format, count)?;
        self.spool.write(&marked)?;
        Ok(seconds)
    }

    fn facts(&self, end: f64) -> VideoFacts {
        let (first, last) = self.times.unwrap_or_default();
        VideoFacts {
            codec: self.format.name.into(),
            width: self.settings.width,
            height: self.settings.height,
            frames: self.count,
            first_seconds: first,
            last_seconds: last,
            end_seconds: end,
            frame_rate: if self.count > 1 { (self.count - 1) as f64 / (last - first) } else { 0.0 },
            pixel_format: self.settings.pixel_format.clone(),
            sample_aspect: 1.0,
            color: Some(self.settings.color),
            field_order: 0,
            headers: String::new(),
        }
    }
}

/// Returns the facts of what was written and read again.
pub(super) fn prove(written: Written) -> Merged {
    let Written { spool, facts } = written;
    Merged {
        duration_seconds: facts.end_seconds,
        video: Some(facts),
        audio: None,
        more_audio: Vec::new(),
        text: Vec::new(),
        chapters: 0,
        warnings: Vec::new(),
        more_video: Vec::new(),
        parts: spool.into_parts(),
    }
}
