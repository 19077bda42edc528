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

use super::alive;

/// How many writes wait for the disk at most, each as long as the muxer's buffer.
const MOST_WAITING: usize = 16;

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
    at: u64,
    length: u64,
    error: FirstError,
}

impl OutputFile {
    /// Starts the thread that writes a file. What goes wrong there is kept in `error`.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(crate) fn new(file: File, error: FirstError) -> io::Result<Self> {
        let (orders, received) = sync_channel(MOST_WAITING);
        let (written, spare) = channel();
        let kept = error.clone();
        thread::Builder::new().name("output".into()).spawn(move || {
            for order in received {
                match order {
                    Order::Write(at, mut bytes) => {
                        // Behind an error nothing is written: the file is not whole.
                        if kept.kind().is_none()
                            && let Err(error) = file.write_all_at(&bytes, at)
                        {
                            kept.keep(error);
                        }
                        bytes.clear();
                        // The other end is gone once nothing more is written.
                        let _ = written.send(bytes);
                    }
                    Order::Answer(to) => drop(to.send(())),
                }
            }
        })?;
        Ok(Self { orders, spare, at: 0, length: 0, error })
    }

    fn check(&self) -> io::Result<()> {
        self.error.kind().map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn send(&self, order: Order) -> io::Result<()> {
        alive::wait(|| self.orders.send(order)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check()?;
        let mut buffer = self.spare.try_recv().unwrap_or_default();
        buffer.extend_from_slice(bytes);
        self.send(Order::Write(self.at, buffer))?;
        self.at += bytes.len() as u64;
        self.length = self.length.max(self.at);
        Ok(bytes.len())
    }

    /// Waits until all is written.
    fn flush(&mut self) -> io::Result<()> {
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
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn bytes_are_where_they_were_written_once_the_file_is_flushed() {
        let mut file = tempfile::tempfile().unwrap();
        let mut output = OutputFile::new(file.try_clone().unwrap(), FirstError::default()).unwrap();
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
    fn an_error_of_the_disk_fails_what_is_written_behind_it_and_is_kept() {
        let file = File::open("/dev/null").unwrap();
        let error = FirstError::default();
        let mut output = OutputFile::new(file, error.clone()).unwrap();
        output.write_all(b"a").unwrap();
        assert!(output.flush().is_err() && output.write_all(b"b").is_err());
        assert!(error.take().unwrap().raw_os_error().is_some(), "opened for reading alone");
    }
}
