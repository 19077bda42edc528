//! What a run is made of: all of it follows from the seed, and each part can be left out to find the smallest run that
//! still fails.

use std::fmt;

use fastrand::Rng;

/// A kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Processes die, at any step.
    Crash,
    /// Processes stop past their session, and wake.
    Sleep,
    /// Processes are told to stop, drain, and start again.
    Restart,
    /// Partitions are dealt anew.
    Rebalance,
    /// Transactions are aborted.
    Abort,
    /// Commits are not acknowledged.
    LostAck,
    /// Transactions become visible partition by partition.
    Half,
    /// Calls take a while.
    Delay,
    /// Puts, gets and media tasks fail for a while.
    Store,
    /// Strangers put garbage on topics.
    Garbage,
    /// Offsets are set back.
    SetBack,
    /// Executions are cancelled.
    Cancel,
    /// Uploads are told twice.
    Duplicate,
    /// Executions have deadlines.
    Deadline,
    /// Sources can't be read, or not to their end.
    Broken,
    /// Sources have keyframes from which decoding can't begin.
    FalseKeyframes,
    /// Outputs that are ready can't be published.
    Unpublishable,
}

impl Trouble {
    /// All kinds.
    pub const ALL: [Self; 17] = [
        Self::Crash,
        Self::Sleep,
        Self::Restart,
        Self::Rebalance,
        Self::Abort,
        Self::LostAck,
        Self::Half,
        Self::Delay,
        Self::Store,
        Self::Garbage,
        Self::SetBack,
        Self::Cancel,
        Self::Duplicate,
        Self::Deadline,
        Self::Broken,
        Self::FalseKeyframes,
        Self::Unpublishable,
    ];
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Where all chance comes from.
    pub seed: u64,
    /// How many uploads.
    pub uploads: u64,
    /// How many processes.
    pub processes: u64,
    /// For how long there is trouble, in seconds of the virtual clock.
    pub seconds: u64,
    /// What kinds of trouble.
    pub troubles: Vec<Trouble>,
}

impl Plan {
    /// The run of a seed. Each has some kinds of trouble and not others: what comes together in all of them hides what
    /// comes of each.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let troubles = Trouble::ALL.into_iter().filter(|_| rng.u8(..) < 110).collect();
        Self { seed, uploads: rng.u64(1..=4), processes: rng.u64(1..=3), seconds: rng.u64(10..=70), troubles }
    }

    /// Whether there is this kind of trouble.
    #[must_use]
    pub fn has(&self, trouble: Trouble) -> bool {
        self.troubles.contains(&trouble)
    }

    /// Smaller runs, the most promising first.
    #[must_use]
    pub fn smaller(&self) -> Vec<Self> {
        let without = |i: usize| {
            let mut troubles = self.troubles.clone();
            troubles.remove(i);
            Self { troubles, ..self.clone() }
        };
        let mut all: Vec<Self> = (0..self.troubles.len()).map(without).collect();
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
        let Self { seed, uploads, processes, seconds, troubles } = self;
        write!(f, "seed {seed}: {uploads} uploads, {processes} processes, {seconds} s of {troubles:?}")
    }
}
