//! MPEG-4 descriptors (ISO/IEC 14496-1, 7.2.6), in which `esds` boxes say what `mp4a` is.

use super::bits::Bits;

/// Returns the content of the descriptor that `bytes` begin with, if it has this tag.
fn descriptor(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    if *bytes.first()? != tag {
        return None;
    }
    let mut size = 0usize;
    for at in 1..=4 {
        let byte = *bytes.get(at)?;
        size = size << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return bytes.get(at + 1..(at + 1).checked_add(size)?);
        }
    }
    None
}

/// Returns the codec string of an `esds` box's content: `mp4a`, the object type, and of MPEG-4 audio the audio object type.
pub(super) fn codec_string(content: &[u8]) -> Option<String> {
    const STREAM: u8 = 3;
    const DECODER: u8 = 4;
    const SPECIFIC: u8 = 5;
    let stream = descriptor(content.get(4..)?, STREAM)?;
    let flags = *stream.get(2)?;
    let mut at = 3;
    if flags & 0x80 != 0 {
        at += 2;
    }
    if flags & 0x40 != 0 {
        at += 1 + usize::from(*stream.get(at)?);
    }
    if flags & 0x20 != 0 {
        at += 2;
    }
    let decoder = descriptor(stream.get(at..)?, DECODER)?;
    match *decoder.first()? {
        0x40 => {
            let mut bits = Bits::new(descriptor(decoder.get(13..)?, SPECIFIC)?);
            let kind = match bits.read(5)? {
                31 => 32 + bits.read(6)?,
                kind => kind,
            };
            Some(format!("mp4a.40.{kind}"))
        }
        // Layer 3 of MPEG-2 and MPEG-1, in the one form that all players know.
        0x69 | 0x6b => Some("mp4a.40.34".into()),
        object => Some(format!("mp4a.{object:02X}")),
    }
}
