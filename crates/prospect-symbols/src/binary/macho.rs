//! The headers of a Mach-O file (`mach-o/loader.h`, `mach-o/fat.h`): programs, libraries and debug files of macOS.

use std::sync::Arc;

use gimli::RunTimeEndian;
use object::{
    LittleEndian as LE,
    macho::{self, MachHeader64, Section64},
    read::macho::{
        FatArch, LoadCommandVariant, MachHeader as _, MachOFatFile32, MachOFatFile64, Nlist as _,
        Section as _, Segment as _, SymbolTable,
    },
};
use prospect_process::{Arch, BuildId, LinkAddr};

use super::{
    BinaryError, FileBytes, NamedSection, Section, Segment,
    headers::{Expected, Headers, Image, ImageFormat, MOST_SECTIONS, clamp, gnu_packed, plain_name},
    symbols::{Binding, Kind, SymbolWriter},
};
use crate::symbol::table::TableKind;

/// Files have some 40 commands. A broken one has no more than its size says.
const MOST_COMMANDS: usize = 65_536;

/// A file that is being read: its bytes in `file` begin at `start`, which is 0 but in files for many machines.
struct Reader<'a> {
    file: &'a Arc<FileBytes>,
    start: u64,
    /// What to add to the addresses of the file.
    moved: u64,
    /// Whether each section is code, by its number.
    code: Vec<bool>,
}

/// Reads the headers of a Mach-O file, or of the part of a file for many machines that is for the expected one.
pub(super) fn parse(file: &Arc<FileBytes>, expected: Expected) -> Result<Headers, BinaryError> {
    let data: &[u8] = file;
    match data.get(..4) {
        Some([0xca, 0xfe, 0xba, 0xbe]) => {
            parse_fat(file, MachOFatFile32::parse(data).map_err(malformed)?.arches(), expected)
        }
        Some([0xca, 0xfe, 0xba, 0xbf]) => {
            parse_fat(file, MachOFatFile64::parse(data).map_err(malformed)?.arches(), expected)
        }
        _ => parse_thin(file, 0, data, expected),
    }
}

/// Reads the part for the expected machine, or the first for one that is known.
fn parse_fat<F: FatArch>(
    file: &Arc<FileBytes>,
    parts: &[F],
    expected: Expected,
) -> Result<Headers, BinaryError> {
    let is_meant = |part: &&F| {
        let arch = arch_of(part.cputype());
        arch.is_some() && (expected.arch.is_none() || arch == expected.arch)
    };
    let part = parts.iter().find(is_meant);
    let part = part.ok_or_else(|| BinaryError::Malformed("it has no part for this machine".into()))?;
    let data: &[u8] = file;
    parse_thin(file, part.offset().into(), part.data(data).map_err(malformed)?, expected)
}

fn parse_thin(
    file: &Arc<FileBytes>,
    start: u64,
    data: &[u8],
    expected: Expected,
) -> Result<Headers, BinaryError> {
    let header = MachHeader64::<LE>::parse(data, 0).map_err(malformed)?;
    if !header.is_supported() {
        return Err(BinaryError::Malformed("it is not a Mach-O file of 64 bits".into()));
    }
    let commands = || header.load_commands(LE, data, 0).map(|all| all.flatten().take(MOST_COMMANDS));
    let mut headers = Headers::empty(arch_of(header.cputype(LE)), 8, RunTimeEndian::Little);
    headers.file = Some(file.clone());
    let text = |command: object::read::macho::LoadCommandData<'_, LE>| {
        let (segment, _) = command.segment_64().ok()??;
        let range = segment.vmaddr(LE)..segment.vmaddr(LE).saturating_add(segment.vmsize(LE));
        (segment.name() == b"__TEXT").then_some(range)
    };
    let text = commands().map_err(malformed)?.find_map(text);
    let linked_base = text.as_ref().map(|text| text.start);
    let base = expected.base.map(|base| base.0).or(linked_base);
    let moved = base.unwrap_or_default().wrapping_sub(linked_base.unwrap_or_default());
    let mut reader = Reader { file, start, moved, code: Vec::new() };
    let mut symbols = None;
    for command in commands().map_err(malformed)? {
        match command.variant() {
            Ok(LoadCommandVariant::Segment64(segment, sections)) => {
                reader.add_segment(&mut headers, segment);
                for section in segment.sections(LE, sections).unwrap_or_default() {
                    reader.add_section(&mut headers, section);
                }
            }
            Ok(LoadCommandVariant::Uuid(uuid)) => headers.build_id = Some(BuildId(uuid.uuid.to_vec())),
            Ok(LoadCommandVariant::Symtab(table)) => symbols = table.symbols(LE, data).ok(),
            Ok(LoadCommandVariant::EntryPoint(entry)) => {
                headers.entry = base.map(|base| LinkAddr(base.wrapping_add(entry.entryoff.get(LE))));
            }
            _ => {}
        }
    }
    if let Some(base) = base {
        let bytes = text.map_or(0, |text| text.end - text.start);
        headers.image = Some(Image { format: ImageFormat::MachO, base: LinkAddr(base), bytes });
    }
    if let Some(table) = symbols {
        headers.sections.extend(reader.symbols(&table).sections(TableKind::Full));
    }
    Ok(headers)
}

fn malformed(error: object::Error) -> BinaryError {
    BinaryError::Malformed(error.to_string())
}

fn arch_of(machine: macho::CpuType) -> Option<Arch> {
    match machine {
        macho::CPU_TYPE_X86_64 => Some(Arch::X86_64),
        macho::CPU_TYPE_ARM64 => Some(Arch::Aarch64),
        _ => None,
    }
}

impl Reader<'_> {
    fn range(&self, start: u64, bytes: u64) -> std::ops::Range<LinkAddr> {
        let start = start.wrapping_add(self.moved);
        LinkAddr(start)..LinkAddr(start.saturating_add(bytes))
    }

    fn add_segment(&self, headers: &mut Headers, segment: &macho::SegmentCommand64<LE>) {
        // The first page of programs, which nobody may touch, and what is not loaded.
        if segment.initprot(LE).0 == 0 || segment.name() == b"__DWARF" {
            return;
        }
        let (offset, bytes) = segment.file_range(LE);
        headers.segments.push(Segment {
            range: self.range(segment.vmaddr(LE), segment.vmsize(LE)),
            file_range: clamp(self.start.saturating_add(offset), bytes, self.file.len()),
            executable: segment.initprot(LE).0 & macho::VM_PROT_EXECUTE.0 != 0,
            writable: segment.initprot(LE).0 & macho::VM_PROT_WRITE.0 != 0,
        });
    }

    fn add_section(&mut self, headers: &mut Headers, section: &Section64<LE>) {
        const IS_CODE: u32 = macho::S_ATTR_PURE_INSTRUCTIONS.0 | macho::S_ATTR_SOME_INSTRUCTIONS.0;
        let is_code = section.flags.get(LE).0 & IS_CODE != 0;
        self.code.push(is_code);
        if self.code.len() > MOST_SECTIONS {
            return;
        }
        let name = elf_name(section.name());
        let range = self.range(section.addr(LE), section.size(LE));
        let is_debug = section.segment_name() == b"__DWARF";
        if !is_debug {
            headers.loaded.push((name.clone(), range.clone()));
        }
        if is_code {
            headers.code.push(range.clone());
        }
        // `None` for what the file has no bytes of.
        let offset = section.offset(LE).into();
        let Some((_, bytes)) = section.file_range(LE, offset) else { return };
        // A debug file has the addresses of the code, and no bytes of it.
        let bytes = clamp(self.start.saturating_add(offset), bytes, self.file.len());
        let is_missing = bytes.is_empty() || !is_debug && offset == 0;
        if is_missing || is_debug && self.moved != 0 {
            return;
        }
        if let Some((bytes, packed)) = gnu_packed(&name, bytes, self.file) {
            headers.sections.push(NamedSection {
                name: plain_name(&name),
                address: if is_debug { LinkAddr(0) } else { range.start },
                section: Section::new(self.file.clone(), bytes, packed),
            });
        }
    }

    /// The symbols of the file (`mach-o/nlist.h`), without those that are for debuggers.
    fn symbols(&self, table: &SymbolTable<'_, MachHeader64<LE>>) -> SymbolWriter {
        let mut writer = SymbolWriter::new(true);
        for symbol in table.iter() {
            let flags = symbol.n_type().0;
            if symbol.n_type().is_stab() || flags & macho::N_TYPE != macho::N_SECT.0 {
                continue;
            }
            let Some(place) = usize::from(symbol.n_sect()).checked_sub(1) else { continue };
            let Ok(name) = symbol.name(LE, table.strings()) else { continue };
            // Names of C begin with an underscore.
            let name = name.strip_prefix(b"_").unwrap_or(name);
            let kind = match self.code.get(place) {
                Some(true) => Kind::Function,
                Some(false) => Kind::Variable,
                None => continue,
            };
            let is_weak = symbol.n_desc(LE).0 & macho::N_WEAK_DEF.0 != 0;
            let binding = match flags & macho::N_EXT.0 != 0 {
                true if is_weak => Binding::Weak,
                true => Binding::Global,
                false => Binding::Local,
            };
            writer.add(name, LinkAddr(symbol.n_value(LE).wrapping_add(self.moved)), kind, binding);
        }
        writer
    }
}

/// The name that a section has in ELF files: `.debug_info` for `__debug_info`. Names are cut after 16 bytes.
fn elf_name(name: &[u8]) -> Box<[u8]> {
    match name.strip_prefix(b"__") {
        Some(b"debug_str_offs") => b".debug_str_offsets".as_slice().into(),
        Some(rest) => [b".", rest].concat().into(),
        None => name.into(),
    }
}
