//! Stopped programs of other architectures: `tests/stopped/take.sh` took their registers and their stacks.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{fs, path::PathBuf};

use prospect_process::{
    Addr, Arch, CapturedMemory, FileId, FrozenProcess, Mapping, Mappings, Permissions, ProcessId,
    ProcessInfo, Registers,
};
use prospect_stack::{
    CodeAddress, StackEnd, StepContext, StepperGroup, Trust, Walker,
    return_addresses::{BinaryRules, StackPosition, walk},
    steppers::{CfiStepper, FramePointerStepper, LinkRegisterStepper},
};
use prospect_symbols::{Binaries, SearchOptions};

struct Stopped {
    arch: Arch,
    /// Where the program is mapped, from the start of its file on.
    base: u64,
    /// The frames: where `bottom` crashed; and the return addresses into `leafy`, `sized` (which has an array of
    /// variable length), `deep` four times, and `main`. Those of gdb, but for AArch64, where they are those of
    /// the file: gdb stumbles over signed return addresses.
    frames: [u64; 8],
    /// Whether the program keeps frame pointers or a back chain.
    has_chain: bool,
}

const STOPPED: [Stopped; 7] = [
    Stopped {
        arch: Arch::Aarch64,
        base: 0x40_0000,
        frames: [0x4001b4, 0x4001f8, 0x400260, 0x4002bc, 0x40029c, 0x40029c, 0x40029c, 0x400198],
        has_chain: true,
    },
    Stopped {
        arch: Arch::Arm,
        base: 0x1_0000,
        frames: [0x100dc, 0x10120, 0x10178, 0x101b8, 0x1019c, 0x1019c, 0x1019c, 0x100c4],
        has_chain: false,
    },
    Stopped {
        arch: Arch::Ppc64le,
        base: 0x1000_0000,
        frames: [
            0x1000_0140,
            0x1000_01e0,
            0x1000_028c,
            0x1000_0318,
            0x1000_02e8,
            0x1000_02e8,
            0x1000_02e8,
            0x1000_0110,
        ],
        has_chain: true,
    },
    Stopped {
        arch: Arch::Ppc64,
        base: 0x1000_0000,
        frames: [
            0x1000_0140,
            0x1000_01e0,
            0x1000_0284,
            0x1000_0308,
            0x1000_02e0,
            0x1000_02e0,
            0x1000_02e0,
            0x1000_0108,
        ],
        has_chain: true,
    },
    Stopped {
        arch: Arch::Ppc,
        base: 0x1000_0000,
        frames: [
            0x1000_0110,
            0x1000_01a0,
            0x1000_0224,
            0x1000_02a8,
            0x1000_0280,
            0x1000_0280,
            0x1000_0280,
            0x1000_00ec,
        ],
        has_chain: true,
    },
    Stopped {
        arch: Arch::Riscv64,
        base: 0x1_0000,
        frames: [0x10142, 0x10178, 0x101c6, 0x10210, 0x101f8, 0x101f8, 0x101f8, 0x10130],
        has_chain: true,
    },
    Stopped {
        arch: Arch::S390x,
        base: 0x100_0000,
        frames: [0x1000128, 0x1000178, 0x10001f2, 0x1000260, 0x1000242, 0x1000242, 0x1000242, 0x100010c],
        has_chain: true,
    },
];

/// The same program with return addresses that are signed in leaf functions too, with either key; with SFrame alone; and
/// with ARM's exception tables alone, where it is also one with destructors, and so with a personality routine.
const VARIANTS: [(&str, Stopped); 7] = [
    (
        "aarch64-leaf",
        Stopped {
            arch: Arch::Aarch64,
            base: 0x40_0000,
            frames: [0x4001b8, 0x4001f8, 0x40025c, 0x4002bc, 0x40029c, 0x40029c, 0x40029c, 0x400198],
            has_chain: true,
        },
    ),
    (
        "aarch64-b-key",
        Stopped {
            arch: Arch::Aarch64,
            base: 0x40_0000,
            frames: [0x4001b8, 0x4001f8, 0x40025c, 0x4002bc, 0x40029c, 0x40029c, 0x40029c, 0x400198],
            has_chain: true,
        },
    ),
    (
        "aarch64-sframe",
        Stopped {
            arch: Arch::Aarch64,
            base: 0x40_0000,
            frames: [0x4001e0, 0x400228, 0x40028c, 0x4002ec, 0x4002cc, 0x4002cc, 0x4002cc, 0x4001c8],
            has_chain: true,
        },
    ),
    (
        "arm-tables",
        Stopped {
            arch: Arch::Arm,
            base: 0x1_0000,
            frames: [0x100dc, 0x10120, 0x10178, 0x101b8, 0x1019c, 0x1019c, 0x1019c, 0x100c4],
            has_chain: false,
        },
    ),
    (
        "arm-thumb-tables",
        Stopped {
            arch: Arch::Arm,
            base: 0x1_0000,
            frames: [0x100cc, 0x100f6, 0x1013e, 0x10168, 0x10158, 0x10158, 0x10158, 0x100be],
            has_chain: false,
        },
    ),
    (
        "arm-guarded",
        Stopped {
            arch: Arch::Arm,
            base: 0x1_0000,
            frames: [0x100ec, 0x1016c, 0x10200, 0x10290, 0x10260, 0x10260, 0x10260, 0x100c4],
            has_chain: false,
        },
    ),
    (
        "arm-thumb-guarded",
        Stopped {
            arch: Arch::Arm,
            base: 0x1_0000,
            frames: [0x100d4, 0x10124, 0x1018c, 0x101ea, 0x101cc, 0x101cc, 0x101cc, 0x100be],
            has_chain: false,
        },
    ),
];

fn path(name: &str, extension: &str) -> PathBuf {
    let name = format!("{name}.{extension}");
    [env!("CARGO_MANIFEST_DIR"), "tests", "stopped", &name].iter().collect()
}

fn load(stopped: &Stopped) -> (FrozenProcess, Registers) {
    load_as(stopped.arch.info().name, stopped)
}

fn load_as(name: &str, stopped: &Stopped) -> (FrozenProcess, Registers) {
    let arch = stopped.arch;
    let info = arch.info();
    let mut registers = Registers::unknown(arch);
    for line in fs::read_to_string(path(name, "registers")).unwrap().lines() {
        let (name, value) = line.split_once(' ').unwrap();
        // AArch64's cpsr is not the register that a register set has.
        let Some(id) = info.by_name(name) else { continue };
        registers.set(id, u64::from_str_radix(value, 16).unwrap());
    }
    assert_eq!(registers.pc(), Some(Addr(stopped.frames[0])));
    let program = path(name, "elf");
    let (code, stack) = (fs::read(&program).unwrap(), fs::read(path(name, "stack")).unwrap());
    let sp = registers.sp().unwrap();
    let pages = |start: Addr, bytes: usize, execute: bool| {
        let (from, to) = (start.0 & !0xfff, (start.0 + bytes as u64).next_multiple_of(0x1000));
        Mapping {
            range: Addr(from)..Addr(to),
            permissions: Permissions { read: true, write: !execute, execute, shared: false },
            offset: 0,
            file: execute.then_some(FileId { device: (0, 0), inode: 1 }),
            name: if execute { program.to_str().unwrap().into() } else { b"[stack]".to_vec() },
            deleted: false,
        }
    };
    let base = Addr(stopped.base);
    let mappings = Mappings::new(vec![pages(base, code.len(), true), pages(sp, stack.len(), false)]);
    let ranges = [(base, code.len(), 0), (sp, stack.len(), code.len())];
    let memory = CapturedMemory::new([code, stack].concat(), ranges);
    (FrozenProcess::new(ProcessInfo::new(ProcessId(1), arch), Vec::new(), memory, mappings), registers)
}

fn pcs(stack: &prospect_stack::Stack) -> Vec<u64> {
    stack.frames.iter().map(|frame| frame.code.addr().0).collect()
}

#[test]
fn call_frame_information_leads_to_the_outermost_frame() {
    for stopped in &STOPPED {
        let name = stopped.arch.info().name;
        let (process, registers) = load(stopped);
        let binaries = Binaries::new(SearchOptions::default());
        let context = StepContext::new(&process, &binaries);
        let stack = Walker::new(stopped.arch).walk(&registers, &context);
        assert_eq!(
            (pcs(&stack), &stack.end),
            (stopped.frames.to_vec(), &StackEnd::Outermost),
            "{name}: {:x?}",
            pcs(&stack)
        );
        assert!(stack.frames[1..].iter().all(|frame| frame.trust == Trust::CallFrameInfo), "{name}");
    }
}

#[test]
fn frame_chains_and_the_link_register_lead_there_too() {
    for stopped in STOPPED.iter().filter(|stopped| stopped.has_chain) {
        let name = stopped.arch.info().name;
        let (process, registers) = load(stopped);
        let binaries = Binaries::new(SearchOptions::default());
        let context = StepContext::new(&process, &binaries);
        let steppers =
            StepperGroup::new().then(LinkRegisterStepper::default()).then(FramePointerStepper::default());
        let stack = Walker::with_steppers(steppers).explain(true).walk(&registers, &context);
        assert_eq!(pcs(&stack), stopped.frames, "{name}: {:x?} {:?}", pcs(&stack), stack.explanations.get(1));
        assert_eq!(stack.frames[1].found_by, "link register", "{name}");
        assert!(stack.frames[2..].iter().all(|frame| frame.trust == Trust::FramePointer), "{name}");
    }
}

#[test]
fn return_addresses_alone_are_the_same() {
    let mut complete = 0;
    for stopped in &STOPPED {
        let name = stopped.arch.info().name;
        let (process, registers) = load(stopped);
        let binaries = Binaries::new(SearchOptions::default());
        let context = StepContext::new(&process, &binaries);
        let from = StackPosition::of(&registers).unwrap();
        let mut into = [CodeAddress::Exact(Addr(0)); 20];
        let walked = walk(&from, BinaryRules::new(&context), context.memory, &mut [], &mut into);
        let found: Vec<u64> = into[..walked.count].iter().map(|code| code.addr().0).collect();
        assert_eq!(found, stopped.frames[..found.len()], "{name}: {walked:?}");
        assert_eq!(walked.is_complete(), found.len() == stopped.frames.len(), "{name}: {walked:?}");
        println!("{name}: {walked:?}");
        complete += usize::from(walked.is_complete());
    }
    assert_eq!(complete, STOPPED.len());
}

#[test]
fn other_unwind_tables_and_signed_return_addresses_lead_to_the_outermost_frame() {
    for (name, stopped) in &VARIANTS {
        let (process, registers) = load_as(name, stopped);
        let binaries = Binaries::new(SearchOptions::default());
        let context = StepContext::new(&process, &binaries);
        let steppers = || StepperGroup::new().then(CfiStepper::default());
        let stack = Walker::with_steppers(steppers()).walk(&registers, &context);
        assert_eq!(
            (pcs(&stack), &stack.end),
            (stopped.frames.to_vec(), &StackEnd::Outermost),
            "{name}: {:x?}",
            pcs(&stack)
        );
        assert!(stack.frames[1..].iter().all(|frame| frame.trust == Trust::CallFrameInfo), "{name}");
    }
}

/// The words that were saved do hold other bits than those of the return addresses. `bottom` has taken them off
/// again before it crashes.
#[test]
fn return_addresses_of_aarch64_are_signed() {
    for (name, stopped) in VARIANTS.iter().filter(|(_, stopped)| stopped.arch == Arch::Aarch64) {
        let (_, registers) = load_as(name, stopped);
        assert_eq!(registers.get(stopped.arch.info().link.unwrap()), Some(stopped.frames[1]), "{name}");
        let stack = fs::read(path(name, "stack")).unwrap();
        let words = || stack.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap()));
        for to in &stopped.frames[2..] {
            let saved: Vec<u64> = words().filter(|word| word & 0xffff_ffff_ffff == *to).collect();
            assert!(!saved.is_empty() && saved.iter().all(|word| word >> 48 != 0), "{name}: {saved:x?}");
        }
    }
}
