//! Epilogues of AMD64 code of Windows, which their instructions tell: those may be few ones only, in one order
//! (Microsoft, "x64 prolog and epilog", "Epilog code"). Version 2 of the tables says where they are; here the code is asked
//! in either case.

use prospect_process::{Arch, RegisterId};

use super::{Entry, Frame, Info, Tables, register};

/// All preserved registers are popped in some 20 bytes.
const LONGEST: usize = 64;

/// The frame at an address from which a function does nothing any more but take its frame down, as far as it still
/// stands; `None` where it does anything else.
pub(super) fn frame(tables: &Tables<'_>, entry: &Entry, info: &Info<'_>, at: u32) -> Option<Frame> {
    let left = usize::try_from(entry.end.checked_sub(at)?).ok()?;
    let code = tables.bytes(at);
    let mut code = &code[..code.len().min(left).min(LONGEST)];
    let start = code.len();
    let mut frame = Frame::of(Arch::X86_64);
    if let Some((length, base, bytes)) = released(code, info.base.map(|(id, _)| id)) {
        code = &code[length..];
        frame.base = base.map(|id| (id, 0));
        frame.position = bytes;
    }
    loop {
        let (length, number) = match code {
            [pop @ 0x58..=0x5f, ..] => (1, pop & 7),
            [rex @ 0x40..=0x4f, pop @ 0x58..=0x5f, ..] => (2, pop & 7 | (rex & 1) << 3),
            _ => break,
        };
        frame.save(register(number), frame.position);
        frame.position += 8;
        code = &code[length..];
    }
    let here = at.wrapping_add((start - code.len()) as u32);
    let leaves = match code {
        // ret, with or without a prefix for old processors' sake, and with a number.
        [0xc3 | 0xc2, ..] | [0xf2 | 0xf3, 0xc3, ..] => true,
        [0xeb, to, ..] => {
            is_call(tables, entry, here.wrapping_add(2).wrapping_add_signed(i32::from(*to as i8)))
        }
        [0xe9, to @ ..] => {
            let to = i32::from_le_bytes(*to.first_chunk()?);
            is_call(tables, entry, here.wrapping_add(5).wrapping_add_signed(to))
        }
        // Through a pointer; a jump by a register with this prefix is none by a table.
        [0xff, 0x25, ..] => true,
        [0x48..=0x4f, 0xff, mode, ..] => mode >> 3 & 7 == 4,
        _ => false,
    };
    frame.position += 8;
    leaves.then_some(frame)
}

/// An instruction at the start of some code that gives back all room: its length, what the new stack pointer is based on if not on the old
/// one, and how far it is above that.
fn released(code: &[u8], base: Option<RegisterId>) -> Option<(usize, Option<RegisterId>, i64)> {
    let byte = |at: usize| code.get(at).map(|byte| i64::from(*byte as i8));
    let word = |at: usize| Some(i64::from(i32::from_le_bytes(*code.get(at..)?.first_chunk()?)));
    match code {
        // add $, %rsp
        [0x48, 0x83, 0xc4, ..] => Some((4, None, byte(3)?)),
        [0x48, 0x81, 0xc4, ..] => Some((7, None, word(3)?)),
        // lea $(base), %rsp
        [rex @ (0x48 | 0x49), 0x8d, mode, ..] if mode >> 3 & 7 == 4 => {
            let id = register(mode & 7 | (rex & 1) << 3);
            // A base of this number comes with a byte more.
            let sib = usize::from(mode & 7 == 4);
            let length = match mode >> 6 {
                0 => (3 + sib, 0),
                1 => (4 + sib, byte(3 + sib)?),
                2 => (7 + sib, word(3 + sib)?),
                _ => return None,
            };
            (base == Some(id)).then_some((length.0, base, length.1))
        }
        _ => None,
    }
}

/// Whether a jump out of a function calls another one, and does not go to a part of its own that lies elsewhere: that
/// has no prologue, but a frame.
fn is_call(tables: &Tables<'_>, entry: &Entry, to: u32) -> bool {
    if (entry.begin..entry.end).contains(&to) {
        return false;
    }
    let Some(other) = Entry::find(tables, to) else { return true };
    let Ok(info) = Info::read(tables, other.info) else { return true };
    other.begin == to && info.parent.is_none() && (info.prologue_bytes > 0 || info.codes.is_empty())
}
