//! Reading what `cargo xtask fixtures` has written: a process at a stop.

use std::{
    fs,
    path::{Path, PathBuf},
};

use object::{Object, ObjectSegment};
use prospect_process::{
    Addr, Advice, Arch, CapturedMemory, FileId, FrozenProcess, Mapping, Mappings, Permissions, ProcessId,
    ProcessInfo, Registers,
};

const PAGE: u64 = 0x1000;

/// A program, stopped.
pub(crate) struct Stopped {
    pub(crate) process: FrozenProcess,
    pub(crate) registers: Registers,
    pub(crate) gdb: Vec<GdbFrame>,
}

/// A frame as gdb finds it.
pub(crate) struct GdbFrame {
    pub(crate) pc: u64,
    pub(crate) sp: u64,
    /// Those that functions preserve: of the others, it says nothing.
    pub(crate) registers: Registers,
}

impl Stopped {
    /// Every program at every stop, with a name.
    pub(crate) fn all() -> impl Iterator<Item = (String, Self)> {
        let entries =
            |path: PathBuf| fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path());
        let cases = entries([env!("CARGO_MANIFEST_DIR"), "tests", "stopped"].iter().collect());
        cases.flat_map(entries).filter(|path| path.extension().is_some_and(|last| last == "stop")).map(
            |path| {
                let last = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
                let (case, file) = (last(path.parent().unwrap()), last(&path));
                let mut parts = file.trim_end_matches(".stop").split('.');
                let name = parts.next().unwrap();
                let arch = Arch::ALL.into_iter().find(|arch| arch.info().name == name).unwrap();
                (format!("{case}/{file}"), Self::load(&case, parts.next().unwrap_or_default(), arch))
            },
        )
    }

    /// The program `case` at its stop `name`, which is empty for the only one.
    pub(crate) fn load(case: &str, name: &str, arch: Arch) -> Self {
        let file = |extension: &str| -> PathBuf {
            let name = format!("{}{extension}", arch.info().name);
            [env!("CARGO_MANIFEST_DIR"), "tests", "stopped", case, &name].iter().collect()
        };
        let path = file(".elf");
        let program = fs::read(&path).unwrap();
        let elf = object::File::parse(&*program).unwrap();
        let (mut ranges, mut bytes) = (Vec::new(), Vec::new());
        let mut mappings: Vec<Mapping> = Vec::new();
        for segment in elf.segments() {
            let data = segment.data().unwrap();
            ranges.push((Addr(segment.address()), data.len(), bytes.len()));
            bytes.extend_from_slice(data);
            mappings.push(Mapping {
                range: pages(segment.address(), segment.size()),
                permissions: permissions(ranges.len() == 1),
                offset: segment.file_range().0 & !(PAGE - 1),
                file: Some(FileId { device: (0, 0), inode: 1 }),
                name: path.to_str().unwrap().into(),
                deleted: false,
                advice: Advice::default(),
            });
        }
        let stop = if name.is_empty() { ".stop".to_owned() } else { format!(".{name}.stop") };
        let (mut registers, mut gdb) = (Registers::unknown(arch), Vec::new());
        for line in fs::read_to_string(file(&stop)).unwrap().lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["register", name, value] => {
                    // Not all that gdb shows are in the register set.
                    arch.info().by_name(name).into_iter().for_each(|id| registers.set(id, hex(value)));
                }
                [kind @ ("stack" | "code"), start, length] => {
                    let length = length.parse().unwrap();
                    ranges.push((Addr(hex(start)), length, bytes.len()));
                    bytes.resize(bytes.len() + length, 0);
                    let range = pages(hex(start), length as u64);
                    // A stack may be a variable of the program's.
                    if !mappings.iter().any(|mapping| mapping.range.contains(&range.start)) {
                        let permissions = permissions(*kind == "code");
                        let name = Vec::new();
                        mappings.push(Mapping {
                            range,
                            permissions,
                            offset: 0,
                            file: None,
                            name,
                            deleted: false,
                            advice: Advice::default(),
                        });
                    }
                }
                [offset, line] => {
                    let (_, _, start) = ranges.last().unwrap();
                    for (index, digits) in line.as_bytes().chunks(2).enumerate() {
                        let byte = hex(std::str::from_utf8(digits).unwrap()) as u8;
                        bytes[start + hex(offset) as usize + index] = byte;
                    }
                }
                ["gdb", pc, sp, rest @ ..] => {
                    let mut frame = gdb.last().map_or(registers, |frame: &GdbFrame| frame.registers);
                    for (name, value) in rest.iter().filter_map(|word| word.split_once('=')) {
                        arch.info().by_name(name).into_iter().for_each(|id| frame.set(id, hex(value)));
                    }
                    gdb.push(GdbFrame { pc: hex(pc), sp: hex(sp), registers: frame });
                }
                _ => panic!("{line:?}"),
            }
        }
        mappings.sort_by_key(|mapping| mapping.range.start);
        let memory = CapturedMemory::new(bytes, ranges);
        let info = ProcessInfo::new(ProcessId(1), arch);
        let process = FrozenProcess::new(info, Vec::new(), memory, Mappings::new(mappings));
        Self { process, registers, gdb }
    }
}

fn pages(start: u64, length: u64) -> std::ops::Range<Addr> {
    Addr(start & !(PAGE - 1))..Addr((start + length).next_multiple_of(PAGE))
}

fn permissions(execute: bool) -> Permissions {
    Permissions { read: true, write: !execute, execute, shared: false }
}

fn hex(text: &str) -> u64 {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap()
}
