//! The expressions that find virtual base classes (DWARF 5, section 5.7.8): the object's address is on the stack, and the
//! member's is left there. Compilers write the few operations that are here.

use prospect_process::Addr;
use prospect_symbols::variable::Unavailable;

use crate::ValueContext;

/// The address of a member of the object at `object`.
pub(crate) fn evaluate(expression: &[u8], object: Addr, cx: &dyn ValueContext) -> Result<Addr, Unavailable> {
    let mut stack = vec![object.0];
    let mut rest = expression;
    while let Some((operation, behind)) = rest.split_first() {
        rest = behind;
        step(*operation, &mut rest, &mut stack, cx)?;
    }
    stack.pop().map(Addr).ok_or_else(broken)
}

fn step(
    operation: u8,
    rest: &mut &[u8],
    stack: &mut Vec<u64>,
    cx: &dyn ValueContext,
) -> Result<(), Unavailable> {
    let top = stack.last().copied().ok_or_else(broken)?;
    let mut fixed = |count: usize| {
        let (bytes, behind) = rest.split_at_checked(count).ok_or_else(broken)?;
        *rest = behind;
        cx.arch().unsigned(bytes).ok_or_else(broken)
    };
    let pushed = match operation {
        0x06 => {
            stack.pop();
            word(Addr(top), cx)?
        }
        0x08 => fixed(1)?,
        0x09 => fixed(1)? as u8 as i8 as u64,
        0x0a => fixed(2)?,
        0x0b => fixed(2)? as u16 as i16 as u64,
        0x0c => fixed(4)?,
        0x0d => fixed(4)? as u32 as i32 as u64,
        0x0e | 0x0f => fixed(8)?,
        0x10 => uleb(rest)?,
        0x11 => sleb(rest)?,
        0x12 => top,
        0x13 => {
            stack.pop();
            return Ok(());
        }
        0x14 => *stack.iter().nth_back(1).ok_or_else(broken)?,
        0x16 => {
            let last = stack.len() - 1;
            stack.swap(last, last.checked_sub(1).ok_or_else(broken)?);
            return Ok(());
        }
        0x1f => {
            stack.pop();
            top.wrapping_neg()
        }
        0x1c | 0x22 => {
            stack.pop();
            let below = stack.pop().ok_or_else(broken)?;
            if operation == 0x1c { below.wrapping_sub(top) } else { below.wrapping_add(top) }
        }
        0x23 => {
            stack.pop();
            top.wrapping_add(uleb(rest)?)
        }
        0x30..=0x4f => u64::from(operation - 0x30),
        0x96 => return Ok(()),
        other => return Err(Unavailable::NotUnderstood(format!("operation {other:#x} finds a member"))),
    };
    stack.push(pushed & cx.arch().word_mask());
    Ok(())
}

fn broken() -> Unavailable {
    Unavailable::NotUnderstood("the expression that finds a member is broken".into())
}

fn word(at: Addr, cx: &dyn ValueContext) -> Result<u64, Unavailable> {
    let mut bytes = [0; 8];
    let bytes = &mut bytes[..usize::from(cx.arch().word_bytes)];
    cx.memory().read(at, bytes).map_err(|error| Unavailable::CannotRead(error.at))?;
    cx.arch().word(bytes).ok_or_else(broken)
}

fn uleb(rest: &mut &[u8]) -> Result<u64, Unavailable> {
    leb(rest).map(|(number, ..)| number)
}

fn sleb(rest: &mut &[u8]) -> Result<u64, Unavailable> {
    let (number, bits, last) = leb(rest)?;
    Ok(if last & 0x40 != 0 && bits < 64 { number | u64::MAX << bits } else { number })
}

/// A number, how many bits it has, and its last byte (DWARF 5, section 7.6).
fn leb(rest: &mut &[u8]) -> Result<(u64, u32, u8), Unavailable> {
    let (mut number, mut bits) = (0, 0);
    loop {
        let (byte, behind) = rest.split_first().ok_or_else(broken)?;
        *rest = behind;
        if bits < 64 {
            number |= u64::from(byte & 0x7f) << bits;
        }
        bits += 7;
        if byte & 0x80 == 0 {
            return Ok((number, bits, *byte));
        }
        if bits > 70 {
            return Err(broken());
        }
    }
}
