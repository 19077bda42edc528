use m3u8_rs::{AlternativeMediaType, MasterPlaylist, MediaPlaylist, MediaPlaylistType};

use super::*;

fn multivariant(presentation: &Presentation) -> MasterPlaylist {
    let texts = rendered(presentation);
    m3u8_rs::parse_master_playlist_res(find(&texts, MULTIVARIANT).as_bytes()).unwrap()
}

fn media(presentation: &Presentation, name: &str) -> MediaPlaylist {
    let texts = rendered(presentation);
    m3u8_rs::parse_media_playlist_res(find(&texts, name).as_bytes()).unwrap()
}

#[test]
fn a_media_playlist_has_a_line_for_each_fact() {
    let texts = rendered(&presentation(vec![video(720, 1_500_000)]));
    assert_eq!(
        find(&texts, "3f2a9c1b/video-720p/media.m3u8"),
        "#EXTM3U\n\
         # millrace 8f1d 77aa\n\
         #EXT-X-VERSION:6\n\
         #EXT-X-TARGETDURATION:6\n\
         #EXT-X-PLAYLIST-TYPE:VOD\n\
         #EXT-X-MAP:URI=\"init.mp4\"\n\
         #EXTINF:6.006000,\n00001.m4s\n\
         #EXTINF:6.006000,\n00002.m4s\n\
         #EXTINF:1.001000,\n00003.m4s\n\
         #EXT-X-ENDLIST\n"
    );
}

#[test]
fn one_video_is_one_variant() {
    let texts = rendered(&presentation(vec![video(720, 1_500_000)]));
    assert_eq!(
        find(&texts, MULTIVARIANT),
        "#EXTM3U\n\
         # millrace 8f1d 77aa\n\
         #EXT-X-VERSION:6\n\
         #EXT-X-INDEPENDENT-SEGMENTS\n\
         #EXT-X-STREAM-INF:BANDWIDTH=3425147,AVERAGE-BANDWIDTH=2766465,CODECS=\"avc1.64001f\",RESOLUTION=1280x720,\
         FRAME-RATE=29.970,VIDEO-RANGE=SDR\n\
         3f2a9c1b/video-720p/media.m3u8\n"
    );
}

#[test]
fn there_is_a_variant_for_each_rung_and_audio_codec() {
    let list = multivariant(&everything());
    let variants: Vec<_> = list
        .variants
        .iter()
        .filter(|variant| !variant.is_i_frame)
        .map(|variant| {
            let id = variant.uri.split('/').nth(1).unwrap();
            (id, variant.audio.as_deref().unwrap(), variant.codecs.as_deref().unwrap())
        })
        .collect();
    assert_eq!(
        variants,
        [
            ("video-720p", "audio-mp4a.40.2", "avc1.64001f,mp4a.40.2"),
            ("video-360p", "audio-mp4a.40.2", "avc1.64001f,mp4a.40.2"),
            ("video-720p", "audio-ec-3", "avc1.64001f,ec-3"),
            ("video-360p", "audio-ec-3", "avc1.64001f,ec-3"),
        ]
    );
    assert!(list.independent_segments);
    assert!(
        list.variants
            .iter()
            .all(|variant| variant.is_i_frame || variant.subtitles.as_deref() == Some("subtitles"))
    );
}

#[test]
fn a_group_has_the_languages_by_their_own_names_and_one_default() {
    let list = multivariant(&everything());
    let of = |group: &str| -> Vec<(String, String, bool, bool)> {
        let members = list.alternatives.iter().filter(|media| media.group_id == group);
        members
            .map(|media| {
                (
                    media.name.clone(),
                    media.language.clone().unwrap_or_default(),
                    media.default,
                    media.autoselect,
                )
            })
            .collect()
    };
    let expected =
        vec![("English".into(), "en".into(), true, true), ("Deutsch".into(), "de".into(), false, true)];
    assert_eq!(of("audio-mp4a.40.2"), expected);
    assert_eq!(of("audio-ec-3"), expected);
    assert_eq!(of("subtitles"), [("English".into(), "en".into(), false, true)]);
    let text =
        list.alternatives.iter().find(|media| media.media_type == AlternativeMediaType::Subtitles).unwrap();
    assert_eq!(text.uri.as_deref(), Some("3f2a9c1b/text-eng/media.m3u8"));
}

#[test]
fn codecs_without_all_languages_are_one_group() {
    let tracks = vec![
        video(720, 1000),
        audio("a", "mp4a.40.2", "eng", 100),
        audio("b", "mp4a.40.2", "deu", 100),
        audio("c", "ec-3", "eng", 100),
    ];
    let list = multivariant(&presentation(tracks));
    assert!(list.alternatives.iter().all(|media| media.group_id == "audio"));
    let names: Vec<&str> = list.alternatives.iter().map(|media| media.name.as_str()).collect();
    assert_eq!(names, ["English", "Deutsch", "English (2)"]);
    // A player selects by language, so only one of a language may be selected without its user.
    let selectable: Vec<bool> = list.alternatives.iter().map(|media| media.autoselect).collect();
    assert_eq!(selectable, [true, true, false]);
    assert_eq!(list.variants[0].codecs.as_deref(), Some("avc1.64001f,mp4a.40.2,ec-3"));
}

#[test]
fn a_ladder_of_sound_is_a_group_for_each_rung() {
    let tracks = vec![audio("a", "mp4a.40.2", "eng", 192_000), audio("b", "mp4a.40.2", "eng", 48_000)];
    let list = multivariant(&presentation(tracks));
    let groups: Vec<_> =
        list.variants.iter().map(|variant| (variant.uri.as_str(), variant.audio.as_deref())).collect();
    assert_eq!(
        groups,
        [
            ("3f2a9c1b/a/media.m3u8", Some("audio-mp4a.40.2")),
            ("3f2a9c1b/b/media.m3u8", Some("audio-mp4a.40.2-2"))
        ]
    );
    assert!(list.alternatives.iter().all(|media| media.uri.is_none()), "it is the variant's own playlist");
    assert!(list.variants[0].bandwidth > 3 * list.variants[1].bandwidth);
}

#[test]
fn bandwidth_is_the_largest_that_can_play_together() {
    let list = multivariant(&everything());
    let text = 300 * 8 * 1_000_000 / 13_013_000 + 1;
    // The peak of sound is its last two segments: 192,000 bytes in 7.018 s.
    let sound = (96_000.0f64 * 2.0 * 8.0 / 7.018334).ceil().max((96_000.0f64 * 8.0 / 5.994666).ceil()) as u64;
    let pictures = (1_500_000.0f64 * 2.0 * 8.0 / 7.007).ceil() as u64;
    assert_eq!(list.variants[0].bandwidth, pictures + sound + text);
    let average = |bytes: f64| (bytes * 8.0 / 13.013).ceil() as u64;
    assert_eq!(list.variants[0].average_bandwidth, Some(average(4_500_000.0) + average(288_000.0) + text));
}

#[test]
fn all_playlists_but_subtitles_have_the_same_target_duration() {
    let mut tracks = vec![video(720, 1000), audio("a", "mp4a.40.2", "eng", 100), text("t", "eng")];
    tracks[1].segments = segments("a", 48_000, &[6.51, 6.503], 100);
    let presentation = presentation(tracks);
    let target = |id: &str| media(&presentation, &format!("3f2a9c1b/{id}/media.m3u8")).target_duration;
    assert_eq!((target("video-720p"), target("a"), target("t")), (7, 7, 13));
}

#[test]
fn keyframes_are_byte_ranges_of_a_playlist_of_their_own() {
    let presentation = everything();
    let list = media(&presentation, "3f2a9c1b/video-720p/iframes.m3u8");
    assert!(list.i_frames_only && list.end_list && list.playlist_type == Some(MediaPlaylistType::Vod));
    assert_eq!((list.version, list.target_duration), (Some(5), 2));
    assert_eq!(list.segments.len(), 7);
    let range = list.segments[1].byte_range.as_ref().unwrap();
    assert_eq!((range.length, range.offset), (5000, Some(5900)));
    let map = list.segments[0].map.as_ref().unwrap();
    assert_eq!((map.uri.as_str(), map.byte_range.as_ref().unwrap().length), ("iframes.mp4", 900));
    let list = multivariant(&presentation);
    let keyframes = list.variants.iter().filter(|variant| variant.is_i_frame);
    let urls: Vec<&str> = keyframes.map(|variant| variant.uri.as_str()).collect();
    assert_eq!(urls, ["3f2a9c1b/video-720p/iframes.m3u8", "3f2a9c1b/video-360p/iframes.m3u8"]);
}

#[test]
fn segments_of_one_object_are_byte_ranges() {
    let list = media(&presentation(vec![single(video(720, 1000))]), "3f2a9c1b/video-720p/media.m3u8");
    let ranges: Vec<_> = list
        .segments
        .iter()
        .map(|segment| (segment.uri.as_str(), segment.byte_range.as_ref().unwrap().offset))
        .collect();
    let url = "../video-720p.mp4";
    assert_eq!(ranges, [(url, Some(876)), (url, Some(1876)), (url, Some(2876))]);
    assert_eq!(list.segments[0].map.as_ref().unwrap().byte_range.as_ref().unwrap().length, 800);
}

#[test]
fn pictures_have_the_size_at_which_they_are_shown_and_their_range() {
    let mut track = video(576, 1000);
    track.media = Media::Video {
        width: 720,
        height: 576,
        sample_aspect: (64, 45),
        frame_rate: (25, 1),
        range: VideoRange::Hlg,
    };
    let texts = rendered(&presentation(vec![track]));
    let expected = "RESOLUTION=1024x576,FRAME-RATE=25.000,VIDEO-RANGE=HLG\n";
    assert!(find(&texts, MULTIVARIANT).contains(expected), "{}", find(&texts, MULTIVARIANT));
}

#[test]
fn text_for_the_deaf_and_for_foreign_parts_is_marked() {
    let mut tracks = vec![video(720, 1000), text("a", "eng"), text("b", "eng"), text("c", "eng")];
    tracks[2].purpose = Purpose::Captions;
    tracks[3].purpose = Purpose::Forced;
    let list = multivariant(&presentation(tracks));
    let facts: Vec<_> =
        list.alternatives.iter().map(|media| (media.forced, media.autoselect, media.default)).collect();
    assert_eq!(facts, [(false, true, false), (false, true, false), (true, true, false)]);
    let deaf =
        "public.accessibility.transcribes-spoken-dialog,public.accessibility.describes-music-and-sound";
    assert_eq!(list.alternatives[1].characteristics.as_deref(), Some(deaf));
}
