//! Encrypts a package. Its objects are written and proven as they are first; then each is encrypted, behind them in the output, and what
//! was written is decrypted again and compared with what it was made of. No object is made of the first ones.

mod cipher;
mod samples;

use std::{fs::File, ops::Range};

use millrace_packages::Encryption;
use millrace_schemas::{PackagePlan, Protection};

use self::{
    cipher::{BLOCK, Decryption, EncryptionMode},
    samples::{SampleProtector, SampleReader},
};
use super::{
    manifests::read,
    spool::Spool,
    stills::WrittenStills,
    track::{WrittenSegment, WrittenTrack},
};
use crate::{
    boxes::edit,
    child::{
        failure::Failure,
        prove::{Expected, unproven},
        report::Reporter,
    },
    protocol::{ContentKey, MergeTask, read_bytes},
};

/// The bytes that are encrypted at once: whole blocks.
const CHUNK: u64 = 1 << 20;

/// What encrypts a package.
pub(super) struct Protector {
    key: ContentKey,
    encryption: Encryption,
}

impl Protector {
    /// Returns what encrypts the package of a task; `None` if it is not encrypted.
    ///
    /// # Errors
    /// If the task has no key, or the plan has another method or faulty values.
    pub(super) fn new(task: &MergeTask, plan: &PackagePlan) -> Result<Option<Self>, Failure> {
        let Some(protection) = &plan.protection else { return Ok(None) };
        let key =
            task.key.ok_or_else(|| Failure::new("the package is to be encrypted, and there is no key"))?;
        let bytes = |text: &str, what: &str| {
            read_bytes(text).ok_or_else(|| Failure::new(format!("the plan's {what} is not 16 bytes")))
        };
        let uri = protection.uri.clone();
        let vector = |text: &str| bytes(text, "initialization vector");
        let encryption = match protection.method.as_str() {
            Protection::SEGMENTS => {
                let set = Some(protection.vector.as_str()).filter(|vector| !vector.is_empty());
                Encryption::Segments { uri, vector: set.map(vector).transpose()? }
            }
            Protection::SAMPLES => Encryption::Samples {
                uri,
                vector: vector(&protection.vector)?,
                key_id: bytes(&protection.key_id, "id of the key")?,
            },
            other => return Err(Failure::new(format!("packages are not encrypted by '{other}'"))),
        };
        Ok(Some(Self { key, encryption }))
    }

    /// Returns how a track is encrypted; `None` for text whose samples would be, which has none.
    pub(super) fn encryption(&self, is_text: bool) -> Option<Encryption> {
        let is_clear = is_text && matches!(self.encryption, Encryption::Samples { .. });
        (!is_clear).then(|| self.encryption.clone())
    }

    /// Encrypts a track, which has these codec headers in files. Returns it as it is now; what is not encrypted of it stays where it is.
    pub(super) fn track(
        &self,
        output: &File,
        track: &WrittenTrack,
        (expected, headers): (&Expected, &[u8]),
        spool: &mut Spool,
        reporter: &mut Reporter,
    ) -> Result<WrittenTrack, Failure> {
        if let Encryption::Samples { vector, key_id, .. } = self.encryption {
            let slices = match expected.codec.video() {
                None => None,
                Some(codec) => Some(codec.slices().and_then(|read| read(headers)).ok_or_else(|| {
                    Failure::new("pictures of this codec can't be encrypted by samples; set another codec, or another method")
                })?),
            };
            let protector = SampleProtector { key: &self.key, key_id, vector, slices };
            return self.samples(output, track, &protector, spool, reporter);
        }
        let mut segments = Vec::new();
        for (number, segment) in (0..).zip(&track.segments) {
            let bytes = self.encrypt(output, segment.bytes.clone(), number, spool)?;
            segments.push(WrittenSegment { bytes, ..segment.clone() });
            reporter.progress(0, 0);
        }
        spool.flush()?;
        for (number, (clear, encrypted)) in (0..).zip(track.segments.iter().zip(&segments)) {
            self.compare(output, (clear.bytes.clone(), encrypted.bytes.clone()), number).map_err(
                |Failure(reason)| unproven(format!("segment {} of {}: {reason}", number + 1, track.id)),
            )?;
            reporter.progress(0, 0);
        }
        Ok(WrittenTrack { segments, ..track.clone() })
    }

    /// Encrypts the samples of a track of fragments.
    fn samples(
        &self,
        output: &File,
        track: &WrittenTrack,
        protector: &SampleProtector<'_>,
        spool: &mut Spool,
        reporter: &mut Reporter,
    ) -> Result<WrittenTrack, Failure> {
        let clear = read(output, track.init.clone())?;
        let encrypted = protector.initialization(&clear)?;
        let init = spool.write(&encrypted)?;
        let index = match &track.index {
            Some(room) => {
                let free = usize::try_from(room.end - room.start).unwrap_or(0);
                Some(spool.write(&edit::free_space(free))?)
            }
            None => None,
        };
        let mut segments = Vec::new();
        for segment in &track.segments {
            let (start, mut at) = (spool.at(), segment.bytes.start);
            while at < segment.bytes.end {
                let (fragment, end) = protector.fragment(output, at, segment.bytes.end)?;
                spool.write(&fragment)?;
                at = end;
                reporter.progress(0, 0);
            }
            segments.push(WrittenSegment { bytes: start..spool.at(), ..segment.clone() });
        }
        spool.flush()?;
        let wrong = |Failure(reason)| unproven(format!("{}, encrypted: {reason}", track.id));
        let written = read(output, init.clone())?;
        let of = (protector.slices.is_some(), protector.key_id);
        let reader = SampleReader::new(&self.key, (&clear, &written), of).map_err(wrong)?;
        for (clear, encrypted) in track.segments.iter().zip(&segments) {
            let (mut at, mut place) = (clear.bytes.start, encrypted.bytes.start);
            while at < clear.bytes.end {
                let compared = reader.compare(output, (at, clear.bytes.end), (place, encrypted.bytes.end));
                (at, place) = compared.map_err(wrong)?;
                reporter.progress(0, 0);
            }
            if (at, place) != (clear.bytes.end, encrypted.bytes.end) {
                return Err(wrong(Failure::new("a segment has more than its fragments")));
            }
        }
        Ok(WrittenTrack { init, index, segments, ..track.clone() })
    }

    /// Encrypts the I-frame track of a track.
    pub(super) fn stills(
        &self,
        output: &File,
        (track, stills): (&WrittenTrack, &WrittenStills),
        of: (&Expected, &[u8]),
        spool: &mut Spool,
        reporter: &mut Reporter,
    ) -> Result<WrittenStills, Failure> {
        let WrittenStills { init, index, frames } = stills;
        let as_track = WrittenTrack {
            id: format!("{}, keyframes by themselves", track.id),
            init: init.clone(),
            index: Some(index.clone()),
            segments: frames.clone(),
            keyframes: Vec::new(),
            ..track.clone()
        };
        let WrittenTrack { init, index, segments, .. } =
            self.track(output, &as_track, of, spool, reporter)?;
        let index = index.ok_or_else(|| Failure::new("keyframes by themselves have no room for an index"))?;
        Ok(WrittenStills { init, index, frames: segments })
    }

    /// Encrypts an object that is the only segment of its track. Returns where it is now.
    pub(super) fn object(
        &self,
        output: &File,
        object: Range<u64>,
        spool: &mut Spool,
    ) -> Result<Range<u64>, Failure> {
        let encrypted = self.encrypt(output, object.clone(), 0, spool)?;
        spool.flush()?;
        let compared = self.compare(output, (object, encrypted.clone()), 0);
        compared.map_err(|Failure(reason)| unproven(format!("an encrypted object: {reason}")))?;
        Ok(encrypted)
    }

    /// Returns the initialization vector of the segment of this number, from 0 (RFC 8216, 5.2).
    fn vector(&self, number: u64) -> [u8; BLOCK] {
        match &self.encryption {
            Encryption::Segments { vector: Some(vector), .. } => *vector,
            _ => u128::from(number).to_be_bytes(),
        }
    }

    /// Encrypts bytes of the output as a whole, with padding, behind all else in it. Returns where they are.
    fn encrypt(
        &self,
        output: &File,
        clear: Range<u64>,
        number: u64,
        spool: &mut Spool,
    ) -> Result<Range<u64>, Failure> {
        let mut mode = EncryptionMode::new(&self.key, self.vector(number));
        let start = spool.at();
        let mut at = clear.start;
        loop {
            let end = at.saturating_add(CHUNK).min(clear.end);
            let mut bytes = read(output, at..end)?;
            at = end;
            if at < clear.end {
                mode.encrypt(&mut bytes);
                spool.write(&bytes)?;
                continue;
            }
            // As many bytes more as their value says (RFC 5652, 6.3): 1 to 16.
            let padding = BLOCK - bytes.len() % BLOCK;
            bytes.resize(bytes.len() + padding, padding as u8);
            mode.encrypt(&mut bytes);
            spool.write(&bytes)?;
            return Ok(start..spool.at());
        }
    }

    /// Decrypts what was written, and compares it with what it was made of.
    fn compare(
        &self,
        output: &File,
        (clear, encrypted): (Range<u64>, Range<u64>),
        number: u64,
    ) -> Result<(), Failure> {
        let (length, padded) = (clear.end - clear.start, encrypted.end - encrypted.start);
        let padding = padded.checked_sub(length).filter(|padding| (1..=BLOCK as u64).contains(padding));
        let padding = padding.ok_or_else(|| Failure::new(format!("{padded} bytes instead of {length}")))?;
        let mut decryption = Decryption::new(&self.key, self.vector(number));
        let mut at = 0;
        while at < padded {
            let end = at.saturating_add(CHUNK).min(padded);
            let mut found = read(output, encrypted.start + at..encrypted.start + end)?;
            decryption.decrypt(&mut found).ok_or_else(|| Failure::new("it is no whole number of blocks"))?;
            let mut asked = read(output, clear.start + at.min(length)..clear.start + end.min(length))?;
            asked.resize(found.len(), padding as u8);
            if found != asked {
                return Err(Failure::new("it can't be decrypted to what it was made of"));
            }
            at = end;
        }
        Ok(())
    }
}
