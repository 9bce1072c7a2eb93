//! Variables: which there are at an address, and where their values are in a frame.

mod location;

use std::sync::Arc;

pub use location::{FrameContext, ImplicitTarget, Location, Piece, PieceSource, Unavailable};

use crate::type_info::TypeRef;

/// A function that an address is in, really or by inlining, and its variables.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FunctionScope {
    /// Its name, demangled, as [`SourceFrame::function`](crate::SourceFrame::function) has it.
    pub name: Option<String>,
    /// Whether it was inlined into the next one.
    pub is_inlined: bool,
    /// Its parameters, in their order, then what its blocks declare, in the order of the debug information.
    pub variables: Vec<Variable>,
}

/// A variable or parameter. It can be kept: where its value is depends on the frame.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Variable {
    /// Its name.
    pub name: Arc<str>,
    /// What it is.
    pub kind: VariableKind,
    /// Its type.
    pub ty: TypeRef,
    /// The source file and line that declare it.
    pub declared: Option<(Arc<str>, u32)>,
    /// How many blocks of its function are around it: of two with the same name, the deeper one hides the other.
    pub depth: u32,
    /// Whether the address that was asked about lies in its block. What is declared in a block elsewhere in the function is
    /// [not in scope](Unavailable::NotInScope).
    pub in_scope: bool,
}

/// What a variable is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VariableKind {
    /// Of a function.
    Parameter,
    /// Of a function or block, one for each call.
    Local,
    /// In a function, one for all calls.
    Static,
    /// Outside of functions.
    Global,
    /// One for each thread.
    ThreadLocal,
    /// A constant, which has no place.
    Constant,
}
