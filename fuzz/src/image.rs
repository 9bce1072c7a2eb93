//! A process made of one ELF file and a stack, as plain data.

use std::{os::unix::ffi::OsStrExt, path::Path};

use prospect_process::{
    Addr, Advice, Arch, CapturedMemory, FileId, FrozenProcess, FrozenThread, Mapping, Mappings, Memory,
    MemoryError, Permissions, ProcessId, ProcessInfo, Registers, Thread, ThreadId, Unreadable,
};

/// Where the file is loaded.
pub(crate) const BASE: u64 = 0x5555_5555_4000;
/// Where the stack is.
pub(crate) const STACK: u64 = 0x7ffd_0000_0000;
/// The stack's size.
pub(crate) const STACK_BYTES: usize = 0x1_0000;

/// The file's bytes at [`BASE`], and the stack's.
struct Image {
    file: Vec<u8>,
    stack: Vec<u8>,
}

impl Memory for Image {
    fn read_up_to(&self, at: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        let within = |start: u64, bytes: &[u8]| -> Option<Vec<u8>> {
            let offset = usize::try_from(at.0.checked_sub(start)?).ok()?;
            let rest = bytes.get(offset..).filter(|rest| !rest.is_empty())?;
            Some(rest[..rest.len().min(buffer.len())].to_vec())
        };
        if buffer.is_empty() {
            return Ok(0);
        }
        let found = within(BASE, &self.file).or_else(|| within(STACK, &self.stack));
        let found = found.ok_or(MemoryError { at, why: Unreadable::Unmapped })?;
        buffer[..found.len()].copy_from_slice(&found);
        Ok(found.len())
    }
}

/// A process of one thread that has `file` (also to be found at `path`) mapped, and `stack`.
pub(crate) fn process(
    arch: Arch,
    path: &Path,
    file: Vec<u8>,
    mut stack: Vec<u8>,
    registers: Registers,
) -> FrozenProcess {
    stack.resize(STACK_BYTES, 0);
    let mapping = |start: u64, bytes: usize, execute: bool, name: &[u8]| Mapping {
        range: Addr(start)..Addr(start.saturating_add((bytes as u64 + 0xfff) & !0xfff)),
        permissions: Permissions { read: true, write: !execute, execute, shared: false },
        offset: 0,
        file: execute.then_some(FileId { device: (8, 1), inode: 4711 }),
        name: name.to_vec(),
        deleted: false,
        advice: Advice::default(),
    };
    let path = path.as_os_str().as_bytes();
    let mappings =
        vec![mapping(BASE, file.len(), true, path), mapping(STACK, STACK_BYTES, false, b"[stack]")];
    let mut info = ProcessInfo::new(ProcessId(4_194_305), arch);
    info.executable = Some(path.to_vec());
    let thread = Thread::new(ThreadId(4_194_305));
    let thread = FrozenThread { thread, registers: Some(registers), register_sets: Vec::new() };
    FrozenProcess::new(info, vec![thread], CapturedMemory::default(), Mappings::new(mappings))
        .over(Box::new(Image { file, stack }))
}
