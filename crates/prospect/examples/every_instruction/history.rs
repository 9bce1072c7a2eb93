//! What the thread has called and not returned from, known from the instructions that it ran and not from
//! unwinding: the truth that walks are held against.

use prospect::{
    live::StepStop,
    process::{Addr, Arch, Memory, Registers},
    stack::Stack,
};

/// Something that the thread will come back to.
#[derive(Clone, Debug)]
enum Pending {
    /// Behind a call.
    Return {
        to: Addr,
        left: Left,
        /// The registers before the call, where that was seen.
        before: Option<Registers>,
    },
    /// Where a signal interrupted it.
    Interrupted(Registers),
}

/// When a call is over.
#[derive(Clone, Copy, Debug)]
enum Left {
    /// When sp is above where the return address lies.
    Above(Addr),
    /// Where the return address is in a register: when sp is above this, or there again behind the call.
    Back(Addr),
    /// When it is returned to.
    There,
}

impl Left {
    fn is_over(self, to: Addr, sp: Addr, pc: Option<Addr>) -> bool {
        match self {
            Self::Above(slot) => sp > slot,
            Self::Back(at_call) => sp > at_call || sp == at_call && pc == Some(to),
            Self::There => pc == Some(to),
        }
    }
}

/// The calls and signals that are under way, the oldest first.
#[derive(Debug)]
pub(crate) struct CallHistory {
    pending: Vec<Pending>,
}

/// What the instructions that matter here do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Call,
    SystemCall,
    Other,
}

impl CallHistory {
    /// What a walk says of a thread before its first step: it waits in a place that is easy to walk from.
    pub(crate) fn from_stack(stack: &Stack) -> Option<Self> {
        let info = stack.innermost()?.registers.arch().info();
        let pairs = stack.frames.windows(2);
        let pending = pairs.map(|pair| {
            let left = match info.link {
                Some(_) => Left::Back(pair[0].cfa?),
                None => Left::Above(Addr(pair[0].cfa?.0.wrapping_sub(info.word_bytes.into()))),
            };
            Some(Pending::Return { to: pair[1].code.addr(), left, before: None })
        });
        let mut pending = pending.collect::<Option<Vec<_>>>()?;
        pending.reverse();
        Some(Self { pending })
    }

    /// Takes note of one step: from `before`, at an instruction of this kind, to `after`.
    pub(crate) fn note(
        &mut self,
        (before, kind): (&Registers, Kind),
        (stop, after): (StepStop, &Registers),
        memory: &dyn Memory,
    ) -> Option<()> {
        let (sp, info) = (after.sp()?, before.arch().info());
        let word = u64::from(info.word_bytes);
        if stop == StepStop::Handler {
            self.pending.push(Pending::Interrupted(*before));
            // The kernel has the handler return to a trampoline.
            let (to, left) = match info.link {
                Some(link) => (Addr(after.get(link)?), Left::There),
                None => (Addr(memory.read_word(after.arch(), sp).ok()?), Left::Above(sp)),
            };
            self.pending.push(Pending::Return { to, left, before: None });
            return Some(());
        }
        if stop != StepStop::Instruction {
            return Some(());
        }
        if kind == Kind::SystemCall && is_return_from_signal(before) {
            while !matches!(self.pending.pop()?, Pending::Interrupted(_)) {}
            return Some(());
        }
        let called = match (kind, info.link) {
            (Kind::Call, Some(link)) => Some((Addr(after.get(link)?), Left::Back(sp))),
            (Kind::Call, None) if sp.0 == before.sp()?.0.wrapping_sub(word) => {
                let to = Addr(memory.read_word(after.arch(), sp).ok()?);
                // A call of the next instruction is how i386 code learns where it is.
                (Some(to) != after.pc()).then_some((to, Left::Above(sp)))
            }
            _ => None,
        };
        if let Some((to, left)) = called {
            // Who calls has saved the link register below: what was called from here before never came back.
            while let (Left::Back(sp), Some(Pending::Return { left: Left::Back(at_call), .. })) =
                (left, self.pending.last())
                && *at_call == sp
            {
                self.pending.pop();
            }
            self.pending.push(Pending::Return { to, left, before: Some(*before) });
            return Some(());
        }
        while let Some(Pending::Return { to, left, .. }) = self.pending.last()
            && left.is_over(*to, sp, after.pc())
        {
            self.pending.pop();
        }
        Some(())
    }

    /// Where the thread is and will come back to, innermost first.
    pub(crate) fn addresses(&self, pc: Addr) -> impl Iterator<Item = Addr> {
        let comes_back = self.pending.iter().rev().map(|pending| match pending {
            Pending::Return { to, .. } => *to,
            Pending::Interrupted(registers) => registers.pc().unwrap_or_default(),
        });
        std::iter::once(pc).chain(comes_back)
    }

    /// What the caller's preserved registers are, where its call was seen; sp is what it will be after the return.
    pub(crate) fn caller_registers(&self) -> Option<Registers> {
        match self.pending.last()? {
            Pending::Return { before, .. } => *before,
            Pending::Interrupted(registers) => Some(*registers),
        }
    }
}

/// Whether a system call is the one that a signal trampoline makes (Linux `arch/x86/entry/syscalls/`,
/// `include/uapi/asm-generic/unistd.h`).
fn is_return_from_signal(registers: &Registers) -> bool {
    let number = |name| registers.known().find(|(row, _)| row.name == name).map(|(_, value)| value);
    match registers.arch() {
        Arch::X86_64 => number("rax") == Some(15),
        Arch::Aarch64 => number("x8") == Some(139),
        _ => matches!(number("eax"), Some(119 | 173)),
    }
}

/// The kind of the instruction at `pc`, by its bytes (Intel SDM, volume 2, chapter 2).
pub(crate) fn kind_at(pc: Addr, arch: Arch, memory: &dyn Memory) -> Kind {
    const PREFIXES: [u8; 11] = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3];
    let mut code = [0; 15];
    let read = memory.read_available(pc, &mut code);
    if arch == Arch::Aarch64 {
        return aarch64_kind(u32::from_le_bytes([code[0], code[1], code[2], code[3]]));
    }
    let is_prefix = |byte: u8| PREFIXES.contains(&byte) || (arch == Arch::X86_64 && byte & 0xf0 == 0x40);
    let start = code[..read].iter().position(|byte| !is_prefix(*byte)).unwrap_or(read);
    match code[start..read] {
        [0xe8, ..] => Kind::Call,
        [0xff, operand, ..] if operand >> 3 & 7 == 2 => Kind::Call,
        [0x0f, 0x05 | 0x34, ..] | [0xcd, 0x80, ..] => Kind::SystemCall,
        _ => Kind::Other,
    }
}

/// The kind of an instruction of AArch64: `bl`, `blr` and its kin with authentication, `svc` (Arm ARM, C4.1).
fn aarch64_kind(word: u32) -> Kind {
    match word {
        _ if word & 0xfc00_0000 == 0x9400_0000 || word & 0xfeff_f000 == 0xd63f_0000 => Kind::Call,
        _ if word & 0xffe0_001f == 0xd400_0001 => Kind::SystemCall,
        _ => Kind::Other,
    }
}
