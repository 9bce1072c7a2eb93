use prospect_process::{Arch, CapturedMemory, FrozenProcess, Process, Registers};

use super::*;
use crate::{
    StackEnd, StepperGroup,
    testing::{STACK, Scene, TEXT, get, pcs, registers},
};

fn steppers() -> StepperGroup {
    StepperGroup::new().then(ScanStepper::default())
}

/// A call that ends at `end` and leads to `target`.
fn call(scene: &mut Scene, end: u64, target: u64) {
    let offset = (target as i64 - end as i64) as i32;
    scene.bytes(end - 5, &[0xe8]).bytes(end - 4, &offset.to_le_bytes());
}

/// Code with `FUNCTION` in it, and `PC` in that; the rest ends at once.
fn scene(arch: Arch) -> Scene {
    let mut scene = Scene::new(arch);
    scene.bytes(FUNCTION, &[0x90; 0x20]).bytes(FUNCTION + 0x20, &[0xc3]);
    scene
}

const PC: u64 = TEXT + 0x1010;
const FUNCTION: u64 = TEXT + 0x1000;

fn start(arch: Arch, fp: u64) -> Registers {
    let names = if arch == Arch::X86_64 { ["rip", "rsp", "rbp"] } else { ["eip", "esp", "ebp"] };
    registers(arch, &[(names[0], PC), (names[1], STACK + 0x100), (names[2], fp)])
}

#[test]
fn the_first_return_address_whose_call_led_here_is_the_caller() {
    for arch in [Arch::X86_64, Arch::I386] {
        let mut scene = scene(arch);
        // Left behind by a call of something else, not a return address at all, and the right one.
        call(&mut scene, TEXT + 0x200, TEXT + 0x3000);
        call(&mut scene, TEXT + 0x300, FUNCTION);
        scene.word(STACK + 0x100, TEXT + 0x200).word(STACK + 0x108, TEXT + 0x205);
        scene.word(STACK + 0x110, TEXT + 0x300);
        let stack = scene.walk(steppers(), &start(arch, 1));
        assert_eq!(pcs(&stack), [PC, TEXT + 0x300]);
        let caller = &stack.frames[1];
        assert_eq!((caller.found_by, caller.trust), ("stack scan", Trust::ScannedCall));
        assert_eq!(caller.registers.sp(), Some(Addr(STACK + 0x110 + u64::from(arch.info().word_bytes))));
        assert_eq!(caller.registers.fp(), None);
        assert_eq!(stack.end.as_str(), "no-stepper");
    }
}

#[test]
fn calls_lead_through_linkage_tables_and_jumps() {
    let mut scene = scene(Arch::X86_64);
    let (plt, got, thunk) = (TEXT + 0x2000, STACK + 0x2000, TEXT + 0x2800);
    call(&mut scene, TEXT + 0x200, plt);
    let offset = (got as i64 - (plt as i64 + 10)) as i32;
    scene.bytes(plt, &[0xf3, 0x0f, 0x1e, 0xfa, 0xff, 0x25]).bytes(plt + 6, &offset.to_le_bytes());
    scene.word(got, thunk);
    let offset = (FUNCTION as i64 - (thunk as i64 + 5)) as i32;
    scene.bytes(thunk, &[0xe9]).bytes(thunk + 1, &offset.to_le_bytes());
    scene.word(STACK + 0x120, TEXT + 0x200);
    assert_eq!(pcs(&scene.walk(steppers(), &start(Arch::X86_64, 1))), [PC, TEXT + 0x200]);
    scene.word(got, TEXT + 0x3000);
    assert_eq!(pcs(&scene.walk(steppers(), &start(Arch::X86_64, 1))), [PC]);
}

#[test]
fn a_proved_call_counts_more_than_one_that_is_only_possible() {
    let mut scene = scene(Arch::X86_64);
    scene.bytes(TEXT + 0x1fe, &[0xff, 0xd3]).word(STACK + 0x118, TEXT + 0x200);
    call(&mut scene, TEXT + 0x300, FUNCTION);
    let caller = |scene: &Scene| {
        let stack = scene.walk(steppers(), &start(Arch::X86_64, 1));
        (pcs(&stack)[1], stack.frames[1].trust)
    };
    // As far away as is looked.
    scene.word(STACK + 0x118 + 8 * LOOK_AHEAD, TEXT + 0x300);
    assert_eq!(caller(&scene), (TEXT + 0x300, Trust::ScannedCall));
    // A word further.
    scene.word(STACK + 0x118 + 8 * LOOK_AHEAD, 0).word(STACK + 0x120 + 8 * LOOK_AHEAD, TEXT + 0x300);
    assert_eq!(caller(&scene), (TEXT + 0x200, Trust::Scanned));
}

#[test]
fn a_call_leads_through_a_function_that_ends_with_a_jump() {
    let mut scene = scene(Arch::X86_64);
    let thunk = TEXT + 0x2800;
    call(&mut scene, TEXT + 0x200, thunk);
    scene.word(STACK + 0x120, TEXT + 0x200);
    // sub $16, %rdi; jmp FUNCTION
    let jump = (FUNCTION as i64 - (thunk as i64 + 9)) as i32;
    scene.bytes(thunk, &[0x48, 0x83, 0xef, 0x10, 0xe9]).bytes(thunk + 5, &jump.to_le_bytes());
    assert_eq!(pcs(&scene.walk(steppers(), &start(Arch::X86_64, 1))), [PC, TEXT + 0x200]);
    scene.bytes(thunk + 4, &[0xc3]);
    assert_eq!(pcs(&scene.walk(steppers(), &start(Arch::X86_64, 1))), [PC]);
}

#[test]
fn a_call_to_a_function_that_ends_before_pc_led_elsewhere() {
    let mut scene = scene(Arch::X86_64);
    call(&mut scene, TEXT + 0x200, FUNCTION);
    scene.word(STACK + 0x120, TEXT + 0x200).bytes(FUNCTION + 8, &[0xc3]);
    assert_eq!(pcs(&scene.walk(steppers(), &start(Arch::X86_64, 1))), [PC]);
    // Unless a branch leads over its end.
    scene.bytes(FUNCTION + 4, &[0x74, 0x10]);
    let stack = scene.walk(steppers(), &start(Arch::X86_64, 1));
    assert_eq!((pcs(&stack)[1], stack.frames[1].trust), (TEXT + 0x200, Trust::ScannedCall));
    // Where it jumps through a table, nobody knows.
    scene.bytes(FUNCTION + 4, &[0xff, 0xe0]);
    let stack = scene.walk(steppers(), &start(Arch::X86_64, 1));
    assert_eq!((pcs(&stack)[1], stack.frames[1].trust), (TEXT + 0x200, Trust::Scanned));
}

#[test]
fn a_call_through_a_register_is_believed() {
    let mut scene = scene(Arch::X86_64);
    scene.bytes(TEXT + 0x1fe, &[0xff, 0xd3]).word(STACK + 0x118, TEXT + 0x200);
    assert_eq!(pcs(&scene.walk(steppers(), &start(Arch::X86_64, 1))), [PC, TEXT + 0x200]);
}

#[test]
fn a_frame_pointer_is_kept_where_it_leads_on() {
    let mut scene = scene(Arch::X86_64);
    call(&mut scene, TEXT + 0x200, FUNCTION);
    call(&mut scene, TEXT + 0x300, TEXT + 0x3000);
    scene.word(STACK + 0x120, TEXT + 0x200);
    scene.word(STACK + 0x400, 0).word(STACK + 0x408, TEXT + 0x300);
    // Still in its register.
    let stack = scene.walk(steppers(), &start(Arch::X86_64, STACK + 0x400));
    assert_eq!(get(&stack.frames[1].registers, "rbp"), Some(STACK + 0x400));
    // Pushed first by the callee, which uses the register for something else.
    scene.word(STACK + 0x118, STACK + 0x400);
    let stack = scene.walk(steppers(), &start(Arch::X86_64, 5));
    assert_eq!(get(&stack.frames[1].registers, "rbp"), Some(STACK + 0x400));
    // It leads nowhere.
    scene.word(STACK + 0x408, TEXT + 0x301);
    let stack = scene.walk(steppers(), &start(Arch::X86_64, STACK + 0x400));
    assert_eq!(get(&stack.frames[1].registers, "rbp"), None);
}

#[test]
fn an_empty_stack_with_a_frame_pointer_of_0_is_the_outermost() {
    let scene = scene(Arch::X86_64);
    assert_eq!(scene.walk(steppers(), &start(Arch::X86_64, 0)).end, StackEnd::Outermost);
    assert_eq!(scene.walk(steppers(), &start(Arch::X86_64, 7)).end.as_str(), "no-stepper");
}

#[test]
fn a_signal_handler_is_left_by_its_trampoline() {
    let mut scene = scene(Arch::X86_64);
    scene.bytes(TEXT + 0x200, &[0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05]);
    scene.bytes(TEXT + 0x2fe, &[0xff, 0xd3]);
    scene.word(STACK + 0x118, TEXT + 0x200).word(STACK + 0x120, TEXT + 0x300);
    assert_eq!(pcs(&scene.walk(steppers(), &start(Arch::X86_64, 1)))[1], TEXT + 0x200);
}

#[test]
fn a_stack_that_was_not_copied_to_its_end_is_no_outermost_frame() {
    let scene = scene(Arch::X86_64);
    let mut process = scene.process();
    let copied = process.captured().captured(Addr(STACK)).unwrap()[..0x180].to_vec();
    process = FrozenProcess::new(
        process.info().clone(),
        Vec::new(),
        CapturedMemory::new(copied, [(Addr(STACK), 0x180, 0)]),
        process.mappings().clone(),
    );
    let binaries = crate::testing::no_binaries();
    let context = StepContext::new(&process, &binaries);
    let stack = crate::Walker::with_steppers(steppers()).walk(&start(Arch::X86_64, 0), &context);
    let StackEnd::Error { error: StepError::Memory(error), .. } = stack.end else {
        panic!("{:?}", stack.end)
    };
    assert_eq!(error.at, Addr(STACK + 0x180));
}
