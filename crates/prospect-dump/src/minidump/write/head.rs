//! All of a minidump but the memory, as it grows.

use std::ops::Range;

use prospect_process::{Addr, Arch};

/// `MINIDUMP_HEADER`.
const HEADER_BYTES: usize = 32;
/// `MINIDUMP_SIGNATURE`, `MINIDUMP_VERSION`.
const SIGNATURE: u32 = u32::from_le_bytes(*b"MDMP");
const VERSION: u32 = 0xa793;

/// The streams one after the other, behind the header, and the directory behind them. Numbers are in the byte order of the
/// process's architecture, as readers expect it.
pub(super) struct Head {
    big_endian: bool,
    bytes: Vec<u8>,
    /// Kind, size and position of each stream.
    directory: Vec<[u32; 3]>,
    /// Where the position of memory in the file is to be written, and which memory.
    open: Vec<(usize, Addr)>,
    /// Where `MINIDUMP_MEMORY64_LIST` has the position of the memory.
    open_base: Option<usize>,
}

impl Head {
    pub(super) fn new(arch: Arch) -> Self {
        Self {
            big_endian: arch.info().big_endian,
            bytes: vec![0; HEADER_BYTES],
            directory: Vec::new(),
            open: Vec::new(),
            open_base: None,
        }
    }

    /// Whether the most significant byte comes first.
    pub(super) fn is_big_endian(&self) -> bool {
        self.big_endian
    }

    pub(super) fn u16(&mut self, number: u16) {
        self.bytes.extend(if self.big_endian { number.to_be_bytes() } else { number.to_le_bytes() });
    }

    pub(super) fn u32(&mut self, number: u32) {
        self.bytes.extend(self.word(number));
    }

    pub(super) fn u64(&mut self, number: u64) {
        self.bytes.extend(if self.big_endian { number.to_be_bytes() } else { number.to_le_bytes() });
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    pub(super) fn zeros(&mut self, count: usize) {
        self.bytes.resize(self.bytes.len() + count, 0);
    }

    /// Where the next bytes will be.
    pub(super) fn position(&self) -> u32 {
        self.bytes.len() as u32
    }

    /// How many bytes there are: positions beyond 32 bits are none.
    pub(super) fn length(&self) -> usize {
        self.bytes.len()
    }

    /// A `MINIDUMP_STRING`, and where it is.
    pub(super) fn string(&mut self, text: &str) -> u32 {
        self.align(4);
        let at = self.position();
        let units: Vec<u16> = text.encode_utf16().collect();
        self.u32((2 * units.len()) as u32);
        units.into_iter().chain([0]).for_each(|unit| self.u16(unit));
        at
    }

    /// A `MinidumpUTF8String`, and where it is: its length, and a zero behind it that the length does not count.
    pub(super) fn utf8(&mut self, text: &str) -> u32 {
        let at = self.byte_array(text.as_bytes());
        self.bytes(&[0]);
        at
    }

    /// A `MinidumpByteArray`, and where it is.
    pub(super) fn byte_array(&mut self, bytes: &[u8]) -> u32 {
        self.align(4);
        let at = self.position();
        self.u32(bytes.len() as u32);
        self.bytes(bytes);
        at
    }

    /// Bytes of their own, and their `MINIDUMP_LOCATION_DESCRIPTOR`: size and position.
    pub(super) fn apart(&mut self, alignment: usize, bytes: &[u8]) -> [u32; 2] {
        self.align(alignment);
        let at = self.position();
        self.bytes(bytes);
        [bytes.len() as u32, at]
    }

    /// A `MINIDUMP_LOCATION_DESCRIPTOR`.
    pub(super) fn location(&mut self, [size, position]: [u32; 2]) {
        self.u32(size);
        self.u32(position);
    }

    /// The same of memory, whose position is not known yet.
    pub(super) fn location_of_memory(&mut self, range: &Range<Addr>) {
        self.u32((range.end.0 - range.start.0) as u32);
        self.open.push((self.bytes.len(), range.start));
        self.u32(0);
    }

    /// Where all memory begins, as 64 bits.
    pub(super) fn base_of_memory(&mut self) {
        self.open_base = Some(self.bytes.len());
        self.u64(0);
    }

    /// A stream: what `write` writes.
    pub(super) fn stream(&mut self, kind: u32, write: impl FnOnce(&mut Self)) {
        self.align(8);
        let at = self.position();
        write(self);
        self.directory.push([kind, self.position().saturating_sub(at), at]);
    }

    /// Whether there is a stream of this kind.
    pub(super) fn has(&self, kind: u32) -> bool {
        self.directory.iter().any(|one| one[0] == kind)
    }

    /// How many bytes [`finish`](Self::finish) makes of it.
    pub(super) fn final_length(&self) -> u64 {
        ((self.bytes.len() + 12 * self.directory.len()) as u64 + 16).next_multiple_of(16)
    }

    /// The whole of it. `offset_of` says how far behind the beginning of the memory an address is.
    pub(super) fn finish(
        mut self,
        seconds: u32,
        flags: u64,
        offset_of: impl Fn(Addr) -> Option<u64>,
    ) -> Vec<u8> {
        let memory_at = self.final_length();
        self.align(4);
        let directory_at = self.position();
        let streams = std::mem::take(&mut self.directory);
        for number in streams.iter().flatten() {
            self.u32(*number);
        }
        self.bytes.resize(memory_at as usize, 0);
        let header = [SIGNATURE, VERSION, streams.len() as u32, directory_at, 0, seconds];
        for (index, number) in header.into_iter().enumerate() {
            self.put(4 * index, self.word(number));
        }
        self.put(24, self.wide(flags));
        for (at, address) in std::mem::take(&mut self.open) {
            // What lies beyond 32 bits is found by its address.
            match offset_of(address).and_then(|offset| u32::try_from(memory_at + offset).ok()) {
                Some(position) => self.put(at, self.word(position)),
                None => self.put(at - 4, [0; 8]),
            }
        }
        if let Some(at) = self.open_base {
            self.put(at, self.wide(memory_at));
        }
        self.bytes
    }

    fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    fn put<const N: usize>(&mut self, at: usize, bytes: [u8; N]) {
        self.bytes[at..at + N].copy_from_slice(&bytes);
    }

    fn word(&self, number: u32) -> [u8; 4] {
        if self.big_endian { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    fn wide(&self, number: u64) -> [u8; 8] {
        if self.big_endian { number.to_be_bytes() } else { number.to_le_bytes() }
    }
}
