//! Where a dump is written to.

use std::io::{self, Write};

/// So many zeros are written at once.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// What takes a dump, from its beginning to its end.
pub trait Output {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// When they cannot be written.
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Takes so many zeros.
    ///
    /// # Errors
    /// When they cannot be written.
    fn zeros(&mut self, count: u64) -> io::Result<()>;

    /// Whether zeros cost nothing, so that it is worth to look for them.
    fn has_holes(&self) -> bool {
        false
    }

    /// All was given.
    ///
    /// # Errors
    /// When it cannot be written.
    fn finish(&mut self) -> io::Result<()>;
}

/// A pipe, a socket, a compressor: everything is written, one byte after the other.
#[derive(Debug)]
pub struct Stream<W>(
    /// What it is written to.
    pub W,
);

impl<W: Write> Output for Stream<W> {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn zeros(&mut self, mut count: u64) -> io::Result<()> {
        while count > 0 {
            let length = count.min(ZEROS.len() as u64);
            self.0.write_all(&ZEROS[..length as usize])?;
            count -= length;
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
