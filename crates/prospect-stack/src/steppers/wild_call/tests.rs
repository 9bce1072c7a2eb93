use prospect_process::{Addr, Arch};

use super::*;
use crate::{
    StepperGroup,
    steppers::SignalStepper,
    testing::{STACK, Scene, TEXT, get, pcs, registers},
};

fn steppers() -> StepperGroup {
    StepperGroup::new().then(WildCallStepper::default())
}

fn scene(arch: Arch) -> Scene {
    let mut scene = Scene::new(arch);
    scene.bytes(TEXT + 0x100 - 2, &[0xff, 0xd0]).word(STACK + 0x40, TEXT + 0x100);
    scene
}

#[test]
fn a_call_through_null_has_a_caller() {
    let start = registers(Arch::X86_64, &[("rip", 0), ("rsp", STACK + 0x40), ("rbx", 7), ("rbp", 9)]);
    let stack = scene(Arch::X86_64).walk(steppers(), &start);
    assert_eq!(pcs(&stack), [0, TEXT + 0x100]);
    let caller = &stack.frames[1];
    assert_eq!(caller.code, CodeAddress::ReturnAddress(Addr(TEXT + 0x100)));
    assert_eq!((caller.found_by, caller.trust), ("wild call", Trust::Scanned));
    assert_eq!(get(&caller.registers, "rsp"), Some(STACK + 0x48));
    assert_eq!((get(&caller.registers, "rbx"), get(&caller.registers, "rbp")), (Some(7), Some(9)));
    // The caller itself made a call, so this stepper has nothing more to say.
    assert_eq!(stack.end.as_str(), "no-stepper");
}

#[test]
fn a_call_to_data_has_a_caller_on_i386_too() {
    let start = registers(Arch::I386, &[("eip", STACK), ("esp", STACK + 0x40)]);
    let stack = scene(Arch::I386).walk(steppers(), &start);
    assert_eq!(pcs(&stack), [STACK, TEXT + 0x100]);
    assert_eq!(get(&stack.frames[1].registers, "esp"), Some(STACK + 0x44));
}

#[test]
fn a_word_that_no_call_left_is_no_return_address() {
    let start = registers(Arch::X86_64, &[("rip", 0), ("rsp", STACK + 0x40)]);
    for wrong in [TEXT + 0x104, STACK, 0] {
        let mut scene = scene(Arch::X86_64);
        scene.word(STACK + 0x40, wrong);
        assert_eq!(scene.walk(steppers(), &start).frames.len(), 1, "{wrong:#x}");
    }
    let elsewhere = registers(Arch::X86_64, &[("rip", TEXT), ("rsp", STACK + 0x40)]);
    assert_eq!(scene(Arch::X86_64).walk(steppers(), &elsewhere).frames.len(), 1);
}

#[test]
fn the_signal_handler_of_a_call_through_null_is_left_too() {
    let mut scene = scene(Arch::X86_64);
    let signal_frame = STACK - 0x1000_0000 + 0x100;
    scene.bytes(TEXT + 0x200, &[0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05]);
    scene.word(signal_frame + 40 + 128, 0).word(signal_frame + 40 + 120, STACK + 0x40);
    let start = registers(Arch::X86_64, &[("rip", TEXT + 0x200), ("rsp", signal_frame)]);
    let group = StepperGroup::new().then(SignalStepper::default()).then(WildCallStepper::default());
    let stack = scene.walk(group, &start);
    assert_eq!(pcs(&stack), [TEXT + 0x200, 0, TEXT + 0x100]);
}
