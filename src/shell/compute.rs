//! What takes a while to compute, on threads that hold up nothing else.

use std::time::Duration;

use millrace_topology::ports::PortError;
use tokio::{task::spawn_blocking, time::timeout};

/// How long it may take: fifty times what the largest plan was measured to take, with its records.
pub(super) const LONGEST: Duration = Duration::from_secs(60);

/// Computes on a thread of its own. What takes longer than `longest` is refused; its thread ends by itself, as all that is computed
/// is bounded.
pub(super) async fn compute(longest: Duration, work: Box<dyn FnOnce() + Send>) -> Result<(), PortError> {
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
        let (tell, told) = channel::<ThreadId>();
        compute(LONGEST, Box::new(move || tell.send(thread::current().id()).unwrap())).await.unwrap();
        assert_ne!(told.recv().unwrap(), thread::current().id());
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
