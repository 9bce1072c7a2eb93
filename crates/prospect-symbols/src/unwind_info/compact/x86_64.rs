//! Encodings of AMD64 (`UNWIND_X86_64_*`).

use prospect_process::{Arch, RegisterId};

use super::{CfaRule, MODE, RegisterRule, UnwindInfoError, UnwindRow, broken};

const FRAME_POINTER: u32 = 0x0100_0000;
const STACK_IMMEDIATE: u32 = 0x0200_0000;
const STACK_INDIRECT: u32 = 0x0300_0000;
const WORD: i64 = 8;

/// A register by the number that encodings have for it: rbx, r12 to r15, rbp.
fn register(number: u32) -> Option<RegisterId> {
    const ORDER: [u8; 6] = [3, 12, 13, 14, 15, 6];
    ORDER.get((number as usize).checked_sub(1)?).copied().map(RegisterId)
}

/// The row of an encoding; `None` where the encoding leaves it to DWARF. `stack_size` reads it from the code.
pub(super) fn row(
    encoding: u32,
    stack_size: impl FnOnce() -> Option<u32>,
) -> Result<Option<UnwindRow>, UnwindInfoError> {
    let info = Arch::X86_64.info();
    let mut row = UnwindRow::new();
    row.return_address = info.pc;
    row.rules.push((info.pc, RegisterRule::AtCfa(-WORD)));
    match encoding & MODE {
        FRAME_POINTER => {
            row.cfa = CfaRule::Register(info.fp, 2 * WORD);
            row.rules.push((info.fp, RegisterRule::AtCfa(-2 * WORD)));
            let lowest = -2 * WORD - WORD * i64::from(encoding >> 16 & 0xff);
            for place in 0..5 {
                let number = encoding >> (3 * place) & 7;
                if number == 0 {
                    continue;
                }
                let id = register(number).filter(|id| *id != info.fp);
                let id = id.ok_or_else(|| broken("a register is not known"))?;
                row.rules.push((id, RegisterRule::AtCfa(lowest + WORD * i64::from(place))));
            }
        }
        mode @ (STACK_IMMEDIATE | STACK_INDIRECT) => {
            let bytes = if mode == STACK_IMMEDIATE {
                WORD * i64::from(encoding >> 16 & 0xff)
            } else {
                let size = stack_size().ok_or_else(|| broken("the code has no stack size"))?;
                i64::from(size) + WORD * i64::from(encoding >> 13 & 7)
            };
            row.cfa = CfaRule::Register(info.sp, bytes);
            let count = encoding >> 10 & 7;
            let registers = permutation(count as usize, encoding & 0x3ff);
            let registers = registers.ok_or_else(|| broken("a permutation is not known"))?;
            // Below the return address.
            let lowest = -WORD - WORD * i64::from(count);
            for (number, place) in registers.into_iter().zip(0..) {
                let id = register(number).ok_or_else(|| broken("a register is not known"))?;
                row.rules.push((id, RegisterRule::AtCfa(lowest + WORD * place)));
            }
        }
        _ => return Ok(None),
    }
    Ok(Some(row))
}

/// The registers that a number means: of all orders of so many of six, it is the index of one.
pub(super) fn permutation(count: usize, mut index: u32) -> Option<Vec<u32>> {
    let mut left: Vec<u32> = (1..=6).collect();
    if count > left.len() {
        return None;
    }
    let mut registers = Vec::new();
    for place in 0..count {
        // So many orders begin with one register.
        let rest: u32 = (0..count - place - 1).map(|step| 5 - (place + step) as u32).product();
        let number = index / rest;
        index %= rest;
        if number as usize >= left.len() {
            return None;
        }
        registers.push(left.remove(number as usize));
    }
    Some(registers)
}
