//! One picture of a source.

use std::{fs::File, io::Write as _};

use ffmpeg_next::frame;
use millrace_formats::picture::picture_format;

use super::{
    alive,
    excerpt::{Excerpt, Shown},
    failure::Failure,
    picture_file::{Drawing, still},
};
use crate::{
    excerpt::{Instants, Look},
    protocol::{Drawn, MOST_CANDIDATES, PictureTask},
};

/// How far candidates are from each other, in pictures per second.
const CANDIDATES: f64 = 2.0;

/// The best picture so far.
struct Best {
    picture: frame::Video,
    look: Look,
    pts: i64,
}

pub(super) fn picture(source: File, task: &PictureTask, output: File) -> Result<Drawn, Failure> {
    let format = picture_format(&task.format, false).map_err(Failure::new)?;
    let coding = format.still.as_ref().ok_or_else(|| Failure::new("a format without pictures"))?;
    let count = task.candidates.clamp(1, MOST_CANDIDATES);
    let instants = Instants { rate: CANDIDATES, count };
    let mut excerpt = Excerpt::open(source, task.cores)?;
    let mut drawing: Option<Drawing> = None;
    let mut best: Option<Best> = None;
    excerpt.pictures(task.at, instants, &mut |excerpt, Shown { frame, pts, number }| {
        if number == 0 {
            best = None;
        }
        let drawing = drawing
            .get_or_insert_with(|| Drawing::new(format, coding, excerpt.facts(), task.within(), task.cores));
        let picture = drawing.draw(frame)?;
        let look = if count > 1 { look(&picture) } else { Look::of(std::iter::empty()) };
        if best.as_ref().is_none_or(|best| look.is_better_than(best.look)) {
            best = Some(Best { picture, look, pts });
        }
        Ok(())
    })?;
    let (Some(best), Some(drawing)) = (best, drawing) else {
        return Err(Failure::new("no picture can be decoded"));
    };
    let file = still(coding, &best.picture, drawing.color())?;
    write(output, &file)?;
    let (width, height) = drawing.size();
    let at = excerpt.seconds_of(best.pts);
    Ok(Drawn { width, height, pictures: 1, at, seconds: 0.0, bytes: file.len() as u64 })
}

/// Looks at the luma of a drawn picture.
fn look(picture: &frame::Video) -> Look {
    let (width, stride) = (picture.plane_width(0) as usize, picture.stride(0));
    let rows = picture.data(0).chunks(stride.max(1)).take(picture.height() as usize);
    Look::of(rows.filter_map(|row| row.get(..width)))
}

/// Writes a file to the parent.
pub(super) fn write(mut output: File, file: &[u8]) -> Result<(), Failure> {
    alive::wait(|| output.write_all(file)).map_err(Failure::at("writing the picture"))
}
