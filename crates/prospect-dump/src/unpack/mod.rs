//! Dumps that are stored compressed: unpacked into a file without a name.

mod lz4;
mod skippable;
mod zstd;

use std::{
    fs::{File, OpenOptions},
    io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// How a file is compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Compression {
    /// RFC 8878.
    Zstd,
    /// LZ4's frame format.
    Lz4,
    /// The format of `xz`.
    Xz,
    /// RFC 1952.
    Gzip,
}

impl Compression {
    /// By the first bytes of a file; `None` when it is none of these.
    #[must_use]
    pub fn of(start: &[u8]) -> Option<Self> {
        let known: [(&[u8], Self); 4] = [
            (&[0x28, 0xb5, 0x2f, 0xfd], Self::Zstd),
            (&[0x04, 0x22, 0x4d, 0x18], Self::Lz4),
            (&[0xfd, b'7', b'z', b'X', b'Z', 0], Self::Xz),
            (&[0x1f, 0x8b, 8], Self::Gzip),
        ];
        known.into_iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, kind)| kind)
    }

    /// By the first bytes of a file, behind frames that are to be passed over.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_file(file: &File) -> io::Result<Option<Self>> {
        let mut at = 0;
        for _ in 0..MOST_SKIPPED {
            let mut start = [0; 8];
            let read = file.read_at(&mut start, at)?;
            let [a, b, c, d, length @ ..] = start;
            if read < start.len() || !skippable::is_skippable([a, b, c, d]) {
                return Ok(Self::of(&start[..read]));
            }
            at += 8 + u64::from(u32::from_le_bytes(length));
        }
        Ok(None)
    }
}

/// Before the first frame that is not to be passed over there are no more.
const MOST_SKIPPED: usize = 16;

/// Why a file cannot be unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// The compressed file cannot be read.
    #[error("cannot read it: {0}")]
    Read(io::Error),
    /// What is in it is not right.
    #[error("cannot unpack it: {0}")]
    Damaged(io::Error),
    /// It takes more room than there is.
    #[error("unpacked it takes more than the {limit} bytes that may be used in {}", directory.display())]
    NoRoom {
        /// Where it was to be unpacked.
        directory: PathBuf,
        /// How much there was.
        limit: u64,
    },
    /// What was unpacked cannot be written.
    #[error("cannot write to {}: {error}", directory.display())]
    Write {
        /// Where it was to be unpacked.
        directory: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// How far it has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnpackProgress {
    /// Bytes of the compressed file that were read.
    pub read: u64,
    /// How long it is.
    pub length: u64,
}

/// An unpacked file.
#[derive(Debug)]
pub struct Unpacked {
    /// It has no name, and is gone when it is closed.
    pub file: File,
    /// Why there is not more of it, where the compressed file is cut or damaged: what came before is there.
    pub damage: Option<UnpackError>,
}

/// So much is unpacked at once.
const CHUNK: usize = 1 << 20;
/// What is zero in whole blocks of this size is not written, and takes no room.
const BLOCK: usize = 4096;

/// Unpacks `file` into `directory`, where at most `limit` bytes are used.
///
/// # Errors
/// When nothing can be unpacked, or there is no room for it.
pub fn unpack(
    file: &File,
    compression: Compression,
    directory: &Path,
    limit: u64,
    progress: &mut dyn FnMut(UnpackProgress),
) -> Result<Unpacked, UnpackError> {
    let length = file.metadata().map_err(UnpackError::Read)?.len();
    let write_error = |error| UnpackError::Write { directory: directory.to_owned(), error };
    let mut out = SparseWriter { file: without_name(directory).map_err(write_error)?, at: 0, written: 0 };
    let read = AtomicU64::new(0);
    let mut reader = decoder(Counted { file, at: 0, read: &read }, compression);
    let mut chunk = vec![0; CHUNK];
    let mut damage = None;
    loop {
        let count = match fill(&mut *reader, &mut chunk) {
            (count, None) => count,
            (count, Some(error)) => {
                damage = Some(UnpackError::Damaged(error));
                count
            }
        };
        out.write(&chunk[..count]).map_err(write_error)?;
        if out.written > limit {
            return Err(UnpackError::NoRoom { directory: directory.to_owned(), limit });
        }
        progress(UnpackProgress { read: read.load(Ordering::Relaxed).min(length), length });
        if count < chunk.len() || damage.is_some() {
            break;
        }
    }
    match damage {
        Some(error) if out.at == 0 => Err(error),
        damage => {
            out.file.set_len(out.at).map_err(write_error)?;
            Ok(Unpacked { file: out.file, damage })
        }
    }
}

/// Reads until `chunk` is full, the end, or an error.
fn fill(reader: &mut dyn Read, chunk: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut done = 0;
    while done < chunk.len() {
        match reader.read(&mut chunk[done..]) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (done, Some(error)),
        }
    }
    (done, None)
}

/// More than encoders ask for (`xz -9` takes 65 MiB).
const MOST_XZ_KIB: u32 = 192 << 10;

fn decoder<'a>(source: Counted<'a>, compression: Compression) -> Box<dyn Read + 'a> {
    let source = BufReader::with_capacity(128 << 10, source);
    match compression {
        Compression::Zstd => Box::new(zstd::ZstdFrames::new(source)),
        Compression::Lz4 => Box::new(lz4::Lz4Frames::new(source)),
        Compression::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(source, true, MOST_XZ_KIB)),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(source)),
    }
}

/// Counts what is read.
struct Counted<'a> {
    file: &'a File,
    at: u64,
    read: &'a AtomicU64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        self.read.store(self.at, Ordering::Relaxed);
        Ok(count)
    }
}

/// Writes a file with holes where there are zeros.
struct SparseWriter {
    file: File,
    at: u64,
    /// Bytes that take room.
    written: u64,
}

impl SparseWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut blocks = bytes.chunks(BLOCK).peekable();
        let mut done = 0;
        while let Some(block) = blocks.next() {
            let (start, is_zero) = (done, is_zero(block));
            done += block.len();
            while let Some(next) = blocks.next_if(|next| self::is_zero(next) == is_zero) {
                done += next.len();
            }
            if !is_zero {
                self.file.seek(SeekFrom::Start(self.at + start as u64))?;
                self.file.write_all(&bytes[start..done])?;
                self.written += (done - start) as u64;
            }
        }
        self.at += bytes.len() as u64;
        Ok(())
    }
}

fn is_zero(block: &[u8]) -> bool {
    block.iter().all(|byte| *byte == 0)
}

/// A file without a name; where the file system has no such thing, one whose name is gone at once.
fn without_name(directory: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    match options.clone().custom_flags(libc::O_TMPFILE).open(directory) {
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR | libc::ENOENT)) =>
        {
            static COUNT: AtomicU64 = AtomicU64::new(0);
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = directory.join(format!(".prospect-{}-{number}", std::process::id()));
            let file = options.create_new(true).open(&path)?;
            std::fs::remove_file(&path)?;
            Ok(file)
        }
        opened => opened,
    }
}

#[cfg(test)]
mod tests {
    use lz4_flex::frame::{BlockSize, FrameEncoder, FrameInfo};

    use super::*;

    /// Bytes that are not the same everywhere.
    fn content(length: usize) -> Vec<u8> {
        (0..length).map(|index| (index / 7 * 31 % 251) as u8).collect()
    }

    fn lz4(bytes: &[u8], checksums: bool) -> Vec<u8> {
        let info = FrameInfo::new().block_size(BlockSize::Max64KB);
        let info = info.block_checksums(checksums).content_checksum(checksums);
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn skipped(length: u32) -> Vec<u8> {
        let head = [[0x53, 0x2a, 0x4d, 0x18], length.to_le_bytes()].concat();
        [head, vec![9; length as usize]].concat()
    }

    /// What is unpacked of these bytes, and what is wrong with them.
    fn unpacked(bytes: &[u8]) -> (Vec<u8>, Option<String>) {
        let directory = std::env::temp_dir();
        let mut packed = without_name(&directory).unwrap();
        packed.write_all(bytes).unwrap();
        let compression = Compression::of_file(&packed).unwrap().unwrap();
        match unpack(&packed, compression, &directory, u64::MAX, &mut |_| {}) {
            Ok(Unpacked { mut file, damage }) => {
                let mut content = Vec::new();
                file.rewind().unwrap();
                file.read_to_end(&mut content).unwrap();
                (content, damage.map(|damage| damage.to_string()))
            }
            Err(error) => (Vec::new(), Some(error.to_string())),
        }
    }

    #[test]
    fn frames_of_lz4_are_whole_only_with_their_ends() {
        let content = content(300_000);
        for checksums in [false, true] {
            let packed = lz4(&content, checksums);
            assert_eq!(unpacked(&packed), (content.clone(), None));
            let twice = [&packed[..], &skipped(5), &packed, &skipped(0)].concat();
            assert_eq!(unpacked(&twice), ([&content[..], &content].concat(), None));
            // Wherever it is cut, between two blocks too, it is said.
            let cuts = (5..packed.len()).filter(|cut| cut % 997 == 0 || packed.len() - cut < 16);
            for cut in cuts.chain(block_ends(&packed, checksums)) {
                let (there, damage) = unpacked(&packed[..cut]);
                assert!(content.starts_with(&there) && damage.is_some(), "{cut}: {damage:?}");
            }
        }
    }

    /// Where blocks end in a frame without a content size.
    fn block_ends(frame: &[u8], checksums: bool) -> Vec<usize> {
        let (mut at, mut ends) = (7, Vec::new());
        loop {
            let size = u32::from_le_bytes(frame[at..at + 4].try_into().unwrap()) & !(1 << 31);
            if size == 0 {
                assert!(ends.len() > 1, "{ends:?}");
                return ends;
            }
            at += 4 + size as usize + if checksums { 4 } else { 0 };
            ends.push(at);
        }
    }

    #[test]
    fn frames_to_be_passed_over_are() {
        let content = content(100_000);
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        let packed = ruzstd::encoding::compress_to_vec(&content[..], level);
        let pieces = [&skipped(4)[..], &packed, &skipped(70_000), &packed, &skipped(1)].concat();
        assert_eq!(unpacked(&pieces), ([&content[..], &content].concat(), None));
        let (there, damage) = unpacked(&[&packed[..], &skipped(9)[..12]].concat());
        assert_eq!((there == content, damage.is_some()), (true, true));
        assert_eq!(unpacked(&[&skipped(4)[..], &lz4(&content, true)].concat()), (content, None));
    }
}
