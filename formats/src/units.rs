//! Units of H.264 and HEVC (NAL units), as a byte stream and as files frame them.

use crate::codec::Form;

/// The units of a byte stream, without their start codes (ITU-T H.264, Annex B; of H.265 the same).
pub(crate) fn units(stream: &[u8]) -> Vec<&[u8]> {
    let mut starts: Vec<usize> = Vec::new();
    let mut at = 0;
    while at + 3 <= stream.len() {
        // Most bytes rule out two places at once.
        if stream[at + 2] > 1 {
            at += 3;
        } else if stream[at..at + 3] == [0, 0, 1] {
            starts.push(at + 3);
            at += 3;
        } else {
            at += 1;
        }
    }
    let ends = starts.iter().skip(1).map(|next| next - 3).chain([stream.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| {
            let unit = &stream[*start..end];
            // The zeros of a start code of four bytes, and others that trail.
            let long = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            &unit[..long]
        })
        .collect()
}

/// The units of a packet of a file, each behind its length in four bytes (ISO/IEC 14496-15, 5.3.3; of HEVC 8.3.2), and the bytes behind
/// the last whole one: none, in a packet that is right.
pub(crate) fn framed_units(packet: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let mut units = Vec::new();
    let mut rest = packet;
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let Some((unit, behind)) = behind.split_at_checked(length) else { break };
        units.push(unit);
        rest = behind;
    }
    (units, rest)
}

/// The units of a packet, and the bytes behind the last whole one.
pub(crate) fn units_of(packet: &[u8], form: Form) -> (Vec<&[u8]>, &[u8]) {
    match form {
        Form::Encoder | Form::Stream => (units(packet), &[]),
        Form::File => framed_units(packet),
    }
}

/// What units of a stream are for, beside what is in the pictures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Framing {
    /// Whether a unit tells one picture from the one before it.
    pub(crate) is_delimiter: fn(&[u8]) -> bool,
    /// Whether a unit is a codec header.
    pub(crate) is_header: fn(&[u8]) -> bool,
}

impl Framing {
    /// Returns `true` if a packet of a stream begins with a delimiter, with these headers behind it if it is a keyframe, and has no
    /// others.
    pub(crate) fn holds(self, packet: &[u8], is_keyframe: bool, headers: &[u8]) -> bool {
        let all = units(packet);
        let headers = if is_keyframe { units(headers) } else { Vec::new() };
        let Some((first, rest)) = all.split_first() else { return false };
        let is_of_stream = |unit: &&[u8]| (self.is_delimiter)(unit) || (self.is_header)(unit);
        (self.is_delimiter)(first)
            && rest.strip_prefix(headers.as_slice()).is_some_and(|rest| !rest.iter().any(is_of_stream))
    }
}

/// Gives each unit of a packet, behind its length: the same for all forms of the same packet. Those that make it one of a stream are
/// left out there.
pub(crate) fn each_unit(packet: &[u8], form: Form, framing: Framing, give: &mut dyn FnMut(&[u8])) {
    let (units, rest) = units_of(packet, form);
    let is_left_out =
        |unit: &[u8]| form == Form::Stream && ((framing.is_delimiter)(unit) || (framing.is_header)(unit));
    for unit in units.into_iter().filter(|unit| !is_left_out(unit)) {
        give(&(unit.len() as u64).to_le_bytes());
        give(unit);
    }
    // Bytes behind the last unit are of no encoder. A decoder may take them for something.
    give(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_lie_between_start_codes_of_three_or_four_bytes() {
        assert_eq!(units(&[0, 0, 0, 1, 9, 8, 0, 0, 1, 7, 0]), [&[9, 8][..], &[7]]);
        assert_eq!(units(&[0, 0, 1, 5, 0, 0, 0, 1, 6]), [&[5][..], &[6]]);
        assert_eq!(units(&[1, 2, 3]), [&[0_u8; 0][..]; 0]);
    }

    #[test]
    fn units_lie_behind_their_lengths_and_the_rest_is_no_unit() {
        let none: &[u8] = &[];
        assert_eq!(framed_units(&[0, 0, 0, 2, 9, 8, 0, 0, 0, 1, 7]), (vec![&[9, 8][..], &[7]], none));
        assert_eq!(framed_units(&[0, 0, 0, 1, 7, 0, 0]), (vec![&[7][..]], &[0, 0][..]));
        assert_eq!(
            framed_units(&[0, 0, 0, 2, 7]),
            (Vec::new(), &[0, 0, 0, 2, 7][..]),
            "a unit that is cut off"
        );
    }
}
