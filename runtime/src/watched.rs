//! A shared value whose changes can be awaited. Unlike tokio's `watch`, it wakes waiters in the order in
//! which they began to wait: `watch` wakes them in random order, but a run of the simulation must depend on
//! its seed alone.

use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

#[derive(Debug)]
struct Inner<T> {
    /// The value, and the number of changes.
    value: Mutex<(T, u64)>,
    changed: Notify,
}

impl<T> Inner<T> {
    fn lock(&self) -> MutexGuard<'_, (T, u64)> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A shared value whose changes can be awaited. Clones share the value.
#[derive(Debug)]
pub struct Watched<T>(Arc<Inner<T>>);

impl<T> Clone for Watched<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Watched<T> {
    /// Returns a new shared value.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self(Arc::new(Inner { value: Mutex::new((value, 0)), changed: Notify::new() }))
    }

    /// Calls `read` with the value, under the lock.
    pub fn with<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.0.lock().0)
    }

    /// Calls `change` with the value, under the lock, and then wakes all waiters.
    pub fn modify(&self, change: impl FnOnce(&mut T)) {
        {
            let mut value = self.0.lock();
            change(&mut value.0);
            value.1 += 1;
        }
        self.0.changed.notify_waiters();
    }

    /// Waits until the condition holds for the value. Returns at once if it already does.
    pub async fn until(&self, mut condition: impl FnMut(&T) -> bool) {
        loop {
            let mut changed = pin!(self.0.changed.notified());
            // From here on no change is missed.
            changed.as_mut().enable();
            if condition(&self.0.lock().0) {
                return;
            }
            changed.await;
        }
    }

    /// Returns a watcher of the changes from now on.
    #[must_use]
    pub fn watch(&self) -> Watcher<T> {
        let seen = self.0.lock().1;
        Watcher { watched: self.clone(), seen }
    }
}

/// Watches a [`Watched`] for changes.
#[derive(Debug)]
pub struct Watcher<T> {
    watched: Watched<T>,
    seen: u64,
}

impl<T> Watcher<T> {
    /// Marks all changes up to now as seen.
    pub fn mark_seen(&mut self) {
        self.seen = self.watched.0.lock().1;
    }

    /// Waits for a change that was not marked as seen, and marks it as seen. Cancel-safe.
    pub async fn changed(&mut self) {
        loop {
            let mut changed = pin!(self.watched.0.changed.notified());
            changed.as_mut().enable();
            let version = self.watched.0.lock().1;
            if version != self.seen {
                self.seen = version;
                return;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_before_the_wait_is_not_missed() {
        let watched = Watched::new(1);
        let mut watcher = watched.watch();
        watched.modify(|value| *value = 2);
        watcher.changed().await;
        assert_eq!(watched.with(|value| *value), 2);
        watched.modify(|value| *value = 3);
        watcher.mark_seen();
        let nothing_new =
            tokio::select! { biased; () = watcher.changed() => false, () = std::future::ready(()) => true };
        assert!(nothing_new, "a change that was marked as seen wakes nobody");
    }

    #[tokio::test]
    async fn those_who_wait_are_woken_in_the_order_in_which_they_came() {
        let watched = Watched::new(0);
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waiting = tokio::task::JoinSet::new();
        for number in 0..10 {
            let (watched, order) = (watched.clone(), order.clone());
            waiting.spawn(async move {
                watched.until(|value| *value > 0).await;
                order.lock().unwrap().push(number);
            });
        }
        // All of them wait: each has run up to its wait on this single thread.
        tokio::task::yield_now().await;
        watched.modify(|value| *value = 1);
        waiting.join_all().await;
        assert_eq!(*order.lock().unwrap(), (0..10).collect::<Vec<_>>());
    }
}
