//! Questions from stdin, in batches: whoever asks one and waits gets its answer at once, and many that wait are answered
//! together, which is what makes it fast.

use std::{
    io::{self, Read as _},
    sync::mpsc,
    thread,
};

use crate::exit::{Failure, Result};

/// How much is read at once.
const CHUNK: usize = 1 << 20;
/// How many chunks are read ahead.
const CHUNKS_AHEAD: usize = 4;
/// The most questions of one batch: their answers are held in memory.
const MOST_QUESTIONS: usize = 64 << 10;
/// Binutils takes a longer line for several.
const LONGEST_LINE: usize = 99;
/// Nothing that can be asked is longer.
const LONGEST_QUESTION: usize = 64 << 10;

/// Hands the lines of stdin to `answer`, as many as are there each time, until stdin ends.
pub(super) fn batches(short_lines: bool, mut answer: impl FnMut(&[Vec<u8>]) -> Result<()>) -> Result<()> {
    let (sender, chunks) = mpsc::sync_channel(CHUNKS_AHEAD);
    thread::Builder::new()
        .name("stdin".into())
        .spawn(move || read(&sender))
        .map_err(|error| Failure::failed(format_args!("cannot start a thread: {error}")))?;
    let mut lines =
        Lines { longest: if short_lines { LONGEST_LINE } else { LONGEST_QUESTION }, ..Lines::default() };
    while let Ok(chunk) = chunks.recv() {
        lines.take(&chunk.map_err(|error| Failure::failed(format_args!("cannot read stdin: {error}")))?);
        // What has come meanwhile.
        while lines.whole.len() < MOST_QUESTIONS
            && let Ok(Ok(chunk)) = chunks.try_recv()
        {
            lines.take(&chunk);
        }
        for batch in lines.whole.chunks(MOST_QUESTIONS) {
            answer(batch)?;
        }
        lines.whole.clear();
    }
    lines.end();
    if lines.whole.is_empty() { Ok(()) } else { answer(&lines.whole) }
}

fn read(chunks: &mpsc::SyncSender<io::Result<Vec<u8>>>) {
    let mut stdin = io::stdin().lock();
    let mut buffer = vec![0; CHUNK];
    loop {
        let chunk = match stdin.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => Ok(buffer[..count].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let failed = chunk.is_err();
        if chunks.send(chunk).is_err() || failed {
            return;
        }
    }
}

/// Lines put together from chunks.
#[derive(Default)]
struct Lines {
    whole: Vec<Vec<u8>>,
    /// The beginning of one.
    part: Vec<u8>,
    longest: usize,
}

impl Lines {
    fn take(&mut self, chunk: &[u8]) {
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            let mut piece = piece;
            while self.part.len() + piece.len() > self.longest {
                let (head, tail) = piece.split_at(self.longest - self.part.len());
                self.part.extend_from_slice(head);
                piece = tail;
                self.end();
            }
            self.part.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                self.end();
            }
        }
    }

    fn end(&mut self) {
        if !self.part.is_empty() {
            if self.part.ends_with(b"\n") {
                self.part.pop();
            }
            self.whole.push(std::mem::take(&mut self.part));
        }
    }
}
