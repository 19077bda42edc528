//! What the planner works by: a container, and the codecs and settings that are asked for its tracks.

use millrace_formats::{
    AudioAsk, Codec, Container, PixelAsk, Tables, VideoAsk, codec::VideoCodec, is_high_range,
};
use millrace_packages::terminology;
use millrace_schemas::{
    AudioFilters, AudioSettings, BitRate, ImageFacts, Picture, Protection, Sound, SourceFacts, VideoFilters,
    VideoSettings, path_encoded, source_stem,
};

use crate::{
    bounds::USUAL_BUFFER_SECONDS,
    copying::Copying,
    division::{Division, USUAL_SEGMENT},
    geometry::{self, Geometry},
    over_time,
    pictures::PicturesAsked,
    profile::{Audio, ColorRange, Video},
    rungs::RUNG,
    watermark,
    waveform::WaveformAsked,
};

/// The value of `pixel_format` that stands for the source's.
pub(crate) const AS_SOURCE: &str = "source";
/// The name of an output's file, if none is asked for.
pub(crate) const USUAL_NAME: &str = "{stem}.{ext}";

/// The name of a package's folder, if none is asked for.
const USUAL_FOLDER: &str = "{stem}";
/// The name of a folder of pictures, if none is asked for: it may lie beside a package.
const USUAL_PICTURES: &str = "{stem}-{ext}";

/// Returns the name of an output in a container, if none is asked for.
pub(crate) fn usual_name(container: &Container) -> &'static str {
    match container.manifest() {
        None => USUAL_NAME,
        Some(_) if container.package().is_some() => USUAL_FOLDER,
        Some(_) => USUAL_PICTURES,
    }
}

/// An output that is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Its container.
    pub container: &'static Container,
    /// The name of its file, or of a package's folder, with `{stem}` and `{ext}` in it, and `{rung}` if it is a rung of a ladder.
    name: String,
    /// The name of the rung that it is; `None` if it is none.
    pub(crate) rung: Option<String>,
    /// How it is divided, of a package.
    division: Option<Division>,
    /// Which single pictures it holds; `None` for tracks.
    pictures: Option<PicturesAsked>,
    /// How its waveform is drawn; `None` for other outputs.
    waveform: Option<WaveformAsked>,
    /// How it is encrypted, of a package.
    protection: Option<Protection>,
    /// What is wanted of its pictures; `None` for no pictures.
    pub(crate) video: Option<Encoding<Video>>,
    /// What is wanted of further renditions of its pictures, of a format that holds several.
    pub(crate) smaller: Vec<Encoding<Video>>,
    /// What is wanted of its audio, each with the language of the tracks of which it is wanted, if it is not all of them.
    audio: Vec<(Option<String>, Encoding<Audio>)>,
    /// What it is made of.
    source: Origin,
}

/// What is laid over pictures by.
#[derive(Debug, Clone, Default, PartialEq)]
struct Origin {
    /// The name of the source without its extension.
    stem: String,
    /// The images that are laid over pictures, once they are measured.
    images: Vec<ImageFacts>,
    /// When time zero of the output and that of the source are, in seconds of the source's clock.
    zero: f64,
    source_zero: f64,
    /// The stream of the text track that is laid over pictures.
    text_track: Option<i32>,
}

/// The codec of a track, and what is asked of it.
#[derive(Debug, Clone)]
pub(crate) struct Encoding<T> {
    /// `None` for that of the source, whose packets are copied.
    pub(crate) codec: Option<&'static dyn Codec>,
    /// libavcodec's name of the encoder that is asked for.
    encoder: Option<&'static str>,
    /// `None` for the codec's defaults.
    pub(crate) asked: Option<T>,
}

impl<T: PartialEq> PartialEq for Encoding<T> {
    fn eq(&self, other: &Self) -> bool {
        self.codec.map(<dyn Codec>::name) == other.codec.map(<dyn Codec>::name)
            && self.encoder == other.encoder
            && self.asked == other.asked
    }
}

impl<T> Encoding<T> {
    fn new(chosen: Option<Chosen>, asked: Option<T>) -> Self {
        let (codec, encoder) = chosen.unzip();
        Self { codec, encoder: encoder.flatten(), asked }
    }
}

impl Encoding<Video> {
    /// Returns the same codec and encoder, of which this is asked.
    pub(crate) fn with(&self, asked: Video) -> Self {
        Self { asked: Some(asked), ..self.clone() }
    }
}

impl Encoding<Audio> {
    /// Returns whether its packets are copied.
    pub(crate) fn copying(&self) -> Copying {
        let asked = self.asked.as_ref();
        asked.map_or(Copying::Never, |asked| Copying::of(&asked.codec, asked.when_fits.as_deref()))
    }

    /// Returns the bit rate that is asked for, in bits per second.
    pub(crate) fn asked_bit_rate(&self) -> Option<i64> {
        self.asked.as_ref()?.bitrate.map(|rate| rate.0)
    }
}

/// A codec and the encoder that is asked for.
pub(crate) type Chosen = (&'static dyn Codec, Option<&'static str>);

/// What is chosen for tracks of audio.
pub(crate) struct AudioChosen {
    /// The language of the tracks; `None` for all tracks.
    pub(crate) language: Option<String>,
    /// `None` for that of the source, whose packets are copied.
    pub(crate) codec: Option<Chosen>,
    /// `None` for the codec's defaults.
    pub(crate) asked: Option<Audio>,
}

impl Wanted {
    /// Returns an output in a container of which nothing else is asked.
    #[must_use]
    pub fn of(container: &'static Container) -> Self {
        let usual = |codec: &'static dyn Codec| Some((codec, None));
        let division =
            container.package().map(|_| Division { segment_seconds: USUAL_SEGMENT, single: false });
        let wanted = Self::new(
            container,
            usual_name(container),
            container.video_codec().map(|codec| (usual(codec), None)),
            container
                .audio_codec()
                .map(|codec| AudioChosen { language: None, codec: usual(codec), asked: None })
                .into_iter()
                .collect(),
        );
        let (pictures, waveform) = (PicturesAsked::usual(container), WaveformAsked::usual(container));
        Self { division, pictures, waveform, ..wanted }
    }

    /// Returns the same under another name.
    pub(crate) fn called(self, name: &str) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Returns the same, which keeps these single pictures.
    pub(crate) fn keeping(self, pictures: PicturesAsked) -> Self {
        Self { pictures: Some(pictures), ..self }
    }

    /// Returns what is asked of its single pictures; `None` if it holds tracks.
    #[must_use]
    pub fn pictures_asked(&self) -> Option<&PicturesAsked> {
        self.pictures.as_ref()
    }

    /// Returns the same, which draws this waveform.
    pub(crate) fn drawing(self, waveform: WaveformAsked) -> Self {
        Self { waveform: Some(waveform), ..self }
    }

    /// Returns what is asked of its waveform; `None` if it is none.
    #[must_use]
    pub fn waveform(&self) -> Option<&WaveformAsked> {
        self.waveform.as_ref()
    }

    /// Returns the same, divided like this.
    pub(crate) fn divided(self, division: Option<Division>) -> Self {
        Self { division, ..self }
    }

    /// Returns how it is divided; `None` for a file.
    #[must_use]
    pub fn division(&self) -> Option<Division> {
        self.division
    }

    /// Returns the same, encrypted like this.
    pub(crate) fn encrypted(self, protection: Option<Protection>) -> Self {
        Self { protection, ..self }
    }

    /// Returns how it is encrypted; `None` if it is not.
    #[must_use]
    pub fn protection(&self) -> Option<&Protection> {
        self.protection.as_ref()
    }

    pub(crate) fn new(
        container: &'static Container,
        name: &str,
        video: Option<(Option<Chosen>, Option<Video>)>,
        audio: Vec<AudioChosen>,
    ) -> Self {
        Self {
            container,
            name: name.into(),
            rung: None,
            smaller: Vec::new(),
            division: None,
            pictures: None,
            waveform: None,
            protection: None,
            video: video.map(|(chosen, asked)| Encoding::new(chosen, asked)),
            audio: audio
                .into_iter()
                .map(|AudioChosen { language, codec, asked }| (language, Encoding::new(codec, asked)))
                .collect(),
            source: Origin::default(),
        }
    }

    /// Returns the same output with one rendition of pictures.
    pub(crate) fn with_pictures(&self, video: Encoding<Video>) -> Self {
        Self { video: Some(video), smaller: Vec::new(), ..self.clone() }
    }

    /// Returns whether its pictures are copied.
    pub(crate) fn copying_video(&self) -> Copying {
        let asked = self.video.as_ref().and_then(|video| video.asked.as_ref());
        asked.map_or(Copying::Never, |asked| Copying::of(&asked.codec, asked.when_fits.as_deref()))
    }

    /// Sets what is laid over pictures by: the facts and the URL of the source, and when time zero of the output and that of the
    /// source are, in seconds of the source's clock. Times of images and texts are counted from the first, those of a file of
    /// subtitles from the second.
    ///
    /// # Errors
    /// If a text track is asked for that the source does not have.
    pub fn set_source(
        &mut self,
        (facts, url): (&SourceFacts, &str),
        (zero, source_zero): (f64, f64),
        tables: &Tables,
    ) -> Result<(), String> {
        let asked = self.video.as_ref().and_then(|video| video.asked.as_ref()?.subtitles.as_ref());
        let asked = asked.filter(|_| facts.video.is_some());
        let text_track = asked.map(|asked| asked.track(facts, tables)).transpose()?.flatten();
        let (stem, images) = (source_stem(url).to_owned(), facts.images.clone());
        self.source = Origin { stem, images, zero, source_zero, text_track };
        Ok(())
    }

    /// Returns the stream of the text track that is laid over its pictures, once its source is set.
    #[must_use]
    pub fn burnt_track(&self) -> Option<i32> {
        self.source.text_track
    }

    /// Returns the name of the file that is made of a source whose name without its extension is `stem`; of a package that of the
    /// manifest that makes it visible, in its folder.
    #[must_use]
    pub fn file_name(&self, stem: &str) -> String {
        let name = self.place(stem);
        match self.container.manifest() {
            None => name,
            Some(manifest) => format!("{name}/{manifest}"),
        }
    }

    /// Returns the name of the file or of the package's folder, which no two outputs share.
    pub(crate) fn place(&self, stem: &str) -> String {
        let name = self.name.replace("{ext}", self.container.extension());
        let name = self.rung.as_ref().map_or(name.clone(), |rung| name.replace(RUNG, rung));
        name.replace("{stem}", stem)
    }

    /// Returns the URL of the output that is made of a source, in the folder or bucket of this URL.
    #[must_use]
    pub fn output_url(&self, prefix: &str, source: &str) -> String {
        let name = path_encoded(&self.name).replace("%7B", "{").replace("%7D", "}");
        let file = Self { name, ..self.clone() }.file_name(source_stem(source));
        format!("{}/{file}", prefix.trim_end_matches('/'))
    }

    /// Returns the settings of its pictures, which are made of pictures like these; `None` if it has none, or copies them.
    #[must_use]
    pub fn video_settings(&self, picture: &Picture) -> Option<VideoSettings> {
        let Encoding { codec, encoder, asked } = self.video.as_ref()?;
        let (picture, filters) = asked.as_ref().map_or_else(
            || (picture.clone(), VideoFilters::default()),
            |asked| over_time::after(asked, picture),
        );
        let geometry = asked.as_ref().map(|asked| Geometry::of(asked, &picture));
        let mut ask = asked.as_ref().map(ask_of_video).unwrap_or_default();
        ask.encoder = encoder.map(str::to_owned);
        if let (Some(division), Some(codec)) = (self.division, codec.as_ref())
            && codec.video().is_some_and(VideoCodec::places_keyframes)
        {
            ask.keyframe_interval.get_or_insert(division.keyframe_interval());
        }
        ask.size = geometry.as_ref().and_then(|geometry| geometry.size);
        let picture = geometry.as_ref().map_or(&picture, |geometry| &geometry.picture);
        let mut settings = codec.as_ref()?.video_settings(picture, &ask)?;
        settings.filters = Some(filters).filter(|filters| *filters != VideoFilters::default());
        if let Some(geometry) = &geometry {
            geometry.set(&mut settings);
        }
        if let Some(marks) = asked.as_ref().map(|asked| &asked.watermark).filter(|marks| !marks.is_empty()) {
            let Origin { stem, images, zero, .. } = &self.source;
            let overlays = watermark::overlays(marks, &settings, images, *zero);
            let texts = watermark::texts(marks, &settings, stem, *zero);
            let filters = settings.filters.get_or_insert_default();
            (filters.overlays, filters.texts) = (overlays, texts);
        }
        if let Some(subtitles) = asked.as_ref().and_then(|asked| asked.subtitles.as_ref()) {
            let burnt = subtitles.burnt(self.source.text_track, self.source.source_zero, &settings);
            settings.filters.get_or_insert_default().subtitles = Some(burnt);
        }
        Some(settings)
    }

    /// Returns why pictures like these can't be made what is asked, with what would work; `None` if they can.
    #[must_use]
    pub fn picture_refusal(&self, picture: &Picture) -> Option<String> {
        let asked = self.video.as_ref()?.asked.as_ref()?;
        let lays_over = !asked.watermark.is_empty() || asked.subtitles.is_some();
        if lays_over && is_high_range(self.video_settings(picture)?.color) {
            // White of an image would be as bright as the display can be.
            return Some(
                "images and texts are laid over pictures of standard dynamic range only; leave watermark and subtitles out, \
                 or have the pictures tone-mapped"
                    .into(),
            );
        }
        geometry::refusal(asked, picture)
    }

    /// Returns why pictures of these settings can't be in its file, with what would work; `None` if they can.
    #[must_use]
    pub fn settings_refusal(&self, settings: &VideoSettings, tables: &Tables) -> Option<String> {
        if !is_high_range(settings.color) || self.container.index.states_light() {
            return None;
        }
        let others = tables.containers.iter().filter(|container| {
            container.index.states_light() && container.codecs().any(|codec| codec.name() == settings.codec)
        });
        let others: Vec<&str> = others.map(|container| container.name).collect();
        Some(format!(
            "the source is of high dynamic range, which {} does not state; ask for another format: {}; or set color to \"sdr\"",
            self.container.name,
            others.join(", ")
        ))
    }

    /// Returns what is wanted of the audio of a track in this language (ISO 639-2; empty if it is unknown), the default one first.
    pub(crate) fn encodings_of<'a>(&'a self, language: &'a str) -> impl Iterator<Item = &'a Encoding<Audio>> {
        let is_of_it = |wanted: &String| terminology(wanted) == terminology(language);
        self.audio
            .iter()
            .filter(move |(wanted, _)| wanted.as_ref().is_none_or(is_of_it))
            .map(|(_, encoding)| encoding)
    }

    /// Returns the settings of the first encoding of audio like this in this language, and what is to be said if its channels can't
    /// stay as they are; `None` if it has none, or copies it.
    #[must_use]
    pub fn audio_settings(&self, sound: &Sound, language: &str) -> Option<(AudioSettings, Option<String>)> {
        self.encodings_of(language).next().and_then(|encoding| self.audio_settings_of(encoding, sound))
    }

    /// Returns the settings of audio that is made of audio like this, and what is to be said if its channels can't stay as they
    /// are; `None` if it is copied.
    pub(crate) fn audio_settings_of(
        &self,
        encoding: &Encoding<Audio>,
        sound: &Sound,
    ) -> Option<(AudioSettings, Option<String>)> {
        let Encoding { codec, encoder, asked } = encoding;
        let ask = AudioAsk {
            encoder: encoder.map(str::to_owned),
            bit_rate: asked.as_ref().and_then(|asked| asked.bitrate).map(|rate| rate.0),
            sample_rate: asked.as_ref().and_then(|asked| asked.sample_rate),
            channels: asked.as_ref().and_then(|asked| asked.channels),
            bits: asked.as_ref().and_then(|asked| asked.bits),
            channels_unnamed: false,
            is_stream: false,
            filters: asked.as_ref().and_then(filters_of_audio),
        };
        self.container.audio_settings_of(*codec.as_ref()?, sound, &ask)
    }

    /// Returns the languages of which audio is wanted; empty if it is of all, or none.
    #[must_use]
    pub fn languages(&self) -> Vec<&str> {
        self.audio.iter().filter_map(|(language, _)| language.as_deref()).collect()
    }

    /// Returns `true` if each track of audio is wanted once, or none is.
    #[must_use]
    pub fn keeps_audio_tracks(&self) -> bool {
        self.audio.len() <= 1 && self.languages().is_empty()
    }

    /// Returns `true` if no audio is wanted.
    #[must_use]
    pub fn is_without_audio(&self) -> bool {
        self.audio.is_empty()
    }
}

/// Returns what audio goes through; `None` for nothing.
fn filters_of_audio(asked: &Audio) -> Option<AudioFilters> {
    let filters = AudioFilters {
        high_pass: asked.high_pass.unwrap_or(0),
        denoise: asked.denoise,
        gain: asked.gain.map_or(0.0, |gain| gain.0),
        loudness: asked.loudness.map(|loudness| loudness.0),
        fade_in: asked.fade_in.map_or(0.0, |seconds| seconds.0),
        fade_out: asked.fade_out.map_or(0.0, |seconds| seconds.0),
    };
    Some(filters).filter(|filters| *filters != AudioFilters::default())
}

/// Returns the bit rate that is asked for; `None` for constant quality without a bound.
fn bit_rate(asked: &Video) -> Option<BitRate> {
    let most = asked.max_bitrate.map_or(0, |most| most.0);
    let rate = BitRate {
        average: asked.bitrate.map_or(0, |average| average.0),
        most,
        buffer: asked.buffer.map_or(USUAL_BUFFER_SECONDS * most, |buffer| buffer.0),
        ..BitRate::default()
    };
    Some(rate).filter(|rate| *rate != BitRate::default())
}

fn ask_of_video(asked: &Video) -> VideoAsk {
    VideoAsk {
        encoder: None,
        preset: asked.preset.clone(),
        quality: asked.quality,
        bit_rate: bit_rate(asked),
        pixel_format: asked.pixel_format.as_deref().map(|name| match name {
            AS_SOURCE => PixelAsk::AsSource,
            name => PixelAsk::Named(name.into()),
        }),
        keeps_range: asked.color == ColorRange::Source,
        size: None,
        keyframe_interval: asked.keyframe_interval.map(|seconds| seconds.0),
    }
}

#[cfg(test)]
mod tests {
    use millrace_formats::{CONTAINERS, TABLES};
    use millrace_schemas::{AudioTrack, Color, Ratio, TrackTags};

    use super::*;
    use crate::profile::Profile;

    fn picture(width: i32, height: i32) -> Picture {
        Picture::plain((width, height), Ratio { num: 25, den: 1 }, Ratio { num: 1, den: 1000 })
    }

    #[test]
    fn high_range_is_kept_in_formats_that_state_it_alone() {
        let wanted = |format: &str, keys: &str| {
            let text = format!("[video.main]\ncodec = \"h264\"\n{keys}\n[[output]]\nformat = \"{format}\"");
            Profile::from_toml(&text).unwrap().wanted(&TABLES).unwrap().remove(0)
        };
        let hlg = Color { primaries: 9, transfer: 18, matrix: 9, range: 1, chroma: 1 };
        let high = Picture { color: hlg, ..picture(1920, 1080) };
        let refused = |format: &str, keys: &str, picture: &Picture| {
            let wanted = wanted(format, keys);
            wanted.settings_refusal(&wanted.video_settings(picture).unwrap(), &TABLES)
        };
        let reason = refused("flv", "color = \"source\"", &high).unwrap();
        assert!(reason.contains("flv does not state; ask for another format: mp4, mov, mkv"), "{reason}");
        assert_eq!(refused("mp4", "color = \"source\"", &high), None);
        assert_eq!(refused("flv", "color = \"sdr\"", &high), None, "tone-mapped");
        assert_eq!(refused("flv", "color = \"source\"", &picture(1920, 1080)), None, "of the standard range");
    }

    #[test]
    fn images_are_laid_over_pictures_of_the_standard_range_alone() {
        let mut high = picture(1920, 1080);
        (high.color.primaries, high.color.transfer, high.color.matrix) = (9, 16, 9);
        let refused = |color: &str, picture: &Picture| {
            let text = format!(
                "[video.a]\ncodec = \"hevc\"\ncolor = \"{color}\"\npixel_format = \"yuv420p10le\"\n\
                 watermark = {{ image = \"s3://b/l.png\" }}\n[[output]]\nformat = \"mp4\""
            );
            Profile::from_toml(&text).unwrap().wanted(&TABLES).unwrap()[0].picture_refusal(picture)
        };
        assert!(refused("source", &high).unwrap().contains("of standard dynamic range only"));
        assert_eq!(refused("sdr", &high), None, "tone-mapped");
        assert_eq!(refused("source", &picture(1920, 1080)), None);
    }

    #[test]
    fn nothing_asked_is_the_containers_default() {
        let wanted = Wanted::of(CONTAINERS[0]);
        assert_eq!(wanted.video_settings(&picture(64, 48)), CONTAINERS[0].video_settings(&picture(64, 48)));
        assert_eq!(wanted.file_name("a.b"), "a.b.mp4");
        assert_eq!(wanted.output_url("file:///out/", "file:///in/a.b.mov"), "file:///out/a.b.mp4");
    }

    #[test]
    fn filters_that_do_nothing_are_none() {
        let filters = |keys: &str| {
            let text = format!("[audio.main]\ncodec = \"flac\"\n{keys}");
            filters_of_audio(&Profile::from_toml(&text).unwrap().audio["main"])
        };
        assert_eq!(filters("denoise = false\ngain = 0\nfade_in = \"0s\""), None);
        let all = "loudness = -16\nhigh_pass = 80\ndenoise = true\nfade_in = \"500ms\"\nfade_out = 2";
        let wanted = AudioFilters {
            high_pass: 80,
            denoise: true,
            gain: 0.0,
            loudness: Some(-16.0),
            fade_in: 0.5,
            fade_out: 2.0,
        };
        assert_eq!(filters(all), Some(wanted));
        assert_eq!(filters("gain = \"-3dB\"").unwrap().gain, -3.0);
    }

    #[test]
    fn audio_is_chosen_by_language_and_equal_settings_are_there_once() {
        let sound = Sound { sample_rate: 48_000, channels: 2, layout: "stereo".into() };
        let of = |audio: &str, language: &str| -> Vec<i64> {
            let text = format!(
                "[audio.a]\ncodec = \"aac\"\n[audio.b]\ncodec = \"aac\"\nbitrate = \"64k\"\n\
                 [audio.c]\ncodec = \"aac\"\nbitrate = \"128k\"\n\
                 [[output]]\nformat = \"mp4\"\naudio = [\"a\", \"b\", \"c\"]\n\
                 [[output]]\nformat = \"mkv\"\naudio = {audio}"
            );
            let wanted = Profile::from_toml(&text).unwrap().wanted(&TABLES).unwrap();
            let tags = TrackTags { language: language.into(), ..TrackTags::default() };
            let track = AudioTrack { sound: sound.clone(), tags, ..AudioTrack::default() };
            let made = wanted[1].sound(&TABLES, &track, false).unwrap();
            made.iter().map(|(made, _)| made.bit_rate).collect()
        };
        assert_eq!(of("[\"b\", \"a\", \"c\"]", "eng"), [64_000, 128_000]);
        let by_language = "{ ger = \"a\", eng = \"b\", und = \"c\" }";
        assert_eq!(of(by_language, "deu"), [128_000]);
        assert_eq!(of(by_language, "eng"), [64_000]);
        assert_eq!(of(by_language, ""), [128_000]);
        assert_eq!(of(by_language, "fra"), [0; 0]);
    }

    #[test]
    fn an_outputs_name_is_encoded_in_its_url() {
        let wanted = Wanted::new(CONTAINERS[0], "{stem} #1.{ext}", None, Vec::new());
        assert_eq!(wanted.output_url("s3://b/o", "s3://b/a%20b.mov"), "s3://b/o/a%20b%20%231.mp4");
    }
}
