//! What code of each architecture looks like, as data: signal trampolines, prologues, calls.
//!
//! All of it is optional. Without it an architecture is walked by call frame information and frame
//! pointers.

mod aarch64;
mod arm;
mod i386;
mod ppc;
mod riscv64;
mod s390x;
mod x86;
mod x86_64;

use prospect_process::{Addr, Arch, Memory, RegisterId};

use crate::{FrameProgress, FrameState};

/// What steppers need to know of the code of an architecture.
pub(crate) struct CodePatterns {
    /// The code that a signal handler returns to.
    pub trampolines: &'static [Trampoline],
    /// The frame at an instruction, by all of its function, where it is known how to find that out.
    pub frame_in: Option<FrameIn>,
    /// How far the frame is set up at an address, from the code next to it alone: at its first and last instructions.
    pub progress: fn(before: &[u8], at: &[u8]) -> FrameProgress,
    /// The call that may end where these bytes end, or something else that is returned to.
    pub call: fn(before: &[u8], at: &[u8]) -> Option<Call>,
    /// How threads are born, where that is known.
    pub births: Option<Births>,
    /// How code goes on behind the instruction that it begins with, and how long that is. `None` where it is not known.
    pub flow: fn(code: &[u8]) -> Option<(usize, Flow)>,
    /// The instruction that makes a system call.
    pub system_call: &'static [u8],
    /// Whether the call that ends where these bytes meet is the one of a thread's first function: when that
    /// returns, the thread ends.
    pub starts_thread: fn(before: &[u8], at: &[u8]) -> bool,
    /// Where code goes on that does nothing but jump, as entries of a procedure linkage table do.
    pub jump: fn(at: &[u8]) -> Option<Call>,
}

/// The frame at the byte at `offset` of a function with this code.
pub(crate) type FrameIn = fn(code: &[u8], offset: usize) -> Option<FrameState>;

/// The system calls that make a thread, and how they look from the new one.
pub(crate) struct Births {
    /// The instruction that makes a system call.
    pub instruction: [u8; 2],
    /// The register with the number of the call that a thread is in or behind.
    pub number: RegisterId,
    /// The register with its result: 0 for the new thread.
    pub result: RegisterId,
    /// The numbers of the calls, and where each has the stack of the new thread. 0 is the parent's.
    pub calls: &'static [(u64, ChildStack)],
}

/// Where the arguments of a call that makes a thread say what its stack is.
#[derive(Clone, Copy)]
pub(crate) enum ChildStack {
    /// In a register.
    Register(RegisterId),
    /// In memory of the parent, which may have used it for something else since.
    InMemory,
}

/// How code goes on behind an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flow {
    /// With the next one.
    Next,
    /// With the next one, when the called function has returned.
    Call,
    /// So far behind the instruction's start, or with the next one.
    Branch(i64),
    /// So far behind the instruction's start.
    Jump(i64),
    /// Where a register says.
    Away,
    /// Nowhere, or elsewhere.
    End,
}

/// A call or jump, by how its target is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Call {
    /// So far behind the instruction's end, or for a jump: behind its start.
    Relative(i64),
    /// Through the word that is so far behind it.
    ThroughRelative(i64),
    /// Through the word at this address.
    Through(u64),
    /// Through a register or memory that may have changed since.
    Unknown,
}

/// Code that a signal handler returns to, and that has the kernel restore all registers.
pub(crate) struct Trampoline {
    /// Its bytes.
    pub code: &'static [u8],
    /// At which of its instructions a thread can be, as an offset into the code, and how far above sp the
    /// saved registers then are. The first is where the handler returns to.
    pub states: &'static [(u8, u16)],
    /// The saved registers: (register, offset, bytes).
    pub saved: &'static [(RegisterId, u16, u8)],
}

/// The 32 bits at the end of the code before an address.
fn last_word(before: &[u8], big_endian: bool) -> Option<u32> {
    let bytes = *before.last_chunk()?;
    Some(if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
}

/// The 32 bits at the start of some code.
fn first_word(at: &[u8], big_endian: bool) -> Option<u32> {
    last_word(at.get(..4)?, big_endian)
}

/// The number with a sign in the lowest `bits` of a word.
fn signed(word: u32, bits: u32) -> i64 {
    i64::from((word << (32 - bits)).cast_signed() >> (32 - bits))
}

/// Where nothing is known of how code goes on.
fn unknown_flow(_: &[u8]) -> Option<(usize, Flow)> {
    None
}

/// Where nothing is known of how threads start.
fn unknown_start(_: &[u8], _: &[u8]) -> bool {
    false
}

/// Bytes of code that are looked at before and behind an address.
pub(crate) const CODE_BYTES: usize = 16;

/// No mapping begins or ends within so many bytes.
pub(crate) const PAGE_BYTES: usize = 4 << 10;

/// The patterns of an architecture, where it has any.
pub(crate) fn patterns(arch: Arch) -> Option<&'static CodePatterns> {
    match arch {
        Arch::X86_64 => Some(&x86_64::PATTERNS),
        Arch::I386 => Some(&i386::PATTERNS),
        Arch::Aarch64 => Some(&aarch64::PATTERNS),
        Arch::Arm => Some(&arm::PATTERNS),
        Arch::Ppc64le => Some(&ppc::PPC64LE),
        Arch::Ppc64 => Some(&ppc::PPC64),
        Arch::Ppc => Some(&ppc::PPC),
        Arch::Riscv64 => Some(&riscv64::PATTERNS),
        Arch::S390x => Some(&s390x::PATTERNS),
        _ => None,
    }
}

/// The code around `at`, as far as it can be read: (before, at).
pub(crate) struct CodeAround {
    bytes: [u8; 2 * CODE_BYTES],
    before: usize,
    behind: usize,
}

impl CodeAround {
    pub(crate) fn read(at: Addr, memory: &dyn Memory) -> Self {
        let mut bytes = [0; 2 * CODE_BYTES];
        // Where the bytes before it cannot be read, those of its own page still may.
        let in_page = (at.0 as usize % PAGE_BYTES).min(CODE_BYTES);
        for before in [CODE_BYTES, in_page, 0] {
            let start = Addr(at.0.wrapping_sub(before as u64));
            let read = memory.read_available(start, &mut bytes[CODE_BYTES - before..]);
            if let Some(behind) = read.checked_sub(before).filter(|_| read > 0) {
                return Self { bytes, before, behind };
            }
        }
        Self { bytes, before: 0, behind: 0 }
    }

    /// The same from the page that `at` lies in. `None` where a part lies in another page.
    pub(crate) fn in_page(at: Addr, page: &[u8; PAGE_BYTES]) -> Option<Self> {
        let start = (at.0 as usize % PAGE_BYTES).checked_sub(CODE_BYTES)?;
        let bytes = *page.get(start..)?.first_chunk()?;
        Some(Self { bytes, before: CODE_BYTES, behind: CODE_BYTES })
    }

    pub(crate) fn before(&self) -> &[u8] {
        &self.bytes[CODE_BYTES - self.before..CODE_BYTES]
    }

    pub(crate) fn at(&self) -> &[u8] {
        &self.bytes[CODE_BYTES..CODE_BYTES + self.behind]
    }
}

impl CodePatterns {
    /// The trampoline that begins at, or with `inside` goes on at, the code in the middle; and how far above
    /// sp its saved registers are.
    pub(crate) fn trampoline(&self, code: &CodeAround, inside: bool) -> Option<(&'static Trampoline, u16)> {
        let states = |trampoline: &Trampoline| if inside { trampoline.states.len() } else { 1 };
        self.trampolines.iter().find_map(|trampoline| {
            trampoline.states[..states(trampoline)].iter().find_map(|(done, above_sp)| {
                let (done, rest) = trampoline.code.split_at(usize::from(*done));
                (code.before().ends_with(done) && code.at().starts_with(rest))
                    .then_some((trampoline, *above_sp))
            })
        })
    }
}

#[cfg(test)]
mod foreign_tests;
#[cfg(test)]
mod tests;
