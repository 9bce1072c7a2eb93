//! Dumps in less room.

use std::{
    io::{self, Read as _, Write},
    str::FromStr,
};

use prospect::dump::elf_core::Output;

/// How a dump is compressed: `zstd`, or `zstd:LEVEL`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compression {
    #[cfg_attr(not(feature = "zstd-c"), expect(dead_code, reason = "without it, nothing is compressed"))]
    level: i32,
}

impl FromStr for Compression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, level) = text.split_once(':').unwrap_or((text, "1"));
        let level = level.parse().ok().filter(|level| (1..=19).contains(level));
        match (name, level) {
            ("zstd", Some(_)) if cfg!(not(feature = "zstd-c")) => Err("this build has no zstd".into()),
            ("zstd", Some(level)) => Ok(Self { level }),
            ("zstd", None) => Err("levels are 1 to 19".into()),
            _ => Err("it is zstd, or zstd:LEVEL".into()),
        }
    }
}

impl Compression {
    /// What a file's name ends with.
    pub(crate) const SUFFIX: &str = ".zst";

    /// Compresses what goes into `inner`, with all processors: one frame that any zstd reads.
    #[cfg(feature = "zstd-c")]
    pub(crate) fn around(self, inner: Box<dyn Write>) -> io::Result<Box<dyn Output>> {
        use std::{io::BufWriter, num::NonZero, thread::available_parallelism};

        let mut encoder = zstd::Encoder::new(BufWriter::with_capacity(1 << 20, inner), self.level)?;
        encoder.include_checksum(true)?;
        encoder.multithread(available_parallelism().map_or(1, NonZero::get) as u32)?;
        Ok(Box::new(Compressed(Some(encoder))))
    }

    /// Not in this build, where no such compression can be asked for.
    #[cfg(not(feature = "zstd-c"))]
    pub(crate) fn around(self, inner: Box<dyn Write>) -> io::Result<Box<dyn Output>> {
        Ok(Box::new(prospect::dump::elf_core::Stream(inner)))
    }
}

/// `None` when it has ended.
#[cfg(feature = "zstd-c")]
struct Compressed(Option<zstd::Encoder<'static, io::BufWriter<Box<dyn Write>>>>);

#[cfg(feature = "zstd-c")]
impl Output for Compressed {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.as_mut().map_or(Ok(()), |encoder| encoder.write_all(bytes))
    }

    fn zeros(&mut self, count: u64) -> io::Result<()> {
        io::copy(&mut io::repeat(0).take(count), self.0.as_mut().ok_or(io::ErrorKind::WriteZero)?).map(drop)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.take().map_or(Ok(()), |encoder| encoder.finish()?.flush())
    }
}
