//! Listens, and has requests handled.

use std::{
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use prospect_crash::server::{Connection, Heard, Listener, wait};

use super::{CrashRequest, rate::Rate};

/// Hears of crashes.
#[derive(Debug)]
pub struct Watcher {
    listener: Option<Listener>,
    clients: Vec<Client>,
    bell: Bell,
    rung: UnixStream,
    is_stopped: Arc<AtomicBool>,
    rate: Rate,
    at_once: usize,
}

#[derive(Debug)]
struct Client {
    connection: Arc<Connection>,
    /// Whether a request of it is being handled.
    is_busy: Arc<AtomicBool>,
}

/// Wakes a watcher.
#[derive(Clone, Debug)]
pub(super) struct Bell(Arc<UnixStream>);

impl Bell {
    pub(super) fn ring(&self) {
        // Where there is no room, it has been rung.
        let _ = (&*self.0).write(&[0]);
    }
}

/// Ends [`Watcher::serve`], from any thread.
#[derive(Clone, Debug)]
pub struct Stopper {
    is_stopped: Arc<AtomicBool>,
    bell: Bell,
}

impl Stopper {
    /// No more requests are taken; those that are being handled are handled to their end.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Release);
        self.bell.ring();
    }
}

impl Watcher {
    /// No more clients than that have a connection; others wait.
    const MOST_CLIENTS: usize = 900;

    /// A watcher that clients find at a path ([`Client::connect`](prospect_crash::Client::connect)): processes of this
    /// user, and of root. The path is removed with the watcher. A socket that was left there is replaced.
    ///
    /// # Errors
    /// `AddrInUse` when another one listens there, or something else is there; when nothing may be made there.
    pub fn bind(path: impl Into<PathBuf>) -> io::Result<Self> {
        Self::new(Some(Listener::bind(path)?), Vec::new())
    }

    /// A watcher of one client at the other end of a socket of the kind `SOCK_SEQPACKET`, and of all processes that have it.
    ///
    /// # Errors
    /// When it is no such socket.
    pub fn from_socket(socket: OwnedFd) -> io::Result<Self> {
        Self::new(None, vec![Client::new(Connection::from_socket(socket)?)])
    }

    fn new(listener: Option<Listener>, clients: Vec<Client>) -> io::Result<Self> {
        let (bell, rung) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        rung.set_nonblocking(true)?;
        let bell = Bell(Arc::new(bell));
        let is_stopped = Arc::default();
        let rate = Rate::new(60, Duration::from_secs(60));
        Ok(Self { listener, clients, bell, rung, is_stopped, rate, at_once: 4 })
    }

    /// The same with another limit: at most so many dumps in a time, for each user. It is 60 in a minute else. Who
    /// wants more has none, and does not wait.
    #[must_use]
    pub fn with_rate(mut self, most: usize, time: Duration) -> Self {
        self.rate = Rate::new(most, time);
        self
    }

    /// The same with another number of requests that are handled at the same time, each in a thread; 4 else. Others wait.
    #[must_use]
    pub fn with_requests_at_once(mut self, most: usize) -> Self {
        self.at_once = most.max(1);
        self
    }

    /// What ends [`serve`](Self::serve).
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper { is_stopped: self.is_stopped.clone(), bell: self.bell.clone() }
    }

    /// Has each request handled, in a thread of its own, until it is [stopped](Stopper::stop); without a path, until
    /// the client has gone.
    ///
    /// # Errors
    /// When the system fails us.
    pub fn serve(&mut self, handle: impl Fn(CrashRequest) + Sync) -> io::Result<()> {
        thread::scope(|scope| {
            let handle = &handle;
            let mut accepts_from = Instant::now();
            while !self.is_stopped.load(Ordering::Acquire)
                && (self.listener.is_some() || !self.clients.is_empty())
            {
                let now = Instant::now();
                let accepts = self.clients.len() < Self::MOST_CLIENTS && now >= accepts_from;
                let ready = self.wait(accepts, accepts_from.checked_duration_since(now))?;
                while self.rung.read(&mut [0; 64]).is_ok_and(|count| count > 0) {}
                for request in self.requests(&ready) {
                    // Without a thread, nobody has a dump; the request's end tells its client.
                    let _ = thread::Builder::new()
                        .name("crash".into())
                        .spawn_scoped(scope, move || handle(request));
                }
                if accepts && self.accept().is_err() {
                    // No descriptor is left: somebody may go.
                    accepts_from = Instant::now() + Duration::from_secs(1);
                }
            }
            Ok(())
        })
    }

    /// Waits until something is to be done. Says of each client whether it is its turn.
    fn wait(&self, accepts: bool, timeout: Option<Duration>) -> io::Result<Vec<bool>> {
        let at_work = self.clients.iter().filter(|client| client.is_busy()).count();
        let may_begin = at_work < self.at_once;
        let mut all: Vec<BorrowedFd<'_>> = vec![self.rung.as_fd()];
        let mut places = Vec::new();
        for (place, client) in self.clients.iter().enumerate() {
            if may_begin && !client.is_busy() {
                places.push(place);
                all.push(client.connection.as_fd());
            }
        }
        if let Some(listener) = self.listener.as_ref().filter(|_| accepts) {
            all.push(listener.as_fd());
        }
        let woken = wait(&all, timeout)?;
        let mut ready = vec![false; self.clients.len()];
        for (place, woken) in places.into_iter().zip(woken.into_iter().skip(1)) {
            ready[place] = woken;
        }
        Ok(ready)
    }

    /// What those ask for whose turn it is, as many as may begin. Clients that have gone, or talk nonsense, are let go.
    fn requests(&mut self, ready: &[bool]) -> Vec<CrashRequest> {
        let mut room =
            self.at_once - self.clients.iter().filter(|one| one.is_busy()).count().min(self.at_once);
        let mut requests = Vec::new();
        let (bell, rate) = (&self.bell, &mut self.rate);
        let mut ready = ready.iter();
        self.clients.retain(|client| {
            if ready.next() != Some(&true) || room == 0 {
                return true;
            }
            match client.connection.hear() {
                Heard::Nothing => true,
                Heard::Request(request, sender) => {
                    room -= 1;
                    let refused = !rate.admit(sender.user, Instant::now());
                    let (connection, is_busy) = (client.connection.clone(), client.is_busy.clone());
                    requests.push(CrashRequest::new(
                        (request, sender),
                        connection,
                        is_busy,
                        bell.clone(),
                        refused,
                    ));
                    true
                }
                Heard::Nonsense | Heard::End => false,
            }
        });
        requests
    }

    fn accept(&mut self) -> io::Result<()> {
        let Some(listener) = &self.listener else { return Ok(()) };
        while self.clients.len() < Self::MOST_CLIENTS {
            let Some(connection) = listener.accept()? else { break };
            self.clients.push(Client::new(connection));
        }
        Ok(())
    }
}

impl Client {
    fn new(connection: Connection) -> Self {
        Self { connection: Arc::new(connection), is_busy: Arc::default() }
    }

    fn is_busy(&self) -> bool {
        self.is_busy.load(Ordering::Acquire)
    }
}
