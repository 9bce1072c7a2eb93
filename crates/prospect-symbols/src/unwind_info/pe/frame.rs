//! A frame that is taken down step by step, as unwind codes say.

use std::ops::Range;

use prospect_process::{Arch, ArchInfo, LinkAddr, RegisterId};

use super::{CfaRule, RegisterRule, UnwindRow};

/// What is known of a frame. Places in it are distances from where the stack pointer is, or would be if no room had been
/// taken on the way.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    arch: Arch,
    /// Where the stack pointer is by now: that of the caller in the end.
    pub(super) position: i64,
    /// The frame pointer, and where it points to.
    pub(super) base: Option<(RegisterId, i64)>,
    /// Registers that were saved, and where.
    saved: Vec<(RegisterId, i64)>,
    /// Whether the return address is signed.
    pub(super) signed: bool,
    /// Whether the processor, or the system, saved everything here: there was no call.
    pub(super) interrupted: bool,
}

impl Frame {
    /// One of which nothing is known.
    pub(super) fn of(arch: Arch) -> Self {
        Self { arch, position: 0, base: None, saved: Vec::new(), signed: false, interrupted: false }
    }

    pub(super) fn info(&self) -> &'static ArchInfo {
        self.arch.info()
    }

    /// Takes note of where a register was saved. What is further out counts: it was saved earlier.
    pub(super) fn save(&mut self, id: RegisterId, at: i64) {
        self.saved.retain(|(known, _)| *known != id);
        self.saved.push((id, at));
    }

    /// The row that follows.
    pub(super) fn row(self, range: Range<LinkAddr>) -> UnwindRow {
        let info = self.info();
        let mut row = UnwindRow::new();
        row.range = range;
        let (base, at) = self.base.unwrap_or((info.sp, 0));
        row.cfa = CfaRule::Register(base, self.position - at);
        row.return_address = if self.interrupted { info.pc } else { info.link.unwrap_or(info.pc) };
        row.signal_frame = self.interrupted;
        row.signed_return_address = self.signed;
        let cfa = self.position;
        row.rules.extend(self.saved.iter().map(|(id, at)| (*id, RegisterRule::AtCfa(at - cfa))));
        let is_saved = |id: RegisterId| self.saved.iter().any(|(known, _)| *known == id);
        if info.link.is_none() && !is_saved(info.pc) {
            row.rules.push((info.pc, RegisterRule::AtCfa(-i64::from(info.word_bytes))));
        }
        // Windows has its callees preserve more than the psABI does that the architecture's table follows.
        for id in preserved_by_windows(self.arch) {
            if !is_saved(*id) {
                row.rules.push((*id, RegisterRule::SameValue));
            }
        }
        row
    }
}

/// rsi and rdi (Microsoft, "x64 calling convention", "Caller/callee saved registers").
fn preserved_by_windows(arch: Arch) -> &'static [RegisterId] {
    match arch {
        Arch::X86_64 => &[RegisterId(4), RegisterId(5)],
        _ => &[],
    }
}
