//! Registers beside the general ones: floating point and vectors.

use std::ops::Range;

use super::ArchInfo;

/// A set of registers beside the general ones, as the system gives it: by the number of its note in ELF cores (`NT_…` in
/// `<elf.h>`), which `PTRACE_GETREGSET` takes too. Its bytes are kept as they are, and looked into where a register is asked
/// for. Which sets an architecture has is in [`ArchInfo::other_sets`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RegisterSet(pub u32);

impl RegisterSet {
    /// `NT_PRFPREG`: floating point registers, and vector registers where they are the same. On x86, what `FXSAVE` writes
    /// (64 bits), or `FSAVE` (32 bits).
    pub const FLOAT: Self = Self(2);
    /// `NT_PRXFPREG`: what `FXSAVE` writes, of 32-bit x86 programs.
    pub const X86_FXSAVE: Self = Self(0x46e6_2b7f);
    /// `NT_386_TLS`: the segments of a thread of a 32-bit program, each a `struct user_desc`.
    pub const X86_SEGMENTS: Self = Self(0x200);
    /// `NT_386_IOPERM`: the bitmap of ports that it may use.
    pub const X86_PORTS: Self = Self(0x201);
    /// `NT_X86_XSTATE`: what `XSAVE` writes in its standard form (Intel SDM volume 1, section 13.4).
    pub const X86_EXTENDED: Self = Self(0x202);
    /// `NT_X86_SHSTK`: the pointer of the shadow stack.
    pub const X86_SHADOW_STACK: Self = Self(0x204);
    /// `NT_ARM_VFP`: floating point registers of 32-bit ARM.
    pub const ARM_VFP: Self = Self(0x400);
    /// `NT_ARM_TLS`: the thread pointer of ARM and AArch64.
    pub const ARM_TLS: Self = Self(0x401);
    /// `NT_ARM_PAC_MASK`: which bits of data and code pointers their authentication code is in, two words.
    pub const ARM_PAC_MASK: Self = Self(0x406);
}

/// Registers that lie one after the other in a [`RegisterSet`]: a row of [`ArchInfo::wide`].
#[derive(Debug)]
pub struct WideRegisters {
    /// What their names begin with; a number from 0 follows.
    pub prefix: &'static str,
    /// Their numbers in DWARF.
    pub dwarf: Range<u16>,
    /// Where they are.
    pub set: RegisterSet,
    /// Where the first one begins in the set, in bytes.
    pub offset: u16,
    /// How many bytes lie between the beginnings of two of them.
    pub stride: u16,
    /// How many bytes each has there.
    pub bytes: u8,
    /// Where the upper half of the first one begins, of registers that were made wider later.
    pub upper: Option<u16>,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct WideRegister {
    row: &'static WideRegisters,
    index: u16,
}

impl ArchInfo {
    /// The floating point or vector register that DWARF calls `number`.
    #[must_use]
    pub fn wide_register(&self, number: u16) -> Option<WideRegister> {
        let row = self.wide.iter().find(|row| row.dwarf.contains(&number))?;
        Some(WideRegister { row, index: number - row.dwarf.start })
    }
}

impl WideRegister {
    /// The assembler's name for it.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}{}", self.row.prefix, self.index)
    }

    /// How many bytes it has where all sets of the processor are known.
    #[must_use]
    pub fn width(&self) -> u64 {
        u64::from(self.row.bytes) * if self.row.upper.is_some() { 2 } else { 1 }
    }

    /// The set that it is in.
    #[must_use]
    pub fn set(&self) -> RegisterSet {
        self.row.set
    }

    /// Its bytes in the set's, as the machine has them in memory, with those of its upper half where they are there.
    #[must_use]
    pub fn bytes(&self, set: &[u8]) -> Option<Vec<u8>> {
        let part = |offset: u16| {
            let start = usize::from(offset) + usize::from(self.index) * usize::from(self.row.stride);
            set.get(start..start + usize::from(self.row.bytes))
        };
        let mut bytes = part(self.row.offset)?.to_vec();
        bytes.extend(self.row.upper.and_then(part).into_iter().flatten());
        Some(bytes)
    }
}

/// What `XSAVE` writes: the x87 registers from the top of their stack on, the SSE registers (figure 13-2, the legacy region),
/// and the upper halves of the AVX registers (component 2).
pub(super) const fn x86(
    prefix: &'static str,
    dwarf: Range<u16>,
    offset: u16,
    bytes: u8,
    upper: Option<u16>,
) -> WideRegisters {
    WideRegisters { prefix, dwarf, set: RegisterSet::X86_EXTENDED, offset, stride: 16, bytes, upper }
}

/// What lies without gaps at the beginning of `NT_PRFPREG`.
pub(super) const fn float(prefix: &'static str, dwarf: Range<u16>, bytes: u8) -> WideRegisters {
    let set = RegisterSet::FLOAT;
    WideRegisters { prefix, dwarf, set, offset: 0, stride: bytes as u16, bytes, upper: None }
}

#[cfg(test)]
mod tests {
    use crate::Arch;

    #[test]
    fn registers_of_x86_are_where_the_processor_saves_them() {
        let set: Vec<u8> = (0..576 + 256).map(|index| (index / 16) as u8).collect();
        let info = Arch::X86_64.info();
        let xmm1 = info.wide_register(18).unwrap();
        assert_eq!((xmm1.name().as_str(), info.wide_register(16).is_none()), ("xmm1", true));
        let bytes = xmm1.bytes(&set).unwrap();
        assert_eq!((bytes.len(), bytes[0], bytes[16]), (32, 11, 37));
        assert_eq!(xmm1.bytes(&set[..512]).unwrap().len(), 16);
        let st0 = info.wide_register(33).unwrap();
        assert_eq!((st0.name().as_str(), st0.bytes(&set).unwrap()), ("st0", vec![2; 10]));
        assert_eq!(st0.bytes(&[]), None);
        assert_eq!(Arch::I386.info().wide_register(21).unwrap().name(), "xmm0");
    }
}
