//! Cores, shared out among tasks.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many pictures' samples keep a core busy; larger pictures get more cores. A task of few cores holds as many
/// pictures in its encoder as one of many (x264 looks 40 ahead), so that fewer tasks of more cores need less memory.
const PIXELS_A_CORE: i64 = 500_000;

/// The cores of this process.
#[derive(Debug)]
pub(super) struct Slots {
    jobs: usize,
    pictures: Arc<Semaphore>,
    sound: Arc<Semaphore>,
}

/// Cores that a task has.
#[derive(Debug)]
pub(super) struct Cores {
    pub(super) count: usize,
    _permit: Option<OwnedSemaphorePermit>,
}

/// How many cores a task gets of so many: as many as its pictures keep busy, and where there are fewer tasks than that
/// leaves room for, an equal share. Pure.
fn share(jobs: usize, pixels: i64, tasks: usize) -> usize {
    let busy = usize::try_from((pixels + PIXELS_A_CORE - 1) / PIXELS_A_CORE).unwrap_or(1);
    let equal = jobs / tasks.clamp(1, jobs);
    busy.max(equal).clamp(1, jobs)
}

impl Slots {
    pub(super) fn new(jobs: usize) -> Self {
        let jobs = jobs.max(1);
        Self { jobs, pictures: Arc::new(Semaphore::new(jobs)), sound: Arc::new(Semaphore::new(jobs)) }
    }

    /// Waits for cores for a task of video: pictures of so many pixels, one of so many segments.
    pub(super) async fn pictures(&self, pixels: i64, segments: usize) -> Cores {
        let count = share(self.jobs, pixels, segments);
        let permits = u32::try_from(count).unwrap_or(1);
        // The semaphore is never closed.
        let permit = self.pictures.clone().acquire_many_owned(permits).await.ok();
        Cores { count, _permit: permit }
    }

    /// How many tasks like this run side by side.
    pub(super) fn side_by_side(&self, cores: &Cores) -> usize {
        (self.jobs / cores.count.max(1)).max(1)
    }

    /// Waits for a sound track's turn. Sound costs a hundredth of pictures: it has slots of its own, so that it fills
    /// what they leave idle.
    pub(super) async fn sound(&self) -> Cores {
        Cores { count: 1, _permit: self.sound.clone().acquire_owned().await.ok() }
    }
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn large_pictures_get_more_cores_and_few_tasks_share_them() {
        assert_eq!(share(2, 1920 * 1080, 6), 2);
        assert_eq!(share(16, 1920 * 1080, 100), 5);
        assert_eq!(share(16, 320 * 240, 100), 1);
        assert_eq!(share(16, 320 * 240, 2), 8);
        assert_eq!(share(2, 320 * 240, 1), 2);
        assert_eq!(share(1, 7680 * 4320, 1), 1);
    }
}
