//! Threads: the list with their registers and stacks, their names, and what is known of them besides.

use std::{collections::HashMap, time::Duration};

use prospect_process::{ThreadId, thread_pointer};

use super::{head::Head, kinds, plan::Plan, sanitize::Sanitizer, subject::Subject};

/// `MINIDUMP_THREAD_INFO_INVALID_CONTEXT`, `_EXITED_THREAD`.
const INVALID_CONTEXT: u32 = 0x10;
const EXITED_THREAD: u32 = 0x4;

/// Size and position of each `CONTEXT`.
pub(super) type Contexts = HashMap<ThreadId, [u32; 2]>;

/// Adds `ThreadListStream`, `ThreadNamesStream` and `ThreadInfoListStream`.
pub(super) fn add(
    head: &mut Head,
    subject: &Subject<'_>,
    plan: &Plan,
    sanitizer: Option<&Sanitizer<'_>>,
) -> Contexts {
    let threads = subject.process.threads();
    let mut contexts = Contexts::new();
    for thread in threads {
        if let Some(context) = subject.context(thread.id, sanitizer) {
            contexts.insert(thread.id, head.apart(16, &context));
        }
    }
    head.stream(kinds::THREADS, |head| {
        head.u32(threads.len() as u32);
        for thread in threads {
            // Not held back, no class, no priority.
            [thread.id.0, 0, 0, 0].into_iter().for_each(|number| head.u32(number));
            head.u64(thread_pointer(subject.process, thread.id).map_or(0, |at| at.0));
            match plan.stack(thread.id) {
                Some(stack) => {
                    head.u64(stack.start.0);
                    head.location_of_memory(stack);
                }
                None => {
                    let sp = subject.registers(thread.id).and_then(|registers| registers.sp());
                    head.u64(sp.map_or(0, |sp| sp.0));
                    head.location([0, 0]);
                }
            }
            head.location(contexts.get(&thread.id).copied().unwrap_or_default());
        }
    });
    let names: Vec<(ThreadId, u32)> =
        threads.iter().filter_map(|thread| Some((thread.id, head.string(thread.name.as_deref()?)))).collect();
    head.stream(kinds::THREAD_NAMES, |head| {
        head.u32(names.len() as u32);
        for (thread, name) in names {
            head.u32(thread.0);
            head.u64(u64::from(name));
        }
    });
    head.stream(kinds::THREAD_INFO, |head| {
        [12, 64, threads.len() as u32].into_iter().for_each(|number| head.u32(number));
        for thread in threads {
            let exited = matches!(
                thread.not_stopped,
                Some(prospect_process::NoRegisters::Exited | prospect_process::NoRegisters::Zombie)
            );
            let flags = if exited { EXITED_THREAD } else { 0 }
                | if contexts.contains_key(&thread.id) { 0 } else { INVALID_CONTEXT };
            // No error, no exit status, no times of its beginning and its end.
            [thread.id.0, flags, 0, 0].into_iter().for_each(|number| head.u32(number));
            let (cpu, kernel) = (thread.cpu_time, thread.kernel_time.unwrap_or_default());
            let user = cpu.unwrap_or_default().saturating_sub(kernel);
            // Where it began and which processors it may use is not known.
            [0, 0, ticks(kernel), ticks(user), 0, 0].into_iter().for_each(|number| head.u64(number));
        }
    });
    contexts
}

/// In units of 100 ns, as Windows counts.
fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_nanos() / 100).unwrap_or(u64::MAX)
}
