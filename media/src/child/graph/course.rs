//! What decoded pictures go through on their way to the encoders.
//!
//! ```text
//! decoded ─┬─► filters over time ─┬─► another frame rate ─► graph of each picture ─┬─► rendition
//!          │                      └─► …                                            └─► rendition
//!          └─► …
//! ```
//!
//! Renditions with the same filters over time share these, and those that are shown at the same times share the graph behind.

use std::ops::Range;

use ffmpeg_next::frame::{self, side_data::Type};
use millrace_formats::{
    temporal::{Chain, chain},
    ticks::{Resampler, Ticks},
};
use millrace_schemas::{PictureShape, Ratio, VideoSettings};

use super::{
    PictureGraph,
    presented::{Presented, share_out},
    scenes::Scenes,
    temporal::Temporal,
};
use crate::child::{
    assets::Assets,
    failure::Failure,
    libav::{frame::share, stream},
    source::Source,
};

/// The longest time for which one picture is shown at another frame rate, in seconds: what a source states of its times costs nothing
/// to state, and a picture for each tick costs an encode.
const LONGEST_SHOWN: f64 = 3600.0;

/// How often one picture is kept at the most: a source that states of one that it is shown for years costs no more.
const MOST_KEPT: i64 = 36_000;

/// What is known of the pictures that come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Incoming<'a> {
    /// The shape of the source's first picture; without it, the first picture that comes is taken for that.
    pub(crate) first: Option<&'a PictureShape>,
    /// Their clock: the length of a tick, in seconds.
    pub(crate) clock: Ratio,
    /// The length of a picture in ticks, where nothing says it.
    pub(crate) step: i64,
    /// The field order of pictures that don't state theirs, as in [`VideoSettings::field_order`].
    pub(crate) field_order: i32,
    /// Where the segment begins: pictures before are there for those behind; `None` for the start of the source.
    pub(crate) start: Option<i64>,
}

/// Returns the clock of a stream's pictures, the usual length of one in ticks, and the field order of those that don't state theirs.
/// Without a frame rate it is what libavformat guesses.
///
/// # Errors
/// If the source has no such stream.
pub(crate) fn usual_pictures(
    source: &Source,
    stream: i32,
    rate: Option<Ratio>,
) -> Result<(Ratio, i64, i32), Failure> {
    let found = usize::try_from(stream).ok().and_then(|index| source.input.stream(index));
    let found = found.ok_or_else(|| Failure::new(format!("the source has no stream {stream}")))?;
    let (fields, parameters) = stream::fields(&found);
    let clock = stream::ratio(fields.time_base);
    let rate = rate.unwrap_or_else(|| stream::ratio(stream::guess_frame_rate(&source.input, &found)));
    let ticks = 1.0 / (rate.as_f64() * clock.as_f64());
    let step = if ticks.is_finite() { (ticks.round() as i64).max(1) } else { 1 };
    Ok((clock, step, stream::field_order(parameters)))
}

/// All ways from the decoder to the encoders.
pub(crate) struct Course {
    lanes: Vec<Lane>,
    start: Option<i64>,
    step: i64,
    /// The time and the length of the last picture that went in.
    last: Option<(i64, i64)>,
    has_captions: bool,
}

/// The ways that have the filters over time in common.
struct Lane {
    temporal: Option<Temporal>,
    routes: Vec<Route>,
}

/// The ways whose pictures are shown at the same times.
struct Route {
    /// The length of a tick in seconds and what assigns pictures to ticks, at another frame rate.
    resampled: Option<(Ratio, Resampler<frame::Video>)>,
    /// What finds the pictures that are kept, of those of scenes.
    scenes: Option<Scenes>,
    graph: PictureGraph,
    /// The numbers of the renditions.
    renditions: Vec<usize>,
}

/// Takes a picture for the rendition of this number, with its time in the rendition's clock.
type Take<'a> = &'a mut dyn FnMut(usize, Presented) -> Result<(), Failure>;

impl Course {
    /// Builds the ways to renditions of these settings.
    pub(crate) fn build<'a>(
        settings: impl IntoIterator<Item = &'a VideoSettings>,
        incoming: Incoming<'_>,
        cores: usize,
    ) -> Self {
        let Incoming { first, clock, step, field_order, start } = incoming;
        // Which pictures are kept: those at ticks, or those of scenes that differ so much.
        type OfTimes<'a> = ((Option<(Ratio, Ticks)>, Option<f64>), Vec<(usize, &'a VideoSettings)>);
        type Sketch<'a> = (Option<Chain>, Vec<OfTimes<'a>>);
        let mut sketches: Vec<Sketch<'a>> = Vec::new();
        for (number, settings) in settings.into_iter().enumerate() {
            let chain = settings.filters.as_ref().and_then(chain);
            let ticks = Ticks::of(settings, clock).map(|ticks| (settings.time_base, ticks));
            let scene = settings.instants.as_ref().map(|asked| asked.scene).filter(|scene| *scene > 0.0);
            let times = (ticks, scene);
            let at = sketches.iter().position(|(other, _)| *other == chain).unwrap_or_else(|| {
                sketches.push((chain, Vec::new()));
                sketches.len() - 1
            });
            let routes = &mut sketches[at].1;
            let at = routes.iter().position(|(other, _)| *other == times).unwrap_or_else(|| {
                routes.push((times, Vec::new()));
                routes.len() - 1
            });
            routes[at].1.push((number, settings));
        }
        let route = |((ticks, scene), all): OfTimes<'_>| Route {
            resampled: ticks.map(|(tick, ticks)| (tick, Resampler::new(ticks, start))),
            scenes: scene.map(Scenes::new),
            graph: PictureGraph::build(all.iter().map(|(_, settings)| *settings), first, cores),
            renditions: all.iter().map(|(number, _)| *number).collect(),
        };
        let lane = |(chain, routes): Sketch<'_>| Lane {
            temporal: chain.map(|chain| Temporal::new(chain, field_order, cores)),
            routes: routes.into_iter().map(route).collect(),
        };
        Self { lanes: sketches.into_iter().map(lane).collect(), start, step, last: None, has_captions: false }
    }

    /// Sets the images and texts that are laid over pictures, of these assets. Without that, none is.
    ///
    /// # Errors
    /// If one is missing, or can't be laid over pictures of a rendition's pixel format.
    pub(crate) fn set_assets(&mut self, assets: &Assets) -> Result<(), Failure> {
        let mut routes = self.lanes.iter_mut().flat_map(|lane| &mut lane.routes);
        routes.try_for_each(|route| route.graph.set_assets(assets))
    }

    /// Returns how many pictures before the start are of use.
    pub(crate) fn lead_in(&self) -> usize {
        let looks_before = |route: &Route| route.is_resampled() || route.scenes.is_some();
        let needs = |lane: &Lane| lane.lead_in() + usize::from(lane.routes.iter().any(looks_before));
        self.lanes.iter().map(needs).max().unwrap_or(0)
    }

    /// Returns `true` if more pictures are needed before the start than these, where `first` is the time of the first one from the
    /// start on; `None` if there is none.
    pub(crate) fn needs_more_before(&self, first: Option<i64>, before: usize) -> bool {
        self.lanes.iter().any(|lane| {
            let is_needed = |route: &Route| route.needs_picture_before(first);
            lane.lead_in() + usize::from(lane.routes.iter().any(is_needed)) > before
        })
    }

    /// Returns `true` if closed captions were left out, since they are a stream of bytes with the frame rate of the source.
    pub(crate) fn left_out_captions(&self) -> bool {
        self.has_captions
    }

    /// Takes the next decoded picture; `take` gets what becomes of it and of those before it.
    ///
    /// # Errors
    /// If it can't be filtered or converted, or what `take` returns.
    pub(crate) fn push(&mut self, picture: Presented, take: Take<'_>) -> Result<(), Failure> {
        self.last = Some((picture.pts, picture.length));
        let Self { lanes, start, has_captions, .. } = self;
        share_out(lanes, picture, |lane, own| {
            let ready = match &mut lane.temporal {
                Some(temporal) => temporal.push(own)?,
                None => vec![own],
            };
            for picture in ready {
                *has_captions |= lane.present(picture, *start, take)?;
            }
            Ok(())
        })
    }

    /// Ends the pictures. `take` gets those that are left, unless `is_over`: then nobody takes them.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub(crate) fn finish(self, is_over: bool, take: Take<'_>) -> Result<(), Failure> {
        let end =
            self.last.map(|(pts, length)| pts.saturating_add(if length > 0 { length } else { self.step }));
        for mut lane in self.lanes {
            if !is_over {
                let rest = lane.temporal.as_mut().map_or_else(|| Ok(Vec::new()), Temporal::flush)?;
                for picture in rest {
                    lane.present(picture, self.start, take)?;
                }
            }
            for mut route in lane.routes {
                if let (Some((_, resampler)), Some(end), false) = (&mut route.resampled, end, is_over)
                    && let Some((ticks, picture)) = resampler.finish(end)
                {
                    route.show(ticks, &picture, take)?;
                }
                route.graph.finish()?;
            }
        }
        Ok(())
    }
}

impl Lane {
    fn lead_in(&self) -> usize {
        self.temporal.as_ref().map_or(0, Temporal::lead_in)
    }

    /// Sends a picture to all routes. Returns `true` if it has closed captions and a route leaves them out.
    fn present(&mut self, picture: Presented, start: Option<i64>, take: Take<'_>) -> Result<bool, Failure> {
        let mut has_captions = false;
        share_out(&mut self.routes, picture, |route, own| {
            has_captions |= route.is_resampled() && own.frame.side_data(Type::A53CC).is_some();
            route.present(own, start, take)
        })?;
        Ok(has_captions)
    }
}

impl Route {
    fn is_resampled(&self) -> bool {
        self.resampled.is_some()
    }

    fn needs_picture_before(&self, first: Option<i64>) -> bool {
        let resampler = self.resampled.as_ref().map(|(_, resampler)| resampler);
        let is_compared = self.scenes.is_some();
        is_compared
            || resampler
                .is_some_and(|resampler| first.is_none_or(|first| resampler.needs_picture_before(first)))
    }

    fn present(&mut self, picture: Presented, start: Option<i64>, take: Take<'_>) -> Result<(), Failure> {
        let Presented { mut frame, pts, length } = picture;
        if let Some((_, resampler)) = &mut self.resampled {
            // Each picture has some bytes of them, so that those that are left out, or shown twice, would garble them.
            frame.remove_side_data(Type::A53CC);
            if let Some((ticks, picture)) = resampler.push(pts, frame) {
                self.show(ticks, &picture, take)?;
            }
            // Also one that no tick shows may orient those behind it.
            if let Some(held) = self.resampled.as_ref().and_then(|(_, resampler)| resampler.held()) {
                self.graph.observe(held);
            }
            return Ok(());
        }
        let is_kept = self.scenes.as_mut().is_none_or(|scenes| scenes.begins(&frame));
        if !is_kept || start.is_some_and(|start| pts < start) {
            self.graph.observe(&frame);
            return Ok(());
        }
        let renditions = &self.renditions;
        frame.set_pts(Some(pts));
        self.graph.push(frame, |branch, frame| take(renditions[branch], Presented { frame, pts, length }))
    }

    /// Gives a picture for each of these ticks.
    fn show(&mut self, ticks: Range<i64>, picture: &frame::Video, take: Take<'_>) -> Result<(), Failure> {
        let tick = self.resampled.as_ref().map_or(1.0, |(tick, _)| tick.as_f64());
        let count = ticks.end.saturating_sub(ticks.start);
        let is_kept = self.resampled.as_ref().is_some_and(|(_, resampler)| resampler.is_of_instants());
        if is_kept && count > MOST_KEPT {
            return Err(Failure::new(format!(
                "one picture is shown at {count} of the times at which pictures are kept; ask for fewer with a longer every"
            )));
        }
        let seconds = count as f64 * tick;
        if !is_kept && seconds > LONGEST_SHOWN {
            return Err(Failure::new(format!(
                "a picture is shown for {:.1} hours, which is too long for another frame rate: leave frame_rate out",
                seconds / 3600.0
            )));
        }
        let renditions = &self.renditions;
        for pts in ticks {
            let mut frame = share(picture)?;
            frame.set_pts(Some(pts));
            self.graph
                .push(frame, |branch, frame| take(renditions[branch], Presented { frame, pts, length: 1 }))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
