//! Prologues and epilogues in all of a function.

use std::collections::HashMap;

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register};

use crate::{FrameKind, FrameProgress, FrameState};

/// What is followed from one instruction to the next.
#[derive(Clone, Copy)]
struct State {
    progress: FrameProgress,
    /// How far sp is below the return address; `None` where that is not known.
    depth: Option<i64>,
}

struct Sweep {
    sp: Register,
    fp: Register,
    word: i64,
    kind: FrameKind,
    now: State,
    /// The state in which code is that nothing before it leads to.
    body: State,
    /// How far below the return address the frame pointer is saved.
    saved_at: Option<i64>,
    /// The state at places that were jumped to from before them.
    targets: HashMap<u64, State>,
}

/// The frame of the instruction that the byte at `offset` of a function is part of. `None` where that is none.
///
/// The function is decoded from its start to its end. A frame is standard where the first word below the return
/// address is the frame pointer, and then sp becomes the frame pointer.
pub(in crate::arch) fn frame_in(code: &[u8], offset: usize, bits: u32) -> Option<FrameState> {
    let is_wide = bits == 64;
    let entry = State { progress: FrameProgress::Unset, depth: Some(0) };
    let mut sweep = Sweep {
        sp: if is_wide { Register::RSP } else { Register::ESP },
        fp: if is_wide { Register::RBP } else { Register::EBP },
        word: i64::from(bits / 8),
        kind: FrameKind::None,
        now: entry,
        body: entry,
        saved_at: None,
        targets: HashMap::new(),
    };
    let mut found = None;
    let mut decoder = Decoder::new(bits, code, DecoderOptions::NONE);
    let mut decoded = Instruction::default();
    while decoder.can_decode() {
        decoder.decode_out(&mut decoded);
        if (decoded.ip()..decoded.next_ip()).contains(&(offset as u64)) {
            found = Some(sweep.now.progress);
        }
        sweep.effect(&decoded);
        sweep.flow(&decoded);
    }
    let progress = match (sweep.kind, found?) {
        (FrameKind::SavedFpOnly, FrameProgress::HalfSet) => FrameProgress::Set,
        (_, progress) => progress,
    };
    Some(FrameState { kind: sweep.kind, progress })
}

impl Sweep {
    fn effect(&mut self, decoded: &Instruction) {
        let is = |operand: u32, register: Register| {
            decoded.op_kind(operand) == OpKind::Register && decoded.op_register(operand) == register
        };
        let is_unset = self.now.progress == FrameProgress::Unset;
        match decoded.mnemonic() {
            Mnemonic::Push => {
                // A copy of the return address, below which the stack is aligned.
                let is_copy = self.now.depth.is_none() && decoded.op_kind(0) == OpKind::Memory;
                if is_copy {
                    self.now.depth = Some(0)
                } else {
                    self.grow(self.word)
                }
                if is(0, self.fp) && is_unset {
                    self.saved(self.now.depth);
                }
            }
            Mnemonic::Pop => {
                self.grow(-self.word);
                if is(0, self.fp) {
                    self.now.progress = FrameProgress::Unset;
                }
            }
            Mnemonic::Sub if is(0, self.sp) => self.grow(immediate(decoded).unwrap_or(i64::MAX)),
            Mnemonic::Add if is(0, self.sp) => self.grow(-immediate(decoded).unwrap_or(i64::MAX)),
            Mnemonic::And | Mnemonic::Lea if is(0, self.sp) => self.now.depth = None,
            Mnemonic::Mov if is(0, self.fp) && is(1, self.sp) => {
                let is_frame = self.now.depth == Some(self.word) && self.saved_at == self.now.depth;
                if self.now.progress == FrameProgress::HalfSet && is_frame {
                    self.now.progress = FrameProgress::Set;
                    (self.kind, self.body) = (FrameKind::Standard, self.now);
                }
            }
            // Saved, or given back, without a push or a pop.
            Mnemonic::Mov if is(1, self.fp) && is_unset => {
                if let Some(at) = self.slot(decoded) {
                    self.saved(Some(at));
                }
            }
            Mnemonic::Mov
                if is(0, self.fp)
                    && self.kind == FrameKind::SavedFpOnly
                    && self.slot(decoded).is_some_and(|at| Some(at) == self.saved_at) =>
            {
                self.now.progress = FrameProgress::Unset;
            }
            Mnemonic::Leave => self.now = State { progress: FrameProgress::Unset, depth: Some(0) },
            _ => {}
        }
    }

    fn flow(&mut self, decoded: &Instruction) {
        let ends = match decoded.flow_control() {
            FlowControl::ConditionalBranch => {
                self.leads_to(decoded.near_branch_target());
                false
            }
            FlowControl::UnconditionalBranch => {
                self.leads_to(decoded.near_branch_target());
                true
            }
            FlowControl::Return | FlowControl::IndirectBranch => true,
            _ => matches!(decoded.mnemonic(), Mnemonic::Hlt | Mnemonic::Ud2),
        };
        // Paths that meet have the same frame.
        let known = self.targets.get(&decoded.next_ip()).copied();
        self.now = known.unwrap_or(if ends { self.body } else { self.now });
    }

    fn saved(&mut self, at: Option<i64>) {
        if self.kind == FrameKind::None {
            self.kind = FrameKind::SavedFpOnly;
        }
        self.saved_at = at;
        self.now.progress = FrameProgress::HalfSet;
        if self.kind == FrameKind::SavedFpOnly {
            self.body = self.now;
        }
    }

    fn grow(&mut self, bytes: i64) {
        self.now.depth = self.now.depth.and_then(|depth| depth.checked_add(bytes));
        if self.body.progress == self.now.progress {
            self.body.depth = self.now.depth;
        }
    }

    /// How far below the return address the operand in memory is, where it is relative to sp.
    fn slot(&self, decoded: &Instruction) -> Option<i64> {
        let is_plain = decoded.memory_base() == self.sp && decoded.memory_index() == Register::None;
        self.now.depth.filter(|_| is_plain)?.checked_sub(decoded.memory_displacement64() as i64)
    }

    fn leads_to(&mut self, target: u64) {
        self.targets.entry(target).or_insert(self.now);
    }
}

fn immediate(decoded: &Instruction) -> Option<i64> {
    decoded.try_immediate(1).ok().map(|value| value as i64)
}
