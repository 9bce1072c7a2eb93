//! What `/proc` says of threads and children, without allocation.

use prospect_process::{ProcessId, ThreadId};

use super::super::raw;

/// What decides whether a thread can be used.
pub(super) struct ThreadFacts {
    /// It may stop when it is asked to, and nobody else traces it.
    pub(super) is_usable: bool,
    pub(super) has_filter: bool,
}

/// What the kernel says of a thread: `None` when it is gone.
pub(super) fn facts(process: ProcessId, thread: ThreadId) -> Option<ThreadFacts> {
    let mut text = [0; 4096];
    let path = raw::Path::new(format_args!("/proc/{process}/task/{thread}/status"))?;
    let text = raw::read_file(&path, &mut text)?;
    let field = |name: &[u8]| {
        let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name))?;
        Some(line.trim_ascii_start())
    };
    let number = |name: &[u8]| field(name).and_then(raw::leading_number).unwrap_or(0);
    let state = field(b"State:").and_then(<[u8]>::first).copied();
    Some(ThreadFacts {
        is_usable: !matches!(state, None | Some(b'Z' | b'X' | b'D')) && number(b"TracerPid:") == 0,
        has_filter: number(b"Seccomp:") != 0,
    })
}

/// The child of a thread by the number that it has for its parent.
pub(super) fn child_by_number(process: ProcessId, parent: ThreadId, number: i64) -> Option<ProcessId> {
    let mut children = [0; 16 << 10];
    let path = raw::Path::new(format_args!("/proc/{process}/task/{parent}/children"))?;
    let children = raw::read_file(&path, &mut children)?;
    children.split(|byte| *byte == b' ').filter_map(raw::leading_number).find_map(|child| {
        let mut text = [0; 4096];
        let text = raw::read_file(&raw::Path::new(format_args!("/proc/{child}/status"))?, &mut text)?;
        let numbers = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"NSpid:"))?;
        let last = numbers.trim_ascii_end().rsplit(|byte| *byte == b'\t').next()?;
        (i64::from(raw::leading_number(last)?) == number).then_some(ProcessId(child))
    })
}
