//! Sources of the kinds that go wrong elsewhere, each small and made in a second or two.

use std::{fmt::Display, path::Path};

use super::{boxes, ffmpeg};

/// ffmpeg, with its arguments as on a command line; none of them holds a space.
fn line(arguments: impl Display) {
    let arguments = arguments.to_string();
    ffmpeg(&arguments.split_whitespace().collect::<Vec<_>>());
}

const PICTURES: &str = "-f lavfi -i testsrc2=size=320x180:rate=25:duration=3";
const SOUND: &str = "-f lavfi -i aevalsrc=0.3*sin(2*PI*(300+60*t)*t)+0.02*random(0):s=48000:d=3";
const H264: &str = "-c:v libx264 -preset veryfast -pix_fmt yuv420p";

/// Pictures and sound, with more options; `{}` of them stands for nothing.
fn both(path: &Path, options: &str) {
    line(format_args!("{PICTURES} {SOUND} {H264} -c:a aac {options} {}", path.display()));
}

fn pictures(path: &Path, options: &str) {
    line(format_args!("{PICTURES} {H264} {options} {}", path.display()));
}

/// Groups of pictures that refer across keyframes, with a pyramid of B-frames.
pub fn open_groups(path: &Path) {
    both(
        path,
        "-x264-params open-gop=1:keyint=14:min-keyint=14:scenecut=0:bframes=4:b-adapt=0:b-pyramid=normal",
    );
}

/// Starts half a second into its frames, between keyframes, and later shows others than those that follow: the ticks are
/// those of 25 pictures a second in a clock of 12,800 and a movie of 1000.
pub fn edited(path: &Path) {
    pictures(path, "-bf 2 -g 40");
    boxes::edit(path, &[(1000, 6_144 + 1024), (800, 25_600 + 1024)]);
}

/// Begins with a pause, then at a picture that is no keyframe.
pub fn paused(path: &Path) {
    pictures(path, "-bf 2 -g 40");
    boxes::edit(path, &[(700, -1), (2000, 5_120 + 1024)]);
}

/// An animation, or pictures alone behind one another, with the codec that the name asks for.
pub fn animated(path: &Path) {
    line(format_args!("{PICTURES} {}", path.display()));
}

/// Pictures whose colours come beside them, and change.
pub fn paletted(path: &Path) {
    line(format_args!("{PICTURES} -c:v rawvideo -pix_fmt pal8 {}", path.display()));
}

/// A stream of a codec that says no times.
pub fn timeless(path: &Path) {
    line(format_args!("{PICTURES} -s 352x288 -c:v h263 -g 12 {}", path.display()));
}

/// So many bytes each second that the sound, which begins late, is behind a megabyte of pictures.
pub fn fast_before_sound(path: &Path) {
    let noise = "nullsrc=size=320x180:rate=25:duration=3,geq=random(1)*255:128:128";
    let late = "-af asetpts=PTS+1.5/TB -c:a mp2";
    line(format_args!("-f lavfi -i {noise} {SOUND} -c:v mpeg2video -q:v 1 -g 12 {late} {}", path.display()));
}

/// Times that begin where told, in seconds.
pub fn starting_at(path: &Path, seconds: &str) {
    both(path, &format!("-g 12 -avoid_negative_ts disabled -output_ts_offset {seconds}"));
}

/// Fields, the top one or the bottom one first, in H.264.
pub fn interlaced(path: &Path, order: &str) {
    let graph = format!("testsrc2=size=320x180:rate=50:duration=3,interlace=scan={order}");
    let params = format!("-x264-params {order}=1");
    line(format_args!("-f lavfi -i {graph} {H264} -g 12 -flags +ildct+ilme {params} {}", path.display()));
}

/// Fields in 4:2:2, in MPEG-2.
pub fn interlaced_422(path: &Path) {
    let graph = "testsrc2=size=320x180:rate=50:duration=3,interlace=scan=tff,format=yuv422p";
    let mpeg = "-c:v mpeg2video -flags +ildct+ilme -top 1 -b:v 4M -g 12";
    line(format_args!("-f lavfi -i {graph} {mpeg} {}", path.display()));
}

/// Laid down by a display matrix.
pub fn laid(path: &Path, matrix: [i32; 4]) {
    pictures(path, "-g 12");
    boxes::lay(path, matrix);
}

/// Samples that are no squares.
pub fn anamorphic(path: &Path) {
    both(path, "-g 12 -vf setsar=64/45");
}

/// An odd width and height, in a pixel format that allows it.
pub fn odd(path: &Path) {
    line(format_args!(
        "-f lavfi -i testsrc2=size=321x181:rate=25:duration=2 -c:v libx264 -preset veryfast -pix_fmt yuv444p -g 12 {}",
        path.display()
    ));
}

/// Pictures of this pixel format and colour, as encoder options.
pub fn coloured(path: &Path, pixels: &str, options: &str) {
    // From release 7 on, ffmpeg's encoders take colour from the pictures, not from their options.
    let words: Vec<&str> = options.split_whitespace().collect();
    let told = words.windows(2).filter_map(|pair| match pair[0] {
        "-color_primaries" | "-color_trc" | "-colorspace" => Some(format!("{}={}", &pair[0][1..], pair[1])),
        "-color_range" => Some(format!("range={}", pair[1])),
        _ => None,
    });
    let told = told.collect::<Vec<_>>().join(":");
    let told = if told.is_empty() { told } else { format!(",setparams={told}") };
    let source = format!("testsrc2=size=320x180:rate=25:duration=2,format={pixels}{told}");
    line(format_args!("-f lavfi -i {source} -pix_fmt {pixels} -g 12 {options} {}", path.display()));
}

/// High dynamic range of this transfer, by libav's name.
pub fn high_range(path: &Path, transfer: &str) {
    let tags = "-color_primaries bt2020 -colorspace bt2020nc -color_range tv";
    coloured(path, "yuv420p10le", &format!("-c:v libx264 -preset veryfast {tags} -color_trc {transfer}"));
}

/// Dolby Vision of a profile, whose base layer is compatible with what a number says: the record of it is enough.
pub fn dolby_vision(path: &Path, profile: u8, compatible: u8) {
    high_range(path, "smpte2084");
    // DOVIDecoderConfigurationRecord: versions, then 7 bits of profile, 6 of level, and that there is a base layer.
    let record = [1, 0, profile << 1, 6 << 3 | 0b101, compatible << 4];
    boxes::describe(path, "avc1", b"dvcC", &[&record[..], &[0; 19]].concat());
}

/// Fragments, with no index in front.
pub fn fragmented(path: &Path) {
    both(path, "-g 12 -movflags frag_keyframe+delay_moov");
}

/// No list of keyframes, which says that all are.
pub fn without_keyframes(path: &Path) {
    both(path, "-g 20 -bf 2");
    boxes::without_keyframes(path);
}

/// Frames that claim to be longer than the file.
pub fn overlong(path: &Path) {
    pictures(path, "-g 12 -movflags faststart");
    boxes::overlong(path);
}

/// A clock that goes over its end, at 2^33 ticks, in the middle.
pub fn wrapping(path: &Path) {
    both(path, "-g 12 -output_ts_offset 95442.2");
}

/// Two recordings, one behind the other: the clock begins anew, or jumps ahead.
pub fn spliced(path: &Path, second: &str) {
    let (a, b) = (path.with_extension("a.ts"), path.with_extension("b.ts"));
    both(&a, "-g 12");
    both(&b, &format!("-g 12 -vf hue=h=90 -output_ts_offset {second}"));
    let bytes = [std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap()].concat();
    std::fs::write(path, bytes).unwrap();
    std::fs::remove_file(a).unwrap();
    std::fs::remove_file(b).unwrap();
}

/// Three sound tracks in three languages, the second the default one, of other layouts.
pub fn many_tracks(path: &Path) {
    let tone = |hertz: u32| format!("-f lavfi -i sine=frequency={hertz}:duration=3:sample_rate=48000");
    let maps = "-map 0 -map 1 -map 2 -map 3";
    let tags = "-metadata:s:a:0 language=eng -metadata:s:a:1 language=deu -metadata:s:a:2 language=fra \
                -metadata:s:a:1 title=Ton -disposition:a:0 0 -disposition:a:1 default -disposition:a:2 hearing_impaired";
    line(format_args!(
        "{PICTURES} {} {} {} {maps} {H264} -g 12 -c:a aac -ac:a:0 2 -ac:a:1 6 -ac:a:2 1 {tags} {}",
        tone(440),
        tone(660),
        tone(880),
        path.display()
    ));
}

/// Sound of many channels.
pub fn surround(path: &Path, layout: &str) {
    let silence = "-f lavfi -i anoisesrc=d=2:r=48000:a=0.1";
    line(format_args!("{silence} -af aformat=channel_layouts={layout} -c:a flac {}", path.display()));
}

/// Sound that is padded to whole frames and primed, and says so: 88,200 samples of it are heard.
pub fn gapless(path: &Path) {
    let tone = "aevalsrc=0.3*sin(2*PI*(300+60*t)*t):s=44100:d=2";
    line(format_args!("-f lavfi -i {tone} -c:a aac {}", path.display()));
}

/// Sound of 190 s that never repeats.
pub fn long_sound(path: &Path) {
    let tones =
        "0.2*sin(2*PI*(173*t+40*sin(0.37*t)))+0.1*sin(2*PI*(1418*t+160*sin(0.15*t)))+0.004*(random(0)-0.5)";
    line(format_args!("-f lavfi -i aevalsrc={tones}:s=48000:d=190 -c:a alac {}", path.display()));
}

/// Sound alone, in the codec that the name asks for.
pub fn tones(path: &Path) {
    line(format_args!("{SOUND} {}", path.display()));
}

/// A copy of it in which two packets near the middle can't be decoded.
pub fn damaged_tones(whole: &Path, path: &Path) {
    std::fs::copy(whole, path).unwrap();
    boxes::damage_frames(path, 0.5, 0.505);
}

/// A copy of sound, cut off at so many of a hundred bytes, with some in its middle overwritten.
pub fn broken_sound(whole: &Path, path: &Path, percent: usize) {
    let mut bytes = std::fs::read(whole).unwrap();
    let half = bytes.len() / 2;
    bytes[half..half + 20_000].fill(0x5a);
    bytes.truncate(bytes.len() * percent / 100);
    std::fs::write(path, bytes).unwrap();
}

/// Sound that begins 0.8 s late and ends 0.7 s early, with a hole of 0.5 s.
pub fn sparse_sound(path: &Path) {
    let cut = "aselect='between(t,0.8,1.4)+between(t,1.9,2.3)'";
    both(path, &format!("-g 12 -af {cut} -c:a libopus"));
}

/// Text in two tracks, one of which overlaps itself; chapters, title, time, place, and a timecode.
pub fn annotated(path: &Path) {
    let folder = path.parent().unwrap();
    let (texts, meta) = (folder.join("texts.srt"), folder.join("meta.txt"));
    let text = "1\n00:00:00,500 --> 00:00:01,500\nGuten <b>Tag</b>\n\n2\n00:00:01,200 --> 00:00:02,000\nzusammen\n\n";
    std::fs::write(&texts, text).unwrap();
    let chapter = |start: u32, end: u32, title: &str| {
        format!("[CHAPTER]\nTIMEBASE=1/1000\nSTART={start}\nEND={end}\ntitle={title}\n")
    };
    let chapters = chapter(0, 1000, "One") + &chapter(1000, 3000, "Two");
    std::fs::write(&meta, format!(";FFMETADATA1\ntitle=A film\nlocation=+48.8577+002.2950/\n{chapters}"))
        .unwrap();
    let tags = "-metadata:s:s:0 language=deu -metadata creation_time=2020-01-02T03:04:05Z";
    line(format_args!(
        "{PICTURES} {SOUND} -i {} -f ffmetadata -i {} -map 0 -map 1 -map 2 -map_metadata 3 -map_chapters 3 \
         {H264} -g 12 -c:a pcm_s16le -c:s srt {tags} -timecode 01:02:03:04 {}",
        texts.display(),
        meta.display(),
        path.display()
    ));
}

/// A timecode in a track of its own.
pub fn timecoded(path: &Path) {
    pictures(path, "-g 12 -timecode 01:02:03:04");
}

/// A cover beside sound.
pub fn covered(path: &Path) {
    let cover = path.with_extension("png");
    line(format_args!("-f lavfi -i testsrc2=size=64x64 -frames:v 1 {}", cover.display()));
    let maps = "-map 0 -map 1 -c:v png -disposition:v:0 attached_pic";
    line(format_args!("{SOUND} -i {} {maps} {}", cover.display(), path.display()));
}

/// Closed captions (CEA-608) in the pictures' own data: an SEI message of ATSC A/53 before each.
pub fn captioned(path: &Path) {
    let raw = path.with_extension("h264");
    pictures(&raw, "-g 12 -bf 0 -x264-params aud=1:slices=1 -bsf:v h264_metadata=aud=insert");
    let stream = std::fs::read(&raw).unwrap();
    // itu_t_t35 (USA, ATSC), "GA94", cc_data: one pair of field 1, that says "A" over and over.
    let message = [0xb5, 0, 0x31, b'G', b'A', b'9', b'4', 3, 0x41, 0xff, 0xfc, 0xc1, 0x80, 0xff];
    let mut unit = vec![0, 0, 0, 1, 6, 4, u8::try_from(message.len()).unwrap()];
    unit.extend(message);
    unit.push(0x80);
    // Behind each access unit delimiter, which is six bytes with its start code.
    let mut marked = Vec::new();
    let mut at = 0;
    while at < stream.len() {
        if stream[at..].starts_with(&[0, 0, 0, 1, 9]) {
            marked.extend_from_slice(&stream[at..at + 6]);
            marked.extend_from_slice(&unit);
            at += 6;
        } else {
            marked.push(stream[at]);
            at += 1;
        }
    }
    std::fs::write(&raw, marked).unwrap();
    line(format_args!("-r 25 -i {} -c copy {}", raw.display(), path.display()));
    std::fs::remove_file(raw).unwrap();
}

/// Cut off in the middle of its frames, with the index in front: the first so many of a hundred bytes are there.
pub fn cut_off(path: &Path, percent: usize) {
    both(path, "-g 12 -movflags faststart");
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(path, &bytes[..bytes.len() * percent / 100]).unwrap();
}

/// Frames of the middle overwritten.
pub fn damaged(path: &Path) {
    both(path, "-g 12");
    boxes::damage_frames(path, 0.5, 0.54);
}

/// With a length overwritten, so that a demuxer that comes from the middle reads on no further, though one that comes from the start does.
pub fn damaged_for_seekers(path: &Path) {
    line(format_args!(
        "{PICTURES} {SOUND} -c:v mpeg2video -q:v 3 -bf 2 -g 12 -c:a pcm_s16le {}",
        path.display()
    ));
    let mut bytes = std::fs::read(path).unwrap();
    // The key of a sound element (SMPTE ST 379-1), with its length behind it.
    const KEY_BYTES: usize = 16;
    const KEY: [u8; 13] = [6, 14, 43, 52, 1, 2, 1, 1, 13, 1, 3, 1, 22];
    let keys: Vec<usize> = (0..bytes.len() - 100).filter(|at| bytes[*at..].starts_with(&KEY)).collect();
    let at = keys[keys.len() * 3 / 10] + KEY_BYTES;
    bytes[at..at + 60].fill(0xff);
    std::fs::write(path, bytes).unwrap();
}
