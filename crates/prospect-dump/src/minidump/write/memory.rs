//! Which memory is mapped, and which is in the dump.

use prospect_process::{Mapping, Permissions};

use super::{head::Head, kinds, plan::Plan, subject::Subject};

/// `MEM_COMMIT`, `MEM_PRIVATE`, `MEM_MAPPED`, `PAGE_…` (`winnt.h`).
const COMMIT: u32 = 0x1000;
const PRIVATE: u32 = 0x2_0000;
const MAPPED: u32 = 0x4_0000;

/// Adds `MemoryInfoListStream`: the memory map.
pub(super) fn add_info(head: &mut Head, subject: &Subject<'_>) {
    let mappings = subject.process.mappings();
    head.stream(kinds::MEMORY_INFO, |head| {
        head.u32(16);
        head.u32(48);
        head.u64(mappings.as_slice().len() as u64);
        for mapping in mappings {
            let protection = protection(mapping.permissions);
            head.u64(mapping.range.start.0);
            head.u64(mapping.range.start.0);
            head.u32(protection);
            head.u32(0);
            head.u64(mapping.bytes());
            let kind = if mapping.permissions.shared { MAPPED } else { PRIVATE };
            [COMMIT, protection, kind, 0].into_iter().for_each(|number| head.u32(number));
        }
    });
}

/// Windows has no memory that can be written and not read.
fn protection(Permissions { read, write, execute, .. }: Permissions) -> u32 {
    match (read, write, execute) {
        (false, false, false) => 0x01,
        (true, false, false) => 0x02,
        (_, true, false) => 0x04,
        (false, false, true) => 0x10,
        (true, false, true) => 0x20,
        (_, true, true) => 0x40,
    }
}

/// Adds `MemoryListStream`, or `Memory64ListStream` where it has to reach further than 32 bits.
pub(super) fn add_list(head: &mut Head, plan: &Plan) {
    let is_wide =
        plan.is_full || head.length() as u64 + 64 * plan.parts.len() as u64 + plan.bytes > 0xffff_0000;
    if is_wide {
        head.stream(kinds::MEMORY_64, |head| {
            head.u64(plan.parts.len() as u64);
            head.base_of_memory();
            for part in &plan.parts {
                head.u64(part.range.start.0);
                head.u64(part.range.end.0 - part.range.start.0);
            }
        });
    } else {
        head.stream(kinds::MEMORY, |head| {
            head.u32(plan.parts.len() as u32);
            for part in &plan.parts {
                head.u64(part.range.start.0);
                head.location_of_memory(&part.range);
            }
        });
    }
}

/// A line of `/proc/PID/maps`.
pub(super) fn line(mapping: &Mapping) -> Vec<u8> {
    let ((major, minor), inode) = mapping.file.map_or(((0, 0), 0), |file| (file.device, file.inode));
    let mut line = format!(
        "{:08x}-{:08x} {} {:08x} {major:02x}:{minor:02x} {inode} ",
        mapping.range.start.0, mapping.range.end.0, mapping.permissions, mapping.offset
    )
    .into_bytes();
    if !mapping.name.is_empty() {
        line.resize(line.len().max(73), b' ');
        for byte in &mapping.name {
            // As the kernel writes them.
            if *byte == b'\n' { line.extend(b"\\012") } else { line.push(*byte) }
        }
        if mapping.deleted {
            line.extend(b" (deleted)");
        }
    }
    line.push(b'\n');
    line
}
