//! Where a value is (DWARF 5, section 2.6), and what must be known of a frame to say so.

use prospect_process::{Addr, ArchInfo, LinkAddr, Memory};

use crate::ModuleBinary;

/// What is known of one frame, for the locations of its variables. Registers are those of *this* frame, as the walk
/// recovered them.
pub trait FrameContext {
    /// The architecture.
    fn arch(&self) -> &ArchInfo;

    /// The address in the code that variables are looked up for, as linked: of a return address, the one before it.
    fn at(&self) -> LinkAddr;

    /// What to add to an address as linked to have the one in the process.
    fn bias(&self) -> u64;

    /// The memory of the process.
    fn memory(&self) -> &dyn Memory;

    /// A general register by its DWARF number; `None` where its value is not known.
    fn register(&self, number: u16) -> Option<u64>;

    /// The bytes of any register, vector and floating point ones among them, in the machine's order.
    fn register_bytes(&self, number: u16) -> Option<Vec<u8>>;

    /// The binary that its code is in, where its calls are described; `None` where it is in none.
    fn binary(&self) -> Option<&ModuleBinary>;

    /// The address that the function which it called returns to, as linked. `None` where it made no call: it runs, or a
    /// signal has interrupted it.
    fn return_address(&self) -> Option<LinkAddr>;

    /// The address that call frame information calls the canonical frame address: the stack pointer before the call, on most machines.
    fn cfa(&self) -> Option<Addr>;

    /// The frame that called this one, not for inlined calls: `DW_OP_entry_value` is found by what it says of the call.
    fn caller(&self) -> Option<&dyn FrameContext>;

    /// Where a thread-local variable of this frame's module is in this thread, by its offset in the module's block.
    fn thread_local(&self, offset: u64) -> Option<Addr>;
}

/// Where a value is: usually one piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The pieces, that with the value's first bytes first.
    pub pieces: Vec<Piece>,
}

impl Location {
    /// All of it at an address.
    #[must_use]
    pub fn memory(at: Addr) -> Self {
        Self { pieces: vec![Piece { bits: None, skip: 0, source: PieceSource::Memory(at) }] }
    }

    /// All of it given.
    #[must_use]
    pub fn bytes(bytes: Vec<u8>) -> Self {
        Self { pieces: vec![Piece { bits: None, skip: 0, source: PieceSource::Bytes(bytes) }] }
    }
}

/// A part of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// How many bits it has; `None` for all that are left.
    pub bits: Option<u64>,
    /// How many bits of the source are passed over.
    pub skip: u64,
    /// Where it is.
    pub source: PieceSource,
}

/// Where a part of a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PieceSource {
    /// In memory.
    Memory(Addr),
    /// In a register, by its DWARF number.
    Register(u16),
    /// Nowhere: the debug information says what it is.
    Bytes(Vec<u8>),
    /// It was a pointer to something that has no address: what it pointed to is known (`DW_OP_implicit_pointer`).
    ImplicitPointer(Box<ImplicitTarget>),
    /// It was optimised out.
    Missing,
}

/// What a pointer that was optimised out pointed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImplicitTarget {
    /// Where that is; its value may be known without it being anywhere.
    pub location: Location,
    /// How many bytes into it the pointer pointed.
    pub offset: i64,
}

/// Why the value of a variable cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// The compiler did not keep it, here or anywhere.
    #[error("optimised out")]
    OptimisedOut,
    /// It belongs to a block or to instructions that the frame is not in.
    #[error("not in scope")]
    NotInScope,
    /// The value has more bytes than may be read, or than where it is has.
    #[error("{bytes} bytes do not fit into {room}")]
    DoesNotFit {
        /// How many it has.
        bytes: u64,
        /// How many there is room for.
        room: u64,
    },
    /// Memory that holds it, or that leads to it, cannot be read.
    #[error("memory at {0} cannot be read")]
    CannotRead(Addr),
    /// It is in a register, or is found by one, whose value in this frame is not known.
    #[error("register {0} is not known in this frame")]
    RegisterUnknown(String),
    /// It is a pointer to something that has no address: [what it points to](PieceSource::ImplicitPointer) may be known.
    #[error("a pointer to what has no address")]
    NoAddress,
    /// It is found by what a register held when the function was called, and the caller does not say that.
    #[error("its value at the call is not known")]
    EntryValueUnknown,
    /// The thread has no such block, or nobody knows where it is.
    #[error("the thread's own variables were not found")]
    ThreadLocalUnknown,
    /// The debug information is broken, or uses what is not known here.
    #[error("the debug information is not understood: {0}")]
    NotUnderstood(String),
    /// Its type is not known.
    #[error(transparent)]
    Type(#[from] crate::type_info::TypeError),
}
