//! The state machine of line number programs (DWARF 5, section 6.2), as far as it matters for
//! addresses' lines.
//!
//! A program is a row of sequences, one for each function or section. Most hold none of the wanted
//! addresses; but how far one reaches is known only at its end. So each is run for its addresses
//! alone first, and a second time for its rows only where that meets a wanted address.

use gimli::{DwLne, DwLns, LineProgramHeader, constants as dw};

use super::{
    ranges::{is_dropped, within},
    reader::Reader,
    sections::Slice,
};

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

/// Runs a program for some addresses.
pub(super) struct Machine<'h, 'a, 'p> {
    header: &'h LineProgramHeader<Slice<'a>>,
    /// By how much each special opcode moves on: operations, lines.
    special: Vec<(u8, i16)>,
    /// Sorted.
    pcs: &'p [u64],
    rows: Vec<Option<Row>>,
    /// How many addresses have no row yet.
    left: usize,
}

impl<'h, 'a, 'p> Machine<'h, 'a, 'p> {
    pub(super) fn new(header: &'h LineProgramHeader<Slice<'a>>, pcs: &'p [u64]) -> Self {
        let special = (header.opcode_base()..=255).map(|opcode| {
            let adjusted = opcode - header.opcode_base();
            // A header with a range of 0 was refused.
            let range = header.line_range().max(1);
            (adjusted / range, i16::from(header.line_base()) + i16::from(adjusted % range))
        });
        Self { header, special: special.collect(), pcs, rows: vec![None; pcs.len()], left: pcs.len() }
    }

    /// Whether there are addresses without a row.
    pub(super) fn is_wanting(&self) -> bool {
        self.left > 0
    }

    /// A row for each address, where there is one.
    pub(super) fn into_rows(self) -> Vec<Option<Row>> {
        self.rows
    }

    /// Runs to the end of a sequence, or passes over some that hold no wanted address.
    pub(super) fn sequence(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let start = *reader;
        let mut meets = Meets { pcs: self.pcs, next: None, last: 0 };
        if self.run::<true>(reader, |row| meets.row(row.address))? == Run::Stopped {
            *reader = start;
            let mut last: Option<Row> = None;
            let mut found = Vec::new();
            self.run::<false>(reader, |row| {
                if let Some(last) = last {
                    found.extend(within(self.pcs, last.address, row.address).map(|pc| (pc, last)));
                }
                last = Some(row);
                true
            })?;
            for (pc, row) in found {
                if self.rows[pc].is_none() {
                    self.rows[pc] = Some(row);
                    self.left -= 1;
                }
            }
        }
        Some(())
    }

    /// Runs to the end of a sequence, or to where `emit`, called for every row, says to stop. With
    /// `LEAP`, what holds no wanted address is left out.
    #[inline(always)]
    fn run<const LEAP: bool>(
        &self,
        reader: &mut Reader<'_>,
        mut emit: impl FnMut(Row) -> bool,
    ) -> Option<Run> {
        let header = self.header;
        let opcode_base = header.opcode_base();
        let mut now = Row { address: 0, file: 1, line: 1, column: 0 };
        let mut advance = Advance::new(header);
        // Code that the linker dropped: its rows say nothing.
        let mut dropped = false;
        loop {
            let opcode = reader.u8()?;
            if let Some(special) = opcode.checked_sub(opcode_base) {
                let (operations, lines) = *self.special.get(usize::from(special))?;
                now.address = now.address.wrapping_add(advance.by(operations.into()));
                now.line = now.line.wrapping_add_signed(lines.into());
                if !dropped && !emit(now) {
                    return Some(Run::Stopped);
                }
                continue;
            }
            match DwLns(opcode) {
                DwLns(0) => {
                    let length = usize::try_from(reader.leb()?).ok()?;
                    let behind = reader.at().checked_add(length)?;
                    match if length == 0 { DwLne(0) } else { DwLne(reader.u8()?) } {
                        dw::DW_LNE_end_sequence => {
                            reader.seek(behind);
                            let stopped = !dropped && !emit(now);
                            return Some(if stopped { Run::Stopped } else { Run::Ended });
                        }
                        dw::DW_LNE_set_address => {
                            now.address = reader.uint(u8::try_from(length - 1).ok()?)?;
                            dropped = is_dropped(now.address, header.address_size());
                            advance.operation = 0;
                            let unwanted = dropped || self.pcs.last().is_none_or(|&pc| pc < now.address);
                            reader.seek(behind);
                            if LEAP && unwanted && leap(reader).is_some() {
                                return Some(Run::Ended);
                            }
                        }
                        _ => {}
                    }
                    reader.seek(behind);
                }
                dw::DW_LNS_copy => {
                    if !dropped && !emit(now) {
                        return Some(Run::Stopped);
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
    }
}

/// Goes to the end of a sequence without decoding it.
///
/// Operands could look like that end by chance. Then the rest of the sequence is taken for one of its
/// own, that begins at address 0: no wanted address is in it either.
#[inline(never)]
fn leap(reader: &mut Reader<'_>) -> Option<()> {
    const END: [u8; 3] = [0, 1, dw::DW_LNE_end_sequence.0];
    let at = reader.find(&END)?;
    reader.seek(at + END.len());
    Some(())
}

/// How a run ended.
#[derive(PartialEq, Eq)]
enum Run {
    /// At the end of the sequence.
    Ended,
    /// Where it was told to.
    Stopped,
}

/// Watches a sequence's addresses for wanted ones.
struct Meets<'p> {
    pcs: &'p [u64],
    /// The lowest wanted address from the sequence's start on.
    next: Option<u64>,
    last: u64,
}

impl Meets<'_> {
    /// Whether no row so far holds for a wanted address: each does from its address to the next one's.
    #[inline(always)]
    fn row(&mut self, address: u64) -> bool {
        match self.next {
            // In valid sequences addresses only grow.
            Some(next) if address >= self.last => {
                self.last = address;
                address <= next
            }
            _ => {
                self.start(address);
                true
            }
        }
    }

    #[inline(never)]
    fn start(&mut self, address: u64) {
        let next = self.pcs.partition_point(|&pc| pc < address);
        self.next = Some(self.pcs.get(next).copied().unwrap_or(u64::MAX));
        self.last = address;
    }
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
