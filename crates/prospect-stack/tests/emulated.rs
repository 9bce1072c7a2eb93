//! Programs of 32-bit ARM with their real C and C++ libraries, stopped under emulation: nothing but their exception
//! tables tells how to walk them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    cmp::Reverse,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use object::{Object, ObjectSegment, ObjectSymbol, SymbolKind};
use prospect_process::{
    Addr, Advice, Arch, CapturedMemory, FileId, FrozenProcess, Mapping, Mappings, Permissions, ProcessId,
    ProcessInfo, Registers,
};
use prospect_stack::{StackEnd, StepContext, StepperGroup, Trust, Walker, steppers::CfiStepper};
use prospect_symbols::{Binaries, SearchOptions};
use prospect_testing::{require, tool};

const PROGRAM: &str = r#"
#include <cstdlib>
#include <stdexcept>
extern "C" {
volatile int sink; char *volatile nowhere;
struct Guard { int n; ~Guard() { sink = sink + n; } };
__attribute__((noinline)) void bottom(int n) { nowhere[0] = n; if (n < 0) throw std::runtime_error("x"); }
__attribute__((noinline)) int guarded(int n) { Guard guard{n}; bottom(n); return n + sink; }
__attribute__((noinline)) int sized(int n) {
    volatile char array[n + 16]; array[n] = 1; return guarded(n + array[n]) + array[n / 2];
}
static int compare(const void *a, const void *b) { return sized(*(int *)a - *(int *)b + 5) + sink; }
int main(void) { int v[2] = {3, 1}; qsort(v, 2, sizeof v[0], compare); return sink; }
}
"#;

/// As glibc sorts and starts since version 2.34.
const FRAMES: [&str; 11] = [
    "bottom",
    "guarded",
    "sized",
    "compare",
    "msort_with_tmp.part.0",
    "__qsort_r",
    "qsort",
    "main",
    "__libc_start_call_main",
    "__libc_start_main",
    "_start",
];

/// No emulator or debugger may take so long.
const LONGEST: Duration = Duration::from_secs(60);

/// A directory that goes when it is dropped.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A program that is ended when it is dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for something to become true.
fn wait_for(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < LONGEST, "waited too long for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Runs the program until it crashes; returns its registers and the bytes of its stack from sp on.
fn crash(program: &Path, directory: &Path) -> (Registers, Vec<u8>) {
    let socket = directory.join("gdb");
    let mut emulator = Command::new("qemu-arm");
    // The environment lies above the first frame, so that there is enough to read.
    emulator.arg("-g").arg(&socket).arg(program).env_clear().env("FILL", "0".repeat(6000));
    let _emulator = Ended(emulator.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    wait_for("the emulator's socket", || socket.exists());
    let (output, stack) = (directory.join("output"), directory.join("stack"));
    let mut debugger = Command::new("gdb-multiarch");
    debugger.args(["-nx", "-batch"]);
    for command in [
        format!("file {}", program.display()),
        format!("target remote {}", socket.display()),
        "continue".into(),
        "info registers".into(),
        format!("dump binary memory {} $sp $sp+4096", stack.display()),
        "kill".into(),
    ] {
        debugger.arg("-ex").arg(command);
    }
    let output_file = fs::File::create(&output).unwrap();
    let mut debugger = Ended(debugger.stdout(output_file).stderr(Stdio::null()).spawn().unwrap());
    wait_for("gdb", || debugger.0.try_wait().unwrap().is_some());
    let mut registers = Registers::unknown(Arch::Arm);
    for line in fs::read_to_string(&output).unwrap().lines() {
        let mut words = line.split_whitespace();
        let (Some(name), Some(value)) = (words.next(), words.next()) else { continue };
        let value = value.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
        if let (Some(id), Some(value)) = (Arch::Arm.info().by_name(name), value) {
            registers.set(id, value);
        }
    }
    (registers, fs::read(&stack).unwrap())
}

/// The process: the first segment of the program, and its stack.
fn process(program: &Path, stack: Vec<u8>, sp: Addr) -> FrozenProcess {
    let file = fs::read(program).unwrap();
    let parsed = object::File::parse(&*file).unwrap();
    let segment = parsed.segments().find(|one| one.file_range().0 == 0).unwrap();
    let (base, bytes) = (Addr(segment.address()), segment.data().unwrap().to_vec());
    let pages = |start: Addr, bytes: usize, execute: bool| Mapping {
        range: Addr(start.0 & !0xfff)..Addr((start.0 + bytes as u64).next_multiple_of(0x1000)),
        permissions: Permissions { read: true, write: !execute, execute, shared: false },
        offset: 0,
        file: execute.then_some(FileId { device: (0, 0), inode: 1 }),
        name: if execute { program.to_str().unwrap().into() } else { b"[stack]".to_vec() },
        deleted: false,
        advice: Advice::default(),
    };
    let mappings = Mappings::new(vec![pages(base, bytes.len(), true), pages(sp, stack.len(), false)]);
    let ranges = [(base, bytes.len(), 0), (sp, stack.len(), bytes.len())];
    let memory = CapturedMemory::new([bytes, stack].concat(), ranges);
    FrozenProcess::new(ProcessInfo::new(ProcessId(1), Arch::Arm), Vec::new(), memory, mappings)
}

/// The last function that begins at or before an address: the first in order of those names for it.
fn function(file: &object::File<'_>, at: u64) -> String {
    let functions = file.symbols().filter(|one| one.kind() == SymbolKind::Text);
    let starts = functions.map(|one| (one.address() & !1, one.name().unwrap().to_owned()));
    let nearest = starts.filter(|one| one.0 <= at).max_by_key(|one| (one.0, Reverse(one.1.clone())));
    nearest.unwrap().1
}

#[test]
fn exception_tables_lead_through_the_real_libraries() {
    for needed in ["arm-linux-gnueabihf-g++", "qemu-arm", "gdb-multiarch"] {
        require!(tool(needed));
    }
    for mode in ["-marm", "-mthumb"] {
        let name = format!("prospect-emulated-{}{mode}", std::process::id());
        let directory = Directory(std::env::temp_dir().join(name));
        fs::create_dir_all(&directory.0).unwrap();
        let (source, program) = (directory.0.join("program.cc"), directory.0.join("program"));
        fs::write(&source, PROGRAM).unwrap();
        let mut compiler = Command::new("arm-linux-gnueabihf-g++");
        compiler
            .args(["-O2", mode, "-static", "-no-pie", "-Wl,--strip-debug"])
            .arg(&source)
            .arg("-o")
            .arg(&program);
        assert!(compiler.status().unwrap().success());
        let (registers, stack) = crash(&program, &directory.0);
        let process = process(&program, stack, registers.sp().unwrap());
        let binaries = Binaries::new(SearchOptions::default());
        let context = StepContext::new(&process, &binaries);
        let steppers = StepperGroup::new().then(CfiStepper::default());
        let stack = Walker::with_steppers(steppers).walk(&registers, &context);
        let file = fs::read(&program).unwrap();
        let file = object::File::parse(&*file).unwrap();
        let names: Vec<String> =
            stack.frames.iter().map(|frame| function(&file, frame.for_lookup().0)).collect();
        assert_eq!(
            (&names[..], &stack.end),
            (&FRAMES.map(str::to_owned)[..], &StackEnd::Outermost),
            "{mode}"
        );
        assert!(stack.frames[1..].iter().all(|frame| frame.trust == Trust::CallFrameInfo), "{mode}");
    }
}
