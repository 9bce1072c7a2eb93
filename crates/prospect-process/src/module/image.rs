//! The headers of an ELF file as they lie in a process's memory.

use std::ops::Range;

use object::{
    Endianness,
    elf::{
        FileHeader32, FileHeader64, PT_ARM_EXIDX, PT_DYNAMIC, PT_GNU_EH_FRAME, PT_GNU_SFRAME, PT_LOAD,
        PT_NOTE, PT_TLS,
    },
    read::elf::{FileHeader, NoteIterator, ProgramHeader},
};

use super::BuildId;
use crate::{Addr, Arch, LinkAddr, Memory};

/// How much of a file's start is read at once: room for the headers, and mostly for the notes too.
const HEADER_BYTES: usize = 4096;

/// Notes longer than this are not looked at: a build-id takes 36 bytes.
const NOTE_BYTES: usize = 64 << 10;

/// The headers of an ELF file that is loaded in a process: what can be known of it without the file.
#[derive(Clone, Debug)]
pub struct ElfImage {
    /// What to add to an address as linked, wrapping.
    pub bias: u64,
    /// The machine that the file is for, if it is one that we know.
    pub arch: Option<Arch>,
    /// The ranges that are loaded (`PT_LOAD`), as linked.
    pub loads: Vec<Range<LinkAddr>>,
    /// Where the kernel starts the program, or the loader (`e_entry`).
    pub entry: Option<LinkAddr>,
    /// The dynamic section (`PT_DYNAMIC`).
    pub dynamic: Option<Range<LinkAddr>>,
    /// The table over the unwind information (`PT_GNU_EH_FRAME`).
    pub eh_frame_header: Option<Range<LinkAddr>>,
    /// The unwind information in SFrame format (`PT_GNU_SFRAME`).
    pub sframe: Option<Range<LinkAddr>>,
    /// The index of ARM's exception tables (`PT_ARM_EXIDX`); on other machines it means nothing.
    pub exception_index: Option<Range<LinkAddr>>,
    /// What a thread's own variables of it begin as (`PT_TLS`), and how it is aligned.
    pub thread_local: Option<(Range<LinkAddr>, u64)>,
    /// The build-id, where there is one.
    pub build_id: Option<BuildId>,
}

impl ElfImage {
    /// Reads the headers of the ELF file whose byte 0 is mapped at `start`. `None` when there is no ELF
    /// header, or one that makes no sense.
    #[must_use]
    pub fn read(start: Addr, memory: &dyn Memory) -> Option<Self> {
        let mut header = [0; HEADER_BYTES];
        let read = memory.read_available(start, &mut header);
        let header = &header[..read];
        match header.get(..5)? {
            [0x7f, b'E', b'L', b'F', 1] => parse::<FileHeader32<Endianness>>(start, header, memory),
            [0x7f, b'E', b'L', b'F', 2] => parse::<FileHeader64<Endianness>>(start, header, memory),
            _ => None,
        }
    }
}

fn parse<H: FileHeader<Endian = Endianness>>(
    start: Addr,
    bytes: &[u8],
    memory: &dyn Memory,
) -> Option<ElfImage> {
    let header = H::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, bytes).ok()?;
    let range = |segment: &H::ProgramHeader| {
        let from: u64 = segment.p_vaddr(endian).into();
        let size: u64 = segment.p_memsz(endian).into();
        LinkAddr(from)..LinkAddr(from.saturating_add(size))
    };
    let of_kind = |kind| segments.iter().filter(move |segment| segment.p_type(endian) == kind);
    // Byte 0 of the file is at `start`, and the segment that holds file offset O links it at vaddr.
    let first = of_kind(PT_LOAD).min_by_key(|segment| segment.p_offset(endian).into())?;
    let linked_start = first.p_vaddr(endian).into().wrapping_sub(first.p_offset(endian).into());
    let bias = start.0.wrapping_sub(linked_start);
    let mut image = ElfImage {
        bias,
        arch: Arch::from_elf_machine(
            header.e_machine(endian).0,
            header.is_type_64(),
            endian == Endianness::Big,
        ),
        loads: of_kind(PT_LOAD).map(range).collect(),
        entry: Some(LinkAddr(header.e_entry(endian).into())).filter(|entry| entry.0 != 0),
        dynamic: of_kind(PT_DYNAMIC).map(range).next(),
        eh_frame_header: of_kind(PT_GNU_EH_FRAME).map(range).next(),
        sframe: of_kind(PT_GNU_SFRAME).map(range).next(),
        exception_index: of_kind(PT_ARM_EXIDX).map(range).next(),
        thread_local: of_kind(PT_TLS).map(|segment| (range(segment), segment.p_align(endian).into())).next(),
        build_id: None,
    };
    for note in of_kind(PT_NOTE) {
        let size = usize::try_from(note.p_memsz(endian).into()).ok()?.min(NOTE_BYTES);
        let mut note_bytes = vec![0; size];
        let at = LinkAddr(note.p_vaddr(endian).into()).to_addr(bias);
        let in_header = usize::try_from(at.0.wrapping_sub(start.0)).ok();
        match in_header.and_then(|offset| bytes.get(offset..offset.checked_add(size)?)) {
            Some(known) => note_bytes.copy_from_slice(known),
            None => {
                let read = memory.read_available(at, &mut note_bytes);
                note_bytes.truncate(read);
            }
        }
        let align = note.p_align(endian);
        let Ok(mut notes) = NoteIterator::<H>::new(endian, align, note_bytes.as_slice()) else { continue };
        while let Ok(Some(note)) = notes.next() {
            if note.name() == object::elf::ELF_NOTE_GNU && note.n_type(endian) == object::elf::NT_GNU_BUILD_ID
            {
                image.build_id = Some(BuildId(note.desc().to_vec()));
                return Some(image);
            }
        }
    }
    Some(image)
}
