//! Files of few bytes that ask for much: each is a kind of its own.

use std::path::Path;

use super::ffmpeg;

/// A box of mp4's.
fn mp4_box(code: &[u8; 4], content: &[&[u8]]) -> Vec<u8> {
    let content = content.concat();
    let size = u32::try_from(content.len() + 8).unwrap();
    [&size.to_be_bytes()[..], code, &content].concat()
}

fn numbers(all: &[u32]) -> Vec<u8> {
    all.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// A video track in which each of `count` samples is the `size` bytes at one offset. Of samples of size 1 the table holds none.
fn track(codec: &[u8; 4], side: u16, (count, size, at): (u32, u32, u32), is_chunk: bool) -> Vec<u8> {
    let side = side.to_be_bytes();
    let entry = mp4_box(
        codec,
        &[
            &[0; 6],
            &[0, 1],
            &[0; 16],
            &side,
            &side,
            &[0, 72, 0, 0, 0, 72, 0, 0],
            &[0; 4],
            &[0, 1],
            &[0; 32],
            &[0, 24, 0xff, 0xff],
        ],
    );
    let (chunks, each) = if is_chunk { (1, count) } else { (count, 1) };
    let offsets = numbers(&vec![at; chunks as usize]);
    let tables = [
        mp4_box(b"stsd", &[&numbers(&[0, 1]), &entry]),
        mp4_box(b"stts", &[&numbers(&[0, 1, count, 40])]),
        mp4_box(b"stsc", &[&numbers(&[0, 1, 1, each, 1])]),
        mp4_box(b"stsz", &[&numbers(&[0, size, count])]),
        mp4_box(b"stco", &[&numbers(&[0, chunks]), &offsets]),
    ];
    let length = count.saturating_mul(40);
    let handler = mp4_box(b"hdlr", &[&[0; 8], b"vide", &[0; 12], b"v\0"]);
    let header = mp4_box(b"mdhd", &[&numbers(&[0, 0, 0, 1000, length, 0x55c4_0000])]);
    let media = mp4_box(
        b"minf",
        &[&mp4_box(b"vmhd", &[&[0, 0, 0, 1], &[0; 8]]), &mp4_box(b"stbl", &[&tables.concat()])],
    );
    let mut place = numbers(&[3, 0, 0, 1, 0, length, 0, 0, 0, 0]);
    place.extend(numbers(&[0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000]));
    place.extend([side[0], side[1], 0, 0, side[0], side[1], 0, 0]);
    mp4_box(b"trak", &[&mp4_box(b"tkhd", &[&place]), &mp4_box(b"mdia", &[&header, &handler, &media])])
}

/// A movie of these tracks, with the samples in front.
fn movie(path: &Path, samples: &[u8], tracks: &[u8]) {
    let mut times = numbers(&[0, 0, 0, 1000, 4000, 0x1_0000, 0x0100_0000, 0, 0]);
    times.extend(numbers(&[0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000, 0, 0, 0, 0, 0, 0, 2]));
    let bytes = [
        mp4_box(b"ftyp", &[b"qt  ", &[0; 4], b"qt  "]),
        mp4_box(b"mdat", &[samples]),
        mp4_box(b"moov", &[&mp4_box(b"mvhd", &[&times]), tracks]),
    ];
    std::fs::write(path, bytes.concat()).unwrap();
}

/// Where the samples of [`movie`] begin.
const SAMPLES: u32 = 20 + 8;

/// The bytes of one picture.
fn picture(path: &Path, size: &str, kind: &str) -> Vec<u8> {
    let one = path.with_extension(kind);
    let source = format!("color=gray:size={size}");
    let named = one.to_str().unwrap();
    ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        &source,
        "-frames:v",
        "1",
        "-pix_fmt",
        if kind == "png" { "gray" } else { "yuvj420p" },
        named,
    ]);
    let bytes = std::fs::read(&one).unwrap();
    std::fs::remove_file(one).unwrap();
    bytes
}

/// A large picture, shown again and again by an index that names the same bytes each time.
pub fn repeated_picture(path: &Path) {
    let bytes = picture(path, "8192x8192", "png");
    let size = u32::try_from(bytes.len()).unwrap();
    movie(path, &bytes, &track(b"png ", 8192, (80, size, SAMPLES), false));
}

/// A table of sixty million samples that takes twenty bytes.
pub fn claimed_samples(path: &Path) {
    movie(path, &[0; 64], &track(b"raw ", 64, (60_000_000, 1, SAMPLES), true));
}

/// Ten thousand tracks.
pub fn many_tracks(path: &Path) {
    movie(path, &[0; 64], &track(b"raw ", 4, (1, 48, SAMPLES), true).repeat(10_000));
}

/// A canvas of 16000x16000 whose pictures are of a pixel each.
pub fn large_canvas(path: &Path) {
    let mut bytes = b"GIF89a\x80\x3e\x80\x3e\x80\0\0\0\0\0\xff\xff\xff".to_vec();
    for _ in 0..60 {
        bytes.extend(b"\x21\xf9\x04\0\x04\0\0\0\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0");
    }
    bytes.push(0x3b);
    std::fs::write(path, bytes).unwrap();
}

/// Small pictures in a Matroska whose index names every one.
fn small(path: &Path, more: &[&str]) {
    let mut arguments = vec!["-f", "lavfi", "-i", "testsrc2=size=64x64:rate=25:duration=4"];
    arguments.extend(more);
    arguments.extend(["-c:v", "mjpeg", "-f", "matroska"]);
    arguments.push(path.to_str().unwrap());
    ffmpeg(&arguments);
}

fn at(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).position(|window| window == part).unwrap()
}

/// A length of nine quadrillion milliseconds.
pub fn claimed_length(path: &Path) {
    small(path, &[]);
    let mut bytes = std::fs::read(path).unwrap();
    let length = at(&bytes, b"\x44\x89\x88") + 3;
    bytes[length..length + 8].copy_from_slice(&9e15_f64.to_be_bytes());
    std::fs::write(path, bytes).unwrap();
}

/// A header of 64x64, and pictures that say that they are of 16000x16000 later.
pub fn growing_pictures(path: &Path) {
    let one = picture(path, "64x64", "jpg");
    let mut large = one.clone();
    let frame = at(&large, b"\xff\xc0") + 5;
    large[frame..frame + 4].copy_from_slice(&[0x3e, 0x80, 0x3e, 0x80]);
    let all = path.with_extension("mjpeg");
    std::fs::write(&all, [one.repeat(25), large.repeat(25)].concat()).unwrap();
    ffmpeg(&[
        "-f",
        "mjpeg",
        "-i",
        all.to_str().unwrap(),
        "-c",
        "copy",
        "-f",
        "matroska",
        path.to_str().unwrap(),
    ]);
    std::fs::remove_file(all).unwrap();
}

/// Five thousand texts that are all shown at the same time.
pub fn overlapping_texts(path: &Path) {
    let texts = path.with_extension("srt");
    let text =
        |i: usize| format!("{}\n00:00:0{},{:03} --> 02:46:40,000\n{i:0100}\n\n", i + 1, i / 1000, i % 1000);
    std::fs::write(&texts, (0..5000).map(text).collect::<String>()).unwrap();
    small(path, &["-i", texts.to_str().unwrap(), "-c:s", "srt"]);
    std::fs::remove_file(texts).unwrap();
}

/// A title that would do something to a terminal.
pub fn escaping_title(path: &Path) {
    small(path, &["-metadata", "title=\x1b]0;gone\x07\x1b[2Jmade"]);
}

/// A font and a drawing in a Matroska, and a text track of ASS without its header.
pub fn attachments(path: &Path) {
    let text = path.with_extension("ass");
    let font = path.with_extension("ttf");
    std::fs::write(
        &text,
        "[Script Info]\nScriptType: v4.00+\n\n[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, \
         Effect, Text\nDialogue: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,{\\fn/etc/passwd}x\n",
    )
    .unwrap();
    std::fs::write(&font, b"no font").unwrap();
    let (text_name, font_name) = (text.to_str().unwrap(), font.to_str().unwrap());
    let kind = "mimetype=application/x-truetype-font";
    small(path, &["-i", text_name, "-c:s", "ass", "-attach", font_name, "-metadata:s:t", kind]);
    let mut bytes = std::fs::read(path).unwrap();
    // CodecPrivate becomes an element that nobody knows.
    let track = at(&bytes, b"S_TEXT/ASS");
    let private = track + at(&bytes[track..], b"\x63\xa2");
    bytes[private + 1] = 0xa3;
    std::fs::write(path, bytes).unwrap();
    std::fs::remove_file(text).unwrap();
    std::fs::remove_file(font).unwrap();
}

/// A kind of file: what it is called, what makes it, and what is said of it where it is refused; those that are made have none.
pub type Kind = (&'static str, fn(&Path), Option<&'static str>);

/// All kinds.
pub const KINDS: [Kind; 9] = [
    ("long.mkv", claimed_length, None),
    ("repeat.mov", repeated_picture, Some("more work than is done for so few bytes")),
    ("canvas.gif", large_canvas, Some("pictures of 16000x16000 are too large")),
    ("texts.mkv", overlapping_texts, None),
    ("samples.mp4", claimed_samples, Some("they claim 60000000 samples")),
    ("switch.mkv", growing_pictures, None),
    ("escape.mkv", escaping_title, None),
    ("attached.mkv", attachments, None),
    ("tracks.mov", many_tracks, Some("more than 100 tracks")),
];
