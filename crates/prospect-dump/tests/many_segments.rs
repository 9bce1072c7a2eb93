//! A core with more segments than the field of the header has room for (`PN_XNUM`), as others open it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{fs::File, process::Command};

use prospect_dump::elf_core::{ElfCore, Selection, SparseFile, WriteOptions, read_head, write};
use prospect_process::{
    Addr, Advice, Arch, CapturedMemory, FrozenProcess, FrozenThread, Mapping, Mappings, Permissions,
    Process as _, ProcessId, ProcessInfo, Registers, Thread, ThreadId,
};
use prospect_testing::{Scratch, Tool, tool};

const PAGE: u64 = 4096;
const COUNT: u64 = 70_000;
const FIRST: u64 = 0x10_0000;
const LAST: u64 = FIRST + (COUNT - 1) * 2 * PAGE;

/// No process here may have so many mappings (`vm.max_map_count`), so this one is made up: every second page is mapped, and
/// only the first and the last can be read.
fn process() -> FrozenProcess {
    let mapping = |index: u64| {
        let (start, is_readable) = (FIRST + index * 2 * PAGE, index == 0 || index == COUNT - 1);
        Mapping {
            range: Addr(start)..Addr(start + PAGE),
            permissions: Permissions { read: is_readable, write: is_readable, ..Permissions::default() },
            offset: 0,
            file: None,
            name: Vec::new(),
            deleted: false,
            advice: Advice::default(),
        }
    };
    let bytes = [[0x11; PAGE as usize], [0x22; PAGE as usize]].concat();
    let page = PAGE as usize;
    let memory = CapturedMemory::new(bytes, [(Addr(FIRST), page, 0), (Addr(LAST), page, page)]);
    let mut registers = Registers::unknown(Arch::X86_64);
    let info = Arch::X86_64.info();
    registers.set(info.pc, 0x1234_5678);
    registers.set(info.sp, LAST + 0x800);
    let thread = Thread::new(ThreadId(7));
    let thread = FrozenThread { thread, registers: Some(registers), register_sets: Vec::new() };
    let info = ProcessInfo::new(ProcessId(7), Arch::X86_64);
    FrozenProcess::new(info, vec![thread], memory, Mappings::new((0..COUNT).map(mapping).collect()))
}

#[test]
fn others_open_a_core_with_more_than_65535_segments() {
    let scratch = Scratch::new("many-segments");
    let path = scratch.path().join("core");
    let mut output = SparseFile::new(File::create(&path).unwrap()).unwrap();
    let written = write(&process(), &WriteOptions::new().selection(Selection::All), &mut output).unwrap();
    assert_eq!(written.segments as u64, COUNT);

    let core = ElfCore::open(&path).unwrap();
    assert_eq!(core.list_segments().count() as u64, COUNT);
    let mut byte = [0];
    core.memory().read(Addr(LAST + 0x800), &mut byte).unwrap();
    assert_eq!(byte, [0x22]);
    // Of the beginning alone, where the section that counts is behind all memory, as the kernel has it.
    let mut head = Vec::new();
    assert!(read_head(&mut File::open(&path).unwrap(), &mut head).unwrap());
    head[40..48].copy_from_slice(&(1_u64 << 60).to_le_bytes());
    let core =
        ElfCore::from_head(head, Box::new(CapturedMemory::new(vec![0x33; 8], [(Addr(LAST + 0x800), 8, 0)])))
            .unwrap();
    assert_eq!(core.list_segments().count() as u64, COUNT);
    core.memory().read(Addr(LAST + 0x800), &mut byte).unwrap();
    assert_eq!(byte, [0x33], "from the process itself");

    let count = format!("{}", COUNT + 2);
    for reader in ["readelf", "eu-readelf"].iter().filter(|reader| tool(reader).is_ok()) {
        let outcome = Tool::finish(Command::new(reader).arg("-h").arg(&path));
        assert!(outcome.status.success() && outcome.stderr.is_empty(), "{outcome:?}");
        assert!(outcome.text().contains(&count), "{reader}: {outcome:?}");
        let outcome = Tool::finish(Command::new(reader).args(["-l", "-W"]).arg(&path).env("LC_ALL", "C"));
        let loads = outcome.text().lines().filter(|line| line.trim_start().starts_with("LOAD")).count();
        assert_eq!(loads as u64, COUNT, "{reader}");
        assert!(outcome.stderr.is_empty(), "{reader}: {}", outcome.stderr);
    }
    // elfutils looks for notes in sections where there is any, and the one here only counts, as the kernel's does.
    if tool("readelf").is_ok() {
        let outcome = Tool::finish(Command::new("readelf").arg("-n").arg(&path));
        assert!(outcome.text().contains("PROSPECT"), "the last segment of all: {outcome:?}");
    }
    if tool("gdb").is_ok() {
        let mut gdb = Command::new("gdb");
        gdb.args(["-nx", "-batch", "-iex", "set debuginfod enabled off", "-ex"]);
        gdb.arg(format!("core-file {}", path.display())).args(["-ex", "p/x $pc", "-ex", "x/1xb $sp"]);
        let outcome = Tool::finish(&mut gdb);
        for wanted in ["= 0x12345678", "0x22"] {
            assert!(outcome.text().contains(wanted), "gdb: {outcome:?}");
        }
    }
}
