//! The code of both x86 architectures.

mod decode;
mod jump_table;

use prospect_process::Addr;

use super::isa::Isa;

pub(super) static ISA: Isa = Isa {
    decoder: |function, looks_into_calls| Box::new(decode::Reader::new(function, looks_into_calls)),
    is_start,
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
