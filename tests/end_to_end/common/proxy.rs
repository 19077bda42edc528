//! A network that is in trouble: a proxy before a store which cuts connections, delays, and answers in its place.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// What the proxy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// It only counts.
    Calm,
    /// Every third connection is cut in the middle, every fifth delayed; of the requests that come first in a connection some are
    /// answered 500, 503 and 429.
    Rough,
}

/// A proxy; it ends with the test.
pub struct Proxy {
    pub address: String,
    requests: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    bytes: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
}

impl Proxy {
    /// Before whoever listens at this port.
    pub fn before(port: u16, weather: Weather) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let proxy = Self {
            address,
            requests: Arc::default(),
            connections: Arc::default(),
            bytes: Arc::default(),
            over: Arc::default(),
        };
        let (requests, connections, over) =
            (proxy.requests.clone(), proxy.connections.clone(), proxy.over.clone());
        let bytes = proxy.bytes.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let number = connections.fetch_add(1, Ordering::Relaxed) + 1;
                let (requests, bytes) = (requests.clone(), bytes.clone());
                // A connection that breaks is what this is for.
                std::thread::spawn(move || drop(pass(client, port, number, weather, &requests, &bytes)));
            }
        });
        proxy
    }

    /// How many requests came.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// How many bytes the store sent.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many connections came.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts; if nobody is there, it has ended.
        let _ = TcpStream::connect(&self.address);
    }
}

/// How many requests begin in these bytes. Bodies of media hold no line that looks like one.
fn begun(bytes: &[u8]) -> usize {
    let methods: [&[u8]; 5] = [b"GET /", b"PUT /", b"HEAD /", b"POST /", b"DELETE /"];
    let at_start = methods.iter().any(|method| bytes.starts_with(method));
    usize::from(at_start)
}

fn pass(
    mut client: TcpStream,
    port: u16,
    number: usize,
    weather: Weather,
    requests: &AtomicUsize,
    bytes: &AtomicUsize,
) -> std::io::Result<()> {
    let rough = weather == Weather::Rough;
    let status = match number % 10 {
        _ if !rough => None,
        2 => Some("500 Internal Server Error"),
        4 => Some("503 Slow Down"),
        8 => Some("429 Too Many Requests"),
        _ => None,
    };
    if let Some(status) = status {
        let mut first = [0; 65_536];
        let read = client.read(&mut first)?;
        requests.fetch_add(begun(&first[..read]), Ordering::Relaxed);
        write!(client, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
        return client.shutdown(Shutdown::Write);
    }
    if rough && number.is_multiple_of(5) {
        std::thread::sleep(Duration::from_millis(300));
    }
    let cut = rough && number.is_multiple_of(3);
    let server = TcpStream::connect(("127.0.0.1", port))?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    let mut from_server = server;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut buffer = vec![0; 65_536];
            let mut moved = 0;
            while let Ok(read @ 1..) = from_client.read(&mut buffer) {
                requests.fetch_add(begun(&buffer[..read]), Ordering::Relaxed);
                moved += read;
                if to_server.write_all(&buffer[..read]).is_err() || (cut && moved > 200_000) {
                    break;
                }
            }
            let _ = to_server.shutdown(Shutdown::Both);
            let _ = from_client.shutdown(Shutdown::Both);
        });
        let mut buffer = vec![0; 65_536];
        let mut moved = 0;
        while let Ok(read @ 1..) = from_server.read(&mut buffer) {
            // In the middle of what the store sends.
            let most = if cut && moved + read > 100_000 { read / 2 } else { read };
            moved += read;
            bytes.fetch_add(most, Ordering::Relaxed);
            if client.write_all(&buffer[..most]).is_err() || most < read {
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Both);
        let _ = from_server.shutdown(Shutdown::Both);
    });
    Ok(())
}
