use std::time::Instant;

use prospect_process::{Arch, Registers};

use super::*;
use crate::testing::{STACK, Scene, TEXT, get, registers};

/// push %rbx; push %r12; sub $0x28, %rsp; mov %rbp, 0x20(%rsp); xor %ebp, %ebp; call; mov 0x20(%rsp), %rbp;
/// add $0x28, %rsp; pop %r12; pop %rbx; ret
const FRAMELESS: [u8; 34] = [
    0x53, 0x41, 0x54, 0x48, 0x83, 0xec, 0x28, 0x48, 0x89, 0x6c, 0x24, 0x20, 0x31, 0xed, 0xe8, 0x10, 0, 0, 0,
    0x48, 0x8b, 0x6c, 0x24, 0x20, 0x48, 0x83, 0xc4, 0x28, 0x41, 0x5c, 0x5b, 0xc3, 0xcc, 0xcc,
];
/// Where each of its instructions begins, how far sp then is below the CFA, and whether rbx, r12 and rbp are
/// saved and changed (or may be).
const STATES: [(u64, u64); 12] = [
    (0, 8),
    (1, 16),
    (3, 24),
    (7, 64),
    (12, 64),
    (14, 64),
    (19, 64),
    (24, 64),
    (28, 24),
    (30, 16),
    (31, 8),
    (u64::MAX, 0),
];

const FUNCTION: u64 = TEXT + 0x100;
const CALLER: u64 = TEXT + 0x85;
const CFA: u64 = STACK + 0x800;

/// nop; nop; nop; call *%rax
const CALL_ANYWHERE: [u8; 5] = [0x90, 0x90, 0x90, 0xff, 0xd0];

fn scene() -> Scene {
    let mut scene = Scene::new(Arch::X86_64);
    scene.bytes(FUNCTION, &FRAMELESS).bytes(CALLER - 5, &[0xe8, 0x7b, 0, 0, 0]);
    scene.word(CFA - 8, CALLER).word(CFA - 16, 0xb).word(CFA - 24, 0xc).word(CFA - 32, 0xbbb);
    scene
}

fn at(pc: u64, sp: u64, code: fn(Addr) -> CodeAddress) -> Frame {
    let mut all: Registers = registers(Arch::X86_64, &[("rip", pc), ("rsp", sp), ("rbx", 0xb), ("r12", 0xc)]);
    let info = Arch::X86_64.info();
    all.set(info.fp, if (FUNCTION + 14..FUNCTION + 24).contains(&pc) { 0 } else { 0xbbb });
    let mut frame = Frame::innermost(&all).unwrap();
    frame.code = code(Addr(pc));
    frame
}

fn step(scene: &Scene, frame: &Frame) -> Step {
    scene.with_context(|context| AnalysisStepper::default().step(frame, context).unwrap())
}

#[test]
fn the_caller_is_found_from_every_instruction() {
    let scene = scene();
    for (offset, below) in STATES.into_iter().filter(|(offset, _)| *offset < u64::MAX) {
        let frame = at(FUNCTION + offset, CFA - below, CodeAddress::Exact);
        let Step::Caller(caller) = step(&scene, &frame) else { panic!("at {offset}") };
        // There are no symbols here, so that the start is a guess; but the call leads there.
        assert_eq!((caller.cfa, caller.trust), (Some(Addr(CFA)), Trust::Analysed), "at {offset}");
        let all = caller.registers;
        assert_eq!((all.pc(), all.sp()), (Some(Addr(CALLER)), Some(Addr(CFA))), "at {offset}");
        for (name, value) in [("rbx", 0xb), ("r12", 0xc), ("rbp", 0xbbb)] {
            assert_eq!(get(&all, name), Some(value), "{name} at {offset}");
        }
        assert_eq!(get(&all, "r13"), None);
    }
    let frame = at(FUNCTION + 19, CFA - 64, CodeAddress::ReturnAddress);
    assert!(matches!(step(&scene, &frame), Step::Caller(caller) if caller.cfa == Some(Addr(CFA))));
}

#[test]
fn a_start_that_no_call_names_is_a_guess() {
    let mut scene = scene();
    scene.bytes(CALLER - 5, &CALL_ANYWHERE);
    let Step::Caller(caller) = step(&scene, &at(FUNCTION + 7, CFA - 64, CodeAddress::Exact)) else {
        panic!()
    };
    assert_eq!((caller.cfa, caller.trust), (Some(Addr(CFA)), Trust::Scanned));
}

#[test]
fn the_start_of_a_loop_is_not_taken_for_that_of_its_function() {
    let function = [
        &[0x53, 0x48, 0x83, 0xec, 0x20][..], // push %rbx; sub $32, %rsp
        &[0x66, 0x0f, 0x1f, 0x44, 0, 0, 0x0f, 0x1f, 0x44, 0, 0], // up to 16
        &[0x31, 0xdb, 0x90],                 // 1: xor %ebx, %ebx
        &[0x66, 0x0f, 0x1f, 0x44, 0, 0, 0x0f, 0x1f, 0x80, 0, 0, 0, 0], // up to 32
        &[0xe8, 0x10, 0, 0, 0, 0xff, 0xc3, 0x75, 0xf7], // 2: call; inc %ebx; jne 2b
        &[0x85, 0xc0, 0x74, 0x02, 0xeb, 0xe1], // test %eax, %eax; je 3f; jmp 1b
        &[0x48, 0x83, 0xc4, 0x20, 0x5b, 0xc3], // 3: add $32, %rsp; pop %rbx; ret
    ];
    let mut scene = scene();
    scene.bytes(FUNCTION, &[0xcc; 64]).bytes(FUNCTION, &function.concat());
    scene.word(CFA - 48, 0x1234).word(CFA - 16, 0xb);
    let mut all = registers(Arch::X86_64, &[("rip", FUNCTION + 37), ("rsp", CFA - 48), ("rbx", 3)]);
    all.set(Arch::X86_64.info().fp, 0xbbb);
    let mut frame = Frame::innermost(&all).unwrap();
    frame.code = CodeAddress::ReturnAddress(Addr(FUNCTION + 37));
    let Step::Caller(caller) = step(&scene, &frame) else { panic!("{:?}", step(&scene, &frame)) };
    assert_eq!((caller.cfa, caller.trust), (Some(Addr(CFA)), Trust::Analysed));
    assert_eq!((caller.registers.pc(), get(&caller.registers, "rbx")), (Some(Addr(CALLER)), Some(0xb)));
}

#[test]
fn what_is_remembered_fits_into_the_capacity() {
    let mut scene = scene();
    let functions: Vec<u64> = (0..20).map(|number| FUNCTION + 0x40 * number).collect();
    for function in &functions {
        scene.bytes(*function, &FRAMELESS).bytes(CALLER - 5, &CALL_ANYWHERE);
    }
    let (mut one, mut most) = (0, 0);
    for capacity in [usize::MAX, 4096, 0] {
        scene.with_context(|context| {
            let mut stepper = AnalysisStepper::with_capacity(capacity);
            for function in &functions {
                let frame = at(function + 7, CFA - 64, CodeAddress::Exact);
                assert!(matches!(stepper.step(&frame, context), Ok(Step::Caller(_))));
                let size = stepper.functions.size;
                assert!(size <= capacity.max(one), "{size} of {capacity}");
                assert!(
                    stepper.functions.known.values().flatten().map(|one| one.size()).sum::<usize>() < size
                );
                one = if one == 0 { size } else { one };
                most = most.max(size);
            }
        });
    }
    assert!(most > 4096, "the functions would need {most} bytes");
}

#[test]
fn it_does_not_answer_where_no_call_ends_or_no_instruction_begins() {
    let scene = scene();
    let frame = at(FUNCTION + 5, CFA - 64, CodeAddress::Exact);
    assert!(matches!(step(&scene, &frame), Step::NotMine(_)), "inside an instruction");
    let frame = at(FUNCTION + 7, CFA - 72, CodeAddress::Exact);
    assert!(matches!(step(&scene, &frame), Step::NotMine(_)), "another word is no return address");
    let frame = at(FUNCTION + 24, CFA - 64, CodeAddress::ReturnAddress);
    assert!(matches!(step(&scene, &frame), Step::NotMine(_)), "no call ends there");
}

/// Two paths come to the same instruction with different stacks.
#[test]
fn it_does_not_guess_where_paths_disagree() {
    let mut scene = scene();
    // test %edi, %edi; je 1f; push %rax; 1: nop; jmp *%rax
    scene.bytes(FUNCTION, &[0x85, 0xff, 0x74, 0x01, 0x50, 0x90, 0xff, 0xe0]);
    let frame = at(FUNCTION + 5, CFA - 8, CodeAddress::Exact);
    assert!(matches!(
        step(&scene, &frame),
        Step::NotMine("the function's paths to pc differ in their stack")
    ));
    let frame = at(FUNCTION + 4, CFA - 8, CodeAddress::Exact);
    assert!(matches!(step(&scene, &frame), Step::Caller(_)));
}

/// Two entries of a procedure linkage table, behind what they share: at 0, `push 2f(%rip); jmp *1f(%rip); nopl`;
/// at 16 and 32, `jmp *word(%rip); push $n; jmp 0`.
const LINKAGE_TABLE: [u8; 48] = [
    0xff, 0x35, 0xfa, 0x00, 0, 0, 0xff, 0x25, 0xfc, 0x00, 0, 0, 0x0f, 0x1f, 0x40, 0, 0xff, 0x25, 0xfa, 0, 0,
    0, 0x68, 0, 0, 0, 0, 0xe9, 0xe0, 0xff, 0xff, 0xff, 0xff, 0x25, 0xf2, 0, 0, 0, 0x68, 1, 0, 0, 0, 0xe9,
    0xd0, 0xff, 0xff, 0xff,
];

/// The caller calls the first entry of the table, which was not looked up yet.
fn linkage() -> Scene {
    let mut scene = Scene::new(Arch::X86_64);
    scene.bytes(FUNCTION, &LINKAGE_TABLE).bytes(CALLER - 5, &[0xe8, 0x8b, 0, 0, 0]);
    scene.word(CFA - 8, CALLER);
    scene
}

#[test]
fn entries_of_a_linkage_table_and_what_they_share_are_left() {
    let scene = linkage();
    // At the entry's start, at its push, and behind that; at the start of what is shared, and behind its push.
    for (offset, depth) in [(16, 8), (22, 8), (27, 16), (0, 16), (6, 24)] {
        let frame = at(FUNCTION + offset, CFA - depth, CodeAddress::Exact);
        let Step::Caller(caller) = step(&scene, &frame) else { panic!("{offset}") };
        assert_eq!((caller.cfa, caller.trust), (Some(Addr(CFA)), Trust::Analysed), "{offset}");
        assert_eq!(caller.registers.pc(), Some(Addr(CALLER)), "{offset}");
    }
}

#[test]
fn a_function_that_a_linkage_table_jumps_to_finds_words_below_its_return_address() {
    let mut scene = linkage();
    // What looks the function up: push %rbx; nop; add $24, %rsp; jmp *%r11.
    let resolver = FUNCTION + 0x100;
    scene.bytes(resolver - 1, &[0xcc, 0x53, 0x90, 0x48, 0x83, 0xc4, 24, 0x41, 0xff, 0xe3]);
    for (offset, depth) in [(0, 24), (1, 32)] {
        let frame = at(resolver + offset, CFA - depth, CodeAddress::Exact);
        let Step::Caller(caller) = step(&scene, &frame) else { panic!("{offset}") };
        assert_eq!((caller.cfa, caller.registers.pc()), (Some(Addr(CFA)), Some(Addr(CALLER))), "{offset}");
    }
    // Only by such a table.
    scene.bytes(CALLER - 5, &CALL_ANYWHERE);
    let frame = at(resolver, CFA - 24, CodeAddress::Exact);
    assert!(matches!(step(&scene, &frame), Step::NotMine(_)));
}

/// A part of a function that lies elsewhere is left by what is known where the function jumps to it.
#[test]
fn a_part_that_was_split_off_is_left() {
    let mut scene = scene();
    // At the function: push %rbx; sub $0x10, %rsp; test %edi, %edi; js part; add $0x10, %rsp; pop %rbx; ret
    let part = FUNCTION - 0x60;
    let mut code = vec![0x53, 0x48, 0x83, 0xec, 0x10, 0x85, 0xff, 0x0f, 0x88];
    code.extend((-0x60i32 - 13).to_le_bytes());
    code.extend([0x48, 0x83, 0xc4, 0x10, 0x5b, 0xc3]);
    // There: xor %ebx, %ebx; call *%rax; ud2
    scene.bytes(FUNCTION, &code).bytes(part, &[0x31, 0xdb, 0xff, 0xd0, 0x0f, 0x0b]);
    for code in [CodeAddress::Exact(Addr(part + 2)), CodeAddress::ReturnAddress(Addr(part + 4))] {
        let mut frame = at(part + 2, CFA - 32, CodeAddress::Exact);
        frame.code = code;
        let Step::Caller(caller) = step(&scene, &frame) else { panic!("{code:?}") };
        assert_eq!((caller.cfa, caller.trust), (Some(Addr(CFA)), Trust::Analysed), "{code:?}");
        let rbx = Arch::X86_64.info().by_name("rbx").unwrap();
        assert_eq!(caller.registers.get(rbx), Some(0xb), "{code:?}");
    }
}

#[test]
#[allow(clippy::print_stderr, reason = "figures for who runs it with --nocapture")]
fn later_visits_are_fast() {
    let scene = scene();
    let frame = at(FUNCTION + 19, CFA - 64, CodeAddress::ReturnAddress);
    scene.with_context(|context| {
        let mut stepper = AnalysisStepper::default();
        stepper.step(&frame, context).unwrap();
        let started = Instant::now();
        for _ in 0..10_000 {
            assert!(matches!(stepper.step(&frame, context), Ok(Step::Caller(_))));
        }
        eprintln!("a later visit takes {:?}", started.elapsed() / 10_000);
    });
}
