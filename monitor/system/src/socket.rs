//! Sockets by which processes of one user talk, on one machine.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::fault::{Operation, check};
use crate::{fs, process};

/// Waits for connections under a path. Only the user of this process may connect; the path is removed when this is
/// dropped.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of what lies at the path.
    file: (u64, u64),
}

/// Who connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its user.
    pub user: u32,
    /// Its process.
    pub process: u32,
}

impl Listener {
    /// Listens under a path, with mode 0600 from the moment it is there. What a process that is gone left there is
    /// replaced.
    ///
    /// # Errors
    ///
    /// `AddrInUse` when another process listens there, `AlreadyExists` when something else lies there, `InvalidInput` when
    /// the path is longer than a socket's may be (107 bytes).
    #[track_caller]
    pub fn bind(path: &Path) -> io::Result<Self> {
        check(Operation::Create, path)?;
        // Nobody knows the name until its mode is right.
        let mut new = path.as_os_str().to_owned();
        new.push(format!(".{}", process::id()));
        let new = PathBuf::from(new);
        let _absent = fs::remove_file(&new);
        let listener = UnixListener::bind(&new)?;
        let placed = std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600))
            .and_then(|()| place(&new, path));
        let _gone = fs::remove_file(&new);
        placed?;
        let metadata = fs::metadata(path)?;
        Ok(Self { listener, path: path.to_owned(), file: (metadata.dev(), metadata.ino()) })
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    ///
    /// After [`shut_down`](Self::shut_down), and when the process has no descriptor left.
    #[track_caller]
    pub fn accept(&self) -> io::Result<(UnixStream, Peer)> {
        let (stream, _) = self.listener.accept()?;
        let peer = rustix::net::sockopt::socket_peercred(&stream)?;
        let peer = Peer {
            user: peer.uid.as_raw(),
            process: peer.pid.as_raw_nonzero().get().unsigned_abs(),
        };
        Ok((stream, peer))
    }

    /// Ends the wait for connections, now and for good, and removes the path.
    pub fn shut_down(&self) {
        // Linux: `accept` then gives EINVAL, also where it waits already.
        let _either = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        let is_ours = |file: std::fs::Metadata| (file.dev(), file.ino()) == self.file;
        if fs::metadata(&self.path).is_ok_and(is_ours) {
            let _either = fs::remove_file(&self.path);
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shut_down();
    }
}

/// Gives a bound socket its name, in place of one that nobody listens on any more.
fn place(new: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(new, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        placed => return placed,
    }
    if !std::fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::rename(new, path),
        Err(error) => Err(error),
    }
}

/// The user of this process.
#[must_use]
pub fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::thread;

    use super::*;

    #[test]
    fn a_socket_is_private_and_goes_with_its_listener() {
        let directory = std::env::temp_dir().join(format!("hotswap-socket-{}", process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("a.sock");
        let listener = Listener::bind(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(Listener::bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        thread::scope(|scope| {
            scope.spawn(|| {
                // The one that asked who listens.
                drop(listener.accept());
                let (mut stream, peer) = listener.accept().unwrap();
                assert_eq!(peer, Peer { user: own_user(), process: process::id() });
                stream.write_all(b"here").unwrap();
                drop(stream);
                assert!(listener.accept().is_err(), "it was shut down");
            });
            let mut text = String::new();
            UnixStream::connect(&path).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "here");
            listener.shut_down();
        });
        drop(listener);
        assert!(!path.exists());
        // What nobody listens on is replaced, and what is no socket is not.
        drop(UnixListener::bind(&path).unwrap());
        drop(Listener::bind(&path).unwrap());
        std::fs::write(&path, "mine").unwrap();
        assert_eq!(Listener::bind(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
