//! Some seconds of a source as an animation.

use std::fs::File;

use millrace_formats::picture::picture_format;

use super::{
    excerpt::{Excerpt, Shown},
    failure::Failure,
    picture::write,
    picture_file::{self, Drawing, Frame},
};
use crate::{
    excerpt::Instants,
    protocol::{AnimationTask, Drawn, MOST_ANIMATED, MOST_ANIMATED_PICTURES},
};

/// The least time for which the last picture is shown, in seconds: a tick of a GIF.
const LEAST_SHOWN: f64 = 0.01;

pub(super) fn animation(source: File, task: &AnimationTask, output: File) -> Result<Drawn, Failure> {
    let format = picture_format(&task.format, true).map_err(Failure::new)?;
    let coded = format.animation.as_ref().ok_or_else(|| Failure::new("a format without animations"))?;
    let instants = Instants::within(task.seconds, task.rate);
    let mut excerpt = Excerpt::open(source, task.cores)?;
    let mut drawing: Option<Drawing> = None;
    let mut drawn: Vec<Frame> = Vec::new();
    let mut first = 0.0;
    let end = excerpt.pictures(task.from, instants, &mut |excerpt, Shown { frame, pts, number }| {
        if number == 0 {
            drawn.clear();
            first = excerpt.seconds_of(pts);
        }
        let drawing = drawing.get_or_insert_with(|| {
            Drawing::new(format, &coded.coding, excerpt.facts(), task.within(), task.cores)
        });
        check_size((drawn.len() + 1) as u64, drawing.size(), task)?;
        drawn.push(Frame { picture: drawing.draw(frame)?, at: instants.time(number) });
        Ok(())
    })?;
    let (Some(drawing), Some(last)) = (drawing, drawn.last()) else {
        return Err(Failure::new("no picture can be decoded"));
    };
    let left = end.map_or(task.seconds, |end| (end - task.from).min(task.seconds));
    let seconds = left.max(last.at + LEAST_SHOWN);
    let (width, height) = drawing.size();
    let pictures = u32::try_from(drawn.len()).unwrap_or(u32::MAX);
    let file = picture_file::animation(coded, drawn, drawing.color(), (task.plays, seconds))?;
    write(output, &file)?;
    Ok(Drawn { width, height, pictures, at: first, seconds, bytes: file.len() as u64 })
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
