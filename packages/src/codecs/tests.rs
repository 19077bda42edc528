use proptest::prelude::*;

use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// Sample entries, configurations as libavformat writes them, and what shaka-packager 3 names them.
const FILES: [(&[u8; 4], &str, &str); 8] = [
    (b"avc1", "0164001effe1001a6764001eacd940a02ff97011000003000100000300320f162d96", "avc1.64001e"),
    (b"hvc1", "0102200000009000000000003ff000fcfdfafa00000f04a00001001840010c01ffff", "hvc1.2.4.L63.90"),
    (b"av01", "81014c000a0b0000000cc4ff6700be1010", "av01.0.01M.10"),
    (b"av01", "81014c000a0e0000000cc4ff6700be1424402410", "av01.0.01M.10.0.110.09.16.09.0"),
    (b"vp09", "010000000015820202020000", "vp09.00.21.08.01.02.02.02.00"),
    (
        b"mp4a",
        "000000000380808025000100048080801740150000000001f4c60001f4c60580808005119056e500068080800102",
        "mp4a.40.2",
    ),
    (b"ac-3", "", "ac-3"),
    (b"alac", "", "alac"),
];

#[test]
fn codecs_are_named_as_by_shaka_packager() {
    for (entry, configuration, expected) in FILES {
        assert_eq!(codec_string(*entry, &bytes(configuration)).unwrap(), expected);
    }
}

#[test]
fn codecs_of_mp4_are_named_as_their_bindings_write_them() {
    for (entry, expected) in
        [(b"Opus", "Opus"), (b"fLaC", "fLaC"), (b"ec-3", "ec-3"), (b".mp3", "mp4a.40.34")]
    {
        assert_eq!(codec_string(*entry, &[]).unwrap(), expected);
    }
}

#[test]
fn layer_3_in_mp4a_is_named_as_all_players_know_it() {
    let esds = "00000000038080801b000100048080800d6b150000000001f51d0001f51d068080800102";
    assert_eq!(codec_string(*b"mp4a", &bytes(esds)).unwrap(), "mp4a.40.34");
}

#[test]
fn constraints_of_hevc_end_with_the_last_that_is_set() {
    let main = bytes("010160000000b000000000005d");
    assert_eq!(codec_string(*b"hev1", &main).unwrap(), "hev1.1.6.L93.B0");
    let several = bytes("01a1600000009000010000007b");
    assert_eq!(codec_string(*b"hvc1", &several).unwrap(), "hvc1.B1.6.H123.90.0.1");
    let none = bytes("0161600000000000000000007b");
    assert_eq!(codec_string(*b"hvc1", &none).unwrap(), "hvc1.A1.6.H123");
}

#[test]
fn a_codec_that_packages_do_not_have_is_refused() {
    let refused = codec_string(*b"mp4v", &[]).unwrap_err().to_string();
    assert_eq!(refused, "no codec string for sample entry 'mp4v': packages have no such codec");
    assert!(codec_string(*b"avc1", &[1, 100]).unwrap_err().to_string().contains("cut off"));
}

fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len() + 8).unwrap();
    [&size.to_be_bytes()[..], kind, content].concat()
}

/// An initialization segment with one sample entry.
fn init(entry: &[u8; 4], fixed: usize, boxes: &[u8]) -> Vec<u8> {
    let entry = boxed(entry, &[&vec![0; fixed][..], boxes].concat());
    let mut nested = boxed(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1][..], &entry].concat());
    for kind in [b"stbl", b"minf", b"mdia"] {
        nested = boxed(kind, &nested);
    }
    let track = boxed(b"trak", &[boxed(b"tkhd", &[0; 84]), nested].concat());
    [boxed(b"ftyp", b"iso6"), boxed(b"moov", &[boxed(b"mvhd", &[0; 100]), track].concat())].concat()
}

#[test]
fn the_codec_of_an_initialization_segment_is_found() {
    let avc = boxed(b"avcC", &bytes(FILES[0].1));
    let video = init(b"avc1", 78, &[boxed(b"pasp", &[0; 8]), avc].concat());
    assert_eq!(init_codecs(&video).unwrap(), "avc1.64001e");
    let audio = init(b"mp4a", 28, &boxed(b"esds", &bytes(FILES[5].1)));
    assert_eq!(init_codecs(&audio).unwrap(), "mp4a.40.2");
    assert_eq!(init_codecs(&init(b"Opus", 28, &[])).unwrap(), "Opus");
    assert!(init_codecs(&video[..video.len() / 2]).is_err());
}

proptest! {
    #[test]
    fn no_configuration_makes_it_panic(
        entry in 0usize..6,
        change in prop::collection::vec((0usize..40, any::<u8>()), 0..6),
        end in 0usize..60,
    ) {
        let mut configuration = bytes(FILES[entry].1);
        for (at, byte) in change {
            if let Some(place) = configuration.get_mut(at) {
                *place = byte;
            }
        }
        configuration.truncate(end);
        let _ = codec_string(*FILES[entry].0, &configuration);
        let _ = init_codecs(&configuration);
    }
}
