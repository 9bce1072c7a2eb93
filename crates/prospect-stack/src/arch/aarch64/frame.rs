//! Prologues and epilogues in all of a function.

use std::collections::HashMap;

use super::{super::Flow, flow};
use crate::{FrameKind, FrameProgress, FrameState};

/// The frame of the instruction that the byte at `offset` of a function is part of.
///
/// The function is decoded from its start to its end. Its frame is standard where fp and the link register are saved
/// as a pair, and fp then points to that.
pub(super) fn frame_in(code: &[u8], offset: usize) -> Option<FrameState> {
    let (mut kind, mut now, mut body) = (FrameKind::None, FrameProgress::Unset, FrameProgress::Unset);
    let mut targets = HashMap::new();
    let mut found = None;
    for (index, bytes) in code.chunks_exact(4).enumerate() {
        let word = u32::from_le_bytes(*bytes.first_chunk()?);
        let at = 4 * index as i64;
        if index == offset / 4 {
            found = Some(now);
        }
        if saves_pair(word) && now == FrameProgress::Unset {
            now = FrameProgress::HalfSet;
            if kind == FrameKind::None {
                (kind, body) = (FrameKind::SavedFpOnly, now);
            }
        } else if sets_fp(word) && now == FrameProgress::HalfSet {
            now = FrameProgress::Set;
            (kind, body) = (FrameKind::Standard, now);
        } else if restores_pair(word) {
            now = FrameProgress::Unset;
        }
        let flow = flow(word);
        if let Flow::Branch(to) | Flow::Jump(to) = flow {
            targets.entry(at.saturating_add(to)).or_insert(now);
        }
        let ends = matches!(flow, Flow::Jump(_) | Flow::Away | Flow::End);
        now = targets.get(&(at + 4)).copied().unwrap_or(if ends { body } else { now });
    }
    let progress = match (kind, found?) {
        (FrameKind::SavedFpOnly, FrameProgress::HalfSet) => FrameProgress::Set,
        (_, progress) => progress,
    };
    Some(FrameState { kind, progress })
}

/// `stp x29, x30, [sp, #n]`, also with `!`.
fn saves_pair(word: u32) -> bool {
    matches!(word & 0xffc0_7fff, 0xa980_7bfd | 0xa900_7bfd)
}

/// `ldp x29, x30, [sp, #n]`, also `ldp x29, x30, [sp], #n`.
fn restores_pair(word: u32) -> bool {
    matches!(word & 0xffc0_7fff, 0xa940_7bfd | 0xa8c0_7bfd)
}

/// `add x29, sp, #n`, of which `mov x29, sp` is one.
fn sets_fp(word: u32) -> bool {
    word & 0xffc0_03ff == 0x9100_03fd
}
