//! Location lists: the expression that is for an address (DWARF 5, sections 2.6.2 and 7.7.3; DWARF 4, section 2.6.2).

use gimli::{DwLle, constants as dw};

use super::{entries::EntryUnit, fuel::Fuel, reader::Reader, unit::Unit, value::Value};

/// An entry of a list with offsets that says nothing but where the list ends.
const END_OF_VIEWS: DwLle = DwLle(9);

/// How much of a packed section is unpacked at first beyond where a list begins.
const LIST_STEP: usize = 16 << 10;

/// What a location list says of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed<'a> {
    /// The value is where this expression says.
    At(&'a [u8]),
    /// It is nowhere, there.
    Nowhere,
    /// The list cannot be read.
    Broken,
}

impl<'a> EntryUnit<'a> {
    /// What the list that an attribute refers to says of the address `at`.
    pub(crate) fn listed(&self, list: Value<'a>, at: u64, fuel: &mut Fuel<'_>) -> Listed<'a> {
        match find(&self.unit, list, at, fuel) {
            Some(Some(expression)) => Listed::At(expression),
            Some(None) => Listed::Nowhere,
            None => Listed::Broken,
        }
    }

    /// The address with this index among those of the unit.
    pub(crate) fn indexed_address(&self, index: u64) -> Option<u64> {
        self.unit.address(Value::AddressIndex(index))
    }
}

fn find<'a>(unit: &Unit<'a>, list: Value<'a>, at: u64, fuel: &mut Fuel<'_>) -> Option<Option<&'a [u8]>> {
    let encoding = unit.header.encoding;
    let section = if encoding.version < 5 { unit.sections.loc } else { unit.sections.loclists };
    let offset = match list {
        Value::LocationIndex(index) => {
            let word = encoding.format.word_size();
            let slot = usize::try_from(index).ok()?.checked_mul(word.into())?;
            let at = unit.root.location_base.checked_add(slot)?;
            let bytes = section.at_least(at..at.checked_add(word.into())?);
            let mut offsets = Reader::new(bytes, 0, unit.sections.endian);
            unit.root.location_base.checked_add(offsets.offset(encoding.format)?)?
        }
        value => value.offset()?,
    };
    let mut end = offset.checked_add(LIST_STEP)?;
    loop {
        let reader = Reader::new(section.at_least(offset..end), 0, unit.sections.endian);
        let list = List { unit, reader, base: unit.root.low_pc, at };
        // GNU's split DWARF 4 has the kinds of entries that DWARF 5 has, with fields of fixed sizes.
        let found = if encoding.version >= 5 || unit.sections.split {
            list.of_kinds(fuel)
        } else {
            list.of_pairs(fuel)
        };
        // It may go on behind what was unpacked.
        if found.is_some() || end >= section.len() {
            return found;
        }
        end = end.saturating_mul(2);
    }
}

/// A list, as far as it was read.
struct List<'u, 'a> {
    unit: &'u Unit<'a>,
    reader: Reader<'a>,
    /// What offsets are counted from.
    base: u64,
    /// The address that is looked for.
    at: u64,
}

impl<'a> List<'_, 'a> {
    /// Before DWARF 5: pairs of addresses.
    fn of_pairs(mut self, fuel: &mut Fuel<'_>) -> Option<Option<&'a [u8]>> {
        let size = self.unit.header.encoding.address_size;
        let highest = u64::MAX >> (64 - 8 * u32::from(size));
        loop {
            fuel.burn(1)?;
            let (begin, end) = (self.reader.uint(size)?, self.reader.uint(size)?);
            if (begin, end) == (0, 0) {
                return Some(None);
            }
            if begin == highest {
                self.base = end;
                continue;
            }
            let expression = self.counted()?;
            let start = self.base.wrapping_add(begin) & highest;
            if self.covers(start, self.base.wrapping_add(end) & highest) {
                return Some(Some(expression));
            }
        }
    }

    /// DWARF 5: entries of several kinds.
    fn of_kinds(mut self, fuel: &mut Fuel<'_>) -> Option<Option<&'a [u8]>> {
        let size = self.unit.header.encoding.address_size;
        let mut otherwise = None;
        loop {
            fuel.burn(1)?;
            let kind = DwLle(self.reader.u8()?);
            let (start, end) = match kind {
                dw::DW_LLE_end_of_list => return Some(otherwise),
                dw::DW_LLE_base_addressx => {
                    self.base = self.indexed()?;
                    continue;
                }
                dw::DW_LLE_base_address => {
                    self.base = self.reader.uint(size)?;
                    continue;
                }
                END_OF_VIEWS => {
                    self.reader.skip_leb()?;
                    self.reader.skip_leb()?;
                    continue;
                }
                dw::DW_LLE_default_location => {
                    otherwise = Some(self.expression()?);
                    continue;
                }
                dw::DW_LLE_startx_endx => (self.indexed(), self.indexed()),
                dw::DW_LLE_startx_length => {
                    let start = self.indexed();
                    let is_gnu = self.unit.header.encoding.version < 5;
                    let length = if is_gnu { self.reader.uint(4)? } else { self.reader.leb()? };
                    (start, start.map(|start| start.saturating_add(length)))
                }
                dw::DW_LLE_offset_pair => {
                    let (begin, end) = (self.reader.leb()?, self.reader.leb()?);
                    (Some(self.base.wrapping_add(begin)), Some(self.base.wrapping_add(end)))
                }
                dw::DW_LLE_start_end => (Some(self.reader.uint(size)?), Some(self.reader.uint(size)?)),
                dw::DW_LLE_start_length => {
                    let start = self.reader.uint(size)?;
                    (Some(start), Some(start.saturating_add(self.reader.leb()?)))
                }
                _ => return None,
            };
            let expression = self.expression()?;
            if self.covers(start?, end?) {
                return Some(Some(expression));
            }
        }
    }

    fn covers(&self, start: u64, end: u64) -> bool {
        (start..end).contains(&self.at)
    }

    fn indexed(&mut self) -> Option<u64> {
        let index = self.reader.leb()?;
        self.unit.address(Value::AddressIndex(index))
    }

    fn expression(&mut self) -> Option<&'a [u8]> {
        if self.unit.header.encoding.version < 5 {
            return self.counted();
        }
        let length = usize::try_from(self.reader.leb()?).ok()?;
        self.reader.bytes(length)
    }

    /// An expression behind a length of two bytes.
    fn counted(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.reader.uint(2)?).ok()?;
        self.reader.bytes(length)
    }
}
