//! Small sources with their work objects, and work objects of the same sources that are made wrongly.

use std::path::{Path, PathBuf};

use millrace_media::TimeRange;
use millrace_schemas::{Seek, SeekBy};

use super::{
    ffmpeg,
    index::{MEDIA_HEADER, Mp4, TIMESCALE, TRACK_HEADER},
    work::{Object, Wanted, Work, Workshop, ranges, track},
};
use crate::common::Place;

/// The length of a picture of [`film`], in ticks of its clock.
pub const PICTURE_TICKS: i64 = 512;

/// A source and its work objects.
pub struct Scene {
    pub place: Place,
    pub shop: Workshop,
    pub source: PathBuf,
    pub wanted: Wanted,
    pub work: Work,
}

impl Scene {
    fn new(name: &str, wanted: Wanted, write: impl FnOnce(&Path)) -> Self {
        let (place, shop) = (Place::new(), Workshop::new());
        let source = place.path(name);
        write(&source);
        let work = shop.make(&source, &wanted);
        Self { place, shop, source, wanted, work }
    }

    /// Returns the work objects of the source with other sound.
    fn with_sound(&self, filter: &str) -> Work {
        // What the source's codec pads is not heard.
        let samples: i64 = self.work[1].objects.iter().map(|object| object.facts.units).sum();
        let filter = format!("{filter},atrim=end_sample={samples}");
        let other = self.place.path("other.mov");
        let (from, to) = (self.source.to_str().unwrap(), other.to_str().unwrap());
        ffmpeg(&["-i", from, "-c:v", "copy", "-af", &filter, "-c:a", "pcm_s16le", to]);
        self.shop.make(&other, &self.wanted)
    }

    /// Returns the work objects of the source with its channels in another order.
    pub fn with_channels(&self, order: &str) -> Work {
        self.with_sound(&format!("channelmap={order}"))
    }

    /// Returns work objects whose sound has another layout of as many channels.
    pub fn with_layout(&self, layout: &str) -> Work {
        let found = self.shop.inspect(&self.source, self.wanted.seconds);
        let mut task = Workshop::sound_task(&found, TimeRange { start: None, end: None });
        task.renditions[0].audio.as_mut().unwrap().layout = layout.into();
        let mut work = self.work.clone();
        work[1] = track(work[1].plan.kind, vec![self.shop.transcode(&self.source, task)]);
        work
    }

    /// Returns work objects whose pictures are encoded with another preset.
    pub fn encoded_otherwise(&self) -> Work {
        let found = self.shop.inspect(&self.source, self.wanted.seconds);
        let make = |range: millrace_processors::split::cuts::Range| {
            let whole = TimeRange { start: range.start, end: range.end };
            let mut task = Workshop::video_task(&found, whole, range.seeks);
            task.renditions[0].video.as_mut().unwrap().preset = "ultrafast".into();
            self.shop.transcode(&self.source, task)
        };
        let mut work = self.work.clone();
        work[0] =
            track(work[0].plan.kind, ranges(&found, self.wanted.seconds).into_iter().map(make).collect());
        work
    }

    /// Returns a segment that is decoded from a picture that is no keyframe, though an index lists it as one.
    pub fn begun_at_no_keyframe(&self, segment: usize) -> Object {
        let wrong = self.place.path("wrong.mp4");
        let mut file = Mp4(std::fs::read(&self.source).unwrap());
        file.remove_keyframes();
        std::fs::write(&wrong, file.0).unwrap();
        let found = self.shop.inspect(&self.source, self.wanted.seconds);
        let range = ranges(&found, self.wanted.seconds).swap_remove(segment);
        let start = range.start.unwrap();
        let seek = Seek { by: SeekBy::Time, at: start - 2 * PICTURE_TICKS, state: 0 };
        let task = Workshop::video_task(&found, TimeRange { start: range.start, end: range.end }, vec![seek]);
        self.shop.transcode(&wrong, task)
    }
}

/// Channels of noise that never repeats, each in a band of its own.
fn bands(seconds: u32, layout: &str, bands: &[(u32, u32)]) -> String {
    let mut graph = String::new();
    for (i, (low, high)) in bands.iter().enumerate() {
        let noise = format!("anoisesrc=r=48000:d={seconds}:a=0.6:seed={i}");
        graph += &format!("{noise},highpass=f={low}:p=2,lowpass=f={high}:p=2[{i}];");
    }
    let inputs: String = (0..bands.len()).map(|i| format!("[{i}]")).collect();
    format!("{graph}{inputs}join=inputs={}:channel_layout={layout}", bands.len())
}

/// Pictures of 25 a second that differ, in groups of 12; stereo sound, in parts where it is long enough.
pub fn film(seconds: u32) -> Scene {
    let cuts = if seconds > 6 { vec![141, 282] } else { Vec::new() };
    Scene::new("film.mp4", Wanted { seconds: f64::from(seconds) / 4.0, cuts }, |path| {
        let pictures = format!("testsrc2=size=160x90:rate=25:duration={seconds}");
        let sound = bands(seconds, "stereo", &[(200, 700), (1500, 2500)]);
        let inputs = ["-f", "lavfi", "-i", &pictures, "-f", "lavfi", "-i", &sound];
        let h264 = ["-c:v", "libx264", "-preset", "veryfast", "-g", "12", "-bf", "2", "-pix_fmt", "yuv420p"];
        let aac = ["-c:a", "aac", "-b:a", "192k", path.to_str().unwrap()];
        ffmpeg(&[&inputs[..], &h264, &aac].concat());
    })
}

/// Pictures without sound, in one group, of a codec whose decoder shows what it lacks references for.
pub fn film_of_one_group(seconds: u32) -> Scene {
    Scene::new("group.mp4", Wanted { seconds: 1.0, cuts: Vec::new() }, |path| {
        let pictures = format!("testsrc2=size=160x90:rate=25:duration={seconds}");
        let inputs = ["-f", "lavfi", "-i", &pictures];
        let mpeg4 = ["-c:v", "mpeg4", "-q:v", "3", "-g", "600", "-sc_threshold", "1000000000", "-bf", "0"];
        ffmpeg(&[&inputs[..], &mpeg4, &[path.to_str().unwrap()]].concat());
    })
}

/// Pictures of a variable rate, the last of which is shown for two seconds; sound in four channels.
pub fn screen() -> Scene {
    Scene::new("screen.mov", Wanted { seconds: 1.0, cuts: Vec::new() }, |path| {
        let pictures = "testsrc2=size=160x90:rate=30:duration=3,select='lt(t,1.5)+not(mod(n,3))'";
        let sound = bands(5, "quad", &[(200, 500), (700, 1200), (1600, 2200), (2700, 3400)]);
        let inputs = ["-f", "lavfi", "-i", pictures, "-f", "lavfi", "-i", &sound, "-fps_mode", "vfr"];
        let h264 = ["-c:v", "libx264", "-preset", "veryfast", "-g", "12", "-bf", "2", "-pix_fmt", "yuv420p"];
        ffmpeg(&[&inputs[..], &h264, &["-c:a", "pcm_s16le", path.to_str().unwrap()]].concat());
        let mut file = Mp4(std::fs::read(path).unwrap());
        let ticks = file.number("vide", &MEDIA_HEADER, TIMESCALE);
        file.last_length("vide", |length| length + 2 * ticks);
        file.change("vide", &MEDIA_HEADER, super::index::HEADER_LENGTH, |length| length + 2 * ticks);
        file.change("vide", &TRACK_HEADER, super::index::TRACK_LENGTH, |length| length + 2000);
        file.edit("vide", |length, _| *length += 2000);
        std::fs::write(path, file.0).unwrap();
    })
}
