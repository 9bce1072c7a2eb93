//! A process that tells a watcher when it crashes.

use std::{
    io,
    os::fd::{AsRawFd as _, IntoRawFd as _, OwnedFd},
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{
    Signals, ThreadStack,
    handler::{self, Line, Untold},
    server::sockets,
};

/// A connection to a watcher.
#[derive(Debug)]
pub struct Client {
    socket: OwnedFd,
    /// The watcher's process, in this one's namespace; 0 where it is not known.
    watcher: u32,
    timeout: Duration,
}

impl Client {
    /// Nobody waits for longer.
    const MOST: Duration = Duration::from_secs(60 * 60);

    /// How long a watcher is waited for, where nothing else is said.
    pub const TIMEOUT: Duration = Duration::from_secs(10);

    /// Connects to the watcher that listens at a path.
    ///
    /// # Errors
    /// When none does, or it may not be talked to, or the path is too long (`man 7 unix`: 107 bytes).
    pub fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self::from_socket(sockets::connect(path.as_ref())?))
    }

    /// A client of the watcher at the other end of a socket of the kind `SOCK_SEQPACKET`, as one that was inherited. The watcher is
    /// taken for who made the socket (`SO_PEERCRED`); where that is not so, see [`with_watcher`](Self::with_watcher).
    #[must_use]
    pub fn from_socket(socket: OwnedFd) -> Self {
        let watcher = sockets::peer(&socket).unwrap_or(0);
        Self { socket, watcher, timeout: Self::TIMEOUT }
    }

    /// The same with the number of the watcher's process. It is needed where only parents may look into processes (Yama).
    #[must_use]
    pub fn with_watcher(mut self, process: u32) -> Self {
        self.watcher = process;
        self
    }

    /// The same with another longest time to wait for the watcher, in a crash and in [`dump_now`](Self::dump_now): an hour at most.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.min(Self::MOST);
        self
    }

    /// Tells the watcher of these signals from now on, in all threads, for as long as the process lives. The calling thread gets a
    /// stack for its handlers; see [`thread`](Self::thread) for the others.
    ///
    /// The first crash is told, and no other. What was to happen at a signal before happens after it: handlers that were there
    /// are called with the same arguments. A signal that was ignored, and is sent, still is. Handlers that are installed later take the
    /// place of this one.
    ///
    /// # Errors
    /// `AlreadyExists` when some client of this process has done it already; else when the system fails us.
    pub fn install(&self, signals: Signals) -> io::Result<()> {
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        if handler::is_installed() {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "crashes are told to a watcher already",
            ));
        }
        ThreadStack::new()?.keep();
        // The handler's own, which is never closed.
        let socket = self.socket.try_clone()?.into_raw_fd();
        handler::install(Line { socket, ..self.line() }, signals).map_err(io::Error::from_raw_os_error)
    }

    /// Gives the calling thread a stack for handlers, so that a crash is also told when its own stack is full. Threads of Rust's
    /// standard library have one already; it is replaced where it is small.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn thread(&self) -> io::Result<ThreadStack> {
        ThreadStack::new()
    }

    /// Has a dump made now, of this thread foremost, and waits for it. The process goes on. It may have crashed before, where an
    /// earlier handler has mended that; of another thread than the one that crashed, this waits a second to see that it goes on.
    ///
    /// The registers in the dump are those of this call. It may be used in any thread, but not in a signal handler.
    ///
    /// # Errors
    /// `TimedOut` when it took too long; `BrokenPipe` when the watcher has gone; `ResourceBusy` when the process is crashing;
    /// `Other` when the watcher made none, which it says why.
    pub fn dump_now(&self) -> io::Result<()> {
        match handler::ask(self.line()) {
            Ok(true) => Ok(()),
            Ok(false) => Err(io::Error::other("the watcher has made no dump")),
            Err(Untold::Busy) => Err(io::ErrorKind::ResourceBusy.into()),
            Err(Untold::Late) => Err(io::ErrorKind::TimedOut.into()),
            Err(Untold::Gone) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(Untold::Failed(error)) => Err(io::Error::from_raw_os_error(error)),
        }
    }

    fn line(&self) -> Line {
        Line { socket: self.socket.as_raw_fd(), watcher: self.watcher, timeout: self.timeout }
    }
}
