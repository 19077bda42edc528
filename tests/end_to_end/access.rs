//! Two principals on one process: nothing of the one can be read, cancelled, tried again, named or overwritten by the other.

use std::{fs::File, path::Path};

use millrace_runtime::{Embedded, Log, NewRecord, Transaction};
use millrace_schemas::Upload;
use millrace_topology::{Emit, Placement, streams};
use serde_json::{Value, json};

use crate::common::{
    Place,
    cluster::until,
    media::{self, Constant},
    serving::{Serving, url},
};

/// Each principal has a folder of its own; what lies in `private` is nobody's.
fn serve(place: &Place, access: &str) -> Serving {
    let folder = place.path("").display().to_string();
    let folder = folder.trim_end_matches('/');
    let principal = |name: &str| {
        format!(
            "[[access.principal]]\nname = '{name}'\ntokens = ['{name}-token']\nsources = ['{folder}/{name}/in']\n\
             outputs = ['{folder}/{name}/out']\nmax_bytes = 5000000\n"
        )
    };
    let settings = format!(
        "[access]\n{access}\n{}{}[[access.principal]]\nname = 'ops'\ntokens = ['ops-token']\nmay = ['admin']\n",
        principal("press"),
        principal("sport")
    );
    place.write("millrace.toml", settings);
    Serving::start(place, |command| {
        command.args(["--listen", "127.0.0.1:0", "--config", "millrace.toml", "--watch", "watched=made"]);
        command.env_remove("MILLRACE_SOURCE_ROOTS").env_remove("MILLRACE_OUTPUT_ROOTS");
    })
}

/// The answer to a call with somebody's token; a body makes it a POST.
fn call(serving: &Serving, who: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let token = format!("Bearer {who}-token");
    serving.call(path, &[("Authorization", &token)], body.map(Value::to_string).as_deref())
}

/// The state of an execution once it has ended, as an administrator sees it.
fn ended(serving: &Serving, execution: &str) -> Value {
    serving.ended_for(execution, &[("Authorization", "Bearer ops-token")])
}

fn executions(serving: &Serving, who: &str) -> Vec<Value> {
    let (status, list) = call(serving, who, "/v1/executions", None);
    assert_eq!(status, 200, "{list}");
    list["executions"].as_array().unwrap().clone()
}

fn clip(path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    media::constant(path, Constant { seconds: "1", ..Constant::default() });
}

fn folders(place: &Place) {
    for name in ["press/in", "press/out", "sport/in", "sport/out", "watched", "made", "private"] {
        std::fs::create_dir_all(place.path(name)).unwrap();
    }
}

#[test]
fn over_http_each_principal_has_its_own_executions_names_and_places_and_no_others() {
    let place = Place::new();
    folders(&place);
    clip(&place.path("press/in/a.mp4"));
    std::fs::copy(place.path("press/in/a.mp4"), place.path("sport/in/a.mp4")).unwrap();
    std::fs::copy(place.path("press/in/a.mp4"), place.path("private/a.mp4")).unwrap();
    let serving = serve(&place, "");
    let upload = |of: &str, to: &str| json!({"source": url(&place, of), "output_prefix": url(&place, to), "name": "friday"});
    let submit = |who: &str, of: &str, to: &str| call(&serving, who, "/v1/executions", Some(&upload(of, to)));
    let id = |accepted: &Value| accepted["execution"].as_str().unwrap().to_owned();

    // The same name is two executions.
    let (status, press) = submit("press", "press/in/a.mp4", "press/out");
    assert_eq!(status, 202, "{press}");
    let (status, sport) = submit("sport", "sport/in/a.mp4", "sport/out");
    assert_eq!(status, 202, "{sport}");
    assert_ne!(id(&press), id(&sport));
    for (execution, who) in [(id(&press), "press"), (id(&sport), "sport")] {
        let state = ended(&serving, &execution);
        assert_eq!((&state["state"], &state["principal"]), (&"succeeded".into(), &who.into()), "{state}");
        assert!(place.path(&format!("{who}/out/a.mp4")).exists());
    }

    // What is another's is not there.
    for (path, body) in
        [("", None), ("/events", None), ("/cancel", Some(json!({}))), ("/retry", Some(json!({})))]
    {
        let path = format!("/v1/executions/{}{path}", id(&press));
        assert_eq!(call(&serving, "sport", &path, body.as_ref()).0, 404, "{path}");
        assert_ne!(call(&serving, "press", &path, body.as_ref()).0, 404, "{path}");
    }
    let listed = |who: &str| executions(&serving, who).iter().map(&id).collect::<Vec<_>>();
    assert_eq!((listed("press"), listed("sport")), (vec![id(&press)], vec![id(&sport)]));
    assert_eq!(listed("ops").len(), 2);

    // Nor read, nor written to.
    for (of, to, setting) in [
        ("press/in/a.mp4", "sport/out", "sources"),
        ("private/a.mp4", "sport/out", "sources"),
        ("sport/in/a.mp4", "press/out", "outputs"),
        ("watched/a.mp4", "sport/out", "sources"),
    ] {
        let (status, problem) = submit("sport", of, to);
        assert_eq!(status, 403, "{of} to {to}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(setting), "{problem}");
    }
    assert_eq!(submit("sport", "sport/in/../../private/a.mp4", "sport/out").0, 422, "'..' is in no URL");
    let probe = json!({"source": url(&place, "press/in/a.mp4")});
    assert_eq!(call(&serving, "sport", "/v1/probe", Some(&probe)).0, 403);
    assert_eq!(call(&serving, "press", "/v1/probe", Some(&probe)).0, 200);

    // What is watched is nobody's of them; metrics are the administrator's, who uploads nothing of its own accord.
    let event = json!({"Records": [{"eventName": "s3:ObjectCreated:Put",
        "s3": {"bucket": {"name": "videos"}, "object": {"key": "in/a.mp4", "size": 1, "eTag": "x"}}}]});
    assert_eq!(call(&serving, "press", "/v1/notifications", Some(&event)).0, 403);
    assert_eq!(call(&serving, "press", "/metrics", None).0, 403);
    assert_eq!(call(&serving, "ops", "/metrics", None).0, 200);
    assert_eq!(call(&serving, "nobody", "/v1/executions", None).0, 401);
    let long = place.path("press/in/long.mp4");
    File::create(&long).unwrap().set_len(5_000_001).unwrap();
    let (status, problem) = submit("press", "press/in/long.mp4", "press/out");
    assert_eq!(status, 422, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("size in bytes"), "{problem}");

    // What a notification began is the default principal's, and nobody else's.
    clip(&place.path("watched/w.mp4"));
    let is_it = |one: &Value| one.to_string().contains("watched/w.mp4");
    until("it to be noticed", || executions(&serving, "ops").iter().any(is_it));
    let watched = executions(&serving, "ops").into_iter().find(is_it).unwrap();
    assert_eq!(ended(&serving, &id(&watched))["state"], "succeeded");
    for (path, body) in [("", None), ("/cancel", Some(json!({}))), ("/retry", Some(json!({})))] {
        let path = format!("/v1/executions/{}{path}", id(&watched));
        assert_eq!(call(&serving, "press", &path, body.as_ref()).0, 404, "{path}");
    }
    assert!(!executions(&serving, "press").iter().any(is_it));
}

/// Publishes a record on `uploads`, as any producer may.
fn produce(place: &Place, upload: &Upload, headers: &[(&str, &str)]) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let log = Embedded::open(&place.path("data/log.sqlite")).unwrap();
        let emit = Emit {
            stream: streams::UPLOADS.name,
            key: Vec::new(),
            value: Some(serde_json::to_vec(upload).unwrap()),
            placement: Placement::ByKey,
        };
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
        let record = NewRecord { emit, headers: headers.collect() };
        log.commit(Transaction { records: vec![record], ..Transaction::default() }).await.unwrap();
    });
}

/// The reasons of dead letters.
fn dead(place: &Place) -> Vec<String> {
    let output = place.millrace().args(["dead", "list", "--data", "data", "--json"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["reason"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn on_the_log_nobody_says_what_only_millrace_may_and_a_header_names_nobody_unless_it_is_trusted() {
    let place = Place::new();
    folders(&place);
    clip(&place.path("press/in/a.mp4"));
    let serving = serve(&place, "kafka = 'sport'");
    let upload = Upload::of(&url(&place, "press/in/a.mp4"), &url(&place, "press/out"));
    let forged = [
        Upload { principal: "press".into(), ..upload.clone() },
        Upload { work: Some("0123456789abcdef-1".into()), ..upload.clone() },
        Upload { attempt: 2, ..upload.clone() },
        Upload { replay: Some("1".into()), ..upload.clone() },
    ];
    for forged in &forged {
        produce(&place, forged, &[]);
    }
    until("the dead letters", || dead(&place).len() == forged.len());
    for field in ["'principal'", "'work'", "'attempt'", "'replay'"] {
        assert!(dead(&place).iter().any(|reason| reason.contains(field)), "{field}: {:?}", dead(&place));
    }
    assert!(executions(&serving, "ops").is_empty(), "no execution fails for what a stranger forged");

    // With a header or without it is an upload of 'sport', which reaches nothing of 'press'.
    for (name, headers) in [("plain", &[][..]), ("header", &[("millrace-principal", "press")])] {
        produce(&place, &Upload { name: Some(name.into()), ..upload.clone() }, headers);
    }
    until("both to fail", || {
        executions(&serving, "sport").iter().filter(|one| one["ended"].is_string()).count() == 2
    });
    for state in executions(&serving, "sport") {
        assert_eq!(state["state"], "failed", "{state}");
        assert!(state["reason"].as_str().unwrap().contains("'sport' may read sources"), "{state}");
    }
    assert!(executions(&serving, "press").is_empty() && place.names("press/out").is_empty());
}

#[test]
fn a_trusted_header_names_the_principal_and_one_that_is_unknown_is_refused() {
    let place = Place::new();
    folders(&place);
    clip(&place.path("press/in/a.mp4"));
    let serving = serve(&place, "trust_header = true");
    let upload = Upload::of(&url(&place, "press/in/a.mp4"), &url(&place, "press/out"));
    produce(&place, &upload, &[("millrace-principal", "press")]);
    produce(&place, &upload, &[("millrace-principal", "gone")]);
    // Without one it is the default principal's, which reaches what is watched.
    produce(&place, &upload, &[]);
    until("all to end", || {
        executions(&serving, "ops").iter().filter(|one| one["ended"].is_string()).count() == 3
    });
    for state in executions(&serving, "ops") {
        let expected = match state["principal"].as_str().unwrap() {
            "press" => ("succeeded", ""),
            "gone" => ("failed", "no principal 'gone'"),
            _ => ("failed", "--source-root"),
        };
        assert_eq!(state["state"], expected.0, "{state}");
        assert!(state["reason"].as_str().unwrap_or("").contains(expected.1), "{state}");
    }
}
