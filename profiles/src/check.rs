//! Holds a profile to the tables of formats: what is not possible is refused before any work begins, with what would work.

use std::collections::BTreeSet;

use millrace_formats::Tables;
use millrace_schemas::COPY;

use self::{
    audio::check_audio,
    codecs::{Choice, choose, held},
    video::{check_video, is_plain_name},
};
use crate::{
    bounds::{LARGEST_SIDE, MOST_OUTPUTS, NONE},
    ladder,
    pictures::PicturesAsked,
    problems::{Problem, Problems},
    profile::{AudioTracks, Output, Profile},
    rungs::{RUNG, USUAL_RUNG_NAME},
    trim::TrimTimes,
    wanted::{Wanted, usual_name},
    waveform::WaveformAsked,
};

impl Profile {
    /// Checks the profile against the tables of formats, and returns the outputs that it wants.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with what would work.
    pub fn wanted(&self, tables: &Tables) -> Result<Vec<Wanted>, Vec<Problem>> {
        let mut problems = Problems::default();
        if self.outputs.is_empty() {
            problems.add("output", "there is none; add [[output]] with a format");
        }
        let counts =
            [("output", self.outputs.len()), ("video", self.video.len()), ("audio", self.audio.len())];
        for (key, count) in counts {
            if count > MOST_OUTPUTS {
                problems.add(key, format!("{count} are too many: at most {MOST_OUTPUTS}"));
            }
        }
        for (name, video) in &self.video {
            check_name("video", name, &mut problems);
            let key = format!("video.{name}");
            match video.rungs.as_ref().filter(|_| ![NONE, COPY].contains(&video.codec.as_str())) {
                Some(rungs) => rungs::check(tables, &key, video, rungs, &mut problems),
                None => check_video(tables, &key, video, &mut problems),
            }
        }
        for (name, audio) in &self.audio {
            check_name("audio", name, &mut problems);
            check_audio(tables, &format!("audio.{name}"), audio, &mut problems);
        }
        if let Some(Err(reason)) = self.source.trim.as_ref().map(TrimTimes::check) {
            problems.add("source.trim", reason);
        }
        for side in self.source.accept.max_size.into_iter().flat_map(|size| [size.width, size.height]) {
            problems.within("source.accept.max_size".to_owned(), Some(side), (2, LARGEST_SIDE), " pixels");
        }
        let mut wanted: Vec<Wanted> = Vec::new();
        for (i, output) in self.outputs.iter().enumerate() {
            let key = format!("output[{i}]");
            if let Some(output) = self.output(tables, &key, output, &mut problems) {
                let names: Vec<String> = wanted.iter().flat_map(|other| other.places("{}")).collect();
                let twin = output.places("{}").iter().position(|name| names.contains(name));
                if let Some(name) = twin.and_then(|at| output.places("{stem}").into_iter().nth(at)) {
                    problems.add(
                        format!("{key}.name"),
                        format!("another output is called {name}, too; set another name"),
                    );
                }
                wanted.push(output);
            }
        }
        if let Err(reason) = ladder::check_count(&wanted) {
            problems.add("output", reason);
        }
        self.unused(&mut problems);
        if problems.0.is_empty() { Ok(wanted) } else { Err(problems.0) }
    }

    /// Checks an output, and returns what it wants; `None` if something of it is wrong.
    fn output(&self, tables: &Tables, key: &str, output: &Output, problems: &mut Problems) -> Option<Wanted> {
        let container = tables.container(&output.format);
        let container = container.map_err(|reason| problems.add(format!("{key}.format"), reason)).ok()?;
        let before = problems.0.len();
        let pictures = PicturesAsked::read(container, key, output, problems);
        let waveform = WaveformAsked::read(container, key, output, problems);
        if container.pictures().is_some() {
            let name = output.name.as_deref().unwrap_or_else(|| usual_name(container));
            if let Err(reason) = check_file_name(name, false) {
                problems.add(format!("{key}.name"), reason);
            }
            let is_right = problems.0.len() == before;
            return pictures
                .filter(|_| is_right)
                .map(|asked| Wanted::of(container).called(name).keeping(asked));
        }
        if let Some(asked) = waveform {
            let name = output.name.as_deref().unwrap_or_else(|| usual_name(container));
            if let Err(reason) = check_file_name(name, false) {
                problems.add(format!("{key}.name"), reason);
            }
            let is_right = problems.0.len() == before;
            return self.waveform(container, key, (output, name, asked), problems).filter(|_| is_right);
        }
        let asked = choose(&self.video, output.video.as_ref(), "video", key, problems);
        let video = match asked {
            Choice::None => None,
            Choice::Usual => container.video_codec().map(|codec| (Some((codec, None)), None)),
            Choice::Asked(asked) if asked.codec == NONE => None,
            Choice::Asked(asked) if asked.codec == COPY => {
                let is_held = copies::are_held(container, container.video, key, "video", problems);
                is_held.then(|| (None, Some(asked.clone())))
            }
            Choice::Asked(asked) => {
                held(tables, container, key, ("video", &asked.codec), output.video.is_some(), problems)
                    .map(|chosen| (Some(chosen), Some(asked.clone())))
            }
        };
        let interval = match asked {
            Choice::Asked(asked) => asked.keyframe_interval.map(|seconds| seconds.0),
            Choice::None | Choice::Usual => None,
        };
        let division = packages::division((tables, container), key, output, interval, problems);
        let audio = self.audio_of(tables, container, key, output, problems);
        let pictures = match &video {
            Some((Some((codec, _)), _)) => codec.video(),
            _ => None,
        };
        let protection =
            encryption::protection((tables, container), key, output, (division, pictures), problems);
        if problems.0.len() > before {
            return None;
        }
        if video.is_none() && audio.is_empty() {
            problems.add(key, "it would hold neither video nor audio");
            return None;
        }
        let is_ladder = container.video.most == 1
            && video
                .as_ref()
                .is_some_and(|(_, asked)| asked.as_ref().is_some_and(|asked| asked.rungs.is_some()));
        let usual = if is_ladder { USUAL_RUNG_NAME } else { usual_name(container) };
        let name = output.name.as_deref().unwrap_or(usual);
        if let Err(reason) = check_file_name(name, is_ladder) {
            problems.add(format!("{key}.name"), reason);
            return None;
        }
        Some(Wanted::new(container, name, video, audio).divided(division).encrypted(protection))
    }

    /// Encodings that no output holds are mistakes.
    fn unused(&self, problems: &mut Problems) {
        let videos = self.outputs.iter().map(|output| output.video.iter().collect::<Vec<_>>());
        let audios = self.outputs.iter().map(|output| {
            let names = output.audio.iter().flat_map(AudioTracks::names);
            names.map(|(_, name)| name).collect::<Vec<_>>()
        });
        for (kind, names, of) in [
            ("video", self.video.keys().collect::<Vec<_>>(), videos.collect::<Vec<_>>()),
            ("audio", self.audio.keys().collect(), audios.collect()),
        ] {
            let by_default = names.len() == 1 && of.iter().any(Vec::is_empty);
            let used: BTreeSet<&String> = of.into_iter().flatten().collect();
            for name in names.into_iter().filter(|name| !by_default && !used.contains(name)) {
                problems
                    .add(format!("{kind}.{name}"), "no output holds it; name it in an output, or remove it");
            }
        }
    }
}

fn check_name(kind: &str, name: &str, problems: &mut Problems) {
    if name == NONE || !is_plain_name(name) {
        problems.add(
            format!("{kind}.{name}"),
            format!("a name has 1 to 64 letters, digits, - and _, and is not '{NONE}'"),
        );
    }
}

/// Checks the name of an output's file: it stays in its folder, and differs from source to source.
/// That of a ladder differs from rung to rung, too.
fn check_file_name(name: &str, is_ladder: bool) -> Result<(), String> {
    if !name.contains("{stem}") {
        return Err(
            "all sources would have the same output; put {stem} into it, the source's name without extension"
                .into(),
        );
    }
    if is_ladder && !name.contains(RUNG) {
        return Err(
            "all rungs would have the same output; put {rung} into it, which is 720p and alike".into()
        );
    }
    if !is_ladder && name.contains(RUNG) {
        return Err(
            "{rung} is known of encodings with rungs, in formats that hold one of them; leave it out".into(),
        );
    }
    if name.replace("{stem}", "").replace("{ext}", "").replace(RUNG, "").contains(['{', '}']) {
        return Err(
            "only {stem} and {ext} are known between braces, and {rung} of encodings with rungs".into()
        );
    }
    if name.len() > 200 || name.contains(['/', '\\', '\0']) || name.chars().any(char::is_control) {
        return Err("it is the name of a file, not a path, of at most 200 bytes".into());
    }
    if name.starts_with('.') {
        return Err("a name that begins with a dot is hidden".into());
    }
    Ok(())
}

pub(crate) mod audio;
mod bit_rates;
mod codecs;
mod copies;
mod encryption;
pub(crate) mod packages;
#[cfg(test)]
mod random;
mod rungs;
mod video;
mod waveform;
#[cfg(test)]
mod tests {
    use millrace_formats::TABLES;

    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let found = Profile::from_toml(text).unwrap().wanted(&TABLES);
        found.err().unwrap_or_default().iter().map(Problem::to_string).collect()
    }

    #[test]
    fn a_profile_that_is_right_has_no_problems() {
        let text = "[video.main]\ncodec = \"x264\"\nquality = 20\npreset = \"slow\"\n[[output]]\nformat = \"mp4\"\n[[output]]\nformat = \"flv\"";
        assert_eq!(problems(text), [""; 0]);
        let wanted = Profile::from_toml(text).unwrap().wanted(&TABLES).unwrap();
        let picture = millrace_schemas::Picture::plain(
            (64, 48),
            millrace_schemas::Ratio { num: 25, den: 1 },
            millrace_schemas::Ratio { num: 1, den: 1000 },
        );
        let settings = wanted[0].video_settings(&picture).unwrap();
        assert_eq!(
            (settings.crf, settings.preset.as_str(), settings.encoder.as_str()),
            (20.0, "slow", "libx264")
        );
    }

    #[test]
    fn each_problem_names_its_key_and_what_would_work() {
        let of = |keys: &str| {
            problems(&format!("[video.main]\ncodec = \"h264\"\n{keys}\n[[output]]\nformat = \"mp4\""))
        };
        assert_eq!(of("quality = 99"), ["video.main.quality: 99 is out of range: 1 to 51, less is better"]);
        assert!(of("preset = \"medum\"")[0].contains("known are ultrafast"));
        assert!(of("width = 1")[0].starts_with("video.main.width: 1 is out of range: 2 to 8192"));
        assert!(of("upscale = true")[0].contains("to what size"));
        assert!(of("keyframe_interval = \"2h\"")[0].contains("0.1 to 60 seconds"));
        assert!(
            of("frame_rate = 241")[0].starts_with("video.main.frame_rate: 241 is out of range: 1 to 240")
        );
        assert!(of("frame_rate = { most = 0.5 }")[0].contains("1 to 240 pictures a second"));
        assert!(of("pixel_format = \"yuv420p12le\"")[0].contains("known are yuv420p, yuv420p10le"));
        assert!(of("pixel_format = \"source\"\ncolor = \"source\"").is_empty());
        assert!(of("size = \"64x64\"\nwidth = 64")[0].contains("either size"));
        let own = problems("[video.a]\ncodec = \"av1\"\nkeyframe_interval = 2\n[[output]]\nformat = \"mp4\"");
        assert!(own[0].starts_with("video.a.keyframe_interval: the encoder of this codec places"), "{own:?}");
        assert!(problems("")[0].contains("add [[output]]"));
        assert!(
            problems("[video.a]\ncodec = \"h265x\"\n[[output]]\nformat = \"mp4\"")[0]
                .contains("known are h264")
        );
        let of_encoder = |encoder: &str, keys: &str| {
            problems(&format!("[video.a]\ncodec = \"{encoder}\"\n{keys}\n[[output]]\nformat = \"mp4\""))
        };
        assert_eq!(of_encoder("libvpx", "quality = 30"), [""; 0]);
        assert_eq!(of_encoder("svt-av1", "preset = \"12\""), [""; 0]);
        for (encoder, instead) in [
            ("h264_nvenc", "set codec to h264 (libx264)"),
            ("hevc_vaapi", "set codec to hevc (libx265)"),
            ("av1_qsv", "set codec to av1 (libsvtav1)"),
            ("nvenc", "set codec to one of h264, hevc, av1, vp9"),
        ] {
            let refused = of_encoder(encoder, "").remove(0);
            assert!(refused.contains("have no access to devices") && refused.contains(instead), "{refused}");
        }
        assert!(problems("[[output]]\nformat = \"mp5\"")[0].contains("known formats: mp4"));
    }

    #[test]
    fn outputs_have_names_of_their_own_and_stay_in_their_folder() {
        let named = |name: &str| problems(&format!("[[output]]\nformat = \"mp4\"\nname = \"{name}\""));
        assert!(named("{stem}-web.{ext}").is_empty());
        for (name, reason) in [
            ("film.mp4", "put {stem}"),
            ("../{stem}.mp4", "not a path"),
            ("{stem}{date}", "only {stem} and {ext}"),
            (".{stem}", "hidden"),
        ] {
            assert!(named(name)[0].contains(reason), "{name}: {:?}", named(name));
        }
        let twice = problems("[[output]]\nformat = \"mp4\"\n[[output]]\nformat = \"mp4\"");
        assert!(twice[0].contains("another output is called {stem}.mp4"), "{twice:?}");
    }

    #[test]
    fn an_encoding_that_no_output_holds_is_a_mistake() {
        let text = "[video.a]\ncodec = \"h264\"\n[video.b]\ncodec = \"h264\"\n[[output]]\nformat = \"mp4\"\nvideo = \"a\"";
        assert_eq!(problems(text), ["video.b: no output holds it; name it in an output, or remove it"]);
        let text = "[video.a]\ncodec = \"h264\"\n[[output]]\nformat = \"mp4\"\nvideo = \"c\"";
        assert!(problems(text)[0].contains("there is no [video.c]; there are: a"));
    }
}
