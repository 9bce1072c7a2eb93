//! The loop.

use prospect_process::{Addr, Arch, Memory, MemoryError, Registers};

use super::{
    RuleSource,
    rule::{Base, Kind, ReturnRule, Slot},
    stack_words::{AtHand, Big32, Big64, Copied, Little32, Little64, StackWords, WordFormat},
};
use crate::{CodeAddress, Implausible};

/// So often a walk may step down the stack: out of a signal handler on another stack. A stack that goes round in a
/// circle does so in each round.
const MOST_DESCENTS: usize = 16;

/// Where a walk begins: the registers that it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackPosition {
    /// The architecture.
    pub arch: Arch,
    /// The program counter.
    pub pc: Addr,
    /// The stack pointer.
    pub sp: Addr,
    /// The frame pointer's register, whatever the code keeps in it; `None` where it is not known.
    pub fp: Option<Addr>,
    /// The link register, where the architecture has one and it is known.
    pub link: Option<u64>,
}

impl StackPosition {
    /// The position of a thread with these registers; `None` when pc or sp is not known.
    #[must_use]
    pub fn of(registers: &Registers) -> Option<Self> {
        let info = registers.arch().info();
        let get = |id| registers.get(id);
        Some(Self {
            arch: registers.arch(),
            pc: registers.pc()?,
            sp: registers.sp()?,
            fp: get(info.fp).map(Addr),
            link: info.link.and_then(get),
        })
    }
}

/// What a walk found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Walked {
    /// How many addresses were written.
    pub count: usize,
    /// How many of them, from the first on, were found by what is known of the code. Those behind them were found by a
    /// frame pointer that the code may not have had.
    pub trusted: usize,
    /// Why there are no more.
    pub end: ReturnEnd,
}

impl Walked {
    /// Whether these are all frames of the thread, and none of them is a guess.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.end == ReturnEnd::Outermost && self.trusted == self.count
    }
}

/// Why a walk ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReturnEnd {
    /// The last frame has no caller.
    #[error("the outermost frame")]
    Outermost,
    /// There is no room for more.
    #[error("the limit on frames")]
    Limit,
    /// Nothing is known of the code there: no call frame information covers it, and there is no frame pointer that
    /// leads up the stack.
    #[error("nothing is known of the code at {0}")]
    NotCovered(Addr),
    /// The caller of the frame there depends on other registers than these walks have.
    #[error("the frame at {0} needs other registers")]
    Inexpressible(Addr),
    /// No code can run there.
    #[error("{0} is not in executable memory")]
    NotExecutable(Addr),
    /// The call frame information of the code there is broken.
    #[error("the call frame information of the code at {0} is broken")]
    Broken(Addr),
    /// A register that the frame at the address needs is not known.
    #[error("the frame at {at} needs register {register}, which is not known")]
    UnknownRegister {
        /// Where the frame is.
        at: Addr,
        /// The register's name.
        register: &'static str,
    },
    /// Memory that is needed cannot be read.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// There is an answer, but it cannot be true.
    #[error(transparent)]
    Implausible(#[from] Implausible),
}

/// Walks from a position, and writes the addresses of its frames into `into`, the innermost one first. It does not
/// allocate or wait, where `rules` and `memory` do not.
///
/// The stack is read from what `memory` has [at hand](Memory::at_hand); where it has nothing, in blocks that are
/// copied into `buffer`, and without a buffer word by word.
pub fn walk<M: Memory + ?Sized>(
    from: &StackPosition,
    mut rules: impl RuleSource,
    memory: &M,
    buffer: &mut [u8],
    into: &mut [CodeAddress],
) -> Walked {
    if let Some(words) = AtHand::find(memory, from.sp) {
        with_format(from, &mut rules, words, into)
    } else {
        with_format(from, &mut rules, Copied::new(memory, buffer), into)
    }
}

fn with_format(
    from: &StackPosition,
    rules: &mut impl RuleSource,
    words: impl StackWords,
    into: &mut [CodeAddress],
) -> Walked {
    let info = from.arch.info();
    match (info.word_bytes, info.big_endian) {
        (8, false) => Walk::<Little64, _>::new(from, words).run(rules, into),
        (8, true) => Walk::<Big64, _>::new(from, words).run(rules, into),
        (_, false) => Walk::<Little32, _>::new(from, words).run(rules, into),
        (_, true) => Walk::<Big32, _>::new(from, words).run(rules, into),
    }
}

/// A walk that is going on: the registers of the frame that it is at.
struct Walk<W, T> {
    arch: Arch,
    /// How far the canonical frame address is above the caller's sp.
    cfa_above_sp: u64,
    has_link: bool,
    words: T,
    code: CodeAddress,
    sp: u64,
    fp: Option<u64>,
    link: Option<u64>,
    /// Whether the frame was found by the frame pointer.
    is_guess: bool,
    descents: usize,
    format: std::marker::PhantomData<W>,
}

impl<W: WordFormat, T: StackWords> Walk<W, T> {
    fn new(from: &StackPosition, words: T) -> Self {
        let info = from.arch.info();
        Self {
            arch: from.arch,
            cfa_above_sp: info.cfa_above_sp.into(),
            has_link: info.link.is_some(),
            words,
            code: CodeAddress::Exact(Addr(from.pc.0 & W::MASK)),
            sp: from.sp.0 & W::MASK,
            fp: from.fp.map(|fp| fp.0 & W::MASK),
            link: from.link,
            is_guess: false,
            descents: 0,
            format: std::marker::PhantomData,
        }
    }

    #[inline]
    fn run(mut self, rules: &mut impl RuleSource, into: &mut [CodeAddress]) -> Walked {
        let mut trusted = None;
        let mut count = 0;
        let end = loop {
            let Some(place) = into.get_mut(count) else { break ReturnEnd::Limit };
            *place = self.code;
            count += 1;
            let rule = rules.rule(self.code);
            match self.step(&rule) {
                Ok(()) => {}
                Err(end) => {
                    // Nothing returns there, so it is no frame.
                    let is_frame =
                        matches!(self.code, CodeAddress::Exact(_)) || rule != ReturnRule::NOT_EXECUTABLE;
                    count -= usize::from(!is_frame);
                    break end;
                }
            }
            if rule.kind != Kind::Call {
                // Nothing called a signal trampoline: the handler returns to its start.
                if rule.kind == Kind::Signal {
                    *place = CodeAddress::Exact(place.addr());
                } else {
                    trusted.get_or_insert(count);
                }
            }
        };
        Walked { count, trusted: trusted.unwrap_or(count).min(count), end }
    }

    /// Goes on to the caller.
    #[inline]
    fn step(&mut self, rule: &ReturnRule) -> Result<(), ReturnEnd> {
        let cfa = match rule.base {
            Base::Sp => self.sp.wrapping_add_signed(rule.cfa_offset.into()),
            Base::Fp => self.fp(rule)?.wrapping_add_signed(rule.cfa_offset.into()),
            _ => self.unusual_cfa(rule)?,
        };
        let cfa = cfa & W::MASK;
        let pc = match rule.pc {
            Slot::Cfa => self.word(cfa, rule.pc_offset)?,
            slot => self.unusual_pc(rule, slot)?,
        };
        let pc = if self.has_link { self.arch.info().code_address(pc) } else { pc };
        let sp = cfa.wrapping_sub(self.cfa_above_sp) & W::MASK;
        if rule.kind == Kind::Call {
            let is_same = sp == self.sp && matches!(self.code, CodeAddress::Exact(_));
            if sp <= self.sp && !is_same {
                return Err(self.not_above(sp));
            }
            if pc == 0 {
                return Err(ReturnEnd::Outermost);
            }
            self.code = CodeAddress::ReturnAddress(Addr(pc));
            self.is_guess = false;
        } else {
            self.check_unusual(rule, pc, sp)?;
        }
        match rule.fp {
            Slot::Kept => {}
            Slot::Cfa => self.fp = self.word(cfa, rule.fp_offset).ok(),
            Slot::Sp => self.fp = self.word(self.sp, rule.fp_offset).ok(),
            Slot::Fp => self.fp = self.fp.and_then(|fp| self.word(fp, rule.fp_offset).ok()),
            Slot::Lost => self.fp = None,
        }
        if self.has_link {
            let saved = (rule.kind == Kind::Signal).then(|| self.word(self.sp, rule.link_offset).ok());
            self.link = saved.flatten();
        }
        self.sp = sp;
        Ok(())
    }

    #[inline]
    fn word(&mut self, base: u64, offset: i16) -> Result<u64, MemoryError> {
        self.words.word::<W>(self.arch, base.wrapping_add_signed(offset.into()) & W::MASK)
    }

    #[inline]
    fn fp(&self, rule: &ReturnRule) -> Result<u64, ReturnEnd> {
        let Some(fp) = self.fp else { return Err(self.unknown(self.arch.info().fp)) };
        if rule.kind == Kind::Guess {
            // The first function of a thread is entered with 0, and saves it.
            if fp == 0 && self.is_guess {
                return Err(ReturnEnd::Outermost);
            }
            if fp < self.sp || !fp.is_multiple_of(u64::from(self.arch.info().word_bytes)) {
                return Err(ReturnEnd::NotCovered(self.code.addr()));
            }
        }
        Ok(fp)
    }

    #[cold]
    fn unusual_cfa(&mut self, rule: &ReturnRule) -> Result<u64, ReturnEnd> {
        let at = self.code.addr();
        let offset = rule.cfa_offset.into();
        let plus = rule.cfa_plus.into();
        let base = match rule.base {
            Base::Sp | Base::SavedAtSp | Base::LinkageTable => self.sp,
            Base::Fp | Base::SavedAtFp => self.fp(rule)?,
            Base::None => {
                return Err(match rule.kind {
                    Kind::Outermost => ReturnEnd::Outermost,
                    Kind::NotExecutable => ReturnEnd::NotExecutable(at),
                    Kind::Broken => ReturnEnd::Broken(at),
                    Kind::Inexpressible => ReturnEnd::Inexpressible(at),
                    _ => ReturnEnd::NotCovered(at),
                });
            }
        };
        let address = base.wrapping_add_signed(offset) & W::MASK;
        Ok(match rule.base {
            Base::SavedAtSp | Base::SavedAtFp => {
                self.words.word::<W>(self.arch, address)?.wrapping_add_signed(plus)
            }
            Base::LinkageTable if at.0 & 15 >= rule.link_offset as u64 => address.wrapping_add_signed(plus),
            _ => address,
        })
    }

    #[cold]
    fn unusual_pc(&mut self, rule: &ReturnRule, slot: Slot) -> Result<u64, ReturnEnd> {
        Ok(match slot {
            Slot::Sp => self.word(self.sp, rule.pc_offset)?,
            Slot::Fp => {
                let fp = self.fp(rule)?;
                self.word(fp, rule.pc_offset)?
            }
            _ => {
                let info = self.arch.info();
                self.link.ok_or_else(|| self.unknown(info.link.unwrap_or(info.pc)))?
            }
        })
    }

    /// Whether the caller of a signal's frame, or one that was found by the frame pointer, can be true.
    #[cold]
    fn check_unusual(&mut self, rule: &ReturnRule, pc: u64, sp: u64) -> Result<(), ReturnEnd> {
        if rule.kind == Kind::Signal {
            // What was interrupted may run on any stack.
            self.descents += usize::from(sp <= self.sp);
            if self.descents > MOST_DESCENTS {
                return Err(Implausible::Circle { pc: Addr(pc), sp: Addr(sp) }.into());
            }
            self.code = CodeAddress::Exact(Addr(pc));
            self.is_guess = false;
            return Ok(());
        }
        if sp <= self.sp {
            return Err(self.not_above(sp));
        }
        if pc == 0 {
            // Zeros are everywhere: it is the mark of the outermost frame at the end of a chain only.
            let is_end = self.is_guess || rule.base != Base::Fp;
            return Err(if is_end { ReturnEnd::Outermost } else { ReturnEnd::NotCovered(self.code.addr()) });
        }
        self.code = CodeAddress::ReturnAddress(Addr(pc));
        self.is_guess = true;
        Ok(())
    }

    #[cold]
    fn not_above(&self, sp: u64) -> ReturnEnd {
        Implausible::NotAbove { callee: Addr(self.sp), caller: Addr(sp) }.into()
    }

    #[cold]
    fn unknown(&self, id: prospect_process::RegisterId) -> ReturnEnd {
        ReturnEnd::UnknownRegister { at: self.code.addr(), register: self.arch.info().register(id).name }
    }
}
