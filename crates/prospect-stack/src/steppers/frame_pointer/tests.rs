use prospect_process::Arch;

use super::*;
use crate::{
    StackEnd, StepperGroup,
    testing::{BYTES, STACK, Scene, TEXT, get, pcs, registers},
};

fn steppers() -> StepperGroup {
    StepperGroup::new().then(FramePointerStepper::default())
}

/// Two frames above the innermost one, whose frame pointer is `STACK + 0x40`.
fn scene(arch: Arch) -> Scene {
    let word = u64::from(arch.info().word_bytes);
    let mut scene = Scene::new(arch);
    scene.call_before(TEXT + 0x100).call_before(TEXT + 0x200).call_before(TEXT + 0x300);
    scene.word(STACK + 0x40, STACK + 0x80).word(STACK + 0x40 + word, TEXT + 0x100);
    scene.word(STACK + 0x80, 0).word(STACK + 0x80 + word, TEXT + 0x200);
    scene
}

#[test]
fn a_chain_of_frame_pointers_is_followed_to_its_end() {
    for (arch, names) in
        [(Arch::X86_64, ["rip", "rsp", "rbp", "rbx"]), (Arch::I386, ["eip", "esp", "ebp", "ebx"])]
    {
        let [pc, sp, fp, rbx] = names;
        let start = registers(arch, &[(pc, TEXT), (sp, STACK + 0x20), (fp, STACK + 0x40), (rbx, 1)]);
        let stack = scene(arch).walk(steppers(), &start);
        assert_eq!((pcs(&stack), stack.end), (vec![TEXT, TEXT + 0x100, TEXT + 0x200], StackEnd::Outermost));
        let word = u64::from(arch.info().word_bytes);
        assert_eq!(get(&stack.frames[1].registers, sp), Some(STACK + 0x40 + 2 * word));
        assert_eq!(get(&stack.frames[1].registers, fp), Some(STACK + 0x80));
        assert_eq!(get(&stack.frames[1].registers, rbx), None);
        assert_eq!(stack.frames[0].cfa, Some(Addr(STACK + 0x40 + 2 * word)));
        assert_eq!((stack.frames[1].found_by, stack.frames[1].trust), ("frame pointer", Trust::FramePointer));
    }
}

#[test]
fn no_caller_is_skipped_before_the_frame_is_set_up_or_after_it_is_gone() {
    // At each of these instructions fp is still, or again, the caller's: (code, its offset, words below the
    // return address).
    let prologue: &[u8] = &[0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0x48, 0x89, 0xe5, 0x53];
    for (code, done, pushed) in
        [(prologue, 0, 0), (prologue, 4, 0), (prologue, 5, 1), (&[0x5d, 0xc3], 0, 1), (&[0x5d, 0xc3], 1, 0)]
    {
        let mut scene = scene(Arch::X86_64);
        scene.bytes(TEXT, code);
        let sp = STACK + 0x20;
        scene.word(sp, STACK + 0x40).word(sp + 8 * pushed, TEXT + 0x300);
        let start = registers(
            Arch::X86_64,
            &[("rip", TEXT + done), ("rsp", sp), ("rbp", STACK + 0x40), ("rbx", 3), ("rax", 4)],
        );
        let stack = scene.walk(steppers(), &start);
        let expected = vec![TEXT + done, TEXT + 0x300, TEXT + 0x100, TEXT + 0x200];
        assert_eq!((pcs(&stack), stack.end), (expected, StackEnd::Outermost), "{done} {pushed}");
        let caller = &stack.frames[1].registers;
        assert_eq!((get(caller, "rsp"), get(caller, "rbp")), (Some(sp + 8 * pushed + 8), Some(STACK + 0x40)));
        assert_eq!((get(caller, "rbx"), get(caller, "rax")), (Some(3), None));
    }
}

#[test]
fn what_is_no_frame_pointer_is_not_followed() {
    let walk = |fp| {
        let start = registers(Arch::X86_64, &[("rip", TEXT), ("rsp", STACK + 0x20), ("rbp", fp)]);
        scene(Arch::X86_64).walk(steppers(), &start)
    };
    assert_eq!(walk(STACK + 0x40).frames.len(), 3);
    for wrong in [0, 1, STACK + 0x18, STACK + 0x41, STACK + BYTES - 8, STACK + BYTES, TEXT, u64::MAX] {
        let stack = walk(wrong);
        assert_eq!((stack.frames.len(), stack.end.as_str()), (1, "no-stepper"), "{wrong:#x}");
    }
}

#[test]
fn a_return_address_that_no_call_left_is_not_believed() {
    let mut scene = scene(Arch::X86_64);
    scene.word(STACK + 0x48, TEXT + 0x101).word(STACK + 0x88, 1);
    let start = registers(Arch::X86_64, &[("rip", TEXT), ("rsp", STACK + 0x20), ("rbp", STACK + 0x40)]);
    let stack = scene.walk(steppers(), &start);
    assert_eq!(stack.frames.len(), 1);
    assert!(stack.end.to_string().contains("no call ends"), "{}", stack.end);
    // A return address of 0 is the mark of the outermost frame where a chain ends, and not elsewhere.
    scene.word(STACK + 0x48, 0);
    assert_eq!(scene.walk(steppers(), &start).end.as_str(), "no-stepper");
    scene.word(STACK + 0x48, TEXT + 0x100).word(STACK + 0x80, STACK + 0xc0).word(STACK + 0x88, 0);
    let stack = scene.walk(steppers(), &start);
    assert_eq!((stack.frames.len(), stack.end), (2, StackEnd::Outermost));
}

#[test]
fn code_made_at_run_time_may_push_return_addresses() {
    let mut scene = scene(Arch::X86_64);
    scene.word(STACK + 0x40, STACK + 0x80).word(STACK + 0x48, TEXT + 0x150);
    scene.word(STACK + 0x80, STACK + 0xc0).word(STACK + 0x88, TEXT + 0x150);
    scene.word(STACK + 0xc0, 0).word(STACK + 0xc8, TEXT + 0x200);
    let start =
        registers(Arch::X86_64, &[("rip", TEXT + 0x180), ("rsp", STACK + 0x20), ("rbp", STACK + 0x40)]);
    let stack = scene.walk(steppers(), &start);
    let expected = vec![TEXT + 0x180, TEXT + 0x150, TEXT + 0x150, TEXT + 0x200];
    assert_eq!((pcs(&stack), stack.end), (expected, StackEnd::Outermost));
    // A chain that does not lead on.
    for (at, wrong) in [(0x88, 1), (0x88, STACK), (0x80, STACK + 0x70), (0x80, 0)] {
        let good = if at == 0x88 { TEXT + 0x150 } else { STACK + 0xc0 };
        scene.word(STACK + at, wrong);
        assert_eq!(pcs(&scene.walk(steppers(), &start)), [TEXT + 0x180], "{wrong:#x} at {at:#x}");
        scene.word(STACK + at, good);
    }
}

#[test]
fn a_helper_of_the_users_own_says_what_frame_the_code_has() {
    let sp = STACK + 0x20;
    let start =
        registers(Arch::X86_64, &[("rip", TEXT + 0x50), ("rsp", sp), ("rbp", STACK + 0x40), ("rbx", 3)]);
    let walk = |kind, progress| {
        let mut scene = scene(Arch::X86_64);
        // It calls where pc is.
        scene.bytes(TEXT + 0x300 - 4, &(-0x2b0i32).to_le_bytes()).bytes(TEXT + 0x50, &[0x90, 0xc3]);
        let word = if progress == FrameProgress::HalfSet { sp + 8 } else { sp };
        scene.word(sp, STACK + 0x40).word(word, TEXT + 0x300);
        let helper = move |pc: Addr, _: &StepContext<'_>| match pc {
            pc if pc == Addr(TEXT + 0x50) => FrameState { kind, progress },
            _ => FrameState { kind: FrameKind::Standard, progress: FrameProgress::Set },
        };
        pcs(&scene.walk(StepperGroup::new().then(FramePointerStepper::with_helper(helper)), &start))
    };
    let chain = [TEXT + 0x50, TEXT + 0x100, TEXT + 0x200];
    let all = [TEXT + 0x50, TEXT + 0x300, TEXT + 0x100, TEXT + 0x200];
    assert_eq!(walk(FrameKind::Standard, FrameProgress::Set), chain);
    assert_eq!(walk(FrameKind::Unknown, FrameProgress::Unknown), chain);
    assert_eq!(walk(FrameKind::Standard, FrameProgress::Unset), all);
    assert_eq!(walk(FrameKind::Standard, FrameProgress::HalfSet), all);
    assert_eq!(walk(FrameKind::None, FrameProgress::Unset), all);
    assert_eq!(walk(FrameKind::SavedFpOnly, FrameProgress::Unset), all);
    // The register has something else, or it cannot be known how far sp was moved.
    assert_eq!(walk(FrameKind::SavedFpOnly, FrameProgress::Set), [TEXT + 0x50]);
}

#[test]
fn the_caller_of_a_function_without_a_frame_is_not_skipped() {
    let mut scene = scene(Arch::X86_64);
    // It has been called, it calls, and its frame pointer is its caller's.
    scene.word(STACK + 0x20, TEXT + 0x300);
    let start =
        registers(Arch::X86_64, &[("rip", TEXT + 0x50), ("rsp", STACK + 0x20), ("rbp", STACK + 0x40)]);
    let helper =
        |_: Addr, _: &StepContext<'_>| FrameState { kind: FrameKind::None, progress: FrameProgress::Unset };
    let stack = scene.walk(StepperGroup::new().then(FramePointerStepper::with_helper(helper)), &start);
    assert_eq!((stack.frames.len(), stack.end.as_str()), (1, "no-stepper"));
    assert!(stack.end.to_string().contains("sp does not point to the return address"), "{}", stack.end);
}
