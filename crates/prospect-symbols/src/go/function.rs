//! `runtime._func`: what is told of one function.

use super::{
    header::{Format, Tables},
    pc_values,
};

/// Which of a function's tables over its addresses says which inlined call an address belongs to
/// (`PCDATA_InlTreeIndex`), and where those calls are (`FUNCDATA_InlTree`).
const INLINED_CALL: usize = 2;
const INLINED_CALLS: usize = 3;

/// A function, by what the tables say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Function<'a> {
    pub(super) tables: Tables<'a>,
    /// Where its code begins.
    pub(super) start: u64,
    /// Where it is described.
    pub(super) at: usize,
}

/// The numbers of a description, in their order, behind the start of the code.
#[derive(Clone, Copy)]
enum Number {
    Name = 0,
    StackPointer = 3,
    File = 4,
    Line = 5,
    TableCount = 6,
    Unit = 7,
}

/// Where the data of a function are told.
pub(super) enum FunctionData {
    /// At an address.
    Address(u64),
    /// At an offset from where the data of all functions are.
    Offset(u64),
}

impl Function<'_> {
    pub(super) fn name(&self) -> Option<String> {
        self.tables.name(usize::try_from(self.number(Number::Name)?).ok()?)
    }

    /// Whether the runtime tells it from others by more than its name.
    pub(super) fn is_special(&self) -> bool {
        self.flags() & 3 != 0 || self.described(4) != 0
    }

    /// Whether nothing calls it (`funcFlag_TOPFRAME`).
    pub(super) fn is_top(&self) -> bool {
        self.flags() & 1 != 0
    }

    /// Whether it goes over to another stack (`funcFlag_SPWRITE`).
    pub(super) fn writes_sp(&self) -> bool {
        self.flags() & 2 != 0
    }

    /// Whether it was written in assembly (`funcFlag_ASM`).
    pub(super) fn is_assembly(&self) -> bool {
        self.flags() & 4 != 0
    }

    /// How many bytes sp is below where it was when the function was entered, and the addresses that this is so at.
    pub(super) fn stack_delta(&self, pc: u64) -> Option<(i32, std::ops::Range<u64>)> {
        self.value(self.number(Number::StackPointer)?, pc)
    }

    pub(super) fn line(&self, pc: u64) -> Option<u32> {
        u32::try_from(self.value(self.number(Number::Line)?, pc)?.0).ok().filter(|line| *line > 0)
    }

    pub(super) fn file(&self, pc: u64) -> Option<String> {
        let number = usize::try_from(self.value(self.number(Number::File)?, pc)?.0).ok()?;
        let unit = match self.tables.header.format {
            Format::Go12 => 0,
            _ => self.number(Number::Unit)?,
        };
        self.tables.file(usize::try_from(unit).ok()?, number)
    }

    /// Which of the inlined calls an address belongs to; `None` where it is the function's own.
    pub(super) fn inlined_call(&self, pc: u64) -> Option<usize> {
        if self.tables.header.format == Format::Go12
            || self.number(Number::TableCount)? as usize <= INLINED_CALL
        {
            return None;
        }
        let table = self.tables.fields().half(self.behind()?.checked_add(4 * INLINED_CALL)?)?;
        usize::try_from(self.value(table, pc)?.0).ok()
    }

    /// Where its inlined calls are told.
    pub(super) fn inlined_calls(&self) -> Option<FunctionData> {
        let (fields, behind) = (self.tables.fields(), self.behind()?);
        let count = *self.tables.bytes.get(behind.checked_sub(1)?)?;
        if usize::from(count) <= INLINED_CALLS {
            return None;
        }
        let data = behind.checked_add(4 * self.number(Number::TableCount)? as usize)?;
        if self.tables.header.format >= Format::Go118 {
            let offset = fields.half(data.checked_add(4 * INLINED_CALLS)?)?;
            return (offset != u32::MAX).then_some(FunctionData::Offset(offset.into()));
        }
        let word = self.tables.header.word_bytes;
        let address = fields.word(data.checked_next_multiple_of(word)?.checked_add(word * INLINED_CALLS)?)?;
        (address != 0).then_some(FunctionData::Address(address))
    }

    fn number(&self, which: Number) -> Option<u32> {
        let first = self.at.checked_add(self.tables.header.entry_bytes())?;
        self.tables.fields().half(first.checked_add(4 * which as usize)?)
    }

    /// Where its tables over addresses are listed: behind the description, whose last bytes are what kind of function
    /// it is, flags, and how many data it has.
    fn behind(&self) -> Option<usize> {
        let numbers = match self.tables.header.format {
            Format::Go12 => 7,
            Format::Go116 | Format::Go118 => 8,
            // Where the function begins in its source.
            Format::Go120 => 9,
        };
        self.at.checked_add(self.tables.header.entry_bytes() + 4 * numbers + 4)
    }

    fn flags(&self) -> u8 {
        self.described(3)
    }

    /// One of the last bytes of the description, counted from its end.
    fn described(&self, from_end: usize) -> u8 {
        if self.tables.header.format == Format::Go12 {
            return 0;
        }
        let at = self.behind().and_then(|behind| behind.checked_sub(from_end));
        at.and_then(|at| self.tables.bytes.get(at)).copied().unwrap_or(0)
    }

    /// The addresses at which a line of one of the files that are meant begins: the line, and where.
    pub(super) fn lines(&self, mut is_meant: impl FnMut(u32, usize) -> bool) -> Vec<(u32, u64)> {
        let unit = match self.tables.header.format {
            Format::Go12 => Some(0),
            _ => self.number(Number::Unit),
        };
        let Some(unit) = unit else { return Vec::new() };
        let files: Vec<_> = self
            .rows(Number::File)
            .filter(|(file, _)| usize::try_from(*file).is_ok_and(|file| is_meant(unit, file)))
            .map(|(_, range)| range)
            .collect();
        if files.is_empty() {
            return Vec::new();
        }
        let mut next = 0;
        let line = |(line, range): (i32, std::ops::Range<u64>)| {
            while files.get(next).is_some_and(|file| file.end <= range.start) {
                next += 1;
            }
            let file = files.get(next).filter(|file| file.start < range.end)?;
            Some((u32::try_from(line).ok().filter(|line| *line > 0)?, range.start.max(file.start)))
        };
        self.rows(Number::Line).filter_map(line).collect()
    }

    /// A whole table over the function's addresses.
    fn rows(&self, which: Number) -> impl Iterator<Item = (i32, std::ops::Range<u64>)> {
        let table = self.number(which).and_then(|table| self.table(table)).unwrap_or_default();
        pc_values::rows(table, self.start, self.tables.header.quantum)
    }

    /// What a table over the function's addresses says of one.
    fn value(&self, table: u32, pc: u64) -> Option<(i32, std::ops::Range<u64>)> {
        pc_values::value(self.table(table)?, self.start, self.tables.header.quantum, pc)
    }

    fn table(&self, table: u32) -> Option<&[u8]> {
        let at =
            self.tables.header.pc_tables.checked_add(usize::try_from(table).ok().filter(|at| *at != 0)?)?;
        self.tables.fields().from(at)
    }
}
