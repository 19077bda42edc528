//! What is deployed is what the program is: manifests are rendered, held to Kubernetes' and KEDA's own types, and to the topology.

mod hardening;

use std::process::Command;

use millrace_processors::topology;
use serde::Deserialize as _;
use serde_norway::Value;

/// The objects of deploy/kubernetes, as kustomize renders them.
fn rendered() -> Vec<Value> {
    let program = millrace_servers::folder().join("manifests/manifests");
    let folder = format!("{}/deploy/kubernetes", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(program).arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, all) = text.split_once("---\n").unwrap();
    serde_norway::Deserializer::from_str(all).map(|one| Value::deserialize(one).unwrap()).collect()
}

fn text(path: &str) -> String {
    std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// docker-compose.yml, as Compose reads it.
fn compose() -> Value {
    let mut compose: Value = serde_norway::from_str(&text("docker-compose.yml")).unwrap();
    // Merges within merges: once for each level.
    for _ in 0..2 {
        compose.apply_merge().unwrap();
    }
    compose
}

fn of_kind<'a>(all: &'a [Value], kind: &str) -> Vec<&'a Value> {
    all.iter().filter(|one| one["kind"] == kind).collect()
}

fn words(value: &Value) -> Vec<&str> {
    value.as_sequence().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
}

fn flag<'a>(arguments: &[&'a str], name: &str) -> Option<&'a str> {
    arguments.iter().skip_while(|word| **word != name).nth(1).copied()
}

/// Holds a call's processors to be those that there are.
fn known(arguments: &[&str]) {
    let graph = topology();
    for name in flag(arguments, "--processors").unwrap().split(',') {
        assert!(graph.processor(name).is_some(), "there is no processor '{name}'");
    }
}

#[test]
fn grace_periods_are_longer_than_a_drain_and_processors_are_those_that_there_are() {
    let all = rendered();
    let deployments = of_kind(&all, "Deployment");
    assert_eq!(deployments.len(), 3);
    let mut run = Vec::new();
    for deployment in deployments {
        let pod = &deployment["spec"]["template"]["spec"];
        let arguments = words(&pod["containers"][0]["args"]);
        known(&arguments);
        run.extend(flag(&arguments, "--processors").unwrap().split(',').map(str::to_owned));
        let drain: u64 = flag(&arguments, "--grace").unwrap_or("30").parse().unwrap();
        assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() > drain, "{arguments:?}");
    }
    for processor in topology().processors {
        assert!(run.iter().any(|name| name == processor.name), "nobody runs {}", processor.name);
    }
}

#[test]
fn workers_scale_down_to_none_by_the_lag_of_their_groups() {
    let (all, graph) = (rendered(), topology());
    let scaled = of_kind(&all, "ScaledObject");
    assert_eq!(scaled.len(), 2);
    for object in scaled {
        let (spec, trigger) = (&object["spec"], &object["spec"]["triggers"][0]["metadata"]);
        assert_eq!(spec["minReplicaCount"], 0);
        let by_group = |p: &&millrace_topology::ProcessorSpec| trigger["consumerGroup"] == p.group().as_str();
        let processor = graph.processors.iter().find(by_group).unwrap();
        assert_eq!(trigger["topic"], processor.reads.name);
        assert!(spec["maxReplicaCount"].as_u64().unwrap() <= u64::from(processor.reads.partitions));
        let target = spec["scaleTargetRef"]["name"].as_str().unwrap();
        assert!(of_kind(&all, "Deployment").iter().any(|one| one["metadata"]["name"] == target), "{target}");
    }
}

#[test]
fn compose_runs_every_processor_and_waits_longer_than_a_drain() {
    let compose = compose();
    let services = compose["services"].as_mapping().unwrap();
    let mut run = Vec::new();
    for (_, service) in services {
        let Some(command) = service.get("command") else { continue };
        let arguments = words(command);
        if arguments.first() == Some(&"serve") {
            known(&arguments);
            run.extend(flag(&arguments, "--processors").unwrap().split(',').map(str::to_owned));
            let grace = service["stop_grace_period"].as_str().unwrap();
            assert!(grace.trim_end_matches('s').parse::<u64>().unwrap() > 30, "{grace}");
        }
        for (_, condition) in service.get("depends_on").and_then(Value::as_mapping).into_iter().flatten() {
            assert!(condition["condition"].is_string());
        }
    }
    for processor in topology().processors {
        assert!(run.iter().any(|name| name == processor.name), "nobody runs {}", processor.name);
    }
}

/// Every place in a value, as the keys and numbers that lead there.
fn places(value: &Value, here: &mut Vec<Value>, all: &mut Vec<Vec<Value>>) {
    let inside: Vec<(Value, &Value)> = match value {
        Value::Mapping(mapping) => mapping.iter().map(|(key, one)| (key.clone(), one)).collect(),
        Value::Sequence(sequence) => sequence.iter().enumerate().map(|(at, one)| (at.into(), one)).collect(),
        _ => Vec::new(),
    };
    for (key, one) in inside {
        here.push(key);
        all.push(here.clone());
        places(one, here, all);
        here.pop();
    }
}

/// Takes away what is at a place.
fn take(value: &mut Value, place: &[Value]) {
    let (last, way) = place.split_last().unwrap();
    let holder = way.iter().fold(value, |value, key| match value {
        Value::Sequence(sequence) => &mut sequence[usize::try_from(key.as_u64().unwrap()).unwrap()],
        other => other.get_mut(key).unwrap(),
    });
    match holder {
        Value::Mapping(mapping) => drop(mapping.remove(last)),
        Value::Sequence(sequence) => drop(sequence.remove(usize::try_from(last.as_u64().unwrap()).unwrap())),
        _ => unreachable!(),
    }
}

/// Whether a place ends with these keys, slashes between, whatever the numbers in between.
fn is_at(place: &[Value], keys: &str) -> bool {
    let mut names = place.iter().filter_map(Value::as_str).rev();
    place.last().unwrap().is_string() && keys.rsplit('/').all(|key| names.next() == Some(key))
}

/// Takes away every place whose last key is one of these, one at a time, and holds each to be missed.
fn each_is_missed(whole: &Value, keys: &[&str], flaws: impl Fn(&Value) -> Vec<String>) {
    let mut all = Vec::new();
    places(whole, &mut Vec::new(), &mut all);
    for key in keys {
        let mut taken = 0;
        for place in all.iter().filter(|place| is_at(place, key)) {
            let mut less = whole.clone();
            take(&mut less, place);
            assert!(!flaws(&less).is_empty(), "nothing misses {place:?}");
            taken += 1;
        }
        assert!(taken > 0, "there is no '{key}' to take away");
    }
}

#[test]
fn pods_have_no_root_no_capabilities_no_token_and_reach_only_what_they_need_and_each_of_that_is_missed() {
    let all = Value::Sequence(rendered());
    let flaws = |all: &Value| hardening::of_kubernetes(all.as_sequence().unwrap());
    assert_eq!(flaws(&all), Vec::<String>::new());
    each_is_missed(
        &all,
        &[
            "automountServiceAccountToken",
            "enableServiceLinks",
            "runAsNonRoot",
            "runAsUser",
            "runAsGroup",
            "seccompProfile",
            "allowPrivilegeEscalation",
            "privileged",
            "readOnlyRootFilesystem",
            "drop",
            "limits",
            "ephemeral-storage",
            "sizeLimit",
            "egress",
            "ingress",
            "to",
            "from",
            "egress/ports",
            "ingress/ports",
        ],
        flaws,
    );
    // And what is put there.
    let without = |kept: &dyn Fn(&Value) -> bool| {
        Value::Sequence(all.as_sequence().unwrap().iter().filter(|one| kept(one)).cloned().collect())
    };
    assert!(!flaws(&without(&|one| one["metadata"]["name"] != "millrace-nothing")).is_empty());
    let mut one_way = all.clone();
    let nothing = |one: &&mut Value| one["metadata"]["name"] == "millrace-nothing";
    let closed = one_way.as_sequence_mut().unwrap().iter_mut().find(nothing).unwrap();
    drop(closed["spec"]["policyTypes"].as_sequence_mut().unwrap().pop());
    assert!(!flaws(&one_way).is_empty());
    let mut shared = all.clone();
    for object in shared.as_sequence_mut().unwrap() {
        if object["kind"] == "Deployment" && object["metadata"]["name"] == "millrace-transcode" {
            object["spec"]["template"]["spec"]["containers"][0]["envFrom"][1]["secretRef"]["name"] =
                "millrace-merge-store".into();
        }
    }
    assert!(flaws(&shared).iter().any(|flaw| flaw.contains("other keys")), "{:?}", flaws(&shared));
}

#[test]
fn containers_of_compose_are_hardened_and_each_part_of_that_is_missed() {
    let compose = compose();
    assert_eq!(hardening::of_compose(&compose), Vec::<String>::new());
    let taken = ["user", "cap_drop", "security_opt", "pids_limit", "mem_limit", "tmpfs", "internal"];
    // What services take over was merged into them; where it is written itself, nothing looks.
    let mut merged = compose.clone();
    merged.as_mapping_mut().unwrap().retain(|key, _| !key.as_str().unwrap().starts_with("x-"));
    each_is_missed(&merged, &taken, hardening::of_compose);
    for service in ["control", "transcode", "merge", "topics", "submit", "store", "registry"] {
        let mut less = merged.clone();
        less["services"][service].as_mapping_mut().unwrap().remove("read_only");
        assert!(!hardening::of_compose(&less).is_empty(), "{service}");
    }
    let mut open = merged.clone();
    open["services"]["store"]["ports"][0] = "7070:7070".into();
    assert!(!hardening::of_compose(&open).is_empty());
    let mut moved = merged;
    moved["services"]["kafka"]["image"] = "apache/kafka:4.1.0".into();
    assert!(!hardening::of_compose(&moved).is_empty());
}

#[test]
fn images_are_built_from_digests_and_run_as_nobody_who_could_become_root() {
    for path in ["deploy/Dockerfile", "deploy/store.Dockerfile", "deploy/registry.Dockerfile"] {
        let whole = text(path);
        assert_eq!(hardening::of_dockerfile(&whole), Vec::<String>::new(), "{path}");
        for (from, to) in [("@sha256:", ":"), ("\nUSER ", "\nUSER 0:"), ("-perm /6000", "-perm /1")] {
            assert!(!hardening::of_dockerfile(&whole.replace(from, to)).is_empty(), "{path} without {from}");
        }
        assert!(!whole.contains("latest"), "{path}");
    }
}

#[test]
fn the_debian_service_is_hardened_and_leaves_the_sandbox_its_layers() {
    let unit = text("deploy/debian/millrace.service");
    let lines: Vec<&str> = unit.lines().filter(|line| !line.starts_with('#')).collect();
    for needed in [
        "User=millrace",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "PrivateDevices=yes",
        "RestrictSUIDSGID=yes",
        "MemoryDenyWriteExecute=yes",
        // Media processes get cgroups of their own, and end after the segments that they have begun.
        "Delegate=yes",
        "KillMode=mixed",
    ] {
        assert!(lines.contains(&needed), "{needed}");
    }
    // Each takes a layer of the sandbox away, or hides media processes from their parent.
    for harmful in ["RestrictNamespaces", "ProtectControlGroups", "ProtectProc", "ProcSubset"] {
        assert!(!lines.iter().any(|line| line.starts_with(harmful)), "{harmful}");
    }
    let value = |name: &str| lines.iter().find_map(|line| line.strip_prefix(name)).unwrap();
    assert!(value("TimeoutStopSec=").parse::<u32>().unwrap() > 30, "longer than the grace period");
    for call in ["seccomp", "landlock_restrict_self", "@mount"] {
        assert!(value("SystemCallFilter=").split(' ').any(|allowed| allowed == call), "{call}");
    }
}
