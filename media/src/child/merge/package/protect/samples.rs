//! Encrypts samples by themselves, by scheme `cbcs` (ISO/IEC 23001-7, 10.4), and reads them again.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use millrace_formats::slices::Slices;

use super::cipher::{BLOCK, Decryption, EncryptionMode};
use crate::{
    boxes::{
        self,
        encrypt::{self, Parts, Scheme, push_part},
        encrypted::{self, Samples},
    },
    child::{failure::Failure, merge::package::manifests::read},
    protocol::ContentKey,
    read_at::ReadAt,
};

/// How blocks of pictures are encrypted: one, and not the nine behind it (10.4.2).
const PATTERN: (u8, u8) = (1, 9);

/// The output as a reader of boxes has it.
struct Region<'a>(&'a File);

impl ReadAt for Region<'_> {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.0.read_at(buffer, at)
    }
}

/// What encrypts the samples of a track.
pub(super) struct SampleProtector<'a> {
    pub(super) key: &'a ContentKey,
    pub(super) key_id: [u8; 16],
    pub(super) vector: [u8; 16],
    /// What reads slices of pictures; `None` for sound, whose samples are encrypted as a whole.
    pub(super) slices: Option<Box<dyn Slices>>,
}

impl SampleProtector<'_> {
    fn scheme(&self) -> Scheme {
        let pattern = if self.slices.is_some() { PATTERN } else { (0, 0) };
        Scheme { key_id: self.key_id, vector: self.vector, pattern }
    }

    /// Returns an initialization segment that says how samples are encrypted.
    pub(super) fn initialization(&self, clear: &[u8]) -> Result<Vec<u8>, Failure> {
        encrypt::in_initialization(clear, self.slices.is_some(), self.scheme())
            .ok_or_else(|| Failure::new("encrypting a track: its sample entry is not where it must be"))
    }

    /// Encrypts the samples of the fragment at a byte of the output, which ends at `end` at the latest. Returns the encrypted fragment, and
    /// where the clear one ends.
    pub(super) fn fragment(&self, output: &File, at: u64, end: u64) -> Result<(Vec<u8>, u64), Failure> {
        let wrong = |reason: String| Failure::new(format!("encrypting a fragment: {reason}"));
        let found = boxes::fragment(end, &Region(output), at).map_err(wrong)?;
        let mut bytes = read(output, at..found.end())?;
        let front = usize::try_from(found.moof + 8).unwrap_or(usize::MAX);
        let (head, mut data) =
            bytes.split_at_mut_checked(front).ok_or_else(|| wrong("it is shorter than it says".into()))?;
        let mut all = Vec::new();
        for sample in &found.samples {
            let size = usize::try_from(sample.size).unwrap_or(usize::MAX);
            let (sample, rest) = std::mem::take(&mut data)
                .split_at_mut_checked(size)
                .ok_or_else(|| wrong("a sample is cut off".into()))?;
            data = rest;
            all.push(self.sample(sample)?);
        }
        if self.slices.is_some() {
            let moof = head.get(..front.saturating_sub(8)).unwrap_or_default();
            let moof = encrypt::in_fragment(moof, &all)
                .ok_or_else(|| wrong("a picture has more than 42 slices".into()))?;
            bytes.splice(..front.saturating_sub(8), moof);
        }
        Ok((bytes, found.end()))
    }

    /// Encrypts a sample. Returns its parts.
    fn sample(&self, sample: &mut [u8]) -> Result<Parts, Failure> {
        let mut parts = Parts::new();
        let Some(slices) = &self.slices else {
            EncryptionMode::new(self.key, self.vector).encrypt(sample);
            return Ok(parts);
        };
        let unread =
            || Failure::new("encrypting pictures: the header of a slice can't be read; set another method");
        let mut rest = sample;
        // Clear bytes in front of `rest` that belong to no part yet.
        let mut clear = 0_usize;
        while !rest.is_empty() {
            let length = rest.first_chunk::<4>().ok_or_else(unread)?;
            let length = u32::from_be_bytes(*length) as usize;
            let (unit, behind) =
                std::mem::take(&mut rest).split_at_mut_checked(4 + length).ok_or_else(unread)?;
            rest = behind;
            let head = 4 + slices.clear_bytes(unit.get(4..).unwrap_or_default()).ok_or_else(unread)?;
            let (head, data) = unit.split_at_mut_checked(head).ok_or_else(unread)?;
            clear += head.len();
            if data.len() < BLOCK {
                clear += data.len();
                continue;
            }
            let mut mode = EncryptionMode::new(self.key, self.vector);
            for run in data.chunks_mut(BLOCK * usize::from(PATTERN.0 + PATTERN.1)) {
                if let Some(block) = run.get_mut(..BLOCK * usize::from(PATTERN.0)) {
                    mode.encrypt(block);
                }
            }
            let size = |bytes: usize| u32::try_from(bytes).map_err(Failure::at("encrypting pictures"));
            push_part(&mut parts, size(clear)?, size(data.len())?);
            clear = 0;
        }
        if clear > 0 {
            push_part(&mut parts, u32::try_from(clear).map_err(Failure::at("encrypting pictures"))?, 0);
        }
        Ok(parts)
    }
}

/// What reads an encrypted track again: by what its boxes state, and by a key.
pub(super) struct SampleReader<'a> {
    key: &'a ContentKey,
    scheme: Scheme,
}

impl<'a> SampleReader<'a> {
    /// Reads an initialization segment, and compares what it says with the clear one.
    pub(super) fn new(
        key: &'a ContentKey,
        (clear, encrypted): (&[u8], &[u8]),
        (is_video, key_id): (bool, [u8; 16]),
    ) -> Result<Self, Failure> {
        let stated = encrypted::initialization(encrypted, is_video)
            .ok_or_else(|| Failure::new("its initialization segment does not say how it is encrypted"))?;
        let entry = encrypted::clear_entry(clear);
        if entry != Some((stated.kind, stated.entry)) || stated.scheme.key_id != key_id {
            return Err(Failure::new("its initialization segment says something else than the clear one"));
        }
        Ok(Self { key, scheme: stated.scheme })
    }

    /// Reads a fragment, and compares it with the clear one: samples, and their times. Both are given by where they begin, and where they
    /// end at the latest. Returns where they end.
    pub(super) fn compare(
        &self,
        output: &File,
        clear: (u64, u64),
        encrypted: (u64, u64),
    ) -> Result<(u64, u64), Failure> {
        let region = Region(output);
        let read_at = |(at, end): (u64, u64)| boxes::fragment(end, &region, at).map_err(Failure::new);
        let (asked, found) = (read_at(clear)?, read_at(encrypted)?);
        if asked.start != found.start || asked.samples != found.samples {
            return Err(Failure::new("its samples have other times or sizes"));
        }
        let data =
            |fragment: &boxes::Fragment| read(output, fragment.offset + fragment.moof + 8..fragment.end());
        let (asked_data, mut found_data) = (data(&asked)?, data(&found)?);
        let moof = read(output, found.offset..found.offset + found.moof)?;
        let parts = match encrypted::samples(&moof) {
            Some(Samples::Whole) => None,
            Some(Samples::InParts(parts)) if parts.len() == found.samples.len() => Some(parts),
            _ => return Err(Failure::new("it is not said which parts of its samples are encrypted")),
        };
        if parts.is_some() != (self.scheme.pattern != (0, 0)) {
            return Err(Failure::new("its samples are encrypted in another way than is said"));
        }
        let mut rest = &mut found_data[..];
        for (number, sample) in found.samples.iter().enumerate() {
            let cut_off = || Failure::new("a sample is cut off");
            let size = usize::try_from(sample.size).unwrap_or(usize::MAX);
            let (sample, behind) =
                std::mem::take(&mut rest).split_at_mut_checked(size).ok_or_else(cut_off)?;
            rest = behind;
            match parts.as_ref().map(|parts| parts.get(number)) {
                None => self.decrypt_whole(sample),
                Some(parts) => {
                    let parts = parts.map_or(&[][..], Vec::as_slice);
                    self.decrypt_parts(sample, parts).ok_or_else(cut_off)?;
                }
            }
        }
        if asked_data == found_data {
            return Ok((asked.end(), found.end()));
        }
        Err(Failure::new("its samples can't be decrypted to what they were made of"))
    }

    /// Decrypts a sample that is encrypted but for what is behind its last whole block.
    fn decrypt_whole(&self, sample: &mut [u8]) {
        let whole = sample.len() - sample.len() % BLOCK;
        if let Some(blocks) = sample.get_mut(..whole) {
            // Whole blocks alone.
            let _ = Decryption::new(self.key, self.scheme.vector).decrypt(blocks);
        }
    }

    /// Decrypts a sample by its parts, which are all of it; `None` if they are not. Each has the vector, and the pattern, from the start.
    fn decrypt_parts(&self, sample: &mut [u8], parts: &[(u16, u32)]) -> Option<()> {
        let (encrypted, clear) = self.scheme.pattern;
        let (run, span) = (BLOCK * usize::from(encrypted), BLOCK * usize::from(encrypted + clear));
        let mut at = 0;
        for (front, length) in parts {
            let start = at + usize::from(*front);
            at = start.checked_add(usize::try_from(*length).ok()?)?;
            let mut decryption = Decryption::new(self.key, self.scheme.vector);
            let mut from = start;
            while from + BLOCK <= at {
                let whole = (at - from) / BLOCK * BLOCK;
                decryption.decrypt(sample.get_mut(from..from + run.min(whole))?)?;
                from += span;
            }
        }
        (at == sample.len()).then_some(())
    }
}
