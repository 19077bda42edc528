//! Filters over time, by libavfilter: decoded pictures go in, and come out after those behind them that they depend on.

use std::collections::VecDeque;

use ffmpeg_next::{format::Pixel, frame};
use millrace_formats::temporal::Chain;

use super::presented::Presented;
use crate::child::{
    failure::Failure,
    libav::{
        filters::FilterGraph,
        frame::{fields, set_field_order, share},
    },
};

/// Smaller pictures are left as they are: bwdif takes none whose planes of chroma have fewer than 4 rows.
const SMALLEST: u32 = 8;
const DOING: &str = "filtering pictures over time";

/// A chain of filters for the pictures of a track. When their size or format changes, it begins afresh.
pub(super) struct Temporal {
    chain: Chain,
    /// The field order of the pictures that don't state theirs.
    field_order: i32,
    cores: usize,
    graph: Option<(FilterGraph, Kind)>,
    /// The times and lengths of the pictures in the graph, and the number of the first of them.
    inside: VecDeque<(i64, i64)>,
    first: i64,
    /// The last picture that went in.
    last: Option<frame::Video>,
}

/// The pixel format, width and height of pictures.
type Kind = (Pixel, u32, u32);

impl Temporal {
    pub(super) fn new(chain: Chain, field_order: i32, cores: usize) -> Self {
        Self { chain, field_order, cores, graph: None, inside: VecDeque::new(), first: 0, last: None }
    }

    /// Returns the number of pictures before one that it depends on.
    pub(super) fn lead_in(&self) -> usize {
        self.chain.lead_in
    }

    /// Takes the next picture. Returns those that are ready, in order.
    ///
    /// # Errors
    /// If this FFmpeg lacks a filter, or what libavfilter says.
    pub(super) fn push(&mut self, picture: Presented) -> Result<Vec<Presented>, Failure> {
        let Presented { mut frame, pts, length } = picture;
        let kind = (frame.format(), frame.width(), frame.height());
        let mut ready = Vec::new();
        if self.graph.as_ref().is_some_and(|(_, of)| *of != kind) {
            ready = self.flush()?;
        }
        if kind.1 < SMALLEST || kind.2 < SMALLEST {
            ready.push(Presented { frame, pts, length });
            return Ok(ready);
        }
        if self.graph.is_none() {
            let description = format!("[in]{}[out0]", self.chain.description);
            let built = FilterGraph::build(kind, &description, (1, &self.chain.needs), self.cores, DOING)?;
            self.graph = Some((built, kind));
        }
        if fields(&frame).interlaced_frame == 0 {
            set_field_order(&mut frame, self.field_order);
        }
        frame.set_pts(Some(self.next_number()));
        self.inside.push_back((pts, length));
        self.last = Some(share(&frame)?);
        if let Some((graph, _)) = &mut self.graph {
            graph.push(frame, DOING)?;
        }
        self.pull(&mut ready)?;
        Ok(ready)
    }

    /// Returns all pictures that are left, in order: none follows.
    ///
    /// The last one stands for those behind it. Told of the end, atadenoise of FFmpeg 5.1 repeats it, too, but gives nothing, and does
    /// not end, if fewer came than it averages.
    ///
    /// # Errors
    /// What libavfilter says, or if a picture went missing in a filter.
    pub(super) fn flush(&mut self) -> Result<Vec<Presented>, Failure> {
        let mut rest = Vec::new();
        // atadenoise gives a picture when the one comes that is behind all that it averages.
        let padding = i64::try_from(self.chain.lead_out + self.chain.needs.len()).unwrap_or(0);
        let number = self.next_number();
        if let Some(last) = self.last.take() {
            for number in number..number.saturating_add(padding) {
                if self.inside.is_empty() {
                    break;
                }
                let mut copy = share(&last)?;
                copy.set_pts(Some(number));
                if let Some((graph, _)) = &mut self.graph {
                    graph.push(copy, DOING)?;
                }
                self.pull(&mut rest)?;
            }
        }
        self.graph = None;
        match self.inside.len() {
            0 => Ok(rest),
            lost => Err(Failure::new(format!("{DOING}: {lost} pictures did not come out"))),
        }
    }

    /// The number of the next picture.
    fn next_number(&self) -> i64 {
        self.first.saturating_add(i64::try_from(self.inside.len()).unwrap_or(i64::MAX))
    }

    /// FR-1: each picture comes out once, in order, and gets its own time back.
    fn pull(&mut self, ready: &mut Vec<Presented>) -> Result<(), Failure> {
        let Some((graph, _)) = &mut self.graph else { return Ok(()) };
        while !self.inside.is_empty()
            && let Some(frame) = graph.pull(0, DOING)?
        {
            let Some((pts, length)) = self.inside.pop_front().filter(|_| frame.pts() == Some(self.first))
            else {
                let (number, awaited) = (frame.pts().unwrap_or(-1), self.first);
                return Err(Failure::new(format!("{DOING}: picture {number} came instead of {awaited}")));
            };
            self.first += 1;
            ready.push(Presented { frame, pts, length });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use millrace_formats::temporal::chain;
    use millrace_schemas::VideoFilters;

    use super::*;
    use crate::child::libav::frame::for_each_row;

    /// A noisy picture in which a bright column moves, of two fields.
    fn picture(number: i64, (width, height): (u32, u32)) -> Presented {
        let mut frame = frame::Video::new(Pixel::YUV420P, width, height);
        for plane in 0..3 {
            let stride = frame.stride(plane);
            for (i, byte) in frame.data_mut(plane).iter_mut().enumerate() {
                let (x, y) = ((i % stride) as i64, (i / stride) as i64);
                let bright = (x - number * 2 - y % 2).rem_euclid(16) < 4;
                // Without a period, so that no picture is left out of an average unseen.
                let noise = ((i as i64 * 7919 + number * 104_729).pow(2) >> 9).rem_euclid(5);
                *byte = (60 + noise + if bright { 100 } else { 0 }) as u8;
            }
        }
        set_field_order(&mut frame, 1);
        Presented { frame, pts: number * 10, length: 10 + number % 3 }
    }

    fn through(asked: &VideoFilters, pictures: impl Iterator<Item = Presented>) -> Vec<(i64, i64, Vec<u8>)> {
        let mut temporal = Temporal::new(chain(asked).unwrap(), 0, 2);
        let mut all = Vec::new();
        for picture in pictures {
            all.extend(temporal.push(picture).unwrap());
        }
        all.extend(temporal.flush().unwrap());
        let samples = |frame: &frame::Video| {
            let mut all = Vec::new();
            for_each_row(frame, |row| all.extend_from_slice(row));
            all
        };
        all.iter().map(|made| (made.pts, made.length, samples(&made.frame))).collect()
    }

    fn asked() -> [VideoFilters; 3] {
        let fields = VideoFilters { deinterlace: true, ..VideoFilters::default() };
        let noise = VideoFilters { denoise: "medium".into(), ..VideoFilters::default() };
        [fields.clone(), noise.clone(), VideoFilters { denoise: noise.denoise, ..fields }]
    }

    #[test]
    fn each_picture_comes_out_once_at_its_own_time_and_changed() {
        for asked in asked() {
            for count in [1, 2, 3, 30] {
                let made = through(&asked, (0..count).map(|number| picture(number, (64, 48))));
                let times: Vec<(i64, i64)> = made.iter().map(|(pts, length, _)| (*pts, *length)).collect();
                let wanted: Vec<(i64, i64)> = (0..count).map(|i| (i * 10, 10 + i % 3)).collect();
                assert_eq!(times, wanted, "{asked:?}");
            }
            let made = through(&asked, (0..30).map(|number| picture(number, (64, 48))));
            let mut plain = Vec::new();
            for_each_row(&picture(15, (64, 48)).frame, |row| plain.extend_from_slice(row));
            assert_ne!(made[15].2, plain);
        }
    }

    #[test]
    fn a_part_with_as_many_pictures_around_it_as_the_chain_needs_is_as_in_the_whole() {
        for asked in asked() {
            let whole = through(&asked, (0..30).map(|number| picture(number, (64, 48))));
            let needs = chain(&asked).unwrap();
            let (before, behind) = (needs.lead_in as i64, needs.lead_out as i64);
            let part = through(&asked, (12 - before..18 + behind).map(|number| picture(number, (64, 48))));
            assert!(part[needs.lead_in..][..6] == whole[12..18], "{asked:?}");
            let less = through(&asked, (13 - before..18 + behind).map(|number| picture(number, (64, 48))));
            let is_same = less[needs.lead_in - 1..][..6] == whole[12..18];
            // Of an average, one picture less may be too little to see.
            assert!(!is_same || !asked.denoise.is_empty(), "{asked:?} needs no more than that");
        }
    }

    #[test]
    fn pictures_of_another_size_begin_afresh_and_tiny_ones_stay_as_they_are() {
        let size = |number: i64| match number {
            0..10 => (64, 48),
            10..12 => (4, 4),
            _ => (32, 32),
        };
        for asked in asked() {
            let made = through(&asked, (0..20).map(|number| picture(number, size(number))));
            assert_eq!(
                made.iter().map(|(pts, ..)| *pts).collect::<Vec<_>>(),
                (0..20).map(|i| i * 10).collect::<Vec<_>>()
            );
            let second = through(&asked, (12..20).map(|number| picture(number, size(number))));
            assert!(made[12..] == second, "{asked:?}");
        }
    }
}
