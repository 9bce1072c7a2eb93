//! Snapshots of a redis server under load: no error seen by its clients, and how long they waited.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use prospect_testing::{Scratch, Tool, tool};

/// How many values the server holds at most, of a kilobyte each.
const VALUES: &str = "300000";
const VALUE_BYTES: &str = "1024";

/// How many requests one run of the load is.
const REQUESTS: &str = "100000";

/// A server that ends with this.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Dumps a busy server again and again, by snapshots.
pub(super) fn soak(prospect: &Tool, snapshots: u32) -> Result<()> {
    if tool("redis-server").is_err() || tool("redis-benchmark").is_err() {
        println!("redis: not here, left out");
        return Ok(());
    }
    let scratch = Scratch::new("redis");
    let socket = scratch.path().join("socket");
    let server = Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
        .arg(&socket)
        .current_dir(scratch.path())
        .stdout(Stdio::null())
        .spawn()
        .context("cannot start redis-server")?;
    let mut server = Server(server);
    let deadline = Instant::now() + Duration::from_secs(20);
    while !socket.exists() {
        ensure!(Instant::now() < deadline, "redis-server makes no socket");
        thread::sleep(Duration::from_millis(10));
    }
    load(&socket, &["-t", "set", "-n", VALUES, "-r", VALUES, "-P", "16"])?;
    let quiet = load(&socket, &["-t", "set,get", "-n", REQUESTS, "-r", VALUES])?;
    let core = scratch.path().join("core");
    let (pid, name) = (server.0.id().to_string(), core.to_string_lossy().into_owned());
    let (mut taken, mut longest, mut busy, mut loads) = (0, 0.0_f64, 0.0_f64, 0);
    while taken < snapshots {
        let one = thread::scope(|scope| -> Result<f64> {
            let clients = scope.spawn(|| load(&socket, &["-t", "set,get", "-n", REQUESTS, "-r", VALUES]));
            while !clients.is_finished() {
                let outcome = prospect.run(&["dump", "--json", "--mode", "snapshot", "-o", &name, &pid]);
                ensure!(outcome.code() == Some(0), "{outcome:?}");
                longest = longest.max(outcome.report().value()["pause_ms"].as_f64().unwrap_or(0.0));
                fs::remove_file(&core)?;
                taken += 1;
            }
            clients.join().map_err(|_| anyhow::anyhow!("the load has panicked"))?
        })?;
        busy = busy.max(one);
        loads += 1;
    }
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    ensure!(children.is_empty(), "children are left: {children}");
    ensure!(server.0.try_wait()?.is_none(), "the server has ended");
    println!(
        "redis: {taken} snapshots under {loads} loads, no error; longest stop {longest:.1} ms; p99 of requests {quiet:.2} ms, \
         with dumps {busy:.2} ms at most"
    );
    Ok(())
}

/// Requests without an error; the worst 99th percentile of their latencies, in milliseconds.
fn load(socket: &Path, arguments: &[&str]) -> Result<f64> {
    let output = Command::new("timeout")
        .args(["300", "redis-benchmark", "--csv", "-d", VALUE_BYTES, "-s"])
        .arg(socket)
        .args(arguments)
        .output()?;
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let is_good = output.status.success() && !said.contains("rror") && !errors.contains("rror");
    ensure!(is_good, "clients see errors: {}: {said} {errors}", output.status);
    let mut lines = said.lines();
    let header = lines.next().unwrap_or_default();
    let place = header.split(',').position(|name| name.contains("p99_latency"));
    let place = place.with_context(|| format!("no latencies in {header:?}"))?;
    let latencies = lines.filter_map(|line| line.split(',').nth(place)?.trim_matches('"').parse().ok());
    Ok(latencies.fold(0.0, f64::max))
}
