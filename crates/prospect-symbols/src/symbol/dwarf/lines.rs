//! Source lines: the line number program of a unit (DWARF 5, section 6.2), run once for all addresses.

use std::{borrow::Cow, sync::Arc};

use gimli::{AttributeValue, DebugLine, DebugLineOffset, LineProgramHeader};

use super::{
    fuel::Fuel,
    line_machine::{Machine, Row},
    reader::Reader,
    sections::{Sections, Slice},
    unit::Unit,
};
use crate::numbers::NumberMap;

/// A header that is longer than this, with all its files, is not read: it would unpack to many times
/// as much.
const LONGEST_HEADER: usize = 1 << 20;

/// What comes first in a header: its length, a version, two sizes, the length of the rest.
const BEFORE_HEADER_LENGTH: usize = 12 + 2 + 2 + 8;

/// A part of a path is cut off behind this.
const LONGEST_PATH: usize = 16 << 10;

/// A unit's line number program.
pub(super) struct LineProgram<'a> {
    header: LineProgramHeader<Slice<'a>>,
    sections: Sections<'a>,
    comp_dir: Option<&'a [u8]>,
    /// Paths that were put together before.
    paths: NumberMap<u64, Option<Arc<str>>>,
    extent: std::ops::Range<usize>,
}

impl<'a> LineProgram<'a> {
    pub(super) fn open(unit: &Unit<'a>) -> Option<Self> {
        let (sections, offset) = (unit.sections, unit.root.line_program?);
        let start = sections.line.at_least(offset..offset.checked_add(BEFORE_HEADER_LENGTH)?);
        let mut reader = Reader::new(start, 0, sections.endian);
        let (length, format) = reader.initial_length()?;
        let length = reader.at().checked_add(length)?;
        let end = offset.checked_add(length)?;
        if reader.uint(2)? >= 5 {
            // The sizes of addresses and segments.
            reader.skip(2);
        }
        if reader.offset(format)? > LONGEST_HEADER {
            return None;
        }
        let comp_dir = unit.comp_dir();
        let bytes = sections.line.at_least(offset..end);
        let line = DebugLine::from(sections.slice(bytes.get(..length).unwrap_or(bytes)));
        let program = line.program(
            DebugLineOffset(0),
            unit.header.encoding.address_size,
            comp_dir.map(|text| sections.slice(text)),
            unit.name().map(|text| sections.slice(text)),
        );
        let header = program.ok()?.header().clone();
        Some(Self { header, sections, comp_dir, paths: NumberMap::default(), extent: offset..end })
    }

    pub(super) fn header(&self) -> &LineProgramHeader<Slice<'a>> {
        &self.header
    }

    /// Where it lies in `.debug_line`.
    pub(super) fn extent(&self) -> std::ops::Range<usize> {
        self.extent.clone()
    }

    /// The rows for `pcs` (sorted); none where the program covers one not.
    pub(super) fn rows(&self, pcs: &[u64], fuel: &mut Fuel<'_>) -> Vec<Option<Row>> {
        let mut machine = Machine::new(&self.header, pcs);
        let program = self.header.raw_program_buf();
        let mut reader = Reader::new(program.slice(), 0, self.sections.endian);
        while machine.is_wanting() && !reader.is_at_end() {
            let before = reader.at();
            // What was found before a broken place stays.
            let end = machine.sequence(&mut reader);
            let work = reader.at() - before + machine.take_work();
            if end.is_none() || fuel.burn(work).is_none() {
                break;
            }
        }
        machine.into_rows()
    }

    /// Adds to `addresses` those of all rows: between two neighbours, [`rows`](Self::rows) has the same answer
    /// everywhere.
    pub(super) fn boundaries(&self, addresses: &mut Vec<u64>, fuel: &mut Fuel<'_>) {
        let machine = Machine::new(&self.header, &[]);
        let program = self.header.raw_program_buf();
        let mut reader = Reader::new(program.slice(), 0, self.sections.endian);
        while !reader.is_at_end() {
            let before = reader.at();
            if machine.addresses(&mut reader, addresses).is_none()
                || fuel.burn(reader.at() - before).is_none()
            {
                break;
            }
        }
    }

    /// The path of a file by its number in line tables and `DW_AT_call_file`.
    pub(super) fn path(&mut self, file: u64) -> Option<Arc<str>> {
        if let Some(path) = self.paths.get(&file) {
            return path.clone();
        }
        let path: Option<Arc<str>> = self.make_path(file).map(Into::into);
        self.paths.insert(file, path.clone());
        path
    }

    fn make_path(&self, number: u64) -> Option<String> {
        // Before version 5, 0 meant that no file is known.
        if number == 0 && self.header.version() < 5 {
            return None;
        }
        let file = self.header.file(number)?;
        let mut path = self.text(file.path_name())?.into_owned();
        let directory = file.directory_index();
        if !is_absolute(&path) {
            // Directory 0 is that of the compilation itself.
            if let Some(directory) = self.header.directory(directory).and_then(|value| self.text(value)) {
                path = join(&directory, &path);
            }
            if let Some(comp_dir) = self.comp_dir.filter(|_| directory != 0 && !is_absolute(&path)) {
                path = join(comp_dir, &path);
            }
        }
        Some(String::from_utf8_lossy(&path).into_owned())
    }

    pub(super) fn text(&self, value: AttributeValue<Slice<'a>>) -> Option<Cow<'a, [u8]>> {
        let text = match value {
            AttributeValue::String(text) => text.slice(),
            AttributeValue::DebugStrRef(offset) => self.sections.str.text(offset.0)?,
            AttributeValue::DebugLineStrRef(offset) => self.sections.line_str.text(offset.0)?,
            AttributeValue::DebugStrOffsetsIndex(index) => {
                // A line table has no base of its own: the first table is meant.
                let format = self.header.format();
                let base = 2 * usize::from(format.word_size());
                self.sections.indexed_text(base, index.0 as u64, format)?
            }
            _ => return None,
        };
        Some(Cow::Borrowed(text.get(..LONGEST_PATH).unwrap_or(text)))
    }
}

fn is_absolute(path: &[u8]) -> bool {
    path.starts_with(b"/") || matches!(path, [drive, b':', b'/' | b'\\', ..] if drive.is_ascii_alphabetic())
}

fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let separator: &[u8] = if directory.is_empty() || directory.ends_with(b"/") { b"" } else { b"/" };
    [directory, separator, name].concat()
}
