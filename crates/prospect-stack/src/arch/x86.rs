//! Code that both x86 architectures write alike.

mod frame;

use iced_x86::{Decoder, DecoderOptions, FlowControl, Mnemonic};

pub(super) use frame::frame_in;

use super::{Call, Flow};
use crate::FrameProgress;

/// `endbr64` and `endbr32`: where indirect calls land.
const LANDING_PADS: [[u8; 4]; 2] = [[0xf3, 0x0f, 0x1e, 0xfa], [0xf3, 0x0f, 0x1e, 0xfb]];
/// `push %rbp` or `push %ebp`.
const PUSH_FP: u8 = 0x55;
/// `pop %rbp` or `pop %ebp`.
const POP_FP: u8 = 0x5d;

/// How far the frame is set up, where the code is a prologue that pushes the frame pointer and then makes it
/// `set_fp`, or an epilogue.
pub(super) fn progress(before: &[u8], at: &[u8], set_fp: &[&[u8]]) -> FrameProgress {
    let sets_fp = |code: &[u8]| set_fp.iter().any(|set_fp| code.starts_with(set_fp));
    let entry = LANDING_PADS.iter().find_map(|pad| at.strip_prefix(pad)).unwrap_or(at);
    match (entry, at) {
        ([PUSH_FP, rest @ ..], _) if sets_fp(rest) => FrameProgress::Unset,
        _ if returns(at) => FrameProgress::Unset,
        (_, [POP_FP, rest @ ..]) if returns(rest) => FrameProgress::HalfSet,
        _ if sets_fp(at) && before.last() == Some(&PUSH_FP) => FrameProgress::HalfSet,
        _ => FrameProgress::Unknown,
    }
}

/// Whether the code is a `ret`, `rep ret` or `ret $n`.
fn returns(code: &[u8]) -> bool {
    matches!(code, [0xc3 | 0xc2, ..] | [0xf3, 0xc3, ..])
}

/// The call that ends here (Intel's manual, volume 2, CALL: `e8 rel32` and `ff /2`), or a `nop` that stands
/// for one: Go lets goroutines return to the second byte of `nop; call`. `relative` says whether an operand
/// without base is relative to the instruction (64 bits) or absolute.
pub(super) fn call(before: &[u8], at: &[u8], relative: bool) -> Option<Call> {
    let from_end = |length: usize| before.len().checked_sub(length).and_then(|start| before.get(start..));
    if let Some([0xe8, target @ ..]) = from_end(5) {
        return Some(Call::Relative(displacement(target)?));
    }
    let is_indirect = |code: &&[u8]| {
        code[0] == 0xff && code[1] >> 3 & 7 == 2 && 1 + operand_bytes(&code[1..]) == code.len()
    };
    match (2..=7).filter_map(from_end).find(is_indirect) {
        Some([0xff, 0x15, word @ ..]) => Some(through(displacement(word)?, relative)),
        Some(_) => Some(Call::Unknown),
        None => (before.last() == Some(&0x90) && at.first() == Some(&0xe8)).then_some(Call::Unknown),
    }
}

/// How code of so many bits goes on behind its first instruction.
pub(super) fn flow(code: &[u8], bits: u32) -> Option<(usize, Flow)> {
    let decoded = Decoder::new(bits, code, DecoderOptions::NONE).decode();
    // As numbers of so many bits, relative to an instruction at 0.
    let target = || (decoded.near_branch_target() as i64) << (64 - bits) >> (64 - bits);
    let flow = match decoded.flow_control() {
        _ if decoded.is_invalid() => return None,
        _ if matches!(decoded.mnemonic(), Mnemonic::Syscall | Mnemonic::Int) => Flow::Next,
        FlowControl::Next => Flow::Next,
        FlowControl::Call | FlowControl::IndirectCall => Flow::Call,
        FlowControl::IndirectBranch if decoded.op0_kind() == iced_x86::OpKind::Register => Flow::Away,
        FlowControl::ConditionalBranch => Flow::Branch(target()),
        FlowControl::UnconditionalBranch => Flow::Jump(target()),
        _ => Flow::End,
    };
    Some((decoded.len(), flow))
}

/// Whether goroutines return to this place, the second byte of Go's `runtime.goexit` (`src/runtime/asm_amd64.s`,
/// `asm_386.s`): `nop; call runtime.goexit1; nop`, and what fills the room behind it. Nothing else returns to a place
/// behind a `nop`.
pub(super) fn is_goexit(before: &[u8], at: &[u8]) -> bool {
    let is_behind_nop = matches!(before, [.., 0x90]) && call(before, &[], false).is_none();
    is_behind_nop && matches!(at, [0xe8, _, _, _, _, 0x90, 0xcc, ..])
}

/// The jump that code at an address begins with: `e9 rel32`, `eb rel8`, `ff 25 disp32`, after a landing pad
/// or a prefix.
pub(super) fn jump(at: &[u8], relative: bool) -> Option<Call> {
    let mut code = LANDING_PADS.iter().find_map(|pad| at.strip_prefix(pad)).unwrap_or(at);
    code = code.strip_prefix(&[0xf2]).unwrap_or(code);
    let skipped = (at.len() - code.len()) as i64;
    match code {
        [0xe9, rest @ ..] => Some(Call::Relative(skipped + 5 + displacement(rest)?)),
        [0xeb, target, ..] => Some(Call::Relative(skipped + 2 + i64::from(target.cast_signed()))),
        [0xff, 0x25, rest @ ..] if relative => Some(Call::ThroughRelative(skipped + 6 + displacement(rest)?)),
        [0xff, 0x25, rest @ ..] => Some(through(displacement(rest)?, false)),
        // `jmp *disp(%ebx)`: position-independent code has the address of its table there.
        [0xff, 0xa3, ..] if !relative => Some(Call::Unknown),
        _ => None,
    }
}

fn through(displacement: i64, relative: bool) -> Call {
    // An absolute address is as wide as the displacement, and has no sign.
    if relative { Call::ThroughRelative(displacement) } else { Call::Through(u64::from(displacement as u32)) }
}

fn displacement(bytes: &[u8]) -> Option<i64> {
    Some(i64::from(i32::from_le_bytes(*bytes.first_chunk()?)))
}

/// The length of a ModRM byte with all that belongs to it (Intel's manual, volume 2, section 2.1.5).
fn operand_bytes(code: &[u8]) -> usize {
    let (mode, register) = (code[0] >> 6, code[0] & 7);
    let has_sib = mode != 3 && register == 4;
    let sib_base = code.get(1).map_or(0, |sib| sib & 7);
    let displacement = match mode {
        0 if register == 5 || (has_sib && sib_base == 5) => 4,
        1 => 1,
        2 => 4,
        _ => 0,
    };
    1 + usize::from(has_sib) + displacement
}
