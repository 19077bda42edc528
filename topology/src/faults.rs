//! Faults that are planted on purpose, one at a time, so that simulation can show that it finds them. Only the feature
//! `faults` can plant one, and nothing that is released has it.

#[cfg(feature = "faults")]
use std::sync::atomic::{AtomicUsize, Ordering};

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Offsets are committed before what they caused is published.
    CommitBeforePublish,
    /// The fold counts a segment as often as it is told of it.
    NoDedup,
    /// The latest finished offset is committed, whatever is still at work before it.
    OffsetOutOfOrder,
    /// A partition that went away and came back is taken for one that stayed.
    LostRevoke,
    /// Work objects of an execution that is at work are swept.
    CleanupTooEarly,
    /// What comes after the end of an execution is folded like all else.
    DoubleMerge,
    /// A merge is asked for when one segment is still missing.
    MergeTooEarly,
    /// A partition is consumed without its state.
    NoRestore,
    /// State is restored only as far as it can be read at once.
    RestoreStopsEarly,
    /// A transaction whose acknowledgement was lost is committed again without a look.
    LostAckRepeated,
    /// What an aborted transaction held is forgotten.
    AbortForgets,
    /// Segments are published in two transactions.
    HalfPlan,
    /// The facts of segments that were made again are counted, too.
    ReplacedStillCounted,
    /// What merges of an earlier round report is folded like what those of this round do.
    OldRoundCounts,
    /// What was published stays, where another output of its execution could not be.
    PublishedStays,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::CommitBeforePublish,
        Self::NoDedup,
        Self::OffsetOutOfOrder,
        Self::LostRevoke,
        Self::CleanupTooEarly,
        Self::DoubleMerge,
        Self::MergeTooEarly,
        Self::NoRestore,
        Self::RestoreStopsEarly,
        Self::LostAckRepeated,
        Self::AbortForgets,
        Self::HalfPlan,
        Self::ReplacedStillCounted,
        Self::OldRoundCounts,
        Self::PublishedStays,
    ];

    /// Whether this fault is the one that is planted. Always false without the feature.
    #[must_use]
    #[inline]
    pub fn is_planted(self) -> bool {
        #[cfg(feature = "faults")]
        return PLANTED.load(Ordering::Relaxed) == self as usize + 1;
        #[cfg(not(feature = "faults"))]
        false
    }
}

#[cfg(feature = "faults")]
static PLANTED: AtomicUsize = AtomicUsize::new(0);

/// Plants a fault in place of the one before; `None` removes it.
#[cfg(feature = "faults")]
pub fn plant(fault: Option<Fault>) {
    PLANTED.store(fault.map_or(0, |fault| fault as usize + 1), Ordering::Relaxed);
}
