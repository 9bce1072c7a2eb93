//! The floating point and vector registers that the kernel saved when it delivered a signal.

use prospect_process::{Addr, Arch, Memory};
use prospect_stack::{Frame, Trust};

use crate::frame_view::Scene;

/// Where `uc_mcontext.fpstate` is in a `struct ucontext` of x86_64 (<asm/ucontext.h>, <asm/sigcontext.h>).
const STATE_POINTER: u64 = 40 + 184;

/// What `FXSAVE` writes, which is always there.
const LEGACY_BYTES: usize = 512;

/// Where the kernel notes that more than those are there, and with which number, and how many with them (<asm/sigcontext.h>,
/// `struct _fpx_sw_bytes`).
const MAGIC_AT: usize = 464;
const MAGIC: [u8; 4] = 0x4650_5853_u32.to_le_bytes();
const LENGTH_AT: usize = MAGIC_AT + 16;

/// Nobody has more.
const MOST_BYTES: usize = 16 << 10;

/// The bytes of [`X86_EXTENDED`](prospect_process::RegisterSet::X86_EXTENDED) of a frame that a signal interrupted, with the
/// frame of the trampoline to which its handler returns.
pub(crate) fn register_set(scene: Scene<'_>, interrupted: &Frame, trampoline: &Frame) -> Option<Vec<u8>> {
    let registers = &trampoline.registers;
    if interrupted.trust != Trust::SignalFrame || registers.arch() != Arch::X86_64 {
        return None;
    }
    // The handler has popped its return address, so that the context is on top of the stack.
    extended_state(scene.process.memory(), registers.sp()?)
}

/// The same of the `struct ucontext` at `context`.
pub(crate) fn extended_state(memory: &dyn Memory, context: Addr) -> Option<Vec<u8>> {
    let state = Addr(memory.read_word(Arch::X86_64, context.wrapping_add(STATE_POINTER)).ok()?);
    let read = |length: usize| {
        let mut bytes = vec![0; length];
        memory.read(state, &mut bytes).ok()?;
        Some(bytes)
    };
    let legacy = read(LEGACY_BYTES)?;
    let word = |at: usize| legacy.get(at..at + 4);
    let length = word(LENGTH_AT).and_then(|bytes| Arch::X86_64.info().unsigned(bytes));
    let length = length.and_then(|length| usize::try_from(length).ok());
    let length = length.filter(|length| (LEGACY_BYTES..=MOST_BYTES).contains(length));
    let whole = length.filter(|_| word(MAGIC_AT) == Some(&MAGIC[..])).and_then(read);
    Some(whole.unwrap_or(legacy))
}
