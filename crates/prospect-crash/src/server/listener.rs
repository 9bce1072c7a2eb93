//! Where clients connect to.

use std::{
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::{FileTypeExt as _, MetadataExt as _},
    },
    path::{Path, PathBuf},
};

use super::{Connection, sockets};

/// A socket at a path. It is removed with the value.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    path: PathBuf,
    /// Device and number of its file: another's at the same path is not removed.
    file: Option<(u64, u64)>,
}

impl Listener {
    /// Listens at a path. Only the owner of this process, and root, can connect. A socket there that nobody listens at any more is
    /// replaced.
    ///
    /// # Errors
    /// `AddrInUse` when there is something else; when the path is too long, or nothing may be made there.
    pub fn bind(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let socket = match sockets::listen(&path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_left(&path) => {
                fs::remove_file(&path)?;
                sockets::listen(&path)?
            }
            other => other?,
        };
        let file = identity(&path);
        Ok(Self { socket, path, file })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next client; `None` when nobody waits.
    ///
    /// # Errors
    /// When there is no descriptor left for it, and such.
    pub fn accept(&self) -> io::Result<Option<Connection>> {
        sockets::accept(&self.socket)?.map(Connection::from_socket).transpose()
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if self.file.is_some() && identity(&self.path) == self.file {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    path.symlink_metadata().ok().map(|there| (there.dev(), there.ino()))
}

/// Whether it is a socket that nobody listens at.
fn is_left(path: &Path) -> bool {
    let is_socket = path.symlink_metadata().is_ok_and(|there| there.file_type().is_socket());
    is_socket && sockets::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use std::{
        fs, io,
        os::unix::{fs::PermissionsExt as _, net::UnixListener},
    };

    use prospect_testing::Scratch;

    use super::Listener;

    #[test]
    fn what_is_left_is_replaced_and_nothing_else() {
        let scratch = Scratch::new("listener");
        let path = scratch.path().join("socket");
        let first = Listener::bind(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Listener::bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert!(!path.exists());
        // As one that was killed leaves it.
        drop(UnixListener::bind(&path).unwrap());
        let second = Listener::bind(&path).unwrap();
        drop(second);
        fs::write(&path, "a file").unwrap();
        assert_eq!(Listener::bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
