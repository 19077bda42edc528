//! How manifests say that objects are encrypted.

use super::*;
use crate::{Encryption, StatedKey};

const VECTOR: [u8; 16] = [0xab; 16];
const ID: [u8; 16] = [0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];

fn segments_key(vector: Option<[u8; 16]>) -> Encryption {
    Encryption::Segments { uri: "https://keys/film?a=1".into(), vector }
}

fn samples_key() -> Encryption {
    Encryption::Samples { uri: "https://keys/film".into(), vector: VECTOR, key_id: ID }
}

/// A presentation whose tracks but for text are encrypted, or also text.
fn encrypted(encryption: &Encryption, with_text: bool) -> Presentation {
    let mut tracks = vec![video(720, 900_000), audio("audio-eng", "mp4a.40.2", "eng", 96_000), text("text-1", "eng")];
    for track in tracks.iter_mut().filter(|track| with_text || track.media != Media::Text) {
        track.encryption = Some(encryption.clone());
    }
    Presentation { mark: "m".into(), seconds: 13.013, tracks }
}

#[test]
fn playlists_name_the_key_of_whole_segments_behind_the_initialization_segment() {
    for vector in [None, Some(VECTOR)] {
        let key = segments_key(vector);
        let texts = render(&encrypted(&key, true), &[Manifest::Hls], "3f2a9c1b").unwrap();
        let iv = vector.map_or(String::new(), |_| format!(",IV=0x{}", "ab".repeat(16)));
        let tag = format!("#EXT-X-KEY:METHOD=AES-128,URI=\"https://keys/film?a=1\"{iv}\n");
        let media: Vec<&Text> = texts.iter().filter(|text| text.name.ends_with("media.m3u8")).collect();
        assert_eq!(media.len(), 3);
        for text in media {
            let (front, behind) = text.text.split_once(&tag).expect(&text.text);
            assert!(!front.contains("#EXTINF") && !behind.contains("#EXT-X-MAP"), "{}", text.text);
        }
        let stated = StatedKey { of_samples: false, uri: Some("https://keys/film?a=1".into()), vector, key_id: None };
        for named in read(&texts).unwrap() {
            let is_segment = matches!(named.kind, NamedKind::Segment | NamedKind::Text);
            assert_eq!(named.key, is_segment.then(|| stated.clone()), "{named:?}");
        }
        assert!(key.is_stated(&stated));
        assert!(!segments_key(Some([1; 16])).is_stated(&stated) && !samples_key().is_stated(&stated));
    }
}

#[test]
fn both_manifests_say_how_samples_are_encrypted() {
    let key = samples_key();
    let texts = render(&encrypted(&key, false), &[Manifest::Hls, Manifest::Dash], "3f2a9c1b").unwrap();
    let all = |name: &str| texts.iter().find(|text| text.name.ends_with(name)).unwrap().text.clone();
    let iv = "ab".repeat(16);
    let tag = format!("#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"https://keys/film\",IV=0x{iv},KEYFORMAT=\"identity\"\n");
    assert!(all("video-720p/media.m3u8").contains(&tag), "{}", all("video-720p/media.m3u8"));
    assert!(!all("text-1/media.m3u8").contains("KEY"));
    let description = all("manifest.mpd");
    assert_eq!(description.matches("cenc:default_KID=\"00112233-4455-6677-8899-aabbccddeeff\"").count(), 2);
    assert_eq!(description.matches("xmlns:cenc=\"urn:mpeg:cenc:2013\"").count(), 1);
    for named in read(&texts).unwrap() {
        assert_eq!(named.key.is_some(), named.kind == NamedKind::Segment, "{named:?}");
        assert!(named.key.is_none_or(|stated| key.is_stated(&stated)));
    }
}

#[test]
fn what_players_could_not_read_is_refused() {
    let refused = |presentation: &Presentation, kinds: &[Manifest]| {
        render(presentation, kinds, "3f2a9c1b").unwrap_err().to_string()
    };
    let dash = refused(&encrypted(&segments_key(None), false), &[Manifest::Dash]);
    assert!(dash.contains("DASH knows no encryption of whole segments"), "{dash}");
    let text = refused(&encrypted(&samples_key(), true), &[Manifest::Hls]);
    assert!(text.contains("text has no samples"), "{text}");
    let mut ranges = encrypted(&segments_key(None), false);
    ranges.tracks[0] = single(ranges.tracks[0].clone());
    assert!(refused(&ranges, &[Manifest::Hls]).contains("ranges of bytes"));
    let nowhere = Encryption::Samples { uri: String::new(), vector: VECTOR, key_id: ID };
    assert!(refused(&encrypted(&nowhere, false), &[Manifest::Hls]).contains("there is none"));
    assert!(render(&encrypted(&nowhere, false), &[Manifest::Dash], "3f2a9c1b").is_ok());
}

#[test]
fn a_key_that_is_stated_otherwise_is_not_read() {
    let texts = render(&encrypted(&samples_key(), false), &[Manifest::Hls, Manifest::Dash], "3f2a9c1b").unwrap();
    let changed = |from: &str, to: &str| {
        let mut texts = texts.clone();
        let text = texts.iter_mut().find(|text| text.text.contains(from)).expect(from);
        text.text = text.text.replacen(from, to, 1);
        read(&texts).is_err()
    };
    assert!(changed("METHOD=SAMPLE-AES", "METHOD=AES-128"));
    assert!(changed("METHOD=SAMPLE-AES", "METHOD=NONE"));
    assert!(changed("URI=\"https://keys/film\",", ""));
    assert!(changed("IV=0xab", "IV=0xa"));
    assert!(changed("KEYFORMAT=\"identity\"", "KEYFORMAT=\"other\""));
    assert!(changed("value=\"cbcs\"", "value=\"cenc\""));
    assert!(changed("00112233-4455", "001122334455"));
    assert!(changed(" xmlns:cenc=\"urn:mpeg:cenc:2013\"", ""));
}
