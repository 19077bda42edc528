//! The invariants of Millrace, each with its check. Property tests, the simulation and debug assertions call
//! the same checks.

use std::fmt;

use millrace_schemas::{Assembly, Merged, Phase, Started};

/// An invariant. Its name is that of the design.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// Each source frame is in exactly one segment, and the output has as many frames as the source.
    Fr1,
    /// Decode times strictly increase, and each presentation time is the source's within one tick of the
    /// output container.
    Ts1,
    /// Audio is continuous: the output has as many samples as the source within one codec frame, and no seam
    /// is audible.
    Au1,
    /// An upload publishes all of its segments or none.
    Sg1,
    /// A merge starts only after all segments of its renditions exist.
    Mg1,
    /// An execution has exactly one visible merged record, and each of its outputs is one whole file.
    Mg2,
    /// An execution that did not succeed has no visible output.
    Mg3,
    /// An offset is committed only after the results of the records before it are durable.
    Lg1,
    /// A redelivery changes nothing that a consumer can observe.
    Lg2,
    /// An execution ends once, with one terminal record, whatever happens concurrently.
    Ex1,
    /// No work object exists longer than its execution plus its time to live.
    Gc1,
    /// An upload reads no bytes but its own: no other file, host or execution.
    Se1,
    /// No principal reads, changes, names or overwrites what belongs to another.
    Ac1,
    /// An execution is made, wholly, by the profile version that it was accepted with.
    Pr1,
    /// A package is visible whole or not at all.
    Pk1,
}

impl Invariant {
    /// Returns the name in the design, as in "FR-1".
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fr1 => "FR-1",
            Self::Ts1 => "TS-1",
            Self::Au1 => "AU-1",
            Self::Sg1 => "SG-1",
            Self::Mg1 => "MG-1",
            Self::Mg2 => "MG-2",
            Self::Mg3 => "MG-3",
            Self::Lg1 => "LG-1",
            Self::Lg2 => "LG-2",
            Self::Ex1 => "EX-1",
            Self::Gc1 => "GC-1",
            Self::Se1 => "SE-1",
            Self::Ac1 => "AC-1",
            Self::Pr1 => "PR-1",
            Self::Pk1 => "PK-1",
        }
    }
}

/// A violated invariant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Violation {
    /// The invariant.
    pub invariant: Invariant,
    /// What violates it.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant.name(), self.detail)
    }
}

/// The result of a check.
pub type CheckResult = Result<(), Violation>;

/// Returns a [`Violation`] if the condition is false.
///
/// # Errors
/// Fails with the violation.
pub fn ensure(invariant: Invariant, condition: bool, detail: impl FnOnce() -> String) -> CheckResult {
    if condition { Ok(()) } else { Err(Violation { invariant, detail: detail() }) }
}

/// Runs a check in a debug build; a no-op in a release build.
///
/// # Panics
/// Panics if the check returns a violation.
pub fn debug_check(check: impl FnOnce() -> CheckResult) {
    if cfg!(debug_assertions)
        && let Err(violation) = check()
    {
        panic!("{violation}");
    }
}

/// Checks FR-1: half-open ranges cover all of time once.
///
/// # Errors
/// Fails if there is a gap or an overlap, or if a range is empty.
pub fn check_ranges(ranges: impl IntoIterator<Item = (Option<i64>, Option<i64>)>) -> CheckResult {
    let mut last: Option<Option<i64>> = None;
    for (start, end) in ranges {
        let is_adjacent = match last {
            None => start.is_none(),
            Some(before) => before.is_some() && before == start,
        };
        ensure(Invariant::Fr1, is_adjacent, || format!("a range begins at {start:?} where {last:?} ended"))?;
        let is_not_empty = start.zip(end).is_none_or(|(start, end)| start < end);
        ensure(Invariant::Fr1, is_not_empty, || format!("the range from {start:?} to {end:?} is empty"))?;
        last = Some(end);
    }
    ensure(Invariant::Fr1, last == Some(None), || format!("the last range ends at {last:?}"))
}

/// Checks FR-1: the presentation times of an output's pictures are those of the source, each once and in
/// order.
///
/// # Errors
/// Fails if one is missing, duplicated or out of order.
pub fn check_frames(source: &[i64], output: &[i64]) -> CheckResult {
    let at = source.iter().zip(output).position(|(a, b)| a != b).unwrap_or(source.len().min(output.len()));
    ensure(Invariant::Fr1, source == output, || {
        format!("{} pictures in, {} out; they differ from number {at} on", source.len(), output.len())
    })
}

/// Checks TS-1: times strictly increase.
///
/// # Errors
/// Fails if a time is not greater than the one before.
pub fn check_increasing(times: impl IntoIterator<Item = i64>) -> CheckResult {
    let mut last = None;
    for time in times {
        ensure(Invariant::Ts1, last.is_none_or(|last| last < time), || format!("{time} follows {last:?}"))?;
        last = Some(time);
    }
    Ok(())
}

/// Checks AU-1: the numbers of samples in the source and in the output differ by at most one codec frame of
/// `frame` samples.
///
/// # Errors
/// Fails if they differ by more.
pub fn check_samples(source: i64, output: i64, frame: i64) -> CheckResult {
    ensure(Invariant::Au1, (source - output).abs() <= frame, || format!("{source} samples in, {output} out"))
}

/// Checks SG-1: the segments published together with a plan are all of its segments, each once.
///
/// # Errors
/// Fails if one is missing or duplicated.
pub fn check_plan(plan: &Started, published: impl IntoIterator<Item = i32>) -> CheckResult {
    let end = plan.tracks.iter().map(|track| track.first_segment + track.segments).max().unwrap_or(0);
    let mut published: Vec<i32> = published.into_iter().collect();
    published.sort_unstable();
    ensure(Invariant::Sg1, published.iter().copied().eq(0..end), || {
        format!("segments {published:?} of {end} were published with the plan of {}", plan.source.url)
    })
}

/// Checks MG-1: all segments of a merge exist.
///
/// # Errors
/// Fails if a segment is missing.
pub fn check_merge_inputs(execution: &str, segments: i32, exists: impl Fn(i32) -> bool) -> CheckResult {
    let missing: Vec<i32> = (0..segments).filter(|index| !exists(*index)).collect();
    ensure(Invariant::Mg1, missing.is_empty(), || {
        format!("{execution} is merged without segments {missing:?}")
    })
}

/// Checks MG-2: each attempt at an execution has at most one merged record.
///
/// # Errors
/// Fails if an attempt has several.
pub fn check_merged_once<'a>(records: impl IntoIterator<Item = &'a Merged>) -> CheckResult {
    let mut seen = std::collections::BTreeSet::new();
    for record in records {
        ensure(Invariant::Mg2, seen.insert((&record.execution, record.attempt)), || {
            format!("attempt {} at {} has two merged records", record.attempt, record.execution)
        })?;
    }
    Ok(())
}

/// Checks MG-3: a visible output was made by an attempt that succeeded. `end` is the end of the attempt that
/// made it, if it has ended.
///
/// # Errors
/// Fails if the attempt has ended without success.
pub fn check_visible_output(url: &str, end: Option<&Merged>) -> CheckResult {
    let unsuccessful = end.filter(|end| end.state != Phase::Succeeded);
    ensure(Invariant::Mg3, unsuccessful.is_none(), || format!("{url} is there, and {unsuccessful:?}"))
}

/// Checks LG-1: all records from the committed offset up to `next` are done.
///
/// # Errors
/// Fails if one of them is not done.
pub fn check_done_up_to(committed: u64, next: u64, mut done: impl FnMut(u64) -> bool) -> CheckResult {
    let open = (committed..next).find(|offset| !done(*offset));
    ensure(Invariant::Lg1, open.is_none(), || format!("{next} is committed while {open:?} is not done"))
}

/// Checks LG-2: a redelivery changes no state and publishes no record.
///
/// # Errors
/// Fails if the state differs, or if a record was published.
pub fn check_redelivery<S: PartialEq>(before: &S, after: &S, published: usize) -> CheckResult {
    ensure(Invariant::Lg2, before == after && published == 0, || {
        format!("a redelivery changed the state or published {published} records")
    })
}

/// Checks EX-1: the state of an ended attempt does not change; only a later attempt replaces it.
///
/// # Errors
/// Fails if the state changed after its end.
pub fn check_stays_ended(before: &Assembly, after: Option<&Assembly>) -> CheckResult {
    let is_unchanged =
        !before.is_terminal() || after.is_some_and(|after| after == before || after.attempt > before.attempt);
    ensure(Invariant::Ex1, is_unchanged, || {
        format!("attempt {} at {} changed after its end", before.attempt, before.execution)
    })
}

/// Checks GC-1: no work objects are left.
///
/// # Errors
/// Fails if there are any.
pub fn check_nothing_left<T: fmt::Debug>(left: &[T]) -> CheckResult {
    ensure(Invariant::Gc1, left.is_empty(), || format!("{} work objects are left: {left:?}", left.len()))
}

/// Checks SE-1: an execution read its own source.
///
/// # Errors
/// Fails if it is another's.
pub fn check_own_source(execution: &str, read: &str, own: &str) -> CheckResult {
    ensure(Invariant::Se1, read == own, || format!("{execution} read {read}; its own source is {own}"))
}

/// Checks AC-1: a principal gets only its own executions, unless it administers.
///
/// # Errors
/// Fails if it is another's.
pub fn check_principal(execution: &str, owner: &str, caller: &str, administers: bool) -> CheckResult {
    ensure(Invariant::Ac1, owner == caller || administers, || {
        format!("'{caller}' got {execution}, which belongs to '{owner}'")
    })
}

/// Checks PR-1: a plan asks for the profile of a record that was accepted for its attempt. Both are whole profiles, or names that
/// were not found; `None` is an upload that asks for formats.
///
/// # Errors
/// Fails if no such record has this profile.
pub fn check_profile<'a>(
    execution: &str,
    accepted: impl IntoIterator<Item = Option<&'a str>>,
    planned: Option<&str>,
) -> CheckResult {
    let is_accepted = accepted.into_iter().any(|profile| profile == planned);
    ensure(Invariant::Pr1, is_accepted, || {
        format!("{execution} is planned by a profile that it was not accepted with: {planned:?}")
    })
}

/// Checks PR-1: what is joined are renditions of one plan. `used` are ids of renditions, which differ wherever settings do.
///
/// # Errors
/// Fails if one is of another plan.
pub fn check_renditions<'a>(
    execution: &str,
    used: impl IntoIterator<Item = &'a str>,
    mut is_planned: impl FnMut(&str) -> bool,
) -> CheckResult {
    let other = used.into_iter().find(|rendition| !is_planned(rendition));
    ensure(Invariant::Pr1, other.is_none(), || {
        format!("{execution} is made with rendition {other:?}, which is not of its plan")
    })
}

/// Checks PK-1: everything that a visible manifest names is there. Besides objects, the main manifest names the other manifests.
///
/// # Errors
/// Fails if something is missing.
pub fn check_package<'a>(
    manifest: &str,
    named: impl IntoIterator<Item = &'a str>,
    mut is_there: impl FnMut(&str) -> bool,
) -> CheckResult {
    let missing = named.into_iter().find(|name| !is_there(name));
    ensure(Invariant::Pk1, missing.is_none(), || format!("{manifest} is visible without {missing:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_that_names_what_is_not_there_is_found() {
        let is_there = |name: &str| name != "00002.m4s";
        assert!(check_package("master.m3u8", ["00001.m4s"], is_there).is_ok());
        let error = check_package("master.m3u8", ["00001.m4s", "00002.m4s"], is_there).unwrap_err();
        assert!(error.to_string().starts_with("PK-1"), "{error}");
    }

    #[test]
    fn a_profile_or_a_rendition_that_was_not_accepted_is_found() {
        assert!(check_profile("x", [Some("a"), Some("b")], Some("b")).is_ok());
        assert!(check_profile("x", [None], None).is_ok());
        for (accepted, planned) in
            [(vec![Some("a")], Some("b")), (vec![Some("a")], None), (vec![], Some("a"))]
        {
            let error = check_profile("x", accepted, planned).unwrap_err();
            assert!(error.to_string().starts_with("PR-1"), "{error}");
        }
        assert!(check_renditions("x", ["v", "a"], |rendition| ["a", "v"].contains(&rendition)).is_ok());
        assert!(check_renditions("x", ["v", "a"], |rendition| rendition == "v").is_err());
    }

    #[test]
    fn a_gap_and_an_overlap_of_ranges_are_found() {
        assert!(check_ranges([(None, Some(3)), (Some(3), Some(5)), (Some(5), None)]).is_ok());
        assert!(check_ranges([(None, None)]).is_ok());
        for broken in [
            vec![],
            vec![(None, Some(3))],
            vec![(Some(0), None)],
            vec![(None, Some(3)), (Some(4), None)],
            vec![(None, Some(3)), (Some(3), Some(3)), (Some(3), None)],
            vec![(None, None), (None, None)],
        ] {
            assert!(check_ranges(broken.clone()).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn an_execution_of_another_principal_is_found() {
        assert!(check_principal("x", "press", "press", false).is_ok());
        assert!(check_principal("x", "press", "", true).is_ok());
        assert!(check_principal("x", "press", "sport", false).is_err());
        assert!(check_principal("x", "", "sport", false).is_err());
    }

    #[test]
    fn pictures_and_times_out_of_order_are_found() {
        assert!(check_frames(&[1, 2, 3], &[1, 2, 3]).is_ok());
        for broken in [&[1, 2][..], &[1, 2, 2, 3], &[1, 3, 2]] {
            assert!(check_frames(&[1, 2, 3], broken).is_err());
        }
        assert!(check_increasing([1, 2]).is_ok());
        assert!(check_increasing([1, 1]).is_err());
    }

    #[test]
    fn an_offset_past_an_open_record_is_found() {
        assert!(check_done_up_to(2, 5, |offset| offset != 5).is_ok());
        let error = check_done_up_to(2, 5, |offset| offset != 3).unwrap_err();
        assert!(error.to_string().starts_with("LG-1"), "{error}");
    }
}
