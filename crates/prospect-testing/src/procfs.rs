//! What `/proc` says of a process, for tests that check what the tool left behind.

use std::fs;

/// The state letter of a thread or process; `None` when it is gone.
#[must_use]
pub fn state(pid: u32, tid: u32) -> Option<char> {
    let text = fs::read(format!("/proc/{pid}/task/{tid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    text.rsplit_once(')')?.1.trim_start().chars().next()
}

/// The threads of a process, by number.
#[must_use]
pub fn tasks(pid: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let mut tids: Vec<u32> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    tids.sort_unstable();
    tids
}

/// The state letters of all threads.
#[must_use]
pub fn states(pid: u32) -> String {
    tasks(pid).into_iter().filter_map(|tid| state(pid, tid)).collect()
}

/// The process that traces any of its threads; 0 for none.
#[must_use]
pub fn tracer(pid: u32) -> u32 {
    let of = |tid: u32| status_field(&format!("/proc/{pid}/task/{tid}/status"), "TracerPid:");
    tasks(pid).into_iter().find_map(|tid| of(tid).filter(|tracer| *tracer != 0)).unwrap_or(0)
}

/// The parent of a process.
#[must_use]
pub fn parent(pid: u32) -> Option<u32> {
    status_field(&format!("/proc/{pid}/status"), "PPid:")
}

fn status_field(path: &str, field: &str) -> Option<u32> {
    let text = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    text.lines().find_map(|line| line.strip_prefix(field))?.trim().parse().ok()
}
