//! What is wrong with a cluster, or with what Millrace is told of it: each gets an error that says what to do.

use millrace_servers::{Kafka, Registry, Security};

use crate::common::{
    cluster::{BROKER, Called, Cluster, REGISTRY, until},
    judge::judge,
    media::{self, Constant},
};

const WORK: &str = "file:///tmp/millrace-refusals";

fn serve(cluster: &Cluster, more: &[&str]) -> Called {
    cluster.call(&[&["serve", "--listen", "none", "--work", WORK], more].concat())
}

#[test]
fn calls_that_are_wrong_begin_nothing() {
    let cluster = Cluster::bare("127.0.0.1:1", None);
    let wrong = |arguments: &[&str], said: &str| {
        let called = cluster.call(arguments);
        assert_eq!(called.status, 2, "{arguments:?}: {}", called.stderr);
        assert!(called.stderr.contains(said), "{arguments:?}: {}", called.stderr);
    };
    wrong(&["serve"], "--work is needed");
    wrong(&["serve", "--work", "/mnt/work"], "a URL is wanted, such as s3://");
    wrong(
        &["serve", "--work", WORK, "--processors", "splits"],
        "there are trigger, admit, accept, split, transcode, assemble, merge, cleanup",
    );
    wrong(&["serve", "--work", WORK, "--listen", "0.0.0.0:8080"], "--token-file");
    wrong(&["serve", "--work", WORK, "--watch", "s3://b/in/"], "FROM=TO is wanted");
    wrong(
        &[
            "serve",
            "--work",
            WORK,
            "--watch",
            "s3://b/in/=s3://b/in/out",
            "--watch",
            "s3://b/in/out/=s3://b/x",
        ],
        "of their own",
    );
    wrong(&["serve", "--work", WORK, "--processors", "trigger"], "nothing to watch");
    wrong(&["serve", "--work", WORK, "--default-store", "ftp"], "there are s3, gs and az");
    wrong(&["serve", "--work", WORK, "--grace=-1"], "--grace");
    wrong(&["serve", "--work", WORK, "--property", "linger"], "NAME=VALUE");
    let config = cluster.place.write("millrace.toml", "brokerz = 'kafka:9092'");
    wrong(&["serve", "--config", config.to_str().unwrap()], "brokerz");
    let absent = cluster.place.path("absent.toml");
    wrong(&["topology", "--check", "--config", absent.to_str().unwrap()], "absent.toml");
    wrong(&["submit", "a.mov", "b.mov", "-o", "out", "--name", "x"], "a name is of one source");
    wrong(&["submit", "a.mov", "-o", "out", "--segment-time", "0"], "segment");
    wrong(&["submit", "--record", "absent.json"], "absent.json");
}

#[test]
fn a_cluster_that_is_not_there_is_named_with_the_reason() {
    let cluster = Cluster::bare("127.0.0.1:1", None);
    for arguments in [&["executions", "list"][..], &["topology", "--check"], &["serve", "--work", WORK]] {
        let called = cluster.call(arguments);
        assert_eq!(called.status, 1, "{}", called.stderr);
        assert!(called.stderr.contains("can't reach Kafka at 127.0.0.1:1"), "{}", called.stderr);
        assert!(called.stderr.contains("Connection refused"), "{}", called.stderr);
        assert!(called.stderr.lines().count() < 6, "a line, and not ten thousand: {}", called.stderr);
    }
}

#[test]
fn properties_that_are_none_or_are_not_the_users_are_named() {
    let cluster = Cluster::bare(&BROKER.brokers(), None);
    for (property, said) in [
        ("isolation.level=read_uncommitted", "can't be set"),
        ("linger.mz=5", "linger.mz"),
        ("linger.ms=x", "linger.ms"),
    ] {
        let called = serve(&cluster, &["--property", property]);
        assert_eq!(called.status, 1, "{}", called.stderr);
        assert!(called.stderr.contains(said), "{}", called.stderr);
    }
}

#[test]
fn topics_that_are_missing_or_have_other_partitions_are_refused_at_start() {
    let cluster = Cluster::bare(&BROKER.brokers(), None);
    let called = serve(&cluster, &[]);
    assert_eq!(called.status, 1);
    assert!(
        called.stderr.contains(&format!("the topic '{}' is missing", cluster.topic("uploads"))),
        "{}",
        called.stderr
    );
    assert!(called.stderr.contains("millrace topology --apply"), "{}", called.stderr);
    let checked = cluster.call(&["topology", "--check"]);
    assert_eq!((checked.status, checked.stdout.matches("is missing").count()), (1, 15), "{}", checked.stdout);
    // A file with fewer partitions made some of them.
    let few = cluster
        .place
        .write("few.toml", "[kafka.partitions]\nsegments = 3\n'transcoded-segments' = 2\nassemblies = 2");
    let applied = cluster.call(&["topology", "--apply", "--config", few.to_str().unwrap()]);
    assert_eq!(applied.status, 0, "{}{}", applied.stdout, applied.stderr);
    assert_eq!(applied.stdout.matches("made  ").count(), 15, "{}", applied.stdout);
    let called = serve(&cluster, &[]);
    assert_eq!(called.status, 1);
    assert!(called.stderr.contains("has 3 partitions, and 12 are wanted"), "{}", called.stderr);
    assert!(called.stderr.contains("has 2 partitions and must have 4"), "{}", called.stderr);
    // Under the file all is well; a keyed topic that grew is refused, one that may grow is not.
    let check = ["topology", "--check", "--config", few.to_str().unwrap()];
    assert_eq!(cluster.call(&check).status, 0, "{}", cluster.call(&check).stdout);
    grow(&cluster, "segments", 6);
    assert_eq!(cluster.call(&check).status, 0);
    grow(&cluster, "assemblies", 6);
    let called = cluster.call(&check);
    assert_eq!(called.status, 1);
    assert!(called.stdout.contains("has 6 partitions and must have 2"), "{}", called.stdout);
    let wrong = cluster.place.write("wrong.toml", "[kafka.partitions]\nassemblies = 2");
    let called = cluster.call(&["topology", "--apply", "--config", wrong.to_str().unwrap()]);
    assert!(called.stderr.contains("must have the same number"), "{}", called.stderr);
}

/// Whoever administers the cluster adds partitions.
fn grow(cluster: &Cluster, stream: &str, partitions: u32) {
    let (brokers, topic, count) = (BROKER.brokers(), cluster.topic(stream), partitions.to_string());
    let arguments = ["--bootstrap-server", &brokers, "--alter", "--topic", &topic, "--partitions", &count];
    millrace_servers::tool("org.apache.kafka.tools.TopicCommand", &arguments).unwrap();
    until("the partitions", || {
        let told = millrace_servers::tool(
            "org.apache.kafka.tools.TopicCommand",
            &["--bootstrap-server", &brokers, "--describe", "--topic", &topic],
        );
        told.unwrap().contains(&format!("PartitionCount: {count}"))
    });
}

#[test]
fn what_brokers_forget_too_early_is_told() {
    let broker =
        Kafka::start_with(Security::Open, &["offsets.retention.minutes=60", "message.max.bytes=500000"])
            .unwrap();
    let cluster = Cluster::bare(&broker.brokers(), None);
    let applied = cluster.call(&["topology", "--apply"]);
    assert_eq!(applied.status, 0, "{}{}", applied.stdout, applied.stderr);
    assert!(applied.stdout.contains("offsets.retention.minutes"), "{}", applied.stdout);
    assert!(applied.stdout.contains("accept records of at most 500000 bytes"), "{}", applied.stdout);
}

/// A broker that knows who calls, and lets nobody do anything that was not granted.
#[test]
fn credentials_are_told_right_from_wrong_over_tls_and_the_printed_acls_are_enough() {
    let strict = [
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        // The controller's listener knows nobody.
        "super.users=User:admin;User:ANONYMOUS",
    ];
    let broker = Kafka::start_with(Security::SaslSsl, &strict).unwrap();
    let ca = broker.folder().join("ca.pem");
    let config = |user: &str, password: &str| {
        format!(
            "brokers = '{}'\n[kafka.properties]\n'security.protocol' = 'sasl_ssl'\n'sasl.mechanism' = 'PLAIN'\n\
             'sasl.username' = '{user}'\n'sasl.password' = '{password}'\n'ssl.ca.location' = '{}'\n",
            broker.brokers(),
            ca.display()
        )
    };
    let cluster = Cluster::bare(&broker.brokers(), None);
    let write = |name: &str, text: String| cluster.place.write(name, text).to_string_lossy().into_owned();
    let wrong = write("wrong.toml", config("alice", "guessed"));
    let called = cluster.call(&["topology", "--apply", "--config", &wrong]);
    assert_eq!(called.status, 1);
    assert!(called.stderr.contains("Authentication failed"), "{}", called.stderr);
    // Without TLS nothing is told to anybody.
    let called = cluster.call(&["executions", "list"]);
    assert_eq!(called.status, 1);
    assert!(called.stderr.contains("can't reach Kafka"), "{}", called.stderr);

    let admin = write("admin.toml", config("admin", "admin-secret"));
    let applied = cluster.call(&["topology", "--apply", "--config", &admin]);
    assert_eq!(applied.status, 0, "{}", applied.stderr);
    // Alice is known, and may do nothing yet.
    let alice = write("alice.toml", config("alice", "alice-secret"));
    let called = serve(&cluster, &["--config", &alice]);
    assert_eq!(called.status, 1, "{}", called.stderr);
    let client = write(
        "client.properties",
        format!(
            "security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nssl.truststore.location={}\nssl.truststore.password=changeit\n\
             sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username=\"admin\" \
             password=\"admin-secret\";\n",
            broker.folder().join("broker.p12").display()
        ),
    );
    let printed = cluster.call(&["topology", "--acls", "User:alice", "--config", &alice]).stdout;
    for line in printed.lines().take_while(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().skip(1).map(|word| word.trim_matches('\'')).collect();
        millrace_servers::tool(
            "org.apache.kafka.tools.AclCommand",
            &[&words[..], &["--command-config", &client]].concat(),
        )
        .unwrap();
    }
    media::constant(&cluster.place.path("a.mp4"), Constant { seconds: "2", ..Constant::default() });
    let server = cluster.serve("one", &["--config", &alice]).ready();
    let submitted =
        cluster.call(&["submit", "a.mp4", "-o", "out", "--wait", "--json", "--config", &alice]).json();
    submitted.success();
    judge(&cluster.place.path("a.mp4"), &cluster.place.path("out/a.mp4"));
    for arguments in [&["executions", "list"][..], &["dead", "list"], &["topology", "--check"]] {
        let called = cluster.call(&[arguments, &["--config", &alice]].concat());
        assert_eq!(called.status, 0, "{arguments:?}: {}{}", called.stdout, called.stderr);
    }
    assert_eq!(server.stop(), 0);
}

#[test]
fn what_is_needed_may_be_granted_line_by_line() {
    let cluster = Cluster::bare("kafka:9092", None);
    let called = cluster.call(&["topology", "--acls", "User:media"]);
    assert_eq!(called.status, 0, "{}", called.stderr);
    for text in [
        "--allow-principal User:media",
        &format!("--topic '{}'", cluster.topic("uploads")),
        &format!("--group '{}-transcode'", cluster.application()),
        &format!("--transactional-id '{}-'", cluster.application()),
        &format!("User:PRODUCER --topic '{}' --operation Write", cluster.topic("uploads")),
    ] {
        assert!(called.stdout.contains(text), "{text}: {}", called.stdout);
    }
}

#[test]
fn a_registry_that_is_away_or_holds_something_else_is_told() {
    let away = Cluster::on(&BROKER.brokers(), None);
    let called = serve(&away, &["--schema-registry", "http://127.0.0.1:1/apis"]);
    assert_eq!(called.status, 1);
    assert!(
        called.stderr.contains("schema registry") && called.stderr.contains("does not answer"),
        "{}",
        called.stderr
    );
    let called = serve(&away, &["--schema-registry", "registry:8081"]);
    assert!(called.stderr.contains("http"), "{}", called.stderr);
    // Somebody registered another schema under the subject.
    let cluster = Cluster::bare(&BROKER.brokers(), Some(REGISTRY.url()));
    let subject = format!("{}/subjects/{}-value", REGISTRY.url(), cluster.topic("uploads"));
    let body = r#"{"schema": "{\"type\": \"record\", \"name\": \"Invoice\", \"fields\": [{\"name\": \"sum\", \"type\": \"long\"}]}"}"#;
    let level = format!("{}/config/{}-value", REGISTRY.url(), cluster.topic("uploads"));
    let json = "application/vnd.schemaregistry.v1+json";
    ureq::post(&format!("{subject}/versions")).header("Content-Type", json).send(body).unwrap();
    ureq::put(&level).header("Content-Type", json).send(r#"{"compatibility": "FULL_TRANSITIVE"}"#).unwrap();
    let called = cluster.call(&["topology", "--apply"]);
    assert_eq!(called.status, 1);
    assert!(called.stderr.contains("incompatible"), "{}", called.stderr);
}

#[test]
fn a_registry_that_goes_while_work_goes_on_holds_nothing_that_is_known() {
    let mut registry = Registry::start().unwrap();
    let cluster = Cluster::on(&BROKER.brokers(), Some(registry.url()));
    media::constant(&cluster.place.path("a.mp4"), Constant { seconds: "3", ..Constant::default() });
    let server = cluster.serve("one", &[]).ready();
    cluster.submit("a.mp4", "first", &["--segment-time", "1"]);
    registry.kill();
    // Who serves knows all ids that it needs; who comes anew is told that there is no registry.
    let called = cluster.call(&["executions", "list"]);
    assert_eq!(called.status, 1, "{}", called.stdout);
    until("the end", || server.said().contains("published"));
    registry.resume().unwrap();
    assert_eq!(server.stop(), 0);
}
