//! DWARF expressions in call frame information (DWARF 5, sections 2.5 and 6.4.2).

use std::sync::Arc;

use gimli::{EndianSlice, EvaluationResult, RunTimeEndian, Value};
use prospect_process::{Addr, ArchInfo, Memory, MemoryError, RegisterId, Registers};

/// An expression that takes more operations than this is not believed to end.
const MOST_OPERATIONS: u32 = 10_000;

/// A DWARF expression from call frame information.
#[derive(Clone, Debug)]
pub struct Expression {
    bytes: Arc<[u8]>,
}

/// What nearly all expressions in call frame information are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExpressionShape {
    /// A register plus an offset.
    RegisterPlus {
        /// The register.
        register: RegisterId,
        /// What is added to it.
        offset: i64,
    },
    /// The word that is saved at a register plus an offset, plus another one: frames that were realigned, and
    /// signal trampolines.
    SavedPlus {
        /// The register.
        register: RegisterId,
        /// What is added to it.
        offset: i64,
        /// What is added to the word there.
        plus: u64,
    },
    /// What linkers write for linkage tables: a register plus an offset, and `1 << shift` more in an
    /// entry's second part, where `pc & 15 >= from`.
    LinkageTable {
        /// The register.
        register: RegisterId,
        /// What is added to it.
        offset: i64,
        /// Where in 16 bytes of code the second part of an entry begins.
        from: u64,
        /// Which power of two is added there.
        shift: u64,
    },
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

    fn in_gimli(&self, arch: &ArchInfo) -> gimli::Expression<EndianSlice<'_, RunTimeEndian>> {
        let endian = if arch.big_endian { RunTimeEndian::Big } else { RunTimeEndian::Little };
        gimli::Expression(EndianSlice::new(&self.bytes, endian))
    }

    /// What it computes, where it has one of the usual shapes.
    #[must_use]
    pub fn shape(&self, arch: &ArchInfo) -> Option<ExpressionShape> {
        use gimli::Operation as Op;
        let mut operations = self.in_gimli(arch).operations(encoding(arch));
        let mut next = || operations.next().ok();
        let Some(Op::RegisterOffset { register, offset, base_type }) = next()? else { return None };
        let register = arch.by_dwarf(register.0).filter(|_| base_type.0 == 0)?;
        let constant = |operation| match operation {
            Some(Op::UnsignedConstant { value }) => Some(value),
            // DW_OP_lit0 and the like are constants of either sign.
            Some(Op::SignedConstant { value }) => u64::try_from(value).ok(),
            _ => None,
        };
        match next()? {
            None => Some(ExpressionShape::RegisterPlus { register, offset }),
            Some(Op::Deref { size, space: false, base_type })
                if size == arch.word_bytes && base_type.0 == 0 =>
            {
                let plus = match next()? {
                    None => 0,
                    Some(Op::PlusConstant { value }) if next()?.is_none() => value,
                    _ => return None,
                };
                Some(ExpressionShape::SavedPlus { register, offset, plus })
            }
            Some(Op::RegisterOffset { register: pc, offset: 0, .. })
                if arch.by_dwarf(pc.0) == Some(arch.pc) =>
            {
                let is_low_bits = constant(next()?) == Some(15) && matches!(next()?, Some(Op::And));
                let from = constant(next()?).filter(|_| is_low_bits)?;
                let is_compared = matches!(next()?, Some(Op::Ge));
                let shift = constant(next()?).filter(|shift| is_compared && *shift < 16)?;
                let is_added = matches!(next()?, Some(Op::Shl)) && matches!(next()?, Some(Op::Plus));
                let is_end = is_added && next()?.is_none();
                is_end.then_some(ExpressionShape::LinkageTable { register, offset, from, shift })
            }
            _ => None,
        }
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
        let mut evaluation = self.in_gimli(arch).evaluation(encoding(arch));
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

fn encoding(arch: &ArchInfo) -> gimli::Encoding {
    gimli::Encoding { address_size: arch.word_bytes, format: gimli::Format::Dwarf32, version: 5 }
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
    fn the_usual_shapes_are_known() {
        let info = Arch::X86_64.info();
        let shape = |bytes: &[u8]| Expression::new(bytes).shape(info);
        let (sp, fp) = (info.sp, info.fp);
        assert_eq!(
            shape(&[0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22]),
            Some(ExpressionShape::LinkageTable { register: sp, offset: 8, from: 11, shift: 3 })
        );
        assert_eq!(shape(&[0x76, 0x78]), Some(ExpressionShape::RegisterPlus { register: fp, offset: -8 }));
        let saved = |offset, plus| Some(ExpressionShape::SavedPlus { register: fp, offset, plus });
        assert_eq!(shape(&[0x76, 0x78, 0x06]), saved(-8, 0));
        assert_eq!(shape(&[0x76, 0x78, 0x06, 0x23, 0x10]), saved(-8, 16));
        for other in
            [&[][..], &[0x77], &[0x76, 0x78, 0x06, 0x06], &[0x77, 8, 0x94, 4], &[0x30], &[0x77, 8, 0x80, 0]]
        {
            assert_eq!(shape(other), None, "{other:x?}");
        }
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
