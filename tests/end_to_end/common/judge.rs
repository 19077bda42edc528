//! Outputs held against their sources, by decoding both with ffmpeg. None of it is taken from what Millrace says.

use std::{collections::BTreeSet, path::Path, process::Command};

/// What a program prints; it must have nothing to complain of.
fn out(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).output().expect(program);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    // The clock of a comparison that is written nowhere.
    let harmless = |line: &str| line.starts_with("[null @") && line.contains("non monotonically");
    assert!(said.lines().all(harmless), "{program} {arguments:?}: {said}");
    output.stdout
}

fn text(program: &str, arguments: &[&str]) -> String {
    String::from_utf8(out(program, arguments)).unwrap()
}

/// The time and the length of each decoded picture or piece of sound, in seconds and in order.
type Pieces = Vec<(f64, f64)>;

const PICTURES: [&str; 10] = [
    "-map",
    "0:v:0",
    "-fps_mode",
    "passthrough",
    "-enc_time_base:v",
    "-1",
    "-c:v",
    "rawvideo",
    "-s",
    "16x16",
];
/// The sound of a file, if it has some.
const SOUND: [&str; 4] = ["-map", "0:a:0?", "-c:a", "pcm_s16le"];

/// Returns the pieces of these streams of a file, which must decode without an error. A process of ffmpeg takes longer to start than to
/// decode what tests make, so one does it all.
fn decoded(path: &Path, streams: &[&[&str]]) -> Vec<Pieces> {
    let mut arguments = vec!["-v", "error", "-copyts", "-i", path.to_str().unwrap()];
    streams.iter().for_each(|stream| arguments.extend(*stream));
    arguments.extend(["-f", "framecrc", "-"]);
    let listing = text("ffmpeg", &arguments);
    let number = |text: &str| text.trim().parse::<f64>().unwrap();
    let clock = |line: &str| {
        let (_, clock) = line.strip_prefix("#tb ")?.split_once(": ")?;
        let (num, den) = clock.split_once('/')?;
        Some(number(num) / number(den))
    };
    let ticks: Vec<f64> = listing.lines().filter_map(clock).collect();
    let mut pieces = vec![Pieces::new(); ticks.len()];
    for line in listing.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let stream: usize = fields[0].parse().unwrap();
        pieces[stream].push((number(fields[2]) * ticks[stream], number(fields[3]) * ticks[stream]));
    }
    pieces.iter_mut().for_each(|rows| rows.sort_by(|a, b| a.0.total_cmp(&b.0)));
    pieces
}

/// Returns the times of the pictures, and the pieces of the sound, if there is some.
fn pictures_and_sound(path: &Path) -> (Vec<f64>, Option<Pieces>) {
    let mut streams = decoded(path, &[&PICTURES, &SOUND]).into_iter();
    let times = streams.next().unwrap().into_iter().map(|row| row.0).collect();
    (times, streams.next())
}

/// Times of all pictures.
pub fn pictures(path: &Path) -> Vec<f64> {
    decoded(path, &[&PICTURES])[0].iter().map(|row| row.0).collect()
}

pub fn has(path: &Path, kind: &str) -> bool {
    let arguments =
        ["-v", "error", "-select_streams", kind, "-show_entries", "stream=index", "-of", "csv=p=0"];
    !text("ffprobe", &[&arguments[..], &[path.to_str().unwrap()]].concat()).trim().is_empty()
}

/// The number of streams of a kind.
pub fn count(path: &Path, kind: &str) -> usize {
    let arguments =
        ["-v", "error", "-select_streams", kind, "-show_entries", "stream=index", "-of", "csv=p=0"];
    let found = text("ffprobe", &[&arguments[..], &[path.to_str().unwrap()]].concat());
    // Those of a transport stream are listed with their program, too.
    found.split_whitespace().collect::<BTreeSet<_>>().len()
}

/// The size of the pictures as they are shown but for the shape of their pixels.
pub fn shown_size(path: &Path) -> Vec<i32> {
    let side = |name: &str| field(path, "V", name).parse::<i32>().unwrap();
    let rotation = probed(path, "stream_side_data=rotation");
    let is_upright = rotation.lines().next().is_none_or(|angle| angle.parse::<i32>().unwrap_or(0) % 180 == 0);
    let sides = if is_upright { ["width", "height"] } else { ["height", "width"] };
    sides.iter().map(|name| side(name)).collect()
}

/// Times of all keyframes of the pictures.
pub fn keyframes(path: &Path) -> Vec<f64> {
    let path = path.to_str().unwrap();
    let arguments = [
        "-v",
        "error",
        "-select_streams",
        "V:0",
        "-show_entries",
        "packet=pts_time,flags",
        "-of",
        "csv=p=0",
        path,
    ];
    let lines = text("ffprobe", &arguments);
    let time = |line: &str| {
        let (time, flags) = line.split_once(',')?;
        time.parse::<f64>().ok().filter(|_| flags.contains('K'))
    };
    lines.lines().filter_map(time).collect()
}

/// When the pictures start, or the sound if that is earlier and looked at.
pub fn starts(path: &Path, with_sound: bool) -> f64 {
    let first = decoded(path, if with_sound { &[&PICTURES, &SOUND] } else { &[&PICTURES] });
    first.iter().filter_map(|pieces| pieces.first()).map(|piece| piece.0).fold(f64::INFINITY, f64::min)
}

/// Decodes all of a file. ffmpeg must say nothing.
pub fn decodes(path: &Path) {
    out("ffmpeg", &["-v", "error", "-xerror", "-i", path.to_str().unwrap(), "-f", "null", "-"]);
}

/// One field of the first stream of a kind.
pub fn field(path: &Path, kind: &str, name: &str) -> String {
    let entry = format!("stream={name}");
    let select = format!("{kind}:0");
    let path = path.to_str().unwrap();
    let arguments =
        ["-v", "error", "-select_streams", &select, "-show_entries", &entry, "-of", "csv=p=0", path];
    text("ffprobe", &arguments).lines().next().unwrap_or_default().trim_end_matches(',').to_owned()
}

/// The size of a tick of the video stream.
fn tick(path: &Path) -> f64 {
    let clock = field(path, "v", "time_base");
    let (num, den) = clock.split_once('/').unwrap();
    num.parse::<f64>().unwrap() / den.parse::<f64>().unwrap()
}

/// TS-1.
fn decoding_times_increase(path: &Path) {
    let arguments = ["-v", "error", "-show_entries", "packet=stream_index,dts", "-of", "csv=p=0"];
    let listing = text("ffprobe", &[&arguments[..], &[path.to_str().unwrap()]].concat());
    let mut last = std::collections::HashMap::new();
    // Side data of a packet leaves an empty line.
    for line in listing.lines().filter(|line| !line.is_empty()) {
        let mut fields = line.split(',');
        let (stream, dts) = (fields.next().unwrap().to_owned(), fields.next().unwrap());
        if dts == "N/A" && output_has_no_decoding_times(path) {
            continue;
        }
        let dts = dts.parse::<i64>().unwrap();
        let before = last.insert(stream, dts);
        assert!(before.is_none_or(|before| before < dts), "{}: {line}", path.display());
    }
}

/// Matroska states presentation times alone; ffprobe guesses decoding times from the second picture on.
fn output_has_no_decoding_times(output: &Path) -> bool {
    output.extension().is_some_and(|extension| extension == "mkv")
}

/// Picture by picture, the PSNR of the output's and its own source picture, and of the output's and the source picture after it.
pub fn likeness(source: &Path, output: &Path) -> [Vec<f64>; 2] {
    let clock = "format=yuv420p,settb=1/1000,setpts=N*40";
    let next = tempfile::NamedTempFile::new().unwrap();
    let graph = format!(
        "[0:v:0]split[s][t];[1:v:0]{clock},split[b][c];\
         [s]{clock}[a];[a][b]psnr=stats_file=-:shortest=1;\
         [t]trim=start_frame=1,{clock}[d];[d][c]psnr=stats_file={}:shortest=1",
        next.path().display()
    );
    let (source, output) = (source.to_str().unwrap(), output.to_str().unwrap());
    let arguments = [
        "-v",
        "error",
        "-i",
        source,
        "-i",
        output,
        "-lavfi",
        &graph,
        "-fps_mode",
        "passthrough",
        "-f",
        "null",
        "-",
    ];
    let own = text("ffmpeg", &arguments);
    let next = std::fs::read_to_string(next.path()).unwrap();
    let value = |line: &str| {
        let text = line.split("psnr_avg:").nth(1)?.split(' ').next()?;
        Some(if text == "inf" { 99.0 } else { text.parse::<f64>().unwrap() })
    };
    [own, next].map(|listing| listing.lines().filter_map(value).collect())
}

fn samples(path: &Path) -> Vec<f32> {
    let path = path.to_str().unwrap();
    let raw = out(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-i",
            path,
            "-map",
            "0:a:0",
            "-af",
            "aresample=async=1:first_pts=0",
            "-ac",
            "1",
            "-ar",
            "8000",
            "-f",
            "f32le",
            "-",
        ],
    );
    raw.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

/// Returns the sum of products of two pieces of sound of the same length. A loop, since most of the time of a judgement goes here, and
/// iterators are slow in a debug build.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (mut sum, mut i) = (0.0, 0);
    while i < a.len() {
        sum += a[i] * b[i];
        i += 1;
    }
    sum
}

/// AU-1: half a second at a time, the output's sound is the source's, within so many milliseconds.
fn sound_is_the_same(source: &Path, output: &Path, slack_ms: f64) {
    let wide = |path| samples(path).into_iter().map(f64::from).collect::<Vec<_>>();
    let (a, b) = (wide(source), wide(output));
    // The energy of the output up to each sample.
    let energy: Vec<f64> = std::iter::once(0.0)
        .chain(b.iter().scan(0.0, |sum, x| {
            *sum += x * x;
            Some(*sum)
        }))
        .collect();
    let (window, reach) = (4000, 400);
    let mut at = reach;
    while at + window + reach < a.len().min(b.len()) {
        let piece = &a[at..at + window];
        let norm = dot(piece, piece).sqrt();
        let score = |shift: usize| -> f64 {
            let start = at - reach + shift;
            let other = (energy[start + window] - energy[start]).sqrt();
            dot(piece, &b[start..start + window]) / (norm * other + 1e-9)
        };
        let scores = (0..2 * reach).map(|shift| (shift, score(shift)));
        let (best, score) = scores.max_by(|(_, x), (_, y)| x.total_cmp(y)).unwrap();
        let shift = (best as f64 - reach as f64) / 8.0;
        assert!(score > 0.8, "{}: sound at {at} is not its source's ({score:.2})", output.display());
        assert!(shift.abs() <= slack_ms, "{}: sound at {at} is moved by {shift} ms", output.display());
        at += window;
    }
}

/// Holds an output to its source: FR-1, TS-1, AU-1, content, sync.
pub fn judge(source: &Path, output: &Path) {
    let name = output.display();
    let ((a, source_sound), (b, output_sound)) = (pictures_and_sound(source), pictures_and_sound(output));
    assert_eq!(a.len(), b.len(), "{name}: pictures");
    let slack = (1.5 * tick(source).max(tick(output))).max(0.0005);
    for (i, (x, y)) in a.iter().zip(&b).enumerate() {
        let off = (y - b[0]) - (x - a[0]);
        assert!(off.abs() <= slack, "{name}: picture {i} is off by {off} s");
    }
    decoding_times_increase(output);
    let [own, next] = likeness(source, output);
    assert_eq!((own.len(), next.len()), (a.len(), a.len() - 1));
    for (i, psnr) in own.iter().enumerate() {
        assert!(*psnr > 25.0, "{name}: picture {i} does not look like its source ({psnr:.1} dB)");
        assert!(
            next.get(i).is_none_or(|next| *next < psnr + 1.0),
            "{name}: picture {i} looks like the one after it"
        );
    }
    assert_eq!(source_sound.is_some(), output_sound.is_some(), "{name}: sound");
    if let (Some(x), Some(y)) = (source_sound, output_sound) {
        judge_pieces((source, &x), (output, &y));
        // Such outputs don't say that the encoder's priming is not to be heard.
        let frame = if priming_is_heard(output) { 1024.0 / 44_100.0 } else { 0.0 };
        let lag = (y[0].0 - b[0]) - (x[0].0 - a[0]);
        assert!(lag.abs() <= 0.030 + frame, "{name}: sound moved against the pictures by {lag} s");
    }
}

fn priming_is_heard(output: &Path) -> bool {
    output
        .extension()
        .is_some_and(|extension| ["flv", "mkv", "mka", "ts"].iter().any(|named| extension == *named))
}

/// Time and length of every decoded piece of sound.
fn sound(path: &Path) -> Pieces {
    decoded(path, &[&SOUND]).swap_remove(0)
}

/// Holds the sound of an output to its source's: AU-1, content.
pub fn judge_sound(source: &Path, output: &Path) {
    judge_pieces((source, &sound(source)), (output, &sound(output)));
}

/// The same of what was decoded already.
fn judge_pieces((source, x): (&Path, &Pieces), (output, y): (&Path, &Pieces)) {
    let name = output.display();
    let span = |rows: &[(f64, f64)]| rows[rows.len() - 1].0 + rows[rows.len() - 1].1 - rows[0].0;
    assert!((span(x) - span(y)).abs() <= 2.0 * 1024.0 / 44_100.0 + 0.005, "{name}: length of the sound");
    for pair in y.windows(2) {
        assert!(
            (pair[1].0 - pair[0].0 - pair[0].1).abs() < 0.002,
            "{name}: a hole in the sound at {}",
            pair[0].0
        );
    }
    let frame = if priming_is_heard(output) { 1024.0 / 44_100.0 } else { 0.0 };
    sound_is_the_same(source, output, 8.0 + 1000.0 * frame);
}

/// What ffprobe says of these entries, a line for each, as values alone.
pub fn probed(path: &Path, entries: &str) -> String {
    let arguments = ["-v", "error", "-show_entries", entries, "-of", "csv=p=0", path.to_str().unwrap()];
    let lines = text("ffprobe", &arguments);
    lines
        .lines()
        .map(|line| line.trim_end_matches(','))
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The least likeness of a picture to its source picture after a filter, in decibels of PSNR. Orientation is the filter's.
pub fn likeness_after(source: &Path, filter: &str, output: &Path) -> f64 {
    let clock = "settb=1/1000,setpts=N*40";
    let fit = "scale=trunc(iw/2)*2:trunc(ih/2)*2,format=yuv420p";
    let graph = format!(
        "[0:v:0]{filter},{fit},{clock}[a];[1:v:0]{fit},{clock}[b];[a][b]psnr=stats_file=-:shortest=1"
    );
    let (source, output) = (source.to_str().unwrap(), output.to_str().unwrap());
    let arguments =
        ["-v", "error", "-noautorotate", "-i", source, "-i", output, "-lavfi", &graph, "-f", "null", "-"];
    let listing = text("ffmpeg", &arguments);
    let value = |line: &str| {
        let text = line.split("psnr_avg:").nth(1)?.split(' ').next()?;
        Some(if text == "inf" { 99.0 } else { text.parse::<f64>().unwrap() })
    };
    listing.lines().filter_map(value).reduce(f64::min).unwrap()
}

/// The number of the source's picture that this one is, of some: it is far more alike than the others.
pub fn number_of(source: &Path, candidates: std::ops::Range<usize>, picture: &Path) -> usize {
    let likeness = |number: usize| likeness_after(source, &format!("select=eq(n\\,{number})"), picture);
    let found = candidates.map(|number| (number, likeness(number)));
    let (number, likeness) = found.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert!(likeness > 35.0, "picture {number} is the nearest, with {likeness} dB");
    number
}

/// The time of each picture in seconds, with the brightest luma of it behind this filter of ffmpeg's.
pub fn brightest(path: &Path, filter: &str) -> Vec<(f64, f64)> {
    let graph = format!("{filter},signalstats,metadata=mode=print:key=lavfi.signalstats.YMAX:file=-");
    let arguments = ["-v", "error", "-i", path.to_str().unwrap(), "-vf", &graph, "-f", "null", "/dev/null"];
    let listing = text("ffmpeg", &arguments);
    let value = |line: &str, key: &str| {
        line.split(key).nth(1).map(|text| text.split_whitespace().next().unwrap().parse::<f64>().unwrap())
    };
    let (times, levels): (Vec<&str>, Vec<&str>) =
        listing.lines().partition(|line| line.contains("pts_time:"));
    let both = times.into_iter().zip(levels);
    both.map(|(time, level)| (value(time, "pts_time:").unwrap(), value(level, "YMAX=").unwrap())).collect()
}

/// The darkest and the brightest luma of the first picture.
pub fn levels(path: &Path) -> (f64, f64) {
    let entries = "frame_tags=lavfi.signalstats.YLOW,lavfi.signalstats.YHIGH";
    let graph = format!("movie={},signalstats", path.display());
    let arguments = [
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        &graph,
        "-read_intervals",
        "%+#1",
        "-show_entries",
        entries,
        "-of",
        "csv=p=0",
    ];
    let line = text("ffprobe", &arguments);
    let mut values = line.trim().split(',').map(|value| value.parse::<f64>().unwrap());
    (values.next().unwrap(), values.next().unwrap())
}

/// How long the sound is, in seconds.
pub fn span_of_sound(path: &Path) -> f64 {
    let rows = sound(path);
    rows[rows.len() - 1].0 + rows[rows.len() - 1].1 - rows[0].0
}

/// When the sound gets loud or silent, in seconds from the first picture.
pub fn loud(path: &Path) -> Vec<f64> {
    let first = pictures(path)[0] - sound(path)[0].0;
    let samples = samples(path);
    let mut edges = Vec::new();
    let mut was = false;
    for (i, window) in samples.chunks(80).enumerate() {
        let is = window.iter().any(|x| x.abs() > 0.05);
        if is != std::mem::replace(&mut was, is) {
            edges.push(i as f64 / 100.0 - first.min(0.0).abs() - first.max(0.0));
        }
    }
    edges
}

/// Which channels do not sound like their source's; nothing where all do.
pub fn likeness_of_channels(source: &Path, output: &Path) -> String {
    let channel = |path: &Path, number: usize| -> Vec<f32> {
        let pan = format!("pan=mono|c0=c{number}");
        let path = path.to_str().unwrap();
        let raw = out("ffmpeg", &["-v", "error", "-i", path, "-af", &pan, "-ar", "8000", "-f", "f32le", "-"]);
        raw.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    };
    let count: usize = field(source, "a", "channels").parse().unwrap();
    let energy =
        |samples: &[f32]| samples.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / samples.len() as f64;
    let unlike = (0..count).filter(|number| {
        let (a, b) = (energy(&channel(source, *number)), energy(&channel(output, *number)));
        (a > 1e-7 || b > 1e-7) && (a / b.max(1e-12)).log10().abs() > 0.3
    });
    unlike.map(|number| number.to_string()).collect::<Vec<_>>().join(",")
}

/// The first text track, as SubRip.
pub fn texts(path: &Path) -> String {
    let srt =
        text("ffmpeg", &["-v", "error", "-i", path.to_str().unwrap(), "-map", "0:s:0", "-f", "srt", "-"]);
    srt.replace('\r', "")
}

/// All samples of the sound, as one channel of 48,000 a second.
pub fn sound_of(path: &Path) -> Vec<f32> {
    let path = path.to_str().unwrap();
    let raw = out(
        "ffmpeg",
        &["-v", "error", "-i", path, "-map", "0:a:0", "-ac", "1", "-ar", "48000", "-f", "f32le", "-"],
    );
    raw.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

/// All samples of a channel of the sound, 48,000 a second.
pub fn sound_of_channel(path: &Path, channel: usize) -> Vec<f32> {
    let (path, pan) = (path.to_str().unwrap(), format!("pan=mono|c0=c{channel}"));
    let raw = out(
        "ffmpeg",
        &["-v", "error", "-i", path, "-map", "0:a:0", "-af", &pan, "-ar", "48000", "-f", "f32le", "-"],
    );
    raw.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

/// The luma of a picture, by its number.
pub fn gray_picture(path: &Path, number: usize, (width, height): (usize, usize)) -> Vec<u8> {
    let path = path.to_str().unwrap();
    let bytes = out(
        "ffmpeg",
        &["-v", "error", "-i", path, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray", "-"],
    );
    bytes[number * width * height..(number + 1) * width * height].to_vec()
}
