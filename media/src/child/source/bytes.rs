//! The bytes of a source, from a file or from the parent.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    ops::Range,
    os::unix::fs::FileExt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use millrace_schemas::range_protocol::{self, RangeRequest};

use crate::{
    child::alive::{self, Budget},
    read_at::ReadAt,
};

/// How many bytes are read at once at most: they are copied once more, while a processor's cache still has them.
const MOST_AT_ONCE: usize = 256 << 10;

/// Where bytes come from.
pub(super) enum Origin {
    /// A file, read where it is.
    File(File),
    /// A part of a file: where it begins, and its bytes.
    Part(File, u64, u64),
    /// A socket to the parent's range server ([`millrace_schemas::range_protocol`]).
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
        let mut size = [0; 8];
        if alive::wait(|| request(&file, RangeRequest::Size, &mut size))? != size.len() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok((Self::Parent(file), u64::from_le_bytes(size)))
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::File(file) => Self::File(file.try_clone()?),
            Self::Part(file, start, bytes) => Self::Part(file.try_clone()?, *start, *bytes),
            Self::Parent(socket) => Self::Parent(socket.try_clone()?),
        })
    }

    pub(super) fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        alive::wait(|| self.fetch(buffer, at))
    }

    fn fetch(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read_at(buffer, at),
            Self::Part(file, start, bytes) => {
                let left = usize::try_from(bytes.saturating_sub(at)).unwrap_or(usize::MAX);
                let most = buffer.len().min(left);
                file.read_at(&mut buffer[..most], start.saturating_add(at))
            }
            Self::Parent(socket) => {
                let length = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
                request(socket, RangeRequest::Read { offset: at, length }, buffer)
            }
        }
    }
}

/// Returns all bytes of a file that has at most so many.
///
/// # Errors
/// If it has more, or can't be read.
pub(crate) fn read_whole(file: File, most: u64) -> io::Result<Vec<u8>> {
    let (origin, size) = Origin::of(file)?;
    if size > most {
        return Err(io::Error::other(format!("it has {size} bytes; at most {most} are taken")));
    }
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    let mut at = 0;
    while at < bytes.len() {
        match origin.read_at(&mut bytes[at..], at as u64)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            got => at += got,
        }
    }
    Ok(bytes)
}

/// Sends a request to the range server, and returns how many bytes of its reply are in the buffer.
fn request(mut socket: &File, request: RangeRequest, buffer: &mut [u8]) -> io::Result<usize> {
    socket.write_all(&request.encode())?;
    let mut length = [0; 4];
    socket.read_exact(&mut length)?;
    let length = range_protocol::decode_reply_length(length).and_then(|length| usize::try_from(length).ok());
    let reply = length.and_then(|length| buffer.get_mut(..length)).ok_or(io::ErrorKind::BrokenPipe)?;
    socket.read_exact(reply)?;
    Ok(reply.len())
}

/// What reads the descriptor. While it is hollow, it gives zeros: so an index can be asked for presentation times
/// without reading the frames that it lists.
pub(super) struct Bytes {
    pub(super) origin: Origin,
    pub(super) size: u64,
    pub(super) at: u64,
    pub(super) hollow: Arc<AtomicBool>,
    /// Ranges that read as zeros, in order and apart from each other, once they are set.
    pub(super) blank: Arc<OnceLock<Vec<Range<u64>>>>,
    /// How many more bytes may be read before zeros come.
    pub(super) left: Arc<AtomicU64>,
    pub(super) read: Arc<AtomicU64>,
    pub(super) signs: Budget,
}

impl Bytes {
    /// Returns whether the next bytes are blank, and how many are as the first of them, at most so many.
    fn until_blank(&self, most: usize) -> (bool, usize) {
        let ranges = self.blank.get().map_or(&[][..], Vec::as_slice);
        let next = ranges.get(ranges.partition_point(|range| range.end <= self.at));
        let bounded = |end: u64| most.min(usize::try_from(end.saturating_sub(self.at)).unwrap_or(usize::MAX));
        match next {
            Some(range) if range.start <= self.at => (true, bounded(range.end)),
            Some(range) => (false, bounded(range.start)),
            None => (false, most),
        }
    }
}

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.size.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let most = buffer.len().min(rest).min(MOST_AT_ONCE);
        let (is_blank, most) = self.until_blank(most);
        let left = self.left.load(Ordering::Relaxed);
        let got = if is_blank || self.hollow.load(Ordering::Relaxed) || left == 0 {
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

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn blank_ranges_read_as_zeros_and_all_else_as_it_is() {
        let mut file = tempfile::tempfile().unwrap();
        let content: Vec<u8> = (1..=100).collect();
        file.write_all(&content).unwrap();
        let blank = Arc::new(OnceLock::new());
        blank.set(vec![0..10, 20..21, 90..100]).unwrap();
        let mut bytes = Bytes {
            origin: Origin::File(file),
            size: 100,
            at: 0,
            hollow: Arc::default(),
            blank,
            left: Arc::new(AtomicU64::new(u64::MAX)),
            read: Arc::default(),
            signs: Budget::of(100),
        };
        let mut expected = content;
        for range in [0..10, 20..21, 90..100] {
            expected[range].fill(0);
        }
        let mut found = Vec::new();
        bytes.read_to_end(&mut found).unwrap();
        assert_eq!(found, expected);
        bytes.seek(SeekFrom::Start(15)).unwrap();
        let mut some = [0; 10];
        bytes.read_exact(&mut some).unwrap();
        assert_eq!(some, expected[15..25]);
    }
}
