//! What an architecture tells of its instructions, in terms that are no architecture's own.
//!
//! To add one: a folder or file with an [`Isa`] beside this one, and an arm in [`isa`]. What it must know is
//! how to [decode](Decode), and what starts of functions look like. Which registers there are, and where the
//! return address is when a function is entered, its table says (`ArchInfo`).

use prospect_process::{Addr, Arch};

use super::{FunctionCode, aarch64, x86};

/// A register by its place in the table of its architecture; below [`REGISTERS`].
pub(super) type Register = u8;

/// As many registers are followed: the first ones of the table.
pub(super) const REGISTERS: usize = 32;

/// A place in memory: a register and what is added to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) register: Register,
    pub(super) offset: i32,
}

/// A part of what an instruction does, as far as it matters. What it does is some of these in turn.
#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    /// `to` = `from` + `bytes`
    Add { to: Register, from: Register, bytes: i32 },
    /// `to` = `from` + `other`, or `from` - `other`
    Sum { to: Register, from: Register, other: Register, is_minus: bool },
    /// `to` = `value`
    Number { to: Register, value: i32 },
    /// `to` = `from` with some low bits cut off.
    Align { to: Register, from: Register },
    /// Reads a word.
    Load { to: Register, from: Place },
    /// Writes so many bytes, and if they are a word of a register, which.
    Store { to: Place, bytes: u16, from: Option<Register> },
    /// Calls a function, which changes the registers of these bits.
    Call { changed: u32 },
    /// Does something else to the registers of these bits.
    Forget { changed: u32 },
}

/// Where code goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// Behind the instruction.
    Behind,
    /// There only.
    Jump(u64),
    /// There or behind.
    Branch(u64),
    /// Behind, if the call returns.
    Call,
    /// At the return address.
    Return,
    /// At one of the places of the jump table of this number in the [`Listing`].
    Table(u16),
    /// At a place that is computed, and not known.
    Unknown,
    /// Nowhere.
    Nowhere,
}

/// What was decoded of a function besides its instructions.
#[derive(Default)]
pub(super) struct Listing {
    /// What the instructions do, one behind the other.
    pub(super) ops: Vec<Op>,
    /// Where each jump through a table may lead.
    pub(super) tables: Vec<Vec<u64>>,
}

/// An instruction that was decoded. What it does lies at the end of the [`Listing`].
pub(super) struct Decoded {
    pub(super) bytes: u8,
    pub(super) next: Next,
    /// Of a branch: the stack pointer is as this register behind it, where it is not taken. So ends a loop that
    /// takes room on the stack page by page.
    pub(super) sp_behind: Option<Register>,
    /// Whether it does nothing: such instructions fill the room before code that is aligned.
    pub(super) is_idle: bool,
}

/// Reads the instructions of a function.
pub(super) trait Decode {
    /// A straight run of code begins so many bytes from the start: nothing is known of what ran before.
    fn begin(&mut self, offset: u32);

    /// Reads the next instruction of the run. `None` where there is none.
    fn decode(&mut self, listing: &mut Listing) -> Option<Decoded>;
}

/// More calls and jumps are not looked for.
pub(super) const MOST_REFERENCES: usize = 512 << 10;

/// A call or a jump whose target is in the instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reference {
    /// Behind the instruction.
    pub(crate) end: Addr,
    pub(crate) to: Addr,
    pub(crate) is_call: bool,
}

/// An architecture whose code can be analysed.
pub(crate) struct Isa {
    /// Begins to read a function. Where it is told to, it looks into the functions that are called for what
    /// they do to the stack of their caller, which takes longer.
    pub(super) decoder: for<'a> fn(&'a FunctionCode<'a>, looks_into_calls: bool) -> Box<dyn Decode + 'a>,
    /// Whether the code before a place ends a function, or the code there begins one.
    pub(crate) is_start: fn(before: &[u8], here: &[u8], place: Addr) -> bool,
    /// The calls and jumps within code that lies at a place. Where instructions have no fixed places, some bytes
    /// within others are taken for calls and jumps too: few of these lead to somewhere in the code. No more than
    /// [`MOST_REFERENCES`].
    pub(crate) references: fn(code: &[u8], at: Addr) -> Vec<Reference>,
}

/// The architecture's instructions, where they can be analysed.
pub(crate) fn isa(arch: Arch) -> Option<&'static Isa> {
    match arch {
        Arch::X86_64 | Arch::I386 => Some(&x86::ISA),
        Arch::Aarch64 => Some(&aarch64::ISA),
        _ => None,
    }
}
