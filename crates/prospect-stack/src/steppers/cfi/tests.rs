use prospect_process::{Arch, LinkAddr, Registers};

use super::*;
use crate::testing::{STACK, Scene, TEXT, get, registers};

const RBX: RegisterId = RegisterId(3);
const RBP: RegisterId = RegisterId(6);
const RSP: RegisterId = RegisterId(7);
const R12: RegisterId = RegisterId(12);
const R13: RegisterId = RegisterId(13);
const RIP: RegisterId = RegisterId(16);

/// cfa = rsp + 32.
fn row(rules: Vec<(RegisterId, RegisterRule)>) -> UnwindRow {
    UnwindRow {
        range: LinkAddr(0)..LinkAddr(0x100),
        cfa: CfaRule::Register(RSP, 32),
        return_address: RIP,
        rules,
        signal_frame: false,
        signed_return_address: false,
        only_at_calls: false,
    }
}

fn start() -> Registers {
    registers(
        Arch::X86_64,
        &[
            ("rip", TEXT),
            ("rsp", STACK),
            ("rbx", 1),
            ("rbp", 2),
            ("r12", 3),
            ("r13", 4),
            ("r14", 5),
            ("rax", 6),
        ],
    )
}

fn step(row: &UnwindRow, registers: &Registers) -> Result<Step, StepError> {
    let mut scene = Scene::new(Arch::X86_64);
    scene.word(STACK + 24, TEXT + 0x100).word(STACK + 16, 77);
    scene.with_context(|context| apply(row, &registers.into(), &mut Callers::default(), context))
}

fn caller(row: &UnwindRow, registers: &Registers) -> Caller {
    match step(row, registers) {
        Ok(Step::Caller(caller)) => caller,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_rule_is_applied_and_the_rest_stays_or_is_lost() {
    let rules = vec![
        (RIP, RegisterRule::AtCfa(-8)),
        (RBP, RegisterRule::AtCfa(-16)),
        (RBX, RegisterRule::CfaPlus(-4)),
        (R12, RegisterRule::Register(RegisterId(0))),
        (R13, RegisterRule::Undefined),
    ];
    let caller = caller(&row(rules), &start());
    assert_eq!((caller.cfa, caller.trust), (Some(Addr(STACK + 32)), Trust::CallFrameInfo));
    assert_eq!(caller.entered, Entered::ByCall);
    let names = ["rip", "rsp", "rbp", "rbx", "r12", "r13", "r14", "rax"];
    let expected =
        [Some(TEXT + 0x100), Some(STACK + 32), Some(77), Some(STACK + 28), Some(6), None, Some(5), None];
    assert_eq!(names.map(|name| get(&caller.registers, name)), expected);
}

#[test]
fn a_return_address_that_is_undefined_marks_the_outermost_frame() {
    let undefined = row(vec![(RIP, RegisterRule::Undefined)]);
    assert!(matches!(step(&undefined, &start()), Ok(Step::Outermost)));
    assert!(matches!(step(&row(vec![]), &start()), Err(StepError::NoReturnAddressRule)));
}

#[test]
fn the_return_address_may_be_in_a_column_of_its_own() {
    let mut row = row(vec![(RBX, RegisterRule::AtCfa(-8))]);
    row.return_address = RBX;
    assert_eq!(caller(&row, &start()).registers.pc(), Some(Addr(TEXT + 0x100)));
    row.rules = Vec::new();
    assert_eq!(caller(&row, &start()).registers.pc(), Some(Addr(1)));
}

#[test]
fn a_register_that_cannot_be_recovered_is_lost_but_not_the_frame() {
    let rules = vec![(RIP, RegisterRule::AtCfa(-8)), (RBP, RegisterRule::AtCfa(0x10_0000))];
    let found = caller(&row(rules), &start());
    assert_eq!((get(&found.registers, "rip"), get(&found.registers, "rbp")), (Some(TEXT + 0x100), None));
    let no_return = row(vec![(RIP, RegisterRule::AtCfa(0x10_0000))]);
    assert!(matches!(step(&no_return, &start()), Err(StepError::Memory(_))));
    let mut no_sp = start();
    no_sp.forget(RSP);
    assert!(matches!(step(&no_return, &no_sp), Err(StepError::UnknownRegister("rsp"))));
}

#[test]
fn authentication_is_taken_off_signed_return_addresses_alone() {
    let (lr, sp, pc) = (RegisterId(30), RegisterId(31), RegisterId(32));
    let signed: u64 = 0x0035_0000_0040_0100;
    for (is_signed, expected) in [(true, 0x40_0100), (false, signed)] {
        let row = UnwindRow {
            cfa: CfaRule::Register(sp, 32),
            return_address: lr,
            signed_return_address: is_signed,
            ..row(vec![(lr, RegisterRule::AtCfa(-8))])
        };
        let mut scene = Scene::new(Arch::Aarch64);
        scene.word(STACK + 24, signed);
        let registers = registers(Arch::Aarch64, &[("pc", TEXT), ("sp", STACK)]);
        let step =
            scene.with_context(|context| apply(&row, &(&registers).into(), &mut Callers::default(), context));
        let Ok(Step::Caller(caller)) = step else { panic!("{step:?}") };
        assert_eq!(caller.registers.get(pc), Some(expected));
        // So by the rule that the walker remembers.
        let rule = scene.with_context(|context| rule(&row, context)).unwrap();
        let mut followed = FrameRegisters::from(&registers);
        let mut stack = [0; 32];
        stack[24..].copy_from_slice(&signed.to_le_bytes());
        rule.follow(&mut followed, &stack, Addr(STACK), Arch::Aarch64.info()).unwrap();
        assert_eq!(followed.get(pc), Some(expected));
    }
}

#[test]
fn what_a_signal_frame_gives_was_interrupted() {
    let mut row = row(vec![(RIP, RegisterRule::AtCfa(-8)), (RSP, RegisterRule::AtCfa(-16))]);
    row.signal_frame = true;
    let caller = caller(&row, &start());
    assert_eq!((caller.entered, caller.registers.sp()), (Entered::BySignal, Some(Addr(77))));
}
