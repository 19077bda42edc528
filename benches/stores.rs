//! Object stores against files of this machine, and probes against `ffprobe`. `cargo bench --bench stores -- wall split memory
//! probe`: all, or those that are named.
#![allow(missing_docs, clippy::unwrap_used, dead_code, unreachable_pub)]

#[path = "../tests/end_to_end/common/proxy.rs"]
mod proxy;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use millrace_servers::Store;
use millrace_storage::{Stores, WorkStore};
use proxy::{Proxy, Weather};

fn work() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-work")
}

fn shell(script: &str) {
    let output = Command::new("sh").args(["-c", script]).current_dir(work()).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

fn put(store: &Store, file: &str, key: &str) {
    let python = millrace_servers::folder().join("python/bin/python");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/put.py");
    let mut command = Command::new(python);
    command.args(["-W", "ignore"]).arg(script).args(["videos", file, key]).current_dir(work());
    assert!(command.envs(store.variables()).status().unwrap().success());
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn millrace(store: &Store) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.current_dir(work()).envs(store.variables()).env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// The same work from a bucket to a bucket, and from a file to a file.
fn wall(store: &Store) {
    shell(
        "test -f clip.mp4 || ffmpeg -v error -y -f lavfi -i testsrc2=s=1280x720:r=25,noise=alls=10:allf=t -f lavfi -i \
         sine=440:r=48000 -t 20 -c:v libx264 -preset veryfast -g 50 -pix_fmt yuv420p -c:a aac clip.mp4",
    );
    put(store, "clip.mp4", "in/clip.mp4");
    let run = |input: &str, output: &str| {
        // They may not be there.
        let _ = fs::remove_dir_all(work().join("wall-data"));
        let _ = fs::remove_dir_all(work().join("wall-out"));
        let _ = fs::remove_dir_all(store.folder().join("videos/out"));
        let begun = Instant::now();
        let mut command = millrace(store);
        command.args(["run", input, "--output", output, "-f", "mp4", "-f", "flv", "--segment-time", "5"]);
        let output = command.args(["--data", "wall-data"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        begun.elapsed()
    };
    let (mut local, mut remote) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        local.push(run("clip.mp4", "wall-out"));
        remote.push(run("s3://videos/in/clip.mp4", "s3://videos/out"));
    }
    let (local, remote) = (median(local), median(remote));
    println!(
        "from a bucket to a bucket {remote:.2?}, from a file to a file {local:.2?}: {:.3} times (medians of five)",
        remote.as_secs_f64() / local.as_secs_f64()
    );
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // One that has ended needs no end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(120), "waited too long: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A process that serves alone, with these flags.
fn serve(store: &Store, endpoint: &str, flags: &[&str]) -> Ended {
    // It may not be there.
    let _ = fs::remove_dir_all(work().join("serve-data"));
    let mut command = millrace(store);
    command.args(["serve", "--data", "serve-data"]).args(flags).env("AWS_ENDPOINT_URL", endpoint);
    command.stderr(fs::File::create(work().join("serve.log")).unwrap()).stdout(Stdio::null());
    let child = Ended(command.spawn().unwrap());
    until("it to serve", || said().contains("serving"));
    child
}

fn said() -> String {
    fs::read_to_string(work().join("serve.log")).unwrap_or_default()
}

/// What splitting 4 GB costs: time, requests and bytes.
fn split(store: &Store) {
    shell(
        "test -f four.mp4 || { ffmpeg -v error -y -f lavfi -i testsrc2=s=1920x1080:r=25,noise=alls=20:allf=t -t 10 -c:v libx264 \
         -preset ultrafast -b:v 8M -g 50 -pix_fmt yuv420p part4.mp4 && ffmpeg -v error -y -stream_loop $((4000000000 / \
         $(stat -c %s part4.mp4))) -i part4.mp4 -c copy four.mp4; }",
    );
    let size = fs::metadata(work().join("four.mp4")).unwrap().len();
    put(store, "four.mp4", "in/four.mp4");
    let mut times = Vec::new();
    let (mut requests, mut bytes) = (0, 0);
    for _ in 0..5 {
        let proxy = Proxy::before(store.port(), Weather::Calm);
        let endpoint = format!("http://{}", proxy.address);
        let server = serve(store, &endpoint, &["--processors", "split", "--listen", "none"]);
        let submit =
            ["submit", "s3://videos/in/four.mp4", "--output", "s3://videos/four", "--data", "serve-data"];
        // Submitted past the proxy: what it asks is not split's.
        let begun = Instant::now();
        assert!(millrace(store).args(submit).stdout(Stdio::null()).status().unwrap().success());
        until("the plan", || said().contains("planned"));
        times.push(begun.elapsed());
        (requests, bytes) = (proxy.requests(), proxy.bytes());
        drop(server);
    }
    println!(
        "splitting {size} bytes in a bucket, with the start of 'submit': {:.2?} (median of five), {requests} requests, {bytes} \
         bytes: {:.3} %",
        median(times),
        100.0 * bytes as f64 / size as f64
    );
}

/// How much memory this process has, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// What moving 4 GB from a draft into a bucket needs.
fn memory(store: &Store) {
    use std::io::Write;
    const SIZE: u64 = 4_000_000_000;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let stores = Stores::with_variables(store.variables());
    let work = WorkStore::at("s3://videos/work", &stores).unwrap();
    let place = "0123456789abcdef-1";
    let put = async |name: &str, size: u64| {
        let url = format!("s3://videos/{name}");
        let draft = stores.begin_output(&url, work.marker(place, 1)).await.unwrap();
        let mut file = draft.descriptor().unwrap();
        file.write_all(b"begin").unwrap();
        file.set_len(size).unwrap();
        draft.stage().await.unwrap().publish().await.unwrap();
    };
    // With connections and all that is made once.
    runtime.block_on(put("small", 10));
    let idle = resident();
    let over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let sampled = over.clone();
    let most = std::thread::spawn(move || {
        let mut most = 0;
        while !sampled.load(std::sync::atomic::Ordering::Relaxed) {
            most = most.max(resident());
            std::thread::sleep(Duration::from_millis(20));
        }
        most
    });
    let begun = Instant::now();
    runtime.block_on(put("large", SIZE));
    let took = begun.elapsed();
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    let most = most.join().unwrap();
    println!(
        "moving {SIZE} bytes in {took:.1?}: {} MiB more than the {} MiB of an idle process",
        most.saturating_sub(idle) >> 20,
        idle >> 20
    );
    fs::remove_file(store.folder().join("videos/large")).unwrap();
}

/// A probe of a running process against a process of `ffprobe`.
fn probe(store: &Store) {
    shell(
        "test -f clip.mp4 || ffmpeg -v error -y -f lavfi -i testsrc2=s=1280x720:r=25 -t 20 -c:v libx264 clip.mp4",
    );
    let _server = serve(store, &store.url(), &["--listen", "127.0.0.1:0"]);
    let address = said().split("address=").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let source = format!("file://{}", work().join("clip.mp4").display());
    let body = serde_json::json!({"source": source}).to_string();
    let agent = ureq::Agent::new_with_defaults();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        let begun = Instant::now();
        let mut answer = agent
            .post(format!("http://{address}/v1/probe"))
            .header("Content-Type", "application/json")
            .send(&body)
            .unwrap();
        assert!(answer.body_mut().read_to_string().unwrap().contains("h264"));
        ours.push(begun.elapsed());
        let begun = Instant::now();
        let arguments = ["-v", "error", "-show_format", "-show_streams", "-of", "json", "clip.mp4"];
        let output = Command::new("ffprobe").args(arguments).current_dir(work()).output().unwrap();
        assert!(output.status.success());
        theirs.push(begun.elapsed());
    }
    let (ours, theirs) = (median(ours), median(theirs));
    println!(
        "POST /v1/probe {ours:.1?}, ffprobe {theirs:.1?}: {:.2} times (medians of 50)",
        ours.as_secs_f64() / theirs.as_secs_f64()
    );
}

fn main() {
    let named: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    fs::create_dir_all(work()).unwrap();
    let store = Store::start().unwrap();
    store.bucket("videos").unwrap();
    for name in ["wall", "split", "memory", "probe"] {
        if !named.is_empty() && !named.iter().any(|asked| asked == name) {
            continue;
        }
        match name {
            "wall" => wall(&store),
            "split" => split(&store),
            "memory" => memory(&store),
            _ => probe(&store),
        }
    }
}
