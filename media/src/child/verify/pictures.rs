//! Pictures: how many, when, and how much they are alike.

use ffmpeg_next::frame;
use millrace_schemas::{PictureShape, VideoSettings};

use super::reading::Reading;
use crate::{
    child::{decode::lengths, failure::Failure, graph::PictureGraph, report::Reporter, source::Source},
    protocol::{PicturePsnr, PicturesMeasured},
};

/// What stands for pictures that are the same, in decibels.
const SAME: f32 = 100.0;

/// The pictures of a source, one by one.
pub(super) struct Reader {
    reading: Reading<frame::Video>,
    last: Option<i64>,
    /// When the track ends, in ticks, where the container says so.
    ends: Option<i64>,
    /// For how long the last picture is shown, in seconds; 0 where nothing says so.
    length: f64,
    last_length: f64,
}

impl Reader {
    pub(super) fn open(source: Source, streams: &[i32]) -> Result<Self, Failure> {
        let ends = streams.first().and_then(|stream| lengths::track_end(&source, *stream));
        let reading = Reading::open(source, streams)?;
        Ok(Self { reading, last: None, ends, length: 0.0, last_length: 0.0 })
    }

    fn tick(&self) -> f64 {
        self.reading.track.tick()
    }

    /// The next picture, with its time in seconds.
    fn next(&mut self) -> Result<Option<(frame::Video, f64)>, Failure> {
        let Some(picture) = self.reading.next()? else {
            // Only now it is known which was the last.
            self.length = self.last_length;
            return Ok(None);
        };
        let time = picture.timestamp().or(self.last.map(|last| last + 1)).unwrap_or(0);
        self.last = Some(time);
        self.last_length = lengths::last_length(&picture, time, self.ends) as f64 * self.tick();
        Ok(Some((picture, time as f64 * self.tick())))
    }
}

/// Reads both to their ends; with `settings`, the source's pictures are converted by them and compared.
pub(super) fn measure(
    source: &mut Reader,
    output: &mut Reader,
    settings: Option<(&VideoSettings, Option<&PictureShape>)>,
    reporter: &mut Reporter,
) -> Result<(PicturesMeasured, Vec<PicturePsnr>), Failure> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut graph = settings.map(|(settings, shape)| PictureGraph::build([settings], shape, cores));
    let mut found =
        PicturesMeasured { tick: source.tick().max(output.tick()), ..PicturesMeasured::default() };
    let mut likeness = Vec::new();
    // The source's picture before, its own, and the one after it.
    let (mut before, mut own, mut after) = (None, None, None);
    let mut take = |source: &mut Reader, found: &mut PicturesMeasured| -> Result<_, Failure> {
        let Some((picture, time)) = source.next()? else { return Ok(None) };
        found.source += 1;
        let mut shown = None;
        if let Some(graph) = &mut graph {
            graph.push(picture, |_, picture| {
                shown = Some(picture);
                Ok(())
            })?;
        }
        Ok(Some((shown, time)))
    };
    loop {
        if own.is_none() {
            own = take(source, &mut found)?;
            after = take(source, &mut found)?;
        }
        let made = output.next()?;
        reporter.progress(0, found.source);
        let (Some((_, at)), Some((picture, time))) = (&own, &made) else {
            found.output += i64::from(made.is_some());
            if own.is_none() && made.is_none() {
                break;
            }
            (before, own, after) = (own.take(), after.take(), take(source, &mut found)?);
            continue;
        };
        if found.output == 0 {
            (found.source_first, found.output_first) = (*at, *time);
        }
        let off = ((time - found.output_first) - (at - found.source_first)).abs();
        if off > found.off {
            (found.off, found.off_at) = (off, found.output);
        }
        found.output += 1;
        if settings.is_some() {
            likeness.push(PicturePsnr {
                own: psnr(shown(&own), Some(picture)).unwrap_or(0.0),
                before: psnr(shown(&before), Some(picture)),
                after: psnr(shown(&after), Some(picture)),
            });
        }
        (before, own, after) = (own.take(), after.take(), take(source, &mut found)?);
    }
    (found.source_damaged, found.output_damaged) = (source.reading.damaged, output.reading.damaged);
    (found.source_last, found.output_last) = (source.length, output.length);
    Ok((found, likeness))
}

type Shown = Option<(Option<frame::Video>, f64)>;

fn shown(picture: &Shown) -> Option<&frame::Video> {
    picture.as_ref().and_then(|(shown, _)| shown.as_ref())
}

/// The ratio of the peak to the noise between two pictures of bytes, over all planes, in decibels; none where they are of
/// another size or kind.
fn psnr(a: Option<&frame::Video>, b: Option<&frame::Video>) -> Option<f32> {
    let (a, b) = (a?, b?);
    if (a.width(), a.height(), a.planes()) != (b.width(), b.height(), b.planes()) {
        return None;
    }
    let (mut sum, mut count) = (0_u64, 0_u64);
    for plane in 0..a.planes() {
        let (width, height) = (a.plane_width(plane) as usize, a.plane_height(plane) as usize);
        for row in 0..height {
            let x = a.data(plane).get(row * a.stride(plane)..)?.get(..width)?;
            let y = b.data(plane).get(row * b.stride(plane)..)?.get(..width)?;
            let squares = x.iter().zip(y).map(|(x, y)| u32::from(x.abs_diff(*y)).pow(2));
            sum += squares.map(u64::from).sum::<u64>();
        }
        count += (width * height) as u64;
    }
    if sum == 0 {
        return Some(SAME);
    }
    Some((10.0 * (255.0 * 255.0 * count as f64 / sum as f64).log10()) as f32)
}

#[cfg(test)]
mod tests {
    use ffmpeg_next::format::Pixel;

    use super::*;

    fn grey(level: u8) -> frame::Video {
        let mut picture = frame::Video::new(Pixel::GRAY8, 16, 2);
        picture.data_mut(0).fill(level);
        picture
    }

    #[test]
    fn likeness_is_the_ratio_of_the_peak_to_the_noise() {
        assert_eq!(psnr(Some(&grey(7)), Some(&grey(7))), Some(SAME));
        let one = psnr(Some(&grey(7)), Some(&grey(8))).unwrap();
        assert!((one - 48.13).abs() < 0.01, "{one}");
        assert_eq!(psnr(Some(&grey(7)), Some(&frame::Video::new(Pixel::GRAY8, 8, 2))), None);
        assert_eq!(psnr(None, Some(&grey(7))), None);
    }
}
