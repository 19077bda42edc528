//! Millrace over HTTP, as programs use it, and as those who wish it ill do.

use std::{
    fs::File,
    io::{Read, Write},
    net::TcpStream,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

use crate::common::{
    Place,
    cluster::until,
    judge::judge,
    media::{self, Constant},
    serving::{Serving, url},
};

fn serve(place: &Place, more: &[&str]) -> Serving {
    Serving::start(place, |command| {
        command.args(more);
        if !more.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
    })
}

#[test]
fn an_upload_over_http_is_made_followed_and_made_once() {
    let place = Place::new();
    media::clip(&place.path("a.mp4"));
    let serving = serve(&place, &[]);
    let upload = json!({"source": url(&place, "a.mp4"), "output_prefix": url(&place, "out"), "segment_time_seconds": 1,
        "dst_formats": ["mp4", "flv"], "labels": {"team": "film"}});
    let key = [("Idempotency-Key", "friday-17")];
    let (status, accepted) = serving.call("/v1/executions", &key, Some(&upload.to_string()));
    assert_eq!(status, 202, "{accepted}");
    let id = accepted["execution"].as_str().unwrap().to_owned();
    let ended = serving.ended(&id);
    assert_eq!((&ended["state"], &ended["labels"]["team"]), (&"succeeded".into(), &"film".into()), "{ended}");
    for format in ["mp4", "flv"] {
        judge(&place.path("a.mp4"), &place.path(&format!("out/a.{format}")));
    }
    let (status, again) = serving.call("/v1/executions", &key, Some(&upload.to_string()));
    assert_eq!(
        (status, &again["execution"], &again["state"]),
        (200, &id.clone().into(), &"succeeded".into())
    );
    let (_, list) = serving.get("/v1/executions?state=succeeded&limit=5");
    assert_eq!(list["executions"].as_array().unwrap().len(), 1, "{list}");
    let (_, events) = serving.get(&format!("/v1/executions/{id}/events"));
    let names: Vec<&str> =
        events["events"].as_array().unwrap().iter().map(|e| e["event"].as_str().unwrap()).collect();
    assert!(names.contains(&"transcoded") && names.contains(&"succeeded"), "{names:?}");
    let (status, problem) = serving.post(&format!("/v1/executions/{id}/cancel"), &json!({}));
    assert_eq!((status, &problem["status"]), (409, &409.into()), "{problem}");
    let (status, _) = serving.post(&format!("/v1/executions/{id}/retry"), &json!({}));
    assert_eq!(status, 409);
    // What is wrong with the source fails it; put right, a new attempt makes it.
    std::fs::write(place.path("b.mp4"), b"no video").unwrap();
    let broken = json!({"source": url(&place, "b.mp4"), "output_prefix": url(&place, "out"), "name": "b"});
    let (_, accepted) = serving.post("/v1/executions", &broken);
    let id = accepted["execution"].as_str().unwrap().to_owned();
    assert_eq!(serving.ended(&id)["state"], "failed");
    let (status, retried) = serving.post(&format!("/v1/executions/{id}/retry"), &json!({}));
    assert_eq!((status, &retried["attempt"]), (202, &2.into()), "{retried}");
    until("the second attempt", || serving.get(&format!("/v1/executions/{id}")).1["attempt"] == 2);
}

#[test]
fn a_cancel_over_http_stops_the_work() {
    let place = Place::new();
    media::constant(
        &place.path("a.mp4"),
        Constant { seconds: "60", size: "1280x720", channels: 0, ..Constant::default() },
    );
    let serving = serve(&place, &[]);
    let upload = json!({"source": url(&place, "a.mp4"), "output_prefix": url(&place, "out")});
    let id = serving.post("/v1/executions", &upload).1["execution"].as_str().unwrap().to_owned();
    until("it to be at work", || serving.get(&format!("/v1/executions/{id}")).0 == 200);
    let (status, _) = serving.post(&format!("/v1/executions/{id}/cancel"), &json!({"reason": "wrong cut"}));
    assert_eq!(status, 202);
    let ended = serving.ended(&id);
    assert_eq!((&ended["state"], &ended["reason"]), (&"cancelled".into(), &"wrong cut".into()));
}

/// Something else lies at the place of one of two outputs when both are proven.
#[test]
fn an_output_that_can_not_be_published_leaves_none_of_the_others() {
    let place = Place::new();
    media::constant(
        &place.path("a.mp4"),
        Constant { seconds: "60", size: "1280x720", channels: 0, ..Constant::default() },
    );
    let serving = serve(&place, &[]);
    let upload = json!({"source": url(&place, "a.mp4"), "output_prefix": url(&place, "out"), "segment_time_seconds": 2,
        "dst_formats": ["mp4", "flv"]});
    let id = serving.post("/v1/executions", &upload).1["execution"].as_str().unwrap().to_owned();
    until("it to be at work", || serving.get(&format!("/v1/executions/{id}")).0 == 200);
    std::fs::write(place.path("out/a.flv"), b"mine").unwrap();
    let ended = serving.ended(&id);
    let reason = ended["reason"].as_str().unwrap_or_default();
    assert!(ended["state"] == "failed" && reason.contains("a.flv is there already"), "{ended}");
    let names = || -> Vec<_> {
        let mut names: Vec<_> =
            std::fs::read_dir(place.path("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(), ["a.flv"], "neither the other output nor anything hidden");
    assert_eq!(std::fs::read(place.path("out/a.flv")).unwrap(), b"mine");
    std::fs::remove_file(place.path("out/a.flv")).unwrap();
    let (status, _) = serving.post(&format!("/v1/executions/{id}/retry"), &json!({}));
    assert_eq!(status, 202);
    until("the second attempt", || serving.get(&format!("/v1/executions/{id}")).1["attempt"] == 2);
    assert_eq!(serving.ended(&id)["state"], "succeeded");
    assert_eq!(names(), ["a.flv", "a.mp4"]);
}

#[test]
fn a_probe_answers_at_once_what_the_command_says() {
    let place = Place::new();
    media::clip(&place.path("a.mp4"));
    std::fs::write(place.path("list.m3u8"), "#EXTM3U\n#EXTINF:1,\n/etc/passwd\n").unwrap();
    let serving = serve(&place, &[]);
    let (status, found) = serving.post("/v1/probe", &json!({"source": url(&place, "a.mp4")}));
    assert_eq!((status, &found["streams"][0]["codec"]), (200, &"h264".into()), "{found}");
    let said = place.millrace().args(["probe", "a.mp4", "--json"]).output().unwrap().stdout;
    assert_eq!(found, serde_json::from_slice::<Value>(&said).unwrap());
    for (source, said) in [("none.mp4", "No such file"), ("list.m3u8", "not a media file")] {
        let (status, problem) = serving.post("/v1/probe", &json!({"source": url(&place, source)}));
        assert_eq!(status, 422, "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(said) || detail.contains("playlists"), "{detail}");
    }
}

#[test]
fn what_is_wrong_with_a_request_is_a_problem_that_says_what_to_do() {
    let place = Place::new();
    media::clip(&place.path("a.mp4"));
    let serving = serve(&place, &[]);
    let source = url(&place, "a.mp4");
    let out = url(&place, "out");
    for (body, status, said) in [
        ("{".to_owned(), 400, "EOF"),
        ("[]".to_owned(), 400, "a JSON object"),
        (json!({"source": source}).to_string(), 400, "output_prefix"),
        (json!({"source": source, "output_prefix": out, "crf": 5}).to_string(), 400, "crf"),
        (
            json!({"source": source, "output_prefix": out, "dst_formats": ["avi"]}).to_string(),
            422,
            "known formats",
        ),
        (
            json!({"source": source, "output_prefix": out, "segment_time_seconds": 0}).to_string(),
            422,
            "segment time",
        ),
        (json!({"source": source, "output_prefix": "out"}).to_string(), 422, "give a URL"),
        (json!({"source": url(&place, "none.mov"), "output_prefix": out}).to_string(), 422, "none.mov"),
        (json!({"source": source, "output_prefix": out, "work": "x"}).to_string(), 422, "leave it out"),
        (json!({"output_prefix": out}).to_string(), 422, "names its source"),
    ] {
        let (found, problem) = serving.call("/v1/executions", &[], Some(&body));
        assert_eq!(found, status, "{body}: {problem}");
        assert_eq!(problem["status"], status);
        assert!(
            problem["title"].is_string() && problem["detail"].as_str().unwrap().contains(said),
            "{body}: {problem}"
        );
    }
    let plain = [("Content-Type", "text/plain")];
    assert_eq!(
        serving.call("/v1/executions", &plain, Some("{}")).0,
        415,
        "no form of a strange page does anything"
    );
    assert_eq!(serving.get("/v1/executions/0123456789abcdef").0, 404);
    assert_eq!(serving.get("/v1/nothing").0, 404);
    assert_eq!(serving.get("/v1/probe").0, 405);
    assert_eq!(serving.get("/v1/executions?state=done").0, 400);
    assert_eq!(serving.post("/v1/notifications", &json!({"hello": 1})).0, 400);
    let test = r#"{"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "videos"}"#;
    let sns = [("Content-Type", "text/plain; charset=UTF-8"), ("x-amz-sns-message-type", "Notification")];
    assert_eq!(serving.call("/v1/notifications", &sns, Some(test)).0, 200);
    assert_eq!(serving.call("/v1/notifications", &plain, Some(test)).0, 415);
    let (status, list) = serving.get("/v1/executions");
    assert_eq!((status, list["executions"].as_array().unwrap().len()), (200, 0), "nothing was begun");
}

#[test]
fn strangers_need_a_token() {
    let place = Place::new();
    place.write("tokens", "# the team's\nopen-sesame\n");
    // Without tokens only this machine may call.
    let refused =
        place.millrace().args(["serve", "--data", "data", "--listen", "0.0.0.0:0"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--token-file"));
    let mut serving = serve(&place, &["--token-file", "tokens", "--listen", "0.0.0.0:0"]);
    serving.address = serving.address.replace("0.0.0.0", "127.0.0.1");
    assert_eq!(serving.get("/healthz").0, 200);
    for path in ["/v1/executions", "/metrics"] {
        assert_eq!(serving.get(path).0, 401, "{path}");
        assert_eq!(serving.call(path, &[("Authorization", "Bearer guessed")], None).0, 401);
        assert_eq!(serving.call(path, &[("Authorization", "Bearer open-sesame")], None).0, 200);
    }
    let said = std::fs::read_to_string(place.path("serve.log")).unwrap();
    assert!(!said.contains("open-sesame"), "no log line holds a token");
}

#[test]
fn a_hundred_clients_at_once_slow_ones_cut_ones_and_huge_ones_bring_nothing_down() {
    let place = Place::new();
    media::constant(
        &place.path("a.mp4"),
        Constant { seconds: "0.2", size: "64x64", channels: 0, ..Constant::default() },
    );
    let serving = Arc::new(serve(&place, &[]));
    let accepted = Arc::new(Mutex::new(Vec::new()));
    let upload = |number: usize| json!({"source": url(&place, "a.mp4"), "output_prefix": url(&place, &format!("out{number}")), "name": format!("n{number}")});
    let bodies: Vec<String> = (0..100).map(|number| upload(number).to_string()).collect();
    std::thread::scope(|scope| {
        for (number, body) in bodies.iter().enumerate() {
            let (serving, accepted) = (serving.clone(), accepted.clone());
            scope.spawn(move || match number % 10 {
                // Headers of a megabyte.
                0 => {
                    let mut stream = TcpStream::connect(&serving.address).unwrap();
                    let _ = write!(stream, "GET /v1/executions HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
                    let mut answer = String::new();
                    let _ = stream.read_to_string(&mut answer);
                    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
                }
                // A body of ten gigabytes, as far as anybody takes it.
                1 => {
                    let mut stream = TcpStream::connect(&serving.address).unwrap();
                    let head = "POST /v1/executions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10737418240\r\n\r\n";
                    stream.write_all(head.as_bytes()).unwrap();
                    let chunk = [b'x'; 65_536];
                    let sent = (0..2000).take_while(|_| stream.write_all(&chunk).is_ok()).count();
                    assert!(sent < 2000, "it took a hundred megabytes");
                }
                // One that goes in the middle of its request.
                2 => {
                    let mut stream = TcpStream::connect(&serving.address).unwrap();
                    let half = &body[..body.len() / 2];
                    let _ = write!(stream, "POST /v1/executions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{half}", body.len());
                }
                // One that reads nothing of what it is sent.
                3 => {
                    let mut stream = TcpStream::connect(&serving.address).unwrap();
                    for _ in 0..50 {
                        let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
                    }
                    std::mem::forget(stream);
                }
                _ => {
                    let (status, answer) = serving.call("/v1/executions", &[], Some(body));
                    assert_eq!(status, 202, "{answer}");
                    accepted.lock().unwrap().push(answer["execution"].as_str().unwrap().to_owned());
                }
            });
        }
    });
    let accepted = accepted.lock().unwrap().clone();
    assert_eq!(accepted.len(), 60);
    assert_eq!(serving.get("/healthz").0, 200);
    for id in &accepted {
        assert_eq!(serving.ended(id)["state"], "succeeded", "every accepted execution is on the log");
    }
    let said = std::fs::read_to_string(place.path("serve.log")).unwrap();
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_file_that_is_put_into_a_watched_folder_is_made_when_it_is_whole() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("in/2026")).unwrap();
    media::constant(&place.path("a.mp4"), Constant { seconds: "2", ..Constant::default() });
    let watch = format!("{}={}", place.path("in").display(), place.path("out").display());
    let serving = serve(&place, &["--watch", &watch]);
    // It comes in pieces.
    let bytes = std::fs::read(place.path("a.mp4")).unwrap();
    let mut file = File::create(place.path("in/2026/a b.mp4")).unwrap();
    for piece in bytes.chunks(bytes.len() / 5 + 1) {
        file.write_all(piece).unwrap();
        file.sync_all().unwrap();
        // Whoever copies over a slow network pauses; the pauses are what is tested.
        std::thread::sleep(std::time::Duration::from_millis(700));
    }
    drop(file);
    std::fs::write(place.path("in/notes.txt"), b"no media").unwrap();
    std::fs::write(place.path("in/.hidden.mp4"), b"not whole").unwrap();
    let all = || serving.get("/v1/executions").1["executions"].as_array().unwrap().clone();
    until("it to be made", || all().iter().any(|one| one["state"] == "succeeded"));
    judge(&place.path("a.mp4"), &place.path("out/2026/a b.mp4"));
    // Another version is another execution; what was seen is not made again by the next process.
    media::constant(&place.path("b.mp4"), Constant { seconds: "1", ..Constant::default() });
    std::fs::copy(place.path("b.mp4"), place.path("in/2026/a b.mp4")).unwrap();
    until("the newer version", || all().iter().filter(|one| one["state"] == "succeeded").count() == 2);
    judge(&place.path("b.mp4"), &place.path("out/2026/a b.mp4"));
    drop(serving);
    let serving = serve(&place, &["--watch", &watch]);
    std::fs::copy(place.path("a.mp4"), place.path("in/c.mp4")).unwrap();
    let all = || serving.get("/v1/executions").1["executions"].as_array().unwrap().clone();
    until("the third", || all().iter().filter(|one| one["state"] == "succeeded").count() == 3);
    assert_eq!(all().len(), 3);
}
