//! What is found out before anything is stopped.

use std::{ops::Range, time::Duration};

use prospect_process::{Addr, Mapping, Mappings, ProcessId, ProcessInfo, ThreadId, ThreadState};

use super::{SnapshotError, SnapshotPlan, headroom};
use crate::linux::procfs::{self, ProcError, TaskDirectory, ThreadFacts};

/// The share of its own memory that must be left for what a process writes while there is a copy of it: it writes to a page,
/// and then there are two of it.
const LEAST_SHARE: u64 = 8;

/// What cloning takes, measured on machines of 2019 to 2025 that do little else, and up to twice as much: at all, for
/// each thread that is stopped, for each mapping, for each page of its own, for each huge page, for each page of page
/// tables.
const FOR_ALL: Duration = Duration::from_micros(500);
const FOR_EACH_THREAD: Duration = Duration::from_micros(60);
const FOR_EACH_MAPPING: Duration = Duration::from_micros(2);
const FOR_EACH_PAGE: Duration = Duration::from_nanos(90);
const FOR_EACH_HUGE_PAGE: Duration = Duration::from_micros(1);
const FOR_EACH_TABLE: Duration = Duration::from_micros(2);
const PAGE_BYTES: u64 = 4 << 10;
const HUGE_PAGE_BYTES: u64 = 2 << 20;
/// What reading and writing it elsewhere takes: of memory that is there to a file that the kernel keeps in memory, which is
/// a third of what it takes at best.
const COPIED_EACH_SECOND: u64 = 1 << 30;

/// How much memory a process has of its own, in bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Own {
    /// All of it.
    bytes: u64,
    /// In huge pages, of which cloning copies one entry each.
    huge: u64,
    /// Swapped out, which takes entries as well.
    swapped: u64,
    /// All that is in memory for it, that of files too.
    resident: u64,
    /// The page tables themselves.
    tables: u64,
}

#[derive(Debug)]
pub(super) struct Survey {
    /// In the kernel's order.
    pub(super) threads: Vec<ThreadFacts>,
    pub(super) mappings: Mappings,
    pub(super) info: ProcessInfo,
    /// What a child does not get, or must not be read from: copied while the process stands.
    pub(super) copied: Vec<Range<Addr>>,
    /// What is neither copied nor in the child.
    pub(super) left_out: Vec<Range<Addr>>,
    /// Shared with others who may write to it: the child's is theirs.
    pub(super) live: Vec<Range<Addr>>,
}

impl Survey {
    pub(super) fn of(process: ProcessId, plan: &SnapshotPlan) -> Result<Self, SnapshotError> {
        if headroom::is_frozen(process) {
            return Err(SnapshotError::Frozen(process));
        }
        let tasks = TaskDirectory::open(process)?;
        let threads: Vec<ThreadFacts> =
            tasks.task_ids()?.into_iter().filter_map(|id| tasks.thread(id).ok()).collect();
        let mappings = procfs::advised_mappings(process)?;
        if mappings.as_slice().is_empty() {
            return Err(SnapshotError::NoMemory(process));
        }
        let own = own_memory_about(process);
        if let Some(most) = plan.max_pause {
            let own = own_memory(process);
            let estimate = estimate(own, threads.len(), mappings.as_slice().len());
            if estimate > most {
                return Err(SnapshotError::TooLong { estimate, most });
            }
        }
        let needed = own.bytes / LEAST_SHARE;
        if !plan.even_if_memory_is_short
            && let Some(available) = headroom::available(process).filter(|available| *available < needed)
        {
            return Err(SnapshotError::MemoryShort { available, own: own.bytes, needed });
        }
        let info = ProcessInfo { kernel: procfs::kernel_facts(process)?, ..procfs::process_info(process)? };
        let mut survey =
            Self { threads, mappings, info, copied: Vec::new(), left_out: Vec::new(), live: Vec::new() };
        survey.share_out(plan);
        Ok(survey)
    }

    fn share_out(&mut self, plan: &SnapshotPlan) {
        let mut room = plan.copied_bytes as u64;
        for mapping in &self.mappings {
            let is_missing = mapping.advice.dont_fork || mapping.advice.wipe_on_fork;
            let is_shared = mapping.permissions.shared;
            if !(is_missing || is_shared && mapping.permissions.read) {
                continue;
            }
            let can_be_copied = mapping.permissions.read && !mapping.advice.device && mapping.bytes() <= room;
            let place = if can_be_copied && (is_missing || plan.shared) {
                room -= mapping.bytes();
                &mut self.copied
            } else if is_missing {
                &mut self.left_out
            } else {
                &mut self.live
            };
            place.push(mapping.range.clone());
        }
    }

    /// The threads by how gladly they are made to clone the process: those that wait first, and the filtered last.
    pub(super) fn candidates(&self, is_held: impl Fn(ThreadId) -> bool) -> Vec<ThreadId> {
        let usable = |facts: &&ThreadFacts| {
            facts.thread.not_stopped.is_none()
                && !is_held(facts.thread.id)
                && facts.thread.state != ThreadState::Uninterruptible
        };
        let mut chosen: Vec<_> = self.threads.iter().filter(usable).collect();
        chosen.sort_by_key(|facts| facts.thread.state == ThreadState::Running);
        chosen.into_iter().map(|facts| facts.thread.id).collect()
    }

    /// Those of its mappings that a child does not get.
    pub(super) fn not_in_child(&self) -> impl Iterator<Item = &Mapping> {
        self.mappings.iter().filter(|mapping| mapping.advice.dont_fork)
    }
}

/// About how long a process would stand still for a snapshot.
pub(super) fn estimate_of(process: ProcessId) -> Result<Duration, ProcError> {
    let (own, threads, mappings) = sizes(process)?;
    Ok(estimate(own, threads, mappings))
}

/// About how long a process would stand still for all of its memory, or `most` bytes of it, to be copied elsewhere.
pub(super) fn copying_estimate_of(process: ProcessId, most: Option<u64>) -> Result<Duration, ProcError> {
    let (own, threads, mappings) = sizes(process)?;
    let bytes = own.resident.saturating_add(own.swapped).min(most.unwrap_or(u64::MAX));
    Ok(copying_estimate(bytes, threads, mappings))
}

fn sizes(process: ProcessId) -> Result<(Own, usize, usize), ProcError> {
    let threads = TaskDirectory::open(process)?.expected_count()?;
    let mappings = procfs::mappings(process)?;
    Ok((own_memory(process), usize::try_from(threads).unwrap_or(usize::MAX), mappings.as_slice().len()))
}

fn times(each: Duration, count: u64) -> Duration {
    Duration::from_nanos((each.as_nanos() as u64).saturating_mul(count))
}

/// The memory map is read while it stands, and what is there of each mapping.
fn copying_estimate(bytes: u64, threads: usize, mappings: usize) -> Duration {
    let copying = u128::from(bytes) * Duration::from_secs(1).as_nanos() / u128::from(COPIED_EACH_SECOND);
    FOR_ALL
        .saturating_add(times(FOR_EACH_THREAD, threads as u64))
        .saturating_add(times(2 * FOR_EACH_MAPPING, mappings as u64))
        .saturating_add(Duration::from_nanos(u64::try_from(copying).unwrap_or(u64::MAX)))
}

fn estimate(own: Own, threads: usize, mappings: usize) -> Duration {
    let small = own.bytes.saturating_sub(own.huge).saturating_add(own.swapped);
    FOR_ALL
        .saturating_add(times(FOR_EACH_THREAD, threads as u64))
        .saturating_add(times(FOR_EACH_MAPPING, mappings as u64))
        .saturating_add(times(FOR_EACH_PAGE, small / PAGE_BYTES))
        .saturating_add(times(FOR_EACH_HUGE_PAGE, own.huge / HUGE_PAGE_BYTES))
        .saturating_add(times(FOR_EACH_TABLE, own.tables / PAGE_BYTES))
}

/// `/proc/PID/smaps_rollup` (Linux 4.14): its lines `Anonymous`, `AnonHugePages`, `Swap` and `Rss`. What the kernel
/// counts as it goes where there is no such file.
fn own_memory(process: ProcessId) -> Own {
    let about = own_memory_about(process);
    let bytes = sizes_in(&format!("/proc/{process}/smaps_rollup"));
    if bytes("Rss") == 0 {
        return about;
    }
    Own {
        bytes: bytes("Anonymous"),
        huge: bytes("AnonHugePages"),
        swapped: bytes("Swap"),
        resident: bytes("Rss"),
        ..about
    }
}

/// The same but for huge pages from what the kernel counts as it goes (`/proc/PID/status`), which takes no look at each page.
fn own_memory_about(process: ProcessId) -> Own {
    let bytes = sizes_in(&format!("/proc/{process}/status"));
    Own {
        bytes: bytes("RssAnon"),
        huge: 0,
        swapped: bytes("VmSwap"),
        resident: bytes("VmRSS"),
        tables: bytes("VmPTE"),
    }
}

/// The lines `NAME: COUNT kB` of a file, in bytes; 0 for those that it does not have.
fn sizes_in(path: &str) -> impl Fn(&str) -> u64 + use<> {
    let text = procfs::read_small(path).unwrap_or_default();
    move |name| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let count = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        count.unwrap_or(0).saturating_mul(1 << 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn huge_pages_take_less_time() {
        let small = Own { bytes: 1 << 30, resident: 1 << 30, tables: 2 << 20, ..Own::default() };
        let huge = Own { huge: 1 << 30, tables: 4 << 10, ..small };
        let [small, huge] = [small, huge].map(|own| estimate(own, 1, 50));
        // Two gigabytes were cloned in 17 to 29 ms, four in 40 to 83.
        assert!(small > Duration::from_millis(21) && small < Duration::from_millis(42), "{small:?}");
        assert!(huge < Duration::from_millis(5), "{huge:?}");
        let endless = Own { bytes: u64::MAX, resident: u64::MAX, swapped: u64::MAX, ..Own::default() };
        assert!(estimate(endless, usize::MAX, usize::MAX) > small);
        assert!(copying_estimate(u64::MAX, usize::MAX, usize::MAX) > small);
    }

    #[test]
    fn copying_takes_longer_the_more_there_is() {
        let of = |resident| copying_estimate(resident, 1, 50);
        assert!(of(1 << 30) > Duration::from_millis(300), "{:?}", of(1 << 30));
        assert!(of(1 << 20) < Duration::from_millis(10), "{:?}", of(1 << 20));
    }
}
