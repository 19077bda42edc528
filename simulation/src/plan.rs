//! The plan of a run. It follows from the seed, and each part can be reduced to find the smallest run that
//! still fails.

use std::fmt;

use fastrand::Rng;

/// A kind of injected fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InjectedFault {
    /// Processes die, at any step.
    Crash,
    /// Processes pause, longer than their session too, and continue.
    Pause,
    /// Processes drain, end and start again.
    Restart,
    /// Consumer groups are rebalanced.
    Rebalance,
    /// Transactions are aborted.
    Abort,
    /// The acknowledgement of a commit is lost.
    LostAck,
    /// Transactions become visible partition by partition.
    LateVisibility,
    /// Calls to the log are delayed.
    Delay,
    /// Puts, gets and media tasks fail transiently, or their answers are lost.
    StoreError,
    /// Other programs append records that can't be decoded.
    Garbage,
    /// An administrator resets committed offsets.
    OffsetReset,
    /// Executions are cancelled.
    Cancel,
    /// Uploads are published twice.
    Duplicate,
    /// Executions have deadlines.
    Deadline,
    /// Sources can't be read, or only up to some picture.
    BrokenSource,
    /// Sources have keyframes from which decoding can't begin.
    FalseKeyframes,
    /// Staged outputs can't be published.
    Unpublishable,
}

impl InjectedFault {
    /// All kinds.
    pub const ALL: [Self; 17] = [
        Self::Crash,
        Self::Pause,
        Self::Restart,
        Self::Rebalance,
        Self::Abort,
        Self::LostAck,
        Self::LateVisibility,
        Self::Delay,
        Self::StoreError,
        Self::Garbage,
        Self::OffsetReset,
        Self::Cancel,
        Self::Duplicate,
        Self::Deadline,
        Self::BrokenSource,
        Self::FalseKeyframes,
        Self::Unpublishable,
    ];
}

/// The plan of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The seed of all random generators.
    pub seed: u64,
    /// The number of uploads.
    pub uploads: u64,
    /// The number of processes that run at the same time.
    pub processes: u64,
    /// How long faults are injected, in seconds of the virtual clock.
    pub seconds: u64,
    /// The kinds of injected faults.
    pub faults: Vec<InjectedFault>,
}

impl Plan {
    /// Returns the plan of a seed. Each has some kinds of faults and not others, as a fault can hide the
    /// effect of another one.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let faults = InjectedFault::ALL.into_iter().filter(|_| rng.u8(..) < 110).collect();
        Self { seed, uploads: rng.u64(1..=4), processes: rng.u64(1..=3), seconds: rng.u64(10..=70), faults }
    }

    /// Returns `true` if this kind of fault is injected.
    #[must_use]
    pub fn has(&self, fault: InjectedFault) -> bool {
        self.faults.contains(&fault)
    }

    /// Returns smaller plans, the most promising first.
    #[must_use]
    pub fn smaller(&self) -> Vec<Self> {
        let without = |i: usize| {
            let mut faults = self.faults.clone();
            faults.remove(i);
            Self { faults, ..self.clone() }
        };
        let mut all: Vec<Self> = (0..self.faults.len()).map(without).collect();
        if self.uploads > 1 {
            all.push(Self { uploads: self.uploads - 1, ..self.clone() });
        }
        if self.processes > 1 {
            all.push(Self { processes: self.processes - 1, ..self.clone() });
        }
        if self.seconds > 1 {
            all.push(Self { seconds: self.seconds / 2, ..self.clone() });
            all.push(Self { seconds: self.seconds - 1, ..self.clone() });
        }
        all
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, uploads, processes, seconds, faults } = self;
        write!(f, "seed {seed}: {uploads} uploads, {processes} processes, {seconds} s of {faults:?}")
    }
}
