//! The source of a merge's copies: its packets are read once for all of them.

use std::{collections::VecDeque, fs::File};

use ffmpeg_next::Packet;

use super::track::changed;
use crate::child::{
    alive,
    failure::Failure,
    libav::packet::new_headers,
    source::{Depth, Source},
};

/// How many bytes of packets wait at most for the tracks that they are of. A file whose tracks lie farther apart is read once for each.
const MOST_WAITING: usize = 64 << 20;

/// A source whose packets several tracks are copied from.
pub(crate) struct SharedSource {
    pub(crate) source: Source,
    file: File,
    streams: Vec<Stream>,
    /// The bytes of all packets that wait.
    waiting: usize,
}

struct Stream {
    index: i32,
    /// Packets that were read and not taken yet.
    packets: VecDeque<Packet>,
    /// How many packets were taken.
    taken: u64,
    /// Where it is read alone.
    alone: Option<Source>,
}

impl SharedSource {
    /// Opens a source of which these streams are copied.
    ///
    /// # Errors
    /// If it can't be opened, lacks one of the streams, or one is named twice.
    pub(crate) fn open(file: File, streams: &[i32]) -> Result<Self, Failure> {
        let again = file.try_clone().map_err(Failure::at("reading the source"))?;
        let mut source = Source::open(again, Depth::Packets)?;
        source.only(streams)?;
        let is_twice = |(at, stream): (usize, &i32)| streams[..at].contains(stream);
        if streams.iter().enumerate().any(is_twice) {
            return Err(Failure::new("a stream of the source is copied twice into one output"));
        }
        let streams = streams.iter().map(|index| Stream {
            index: *index,
            packets: VecDeque::new(),
            taken: 0,
            alone: None,
        });
        Ok(Self { source, file, streams: streams.collect(), waiting: 0 })
    }

    /// Returns the next packet of a stream; `None` at the end.
    pub(crate) fn next(&mut self, stream: i32) -> Result<Option<Packet>, Failure> {
        let at = self.streams.iter().position(|other| other.index == stream);
        let at = at.ok_or_else(|| Failure::new(format!("stream {stream} of the source is not read")))?;
        let packet = self.read_until(at)?;
        self.streams[at].taken += u64::from(packet.is_some());
        Ok(packet)
    }

    fn read_until(&mut self, at: usize) -> Result<Option<Packet>, Failure> {
        let wanted = &mut self.streams[at];
        let index = wanted.index;
        if let Some(alone) = &mut wanted.alone {
            return read(alone, &[index]);
        }
        if let Some(packet) = wanted.packets.pop_front() {
            self.waiting -= packet.size();
            return Ok(Some(packet));
        }
        loop {
            let shared: Vec<i32> =
                self.streams.iter().filter(|other| other.alone.is_none()).map(|other| other.index).collect();
            let Some(packet) = read(&mut self.source, &shared)? else { return Ok(None) };
            let stream = i32::try_from(packet.stream()).unwrap_or(-1);
            if stream == index {
                return Ok(Some(packet));
            }
            if let Some(other) = self.streams.iter_mut().find(|other| other.index == stream) {
                self.waiting += packet.size();
                other.packets.push_back(packet);
            }
            if self.waiting > MOST_WAITING {
                self.part(index)?;
            }
        }
    }

    /// Has each stream but this one read alone from here on.
    fn part(&mut self, stays: i32) -> Result<(), Failure> {
        for other in self.streams.iter_mut().filter(|other| other.index != stays && other.alone.is_none()) {
            let file = self.file.try_clone().map_err(Failure::at("reading the source"))?;
            let mut alone = Source::open(file, Depth::Packets)?;
            alone.only(&[other.index])?;
            for _ in 0..other.taken {
                read(&mut alone, &[other.index])?;
            }
            other.packets.clear();
            other.alone = Some(alone);
        }
        self.waiting = 0;
        self.source.only(&[stays])
    }
}

/// Reads the next packet of any of these streams; `None` at the end.
pub(super) fn read(source: &mut Source, streams: &[i32]) -> Result<Option<Packet>, Failure> {
    let mut packet = Packet::empty();
    let more = source.read_as_it_is(streams, &mut packet);
    if more.map_err(|error| changed(&format!("it can't be read on: {error}")))?.is_none() {
        return Ok(None);
    }
    if packet.is_corrupt() {
        return Err(changed("a packet is damaged, or cut off"));
    }
    if new_headers(&packet).is_some() {
        return Err(changed("its codec headers change on the way"));
    }
    alive::sign();
    Ok(Some(packet))
}
