//! What commands that make one small file at once have in common, and what HTTP asks of the same.

use std::{
    ffi::OsStr,
    io::{self, IsTerminal as _, Write as _},
};

use millrace_api::{Bounds, LightTask};
use millrace_formats::picture::{PictureFormat, format_of_name, picture_format};
use millrace_media::{AnimationTask, Drawn, PictureTask};
use millrace_storage::{StorageError, Stores};
use millrace_worker::{LONGEST_PICTURE_FILE, LightWork, Made};
use serde_json::{Value, json};

use crate::{
    cli::{Decoding, LightOutput},
    config::Config,
    error::CommandError,
    inputs::{display_name, parse_output, parse_url},
    terminal::print,
};

/// Pictures of which the best is taken if no time is asked for.
const USUAL_CANDIDATES: u32 = 12;
/// The usual width of a picture, in pixels.
const USUAL_WIDTH: i32 = 640;
/// The usual width of an animation, in pixels; its length in seconds; and its pictures per second.
const USUAL_ANIMATED_WIDTH: i32 = 480;
const USUAL_SECONDS: f64 = 3.0;
const USUAL_RATE: f64 = 12.0;
/// The most pictures per second: browsers show GIFs of more slower than they say.
const MOST_RATE: f64 = 50.0;
const LEAST_RATE: f64 = 0.1;

/// The task of a media process that makes what is asked for.
pub(crate) enum DrawTask {
    Picture(PictureTask),
    Animation(AnimationTask),
}

impl DrawTask {
    /// Returns the task, and the format of its file. `format` is an extension, or a name that ends in one.
    ///
    /// # Errors
    /// If the format is not known, or a number can't be.
    pub(crate) fn new(
        task: &LightTask,
        format: Option<&str>,
    ) -> Result<(Self, &'static PictureFormat), String> {
        let find = |usual: &str, animated: bool| match format {
            None => picture_format(usual, animated),
            Some(name) if name.contains(['.', '/']) => format_of_name(name, animated),
            Some(name) => picture_format(&name.to_ascii_lowercase(), animated),
        };
        let sides = |size: Option<Bounds>, usual: i32| size.unwrap_or((usual, 0));
        Ok(match *task {
            LightTask::Thumbnail { at, best, size } => {
                let format = find(USUAL_PICTURE, false)?;
                let candidates = best.unwrap_or(if at.is_some() { 1 } else { USUAL_CANDIDATES });
                let (width, height) = sides(size, USUAL_WIDTH);
                let format_name = format.name.into();
                let at = at.unwrap_or(0.0);
                let task = PictureTask { at, candidates, width, height, format: format_name, cores: 1 };
                (Self::Picture(task), format)
            }
            LightTask::Gif { from, to, size, fps, plays } => {
                let format = find(USUAL_ANIMATION, true)?;
                let seconds = to.map_or(USUAL_SECONDS, |to| to - from);
                if seconds <= 0.0 {
                    return Err(format!("it ends before it begins, at {from} s: give a later end"));
                }
                let rate = fps.unwrap_or(USUAL_RATE);
                if !(LEAST_RATE..=MOST_RATE).contains(&rate) {
                    return Err(format!(
                        "fps is {LEAST_RATE} to {MOST_RATE} pictures per second, not {rate}"
                    ));
                }
                let (width, height) = sides(size, USUAL_ANIMATED_WIDTH);
                let format_name = format.name.into();
                let task = AnimationTask {
                    from,
                    seconds,
                    rate,
                    plays,
                    width,
                    height,
                    format: format_name,
                    cores: 1,
                };
                (Self::Animation(task), format)
            }
        })
    }

    /// Makes it.
    ///
    /// # Errors
    /// As [`LightWork::picture`].
    pub(crate) async fn run(
        self,
        light: &LightWork,
        source: &str,
        most: u64,
    ) -> Result<Made, millrace_topology::ports::PortError> {
        match self {
            Self::Picture(task) => light.picture(source, task, most).await,
            Self::Animation(task) => light.animation(source, task, most).await,
        }
    }
}

/// The formats of files whose format nobody says.
const USUAL_PICTURE: &str = PictureFormat::USUAL_STILL;
const USUAL_ANIMATION: &str = PictureFormat::USUAL_ANIMATION;

/// Returns what was made, for programs.
pub(crate) fn facts(drawn: &Drawn) -> Value {
    let mut facts = json!({"width": drawn.width, "height": drawn.height, "at": rounded(drawn.at)});
    if drawn.seconds > 0.0 {
        facts["pictures"] = drawn.pictures.into();
        facts["duration_seconds"] = rounded(drawn.seconds).into();
    }
    facts
}

/// Rounds seconds to microseconds.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}

/// Where a file goes.
enum Target {
    Stdout,
    Url(String),
}

/// Makes a file of a source, and prints what was made.
pub(super) async fn make(
    input: &OsStr,
    output: &LightOutput,
    task: &LightTask,
    decoding: &Decoding,
) -> Result<u8, CommandError> {
    let source = parse_url(input).map_err(CommandError::Call)?;
    let is_stdout = output.output == "-";
    let target = if is_stdout {
        if io::stdout().is_terminal() {
            return Err(CommandError::Call(
                "stdout is a terminal, which shows no pictures: name a file, or send it on with '|' or '>'"
                    .into(),
            ));
        }
        Target::Stdout
    } else {
        Target::Url(parse_output(&output.output).map_err(CommandError::Call)?)
    };
    let name = match (&output.format, &target) {
        (Some(format), _) => Some(format.clone()),
        (None, Target::Url(url)) => Some(url.clone()),
        (None, Target::Stdout) => None,
    };
    let (task, _) = DrawTask::new(task, name.as_deref()).map_err(CommandError::Call)?;
    let light = LightWork::new(Stores::default(), Config::of_flags(decoding)?.media_processes()?)?;
    if let Target::Url(url) = &target {
        light.check_free(url, output.overwrite).await.map_err(occupied)?;
    }
    let Made { bytes, drawn } =
        task.run(&light, &source, LONGEST_PICTURE_FILE).await.map_err(CommandError::failed)?;
    let length = bytes.len();
    match target {
        Target::Stdout => {
            let mut stdout = io::stdout().lock();
            stdout.write_all(&bytes).and_then(|()| stdout.flush()).map_err(CommandError::failed)?;
        }
        Target::Url(url) => {
            light.write(&url, bytes, output.overwrite).await.map_err(occupied)?;
            if output.json {
                let line = json!({"output": url, "bytes": length, "facts": facts(&drawn)});
                print(&line.to_string());
            } else {
                print(&describe(&display_name(&url), &drawn, length));
            }
        }
    }
    Ok(0)
}

pub(super) fn occupied(error: StorageError) -> CommandError {
    match error {
        StorageError::Exists { .. } => {
            CommandError::Failed(format!("{error}; name another file, or replace it with --overwrite"))
        }
        error => CommandError::failed(error),
    }
}

fn describe(name: &str, drawn: &Drawn, length: usize) -> String {
    let Drawn { width, height, pictures, at, seconds, .. } = drawn;
    if *seconds > 0.0 {
        return format!("{name}: {width}x{height}, {pictures} pictures in {seconds:.3} s, {length} bytes");
    }
    format!("{name}: {width}x{height}, the picture at {at:.3} s, {length} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thumbnail(at: Option<f64>) -> LightTask {
        LightTask::Thumbnail { at, best: None, size: None }
    }

    fn gif(from: f64, to: Option<f64>, fps: Option<f64>) -> LightTask {
        LightTask::Gif { from, to, size: None, fps, plays: 0 }
    }

    #[test]
    fn what_is_not_asked_for_is_usual() {
        let (DrawTask::Picture(task), format) = DrawTask::new(&thumbnail(None), None).unwrap() else {
            panic!("a picture")
        };
        assert_eq!((task.candidates, task.width, format.media_type), (12, 640, "image/jpeg"));
        let (DrawTask::Picture(task), format) = DrawTask::new(&thumbnail(Some(3.0)), Some("PNG")).unwrap()
        else {
            panic!("a picture")
        };
        assert_eq!((task.candidates, task.at, format.name), (1, 3.0, "png"));
        let (DrawTask::Animation(task), _) = DrawTask::new(&gif(1.0, None, None), None).unwrap() else {
            panic!("an animation")
        };
        assert_eq!((task.seconds, task.rate, task.width), (3.0, 12.0, 480));
    }

    #[test]
    fn what_can_not_be_is_refused_with_what_can() {
        let refused = |task: &LightTask, format: Option<&str>| DrawTask::new(task, format).err().unwrap();
        assert!(refused(&gif(4.0, Some(4.0), None), None).contains("ends before it begins"));
        assert!(refused(&gif(0.0, None, Some(60.0)), None).contains("0.1 to 50"));
        assert!(refused(&gif(0.0, None, Some(f64::NAN)), None).contains("0.1 to 50"));
        assert!(refused(&thumbnail(None), Some("s3://b/a.tiff")).contains(".jpg, .jpeg, .png, .webp"));
        assert!(refused(&gif(0.0, None, None), Some("a.mp4")).contains(".webp, .gif"));
    }
}
