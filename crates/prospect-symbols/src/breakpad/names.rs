//! Functions, inlined calls and lines.

use std::ops::Range;

use super::{
    index::{Index, Table},
    record::{Fields, Lines, is_line_record},
};
use crate::{SourceFrame, demangle};

/// Of one function, no more records are read.
const MOST_RECORDS: usize = 1 << 18;

/// What a file says of one function.
#[derive(Default)]
struct Function<'a> {
    range: Range<u64>,
    name: &'a [u8],
    lines: Vec<Line>,
    calls: Vec<InlinedCall>,
}

/// A line of the source, or the place of a call.
#[derive(Clone, Copy, Default)]
struct Place {
    line: u32,
    file: u32,
}

struct Line {
    range: Range<u64>,
    place: Place,
}

struct InlinedCall {
    range: Range<u64>,
    depth: u32,
    /// Where the call is.
    from: Place,
    /// Whose code it is.
    origin: u32,
}

/// What is known of addresses relative to the module, which are sorted.
pub(super) fn frames(bytes: &[u8], index: &Index, sorted: &[Option<u64>]) -> Vec<Vec<SourceFrame>> {
    let mut function = Function::default();
    let name = |at: &Option<u64>| {
        let at = (*at)?;
        if !function.range.contains(&at) {
            let entry = index.functions.at_or_before(at);
            function = entry.and_then(|entry| Function::read(bytes, entry.offset)).unwrap_or_default();
        }
        if function.range.contains(&at) {
            return Some(function.frames(bytes, index, at));
        }
        // What is exported extends to the next address that anything is said of.
        let public = index.publics.at_or_before(at).filter(|public| public.key >= function.range.end)?;
        let (_, line) = Lines::from(bytes, public.offset).next()?;
        let mut fields = Fields::of(line, "PUBLIC")?;
        fields.skip_multiple();
        let _address_and_parameters = (fields.hex()?, fields.hex()?);
        Some(vec![named(fields.rest()?)])
    };
    sorted.iter().map(name).map(Option::unwrap_or_default).collect()
}

impl<'a> Function<'a> {
    /// Reads the function whose record begins at an offset.
    fn read(bytes: &'a [u8], offset: usize) -> Option<Self> {
        let mut lines = Lines::from(bytes, offset);
        let mut fields = Fields::of(lines.next()?.1, "FUNC")?;
        fields.skip_multiple();
        let range = range(fields.hex()?, fields.hex()?);
        let _parameters = fields.hex()?;
        let name = fields.rest().unwrap_or_default();
        let mut function = Self { range, name, lines: Vec::new(), calls: Vec::new() };
        for (_, line) in lines.take(MOST_RECORDS) {
            if is_line_record(line) {
                function.lines.extend(Line::read(Fields(line)));
            } else if let Some(fields) = Fields::of(line, "INLINE") {
                function.add_calls(fields);
            } else {
                break;
            }
        }
        function.lines.sort_by_key(|line| line.range.start);
        Some(function)
    }

    fn add_calls(&mut self, mut fields: Fields<'_>) -> Option<()> {
        let depth = fields.decimal()?;
        let from = Place { line: fields.decimal()?, file: fields.decimal()? };
        let origin = fields.decimal()?;
        while let (Some(start), Some(size)) = (fields.hex(), fields.hex()) {
            if self.calls.len() < MOST_RECORDS {
                self.calls.push(InlinedCall { range: range(start, size), depth, from, origin });
            }
        }
        Some(())
    }

    /// The functions at an address, the innermost inlined one first.
    fn frames(&self, bytes: &[u8], index: &Index, at: u64) -> Vec<SourceFrame> {
        let mut calls: Vec<&InlinedCall> =
            self.calls.iter().filter(|call| call.range.contains(&at)).collect();
        calls.sort_by_key(|call| call.depth);
        calls.dedup_by_key(|call| call.depth);
        let last = self.lines.partition_point(|line| line.range.start <= at).checked_sub(1);
        let line = last.and_then(|last| self.lines.get(last)).filter(|line| line.range.contains(&at));
        let mut place = line.map(|line| line.place);
        let mut frames = Vec::with_capacity(calls.len() + 1);
        for call in calls.into_iter().rev() {
            let name = text(bytes, &index.origins, "INLINE_ORIGIN", call.origin).unwrap_or_default();
            frames.push(located(name, place, true, bytes, index));
            place = Some(call.from);
        }
        frames.push(located(self.name, place, false, bytes, index));
        frames
    }
}

impl Line {
    fn read(mut fields: Fields<'_>) -> Option<Self> {
        let range = range(fields.hex()?, fields.hex()?);
        Some(Self { range, place: Place { line: fields.decimal()?, file: fields.decimal()? } })
    }
}

fn range(start: u64, size: u64) -> Range<u64> {
    start..start.saturating_add(size)
}

fn located(name: &[u8], place: Option<Place>, inlined: bool, bytes: &[u8], index: &Index) -> SourceFrame {
    let file = place.and_then(|place| text(bytes, &index.files, "FILE", place.file));
    SourceFrame {
        file: file.map(|file| String::from_utf8_lossy(file).into_owned()),
        line: place.map(|place| place.line).filter(|line| *line > 0),
        inlined,
        ..named(name)
    }
}

/// A function's name as people write it; most files have it so.
fn named(name: &[u8]) -> SourceFrame {
    let (written, shown) = (String::from_utf8_lossy(name), demangle(name));
    SourceFrame {
        linkage_name: (shown != written).then(|| written.into_owned()),
        function: Some(shown).filter(|shown| !shown.is_empty()),
        ..SourceFrame::default()
    }
}

/// The text of a record that has a number.
fn text<'a>(bytes: &'a [u8], table: &Table, kind: &str, number: u32) -> Option<&'a [u8]> {
    let entry = table.exactly(number.into())?;
    let mut fields = Fields::of(Lines::from(bytes, entry.offset).next()?.1, kind)?;
    fields.word()?;
    fields.rest()
}
