//! Call frame information: how to get from a frame to its caller's registers.

mod eh_frame_header;
mod expression;
mod fde_index;
mod pointer;
mod row;
#[cfg(test)]
mod tests;

use std::{cell::RefCell, sync::OnceLock};

use gimli::{BaseAddresses, DebugFrame, EhFrame, EndianSlice, RunTimeEndian, UnwindSection};
use prospect_process::{Arch, ArchInfo, LinkAddr};

pub(crate) use eh_frame_header::EhFrameHeader;
pub use expression::{Expression, ExpressionError};
pub(crate) use pointer::PointerFormat;
pub use row::{CfaRule, RegisterRule, UnwindRow};

use crate::binary::{ElfHeaders, NamedSection};
use fde_index::FdeIndex;
use row::{Bytes, RowContext, malformed, row_at};

/// Why call frame information cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnwindInfoError {
    /// It is broken.
    #[error("broken call frame information: {0}")]
    Malformed(String),
}

thread_local! {
    /// Making one costs more than most lookups.
    static CONTEXT: RefCell<RowContext> = RefCell::new(RowContext::new_in());
}

/// The call frame information of one binary: where its parts are, and the indices that were needed.
#[derive(Debug, Default)]
pub(crate) struct CallFrameInfo {
    layout: OnceLock<Layout>,
    eh_frame_index: OnceLock<FdeIndex>,
    debug_frame_index: OnceLock<FdeIndex>,
}

/// Which sections there are, by their place among the binary's.
#[derive(Debug)]
struct Layout {
    header: Option<(usize, EhFrameHeader)>,
    eh_frame: Option<usize>,
    debug_frame: Option<usize>,
    bases: BaseAddresses,
}

impl Layout {
    fn find(headers: &ElfHeaders) -> Self {
        let named = |name: &[u8]| headers.sections.iter().position(|one| *one.name == *name);
        let address = |index: usize| headers.sections[index].address.0;
        let mut bases = BaseAddresses::default();
        if let Some(index) = named(b".text") {
            bases = bases.set_text(address(index));
        }
        if let Some(index) = named(b".got.plt").or_else(|| named(b".got")) {
            bases = bases.set_got(address(index));
        }
        let eh_frame = named(b".eh_frame");
        if let Some(index) = eh_frame {
            bases = bases.set_eh_frame(address(index));
        }
        let header = named(b".eh_frame_hdr").and_then(|index| {
            let format = headers.pointer_format(address(index));
            let header = EhFrameHeader::parse(headers.sections[index].section.all(), format)?;
            // A table over something else cannot be used.
            let same = eh_frame.is_some_and(|eh_frame| address(eh_frame) == header.eh_frame);
            (header.has_table() && same).then_some((index, header))
        });
        Self { header, eh_frame, debug_frame: named(b".debug_frame"), bases }
    }
}

impl CallFrameInfo {
    /// The row for an address of the binary with these headers.
    pub(crate) fn row(
        &self,
        headers: &ElfHeaders,
        at: LinkAddr,
    ) -> Result<Option<UnwindRow>, UnwindInfoError> {
        let Some(arch) = headers.arch.map(|arch| arch.info()) else { return Ok(None) };
        let layout = self.layout.get_or_init(|| Layout::find(headers));
        let lookup = Lookup { headers, layout, arch, pc: at.0 };
        let in_eh_frame = self.row_in_eh_frame(&lookup);
        if let Ok(Some(_)) = in_eh_frame {
            return in_eh_frame;
        }
        match self.row_in_debug_frame(&lookup) {
            Ok(None) => in_eh_frame,
            found => found,
        }
    }

    fn row_in_eh_frame(&self, lookup: &Lookup<'_>) -> Result<Option<UnwindRow>, UnwindInfoError> {
        let Some(eh_frame) = lookup.section(lookup.layout.eh_frame) else { return Ok(None) };
        let mut section = EhFrame::from(lookup.bytes(eh_frame));
        section.set_address_size(lookup.headers.address_bytes);
        section.set_vendor(lookup.vendor());
        let offset = match &lookup.layout.header {
            Some((index, header)) => {
                let table = lookup.headers.sections[*index].section.all();
                header.search(table, lookup.pc).and_then(|entry| entry.checked_sub(eh_frame.address.0))
            }
            None => {
                let index =
                    self.eh_frame_index.get_or_init(|| FdeIndex::read(&section, &lookup.layout.bases));
                index.search(lookup.pc).map(|offset| offset as u64)
            }
        };
        let Some(offset) = offset.and_then(|offset| usize::try_from(offset).ok()) else { return Ok(None) };
        lookup.row_of_entry(&section, offset.into())
    }

    fn row_in_debug_frame(&self, lookup: &Lookup<'_>) -> Result<Option<UnwindRow>, UnwindInfoError> {
        let Some(debug_frame) = lookup.section(lookup.layout.debug_frame) else { return Ok(None) };
        let mut section = DebugFrame::from(lookup.bytes(debug_frame));
        section.set_address_size(lookup.headers.address_bytes);
        section.set_vendor(lookup.vendor());
        let index = self.debug_frame_index.get_or_init(|| FdeIndex::read(&section, &lookup.layout.bases));
        match index.search(lookup.pc) {
            Some(offset) => lookup.row_of_entry(&section, offset.into()),
            None => Ok(None),
        }
    }
}

/// One address that is looked up in one binary.
struct Lookup<'a> {
    headers: &'a ElfHeaders,
    layout: &'a Layout,
    arch: &'static ArchInfo,
    pc: u64,
}

impl<'a> Lookup<'a> {
    fn section(&self, index: Option<usize>) -> Option<&'a NamedSection> {
        self.headers.sections.get(index?)
    }

    /// Whose instructions of its own the information may have: pointer authentication's on AArch64. Its state is
    /// not kept: what is no address in a return address can be told without.
    fn vendor(&self) -> gimli::Vendor {
        match self.headers.arch {
            Some(Arch::Aarch64) => gimli::Vendor::AArch64,
            _ => gimli::Vendor::Default,
        }
    }

    fn bytes(&self, section: &'a NamedSection) -> Bytes<'a> {
        EndianSlice::<RunTimeEndian>::new(section.section.all(), self.headers.endian)
    }

    /// The row in the entry at `offset` of a section, if that entry covers the address.
    fn row_of_entry<S: UnwindSection<Bytes<'a>>>(
        &self,
        section: &S,
        offset: S::Offset,
    ) -> Result<Option<UnwindRow>, UnwindInfoError> {
        let bases = &self.layout.bases;
        let fde = section.fde_from_offset(bases, offset, S::cie_from_offset).map_err(malformed)?;
        if fde.cie().fde_address_encoding().is_some_and(|encoding| encoding.is_indirect()) {
            return Err(UnwindInfoError::Malformed("its addresses are in memory (DW_EH_PE_indirect)".into()));
        }
        if !fde.contains(self.pc) {
            return Ok(None);
        }
        CONTEXT.with(|shared| match shared.try_borrow_mut() {
            Ok(mut context) => row_at(section, bases, &fde, &mut context, self.arch, self.pc),
            Err(_) => row_at(section, bases, &fde, &mut RowContext::new_in(), self.arch, self.pc),
        })
    }
}
