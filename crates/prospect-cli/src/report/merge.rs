//! Equal stacks, once.

use std::collections::HashMap;

use prospect::{ThreadStack, process::Addr};

/// Threads with the same frames, the largest group first; the first thread of each stands for all.
pub(crate) fn groups(threads: &[ThreadStack]) -> Vec<Vec<&ThreadStack>> {
    type Key = (Vec<Addr>, Option<String>, Option<String>);
    let mut index: HashMap<Key, usize> = HashMap::new();
    let mut groups: Vec<Vec<&ThreadStack>> = Vec::new();
    for thread in threads {
        let pcs: Vec<Addr> = thread.frames().iter().map(|frame| frame.code.addr()).collect();
        let reason = thread.thread.not_stopped.as_ref().map(ToString::to_string);
        let end = thread.end().map(ToString::to_string);
        let at = *index.entry((pcs, end, reason)).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[at].push(thread);
    }
    // Stable: groups of one size stay in the order of their first threads.
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    groups
}
