//! Registers beside the general ones: floating point and vectors.

use std::ops::Range;

use super::{Arch, ArchInfo};

/// A set of registers beside the general ones, as the system gives it: by the number of its note in ELF cores (`NT_…` in
/// `<elf.h>`), which `PTRACE_GETREGSET` takes too. Its bytes are kept as they are, and looked into where a register is asked
/// for. Which sets an architecture has is in [`ArchInfo::other_sets`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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

    /// How much of what `XSAVE` writes is what `FXSAVE` writes too.
    pub const X86_LEGACY_BYTES: usize = 512;

    /// The set that begins with all of this one, on machines that have it: what `XSAVE` writes begins with what `FXSAVE` writes
    /// ([`X86_LEGACY_BYTES`](Self::X86_LEGACY_BYTES)).
    #[must_use]
    pub fn is_start_of(self, arch: Arch) -> Option<Self> {
        let is_legacy = matches!((arch, self), (Arch::X86_64, Self::FLOAT) | (Arch::I386, Self::X86_FXSAVE));
        is_legacy.then_some(Self::X86_EXTENDED)
    }
}

/// Registers of one kind, one after the other in each part of a [`RegisterSet`]: a row of [`ArchInfo::wide`].
#[derive(Debug)]
pub struct WideRegisters {
    /// What their names begin with, and how many of their first bytes each name means: a number follows.
    pub names: &'static [(&'static str, u8)],
    /// The number of the first one in the names.
    pub first: u16,
    /// Their numbers in DWARF.
    pub dwarf: Range<u16>,
    /// Where they are.
    pub set: RegisterSet,
    /// Where their bytes are in the set, the low ones first: registers that were made wider later are in several parts, of
    /// which a set may have the first ones only.
    pub parts: &'static [WidePart],
}

/// Where some of the bytes of registers are.
#[derive(Debug)]
pub struct WidePart {
    /// What the offset is counted from.
    pub area: WideArea,
    /// Where those of the first register begin.
    pub offset: u16,
    /// How many bytes lie between the beginnings of two of them.
    pub stride: u16,
    /// How many each has there.
    pub bytes: u8,
}

/// A place in a set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum WideArea {
    /// Its beginning.
    Start,
    /// Of what `XSAVE` writes, the first of the three AVX-512 components (5 to 7), which follow each other. Processors that
    /// left room for bounds registers have them behind those: that is told by the set's length.
    Avx512,
}

impl WideArea {
    fn start(self, set: &[u8]) -> Option<usize> {
        match (self, set.len()) {
            (Self::Start, _) => Some(0),
            // AMD's: up to the registers, and with the keys of memory protection behind them.
            (Self::Avx512, 2432 | 2440) => Some(832),
            // Intel's: 64 bytes of masks, 16 upper halves of 32 bytes, 16 registers of 64, whatever follows.
            (Self::Avx512, 2688..) => Some(1088),
            (Self::Avx512, _) => None,
        }
    }
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

    /// The number in DWARF of the floating point or vector register with a name, and how many of its bytes are meant: `xmm1`
    /// is the low part of `ymm1`.
    #[must_use]
    pub fn wide_named(&self, name: &str) -> Option<(u16, u8)> {
        let digits = name.trim_start_matches(|letter: char| !letter.is_ascii_digit());
        let (prefix, number) = (name.strip_suffix(digits)?, digits.parse::<u16>().ok()?);
        self.wide.iter().find_map(|row| {
            let (_, bytes) = row.names.iter().find(|(own, _)| *own == prefix)?;
            let dwarf = row.dwarf.start.checked_add(number.checked_sub(row.first)?)?;
            row.dwarf.contains(&dwarf).then_some((dwarf, *bytes))
        })
    }
}

impl WideRegister {
    /// The assembler's name for it, the one that means the fewest bytes.
    #[must_use]
    pub fn name(&self) -> String {
        let prefix = self.row.names.first().map_or("", |(prefix, _)| prefix);
        format!("{prefix}{}", self.row.first + self.index)
    }

    /// The set that it is in.
    #[must_use]
    pub fn set(&self) -> RegisterSet {
        self.row.set
    }

    /// Its bytes in the set's, as the machine has them in memory, with those that it was made wider by where they are there.
    #[must_use]
    pub fn bytes(&self, set: &[u8]) -> Option<Vec<u8>> {
        let part = |part: &WidePart| {
            let start = usize::from(part.offset) + usize::from(self.index) * usize::from(part.stride);
            set.get(part.area.start(set)? + start..)?.get(..usize::from(part.bytes))
        };
        let bytes: Vec<u8> = self.row.parts.iter().map_while(part).flatten().copied().collect();
        (!bytes.is_empty()).then_some(bytes)
    }
}

const fn part(area: WideArea, offset: u16, stride: u16, bytes: u8) -> WidePart {
    WidePart { area, offset, stride, bytes }
}

/// The names of a vector register of x86 by how wide it is.
const VECTORS: &[(&str, u8)] = &[("xmm", 16), ("ymm", 32), ("zmm", 64)];

const fn x86(
    names: &'static [(&'static str, u8)],
    dwarf: Range<u16>,
    parts: &'static [WidePart],
) -> WideRegisters {
    WideRegisters { names, first: 0, dwarf, set: RegisterSet::X86_EXTENDED, parts }
}

const VECTOR_PARTS: &[WidePart] = &[
    part(WideArea::Start, 160, 16, 16),
    part(WideArea::Start, 576, 16, 16),
    part(WideArea::Avx512, 64, 32, 32),
];
const NEW_VECTOR_PARTS: &[WidePart] = &[part(WideArea::Avx512, 64 + 16 * 32, 64, 64)];
const MASK_PARTS: &[WidePart] = &[part(WideArea::Avx512, 0, 8, 8)];
const X87_PARTS: &[WidePart] = &[part(WideArea::Start, 32, 16, 10)];
const MMX_PARTS: &[WidePart] = &[part(WideArea::Start, 32, 16, 8)];

/// What `XSAVE` writes of the vector registers that there were from the beginning (Intel SDM volume 1, sections 13.4 and 13.5):
/// the SSE registers of the legacy region, their upper halves (component 2), and the upper halves of those (component 6).
pub(super) const fn x86_vectors(dwarf: Range<u16>) -> WideRegisters {
    x86(VECTORS, dwarf, VECTOR_PARTS)
}

/// The vector registers from 16 on (component 7).
pub(super) const fn x86_new_vectors(dwarf: Range<u16>) -> WideRegisters {
    let set = RegisterSet::X86_EXTENDED;
    WideRegisters { names: VECTORS, first: 16, dwarf, set, parts: NEW_VECTOR_PARTS }
}

/// The mask registers (component 5).
pub(super) const fn x86_masks(dwarf: Range<u16>) -> WideRegisters {
    x86(&[("k", 8)], dwarf, MASK_PARTS)
}

/// The x87 registers, from the top of their stack on.
pub(super) const fn x87(dwarf: Range<u16>) -> WideRegisters {
    x86(&[("st", 10)], dwarf, X87_PARTS)
}

/// The MMX registers, which lie in those.
pub(super) const fn mmx(dwarf: Range<u16>) -> WideRegisters {
    x86(&[("mm", 8)], dwarf, MMX_PARTS)
}

/// What lies without gaps at the beginning of `NT_PRFPREG`.
pub(super) const fn float(
    names: &'static [(&'static str, u8)],
    dwarf: Range<u16>,
    parts: &'static [WidePart],
) -> WideRegisters {
    WideRegisters { names, first: 0, dwarf, set: RegisterSet::FLOAT, parts }
}

/// Parts of 8 and of 16 bytes for it.
pub(super) const WORDS: &[WidePart] = &[part(WideArea::Start, 0, 8, 8)];
pub(super) const VECTOR_WORDS: &[WidePart] = &[part(WideArea::Start, 0, 16, 16)];

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

    #[test]
    fn wide_vectors_are_where_either_maker_has_them() {
        let info = Arch::X86_64.info();
        let names = ["zmm1", "xmm17", "zmm31", "k2", "ymm1", "xmm32", "k8", "xmm", "zmm"];
        let found = names.map(|name| info.wide_named(name));
        let numbers = [Some((18, 64)), Some((68, 16)), Some((82, 64)), Some((120, 8)), Some((18, 32))];
        assert_eq!(found[..5], numbers);
        assert_eq!(found[5..], [None; 4]);
        for (length, start) in [(2432, 832), (2440, 832), (2688, 1088), (2696, 1088), (11008, 1088)] {
            let set: Vec<u8> = (0..length).map(|index: u32| (index / 8 % 251) as u8).collect();
            let at = |offset: usize| set[start + offset];
            let bytes = |number: u16| info.wide_register(number).unwrap().bytes(&set).unwrap();
            let zmm1 = bytes(18);
            assert_eq!((zmm1.len(), zmm1[0], zmm1[16], zmm1[32], zmm1[63]), (64, 22, 74, at(96), at(127)));
            let zmm31 = bytes(82);
            assert_eq!((zmm31.len(), zmm31[0], zmm31[63]), (64, at(1536), at(1599)));
            assert_eq!(bytes(120), [at(16); 8]);
        }
        // A processor without them.
        let set = [0; 832];
        assert_eq!(info.wide_register(18).unwrap().bytes(&set).unwrap().len(), 32);
        assert_eq!(info.wide_register(67).unwrap().bytes(&set), None);
        assert_eq!(info.wide_register(118).unwrap().bytes(&set), None);
    }
}
