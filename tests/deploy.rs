//! What is deployed is what the program is: manifests are rendered, held to Kubernetes' and KEDA's own types, and to the topology.
#![allow(clippy::unwrap_used, missing_docs)]

use std::process::Command;

use millrace_topology::topology;
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
    let text = std::fs::read_to_string(format!("{}/docker-compose.yml", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let mut compose: Value = serde_norway::from_str(&text).unwrap();
    compose.apply_merge().unwrap();
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
