//! Defects made by ffmpeg for any container: it copies packets, and bitstream filters drop them or change their timestamps.

use std::{path::Path, process::Command};

use super::pairs::{PICTURES, Pair};
use crate::common::media::mutate::Rng;

/// Replaces a file with a defective copy. Returns a description, or `None` if ffmpeg can't write the copy.
pub(super) fn apply(path: &Path, pair: &Pair, rng: &mut Rng) -> Option<String> {
    let (options, description) = choose(pair, rng);
    let copy = path.with_extension(format!("copy.{}", pair.container.extension));
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-y"]).arg("-i").arg(path).args(["-map", "0", "-c", "copy"]);
    command.args(options).args(pair.container.options()).arg("-bitexact");
    let output = command.arg(&copy).output().expect("ffmpeg");
    let size = std::fs::metadata(&copy).map_or(0, |copy| copy.len());
    let is_made = output.status.success() && size > 1000;
    if is_made {
        std::fs::rename(copy, path).unwrap();
    } else {
        // It may not exist.
        let _ = std::fs::remove_file(copy);
    }
    is_made.then_some(description)
}

/// Returns a filter that applies an expression of `TS` to presentation and decoding timestamps.
fn both_timestamps(expression: &str) -> String {
    format!("setts=pts='{}':dts='{}'", expression.replace("TS", "PTS"), expression.replace("TS", "DTS"))
}

/// Returns options of ffmpeg and a description.
fn choose(pair: &Pair, rng: &mut Rng) -> (Vec<String>, String) {
    let packet = |rng: &mut Rng| rng.below(PICTURES);
    let video = |filter: String, description: String| (vec!["-bsf:v".into(), filter], description);
    let sound = |filter: String, description: String| (vec!["-bsf:a".into(), filter], description);
    match rng.below(18) {
        0 | 1 => {
            let mut some: Vec<usize> = (0..=rng.below(4)).map(|_| packet(rng)).collect();
            some.sort_unstable();
            some.dedup();
            let test: Vec<String> = some.iter().map(|n| format!("not(n-{n})")).collect();
            video(format!("noise=drop='{}'", test.join("+")), format!("packets {some:?} are dropped"))
        }
        2 => {
            let (from, count) = (packet(rng), 2 + rng.below(20));
            let test = format!("gte(n,{from})*lt(n,{})", from + count);
            video(format!("noise=drop='{test}'"), format!("{count} packets from {from} on are dropped"))
        }
        3 => video("noise=drop='key*gt(n,0)'".into(), "all keyframes but the first are dropped".into()),
        4 => {
            let from = 1 + rng.below(20);
            video(format!("noise=drop='lt(n,{from})'"), format!("the first {from} packets are dropped"))
        }
        5 => {
            let (from, back) = (packet(rng), 1 + rng.below(15));
            let times = both_timestamps(&format!("if(gte(N,{from}),TS-{back}*0.1/TB,TS)"));
            video(times, format!("timestamps go back by {back}00 ms at packet {from}"))
        }
        6 | 7 => {
            let (from, ms) = (packet(rng), [90, 300, 2000, 12_000, 40_000][rng.below(5)]);
            let times = both_timestamps(&format!("if(gte(N,{from}),TS+{ms}*0.001/TB,TS)"));
            video(times, format!("timestamps jump ahead by {ms} ms at packet {from}"))
        }
        8 => {
            let ms = 3 + rng.below(30);
            let pts = format!("setts=pts='PTS+(mod(N*7,5)-2)*{ms}*0.0005/TB'");
            video(pts, format!("presentation timestamps are off by up to {ms} ms"))
        }
        9 => {
            let every = 3 + rng.below(11);
            let pts = format!("setts=pts='if(mod(N,{every}),PTS,PTS+0.1/TB)'");
            video(pts, format!("one presentation timestamp of {every} is 100 ms late"))
        }
        10 => video("setts=pts=DTS".into(), "presentation timestamps are the decoding timestamps".into()),
        11 => {
            let (from, count) = (packet(rng), 1 + rng.below(12));
            let pts = format!("setts=pts='if(between(N,{from},{}),NOPTS,PTS)'", from + count);
            video(pts, format!("{count} presentation timestamps from packet {from} on are missing"))
        }
        12 => {
            let factor = [0.3, 0.8, 1.7][rng.below(3)];
            video(both_timestamps(&format!("TS*{factor}")), format!("timestamps are multiplied by {factor}"))
        }
        13 => {
            let ms = [-700, 430, 7300, 100_000][rng.below(4)];
            let times = both_timestamps(&format!("TS+{ms}*0.001/TB"));
            if rng.below(2) == 0 {
                return video(times, format!("all timestamps of the video are off by {ms} ms"));
            }
            sound(times, format!("all timestamps of the sound are off by {ms} ms"))
        }
        14 if pair.encoding.name.starts_with("h264") || pair.encoding.name.starts_with("hevc") => {
            let hevc = pair.encoding.name.starts_with("hevc");
            let (types, what) = if hevc {
                [
                    ("39-40", "SEI messages"),
                    ("32-34", "parameter sets"),
                    ("35", "access unit delimiters"),
                    ("19-20", "IDR pictures"),
                ]
            } else {
                [
                    ("6", "SEI messages"),
                    ("7-8", "parameter sets"),
                    ("9", "access unit delimiters"),
                    ("5", "IDR pictures"),
                ]
            }[rng.below(4)];
            video(format!("filter_units=remove_types={types}"), format!("{what} are removed"))
        }
        14 | 15 => {
            let ms = [300, 700, 1300][rng.below(3)];
            if rng.below(2) == 0 {
                let options = vec!["-copyinkf".into(), "-ss".into(), format!("{ms}ms")];
                return (options, format!("the first {ms} ms are cut off, not at a keyframe"));
            }
            let seconds = ms / 100;
            let options = vec!["-output_ts_offset".into(), seconds.to_string()];
            (options, format!("all timestamps are {seconds} s later"))
        }
        16 => {
            let from = rng.below(60);
            let test = format!("gte(n,{from})*lt(n,{})", from + 5);
            sound(
                format!("noise=drop='{test}'"),
                format!("5 packets of the sound from {from} on are dropped"),
            )
        }
        _ => {
            let (from, ms) = (rng.below(60), [150, 600, 3000][rng.below(3)]);
            let times = both_timestamps(&format!("if(gte(N,{from}),TS+{ms}*0.001/TB,TS)"));
            sound(times, format!("timestamps of the sound jump ahead by {ms} ms at packet {from}"))
        }
    }
}
