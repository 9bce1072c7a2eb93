//! A real debuginfod server on this machine.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    ops::Range,
    path::Path,
    process::{self, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::Running;

/// elfutils' server over one directory; ended when it is dropped.
#[derive(Debug)]
pub struct DebuginfodServer {
    _running: Running,
    address: SocketAddr,
}

impl DebuginfodServer {
    /// Starts it, and waits until it knows the build with this identity.
    ///
    /// # Panics
    /// When it cannot be started, or does not come to know it.
    #[must_use]
    pub fn start(directory: &Path, build_id: &str) -> Self {
        let deadline = Instant::now() + Duration::from_secs(60);
        let address = free_address();
        let mut command = Command::new("debuginfod");
        command.arg("-F").arg(directory).args(["-d", ":memory:", "-t", "1", "-p"]);
        command.arg(address.port().to_string()).env_remove("DEBUGINFOD_URLS").stderr(Stdio::null());
        // Both would make it a client of other servers, or of its own cache.
        command.env("DEBUGINFOD_CACHE_PATH", directory.join(".no-cache"));
        let running = Running::start_silent(&mut command, |_| {
            status(address, &format!("/buildid/{build_id}/debuginfo")) == Some(200)
                || Instant::now() > deadline
        });
        assert!(Instant::now() < deadline, "debuginfod does not find {build_id}");
        Self { _running: running, address }
    }

    /// Its address, as `DEBUGINFOD_URLS` takes it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// An address of this machine where nobody listens, and that the system gives to nobody by itself.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_address() -> SocketAddr {
    /// Below those that connections get (`ip_local_port_range`).
    const PORTS: Range<u32> = 20_000..30_000;
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let first = process::id().wrapping_mul(61);
    let next = || first.wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed)) % PORTS.len() as u32;
    let is_free = |address: &SocketAddr| TcpListener::bind(address).is_ok();
    let mut candidates = PORTS.filter_map(|_| u16::try_from(PORTS.start + next()).ok());
    let found =
        candidates.find_map(|port| Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).filter(is_free));
    found.unwrap_or_else(|| panic!("no free port"))
}

fn status(address: SocketAddr, path: &str) -> Option<u16> {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut line = [0; 12];
        stream.read_exact(&mut line)?;
        Ok(String::from_utf8_lossy(&line).into_owned())
    };
    let answer = ask();
    if answer.is_err() {
        thread::sleep(Duration::from_millis(20));
    }
    answer.ok()?.get(9..12)?.parse().ok()
}
