//! One section of a file, inflated when it is asked for and only as far.

use std::{
    fmt,
    io::Read,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use super::file::FileBytes;

/// A section that says it unpacks to more than this is not believed.
const LARGEST_UNPACKED: usize = 4 << 30;

/// No packer gains more than this: a section that says so would cost memory for nothing.
const LARGEST_RATIO: usize = 1100;

/// Prefixes end at a multiple of this, so that neighbouring requests share one.
const PREFIX_STEP: usize = 64 << 10;

/// How many prefixes of one section are kept before the rest is unpacked at once.
const MOST_PREFIXES: usize = 16;

/// The bytes before the compressed data of a zlib stream (RFC 1950): nothing in them matters. Without
/// them no checksum is computed, which is of the whole only anyway.
const ZLIB_HEADER: usize = 2;

/// How a section's bytes are packed (ELF gABI, `ch_type`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Compression {
    Zlib,
    Zstd,
}

/// One section's bytes.
#[derive(Debug)]
pub(crate) struct Section {
    file: Arc<FileBytes>,
    /// Its bytes in the file; of a packed one, those behind the compression header.
    range: Range<usize>,
    packed: Option<Box<Packed>>,
}

impl Section {
    /// The section that lies in `range` of `file`, packed into it from so many bytes or not.
    pub(crate) fn new(
        file: Arc<FileBytes>,
        range: Range<usize>,
        packed: Option<(Compression, usize)>,
    ) -> Self {
        let packed = packed.map(|(compression, length)| {
            let believed = length <= LARGEST_UNPACKED && length / LARGEST_RATIO <= range.len();
            Box::new(Packed {
                length: if believed { length } else { 0 },
                prefixes: Default::default(),
                inflater: Mutex::new(Inflater::NotStarted(compression)),
            })
        });
        Self { file, range, packed }
    }

    /// Its length, inflated.
    pub(crate) fn len(&self) -> usize {
        self.packed.as_ref().map_or(self.range.len(), |packed| packed.length)
    }

    /// Whether its bytes have to be inflated.
    pub(crate) fn is_packed(&self) -> bool {
        self.packed.is_some()
    }

    /// All of its bytes. Fewer, or none, where a range lies outside the file or the stream is broken.
    pub(crate) fn all(&self) -> &[u8] {
        self.up_to(usize::MAX)
    }

    /// At least the bytes before `end`, where there are so many: of a packed section, the rest is not
    /// unpacked. A later request goes on where the last one stopped.
    pub(crate) fn up_to(&self, end: usize) -> &[u8] {
        let Some(packed) = &self.packed else { return self.raw() };
        let end = end.min(packed.length);
        match packed.longest_prefix() {
            Some(prefix) if prefix.len() >= end => prefix,
            _ => packed.grow(end, &self.file, &self.range),
        }
    }

    fn raw(&self) -> &[u8] {
        self.file.get(self.range.clone()).unwrap_or_default()
    }

    /// Says that `range` of the section will not be read again soon, so that its pages are given back.
    pub(crate) fn release(&self, range: Range<usize>) {
        if self.packed.is_none() {
            let within = |offset: usize| self.range.start.saturating_add(offset).min(self.range.end);
            self.file.release(within(range.start)..within(range.end));
        }
    }
}

/// A packed section, unpacked step by step.
///
/// What was handed out must stay where it is, so each step makes a longer prefix beside the shorter
/// ones: copying what is there already costs little beside inflating it.
struct Packed {
    length: usize,
    /// In order of length; set one after another.
    prefixes: [OnceLock<Vec<u8>>; MOST_PREFIXES],
    inflater: Mutex<Inflater>,
}

impl Packed {
    fn longest_prefix(&self) -> Option<&[u8]> {
        self.prefixes.iter().map_while(OnceLock::get).last().map(Vec::as_slice)
    }

    fn grow(&self, end: usize, file: &Arc<FileBytes>, range: &Range<usize>) -> &[u8] {
        let mut inflater: MutexGuard<'_, _> = self.inflater.lock().unwrap_or_else(PoisonError::into_inner);
        let made = self.prefixes.iter().take_while(|one| one.get().is_some()).count();
        let longest =
            made.checked_sub(1).and_then(|last| self.prefixes[last].get()).map_or(&[][..], |one| one);
        let Some(slot) = self.prefixes.get(made) else { return longest };
        if longest.len() >= end || matches!(*inflater, Inflater::Ended) {
            return longest;
        }
        let last = made + 1 == MOST_PREFIXES;
        let wanted = if last { self.length } else { end.next_multiple_of(PREFIX_STEP).min(self.length) };
        let mut bytes = Vec::new();
        if bytes.try_reserve_exact(wanted).is_err() {
            return longest;
        }
        bytes.extend_from_slice(longest);
        inflater.inflate(&mut bytes, wanted, file, range);
        slot.get_or_init(|| bytes)
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unpacked = self.longest_prefix().map_or(0, <[u8]>::len);
        write!(f, "Packed({unpacked} of {} bytes unpacked)", self.length)
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
    /// Appends to `bytes` until there are `wanted`, or as many as there are.
    fn inflate(&mut self, bytes: &mut Vec<u8>, wanted: usize, file: &Arc<FileBytes>, range: &Range<usize>) {
        if let Self::NotStarted(compression) = *self {
            *self = match compression {
                Compression::Zlib => Self::Zlib(Box::new(flate2::Decompress::new(false))),
                Compression::Zstd => Self::start_zstd(file, range),
            };
        }
        match self {
            Self::Zlib(state) => {
                let packed = file.get(range.clone()).unwrap_or_default();
                if !inflate_zlib(state, packed, bytes, wanted) {
                    *self = Self::Ended;
                }
            }
            Self::Zstd(decoder) => {
                let missing = wanted.saturating_sub(bytes.len());
                // What was unpacked before an error stays.
                let result = decoder.take(missing as u64).read_to_end(bytes);
                if result.is_err() || bytes.len() < wanted {
                    *self = Self::Ended;
                }
            }
            Self::NotStarted(_) | Self::Ended => {}
        }
    }

    fn start_zstd(file: &Arc<FileBytes>, range: &Range<usize>) -> Self {
        let source = FileReader { file: file.clone(), range: range.clone() };
        ruzstd::decoding::StreamingDecoder::new(source)
            .map_or(Self::Ended, |decoder| Self::Zstd(Box::new(decoder)))
    }
}

/// Whether there may be more behind it.
fn inflate_zlib(state: &mut flate2::Decompress, packed: &[u8], bytes: &mut Vec<u8>, wanted: usize) -> bool {
    while bytes.len() < wanted {
        let before = bytes.len();
        let input = usize::try_from(state.total_in()).ok().and_then(|read| packed.get(ZLIB_HEADER + read..));
        let Some(input) = input else { return false };
        match state.decompress_vec(input, bytes, flate2::FlushDecompress::None) {
            Ok(flate2::Status::StreamEnd) | Err(_) => return false,
            Ok(_) if bytes.len() == before => return false,
            Ok(_) => {}
        }
    }
    true
}

/// Reads a part of a file that it keeps alive.
struct FileReader {
    file: Arc<FileBytes>,
    range: Range<usize>,
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut rest = self.file.get(self.range.clone()).unwrap_or_default();
        let count = rest.read(buffer)?;
        self.range.start += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn packed(bytes: &[u8]) -> Section {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        let file = encoder.finish().unwrap();
        let range = 0..file.len();
        Section::new(Arc::new(FileBytes::Owned(file)), range, Some((Compression::Zlib, bytes.len())))
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let step = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 28) as u8
        };
        (0..length).map(step).collect()
    }

    #[test]
    fn prefixes_grow_and_stay_where_they_are() {
        let bytes = noise(3 << 20);
        let section = packed(&bytes);
        let first = section.up_to(10);
        assert_eq!(first, &bytes[..PREFIX_STEP]);
        for end in (0..bytes.len()).step_by(100_000) {
            let prefix = section.up_to(end);
            assert!(prefix.len() >= end && bytes.starts_with(prefix), "up to {end}");
        }
        assert_eq!(section.all(), bytes);
        assert_eq!(first, &bytes[..PREFIX_STEP]);
    }

    #[test]
    fn a_broken_stream_gives_what_came_before() {
        let bytes = noise(1 << 20);
        let whole = packed(&bytes);
        let half = whole.range.len() / 2;
        let cut = Section::new(whole.file.clone(), 0..half, Some((Compression::Zlib, bytes.len())));
        assert!(!cut.all().is_empty() && cut.all().len() < bytes.len() && bytes.starts_with(cut.all()));
        let liar = Section::new(whole.file.clone(), 0..half, Some((Compression::Zlib, usize::MAX)));
        assert_eq!((liar.len(), liar.all()), (0, &[][..]));
    }
}
