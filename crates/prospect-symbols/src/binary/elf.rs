//! The headers of an ELF file.

use std::sync::Arc;

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
    headers::{
        Headers, LONGEST_NAME, MOST_SECTIONS, NamedSection, SectionBytes, Segment, clamp, gnu_packed,
        plain_name,
    },
    loaded::{self, LoadedFile},
    section::{Compression, Section},
};

/// Executables have two or three notes.
const MOST_NOTES: usize = 64;

/// Reads the headers of an ELF file.
pub(super) fn parse(file: &Arc<FileBytes>) -> Result<Headers, BinaryError> {
    match file.get(4) {
        Some(1) => parse_class::<FileHeader32<Endianness>>(file),
        Some(2) => parse_class::<FileHeader64<Endianness>>(file),
        _ => Err(BinaryError::Malformed("it is of no class of ELF".into())),
    }
}

fn parse_class<H: FileHeader<Endian = Endianness>>(file: &Arc<FileBytes>) -> Result<Headers, BinaryError> {
    let malformed = |error: object::Error| BinaryError::Malformed(error.to_string());
    let data: &[u8] = file;
    let header = H::parse(data).map_err(malformed)?;
    let endian = header.endian().map_err(malformed)?;
    let mut headers = Headers::empty(
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
    headers: &mut Headers,
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
    headers: &mut Headers,
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
    gnu_packed(name, range, data)
}
