use prospect_process::{Addr, Arch};

use super::*;
use crate::{
    StackEnd, StepperGroup,
    steppers::FramePointerStepper,
    testing::{ALTERNATE, STACK, Scene, TEXT, get, pcs, registers},
};

const TRAMPOLINE: u64 = TEXT + 0x200;
const INTERRUPTED: u64 = TEXT + 0x333;

fn steppers() -> StepperGroup {
    StepperGroup::new().then(SignalStepper::default()).then(FramePointerStepper::default())
}

/// A signal frame with values that can be told apart: (register, offset of its slot from sp of the
/// trampoline, value).
fn saved(arch: Arch, start: u64) -> Vec<(&'static str, u64, u64)> {
    let wide =
        ["r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rdi", "rsi", "rbp", "rbx", "rdx", "rax"];
    let narrow = ["edi", "esi", "ebp", "esp", "ebx", "edx", "ecx", "eax"];
    let (names, first, width) = match arch {
        Arch::X86_64 => (&wide[..], start, 8),
        _ => (&narrow[..], start + 16, 4),
    };
    let slot = |index: usize| first + index as u64 * width;
    let mut saved: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(index, name)| (*name, slot(index), 0x1111_0000 + index as u64))
        .collect();
    match arch {
        Arch::X86_64 => saved.extend([("rcx", start + 112, 5), ("rsp", start + 120, STACK + 0x800)]),
        _ => saved.retain(|(name, ..)| *name != "esp"),
    }
    match arch {
        Arch::X86_64 => saved.extend([("rip", start + 128, INTERRUPTED), ("eflags", start + 136, 0x246)]),
        _ => saved.extend([
            ("esp", start + 28, STACK + 0x800),
            ("eip", start + 56, INTERRUPTED),
            ("eflags", start + 64, 0x246),
        ]),
    }
    saved
}

/// A handler with a frame pointer on the other stack has been called by the kernel.
fn check(arch: Arch, code: &[u8], saved_at: u64) {
    let word = u64::from(arch.info().word_bytes);
    let (handler_fp, frame) = (ALTERNATE + 0x100, ALTERNATE + 0x100 + word);
    let trampoline_sp = frame + word;
    let mut scene = Scene::new(arch);
    scene.bytes(TRAMPOLINE, code);
    scene.word(handler_fp, 0).word(frame, TRAMPOLINE);
    let saved = saved(arch, trampoline_sp + saved_at);
    for (_, at, value) in &saved {
        scene.word(*at, *value);
    }
    let name = |id| arch.info().register(id).name;
    let info = arch.info();
    let start = registers(
        arch,
        &[(name(info.pc), TEXT), (name(info.sp), ALTERNATE + 0x80), (name(info.fp), handler_fp)],
    );
    let stack = scene.walk(steppers(), &start);
    assert_eq!(pcs(&stack), [TEXT, TRAMPOLINE, INTERRUPTED], "{:?}", stack.end);
    let frame = &stack.frames[2];
    assert_eq!(frame.code, CodeAddress::Exact(Addr(INTERRUPTED)));
    assert_eq!((frame.found_by, frame.trust), ("signal trampoline", Trust::SignalFrame));
    assert_eq!(stack.frames[1].cfa, Some(Addr(STACK + 0x800)));
    for (name, _, value) in saved {
        assert_eq!(get(&frame.registers, name), Some(value), "{name}");
    }
    assert_ne!(stack.end, StackEnd::Outermost);
}

#[test]
fn x86_64_handlers_return_to_what_they_interrupted() {
    check(Arch::X86_64, &[0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05], 40);
    check(Arch::X86_64, &[0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05], 40);
}

#[test]
fn i386_handlers_return_to_what_they_interrupted() {
    check(Arch::I386, &[0x58, 0xb8, 0x77, 0, 0, 0, 0xcd, 0x80], 4);
    check(Arch::I386, &[0xb8, 0xad, 0, 0, 0, 0xcd, 0x80], 160);
}

#[test]
fn a_thread_may_be_in_the_middle_of_a_trampoline() {
    for (arch, code, done, saved_at) in [
        (Arch::X86_64, &[0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05][..], 7, 40),
        (Arch::I386, &[0x58, 0xb8, 0x77, 0, 0, 0, 0xcd, 0x80], 1, 0),
        (Arch::I386, &[0x58, 0xb8, 0x77, 0, 0, 0, 0xcd, 0x80], 6, 0),
        (Arch::I386, &[0xb8, 0xad, 0, 0, 0, 0xcd, 0x80], 5, 160),
    ] {
        let info = arch.info();
        let name = |id| info.register(id).name;
        let mut scene = Scene::new(arch);
        scene.bytes(TRAMPOLINE, code);
        for (_, at, value) in saved(arch, ALTERNATE + saved_at) {
            scene.word(at, value);
        }
        let start = registers(arch, &[(name(info.pc), TRAMPOLINE + done), (name(info.sp), ALTERNATE)]);
        let stack = scene.walk(steppers(), &start);
        assert_eq!(pcs(&stack)[..], [TRAMPOLINE + done, INTERRUPTED], "{arch:?} {done}");
        assert_eq!(stack.frames[1].registers.sp(), Some(Addr(STACK + 0x800)));
    }
}

#[test]
fn nothing_returns_into_the_middle_of_a_trampoline() {
    let mut scene = Scene::new(Arch::X86_64);
    scene.bytes(TRAMPOLINE, &[0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05]);
    let start = registers(Arch::X86_64, &[("rip", TRAMPOLINE + 7), ("rsp", ALTERNATE)]);
    scene.with_context(|context| {
        let mut stepper = SignalStepper::default();
        let mut frame = Frame {
            code: CodeAddress::Exact(Addr(TRAMPOLINE + 7)),
            registers: start.into(),
            cfa: None,
            found_by: "registers",
            trust: Trust::Given,
        };
        assert!(matches!(stepper.step(&frame, context), Ok(Step::Caller(_))));
        frame.code = CodeAddress::ReturnAddress(Addr(TRAMPOLINE + 7));
        assert!(matches!(stepper.step(&frame, context), Ok(Step::NotMine(_))));
    });
}

#[test]
fn a_signal_frame_that_cannot_be_read_is_an_error() {
    let mut scene = Scene::new(Arch::X86_64);
    scene.bytes(TRAMPOLINE, &[0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05]);
    let end = STACK + crate::testing::BYTES;
    let start = registers(Arch::X86_64, &[("rip", TRAMPOLINE), ("rsp", end - 100)]);
    let stack = scene.walk(StepperGroup::new().then(SignalStepper::default()), &start);
    let StackEnd::Error { error: StepError::Memory(error), .. } = stack.end else {
        panic!("{:?}", stack.end)
    };
    assert_eq!(error.at, Addr(end));
}
