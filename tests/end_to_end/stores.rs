//! Videos in buckets, from the upload to the output: notifications, bursts, a network in trouble, kills, and wrong input.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::LazyLock,
    time::{Duration, Instant},
};

use millrace_schemas::{LogLine, frame::Record as _};
use millrace_servers::Store;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::common::{
    Place, Ran,
    cluster::{BROKER, Cluster, Server, until},
    judge::judge,
    media::{self, Constant},
    proxy::{Proxy, Weather},
};

/// One store for tests that need no notifications; it ends with them.
static STORE: LazyLock<Store> = LazyLock::new(|| {
    let store = Store::start().unwrap();
    store.bucket("videos").unwrap();
    store
});

fn small() -> Constant<'static> {
    Constant { seconds: "4", ..Constant::default() }
}

/// Copies files into a bucket with another program.
fn put(store: &Store, bucket: &str, pairs: &[(&Path, &str)]) {
    let python = millrace_servers::folder().join("python/bin/python");
    let script = format!("{}/tests/clients/put.py", env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(python);
    command.args(["-W", "ignore", &script, bucket]).envs(store.variables());
    for (file, key) in pairs {
        command.arg(file).arg(key);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// `millrace run` on objects, with this endpoint.
fn run(place: &Place, endpoint: &str, arguments: &[&str]) -> Ran {
    let mut command = place.millrace();
    command.arg("run").args(arguments).args(["--data", "data", "--json"]).envs(STORE.variables());
    Ran::of(command.env("AWS_ENDPOINT_URL", endpoint).output().unwrap())
}

/// A cluster whose store tells it what is put into its bucket.
struct Wired {
    cluster: Cluster,
    store: Store,
}

impl Wired {
    fn new() -> Self {
        let cluster = Cluster::on(&BROKER.brokers(), None);
        let store = Store::start_with(Some((&BROKER.brokers(), &cluster.topic("notifications")))).unwrap();
        store.bucket("videos").unwrap();
        Self { cluster, store }
    }

    fn config(&self) -> String {
        let text = "[[watch]]\nfrom = 's3://videos/in/'\nto = 's3://videos/out'\nformats = ['mp4', 'flv']\n\
                    segment_time_seconds = 1\n";
        self.cluster.place.write("millrace.toml", text).to_string_lossy().into_owned()
    }

    fn serve(&self, name: &str, more: &[&str]) -> Server {
        let config = self.config();
        let flags = ["--config", &config, "--work", "s3://videos/work", "--retry-window", "0"];
        self.cluster.serve_with(name, &[&flags[..], more].concat(), &self.store.variables())
    }

    fn object(&self, key: &str) -> std::path::PathBuf {
        self.store.folder().join("videos").join(key)
    }
}

#[test]
fn a_video_that_is_copied_into_a_bucket_is_made_and_nothing_else_is_asked_for() {
    let wired = Wired::new();
    let server = wired.serve("one", &["--jobs", "2"]).ready();
    let clip = wired.cluster.place.path("a.mp4");
    media::constant(&clip, small());
    put(&wired.store, "videos", &[(&clip, "in/2026/my film+1.mp4"), (&clip, "elsewhere/b.mp4")]);
    let ended = wired.cluster.ended(1);
    assert_eq!(ended[0]["state"], "succeeded", "{ended:?}");
    assert_eq!(ended[0]["source"], "s3://videos/in/2026/my%20film%2B1.mp4");
    for format in ["mp4", "flv"] {
        judge(&clip, &wired.object(&format!("out/2026/my film+1.{format}")));
    }
    until("cleanup", || std::fs::read_dir(wired.object("work")).map_or(0, Iterator::count) == 0);
    // How soon: from the notification to the first media process that transcodes.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let told = runtime.block_on(wired.cluster.records("notifications"));
    let is_its = |record: &&millrace_runtime::Record| {
        String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).contains("in/2026")
    };
    let told = told.iter().find(is_its).unwrap().at_ms;
    let mut begun = None;
    until("the log lines", || {
        let lines = runtime.block_on(wired.cluster.records("logs"));
        let lines = lines.iter().filter_map(|record| LogLine::decode(record.value.as_deref()?).ok());
        begun = lines.filter(|line| line.message.contains("begins transcoding")).map(|line| line.at_ms).min();
        begun.is_some()
    });
    eprintln!("the first segment was at work {} ms after the notification", begun.unwrap() - told);
    assert_eq!(
        wired.cluster.executions().len(),
        1,
        "neither outputs nor what lies elsewhere triggers anything"
    );
    assert_eq!(server.stop(), 0);
}

/// A notification as S3 writes it.
fn notification(key: &str, tag: &str, sequencer: u64) -> Vec<u8> {
    json!({"Records": [{
        "eventVersion": "2.1", "eventSource": "aws:s3", "eventTime": "2026-11-20T08:00:00.000Z", "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "videos"}, "object": {"key": key, "size": 1, "eTag": tag, "sequencer": format!("{sequencer:018X}")}},
    }]})
    .to_string()
    .into_bytes()
}

/// Of so many notifications every fifth comes twice, in any order, and some tell of versions that were written over.
fn burst(count: usize) {
    let cluster = Cluster::on(&BROKER.brokers(), None);
    LazyLock::force(&STORE);
    let prefix = cluster.prefix.trim_end_matches('.').to_owned();
    let clip = cluster.place.path("tiny.mp4");
    media::constant(&clip, Constant { seconds: "0.2", size: "64x64", channels: 0, ..small() });
    let folder = STORE.folder().join("videos").join(&prefix);
    // One upload by a client; the others are put where the store has its objects.
    let sources = count * 4 / 5;
    let pairs: Vec<String> = (0..sources).map(|number| format!("{prefix}/in/{number}.mp4")).collect();
    let pairs: Vec<(&Path, &str)> = pairs.iter().map(|key| (clip.as_path(), key.as_str())).collect();
    put(&STORE, "videos", &pairs);
    assert!(folder.join("in/0.mp4").exists());
    let tag = {
        let stores = millrace_storage::Stores::with_variables(STORE.variables());
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let url = format!("s3://videos/{prefix}/in/0.mp4");
        runtime.block_on(async { stores.pin(&url).await.unwrap().version })
    };
    let mut told: Vec<Vec<u8>> = Vec::new();
    for number in 0..sources {
        let key = format!("{prefix}/in/{number}.mp4");
        told.push(notification(&key, &tag, 100));
        // The same again; or one of a version that was there before.
        if told.len() < count && number % 4 == 0 {
            let older = number % 8 == 0;
            told.push(if older { notification(&key, "0123", 99) } else { notification(&key, &tag, 100) });
        }
    }
    fastrand_shuffle(&mut told);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let log = cluster.log().await;
        let records = told.iter().enumerate().map(|(number, value)| {
            let emit = millrace_topology::Emit {
                stream: "notifications",
                key: number.to_string().into_bytes(),
                value: Some(value.clone()),
                placement: millrace_topology::Placement::ByKey,
            };
            millrace_runtime::NewRecord::from(emit)
        });
        let transaction = millrace_runtime::Transaction { records: records.collect(), ..Default::default() };
        log.commit(transaction).await.unwrap();
    });
    let begun = Instant::now();
    let watch = format!("s3://videos/{prefix}/in/=s3://videos/{prefix}/out");
    let flags = ["--watch", &watch, "--work", "s3://videos/work-burst", "--retry-window", "0", "--jobs", "2"];
    let server = cluster.serve_with("one", &flags, &STORE.variables()).ready();
    let ended = cluster.ended(sources);
    assert_eq!(ended.len(), sources, "each source once");
    let bad: Vec<&Value> = ended.iter().filter(|one| one["state"] != "succeeded").collect();
    assert!(bad.is_empty(), "the newest wins: {bad:?}");
    for number in 0..sources {
        assert!(folder.join(format!("out/{number}.mp4")).exists(), "{number}");
    }
    eprintln!("{} notifications of {sources} sources in {:?}", told.len(), begun.elapsed());
    assert_eq!(server.stop(), 0);
}

/// In an order that is always the same.
fn fastrand_shuffle(all: &mut [Vec<u8>]) {
    let mut state = 42_u64;
    for last in (1..all.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        all.swap(last, usize::try_from(state >> 33).unwrap() % (last + 1));
    }
}

#[test]
fn of_a_burst_of_notifications_twice_and_out_of_order_each_source_is_made_once() {
    burst(100);
}

/// `make burst`.
#[test]
#[ignore = "takes minutes"]
fn of_500_notifications_twice_and_out_of_order_each_source_is_made_once() {
    burst(500);
}

#[test]
fn a_picture_of_an_object_costs_few_requests_and_is_put_as_another() {
    let place = Place::new();
    let clip = place.path("a.mp4");
    media::constant(&clip, Constant { seconds: "60", gop: 250, size: "1280x720", ..small() });
    put(&STORE, "videos", &[(&clip, "light/a.mp4")]);
    for (command, from, output) in [("thumbnail", "--at", "t.jpg"), ("gif", "--from", "t.gif")] {
        let proxy = Proxy::before(STORE.port(), Weather::Calm);
        let output = format!("s3://videos/light/{output}");
        let mut called = place.millrace();
        called.args([command, "s3://videos/light/a.mp4", "--output", &output, from, "45", "--json"]);
        called.envs(STORE.variables()).env("AWS_ENDPOINT_URL", format!("http://{}", proxy.address));
        let ran = Ran::of(called.output().unwrap());
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        let requests = proxy.requests();
        eprintln!("{command}: {requests} requests");
        assert!(requests <= 20, "{command}: {requests} requests");
        let name = output.rsplit('/').next().unwrap();
        let bytes = std::fs::metadata(STORE.folder().join("videos/light").join(name)).unwrap().len();
        assert_eq!(ran.lines[0]["bytes"], bytes);
    }
}

#[test]
fn a_network_in_trouble_fails_nothing_and_is_not_stormed() {
    let place = Place::new();
    let clip = place.path("a.mp4");
    media::constant(&clip, Constant { seconds: "6", size: "640x360", ..small() });
    put(&STORE, "videos", &[(&clip, "trouble/a.mp4"), (&clip, "trouble/b.mp4"), (&clip, "trouble/c.mp4")]);
    let count = |weather, out: &str| {
        let proxy = Proxy::before(STORE.port(), weather);
        let endpoint = format!("http://{}", proxy.address);
        let output = format!("s3://videos/{out}");
        let inputs = ["s3://videos/trouble/a.mp4", "s3://videos/trouble/b.mp4", "s3://videos/trouble/c.mp4"];
        let flags = ["--output", &output, "-f", "mp4", "-f", "flv", "--segment-time", "1"];
        let ran = run(&place, &endpoint, &[&inputs[..], &flags].concat());
        assert_eq!(ran.status, 0, "{}{:?}", ran.stderr, ran.lines);
        assert_eq!(ran.lines.len(), 3);
        (proxy.requests(), proxy.connections())
    };
    let (calm, _) = count(Weather::Calm, "trouble-calm");
    let (rough, connections) = count(Weather::Rough, "trouble-rough");
    eprintln!("{calm} requests on a calm network, {rough} in {connections} connections on one in trouble");
    for name in ["a", "b", "c"] {
        for format in ["mp4", "flv"] {
            judge(&clip, &STORE.folder().join(format!("videos/trouble-rough/{name}.{format}")));
        }
    }
    assert!(rough < 3 * calm, "{rough} requests where {calm} do");
}

/// Processes whose work, sources and outputs are in a bucket are killed at so many moments.
fn kills(count: usize) {
    let wired = Wired::new();
    let clip = wired.cluster.place.path("a.mp4");
    // More than one part: outputs are uploaded in parts.
    media::ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=640x360:rate=25:duration=6,noise=alls=60:allf=t",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-crf",
        "5",
        "-g",
        "25",
        clip.to_str().unwrap(),
    ]);
    let text = "[[watch]]\nfrom = 's3://videos/in/'\nto = 's3://videos/out'\nformats = ['mp4', 'flv']\nsegment_time_seconds = 1\n";
    wired.cluster.place.write("millrace.toml", text);
    let mut server = wired.serve("one", &["--jobs", "2"]).ready();
    let mut state = 7_u64;
    let mut sources = 0;
    for number in 0..count {
        if number % 5 == 0 {
            put(&wired.store, "videos", &[(&clip, &format!("in/{sources}.mp4"))]);
            sources += 1;
        }
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        // A moment by chance: this is what a kill is. Nothing is asserted by it.
        std::thread::sleep(Duration::from_millis(200 + (state >> 33) % 2500));
        server.signal(Signal::SIGKILL);
        server.end();
        server = wired.serve("one", &["--jobs", "2"]);
    }
    let server = server.ready();
    let ended = wired.cluster.ended(sources);
    let over = Instant::now();
    assert!(ended.iter().all(|one| one["state"] == "succeeded"), "{ended:?}");
    assert_eq!(ended.len(), sources);
    let stores = millrace_storage::Stores::with_variables(wired.store.variables());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let open = || -> usize {
        let urls = (0..sources).flat_map(|n| ["mp4", "flv"].map(|f| format!("s3://videos/out/{n}.{f}")));
        urls.map(|url| runtime.block_on(stores.open_uploads(&url)).unwrap()).sum()
    };
    let left = || std::fs::read_dir(wired.object("work")).map_or(0, Iterator::count);
    until("work objects and open uploads to be gone", || left() == 0 && open() == 0);
    eprintln!("{count} kills, {sources} sources; all was gone {:?} after the last end", over.elapsed());
    assert!(over.elapsed() < Duration::from_secs(60));
    for number in 0..sources {
        for format in ["mp4", "flv"] {
            judge(&clip, &wired.object(&format!("out/{number}.{format}")));
        }
    }
    assert_eq!(server.stop(), 0);
}

#[test]
fn what_is_killed_leaves_neither_work_nor_open_uploads_and_every_output_is_whole() {
    kills(5);
}

/// `make kills`.
#[test]
#[ignore = "takes minutes"]
fn what_is_killed_at_50_moments_leaves_neither_work_nor_open_uploads() {
    kills(50);
}

#[test]
fn wrong_buckets_keys_and_credentials_are_told_with_the_reason() {
    let place = Place::new();
    let clip = place.path("a.mp4");
    media::constant(&clip, Constant { seconds: "1", channels: 0, ..small() });
    put(&STORE, "videos", &[(&clip, "wrong/a.mp4")]);
    std::fs::write(place.path("empty.mp4"), b"").unwrap();
    put(&STORE, "videos", &[(&place.path("empty.mp4"), "wrong/empty.mp4")]);
    let url = STORE.url();
    for (source, said) in [
        ("s3://videos/wrong/none.mp4", "there is no s3://videos/wrong/none.mp4"),
        ("s3://no-such-bucket/a.mp4", "there is no s3://no-such-bucket/a.mp4"),
        ("s3://videos/wrong/empty.mp4", "is empty"),
        ("s3://videos/a/../b.mp4", "rename the object"),
        ("ftp://videos/a.mp4", "s3, gs, az, http, https and file URLs are supported"),
    ] {
        let ran = run(&place, &url, &[source, "--output", "out"]);
        assert!(ran.failure().contains(said), "{source}: {}", ran.failure());
    }
    let ran = run(&place, &url, &["s3://videos/wrong/a.mp4", "--output", "s3://no-such-bucket/out"]);
    assert!(ran.failure().contains("there is no such bucket"), "{}", ran.failure());
    let mut command = place.millrace();
    command.args(["run", "s3://videos/wrong/a.mp4", "--output", "out", "--data", "data", "--json"]);
    command.envs(STORE.variables()).env("AWS_SECRET_ACCESS_KEY", "another-secret-of-nobody");
    let denied = Ran::of(command.output().unwrap());
    assert!(denied.failure().contains("access denied"), "{}", denied.failure());
    assert!(!denied.failure().contains("another-secret"), "{}", denied.failure());
    // Nothing that was said anywhere holds the secret that works.
    let ran = run(&place, &url, &["s3://videos/wrong/a.mp4", "--output", "s3://videos/wrong/out"]);
    ran.success();
    let log = std::fs::read(place.path("data/log.sqlite")).unwrap();
    let secret = millrace_servers::SECRET_KEY.as_bytes();
    assert!(!log.windows(secret.len()).any(|window| window == secret), "no record holds a credential");
}

/// Runs on an object to which something happens while it is at work; gives what it said.
fn disturbed(key: &str, disturb: impl FnOnce(&Place)) -> (Place, Ran) {
    let place = Place::new();
    let clip = place.path("a.mp4");
    media::constant(&clip, Constant { seconds: "20", size: "1280x720", channels: 0, ..small() });
    put(&STORE, "videos", &[(&clip, key)]);
    let mut command = place.millrace();
    command
        .args(["-v", "run", &format!("s3://videos/{key}"), "--output", "s3://videos/disturbed"])
        .args(["--segment-time", "1", "--data", "data", "--json", "--jobs", "1"])
        .envs(STORE.variables())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(place.path("said")).unwrap());
    let child = command.spawn().unwrap();
    until("it to work", || {
        std::fs::read_to_string(place.path("said")).unwrap().contains("transcoded segment")
    });
    disturb(&place);
    let ran = Ran::of(child.wait_with_output().unwrap());
    (place, ran)
}

#[test]
fn an_object_that_is_written_over_in_the_middle_fails_with_the_reason_and_nothing_partial_is_seen() {
    let (_place, ran) = disturbed("changes/over.mp4", |place| {
        let other = place.path("b.mp4");
        media::constant(&other, Constant { seconds: "2", channels: 0, ..small() });
        put(&STORE, "videos", &[(&other, "changes/over.mp4")]);
    });
    assert!(ran.failure().contains("changed while it was being processed"), "{}", ran.failure());
    assert!(!STORE.folder().join("videos/disturbed/over.mp4").exists());
}

#[test]
fn an_object_that_is_deleted_in_the_middle_fails_with_the_reason_and_nothing_partial_is_seen() {
    let (_place, ran) = disturbed("changes/gone.mp4", |_| {
        std::fs::remove_file(STORE.folder().join("videos/changes/gone.mp4")).unwrap();
    });
    assert!(ran.failure().contains("there is no s3://videos/changes/gone.mp4"), "{}", ran.failure());
    assert!(!STORE.folder().join("videos/disturbed/gone.mp4").exists());
}

#[test]
fn a_notification_over_http_starts_an_execution() {
    let place = Place::new();
    let clip = place.path("a.mp4");
    media::constant(&clip, Constant { seconds: "1", ..small() });
    put(&STORE, "videos", &[(&clip, "http/in/a b.mp4")]);
    let mut serve = place.millrace();
    serve.args([
        "serve",
        "--data",
        "data",
        "--listen",
        "127.0.0.1:0",
        "--watch",
        "s3://videos/http/in/=s3://videos/http/out",
    ]);
    serve.envs(STORE.variables()).stdout(Stdio::null());
    let mut serving = serve.stderr(std::fs::File::create(place.path("said")).unwrap()).spawn().unwrap();
    let said = || std::fs::read_to_string(place.path("said")).unwrap();
    until("it to serve", || said().contains("serving"));
    let address = said().split("address=").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let told = json!({"Records": [{"eventName": "ObjectCreated:Put", "eventTime": "2026-11-20T08:00:00.000Z",
        "s3": {"bucket": {"name": "videos"}, "object": {"key": "http/in/a+b.mp4", "sequencer": "0055AED6DCD90281E5"}}}]});
    let url = format!("http://{address}/v1/notifications");
    let answer = ureq::post(&url).header("Content-Type", "application/json").send(told.to_string()).unwrap();
    assert_eq!(answer.status(), 202);
    let output = STORE.folder().join("videos/http/out/a b.mp4");
    until("the output", || output.exists());
    judge(&clip, &output);
    serving.kill().unwrap();
    serving.wait().unwrap();
}

/// As it stands in the documents, on the default store.
#[test]
fn an_upload_that_names_a_bucket_and_a_key_is_made_in_that_bucket() {
    let place = Place::new();
    let clip = place.path("test.mov");
    media::constant(&clip, small());
    STORE.bucket("buckettestfnf").unwrap();
    put(&STORE, "buckettestfnf", &[(&clip, "source/test.mov")]);
    let upload = r#"{"oss_bucket_name": "buckettestfnf", "video_key": "source/test.mov", "output_prefix": "outputs",
        "segment_time_seconds": 15, "dst_formats": ["mp4", "flv"]}"#;
    place.write("upload.json", upload);
    let mut serve = place.millrace();
    serve.args(["serve", "--data", "data", "--listen", "none"]).envs(STORE.variables());
    let mut serving = serve.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let mut submit = place.millrace();
    submit
        .args(["submit", "--record", "upload.json", "--wait", "--json", "--data", "data"])
        .envs(STORE.variables());
    let ran = Ran::of(submit.output().unwrap());
    serving.kill().unwrap();
    serving.wait().unwrap();
    assert_eq!(ran.success()["outputs"][0]["url"], "s3://buckettestfnf/outputs/test.mp4");
    for format in ["mp4", "flv"] {
        judge(&clip, &STORE.folder().join(format!("buckettestfnf/outputs/test.{format}")));
    }
}

#[test]
fn cleanup_lists_orphans_and_removes_them_and_nothing_else() {
    let place = Place::new();
    media::constant(&place.path("a.mp4"), Constant { seconds: "1", channels: 0, ..small() });
    run(&place, &STORE.url(), &["a.mp4", "--output", "out"]).success();
    let orphan = place.write("data/work/0123456789abcdef-1/v-0123456789abcdef/0", "left by a crash");
    let foreign = place.write("data/work/0123456789abcdef-1/notes.txt", "somebody's");
    let folder = orphan.parent().unwrap().parent().unwrap();
    assert!(Command::new("touch").args(["-d", "3 days ago"]).arg(folder).status().unwrap().success());
    let call = |more: &[&str]| {
        let mut command = place.millrace();
        Ran::of(command.args(["cleanup", "--data", "data", "--json"]).args(more).output().unwrap())
    };
    let listed = call(&["--dry-run"]);
    assert_eq!((listed.status, listed.lines.len()), (0, 1), "{}", listed.stderr);
    assert_eq!(listed.lines[0]["work"], "0123456789abcdef-1");
    assert!(orphan.exists(), "it was only listed");
    assert_eq!(call(&[]).lines[0]["removed"], true);
    assert!(!orphan.exists() && foreign.exists());
}

#[test]
fn a_bucket_and_a_disk_may_be_mixed() {
    let place = Place::new();
    let clip = place.path("a.mp4");
    media::constant(&clip, small());
    put(&STORE, "videos", &[(&clip, "mixed/a.mp4")]);
    run(&place, &STORE.url(), &["s3://videos/mixed/a.mp4", "--output", "out"]).success();
    judge(&clip, &place.path("out/a.mp4"));
    run(&place, &STORE.url(), &["a.mp4", "--output", "s3://videos/mixed/out", "-f", "flv"]).success();
    judge(&clip, &STORE.folder().join("videos/mixed/out/a.flv"));
    // Called again, nothing is made again.
    let again = run(&place, &STORE.url(), &["a.mp4", "--output", "s3://videos/mixed/out", "-f", "flv"]);
    assert_eq!(again.success()["segments_reused"], again.success()["segments"]);
    let all = run(&place, &STORE.url(), &["s3://videos/mixed/", "--output", "all"]);
    assert_eq!((all.status, all.lines.len()), (2, 0), "two inputs for one file: {}", all.stderr);
}
