//! Snapshots of a redis server under load: no error seen by its clients, and how long they waited.

use std::{fs, thread};

use anyhow::{Result, ensure};
use prospect_testing::Tool;

use crate::redis::Redis;

/// How many values the server holds at most, of a kilobyte each.
const VALUES: &str = "300000";

/// How many requests one run of the load is.
const REQUESTS: &str = "100000";

/// Dumps a busy server again and again, by snapshots.
pub(super) fn soak(prospect: &Tool, snapshots: u32) -> Result<()> {
    let Some(mut server) = Redis::start()? else {
        println!("redis: not here, left out");
        return Ok(());
    };
    server.load(&["-t", "set", "-n", VALUES, "-r", VALUES, "-P", "16"])?;
    let quiet = server.load(&["-t", "set,get", "-n", REQUESTS, "-r", VALUES])?;
    let core = server.scratch().path().join("core");
    let (pid, name) = (server.pid(), core.to_string_lossy().into_owned());
    let (mut taken, mut longest, mut busy, mut loads) = (0, 0.0_f64, 0.0_f64, 0);
    while taken < snapshots {
        let one = thread::scope(|scope| -> Result<f64> {
            let clients = scope.spawn(|| server.load(&["-t", "set,get", "-n", REQUESTS, "-r", VALUES]));
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
        println!("redis: {taken} of {snapshots} snapshots");
    }
    server.check()?;
    println!(
        "redis: {taken} snapshots under {loads} loads, no error; longest stop {longest:.1} ms; p99 of requests {quiet:.2} ms, \
         with dumps {busy:.2} ms at most"
    );
    Ok(())
}
