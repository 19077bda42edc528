//! No media file stops a service: files of few bytes that ask for much, beside good uploads. The same seeds make the same files:
//! `make security COUNT=2000`.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    process::{Child, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use common::{
    Place,
    cluster::until,
    media::{self, Constant, hostile, mutate},
};
use serde_json::{Value, json};

/// How long a verdict may take.
const LONGEST: Duration = Duration::from_secs(60);
/// How long health may take to answer. Tests run beside each other, on machines of a few cores: a service that hangs answers never.
const HEALTH: Duration = Duration::from_secs(2);
/// What a media process and the service may use, in bytes.
const CHILD: u64 = 1 << 30;
const GROWTH: u64 = 100 << 20;

struct Serving {
    child: Child,
    address: String,
}

impl Drop for Serving {
    fn drop(&mut self) {
        // One that has ended needs no end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(place: &Place) -> Serving {
    let log = place.path("serve.log");
    let mut command = place.millrace();
    command.args(["serve", "--data", "data", "--listen", "127.0.0.1:0"]).args(roots(place));
    let child = command.stdout(Stdio::null()).stderr(File::create(&log).unwrap()).spawn().unwrap();
    let said = || std::fs::read_to_string(&log).unwrap();
    until("it to serve", || said().contains("serving"));
    let address = said().split("address=").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    Serving { child, address }
}

/// The flags that let it reach the sources and the outputs, where there are such flags.
fn roots(place: &Place) -> Vec<String> {
    let help = place.millrace().args(["serve", "--help"]).output().unwrap();
    if !String::from_utf8_lossy(&help.stdout).contains("--source-root") {
        return Vec::new();
    }
    let folder = place.path("").to_str().unwrap().to_owned();
    vec!["--source-root".into(), folder.clone(), "--output-root".into(), folder]
}

impl Serving {
    fn get(&self, path: &str) -> (u16, Value) {
        let config =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(LONGEST)).build();
        let url = format!("http://{}{path}", self.address);
        let mut answer = ureq::Agent::new_with_config(config).get(&url).call().unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    fn upload(&self, place: &Place, name: &str, more: &[(&str, Value)]) -> String {
        let url = |name: &str| format!("file://{}", place.path(name).display());
        let mut body = json!({"source": url(name), "output_prefix": url("out")});
        body.as_object_mut().unwrap().extend(more.iter().map(|(key, value)| ((*key).into(), value.clone())));
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        let request =
            ureq::Agent::new_with_config(config).post(format!("http://{}/v1/executions", self.address));
        let mut answer = request.header("Content-Type", "application/json").send(body.to_string()).unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        let said: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        said["execution"].as_str().unwrap_or_else(|| panic!("{said}")).to_owned()
    }

    /// How an execution ended, if it has.
    fn verdict(&self, id: &str) -> Option<Value> {
        let (status, state) = self.get(&format!("/v1/executions/{id}"));
        let ended = ["succeeded", "failed", "cancelled"];
        (status == 200 && ended.contains(&state["state"].as_str().unwrap())).then_some(state)
    }
}

/// Bytes of memory that processes have which are their own: of one, and the most of each of its descendants.
fn memory(pid: u32) -> (u64, BTreeMap<u32, u64>) {
    let mut all = HashMap::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let read = |name: &str| std::fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        // Its parent stands behind its name, which may hold anything.
        let parent =
            read("stat").rsplit(')').next().unwrap_or("").split_whitespace().nth(1).map(str::to_owned);
        let pages: Vec<u64> = read("statm").split(' ').filter_map(|n| n.trim().parse().ok()).collect();
        if let (Some(Ok(parent)), [_, resident, shared, ..]) = (parent.map(|p| p.parse::<u32>()), &pages[..])
        {
            all.insert(pid, (parent, resident.saturating_sub(*shared) * 4096));
        }
    }
    let is_below = |mut of_it: u32| {
        (0..8).any(|_| {
            of_it = all.get(&of_it).map_or(0, |(parent, _)| *parent);
            of_it == pid
        })
    };
    let children = all.iter().filter(|(of_it, _)| is_below(**of_it)).map(|(pid, (_, bytes))| (*pid, *bytes));
    (all.get(&pid).map_or(0, |(_, bytes)| *bytes), children.collect())
}

/// What was measured while files were processed.
#[derive(Default)]
struct Watched {
    slowest: Duration,
    parent: u64,
    child: u64,
}

/// Watches a service until it is told to stop.
fn watch(serving: &Serving, stop: &Arc<AtomicBool>) -> std::thread::JoinHandle<Watched> {
    let (pid, address, stop) = (serving.child.id(), serving.address.clone(), stop.clone());
    std::thread::spawn(move || {
        let mut watched = Watched::default();
        while !stop.load(Ordering::Relaxed) {
            let begun = Instant::now();
            ureq::get(format!("http://{address}/healthz")).call().unwrap();
            watched.slowest = watched.slowest.max(begun.elapsed());
            let (parent, children) = memory(pid);
            watched.parent = watched.parent.max(parent);
            watched.child = watched.child.max(children.into_values().max().unwrap_or(0));
            std::thread::park_timeout(Duration::from_millis(20));
        }
        watched
    })
}

/// Uploads files of these names beside good ones; gives how each ended.
fn beside_good_ones(place: &Place, serving: &Serving, names: &[String]) -> HashMap<String, Value> {
    let before = memory(serving.child.id()).0;
    let stop = Arc::new(AtomicBool::new(false));
    let watching = watch(serving, &stop);
    let mut verdicts = HashMap::new();
    for (number, name) in names.iter().enumerate() {
        let good = serving.upload(place, "good.mp4", &[("name", json!(format!("good beside {name}")))]);
        let begun = Instant::now();
        let id = serving.upload(place, name, &[]);
        until(name, || {
            if let Some(verdict) = serving.verdict(&id) {
                verdicts.insert(name.clone(), verdict);
            }
            assert!(begun.elapsed() < LONGEST, "{name}: no verdict after {:?}", begun.elapsed());
            verdicts.contains_key(name)
        });
        until("the good one", || serving.verdict(&good).is_some());
        let good = serving.verdict(&good).unwrap();
        assert_eq!(good["state"], "succeeded", "beside {name}, number {number}: {good}");
    }
    stop.store(true, Ordering::Relaxed);
    let watched = watching.join().unwrap();
    println!(
        "{} files: health in {:?} at most, a child of {} MiB, a service of {} MiB that had {}",
        names.len(),
        watched.slowest,
        watched.child >> 20,
        watched.parent >> 20,
        before >> 20
    );
    assert!(watched.slowest < HEALTH, "health took {:?}", watched.slowest);
    assert!(watched.child <= CHILD, "a media process had {} bytes", watched.child);
    assert!(watched.parent <= before + GROWTH, "{} bytes became {}", before, watched.parent);
    verdicts
}

fn good(place: &Place) {
    let short = Constant { seconds: "1", size: "128x72", gop: 8, ..Constant::default() };
    media::constant(&place.path("good.mp4"), short);
}

#[test]
fn files_of_few_bytes_that_ask_for_much_stop_nobody() {
    let place = Place::new();
    good(&place);
    for (name, make, _) in hostile::KINDS {
        make(&place.path(name));
    }
    let serving = serve(&place);
    let names: Vec<String> = hostile::KINDS.iter().map(|(name, ..)| (*name).to_owned()).collect();
    let verdicts = beside_good_ones(&place, &serving, &names);
    for (name, _, refused) in hostile::KINDS {
        let verdict = &verdicts[name];
        match refused {
            Some(why) => assert!(verdict["reason"].as_str().unwrap_or("").contains(why), "{name}: {verdict}"),
            None => assert_eq!(verdict["state"], "succeeded", "{name}: {verdict}"),
        }
        let control = |c: char| c.is_control() && c != '\n';
        assert!(!verdict["warnings"].to_string().contains(control), "{name}: {verdict}");
    }
    assert!(verdicts["texts.mkv"]["warnings"].to_string().contains("too many are shown"), "it is said");
}

#[test]
fn fifty_equal_formats_are_one() {
    let place = Place::new();
    good(&place);
    let serving = serve(&place);
    let formats = vec!["mp4"; 50];
    let id = serving.upload(&place, "good.mp4", &[("dst_formats", json!(formats))]);
    let same = serving.upload(&place, "good.mp4", &[("dst_formats", json!(["mp4"]))]);
    assert_eq!(id, same);
    until("it to end", || serving.verdict(&id).is_some());
    let verdict = serving.verdict(&id).unwrap();
    assert_eq!(
        (&verdict["state"], verdict["outputs"].as_array().unwrap().len()),
        (&json!("succeeded"), 1),
        "{verdict}"
    );
    assert_eq!(place.names("out"), ["good.mp4"]);
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |value| value.parse().unwrap())
}

#[test]
#[ignore = "make security"]
fn thousands_of_mutants_of_each_kind_stop_nobody() {
    let place = Place::new();
    good(&place);
    let serving = serve(&place);
    let (first, count) = (number("FIRST", 1), number("COUNT", 2000));
    for (name, make, _) in hostile::KINDS {
        make(&place.path(name));
        let whole = std::fs::read(place.path(name)).unwrap();
        for seeds in (first..first + count).collect::<Vec<_>>().chunks(50) {
            let mut names = Vec::new();
            for seed in seeds {
                let mut bytes = whole.clone();
                mutate::mutate(&mut bytes, *seed);
                names.push(format!("{seed}-{name}"));
                place.write(names.last().unwrap(), bytes);
            }
            for (name, verdict) in beside_good_ones(&place, &serving, &names) {
                let reason = verdict["reason"].as_str().unwrap_or("made, or refused with a reason");
                assert!(reason.len() > 20, "{name}: {verdict}");
                std::fs::remove_file(place.path(&name)).unwrap();
            }
        }
    }
}
