//! Some seconds of a source as an animation.

use std::{fs::File, ops::ControlFlow};

use ffmpeg_next::frame;
use millrace_formats::picture::picture_format;

use super::{
    excerpt::Excerpt,
    failure::Failure,
    libav::frame::share,
    picture::write,
    picture_file::{self, Drawing, Shown},
};
use crate::{
    excerpt::Instants,
    protocol::{AnimationTask, Drawn, MOST_ANIMATED, MOST_ANIMATED_PICTURES},
};

/// The picture that is shown now: as it was decoded, until an instant needs it.
struct Current {
    picture: frame::Video,
    pts: i64,
    /// The first instant at which it is shown.
    from: u32,
}

pub(super) fn animation(source: File, task: &AnimationTask, output: File) -> Result<Drawn, Failure> {
    let format = picture_format(&task.format, true).map_err(Failure::new)?;
    let coded = format.animation.as_ref().ok_or_else(|| Failure::new("a format without animations"))?;
    let instants = Instants::within(task.seconds, task.rate);
    let mut excerpt = Excerpt::open(source, task.cores)?;
    let mut drawing: Option<Drawing> = None;
    let mut shown: Vec<Shown> = Vec::new();
    let mut current: Option<Current> = None;
    let mut first = None;
    let end = excerpt.pictures(task.from, &mut |excerpt, picture, pts| {
        let since = excerpt.seconds_of(pts) - task.from;
        first.get_or_insert(pts);
        // The first picture is shown from the start, also if it begins later.
        let from = if current.is_some() || !shown.is_empty() { instants.before(since) } else { 0 };
        if let Some(Current { picture, from: begun, .. }) =
            current.take_if(|current| current.from < from)
        {
            let drawing = drawing.get_or_insert_with(|| {
                Drawing::new(format, &coded.coding, excerpt.facts(), task.within(), task.cores)
            });
            let (width, height) = drawing.size();
            check_size((shown.len() + 1) as u64, (width, height), task)?;
            shown.push(Shown { picture: drawing.draw(picture)?, at: instants.time(begun) });
        }
        let is_over = from >= instants.count;
        current = (!is_over).then_some(Current { picture, pts, from });
        Ok(if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    let mut seconds = instants.time(instants.count).max(task.seconds);
    if let Some(Current { picture, pts, from }) = current {
        // The source has ended.
        let drawing = drawing.get_or_insert_with(|| {
            Drawing::new(format, &coded.coding, excerpt.facts(), task.within(), task.cores)
        });
        let picture = drawing.draw(share(&picture)?)?;
        shown.push(Shown { picture, at: instants.time(from) });
        let ended = excerpt.seconds_of(end.unwrap_or(pts)) - task.from;
        seconds = seconds.min(ended.max(instants.time(from + 1)));
    }
    let drawing = drawing.ok_or_else(|| Failure::new("no picture can be decoded"))?;
    let (width, height) = drawing.size();
    let pictures = u32::try_from(shown.len()).unwrap_or(u32::MAX);
    let file = picture_file::animation(coded, shown, drawing.color(), (task.plays, seconds))?;
    write(output, &file)?;
    let at = first.map_or(0.0, |pts| excerpt.seconds_of(pts));
    Ok(Drawn { width, height, pictures, at, seconds, bytes: file.len() as u64 })
}

/// Refuses animations that take too much memory: all their pictures have one palette.
fn check_size(pictures: u64, (width, height): (i32, i32), task: &AnimationTask) -> Result<(), Failure> {
    let area = u64::from(width.unsigned_abs()) * u64::from(height.unsigned_abs());
    if pictures.saturating_mul(area) <= MOST_ANIMATED && pictures <= u64::from(MOST_ANIMATED_PICTURES) {
        return Ok(());
    }
    let most = (MOST_ANIMATED / area.max(1)).min(u64::from(MOST_ANIMATED_PICTURES));
    Err(Failure::new(format!(
        "an animation of {width}x{height} has at most {most} pictures, which is {:.1} s at {} per second: make it smaller, \
         shorter, or of fewer pictures per second",
        most as f64 / task.rate,
        task.rate
    )))
}
