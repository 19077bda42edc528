//! Small files that are made of a source at once, outside of any execution: for `millrace thumbnail` and `gif`, and over HTTP.

use std::{
    io::{PipeReader, Read as _},
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use millrace_media::{AnimationTask, ClipTask, Clipped, Drawn, PictureTask, Reply, Task};
use millrace_storage::{StorageError, Stores};
use millrace_topology::ports::PortError;
use tokio::{sync::Semaphore, task::JoinHandle};

use crate::{
    children::{Children, PinnedSource},
    error::{WorkerError, port_error, transient, unexpected_reply},
    limits,
    sandbox::{MediaProcessSettings, launcher},
};

/// The greatest size of a file that is made, in bytes. It is kept in memory.
pub const LONGEST_PICTURE_FILE: u64 = 256 << 20;

/// Makes pictures of media files. At most one media process per core runs at once; further calls wait.
pub struct LightWork {
    children: Children,
    stores: Stores,
    slots: Semaphore,
    cores: usize,
}

/// A file that was made.
#[derive(Debug)]
pub struct Made {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What it shows.
    pub drawn: Drawn,
}

/// The bytes that a media process writes into a pipe, read by a thread.
type Reading = JoinHandle<std::io::Result<Vec<u8>>>;

impl LightWork {
    /// Returns what makes pictures of what `stores` reach.
    ///
    /// # Errors
    /// If the path of this executable, which media processes run, is not known.
    pub fn new(stores: Stores, settings: MediaProcessSettings) -> Result<Self, WorkerError> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let children = Children::new(launcher(settings)?);
        Ok(Self { children, stores, slots: Semaphore::new(cores), cores })
    }

    /// Codes one picture of a source. The file has at most `most` bytes.
    ///
    /// # Errors
    /// Refused if the source can't be reached, is no media file, or has no such picture, and if the file would be longer.
    pub async fn picture(&self, source: &str, task: PictureTask, most: u64) -> Result<Made, PortError> {
        self.make(source, Task::Picture(PictureTask { cores: self.cores, ..task }), most).await
    }

    /// Codes some seconds of a source as an animation. The file has at most `most` bytes.
    ///
    /// # Errors
    /// As [`Self::picture`].
    pub async fn animation(&self, source: &str, task: AnimationTask, most: u64) -> Result<Made, PortError> {
        self.make(source, Task::Animation(AnimationTask { cores: self.cores, ..task }), most).await
    }

    /// Checks that a file could be written at a URL.
    ///
    /// # Errors
    /// [`StorageError::Exists`] if something is there and `replaces` is false, or if the URL may not be written.
    pub async fn check_free(&self, url: &str, replaces: bool) -> Result<(), StorageError> {
        self.stores.check_free(url, replaces).await
    }

    /// Writes a file at a URL, whole or not at all.
    ///
    /// # Errors
    /// As [`Self::check_free`], or if it can't be written.
    pub async fn write(&self, url: &str, bytes: Vec<u8>, replaces: bool) -> Result<(), StorageError> {
        self.stores.write_output(url, bytes, replaces).await
    }

    /// Puts a part of a source into a file at a URL, which appears whole or not at all. Returns what it holds, and its size in bytes.
    ///
    /// # Errors
    /// Refused if the source can't be reached, is no media file, or can't begin there, and if something has the URL and `replaces` is
    /// false.
    pub async fn clip(
        &self,
        source: &str,
        task: ClipTask,
        (url, replaces): (&str, bool),
    ) -> Result<(Clipped, u64), PortError> {
        let pinned = self.open(source).await?;
        let file = self.stores.begin_small_output(url).await.map_err(port_error)?;
        let outputs = || -> Result<Vec<OwnedFd>, PortError> {
            let descriptor = file.descriptor().map_err(port_error)?;
            // What a process that has died has written is void.
            descriptor.set_len(0).map_err(transient)?;
            Ok(vec![descriptor.into()])
        };
        // The semaphore is never closed.
        let _slot = self.slots.acquire().await;
        let limit = limits::clip(pinned.source.bytes);
        let task = Task::Clip(ClipTask { cores: self.cores, ..task });
        match self.children.run_with_outputs(&task, &[&pinned], limit, outputs).await? {
            Reply::Clipped(clipped) => {
                let bytes = file.size().map_err(port_error)?;
                file.publish(replaces).await.map_err(port_error)?;
                Ok((clipped, bytes))
            }
            other => Err(unexpected_reply(&other)),
        }
    }

    async fn open(&self, source: &str) -> Result<PinnedSource, PortError> {
        let source = self.stores.pin(source).await.map_err(port_error)?;
        let opened = self.stores.open(&source).await.map_err(port_error)?;
        Ok(PinnedSource { source, opened: opened.eager() })
    }

    async fn make(&self, source: &str, task: Task, most: u64) -> Result<Made, PortError> {
        let most = most.min(LONGEST_PICTURE_FILE);
        let pinned = self.open(source).await?;
        // The semaphore is never closed.
        let _slot = self.slots.acquire().await;
        let reading: Arc<Mutex<Option<Reading>>> = Arc::default();
        let outputs = || -> Result<Vec<OwnedFd>, PortError> {
            let (reader, writer) = std::io::pipe().map_err(transient)?;
            // That of a process that has died ends by itself: its pipe is closed.
            *reading.lock().unwrap_or_else(PoisonError::into_inner) = Some(read(reader, most));
            Ok(vec![writer.into()])
        };
        let limit = limits::inspect(pinned.source.bytes);
        let reply = self.children.run_with_outputs(&task, &[&pinned], limit, outputs).await;
        let reading = reading.lock().unwrap_or_else(PoisonError::into_inner).take();
        let bytes = match reading {
            Some(reading) => reading.await.map_err(transient)?.map_err(transient)?,
            None => Vec::new(),
        };
        if bytes.len() as u64 > most {
            return Err(PortError::Refused(format!(
                "it would have more than {most} bytes: make it smaller, or shorter"
            )));
        }
        match reply? {
            Reply::Drawn(drawn) if drawn.bytes == bytes.len() as u64 => Ok(Made { bytes, drawn }),
            other => Err(unexpected_reply(&other)),
        }
    }
}

/// Reads a pipe to its end, or to one byte more than `most`.
fn read(pipe: PipeReader, most: u64) -> Reading {
    tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        pipe.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
        Ok(bytes)
    })
}
