//! What Go programs know of their own code: the tables that their runtime prints stacks by. `-ldflags=-s -w` leaves
//! them, since a program needs them to run.
//!
//! ```text
//! pcHeader ─ function table ─► _func ─┬─ pcsp ───────────► rows      how far sp is below the caller's
//!                                     ├─ pcfile, pcln ──► lines
//!                                     └─ FUNCDATA_InlTree ► inlined calls
//! ```
//!
//! Sources: `runtime/symtab.go`, `runtime/runtime2.go` (`_func`), `internal/abi/symtab.go` of Go 1.16 to 1.27, and
//! the design "Go 1.2 Runtime Symbol Information".

mod build_info;
mod fields;
mod find;
mod frames;
mod function;
mod header;
mod module_data;
mod pc_values;
mod relocations;
mod row;
mod structure;
#[cfg(test)]
mod tests;

use std::ops::Range;

use prospect_process::LinkAddr;

pub use build_info::GoRelease;

use crate::{UnwindRow, binary::Headers, symbol::SourceFrame};
use function::FunctionData;
use header::{Header, Tables};
use module_data::ModuleData;
pub(crate) use structure::field_offsets;

/// What is known of a Go program as a whole.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GoProgram {
    /// The release that it was built with; `None` where it does not say, or says it in a way of its own.
    pub release: Option<GoRelease>,
    /// The variables of the program that begin as zero and can hold pointers: the runtime's are among them. `None` where
    /// its module data were not found.
    pub bss: Option<Range<LinkAddr>>,
    header: Header,
    /// Where the offsets of functions count from.
    text: u64,
    /// Where the offsets of function data count from (`go:func.*`).
    function_data: Option<u64>,
}

impl GoProgram {
    /// What a file says; `None` where it is no Go program.
    pub(crate) fn find(headers: &Headers) -> Option<Self> {
        let header = Header::find(headers)?;
        let release = build_info::release(headers);
        let module = ModuleData::find(headers, &header, release.as_ref());
        let text = module.as_ref().map(|module| module.text).filter(|text| *text != 0);
        Some(Self {
            text: text.or(header.text_start).or_else(|| text_section(headers))?,
            bss: module.as_ref().map(|module| module.bss.clone()).filter(|bss| !bss.is_empty()),
            function_data: module.and_then(|module| module.function_data),
            release,
            header,
        })
    }

    /// The functions and lines at an address, the innermost inlined one first; none where it is not Go's code.
    pub(crate) fn frames(&self, headers: &Headers, at: LinkAddr) -> Vec<SourceFrame> {
        let Some(function) = self.tables(headers).function(at.0) else { return Vec::new() };
        frames::frames(&function, at.0, |data| {
            let start = match data {
                FunctionData::Address(at) => at,
                FunctionData::Offset(offset) => self.function_data?.checked_add(offset)?,
            };
            Some(headers.loaded(LinkAddr(start)))
        })
    }

    /// What the tables say of the way from an address to its caller.
    pub(crate) fn row(&self, headers: &Headers, at: LinkAddr) -> GoRow {
        let Some(function) = self.tables(headers).function(at.0) else { return GoRow::Unknown };
        row::row(&function, headers.arch, self.release.as_ref(), at.0)
    }

    fn tables<'a>(&'a self, headers: &'a Headers) -> Tables<'a> {
        Tables { header: &self.header, bytes: self.header.bytes(headers), text: self.text }
    }
}

/// A row of the runtime's own tables.
#[derive(Debug)]
pub(crate) enum GoRow {
    /// It is no code of Go, or of an architecture whose rows are not known.
    Unknown,
    /// The function goes over to another stack, so that no row can be true in all of it, whoever has written one.
    OtherStack,
    /// Nothing called the function, as far as this stack goes, or what seems to have called it was interrupted. No other
    /// table knows that.
    Marked(Box<UnwindRow>),
    /// How to get to the caller.
    Caller(Box<UnwindRow>),
}

fn text_section(headers: &Headers) -> Option<u64> {
    let section = headers.sections.iter().find(|one| *one.name == *b".text")?;
    Some(section.address.0)
}
