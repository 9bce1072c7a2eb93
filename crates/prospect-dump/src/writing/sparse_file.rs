//! A file with holes.

use std::{
    fs::File,
    io::{self, Seek as _, SeekFrom, Write},
};

use super::{
    Output,
    direct::{AlignedBuffer, DirectFile},
};

/// A file with holes where there are zeros.
///
/// Large parts go past the kernel's cache of files where the file system can do that: nobody reads a core at once, and making room
/// for gigabytes of it in the cache takes more time than writing them, and the cache from others.
#[derive(Debug)]
pub struct SparseFile {
    file: File,
    /// The same file past the cache.
    direct: Option<DirectFile>,
    /// Where the next bytes belong.
    position: u64,
    /// Where the file is.
    at: u64,
}

impl SparseFile {
    /// A file that is open for writing; what is in it is lost.
    ///
    /// # Errors
    /// When it cannot be emptied, as a pipe cannot.
    pub fn new(mut file: File) -> io::Result<Self> {
        file.set_len(0)?;
        file.rewind()?;
        let direct = DirectFile::of(&file);
        Ok(Self { file, direct, position: 0, at: 0 })
    }

    /// The file.
    #[must_use]
    pub fn into_inner(self) -> File {
        self.file
    }

    /// Writes through the cache.
    fn cached(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.at != self.position {
            self.at = self.file.seek(SeekFrom::Start(self.position))?;
        }
        let mut write = || self.file.write_all(bytes);
        match &mut self.direct {
            Some(direct) => direct.pace.cached(bytes.len(), write)?,
            None => write()?,
        }
        self.position += bytes.len() as u64;
        self.at = self.position;
        Ok(())
    }
}

impl Output for SparseFile {
    fn bytes(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let whole = self.direct.as_ref().and_then(|direct| direct.part(self.position, bytes));
        if let (Some(whole), Some(direct)) = (whole, &mut self.direct) {
            let (before, rest) = bytes.split_at(whole.start);
            let at = self.position + before.len() as u64;
            // What it does not take is written as the rest is.
            let written = direct.write_at(&rest[..whole.len()], at);
            self.cached(before)?;
            self.position += written as u64;
            bytes = &rest[written..];
        }
        self.cached(bytes)
    }

    fn zeros(&mut self, count: u64) -> io::Result<()> {
        self.position += count;
        Ok(())
    }

    fn has_holes(&self) -> bool {
        true
    }

    fn finish(&mut self) -> io::Result<()> {
        self.file.set_len(self.position)?;
        self.file.flush()
    }
}

/// So much is gathered before it is written.
const GATHERED_BYTES: usize = 4 << 20;

/// A file that is written from its beginning to its end in parts of any size, as a compressor does: gathered, so that it goes past
/// the kernel's cache as [`SparseFile`] does. What was not [flushed](Write::flush) is not in it.
#[derive(Debug)]
pub struct GatheredFile {
    file: SparseFile,
    buffer: AlignedBuffer,
    filled: usize,
}

impl GatheredFile {
    /// A file that is open for writing; what is in it is lost.
    ///
    /// # Errors
    /// When it cannot be emptied.
    pub fn new(file: File) -> io::Result<Self> {
        Ok(Self { file: SparseFile::new(file)?, buffer: AlignedBuffer::new(GATHERED_BYTES), filled: 0 })
    }

    fn empty(&mut self) -> io::Result<()> {
        let filled = std::mem::take(&mut self.filled);
        self.file.bytes(&self.buffer[..filled])
    }
}

impl Write for GatheredFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.filled == self.buffer.len() {
            self.empty()?;
        }
        let taken = bytes.len().min(self.buffer.len() - self.filled);
        self.buffer[self.filled..][..taken].copy_from_slice(&bytes[..taken]);
        self.filled += taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.empty()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    /// Noise that is the same each time.
    fn noise(buffer: &mut [u8]) {
        let mut seed = 1_u32;
        for byte in buffer {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (seed >> 24) as u8;
        }
    }

    #[test]
    fn parts_of_any_size_at_any_place_are_where_they_belong() {
        let scratch = prospect_testing::Scratch::new("sparse-file");
        let path = scratch.path().join("file");
        let mut output = SparseFile::new(File::create(&path).unwrap()).unwrap();
        let mut source = AlignedBuffer::new(3 << 20);
        noise(&mut source);
        let mut expected = Vec::new();
        // Where bytes come from and how many they are, and how many zeros follow: blocks and none, in all combinations.
        let parts = [
            (0, 1 << 20, 0),
            (4096, 1 << 20, 1 << 20),
            (0, 100, 4096 - 100),
            (100, (1 << 20) + 4000, 96),
            (4096, 2 << 20, 0),
            (0, (1 << 20) + 1, 4095),
            (1, 1 << 20, 0),
            (512, (3 << 20) - 512, 5000),
        ];
        for (from, length, zeros) in parts {
            let bytes = &source[from..from + length];
            output.bytes(bytes).unwrap();
            output.zeros(zeros).unwrap();
            expected.extend(bytes);
            expected.resize(expected.len() + zeros as usize, 0);
        }
        output.finish().unwrap();
        let there = std::fs::read(&path).unwrap();
        assert_eq!(there.len(), expected.len());
        let differs = there.iter().zip(&expected).position(|(one, other)| one != other);
        assert_eq!(differs, None);
        let taken = std::fs::metadata(&path).unwrap().blocks() * 512;
        assert!(taken <= expected.len() as u64 - (1 << 20) + (64 << 10), "{taken} of {}", expected.len());
    }

    #[test]
    fn what_is_gathered_is_all_there_in_its_order() {
        let scratch = prospect_testing::Scratch::new("gathered-file");
        let path = scratch.path().join("file");
        let mut output = GatheredFile::new(File::create(&path).unwrap()).unwrap();
        let mut bytes = vec![0; 3 * GATHERED_BYTES];
        noise(&mut bytes);
        let (first, rest) = bytes.split_at(5);
        output.write_all(first).unwrap();
        output.flush().unwrap();
        for part in rest.chunks(100_003) {
            output.write_all(part).unwrap();
        }
        output.flush().unwrap();
        assert!(std::fs::read(&path).unwrap() == bytes);
    }
}
