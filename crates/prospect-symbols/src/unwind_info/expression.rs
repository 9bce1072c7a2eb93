//! DWARF expressions in call frame information (DWARF 5, sections 2.5 and 6.4.2).

use std::sync::Arc;

use gimli::{EndianSlice, EvaluationResult, RunTimeEndian, Value};
use prospect_process::{Addr, ArchInfo, Memory, MemoryError, Registers};

/// An expression that takes more operations than this is not believed to end.
const MOST_OPERATIONS: u32 = 10_000;

/// A DWARF expression from call frame information.
#[derive(Clone, Debug)]
pub struct Expression {
    bytes: Arc<[u8]>,
}

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExpressionError {
    /// Memory that it needs cannot be read.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// A register that it needs is not known.
    #[error("needs register {0}, which is not known")]
    Register(&'static str),
    /// It is broken, or has an operation that call frame information may not have.
    #[error("broken expression: {0}")]
    Malformed(&'static str),
}

impl Expression {
    /// The expression with these operations.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self { bytes: bytes.into() }
    }

    /// Its value in a frame with these registers. `initial` is pushed first: the canonical frame address
    /// for register rules, nothing for the address itself.
    ///
    /// # Errors
    /// When a register or memory that it needs is missing, or it is broken, or it runs too long.
    pub fn evaluate(
        &self,
        initial: Option<u64>,
        registers: &Registers,
        memory: &dyn Memory,
    ) -> Result<u64, ExpressionError> {
        let arch = registers.arch().info();
        let encoding =
            gimli::Encoding { address_size: arch.word_bytes, format: gimli::Format::Dwarf32, version: 5 };
        let endian = if arch.big_endian { RunTimeEndian::Big } else { RunTimeEndian::Little };
        let mut evaluation = gimli::Expression(EndianSlice::new(&self.bytes, endian)).evaluation(encoding);
        evaluation.set_max_iterations(MOST_OPERATIONS);
        if let Some(value) = initial {
            evaluation.set_initial_value(value);
        }
        let mut state = evaluation.evaluate();
        loop {
            state = match state.map_err(malformed)? {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresMemory { address, size, space: None, base_type }
                    if base_type.0 == 0 =>
                {
                    let value = read(memory, arch, Addr(address & arch.word_mask()), size)?;
                    evaluation.resume_with_memory(Value::Generic(value))
                }
                EvaluationResult::RequiresRegister { register, base_type } if base_type.0 == 0 => {
                    let id = arch.by_dwarf(register.0);
                    let id = id.ok_or(ExpressionError::Malformed("a register that does not exist"))?;
                    let value = registers.get(id);
                    let value = value.ok_or(ExpressionError::Register(arch.register(id).name))?;
                    evaluation.resume_with_register(Value::Generic(value))
                }
                // DWARF 5, section 6.4.2: no addresses, no calls, no frame bases, no objects.
                _ => return Err(ExpressionError::Malformed("an operation that is not allowed here")),
            };
        }
        match evaluation.value_result() {
            Some(Value::Generic(value)) => Ok(value & arch.word_mask()),
            _ => Err(ExpressionError::Malformed("it has no value")),
        }
    }
}

/// The unsigned number in `size` bytes of memory.
fn read(memory: &dyn Memory, arch: &ArchInfo, at: Addr, size: u8) -> Result<u64, ExpressionError> {
    let mut word = [0; 8];
    let size = usize::from(size.min(8));
    if arch.big_endian {
        memory.read(at, &mut word[8 - size..])?;
        Ok(u64::from_be_bytes(word))
    } else {
        memory.read(at, &mut word[..size])?;
        Ok(u64::from_le_bytes(word))
    }
}

fn malformed(error: gimli::Error) -> ExpressionError {
    ExpressionError::Malformed(match error {
        gimli::Error::TooManyIterations => "it does not end",
        gimli::Error::NotEnoughStackItems => "it takes more from its stack than there is",
        gimli::Error::DivisionByZero => "it divides by zero",
        gimli::Error::UnexpectedEof(_) => "it ends in the middle of an operation",
        _ => "an operation makes no sense",
    })
}

#[cfg(test)]
mod tests {
    use prospect_process::{Arch, CapturedMemory, Unreadable};

    use super::*;

    fn registers() -> Registers {
        let mut registers = Registers::unknown(Arch::X86_64);
        registers.set(Arch::X86_64.info().sp, 0x7000);
        registers.set(Arch::X86_64.info().pc, 0x40_100b);
        registers
    }

    fn evaluate(bytes: &[u8], initial: Option<u64>) -> Result<u64, ExpressionError> {
        let memory = CapturedMemory::new((1..=16).collect(), [(Addr(0x7008), 16, 0)]);
        Expression::new(bytes).evaluate(initial, &registers(), &memory)
    }

    #[test]
    fn the_canonical_frame_address_in_a_plt_entry_depends_on_the_instruction() {
        // What GNU ld writes: rsp + 8 + ((rip & 15) >= 11) * 8.
        let plt = [0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22];
        assert_eq!(evaluate(&plt, None), Ok(0x7010));
    }

    #[test]
    fn memory_is_read_in_the_width_that_is_asked_for() {
        assert_eq!(evaluate(&[0x77, 8, 0x06], None), Ok(0x0807_0605_0403_0201));
        assert_eq!(evaluate(&[0x77, 8, 0x94, 2], None), Ok(0x0201));
        let error = evaluate(&[0x77, 0, 0x06], None).unwrap_err();
        assert_eq!(
            error,
            ExpressionError::Memory(MemoryError { at: Addr(0x7000), why: Unreadable::NotCaptured })
        );
    }

    #[test]
    fn the_initial_value_lies_on_the_stack() {
        assert_eq!(evaluate(&[0x23, 0x10], Some(0x100)), Ok(0x110));
        assert_eq!(
            evaluate(&[0x23, 0x10], None),
            Err(ExpressionError::Malformed("it takes more from its stack than there is"))
        );
    }

    #[test]
    fn what_cannot_be_evaluated_says_why() {
        assert_eq!(evaluate(&[0x73, 0], None), Err(ExpressionError::Register("rbx")));
        assert_eq!(
            evaluate(&[0x92, 99, 0], None),
            Err(ExpressionError::Malformed("a register that does not exist"))
        );
        assert_eq!(evaluate(&[0x2f, 0xfd, 0xff], None), Err(ExpressionError::Malformed("it does not end")));
        assert_eq!(
            evaluate(&[0x9c], None),
            Err(ExpressionError::Malformed("an operation that is not allowed here"))
        );
        assert!(evaluate(&[0x03, 1, 2, 3, 4, 5, 6, 7, 8], None).is_err());
        assert!(evaluate(&[0x31, 0x30, 0x1b], None).is_err(), "1 / 0");
        assert!(evaluate(&[], None).is_err());
        assert!(evaluate(&[0x50], None).is_err(), "a register's name is no value");
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        for _ in 0..20_000 {
            let bytes: [u8; 12] = std::array::from_fn(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            });
            let _ = evaluate(&bytes, Some(0x7008));
        }
    }
}
