//! A web server for tests, in this process: it serves ranges of files in memory, or replies as servers do that can't be read from.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// How the server replies to requests of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Manner {
    /// With ranges, a strong ETag and Last-Modified, and only if the request's conditions hold.
    #[default]
    Ranges,
    /// With ranges, whatever the request's conditions are.
    Careless,
    /// With ranges, a weak ETag and Last-Modified.
    Weak,
    /// With ranges, and nothing that names the version.
    Unversioned,
    /// With the whole file, whatever range is requested.
    Whole,
    /// With ranges of the file as gzip.
    Encoded,
    /// With a redirect to another file.
    Redirect,
    /// With ranges, if the request has this query, and 403 without it.
    Signed(&'static str),
    /// With a range of which only the first half arrives, once in two requests.
    Cut,
}

#[derive(Default)]
struct File {
    bytes: Arc<Vec<u8>>,
    version: u32,
    manner: Manner,
}

#[derive(Default)]
struct Files {
    files: BTreeMap<String, File>,
    version: u32,
    /// The statuses of the next replies, before any file is looked up.
    next: VecDeque<u16>,
    /// The heads of all requests.
    requests: Vec<String>,
}

/// A web server on a port of this machine; it ends with the test.
pub struct WebServer {
    address: String,
    files: Arc<Mutex<Files>>,
    over: Arc<AtomicBool>,
}

impl WebServer {
    /// Starts a server without files.
    ///
    /// # Errors
    /// If there is no free port.
    pub fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let server = Self { address, files: Arc::default(), over: Arc::default() };
        let (files, over) = (server.files.clone(), server.over.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let files = files.clone();
                // A client may close its connection at any time.
                std::thread::spawn(move || drop(serve(&client, &files)));
            }
        });
        Ok(server)
    }

    /// Returns the server's host and port.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the URL of a path, which is percent-encoded and begins without a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// Serves bytes under a path, percent-encoded as in requests, as a new version.
    pub fn put(&self, path: &str, bytes: Vec<u8>, manner: Manner) {
        let mut files = lock(&self.files);
        files.version += 1;
        let file = File { bytes: Arc::new(bytes), version: files.version, manner };
        files.files.insert(path.to_owned(), file);
    }

    /// Replies to the next requests with these statuses, whatever they request.
    pub fn reply_next(&self, statuses: &[u16]) {
        lock(&self.files).next.extend(statuses);
    }

    /// Returns the heads of all requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        lock(&self.files).requests.clone()
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // The listener looks at that once it has accepted another connection.
        drop(TcpStream::connect(&self.address));
    }
}

fn lock(files: &Mutex<Files>) -> std::sync::MutexGuard<'_, Files> {
    files.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(client: &TcpStream, files: &Mutex<Files>) -> std::io::Result<()> {
    let mut reader = BufReader::new(client);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let reply = reply(&head, &mut lock(files));
        let mut writer = client;
        writer.write_all(&reply.bytes)?;
        if reply.is_last {
            return client.shutdown(std::net::Shutdown::Both);
        }
    }
}

struct Reply {
    bytes: Vec<u8>,
    is_last: bool,
}

impl Reply {
    fn new(status: &str, headers: &str, body: &[u8]) -> Self {
        let length = body.len();
        let mut bytes =
            format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n").into_bytes();
        bytes.extend_from_slice(body);
        Self { bytes, is_last: false }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    lines.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Returns what the request's Range asks of a file of this size.
fn requested(head: &str, size: usize) -> Option<Range<usize>> {
    let (first, last) = header(head, "range")?.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse::<usize>().ok()?);
    Some(first..(last + 1).min(size))
}

fn reply(head: &str, files: &mut Files) -> Reply {
    files.requests.push(head.to_owned());
    let number = files.requests.len();
    if let Some(status) = files.next.pop_front() {
        return Reply::new(&format!("{status} As It Was Told"), "", b"");
    }
    let target = head.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let Some(file) = files.files.get(path).filter(|_| head.starts_with("GET ")) else {
        return Reply::new("404 Not Found", "", b"");
    };
    let (manner, bytes, size) = (file.manner, &file.bytes, file.bytes.len());
    let (tag, date) =
        (format!("\"v{}\"", file.version), format!("Fri, 20 Nov 2026 00:{:02}:00 GMT", file.version));
    let holds = header(head, "if-match").is_none_or(|accepted| accepted == tag)
        && header(head, "if-unmodified-since").is_none_or(|accepted| accepted == date);
    match manner {
        Manner::Signed(signature) if query != signature => return Reply::new("403 Forbidden", "", b"no"),
        Manner::Redirect => {
            return Reply::new("302 Found", "Location: /elsewhere.mp4?token=secret\r\n", b"");
        }
        Manner::Whole => return Reply::new("200 OK", &format!("ETag: {tag}\r\n"), bytes),
        Manner::Careless => {}
        _ if !holds => return Reply::new("412 Precondition Failed", "", b""),
        _ => {}
    }
    let mut headers = String::new();
    match manner {
        Manner::Unversioned => {}
        Manner::Weak => drop(write!(headers, "ETag: W/{tag}\r\nLast-Modified: {date}\r\n")),
        Manner::Encoded => drop(write!(headers, "ETag: {tag}\r\nContent-Encoding: gzip\r\n")),
        _ => drop(write!(headers, "ETag: {tag}\r\nLast-Modified: {date}\r\n")),
    }
    match requested(head, size) {
        Some(range) if range.start < size => {
            let (first, last) = (range.start, range.end - 1);
            let _ = write!(headers, "Content-Range: bytes {first}-{last}/{size}\r\n");
            let mut reply = Reply::new("206 Partial Content", &headers, &bytes[range.clone()]);
            if manner == Manner::Cut && range.len() > 1 && number.is_multiple_of(2) {
                reply.bytes.truncate(reply.bytes.len() - range.len() / 2);
                reply.is_last = true;
            }
            reply
        }
        Some(_) => {
            let headers = format!("{headers}Content-Range: bytes */{size}\r\n");
            Reply::new("416 Range Not Satisfiable", &headers, b"")
        }
        None => Reply::new("200 OK", &headers, bytes),
    }
}
