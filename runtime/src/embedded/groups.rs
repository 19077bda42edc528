//! Consumer groups of one process: who owns which partitions, at which generation.

use std::collections::HashMap;

#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: HashMap<String, Group>,
    members: u64,
}

#[derive(Debug, Default)]
struct Group {
    epoch: u64,
    partitions: u32,
    members: Vec<u64>,
}

impl Group {
    /// Partitions are dealt to members in the order in which they joined.
    fn owner(&self, partition: u32) -> Option<u64> {
        let members = u32::try_from(self.members.len()).ok().filter(|n| *n > 0)?;
        self.members.get((partition % members) as usize).copied()
    }
}

impl Groups {
    pub(super) fn join(&mut self, name: &str, partitions: u32) -> u64 {
        self.members += 1;
        let group = self.groups.entry(name.into()).or_default();
        group.partitions = partitions;
        group.members.push(self.members);
        group.epoch += 1;
        self.members
    }

    pub(super) fn leave(&mut self, name: &str, member: u64) {
        if let Some(group) = self.groups.get_mut(name) {
            group.members.retain(|m| *m != member);
            group.epoch += 1;
        }
    }

    pub(super) fn assignment(&self, name: &str, member: u64) -> (u64, Vec<u32>) {
        let Some(group) = self.groups.get(name) else { return (0, Vec::new()) };
        let owned = (0..group.partitions).filter(|p| group.owner(*p) == Some(member)).collect();
        (group.epoch, owned)
    }

    pub(super) fn owns(&self, name: &str, member: u64, epoch: u64, partition: u32) -> bool {
        self.groups
            .get(name)
            .is_some_and(|group| group.epoch == epoch && group.owner(partition) == Some(member))
    }
}
