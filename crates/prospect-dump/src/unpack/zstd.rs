//! Zstandard (RFC 8878).

use std::io::{self, Chain, Cursor, Read};

use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use super::skippable::{Magic, next_frame};

type Frame<S> = StreamingDecoder<Chain<Cursor<Magic>, S>, FrameDecoder>;

/// Zstandard's frames, one after the other, as encoders with several threads write them.
pub(super) struct ZstdFrames<S: Read> {
    /// What follows the frame, while none is read.
    source: Option<S>,
    frame: Option<Box<Frame<S>>>,
}

impl<S: Read> ZstdFrames<S> {
    pub(super) fn new(source: S) -> Self {
        Self { source: Some(source), frame: None }
    }
}

impl<S: Read> Read for ZstdFrames<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                match frame.read(buffer)? {
                    0 if !buffer.is_empty() => {}
                    count => return Ok(count),
                }
            }
            if let Some(frame) = self.frame.take() {
                self.source = Some(frame.into_inner().into_inner().1);
            }
            let Some(mut source) = self.source.take() else { return Ok(0) };
            let Some(magic) = next_frame(&mut source)? else { return Ok(0) };
            let frame = StreamingDecoder::new(Cursor::new(magic).chain(source)).map_err(io::Error::other)?;
            self.frame = Some(Box::new(frame));
        }
    }
}
