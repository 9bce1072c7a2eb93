//! How long it takes to step by analysis: the first visit of a function of a thousand instructions, and a later
//! one. `cargo run --release --example analysis [FUNCTIONS]`; with `perf stat -e instructions:u` it also says how
//! many instructions that is.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "it is a program for people to run by hand")]

use std::time::Instant;

use prospect_process::{
    Addr, Advice, Arch, CapturedMemory, FrozenProcess, Mapping, Mappings, Permissions, ProcessId,
    ProcessInfo, Registers,
};
use prospect_stack::{Frame, FrameStepper, Step, StepContext, steppers::AnalysisStepper};
use prospect_symbols::{Binaries, SearchOptions};

const TEXT: u64 = 0x1000_0000;
const STACK: u64 = 0x2000_0000;
const PAGE: u64 = 0x1000;
/// Bytes from one function to the next.
const FUNCTION: u64 = 2 * PAGE;

/// A function as compilers make them: it saves three registers, and has a hundred branches and calls.
fn function() -> (Vec<u8>, usize) {
    // push %rbp; push %r12; push %rbx; sub $0x20, %rsp
    let mut code = vec![0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0x41, 0x54, 0x53, 0x48, 0x83, 0xec, 0x20];
    let mut instructions = 5;
    for _ in 0..100 {
        // mov %rdi, 8(%rsp); mov 8(%rsp), %rax; lea (%rax,%rdi,4), %rdx; movzbl (%rdx), %ecx; add $1, %ecx
        code.extend([0x48, 0x89, 0x7c, 0x24, 0x08, 0x48, 0x8b, 0x44, 0x24, 0x08, 0x48, 0x8d, 0x14, 0xb8]);
        code.extend([0x0f, 0xb6, 0x0a, 0x83, 0xc1, 0x01]);
        // test %ecx, %ecx; je over; mov %rax, %rbx; call at; over: imul %rdx, %rax
        code.extend([0x85, 0xc9, 0x74, 0x08, 0x48, 0x89, 0xc3, 0xe8]);
        code.extend((-(code.len() as i32 + 4)).to_le_bytes());
        code.extend([0x48, 0x0f, 0xaf, 0xc2]);
        instructions += 10;
    }
    // add $0x20, %rsp; pop %rbx; pop %r12; pop %rbp; ret
    code.extend([0x48, 0x83, 0xc4, 0x20, 0x5b, 0x41, 0x5c, 0x5d, 0xc3]);
    (code, instructions + 5)
}

fn main() {
    let functions: u64 = std::env::args().nth(1).map_or(1000, |number| number.parse().unwrap());
    let (code, instructions) = function();
    let text_bytes = functions * FUNCTION;
    let mut bytes = vec![0xcc; text_bytes as usize];
    for index in 0..functions {
        let at = (index * FUNCTION) as usize;
        bytes[at..at + code.len()].copy_from_slice(&code);
    }
    // Behind the functions, a call that may lead anywhere: call *%rax.
    let caller = text_bytes as usize;
    bytes.resize(caller + PAGE as usize, 0xcc);
    bytes[caller..caller + 2].copy_from_slice(&[0xff, 0xd0]);
    let text_bytes = text_bytes + PAGE;
    let cfa = STACK + PAGE - 64;
    let mut stack = vec![0u8; PAGE as usize];
    stack[(PAGE - 72) as usize..(PAGE - 64) as usize]
        .copy_from_slice(&(TEXT + caller as u64 + 2).to_le_bytes());
    bytes.extend(&stack);
    let text = text_bytes as usize;
    let memory = CapturedMemory::new(bytes, [(Addr(TEXT), text, 0), (Addr(STACK), PAGE as usize, text)]);
    let mapping = |start: u64, bytes: u64, execute: bool| Mapping {
        range: Addr(start)..Addr(start + bytes),
        permissions: Permissions { read: true, write: !execute, execute, shared: false },
        offset: 0,
        file: None,
        name: Vec::new(),
        deleted: false,
        advice: Advice::default(),
    };
    let mappings = Mappings::new(vec![mapping(TEXT, text_bytes, true), mapping(STACK, PAGE, false)]);
    let info = ProcessInfo::new(ProcessId(1), Arch::X86_64);
    let process = FrozenProcess::new(info, Vec::new(), memory, mappings);
    let binaries = Binaries::new(SearchOptions {
        debug_directories: Vec::new(),
        names: false,
        ..SearchOptions::default()
    });
    let context = StepContext::new(&process, &binaries);
    let mut stepper = AnalysisStepper::default();
    let frames: Vec<Frame> = (0..functions)
        .map(|function| {
            let mut registers = Registers::unknown(Arch::X86_64);
            let end = TEXT + function * FUNCTION + code.len() as u64;
            registers.set(Arch::X86_64.info().pc, end - 9);
            registers.set(Arch::X86_64.info().sp, cfa - 64);
            Frame::innermost(&registers).unwrap()
        })
        .collect();
    let mut step = |frame: &Frame| {
        let started = Instant::now();
        assert!(matches!(stepper.step(frame, &context), Ok(Step::Caller(_))));
        started.elapsed()
    };
    // The best and the middle one: the machine may be doing something else.
    let mut first: Vec<_> = frames.iter().map(&mut step).collect();
    first.sort_unstable();
    let (best, middle) = (first[0], first[first.len() / 2]);
    println!("{functions} functions of {instructions} instructions: {best:?} at best, {middle:?} mostly");
    let mut later: Vec<_> = (0..100)
        .map(|_| {
            let started = Instant::now();
            for frame in frames.iter().take(100).cycle().take(10_000) {
                assert!(matches!(stepper.step(frame, &context), Ok(Step::Caller(_))));
            }
            started.elapsed() / 10_000
        })
        .collect();
    later.sort_unstable();
    println!("a later visit: {:?} at best, {:?} mostly", later[0], later[later.len() / 2]);
}
