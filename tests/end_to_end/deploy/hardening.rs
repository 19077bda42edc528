//! What is wrong with how something is deployed: every border that the manifests, compose and the Dockerfiles promise (docs/security.md), as
//! functions from what is written to what is missing. So a test can take each away and see that it is missed.

use std::collections::BTreeMap;

use serde_norway::Value;

/// Who has keys of the store: each role its own.
pub const KEYS: [(&str, Option<&str>); 4] = [
    ("millrace-control", Some("millrace-control-store")),
    ("millrace-transcode", Some("millrace-transcode-store")),
    ("millrace-merge", Some("millrace-merge-store")),
    ("millrace-topics", None),
];

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or("?")
}

fn sequence(value: &Value) -> &[Value] {
    value.as_sequence().map_or(&[], Vec::as_slice)
}

/// Whether `labels` has all that a selector asks for.
fn selects(selector: &Value, labels: &Value) -> bool {
    let exact = selector["matchLabels"].as_mapping();
    let by_expression = sequence(&selector["matchExpressions"]).iter();
    exact.into_iter().flatten().all(|(key, value)| labels.get(key) == Some(value))
        && by_expression.clone().all(|one| {
            one["operator"] == "In"
                && labels.get(&one["key"]).is_some_and(|found| sequence(&one["values"]).contains(found))
        })
}

/// What is wrong with the objects of deploy/kubernetes.
pub fn of_kubernetes(all: &[Value]) -> Vec<String> {
    let mut wrong = Vec::new();
    let pods: Vec<&Value> =
        all.iter().filter(|one| one["spec"]["template"]["spec"]["containers"].is_sequence()).collect();
    for object in &pods {
        let who = name(object);
        let mut must = |fact: bool, what: &str| {
            if !fact {
                wrong.push(format!("{who}: {what}"));
            }
        };
        let template = &object["spec"]["template"];
        let spec = &template["spec"];
        let pod = &spec["securityContext"];
        must(spec["automountServiceAccountToken"] == false, "has a service account's token");
        must(spec["enableServiceLinks"] == false, "is told of every service");
        must(pod["runAsNonRoot"] == true, "may run as root");
        must(pod["runAsUser"].as_u64().is_some_and(|user| user > 0), "has no user of its own");
        must(pod["runAsGroup"].as_u64().is_some_and(|group| group > 0), "is in root's group");
        must(pod["seccompProfile"]["type"] == "RuntimeDefault", "has no seccomp profile");
        for host in ["hostNetwork", "hostPID", "hostIPC"] {
            must(spec.get(host).is_none_or(|value| *value == false), "has namespaces of its host");
        }
        for volume in sequence(&spec["volumes"]) {
            must(volume.get("hostPath").is_none(), "has a folder of its host");
            let unbounded = volume.get("emptyDir").is_some_and(|empty| empty["sizeLimit"].is_null());
            must(!unbounded, "has a folder without a limit");
        }
        must(spec.get("initContainers").is_none(), "has containers that are not looked at");
        for container in sequence(&spec["containers"]) {
            let own = &container["securityContext"];
            must(own["allowPrivilegeEscalation"] == false, "may gain privileges");
            must(own["privileged"] == false, "is privileged");
            must(own["readOnlyRootFilesystem"] == true, "writes to its image");
            must(sequence(&own["capabilities"]["drop"]).contains(&"ALL".into()), "has capabilities");
            must(own["capabilities"].get("add").is_none(), "is given capabilities");
            for resource in ["memory", "ephemeral-storage"] {
                must(
                    container["resources"]["limits"][resource].is_string(),
                    "has no limit of memory or disk",
                );
            }
            let mounts = sequence(&container["volumeMounts"]);
            must(mounts.iter().any(|mount| mount["mountPath"] == "/tmp"), "has nowhere for drafts");
            let secrets: Vec<&str> = sequence(&container["envFrom"])
                .iter()
                .filter_map(|from| from["secretRef"]["name"].as_str())
                .collect();
            let own = KEYS.iter().find(|(role, _)| *role == who).map(|(_, keys)| *keys);
            must(own.is_some_and(|keys| secrets == keys.as_slice()), "has other keys than its own");
        }
        must(isolated(all, template), "is reached from, or reaches, anywhere");
    }
    if pods.len() != KEYS.len() {
        wrong.push(format!("{} things run, and keys are given to {}", pods.len(), KEYS.len()));
    }
    wrong.extend(of_networks(all));
    wrong
}

fn policies(all: &[Value]) -> impl Iterator<Item = &Value> {
    all.iter().filter(|one| one["kind"] == "NetworkPolicy")
}

/// Whether a policy that allows nothing selects these pods, both ways.
fn isolated(all: &[Value], template: &Value) -> bool {
    policies(all).any(|policy| {
        let spec = &policy["spec"];
        let ways = sequence(&spec["policyTypes"]);
        selects(&spec["podSelector"], &template["metadata"]["labels"])
            && ["Ingress", "Egress"].iter().all(|way| ways.contains(&(*way).into()))
            && spec.get("ingress").is_none()
            && spec.get("egress").is_none()
    })
}

/// Who may reach which ports, and be reached on which, by all policies together.
fn reach(all: &[Value], template: &Value, way: &str, peers: &str) -> Vec<u64> {
    let mut ports = Vec::new();
    for policy in
        policies(all).filter(|one| selects(&one["spec"]["podSelector"], &template["metadata"]["labels"]))
    {
        for rule in sequence(&policy["spec"][way]) {
            // Without peers, or with one that names nobody, a rule is for the whole world; without ports for every one.
            let named = |peer: &Value| {
                let named = |selector: &str| peer[selector]["matchLabels"].is_mapping();
                named("podSelector") || named("namespaceSelector")
            };
            let all_named = !sequence(&rule[peers]).is_empty() && sequence(&rule[peers]).iter().all(named);
            let of_rule = sequence(&rule["ports"]);
            if !all_named || of_rule.is_empty() {
                ports.push(0);
            }
            ports.extend(of_rule.iter().map(|port| port["port"].as_u64().unwrap_or(0)));
        }
    }
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn of_networks(all: &[Value]) -> Vec<String> {
    // DNS, the store, the registry, Kafka.
    let (everyone, with_store) = (vec![53, 8081, 9092], vec![53, 7070, 8081, 9092]);
    let expected = BTreeMap::from([
        ("millrace-control", (with_store.clone(), vec![8080])),
        ("millrace-transcode", (with_store.clone(), vec![])),
        ("millrace-merge", (with_store, vec![])),
        ("millrace-topics", (everyone, vec![])),
    ]);
    let mut wrong = Vec::new();
    for object in all {
        let template = &object["spec"]["template"];
        let Some((out, within)) = expected.get(name(object)).filter(|_| template.is_mapping()) else {
            continue;
        };
        for (way, peers, ports) in [("egress", "to", out), ("ingress", "from", within)] {
            let found = reach(all, template, way, peers);
            if found != *ports {
                wrong.push(format!("{}: {way} to ports {found:?}, not {ports:?}", name(object)));
            }
        }
    }
    wrong
}

/// Whether an image is named by its digest.
fn is_pinned(image: &str) -> bool {
    image.split_once("@sha256:").is_some_and(|(_, digest)| {
        digest.len() == 64
            && digest.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

/// What is wrong with the services of docker-compose.yml, merges applied.
pub fn of_compose(compose: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    for (service, settings) in compose["services"].as_mapping().into_iter().flatten() {
        let who = service.as_str().unwrap_or("?");
        let mut must = |fact: bool, what: &str| {
            if !fact {
                wrong.push(format!("{who}: {what}"));
            }
        };
        let user = settings["user"].as_str().unwrap_or_default();
        must(user.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)), "runs as root");
        must(sequence(&settings["cap_drop"]) == [Value::from("ALL")], "has capabilities");
        must(settings.get("cap_add").is_none(), "is given capabilities");
        must(
            sequence(&settings["security_opt"]) == [Value::from("no-new-privileges:true")],
            "may gain privileges",
        );
        must(settings.get("privileged").is_none(), "is privileged");
        // Kafka's image writes its settings into itself when it starts.
        must(settings["read_only"] == true || who == "kafka", "writes to its image");
        must(!sequence(&settings["tmpfs"]).is_empty(), "has no folder for what it writes");
        must(settings["pids_limit"].as_u64().is_some(), "starts as many processes as it likes");
        must(settings["mem_limit"].is_string(), "takes as much memory as it likes");
        for host in ["network_mode", "pid", "ipc", "userns_mode", "devices"] {
            must(settings.get(host).is_none(), "has something of its host");
        }
        let built = settings["build"]["dockerfile"].is_string();
        must(built || settings["image"].as_str().is_some_and(is_pinned), "is an image without a digest");
        let networks = sequence(&settings["networks"]);
        let reaches_out = networks.iter().any(|one| compose["networks"][one]["internal"] != true);
        must(!networks.is_empty() && (who == "store" || !reaches_out), "reaches the world");
        for port in sequence(&settings["ports"]) {
            must(port.as_str().is_some_and(|port| port.starts_with("127.0.0.1:")), "is open to the world");
        }
        for volume in sequence(&settings["volumes"]) {
            must(
                !volume.as_str().is_some_and(|volume| volume.contains("docker.sock")),
                "has Docker's own socket",
            );
        }
    }
    wrong
}

/// What is wrong with a Dockerfile.
pub fn of_dockerfile(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("FROM ")) {
        if !line.split_whitespace().nth(1).is_some_and(is_pinned) {
            wrong.push(format!("an image without a digest: {line}"));
        }
    }
    let last = text.rsplit("\nFROM ").next().unwrap_or_default();
    let mut users = last.lines().filter_map(|line| line.strip_prefix("USER "));
    let user = users.next_back().unwrap_or_default();
    if !user.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)) {
        wrong.push(format!("it runs as '{user}'"));
    }
    if !last.contains("-perm /6000 -exec chmod a-s") {
        wrong.push("programs keep set-user-ID bits".to_owned());
    }
    wrong
}
