//! Tables of numbers over the addresses of a function ("Go 1.2 Runtime Symbol Information", "PC-Value Table"): by how
//! much the number differs from the one before, and for how many addresses it holds.

use std::ops::Range;

/// A function with more rows is none.
const MOST_ROWS: usize = 1 << 20;

/// The number at `pc`, and the addresses that it holds for. The table ends with the function.
pub(super) fn value(table: &[u8], start: u64, quantum: u8, pc: u64) -> Option<(i32, Range<u64>)> {
    rows(table, start, quantum).find(|(_, range)| range.contains(&pc))
}

/// All numbers, in the order of the addresses that they hold for.
pub(super) fn rows(table: &[u8], start: u64, quantum: u8) -> impl Iterator<Item = (i32, Range<u64>)> + '_ {
    let mut rest = table;
    let (mut value, mut from) = (-1i32, start);
    (0..MOST_ROWS).map_while(move |row| {
        let change = unsigned(&mut rest)?;
        // The first number may be the one that all tables begin with.
        if change == 0 && row > 0 {
            return None;
        }
        value = value.wrapping_add((change >> 1) as i32 ^ -((change & 1) as i32));
        let to = from.checked_add(u64::from(unsigned(&mut rest)?) * u64::from(quantum))?;
        let range = from..to;
        from = to;
        Some((value, range))
    })
}

/// Seven bits in each byte, the lowest ones first.
fn unsigned(bytes: &mut &[u8]) -> Option<u32> {
    let mut value = 0u32;
    for shift in (0..35).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u32::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_hold_for_the_addresses_that_they_are_told_for() {
        // 0 for 4, 16 for 300, 8 for 1.
        let table = [2, 4, 32, 0xac, 2, 15, 1, 0];
        assert_eq!(value(&table, 100, 1, 99), None);
        assert_eq!(value(&table, 100, 1, 103), Some((0, 100..104)));
        assert_eq!(value(&table, 100, 1, 104), Some((16, 104..404)));
        assert_eq!(value(&table, 100, 1, 404), Some((8, 404..405)));
        assert_eq!(value(&table, 100, 1, 405), None);
        assert_eq!(value(&table, 100, 4, 116), Some((16, 116..1316)));
    }

    #[test]
    fn a_table_may_begin_with_no_change_and_be_cut_off() {
        assert_eq!(value(&[0, 8, 2, 1, 0], 0, 1, 5), Some((-1, 0..8)));
        assert_eq!(value(&[0, 8, 2, 1, 0], 0, 1, 8), Some((0, 8..9)));
        assert_eq!(value(&[2, 0x80], 0, 1, 0), None);
        assert_eq!(value(&[0xff; 100], 0, 1, 0), None);
        assert_eq!(value(&[2, 1, 0], u64::MAX, 1, u64::MAX), None);
    }
}
