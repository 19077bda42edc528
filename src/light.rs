//! What is asked of pictures and animations that are made at once, by commands and over HTTP: what is usual, and what can't be.

use millrace_api::{Bounds, LightTask};
use millrace_formats::picture::{PictureFormat, format_of_name, picture_format, usual_format};
use millrace_media::{AnimationTask, Drawn, PictureTask};
use millrace_topology::ports::PortError;
use millrace_worker::{LightWork, Made};
use serde_json::{Value, json};

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
        let unknown = || "there is no format of it".to_owned();
        let find = |animated: bool| match format {
            None => usual_format(animated).ok_or_else(unknown),
            Some(name) if name.contains(['.', '/']) => format_of_name(name, animated),
            Some(name) => picture_format(&name.to_ascii_lowercase(), animated),
        };
        let sides = |size: Option<Bounds>, usual: i32| size.unwrap_or((usual, 0));
        Ok(match *task {
            LightTask::Thumbnail { at, best, size } => {
                let format = find(false)?;
                let candidates = best.unwrap_or(if at.is_some() { 1 } else { USUAL_CANDIDATES });
                let (width, height) = sides(size, USUAL_WIDTH);
                let format_name = format.name.into();
                let at = at.unwrap_or(0.0);
                let task = PictureTask { at, candidates, width, height, format: format_name, cores: 1 };
                (Self::Picture(task), format)
            }
            LightTask::Gif { from, to, size, fps, plays } => {
                let format = find(true)?;
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
    pub(crate) async fn run(self, light: &LightWork, source: &str, most: u64) -> Result<Made, PortError> {
        match self {
            Self::Picture(task) => light.picture(source, task, most).await,
            Self::Animation(task) => light.animation(source, task, most).await,
        }
    }
}

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
        assert!(refused(&gif(0.0, None, None), Some("a.mp4")).contains(".gif, .webp"));
    }
}
