//! Pictures of libx264 beside those of another encoder: with parameter sets of an id of their own (ITU-T H.264, 7.4.2.1.1 and
//! 7.4.2.2), so that a record holds the sets of both, and each picture names its own.

use millrace_schemas::VideoSettings;

use super::unit::{FRAMING, PICTURE_PARAMETERS, SEQUENCE_PARAMETERS, is_of_type};
use crate::{
    bits::Bits,
    codec::{Form, Splice},
    pixels::Pixels,
    sets::{avc_record, with_more_sets},
    units::{units, units_of},
};

/// The quality of the pictures, as a constant rate factor: far finer than usual, since they are few, and are seen next to what they were
/// made of.
const CRF: &str = "12";

/// The greatest id of sequence parameters (7.4.2.1.1).
const MOST_IDS: u32 = 31;

/// The profiles (A.2) that libx264 makes, by its names.
const PROFILES: [(u8, &str); 6] =
    [(66, "baseline"), (77, "main"), (100, "high"), (110, "high10"), (122, "high422"), (244, "high444")];

/// Returns how pictures are encoded beside packets with these codec headers: of one of these pixel formats, and with what the encoder
/// is told of `light`.
pub(super) fn plan(
    settings: &VideoSettings,
    headers: &[u8],
    (pixel_formats, light): (&[&str], &str),
) -> Result<Splice, String> {
    let (sets, form) = match avc_record(headers) {
        Some(record) if record.length_size == 4 => (record.sets, Form::File),
        Some(record) => {
            let size = record.length_size;
            return Err(format!("the lengths of its units have {size} bytes instead of 4"));
        }
        None => (units(headers), Form::Stream),
    };
    let of_sequence = sets.iter().find(|set| is_of_type(set, SEQUENCE_PARAMETERS));
    let Some([_, profile, _, level, ..]) = of_sequence else {
        return Err("its codec headers lack parameter sets, which lie between its pictures".into());
    };
    let profile = PROFILES.iter().find(|(number, _)| number == profile);
    let (_, profile) = profile.ok_or("its profile is none that is encoded here")?;
    if let Some(reason) = shape_refusal(settings, pixel_formats) {
        return Err(reason);
    }
    let is_free = |id: &u32| !sets.iter().any(|set| set_id(set) == Some(*id));
    let id = (1..=MOST_IDS).find(is_free).ok_or("its codec headers use all ids of parameter sets")?;
    let fields = match settings.field_order {
        1 => ":tff=1",
        2 => ":bff=1",
        _ => "",
    };
    // `sps-id` is the id of the picture parameters, too. Pictures refer to the one before alone and are decoded as they are shown:
    // whatever the source's own do, their decoding times lie between those of its packets, and they need no larger buffer.
    let x264 = format!(
        "sps-id={id}:level={level}:bframes=0:ref=1:stitchable=1:sync-lookahead=0:rc-lookahead=10{fields}{light}"
    );
    let options = vec![
        ("preset", "medium".to_owned()),
        ("profile", (*profile).to_owned()),
        ("crf", CRF.to_owned()),
        ("forced-idr", "1".to_owned()),
        ("x264-params", x264),
    ];
    Ok(Splice { options, form })
}

/// Returns why pictures of this shape can't be encoded; `None` if they can.
fn shape_refusal(settings: &VideoSettings, pixel_formats: &[&str]) -> Option<String> {
    let (width, height) = (settings.width, settings.height);
    let name = settings.pixel_format.as_str();
    // Those of the full range have a name of their own, too.
    let plain = name.replacen("yuvj", "yuv", 1);
    let (across, down) = match Pixels::of(name) {
        Some(pixels) if pixel_formats.contains(&plain.as_str()) => pixels.halved,
        _ => return Some(format!("pictures of {name} are not encoded here")),
    };
    let is_whole = width % (1 << across) == 0 && height % (1 << down) == 0;
    (!is_whole).then(|| format!("pictures of {width}x{height} have no whole number of colour samples"))
}

/// Returns the id of a parameter set; `None` if it can't be read, or is none.
fn set_id(set: &[u8]) -> Option<u32> {
    let behind = match set.first()? & 31 {
        // Behind the profile, its constraints and the level (7.3.2.1.1).
        SEQUENCE_PARAMETERS => set.get(4..)?,
        PICTURE_PARAMETERS => set.get(1..)?,
        _ => return None,
    };
    Bits::new(behind).golomb()
}

/// Returns the codec headers of a track of both.
pub(super) fn headers(headers: &[u8], encoder: &[u8]) -> Option<Vec<u8>> {
    let units = units(encoder);
    let of_type = |kind: u8| -> Vec<&[u8]> {
        units.iter().copied().filter(|unit| is_of_type(unit, kind)).collect()
    };
    let (sequence, pictures) = (of_type(SEQUENCE_PARAMETERS), of_type(PICTURE_PARAMETERS));
    if sequence.is_empty() || pictures.is_empty() {
        return None;
    }
    if avc_record(headers).is_some() {
        return with_more_sets(headers, &sequence, &pictures);
    }
    let mut made = headers.to_vec();
    for unit in sequence.into_iter().chain(pictures) {
        made.extend([0, 0, 0, 1]);
        made.extend_from_slice(unit);
    }
    Some(made)
}

/// Returns a packet of the encoder in the form of the packets beside it.
pub(super) fn packet(packet: &[u8], form: Form) -> Vec<u8> {
    if form != Form::File {
        return packet.to_vec();
    }
    let mut made = Vec::with_capacity(packet.len() + 16);
    for unit in units(packet) {
        made.extend(u32::try_from(unit.len()).unwrap_or(0).to_be_bytes());
        made.extend_from_slice(unit);
    }
    made
}

/// Returns `true` if a packet that is copied holds another parameter set with an id of the encoder's.
pub(super) fn replaces(encoder: &[u8], packet: &[u8], form: Form) -> bool {
    let own = units(encoder);
    let is_another = |unit: &[u8]| {
        let id = set_id(unit);
        own.iter().any(|set| set.first() == unit.first() && set_id(set) == id && *set != unit)
    };
    units_of(packet, form).0.into_iter().any(|unit| (FRAMING.is_header)(unit) && is_another(unit))
}

#[cfg(test)]
mod tests {
    use millrace_schemas::{Picture, Ratio};

    use super::*;

    /// Sequence parameters of profile High, level 3.1 and id 0, and picture parameters of id 0.
    const SPS: &[u8] = &[0x67, 100, 0, 31, 0x80, 1];
    const PPS: &[u8] = &[0x68, 0x80, 1];
    /// Those of id 1, whose code is 010.
    const OTHER_SPS: &[u8] = &[0x67, 100, 0, 31, 0x40, 1];
    const OTHER_PPS: &[u8] = &[0x68, 0x40, 1];

    fn record(sequence: &[&[u8]], pictures: &[&[u8]]) -> Vec<u8> {
        with_more_sets(&[1, 100, 0, 31, 0xff, 0xe0, 0, 0xfd], sequence, pictures).unwrap()
    }

    fn stream(units: &[&[u8]]) -> Vec<u8> {
        units.iter().flat_map(|unit| [&[0, 0, 0, 1][..], unit].concat()).collect()
    }

    fn settings(size: (i32, i32)) -> VideoSettings {
        let picture = Picture::plain(size, Ratio { num: 25, den: 1 }, Ratio { num: 1, den: 12_800 });
        VideoSettings::of("h264", &picture)
    }

    fn planned(size: (i32, i32), headers: &[u8]) -> Result<Splice, String> {
        plan(&settings(size), headers, (&["yuv420p"], ""))
    }

    fn x264(splice: &Splice) -> &str {
        &splice.options.iter().find(|(key, _)| *key == "x264-params").unwrap().1
    }

    #[test]
    fn pictures_get_the_first_free_id_and_the_profile_and_level_of_those_beside_them() {
        let made = planned((640, 360), &record(&[SPS], &[PPS])).unwrap();
        assert_eq!(made.form, Form::File);
        assert!(x264(&made).starts_with("sps-id=1:level=31:bframes=0:"), "{made:?}");
        assert!(made.options.contains(&("profile", "high".into())));
        let made = planned((640, 360), &record(&[SPS, OTHER_SPS], &[PPS, OTHER_PPS])).unwrap();
        assert!(x264(&made).starts_with("sps-id=2:"), "{made:?}");
        let made = planned((640, 360), &stream(&[SPS, OTHER_PPS])).unwrap();
        assert!(made.form == Form::Stream && x264(&made).starts_with("sps-id=2:"), "{made:?}");
    }

    #[test]
    fn pictures_that_could_not_stand_beside_it_are_refused() {
        let refused = |size, headers: &[u8]| planned(size, headers).unwrap_err();
        assert!(refused((640, 360), &[]).contains("lack parameter sets"));
        assert!(refused((640, 360), &record(&[&[0x67, 88, 0, 31, 0x80]], &[PPS])).contains("profile"));
        assert!(refused((639, 360), &record(&[SPS], &[PPS])).contains("639x360"));
        let mut short = record(&[SPS], &[PPS]);
        short[4] = 0xfd;
        assert!(refused((640, 360), &short).contains("2 bytes"));
    }

    #[test]
    fn the_headers_of_a_track_of_both_hold_the_sets_of_both() {
        let encoder = stream(&[OTHER_SPS, OTHER_PPS]);
        let both = headers(&record(&[SPS], &[PPS]), &encoder).unwrap();
        assert_eq!(both, record(&[SPS, OTHER_SPS], &[PPS, OTHER_PPS]));
        let both = headers(&stream(&[SPS, PPS]), &encoder).unwrap();
        assert_eq!(both, stream(&[SPS, PPS, OTHER_SPS, OTHER_PPS]));
        assert_eq!(headers(&record(&[SPS], &[PPS]), &[]), None);
    }

    #[test]
    fn a_packet_gets_the_form_of_those_beside_it() {
        let made = stream(&[&[6, 5], &[0x65, 1, 2]]);
        assert_eq!(packet(&made, Form::File), [0, 0, 0, 2, 6, 5, 0, 0, 0, 3, 0x65, 1, 2]);
        assert_eq!(packet(&made, Form::Stream), made);
    }

    #[test]
    fn a_set_of_the_same_id_takes_the_place_of_the_encoders() {
        let encoder = stream(&[OTHER_SPS, OTHER_PPS]);
        let takes = |unit: &[u8]| replaces(&encoder, &packet(&stream(&[unit]), Form::File), Form::File);
        assert!(takes(&[0x67, 77, 0, 31, 0x40]) && takes(&[0x68, 0x40, 7]));
        assert!(!takes(SPS) && !takes(PPS) && !takes(OTHER_PPS) && !takes(&[0x65, 0x40, 7]));
    }
}
