//! Equal stacks, once.

use std::{collections::HashMap, hash::Hash};

use prospect::{Goroutine, ThreadStack, process::Addr, stack::Frame};

/// Threads with the same frames, the largest group first; the first thread of each stands for all.
pub(crate) fn groups(threads: &[ThreadStack]) -> Vec<Vec<&ThreadStack>> {
    group_by(threads, |thread| {
        let reason = thread.thread.not_stopped.as_ref().map(ToString::to_string);
        (pcs(thread.frames()), thread.end().map(ToString::to_string), reason)
    })
}

/// Goroutines with the same frames that do the same, in the same way.
pub(crate) fn goroutine_groups(goroutines: &[Goroutine]) -> Vec<Vec<&Goroutine>> {
    group_by(goroutines, |one| {
        let stack = &one.stack;
        let end = (!stack.end.is_complete()).then(|| stack.end.to_string());
        (pcs(&stack.frames), end, (one.state, one.wait_reason, one.created_at))
    })
}

fn pcs(frames: &[Frame]) -> Vec<Addr> {
    frames.iter().map(|frame| frame.code.addr()).collect()
}

fn group_by<T, K: Hash + Eq>(all: &[T], key: impl Fn(&T) -> K) -> Vec<Vec<&T>> {
    let mut index: HashMap<K, usize> = HashMap::new();
    let mut groups: Vec<Vec<&T>> = Vec::new();
    for one in all {
        let at = *index.entry(key(one)).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[at].push(one);
    }
    // Stable: groups of one size stay in the order of their first members.
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    groups
}
