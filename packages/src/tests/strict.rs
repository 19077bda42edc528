use super::*;

/// Changes a text of a package, and returns why it can't be read then.
fn broken(name: &str, from: &str, to: &str) -> String {
    let mut texts = rendered(&everything());
    let text = texts.iter_mut().find(|text| text.name == name).unwrap();
    assert!(text.text.contains(from), "{from} isn't in {}", text.text);
    text.text = text.text.replacen(from, to, 1);
    read(&texts).err().map_or_else(|| format!("{from} -> {to} is read"), |error| error.to_string())
}

const PLAYLIST: &str = "3f2a9c1b/video-720p/media.m3u8";

#[test]
fn a_playlist_with_something_unknown_or_missing_is_refused() {
    for (from, to, reason) in [
        ("#EXT-X-VERSION:6\n", "", "no protocol version"),
        (
            "#EXT-X-TARGETDURATION:6",
            "#EXT-X-TARGETDURATION:5",
            "line 7: the segment is longer than the target duration",
        ),
        ("#EXT-X-ENDLIST\n", "", "it isn't whole"),
        (
            "#EXT-X-ENDLIST\n",
            "#EXT-X-DISCONTINUITY\n#EXT-X-ENDLIST\n",
            "'#EXT-X-DISCONTINUITY' is unknown here",
        ),
        ("#EXT-X-MAP:URI=\"init.mp4\"\n", "", "no initialization segment"),
        ("URI=\"init.mp4\"", "URI=\"init.mp4\",X=1", "the attribute X is unknown"),
        ("#EXTINF:6.006000,", "#EXTINF:6.006,", "is no duration"),
        ("#EXTINF:6.006000,", "#EXTINF:0.006000,", "ends at 13.013 s of 7.013 s"),
        ("00002.m4s", "00001.m4s", "it names '3f2a9c1b/video-720p/00001.m4s' twice"),
        ("00002.m4s", "../../../x.m4s", "is no URL of an object"),
        ("00002.m4s", "http://host/x.m4s", "is no URL of an object"),
        ("00002.m4s\n", "", "there twice"),
        ("#EXTM3U\n", "", "doesn't begin with #EXTM3U"),
    ] {
        let error = broken(PLAYLIST, from, to);
        assert!(error.contains(reason), "{from} -> {to}: {error}");
    }
}

#[test]
fn a_multivariant_playlist_with_something_unknown_or_missing_is_refused() {
    for (from, to, reason) in [
        ("BANDWIDTH=", "SCORE=1,BANDWIDTH=", "the attribute SCORE is unknown"),
        ("VIDEO-RANGE=SDR", "VIDEO-RANGE=HDR", "VIDEO-RANGE is 'HDR'"),
        ("CODECS=\"avc1.64001f,mp4a.40.2\",", "", "CODECS is missing"),
        ("AUDIO=\"audio-ec-3\"", "AUDIO=\"audio-opus\"", "its variants don't name its groups"),
        ("3f2a9c1b/video-720p/media.m3u8\n", "#EXT-X-ENDLIST\n", "a URL is missing"),
        ("NAME=\"Deutsch\"", "NAME=\"English\"", "two renditions of a group are named 'English'"),
        ("DEFAULT=YES,AUTOSELECT=YES", "DEFAULT=YES", "isn't selected automatically"),
        ("audio-deu/media.m3u8", "audio-eng/media.m3u8", "is named twice"),
        ("video-360p/iframes.m3u8", "video-480p/iframes.m3u8", "no variant or rendition names it"),
        ("#EXT-X-INDEPENDENT-SEGMENTS\n", "", "aren't independent"),
    ] {
        let error = broken(MULTIVARIANT, from, to);
        assert!(error.contains(reason), "{from} -> {to}: {error}");
    }
}

#[test]
fn a_description_with_something_unknown_or_missing_is_refused() {
    for (from, to, reason) in [
        (" type=\"static\"", " type=\"dynamic\"", "it isn't a static description"),
        (" type=\"static\"", " type=\"static\" x=\"1\"", "MPD has the unknown attribute x"),
        (" type=\"static\"", " type=\"static\" type=\"static\"", "duplicate"),
        ("PT13.013S", "PT23.013S", "ends at 13.013 s of 23.013 s"),
        ("d=\"180180\" r=\"1\"", "d=\"180180\" r=\"9\"", "'video-720p' ends at 61.061 s of 13.013 s"),
        ("<S d=\"30030\"/>", "<S t=\"400000\" d=\"30030\"/>", "its timeline has a gap"),
        ("<S d=\"30030\"/>", "<S d=\"30030\" r=\"18446744073709551615\"/>", "too many"),
        ("<S d=\"30030\"/>", "<T/>", "the element T is unknown"),
        ("bandwidth=", "bandwidth=\"0\" id2=", "unknown attribute id2"),
        ("id=\"video-360p\"", "id=\"video-720p\"", "two representations are 'video-720p'"),
        ("$Number%05d$", "$Time$", "is no template"),
        ("3f2a9c1b/video-360p/$Number", "../$Number", "is no URL of an object"),
        ("</MPD>", "", "cut off"),
        ("<MPD", "<!DOCTYPE x [<!ENTITY y \"z\">]><MPD", "isn't an element"),
        ("<MPD", "<?php ?><MPD", "isn't an element"),
        ("mediaRange=\"5900-10899\"", "mediaRange=\"4900-10899\"", "ranges that overlap"),
    ] {
        let error = broken(DESCRIPTION, from, to);
        assert!(error.contains(reason), "{from} -> {to}: {error}");
    }
}

#[test]
fn a_package_without_one_of_its_playlists_is_refused() {
    let all = rendered(&everything());
    for missing in all.iter().filter(|text| text.name != DESCRIPTION) {
        let others: Vec<Text> = all.iter().filter(|text| *text != missing).cloned().collect();
        assert!(read(&others).unwrap_err().to_string().contains("missing"), "{}", missing.name);
    }
}

#[test]
fn manifests_of_one_kind_are_read_alone() {
    for kind in [Manifest::Hls, Manifest::Dash] {
        let texts = render(&everything(), &[kind], "3f2a9c1b").unwrap();
        assert!(read(&texts).unwrap().iter().filter(|one| one.kind == NamedKind::Segment).count() == 6 * 3);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_change_of_a_byte_makes_reading_panic(text in 0usize..20, at in 0usize..10_000, byte in 0u8..128, cut in any::<bool>()) {
        let mut texts = rendered(&everything());
        let number = text % texts.len();
        let mut bytes = texts[number].text.clone().into_bytes();
        let at = at % bytes.len();
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        if let Ok(text) = String::from_utf8(bytes) {
            texts[number].text = text;
            let _ = read(&texts);
        }
    }
}
