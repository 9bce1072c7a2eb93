//! The headers of a PE file (Microsoft, "PE Format"): programs and libraries of Windows.
//!
//! Its addresses are relative to where the image begins; here they are as linked: relative to `ImageBase`.

use std::{ops::Range, sync::Arc};

use gimli::RunTimeEndian;
use object::{
    LittleEndian as LE,
    pe::{self, ImageDebugDirectory, ImageDosHeader, ImageNtHeaders32, ImageNtHeaders64, ImageSectionHeader},
    read::{
        StringTable,
        coff::{Symbol as _, SymbolTable},
        pe::{ExportTable, ImageNtHeaders, ImageOptionalHeader as _, optional_header_magic},
    },
};
use prospect_process::{Addr, Arch, BuildId, LinkAddr, Memory};

use super::{
    BinaryError, FileBytes, NamedSection, Section, Segment,
    headers::{
        Expected, Headers, Image, ImageFormat, LONGEST_NAME, MOST_SECTIONS, clamp, gnu_packed, plain_name,
    },
    loaded,
    symbols::{Binding, Kind, SymbolWriter},
};
use crate::symbol::table::TableKind;

/// An image is no larger: its addresses have 32 bits.
const LARGEST_IMAGE: u64 = 1 << 32;
/// The headers of an image in memory are in its first page, or two.
const LONGEST_HEADERS: usize = 8192;
/// Of an image in memory, not more than this is copied.
const LARGEST_COPY: usize = 256 << 20;
/// Debug directories have some four entries.
const MOST_DEBUG_ENTRIES: usize = 64;
/// The start of a CodeView record: `RSDS`, a GUID, an age.
const CODE_VIEW_BYTES: usize = 24;

/// How the bytes in hand are laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Placement {
    /// As in a file.
    File,
    /// As an image in memory.
    Memory,
}

/// Reads the headers of a PE file.
pub(super) fn parse(
    file: &Arc<FileBytes>,
    placement: Placement,
    expected: Expected,
) -> Result<Headers, BinaryError> {
    let magic = optional_header_magic(&***file).map_err(malformed)?;
    match magic {
        pe::IMAGE_NT_OPTIONAL_HDR64_MAGIC => parse_class::<ImageNtHeaders64>(file, placement, expected),
        pe::IMAGE_NT_OPTIONAL_HDR32_MAGIC => parse_class::<ImageNtHeaders32>(file, placement, expected),
        _ => Err(BinaryError::Malformed("it is of no class of PE".into())),
    }
}

/// What memory has of an image that begins at an address; `None` where none does.
pub(super) fn read_image(start: Addr, memory: &dyn Memory) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loaded::copy(memory, start, LONGEST_HEADERS, &mut bytes);
    if !bytes.starts_with(b"MZ") {
        return None;
    }
    let length = match optional_header_magic(&*bytes).ok()? {
        pe::IMAGE_NT_OPTIONAL_HDR64_MAGIC => image_bytes::<ImageNtHeaders64>(&bytes),
        _ => image_bytes::<ImageNtHeaders32>(&bytes),
    };
    let length = usize::try_from(length?).unwrap_or(usize::MAX).min(LARGEST_COPY);
    let mut all = Vec::new();
    loaded::copy(memory, start, length, &mut all);
    Some(all)
}

fn image_bytes<H: ImageNtHeaders>(start: &[u8]) -> Option<u64> {
    let mut offset = ImageDosHeader::parse(start).ok()?.nt_headers_offset().into();
    let (headers, _) = H::parse(start, &mut offset).ok()?;
    Some(headers.optional_header().size_of_image().into())
}

fn parse_class<H: ImageNtHeaders>(
    file: &Arc<FileBytes>,
    placement: Placement,
    expected: Expected,
) -> Result<Headers, BinaryError> {
    let data: &[u8] = file;
    let mut offset = ImageDosHeader::parse(data).map_err(malformed)?.nt_headers_offset().into();
    let (nt, directories) = H::parse(data, &mut offset).map_err(malformed)?;
    let optional = nt.optional_header();
    let linked_base = LinkAddr(optional.image_base());
    let base = expected.base.unwrap_or(linked_base);
    // What was loaded has the address that it was loaded at in its header.
    let is_moved = base != linked_base;
    let arch = match nt.file_header().machine.get(LE) {
        pe::IMAGE_FILE_MACHINE_AMD64 => Some(Arch::X86_64),
        pe::IMAGE_FILE_MACHINE_ARM64 => Some(Arch::Aarch64),
        pe::IMAGE_FILE_MACHINE_I386 => Some(Arch::I386),
        pe::IMAGE_FILE_MACHINE_ARMNT => Some(Arch::Arm),
        _ => None,
    };
    let mut headers = Headers::empty(arch, if nt.is_type_64() { 8 } else { 4 }, RunTimeEndian::Little);
    headers.file = Some(file.clone());
    headers.entry = match optional.address_of_entry_point() {
        0 => None,
        entry => Some(at(base, entry)),
    };
    headers.segments.push(Segment {
        range: base..at(base, optional.size_of_headers()),
        file_range: clamp(0, optional.size_of_headers().into(), data.len()),
        executable: false,
        writable: false,
    });
    let symbols = nt.symbols(data).unwrap_or_default();
    let sections = nt.sections(data, offset).map_err(malformed)?;
    for section in sections.iter().take(MOST_SECTIONS) {
        add_section(&mut headers, section, symbols.strings(), base, placement, is_moved, file);
    }
    let directory = |index: usize| {
        let (start, bytes) = directories.get(index)?.address_range();
        let end = start.checked_add(bytes).filter(|end| start != 0 && start < *end)?;
        Some(at(base, start)..at(base, end))
    };
    let functions = directory(pe::IMAGE_DIRECTORY_ENTRY_EXCEPTION);
    let bytes = u64::from(optional.size_of_image()).min(LARGEST_IMAGE);
    headers.image = Some(Image { format: ImageFormat::Pe { functions }, base, bytes });
    headers.build_id =
        directory(pe::IMAGE_DIRECTORY_ENTRY_DEBUG).and_then(|range| build_id(&headers, range, base));
    let wide = nt.is_type_64();
    let code: Vec<bool> = sections.iter().map(is_code).collect();
    let symbols = coff_symbols(&symbols, sections.iter().as_slice(), &code, base, wide, arch);
    headers.sections.extend(symbols.sections(TableKind::Full));
    if let Some(range) = directory(pe::IMAGE_DIRECTORY_ENTRY_EXPORT) {
        let exports = exports(&headers, range, base, wide);
        headers.sections.extend(exports.into_iter().flat_map(|found| found.sections(TableKind::Dynamic)));
    }
    Ok(headers)
}

fn malformed(error: object::Error) -> BinaryError {
    BinaryError::Malformed(error.to_string())
}

fn at(base: LinkAddr, relative: u32) -> LinkAddr {
    LinkAddr(base.0.wrapping_add(relative.into()))
}

fn is_code(section: &ImageSectionHeader) -> bool {
    section.characteristics.get(LE).0 & (pe::IMAGE_SCN_CNT_CODE.0 | pe::IMAGE_SCN_MEM_EXECUTE.0) != 0
}

fn add_section(
    headers: &mut Headers,
    section: &ImageSectionHeader,
    strings: StringTable<'_>,
    base: LinkAddr,
    placement: Placement,
    is_moved: bool,
    file: &Arc<FileBytes>,
) {
    let (start, size) = (section.virtual_address.get(LE), section.virtual_size.get(LE));
    let raw = section.size_of_raw_data.get(LE);
    // Linkers may leave the size in memory out; what the file has more of it is padding.
    let size = if size == 0 { raw } else { size };
    let range = at(base, start)..at(base, start.saturating_add(size));
    let file_range = match placement {
        Placement::File => {
            clamp(section.pointer_to_raw_data.get(LE).into(), size.min(raw).into(), file.len())
        }
        Placement::Memory => clamp(start.into(), size.into(), file.len()),
    };
    let flags = section.characteristics.get(LE).0;
    headers.segments.push(Segment {
        range: range.clone(),
        file_range: file_range.clone(),
        executable: is_code(section),
        writable: flags & pe::IMAGE_SCN_MEM_WRITE.0 != 0,
    });
    let name = section.name(strings).unwrap_or_default();
    let name = &name[..name.len().min(LONGEST_NAME)];
    if flags & pe::IMAGE_SCN_MEM_DISCARDABLE.0 == 0 {
        headers.loaded.push((name.into(), range.clone()));
    }
    if is_code(section) {
        headers.code.push(range.clone());
    }
    let is_debug = name.starts_with(b".debug_") || name.starts_with(b".zdebug_");
    if is_debug && is_moved || file_range.is_empty() {
        return;
    }
    if let Some((bytes, packed)) = gnu_packed(name, file_range, file) {
        headers.sections.push(NamedSection {
            name: plain_name(name),
            address: if is_debug { LinkAddr(0) } else { range.start },
            section: Section::new(file.clone(), bytes, packed),
        });
    }
}

/// The GUID and the age of a CodeView record, as they are stored: what names the build to Microsoft's tools.
fn build_id(headers: &Headers, directory: Range<LinkAddr>, base: LinkAddr) -> Option<BuildId> {
    let bytes = part(headers, directory);
    let count = (bytes.len() / size_of::<ImageDebugDirectory>()).min(MOST_DEBUG_ENTRIES);
    let (entries, _) = object::slice_from_bytes::<ImageDebugDirectory>(bytes, count).ok()?;
    let mut records =
        entries.iter().filter(|entry| entry.typ.get(LE) == pe::IMAGE_DEBUG_TYPE_CODEVIEW).map(|entry| {
            let record = headers.loaded(at(base, entry.address_of_raw_data.get(LE)));
            record.get(..CODE_VIEW_BYTES)?.strip_prefix(b"RSDS")
        });
    records.find_map(|record| Some(BuildId(record?.to_vec())))
}

/// The bytes of a range, as far as they are there.
fn part(headers: &Headers, range: Range<LinkAddr>) -> &[u8] {
    let bytes = headers.loaded(range.start);
    let length = usize::try_from(range.end.0 - range.start.0).unwrap_or(usize::MAX);
    &bytes[..bytes.len().min(length)]
}

/// The symbols that GNU and LLVM linkers leave in a file ("PE Format", "COFF Symbol Table").
fn coff_symbols(
    table: &SymbolTable<'_>,
    sections: &[ImageSectionHeader],
    code: &[bool],
    base: LinkAddr,
    wide: bool,
    arch: Option<Arch>,
) -> SymbolWriter {
    let mut writer = SymbolWriter::new(wide);
    for (_, symbol) in table.iter() {
        let Some(place) = usize::from(symbol.section_number.get(LE)).checked_sub(1) else { continue };
        let Some((section, is_code)) = sections.get(place).zip(code.get(place)) else { continue };
        let is_function = symbol.typ.get(LE).derived_type() == pe::IMAGE_SYM_DTYPE_FUNCTION;
        let binding = match symbol.storage_class {
            pe::IMAGE_SYM_CLASS_EXTERNAL => Binding::Global,
            pe::IMAGE_SYM_CLASS_WEAK_EXTERNAL => Binding::Weak,
            // Static ones with more about them are sections.
            pe::IMAGE_SYM_CLASS_STATIC if is_function || symbol.number_of_aux_symbols == 0 => Binding::Local,
            pe::IMAGE_SYM_CLASS_LABEL => Binding::Local,
            _ => continue,
        };
        let Ok(name) = symbol.name(table.strings()) else { continue };
        // On 32-bit x86 names of C begin with an underscore.
        let name = match arch {
            Some(Arch::I386) => name.strip_prefix(b"_").unwrap_or(name),
            _ => name,
        };
        if name.starts_with(b".") {
            continue;
        }
        let start = section.virtual_address.get(LE).wrapping_add(symbol.value.get(LE));
        let kind = match (is_function, is_code) {
            (true, _) => Kind::Function,
            (false, true) => Kind::Label,
            (false, false) => Kind::Variable,
        };
        writer.add(name, at(base, start), kind, binding);
    }
    writer
}

/// What a library gives to others, by name.
fn exports(
    headers: &Headers,
    directory: Range<LinkAddr>,
    base: LinkAddr,
    wide: bool,
) -> Option<SymbolWriter> {
    let start = u32::try_from(directory.start.0.wrapping_sub(base.0)).ok()?;
    let table = ExportTable::parse(part(headers, directory), start).ok()?;
    let mut writer = SymbolWriter::new(wide);
    for (pointer, index) in table.name_iter() {
        let Ok(name) = table.name_from_pointer(pointer) else { continue };
        let Ok(address) = table.address_by_index(index) else { continue };
        if table.is_forward(address) {
            continue;
        }
        let address = at(base, address);
        let kind = if headers.code_end(address).is_some() { Kind::Function } else { Kind::Variable };
        writer.add(name, address, kind, Binding::Global);
    }
    Some(writer)
}
