//! Functions whose prologue is one of few, so that an entry of one word tells all (Microsoft, "ARM64 exception handling",
//! "Packed unwind data").

use super::{Code, Function, INSTRUCTION};

/// How the function is chained to its caller (`CR`).
const SAVES_LINK: u32 = 1;
const CHAINED_SIGNED: u32 = 2;
const CHAINED: u32 = 3;
/// What one instruction can take from the stack, with and without saving a pair.
const LARGEST_STEP: i64 = 4080;
const LARGEST_PAIR_STEP: i64 = 512;

/// The function of an entry.
pub(super) fn function(data: u32) -> Function {
    let bytes = (data >> 2 & 0x7ff) * INSTRUCTION;
    let fields = Fields {
        floats: i64::from(data >> 13 & 7),
        registers: (data >> 16 & 0xf) as u8,
        homes: data >> 20 & 1 == 1,
        chain: data >> 21 & 3,
        frame_bytes: i64::from(data >> 23) * 16,
    };
    let prologue = fields.codes(true);
    if data & 3 == 2 {
        // A part that has neither a prologue nor an epilogue.
        let mut codes = vec![Code::EndOfPart];
        codes.extend(prologue);
        return Function { bytes, prologue: codes, epilogues: Vec::new() };
    }
    let epilogue = fields.codes(false);
    let start = bytes.checked_sub((epilogue.len() as u32 + 1) * INSTRUCTION);
    Function { bytes, prologue, epilogues: start.map(|start| (start, epilogue)).into_iter().collect() }
}

struct Fields {
    floats: i64,
    registers: u8,
    homes: bool,
    chain: u32,
    frame_bytes: i64,
}

impl Fields {
    /// The codes, the last instruction of the prologue first.
    fn codes(&self, is_prologue: bool) -> Vec<Code> {
        let saves_link = self.chain == SAVES_LINK;
        let is_chained = matches!(self.chain, CHAINED | CHAINED_SIGNED);
        let integer_bytes = 8 * (i64::from(self.registers) + i64::from(saves_link));
        let floats = if self.floats == 0 { 0 } else { self.floats + 1 };
        let home_bytes = if self.homes { 64 } else { 0 };
        let saved_bytes = (integer_bytes + 8 * floats + home_bytes + 15) & !15;
        let local_bytes = self.frame_bytes - saved_bytes;
        // In the order of the prologue.
        let mut saves = Vec::new();
        for index in (0..self.registers).step_by(2) {
            let (register, at) = (19 + index, 8 * i64::from(index));
            saves.push(match (index + 1 < self.registers, saves_link) {
                (true, _) => Code::pair(register, register + 1, at),
                (false, true) => Code::pair(register, 30, at),
                (false, false) => Code::single(register, at),
            });
        }
        if saves_link && self.registers.is_multiple_of(2) {
            saves.push(Code::single(30, integer_bytes - 8));
        }
        for index in (0..floats).step_by(2) {
            saves.push(Code::float(integer_bytes + 8 * index));
        }
        if self.homes && (is_prologue || saves.is_empty()) {
            // Arguments are not loaded again: the room for them is given back, if nothing else gives it.
            let homes = if is_prologue { 4 } else { 1 };
            saves.extend((0..homes).map(|index| Code::float(integer_bytes + 8 * floats + 16 * index)));
        }
        if let Some(first) = saves.first_mut() {
            *first = first.taking(saved_bytes);
        }
        let mut codes = Vec::new();
        if self.chain == CHAINED_SIGNED {
            codes.push(Code::Sign);
        }
        codes.extend(saves);
        let takes_pair = is_chained && local_bytes <= LARGEST_PAIR_STEP;
        if takes_pair {
            codes.push(Code::pair(29, 30, 0).taking(local_bytes));
        } else {
            let first = local_bytes.min(LARGEST_STEP);
            let parts = [first, local_bytes - first];
            codes.extend(parts.into_iter().filter(|bytes| *bytes > 0).map(Code::Allocate));
            if is_chained {
                codes.push(Code::pair(29, 30, 0));
            }
        }
        if is_chained && is_prologue {
            codes.push(Code::SetBase(0));
        }
        codes.reverse();
        codes
    }
}
