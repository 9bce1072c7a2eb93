//! Architectures as tables: an architecture is one [`ArchInfo`], and everything else is derived
//! from it.
//!
//! To add one: a file beside this one with its table, and a variant of [`Arch`]. Cores, call frame
//! information and frame-pointer walks work from then on.

mod i386;
mod registers;
mod x86_64;

pub use registers::{MAX_REGISTERS, Registers};

/// A processor architecture, as a process sees it (an i386 program on an x86_64 kernel is `I386`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Arch {
    /// AMD64, 64 bits, little-endian.
    X86_64,
    /// The 32-bit x86.
    I386,
}

/// The place of a register in its architecture's table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RegisterId(pub u8);

/// One general register: a row of [`ArchInfo::registers`].
#[derive(Debug)]
pub struct RegisterInfo {
    /// The assembler's name for it.
    pub name: &'static str,
    /// Its number in DWARF and in call frame information, as the platform's psABI assigns it.
    pub dwarf: Option<u16>,
    /// Its offset in Linux's `NT_PRSTATUS` register set, in bytes (kernel: `struct user_regs_struct`).
    pub regset_offset: u16,
    /// Its width in bytes there.
    pub bytes: u8,
    /// Whether a called function must give it back as it was.
    pub preserved: bool,
}

/// All that the rest of Prospect needs to know of an architecture.
#[derive(Debug)]
pub struct ArchInfo {
    /// The name that people use.
    pub name: &'static str,
    /// The size of a pointer in bytes: 4 or 8.
    pub word_bytes: u8,
    /// Whether the most significant byte comes first.
    pub big_endian: bool,
    /// The ELF machine number (`e_machine`).
    pub elf_machine: u16,
    /// The size of Linux's `NT_PRSTATUS` register set in bytes.
    pub regset_bytes: u16,
    /// The general registers. The DWARF numbers below 17 are the indices too.
    pub registers: &'static [RegisterInfo],
    /// The program counter.
    pub pc: RegisterId,
    /// The stack pointer.
    pub sp: RegisterId,
    /// The register that frame-pointer code keeps its frame in.
    pub fp: RegisterId,
    /// Bytes below sp that a leaf function may use without moving sp.
    pub red_zone_bytes: u16,
}

impl Arch {
    /// Every architecture that is known.
    pub const ALL: [Self; 2] = [Self::X86_64, Self::I386];

    /// The table of this architecture.
    #[must_use]
    pub const fn info(self) -> &'static ArchInfo {
        match self {
            Self::X86_64 => &x86_64::INFO,
            Self::I386 => &i386::INFO,
        }
    }

    /// The architecture of an ELF file by its `e_machine`.
    #[must_use]
    pub fn from_elf_machine(machine: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|arch| arch.info().elf_machine == machine)
    }

    /// The architecture whose `NT_PRSTATUS` register set has `bytes` bytes.
    #[must_use]
    pub fn from_regset_bytes(bytes: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|arch| usize::from(arch.info().regset_bytes) == bytes)
    }
}

impl ArchInfo {
    /// The register that DWARF calls `number`.
    #[must_use]
    pub fn by_dwarf(&self, number: u16) -> Option<RegisterId> {
        let same = |info: &RegisterInfo| info.dwarf == Some(number);
        if self.registers.get(usize::from(number)).is_some_and(same) {
            return Some(RegisterId(number as u8));
        }
        self.registers.iter().position(same).map(|index| RegisterId(index as u8))
    }

    /// The register of that name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<RegisterId> {
        self.registers.iter().position(|info| info.name == name).map(|index| RegisterId(index as u8))
    }

    /// The row of a register.
    ///
    /// # Panics
    /// When the id is of another architecture and lies outside this table.
    #[must_use]
    pub fn register(&self, id: RegisterId) -> &'static RegisterInfo {
        &self.registers[usize::from(id.0)]
    }

    /// The registers that a called function gives back as they were.
    pub fn preserved(&self) -> impl Iterator<Item = RegisterId> + use<> {
        let rows = self.registers;
        (0..rows.len()).filter(|index| rows[*index].preserved).map(|index| RegisterId(index as u8))
    }

    /// The bits of a word of this architecture.
    #[must_use]
    pub fn word_mask(&self) -> u64 {
        u64::MAX >> (64 - 8 * u32::from(self.word_bytes))
    }

    /// Reads a word of this architecture from the start of `bytes`; `None` where they are too few.
    #[must_use]
    pub fn word(&self, bytes: &[u8]) -> Option<u64> {
        // Each width by itself: a copy of so many bytes as a variable says is a call, and walks read words.
        match (self.word_bytes, self.big_endian) {
            (8, false) => bytes.first_chunk().map(|word| u64::from_le_bytes(*word)),
            (8, true) => bytes.first_chunk().map(|word| u64::from_be_bytes(*word)),
            (4, false) => bytes.first_chunk().map(|word| u64::from(u32::from_le_bytes(*word))),
            (4, true) => bytes.first_chunk().map(|word| u64::from(u32::from_be_bytes(*word))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sound() {
        for arch in Arch::ALL {
            let info = arch.info();
            assert!(info.registers.len() <= MAX_REGISTERS);
            for (index, row) in info.registers.iter().enumerate() {
                assert!(row.regset_offset + u16::from(row.bytes) <= info.regset_bytes, "{}", row.name);
                assert_eq!(info.by_name(row.name), Some(RegisterId(index as u8)));
                if let Some(number) = row.dwarf {
                    assert_eq!(info.by_dwarf(number), Some(RegisterId(index as u8)), "{}", row.name);
                }
            }
            assert_eq!(Arch::from_elf_machine(info.elf_machine), Some(arch));
            assert_eq!(Arch::from_regset_bytes(usize::from(info.regset_bytes)), Some(arch));
        }
        assert_eq!(Arch::X86_64.info().register(Arch::X86_64.info().sp).name, "rsp");
        assert_eq!(Arch::I386.info().register(Arch::I386.info().pc).name, "eip");
    }
}
