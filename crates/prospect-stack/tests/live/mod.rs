//! Programs that are asleep in a system call, as the kernel shows them.

use std::{fs, os::unix::fs::FileExt};

use prospect_process::{
    Addr, Advice, Arch, CapturedMemory, FileAccess, FileId, FrozenProcess, Mapping, Mappings, Memory,
    MemoryError, Permissions, ProcessId, ProcessInfo, Registers, Unreadable,
};
use prospect_symbols::{Binaries, SearchOptions};
use prospect_testing::Running;

/// The memory of a live process.
struct ProcMemory(fs::File);

impl Memory for ProcMemory {
    fn read_up_to(&self, at: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        match self.0.read_at(buffer, at.0) {
            Ok(read) if read > 0 || buffer.is_empty() => Ok(read),
            _ => Err(MemoryError { at, why: Unreadable::Unmapped }),
        }
    }
}

fn mapping(line: &str) -> Option<Mapping> {
    let mut words = line.split_whitespace();
    let hex = |word: &str| u64::from_str_radix(word, 16).ok();
    let (start, end) = words.next()?.split_once('-')?;
    let flags = words.next()?.as_bytes();
    let offset = hex(words.next()?)?;
    words.next()?;
    let inode: u64 = words.next()?.parse().ok()?;
    Some(Mapping {
        range: Addr(hex(start)?)..Addr(hex(end)?),
        permissions: Permissions {
            read: flags[0] == b'r',
            write: flags[1] == b'w',
            execute: flags[2] == b'x',
            shared: flags[3] == b's',
        },
        offset,
        file: (inode != 0).then_some(FileId { device: (0, 0), inode }),
        name: words.next().unwrap_or_default().as_bytes().to_vec(),
        deleted: false,
        advice: Advice::default(),
    })
}

/// The process and what is known of its main thread's registers.
pub(crate) fn look_at(running: &Running, arch: Arch) -> (FrozenProcess, Registers) {
    let directory = format!("/proc/{}", running.pid());
    let read = |name: &str| fs::read_to_string(format!("{directory}/{name}")).unwrap();
    let mut registers = Registers::unknown(arch);
    let syscall = read("syscall");
    let mut last = syscall.split_whitespace().rev().map(|word| word.trim_start_matches("0x"));
    let mut word = || u64::from_str_radix(last.next().unwrap(), 16).unwrap();
    registers.set(arch.info().pc, word());
    registers.set(arch.info().sp, word());
    let mut info = ProcessInfo::new(ProcessId(running.pid()), arch);
    let executable = fs::read_link(format!("{directory}/exe")).unwrap();
    info.executable = Some(executable.into_os_string().into_encoded_bytes());
    info.files = FileAccess { executable: Some(format!("{directory}/exe").into()), ..FileAccess::default() };
    let memory = ProcMemory(fs::File::open(format!("{directory}/mem")).unwrap());
    let mappings = Mappings::new(read("maps").lines().filter_map(mapping).collect());
    let process = FrozenProcess::new(info, Vec::new(), CapturedMemory::default(), mappings);
    (process.over(Box::new(memory)), registers)
}

pub(crate) fn binaries() -> Binaries {
    let debug_directories = Vec::new();
    Binaries::new(SearchOptions { debug_directories, names: false, ..SearchOptions::default() })
}
