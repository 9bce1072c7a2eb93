//! Which of the wanted addresses an entry's code covers.

use gimli::{DebugAddrBase, DebugRngListsBase, DebugRngListsIndex, RangeListsOffset};

use super::{abbreviations::Taken, fuel::Fuel, unit::Unit, value::Value};

/// Where an entry's code is, as its attributes say it.
#[derive(Clone, Copy, Debug)]
pub(super) struct CodeAttributes<'a> {
    pub(super) low_pc: Value<'a>,
    pub(super) high_pc: Value<'a>,
    pub(super) ranges: Value<'a>,
}

impl<'a> From<&Taken<'a>> for CodeAttributes<'a> {
    fn from(taken: &Taken<'a>) -> Self {
        Self { low_pc: taken.low_pc, high_pc: taken.high_pc, ranges: taken.ranges }
    }
}

/// Linkers give code that they dropped these addresses: 0, the highest one, the one before it. No
/// code that was kept begins there: an ELF file's header is at 0.
pub(super) fn is_dropped(address: u64, address_size: u8) -> bool {
    let highest = match address_size {
        8.. => u64::MAX,
        size => (1 << (8 * u32::from(size))) - 1,
    };
    address == 0 || address >= highest - 1
}

/// The part of `pcs` (sorted) that lies in `low..high`, as indices.
#[inline]
pub(super) fn within(pcs: &[u64], low: u64, high: u64) -> std::ops::Range<usize> {
    let start = pcs.partition_point(|&pc| pc < low);
    let count = pcs.get(start..).map_or(0, |rest| rest.iter().take_while(|&&pc| pc < high).count());
    start..start + count
}

/// Calls `covered` with the indices of those of `pcs` (sorted) that the code covers.
pub(super) fn covered<'a>(
    unit: &Unit<'a>,
    code: &CodeAttributes<'a>,
    pcs: &[u64],
    fuel: &mut Fuel<'_>,
    mut covered: impl FnMut(std::ops::Range<usize>),
) -> Option<()> {
    each(unit, code, fuel, |low, high, fuel| {
        let hits = within(pcs, low, high);
        if !hits.is_empty() {
            // Many entries may claim to cover all addresses.
            fuel.burn(hits.len())?;
            covered(hits);
        }
        Some(())
    })
}

/// Calls `range` with the beginning and the end of each piece of code that was kept, until it says `None`.
pub(super) fn each<'a>(
    unit: &Unit<'a>,
    code: &CodeAttributes<'a>,
    fuel: &mut Fuel<'_>,
    mut range: impl FnMut(u64, u64, &mut Fuel<'_>) -> Option<()>,
) -> Option<()> {
    let address_size = unit.header.encoding.address_size;
    let mut range = |low: u64, high: u64, fuel: &mut Fuel<'_>| {
        if is_dropped(low, address_size) { Some(()) } else { range(low, high, fuel) }
    };
    if code.ranges == Value::None {
        let low = unit.address(code.low_pc)?;
        let high = match code.high_pc {
            Value::Number(length) => low.saturating_add(length),
            Value::Signed(length) => low.saturating_add_signed(length),
            Value::None => low.saturating_add(1),
            value => unit.address(value)?,
        };
        return range(low, high, fuel);
    }
    let (encoding, sections) = (unit.header.encoding, &unit.sections);
    let lists = sections.range_lists(encoding.version);
    let offset = match code.ranges {
        Value::ListIndex(index) => {
            let index = DebugRngListsIndex(usize::try_from(index).ok()?);
            lists.get_offset(encoding, DebugRngListsBase(unit.root.ranges_base), index).ok()?
        }
        value => {
            let raw = value.offset()?;
            // GNU's split DWARF 4 counts from the skeleton's base.
            let base = if sections.split && encoding.version < 5 { unit.root.ranges_base } else { 0 };
            RangeListsOffset(raw.checked_add(base)?)
        }
    };
    let addresses = sections.debug_addr();
    let base = DebugAddrBase(unit.root.addr_base);
    let mut list = lists.ranges(offset, encoding, unit.root.low_pc, &addresses, base).ok()?;
    while let Ok(Some(one)) = list.next() {
        fuel.burn(1)?;
        range(one.begin, one.end, fuel)?;
    }
    Some(())
}

/// Where a unit's code is: what its root entry says.
pub(super) fn unit_code<'a>(unit: &Unit<'a>) -> CodeAttributes<'a> {
    // A unit with several ranges has a `DW_AT_low_pc` as the base of their addresses, and no other end.
    CodeAttributes {
        low_pc: Value::Address(unit.root.low_pc),
        high_pc: unit.root.high_pc,
        ranges: unit.root.ranges,
    }
}
