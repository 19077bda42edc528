//! The bytes of a source, from a file or from the parent.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::FileExt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use crate::{
    child::alive::{self, Budget},
    read_at::ReadAt,
};

/// Where bytes come from.
pub(super) enum Origin {
    /// A file, read where it is.
    File(File),
    /// The parent, which answers over a socket: `at:u64 most:u32` asks, `length:u32 bytes` is the answer, 2^32 - 1 that there is
    /// none; at 2^64 - 1 it is asked how long the source is.
    Parent(File),
}

impl Origin {
    /// What is behind the descriptor, and how many bytes it has.
    pub(super) fn of(file: File) -> io::Result<(Self, u64)> {
        // A look at its end tells a file from a socket, and how long it is: what asks for more takes paths as well, and is shut.
        let mut end = &file;
        match end.stream_position().and_then(|at| Ok((at, end.seek(SeekFrom::End(0))?))) {
            Ok((at, length)) => {
                end.seek(SeekFrom::Start(at))?;
                return Ok((Self::File(file), length));
            }
            Err(error) if error.kind() == io::ErrorKind::NotSeekable => {}
            Err(error) => return Err(error),
        }
        let mut length = [0; 8];
        let origin = Self::Parent(file);
        if origin.read_at(&mut length, u64::MAX)? != length.len() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok((origin, u64::from_le_bytes(length)))
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::File(file) => Self::File(file.try_clone()?),
            Self::Parent(socket) => Self::Parent(socket.try_clone()?),
        })
    }

    pub(super) fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        alive::wait(|| self.fetch(buffer, at))
    }

    fn fetch(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let mut socket = match self {
            Self::File(file) => return file.read_at(buffer, at),
            Self::Parent(socket) => socket,
        };
        let most = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        let mut ask = [0; 12];
        ask[..8].copy_from_slice(&at.to_le_bytes());
        ask[8..].copy_from_slice(&most.to_le_bytes());
        socket.write_all(&ask)?;
        let mut length = [0; 4];
        socket.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length) as usize;
        let into = buffer.get_mut(..length).ok_or(io::ErrorKind::BrokenPipe)?;
        socket.read_exact(into)?;
        Ok(length)
    }
}

/// What reads the descriptor. While it is hollow, it gives zeros: so an index can be asked for presentation times
/// without reading the frames that it lists.
pub(super) struct Bytes {
    pub(super) origin: Origin,
    pub(super) size: u64,
    pub(super) at: u64,
    pub(super) hollow: Arc<AtomicBool>,
    /// How many more bytes may be read before zeros come.
    pub(super) left: Arc<AtomicU64>,
    pub(super) read: Arc<AtomicU64>,
    pub(super) signs: Budget,
}

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.size.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let most = buffer.len().min(rest);
        let left = self.left.load(Ordering::Relaxed);
        let got = if self.hollow.load(Ordering::Relaxed) || left == 0 {
            buffer[..most].fill(0);
            most
        } else {
            let most = most.min(usize::try_from(left).unwrap_or(usize::MAX));
            let got = self.origin.read_at(&mut buffer[..most], self.at)?;
            self.read.fetch_add(got as u64, Ordering::Relaxed);
            if self.signs.spend(got as u64) {
                alive::sign();
            }
            if left < u64::MAX {
                self.left.store(left - got as u64, Ordering::Relaxed);
            }
            got
        };
        self.at += got as u64;
        Ok(got)
    }
}

impl Seek for Bytes {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

impl ReadAt for Origin {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        Self::read_at(self, buffer, at)
    }
}
