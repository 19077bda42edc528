//! Codec strings (RFC 6381) from the configuration that files have.

use crate::Error;

mod av1;
mod bits;
mod descriptors;
mod entry;

/// Returns the codec string of a track for manifests.
///
/// `sample_entry` is the four-character code of the sample entry. `configuration` is the configuration box's content, behind its size and
/// type, so with version and flags where it is a full box (`avcC`, `hvcC`, `av1C`, `vpcC`, `esds`); it isn't read for other codecs.
///
/// Sources: ISO/IEC 14496-15 annex E (AVC, HEVC), "AV1 Codec ISO Media File Format Binding" 5, "VP Codec ISO Media File Format Binding", RFC
/// 6381 3.3 (MPEG-4 audio), ETSI TS 102 366 F (AC-3), and the bindings of Opus and FLAC.
///
/// # Errors
/// If the codec is unknown, or its configuration is cut off.
pub fn codec_string(sample_entry: [u8; 4], configuration: &[u8]) -> Result<String, Error> {
    let cut_off = || Error::codec(sample_entry, "its configuration is cut off");
    let byte = |at: usize| configuration.get(at).copied().ok_or_else(cut_off);
    let name = String::from_utf8_lossy(&sample_entry).into_owned();
    match &sample_entry {
        b"avc1" | b"avc3" => Ok(format!("{name}.{:02x}{:02x}{:02x}", byte(1)?, byte(2)?, byte(3)?)),
        b"hvc1" | b"hev1" => hevc(&name, configuration).ok_or_else(cut_off),
        b"av01" => av1::codec_string(configuration).ok_or_else(cut_off),
        b"vp08" | b"vp09" => {
            let (depth, chroma, full_range) = (byte(6)? >> 4, (byte(6)? >> 1) & 7, byte(6)? & 1);
            Ok(format!(
                "{name}.{:02}.{:02}.{depth:02}.{chroma:02}.{:02}.{:02}.{:02}.{full_range:02}",
                byte(4)?,
                byte(5)?,
                byte(7)?,
                byte(8)?,
                byte(9)?
            ))
        }
        b"mp4a" => descriptors::codec_string(configuration).ok_or_else(cut_off),
        // MPEG-4's object type of layer 3, as Apple's HLS has it.
        b".mp3" => Ok("mp4a.40.34".into()),
        b"Opus" | b"fLaC" | b"alac" | b"ac-3" | b"ec-3" => Ok(name),
        _ => Err(Error::codec(sample_entry, "packages have no such codec")),
    }
}

/// Returns the codec string of the first track of an initialization segment (`ftyp`, `moov`).
///
/// # Errors
/// If it has no sample entry, or as [`codec_string`].
pub fn init_codecs(init: &[u8]) -> Result<String, Error> {
    let (sample_entry, configuration) = entry::find(init)
        .ok_or_else(|| Error::codec(*b"stsd", "the initialization segment has no sample entry"))?;
    codec_string(sample_entry, configuration)
}

/// ISO/IEC 14496-15, E.3: profile, compatibility flags in reverse bit order, tier and level, and constraints without trailing zeros.
fn hevc(name: &str, record: &[u8]) -> Option<String> {
    let profile = *record.get(1)?;
    let flags = u32::from_be_bytes(record.get(2..6)?.try_into().ok()?);
    let constraints = record.get(6..12)?;
    let level = *record.get(12)?;
    let space = ["", "A", "B", "C"][usize::from(profile >> 6)];
    let tier = if profile & 0x20 == 0 { 'L' } else { 'H' };
    let mut text = format!("{name}.{space}{}.{:x}.{tier}{level}", profile & 0x1f, flags.reverse_bits());
    let used = constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    for byte in &constraints[..used] {
        text.push_str(&format!(".{byte:X}"));
    }
    Some(text)
}

#[cfg(test)]
mod tests;
