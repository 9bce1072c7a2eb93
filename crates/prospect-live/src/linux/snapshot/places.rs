//! What is to be known of a process before one of its threads is made to do a system call.

use std::ops::Range;

use prospect_process::{Arch, Mapping, Mappings, ProcessId};

use super::parking::Parking;
use crate::linux::arch;

/// Where threads do their calls, and where there is room for the [way](super::way) from there.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) parking: Parking,
    /// See [`stacks`].
    pub(super) stacks: Vec<Range<u64>>,
}

impl Places {
    /// Looks for them while the process runs on.
    pub(super) fn find(process: ProcessId, mappings: &Mappings, arch: Arch) -> Self {
        let convention = arch::convention_of(arch);
        let parking = convention.and_then(|convention| Parking::find(process, mappings, convention));
        Self { parking: parking.unwrap_or_default(), stacks: stacks(mappings) }
    }
}

/// Memory below stack pointers that can be nothing but unused stack: in mappings that a guard is below, and that of the first
/// thread. Stacks of coroutines and goroutines lie side by side with what belongs to others.
fn stacks<'a>(mappings: impl IntoIterator<Item = &'a Mapping>) -> Vec<Range<u64>> {
    let mut guard_end = None;
    let mut stacks = Vec::new();
    for mapping in mappings {
        let permissions = mapping.permissions;
        let range = mapping.range.start.0..mapping.range.end.0;
        let is_memory =
            permissions.read && permissions.write && !permissions.shared && mapping.file.is_none();
        if is_memory && (guard_end == Some(range.start) || mapping.name == b"[stack]") {
            stacks.push(range.clone());
        }
        let is_guard = !permissions.read && !permissions.write && !permissions.execute;
        guard_end = is_guard.then_some(range.end);
    }
    stacks
}

#[cfg(test)]
mod tests {
    use prospect_process::{Addr, Advice, Permissions};

    use super::*;

    fn mapping(start: u64, end: u64, access: bool, name: &[u8]) -> Mapping {
        let permissions = Permissions { read: access, write: access, ..Permissions::default() };
        Mapping {
            range: Addr(start)..Addr(end),
            permissions,
            offset: 0,
            file: None,
            name: name.to_vec(),
            deleted: false,
            advice: Advice::default(),
        }
    }

    #[test]
    fn only_what_a_guard_is_below_is_a_stack() {
        let mappings = [
            mapping(0x1000, 0x9000, true, b""),
            mapping(0xa000, 0xb000, false, b""),
            mapping(0xb000, 0x1_0000, true, b""),
            // Not adjacent; behind memory; of the first thread.
            mapping(0x2_0000, 0x2_1000, false, b""),
            mapping(0x2_2000, 0x2_4000, true, b""),
            mapping(0x2_4000, 0x2_8000, true, b"[heap]"),
            mapping(0x7_0000, 0x8_0000, true, b"[stack]"),
        ];
        assert_eq!(stacks(&mappings), [0xb000..0x1_0000, 0x7_0000..0x8_0000]);
    }
}
