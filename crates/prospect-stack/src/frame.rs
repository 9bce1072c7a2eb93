//! One frame of a stack.

use std::fmt;

use prospect_process::{Addr, Arch, Registers};

use crate::{FrameRegisters, Location, StepError};

/// An address of code, and what it means.
///
/// After a call, pc is the instruction *behind* it, which may belong to another line, another inlined
/// function or, behind a call that never returns, another function. The type keeps the two apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CodeAddress {
    /// The next instruction to run: of the innermost frame, or of one that a signal interrupted.
    Exact(Addr),
    /// The address that a call will return to.
    ReturnAddress(Addr),
}

impl CodeAddress {
    /// The address itself.
    #[must_use]
    pub fn addr(self) -> Addr {
        match self {
            Self::Exact(addr) | Self::ReturnAddress(addr) => addr,
        }
    }

    /// An address inside the instruction that is running: what unwind rows, functions and lines are
    /// looked up by.
    #[must_use]
    pub fn for_lookup(self) -> Addr {
        match self {
            Self::Exact(addr) => addr,
            Self::ReturnAddress(addr) => Addr(addr.0.wrapping_sub(1)),
        }
    }
}

/// How far a frame is to be believed, from a guess to certainty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Trust {
    /// A word on the stack that looks like a return address.
    Scanned,
    /// A word on the stack behind a call that leads to the function of the frame stepped from. An earlier call of it may
    /// have left it.
    ScannedCall,
    /// The frame pointer, in code of which it is not known that it keeps one.
    FramePointer,
    /// What the code at pc does with the stack.
    Analysed,
    /// Call frame information, which the compiler wrote for this very purpose.
    CallFrameInfo,
    /// Registers that the kernel saved when it delivered a signal.
    SignalFrame,
    /// The thread's own registers.
    Given,
}

impl Trust {
    /// The word for it in output; part of the JSON schema.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scanned => "scanned",
            Self::ScannedCall => "scanned-call",
            Self::FramePointer => "frame-pointer",
            Self::Analysed => "analysed",
            Self::CallFrameInfo => "cfi",
            Self::SignalFrame => "signal-frame",
            Self::Given => "given",
        }
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What the innermost frame was found by.
pub(crate) const FOUND_BY_REGISTERS: &str = "registers";

/// What a frame was found by that was made by hand.
const FOUND_BY_HAND: &str = "hand";

/// One frame of a stack: a function that has not returned yet.
///
/// Frames are equal when all that they say is, but for [where](FrameRegisters::location) their registers were
/// found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Where it is.
    pub code: CodeAddress,
    /// Its registers, as far as they are known: what they will be when its callee has returned.
    pub registers: FrameRegisters,
    /// Its canonical frame address: on x86, what sp was before the call that entered it. `None` where
    /// no caller was found.
    pub cfa: Option<Addr>,
    /// The name of the stepper that found it; `"registers"` for the innermost one, `"hand"` for one that
    /// was made [from parts](Self::from_parts).
    pub found_by: &'static str,
    /// How far to believe it.
    pub trust: Trust,
}

impl Frame {
    /// The innermost frame of a thread with these registers.
    ///
    /// # Errors
    /// When pc is not known.
    pub fn innermost(registers: &Registers) -> Result<Self, StepError> {
        let info = registers.arch().info();
        let pc = registers.pc().ok_or(StepError::UnknownRegister(info.register(info.pc).name))?;
        Ok(Self {
            code: CodeAddress::Exact(pc),
            registers: FrameRegisters::from(registers),
            cfa: None,
            found_by: FOUND_BY_REGISTERS,
            trust: Trust::Given,
        })
    }

    /// A frame of which no more is known than this, to walk from. Other registers can be made known in it.
    #[must_use]
    pub fn from_parts(arch: Arch, code: CodeAddress, sp: Addr, fp: Option<Addr>) -> Self {
        let info = arch.info();
        let mut registers = FrameRegisters::unknown(arch);
        registers.set(info.pc, code.addr().0);
        registers.set(info.sp, sp.0);
        if let Some(fp) = fp {
            registers.set(info.fp, fp.0);
        }
        Self { code, registers, cfa: None, found_by: FOUND_BY_HAND, trust: Trust::Given }
    }

    /// Moves it to other code: its address and pc, as computed.
    pub fn set_code(&mut self, code: CodeAddress) {
        self.code = code;
        self.registers.set(self.registers.arch().info().pc, code.addr().0);
    }

    /// Whether sp is what it is, and not only a bound: some frame chains do not tell, and neither does a link
    /// register.
    pub(crate) fn knows_sp(&self) -> bool {
        let info = self.registers.arch().info();
        match self.trust {
            _ if info.link.is_none() => true,
            Trust::Scanned => false,
            Trust::FramePointer => info.frame_chain.is_none_or(|chain| chain.tells_sp()),
            _ => true,
        }
    }

    /// Where its address of code was found: a debugger that writes to a return address there has the callee
    /// return to somewhere else.
    #[must_use]
    pub fn pc_location(&self) -> Option<Location> {
        self.registers.location(self.registers.arch().info().pc)
    }

    /// [`CodeAddress::for_lookup`] of its code address.
    #[must_use]
    pub fn for_lookup(&self) -> Addr {
        self.code.for_lookup()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_return_address_is_looked_up_inside_the_call() {
        assert_eq!(CodeAddress::Exact(Addr(0x10)).for_lookup(), Addr(0x10));
        assert_eq!(CodeAddress::ReturnAddress(Addr(0x10)).for_lookup(), Addr(0xf));
        assert_eq!(CodeAddress::ReturnAddress(Addr(0)).for_lookup(), Addr(u64::MAX));
    }

    #[test]
    fn trust_is_ordered() {
        assert!(Trust::Scanned < Trust::ScannedCall && Trust::ScannedCall < Trust::FramePointer);
        assert!(Trust::FramePointer < Trust::Analysed);
        assert!(Trust::Analysed < Trust::CallFrameInfo);
        assert!(Trust::CallFrameInfo < Trust::SignalFrame && Trust::SignalFrame < Trust::Given);
    }
}
