//! Parameter sets of H.264 and HEVC in the records that files have of them, for packets that are copied from one file to another.

use crate::units::framed_units;

/// The codec headers of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    /// The bytes of a unit's length, from 1 to 4.
    pub(crate) length_size: u8,
    /// Parameter sets as the record has them, without their lengths.
    pub(crate) sets: Vec<&'a [u8]>,
}

/// Reads a record of H.264 (AVCDecoderConfigurationRecord, ISO/IEC 14496-15, 5.3.3.1); `None` for anything else.
pub(crate) fn avc_record(bytes: &[u8]) -> Option<Record<'_>> {
    let (&[1, _, _, _, length, count], mut rest) = bytes.split_first_chunk::<6>()? else { return None };
    let mut sets = Vec::new();
    take_sets(&mut rest, (count & 31).into(), &mut sets)?;
    let (count, behind) = rest.split_first()?;
    rest = behind;
    take_sets(&mut rest, (*count).into(), &mut sets)?;
    Some(Record { length_size: (length & 3) + 1, sets })
}

/// Returns a record of H.264 with more parameter sets, behind its own; `None` if it can't be read, or can't count so many.
pub(crate) fn with_more_sets(record: &[u8], sequence: &[&[u8]], pictures: &[&[u8]]) -> Option<Vec<u8>> {
    let (head, mut rest) = record.split_first_chunk::<6>()?;
    let [1, _, _, _, _, count] = *head else { return None };
    let (mut all_sequence, mut all_pictures) = (Vec::new(), Vec::new());
    take_sets(&mut rest, (count & 31).into(), &mut all_sequence)?;
    let (of_pictures, behind) = rest.split_first()?;
    rest = behind;
    take_sets(&mut rest, (*of_pictures).into(), &mut all_pictures)?;
    all_sequence.extend_from_slice(sequence);
    all_pictures.extend_from_slice(pictures);
    let mut made = record.get(..5)?.to_vec();
    made.push(count & 0xe0 | u8::try_from(all_sequence.len()).ok().filter(|sets| *sets <= 31)?);
    put_sets(&mut made, &all_sequence)?;
    made.push(u8::try_from(all_pictures.len()).ok()?);
    put_sets(&mut made, &all_pictures)?;
    made.extend_from_slice(rest);
    Some(made)
}

/// Puts units behind their lengths in two bytes; `None` if one is longer than that.
fn put_sets(record: &mut Vec<u8>, sets: &[&[u8]]) -> Option<()> {
    for set in sets {
        record.extend(u16::try_from(set.len()).ok()?.to_be_bytes());
        record.extend_from_slice(set);
    }
    Some(())
}

/// Reads a record of HEVC (HEVCDecoderConfigurationRecord, ISO/IEC 14496-15, 8.3.3.1); `None` for anything else.
pub(crate) fn hevc_record(bytes: &[u8]) -> Option<Record<'_>> {
    let (head, mut rest) = bytes.split_first_chunk::<23>()?;
    if head[0] != 1 {
        return None;
    }
    let mut sets = Vec::new();
    for _ in 0..head[22] {
        let (&[_, high, low], behind) = rest.split_first_chunk::<3>()?;
        rest = behind;
        take_sets(&mut rest, u16::from_be_bytes([high, low]), &mut sets)?;
    }
    Some(Record { length_size: (head[21] & 3) + 1, sets })
}

/// Takes so many units, each behind its length in two bytes.
fn take_sets<'a>(rest: &mut &'a [u8], count: u16, sets: &mut Vec<&'a [u8]>) -> Option<()> {
    for _ in 0..count {
        let (length, behind) = rest.split_first_chunk::<2>()?;
        let (unit, behind) = behind.split_at_checked(u16::from_be_bytes(*length).into())?;
        sets.push(unit);
        *rest = behind;
    }
    Some(())
}

/// Returns why packets behind this record can't be copied, whose sets have to be of all these kinds; `None` if they can.
pub(crate) fn refusal(
    record: Option<Record<'_>>,
    kinds: &[u8],
    kind: fn(&[u8]) -> Option<u8>,
) -> Option<String> {
    let Some(Record { length_size, sets }) = record else {
        return Some("its codec headers are not in the form that files have".into());
    };
    if length_size != 4 {
        return Some(format!("the lengths of its units have {length_size} bytes instead of 4"));
    }
    let has = |wanted: &u8| sets.iter().any(|set| kind(set) == Some(*wanted));
    let whole = kinds.iter().all(has);
    (!whole).then(|| "its codec headers lack parameter sets, which lie between its pictures".into())
}

/// Returns `true` if a packet holds a parameter set that the record does not hold.
pub(crate) fn has_more(record: Option<Record<'_>>, packet: &[u8], is_set: impl Fn(&[u8]) -> bool) -> bool {
    let Some(Record { sets, .. }) = record else { return true };
    framed_units(packet).0.into_iter().any(|unit| is_set(unit) && !sets.contains(&unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AVC: [u8; 17] = [1, 100, 0, 31, 0xff, 0xe1, 0, 4, 0x67, 100, 0, 31, 1, 0, 2, 0x68, 9];

    fn hevc() -> Vec<u8> {
        let mut record = vec![0; 23];
        (record[0], record[21], record[22]) = (1, 3, 3);
        for kind in [32, 33, 34] {
            record.extend([0x80 | kind, 0, 1, 0, 3, kind << 1, 1, 7]);
        }
        record
    }

    #[test]
    fn a_record_is_read_with_its_sets_and_the_size_of_lengths() {
        let avc = avc_record(&AVC).unwrap();
        assert_eq!((avc.length_size, avc.sets), (4, vec![&[0x67, 100, 0, 31][..], &[0x68, 9]]));
        let bytes = hevc();
        let hevc = hevc_record(&bytes).unwrap();
        assert_eq!((hevc.length_size, hevc.sets.len(), hevc.sets[2]), (4, 3, &[68, 1, 7][..]));
    }

    #[test]
    fn a_record_that_is_cut_off_or_something_else_is_none() {
        for cut in 0..AVC.len() {
            assert_eq!(avc_record(&AVC[..cut]), None, "{cut}");
        }
        let bytes = hevc();
        for cut in 0..bytes.len() {
            assert_eq!(hevc_record(&bytes[..cut]), None, "{cut}");
        }
        assert_eq!(avc_record(&[0, 0, 0, 1, 0x67, 100, 0, 31]), None, "a byte stream");
    }

    #[test]
    fn a_record_gets_more_sets_behind_its_own_and_keeps_what_follows_them() {
        let record = [&AVC[..], &[0xfd, 0xf8, 0xf8, 0]].concat();
        let made = with_more_sets(&record, &[&[0x67, 9]], &[&[0x68, 7, 7]]).unwrap();
        let sets = avc_record(&made).unwrap().sets;
        assert_eq!(sets, [&[0x67, 100, 0, 31][..], &[0x67, 9], &[0x68, 9], &[0x68, 7, 7]]);
        assert!(made.starts_with(&AVC[..5]) && made.ends_with(&[0xfd, 0xf8, 0xf8, 0]));
        let many: Vec<&[u8]> = vec![&[0x67]; 31];
        assert_eq!(with_more_sets(&record, &many, &[]), None, "it counts 31 at most");
        assert_eq!(with_more_sets(&[0, 0, 0, 1, 0x67, 100, 0, 31], &[], &[]), None);
    }

    fn kind(unit: &[u8]) -> Option<u8> {
        unit.first().map(|first| first & 31)
    }

    #[test]
    fn packets_can_be_copied_whose_headers_hold_all_sets_behind_lengths_of_four_bytes() {
        assert_eq!(refusal(avc_record(&AVC), &[7, 8], kind), None);
        let mut short = AVC;
        short[4] = 0xfd;
        assert!(refusal(avc_record(&short), &[7, 8], kind).unwrap().contains("2 bytes"));
        assert!(
            refusal(avc_record(&[1, 100, 0, 31, 0xff, 0xe0, 0]), &[7, 8], kind).unwrap().contains("lack")
        );
        assert!(refusal(None, &[7, 8], kind).is_some());
    }

    #[test]
    fn a_packet_may_repeat_the_sets_of_the_record_and_hold_no_others() {
        let is_set = |unit: &[u8]| matches!(kind(unit), Some(7 | 8));
        let more = |unit: &[u8]| {
            let packet =
                [&[0, 0, 0, u8::try_from(unit.len()).unwrap()][..], unit, &[0, 0, 0, 1, 0x65]].concat();
            has_more(avc_record(&AVC), &packet, is_set)
        };
        assert!(!more(&[0x68, 9]) && !more(&[0x41, 9]));
        assert!(more(&[0x68, 8]));
    }
}
