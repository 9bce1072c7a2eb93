//! A packed section, unpacked step by step.

use std::{
    fmt,
    io::{self, Read},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use memmap2::MmapMut;

use super::{file::FileBytes, section::Compression};
use crate::cache::Slot;

/// A section that says it unpacks to more than this is not believed.
const LARGEST_UNPACKED: usize = 4 << 30;

/// No packer gains more than this: a section that says so would cost memory for nothing.
const LARGEST_RATIO: usize = 1100;

/// Prefixes end at a multiple of this, so that neighbouring requests share one.
pub(super) const PREFIX_STEP: usize = 64 << 10;

/// How many prefixes of one section are kept before the rest is unpacked at once.
const MOST_PREFIXES: usize = 16;

/// The bytes before the compressed data of a zlib stream (RFC 1950): nothing in them matters. Without
/// them no checksum is computed, which is of the whole only anyway.
const ZLIB_HEADER: usize = 2;

/// What was handed out must stay where it is, so each step makes a longer prefix beside the shorter
/// ones: copying what is there already costs little beside inflating it.
pub(super) struct Packed {
    pub(super) length: usize,
    /// In order of length; set one after another.
    prefixes: [OnceLock<Prefix>; MOST_PREFIXES],
    inflater: Mutex<Inflater>,
    /// Where an earlier run may have left what it unpacked.
    pub(super) slot: Option<Slot>,
}

impl Packed {
    /// So many bytes are packed into `stored`.
    pub(super) fn new(compression: Compression, length: usize, stored: usize) -> Self {
        let believed = length <= LARGEST_UNPACKED && length / LARGEST_RATIO <= stored;
        Self {
            length: if believed { length } else { 0 },
            prefixes: Default::default(),
            inflater: Mutex::new(Inflater::NotStarted(compression)),
            slot: None,
        }
    }

    /// What was unpacked so far.
    pub(super) fn unpacked(&self) -> &[u8] {
        self.prefixes.iter().map_while(OnceLock::get).last().map_or(&[], Prefix::bytes)
    }

    /// Unpacks until there are `end` bytes, or as many as there are. They are packed in `range` of `file`.
    pub(super) fn grow(&self, end: usize, file: &Arc<FileBytes>, range: &Range<usize>) -> &[u8] {
        let mut inflater: MutexGuard<'_, _> = self.inflater.lock().unwrap_or_else(PoisonError::into_inner);
        let made = self.prefixes.iter().take_while(|one| one.get().is_some()).count();
        let longest = self.unpacked();
        let Some(slot) = self.prefixes.get(made) else { return longest };
        if longest.len() >= end || matches!(*inflater, Inflater::Ended) {
            return longest;
        }
        let last = made + 1 == MOST_PREFIXES;
        let wanted = if last { self.length } else { end.next_multiple_of(PREFIX_STEP).min(self.length) };
        let Ok(mut prefix) = Prefix::copy(longest, wanted) else { return longest };
        inflater.inflate(&mut prefix, file, range);
        slot.get_or_init(|| prefix).bytes()
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packed({} of {} bytes unpacked)", self.unpacked().len(), self.length)
    }
}

/// The first bytes of a section. Their memory is the system's, zero until it is written: a vector would
/// be filled before it is filled.
struct Prefix {
    memory: MmapMut,
    /// How many of them were unpacked.
    length: usize,
}

impl Prefix {
    /// Room for `wanted` bytes, the first of which are there.
    fn copy(bytes: &[u8], wanted: usize) -> io::Result<Self> {
        let mut memory = MmapMut::map_anon(wanted)?;
        let length = bytes.len().min(wanted);
        memory[..length].copy_from_slice(&bytes[..length]);
        Ok(Self { memory, length })
    }

    fn bytes(&self) -> &[u8] {
        self.memory.get(..self.length).unwrap_or_default()
    }

    /// What was not unpacked yet.
    fn rest(&mut self) -> &mut [u8] {
        self.memory.get_mut(self.length..).unwrap_or_default()
    }
}

/// Where unpacking stopped.
enum Inflater {
    NotStarted(Compression),
    Zlib(Box<flate2::Decompress>),
    Zstd(Box<dyn Read + Send>),
    /// At the end, or at what cannot be unpacked.
    Ended,
}

impl Inflater {
    /// Fills `prefix`, or as much of it as there is.
    fn inflate(&mut self, prefix: &mut Prefix, file: &Arc<FileBytes>, range: &Range<usize>) {
        if let Self::NotStarted(compression) = *self {
            *self = match compression {
                Compression::Zlib => Self::Zlib(Box::new(flate2::Decompress::new(false))),
                Compression::Zstd => Self::start_zstd(file, range),
            };
        }
        while !prefix.rest().is_empty() {
            let count = match self {
                Self::Zlib(state) => {
                    inflate_zlib(state, file.get(range.clone()).unwrap_or_default(), prefix.rest())
                }
                Self::Zstd(decoder) => decoder.read(prefix.rest()).unwrap_or(0),
                Self::NotStarted(_) | Self::Ended => 0,
            };
            if count == 0 {
                // What was unpacked before an error stays.
                *self = Self::Ended;
                break;
            }
            prefix.length += count;
        }
    }

    fn start_zstd(file: &Arc<FileBytes>, range: &Range<usize>) -> Self {
        let source = FileReader { file: file.clone(), range: range.clone() };
        ruzstd::decoding::StreamingDecoder::new(source)
            .map_or(Self::Ended, |decoder| Self::Zstd(Box::new(decoder)))
    }
}

/// How many bytes of `to` were filled; none at the end and at an error.
fn inflate_zlib(state: &mut flate2::Decompress, packed: &[u8], to: &mut [u8]) -> usize {
    let before = state.total_out();
    let input = usize::try_from(state.total_in()).ok().and_then(|read| packed.get(ZLIB_HEADER + read..));
    let _ = state.decompress(input.unwrap_or_default(), to, flate2::FlushDecompress::None);
    usize::try_from(state.total_out() - before).map_or(0, |count| count.min(to.len()))
}

/// Reads a part of a file that it keeps alive.
struct FileReader {
    file: Arc<FileBytes>,
    range: Range<usize>,
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut rest = self.file.get(self.range.clone()).unwrap_or_default();
        let count = rest.read(buffer)?;
        self.range.start += count;
        Ok(count)
    }
}
