//! A redis server, and a load on it.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use prospect_testing::{Scratch, tool};

/// How long a value is, in bytes.
const VALUE_BYTES: &str = "1024";

/// A server that ends with this, and keeps nothing.
pub(crate) struct Redis {
    child: Child,
    socket: PathBuf,
    scratch: Scratch,
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Redis {
    /// Starts one; `None` where it is not installed.
    pub(crate) fn start() -> Result<Option<Self>> {
        if tool("redis-server").is_err() || tool("redis-benchmark").is_err() {
            return Ok(None);
        }
        let scratch = Scratch::new("redis");
        let socket = scratch.path().join("socket");
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--enable-debug-command", "local"])
            .arg("--unixsocket")
            .arg(&socket)
            .current_dir(scratch.path())
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start redis-server")?;
        let server = Self { child, socket, scratch };
        let deadline = Instant::now() + Duration::from_secs(20);
        while !server.socket.exists() {
            ensure!(Instant::now() < deadline, "redis-server makes no socket");
            thread::sleep(Duration::from_millis(10));
        }
        Ok(Some(server))
    }

    /// Its number.
    pub(crate) fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// Where files can be put while it lives.
    pub(crate) fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// That it lives and has no children.
    pub(crate) fn check(&mut self) -> Result<()> {
        let pid = self.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        ensure!(children.is_empty(), "children are left: {children}");
        ensure!(self.child.try_wait()?.is_none(), "the server has ended");
        Ok(())
    }

    /// Makes so many keys with values of so many bytes.
    pub(crate) fn populate(&self, keys: u32, bytes: u32) -> Result<()> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        write!(stream, "DEBUG POPULATE {keys} key {bytes}\r\n")?;
        let mut answer = [0; 64];
        let length = stream.read(&mut answer)?;
        ensure!(answer.starts_with(b"+OK"), "redis-server: {}", String::from_utf8_lossy(&answer[..length]));
        Ok(())
    }

    /// Requests without an error; the worst 99th percentile of their latencies, in milliseconds.
    pub(crate) fn load(&self, arguments: &[&str]) -> Result<f64> {
        let output = Command::new("timeout")
            .args(["300", "redis-benchmark", "--csv", "-d", VALUE_BYTES, "-s"])
            .arg(&self.socket)
            .args(arguments)
            .output()?;
        let (said, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let is_good = output.status.success() && !said.contains("rror") && !errors.contains("rror");
        ensure!(is_good, "clients see errors: {}: {said} {errors}", output.status);
        let mut lines = said.lines();
        let header = lines.next().unwrap_or_default();
        let place = header.split(',').position(|name| name.contains("p99_latency"));
        let place = place.with_context(|| format!("no latencies in {header:?}"))?;
        let latencies = lines.filter_map(|line| line.split(',').nth(place)?.trim_matches('"').parse().ok());
        Ok(latencies.fold(0.0, f64::max))
    }
}
