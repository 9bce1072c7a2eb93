//! How the blocks of a thread lie around its thread pointer (Ulrich Drepper, "ELF Handling For Thread-Local Storage", section
//! 3, and the supplements of later machines), and where glibc has the vector that leads to the others (`sysdeps/*/nptl/tls.h`).

use std::ops::Range;

use prospect_process::{Addr, Arch, LinkAddr};

/// Of one architecture.
#[derive(Clone, Copy)]
pub(super) enum Layout {
    /// Blocks lie below the thread pointer ("variant II"), which is the address of glibc's `struct pthread`.
    Below,
    /// They lie above it ("variant I").
    Above {
        /// Where blocks are counted from, from the thread pointer.
        start: i64,
        /// The bytes there that are the thread's own.
        reserved: u64,
        /// Where the address of the vector is, from the thread pointer.
        vector: i64,
    },
}

impl Layout {
    pub(super) fn of(arch: Arch) -> Option<Self> {
        Some(match arch {
            Arch::X86_64 | Arch::I386 | Arch::S390x => Self::Below,
            Arch::Aarch64 => Self::Above { start: 0, reserved: 16, vector: 0 },
            Arch::Arm => Self::Above { start: 0, reserved: 8, vector: 0 },
            Arch::Riscv64 => Self::Above { start: 0, reserved: 0, vector: -16 },
            // So that more can be reached with a signed distance of 16 bits.
            Arch::Ppc64 | Arch::Ppc64le => Self::Above { start: -0x7000, reserved: 0, vector: -0x7008 },
            Arch::Ppc => Self::Above { start: -0x7000, reserved: 0, vector: -0x7004 },
            _ => return None,
        })
    }

    /// The block of the program, whose first values are at `range` with this alignment: as linkers compute with it.
    pub(super) fn program_block(self, pointer: Addr, range: Range<LinkAddr>, align: u64) -> Option<Addr> {
        let align = align.max(1).checked_next_power_of_two()?;
        // It begins as far from a multiple of its alignment as it does in the file.
        match self {
            Self::Below => {
                let first = range.start.0.wrapping_neg() & (align - 1);
                let size = range.end.0.saturating_sub(range.start.0);
                let below = size.saturating_sub(first).checked_next_multiple_of(align)?.checked_add(first)?;
                Some(Addr(pointer.0.wrapping_sub(below)))
            }
            Self::Above { start, reserved, .. } => {
                let skew = range.start.0.wrapping_sub(reserved) & (align - 1);
                Some(Addr(pointer.0.wrapping_add_signed(start)).wrapping_add(reserved).wrapping_add(skew))
            }
        }
    }

    /// The block that every thread has from the start, by its module's `l_tls_offset`.
    pub(super) fn module_block(self, pointer: Addr, offset: u64) -> Addr {
        match self {
            Self::Below => Addr(pointer.0.wrapping_sub(offset)),
            Self::Above { start, .. } => Addr(pointer.0.wrapping_add_signed(start)).wrapping_add(offset),
        }
    }

    /// Where the address of the thread's vector is.
    pub(super) fn vector(self, pointer: Addr, from_pthread: impl FnOnce() -> Option<u64>) -> Option<Addr> {
        match self {
            Self::Below => Some(pointer.wrapping_add(from_pthread()?)),
            Self::Above { vector, .. } => Some(Addr(pointer.0.wrapping_add_signed(vector))),
        }
    }
}
