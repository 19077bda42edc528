//! The first half of the proof of a copy: packets are read again, and hashed, by a thread of their own as soon as they are written.
//!
//! What is found counts only if the finished file's own index lists these packets, and no others, where they were read, and no byte of
//! them was written again ([`ReadPackets::of_stream`]). Otherwise the proof reads the file's packets as it reads those of any other.

use std::{
    collections::{HashMap, VecDeque},
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt as _,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
};

use super::{
    alive,
    codec::{self, Codec, Form},
};

/// A packet that was handed to a muxer: where it lies in the output if the muxer wrote it last and as it is.
#[derive(Debug, Clone, Copy)]
struct Place {
    stream: usize,
    codec: &'static dyn Codec,
    start: u64,
    size: usize,
}

/// What the reading thread is sent.
enum Order {
    /// To read a packet, all of which was written.
    Read(Place),
    /// To forget what lies in a range, which was written again.
    Forget(Range<u64>),
}

/// A packet that was read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReadPacket {
    /// Its offset in the file.
    pub(crate) start: u64,
    /// Its bytes.
    pub(crate) size: usize,
    /// The digest of what is in it ([`codec::digest`]).
    pub(crate) digest: u64,
}

impl ReadPacket {
    /// Returns where it lies in the file.
    pub(crate) fn range(&self) -> Range<u64> {
        self.start..self.start.saturating_add(self.size as u64)
    }
}

/// The packets of a file that were read again while it was written.
#[derive(Debug, Default)]
pub(crate) struct ReadPackets(HashMap<usize, Vec<ReadPacket>>);

impl ReadPackets {
    /// Returns the packets of a stream, in the order in which they were written, if they are where the index of the finished file lists
    /// packets: offsets and sizes in bytes.
    pub(crate) fn of_stream(&self, stream: usize, listed: &[(u64, usize)]) -> Option<&[ReadPacket]> {
        let read = self.0.get(&stream)?;
        let agree = read.iter().map(|packet| (packet.start, packet.size)).eq(listed.iter().copied());
        agree.then_some(read)
    }
}

/// Reads an output again while it is written.
pub(crate) struct ReadBack {
    places: Arc<Mutex<VecDeque<Place>>>,
    orders: Sender<Order>,
    thread: JoinHandle<io::Result<ReadPackets>>,
}

impl ReadBack {
    /// Starts the thread that reads.
    ///
    /// # Errors
    /// If no thread can be started, or the file's descriptor can't be copied.
    pub(crate) fn start(file: &File) -> io::Result<Self> {
        let file = file.try_clone()?;
        let (orders, received) = channel();
        let thread = thread::Builder::new().name("proof".into()).spawn(move || read(&file, &received))?;
        Ok(Self { places: Arc::default(), orders, thread })
    }

    /// Returns what reports the bytes that were written.
    pub(crate) fn watcher(&self) -> Watcher {
        Watcher { places: self.places.clone(), orders: self.orders.clone(), written: 0 }
    }

    /// Notes a packet that was handed on: its offset and its bytes.
    pub(crate) fn expect(&self, stream: usize, codec: &'static dyn Codec, start: u64, size: usize) {
        let place = Place { stream, codec, start, size };
        self.places.lock().unwrap_or_else(PoisonError::into_inner).push_back(place);
    }

    /// Waits until all is read, once all was written and no [`Watcher`] is left. Gives what was read; nothing if that was not possible.
    pub(crate) fn finish(self) -> ReadPackets {
        let Self { places, orders, thread } = self;
        for place in places.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = orders.send(Order::Read(place));
        }
        drop(orders);
        match alive::wait(|| thread.join()) {
            Ok(Ok(read)) => read,
            // What can't be read here can't be read by the proof, which says why.
            _ => ReadPackets::default(),
        }
    }
}

/// Reports what was written of an output.
pub(crate) struct Watcher {
    places: Arc<Mutex<VecDeque<Place>>>,
    orders: Sender<Order>,
    /// The offset behind the last byte that was written.
    written: u64,
}

impl Watcher {
    /// Notes that bytes were written from an offset to another.
    pub(crate) fn wrote(&mut self, start: u64, end: u64) {
        if start < self.written {
            let _ = self.orders.send(Order::Forget(start..end.min(self.written)));
        }
        self.written = self.written.max(end);
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let is_written = |place: &Place| place.start.saturating_add(place.size as u64) <= self.written;
        while let Some(place) = places.front().copied().filter(is_written) {
            places.pop_front();
            let _ = self.orders.send(Order::Read(place));
        }
    }
}

fn read(file: &File, orders: &Receiver<Order>) -> io::Result<ReadPackets> {
    let mut found = ReadPackets::default();
    let mut forgotten: Vec<Range<u64>> = Vec::new();
    let mut buffer = Vec::new();
    for order in orders {
        match order {
            Order::Read(Place { stream, codec, start, size }) => {
                if buffer.len() < size {
                    buffer.resize(size, 0);
                }
                let bytes = buffer.get_mut(..size).unwrap_or_default();
                file.read_exact_at(bytes, start)?;
                let digest = codec::digest(codec, bytes, Form::File);
                found.0.entry(stream).or_default().push(ReadPacket { start, size, digest });
            }
            Order::Forget(range) => forgotten.push(range),
        }
    }
    let is_kept = |packet: &ReadPacket| {
        let own = packet.range();
        !forgotten.iter().any(|range| range.start < own.end && own.start < range.end)
    };
    found.0.retain(|_, packets| packets.iter().all(is_kept));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: usize = 2;

    fn codec() -> &'static dyn Codec {
        codec::tables().codecs[0]
    }

    /// Writes bytes at offsets, in this order, and reads packets of these ranges again.
    fn read_again(writes: &[(u64, &[u8])], packets: &[Range<u64>]) -> ReadPackets {
        let file = tempfile::tempfile().unwrap();
        let back = ReadBack::start(&file).unwrap();
        let mut watcher = back.watcher();
        for range in packets {
            back.expect(STREAM, codec(), range.start, (range.end - range.start) as usize);
        }
        for (at, bytes) in writes {
            file.write_all_at(bytes, *at).unwrap();
            watcher.wrote(*at, *at + bytes.len() as u64);
        }
        drop(watcher);
        back.finish()
    }

    fn digest(bytes: &[u8]) -> u64 {
        codec::digest(codec(), bytes, Form::File)
    }

    #[test]
    fn packets_are_read_where_they_lie_whatever_writes_they_came_in() {
        let bytes: Vec<u8> = (0..100).collect();
        let read = read_again(&[(0, &bytes[..15]), (15, &bytes[15..])], &[10..30, 30..100]);
        let expected = [
            ReadPacket { start: 10, size: 20, digest: digest(&bytes[10..30]) },
            ReadPacket { start: 30, size: 70, digest: digest(&bytes[30..]) },
        ];
        assert_eq!(read.of_stream(STREAM, &[(10, 20), (30, 70)]), Some(&expected[..]));
    }

    #[test]
    fn packets_that_the_index_lists_elsewhere_do_not_count() {
        let read = read_again(&[(0, &[1; 100])], &[10..30, 30..100]);
        for listed in [&[(10, 20)][..], &[(10, 20), (31, 70)], &[(10, 21), (30, 70)], &[]] {
            assert_eq!(read.of_stream(STREAM, listed), None, "{listed:?}");
        }
        assert_eq!(read.of_stream(STREAM + 1, &[(10, 20), (30, 70)]), None);
    }

    #[test]
    fn a_stream_of_which_a_byte_is_written_again_does_not_count() {
        let listed = [(10, 20), (30, 70)];
        for (at, counts) in [(0, true), (8, true), (9, false), (29, false), (98, false)] {
            let read = read_again(&[(0, &[1; 100]), (at, &[1, 1])], &[10..30, 30..100]);
            assert_eq!(read.of_stream(STREAM, &listed).is_some(), counts, "{at}");
        }
    }

    #[test]
    fn nothing_is_found_in_a_file_that_ends_before_its_packets() {
        let read = read_again(&[(0, &[1; 50])], &[10..30, 30..100]);
        assert_eq!(read.of_stream(STREAM, &[(10, 20), (30, 70)]), None);
    }
}
