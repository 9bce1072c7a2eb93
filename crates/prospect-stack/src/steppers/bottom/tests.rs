use prospect_process::{Arch, Registers};

use super::*;
use crate::{
    StackEnd, StepperGroup,
    testing::{STACK, Scene, TEXT, registers},
};

/// Whether a thread's first function may be called by code: what lies before the return address, and behind.
fn is_start(arch: Arch, before: &[u8], at: &[u8]) -> bool {
    let info = arch.info();
    let mut scene = Scene::new(arch);
    scene.bytes(TEXT + 0x100 - before.len() as u64, before).bytes(TEXT + 0x100, at);
    let mut start: Registers =
        registers(arch, &[(info.register(info.pc).name, TEXT + 0x100), (info.register(info.sp).name, STACK)]);
    if let Some(link) = info.link {
        start.set(link, 0);
    }
    let mut frame = Frame::innermost(&start).unwrap();
    let ends = |frame: &Frame| {
        scene.with_context(|context| {
            let group = StepperGroup::new().then(BottomStepper::default());
            crate::Walker::with_steppers(group).walk_from(frame.clone(), context).end == StackEnd::Outermost
        })
    };
    // In the thread that makes another, the same code runs on.
    assert!(!ends(&frame));
    frame.set_code(CodeAddress::ReturnAddress(Addr(TEXT + 0x100)));
    ends(&frame)
}

// As objdump disassembles musl's `__clone` and Go's `runtime.goexit`.
const CLONE: &[u8] = &[0x0f, 0x05, 0x85, 0xc0, 0x75, 0x0e, 0x31, 0xed, 0x5f, 0x41, 0xff, 0xd1];
const EXIT: &[u8] = &[0x89, 0xc7, 0x31, 0xc0, 0xb0, 0x3c, 0x0f, 0x05, 0xf4, 0xc3];
const GOEXIT: &[u8] = &[0xe8, 0x7a, 0x24, 0, 0, 0x90, 0xcc, 0xcc];

#[test]
fn the_calls_by_which_threads_start_are_known() {
    assert!(is_start(Arch::X86_64, CLONE, EXIT));
    assert!(is_start(Arch::X86_64, &[0xcc, 0x90], GOEXIT));
    let go_exit: &[u8] = &[0xbf, 0x6f, 0, 0, 0, 0xb8, 0x3c, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf2];
    assert!(is_start(Arch::X86_64, &[0x41, 0xff, 0xd4], go_exit));
    // Nobody calls it, and it exits once.
    assert!(!is_start(Arch::X86_64, &[0x90, 0x90, 0x90], go_exit));
    assert!(!is_start(Arch::X86_64, &[0x41, 0xff, 0xd4], &go_exit[..12]));
    let clone_32: &[u8] = &[0xcd, 0x80, 0x85, 0xc0, 0x75, 0x0b, 0x89, 0xe8, 0x31, 0xed, 0xff, 0xd0];
    assert!(is_start(Arch::I386, clone_32, &[0x89, 0xc3, 0x31, 0xc0, 0x40, 0xcd, 0x80, 0xf4]));
    let clone_arm: &[u8] = &[0x1d, 0, 0x80, 0xd2, 0xe1, 0x03, 0xc1, 0xa8, 0x20, 0, 0x3f, 0xd6];
    assert!(is_start(Arch::Aarch64, clone_arm, &[0xa8, 0x0b, 0x80, 0xd2, 0x01, 0, 0, 0xd4]));
}

#[test]
fn code_that_is_only_like_that_ends_no_stack() {
    for index in 0..CLONE.len() {
        // The jump may have any length.
        let mut other = CLONE.to_vec();
        other[index] ^= 2;
        assert_eq!(is_start(Arch::X86_64, &other, EXIT), index == 5, "{index}");
    }
    for index in 0..8 {
        let mut other = EXIT.to_vec();
        other[index] ^= 2;
        assert!(!is_start(Arch::X86_64, CLONE, &other), "{index}");
    }
    // A call whose last byte is that of a `nop`, and a `nop` before any other call.
    assert!(!is_start(Arch::X86_64, &[0xe8, 0, 0, 0, 0x90], GOEXIT));
    assert!(!is_start(Arch::X86_64, &[0xcc, 0x90], &[0xe8, 0x7a, 0x24, 0, 0, 0x48, 0x89]));
}

#[test]
fn code_runs_straight_to_its_first_call_or_to_the_program() {
    let (patterns, loader): (_, &[u8]) = (
        arch::patterns(Arch::X86_64).unwrap(),
        // mov %rsp, %rdi; call; mov %rax, %r12; call; jmp *%r12
        &[0x48, 0x89, 0xe7, 0xe8, 0, 1, 0, 0, 0x49, 0x89, 0xc4, 0xe8, 0, 2, 0, 0, 0x41, 0xff, 0xe4],
    );
    assert_eq!((patterns.flow)(&loader[16..]), Some((3, Flow::Away)));
    let inside = |code: &[u8], at: CodeAddress| {
        let mut scene = Scene::new(Arch::X86_64);
        scene.bytes(TEXT, code);
        scene.with_context(|context| is_in_straight_run(at, Addr(TEXT), context))
    };
    let exact = |offset| CodeAddress::Exact(Addr(TEXT + offset));
    let call = |offset| CodeAddress::ReturnAddress(Addr(TEXT + offset));
    for at in [exact(0), exact(3), call(8), exact(8), exact(11), call(16), exact(16)] {
        assert!(inside(loader, at), "{at:?}");
    }
    for at in [exact(1), call(3), call(11), exact(19), call(19)] {
        assert!(!inside(loader, at), "{at:?}");
    }
    // Behind the first call of a program there may be another function.
    let program = [&loader[..16], &[0xc3]].concat();
    assert!(inside(&program, call(8)) && inside(&program, exact(3)));
    assert!(!inside(&program, exact(8)) && !inside(&program, call(16)));
    // A branch ends the run.
    let branch = [&[0x74, 0x01], loader].concat();
    assert!(!inside(&branch, call(10)));
    let arm = arch::patterns(Arch::Aarch64).unwrap();
    let flow = |word: u32| (arm.flow)(&word.to_le_bytes()).unwrap().1;
    assert_eq!([0xd280_001d, 0x9400_0010, 0xd61f_0200].map(flow), [Flow::Next, Flow::Call, Flow::Away]);
    // b, b.eq, cbz, tbnz.
    let branches = [0x1400_0001, 0x5400_0040, 0xb4ff_ffe1, 0x3700_0041].map(flow);
    assert_eq!(branches, [Flow::Jump(4), Flow::Branch(8), Flow::Branch(-4), Flow::Branch(8)]);
    // ret, and what is no instruction.
    assert_eq!([0xd65f_03c0, 0].map(flow), [Flow::End; 2]);
}
