//! Steps in code of Windows and macOS by the tables of those systems, at each instruction compared with what the instructions
//! themselves say. The files are found as in a dump: by their name and build alone.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may fail by a panic")]

use std::path::{Path, PathBuf};

use prospect_process::{
    Addr, Advice, Arch, CapturedMemory, FrozenProcess, LinkAddr, Mapping, Mappings, Module, ModuleKind,
    Modules, Permissions, ProcessId, ProcessInfo, RegisterId, Registers,
};
use prospect_stack::{
    Caller, Frame, FrameStepper, Location, Step, StepContext, Walker,
    steppers::{AnalysisStepper, CfiStepper},
};
use prospect_symbols::{Binaries, Binary, CfaRule, SearchOptions};

const BASE: u64 = 0x7ff6_1234_0000;
const STACK: u64 = 0x10_0000_0000;
const STACK_BYTES: u64 = 4 << 20;
/// Where the stack pointer is: there is room for the largest frame above it.
const SP: u64 = STACK + 0x1_0000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/images")
}

fn mapping(range: std::ops::Range<u64>, execute: bool) -> Mapping {
    Mapping {
        range: Addr(range.start)..Addr(range.end),
        permissions: Permissions { read: true, write: !execute, execute, shared: false },
        offset: 0,
        file: None,
        name: Vec::new(),
        deleted: false,
        advice: Advice::default(),
    }
}

/// A process that has an image loaded.
struct Loaded {
    process: FrozenProcess,
    modules: Modules,
    binary: Binary,
    instructions: Vec<u64>,
    arch: Arch,
    /// Where something was called from.
    to: u64,
}

impl Loaded {
    /// With the module's addresses as they were linked, or from where the image begins, where that is all that is known.
    fn new(name: &str, knows_base: bool) -> Self {
        let binary = Binary::open(&folder().join(name)).unwrap();
        let (arch, base) = (binary.arch().unwrap(), binary.image_base().unwrap());
        let loads: Vec<_> = binary.loads().collect();
        let end = loads.iter().map(|range| range.end.0).max().unwrap() - base.0;
        let mut bytes = vec![0; end as usize];
        for range in &loads {
            let code = binary.constant(range.start);
            let at = (range.start.0 - base.0) as usize;
            bytes[at..at + code.len()].copy_from_slice(code);
        }
        let list = Path::new(name).with_extension("txt");
        let text = std::fs::read_to_string(folder().join(list)).unwrap();
        let instructions: Vec<u64> =
            text.lines().map(|line| u64::from_str_radix(line, 16).unwrap() - base.0).collect();
        // Every word is a return address: where each was taken from is compared.
        let behind_call = |at: &&u64| {
            let at = **at as usize;
            match arch {
                Arch::X86_64 => at >= 5 && bytes[at - 5] == 0xe8,
                _ => at >= 4 && bytes[at - 1] & 0xfc == 0x94,
            }
        };
        let to = BASE + instructions.iter().find(behind_call).unwrap();
        let stack = (0..STACK_BYTES / 8).flat_map(|_| to.to_le_bytes());
        let image = bytes.len();
        bytes.extend(stack);
        let parts = [(Addr(BASE), image, 0), (Addr(STACK), STACK_BYTES as usize, image)];
        let memory = CapturedMemory::new(bytes, parts);
        let mappings =
            Mappings::new(vec![mapping(BASE..BASE + end, true), mapping(STACK..STACK + STACK_BYTES, false)]);
        let range = Addr(BASE)..Addr(BASE + end);
        let modules = Modules::new(vec![Module {
            range: range.clone(),
            bias: if knows_base { BASE.wrapping_sub(base.0) } else { BASE },
            path: format!("C:\\Program Files\\{name}").into_bytes(),
            kind: ModuleKind::File,
            file: None,
            deleted: false,
            build_id: binary.build_id().cloned(),
            debug_file: None,
            first_mapping: range,
            is_executable: false,
        }]);
        let process = FrozenProcess::new(ProcessInfo::new(ProcessId(1), arch), Vec::new(), memory, mappings);
        Self { process, modules, binary, instructions, arch, to }
    }

    fn frame(&self, at: u64, fp: u64) -> Frame {
        let info = self.arch.info();
        let mut registers = Registers::unknown(self.arch);
        for index in 0..info.registers.len() {
            registers.set(RegisterId(index as u8), 0);
        }
        registers.set(info.pc, BASE + at);
        registers.set(info.sp, SP);
        registers.set(info.fp, fp);
        if let Some(link) = info.link {
            registers.set(link, self.to);
        }
        Frame::innermost(&registers).unwrap()
    }
}

fn caller(step: Result<Step, prospect_stack::StepError>) -> Option<Caller> {
    match step {
        Ok(Step::Caller(caller)) => Some(caller),
        _ => None,
    }
}

/// Where the caller's registers are.
fn places(caller: &Caller, arch: Arch) -> Vec<(&'static str, Option<Location>)> {
    let info = arch.info();
    let ids = info.preserved().filter(|id| !["fs_base", "gs_base"].contains(&info.register(*id).name));
    let all = ids.chain([info.pc]).filter(|id| *id != info.sp);
    all.map(|id| (info.register(id).name, caller.registers.location(id))).collect()
}

/// Compares all instructions; gives how many were compared, and how many of all have a row.
fn compare(name: &str, knows_base: bool) -> (usize, usize) {
    let loaded = Loaded::new(name, knows_base);
    let binaries =
        Binaries::new(SearchOptions { debug_directories: vec![folder()], ..SearchOptions::default() });
    let mut context = StepContext::new(&loaded.process, &binaries);
    context.modules = &loaded.modules;
    let (mut cfi, mut analysis) = (CfiStepper::default(), AnalysisStepper::default());
    let (mut compared, mut rows) = (0, 0);
    for at in &loaded.instructions {
        let step = |fp: u64, cfi: &mut CfiStepper, analysis: &mut AnalysisStepper| {
            let frame = loaded.frame(*at, fp);
            Some((caller(cfi.step(&frame, &context))?, caller(analysis.step(&frame, &context))))
        };
        let fp = SP + 0x8000;
        let Some((mut by_table, by_code)) = step(fp, &mut cfi, &mut analysis) else { continue };
        rows += 1;
        let Some(mut by_code) = by_code else { continue };
        let what = format!("{name} at {at:x}");
        if by_table.cfa != by_code.cfa {
            // Where both pointers are good, a frame may be said to be based on either: then there is a frame pointer with which
            // they agree.
            let apart = by_code.cfa.unwrap().0.wrapping_sub(by_table.cfa.unwrap().0);
            let other = step(fp + 0x40, &mut cfi, &mut analysis).unwrap();
            let (table_moves, code_moves) =
                (other.0.cfa != by_table.cfa, other.1.as_ref().unwrap().cfa != by_code.cfa);
            assert_ne!(table_moves, code_moves, "{what}: {by_table:?}, {by_code:?}");
            let fp = if table_moves { fp.wrapping_add(apart) } else { fp.wrapping_sub(apart) };
            let (table, code) = step(fp, &mut cfi, &mut analysis).unwrap();
            (by_table, by_code) = (table, code.unwrap());
        }
        assert_eq!(by_table.cfa, by_code.cfa, "{what}");
        for (table, code) in places(&by_table, loaded.arch).into_iter().zip(places(&by_code, loaded.arch)) {
            // The code tells of a register that was saved and not changed by now, or not ever, that it is as it was.
            let is_same = table == code || matches!(code.1, Some(Location::Register(_)));
            assert!(is_same, "{what}: {table:?} by the table, {code:?} by the code");
        }
        compared += 1;
    }
    let module = &loaded.modules.as_slice()[0];
    let found =
        binaries.get(module, &ProcessInfo::new(ProcessId(1), loaded.arch), &CapturedMemory::default());
    assert_eq!(found.binary.as_ref().unwrap().path(), folder().join(name));
    assert_eq!(
        binaries.image_base(module, &ProcessInfo::new(ProcessId(1), loaded.arch), &CapturedMemory::default()),
        loaded.binary.image_base()
    );
    println!("{name}: {compared} compared, {rows} rows, {} instructions", loaded.instructions.len());
    (compared, rows)
}

/// Functions of Windows give rsi and rdi back, those of other systems do not: a walker, which does not ask for a step where it
/// knows a rule, must not lose them.
#[test]
fn a_walker_keeps_what_windows_preserves() {
    let loaded = Loaded::new("clang.x86_64.dll", true);
    let binaries =
        Binaries::new(SearchOptions { debug_directories: vec![folder()], ..SearchOptions::default() });
    let mut context = StepContext::new(&loaded.process, &binaries);
    context.modules = &loaded.modules;
    let frame = loaded.frame(loaded.to - BASE, SP + 0x8000);
    let mut walker = Walker::new(loaded.arch).frame_limit(8);
    let stack = walker.walk(&frame.registers.expand(), &context);
    assert_eq!(stack.frames.len(), 8);
    let ids = ["rsi", "rdi"].map(|name| loaded.arch.info().by_name(name).unwrap());
    let mut cfi = CfiStepper::default();
    for pair in stack.frames.windows(2) {
        let caller = caller(cfi.step(&pair[0], &context)).unwrap().registers;
        for id in ids {
            assert!(caller.get(id).is_some());
            assert_eq!(pair[1].registers.located(id), caller.located(id));
        }
    }
}

#[test]
fn windows_on_amd64() {
    for knows_base in [false, true] {
        let (compared, rows) = compare("clang.x86_64.dll", knows_base);
        assert!(compared > 260 && rows > 340, "{compared}, {rows}");
        let (compared, rows) = compare("gcc.x86_64.dll", knows_base);
        assert!(compared > 260 && rows > 340, "{compared}, {rows}");
    }
}

#[test]
fn windows_on_aarch64() {
    for knows_base in [false, true] {
        let (compared, rows) = compare("clang.aarch64.dll", knows_base);
        assert!(compared > 200 && rows > 300, "{compared}, {rows}");
    }
}

#[test]
fn macos_behind_calls() {
    let (compared, rows) = compare("macos.arm64.dylib", false);
    assert!(compared > 20 && rows > 30, "{compared}, {rows}");
    let (compared, rows) = compare("macos.x86_64.dylib", true);
    assert!(compared > 20 && rows > 30, "{compared}, {rows}");
}

/// What an unwinder needs that has no file at all: the whole image is in the dump.
#[test]
fn an_image_in_memory_has_the_rows_of_its_file() {
    for name in ["clang.x86_64.dll", "gcc.x86_64.dll", "clang.aarch64.dll"] {
        let loaded = Loaded::new(name, false);
        let module = &loaded.modules.as_slice()[0];
        let memory = Binary::from_memory(module, prospect_process::Process::memory(&loaded.process)).unwrap();
        assert_eq!(memory.build_id(), loaded.binary.build_id());
        let base = loaded.binary.image_base().unwrap();
        for at in &loaded.instructions {
            let file = loaded.binary.unwind_row(LinkAddr(base.0 + at)).unwrap().unwrap();
            let own = memory.unwind_row(LinkAddr(*at)).unwrap().unwrap();
            assert_eq!(format!("{:?}", own.rules), format!("{:?}", file.rules), "{name} at {at:x}");
            let (CfaRule::Register(own, above), CfaRule::Register(file, other)) = (own.cfa, file.cfa) else {
                panic!("{name} at {at:x}")
            };
            assert_eq!((own, above), (file, other), "{name} at {at:x}");
        }
    }
}
