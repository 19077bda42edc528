//! Media of each kind, made by the ffmpeg command. Each function is named for what it makes.

pub mod boxes;
pub mod defects;
pub mod hostile;
pub mod index;
pub mod kinds;
pub mod lengths;
pub mod mutate;
pub mod planted;
pub mod reported;
pub mod scenes;
pub mod work;

use std::{path::Path, process::Command};

/// Runs ffmpeg, which must succeed.
pub fn ffmpeg(arguments: &[&str]) {
    let output = Command::new("ffmpeg").args(["-v", "error", "-y"]).args(arguments).output().expect("ffmpeg");
    assert!(output.status.success(), "ffmpeg {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What a constant source is made of.
#[derive(Debug, Clone, Copy)]
pub struct Constant<'a> {
    /// Frames a second, as ffmpeg takes it.
    pub rate: &'a str,
    /// 0 is no sound.
    pub channels: u32,
    pub seconds: &'a str,
    pub b_frames: u32,
    /// Pictures between keyframes.
    pub gop: u32,
    pub size: &'a str,
}

impl Default for Constant<'_> {
    fn default() -> Self {
        Self { rate: "25", channels: 2, seconds: "3", b_frames: 3, gop: 25, size: "320x180" }
    }
}

/// A video of a constant frame rate. Every picture is unlike its neighbours, and the sound never repeats.
pub fn constant(path: &Path, c: Constant<'_>) {
    let picture = format!("testsrc2=size={}:rate={}:duration={}", c.size, c.rate, c.seconds);
    let sound = format!("aevalsrc=0.3*sin(2*PI*(300+60*t)*t)+0.05*random(0):s=48000:d={}", c.seconds);
    let (gop, b_frames, channels) = (c.gop.to_string(), c.b_frames.to_string(), c.channels.to_string());
    let mut arguments = vec!["-f", "lavfi", "-i", &picture];
    if c.channels > 0 {
        arguments.extend(["-f", "lavfi", "-i", &sound, "-ac", &channels, "-c:a", "aac", "-b:a", "128k"]);
    }
    let named = path.to_str().unwrap();
    arguments.extend(["-c:v", "libx264", "-preset", "veryfast", "-g", &gop, "-bf", &b_frames]);
    arguments.extend(["-pix_fmt", "yuv420p", "-t", c.seconds, named]);
    ffmpeg(&arguments);
}

/// A small clip with sound.
pub fn clip(path: &Path) {
    constant(path, Constant::default());
}

/// Sound alone.
pub fn tone(path: &Path) {
    ffmpeg(&["-f", "lavfi", "-i", "aevalsrc=0.3*sin(2*PI*(300+60*t)*t):s=44100:d=2", path.to_str().unwrap()]);
}

/// A video that a player turns a quarter, as a phone held upright makes them.
pub fn turned(path: &Path) {
    clip(path);
    boxes::lay(path, [0, 1, -1, 0]);
}

/// A video whose frame rate changes in the middle.
pub fn variable(path: &Path) {
    let graph = "testsrc2=size=320x180:rate=30:duration=4,select='lt(t,2)+not(mod(n,3))'";
    ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        graph,
        "-fps_mode",
        "vfr",
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-g",
        "20",
        "-pix_fmt",
        "yuv420p",
        path.to_str().unwrap(),
    ]);
}

/// A video that does not compress: more than 1 MB a second, less than 5.
pub fn noise(path: &Path) {
    let graph = "testsrc2=size=640x360:rate=25:duration=6,noise=alls=60:allf=t";
    ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        graph,
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-g",
        "25",
        "-pix_fmt",
        "yuv420p",
        path.to_str().unwrap(),
    ]);
}
