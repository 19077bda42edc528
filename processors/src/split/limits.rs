//! Holds uploads to their principals, whichever way they came.

use millrace_access::{Access, Asked, Location, Purpose};
use millrace_schemas::{SourceRef, Upload, output_prefix, output_url};
use millrace_topology::ports::SourceFacts;

use super::{at_work::AtWork, plan::Plan};

/// Holds the source's URL and those of all outputs to what the principal may reach: before anything is looked at.
///
/// # Errors
/// Where it may not, or there is no such principal, with the setting that would allow it.
pub(super) fn places(access: &Access, upload: &Upload, source: &str) -> Result<(), String> {
    let principal = access.principal(&upload.principal)?;
    if principal.reaches_everything() {
        // What the ports can't reach they refuse themselves; simulation's have URLs of their own.
        return Ok(());
    }
    let parse = |url: &str| Location::parse(url).map_err(|error| error.to_string());
    principal.check(Purpose::Source, &parse(source)?)?;
    let prefix = output_prefix(upload, source)?;
    for format in &upload.dst_formats {
        principal.check(Purpose::Output, &parse(&output_url(&prefix, source, format))?)?;
    }
    Ok(())
}

/// Holds a source to the largest that the principal may use.
pub(super) fn size(access: &Access, upload: &Upload, source: &SourceRef) -> Result<(), String> {
    let asked = Asked { bytes: source.bytes.unsigned_abs(), ..Asked::default() };
    access.principal(&upload.principal)?.limits.check(&asked)
}

/// Holds an execution that begins to how many of its principal's may be at work.
pub(super) fn at_once(
    access: &Access,
    upload: &Upload,
    execution: &str,
    at_work: &AtWork,
    now_ms: i64,
) -> Result<(), String> {
    let principal = access.principal(&upload.principal)?;
    let Some(most) = principal.limits.at_once else { return Ok(()) };
    at_work.begin(&upload.principal, execution, most, now_ms)
}

/// Holds what a source contains, and what is to be made of it, to the principal's limits.
pub(super) fn contents(
    access: &Access,
    upload: &Upload,
    source: &SourceRef,
    facts: &SourceFacts,
    plan: &Plan,
) -> Result<(), String> {
    let principal = access.principal(&upload.principal)?;
    let video = facts.video.as_ref();
    let pixels = video.map_or(0, |video| {
        let of = |width: i32, height: i32| u64::from(width.unsigned_abs()) * u64::from(height.unsigned_abs());
        let decoded = video.shape.as_ref().map_or(0, |shape| of(shape.width, shape.height));
        decoded.max(of(video.settings.width, video.settings.height))
    });
    let pictures = video.map_or(0.0, |video| {
        let base = &video.settings.time_base;
        video.end.saturating_sub(video.first) as f64 * f64::from(base.num) / f64::from(base.den.max(1))
    });
    let asked = Asked {
        bytes: source.bytes.unsigned_abs(),
        pixels,
        duration_seconds: facts.sounds.iter().map(|sound| sound.seconds).fold(pictures, f64::max),
        streams: video.map_or(0, |video| 1 + video.also.len())
            + facts.sounds.iter().map(|sound| 1 + sound.also.len()).sum::<usize>()
            + facts.sides.len(),
        segments: plan.segments.len(),
    };
    principal.limits.check(&asked)
}
