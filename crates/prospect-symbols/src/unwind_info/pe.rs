//! `.pdata` and `.xdata`: the unwind tables of Windows, whose entries say at each instruction where the caller's
//! registers are (Microsoft, "PE Format", "The .pdata Section").

mod aarch64;
mod frame;
#[cfg(test)]
mod tests;
mod x86_64;

use std::ops::Range;

use prospect_process::{Arch, LinkAddr};

use super::{CfaRule, RegisterRule, UnwindInfoError, UnwindRow};
use crate::binary::Headers;

/// An image and its table of functions, which is sorted by where those begin.
#[derive(Clone, Copy)]
pub(super) struct Tables<'a> {
    headers: &'a Headers,
    base: u64,
    functions: &'a [u8],
}

impl<'a> Tables<'a> {
    /// The tables of an image that begins at `base` and has its table of functions in a range.
    pub(super) fn new(headers: &'a Headers, base: LinkAddr, functions: &Range<LinkAddr>) -> Self {
        let bytes = headers.loaded(functions.start);
        let length = usize::try_from(functions.end.0 - functions.start.0).unwrap_or(usize::MAX);
        Self { headers, base: base.0, functions: &bytes[..bytes.len().min(length)] }
    }

    /// The row for an address; `None` where no function is.
    pub(super) fn row(&self, at: LinkAddr) -> Result<Option<UnwindRow>, UnwindInfoError> {
        let Some(relative) = at.0.checked_sub(self.base).and_then(|at| u32::try_from(at).ok()) else {
            return Ok(None);
        };
        match self.headers.arch {
            Some(Arch::X86_64) => x86_64::row(self, relative),
            Some(Arch::Aarch64) => aarch64::row(self, relative),
            _ => Ok(None),
        }
    }

    /// The bytes from a relative address on, to the end of their section.
    fn bytes(&self, relative: u32) -> &'a [u8] {
        self.headers.loaded(self.link(relative))
    }

    fn link(&self, relative: u32) -> LinkAddr {
        LinkAddr(self.base.wrapping_add(relative.into()))
    }

    /// The entry, of so many words, of the last function that begins at an address or before it.
    fn entry<const WORDS: usize>(&self, relative: u32) -> Option<[u32; WORDS]> {
        let entries = self.functions.chunks_exact(4 * WORDS);
        let (mut low, mut high) = (0, entries.len());
        let first = |index: usize| word(self.functions, index * 4 * WORDS).unwrap_or(u32::MAX);
        while low < high {
            let middle = low + (high - low) / 2;
            // What is left of a table that was made too long is zeros.
            if first(middle) <= relative && first(middle) != 0 {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let at = low.checked_sub(1)? * 4 * WORDS;
        let mut entry = [0; WORDS];
        for (place, index) in entry.iter_mut().zip(0..) {
            *place = word(self.functions, at + 4 * index)?;
        }
        Some(entry)
    }
}

/// The row of a function that has no entry: it calls nothing, saves nothing, and leaves the stack pointer alone
/// (Microsoft, "x64 exception handling"; "ARM64 exception handling").
pub(super) fn leaf(headers: &Headers, at: LinkAddr) -> Option<UnwindRow> {
    headers.code_end(at)?;
    let mut frame = frame::Frame::of(headers.arch?);
    frame.position = match headers.arch? {
        Arch::X86_64 => 8,
        Arch::Aarch64 => 0,
        _ => return None,
    };
    Some(frame.row(at..LinkAddr(at.0.wrapping_add(1))))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn broken(what: &str) -> UnwindInfoError {
    UnwindInfoError::Malformed(format!("tables of Windows: {what}"))
}
