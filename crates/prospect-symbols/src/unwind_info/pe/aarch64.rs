//! Unwind codes of AArch64 (Microsoft, "ARM64 exception handling"): one for each instruction of a prologue or epilogue.

mod codes;
mod packed;

use prospect_process::Arch;

use super::{Tables, UnwindInfoError, UnwindRow, broken, frame::Frame, word};
use codes::Code;

/// The size of an instruction.
const INSTRUCTION: u32 = 4;

/// What is known of a function, or of a part of one.
struct Function {
    bytes: u32,
    /// The codes of its prologue, the last one first.
    prologue: Vec<Code>,
    /// The epilogues: where they begin, in bytes from the function's start, and their codes, the first one first.
    epilogues: Vec<(u32, Vec<Code>)>,
}

/// The row for a relative address; `None` where no entry is.
pub(super) fn row(tables: &Tables<'_>, at: u32) -> Result<Option<UnwindRow>, UnwindInfoError> {
    let Some([begin, data]) = tables.entry(at) else { return Ok(None) };
    let offset = at - begin;
    let function = match data & 3 {
        0 => described(tables.bytes(data), offset)?,
        1 | 2 => packed::function(data),
        _ => return Err(broken("a kind of entry is not known")),
    };
    if offset >= function.bytes {
        return Ok(None);
    }
    let mut frame = Frame::of(Arch::Aarch64);
    codes::undo(function.left_at(offset), &mut frame);
    let start = tables.link(at & !3);
    Ok(Some(frame.row(start..prospect_process::LinkAddr(start.0.wrapping_add(INSTRUCTION.into())))))
}

impl Function {
    /// The codes of what is still to be taken down at an offset.
    fn left_at(&self, offset: u32) -> &[Code] {
        let done = (offset / INSTRUCTION) as usize;
        let steps = codes::steps(&self.prologue);
        if done < steps {
            return &self.prologue[steps - done..];
        }
        for (start, epilogue) in &self.epilogues {
            let Some(inside) = offset.checked_sub(*start) else { continue };
            let done = (inside / INSTRUCTION) as usize;
            // Its last instruction, which leaves the function, has no code of its own.
            if done <= codes::steps(epilogue) {
                return &epilogue[done..];
            }
        }
        &self.prologue
    }
}

/// The function that a record in `.xdata` is of, with those of its epilogues that may be at an offset.
fn described(record: &[u8], offset: u32) -> Result<Function, UnwindInfoError> {
    let field = |index: usize| word(record, 4 * index).ok_or_else(|| broken("it ends in a record"));
    let head = field(0)?;
    if head >> 18 & 3 != 0 {
        return Err(broken("a version is not known"));
    }
    let bytes = (head & 0x3_ffff) * INSTRUCTION;
    let (mut epilogues, mut words) = ((head >> 22 & 0x1f) as usize, (head >> 27) as usize);
    let is_single = head >> 21 & 1 == 1;
    let mut next = 1;
    if epilogues == 0 && words == 0 {
        let more = field(1)?;
        (epilogues, words) = ((more & 0xffff) as usize, (more >> 16 & 0xff) as usize);
        next = 2;
    }
    let scopes = if is_single { 0 } else { epilogues };
    let start = 4 * (next + scopes);
    let all = record.get(start..start + 4 * words).ok_or_else(|| broken("it ends in unwind codes"))?;
    let codes_at =
        |index: usize| codes::decode(all.get(index..).ok_or_else(|| broken("an epilogue has no codes"))?);
    let mut function = Function { bytes, prologue: codes_at(0)?, epilogues: Vec::new() };
    if is_single {
        // It ends with the function.
        let codes = codes_at(epilogues)?;
        let length = (codes::steps(&codes) as u32 + 1) * INSTRUCTION;
        function.epilogues.extend(bytes.checked_sub(length).map(|start| (start, codes)));
    }
    for index in 0..scopes {
        let scope = field(next + index)?;
        let start = (scope & 0x3_ffff) * INSTRUCTION;
        // They are in order, and each is decoded only if it could be the one.
        let longest = (all.len() as u32 + 1) * INSTRUCTION;
        if start <= offset && offset - start < longest {
            function.epilogues.push((start, codes_at((scope >> 22) as usize)?));
        }
    }
    Ok(function)
}
