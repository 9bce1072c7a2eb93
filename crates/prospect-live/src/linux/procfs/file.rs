//! Reading files of `/proc`: their size is not known beforehand, and some are read thousands of times.

use std::{
    fs::File,
    io::{self, ErrorKind, Read},
    path::Path,
};

/// How much is asked for at once. The kernel hands out a page or so per read whatever is asked.
const CHUNK_BYTES: usize = 32 << 10;

/// Reads a whole file, but no more than `limit` bytes of it: what a target can make arbitrarily long
/// must not fill our memory.
pub(super) fn read_all(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let length = read_into(path, limit, &mut bytes)?;
    bytes.truncate(length);
    Ok(bytes)
}

/// [`read_all`] to the start of a buffer that grows where it must. Returns the length of the file.
pub(super) fn read_into(path: &Path, limit: usize, bytes: &mut Vec<u8>) -> io::Result<usize> {
    let mut file = File::open(path)?;
    let mut length = 0;
    while length < limit {
        if bytes.len() - length < CHUNK_BYTES / 2 {
            bytes.resize((bytes.len() * 2).clamp(CHUNK_BYTES, limit.max(CHUNK_BYTES)), 0);
        }
        let end = bytes.len().min(limit);
        match file.read(&mut bytes[length..end]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// Reads the start of a file with one system call: right for the files that the kernel writes as one record
/// (`stat`, `comm`, `wchan`, `syscall`).
pub(super) fn read_once<'a>(path: &Path, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
    let mut file = File::open(path)?;
    loop {
        match file.read(buffer) {
            Ok(read) => return Ok(&buffer[..read]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The text of a small file without the blanks around it; `None` when it cannot be read. For settings of
/// which a kernel may lack any.
pub(crate) fn read_small(path: &str) -> Option<String> {
    let bytes = read_all(Path::new(path), 64 << 10).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// Whether there is such a file, as far as we can see.
pub(crate) fn exists(path: &str) -> bool {
    Path::new(path).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_read_whole_or_up_to_the_limit() {
        let path = std::env::temp_dir().join(format!("prospect-read-{}", std::process::id()));
        let content: Vec<u8> = (0..300_000u32).map(|index| index as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let whole = read_all(&path, 1 << 20);
        let part = read_all(&path, 100_001);
        let none = read_all(&path, 0);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(whole.unwrap(), content);
        assert_eq!(part.unwrap(), content[..100_001]);
        assert_eq!(none.unwrap(), b"");
    }
}
