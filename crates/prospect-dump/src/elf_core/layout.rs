//! The notes of Linux's cores as plain data. Sources of truth: `include/uapi/linux/elfcore.h` and
//! `include/linux/elfcore.h` (`struct elf_prstatus`, `struct elf_prpsinfo`), `fs/binfmt_elf.c` (`fill_files_note`),
//! `include/uapi/asm-generic/siginfo.h`.
//!
//! All of them are made of words of the process, so that everything follows from the architecture's table: where a field lies
//! is in [`StatusLayout`] and [`ProcessLayout`], for who reads and who writes alike.

use std::{ops::Range, time::Duration};

use prospect_process::{Addr, Arch, ArchInfo};

/// The name of notes that every system with ELF cores has.
pub(crate) const CORE: &[u8] = b"CORE";
/// The name of notes that only Linux has: all register sets but the general and the floating point ones.
pub(crate) const LINUX: &[u8] = b"LINUX";

/// A thread: its general registers, its signals. All notes of a thread follow this one.
pub(crate) const NT_PRSTATUS: u32 = 1;
/// The process.
pub(crate) const NT_PRPSINFO: u32 = 3;
/// The auxiliary vector, in words.
pub(crate) const NT_AUXV: u32 = 6;
/// The signal that the process died of: a `siginfo_t`.
pub(crate) const NT_SIGINFO: u32 = 0x5349_4749;
/// Which files were mapped where.
pub(crate) const NT_FILE: u32 = 0x4649_4c45;

/// Where the parts of what `XSAVE` writes lie (`NT_X86_XSAVE_LAYOUT`): of all threads.
pub(crate) const NT_EXTENDED_LAYOUT: u32 = 0x205;

/// The size of a `siginfo_t` (`SI_MAX_SIZE`).
pub(crate) const SIGINFO_BYTES: usize = 128;
/// Room for the name of a process in `struct elf_prpsinfo`.
pub(crate) const NAME_BYTES: usize = 16;
/// Room for its arguments there (`ELF_PRARGSZ`).
pub(crate) const ARGUMENT_BYTES: usize = 80;

/// Where the fields of `struct elf_prstatus` lie, in bytes.
///
/// It begins with `struct elf_siginfo`: `si_signo`, `si_code`, `si_errno`, four bytes each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct StatusLayout {
    /// `pr_cursig`, two bytes.
    pub(crate) current: usize,
    /// `pr_sigpend`, a word.
    pub(crate) pending: usize,
    /// `pr_sighold`, a word.
    pub(crate) blocked: usize,
    /// `pr_pid`, `pr_ppid`, `pr_pgrp`, `pr_sid`, four bytes each.
    pub(crate) ids: usize,
    /// `pr_utime`, `pr_stime`, `pr_cutime`, `pr_cstime`, each a word of seconds and a word of microseconds.
    pub(crate) times: usize,
    /// `pr_reg`: the general registers, as many bytes as the architecture's table says.
    pub(crate) registers: usize,
    /// `pr_fpvalid`, four bytes: whether there is a note of floating point registers.
    pub(crate) float_valid: usize,
    /// The size of all.
    pub(crate) size: usize,
}

impl StatusLayout {
    /// That of an architecture.
    pub(crate) fn of(info: &ArchInfo) -> Self {
        let word = usize::from(info.word_bytes);
        let ids = 16 + 2 * word;
        let times = ids + 16;
        let registers = times + 8 * word;
        let float_valid = registers + usize::from(info.regset_bytes);
        let size = (float_valid + 4).next_multiple_of(word);
        Self { current: 12, pending: 16, blocked: 16 + word, ids, times, registers, float_valid, size }
    }
}

/// Where the fields of `struct elf_prpsinfo` lie, in bytes.
///
/// It begins with `pr_state`, `pr_sname`, `pr_zomb`, `pr_nice`, a byte each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ProcessLayout {
    /// `pr_flag`, a word.
    pub(crate) flags: usize,
    /// `pr_uid`, and `pr_gid` after it.
    pub(crate) user: usize,
    /// The size of each of these two: 2 or 4.
    pub(crate) user_bytes: usize,
    /// `pr_pid`, `pr_ppid`, `pr_pgrp`, `pr_sid`, four bytes each.
    pub(crate) ids: usize,
    /// `pr_fname`, [`NAME_BYTES`].
    pub(crate) name: usize,
    /// `pr_psargs`, [`ARGUMENT_BYTES`]: the arguments with spaces between them.
    pub(crate) arguments: usize,
    /// The size of all.
    pub(crate) size: usize,
}

impl ProcessLayout {
    /// That of an architecture.
    pub(crate) fn of(arch: Arch) -> Self {
        // `__kernel_uid_t` is a `short` where it once was one (`asm/posix_types.h`).
        Self::with_user_bytes(arch.info(), if matches!(arch, Arch::I386 | Arch::Arm) { 2 } else { 4 })
    }

    fn with_user_bytes(info: &ArchInfo, user_bytes: usize) -> Self {
        let word = usize::from(info.word_bytes);
        let (flags, user) = (word, 2 * word);
        let ids = user + 2 * user_bytes;
        let name = ids + 16;
        let arguments = name + NAME_BYTES;
        let size = (arguments + ARGUMENT_BYTES).next_multiple_of(word);
        Self { flags, user, user_bytes, ids, name, arguments, size }
    }
}

/// What `struct elf_prstatus` says of a thread.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct ThreadStatus {
    /// `si_signo`, `si_code`, `si_errno`. The kernel fills only the first.
    pub(crate) signal: [i32; 3],
    /// The signal that it was stopped by.
    pub(crate) current: u16,
    /// Signals that wait for it, a bit for each from 1 on.
    pub(crate) pending: u64,
    /// Signals that it blocks.
    pub(crate) blocked: u64,
    /// Its number, that of its parent, its process group, its session.
    pub(crate) ids: [u32; 4],
    /// Time in user mode and in the kernel; the same of its children.
    pub(crate) times: [Duration; 4],
    /// Its general registers, as many of them as there are.
    pub(crate) registers: Vec<u8>,
    /// Whether there is a note of floating point registers.
    pub(crate) float_valid: bool,
}

impl ThreadStatus {
    /// Reads it. What the bytes are too few for is empty; `None` when not even the numbers are there.
    pub(crate) fn decode(info: &ArchInfo, bytes: &[u8]) -> Option<Self> {
        let (layout, read, word) =
            (StatusLayout::of(info), Fields { info, bytes }, usize::from(info.word_bytes));
        let time = |index: usize| {
            let at = layout.times + 2 * index * word;
            let (seconds, rest) = (read.unsigned(at, word)?, read.unsigned(at + word, word)?);
            Duration::from_secs(seconds).checked_add(Duration::from_micros(rest))
        };
        let end = layout.float_valid.min(bytes.len());
        Some(Self {
            signal: [read.signed(0)?, read.signed(4)?, read.signed(8)?],
            current: read.unsigned(layout.current, 2)? as u16,
            pending: read.unsigned(layout.pending, word)?,
            blocked: read.unsigned(layout.blocked, word)?,
            ids: read.four(layout.ids)?,
            times: std::array::from_fn(|index| time(index).unwrap_or_default()),
            registers: bytes.get(layout.registers..end).unwrap_or_default().to_vec(),
            float_valid: read.unsigned(layout.float_valid, 4).is_some_and(|valid| valid != 0),
        })
    }
}

/// What `struct elf_prpsinfo` says of a process.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct ProcessStatus {
    /// The letter of its state.
    pub(crate) state: u8,
    /// Its nice value.
    pub(crate) nice: i8,
    /// `PF_…`.
    pub(crate) flags: u64,
    /// Its real user and group.
    pub(crate) user_and_group: (u32, u32),
    /// Its number, that of its parent, its process group, its session.
    pub(crate) ids: [u32; 4],
    /// Its name, up to a NUL.
    pub(crate) name: Vec<u8>,
    /// The beginning of its arguments with spaces between them, up to a NUL.
    pub(crate) arguments: Vec<u8>,
}

impl ProcessStatus {
    /// Reads it. Who writes for a 32-bit process does not always have users of two bytes where the kernel has: the size tells.
    pub(crate) fn decode(arch: Arch, bytes: &[u8]) -> Option<Self> {
        let (info, mut layout) = (arch.info(), ProcessLayout::of(arch));
        if bytes.len() != layout.size {
            let sizes = [2, 4].map(|user_bytes| ProcessLayout::with_user_bytes(info, user_bytes));
            layout = sizes.into_iter().find(|other| other.size == bytes.len()).unwrap_or(layout);
        }
        let read = Fields { info, bytes };
        let user = |index: usize| read.unsigned(layout.user + index * layout.user_bytes, layout.user_bytes);
        let text = |at: usize, length: usize| {
            let text = bytes.get(at..bytes.len().min(at + length)).unwrap_or_default();
            text.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
        };
        Some(Self {
            state: *bytes.get(1)?,
            nice: bytes.get(3)?.cast_signed(),
            flags: read.unsigned(layout.flags, usize::from(info.word_bytes))?,
            user_and_group: (user(0)? as u32, user(1)? as u32),
            ids: read.four(layout.ids)?,
            name: text(layout.name, NAME_BYTES),
            arguments: text(layout.arguments, ARGUMENT_BYTES),
        })
    }
}

/// One entry of `NT_FILE`: a part of a file, mapped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct MappedFile {
    /// Where it is.
    pub(crate) range: Range<Addr>,
    /// Where it begins in the file, in bytes.
    pub(crate) offset: u64,
    /// The file's path.
    pub(crate) path: Vec<u8>,
}

/// What `NT_FILE` says: a word that counts the entries, the size of a page; three words for each entry, the start, the end, the
/// offset in pages; then the paths, each with a NUL.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct MappedFiles {
    /// In what offsets are counted, in bytes.
    pub(crate) page_bytes: u64,
    /// As many as there are whole.
    pub(crate) files: Vec<MappedFile>,
    /// How many there were to be.
    pub(crate) count: u64,
}

impl MappedFiles {
    /// Reads it; entries without a path are left out. `None` when the beginning is missing.
    pub(crate) fn decode(info: &ArchInfo, bytes: &[u8]) -> Option<Self> {
        let (read, word) = (Fields { info, bytes }, usize::from(info.word_bytes));
        let (count, page_bytes) = (read.unsigned(0, word)?, read.unsigned(word, word)?);
        let entries = bytes.get(2 * word..).unwrap_or_default();
        let whole = entries.len() / (3 * word);
        let entry_bytes = usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(3 * word);
        let mut paths = entries.get(entry_bytes..).unwrap_or_default();
        let mut files = Vec::new();
        for entry in 0..count.min(whole as u64) as usize {
            let at = 2 * word + 3 * word * entry;
            let field = |index: usize| read.unsigned(at + index * word, word);
            let (Some(start), Some(end), Some(offset)) = (field(0), field(1), field(2)) else { break };
            let Some(length) = paths.iter().position(|byte| *byte == 0) else { break };
            let path = paths[..length].to_vec();
            paths = &paths[length + 1..];
            files.push(MappedFile {
                range: Addr(start)..Addr(end),
                offset: offset.saturating_mul(page_bytes),
                path,
            });
        }
        Some(Self { page_bytes, files, count })
    }
}

/// Numbers at their places.
struct Fields<'a> {
    info: &'a ArchInfo,
    bytes: &'a [u8],
}

impl Fields<'_> {
    fn unsigned(&self, at: usize, length: usize) -> Option<u64> {
        self.info.unsigned(self.bytes.get(at..at.checked_add(length)?)?)
    }

    fn signed(&self, at: usize) -> Option<i32> {
        Some((self.unsigned(at, 4)? as u32).cast_signed())
    }

    fn four(&self, at: usize) -> Option<[u32; 4]> {
        let mut all = [0; 4];
        for (index, one) in all.iter_mut().enumerate() {
            *one = self.unsigned(at + 4 * index, 4)? as u32;
        }
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_kernel() {
        let sizes = |arch: Arch| (StatusLayout::of(arch.info()).size, ProcessLayout::of(arch).size);
        assert_eq!(sizes(Arch::X86_64), (336, 136));
        assert_eq!(sizes(Arch::I386), (144, 124));
        assert_eq!(sizes(Arch::Aarch64), (392, 136));
        assert_eq!(sizes(Arch::Arm), (148, 124));
        assert_eq!(sizes(Arch::Ppc64le), (504, 136));
        assert_eq!(sizes(Arch::Ppc), (268, 128));
        assert_eq!(sizes(Arch::Riscv64), (376, 136));
        assert_eq!(sizes(Arch::S390x), (336, 136));
    }

    #[test]
    fn a_file_note_that_was_cut_keeps_its_whole_entries() {
        let words = [2u64, 4096, 0x1000, 0x2000, 0, 0x2000, 0x3000, 1].map(u64::to_be_bytes).concat();
        let bytes = [&words[..], b"/bin/a\0/bin/b\0"].concat();
        let info = Arch::S390x.info();
        let all = MappedFiles::decode(info, &bytes).unwrap();
        assert_eq!(
            all.files[1],
            MappedFile { range: Addr(0x2000)..Addr(0x3000), offset: 4096, path: b"/bin/b".to_vec() }
        );
        for length in 0..bytes.len() {
            let cut = MappedFiles::decode(info, &bytes[..length]);
            assert_eq!(cut.is_some(), length >= 16);
            let files = cut.map_or(0, |cut| cut.files.len());
            assert_eq!(files, usize::from(length >= words.len() + 7));
        }
        let huge = [u64::MAX, 4096, 1, 2, 3].map(u64::to_be_bytes).concat();
        assert_eq!(MappedFiles::decode(info, &huge).unwrap().files, []);
    }
}
