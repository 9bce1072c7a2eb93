//! What the code of a function does with the stack: for code of which nobody wrote it down.
//!
//! The function is decoded from its start along all paths. Forward dataflow then gives, for every instruction,
//! where sp and the frame pointer are relative to the canonical frame address, and where each register was saved
//! that the function must give back. Where two paths meet, what they do not agree on is not known. Nothing
//! is run, and nothing of the stack is looked at.

mod effect;
mod flow;
mod jump_table;
mod row;
mod state;
#[cfg(test)]
mod tests;

pub(crate) use row::{CfaPlace, Row, Saved};

use flow::Flow;
use prospect_process::{Addr, Arch, Memory};
use row::Rows;

/// More bytes of one function are not read.
pub(crate) const LARGEST_FUNCTION: u64 = 64 << 10;

/// More instructions of one function are not decoded.
pub(crate) const MOST_INSTRUCTIONS: usize = 20_000;

/// Why a function was not analysed.
pub(crate) type Why = &'static str;

/// A function, as its code is in memory.
pub(crate) struct FunctionCode<'a> {
    pub(crate) arch: Arch,
    pub(crate) start: Addr,
    /// Its bytes, and where its end is not known, those behind it.
    pub(crate) bytes: &'a [u8],
    pub(crate) memory: &'a dyn Memory,
}

/// What is known at the instructions of one function.
#[derive(Debug, Default)]
pub(crate) struct Analysis {
    start: Addr,
    rows: Vec<Row>,
    /// The offset of each instruction in the function, sorted, and its row.
    instructions: Vec<(u32, u16)>,
    /// The same of the ends of calls. It says how things were when the call was made: the call may be one that
    /// never returns.
    calls: Vec<(u32, u16)>,
    /// Whether it jumps with the stack as it was on entry, and so perhaps to another function.
    may_tail_call: bool,
}

impl Analysis {
    /// Analyses a function of x86 code.
    pub(crate) fn of(function: &FunctionCode<'_>) -> Result<Self, Why> {
        let flow = Flow::decode(function);
        let solved = flow.solve(function.arch)?;
        let mut rows = Rows::new(function.arch);
        let mut analysis = Self { start: function.start, ..Self::default() };
        flow.visit(&solved, |instruction, state, same_as_before| {
            let row = if same_as_before { rows.last() } else { rows.add(state) };
            analysis.instructions.push((instruction.offset, row));
            analysis.may_tail_call |= instruction.is_jump() && state.is_as_on_entry();
            if let flow::Next::Call = instruction.next {
                analysis.calls.push((instruction.offset + u32::from(instruction.bytes), row));
            }
        });
        analysis.instructions.sort_unstable_by_key(|(offset, _)| *offset);
        analysis.calls.sort_unstable_by_key(|(offset, _)| *offset);
        analysis.rows = rows.finish();
        Ok(analysis)
    }

    /// What is known before the instruction at `at` runs.
    pub(crate) fn at(&self, at: Addr) -> Option<&Row> {
        self.find(&self.instructions, at)
    }

    /// What is known in the call that returns to `to`.
    pub(crate) fn in_call(&self, to: Addr) -> Option<&Row> {
        self.find(&self.calls, to)
    }

    /// Whether another function may have taken its place, which then returns to its caller.
    pub(crate) fn may_tail_call(&self) -> bool {
        self.may_tail_call
    }

    /// How many instructions were reached.
    pub(crate) fn len(&self) -> usize {
        self.instructions.len()
    }

    fn find(&self, among: &[(u32, u16)], at: Addr) -> Option<&Row> {
        let offset = u32::try_from(at.0.checked_sub(self.start.0)?).ok()?;
        let index = among.binary_search_by_key(&offset, |(offset, _)| *offset).ok()?;
        self.rows.get(usize::from(among.get(index)?.1))
    }
}
