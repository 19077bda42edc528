//! Long computations, on threads where they delay nothing else.

use std::time::Duration;

use millrace_topology::ports::PortError;
use tokio::{task::spawn_blocking, time::timeout};

/// The longest that a plan may take: fifty times what the largest one, with its records, was measured to take.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);

/// Runs `work` on a blocking thread.
///
/// # Errors
/// Refused if it takes longer than `longest`; its thread then runs on to its end, which is bounded. Transient if it panics.
pub(crate) async fn compute(longest: Duration, work: Box<dyn FnOnce() + Send>) -> Result<(), PortError> {
    match timeout(longest, spawn_blocking(work)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(PortError::Transient(format!("planning broke off: {error}"))),
        Err(_) => Err(PortError::Refused(format!(
            "planning its segments took longer than {longest:?}; ask for a longer --segment-time"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::mpsc::channel,
        thread::{self, ThreadId},
    };

    use super::*;

    #[tokio::test]
    async fn what_is_computed_holds_up_no_thread_that_waits() {
        let (sender, ids) = channel::<ThreadId>();
        compute(LONGEST, Box::new(move || sender.send(thread::current().id()).unwrap())).await.unwrap();
        assert_ne!(ids.recv().unwrap(), thread::current().id());
    }

    #[tokio::test]
    async fn what_takes_too_long_to_compute_is_refused_with_what_to_do() {
        let (release, released) = channel::<()>();
        let work = Box::new(move || assert!(released.recv().is_err(), "it is let go"));
        let refused = compute(Duration::ZERO, work).await;
        assert!(
            matches!(&refused, Err(PortError::Refused(why)) if why.contains("--segment-time")),
            "{refused:?}"
        );
        drop(release);
    }

    #[tokio::test]
    async fn a_computation_that_panics_is_tried_again() {
        let broken = compute(LONGEST, Box::new(|| panic!("on purpose"))).await;
        assert!(matches!(broken, Err(PortError::Transient(_))), "{broken:?}");
    }
}
