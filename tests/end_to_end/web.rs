//! Sources on web servers, from the URL to the output, and what is shown of a URL with a secret in it.

use std::{path::Path, process::Command};

use millrace_servers::{Manner, WebServer};
use serde_json::json;

use crate::common::{
    Place, Ran,
    judge::judge,
    media::{self, Constant},
    serving::{Serving, url},
};

/// A query that only the server and the records on the log may see.
const SIGNATURE: &str = "X-Sig=s3cr3t%2F";

fn clip(place: &Place) -> Vec<u8> {
    let path = place.path("a.mp4");
    media::constant(&path, Constant { seconds: "3", ..Constant::default() });
    std::fs::read(path).unwrap()
}

/// Returns a hash of each stream's packets, without the metadata of the file.
fn packets(file: &Path) -> String {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-i"]).arg(file).args(["-map", "0", "-c", "copy", "-f", "streamhash", "-"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_presigned_url_becomes_the_output_of_its_file_and_its_query_is_shown_nowhere() {
    let (place, web) = (Place::new(), WebServer::start().unwrap());
    web.put("in/my%20film.mp4", clip(&place), Manner::Signed(SIGNATURE));
    let source = web.url(&format!("in/my%20film.mp4?{SIGNATURE}"));
    let ran = place.run(&[Path::new(&source)], &["--segment-time", "1"]);
    ran.success();
    judge(&place.path("a.mp4"), &place.path("out/my film.mp4"));
    let by_path = place
        .millrace()
        .args(["run", "a.mp4", "--output", "by-path", "--data", "data2", "--json"])
        .args(["--segment-time", "1"])
        .output();
    Ran::of(by_path.unwrap()).success();
    assert_eq!(packets(&place.path("out/my film.mp4")), packets(&place.path("by-path/a.mp4")));

    let id = ran.success()["execution"].as_str().unwrap();
    let mut shown = format!("{:?}{}", ran.lines, ran.stderr);
    for arguments in [
        &["executions", "list"][..],
        &["executions", "list", "--json"],
        &["executions", "show", id],
        &["executions", "events", id],
        &["executions", "logs", id],
    ] {
        let output = place.millrace().args(arguments).args(["--data", "data"]).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        shown += &String::from_utf8_lossy(&[output.stdout, output.stderr].concat());
    }
    for json in [false, true] {
        let mut command = place.millrace();
        command.args(["probe", &source]).args(json.then_some("--json"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        shown += &String::from_utf8_lossy(&output.stdout);
    }
    assert!(shown.contains("in/my%20film.mp4?…") && !shown.contains("s3cr3t"), "{shown}");

    let before = web.requests().len();
    place.run(&[Path::new(&source)], &["--segment-time", "1"]).success();
    assert!(
        web.requests().len() <= before + 2,
        "the execution is known: the source is looked at, and not read"
    );
    let output = place.path("out/my film.mp4");
    let verified = place.millrace().args(["verify", &source]).arg(output).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

#[test]
fn a_web_server_that_loses_connections_is_read_and_one_without_ranges_is_refused() {
    let (place, web) = (Place::new(), WebServer::start().unwrap());
    web.put("cut.mp4", clip(&place), Manner::Cut);
    web.put("whole.mp4", clip(&place), Manner::Whole);
    let named = |name: &str| web.url(name);
    place.run(&[Path::new(&named("cut.mp4"))], &[]).success();
    judge(&place.path("a.mp4"), &place.path("out/cut.mp4"));
    let refused = place.run(&[Path::new(&named("whole.mp4"))], &[]);
    assert!(
        refused.failure().contains("does not serve ranges; download the file first"),
        "{}",
        refused.failure()
    );
    let listed = place.run(&[Path::new(&named("in/"))], &[]);
    assert!(listed.failure().contains("no lists of files"), "{}", listed.failure());
}

#[test]
fn nothing_is_written_to_a_web_server_and_nothing_watched_there() {
    let (place, web) = (Place::new(), WebServer::start().unwrap());
    clip(&place);
    let there = web.url("out");
    let run = |arguments: &[&str]| {
        let output = place.millrace().args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let watch = format!("{there}=made");
    for (arguments, words) in [
        (&["run", "a.mp4", "--output", &there, "--data", "data"][..], "web servers are only read"),
        (&["serve", "--data", "data", "--output-root", &there], "is on a web server, which is only read"),
        (&["serve", "--data", "data", "--watch", &watch], "can't be watched"),
        (&["serve", "--data", "data", "--source-root", &format!("{there}?a=b")], "a root has no query"),
    ] {
        let (status, said) = run(arguments);
        assert!(status == Some(2) && said.contains(words), "{arguments:?}: {status:?} {said}");
    }
    assert!(web.requests().is_empty());
}

#[test]
fn a_service_reads_from_web_servers_below_its_roots_and_nowhere_else() {
    let (place, web, other) = (Place::new(), WebServer::start().unwrap(), WebServer::start().unwrap());
    for (server, path) in [(&web, "in/a.mp4"), (&web, "private/a.mp4"), (&other, "in/a.mp4")] {
        server.put(path, clip(&place), Manner::Signed(SIGNATURE));
    }
    web.put("in/moved.mp4", Vec::new(), Manner::Redirect);
    let serving = Serving::start(&place, |command| {
        command.args(["--listen", "127.0.0.1:0", "--source-root", &web.url("in/")]);
        command.arg("--output-root").arg(place.path("out")).env_remove("MILLRACE_SOURCE_ROOTS");
        command.env_remove("MILLRACE_OUTPUT_ROOTS");
    });
    let submit = |source: String| {
        serving.post("/v1/executions", &json!({"source": source, "output_prefix": url(&place, "out")}))
    };
    let (status, accepted) = submit(web.url(&format!("in/a.mp4?{SIGNATURE}")));
    assert_eq!(status, 202, "{accepted}");
    let state = serving.ended(accepted["execution"].as_str().unwrap());
    assert_eq!(state["state"], "succeeded", "{state}");
    assert_eq!(state["source"], web.url("in/a.mp4?…"));
    judge(&place.path("a.mp4"), &place.path("out/a.mp4"));

    let asked = (web.requests().len(), other.requests().len());
    for outside in [
        web.url("private/a.mp4"),
        web.url("inside/a.mp4"),
        other.url("in/a.mp4"),
        web.url("in/a.mp4").replacen("http:", "https:", 1),
        web.url("in/a.mp4").replacen("127.0.0.1", "localhost", 1),
    ] {
        let (status, problem) = submit(format!("{outside}?{SIGNATURE}"));
        assert_eq!(status, 403, "{outside}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains("--source-root"), "{problem}");
        assert!(!problem.to_string().contains("s3cr3t"), "{problem}");
    }
    for wrong in ["in/../private/a.mp4", "in/%2e%2e/private/a.mp4", "in/..%2fprivate/a.mp4"] {
        assert_eq!(submit(web.url(wrong)).0, 422, "{wrong}");
    }
    let with_password = web.url("in/a.mp4").replacen("://", "://me:s3cr3t@", 1);
    let (status, problem) = submit(with_password);
    assert!(status == 422 && !problem.to_string().contains("s3cr3t"), "{status} {problem}");
    assert_eq!((web.requests().len(), other.requests().len()), asked, "nothing was requested");
    let (status, problem) = submit(web.url("in/moved.mp4"));
    assert!(
        (400..500).contains(&status) && problem.to_string().contains("redirects are not followed"),
        "{problem}"
    );

    let output =
        json!({"source": web.url(&format!("in/a.mp4?{SIGNATURE}")), "output_prefix": web.url("in/")});
    assert_eq!(serving.post("/v1/executions", &output).0, 403, "no output goes to a web server");
    let shown = format!(
        "{}{}",
        serving.get("/v1/executions").1,
        std::fs::read_to_string(place.path("serve.log")).unwrap()
    );
    assert!(shown.contains("in/a.mp4?…") && !shown.contains("s3cr3t"), "{shown}");
}
