//! LZ4's frame format (`doc/lz4_Frame_format.md` of lz4).

use std::io::{self, Read};

use lz4_flex::frame::FrameDecoder;

use super::skippable::{cut, next_frame};

/// LZ4's frames, one after the other: the decoder ends at each.
pub(super) struct Lz4Frames<S: Read>(FrameDecoder<Parts<S>>);

impl<S: Read> Lz4Frames<S> {
    pub(super) fn new(source: S) -> Self {
        Self(FrameDecoder::new(Parts { source, part: Part::Magic, left: 0, field: Vec::new(), flags: 0 }))
    }
}

impl<S: Read> Read for Lz4Frames<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.0.read(buffer)?;
            if count > 0 || buffer.is_empty() || self.0.get_ref().part == Part::End {
                return Ok(count);
            }
        }
    }
}

/// Bits of the first byte of a frame's header.
const BLOCK_CHECKSUMS: u8 = 1 << 4;
const CONTENT_SIZE: u8 = 1 << 3;
const CONTENT_CHECKSUM: u8 = 1 << 2;
const DICTIONARY: u8 = 1;
/// Of the size of a block: it is not compressed.
const PLAIN: u32 = 1 << 31;

const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];

/// Follows the parts of frames as they are read: the decoder takes a source that is cut where a block could begin for one
/// that is whole.
struct Parts<S> {
    source: S,
    part: Part,
    /// How much of the part is still to be read.
    left: usize,
    /// What was read of the part, where it says what follows; to be read again where `part` is [`Part::Magic`].
    field: Vec<u8>,
    /// Of the frame.
    flags: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Magic,
    /// The two bytes that each header begins with.
    Flags,
    /// The rest of the header.
    Header,
    BlockSize,
    Block,
    /// What follows the mark of the end.
    Checksum,
    /// What is no frame of this kind; the decoder says so.
    Unknown,
    /// There is no more.
    End,
}

impl<S: Read> Parts<S> {
    /// The part before was read: what is next?
    fn next(&mut self) -> io::Result<()> {
        let field = std::mem::take(&mut self.field);
        let has = |flag: u8| self.flags & flag != 0;
        (self.part, self.left) = match self.part {
            Part::Magic if field == MAGIC => (Part::Flags, 2),
            Part::Magic if !field.is_empty() => (Part::Unknown, usize::MAX),
            Part::Flags => {
                self.flags = field[0];
                let has = |flag: u8| self.flags & flag != 0;
                let length = 1 + if has(CONTENT_SIZE) { 8 } else { 0 } + if has(DICTIONARY) { 4 } else { 0 };
                (Part::Header, length)
            }
            Part::Header | Part::Block => (Part::BlockSize, 4),
            Part::BlockSize => match field.try_into().map_or(0, u32::from_le_bytes) {
                0 if has(CONTENT_CHECKSUM) => (Part::Checksum, 4),
                0 => (Part::Magic, 0),
                size => {
                    let checksum = if has(BLOCK_CHECKSUMS) { 4 } else { 0 };
                    (Part::Block, (size & !PLAIN) as usize + checksum)
                }
            },
            Part::Checksum | Part::Magic => (Part::Magic, 0),
            part @ (Part::Unknown | Part::End) => (part, self.left),
        };
        if (self.part, self.left) == (Part::Magic, 0) {
            match next_frame(&mut self.source)? {
                Some(magic) => (self.field, self.left) = (magic.into(), magic.len()),
                None => self.part = Part::End,
            }
        }
        Ok(())
    }
}

impl<S: Read> Read for Parts<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while self.left == 0 && self.part != Part::End {
            self.next()?;
        }
        let length = self.left.min(buffer.len());
        let count = match self.part {
            Part::End => return Ok(0),
            Part::Magic => {
                let from = self.field.len() - self.left;
                buffer[..length].copy_from_slice(&self.field[from..from + length]);
                length
            }
            part => {
                let count = self.source.read(&mut buffer[..length])?;
                if count == 0 && part != Part::Unknown {
                    return Err(cut());
                }
                if matches!(part, Part::Flags | Part::BlockSize) {
                    self.field.extend(&buffer[..count]);
                }
                count
            }
        };
        self.left -= count;
        Ok(count)
    }
}
