//! The floating point and vector registers that the kernel saved when it delivered a signal.

use prospect_process::{Addr, Arch};
use prospect_stack::{Frame, Trust};

use crate::frame_view::Scene;

/// Where `uc_mcontext.fpstate` is in a `struct ucontext` of x86_64 (<asm/ucontext.h>, <asm/sigcontext.h>).
const STATE_POINTER: u64 = 40 + 184;

/// What `XSAVE` writes up to the upper halves of the AVX registers, and without those.
const LENGTHS: [usize; 2] = [576 + 256, 512];

/// Where the kernel notes that more than the first 512 bytes are there, and with which number (<asm/sigcontext.h>,
/// `struct _fpx_sw_bytes`).
const MAGIC_AT: usize = 464;
const MAGIC: [u8; 4] = 0x4650_5853_u32.to_le_bytes();

/// The bytes of [`X86_EXTENDED`](prospect_process::RegisterSet::X86_EXTENDED) of a frame that a signal interrupted, with the
/// frame of the trampoline to which its handler returns.
pub(crate) fn register_set(scene: Scene<'_>, interrupted: &Frame, trampoline: &Frame) -> Option<Vec<u8>> {
    let registers = &trampoline.registers;
    if interrupted.trust != Trust::SignalFrame || registers.arch() != Arch::X86_64 {
        return None;
    }
    // The handler has popped its return address, so that the context is on top of the stack.
    let memory = scene.process.memory();
    let context = registers.sp()?;
    let state = Addr(memory.read_word(Arch::X86_64, context.wrapping_add(STATE_POINTER)).ok()?);
    LENGTHS.into_iter().find_map(|length| {
        let mut bytes = vec![0; length];
        memory.read(state, &mut bytes).ok()?;
        let is_whole = length == 512 || bytes[MAGIC_AT..MAGIC_AT + 4] == MAGIC;
        is_whole.then_some(bytes)
    })
}
