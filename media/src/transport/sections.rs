//! The tables of a transport stream (2.4.4): which program there is, of which tracks it consists, and what it is called.

use std::collections::HashMap;

/// Identifiers of packets of tables (table 2-3; EN 300 468, table 1).
const PROGRAMS: u16 = 0;
const SERVICES: u16 = 0x11;
/// Identifiers of tables (table 2-31; EN 300 468, table 2).
const PROGRAM_ASSOCIATION: u8 = 0;
const PROGRAM_MAP: u8 = 2;
const SERVICE_DESCRIPTION: u8 = 0x42;
/// Tags of descriptors (table 2-45; EN 300 468, table 12).
const LANGUAGE: u8 = 0x0a;
const SERVICE: u8 = 0x48;
/// The bytes of a checksum behind each section.
const CHECKSUM: usize = 4;

/// The tables, as far as they were read.
#[derive(Default)]
pub(super) struct Sections {
    /// The section of each identifier that is being read, or was read last.
    partial: HashMap<u16, Vec<u8>>,
    /// The first section of each identifier, which others repeat.
    whole: HashMap<u16, Vec<u8>>,
    /// The identifier of the packets of the program's map.
    map: Option<u16>,
    clock: Option<u16>,
    /// Identifier and language of each track.
    tracks: Vec<(u16, String)>,
    provider: String,
}

impl Sections {
    /// Returns `true` if packets of this identifier are those of a table.
    pub(super) fn is_of_table(&self, pid: u16) -> bool {
        pid < 0x20 || self.map == Some(pid)
    }

    /// The identifier of the packets with clock references.
    pub(super) fn clock_pid(&self) -> Option<u16> {
        self.clock
    }

    pub(super) fn provider(&self) -> &str {
        &self.provider
    }

    /// The identifiers of the tracks, and their languages.
    pub(super) fn tracks(&self) -> impl Iterator<Item = (u16, &str)> {
        self.tracks.iter().map(|(pid, language)| (*pid, language.as_str()))
    }

    /// Takes the payload of a packet of a table.
    pub(super) fn take(&mut self, pid: u16, begins: bool, payload: &[u8]) -> Result<(), String> {
        let section = self.partial.entry(pid).or_default();
        if begins {
            // A pointer to the begin of the section (2.4.4.2).
            let (skipped, rest) = payload.split_first().ok_or("an empty packet of a table")?;
            section.clear();
            section
                .extend_from_slice(rest.get(usize::from(*skipped)..).ok_or("a pointer behind its packet")?);
        } else {
            section.extend_from_slice(payload);
        }
        let Some([_, high, low]) = section.first_chunk::<3>() else { return Ok(()) };
        let length = 3 + (usize::from(high & 0x0f) << 8 | usize::from(*low));
        if section.len() < length {
            return Ok(());
        }
        let whole = section[..length].to_vec();
        section.clear();
        match self.whole.get(&pid) {
            Some(first) if *first == whole => Ok(()),
            Some(_) => Err("a table that changes".into()),
            None => {
                self.read(pid, &whole).ok_or("a table that can't be read")?;
                self.whole.insert(pid, whole);
                Ok(())
            }
        }
    }

    fn read(&mut self, pid: u16, section: &[u8]) -> Option<()> {
        (checksum(section) == 0).then_some(())?;
        let body = section.get(..section.len().checked_sub(CHECKSUM)?)?;
        match (pid, *body.first()?) {
            (PROGRAMS, PROGRAM_ASSOCIATION) => self.association(body.get(8..)?),
            (SERVICES, SERVICE_DESCRIPTION) => self.service(body.get(11..)?),
            (pid, PROGRAM_MAP) if self.map == Some(pid) => self.program(body.get(8..)?),
            _ => Some(()),
        }
    }

    /// The one program (2.4.4.4).
    fn association(&mut self, programs: &[u8]) -> Option<()> {
        let [_, _, high, low] = *programs else { return None };
        self.map = Some(pid(high, low));
        Some(())
    }

    /// The tracks of the program (2.4.4.9).
    fn program(&mut self, body: &[u8]) -> Option<()> {
        let (clock, body) = body.split_first_chunk::<2>()?;
        self.clock = Some(pid(clock[0], clock[1]));
        let (_, mut rest) = described(body)?;
        while let Some(([_, high, low], behind)) = rest.split_first_chunk::<3>() {
            let (descriptors, behind) = described(behind)?;
            let language = descriptor(descriptors, LANGUAGE).and_then(|language| language.get(..3));
            let language = language.map(|language| String::from_utf8_lossy(language).into_owned());
            self.tracks.push((pid(*high, *low), language.unwrap_or_default()));
            rest = behind;
        }
        rest.is_empty().then_some(())
    }

    /// The name of the service's provider (EN 300 468, 5.2.3 and 6.2.33).
    fn service(&mut self, body: &[u8]) -> Option<()> {
        let (descriptors, _) = described(body.get(3..)?)?;
        let (length, rest) = descriptor(descriptors, SERVICE)?.get(1..)?.split_first()?;
        self.provider = String::from_utf8_lossy(rest.get(..usize::from(*length))?).into_owned();
        Some(())
    }
}

fn pid(high: u8, low: u8) -> u16 {
    u16::from(high & 0x1f) << 8 | u16::from(low)
}

/// Descriptors behind their length of 12 bits, and what is behind them.
fn described(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let ([high, low], rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(high & 0x0f) << 8 | usize::from(*low))
}

/// The first descriptor with this tag (2.6).
fn descriptor(mut descriptors: &[u8], wanted: u8) -> Option<&[u8]> {
    while let Some(([tag, length], rest)) = descriptors.split_first_chunk::<2>() {
        let (data, behind) = rest.split_at_checked(usize::from(*length))?;
        if *tag == wanted {
            return Some(data);
        }
        descriptors = behind;
    }
    None
}

/// The checksum of a section with its checksum behind it: 0 if that is right (annex A).
pub(super) fn checksum(section: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x04c1_1db7;
    section.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte) << 24, |sum, _| {
            sum << 1 ^ if sum >> 31 == 1 { POLYNOMIAL } else { 0 }
        })
    })
}
