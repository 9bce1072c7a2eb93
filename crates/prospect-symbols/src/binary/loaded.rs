//! The sections that the loaded part of an ELF file tells of by itself: for files whose section table
//! was stripped, and for what only a process's memory still holds.

use std::ops::Range;

use prospect_process::{Addr, LinkAddr, Memory};

use super::{Headers, Segment};
use crate::unwind_info::{EhFrameHeader, pointed_to};

/// Of one section in memory, not more than this is copied.
const LARGEST_COPY: u64 = 64 << 20;
/// Bytes that are asked for at once.
const CHUNK_BYTES: usize = 1 << 20;

/// A chain of symbols with the same hash has a few links of 4 bytes.
const LONGEST_CHAIN: u64 = 4096;

/// A dynamic section has some 30 entries.
const MOST_DYNAMIC_ENTRIES: u64 = 1024;

/// A section that was found without a section table.
#[derive(Debug)]
pub(crate) struct LoadedSection {
    pub(crate) name: &'static str,
    pub(crate) address: LinkAddr,
    /// Where its bytes are among those of the [`Loaded`].
    pub(crate) place: Range<usize>,
}

/// Bytes by their address as linked.
pub(crate) trait Loaded {
    /// Where the bytes of a range are: as many as there are from its start on.
    fn place(&mut self, range: Range<LinkAddr>) -> Option<Range<usize>>;
    /// Bytes that [`place`](Self::place) found.
    fn bytes(&self, place: Range<usize>) -> &[u8];
}

/// The segments of a file.
pub(crate) struct LoadedFile<'a> {
    data: &'a [u8],
    segments: &'a [Segment],
}

impl<'a> LoadedFile<'a> {
    pub(crate) fn new(data: &'a [u8], segments: &'a [Segment]) -> Self {
        Self { data, segments }
    }
}

impl Loaded for LoadedFile<'_> {
    fn place(&mut self, range: Range<LinkAddr>) -> Option<Range<usize>> {
        let segment = self.segments.iter().find(|one| one.range.contains(&range.start))?;
        let skip = usize::try_from(range.start.0 - segment.range.start.0).ok()?;
        let start = segment.file_range.start.checked_add(skip)?;
        let length = usize::try_from(range.end.0.saturating_sub(range.start.0)).ok()?;
        let end = start.saturating_add(length).min(segment.file_range.end);
        (start < end).then_some(start..end)
    }

    fn bytes(&self, place: Range<usize>) -> &[u8] {
        self.data.get(place).unwrap_or_default()
    }
}

/// A module in a process's memory: what is asked for is copied.
pub(crate) struct LoadedMemory<'a> {
    memory: &'a dyn Memory,
    bias: u64,
    copied: Vec<u8>,
}

impl<'a> LoadedMemory<'a> {
    pub(crate) fn new(memory: &'a dyn Memory, bias: u64) -> Self {
        Self { memory, bias, copied: Vec::new() }
    }

    /// All that was copied; the places stay valid in it.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.copied
    }
}

impl Loaded for LoadedMemory<'_> {
    fn place(&mut self, range: Range<LinkAddr>) -> Option<Range<usize>> {
        let length = range.end.0.saturating_sub(range.start.0).min(LARGEST_COPY) as usize;
        let at = range.start.to_addr(self.bias);
        let start = self.copied.len();
        copy(self.memory, at, length, &mut self.copied);
        (start < self.copied.len()).then_some(start..self.copied.len())
    }

    fn bytes(&self, place: Range<usize>) -> &[u8] {
        self.copied.get(place).unwrap_or_default()
    }
}

/// Appends what can be read of `length` bytes. Memory is taken as it turns out to be there, not as a
/// header says that it is.
pub(super) fn copy(memory: &dyn Memory, at: Addr, length: usize, to: &mut Vec<u8>) {
    let mut left = length;
    while left > 0 {
        let (before, wanted) = (to.len(), left.min(CHUNK_BYTES));
        to.resize(before + wanted, 0);
        let done = (length - left) as u64;
        let read = memory.read_available(at.wrapping_add(done), &mut to[before..]);
        to.truncate(before + read);
        if read < wanted {
            break;
        }
        left -= read;
    }
}

/// The unwind sections and the dynamic symbols that the headers tell of. `bias` is what was added to the
/// addresses in the dynamic section, where the dynamic linker did that.
pub(crate) fn find_sections(headers: &Headers, bias: u64, loaded: &mut dyn Loaded) -> Vec<LoadedSection> {
    let mut found = Vec::new();
    find_unwind_sections(headers, loaded, &mut found);
    if let Some(range) = headers.sframe.clone() {
        let address = range.start;
        found.extend(loaded.place(range).map(|place| LoadedSection { name: ".sframe", address, place }));
    }
    find_exception_tables(headers, loaded, &mut found);
    find_dynamic_symbols(headers, bias, loaded, &mut found);
    found
}

fn find_unwind_sections(headers: &Headers, loaded: &mut dyn Loaded, found: &mut Vec<LoadedSection>) {
    let Some(range) = headers.eh_frame_header.clone() else { return };
    let address = range.start;
    let Some(place) = loaded.place(range) else { return };
    let format = headers.pointer_format(address.0);
    let Some(header) = EhFrameHeader::parse(loaded.bytes(place.clone()), format) else { return };
    found.push(LoadedSection { name: ".eh_frame_hdr", address, place });
    let address = LinkAddr(header.eh_frame);
    // Nothing says where it ends: a zero does, and the end of its segment at the latest.
    let segment = headers.segments.iter().find(|one| one.range.contains(&address));
    let Some(end) = segment.map(|segment| segment.range.end) else { return };
    if let Some(place) = loaded.place(address..end) {
        found.push(LoadedSection { name: ".eh_frame", address, place });
    }
}

/// `.ARM.exidx` has a segment; where `.ARM.extab` is, its entries say.
fn find_exception_tables(
    headers: &Headers,
    loaded: &mut dyn Loaded,
    found: &mut Vec<LoadedSection>,
) -> Option<()> {
    let range = headers.exception_index.clone()?;
    let address = range.start;
    let index = loaded.place(range)?;
    let used = pointed_to(loaded.bytes(index.clone()), headers.pointer_format(address.0));
    found.push(LoadedSection { name: ".ARM.exidx", address, place: index });
    let used = used?;
    let address = used.start;
    let table = loaded.place(used)?;
    found.push(LoadedSection { name: ".ARM.extab", address, place: table });
    Some(())
}

/// Tags of the dynamic section (ELF gABI, "Dynamic Section"; `DT_GNU_HASH` is GNU's).
const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_STRSZ: u64 = 10;
const DT_GNU_HASH: u64 = 0x6fff_fef5;
const DT_VERSYM: u64 = 0x6fff_fff0;
const DT_VERDEF: u64 = 0x6fff_fffc;
const DT_VERDEFNUM: u64 = 0x6fff_fffd;
const DT_VERNEED: u64 = 0x6fff_fffe;
const DT_VERNEEDNUM: u64 = 0x6fff_ffff;

/// A version's definition has 20 bytes, and 8 for each of its names: mostly one or two. What is needed of one library has 16, and
/// 16 for each version.
const DEFINITION_BYTES: u64 = 64;
const NEED_BYTES: u64 = 4096;

fn find_dynamic_symbols(
    headers: &Headers,
    bias: u64,
    loaded: &mut dyn Loaded,
    found: &mut Vec<LoadedSection>,
) -> Option<()> {
    let dynamic = headers.dynamic.clone()?;
    let word = usize::from(headers.address_bytes);
    let end = dynamic.start.0.saturating_add(2 * word as u64 * MOST_DYNAMIC_ENTRIES).min(dynamic.end.0);
    let place = loaded.place(dynamic.start..LinkAddr(end))?;
    found.push(LoadedSection { name: ".dynamic", address: dynamic.start, place: place.clone() });
    let numbers = headers.pointer_format(0);
    let (mut symbols, mut strings, mut string_bytes) = (None, None, 0);
    let (mut hash, mut gnu_hash) = (None, None);
    let mut versions = None;
    let (mut definitions, mut definition_count, mut needs, mut need_count) = (None, 0, None, 0);
    let address = |value: u64| linked(headers, bias, value);
    for entry in loaded.bytes(place).chunks_exact(2 * word) {
        let (tag, value) = (numbers.unsigned(&entry[..word]), numbers.unsigned(&entry[word..]));
        match tag {
            0 => break,
            DT_SYMTAB => symbols = address(value),
            DT_STRTAB => strings = address(value),
            DT_STRSZ => string_bytes = value,
            DT_HASH => hash = address(value),
            DT_GNU_HASH => gnu_hash = address(value),
            DT_VERSYM => versions = address(value),
            DT_VERDEF => definitions = address(value),
            DT_VERDEFNUM => definition_count = value,
            DT_VERNEED => needs = address(value),
            DT_VERNEEDNUM => need_count = value,
            _ => {}
        }
    }
    let (symbols, strings) = (symbols?, strings?);
    let count = hash
        .and_then(|at| count_by_hash(headers, at, loaded))
        .or_else(|| count_by_gnu_hash(headers, gnu_hash?, loaded))
        // Linkers put the names behind the symbols.
        .or_else(|| Some(strings.0.checked_sub(symbols.0)? / symbol_bytes(headers)))?;
    let size = count.checked_mul(symbol_bytes(headers))?.min(LARGEST_COPY);
    let symbol_place = loaded.place(symbols..LinkAddr(symbols.0.saturating_add(size)))?;
    let string_place = loaded.place(strings..LinkAddr(strings.0.saturating_add(string_bytes)))?;
    found.push(LoadedSection { name: ".dynsym", address: symbols, place: symbol_place });
    found.push(LoadedSection { name: ".dynstr", address: strings, place: string_place });
    // What lies behind the end of one of these is not read: their own numbers say where that is.
    let gnu_hash_bytes = gnu_hash.and_then(|at| gnu_hash_size(headers, at, count, loaded));
    let hash_bytes = hash.and_then(|at| hash_size(headers, at, loaded));
    let others = [
        (".gnu.hash", gnu_hash, gnu_hash_bytes),
        (".hash", hash, hash_bytes),
        (".gnu.version", versions, count.checked_mul(2)),
        (".gnu.version_d", definitions, definition_count.checked_mul(DEFINITION_BYTES)),
        (".gnu.version_r", needs, need_count.checked_mul(NEED_BYTES)),
    ];
    for (name, start, size) in others {
        let (Some(address), Some(size)) = (start, size) else { continue };
        let end = LinkAddr(address.0.saturating_add(size.min(LARGEST_COPY)));
        found.extend(loaded.place(address..end).map(|place| LoadedSection { name, address, place }));
    }
    Some(())
}

/// The size of `DT_HASH`: two numbers, the buckets, and a link per symbol.
fn hash_size(headers: &Headers, at: LinkAddr, loaded: &mut dyn Loaded) -> Option<u64> {
    let buckets = number(headers, at.0, loaded)?;
    buckets.checked_add(count_by_hash(headers, at, loaded)?)?.checked_add(2)?.checked_mul(4)
}

/// The size of `DT_GNU_HASH`: four numbers, the filter, the buckets, and a link per symbol that can be found.
fn gnu_hash_size(headers: &Headers, at: LinkAddr, symbols: u64, loaded: &mut dyn Loaded) -> Option<u64> {
    let field = |index: u64, loaded: &mut dyn Loaded| number(headers, at.0.checked_add(4 * index)?, loaded);
    let (buckets, first, filters) = (field(0, loaded)?, field(1, loaded)?, field(2, loaded)?);
    let numbers = buckets.checked_add(symbols.saturating_sub(first))?.checked_add(4)?;
    numbers.checked_mul(4)?.checked_add(filters.checked_mul(headers.address_bytes.into())?)
}

/// An address in the dynamic section as it was linked: some dynamic linkers relocate them in place.
fn linked(headers: &Headers, bias: u64, value: u64) -> Option<LinkAddr> {
    let is_loaded = |at: &LinkAddr| headers.segments.iter().any(|one| one.range.contains(at));
    [Addr(value).to_link(bias), LinkAddr(value)].into_iter().find(is_loaded)
}

/// The size of a symbol: `Elf32_Sym` or `Elf64_Sym`.
fn symbol_bytes(headers: &Headers) -> u64 {
    if headers.address_bytes == 8 { 24 } else { 16 }
}

/// One number of four bytes.
fn number(headers: &Headers, at: u64, loaded: &mut dyn Loaded) -> Option<u64> {
    let place = loaded.place(LinkAddr(at)..LinkAddr(at.checked_add(4)?))?;
    let bytes: &[u8; 4] = loaded.bytes(place).first_chunk()?;
    Some(headers.pointer_format(0).unsigned(bytes))
}

/// `DT_HASH` has one chain link per symbol (ELF gABI, "Hash Table").
fn count_by_hash(headers: &Headers, at: LinkAddr, loaded: &mut dyn Loaded) -> Option<u64> {
    number(headers, at.0.checked_add(4)?, loaded)
}

/// `DT_GNU_HASH`: the last symbol is at the end of the chain that begins last.
fn count_by_gnu_hash(headers: &Headers, at: LinkAddr, loaded: &mut dyn Loaded) -> Option<u64> {
    let numbers = headers.pointer_format(0);
    let head = loaded.place(at..LinkAddr(at.0.checked_add(16)?))?;
    let mut fields = loaded.bytes(head).chunks_exact(4).map(|field| numbers.unsigned(field));
    let (buckets, first, filters) = (fields.next()?, fields.next()?, fields.next()?);
    let bucket_start =
        at.0.checked_add(16)?.checked_add(filters.checked_mul(u64::from(headers.address_bytes))?)?;
    let chain_start = bucket_start.checked_add(buckets.checked_mul(4)?)?;
    let place = loaded.place(LinkAddr(bucket_start)..LinkAddr(chain_start))?;
    let last = loaded.bytes(place).chunks_exact(4).map(|bucket| numbers.unsigned(bucket)).max()?;
    if last < first {
        return Some(first);
    }
    let chain = chain_start.checked_add((last - first).checked_mul(4)?)?;
    // The last link of a chain is odd.
    let place = loaded.place(LinkAddr(chain)..LinkAddr(chain.saturating_add(LONGEST_CHAIN)))?;
    let links = loaded.bytes(place).chunks_exact(4).position(|link| numbers.unsigned(link) & 1 == 1)?;
    last.checked_add(links as u64)?.checked_add(1)
}
