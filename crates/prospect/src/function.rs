//! Functions as objects.

use std::ops::Range;

use prospect_process::Addr;
use prospect_symbols::SourceFrame;

use crate::ModulePosition;

/// A function of a process: an owned value that outlives the session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Function {
    /// Its name, demangled.
    pub name: String,
    /// Its name as the symbol table has it; `None` for one that is in none.
    pub linkage_name: Option<String>,
    /// Where its code is: empty where only its start is known, `None` for one that is in no symbol table.
    pub range: Option<Range<Addr>>,
    /// The module that it is of, and where it begins in that; for one in no symbol table, where the address is that was
    /// asked for. `None` for code that was made at run time.
    pub module: Option<ModulePosition>,
    /// The source file that its code begins in.
    pub file: Option<String>,
    /// The line that its code begins at, from 1.
    pub line: Option<u32>,
}

impl Function {
    /// One that is in no symbol table.
    pub(crate) fn from_source(frame: SourceFrame, module: Option<ModulePosition>) -> Option<Self> {
        let SourceFrame { function, file, line, .. } = frame;
        Some(Self { name: function?, linkage_name: None, range: None, module, file, line })
    }
}
