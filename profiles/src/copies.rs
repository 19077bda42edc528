//! Whether a track of a source can be copied into an output, and whether it already is what is asked for. Pure.

use millrace_formats::{Codec, Container, Tables};
use millrace_schemas::{
    AudioSettings, AudioTrack, BitRate, COPY, CodedStream, Picture, Sound, VideoSettings, VideoTrack,
};

use crate::{copying::Copying, wanted::Wanted};

/// How much the average bit rate may be above the one that is asked for: encoders keep to it about as well.
const RATE_SLACK: f64 = 1.05;

impl Wanted {
    /// Returns the settings of its pictures, which are made or copied of this track; `None` if it has none. Of a source that is
    /// trimmed, no track is copied: its pictures need those before them.
    ///
    /// # Errors
    /// If they are to be copied and can't be, with the reason.
    pub fn pictures(
        &self,
        tables: &Tables,
        video: &VideoTrack,
        is_trimmed: bool,
    ) -> Result<Option<VideoSettings>, String> {
        let copy = || self.copied_pictures(tables, video, is_trimmed);
        match self.copying_video() {
            Copying::Never => Ok(self.video_settings(&video.picture)),
            Copying::Always => copy().map(Some).map_err(|reason| self.refusal("pictures", &reason)),
            Copying::IfItFits => Ok(match (self.video_settings(&video.picture), copy()) {
                (Some(made), Ok(copy)) if are_met(&made, &video.picture, &video.coded) => Some(copy),
                (made, _) => made,
            }),
        }
    }

    /// Returns the settings of its audio, which is made or copied of this track, the default one first; and what is to be said if
    /// its channels can't stay as they are. Settings that would be equal are there once.
    ///
    /// # Errors
    /// As [`Wanted::pictures`].
    pub fn sound(
        &self,
        tables: &Tables,
        track: &AudioTrack,
        is_trimmed: bool,
    ) -> Result<Vec<(AudioSettings, Option<String>)>, String> {
        let copy = || self.copied_sound(tables, track, is_trimmed).map(|settings| (settings, None));
        let mut all: Vec<(AudioSettings, Option<String>)> = Vec::new();
        for encoding in self.encodings_of(&track.tags.language) {
            let usual = || self.audio_settings_of(encoding, &track.sound);
            let made = match encoding.copying() {
                Copying::Never => usual(),
                Copying::Always => Some(copy().map_err(|reason| self.refusal("audio", &reason))?),
                Copying::IfItFits => match (usual(), copy()) {
                    (Some((made, _)), Ok(copy))
                        if is_met(&made, encoding.asked_bit_rate(), track)
                            && [0, copy.0.bits].contains(&made.bits) =>
                    {
                        Some(copy)
                    }
                    (made, _) => made,
                },
            };
            all.extend(made.filter(|(made, _)| all.iter().all(|(other, _)| other != made)));
        }
        Ok(all)
    }

    fn refusal(&self, what: &str, reason: &str) -> String {
        format!(
            "the {what} of the source can't be copied into {}: {reason}; ask for a codec, with when_fits = \"{COPY}\" \
             beside it if they are to be copied where that is possible",
            self.container.name
        )
    }

    fn copied_pictures(
        &self,
        tables: &Tables,
        video: &VideoTrack,
        is_trimmed: bool,
    ) -> Result<VideoSettings, String> {
        let VideoTrack { picture, coded, .. } = video;
        let codec = copied_codec(tables, self.container, coded, is_trimmed)?;
        let held = codec.video().filter(|_| holds(self.container.video.codecs, coded));
        let Some(held) = held else {
            return Err(not_held(self.container, self.container.video.codecs, coded));
        };
        if picture.rotation != 0 || picture.mirrored {
            return Err("players rotate or mirror its pictures, which only an encode keeps".into());
        }
        let states_light = self.container.index.states_light();
        if picture.light.is_some() && !states_light {
            return Err(
                "their container states the light of its pictures, which files of this format can't".into()
            );
        }
        let settings = VideoSettings { light: picture.light.clone(), ..VideoSettings::copy(picture, coded) };
        held.copy_refusal(&settings, &coded.headers).map_or(Ok(settings), Err)
    }

    fn copied_sound(
        &self,
        tables: &Tables,
        track: &AudioTrack,
        is_trimmed: bool,
    ) -> Result<AudioSettings, String> {
        let AudioTrack { sound, coded, .. } = track;
        let uncompressed = tables.codec(&coded.codec).ok().and_then(<dyn Codec>::audio);
        if let Some(codec) = uncompressed.filter(|codec| codec.is_uncompressed()) {
            return Err(codec.copy_refusal(&coded.headers).unwrap_or_default());
        }
        let codec = copied_codec(tables, self.container, coded, is_trimmed)?;
        let held = codec.audio().filter(|_| holds(self.container.audio.codecs, coded));
        let Some(held) = held else {
            return Err(not_held(self.container, self.container.audio.codecs, coded));
        };
        if held.has_header() {
            let stated = held.read_header(&coded.headers);
            let is_of = |channels: Option<i32>| channels.is_none_or(|channels| channels == sound.channels);
            if !stated.is_some_and(|read| read.sample_rate == sound.sample_rate && is_of(read.channels)) {
                return Err(format!(
                    "its codec header of {} is of a kind that copies do not carry",
                    coded.codec
                ));
            }
        }
        let bits = held.stated_bits(&coded.headers);
        let copy = || AudioSettings { bits, ..AudioSettings::copy(sound, coded) };
        held.copy_refusal(&coded.headers).map_or_else(|| Ok(copy()), Err)
    }
}

/// Returns the codec of a track that is to be copied.
fn copied_codec(
    tables: &Tables,
    container: &Container,
    coded: &CodedStream,
    is_trimmed: bool,
) -> Result<&'static dyn Codec, String> {
    if let Some(obstacle) = &coded.obstacle {
        return Err(obstacle.clone());
    }
    if is_trimmed {
        return Err("a part of it needs pictures and sound that are left out; leave trim out".into());
    }
    if !container.index.takes_copies() {
        return Err("files of this format are made by their encoders alone".into());
    }
    let name = if coded.codec.is_empty() { "unknown" } else { &coded.codec };
    tables.codec(&coded.codec).map_err(|_| format!("no format holds its codec, which is {name}"))
}

fn holds(codecs: &[&'static dyn Codec], coded: &CodedStream) -> bool {
    codecs.iter().any(|codec| codec.name() == coded.codec)
}

fn not_held(container: &Container, codecs: &[&'static dyn Codec], coded: &CodedStream) -> String {
    let names: Vec<&str> = codecs.iter().map(|codec| codec.name()).collect();
    let names = if names.is_empty() { "none".into() } else { names.join(", ") };
    format!("they are {}, and it holds of such tracks: {names} ({})", coded.codec, container.about)
}

/// Returns `true` if pictures already are what an encode of these settings would make of them, but for its quality.
fn are_met(made: &VideoSettings, picture: &Picture, coded: &CodedStream) -> bool {
    let as_coded = VideoSettings::copy(picture, coded);
    // What belongs to the encoder, and what is held below.
    let changed = VideoSettings {
        preset: made.preset.clone(),
        crf: made.crf,
        encoder: made.encoder.clone(),
        keyframe_seconds: made.keyframe_seconds,
        light: made.light.clone(),
        bit_rate: made.bit_rate,
        keyframe_grid: made.keyframe_grid,
        instants: made.instants.clone(),
        ..as_coded
    };
    // An average says nothing of a player's buffer: with a bound they are encoded.
    let is_within_rate = made.bit_rate.is_none_or(|BitRate { average, most, .. }| {
        coded.bit_rate > 0 && most <= 0 && is_within(coded.bit_rate, average)
    });
    let has_keyframes = made.keyframe_seconds <= 0.0
        || coded.keyframe_seconds.is_some_and(|seconds| seconds <= made.keyframe_seconds + 0.001);
    changed == *made && has_keyframes && is_within_rate
}

/// Returns `true` if audio already is what an encode of these settings would make of it, within the bit rate that is asked for.
fn is_met(made: &AudioSettings, bit_rate: Option<i64>, track: &AudioTrack) -> bool {
    let AudioTrack { sound: Sound { sample_rate, channels, layout }, coded, .. } = track;
    // One or two channels have the same layout whether it is named or not.
    let layout_is_same =
        made.layout == *layout || *channels <= 2 && (made.layout.is_empty() || layout.is_empty());
    made.codec == coded.codec
        && (made.sample_rate, made.channels) == (*sample_rate, *channels)
        && layout_is_same
        && made.filters.is_none()
        && bit_rate.is_none_or(|asked| is_within(coded.bit_rate, asked))
}

/// Returns `true` if a bit rate is known and is not above what is asked for.
fn is_within(bit_rate: i64, asked: i64) -> bool {
    bit_rate > 0 && bit_rate as f64 <= asked as f64 * RATE_SLACK
}

#[cfg(test)]
mod tests {
    use millrace_formats::TABLES;
    use millrace_schemas::{Light, Ratio};

    use super::*;
    use crate::profile::Profile;

    /// Headers of H.264 with a set of each kind.
    const AVC: [u8; 17] = [1, 100, 0, 31, 0xff, 0xe1, 0, 4, 0x67, 100, 0, 31, 1, 0, 2, 0x68, 9];

    fn video() -> VideoTrack {
        let picture = Picture::plain((64, 48), Ratio { num: 25, den: 1 }, Ratio { num: 1, den: 12_800 });
        let coded = CodedStream {
            codec: "h264".into(),
            headers: AVC.to_vec(),
            bit_rate: 1_000_000,
            width: 64,
            height: 48,
            keyframe_seconds: Some(2.0),
            obstacle: None,
        };
        VideoTrack { coded, ..VideoTrack::new(0, picture, (0, 100)) }
    }

    fn audio() -> AudioTrack {
        let sound = Sound { sample_rate: 48_000, channels: 2, layout: "stereo".into() };
        let coded = CodedStream {
            codec: "aac".into(),
            headers: vec![0x11, 0x90],
            bit_rate: 128_000,
            ..CodedStream::default()
        };
        AudioTrack { sound, coded, ..AudioTrack::default() }
    }

    fn wanted(format: &str, encodings: &str) -> Wanted {
        let text = format!("{encodings}\n[[output]]\nformat = \"{format}\"");
        Profile::from_toml(&text).unwrap().wanted(&TABLES).unwrap().remove(0)
    }

    /// Whether pictures are copied that are asked for by these keys.
    fn is_copied(keys: &str, video: &VideoTrack) -> bool {
        let text = format!("[video.a]\ncodec = \"h264\"\nwhen_fits = \"copy\"\n{keys}");
        wanted("mp4", &text).pictures(&TABLES, video, false).unwrap().unwrap().is_copy()
    }

    #[test]
    fn pictures_are_copied_when_an_encode_would_change_nothing_but_their_quality() {
        assert!(is_copied("", &video()) && is_copied("quality = 30\npreset = \"slow\"", &video()));
        assert!(is_copied("size = \"64x48\"\nkeyframe_interval = 2", &video()));
        assert!(!is_copied("watermark = { image = \"s3://b/l.png\" }", &video()));
        assert!(!is_copied("width = 32", &video()) && !is_copied("keyframe_interval = 1.9", &video()));
        let changed = |change: fn(&mut VideoTrack)| {
            let mut video = video();
            change(&mut video);
            is_copied("", &video)
        };
        assert!(!changed(|video| video.coded.codec = "hevc".into()));
        assert!(!changed(|video| video.picture.pixel_format = "yuv422p".into()));
        assert!(!changed(|video| video.picture.color.transfer = 16), "it would be tone-mapped");
        assert!(!changed(|video| video.picture.rotation = 90));
        assert!(!changed(|video| video.coded.width = 65), "an odd column would be left off");
        assert!(!changed(|video| video.coded.obstacle = Some("it is cut off".into())));
        let mut unknown = video();
        unknown.coded.keyframe_seconds = None;
        assert!(is_copied("", &unknown) && !is_copied("keyframe_interval = 2", &unknown));
    }

    #[test]
    fn a_bit_rate_of_pictures_bounds_that_of_a_copy() {
        let VideoTrack { picture, coded, .. } = video();
        let met = |average, most, bit_rate| {
            let rate = BitRate { average, most, ..BitRate::default() };
            let made = VideoSettings { bit_rate: Some(rate), ..VideoSettings::copy(&picture, &coded) };
            are_met(&made, &picture, &CodedStream { bit_rate, ..coded.clone() })
        };
        assert!(
            met(1_000_000, 0, 1_040_000) && !met(1_000_000, 0, 1_060_000),
            "encoders keep to it about as well"
        );
        assert!(met(2_000_000, 0, 500_000) && !met(2_000_000, 0, 0), "unknown");
        assert!(!met(2_000_000, 3_000_000, 500_000) && !met(0, 3_000_000, 500_000), "a buffer is not known");
    }

    #[test]
    fn a_bit_rate_that_is_asked_for_bounds_that_of_a_copy() {
        let copied = |keys: &str, track: &AudioTrack| {
            let text = format!("[audio.a]\ncodec = \"aac\"\nwhen_fits = \"copy\"\n{keys}");
            wanted("mp4", &text).sound(&TABLES, track, false).unwrap()[0].0.is_copy()
        };
        assert!(copied("", &audio()) && copied("bitrate = \"125k\"", &audio()));
        assert!(!copied("bitrate = \"96k\"", &audio()) && !copied("channels = 1", &audio()));
        assert!(!copied("sample_rate = 44100", &audio()));
        let mut other = audio();
        other.coded.bit_rate = 0;
        assert!(!copied("bitrate = \"125k\"", &other), "unknown");
        other = audio();
        other.coded.headers = vec![0x12, 0x10];
        assert!(!copied("", &other), "its header is of another rate");
    }

    const COPIES: &str = "[video.a]\ncodec = \"copy\"\n[audio.a]\ncodec = \"copy\"";

    #[test]
    fn a_copy_that_is_not_possible_is_refused_with_the_reason_and_what_would_work() {
        let refused = |format: &str, change: fn(&mut VideoTrack), is_trimmed| {
            let mut video = video();
            change(&mut video);
            wanted(format, COPIES).pictures(&TABLES, &video, is_trimmed).unwrap_err()
        };
        assert!(wanted("flv", COPIES).pictures(&TABLES, &video(), false).unwrap().unwrap().is_copy());
        let reason = refused("flv", |video| video.coded.codec = "vp9".into(), false);
        assert!(reason.contains("into flv: they are vp9, and it holds of such tracks: h264"), "{reason}");
        assert!(reason.contains("ask for a codec, with when_fits = \"copy\""), "{reason}");
        assert!(refused("mp4", |_| {}, true).contains("leave trim out"));
        assert!(refused("mp4", |video| video.picture.mirrored = true, false).contains("mirror"));
        let lit = |video: &mut VideoTrack| video.picture.light = Some(Light::default());
        assert!(refused("flv", lit, false).contains("light"));
        assert!(refused("mp4", |video| video.coded.headers[4] = 0xfd, false).contains("2 bytes"));
        assert!(refused("mp4", |video| video.coded = CodedStream::default(), false).contains("unknown"));
        assert!(wanted("mp4", COPIES).sound(&TABLES, &audio(), true).is_err());
    }

    #[test]
    fn nothing_else_can_be_asked_of_a_copy_nor_a_copy_of_formats_of_one_encoder() {
        let problems = |text: &str| {
            let found = Profile::from_toml(text).unwrap().wanted(&TABLES).err().unwrap_or_default();
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let output = "\n[[output]]\nformat = \"mp4\"";
        let said = problems(&format!("[video.a]\ncodec = \"copy\"\nquality = 20\nwidth = 64{output}"));
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].starts_with("video.a.quality: a copy is as the source is; leave it out"), "{said:?}");
        let said = problems(&format!("[video.a]\ncodec = \"h264\"\nwhen_fits = \"same\"{output}"));
        assert_eq!(said, ["video.a.when_fits: 'same' is unknown; known is copy"]);
        let said = problems("[audio.a]\ncodec = \"copy\"\n[[output]]\nformat = \"mp3\"");
        assert!(said[0].contains("mp3 is made by its encoder alone"), "{said:?}");
    }
}
