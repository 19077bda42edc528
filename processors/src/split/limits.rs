//! Checks of an upload against what its principal may read, write and use.

use millrace_access::{Access, Location, Purpose, UploadUsage};
use millrace_schemas::{SourceFacts, SourceRef, Upload, output_prefix};

use super::plan::Plan;
use crate::{request, running::RunningExecutions};

/// Checks that the principal may read the source's URL and write all outputs. Nothing is opened yet.
///
/// # Errors
/// If it may not, or if there is no such principal, with the setting that allows it.
pub(super) fn check_locations(access: &Access, upload: &Upload, source: &str) -> Result<(), String> {
    let principal = access.principal(&upload.principal)?;
    if principal.reaches_everything() {
        // The ports refuse URLs that they can't open. Those of the simulation can't be parsed.
        return Ok(());
    }
    let parse = |url: &str| Location::parse(url).map_err(|error| error.to_string());
    principal.check(Purpose::Source, &parse(source)?)?;
    for (_, asset) in request::assets(upload) {
        principal.check(Purpose::Source, &parse(&asset.url)?)?;
    }
    for url in request::key_urls(upload) {
        principal.check(Purpose::Source, &parse(&url)?)?;
    }
    let prefix = output_prefix(upload, source)?;
    for output in request::wanted(upload)?.outputs {
        for url in output.output_urls(&prefix, source) {
            principal.check(Purpose::Output, &parse(&url)?)?;
        }
    }
    Ok(())
}

/// Checks the size of the source.
///
/// # Errors
/// If the source is larger than the principal's limit.
pub(super) fn check_size(access: &Access, upload: &Upload, source: &SourceRef) -> Result<(), String> {
    let asked = UploadUsage { bytes: source.bytes.unsigned_abs(), ..UploadUsage::default() };
    access.principal(&upload.principal)?.limits.check(&asked)
}

/// Checks the number of the principal's running executions, and adds this one.
///
/// # Errors
/// If as many others are running as the principal's limit allows.
pub(super) fn begin_execution(
    access: &Access,
    upload: &Upload,
    execution: &str,
    running: &RunningExecutions,
    now_ms: i64,
) -> Result<(), String> {
    let principal = access.principal(&upload.principal)?;
    let Some(most) = principal.limits.at_once else { return Ok(()) };
    running.begin(&upload.principal, execution, most, now_ms)
}

/// Checks the contents of the source and the plan.
///
/// # Errors
/// If pixels, duration, streams or segments are more than the principal's limits.
pub(super) fn check_contents(
    access: &Access,
    upload: &Upload,
    source: &SourceRef,
    facts: &SourceFacts,
    plan: &Plan,
) -> Result<(), String> {
    let principal = access.principal(&upload.principal)?;
    let video = facts.video.as_ref();
    let pixels = video.map_or(0, |video| {
        let pixels =
            |width: i32, height: i32| u64::from(width.unsigned_abs()) * u64::from(height.unsigned_abs());
        let decoded = video.shape.as_ref().map_or(0, |shape| pixels(shape.width, shape.height));
        decoded.max(pixels(video.picture.width, video.picture.height))
    });
    let video_seconds = video.map_or(0.0, |video| {
        let base = &video.picture.time_base;
        video.end.saturating_sub(video.first) as f64 * f64::from(base.num) / f64::from(base.den.max(1))
    });
    let asked = UploadUsage {
        bytes: source.bytes.unsigned_abs(),
        pixels,
        duration_seconds: facts.audio.iter().map(|sound| sound.seconds).fold(video_seconds, f64::max),
        streams: video.map_or(0, |video| 1 + video.more_streams.len())
            + facts.audio.iter().map(|sound| 1 + sound.more_streams.len()).sum::<usize>()
            + facts.auxiliary.len(),
        segments: plan.segments.len(),
    };
    principal.limits.check(&asked)
}

#[cfg(test)]
mod tests {
    use millrace_access::{Principal, Reach};

    use super::*;

    #[test]
    fn a_principal_needs_to_be_allowed_to_read_what_a_profile_names() {
        let reach =
            |roots: &[&str]| Reach::Only(roots.iter().map(|root| Location::parse(root).unwrap()).collect());
        let principal = Principal::default_of(reach(&["s3://in", "s3://brand"]), reach(&["s3://out"]));
        let access = Access::of(principal, Vec::new()).unwrap();
        let check = |image: &str| {
            let profile = format!(
                r#"{{"output": [{{"format": "mp4"}}], "video": {{"a": {{"codec": "h264", "watermark": {image}}}}}}}"#
            );
            let upload = Upload { profile: Some(profile), ..Upload::of("s3://in/a.mov", "s3://out") };
            check_locations(&access, &upload, "s3://in/a.mov")
        };
        assert_eq!(check(r#"{"image": "s3://brand/l.png"}"#), Ok(()));
        assert!(check(r#"{"image": "s3://other/l.png"}"#).is_err());
        assert!(check(r#"{"image": "file:///etc/passwd"}"#).is_err());
        let pinned = r#"{"image": {"url": "s3://other/l.png", "version": "1", "bytes": 1}}"#;
        assert!(check(pinned).is_err(), "pinned or not");
    }

    #[test]
    fn a_principal_needs_to_be_allowed_to_read_the_keys_that_a_profile_names() {
        let reach =
            |roots: &[&str]| Reach::Only(roots.iter().map(|root| Location::parse(root).unwrap()).collect());
        let principal = Principal::default_of(reach(&["s3://in", "https://keys/a"]), reach(&["s3://out"]));
        let access = Access::of(principal, Vec::new()).unwrap();
        let check = |key: &str| {
            let profile = format!(
                r#"{{"output": [{{"format": "hls", "encryption":
                    {{"method": "aes-128", "key": "{key}", "uri": "https://k"}}}}]}}"#
            );
            let upload = Upload { profile: Some(profile), ..Upload::of("s3://in/a.mov", "s3://out") };
            check_locations(&access, &upload, "s3://in/a.mov")
        };
        assert_eq!(check("https://keys/a/film"), Ok(()));
        assert_eq!(check("film"), Ok(()), "one of the settings");
        assert!(check("https://keys/b/film").is_err());
        assert!(check("file:///etc/key").is_err());
    }
}
