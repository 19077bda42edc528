//! Checks what a profile says of ladders.

use millrace_formats::{Tables, codec::VideoCodec};

use super::{
    codecs::find_codec,
    video::{check_video, is_plain_name},
};
use crate::{
    ladder::encoding_of,
    problems::Problems,
    profile::Video,
    rungs::{MOST_RUNGS, Rung, Rungs},
};

/// Checks an encoding with rungs.
pub(super) fn check(tables: &Tables, key: &str, asked: &Video, rungs: &Rungs, problems: &mut Problems) {
    let at = |name: &str| format!("{key}.{name}");
    let codec = find_codec(tables, &asked.codec).ok().and_then(|(codec, _)| codec.video());
    if codec.is_some_and(|codec| !codec.places_keyframes()) {
        let others =
            tables.codecs.iter().filter(|codec| codec.video().is_some_and(VideoCodec::places_keyframes));
        let others: Vec<&str> = others.map(|codec| codec.name()).collect();
        problems.add(
            at("rungs"),
            format!(
                "the encoder of this codec places keyframes by itself, and players switch between rungs where all have one; \
                 take one of: {}",
                others.join(", ")
            ),
        );
    }
    if asked.upscale {
        problems.add(at("upscale"), "rungs that are larger than the source are left out; leave it out");
    }
    if asked.pad.is_some() {
        problems.add(at("pad"), "all rungs would have frames of this size; leave it out");
    }
    if asked.when_fits.is_some() {
        problems.add(
            at("when_fits"),
            "a copy has its keyframes where the source has them, and rungs need them at the same times; leave it out",
        );
    }
    match rungs {
        Rungs::Auto => {
            if asked.bitrate.is_some() {
                problems.add(
                    at("bitrate"),
                    "all sizes would have it; set quality, or list the rungs, each with a bitrate",
                );
            }
            check_video(tables, key, &Video { rungs: None, ..asked.clone() }, problems);
        }
        Rungs::Listed(rungs) => {
            let sizes = [
                ("size", asked.size.is_some()),
                ("width", asked.width.is_some()),
                ("height", asked.height.is_some()),
            ];
            for (name, _) in sizes.into_iter().filter(|(_, is_set)| *is_set) {
                problems
                    .add(at(name), "each rung has a size of its own; leave it out, or set rungs to \"auto\"");
            }
            check_listed(tables, key, asked, rungs, problems);
        }
    }
}

fn check_listed(tables: &Tables, key: &str, asked: &Video, rungs: &[Rung], problems: &mut Problems) {
    if rungs.is_empty() || rungs.len() > MOST_RUNGS {
        let count = rungs.len();
        problems.add(
            format!("{key}.rungs"),
            format!("there are {count}: list 1 to {MOST_RUNGS} sizes, or set it to \"auto\""),
        );
        return;
    }
    // What would be said of each rung, but is of a key that they have in common, is said once.
    let mut common: Vec<(String, String)> = Vec::new();
    let plain = Video { upscale: false, pad: None, when_fits: None, ..asked.clone() };
    for (i, rung) in rungs.iter().enumerate() {
        let own = format!("{key}.rungs[{i}]");
        match rung.name() {
            None => problems.add(own.clone(), "which size? set height, width or size"),
            Some(name) if !is_plain_name(&name) => {
                problems.add(format!("{own}.name"), "a name has 1 to 64 letters, digits, - and _");
            }
            Some(name) if rungs[..i].iter().any(|other| other.name().as_ref() == Some(&name)) => {
                problems.add(
                    format!("{own}.name"),
                    format!("another rung is called {name}, too; set another name"),
                );
            }
            Some(_) => {}
        }
        if rung.name.is_some() && rung.size.is_none() && rung.width.is_none() && rung.height.is_none() {
            problems.add(own.clone(), "which size? set height, width or size");
        }
        let mut found = Problems::default();
        check_video(tables, "", &encoding_of(rung, &plain), &mut found);
        for problem in found.0 {
            let name = problem.key.trim_start_matches('.').to_owned();
            if rung.sets(&name) {
                problems.add(format!("{own}.{name}"), problem.reason);
            } else if !common.contains(&(name.clone(), problem.reason.clone())) {
                problems.add(format!("{key}.{name}"), problem.reason.clone());
                common.push((name, problem.reason));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use millrace_formats::TABLES;

    use crate::{Profile, problems::Problem};

    fn problems(codec: &str, keys: &str) -> Vec<String> {
        let text = format!("[video.a]\ncodec = \"{codec}\"\n{keys}\n[[output]]\nformat = \"mp4\"");
        let found = Profile::from_toml(&text).unwrap().wanted(&TABLES);
        found.err().unwrap_or_default().iter().map(Problem::to_string).collect()
    }

    #[test]
    fn ladders_that_are_right_have_no_problems() {
        for keys in [
            "rungs = \"auto\"",
            "rungs = \"auto\"\nheight = 1080\nmax_bitrate = \"8M\"",
            "rungs = [{ height = 1080, bitrate = \"5M\" }, { size = \"1280x720\", quality = 24 }, { width = 640 }]",
            "quality = 22\nrungs = [{ height = 1080, name = \"big\", preset = \"fast\" }, { height = 1080 }]",
        ] {
            assert_eq!(problems("h264", keys), [""; 0], "{keys}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_ladder_is_said_once_and_with_what_would_work() {
        let of = |keys: &str| {
            let all = problems("h264", keys);
            assert_eq!(all.len(), 1, "{all:?}");
            all[0].clone()
        };
        let two = "rungs = [{ height = 720 }, { height = 360 }]";
        for (keys, said) in [
            ("rungs = []", "video.a.rungs: there are 0: list 1 to 16 sizes, or set it to \"auto\""),
            ("rungs = [{}]", "video.a.rungs[0]: which size? set height, width or size"),
            ("rungs = [{ name = \"a\" }]", "video.a.rungs[0]: which size?"),
            ("rungs = [{ height = 1 }]", "video.a.rungs[0].height: 1 is out of range: 2 to 8192"),
            ("rungs = [{ height = 720, quality = 99 }]", "video.a.rungs[0].quality: 99 is out of range"),
            ("rungs = [{ height = 720, name = \"a/b\" }]", "video.a.rungs[0].name: a name has"),
            (
                "rungs = [{ height = 720 }, { size = \"1280x720\" }]",
                "video.a.rungs[1].name: another rung is called 720p",
            ),
            ("rungs = \"auto\"\nbitrate = \"4M\"", "video.a.bitrate: all sizes would have it"),
            ("rungs = \"auto\"\nupscale = true\nheight = 9", "video.a.upscale: rungs that are larger"),
            ("rungs = \"auto\"\npad = \"64x64\"", "video.a.pad: all rungs would"),
            ("rungs = \"auto\"\nwhen_fits = \"copy\"", "video.a.when_fits: a copy has its keyframes"),
        ] {
            assert!(of(keys).starts_with(said), "{keys}: {}", of(keys));
        }
        assert!(of(&format!("quality = 99\n{two}")).starts_with("video.a.quality: 99"), "once for all rungs");
        assert!(of(&format!("height = 1080\n{two}")).starts_with("video.a.height: each rung has a size"));
        let many = vec!["{ height = 720 }"; 17].join(", ");
        assert!(of(&format!("rungs = [{many}]")).contains("there are 17"));
        let av1 = problems("av1", "rungs = \"auto\"").remove(0);
        assert!(
            av1.contains("places keyframes by itself") && av1.ends_with("take one of: h264, hevc, vp9"),
            "{av1}"
        );
        assert!(problems("copy", "rungs = \"auto\"")[0].contains("a copy is as the source is"));
        assert!(problems("none", "rungs = \"auto\"")[0].contains("makes nothing"));
    }

    #[test]
    fn names_of_rungs_are_in_names_of_files() {
        let named = |rungs: &str, name: &str| {
            problems("h264", &format!("{rungs}\n[[output]]\nformat = \"flv\"\nname = \"{name}\""))
        };
        let ladder = "rungs = \"auto\"";
        assert_eq!(named(ladder, "{stem}_{rung}.{ext}"), [""; 0]);
        assert!(named(ladder, "{stem}.{ext}")[0].contains("put {rung} into it"));
        assert!(named("", "{stem}_{rung}.{ext}")[0].contains("{rung} is known of encodings with rungs"));
        let text = "[video.a]\ncodec = \"h264\"\nrungs = \"auto\"\n[video.b]\ncodec = \"h264\"\n\
                    [[output]]\nformat = \"mp4\"\nvideo = \"a\"\n[[output]]\nformat = \"mp4\"\nvideo = \"b\"\nname = \"{stem}-720p.{ext}\"";
        let twice = Profile::from_toml(text).unwrap().wanted(&TABLES).unwrap_err().remove(0).to_string();
        assert!(twice.contains("output[1].name: another output is called {stem}-720p.mp4, too"), "{twice}");
        let text = "[video.a]\ncodec = \"h264\"\nrungs = \"auto\"".to_owned();
        let outputs =
            ["mp4", "mkv", "mov", "flv"].map(|format| format!("\n[[output]]\nformat = \"{format}\""));
        let many = Profile::from_toml(&(text + &outputs.concat())).unwrap().wanted(&TABLES).unwrap_err();
        assert!(many[0].to_string().contains("there may be 40 outputs; at most 32"), "{many:?}");
    }
}
