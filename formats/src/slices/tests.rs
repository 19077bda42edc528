use super::*;

/// The first bytes of slices that encoders made, with the length of their headers, as shaka-packager encrypts them, too.
type Known = [(usize, &'static str)];

const AVC: &str =
    "0164000cffe1001a6764000cac56241419f9f0110000030001000064000f1429898001000668e88ecb22c0fdf8f800";
const AVC_SLICES: &Known = &[
    (6, "6588820037ff63240d51c818a0cd88650ac68188cd312886c4a28119"),
    (6, "419a123627ff163d23ffd074a50bb9d18e33cf409f9aee3e8e54fb49"),
    (6, "019e309a23bff07fb76e5416ee3481fdf88b01a62888119b319a5be7"),
    (11, "419a3324d4102d1329813faec6d8377c0f7400f61f5b580ac8c824aa"),
    (12, "419a4525f0414b44ca6013ff389a0e4d72425a05bbec748acf8354a2"),
    (7, "019e63b2223bfff36576f1b4540cc8f312e181d534f59aed3c35aa77"),
    (14, "419a6627d4102d52d13298004fff188e9c17278146b0cc7a72ad6f1a"),
    (9, "419e8733ca108d8aff697e06837eb02307653de2b0bfc78f8fd74dca"),
    (15, "419a88227c1052dadad132980004ff102e22aebe37708289b012496d"),
];

const HEVC: &str = "0101600000009000000000003cf000fcfdf8f800000f03a00001001840010c01ffff01600000030090000003000003003c959409a10001002a42010101600000030090000003000003003ca00a080c1f3e595952930bc05a7080000003008000000c84a2000100064401c073c189";
const HEVC_SLICES: &Known = &[
    (13, "2801ac74c2e7fb8d5628cd21c088f25cb666d8c5119ffcd184351006"),
    (15, "0201d02149883a613d9c29c5b94380c46c4f02bc4f03869b6064af85"),
    (15, "0001e024fd7a240a4c22106c084052b89ce9196f454688df0497d5b1"),
    (16, "0201d0409255620e184fcfa6eae6c120387f1e0e5b0618fd10899195"),
    (14, "0001e1a6f5d7a240a0c6f2b0b5aefd0564f7f15c3582c2ac4d53d87e"),
    (18, "0201d080b2555620e185ccf5340d49c0dd806a688eb53eafb7dff98f"),
];

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
}

#[test]
fn headers_of_slices_are_as_long_as_other_packagers_say() {
    let all: [(ReadSlices, &str, &Known); 2] =
        [(avc::read, AVC, AVC_SLICES), (hevc::read, HEVC, HEVC_SLICES)];
    for (read, headers, known) in all {
        let slices = read(&bytes(headers)).unwrap();
        for (length, slice) in known {
            assert_eq!(slices.clear_bytes(&bytes(slice)), Some(*length), "{slice}");
        }
    }
}

#[test]
fn units_that_are_no_slices_stay_clear() {
    let slices = avc::read(&bytes(AVC)).unwrap();
    for unit in [&[6_u8, 5, 1, 2][..], &[9, 0xf0], &[0x67, 100, 0, 12]] {
        assert_eq!(slices.clear_bytes(unit), Some(unit.len()));
    }
    let slices = hevc::read(&bytes(HEVC)).unwrap();
    assert_eq!(slices.clear_bytes(&[0x4e, 1, 5, 1]), Some(4));
}

#[test]
fn what_is_cut_off_or_of_unknown_parameters_is_not_read() {
    let all: [(ReadSlices, &str, &Known); 2] =
        [(avc::read, AVC, AVC_SLICES), (hevc::read, HEVC, HEVC_SLICES)];
    for (read, headers, known) in all {
        let headers = bytes(headers);
        let slices = read(&headers).unwrap();
        for (length, slice) in known {
            let slice = bytes(slice);
            for cut in 0..*length - 1 {
                assert_eq!(slices.clear_bytes(&slice[..cut]), None, "{cut}");
            }
        }
        // Without panics, whatever the bytes say.
        for at in 0..headers.len() {
            for bit in 0..8 {
                let mut other = headers.clone();
                other[at] ^= 1 << bit;
                let Some(slices) = read(&other) else { continue };
                for (_, slice) in known {
                    slices.clear_bytes(&bytes(slice));
                }
            }
        }
    }
    assert!(avc::read(&bytes(HEVC)).is_none() && hevc::read(&bytes(AVC)).is_none());
}
