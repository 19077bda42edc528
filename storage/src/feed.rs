//! Bytes for a media process, which has no network: it asks over a socket, and is answered from the store.
//!
//! ```text
//! request  at:u64 most:u32              from the media process; at 2^64 - 1 it asks how long the object is
//! answer   length:u32 bytes             from here; 0 at the end, 2^32 - 1 where the bytes can't be had
//! ```
//!
//! Integers are little endian; the object's length is eight bytes.

use std::{
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use crate::{Ranged, StorageError};

/// Asks how long the object is.
const LENGTH: u64 = u64::MAX;
/// The length that says that bytes can't be had.
const FAILED: u32 = u32::MAX;
/// The longest answer.
const LONGEST: u32 = 1 << 20;

/// What became of a feed.
#[derive(Debug, Clone, Default)]
pub struct Fed {
    error: Arc<Mutex<Option<StorageError>>>,
}

impl Fed {
    /// Why bytes could not be had, if that was so: what a media process says of it is not the reason.
    #[must_use]
    pub fn failure(&self) -> Option<StorageError> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Answers a media process from an object, until it closes its end; gives the descriptor for it.
///
/// # Errors
/// Where the process has no descriptors left.
pub(crate) fn feed(object: Ranged) -> std::io::Result<(OwnedFd, Fed)> {
    let (here, there) = std::os::unix::net::UnixStream::pair()?;
    here.set_nonblocking(true)?;
    let here = UnixStream::from_std(here)?;
    let fed = Fed::default();
    let told = fed.clone();
    tokio::spawn(async move {
        // The other end is gone: the media process has ended.
        if let Err(error) = serve(here, object, &told).await {
            tracing::debug!(%error, "a media process reads no more");
        }
    });
    Ok((there.into(), fed))
}

async fn serve(mut socket: UnixStream, mut object: Ranged, fed: &Fed) -> std::io::Result<()> {
    let mut answer = Vec::new();
    loop {
        let at = socket.read_u64_le().await?;
        let most = socket.read_u32_le().await?.min(LONGEST);
        let found = if at == LENGTH {
            Ok(Bytes::copy_from_slice(&object.size().to_le_bytes()))
        } else {
            object.read(at, most as usize).await
        };
        match found {
            Ok(bytes) => {
                answer.clear();
                answer.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(0).to_le_bytes());
                answer.extend_from_slice(&bytes);
                socket.write_all(&answer).await?;
            }
            Err(error) => {
                *fed.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                socket.write_u32_le(FAILED).await?;
            }
        }
    }
}
