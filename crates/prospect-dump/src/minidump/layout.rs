//! The address space of a process in a minidump: its memory, its memory map, and its modules.

use prospect_process::{
    Addr, FileId, Mapping, Mappings, Module, ModuleKind, Modules, OperatingSystem, Permissions, Registers,
    auxv::{self, Auxv},
    module::ElfImage,
    proc_maps::DELETED,
};

use super::{
    MinidumpNotice,
    dump::Threads,
    read::{MemoryRange, RawModule},
};
use crate::elf_core::{CoreFile, CoreSegments, Landmarks, MappedFile, Segment, memory_map};

/// What Breakpad's writers call the kernel's code.
const VDSO: &str = "linux-gate.so";

/// The memory by address, and the memory map: what is `known` of it, else what follows from modules and memory.
pub(super) fn lay_out(
    file: &CoreFile,
    ranges: Vec<MemoryRange>,
    known: Option<Vec<Mapping>>,
    modules: &[RawModule],
    vector: &Auxv,
    pcs: &[Addr],
) -> (Vec<Segment>, Mappings) {
    let mut segments = segments(file, ranges);
    let files: Vec<MappedFile> = modules
        .iter()
        .filter(|module| module.name != VDSO)
        .map(|module| MappedFile {
            range: module.range.clone(),
            offset: 0,
            path: module.name.clone().into_bytes(),
        })
        .collect();
    let Some(mut known) = known else {
        for segment in &mut segments {
            let holds_code = |at: &Addr| segment.range.contains(at);
            let is_of_file = modules.iter().any(|module| module.range.contains(&segment.range.start));
            segment.permissions = Permissions {
                read: true,
                write: !is_of_file,
                execute: is_of_file || pcs.iter().any(holds_code),
                shared: false,
            };
        }
        let landmark = |kind| vector.get(kind).map(Addr);
        let landmarks = Landmarks { vdso: landmark(auxv::VDSO), stack: landmark(auxv::RANDOM) };
        let mappings = memory_map(&segments, &files, landmarks);
        return (segments, mappings);
    };
    let has_names = known.iter().any(|mapping| !mapping.name.is_empty());
    for mapping in known.iter_mut().filter(|_| !has_names) {
        let at = modules.iter().position(|module| module.range.contains(&mapping.range.start));
        if let Some(index) = at {
            mapping.name = modules[index].name.clone().into_bytes();
            mapping.offset = mapping.range.start.0 - modules[index].range.start.0;
            mapping.file = Some(FileId { device: (0, 0), inode: index as u64 + 1 });
        }
    }
    let mappings = Mappings::new(known);
    for segment in &mut segments {
        segment.permissions =
            mappings.at(segment.range.start).map_or_else(Permissions::default, |one| one.permissions);
    }
    (segments, mappings)
}

/// Memory by address, without overlap: what is there twice is taken from what begins first.
fn segments(file: &CoreFile, mut ranges: Vec<MemoryRange>) -> Vec<Segment> {
    ranges.sort_by_key(|range| (range.start, std::cmp::Reverse(range.bytes)));
    let mut segments: Vec<Segment> = Vec::with_capacity(ranges.len());
    for MemoryRange { start, bytes, offset } in ranges {
        let end = Addr(start.0.saturating_add(bytes));
        let from = segments.last().map_or(start, |last| last.range.end.max(start));
        if from >= end {
            continue;
        }
        let (offset, dumped) = (offset.saturating_add(from.0 - start.0), end.0 - from.0);
        segments.push(Segment {
            range: from..end,
            permissions: Permissions::default(),
            offset,
            dumped,
            present: dumped.min(file.length().saturating_sub(offset)),
        });
    }
    segments
}

/// The modules. The program is the one that the kernel says it started (`in_program`), else the first of the list, as all
/// writers have it.
pub(super) fn modules(
    raw: &[RawModule],
    system: OperatingSystem,
    mappings: &Mappings,
    memory: &CoreSegments,
    in_program: Option<Addr>,
) -> Modules {
    let has_program = |at: Addr| raw.iter().position(|module| module.range.contains(&at));
    let program = in_program.and_then(has_program).unwrap_or(0);
    let is_elf = matches!(system, OperatingSystem::Linux | OperatingSystem::Android | OperatingSystem::Other);
    let module = |(index, raw): (usize, &RawModule)| {
        let start = raw.range.start;
        let image = is_elf.then(|| ElfImage::read(start, memory)).flatten();
        let is_vdso =
            is_elf && (raw.name == VDSO || mappings.at(start).is_some_and(|one| one.name == b"[vdso]"));
        let (path, deleted) = match raw.name.as_bytes().strip_suffix(DELETED) {
            Some(path) if is_elf => (path, true),
            _ if is_vdso => (b"[vdso]".as_slice(), false),
            _ => (raw.name.as_bytes(), false),
        };
        let first = mappings.at(start);
        Module {
            range: raw.range.clone(),
            // Without its headers, a file is taken for one that is linked at 0.
            bias: image.as_ref().map_or(start.0, |image| image.bias),
            path: path.to_vec(),
            kind: if is_vdso { ModuleKind::Vdso } else { ModuleKind::File },
            file: first.and_then(|mapping| mapping.file),
            deleted,
            build_id: raw.build_id.clone().or_else(|| image?.build_id),
            debug_file: raw.debug_file.clone(),
            first_mapping: first.map_or_else(|| raw.range.clone(), |mapping| mapping.range.clone()),
            is_executable: index == program && !is_vdso,
        }
    };
    Modules::new(raw.iter().enumerate().filter(|(_, raw)| !raw.range.is_empty()).map(module).collect())
}

/// Says what of the memory should be there and is not.
pub(super) fn missing_memory(segments: &CoreSegments, threads: &Threads, notices: &mut Vec<MinidumpNotice>) {
    let all = segments.segments();
    let cut = || all.iter().filter(|segment| segment.present < segment.dumped);
    if let Some(first) = cut().next().map(Segment::present_end) {
        let bytes = cut().fold(0u64, |sum, one| sum.saturating_add(one.dumped - one.present));
        notices.push(MinidumpNotice::MissingMemory { bytes, ranges: cut().count(), first });
    }
    for thread in &threads.threads {
        let Some(sp) = threads.registers.get(&thread.id).and_then(Registers::sp) else { continue };
        let next = all.partition_point(|segment| segment.range.start <= sp);
        let is_there = next.checked_sub(1).is_some_and(|index| sp < all[index].present_end());
        if !is_there {
            notices.push(MinidumpNotice::MissingStack(thread.id));
        }
    }
}
