//! The code of both x86 architectures.

mod decode;
mod jump_table;

use prospect_process::Addr;

use super::isa::{Isa, MOST_REFERENCES, Reference};

pub(super) static ISA: Isa = Isa {
    decoder: |function, looks_into_calls| Box::new(decode::Reader::new(function, looks_into_calls)),
    is_start,
    references,
};

/// Compilers begin functions at multiples of this.
const ALIGNMENT: u64 = 16;
/// `endbr64` and `endbr32`: where indirect calls land, and most functions begin.
const LANDING_PADS: [[u8; 4]; 2] = [[0xf3, 0x0f, 0x1e, 0xfa], [0xf3, 0x0f, 0x1e, 0xfb]];

fn is_start(before: &[u8], here: &[u8], place: Addr) -> bool {
    if LANDING_PADS.iter().any(|pad| here.starts_with(pad)) {
        return true;
    }
    if !place.0.is_multiple_of(ALIGNMENT) {
        // Where nothing is aligned (small code), what lies behind a return and saves a register.
        return before.ends_with(&[0xc3]) && matches!(here, [0x53 | 0x55, ..] | [0x41, 0x54..=0x57, ..]);
    }
    // An entry of a procedure linkage table: `jmp *word`.
    if matches!(here, [0xff, 0x25 | 0xa3, ..] | [0xf2, 0xff, 0x25, ..]) {
        return true;
    }
    // `ret`, or what fills the room between functions; memory that was never written has zeros.
    matches!(before, [.., 0xc3 | 0xcc | 0x90]) || ends_in_long_nop(before) || before.ends_with(&[0; 8])
}

/// `nopl` or `nopw` with an operand of four bytes, all of them 0, or of one byte.
fn ends_in_long_nop(before: &[u8]) -> bool {
    [[0x0f, 0x1f, 0x00].as_slice(), &[0x0f, 0x1f, 0x40, 0], &[0x0f, 0x1f, 0x44, 0, 0]]
        .iter()
        .any(|nop| before.ends_with(nop))
        || before.ends_with(&[0x0f, 0x1f, 0x80, 0, 0, 0, 0])
        || before.ends_with(&[0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0])
}

/// `call rel32`, `jmp rel32` and `jcc rel32` (Intel SDM, volume 2).
fn references(code: &[u8], at: Addr) -> Vec<Reference> {
    let mut found = Vec::new();
    let target = |offset: usize| {
        let bytes = code.get(offset..offset + 4)?.first_chunk()?;
        let (end, length) = (offset as u64 + 4, code.len() as u64);
        let to = end.wrapping_add_signed(i64::from(i32::from_le_bytes(*bytes)));
        (to < length).then(|| (at.wrapping_add(end), at.wrapping_add(to)))
    };
    for (offset, byte) in code.iter().enumerate() {
        if found.len() >= MOST_REFERENCES {
            break;
        }
        let is_branch = || matches!(code.get(offset + 1), Some(0x80..=0x8f));
        let operand = match byte {
            0xe8 | 0xe9 => offset + 1,
            0x0f if is_branch() => offset + 2,
            _ => continue,
        };
        found.extend(target(operand).map(|(end, to)| Reference { end, to, is_call: *byte == 0xe8 }));
    }
    found
}
