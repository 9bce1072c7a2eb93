//! What the headers of a file say, whatever its format: its sections, segments and build-id.

use std::{ops::Range, sync::Arc};

use gimli::RunTimeEndian;
use prospect_process::{Arch, BuildId, LinkAddr};

use super::{
    BinaryError, elf,
    file::FileBytes,
    loaded::{self, Loaded as _, LoadedFile},
    macho, pe,
    section::{Compression, Section},
};
use crate::unwind_info::PointerFormat;

/// Executables have some 40 sections, with short names, and two or three notes. What a broken file says
/// beyond this is not looked at.
pub(super) const MOST_SECTIONS: usize = 65_536;
pub(super) const LONGEST_NAME: usize = 256;

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

/// What only other formats than ELF say: their files are images, which are loaded as a whole.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) format: ImageFormat,
    /// Where it begins, as linked: `ImageBase` of a PE, the address of `__TEXT` in a Mach-O file.
    pub(crate) base: LinkAddr,
    /// How many bytes it takes in memory.
    pub(crate) bytes: u64,
}

/// The format of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ImageFormat {
    /// "PE Format" (Microsoft); with its exception directory, `.pdata`.
    Pe { functions: Option<Range<LinkAddr>> },
    /// `mach-o/loader.h`.
    MachO,
}

/// What is known of a file before it is read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Expected {
    /// The machine that it should be for, which chooses from files for many.
    pub(crate) arch: Option<Arch>,
    /// Where an image is to begin, instead of where it was linked. Its debug information, which has addresses as
    /// linked, is left out then.
    pub(crate) base: Option<LinkAddr>,
}

/// All that the headers say.
#[derive(Debug)]
pub(crate) struct Headers {
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
    /// What is not ELF.
    pub(crate) image: Option<Image>,
    /// Where a program begins, as far as the file says so.
    pub(crate) entry: Option<LinkAddr>,
    /// Its sections had no addresses, and those that they have now were given to them when it was opened.
    pub(crate) is_relocatable: bool,
    pub(crate) build_id: Option<BuildId>,
    /// The file; `None` where a process's memory is all that there is.
    pub(super) file: Option<Arc<FileBytes>>,
}

impl Headers {
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
            image: None,
            entry: None,
            is_relocatable: false,
            build_id: None,
            file: None,
        }
    }

    /// Reads the headers of a file of any format that is known.
    pub(crate) fn parse(file: &Arc<FileBytes>, expected: Expected) -> Result<Self, BinaryError> {
        match file.get(..4) {
            Some([0x7f, b'E', b'L', b'F']) => elf::parse(file),
            Some([b'M', b'Z', ..]) => pe::parse(file, pe::Placement::File, expected),
            Some([0xcf, 0xfa, 0xed, 0xfe] | [0xca, 0xfe, 0xba, 0xbe | 0xbf]) => macho::parse(file, expected),
            _ => Err(BinaryError::Malformed("it begins as no format that is known (ELF, PE, Mach-O)".into())),
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

/// Where a section's bytes are; how they are packed, and into how many they unpack.
pub(super) type SectionBytes = (Range<usize>, Option<(Compression, usize)>);

/// How a section is packed that GNU tools wrote before there was a standard, and its bytes: `.zdebug_*` begins with
/// "ZLIB" and the size.
pub(super) fn gnu_packed(name: &[u8], range: Range<usize>, data: &[u8]) -> Option<SectionBytes> {
    if !name.starts_with(b".zdebug_") {
        return Some((range, None));
    }
    let bytes = &data[range.clone()];
    let size = bytes.strip_prefix(b"ZLIB")?.first_chunk::<8>()?;
    let unpacked = usize::try_from(u64::from_be_bytes(*size)).ok()?;
    Some((range.start + 12..range.end, Some((Compression::Zlib, unpacked))))
}

/// The name of a section by which it is asked for.
pub(super) fn plain_name(name: &[u8]) -> Box<[u8]> {
    match name.strip_prefix(b".zdebug_") {
        Some(rest) => [b".debug_", rest].concat().into(),
        None => name.into(),
    }
}

/// The part of `offset..offset + size` that lies in a file of `length` bytes.
pub(super) fn clamp(offset: u64, size: u64, length: usize) -> Range<usize> {
    let within = |value: u64| usize::try_from(value).unwrap_or(usize::MAX).min(length);
    within(offset)..within(offset.saturating_add(size))
}
