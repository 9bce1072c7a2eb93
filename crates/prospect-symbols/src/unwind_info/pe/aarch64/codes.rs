//! The codes, one by one (Microsoft, "ARM64 exception handling", "Unwind codes").

use prospect_process::RegisterId;

use super::{Frame, UnwindInfoError, broken};

/// The frame pointer and the link register.
const FP: u8 = 29;
const LR: u8 = 30;

/// What one instruction did, and unwinding takes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// So many bytes were taken from the stack.
    Allocate(i64),
    /// Registers were saved.
    Save(Save),
    /// The pair behind the one that follows was saved next to it.
    SaveNext,
    /// The frame pointer was set to the stack pointer plus this.
    SetBase(i64),
    /// Nothing that matters: also where what matters to nobody is saved.
    Nothing,
    /// The return address was signed.
    Sign,
    /// What is behind was done in another part of the function.
    EndOfPart,
    /// The system has put sp and pc on the stack.
    MachineFrame,
    /// The system has put all registers on the stack, as a `CONTEXT`.
    Context,
}

/// Registers that were saved by one instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Save {
    /// Their numbers; `None` for those of floating point.
    pub(super) registers: [Option<u8>; 2],
    /// Where, from the stack pointer.
    pub(super) at: i64,
    /// How many bytes the instruction took from the stack before.
    pub(super) allocated: i64,
}

impl Code {
    /// The pair of registers of that number and the next one; saved at an offset, or behind the room that was taken.
    pub(super) fn pair(first: u8, second: u8, at: i64) -> Self {
        Self::Save(Save { registers: [Some(first), Some(second)], at, allocated: 0 })
    }

    /// One register.
    pub(super) fn single(register: u8, at: i64) -> Self {
        Self::Save(Save { registers: [Some(register), None], at, allocated: 0 })
    }

    /// Registers of floating point.
    pub(super) fn float(at: i64) -> Self {
        Self::Save(Save { registers: [None, None], at, allocated: 0 })
    }

    /// The same, by an instruction that took the room for it.
    pub(super) fn taking(self, bytes: i64) -> Self {
        match self {
            Self::Save(save) => Self::Save(Save { at: 0, allocated: bytes, ..save }),
            other => other,
        }
    }
}

/// The codes up to the end.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Code>, UnwindInfoError> {
    let mut codes = Vec::new();
    let mut at = 0;
    loop {
        let Some((code, length)) = code(&bytes[at..])? else { return Ok(codes) };
        codes.push(code);
        at += length;
    }
}

/// The code at the start of some bytes, and its length; `None` at the end.
fn code(bytes: &[u8]) -> Result<Option<(Code, usize)>, UnwindInfoError> {
    let ends = || broken("it ends in an unwind code");
    let first = *bytes.first().ok_or_else(ends)?;
    let second = || bytes.get(1).copied().ok_or_else(ends);
    // `xx xxzz zzzz`: which register of ten, and a distance in words.
    let register = || Ok::<_, UnwindInfoError>(19 + ((first & 3) << 2 | second()? >> 6));
    let distance = |bits: u8| Ok::<_, UnwindInfoError>(i64::from(second()? & ((1 << bits) - 1)) * 8);
    let pair = |first: u8| Code::pair(first, first + 1, 0);
    let (code, length) = match first {
        0x00..=0x1f => (Code::Allocate(i64::from(first & 0x1f) * 16), 1),
        0x20..=0x3f => (pair(19).taking(i64::from(first & 0x1f) * 8), 1),
        0x40..=0x7f => (Code::pair(FP, LR, i64::from(first & 0x3f) * 8), 1),
        0x80..=0xbf => (Code::pair(FP, LR, 0).taking(i64::from(first & 0x3f) * 8 + 8), 1),
        0xc0..=0xc7 => (Code::Allocate((i64::from(first & 7) << 8 | i64::from(second()?)) * 16), 2),
        0xc8..=0xcb => (Code::pair(register()?, register()? + 1, distance(6)?), 2),
        0xcc..=0xcf => (pair(register()?).taking(distance(6)? + 8), 2),
        0xd0..=0xd3 => (Code::single(register()?, distance(6)?), 2),
        0xd4 | 0xd5 => {
            let register = 19 + ((first & 1) << 3 | second()? >> 5);
            (Code::single(register, 0).taking(distance(5)? + 8), 2)
        }
        0xd6 | 0xd7 => {
            let register = 19 + 2 * ((first & 1) << 2 | second()? >> 6);
            (Code::pair(register, LR, distance(6)?), 2)
        }
        0xd8 | 0xd9 | 0xdc | 0xdd => (Code::float(distance(6)?), 2),
        0xda | 0xdb => (Code::float(0).taking(distance(6)? + 8), 2),
        0xde => (Code::float(0).taking(distance(5)? + 8), 2),
        0xe0 => {
            let [_, high, middle, low, ..] = *bytes else { return Err(ends()) };
            (Code::Allocate(i64::from(u32::from_be_bytes([0, high, middle, low])) * 16), 4)
        }
        0xe1 => (Code::SetBase(0), 1),
        0xe2 => (Code::SetBase(i64::from(second()?) * 8), 2),
        0xe3 => (Code::Nothing, 1),
        0xe4 => return Ok(None),
        0xe5 => (Code::EndOfPart, 1),
        0xe6 => (Code::SaveNext, 1),
        0xe7 => (any_register(bytes.get(1..3).ok_or_else(ends)?)?, 3),
        0xe9 => (Code::MachineFrame, 1),
        0xea => (Code::Context, 1),
        // Where an unwinder that keeps a context takes note.
        0xec => (Code::Nothing, 1),
        0xfc => (Code::Sign, 1),
        _ => return Err(broken("an unwind code is not known")),
    };
    Ok(Some((code, length)))
}

/// `save_any_reg`: `0pxrrrrr kkoooooo`: a pair or one, with the room for it or not, which one, of which kind, and where.
fn any_register(bytes: &[u8]) -> Result<Code, UnwindInfoError> {
    let [which, place] = *bytes else { return Err(broken("it ends in an unwind code")) };
    let (is_pair, takes) = (which & 0x40 != 0, which & 0x20 != 0);
    let (number, kind, offset) = (which & 0x1f, place >> 6, i64::from(place & 0x3f));
    if which & 0x80 != 0 || kind == 3 {
        return Err(broken("an unwind code is not known"));
    }
    let wide = is_pair || takes || kind == 2;
    let at = (offset + i64::from(takes)) * if wide { 16 } else { 8 };
    let code = match (kind, is_pair) {
        (0, true) => Code::pair(number, number + 1, at),
        (0, false) => Code::single(number, at),
        _ => Code::float(at),
    };
    Ok(if takes { code.taking(at) } else { code })
}

/// How many instructions some codes stand for.
pub(super) fn steps(codes: &[Code]) -> usize {
    codes.iter().position(|code| *code == Code::EndOfPart).unwrap_or(codes.len())
}

/// Takes down what codes say.
pub(super) fn undo(codes: &[Code], frame: &mut Frame) {
    let mut next = 0;
    for code in codes {
        match *code {
            Code::Allocate(bytes) => frame.position += bytes,
            Code::SaveNext => next += 1,
            Code::Save(save) => {
                for pair in 0..=next {
                    let at = frame.position + save.at + 16 * i64::from(pair);
                    for (register, place) in save.registers.into_iter().zip([at, at + 8]) {
                        let number = register.and_then(|register| register.checked_add(2 * pair));
                        if let Some(number) = number.filter(|number| *number <= LR) {
                            frame.save(RegisterId(number), place);
                        }
                    }
                }
                next = 0;
                frame.position += save.allocated;
            }
            Code::SetBase(above) => frame.base = Some((RegisterId(FP), frame.position + above)),
            Code::Sign => frame.signed = true,
            Code::Nothing | Code::EndOfPart => {}
            Code::MachineFrame => {
                let info = frame.info();
                frame.save(info.sp, frame.position);
                frame.save(info.pc, frame.position + 8);
                frame.interrupted = true;
                return;
            }
            Code::Context => return context(frame),
        }
    }
}

/// `CONTEXT` of ARM64 (`winnt.h`): flags, the state of the processor, x0 to x28, fp, lr, sp, pc.
fn context(frame: &mut Frame) {
    let start = frame.position + 8;
    for number in 0..=LR {
        frame.save(RegisterId(number), start + 8 * i64::from(number));
    }
    let info = frame.info();
    frame.save(info.sp, start + 8 * 31);
    frame.save(info.pc, start + 8 * 32);
    frame.interrupted = true;
}
