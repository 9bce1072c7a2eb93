//! Takes snapshots of a process, and says for how long it stood still for each: `snapshot PID [COUNT]`.

use std::{env, error::Error, time::Duration};

use prospect_live::{LiveProcess, SnapshotPlan};
use prospect_process::{Process as _, ProcessId};

#[expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut words = env::args().skip(1);
    let process = ProcessId(words.next().ok_or("usage: snapshot PID [COUNT]")?.parse()?);
    let count: u32 = words.next().map_or(Ok(1), |word| word.parse())?;
    let plan = SnapshotPlan::default().even_if_memory_is_short(true);
    let live = LiveProcess::open(process)?;
    println!("about {:?}", live.snapshot_estimate()?);
    for _ in 0..count {
        let snapshot = live.snapshot(&plan, Duration::from_secs(5))?;
        let mut page = vec![0; 1 << 20];
        let (memory, mut read) = (snapshot.process.memory(), 0);
        for mapping in snapshot.process.mappings() {
            read += memory.read_available(mapping.range.start, &mut page);
        }
        let threads = snapshot.process.threads().len();
        println!("{:?}, {threads} threads, {read} bytes read", snapshot.pause);
    }
    Ok(())
}
