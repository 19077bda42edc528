//! Consumer groups of one process: who owns which partitions, at which generation, and since when.

use std::collections::BTreeMap;

use crate::log::{Membership, Owned, Partition};

#[derive(Debug, Default)]
pub(crate) struct Groups {
    groups: BTreeMap<String, Group>,
    members: u64,
}

#[derive(Debug, Default)]
struct Group {
    epoch: u64,
    members: Vec<u64>,
    /// The owner of each partition, and the generation at which it became that.
    owners: Vec<(Option<u64>, u64)>,
}

impl Group {
    /// Begins a generation: partitions are dealt to members in their order.
    fn deal(&mut self) {
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
    pub(crate) fn join(&mut self, name: &str, partitions: u32) -> u64 {
        self.members += 1;
        let group = self.groups.entry(name.into()).or_default();
        group.owners.resize(partitions as usize, (None, 0));
        group.members.push(self.members);
        group.deal();
        self.members
    }

    pub(crate) fn leave(&mut self, name: &str, member: u64) {
        if let Some(group) = self.groups.get_mut(name).filter(|group| group.members.contains(&member)) {
            group.members.retain(|m| *m != member);
            group.deal();
        }
    }

    /// Deals the partitions anew, in another order of members.
    #[cfg(feature = "simulated")]
    pub(crate) fn shuffle(&mut self, name: &str, order: impl FnOnce(&mut Vec<u64>)) {
        if let Some(group) = self.groups.get_mut(name) {
            order(&mut group.members);
            group.deal();
        }
    }

    #[cfg(feature = "simulated")]
    pub(crate) fn is_member(&self, name: &str, member: u64) -> bool {
        self.groups.get(name).is_some_and(|group| group.members.contains(&member))
    }

    /// The generation, and what the member owns at it, each with the generation since which it does.
    pub(crate) fn assignment(&self, name: &str, member: u64) -> (u64, Vec<(u32, u64)>) {
        let Some(group) = self.groups.get(name) else { return (0, Vec::new()) };
        let owned = (0..).zip(&group.owners).filter(|(_, (owner, _))| *owner == Some(member));
        (group.epoch, owned.map(|(number, (_, since))| (number, *since)).collect())
    }

    /// Whether a member may commit these offsets: only at the latest generation, and only what it owns.
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

/// Where a member stands in the partitions that it owns.
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

    /// The partitions, each with the next offset to read.
    pub(crate) fn owned(&self) -> &[(u32, u64)] {
        &self.owned
    }

    pub(crate) fn advance(&mut self, number: u32, next: u64) {
        for (owned, position) in &mut self.owned {
            if *owned == number {
                *position = next;
            }
        }
    }

    /// Takes over a changed assignment. A partition that was owned all along keeps its position; one that came, or went
    /// and came back, begins at what is committed: another member may have gone on with it.
    pub(crate) fn take(
        &mut self,
        stream: &str,
        epoch: u64,
        assigned: &[(u32, u64)],
        committed: impl Fn(u32) -> u64,
    ) -> Vec<Owned> {
        let owned: Vec<Owned> = assigned
            .iter()
            .map(|(number, since)| {
                let kept = self.owned.iter().find(|(n, _)| n == number).filter(|_| *since <= self.epoch);
                Owned {
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
        positions.take("s", epoch, &assigned, |_| 0);
        positions.advance(0, 7);
        positions.advance(1, 9);
        // A second member comes and goes before the first one looks: partition 1 was its for a while.
        let second = groups.join("g", 2);
        groups.leave("g", second);
        let (epoch, assigned) = groups.assignment("g", first);
        let owned = positions.take("s", epoch, &assigned, |_| 20);
        assert_eq!(owned.iter().map(|o| (o.position, o.fresh)).collect::<Vec<_>>(), [(7, false), (20, true)]);
    }
}
