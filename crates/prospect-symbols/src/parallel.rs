//! Shares jobs out over the processors.

use std::{
    num::NonZero,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Work below this is done sooner than a thread is started: bytes of debug information.
const WORTH_A_THREAD: usize = 192 << 10;

/// More workers than this only wait for each other's page faults.
const MOST_WORKERS: usize = 16;

/// Does all `jobs`, given with the size of each, and returns their results in order. The largest are
/// begun first, so that none is left at the end for one worker alone.
pub(crate) fn run<J: Sync, T: Send>(jobs: &[(usize, J)], work: impl Fn(&J) -> T + Sync) -> Vec<T> {
    let total = jobs.iter().fold(0, |sum: usize, (size, _)| sum.saturating_add(*size));
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    order.sort_by_key(|&job| std::cmp::Reverse(jobs.get(job).map_or(0, |(size, _)| *size)));
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        while let Some(&job) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Some((_, one)) = jobs.get(job) {
                done.push((job, work(one)));
            }
        }
        done
    };
    let workers = if total < WORTH_A_THREAD { 1 } else { processors().min(jobs.len()) };
    let mut done = thread::scope(|scope| {
        let start = |_| thread::Builder::new().spawn_scoped(scope, worker).ok();
        let others: Vec<_> = (1..workers).map_while(start).collect();
        let mut done = worker();
        for other in others {
            match other.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_by_key(|&(job, _)| job);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Asking the system is slow enough to be done once.
fn processors() -> usize {
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    *PROCESSORS.get_or_init(|| thread::available_parallelism().map_or(1, NonZero::get).min(MOST_WORKERS))
}
