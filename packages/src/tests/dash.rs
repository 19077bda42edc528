use super::*;

fn description(presentation: &Presentation) -> String {
    find(&rendered(presentation), DESCRIPTION).to_owned()
}

#[test]
fn a_description_has_a_template_and_a_timeline_for_each_track() {
    let track = Track { title: "A <b> & \"c\"".into(), ..audio("audio-eng", "mp4a.40.2", "eng", 96_000) };
    assert_eq!(
        description(&presentation(vec![video(720, 1_500_000), track])),
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!-- millrace 8f1d 77aa -->
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-live:2011" type="static" mediaPresentationDuration="PT13.013S" minBufferTime="PT6.016S">
  <Period id="0" start="PT0S">
    <AdaptationSet id="0" contentType="video" mimeType="video/mp4" segmentAlignment="true" startWithSAP="1" maxWidth="1280" maxHeight="720">
      <Role schemeIdUri="urn:mpeg:dash:role:2011" value="main"/>
      <Representation id="video-720p" codecs="avc1.64001f" bandwidth="3425147" width="1280" height="720" sar="1:1" frameRate="30000/1001">
        <SegmentTemplate timescale="30000" initialization="3f2a9c1b/video-720p/init.mp4" media="3f2a9c1b/video-720p/$Number%05d$.m4s" startNumber="1">
          <SegmentTimeline>
            <S t="0" d="180180" r="1"/>
            <S d="30030"/>
          </SegmentTimeline>
        </SegmentTemplate>
      </Representation>
    </AdaptationSet>
    <AdaptationSet id="1" contentType="audio" mimeType="audio/mp4" lang="en" segmentAlignment="true" startWithSAP="1">
      <Label>A &lt;b&gt; &amp; &quot;c&quot;</Label>
      <Role schemeIdUri="urn:mpeg:dash:role:2011" value="main"/>
      <Representation id="audio-eng" codecs="mp4a.40.2" bandwidth="218856" audioSamplingRate="48000">
        <AudioChannelConfiguration schemeIdUri="urn:mpeg:dash:23003:3:audio_channel_configuration:2011" value="2"/>
        <SegmentTemplate timescale="48000" initialization="3f2a9c1b/audio-eng/init.mp4" media="3f2a9c1b/audio-eng/$Number%05d$.m4s" startNumber="1">
          <SegmentTimeline>
            <S t="0" d="287744"/>
            <S d="288768"/>
            <S d="48112"/>
          </SegmentTimeline>
        </SegmentTemplate>
      </Representation>
    </AdaptationSet>
  </Period>
</MPD>
"#
    );
}

#[test]
fn rungs_of_a_codec_are_one_set_and_languages_are_sets_of_their_own() {
    let text = description(&everything());
    let sets: Vec<usize> =
        text.split("<AdaptationSet").skip(1).map(|set| set.matches("<Representation").count()).collect();
    // Video, four of audio, text, and the keyframes of both rungs.
    assert_eq!(sets, [2, 1, 1, 1, 1, 1, 2]);
    assert!(text.contains("<BaseURL>3f2a9c1b/text-eng/text.vtt</BaseURL>"));
}

#[test]
fn keyframes_are_a_set_for_seeking_by_sight() {
    let text = description(&everything());
    let set = text.split("<AdaptationSet").last().unwrap();
    assert!(
        set.contains(
            r#"<EssentialProperty schemeIdUri="http://dashif.org/guidelines/trickmode" value="0"/>"#
        )
    );
    assert!(set.contains(r#"<SegmentURL media="3f2a9c1b/video-720p/iframes.mp4" mediaRange="5900-10899"/>"#));
    assert!(
        set.contains(r#"profiles="urn:mpeg:dash:profile:full:2011""#),
        "players of the live profile leave it out"
    );
    assert!(text.contains(
        r#"profiles="urn:mpeg:dash:profile:isoff-live:2011,urn:mpeg:dash:profile:full:2011" type"#
    ));
}

#[test]
fn an_object_with_an_index_is_named_by_it() {
    let text = description(&presentation(vec![single(video(720, 1000))]));
    assert!(text.contains("urn:mpeg:dash:profile:isoff-on-demand:2011"));
    assert!(text.contains("<BaseURL>3f2a9c1b/video-720p.mp4</BaseURL>"));
    assert!(text.contains(r#"<SegmentBase timescale="30000" indexRange="800-875">"#));
    assert!(text.contains(r#"<Initialization range="0-799"/>"#));
    assert!(text.contains(r#"subsegmentAlignment="true" subsegmentStartsWithSAP="1""#));
}

#[test]
fn an_object_without_an_index_is_a_list_of_ranges() {
    let mut track = single(video(720, 1000));
    track.files = Files::Single { name: "3f2a9c1b/video-720p.mp4".into(), init_bytes: 800, index: None };
    let text = description(&presentation(vec![track]));
    assert!(text.contains(r#"<SegmentURL media="3f2a9c1b/video-720p.mp4" mediaRange="876-1875"/>"#));
    assert!(text.contains(r#"<SegmentList timescale="30000" duration="180180">"#));
}

#[test]
fn names_without_numbers_are_a_list() {
    let mut track = video(720, 1000);
    track.segments[1].name = "3f2a9c1b/video-720p/other.m4s".into();
    let presentation = presentation(vec![track]);
    assert!(description(&presentation).contains(r#"<SegmentURL media="3f2a9c1b/video-720p/other.m4s"/>"#));
    assert!(read(&rendered(&presentation)).is_ok());
}

#[test]
fn numbers_go_on_beyond_their_width() {
    let mut track = video(720, 1000);
    for (segment, number) in track.segments.iter_mut().zip(9998..) {
        segment.name = format!("f/v/{number:04}.m4s");
    }
    let presentation = presentation(vec![track]);
    assert!(description(&presentation).contains(r#"media="f/v/$Number%04d$.m4s" startNumber="9998""#));
    let named = read(&rendered(&presentation)).unwrap();
    assert!(named.iter().any(|one| one.name == "f/v/10000.m4s" && one.by == DESCRIPTION));
}

#[test]
fn rungs_that_are_cut_at_other_times_are_not_aligned() {
    let mut tracks = vec![video(720, 1000), video(360, 1000)];
    assert!(description(&presentation(tracks.clone())).contains("segmentAlignment"));
    tracks[1].segments = segments("video-360p", 30_000, &[5.005, 7.007, 1.001], 1000);
    assert!(!description(&presentation(tracks)).contains("segmentAlignment"));
}

#[test]
fn roles_say_what_a_track_is_for() {
    let with = |purpose: Purpose, of: fn() -> Track| {
        let text = description(&presentation(vec![
            video(720, 10),
            audio("a", "mp4a.40.2", "eng", 10),
            Track { purpose, ..of() },
        ]));
        let set = text.split("<AdaptationSet").last().unwrap().to_owned();
        set.split("urn:mpeg:dash:role:2011\" value=\"")
            .skip(1)
            .map(|role| role.split('"').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let sound = || audio("b", "mp4a.40.2", "eng", 10);
    let words = || text("t", "eng");
    assert_eq!(with(Purpose::Commentary, sound), ["commentary"]);
    assert_eq!(with(Purpose::Description, sound), ["alternate"]);
    assert_eq!(with(Purpose::Main, words), ["subtitle"]);
    assert_eq!(with(Purpose::Captions, words), ["caption"]);
    assert_eq!(with(Purpose::Forced, words), ["forced-subtitle"]);
}
