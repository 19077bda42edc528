//! The keyed state of the partitions that a member owns.

use std::collections::BTreeMap;

/// How many records are read at once, and folded into one transaction. On a cluster, a transaction takes some tens of
/// milliseconds, however many records are in it.
pub(super) const BATCH: usize = 5000;

/// The states of a partition, by key.
pub(super) type States<S> = BTreeMap<Vec<u8>, S>;

/// A partition of the input, with the states of its keys.
pub(super) struct PartitionState<S> {
    pub(super) states: States<S>,
    /// The next offset to fold.
    pub(super) position: u64,
    /// True if the next record, or a state, was written by a newer Millrace: the partition waits for an upgrade of this process.
    pub(super) waits: bool,
}

/// The owned partitions, by number.
pub(super) type PartitionStates<S> = BTreeMap<u32, PartitionState<S>>;
