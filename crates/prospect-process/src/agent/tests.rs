use super::*;
use crate::{Addr, Arch, CapturedMemory, Memory as _, MemoryError};

struct Thread {
    memory: CapturedMemory,
    collected: Vec<(Addr, u64, bool)>,
    variables: [u64; 4],
}

impl AgentContext for Thread {
    fn arch(&self) -> Arch {
        Arch::X86_64
    }

    fn register(&mut self, number: u16) -> Option<u64> {
        [Some(7), None, Some(0x1000)].get(usize::from(number)).copied().flatten()
    }

    fn read(&mut self, at: Addr, buffer: &mut [u8]) -> Result<(), MemoryError> {
        self.memory.read(at, buffer)
    }

    fn collect(&mut self, at: Addr, length: u64, to_nul: bool) -> Result<(), AgentFault> {
        self.collected.push((at, length, to_nul));
        Ok(())
    }

    fn variable(&mut self, number: u16) -> u64 {
        self.variables[usize::from(number)]
    }

    fn set_variable(&mut self, number: u16, value: u64) {
        self.variables[usize::from(number)] = value;
    }
}

fn thread() -> Thread {
    let bytes = vec![0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0xf1];
    let memory = CapturedMemory::new(bytes, [(Addr(0x1000), 8, 0)]);
    Thread { memory, collected: Vec::new(), variables: [0; 4] }
}

fn run(write: impl FnOnce(&mut Assembler)) -> Result<Option<u64>, AgentFault> {
    let mut assembler = Assembler::new();
    write(&mut assembler);
    assembler.finish().unwrap().evaluate(&mut thread())
}

fn binary(opcode: Opcode, a: i64, b: i64) -> Result<Option<u64>, AgentFault> {
    run(|code| {
        code.constant(a.cast_unsigned()).constant(b.cast_unsigned()).op(opcode);
    })
}

#[test]
fn arithmetic_is_of_64_bits_and_wraps() {
    let cases = [
        (Opcode::Add, -1, 3, 2),
        (Opcode::Sub, 1, 3, -2),
        (Opcode::Mul, -4, 3, -12),
        (Opcode::DivSigned, -7, 2, -3),
        (Opcode::DivSigned, i64::MIN, -1, i64::MIN),
        (Opcode::DivUnsigned, -1, 2, i64::MAX),
        (Opcode::RemSigned, -7, 2, -1),
        (Opcode::RemUnsigned, 7, 4, 3),
        (Opcode::Lsh, 1, 63, i64::MIN),
        (Opcode::Lsh, 1, 64, 0),
        (Opcode::RshSigned, -8, 1, -4),
        (Opcode::RshSigned, -8, 100, -1),
        (Opcode::RshUnsigned, -1, 1, i64::MAX),
        (Opcode::Equal, 3, 3, 1),
        (Opcode::LessSigned, -1, 0, 1),
        (Opcode::LessUnsigned, -1, 0, 0),
        (Opcode::BitXor, 6, 3, 5),
    ];
    for (opcode, a, b, result) in cases {
        assert_eq!(binary(opcode, a, b), Ok(Some(result.cast_unsigned())), "{a} {opcode:?} {b}");
    }
    for opcode in [Opcode::DivSigned, Opcode::DivUnsigned, Opcode::RemSigned, Opcode::RemUnsigned] {
        assert_eq!(binary(opcode, 1, 0), Err(AgentFault::DivisionByZero));
    }
}

#[test]
fn numbers_are_extended_from_their_bits() {
    for (opcode, bits, result) in [
        (Opcode::Ext, 8, -1i64),
        (Opcode::ZeroExt, 8, 255),
        (Opcode::Ext, 64, 0x1ff),
        (Opcode::ZeroExt, 0, 0x1ff),
        (Opcode::Ext, 255, 0x1ff),
    ] {
        let got = run(|code| {
            code.constant(0x1ff).with(opcode, bits);
        });
        assert_eq!(got, Ok(Some(result.cast_unsigned())), "{opcode:?} {bits}");
    }
}

#[test]
fn memory_and_registers_are_those_of_the_thread() {
    for (opcode, result) in [
        (Opcode::Ref8, 0x88),
        (Opcode::Ref16, 0x7788),
        (Opcode::Ref32, 0x5566_7788),
        (Opcode::Ref64, 0xf122_3344_5566_7788),
    ] {
        let got = run(|code| {
            code.register(crate::RegisterId(2)).op(opcode);
        });
        assert_eq!(got, Ok(Some(result)));
    }
    let unknown = |number| {
        run(|code| {
            code.with(Opcode::Reg, number).op(Opcode::Dup);
        })
    };
    assert_eq!(unknown(1), Err(AgentFault::NoRegister(1)));
    assert_eq!(unknown(500), Err(AgentFault::NoRegister(500)));
    let unmapped = run(|code| {
        code.constant(8).op(Opcode::Ref8);
    });
    assert!(matches!(unmapped, Err(AgentFault::Memory(MemoryError { at: Addr(8), .. }))), "{unmapped:?}");
}

#[test]
fn ranges_are_collected_and_variables_kept() {
    let mut code = Assembler::new();
    code.constant(0x1000).with(Opcode::TraceQuick, 4).with(Opcode::Trace16, 300).op(Opcode::Pop);
    code.constant(0x1000).constant(64).op(Opcode::TraceString);
    code.constant(0x1004).constant(2).op(Opcode::Trace);
    code.with(Opcode::GetVariable, 3).constant(5).op(Opcode::Add).with(Opcode::SetVariable, 3);
    let (code, mut thread) = (code.finish().unwrap(), thread());
    assert_eq!(code.evaluate(&mut thread), Ok(Some(5)));
    assert_eq!(code.evaluate(&mut thread), Ok(Some(10)));
    let all = [(0x1000, 4, false), (0x1000, 300, false), (0x1000, 64, true), (0x1004, 2, false)];
    assert_eq!(thread.collected[..4], all.map(|(at, length, to_nul)| (Addr(at), length, to_nul)));
}

#[test]
fn numbers_on_the_stack_are_moved_about() {
    let rotated = |depth| {
        run(|code| {
            code.constant(1).constant(2).constant(3).op(Opcode::Rot).with(Opcode::Pick, depth);
        })
    };
    assert_eq!([0, 1, 2].map(rotated), [Ok(Some(2)), Ok(Some(1)), Ok(Some(3))]);
    assert_eq!(rotated(3), Err(AgentFault::StackEmpty));
    assert_eq!(
        run(|code| {
            code.op(Opcode::Add);
        }),
        Err(AgentFault::StackEmpty)
    );
    assert_eq!(
        run(|code| {
            code.constant(1).op(Opcode::Pop);
        }),
        Ok(None)
    );
}

#[test]
fn loops_end() {
    // The sum of the numbers from 5 down to 1.
    let sum = run(|code| {
        let (again, end) = (code.label(), code.label());
        code.constant(0).constant(5).place(again);
        code.op(Opcode::Dup).op(Opcode::LogNot).if_goto(end);
        code.op(Opcode::Swap).with(Opcode::Pick, 1).op(Opcode::Add).op(Opcode::Swap);
        code.constant(1).op(Opcode::Sub).goto(again);
        code.place(end).op(Opcode::Pop);
    });
    assert_eq!(sum, Ok(Some(15)));
    let endless = run(|code| {
        let again = code.label();
        code.place(again).goto(again);
    });
    assert_eq!(endless, Err(AgentFault::TooLong));
    let growing = run(|code| {
        let again = code.label();
        code.place(again).constant(1).goto(again);
    });
    assert_eq!(growing, Err(AgentFault::StackFull));
}

#[test]
fn code_that_is_none_is_refused() {
    let refused = |code: &[u8]| AgentExpression::new(code).unwrap_err();
    assert_eq!(refused(&[0x22, 1, 0xff]), AgentError::UnknownInstruction { at: 2, byte: 0xff });
    // `ref_float`.
    assert_eq!(refused(&[0x1b]), AgentError::UnknownInstruction { at: 0, byte: 0x1b });
    assert_eq!(refused(&[0x25, 1, 2]), AgentError::Truncated);
    // Into the operand of a constant, and behind the end.
    assert_eq!(refused(&[0x22, 1, 0x21, 0, 1]), AgentError::BadTarget { to: 1 });
    assert_eq!(refused(&[0x21, 0, 3]), AgentError::BadTarget { to: 3 });
    assert_eq!(refused(&vec![0x28; 70_000]), AgentError::TooLong);
    let mut unplaced = Assembler::new();
    let label = unplaced.label();
    unplaced.goto(label);
    assert!(matches!(unplaced.finish(), Err(AgentError::BadTarget { .. })));
}
