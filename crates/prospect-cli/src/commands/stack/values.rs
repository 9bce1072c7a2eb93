//! The values of the variables of whole stacks.

use std::{
    num::NonZeroUsize,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use prospect::{Session, ThreadStack};

use super::Args;
use crate::{report::StackReport, watch::Watch};

/// More threads than this are no help.
const MOST_THREADS: usize = 8;

/// Notes the values of each frame as soon as they are read, by as many threads as there are processors.
pub(super) fn read(session: &Session, stacks: &[ThreadStack], args: &Args, watch: &Watch<StackReport>) {
    let Some(variables) = args.variables() else { return };
    let (mut limits, views) = (args.values.small_limits(), args.values.views());
    if !args.json {
        limits.letters = variables.width() as u64;
    }
    let groups = session.frames_by_unit(stacks);
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
            for &(place, index) in group {
                let Some(stack) = stacks.get(place) else { continue };
                let read = if variables.locals {
                    session.frame_values(stack, index, &limits, views)
                } else {
                    session.frame_arguments(stack, index, &limits, views)
                };
                watch.add(|report| drop(report.values.insert((stack.thread.id, index), read)));
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MOST_THREADS);
    thread::scope(|scope| {
        for _ in 1..threads.min(groups.len()) {
            // Without another thread, it takes longer.
            let _ = thread::Builder::new().name("values".into()).spawn_scoped(scope, work);
        }
        work();
    });
}
