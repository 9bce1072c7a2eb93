//! What is known of a process as a whole.

use std::path::{Path, PathBuf};

use prospect_process::{Arch, FileAccess, ProcessId, ProcessInfo, ThreadState};

use super::{
    ProcError, TaskDirectory, command_line, executable, file::read_once, process_stat, same_files,
    working_directory,
};

/// How many threads of a process are tried for one that still has memory.
const THREADS_TRIED: usize = 64;

/// All that `/proc` says of a process as a whole. What the kernel does not let us see is missing.
///
/// # Errors
/// When the process is gone.
pub fn process_info(pid: ProcessId) -> Result<ProcessInfo, ProcError> {
    let mut buffer = Vec::new();
    let stat = process_stat(pid, &mut buffer)?;
    let mut info = ProcessInfo::new(pid, host_arch());
    info.parent = (stat.parent != 0).then_some(ProcessId(stat.parent));
    info.name = stat.name_text();
    info.started = stat.started();
    if stat.is_kernel_thread() {
        return Ok(info);
    }
    let view = if stat.state == ThreadState::Zombie { memory_view(pid) } else { pid };
    if let Some(arch) = executable_arch(view) {
        info.arch = arch;
    }
    info.executable = executable(view).ok().flatten().map(|link| link.path);
    info.command_line = command_line(view).unwrap_or_default();
    info.working_directory = working_directory(view).ok().flatten().map(|link| link.path);
    info.files = file_access(view);
    Ok(info)
}

/// The number to use in `/proc` and in system calls for the memory and the files of a process.
///
/// That is `pid` itself, but for one case: when the first thread has ended and others live on, the kernel
/// has taken memory, files and executable from that first thread, and `/proc/PID` is empty. `/proc/TID`
/// of a living thread, which no listing shows, still has them all.
#[must_use]
pub fn memory_view(pid: ProcessId) -> ProcessId {
    let lives = |id: u32| {
        let mut buffer = Vec::new();
        process_stat(ProcessId(id), &mut buffer)
            .is_ok_and(|stat| !matches!(stat.state, ThreadState::Zombie | ThreadState::Dead))
    };
    if lives(pid.0) {
        return pid;
    }
    let threads = TaskDirectory::open(pid).and_then(|tasks| tasks.task_ids()).unwrap_or_default();
    let living = threads.iter().take(THREADS_TRIED).map(|tid| tid.0).find(|tid| *tid != pid.0 && lives(*tid));
    living.map_or(pid, ProcessId)
}

/// The architecture that this program itself was built for, or the 64-bit one of its family: what a process
/// is taken for as long as nothing else is known.
#[must_use]
pub fn host_arch() -> Arch {
    match std::env::consts::ARCH {
        "x86" => Arch::I386,
        _ => Arch::X86_64,
    }
}

/// The architecture by the ELF header of the executable.
pub(super) fn executable_arch(pid: ProcessId) -> Option<Arch> {
    let mut header = [0; 20];
    parse_elf_arch(read_once(Path::new(&format!("/proc/{pid}/exe")), &mut header).ok()?)
}

/// `e_machine` is the 16-bit word at 18, in the byte order that `EI_DATA` at 5 says; `EI_CLASS` is at 4 (ELF
/// gABI, chapter 4).
fn parse_elf_arch(header: &[u8]) -> Option<Arch> {
    let machine = <[u8; 2]>::try_from(header.strip_prefix(b"\x7fELF")?.get(14..16)?).ok()?;
    let is_64_bit = *header.get(4)? == 2;
    match header.get(5)? {
        1 => Arch::from_elf_machine(u16::from_le_bytes(machine), is_64_bit, false),
        2 => Arch::from_elf_machine(u16::from_be_bytes(machine), is_64_bit, true),
        _ => None,
    }
}

fn file_access(pid: ProcessId) -> FileAccess {
    let inside = |name: &str| PathBuf::from(format!("/proc/{pid}/{name}"));
    FileAccess {
        // Where we may not look, we could not open files through it either.
        root: same_files(pid).is_ok_and(|same| !same).then(|| inside("root")),
        by_mapping: Some(inside("map_files")),
        executable: Some(inside("exe")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_of_an_elf_header_is_read_in_its_byte_order() {
        let header = |data: u8, machine: [u8; 2]| {
            let mut bytes = *b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\0\0";
            bytes[5] = data;
            bytes[18..].copy_from_slice(&machine);
            bytes
        };
        assert_eq!(parse_elf_arch(&header(1, [62, 0])), Some(Arch::X86_64));
        assert_eq!(parse_elf_arch(&header(1, [21, 0])), Some(Arch::Ppc64le));
        assert_eq!(parse_elf_arch(&header(2, [0, 22])), Some(Arch::S390x));
        assert_eq!(parse_elf_arch(&header(1, [0, 62])), None);
        assert_eq!(parse_elf_arch(&header(3, [62, 0])), None);
        assert_eq!(parse_elf_arch(&header(1, [62, 0])[..19]), None);
        assert_eq!(parse_elf_arch(b"#!/bin/sh"), None);
    }
}
