//! Splitting a 1 GB mp4: from accepted to segments published, and how much of it was read.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{fs, path::Path, process::Command, time::Instant};

fn shell(script: &str, work: &Path) -> String {
    let output = Command::new("sh").args(["-c", script]).current_dir(work).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let work = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-work");
    fs::create_dir_all(&work).unwrap();
    if !work.join("gigabyte.mp4").exists() {
        eprintln!("making gigabyte.mp4");
        let part = "-f lavfi -i testsrc2=s=1920x1080:r=25,noise=alls=20:allf=t -t 10 -c:v libx264 -preset ultrafast -b:v 24M -g 50 -pix_fmt yuv420p part.mp4";
        shell(&format!("ffmpeg -v error -y {part}"), &work);
        // Repeated by copying packets, until it is large.
        let times = 1_000_000_000 / fs::metadata(work.join("part.mp4")).unwrap().len();
        shell(&format!("ffmpeg -v error -y -stream_loop {times} -i part.mp4 -c copy gigabyte.mp4"), &work);
    }
    let bytes = fs::metadata(work.join("gigabyte.mp4")).unwrap().len();
    let index = index_bytes(&work.join("gigabyte.mp4"));
    let mut times = Vec::new();
    for _ in 0..5 {
        // It may not be there.
        let _ = fs::remove_dir_all(work.join("split-data"));
        let begun = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_millrace"))
            .args(["run", "gigabyte.mp4", "--output", "split-out", "--data", "split-data", "-v"])
            .current_dir(&work)
            .env("NO_COLOR", "1")
            .stderr(fs::File::create(work.join("split.log")).unwrap())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // The work folder appears when the first segment is at work, and so after all were published.
        while fs::read_dir(work.join("split-data/work")).map_or(0, Iterator::count) == 0 {
            assert!(child.try_wait().unwrap().is_none(), "it ended early: see split.log");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        times.push(begun.elapsed());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    times.sort_unstable();
    let log = fs::read_to_string(work.join("split.log")).unwrap();
    let read = log.split("bytes_read=").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap_or("?");
    println!(
        "splitting {bytes} bytes, from the start of the program to the first segment at work: median {:?}",
        times[2]
    );
    println!("read: {read} bytes, of which the index is {index}");
}

/// Size of an mp4's `moov` box, from its top level boxes (ISO/IEC 14496-12, 4.2).
fn index_bytes(path: &Path) -> u64 {
    use std::{io::Read, os::unix::fs::FileExt};
    let mut file = fs::File::open(path).unwrap();
    let size = file.metadata().unwrap().len();
    let mut at = 0;
    let mut start = [0; 8];
    file.read_exact(&mut start).unwrap();
    while at < size {
        let mut head = [0; 16];
        file.read_exact_at(&mut head[..8], at).unwrap();
        let mut length = u64::from(u32::from_be_bytes(head[..4].try_into().unwrap()));
        if length == 1 {
            file.read_exact_at(&mut head, at).unwrap();
            length = u64::from_be_bytes(head[8..].try_into().unwrap());
        }
        if &head[4..8] == b"moov" {
            return length;
        }
        at += length.max(8);
    }
    0
}
