//! What of a process's memory belongs into a core: the rules of the kernel (`vma_dump_size` in `fs/coredump.c`; `man 5 core`).

use std::ops::Range;

use prospect_process::{Addr, Content, Mapping, Memory, Process};

use crate::writing::{window_bytes, windows};

/// Which memory a core has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Selection {
    /// What the kernel would write: by the process's own filter, or [`CoreFilter::DEFAULT`] where that is not known; without
    /// what it asked to be left out (`MADV_DONTDUMP`).
    #[default]
    Kernel,
    /// The same by this filter.
    Filter(CoreFilter),
    /// All that can be read: code and constants too, and what the process asked to be left out.
    All,
    /// Of a process in a dump: all that the dump has, to the byte; and the first page of each mapped file, where the file is at hand:
    /// readers of cores know modules by it.
    Dumped,
}

/// Kinds of mappings, a bit for each (`/proc/PID/coredump_filter`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CoreFilter(
    /// The bits.
    pub u32,
);

impl CoreFilter {
    /// Private memory without a file, and private mappings of files that were changed.
    pub const ANONYMOUS_PRIVATE: u32 = 1;
    /// Shared memory without a name in the file system.
    pub const ANONYMOUS_SHARED: u32 = 1 << 1;
    /// Private mappings of files.
    pub const FILE_PRIVATE: u32 = 1 << 2;
    /// Shared mappings of files.
    pub const FILE_SHARED: u32 = 1 << 3;
    /// The first page of each ELF file.
    pub const ELF_HEADERS: u32 = 1 << 4;
    /// Private huge pages.
    pub const HUGE_PRIVATE: u32 = 1 << 5;
    /// Shared huge pages.
    pub const HUGE_SHARED: u32 = 1 << 6;
    /// What the kernel has without another word.
    pub const DEFAULT: Self = Self(0x33);

    fn has(self, bit: u32) -> bool {
        self.0 & bit != 0
    }
}

/// Where zeros have to be written, so much that was never touched is left out even in the middle of a mapping.
const GAP_BYTES: u64 = 16 << 20;

/// A part of a mapping with a segment of its own.
pub(crate) struct Piece {
    pub(crate) range: Range<Addr>,
    /// How much of it is in the core, from its start on.
    pub(crate) length: u64,
}

/// The parts of all of a process's mappings, in their order, with how much of each belongs into a dump. `fits` says which
/// mappings there is a place for; `holes`, whether memory that was never touched costs nothing there.
pub(crate) fn pieces<'a>(
    process: &'a dyn Process,
    memory: &dyn Memory,
    selection: Selection,
    page_bytes: u64,
    holes: bool,
    fits: impl Fn(&Mapping) -> bool,
) -> Vec<(&'a Mapping, Piece)> {
    let own = process.info().kernel.core_filter.map_or(CoreFilter::DEFAULT, CoreFilter);
    let (filter, all) = match selection {
        Selection::Kernel => (own, false),
        Selection::Filter(filter) => (filter, false),
        Selection::All => (CoreFilter(u32::MAX), true),
        Selection::Dumped => {
            let mappings = process.mappings().iter().filter(|mapping| fits(mapping));
            let dumped = |mapping: &'a Mapping| {
                dumped(memory, mapping, page_bytes).into_iter().map(move |one| (mapping, one))
            };
            return mappings.flat_map(dumped).collect();
        }
    };
    let chooser = Chooser { memory, filter, all, holes, page_bytes };
    let mut pieces = Vec::new();
    for mapping in process.mappings().iter().filter(|mapping| fits(mapping)) {
        let length = chooser.length(mapping);
        pieces.extend(chooser.pieces(mapping, length).into_iter().map(|piece| (mapping, piece)));
    }
    pieces
}

/// The parts of a mapping that begin with what a dump has of it, up to what it has next.
fn dumped(memory: &dyn Memory, mapping: &Mapping, page_bytes: u64) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for (part, content) in memory.contents(mapping.range.clone()) {
        let bytes = part.end.0 - part.start.0;
        let length = match content {
            Content::Missing => 0,
            Content::File if mapping.offset == 0 && part.start == mapping.range.start => {
                bytes.min(page_bytes)
            }
            Content::File => 0,
            Content::Own | Content::Untouched => bytes,
        };
        match pieces.last_mut() {
            Some(last) if length == 0 => last.range.end = part.end,
            Some(last) if last.range.end.0 - last.range.start.0 == last.length => {
                last.range.end = part.end;
                last.length += length;
            }
            _ => pieces.push(Piece { range: part, length }),
        }
    }
    pieces
}

/// Decides over mappings.
struct Chooser<'a> {
    memory: &'a dyn Memory,
    filter: CoreFilter,
    /// Whether everything is wanted.
    all: bool,
    /// Whether memory that was never touched costs nothing in the core.
    holes: bool,
    page_bytes: u64,
}

impl Chooser<'_> {
    /// How many bytes of a mapping belong into the core, from its start on.
    fn length(&self, mapping: &Mapping) -> u64 {
        let whole = mapping.bytes();
        let length = match self.wish(mapping) {
            Wish::Nothing => 0,
            Wish::Header => self.page_bytes.min(whole),
            Wish::Whole => whole,
        };
        self.without_missing_end(mapping, length)
    }

    /// The parts of a mapping of which `length` bytes belong into the core: all of it, or what lies between long ranges that
    /// were never touched where these cost something.
    fn pieces(&self, mapping: &Mapping, length: u64) -> Vec<Piece> {
        let (start, end) = (mapping.range.start, mapping.range.start.wrapping_add(length));
        let mut pieces: Vec<Piece> = Vec::new();
        let mut next = start;
        if !self.holes && length > GAP_BYTES && is_zero_until_touched(mapping) {
            for (part, content) in windows(start..end).flat_map(|window| self.memory.contents(window)) {
                if content != Content::Untouched || part.end.0 - part.start.0 < GAP_BYTES {
                    continue;
                }
                if next < part.start {
                    pieces.push(Piece { range: next..part.start, length: part.start.0 - next.0 });
                }
                next = part.end;
                match pieces.last_mut() {
                    Some(last) if last.length == 0 => last.range.end = part.end,
                    _ => pieces.push(Piece { range: part, length: 0 }),
                }
            }
        }
        if next < mapping.range.end {
            pieces.push(Piece { range: next..mapping.range.end, length: end.0.saturating_sub(next.0) });
        }
        pieces
    }

    fn wish(&self, mapping: &Mapping) -> Wish {
        let wanted = |bit| if self.all || self.filter.has(bit) { Wish::Whole } else { Wish::Nothing };
        // A device's memory has effects when it is read, or no end.
        if mapping.advice.device {
            return Wish::Nothing;
        }
        if is_special(mapping) {
            return if self.memory.read(mapping.range.start, &mut [0]).is_ok() {
                Wish::Whole
            } else {
                Wish::Nothing
            };
        }
        if mapping.advice.dont_dump && !self.all {
            return Wish::Nothing;
        }
        let shared = mapping.permissions.shared;
        if mapping.advice.huge {
            return wanted(if shared { CoreFilter::HUGE_SHARED } else { CoreFilter::HUGE_PRIVATE });
        }
        if shared {
            let has_no_name = mapping.file.is_none() || mapping.deleted;
            return wanted(if has_no_name { CoreFilter::ANONYMOUS_SHARED } else { CoreFilter::FILE_SHARED });
        }
        if mapping.file.is_none() {
            // Memory that cannot be used is room that was set aside, unless there is something in it.
            let usable = mapping.permissions.read || mapping.permissions.write || mapping.permissions.execute;
            let worth = (self.holes && usable) || self.has(mapping, |content| content != Content::Untouched);
            return if worth { wanted(CoreFilter::ANONYMOUS_PRIVATE) } else { Wish::Nothing };
        }
        let changed = |content| content == Content::Own;
        if self.filter.has(CoreFilter::ANONYMOUS_PRIVATE) && self.has(mapping, changed) {
            return Wish::Whole;
        }
        if let Wish::Whole = wanted(CoreFilter::FILE_PRIVATE) {
            return Wish::Whole;
        }
        let begins =
            mapping.offset == 0 && mapping.permissions.read && self.filter.has(CoreFilter::ELF_HEADERS);
        let mut magic = [0; 4];
        if begins && self.memory.read(mapping.range.start, &mut magic).is_ok() && magic == *b"\x7fELF" {
            return Wish::Header;
        }
        Wish::Nothing
    }

    /// Whether any part of a mapping is so.
    fn has(&self, mapping: &Mapping, wanted: impl Fn(Content) -> bool) -> bool {
        let mut windows = windows(mapping.range.clone());
        windows.any(|window| self.memory.contents(window).iter().any(|(_, content)| wanted(*content)))
    }

    /// The same length without the end of it that a dump left out.
    fn without_missing_end(&self, mapping: &Mapping, length: u64) -> u64 {
        let start = mapping.range.start;
        let mut end = start.wrapping_add(length);
        let bytes = window_bytes(&(start..end));
        while end > start {
            let window = Addr(end.0.saturating_sub(bytes)).max(start)..end;
            let contents = self.memory.contents(window.clone());
            match contents.iter().rev().find(|(_, content)| *content != Content::Missing) {
                Some((part, _)) => return part.end.0.min(end.0) - start.0,
                None => end = window.start,
            }
        }
        0
    }
}

/// Whether what was never touched of a mapping is zero. Reading it would make pages of it.
pub(crate) fn is_zero_until_touched(mapping: &Mapping) -> bool {
    let private_huge =
        mapping.advice.huge && !mapping.permissions.shared && mapping.name == b"/anon_hugepage";
    private_huge || (mapping.file.is_none() && !mapping.permissions.shared && !is_special(mapping))
}

/// Whether the kernel made a mapping for itself (`[vdso]`, `[vvar]`, `[vsyscall]`, ARM's `[vectors]` and `[sigpage]`): what
/// has not been touched of it is not zero.
pub(super) fn is_special(mapping: &Mapping) -> bool {
    let of_programs: [&[u8]; 5] = [b"[heap]", b"[stack", b"[anon:", b"[anon_shmem:", b"[tstack"];
    mapping.file.is_none()
        && mapping.name.first() == Some(&b'[')
        && !of_programs.iter().any(|name| mapping.name.starts_with(name))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    Nothing,
    Header,
    Whole,
}

#[cfg(test)]
mod tests {
    use prospect_process::{Advice, CapturedMemory, FileId, Permissions};

    use super::*;
    use crate::writing::WINDOW_BYTES;

    /// Own pages where `own`, else as never touched.
    struct Pages {
        own: Range<u64>,
        bytes: CapturedMemory,
    }

    impl Memory for Pages {
        fn read_up_to(&self, at: Addr, buffer: &mut [u8]) -> Result<usize, prospect_process::MemoryError> {
            self.bytes.read_up_to(at, buffer)
        }

        fn contents(&self, range: Range<Addr>) -> Vec<(Range<Addr>, Content)> {
            let (start, end) = (
                Addr(self.own.start).clamp(range.start, range.end),
                Addr(self.own.end).clamp(range.start, range.end),
            );
            [
                (range.start..start, Content::Untouched),
                (start..end, Content::Own),
                (end..range.end, Content::Untouched),
            ]
            .into_iter()
            .filter(|(part, _)| part.start < part.end)
            .collect()
        }
    }

    const AT: u64 = 0x10_0000;

    fn mapping() -> Mapping {
        Mapping {
            range: Addr(AT)..Addr(AT + 0x4000),
            permissions: Permissions { read: true, write: true, ..Permissions::default() },
            offset: 0,
            file: None,
            name: Vec::new(),
            deleted: false,
            advice: Advice::default(),
        }
    }

    fn of_file() -> Mapping {
        let file = Some(FileId { device: (1, 2), inode: 3 });
        Mapping {
            file,
            name: b"/lib/x".to_vec(),
            permissions: Permissions { read: true, ..Permissions::default() },
            ..mapping()
        }
    }

    fn shared(mapping: Mapping) -> Mapping {
        Mapping { permissions: Permissions { shared: true, ..mapping.permissions }, ..mapping }
    }

    fn length(filter: u32, own: Range<u64>, holes: bool, mapping: &Mapping) -> u64 {
        let memory = Pages { own, bytes: CapturedMemory::new(b"\x7fELF".to_vec(), [(Addr(AT), 4, 0)]) };
        let all = filter == u32::MAX;
        Chooser { memory: &memory, filter: CoreFilter(filter), all, holes, page_bytes: 0x1000 }
            .length(mapping)
    }

    #[test]
    fn each_kind_has_its_bit() {
        let (none, some) = (0..0, AT + 0x1000..AT + 0x2000);
        assert_eq!(length(1, some.clone(), false, &mapping()), 0x4000);
        assert_eq!(length(!1, some.clone(), false, &mapping()), 0);
        // Never touched: nothing where zeros would have to be written.
        assert_eq!(length(1, none.clone(), false, &mapping()), 0);
        assert_eq!(length(1, none.clone(), true, &mapping()), 0x4000);
        // A file that was changed, its header, all of it.
        assert_eq!(length(1, some.clone(), true, &of_file()), 0x4000);
        assert_eq!(length(1, none.clone(), true, &of_file()), 0);
        assert_eq!(length(0x11, none.clone(), true, &of_file()), 0x1000);
        assert_eq!(length(0x10, none.clone(), true, &Mapping { offset: 0x1000, ..of_file() }), 0);
        assert_eq!(length(4, none.clone(), true, &of_file()), 0x4000);
        // Shared, with a name and without.
        assert_eq!(length(8, none.clone(), true, &shared(of_file())), 0x4000);
        assert_eq!(length(2, none.clone(), true, &shared(of_file())), 0);
        assert_eq!(length(2, none.clone(), true, &shared(Mapping { deleted: true, ..of_file() })), 0x4000);
        assert_eq!(length(!2, none, true, &shared(mapping())), 0);
        let huge = Mapping { advice: Advice { huge: true, ..Advice::default() }, ..of_file() };
        assert_eq!(length(0x20, some.clone(), true, &huge), 0x4000);
        assert_eq!(length(0x5f, some.clone(), true, &huge), 0);
        assert_eq!(length(0x40, some, true, &shared(huge)), 0x4000);
    }

    #[test]
    fn what_was_asked_to_be_left_out_is() {
        let all = AT..AT + 0x4000;
        let advised = |advice| Mapping { advice, ..mapping() };
        let dont_dump = advised(Advice { dont_dump: true, ..Advice::default() });
        assert_eq!(length(0x7f, all.clone(), true, &dont_dump), 0);
        assert_eq!(length(u32::MAX, all.clone(), true, &dont_dump), 0x4000);
        let device = advised(Advice { device: true, ..Advice::default() });
        assert_eq!(length(u32::MAX, all.clone(), true, &device), 0);
        let none = Mapping { permissions: Permissions::default(), ..mapping() };
        assert_eq!((length(1, 0..0, true, &none), length(1, all, true, &none)), (0, 0x4000));
        let vdso = Mapping { name: b"[vdso]".to_vec(), ..mapping() };
        assert_eq!(length(0, 0..0, false, &vdso), 0x4000);
        assert_eq!(length(1, 0..0, false, &Mapping { name: b"[anon:x]".to_vec(), ..vdso }), 0);
    }

    #[test]
    fn long_gaps_are_segments_of_their_own_where_zeros_would_be_written() {
        let big = Mapping { range: Addr(AT)..Addr(AT + 4 * WINDOW_BYTES), ..mapping() };
        let own = AT + 2 * WINDOW_BYTES..AT + 2 * WINDOW_BYTES + 0x2000;
        let memory = Pages { own: own.clone(), bytes: CapturedMemory::default() };
        let pieces = |holes| {
            let chooser =
                Chooser { memory: &memory, filter: CoreFilter(1), all: false, holes, page_bytes: 0x1000 };
            let pieces = chooser.pieces(&big, chooser.length(&big)).into_iter();
            pieces.map(|piece| (piece.range.start.0..piece.range.end.0, piece.length)).collect::<Vec<_>>()
        };
        assert_eq!(pieces(true), [(AT..big.range.end.0, 4 * WINDOW_BYTES)]);
        let expected = [(AT..own.start, 0), (own.clone(), 0x2000), (own.end..big.range.end.0, 0)];
        assert_eq!(pieces(false), expected);
    }

    #[test]
    fn what_a_dump_left_out_at_the_end_is_left_out_again() {
        let memory =
            CapturedMemory::new(vec![1; 0x1800], [(Addr(AT), 0x800, 0), (Addr(AT + 0x1000), 0x1000, 0x800)]);
        let chooser =
            Chooser { memory: &memory, filter: CoreFilter(1), all: false, holes: true, page_bytes: 0x1000 };
        assert_eq!(chooser.length(&mapping()), 0x2000);
        assert_eq!(chooser.length(&Mapping { range: Addr(0x5000)..Addr(0x6000), ..mapping() }), 0);
    }
}
