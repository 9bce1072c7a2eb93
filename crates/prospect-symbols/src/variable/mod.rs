//! Variables: which there are at an address, and where their values are in a frame.
//!
//! ```text
//! address ─ scopes ─► Variable ─ locate ─► location list ─ expression ─► Location ─ read ─► bytes
//!                                             FrameContext ──┴── call_site (the caller's frame)
//! ```

mod bounds;
mod call_site;
mod callee;
mod entry;
mod entry_frame;
mod globals;
mod locate;
mod location;
mod machine;
mod member;
mod memo;
mod number;
mod operations;
mod pieces;
mod scopes;
mod tail_calls;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use prospect_process::LinkAddr;

pub use location::{FrameContext, ImplicitTarget, Location, Piece, PieceSource, Unavailable};
pub(crate) use memo::RememberedScopes;

pub use member::MemberExpression;
pub(crate) use tail_calls::TailCalls;

use crate::{ModuleBinary, Pattern, symbol::dwarf::DebugInfo, type_info::TypeRef};

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
    /// What it returns, [`TypeRef::void`] for nothing; `None` where it is not known, and where it was inlined.
    pub result: Option<TypeRef>,
}

/// A variable or parameter. It can be kept: where its value is depends on the frame.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Variable {
    /// Its name; empty for a parameter that has none. Outside of functions it has the names of what it is declared in
    /// before it.
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
    /// Whether the compiler made it up: `this`, the range of a loop.
    pub is_artificial: bool,
    handle: locate::Handle,
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

/// Where the value of a variable is in a frame, and what it is there.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Located {
    /// Where.
    pub location: Location,
    /// Its type. Bounds that depend on the frame are those of this one.
    pub ty: TypeRef,
}

impl Variable {
    /// Where its value is in a frame of the function that it was found in.
    ///
    /// # Errors
    /// When it cannot be had; they say why.
    pub fn locate(&self, frame: &dyn FrameContext) -> Result<Located, Unavailable> {
        locate::variable(self, frame)
    }
}

impl ModuleBinary {
    /// The functions that an address of the module is in, with their variables: the innermost inlined one first, as many and
    /// in the same order as [`resolve`](Self::resolve) gives. Of a return address, ask for the address before it.
    #[must_use]
    pub fn scopes(self: &Arc<Self>, at: LinkAddr) -> Vec<FunctionScope> {
        let frames = self.resolve(&[at]).pop().unwrap_or_default().frames;
        let mut scopes = self.unnamed_scopes(at).to_vec();
        // Debug information may not know what the symbols do.
        if scopes.is_empty() {
            let unknown =
                |_| FunctionScope { name: None, is_inlined: false, variables: Vec::new(), result: None };
            scopes = frames.iter().map(unknown).collect();
        }
        for (scope, frame) in scopes.iter_mut().zip(frames) {
            (scope.name, scope.is_inlined) = (frame.function, frame.inlined);
        }
        scopes
    }

    /// The same without names, for who has them already, and nothing where there is no debug information.
    #[must_use]
    pub fn unnamed_scopes(&self, at: LinkAddr) -> Arc<[FunctionScope]> {
        let find = |debug: &Arc<DebugInfo>| self.scopes.get(at, || scopes::at(debug, at));
        self.debug_info().map_or_else(|| [].into(), find)
    }

    /// A number for the unit of debug information that an address of the module was found in when its name was asked for. Addresses
    /// of one unit share most of what is read for them.
    #[must_use]
    pub fn named_unit(&self, at: LinkAddr) -> Option<u64> {
        Some(self.debug_info()?.noted_unit(at)? as u64)
    }

    /// The variables outside of functions of the unit that an address of the module lies in.
    #[must_use]
    pub fn globals_of_unit(&self, at: LinkAddr) -> Vec<Variable> {
        self.debug_info().map_or_else(Vec::new, |debug| globals::of_unit(debug, at))
    }

    /// The variables outside of functions of that name, with or without the names around it, in the unit that an address of the
    /// module lies in.
    #[must_use]
    pub fn globals_near(&self, name: &str, at: LinkAddr) -> Vec<Variable> {
        let find = |debug: &Arc<DebugInfo>| globals::in_unit_of(debug, at, name, &mut debug.tank().fuel());
        self.debug_info().map_or_else(Vec::new, find)
    }

    /// The variables outside of calls of that name, with or without the names around it: first those of the unit that
    /// `near` lies in, and only where it has none those of all others, for which all of the debug information is looked through.
    #[must_use]
    pub fn globals(&self, name: &str, near: Option<LinkAddr>) -> Vec<Variable> {
        let own = near.map(|near| self.globals_near(name, near)).filter(|own| !own.is_empty());
        own.unwrap_or_else(|| {
            let find = |debug: &Arc<DebugInfo>| globals::find(debug, name, &mut debug.tank().fuel());
            self.debug_info().map_or_else(Vec::new, find)
        })
    }

    /// The variables outside of calls that a pattern means, those that functions keep between calls among them; at most 100,000.
    #[must_use]
    pub fn globals_like(&self, pattern: &Pattern) -> Vec<Variable> {
        let find = |debug: &Arc<DebugInfo>| globals::like(debug, pattern, &mut debug.tank().fuel());
        self.debug_info().map_or_else(Vec::new, find)
    }

    /// The first of the [globals](Self::globals) of that name.
    #[must_use]
    pub fn global(&self, name: &str, near: Option<LinkAddr>) -> Option<Variable> {
        self.globals(name, near).into_iter().next()
    }
}
