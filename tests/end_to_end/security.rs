//! No media file stops a service: files of few bytes that ask for much, beside good uploads. The same seeds make the same files:
//! `make security COUNT=2000`.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::common::{
    Place,
    cluster::until,
    media::{self, Constant, hostile, mutate},
    serving::{Serving, url},
};

/// How long a verdict may take.
const LONGEST: Duration = Duration::from_secs(60);
/// How long health may take to answer. Tests run beside each other, on machines of a few cores: a service that hangs answers never.
const HEALTH: Duration = Duration::from_secs(2);
/// How many mutants come at once.
const AT_ONCE: usize = 10;
/// What a media process and the service may use, in bytes.
const CHILD: u64 = 1 << 30;
const GROWTH: u64 = 100 << 20;

fn serve(place: &Place) -> Serving {
    Serving::start(place, |command| {
        command.args(["--listen", "127.0.0.1:0"]);
    })
}

fn upload(serving: &Serving, place: &Place, name: &str, more: &[(&str, Value)]) -> String {
    let mut body = json!({"source": url(place, name), "output_prefix": url(place, "out")});
    body.as_object_mut().unwrap().extend(more.iter().map(|(key, value)| ((*key).into(), value.clone())));
    let (_, said) = serving.post("/v1/executions", &body);
    said["execution"].as_str().unwrap_or_else(|| panic!("{said}")).to_owned()
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

/// Uploads files of these names, so many at once beside each good one; gives how each ended.
fn beside_good_ones(
    place: &Place,
    serving: &Serving,
    names: &[String],
    at_once: usize,
) -> HashMap<String, Value> {
    let before = memory(serving.child.id()).0;
    let stop = Arc::new(AtomicBool::new(false));
    let watching = watch(serving, &stop);
    let mut verdicts = HashMap::new();
    for names in names.chunks(at_once) {
        let first = &names[0];
        let good = upload(serving, place, "good.mp4", &[("name", json!(format!("good beside {first}")))]);
        let begun = Instant::now();
        let ids: Vec<String> = names.iter().map(|name| upload(serving, place, name, &[])).collect();
        for (name, id) in names.iter().zip(&ids) {
            until(name, || {
                let verdict = serving.verdict(id, &[]);
                assert!(begun.elapsed() < LONGEST, "{name}: no verdict after {:?}", begun.elapsed());
                verdict.map(|verdict| verdicts.insert(name.clone(), verdict)).is_some()
            });
        }
        let good = serving.ended(&good);
        assert_eq!(good["state"], "succeeded", "beside {names:?}: {good}");
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
    let verdicts = beside_good_ones(&place, &serving, &names, 1);
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
    let id = upload(&serving, &place, "good.mp4", &[("dst_formats", json!(formats))]);
    let same = upload(&serving, &place, "good.mp4", &[("dst_formats", json!(["mp4"]))]);
    assert_eq!(id, same);
    let verdict = serving.ended(&id);
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
            for (name, verdict) in beside_good_ones(&place, &serving, &names, AT_ONCE) {
                let reason = verdict["reason"].as_str().unwrap_or("made, or refused with a reason");
                assert!(reason.len() > 20, "{name}: {verdict}");
                std::fs::remove_file(place.path(&name)).unwrap();
            }
        }
    }
}
