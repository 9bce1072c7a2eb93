//! Frames that decoders pass over, the same in Zstandard (RFC 8878, section 3.1.2) and in LZ4's frame format: `pzstd` writes
//! them.

use std::io::{self, Read};

/// The bytes that a frame begins with.
pub(super) type Magic = [u8; 4];

/// Whether a frame that begins so is to be passed over.
pub(super) fn is_skippable(magic: Magic) -> bool {
    u32::from_le_bytes(magic) & !0xf == 0x184d_2a50
}

/// Reads the first bytes of the next frame that is not to be passed over; `None` at the end.
pub(super) fn next_frame(source: &mut impl Read) -> io::Result<Option<Magic>> {
    loop {
        let mut magic = Magic::default();
        let mut done = 0;
        while done < magic.len() {
            match source.read(&mut magic[done..]) {
                Ok(0) if done == 0 => return Ok(None),
                Ok(0) => return Err(cut()),
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if !is_skippable(magic) {
            return Ok(Some(magic));
        }
        let mut length = [0; 4];
        source.read_exact(&mut length).map_err(|_| cut())?;
        let length = u64::from(u32::from_le_bytes(length));
        if io::copy(&mut source.take(length), &mut io::sink())? < length {
            return Err(cut());
        }
    }
}

/// The source ends within a frame. The decoders take an unexpected end of the file for its end.
pub(super) fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it ends within a frame")
}
