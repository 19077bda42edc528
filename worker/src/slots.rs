//! The cores of this process, shared among its media processes.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The pixels of a picture that keep one core busy; larger pictures get more cores.
///
/// An encoder holds the same number of pictures however many cores it has (x264 looks 40 ahead), so that fewer tasks with more cores
/// need less memory.
const PIXELS_PER_CORE: i64 = 500_000;

/// The cores of this process. Video and audio tasks have separate slots.
#[derive(Debug)]
pub(crate) struct Slots {
    jobs: usize,
    video: Arc<Semaphore>,
    audio: Arc<Semaphore>,
}

/// The cores of one task, until they are dropped.
#[derive(Debug)]
pub(crate) struct Cores {
    pub(crate) count: usize,
    _permit: Option<OwnedSemaphorePermit>,
}

/// Returns how many of `jobs` cores a task gets: as many as pictures of `pixels` keep busy, or an equal share if so few `tasks` would
/// leave cores idle. Pure.
fn share(jobs: usize, pixels: i64, tasks: usize) -> usize {
    let busy = usize::try_from((pixels + PIXELS_PER_CORE - 1) / PIXELS_PER_CORE).unwrap_or(1);
    let equal = jobs / tasks.clamp(1, jobs);
    busy.max(equal).clamp(1, jobs)
}

impl Slots {
    pub(crate) fn new(jobs: usize) -> Self {
        let jobs = jobs.max(1);
        Self { jobs, video: Arc::new(Semaphore::new(jobs)), audio: Arc::new(Semaphore::new(jobs)) }
    }

    /// Waits for the cores of a video task: pictures of `pixels`, and one of `segments` segments.
    pub(crate) async fn video(&self, pixels: i64, segments: usize) -> Cores {
        let count = share(self.jobs, pixels, segments);
        let permits = u32::try_from(count).unwrap_or(1);
        // The semaphore is never closed.
        let permit = self.video.clone().acquire_many_owned(permits).await.ok();
        Cores { count, _permit: permit }
    }

    /// Returns how many tasks with so many cores run at once.
    pub(crate) fn parallel_tasks(&self, cores: &Cores) -> usize {
        (self.jobs / cores.count.max(1)).max(1)
    }

    /// Waits for the core of an audio task. Audio costs a hundredth of video: with separate slots it uses the time that video tasks
    /// leave idle.
    pub(crate) async fn audio(&self) -> Cores {
        Cores { count: 1, _permit: self.audio.clone().acquire_owned().await.ok() }
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
