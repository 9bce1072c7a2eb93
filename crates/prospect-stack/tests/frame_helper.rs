//! The kind and the state of frames at every instruction, as the compiler's own call frame information has them.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use object::{Object, ObjectSegment, ObjectSymbol, SegmentFlags};
use prospect_process::{
    Addr, Advice, Arch, CapturedMemory, FileId, FrozenProcess, LinkAddr, Mapping, Mappings, Permissions,
    Process, ProcessId, ProcessInfo,
};
use prospect_stack::{CodeFrameHelper, FrameHelper, FrameKind, FrameProgress, FrameState, StepContext};
use prospect_symbols::{Binaries, CfaRule, RegisterRule, SearchOptions, UnwindRow};
use prospect_testing::{Scratch, fixtures_directory, require, tool};

/// The library made of `frames.c` with these flags, as it would be in memory at its own addresses.
struct Library {
    process: FrozenProcess,
    /// By name: the instructions, as objdump disassembles them.
    functions: BTreeMap<String, Vec<(LinkAddr, String)>>,
    arch: Arch,
}

fn compile(directory: &Path, prefix: &str, arch: Arch, flags: &[&str]) -> Library {
    let path = directory.join("frames.so");
    let mut command = Command::new(format!("{prefix}gcc"));
    command.args(["-O2", "-shared", "-fPIC", "-nostdlib", "-fasynchronous-unwind-tables"]).args(flags);
    command.arg("-o").arg(&path).arg(fixtures_directory().join("frames.c"));
    assert!(command.status().unwrap().success(), "{command:?}");
    let bytes = fs::read(&path).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let (mut mappings, mut copied, mut ranges) = (Vec::new(), Vec::new(), Vec::new());
    for segment in file.segments() {
        let SegmentFlags::Elf { p_flags, .. } = segment.flags() else { panic!("no ELF segment") };
        let (offset, size) = segment.file_range();
        let start = segment.address() & !0xfff;
        mappings.push(Mapping {
            range: Addr(start)..Addr((segment.address() + segment.size() + 0xfff) & !0xfff),
            permissions: Permissions { read: true, execute: p_flags.0 & 1 != 0, ..Permissions::default() },
            offset: offset & !0xfff,
            file: Some(FileId { device: (0, 0), inode: 1 }),
            name: path.as_os_str().as_encoded_bytes().to_vec(),
            deleted: false,
            advice: Advice::default(),
        });
        ranges.push((Addr(segment.address()), size as usize, copied.len()));
        copied.extend_from_slice(&bytes[offset as usize..(offset + size) as usize]);
    }
    let process = FrozenProcess::new(
        ProcessInfo::new(ProcessId(1), arch),
        Vec::new(),
        CapturedMemory::new(copied, ranges),
        Mappings::new(mappings),
    );
    let disassembly = Command::new(format!("{prefix}objdump")).arg("-d").arg(&path).output().unwrap();
    let disassembly = String::from_utf8(disassembly.stdout).unwrap();
    let instructions: Vec<(LinkAddr, String)> = disassembly
        .lines()
        .filter_map(|line| {
            let (address, rest) = line.trim_start().split_once(":\t")?;
            // What has bytes only goes on with the instruction before it.
            let (_, text) = rest.split_once('\t')?;
            // What fills the room behind a jump is not run.
            if text.contains("nop") || text.starts_with("xchg") || text.starts_with("lea    0x0(%esi") {
                return None;
            }
            Some((LinkAddr(u64::from_str_radix(address, 16).ok()?), text.to_owned()))
        })
        .collect();
    let functions = file
        .dynamic_symbols()
        .filter(|symbol| symbol.is_definition() && symbol.kind() == object::SymbolKind::Text)
        .map(|symbol| {
            let range = symbol.address()..symbol.address() + symbol.size();
            let own = instructions.iter().filter(|(at, _)| range.contains(&at.0)).cloned().collect();
            (symbol.name().unwrap().to_owned(), own)
        })
        .collect();
    Library { process, functions, arch }
}

/// What the compiler says of one instruction.
#[derive(Clone, Copy)]
struct Said {
    /// The frame pointer is saved on the stack.
    saved: bool,
    /// It leads to the frame.
    set: bool,
}

/// What the unwind row of an instruction says. `sets_fp` is where the function sets the frame pointer, on architectures
/// whose rows do not say that.
fn said(at: LinkAddr, row: &UnwindRow, arch: Arch, sets_fp: Option<LinkAddr>) -> Said {
    let info = arch.info();
    let (by_fp, above_sp) = match row.cfa {
        CfaRule::Register(id, _) if id == info.fp => (true, i64::MAX),
        CfaRule::Register(_, offset) => (false, offset),
        _ => panic!("no function here has such a rule"),
    };
    let rule = row.rules.iter().find(|(id, _)| *id == info.fp).map(|(_, rule)| rule);
    // A rule for what lies below sp was left behind by what is already undone.
    let saved = matches!(rule, Some(RegisterRule::AtCfa(offset)) if -offset <= above_sp);
    Said { saved, set: by_fp || saved && sets_fp.is_some_and(|set| at > set) }
}

/// Compares at every instruction: how many there are, and the kind of each function.
fn compare(library: &Library) -> (usize, Vec<FrameKind>) {
    let binaries = Binaries::new(SearchOptions { debug_directories: Vec::new(), ..SearchOptions::default() });
    let context = StepContext::new(&library.process, &binaries);
    let [module] = library.process.modules().as_slice() else { panic!("one module") };
    let binary = binaries.get(module, library.process.info(), library.process.memory());
    let mut helper = CodeFrameHelper::default();
    let (mut count, mut kinds) = (0, Vec::new());
    for (name, instructions) in &library.functions {
        let sets_fp = instructions.iter().find(|(_, text)| text.contains("x29, sp"));
        let sets_fp = sets_fp.filter(|(_, text)| text.starts_with("mov") || text.starts_with("add"));
        let row = |at: LinkAddr| binary.unwind_row(at).unwrap().unwrap();
        let say = |at: LinkAddr| said(at, &row(at), library.arch, sets_fp.map(|(at, _)| *at));
        let rows: Vec<(LinkAddr, Said)> = instructions.iter().map(|(at, _)| (*at, say(*at))).collect();
        let kind = match rows.iter().any(|(_, row)| row.saved) {
            true if rows.iter().any(|(_, row)| row.set) => FrameKind::Standard,
            true => FrameKind::SavedFpOnly,
            false => FrameKind::None,
        };
        kinds.push(kind);
        for (at, said) in rows {
            let progress = match kind {
                FrameKind::Standard if said.set => FrameProgress::Set,
                FrameKind::Standard if said.saved => FrameProgress::HalfSet,
                FrameKind::SavedFpOnly if said.saved => FrameProgress::Set,
                _ => FrameProgress::Unset,
            };
            let found = helper.frame_state(at.to_addr(module.bias), &context);
            assert_eq!(found, FrameState { kind, progress }, "{name} at {:#x}", at.0);
            count += 1;
        }
    }
    assert_eq!(kinds.len(), 9);
    (count, kinds)
}

#[test]
fn frames_of_x86_are_what_the_compiler_says_at_every_instruction() {
    let mut seen = Vec::new();
    for (arch, wide) in [(Arch::X86_64, "-m64"), (Arch::I386, "-m32")] {
        for flags in [
            &["-fno-omit-frame-pointer"][..],
            &["-fomit-frame-pointer"],
            &["-fno-omit-frame-pointer", "-Os"],
            &["-fomit-frame-pointer", "-Os"],
            &["-O0"],
            &["-fno-omit-frame-pointer", "-O3", "-fcf-protection=full"],
        ] {
            let scratch = Scratch::new("frames");
            let library = compile(scratch.path(), "", arch, &[flags, &[wide]].concat());
            let (count, kinds) = compare(&library);
            println!("{wide} {flags:?}: {count} instructions agree");
            assert!(count > 150);
            seen.extend(kinds);
        }
    }
    for kind in [FrameKind::None, FrameKind::SavedFpOnly, FrameKind::Standard] {
        assert!(seen.iter().filter(|seen| **seen == kind).count() >= 4, "{kind:?}: {seen:?}");
    }
}

#[test]
fn frames_of_aarch64_are_what_the_compiler_says_at_every_instruction() {
    require!(tool("aarch64-linux-gnu-gcc"));
    let mut seen = Vec::new();
    for flags in [
        &["-fno-omit-frame-pointer", "-mno-omit-leaf-frame-pointer"][..],
        &["-fno-omit-frame-pointer"],
        &["-fomit-frame-pointer"],
        &["-fno-omit-frame-pointer", "-Os", "-mbranch-protection=standard"],
        &["-O0"],
    ] {
        let scratch = Scratch::new("frames");
        let library = compile(scratch.path(), "aarch64-linux-gnu-", Arch::Aarch64, flags);
        let (count, kinds) = compare(&library);
        println!("{flags:?}: {count} instructions agree");
        assert!(count > 150);
        seen.extend(kinds);
    }
    for kind in [FrameKind::None, FrameKind::Standard] {
        assert!(seen.iter().filter(|seen| **seen == kind).count() >= 4, "{kind:?}: {seen:?}");
    }
}
