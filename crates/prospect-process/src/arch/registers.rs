//! The general registers of one thread or frame.

use std::fmt;

use super::{Arch, RegisterId, RegisterInfo};
use crate::Addr;

/// The longest register table that [`Registers`] has room for.
pub const MAX_REGISTERS: usize = 48;

/// The values of an architecture's general registers, each known or not.
#[derive(Clone, Copy)]
pub struct Registers {
    arch: Arch,
    known: u64,
    values: [u64; MAX_REGISTERS],
}

impl Registers {
    /// Registers of `arch` of which none is known.
    #[must_use]
    pub fn unknown(arch: Arch) -> Self {
        Self { arch, known: 0, values: [0; MAX_REGISTERS] }
    }

    /// The registers in a Linux `NT_PRSTATUS` register set. What the bytes are too few for stays
    /// unknown.
    #[must_use]
    pub fn from_regset(arch: Arch, bytes: &[u8]) -> Self {
        let info = arch.info();
        let mut registers = Self::unknown(arch);
        for (index, row) in info.registers.iter().enumerate() {
            let (offset, width) = (usize::from(row.regset_offset), usize::from(row.bytes));
            if let Some(value) = bytes.get(offset..offset + width).and_then(|bytes| info.unsigned(bytes)) {
                registers.set(RegisterId(index as u8), value);
            }
        }
        registers
    }

    /// The bytes of a Linux `NT_PRSTATUS` register set with these; what is unknown is zero.
    #[must_use]
    pub fn to_regset(&self) -> Vec<u8> {
        let info = self.arch.info();
        let mut bytes = vec![0; usize::from(info.regset_bytes)];
        for (row, value) in self.known() {
            let (offset, width) = (usize::from(row.regset_offset), usize::from(row.bytes));
            let word = if info.big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
            let word = if info.big_endian { &word[8 - width..] } else { &word[..width] };
            bytes[offset..offset + width].copy_from_slice(word);
        }
        bytes
    }

    /// The architecture whose registers these are.
    #[must_use]
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// A register's value, if it is known.
    #[must_use]
    pub fn get(&self, id: RegisterId) -> Option<u64> {
        (self.known >> id.0 & 1 == 1).then(|| self.values[usize::from(id.0)])
    }

    /// Makes a register known. Bits beyond the architecture's word are cut off.
    pub fn set(&mut self, id: RegisterId, value: u64) {
        self.known |= 1 << id.0;
        self.values[usize::from(id.0)] = value & self.arch.info().word_mask();
    }

    /// Makes a register unknown.
    pub fn forget(&mut self, id: RegisterId) {
        self.known &= !(1 << id.0);
    }

    /// The program counter.
    #[must_use]
    pub fn pc(&self) -> Option<Addr> {
        self.get(self.arch.info().pc).map(Addr)
    }

    /// The stack pointer.
    #[must_use]
    pub fn sp(&self) -> Option<Addr> {
        self.get(self.arch.info().sp).map(Addr)
    }

    /// The frame-pointer register, whatever the code keeps in it.
    #[must_use]
    pub fn fp(&self) -> Option<Addr> {
        self.get(self.arch.info().fp).map(Addr)
    }

    /// Every known register with its value, in the table's order.
    pub fn known(&self) -> impl Iterator<Item = (&'static RegisterInfo, u64)> + '_ {
        let rows = self.arch.info().registers.iter().enumerate();
        rows.filter_map(|(index, row)| Some((row, self.get(RegisterId(index as u8))?)))
    }
}

impl PartialEq for Registers {
    fn eq(&self, other: &Self) -> bool {
        self.arch == other.arch
            && self.known == other.known
            && self.known().map(|(_, value)| value).eq(other.known().map(|(_, value)| value))
    }
}

impl Eq for Registers {}

impl fmt::Debug for Registers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.known().map(|(row, value)| (row.name, Addr(value)))).finish()
    }
}

/// The known ones, by their places in the table.
#[cfg(feature = "serde")]
impl serde::Serialize for Registers {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ids = (0..self.arch.info().registers.len()).map(|index| RegisterId(index as u8));
        let known: Vec<_> = ids.filter_map(|id| Some((id, self.get(id)?))).collect();
        (self.arch, known).serialize(serializer)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Registers {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (arch, known) = <(Arch, Vec<(RegisterId, u64)>)>::deserialize(deserializer)?;
        let mut registers = Self::unknown(arch);
        let is_there = |(id, _): &(RegisterId, u64)| usize::from(id.0) < arch.info().registers.len();
        known.into_iter().filter(is_there).for_each(|(id, value)| registers.set(id, value));
        Ok(registers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regset_of_a_32_bit_process_is_read_in_its_own_layout() {
        let mut bytes = [0; 68];
        bytes[48..52].copy_from_slice(&0x0804_8123u32.to_le_bytes());
        bytes[60..64].copy_from_slice(&0xffff_d000u32.to_le_bytes());
        let registers = Registers::from_regset(Arch::I386, &bytes);
        assert_eq!(registers.pc(), Some(Addr(0x0804_8123)));
        assert_eq!(registers.sp(), Some(Addr(0xffff_d000)));
    }

    #[test]
    fn a_regset_is_written_as_it_is_read() {
        for arch in Arch::ALL {
            let length = usize::from(arch.info().regset_bytes);
            let bytes: Vec<u8> = (0..length).map(|index| (index + 1) as u8).collect();
            let registers = Registers::from_regset(arch, &bytes);
            assert_eq!(Registers::from_regset(arch, &registers.to_regset()), registers, "{arch:?}");
        }
        let whole = [7; 216];
        assert_eq!(Registers::from_regset(Arch::X86_64, &whole).to_regset(), whole);
    }

    #[test]
    fn values_are_cut_to_the_word() {
        let mut registers = Registers::unknown(Arch::I386);
        registers.set(RegisterId(0), 0x1_0000_0002);
        assert_eq!(registers.get(RegisterId(0)), Some(2));
        registers.forget(RegisterId(0));
        assert_eq!(registers.get(RegisterId(0)), None);
    }

    #[test]
    fn a_short_regset_leaves_the_rest_unknown() {
        let registers = Registers::from_regset(Arch::X86_64, &[1; 16]);
        assert_eq!(registers.known().count(), 2);
        assert_eq!(registers.pc(), None);
    }
}
