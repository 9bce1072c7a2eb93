//! What clients of a server see while it is dumped.

use std::{fs, path::Path, thread};

use anyhow::Result;

use super::measure::{Meter, median};
use crate::redis::Redis;

/// The row's name.
pub(super) const ROW: &str = "c.redis";

/// Values of the server: four gigabytes.
const KEYS: u32 = 1_000_000;
const VALUE_BYTES: u32 = 4000;
/// The load: requests, over all keys.
const LOAD: [&str; 6] = ["-t", "set,get", "-n", "200000", "-r", "1000000"];
const ROUNDS: usize = 3;

/// Measures the 99th percentile of what clients wait, without dumps and with one after the other.
pub(super) fn measure(meter: &Meter, prospect: &Path) -> Result<()> {
    println!("\n{ROW}  clients of a server with 4 GB, which is dumped");
    let Some(mut server) = Redis::start()? else {
        println!("  left out: redis-server and redis-benchmark are not installed");
        return Ok(());
    };
    server.populate(KEYS, VALUE_BYTES)?;
    let core = server.scratch().path().join("core");
    let [prospect, name] = [prospect, &core].map(|path| path.to_string_lossy().into_owned());
    let argv = [prospect, "dump".into(), "-q".into(), "-o".into(), name, server.pid()];
    let (mut quiet, mut busy, mut dumps) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        quiet.push(server.load(&LOAD)?);
        busy.push(thread::scope(|scope| -> Result<f64> {
            let clients = scope.spawn(|| server.load(&LOAD));
            while !clients.is_finished() {
                meter.run(&argv)?;
                fs::remove_file(&core)?;
                dumps += 1;
            }
            clients.join().map_err(|_| anyhow::anyhow!("the load has panicked"))?
        })?);
    }
    server.check()?;
    println!(
        "  p99 of requests: {:.2} ms, with dumps one after the other ({dumps} in {ROUNDS} loads) {:.2} ms",
        median(quiet),
        median(busy)
    );
    Ok(())
}
