//! The keys of a profile, with what a user wants to know of each: the source of `docs/profiles.md`.

use std::fmt::Write as _;

use millrace_formats::{
    Codec, Tables,
    asset::LARGEST_SUBTITLES,
    image::{LARGEST_FILE, LARGEST_IMAGE},
    picture::{MOST_ANIMATED, MOST_ANIMATED_PICTURES},
};

use crate::{
    bounds::{
        ANIMATION_RATES, BEST_OF, FRAME_RATES, KEYFRAME_INTERVALS, LARGEST_SIDE, LONGEST_ANIMATION,
        LONGEST_TEXT, MOST_CHANNELS, MOST_INSTANTS, PICTURE_INTERVALS, SAMPLE_RATES, SCENES, SEGMENTS,
        SHEET_SIDES, TEXT_SIZES, VIDEO_BIT_RATES,
    },
    check::{
        audio::{GAIN, HIGH_PASS, LONGEST_FADE, LOUDNESS},
        packages::FILES,
    },
    encryption::{LONGEST_URL, METHODS},
    geometry::SMALLEST_SIDE,
    rungs::MOST_RUNGS,
    watermark::MOST_WATERMARKS,
    waveform::{HEIGHTS, WIDTHS},
};

/// A key of a profile.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its path, such as `video.NAME.quality`.
    pub path: &'static str,
    /// What it says.
    pub about: &'static str,
    /// Its unit and range.
    pub range: fn(&Tables) -> String,
    /// What holds if it is left out.
    pub default: &'static str,
    /// A line of TOML.
    pub example: &'static str,
    /// What it costs in time or size.
    pub cost: &'static str,
}

/// Lists what codecs of a kind say.
fn each(tables: &Tables, of: impl Fn(&dyn Codec) -> Option<String>) -> String {
    let lines = tables.codecs.iter().filter_map(|codec| Some(format!("{}: {}", codec.name(), of(*codec)?)));
    lines.collect::<Vec<_>>().join("; ")
}

fn formats(tables: &Tables) -> String {
    tables.containers.iter().map(|container| container.name).collect::<Vec<_>>().join(", ")
}

fn encoders(codec: &dyn Codec) -> String {
    codec.encoders().join(", ")
}

/// All keys, in the order of a profile.
pub const KEYS: &[Key] = &[
    Key {
        path: "description",
        about: "What the profile is for, in a sentence. `millrace profiles list` shows it.",
        range: |_| "text".into(),
        default: "empty",
        example: "description = \"H.264 for the web\"",
        cost: "nothing",
    },
    Key {
        path: "video.NAME.codec",
        about: "The codec of the pictures, or one of its encoders: `x264` is the codec h264, made by libx264. `copy` takes the packets of an mp4, mov, mkv, webm or flv as they are, of whatever codec they are; what can't be copied into the format is refused with the reason, before work begins. `none` is for no pictures. NAME is yours; outputs refer to it. The first encoder of a codec is its usual one. Encoders on hardware (`h264_nvenc`, `hevc_vaapi`, `av1_qsv`) are refused: media processes have no access to devices.",
        range: |tables| {
            each(tables, |codec| codec.video().map(|_| format!("by {}", encoders(codec)))) + "; copy; none"
        },
        default: "none: it must be set",
        example: "[video.main]\ncodec = \"h264\"",
        cost: "the encode is nearly all of the work; a copy costs reading the source once, writing the output once, and reading that again for its proof",
    },
    Key {
        path: "video.NAME.when_fits",
        about: "`copy`: pictures that already are what is asked for (codec, size, pixel format, colour, keyframes, at most the bit rate, no bound of a buffer) are copied, not encoded. Their quality is not looked at. What is otherwise, or can't be copied, is encoded.",
        range: |_| "copy".into(),
        default: "all is encoded",
        example: "when_fits = \"copy\"",
        cost: "nothing; it saves the encode",
    },
    Key {
        path: "video.NAME.quality",
        about: "Constant quality (crf), on the codec's own scale. Less is better and larger.",
        range: |tables| {
            each(tables, |codec| {
                let quality = codec.video()?.quality();
                Some(format!("{} to {}, usually {}", quality.best, quality.worst, quality.usual))
            })
        },
        default: "the codec's usual quality",
        example: "quality = 21",
        cost: "h264: 6 less is about twice the size",
    },
    Key {
        path: "video.NAME.bitrate",
        about: "The average bit rate over the whole length, in place of `quality`. All segments are encoded with one constant quality, their sizes are added up, and they are encoded again with a better one, until the average is within 2.5 %: pictures are as good in each segment. If six passes don't get within 3 %, a warning says so; an average that is too low for the codec's worst quality is refused.",
        range: |_| format!("{} to {} bits per second, such as \"4M\"", VIDEO_BIT_RATES.0, VIDEO_BIT_RATES.1),
        default: "constant quality",
        example: "bitrate = \"4M\"",
        cost: "usually three encodes of everything in place of one, seven at most",
    },
    Key {
        path: "video.NAME.max_bitrate",
        about: "The rate at which a player's `buffer` fills. A player that begins with a full one never finds it empty, over the joins of segments, too; the proof of the output counts it. With `quality`, that is the quality where the bound leaves room for it; with `bitrate`, the average.",
        range: |tables| {
            let held = each(tables, |codec| codec.video()?.holds_buffer().then(|| "yes".into()));
            format!("{} to {} bits per second; {held}", VIDEO_BIT_RATES.0, VIDEO_BIT_RATES.1)
        },
        default: "no bound",
        example: "quality = 23\nmax_bitrate = \"6M\"\nbuffer = \"12M\"",
        cost: "quality where pictures are hard; segments of a few seconds may use somewhat less than the rate",
    },
    Key {
        path: "video.NAME.buffer",
        about: "The size of a player's buffer (VBV).",
        range: |_| "a quarter to 60 seconds of `max_bitrate`, in bits, such as \"8M\"".into(),
        default: "two seconds of `max_bitrate`",
        example: "max_bitrate = \"4M\"\nbuffer = \"8M\"",
        cost: "a small one costs quality",
    },
    Key {
        path: "video.NAME.preset",
        about: "The encoder's own preset: how much work it spends on a size.",
        range: |tables| {
            each(tables, |codec| {
                let video = codec.video()?;
                let presets = video.presets().join(", ");
                let others =
                    codec.encoders().iter().filter(|encoder| video.presets_of(encoder) != video.presets());
                let others = others.map(|encoder| {
                    let presets = video.presets_of(encoder).join(", ");
                    format!("; by {encoder} {presets}, usually {}", video.usual_preset_of(encoder))
                });
                Some(format!("{presets}; usually {}{}", video.usual_preset(), others.collect::<String>()))
            })
        },
        default: "the codec's usual preset",
        example: "preset = \"slow\"",
        cost: "h264: each step is about one and a half times the time",
    },
    Key {
        path: "video.NAME.size",
        about: "The pictures fit within this size, as they are shown, in their own shape. They are never enlarged, unless `upscale` is set.",
        range: |_| format!("WIDTHxHEIGHT, each 2 to {LARGEST_SIDE} pixels"),
        default: "as large as in the source",
        example: "size = \"1280x720\"",
        cost: "less than the pixels that are saved",
    },
    Key {
        path: "video.NAME.width",
        about: "The greatest width, as shown. The height follows from the shape of the pictures.",
        range: |_| format!("2 to {LARGEST_SIDE} pixels"),
        default: "as wide as in the source",
        example: "width = 640",
        cost: "as for `size`",
    },
    Key {
        path: "video.NAME.height",
        about: "The greatest height. The width follows from the shape of the pictures.",
        range: |_| format!("2 to {LARGEST_SIDE} pixels"),
        default: "as high as in the source",
        example: "height = 480",
        cost: "as for `size`",
    },
    Key {
        path: "video.NAME.upscale",
        about: "Whether pictures that are smaller than `size`, `width` or `height` are enlarged to it.",
        range: |_| "true or false".into(),
        default: "false",
        example: "size = \"1920x1080\"\nupscale = true",
        cost: "time and size for pixels that hold nothing new",
    },
    Key {
        path: "video.NAME.crop",
        about: "What is cut off the pictures, in pixels, as players show the source: before they are rotated or scaled. A source of which too little is left is refused.",
        range: |_| {
            format!(
                "left, top, right, bottom: even, 0 to {LARGEST_SIDE} pixels each; at least {SMALLEST_SIDE}x{SMALLEST_SIDE} must be left"
            )
        },
        default: "nothing",
        example: "crop = { top = 140, bottom = 140 }",
        cost: "less than the pixels that are saved",
    },
    Key {
        path: "video.NAME.rotate",
        about: "How the pictures are rotated, in degrees clockwise, beside what the source itself asks players for; `mirror` is left to right, `flip` upside down. `size`, `width`, `height` and `pad` are those of the rotated pictures.",
        range: |_| "90, 180, 270, \"mirror\" or \"flip\"".into(),
        default: "as players show the source",
        example: "rotate = 90",
        cost: "little; interlaced pictures lose their fields",
    },
    Key {
        path: "video.NAME.pad",
        about: "The frame has exactly this size: the pictures fit within it (and within `size`), and are in its middle, with black around them. Its pixels are square. Pictures are not enlarged unless `upscale` is set.",
        range: |_| format!("WIDTHxHEIGHT, even, each {SMALLEST_SIDE} to {LARGEST_SIDE} pixels"),
        default: "no bars",
        example: "pad = \"1920x1080\"",
        cost: "little",
    },
    Key {
        path: "video.NAME.watermark",
        about: "An image or a text that is laid over the pictures, or a list of them; images are in order, and texts, which are white with a black outline, are over them. In a text, `{stem}` is the source's name without its extension, and lines are broken where they are as wide as `width`; `font` is a file, and characters that are not in it are taken from DejaVu Sans, which is the font where none is named. A file is read at the version that is there when the execution is accepted, and the principal must be allowed to read it as it is a source. In a profile's file, a path begins at the folder of that file; elsewhere it is a URL. Lengths are pixels, or parts of the frame's width, but for `size`, the height of a font, which is a part of the frame's height; times are counted from the start of the output, so with `source.trim` from that of the part, and with `frame_rate` by the times of the pictures that are made.",
        range: |_| {
            format!(
                "image: PNG, JPEG or WebP of at most {LARGEST_IMAGE}x{LARGEST_IMAGE} pixels and {} MiB; place: top-left, top-right, bottom-left, bottom-right or center; margin, width: pixels or \"2%\"; opacity: 0 to 1; from, to: durations; text: at most {LONGEST_TEXT} bytes; font: TrueType or OpenType of at most {} MiB; size: {} to {} pixels, or \"1%\" to \"50%\"; at most {MOST_WATERMARKS} images and texts",
                LARGEST_FILE >> 20,
                LARGEST_FILE >> 20,
                TEXT_SIZES.0,
                TEXT_SIZES.1
            )
        },
        default: "none; place bottom-right, margin 2%, width 10% (of a text: the whole within margins), size 5%, opacity 1, shown all the time",
        example: "watermark = { image = \"s3://brand/logo.png\", place = \"top-right\", opacity = 0.8, from = \"2s\", to = \"12s\" }    # or { text = \"© Brand {stem}\", font = \"s3://brand/font.ttf\", size = \"4%\" }",
        cost: "little",
    },
    Key {
        path: "video.NAME.subtitles",
        about: "Subtitles that are laid over the pictures (burnt in), white with a black outline, in the lower part of the frame, or at its top where a text asks for that (`{\\an8}`, `line:0`). `\"burn\"`: the first text track of the source; `{ burn = \"deu\" }`: the first one in a language (ISO 639-2; `und` is a track without one); `{ file = \"subs.srt\" }`: a file of SubRip or WebVTT, which is read as an image of `watermark` is. `font` and `size` may be beside these, as for a text of `watermark`. Other marks in texts (italics, colours, positions) are left out. Texts that are shown at the same time are below each other. Times are those of the source, also with `source.trim` and `frame_rate`; those of a file are counted from time zero of the source. In Matroska, a text of a track is shown for at most 30 seconds. A track that is burnt in is not kept beside the pictures; others are. A source without such a track, or with pictures of text (PGS, DVD) alone, is refused, and so are pictures of high dynamic range that is kept.",
        range: |_| {
            format!(
                "burn, or a table of burn, file, font, size; a file has at most {} MiB; size: {} to {} pixels, or \"1%\" to \"50%\" of the frame's height",
                LARGEST_SUBTITLES >> 20,
                TEXT_SIZES.0,
                TEXT_SIZES.1
            )
        },
        default: "text is kept as a track; font DejaVu Sans, size 5%",
        example: "subtitles = \"burn\"    # or { burn = \"deu\" }, or { file = \"subs.srt\", size = \"6%\" }",
        cost: "a few milliseconds for each text. Of a track in Matroska, the 35 seconds of the source before each segment are read, too; of one in a container other than that, mp4 and mov, all of it up to the segment",
    },
    Key {
        path: "video.NAME.keyframe_interval",
        about: "The longest time between keyframes: there is one at the first picture of each such interval of the source's time, whatever the segments.",
        range: |_| format!("{} to {} seconds", KEYFRAME_INTERVALS.0, KEYFRAME_INTERVALS.1),
        default: "the encoder's own, and one at the start of each segment; of a ladder 2 seconds",
        example: "keyframe_interval = \"2s\"",
        cost: "a keyframe is several times as large as another picture",
    },
    Key {
        path: "video.NAME.pixel_format",
        about: "The pixel format, by FFmpeg's name: how chroma is sampled, and how many bits a sample has. `source` is the source's, or of those that the codec has the one that holds most of it. Players everywhere show `yuv420p` alone.",
        range: |tables| each(tables, |codec| Some(codec.video()?.pixel_formats().join(", "))) + "; or source",
        default: "yuv420p; of high dynamic range that is kept, yuv420p10le",
        example: "pixel_format = \"yuv420p\"",
        cost: "10 bits are about a third slower than 8",
    },
    Key {
        path: "video.NAME.frame_rate",
        about: "The frame rate: `25`, `\"30000/1001\"` (which is also 29.97), or `{ most = 30 }`, which divides the source's rate by the least whole number that brings it to at most that (50 to 25, 59.94 to 29.97), and leaves a source with fewer as it is. There is a picture at each multiple of its duration, counted from time zero of the source: the last one of the source that is due by then, each at the nearest multiple. Closed captions in the pictures belong to the source's rate and are left out. A timecode is counted at the new rate where that is exact: both rates are whole numbers, no numbers are dropped, and the first picture has a number at both; else it is left out.",
        range: |_| format!("{} to {} pictures a second", FRAME_RATES.0, FRAME_RATES.1),
        default: "the times of the source's pictures",
        example: "frame_rate = { most = 30 }",
        cost: "as many more or fewer pictures to encode",
    },
    Key {
        path: "video.NAME.deinterlace",
        about: "Whether the two fields of interlaced pictures become whole pictures, one for each: `auto` of sources that say that they are interlaced, `always` of all, `never` of none, which stay interlaced. It is libavfilter's bwdif, by each picture's own field order; top field first where it states none.",
        range: |_| "auto, always or never".into(),
        default: "never",
        example: "deinterlace = \"auto\"",
        cost: "about a twentieth of an encode by h264's usual preset; a segment that begins at a keyframe is decoded from the keyframe before that one",
    },
    Key {
        path: "video.NAME.denoise",
        about: "How strongly noise is removed, by averaging each sample over nine pictures as far as it is alike (libavfilter's atadenoise), after deinterlacing and before another frame rate. `light` is for a good camera, `strong` for an old tape: it also takes fine detail that moves.",
        range: |_| "light, medium or strong".into(),
        default: "as in the source",
        example: "denoise = \"light\"",
        cost: "about a tenth of an encode by h264's usual preset; a segment that begins at a keyframe is decoded from the keyframe before that one. Noise that is gone is not encoded: the output is smaller",
    },
    Key {
        path: "video.NAME.color",
        about: "What becomes of high dynamic range (PQ and HLG). `sdr`: it is tone-mapped to BT.709. `source`: it is kept, with what the source says of its mastering display (SMPTE ST 2086) and light levels (MaxCLL, MaxFALL), in 10 bits a sample; a source of the standard range is made as it is anyway. An 8-bit pixel format, and a format that does not state colour (flv), are refused for such a source. Data of each picture (HDR10+, Dolby Vision) are left out.",
        range: |_| "sdr or source".into(),
        default: "sdr",
        example: "color = \"source\"",
        cost: "less than tone mapping, and 10 bits",
    },
    Key {
        path: "video.NAME.rungs",
        about: "The sizes of a ladder: there is a rendition of each, which a player can switch between. A list of tables, each with `height`, `width` or `size`, and what differs for it: `quality`, `bitrate`, `max_bitrate`, `buffer`, `preset`, and a `name`; all other keys of the encoding hold for all. Sizes are those of landscape pictures; of portrait pictures they lie on their side, so that a rung of 720p is 720 wide. Rungs that are larger than the source are left out (if all are, the smallest one is there, in the source's size); nothing is enlarged. `\"auto\"`: the source's own size, after `crop` and `rotate` and within `size`, `width` and `height` if they are set, and the usual ones below it. All are made of one decode, and all have keyframes at the same times, each `keyframe_interval` from the first picture on (2 seconds if it is not set) and nowhere else; segments begin there, so none is shorter than that. In a format of one video track each rung is an output, whose name has `{rung}` in it. Encoders that place keyframes by themselves (av1) make no ladders.",
        range: |tables| {
            let rungs = each(tables, |codec| {
                let video = codec.video().filter(|video| video.places_keyframes())?;
                Some(video.rungs().iter().map(i32::to_string).collect::<Vec<_>>().join(", "))
            });
            format!("\"auto\", of these heights: {rungs}; or a list of 1 to {MOST_RUNGS} sizes")
        },
        default: "one size",
        example: "rungs = [{ height = 1080, quality = 22 }, { height = 720 }, { height = 360, name = \"small\" }]    # or \"auto\"",
        cost: "an encode for each rung, of one decode: 720p, 480p and 360p together have three quarters of the pixels of 1080p",
    },
    Key {
        path: "audio.NAME.codec",
        about: "The codec of the audio, or one of its encoders. `copy` takes the packets of the source as they are, as for pictures; `none` is for no audio. NAME is yours; outputs refer to it.",
        range: |tables| {
            each(tables, |codec| codec.audio().map(|_| format!("by {}", encoders(codec)))) + "; copy; none"
        },
        default: "none: it must be set",
        example: "[audio.main]\ncodec = \"aac\"",
        cost: "about a hundredth of the pictures",
    },
    Key {
        path: "audio.NAME.when_fits",
        about: "`copy`: audio that already is what is asked for (codec, sample rate, channels, at most the bit rate) is copied, not encoded. What is otherwise, or can't be copied, is encoded.",
        range: |_| "copy".into(),
        default: "all is encoded",
        example: "when_fits = \"copy\"",
        cost: "nothing; it saves the encode",
    },
    Key {
        path: "audio.NAME.bitrate",
        about: "The bit rate of all channels together. `k` and `M` are thousands and millions.",
        range: |tables| {
            each(tables, |codec| {
                let Some(rates) = codec.audio()?.bit_rates() else { return Some("lossless".into()) };
                Some(format!("{} to {}, usually {}", rates.least, rates.most, rates.usual))
            }) + " bits per second"
        },
        default: "the codec's usual bit rate",
        example: "bitrate = \"192k\"",
        cost: "size",
    },
    Key {
        path: "audio.NAME.sample_rate",
        about: "The sample rate. One that the codec does not have becomes the next higher one that it has. Audio that is resampled is one segment.",
        range: |_| format!("{} to {} Hz", SAMPLE_RATES.0, SAMPLE_RATES.1),
        default: "as in the source",
        example: "sample_rate = 48000",
        cost: "little",
    },
    Key {
        path: "audio.NAME.channels",
        about: "The number of channels, in the usual layout of that many. Fewer than in the source are mixed down by the coefficients of ITU-R BS.775.",
        range: |_| format!("1 to {MOST_CHANNELS}"),
        default: "as in the source",
        example: "channels = 2",
        cost: "little",
    },
    Key {
        path: "audio.NAME.bits",
        about: "Bits of a sample of a lossless codec. Samples of more are rounded.",
        range: |tables| {
            each(tables, |codec| {
                let depths: Vec<String> = codec.audio()?.depths().iter().map(u32::to_string).collect();
                (!depths.is_empty()).then(|| depths.join(" or "))
            })
        },
        default: "24 of alac and flac, which the samples of sources of fewer are exact in",
        example: "[audio.main]\ncodec = \"alac\"\nbits = 16",
        cost: "24 bits of a source of 16 take half as much more in alac, and no more in flac",
    },
    Key {
        path: "audio.NAME.loudness",
        about: "The loudness over the whole length (EBU R 128). The track is measured first, as it is heard: mixed, resampled and filtered, and behind a lossy codec encoded and decoded again. True peaks stay below -1 dBTP; where they would not, a limiter with look-ahead holds them, and the gain makes up for it. Silence stays as it is.",
        range: |_| format!("{} to {} LUFS", LOUDNESS.0, LOUDNESS.1),
        default: "as in the source",
        example: "loudness = -16",
        cost: "the audio is decoded once more, or a few times if its codec is lossy or peaks are limited, and is one segment",
    },
    Key {
        path: "audio.NAME.gain",
        about: "By how much it is amplified, in decibels. What is above full scale then is clipped. It can't be set with `loudness`.",
        range: |_| format!("{} to {} dB", GAIN.0, GAIN.1),
        default: "0dB",
        example: "gain = \"-3dB\"",
        cost: "nothing",
    },
    Key {
        path: "audio.NAME.high_pass",
        about: "Attenuates what is below this frequency, by 12 dB an octave: rumble, wind, the thump of a microphone.",
        range: |_| format!("{} to {} Hz", HIGH_PASS.0, HIGH_PASS.1),
        default: "none",
        example: "high_pass = 80",
        cost: "little; the audio is one segment",
    },
    Key {
        path: "audio.NAME.denoise",
        about: "Removes steady noise (FFmpeg's `afftdn` with its usual options).",
        range: |_| "true or false".into(),
        default: "false",
        example: "denoise = true",
        cost: "about as much as the encode of the audio; the audio is one segment",
    },
    Key {
        path: "audio.NAME.fade_in",
        about: "How long the track fades in from its first sample.",
        range: |_| format!("0 to {LONGEST_FADE} seconds"),
        default: "not at all",
        example: "fade_in = \"500ms\"",
        cost: "little; the audio is one segment",
    },
    Key {
        path: "audio.NAME.fade_out",
        about: "How long the track fades out up to its last sample.",
        range: |_| format!("0 to {LONGEST_FADE} seconds"),
        default: "not at all",
        example: "fade_out = \"2s\"",
        cost: "the audio is decoded once more, which finds its end, and is one segment",
    },
    Key {
        path: "output.format",
        about: "The format of an output. There is an `[[output]]` for each.",
        range: formats,
        default: "none: it must be set",
        example: "[[output]]\nformat = \"mp4\"",
        cost: "an output whose encodings are also another's costs its merge alone",
    },
    Key {
        path: "output.video",
        about: "Which encoding its pictures have: a NAME of `[video.NAME]`, or `none` for no pictures.",
        range: |_| "a name, or none".into(),
        default: "the only encoding, or the format's usual codec if there is none",
        example: "[[output]]\nformat = \"mp4\"\nvideo = \"main\"",
        cost: "nothing",
    },
    Key {
        path: "output.audio",
        about: "Which encoding its audio has: a NAME of `[audio.NAME]`, or `none` for no audio. With a list, each track is there in each of these encodings, the first one as the default. With a table by language (ISO 639-2), tracks of these languages have these encodings, and others are left out; `und` is a track without a language. A waveform shows one track, which goes through what the encoding asks (`loudness`, `gain`, `channels` and alike); its codec and its bit rate are of no account, and without `audio` it is the sound of the source.",
        range: |_| {
            "a name, a list of names, names by language, or none; as many as the format holds tracks".into()
        },
        default: "the only encoding, or the format's usual codec if there is none",
        example: "[[output]]\nformat = \"mp4\"\naudio = [\"main\", \"small\"]    # or { deu = \"main\", eng = \"small\" }",
        cost: "an encode for each encoding of a track",
    },
    Key {
        path: "output.name",
        about: "The name of its file, or of the folder of a package, of thumbnails or of sprites. `{stem}` is the source's name without its extension, `{ext}` the format's, and `{rung}`, of an encoding with `rungs`, that of the rung: its `name`, or its shorter side, such as `720p` (of one with a `width` alone that, such as `1280w`).",
        range: |_| "at most 200 bytes, with {stem} in it, and {rung} if the encoding has rungs".into(),
        default: "{stem}.{ext}; of a ladder {stem}-{rung}.{ext}; of a package {stem}; of thumbnails and sprites {stem}-{ext}; of a waveform {ext} is png",
        example: "[[output]]\nformat = \"mp4\"\nname = \"{stem}-web.{ext}\"",
        cost: "nothing",
    },
    Key {
        path: "output.segment",
        about: "Of a package (cmaf, hls, dash, hls-ts): the length of its segments. Each begins with the first keyframe at or behind a multiple of it, in all sizes at the same time, so `keyframe_interval` divides it; where that is not set, it is 2 seconds, or as long as a segment where 2 seconds don't divide it.",
        range: |_| format!("{} to {} seconds", SEGMENTS.0, SEGMENTS.1),
        default: "6 seconds",
        example: "[[output]]\nformat = \"cmaf\"\nsegment = \"4s\"",
        cost: "nothing; short ones are more objects",
    },
    Key {
        path: "output.files",
        about: "Of a package: whether each segment is an object of its own, `many`, or each track is one, of which manifests name ranges of bytes, `single`.",
        range: |_| FILES.join(" or "),
        default: "many",
        example: "[[output]]\nformat = \"cmaf\"\nfiles = \"single\"",
        cost: "nothing",
    },
    Key {
        path: "output.at",
        about: "Of thumbnails: the times, from the start of the output on, at which pictures are kept. Kept is the one that is shown then, not the nearest. Of times within a millisecond one is kept. Times behind the end have none; if all are, the source is refused.",
        range: |_| format!("a list of 1 to {MOST_INSTANTS} durations"),
        default: "see `every`",
        example: "[[output]]\nformat = \"thumbnails\"\nat = [\"3s\", \"00:01:00\"]",
        cost: "with all single pictures: decoding what other outputs decode anyway; where nothing else is encoded, the decode",
    },
    Key {
        path: "output.every",
        about: "Of thumbnails and sprites: the time between pictures that are kept, from the first picture of the source on.",
        range: |_| format!("{} to {} seconds", PICTURE_INTERVALS.0, PICTURE_INTERVALS.1),
        default: "10 seconds; with `best` 1 second",
        example: "[[output]]\nformat = \"thumbnails\"\nevery = \"1s\"",
        cost: "scaling and coding one picture each time: about 1 ms at the usual width",
    },
    Key {
        path: "output.scenes",
        about: "Of thumbnails: a picture is kept that differs by this much from the one before it (the mean difference of luma over 16 by 9 parts), and the first one.",
        range: |_| format!("{} to {}, less finds more; 0.1 finds most cuts", SCENES.0, SCENES.1),
        default: "see `every`",
        example: "[[output]]\nformat = \"thumbnails\"\nscenes = 0.1",
        cost: "comparing each picture: less than a hundredth of its decode",
    },
    Key {
        path: "output.best",
        about: "Of thumbnails: how many of the pictures are kept. The best are sharp (the variance of their luma behind a Laplacian) and neither black nor white.",
        range: |_| format!("{} to {} pictures", BEST_OF.0, BEST_OF.1),
        default: "all are kept",
        example: "[[output]]\nformat = \"thumbnails\"\nevery = \"1s\"\nbest = 3",
        cost: "scoring each picture, and coding those that are among the best so far",
    },
    Key {
        path: "output.picture",
        about: "Of thumbnails and sprites: the format of the files of pictures.",
        range: |_| "jpg, png or webp".into(),
        default: "the first of these",
        example: "[[output]]\nformat = \"thumbnails\"\npicture = \"webp\"",
        cost: "png is without loss, and some five times as large",
    },
    Key {
        path: "output.width",
        about: "Of single pictures and animations: the greatest width. They keep their shape, have square pixels and are never enlarged; in a sheet both sides are even. Of a waveform: the width. Each column shows an equal part of the sound, from its first sample to its last.",
        range: |_| format!("1 to {LARGEST_SIDE} pixels; of a waveform {} to {}", WIDTHS.0, WIDTHS.1),
        default: "thumbnails 320, sprites 160, animations 480, if `height` is not set; waveforms 1800",
        example: "[[output]]\nformat = \"thumbnails\"\nwidth = 640",
        cost: "size",
    },
    Key {
        path: "output.height",
        about: "Of single pictures and animations: the greatest height, as `width`. Of a waveform: the height; the greatest sample is its first row, the least its last, and silence a line of one pixel.",
        range: |_| format!("1 to {LARGEST_SIDE} pixels; of a waveform {} to {}", HEIGHTS.0, HEIGHTS.1),
        default: "as the width has it; waveforms 280",
        example: "[[output]]\nformat = \"thumbnails\"\nheight = 180",
        cost: "size",
    },
    Key {
        path: "output.columns",
        about: "Of sprites: the pictures beside each other in a sheet.",
        range: |_| format!("{} to {}", SHEET_SIDES.0, SHEET_SIDES.1),
        default: "10",
        example: "[[output]]\nformat = \"sprite\"\ncolumns = 5\nrows = 5",
        cost: "a sheet is in memory while it is filled; at most 50 million pixels",
    },
    Key {
        path: "output.rows",
        about: "Of sprites: the pictures below each other in a sheet. The last sheet has as many as are left.",
        range: |_| format!("{} to {}", SHEET_SIDES.0, SHEET_SIDES.1),
        default: "10",
        example: "[[output]]\nformat = \"sprite\"\nrows = 20",
        cost: "as `columns`",
    },
    Key {
        path: "output.from",
        about: "Of gif and webp: where the animation begins, from the start of the output on.",
        range: |_| "a duration such as \"10s\" or \"00:01:00\", less than the source's".into(),
        default: "the start",
        example: "[[output]]\nformat = \"gif\"\nfrom = \"10s\"",
        cost: "nothing",
    },
    Key {
        path: "output.to",
        about: "Of gif and webp: where the animation ends, exclusive.",
        range: |_| {
            format!(
                "a duration, at most {LONGEST_ANIMATION} seconds behind `from`; {MOST_ANIMATED_PICTURES} pictures and {} million pixels in all at the most",
                MOST_ANIMATED / 1_000_000
            )
        },
        default: "3 seconds behind `from`",
        example: "[[output]]\nformat = \"gif\"\nto = \"5s\"",
        cost: "all pictures are in memory together, since they have one palette",
    },
    Key {
        path: "output.frame_rate",
        about: "Of gif and webp: the pictures a second. At each tick the picture is shown that the source shows then.",
        range: |_| format!("{} to {} pictures a second", ANIMATION_RATES.0, ANIMATION_RATES.1),
        default: "10",
        example: "[[output]]\nformat = \"webp\"\nframe_rate = 15",
        cost: "size",
    },
    Key {
        path: "output.plays",
        about: "Of gif and webp: how often the animation is shown.",
        range: |_| "0 or more; 0 is without end".into(),
        default: "0",
        example: "[[output]]\nformat = \"gif\"\nplays = 1",
        cost: "nothing",
    },
    Key {
        path: "output.encryption.method",
        about: "Of a package: how it is encrypted. `aes-128` encrypts whole segments, and texts with them (RFC 8216, 4.3.2.4), in `hls` and `hls-ts` with an object for each segment; initialization segments stay clear, and there is no list of keyframes. `cbcs` encrypts samples of H.264, HEVC and audio (ISO/IEC 23001-7), in `cmaf`, `hls` and `dash`; texts stay clear. What is published was decrypted again and compared.",
        range: |_| METHODS.join(" or "),
        default: "none: without it nothing is encrypted",
        example: "[[output]]\nformat = \"hls\"\n[output.encryption]\nmethod = \"aes-128\"\nkey = \"film\"\nuri = \"https://keys.example.com/film\"",
        cost: "reading and writing the package once more, and as much more room in the data folder while it is made",
    },
    Key {
        path: "output.encryption.key",
        about: "Where the key comes from: its name in the settings of the processes that merge (`[keys]`, `MILLRACE_KEYS_NAME`, `--key-file`), or a URL that has its 16 bytes, which is read when the package is put together, and which the principal must be allowed to read as it is a source. The key itself is refused here, because it would be kept in records.",
        range: |_| "a name of 1 to 64 letters, digits, - and _; or a URL without a query".into(),
        default: "none: it must be set",
        example: "[[output]]\nformat = \"cmaf\"\n[output.encryption]\nmethod = \"cbcs\"\nkey = \"https://keys.example.com/film\"",
        cost: "nothing; from a URL a request or two",
    },
    Key {
        path: "output.encryption.uri",
        about: "The URL of the key that playlists tell players; who may read it is your server's affair. DASH states no URL: its players are given the key by its id.",
        range: |_| format!("a URL of at most {LONGEST_URL} bytes"),
        default: "`key`, if that is a URL of a web server; without one it must be set where there are playlists",
        example: "[[output]]\nformat = \"hls\"\n[output.encryption]\nmethod = \"aes-128\"\nkey = \"film\"\nuri = \"https://keys.example.com/film\"",
        cost: "nothing",
    },
    Key {
        path: "output.encryption.key_id",
        about: "The id of the key of `cbcs`, which tracks and descriptions state.",
        range: |_| "32 hexadecimal digits, or a UUID".into(),
        default: "one that follows from `key`, the same in all packages",
        example: "[[output]]\nformat = \"cmaf\"\n[output.encryption]\nmethod = \"cbcs\"\nkey = \"https://keys.example.com/film\"\nkey_id = \"eb676abb-cb34-5e96-bbcf-616630f1a3da\"",
        cost: "nothing",
    },
    Key {
        path: "output.encryption.vector",
        about: "The initialization vector.",
        range: |_| "32 hexadecimal digits".into(),
        default: "of `aes-128` the number of the segment (RFC 8216, 5.2); of `cbcs` one of each attempt",
        example: "[[output]]\nformat = \"hls\"\n[output.encryption]\nmethod = \"aes-128\"\nkey = \"https://keys.example.com/film\"\nvector = \"000102030405060708090a0b0c0d0e0f\"",
        cost: "nothing; one vector for all segments lets others see which begin alike",
    },
    Key {
        path: "output.color",
        about: "Of a waveform: the colour of the peaks.",
        range: |_| "#rrggbb, #rrggbbaa with its opacity, or none".into(),
        default: "#3b82f6, a blue",
        example: "[[output]]\nformat = \"waveform\"\ncolor = \"#000000\"",
        cost: "nothing",
    },
    Key {
        path: "output.background",
        about: "Of a waveform: the colour behind the peaks.",
        range: |_| "as `color`".into(),
        default: "none: it is transparent",
        example: "[[output]]\nformat = \"waveform\"\nbackground = \"#ffffff\"",
        cost: "nothing",
    },
    Key {
        path: "output.split_channels",
        about: "Of a waveform: whether each channel has a lane of its own, the first one on top. In one lane each column shows the least and the greatest sample of all channels.",
        range: |_| "true or false".into(),
        default: "false: one lane",
        example: "[[output]]\nformat = \"waveform\"\nsplit_channels = true",
        cost: "nothing",
    },
    Key {
        path: "source.trim.from",
        about: "Where the part of the source that is used begins, counted from its time zero: the earliest start of the streams that \
                outputs hold. Of the pictures, those whose presentation time is at or after it are used, and one that began before is not, \
                as by ffmpeg's `trim` filter; sound begins with the exact sample; text and chapters are cut. A part that begins behind the \
                end of the source is refused, with its duration.",
        range: |_| "a duration such as \"10s\", \"500ms\" or \"00:00:10.5\", less than the source's".into(),
        default: "the start of the source",
        example: "[source]\ntrim = { from = \"00:00:10\" }",
        cost: "decoding from the keyframe before it. Sound of mp4 and of containers that count samples is read from there, too; that of others is decoded from its start, which keeps the sample exact",
    },
    Key {
        path: "source.trim.to",
        about: "Where the part of the source that is used ends, exclusive, counted as `from`. Behind the end of the source it is the end.",
        range: |_| "a duration, more than `from`".into(),
        default: "the end of the source",
        example: "[source]\ntrim = { from = \"10s\", to = \"00:01:00\" }",
        cost: "nothing: the source is not read further",
    },
    Key {
        path: "source.accept.max_duration",
        about: "The longest source that is accepted. The execution of a longer one fails before any work, with the reason.",
        range: |_| "a duration".into(),
        default: "no limit",
        example: "[source]\naccept = { max_duration = \"6h\" }",
        cost: "nothing",
    },
    Key {
        path: "source.accept.max_size",
        about: "The largest pictures that are accepted, either way round.",
        range: |_| format!("WIDTHxHEIGHT, each 2 to {LARGEST_SIDE} pixels"),
        default: "no limit but that of the principal",
        example: "[source]\naccept = { max_size = \"4096x2304\" }",
        cost: "nothing",
    },
];

/// Returns `docs/profiles.md`, from the tables of formats.
#[must_use]
pub fn documentation(tables: &Tables) -> String {
    let mut text = String::from(include_str!("keys.md"));
    for key in KEYS {
        let _ = write!(
            text,
            "\n### {}\n\n{}\n\n- Range: {}\n- Default: {}\n- Costs: {}\n\n```toml\n{}\n```\n",
            key.path,
            key.about,
            (key.range)(tables),
            key.default,
            key.cost,
            key.example
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use millrace_formats::TABLES;

    use super::*;

    #[test]
    fn the_page_of_profiles_says_what_the_tables_say() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/profiles.md");
        let text = documentation(&TABLES);
        if std::env::var_os("MILLRACE_REWRITE_DOCS").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(written, text, "MILLRACE_REWRITE_DOCS=1 cargo test -p millrace-profiles writes it");
    }

    #[test]
    fn each_key_that_a_profile_takes_has_its_place_in_the_page() {
        // What serde lists in its message for an unknown key is what it takes.
        for (text, prefix) in [
            ("[video.a]\nx = 1", "video.NAME."),
            ("[audio.a]\nx = 1", "audio.NAME."),
            ("[[output]]\nx = 1", "output."),
            ("[[output]]\nencryption = { x = 1 }", "output.encryption."),
            ("[source]\naccept = { x = 1 }", "source.accept."),
            ("[source]\ntrim = { x = 1 }", "source.trim."),
        ] {
            let message = crate::profile::Profile::from_toml(text).unwrap_err().0;
            let known = message.split("expected ").nth(1).unwrap();
            let taken: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
            assert!(!taken.is_empty(), "{message}");
            for key in taken {
                let path = format!("{prefix}{key}");
                let is_of_it = |key: &Key| key.path == path || key.path.starts_with(&format!("{path}."));
                assert!(KEYS.iter().any(is_of_it), "{path} is not documented");
            }
        }
    }

    #[test]
    fn each_example_is_a_profile() {
        for key in KEYS {
            let table = match key.path.split('.').next() {
                Some("video") if !key.example.starts_with('[') => "[video.main]\ncodec = \"h264\"\n",
                Some("audio") if !key.example.starts_with('[') => "[audio.main]\ncodec = \"aac\"\n",
                _ => "",
            };
            let profile = crate::profile::Profile::from_toml(&format!("{table}{}", key.example));
            assert!(profile.is_ok(), "{}: {:?}", key.path, profile.err());
        }
    }
}
