//! Where a function begins.

use prospect_process::Addr;

use crate::{StepContext, analysis::LARGEST_FUNCTION};

/// Compilers begin functions at multiples of this.
const ALIGNMENT: u64 = 16;
/// `endbr64` and `endbr32`: where indirect calls land, and most functions begin.
const LANDING_PADS: [[u8; 4]; 2] = [[0xf3, 0x0f, 0x1e, 0xfa], [0xf3, 0x0f, 0x1e, 0xfb]];
/// So much code is looked through at once, from pc downwards.
const CHUNK: u64 = 4 << 10;

/// The start by the symbols of the module, and the bytes of the function: as many as one may have, where the
/// symbols do not say.
pub(super) fn by_symbols(at: Addr, context: &StepContext<'_>) -> Option<(Addr, u64)> {
    let module = context.modules.at(at)?;
    let binary = context.binaries.get(module, context.info, context.memory);
    let (start, bytes) = binary.function_at(at.to_link(module.bias))?;
    let start = start.to_addr(module.bias);
    let bytes = if bytes == 0 { LARGEST_FUNCTION } else { bytes };
    (start <= at).then_some((start, bytes))
}

/// Places that look like starts of functions, the nearest before `at` first.
pub(super) fn by_patterns(at: Addr, context: &StepContext<'_>) -> impl Iterator<Item = Addr> {
    let lowest = context.mappings.at(at).map_or(0, |mapping| mapping.range.start.0);
    let lowest = lowest.max(at.0.saturating_sub(LARGEST_FUNCTION));
    let memory = context.memory;
    let mut end = at.0.saturating_add(1);
    std::iter::from_fn(move || {
        if end <= lowest {
            return None;
        }
        let start = (end - 1).max(CHUNK).saturating_sub(CHUNK).max(lowest);
        // With some bytes around, so that what lies across the border is seen.
        let from = start.saturating_sub(ALIGNMENT).max(lowest);
        let mut bytes = vec![0; (end - from) as usize + 4];
        let read = memory.read_available(Addr(from), &mut bytes);
        bytes.truncate(read);
        let found: Vec<Addr> = (start..end)
            .rev()
            .filter(|place| is_start(&bytes, (place - from) as usize, *place, lowest))
            .map(Addr)
            .collect();
        end = start;
        Some(found)
    })
    .flatten()
}

/// Whether the code before a place ends a function, or the code there begins one.
fn is_start(bytes: &[u8], offset: usize, place: u64, lowest: u64) -> bool {
    let (Some(before), Some(here)) = (bytes.get(..offset), bytes.get(offset..)) else { return false };
    if LANDING_PADS.iter().any(|pad| here.starts_with(pad)) || place == lowest {
        return true;
    }
    if !place.is_multiple_of(ALIGNMENT) {
        // Where nothing is aligned (small code), what lies behind a return and saves a register.
        return before.ends_with(&[0xc3]) && matches!(here, [0x53 | 0x55, ..] | [0x41, 0x54..=0x57, ..]);
    }
    // `ret`, or what fills the room between functions.
    matches!(before, [.., 0xc3 | 0xcc | 0x90]) || ends_in_long_nop(before)
}

/// `nopl` or `nopw` with an operand of four bytes, all of them 0, or of one byte.
fn ends_in_long_nop(before: &[u8]) -> bool {
    [[0x0f, 0x1f, 0x00].as_slice(), &[0x0f, 0x1f, 0x40, 0], &[0x0f, 0x1f, 0x44, 0, 0]]
        .iter()
        .any(|nop| before.ends_with(nop))
        || before.ends_with(&[0x0f, 0x1f, 0x80, 0, 0, 0, 0])
        || before.ends_with(&[0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0])
}
