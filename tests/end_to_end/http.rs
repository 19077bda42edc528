//! The borders of HTTP: who may call by which name, by which way, and how many at once.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    time::{Duration, Instant},
};

use crate::common::{Place, cluster::until, serving::Serving};

fn serve(place: &Place, listen: &str, more: &[&str]) -> Serving {
    Serving::start(place, |command| {
        command.args(["--listen", listen]).args(more);
    })
}

/// The status that a request is answered with.
fn answered(mut stream: impl Read + Write, request: &str) -> u16 {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[9..]).parse().unwrap()
}

fn get(serving: &Serving, path: &str, headers: &str) -> u16 {
    let request = format!("GET {path} HTTP/1.1\r\n{headers}\r\n");
    answered(TcpStream::connect(&serving.address).unwrap(), &request)
}

#[test]
fn on_loopback_a_page_of_a_stranger_reaches_nothing() {
    let place = Place::new();
    let serving = serve(&place, "127.0.0.1:0", &["--allowed-host", "media.example.org"]);
    let port = serving.address.rsplit(':').next().unwrap();
    for own in [format!("127.0.0.1:{port}"), format!("localhost:{port}"), "media.example.org".into()] {
        assert_eq!(get(&serving, "/v1/executions", &format!("Host: {own}\r\n")), 200, "{own}");
    }
    // A name of the stranger's that leads here (DNS rebinding).
    for path in ["/v1/executions", "/metrics", "/healthz", "/nowhere"] {
        assert_eq!(get(&serving, path, &format!("Host: evil.example:{port}\r\n")), 403, "{path}");
        assert_eq!(get(&serving, path, "Host: localhost\r\nOrigin: http://evil.example\r\n"), 403, "{path}");
        assert_eq!(get(&serving, path, "Host: localhost\r\nOrigin: null\r\n"), 403, "{path}");
    }
    let post = "POST /v1/executions HTTP/1.1\r\nHost: evil.example\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    assert_eq!(answered(TcpStream::connect(&serving.address).unwrap(), post), 403);
    let absolute = "GET http://evil.example/v1/executions HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(answered(TcpStream::connect(&serving.address).unwrap(), absolute), 403);
    let own = format!("Host: localhost:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n");
    assert_eq!(get(&serving, "/v1/executions", &own), 200);
}

#[test]
fn a_unix_socket_is_for_its_user_and_group_and_is_gone_with_its_process() {
    let place = Place::new();
    let path = place.path("m.sock");
    let listen = format!("unix:{}", path.display());
    let mut serving = serve(&place, &listen, &[]);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let ask = "GET /v1/executions HTTP/1.1\r\nHost: millrace\r\n\r\n";
    assert_eq!(answered(UnixStream::connect(&path).unwrap(), ask), 200);
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(serving.child.id().cast_signed()),
        nix::sys::signal::Signal::SIGTERM,
    )
    .unwrap();
    assert!(serving.child.wait().unwrap().success());
    assert!(!path.exists());
}

#[test]
fn with_1200_connections_open_it_still_says_that_it_lives() {
    let place = Place::new();
    let serving = serve(&place, "127.0.0.1:0", &[]);
    let mut open = Vec::new();
    for number in 0..1200 {
        let mut stream = TcpStream::connect(&serving.address).unwrap();
        // Half of them have begun to ask.
        if number % 2 == 0 {
            let _ = stream.write_all(b"GET /v1/executions HTTP/1.1\r\nHost: local");
        }
        open.push(stream);
    }
    let mut slowest = Duration::ZERO;
    for path in ["/healthz", "/readyz"].into_iter().cycle().take(40) {
        let begun = Instant::now();
        assert_eq!(get(&serving, path, "Host: localhost\r\n"), 200, "{path}");
        slowest = slowest.max(begun.elapsed());
    }
    assert_eq!(get(&serving, "/v1/executions", "Host: localhost\r\n"), 503, "there is no room for more");
    eprintln!("the slowest answer took {slowest:?}");
    drop(open);
    until("room for others", || get(&serving, "/v1/executions", "Host: localhost\r\n") == 200);
}
