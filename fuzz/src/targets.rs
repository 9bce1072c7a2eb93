//! The fuzz targets, and the table of them.

use prospect_live::procfs::{auxv::Auxv, command_line, maps, stat, status, syscall};
use prospect_process::{Addr, Arch, LinkAddr, Process, Registers};
use prospect_stack::{StepContext, Walker, return_addresses::RuleTable};
use prospect_symbols::{Binaries, Binary, SearchOptions, Symbolizer};
use prospect_testing::Random;

use crate::analysis::{analysis, pieces};
use crate::breakpad::{self, breakpad};
use crate::demangle::{self, demangle};
use crate::elf_core::{self, elf_core};
use crate::find::{self, find};
use crate::images::images;
use crate::minidump::{self, minidump};
use crate::minidump_write::{self, minidump_write};
use crate::type_info::read_types;
pub use crate::unwind::unwind;
use crate::{
    go,
    image::{self, BASE},
    index,
    locations::{self, locations},
    subject::{Cursor, SUBJECTS, as_file, damage, returns},
    tables, values,
};

/// A fuzz target: its name, what it does with bytes, and inputs to begin with.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What the command line calls it.
    pub name: &'static str,
    /// The target itself.
    pub run: fn(&[u8]),
    /// Makes an input to begin with.
    pub seed: fn(&mut Random) -> Vec<u8>,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "procfs", run: procfs, seed: proc_text },
    Target { name: "demangle", run: demangle, seed: demangle::seed },
    Target { name: "binary", run: binary, seed: random_bytes },
    Target { name: "find", run: find, seed: find::seed },
    Target { name: "image", run: image, seed: random_bytes },
    Target { name: "images", run: images, seed: random_bytes },
    Target { name: "unwind", run: unwind, seed: random_bytes },
    Target { name: "analysis", run: analysis, seed: pieces },
    Target { name: "tables", run: tables, seed: tables::seed },
    Target { name: "locations", run: locations, seed: locations::seed },
    Target { name: "values", run: values, seed: values::seed },
    Target { name: "go", run: go, seed: go::seed },
    Target { name: "index", run: index, seed: index::seed },
    Target { name: "elf_core", run: elf_core, seed: elf_core::seed },
    Target { name: "minidump", run: minidump, seed: minidump::seed },
    Target { name: "minidump_write", run: minidump_write, seed: minidump_write::seed },
    Target { name: "breakpad", run: breakpad, seed: breakpad::seed },
    Target { name: "type_info", run: type_info, seed: random_bytes },
];

/// The parsers of files under `/proc`.
pub fn procfs(data: &[u8]) {
    let _ = maps::parse(data);
    let _ = stat::parse(data).map(|stat| (stat.cpu_time(), stat.started(), stat.name_text()));
    let _ = status::parse(data);
    let _ = syscall::parse(data).map(|state| state.sp_and_pc());
    let _ = command_line::parse(data);
    for (word_bytes, big_endian) in [(8, false), (4, false), (8, true), (3, false)] {
        let _ = Auxv::parse(data, word_bytes, big_endian).get(33);
    }
}

/// A damaged ELF file: opened, its unwind rows looked up, its addresses named.
pub fn binary(data: &[u8]) {
    let mut cursor = Cursor(data);
    let (file, arch) = damaged(&mut cursor);
    let path = as_file(&file);
    if let Ok(binary) = Binary::open(&path) {
        let _ = (binary.arch(), binary.build_id().map(ToString::to_string));
        for at in places(file.len()) {
            let _ = binary.unwind_row(LinkAddr(at));
        }
        let table = RuleTable::of(&binary);
        for at in places(file.len()) {
            let _ = table.rule(LinkAddr(at));
        }
    }
    name_and_walk(arch, &file, &path, true);
}

/// A damaged ELF file whose types are read.
pub fn type_info(data: &[u8]) {
    let (file, _) = damaged(&mut Cursor(data));
    let _ = read_types(&as_file(&file));
}

/// A damaged ELF file that is in memory only.
pub fn image(data: &[u8]) {
    let (file, arch) = damaged(&mut Cursor(data));
    name_and_walk(arch, &file, "/no/such/file".as_ref(), false);
}

pub(crate) fn damaged(cursor: &mut Cursor<'_>) -> (Vec<u8>, Arch) {
    let subject = &SUBJECTS[usize::from(cursor.byte()) % SUBJECTS.len()];
    let mut file = subject.bytes.clone();
    damage(&mut file, cursor);
    (file, if subject.is_32_bit { Arch::I386 } else { Arch::X86_64 })
}

/// How many addresses got a name, and how many frames the walk has.
fn name_and_walk(arch: Arch, file: &[u8], path: &std::path::Path, names: bool) -> (usize, usize) {
    let mut registers = Registers::unknown(arch);
    registers.set(arch.info().pc, BASE + 0x1234);
    registers.set(arch.info().sp, image::STACK + 0x100);
    let stack = stack_into(file);
    let process = image::process(arch, path, file.to_vec(), stack, registers);
    let binaries = Binaries::new(SearchOptions { names, ..SearchOptions::default() });
    for module in process.modules().iter() {
        let binary = binaries.get(module, process.info(), process.memory());
        let _ = (binary.problems(), binary.trail(), binary.debug_path().map(ToOwned::to_owned));
        for at in places(file.len()) {
            let _ = binary.unwind_row(LinkAddr(at));
        }
    }
    // Before what looks like a return address there is code, and so there may be a name.
    let in_calls = returns(file).into_iter().take(64).map(|at| at - 1);
    let addresses: Vec<Addr> = places(file.len()).chain(in_calls).map(|at| Addr(BASE + at)).collect();
    let resolved = Symbolizer::new(&process, &binaries).resolve(&addresses);
    let stack = Walker::new(arch).frame_limit(200).walk(&registers, &StepContext::new(&process, &binaries));
    (resolved.iter().filter(|address| !address.frames.is_empty()).count(), stack.frames.len())
}

/// Addresses spread over a file.
fn places(bytes: usize) -> impl Iterator<Item = u64> + Clone {
    (0..bytes as u64).step_by(bytes / 64 + 1)
}

/// A stack full of addresses that calls return to.
fn stack_into(file: &[u8]) -> Vec<u8> {
    let returns = returns(file);
    let mut stack = Vec::new();
    for (index, at) in returns.iter().cycle().take(image::STACK_BYTES / 8).enumerate() {
        let value = if index % 7 == 0 { image::STACK + 8 * index as u64 + 64 } else { BASE + at };
        stack.extend_from_slice(&value.to_le_bytes());
    }
    stack
}

fn random_bytes(random: &mut Random) -> Vec<u8> {
    (0..8 + random.below(400)).map(|_| random.number() as u8).collect()
}

/// What the kernel would write, of every kind.
fn proc_text(random: &mut Random) -> Vec<u8> {
    const TEXTS: &[&str] = &[
        "55d0c0000000-55d0c0001000 r-xp 00001000 08:01 4711     /usr/bin/a program (deleted)\n\
         7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0        [stack]\n\
         ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\n",
        "4711 (a (b) c) S 1 4711 4711 0 -1 4194560 100 0 0 0 1 2 0 0 20 0 7 0 12345 1000 50 18446744073709551615 \
         1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
        "Name:\ta b\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t1\nPid:\t1\nPPid:\t0\nTracerPid:\t7\n\
         Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nNStgid:\t1\t2\nCapEff:\t000001ffffffffff\nSeccomp:\t2\nThreads:\t9\n",
        "34 0x0 0x0 0x0 0x0 0x0 0x0 0x7ffd4be1dcf8 0x7f3a5e5f8dd0\n",
        "-1 0x7ffd4be1dcf8 0x7f3a5e5f8dd0\n",
        "running\n",
        "program\0\0--flag\0last\0",
        "\x21\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ];
    TEXTS[random.below(TEXTS.len())].as_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without damage the target does reach names and frames: else it would fuzz nothing.
    #[test]
    fn an_intact_file_is_named_and_walked() {
        let deep = prospect_testing::require!(prospect_testing::fixture("deep"));
        let bytes = std::fs::read(deep.path()).unwrap();
        let (named, frames) = name_and_walk(Arch::X86_64, &bytes, &as_file(&bytes), true);
        assert!(named > 8 && frames > 3, "{named} {frames}");
        let (_, frames) = name_and_walk(Arch::X86_64, &bytes, "/no/such/file".as_ref(), false);
        assert!(frames > 3, "{frames}");
    }

    #[test]
    fn the_types_of_an_intact_file_are_read() {
        let inlines = prospect_testing::require!(prospect_testing::fixture("inlines-cxx"));
        let read = read_types(&inlines.path());
        assert!(read > 3, "{read}");
    }

    #[test]
    fn every_target_takes_its_seeds() {
        let mut random = Random::new(7);
        for target in TARGETS {
            (target.run)(&[]);
            (0..20).for_each(|_| (target.run)(&(target.seed)(&mut random)));
        }
    }
}
