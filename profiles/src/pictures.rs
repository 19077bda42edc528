//! Outputs of single pictures: which of them, how large, and how they are put into files.

use millrace_formats::{
    Container,
    container::Pictures,
    picture::{MOST_ANIMATED, MOST_ANIMATED_PICTURES, PictureFormat, Within, format_of_name, usual_format},
};
use millrace_schemas::{Instants, PicturesPlan, Ratio, VideoSettings, VideoTrack};

use crate::{
    amounts::Seconds,
    bounds::{
        ANIMATION_RATES, BEST_OF, LARGEST_SHEET, LARGEST_SIDE, LONGEST_ANIMATION, MOST_INSTANTS,
        PICTURE_INTERVALS, SCENES, SHEET_SIDES,
    },
    problems::Problems,
    profile::Output,
    trim::LATEST_SECONDS,
};

/// The time between thumbnails if nothing is asked for, in seconds.
const USUAL_INTERVAL: f64 = 10.0;
/// The time between those of which the best are kept, in seconds.
const CANDIDATES_INTERVAL: f64 = 1.0;
/// The length of an animation, in seconds, and its pictures a second.
const USUAL_ANIMATION: f64 = 3.0;
const USUAL_RATE: f64 = 10.0;
/// The widths of pictures, of those of a sheet, and of those of an animation, in pixels.
const USUAL_WIDTHS: [i32; 3] = [320, 160, 480];
/// The pictures beside and below each other in a sheet.
const USUAL_SHEET: i32 = 10;
/// Ticks a second of the clock in which intervals are stated.
const TICKS: f64 = 1000.0;

/// What is asked of an output of single pictures.
#[derive(Debug, Clone)]
pub struct PicturesAsked {
    when: When,
    format: &'static PictureFormat,
    is_animated: bool,
    within: Within,
    best: i32,
    columns: i32,
    rows: i32,
    plays: i32,
}

impl PartialEq for PicturesAsked {
    fn eq(&self, other: &Self) -> bool {
        self.when == other.when && self.within == other.within && self.plan(0.0) == other.plan(0.0)
    }
}

/// When pictures are kept, in seconds from the start of the output.
#[derive(Debug, Clone, PartialEq)]
enum When {
    Listed(Vec<f64>),
    Each { interval: Ratio, from: f64, seconds: Option<f64> },
    Scenes(f64),
}

impl PicturesAsked {
    /// Returns what is made in a container of which nothing is asked; `None` if it holds no single pictures.
    #[must_use]
    pub fn usual(container: &Container) -> Option<Self> {
        Self::read(container, "", &Output::default(), &mut Problems::default())
    }

    /// Reads what an output asks; `None` if its container holds no single pictures.
    pub(crate) fn read(
        container: &Container,
        key: &str,
        output: &Output,
        problems: &mut Problems,
    ) -> Option<Self> {
        let layout = container.pictures();
        refuse_others(container, layout, key, output, problems);
        let layout = layout?;
        let is_animated = layout == Pictures::Animation;
        let is_sheet = matches!(layout, Pictures::Sheets { .. });
        let usual_width = match layout {
            Pictures::Files { .. } => USUAL_WIDTHS[0],
            Pictures::Sheets { .. } => USUAL_WIDTHS[1],
            Pictures::Animation => USUAL_WIDTHS[2],
        };
        let name = output.picture.as_deref();
        // An animation is named as its format is.
        let named = if is_animated { Some(container.name) } else { name };
        let format = match named {
            None => usual_format(false),
            Some(name) => match format_of_name(&format!("a.{name}"), is_animated) {
                Ok(format) => Some(format),
                Err(_) => {
                    problems.add(format!("{key}.picture"), "set jpg, png or webp");
                    None
                }
            },
        };
        let sides = [("width", output.width), ("height", output.height)];
        for (name, side) in sides {
            problems.within(format!("{key}.{name}"), side, (1, LARGEST_SIDE), " pixels");
        }
        let within = match (output.width, output.height) {
            (None, None) => Within { width: usual_width, height: 0 },
            (width, height) => Within { width: width.unwrap_or(0), height: height.unwrap_or(0) },
        };
        problems.within(format!("{key}.best"), output.best, BEST_OF, " pictures");
        for (name, side) in [("columns", output.columns), ("rows", output.rows)] {
            problems.within(format!("{key}.{name}"), side, SHEET_SIDES, " pictures");
        }
        let sheet = |side: Option<i32>| if is_sheet { side.unwrap_or(USUAL_SHEET) } else { 0 };
        let when = if is_animated { animated(key, output, problems) } else { kept(key, output, problems) };
        Some(Self {
            when,
            format: format?,
            is_animated,
            within,
            best: output.best.unwrap_or(0),
            columns: sheet(output.columns),
            rows: sheet(output.rows),
            plays: output.plays.unwrap_or(0),
        })
    }

    /// Returns how the pictures of a source are put into files that is so long, in seconds.
    #[must_use]
    pub fn plan(&self, seconds: f64) -> PicturesPlan {
        let Self { format, best, columns, rows, plays, .. } = self;
        PicturesPlan {
            format: format.name.into(),
            best: *best,
            columns: *columns,
            rows: *rows,
            plays: *plays,
            seconds,
        }
    }

    /// Returns the settings by which they are kept of a source's pictures.
    ///
    /// # Errors
    /// If the source ends before the first of them, or a sheet would be larger than a file of pictures can be.
    pub(crate) fn settings(
        &self,
        container: &Container,
        video: &VideoTrack,
    ) -> Result<VideoSettings, String> {
        let codec = container.video_codec().ok_or("a container of single pictures without a codec")?;
        let coding = match (&self.format.animation, &self.format.still) {
            (Some(animation), _) if self.is_animated => &animation.coding,
            (_, Some(still)) => still,
            _ => return Err(format!("{} holds no such pictures", self.format.name)),
        };
        let mut size = self.format.size(&video.picture, self.within);
        if self.columns > 0 {
            // Their samples of chroma lie beside each other, too.
            size = ((size.0 & !1).max(2), (size.1 & !1).max(2));
        }
        self.check_sheet(size)?;
        self.check_length(size)?;
        let clock = video.picture.time_base;
        let tick = clock.as_f64();
        // The casts saturate.
        let at = |seconds: f64| video.first.saturating_add((seconds / tick).round() as i64);
        let milliseconds =
            |time: i64| (time.saturating_sub(video.first) as f64 * tick * 1000.0).round() as i64;
        let mut instants =
            Instants { clock: vec![clock.num, clock.den], zero: video.first, ..Instants::default() };
        let mut settings = VideoSettings {
            codec: codec.name().into(),
            ..self.format.video_settings(coding, &video.picture, size)
        };
        let first = match &self.when {
            When::Listed(times) => {
                instants.times = times.iter().map(|seconds| at(*seconds)).collect();
                // Lists of pictures tell times in milliseconds: of several that are the same there, one is kept.
                instants.times.dedup_by_key(|time| milliseconds(*time));
                // They are numbered.
                settings.time_base = Ratio { num: 1, den: 1 };
                instants.times.first().copied()
            }
            When::Each { interval, from, seconds } => {
                instants.first = at(*from);
                let count = seconds.map(|seconds| (seconds / interval.as_f64() - 1e-9).ceil() as i64);
                instants.count = count.map_or(0, |count| count.max(1));
                settings.time_base = *interval;
                Some(instants.first)
            }
            When::Scenes(scene) => {
                instants.scene = *scene;
                None
            }
        };
        if let Some(first) = first.filter(|first| *first >= video.end && video.end > video.first) {
            let seconds = |time: i64| time.saturating_sub(video.first) as f64 * tick;
            return Err(format!(
                "{}: no picture is shown at {:.3} s or later, the pictures are {:.3} s long; ask for earlier times",
                container.name,
                seconds(first),
                seconds(video.end)
            ));
        }
        if instants.scene == 0.0 {
            let Ratio { num, den } = settings.time_base;
            settings.frame_rate = Ratio { num: den, den: num };
        }
        settings.instants = Some(instants);
        Ok(settings)
    }
}

impl PicturesAsked {
    /// Refuses sheets that are larger than files of pictures can be, or than is sensible.
    fn check_sheet(&self, size: (i32, i32)) -> Result<(), String> {
        let sides =
            [(size.0, self.columns), (size.1, self.rows)].map(|(side, count)| side.saturating_mul(count));
        let area = i64::from(sides[0]) * i64::from(sides[1]);
        let most = self.format.longest_side;
        if area <= LARGEST_SHEET && sides.iter().all(|side| *side <= most) {
            return Ok(());
        }
        Err(format!(
            "a sheet of {} by {} pictures of {}x{} would have {}x{} pixels; at most {most} a side and {LARGEST_SHEET} in all \
             are made: ask for fewer columns and rows, or for a smaller width",
            self.columns, self.rows, size.0, size.1, sides[0], sides[1]
        ))
    }

    /// Refuses animations that take too much memory: all their pictures have one palette.
    fn check_length(&self, (width, height): (i32, i32)) -> Result<(), String> {
        let When::Each { interval, seconds: Some(seconds), .. } = self.when else { return Ok(()) };
        let rate = 1.0 / interval.as_f64();
        let area = f64::from(width) * f64::from(height);
        let most = (MOST_ANIMATED as f64 / area.max(1.0)).min(f64::from(MOST_ANIMATED_PICTURES)).floor();
        if seconds * rate <= most {
            return Ok(());
        }
        Err(format!(
            "an animation of {width}x{height} has at most {most} pictures, which is {:.1} s at {rate} per second: make it smaller, \
             shorter, or of fewer pictures per second",
            most / rate
        ))
    }
}

/// Keys that an output of another kind does not have.
fn refuse_others(
    container: &Container,
    layout: Option<Pictures>,
    key: &str,
    output: &Output,
    problems: &mut Problems,
) {
    let is_kept = matches!(layout, Some(Pictures::Files { .. } | Pictures::Sheets { .. }));
    let is_files = matches!(layout, Some(Pictures::Files { .. }));
    let is_sheet = matches!(layout, Some(Pictures::Sheets { .. }));
    let is_animated = layout == Some(Pictures::Animation);
    let keys = [
        ("at", output.at.is_some(), is_files),
        ("every", output.every.is_some(), is_kept),
        ("scenes", output.scenes.is_some(), is_files),
        ("best", output.best.is_some(), is_files),
        ("picture", output.picture.is_some(), is_kept),
        ("width", output.width.is_some(), layout.is_some() || container.is_waveform()),
        ("height", output.height.is_some(), layout.is_some() || container.is_waveform()),
        ("columns", output.columns.is_some(), is_sheet),
        ("rows", output.rows.is_some(), is_sheet),
        ("from", output.from.is_some(), is_animated),
        ("to", output.to.is_some(), is_animated),
        ("frame_rate", output.frame_rate.is_some(), is_animated),
        ("plays", output.plays.is_some(), is_animated),
        ("video", output.video.is_some() && layout.is_some(), false),
        ("audio", output.audio.is_some() && layout.is_some(), false),
        ("segment", output.segment.is_some() && layout.is_some(), false),
        ("files", output.files.is_some() && layout.is_some(), false),
    ];
    for (name, is_set, is_known) in keys {
        if is_set && !is_known {
            problems.add(
                format!("{key}.{name}"),
                format!("{} has no such key; leave it out, or ask for another format", container.name),
            );
        }
    }
}

fn interval(key: String, seconds: f64, problems: &mut Problems) -> Ratio {
    problems.within(key, Some(seconds), PICTURE_INTERVALS, " seconds");
    // The cast saturates.
    Ratio { num: ((seconds * TICKS).round() as i32).max(1), den: TICKS as i32 }
}

/// When pictures of their own, or of a sheet, are kept.
fn kept(key: &str, output: &Output, problems: &mut Problems) -> When {
    let asked =
        [("at", output.at.is_some()), ("every", output.every.is_some()), ("scenes", output.scenes.is_some())];
    let asked: Vec<&str> = asked.iter().filter(|(_, is_set)| *is_set).map(|(name, _)| *name).collect();
    if asked.len() > 1 {
        problems.add(format!("{key}.{}", asked[0]), format!("set one of {}", asked.join(", ")));
    }
    if let Some(at) = &output.at {
        let mut times: Vec<f64> = at.iter().map(|Seconds(seconds)| *seconds).collect();
        times.sort_by(f64::total_cmp);
        times.dedup();
        if times.is_empty() || times.len() > MOST_INSTANTS {
            problems.add(format!("{key}.at"), format!("{} times: 1 to {MOST_INSTANTS}", times.len()));
        }
        if let Some(late) = times.iter().find(|time| **time > LATEST_SECONDS) {
            problems.add(format!("{key}.at"), format!("{late} is out of range: at most a year"));
        }
        return When::Listed(times);
    }
    if let Some(scene) = output.scenes {
        problems.within(format!("{key}.scenes"), Some(scene), SCENES, "");
        return When::Scenes(scene);
    }
    let usual = if output.best.is_some() { CANDIDATES_INTERVAL } else { USUAL_INTERVAL };
    let seconds = output.every.map_or(usual, |Seconds(seconds)| seconds);
    When::Each { interval: interval(format!("{key}.every"), seconds, problems), from: 0.0, seconds: None }
}

/// When pictures of an animation are kept.
fn animated(key: &str, output: &Output, problems: &mut Problems) -> When {
    let from = output.from.map_or(0.0, |Seconds(seconds)| seconds);
    let to = output.to.map_or(from + USUAL_ANIMATION, |Seconds(seconds)| seconds);
    if from > LATEST_SECONDS {
        problems.add(format!("{key}.from"), "it is out of range: at most a year");
    } else if to <= from || to - from > LONGEST_ANIMATION {
        problems.add(
            format!("{key}.to"),
            format!("it is {} s behind from: more than 0, at most {LONGEST_ANIMATION} seconds", to - from),
        );
    }
    let rate = output.frame_rate.unwrap_or(USUAL_RATE);
    problems.within(format!("{key}.frame_rate"), Some(rate), ANIMATION_RATES, " pictures a second");
    if output.plays.is_some_and(|plays| plays < 0) {
        problems.add(format!("{key}.plays"), "0 is without end; set how often it is shown");
    }
    let den = ((rate.clamp(ANIMATION_RATES.0, ANIMATION_RATES.1) * TICKS).round() as i32).max(1);
    When::Each { interval: Ratio { num: TICKS as i32, den }, from, seconds: Some(to - from) }
}

#[cfg(test)]
mod tests {
    use millrace_formats::TABLES;
    use millrace_schemas::Picture;

    use super::*;
    use crate::profile::Profile;

    const MILLISECONDS: Ratio = Ratio { num: 1, den: 1000 };

    /// A minute of 1280x720 that begins at 2 s.
    fn source() -> VideoTrack {
        let picture = Picture::plain((1280, 720), Ratio { num: 25, den: 1 }, MILLISECONDS);
        VideoTrack::new(0, picture, (2000, 62_000))
    }

    fn profile(keys: &str) -> Result<Profile, String> {
        let profile = Profile::from_toml(&format!("[[output]]\n{keys}")).map_err(|error| error.0)?;
        match profile.wanted(&TABLES) {
            Ok(_) => Ok(profile),
            Err(problems) => Err(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
        }
    }

    fn made(keys: &str) -> Result<VideoSettings, String> {
        let mut wanted = profile(keys)?.wanted(&TABLES).unwrap();
        Ok(wanted.remove(0).all_pictures(&TABLES, &source(), false)?.remove(0))
    }

    fn instants(keys: &str) -> Instants {
        made(keys).unwrap().instants.unwrap()
    }

    #[test]
    fn times_are_counted_from_the_first_picture_and_in_order() {
        let some = instants("format = \"thumbnails\"\nat = [\"10s\", 0, \"00:00:03.5\", 10]");
        assert_eq!((some.times, some.zero, some.clock), (vec![2000, 5500, 12_000], 2000, vec![1, 1000]));
        let each = made("format = \"thumbnails\"\nevery = \"500ms\"").unwrap();
        assert_eq!(
            (each.time_base, each.frame_rate),
            (Ratio { num: 500, den: 1000 }, Ratio { num: 1000, den: 500 })
        );
        let instants = each.instants.unwrap();
        assert_eq!((instants.first, instants.count, instants.times.len()), (2000, 0, 0));
        assert!(made("format = \"thumbnails\"").unwrap().is_resampled());
        assert!(!made("format = \"thumbnails\"\nscenes = 0.2").unwrap().is_resampled());
    }

    #[test]
    fn times_that_are_the_same_in_a_list_are_asked_once() {
        let near = "format = \"thumbnails\"\nat = [3, 3.0001, 3.0004, 3.002]";
        assert_eq!(instants(near).times, [5000, 5002]);
        // Ticks that are shorter than a millisecond.
        let fine = Ratio { num: 1, den: 90_000 };
        let picture = Picture::plain((1280, 720), Ratio { num: 25, den: 1 }, fine);
        let video = VideoTrack::new(0, picture, (9000, 5_409_000));
        let settings = profile(near)
            .unwrap()
            .wanted(&TABLES)
            .unwrap()
            .remove(0)
            .all_pictures(&TABLES, &video, false)
            .unwrap()
            .remove(0);
        assert_eq!(settings.instants.unwrap().times, [279_000, 279_180]);
    }

    #[test]
    fn an_animation_has_as_many_pictures_as_its_length_asks_for() {
        let usual = instants("format = \"gif\"");
        assert_eq!((usual.first, usual.count), (2000, 30));
        let some = instants("format = \"webp\"\nfrom = 1\nto = \"3.3s\"\nframe_rate = 15");
        assert_eq!((some.first, some.count), (3000, 35));
    }

    #[test]
    fn pictures_have_square_pixels_and_those_of_a_sheet_even_sides() {
        let size = |keys: &str| made(keys).map(|settings| (settings.width, settings.height)).unwrap();
        assert_eq!(size("format = \"thumbnails\""), (320, 180));
        assert_eq!(size("format = \"thumbnails\"\nheight = 99"), (176, 99));
        assert_eq!(size("format = \"sprite\"\nwidth = 99"), (98, 56));
        assert_eq!(size("format = \"gif\"\nwidth = 4000"), (1280, 720), "never enlarged");
    }

    #[test]
    fn an_output_of_pictures_lies_beside_others_and_none_of_another_kind_has_its_keys() {
        let url = |keys: &str| {
            let wanted = profile(keys).unwrap().wanted(&TABLES).unwrap();
            wanted[0].output_url("file:///out", "file:///in/a.mov")
        };
        assert_eq!(url("format = \"thumbnails\""), "file:///out/a-thumbnails/thumbnails.vtt");
        assert_eq!(url("format = \"sprite\"\nname = \"{stem}\""), "file:///out/a/sprite.vtt");
        assert_eq!(url("format = \"gif\""), "file:///out/a.gif");
        for (keys, reason) in [
            ("format = \"mp4\"\nevery = 1", "output[0].every: mp4 has no such key"),
            ("format = \"gif\"\nbest = 1", "output[0].best: gif has no such key"),
            ("format = \"thumbnails\"\ncolumns = 2", "output[0].columns: thumbnails has no such key"),
            ("format = \"sprite\"\naudio = \"none\"", "output[0].audio: sprite has no such key"),
            ("format = \"thumbnails\"\nsegment = 2", "output[0].segment"),
            ("format = \"thumbnails\"\nevery = 1\nat = [1]", "output[0].at: set one of at, every"),
            ("format = \"thumbnails\"\nname = \"a\"", "output[0].name: all sources"),
        ] {
            let refused = profile(keys).unwrap_err();
            assert!(refused.starts_with(reason), "{keys}: {refused}");
        }
    }

    #[test]
    fn the_ends_of_each_key_are_possible_and_what_is_beyond_is_refused_by_its_name() {
        for (format, key, within, beyond) in [
            ("thumbnails", "at", &["[0]", "[59.9]"][..], &["[]", "[\"9000h\"]", "[-1]"][..]),
            ("thumbnails", "every", &["0.1", "\"1h\""], &["0.09", "3601"]),
            ("thumbnails", "scenes", &["0.01", "1"], &["0", "1.1"]),
            ("thumbnails", "best", &["1", "100"], &["0", "101"]),
            ("thumbnails", "picture", &["\"jpg\"", "\"png\"", "\"webp\""], &["\"gif\"", "\"bmp\""]),
            ("thumbnails", "width", &["1", "8192"], &["0", "8193"]),
            ("sprite", "height", &["1", "90"], &["0", "8193"]),
            ("sprite", "columns", &["1", "100"], &["0", "101"]),
            ("sprite", "rows", &["1", "100"], &["0", "101"]),
            ("gif", "from", &["0", "59"], &["-1", "\"9000h\""]),
            ("webp", "to", &["0.1", "60"], &["0", "61"]),
            ("gif", "frame_rate", &["1", "50"], &["0.9", "51"]),
            ("gif", "plays", &["0", "1000"], &["-1"]),
        ] {
            let text = |value: &str| format!("format = \"{format}\"\n{key} = {value}");
            for value in within {
                assert_eq!(made(&text(value)).map(drop), Ok(()), "{}", text(value));
            }
            for value in beyond {
                let refused = profile(&text(value)).unwrap_err();
                assert!(refused.contains(key) || refused.contains("expected"), "{}: {refused}", text(value));
            }
        }
    }

    #[test]
    fn what_a_source_has_not_or_a_process_can_not_hold_is_refused_with_what_would_work() {
        for (keys, reason) in [
            (
                "format = \"thumbnails\"\nat = [60]",
                "no picture is shown at 60.000 s or later, the pictures are 60.000 s long",
            ),
            ("format = \"gif\"\nfrom = 70", "no picture is shown at 70.000 s"),
            ("format = \"sprite\"\nwidth = 1280\ncolumns = 100", "ask for fewer columns"),
            (
                "format = \"gif\"\nwidth = 1280\nframe_rate = 50",
                "has at most 108 pictures, which is 2.2 s at 50",
            ),
        ] {
            let refused = made(keys).unwrap_err();
            assert!(refused.contains(reason), "{keys}: {refused}");
        }
    }
}
