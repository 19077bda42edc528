use proptest::prelude::*;

use super::*;

mod dash;
mod hls;
mod strict;

/// Segments of these durations in seconds, each an object of its own.
fn segments(id: &str, timescale: u32, durations: &[f64], bytes: u64) -> Vec<Segment> {
    let mut start = 0;
    let segment = |(number, seconds): (usize, &f64)| {
        let duration = (seconds * f64::from(timescale)).round() as u64;
        let name = format!("3f2a9c1b/{id}/{:05}.m4s", number + 1);
        let segment = Segment { name, offset: 0, bytes, start, duration, timescale };
        start += duration;
        segment
    };
    durations.iter().enumerate().map(segment).collect()
}

fn track(id: &str, media: Media, codecs: &str, segments: Vec<Segment>) -> Track {
    Track {
        id: id.into(),
        media,
        codecs: codecs.into(),
        language: String::new(),
        title: String::new(),
        is_default: false,
        purpose: Purpose::Main,
        files: Files::Many { init: Some(format!("3f2a9c1b/{id}/init.mp4")) },
        segments,
        iframes: None,
        encryption: None,
    }
}

const DURATIONS: [f64; 3] = [6.006, 6.006, 1.001];

fn video(height: u32, bytes: u64) -> Track {
    let id = format!("video-{height}p");
    let media = Media::Video {
        width: height * 16 / 9,
        height,
        sample_aspect: (1, 1),
        frame_rate: (30_000, 1001),
        range: VideoRange::Sdr,
    };
    let segments = segments(&id, 30_000, &DURATIONS, bytes);
    track(&id, media, "avc1.64001f", segments)
}

fn audio(id: &str, codecs: &str, language: &str, bytes: u64) -> Track {
    let media = Media::Audio { sample_rate: 48_000, channels: 2 };
    Track {
        language: language.into(),
        ..track(id, media, codecs, segments(id, 48_000, &[5.994666, 6.016, 1.002334], bytes))
    }
}

fn text(id: &str, language: &str) -> Track {
    let segment = Segment {
        name: format!("3f2a9c1b/{id}/text.vtt"),
        offset: 0,
        bytes: 300,
        start: 0,
        duration: 13_013,
        timescale: 1000,
    };
    let track = track(id, Media::Text, "", vec![segment]);
    Track { files: Files::Many { init: None }, language: language.into(), ..track }
}

/// A track whose segments are in one object, behind an index.
fn single(track: Track) -> Track {
    let name = format!("3f2a9c1b/{}.mp4", track.id);
    let index = (800, 40 + 12 * track.segments.len() as u64);
    let mut at = index.0 + index.1;
    let mut segments = track.segments;
    for segment in &mut segments {
        segment.name.clone_from(&name);
        segment.offset = at;
        at += segment.bytes;
    }
    Track { files: Files::Single { name, init_bytes: 800, index: Some(index) }, segments, ..track }
}

fn with_iframes(track: Track) -> Track {
    let name = format!("3f2a9c1b/{}/iframes.mp4", track.id);
    let frame = |number: u64| Segment {
        name: name.clone(),
        offset: 900 + number * 5000,
        bytes: 5000,
        start: number * 60_060,
        duration: if number < 6 { 60_060 } else { 30_030 },
        timescale: 30_000,
    };
    let frames = (0..7).map(frame).collect();
    Track { iframes: Some(IFrames { init: name.clone(), init_bytes: 900, index: None, frames }), ..track }
}

fn presentation(tracks: Vec<Track>) -> Presentation {
    Presentation { mark: "millrace 8f1d 77aa".into(), seconds: 13.013, tracks }
}

/// Two rungs with keyframes, two languages in two codecs, subtitles.
fn everything() -> Presentation {
    presentation(vec![
        with_iframes(video(720, 1_500_000)),
        with_iframes(video(360, 400_000)),
        audio("audio-eng", "mp4a.40.2", "eng", 96_000),
        audio("audio-deu", "mp4a.40.2", "ger", 96_000),
        audio("audio-eng-2", "ec-3", "eng", 288_000),
        audio("audio-deu-2", "ec-3", "ger", 288_000),
        text("text-eng", "eng"),
    ])
}

fn rendered(presentation: &Presentation) -> Vec<Text> {
    render(presentation, &[Manifest::Hls, Manifest::Dash], "3f2a9c1b").unwrap()
}

fn find<'a>(texts: &'a [Text], name: &str) -> &'a str {
    &texts.iter().find(|text| text.name == name).unwrap_or_else(|| panic!("no {name}")).text
}

fn refusal(presentation: &Presentation) -> String {
    render(presentation, &[Manifest::Hls], "f").unwrap_err().to_string()
}

#[test]
fn what_makes_a_package_visible_is_the_last_text() {
    for kinds in [[Manifest::Hls, Manifest::Dash], [Manifest::Dash, Manifest::Hls]] {
        let texts = render(&everything(), &kinds, "3f2a9c1b").unwrap();
        let last: Vec<&str> = texts[texts.len() - 2..].iter().map(|text| text.name.as_str()).collect();
        let expected =
            if kinds[0] == Manifest::Hls { [MULTIVARIANT, DESCRIPTION] } else { [DESCRIPTION, MULTIVARIANT] };
        assert_eq!(last, expected);
        assert!(texts[..texts.len() - 2].iter().all(|text| text.name.starts_with("3f2a9c1b/")));
    }
}

#[test]
fn both_manifests_name_the_same_objects() {
    let named = read(&rendered(&everything())).unwrap();
    let of = |by: &dyn Fn(&str) -> bool| {
        let all = named.iter().filter(|one| by(&one.by) && one.kind != NamedKind::Playlist);
        let mut all: Vec<_> = all.map(|one| (one.name.clone(), one.range, one.kind)).collect();
        all.sort();
        all
    };
    assert_eq!(of(&|by| by == DESCRIPTION), of(&|by| by != DESCRIPTION));
}

#[test]
fn segments_are_named_once_with_their_times() {
    let named = read(&rendered(&everything())).unwrap();
    let by = |by: &str| -> Vec<(f64, f64)> {
        let mine = named.iter().filter(|one| one.by == by && one.name.starts_with("3f2a9c1b/video-720p/0"));
        mine.map(|one| (one.start.unwrap(), one.seconds.unwrap())).collect()
    };
    let expected = [(0.0, 6.006), (6.006, 6.006), (12.012, 1.001)];
    for manifest in [DESCRIPTION, "3f2a9c1b/video-720p/media.m3u8"] {
        for (found, expected) in by(manifest).into_iter().zip(expected) {
            assert!(
                (found.0 - expected.0).abs() < 1e-6 && (found.1 - expected.1).abs() < 1e-6,
                "{manifest}: {found:?}"
            );
        }
        assert_eq!(by(manifest).len(), 3);
    }
}

#[test]
fn a_mark_is_a_comment_of_each_manifest() {
    for text in rendered(&everything()) {
        let comment = if text.name == DESCRIPTION {
            "\n<!-- millrace 8f1d 77aa -->\n"
        } else {
            "\n# millrace 8f1d 77aa\n"
        };
        assert!(text.text.contains(comment), "{}", text.name);
    }
}

#[test]
fn tracks_that_cannot_be_presented_are_refused_with_the_reason() {
    let with = |change: &dyn Fn(&mut Track)| {
        let mut track = video(720, 1000);
        change(&mut track);
        refusal(&presentation(vec![track]))
    };
    assert_eq!(
        with(&|track| track.segments[1].start += 1),
        "track 'video-720p' can't be presented: segment 1, at 180181: the segment before it ends at 180180"
    );
    assert!(with(&|track| track.segments.clear()).contains("it has no segments"));
    assert!(with(&|track| track.segments[0].duration = 0).contains("it is empty"));
    assert!(with(&|track| track.segments[0].name = "../x".into()).contains("is no relative path"));
    assert!(
        with(&|track| track.segments[2].timescale = 1)
            .contains("its timescale is 0, or not that of the others")
    );
    assert!(
        with(&|track| track.segments.truncate(1))
            .contains("the longest track, 'video-720p', ends at 6.006 s of 13.013 s")
    );
    assert!(with(&|track| track.id = "a b".into()).contains("its id isn't letters"));
    assert!(with(&|track| track.codecs.clear()).contains("its codec is ''"));
    assert!(
        with(&|track| track.files = Files::Many { init: None })
            .contains("alone have no initialization segment")
    );
    assert!(refusal(&presentation(vec![text("t", "eng")])).contains("neither video nor audio"));
    assert!(
        refusal(&presentation(vec![video(720, 1), video(720, 1)]))
            .contains("two of its tracks are 'video-720p'")
    );
    let marked = Presentation { mark: "a --> b".into(), ..presentation(vec![video(720, 1)]) };
    assert!(refusal(&marked).contains("can't be a comment of XML"));
    let endless = Presentation { seconds: f64::NAN, ..presentation(vec![video(720, 1)]) };
    assert!(refusal(&endless).contains("its duration is NaN seconds"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_titles_and_languages_are_manifests_are_read_again(
        title in "\\PC{0,20}|[\"<>&'\\x00-\\x1f\u{2028}#]{0,10}|]]>|-->|%s,URI=\"x\"",
        other in "\\PC{0,5}",
        language in "[a-z]{2,3}(-[A-Z]{2})?|\\PC{0,8}|\"",
        folder in "[a-z %#$é]{1,6}",
        forced in any::<bool>(),
    ) {
        let mut tracks = everything().tracks;
        for track in &mut tracks[2..] {
            track.title = title.clone();
            track.language = language.clone();
        }
        tracks[3].title = other;
        tracks[6].purpose = if forced { Purpose::Forced } else { Purpose::Captions };
        for segment in &mut tracks[1].segments {
            segment.name = segment.name.replace("3f2a9c1b", &folder);
        }
        let presentation = presentation(tracks);
        let texts = rendered(&presentation);
        let named = read(&texts).map_err(|error| TestCaseError::fail(format!("{error}\n{}", find(&texts, MULTIVARIANT))))?;
        let objects = named.iter().filter(|one| one.by == DESCRIPTION && one.kind == NamedKind::Segment).count();
        prop_assert_eq!(objects, 6 * 3);
        for track in &presentation.tracks {
            for segment in &track.segments {
                prop_assert_eq!(named.iter().filter(|one| one.name == segment.name).count(), 2);
            }
        }
        prop_assert!(m3u8_rs::parse_master_playlist_res(find(&texts, MULTIVARIANT).as_bytes()).is_ok());
    }
}
