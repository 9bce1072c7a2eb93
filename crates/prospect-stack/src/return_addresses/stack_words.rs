//! Words of a stack: mostly of a block that is at hand.

use prospect_process::{Addr, Arch, Memory, MemoryError};

/// How words of an architecture are read. Each is a type, so that each walk is compiled for its own.
pub(super) trait WordFormat {
    /// The bits of a word.
    const MASK: u64;
    /// The word that some bytes begin with.
    fn read(bytes: &[u8]) -> Option<u64>;
}

macro_rules! word_format {
    ($name:ident, $word:ty, $read:ident, $about:literal) => {
        #[doc = $about]
        pub(super) struct $name;

        impl WordFormat for $name {
            const MASK: u64 = <$word>::MAX as u64;

            #[inline]
            fn read(bytes: &[u8]) -> Option<u64> {
                bytes.first_chunk().map(|word| <$word>::$read(*word) as u64)
            }
        }
    };
}

word_format!(Little64, u64, from_le_bytes, "64 bits, the least significant byte first.");
word_format!(Big64, u64, from_be_bytes, "64 bits, the most significant byte first.");
word_format!(Little32, u32, from_le_bytes, "32 bits, the least significant byte first.");
word_format!(Big32, u32, from_be_bytes, "32 bits, the most significant byte first.");

/// The size of the first block that is copied. Many walks need no more.
const FIRST_BLOCK_BYTES: usize = 4 << 10;

/// The words of a stack.
pub(super) trait StackWords {
    /// The block that is at hand, and where it begins.
    fn block(&self) -> (&[u8], u64);

    /// A word that is not in the block. The next block may begin there.
    fn find(&mut self, arch: Arch, at: u64) -> Result<u64, MemoryError>;

    /// The word at an address.
    #[inline]
    fn word<W: WordFormat>(&mut self, arch: Arch, at: u64) -> Result<u64, MemoryError> {
        let (bytes, start) = self.block();
        let offset = usize::try_from(at.wrapping_sub(start)).unwrap_or(usize::MAX);
        match bytes.get(offset..).and_then(W::read) {
            Some(word) => Ok(word),
            None => self.find(arch, at),
        }
    }
}

/// Memory of which the stack needs no copy.
pub(super) struct AtHand<'m, M: ?Sized> {
    memory: &'m M,
    bytes: &'m [u8],
    start: u64,
}

impl<'m, M: Memory + ?Sized> AtHand<'m, M> {
    /// `None` where a copy is needed.
    pub(super) fn find(memory: &'m M, sp: Addr) -> Option<Self> {
        Some(Self { memory, bytes: memory.at_hand(sp)?, start: sp.0 })
    }
}

impl<M: Memory + ?Sized> StackWords for AtHand<'_, M> {
    #[inline]
    fn block(&self) -> (&[u8], u64) {
        (self.bytes, self.start)
    }

    #[cold]
    fn find(&mut self, arch: Arch, at: u64) -> Result<u64, MemoryError> {
        // On another stack, or below sp.
        if let Some(bytes) = self.memory.at_hand(Addr(at)) {
            (self.bytes, self.start) = (bytes, at);
        }
        self.memory.read_word(arch, Addr(at))
    }
}

/// Memory whose stack is copied into a buffer, in blocks.
pub(super) struct Copied<'m, M: ?Sized> {
    memory: &'m M,
    buffer: &'m mut [u8],
    length: usize,
    start: u64,
    next_bytes: usize,
}

impl<'m, M: Memory + ?Sized> Copied<'m, M> {
    pub(super) fn new(memory: &'m M, buffer: &'m mut [u8]) -> Self {
        Self { memory, buffer, length: 0, start: 0, next_bytes: FIRST_BLOCK_BYTES }
    }
}

impl<M: Memory + ?Sized> StackWords for Copied<'_, M> {
    #[inline]
    fn block(&self) -> (&[u8], u64) {
        (self.buffer.get(..self.length).unwrap_or_default(), self.start)
    }

    #[cold]
    fn find(&mut self, arch: Arch, at: u64) -> Result<u64, MemoryError> {
        let wanted = self.next_bytes.min(self.buffer.len());
        self.next_bytes = wanted.saturating_mul(4).max(FIRST_BLOCK_BYTES);
        if let Some(block) = self.buffer.get_mut(..wanted).filter(|block| !block.is_empty()) {
            self.length = 0;
            self.length = self.memory.read_up_to(Addr(at), block)?.min(wanted);
            self.start = at;
            if let Some(word) = self.buffer.get(..self.length).and_then(|block| arch.info().word(block)) {
                return Ok(word);
            }
        }
        self.memory.read_word(arch, Addr(at))
    }
}
