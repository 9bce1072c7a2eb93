//! Real programs, asleep in a system call: the kernel says their pc and sp (`/proc/PID/syscall`), and the
//! rest is found from there.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod live;

use std::process::Command;

use prospect_process::{Arch, Process};
use prospect_stack::{CodeAddress, Location, Stack, StackEnd, StepContext, Trust, Walker};
use prospect_testing::{Fixture, Missing, fixture, require, tool};

use live::{binaries, look_at};

/// The stack of a fixture's main thread, with the names that `addr2line` knows for the program's own frames,
/// innermost first.
fn walk(fixture: &Fixture, args: &[&str], arch: Arch) -> (Stack, Vec<String>) {
    let running = fixture.start(args);
    let (process, registers) = look_at(&running, arch);
    let binaries = binaries();
    let context = StepContext::new(&process, &binaries);
    let mut walker = Walker::new(arch);
    let stack = walker.walk(&registers, &context);
    let again = walker.walk(&registers, &context);
    assert_eq!(
        (&again.frames, &again.end),
        (&stack.frames, &stack.end),
        "what is remembered is not the same"
    );
    let program = process.modules().executable().expect("the program is among the modules");
    let own = |frame: &&prospect_stack::Frame| program.range.contains(&frame.for_lookup());
    let addresses = stack.frames.iter().filter(own).map(|frame| frame.for_lookup().to_link(program.bias).0);
    let mut command = Command::new("addr2line");
    command.arg("-fe").arg(fixture.path()).args(addresses.map(|address| format!("{address:#x}")));
    let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let names = output.lines().step_by(2).filter(|name| *name != "??").map(str::to_owned).collect();
    (stack, names)
}

fn prepared(name: &str) -> Result<Fixture, Missing> {
    tool("addr2line")?;
    fixture(name)
}

/// The functions of `deep` with so many frames of recursion, innermost first.
fn deep(depth: usize) -> Vec<&'static str> {
    let mut functions = vec!["block", "bottom"];
    functions.extend((0..depth).rev().map(|level| ["f0", "f1", "f2", "f3"][level % 4]));
    functions.push("main");
    functions
}

/// Panics unless `names` holds all of `wanted`, one right behind the other.
fn assert_calls(stack: &Stack, names: &[String], wanted: &[&str]) {
    let found = names.windows(wanted.len()).any(|part| part.iter().eq(wanted.iter()));
    assert!(found, "{names:?}\nended: {}\n{stack:#x?}", stack.end);
}

#[test]
fn call_frame_information_leads_to_the_start_of_the_program() {
    for (name, arch) in [
        ("deep", Arch::X86_64),
        ("deep-static", Arch::X86_64),
        ("deep-static-pie", Arch::X86_64),
        ("deep-debug-frame", Arch::X86_64),
        ("deep-no-header", Arch::X86_64),
        ("deep-32", Arch::I386),
        ("deep-32-static", Arch::I386),
    ] {
        let program = require!(prepared(name));
        let (stack, names) = walk(&program, &["200"], arch);
        assert_calls(&stack, &names, &deep(200));
        assert_eq!(stack.end, StackEnd::Outermost, "{name}");
        assert!(stack.frames[1..].iter().all(|frame| frame.trust == Trust::CallFrameInfo), "{name}");
    }
}

#[test]
fn a_program_without_tables_is_walked_by_its_frame_pointers() {
    let program = require!(prepared("deep-frame-pointers"));
    let (stack, names) = walk(&program, &["50"], Arch::X86_64);
    assert_calls(&stack, &names, &deep(50));
    assert_eq!(stack.end, StackEnd::Outermost);
}

#[test]
fn a_c_library_without_tables_is_left_by_its_code() {
    let program = require!(prepared("deep-musl-libc"));
    let (stack, names) = walk(&program, &["50"], Arch::X86_64);
    assert_calls(&stack, &names, &deep(50));
    assert!(stack.frames.iter().any(|frame| frame.trust == Trust::Analysed));
    // And on from main to the program's start.
    assert_eq!(stack.end, StackEnd::Outermost, "{:#x?}", stack.frames.last());
    assert_eq!(names.last().map(String::as_str), Some("_start"), "{names:?}");
}

/// In a C library without frame pointers, the register may hold one of any caller.
#[test]
fn a_frame_pointer_that_would_skip_frames_is_not_followed() {
    let program = require!(fixture("deep-musl-libc"));
    let running = program.start(&["50"]);
    let (process, mut registers) = look_at(&running, Arch::X86_64);
    let binaries = binaries();
    let context = StepContext::new(&process, &binaries);
    let pcs = |stack: &Stack| stack.frames.iter().map(|frame| frame.code.addr()).collect::<Vec<_>>();
    let truth = Walker::new(Arch::X86_64).walk(&registers, &context);
    // Where the tenth frame would have saved it, had it had one.
    let cfa = truth.frames[10].cfa.unwrap();
    registers.set(Arch::X86_64.info().fp, cfa.0 - 16);
    let stack = Walker::new(Arch::X86_64).walk(&registers, &context);
    assert_eq!(pcs(&stack), pcs(&truth));
}

#[test]
fn a_signal_handler_on_another_stack_returns_to_the_very_instruction() {
    let interrupted = ["faulting", "outer", "outer", "outer", "outer", "main"];
    for (name, arch, args) in [
        ("sigalt", Arch::X86_64, &[][..]),
        ("sigalt", Arch::X86_64, &["info"]),
        ("sigalt-32", Arch::I386, &[]),
        ("sigalt-32", Arch::I386, &["info"]),
        ("sigalt-musl", Arch::X86_64, &[]),
    ] {
        let program = require!(prepared(name));
        let (stack, names) = walk(&program, args, arch);
        assert_calls(&stack, &names, &interrupted);
        let exact: Vec<_> =
            stack.frames[1..].iter().filter(|frame| matches!(frame.code, CodeAddress::Exact(_))).collect();
        // The trampoline, and what the signal interrupted.
        assert_eq!(exact.len(), 2, "{name}: {stack:#x?}");
        assert_eq!(exact[1].found_by, "signal trampoline");
    }
}

#[test]
fn odd_code_is_walked() {
    for (name, args, wanted) in [
        ("noreturn", &[][..], &["block", "never_returns", "last_call", "main"][..]),
        ("realign", &[], &["block", "inner", "realigned", "main"]),
    ] {
        let program = require!(prepared(name));
        let (stack, names) = walk(&program, args, Arch::X86_64);
        assert_calls(&stack, &names, wanted);
        assert_eq!(stack.end, StackEnd::Outermost, "{name}");
    }
}

/// What a location says is there: the value itself.
#[test]
fn every_register_is_where_its_location_says() {
    let mut total = (0, 0);
    for (name, arch, args) in [
        ("deep", Arch::X86_64, &["60"][..]),
        ("deep-32", Arch::I386, &["60"]),
        ("deep-frame-pointers", Arch::X86_64, &["20"]),
        ("deep-musl-libc", Arch::X86_64, &["20"]),
        ("sigalt", Arch::X86_64, &[]),
        ("sigalt-32", Arch::I386, &[]),
        ("realign", Arch::X86_64, &[]),
    ] {
        let program = require!(fixture(name));
        let running = program.start(args);
        let (process, registers) = look_at(&running, arch);
        let binaries = binaries();
        let context = StepContext::new(&process, &binaries);
        let stack = Walker::new(arch).walk(&registers, &context);
        let info = arch.info();
        let mut saved = 0;
        for (number, frame) in stack.frames.iter().enumerate() {
            for (row, value) in frame.registers.known() {
                let id = info.by_name(row.name).unwrap();
                let bytes = usize::from(row.bytes).min(info.word_bytes.into());
                let found = match frame.registers.location(id).unwrap() {
                    Location::Address(at) => {
                        saved += 1;
                        let mut word = [0; 8];
                        process.memory().read(at, &mut word[..bytes]).unwrap();
                        u64::from_le_bytes(word)
                    }
                    Location::Register(own) => registers.get(own).unwrap(),
                    // Only a stack pointer is computed; and a segment has less than a word in a signal frame.
                    _ => {
                        let is_part = ["cs", "ss", "ds", "es", "fs", "gs"].contains(&row.name);
                        assert!(id == info.sp || is_part, "{name} frame {number}: {}", row.name);
                        value
                    }
                };
                let width = u64::MAX >> (64 - 8 * bytes);
                assert_eq!(found & width, value & width, "{name} frame {number}: {}", row.name);
            }
            let is_saved = matches!(frame.pc_location(), Some(Location::Address(_)));
            assert_eq!(is_saved, number > 0, "{name} frame {number}");
        }
        total = (total.0 + stack.frames.len(), total.1 + saved);
        let asked = Walker::new(arch).remember_rules(0).walk(&registers, &context);
        assert_eq!(asked.frames, stack.frames, "{name}: remembered rules change nothing");
        for (asked, frame) in asked.frames.iter().zip(&stack.frames) {
            for (row, _) in frame.registers.known() {
                let id = info.by_name(row.name).unwrap();
                assert_eq!(asked.registers.location(id), frame.registers.location(id), "{name} {}", row.name);
            }
        }
    }
    assert!(total.1 > total.0, "{} registers in memory of {} frames", total.1, total.0);
}
