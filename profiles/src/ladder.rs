//! What a ladder becomes of a source: which rungs it has, in which sizes, and with which names. Pure.

use millrace_formats::{Tables, codec::VideoCodec, rate::Rate};
use millrace_schemas::{Picture, SourceFacts, VideoSettings, VideoTrack};

use crate::{
    amounts::{Seconds, Size},
    bounds::MOST_OUTPUTS,
    division::Division,
    geometry::{self, Geometry},
    over_time,
    profile::Video,
    rungs::{RUNG, Rung, Rungs},
    wanted::{Encoding, Wanted},
};

/// The interval of keyframes of a ladder that asks for none, in seconds: the least that players switch within, and what Apple asks
/// for ("HLS Authoring Specification for Apple Devices", 1.13).
const USUAL_INTERVAL: f64 = 2.0;
/// How much smaller the sides of a rung are at least than those of the largest one: else it would save next to nothing.
const NEAREST: f64 = 5.0 / 6.0;

/// Returns the outputs that are made of a source: of each ladder in a format of one video track, one for each rung; in one of
/// several, one with all rungs.
///
/// # Errors
/// If the source has no pictures, of which a ladder is made, or outputs would have the same name, with what would work.
pub fn for_source(wanted: Vec<Wanted>, facts: &SourceFacts) -> Result<Vec<Wanted>, String> {
    let picture = facts.video.as_ref().map(|video| &video.picture);
    let mut all: Vec<Wanted> = Vec::new();
    for output in wanted {
        for output in output.into_rungs(picture)? {
            let name = output.file_name("{}");
            if all.iter().any(|other| other.file_name("{}") == name) {
                return Err(format!(
                    "two outputs of this source would be called {}; set another name",
                    output.file_name("{stem}")
                ));
            }
            all.push(output);
        }
    }
    Ok(all)
}

/// What a rung becomes of a source.
struct Made {
    name: String,
    asked: Video,
    /// The size of its pictures, in pixels.
    size: (i32, i32),
}

impl Wanted {
    /// Returns its ladder, if it has one whose rungs are not known yet.
    fn ladder(&self) -> Option<(&Encoding<Video>, &Video, &Rungs)> {
        let encoding = self.video.as_ref()?;
        let asked = encoding.asked.as_ref()?;
        Some((encoding, asked, asked.rungs.as_ref()?))
    }

    /// Returns `true` if it is a ladder of which each rung is an output of its own.
    #[must_use]
    pub fn is_ladder_of_files(&self) -> bool {
        self.ladder().is_some() && self.container.video.most == 1
    }

    /// Returns the most renditions of pictures that it has.
    pub(crate) fn most_rungs(&self) -> usize {
        match self.ladder() {
            None => 1,
            Some((.., Rungs::Listed(rungs))) => rungs.len(),
            // And the one of the source's size.
            Some((encoding, _, Rungs::Auto)) => rungs_of(encoding).len() + 1,
        }
    }

    /// Returns the names of the files that may be made of a source whose name without its extension is `stem`: more than one of a
    /// ladder, whose rungs are known when the source is. `{rung}` in the last one stands for the size of the source.
    #[must_use]
    pub fn file_names(&self, stem: &str) -> Vec<String> {
        self.possible().iter().map(|wanted| wanted.file_name(stem)).collect()
    }

    /// Returns the names of the files, or of the package's folder, which no other output may have.
    pub(crate) fn places(&self, stem: &str) -> Vec<String> {
        self.possible().iter().map(|wanted| wanted.place(stem)).collect()
    }

    /// Returns the URLs of the outputs that may be made of a source, in the folder or bucket of this URL, as [`Self::file_names`].
    #[must_use]
    pub fn output_urls(&self, prefix: &str, source: &str) -> Vec<String> {
        self.possible().iter().map(|wanted| wanted.output_url(prefix, source)).collect()
    }

    /// Returns `true` if an output at this URL may be made of a source.
    #[must_use]
    pub fn may_make(&self, (prefix, source): (&str, &str), url: &str) -> bool {
        let is_size = |text: &str| {
            text.strip_suffix('p').is_some_and(|pixels| pixels.bytes().all(|byte| byte.is_ascii_digit()))
        };
        self.output_urls(prefix, source).iter().any(|known| match known.split_once(RUNG) {
            None => known == url,
            // More than one would be known by its first.
            Some((before, behind)) => {
                let rest = url.strip_prefix(before);
                let behind = behind.replace(RUNG, "");
                rest.and_then(|rest| rest.strip_suffix(behind.as_str())).is_some_and(is_size)
            }
        })
    }

    fn possible(&self) -> Vec<Self> {
        let Some((encoding, _, rungs)) = self.ladder().filter(|_| self.is_ladder_of_files()) else {
            return vec![self.clone()];
        };
        let names: Vec<Option<String>> = match rungs {
            Rungs::Listed(rungs) => rungs.iter().map(Rung::name).collect(),
            Rungs::Auto => {
                let known = rungs_of(encoding).iter().map(|side| Rung::of_side(*side).name());
                known.chain([None]).collect()
            }
        };
        let named = |rung| {
            let mut named = self.clone();
            named.rung = rung;
            named
        };
        names.into_iter().map(named).collect()
    }

    /// Returns it with what its ladder becomes of pictures like these.
    fn into_rungs(self, picture: Option<&Picture>) -> Result<Vec<Self>, String> {
        let Some((encoding, ladder, rungs)) = self.ladder() else { return Ok(vec![self]) };
        let Some(picture) = picture else {
            if self.is_ladder_of_files() {
                return Err("the source has no pictures, of which the rungs of a ladder are made; \
                            ask for an encoding without rungs"
                    .into());
            }
            return Ok(vec![self]);
        };
        let (after, _) = over_time::after(ladder, picture);
        let whole = Video { rungs: None, size: None, width: None, height: None, ..ladder.clone() };
        let shown = Geometry::of(&whole, &after).picture;
        let mut all = match rungs {
            Rungs::Listed(rungs) => listed(ladder, rungs, &shown),
            Rungs::Auto => auto(ladder, rungs_of(encoding), &shown),
        };
        all.sort_by_key(|made| std::cmp::Reverse(i64::from(made.size.0) * i64::from(made.size.1)));
        let mut made: Vec<(Self, Option<VideoSettings>)> = Vec::new();
        for Made { name, asked, .. } in all {
            let usual = self.division().map_or(USUAL_INTERVAL, Division::keyframe_interval);
            let interval = asked.keyframe_interval.or(Some(Seconds(usual)));
            let asked = Video { keyframe_interval: interval, ..asked };
            let mut rung = self.with_pictures(encoding.with(asked));
            rung.rung = Some(name);
            let settings = rung.video_settings(picture);
            if made.iter().all(|(_, other)| *other != settings) {
                made.push((rung, settings));
            }
        }
        let mut made: Vec<Self> = made.into_iter().map(|(rung, _)| rung).collect();
        if self.container.video.most > 1 {
            let smaller = made.split_off(made.len().min(1)).into_iter().take(self.container.video.most - 1);
            let smaller: Vec<_> = smaller.filter_map(|rung| rung.video).collect();
            if let Some(largest) = made.first_mut() {
                (largest.rung, largest.smaller) = (None, smaller);
            }
        }
        Ok(made)
    }

    /// Returns the settings of all its renditions of pictures, the largest first, as [`Wanted::pictures`]. Renditions that players
    /// switch between have their keyframes at the same times: on a grid from the first picture on.
    ///
    /// # Errors
    /// As [`Wanted::pictures`].
    pub fn all_pictures(
        &self,
        tables: &Tables,
        video: &VideoTrack,
        is_trimmed: bool,
    ) -> Result<Vec<VideoSettings>, String> {
        if let Some(asked) = self.pictures_asked() {
            return Ok(vec![asked.settings(self.container, video)?]);
        }
        let is_switched = self.rung.is_some() || self.container.video.most > 1;
        let mut all: Vec<VideoSettings> = self.pictures(tables, video, is_trimmed)?.into_iter().collect();
        for smaller in &self.smaller {
            all.extend(self.with_pictures(smaller.clone()).pictures(tables, video, is_trimmed)?);
        }
        for settings in all.iter_mut().filter(|settings| is_switched && !settings.is_copy()) {
            let codec = tables.codec(&settings.codec)?.video();
            if settings.keyframe_seconds > 0.0 && codec.is_some_and(<dyn VideoCodec>::places_keyframes) {
                settings.keyframe_grid = Some(first_tick(settings, video, is_trimmed));
            }
        }
        Ok(all)
    }
}

fn rungs_of(encoding: &Encoding<Video>) -> &'static [i32] {
    encoding.codec.and_then(<dyn millrace_formats::Codec>::video).map_or(&[], |codec| codec.rungs())
}

/// Returns when the first picture of a rendition is, in ticks of its clock.
fn first_tick(settings: &VideoSettings, video: &VideoTrack, is_trimmed: bool) -> i64 {
    if !settings.is_resampled() {
        return video.first;
    }
    let rate = Rate::new(video.picture.time_base, settings.time_base);
    // A part of a source begins with the first tick in it, a whole one with the tick at which its first picture is due.
    if is_trimmed { rate.first_from(video.first) } else { rate.due(video.first) }
}

/// Returns the rungs of a list that are no larger than the pictures; the smallest one in their size if all are.
fn listed(ladder: &Video, rungs: &[Rung], shown: &Picture) -> Vec<Made> {
    let made = |rung: &Rung| {
        let asked = on_side(encoding_of(rung, ladder), shown);
        let factor = geometry::factor_within(&asked, shown).unwrap_or(1.0);
        let name = rung.name().unwrap_or_default();
        (factor, Made { name, size: size_of(&asked, shown), asked })
    };
    let all: Vec<(f64, Made)> = rungs.iter().map(made).collect();
    // An odd side is rounded to an even one.
    let (fit, larger): (Vec<_>, Vec<_>) = all.into_iter().partition(|(factor, _)| *factor <= 1.0 + 1e-9);
    if fit.is_empty() {
        return larger
            .into_iter()
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, made)| made)
            .into_iter()
            .collect();
    }
    fit.into_iter().map(|(_, made)| made).collect()
}

/// Returns one rung in the size of the pictures, within what the ladder asks for, and those of a table that are smaller.
fn auto(ladder: &Video, sides: &[i32], shown: &Picture) -> Vec<Made> {
    let top = on_side(Video { rungs: None, ..ladder.clone() }, shown);
    let size = size_of(&top, shown);
    let side = shown_side(size, shown);
    let smaller = sides.iter().filter(|smaller| f64::from(**smaller) <= f64::from(side) * NEAREST);
    let smaller = smaller.map(|side| {
        let asked = on_side(encoding_of(&Rung::of_side(*side), ladder), shown);
        Made { name: format!("{side}p"), size: size_of(&asked, shown), asked }
    });
    std::iter::once(Made { name: format!("{side}p"), asked: top.clone(), size }).chain(smaller).collect()
}

/// Returns the encoding of a rung: the ladder's, with what differs for it. Of quality and bit rate one takes the other's place.
pub(crate) fn encoding_of(rung: &Rung, ladder: &Video) -> Video {
    let ladder = ladder.clone();
    let has_own_rate = rung.quality.is_some() || rung.bitrate.is_some();
    Video {
        size: rung.size,
        width: rung.width,
        height: rung.height,
        quality: if has_own_rate { rung.quality } else { ladder.quality },
        bitrate: if has_own_rate { rung.bitrate } else { ladder.bitrate },
        max_bitrate: rung.max_bitrate.or(ladder.max_bitrate),
        // A size of a buffer belongs to the rate that fills it.
        buffer: rung.buffer.or(ladder.buffer.filter(|_| rung.max_bitrate.is_none())),
        preset: rung.preset.clone().or_else(|| ladder.preset.clone()),
        rungs: None,
        ..ladder
    }
}

/// Returns sizes of landscape pictures as those of pictures like these.
fn on_side(asked: Video, shown: &Picture) -> Video {
    if shown_width((shown.width, shown.height), shown) >= f64::from(shown.height) {
        return asked;
    }
    let size = asked.size.map(|Size { width, height }| Size { width: height, height: width });
    Video { size, width: asked.height, height: asked.width, ..asked }
}

fn size_of(asked: &Video, shown: &Picture) -> (i32, i32) {
    geometry::size_within(asked, shown).unwrap_or((shown.width, shown.height))
}

fn shown_width((width, _): (i32, i32), shown: &Picture) -> f64 {
    let aspect = if shown.sample_aspect.num > 0 { shown.sample_aspect.as_f64() } else { 1.0 };
    f64::from(width) * aspect
}

/// Returns the shorter side of pictures of this size, as they are shown.
fn shown_side(size: (i32, i32), shown: &Picture) -> i32 {
    (shown_width(size, shown).round() as i32).min(size.1)
}

/// Checks that there are not too many outputs or renditions.
///
/// # Errors
/// If there are, with how many there may be.
pub(crate) fn check_count(wanted: &[Wanted]) -> Result<(), String> {
    let count: usize = wanted.iter().map(Wanted::most_rungs).sum();
    if count > MOST_OUTPUTS {
        return Err(format!("with all rungs there may be {count} outputs; at most {MOST_OUTPUTS} are made"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
