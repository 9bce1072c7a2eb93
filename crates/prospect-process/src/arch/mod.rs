//! Architectures as tables: an architecture is one [`ArchInfo`], and everything else is derived
//! from it.
//!
//! To add one: a file beside this one with its table, and a variant of [`Arch`]. Cores, call frame
//! information and frame-pointer walks work from then on.

mod aarch64;
mod arm;
mod frame_chain;
mod i386;
mod ppc;
mod registers;
mod riscv64;
mod s390x;
#[cfg(test)]
mod tests;
mod wide;
mod x86_64;

pub use frame_chain::{FrameChain, ReturnSlot};
pub use registers::{MAX_REGISTERS, Registers};
pub use wide::{RegisterSet, WideArea, WidePart, WideRegister, WideRegisters};

/// A processor architecture, as a process sees it (an i386 program on an x86_64 kernel is `I386`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Arch {
    /// AMD64, 64 bits, little-endian.
    X86_64,
    /// The 32-bit x86.
    I386,
    /// 64-bit ARM, little-endian.
    Aarch64,
    /// 32-bit ARM and Thumb, little-endian.
    Arm,
    /// 64-bit PowerPC, little-endian.
    Ppc64le,
    /// 64-bit PowerPC, big-endian.
    Ppc64,
    /// 32-bit PowerPC, big-endian.
    Ppc,
    /// 64-bit RISC-V.
    Riscv64,
    /// 64-bit IBM Z, big-endian.
    S390x,
}

/// The place of a register in its architecture's table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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
    /// The general registers. On x86, the DWARF numbers below 17 are the indices too.
    pub registers: &'static [RegisterInfo],
    /// The register sets beside the general one, in the order of the kernel's own cores.
    pub other_sets: &'static [RegisterSet],
    /// Registers of them that are known.
    pub wide: &'static [WideRegisters],
    /// The program counter.
    pub pc: RegisterId,
    /// The stack pointer.
    pub sp: RegisterId,
    /// The register that frame-pointer code keeps its frame in.
    pub fp: RegisterId,
    /// The register that a call puts the return address into; `None` where it is pushed on the stack.
    pub link: Option<RegisterId>,
    /// Bytes below sp that a leaf function may use without moving sp.
    pub red_zone_bytes: u16,
    /// The bits of a return address that are an address, or above one; see [`code_address`](Self::code_address).
    pub code_address_mask: u64,
    /// The bits of a return address that pointer authentication keeps its code in, where the process does not say
    /// which; 0 where there is no such thing.
    pub authentication_mask: u64,
    /// How far the canonical frame address lies above the stack pointer of the caller, in bytes.
    pub cfa_above_sp: u16,
    /// How frames are chained where code keeps frame pointers or a back chain; `None` where there is no
    /// convention that can be relied on.
    pub frame_chain: Option<FrameChain>,
}

impl Arch {
    /// Every architecture that is known.
    pub const ALL: [Self; 9] = [
        Self::X86_64,
        Self::I386,
        Self::Aarch64,
        Self::Arm,
        Self::Ppc64le,
        Self::Ppc64,
        Self::Ppc,
        Self::Riscv64,
        Self::S390x,
    ];

    /// The table of this architecture.
    #[must_use]
    pub const fn info(self) -> &'static ArchInfo {
        match self {
            Self::X86_64 => &x86_64::INFO,
            Self::I386 => &i386::INFO,
            Self::Aarch64 => &aarch64::INFO,
            Self::Arm => &arm::INFO,
            Self::Ppc64le => &ppc::PPC64LE,
            Self::Ppc64 => &ppc::PPC64,
            Self::Ppc => &ppc::PPC,
            Self::Riscv64 => &riscv64::INFO,
            Self::S390x => &s390x::INFO,
        }
    }

    /// The architecture of an ELF file by its `e_machine`, its class (`EI_CLASS`: whether it is of 64 bits)
    /// and its byte order (`EI_DATA`): some machines differ in these alone.
    #[must_use]
    pub fn from_elf_machine(machine: u16, is_64_bit: bool, big_endian: bool) -> Option<Self> {
        Self::ALL.into_iter().find(|arch| {
            let info = arch.info();
            // Files of 32 bits with AMD64 code are those of the x32 ABI.
            let class = (info.word_bytes == 8) == is_64_bit || *arch == Self::X86_64;
            info.elf_machine == machine && info.big_endian == big_endian && class
        })
    }

    /// The architecture of a traced thread by the size of its `NT_PRSTATUS` register set, on a kernel for x86:
    /// a process there is one of 64 or of 32 bits. Other kernels have register sets of the same sizes (s390x
    /// has that of AMD64), so it is of no use for files.
    #[must_use]
    pub fn from_regset_bytes(bytes: usize) -> Option<Self> {
        let on_x86 = [Self::X86_64, Self::I386];
        on_x86.into_iter().find(|arch| usize::from(arch.info().regset_bytes) == bytes)
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

    /// The address of code in a word that a call left as its return address, without what else is in it: the
    /// code of pointer authentication on AArch64 (also where it has none), the mark of Thumb code on ARM.
    #[must_use]
    pub fn code_address(&self, word: u64) -> u64 {
        self.authenticated_address(word, self.authentication_mask)
    }

    /// The same for a return address that is signed in the bits of `authentication_mask`; 0 for one that is not.
    #[must_use]
    pub fn authenticated_address(&self, word: u64, authentication_mask: u64) -> u64 {
        let word = word & self.code_address_mask;
        // Bit 55 tells the two halves of AArch64's address space apart (Arm Architecture Reference Manual,
        // "Pointer authentication in AArch64 state").
        if word >> 55 & 1 == 1 { word | authentication_mask } else { word & !authentication_mask }
    }

    /// Reads a number of at most 8 bytes, in the byte order of this architecture.
    #[must_use]
    pub fn unsigned(&self, bytes: &[u8]) -> Option<u64> {
        let mut word = [0; 8];
        if self.big_endian {
            word.get_mut(8usize.checked_sub(bytes.len())?..)?.copy_from_slice(bytes);
            Some(u64::from_be_bytes(word))
        } else {
            word.get_mut(..bytes.len())?.copy_from_slice(bytes);
            Some(u64::from_le_bytes(word))
        }
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
