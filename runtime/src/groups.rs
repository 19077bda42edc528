//! The consumer groups of one process: their members, generations and partition owners.

use std::collections::BTreeMap;

use crate::{
    log::{Membership, OwnedPartition},
    record::Partition,
};

/// All consumer groups, by name.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    groups: BTreeMap<String, Group>,
    /// The latest member id; ids are unique over all groups.
    latest_member: u64,
}

#[derive(Debug, Default)]
struct Group {
    /// The generation of the assignment.
    epoch: u64,
    members: Vec<u64>,
    /// The owner of each partition, and the generation since which it owns it.
    owners: Vec<(Option<u64>, u64)>,
}

impl Group {
    /// Begins a generation: assigns the partitions to the members in turn.
    fn assign(&mut self) {
        self.epoch += 1;
        let count = self.members.len();
        for (partition, owner) in self.owners.iter_mut().enumerate() {
            let next = if count == 0 { None } else { self.members.get(partition % count).copied() };
            if owner.0 != next {
                *owner = (next, self.epoch);
            }
        }
    }
}

impl Groups {
    /// Adds a member to a group and returns its id.
    pub(crate) fn join(&mut self, name: &str, partitions: u32) -> u64 {
        self.latest_member += 1;
        let group = self.groups.entry(name.into()).or_default();
        group.owners.resize(partitions as usize, (None, 0));
        group.members.push(self.latest_member);
        group.assign();
        self.latest_member
    }

    /// Removes a member from its group; a no-op if it is not a member.
    pub(crate) fn leave(&mut self, name: &str, member: u64) {
        if let Some(group) = self.groups.get_mut(name).filter(|group| group.members.contains(&member)) {
            group.members.retain(|m| *m != member);
            group.assign();
        }
    }

    /// Assigns the partitions again, after `order` has reordered the members.
    #[cfg(feature = "simulated")]
    pub(crate) fn shuffle(&mut self, name: &str, order: impl FnOnce(&mut Vec<u64>)) {
        if let Some(group) = self.groups.get_mut(name) {
            order(&mut group.members);
            group.assign();
        }
    }

    #[cfg(feature = "simulated")]
    pub(crate) fn is_member(&self, name: &str, member: u64) -> bool {
        self.groups.get(name).is_some_and(|group| group.members.contains(&member))
    }

    /// Returns the current generation, and the partitions that the member owns, each with the generation
    /// since which it does.
    pub(crate) fn assignment(&self, name: &str, member: u64) -> (u64, Vec<(u32, u64)>) {
        let Some(group) = self.groups.get(name) else { return (0, Vec::new()) };
        let owned = (0..).zip(&group.owners).filter(|(_, (owner, _))| *owner == Some(member));
        (group.epoch, owned.map(|(number, (_, since))| (number, *since)).collect())
    }

    /// Returns `true` if the member owns all of these partitions and its generation is the latest.
    pub(crate) fn may_commit(&self, membership: &Membership, offsets: &[(Partition, u64)]) -> bool {
        let Some(group) = self.groups.get(&membership.group) else { return false };
        group.epoch == membership.epoch
            && group.members.contains(&membership.member)
            && offsets.iter().all(|(partition, _)| {
                group
                    .owners
                    .get(partition.number as usize)
                    .is_some_and(|(o, _)| *o == Some(membership.member))
            })
    }
}

/// The positions of a member in the partitions that it owns.
#[derive(Debug)]
pub(crate) struct Positions {
    epoch: u64,
    owned: Vec<(u32, u64)>,
}

impl Positions {
    pub(crate) fn new() -> Self {
        Self { epoch: 0, owned: Vec::new() }
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Returns the partitions, each with the next offset to read.
    pub(crate) fn owned(&self) -> &[(u32, u64)] {
        &self.owned
    }

    /// Sets the next offset to read of a partition; a no-op if the member does not own it.
    pub(crate) fn advance(&mut self, number: u32, next: u64) {
        for (owned, position) in &mut self.owned {
            if *owned == number {
                *position = next;
            }
        }
    }

    /// Applies a new assignment, and returns the owned partitions. A partition that the member owned without
    /// interruption keeps its position. Any other begins at its committed offset, as another member may have
    /// consumed it.
    pub(crate) fn apply(
        &mut self,
        stream: &str,
        epoch: u64,
        assigned: &[(u32, u64)],
        committed: impl Fn(u32) -> u64,
    ) -> Vec<OwnedPartition> {
        let owned: Vec<OwnedPartition> = assigned
            .iter()
            .map(|(number, since)| {
                let kept = self.owned.iter().find(|(n, _)| n == number).filter(|_| *since <= self.epoch);
                OwnedPartition {
                    partition: Partition { stream: stream.into(), number: *number },
                    position: kept.map_or_else(|| committed(*number), |(_, position)| *position),
                    fresh: kept.is_none(),
                }
            })
            .collect();
        self.epoch = epoch;
        self.owned = owned.iter().map(|owned| (owned.partition.number, owned.position)).collect();
        owned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_went_away_and_came_back_begins_at_the_commit() {
        let mut groups = Groups::default();
        let first = groups.join("g", 2);
        let mut positions = Positions::new();
        let (epoch, assigned) = groups.assignment("g", first);
        positions.apply("s", epoch, &assigned, |_| 0);
        positions.advance(0, 7);
        positions.advance(1, 9);
        // A second member joins and leaves before the first one polls: it owned partition 1 in between.
        let second = groups.join("g", 2);
        groups.leave("g", second);
        let (epoch, assigned) = groups.assignment("g", first);
        let owned = positions.apply("s", epoch, &assigned, |_| 20);
        assert_eq!(owned.iter().map(|o| (o.position, o.fresh)).collect::<Vec<_>>(), [(7, false), (20, true)]);
    }
}
