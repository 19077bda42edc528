//! Checks how an output is divided that is a package.

use millrace_formats::{Container, Tables};

use crate::{
    bounds::SEGMENTS,
    division::{Division, USUAL_SEGMENT},
    problems::Problems,
    profile::Output,
};

/// The values of `files`.
pub(crate) const FILES: [&str; 2] = ["many", "single"];

/// Returns how a package is divided; `None` for a file. `interval` is the time between keyframes that its pictures ask for.
pub(super) fn division(
    (tables, container): (&Tables, &Container),
    key: &str,
    output: &Output,
    interval: Option<f64>,
    problems: &mut Problems,
) -> Option<Division> {
    if container.package().is_none() {
        let packages = tables.containers.iter().filter(|other| other.package().is_some());
        let names: Vec<&str> = packages.map(|other| other.name).collect();
        let (last, others) = names.split_last()?;
        let names = format!("{} or {last}", others.join(", "));
        for (name, is_set) in [
            ("segment", output.segment.is_some()),
            ("files", output.files.is_some()),
            ("encryption", output.encryption.is_some()),
        ] {
            if is_set {
                problems
                    .add(format!("{key}.{name}"), format!("{} is one file; ask for {names}", container.name));
            }
        }
        return None;
    }
    let segment_seconds = output.segment.map_or(USUAL_SEGMENT, |seconds| seconds.0);
    problems.within(format!("{key}.segment"), Some(segment_seconds), SEGMENTS, " seconds");
    let files = output.files.as_deref().unwrap_or(FILES[0]);
    if !FILES.contains(&files) {
        problems.add(format!("{key}.files"), format!("'{files}' is unknown; set many or single"));
    }
    let division = Division { segment_seconds, single: files == FILES[1] };
    if let Some(interval) = interval.filter(|interval| *interval > 0.0 && !division.is_divided_by(*interval))
    {
        let [whole, half, quarter] = [1.0, 2.0, 4.0].map(|parts| segment_seconds / parts);
        problems.add(
            format!("{key}.segment"),
            format!(
                "segments of {segment_seconds} seconds can't all begin with keyframes that are {interval} seconds apart; \
                 set keyframe_interval to {whole}, {half} or {quarter} seconds, or leave it out"
            ),
        );
    }
    Some(division)
}
