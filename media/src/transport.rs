//! Reads a transport stream as the file states it (ISO/IEC 13818-1), before any demuxer corrects it. Pure. Clauses are those of
//! ISO/IEC 13818-1.

mod sections;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use crate::read_at::ReadAt;
use sections::Sections;

/// The bytes of a packet (2.4.3.2).
const PACKET: usize = 188;
const SYNC: u8 = 0x47;
/// The packets that are read at once.
const AT_ONCE: usize = 512;
/// The packet identifier of packets that hold nothing (table 2-3).
const NOTHING: u16 = 0x1fff;
/// Ticks of a clock reference in a tick of a time (2.4.2.1).
const TICKS: u64 = 300;

/// What a file states of its tracks.
#[derive(Debug, Default)]
pub(crate) struct Transport {
    /// The name of the provider of its service (EN 300 468, 6.2.33).
    pub(crate) provider: String,
    /// In the order of the map of its program.
    pub(crate) tracks: Vec<Track>,
}

/// A track.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Track {
    /// Its language (2.6.18), in three letters; empty if none is stated.
    pub(crate) language: String,
    /// In the order of the file.
    pub(crate) units: Vec<Unit>,
}

/// A packet of an elementary stream (PES packet).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unit {
    /// The presentation time, in ticks of 90 kHz.
    pub(crate) pts: u64,
    /// The decoding time; the presentation time if it is not stated.
    pub(crate) dts: u64,
    /// Whether it says that decoding can begin there (2.4.3.5, `random_access_indicator`).
    pub(crate) is_entry: bool,
    /// The last clock reference in front of it, in ticks of 90 kHz; `None` if there is none.
    pub(crate) clock: Option<u64>,
}

/// Reads a file of one program with at most `most` packets of elementary streams. Packets must follow each other without a gap, each
/// table must be the same each time, and clock references must increase.
///
/// # Errors
/// Says what is wrong where.
pub(crate) fn transport(size: u64, file: &impl ReadAt, most: u64) -> Result<Transport, String> {
    let mut reading = Reading { left: most, ..Reading::default() };
    let mut buffer = vec![0; AT_ONCE * PACKET];
    let mut at = 0;
    while at < size {
        let wanted = usize::try_from(size - at).map_or(buffer.len(), |rest| rest.min(buffer.len()));
        let mut got = 0;
        while got < wanted {
            let read = file.read_at(&mut buffer[got..wanted], at + got as u64);
            match read.map_err(|error| format!("it can't be read: {error}"))? {
                0 => return Err(format!("it ends at byte {}", at + got as u64)),
                more => got += more,
            }
        }
        for packet in buffer[..wanted].chunks(PACKET) {
            reading.packet(packet).map_err(|wrong| format!("{wrong} in the packet at byte {at}"))?;
            at += packet.len() as u64;
        }
    }
    reading.finish()
}

/// What was read so far.
#[derive(Default)]
struct Reading {
    sections: Sections,
    /// Of each identifier, the number of its last packet with a payload (2.4.3.3, `continuity_counter`).
    counters: HashMap<u16, u8>,
    /// The packets of each elementary stream, by its identifier.
    units: HashMap<u16, Vec<Unit>>,
    clock: Option<u64>,
    /// How many more packets of elementary streams there may be.
    left: u64,
}

impl Reading {
    fn packet(&mut self, packet: &[u8]) -> Result<(), String> {
        let Some([sync, high, low, control, rest @ ..]) = packet.first_chunk::<PACKET>() else {
            return Err(format!("{} bytes instead of {PACKET}", packet.len()));
        };
        if *sync != SYNC || high & 0x80 != 0 || control & 0xc0 != 0 {
            return Err("no synchronization, an error or encryption".into());
        }
        let pid = u16::from(high & 0x1f) << 8 | u16::from(*low);
        if pid == NOTHING {
            return Ok(());
        }
        let (has_adaptation, has_payload) = (control & 0x20 != 0, control & 0x10 != 0);
        let (adaptation, payload) = if has_adaptation {
            let (length, rest) = rest.split_first().ok_or("no adaptation field")?;
            rest.split_at_checked(usize::from(*length)).ok_or("an adaptation field that is too long")?
        } else {
            (&[][..], &rest[..])
        };
        self.continuity(pid, control & 0x0f, has_payload)?;
        let flags = adaptation.first().copied().unwrap_or(0);
        if flags & 0x80 != 0 {
            return Err("a discontinuity".into());
        }
        if flags & 0x10 != 0 && self.sections.clock_pid() == Some(pid) {
            self.clock_reference(adaptation)?;
        }
        let begins = high & 0x40 != 0;
        if !has_payload {
            return Ok(());
        }
        if self.sections.is_of_table(pid) {
            return self.sections.take(pid, begins, payload);
        }
        if begins {
            let unit = self.unit(payload, flags & 0x40 != 0)?;
            self.left = self.left.checked_sub(1).ok_or("more packets of its tracks than it can have")?;
            self.units.entry(pid).or_default().push(unit);
        }
        Ok(())
    }

    /// Holds the number of a packet to the one before it (2.4.3.3).
    fn continuity(&mut self, pid: u16, counter: u8, has_payload: bool) -> Result<(), String> {
        let step = u8::from(has_payload);
        let last = self.counters.insert(pid, counter);
        match last.map(|last| (last + step) & 0x0f) {
            Some(expected) if expected != counter => {
                Err(format!("number {counter} instead of {expected} of identifier {pid}"))
            }
            _ => Ok(()),
        }
    }

    /// `program_clock_reference` (2.4.3.5): 33 bits, 6 that are reserved, and 9.
    fn clock_reference(&mut self, adaptation: &[u8]) -> Result<(), String> {
        let bytes = adaptation.get(1..7).and_then(|bytes| bytes.first_chunk::<6>());
        let [a, b, c, d, e, f] = *bytes.ok_or("a clock reference that is cut off")?;
        let all = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        let clock = (all >> 15) * TICKS + (all & 0x1ff);
        if self.clock.is_some_and(|last| last >= clock) {
            return Err("a clock reference that does not increase".into());
        }
        self.clock = Some(clock);
        Ok(())
    }

    /// The header of a packet of an elementary stream (2.4.3.6).
    fn unit(&self, payload: &[u8], is_entry: bool) -> Result<Unit, String> {
        let [0, 0, 1, _, _, _, _, flags, _] =
            *payload.first_chunk::<9>().ok_or("a header that is cut off")?
        else {
            return Err("no start code".into());
        };
        let time = |from: usize| -> Result<u64, String> {
            let [a, b, c, d, e] =
                *payload.get(from..).and_then(<[u8]>::first_chunk).ok_or("a time that is cut off")?;
            let [a, b, c, d, e] = [a, b, c, d, e].map(u64::from);
            Ok((a >> 1 & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1)
        };
        let (pts, dts) = match flags >> 6 {
            2 => (time(9)?, time(9)?),
            3 => (time(9)?, time(14)?),
            _ => return Err("no time".into()),
        };
        Ok(Unit { pts, dts, is_entry, clock: self.clock.map(|clock| clock / TICKS) })
    }

    fn finish(mut self) -> Result<Transport, String> {
        let tracks = self.sections.tracks().map(|(pid, language)| Track {
            language: language.to_owned(),
            units: self.units.remove(&pid).unwrap_or_default(),
        });
        let tracks = tracks.collect();
        if let Some(pid) = self.units.keys().next() {
            return Err(format!("packets of identifier {pid}, which the map of its program does not name"));
        }
        Ok(Transport { provider: self.sections.provider().to_owned(), tracks })
    }
}
