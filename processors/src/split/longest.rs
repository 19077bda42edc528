//! Sources that are longer than a format can count. Pure.

use millrace_formats::Container;
use millrace_schemas::SourceFacts;

/// Refuses a source that one of the formats has no times for.
///
/// # Errors
/// Says which format, for how long it has times, and what to do.
pub(super) fn check<'a>(
    facts: &SourceFacts,
    mut formats: impl Iterator<Item = &'a Container>,
) -> Result<(), String> {
    let pictures = facts
        .video
        .iter()
        .map(|video| video.end.saturating_sub(video.first) as f64 * video.picture.time_base.as_f64());
    let seconds = pictures.chain(facts.audio.iter().map(|sound| sound.seconds)).fold(0.0, f64::max);
    let short = |format: &&Container| format.index.longest_seconds().is_some_and(|longest| seconds > longest);
    let Some(format) = formats.find(short) else { return Ok(()) };
    let hours = |seconds: f64| format!("{:.1} h", seconds / 3600.0);
    let longest = format.index.longest_seconds().map(hours).unwrap_or_default();
    Err(format!(
        "{} counts times for {longest}, and the source is {} long; ask for another format, or cut the source first",
        format.name,
        hours(seconds)
    ))
}

#[cfg(test)]
mod tests {
    use millrace_formats::CONTAINERS;
    use millrace_schemas::{AudioTrack, Sound};

    use super::*;

    #[test]
    fn a_source_of_more_than_a_day_is_refused_by_the_format_whose_times_come_round() {
        let facts = |hours: f64| SourceFacts {
            audio: vec![AudioTrack {
                sound: Sound { sample_rate: 48_000, channels: 2, layout: String::new() },
                seconds: hours * 3600.0,
                ..AudioTrack::default()
            }],
            ..SourceFacts::default()
        };
        let refused = |hours| check(&facts(hours), CONTAINERS.iter().copied()).err();
        assert_eq!(refused(26.4), None);
        let reason = refused(27.0).unwrap();
        assert_eq!(
            reason,
            "ts counts times for 26.5 h, and the source is 27.0 h long; ask for another format, or cut the source first"
        );
        let others = CONTAINERS.iter().copied().filter(|format| format.index.longest_seconds().is_none());
        assert_eq!(check(&facts(100.0), others), Ok(()));
    }
}
