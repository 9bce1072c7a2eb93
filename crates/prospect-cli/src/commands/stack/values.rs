//! The values of the variables of whole stacks.

use std::{
    num::NonZeroUsize,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use prospect::{Session, ThreadStack};

use crate::{report::StackReport, value_args::ValueArgs, watch::Watch};

/// More threads than this are no help.
const MOST_THREADS: usize = 8;

/// Notes the values of each frame as soon as they are read, by as many threads as there are processors.
pub(super) fn read(session: &Session, stacks: &[ThreadStack], args: &ValueArgs, watch: &Watch<StackReport>) {
    let (limits, views) = (args.small_limits(), args.views());
    let frames = |stack| (0..ThreadStack::frames(stack).len()).map(move |index| (stack, index));
    let frames: Vec<(&ThreadStack, usize)> = stacks.iter().flat_map(frames).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(&(stack, index)) = frames.get(next.fetch_add(1, Ordering::Relaxed)) {
            let read = session.frame_values(stack, index, &limits, views);
            watch.add(|report| drop(report.values.insert((stack.thread.id, index), read)));
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MOST_THREADS);
    thread::scope(|scope| {
        for _ in 1..threads.min(frames.len()) {
            // Without another thread, it takes longer.
            let _ = thread::Builder::new().name("values".into()).spawn_scoped(scope, work);
        }
        work();
    });
}
