//! How to get from a frame to its caller's registers: call frame information (`.eh_frame`, `.debug_frame`), SFrame,
//! the exception tables of ARM, and the tables of Windows and macOS.

mod aarch64;
mod compact;
#[cfg(test)]
mod dwarf_tests;
mod eh_frame_header;
mod ehabi;
mod every_row;
mod expression;
mod fde_index;
mod pe;
mod pointer;
mod row;
mod sframe;
#[cfg(test)]
mod tests;

use std::{cell::RefCell, sync::OnceLock};

use gimli::{BaseAddresses, DebugFrame, EhFrame, EndianSlice, RunTimeEndian, UnwindSection};
use prospect_process::{Arch, ArchInfo, LinkAddr};

pub(crate) use eh_frame_header::EhFrameHeader;
pub(crate) use ehabi::pointed_to;
pub use expression::{Expression, ExpressionError, ExpressionShape};
pub(crate) use pointer::PointerFormat;
pub use row::{CfaRule, RegisterRule, UnwindRow};

use crate::binary::{Headers, ImageFormat, NamedSection};
use aarch64::in_plain_words;
use fde_index::FdeIndex;
use row::{Bytes, RowContext, malformed, row_at};
use sframe::SFrame;

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
    /// `.eh_frame` without what is AArch64's own in it, once something in it could not be read.
    plain_eh_frame: OnceLock<Box<[u8]>>,
    debug_frame_index: OnceLock<FdeIndex>,
}

/// Which sections there are, by their place among the binary's.
#[derive(Debug)]
struct Layout {
    header: Option<(usize, EhFrameHeader)>,
    eh_frame: Option<usize>,
    debug_frame: Option<usize>,
    sframe: Option<(usize, SFrame)>,
    /// `.ARM.exidx` and `.ARM.extab`.
    exception_index: Option<usize>,
    exception_table: Option<usize>,
    /// `__unwind_info` of macOS.
    compact: Option<usize>,
    bases: BaseAddresses,
}

impl Layout {
    fn find(headers: &Headers) -> Self {
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
        let sframe = named(b".sframe").and_then(|index| {
            let format = headers.pointer_format(address(index));
            Some((index, SFrame::parse(headers.sections[index].section.all(), format, headers.arch?)?))
        });
        let is_arm = headers.arch == Some(Arch::Arm);
        Self {
            header,
            eh_frame,
            debug_frame: named(b".debug_frame"),
            sframe,
            exception_index: named(b".ARM.exidx").filter(|_| is_arm),
            exception_table: named(b".ARM.extab").filter(|_| is_arm),
            compact: named(b".unwind_info").filter(|_| headers.image.is_some()),
            bases,
        }
    }
}

/// Where rows are looked for: what knows most comes first.
type Source = fn(&CallFrameInfo, &Lookup<'_>) -> Result<Option<UnwindRow>, UnwindInfoError>;

/// All registers at every instruction, then few, then at calls alone.
const OF_ELF: &[Source] = &[
    CallFrameInfo::row_in_eh_frame,
    CallFrameInfo::row_in_debug_frame,
    CallFrameInfo::row_in_sframe,
    CallFrameInfo::row_in_exception_tables,
];
/// The tables of Windows say what its functions preserve. Code that has nothing at all is a function that does nothing to
/// the stack.
const OF_PE: &[Source] = &[
    CallFrameInfo::row_in_pdata,
    CallFrameInfo::row_in_eh_frame,
    CallFrameInfo::row_in_debug_frame,
    CallFrameInfo::row_of_leaf,
];
const OF_MACHO: &[Source] =
    &[CallFrameInfo::row_in_eh_frame, CallFrameInfo::row_in_debug_frame, CallFrameInfo::row_in_compact];

impl CallFrameInfo {
    /// The row for an address of the binary with these headers.
    pub(crate) fn row(&self, headers: &Headers, at: LinkAddr) -> Result<Option<UnwindRow>, UnwindInfoError> {
        let Some(arch) = headers.arch.map(|arch| arch.info()) else { return Ok(None) };
        let layout = self.layout.get_or_init(|| Layout::find(headers));
        let lookup = Lookup { headers, layout, arch, pc: at.0 };
        let sources = match headers.image.as_ref().map(|image| &image.format) {
            None => OF_ELF,
            Some(ImageFormat::Pe { .. }) => OF_PE,
            Some(ImageFormat::MachO) => OF_MACHO,
        };
        let mut otherwise = Ok(None);
        for source in sources {
            let found = source(self, &lookup);
            match found {
                Ok(Some(_)) => return found,
                Err(_) if otherwise.is_ok() => otherwise = found,
                _ => {}
            }
        }
        otherwise
    }

    fn row_in_eh_frame(&self, lookup: &Lookup<'_>) -> Result<Option<UnwindRow>, UnwindInfoError> {
        let Some(eh_frame) = lookup.section(lookup.layout.eh_frame) else { return Ok(None) };
        let bytes = lookup.bytes(eh_frame);
        let may_have_letters = lookup.headers.arch == Some(Arch::Aarch64);
        let has_table = lookup.layout.header.is_some();
        if may_have_letters && (!has_table || self.plain_eh_frame.get().is_some()) {
            return self.row_in_eh_frame_of(lookup, eh_frame, self.plain(lookup, eh_frame));
        }
        match self.row_in_eh_frame_of(lookup, eh_frame, bytes) {
            Err(_) if may_have_letters => {
                self.row_in_eh_frame_of(lookup, eh_frame, self.plain(lookup, eh_frame))
            }
            found => found,
        }
    }

    fn plain<'a>(&'a self, lookup: &Lookup<'a>, eh_frame: &'a NamedSection) -> Bytes<'a> {
        let format = lookup.headers.pointer_format(eh_frame.address.0);
        let bytes = self.plain_eh_frame.get_or_init(|| in_plain_words(eh_frame.section.all(), format));
        EndianSlice::new(bytes, lookup.headers.endian)
    }

    fn row_in_eh_frame_of<'a>(
        &self,
        lookup: &Lookup<'a>,
        eh_frame: &NamedSection,
        bytes: Bytes<'a>,
    ) -> Result<Option<UnwindRow>, UnwindInfoError> {
        let mut section = EhFrame::from(bytes);
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

    fn row_in_sframe(&self, lookup: &Lookup<'_>) -> Result<Option<UnwindRow>, UnwindInfoError> {
        let Some((index, sframe)) = &lookup.layout.sframe else { return Ok(None) };
        sframe.row(lookup.headers.sections[*index].section.all(), lookup.arch, lookup.pc)
    }

    fn row_in_exception_tables(&self, lookup: &Lookup<'_>) -> Result<Option<UnwindRow>, UnwindInfoError> {
        let part = |index| {
            let section: &NamedSection = lookup.section(index)?;
            let format = lookup.headers.pointer_format(section.address.0);
            Some(ehabi::Part { bytes: section.section.all(), format })
        };
        let Some(index) = part(lookup.layout.exception_index) else { return Ok(None) };
        let Some(end) = lookup.headers.code_end(LinkAddr(lookup.pc)) else { return Ok(None) };
        let tables = ehabi::Tables {
            index,
            table: part(lookup.layout.exception_table),
            program_entry: lookup.headers.entry,
        };
        let row = ehabi::row(&tables, lookup.arch, lookup.pc, end)?;
        // The index says where functions begin. The last one of a section ends with it.
        let is_same = |row: &UnwindRow| lookup.headers.code_end(row.range.start) == Some(end);
        Ok(row.filter(is_same))
    }
}

/// The tables of other systems than those with ELF.
impl CallFrameInfo {
    fn row_in_pdata(&self, lookup: &Lookup<'_>) -> Result<Option<UnwindRow>, UnwindInfoError> {
        let Some(image) = &lookup.headers.image else { return Ok(None) };
        let ImageFormat::Pe { functions: Some(functions) } = &image.format else { return Ok(None) };
        pe::Tables::new(lookup.headers, image.base, functions).row(LinkAddr(lookup.pc))
    }

    fn row_of_leaf(&self, lookup: &Lookup<'_>) -> Result<Option<UnwindRow>, UnwindInfoError> {
        Ok(pe::leaf(lookup.headers, LinkAddr(lookup.pc)))
    }

    fn row_in_compact(&self, lookup: &Lookup<'_>) -> Result<Option<UnwindRow>, UnwindInfoError> {
        let Some(image) = &lookup.headers.image else { return Ok(None) };
        let Some(section) = lookup.section(lookup.layout.compact) else { return Ok(None) };
        compact::row(section.section.all(), lookup.headers, image.base, LinkAddr(lookup.pc))
    }
}

/// One address that is looked up in one binary.
struct Lookup<'a> {
    headers: &'a Headers,
    layout: &'a Layout,
    arch: &'static ArchInfo,
    pc: u64,
}

impl<'a> Lookup<'a> {
    fn section(&self, index: Option<usize>) -> Option<&'a NamedSection> {
        self.headers.sections.get(index?)
    }

    /// Whose instructions of its own the information may have: pointer authentication's on AArch64.
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
        check_addresses(&fde)?;
        if !fde.contains(self.pc) {
            return Ok(None);
        }
        CONTEXT.with(|shared| match shared.try_borrow_mut() {
            Ok(mut context) => row_at(section, bases, &fde, &mut context, self.arch, self.pc),
            Err(_) => row_at(section, bases, &fde, &mut RowContext::new_in(), self.arch, self.pc),
        })
    }
}

/// Whether the addresses of an entry are in the entry itself.
fn check_addresses(fde: &gimli::FrameDescriptionEntry<Bytes<'_>>) -> Result<(), UnwindInfoError> {
    if fde.cie().fde_address_encoding().is_some_and(|encoding| encoding.is_indirect()) {
        return Err(UnwindInfoError::Malformed("its addresses are in memory (DW_EH_PE_indirect)".into()));
    }
    Ok(())
}
