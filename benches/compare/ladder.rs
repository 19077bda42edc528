//! `cargo bench --bench compare -- ladder`: a ladder of 1080p, 720p, 480p and 360p with AAC, an mp4 each and as a package, against
//! `ffmpeg`: in one command, as an expert writes it (one decode, one encode of the sound, the same keyframes), and in one command for
//! each rung.

use std::{fs, path::Path};

use super::{Case, compare};

const SIZES: [(i32, i32); 4] = [(1920, 1080), (1280, 720), (854, 480), (640, 360)];
/// The encoder's settings of a rung: keyframes every two seconds and nowhere else.
const VIDEO: &str = "-c:v libx264 -preset medium -crf 23 -x264-params scenecut=0:keyint=infinite \
                     -force_key_frames expr:gte(t,n_forced*2)";
const AUDIO: &str = "-c:a aac -b:a 128k";
const SCALER: &str = "flags=bicubic+accurate_rnd+full_chroma_int";

pub(super) fn run(work: &Path, rounds: usize, make: impl Fn(&str, &str), millrace: &str) {
    let seconds = std::env::var("SECONDS_OF_SOURCE").unwrap_or_else(|_| "30".into());
    let source = format!("ladder-{seconds}.mp4");
    make(
        &source,
        &format!(
            "-f lavfi -i testsrc2=s=1920x1080:r=25,noise=alls=3:allf=t -f lavfi -i sine=440:sample_rate=48000 -t {seconds} \
             -c:v libx264 -preset veryfast -crf 20 -g 125 -pix_fmt yuv420p -c:a aac"
        ),
    );
    let rungs: Vec<String> = SIZES.iter().map(|(_, height)| format!("{{ height = {height} }}")).collect();
    for (name, format) in [("ladder", "mp4"), ("package", "cmaf")] {
        let profile = format!(
            "[video.main]\ncodec = \"h264\"\nrungs = [{}]\n[audio.main]\ncodec = \"aac\"\n[[output]]\nformat = \"{format}\"\n",
            rungs.join(", ")
        );
        fs::write(work.join(format!("{name}.toml")), profile).expect("a profile");
    }
    let scaled = SIZES[1..].iter().enumerate().map(|(i, (width, height))| {
        let number = i + 1;
        format!("[s{number}]scale={width}:{height}:{SCALER}[v{number}]")
    });
    let graph = format!("[0:v]split=4[v0][s1][s2][s3];{}", scaled.collect::<Vec<_>>().join(";"));
    let maps: String = (0..4).map(|i| format!("-map '[v{i}]' ")).collect();
    let outputs = SIZES.iter().enumerate();
    let outputs = outputs
        .map(|(i, (_, height))| format!("[movflags=+faststart:select=\\'v:{i},a\\']out/t-{height}p.mp4"));
    let video = VIDEO.replace("expr:gte(t,n_forced*2)", "'expr:gte(t,n_forced*2)'");
    let each = SIZES.iter().map(|(width, height)| {
        format!(
            "ffmpeg -v error -y -i {source} -vf scale={width}:{height}:{SCALER} {video} {AUDIO} -movflags +faststart out/e-{height}p.mp4"
        )
    });
    let cases = [
        Case {
            name: "millrace",
            script: format!(
                "{millrace} run {source} --output out --data data --profile ladder.toml 2>/dev/null"
            ),
        },
        Case {
            name: "ffmpeg, one command",
            script: format!(
                "ffmpeg -v error -y -i {source} -filter_complex '{graph}' {maps}-map 0:a {video} {AUDIO} -flags +global_header -f tee \"{}\"",
                outputs.collect::<Vec<_>>().join("|")
            ),
        },
        Case { name: "ffmpeg, a command for each rung", script: each.collect::<Vec<_>>().join(" && ") },
    ];
    compare("1080p25 to a ladder of 1080p, 720p, 480p and 360p, mp4", work, &cases, rounds);
    let variants: String = (0..4).map(|i| format!("v:{i},agroup:sound ")).collect();
    let packaged = [
        Case {
            name: "millrace, HLS and DASH",
            script: format!(
                "{millrace} run {source} --output out --data data --profile package.toml 2>/dev/null"
            ),
        },
        Case {
            name: "ffmpeg, one command, HLS",
            script: format!(
                "ffmpeg -v error -y -i {source} -filter_complex '{graph}' {maps}-map 0:a {video} {AUDIO} -f hls -hls_time 6 \
                 -hls_playlist_type vod -hls_segment_type fmp4 -master_pl_name master.m3u8 \
                 -var_stream_map '{variants}a:0,agroup:sound' out/h-%v.m3u8"
            ),
        },
    ];
    compare("1080p25 to the same ladder as a package", work, &packaged, rounds);
}
