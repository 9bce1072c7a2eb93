//! What the kernel keeps of a process and only dumps say: read when it is asked for.

use std::path::Path;

use prospect_process::{KernelFacts, ProcessId};

use super::{
    ProcError, auxv,
    cursor::Cursor,
    file::{read_all, read_small},
    memory_view, process_stat, process_status,
};

/// What the kernel keeps of a process. What it does not let us see is missing.
///
/// # Errors
/// When the process is gone.
pub fn kernel_facts(pid: ProcessId) -> Result<KernelFacts, ProcError> {
    let mut buffer = Vec::new();
    let stat = process_stat(pid, &mut buffer)?;
    let status = process_status(pid)?;
    let view = memory_view(pid);
    let known = |id: u32| (id != 0).then_some(ProcessId(id));
    Ok(KernelFacts {
        auxiliary_vector: read_all(Path::new(&format!("/proc/{view}/auxv")), auxv::LIMIT_BYTES)
            .unwrap_or_default(),
        state: stat.state,
        user_and_group: Some((status.users[0], status.groups[0])),
        process_group: known(stat.process_group),
        session: known(stat.session),
        nice: stat.nice,
        flags: stat.flags,
        core_filter: core_filter(view),
        extended_layout: Vec::new(),
    })
}

/// `/proc/PID/coredump_filter`, a hexadecimal number (`proc_coredump_filter_read` in `fs/proc/base.c`).
fn core_filter(pid: ProcessId) -> Option<u32> {
    let text = read_small(&format!("/proc/{pid}/coredump_filter"))?;
    u32::try_from(Cursor(text.as_bytes()).hex()?).ok()
}

#[cfg(test)]
mod tests {
    use prospect_process::auxv::{Auxv, PAGE_BYTES};

    use super::*;

    #[test]
    fn what_is_known_of_oneself() {
        let facts = kernel_facts(ProcessId(std::process::id())).unwrap();
        let words = size_of::<usize>() as u8;
        assert!(Auxv::parse(&facts.auxiliary_vector, words, false).get(PAGE_BYTES).is_some());
        assert!(facts.core_filter.is_some() && facts.process_group.is_some());
        let group = facts.user_and_group.unwrap();
        let status = process_status(ProcessId(std::process::id())).unwrap();
        assert_eq!(group, (status.users[0], status.groups[0]));
    }
}
