//! Sources of the kinds that people reported: each lies, changes or ends in a way that went wrong silently once.

use std::{fmt::Display, path::Path};

use super::{boxes, ffmpeg};

/// ffmpeg, with its arguments as on a command line; none of them holds a space.
fn line(arguments: impl Display) {
    let arguments = arguments.to_string();
    ffmpeg(&arguments.split_whitespace().collect::<Vec<_>>());
}

const PICTURES: &str = "-f lavfi -i testsrc2=size=160x120:rate=25:duration=3";
const SOUND: &str = "-f lavfi -i aevalsrc=0.3*sin(2*PI*(300+60*t)*t)+0.02*random(0):s=48000:d=3";
const H264: &str = "-c:v libx264 -preset veryfast -pix_fmt yuv420p -g 12";

fn both(path: &Path, options: &str) {
    line(format_args!("{PICTURES} {SOUND} {H264} -c:a aac {options} {}", path.display()));
}

fn append(path: &Path, more: &[u8]) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes.extend_from_slice(more);
    std::fs::write(path, bytes).unwrap();
}

/// An mp4 whose list of keyframes names predicted pictures: each the third behind the true one.
pub fn false_keyframes(path: &Path) {
    line(format_args!("{PICTURES} -c:v mpeg4 -q:v 3 -g 12 {}", path.display()));
    boxes::shift_keyframes(path, 3);
}

/// A Matroska file all of whose pictures are marked as keyframes, of which the first alone is one.
pub fn all_keyframes(path: &Path) {
    line(format_args!("{PICTURES} {H264} -g 250 -bf 0 {}", path.display()));
    let mut bytes = std::fs::read(path).unwrap();
    // A SimpleBlock (RFC 9559, 5.1.3.4) of at most 2^14 bytes: its length, track 1, a time, flags.
    let at: Vec<usize> = (0..bytes.len() - 8)
        .filter(|at| bytes[*at] == 0xa3 && (0x40..0x80).contains(&bytes[at + 1]) && bytes[at + 3] == 0x81)
        .map(|at| at + 6)
        .collect();
    assert!(at.len() > 50, "{} blocks", at.len());
    for at in at {
        bytes[at] |= 0x80;
    }
    std::fs::write(path, bytes).unwrap();
}

/// An flv whose sender came back: its header comes again, with another size if asked for, and its clock goes on or begins at 0.
pub fn sender_came_back(path: &Path, size: &str, offset: &str) {
    let other = path.with_extension("more.flv");
    both(path, "");
    let pictures = PICTURES.replace("160x120", size);
    let options = format!("{H264} -c:a aac -output_ts_offset {offset}");
    line(format_args!("{pictures} {SOUND} {options} {}", other.display()));
    // Behind the header of the file and the length of no tag.
    append(path, &std::fs::read(&other).unwrap()[13..]);
    std::fs::remove_file(other).unwrap();
}

/// Three pictures, of which the last is shown for five seconds.
pub fn long_last_picture(path: &Path) {
    let pictures = "-f lavfi -i testsrc2=size=160x120:rate=2:duration=2";
    if path.extension().unwrap() == "gif" {
        return line(format_args!("{pictures} -frames:v 3 -final_delay 500 {}", path.display()));
    }
    // A fourth at six seconds says for how long the third is shown, and is left out.
    let four = path.with_extension("four.mp4");
    let times = "-vf setpts='if(eq(N,3),6,N*0.5)/TB' -fps_mode passthrough";
    line(format_args!("{pictures} {times} {H264} -bf 0 {}", four.display()));
    line(format_args!("-i {} -c copy -frames:v 3 {}", four.display(), path.display()));
}

/// Tags of Latin-1.
pub fn foreign_tags(path: &Path) {
    both(path, "-metadata title=GRUESSE -metadata:s:a:0 handler_name=TONSPUR");
    let bytes = std::fs::read(path).unwrap();
    let mut changed = bytes.clone();
    for (i, _) in bytes.windows(7).enumerate().filter(|(_, window)| *window == b"GRUESSE") {
        changed[i..i + 7].copy_from_slice(b"Gr\xfc\xdfe a");
    }
    std::fs::write(path, changed).unwrap();
}

/// A track of text without a packet beside pictures and sound.
pub fn empty_track(path: &Path) {
    let texts = path.with_extension("srt");
    std::fs::write(&texts, "1\n01:00:00,000 --> 01:00:01,000\nlate\n").unwrap();
    let maps = "-map 0 -map 1 -map 2 -c:s srt -t 3";
    line(format_args!("{PICTURES} {SOUND} -i {} {H264} -c:a aac {maps} {}", texts.display(), path.display()));
}

/// Four channels in the corners, each with a tone of its own.
pub fn quad(path: &Path) {
    let tones = "aevalsrc=0.2*sin(440*2*PI*t)|0.2*sin(660*2*PI*t)|0.2*sin(880*2*PI*t)|0.2*sin(1320*2*PI*t):c=quad:s=48000:d=3";
    line(format_args!("{PICTURES} -f lavfi -i {tones} {H264} -c:a flac {}", path.display()));
}

/// Sound whose clock runs one per cent slow, for ten seconds.
pub fn drifting(path: &Path) {
    let pictures = PICTURES.replace("duration=3", "duration=10");
    let sound = SOUND.replace("d=3", "d=10");
    let drift = "-bsf:a setts=ts=TS*1.01";
    line(format_args!("{pictures} {sound} {H264} -c:a aac {drift} {}", path.display()));
}

/// Sound whose timestamps are late by 18 ms for eight packets of 21 ms, and right for the next eight.
pub fn jittering(path: &Path) {
    both(path, "-bsf:a setts=ts='TS+18*mod(floor(N/8),2)'");
}

/// A disc in a frame of 4:3, then in one that stands upright.
pub fn turned(path: &Path) {
    let disc = |size: &str| {
        format!(
            "-f lavfi -i color=black:size={size}:rate=25:duration=1.5,format=yuv420p,geq=lum='if(lt(hypot(X-W/2,Y-H/2),40),235,16)':cb=128:cr=128"
        )
    };
    let (a, b) = (path.with_extension("a.ts"), path.with_extension("b.ts"));
    line(format_args!("{} {H264} {}", disc("160x120"), a.display()));
    line(format_args!("{} {H264} -output_ts_offset 1.7 {}", disc("120x160"), b.display()));
    std::fs::copy(&a, path).unwrap();
    append(path, &std::fs::read(&b).unwrap());
}

/// A transport stream that goes on in streams of other numbers.
pub fn other_streams(path: &Path) {
    let other = path.with_extension("b.ts");
    both(path, "-streamid 0:256 -streamid 1:257");
    both(&other, "-streamid 0:512 -streamid 1:513 -output_ts_offset 3.2");
    append(path, &std::fs::read(&other).unwrap());
}

/// Encrypted (ISO/IEC 23001-7).
pub fn encrypted(path: &Path) {
    let key = "00112233445566778899aabbccddeeff";
    both(path, &format!("-encryption_scheme cenc-aes-ctr -encryption_key {key} -encryption_kid {key}"));
}

/// Without a movie timescale.
pub fn without_timescale(path: &Path) {
    both(path, "");
    boxes::set_movie_timescale(path, 0);
}

/// A phone's motion photo: a few large pictures, and the ones that play, both on by default.
pub fn motion_photo(path: &Path) {
    let still = "-f lavfi -i testsrc2=size=320x240:rate=25:duration=0.08";
    let options = "-map 0 -map 1 -disposition:v:0 default -disposition:v:1 default";
    line(format_args!("{still} {PICTURES} {H264} {options} {}", path.display()));
}

/// Whole, and of this container.
pub fn whole(path: &Path) {
    let name = path.extension().unwrap().to_str().unwrap();
    let codecs = match name {
        "webm" => "-c:v libvpx -b:v 300k -g 12 -c:a libopus",
        "avi" => "-c:v mpeg4 -g 12 -c:a mp2",
        "ogg" => "-c:v libtheora -g 12 -c:a libvorbis",
        _ => "-c:v libx264 -preset veryfast -pix_fmt yuv420p -g 12 -c:a aac -movflags faststart",
    };
    match name {
        "wav" => line(format_args!("{SOUND} {}", path.display())),
        "mp3" => line(format_args!("{SOUND} -c:a libmp3lame {}", path.display())),
        _ => line(format_args!("{PICTURES} {SOUND} {codecs} {}", path.display())),
    }
}

/// Cut off: so many of a hundred bytes are there, and three more.
pub fn cut_off(path: &Path, percent: usize) {
    whole(path);
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(path, &bytes[..bytes.len() * percent / 100 + 3]).unwrap();
}
