//! The sockets over which media processes read sources.

use std::{
    os::fd::OwnedFd,
    sync::{Mutex, PoisonError},
};

use millrace_storage::{OpenSource, RangeServer};
use millrace_topology::ports::PortError;

use crate::error::{port_error, transient};

/// The source sockets of one media process.
///
/// A range server behind each socket reads the source from its store. If it could not, the process reports a broken file; the
/// cause is then [`Self::failure`].
#[derive(Default)]
pub(crate) struct SourceSockets(Mutex<Vec<RangeServer>>);

impl SourceSockets {
    /// Returns a descriptor from which one media process reads `source`: the file, or a socket of a range server.
    ///
    /// # Errors
    /// Transient if this process has no descriptors left.
    pub(crate) fn open(&self, source: &OpenSource) -> Result<OwnedFd, PortError> {
        let (descriptor, server) = source.descriptor().map_err(transient)?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(server);
        Ok(descriptor)
    }

    /// Returns why a range server could not read its source, if any failed.
    pub(crate) fn failure(&self) -> Option<PortError> {
        let servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        servers.iter().find_map(RangeServer::take_error).map(port_error)
    }
}
