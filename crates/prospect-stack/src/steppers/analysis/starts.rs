//! Where a function begins.

use prospect_process::Addr;

use crate::{
    StepContext,
    analysis::{LARGEST_FUNCTION, isa},
};

/// So many bytes around a place say whether a function begins there.
const AROUND: u64 = 16;
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

/// Whether a place looks like the start of a function.
pub(super) fn is_likely(at: Addr, context: &StepContext<'_>) -> bool {
    let mut bytes = [0; 2 * AROUND as usize];
    let from = Addr(at.0.saturating_sub(AROUND));
    let read = context.memory.read_available(from, &mut bytes);
    let split = bytes.get(..read).and_then(|bytes| bytes.split_at_checked((at.0 - from.0) as usize));
    isa(context.arch).zip(split).is_some_and(|(isa, (before, here))| (isa.is_start)(before, here, at))
}

/// Places that look like starts of functions, the nearest before `at` first.
pub(super) fn by_patterns(at: Addr, context: &StepContext<'_>) -> impl Iterator<Item = Addr> {
    let lowest = context.mappings.at(at).map_or(0, |mapping| mapping.range.start.0);
    let lowest = lowest.max(at.0.saturating_sub(LARGEST_FUNCTION));
    let memory = context.memory;
    let is_start = move |bytes: &[u8], offset: usize, place: Addr| {
        let split = bytes.split_at_checked(offset);
        isa(context.arch).zip(split).is_some_and(|(isa, (before, here))| (isa.is_start)(before, here, place))
    };
    let mut end = at.0.saturating_add(1);
    std::iter::from_fn(move || {
        if end <= lowest {
            return None;
        }
        let start = (end - 1).max(CHUNK).saturating_sub(CHUNK).max(lowest);
        // With some bytes around, so that what lies across the border is seen.
        let from = start.saturating_sub(AROUND).max(lowest);
        let mut bytes = vec![0; (end - from) as usize + AROUND as usize];
        let read = memory.read_available(Addr(from), &mut bytes);
        bytes.truncate(read);
        let found: Vec<Addr> = (start..end)
            .rev()
            .map(Addr)
            .filter(|place| *place == Addr(lowest) || is_start(&bytes, (place.0 - from) as usize, *place))
            .collect();
        end = start;
        Some(found)
    })
    .flatten()
}
