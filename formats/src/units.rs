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

/// Gives each unit of a packet, behind its length: the same for both forms of the same packet.
pub(crate) fn each_unit(packet: &[u8], form: Form, give: &mut dyn FnMut(&[u8])) {
    const NOTHING: &[u8] = &[];
    let (units, rest) = match form {
        Form::Encoder => (units(packet), NOTHING),
        Form::File => framed_units(packet),
    };
    for unit in units {
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
