//! Serves ranges of an object to a media process, which has no network
//! ([`range_protocol`](millrace_schemas::range_protocol)).

use std::{
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use millrace_schemas::range_protocol::{MAX_REPLY, REQUEST_LENGTH, RangeRequest, encode_reply_length};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use crate::{error::StorageError, range_reader::RangeReader};

/// A range server, as the process that started it sees it.
#[derive(Debug, Clone, Default)]
pub struct RangeServer {
    error: Arc<Mutex<Option<StorageError>>>,
}

impl RangeServer {
    /// Returns the last error of the object store, once. The media process itself sees only that a read failed.
    #[must_use]
    pub fn take_error(&self) -> Option<StorageError> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Starts a range server for an object, and returns the socket for the media process. The server ends when that is closed.
///
/// # Errors
/// If this process has no descriptors left.
pub(crate) fn serve_ranges(object: RangeReader) -> std::io::Result<(OwnedFd, RangeServer)> {
    let (here, there) = std::os::unix::net::UnixStream::pair()?;
    here.set_nonblocking(true)?;
    let here = UnixStream::from_std(here)?;
    let server = RangeServer::default();
    let errors = server.clone();
    tokio::spawn(async move {
        // The other end is closed: the media process has ended.
        if let Err(error) = serve(here, object, &errors).await {
            tracing::debug!(%error, "the media process closed its source socket");
        }
    });
    Ok((there.into(), server))
}

async fn serve(mut socket: UnixStream, mut object: RangeReader, server: &RangeServer) -> std::io::Result<()> {
    let mut reply = Vec::new();
    loop {
        let mut request = [0; REQUEST_LENGTH];
        socket.read_exact(&mut request).await?;
        let read = match RangeRequest::decode(request) {
            RangeRequest::Size => Ok(Bytes::copy_from_slice(&object.size().to_le_bytes())),
            RangeRequest::Read { offset, length } => {
                object.read(offset, length.min(MAX_REPLY) as usize).await
            }
        };
        reply.clear();
        match read {
            Ok(bytes) => {
                let length = u32::try_from(bytes.len()).unwrap_or(0);
                reply.extend_from_slice(&encode_reply_length(Some(length)));
                reply.extend_from_slice(&bytes);
            }
            Err(error) => {
                *server.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                reply.extend_from_slice(&encode_reply_length(None));
            }
        }
        socket.write_all(&reply).await?;
    }
}
