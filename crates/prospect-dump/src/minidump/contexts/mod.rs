//! The registers of a thread as minidumps have them: a `CONTEXT`, one for each processor, as tables that are used
//! both ways.
//!
//! A register's name is the one in [`ArchInfo::registers`](prospect_process::ArchInfo::registers); what is in a
//! `CONTEXT` beside the general registers is moved from and to [`RegisterSet`]s. What a format has no room for
//! (`fs_base`, `orig_rax`) stays unknown.

mod arm;
mod ppc;
mod riscv64;
#[cfg(test)]
mod tests;
mod x86;
mod xstate;

use prospect_process::{Arch, RegisterSet, Registers};

/// The layout of a `CONTEXT`.
pub(crate) struct ContextFormat {
    /// The architecture that it is of.
    pub(crate) arch: Arch,
    /// The bits of its flags that say which processor it is of.
    pub(crate) cpu: u32,
    /// The bits of its flags that say that all of it is there.
    pub(crate) full: u32,
    /// Where the flags are, 32 bits of them. Those that have 64 use no others.
    pub(crate) flags_at: u16,
    /// How long it is.
    pub(crate) bytes: u16,
    /// The general registers.
    pub(crate) registers: &'static [ContextRegister],
    /// What it has of other sets.
    pub(crate) sets: &'static [ContextSet],
}

/// Where a general register is in a `CONTEXT`.
pub(crate) struct ContextRegister {
    /// Its name.
    pub(crate) name: &'static str,
    /// Where it begins.
    pub(crate) offset: u16,
    /// Its width in bytes there.
    pub(crate) bytes: u8,
    /// Any of these bits of the flags says that it is there.
    pub(crate) group: u32,
}

/// What a `CONTEXT` has of a set of other registers.
pub(crate) struct ContextSet {
    /// The set.
    pub(crate) set: RegisterSet,
    /// How long the set is.
    pub(crate) bytes: u16,
    /// Any of these bits of the flags says that it is there.
    pub(crate) group: u32,
    /// Which bytes of it are where: its offset in the set, in the `CONTEXT`, and how many.
    pub(crate) parts: &'static [(u16, u16, u16)],
}

/// Every format that is known. Of an architecture, the first is the one that is written.
const FORMATS: &[&ContextFormat] = &[
    &x86::AMD64,
    &x86::X86,
    &arm::ARM64,
    &arm::ARM64_OLD,
    &arm::ARM,
    &arm::ARM_WINDOWS,
    &riscv64::RISCV64,
    &ppc::PPC64LE,
    &ppc::PPC64,
    &ppc::PPC,
];

/// The bits of the flags that say which groups of registers are there.
const GROUPS: u32 = 0xff;

/// The registers in a `CONTEXT`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Context {
    /// The general ones.
    pub(crate) registers: Registers,
    /// The others.
    pub(crate) sets: Vec<(RegisterSet, Vec<u8>)>,
}

/// The registers in the `CONTEXT` of a thread of this architecture. What the bytes are too few for, or what it says that
/// it has not, stays unknown. `None` when it is none.
pub(crate) fn decode(arch: Arch, bytes: &[u8]) -> Option<Context> {
    let info = arch.info();
    let (format, flags) = FORMATS.iter().filter(|format| format.arch == arch).find_map(|format| {
        let at = usize::from(format.flags_at);
        let flags = info.unsigned(bytes.get(at..at + 4)?)? as u32;
        (flags & !GROUPS == format.cpu).then_some((*format, flags))
    })?;
    // Some writers name the processor alone.
    let is_there = |group: u32| flags & GROUPS == 0 || flags & group & GROUPS != 0;
    let mut registers = Registers::unknown(arch);
    for row in format.registers.iter().filter(|row| is_there(row.group)) {
        let at = usize::from(row.offset);
        let value = bytes.get(at..at + usize::from(row.bytes)).and_then(|bytes| info.unsigned(bytes));
        if let (Some(id), Some(value)) = (info.by_name(row.name), value) {
            registers.set(id, value);
        }
    }
    let mut sets = Vec::new();
    for row in format.sets.iter().filter(|row| is_there(row.group)) {
        let mut set = vec![0; usize::from(row.bytes)];
        let whole = row.parts.iter().all(|(to, from, length)| {
            let (to, from, length) = (usize::from(*to), usize::from(*from), usize::from(*length));
            bytes.get(from..from + length).is_some_and(|part| {
                set[to..to + length].copy_from_slice(part);
                true
            })
        });
        if whole {
            sets.push((row.set, set));
        }
    }
    // The vector registers of x86 are looked for in what `XSAVE` writes, which begins so.
    if let Some((_, legacy)) = sets.iter_mut().find(|(set, _)| is_fxsave(arch, *set)) {
        let behind = bytes.get(usize::from(format.bytes)..).filter(|_| flags & xstate::HAS_XSTATE != 0);
        let extended = xstate::decode(legacy, behind);
        xstate::forget_enabled(legacy);
        sets.push((RegisterSet::X86_EXTENDED, extended));
    }
    Some(Context { registers, sets })
}

/// The `CONTEXT` with these registers, and with what `set` has of the other sets of the thread. What is unknown is zero.
/// `None` where the format has no context of the architecture.
pub(crate) fn encode<'a>(
    registers: &Registers,
    set: impl Fn(RegisterSet) -> Option<&'a [u8]>,
) -> Option<Vec<u8>> {
    let arch = registers.arch();
    let format = FORMATS.iter().find(|format| format.arch == arch)?;
    let mut bytes = vec![0; usize::from(format.bytes)];
    let mut flags = format.full;
    for (row, value) in registers.known() {
        if let Some(place) = format.registers.iter().find(|place| place.name == row.name) {
            put(arch, &mut bytes, place.offset, place.bytes, value);
        }
    }
    for row in format.sets {
        // It begins with the same, and says besides what was enabled.
        let extended = set(RegisterSet::X86_EXTENDED).filter(|_| is_fxsave(arch, row.set));
        let Some(source) = extended.or_else(|| set(row.set)) else {
            flags &= !(row.group & GROUPS);
            continue;
        };
        for (from, to, length) in row.parts {
            let (from, to, length) = (usize::from(*from), usize::from(*to), usize::from(*length));
            if let Some(part) = source.get(from..from + length) {
                bytes[to..to + length].copy_from_slice(part);
            }
        }
    }
    if arch == Arch::X86_64
        && let Some(behind) = set(RegisterSet::X86_EXTENDED).and_then(xstate::encode)
    {
        bytes.extend(behind);
        flags |= xstate::HAS_XSTATE;
    }
    put(arch, &mut bytes, format.flags_at, 4, u64::from(flags));
    Some(bytes)
}

/// Whether the set is what `FXSAVE` writes.
fn is_fxsave(arch: Arch, set: RegisterSet) -> bool {
    set.is_start_of(arch) == Some(RegisterSet::X86_EXTENDED)
}

/// Writes the low bytes of a number.
fn put(arch: Arch, bytes: &mut [u8], offset: u16, width: u8, value: u64) {
    let (at, width) = (usize::from(offset), usize::from(width));
    let big_endian = arch.info().big_endian;
    let word = if big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
    let word = if big_endian { &word[8 - width..] } else { &word[..width] };
    bytes[at..at + width].copy_from_slice(word);
}

const fn row(name: &'static str, offset: u16, bytes: u8, group: u32) -> ContextRegister {
    ContextRegister { name, offset, bytes, group }
}
