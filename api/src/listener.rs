//! Where HTTP requests arrive: a TCP address, or a Unix socket, whose file permissions say who may call.

use std::{
    fs, io,
    net::IpAddr,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
};

/// The prefix of a Unix socket's address.
const UNIX: &str = "unix:";
/// The permissions of a Unix socket: user and group may call.
const MODE: u32 = 0o660;

/// A connection.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A socket that accepts connections.
#[derive(Debug)]
pub struct Listener {
    kind: Kind,
    address: String,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Unix { listener: UnixListener, _file: SocketFile },
}

/// A Unix socket's file, which is removed with its listener.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another process may have taken the name since.
        if fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Listener {
    /// Listens at `host:port`, or at `unix:/path`. The socket file of an ended process is replaced.
    ///
    /// # Errors
    /// If the address is in use or not available.
    pub async fn bind(address: &str) -> io::Result<Self> {
        if let Some(path) = address.strip_prefix(UNIX) {
            let (listener, _file) = unix(Path::new(path))?;
            return Ok(Self { kind: Kind::Unix { listener, _file }, address: address.into() });
        }
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?.to_string();
        Ok(Self { kind: Kind::Tcp(listener), address })
    }

    /// Returns the address, with the port that was chosen if it was 0.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns `true` if it listens on TCP and loopback, where a browser of this machine could reach it.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        matches!(&self.kind, Kind::Tcp(listener) if listener.local_addr().is_ok_and(|at| at.ip().is_loopback()))
    }

    /// Returns the next connection, and its peer's address; `None` for a Unix socket.
    pub(crate) async fn accept(&self) -> io::Result<(Box<dyn Stream>, Option<IpAddr>)> {
        match &self.kind {
            Kind::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Send small responses at once.
                let _ = stream.set_nodelay(true);
                Ok((Box::new(stream), Some(peer.ip())))
            }
            Kind::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok((Box::new(stream), None))
            }
        }
    }
}

/// Returns `true` if only processes of this machine reach this address.
#[must_use]
pub fn is_local(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    address.starts_with(UNIX)
        || host == "localhost"
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Listens under another name first, so that the socket never has other permissions than `MODE` under its own name.
fn unix(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::other(
                "the path exists and is not a socket; choose another path, or remove it",
            ));
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens there"));
        }
        _ => {}
    }
    let aside = path.with_file_name(format!(".millrace-{}.sock", std::process::id()));
    // Left by a killed process that had this one's id.
    let _ = fs::remove_file(&aside);
    let listener = UnixListener::bind(&aside)?;
    let named =
        fs::set_permissions(&aside, fs::Permissions::from_mode(MODE)).and_then(|()| fs::rename(&aside, path));
    if let Err(error) = named {
        let _ = fs::remove_file(&aside);
        return Err(error);
    }
    let inode = fs::symlink_metadata(path)?.ino();
    Ok((listener, SocketFile { path: path.into(), inode }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_addresses_are_recognized() {
        for local in ["127.0.0.1:80", "localhost:80", "[::1]:80", "127.9.9.9:1", "unix:/run/millrace.sock"] {
            assert!(is_local(local), "{local}");
        }
        for other in ["0.0.0.0:80", "[::]:80", "10.0.0.1:80", "localhost.example.org:80", "example.org:80"] {
            assert!(!is_local(other), "{other}");
        }
    }

    #[tokio::test]
    async fn a_socket_belongs_to_user_and_group_and_is_removed_with_its_listener() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.sock");
        let address = format!("unix:{}", path.display());
        let first = Listener::bind(&address).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        let second = Listener::bind(&address).await;
        assert!(second.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse));
        drop(first);
        assert!(!path.exists());
        // Left by a killed process.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists() && Listener::bind(&address).await.is_ok());
        fs::write(&path, b"a file").unwrap();
        assert!(Listener::bind(&address).await.is_err() && path.exists(), "what is no socket stays");
    }
}
