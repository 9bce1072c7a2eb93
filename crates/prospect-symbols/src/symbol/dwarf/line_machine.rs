//! The state machine of line number programs (DWARF 5, section 6.2), as far as it matters for
//! addresses' lines.
//!
//! A program is a row of sequences, one for each function or section. Most hold none of the wanted
//! addresses; but how far one reaches is known only at its end. So each is run for its addresses
//! alone first, and a second time for its rows only where that meets a wanted address.

use gimli::{DwLne, DwLns, LineProgramHeader, constants as dw};

use super::{
    super::LineFlags,
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
    /// 0: the line's code is in one piece, as far as is known.
    pub(super) discriminator: u32,
    pub(super) flags: LineFlags,
}

impl Row {
    /// Forgets what is said of one row alone.
    fn end(&mut self) {
        self.discriminator = 0;
        self.flags = LineFlags { is_statement: self.flags.is_statement, ..LineFlags::default() };
    }
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
    /// How many addresses rows were found for since this was asked, the same one again and again.
    work: usize,
}

impl<'h, 'a, 'p> Machine<'h, 'a, 'p> {
    pub(super) fn new(header: &'h LineProgramHeader<Slice<'a>>, pcs: &'p [u64]) -> Self {
        let special = (header.opcode_base()..=255).map(|opcode| {
            let adjusted = opcode - header.opcode_base();
            // A header with a range of 0 was refused.
            let range = header.line_range().max(1);
            (adjusted / range, i16::from(header.line_base()) + i16::from(adjusted % range))
        });
        Self {
            header,
            special: special.collect(),
            pcs,
            rows: vec![None; pcs.len()],
            left: pcs.len(),
            work: 0,
        }
    }

    /// A measure of the work since this was asked last, beside the bytes that were read.
    pub(super) fn take_work(&mut self) -> usize {
        std::mem::take(&mut self.work)
    }

    /// Whether there are addresses without a row.
    pub(super) fn is_wanting(&self) -> bool {
        self.left > 0
    }

    /// A row for each address, where there is one.
    pub(super) fn into_rows(self) -> Vec<Option<Row>> {
        self.rows
    }

    /// Adds the addresses of all rows of a sequence.
    pub(super) fn addresses(&self, reader: &mut Reader<'_>, addresses: &mut Vec<u64>) -> Option<()> {
        self.run(reader, |row| {
            if addresses.last() != Some(&row.address) {
                addresses.push(row.address);
            }
        })
    }

    /// Runs to the end of a sequence.
    pub(super) fn sequence(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let start = *reader;
        if self.meets_wanted(reader)? {
            *reader = start;
            let mut last: Option<Row> = None;
            // In order, a sequence has one row for each: more than some for each is a broken one.
            let (mut found, most) = (Vec::new(), 2 * self.pcs.len() + 64);
            self.run(reader, |row| {
                if let Some(last) = last.filter(|_| found.len() < most) {
                    found.extend(within(self.pcs, last.address, row.address).map(|pc| (pc, last)));
                }
                last = Some(row);
            })?;
            self.work += found.len();
            for (pc, row) in found {
                if self.rows[pc].is_none() {
                    self.rows[pc] = Some(row);
                    self.left -= 1;
                }
            }
        }
        Some(())
    }

    /// Goes to the end of a sequence, or to where its address has passed a wanted one. It may then
    /// still have no row for it.
    fn meets_wanted(&self, reader: &mut Reader<'_>) -> Option<bool> {
        let opcode_base = self.header.opcode_base();
        let lengths = self.header.standard_opcode_lengths().slice();
        let mut advance = Advance::new(self.header);
        let mut address = 0_u64;
        let mut next = self.next_wanted(address);
        loop {
            let opcode = reader.u8()?;
            if let Some(special) = opcode.checked_sub(opcode_base) {
                let (operations, _) = *self.special.get(usize::from(special))?;
                address = address.wrapping_add(advance.by(operations.into()));
            } else {
                match DwLns(opcode) {
                    DwLns(0) => match self.extended(reader)? {
                        Extended::EndOfSequence => return Some(false),
                        Extended::Address(new) => {
                            advance.operation = 0;
                            // One that went on, without a new start, has a row that reaches here.
                            if new < address || address == 0 {
                                next = self.next_wanted(new);
                            }
                            address = new;
                            if is_dropped(new, self.header.address_size()) {
                                next = u64::MAX;
                            }
                        }
                        Extended::Discriminator(_) | Extended::Other => continue,
                    },
                    dw::DW_LNS_advance_pc => {
                        address = address.wrapping_add(advance.by(reader.leb()?));
                    }
                    dw::DW_LNS_const_add_pc => {
                        let (operations, _) = *self.special.last()?;
                        address = address.wrapping_add(advance.by(operations.into()));
                    }
                    dw::DW_LNS_fixed_advance_pc => {
                        address = address.wrapping_add(reader.uint(2)?);
                        advance.operation = 0;
                    }
                    _ => {
                        for _ in 0..*lengths.get(usize::from(opcode) - 1)? {
                            reader.skip_leb()?;
                        }
                        continue;
                    }
                }
            }
            if address > next {
                return Some(true);
            }
        }
    }

    fn next_wanted(&self, address: u64) -> u64 {
        let next = self.pcs.partition_point(|&pc| pc < address);
        self.pcs.get(next).copied().unwrap_or(u64::MAX)
    }

    /// Reads what follows an opcode of 0.
    fn extended(&self, reader: &mut Reader<'_>) -> Option<Extended> {
        let length = usize::try_from(reader.leb()?).ok()?;
        let behind = reader.at().checked_add(length)?;
        let found = match if length == 0 { DwLne(0) } else { DwLne(reader.u8()?) } {
            dw::DW_LNE_end_sequence => Extended::EndOfSequence,
            dw::DW_LNE_set_address => Extended::Address(reader.uint(u8::try_from(length - 1).ok()?)?),
            dw::DW_LNE_set_discriminator => {
                Extended::Discriminator(u32::try_from(reader.leb()?).unwrap_or(0))
            }
            _ => Extended::Other,
        };
        reader.seek(behind);
        Some(found)
    }

    /// Runs to the end of a sequence, and calls `emit` for every row.
    fn run(&self, reader: &mut Reader<'_>, mut emit: impl FnMut(Row)) -> Option<()> {
        let header = self.header;
        let opcode_base = header.opcode_base();
        let flags = LineFlags { is_statement: header.default_is_stmt(), ..LineFlags::default() };
        let mut now = Row { file: 1, line: 1, flags, ..Row::default() };
        let mut advance = Advance::new(header);
        // Code that the linker dropped: its rows say nothing.
        let mut dropped = false;
        loop {
            let opcode = reader.u8()?;
            if let Some(special) = opcode.checked_sub(opcode_base) {
                let (operations, lines) = *self.special.get(usize::from(special))?;
                now.address = now.address.wrapping_add(advance.by(operations.into()));
                now.line = now.line.wrapping_add_signed(lines.into());
                if !dropped {
                    emit(now);
                }
                now.end();
                continue;
            }
            match DwLns(opcode) {
                DwLns(0) => match self.extended(reader)? {
                    Extended::EndOfSequence => {
                        if !dropped {
                            emit(now);
                        }
                        return Some(());
                    }
                    Extended::Address(address) => {
                        now.address = address;
                        dropped = is_dropped(address, header.address_size());
                        advance.operation = 0;
                    }
                    Extended::Discriminator(number) => now.discriminator = number,
                    Extended::Other => {}
                },
                dw::DW_LNS_copy => {
                    if !dropped {
                        emit(now);
                    }
                    now.end();
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
                dw::DW_LNS_negate_stmt => now.flags.is_statement ^= true,
                dw::DW_LNS_set_basic_block => now.flags.is_basic_block = true,
                dw::DW_LNS_set_prologue_end => now.flags.is_prologue_end = true,
                dw::DW_LNS_set_epilogue_begin => now.flags.is_epilogue_begin = true,
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

/// What an extended opcode does, as far as it matters.
enum Extended {
    EndOfSequence,
    Address(u64),
    Discriminator(u32),
    Other,
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
