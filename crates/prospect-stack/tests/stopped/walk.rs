//! Walking a stopped program, and holding the stack against the expected one and gdb's.

use prospect_process::{Addr, Arch};
use prospect_stack::{
    Frame, Stack, StepContext, StepperGroup, Trust, Walker,
    steppers::{AnalysisStepper, CfiStepper, FramePointerStepper, LinkRegisterStepper, SignalStepper},
};
use prospect_symbols::{Binaries, ResolvedAddress, SearchOptions, Symbolizer};

use crate::load::Stopped;

/// Which steppers are asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Steppers {
    /// Those of [`StepperGroup::standard`].
    Standard,
    /// The link register, and frame pointers or the back chain.
    Chain,
    /// The same, and signal frames.
    SignalChain,
    /// Call frame information alone.
    Cfi,
    /// What the code does to the stack, and signal frames.
    Analysis,
}

/// Holds the stacks of a program, at a stop, against the expected ones: a line for each frame, with the function, the
/// address, the canonical frame address, who found it and how far it is trusted; and why it ends.
pub(crate) fn check(case: &str, stop: &str, steppers: Steppers, expected: &[(Arch, &[&str])]) {
    for (arch, expected) in expected {
        let stopped = Stopped::load(case, stop, *arch);
        let stack = walk(&stopped, steppers);
        assert_eq!(lines(&stopped, &stack), *expected, "{case} {stop} {arch:?} {:?}", stack.end);
        if steppers == Steppers::Standard {
            compare_with_gdb(case, &stopped, &stack);
        }
    }
}

pub(crate) fn walk(stopped: &Stopped, steppers: Steppers) -> Stack {
    let arch = stopped.registers.arch();
    let binaries = Binaries::new(SearchOptions::default());
    let context = StepContext::new(&stopped.process, &binaries);
    let group = match steppers {
        Steppers::Standard => StepperGroup::standard(arch),
        Steppers::Chain => {
            StepperGroup::new().then(LinkRegisterStepper::default()).then(FramePointerStepper::default())
        }
        Steppers::SignalChain => StepperGroup::new()
            .then(SignalStepper::default())
            .then(LinkRegisterStepper::default())
            .then(FramePointerStepper::default()),
        Steppers::Cfi => StepperGroup::new().then(CfiStepper::default()),
        Steppers::Analysis => {
            StepperGroup::new().then(SignalStepper::default()).then(AnalysisStepper::default())
        }
    };
    Walker::with_steppers(group).walk(&stopped.registers, &context)
}

/// The functions that addresses lie in; `?` where they are in none.
pub(crate) fn functions(stopped: &Stopped, addresses: &[Addr]) -> Vec<String> {
    let binaries = Binaries::new(SearchOptions::default());
    let resolved = Symbolizer::new(&stopped.process, &binaries).resolve(addresses);
    let name = |found: ResolvedAddress| found.frames.into_iter().find_map(|frame| frame.function);
    resolved.into_iter().map(|found| name(found).unwrap_or_else(|| "?".to_owned())).collect()
}

fn lines(stopped: &Stopped, stack: &Stack) -> Vec<String> {
    let addresses: Vec<Addr> = stack.frames.iter().map(Frame::for_lookup).collect();
    let names = functions(stopped, &addresses);
    let frames = stack.frames.iter().zip(names).map(|(frame, name)| {
        let cfa = frame.cfa.map_or("-".to_owned(), |cfa| format!("{:#x}", cfa.0));
        format!("{name} {:#x} {cfa} {} {:?}", frame.code.addr().0, frame.found_by, frame.trust)
    });
    frames.chain([stack.end.as_str().to_owned()]).collect()
}

/// Where gdb 13 is at its wits' end: the programs, the architecture, how many frames it finds, and why no more.
const LOST: &[(&[&str], Arch, usize, &str)] = &[
    (&["chain"], Arch::X86_64, 2, "guesses at the frame of a function without call frame information"),
    (&["chain"], Arch::Aarch64, 9, "does not see that the outermost frame is the last"),
    (&["chain"], Arch::Riscv64, 2, "guesses at the frame of a function without call frame information"),
    (&["chain"], Arch::S390x, 4, "finds a frame twice"),
    (
        &["signed", "signed_leaf", "signed_b_key", "sframe"],
        Arch::Aarch64,
        2,
        "QEMU does not tell it which bits of an address are a signature",
    ),
    (&["tables", "thumb_tables"], Arch::Arm, 9, "does not see that the outermost frame is the last"),
    (&["guarded"], Arch::Arm, 4, "does not follow what was saved of floating point registers"),
    (&["thumb_guarded"], Arch::Arm, 10, "does not see that the outermost frame is the last"),
    (SIGNALS, Arch::X86_64, 4, "QEMU does not tell it that the registers are those of Linux"),
    (SIGNALS, Arch::I386, 4, "QEMU does not tell it that the registers are those of Linux"),
    (SIGNALS, Arch::Arm, 4, "does not know the trampoline, which has the old ABI's numbers"),
    (SIGNALS, Arch::Ppc64le, 4, "does not know the trampoline, which is QEMU's"),
    (SIGNALS, Arch::Ppc64, 4, "does not know the trampoline, which is QEMU's"),
    (&["signal", "altstack"], Arch::S390x, 3, "expects the trampoline on the stack"),
];
const SIGNALS: &[&str] = &["signal", "altstack", "plain", "chained_signal", "thumb_signal", "thumb_plain"];

fn compare_with_gdb(case: &str, stopped: &Stopped, stack: &Stack) {
    let arch = stopped.registers.arch();
    let ours: Vec<(u64, u64)> =
        stack.frames.iter().map(|frame| (frame.code.addr().0, frame.registers.sp().unwrap().0)).collect();
    let gdb: Vec<(u64, u64)> = stopped.gdb.iter().map(|frame| (frame.pc, frame.sp)).collect();
    let lost = LOST.iter().find(|(cases, lost, ..)| cases.contains(&case) && *lost == arch);
    let agreed = match lost {
        Some((_, _, found, why)) => {
            assert_ne!(ours, gdb, "{case} {arch:?}: gdb no longer {why}");
            *found
        }
        None => ours.len().max(gdb.len()),
    };
    assert_eq!(ours[..agreed.min(ours.len())], gdb[..agreed.min(gdb.len())], "{case} {arch:?}");
    let info = arch.info();
    // Without call frame information, gdb does not know what was saved where.
    let known = stack.frames.iter().take_while(|frame| frame.trust >= Trust::CallFrameInfo);
    for (index, (ours, gdb)) in known.zip(&stopped.gdb).take(agreed).enumerate() {
        for id in info.preserved().filter(|id| *id != info.sp) {
            if let (Some(value), Some(theirs)) = (ours.registers.get(id), gdb.registers.get(id)) {
                assert_eq!(value, theirs, "{case} {arch:?} frame {index} {}", info.register(id).name);
            }
        }
    }
}
