//! Units of H.264 (NAL units), as a byte stream and as files frame them.

/// The units of a byte stream, without their start codes (ITU-T H.264, Annex B).
pub(super) fn units(stream: &[u8]) -> Vec<&[u8]> {
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

/// The units of a packet of a file, each behind its length in four bytes (ISO/IEC 14496-15, 5.3.3), and the bytes behind
/// the last whole one: none, in a packet that is right.
pub(super) fn framed_units(packet: &[u8]) -> (Vec<&[u8]>, &[u8]) {
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
