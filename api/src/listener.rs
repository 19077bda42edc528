//! Where HTTP is answered: a TCP address, or a Unix socket, whose file says who may call.

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

/// What a Unix socket's address begins with.
const UNIX: &str = "unix:";
/// Its user and its group may call.
const MODE: u32 = 0o660;

/// A connection.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A place where calls arrive.
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

/// A socket's file, removed when nobody answers there any more.
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
    /// Listens at `host:port`, or at `unix:/path`. The file of a process that has ended is replaced.
    ///
    /// # Errors
    /// Where the address is in use or can't be had.
    pub async fn bind(address: &str) -> io::Result<Self> {
        if let Some(path) = address.strip_prefix(UNIX) {
            let (listener, _file) = unix(Path::new(path))?;
            return Ok(Self { kind: Kind::Unix { listener, _file }, address: address.into() });
        }
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?.to_string();
        Ok(Self { kind: Kind::Tcp(listener), address })
    }

    /// Where it is, with its port.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether only processes of this machine reach it by TCP: then a browser's page may be among them.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        matches!(&self.kind, Kind::Tcp(listener) if listener.local_addr().is_ok_and(|at| at.ip().is_loopback()))
    }

    /// The next connection, and whose it is; nobody's by a Unix socket.
    pub(crate) async fn accept(&self) -> io::Result<(Box<dyn Stream>, Option<IpAddr>)> {
        match &self.kind {
            Kind::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Small answers, at once.
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

/// Whether an address is one that only this machine's processes reach.
#[must_use]
pub fn is_local(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    address.starts_with(UNIX)
        || host == "localhost"
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Listens under another name first, so that the socket never has other rights than it is to have.
fn unix(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::other(
                "something else than a socket is there; choose another name, or remove it",
            ));
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process answers there"));
        }
        _ => {}
    }
    let aside = path.with_file_name(format!(".millrace-{}.sock", std::process::id()));
    // One of a process that was killed, and had this one's number.
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
    fn what_only_this_machine_reaches_is_told_from_the_rest() {
        for local in ["127.0.0.1:80", "localhost:80", "[::1]:80", "127.9.9.9:1", "unix:/run/millrace.sock"] {
            assert!(is_local(local), "{local}");
        }
        for other in ["0.0.0.0:80", "[::]:80", "10.0.0.1:80", "localhost.example.org:80", "example.org:80"] {
            assert!(!is_local(other), "{other}");
        }
    }

    #[tokio::test]
    async fn a_socket_is_its_users_and_groups_and_goes_with_its_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.sock");
        let address = format!("unix:{}", path.display());
        let first = Listener::bind(&address).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        let second = Listener::bind(&address).await;
        assert!(second.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse));
        drop(first);
        assert!(!path.exists());
        // One of a process that was killed.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists() && Listener::bind(&address).await.is_ok());
        fs::write(&path, b"a file").unwrap();
        assert!(Listener::bind(&address).await.is_err() && path.exists(), "what is no socket stays");
    }
}
