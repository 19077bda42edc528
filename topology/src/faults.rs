//! Faults that are planted on purpose, one at a time, to prove that the simulation finds them. Only the
//! feature `faults` can plant one, and no release is built with it.

#[cfg(feature = "faults")]
use std::sync::atomic::{AtomicUsize, Ordering};

/// A fault that can be planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Offsets are committed before the results of their records are published.
    CommitBeforePublish,
    /// The fold counts a segment again on each redelivery of its outcome.
    NoDedup,
    /// The latest finished offset is committed although earlier records are in flight.
    OffsetOutOfOrder,
    /// A partition that was revoked and reassigned is treated as owned without interruption.
    LostRevoke,
    /// The sweep removes work objects of running executions.
    CleanupTooEarly,
    /// Signals after the end of an execution are folded like others.
    DoubleMerge,
    /// A merge is requested while one segment is missing.
    MergeTooEarly,
    /// A partition is consumed without restoring its state.
    NoRestore,
    /// A restore stops at the first open transaction.
    RestoreStopsEarly,
    /// A transaction whose acknowledgement was lost is committed again without reading the committed offsets.
    LostAckRepeated,
    /// The records of an aborted transaction are dropped.
    AbortForgets,
    /// Segments are published in two transactions.
    HalfPlan,
    /// The facts of replaced segments are counted too.
    ReplacedStillCounted,
    /// Outcomes of merges of an earlier round are folded like those of the current one.
    OldRoundCounts,
    /// Published outputs are not withdrawn if another output of the execution can't be published.
    PublishedStays,
    /// The profile that an upload names is looked up when the upload is split, not when it is accepted.
    ProfilePinnedLate,
    /// The plan of an upload that was accepted again replaces the one that is being made.
    LaterPlanTaken,
    /// The main manifest of a package appears before the other manifests.
    MainManifestFirst,
    /// The objects of a package are removed before its manifests.
    ObjectsRemovedFirst,
    /// Each staging of a package puts its objects into the same folder.
    FolderShared,
}

impl Fault {
    /// All faults.
    pub const ALL: [Self; 20] = [
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
        Self::ProfilePinnedLate,
        Self::LaterPlanTaken,
        Self::MainManifestFirst,
        Self::ObjectsRemovedFirst,
        Self::FolderShared,
    ];

    /// Returns `true` if this fault is planted. Always `false` without the feature `faults`.
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

/// Plants a fault and removes the one planted before; `None` only removes it.
#[cfg(feature = "faults")]
pub fn plant(fault: Option<Fault>) {
    PLANTED.store(fault.map_or(0, |fault| fault as usize + 1), Ordering::Relaxed);
}
