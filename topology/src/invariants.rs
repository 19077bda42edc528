//! What Millrace promises, named once. The same checks serve property tests, simulation and debug assertions.

use std::fmt;

use millrace_schemas::{Assembly, Merged, Phase, Started};

/// A promise, by the name that the design gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// Every source frame is in exactly one segment; frames out = frames in.
    Fr1,
    /// DTS strictly increase; each PTS is the source's within one tick of the output container.
    Ts1,
    /// Audio is continuous: samples out = samples in within one codec frame; no seam stands out.
    Au1,
    /// An upload publishes all of its segments or none.
    Sg1,
    /// A merge starts only when every segment of its renditions is there.
    Mg1,
    /// Exactly one merged record of an execution, and one whole file of each of its outputs, are ever visible.
    Mg2,
    /// An execution that did not succeed leaves no output of it visible.
    Mg3,
    /// An offset is committed only when what it caused is durable.
    Lg1,
    /// A redelivery changes nothing that a consumer can see.
    Lg2,
    /// An execution ends once, in one terminal record, whatever races it.
    Ex1,
    /// No work object outlives its execution, failed or not, past its time to live.
    Gc1,
    /// An upload reaches no byte but its own: no file, no host, no other execution.
    Se1,
    /// No principal reads, changes, names or overwrites what is another's.
    Ac1,
}

impl Invariant {
    /// The name, as the design has it.
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
        }
    }
}

/// A promise that was broken, and how.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// By what.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant.name(), self.what)
    }
}

/// Whether a promise was held.
pub type Held = Result<(), Violation>;

/// A violation unless the fact is there.
///
/// # Errors
/// The violation.
pub fn held(invariant: Invariant, fact: bool, what: impl FnOnce() -> String) -> Held {
    if fact { Ok(()) } else { Err(Violation { invariant, what: what() }) }
}

/// Panics in a debug build where a promise is broken; costs nothing in a release.
///
/// # Panics
/// See above.
pub fn debug_hold(check: impl FnOnce() -> Held) {
    if cfg!(debug_assertions)
        && let Err(violation) = check()
    {
        panic!("{violation}");
    }
}

/// FR-1: half-open ranges cover all of time once.
///
/// # Errors
/// Where they leave something out, or overlap.
pub fn covers_once(ranges: impl IntoIterator<Item = (Option<i64>, Option<i64>)>) -> Held {
    let mut last: Option<Option<i64>> = None;
    for (start, end) in ranges {
        let joins = match last {
            None => start.is_none(),
            Some(before) => before.is_some() && before == start,
        };
        held(Invariant::Fr1, joins, || format!("a range begins at {start:?} where {last:?} ended"))?;
        let long = start.zip(end).is_none_or(|(start, end)| start < end);
        held(Invariant::Fr1, long, || format!("the range from {start:?} to {end:?} is empty"))?;
        last = Some(end);
    }
    held(Invariant::Fr1, last == Some(None), || format!("the last range ends at {last:?}"))
}

/// FR-1: the pictures of an output are those of the source, each once and in order.
///
/// # Errors
/// Where one is missing, there twice, or elsewhere.
pub fn same_frames(source: &[i64], output: &[i64]) -> Held {
    let at = source.iter().zip(output).position(|(a, b)| a != b).unwrap_or(source.len().min(output.len()));
    held(Invariant::Fr1, source == output, || {
        format!("{} pictures in, {} out; they differ from number {at} on", source.len(), output.len())
    })
}

/// TS-1: times strictly increase.
///
/// # Errors
/// Where one does not.
pub fn strictly_increase(times: impl IntoIterator<Item = i64>) -> Held {
    let mut last = None;
    for time in times {
        held(Invariant::Ts1, last.is_none_or(|last| last < time), || format!("{time} follows {last:?}"))?;
        last = Some(time);
    }
    Ok(())
}

/// AU-1: as many samples come out as went in, within one codec frame.
///
/// # Errors
/// Where they don't.
pub fn as_many_samples(source: i64, output: i64, frame: i64) -> Held {
    held(Invariant::Au1, (source - output).abs() <= frame, || format!("{source} samples in, {output} out"))
}

/// SG-1: what was published together with a plan are all of its segments, each once.
///
/// # Errors
/// Where one is missing or there twice.
pub fn all_segments(plan: &Started, published: impl IntoIterator<Item = i32>) -> Held {
    let end = plan.tracks.iter().map(|track| track.first_segment + track.segments).max().unwrap_or(0);
    let mut published: Vec<i32> = published.into_iter().collect();
    published.sort_unstable();
    held(Invariant::Sg1, published.iter().copied().eq(0..end), || {
        format!("segments {published:?} of {end} were published with the plan of {}", plan.source.url)
    })
}

/// MG-1: what is asked to be merged is there.
///
/// # Errors
/// Where a segment is missing.
pub fn all_there(execution: &str, segments: i32, there: impl Fn(i32) -> bool) -> Held {
    let missing: Vec<i32> = (0..segments).filter(|index| !there(*index)).collect();
    held(Invariant::Mg1, missing.is_empty(), || format!("{execution} is merged without segments {missing:?}"))
}

/// MG-2: each attempt at an execution has one merged record.
///
/// # Errors
/// Where it has several.
pub fn merged_once<'a>(records: impl IntoIterator<Item = &'a Merged>) -> Held {
    let mut seen = std::collections::BTreeSet::new();
    for record in records {
        held(Invariant::Mg2, seen.insert((&record.execution, record.attempt)), || {
            format!("attempt {} at {} has two merged records", record.attempt, record.execution)
        })?;
    }
    Ok(())
}

/// MG-3: what is visible at a URL is of an attempt that succeeded. `end` is that of the attempt that made it, if it has ended.
///
/// # Errors
/// Where it is of one that did not.
pub fn nothing_visible(url: &str, end: Option<&Merged>) -> Held {
    let unsuccessful = end.filter(|end| end.state != Phase::Succeeded);
    held(Invariant::Mg3, unsuccessful.is_none(), || format!("{url} is there, and {unsuccessful:?}"))
}

/// LG-1: all records from the committed offset up to the next are done with.
///
/// # Errors
/// Where one of them is not.
pub fn done_up_to(committed: u64, next: u64, mut done: impl FnMut(u64) -> bool) -> Held {
    let open = (committed..next).find(|offset| !done(*offset));
    held(Invariant::Lg1, open.is_none(), || format!("{next} is committed while {open:?} is not done with"))
}

/// LG-2: what is told again changes nothing.
///
/// # Errors
/// Where the state differs, or something was published.
pub fn nothing_changed<S: PartialEq>(before: &S, after: &S, published: usize) -> Held {
    held(Invariant::Lg2, before == after && published == 0, || {
        format!("a redelivery changed the state or published {published} records")
    })
}

/// EX-1: what has ended stays as it is; only a later attempt begins anew.
///
/// # Errors
/// Where something came after the end.
pub fn stays_ended(before: &Assembly, after: Option<&Assembly>) -> Held {
    let stays =
        !before.is_terminal() || after.is_some_and(|after| after == before || after.attempt > before.attempt);
    held(Invariant::Ex1, stays, || {
        format!("attempt {} at {} had ended, and went on", before.attempt, before.execution)
    })
}

/// GC-1: no work objects are left.
///
/// # Errors
/// Where there are some.
pub fn nothing_left<T: fmt::Debug>(left: &[T]) -> Held {
    held(Invariant::Gc1, left.is_empty(), || format!("{} work objects are left: {left:?}", left.len()))
}

/// SE-1: what was reached is its own.
///
/// # Errors
/// Where it is another's.
pub fn its_own(execution: &str, reached: &str, own: &str) -> Held {
    held(Invariant::Se1, reached == own, || format!("{execution} reached {reached}; its own is {own}"))
}

/// AC-1: an execution that a principal gets is its own, unless it administers.
///
/// # Errors
/// Where it is another's.
pub fn its_principals(execution: &str, owner: &str, caller: &str, administers: bool) -> Held {
    held(Invariant::Ac1, owner == caller || administers, || {
        format!("'{caller}' got {execution}, which is that of '{owner}'")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_is_missing_or_there_twice_is_seen() {
        assert!(covers_once([(None, Some(3)), (Some(3), Some(5)), (Some(5), None)]).is_ok());
        assert!(covers_once([(None, None)]).is_ok());
        for broken in [
            vec![],
            vec![(None, Some(3))],
            vec![(Some(0), None)],
            vec![(None, Some(3)), (Some(4), None)],
            vec![(None, Some(3)), (Some(3), Some(3)), (Some(3), None)],
            vec![(None, None), (None, None)],
        ] {
            assert!(covers_once(broken.clone()).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn an_execution_of_another_principal_is_seen() {
        assert!(its_principals("x", "press", "press", false).is_ok());
        assert!(its_principals("x", "press", "", true).is_ok());
        assert!(its_principals("x", "press", "sport", false).is_err());
        assert!(its_principals("x", "", "sport", false).is_err());
    }

    #[test]
    fn pictures_and_times_out_of_order_are_seen() {
        assert!(same_frames(&[1, 2, 3], &[1, 2, 3]).is_ok());
        for broken in [&[1, 2][..], &[1, 2, 2, 3], &[1, 3, 2]] {
            assert!(same_frames(&[1, 2, 3], broken).is_err());
        }
        assert!(strictly_increase([1, 2]).is_ok());
        assert!(strictly_increase([1, 1]).is_err());
    }

    #[test]
    fn an_offset_past_open_work_is_seen() {
        assert!(done_up_to(2, 5, |offset| offset != 5).is_ok());
        let error = done_up_to(2, 5, |offset| offset != 3).unwrap_err();
        assert!(error.to_string().starts_with("LG-1"), "{error}");
    }
}
