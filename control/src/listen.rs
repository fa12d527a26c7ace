//! Where the control API listens: an address, or a Unix socket that its owner alone can open.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};
use squall_config::model::ControlAddress;

use crate::access::peer::End;

/// Connections that wait to be accepted, as the standard library has it.
const BACKLOG: i32 = 128;

/// A bound socket; nothing is accepted yet.
#[derive(Debug)]
pub(crate) enum Bound {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

impl Bound {
    /// The address, when it is one.
    pub(crate) fn address(&self) -> Option<io::Result<SocketAddr>> {
        match self {
            Self::Tcp(listener) => Some(listener.local_addr()),
            Self::Unix(..) => None,
        }
    }
}

/// The name of a Unix socket in the file system; removed when it is dropped.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and inode: another process may have taken the name since.
    id: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = std::fs::symlink_metadata(&self.path).is_ok_and(|facts| (facts.dev(), facts.ino()) == self.id);
        if is_ours {
            let _already_gone = std::fs::remove_file(&self.path);
        }
    }
}

/// Why an address cannot be listened on, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The system does not give the address.
    #[error("{}; choose another address, or port 0 for any free one", of_address(.0))]
    Address(io::Error),
    /// The system does not give the path.
    #[error("{}choose another path", of_path(.0))]
    Path(io::Error),
    /// Something else has the path.
    #[error("there is a file of that name that is no socket; choose another path, or move it")]
    NoSocket,
    /// Somebody listens there.
    #[error("a running program serves it; stop that, or choose another path")]
    Served,
    /// Its backlog is full, or it belongs to somebody else: somebody is there.
    #[error("a socket of that name is there, and cannot be asked: {0}; choose another path")]
    Unasked(io::Error),
    /// The socket of a process that is gone stays.
    #[error("the old socket cannot be removed: {0}")]
    Stays(io::Error),
}

fn of_address(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another program uses this port, perhaps another squall".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied; ports below 1024 need a privilege".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
        _ => error.to_string(),
    }
}

fn of_path(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "its directory is not there; make it, or ".to_owned(),
        io::ErrorKind::PermissionDenied => "not allowed to make a file in its directory; ".to_owned(),
        io::ErrorKind::AddrInUse => "another program has just taken it; ".to_owned(),
        _ => format!("{error}; "),
    }
}

/// Binds.
pub(crate) fn bind(address: &ControlAddress) -> Result<Bound, BindError> {
    match address {
        ControlAddress::Tcp(address) => bind_tcp(*address).map(Bound::Tcp),
        ControlAddress::Unix(path) => bind_unix(path).map(|(listener, file)| Bound::Unix(listener, file)),
    }
}

fn bind_tcp(address: SocketAddr) -> Result<TcpListener, BindError> {
    let listener = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.map_err(BindError::Address)
}

fn bind_unix(path: &Path) -> Result<(UnixListener, SocketFile), BindError> {
    make_way(path)?;
    let bound = || -> io::Result<(UnixListener, SocketFile)> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(path)?)?;
        let facts = std::fs::symlink_metadata(path)?;
        let file = SocketFile { path: path.to_owned(), id: (facts.dev(), facts.ino()) };
        // Nobody can connect before `listen`, so nobody can with the rights that the file was made with.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok((socket.into(), file))
    };
    bound().map_err(BindError::Path)
}

/// Removes the socket of a process that is gone; nothing else.
fn make_way(path: &Path) -> Result<(), BindError> {
    let facts = match std::fs::symlink_metadata(path) {
        Ok(facts) => facts,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(BindError::Path(error)),
    };
    if !facts.file_type().is_socket() {
        return Err(BindError::NoSocket);
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(BindError::Served),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            tracing::info!(path = %path.display(), "replacing the socket of a process that is gone");
            std::fs::remove_file(path).map_err(BindError::Stays)
        }
        Err(error) => Err(BindError::Unasked(error)),
    }
}

/// A listening socket on the runtime.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(tokio::net::TcpListener),
    Unix { listener: tokio::net::UnixListener, _file: SocketFile },
}

/// A connection.
#[derive(Debug)]
pub(crate) enum Accepted {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

impl Listener {
    /// Brings a socket onto the runtime.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn new(bound: Bound) -> io::Result<Self> {
        Ok(match bound {
            Bound::Tcp(listener) => Self::Tcp(tokio::net::TcpListener::from_std(listener)?),
            Bound::Unix(listener, file) => {
                Self::Unix { listener: tokio::net::UnixListener::from_std(listener)?, _file: file }
            }
        })
    }

    /// The next connection and where it comes from. Cancel-safe.
    ///
    /// # Errors
    /// Of this connection, or for lack of descriptors.
    pub(crate) async fn accept(&self) -> io::Result<(Accepted, End)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // Answers are small and people wait for them.
                let _ = stream.set_nodelay(true);
                Ok((Accepted::Tcp(stream), End::Address(address)))
            }
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                let uid = stream.peer_cred()?.uid();
                Ok((Accepted::Unix(stream), End::User(uid)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_of_a_dead_process_is_replaced_and_that_of_a_living_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s.sock");
        let address = ControlAddress::Unix(path.clone());
        let first = bind(&address).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(bind(&address), Err(BindError::Served)));
        drop(first);
        assert!(!path.exists(), "a socket leaves with its process");
        // As a killed process leaves it.
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let second = bind(&address).unwrap();
        // The name went to somebody else meanwhile.
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "mine").unwrap();
        drop(second);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        assert!(matches!(bind(&address), Err(BindError::NoSocket)));
        let nowhere = ControlAddress::Unix(directory.path().join("none/s.sock"));
        assert!(bind(&nowhere).unwrap_err().to_string().contains("its directory is not there"));
    }
}
