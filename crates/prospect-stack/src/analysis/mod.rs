//! What the code of a function does with the stack: for code of which nobody wrote it down.
//!
//! The function is decoded from its start along all paths. Forward dataflow then gives, for every instruction,
//! where sp and the frame pointer are relative to the canonical frame address, and where each register was saved
//! that the function must give back. Where two paths meet, what they do not agree on is not known. Nothing
//! is run, and nothing of the stack is looked at.
//!
//! An architecture tells what its instructions do ([`isa`]); the rest is the same for all.

mod aarch64;
mod code;
mod flow;
mod isa;
mod row;
mod state;
#[cfg(test)]
mod tests;
mod x86;

pub(crate) use isa::{Reference, isa};
pub(crate) use row::{CfaPlace, Row, Saved};

use code::{Code, Way};
use flow::{Flow, Returns};
use prospect_process::{Addr, Arch, Memory};
use row::Rows;
use state::State;

use crate::CodeAddress;

/// More bytes of one function are not read.
pub(crate) const LARGEST_FUNCTION: u64 = 64 << 10;

/// More instructions of one function are not decoded.
pub(crate) const MOST_INSTRUCTIONS: usize = 20_000;

/// Why nothing of an architecture is.
pub(crate) const NOT_ANALYSED: Why = "the code of this architecture is not analysed";

/// Why a function was not analysed.
pub(crate) type Why = &'static str;

/// A function, as its code is in memory.
pub(crate) struct FunctionCode<'a> {
    pub(crate) arch: Arch,
    pub(crate) start: Addr,
    /// Its bytes, and where its end is not known, those behind it.
    pub(crate) bytes: &'a [u8],
    /// Whether all of the bytes are its own.
    pub(crate) is_whole: bool,
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
    /// Whether it jumps to places that are not known, and more of its code may be there.
    is_open: bool,
    is_cut: bool,
}

/// What is known where code is entered that is no function of its own: a part which was split off one, or what
/// the entries of a procedure linkage table share.
#[derive(Clone, Debug)]
pub(crate) struct Entry(State);

impl Analysis {
    /// Analyses a function.
    pub(crate) fn of(function: &FunctionCode<'_>) -> Result<Self, Why> {
        Self::solve(function, State::entry(function.arch.info()), |analysis, _| analysis)
    }

    /// Analyses code that a function jumps to.
    pub(crate) fn of_part(part: &FunctionCode<'_>, entry: &Entry) -> Result<Self, Why> {
        Self::solve(part, entry.0, |analysis, _| analysis)
    }

    /// What is known where a function jumps by the instruction that ends at `end`.
    pub(crate) fn at_jump(function: &FunctionCode<'_>, end: Addr) -> Option<Entry> {
        let offset = end.0.checked_sub(function.start.0)?;
        let solved = Self::solve(function, State::entry(function.arch.info()), |_, flow| {
            let mut found = None;
            flow.visit(|_, instruction, state, _| {
                let is_jump = matches!(instruction.way, Way::Jump | Way::Branch);
                if is_jump && u64::from(instruction.end()) == offset {
                    found = Some(Entry(state.elsewhere()));
                }
            });
            found
        });
        solved.ok()?
    }

    fn solve<T>(
        function: &FunctionCode<'_>,
        start: State,
        then: impl FnOnce(Self, &Flow<'_>) -> T,
    ) -> Result<T, Why> {
        let isa = isa(function.arch).ok_or(NOT_ANALYSED)?;
        let info = function.arch.info();
        // By some conventions for 32-bit x86, a called function takes its arguments off the stack.
        let may_pop = info.link.is_none() && info.word_bytes == 4;
        for looks_into_calls in [false, true] {
            let code = Code::decode(function, isa, looks_into_calls);
            let mut flow = Flow::solve(&code, info, start)?;
            let (mut analysis, returns) = Self::read(function, &flow);
            if !returns.are_good() {
                if may_pop && !looks_into_calls {
                    continue;
                }
                flow.rule_out(&returns)?;
                analysis = Self::read(function, &flow).0;
            }
            analysis.is_cut = code.is_cut() && !function.is_whole;
            return Ok(then(analysis, &flow));
        }
        Err("it does not return as it should")
    }

    /// What the dataflow says, and how the function returns by that.
    fn read(function: &FunctionCode<'_>, flow: &Flow<'_>) -> (Self, Returns) {
        let info = function.arch.info();
        let mut rows = Rows::new(function.arch);
        let mut returns = Returns::default();
        let mut analysis = Self { start: function.start, ..Self::default() };
        flow.visit(|leader, instruction, state, same_as_before| {
            let row = if same_as_before { rows.last() } else { rows.add(state) };
            analysis.instructions.push((instruction.offset, row));
            match instruction.way {
                Way::Call => {
                    // The call puts its own return address into the link register.
                    let row = info.link.map_or(row, |link| rows.add(&state.without(link.0)));
                    analysis.calls.push((instruction.offset + u32::from(instruction.bytes), row));
                }
                Way::Return | Way::Jump | Way::Unknown => {
                    let is_as_on_entry = state.is_as_on_entry(info);
                    analysis.is_open |= instruction.way == Way::Unknown && !is_as_on_entry;
                    analysis.may_tail_call |= instruction.is_jump() && is_as_on_entry;
                    returns.note(leader, instruction, state, is_as_on_entry);
                }
                _ => {}
            }
        });
        // They come in runs that are sorted: so the stable sort is the faster one.
        analysis.instructions.sort_by_key(|(offset, _)| *offset);
        analysis.calls.sort_by_key(|(offset, _)| *offset);
        analysis.instructions.shrink_to_fit();
        analysis.calls.shrink_to_fit();
        analysis.rows = rows.finish();
        (analysis, returns)
    }

    /// What is known before the instruction at an address runs, or in the call that returns there.
    pub(crate) fn row(&self, at: CodeAddress) -> Option<Row> {
        let among = match at {
            CodeAddress::Exact(_) => &self.instructions,
            CodeAddress::ReturnAddress(_) => &self.calls,
        };
        let offset = u32::try_from(at.addr().0.checked_sub(self.start.0)?).ok()?;
        let index = among.binary_search_by_key(&offset, |(offset, _)| *offset).ok()?;
        self.rows.get(usize::from(among.get(index)?.1)).copied()
    }

    /// Whether another function may have taken its place, which then returns to its caller.
    pub(crate) fn may_tail_call(&self) -> bool {
        self.may_tail_call
    }

    /// Whether it jumps to places that are not known, and more of its code may be there.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether more of the bytes behind its start might have had more of it.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The memory that it takes, in bytes.
    pub(crate) fn size(&self) -> usize {
        let instructions = self.instructions.capacity() + self.calls.capacity();
        size_of::<Self>() + self.rows.capacity() * size_of::<Row>() + instructions * size_of::<(u32, u16)>()
    }
}

/// So many instructions has a stub at most, all in all.
const MOST_STUB_INSTRUCTIONS: usize = 8;

/// How many bytes the code at `start` pushes before it goes on to where a word of memory says: so do the entries of a
/// procedure linkage table, until what they lead to was looked up. `None` where it does something else.
pub(crate) fn pushed_by_stub(arch: Arch, start: Addr, memory: &dyn Memory) -> Option<u32> {
    let (isa, info) = (isa(arch)?, arch.info());
    let entry = State::entry(info);
    let (mut state, mut at) = (entry, start);
    for _ in 0..MOST_STUB_INSTRUCTIONS {
        // With the beginning of the next instruction, which tells some jumps from others.
        let mut bytes = [0; 2 * code::LONGEST_INSTRUCTION];
        let read = memory.read_available(at, &mut bytes);
        let function = FunctionCode { arch, start: at, bytes: bytes.get(..read)?, is_whole: false, memory };
        let mut listing = isa::Listing::default();
        let mut decoder = (isa.decoder)(&function, false);
        decoder.begin(0);
        let decoded = decoder.decode(&mut listing)?;
        listing.ops.iter().for_each(|op| _ = state.apply(*op, 0));
        at = match decoded.next {
            isa::Next::Behind | isa::Next::Branch(_) => at.wrapping_add(u64::from(decoded.bytes)),
            isa::Next::Jump(to) => Addr(to),
            isa::Next::Unknown => return state.depth_below(&entry),
            _ => return None,
        };
    }
    None
}
