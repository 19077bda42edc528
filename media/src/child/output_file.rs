//! The file of an output, written by a thread of its own: packets are read, hashed and put together meanwhile.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    os::unix::fs::FileExt as _,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread,
};

use super::{alive, read_back::Watcher, write_back::WriteBack};

/// How many writes wait for the disk at most.
const MOST_WAITING: usize = 8;
/// The bytes that are gathered for a write. libavformat hands on what it has after each packet, and each write wakes a thread.
const GATHERED: usize = 1 << 20;

/// The first error of an output file. libav reports only that there was one.
#[derive(Debug, Clone, Default)]
pub(crate) struct FirstError(Arc<Mutex<Option<io::Error>>>);

impl FirstError {
    fn keep(&self, error: io::Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// Returns the error, once.
    pub(crate) fn take(&self) -> Option<io::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn kind(&self) -> Option<io::ErrorKind> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(io::Error::kind)
    }
}

/// What the writing thread is sent.
enum Order {
    /// To write bytes at an offset.
    Write(u64, Vec<u8>),
    /// To answer once all before it is written.
    Answer(Sender<()>),
}

/// An output file, from its beginning.
pub(crate) struct OutputFile {
    orders: SyncSender<Order>,
    /// Buffers that were written.
    spare: Receiver<Vec<u8>>,
    /// Bytes that lie one behind the other up to `at`, and are to be written.
    gathered: Vec<u8>,
    at: u64,
    length: u64,
    error: FirstError,
}

impl OutputFile {
    /// Starts the thread that writes a file. What goes wrong there is kept in `error`; what was written is reported to `watcher`.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(crate) fn new(file: File, error: FirstError, mut watcher: Option<Watcher>) -> io::Result<Self> {
        let (orders, received) = sync_channel(MOST_WAITING);
        let (written, spare) = channel();
        let kept = error.clone();
        thread::Builder::new().name("output".into()).spawn(move || {
            let mut write_back = WriteBack::default();
            for order in received {
                match order {
                    Order::Write(at, mut bytes) => {
                        // Behind an error nothing is written: the file is not whole.
                        if kept.kind().is_none() {
                            match file.write_all_at(&bytes, at) {
                                Ok(()) => {
                                    let end = at + bytes.len() as u64;
                                    write_back.grown_to(&file, end);
                                    if let Some(watcher) = &mut watcher {
                                        watcher.wrote(at, end);
                                    }
                                }
                                Err(error) => kept.keep(error),
                            }
                        }
                        bytes.clear();
                        // The other end is gone once nothing more is written.
                        let _ = written.send(bytes);
                    }
                    Order::Answer(to) => drop(to.send(())),
                }
            }
        })?;
        Ok(Self { orders, spare, gathered: Vec::new(), at: 0, length: 0, error })
    }

    fn check(&self) -> io::Result<()> {
        self.error.kind().map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn send(&self, order: Order) -> io::Result<()> {
        alive::wait(|| self.orders.send(order)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Has the bytes written that were gathered.
    fn send_gathered(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let spare = self.spare.try_recv().unwrap_or_default();
        let bytes = std::mem::replace(&mut self.gathered, spare);
        self.send(Order::Write(self.at - bytes.len() as u64, bytes))
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check()?;
        if self.gathered.is_empty() {
            self.gathered.reserve(GATHERED + (256 << 10));
        }
        self.gathered.extend_from_slice(bytes);
        self.at += bytes.len() as u64;
        self.length = self.length.max(self.at);
        if self.gathered.len() >= GATHERED {
            self.send_gathered()?;
        }
        Ok(bytes.len())
    }

    /// Waits until all is written.
    fn flush(&mut self) -> io::Result<()> {
        self.send_gathered()?;
        let (to, answer) = channel();
        self.send(Order::Answer(to))?;
        alive::wait(|| answer.recv()).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        self.check()
    }
}

impl Seek for OutputFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        let at = at.ok_or(io::ErrorKind::InvalidInput)?;
        if at != self.at {
            self.send_gathered()?;
            self.at = at;
        }
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn bytes_are_where_they_were_written_once_the_file_is_flushed() {
        let mut file = tempfile::tempfile().unwrap();
        let mut output = OutputFile::new(file.try_clone().unwrap(), FirstError::default(), None).unwrap();
        for number in 0..100 {
            output.write_all(&[number; 1000]).unwrap();
        }
        assert_eq!(output.seek(SeekFrom::End(0)).unwrap(), 100_000);
        output.seek(SeekFrom::Start(2000)).unwrap();
        output.write_all(&[200; 500]).unwrap();
        output.flush().unwrap();
        let mut found = Vec::new();
        file.read_to_end(&mut found).unwrap();
        let mut asked: Vec<u8> = (0..100).flat_map(|number| [number; 1000]).collect();
        asked[2000..2500].fill(200);
        assert_eq!(found, asked);
    }

    #[test]
    fn bytes_that_are_gathered_are_written_before_others_over_them() {
        let mut file = tempfile::tempfile().unwrap();
        let mut output = OutputFile::new(file.try_clone().unwrap(), FirstError::default(), None).unwrap();
        let part = vec![1; 300 << 10];
        for _ in 0..10 {
            output.write_all(&part).unwrap();
        }
        output.seek(SeekFrom::Current(-10)).unwrap();
        output.write_all(&[2; 4]).unwrap();
        output.seek(SeekFrom::Start(5)).unwrap();
        output.write_all(&[3]).unwrap();
        output.flush().unwrap();
        let mut found = Vec::new();
        file.read_to_end(&mut found).unwrap();
        let mut expected = vec![1; 10 * part.len()];
        expected[10 * part.len() - 10..][..4].fill(2);
        expected[5] = 3;
        assert!(found == expected);
    }

    #[test]
    fn an_error_of_the_disk_fails_what_is_written_behind_it_and_is_kept() {
        let file = File::open("/dev/null").unwrap();
        let error = FirstError::default();
        let mut output = OutputFile::new(file, error.clone(), None).unwrap();
        output.write_all(b"a").unwrap();
        assert!(output.flush().is_err() && output.write_all(b"b").is_err());
        assert!(error.take().unwrap().raw_os_error().is_some(), "opened for reading alone");
    }
}
