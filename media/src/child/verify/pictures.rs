//! Pictures: how many, when, and how much they are alike.

use std::collections::VecDeque;

use ffmpeg_next::frame;
use millrace_schemas::{PictureShape, Ratio, Trim, VideoSettings};

use super::reading::Reading;
use crate::{
    child::{
        decode::lengths,
        failure::Failure,
        graph::{
            course::{Course, Incoming, usual_pictures},
            presented::Presented,
        },
        libav::pixels::Samples,
        report::Reporter,
        source::Source,
    },
    protocol::{PicturePsnr, PicturesMeasured},
};

/// What stands for pictures that are the same, in decibels.
const SAME: f32 = 100.0;

/// The pictures of a source or an output, one by one.
pub(super) struct Reader {
    reading: Reading<frame::Video>,
    last: Option<i64>,
    /// When the track ends, in ticks, where the container says so.
    ends: Option<i64>,
    /// For how long the last picture is shown, in seconds; 0 where nothing says so.
    length: f64,
    last_length: i64,
    /// The clock of the pictures, the usual length of one in ticks, and the field order of those that don't state theirs.
    clock: Ratio,
    step: i64,
    field_order: i32,
    /// The part that is read, in ticks.
    part: (i64, Option<i64>),
}

impl Reader {
    pub(super) fn open(source: Source, streams: &[i32], part: Option<Trim>) -> Result<Self, Failure> {
        let ends = streams.first().and_then(|stream| lengths::track_end(&source, *stream));
        let stream = streams.first().copied().unwrap_or(-1);
        let (clock, step, field_order) = usual_pictures(&source, stream, None)?;
        let reading = Reading::open(source, streams)?;
        let ticks = (i64::from(clock.num), i64::from(clock.den));
        let part = part.map_or((i64::MIN, None), |part| part.ticks(ticks));
        Ok(Self { reading, last: None, ends, length: 0.0, last_length: 0, clock, step, field_order, part })
    }

    /// The next picture, as it came.
    fn next_decoded(&mut self) -> Result<Option<(frame::Video, i64)>, Failure> {
        loop {
            let Some(picture) = self.reading.next()? else {
                // Only now it is known which was the last.
                self.length = self.last_length as f64 * self.tick();
                return Ok(None);
            };
            let time = picture.timestamp().or(self.last.map(|last| last + 1)).unwrap_or(0);
            self.last = Some(time);
            if self.part.1.is_some_and(|to| time >= to) {
                return Ok(None);
            }
            if time >= self.part.0 {
                self.last_length = lengths::last_length(&picture, time, self.ends);
                return Ok(Some((picture, time)));
            }
        }
    }

    fn incoming(&self) -> Incoming<'static> {
        let Self { clock, step, field_order, .. } = *self;
        Incoming { first: None, clock, step, field_order, start: None }
    }

    fn tick(&self) -> f64 {
        self.reading.track.tick()
    }

    /// The next picture, with its time in seconds.
    fn next(&mut self) -> Result<Option<(frame::Video, f64)>, Failure> {
        Ok(self.next_decoded()?.map(|(picture, time)| (picture, time as f64 * self.tick())))
    }
}

/// What the source's pictures must become, one by one: what they are converted to, if that is compared, and the time in seconds.
struct Becoming<'a> {
    source: &'a mut Reader,
    /// `None` if they stay as they are, or once they have ended.
    course: Option<Course>,
    /// The length of a tick in seconds, at another frame rate.
    resampled: Option<f64>,
    ready: VecDeque<(Option<frame::Video>, f64)>,
}

impl<'a> Becoming<'a> {
    fn new(
        source: &'a mut Reader,
        (settings, shape): (Option<&VideoSettings>, Option<&PictureShape>),
        is_compared: bool,
    ) -> Self {
        let resampled = settings.filter(|settings| settings.is_resampled());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let course = settings.filter(|_| is_compared || resampled.is_some()).map(|settings| {
            Course::build([settings], Incoming { first: shape, start: None, ..source.incoming() }, cores)
        });
        let resampled = resampled.map(|settings| settings.time_base.as_f64());
        Self { source, course, resampled, ready: VecDeque::new() }
    }

    fn next(&mut self) -> Result<Option<(Option<frame::Video>, f64)>, Failure> {
        while self.ready.is_empty() {
            let decoded = self.source.next_decoded()?;
            let tick = self.resampled.unwrap_or(self.source.tick());
            let ready = &mut self.ready;
            let mut take = |_: usize, Presented { frame, pts, .. }: Presented| {
                ready.push_back((Some(frame), pts as f64 * tick));
                Ok(())
            };
            match (decoded, &mut self.course) {
                (Some((picture, time)), None) => return Ok(Some((Some(picture), time as f64 * tick))),
                (Some((frame, pts)), Some(course)) => {
                    let length = self.source.last_length;
                    course.push(Presented { frame, pts, length }, &mut take)?;
                }
                (None, course) => match course.take() {
                    Some(course) => course.finish(false, &mut take)?,
                    None => return Ok(None),
                },
            }
        }
        Ok(self.ready.pop_front())
    }

    /// Returns for how long the last picture is shown, in seconds; 0 where nothing says so.
    fn last_length(&self) -> f64 {
        self.resampled.unwrap_or(self.source.length)
    }
}

/// Reads both to their ends. The source's pictures become those of these settings; with `is_compared`, the output's are compared with
/// them.
pub(super) fn measure(
    source: &mut Reader,
    output: &mut Reader,
    settings: (Option<&VideoSettings>, Option<&PictureShape>),
    is_compared: bool,
    reporter: &mut Reporter,
) -> Result<(PicturesMeasured, Vec<PicturePsnr>), Failure> {
    let mut found =
        PicturesMeasured { tick: source.tick().max(output.tick()), ..PicturesMeasured::default() };
    let mut likeness = Vec::new();
    let mut source = Becoming::new(source, settings, is_compared);
    // The source's picture before, its own, and the one after it.
    let (mut before, mut own, mut after) = (None, None, None);
    let take = |source: &mut Becoming<'_>, found: &mut PicturesMeasured| -> Result<_, Failure> {
        let next = source.next()?;
        found.source += i64::from(next.is_some());
        Ok(next)
    };
    loop {
        if own.is_none() {
            own = take(&mut source, &mut found)?;
            after = take(&mut source, &mut found)?;
        }
        let made = output.next()?;
        reporter.progress(0, found.source);
        let (Some((_, at)), Some((picture, time))) = (&own, &made) else {
            found.output += i64::from(made.is_some());
            if own.is_none() && made.is_none() {
                break;
            }
            (before, own, after) = (own.take(), after.take(), take(&mut source, &mut found)?);
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
        if is_compared {
            likeness.push(PicturePsnr {
                own: psnr(shown(&own), Some(picture)).unwrap_or(0.0),
                before: psnr(shown(&before), Some(picture)),
                after: psnr(shown(&after), Some(picture)),
            });
        }
        (before, own, after) = (own.take(), after.take(), take(&mut source, &mut found)?);
    }
    (found.source_damaged, found.output_damaged) = (source.source.reading.damaged, output.reading.damaged);
    (found.source_last, found.output_last) = (source.last_length(), output.length);
    Ok((found, likeness))
}

type Shown = Option<(Option<frame::Video>, f64)>;

fn shown(picture: &Shown) -> Option<&frame::Video> {
    picture.as_ref().and_then(|(shown, _)| shown.as_ref())
}

/// The ratio of the peak to the noise between two pictures of planes, over all of them, in decibels; none where they are of another
/// size or kind.
fn psnr(a: Option<&frame::Video>, b: Option<&frame::Video>) -> Option<f32> {
    let (a, b) = (a?, b?);
    if (a.width(), a.height(), a.planes()) != (b.width(), b.height(), b.planes()) {
        return None;
    }
    let samples = Samples::of(a.format());
    if samples != Samples::of(b.format()) {
        return None;
    }
    let Samples { bytes, depth, .. } = samples;
    let sample = |bytes: &[u8]| bytes.iter().rev().fold(0_u16, |all, byte| all << 8 | u16::from(*byte));
    let (mut sum, mut count) = (0_u64, 0_u64);
    for plane in 0..a.planes() {
        let (width, height) = (a.plane_width(plane) as usize, a.plane_height(plane) as usize);
        for row in 0..height {
            let x = a.data(plane).get(row * a.stride(plane)..)?.get(..width * bytes)?;
            let y = b.data(plane).get(row * b.stride(plane)..)?.get(..width * bytes)?;
            sum += if bytes == 1 {
                x.iter().zip(y).map(|(x, y)| u64::from(x.abs_diff(*y)).pow(2)).sum::<u64>()
            } else {
                let pairs = x.chunks_exact(bytes).zip(y.chunks_exact(bytes));
                pairs.map(|(x, y)| u64::from(sample(x).abs_diff(sample(y))).pow(2)).sum()
            };
        }
        count += (width * height) as u64;
    }
    if sum == 0 {
        return Some(SAME);
    }
    let peak = f64::from((1_u32 << depth) - 1);
    Some((10.0 * (peak * peak * count as f64 / sum as f64).log10()) as f32)
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
        let deep = |level: u16| {
            let mut picture = frame::Video::new(Pixel::GRAY10LE, 16, 2);
            picture
                .data_mut(0)
                .chunks_exact_mut(2)
                .for_each(|sample| sample.copy_from_slice(&level.to_le_bytes()));
            picture
        };
        let one = psnr(Some(&deep(255)), Some(&deep(256))).unwrap();
        assert!((one - 60.2).abs() < 0.01, "{one}: the peak is 1023");
        assert_eq!(psnr(Some(&deep(7)), Some(&grey(7))), None, "of another kind");
    }
}
