//! Source lines: the line number program of a unit (DWARF 5, section 6.2), run once for all addresses.

use std::{borrow::Cow, collections::HashMap};

use gimli::{AttributeValue, DebugLine, DebugLineOffset, LineProgramHeader, constants as dw};

use super::{
    fuel::Fuel,
    ranges::{is_dropped, within},
    reader::Reader,
    sections::{Sections, Slice},
    unit::Unit,
};

/// A header that says it is longer than this with all its files is not read.
const LONGEST_PATH: usize = 16 << 10;

/// What the line table says of one address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    address: u64,
    pub(super) file: u64,
    /// 0: the code belongs to no line.
    pub(super) line: u32,
    /// 0: not known.
    pub(super) column: u32,
}

/// A unit's line number program.
pub(super) struct LineProgram<'a> {
    header: LineProgramHeader<Slice<'a>>,
    sections: Sections<'a>,
    comp_dir: Option<&'a [u8]>,
    /// Paths that were put together before.
    paths: HashMap<u64, Option<String>>,
    extent: std::ops::Range<usize>,
}

impl<'a> LineProgram<'a> {
    pub(super) fn open(unit: &Unit<'a>) -> Option<Self> {
        let (sections, offset) = (unit.sections, unit.line_program?);
        let start = sections.line.up_to(offset.checked_add(12)?);
        let mut reader = Reader::new(start.get(offset..)?, 0, sections.endian);
        let (length, _) = reader.initial_length()?;
        let end = offset.checked_add(reader.at())?.checked_add(length)?;
        let comp_dir = unit.comp_dir();
        let bytes = sections.line.up_to(end);
        let line = DebugLine::from(sections.slice(bytes.get(..end.min(bytes.len()))?));
        let program = line.program(
            DebugLineOffset(offset),
            unit.header.encoding.address_size,
            comp_dir.map(|text| sections.slice(text)),
            unit.name().map(|text| sections.slice(text)),
        );
        let header = program.ok()?.header().clone();
        Some(Self { header, sections, comp_dir, paths: HashMap::new(), extent: offset..end })
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
        while machine.left > 0 && !reader.is_at_end() {
            let before = reader.at();
            // What was found before a broken place stays.
            if machine.sequence(&mut reader).is_none() || fuel.burn(reader.at() - before).is_none() {
                break;
            }
        }
        machine.rows
    }

    /// The path of a file by its number in line tables and `DW_AT_call_file`.
    pub(super) fn path(&mut self, file: u64) -> Option<String> {
        if let Some(path) = self.paths.get(&file) {
            return path.clone();
        }
        let path = self.make_path(file);
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

    fn text(&self, value: AttributeValue<Slice<'a>>) -> Option<Cow<'a, [u8]>> {
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

/// The state machine of line number programs, as far as it matters for an address's line.
struct Machine<'h, 'a, 'p> {
    header: &'h LineProgramHeader<Slice<'a>>,
    /// By how much each special opcode moves on: operations, lines.
    special: Vec<(u8, i16)>,
    pcs: &'p [u64],
    rows: Vec<Option<Row>>,
    /// How many addresses have no row yet.
    left: usize,
}

impl<'h, 'a, 'p> Machine<'h, 'a, 'p> {
    fn new(header: &'h LineProgramHeader<Slice<'a>>, pcs: &'p [u64]) -> Self {
        let special = (header.opcode_base()..=255).map(|opcode| {
            let adjusted = opcode - header.opcode_base();
            // A header with a range of 0 was refused.
            let range = header.line_range().max(1);
            (adjusted / range, i16::from(header.line_base()) + i16::from(adjusted % range))
        });
        Self { header, special: special.collect(), pcs, rows: vec![None; pcs.len()], left: pcs.len() }
    }

    /// Runs to the end of a sequence: in it, addresses only grow.
    fn sequence(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let header = self.header;
        let opcode_base = header.opcode_base();
        let address_size = header.address_size();
        let mut now = Row { address: 0, file: 1, line: 1, column: 0 };
        let mut advance = Advance::new(header);
        let mut dropped = false;
        let mut sequence = Sequence { last: None, next: u64::MAX };
        while self.left > 0 {
            let opcode = reader.u8()?;
            if let Some(special) = opcode.checked_sub(opcode_base) {
                let (operations, lines) = *self.special.get(usize::from(special))?;
                now.address = now.address.wrapping_add(advance.by(operations.into()));
                now.line = now.line.wrapping_add_signed(lines.into());
                if !dropped {
                    self.emit(&mut sequence, now);
                }
                continue;
            }
            match gimli::DwLns(opcode) {
                gimli::DwLns(0) => {
                    let length = usize::try_from(reader.leb()?).ok()?;
                    let behind = reader.at().checked_add(length)?;
                    if length == 0 {
                        continue;
                    }
                    match gimli::DwLne(reader.u8()?) {
                        dw::DW_LNE_end_sequence => {
                            if !dropped {
                                self.emit(&mut sequence, now);
                            }
                            reader.seek(behind);
                            return Some(());
                        }
                        dw::DW_LNE_set_address => {
                            let address = reader.uint(u8::try_from(length - 1).ok()?)?;
                            dropped = is_dropped(address, address_size);
                            now.address = address;
                            advance.operation = 0;
                        }
                        _ => {}
                    }
                    reader.seek(behind);
                }
                dw::DW_LNS_copy => {
                    if !dropped {
                        self.emit(&mut sequence, now);
                    }
                }
                dw::DW_LNS_advance_pc => {
                    now.address = now.address.wrapping_add(advance.by(reader.leb()?));
                }
                dw::DW_LNS_advance_line => {
                    // Only the low bits matter: a line is one of 2³².
                    now.line = now.line.wrapping_add(reader.signed_leb()? as u32);
                }
                dw::DW_LNS_set_file => now.file = reader.leb()?,
                dw::DW_LNS_set_column => now.column = u32::try_from(reader.leb()?).unwrap_or(0),
                dw::DW_LNS_const_add_pc => {
                    let (operations, _) = *self.special.last()?;
                    now.address = now.address.wrapping_add(advance.by(operations.into()));
                }
                dw::DW_LNS_fixed_advance_pc => {
                    now.address = now.address.wrapping_add(reader.uint(2)?);
                    advance.operation = 0;
                }
                dw::DW_LNS_negate_stmt
                | dw::DW_LNS_set_basic_block
                | dw::DW_LNS_set_prologue_end
                | dw::DW_LNS_set_epilogue_begin => {}
                dw::DW_LNS_set_isa => reader.skip_leb()?,
                _ => {
                    let lengths = header.standard_opcode_lengths().slice();
                    for _ in 0..*lengths.get(usize::from(opcode) - 1)? {
                        reader.skip_leb()?;
                    }
                }
            }
        }
        Some(())
    }

    /// A row holds for the addresses from its own to that of the next one.
    #[inline]
    fn emit(&mut self, sequence: &mut Sequence, row: Row) {
        if row.address > sequence.next {
            if let Some(last) = sequence.last {
                self.answer(last, row.address);
            }
            sequence.next = self.next_wanted(row.address);
        }
        match sequence.last {
            Some(last) if last.address <= row.address => {}
            // The first row; or addresses that went back, as in no valid sequence.
            _ => sequence.next = self.next_wanted(row.address),
        }
        sequence.last = Some(row);
    }

    #[cold]
    fn answer(&mut self, row: Row, end: u64) {
        for pc in within(self.pcs, row.address, end) {
            let found = &mut self.rows[pc];
            if found.is_none() {
                *found = Some(row);
                self.left -= 1;
            }
        }
    }

    fn next_wanted(&self, address: u64) -> u64 {
        let next = self.pcs.partition_point(|&pc| pc < address);
        self.pcs.get(next).copied().unwrap_or(u64::MAX)
    }
}

/// The last row of a sequence, and the lowest wanted address that it may hold for.
struct Sequence {
    last: Option<Row>,
    next: u64,
}

/// How operations become bytes: on very long instruction words, several share an address.
struct Advance {
    instruction: u64,
    operations: u64,
    operation: u64,
}

impl Advance {
    fn new(header: &LineProgramHeader<Slice<'_>>) -> Self {
        Self {
            instruction: header.minimum_instruction_length().into(),
            operations: header.maximum_operations_per_instruction().max(1).into(),
            operation: 0,
        }
    }

    #[inline]
    fn by(&mut self, operations: u64) -> u64 {
        if self.operations == 1 {
            return self.instruction.wrapping_mul(operations);
        }
        let sum = self.operation.wrapping_add(operations);
        self.operation = sum % self.operations;
        self.instruction.wrapping_mul(sum / self.operations)
    }
}
