//! Writes a [`Part`](super::part::Part).

use std::collections::HashMap;

use super::part::{
    BASIC_BLOCK, BLOCK, COLUMN, DISCRIMINATOR, EPILOGUE_BEGIN, FILE, FUNCTION, GROUP, HAS_SHOWN, HEADER,
    IS_BARE, IS_LINKAGE_NAME, IS_OWN_TEXT, LENGTH_SHIFT, LINE, LONGEST_SHORT, MORE, PROLOGUE_END, SCOPE,
    STATEMENT, State,
};

/// What a part is made of, as it is found.
#[derive(Default)]
pub(super) struct PartWriter {
    nodes: Vec<u8>,
    functions: Vec<u8>,
    texts: Vec<u8>,
    own_texts: HashMap<Vec<u8>, u32>,
    paths: Vec<String>,
}

/// A function's name.
pub(super) struct Name<'a> {
    pub(super) text: &'a str,
    /// Where it stands in `.debug_str`, if it does and may be read there.
    pub(super) at: Option<usize>,
    pub(super) is_linkage_name: bool,
    pub(super) is_bare: bool,
    /// How people write it, where that is to be kept.
    pub(super) shown: Option<String>,
}

/// Where a call was made; numbers from 1, or 0.
#[derive(Clone, Copy, Default)]
pub(super) struct Call {
    pub(super) file: u32,
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) discriminator: u32,
}

impl PartWriter {
    /// Adds a name; returns the number of the function.
    pub(super) fn function(&mut self, name: &Name<'_>) -> Option<u32> {
        let mut kind = 0;
        kind |= if name.is_linkage_name { IS_LINKAGE_NAME } else { 0 };
        kind |= if name.is_bare { IS_BARE } else { 0 };
        let at = name.at.and_then(|at| u32::try_from(at).ok());
        kind |= if at.is_none() { IS_OWN_TEXT } else { 0 };
        let place = match (&name.shown, at) {
            (Some(shown), _) => {
                kind |= HAS_SHOWN;
                self.shown_text(name.text, at, shown)?
            }
            (None, Some(at)) => at,
            (None, None) => self.text(name.text.as_bytes())?,
        };
        let number = u32::try_from(self.functions.len() / FUNCTION).ok()?;
        self.functions.push(kind);
        self.functions.extend_from_slice(&place.to_le_bytes());
        Some(number)
    }

    fn shown_text(&mut self, text: &str, at: Option<u32>, shown: &str) -> Option<u32> {
        let place = u32::try_from(self.texts.len()).ok()?;
        match at {
            Some(at) => leb(&mut self.texts, at.into()),
            None => {
                leb(&mut self.texts, text.len() as u64);
                self.texts.extend_from_slice(text.as_bytes());
            }
        }
        leb(&mut self.texts, shown.len() as u64);
        self.texts.extend_from_slice(shown.as_bytes());
        Some(place)
    }

    fn text(&mut self, text: &[u8]) -> Option<u32> {
        if let Some(&at) = self.own_texts.get(text) {
            return Some(at);
        }
        let at = u32::try_from(self.texts.len()).ok()?;
        leb(&mut self.texts, text.len() as u64);
        self.texts.extend_from_slice(text);
        self.own_texts.insert(text.to_vec(), at);
        Some(at)
    }

    /// Adds a node; returns its number, from 1. `caller` is the node that it is inlined into.
    pub(super) fn node(&mut self, function: Option<u32>, caller: Option<(u32, Call)>) -> Option<u32> {
        let number = u32::try_from(self.nodes.len()).ok()?.checked_add(1)?;
        leb(&mut self.nodes, function.map_or(0, |function| u64::from(function) + 1));
        match caller {
            None => leb(&mut self.nodes, 0),
            Some((caller, call)) => {
                leb(&mut self.nodes, number.checked_sub(caller)?.into());
                leb(&mut self.nodes, call.file.into());
                leb(&mut self.nodes, call.line.into());
                leb(&mut self.nodes, u64::from(call.column) << 1 | u64::from(call.discriminator != 0));
                if call.discriminator != 0 {
                    leb(&mut self.nodes, call.discriminator.into());
                }
            }
        }
        Some(number)
    }

    /// Adds a path; returns the number of the file, from 1.
    pub(super) fn path(&mut self, path: &str) -> Option<u32> {
        self.paths.push(path.to_owned());
        u32::try_from(self.paths.len()).ok()
    }

    /// The part. Each of `intervals` ends where the next one begins; the last one says where all end.
    pub(super) fn finish(self, intervals: &[(u64, State)]) -> Option<Vec<u8>> {
        let base = intervals.first().map_or(0, |&(start, _)| start);
        let end = u32::try_from(intervals.last().map_or(0, |&(end, _)| end) - base).ok()?;
        let (mut blocks, mut bytes) = (Vec::new(), Vec::new());
        let mut state = State::default();
        for (index, pair) in intervals.windows(2).enumerate() {
            let [(start, next), (end, _)] = *pair else { return None };
            if index % BLOCK == 0 {
                state = State::default();
                blocks.extend_from_slice(&u32::try_from(start - base).ok()?.to_le_bytes());
                blocks.extend_from_slice(&u32::try_from(bytes.len()).ok()?.to_le_bytes());
            }
            interval(&mut bytes, end - start, state, next);
            state = next;
        }
        let (groups, paths) = front_coded(&self.paths)?;
        let sections = [&bytes, &self.nodes, &self.functions, &self.texts, &groups, &paths];
        let mut part = base.to_le_bytes().to_vec();
        part.extend_from_slice(&end.to_le_bytes());
        part.extend_from_slice(&u32::try_from(blocks.len() / 8).ok()?.to_le_bytes());
        let mut at = HEADER + blocks.len();
        for section in sections {
            part.extend_from_slice(&u32::try_from(at).ok()?.to_le_bytes());
            at += section.len();
        }
        u32::try_from(at).ok()?;
        part.extend_from_slice(&blocks);
        sections.iter().for_each(|section| part.extend_from_slice(section));
        Some(part)
    }
}

fn interval(bytes: &mut Vec<u8>, length: u64, from: State, to: State) {
    let short = if length <= LONGEST_SHORT { length as u8 } else { 0 };
    let bit = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
    let more = bit(from.file != to.file, FILE)
        | bit(to.discriminator != 0, DISCRIMINATOR)
        | bit(to.flags.is_basic_block, BASIC_BLOCK)
        | bit(to.flags.is_prologue_end, PROLOGUE_END)
        | bit(to.flags.is_epilogue_begin, EPILOGUE_BEGIN);
    bytes.push(
        short << LENGTH_SHIFT
            | bit(from.line != to.line, LINE)
            | bit(from.column != to.column, COLUMN)
            | bit(from.scope != to.scope, SCOPE)
            | bit(from.flags.is_statement != to.flags.is_statement, STATEMENT)
            | bit(more != 0, MORE),
    );
    if short == 0 {
        leb(bytes, length);
    }
    if more != 0 {
        bytes.push(more);
    }
    if from.file != to.file {
        leb(bytes, to.file.into());
    }
    if to.discriminator != 0 {
        leb(bytes, to.discriminator.into());
    }
    if from.line != to.line {
        signed_leb(bytes, i64::from(to.line) - i64::from(from.line));
    }
    if from.column != to.column {
        leb(bytes, to.column.into());
    }
    if from.scope != to.scope {
        signed_leb(bytes, i64::from(to.scope) - i64::from(from.scope));
    }
}

/// Where the groups begin, and the groups.
fn front_coded(paths: &[String]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (mut groups, mut bytes) = (Vec::new(), Vec::new());
    for group in paths.chunks(GROUP) {
        groups.extend_from_slice(&u32::try_from(bytes.len()).ok()?.to_le_bytes());
        let mut before: &[u8] = &[];
        for path in group {
            let path = path.as_bytes();
            let shared = before.iter().zip(path).take_while(|(one, other)| one == other).count();
            leb(&mut bytes, shared as u64);
            leb(&mut bytes, (path.len() - shared) as u64);
            bytes.extend_from_slice(&path[shared..]);
            before = path;
        }
    }
    Some((groups, bytes))
}

fn leb(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn signed_leb(bytes: &mut Vec<u8>, mut number: i64) {
    while !(-64..64).contains(&number) {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8 & 0x7f);
}
