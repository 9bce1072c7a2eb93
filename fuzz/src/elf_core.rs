//! Damaged cores: opened, their modules and threads looked for, their stacks walked.

use prospect_dump::{compare::compare, elf_core::ElfCore};
use prospect_process::{Addr, Arch, Process, RegisterSet, Target};
use prospect_stack::{StepContext, Walker};
use prospect_symbols::{Binaries, SearchOptions};
use prospect_testing::Random;

/// Where the program is, and the stack.
const BASE: u64 = 0x1_0000;
const STACK: u64 = 0x7fff_0000;
/// The size of each.
const SEGMENT_BYTES: usize = 0x400;
/// A walk is no longer.
const MOST_FRAMES: usize = 64;

/// A core that is `data`.
pub fn elf_core(data: &[u8]) {
    let _ = walk(data);
}

/// How many frames there are.
fn walk(data: &[u8]) -> usize {
    let Ok(core) = ElfCore::from_bytes(data.to_vec()) else { return 0 };
    let arch = core.info().arch;
    let _ = (core.signal(), core.processes().len(), core.modules().loaded_files(arch, core.memory()));
    let _ = core.notices().iter().map(|notice| notice.to_string().len()).sum::<usize>();
    let everything = core.memory().contents(Addr(0)..Addr(u64::MAX));
    let is_in_order = everything.windows(2).all(|pair| pair[0].0.end == pair[1].0.start);
    assert!(is_in_order && everything.iter().all(|(range, _)| range.start < range.end), "{everything:x?}");
    let _ = core.notes().map(|note| note.bytes.len()).sum::<usize>();
    for segment in core.list_segments() {
        assert!(segment.present <= segment.dumped, "{segment:x?}");
        let _ = (segment.left_out(), segment.truncated());
    }
    let same = compare(&core, &core);
    assert!(same.is_empty() && same.memory.uncompared == 0, "{same:x?}");
    for mapping in core.mappings().iter().take(64) {
        let _ = core.memory().read_available(mapping.range.start, &mut [0; 64]);
    }
    let binaries = Binaries::new(SearchOptions { names: false, ..SearchOptions::default() });
    let context = StepContext::new(&core, &binaries);
    let mut walker = Walker::new(arch).frame_limit(MOST_FRAMES);
    let mut frames = 0;
    for thread in core.threads().iter().take(8) {
        let _ = core.register_set(thread.id, RegisterSet::FLOAT).map(<[u8]>::len);
        if let Some(registers) = core.registers(thread.id) {
            frames += walker.walk(&registers, &context).frames.len();
        }
    }
    frames
}

/// A sound core of two threads, of an architecture of 64 or of 32 bits, with notes of all kinds.
pub(crate) fn seed(random: &mut Random) -> Vec<u8> {
    core(Arch::ALL[random.below(Arch::ALL.len())], random.below(2) == 0, random)
}

fn core(arch: Arch, of_delve: bool, random: &mut Random) -> Vec<u8> {
    let write = Writer { wide: arch.info().word_bytes == 8, big_endian: arch.info().big_endian };
    let mut notes = Vec::new();
    for thread in 1..=2 {
        let name: &[u8] = if of_delve { b"" } else { b"CORE\0" };
        if of_delve {
            notes.extend(write.note(
                0x444c_5645,
                b"Delve Header",
                b"linux/amd64\nTarget Pid: 1\nEntry Point: 0x10040\n",
            ));
        }
        notes.extend(write.note(1, name, &write.status(arch, thread, random)));
        if thread == 1 {
            notes.extend(write.note(3, name, &[b'x'; 136]));
            notes.extend(write.note(
                0x5349_4749,
                name,
                &[write.number(11, 4), write.number(0, 4), write.number(1, 4), vec![0; 116]].concat(),
            ));
            let vector = [3, BASE + 64, 9, BASE + 64, 25, STACK + 0x300, 31, STACK + 0x310, 0, 0];
            notes.extend(write.note(6, name, &write.words(&vector)));
            if random.below(2) == 0 {
                let files = write.words(&[1, 4096, BASE, BASE + SEGMENT_BYTES as u64, 0]);
                notes.extend(write.note(0x4649_4c45, name, &[&files[..], b"/bin/program\0"].concat()));
            }
        }
        notes.extend(write.note(2, name, &[0; 64]));
        notes.extend(write.note(0x406, b"LINUX\0", &[0xff; 16]));
    }
    let headers = if write.wide { 64 + 3 * 56 } else { 52 + 3 * 32 };
    let first = headers + notes.len();
    let mut file = write.header(4, arch, 3);
    file.extend(write.segment(4, 0, headers as u64, 0, notes.len() as u64));
    file.extend(write.segment(1, 5, first as u64, BASE, SEGMENT_BYTES as u64));
    file.extend(write.segment(1, 6, (first + SEGMENT_BYTES) as u64, STACK, SEGMENT_BYTES as u64));
    file.extend(notes);
    let mut program = write.header(2, arch, 1);
    program.extend(write.segment(1, 5, 0, BASE, SEGMENT_BYTES as u64));
    program.resize(SEGMENT_BYTES, 0x90);
    let mut stack: Vec<u8> = (0..SEGMENT_BYTES).map(|_| random.number() as u8).collect();
    stack[0x310..0x31d].copy_from_slice(b"/bin/program\0");
    file.extend(program);
    file.extend(stack);
    file
}

/// Writes numbers as a machine has them.
struct Writer {
    wide: bool,
    big_endian: bool,
}

impl Writer {
    fn number(&self, value: u64, length: usize) -> Vec<u8> {
        if self.big_endian {
            value.to_be_bytes()[8 - length..].to_vec()
        } else {
            value.to_le_bytes()[..length].to_vec()
        }
    }

    fn word(&self, value: u64) -> Vec<u8> {
        self.number(value, if self.wide { 8 } else { 4 })
    }

    fn words(&self, values: &[u64]) -> Vec<u8> {
        values.iter().flat_map(|value| self.word(*value)).collect()
    }

    fn note(&self, kind: u64, name: &[u8], contents: &[u8]) -> Vec<u8> {
        let mut note =
            [name.len() as u64, contents.len() as u64, kind].map(|number| self.number(number, 4)).concat();
        for part in [name, contents] {
            note.extend(part);
            note.resize(note.len().next_multiple_of(4), 0);
        }
        note
    }

    /// A `struct elf_prstatus` with pc in the program and sp on the stack.
    fn status(&self, arch: Arch, thread: u64, random: &mut Random) -> Vec<u8> {
        let (info, word) = (arch.info(), if self.wide { 8 } else { 4 });
        let mut status = vec![0; 32 + 10 * word + usize::from(info.regset_bytes) + 8];
        let ids = 16 + 2 * word;
        status[ids..ids + 4].copy_from_slice(&self.number(thread, 4));
        let registers =
            [(info.pc, BASE + 64), (info.sp, STACK + random.below(64) as u64 * 8), (info.fp, STACK + 64)];
        for (register, value) in registers {
            let row = info.register(register);
            let at = 32 + 10 * word + usize::from(row.regset_offset);
            status[at..at + usize::from(row.bytes)].copy_from_slice(&self.number(value, row.bytes.into()));
        }
        status
    }

    fn header(&self, kind: u64, arch: Arch, segments: u64) -> Vec<u8> {
        let mut header = vec![
            0x7f,
            b'E',
            b'L',
            b'F',
            if self.wide { 2 } else { 1 },
            if self.big_endian { 2 } else { 1 },
            1,
        ];
        header.resize(16, 0);
        header.extend(self.number(kind, 2));
        header.extend(self.number(arch.info().elf_machine.into(), 2));
        header.extend(self.number(1, 4));
        header.extend(self.words(&[BASE + 64, if self.wide { 64 } else { 52 }, 0]));
        header.extend(self.number(0, 4));
        let (own, entry) = if self.wide { (64, 56) } else { (52, 32) };
        header.extend([own, entry, segments, 0, 0, 0].iter().flat_map(|number| self.number(*number, 2)));
        header
    }

    fn segment(&self, kind: u64, flags: u64, offset: u64, at: u64, length: u64) -> Vec<u8> {
        let (kind, flags) = (self.number(kind, 4), self.number(flags, 4));
        let places = self.words(&[offset, at, 0, length, length]);
        if self.wide {
            [kind, flags, places, self.word(4)].concat()
        } else {
            [kind, places, flags, self.word(4)].concat()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without damage, all that a core can have is found.
    #[test]
    fn seeds_are_sound() {
        let mut random = Random::new(1);
        for arch in Arch::ALL {
            for of_delve in [false, true] {
                let bytes = core(arch, of_delve, &mut random);
                let core = ElfCore::from_bytes(bytes.clone()).unwrap();
                assert_eq!((core.info().arch, core.threads().len()), (arch, 2), "{:?}", core.notices());
                assert_eq!(core.signal().unwrap().1.name(), Some("SIGSEGV"));
                assert!(core.modules().executable().is_some(), "{arch:?} {of_delve}");
                assert!(walk(&bytes) >= 2);
            }
        }
    }
}
