//! A part of an index: all that one unit says of its code, in a form that is searched as it lies there.
//!
//! ```text
//!  0  address that all others are counted from u64, end of the code u32, blocks u32
//! 16  where these begin: intervals, nodes, functions, texts, groups of paths, paths u32 × 6
//! 40  the blocks: address u32, place in the intervals u32
//!  …  intervals: code over which nothing changes, BLOCK in a block, each with what differs from the one before; what a
//!     line table says of one row alone (a discriminator, most flags) is said of each
//!  …  nodes: a function or an inlined call: its name, the node that it is inlined into, where it was called: file, line,
//!     column × 2 and 1 if a discriminator follows
//!  …  functions: what kind of name u8, where it is u32
//!  …  texts: those names that are not in .debug_str, and names as people write them where making them takes long: such a
//!     one stands behind the name itself or its place in .debug_str
//!  …  groups of paths: where each begins u32
//!  …  paths: GROUP in a group, each with what differs from the one before
//! ```
//! Numbers are little-endian; those of intervals, nodes, texts and paths are LEB128 (DWARF 5, section 7.6).

use gimli::RunTimeEndian;

use super::super::{reader::Reader, strings::Strings};
use crate::symbol::LineFlags;

/// So many intervals are read one after another to find one.
pub(super) const BLOCK: usize = 32;
/// So many paths share their beginnings.
pub(super) const GROUP: usize = 8;
pub(super) const HEADER: usize = 40;
pub(super) const FUNCTION: usize = 5;

/// What differs in an interval; its length stands above these bits, if it is not too long.
pub(super) const LINE: u8 = 1;
pub(super) const COLUMN: u8 = 2;
pub(super) const SCOPE: u8 = 4;
/// Whether it is a statement.
pub(super) const STATEMENT: u8 = 8;
/// A second byte follows.
pub(super) const MORE: u8 = 16;
pub(super) const LENGTH_SHIFT: u32 = 5;
pub(super) const LONGEST_SHORT: u64 = 7;

/// The second byte: whether the file differs, and what is said of this interval alone.
pub(super) const FILE: u8 = 1;
pub(super) const DISCRIMINATOR: u8 = 2;
pub(super) const BASIC_BLOCK: u8 = 4;
pub(super) const PROLOGUE_END: u8 = 8;
pub(super) const EPILOGUE_BEGIN: u8 = 16;

/// Kinds of names.
pub(super) const IS_LINKAGE_NAME: u8 = 1;
pub(super) const IS_BARE: u8 = 2;
pub(super) const IS_OWN_TEXT: u8 = 4;
pub(super) const HAS_SHOWN: u8 = 8;

/// Calls inlined into each other deeper than this are not followed.
const DEEPEST: usize = 512;

/// What is true over an interval. Numbers of files and scopes are from 1, as lines and columns: 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) file: u32,
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) scope: u32,
    pub(super) discriminator: u32,
    pub(super) flags: LineFlags,
}

/// One function at one address, in numbers of the part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PartFrame {
    pub(super) function: Option<u32>,
    /// From 1; 0 is none, as in the next ones.
    pub(super) file: u32,
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) discriminator: u32,
    pub(super) flags: LineFlags,
    pub(super) inlined: bool,
}

/// A function's name.
pub(super) struct PartName<'a> {
    pub(super) text: &'a [u8],
    /// As people write it, if that is kept.
    pub(super) shown: Option<&'a [u8]>,
    pub(super) is_linkage_name: bool,
    pub(super) is_bare: bool,
}

/// A part's bytes. Whatever they are, reading them ends, and quickly.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    base: u64,
    end: u32,
    blocks: &'a [u8],
    intervals: &'a [u8],
    nodes: &'a [u8],
    functions: &'a [u8],
    texts: &'a [u8],
    groups: &'a [u8],
    paths: &'a [u8],
}

impl<'a> Part<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Option<Self> {
        let base = u64::from_le_bytes(*bytes.first_chunk()?);
        let field = |index: usize| u32_at(bytes, 2 + index).map(|number| number as usize);
        let section = |index: usize| {
            let end = if index == 5 { bytes.len() } else { field(3 + index)? };
            bytes.get(field(2 + index)?..end)
        };
        let blocks = bytes.get(HEADER..HEADER.checked_add(field(1)?.checked_mul(8)?)?)?;
        Some(Self {
            base,
            end: u32_at(bytes, 2)?,
            blocks,
            intervals: section(0)?,
            nodes: section(1)?,
            functions: section(2)?,
            texts: section(3)?,
            groups: section(4)?,
            paths: section(5)?,
        })
    }

    pub(super) fn functions(&self) -> usize {
        self.functions.len() / FUNCTION
    }

    /// At most so many.
    pub(super) fn files(&self) -> usize {
        self.groups.len() / 4 * GROUP
    }

    /// A reader of its intervals.
    pub(super) fn cursor(self) -> Cursor<'a> {
        Cursor { part: self, block_end: 0, start: 0, end: 0, state: State::default(), reader: reader(&[], 0) }
    }

    /// Calls `each` with the functions at an address, the innermost first.
    pub(super) fn frames(&self, state: State, mut each: impl FnMut(PartFrame)) -> Option<()> {
        let State { mut file, mut line, mut column, mut scope, mut discriminator, mut flags } = state;
        if scope == 0 {
            // A function that nobody described.
            if file != 0 || line != 0 {
                each(PartFrame { function: None, file, line, column, discriminator, flags, inlined: false });
            }
            return Some(());
        }
        for _ in 0..DEEPEST {
            let mut node = reader(self.nodes, scope as usize - 1);
            let function = number(&mut node)?.checked_sub(1);
            let up = number(&mut node)?;
            each(PartFrame { function, file, line, column, discriminator, flags, inlined: up != 0 });
            if up == 0 {
                return Some(());
            }
            (file, line) = (number(&mut node)?, number(&mut node)?);
            let column_and_more = node.leb()?;
            column = u32::try_from(column_and_more >> 1).ok()?;
            discriminator = if column_and_more & 1 != 0 { number(&mut node)? } else { 0 };
            flags = LineFlags::default();
            scope = scope.checked_sub(up).filter(|&scope| scope > 0)?;
        }
        None
    }

    /// The name of a function; `strings` is the file's `.debug_str`.
    pub(super) fn name<'s>(&self, function: u32, strings: &'s mut Strings<'_>) -> Option<PartName<'s>>
    where
        'a: 's,
    {
        let at = (function as usize).checked_mul(FUNCTION)?;
        let (kind, place) = self.functions.get(at..at + FUNCTION)?.split_first()?;
        let place = u32::from_le_bytes(*place.first_chunk()?) as usize;
        let mut texts = reader(self.texts, place);
        let own = |texts: &mut Reader<'a>| {
            let length = number(texts)?;
            texts.bytes(length as usize)
        };
        let has_shown = kind & HAS_SHOWN != 0;
        let text = match (kind & IS_OWN_TEXT != 0, has_shown) {
            (true, _) => own(&mut texts)?,
            (false, true) => strings.text(number(&mut texts)? as usize)?,
            (false, false) => strings.text(place)?,
        };
        let shown = if has_shown { Some(own(&mut texts)?) } else { None };
        Some(PartName {
            text,
            shown,
            is_linkage_name: kind & IS_LINKAGE_NAME != 0,
            is_bare: kind & IS_BARE != 0,
        })
    }

    /// The path of a file, by its number from 1.
    pub(super) fn path(&self, file: u32) -> Option<Vec<u8>> {
        let index = (file as usize).checked_sub(1)?;
        let mut group = reader(self.paths, u32_at(self.groups, index / GROUP)? as usize);
        let mut path = Vec::new();
        for _ in 0..=index % GROUP {
            let shared = number(&mut group)? as usize;
            let rest = number(&mut group)? as usize;
            path.truncate(shared);
            path.extend_from_slice(group.bytes(rest)?);
        }
        Some(path)
    }

    fn block_start(&self, block: usize) -> Option<u32> {
        u32_at(self.blocks, 2 * block)
    }

    /// The last block that does not begin behind `at`.
    fn block_of(&self, at: u32) -> Option<usize> {
        let (mut low, mut high) = (0, self.blocks.len() / 8);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.block_start(middle)? <= at { low = middle + 1 } else { high = middle }
        }
        low.checked_sub(1)
    }
}

/// A place in the intervals. Going to an address that lies shortly behind it is quick.
pub(super) struct Cursor<'a> {
    part: Part<'a>,
    /// Where the block ends that is read.
    block_end: u32,
    /// The interval that was read last.
    start: u32,
    end: u32,
    state: State,
    reader: Reader<'a>,
}

impl Cursor<'_> {
    /// What is true at an address; `None` where the unit has nothing.
    pub(super) fn at(&mut self, pc: u64) -> Option<State> {
        let at = u32::try_from(pc.checked_sub(self.part.base)?).ok().filter(|&at| at < self.part.end)?;
        if at < self.start || at >= self.block_end {
            self.open_block(at)?;
        }
        while at >= self.end {
            if self.end >= self.block_end || self.next().is_none() {
                // Broken: nothing more is read of this block.
                (self.start, self.end, self.block_end) = (0, 0, 0);
                return None;
            }
        }
        Some(self.state)
    }

    fn open_block(&mut self, at: u32) -> Option<()> {
        let block = self.part.block_of(at)?;
        let start = self.part.block_start(block)?;
        self.block_end = self.part.block_start(block + 1).unwrap_or(self.part.end);
        (self.start, self.end, self.state) = (start, start, State::default());
        self.reader = reader(self.part.intervals, u32_at(self.part.blocks, 2 * block + 1)? as usize);
        Some(())
    }

    #[inline]
    fn next(&mut self) -> Option<()> {
        let reader = &mut self.reader;
        let head = reader.u8()?;
        let length = match u32::from(head >> LENGTH_SHIFT) {
            0 => number(reader)?,
            length => length,
        };
        let state = &mut self.state;
        let more = if head & MORE != 0 { reader.u8()? } else { 0 };
        if more & FILE != 0 {
            state.file = number(reader)?;
        }
        state.discriminator = if more & DISCRIMINATOR != 0 { number(reader)? } else { 0 };
        state.flags = LineFlags {
            is_statement: state.flags.is_statement ^ (head & STATEMENT != 0),
            is_basic_block: more & BASIC_BLOCK != 0,
            is_prologue_end: more & PROLOGUE_END != 0,
            is_epilogue_begin: more & EPILOGUE_BEGIN != 0,
        };
        if head & LINE != 0 {
            state.line = changed(state.line, reader)?;
        }
        if head & COLUMN != 0 {
            state.column = number(reader)?;
        }
        if head & SCOPE != 0 {
            state.scope = changed(state.scope, reader)?;
        }
        self.start = self.end;
        self.end = self.end.checked_add(length.max(1))?;
        Some(())
    }
}

fn reader(bytes: &[u8], at: usize) -> Reader<'_> {
    Reader::new(bytes, at, RunTimeEndian::Little)
}

#[inline]
fn number(reader: &mut Reader<'_>) -> Option<u32> {
    u32::try_from(reader.leb()?).ok()
}

#[inline]
fn changed(number: u32, reader: &mut Reader<'_>) -> Option<u32> {
    u32::try_from(i64::from(number).checked_add(reader.signed_leb()?)?).ok()
}

fn u32_at(bytes: &[u8], index: usize) -> Option<u32> {
    let at = index.checked_mul(4)?;
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
