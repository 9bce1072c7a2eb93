//! Frames made by hand for the architectures that this host is not.

use prospect_process::{Addr, Arch, Registers, arch::ReturnSlot};

use super::*;
use crate::{
    StackEnd, StepperGroup, Trust,
    steppers::{FramePointerStepper, LinkRegisterStepper, SignalStepper},
    testing::{STACK, Scene, TEXT, pcs},
};

/// A call that ends at an address, in each architecture's code; where it leads is not known.
fn indirect_call(arch: Arch) -> &'static [u8] {
    match arch {
        Arch::Aarch64 => &[0x00, 0x00, 0x3f, 0xd6], // blr x0
        Arch::Arm => &[0x33, 0xff, 0x2f, 0xe1],     // blx r3
        Arch::Ppc64le => &[0x21, 0x04, 0x80, 0x4e], // bctrl
        Arch::Ppc64 | Arch::Ppc => &[0x4e, 0x80, 0x04, 0x21],
        Arch::Riscv64 => &[0x82, 0x97], // c.jalr a5
        Arch::S390x => &[0x0d, 0xe1],   // basr %r14, %r1
        _ => &[0xff, 0xd0],             // call *%rax
    }
}

fn with_calls(arch: Arch) -> Scene {
    let mut scene = Scene::new(arch);
    let call = indirect_call(arch);
    for end in [TEXT + 0x100, TEXT + 0x200, TEXT + 0x300] {
        scene.bytes(end - call.len() as u64, call);
    }
    scene
}

fn start(arch: Arch, pc: u64, sp: u64, base: u64) -> Registers {
    let info = arch.info();
    let mut registers = Registers::unknown(arch);
    registers.set(info.fp, base);
    registers.set(info.pc, pc);
    registers.set(info.sp, sp);
    registers
}

#[test]
fn frame_chains_of_every_architecture_are_followed_to_their_end() {
    for arch in Arch::ALL {
        let info = arch.info();
        let Some(chain) = info.frame_chain else { continue };
        let mut scene = with_calls(arch);
        let bases = [STACK + 0x40, STACK + 0x400, STACK + 0x800];
        let at = |base: u64, offset: i16| base.wrapping_add_signed(offset.into());
        for (index, base) in bases.into_iter().enumerate() {
            let next = bases.get(index + 1).copied().unwrap_or(0);
            let to = TEXT + 0x100 * (index as u64 + 1);
            scene.word(at(base, chain.saved_base), next);
            match chain.return_slot {
                ReturnSlot::Frame(offset) => scene.word(at(base, offset), to),
                ReturnSlot::CallersFrame(offset) if next != 0 => scene.word(at(next, offset), to),
                _ => &mut scene,
            };
        }
        let sp = if chain.base == info.sp { bases[0] } else { STACK + 0x20 };
        let stack = scene
            .walk(StepperGroup::new().then(FramePointerStepper::default()), &start(arch, TEXT, sp, bases[0]));
        // A back chain ends with the frame that has 0 in it; a frame pointer with the one that is entered with 0.
        let mut expected = vec![TEXT, TEXT + 0x100, TEXT + 0x200];
        if chain.base != info.sp {
            expected.push(TEXT + 0x300);
        }
        assert_eq!((pcs(&stack), &stack.end), (expected, &StackEnd::Outermost), "{}", info.name);
        assert_eq!(stack.frames[1].registers.get(chain.base), Some(bases[1]), "{}", info.name);
        assert!(stack.frames[1..].iter().all(|frame| frame.trust == Trust::FramePointer));
    }
}

#[test]
fn broken_frame_chains_are_not_followed() {
    for arch in Arch::ALL {
        let info = arch.info();
        let Some(chain) = info.frame_chain else { continue };
        for wrong in [STACK + 0x20, STACK - 8, 1, info.word_mask(), TEXT] {
            let mut scene = with_calls(arch);
            let (base, sp) =
                if chain.base == info.sp { (wrong, STACK + 0x20) } else { (wrong, STACK + 0x40) };
            if chain.base == info.sp {
                scene.word(sp, base);
            }
            let steppers = StepperGroup::new().then(FramePointerStepper::default());
            let stack = scene.walk(steppers, &start(arch, TEXT, sp, base));
            assert_eq!(stack.frames.len(), 1, "{} {wrong:#x}", info.name);
            assert_ne!(stack.end, StackEnd::Outermost, "{} {wrong:#x}", info.name);
        }
    }
}

#[test]
fn the_link_register_has_the_return_address_of_a_leaf() {
    for arch in Arch::ALL {
        let info = arch.info();
        let mut registers = start(arch, TEXT, STACK + 0x100, 0);
        let walk = |registers: &Registers| {
            let steppers = StepperGroup::new().then(LinkRegisterStepper::default());
            with_calls(arch).walk(steppers, registers)
        };
        let Some(link) = info.link else {
            assert_eq!(walk(&registers).frames.len(), 1);
            continue;
        };
        registers.set(link, TEXT + 0x101);
        let odd = walk(&registers);
        // What is not part of the address is taken off; elsewhere no call ends there.
        assert_eq!(odd.frames.len(), if info.code_address_mask & 1 == 0 { 2 } else { 1 }, "{}", info.name);
        registers.set(link, TEXT + 0x100);
        let stack = walk(&registers);
        assert_eq!(pcs(&stack), [TEXT, TEXT + 0x100], "{}", info.name);
        let caller = &stack.frames[1];
        assert_eq!((caller.found_by, caller.trust), ("link register", Trust::Scanned));
        assert_eq!(caller.registers.sp(), Some(Addr(STACK + 0x100)));
        assert_eq!(caller.registers.get(link), None);
        registers.set(link, TEXT + 0x110);
        assert_eq!(walk(&registers).frames.len(), 1, "{}", info.name);
        // A call to where no code is.
        registers.set(link, TEXT + 0x100);
        registers.set(info.pc, 0x10);
        assert_eq!(pcs(&walk(&registers)), [0x10, TEXT + 0x100], "{}", info.name);
    }
}

#[test]
fn a_link_register_that_is_left_from_the_functions_own_call_is_not_taken() {
    let arch = Arch::Aarch64;
    let (nop, ret) = ([0x1f, 0x20, 0x03, 0xd5], [0xc0, 0x03, 0x5f, 0xd6]);
    let mut scene = with_calls(arch);
    // Behind the call come two instructions and a return, and behind that is another function.
    scene.bytes(TEXT + 0x100, &[nop, nop, ret, nop, nop, ret].concat());
    let mut registers = start(arch, TEXT + 0x104, STACK + 0x100, 0);
    registers.set(arch.info().link.unwrap(), TEXT + 0x100);
    let mut walk = |pc: u64| {
        registers.set(arch.info().pc, pc);
        let steppers = StepperGroup::new().then(LinkRegisterStepper::default());
        pcs(&scene.walk(steppers, &registers))
    };
    assert_eq!(walk(TEXT + 0x104), [TEXT + 0x104]);
    assert_eq!(walk(TEXT + 0x110), [TEXT + 0x110, TEXT + 0x100]);
}

#[test]
fn at_its_first_and_its_last_instruction_a_function_is_left_by_the_link_register() {
    for (arch, code) in [
        (Arch::Aarch64, &[0x3f, 0x23, 0x03, 0xd5][..]),       // paciasp
        (Arch::Aarch64, &[0xfd, 0x7b, 0xbc, 0xa9]),           // stp x29, x30, [sp, #-64]!
        (Arch::Aarch64, &[0xc0, 0x03, 0x5f, 0xd6]),           // ret
        (Arch::Aarch64, &[0xff, 0x0b, 0x5f, 0xd6]),           // retaa
        (Arch::Riscv64, &[0x67, 0x80, 0, 0]),                 // ret
        (Arch::Riscv64, &[0x82, 0x80]),                       // c.ret
        (Arch::S390x, &[0x07, 0xfe]),                         // br %r14
        (Arch::S390x, &[0xeb, 0x6f, 0xf0, 0x30, 0x00, 0x24]), // stmg %r6, %r15, 48(%r15)
        (Arch::Arm, &[0x1e, 0xff, 0x2f, 0xe1]),               // bx lr
        (Arch::Arm, &[0xf0, 0x41, 0x2d, 0xe9]),               // push {r4-r8, lr}
        (Arch::Arm, &[0x04, 0xe0, 0x2d, 0xe5]),               // push {lr}
        (Arch::Ppc64le, &[0x20, 0x00, 0x80, 0x4e]),           // blr
        (Arch::Ppc64le, &[0xa1, 0xff, 0x21, 0xf8]),           // stdu r1, -96(r1)
        (Arch::Ppc64, &[0x4e, 0x80, 0x00, 0x20]),
        (Arch::Ppc64, &[0xf8, 0x21, 0xff, 0xa1]),
        (Arch::Ppc, &[0x4e, 0x80, 0x00, 0x20]),
        (Arch::Ppc, &[0x94, 0x21, 0xff, 0xf0]), // stwu r1, -16(r1)
    ] {
        let info = arch.info();
        let mut scene = with_calls(arch);
        scene.bytes(TEXT, code);
        let mut registers = start(arch, TEXT, STACK + 0x100, STACK + 0x200);
        registers.set(info.link.unwrap(), TEXT + 0x100);
        let steppers =
            StepperGroup::new().then(LinkRegisterStepper::default()).then(FramePointerStepper::default());
        let stack = scene.walk(steppers, &registers);
        assert_eq!(pcs(&stack)[1], TEXT + 0x100, "{} {code:x?}", info.name);
        let caller = &stack.frames[1];
        assert_eq!((caller.found_by, caller.trust), ("link register", Trust::Analysed));
        assert_eq!(caller.registers.fp(), Some(Addr(STACK + 0x200)), "{}", info.name);
    }
}

#[test]
fn what_a_signal_interrupted_is_found_in_every_byte_order() {
    for arch in Arch::ALL {
        let info = arch.info();
        for trampoline in patterns(arch).unwrap().trampolines {
            for (done, above_sp) in trampoline.states {
                let mut scene = with_calls(arch);
                scene.bytes(TEXT + 0x800, trampoline.code);
                let sp = STACK + 0x100;
                let saved_at = sp + u64::from(*above_sp);
                for (id, offset, width) in trampoline.saved {
                    let value = match *id {
                        id if id == info.pc => TEXT + 0x444,
                        id if id == info.sp => STACK + 0x2000,
                        id => 0x11 + u64::from(id.0),
                    };
                    let bytes = if info.big_endian {
                        value.to_be_bytes()[8 - usize::from(*width)..].to_vec()
                    } else {
                        value.to_le_bytes()[..usize::from(*width)].to_vec()
                    };
                    scene.bytes(saved_at + u64::from(*offset), &bytes);
                }
                let at = TEXT + 0x800 + u64::from(*done);
                let steppers = StepperGroup::new().then(SignalStepper::default());
                let stack = scene.walk(steppers, &start(arch, at, sp, 0));
                assert_eq!(pcs(&stack), [at, TEXT + 0x444], "{} {done}", info.name);
                let caller = &stack.frames[1].registers;
                assert_eq!(caller.sp(), Some(Addr(STACK + 0x2000)));
                for (id, ..) in trampoline.saved.iter().filter(|(id, ..)| *id != info.pc && *id != info.sp) {
                    assert_eq!(caller.get(*id), Some(0x11 + u64::from(id.0)), "{}", info.register(*id).name);
                }
            }
        }
    }
}

#[test]
fn targets_of_calls_are_found() {
    let target = |arch: Arch, before: &[u8]| (patterns(arch).unwrap().call)(before, &[]);
    // As objdump disassembles them: the distance from the end of the call to its target.
    assert_eq!(target(Arch::Aarch64, &[0xef, 0xff, 0xff, 0x97]), Some(Call::Relative(-72)));
    assert_eq!(target(Arch::Ppc64le, &[0x61, 0xff, 0xff, 0x4b]), Some(Call::Relative(-164)));
    assert_eq!(target(Arch::Ppc64, &[0x4b, 0xff, 0xff, 0x61]), Some(Call::Relative(-164)));
    assert_eq!(target(Arch::Riscv64, &[0xef, 0xf0, 0xdf, 0xfa]), Some(Call::Relative(-88)));
    assert_eq!(target(Arch::S390x, &[0xc0, 0xe5, 0xff, 0xff, 0xff, 0xd8]), Some(Call::Relative(-86)));
    for arch in Arch::ALL {
        assert_eq!(target(arch, indirect_call(arch)), Some(Call::Unknown), "{arch:?}");
        for other in [&[][..], &[0], &[0; 4], &[0xff; 3]] {
            assert_eq!(target(arch, other), None, "{arch:?} {other:x?}");
        }
    }
}
