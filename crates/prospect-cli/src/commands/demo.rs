//! The program that `--demo` looks at: this command itself, started once more.
//!
//! Its threads do what threads of a service do: one computes, some wait for work, one sleeps deep in a
//! recursion, and two wait for each other's lock: the deadlock that people look for at night.

use std::{
    hint::black_box,
    io::{self, BufRead as _, Read as _, Write as _},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Barrier, Mutex, PoisonError,
        mpsc::{self, Receiver},
    },
    thread,
    time::Duration,
};

use crate::exit::{Failure, Outcome, Result};

/// The hidden subcommand that runs it.
pub(crate) const COMMAND: &str = "demo-process";

/// Says that all threads are where they will be.
const READY: &str = "ready";

/// Starts the demo and waits until there is something to see.
pub(crate) fn start() -> Result<Child> {
    let program = std::env::current_exe().map_err(Failure::failed)?;
    let mut command = Command::new(program);
    command.arg(COMMAND).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(Failure::failed)?;
    let mut line = String::new();
    let read = child.stdout.take().map(|stdout| io::BufReader::new(stdout).read_line(&mut line));
    if !matches!(read, Some(Ok(_))) || line.trim_end() != READY {
        let _ = child.kill();
        let _ = child.wait();
        return Err(Failure::failed("the demo did not start"));
    }
    // From "ready" to the last thread's wait is a moment more.
    thread::sleep(Duration::from_millis(50));
    Ok(child)
}

/// Runs the demo until its input ends: so it ends with whoever started it, however that ends.
pub(crate) fn serve() -> Result {
    let (work, queue) = mpsc::channel::<u64>();
    let queue = Arc::new(Mutex::new(queue));
    for number in 1..=2 {
        let queue = queue.clone();
        spawn(format!("worker-{number}"), move || worker(&queue))?;
    }
    spawn("compute".into(), || compute(1))?;
    spawn("backup".into(), || backup("/", 12))?;
    let (accounts, orders) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
    let both = Arc::new(Barrier::new(2));
    let (first, second, meeting) = (accounts.clone(), orders.clone(), both.clone());
    spawn("billing".into(), move || transfer(&first, &second, &meeting))?;
    spawn("shipping".into(), move || transfer(&orders, &accounts, &both))?;
    let mut output = io::stdout();
    writeln!(output, "{READY}").and_then(|()| output.flush()).map_err(Failure::from)?;
    let _ = io::stdin().read(&mut [0]);
    drop(work);
    Ok(Outcome::Complete)
}

fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> Result<()> {
    thread::Builder::new().name(name).spawn(work).map(drop).map_err(Failure::failed)
}

/// Waits for work that never comes.
#[inline(never)]
fn worker(queue: &Mutex<Receiver<u64>>) {
    while let Ok(item) = next_item(queue) {
        black_box(item);
    }
}

#[inline(never)]
fn next_item(queue: &Mutex<Receiver<u64>>) -> std::result::Result<u64, mpsc::RecvError> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv()
}

/// Uses a processor now and then, so as not to heat the room.
#[inline(never)]
fn compute(seed: u64) {
    let mut value = seed;
    loop {
        value = black_box(mix(value));
        if value.is_multiple_of(512) {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[inline]
fn mix(value: u64) -> u64 {
    value.wrapping_mul(6_364_136_223_846_793_005).rotate_left(17) ^ 0x5bd1_e995
}

/// Goes down a directory tree that it makes up, and sleeps at the bottom.
#[inline(never)]
fn backup(directory: &str, depth: u32) {
    if depth == 0 {
        write_block(directory);
    } else {
        backup(&format!("{directory}{depth}/"), depth - 1);
    }
    black_box(depth);
}

#[inline(never)]
fn write_block(path: &str) {
    black_box(path);
    thread::sleep(Duration::from_secs(3600));
}

/// Takes one lock, then the other: two of these, the other way round, wait for ever.
#[inline(never)]
fn transfer(from: &Mutex<u64>, to: &Mutex<u64>, both: &Barrier) {
    let mut from = from.lock().unwrap_or_else(PoisonError::into_inner);
    both.wait();
    let mut to = to.lock().unwrap_or_else(PoisonError::into_inner);
    *from -= 1;
    *to += 1;
}
