//! The headers of an ELF file: its sections, segments and build-id.

use std::{ops::Range, sync::Arc};

use gimli::RunTimeEndian;
use object::{
    Endianness,
    elf::{self, FileHeader32, FileHeader64},
    read::elf::{CompressionHeader, FileHeader, ProgramHeader, SectionHeader},
};
use prospect_process::{Arch, BuildId, LinkAddr};

use super::{
    BinaryError,
    file::FileBytes,
    loaded::{self, Loaded as _, LoadedFile},
    section::{Compression, Section},
};
use crate::unwind_info::PointerFormat;

/// Executables have some 40 sections, with short names, and two or three notes. What a broken file says
/// beyond this is not looked at.
pub(super) const MOST_SECTIONS: usize = 65_536;
const LONGEST_NAME: usize = 256;
const MOST_NOTES: usize = 64;

/// A section and what its header says.
#[derive(Debug)]
pub(crate) struct NamedSection {
    pub(crate) name: Box<[u8]>,
    /// Where it is linked; 0 for one that is not loaded.
    pub(crate) address: LinkAddr,
    pub(crate) section: Section,
}

/// A part of the file that is loaded.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) range: Range<LinkAddr>,
    /// Where its bytes are in the file.
    pub(crate) file_range: Range<usize>,
    pub(crate) executable: bool,
    pub(crate) writable: bool,
}

/// All that the headers say.
#[derive(Debug)]
pub(crate) struct ElfHeaders {
    pub(crate) arch: Option<Arch>,
    pub(crate) address_bytes: u8,
    pub(crate) endian: RunTimeEndian,
    pub(crate) sections: Vec<NamedSection>,
    pub(crate) segments: Vec<Segment>,
    /// The sections that are loaded, those without bytes in the file too, in its order.
    pub(crate) loaded: Vec<(Box<[u8]>, Range<LinkAddr>)>,
    /// The addresses of the sections that are code, also of those whose bytes are in another file.
    pub(crate) code: Vec<Range<LinkAddr>>,
    /// `PT_DYNAMIC`.
    pub(crate) dynamic: Option<Range<LinkAddr>>,
    /// `PT_GNU_EH_FRAME`: there even where the section table was stripped.
    pub(crate) eh_frame_header: Option<Range<LinkAddr>>,
    /// `PT_GNU_SFRAME`.
    pub(crate) sframe: Option<Range<LinkAddr>>,
    /// `PT_ARM_EXIDX`.
    pub(crate) exception_index: Option<Range<LinkAddr>>,
    /// Where a program begins, as far as the file says so.
    pub(crate) entry: Option<LinkAddr>,
    /// Its sections had no addresses, and those that they have now were given to them when it was opened.
    pub(crate) is_relocatable: bool,
    pub(crate) build_id: Option<BuildId>,
    /// The file; `None` where a process's memory is all that there is.
    file: Option<Arc<FileBytes>>,
}

impl ElfHeaders {
    /// Headers that say nothing but what the file is for.
    pub(crate) fn empty(arch: Option<Arch>, address_bytes: u8, endian: RunTimeEndian) -> Self {
        Self {
            arch,
            address_bytes,
            endian,
            sections: Vec::new(),
            segments: Vec::new(),
            loaded: Vec::new(),
            code: Vec::new(),
            dynamic: None,
            eh_frame_header: None,
            sframe: None,
            exception_index: None,
            entry: None,
            is_relocatable: false,
            build_id: None,
            file: None,
        }
    }

    pub(crate) fn parse(file: &Arc<FileBytes>) -> Result<Self, BinaryError> {
        match file.get(..5) {
            Some([0x7f, b'E', b'L', b'F', 1]) => parse::<FileHeader32<Endianness>>(file),
            Some([0x7f, b'E', b'L', b'F', 2]) => parse::<FileHeader64<Endianness>>(file),
            _ => Err(BinaryError::Malformed("it does not begin with an ELF header".into())),
        }
    }

    /// How encoded pointers and numbers of a section at that address are read.
    pub(crate) fn pointer_format(&self, section_address: u64) -> PointerFormat {
        let big_endian = self.endian == RunTimeEndian::Big;
        PointerFormat { address_bytes: self.address_bytes, big_endian, section_address }
    }

    /// The end of the code section that an address lies in, or of the executable segment where no
    /// section table says more.
    pub(crate) fn code_end(&self, at: LinkAddr) -> Option<LinkAddr> {
        let segments = self.segments.iter().filter(|one| one.executable).map(|one| &one.range);
        let mut ranges = self.code.iter().chain(segments.filter(|_| self.code.is_empty()));
        ranges.find(|range| range.contains(&at)).map(|range| range.end)
    }

    /// The bytes of the file that are loaded from an address on, to the end of their segment.
    pub(crate) fn loaded(&self, at: LinkAddr) -> &[u8] {
        let Some(file) = &self.file else { return &[] };
        let mut loaded = LoadedFile::new(file, &self.segments);
        loaded.place(at..LinkAddr(u64::MAX)).and_then(|place| file.get(place)).unwrap_or_default()
    }

    /// The same, where the process cannot write.
    pub(crate) fn constant(&self, at: LinkAddr) -> &[u8] {
        let segment = self.segments.iter().find(|segment| segment.range.contains(&at));
        let Some(segment) = segment.filter(|segment| !segment.writable) else { return &[] };
        let bytes = self.loaded(at);
        let room = usize::try_from(segment.range.end.0 - at.0).unwrap_or(usize::MAX);
        &bytes[..bytes.len().min(room)]
    }

    /// Adds the sections that the loaded parts themselves tell of.
    pub(crate) fn add_loaded_sections(&mut self, found: Vec<loaded::LoadedSection>, file: &Arc<FileBytes>) {
        self.sections.extend(found.into_iter().map(|one| NamedSection {
            name: one.name.as_bytes().into(),
            address: one.address,
            section: Section::new(file.clone(), one.place, None),
        }));
    }
}

fn parse<H: FileHeader<Endian = Endianness>>(file: &Arc<FileBytes>) -> Result<ElfHeaders, BinaryError> {
    let malformed = |error: object::Error| BinaryError::Malformed(error.to_string());
    let data: &[u8] = file;
    let header = H::parse(data).map_err(malformed)?;
    let endian = header.endian().map_err(malformed)?;
    let mut headers = ElfHeaders::empty(
        Arch::from_elf_machine(header.e_machine(endian).0, header.is_type_64(), endian == Endianness::Big),
        if header.is_type_64() { 8 } else { 4 },
        if endian == Endianness::Little { RunTimeEndian::Little } else { RunTimeEndian::Big },
    );
    headers.file = Some(file.clone());
    headers.entry = Some(LinkAddr(header.e_entry(endian).into())).filter(|at| at.0 != 0);
    // A file may have sections without segments (a debug file's are empty) or segments without
    // sections (a stripped one): neither is an error, and a broken table is as good as none.
    for segment in header.program_headers(endian, data).unwrap_or_default().iter().take(MOST_SECTIONS) {
        add_segment::<H>(&mut headers, segment, endian, data);
    }
    add_sections::<H>(&mut headers, header, endian, file);
    // A debug file has a section table, but not what its segments say: only where no table is, they count.
    if headers.sections.is_empty() && headers.code.is_empty() {
        let found = loaded::find_sections(&headers, 0, &mut LoadedFile::new(data, &headers.segments));
        headers.add_loaded_sections(found, file);
    }
    Ok(headers)
}

fn add_segment<H: FileHeader<Endian = Endianness>>(
    headers: &mut ElfHeaders,
    segment: &H::ProgramHeader,
    endian: Endianness,
    data: &[u8],
) {
    let start: u64 = segment.p_vaddr(endian).into();
    let size: u64 = segment.p_memsz(endian).into();
    let range = LinkAddr(start)..LinkAddr(start.saturating_add(size));
    let kind = segment.p_type(endian);
    if kind == elf::PT_LOAD {
        let (offset, size) = segment.file_range(endian);
        headers.segments.push(Segment {
            range,
            file_range: clamp(offset, size, data.len()),
            executable: segment.p_flags(endian).0 & elf::PF_X.0 != 0,
            writable: segment.p_flags(endian).0 & elf::PF_W.0 != 0,
        });
    } else if kind == elf::PT_GNU_EH_FRAME {
        headers.eh_frame_header = Some(range);
    } else if kind == elf::PT_GNU_SFRAME {
        headers.sframe = Some(range);
    } else if kind == elf::PT_ARM_EXIDX && headers.arch == Some(Arch::Arm) {
        headers.exception_index = Some(range);
    } else if kind == elf::PT_DYNAMIC {
        headers.dynamic = Some(range);
    } else if kind == elf::PT_NOTE
        && headers.build_id.is_none()
        && let Ok(Some(notes)) = segment.notes(endian, data)
    {
        headers.build_id = build_id_among::<H>(notes, endian);
    }
}

fn add_sections<H: FileHeader<Endian = Endianness>>(
    headers: &mut ElfHeaders,
    header: &H,
    endian: Endianness,
    file: &Arc<FileBytes>,
) -> Option<()> {
    let data: &[u8] = file;
    let table = header.section_headers(endian, data).ok()?;
    let names = table.get(usize::try_from(header.shstrndx(endian, data).ok()?).ok()?)?;
    let names = names.data(endian, data).ok()?;
    let mut notes = 0;
    for section in table.iter().take(MOST_SECTIONS) {
        let Some(name) = section_name(names, section.sh_name(endian)) else { continue };
        let flags = section.sh_flags(endian).0;
        let (start, size): (u64, u64) = (section.sh_addr(endian).into(), section.sh_size(endian).into());
        let range = LinkAddr(start)..LinkAddr(start.saturating_add(size));
        // What each thread has of its own has no addresses.
        let is_own = flags & elf::SHF_TLS.0 != 0 && section.sh_type(endian) == elf::SHT_NOBITS;
        if flags & elf::SHF_ALLOC.0 != 0 && !is_own {
            headers.loaded.push((name.into(), range.clone()));
        }
        if flags & elf::SHF_EXECINSTR.0 != 0 {
            headers.code.push(range);
        }
        if headers.build_id.is_none() && section.sh_type(endian) == elf::SHT_NOTE && notes < MOST_NOTES {
            notes += 1;
            headers.build_id = build_id_in_section::<H>(section, endian, data);
        }
        if let Some((range, packed)) = section_bytes::<H>(section, name, endian, data) {
            // gcc puts each type unit of a split file into a section of its own; they are not loaded.
            let same = headers.sections.last_mut().filter(|last| *last.name == *name && last.address.0 == 0);
            if packed.is_none() && same.is_some_and(|last| last.section.join(&range)) {
                continue;
            }
            headers.sections.push(NamedSection {
                name: plain_name(name),
                address: LinkAddr(section.sh_addr(endian).into()),
                section: Section::new(file.clone(), range, packed),
            });
        }
    }
    Some(())
}

/// The name at an offset. Not longer ones than anyone gives: a broken table has many, and very long.
fn section_name(names: &[u8], offset: u32) -> Option<&[u8]> {
    let rest = names.get(usize::try_from(offset).ok()?..)?;
    let end = rest.iter().take(LONGEST_NAME).position(|byte| *byte == 0)?;
    Some(&rest[..end])
}

fn build_id_in_section<H: FileHeader<Endian = Endianness>>(
    section: &H::SectionHeader,
    endian: Endianness,
    data: &[u8],
) -> Option<BuildId> {
    build_id_among::<H>(section.notes(endian, data).ok()??, endian)
}

fn build_id_among<H: FileHeader<Endian = Endianness>>(
    mut notes: object::read::elf::NoteIterator<'_, H>,
    endian: Endianness,
) -> Option<BuildId> {
    for _ in 0..MOST_NOTES {
        let note = notes.next().ok()??;
        if note.name() == elf::ELF_NOTE_GNU && note.n_type(endian) == elf::NT_GNU_BUILD_ID {
            return Some(BuildId(note.desc().to_vec()));
        }
    }
    None
}

/// Where a section's bytes are; how they are packed, and into how many they unpack.
pub(super) type SectionBytes = (Range<usize>, Option<(Compression, usize)>);

/// Where a section's bytes are, and how they are packed. `None` for one without bytes in the file.
pub(super) fn section_bytes<H: FileHeader<Endian = Endianness>>(
    section: &H::SectionHeader,
    name: &[u8],
    endian: Endianness,
    data: &[u8],
) -> Option<SectionBytes> {
    let (offset, size) = section.file_range(endian)?;
    if let Ok(Some((header, offset, size))) = section.compression(endian, data) {
        let compression = match header.ch_type(endian) {
            elf::ELFCOMPRESS_ZLIB => Compression::Zlib,
            elf::ELFCOMPRESS_ZSTD => Compression::Zstd,
            _ => return None,
        };
        let unpacked = usize::try_from(header.ch_size(endian).into()).ok()?;
        return Some((clamp(offset, size, data.len()), Some((compression, unpacked))));
    }
    let range = clamp(offset, size, data.len());
    // Before ELF had compressed sections, GNU tools wrote `.zdebug_*`: "ZLIB", then the size.
    if name.starts_with(b".zdebug_") {
        let bytes = &data[range.clone()];
        let size = bytes.strip_prefix(b"ZLIB")?.first_chunk::<8>()?;
        let unpacked = usize::try_from(u64::from_be_bytes(*size)).ok()?;
        return Some((range.start + 12..range.end, Some((Compression::Zlib, unpacked))));
    }
    Some((range, None))
}

fn plain_name(name: &[u8]) -> Box<[u8]> {
    match name.strip_prefix(b".zdebug_") {
        Some(rest) => [b".debug_", rest].concat().into(),
        None => name.into(),
    }
}

/// The part of `offset..offset + size` that lies in a file of `length` bytes.
fn clamp(offset: u64, size: u64, length: usize) -> Range<usize> {
    let within = |value: u64| usize::try_from(value).unwrap_or(usize::MAX).min(length);
    within(offset)..within(offset.saturating_add(size))
}
