//! How a process ends: at first it takes no more work, then it leaves at once.

use tokio::sync::watch;

/// How urgent the end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Work on.
    Run,
    /// Take no more; finish and commit what was begun.
    Drain,
    /// Leave now; what is unfinished is done again next time.
    Now,
}

/// Says when to stop.
#[derive(Debug)]
pub struct Stopper(watch::Sender<Level>);

/// Hears when to stop.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<Level>);

impl Stopper {
    /// A stopper, and what hears it.
    #[must_use]
    pub fn new() -> (Self, Stop) {
        let (sender, receiver) = watch::channel(Level::Run);
        (Self(sender), Stop(receiver))
    }

    /// Raises the level; it never falls.
    pub fn raise(&self, level: Level) {
        self.0.send_if_modified(|now| {
            let higher = level > *now;
            if higher {
                *now = level;
            }
            higher
        });
    }
}

impl Stop {
    /// The level now.
    #[must_use]
    pub fn level(&self) -> Level {
        *self.0.borrow()
    }

    /// Waits until the level is at least this; a stopper that is gone counts as `Now`.
    pub async fn reaches(&self, level: Level) {
        let mut receiver = self.0.clone();
        // An error says that the stopper is gone, and with it all reason to work on.
        let _ = receiver.wait_for(|now| *now >= level).await;
    }
}
