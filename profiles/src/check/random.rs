//! Random profiles: each is refused with a reason, or what it asks for is possible.

use millrace_formats::TABLES;
use millrace_schemas::{Area, Picture, Ratio, Sound, SourceFacts, VideoSettings, VideoTrack};
use proptest::prelude::*;

use super::*;
use crate::{
    amounts::{BitRate, Bits, Decibels, Loudness, Seconds, Size},
    crop::{Crop, Rotate},
    ladder::for_source,
    profile::{Audio, ColorRange, Video},
    rungs::{Rung, Rungs},
    timing::{Deinterlace, Denoise, FrameRate},
};

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["main", "b", "none", "a b", ""]).prop_map(str::to_owned)
}

/// Names of all codecs and encoders, and some that are none.
fn codec() -> impl Strategy<Value = String> {
    let codecs = TABLES.codecs.iter().map(|codec| codec.name().to_owned());
    let encoders = TABLES.codecs.iter().flat_map(|codec| codec.encoders()).map(|name| (*name).to_owned());
    let mut all: Vec<String> = codecs.chain(encoders).collect();
    all.extend(["x264", "h265", "copy", ""].map(str::to_owned));
    prop::sample::select(all)
}

/// Values of which some are at the ends of their range, and some beyond.
fn side() -> impl Strategy<Value = Option<i32>> {
    prop::option::of(prop_oneof![Just(2), Just(8192), Just(1), Just(8193), Just(i32::MIN), 2..4000_i32])
}

/// Crops and frames, of which some are odd, empty or beyond their range.
fn geometry() -> impl Strategy<Value = (Option<Crop>, Option<Rotate>, Option<Size>)> {
    let amount = || prop_oneof![Just(0), Just(2), Just(-2), Just(8192), Just(8194), 0..700_i32];
    let crop = (amount(), amount(), amount(), amount());
    let crop = crop.prop_map(|(left, top, right, bottom)| Crop { left, top, right, bottom });
    let rotations = vec![Rotate::Quarter, Rotate::Half, Rotate::ThreeQuarters, Rotate::Mirror, Rotate::Flip];
    let pad = prop_oneof![Just((16, 16)), Just((15, 15)), Just((8192, 8192)), (1..900_i32, 1..900_i32)];
    let pad = pad.prop_map(|(width, height)| Size { width, height });
    (prop::option::of(crop), prop::option::of(prop::sample::select(rotations)), prop::option::of(pad))
}

fn video() -> impl Strategy<Value = Video> {
    let quality = prop::option::of(prop_oneof![Just(1.0), Just(51.0), Just(f64::MAX), -10.0..70.0_f64]);
    let preset = prop::option::of(prop::sample::select(vec!["medium", "veryfast", "8", "no"]));
    let interval = prop::option::of(prop_oneof![Just(0.1), Just(60.0), 0.0..90.0_f64]);
    let pixel_format =
        prop::option::of(prop::sample::select(vec!["yuv420p", "yuv420p10le", "yuv422p", "source", "gray"]));
    let color = prop::sample::select(vec![ColorRange::Sdr, ColorRange::Source]);
    let size = prop::option::of((1..9000_i32, 1..9000_i32));
    let sizes = (side(), side(), size, any::<bool>());
    let rate =
        || prop::option::weighted(0.2, prop_oneof![Just(10_000), Just(1_000_000_000), 1..20_000_000_i64]);
    let rates = (rate(), rate(), rate());
    let plain = (codec(), (quality, rates), preset, sizes, interval, (pixel_format, color)).prop_map(
        |(
            codec,
            (quality, (average, most, buffer)),
            preset,
            (width, height, size, upscale),
            interval,
            (pixel_format, color),
        )| Video {
            bitrate: average.map(BitRate),
            max_bitrate: most.map(BitRate),
            buffer: buffer.map(Bits),
            when_fits: (interval.is_none() && upscale).then(|| "copy".into()),
            codec,
            quality,
            preset: preset.map(str::to_owned),
            size: size.map(|(width, height)| Size { width, height }),
            width,
            height,
            upscale,
            keyframe_interval: interval.map(Seconds),
            rungs: rungs_of(average, width, height),
            pixel_format: pixel_format.map(str::to_owned),
            color,
            ..Video::default()
        },
    );
    (plain, geometry(), over_time()).prop_map(
        |(plain, (crop, rotate, pad), (frame_rate, deinterlace, denoise))| Video {
            crop,
            rotate,
            pad,
            frame_rate,
            deinterlace,
            denoise,
            ..plain
        },
    )
}

/// Rungs of some sizes that are there anyway.
fn rungs_of(seed: Option<i64>, width: Option<i32>, height: Option<i32>) -> Option<Rungs> {
    let rung = |width, height| Rung { width, height, quality: Some(30.0), ..Rung::default() };
    match seed? % 4 {
        0 => Some(Rungs::Auto),
        1 => Some(Rungs::Listed(vec![rung(width, height), rung(None, Some(360))])),
        _ => None,
    }
}

fn over_time() -> impl Strategy<Value = (Option<FrameRate>, Option<Deinterlace>, Option<Denoise>)> {
    let rate = prop_oneof![Just((1, 1)), Just((240, 1)), Just((241, 1)), (1..1_000_000_i32, 1..=1001_i32)];
    let rate = (rate, any::<bool>()).prop_filter_map("a rate", |((num, den), is_most)| {
        let rate = format!("{num}/{den}").parse().ok()?;
        Some(if is_most { FrameRate::Most(rate) } else { FrameRate::Exactly(rate) })
    });
    let fields = prop::sample::select(vec![Deinterlace::Auto, Deinterlace::Always, Deinterlace::Never]);
    let noise = prop::sample::select(vec![Denoise::Light, Denoise::Medium, Denoise::Strong]);
    (prop::option::of(rate), prop::option::of(fields), prop::option::of(noise))
}

fn audio() -> impl Strategy<Value = Audio> {
    let bitrate = prop::option::of(prop_oneof![Just(1), Just(16_000), 8000..2_000_000_i64].prop_map(BitRate));
    let sample_rate = prop::option::of(prop_oneof![Just(8000), Just(192_000), Just(7999), 8000..100_000_i32]);
    let loudness = prop::option::of(prop_oneof![Just(-70.0), Just(-5.0), -80.0..0.0_f64].prop_map(Loudness));
    let gain = prop::option::of(prop_oneof![Just(60.0), -70.0..70.0_f64].prop_map(Decibels));
    let fade = || prop::option::of(prop_oneof![Just(60.0), 0.0..90.0_f64].prop_map(Seconds));
    let filters = (loudness, gain, prop::option::of(0..1200_i32), any::<bool>(), fade(), fade());
    (codec(), bitrate, sample_rate, prop::option::of(0..10_i32), filters).prop_map(
        |(codec, bitrate, sample_rate, channels, filters)| {
            let (loudness, gain, high_pass, denoise, fade_in, fade_out) = filters;
            Audio {
                codec,
                when_fits: channels.is_none().then(|| "copy".into()),
                bitrate,
                sample_rate,
                channels,
                bits: denoise.then_some(16),
                loudness,
                gain,
                high_pass,
                denoise,
                fade_in,
                fade_out,
            }
        },
    )
}

fn output() -> impl Strategy<Value = Output> {
    let mut formats: Vec<String> =
        TABLES.containers.iter().map(|container| container.name.to_owned()).collect();
    formats.push("mp5".into());
    let audio = prop_oneof![
        name().prop_map(AudioTracks::One),
        prop::collection::vec(name(), 0..3).prop_map(AudioTracks::Each),
        prop::collection::btree_map("[a-z]{3}", name(), 0..3).prop_map(AudioTracks::ByLanguage),
    ];
    let file = prop::sample::select(vec![
        "{stem}.{ext}",
        "{stem}-{rung}.{ext}",
        "{stem}",
        "a",
        "../{stem}",
        "{stem}{x}",
    ]);
    (prop::sample::select(formats), prop::option::of(name()), prop::option::of(audio), prop::option::of(file))
        .prop_map(|(format, video, audio, name)| Output {
            format,
            video,
            audio,
            name: name.map(str::to_owned),
            ..Output::default()
        })
}

fn profile() -> impl Strategy<Value = Profile> {
    let videos = prop::collection::btree_map(name(), video(), 0..3);
    let audios = prop::collection::btree_map(name(), audio(), 0..3);
    (videos, audios, prop::collection::vec(output(), 0..4)).prop_map(|(video, audio, outputs)| Profile {
        video,
        audio,
        outputs,
        ..Profile::default()
    })
}

/// Pictures and audio of twenty kinds.
fn sources() -> Vec<(Picture, Sound)> {
    let sizes = [(2, 2), (64, 48), (1920, 1080), (1080, 1920), (8192, 4320)];
    let sounds = [(8000, 1, "mono"), (44_100, 2, "stereo"), (48_000, 6, "5.1"), (192_000, 8, "")];
    let all = sizes.iter().flat_map(|size| sounds.iter().map(move |sound| (*size, *sound)));
    all.map(|(size, (sample_rate, channels, layout))| {
        let picture = Picture::plain(size, Ratio { num: 25, den: 1 }, Ratio { num: 1, den: 90_000 });
        (picture, Sound { sample_rate, channels, layout: layout.into() })
    })
    .collect()
}

/// Holds crops to the source's pictures, and bars to the frame.
fn check_areas(settings: &VideoSettings, picture: &Picture) {
    let is_within = |area: Area, (width, height): (i32, i32)| {
        let Area { x, y, .. } = area;
        x >= 0
            && y >= 0
            && area.width > 0
            && area.height > 0
            && x + area.width <= width
            && y + area.height <= height
    };
    let filters = settings.filters.clone().unwrap_or_default();
    let is_transposed = settings.rotation % 180 != picture.rotation % 180;
    let (width, height) = (picture.width, picture.height);
    let shown = if is_transposed { (height, width) } else { (width, height) };
    assert!(filters.crop.is_none_or(|crop| is_within(crop, shown)), "{settings:?}");
    assert!(
        filters.inside.is_none_or(|area| is_within(area, (settings.width, settings.height))),
        "{settings:?}"
    );
}

/// Holds what is wanted of a source to the tables.
fn check_wanted(wanted: &Wanted, picture: &Picture, sound: &Sound) {
    let holds = |name: &str| wanted.container.codecs().any(|codec| codec.name() == name);
    let is_possible = wanted.picture_refusal(picture).is_none();
    if let Some(settings) = wanted.video_settings(picture).filter(|_| is_possible) {
        check_areas(&settings, picture);
        let codec = TABLES.codec(&settings.codec).unwrap();
        let video = codec.video().unwrap();
        assert!(holds(&settings.codec), "{settings:?}");
        assert!(
            settings.width >= 2
                && settings.height >= 2
                && settings.width % 2 == 0
                && settings.height % 2 == 0
        );
        assert!(video.pixel_formats().contains(&settings.pixel_format.as_str()), "{settings:?}");
        assert!(settings.preset.is_empty() || video.presets().contains(&settings.preset.as_str()));
        let quality = video.quality();
        assert!((quality.best..=quality.worst).contains(&settings.crf), "{settings:?}");
        let (rate, base) = (settings.frame_rate, settings.time_base);
        if settings.filters.as_ref().is_some_and(|filters| filters.resample) {
            assert!(
                rate.as_f64() > 0.5 && rate.as_f64() < 241.0 && (base.num, base.den) == (rate.den, rate.num)
            );
        } else {
            assert_eq!((rate, base), (picture.frame_rate, picture.time_base));
        }
        assert!(settings.encoder.is_empty() || codec.encoders().contains(&settings.encoder.as_str()));
    }
    if let Some((settings, _)) = wanted.audio_settings(sound, "") {
        let audio = TABLES.codec(&settings.codec).unwrap().audio().unwrap();
        assert!(holds(&settings.codec) && settings.sample_rate > 0 && settings.channels > 0);
        let in_range =
            |rate: i64| audio.bit_rates().is_none_or(|rates| (rates.least..=rates.most).contains(&rate));
        assert!(in_range(settings.bit_rate), "{settings:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_profile_is_refused_with_a_reason_or_possible_for_every_source(profile in profile()) {
        match profile.wanted(&TABLES) {
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                for problem in problems {
                    prop_assert!(!problem.key.is_empty() && !problem.reason.is_empty());
                }
            }
            Ok(wanted) => {
                prop_assert_eq!(wanted.len(), profile.outputs.len());
                for (picture, sound) in sources() {
                    let video = VideoTrack::new(0, picture.clone(), (0, 90_000));
                    let facts = SourceFacts { video: Some(video), ..SourceFacts::default() };
                    let made = for_source(wanted.clone(), &facts).unwrap();
                    prop_assert!(made.len() >= wanted.len() && made.len() <= MOST_OUTPUTS);
                    made.iter().for_each(|wanted| check_wanted(wanted, &picture, &sound));
                }
            }
        }
    }

    #[test]
    fn a_profile_survives_its_canonical_text(profile in profile()) {
        let text = profile.to_json();
        let read = Profile::from_json(&text);
        prop_assert_eq!(read.map(|read| read.to_json()), Ok(text));
    }
}
