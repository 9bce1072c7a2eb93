//! A processor whose own registers cannot be read yet: all of them are unknown.

use std::ffi::c_void;

use prospect_process::{Arch, Registers};

pub(crate) const ARCH: Arch = match std::env::consts::ARCH.as_bytes() {
    b"arm" => Arch::Arm,
    b"powerpc" => Arch::Ppc,
    b"powerpc64" if cfg!(target_endian = "big") => Arch::Ppc64,
    b"powerpc64" => Arch::Ppc64le,
    b"s390x" => Arch::S390x,
    _ => Arch::Riscv64,
};

pub(crate) fn current() -> Registers {
    Registers::unknown(ARCH)
}

#[expect(unsafe_code, reason = "it is unsafe where it does something")]
pub(crate) unsafe fn interrupted(_context: *const c_void, _registers: &mut Registers) {}

/// What the parts of an extended register set are; nothing on this processor.
pub(crate) fn extended_part(_part: u32) -> Option<(u32, u32)> {
    None
}
